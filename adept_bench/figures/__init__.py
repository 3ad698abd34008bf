"""Figures from stored results. Needs matplotlib and the result files; neither torch nor transformers."""
