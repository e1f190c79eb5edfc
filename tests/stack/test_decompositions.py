"""`bedrock/decompositions`: LAPACK at sizes that checks do not reach, exact arithmetic, and what costs digits."""

import mpmath
import numpy as np
import pytest
from scipy import linalg

from groundup.stack.bedrock.decompositions import (
    EPS,
    least_squares,
    low_rank,
    power_iteration,
    qr,
    rank_for,
    subspace_iteration,
    svd,
    symmetric_eigen,
)


@pytest.mark.parametrize("shape", [(60, 60), (90, 31), (20, 75)])
def test_factors_are_lapacks_to_a_few_roundings(shape):
    rng = np.random.default_rng(0)
    A = rng.normal(size=shape)
    size = float(np.linalg.norm(A, 2))
    Q, R = qr(A)
    assert np.abs(Q @ R - A).max() < 20 * EPS * size
    assert np.abs(Q.T @ Q - np.eye(len(R))).max() < 20 * EPS
    left, values, right = svd(A)
    np.testing.assert_allclose(values, linalg.svd(A, compute_uv=False), rtol=1e-13, atol=1e-13 * size)
    assert np.abs(left * values @ right - A).max() < 50 * EPS * size
    for columns in (left, right.T):
        assert np.abs(columns.T @ columns - np.eye(len(values))).max() < 50 * EPS
    S = A @ A.T
    np.testing.assert_allclose(symmetric_eigen(S)[0], linalg.eigvalsh(S)[::-1], atol=1e-12 * size**2)


def test_small_singular_values_have_all_their_digits():
    """Against 80 digits: each value is right to 1e-14, where LAPACK's errors exceed the smallest value."""
    rng = np.random.default_rng(1)
    A = rng.normal(size=(5, 4)) * 10.0 ** np.array([-12, 0, -24, -6])
    with mpmath.workdps(80):
        exact = np.array([float(x) for x in mpmath.svd_r(mpmath.matrix(A.tolist()), compute_uv=False)])
    np.testing.assert_allclose(svd(A).values, exact, rtol=1e-14)
    assert abs(linalg.svd(A, compute_uv=False)[-1] / exact[-1] - 1) > 1e-3


def test_columns_that_depend_on_each_other_come_to_an_end():
    """A matrix of rank 3 with 30 columns: values of 0 by any measure, and perpendicular vectors all the same."""
    rng = np.random.default_rng(2)
    A = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 30))
    left, values, right = svd(A)
    assert values[3:].max() < 1e-14 * values[0]
    assert np.abs(left.T @ left - np.eye(30)).max() < 1e-13
    assert np.abs(right @ right.T - np.eye(30)).max() < 1e-13


def test_leading_pairs_agree_with_the_whole_decomposition():
    rng = np.random.default_rng(3)
    Q = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    truth = np.concatenate([[10.0, -8.0, 6.0], np.linspace(2, -2, 37)])
    S = Q * truth @ Q.T
    values, vectors = subspace_iteration(S, 3, rng)
    np.testing.assert_allclose(values, truth[:3], rtol=1e-10)
    np.testing.assert_allclose(S @ vectors, vectors * values, atol=1e-6)
    single = power_iteration(S, rng.normal(size=40))
    assert single.value == pytest.approx(10.0, rel=1e-12)
    with pytest.raises(ValueError, match="count must be from 1 to 40, the side of the matrix, got 41"):
        subspace_iteration(S, 41, rng)


def test_qr_keeps_digits_that_the_normal_equations_lose():
    X = np.vander(np.linspace(0, 1, 20), 10)
    truth = np.ones(10)
    by_squares = np.linalg.solve(X.T @ X, X.T @ (X @ truth))
    assert np.abs(least_squares(X, X @ truth) - truth).max() < np.abs(by_squares - truth).max() / 1e3
    with pytest.raises(ValueError, match="matrix must have independent columns"):
        least_squares(np.ones((3, 2)), np.ones(3))


def test_the_rank_is_the_smallest_that_holds_the_error():
    A = np.random.default_rng(4).normal(size=(12, 9))
    for error in (0.9, 0.5, 0.2, 0.0):
        rank = rank_for(svd(A).values, error)
        found = [np.linalg.norm(A - low_rank(A, k)) / np.linalg.norm(A) for k in range(10)]
        assert found[rank] <= error + 1e-14
        assert rank == 0 or found[rank - 1] > error


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: qr([1.0, 2.0]), r"matrix must have two axes and at least one entry, got the shape \(2,\)"),
        (lambda: svd([[1.0, np.nan]]), "matrix must be finite, got nan"),
        (lambda: symmetric_eigen([[1.0, 2.0]]), r"matrix must be square, got the shape \(1, 2\). See svd"),
        (lambda: symmetric_eigen([[1.0, 2.0], [3.0, 4.0]]), "matrix must be symmetric, got entries that differ by 1.0"),
        (lambda: power_iteration(np.eye(2), [0, 0]), "start must be finite, not all 0, and of shape"),
        (lambda: low_rank(np.eye(2), 3), "rank must be a whole number from 0 to 2, got 3"),
    ],
)
def test_messages_name_parameter_rule_and_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()
