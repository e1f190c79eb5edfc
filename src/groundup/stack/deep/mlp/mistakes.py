# pyright: basic
"""Ways in which learners get a two-layer network wrong, and right ways that differ from ours."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.deep.mlp.mlp import (
    Cache,
    Parameters,
    _check_labels,
    backward,
    binary_cross_entropy,
    forward,
    he_normal,
    initialize,
    sigmoid,
    train,
)

# --- layers --------------------------------------------------------------------------------------------------


@mistake("he_normal", edit=("fan_in)", "fan_out)"))
def scales_by_the_outputs():
    """You divided by fan_out. What a unit adds up are its inputs, so their number sets the size of
    the sum: the variance is 2 / fan_in.
    """


@mistake("he_normal", edit=("2.0", "1.0"))
def forgets_what_the_relu_takes():
    """You used a variance of 1 / fan_in. That is right for a layer without ReLU; a ReLU sets half
    of the values to zero, so that the signal halves its power at every layer. The 2 in 2 / fan_in
    makes up for it.
    """


@mistake("he_normal", edit=("np.sqrt(2.0 / fan_in)", "2.0 / fan_in"))
def variance_for_deviation():
    """You gave the variance, 2 / fan_in, where `rng.normal` wants the standard deviation: take the
    square root.
    """


@mistake("he_normal", edit=("rng.", "np.random."))
def draws_from_the_global_state():
    """You drew from np.random and not from the generator given. Then the same seed gives another
    network each time, and nobody can repeat your result. Use `rng`.
    """


@mistake(
    "he_normal",
    edit=("rng.normal(0.0, np.sqrt(2.0 / fan_in),", "rng.uniform(-np.sqrt(6.0 / fan_in), np.sqrt(6.0 / fan_in),"),
)
def draws_uniformly():
    """You drew from a uniform distribution. Its deviation may be right, but a normal one was asked
    for.
    """


@variant("he_normal")
def standard_normal_scaled(fan_in, fan_out, *, rng):
    """Draw first, scale afterwards."""
    return rng.standard_normal((fan_in, fan_out)) * (2.0 / fan_in) ** 0.5


@mistake("linear", edit=("inputs @ weights + bias", "inputs @ weights"))
def forgets_the_bias():
    """You left the bias out: a layer without one can only make folds that pass through the origin."""


@mistake("linear", edit=("+ bias", "+ bias[:, None]"))
def adds_the_bias_down_the_columns():
    """You stood the bias up as a column, so that each *row* of the outputs gets one of its numbers.
    A bias belongs to an output, a column: broadcasting adds a vector of shape (fan_out,) to every
    row as it is.
    """


@variant("linear", edit=("inputs @ weights + bias", 'np.einsum("bi,io->bo", inputs, weights) + bias[None, :]'))
def linear_by_einsum():
    """Name the axes."""


@mistake("linear_backward", edit=("d_outputs.sum", "d_outputs.mean"))
def averages_the_bias():
    """You took the mean over the batch for the bias. The mean of the loss is in d_outputs already
    (the 1/n of `backward`); here the samples only add up, for the bias as for the weights.
    """


@mistake("linear_backward", edit=("d_outputs.sum(axis=0)", "d_outputs"))
def keeps_the_bias_of_each_row():
    """You returned d_outputs as the slope in the bias. It has a row for each sample, but there is
    one bias for all of them: add up over the batch, axis 0. A slope has the shape of the thing that
    it belongs to.
    """


@mistake("linear_backward", edit=[("d_outputs,", "inputs,"), ("inputs.", "d_outputs.")])
def transposes_the_weights_gradient():
    """Your d_weights is the transpose of what it should be: it must have the shape of weights,
    (fan_in, fan_out), and that is inputsᵀ · d_outputs.
    """


@mistake("linear_backward", edit=("weights.T", "(weights if weights.shape[0] == weights.shape[1] else weights.T)"))
def forgets_to_transpose_back():
    """For d_inputs you multiplied by the weights as they are. Going back, an input collects the
    slope from every output that it fed: d_outputs · weightsᵀ. With a square layer the shapes do not
    tell.
    """


@variant("linear_backward")
def slopes_by_einsum(d_outputs, inputs, weights):
    """Name the axes: those that are missing on the right are added up."""
    return (
        np.einsum("bo,io->bi", d_outputs, weights),
        np.einsum("bi,bo->io", inputs, d_outputs),
        np.einsum("bo->o", d_outputs),
    )


@mistake("relu_backward", edit=("inputs ", "d_outputs "))
def masks_by_the_slope():
    """You let the slope pass where the slope itself is positive. The gate was set on the way
    forward: it is open where the *input* was positive, and then a negative slope passes too.
    """


@mistake("relu_backward", edit=("inputs > 0", "np.maximum(inputs, 0)"))
def multiplies_by_the_output():
    """You multiplied by the output of the ReLU. Its slope is 1 where it is open, not its value:
    multiply by (inputs > 0).
    """


@mistake("relu_backward", edit=("inputs > 0", "inputs >= 0"))
def opens_at_zero():
    """You let the slope pass at an input of exactly zero. The convention, PyTorch's too, is a slope
    of 0 there: >, not >=. Zeros are common: a sample of nothing but zeros with a bias of zero is
    enough.
    """


@mistake("relu_backward", edit=("return d_outputs * (inputs > 0)", "d_outputs[inputs <= 0] = 0\n    return d_outputs"))
def zeroes_in_place():
    """You set entries of d_outputs to zero in the caller's array. The result is right, the caller's
    slope is gone: make a new array, as multiplying by the mask does.
    """


@variant("relu_backward", edit=("d_outputs * (inputs > 0)", "np.where(inputs > 0, d_outputs, 0.0)"))
def relu_backward_by_where():
    """Choose rather than multiply."""


# --- the network ---------------------------------------------------------------------------------------------


@mistake(
    "initialize",
    edit=[
        ("he_normal(features, hidden, rng=rng)", "np.zeros((features, hidden))"),
        ("he_normal(hidden, 1, rng=rng)", "np.zeros((hidden, 1))"),
    ],
)
def starts_from_zeros():
    """You set all weights to zero. Then every hidden unit is silent and gets no slope, and if it
    did, all would get the same: they would stay copies of one unit for ever. Random weights break
    the symmetry.
    """


@mistake(
    "initialize",
    edit=("he_normal(features, hidden, rng=rng)", "np.repeat(he_normal(features, 1, rng=rng), hidden, axis=1)"),
)
def gives_every_unit_the_same_weights():
    """All hidden units start with the same weights. They compute the same, get the same slope and
    stay the same: a network of one unit, drawn many times. Draw (features, hidden) different
    numbers.
    """


@mistake("initialize")
def draws_the_biases(features, hidden, *, rng):
    """You drew the biases as well. They start at zero: the weights break the symmetry already, and
    a strongly negative bias can silence a unit before it has learned anything.
    """
    W1, W2 = he_normal(features, hidden, rng=rng), he_normal(hidden, 1, rng=rng)
    return Parameters(W1, rng.normal(size=hidden), W2, rng.normal(size=1))


@variant("initialize")
def layer_by_layer(features, hidden, *, rng):
    """One layer after the other, in a loop."""
    parameters = []
    for fan_in, fan_out in ((features, hidden), (hidden, 1)):
        parameters += [he_normal(fan_in, fan_out, rng=rng), np.zeros(fan_out)]
    return Parameters(*parameters)


@mistake("forward", edit=("relu(preactivations)", "preactivations"))
def leaves_the_relu_out():
    """There is no ReLU between your two layers. Two linear layers in a row are one linear layer,
    W1·W2, so that the boundary is a straight line however many units you add.
    """


@mistake("forward", edit=("return logits,", "logits = sigmoid(logits)\n    return logits,"))
def returns_probabilities():
    """You applied the sigmoid at the end and returned probabilities. The loss and its slope take
    the logits, and apply the sigmoid themselves, safely: twice is once too often.
    """


@mistake(
    "forward",
    edit=(
        "linear(activations, parameters.W2, parameters.b2)[:, 0]",
        "relu(linear(activations, parameters.W2, parameters.b2)[:, 0])",
    ),
)
def folds_the_output_too():
    """You applied the ReLU to the output as well. Then no logit is negative, and the network can
    never say that the positive class is unlikely.
    """


@mistake("forward", edit=("[:, 0]", ""))
def keeps_the_column():
    """Your logits have shape (batch, 1). Against labels of shape (batch,) they broadcast to (batch,
    batch): take the only column, [:, 0].
    """


@mistake("forward", edit=("relu(preactivations)", "np.maximum(preactivations, 0, out=preactivations)"))
def caches_the_activations_twice():
    """The preactivations in your cache are not those from before the ReLU: you overwrote them
    (out=, or *=) and kept the same array twice. Whoever looks at them to see how far a unit is from
    waking up sees only zeros.
    """


@variant("forward")
def forward_in_other_words(parameters, inputs):
    """Refusals in other words, and the second layer as a weighted sum."""
    W1, b1, W2, b2 = parameters
    rows = np.asarray(inputs)
    if rows.ndim != 2 or rows.shape[1] != W1.shape[0]:
        raise ValueError(f"expected inputs with {W1.shape[0]} columns, received an array of shape {rows.shape}")
    before = np.dot(rows, W1) + b1
    after = np.where(before > 0, before, 0.0)
    logits = (after * W2[:, 0]).sum(axis=1) + b2[0]
    return logits, Cache(rows, before, after, logits)


@mistake("backward", edit=[("labels)[", "sigmoid(cache.logits))["), ("sigmoid(cache.logits) ", "labels ")])
def climbs_the_loss():
    """You started with label minus prediction. That is the way uphill for the loss, and every
    gradient after it has the wrong sign: it is prediction minus label.
    """


@mistake("backward", edit=(" / len(labels)", ""))
def forgets_the_mean():
    """You did not divide by the number of samples. The loss is a mean over the batch; without the
    1/n the step grows with the batch, and a learning rate that worked on 32 samples explodes on
    1000.
    """


@mistake("backward", edit=("relu_backward(d_activations, cache.preactivations)", "d_activations"))
def forgets_the_relu():
    """You went from the activations straight to the first layer, past the ReLU. Units that were
    silent for a sample must not learn from it: put `relu_backward` in between.
    """


@mistake(
    "backward",
    edit=("labels)[:, None]", "labels)[:, None] * (sigmoid(cache.logits) * sigmoid(-cache.logits))[:, None]"),
)
def adds_the_slope_of_the_sigmoid():
    """You multiplied by p(1 - p), the slope of the sigmoid. In prediction minus label it has
    already cancelled against the logarithm of the loss. What you have is nearly squared error,
    whose slope vanishes just where the network is most wrong.
    """


@mistake("backward", edit=("cache.activations", "cache.preactivations"))
def uses_the_wrong_side_of_the_relu():
    """For W2 you used what came before the ReLU. The second layer was given the activations, after
    it, and the slope in a layer's weights is made from that layer's own inputs.
    """


@variant("backward")
def backward_with_matrices(parameters, cache, labels):
    """Without the helpers; the gate read off the preactivations."""
    _check_labels(cache, labels)
    n = len(labels)
    error = (sigmoid(cache.logits) - labels) / n
    back = np.outer(error, parameters.W2) * (cache.preactivations > 0)
    return Parameters(
        W1=cache.inputs.T @ back,
        b1=np.ones(n) @ back,
        W2=(error @ cache.activations)[:, None],
        b2=np.array([error.sum()]),
    )


@mistake("update", edit=("p - learning_rate * d", "p + learning_rate * d"))
def steps_uphill():
    """You added the gradient, which points uphill: the loss grows with every step. Subtract it."""


@mistake("update")
def overwrites_the_parameters(parameters, gradients, learning_rate):
    """You updated the arrays in place with -=. Whoever still holds the old parameters, for a
    comparison or to go back, now holds the new ones. Make new arrays: p - learning_rate * d.
    """
    for p, d in zip(parameters, gradients, strict=True):
        p -= learning_rate * d
    return parameters


@mistake("update")
def forgets_the_biases(parameters, gradients, learning_rate):
    """You updated the weights and left the biases as they were. All four arrays learn."""
    return parameters._replace(
        W1=parameters.W1 - learning_rate * gradients.W1, W2=parameters.W2 - learning_rate * gradients.W2
    )


@mistake("update", edit=("learning_rate * d", "d"))
def forgets_the_learning_rate():
    """You subtracted the whole gradient. It says in which direction the loss rises, not how far to
    go: multiply it by the learning rate.
    """


@mistake("train", edit=("parameters = ", ""))
def throws_the_step_away():
    """You called `update` and did not keep what it returned. It makes new arrays and leaves the old
    ones as they are: parameters = update(...).
    """


@mistake("train", edit=("    losses.append(binary_cross_entropy(forward(parameters, inputs)[0], labels))\n", ""))
def never_measures_the_result():
    """Your losses end before the last step, so that the network which you return was never
    measured. Record the loss once more after the loop: epochs + 1 values.
    """


@mistake(
    "train",
    edit=(
        "        parameters",
        "        if len(losses) > 1 and losses[-1] >= losses[-2]:\n            break\n        parameters",
    ),
)
def stops_early():
    """You stop when the loss no longer falls. That is early stopping, judged by the training loss: another method. Take
    all `epochs` steps, so that the curve shows what the learning rate did.
    """


@mistake(
    "train",
    edit=[
        (" parameters,", " parameters if losses[-1] <= min(losses) else best,"),
        ("        parameters", "        best = parameters if losses[-1] <= min(losses) else best\n        parameters"),
        ("[]", "[], parameters"),
        ("losses ", "losses, best "),
    ],
)
def returns_the_best_network():
    """You return the network with the smallest training loss on the way. The last point of the curve no longer
    belongs to it, and training cannot go on from there. Return the parameters after the last step.
    """


@variant("train")
def train_on_a_copy(parameters, inputs, labels, *, learning_rate, epochs):
    """Steps in place on a copy of our own, and an overflow told in other words."""
    parameters = Parameters(*(np.array(parameter, dtype=float) for parameter in parameters))
    losses = np.empty(epochs + 1)
    for epoch in range(epochs + 1):
        logits, cache = forward(parameters, inputs)
        losses[epoch] = binary_cross_entropy(logits, labels)
        if not np.isfinite(losses[epoch]):
            raise ValueError(f"the loss became {losses[epoch]}: learning_rate={learning_rate} is too large")
        for parameter, slope in zip(parameters, backward(parameters, cache, labels), strict=True):
            parameter -= learning_rate * slope * (epoch < epochs)
    return parameters, losses


# --- MLPClassifier -------------------------------------------------------------------------------------------


@mistake("MLPClassifier.fit", edit=("np.random.default_rng(self.seed)", "np.random.default_rng(0)"))
def fit_ignores_the_seed():
    """You drew the initial weights from a seed of your own: every value of `seed` gives the same network.
    np.random.default_rng(self.seed).
    """


@mistake("MLPClassifier.fit", edit=("    start ", "    np.random.seed(self.seed)\n    start "))
def fit_seeds_everything():
    """You also seed NumPy's global random state (`np.random.seed`). Everything else that draws from it, in the caller's
    program, repeats itself after each fit. A generator of your own needs no global seed.
    """


@mistake(
    "MLPClassifier.fit",
    edit=[("start,", "self.parameters_,"), ("start", 'if not hasattr(self, "parameters_"):\n        self.parameters_')],
)
def fit_goes_on_from_last_time():
    """Your second fit goes on from where the first one ended. fit learns from nothing but its data
    and settings; going on is what `train` is for. Draw fresh weights each time.
    """


@mistake("MLPClassifier.fit", edit=[("labels,", "y,"), (", return_inverse=True", ""), (", labels", "")])
def fit_with_labels_as_they_are():
    """You trained on the labels as they came. That works for 0 and 1 only: np.unique(y,
    return_inverse=True) gives `classes_` and the codes at once.
    """


@variant("MLPClassifier.fit")
def fit_with_its_own_refusals(self, X, y):
    """Everything checked here, in other words."""
    if self.hidden < 1 or self.epochs < 0:
        raise ValueError(f"hidden={self.hidden} must be positive and epochs={self.epochs} not negative")
    if not 0 <= self.learning_rate < np.inf:
        raise ValueError(f"learning_rate={self.learning_rate} makes no sense")
    X, y = np.array(X, dtype=float), np.array(y)
    if X.ndim != 2 or not np.isfinite(X).all():
        raise ValueError(f"X should be a table of finite numbers; its shape is {X.shape}")
    kinds = np.unique(y)
    if y.shape != X.shape[:1] or len(kinds) != 2:
        raise ValueError(f"y should hold two kinds of labels, one for each of {len(X)} rows; it is {y}")
    start = initialize(X.shape[1], self.hidden, rng=np.random.default_rng(self.seed))
    codes = np.searchsorted(kinds, y)
    self.parameters_, self.loss_curve_ = train(start, X, codes, learning_rate=self.learning_rate, epochs=self.epochs)
    self.classes_, self.n_features_in_ = kinds, X.shape[1]
    return self


@mistake("MLPClassifier.predict")
def predicts_codes(self, X):
    """You returned the codes 0 and 1. The caller gave labels, perhaps strings, and expects them
    back: use the code as an index into classes_.
    """
    return (self.decision_function(X) > 0).astype(int)


@mistake("MLPClassifier.predict", edit=("0", "0.5"))
def thresholds_the_log_odds_at_a_half():
    """You compared the log-odds with 0.5. A probability of 0.5 is log-odds of 0."""


@variant("MLPClassifier.predict")
def predicts_by_probability(self, X):
    """The column of the larger probability; argmax takes the first of two equal ones."""
    return self.classes_[self.predict_proba(X).argmax(axis=1)]
