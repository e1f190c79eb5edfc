"""Logistic regression, binary and multi-class: stable losses, their gradients, gradient descent and Newton's method.

The model is linear in the log-odds: log(p / (1 - p)) = x·w + b. Fitting minimises the objective

    J(w, b) = 1/n · ( Σᵢ loss(xᵢ·w + b, yᵢ) + l2/2 · ‖w‖² )

which is convex; the intercept b is not penalised. Multiplying by n/l2 gives scikit-learn's objective
½‖w‖² + C · Σ loss, so C = 1/l2 there is `l2` here. Everything is computed in float64.

Parameters travel as one array, the intercept last: shape (n_features + 1,), or (n_features + 1, n_classes) for
softmax regression. `add_intercept` gives X the matching column of ones: the design matrix. Of a large table it is
only made in blocks of rows, which stay in the processor's cache.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.optimize import linprog
from scipy.sparse.linalg import LinearOperator, cg
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array

LARGEST = 1e100
"""Features beyond it are refused: the squares of their sums would overflow."""

BLOCK = 2**17
"""Numbers in a block of rows: a megabyte."""

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]
Map = Callable[[np.ndarray], np.ndarray]


class Fit(NamedTuple):
    """Where a minimiser stopped.

    Attributes:
        parameters: the last point.
        losses: the objective before the first step and after every step.
        converged: whether the largest entry of the gradient, in absolute value, is at most `tol`.
    """

    parameters: np.ndarray
    losses: np.ndarray
    converged: bool


# --- probabilities and losses, from logits -------------------------------------------------------------------


def sigmoid(logits: ArrayLike) -> np.ndarray:
    """Turn log-odds into probabilities, 1 / (1 + exp(-z)), without overflow at any z.

    Args:
        logits: log-odds of any shape.

    Returns:
        Probabilities of the same shape, in float64, accurate in both tails.
    """
    z = np.asarray(logits, dtype=float)
    small = np.exp(-np.abs(z))  # in (0, 1]: the exponential of a positive number would overflow
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def binary_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean negative log-likelihood of `labels` given the log-odds.

    For one sample it is log(1 + exp(z)) - y·z. Taken from logits it stays finite and exact where a probability
    would have rounded to 0 or 1.

    Args:
        logits: log-odds of shape (n_samples,).
        labels: 0 or 1, or a probability in between, of shape (n_samples,).

    Returns:
        The mean loss in nats.

    Raises:
        ValueError: the shapes differ, there is no sample, or a label is outside [0, 1]. The message names `labels`
            or `logits`, and the label.
    """
    z, y = np.asarray(logits, dtype=float), np.asarray(labels, dtype=float)
    _check_binary_labels(z, y)
    return float(np.mean(np.maximum(z, 0.0) - y * z + np.log1p(np.exp(-np.abs(z)))))


def softmax(logits: ArrayLike, axis: int = -1) -> np.ndarray:
    """Turn scores into probabilities that sum to one along `axis`: exp(zₖ) / Σⱼ exp(zⱼ).

    Args:
        logits: scores of any shape. -inf is allowed and gets probability 0, unless all along `axis` are.
        axis: the axis of the classes.

    Returns:
        Probabilities of the same shape, in float64.
    """
    z = np.asarray(logits, dtype=float)
    powers = np.exp(z - z.max(axis=axis, keepdims=True))  # a shift changes no ratio, and the largest power is 1
    return powers / powers.sum(axis=axis, keepdims=True)


