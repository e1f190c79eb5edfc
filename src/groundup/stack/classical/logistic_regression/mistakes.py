# pyright: basic
"""Ways in which learners get logistic regression wrong, and right ways that differ from ours."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.classical.logistic_regression.logistic_regression import (
    Fit,
    _check_binary_labels,
    _check_class_numbers,
    _check_finite_loss,
    _check_settings,
    _check_several_classes,
    _check_unpenalised,
    _warn_unless_converged,
    _without_intercept,
    add_intercept,
    binary_cross_entropy,
    check_training_data,
    check_two_classes,
    cross_entropy,
    gradient_descent,
    hessian_products_in_blocks,
    logistic_hessian,
    logistic_objective,
    newton,
    newton_cg,
    objective_in_blocks,
    sigmoid,
    softmax,
    softmax_objective,
)

# --- sigmoid -------------------------------------------------------------------------------------------------


@mistake("sigmoid")
def sigmoid_overflows(logits):
    """You wrote the formula 1 / (1 + exp(-z)) as it stands: for z = -1000 it computes exp(1000),
    which overflows. Give `exp` only numbers that are not positive, -|z|, and choose between 1/(1 +
    e) and e/(1 + e) by the sign of z.
    """
    z = np.asarray(logits, dtype=float)
    return 1.0 / (1.0 + np.exp(-z))


@mistake("sigmoid")
def sigmoid_the_other_exponential(logits):
    """You wrote exp(z) / (1 + exp(z)): safe far to the left, but for z = 1000 it divides infinity
    by infinity, which is NaN. Neither form is safe on both sides; use exp(-|z|) and choose the
    numerator by the sign of z.
    """
    z = np.asarray(logits, dtype=float)
    return np.exp(z) / (1.0 + np.exp(z))


@mistake("sigmoid", edit=[("small) ", "1.0) "), ("1.0,", "small,")])
def sigmoid_turned_around():
    """Your sigmoid falls where it should rise: it is the probability of the other class, 1 / (1 +
    exp(+z)). Large log-odds must give a probability near 1; look at the sign in the exponent or at
    which branch has which numerator.
    """


@mistake("sigmoid")
def sigmoid_clips(logits):
    """You cut the log-odds off, at ±30 or so, to keep `exp` from overflowing. It no longer
    overflows, but every value further out is wrong: exp(-40) comes back as exp(-30). Rewrite the
    formula; do not change its input.
    """
    z = np.clip(np.asarray(logits, dtype=float), -30.0, 30.0)
    return 1.0 / (1.0 + np.exp(-z))


@mistake("sigmoid")
def sigmoid_one_minus(logits):
    """For negative z you return 1 - σ(|z|). That is right on paper, but σ(40) has rounded to 1
    already, so that you return 0 instead of 4e-18. Compute the small side directly: e / (1 + e)
    with e = exp(-|z|).
    """
    z = np.asarray(logits, dtype=float)
    right = 1.0 / (1.0 + np.exp(-np.abs(z)))
    return np.where(z >= 0, right, 1.0 - right)


@mistake("sigmoid")
def sigmoid_keeps_the_type(logits):
    """You negate the input in the type in which it came. Unsigned integers have no negative numbers
    (minus 200 as uint8 is 56), and float32 loses the tails. Start with np.asarray(logits,
    dtype=float).
    """
    z = np.asarray(logits)
    return np.exp(-np.logaddexp(0, -z))


@variant("sigmoid")
def sigmoid_in_two_halves(logits):
    """Each half of the line by the form that is safe there, into one array."""
    z = np.array(logits, dtype=float)
    p, right = np.empty_like(z), z >= 0
    p[right] = 1 / (1 + np.exp(-z[right]))
    e = np.exp(z[~right])
    p[~right] = e / (1 + e)
    return p


@variant("sigmoid")
def sigmoid_by_logaddexp(logits):
    """σ(z) = exp(-log(1 + exp(-z)))."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(logits, dtype=float)))


@variant("sigmoid")
def sigmoid_by_scipy(logits):
    """SciPy's own."""
    from scipy.special import expit

    return expit(np.asarray(logits, dtype=float))


# --- binary cross-entropy ------------------------------------------------------------------------------------


@mistake("binary_cross_entropy")
def loss_through_probabilities(logits, labels):
    """You turned the logits into probabilities and took logarithms of them. At z = 1000 the
    probability is exactly 1, and log(1 - 1) is minus infinity. Stay with the logits: the loss is
    max(z, 0) - y·z + log(1 + exp(-|z|)).
    """
    z, y = np.asarray(logits, dtype=float), np.asarray(labels, dtype=float)
    _check_binary_labels(z, y)
    p = sigmoid(z)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


@mistake("binary_cross_entropy")
def loss_with_clipped_probabilities(logits, labels):
    """You clipped the probabilities so that the logarithm stays finite. Now a logit of 1000 on the
    wrong side costs about 35 nats, as one of 36 does: the loss is flat where it should pull
    hardest. Compute it from the logits.
    """
    z, y = np.asarray(logits, dtype=float), np.asarray(labels, dtype=float)
    _check_binary_labels(z, y)
    p = np.clip(sigmoid(z), 1e-15, 1 - 1e-15)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


@mistake("binary_cross_entropy", edit=("np.mean", "np.sum"))
def loss_summed():
    """You added the losses of the samples up; asked for is their mean. With a sum the size of a
    step grows with the number of samples.
    """


