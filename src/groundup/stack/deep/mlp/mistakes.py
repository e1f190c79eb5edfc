# pyright: basic
"""Ways in which learners get a two-layer network wrong, and right ways that differ from ours."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.deep.mlp.mlp import (
    Cache,
    Parameters,
    _check_inputs,
    _check_labels,
    _check_losses,
    _check_settings,
    backward,
    binary_cross_entropy,
    check_training_data,
    check_two_classes,
    forward,
    he_normal,
    initialize,
    linear,
    linear_backward,
    relu,
    sigmoid,
    train,
    update,
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


@mistake("he_normal")
def draws_uniformly(fan_in, fan_out, *, rng):
    """You drew from a uniform distribution. Its deviation may be right, but a normal one was asked
    for.
    """
    limit = np.sqrt(6.0 / fan_in)
    return rng.uniform(-limit, limit, size=(fan_in, fan_out))


@mistake("he_normal")
def forces_the_deviation(fan_in, fan_out, *, rng):
    """You shift and scale what you drew so that its mean and deviation are exact. Each weight then depends on all the
    others, and a single one has nothing left to be random. The variance is that of the distribution, not of the draw.
    """
    weights = rng.normal(size=(fan_in, fan_out))
    return (weights - weights.mean()) / (weights.std() or 1.0) * np.sqrt(2.0 / fan_in)


@variant("he_normal")
def unit_by_unit(fan_in, fan_out, *, rng):
    """A column of weights for each unit, one after the other."""
    return np.column_stack([np.sqrt(2 / fan_in) * rng.standard_normal(fan_in) for _ in range(fan_out)])


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


@mistake("linear_backward", edit=("0", "-1"))
def sums_the_bias_over_the_outputs():
    """You added d_outputs up along the wrong axis: over the outputs, not over the batch. Each
    output has its own bias; the samples are what shares it.
    """


@mistake("linear_backward")
def forgets_to_transpose_back(d_outputs, inputs, weights):
    """For d_inputs you multiplied by the weights as they are. Going back, an input collects the
    slope from every output that it fed: d_outputs · weightsᵀ. With a square layer the shapes do not
    tell.
    """
    back = weights if weights.shape[0] == weights.shape[1] else weights.T
    return d_outputs @ back, inputs.T @ d_outputs, d_outputs.sum(axis=0)


@mistake("linear_backward")
def clips_the_gradient(d_outputs, inputs, weights):
    """You limit the size of d_weights. Clipping is a decision of whoever trains; done here, the result is no longer the
    slope, and nobody who checks it by finite differences will find it. Return what the chain rule gives.
    """
    d_weights = inputs.T @ d_outputs
    length = np.sqrt((d_weights**2).sum())
    d_weights = d_weights * (100 / length if length > 100 else 1.0)
    return d_outputs @ weights.T, d_weights, d_outputs.sum(axis=0)


@variant("linear_backward")
def slopes_sample_by_sample(d_outputs, inputs, weights):
    """A loop over the batch that adds the samples up."""
    d_inputs, d_weights, d_bias = np.zeros(inputs.shape), np.zeros(weights.shape), np.zeros(weights.shape[1])
    for row, (x, slope) in enumerate(zip(inputs, d_outputs, strict=True)):
        d_inputs[row] = weights @ slope
        d_weights += np.outer(x, slope)
        d_bias += slope
    return d_inputs, d_weights, d_bias


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


@mistake("relu_backward", edit=("d_outputs * (inputs > 0)", "d_outputs.copy()"))
def lets_everything_pass():
    """You passed the slope on unchanged, as if there were no ReLU. Units that were silent did not
    contribute to the loss, so that no slope may reach them.
    """


@mistake("relu_backward", edit=("return d_outputs * (inputs > 0)", "d_outputs[inputs <= 0] = 0\n    return d_outputs"))
def zeroes_in_place():
    """You set entries of d_outputs to zero in the caller's array. The result is right, the caller's
    slope is gone: make a new array, as multiplying by the mask does.
    """


@mistake("relu_backward", edit=("0", "1e-8"))
def opens_a_little_late():
    """You open the gate above a small threshold instead of above zero. Between the two the ReLU rises and you say that
    it does not. Compare with 0: there is nothing to be careful about.
    """


@variant("relu_backward", edit=("d_outputs * (inputs > 0)", "np.where(inputs > 0, d_outputs, 0.0)"))
def relu_backward_by_where():
    """Choose rather than multiply."""


# --- the network ---------------------------------------------------------------------------------------------


@mistake("initialize")
def starts_from_zeros(features, hidden, *, rng):
    """You set all weights to zero. Then every hidden unit is silent and gets no slope, and if it
    did, all would get the same: they would stay copies of one unit for ever. Random weights break
    the symmetry.
    """
    return Parameters(np.zeros((features, hidden)), np.zeros(hidden), np.zeros((hidden, 1)), np.zeros(1))


@mistake("initialize")
def gives_every_unit_the_same_weights(features, hidden, *, rng):
    """All hidden units start with the same weights. They compute the same, get the same slope and
    stay the same: a network of one unit, drawn many times. Draw (features, hidden) different
    numbers.
    """
    column = he_normal(features, 1, rng=rng)
    return Parameters(np.repeat(column, hidden, axis=1), np.zeros(hidden), he_normal(hidden, 1, rng=rng), np.zeros(1))


@mistake("initialize")
def makes_biases_of_integers(features, hidden, *, rng):
    """Your biases are integers (`dtype=int`, or a list of 0). They cannot take a fraction of a step in place. Make them
    with `np.zeros`, which is float64.
    """
    weights = he_normal(features, hidden, rng=rng)
    return Parameters(weights, np.zeros(hidden, dtype=int), he_normal(hidden, 1, rng=rng), np.zeros(1, dtype=int))


@mistake("initialize")
def draws_the_biases(features, hidden, *, rng):
    """You drew the biases as well. They start at zero: the weights break the symmetry already, and
    a strongly negative bias can silence a unit before it has learned anything.
    """
    W1, W2 = he_normal(features, hidden, rng=rng), he_normal(hidden, 1, rng=rng)
    return Parameters(W1, rng.normal(size=hidden), W2, rng.normal(size=1))


@mistake("initialize")
def scales_both_layers_alike(features, hidden, *, rng):
    """You scaled W2 by the number of features. Its units have `hidden` inputs each: fan_in is the
    layer's own number of inputs.
    """
    W1 = he_normal(features, hidden, rng=rng)
    W2 = he_normal(hidden, 1, rng=rng) * np.sqrt(hidden / features)
    return Parameters(W1, np.zeros(hidden), W2, np.zeros(1))


@variant("initialize")
def layer_by_layer(features, hidden, *, rng):
    """One layer after the other, in a loop."""
    parameters = []
    for fan_in, fan_out in ((features, hidden), (hidden, 1)):
        parameters += [he_normal(fan_in, fan_out, rng=rng), np.zeros(fan_out)]
    return Parameters(*parameters)


@mistake("forward")
def leaves_the_relu_out(parameters, inputs):
    """There is no ReLU between your two layers. Two linear layers in a row are one linear layer,
    W1·W2, so that the boundary is a straight line however many units you add.
    """
    _check_inputs(parameters, inputs)
    preactivations = linear(inputs, parameters.W1, parameters.b1)
    logits = linear(preactivations, parameters.W2, parameters.b2)[:, 0]
    return logits, Cache(inputs, preactivations, preactivations, logits)


@mistake("forward")
def returns_probabilities(parameters, inputs):
    """You applied the sigmoid at the end and returned probabilities. The loss and its slope take
    the logits, and apply the sigmoid themselves, safely: twice is once too often.
    """
    _check_inputs(parameters, inputs)
    preactivations = linear(inputs, parameters.W1, parameters.b1)
    activations = relu(preactivations)
    p = sigmoid(linear(activations, parameters.W2, parameters.b2)[:, 0])
    return p, Cache(inputs, preactivations, activations, p)


@mistake("forward")
def folds_the_output_too(parameters, inputs):
    """You applied the ReLU to the output as well. Then no logit is negative, and the network can
    never say that the positive class is unlikely.
    """
    _check_inputs(parameters, inputs)
    preactivations = linear(inputs, parameters.W1, parameters.b1)
    activations = relu(preactivations)
    logits = relu(linear(activations, parameters.W2, parameters.b2)[:, 0])
    return logits, Cache(inputs, preactivations, activations, logits)


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


@mistake(
    "forward",
    edit=(
        "    _check_inputs",
        "    inputs = np.asarray(inputs)\n"
        "    if inputs.ndim == 2 and inputs.shape[1] != len(parameters.W1) and inputs.shape[0] "
        "== len(parameters.W1):\n"
        "        inputs = inputs.T\n"
        "    _check_inputs",
    ),
)
def turns_the_batch_round():
    """You transpose a batch whose rows do not fit. It may have been meant that way, or it may be other data with as
    many rows as you have features; then you compute nonsense from it. Refuse it, and let the caller decide.
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