def cross_entropy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Return the mean negative log-probability that softmax gives to the right classes.

    For one sample it is log(Σⱼ exp(zⱼ)) - z_y, with the largest score taken out before the exponential.

    Args:
        logits: scores of shape (n_samples, n_classes).
        labels: class numbers, integers from 0 to n_classes - 1, of shape (n_samples,).

    Returns:
        The mean loss in nats.

    Raises:
        ValueError: the shapes do not match, there is no sample, or a label is not the number of a class: floats,
            numbers that count from 1 or from the end, and one-hot rows are refused. The message names `labels`.
    """
    z, y = np.asarray(logits, dtype=float), np.asarray(labels)
    _check_class_numbers(z, y)
    shifted = z - z.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y]))


# --- objectives and their derivatives ------------------------------------------------------------------------


def add_intercept(X: np.ndarray) -> np.ndarray:
    """Append a column of ones: the design matrix, of shape (n_samples, n_features + 1)."""
    return np.column_stack([X, np.ones(len(X))])


def logistic_objective(
    parameters: np.ndarray, design: np.ndarray, labels: np.ndarray, l2: float
) -> tuple[float, np.ndarray]:
    """Return the penalised mean loss of logistic regression and its gradient.

    Args:
        parameters: weights, then the intercept, of shape (n_features + 1,).
        design: features and a last column of ones, of shape (n_samples, n_features + 1).
        labels: 0 or 1, of shape (n_samples,).
        l2: strength of the penalty l2/2 · ‖w‖² on the sum of losses. The intercept is free.

    Returns:
        J, and its gradient of shape (n_features + 1,): 1/n · (designᵀ(p - y) + l2·w).
    """
    logits = design @ parameters
    weights = _without_intercept(parameters)
    value = binary_cross_entropy(logits, labels) + l2 / (2 * len(labels)) * float(weights @ weights)
    gradient = (design.T @ (sigmoid(logits) - labels) + l2 * weights) / len(labels)
    return value, gradient


def logistic_hessian(parameters: np.ndarray, design: np.ndarray, l2: float) -> np.ndarray:
    """Return the matrix of second derivatives of `logistic_objective`, which does not depend on the labels.

    Time and memory grow with the number of samples, not with its square.

    Args:
        parameters: weights, then the intercept, of shape (n_features + 1,).
        design: features and a last column of ones, of shape (n_samples, n_features + 1).
        l2: strength of the penalty.

    Returns:
        1/n · (designᵀ diag(p(1 - p)) design + l2·I without the intercept), of shape
        (n_features + 1, n_features + 1).
    """
    logits = design @ parameters
    curvature = sigmoid(logits) * sigmoid(-logits)  # p(1 - p), without the cancellation in 1 - p
    penalty = l2 * _without_intercept(np.ones(len(parameters)))
    scaled = design * np.sqrt(curvature)[:, None]  # of a matrix and its own transpose, BLAS computes one half only
    return (scaled.T @ scaled + np.diag(penalty)) / len(design)


def softmax_objective(
    parameters: np.ndarray, design: np.ndarray, labels: np.ndarray, l2: float
) -> tuple[float, np.ndarray]:
    """Return the penalised mean loss of softmax regression and its gradient.

    Args:
        parameters: a column for each class, the intercepts in the last row, of shape (n_features + 1, n_classes).
        design: features and a last column of ones, of shape (n_samples, n_features + 1).
        labels: class numbers 0 to n_classes - 1, of shape (n_samples,).
        l2: strength of the penalty l2/2 · ‖W‖² on the sum of losses. The intercepts are free.

    Returns:
        J, and its gradient of shape (n_features + 1, n_classes): 1/n · (designᵀ(P - Y) + l2·W), Y one-hot.
    """
    logits = design @ parameters
    weights = _without_intercept(parameters)
    value = cross_entropy(logits, labels) + l2 / (2 * len(labels)) * float(np.sum(weights**2))
    errors = softmax(logits)
    errors[np.arange(len(labels)), labels] -= 1.0  # P - Y
    return value, (design.T @ errors + l2 * weights) / len(labels)


def softmax_hessian_product(
    direction: np.ndarray, probabilities: np.ndarray, design: np.ndarray, l2: float
) -> np.ndarray:
    """Return the Hessian of `softmax_objective` times a direction: how the gradient changes along it.

    As a matrix the Hessian has ((n_features + 1) · n_classes)² entries. The product needs the time of a gradient.

    Args:
        direction: of the shape of the parameters, (n_features + 1, n_classes).
        probabilities: softmax of the logits where the Hessian is taken, P, of shape (n_samples, n_classes).
        design: features and a last column of ones, of shape (n_samples, n_features + 1).
        l2: strength of the penalty.

    Returns:
        1/n · (designᵀ dP + l2·V without the intercepts), of the shape of the direction V. With Z = design·V, each row
        of the probabilities changes by dp = p ∘ (z - p·z), which sums to zero.
    """
    changes = probabilities * (design @ direction)
    changes -= probabilities * changes.sum(axis=1, keepdims=True)
    return (design.T @ changes + l2 * _without_intercept(direction)) / len(design)


# --- the same, block by block --------------------------------------------------------------------------------


def objective_in_blocks(
    objective: Callable[..., tuple[float, np.ndarray]], X: np.ndarray, labels: np.ndarray, l2: float
) -> Objective:
    """Return an objective as a function of the parameters only, computed without a design of all rows.

    The mean over all rows is that of the blocks' means, each weighted by its share of the rows; and each block bears
    its share of the penalty.

    Args:
        objective: `logistic_objective` or `softmax_objective`.
        X: features of shape (n_samples, n_features).
        labels: class numbers, of shape (n_samples,).
        l2: strength of the penalty.
    """

    def mean(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = 0.0, np.zeros_like(parameters)
        for rows, share, design in _blocks(X):
            block_value, block_gradient = objective(parameters, design, labels[rows], share * l2)
            value += share * block_value
            gradient += share * block_gradient
        return value, gradient

    return mean


def hessian_in_blocks(X: np.ndarray, l2: float) -> Map:
    """Return `logistic_hessian` as a function of the parameters only, computed as in `objective_in_blocks`."""

    def mean(parameters: np.ndarray) -> np.ndarray:
        hessian = np.zeros((len(parameters), len(parameters)))
        for _, share, design in _blocks(X):
            hessian += share * logistic_hessian(parameters, design, share * l2)
        return hessian

    return mean


def hessian_products_in_blocks(X: np.ndarray, l2: float) -> Callable[[np.ndarray], Map]:
    """Return a function of the parameters that returns `softmax_hessian_product` there as a function of directions."""

    def at(parameters: np.ndarray) -> Map:
        probabilities = softmax(X @ parameters[:-1] + parameters[-1])

        def mean(direction: np.ndarray) -> np.ndarray:
            product = np.zeros_like(direction)
            for rows, share, design in _blocks(X):
                product += share * softmax_hessian_product(direction, probabilities[rows], design, share * l2)
            return product

        return mean

    return at


def _blocks(X: np.ndarray) -> Iterator[tuple[slice, float, np.ndarray]]:
    """Yield some rows, their share of all and their design, until all rows were there."""
    length = max(1, BLOCK // (X.shape[1] + 1))
    for start in range(0, len(X), length):
        design = add_intercept(X[start : start + length])
        yield slice(start, start + length), len(design) / len(X), design


# --- three ways down -------------------------------------------------------------------------------------------


def gradient_descent(
    objective: Objective, start: np.ndarray, *, learning_rate: float, max_iter: int, tol: float
) -> Fit:
    """Minimise by steps against the gradient: parameters ← parameters - learning_rate · gradient.

    Args:
        objective: returns the value and the gradient at a point.
        start: the first point, of any shape; it is left unmodified.
        learning_rate: step size.
        max_iter: most steps taken.
        tol: stop once no entry of the gradient exceeds this in absolute value, before any step if need be.

    Raises:
        ValueError: the objective is not finite after a step, which is how too large a step ends. The message names
            `learning_rate` and its value.
    """
    parameters = np.array(start, dtype=float)
    value, gradient = objective(parameters)
    losses = [value]
    while np.abs(gradient).max() > tol and len(losses) <= max_iter:
        parameters = parameters - learning_rate * gradient
        value, gradient = objective(parameters)
        losses.append(value)
        _check_finite_loss(value, learning_rate, step=len(losses) - 1)
    return Fit(parameters, np.array(losses), bool(np.abs(gradient).max() <= tol))


def newton(
    objective: Objective,
    hessian: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    *,
    max_iter: int,
    tol: float,
) -> Fit:
    """Minimise a convex function by Newton's method: to the bottom of the parabola that fits here, and again.

    A step that would raise the objective is halved until it does not; if nothing is left of it then, this is as low
    as rounding allows and the search ends. Where the Hessian is singular (linearly dependent columns), the smallest
    of the possible steps is taken. On logistic regression this is iteratively
    reweighted least squares (Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 4.4.1).

    Args:
        objective: returns the value and the gradient at a point.
        hessian: returns the matrix of second derivatives at a point.
        start: the first point, of shape (n_parameters,); it is left unmodified.
        max_iter: most steps taken.
        tol: stop once no entry of the gradient exceeds this in absolute value, before any step if need be.
    """
    parameters = np.array(start, dtype=float)
    value, gradient = objective(parameters)
    losses = [value]
    while np.abs(gradient).max() > tol and len(losses) <= max_iter:
        step = smallest_solution(hessian(parameters), gradient)
        there = objective(parameters - step)
        while step.any() and there[0] > value:
            step = step / 2
            there = objective(parameters - step)
        if np.array_equal(parameters - step, parameters):
            break
        parameters = parameters - step
        value, gradient = there
        losses.append(value)
    return Fit(parameters, np.array(losses), bool(np.abs(gradient).max() <= tol))


def smallest_solution(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Solve matrix · x = vector, for a matrix of second derivatives: symmetric, and curved downwards nowhere.

    By Cholesky. Where that fails, since a column depends on others, the smallest of the least-squares solutions is
    taken, which costs twenty times as much.
    """
    scale = np.sqrt(np.diag(matrix))
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = cho_factor(matrix / np.outer(scale, scale))
        if np.diag(factor[0]).min() > 1e-5:  # what the columns before it leave of a column, of length 1
            return cho_solve(factor, vector / scale) / scale
    except (LinAlgError, ValueError):  # ValueError: a column of zeros has become NaN
        pass
    return np.linalg.lstsq(matrix, vector, rcond=None)[0]


