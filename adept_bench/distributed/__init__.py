"""Several processes that work on one cell together, started by torchrun or `accelerate launch`."""
