"""Bedrock: the mathematics, in NumPy and SciPy only."""
