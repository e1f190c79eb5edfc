"""Ready checks for any function: one line each in a unit's checks.

Each takes the learner's function first, and then its arguments. Several results (a tuple, a dict) are compared one by
one.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import pytest

from groundup.checking.assertions import as_array, asked, assert_close, assert_refuses

KINDS = ("list", "int64", "uint8", "float32", "strided", "read-only")


def assert_unchanged(
    function: Callable[..., Any], *arguments: Any, own_result: bool = False, message: str | None = None
) -> None:
    """Fail unless `function(*arguments)` leaves every argument as it was.

    Args:
        function: what is called.
        arguments: arrays, tensors, lists, dicts: what it is called with.
        own_result: fail as well where the result shares memory with an argument.
        message: what was asked; the check's docstring unless given.
    """
    __tracebackhide__ = True
    before = [copy.deepcopy(argument) for argument in arguments]
    result = function(*arguments)
    for name, now, then in zip(_names_of(function, len(arguments)), arguments, before, strict=True):
        if not _identical(now, then):
            _fail(message, f"The call changed {name}: it was {_short(then)}, now it is {_short(now)}. Work on a copy.")
        if own_result:
            pairs = [(a, b) for _, a in _leaves(result) for _, b in _leaves(now)]
            if any(np.shares_memory(as_array(a), as_array(b)) for a, b in pairs):
                _fail(message, f"The result is {name} itself, or a view of it: return a new array.")


def assert_number_kinds(
    function: Callable[..., Any],
    *arrays: Any,
    kinds: Sequence[str] = KINDS,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    message: str | None = None,
) -> None:
    """Fail unless lists, integers, unsigned integers, float32, views and read-only arrays give what float64 gives.

    Args:
        function: what is called.
        arrays: small whole numbers, from 0 up where `uint8` is tried, so that each kind can hold them. Give some of
            which the difference is negative: unsigned integers wrap around there.
        kinds: which of `KINDS` are tried; where there are several arrays, they are mixed with float64 as well.
        rtol: relative tolerance.
        atol: absolute tolerance.
        message: what was asked; the check's docstring unless given.
    """
    __tracebackhide__ = True
    numbers = [np.array(array, dtype=float) for array in arrays]
    expected = function(*(array.copy() for array in numbers))
    for kind in kinds:
        others = [_of_kind(array, kind) for array in numbers]
        _compare(function(*others), expected, f"{asked(message)}\n  Given as {kind}:", rtol, atol)
        if len(arrays) > 1:
            mixed = [others[0], *(array.copy() for array in numbers[1:])]
            _compare(function(*mixed), expected, f"{asked(message)}\n  The first as {kind}:", rtol, atol)


def assert_dtype_kept(
    function: Callable[..., Any],
    *arrays: Any,
    dtypes: Sequence[str] = ("float32", "float64"),
    message: str | None = None,
) -> None:
    """Fail unless floating arrays (or tensors) of each dtype give results of that dtype.

    Arguments that are not floating, such as labels, stay as they are.
    """
    __tracebackhide__ = True
    for dtype in dtypes:
        result = function(*(_with_dtype(array, dtype) for array in arrays))
        for place, leaf in _leaves(result):
            kind = str(getattr(leaf, "dtype", type(leaf).__name__)).removeprefix("torch.")
            if kind != dtype:
                _fail(message, f"From {dtype} it made {kind}{place}: keep the dtype of what comes in.")


def assert_leading_axes(
    function: Callable[..., Any], *arrays: Any, rtol: float = 1e-6, atol: float = 1e-9, message: str | None = None
) -> None:
    """Fail unless `function` treats any axes in front as it treats one item: none, one, several, of length 1 and 0.

    Args:
        function: what is called; give what is shared by all items to it beforehand, with a lambda.
        arrays: arrays or tensors with one leading axis, of the same length of at least 2 in all.
        rtol: relative tolerance.
        atol: absolute tolerance.
        message: what was asked; the check's docstring unless given.
    """
    __tracebackhide__ = True
    count = len(arrays[0])
    single = [function(*(array[number] for array in arrays)) for number in range(count)]
    for lead in ((count,), (1, count), (count, 1), (0,), (0, 2)):
        kept = 0 if 0 in lead else count
        result = function(*(array[:kept].reshape(lead + tuple(array.shape[1:])) for array in arrays))
        for (place, got), *parts in zip(_leaves(result), *map(_leaves, single), strict=True):
            items = np.stack([as_array(part) for _, part in parts])
            want = items[:kept].reshape(lead + items.shape[1:])
            text = f"{asked(message)}\n  Leading axes {lead}, each item as by itself{place}:"
            assert_close(got, want, text, rtol=rtol, atol=atol)


def assert_rows_alone(
    function: Callable[..., Any],
    *arrays: Any,
    empty: bool = True,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    message: str | None = None,
) -> None:
    """Fail unless each row's result depends on that row alone: in a batch of one, in another order, in an empty batch.

    Args:
        function: gives a result for each row, in the order of the rows.
        arrays: arrays or tensors of the same length, at least 2.
        empty: whether an empty batch gives an empty result; False where it is refused.
        rtol: relative tolerance.
        atol: absolute tolerance.
        message: what was asked; the check's docstring unless given.
    """
    __tracebackhide__ = True
    count = len(arrays[0])
    whole = function(*arrays)
    reverse = list(range(count))[::-1]
    cases = [([0], "row 0 as a batch of one"), ([count - 1], f"row {count - 1} as a batch of one")]
    cases += [(reverse, "the rows in reverse"), (list(range(count - 1)), "without the last row")]
    cases += [([], "an empty batch")] if empty else []
    for rows, case in cases:
        result = function(*(array[rows] if rows else array[:0] for array in arrays))
        for (place, got), (_, want) in zip(_leaves(result), _leaves(whole), strict=True):
            expected = as_array(want)[rows] if rows else as_array(want)[:0]
            _compare_leaf(got, expected, f"{asked(message)}\n  {case}{place}:", rtol, atol)


def assert_order_free(
    function: Callable[..., Any], *arrays: Any, rtol: float = 1e-9, atol: float = 1e-12, message: str | None = None
) -> None:
    """Fail unless the result stays the same when the rows of all arrays are put in another order.

    Give it ties: what sorts must not let their order decide.
    """
    __tracebackhide__ = True
    expected = function(*arrays)
    count = len(arrays[0])
    if count <= 4:
        orders = [list(order) for order in itertools.permutations(range(count))]
    else:
        drawn = [np.random.default_rng(seed).permutation(count).tolist() for seed in range(4)]
        orders = [list(range(count))[::-1], [*range(1, count), 0], *drawn]
    for order in orders:
        result = function(*(array[order] if hasattr(array, "shape") else [array[i] for i in order] for array in arrays))
        text = f"{asked(message)}\n  The same rows in the order {order if count <= 12 else 'of another draw'}:"
        _compare(result, expected, text, rtol, atol)


def assert_nan_shown(function: Callable[..., Any], *arrays: Any, message: str | None = None) -> None:
    """Fail unless a not-a-number in any floating array comes out as not-a-number: hiding it hides a broken run."""
    __tracebackhide__ = True
    names = _names_of(function, len(arrays))
    for number, array in enumerate(arrays):
        if as_array(array).dtype.kind != "f":
            continue
        broken = _with_value(array, np.nan)
        with np.errstate(all="ignore"):
            result = function(*(broken if k == number else copy.deepcopy(a) for k, a in enumerate(arrays)))
        if not any(np.isnan(as_array(leaf)).any() for _, leaf in _leaves(result)):
            _fail(message, f"With a NaN in {names[number]} it returned {_short(result)}, in which there is none.")


def assert_steps(
    function: Callable[[float], Any],
    threshold: float,
    *,
    below: Any,
    at: Any,
    above: Any,
    message: str | None = None,
) -> None:
    """Fail unless `function` gives these at a threshold, at the float just below it and at the one just above it."""
    __tracebackhide__ = True
    places = (
        ("just below", np.nextafter(threshold, -np.inf), below),
        ("exactly at", threshold, at),
        ("just above", np.nextafter(threshold, np.inf), above),
    )
    for place, number, expected in places:
        _compare(function(float(number)), expected, f"{asked(message)}\n  {place} {threshold:g}:", 1e-9, 1e-12)


def assert_refuses_values(call: Callable[[Any], Any], name: str, *values: Any, message: str | None = None) -> None:
    """Fail unless `call(value)` raises, for each value, a ValueError that names the parameter and the value.

    Args:
        call: what should refuse the value.
        name: the parameter, as a word or a regular expression.
        values: numbers and texts, which must be in the error as well; of anything else the parameter will do.
        message: what was asked; the check's docstring unless given.
    """
    __tracebackhide__ = True
    for value in values:
        named: list[Any] = [name]
        if isinstance(value, str):
            named.append(re.escape(value))
        elif isinstance(value, int | float | np.number) and not isinstance(value, bool):
            named.append(float(value))
        elif value is None or isinstance(value, bool):
            named.append(str(value))
        assert_refuses(
            lambda value=value: call(value), *named, message=f"{asked(message)}\n  {_word(name)}={_short(value)}"
        )


def assert_refuses_nonfinite(call: Callable[[Any], Any], array: Any, name: str, *, message: str | None = None) -> None:
    """Fail unless `call` refuses `array` with a NaN or an infinity of either sign in it, naming parameter and value."""
    __tracebackhide__ = True
    for value in (np.nan, np.inf, -np.inf):
        broken = _with_value(array, value)
        text = f"{asked(message)}\n  {_word(name)} with {value} in it:"
        assert_refuses(lambda broken=broken: call(broken), name, value, message=text)


def assert_draws_from(function: Callable[[np.random.Generator], Any], *, message: str | None = None) -> None:
    """Fail unless `function(rng)` draws from that generator only.

    The same state gives the same result, the next draw another, and NumPy's global state is neither used nor seeded.
    """
    __tracebackhide__ = True
    state = _global_state()
    generator = np.random.default_rng(3)
    first, second = function(generator), function(generator)
    _compare(function(np.random.default_rng(3)), first, f"{asked(message)}\n  Twice from the same state:", 0, 0)
    if all(_identical(a, b) for (_, a), (_, b) in zip(_leaves(first), _leaves(second), strict=True)):
        _fail(message, "Two draws from one generator are equal: does it make a generator of its own?")
    if _global_state() != state:
        _fail(message, "It drew from NumPy's global random state, or seeded it. Use the generator that is given.")


def numerical_gradient(function: Callable[[np.ndarray], Any], point: Any, step: float = 1e-6) -> np.ndarray:
    """Central differences of a scalar function at a point of any shape: the reference for a gradient."""
    point = np.array(point, dtype=float)
    gradient = np.zeros_like(point)
    for index in np.ndindex(point.shape):
        shift = np.zeros_like(point)
        shift[index] = step
        gradient[index] = (float(function(point + shift)) - float(function(point - shift))) / (2 * step)
    return gradient


# --- arguments -----------------------------------------------------------------------------------------------


def _names_of(function: Callable[..., Any], count: int) -> list[str]:
    """The names of the first parameters, for messages."""
    try:
        names = [f"`{name}`" for name in inspect.signature(function).parameters]
    except (TypeError, ValueError):
        names = []
    return names[:count] if len(names) >= count else [f"argument {number + 1}" for number in range(count)]


def _of_kind(array: np.ndarray, kind: str) -> Any:
    if kind == "list":
        return array.tolist()
    if kind == "strided":  # every second of twice as many, which is no block of memory
        twice = np.repeat(array, 2, axis=-1) if array.ndim else array
        return twice[..., ::2] if array.ndim else array
    if kind == "read-only":
        frozen = array.copy()
        frozen.setflags(write=False)
        return frozen
    return array.astype(kind)


def _with_dtype(array: Any, dtype: str) -> Any:
    if hasattr(array, "is_floating_point"):
        import torch

        return array.to(getattr(torch, dtype)) if array.is_floating_point() else array
    return array.astype(dtype) if np.asarray(array).dtype.kind == "f" else array


def _with_value(array: Any, value: float) -> Any:
    """A copy with the value in its middle."""
    broken = array.clone() if hasattr(array, "detach") else np.array(array, dtype=float)
    broken[np.unravel_index(broken.reshape(-1).shape[0] // 2, tuple(broken.shape))] = value
    return broken


def _global_state() -> Any:
    kind, keys, *rest = np.random.get_state(legacy=True)
    return kind, np.asarray(keys).tolist(), *rest


# --- results -------------------------------------------------------------------------------------------------


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The single values of a result, each with its place in it, for messages."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, f"{place} [{key!r}]")
    elif isinstance(value, tuple) or (isinstance(value, list) and any(hasattr(part, "shape") for part in value)):
        for number, part in enumerate(value):
            yield from _leaves(part, f"{place} [{number}]")
    else:
        yield place, value


def _compare(actual: Any, expected: Any, message: str, rtol: float, atol: float) -> None:
    __tracebackhide__ = True
    got, want = list(_leaves(actual)), list(_leaves(expected))
    if [place for place, _ in got] != [place for place, _ in want]:
        pytest.fail(f"{message}\n  expected {_short(expected)}, got {_short(actual)}", pytrace=False)
    for (place, value), (_, other) in zip(got, want, strict=True):
        _compare_leaf(value, other, f"{message.removesuffix(':')}{place}:" if place else message, rtol, atol)


def _compare_leaf(actual: Any, expected: Any, message: str, rtol: float, atol: float) -> None:
    __tracebackhide__ = True
    if as_array(expected).dtype.kind in "biufc":
        assert_close(actual, expected, message, rtol=rtol, atol=atol)
    elif not _identical(actual, expected):
        pytest.fail(f"{message}\n  expected {_short(expected)}, got {_short(actual)}", pytrace=False)


def _identical(a: Any, b: Any) -> bool:
    """Whether two values are equal to the last bit, NaN equal to NaN, and of the same type and dtype."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_identical(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return isinstance(b, list | tuple) and len(a) == len(b) and all(map(_identical, a, b))
    x, y = as_array(a), as_array(b)
    if x.dtype != y.dtype or x.shape != y.shape:
        return False
    return bool(np.array_equal(x, y, equal_nan=x.dtype.kind in "fc"))


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}…"


def _word(name: str) -> str:
    return name.replace(r"\b", "")


def _fail(message: str | None, detail: str) -> NoReturn:
    __tracebackhide__ = True
    pytest.fail(f"{asked(message)}\n  {detail}", pytrace=False)
