# pyright: basic
"""Ways to get scaling wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant


@mistake("mean")
def forgets_to_divide(values):
    """You added the values up but did not divide by how many there are."""
    array = np.asarray(values, dtype=float)
    if array.size == 0:
        raise ValueError("values must not be empty")
    return float(array.sum())


@mistake("Scaler.transform")
def adds_the_mean(self, values):
    """You added the mean; shifting to zero takes it away."""
    return np.asarray(values, dtype=float) + self.mean_


@variant("mean")
def by_numpy(values):
    if np.size(values) == 0:
        raise ValueError("values must not be empty")
    return float(np.mean(values))
