"""Decompositions: a matrix as a product of factors that say what it does.

    Q, R = qr(A)                            # perpendicular columns, times a triangle
    power_iteration(S, start)               # the largest eigenvalue of a symmetric matrix, by products alone
    subspace_iteration(S, 10, rng)          # the ten largest
    values, vectors = symmetric_eigen(S)    # all of them, by Jacobi's rotations
    left, values, right = svd(A)            # A = left · diag(values) · right: turn, stretch, turn
    low_rank(A, 5)                          # the nearest matrix of rank 5
    least_squares(A, b)                     # by QR, without the squares that lose digits

Matrices are real and dense, results are float64. NumPy multiplies; nothing here calls LAPACK. Not covered: matrices
that are neither symmetric nor decomposed by QR or SVD, whose eigenvalues may be complex.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

EPS = float(np.finfo(float).eps)  # 2⁻⁵²: from 1 to the next float
SWEEPS = 60  # Jacobi's method needs about ten, and twenty where columns depend on each other
SHORTEST = float(np.finfo(float).tiny) / EPS  # 1e-292: shorter columns have lost digits, and count as zeros

# --- QR -------------------------------------------------------------------------------------------------------------


def qr(matrix: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Decompose A of shape (m, n) into Q with perpendicular columns of length 1, and an upper triangle R.

    With k = min(m, n), Q has the shape (m, k) and R the shape (k, n). Below its diagonal R is exactly 0, on it at least
    0, so that Q and R are unique where the columns are independent. Q is perpendicular to rounding for any matrix, of
    zeros as well, and no square over- or underflows.

    Each column is mirrored onto an axis (Householder, 1958). Let u be the column from the diagonal down, divided by its
    length. Then v = u + sign(u₀) e₀ is the mirror's normal, and I - v vᵀ / |v₀| the reflection.

    Raises:
        ValueError: a matrix of other than two axes, without entries, or with an entry that is not finite.
    """
    R = _matrix(matrix).copy()
    k = min(R.shape)
    Q, mirrors = np.eye(len(R), k), []
    for j in range(k):
        size = _lengths(R[j:, j])
        if size > 0:
            v = R[j:, j] / size
            v[0] += np.copysign(1.0, v[0])  # away from 0: the other sign would subtract nearly equal numbers
            R[j:, j:] -= np.outer(v, v @ R[j:, j:] / abs(v[0]))
            mirrors.append((j, v))
    for j, v in mirrors[::-1]:
        Q[j:, j:] -= np.outer(v, v @ Q[j:, j:] / abs(v[0]))
    signs = np.copysign(1.0, R.diagonal())
    return Q * signs, np.triu(R[:k]) * signs[:, None]


def least_squares(matrix: ArrayLike, target: ArrayLike) -> np.ndarray:
    """Return the x of shape (n,) with the least ‖A x - b‖, for A of shape (m, n) and b of shape (m,).

    As Q keeps lengths, R x = Qᵀ b, which is solved from the last row up. The normal equations Aᵀ A x = Aᵀ b would
    square the condition number first.

    Raises:
        ValueError: a target of another shape, or columns that depend on each other, to rounding.
    """
    A = _matrix(matrix)
    b = np.asarray(target, dtype=float)
    if b.shape != A.shape[:1]:
        raise ValueError(f"target must have the shape {A.shape[:1]}, one entry for each row, got {b.shape}.")
    Q, R = qr(A)
    sizes = R.diagonal()
    if len(R) < A.shape[1] or sizes.min() <= len(A) * EPS * sizes.max():
        raise ValueError(f"matrix must have independent columns, got {A.shape[1]} of fewer directions. Use svd.")
    x, rest = np.zeros(A.shape[1]), Q.T @ b
    for j in range(len(x))[::-1]:
        x[j] = (rest[j] - R[j, j + 1 :] @ x[j + 1 :]) / R[j, j]
    return x


# --- eigenvalues of symmetric matrices ------------------------------------------------------------------------------


class Dominant(NamedTuple):
    """An eigenvalue, its vector of length 1, and the products with the matrix that it took."""

    value: float
    vector: np.ndarray
    products: int


def power_iteration(matrix: ArrayLike, start: ArrayLike, tolerance: float = 1e-10, most: int = 1_000) -> Dominant:
    """Find the eigenvalue of the largest size of a symmetric matrix, by products with it (von Mises, 1929).

    A vector v of length 1 begins as the start of shape (n,), divided by its length. Each round takes one product, A v.
    The value is v · A v, Rayleigh's quotient, with its sign. It is done where ‖A v - value v‖ is at most
    tolerance · ‖A v‖; otherwise the next v is A v divided by its length. After `most` products the last value and its v
    are returned all the same. Some eigenvalue lies within ‖A v - value v‖ of the value. Where two share the largest
    size with opposite signs, it never settles; where the start has nothing of the vector, it finds another.

    Raises:
        ValueError: a matrix that is not symmetric, a start of another shape or of zeros, a tolerance below 0, or `most`
            below 1.
    """
    A, v = _symmetric(matrix), _direction(start, np.shape(matrix)[:1], tolerance, most)
    products = 0
    while True:
        image = A @ v
        products += 1
        value = v @ image
        if products == most or _lengths(image - value * v) <= tolerance * _lengths(image):
            return Dominant(float(value), v, products)
        v = image / _lengths(image)


