"""Checks of the two-layer network: hand computation, finite differences and invariants.

PyTorch, the other reference, is compared with in the project's tests: importing it takes longer than all of these.
"""

import numpy as np
import pytest

from groundup.checking import (
    assert_close,
    assert_draws_from,
    assert_nan_shown,
    assert_refuses,
    assert_rows_alone,
    assert_shape,
    assert_unchanged,
    estimator_conventions,
    numerical_gradient,
)
from groundup.stack.classical.logistic_regression import binary_cross_entropy, sigmoid
from groundup.stack.deep.mlp import (
    Cache,
    MLPClassifier,
    Parameters,
    backward,
    forward,
    he_normal,
    initialize,
    linear,
    linear_backward,
    relu_backward,
    train,
    update,
)

NAMES = Parameters._fields
LOG3 = np.log(3.0)


def by_hand():
    """A network of two features and three hidden units, with numbers for paper and pencil."""
    return Parameters(
        W1=np.array([[1.0, -1.0, 2.0], [0.0, 1.0, -1.0]]),
        b1=np.array([0.0, 1.0, -1.0]),
        W2=np.array([[2.0], [1.0], [-1.0]]),
        b2=np.array([0.5]),
    )


def random_network(rng, features=3, hidden=5):
    """Parameters without any symmetry, biases included."""
    return Parameters(
        rng.normal(size=(features, hidden)), rng.normal(size=hidden), rng.normal(size=(hidden, 1)), rng.normal(size=1)
    )


def loss(parameters, inputs, labels):
    """The loss written out once more, without the functions under check."""
    activations = np.maximum(inputs @ parameters.W1 + parameters.b1, 0)
    return binary_cross_entropy((activations @ parameters.W2 + parameters.b2)[:, 0], labels)


def slopes(parameters, inputs, labels):
    """Central differences of the loss in every parameter."""
    return Parameters(
        *(
            numerical_gradient(lambda p, name=name: loss(parameters._replace(**{name: p}), inputs, labels), parameter)
            for name, parameter in zip(NAMES, parameters, strict=True)
        )
    )


def two_moons(rng, rows=200):
    """Two interleaving half circles, standardised, with labels 0 and 1."""
    angle = rng.uniform(0, np.pi, rows)
    labels = np.arange(rows) % 2
    X = np.where(
        labels[:, None] == 0,
        np.column_stack([np.cos(angle), np.sin(angle)]),
        np.column_stack([1 - np.cos(angle), 0.5 - np.sin(angle)]),
    ) + 0.1 * rng.normal(size=(rows, 2))
    return (X - X.mean(axis=0)) / X.std(axis=0), labels


def assert_same(now, then, what):
    """Every array of two tuples is equal, to the last bit."""
    for name, a, b in zip(NAMES, now, then, strict=True):
        assert_close(a, b, f"{name} of {what}", rtol=0, atol=0)


# --- layers --------------------------------------------------------------------------------------------------


def test_he_normal_has_the_variance_that_a_relu_needs(rng):
    """The mean is 0 and the standard deviation the root of 2 / fan_in, whatever fan_out is."""
    for fan_in, fan_out in ((50, 240), (240, 50), (2, 6_000)):
        weights = he_normal(fan_in, fan_out, rng=rng)
        assert_shape(weights, (fan_in, fan_out), f"he_normal({fan_in}, {fan_out})")
        assert_close(weights.std(), np.sqrt(2 / fan_in), f"deviation of he_normal({fan_in}, {fan_out})", rtol=0.03)
        assert_close(weights.mean() * np.sqrt(fan_in), 0.0, f"mean of he_normal({fan_in}, {fan_out})", atol=0.05)


def test_he_normal_is_normal(rng):
    """About 68 % of the weights lie within one standard deviation and 95 % within two: not so for a uniform draw."""
    z = np.abs(he_normal(100, 120, rng=rng)) / np.sqrt(2 / 100)
    assert_close((z < 1).mean(), 0.683, "share of weights within one standard deviation", atol=0.02)
    assert_close((z < 2).mean(), 0.954, "share of weights within two standard deviations", atol=0.01)


