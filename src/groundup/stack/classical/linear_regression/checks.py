"""Checks of linear_regression."""

import warnings
from math import comb

import numpy as np
import pytest
from scipy import stats
from sklearn import linear_model

from groundup.checking import (
    assert_close,
    assert_number_kinds,
    assert_refuses,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
    estimator_conventions,
    numerical_gradient,
)
from groundup.stack.classical.linear_regression import (
    Lasso,
    LinearRegression,
    Ridge,
    coordinate_descent,
    diagnostics,
    gradient_descent,
    householder_qr,
    least_squares,
    normal_equations,
)

# Three points and a line: mean x 2, mean y 10/3, slope 3/2, intercept 1/3, residuals 1/6, -1/3, 1/6.
POINTS, HEIGHTS = np.array([[1.0], [2.0], [3.0]]), np.array([2.0, 3.0, 5.0])
DESIGN = np.column_stack([np.ones(3), POINTS])

# Powers of 0 to 20 up to the fifth, which nearly depend on each other.
POWERS = np.vander(np.arange(21.0), 6, increasing=True)


class Frame:
    """A table whose columns have names."""

    def __init__(self, values, columns):
        self.values, self.columns, self.shape = values, columns, values.shape

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)

    def __len__(self):
        return len(self.values)


def draw(rng, rows=60, columns=4):
    """A design with columns of different sizes, and targets with noise."""
    X = rng.normal(size=(rows, columns)) * np.array([1, 10, 0.1, 3])[:columns] + 1
    return X, X @ np.array([2, -0.3, 5, 0])[:columns] + rng.normal(size=rows)


# --- normal equations -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solve", [normal_equations, least_squares])
def test_the_line_through_three_points(solve):
    """(1, 2), (2, 3), (3, 5): the slope is 3/2 and the intercept 10/3 - 2 · 3/2 = 1/3."""
    assert_close(solve(DESIGN, HEIGHTS), [1 / 3, 3 / 2], rtol=1e-12)


@pytest.mark.parametrize("solve", [normal_equations, least_squares])
def test_it_is_numpys_least_squares(solve, rng):
    """It is the solution of numpy.linalg.lstsq, its residuals are orthogonal to X, and X and y stay as they are."""
    X, y = draw(rng)
    b = solve(X, y)
    assert_close(b, np.linalg.lstsq(X, y)[0], "60 rows, 4 columns", rtol=1e-9)
    assert_close(X.T @ (y - X @ b), np.zeros(4), "Xᵀ(y - Xb), which is 0 at the least squares", atol=1e-9)
    assert_unchanged(solve, X, y)
    assert_number_kinds(solve, DESIGN, HEIGHTS)


def test_normal_equations_with_a_penalty(rng):
    """The penalty alpha·‖b‖² is that of alpha's root times the identity as further rows, with targets 0."""
    X, y = draw(rng)
    for alpha in (0.1, 7.0, 1e4):
        stacked = np.vstack([X, np.sqrt(alpha) * np.eye(4)])
        expected = np.linalg.lstsq(stacked, np.append(y, np.zeros(4)))[0]
        assert_close(normal_equations(X, y, alpha), expected, f"alpha={alpha}", rtol=1e-9)


def test_normal_equations_are_corrected():
    """One correction wins back digits that XᵀX costs: on powers of 0 to 20 up to the fifth, ten are right, not six."""
    assert_close(normal_equations(POWERS, POWERS.sum(axis=1)), np.ones(6), rtol=1e-10)
    penalised = normal_equations(POWERS, POWERS.sum(axis=1), 1e-3)
    stacked = np.vstack([POWERS, np.sqrt(1e-3) * np.eye(6)])
    expected = least_squares(stacked, np.append(POWERS.sum(axis=1), np.zeros(6)))
    assert_close(penalised, expected, "the same with alpha=0.001", rtol=1e-9)


def test_normal_equations_refuse_what_is_singular():
    """Columns that depend on each other have no single solution, unless alpha is above 0; a column of zeros gets 0."""
    twice = np.column_stack([DESIGN, 2 * POINTS])
    assert_refuses(lambda: normal_equations(twice, HEIGHTS), message="a column and its double")
    assert_close(normal_equations(twice, HEIGHTS, 1.0)[2], 2 * normal_equations(twice, HEIGHTS, 1.0)[1], "alpha=1")
    with_zeros = normal_equations(np.column_stack([DESIGN, np.zeros(3)]), HEIGHTS)
    assert_close(with_zeros, [1 / 3, 3 / 2, 0], "a column of zeros")