def rotation(a: ArrayLike, b: ArrayLike, c: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine and sine of the turns of at most 45° that make symmetric matrices of 2 × 2 diagonal (Jacobi, 1846).

    For [[a, b], [b, c]] and J = [[cosine, sine], [-sine, cosine]], Jᵀ [[a, b], [b, c]] J is diagonal. The three have
    one shape, that of the results; the cosine is above 0. Where b is 0, cosine and sine are exactly 1 and 0. With
    d = c - a, the tangent is the root t of b t² + d t - b = 0 that is the smaller in size:
    t = sign(d) 2b / (|d| + √(d² + 4b²)), with either sign for 0.
    """
    d, twice = np.subtract(c, a, dtype=float), np.multiply(2.0, b, dtype=float)
    size = np.abs(d) + np.hypot(d, twice)
    tangent = np.copysign(1.0, d) * twice / np.where(size > 0, size, 1.0)
    cosine = 1 / np.hypot(1.0, tangent)
    return cosine, cosine * tangent


def symmetric_eigen(matrix: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Decompose a symmetric A of shape (n, n) into V diag(values) Vᵀ, by Jacobi's rotations.

    Returns the eigenvalues, descending, of shape (n,), and V, whose columns are perpendicular eigenvectors of length 1.
    A vector and its opposite are as good. A sweep turns each pair of axes once; `_rounds` names pairs that are disjoint
    and can be turned together. It ends before a sweep where no entry off the diagonal exceeds n · EPS times the largest
    entry of the given matrix.

    Raises:
        ValueError: a matrix that is not square, finite and symmetric.
    """
    A = _symmetric(matrix)
    V, tolerance = np.eye(len(A)), len(A) * EPS * np.abs(A).max()
    for _ in range(SWEEPS):
        if np.abs(np.triu(A, 1)).max() <= tolerance:
            break
        for p, q in _rounds(len(A)):
            turn = rotation(A[p, p], A[p, q], A[q, q])
            for columns in (A, A.T, V):
                _turn(columns, p, q, *turn)
    order = np.argsort(A.diagonal())[::-1]
    return A.diagonal()[order], V[:, order]


def subspace_iteration(
    matrix: ArrayLike, count: int, rng: np.random.Generator, tolerance: float = 1e-8, most: int = 1_000
) -> tuple[np.ndarray, np.ndarray]:
    """Find the eigenvalues of the largest size of a symmetric matrix, `count` at once: power iteration on a plane.

    Each round multiplies the columns, and makes them perpendicular by `qr`. Within their plane the small eigenproblem
    is solved (Rayleigh and Ritz). It ends where each ‖A v - value v‖ is at most tolerance times the largest value.

    Returns values, of shape (count,), of descending size, and vectors as columns, of shape (n, count).
    """
    A = _symmetric(matrix)
    if not 1 <= count <= len(A):
        raise ValueError(f"count must be from 1 to {len(A)}, the side of the matrix, got {count}.")
    X = qr(rng.normal(size=(len(A), count)))[0]
    values = np.zeros(count)
    for _ in range(most):
        Y = A @ X
        small = X.T @ Y
        values, turn = symmetric_eigen((small + small.T) / 2)
        order = np.argsort(-np.abs(values))
        values, X, Y = values[order], X @ turn[:, order], Y @ turn[:, order]
        if _lengths(Y - X * values).max() <= tolerance * np.abs(values).max():
            break
        X = qr(Y)[0]
    return values, X


# --- singular values ------------------------------------------------------------------------------------------------


class SVD(NamedTuple):
    """A = left · diag(values) · right, with k = min(m, n) singular values: (m, k), (k,), (k, n)."""

    left: np.ndarray
    values: np.ndarray
    right: np.ndarray


def svd(matrix: ArrayLike) -> SVD:
    """Decompose A of shape (m, n) into turn, stretch, turn, by one-sided Jacobi (Hestenes, 1958), after one QR.

    The columns of `left` and the rows of `right` are perpendicular and of length 1, where values are 0 as well. Values
    are at least 0 and descending. A pair of vectors and its opposite are as good. Of a wide matrix the transpose is
    decomposed.

    The columns of R are turned in pairs until each pair has a cosine of at most n · EPS. What V has turned then has
    perpendicular columns: their lengths are the values. The test by the cosine, which has no unit, makes small values
    as accurate as large ones where columns differ in scale alone (Demmel and Veselić, 1992): multiply columns by any
    factors, and the relative errors stay. Columns shorter than 1e-292 count as zeros.

    Raises:
        ValueError: a matrix of other than two axes, without entries, or with an entry that is not finite.
    """
    A = _matrix(matrix)
    if A.shape[0] < A.shape[1]:
        left, values, right = svd(A.T)
        return SVD(right.T, values, left.T)
    Q, X = qr(A)
    V = np.eye(len(X))
    for _ in range(SWEEPS):
        turned = False
        for p, q in _rounds(len(X)):
            a, b, c = _gram(X, p, q)
            b = np.where(np.abs(b) > len(X) * EPS, b, 0.0)
            turn = rotation(a, b, c)
            _turn(X, p, q, *turn)
            _turn(V, p, q, *turn)
            turned = turned or b.any()
        if not turned:
            break
    values = _lengths(X)
    order = np.argsort(-values)
    # QR divides perpendicular columns by their lengths, and finds directions for those without a length.
    return SVD(Q @ qr(X[:, order])[0], values[order], V[:, order].T)


def low_rank(matrix: ArrayLike, rank: int) -> np.ndarray:
    """Return the matrix of at most that rank that is nearest to A, in sum of squares and in largest stretch.

    It keeps the `rank` largest singular values with their vectors (Eckart and Young, 1936; Mirsky, 1960). The sum of
    squared errors is the sum of the squares of the values that are left out. Rank 0 gives zeros.

    Raises:
        ValueError: a rank that is no whole number from 0 to the smaller side; a matrix as for `svd`.
    """
    left, values, right = svd(matrix)
    _check_rank(rank, len(values))
    return left[:, :rank] * values[:rank] @ right[:rank]


def rank_for(values: ArrayLike, error: float) -> int:
    """Return the smallest rank whose relative error ‖A - B‖ / ‖A‖ is at most `error`, from descending values."""
    squares = np.asarray(values, dtype=float) ** 2
    rest = np.append(squares[::-1].cumsum()[::-1], 0.0)  # what each rank leaves out
    return int(np.argmax(rest <= error**2 * rest[0]))


# --- plumbing and refusals ------------------------------------------------------------------------------------------


def _lengths(X: np.ndarray) -> np.ndarray:
    """The lengths of the columns, or that of a vector, without squares that over- or underflow."""
    largest = np.abs(X).max(axis=0)
    return largest * np.sqrt(((X / np.where(largest > 0, largest, 1.0)) ** 2).sum(axis=0))


def _rounds(n: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each pair p < q of n columns once, in rounds of disjoint pairs: a tournament, the first player seated."""
    seats = np.arange(n + n % 2)
    for _ in range(len(seats) - 1):
        pairs = np.sort([seats[: len(seats) // 2], seats[: len(seats) // 2 - 1 : -1]], axis=0)
        yield tuple(pairs[:, pairs[1] < n])
        seats[1:] = np.roll(seats[1:], 1)


def _turn(X: np.ndarray, p: np.ndarray, q: np.ndarray, cosine: np.ndarray, sine: np.ndarray) -> None:
    """Multiply pairs of columns by J, in place: p becomes cosine · p - sine · q, q becomes sine · p + cosine · q."""
    X[:, p], X[:, q] = cosine * X[:, p] - sine * X[:, q], sine * X[:, p] + cosine * X[:, q]


def _gram(X: np.ndarray, p: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For pairs of columns: length p / length q, the cosine between them, and length q / length p.

    That is their Gram matrix, divided by the product of the lengths. A column of zeros is perpendicular to all.
    """
    sizes = _lengths(X)
    sizes = np.where(sizes > SHORTEST, sizes, 1.0)
    cosines = (X[:, p] / sizes[p] * (X[:, q] / sizes[q])).sum(axis=0)
    return sizes[p] / sizes[q], cosines, sizes[q] / sizes[p]


def _matrix(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"matrix must have two axes and at least one entry, got the shape {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"matrix must be finite, got {array[~np.isfinite(array)][0]}.")
    return array


def _symmetric(values: ArrayLike) -> np.ndarray:
    """A copy, made symmetric to the last bit."""
    array = _matrix(values)
    if array.shape[0] != array.shape[1]:
        raise ValueError(f"matrix must be square, got the shape {array.shape}. See svd.")
    gap = np.abs(array - array.T).max()
    if gap > 1e-8 * np.abs(array).max():
        raise ValueError(f"matrix must be symmetric, got entries that differ by {gap} from their mirror. See svd.")
    return (array + array.T) / 2


def _direction(start: ArrayLike, shape: tuple[int, ...], tolerance: float, most: int) -> np.ndarray:
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0, got {tolerance}.")
    if not most >= 1:
        raise ValueError(f"most must be at least 1 product, got {most}.")
    v = np.asarray(start, dtype=float)
    if v.shape != shape or not 0 < np.abs(v).sum() < np.inf:
        raise ValueError(f"start must be finite, not all 0, and of shape {shape}, got {v.tolist()} of shape {v.shape}.")
    return v / _lengths(v)


def _check_rank(rank: Any, most: int) -> None:
    if not (isinstance(rank, int | np.integer) and 0 <= rank <= most):
        raise ValueError(f"rank must be a whole number from 0 to {most}, got {rank}.")