def test_he_normal_draws_from_the_generator_given():
    """The random numbers come from `rng`, and from nowhere else."""
    assert_draws_from(lambda rng: he_normal(4, 3, rng=rng))


def test_linear_by_hand():
    """Each row times the weights, plus the bias: (1·1 + 2·3 + 10, 1·2 + 2·4 + 20)."""
    inputs, weights, bias = np.array([[1, 2], [0, -1]]), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([10.0, 20.0])
    assert_close(linear(inputs, weights, bias), [[17.0, 30.0], [7.0, 16.0]], "linear of two rows")
    assert_rows_alone(lambda rows: linear(rows, weights, bias), inputs)
    assert_unchanged(linear, inputs[:1], weights, bias, own_result=True)


def test_linear_backward_by_hand():
    """Two samples through two inputs and one output, on paper; over no samples the sums are zero."""
    d_outputs, inputs, weights = (
        np.array([[1.0], [-2.0]]),
        np.array([[3.0, 4.0], [5.0, 6.0]]),
        np.array([[10.0], [20.0]]),
    )
    d_inputs, d_weights, d_bias = linear_backward(d_outputs, inputs, weights)
    assert_close(d_inputs, [[10.0, 20.0], [-20.0, -40.0]], "d_inputs = d_outputs · weightsᵀ")
    assert_close(d_weights, [[3.0 - 10.0], [4.0 - 12.0]], "d_weights = inputsᵀ · d_outputs, added up over the batch")
    assert_close(d_bias, [-1.0], "d_bias = d_outputs added up over the batch")
    assert_unchanged(linear_backward, d_outputs[:1], inputs[:1], weights, own_result=True)
    _, d_weights, d_bias = linear_backward(d_outputs[:0], inputs[:0], weights)
    assert_close(d_weights, np.zeros((2, 1)), "d_weights of an empty batch")
    assert_close(d_bias, np.zeros(1), "d_bias of an empty batch")


@pytest.mark.parametrize(("batch", "fan_in", "fan_out"), [(4, 3, 2), (1, 3, 2), (4, 1, 1), (3, 3, 3)])
def test_linear_backward_is_the_slope(rng, batch, fan_in, fan_out):
    """The three results equal central differences, also for a square layer and for a batch of one."""
    x, W, b = rng.normal(size=(batch, fan_in)), rng.normal(size=(fan_in, fan_out)), rng.normal(size=fan_out)
    d_outputs = rng.normal(size=(batch, fan_out))
    d_inputs, d_weights, d_bias = linear_backward(d_outputs, x, W)
    for name, slope, function, point in (
        ("d_inputs", d_inputs, lambda x: linear(x, W, b), x),
        ("d_weights", d_weights, lambda W: linear(x, W, b), W),
        ("d_bias", d_bias, lambda b: linear(x, W, b), b),
    ):
        expected = numerical_gradient(lambda at, function=function: (function(at) * d_outputs).sum(), point)
        assert_close(slope, expected, f"{name} of a layer {fan_in} → {fan_out}, batch {batch}", rtol=1e-5, atol=1e-7)


def test_relu_backward_by_hand():
    """The slope passes where the input was positive; at exactly zero, and below, it does not."""
    d_outputs, inputs = np.array([[5.0, -6.0, 7.0, -8.0, 9.0]]), np.array([[2.0, 0.5, -3.0, 0.0, 5e-324]])
    message = "slopes 5, -6, 7, -8, 9 at inputs 2, 0.5, -3, 0, 5e-324"
    assert_close(relu_backward(d_outputs, inputs), [[5.0, -6.0, 0.0, 0.0, 9.0]], message, atol=0)
    assert_unchanged(relu_backward, d_outputs, inputs, own_result=True)
    assert_unchanged(relu_backward, d_outputs, np.ones((1, 5)), own_result=True)  # everything passes
    assert_nan_shown(lambda d_outputs: relu_backward(d_outputs, np.ones((1, 5))), d_outputs)


