# pyright: basic
"""Ways to get decompositions wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.bedrock.decompositions.decompositions import (
    EPS,
    SVD,
    Dominant,
    _check_rank,
    _direction,
    _lengths,
    _matrix,
    _symmetric,
    _turn,
    qr,
    rotation,
    svd,
    symmetric_eigen,
)


@mistake("qr", edit=("v[0] += np.copysign(1.0, v[0])", "v[0] -= np.copysign(1.0, v[0])"))
def mirrors_to_the_near_side():
    """You subtract nearly equal numbers where a column lies on its axis already, and divide by 0. Add the sign."""


@mistake("qr")
def orthogonalises_by_gram_schmidt(matrix):
    """You take projections away (Gram and Schmidt). Of nearly parallel columns rounding is left: mirror them."""
    A = _matrix(matrix)
    k = min(A.shape)
    Q, R = np.zeros((len(A), k)), np.zeros((k, A.shape[1]))
    for j in range(A.shape[1]):
        rest = A[:, j].copy()
        for i in range(min(j, k)):
            R[i, j] = Q[:, i] @ A[:, j]
            rest -= R[i, j] * Q[:, i]
        if j < k:
            R[j, j] = _lengths(rest)
            Q[:, j] = rest / R[j, j] if R[j, j] > 0 else 0.0
    return Q, R


@mistake("qr", edit=("Q * signs, np.triu(R[:k]) * signs[:, None]", "Q, np.triu(R[:k]) + 0.0 * signs[:, None]"))
def leaves_the_signs():
    """You leave negative entries on the diagonal of R. Change the sign of the row, and of the column of Q with it."""


@mistake("qr", edit=("mirrors[::-1]", "mirrors"))
def builds_q_forwards():
    """You apply the first mirror to the identity first. Q = H₀ H₁ … I: the last mirror acts on I first."""


@mistake("power_iteration", edit=("value = v @ image", "value = _lengths(image)"))
def takes_the_length_for_the_value():
    """You return how much the vector grew, which is never negative. Rayleigh's quotient v · A v has the sign."""


@mistake("power_iteration", edit=("v = image / _lengths(image)", "v = image / np.abs(image).max()"))
def divides_by_the_largest_entry():
    """You keep the largest entry at 1, and v · A v is no Rayleigh quotient then. Divide by the length."""


@mistake("power_iteration")
def waits_for_the_vector_to_stand_still(matrix, start, tolerance=1e-10, most=1_000):
    """You stop when v no longer changes. With a negative eigenvalue its sign changes each time: test A v - value v."""
    A, v = _symmetric(matrix), _direction(start, np.shape(matrix)[:1], tolerance, most)
    for products in range(1, most + 1):
        image = A @ v
        value, size = v @ image, _lengths(image)
        if products == most or size == 0 or _lengths(image / size - v) <= tolerance:
            break
        v = image / size
    return Dominant(float(value), v, products)


@mistake("rotation", edit=("np.subtract(c, a, dtype=float)", "np.subtract(a, c, dtype=float)"))
def turns_the_other_way():
    """You took d = a - c, and turn the wrong way. It is d = c - a for J = [[cosine, sine], [-sine, cosine]]."""


@mistake("rotation", edit=("np.abs(d) + np.hypot(d, twice)", "np.hypot(d, twice) - np.abs(d)"))
def takes_the_larger_root():
    """You took the root that is the larger in size, a turn of more than 45°. It swaps axes: sweeps may never end."""


@mistake("rotation", edit=("np.hypot(d, twice)", "np.sqrt(d**2 + twice**2)"))
def squares_the_entries():
    """You square entries, which overflow or vanish. `np.hypot` gives the root without the squares."""


@mistake("symmetric_eigen", edit=("np.argsort(A.diagonal())[::-1]", "np.argsort(A.diagonal())"))
def sorts_ascending():
    """You return the eigenvalues ascending, as LAPACK does. The largest comes first here."""


@mistake("symmetric_eigen", edit=("len(A) * EPS * np.abs(A).max()", "1e-12"))
def stops_at_a_fixed_size():
    """You stop at a fixed size, at once for tiny matrices. What is small depends on the largest entry."""