@variant("forward")
def forward_with_matrices(parameters, inputs):
    """Without the helpers, by names of the fields."""
    _check_inputs(parameters, inputs)
    W1, b1, W2, b2 = parameters
    before = inputs @ W1 + b1
    after = before * (before > 0)
    logits = (after @ W2).ravel() + b2
    return logits, Cache(inputs=inputs, preactivations=before, activations=after, logits=logits)


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


@mistake("backward")
def forgets_the_relu(parameters, cache, labels):
    """You went from the activations straight to the first layer, past the ReLU. Units that were
    silent for a sample must not learn from it: put `relu_backward` in between.
    """
    _check_labels(cache, labels)
    d_logits = (sigmoid(cache.logits) - labels)[:, None] / len(labels)
    d_activations, d_W2, d_b2 = linear_backward(d_logits, cache.activations, parameters.W2)
    _, d_W1, d_b1 = linear_backward(d_activations, cache.inputs, parameters.W1)
    return Parameters(d_W1, d_b1, d_W2, d_b2)


@mistake(
    "backward",
    edit=(
        "d_logits = (sigmoid(cache.logits) - labels)[:, None] / len(labels)  # (batch, 1",
        "p = sigmoid(cache.logits)\n    d_logits = ((p - labels) * p * (1 - p))[:, None] / len(labels",
    ),
)
def adds_the_slope_of_the_sigmoid():
    """You multiplied by p(1 - p), the slope of the sigmoid. In prediction minus label it has
    already cancelled against the logarithm of the loss. What you have is nearly squared error,
    whose slope vanishes just where the network is most wrong.
    """