def test_relu_backward_of_any_size(rng):
    """Each slope meets the input in its own place, in a batch of any size, also an empty one, and in either layout."""
    for shape in ((1, 1), (1, 8), (8, 1), (3, 5), (4, 4), (0, 3)):
        slopes, inputs = rng.normal(size=shape), rng.normal(size=shape[::-1]).T
        expected = np.where(inputs > 0, slopes, 0.0)
        message = f"relu_backward of shape {shape}: the slope where the input is positive, 0 elsewhere"
        assert_close(relu_backward(slopes, inputs), expected, message)


# --- the network ---------------------------------------------------------------------------------------------


def test_initialize_has_the_right_shapes(rng):
    """W1 (features, hidden), b1 (hidden,), W2 (hidden, 1), b2 (1,), and biases of zero, in new arrays."""
    parameters, other = initialize(4, 1, rng=rng), initialize(4, 1, rng=rng)
    assert isinstance(parameters, Parameters), f"initialize returns Parameters, got {type(parameters).__name__}"
    for name, array, shape in zip(NAMES, parameters, ((4, 1), (1,), (1, 1), (1,)), strict=True):
        assert_shape(array, shape, f"{name} of initialize(4, 1)")
        assert array.dtype == np.float64, f"{name} of initialize(4, 1) is float64, got {array.dtype}"
        shared = [np.shares_memory(array, another) for another in (*other, *parameters)]
        assert sum(shared) == 1, f"{name} shares its numbers with another array: make a new one for each"
    for name, shape in (("W1", (4, 7)), ("b1", (7,)), ("W2", (7, 1))):
        assert_shape(getattr(initialize(4, 7, rng=rng), name), shape, f"{name} of initialize(4, 7)")
    assert_close(initialize(4, 7, rng=rng).b1, np.zeros(7), "b1 at the start", atol=0)
    assert_close(parameters.b2, np.zeros(1), "b2 at the start", atol=0)


def test_initialize_draws_he_weights():
    """All weights are drawn by `he_normal` from the generator given: W1 first, then W2 with as many inputs as units."""
    parameters, one = initialize(2, 30, rng=np.random.default_rng(8)), np.random.default_rng(8)
    for name, fan_in, fan_out in (("W1", 2, 30), ("W2", 30, 1)):
        weights = getattr(parameters, name)
        message = f"{name} has equal entries: equal units would stay equal for ever"
        assert len(np.unique(weights)) == weights.size, message
        message = f"{name} of initialize(2, 30), against he_normal({fan_in}, {fan_out}) from the same generator"
        assert_close(weights, he_normal(fan_in, fan_out, rng=one), message, rtol=0, atol=0)


def test_forward_by_hand():
    """The sample (1, 2) gives preactivations (1, 2, -1), activations (1, 2, 0) and the logit 2 + 2 + 0.5."""
    logits, cache = forward(by_hand(), np.array([[1.0, 2.0], [-1.0, 0.0]]))
    assert_close(logits, [4.5, 2.5], "logits of (1, 2) and (-1, 0)")
    assert_close(cache.preactivations, [[1.0, 2.0, -1.0], [-1.0, 2.0, -3.0]], "preactivations: before the ReLU")
    assert_close(cache.activations, [[1.0, 2.0, 0.0], [0.0, 2.0, 0.0]], "activations: after the ReLU")
    assert_close(cache.logits, logits, "the logits in the cache")
    assert_close(cache.inputs, [[1.0, 2.0], [-1.0, 0.0]], "the inputs in the cache")