def newton_cg(
    objective: Objective, products: Callable[[np.ndarray], Map], start: np.ndarray, *, max_iter: int, tol: float
) -> Fit:
    """Minimise as `newton` does, where the Hessian is too large to be written down: by products with it.

    Conjugate gradients solve for the step, as exactly as it is worth: roughly at first, and the more exactly the
    smaller the gradient has become (Nocedal and Wright, Numerical Optimization, 7.1).

    Args:
        objective: returns the value and the gradient at a point.
        products: returns the Hessian at a point, as a function that multiplies it by a direction.
        start: the first point, of any shape; it is left unmodified.
        max_iter: most steps taken.
        tol: stop once no entry of the gradient exceeds this in absolute value, before any step if need be.
    """
    parameters = np.array(start, dtype=float)
    value, gradient = objective(parameters)
    losses, first = [value], np.linalg.norm(gradient)
    while np.abs(gradient).max() > tol and len(losses) <= max_iter:
        share = float(min(0.25, np.sqrt(np.linalg.norm(gradient) / first)))
        step = _solved_by_products(products(parameters), gradient, share)
        there = objective(parameters - step)
        while step.any() and there[0] > value:
            step = step / 2
            there = objective(parameters - step)
        if np.array_equal(parameters - step, parameters):
            break
        parameters = parameters - step
        value, gradient = there
        losses.append(value)
    return Fit(parameters, np.array(losses), bool(np.abs(gradient).max() <= tol))


