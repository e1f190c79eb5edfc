# pyright: basic
"""Ways in which learners get logistic regression wrong, and right ways that differ from ours."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.classical.logistic_regression.logistic_regression import (
    _check_binary_labels,
)


@mistake("sigmoid", edit=("np.where(z >= 0, 1.0, small) / (1.0 + small)", "1.0 / (1.0 + np.exp(-z))"))
def sigmoid_overflows():
    """You wrote the formula 1 / (1 + exp(-z)) as it stands: for z = -1000 it computes exp(1000), which overflows. Give
    `exp` only numbers that are not positive, -|z|, and choose between 1/(1 + e) and e/(1 + e) by the sign of z.
    """


@mistake(
    "sigmoid",
    edit=("np.where(z >= 0, 1.0, small) / (1.0 + small)", "np.where(z >= 0, 1 / (1 + small), 1 - 1 / (1 + small))"),
)
def sigmoid_one_minus():
    """For negative z you return 1 - σ(|z|). That is right on paper, but σ(40) has rounded to 1 already, so that you
    return 0 instead of 4e-18. Compute the small side directly: e / (1 + e) with e = exp(-|z|).
    """


@mistake(
    "binary_cross_entropy",
    edit=(
        "np.mean(np.maximum(z, 0.0) - y * z + np.log1p(np.exp(-np.abs(z))))",
        "-np.mean(y * np.log(sigmoid(z)) + (1 - y) * np.log(1 - sigmoid(z)))",
    ),
)
def loss_through_probabilities():
    """You turned the logits into probabilities and took logarithms of them. At z = 1000 the probability is exactly 1,
    and log(1 - 1) is minus infinity. Stay with the logits: the loss is max(z, 0) - y·z + log(1 + exp(-|z|)).
    """


@mistake("binary_cross_entropy", edit=("    _check_binary_labels(z, y)\n", ""))
def loss_broadcasts():
    """Your formula is right, but nothing guards it: (n, 1) logits against (n,) labels broadcast to (n, n) pairs, and
    labels of -1 give a number as well. Call `_check_binary_labels` before you compute.
    """


@variant("binary_cross_entropy")
def loss_of_both_sides(logits, labels):
    """y·log(1 + exp(-z)) + (1 - y)·log(1 + exp(z))."""
    z, y = np.asarray(logits, dtype=float), np.asarray(labels, dtype=float)
    _check_binary_labels(z, y)
    return float(np.mean(y * np.logaddexp(0.0, -z) + (1 - y) * np.logaddexp(0.0, z)))


@mistake("softmax", edit=(" - z.max(axis=axis, keepdims=True)", ""))
def softmax_overflows():
    """You exponentiated the scores as they are: exp(1000) overflows. Softmax does not see a shift, so subtract the
    largest score along the axis first.
    """


@mistake("softmax", edit=[("sum(axis=axis", "sum(axis=-1"), ("axis,", "-1,")])
def softmax_ignores_the_axis():
    """You always normalise along the last axis; `axis` says along which one the probabilities have to sum to one. Pass
    it to both `max` and `sum`.
    """


@variant("softmax")
def softmax_with_the_classes_in_front(logits, axis=-1):
    """The axis of the classes moved to the front, where broadcasting needs no keepdims, and back."""
    z = np.moveaxis(np.asarray(logits, dtype=float), axis, 0)
    powers = np.exp(z - z.max(axis=0))
    return np.moveaxis(powers / powers.sum(axis=0), 0, axis)


@mistake(
    "cross_entropy",
    edit=(
        "np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(y)), y])",
        "-np.mean(np.log(softmax(z)[np.arange(len(y)), y]))",
    ),
)
def cross_entropy_through_probabilities():
    """You took the logarithm of softmax. Where the right class got probability 0 (scores of ±1000) that is the
    logarithm of zero. Work with logarithms throughout: log Σ exp(z - max) - (z_y - max).
    """


@mistake("logistic_objective", edit=("_without_intercept(parameters)", "parameters"))
def penalises_the_intercept():
    """You penalise the intercept with the weights. It only says how common the positive class is: pulled to zero, it
    biases every probability towards 1/2. Leave the last parameter out (`_without_intercept`).
    """


@mistake("logistic_objective", edit=("sigmoid(logits) - labels", "labels - sigmoid(logits)"))
def gradient_of_the_likelihood():
    """Your gradient has the wrong sign in front of the data: designᵀ(y - p) is the slope of the log-likelihood, which
    one climbs. The loss is its negative, so it is designᵀ(p - y).
    """


@mistake(
    "logistic_objective",
    edit=[("l2 / (2 * len(labels))", "l2 / 2"), (" + l2 * weights) / len(labels)", ") / len(labels) + l2 * weights")],
)
def penalty_not_divided_by_n():
    """You averaged the losses and added the whole penalty to the mean. `l2` belongs to the sum of the losses, so that
    both are divided by n; as it is, your penalty is n times too strong (C would be 1 / (n·l2)).
    """


@mistake("logistic_hessian", edit=("design * np.sqrt(curvature)[:, None]", "design"))
def hessian_without_the_curvature():
    """You left out the weights p(1 - p): designᵀdesign is the Hessian of least squares. Each sample counts by how
    uncertain its prediction is.
    """


@mistake("gradient_descent", edit=[("= parameters -", "-="), ("np.array(start, dtype=float)", "start")])
def steps_in_place():
    """You update with -= on the array that came in: the caller's `start` moves as you do, and integers cannot take a
    fraction of a step. Begin with a copy in float, and write parameters = parameters - ...
    """


@mistake("gradient_descent", edit=[("(np.abs(gradient)", "(gradient"), ("np.abs(gradient)", "gradient")])
def forgets_that_slopes_can_be_negative():
    """You compare gradient.max() with tol without taking absolute values. A gradient of (-8, 0) then counts as small
    and you stop in the middle of the slope.
    """


@mistake("newton", edit=("while step.any() and there[0] > value", "while False"))
def newton_always_takes_the_full_step():
    """You take every Newton step whole. Where the function is nearly straight, its parabola reaches far beyond the
    minimum and the objective rises. Halve the step while it would.
    """


@mistake("newton", edit=("smallest_solution(", "np.linalg.solve("))
def newton_needs_an_inverse():
    """You solve with a method that needs an invertible Hessian. Two equal columns make it singular, and the fit stops
    with a LinAlgError or wanders off. smallest_solution (or np.linalg.lstsq, or pinv) takes the smallest of the
    possible steps.
    """


@mistake("LogisticRegression.fit", edit=("    return self\n", ""))
def fit_returns_nothing():
    """Your fit learns but does not return the estimator, so that LogisticRegression().fit(X, y).predict(X) fails on
    None. End it with `return self`.
    """


@mistake(
    "LogisticRegression.fit",
    edit=[
        ("objective, start =", "strength = 1 / self.l2 if self.l2 else 0.0\n    objective, start ="),
        ("labels, self.l2)", "labels, strength)"),
        ("(X, self.l2)", "(X, strength)"),
    ],
)
def fit_stores_c_for_l2():
    """You treated l2 as scikit-learn's C. They are reciprocals: a large l2 means small weights, a large C means large
    ones.
    """


@mistake("LogisticRegression.predict_proba", edit=("sigmoid(-logits)", "1 - sigmoid(logits)"))
def probability_by_subtraction():
    """You computed the first column as 1 - p. At log-odds above 37 p is exactly 1 and you return 0, although σ(-z) is a
    good small number there: whoever takes its logarithm gets minus infinity.
    """


@mistake("LogisticRegression.predict", edit=("self.classes_[(logits > 0).astype(int)]", "(logits > 0).astype(int)"))
def predicts_codes():
    """You returned the codes 0 and 1. The caller gave labels, perhaps strings, and expects them back: use the code as
    an index into classes_.
    """


@variant("LogisticRegression.predict")
def predicts_by_where(self, X):
    """By probabilities."""
    p = self.predict_proba(X)
    return np.where(p[:, 1] > p[:, 0], self.classes_[1], self.classes_[0])


@mistake("SoftmaxRegression.fit", edit=("found.parameters[:-1].T", "found.parameters[:-1]"))
def weights_not_transposed():
    """Your coef_ has shape (n_features, n_classes), as the parameters have in the objective. The convention is one row
    for each class: transpose it.
    """