@mistake("binary_cross_entropy")
def loss_of_positives_only(logits, labels):
    """You counted -y·log(p) only, so that a sample of class 0 costs nothing whatever you predict
    for it. The other half, -(1 - y)·log(1 - p), is missing.
    """
    z, y = np.asarray(logits, dtype=float), np.asarray(labels, dtype=float)
    _check_binary_labels(z, y)
    return float(np.mean(y * np.logaddexp(0.0, -z)))


@mistake("binary_cross_entropy", edit=("    _check_binary_labels(z, y)\n", ""))
def loss_broadcasts():
    """Your formula is right, but nothing guards it: (n, 1) logits against (n,) labels broadcast to
    (n, n) pairs, and labels of -1 give a number as well. Call `_check_binary_labels` before you
    compute.
    """


@mistake(
    "binary_cross_entropy", edit=("maximum(z, 0.0) - y * z + np.log1p(np.exp(-np.abs(z)))", "logaddexp(0.0, z) - y * z")
)
def loss_cancels():
    """You computed log(1 + exp(z)) - y·z. It does not overflow with `logaddexp`, but at z = 40 and
    y = 1 it subtracts 40 from 40 + 4e-18 and returns 0. Take the large part out first: max(z, 0) -
    y·z is exact, and log1p keeps the rest.
    """


@variant("binary_cross_entropy")
def loss_with_its_own_refusals(logits, labels):
    """Refused in other words; the logarithm of the sigmoid by SciPy."""
    from scipy.special import log_expit

    z, y = np.asarray(logits, dtype=float), np.asarray(labels, dtype=float)
    if z.shape != y.shape or z.size == 0:
        raise ValueError(f"expected as many labels as logits, at least one; received {y.shape} for {z.shape}")
    if not np.all((y >= 0) & (y <= 1)):
        raise ValueError(f"all labels should be in [0, 1]; found {y[~((y >= 0) & (y <= 1))][0]}")
    return float(-np.average(y * log_expit(z) + (1 - y) * log_expit(-z)))


@variant("binary_cross_entropy")
def loss_of_both_sides(logits, labels):
    """y·log(1 + exp(-z)) + (1 - y)·log(1 + exp(z))."""
    z, y = np.asarray(logits, dtype=float), np.asarray(labels, dtype=float)
    _check_binary_labels(z, y)
    return float(np.mean(y * np.logaddexp(0.0, -z) + (1 - y) * np.logaddexp(0.0, z)))


# --- softmax and cross-entropy -------------------------------------------------------------------------------


@mistake("softmax")
def softmax_overflows(logits, axis=-1):
    """You exponentiated the scores as they are: exp(1000) overflows. Softmax does not see a shift,
    so subtract the largest score along the axis first.
    """
    powers = np.exp(np.asarray(logits, dtype=float))
    return powers / powers.sum(axis=axis, keepdims=True)


@mistake("softmax", edit=("z.max(axis=axis, keepdims=True)", "z.max()"))
def softmax_shifts_by_the_largest_of_all():
    """You subtracted the largest score of the whole array. A row that lies 2000 below it underflows
    to 0/0. Each row needs its own largest score: max(axis=axis, keepdims=True).
    """


@mistake("softmax", edit=[("sum(axis=axis", "sum(axis=-1"), ("axis,", "-1,")])
def softmax_ignores_the_axis():
    """You always normalise along the last axis; `axis` says along which one the probabilities have
    to sum to one. Pass it to both `max` and `sum`.
    """


@mistake("softmax", edit=("powers.sum(axis=axis, keepdims=True)", "powers.sum()"))
def softmax_normalises_everything():
    """Your probabilities sum to one over the whole array, not for each sample. Sum along `axis`,
    with keepdims=True.
    """


@mistake("softmax")
def softmax_has_a_floor(logits, axis=-1):
    """You keep the probabilities away from 0 by a floor. They are then wrong in the tail and no longer sum to one.
    Softmax needs no floor; a loss that takes a logarithm should start from the scores instead (`cross_entropy`).
    """
    z = np.asarray(logits, dtype=float)
    powers = np.exp(z - z.max(axis=axis, keepdims=True))
    return np.clip(powers / powers.sum(axis=axis, keepdims=True), 1e-15, 1.0)


@mistake("softmax")
def softmax_shifts_in_place(logits, axis=-1):
    """You subtract the largest score in place (`z -= …`). np.asarray does not copy an array of float64, so that the
    caller's scores change. Write `z = z - …`.
    """
    z = np.asarray(logits, dtype=float)
    z -= z.max(axis=axis, keepdims=True)
    powers = np.exp(z)
    return powers / powers.sum(axis=axis, keepdims=True)


@mistake(
    "softmax", edit=("z - z.max(axis=axis, keepdims=True)", "np.maximum(z - z.max(axis=axis, keepdims=True), -700.0)")
)
def softmax_limits_the_exponent():
    """You keep the exponent above a limit, so that `exp` does not underflow. Underflow to zero is right: a score of
    -inf rules a class out, and gets a probability of exactly 0. Only overflow does harm.
    """


@variant("softmax")
def softmax_with_the_classes_in_front(logits, axis=-1):
    """The axis of the classes moved to the front, where broadcasting needs no keepdims, and back."""
    z = np.moveaxis(np.asarray(logits, dtype=float), axis, 0)
    powers = np.exp(z - z.max(axis=0))
    return np.moveaxis(powers / powers.sum(axis=0), 0, axis)


@variant("softmax")
def softmax_by_scipy(logits, axis=-1):
    """Through the log-sum-exp of SciPy."""
    from scipy.special import logsumexp

    z = np.asarray(logits, dtype=float)
    return np.exp(z - logsumexp(z, axis=axis, keepdims=True))