def _solved_by_products(product: Map, gradient: np.ndarray, share: float) -> np.ndarray:
    """Solve product(step) = gradient, but for a `share` of the gradient's length."""
    length = np.linalg.norm(gradient)  # taken out, since conjugate gradients square what they are given

    def flat_product(direction: np.ndarray) -> np.ndarray:
        return product(direction.reshape(gradient.shape)).ravel()

    hessian = LinearOperator((gradient.size, gradient.size), matvec=flat_product, dtype=np.float64)  # type: ignore[call-arg]
    with np.errstate(over="ignore", invalid="ignore"):  # columns of 1e100 beside columns of 1
        step, _ = cg(hessian, gradient.ravel() / length, rtol=share, maxiter=gradient.size)
    return length * step.reshape(gradient.shape) if np.isfinite(step).all() else gradient


# --- estimators ----------------------------------------------------------------------------------------------


class LogisticRegression(ClassifierMixin, BaseEstimator):
    """Binary classifier with log-odds linear in the features, and an L2 penalty on the weights.

    Complete separation without a penalty is refused, because the weights would grow for ever. Quasi-complete
    separation (a column that is non-zero in one class only) warns and names the columns whose weights would. With a
    penalty a constant column gets the weight 0, as the intercept stands for it.

    Attributes:
        classes_: the two labels, sorted; the second is the positive class, of shape (2,).
        coef_: weights, of shape (1, n_features).
        intercept_: of shape (1,).
        n_features_in_: number of columns of X in `fit`.
        n_iter_: steps taken.
        loss_curve_: the objective before the first step and after every step, of shape (n_iter_ + 1,).
    """

    def __init__(
        self,
        l2: float = 1.0,
        *,
        solver: Literal["newton", "gradient"] = "newton",
        learning_rate: float = 0.5,
        max_iter: int = 5_000,
        tol: float = 1e-8,
    ) -> None:
        """Store the settings; `fit` checks them.

        Args:
            l2: strength of the penalty, 1/C of scikit-learn.
            solver: "newton", or "gradient" for gradient descent.
            learning_rate: step size of gradient descent. Standardise the columns of X, or make it small.
            max_iter: most steps.
            tol: converged once no entry of the gradient of J exceeds this.
        """
        self.l2 = l2
        self.solver = solver
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: ArrayLike, y: ArrayLike) -> "LogisticRegression":
        """Learn weights and intercept, starting from zero; returns the estimator itself.

        Args:
            X: features of shape (n_samples, n_features).
            y: labels of two kinds (numbers, strings, booleans), of shape (n_samples,).

        Raises:
            ValueError: a setting, a shape or a value breaks a rule; or a plane separates the classes and l2 is 0.
                The message names the setting (with its value), X or y.

        Warns:
            RuntimeWarning: `max_iter` steps were not enough (the message names `max_iter`); or l2 is 0 and columns of X
                are constant, so that they share the intercept's weight, or separate some of the rows.
        """
        _check_settings(self, solvers=("newton", "gradient"))
        X, y = check_training_data(X, y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        check_two_classes(self.classes_)
        objective, start = objective_in_blocks(logistic_objective, X, labels, self.l2), np.zeros(X.shape[1] + 1)
        if self.solver == "newton":
            found = newton(objective, hessian_in_blocks(X, self.l2), start, max_iter=self.max_iter, tol=self.tol)
        else:
            found = gradient_descent(
                objective, start, learning_rate=self.learning_rate, max_iter=self.max_iter, tol=self.tol
            )
        if self.l2 == 0:
            _check_unpenalised(X, found.parameters, labels)
        self.coef_, self.intercept_ = found.parameters[None, :-1], found.parameters[-1:]
        self.n_features_in_ = X.shape[1]
        self.loss_curve_, self.n_iter_ = found.losses, len(found.losses) - 1
        _warn_unless_converged(self, found)
        return self

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Return the log-odds of the positive class, of shape (n_samples,).

        Raises:
            ValueError: X is not a finite table with as many columns as in `fit`; or there was no `fit` yet
                (NotFittedError).
        """
        return (check_features(X, fitted=self) @ self.coef_.T + self.intercept_)[:, 0]

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the probability of each class, of shape (n_samples, 2), columns in the order of `classes_`.

        Both tails are accurate. X is refused as by `decision_function`.
        """
        logits = self.decision_function(X)
        return np.column_stack([sigmoid(-logits), sigmoid(logits)])

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the likelier label of each row, of shape (n_samples,); at even odds the first of `classes_`.

        Labels come back as they were given to `fit`. X is refused as by `decision_function`.
        """
        logits = self.decision_function(X)
        return self.classes_[(logits > 0).astype(int)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


class SoftmaxRegression(ClassifierMixin, BaseEstimator):
    """Classifier for two or more classes: one linear score for each class, softmax, an L2 penalty on the weights.

    Both solvers start from zero and keep the weights of the classes (and their intercepts) summing to zero: of the many
    parameters that give the same probabilities, the smallest. Without a penalty, separated classes are refused, and
    columns that separate some rows are named, as by `LogisticRegression`.

    Attributes:
        classes_: the labels, sorted, of shape (n_classes,).
        coef_: weights, of shape (n_classes, n_features).
        intercept_: of shape (n_classes,).
        n_features_in_: number of columns of X in `fit`.
        n_iter_: steps taken.
        loss_curve_: the objective before the first step and after every step, of shape (n_iter_ + 1,).
    """

    def __init__(
        self,
        l2: float = 1.0,
        *,
        solver: Literal["newton", "gradient"] = "newton",
        learning_rate: float = 0.5,
        max_iter: int = 5_000,
        tol: float = 1e-8,
    ) -> None:
        """Store the settings; `fit` checks them.

        Args:
            l2: strength of the penalty, 1/C of scikit-learn.
            solver: "newton", by conjugate gradients, or "gradient" for gradient descent.
            learning_rate: step size of gradient descent. Standardise the columns of X, or make it small.
            max_iter: most steps.
            tol: converged once no entry of the gradient of J exceeds this.
        """
        self.l2 = l2
        self.solver = solver
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: ArrayLike, y: ArrayLike) -> "SoftmaxRegression":
        """Learn weights and intercepts, starting from zero; returns the estimator itself.

        Args:
            X: features of shape (n_samples, n_features).
            y: labels of at least two kinds (numbers, strings), of shape (n_samples,).

        Raises:
            ValueError: a setting, a shape or a value breaks a rule; or planes separate the classes and l2 is 0. The
                message names the setting (with its value), X or y.

        Warns:
            RuntimeWarning: `max_iter` steps were not enough (the message names `max_iter`); or l2 is 0 and columns of X
                are constant, so that they share the intercepts' weights, or separate some of the rows.
        """
        _check_settings(self, solvers=("newton", "gradient"))
        X, y = check_training_data(X, y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        _check_several_classes(self.classes_)
        objective = objective_in_blocks(softmax_objective, X, labels, self.l2)
        start = np.zeros((X.shape[1] + 1, len(self.classes_)))
        if self.solver == "newton":
            products = hessian_products_in_blocks(X, self.l2)
            found = newton_cg(objective, products, start, max_iter=self.max_iter, tol=self.tol)
        else:
            found = gradient_descent(
                objective, start, learning_rate=self.learning_rate, max_iter=self.max_iter, tol=self.tol
            )
        if self.l2 == 0:
            _check_unpenalised(X, found.parameters, labels)
        self.coef_, self.intercept_ = found.parameters[:-1].T, found.parameters[-1]
        self.n_features_in_ = X.shape[1]
        self.loss_curve_, self.n_iter_ = found.losses, len(found.losses) - 1
        _warn_unless_converged(self, found)
        return self

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Return one score for each class, of shape (n_samples, n_classes)."""
        return check_features(X, fitted=self) @ self.coef_.T + self.intercept_

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the probability of each class, of shape (n_samples, n_classes), in the order of `classes_`."""
        return softmax(self.decision_function(X))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the likeliest label of each row, of shape (n_samples,)."""
        scores = self.decision_function(X)
        return self.classes_[np.argmax(scores, axis=1)]


# --- what is refused -----------------------------------------------------------------------------------------


def _without_intercept(parameters: np.ndarray) -> np.ndarray:
    """Return a copy with the last row, the intercept, set to zero: what the penalty sees."""
    weights = parameters.copy()
    weights[-1] = 0.0
    return weights


def _check_binary_labels(logits: np.ndarray, labels: np.ndarray) -> None:
    if logits.shape != labels.shape:
        # (n, 1) against (n,) would broadcast to (n, n) and average nonsense.
        raise ValueError(
            f"labels must have the shape of logits, {logits.shape}; got {labels.shape}. Flatten them with .ravel()."
        )
    if logits.size == 0:
        raise ValueError("logits must hold at least one value, got none: the mean over no samples is undefined.")
    outside = ~((labels >= 0) & (labels <= 1))
    if outside.any():
        raise ValueError(
            f"labels must lie between 0 and 1, got {labels[outside][0]:g}. Code the two classes as 0 and 1."
        )


def _check_class_numbers(logits: np.ndarray, labels: np.ndarray) -> None:
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or len(labels) == 0:
        raise ValueError(
            f"logits must have shape (n_samples, n_classes) and labels (n_samples,), with at least one sample; "
            f"got {logits.shape} and {labels.shape}."
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise ValueError(
            f"labels must be whole numbers from 0 to {logits.shape[1] - 1}, one for each column of logits; "
            f"got {labels.tolist()[:5]}. np.unique(y, return_inverse=True) makes them."
        )


def _check_settings(estimator: Any, solvers: tuple[str, ...]) -> None:
    for name in ("l2", "learning_rate", "tol"):
        value = getattr(estimator, name)
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}.")
    if estimator.max_iter < 1:
        raise ValueError(f"max_iter must be at least 1, got {estimator.max_iter!r}.")
    if estimator.solver not in solvers:
        raise ValueError(f"solver must be one of {', '.join(solvers)}; got {estimator.solver!r}.")


def check_features(X: ArrayLike, fitted: Any = None) -> np.ndarray:
    """Return X as float64 of shape (n_samples, n_features), or say what is wrong with it.

    Args:
        X: features.
        fitted: the estimator that is to predict from X, which must have learned from as many features.

    Raises:
        ValueError: X is not a finite table of numbers, or `fitted` cannot predict from it.
    """
    if fitted is not None and not hasattr(fitted, "n_features_in_"):
        raise NotFittedError(f"This {type(fitted).__name__} has not learned anything yet: call fit before predicting.")
    try:
        kind: Any = np.float64  # scikit-learn's own type is that of the default, a text
        array = check_array(X, dtype=kind, input_name="X", estimator=fitted)
    except (TypeError, ValueError) as error:
        text = str(error)
        hint = " Encode text columns first, for example one-hot." if "to float" in text or "number" in text else ""
        raise ValueError(f"X must be a finite table of numbers. {text}{hint}") from None
    if fitted is not None and array.shape[1] != fitted.n_features_in_:
        name, wanted = type(fitted).__name__, fitted.n_features_in_
        raise ValueError(
            f"X has {array.shape[1]} features, but {name} is expecting {wanted} features as input, as in fit."
        )
    return array


def check_training_data(X: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return X as `check_features` does and y as an array of one label for each row.

    Raises:
        ValueError: there is nothing to learn from, X is too large to square, a label is missing or no class, or their
            numbers differ.
    """
    X = check_features(X)
    largest = max(X.max(), -X.min())  # which needs no copy, as np.abs does
    if largest > LARGEST:
        raise ValueError(f"X must be within ±{LARGEST:g}, or its squares overflow, got {largest:g}. Standardise X.")
    if y is None:
        raise ValueError("fit requires y to be passed, but the target y is None. Give one label for each row of X.")
    y = np.asarray(y)
    if y.shape != (len(X),):
        raise ValueError(f"y must have one label for each row of X, shape ({len(X)},); got {y.shape}.")
    if y.dtype.kind in "biufc":
        missing = ~np.isfinite(y)
    else:
        missing = np.array([label is None or label != label for label in y])  # only NaN differs from itself
    if missing.any():
        row = np.flatnonzero(missing)[0]
        raise ValueError(f"y must not hold {y[row]}, got one at row {row}. Drop the rows without a label.")
    try:
        check_classification_targets(y)
    except ValueError as error:
        raise ValueError(f"y must hold classes. {error}") from None
    return X, y


def _check_several_classes(classes: np.ndarray) -> None:
    if len(classes) < 2:
        raise ValueError(
            f"y must hold at least 2 classes, got 1 class, {classes.tolist()[0]!r}: nothing to tell apart."
        )


def check_two_classes(classes: np.ndarray) -> None:
    """Raise ValueError unless there are exactly two classes."""
    _check_several_classes(classes)
    if len(classes) > 2:
        raise ValueError(
            f"Only binary classification is supported. y must hold exactly 2 classes, got {len(classes)}. "
            "Use SoftmaxRegression."
        )


def _check_unpenalised(X: np.ndarray, parameters: np.ndarray, labels: np.ndarray) -> None:
    constant = np.flatnonzero(np.ptp(X, axis=0) == 0)
    if constant.size:
        warnings.warn(
            f"X has constant columns, {constant.tolist()}, and l2 is 0: they share the weight of the intercept. "
            "Drop them, or give l2=1.0.",
            RuntimeWarning,
            stacklevel=3,
        )
    logits = X @ parameters[:-1] + parameters[-1]
    scores = logits if logits.ndim == 2 else np.column_stack([0 * logits, logits])
    right = np.arange(len(labels)), labels.astype(int)
    own = scores[right]
    scores[right] = -np.inf
    if (own > scores.max(axis=1)).all():
        planes = "a plane separates the two" if scores.shape[1] == 2 else "planes separate the"
        raise ValueError(
            f"l2 must be above 0 here, got 0: {planes} classes, so larger weights always fit better "
            "and there is no minimum. Give l2=1.0, for example."
        )
    direction = separating_direction(X, labels.astype(int), parameters.reshape(X.shape[1] + 1, -1))
    if direction is not None:
        columns = np.flatnonzero(np.ptp(direction[:-1], axis=1))
        classes = [] if scores.shape[1] == 2 else np.flatnonzero(np.abs(direction).max(axis=0)).tolist()
        of = f", of classes_{classes}," if classes else ""
        warnings.warn(
            f"X separates some rows from the other classes without an error (quasi-complete separation), and l2 is 0: "
            f"larger weights of columns {columns.tolist()}{of} always fit better, so there is no minimum, and the "
            "weights say only where the steps ended. Give l2=1.0, or merge or drop these columns.",
            RuntimeWarning,
            stacklevel=3,
        )


def separating_direction(X: np.ndarray, labels: np.ndarray, parameters: np.ndarray) -> np.ndarray | None:
    """Return a direction of the parameters along which no row is fitted worse and some are fitted better, or None.

    Where there is one, the likelihood grows along it for ever; where there is none, the maximum exists (Albert and
    Anderson, 1984, https://doi.org/10.1093/biomet/71.1.1). Of all directions within a box, a linear program finds the
    one with the largest sum of margins, the logit of a row's own class less another's (Konis, 2007). Most rows say
    nothing new, so it begins with those that fit worst, and adds those whose margin the answer makes negative.

    Args:
        X: features of shape (n_samples, n_features).
        labels: class numbers, of shape (n_samples,); each class occurs.
        parameters: of the fit, of shape (n_features + 1, n_classes), or one column for two classes.

    Returns:
        Of shape (n_features + 1, n_classes), the intercepts last; a column of X that plays no part has equal entries.
    """
    design = add_intercept(X / np.maximum(np.abs(X).max(axis=0), np.finfo(float).tiny))  # all columns within ±1
    classes = labels.max() + 1
    rows, rivals = np.nonzero(labels[:, None] != np.arange(classes))
    # Only differences between classes count: the first class has no parameters of its own.
    signs = np.eye(classes)[labels[rows]][:, 1:] - np.eye(classes)[rivals][:, 1:]

    def margins(chosen: np.ndarray) -> np.ndarray:
        return (signs[chosen, None, :] * design[rows[chosen], :, None]).reshape(len(chosen), -1)

    logits = X @ parameters[:-1] + parameters[-1]
    scores = logits if logits.shape[1] == classes else np.hstack([0 * logits, logits])
    total = np.zeros(design.shape[1] * (classes - 1))
    blocks = np.array_split(np.arange(len(rows)), 1 + len(rows) * len(total) // BLOCK)
    for block in blocks:
        total += margins(block).sum(axis=0)
    chosen = np.argsort(scores[rows, labels[rows]] - scores[rows, rivals])[: 20 * len(total)]
    while True:
        bounded = margins(chosen)
        # Each parameter is the difference of two parts; a small price on both leaves out the columns that do nothing.
        price = 1e-6
        answer = linprog(
            np.concatenate([price - total, price + total]),
            A_ub=np.hstack([-bounded, bounded]),
            b_ub=np.zeros(len(bounded)),
            bounds=(0, 1),
            method="highs",
        )
        if answer.x is None:  # the solver gave up: say nothing rather than something wrong
            return None
        direction = answer.x[: len(total)] - answer.x[len(total) :]
        found = np.concatenate([margins(block) @ direction for block in blocks])
        if found.max() < 1e-4:
            return None
        worse = np.flatnonzero(found < -1e-6)
        if not len(worse):
            return np.hstack([np.zeros((design.shape[1], 1)), direction.reshape(design.shape[1], classes - 1)])
        chosen = np.union1d(chosen, worse[np.argsort(found[worse])[: 20 * len(total)]])


def _check_finite_loss(value: float, learning_rate: float, step: int) -> None:
    if not np.isfinite(value):
        raise ValueError(
            f"learning_rate must be smaller, got {learning_rate}: the objective was {value} after step {step}. "
            "Standardise the columns of X, or divide learning_rate by 10."
        )


def _warn_unless_converged(estimator: Any, found: Fit) -> None:
    if not found.converged:
        warnings.warn(
            f"{type(estimator).__name__} did not converge in max_iter={estimator.max_iter} steps. "
            "Standardise the columns of X, raise max_iter or learning_rate, or loosen tol.",
            RuntimeWarning,
            stacklevel=3,
        )
