"""Deep learning: the first unit in NumPy, then PyTorch."""
