"""A method of the registry on a user's own model and text, outside any suite."""