def test_forward_treats_every_row_by_itself(rng):
    """A row gives the same logit in any batch, and nothing is modified."""
    parameters, inputs = random_network(rng), rng.normal(size=(6, 3))
    assert_rows_alone(lambda rows: forward(parameters, rows)[0], inputs)
    assert_unchanged(forward, parameters, inputs)
    whole = np.array([[1, 2], [3, 4]], dtype=np.uint8)
    assert_close(forward(by_hand(), whole)[0], forward(by_hand(), 1.0 * whole)[0], "logits of unsigned integers")


def test_forward_of_any_size(rng):
    """Any number of rows, features and hidden units will do, and every digit counts."""
    for rows, features, hidden in ((1, 1, 1), (2, 5, 3), (3, 3, 3), (40, 2, 7), (300, 4, 16)):
        W1, b1, W2, b2 = parameters = random_network(rng, features, hidden)
        inputs = rng.normal(size=(features, rows)).T
        expected = (np.maximum(inputs @ W1 + b1, 0) @ W2 + b2)[:, 0]
        message = f"logits of {rows} rows of {features} features through {hidden} hidden units"
        assert_close(forward(parameters, inputs)[0], expected, message, rtol=1e-11, atol=1e-12)


def test_forward_leaves_earlier_results_alone(rng):
    """Logits and cache are those of their own call, whatever is computed afterwards."""
    parameters, inputs = random_network(rng), rng.normal(size=(4, 3))
    logits, cache = forward(parameters, inputs)
    before = logits.copy(), [array.copy() for array in cache]
    forward(parameters, -inputs)
    assert_close(logits, before[0], "the first logits, after forward of other rows", rtol=0, atol=0)
    for name, now, then in zip(Cache._fields, cache, before[1], strict=True):
        assert_close(now, then, f"{name} of the first cache, after forward of other rows", rtol=0, atol=0)


def test_forward_refuses_rows_of_another_width():
    """One sample without its batch axis, other numbers of features and a transposed batch are errors naming inputs."""
    for shape in ((2,), (4, 3), (4, 1), (2, 5), (), (3, 4, 2)):
        message = f"inputs of shape {shape} to a network of 2 features: (batch, 2) is wanted"
        assert_refuses(lambda shape=shape: forward(by_hand(), np.zeros(shape)), "inputs", message=message)


def test_backward_by_hand():
    """One sample with p = 3/4 and label 1: every gradient on paper."""
    parameters = by_hand()._replace(b2=np.array([LOG3 - 4.0]))
    _, cache = forward(parameters, np.array([[1.0, 2.0]]))
    gradients = backward(parameters, cache, np.array([1]))
    assert isinstance(gradients, Parameters), f"backward returns Parameters, got {type(gradients).__name__}"
    # d_logit = 3/4 - 1 = -1/4; the third unit is asleep, so nothing passes through it.
    assert_close(gradients.b2, [-0.25], "d_b2 is prediction minus label")
    assert_close(gradients.W2, [[-0.25], [-0.5], [0.0]], "d_W2 is activations (1, 2, 0) times -1/4")
    assert_close(gradients.b1, [-0.5, -0.25, 0.0], "d_b1 is W2 (2, 1, -1) times -1/4, where the ReLU was open")
    assert_close(gradients.W1, [[-0.5, -0.25, 0.0], [-1.0, -0.5, 0.0]], "d_W1 is the inputs (1, 2) times d_b1")


@pytest.mark.parametrize(("batch", "hidden"), [(7, 5), (1, 4), (7, 1), (3, 3)])
def test_backward_is_the_slope_of_the_loss(rng, batch, hidden):
    """Every gradient equals central differences of the mean loss, in every parameter."""
    parameters, inputs = random_network(rng, 3, hidden), rng.normal(size=(batch, 3))
    labels = (np.arange(batch) % 2).astype(int)
    gradients = backward(parameters, forward(parameters, inputs)[1], labels)
    for name, gradient, slope in zip(NAMES, gradients, slopes(parameters, inputs, labels), strict=True):
        assert_close(gradient, slope, f"d_{name}, batch {batch}, {hidden} hidden units", rtol=1e-5, atol=1e-8)


