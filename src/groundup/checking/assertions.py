"""The vocabulary of single checks: values, shapes, refusals, speed.

A check's failure is the lesson's best sentence: it says what was asked, what came back, what was expected and
where to look. These write the last three. The first is the check's own docstring, unless it gives a better one.
"""

from __future__ import annotations

import random
import re
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import numpy as np
import pytest

NUMBER = re.compile(r"(?<![\w.])-?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|inf|nan)\b", re.IGNORECASE)
# Windows counts processor time in steps of 16 milliseconds, and so does Linux for a process (not for a thread) whose
# processor time is limited, as in the grader.
CLOCK = time.perf_counter if sys.platform == "win32" else time.thread_time
RUNNING = {"docstring": ""}
"""The docstring of the check that runs now; the plugin writes it before each."""


def asked(message: str | None) -> str:
    """The message of a check that fails: the one given, or else the first paragraph of the check's docstring."""
    if message is not None:
        return message
    docstring = RUNNING["docstring"]
    return " ".join(docstring.split("\n\n")[0].split()) if docstring else "This check failed."


def growing(count: int, largest: int) -> Iterator[tuple[random.Random, int]]:
    """Random cases for a check, small ones first: a generator for each, and a size that grows from 0 to `largest`.

    For cases that are lists of lists, which Hypothesis takes a millisecond each to make: what fails first is small
    here because it comes first, and not because it is shrunk.

    Args:
        count: how many cases, at least 2.
        largest: the last one's size.
    """
    for number in range(count):
        yield random.Random(number), number * largest // (count - 1)


