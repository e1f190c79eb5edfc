"""Least squares three ways, two penalties, and what a fit says about its rows and columns.

    LinearRegression().fit(X, y).predict(X)        # Ridge(alpha=1.0) and Lasso(alpha=1.0) shrink the coefficients
    least_squares(design, y)                       # as many right digits as float64 allows
    gradient_descent(design, y, learning_rate=0.1) # the long way to the same place
    diagnostics(X, y).standard_errors              # the intercept first

A design is a table whose columns are the functions that are added up; a column of ones gives the intercept.
Everything is computed in float64: numbers and their squares must be finite. An error names the parameter and the
value that it refuses.
"""

import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import LinAlgWarning, cho_factor, cho_solve, solve_triangular
from scipy.stats import t as student
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

EPSILON = float(np.finfo(float).eps)
CONDITION = 1e4
"""Above it columns count as nearly dependent: four digits of the data are gone from the coefficients."""
SMALL = 100_000
"""Entries of a table up to which `LinearRegression` always takes the way of most digits."""
REFINEMENTS = 5


class Descent(NamedTuple):
    """Where an iteration stopped, and the loss before each step and at the end, or the gap after each sweep."""

    coefficients: np.ndarray
    history: np.ndarray


class Diagnostics(NamedTuple):
    """What a least-squares fit with an intercept says: of each coefficient (the intercept first), row and feature."""

    coefficients: np.ndarray
    standard_errors: np.ndarray
    t_values: np.ndarray
    p_values: np.ndarray
    residual_deviation: float
    r_squared: float
    leverage: np.ndarray
    cooks_distance: np.ndarray
    variance_inflation: np.ndarray


# --- three ways to the least squares --------------------------------------------------------------------------------


def normal_equations(X: ArrayLike, y: ArrayLike, alpha: float = 0.0) -> np.ndarray:
    """Minimise ‖y - Xb‖² + alpha·‖b‖² by solving (XᵀX + alpha·I) b = Xᵀy, and correct the solution once.

    XᵀX squares the condition number of X. The correction, from the residuals of the first solution, wins back most of
    the digits that this costs.

    Args:
        X: design of shape (n_samples, n_columns).
        y: targets of shape (n_samples,).
        alpha: strength of the penalty, at least 0.

    Returns:
        Coefficients of shape (n_columns,); 0 for a column of zeros.

    Raises:
        ValueError: shapes or values do not fit, or the matrix is singular in float64 (columns of zeros aside).
    """
    A, target = _table(X, y)
    _check_number("alpha", alpha)
    gram = A.T @ A
    gram[np.diag_indices_from(gram)] += alpha
    solve = _cholesky(gram)
    b = solve(A.T @ target)
    return b + solve(A.T @ (target - A @ b) - alpha * b)