def test_backward_leaves_everything_alone(rng):
    """Parameters, cache and labels are unmodified; labels may be booleans, small integers or floats."""
    parameters, labels = random_network(rng), np.array([0, 1, 1, 0, 1, 0])
    cache = forward(parameters, rng.normal(size=(6, 3)))[1]
    assert_unchanged(backward, parameters, cache, labels, own_result=True)
    gradients = backward(parameters, cache, labels)
    for kind in (bool, np.uint8, np.float64):
        message = f"backward with labels of {kind.__name__}"
        assert_same(backward(parameters, cache, labels.astype(kind)), gradients, message)


def test_backward_uses_the_cache():
    """The way back starts from what the way forward kept, so that it costs no second forward pass."""
    cache = Cache(np.array([[1.0, 1.0]]), np.array([[1.0, -1.0, 3.0]]), np.array([[4.0, 0.0, 5.0]]), np.array([0.0]))
    gradients = backward(by_hand(), cache, np.array([0]))
    assert_close(gradients.W2, [[2.0], [0.0], [2.5]], "d_W2 from the activations and the logit in the cache")
    assert_close(
        gradients.W1, [[1.0, 0.0, -0.5], [1.0, 0.0, -0.5]], "d_W1 from the inputs and preactivations in the cache"
    )


def test_backward_stops_at_the_fold():
    """A unit whose preactivation is exactly zero, as with inputs and biases of zero, gets no slope."""
    parameters = by_hand()._replace(b1=np.zeros(3), b2=np.zeros(1))
    gradients = backward(parameters, forward(parameters, np.zeros((1, 2)))[1], np.array([0]))
    assert_close(gradients.b1, np.zeros(3), "d_b1 where every preactivation is zero", atol=0)
    assert_close(gradients.b2, [0.5], "d_b2 there: p = 1/2, label 0")


def test_backward_shows_what_is_not_a_number():
    """One input that is not a number makes the gradients not a number: hiding it would hide a broken run."""
    nothing = np.full((1, 3), np.nan)
    with np.errstate(all="ignore"):
        cache = Cache(np.array([[np.nan, 1.0]]), nothing, nothing, np.array([np.nan]))
        gradients = backward(by_hand(), cache, np.array([1]))
    assert_close(gradients.b2, [np.nan], "d_b2 for the inputs (nan, 1)")
    assert_close(
        gradients.W2, np.full((3, 1), np.nan), "d_W2 for the inputs (nan, 1), all of whose activations are nan"
    )
    assert_close(gradients.W1[0], np.full(3, np.nan), "d_W1 of the first feature, for the inputs (nan, 1)")


def test_backward_survives_extreme_logits():
    """At logits of ±1000 the gradient is 0 where the answer is right and ±1 over the batch where it is wrong."""
    parameters = Parameters(np.array([[1.0, -1.0]]), np.zeros(2), np.array([[1.0], [-1.0]]), np.zeros(1))
    _, cache = forward(parameters, np.array([[1000.0], [-1000.0]]))
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        right = backward(parameters, cache, np.array([1, 0]))
        wrong = backward(parameters, cache, np.array([0, 0]))
    assert_close(right.b2, [0.0], "d_b2 with both answers right", atol=0)
    assert_close(wrong.b2, [0.5], "d_b2 with one of two answers wrong: prediction 1, label 0")


def test_backward_refuses_labels_that_would_broadcast(rng):
    """A column of labels, or too few, is an error and not a gradient."""
    parameters = random_network(rng)
    _, cache = forward(parameters, rng.normal(size=(4, 3)))
    for shape in ((4, 1), (1, 4), (3,), (1,), ()):
        message = f"labels of shape {shape} for 4 rows: (4,) is wanted"
        assert_refuses(lambda shape=shape: backward(parameters, cache, np.zeros(shape)), "labels", message=message)