@mistake("cross_entropy")
def cross_entropy_through_probabilities(logits, labels):
    """You took the logarithm of softmax. Where the right class got probability 0 (scores of ±1000)
    that is the logarithm of zero. Work with logarithms throughout: log Σ exp(z - max) - (z_y -
    max).
    """
    z, y = np.asarray(logits, dtype=float), np.asarray(labels)
    _check_class_numbers(z, y)
    return float(-np.mean(np.log(softmax(z)[np.arange(len(y)), y])))


@mistake("cross_entropy", edit=[("np.arange(len(y))", ":"), ("1)", "1, keepdims=True)")])
def cross_entropy_of_every_class():
    """You averaged the log-probabilities of all classes; the loss looks only at the right class of
    each row: scores[np.arange(n), labels]. As scores[:, labels] it takes whole columns.
    """


@mistake("cross_entropy")
def cross_entropy_without_the_shift(logits, labels):
    """Your formula is right on paper, but exp(1000) overflows. Take each row's largest score out
    before the exponential.
    """
    z, y = np.asarray(logits, dtype=float), np.asarray(labels)
    _check_class_numbers(z, y)
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]))


@mistake(
    "cross_entropy",
    edit=(
        "    _check_class_numbers",
        '    if y.size and y.dtype.kind in "iu" and z.ndim == 2 and y.min() == 1 and y.max() == '
        "z.shape[1]:\n"
        "        y = y - 1\n"
        "    _check_class_numbers",
    ),
)
def cross_entropy_counts_from_one():
    """You take class numbers that begin with 1 for what they seem to be and shift them. Labels 1 and 2 of three
    classes then mean something else than labels 1, 2 and 3: the same number is another class from batch to batch.
    Classes are numbered from 0; refuse what does not fit.
    """


@variant("cross_entropy")
def cross_entropy_row_by_row(logits, labels):
    """A loop over the rows, and refusals in other words."""
    z, y = np.asarray(logits, dtype=float), np.asarray(labels)
    if z.ndim != 2 or y.shape != (len(z),) or len(z) == 0:
        raise ValueError(f"expected one class in labels for each row of logits {z.shape}; received shape {y.shape}")
    if not np.issubdtype(y.dtype, np.integer) or y.min() < 0 or y.max() >= z.shape[1]:
        raise ValueError(f"labels must be integers below {z.shape[1]}; received {y}")
    losses = []
    for scores, right in zip(z, y, strict=True):
        top = scores.max()
        losses.append(np.log(np.exp(scores - top).sum()) + top - scores[right])
    return float(np.mean(losses))


@variant("cross_entropy")
def cross_entropy_by_scipy(logits, labels):
    """Through the log-sum-exp of SciPy."""
    from scipy.special import log_softmax

    z, y = np.asarray(logits, dtype=float), np.asarray(labels)
    _check_class_numbers(z, y)
    return float(-log_softmax(z, axis=1)[np.arange(len(y)), y].mean())


# --- objectives ----------------------------------------------------------------------------------------------


@mistake("logistic_objective")
def penalises_the_intercept(parameters, design, labels, l2):
    """You penalise the intercept with the weights. It only says how common the positive class is:
    pulled to zero, it biases every probability towards 1/2. Leave the last parameter out
    (`_without_intercept`).
    """
    logits = design @ parameters
    value = binary_cross_entropy(logits, labels) + l2 / (2 * len(labels)) * float(parameters @ parameters)
    return value, (design.T @ (sigmoid(logits) - labels) + l2 * parameters) / len(labels)


@mistake("logistic_objective")
def gradient_of_the_likelihood(parameters, design, labels, l2):
    """Your gradient has the wrong sign in front of the data: designᵀ(y - p) is the slope of the
    log-likelihood, which one climbs. The loss is its negative, so it is designᵀ(p - y).
    """
    logits = design @ parameters
    weights = _without_intercept(parameters)
    value = binary_cross_entropy(logits, labels) + l2 / (2 * len(labels)) * float(weights @ weights)
    return value, (design.T @ (labels - sigmoid(logits)) + l2 * weights) / len(labels)


@mistake("logistic_objective")
def penalty_missing_in_the_gradient(parameters, design, labels, l2):
    """The penalty is in your value but not in your gradient: the derivative of l2/2 · ‖w‖² is l2·w.
    A minimiser that follows this gradient stops at the unpenalised fit.
    """
    logits = design @ parameters
    weights = _without_intercept(parameters)
    value = binary_cross_entropy(logits, labels) + l2 / (2 * len(labels)) * float(weights @ weights)
    return value, design.T @ (sigmoid(logits) - labels) / len(labels)


@mistake("logistic_objective")
def penalty_not_divided_by_n(parameters, design, labels, l2):
    """You averaged the losses and added the whole penalty to the mean. `l2` belongs to the sum of
    the losses, so that both are divided by n; as it is, your penalty is n times too strong (C would
    be 1 / (n·l2)).
    """
    logits = design @ parameters
    weights = _without_intercept(parameters)
    value = binary_cross_entropy(logits, labels) + l2 / 2 * float(weights @ weights)
    return value, design.T @ (sigmoid(logits) - labels) / len(labels) + l2 * weights


@mistake("logistic_objective")
def gradient_not_averaged(parameters, design, labels, l2):
    """Your gradient is that of the sum over the samples, n times the gradient of the mean that you
    return as the value. Divide it by n.
    """
    logits = design @ parameters
    weights = _without_intercept(parameters)
    value = binary_cross_entropy(logits, labels) + l2 / (2 * len(labels)) * float(weights @ weights)
    return value, design.T @ (sigmoid(logits) - labels) + l2 * weights


