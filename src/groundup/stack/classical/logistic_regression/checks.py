"""Checks of logistic regression: hand computation, finite differences, scikit-learn and invariants."""

import re
import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression

from groundup.checking import (
    assert_close,
    assert_refuses,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
    estimator_conventions,
    numerical_gradient,
)
from groundup.stack.classical.logistic_regression import (
    LogisticRegression,
    SoftmaxRegression,
    add_intercept,
    binary_cross_entropy,
    cross_entropy,
    gradient_descent,
    logistic_hessian,
    logistic_objective,
    newton,
    sigmoid,
    softmax,
    softmax_objective,
)

LOG3 = np.log(3.0)
# More than enough for the data here. With a wrong objective a Newton step is halved a thousand times, and the default
# of 5,000 of those would end in a timeout instead of an answer.
STEPS = {"newton": 50, "gradient": 5_000}
# Steps of this size are still safe on the data here, and a sixth or a quarter as many are needed as of the default's.
QUICK, QUICK_SOFTMAX = 3.0, 2.0


def two_classes(rng, n_samples=120, n_features=3):
    """Overlapping classes: features and labels 0 or 1."""
    X = rng.normal(size=(n_samples, n_features))
    logits = X @ np.linspace(1.5, -1.0, n_features) + 0.5
    return X, (rng.uniform(size=n_samples) < 1 / (1 + np.exp(-logits))).astype(int)


def three_classes(rng, n_samples=150):
    """Overlapping classes 0, 1, 2 of different sizes."""
    X = rng.normal(size=(n_samples, 2))
    scores = X @ np.array([[1.0, -1.0, 0.3], [0.5, 0.8, -1.0]]) + np.array([0.6, 0.0, -0.4])
    return X, np.argmax(scores + rng.gumbel(size=scores.shape), axis=1)


def scikit_learns_fit(X, y, l2):
    """The trusted reference, of either estimator, to more digits than are compared."""
    return SklearnLogisticRegression(C=1 / l2, solver="newton-cholesky", tol=1e-10, max_iter=100).fit(X, y)


def assert_gradient_is_the_slope(name, objective, theta, design, y):
    """The gradient that an objective returns equals central differences of its value, with a penalty and without."""
    for l2 in (0.0, 3.0):
        value, gradient = objective(theta, design, y, l2)
        assert isinstance(value, float), "the first of the pair is one float"
        assert_close(
            gradient,
            numerical_gradient(lambda t, l2=l2: objective(t, design, y, l2)[0], theta),
            f"gradient of {name} at a random point, l2={l2}, against finite differences",
            rtol=1e-6,
            atol=1e-8,
        )


def no_float_trouble():
    """Overflow, division by zero and NaN become errors; underflow to zero is right."""
    return np.errstate(over="raise", divide="raise", invalid="raise")


# --- sigmoid -------------------------------------------------------------------------------------------------


def test_sigmoid_of_known_log_odds():
    """Log-odds of 0, log 3 and -log 3 are probabilities of 1/2, 3/4 and 1/4; every shape stays."""
    assert_close(
        sigmoid(np.array([0.0, LOG3, -LOG3])),
        [0.5, 0.75, 0.25],
        "sigmoid([0, log 3, -log 3]): odds of 1:1, 3:1 and 1:3.",
        rtol=1e-14,
    )
    for shape in ((), (1,), (0,), (2, 3), (2, 1, 4)):
        assert_close(sigmoid(np.zeros(shape)), np.full(shape, 0.5), f"sigmoid of zeros of shape {shape}: 1/2 each")


def test_sigmoid_is_exact_at_the_extremes():
    """The sigmoid of ±1000 is 0 and 1, without overflow; far to the left it is exp(z), to full relative precision."""
    with no_float_trouble():
        ends = sigmoid(np.array([-1000.0, -np.inf, 1000.0, np.inf]))
    assert_close(ends, [0.0, 0.0, 1.0, 1.0], "sigmoid of ∓1000 and ∓infinity", rtol=0, atol=0)
    z = np.array([-40.0, -100.0, -600.0])
    assert_close(sigmoid(z), np.exp(z), "sigmoid(z) for z = -40, -100, -600 equals exp(z)", rtol=1e-12, atol=0)


def test_probabilities_and_losses_keep_what_they_are_given():
    """Scores and labels stay as they were; not-a-number goes in and comes out: hiding it would hide a broken run."""
    scores, classes = np.array([[1000.0, -3.0], [0.5, -np.inf]]), np.array([1, 0])
    assert_unchanged(sigmoid, scores)
    assert_unchanged(softmax, scores)
    assert_unchanged(cross_entropy, scores, classes)
    assert_unchanged(binary_cross_entropy, np.array([1000.0, -0.5]), np.array([0.25, 1.0]))
    with np.errstate(all="ignore"):
        assert_close(sigmoid(np.array([np.nan, 0.0])), [np.nan, 0.5], "sigmoid([nan, 0])")
        assert_close(softmax(np.array([[np.nan, 1.0], [2.0, 2.0]])), [[np.nan] * 2, [0.5] * 2], "softmax, nan in row 0")
        mean = binary_cross_entropy(np.array([np.nan, 0.0]), np.array([1, 1]))
        assert_close(mean, np.nan, "binary_cross_entropy of logits [nan, 0]")
        mean = cross_entropy(np.array([[np.nan, 1.0], [2.0, 2.0]]), np.array([0, 0]))
        assert_close(mean, np.nan, "cross_entropy of scores with a nan")


# --- binary cross-entropy ------------------------------------------------------------------------------------


def test_binary_cross_entropy_by_hand():
    """The mean of -log p of the labels, in one float; a label of 0.25 mixes the two losses; True counts as 1."""
    expected = (np.log(4 / 3) + np.log(4)) / 2
    assert_close(
        binary_cross_entropy(np.array([LOG3, -LOG3]), np.array([1, 1])),
        expected,
        "logits [log 3, -log 3], labels [1, 1]",
    )
    assert_close(
        binary_cross_entropy(np.array([LOG3, -LOG3, 0.0]), np.array([0, 0, 1])),
        (np.log(4) + np.log(4 / 3) + np.log(2)) / 3,
        "logits [log 3, -log 3, 0], labels [0, 0, 1]",
    )
    mixed = 0.25 * np.log(4 / 3) + 0.75 * np.log(4)
    assert_close(binary_cross_entropy([LOG3], [0.25]), mixed, "logit log 3, label 0.25")
    assert_close(
        binary_cross_entropy(np.array([LOG3, LOG3]), np.array([True, False])), np.log(16 / 3) / 2, "boolean labels"
    )
    assert isinstance(binary_cross_entropy([0.0], [1]), float), "binary_cross_entropy returns one float, the mean"


