"""The difference between a function and the reference, without a known mistake: facts of one run, in a few words."""

from __future__ import annotations

from typing import Any

import numpy as np

from groundup.course.grader.observe import Observation, same


def contrast(mine: Observation, right: Observation, target: str) -> str:
    """The difference of the first call of `target` that differs from the reference's; empty without words for it.

    Args:
        mine: a check that saw the learner's code.
        right: the same check with the reference in the place of `target`.
        target: the function.
    """
    if not mine.calls or not right.calls:
        return ""
    for (name, value, arguments), (other, wanted, left) in zip(mine.calls[0], right.calls[0], strict=False):
        if name != other:
            return ""
        if same(value, wanted) and same(arguments, left):
            continue
        if name != target:
            return ""
        if same(value, wanted):
            return "it changes its arguments"
        passed = left[1] if left[0] == "list" else []
        return _values(
            _numbers(value), _numbers(wanted), [number for d in passed if (number := _numbers(d)) is not None]
        )
    return ""


def _numbers(digest: Any) -> np.ndarray | None:
    """The array or number in a digest."""
    kind = digest[0] if isinstance(digest, tuple) and digest else ""
    if kind in ("array", "tensor"):
        return digest[-1] if digest[-1].dtype.kind in "biufc" else None
    return np.asarray(digest[1]) if kind == "number" else None


def _values(mine: np.ndarray | None, right: np.ndarray | None, given: list[np.ndarray]) -> str:
    if mine is None or right is None:
        return ""
    if mine.shape != right.shape:
        return f"it returns the shape {mine.shape}, and the reference {right.shape}"
    if mine.size == 0:
        return ""
    close = np.isclose(mine, right, rtol=1e-6, atol=1e-12, equal_nan=True)
    if close.all():
        if mine.dtype != right.dtype:
            return f"its values are right, but of {mine.dtype}, and the reference's are of {right.dtype}"
        return ""
    if mine.dtype.kind in "fc" and (np.isnan(mine) & ~np.isnan(right)).any():
        return "it returns NaN where the reference has a number"
    if mine.ndim and (where := _where(~close, given)):
        return f"its values are right except where {where}"
    if mine.dtype.kind == right.dtype.kind == "b":
        return f"{int((~close).sum())} of its {mine.size} values are inverted" if mine.size > 1 else ""
    if mine.ndim and len(mine) > 2:  # of two rows, one is right by accident often enough
        rows = np.asarray(close.reshape(len(mine), -1).all(axis=1))
        if rows[0] and not rows[1:].any():
            return "only its first row is right" if mine.ndim > 1 else "only its first value is right"
    if np.isclose(mine, -right, rtol=1e-6, atol=1e-12).all():
        return "its sign is wrong"
    return _regular(mine, right)


def _where(wrong: np.ndarray, given: list[np.ndarray]) -> str:
    """The common property of the arguments at the places of the wrong values."""
    scalars = [array.item() for array in given if array.ndim == 0]
    for array in given:
        if array.shape != wrong.shape and array.shape != wrong.shape[:1]:
            continue
        places = wrong if array.shape == wrong.shape else np.asarray(wrong.reshape(len(wrong), -1).any(axis=1))
        if array.dtype.kind == "b":
            for flag in (False, True):
                if _all_among(places, np.asarray(array == flag)):
                    return f"the mask is {flag}"
            continue
        for threshold in scalars:
            if _all_among(places, np.asarray(array == threshold)):
                return f"a value is {threshold:g} itself"
        if array.ndim == 1 and _all_among(places, _repeated(array)):
            return "values are equal"
    return ""


def _repeated(array: np.ndarray) -> np.ndarray:
    """A mask of repeated values."""
    _, places, counts = np.unique(array, return_inverse=True, return_counts=True)
    return np.asarray(counts[places.ravel()] > 1)


def _all_among(places: np.ndarray, among: np.ndarray) -> bool:
    """Whether these places are all among others, and are most of them, and these are not simply everywhere."""
    return bool(2 * places.sum() > among.sum() and not (places & ~among).any() and not among.all())


def _regular(mine: np.ndarray, right: np.ndarray) -> str:
    """A constant factor or difference between several values."""
    if not (np.isfinite(mine).all() and np.isfinite(right).all()) or (right == right.flat[0]).all():
        return ""  # of equal values a factor is a difference as well
    values = "its values are "
    difference = mine.astype(complex) - right
    if abs(difference.flat[0]) > 0 and np.isclose(difference, difference.flat[0], rtol=1e-6).all():
        amount = difference.flat[0]
        return f"{values}all {abs(amount):.4g} too {'large' if amount.real > 0 else 'small'}" if not amount.imag else ""
    if (right != 0).all():
        ratio = mine / right
        if np.isclose(ratio, ratio.flat[0], rtol=1e-6).all() and ratio.flat[0] > 0:
            return f"{values}all {ratio.flat[0]:.4g} times the reference's"
    return ""