def test_update_by_hand(rng):
    """W ← W - learning_rate · dW for each of the four, in new arrays, also where nothing moves."""
    parameters, gradients = random_network(rng), random_network(rng)
    for rate in (0.25, 1e-7, 0.0):
        moved = update(parameters, gradients, rate)
        assert isinstance(moved, Parameters), f"update returns Parameters, got {type(moved).__name__}"
        for name, now, then, gradient in zip(NAMES, moved, parameters, gradients, strict=True):
            assert_close(now, then - rate * gradient, f"{name} after a step of {rate}", rtol=1e-12, atol=0)
        assert_unchanged(lambda p, g, rate=rate: update(p, g, rate), parameters, gradients, own_result=True)


def test_train_is_forward_backward_update_again_and_again(rng):
    """Three epochs are three steps from the start, each with fresh gradients; the losses are those on the way."""
    X, y = two_moons(rng, 20)
    start = parameters = random_network(rng, 2)
    losses = [loss(parameters, X, y)]
    for _ in range(3):
        steps = zip(parameters, slopes(parameters, X, y), strict=True)
        parameters = Parameters(*[p - 0.3 * d for p, d in steps])
        losses.append(loss(parameters, X, y))
    before = [p.copy() for p in start]
    trained, curve = train(start, X, y, learning_rate=0.3, epochs=3)
    assert_close(curve, losses, "the loss before the first step and after each of three", rtol=1e-6)
    for name, now, expected in zip(NAMES, trained, parameters, strict=True):
        assert_close(now, expected, f"{name} after three epochs", rtol=1e-4, atol=1e-6)
    assert_same(start, before, "the start after train")


def test_train_takes_every_step():
    """Neither a loss that rises nor one that stands still ends the training, and the last network is returned."""
    start = Parameters(np.array([[1.0, -1.0]]), np.zeros(2), np.array([[1.0], [-1.0]]), np.zeros(1))
    X, y = np.array([[2.0], [1.0], [-1.0], [-2.0]]), np.array([1, 0, 1, 0])
    parameters, losses = start, [loss(start, X, y)]
    for epochs in range(1, 5):
        parameters = update(parameters, backward(parameters, forward(parameters, X)[1], y), 30.0)
        losses.append(loss(parameters, X, y))
        trained, curve = train(start, X, y, learning_rate=30.0, epochs=epochs)
        assert_close(curve, losses, f"the losses of {epochs} epochs with steps so large that the second makes it worse")
        for name, now, expected in zip(NAMES, trained, parameters, strict=True):
            assert_close(now, expected, f"{name} after {epochs} such epochs: the last network, not the best")
    _, flat = train(start, X, y, learning_rate=0.0, epochs=40)
    assert_close(flat, np.full(41, flat[0]), "the losses of 40 epochs with learning_rate=0")
    _, rising = train(start, X, y, learning_rate=30.0, epochs=100)
    assert_shape(rising, (101,), "the losses of 100 epochs, of which the first is the best")


def test_train_can_go_on(rng):
    """Five epochs and then seven are twelve; no epochs at all return the start and its loss."""
    X, y = two_moons(rng, 30)
    start = random_network(rng, 2)
    whole, curve = train(start, X, y, learning_rate=0.2, epochs=12)
    half, first = train(start, X, y, learning_rate=0.2, epochs=5)
    rest, second = train(half, X, y, learning_rate=0.2, epochs=7)
    for name, now, expected in zip(NAMES, rest, whole, strict=True):
        assert_close(now, expected, f"{name} after 5 + 7 epochs", rtol=1e-9)
    assert_close(np.concatenate([first, second[1:]]), curve, "the losses of 5 + 7 epochs")
    untouched, only = train(start, X, y, learning_rate=0.2, epochs=0)
    assert_same(untouched, start, "train with epochs=0")
    assert_close(only, [loss(start, X, y)], "the losses with epochs=0: that of the start")
    still, flat = train(start, X, y, learning_rate=0.0, epochs=3)
    assert_same(still, start, "train with learning_rate=0")
    assert_close(flat, np.full(4, flat[0]), "the losses with learning_rate=0")


