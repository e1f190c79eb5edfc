"""Logistic regression: sigmoid, cross-entropy, gradient and Newton fits, softmax regression."""

from groundup.stack.classical.logistic_regression.logistic_regression import (
    Fit,
    LogisticRegression,
    SoftmaxRegression,
    add_intercept,
    binary_cross_entropy,
    check_features,
    check_training_data,
    check_two_classes,
    cross_entropy,
    gradient_descent,
    logistic_hessian,
    logistic_objective,
    newton,
    sigmoid,
    softmax,
    softmax_objective,
)

__all__ = [
    "Fit",
    "LogisticRegression",
    "SoftmaxRegression",
    "add_intercept",
    "binary_cross_entropy",
    "check_features",
    "check_training_data",
    "check_two_classes",
    "cross_entropy",
    "gradient_descent",
    "logistic_hessian",
    "logistic_objective",
    "newton",
    "sigmoid",
    "softmax",
    "softmax_objective",
]
