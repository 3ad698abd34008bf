"""Training on transformers' Trainer: unit-wise rates, exact resumption, cost."""