def test_train_says_when_the_step_is_too_large(rng):
    """A loss that is no longer finite is an error naming learning_rate, not a network full of NaN."""
    X, y = two_moons(rng, 30)

    def step():
        with np.errstate(all="ignore"):
            train(random_network(rng, 2), X, y, learning_rate=1e200, epochs=5)

    assert_refuses(step, "learning_rate", 1e200, message="steps of 1e200: the loss is no longer a number")


# --- MLPClassifier -------------------------------------------------------------------------------------------


def test_classifier_bends_the_boundary(rng):
    """On two moons, held-out accuracy is 95 % and more; a straight line stays below 90 %."""
    X, y = two_moons(rng, 300)
    model = MLPClassifier(16, learning_rate=4.0, epochs=60).fit(X[:100], y[:100])
    accuracy = (model.predict(X[100:]) == y[100:]).mean()
    assert accuracy >= 0.95, f"held-out accuracy on two moons is at least 95 %, got {accuracy:.1%}"


# No base class of scikit-learn, and refusals in any words: so neither `clone`, nor `score`, nor a hint is asked for.
OTHERS = ["is_cloned_by_its_settings", "scores_itself", "refuses_what_is_no_table", "refuses_missing_values"]


@pytest.mark.parametrize("convention", estimator_conventions("classifier", without=OTHERS))
def test_it_is_an_estimator(convention):
    """It keeps scikit-learn's conventions."""
    convention(lambda: MLPClassifier(4, epochs=30))


def test_classifier_is_train_from_initialize(rng):
    """Fit uses initialize with its seed, and train with its learning rate and epochs."""
    X, y = two_moons(rng, 40)
    for hidden, rate, epochs, seed in ((5, 0.25, 20, 3), (1, 3.0, 2, 0), (17, 0.5, 0, 1), (2, 0.001, 4, 12345)):
        model = MLPClassifier(hidden, learning_rate=rate, epochs=epochs, seed=seed).fit(X[:6], y[:6])
        start = initialize(2, hidden, rng=np.random.default_rng(seed))
        parameters, losses = train(start, X[:6], y[:6], learning_rate=rate, epochs=epochs)
        settings = f"hidden={hidden}, learning_rate={rate}, epochs={epochs}, seed={seed}"
        assert_same(model.parameters_, parameters, f"fit with {settings}, against train from initialize")
        assert_close(model.loss_curve_, losses, f"loss_curve_ with {settings}, against the losses of train")
    curve = MLPClassifier(1, learning_rate=0.001, epochs=650).fit(X[:2], y[:2]).loss_curve_
    assert_shape(curve, (651,), "loss_curve_ with epochs=650: as many as were asked for, and not fewer")


def test_classifier_repeats_itself(rng):
    """The weights are drawn with the seed, by a generator of their own: another seed gives others."""
    X, y = two_moons(rng, 40)
    np.random.random()  # so that the state is not one that a seed has just set
    state = repr(np.random.get_state())
    one = MLPClassifier(4, epochs=3, seed=1).fit(X, y)
    message = "fit used or seeded NumPy's global random state: np.random.default_rng(self.seed)"
    assert repr(np.random.get_state()) == state, message
    assert_same(MLPClassifier(4, epochs=3, seed=1).fit(-X, y).fit(X, y).parameters_, one.parameters_, "a second fit")
    other = MLPClassifier(4, epochs=3, seed=2).fit(X, y)
    assert not np.allclose(other.parameters_.W1, one.parameters_.W1), "seed=2 gives other weights than seed=1"