@mistake("svd")
def squares_the_matrix(matrix):
    """You take roots of the eigenvalues of Aᵀ A. Squaring loses every value below 1e-8 of the largest: turn columns."""
    A = _matrix(matrix)
    if A.shape[0] < A.shape[1]:
        left, values, right = squares_the_matrix(A.T)
        return SVD(right.T, values, left.T)
    squares, V = symmetric_eigen(A.T @ A)
    return SVD(qr(A @ V)[0], np.sqrt(np.maximum(squares, 0.0)), V.T)


@mistake(
    "svd",
    edit=(
        "SVD(Q @ qr(X[:, order])[0], values[order], V[:, order].T)",
        "SVD(Q @ (X / np.where(values > 0, values, 1.0))[:, order], values[order], V[:, order].T)",
    ),
)
def leaves_holes_in_left():
    """You divide columns by their lengths, and those of length 0 stay 0. They need directions that nothing else has."""


@mistake(
    "svd",
    edit=("np.abs(b) > len(X) * EPS", "np.abs(b) * _lengths(X)[p] * _lengths(X)[q] > EPS * _lengths(X).max() ** 2"),
)
def judges_by_the_largest():
    """You compare with the longest columns, so short ones are never turned. The cosine of a pair has no unit."""


@mistake("svd", edit=("V[:, order].T)", "V[:, order])"))
def returns_v_itself():
    """You return V, with the vectors as columns. `right` is its transpose: A = left · diag(values) · right."""


@mistake(
    "low_rank",
    edit=(
        "left[:, :rank] * values[:rank] @ right[:rank]",
        "left[:, len(values) - rank :] * values[len(values) - rank :] @ right[len(values) - rank :]",
    ),
)
def keeps_the_smallest():
    """You keep the smallest values. The error is the sum of the squares that are left out: leave out the smallest."""


@variant("qr")
def by_whole_reflections(matrix):
    """Reflections written down, and Q as their product."""
    R = _matrix(matrix).copy()
    m, n = R.shape
    k = min(m, n)
    Q = np.eye(m)
    for j in range(k):
        x, size = np.zeros(m), _lengths(R[j:, j])
        if size > 0:
            x[j:] = R[j:, j] / size
            x[j] += 1.0 if x[j] >= 0 else -1.0
            H = np.eye(m) - 2 * np.outer(x, x) / (x @ x)
            Q, R = Q @ H, H @ R
    signs = np.where(R.diagonal() < 0, -1.0, 1.0)
    return Q[:, :k] * signs, np.triu(R[:k] * signs[:, None])


@variant("rotation")
def by_an_angle(a, b, c):
    """The angle itself, with an arc tangent."""
    d, twice = np.subtract(c, a, dtype=float), np.multiply(2.0, b, dtype=float)
    angle = np.arctan2(np.where(d < 0, -twice, twice), np.abs(d)) / 2
    return np.cos(angle), np.sin(angle)


@variant("symmetric_eigen")
def pair_by_pair(matrix):
    """One pair at a time, row by row, those alone that are large enough."""
    A = _symmetric(matrix)
    n, V = len(A), np.eye(len(A))
    tolerance = n * EPS * np.abs(A).max()
    while np.abs(np.triu(A, 1)).max() > tolerance:
        for i in range(n):
            for j in range(i + 1, n):
                if abs(A[i, j]) > tolerance:
                    p, q = np.array([i]), np.array([j])
                    turn = rotation(A[p, p], A[p, q], A[q, q])
                    for X in (A, A.T, V):
                        _turn(X, p, q, *turn)
    order = np.argsort(-np.diag(A), kind="stable")
    return np.diag(A)[order], V[:, order]


@variant("low_rank")
def by_projection(matrix, rank):
    """A, projected onto the first left directions."""
    left, values, _ = svd(matrix)
    _check_rank(rank, len(values))
    return left[:, :rank] @ (left[:, :rank].T @ _matrix(matrix))