def test_binary_cross_entropy_is_exact_at_the_extremes():
    """A logit of ±1000 costs 1000 nats or nothing; at 40 a right answer costs exp(-40): 1 - p has rounded away."""
    with no_float_trouble():
        wrong = binary_cross_entropy(np.array([1000.0, -1000.0]), np.array([0, 1]))
        right = binary_cross_entropy(np.array([1000.0, -1000.0]), np.array([1, 0]))
    assert_close(wrong, 1000.0, "logits [1000, -1000] with the labels the other way round")
    assert_close(right, 0.0, "logits [1000, -1000] with the right labels", atol=0)
    assert_close(
        binary_cross_entropy(np.array([40.0]), np.array([1])), np.exp(-40.0), "logit 40, label 1", rtol=1e-12, atol=0
    )
    assert_close(
        binary_cross_entropy(np.array([-40.0]), np.array([0])), np.exp(-40.0), "logit -40, label 0", rtol=1e-12, atol=0
    )


def test_probabilities_and_losses_take_any_numbers():
    """Lists, integers and unsigned integers, which wrap around, and float32 are computed in float64."""
    small = np.array([1, 3], dtype=np.uint8)
    assert_close(
        binary_cross_entropy(small, np.array([0, 1], dtype=np.uint8)),
        binary_cross_entropy(small.astype(float), np.array([0.0, 1.0])),
        "binary_cross_entropy of unsigned integers",
    )
    assert_close(softmax(small), softmax(small.astype(float)), "softmax of unsigned integers")
    assert_close(
        cross_entropy(small[None, :], np.array([0])),
        cross_entropy(small[None, :].astype(float), [0]),
        "cross_entropy of unsigned integers",
    )
    narrow = np.array([0.1, -20.3, 7.7], dtype=np.float32)
    wide = narrow.astype(float)
    labels = np.array([1, 0, 0])
    message = "computed in float64 from float32 logits"
    assert_close(
        binary_cross_entropy(narrow, labels), binary_cross_entropy(wide, labels), f"loss {message}", rtol=1e-12, atol=0
    )
    assert_close(softmax(narrow), softmax(wide), f"softmax {message}", rtol=1e-12, atol=0)
    assert_close(
        cross_entropy(narrow[None, :], [2]), cross_entropy(wide[None, :], [2]), f"loss {message}", rtol=1e-12, atol=0
    )
    assert_close(sigmoid([0, 2]), [0.5, 1 / (1 + np.exp(-2.0))], "sigmoid([0, 2]) of a list of integers")
    assert_close(
        sigmoid(np.array([0, 200], dtype=np.uint8)), [0.5, 1.0], "sigmoid of unsigned integers (-200 does not fit them)"
    )
    assert_close(
        sigmoid(np.array([-60.0, 20.0], dtype=np.float32)),
        1 / (1 + np.exp(-np.array([-60.0, 20.0]))),
        "sigmoid of float32 is computed in float64",
        rtol=1e-12,
        atol=0,
    )


def test_binary_cross_entropy_refuses_what_it_cannot_mean():
    """Labels of -1 and 1, shapes that would broadcast, and no samples are errors."""
    assert_refuses_values(lambda label: binary_cross_entropy([1.0, 2.0], [1, label]), "labels", -1, 2, 1.5, np.nan)
    for logits, labels in (((3, 1), (3,)), ((3,), (3, 1)), ((3,), (1,)), ((3,), ())):
        message = f"logits of shape {logits} and labels of shape {labels}: they would broadcast"
        zeros = np.zeros(logits), np.zeros(labels)
        assert_refuses(lambda zeros=zeros: binary_cross_entropy(*zeros), "labels|logits", message=message)
    assert_refuses(lambda: binary_cross_entropy([], []), "labels|logits", message="no samples: their mean is undefined")


# --- softmax and cross-entropy -------------------------------------------------------------------------------


def test_softmax_by_hand():
    """Scores log 1, log 2, log 5 are 1/8, 2/8, 5/8; each row sums to one by default, each column with axis=0."""
    assert_close(softmax(np.log([1.0, 2.0, 5.0])), [0.125, 0.25, 0.625], "softmax([log 1, log 2, log 5])", rtol=1e-14)
    z = np.log(np.array([[1.0, 3.0], [2.0, 2.0], [6.0, 2.0]]))
    assert_close(softmax(z), [[0.25, 0.75], [0.5, 0.5], [0.75, 0.25]], "softmax of each row")
    assert_close(softmax(z, axis=0), [[1 / 9, 3 / 7], [2 / 9, 2 / 7], [6 / 9, 2 / 7]], "softmax(z, axis=0)")
    cube = softmax(np.arange(24.0).reshape(2, 3, 4), axis=1)
    assert_close(cube.sum(axis=1), np.ones((2, 4)), "softmax(z, axis=1) of shape (2, 3, 4) sums to one over axis 1")
    assert_close(softmax(np.array([[1, 2]])), softmax(np.array([[1.0, 2.0]])), "softmax of integers")
    assert_close(softmax([7.0]), [1.0], "softmax of one score")


def test_softmax_at_the_extremes():
    """Scores of ±1000 and of -inf (a class ruled out) give probabilities, with no overflow."""
    with no_float_trouble():
        assert_close(softmax(np.array([1000.0, 0.0, -1000.0])), [1.0, 0.0, 0.0], "softmax([1000, 0, -1000])")
        assert_close(softmax(np.array([-1000.0, -1000.0])), [0.5, 0.5], "softmax([-1000, -1000])")
        rows = softmax(np.array([[2000.0, 2000.0], [-2000.0, -2000.0]]))
    assert_close(rows, np.full((2, 2), 0.5), "rows of very different height: the largest score is taken for each row")
    tail = softmax(np.array([0.0, -600.0]))[1]
    message = "the probability of the second class in softmax([0, -600]) is exp(-600), not a floor and not 0"
    assert_close(tail, np.exp(-600.0), message, rtol=1e-12, atol=0)
    ruled_out = softmax(np.array([0.0, -np.inf, 0.0]))
    assert_close(ruled_out, [0.5, 0.0, 0.5], "softmax([0, -inf, 0]): exactly 0 for -inf", atol=0)
    nearly = softmax(np.array([28.0, 0.0])).sum()
    assert_close(nearly, 1.0, "the sum of softmax([28, 0]): no probability is rounded up", rtol=1e-14, atol=0)


def test_cross_entropy_by_hand():
    """The mean of -log p of the right classes; scores of ±1000 cost 0 or 2000 nats."""
    z = np.log(np.array([[1.0, 2.0, 5.0], [6.0, 1.0, 1.0]]))
    assert_close(
        cross_entropy(z, np.array([2, 1])), (np.log(8 / 5) + np.log(8)) / 2, "right classes with p = 5/8 and p = 1/8"
    )
    assert_close(cross_entropy(z + 30.0, np.array([2, 1])), cross_entropy(z, np.array([2, 1])), "scores shifted by 30")
    assert isinstance(cross_entropy(z.tolist(), [0, 0]), float), "cross_entropy returns one float, the mean"
    z = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]])
    with no_float_trouble():
        assert_close(cross_entropy(z, np.array([0, 1])), 0.0, "the right classes at ±1000", atol=0)
        assert_close(cross_entropy(z, np.array([1, 0])), 2000.0, "the wrong classes at ±1000")
        uneven = cross_entropy(np.array([[900.0, 900.0], [-900.0, -900.0]]), np.array([0, 1]))
    assert_close(uneven, np.log(2), "rows of very different height: each row has its own largest score")


