"""Small numerical tools: sums, softmax and a running mean."""

import numpy as np


def total(values):
    """The sum of all values.

    Args:
        values: a one-dimensional array.

    Raises:
        ValueError: the array has more than one axis.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 1:
        raise ValueError(f"values must have one axis, got {values.ndim}")
    return values.sum()


def softmax(scores):
    """Exponentials of the scores, divided by their sum along the last axis."""
    shifted = scores - np.max(scores, axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def scale_in_place(values, factor):
    """Multiply an array by a factor, in place."""
    values *= factor


class Base:
    """Something that counts."""

    def __init__(self):
        self.count = 0

    def update(self, values):
        """Count the values."""
        self.count += len(values)


class RunningMean(Base):
    """The mean of everything seen so far."""

    def __init__(self):
        super().__init__()
        self.sum = 0.0

    def update(self, values):
        """Take more values in."""
        super().update(values)
        self.sum += total(values)

    @property
    def mean(self):
        """The mean."""
        return self.sum / self.count

    @staticmethod
    def of(values):
        """The mean of some values."""
        running = RunningMean()
        running.update(values)
        return running.mean