@mistake("backward", edit=("sigmoid(cache.logits)", "cache.logits"))
def subtracts_from_the_logit():
    """You subtracted the label from the logit. The slope is *probability* minus label: pass the
    logit through the sigmoid.
    """


@mistake("backward", edit=("cache.activations", "cache.preactivations"))
def uses_the_wrong_side_of_the_relu():
    """For W2 you used what came before the ReLU. The second layer was given the activations, after
    it, and the slope in a layer's weights is made from that layer's own inputs.
    """


@mistake(
    "backward",
    edit=(
        "d_logits = (sigmoid(cache.logits) - labels)[:, None] / len(labels)  # (batch, 1",
        "logits, cache = forward(parameters, cache.inputs)\n"
        "    d_logits = (sigmoid(logits) - labels)[:, None] / len(labels",
    ),
)
def goes_forward_again():
    """You computed the forward pass once more, from the inputs. The numbers are the same when
    nothing has changed in between, but it costs twice the time, and keeping the intermediates is
    what the cache is for.
    """


@mistake("backward")
def lets_the_slope_pass_at_the_fold(parameters, cache, labels):
    """You let the slope pass where a preactivation is exactly zero (>=). `relu_backward` does not, and zeros are
    common: a row of zeros with biases of zero is enough. Use it, or compare with >.
    """
    _check_labels(cache, labels)
    d_logits = (sigmoid(cache.logits) - labels)[:, None] / len(labels)
    d_activations, d_W2, d_b2 = linear_backward(d_logits, cache.activations, parameters.W2)
    _, d_W1, d_b1 = linear_backward(d_activations * (cache.preactivations >= 0), cache.inputs, parameters.W1)
    return Parameters(d_W1, d_b1, d_W2, d_b2)


@variant("backward")
def backward_row_by_row(parameters, cache, labels):
    """A loop over the rows, with a refusal in other words."""
    if np.shape(labels) != np.shape(cache.logits):
        raise ValueError(
            f"{np.shape(cache.logits)} is the shape of the logits; that of the labels is {np.shape(labels)}"
        )
    W1, b1, W2, b2 = (np.zeros(parameter.shape) for parameter in parameters)
    for inputs, before, after, logit, label in zip(*cache, labels, strict=True):
        error = (sigmoid(logit) - label) / len(labels)
        back = error * parameters.W2[:, 0] * (before > 0)
        W1 += np.outer(inputs, back)
        b1 += back
        W2 += error * after[:, None]
        b2 += error
    return Parameters(W1, b1, W2, b2)


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