def test_cross_entropy_refuses_what_it_cannot_mean():
    """Class numbers outside the columns, one-hot labels and float labels are errors."""
    z = np.zeros((3, 3))
    for labels in ([0, 3, 1], [1, 2, 3], [-1, 0, 1], [0.0, 1.0, 2.0]):
        message = f"labels {labels} for three columns of scores: only the integers 0, 1 and 2 are classes"
        assert_refuses(lambda labels=labels: cross_entropy(z, np.array(labels)), "labels", message=message)
    for shape in ((3, 3), (2,), (1,), (3, 1), ()):
        message = f"scores of shape (3, 3) and labels of shape {shape}: one class number for each row"
        labels = np.zeros(shape, dtype=int)
        assert_refuses(lambda labels=labels: cross_entropy(z, labels), "labels", message=message)
    message = "no samples: their mean is undefined"
    assert_refuses(lambda: cross_entropy(np.zeros((0, 3)), np.zeros(0, dtype=int)), "labels|logits", message=message)


# --- objectives ----------------------------------------------------------------------------------------------


def test_logistic_objective_by_hand(rng):
    """One feature, two samples, weight log 3: loss, penalty and gradient on paper; the intercept costs no penalty."""
    design = np.array([[1.0, 1.0], [-1.0, 1.0]])
    value, gradient = logistic_objective(np.array([LOG3, 0.0]), design, np.array([1, 0]), 2.0)
    # p = 3/4 and 1/4, so both losses are log(4/3); the penalty is 2/2 · log²3 over n = 2.
    assert_close(value, np.log(4 / 3) + LOG3**2 / 2, "J = mean loss + l2 / (2 n) · ‖w‖²")
    # designᵀ(p - y) = (1·(-1/4) + (-1)·(1/4), -1/4 + 1/4) = (-1/2, 0); plus 2·log 3 on the weight; over n = 2.
    assert_close(gradient, [(-0.5 + 2 * LOG3) / 2, 0.0], "gradient = (designᵀ(p - y) + l2·w) / n")
    _, steep = logistic_objective(np.zeros(2), 1e6 * design, np.array([1, 0]), 0.0)
    assert_close(steep, [-5e5, 0.0], "the gradient at zero with features ±1e6: it is as large as it is")
    flat = np.array([[0.0, 1.0], [0.0, 1.0]])
    value, gradient = logistic_objective(np.array([1e4, 0.0]), flat, np.array([1, 0]), 1e-4)
    assert_close(value, np.log(2) + 2500, "a weight of 10,000 with l2=0.0001: a small penalty counts as well")
    assert_close(gradient, [0.5, 0.0], "the gradient with a weight of 10,000 and l2=0.0001")
    X, y = two_classes(rng, 20)
    design, theta = add_intercept(X), np.array([0.0, 0.0, 0.0, 5.0])
    free, gradient_free = logistic_objective(theta, design, y, 0.0)
    penalised, gradient = logistic_objective(theta, design, y, 100.0)
    assert_close(penalised, free, "the value with weights of zero and an intercept of 5, l2=100 against l2=0")
    assert_close(gradient, gradient_free, "the gradient at the same point, l2=100 against l2=0")


def test_logistic_gradient_is_the_slope(rng):
    """The gradient equals central differences of the value; arguments stay, also where the logits are extreme."""
    X, y = two_classes(rng, 17)
    design, theta = add_intercept(X), rng.normal(size=4)
    assert_gradient_is_the_slope("logistic_objective", logistic_objective, theta, design, y)
    X, y = two_classes(rng, 10)
    design, theta = add_intercept(1000 * X), rng.normal(size=4)
    before = theta.copy(), design.copy(), y.copy()
    with no_float_trouble():
        value, gradient = logistic_objective(theta, design, y, 1.0)
    assert np.isfinite(value), f"the value is finite with logits near ±1000, got {value}"
    assert np.isfinite(gradient).all(), f"the gradient is finite with logits near ±1000, got {gradient}"
    for name, now, then in zip(("parameters", "design", "labels"), (theta, design, y), before, strict=True):
        assert_close(now, then, f"{name} after the call", rtol=0, atol=0)


def test_logistic_hessian_by_hand():
    """At zero it is designᵀdesign / 4n, plus l2/n on the weight only; at logits of ±40 the curvature is exp(-40)."""
    design, parameters = np.array([[1.0, 1.0], [3.0, 1.0]]), np.zeros(2)
    assert_close(
        logistic_hessian(parameters, design, 6.0),
        np.array([[10.0 / 4 + 6.0, 4.0 / 4], [4.0 / 4, 2.0 / 4]]) / 2,
        "Hessian at zero for features 1 and 3, l2=6",
    )
    assert_close(design, [[1.0, 1.0], [3.0, 1.0]], "the design after the call", rtol=0, atol=0)
    assert_close(parameters, [0.0, 0.0], "the parameters after the call", rtol=0, atol=0)
    design = np.array([[1.0, 1.0], [-1.0, 1.0]])
    with no_float_trouble():
        for logit in (40.0, 200.0):
            result = logistic_hessian(np.array([logit, 0.0]), design, 0.0)
            curvature = np.exp(-logit)
            message = f"Hessian at logits of ±{logit:g}, neither rounded to zero nor kept away from it"
            assert_close(result / curvature, np.eye(2), f"{message}; in units of exp(-{logit:g})", rtol=1e-10)
        assert np.isfinite(logistic_hessian(np.array([2000.0, 0.0]), design, 0.0)).all(), "finite at logits of ±2000"


def test_logistic_hessian_makes_no_diagonal_matrix(rng):
    """Curvature is one number for each sample: no matrix of n × n, which a million samples could not hold."""
    design, theta = add_intercept(rng.normal(size=(1500, 3))), rng.normal(size=4)
    tracemalloc.start()
    try:
        logistic_hessian(theta, design, 0.0)
        megabytes = tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()
    assert megabytes < 4, (
        "logistic_hessian of 1,500 samples must need less than 4 MB on the way, where a 1,500 × 1,500 matrix has 18; "
        f"it needed {megabytes:.1f} MB: multiply the rows by their curvature instead, by broadcasting"
    )


def test_logistic_hessian_is_the_slope_of_the_gradient(rng):
    """The Hessian equals central differences of the gradient, away from zero too."""
    X, y = two_classes(rng, 17)
    design, theta = add_intercept(X), rng.normal(size=4)
    for l2 in (0.0, 3.0):
        columns = [
            (logistic_objective(theta + h, design, y, l2)[1] - logistic_objective(theta - h, design, y, l2)[1]) / 2e-6
            for h in 1e-6 * np.eye(4)
        ]
        message = f"Hessian at a random point, l2={l2}"
        assert_close(logistic_hessian(theta, design, l2), np.array(columns), message, rtol=1e-6, atol=1e-8)


