"""Side-by-side timings against peers: `uv run python -m benchmarks`."""