def test_normal_equations_refuse_other_penalties():
    """Alpha is a finite number of at least 0."""
    assert_refuses_values(lambda alpha: normal_equations(DESIGN, HEIGHTS, alpha), "alpha", -1.0, np.nan, np.inf, "1")


# --- QR -------------------------------------------------------------------------------------------------------------


def test_householder_qr_by_hand():
    """The column (3, 4) has the length 5: R is ±5, and Q is ±(3/5, 4/5)."""
    Q, R = householder_qr(np.array([[3], [4]]))
    assert_close(np.abs(R), [[5]], "|R|")
    assert_close(Q * np.sign(R[0, 0]), [[0.6], [0.8]], "Q, with the sign that makes R positive")


@pytest.mark.parametrize("shape", [(7, 3), (4, 4), (3, 5), (1, 1)])
def test_householder_qr_is_numpys(shape, rng):
    """But for signs it is numpy.linalg.qr: QR = A, columns of Q orthonormal, R zero below the diagonal."""
    A = rng.normal(size=shape)
    Q, R = householder_qr(A)
    expected_Q, expected_R = np.linalg.qr(A)
    signs = np.sign(np.diag(R)) * np.sign(np.diag(expected_R))
    assert_close(Q * signs, expected_Q, f"Q of a matrix of shape {shape}, signs aligned")
    assert_close(R * signs[:, None], expected_R, f"R of a matrix of shape {shape}, signs aligned")
    assert_close(np.tril(R, -1), np.zeros(R.shape), "below R's diagonal", atol=0)
    assert_close(householder_qr(A * 2.0**-200)[1] * 2.0**200, R, "R of a matrix of tiny numbers, as large again")
    assert_unchanged(householder_qr, A)


@pytest.mark.parametrize("small", [1e-3, 1e-9])
def test_q_is_orthonormal_however_close_the_columns(small):
    """Columns (1, ε, 0) and (1, 0, ε) are almost one direction; the columns of Q are at a right angle all the same."""
    for A in (np.array([[1, 1], [small, 0], [0, small]]), np.array([[-1, -1], [small, 0], [0, small]])):
        Q, R = householder_qr(A)
        assert_close(Q.T @ Q, np.eye(2), f"QᵀQ of {A.tolist()}", rtol=0, atol=1e-14)
        assert_close(Q @ R, A, f"QR of {A.tolist()}", rtol=0, atol=1e-15)


def test_householder_qr_of_columns_without_direction():
    """Columns of zeros, one that begins with 0, one twice, and whole numbers: QR is A, Q is orthonormal still."""
    zeros, twice = [[0.0, 2, 2], [0, 1, 1], [0, -1, -1], [0, 3, 3]], [[0.0, 1], [1, 2], [1, 3]]
    for A in (np.array(zeros), np.array(twice), np.array([[1, 2], [1, 3], [1, 5]])):
        Q, R = householder_qr(A)
        assert_close(Q @ R, A, f"QR of {A.tolist()}")
        assert_close(Q.T @ Q, np.eye(A.shape[1]), f"QᵀQ of {A.tolist()}")


# --- least squares --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("degree", "points"), [(5, 21), (8, 13), (10, 16)])
@pytest.mark.parametrize("noise", [0, 1, 10_000])
def test_least_squares_of_near_dependent_powers(degree, points, noise):
    """Powers of 0, 1, 2, … and errors orthogonal to them: each coefficient is 1, to 13 digits."""
    X, errors = np.vander(np.arange(float(points)), degree + 1, increasing=True), np.zeros(points)
    differences = np.array([comb(degree + 1, k) * (-1) ** k for k in range(degree + 2)])  # of any polynomial they are 0
    for first in range(points - degree - 1):
        errors[first : first + degree + 2] += differences
    b = least_squares(X, X.sum(axis=1) + noise * errors)
    message = f"powers of 0 to {points - 1} up to the power {degree}, the errors times {noise}"
    assert_close(b, np.ones(degree + 1), message, rtol=1e-13, atol=0)


