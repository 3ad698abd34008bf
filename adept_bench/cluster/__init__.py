"""Cells on a cluster."""
