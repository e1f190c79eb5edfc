"""What checks are written with."""

import itertools
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.checking import (
    assert_close,
    assert_refuses,
    assert_shape,
    assert_unchanged,
    assertions,
    runs_python_lines,
    speed_ratio,
)


def refuse(text):
    def call():
        raise ValueError(text)

    return call


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("labels must lie in [0, 1], got -1.0", ("labels", -1)),
        ("l2=-1 is negative", (r"\bl2\b", -1.0)),
        ("Learning_rate is too large: 1e200", ("learning_rate", 1e200)),
        ("X holds NaN and -inf", (r"\bX\b", np.nan, -np.inf)),
        ("a is [8,3] and b (3,)", ((8, 3), (3,))),
        ("got shape ().", ((),)),
        ("dimension -2", (-2,)),
        ("inputs do not fit", ("inputs|in_features",)),
    ],
)
def test_an_error_may_name_things_in_its_own_words(text, named):
    assert_refuses(refuse(text), *named, message="asked")


@pytest.mark.parametrize(
    ("actual", "expected", "shown"),
    [
        ([1.0, 2.5], [1.0, 2.0], r"expected \[1\. , 2\. \]|expected \[1\., 2\.\]"),
        ([1.0, 1 + 1e-9], [1.0, 1.0], r"got      \[1\. +, 1\.000000001\]"),
        (1 + 1e-9, 1.0, r"expected 1\.\n  got      1\.000000001"),
        (np.arange(20.0), np.append(np.arange(19.0), 18.5), r"at \[19\]: expected 18\.5, got 19"),
        (np.arange(20) == 3, np.arange(20) == 4, r"2 of 20 values differ; .* at \[3\]: expected False, got True"),
        (np.full(20, 1, np.uint8), np.full(20, 3, np.uint8), "at \\[0\\]: expected 3, got 1"),
    ],
)
def test_two_arrays_that_differ_are_shown_so_that_they_differ(actual, expected, shown):
    with pytest.raises(pytest.fail.Exception, match=shown):
        assert_close(actual, expected, "asked", rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("text", "thing", "shown"),
    [
        ("labels must lie in [0, 1], got 21", 2, "2"),
        ("x2 must be positive", 2, "2"),
        ("dimension 2", -2, "-2"),
        ("shapes (8,) and (3,)", (8, 3), "(8, 3)"),
        ("bad value", "inputs|in_features", "inputs or in_features"),
        ("bad value", r"\bk\b", "k"),
        ("no number", np.nan, "nan"),
    ],
)
def test_an_error_that_leaves_something_out_is_shown(text, thing, shown):
    with pytest.raises(pytest.fail.Exception, match="asked") as raised:
        assert_refuses(refuse(text), thing, message="asked")
    assert raised.value.msg == f"asked\n  the ValueError should name {shown}; it said: {text}"


def test_values_that_differ_look_different():
    for actual, expected, shown in (
        ([2.5e-7], [0.0], "expected [0.]\n  got      [2.5e-07]"),
        (-1e-8, 0.0, "expected 0.\n  got      -1.e-08"),
        ([0.5, 1.0], [0.25, 1.0], "expected [0.25, 1.  ]\n  got      [0.5, 1. ]"),
        (np.ones(20) + 2**-20, np.ones(20), "expected 1, got 1.0000009536743164"),
    ):
        with pytest.raises(pytest.fail.Exception) as raised:
            assert_close(actual, expected, "asked")
        assert shown in str(raised.value.msg)


def test_what_is_not_refused_fails():
    with pytest.raises(pytest.fail.Exception, match="asked\n  expected a ValueError, and nothing was raised"):
        assert_refuses(lambda: None, message="asked")


def test_another_error_comes_through():
    with pytest.raises(ZeroDivisionError):
        assert_refuses(lambda: 1 / 0, message="asked")


def turns_of_a_loop():
    total = 0
    for number in range(1000):
        total += number


@pytest.mark.parametrize(
    "call", [turns_of_a_loop, lambda: [i * i for i in range(1000)], lambda: sum(i for i in range(1000))]
)
def test_every_turn_of_a_loop_is_a_line(call):
    assert runs_python_lines(call, limit=1000)
    assert not runs_python_lines(call, limit=5000)


def test_what_runs_in_numpy_is_no_line():
    assert not runs_python_lines(lambda: np.ones((100, 100)) @ np.ones((100, 100)), limit=50)


def test_counting_lines_leaves_the_tracer_alone():
    def tracer(*_):
        return None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        runs_python_lines(turns_of_a_loop, limit=10)
        assert sys.gettrace() is tracer
        with pytest.raises(ZeroDivisionError):
            runs_python_lines(lambda: 1 / 0, limit=10)
        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)


class Clock:
    """Processor time that passes only where a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(assertions, "CLOCK", lambda: self.now)

    def pass_by(self, *seconds: float) -> Callable[[], None]:
        """A call that takes the first of these times, then the second, …, and the last ever after."""
        times = itertools.chain(seconds, itertools.repeat(seconds[-1]))

        def call() -> None:
            self.now += next(times)

        return call


def test_the_ratio_of_speeds_is_that_of_the_work(monkeypatch: pytest.MonkeyPatch):
    clock = Clock(monkeypatch)
    assert speed_ratio(clock.pass_by(0.02), clock.pass_by(0.001)) == pytest.approx(20)
    assert speed_ratio(clock.pass_by(0.02), clock.pass_by(1e-6)) == pytest.approx(20_000), "many of these are a sample"


def test_the_best_run_counts_since_noise_only_adds(monkeypatch: pytest.MonkeyPatch):
    clock = Clock(monkeypatch)
    assert speed_ratio(clock.pass_by(7, 0.02, 9), clock.pass_by(3, 5, 5, 0.001, 4)) == pytest.approx(20)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows counts processor time too coarsely")
def test_time_that_others_have_the_processor_does_not_count():
    assert assertions.CLOCK is time.thread_time


class TestTheDocstringIsTheMessage:
    """The check that runs is this one."""

    def test_of_each_assertion(self):
        """Two and two
        are four.

        More of it.
        """
        for assertion in (
            lambda: assert_close(2 + 3, 4),
            lambda: assert_shape(np.zeros(2), (4,)),
            lambda: assert_refuses(lambda: None, "four"),
            lambda: assert_unchanged(lambda values: values.sort(), np.array([2.0, 1.0])),
        ):
            with pytest.raises(pytest.fail.Exception, match="^Two and two are four.\n  "):
                assertion()

    def test_without_one(self):
        with pytest.raises(pytest.fail.Exception, match=r"^This check failed.\n"):
            assert_close(1, 2)

    @given(st.integers(0, 3))
    def test_under_hypothesis(self, number):
        """Numbers are small."""
        with pytest.raises(pytest.fail.Exception, match="^Numbers are small.\n"):
            assert_close(number, 4)

    def test_a_message_of_its_own_comes_first(self):
        """Not shown."""
        with pytest.raises(pytest.fail.Exception, match="^asked\n"):
            assert_close(1, 2, "asked")
