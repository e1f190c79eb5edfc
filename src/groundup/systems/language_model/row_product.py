"""A matrix times one row, compiled by Numba: what writing a token is made of, and bound by reading the weights.

It stands alone, as importing it imports Numba, and compiles where no cache holds what was compiled.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float32]


# fastmath: the sum of a row may run in 16 lanes
@njit("void(float32[:,::1], float32[::1], float32[::1])", cache=True, fastmath=True)
def row_product(weights: Floats, row: Floats, outputs: Floats) -> None:
    """Write weights · row into outputs, on one thread."""
    for place in range(weights.shape[0]):
        total = np.float32(0)
        for column in range(weights.shape[1]):
            total += weights[place, column] * row[column]
        outputs[place] = total