@mistake("logistic_objective")
def penalty_twice(parameters, design, labels, l2):
    """Your penalty is l2·‖w‖², without the half. Then the gradient is 2·l2·w and C = 1/(2·l2): half
    of what was asked for.
    """
    logits = design @ parameters
    weights = _without_intercept(parameters)
    value = binary_cross_entropy(logits, labels) + l2 / len(labels) * float(weights @ weights)
    return value, (design.T @ (sigmoid(logits) - labels) + 2 * l2 * weights) / len(labels)


@mistake("logistic_objective")
def zeroes_the_callers_intercept(parameters, design, labels, l2):
    """You set the intercept to zero in the caller's array while preparing the penalty. `parameters`
    is not yours to change: copy it first, as `_without_intercept` does.
    """
    logits = design @ parameters
    weights = parameters
    weights[-1] = 0.0
    value = binary_cross_entropy(logits, labels) + l2 / (2 * len(labels)) * float(weights @ weights)
    return value, (design.T @ (sigmoid(logits) - labels) + l2 * weights) / len(labels)


@variant("logistic_objective")
def objective_by_parts(parameters, design, labels, l2):
    """Weights and intercept apart, sums of rows rather than a product."""
    n = len(labels)
    weights, logits = parameters[:-1], design @ parameters
    value = (n * binary_cross_entropy(logits, labels) + 0.5 * l2 * np.sum(weights**2)) / n
    gradient = np.einsum("ij,i->j", design, sigmoid(logits) - labels)
    gradient[:-1] += l2 * weights
    return float(value), gradient / n


@mistake("logistic_hessian")
def hessian_without_the_curvature(parameters, design, l2):
    """You left out the weights p(1 - p): designᵀdesign is the Hessian of least squares. Each sample
    counts by how uncertain its prediction is.
    """
    penalty = l2 * _without_intercept(np.ones(len(parameters)))
    return (design.T @ design + np.diag(penalty)) / len(design)


@mistake("logistic_hessian")
def hessian_penalises_the_intercept(parameters, design, l2):
    """You added l2 to the whole diagonal. The intercept is not penalised, so that its entry, the
    last, gets nothing.
    """
    logits = design @ parameters
    curvature = sigmoid(logits) * sigmoid(-logits)
    return ((design.T * curvature) @ design + l2 * np.eye(len(parameters))) / len(design)


@mistake("logistic_hessian")
def hessian_not_averaged(parameters, design, l2):
    """Your Hessian is that of the sum over the samples; the objective is a mean, so divide by n. As
    it is, each Newton step is n times too short.
    """
    logits = design @ parameters
    curvature = sigmoid(logits) * sigmoid(-logits)
    return (design.T * curvature) @ design + np.diag(l2 * _without_intercept(np.ones(len(parameters))))


@mistake("logistic_hessian")
def hessian_through_a_diagonal_matrix(parameters, design, l2):
    """You put the curvatures on the diagonal of an n × n matrix, as the formula is written. A million samples would
    need 8 terabytes for it. Multiply each row of the design by its curvature instead: `design.T * curvature`
    broadcasts.
    """
    logits = design @ parameters
    penalty = l2 * _without_intercept(np.ones(len(parameters)))
    curvature = np.diag(sigmoid(logits) * sigmoid(-logits))
    return (design.T @ curvature @ design + np.diag(penalty)) / len(design)


@mistake("logistic_hessian")
def hessian_one_minus(parameters, design, l2):
    """You computed the curvature as p·(1 - p). For log-odds above 37 p has rounded to 1 and the
    curvature to 0, although on the other side, at -37, it survives. 1 - σ(z) is σ(-z): multiply
    those.
    """
    p = sigmoid(design @ parameters)
    penalty = l2 * _without_intercept(np.ones(len(parameters)))
    return ((design.T * (p * (1 - p))) @ design + np.diag(penalty)) / len(design)


@variant("logistic_hessian")
def hessian_of_scaled_rows(parameters, design, l2):
    """Rows scaled by the root of their curvature, e / (1 + e)²."""
    e = np.exp(-np.abs(design @ parameters))
    rows = design * (np.sqrt(e) / (1 + e))[:, None]
    hessian = rows.T @ rows
    hessian[:-1, :-1] += l2 * np.eye(len(parameters) - 1)
    return hessian / len(design)


@variant("logistic_hessian")
def hessian_by_einsum(parameters, design, l2):
    """One outer product for each row."""
    z = design @ parameters
    hessian = np.einsum("n,ni,nj->ij", sigmoid(z) * sigmoid(-z), design, design)
    hessian[np.arange(len(z[:0]), len(parameters) - 1), np.arange(len(parameters) - 1)] += l2
    return hessian / len(z)


@mistake("softmax_objective")
def softmax_penalises_the_intercepts(parameters, design, labels, l2):
    """You penalise the last row, the intercepts, with the weights. They say how common each class
    is; leave them out (`_without_intercept`).
    """
    logits = design @ parameters
    value = cross_entropy(logits, labels) + l2 / (2 * len(labels)) * float(np.sum(parameters**2))
    errors = softmax(logits)
    errors[np.arange(len(labels)), labels] -= 1.0
    return value, (design.T @ errors + l2 * parameters) / len(labels)


