"""The report: stored results as one HTML page that needs nothing else. Imports neither torch nor transformers."""
