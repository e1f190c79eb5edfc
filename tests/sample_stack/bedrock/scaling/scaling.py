"""Means, and shifting by them."""

import numpy as np


def mean(values: np.ndarray) -> float:
    """The arithmetic mean of a vector.

    Raises:
        ValueError: there are no values.
    """
    array = np.asarray(values, dtype=float)
    if array.size == 0:
        raise ValueError(f"values must not be empty, got shape {array.shape}")
    return float(array.sum() / array.size)


class Scaler:
    """Shifts by a mean that it has learned."""

    def fit(self, values: np.ndarray) -> "Scaler":
        """Learn the mean."""
        self.mean_ = mean(values)
        return self

    def transform(self, values: np.ndarray) -> np.ndarray:
        """Shift by the mean learned."""
        return np.asarray(values, dtype=float) - self.mean_