def assert_close(
    actual: Any, expected: Any, message: str | None = None, *, rtol: float = 1e-7, atol: float = 1e-9
) -> None:
    """Fail with `message` unless `actual` has the shape of `expected` and is equal within the tolerances.

    Args:
        actual: what the learner's code returned: a number, an array or a tensor.
        expected: what it should have returned.
        message: what was asked, in one sentence; the check's docstring unless given.
        rtol: relative tolerance.
        atol: absolute tolerance.
    """
    __tracebackhide__ = True
    message = asked(message)
    if actual is None:
        pytest.fail(f"{message}\n  It returned None: is a `return` missing?", pytrace=False)
    got, want = as_array(actual), as_array(expected)
    if got.dtype == object:
        pytest.fail(f"{message}\n  It returned a {type(actual).__name__}, not numbers.", pytrace=False)
    if got.shape != want.shape:
        pytest.fail(f"{message}\n  expected shape {want.shape}, got shape {got.shape}", pytrace=False)
    close = np.isclose(got, want, rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return
    if got.size <= 12:
        exact = _looks_equal(want, got, ~close)
        detail = f"  expected {_show(want, exact)}\n  got      {_show(got, exact)}"
    else:
        kind = np.result_type(got, want, np.float64)  # booleans and unsigned numbers cannot be subtracted
        worst = np.unravel_index(np.argmax(np.where(close, 0, np.abs(got.astype(kind) - want.astype(kind)))), got.shape)
        place = "[" + ", ".join(str(int(i)) for i in worst) + "]"
        wanted, found = _told_apart(want[worst], got[worst])
        detail = (
            f"  {int((~close).sum())} of {got.size} values differ; the worst is at {place}: "
            f"expected {wanted}, got {found}"
        )
    pytest.fail(f"{message}\n{detail}", pytrace=False)


def assert_shape(actual: Any, shape: tuple[int, ...], message: str | None = None) -> None:
    """Fail with `message` (the check's docstring unless given) unless `actual` has exactly this shape."""
    __tracebackhide__ = True
    message = asked(message)
    got = tuple(getattr(actual, "shape", ())) if actual is not None else None
    if got != tuple(shape):
        what = "None: is a `return` missing?" if actual is None else f"shape {got}"
        pytest.fail(f"{message}\n  expected shape {tuple(shape)}, got {what}", pytrace=False)


def assert_refuses(call: Callable[[], Any], *named: str | float | tuple[int, ...], message: str | None = None) -> None:
    """Fail with `message` unless `call` raises a ValueError that names everything in `named`, in whatever words.

    Args:
        call: what should be refused.
        named: what the error must name: a word (or regular expression, case ignored), a number however it is
            written (2 may be `2` or `2.0`), or a shape.
        message: what was asked, in one sentence; the check's docstring unless given.
    """
    __tracebackhide__ = True
    message = asked(message)
    try:
        call()
    except ValueError as error:
        said = str(error)
    else:
        pytest.fail(f"{message}\n  expected a ValueError, and nothing was raised", pytrace=False)
    missing = [_word(thing) for thing in named if not _names(said, thing)]
    if missing:
        pytest.fail(f"{message}\n  the ValueError should name {' and '.join(missing)}; it said: {said}", pytrace=False)


def speed_ratio(slow: Callable[[], Any], fast: Callable[[], Any], *, repeats: int = 5) -> float:
    """The ratio of the times of `slow` and `fast`: a figure that survives a noisy machine.

    Processor time of this thread is counted, which does not pass while another has the processor. The two are timed
    in turn, so that a slow spell hits both, and each is judged by its best run, because noise only ever adds time.

    Args:
        slow: the call expected to take longer.
        fast: the call expected to be quicker; repeated until one sample lasts at least a millisecond.
        repeats: how many samples of each.
    """
    fast()
    inner, elapsed = 1, _seconds(fast, 1)
    while elapsed < 1e-3 and inner < 10_000:
        inner *= 4
        elapsed = _seconds(fast, inner)
    best_slow = best_fast = float("inf")
    for _ in range(repeats):
        best_slow = min(best_slow, _seconds(slow, 1))
        best_fast = min(best_fast, _seconds(fast, inner) / inner)
    return best_slow / max(best_fast, 1e-9)


def runs_python_lines(call: Callable[[], Any], limit: int) -> bool:
    """Whether `call` runs as many lines of Python as `limit`, each turn of a loop counted.

    That tells a loop from a few calls of NumPy on any machine, however busy.
    """
    lines = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        if lines < limit:
            return trace
        sys.settrace(None)  # not an exception: that would end the tracing in the name of the submission
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return lines >= limit


def _word(thing: str | float | tuple[int, ...]) -> str:
    """The expected text in a person's spelling, without the marks of a regular expression."""
    return re.sub(r"\\(.)", lambda mark: "" if mark[1] == "b" else mark[1], str(thing)).replace("|", " or ")


def _seconds(call: Callable[[], Any], times: int) -> float:
    start = CLOCK()
    for _ in range(times):
        call()
    return CLOCK() - start


def _names(text: str, thing: str | float | tuple[int, ...]) -> bool:
    if isinstance(thing, str):
        return re.search(thing, text, re.IGNORECASE) is not None
    if isinstance(thing, tuple):
        return str(thing).replace(" ", "") in text.replace(" ", "").replace("[", "(").replace("]", ")")
    numbers = [float(number) for number in NUMBER.findall(text)]
    return bool(np.isclose(numbers, thing, rtol=1e-12, atol=0, equal_nan=True).any())


def as_array(value: Any) -> np.ndarray:
    """A number, an array or a tensor as an array."""
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a torch tensor, without importing torch
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def _told_apart(want: Any, got: Any) -> tuple[str, str]:
    """Two numbers with as many digits as tell them apart."""
    if isinstance(want, np.bool_) or isinstance(got, np.bool_):
        return str(want), str(got)
    short = f"{want:.6g}", f"{got:.6g}"
    return short if short[0] != short[1] else (f"{want:.17g}", f"{got:.17g}")


def _looks_equal(want: np.ndarray, got: np.ndarray, differ: np.ndarray) -> bool:
    """Whether six decimals would show some values that differ as the same."""
    if got.dtype.kind not in "fc" and want.dtype.kind not in "fc":
        return False
    return bool((np.round(want, 6) == np.round(got, 6))[differ].any())


def _show(array: np.ndarray, exact: bool) -> str:
    """The array as text, of six decimals, or with all its digits."""
    digits: dict[str, Any] = {"floatmode": "unique"} if exact else {"precision": 6, "suppress_small": True}
    return np.array2string(array, separator=", ", **digits).replace("\n", "\n           ")