def test_softmax_objective_by_hand(rng):
    """One sample with p = (1/8, 2/8, 5/8) and class 1: loss log 4, gradient x·(p - onehot), which is the slope."""
    theta = np.vstack([np.zeros(3), np.log([1.0, 2.0, 5.0])])
    value, gradient = softmax_objective(theta, np.array([[2.0, 1.0]]), np.array([1]), 7.0)
    assert_close(value, np.log(4), "the value is -log(2/8); intercepts carry no penalty")
    assert_close(
        gradient,
        [[0.25, -1.5, 1.25], [0.125, -0.75, 0.625]],
        "the gradient is the outer product of (2, 1) and p - onehot(1)",
    )
    theta[0] = [1.0, -2.0, 0.5]
    penalised, _ = softmax_objective(theta, np.array([[0.0, 1.0]]), np.array([1]), 7.0)
    assert_close(penalised - np.log(4), 7.0 / 2 * 5.25, "the penalty is l2 / (2 n) · (1 + 4 + 0.25)")
    X, y = three_classes(rng, 13)
    design, theta = add_intercept(X), rng.normal(size=(3, 3))
    before = theta.copy(), design.copy(), y.copy()
    assert_gradient_is_the_slope("softmax_objective", softmax_objective, theta, design, y)
    for name, now, then in zip(("parameters", "design", "labels"), (theta, design, y), before, strict=True):
        assert_close(now, then, f"{name} after the call", rtol=0, atol=0)


# --- two ways down -------------------------------------------------------------------------------------------


def bowl(t):
    """(t₀ - 3)² + 2·(t₁ + 1)² / 2, with its gradient."""
    return float((t[0] - 3) ** 2 + (t[1] + 1) ** 2), np.array([2 * (t[0] - 3), 2 * (t[1] + 1)])


def log_cosh(t):
    """A convex function that is nearly straight away from zero: Newton's full step overshoots beyond |t| = 1.09."""
    return float(np.logaddexp(t, -t).sum() - len(t) * np.log(2)), np.tanh(t)


def log_cosh_hessian(t):
    """Second derivatives of `log_cosh`."""
    return np.diag(1 / np.cosh(t) ** 2)


def test_gradient_descent_steps_by_hand():
    """Steps of 0.25 halve the distance to (3, -1), of 0 leave it, of 1.5 double it: losses tell, and none converged."""
    fit = gradient_descent(bowl, np.array([7.0, 3.0]), learning_rate=0.25, max_iter=2, tol=1e-9)
    assert_close(fit.parameters, [4.0, 0.0], "after two steps from (7, 3) towards (3, -1)")
    assert_close(fit.losses, [32.0, 8.0, 2.0], "the objective before the first step and after each of the two")
    assert not fit.converged, "two steps do not reach a gradient of 1e-9: converged is False"
    fit = gradient_descent(bowl, np.array([7.0, 3.0]), learning_rate=0.0, max_iter=5, tol=1e-9)
    assert_close(fit.parameters, [7.0, 3.0], "the parameters after five steps of size zero")
    assert_close(fit.losses, [32.0] * 6, "five steps were asked for, however small: six losses")
    assert not fit.converged, "nothing was minimised: converged is False"
    fit = gradient_descent(bowl, np.array([8.0, -1.0]), learning_rate=1.5, max_iter=2, tol=1e-9)
    assert_close(fit.losses, [25.0, 100.0, 400.0], "a step of 1.5 doubles the distance to (3, -1) each time")
    assert_close(fit.parameters, [23.0, -1.0], "the last point, not the best one, after 8, -7 and 23")
    assert not fit.converged, "the objective rises: converged is False"


def test_gradient_descent_stops_when_the_gradient_is_small():
    """It stops as soon as the largest entry of the gradient, by its size, is within tol, and says so; newton too."""
    fit = gradient_descent(bowl, np.array([7.0, 3.0]), learning_rate=0.25, max_iter=1000, tol=1.0)
    assert_close(fit.losses, [32.0, 8.0, 2.0, 0.5], "gradient entries 8, 4, 2, 1: the fourth point is within tol=1")
    assert fit.converged, "the last gradient is within tol: converged is True"
    there = gradient_descent(bowl, np.array([3, -1]), learning_rate=0.25, max_iter=10, tol=0.0)
    assert_close(there.losses, [0.0], "started at the minimum, no step is taken")
    assert there.converged, "started at the minimum: converged is True"
    just = gradient_descent(bowl, np.array([7.0, 3.0]), learning_rate=0.25, max_iter=3, tol=1.0)
    assert just.converged, "the third and last step allowed reaches a gradient of 1, within tol=1: converged is True"
    fit = gradient_descent(bowl, np.array([-1.0, -1.0]), learning_rate=0.5, max_iter=100, tol=1e-6)
    assert_close(fit.parameters, [3.0, -1.0], "from (-1, -1), where the gradient is (-8, 0)")
    mixed = gradient_descent(bowl, np.array([7.0, -5.0]), learning_rate=0.5, max_iter=100, tol=1e-6)
    assert_close(mixed.parameters, [3.0, -1.0], "from (7, -5), where the gradient is (8, -8)")
    one = gradient_descent(bowl, np.array([3.75, -1.0]), learning_rate=0.25, max_iter=1, tol=1.0)
    assert_close(one.losses, [0.5625, 0.140625], "a gradient of (1.5, 0) is above tol=1, although its mean is below")
    both = gradient_descent(bowl, np.array([3.5, -0.5]), learning_rate=0.25, max_iter=1, tol=1.0)
    assert_close(both.losses, [0.5], "a gradient of (1, 1) is within tol=1, although its length is above: no step")
    slow = gradient_descent(bowl, np.array([-1.0, -1.0]), learning_rate=0.25, max_iter=1, tol=1e-6)
    assert not slow.converged, "after one step the gradient is (-4, 0): not converged"
    fast = newton(log_cosh, log_cosh_hessian, np.array([2.0, 0.0]), max_iter=1, tol=1e-6)
    assert not fast.converged, "after one halved step the gradient is (-0.9, 0): not converged"
    for fit in (slow, fast):
        assert isinstance(fit.losses, np.ndarray), f"losses is an array, got a {type(fit.losses).__name__}"


def test_gradient_descent_leaves_the_start_alone():
    """The start is not modified, may be integers or a matrix; the objective sees arrays of its own."""
    for start in (np.array([7.0, 3.0]), np.array([7, 3])):
        before = start.copy()
        fit = gradient_descent(bowl, start, learning_rate=0.3, max_iter=100, tol=1e-10)
        assert_close(start, before, "start after the call", rtol=0, atol=0)
        assert_close(fit.parameters, [3.0, -1.0], f"the minimum, from a start of type {start.dtype}", atol=1e-8)
    matrix = gradient_descent(
        lambda t: (float((t**2).sum()), 2 * t), np.ones((2, 3)), learning_rate=0.5, max_iter=9, tol=0
    )
    assert_close(matrix.parameters, np.zeros((2, 3)), "the minimum of Σt² from a matrix of ones")
    seen = []
    gradient_descent(
        lambda t: (seen.append(t), bowl(t))[1], np.array([7.0, 3.0]), learning_rate=0.25, max_iter=2, tol=0
    )
    assert_close(seen, [[7.0, 3.0], [5.0, 1.0], [4.0, 0.0]], "the points at which the objective was asked")