@mistake("softmax_objective", edit=("np.arange(len(labels))", ":"))
def softmax_subtracts_from_every_row():
    """errors[:, labels] -= 1 subtracts from whole columns, so that every row loses one for every
    class that occurs. Take one entry in each row: errors[np.arange(n), labels] -= 1.
    """


@mistake("softmax_objective")
def softmax_forgets_the_right_class(parameters, design, labels, l2):
    """Your gradient is designᵀP: the 1 of the right class was never subtracted, so that every score
    is pushed down, the right one too. The error is P - Y.
    """
    logits = design @ parameters
    weights = _without_intercept(parameters)
    value = cross_entropy(logits, labels) + l2 / (2 * len(labels)) * float(np.sum(weights**2))
    return value, (design.T @ softmax(logits) + l2 * weights) / len(labels)


@variant("softmax_objective")
def softmax_with_one_hot_rows(parameters, design, labels, l2):
    """P - Y with Y written out."""
    n, k = len(labels), parameters.shape[1]
    scores, weights = design @ parameters, _without_intercept(parameters)
    gradient = design.T @ (softmax(scores) - np.eye(k)[labels]) + l2 * weights
    return cross_entropy(scores, labels) + float(l2 * (weights * weights).sum() / (2 * n)), gradient / n


# --- two ways down -------------------------------------------------------------------------------------------


@mistake("gradient_descent", edit=("parameters - learning_rate * gradient", "parameters + learning_rate * gradient"))
def climbs():
    """You stepped along the gradient, which points uphill: the losses grow. Subtract it."""


@mistake("gradient_descent", edit=[("= parameters -", "-="), ("np.array(start, dtype=float)", "start")])
def steps_in_place():
    """You update with -= on the array that came in: the caller's `start` moves as you do, and
    integers cannot take a fraction of a step. Begin with a copy in float, and write parameters =
    parameters - ...
    """


@mistake(
    "gradient_descent",
    edit=("while np.abs(gradient).max() > tol and len(losses) <= max_iter", "for _ in range(max_iter)"),
)
def takes_every_step():
    """You always take max_iter steps. Stop as soon as the largest entry of the gradient is within
    tol; at the minimum that is before the first step.
    """


@mistake("gradient_descent", edit=[("(np.abs(gradient)", "(gradient"), ("np.abs(gradient)", "gradient")])
def forgets_that_slopes_can_be_negative():
    """You compare gradient.max() with tol without taking absolute values. A gradient of (-8, 0)
    then counts as small and you stop in the middle of the slope.
    """


@mistake("gradient_descent")
def records_the_loss_before_the_step(objective, start, *, learning_rate, max_iter, tol):
    """Your list of losses lacks the last one: you append the value and then step, so that the point
    you return was never measured. Record the start, and then the value after each step.
    """
    parameters = np.array(start, dtype=float)
    losses, converged = [], False
    for _ in range(max_iter):
        value, gradient = objective(parameters)
        losses.append(value)
        _check_finite_loss(value, learning_rate, step=len(losses) - 1)
        converged = bool(np.abs(gradient).max() <= tol)
        if converged:
            break
        parameters = parameters - learning_rate * gradient
    return Fit(parameters, np.array(losses), converged)


@mistake("gradient_descent", edit=("bool(np.abs(gradient).max() <= tol)", "True"))
def says_converged_when_out_of_steps():
    """You report convergence whenever the loop ends, also when it merely ran out of steps.
    `converged` is a fact about the last gradient: its largest entry is within tol.
    """


@mistake("gradient_descent", edit=("(value,", "(value if value <= losses[-2] else np.inf,"))
def ends_when_the_objective_rises():
    """You stop, or raise, as soon as the objective rises. Then the curve of losses ends before it can show what a
    step that is too large does. Go on until max_iter; only an objective that is no longer finite is an error.
    """


@mistake("gradient_descent", edit=[("max() <", "mean() <"), ("max(", "mean(")])
def descends_until_the_mean_is_small():
    """You compare the mean of the gradient's entries with tol. One steep direction hides among many flat ones then:
    the more features, the earlier you stop. Compare the largest entry, by its absolute value.
    """


@mistake(
    "gradient_descent",
    edit=(
        "parameters = parameters - learning_rate * gradient",
        "step = learning_rate * gradient\n"
        "        if np.abs(step).max() < 1e-9:\n"
        "            break\n"
        "        parameters = parameters - step",
    ),
)
def ends_with_a_small_step():
    """You end the search when a step is small. A step is small too when learning_rate is, far from any minimum. Only
    the gradient says how far down it still goes: stop when its largest entry is within tol, or after max_iter steps.
    """


@variant("gradient_descent")
def descent_that_refuses_in_other_words(objective, start, *, learning_rate, max_iter, tol):
    """Steps are counted, and an overflow is told in other words."""
    point, steps = np.array(start, dtype=np.float64), 0
    value, slope = objective(point)
    losses = [float(value)]
    while np.linalg.norm(slope.ravel(), np.inf) > tol and steps < max_iter:
        point, steps = point - learning_rate * slope, steps + 1
        value, slope = objective(point)
        if np.isnan(value) or np.isinf(value):
            raise ValueError(f"diverged with learning_rate={learning_rate}: try a smaller one")
        losses.append(float(value))
    return Fit(converged=bool(np.linalg.norm(slope.ravel(), np.inf) <= tol), losses=np.array(losses), parameters=point)


