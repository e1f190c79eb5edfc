"""What people get wrong about `sums`."""
# pyright: reportMissingImports=false, reportGeneralTypeIssues=false

import numpy as np
from groundup.stack.bedrock.sums.sums import RunningMean, total

from groundup.anatomy import mistake, variant


@mistake("total")
def skips_the_first(values):
    """You left the first value out: `range` and slices start at 0."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 1:
        raise ValueError(f"values must have one axis, got {values.ndim}")
    return values[1:].sum()


@mistake("total")
def takes_the_mean(values):
    """You divided by the number of values: that is the mean, not the sum."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 1:
        raise ValueError(f"values must have one axis, got {values.ndim}")
    return values.mean()


@mistake("total")
def accepts_matrices(values):
    """You did not check that there is one axis."""
    return np.asarray(values, dtype=float).sum()


@mistake("softmax")
def overflows(scores):
    """You did not subtract the maximum, so large scores overflow to infinity."""
    exponentials = np.exp(scores)
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


@mistake("softmax")
def sums_everything(scores):
    """You divided by the sum of all rows: give `sum` the axis."""
    shifted = scores - np.max(scores, axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum()


@mistake("scale_in_place")
def makes_a_new_array(values, factor):
    """You made a new array and left the argument as it was: write `values *= factor`."""
    return values * factor


@mistake("RunningMean.update")
def replaces_the_sum(self, values):
    """You replaced the sum by that of the last batch: add to it."""
    super().update(values)
    self.sum = total(values)


@mistake("RunningMean.update")
def forgets_super(self, values):
    """You did not call the base class, so nothing was counted."""
    self.sum += total(values)


@mistake("RunningMean.mean")
def divides_the_wrong_way(self):
    """You divided the count by the sum: it is the other way round."""
    return self.count / self.sum


@mistake("RunningMean.of")
def returns_the_object(values):
    """You returned the running mean itself, not its value: add `.mean`."""
    running = RunningMean()
    running.update(values)
    return running


@variant("total")
def with_python(values):
    """Python's own sum."""
    if np.ndim(values) != 1:
        raise ValueError("values must have one axis")
    return float(sum(values))
