"""Classical machine learning, with scikit-learn conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

LARGEST = 1e100
"""Beyond it, squares of sums would soon overflow."""


def squarable(values: np.ndarray, name: str = "X") -> np.ndarray:
    """Return numbers as they are, if they can be squared and added up.

    Raises:
        ValueError: a value is beyond ±`LARGEST`. The message names the parameter and the value.
    """
    largest = max(values.max(), -values.min()) if values.size else 0.0  # no copy of the table, as np.abs makes
    if largest > LARGEST:
        raise ValueError(
            f"{name} must be within ±{LARGEST:g}, or its squares overflow, got {largest:g}. Divide {name}."
        )
    return values
