"""Checks of decompositions."""

from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from groundup.checking import (
    assert_close,
    assert_number_kinds,
    assert_refuses,
    assert_refuses_nonfinite,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
    runs_python_lines,
)
from groundup.stack.bedrock.decompositions import (
    EPS,
    least_squares,
    low_rank,
    power_iteration,
    qr,
    rank_for,
    rotation,
    subspace_iteration,
    svd,
    symmetric_eigen,
)

exactly = partial(assert_close, rtol=1e-12, atol=1e-12)
SHAPES = [(1, 1), (5, 5), (7, 4), (3, 8), (1, 4), (6, 1)]
WITH_AN_AXIS = np.array([[1.0, 2, 0, 0], [0, 1, 3, 0], [1, 0, 1, 0], [0, 0, 0, 2]])  # the last column stands alone
S = np.array([[2.0, 1.0], [1.0, 2.0]])  # stretches (1, 1) by 3 and (1, -1) by 1


def assert_perpendicular(columns, message=None):
    """Fail unless the columns have length 1 and are perpendicular to each other."""
    exactly(columns.T @ columns, np.eye(columns.shape[1]), message, atol=1e-13)


def turned(values, rng):
    """A symmetric matrix with these eigenvalues, turned at random."""
    Q = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
    return Q * values @ Q.T


def graded(rng, n=4):
    """Columns of like directions and lengths that differ by powers of 2, so that each entry stays exact."""
    return (rng.integers(-9, 10, (n, n)) + 12 * np.eye(n)) * 2.0 ** np.array([-90, 0, -30, -60])[:n]


def determinant(matrix):
    """The size of the determinant, exactly: by elimination on fractions."""
    rows, product = [[Fraction(float(x)) for x in row] for row in matrix], Fraction(1)
    while rows:
        pivot = rows.pop(next(i for i, row in enumerate(rows) if row[0]))
        product *= abs(pivot[0])
        rows = [[x - row[0] / pivot[0] * y for x, y in zip(row[1:], pivot[1:], strict=True)] for row in rows]
    return product


# --- QR -------------------------------------------------------------------------------------------------------------


def test_qr_by_hand():
    """(3, 4) has the length 5; (1, 2) goes 11/5 along it and 2/5 across."""
    Q, R = qr([[3, 1], [4, 2]])
    exactly(R, [[5, 2.2], [0, 0.4]], "R")
    exactly(Q, [[0.6, -0.8], [0.8, 0.6]], "Q")


def test_qr_is_lapacks(rng):
    """Up to the signs it is LAPACK's, for square, tall and wide matrices, with a diagonal of R that is not negative."""
    for shape in SHAPES:
        A = rng.normal(size=shape)
        Q, R = qr(A)
        theirs = np.linalg.qr(A)
        signs = np.where(np.diagonal(theirs[1]) < 0, -1.0, 1.0)
        exactly(Q, theirs[0] * signs, f"Q of shape {shape}")
        exactly(R, theirs[1] * signs[:, None], f"R of shape {shape}")
        assert (R.diagonal() >= 0).all(), "the diagonal of R must not be negative"
        exactly(np.tril(R, -1), np.zeros(R.shape), "below the diagonal R is exactly 0", atol=0)


def test_qr_stays_perpendicular():
    """Columns that are parallel but for 1e-9 still give perpendicular columns; Gram–Schmidt's would be far from it."""
    nearly = np.vstack([np.ones(5), 1e-9 * np.eye(5)])
    Q, R = qr(nearly)
    assert_perpendicular(Q)
    exactly(Q @ R, nearly, atol=1e-15)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e-200, 1e200])
def test_qr_of_dependent_columns_of_any_scale(scale, rng):
    """Q is perpendicular where columns are zeros or copies, and squares neither over- nor underflow."""
    column = rng.normal(size=(6, 1))
    A = scale * np.hstack([np.zeros((6, 1)), column, column, rng.normal(size=(6, 1))])
    Q, R = qr(A)
    assert_perpendicular(Q)
    exactly(Q @ R / (scale or 1.0), A / (scale or 1.0))


def test_qr_of_an_axis():
    """A column that lies on its axis already, forwards or backwards, has nothing to cancel."""
    Q, R = qr([[-2.0, 1e-30], [0.0, 1.0]])
    exactly(R, [[2, 0], [0, 1]], "R")
    exactly(Q, [[-1, 0], [0, 1]], "Q")


