# pyright: basic
"""Ways to get linear_regression wrong, and right ways that differ."""

import numpy as np
from scipy.stats import t as student

from groundup.anatomy import mistake, variant
from groundup.stack.classical.linear_regression.linear_regression import (
    Descent,
    Diagnostics,
    _check_can_be_judged,
    _check_independent,
    _check_learning_rate,
    _check_number,
    _cholesky,
    _duality_gap,
    _table,
    least_squares,
)


@mistake("normal_equations", edit=("return b + solve(A.T @ (target - A @ b) - alpha * b)", "return b"))
def stops_at_the_first_solution():
    """Your solution has no more digits than an uncorrected one. Form the residual y - Xb, and solve for Xᵀ times it."""


@mistake("normal_equations", edit=("+= alpha", "+= alpha * len(A)"))
def multiplies_the_penalty_by_the_samples():
    """You add n·alpha to the diagonal. The objective is the sum of squares, not their mean: alpha alone is added."""


@mistake("normal_equations", edit=(" - alpha * b)", ")"))
def corrects_without_the_penalty():
    """Your correction forgets the penalty. At the solution Xᵀ(y - Xb) is alpha·b, not 0: take alpha·b away."""


@mistake("householder_qr", edit=("v[0] += np.copysign", "v[0] -= np.copysign"))
def reflects_to_the_near_side():
    """You subtract the length from an entry of the same sign: nearly equal numbers cancel. Add it with that sign."""


@mistake("householder_qr", edit=("R[j:, j:] -= 2 * np.outer", "R[j:, j:] -= np.outer"))
def projects_instead_of_reflecting():
    """You subtract v(vᵀR) once, which lands on the mirror. A reflection goes as far again beyond it: twice."""


@mistake("householder_qr", edit=("in reversed(range(k))", "in range(k)"))
def applies_the_mirrors_in_order():
    """You build Q with the first mirror first. Q is H₁H₂…Hₖ times the identity: the last mirror comes first."""


@mistake("householder_qr")
def orthogonalises_by_projections(A):
    """You subtract projections (Gram-Schmidt). Where columns are close, what is left is rounding error: reflect."""
    A = np.array(A, dtype=float)
    k = min(A.shape)
    Q, R = np.zeros((len(A), k)), np.zeros((k, A.shape[1]))
    for j in range(k):
        R[:j, j] = Q[:, :j].T @ A[:, j]
        v = A[:, j] - Q[:, :j] @ R[:j, j]
        R[j, j] = np.linalg.norm(v)
        Q[:, j] = v / R[j, j] if R[j, j] > 0 else np.eye(len(A))[j]
    R[:, k:] = Q.T @ A[:, k:]
    return Q, R


@mistake("least_squares", edit=("range(REFINEMENTS)", "range(0)"))
def does_not_refine():
    """Your solution is no better than an unrefined one, which has half of the digits. Refine it, REFINEMENTS times."""


@mistake("least_squares", edit=("Q.T @ lost + inverse.T @ _precise_product(A.T, residual)", "Q.T @ residual"))
def refines_with_rounded_residuals():
    """You fit the residual once more as it is, rounding errors included. What they took takes `_precise_product`."""


@mistake("least_squares", edit=("sizes > max(A.shape) * EPSILON", "sizes > 0"))
def divides_by_singular_values_of_rounding():
    """You divide by singular values that are 0 but for rounding, and the coefficients explode. Leave them out."""


@mistake("least_squares", edit=("return b / scale", "return b"))
def forgets_to_scale_back():
    """Your coefficients belong to the scaled columns. A column divided by s has a coefficient s times too large."""


@mistake("gradient_descent", edit=("b - learning_rate * gradient", "b + learning_rate * gradient"))
def climbs():
    """You go along the gradient, which points uphill. Subtract it."""


@mistake("gradient_descent", edit=("gradient = A.T @ errors / len(A)", "gradient = A.T @ errors"))
def sums_the_gradient():
    """Your gradient is that of the summed squares. The loss is their mean, halved: divide by n_samples."""


@mistake("gradient_descent", edit=("gradient = A.T @ errors /", "gradient = 2 * A.T @ errors /"))
def forgets_the_half():
    """Your gradient is twice the loss's: the derivative of e²/2 is e."""


@mistake("coordinate_descent", edit=("weight = alpha * len(A)", "weight = alpha"))
def forgets_the_samples_in_the_penalty():
    """You compare a sum over samples with alpha. The objective has the mean: the penalty on the sum is n·alpha."""


@mistake("coordinate_descent", edit=("np.sign(alone) * max(abs(alone) - weight, 0.0)", "alone * (abs(alone) > weight)"))
def does_not_shrink():
    """You keep or drop, and shrink nothing. The lasso moves every coefficient's product towards 0 by n·alpha."""


@mistake("coordinate_descent", edit=("np.sign(alone) * max(abs(alone) - weight, 0.0)", "max(alone - weight, 0.0)"))
def knows_no_negative_coefficients():
    """You move down, not towards 0: a negative product becomes 0. Take its size, and give back its sign."""