@pytest.mark.parametrize("method", ["gradient_descent", "newton"])
def test_a_minimiser_returns_an_array_of_its_own(method):
    """Without a single step, too, the parameters are a float64 copy: changing them does not change the start."""
    start = np.array([3.0, -1.0])
    if method == "newton":
        fit = newton(bowl, lambda t: 2 * np.eye(2), start, max_iter=5, tol=0.0)
        other = newton(bowl, lambda t: 2 * np.eye(2), np.array([3, -1]), max_iter=5, tol=0.0)
    else:
        fit = gradient_descent(bowl, start, learning_rate=0.1, max_iter=5, tol=0.0)
        other = gradient_descent(bowl, np.array([3, -1]), learning_rate=0.1, max_iter=5, tol=0.0)
    assert not np.shares_memory(fit.parameters, start), "the result is the caller's own array: copy the start"
    assert other.parameters.dtype == float, f"parameters are float64 for an integer start, got {other.parameters.dtype}"


def test_gradient_descent_says_when_the_step_is_too_large():
    """A step that makes the objective overflow is an error naming learning_rate, not a NaN; it may be the last one."""
    for rate, steps in ((1e100, 100), (1e100, 2), (1e200, 1)):

        def descend(rate=rate, steps=steps):
            with np.errstate(all="ignore"):
                gradient_descent(bowl, np.array([7.0, 3.0]), learning_rate=rate, max_iter=steps, tol=1e-9)

        message = f"steps of {rate:g}, at most {steps}: the objective becomes infinite at the last one or before"
        assert_refuses(descend, "learning_rate", rate, message=message)


def test_newton_solves_a_parabola_in_one_step():
    """One step H⁻¹g lands on the minimum of a parabola; where H is singular, the smallest such step is taken."""
    fit = newton(bowl, lambda t: 2 * np.eye(2), np.array([7, 3]), max_iter=50, tol=1e-9)
    assert_close(fit.parameters, [3.0, -1.0], "the minimum, from (7, 3)")
    assert_close(fit.losses, [32.0, 0.0], "the objective before and after the only step")
    assert fit.converged, "the gradient is zero: converged is True"
    hessian = np.array([[3.0, 2.0], [2.0, 4.0]])
    target = np.array([1.0, -2.0])

    def tilted(t):
        return float((t - target) @ hessian @ (t - target) / 2), hessian @ (t - target)

    fit = newton(tilted, lambda t: hessian, np.zeros(2), max_iter=1, tol=1e-9)
    assert_close(fit.parameters, target, "one step on ½(t - c)ᵀH(t - c) lands on c", atol=1e-12)

    def valley(t):
        return float((t.sum() - 4) ** 2 / 2), np.full(2, t.sum() - 4)

    fit = newton(valley, lambda t: np.ones((2, 2)), np.zeros(2), max_iter=5, tol=1e-9)
    assert_close(fit.parameters, [2.0, 2.0], "the minimum of (t₀ + t₁ - 4)²/2 that is nearest to zero")


def test_newton_halves_a_step_that_overshoots():
    """A step on log cosh is halved while it raises the objective, and not once more."""
    for start in (np.array([2.0]), np.array([-6.0, 0.5]), np.array([0.0, 3.0])):
        before = start.copy()
        fit = newton(log_cosh, log_cosh_hessian, start, max_iter=60, tol=1e-10)
        assert_close(fit.parameters, np.zeros(len(start)), f"the minimum of log cosh, from {start}", atol=1e-9)
        assert fit.converged, f"converged, from {start}"
        assert (np.diff(fit.losses) <= 1e-12).all(), f"the objective never rises; it went {fit.losses}"
        assert_close(start, before, "start after the call", rtol=0, atol=0)
    fit = newton(log_cosh, log_cosh_hessian, np.array([2.0]), max_iter=1, tol=1e-10)
    full = np.tanh(2.0) * np.cosh(2.0) ** 2
    assert_close(
        fit.parameters, [2.0 - full / 4], "one step from 2: the largest of the halved steps that does not rise"
    )
    once = newton(log_cosh, log_cosh_hessian, np.array([1.2]), max_iter=1, tol=1e-10)
    full_step = np.tanh(1.2) * np.cosh(1.2) ** 2
    assert_close(once.parameters, [1.2 - full_step / 2], "one step from 1.2: half of the full step, and not less")
    assert not fit.converged, "one step is not enough: converged is False"
    assert len(fit.losses) == 2, f"one step gives two losses, got {len(fit.losses)}"


def test_newton_takes_steps_that_do_not_raise_the_objective():
    """A step that leaves the objective as it is is taken; where no step goes down, the search ends."""
    for ground in (0.0, 1e20):

        def raised(t, ground=ground):
            value, slope = log_cosh(t)
            return ground + value, slope

        fit = newton(raised, log_cosh_hessian, np.array([1.0]), max_iter=60, tol=1e-10)
        assert_close(fit.parameters, [0.0], f"the minimum of {ground:g} + log cosh, from 1", atol=1e-10)
        assert fit.converged, f"converged on {ground:g} + log cosh: what counts is the gradient, not the objective"
    fit = newton(
        lambda t: (float(t @ t), -2 * t), lambda t: 2 * np.eye(2), np.array([1.0, 2.0]), max_iter=10**9, tol=1e-9
    )
    assert_close(fit.parameters, [1.0, 2.0], "the point where a search along a wrong gradient ends")
    assert_close(fit.losses, [5.0], "no step was taken")
    assert not fit.converged, "the gradient is (-2, -4) still: converged is False"


def test_newton_stops_at_the_largest_entry():
    """The tolerance is compared with the largest entry of the gradient by size; at the minimum no step is taken."""
    there = newton(bowl, lambda t: 2 * np.eye(2), np.array([3.0, -1.0]), max_iter=5, tol=0.0)
    assert_close(there.losses, [0.0], "started at the minimum, no step is taken")
    near = newton(bowl, lambda t: 2 * np.eye(2), np.array([3.5, -1.0]), max_iter=5, tol=1.0)
    assert_close(near.losses, [0.25], "gradient (1, 0) is within tol=1: no step")
    assert near.converged, "a gradient that equals tol has converged"
    both = newton(bowl, lambda t: 2 * np.eye(2), np.array([3.5, -0.5]), max_iter=5, tol=1.0)
    assert_close(both.losses, [0.5], "a gradient of (1, 1) is within tol=1, although its length is above: no step")
    one = newton(bowl, lambda t: 2 * np.eye(2), np.array([3.75, -1.0]), max_iter=5, tol=1.0)
    assert_close(one.losses, [0.5625, 0.0], "a gradient of (1.5, 0) is above tol=1, although its mean is below")
    away = newton(bowl, lambda t: 2 * np.eye(2), np.array([-1.0, -1.0]), max_iter=5, tol=1e-6)
    assert_close(away.parameters, [3.0, -1.0], "from (-1, -1), where the gradient is (-8, 0)")
    close = newton(bowl, lambda t: 2 * np.eye(2), np.array([3 + 1e-6, -1.0]), max_iter=5, tol=1e-9)
    assert close.converged, "a last step of 1e-6 is still a step: only one that changes nothing ends the search"
    seen = []
    newton(lambda t: (seen.append(t), bowl(t))[1], lambda t: 2 * np.eye(2), np.array([7.0, 3.0]), max_iter=5, tol=1e-6)
    assert_close(seen[0], [7.0, 3.0], "the first point at which the objective was asked, after the run")