def test_least_squares_knows_no_units(rng):
    """A column in other units has its coefficient in other units, digit by digit, over 300 powers of ten and more."""
    X, y = draw(rng)
    units = np.array([1e-120, 1e100, 1.0, 1e12])
    assert_close(least_squares(X * units, y) * units, least_squares(X, y), rtol=1e-12)


def test_least_squares_of_dependent_columns():
    """Of all solutions it is the smallest in columns of about unit length: two equal columns share their part."""
    b = least_squares(np.column_stack([DESIGN, POINTS]), HEIGHTS)
    assert_close(b, [1 / 3, 3 / 4, 3 / 4], "a column given twice", rtol=1e-12)
    with_zeros = least_squares(np.column_stack([DESIGN, np.zeros(3)]), HEIGHTS)
    assert_close(with_zeros, [1 / 3, 3 / 2, 0], "a column of zeros", rtol=1e-12)
    near = np.column_stack([POINTS, POINTS * (1 + 3e-16)])
    assert np.abs(least_squares(near, HEIGHTS)).max() < 10, "equal to the last digit is equal: got a huge coefficient"


def test_least_squares_of_few_rows(rng):
    """With fewer rows than columns it fits exactly, by the smallest coefficients."""
    X, y = rng.choice([-1.0, 1.0], size=(3, 5)), rng.normal(size=3)  # columns of one length: none is scaled
    assert_close(least_squares(X, y), np.linalg.pinv(X) @ y, "3 rows, 5 columns", rtol=1e-9)


@pytest.mark.parametrize(
    "function",
    [
        normal_equations,
        least_squares,
        lambda X, y: gradient_descent(X, y, learning_rate=0.1),
        lambda X, y: coordinate_descent(X, y, 1.0),
        diagnostics,
    ],
)
def test_what_is_no_table_is_refused(function):
    """Another number of targets than rows, no rows, one axis, NaN, and numbers too large to square are refused."""
    assert_refuses(lambda: function(DESIGN, HEIGHTS[:2]), 3, 2, message="three rows, two targets")
    assert_refuses(lambda: function(np.zeros((0, 2)), []), message="no rows")
    assert_refuses(lambda: function(HEIGHTS, HEIGHTS), message="X without columns")
    for name, value in (("X", np.nan), ("X", 1e200), ("y", -np.inf)):
        X, y = DESIGN.copy(), HEIGHTS.copy()
        (X[:, 1] if name == "X" else y)[1] = value
        assert_refuses(lambda X=X, y=y: function(X, y), rf"\b{name}\b", value, message=f"{value} in {name}")


# --- gradient descent -----------------------------------------------------------------------------------------------


def test_gradient_descent_by_hand():
    """From (0, 0) the gradient is -(10/3, 23/3), so a step of 0.1 leads to (1/3, 23/30); the loss was 38/6."""
    b, losses = gradient_descent(DESIGN, HEIGHTS, learning_rate=0.1, max_iter=1)
    assert_close(b, [1 / 3, 23 / 30], "after one step")
    assert_close(losses, [38 / 6, np.mean((DESIGN @ [1 / 3, 23 / 30] - HEIGHTS) ** 2) / 2], "the loss before and after")


def test_gradient_descent_follows_the_gradient(rng):
    """From any start, the step is the learning rate times the gradient of ‖y - Xb‖² / (2n), by finite differences."""
    X, y = draw(rng)
    start = rng.normal(size=4)
    slope = numerical_gradient(lambda b: np.mean((y - X @ b) ** 2) / 2, start)
    b, _ = gradient_descent(X, y, learning_rate=0.01, max_iter=1, start=start)
    assert_close(b, start - 0.01 * slope, rtol=1e-5)
    assert_unchanged(lambda X, y, start: gradient_descent(X, y, learning_rate=0.01, start=start), X, y, start)
    for other in ([1.0], np.ones(5)):
        assert_refuses(
            lambda other=other: gradient_descent(X, y, learning_rate=0.01, start=other),
            message=f"{len(other)} first coefficients for 4 columns",
        )


