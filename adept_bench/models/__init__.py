"""Models: loading them, what writes to their residual stream, expanding them, and proofs that nothing else changed."""