@variant("gradient_descent")
def descent_with_a_for_loop(objective, start, *, learning_rate, max_iter, tol):
    """A loop that breaks, and one test of the gradient."""
    point = np.asarray(start).astype(float)
    losses = []
    for step in range(max_iter + 1):
        value, gradient = objective(point)
        _check_finite_loss(value, learning_rate, step)
        losses.append(value)
        converged = bool(np.all(np.abs(gradient) <= tol))
        if converged or step == max_iter:
            break
        point = point - learning_rate * gradient
    return Fit(point, np.asarray(losses), converged)


@mistake("newton")
def newton_always_takes_the_full_step(objective, hessian, start, *, max_iter, tol):
    """You take every Newton step whole. Where the function is nearly straight, its parabola reaches
    far beyond the minimum and the objective rises. Halve the step while it would.
    """
    parameters = np.array(start, dtype=float)
    value, gradient = objective(parameters)
    losses = [value]
    while np.abs(gradient).max() > tol and len(losses) <= max_iter:
        parameters = parameters - np.linalg.lstsq(hessian(parameters), gradient, rcond=None)[0]
        value, gradient = objective(parameters)
        losses.append(value)
    return Fit(parameters, np.array(losses), bool(np.abs(gradient).max() <= tol))


@mistake(
    "newton",
    edit=[
        ("step.any() and ", ""),
        ("smallest_solution(", "np.linalg.solve("),
    ],
)
def newton_needs_an_inverse():
    """You solve with a method that needs an invertible Hessian. Two equal columns make it singular,
    and the fit stops with a LinAlgError or wanders off. smallest_solution (or np.linalg.lstsq, or pinv) takes the
    smallest of the possible steps.
    """


@mistake(
    "newton",
    edit=[
        ("step.any() and ", ""),
        ("smallest_solution(hessian(parameters), gradient)", "gradient / np.diag(hessian(parameters))"),
    ],
)
def newton_with_the_diagonal_only():
    """You divided the gradient by the diagonal of the Hessian. That ignores how the parameters act
    together: the step is H⁻¹g, the solution of a linear system.
    """


@mistake(
    "newton",
    edit=[
        ("step.any() and ", ""),
        ("hessian(parameters)", "first"),
        ("[value]", "[value], hessian(parameters)"),
        ("losses ", "losses, first "),
    ],
)
def newton_keeps_the_first_hessian():
    """You computed the Hessian once, at the start. The parabola has to be fitted anew at every
    point, or the last steps are no better than those of gradient descent: move hessian(parameters)
    into the loop.
    """


@mistake("newton", edit=[("np.array_equal", "np.allclose"), ("step.any() and ", "")])
def newton_ends_with_a_small_step():
    """You end the search when a step is merely small (np.allclose). Newton's last steps are small and worth the
    most: each doubles the number of right digits. Only a step that changes no digit at all ends it
    (np.array_equal).
    """


@mistake(
    "newton",
    edit=[
        ("    return", "        if losses[-2] - losses[-1] < 1e-12:\n            break\n    return"),
        ("step.any() and ", ""),
    ],
)
def newton_watches_the_objective():
    """You end the search when the objective no longer falls. Near the minimum it is flat to all its digits, long before
    the gradient is within tol; a large objective hides even the first step. Stop by the gradient.
    """


@variant("newton")
def newton_along_the_axes_of_the_parabola(objective, hessian, start, *, max_iter, tol):
    """The step by the eigenvectors of the Hessian, without those along which it is flat."""
    point = np.array(start, dtype=float)
    value, slope = objective(point)
    losses = [value]
    while np.max(np.abs(slope)) > tol and len(losses) - 1 < max_iter:
        curvatures, axes = np.linalg.eigh(hessian(point))
        bent = curvatures > 1e-13 * curvatures.max()
        step = axes[:, bent] @ ((axes[:, bent].T @ slope) / curvatures[bent])
        while objective(point - step)[0] > value:
            step = 0.5 * step
        if np.all(point - step == point):
            break
        point = point - step
        value, slope = objective(point)
        losses.append(value)
    return Fit(point, np.array(losses), bool(np.max(np.abs(slope)) <= tol))


@variant("newton")
def newton_with_the_pseudo_inverse(objective, hessian, start, *, max_iter, tol):
    """The pseudo-inverse, and a factor that is halved instead of the step."""
    point = np.array(start, dtype=float)
    value, gradient = objective(point)
    losses = [value]
    for _ in range(max_iter):
        if np.abs(gradient).max() <= tol:
            break
        direction, factor = np.linalg.pinv(hessian(point), hermitian=True) @ gradient, 1.0
        while objective(point - factor * direction)[0] > value:
            factor *= 0.5
        if (point - factor * direction == point).all():
            break
        point = point - factor * direction
        value, gradient = objective(point)
        losses.append(value)
    return Fit(point, np.array(losses), bool(np.abs(gradient).max() <= tol))


# --- estimators ----------------------------------------------------------------------------------------------


@mistake("LogisticRegression.fit", edit=("    return self\n", ""))
def fit_returns_nothing():
    """Your fit learns but does not return the estimator, so that LogisticRegression().fit(X,
    y).predict(X) fails on None. End it with `return self`.
    """


@mistake("LogisticRegression.fit")
def fit_with_labels_as_they_are(self, X, y):
    """You fitted the labels as they came. That works for 0 and 1 only: strings are no numbers, and
    labels of -1 and 1 have another loss. np.unique(y, return_inverse=True) gives `classes_` and the
    0/1 codes at once.
    """
    _check_settings(self, solvers=("newton", "gradient"))
    X, labels = check_training_data(X, y)
    self.classes_ = np.unique(labels)
    check_two_classes(self.classes_)
    design, start = add_intercept(X), np.zeros(X.shape[1] + 1)

    def objective(parameters):
        return logistic_objective(parameters, design, labels, self.l2)

    if self.solver == "newton":
        found = newton(
            objective, lambda t: logistic_hessian(t, design, self.l2), start, max_iter=self.max_iter, tol=self.tol
        )
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