def test_gradient_descent_arrives():
    """It ends at the least squares, the loss falls at every step, and it stops once the gradient is at most tol."""
    b, losses = gradient_descent(DESIGN, HEIGHTS, learning_rate=0.3, max_iter=5_000, tol=1e-10)
    assert_close(b, [1 / 3, 3 / 2], "the last coefficients", rtol=1e-7)
    assert (np.diff(losses) < 1e-15).all(), "the loss rises on the way"
    gradient = DESIGN.T @ (DESIGN @ b - HEIGHTS) / 3
    assert np.abs(gradient).max() <= 1e-10, f"it stopped at a gradient of {gradient}, where tol is 1e-10"
    before = gradient_descent(DESIGN, HEIGHTS, learning_rate=0.3, max_iter=len(losses) - 2, tol=1e-10)[0]
    gradient = DESIGN.T @ (DESIGN @ before - HEIGHTS) / 3
    assert np.abs(gradient).max() > 1e-10, f"one step earlier the gradient was {gradient}, at most tol already"


def test_gradient_descent_stops():
    """`max_iter` steps give max_iter + 1 losses; where the gradient is at most tol, there is no step at all."""
    for steps in (0, 1, 7):
        history = gradient_descent(DESIGN, HEIGHTS, learning_rate=0.1, max_iter=steps).history
        assert_shape(history, (steps + 1,), f"max_iter={steps}: the losses, as an array")
    b, losses = gradient_descent([[1.0], [1.0]], [3.0, 5.0], learning_rate=0.1, tol=2.0, start=[2.0])
    assert_close(b, [2.0], "a gradient of -2 and tol=2: the start")
    assert_shape(b, (1,), "coefficients are an array, the start too")
    assert_close(losses, [2.5], "the loss at the start")
    assert len(gradient_descent(DESIGN, HEIGHTS, learning_rate=0.001).history) == 1_001, "max_iter is 1,000 by default"
    b, _ = gradient_descent(DESIGN, HEIGHTS, learning_rate=0.3)
    assert np.abs(DESIGN.T @ (DESIGN @ b - HEIGHTS) / 3).max() <= 1e-8, "tol is 1e-8 by default"


def test_gradient_descent_refuses_to_overshoot():
    """The largest eigenvalue of XᵀX/n is 4 here: a learning rate of 2/4 or more is refused, with that bound."""
    X, y = np.array([[4.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]]), np.arange(4.0)
    assert len(gradient_descent(X, y, learning_rate=0.499, max_iter=9).history) == 10
    for rate in (0.501, 3.0):
        assert_refuses(lambda rate=rate: gradient_descent(X, y, learning_rate=rate), "learning_rate", 0.5, rate)
    assert_refuses_values(
        lambda rate: gradient_descent(X, y, learning_rate=rate), "learning_rate", 0.0, -1.0, np.nan, None
    )
    assert_refuses_values(lambda count: gradient_descent(X, y, learning_rate=0.1, max_iter=count), "max_iter", -1)
    assert_refuses_values(lambda tol: gradient_descent(X, y, learning_rate=0.1, tol=tol), "tol", -1.0, np.nan)


# --- coordinate descent ---------------------------------------------------------------------------------------------


def test_coordinate_descent_of_one_column():
    """x·y is 23, x·x is 14, n is 3: at alpha=1 the coefficient is (23 - 3) / 14, and from alpha=23/3 on it is 0."""
    for alpha, expected in ((1.0, 20 / 14), (2.0, 17 / 14), (23 / 3, 0.0), (50.0, 0.0)):
        assert_close(coordinate_descent(POINTS, HEIGHTS, alpha).coefficients, [expected], f"alpha={alpha}")
        negative = coordinate_descent(POINTS, -HEIGHTS, alpha).coefficients
        assert_close(negative, [-expected], f"alpha={alpha} and y of the other sign")
        for unit in (0.01, 1e6):
            in_units = coordinate_descent(POINTS * unit, HEIGHTS, alpha * unit).coefficients
            assert_close(in_units, [expected / unit], f"alpha={alpha * unit} and x in units that make it {unit} times")


