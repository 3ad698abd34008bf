"""What each layer and each unit of a model matters for a probe corpus (arXiv 2510.10071, pilot study and stages)."""
