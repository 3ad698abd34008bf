"""Statistics over stored results. Needs neither torch nor transformers."""