@pytest.mark.parametrize("alpha", [0.01, 0.3, 2.0])
def test_coordinate_descent_is_scikit_learns(alpha, rng):
    """It is scikit-learn's Lasso, zeros and all, on columns that are correlated."""
    X, y = draw(rng)
    X[:, 2] += 0.9 * X[:, 0]
    expected = linear_model.Lasso(alpha=alpha, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(X, y).coef_
    b = coordinate_descent(X, y, alpha, tol=1e-12, max_iter=2_000).coefficients
    assert_close(b, expected, f"alpha={alpha}", rtol=1e-5, atol=1e-7)
    assert_close((b == 0), (expected == 0), "which coefficients are exactly 0")
    assert_unchanged(lambda X, y: coordinate_descent(X, y, alpha), X, y)


def test_the_gap_bounds_the_distance(rng):
    """After each sweep the objective times n is at most the gap above its minimum; no gap is wider than defined."""
    X, y = draw(rng)
    X[:, 3] = X[:, 0] + 0.1 * X[:, 3]

    def objective(b):
        return np.sum((y - X @ b) ** 2) / 2 + len(y) * 0.2 * np.abs(b).sum()

    least = objective(coordinate_descent(X, y, 0.2, tol=1e-15, max_iter=2_000).coefficients)
    for sweeps in (1, 2, 5, 20):
        b, gaps = coordinate_descent(X, y, 0.2, tol=0.0, max_iter=sweeps)
        assert len(gaps) == sweeps, f"max_iter={sweeps}: {len(gaps)} gaps"
        assert objective(b) - least <= gaps[-1] + 1e-9, f"after {sweeps} sweeps the gap is {gaps[-1]}, and no bound"
        residual = y - X @ b
        point = residual * min(1.0, len(y) * 0.2 / np.abs(X.T @ residual).max())  # feasible in the dual
        widest = objective(b) - (y @ y - (y - point) @ (y - point)) / 2
        assert gaps[-1] <= widest * (1 + 1e-6) + 1e-9, f"after {sweeps} sweeps the gap is {gaps[-1]}, not {widest}"
    gaps = coordinate_descent(X, y, 0.2, tol=0.0, max_iter=400).history
    assert gaps[-1] < gaps[0] / 10, f"the gap was {gaps[0]:.4g}, after {len(gaps)} sweeps it is {gaps[-1]:.4g}"


def test_coordinate_descent_stops_at_tol(rng):
    """It stops after the first sweep whose gap is at most tol·‖y‖²."""
    X, y = draw(rng)
    X[:, 3] = X[:, 0] + 0.1 * X[:, 3]
    gaps = coordinate_descent(X, y, 0.01, tol=0.0, max_iter=400).history
    for limit in (gaps[4] * (1 + 1e-9), gaps[4] * (1 - 1e-9)):
        first = int(np.argmax(gaps <= limit)) + 1
        sweeps = len(coordinate_descent(X, y, 0.01, tol=float(limit / (y @ y))).history)
        assert sweeps == first, f"the gap is first at most tol·‖y‖² = {limit:.9g} after {first} sweeps, not {sweeps}"
    by_default = coordinate_descent(X, y, 0.01).history
    assert by_default[-1] <= 1e-4 * (y @ y) < by_default[-2], "tol is 1e-4 by default"
    alike = np.column_stack([X[:, 0], X[:, 0] + 1e-4 * X[:, 1]])  # far too alike to be told apart in 1,000 sweeps
    assert len(coordinate_descent(alike, y, 1e-9, tol=0.0).history) == 1_000, "max_iter is 1,000 by default"


def test_coordinate_descent_leaves_out_columns_of_zeros():
    """A column of zeros has the coefficient 0. One whose coefficient is 0 after a sweep may have another in the end."""
    b = coordinate_descent(np.column_stack([np.zeros(3), POINTS]), HEIGHTS, 1.0).coefficients
    assert_close(b, [0, 20 / 14])
    history = coordinate_descent(np.zeros((3, 2)), HEIGHTS, 1.0).history
    assert_shape(history, (1,), "nothing but zeros: one sweep, and the history is an array")
    b = coordinate_descent([[1, 1], [0, 1]], [0, 2], 0.05, tol=1e-12).coefficients
    assert_close(b, [-1.7, 1.8], "columns (1, 0) and (1, 1), y (0, 2): the first coefficient leaves 0", atol=1e-4)


def test_coordinate_descent_refuses_other_settings():
    """Alpha and max_iter are above 0, tol at least 0."""
    assert_refuses_values(lambda alpha: coordinate_descent(POINTS, HEIGHTS, alpha), "alpha", 0.0, -1.0, np.nan, None)
    assert_refuses_values(lambda count: coordinate_descent(POINTS, HEIGHTS, 1.0, max_iter=count), "max_iter", 0, -1)
    assert_refuses_values(lambda tol: coordinate_descent(POINTS, HEIGHTS, 1.0, tol=tol), "tol", -1.0, np.nan)


# --- diagnostics ----------------------------------------------------------------------------------------------------


def test_diagnostics_by_hand():
    """Residuals 1/6, -1/3, 1/6 and one degree of freedom: s² is 1/6, that of the slope 1/12, R² is 1 - 1/28."""
    fit = diagnostics(POINTS, HEIGHTS)
    assert_close(fit.coefficients, [1 / 3, 3 / 2], "intercept and slope")
    assert_close(fit.standard_errors, np.sqrt([1 / 6 * (1 / 3 + 4 / 2), 1 / 12]), "standard errors")
    assert_close(fit.t_values, [1 / 3 / np.sqrt(7 / 18), 1.5 * np.sqrt(12)], "t: coefficient by standard error")
    assert_close(fit.p_values, 1 - 2 / np.pi * np.arctan(fit.t_values), "p: t with one degree of freedom is Cauchy's")
    assert_close([fit.residual_deviation, fit.r_squared], [np.sqrt(1 / 6), 27 / 28], "residual deviation and R²")
    assert_close(fit.leverage, [5 / 6, 1 / 3, 5 / 6], "leverage: 1/n + (x - mean)² / 2")
    assert_close(fit.cooks_distance, [5 / 2, 1 / 4, 5 / 2], "Cook's distance: e² h / (2 s² (1 - h)²)")
    assert_close(fit.variance_inflation, [1.0], "a feature alone is inflated by none")
    assert isinstance(fit.r_squared, float), f"R² is a number, got {fit.r_squared!r}"
    assert isinstance(fit.residual_deviation, float), f"the deviation is a number, got {fit.residual_deviation!r}"


def test_diagnostics_by_the_inverse(rng):
    """Standard errors and leverage are those of (XᵀX)⁻¹, t and p those of Student's distribution."""
    X, y = draw(rng)
    design = np.column_stack([np.ones(60), X])
    inverse = np.linalg.inv(design.T @ design)
    b = inverse @ design.T @ y
    variance = np.sum((y - design @ b) ** 2) / 55
    fit = diagnostics(X, y)
    assert_close(fit.standard_errors, np.sqrt(variance * np.diag(inverse)), "standard errors")
    assert_close(fit.leverage, np.diag(design @ inverse @ design.T), "leverage, the diagonal of X(XᵀX)⁻¹Xᵀ")
    p = 2 * stats.t(55).cdf(-np.abs(b) / np.sqrt(variance * np.diag(inverse)))
    assert_close(fit.p_values, p, "two-sided p, 55 degrees of freedom")
    assert_close(fit.r_squared, linear_model.LinearRegression().fit(X, y).score(X, y), "R²")
    assert_close(diagnostics(X, y + 1e7).r_squared, fit.r_squared, "R² where y is 10,000,000 larger", rtol=1e-6)
    assert_unchanged(diagnostics, X, y)


def test_cooks_distance_is_that_of_leaving_a_row_out(rng):
    """It is the squared shift of all predictions when the row is left out, by n_coefficients · s²."""
    X, y = draw(rng, rows=12)
    design = np.column_stack([np.ones(12), X])
    fit = diagnostics(X, y)
    for row in range(12):
        without = np.linalg.lstsq(np.delete(design, row, 0), np.delete(y, row))[0]
        shift = np.sum((design @ (fit.coefficients - without)) ** 2) / (5 * fit.residual_deviation**2)
        assert_close(fit.cooks_distance[row], shift, f"row {row}", rtol=1e-6)


def test_variance_inflation_is_what_the_others_explain(rng):
    """The factor of a feature is 1 / (1 - R²) of its own regression on the other features."""
    X, y = draw(rng)
    X[:, 3] += X[:, 0] - X[:, 1] / 5
    explained = [
        linear_model.LinearRegression().fit(rest, X[:, j]).score(rest, X[:, j])
        for j, rest in enumerate(np.delete(X, j, 1) for j in range(4))
    ]
    assert_close(diagnostics(X, y).variance_inflation, 1 / (1 - np.array(explained)), rtol=1e-6)


def test_diagnostics_of_a_row_of_its_own():
    """A row that alone holds a feature has leverage 1: no fit can miss it, and Cook's distance is NaN."""
    X = np.column_stack([np.arange(6.0), np.eye(6)[2]])
    for y in ([1.0, 2, 7, 3, 5, 4], [0.1, 0.7, 0.3, 1.1, 0.2, 0.9]):  # the third residual is 0, and a rounding
        fit = diagnostics(X, y)
        assert_close(fit.leverage[2], 1.0, "leverage of the third row")
        assert np.isnan(fit.cooks_distance).tolist() == [False, False, True, False, False, False], fit.cooks_distance
    X[5, 1] = 0.01
    fit = diagnostics(X, [1.0, 2, 7, 3, 5, 4])
    assert 0.999 < fit.leverage[2] < 1, f"leverage where another row holds a little: {fit.leverage[2]}"
    assert np.isfinite(fit.cooks_distance).all(), f"Cook's distance at leverages below 1: {fit.cooks_distance}"


def test_diagnostics_of_an_exact_fit():
    """Residuals of 0, or of rounding: R² is 1, errors are 0, t is huge or infinite and p is 0, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = diagnostics(np.arange(4.0)[:, None], 1 + 2 * np.arange(4.0))
    assert_close([fit.r_squared, fit.residual_deviation], [1, 0], "R² and residual deviation")
    assert (fit.t_values > 1e9).all(), f"t is a coefficient by an error of almost 0, got {fit.t_values}"
    assert_close(fit.p_values, [0, 0], "p")
    by_powers = diagnostics(POWERS[:, 1:], POWERS.sum(axis=1)).coefficients
    assert_close(by_powers, np.ones(6), "powers of 0 to 20 up to the fifth: the digits of least_squares", rtol=1e-9)


def test_diagnostics_refuse_what_cannot_be_judged(rng):
    """No row left to judge by, a constant y, and dependent or constant columns, by name, are refused."""
    assert_refuses(lambda: diagnostics(POINTS[:2], HEIGHTS[:2]), r"\bX\b", 2, message="two rows, two coefficients")
    assert_refuses(lambda: diagnostics(POINTS, [4.0, 4.0, 4.0]), r"\by\b", 4, message="a constant y")
    X, y = draw(rng)
    X[:, 2] = 3 * X[:, 0] - 1
    assert_refuses(lambda: diagnostics(X, y), "0", "2", message="column 2 is three times column 0, less 1")
    table = Frame(np.column_stack([X[:, :2], np.full(60, 0.1)]), ["requests", "hour", "zone"])
    assert_refuses(lambda: diagnostics(table, y), "zone", message="the column 'zone' is constant")


# --- estimators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convention", estimator_conventions("regressor"))
@pytest.mark.parametrize("make", [LinearRegression, Ridge, lambda: Lasso(alpha=0.01, tol=1e-10)])
def test_they_keep_scikit_learns_conventions(make, convention):
    """They keep scikit-learn's conventions."""
    convention(make)


@pytest.mark.parametrize("rows", [60, 26_000])
@pytest.mark.parametrize("name", ["LinearRegression", "Ridge", "Lasso"])
def test_they_are_scikit_learns(name, rows, rng):
    """With and without an intercept, on small tables and on large ones, they are scikit-learn's."""
    X, y = draw(rng, rows)
    settings = {} if name == "LinearRegression" else {"alpha": 0.2}
    for fit_intercept in (True, False):
        peer = {"tol": 1e-12} if name == "Lasso" else {}
        theirs = getattr(linear_model, name)(fit_intercept=fit_intercept, **settings, **peer).fit(X, y)
        make = {"LinearRegression": LinearRegression, "Ridge": Ridge, "Lasso": Lasso}[name]
        ours = make(fit_intercept=fit_intercept, **settings, **peer).fit(X, y)
        assert_close(ours.coef_, theirs.coef_, f"coef_, fit_intercept={fit_intercept}", rtol=1e-6, atol=1e-8)
        assert_close(ours.intercept_, theirs.intercept_, f"intercept_, fit_intercept={fit_intercept}", rtol=1e-6)


def test_linear_regression_names_columns_that_depend(rng):
    """Nearly dependent columns, and constant ones, are named in a warning."""
    X, y = draw(rng)
    X[:, 3] = X[:, 1] * (1 + 1e-6 * X[:, 3])
    with pytest.warns(RuntimeWarning, match="1, 3"):
        LinearRegression().fit(X, y)
    X[:, 3] = 7.1
    with pytest.warns(RuntimeWarning, match=r"constant.*: 3\."):
        assert LinearRegression().fit(X, y).coef_[3] == 0, "the coefficient of a constant column is 0"
