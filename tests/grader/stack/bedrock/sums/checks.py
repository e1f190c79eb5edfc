"""The checks of `sums`."""
# pyright: reportMissingImports=false

import numpy as np
import pytest
from groundup.stack.bedrock.sums import RunningMean, scale_in_place, softmax, total
from hypothesis import given
from hypothesis import strategies as st

from groundup.checking import assert_close


def test_total_adds_up():
    """total adds the values."""
    assert_close(total([1.0, 2.0, 3.0]), 6.0, "total([1, 2, 3]) is 6")


def test_total_refuses_matrices():
    """total refuses an array with two axes."""
    with pytest.raises(ValueError, match="one axis"):
        total(np.ones((2, 2)))


@given(st.lists(st.floats(-100, 100), max_size=8))
def test_total_agrees_with_python(values):
    """total is what Python's sum gives."""
    assert total(values) == pytest.approx(sum(values))


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_softmax_sums_to_one(shape, rng):
    """Every row of a softmax sums to one."""
    assert_close(softmax(rng.normal(size=shape)).sum(axis=-1), np.ones(shape[:-1]), "rows of a softmax sum to 1")


def test_softmax_is_stable():
    """Large scores do not overflow."""
    assert_close(softmax(np.array([1000.0, 1000.0])), [0.5, 0.5], "softmax([1000, 1000]) is [0.5, 0.5]")


def test_scale_in_place_changes_its_argument():
    """scale_in_place changes the array itself."""
    values = np.array([1.0, 2.0])
    scale_in_place(values, 3.0)
    assert_close(values, [3.0, 6.0], "scale_in_place([1, 2], 3) makes it [3, 6]")


def test_running_mean():
    """The mean of two batches is the mean of all values."""
    running = RunningMean()
    running.update([1.0, 2.0])
    running.update([6.0])
    assert running.count == 3, "three values were seen"
    assert_close(running.mean, 3.0, "the mean of 1, 2 and 6 is 3")


def test_mean_of():
    """RunningMean.of is the mean of its argument."""
    assert_close(RunningMean.of([2.0, 4.0]), 3.0, "RunningMean.of([2, 4]) is 3")