@mistake("diagnostics", edit=("squares / (n - k)", "squares / n"))
def divides_by_the_samples():
    """You divide the squares by n. The fit has used up a degree of freedom for each coefficient: n - k are left."""


@mistake("diagnostics", edit=("2 * student.sf", "student.sf"))
def looks_at_one_side():
    """Your p counts one tail. Without a reason to expect a sign, both count: twice the upper tail."""


@mistake("diagnostics", edit=("free**2)", "free)"))
def forgets_that_the_row_pulled_the_line():
    """Your Cook's distance divides by 1 - h once. It is squared: the residual itself is small for h near 1."""


@variant("normal_equations")
def by_rows_for_the_penalty(X, y, alpha=0.0):
    """The penalty as further rows of a least-squares problem."""
    A, target = _table(X, y)
    _check_number("alpha", alpha)
    _cholesky(A.T @ A + alpha * np.eye(A.shape[1]))
    stacked = np.vstack([A, np.sqrt(alpha) * np.eye(A.shape[1])])
    return least_squares(stacked, np.append(target, np.zeros(A.shape[1])))


@variant("householder_qr")
def by_whole_mirrors(A):
    """Every mirror as a matrix, with R's diagonal made positive."""
    R = np.array(A, dtype=float)
    m, k = len(R), min(R.shape)
    Q = np.eye(m)
    for j in range(k):
        v = np.where(np.arange(m) < j, 0.0, R[:, j])
        v[j] += (1 if v[j] >= 0 else -1) * np.linalg.norm(v)
        if v.any():
            v = v / np.linalg.norm(v)
        mirror = np.eye(m) - 2 * np.outer(v, v)
        Q, R = Q @ mirror, mirror @ R
    return Q[:, :k], np.triu(R[:k])


@variant("gradient_descent")
def by_the_gram_matrix(X, y, *, learning_rate, max_iter=1_000, tol=1e-8, start=None):
    """The gradient from XᵀX and Xᵀy, which are formed once."""
    A, target = _table(X, y)
    _check_number("max_iter", max_iter)
    _check_number("tol", tol)
    _check_learning_rate(A, learning_rate)
    gram, products = A.T @ A / len(A), A.T @ target / len(A)
    b = np.zeros(A.shape[1]) if start is None else np.array(start, dtype=float)
    losses = [np.mean((target - A @ b) ** 2) / 2]
    while np.abs(gram @ b - products).max() > tol and len(losses) <= max_iter:
        b = b - learning_rate * (gram @ b - products)
        losses.append(np.mean((target - A @ b) ** 2) / 2)
    return Descent(b, np.array(losses))


@variant("coordinate_descent")
def by_residuals(X, y, alpha, *, max_iter=1_000, tol=1e-4):
    """The residual is kept, not the products."""
    A, target = _table(X, y)
    _check_number("alpha", alpha, zero=False)
    _check_number("max_iter", max_iter, zero=False)
    _check_number("tol", tol)
    lengths, weight = (A**2).sum(axis=0), alpha * len(A)
    b, residual, gaps = np.zeros(A.shape[1]), target.copy(), []
    for _ in range(max_iter):
        for j in np.flatnonzero(lengths):
            alone = A[:, j] @ residual + lengths[j] * b[j]
            value = np.clip(alone, None, -weight) + weight + np.clip(alone, weight, None) - weight
            residual -= A[:, j] * (value / lengths[j] - b[j])
            b[j] = value / lengths[j]
        gaps.append(_duality_gap(b, A.T @ residual, A.T @ target, float(target @ target), weight))
        if gaps[-1] <= tol * (target @ target):
            break
    return Descent(b, np.array(gaps))


@variant("diagnostics")
def by_singular_values(X, y):
    """The singular value decomposition of the scaled design in place of QR."""
    features, target = _table(X, y)
    design = np.column_stack([np.ones(len(features)), features])
    n, k = design.shape
    _check_can_be_judged(target, k)
    scale = np.maximum(np.linalg.norm(design, axis=0), 1e-300)
    U, sizes, Vt = np.linalg.svd(design / scale, full_matrices=False)
    _check_independent(np.diag(sizes), features, getattr(X, "columns", None))
    spread = np.sqrt(np.sum((Vt / sizes[:, None]) ** 2, axis=0)) / scale
    b = least_squares(design, target)
    errors, leverage = target - design @ b, np.sum(U**2, axis=1)
    s = np.sqrt(errors @ errors / (n - k))
    with np.errstate(all="ignore"):
        t, cook = b / (s * spread), (errors / s / (1 - leverage)) ** 2 * leverage / k
    p, r2 = 2 * student.cdf(-np.abs(t), n - k), 1 - errors @ errors / (n * np.var(target))
    cook[leverage > 1 - 1e-9] = np.nan
    inflation = spread[1:] ** 2 * n * features.var(axis=0)
    return Diagnostics(b, s * spread, t, p, float(s), float(r2), leverage, cook, inflation)
