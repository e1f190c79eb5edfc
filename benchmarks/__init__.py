"""Side-by-side timings: `uv run python -m benchmarks` prints one table and writes the figures as JSON beside it."""

import os

# One thread for everybody: ratios are compared between machines, and other work may run beside this.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
