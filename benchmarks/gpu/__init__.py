"""Benchmarks that need a CUDA GPU, each run by itself: `uv run python -m benchmarks.gpu.NAME`."""