def test_qr_keeps_its_manners():
    """Lists, integers and float32 will do, and what is given stays as it is."""
    assert_number_kinds(qr, [[3, 1], [4, 2], [0, 5]])
    assert_unchanged(qr, np.array([[3.0, 1.0], [4.0, 2.0]]), own_result=True)


@pytest.mark.parametrize("call", [qr, svd, partial(low_rank, rank=1)])
def test_what_is_no_matrix_is_refused(call):
    """NaN, infinities, other than two axes, and no entries are refused by the name matrix."""
    assert_refuses_nonfinite(call, np.eye(2), "matrix")
    assert_refuses(lambda: call([1.0, 2.0]), "matrix", (2,))
    assert_refuses(lambda: call(np.zeros((0, 3))), "matrix", (0, 3))


# --- power iteration ------------------------------------------------------------------------------------------------


def test_power_iteration_by_hand():
    """From (1, 0) by [[2, 1], [1, 2]]: values 2, then 2.8; the next v is (2, 1), then (5, 4)."""
    exactly(power_iteration(S, [1, 0], most=1).value, 2.0, "first value")
    exactly(power_iteration(S, [1, 0], most=1).vector, [1, 0], "the first value is that of the start")
    second = power_iteration(S, [1, 0], most=2)
    exactly(second.value, 2.8, "second value")
    exactly(second.vector, np.array([2, 1]) / np.sqrt(5), "second vector")
    exactly(power_iteration(S, [1, 0], most=3).vector, np.array([5, 4]) / np.sqrt(41), "third vector")
    exactly(power_iteration(S, [-7, 0], most=2).value, 2.8, "the length of the start does not matter")


def test_power_iteration_is_lapacks(rng):
    """It finds the eigenvalue of the largest size, with its sign, and its vector, of length 1."""
    for values in ([5, 3, 1, -2], [-6, 5, 1, 0], [1e-9, 2e-10], [7.0]):
        A = turned(np.array(values, dtype=float), rng)
        found = power_iteration(A, rng.normal(size=len(A)))
        assert_close(found.value, values[0], "value", rtol=1e-9)
        theirs = np.linalg.eigh(A)[1][:, np.argmax(np.abs(np.linalg.eigvalsh(A)))]
        exactly(abs(found.vector @ theirs), 1.0, "vector", rtol=1e-9)
        exactly(found.vector @ found.vector, 1.0, "length")


def test_power_iteration_stops_when_it_is_there():
    """Products are counted: one from an eigenvector, one of zeros, and by hand four until a sixth is left over."""
    assert power_iteration(S, [1, 1]).products == 1, "from an eigenvector one product suffices"
    assert power_iteration(-S, [3, 3]).products == 1, "also where the value is negative"
    assert power_iteration(np.zeros((2, 2)), [1, 1]).products == 1, "a matrix of zeros"
    # (1, 0) = ((1, 1) + (1, -1)) / 2. After k products the parts are 3ᵏ : 1, from which the ratio follows.
    ratios = [2 * 3.0**k / np.sqrt((9.0**k + 1) * (9.0 ** (k + 1) + 1)) for k in range(6)]
    for k, ratio in enumerate(ratios):
        assert power_iteration(S, [1, 0], tolerance=ratio * 1.001).products == k + 1, f"tolerance {ratio:.4f}"
    assert power_iteration(S, [1, 0], tolerance=0.0, most=9).products == 9, "at most so many"


def test_power_iteration_needs_few_products_where_the_gap_is_wide(rng):
    """Each product shrinks the rest by the ratio of the two largest values: defaults reach ten digits and no more."""
    wide, narrow = (power_iteration(np.diag([1.0, ratio]), [1, 1]).products for ratio in (0.1, 0.9))
    assert wide == 11, f"ratio 0.1 takes a product a digit and one to see it, got {wide}"
    assert 195 <= narrow <= 205, (
        f"ratio 0.9 takes about 10 / log10(1 / 0.9) = 219 less 22 for the factor 0.1, got {narrow}"
    )
    tied = power_iteration(np.diag([1.0, -1.0]), [1, 2])
    assert tied.products == 1_000, "values of the same size and opposite signs never settle: 1,000 products"


