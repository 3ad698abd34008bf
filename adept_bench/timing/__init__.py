"""Timing of methods on models of any shape with random weights: the real edits, probes and training."""