@mistake("LogisticRegression.fit")
def fit_without_an_intercept(self, X, y):
    """You fitted no intercept: the design matrix lacks its column of ones, so that the boundary has
    to pass through the origin. Use add_intercept(X), and take the last parameter as intercept_.
    """
    _check_settings(self, solvers=("newton", "gradient"))
    X, y = check_training_data(X, y)
    self.classes_, labels = np.unique(y, return_inverse=True)
    check_two_classes(self.classes_)
    design, start = np.column_stack([X, np.zeros(len(X))]), np.zeros(X.shape[1] + 1)

    def objective(parameters):
        return logistic_objective(parameters, design, labels, self.l2)

    if self.solver == "newton":
        found = newton(
            objective, lambda t: logistic_hessian(t, design, self.l2), start, max_iter=self.max_iter, tol=self.tol
        )
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


@mistake("LogisticRegression.fit")
def fit_standardises_and_forgets(self, X, y):
    """You standardised X inside fit, but predict gets the features as they are: the weights belong
    to other units than the data. Either leave scaling to the caller, as here, or undo it in coef_
    and intercept_.
    """
    _check_settings(self, solvers=("newton", "gradient"))
    X, y = check_training_data(X, y)
    self.classes_, labels = np.unique(y, return_inverse=True)
    check_two_classes(self.classes_)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    design, start = add_intercept(scaled), np.zeros(X.shape[1] + 1)

    def objective(parameters):
        return logistic_objective(parameters, design, labels, self.l2)

    if self.solver == "newton":
        found = newton(
            objective, lambda t: logistic_hessian(t, design, self.l2), start, max_iter=self.max_iter, tol=self.tol
        )
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


@mistake(
    "LogisticRegression.fit",
    edit=[
        ("objective, start =", "strength = 1 / self.l2 if self.l2 else 0.0\n    objective, start ="),
        ("labels, self.l2)", "labels, strength)"),
        ("(X, self.l2)", "(X, strength)"),
    ],
)
def fit_stores_c_for_l2():
    """You treated l2 as scikit-learn's C. They are reciprocals: a large l2 means small weights, a
    large C means large ones.
    """


@mistake("LogisticRegression.fit")
def fit_tidies_its_settings(self, X, y):
    """Your fit changes a setting (`self.l2 = float(self.l2)`). Settings belong to whoever made the estimator: they are
    read, compared and copied by tools that expect to find what was put in. Use a local variable.
    """
    _check_settings(self, solvers=("newton", "gradient"))
    self.l2, self.max_iter = float(self.l2), int(self.max_iter)
    X, y = check_training_data(X, y)
    self.classes_, labels = np.unique(y, return_inverse=True)
    check_two_classes(self.classes_)
    design, start = add_intercept(X), np.zeros(X.shape[1] + 1)

    def objective(parameters):
        return logistic_objective(parameters, design, labels, self.l2)

    if self.solver == "newton":
        found = newton(
            objective, lambda t: logistic_hessian(t, design, self.l2), start, max_iter=self.max_iter, tol=self.tol
        )
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


@mistake(
    "LogisticRegression.fit",
    edit=("    if self.l2 == 0:\n        _check_unpenalised(X, found.parameters, labels)\n", ""),
)
def never_asks_whether_there_is_a_minimum():
    """Without a penalty you return whatever weights the last step left. Where columns separate the classes, or some of
    the rows, larger weights always fit better and there is no minimum: call `_check_unpenalised` where l2 is 0.
    """


@variant("LogisticRegression.fit")
def fit_with_partial(self, X, y):
    """The whole design at once; objective and Hessian by `functools.partial` and a lambda; classes by hand."""
    from functools import partial

    _check_settings(self, solvers=("newton", "gradient"))
    X, y = check_training_data(X, y)
    self.classes_ = np.unique(y)
    check_two_classes(self.classes_)
    labels = (y == self.classes_[1]).astype(float)
    design = add_intercept(X)
    objective = partial(logistic_objective, design=design, labels=labels, l2=self.l2)
    stop = {"max_iter": self.max_iter, "tol": self.tol}
    if self.solver == "gradient":
        found = gradient_descent(objective, np.zeros(design.shape[1]), learning_rate=self.learning_rate, **stop)
    else:
        found = newton(objective, lambda t: logistic_hessian(t, design, self.l2), np.zeros(design.shape[1]), **stop)
    if self.l2 == 0:
        _check_unpenalised(X, found.parameters, labels)
    *weights, intercept = found.parameters
    self.coef_, self.intercept_ = np.array([weights]), np.array([intercept])
    self.n_features_in_ = X.shape[1]
    self.loss_curve_ = found.losses
    self.n_iter_ = len(found.losses) - 1
    _warn_unless_converged(self, found)
    return self


@mistake("LogisticRegression.predict_proba", edit=[("(logits", "(-logits"), ("-logits),", "logits),")])
def columns_the_wrong_way_round():
    """Your columns are the wrong way round: column k belongs to classes_[k], so the positive class,
    classes_[1], comes second.
    """


@mistake("LogisticRegression.predict_proba")
def one_probability_only(self, X):
    """You returned the probability of the positive class only. The convention is one column for
    each class, in the order of classes_: shape (n_samples, 2).
    """
    return sigmoid(self.decision_function(X))