def test_power_iteration_refuses():
    """A matrix that is not symmetric, a start that leads nowhere, a tolerance below 0, and no products."""
    assert_refuses(lambda: power_iteration([[1, 2], [3, 4]], [1, 0]), "matrix", 1)
    assert_refuses(lambda: power_iteration([[1, 2, 3]], [1, 0, 0]), "matrix", (1, 3))
    assert_refuses(lambda: power_iteration(S, [1, 0, 0]), "start", (3,))
    assert_refuses(lambda: power_iteration(S, [0.0, 0.0]), "start", 0.0)
    assert_refuses_values(lambda value: power_iteration(S, [1, 0], value), "tolerance", -1e-3, np.nan)
    assert_refuses_values(lambda value: power_iteration(S, [1, 0], most=value), "most", 0, -2)
    assert_unchanged(lambda A, v: power_iteration(A, v).vector, S, np.array([3.0, 1.0]), own_result=True)


# --- rotations and eigenvalues --------------------------------------------------------------------------------------


def test_rotation_by_hand():
    """[[1, 2], [2, 4]] has d = 3 and the tangent 4 / (3 + 5) = 1/2, equal diagonals turn by 45°, none by 0°."""
    exactly(rotation(1, 2, 4), np.array([2, 1]) / np.sqrt(5))
    exactly(rotation(4, 2, 1), np.array([2, -1]) / np.sqrt(5), "the other way")
    exactly(np.abs(rotation(3, -2, 3)), np.sqrt([0.5, 0.5]), "equal diagonals")
    exactly(rotation([1, 5, 0], [0, 0, 0], [2, 5, 0]), [[1, 1, 1], [0, 0, 0]], "nothing off the diagonal", atol=0)


def test_rotation_makes_diagonal(rng):
    """Off the diagonal 0 is left, the cosine is at least √½, and arrays are turned entry by entry."""
    a, b, c = rng.normal(size=(3, 4, 50))
    cosine, sine = rotation(a, b, c)
    assert_shape(cosine, (4, 50))
    exactly(cosine**2 + sine**2, np.ones((4, 50)), "a turn")
    exactly(cosine * sine * (a - c) + (cosine**2 - sine**2) * b, np.zeros((4, 50)), "off the diagonal")
    assert (cosine >= np.sqrt(0.5) - 1e-15).all(), "turns are of at most 45°"
    assert_number_kinds(rotation, [1, 4], [2, 1], [4, 1])


def test_rotation_of_extremes():
    """A tiny entry gives a tiny sine, with all its digits; a huge one overflows nothing."""
    exactly(rotation(1.0, 1e-20, 3.0)[1] * 1e20, 0.5, "1e-20 / 2")
    exactly(rotation(1.0, 1e200, 3.0), np.sqrt([0.5, 0.5]), "45° at most")
    exactly(rotation(*np.array([1, 3e38, 3], dtype=np.float32)), np.sqrt([0.5, 0.5]), "nearly the largest float32")


def test_symmetric_eigen_by_hand():
    """[[2, 1], [1, 2]] stretches (1, 1) by 3 and (1, -1) by 1."""
    values, vectors = symmetric_eigen(S)
    exactly(values, [3, 1])
    exactly(np.abs(vectors), np.full((2, 2), np.sqrt(0.5)), "vectors")
    exactly(vectors[:, 0] @ [1, -1], 0.0, "the first lies along (1, 1)")
    exactly(symmetric_eigen([[2, -1], [-1, 2]])[0], [3, 1], "a negative entry off the diagonal")


def test_symmetric_eigen_is_lapacks(rng):
    """Values as LAPACK's, but descending, with perpendicular vectors that give the matrix back; even and odd sides."""
    for n in (1, 2, 5, 8):
        A = rng.normal(size=(n, n))
        A = A + A.T
        values, vectors = symmetric_eigen(A)
        exactly(values, np.linalg.eigvalsh(A)[::-1], f"values of side {n}")
        assert_perpendicular(vectors)
        exactly(vectors * values @ vectors.T, A, f"side {n}")


