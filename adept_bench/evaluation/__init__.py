"""Evaluation: the lm-eval-harness bridge, the package's own tasks and held-out losses."""