# --- LogisticRegression --------------------------------------------------------------------------------------


def test_fit_agrees_with_scikit_learn(rng):
    """Weights, intercept and probabilities equal those of scikit-learn with C = 1 / l2, whichever solver finds them."""
    X, y = two_classes(rng)
    reference = scikit_learns_fit(X, y, l2=2.5)
    for solver in ("newton", "gradient"):
        model = LogisticRegression(2.5, solver=solver, learning_rate=QUICK, max_iter=STEPS[solver]).fit(X, y)
        message = f"with l2=2.5, solver={solver}"
        assert_close(model.coef_, reference.coef_, f"coef_ {message}", rtol=1e-5, atol=1e-5)
        assert_close(model.intercept_, reference.intercept_, f"intercept_ {message}", rtol=1e-5, atol=1e-5)
        expected = reference.predict_proba(X)
        assert_close(model.predict_proba(X), expected, f"predict_proba {message}", rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("solver", ["newton", "gradient"])
def test_fit_ends_where_nothing_pulls(rng, solver):
    """Whatever l2 is, Xᵀ(p - y) + l2·w and Σ(p - y) vanish at the fit: the one minimum of a convex objective."""
    X, y = two_classes(rng)
    for l2 in (0.0, 0.1, 25.0):
        model = LogisticRegression(l2, solver=solver, learning_rate=QUICK, max_iter=STEPS[solver]).fit(X, y)
        off = 1 / (1 + np.exp(-(X @ model.coef_[0] + model.intercept_))) - y
        message = f"at the fit with l2={l2}, solver={solver}:"
        assert_close(off @ X + l2 * model.coef_[0], np.zeros(3), f"{message} Xᵀ(p - y) + l2·w", atol=1e-5)
        assert_close(off.sum(), 0.0, f"{message} the sum of p - y", atol=1e-5)


@pytest.mark.parametrize("solver", ["newton", "gradient"])
def test_fit_finds_the_hand_computed_minimum(solver):
    """With one 0/1 column and no penalty the fit is the log-odds in each group: log(1/3) and log 3."""
    X = np.array([[0], [0], [0], [0], [1], [1], [1], [1]])
    y = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    model = LogisticRegression(0.0, solver=solver, learning_rate=QUICK, max_iter=STEPS[solver]).fit(X, y)
    assert_close(model.intercept_, [-LOG3], "intercept_: log-odds of 1 in 4", rtol=1e-5)
    assert_close(model.coef_, [[2 * LOG3]], "coef_: from log-odds of 1 in 4 up to 3 in 4", rtol=1e-5)


CONVENTIONS = estimator_conventions("classifier")


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("estimator", [LogisticRegression, SoftmaxRegression])
def test_it_is_an_estimator(estimator, convention):
    """It keeps scikit-learn's conventions."""
    convention(lambda: estimator(2, max_iter=40))  # a whole number, which fit must not make a float


def test_learned_values_have_their_shapes(rng):
    """Learned values have their shapes, the loss falls from log 2, and learning_rate, max_iter and tol are obeyed."""
    X, y = two_classes(rng)
    model = LogisticRegression(2, solver="gradient", learning_rate=0.75, max_iter=5000, tol=1e-2)
    model.fit(X, y)
    assert_shape(model.coef_, (1, 3), "coef_ has shape (1, n_features)")
    assert_shape(model.intercept_, (1,), "intercept_ has shape (1,)")
    assert_shape(model.loss_curve_, (model.n_iter_ + 1,), "loss_curve_ has a value before and after each step")
    assert_close(model.loss_curve_[0], np.log(2), "the first loss: from weights of zero every sample costs log 2")
    assert (np.diff(model.loss_curve_) < 0).all(), "the loss falls with every step"
    X, y = two_classes(rng)
    with pytest.warns(RuntimeWarning, match="max_iter"):
        one = LogisticRegression(1.0, solver="gradient", learning_rate=0.125, max_iter=1).fit(X, y)
    _, slope = logistic_objective(np.zeros(4), add_intercept(X), y, 1.0)
    assert_close(np.append(one.coef_, one.intercept_), -0.125 * slope, "one step of 0.125 from zero")
    assert one.n_iter_ == 1, f"n_iter_ with max_iter=1 is 1, got {one.n_iter_}"
    loose = LogisticRegression(1.0, solver="gradient", tol=1e-1).fit(X, y).n_iter_
    tight = LogisticRegression(1.0, solver="gradient", tol=1e-2).fit(X, y).n_iter_
    quick = LogisticRegression(1.0, max_iter=STEPS["newton"]).fit(X, y).n_iter_
    assert quick < 10 < tight, f"Newton takes fewer than 10 steps and gradient descent more; got {quick} and {tight}"
    assert loose < tight, f"a looser tol stops earlier; got {loose} and {tight} steps"
    with pytest.warns(RuntimeWarning, match="max_iter"):
        first = LogisticRegression(5.0, max_iter=1).fit(X, y)
    start, design = np.zeros(4), add_intercept(X)
    step = np.linalg.solve(logistic_hessian(start, design, 5.0), logistic_objective(start, design, y, 5.0)[1])
    assert_close(np.append(first.coef_, first.intercept_), -step, "Newton's first step from zero, l2=5", rtol=1e-6)
    with pytest.warns(RuntimeWarning, match="max_iter"):
        assert LogisticRegression(1.0, max_iter=2).fit(X, y).n_iter_ == 2, "Newton obeys max_iter as well"
    assert LogisticRegression(1.0, max_iter=STEPS["newton"], tol=0.05).fit(X, y).n_iter_ < quick, (
        "Newton obeys tol as well"
    )


def test_any_two_labels_will_do(rng):
    """Strings, ±1, other numbers and booleans are learned; the second in sorted order is the positive class."""
    X, y = two_classes(rng)
    reference = LogisticRegression(max_iter=STEPS["newton"]).fit(X, y)
    codes = (X @ reference.coef_[0] + reference.intercept_ > 0).astype(int)
    for labels in (("crash", "healthy"), (-1, 1), (3, 7), (False, True), (1.0, 2.0)):
        named = np.array(labels)[y]
        model = LogisticRegression(max_iter=STEPS["newton"]).fit(X, named)
        assert (named == np.array(labels)[y]).all(), f"y after fit with labels {labels} is as it was: got {named}"
        assert model.classes_.tolist() == list(labels), f"classes_ for {labels}: {model.classes_.tolist()}"
        assert_close(model.coef_, reference.coef_, f"coef_ with labels {labels} equals that with labels 0 and 1")
        predicted = model.predict(X)
        assert np.asarray(predicted).dtype.kind == named.dtype.kind, (
            f"predict returns the type of the labels, {named.dtype}; got {np.asarray(predicted).dtype}"
        )
        assert (predicted == np.array(labels)[codes]).all(), f"predict returns the labels given to fit, {labels}"


def test_fit_refuses_labels_it_cannot_learn(rng):
    """One class, three classes, labels with a hole and labels in a table are errors that say so."""
    X, y = two_classes(rng, 6)
    wrong: list[tuple[Any, str]] = [
        (["up"] * 6, "one class only"),
        ([0, 1, 2, 0, 1, 2], "three classes, where two are wanted"),
        ([0, 1, np.nan, 0, 1, 1], "not-a-number among the labels"),
        (y[:, None], "labels of shape (6, 1), where (6,) is wanted"),
        (["up", None, "up", "down", "up", "down"], "a label that is None"),
        ([0.5, 1.25, 0.5, 1.25, 2.5, 0.25], "quantities instead of labels"),
        (None, "no labels at all"),
        (y[:5], "five labels for six rows"),
    ]
    for labels, what in wrong:
        assert_refuses(
            lambda labels=labels: LogisticRegression(max_iter=STEPS["newton"]).fit(X, labels), r"\by\b", message=what
        )


def test_a_constant_column_gets_no_weight(rng):
    """The intercept stands for it, a warning names it without a penalty; equal columns share their weight."""
    X, y = two_classes(rng)
    with_constant = np.column_stack([X, np.full(len(X), 4.0)])
    model = LogisticRegression(max_iter=STEPS["newton"]).fit(with_constant, y)
    assert_close(model.coef_[0, 3], 0.0, "the weight of a constant column", atol=1e-6)
    with pytest.warns(RuntimeWarning, match=r"constant.*3"):
        free = LogisticRegression(0.0, max_iter=STEPS["newton"]).fit(with_constant, y)
    reference = LogisticRegression(0.0, max_iter=STEPS["newton"]).fit(X, y)
    assert_close(free.predict_proba(with_constant), reference.predict_proba(X), "probabilities with and without it")
    X, y = [[0], [1], [2], [3], [4], [5]], ["no", "no", "yes", "no", "yes", "yes"]
    single = LogisticRegression(0.0, max_iter=STEPS["newton"]).fit(X, y)
    double = LogisticRegression(0.0, max_iter=STEPS["newton"]).fit(np.repeat(X, 2, axis=1), y)
    assert_close(double.coef_, np.repeat(single.coef_, 2, axis=1) / 2, "coef_ of a column given twice, l2=0", rtol=1e-5)


def test_fit_refuses_what_it_cannot_use(rng):
    """A setting is checked by fit, and the message names it and its value; one class alone is refused."""
    X, y = two_classes(rng, 20)
    broken = {"l2": (-1.0, np.nan), "learning_rate": (-0.1,), "tol": (-1e-9,), "max_iter": (0,), "solver": ("magic",)}
    for name, values in broken.items():
        assert_refuses_values(
            lambda value, name=name: LogisticRegression(**{name: value}).fit(X, y), rf"\b{name}\b", *values
        )
    X, y = three_classes(rng, 9)
    assert_refuses(lambda: SoftmaxRegression().fit(X, np.ones(9, dtype=int)), r"\by\b", message="one class only")
    broken = {"l2": -1.0, "learning_rate": -0.5, "tol": np.inf, "max_iter": 0, "solver": "magic"}
    for name, value in broken.items():
        assert_refuses_values(
            lambda value, name=name: SoftmaxRegression(**{name: value}).fit(X, y), rf"\b{name}\b", value
        )


@pytest.mark.parametrize("solver", ["newton", "gradient"])
def test_what_separates_needs_a_penalty(rng, solver):
    """Without one, separable classes are refused, and a column that is 1 in one class only is named in a warning."""
    X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    model = LogisticRegression(0.0, solver=solver, max_iter=40)

    def fit():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whether it also warns of the steps that were not enough is all the same
            model.fit(X, y)

    assert_refuses(fit, r"\bl2\b", message="classes that a plane separates, with l2=0: there is no minimum")
    model = LogisticRegression(0.1, solver=solver, learning_rate=1.0, max_iter=STEPS[solver], tol=1e-2).fit(X, y)
    assert (model.predict(X) == y).all(), f"with l2=0.1 the separable classes are told apart, got {model.predict(X)}"
    X, y = two_classes(rng)
    rare = np.arange(len(X)) < 3
    with warnings.catch_warnings(record=True) as caught:  # gradient descent may warn of its steps, too
        warnings.simplefilter("always")
        LogisticRegression(0, solver=solver, max_iter=30).fit(np.column_stack([X, rare]), np.where(rare, 1, y))
    texts = [str(warning.message) for warning in caught]
    assert any(re.search(r"separat.*\b3\b", text) for text in texts), f"no warning names column 3, got {texts}"
    y[:2] = 0, 1  # the rare rows are of both classes now: their weight has a best value
    LogisticRegression(0, max_iter=STEPS["newton"]).fit(np.column_stack([X, rare]), y)


def fitted(weight=1.0, intercept=0.0, classes=("down", "up")):
    """A model of one feature whose weights are set by hand."""
    model = LogisticRegression()
    model.classes_, model.n_features_in_ = np.array(classes), 1
    model.coef_, model.intercept_ = np.array([[weight]]), np.array([intercept])
    return model


def test_predict_proba_by_hand():
    """Columns are in the order of the classes; rows sum to one, and exp(-50) is not rounded to zero in either."""
    model = fitted(weight=2.0, intercept=-LOG3)
    assert_close(
        model.predict_proba(np.array([[LOG3], [0.0], [LOG3 / 2]])),
        [[0.25, 0.75], [0.75, 0.25], [0.5, 0.5]],
        "predict_proba with w = 2, b = -log 3, at x = log 3, 0 and log(3)/2",
    )
    assert_shape(model.predict_proba([[1.0]]), (1, 2), "predict_proba of one sample")
    with no_float_trouble():
        p = fitted().predict_proba(np.array([[50.0], [-50.0], [1000.0]]))
    assert_close(p.sum(axis=1), np.ones(3), "each row of predict_proba sums to one")
    assert_close(p[0, 0], np.exp(-50.0), "the probability of the first class at log-odds of 50", rtol=1e-12, atol=0)
    assert_close(p[1, 1], np.exp(-50.0), "the probability of the second class at log-odds of -50", rtol=1e-12, atol=0)


def test_predict_by_hand():
    """Positive log-odds are the second class, negative ones the first, and even odds the first."""
    predicted = fitted(weight=2.0, intercept=-4.0).predict(np.array([[2.1], [1.9], [2.0], [2 + 1e-8]]))
    assert predicted.tolist() == ["up", "down", "down", "up"], f"log-odds of 0.2, -0.2, 0 and 2e-8: got {predicted}"
    assert_shape(predicted, (4,), "predict returns one label for each row")
    assert_shape(fitted().predict([[1.0]]), (1,), "predict of one sample")


# --- SoftmaxRegression ---------------------------------------------------------------------------------------


def test_softmax_regression_agrees_with_scikit_learn(rng):
    """Weights, intercepts and probabilities of three classes equal those of scikit-learn with C = 1 / l2."""
    X, y = three_classes(rng)
    names = np.array(["debug", "error", "warning"])[y]
    reference = scikit_learns_fit(X, names, l2=10.0)
    for solver in ("newton", "gradient"):
        model = SoftmaxRegression(10.0, solver=solver, learning_rate=QUICK_SOFTMAX, max_iter=STEPS[solver])
        model.fit(X, names)
        message = f"with l2=10, solver={solver}"
        assert_close(model.coef_, reference.coef_, f"coef_ {message}", rtol=1e-5, atol=1e-5)
        assert_close(
            model.intercept_ - model.intercept_.mean(),
            reference.intercept_ - reference.intercept_.mean(),
            f"intercept_ {message}, up to a shift that softmax does not see",
            rtol=1e-5,
            atol=1e-5,
        )
        expected = reference.predict_proba(X)
        assert_close(model.predict_proba(X), expected, f"predict_proba {message}", rtol=1e-5, atol=1e-5)
        assert (model.predict(X) == reference.predict(X)).all(), "predict returns the labels given to fit"


@pytest.mark.parametrize("solver", ["newton", "gradient"])
def test_softmax_regression_ends_where_nothing_pulls(rng, solver):
    """With a small penalty too, Xᵀ(P - Y) + l2·W and the column sums of P - Y vanish at the fit, Y one-hot."""
    X, y = three_classes(rng)
    model = SoftmaxRegression(0.5, solver=solver, learning_rate=QUICK_SOFTMAX, max_iter=STEPS[solver], tol=1e-6)
    model.fit(X, y)
    powers = np.exp(X @ model.coef_.T + model.intercept_)
    off = powers / powers.sum(axis=1, keepdims=True) - np.eye(3)[y]
    message = "at the fit with l2=0.5:"
    assert_close(off.T @ X + 0.5 * model.coef_, np.zeros((3, 2)), f"{message} Xᵀ(P - Y) + l2·W", atol=2e-4)
    assert_close(off.sum(axis=0), np.zeros(3), f"{message} the column sums of P - Y", atol=2e-4)


def test_softmax_regression_learns_values_of_these_shapes(rng):
    """Values have their shapes, weights sum to zero, a second fit starts anew, and settings are obeyed."""
    X, y = three_classes(rng)
    model = SoftmaxRegression(2.0, solver="gradient", learning_rate=1.25, max_iter=5000, tol=1e-2).fit(X, y)
    assert_shape(model.coef_, (3, 2), "coef_ has shape (n_classes, n_features)")
    assert_shape(model.intercept_, (3,), "intercept_ has shape (n_classes,)")
    assert_close(model.classes_, [0, 1, 2], "classes_ are the sorted labels")
    assert_shape(model.loss_curve_, (model.n_iter_ + 1,), "loss_curve_ has a value before and after each step")
    assert_close(model.loss_curve_[0], LOG3, "the first loss: from zero each of three classes has p = 1/3")
    assert_close(model.coef_.sum(axis=0), np.zeros(2), "weights sum to zero over the classes", atol=1e-9)
    first, second = (SoftmaxRegression(max_iter=STEPS["newton"], tol=0.01) for _ in range(2))
    first.fit(X, y)
    second.fit(-X, y).fit(X, y)
    assert_close(second.loss_curve_, first.loss_curve_, "loss_curve_ of a second fit: it starts from zero")
    X, y = three_classes(rng)
    with pytest.warns(RuntimeWarning, match="max_iter"):
        one = SoftmaxRegression(1.0, solver="gradient", learning_rate=0.125, max_iter=1).fit(X, y)
    _, slope = softmax_objective(np.zeros((3, 3)), add_intercept(X), y, 1.0)
    assert_close(np.vstack([one.coef_.T, one.intercept_]), -0.125 * slope, "one step of 0.125 from zero")
    assert one.n_iter_ == 1, f"n_iter_ with max_iter=1 is 1, got {one.n_iter_}"
    for solver in ("newton", "gradient"):
        tols, steps = ((5e-2, 1e-6) if solver == "newton" else (5e-2, 1e-2)), STEPS[solver]
        loose, tight = (SoftmaxRegression(solver=solver, tol=tol, max_iter=steps).fit(X, y).n_iter_ for tol in tols)
        assert loose < tight, f"a looser tol stops earlier, solver={solver}; got {loose} and {tight} steps"
    with pytest.warns(RuntimeWarning, match="max_iter"):
        assert SoftmaxRegression(1.0, max_iter=2).fit(X, y).n_iter_ == 2, "Newton obeys max_iter as well"
    quick = SoftmaxRegression(1.0, max_iter=STEPS["newton"], tol=1e-2).fit(X, y).n_iter_
    assert quick < tight, f"Newton takes fewer steps than gradient descent; got {quick} and {tight}"


def test_softmax_regression_learns_separated_classes(rng):
    """With a penalty separated classes are learned; without one they are refused, and what separates some is named."""
    X, y = np.array([[-3.0], [-2.0], [0.0], [0.5], [2.0], [3.0]]), np.array(["a", "a", "b", "b", "c", "c"])
    predicted = SoftmaxRegression(0.1, max_iter=STEPS["newton"], tol=0.02).fit(X, y).predict(X)
    assert predicted.tolist() == y.tolist(), f"three classes in a row, l2=0.1: got {predicted.tolist()}"
    message = "classes that planes separate, with l2=0: there is no minimum"
    assert_refuses(lambda: SoftmaxRegression(0, max_iter=STEPS["newton"]).fit(X, y), r"\bl2\b", message=message)
    X, y = three_classes(rng)
    rare = np.arange(len(X)) < 3
    with pytest.warns(RuntimeWarning, match=r"separat.*\b2\b"):
        SoftmaxRegression(0, max_iter=30).fit(np.column_stack([X, rare]), np.where(rare, 1, y))


def test_softmax_regression_takes_any_labels(rng):
    """Numbers that are not 0, 1, 2 are labels too: they come back from predict, and y is unmodified."""
    X, y = three_classes(rng, 60)
    reference = SoftmaxRegression(max_iter=STEPS["newton"], tol=0.03).fit(X, y)
    codes = np.argmax(X @ reference.coef_.T + reference.intercept_, axis=1)
    for labels in ((3, 5, 9), (-1, 0, 1), (2.0, 4.0, 6.0)):
        named = np.array(labels)[y]
        model = SoftmaxRegression(max_iter=STEPS["newton"], tol=0.03).fit(X, named)
        assert_close(named, np.array(labels)[y], "y after fit", rtol=0, atol=0)
        assert model.classes_.tolist() == list(labels), f"classes_ for {labels}: {model.classes_.tolist()}"
        assert_close(model.coef_, reference.coef_, f"coef_ with labels {labels} equals that with labels 0, 1 and 2")
        predicted = model.predict(X)
        assert (predicted == np.array(labels)[codes]).all(), f"predict returns the labels given to fit, {labels}"