def test_symmetric_eigen_of_equal_values(rng):
    """Equal eigenvalues, zeros and negative values need no care: any vectors of their plane will do."""
    for values in ([2, 2, 2, -1, -1], [0, 0, 0], [0, -1, -3, -3]):
        A = turned(np.array(values, dtype=float), rng)
        found, vectors = symmetric_eigen(A)
        exactly(found, values)
        assert_perpendicular(vectors)
        exactly(vectors * found @ vectors.T, A)
    exactly(symmetric_eigen(np.ones((4, 4)))[0], [4, 0, 0, 0], "all ones")


def test_symmetric_eigen_of_any_scale():
    """Tiny and huge matrices are decomposed like others."""
    for scale in (1e-150, 1e150):
        values, vectors = symmetric_eigen(scale * S)
        exactly(values / scale, [3, 1])
        exactly(vectors * (values / scale) @ vectors.T, S)


def test_symmetric_eigen_stops_when_it_is_there():
    """A diagonal matrix takes no sweep, and small ones a few: no loop runs on without need."""
    A = np.array([[4.0, 1, 0], [1, 3, 1], [0, 1, 2]])
    assert not runs_python_lines(lambda: symmetric_eigen(np.zeros((4, 4))), 150), "zeros: no sweep"
    assert not runs_python_lines(lambda: symmetric_eigen(np.diag([1.0, 5, 3, 2])), 150), "diagonal: no sweep"
    assert not runs_python_lines(lambda: symmetric_eigen(A), 1_600), "a few sweeps"
    assert not runs_python_lines(lambda: symmetric_eigen(-A), 1_600), "a few sweeps, for negative entries"


def test_symmetric_eigen_refuses():
    """A matrix that is not symmetric, or not square, is refused; a rounding error is none. What is given stays."""
    assert_refuses(lambda: symmetric_eigen([[1, 2], [3, 4]]), "matrix", 1)
    assert_refuses(lambda: symmetric_eigen(np.ones((2, 3))), "matrix", (2, 3))
    exactly(symmetric_eigen([[2.0, 1 + EPS], [1.0, 2.0]])[0], [3, 1], "a rounding error")
    assert_unchanged(symmetric_eigen, np.array([[2.0, 1.0], [1.0, 5.0]]), own_result=True)
    assert_number_kinds(symmetric_eigen, [[2, 1], [1, 3]])


# --- singular values ------------------------------------------------------------------------------------------------


def test_svd_by_hand():
    """[[3, 0], [4, 5]] has the Gram matrix [[25, 20], [20, 25]], of eigenvalues 45 and 5."""
    left, values, right = svd([[3, 0], [4, 5]])
    exactly(values, np.sqrt([45, 5]))
    exactly(np.abs(right), np.full((2, 2), np.sqrt(0.5)), "right")
    exactly(np.abs(left), np.array([[1, 3], [3, 1]]) / np.sqrt(10), "left")


def test_svd_is_lapacks(rng):
    """LAPACK's values, for square, tall and wide matrices, and perpendicular vectors that give the matrix back."""
    for m, n in SHAPES:
        A = rng.normal(size=(m, n))
        left, values, right = svd(A)
        assert_shape(left, (m, min(m, n)))
        assert_shape(right, (min(m, n), n))
        exactly(values, np.linalg.svd(A)[1], f"values of shape {m, n}")
        exactly(left * values @ right, A, f"shape {m, n}")
        assert_perpendicular(left, f"left of shape {m, n}")
        assert_perpendicular(right.T, f"right of shape {m, n}")


def test_svd_of_low_rank(rng):
    """Values of 0 still have perpendicular vectors, on both sides, and a matrix of zeros as well."""
    for A in (
        np.outer([1.0, 2, 2], [3.0, 4]),
        np.zeros((4, 3)),
        np.ones((3, 3)),
        rng.normal(size=(6, 2)) @ np.eye(2, 5),
        WITH_AN_AXIS,
    ):
        left, values, right = svd(A)
        exactly(values, np.linalg.svd(A)[1])
        assert_perpendicular(left)
        assert_perpendicular(right.T)
        exactly(left * values @ right, A)
    exactly(svd(np.outer([1.0, 2, 2], [3.0, 4])).values, [15, 0], "lengths 3 and 5")


def test_svd_of_signs():
    """Singular values are no eigenvalues: a mirror, a shear and a rotation have none below 0."""
    exactly(svd([[0, -2], [1, 0]]).values, [2, 1], "a quarter turn with stretches")
    exactly(svd(np.diag([-3.0, 7.0, 0.0])).values, [7, 3, 0], "negative entries on the diagonal")