@variant("update")
def update_by_name(parameters, gradients, learning_rate):
    """Each array by its name."""
    return Parameters(
        W1=parameters.W1 - learning_rate * gradients.W1,
        b1=parameters.b1 - learning_rate * gradients.b1,
        W2=parameters.W2 - learning_rate * gradients.W2,
        b2=parameters.b2 - learning_rate * gradients.b2,
    )


@mistake("train")
def goes_forward_once(parameters, inputs, labels, *, learning_rate, epochs):
    """You went forward once, before the loop, and kept stepping along the same gradient. After a
    step the network is another one: go forward and back again in every epoch.
    """
    losses = []
    logits, cache = forward(parameters, inputs)
    gradients = backward(parameters, cache, labels)
    for _ in range(epochs):
        losses.append(binary_cross_entropy(logits, labels))
        parameters = update(parameters, gradients, learning_rate)
    losses.append(binary_cross_entropy(forward(parameters, inputs)[0], labels))
    _check_losses(losses, learning_rate)
    return parameters, np.array(losses)


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


@mistake("train")
def one_sample_at_a_time(parameters, inputs, labels, *, learning_rate, epochs):
    """You take a step for every sample. That is stochastic gradient descent: asked for is one step
    for each epoch, with the gradient of the whole batch.
    """
    losses = []
    for _ in range(epochs):
        losses.append(binary_cross_entropy(forward(parameters, inputs)[0], labels))
        for row in range(len(inputs)):
            _, cache = forward(parameters, inputs[row : row + 1])
            parameters = update(parameters, backward(parameters, cache, labels[row : row + 1]), learning_rate)
    losses.append(binary_cross_entropy(forward(parameters, inputs)[0], labels))
    _check_losses(losses, learning_rate)
    return parameters, np.array(losses)


@mistake("train", edit=("        parameters", "        if losses[-1] < 1e-3:\n            break\n        parameters"))
def stops_when_the_loss_is_small():
    """You stop when the loss is small enough for you. Asked for are `epochs` steps, so that runs can be compared and
    training can go on where it ended. Whoever wants fewer steps asks for fewer.
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


@variant("train")
def train_and_measure_after(parameters, inputs, labels, *, learning_rate, epochs):
    """The first forward pass before the loop, the others at its end."""
    logits, cache = forward(parameters, inputs)
    losses = [binary_cross_entropy(logits, labels)]
    for _ in range(epochs):
        parameters = update(parameters, backward(parameters, cache, labels), learning_rate)
        logits, cache = forward(parameters, inputs)
        losses.append(binary_cross_entropy(logits, labels))
        _check_losses(losses, learning_rate)
    return parameters, np.asarray(losses)


# --- MLPClassifier -------------------------------------------------------------------------------------------


@mistake("MLPClassifier.fit", edit=("    return self\n", ""))
def fit_returns_nothing():
    """Your fit learns but does not return the estimator, so that MLPClassifier().fit(X,
    y).predict(X) fails on None. End it with `return self`.
    """


@mistake("MLPClassifier.fit", edit=("np.random.default_rng(self.seed)", "np.random.default_rng()"))
def fit_ignores_the_seed():
    """You drew the initial weights without the seed: two fits with the same settings give two
    networks, and no result can be repeated. np.random.default_rng(self.seed).
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


@mistake(
    "MLPClassifier.fit",
    edit=(
        ", labels = np.unique(y, return_inverse=True)\n    check_two_classes(self.classes_",
        " = np.array(list(dict.fromkeys(y.tolist())))\n"
        "    check_two_classes(self.classes_)\n"
        "    labels = (y == self.classes_[1]).astype(int",
    ),
)
def fit_numbers_labels_as_they_come():
    """You number the labels in the order in which they occur in y. The second class then depends on the order of
    the rows. np.unique sorts them: `self.classes_, labels = np.unique(y, return_inverse=True)`.
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


@variant("MLPClassifier.fit")
def fit_with_codes_by_comparison(self, X, y):
    """The codes as whether a label is the second class."""
    _check_settings(self)
    X, y = check_training_data(X, y)
    self.n_features_in_ = X.shape[1]
    self.classes_ = np.unique(y)
    check_two_classes(self.classes_)
    rng = np.random.default_rng(self.seed)
    self.parameters_, self.loss_curve_ = train(
        initialize(self.n_features_in_, self.hidden, rng=rng),
        X,
        y == self.classes_[1],
        learning_rate=self.learning_rate,
        epochs=self.epochs,
    )
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
