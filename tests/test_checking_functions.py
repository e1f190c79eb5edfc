"""What any function owes: each ready check passes right code, and names the fault of code that breaks it."""

from __future__ import annotations

import numpy as np
import pytest

from groundup.checking import (
    assert_draws_from,
    assert_dtype_kept,
    assert_leading_axes,
    assert_nan_shown,
    assert_number_kinds,
    assert_order_free,
    assert_refuses_nonfinite,
    assert_refuses_values,
    assert_rows_alone,
    assert_steps,
    assert_unchanged,
    numerical_gradient,
)

ROWS = np.arange(12.0).reshape(4, 3)


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def accuracy(labels, predicted):
    return float(np.mean(np.asarray(labels) == np.asarray(predicted)))


def scaled(values, factor=2.0):
    """A good citizen."""
    array = np.asarray(values, dtype=float)
    if not np.isfinite(array).all():
        raise ValueError(f"values must be finite, got {array[~np.isfinite(array)][0]}.")
    return array * factor


def top(k):
    if k is None or isinstance(k, str | bool) or k < 1:
        raise ValueError(f"k must be at least 1, got {k!r}.")
    return k


def sorts_in_place(values):
    values.sort()
    return values[0]


def wraps(a, b=0):
    return np.asarray(a) - np.asarray(b)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (
            lambda: assert_unchanged(lambda values: np.sort(values), np.array([2.0, 1.0])),
            lambda: assert_unchanged(sorts_in_place, np.array([2.0, 1.0])),
            "The call changed `values`: it was array([2., 1.]), now it is array([1., 2.]). Work on a copy.",
        ),
        (
            lambda: assert_unchanged(lambda rows: [*rows, 1], [{"a": 1}]),
            lambda: assert_unchanged(lambda rows: rows[0].pop("a"), [{"a": 1}]),
            "The call changed `rows`: it was [{'a': 1}], now it is [{}]. Work on a copy.",
        ),
        (
            lambda: assert_unchanged(lambda values: values[:1].copy(), ROWS, own_result=True),
            lambda: assert_unchanged(lambda values: values[:1], ROWS, own_result=True),
            "The result is `values` itself, or a view of it: return a new array.",
        ),
        (
            lambda: assert_number_kinds(lambda a, b: np.subtract(a, b, dtype=float), [1, 5], [3, 2]),
            lambda: assert_number_kinds(wraps, [1, 5], [3, 2]),
            "Given as uint8:\n  expected [-2.,  3.]\n  got      [254,   3]",
        ),
        (
            lambda: assert_number_kinds(lambda a: np.sum(a), [1, 2]),
            lambda: assert_number_kinds(lambda a: a.sum() if isinstance(a, np.ndarray) else 0, [1, 2]),
            "Given as list:",
        ),
        (
            lambda: assert_number_kinds(lambda a: np.sort(a), [2, 1]),
            lambda: assert_number_kinds(
                lambda a: a.view(float) if a.flags.c_contiguous else a * 0, [2, 1], kinds=["strided"]
            ),
            "Given as strided:",
        ),
        (
            lambda: assert_dtype_kept(softmax, ROWS),
            lambda: assert_dtype_kept(lambda scores: softmax(scores.astype(float)), ROWS),
            "From float32 it made float64: keep the dtype of what comes in.",
        ),
        (
            lambda: assert_leading_axes(softmax, ROWS),
            lambda: assert_leading_axes(
                lambda scores: scores - scores.mean(axis=min(1, scores.ndim - 1), keepdims=True), ROWS
            ),
            "Leading axes (1, 4), each item as by itself:\n  expected [[[",
        ),
        (
            lambda: assert_leading_axes(lambda scores: (softmax(scores), scores.sum(axis=-1)), ROWS),
            lambda: assert_leading_axes(lambda scores: (softmax(scores), scores.squeeze().sum(axis=-1)), ROWS),
            "Leading axes (1, 4), each item as by itself [1]:\n  expected shape (1, 4), got shape (4,)",
        ),
        (
            lambda: assert_rows_alone(softmax, ROWS),
            lambda: assert_rows_alone(lambda rows: rows - rows.mean(axis=0), ROWS),
            "row 0 as a batch of one:\n  expected [[-4.5, -4.5, -4.5]]",
        ),
        (
            lambda: assert_rows_alone(lambda rows: np.array(["a", "b"])[(rows[:, 0] > 4).astype(int)], ROWS),
            lambda: assert_rows_alone(
                lambda rows: rows.sum(axis=1)[: max(1, len(rows))] if len(rows) else np.zeros(1), ROWS
            ),
            "an empty batch:\n  expected shape (0,), got shape (1,)",
        ),
        (
            lambda: assert_order_free(accuracy, [1, 0, 1], [1, 1, 1]),
            lambda: assert_order_free(
                lambda labels, scores: labels[np.argmax(scores)], np.array([1, 0, 1]), np.ones(3)
            ),
            "The same rows in the order [",
        ),
        (
            lambda: assert_nan_shown(np.mean, np.ones(3)),
            lambda: assert_nan_shown(lambda values: np.nanmean(values), np.ones(3)),
            "With a NaN in `values` it returned np.float64(1.0), in which there is none.",
        ),
        (
            lambda: assert_steps(lambda z: z > 0.5, 0.5, below=False, at=False, above=True),
            lambda: assert_steps(lambda z: z >= 0.5, 0.5, below=False, at=False, above=True),
            "exactly at 0.5:",
        ),
        (
            lambda: assert_refuses_values(top, r"\bk\b", 0, -1.5, None, "many", False),
            lambda: assert_refuses_values(lambda k: top(k) if k != "many" else 1, r"\bk\b", 0, "many"),
            "k='many'\n  expected a ValueError, and nothing was raised",
        ),
        (
            lambda: assert_refuses_values(top, "k", 0),
            lambda: assert_refuses_values(lambda k: top(0), "k", -3),
            "k=-3\n  the ValueError should name -3.0; it said: k must be at least 1, got 0.",
        ),
        (
            lambda: assert_refuses_nonfinite(scaled, ROWS, "values"),
            lambda: assert_refuses_nonfinite(
                lambda a: scaled(np.nan_to_num(a, nan=np.nan, posinf=np.inf, neginf=0.0)), ROWS, "values"
            ),
            "values with -inf in it:\n  expected a ValueError, and nothing was raised",
        ),
        (
            lambda: assert_draws_from(lambda rng: rng.normal(size=3)),
            lambda: assert_draws_from(lambda rng: np.random.default_rng(0).normal(size=3)),
            "Two draws from one generator are equal: does it make a generator of its own?",
        ),
        (
            lambda: assert_draws_from(lambda rng: (rng.normal(size=3), rng.permutation(5))),
            lambda: assert_draws_from(lambda rng: rng.normal(size=3) + 0 * np.random.random()),
            "It drew from NumPy's global random state, or seeded it.",
        ),
        (
            lambda: assert_draws_from(lambda rng: rng.normal(size=3)),
            lambda: assert_draws_from(lambda rng: np.random.default_rng().normal(size=3)),
            "Twice from the same state:",
        ),
    ],
)
def test_right_code_passes_and_wrong_code_is_told_what_it_does(right, wrong, message):
    """Asked."""
    right()
    with pytest.raises(pytest.fail.Exception) as failure:
        wrong()
    assert str(failure.value).startswith("Asked.\n  ")
    assert message in str(failure.value)


def test_tensors_are_taken_like_arrays():
    torch = pytest.importorskip("torch")
    rows = torch.arange(12.0).reshape(4, 3)
    function = torch.nn.functional.log_softmax
    assert_unchanged(lambda scores: function(scores, -1), rows, own_result=True)
    assert_dtype_kept(lambda scores: function(scores, -1), rows)
    assert_leading_axes(lambda scores: function(scores, -1), rows)
    assert_rows_alone(lambda scores: function(scores, -1), rows)
    assert_nan_shown(lambda scores: function(scores, -1), rows)
    with pytest.raises(pytest.fail.Exception, match="The call changed `scores`"):
        assert_unchanged(lambda scores: scores.clamp_(max=3), rows)
    with pytest.raises(pytest.fail.Exception, match="From float64 it made float32"):
        assert_dtype_kept(lambda scores: scores.float(), rows)


def test_the_numerical_gradient_is_that_of_a_known_function():
    point = np.array([[1.0, -2.0], [0.5, 3.0]])
    np.testing.assert_allclose(numerical_gradient(lambda x: (x**3).sum(), point), 3 * point**2, rtol=1e-6)
    assert numerical_gradient(lambda x: x**2, 3.0) == pytest.approx(6.0)