def test_svd_has_small_values_right(rng):
    """Columns that differ by 2⁻⁹⁰ in scale: the product of the values is the exact determinant to 13 digits."""
    for _ in range(3):
        A = graded(rng)
        exact = float(determinant(A))
        assert_close(np.prod(svd(A).values), exact, "LAPACK loses the smallest", rtol=1e-13, atol=0)


def test_svd_stops_when_it_is_there(rng):
    """Perpendicular columns take one sweep to see it, and others a few more: no loop runs on without need."""
    assert not runs_python_lines(lambda: svd(np.diag([1.0, 5, 3, 2])), 1_200), "perpendicular columns"
    assert not runs_python_lines(lambda: svd(np.array([[1.0, 2, 0], [0, 1, 3], [1, 0, 1]])), 2_600), "a few sweeps"


def test_svd_keeps_its_manners():
    """Lists, integers and float32 will do, and what is given stays as it is."""
    assert_number_kinds(svd, [[3, 1], [4, 2], [0, 5]])
    assert_unchanged(lambda A: tuple(svd(A)), np.array([[3.0, 1.0], [4.0, 2.0]]), own_result=True)


# --- low rank -------------------------------------------------------------------------------------------------------


def test_low_rank_by_hand():
    """[[3, 0], [4, 5]] is nearest to √45 times (1, 3)/√10 and (1, 1)/√2: [[1.5, 1.5], [4.5, 4.5]], an error of √5."""
    exactly(low_rank([[3, 0], [4, 5]], 1), [[1.5, 1.5], [4.5, 4.5]])


def test_low_rank_is_lapacks(rng):
    """LAPACK's truncated factors, for each rank; rank 0 gives zeros, the whole rank the matrix."""
    for shape in ((6, 4), (3, 7)):
        A = rng.normal(size=shape)
        U, s, Vt = np.linalg.svd(A, full_matrices=False)
        for rank in range(min(shape) + 1):
            B = low_rank(A, rank)
            exactly(B, U[:, :rank] * s[:rank] @ Vt[:rank], f"rank {rank}")
            exactly(((A - B) ** 2).sum(), (s[rank:] ** 2).sum(), f"error of rank {rank}")


def test_low_rank_is_nearest(rng):
    """No other matrix of the rank is nearer: a hundred beside it are all farther, in squares and in largest stretch."""
    A = rng.normal(size=(5, 4))
    least = ((A - low_rank(A, 2)) ** 2).sum(), np.linalg.norm(A - low_rank(A, 2), 2)
    U, s, Vt = np.linalg.svd(A, full_matrices=False)
    for _ in range(100):
        near = (U[:, :2] * s[:2] + 0.1 * rng.normal(size=(5, 2))) @ (Vt[:2] + 0.1 * rng.normal(size=(2, 4)))
        assert ((A - near) ** 2).sum() > least[0]
        assert np.linalg.norm(A - near, 2) > least[1] - 1e-12


def test_low_rank_refuses():
    """A rank is a whole number from 0 to the smaller side."""
    assert_refuses_values(lambda rank: low_rank(np.ones((3, 2)), rank), "rank", -1, 3, 1.5)
    assert_unchanged(lambda A: low_rank(A, 1), np.array([[3.0, 1.0], [4.0, 2.0]]))


# --- what is given is right, too ------------------------------------------------------------------------------------


def test_the_rest_is_right(rng):
    """Least squares, the subspace iteration and the choice of a rank."""
    A, b = rng.normal(size=(9, 4)), rng.normal(size=9)
    exactly(least_squares(A, b), np.linalg.lstsq(A, b, rcond=None)[0], "least_squares")
    assert_refuses(lambda: least_squares(np.ones((3, 2)), np.ones(3)), "matrix", 2)
    assert_refuses(lambda: least_squares(A, b[:4]), "target", (9,), (4,))
    values, vectors = subspace_iteration(turned(np.array([-9.0, 5, 2, 1, 0.5]), rng), 2, rng)
    exactly(values, [-9, 5], "subspace_iteration", rtol=1e-9)
    assert_perpendicular(vectors)
    assert [rank_for([3, 2, 1], e) for e in (0.0, 0.268, 0.6, 1.0)] == [3, 2, 1, 0], "rank_for"