@mistake("LogisticRegression.predict_proba")
def probability_by_subtraction(self, X):
    """You computed the first column as 1 - p. At log-odds above 37 p is exactly 1 and you return 0,
    although σ(-z) is a good small number there: whoever takes its logarithm gets minus infinity.
    """
    p = sigmoid(self.decision_function(X))
    return np.column_stack([1 - p, p])


@variant("LogisticRegression.predict_proba")
def probabilities_by_softmax(self, X):
    """Two scores, ±z/2, through softmax."""
    half = self.decision_function(X) / 2
    return softmax(np.stack([-half, half], axis=1))


@mistake("LogisticRegression.predict")
def predicts_codes(self, X):
    """You returned the codes 0 and 1. The caller gave labels, perhaps strings, and expects them
    back: use the code as an index into classes_.
    """
    return (self.decision_function(X) > 0).astype(int)


@mistake("LogisticRegression.predict", edit=("0", "0.5"))
def thresholds_the_log_odds_at_a_half():
    """You compared the log-odds with 0.5. A probability of 0.5 is log-odds of 0: compare
    decision_function with 0, or predict_proba with 0.5.
    """


@mistake("LogisticRegression.predict", edit=("logits > 0", "logits >= 0"))
def breaks_ties_upwards():
    """At even odds you predict the second class; scikit-learn, and this library, predict the first:
    > 0, not >= 0.
    """


@variant("LogisticRegression.predict")
def predicts_by_where(self, X):
    """By probabilities."""
    p = self.predict_proba(X)
    return np.where(p[:, 1] > p[:, 0], self.classes_[1], self.classes_[0])


@mistake("SoftmaxRegression.fit", edit=("found.parameters[:-1].T", "found.parameters[:-1]"))
def weights_not_transposed():
    """Your coef_ has shape (n_features, n_classes), as the parameters have in the objective. The
    convention is one row for each class: transpose it.
    """


@mistake(
    "SoftmaxRegression.fit",
    edit=("    objective =", '    labels = y if y.dtype.kind in "iu" else labels\n    objective ='),
)
def softmax_fit_with_labels_as_they_are():
    """You used integer labels as column numbers. That works for 0, 1, 2, …; labels such as 3, 5 and 9 are no columns.
    np.unique(y, return_inverse=True) gives `classes_` and the column of each sample at once.
    """


@mistake("SoftmaxRegression.fit")
def softmax_fit_goes_on_from_last_time(self, X, y):
    """Your second fit starts where the first one ended. It arrives at the same weights, if it arrives; but how far it
    gets in max_iter steps, and its curve of losses, depend on what was fitted before. Start from zero each time.
    """
    _check_settings(self, solvers=("newton", "gradient"))
    X, y = check_training_data(X, y)
    self.classes_, labels = np.unique(y, return_inverse=True)
    _check_several_classes(self.classes_)
    objective = objective_in_blocks(softmax_objective, X, labels, self.l2)
    start = np.zeros((X.shape[1] + 1, len(self.classes_)))
    if hasattr(self, "coef_") and self.coef_.shape == (len(self.classes_), X.shape[1]):
        start = np.vstack([self.coef_.T, self.intercept_])
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


@variant("SoftmaxRegression.fit")
def softmax_fit_with_flat_parameters(self, X, y):
    """The whole design at once, the parameters in one long vector for gradient descent, classes by sorting, refusals
    and the warning in other words.
    """
    import warnings

    for name in ("l2", "learning_rate", "tol"):
        if not 0 <= getattr(self, name) < np.inf:
            raise ValueError(f"{name}={getattr(self, name)} is negative or not finite")
    if self.max_iter < 1:
        raise ValueError(f"max_iter={self.max_iter} leaves no step")
    if self.solver not in {"newton", "gradient"}:
        raise ValueError(f"solver={self.solver} is none")
    X, y = check_training_data(X, y)
    self.classes_ = np.array(sorted(set(y.tolist())))
    if self.classes_.size == 1:
        raise ValueError(f"all of y is {self.classes_[0]}")
    labels, design = np.searchsorted(self.classes_, y), add_intercept(X)
    shape = design.shape[1], self.classes_.size

    def objective(flat):
        value, slope = softmax_objective(flat.reshape(shape), design, labels, self.l2)
        return value, slope.ravel()

    stop = {"max_iter": self.max_iter, "tol": self.tol}
    if self.solver == "gradient":
        found = gradient_descent(objective, np.zeros(shape).ravel(), learning_rate=self.learning_rate, **stop)
    else:
        products = hessian_products_in_blocks(X, self.l2)
        found = newton_cg(lambda t: softmax_objective(t, design, labels, self.l2), products, np.zeros(shape), **stop)
    if self.l2 == 0:
        _check_unpenalised(X, found.parameters.reshape(shape), labels)
    if not found.converged:
        warnings.warn(f"max_iter = {self.max_iter} was not enough", RuntimeWarning, stacklevel=2)
    *weights, self.intercept_ = found.parameters.reshape(shape)
    self.coef_ = np.array(weights).T
    self.n_features_in_, self.loss_curve_, self.n_iter_ = X.shape[1], found.losses, len(found.losses) - 1
    return self


@mistake("SoftmaxRegression.fit", edit=("np.zeros", "np.ones"))
def starts_from_ones():
    """You did not start from zero. Softmax has directions in which the loss is flat (the same
    number added to all intercepts), and a minimiser never moves along those: what you put in at the
    start is in the result.
    """
