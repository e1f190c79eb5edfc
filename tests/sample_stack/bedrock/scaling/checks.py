"""Checks of scaling."""

import numpy as np
from groundup.stack.bedrock.scaling import Scaler, mean

from groundup.checking import assert_close, assert_refuses


def test_mean_by_hand():
    """The mean of 1, 2, 6 is 3."""
    assert_close(mean(np.array([1, 2, 6])), 3.0, "mean([1, 2, 6]) is 9 / 3")
    assert isinstance(mean([1.0]), float)


def test_mean_of_nothing_is_refused():
    """There is no mean of nothing."""
    assert_refuses(lambda: mean(np.array([])))


def test_scaler_centres():
    """What was shifted by its own mean has mean 0."""
    scaler = Scaler().fit([1, 2, 6])
    assert isinstance(scaler, Scaler)
    assert_close(scaler.mean_, 3.0, "the mean learned")
    assert_close(scaler.transform([1, 2, 6]), [-2.0, -1.0, 3.0], "shifted by 3")