def test_classifier_takes_any_two_labels(rng):
    """Strings, ±1, booleans and other numbers are learned; the second in sorted order is the positive class."""
    X, y = (data[1:] for data in two_moons(rng, 61))  # the first sample is of the second class
    reference = MLPClassifier(8, epochs=8).fit(X, y)
    codes = (reference.decision_function(X) > 0).astype(int)
    for labels in (("crash", "healthy"), (-1, 1), (False, True), (3, 7)):
        named = np.array(labels)[y]
        model = MLPClassifier(8, epochs=8).fit(X, named)
        assert (named == np.array(labels)[y]).all(), f"y after fit with labels {labels} is as it was: got {named}"
        assert model.classes_.tolist() == list(labels), f"classes_ for {labels}: {model.classes_.tolist()}"
        assert_same(model.parameters_, reference.parameters_, f"labels {labels} against 0 and 1")
        predicted = model.predict(X)
        assert np.asarray(predicted).dtype.kind == named.dtype.kind, (
            f"predict returns the type of the labels, {named.dtype}; got {np.asarray(predicted).dtype}"
        )
        assert (predicted == np.array(labels)[codes]).all(), f"predict returns the labels given to fit, {labels}"
        expected = sigmoid(model.decision_function(X))
        assert_close(model.predict_proba(X)[:, 1], expected, f"column 1 is the second class, {labels[1]}")


def test_predict_by_hand():
    """Positive log-odds are the second class, negative ones the first, and even odds the first."""
    model = MLPClassifier()
    model.classes_, model.n_features_in_ = np.array(["down", "up"]), 1
    model.parameters_ = Parameters(np.array([[1.0, -1.0]]), np.zeros(2), np.array([[1.0], [-1.0]]), np.zeros(1))
    predicted = model.predict(np.array([[0.2], [-0.2], [0.0]]))
    assert predicted.tolist() == ["up", "down", "down"], f"log-odds of 0.2, -0.2 and 0: got {predicted}"
    predicted = model.predict(np.array([[0.2], [0.3], [1e-9]]))
    assert predicted.tolist() == ["up", "up", "up"], f"log-odds of 0.2, 0.3 and 1e-9, each by itself: got {predicted}"
    assert_shape(model.predict([[1]]), (1,), "predict of one sample of integers")


def test_classifier_refuses_what_it_cannot_learn(rng):
    """One class, three classes, NaN and wrong shapes are errors that say so."""
    X, y = two_moons(rng, 6)
    for features, labels, what, named in (
        (X, np.zeros(6), "one class only", r"\by\b"),
        (X, [0, 1, 2, 0, 1, 2], "three classes, where two are wanted", r"\by\b"),
        (X, y[:, None], "labels of shape (6, 1), where (6,) is wanted", r"\by\b"),
        (X, y[:5], "five labels for six rows", r"\by\b"),
        (np.full((6, 2), np.nan), y, "not-a-number in X", r"\bX\b"),
        (X[:, 0], y, "X of shape (6,)", r"\bX\b"),
    ):
        assert_refuses(lambda X=features, y=labels: MLPClassifier(epochs=1).fit(X, y), named, message=what)
    model = MLPClassifier(epochs=1).fit(X, y)
    for features, what in (([[np.nan, 0.0]], "not-a-number"), (X[0], "a row without its axis")):
        assert_refuses(lambda X=features: model.predict(X), r"\bX\b", message=f"predict of {what}")


@pytest.mark.parametrize(
    ("name", "value"), [("hidden", 0), ("epochs", -1), ("learning_rate", -0.5), ("learning_rate", np.inf)]
)
def test_classifier_refuses_settings_that_break_a_rule(rng, name, value):
    """A setting is checked by fit, not by the constructor, and the message names it and its value."""
    X, y = two_moons(rng, 6)
    model = MLPClassifier(**{name: value})
    assert_refuses(lambda: model.fit(X, y), rf"\b{name}\b", value, message=f"fit with {name}={value}")