def householder_qr(A: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factor A = QR by reflections (Householder, 1958), each of which clears a column below the diagonal.

    Args:
        A: finite numbers of shape (m, n); it is left as it is.

    Returns:
        Q of shape (m, min(m, n)) with orthonormal columns, and R of shape (min(m, n), n), zero below the diagonal.
        Signs are free: columns of Q and the same rows of R may be negated.
    """
    R = np.array(A, dtype=float)
    m, k = len(R), min(R.shape)
    mirrors = []
    for j in range(k):
        v = R[j:, j].copy()
        v[0] += np.copysign(np.linalg.norm(v), v[0])  # away from zero: a difference would cancel
        length = np.linalg.norm(v)
        if length > 0:
            v /= length
        R[j:, j:] -= 2 * np.outer(v, v @ R[j:, j:])
        mirrors.append(v)
    Q = np.eye(m, k)
    for j in reversed(range(k)):
        v = mirrors[j]
        Q[j:, j:] -= 2 * np.outer(v, v @ Q[j:, j:])
    return Q, np.triu(R[:k])


def least_squares(X: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Minimise ‖y - Xb‖² to as many digits as float64 allows.

    The columns are scaled to about unit length, factored as QR, and R by its singular values. The solution is then
    refined: what rounding took from the residuals is fitted as well (after Björck, 1967). Where columns are dependent
    to working precision, it is the solution of smallest norm in the scaled columns.

    Args:
        X: design of shape (n_samples, n_columns).
        y: targets of shape (n_samples,).

    Returns:
        Coefficients of shape (n_columns,).

    Raises:
        ValueError: shapes or values do not fit.
    """
    A, target = _table(X, y)
    scale = _powers_of_two(A)
    A = A / scale
    Q, R = householder_qr(A)
    U, sizes, Vt = np.linalg.svd(R, full_matrices=False)
    kept = sizes > max(A.shape) * EPSILON  # the largest is about 1, as the columns are
    inverse = (Vt[kept].T / sizes[kept]) @ U[:, kept].T
    b = inverse @ (Q.T @ target)
    for _ in range(REFINEMENTS):
        residual = target - A @ b
        lost = _precise_product(np.column_stack([target, residual, A]), np.concatenate([[1.0, -1.0], -b]))
        b = b + inverse @ (Q.T @ lost + inverse.T @ _precise_product(A.T, residual))
    return b / scale


def gradient_descent(
    X: ArrayLike,
    y: ArrayLike,
    *,
    learning_rate: float,
    max_iter: int = 1_000,
    tol: float = 1e-8,
    start: ArrayLike | None = None,
) -> Descent:
    """Minimise ‖y - Xb‖² / (2 n_samples) by steps against its gradient, Xᵀ(Xb - y) / n_samples.

    Args:
        X: design of shape (n_samples, n_columns).
        y: targets of shape (n_samples,).
        learning_rate: step size, above 0 and below 2 / (the largest eigenvalue of XᵀX / n_samples).
        max_iter: most steps.
        tol: stop once no entry of the gradient exceeds this, before any step if need be.
        start: the first coefficients, finite numbers of shape (n_columns,); zeros unless given.

    Returns:
        The last coefficients, and the loss before the first step and after every step.

    Raises:
        ValueError: shapes, values or settings do not fit. The message for `learning_rate` names the bound.
    """
    A, target = _table(X, y)
    _check_number("max_iter", max_iter)
    _check_number("tol", tol)
    _check_learning_rate(A, learning_rate)
    b = _start(start, A.shape[1])
    losses = []
    while True:
        errors = A @ b - target
        losses.append(errors @ errors / (2 * len(A)))
        gradient = A.T @ errors / len(A)
        if np.abs(gradient).max() <= tol or len(losses) > max_iter:
            return Descent(b, np.array(losses))
        b = b - learning_rate * gradient


# --- few coefficients -----------------------------------------------------------------------------------------------


def coordinate_descent(
    X: ArrayLike, y: ArrayLike, alpha: float, *, max_iter: int = 1_000, tol: float = 1e-4
) -> Descent:
    """Minimise ‖y - Xb‖² / (2 n_samples) + alpha·Σ|b|, one coefficient at a time: the lasso (Tibshirani, 1996).

    A coefficient alone has its minimum where its column's product with the others' residual, moved towards 0 by
    n_samples·alpha (and no further than 0), is divided by the column's sum of squares. XᵀX is kept in memory, so a
    sweep costs n_columns² and does not depend on the number of samples.

    Args:
        X: design of shape (n_samples, n_columns).
        y: targets of shape (n_samples,).
        alpha: strength of the penalty, above 0.
        max_iter: most sweeps over the columns.
        tol: stop once the duality gap is at most tol·‖y‖². The gap, like ‖y‖², is of the objective times n_samples.

    Returns:
        Coefficients, exactly 0 for columns left out, and the duality gap after each sweep.

    Raises:
        ValueError: shapes, values or settings do not fit.
    """
    A, target = _table(X, y)
    _check_number("alpha", alpha, zero=False)
    _check_number("max_iter", max_iter, zero=False)
    _check_number("tol", tol)
    gram, products, total = A.T @ A, A.T @ target, float(target @ target)
    weight = alpha * len(A)
    b, slopes, gaps = np.zeros(len(products)), products.copy(), []  # slopes: the columns' products with the residual
    used = np.flatnonzero(np.diag(gram) > 0)
    while len(gaps) < max_iter:
        for j in used:
            alone = slopes[j] + gram[j, j] * b[j]
            value = np.sign(alone) * max(abs(alone) - weight, 0.0) / gram[j, j]
            if value != b[j]:
                slopes -= gram[j] * (value - b[j])
                b[j] = value
        gaps.append(_duality_gap(b, slopes, products, total, weight))
        if gaps[-1] <= tol * total:
            break
    return Descent(b, np.array(gaps))


# --- how good, and how sure -----------------------------------------------------------------------------------------


def diagnostics(X: Any, y: ArrayLike) -> Diagnostics:
    """Fit y to X with an intercept, and judge the fit as if the errors were independent, of one size and normal.

    Args:
        X: features of shape (n_samples, n_features), without a column of ones. Errors name columns as a data
            frame does, or by number.
        y: targets of shape (n_samples,).

    Returns:
        Coefficients, the intercept first, with the digits of `least_squares`; the standard error of each, t =
        coefficient / error and two-sided p; the residual deviation, √(sum of squared residuals / (n_samples -
        n_coefficients)); R²; the leverage of each row and its Cook's distance (Cook, 1977), NaN at leverage 1; and for
        each feature the factor by which the others inflate the variance of its coefficient. Where the fit is exact, t
        is huge or infinite.

    Raises:
        ValueError: shapes or values do not fit, there are too few rows, y is constant, or columns are dependent.
    """
    features, target = _table(X, y)
    design = np.column_stack([np.ones(len(features)), features])
    n, k = design.shape
    _check_can_be_judged(target, k)
    scale = _powers_of_two(design)
    Q, R = householder_qr(design / scale)
    _check_independent(R, features, getattr(X, "columns", None))
    b = least_squares(design, target)
    errors = target - design @ b
    squares = errors @ errors
    variance = squares / (n - k)
    spread = np.linalg.norm(solve_triangular(R, np.eye(k)), axis=1) / scale  # roots of the diagonal of (XᵀX)⁻¹
    deviations = np.sqrt(variance) * spread
    leverage = np.sum(Q**2, axis=1)
    free = np.where(1 - leverage > 1e-12, 1 - leverage, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        t_values, distance = b / deviations, errors**2 * leverage / (k * variance * free**2)
    return Diagnostics(
        coefficients=b,
        standard_errors=deviations,
        t_values=t_values,
        p_values=2 * student.sf(np.abs(t_values), n - k),
        residual_deviation=float(np.sqrt(variance)),
        r_squared=float(1 - squares / np.sum((target - target.mean()) ** 2)),
        leverage=leverage,
        cooks_distance=distance,
        variance_inflation=spread[1:] ** 2 * np.sum((features - features.mean(axis=0)) ** 2, axis=0),
    )


# --- estimators -----------------------------------------------------------------------------------------------------


class _Data(NamedTuple):
    """What a model learns from, as it came and centred; constant columns are 0 in both."""

    X: np.ndarray
    y: np.ndarray
    centred: np.ndarray
    target: np.ndarray
    names: np.ndarray


class _LinearModel(RegressorMixin, BaseEstimator):
    """Predicts X·coef_ + intercept_; each class says what its `fit` minimises.

    Attributes:
        coef_: of shape (n_features,).
        intercept_: a float; 0.0 without `fit_intercept`.
        n_features_in_: how many features `fit` was given.
    """

    fit_intercept: bool

    def fit(self, X: Any, y: Any) -> Self:
        """Learn `coef_` and `intercept_` from X of shape (n_samples, n_features) and y of shape (n_samples,).

        Raises:
            ValueError: X or y has another shape or a value that cannot be squared, or a setting breaks its rule.

        Warns:
            LinAlgWarning: columns are constant (they get the coefficient 0) or, for `LinearRegression`, nearly
                dependent. It names them.
        """
        try:
            X, y = _table(*validate_data(self, X, y, dtype=np.float64, y_numeric=True))
        except ValueError as error:
            hint = ". X and y must hold numbers: encode texts first." if "string to float" in str(error) else ""
            raise ValueError(f"{error}{hint}") from None
        names = _names(getattr(self, "feature_names_in_", None), X.shape[1])
        mean, level = (X.mean(axis=0), float(y.mean())) if self.fit_intercept else (np.zeros(X.shape[1]), 0.0)
        centred = X - mean
        lengths = np.sqrt(np.einsum("ij,ij->j", centred, centred))
        constant = lengths <= 8 * EPSILON * np.sqrt(len(X)) * np.abs(mean)
        if constant.any():
            _warn(f"X has constant columns, which get the coefficient 0: {_listed(names[constant])}. Drop them.", 3)
            centred[:, constant], X, mean = 0.0, np.where(constant, 0.0, X), np.where(constant, 0.0, mean)
        self.coef_, intercept = self._solve(_Data(X, y, centred, y - level, names))
        self.intercept_ = level - float(mean @ self.coef_) if intercept is None else intercept
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return X·coef_ + intercept_, of shape (n_samples,)."""
        check_is_fitted(self)
        return validate_data(self, X, dtype=np.float64, reset=False) @ self.coef_ + self.intercept_

    def _solve(self, data: _Data) -> tuple[np.ndarray, float | None]:
        """Coefficients, and the intercept where it is not what the means leave for it."""
        raise NotImplementedError


class LinearRegression(_LinearModel):
    """Minimises ‖y - Xb - intercept‖²: `normal_equations` of a large, well-conditioned X, else `least_squares`."""

    def __init__(self, *, fit_intercept: bool = True) -> None:
        self.fit_intercept = fit_intercept

    def _solve(self, data: _Data) -> tuple[np.ndarray, float | None]:
        if not _warn_of_dependence(data) and data.X.size > SMALL:
            return normal_equations(data.centred, data.target), None
        if not self.fit_intercept:
            return least_squares(data.X, data.y), None
        b = least_squares(np.column_stack([np.ones(len(data.X)), data.X]), data.y)
        return b[1:], float(b[0])


class Ridge(_LinearModel):
    """Minimises ‖y - Xb - intercept‖² + alpha·‖b‖². The penalty sees units: standardise X first."""

    def __init__(self, alpha: float = 1.0, *, fit_intercept: bool = True) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def _solve(self, data: _Data) -> tuple[np.ndarray, float | None]:
        return normal_equations(data.centred, data.target, self.alpha), None


class Lasso(_LinearModel):
    """Minimises ‖y - Xb - intercept‖² / (2 n_samples) + alpha·Σ|b|. The penalty sees units: standardise X first.

    Attributes:
        n_iter_: sweeps over the columns.
        dual_gap_: the objective is at most this above its minimum.
    """

    def __init__(
        self, alpha: float = 1.0, *, fit_intercept: bool = True, max_iter: int = 1_000, tol: float = 1e-4
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol

    def _solve(self, data: _Data) -> tuple[np.ndarray, float | None]:
        b, gaps = coordinate_descent(data.centred, data.target, self.alpha, max_iter=self.max_iter, tol=self.tol)
        self.n_iter_, self.dual_gap_ = len(gaps), float(gaps[-1]) / len(data.y)
        if gaps[-1] > self.tol * (data.target @ data.target):
            text = f"max_iter={self.max_iter} sweeps were too few for tol={self.tol}: the gap is {self.dual_gap_:.3g}."
            warnings.warn(f"{text} Raise max_iter or alpha, or standardise X.", ConvergenceWarning, stacklevel=3)
        return b, None


# --- arithmetic -----------------------------------------------------------------------------------------------------


def _powers_of_two(A: np.ndarray) -> np.ndarray:
    """The power of two nearest to each column's length: dividing by it rounds nothing."""
    lengths = np.linalg.norm(A, axis=0)
    return np.exp2(np.round(np.log2(np.where(lengths > 0, lengths, 1.0))))


def _precise_product(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A @ b, rounded once: products and sums keep their rounding errors (Ogita, Rump and Oishi, 2005)."""
    terms = A * b
    high_a, high_b = _upper_half(A), _upper_half(b)
    low_a, low_b = A - high_a, b - high_b
    lost = (low_a * low_b - (((terms - high_a * high_b) - low_a * high_b) - high_a * low_b)).sum(axis=1)
    while terms.shape[1] > 1:
        half = terms.shape[1] // 2
        left, right, odd = terms[:, :half], terms[:, half : 2 * half], terms[:, 2 * half :]
        sums = left + right
        virtual = sums - left
        lost += ((left - (sums - virtual)) + (right - virtual)).sum(axis=1)
        terms = np.hstack([sums, odd])
    return terms[:, 0] + lost


def _upper_half(values: np.ndarray) -> np.ndarray:
    """The upper 26 bits of each number (Veltkamp, 1968): a product of two such halves is exact."""
    shifted = values * 134_217_729.0  # 2²⁷ + 1
    return shifted - (shifted - values)


def _cholesky(gram: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """How to solve gram·b = c, its diagonal scaled to ones. Columns of zeros get 0; a singular matrix is refused."""
    lengths = np.sqrt(np.diag(gram))
    scale = np.where(lengths > 0, lengths, 1.0)
    try:
        factor = cho_factor(gram / np.outer(scale, scale) + np.diag(lengths == 0), lower=True)
    except np.linalg.LinAlgError:
        factor = None
    if factor is None or np.diag(factor[0]).min() ** 2 < len(gram) * EPSILON:
        raise ValueError(
            "X has dependent columns: XᵀX + alpha·I is singular. Drop a column, raise alpha, or take least_squares."
        )
    return lambda c: cho_solve(factor, c / scale) / scale


def _duality_gap(b: np.ndarray, slopes: np.ndarray, products: np.ndarray, total: float, weight: float) -> float:
    """How far the lasso's objective is from its minimum at most: the distance to a feasible point of the dual."""
    with_target = total - b @ products  # residual · y
    squares = total - b @ (products + slopes)  # residual · residual
    steepest = np.abs(slopes).max()
    shrink = 1.0 if steepest <= weight else weight / steepest
    gap = squares / 2 + weight * np.abs(b).sum() - shrink * with_target + shrink**2 * squares / 2
    return float(max(gap, 0.0))


# --- checks of what is given ----------------------------------------------------------------------------------------


def _table(X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    A, target = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
    if A.ndim != 2 or target.shape != A.shape[:1] or A.size == 0:
        raise ValueError(f"X must be of shape (n, columns) and y of shape (n,), got {A.shape} and {target.shape}.")
    for name, values in (("X", A), ("y", target)):
        squares = np.einsum("i...,i...->...", values, values)
        if not np.isfinite(squares).all():
            wrong = values[~(np.abs(values) < 1e150)]
            shown = wrong[0] if wrong.size else np.abs(values).max()
            raise ValueError(f"{name} must hold finite numbers whose squares are finite, got {shown}. Rescale them.")
    return A, target


def _check_number(name: str, value: Any, *, zero: bool = True) -> None:
    rule = "at least 0" if zero else "above 0"
    if not isinstance(value, Real) or not 0 <= float(value) < np.inf or (value == 0 and not zero):
        raise ValueError(f"{name} must be a finite number {rule}, got {value!r}.")


def _start(start: ArrayLike | None, columns: int) -> np.ndarray:
    """A copy of the first coefficients; zeros where none are given."""
    b = np.zeros(columns) if start is None else np.array(start, dtype=float)
    if b.shape != (columns,) or not np.isfinite(b).all():
        raise ValueError(f"start must hold {columns} finite numbers, one for each column of X, got {start!r}.")
    return b


def _check_learning_rate(A: np.ndarray, learning_rate: float) -> None:
    _check_number("learning_rate", learning_rate, zero=False)
    steepest = float(np.linalg.norm(A, 2)) ** 2 / len(A)
    if learning_rate * steepest >= 2:
        raise ValueError(
            f"learning_rate must be below 2 / {steepest:.6g} = {2 / steepest:.6g} on these columns, got "
            f"{learning_rate}: every step would overshoot. Lower it, or standardise the columns."
        )


def _check_can_be_judged(target: np.ndarray, k: int) -> None:
    if len(target) <= k:
        raise ValueError(f"X must have more than {k} rows: {k} coefficients, and one to judge by. Got {len(target)}.")
    if np.ptp(target) == 0:
        raise ValueError(f"y must vary, got {target[0]} throughout: there is nothing to explain.")


def _check_independent(R: np.ndarray, features: np.ndarray, columns: Any) -> None:
    sizes = np.linalg.svd(R, compute_uv=False)
    if sizes[-1] <= len(features) * EPSILON * sizes[0]:
        names, constant = _names(columns, features.shape[1]), np.ptp(features, axis=0) == 0
        involved = constant if constant.any() else _dependence(features - features.mean(axis=0))[1]
        raise ValueError(f"X has constant or dependent columns: {_listed(names[involved])}. Drop one.")


def _dependence(centred: np.ndarray) -> tuple[float, np.ndarray]:
    """Condition number of the columns at unit length, and which take part where it is above `CONDITION`."""
    gram = centred.T @ centred
    lengths = np.sqrt(np.diag(gram))
    scale = np.where(lengths > 0, lengths, 1.0)
    sizes, directions = np.linalg.eigh(gram / np.outer(scale, scale) + np.diag(lengths == 0))
    shares = np.abs(directions[:, sizes < sizes[-1] / CONDITION**2])
    involved = (shares > 0.1 * shares.max(axis=0, initial=0)).any(axis=1)
    return float(np.sqrt(sizes[-1] / max(sizes[0], len(sizes) * EPSILON * sizes[-1]))), involved


def _warn_of_dependence(data: _Data) -> bool:
    n, k = data.X.shape
    if n <= k:
        _warn(f"X has {k} columns and only {n} rows: of the coefficients that fit exactly, the smallest are taken.", 5)
        return True
    condition, involved = _dependence(data.centred)
    if condition > CONDITION:
        moved = _listed(data.names[involved])
        _warn(
            f"X is ill-conditioned, with a condition number of at least {condition:.1g}: columns {moved} nearly depend "
            "on each other, and rounding in the data moves their coefficients. Drop one, or use Ridge.",
            5,
        )
    return condition > CONDITION


def _warn(text: str, stacklevel: int) -> None:
    warnings.warn(text, LinAlgWarning, stacklevel=stacklevel)


def _names(columns: Any, count: int) -> np.ndarray:
    """The columns' names for messages; their numbers where they have none."""
    return np.array([str(j) for j in range(count)] if columns is None else [repr(str(name)) for name in columns])


def _listed(names: np.ndarray, most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
