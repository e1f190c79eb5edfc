"""Linear regression: least squares three ways, ridge and lasso, and diagnostics."""

from groundup.stack.classical.linear_regression.linear_regression import (
    Descent,
    Diagnostics,
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

__all__ = [
    "Descent",
    "Diagnostics",
    "Lasso",
    "LinearRegression",
    "Ridge",
    "coordinate_descent",
    "diagnostics",
    "gradient_descent",
    "householder_qr",
    "least_squares",
    "normal_equations",
]
