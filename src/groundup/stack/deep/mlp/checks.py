"""Checks of the two-layer network: hand computation, finite differences and invariants.

PyTorch, the other reference, is compared with in the project's tests: importing it takes longer than all of these.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.checking import assert_close, assert_refuses, assert_shape
from groundup.stack.bedrock.vectors import relu
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


def numerical_gradients(parameters, inputs, labels, step=1e-6):
    """Central differences of the loss in every parameter."""
    slopes = []
    for number, parameter in enumerate(parameters):
        slope = np.zeros_like(parameter)
        for index in np.ndindex(parameter.shape):
            shift = np.zeros_like(parameter)
            shift[index] = step
            right, left = (
                loss(
                    Parameters(*[p + sign * shift if k == number else p for k, p in enumerate(parameters)]),
                    inputs,
                    labels,
                )
                for sign in (1, -1)
            )
            slope[index] = (right - left) / (2 * step)
        slopes.append(slope)
    return Parameters(*slopes)


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


def global_state():
    """NumPy's global random state, comparable."""
    kind, keys, position, *rest = np.random.get_state(legacy=True)
    return kind, keys.tolist(), position, *rest  # type: ignore[union-attr]


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


def test_he_normal_draws_each_weight_by_itself(rng):
    """One weight drawn 600 times is normal and never the same: nothing is rescaled or made orthogonal afterwards."""
    draws = np.concatenate([he_normal(1, 1, rng=rng)[0] for _ in range(600)])
    assert len(np.unique(draws)) == 600, f"600 draws of he_normal(1, 1): only {len(np.unique(draws))} differ"
    assert_close(draws.std(), np.sqrt(2.0), "deviation of 600 draws of he_normal(1, 1)", rtol=0.13)
    assert_close((np.abs(draws) < np.sqrt(2)).mean(), 0.683, "share of them within one standard deviation", atol=0.08)


def test_he_normal_keeps_the_size_of_signals(rng):
    """Through ten layers with ReLU the mean square of the activations stays as large as it was, but for chance."""
    signal = rng.normal(size=(20, 100))
    before = (signal**2).mean()
    for _ in range(10):
        signal = np.maximum(signal @ he_normal(100, 100, rng=rng), 0)
    ratio = 2 * (signal**2).mean() / before
    assert 0.2 < ratio < 15, (
        f"after ten layers the mean square, doubled for the ReLU, is {ratio:.3g} times that of the input"
    )


def test_he_normal_draws_from_the_generator_given():
    """The same generator state gives the same weights, the next draw others, and global random state is not touched."""
    np.random.random()  # so that the state is not one that a seed has just set
    state = global_state()
    generator = np.random.default_rng(3)
    first, second = he_normal(4, 3, rng=generator), he_normal(4, 3, rng=generator)
    assert_close(
        he_normal(4, 3, rng=np.random.default_rng(3)), first, "he_normal twice from the same state", rtol=0, atol=0
    )
    assert not np.allclose(first, second), "two draws from one generator are equal: does he_normal make its own?"
    assert global_state() == state, "he_normal drew from or seeded NumPy's global random state: use `rng`"


def test_linear_by_hand():
    """Each row times the weights, plus the bias: (1·1 + 2·3 + 10, 1·2 + 2·4 + 20)."""
    inputs, weights, bias = (
        np.array([[1.0, 2.0], [0.0, -1.0]]),
        np.array([[1.0, 2.0], [3.0, 4.0]]),
        np.array([10.0, 20.0]),
    )
    assert_close(linear(inputs, weights, bias), [[17.0, 30.0], [7.0, 16.0]], "linear of two rows")
    assert_close(linear(inputs[:1], weights, bias), [[17.0, 30.0]], "linear of a batch of one")
    assert_shape(linear(np.zeros((0, 2)), weights, bias), (0, 2), "linear of an empty batch")
    assert_close(linear(np.array([[1, 2]]), weights, bias), [[17.0, 30.0]], "linear of integers")
    assert_close(bias, [10.0, 20.0], "the bias after the calls", rtol=0, atol=0)


def test_linear_backward_by_hand():
    """Two samples through two inputs and one output, on paper."""
    arguments = np.array([[1.0], [-2.0]]), np.array([[3.0, 4.0], [5.0, 6.0]]), np.array([[10.0], [20.0]])
    before = [array.copy() for array in arguments]
    d_inputs, d_weights, d_bias = linear_backward(*arguments)
    assert_close(d_inputs, [[10.0, 20.0], [-20.0, -40.0]], "d_inputs = d_outputs · weightsᵀ")
    assert_close(d_weights, [[3.0 - 10.0], [4.0 - 12.0]], "d_weights = inputsᵀ · d_outputs, added up over the batch")
    assert_close(d_bias, [-1.0], "d_bias = d_outputs added up over the batch")
    for name, now, then in zip(("d_outputs", "inputs", "weights"), arguments, before, strict=True):
        assert_close(now, then, f"{name} after the call", rtol=0, atol=0)


def test_linear_backward_is_linear_in_the_slope(rng):
    """A slope a million times as large comes back a million times as large: nothing is clipped."""
    d_outputs, inputs, weights = rng.normal(size=(5, 2)), rng.normal(size=(5, 3)), rng.normal(size=(3, 2))
    small, large = linear_backward(d_outputs, inputs, weights), linear_backward(1e6 * d_outputs, inputs, weights)
    for name, one, other in zip(("d_inputs", "d_weights", "d_bias"), small, large, strict=True):
        assert_close(other, 1e6 * one, f"{name} with a million times the slope")


def test_linear_backward_returns_arrays_of_its_own():
    """Also for a batch of one, where d_bias has the numbers of d_outputs; and for none, where nothing is added up."""
    d_outputs, inputs, weights = np.array([[1.0, 2.0]]), np.array([[3.0]]), np.array([[5.0, 6.0]])
    for name, result in zip(
        ("d_inputs", "d_weights", "d_bias"), linear_backward(d_outputs, inputs, weights), strict=True
    ):
        assert not np.shares_memory(result, d_outputs), (
            f"{name} of a batch of one is d_outputs itself: make a new array"
        )
    d_inputs, d_weights, d_bias = linear_backward(np.zeros((0, 2)), np.zeros((0, 1)), weights)
    assert_shape(d_inputs, (0, 1), "d_inputs of an empty batch")
    assert_close(d_weights, np.zeros((1, 2)), "d_weights of an empty batch")
    assert_close(d_bias, np.zeros(2), "d_bias of an empty batch")


@pytest.mark.parametrize(("batch", "fan_in", "fan_out"), [(4, 3, 2), (1, 3, 2), (4, 1, 1), (3, 3, 3)])
def test_linear_backward_is_the_slope(rng, batch, fan_in, fan_out):
    """The three results equal central differences, also for a square layer and for a batch of one."""
    inputs, weights, bias = (
        rng.normal(size=(batch, fan_in)),
        rng.normal(size=(fan_in, fan_out)),
        rng.normal(size=fan_out),
    )
    d_outputs = rng.normal(size=(batch, fan_out))
    arguments = [inputs, weights, bias]
    results = linear_backward(d_outputs, inputs, weights)
    for number, (name, result) in enumerate(zip(("d_inputs", "d_weights", "d_bias"), results, strict=True)):
        expected = np.zeros_like(arguments[number])
        for index in np.ndindex(expected.shape):
            shift = np.zeros_like(expected)
            shift[index] = 1e-6
            right, left = (
                (linear(*[a + s * shift if k == number else a for k, a in enumerate(arguments)]) * d_outputs).sum()
                for s in (1, -1)
            )
            expected[index] = (right - left) / 2e-6
        assert_close(result, expected, f"{name} of a layer {fan_in} → {fan_out}, batch {batch}", rtol=1e-5, atol=1e-7)


def test_relu_backward_by_hand():
    """The slope passes where the input was positive; at exactly zero, and below, it does not."""
    d_outputs = np.array([[5.0, -6.0, 7.0, -8.0]])
    inputs = np.array([[2.0, 0.5, -3.0, 0.0]])
    assert_close(relu_backward(d_outputs, inputs), [[5.0, -6.0, 0.0, 0.0]], "inputs 2, 0.5, -3, 0", atol=0)
    assert_close(d_outputs, [[5.0, -6.0, 7.0, -8.0]], "d_outputs after the call", rtol=0, atol=0)
    assert_close(inputs, [[2.0, 0.5, -3.0, 0.0]], "inputs after the call", rtol=0, atol=0)
    ends = np.array([[5e-324, -5e-324, 1e300, np.inf]])
    opened = relu_backward(np.ones((1, 4)), ends)
    assert_close(opened, [[1.0, 0.0, 1.0, 1.0]], "inputs 5e-324, -5e-324, 1e300 and infinity: positive is positive")
    broken = relu_backward(np.array([[np.nan, 1.0]]), np.array([[1.0, 1.0]]))
    assert_close(broken, [[np.nan, 1.0]], "a slope of not-a-number passes an open gate: hiding it hides a bug")
    passed = relu_backward(d_outputs, np.ones((1, 4)))
    assert_close(passed, d_outputs, "everything passes where all inputs are positive", rtol=0, atol=0)
    assert not np.shares_memory(passed, d_outputs), "relu_backward returns a new array, also where everything passes"


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_relu_backward_is_the_slope(slope, number):
    """Away from the fold it equals central differences of the ReLU."""
    numbers = np.array([[number, -number]]) if abs(number) > 1e-3 else np.array([[1.0, -1.0]])
    slopes = np.array([[slope, 0.5]])
    expected = slopes * (relu(numbers + 1e-6) - relu(numbers - 1e-6)) / 2e-6
    message = f"relu_backward of slopes {slopes.tolist()} at inputs {numbers.tolist()}"
    assert_close(relu_backward(slopes, numbers), expected, message, rtol=1e-6, atol=1e-6)


def test_relu_backward_of_any_size(rng):
    """Each slope meets the input in its own place, in a batch of any size, also an empty one, and in either layout."""
    for shape in ((1, 1), (1, 8), (8, 1), (3, 5), (4, 4), (0, 3)):
        slopes, inputs = rng.normal(size=shape), rng.normal(size=shape[::-1]).T
        expected = np.where(inputs > 0, slopes, 0.0)
        message = f"relu_backward of shape {shape}: the slope where the input is positive, 0 elsewhere"
        assert_close(relu_backward(slopes, inputs), expected, message)


# --- the network ---------------------------------------------------------------------------------------------


def test_initialize_has_the_right_shapes(rng):
    """W1 (features, hidden), b1 (hidden,), W2 (hidden, 1), b2 (1,), and biases of zero."""
    parameters = initialize(4, 7, rng=rng)
    assert isinstance(parameters, Parameters), f"initialize returns Parameters, got {type(parameters).__name__}"
    for name, array, shape in zip(NAMES, parameters, ((4, 7), (7,), (7, 1), (1,)), strict=True):
        assert_shape(array, shape, f"{name} of initialize(4, 7)")
    assert_close(parameters.b1, np.zeros(7), "b1 at the start", atol=0)
    assert_close(parameters.b2, np.zeros(1), "b2 at the start", atol=0)
    for name, array, other in zip(NAMES, parameters, initialize(4, 7, rng=rng), strict=True):
        assert array.dtype == np.float64, f"{name} of initialize(4, 7) is float64, got {array.dtype}"
        assert not np.shares_memory(array, other), f"two networks share one {name}: make new arrays in every call"


def test_initialize_breaks_the_symmetry_with_he_weights(rng):
    """All weights differ, W1 is scaled by the features and W2 by the hidden units."""
    parameters = initialize(50, 400, rng=rng)
    for name, fan_in in (("W1", 50), ("W2", 400)):
        weights = getattr(parameters, name)
        assert len(np.unique(weights)) == weights.size, (
            f"{name} has equal entries: equal units would stay equal for ever"
        )
        assert_close(weights.std(), np.sqrt(2 / fan_in), f"deviation of {name} with {fan_in} inputs", rtol=0.15)
    again = [initialize(2, 3, rng=np.random.default_rng(8)) for _ in range(2)]
    assert_same(again[0], again[1], "initialize twice from the same state")
    one = np.random.default_rng(8)
    assert_close(again[0].W1, he_normal(2, 3, rng=one), "W1 is drawn first", rtol=0, atol=0)
    assert_close(again[0].W2, he_normal(3, 1, rng=one), "W2 is drawn next, from the same generator", rtol=0, atol=0)


def test_forward_by_hand():
    """The sample (1, 2) gives preactivations (1, 2, -1), activations (1, 2, 0) and the logit 2 + 2 + 0.5."""
    logits, cache = forward(by_hand(), np.array([[1.0, 2.0], [-1.0, 0.0]]))
    assert_close(logits, [4.5, 2.5], "logits of (1, 2) and (-1, 0)")
    assert_close(cache.preactivations, [[1.0, 2.0, -1.0], [-1.0, 2.0, -3.0]], "preactivations: before the ReLU")
    assert_close(cache.activations, [[1.0, 2.0, 0.0], [0.0, 2.0, 0.0]], "activations: after the ReLU")
    assert_close(cache.logits, logits, "the logits in the cache")
    assert_close(cache.inputs, [[1.0, 2.0], [-1.0, 0.0]], "the inputs in the cache")


def test_forward_treats_every_row_by_itself(rng):
    """A batch of one and a permuted batch give the same logits as the whole, and nothing is modified."""
    parameters, inputs = random_network(rng), rng.normal(size=(6, 3))
    before = [p.copy() for p in parameters], inputs.copy()
    logits, _ = forward(parameters, inputs)
    assert_shape(logits, (6,), "logits of six rows")
    for row in range(6):
        assert_close(
            forward(parameters, inputs[row : row + 1])[0], logits[row : row + 1], f"row {row} as a batch of one"
        )
    order = rng.permutation(6)
    assert_close(forward(parameters, inputs[order])[0], logits[order], "the rows permuted")
    assert_same(parameters, before[0], "the parameters after forward")
    assert_close(inputs, before[1], "the inputs after forward", rtol=0, atol=0)
    assert_shape(forward(parameters, np.zeros((0, 3)))[0], (0,), "logits of an empty batch")


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


def test_forward_takes_integers():
    """Integer features are numbers like any others."""
    assert_close(forward(by_hand(), np.array([[1, 2]]))[0], [4.5], "logits of the integers (1, 2)")
    assert_close(forward(by_hand(), np.array([[1, 2]], dtype=np.uint8))[0], [4.5], "logits of unsigned integers")


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
    """Every gradient equals central differences of the loss, in every parameter."""
    parameters, inputs = random_network(rng, 3, hidden), rng.normal(size=(batch, 3))
    labels = (np.arange(batch) % 2).astype(int)
    _, cache = forward(parameters, inputs)
    gradients = backward(parameters, cache, labels)
    expected = numerical_gradients(parameters, inputs, labels)
    for name, gradient, slope in zip(NAMES, gradients, expected, strict=True):
        assert_close(gradient, slope, f"d_{name}, batch {batch}, {hidden} hidden units", rtol=1e-5, atol=1e-8)


def test_backward_is_that_of_the_mean(rng):
    """A batch given twice has the same gradient, a permuted batch too, and asking twice adds nothing up."""
    parameters, inputs, labels = random_network(rng), rng.normal(size=(8, 3)), np.arange(8) % 2
    once = backward(parameters, forward(parameters, inputs)[1], labels)
    order = rng.permutation(8)
    for rows, what in ((np.tile(np.arange(8), 2), "the batch given twice"), (order, "the batch permuted")):
        other = backward(parameters, forward(parameters, inputs[rows])[1], labels[rows])
        for name, gradient, expected in zip(NAMES, other, once, strict=True):
            assert_close(gradient, expected, f"d_{name} with {what}", rtol=1e-9)
    cache = forward(parameters, inputs)[1]
    assert_same(backward(parameters, cache, labels), backward(parameters, cache, labels), "backward asked twice")


def test_backward_leaves_everything_alone(rng):
    """Parameters, cache and labels are unmodified; labels may be booleans, small integers or floats."""
    parameters, inputs, labels = random_network(rng), rng.normal(size=(6, 3)), np.array([0, 1, 1, 0, 1, 0])
    _, cache = forward(parameters, inputs)
    before = [p.copy() for p in parameters], [c.copy() for c in cache]
    gradients = backward(parameters, cache, labels)
    assert_same(parameters, before[0], "the parameters after backward")
    for name, now, then in zip(Cache._fields, cache, before[1], strict=True):
        assert_close(now, then, f"{name} of the cache after backward", rtol=0, atol=0)
    for kind in (bool, np.uint8, np.float64):
        assert_same(
            backward(parameters, cache, labels.astype(kind)), gradients, f"backward with labels of {kind.__name__}"
        )


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


def test_backward_is_as_large_as_it_is():
    """With inputs of a million the slope in W1 is in the hundred thousands: nothing is clipped."""
    parameters = Parameters(np.array([[1e-6]]), np.zeros(1), np.array([[1.0]]), np.array([-1.0]))
    gradients = backward(parameters, forward(parameters, np.array([[1e6]]))[1], np.array([0]))
    assert_close(gradients.W1, [[5e5]], "d_W1 for an input of 1e6, with p = 1/2 and label 0")


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


def test_update_by_hand():
    """W ← W - learning_rate · dW for each of the four, in new arrays."""
    parameters, gradients = by_hand(), Parameters(*[np.full_like(p, 2.0) for p in by_hand()])
    moved = update(parameters, gradients, 0.25)
    assert isinstance(moved, Parameters), f"update returns Parameters, got {type(moved).__name__}"
    for name, now, then in zip(NAMES, moved, by_hand(), strict=True):
        assert_close(now, then - 0.5, f"{name} after a step of 0.25 against a gradient of 2")
    assert_same(parameters, by_hand(), "the old parameters after update")
    assert_close(gradients.W1, np.full((2, 3), 2.0), "the gradient after update", rtol=0, atol=0)


def test_update_uses_each_gradient_for_its_own_parameter(rng):
    """The four gradients differ, and a learning rate of zero moves nothing."""
    parameters, gradients = random_network(rng), random_network(rng)
    moved = update(parameters, gradients, 0.1)
    for name, now, then, gradient in zip(NAMES, moved, parameters, gradients, strict=True):
        assert_close(now, then - 0.1 * gradient, f"{name} after a step of 0.1")
    steep = Parameters(*[1e6 * gradient for gradient in gradients])
    for name, now, then in zip(NAMES, update(parameters, steep, 1e-7), moved, strict=True):
        assert_close(now, then, f"{name} after a step of 1e-7 against a gradient a million times as large")
    still = update(parameters, gradients, 0.0)
    assert_same(still, parameters, "update with a learning rate of 0")
    for name, now, then in zip(NAMES, still, parameters, strict=True):
        assert not np.shares_memory(now, then), f"{name} after update is the old array: make new ones, at any step size"


def test_train_is_forward_backward_update_again_and_again(rng):
    """Three epochs are three steps from the start, each with fresh gradients; the losses are those on the way."""
    X, y = two_moons(rng, 20)
    start = parameters = random_network(rng, 2)
    losses = [loss(parameters, X, y)]
    for _ in range(3):
        slopes = numerical_gradients(parameters, X, y)
        parameters = Parameters(*[p - 0.3 * d for p, d in zip(parameters, slopes, strict=True)])
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


def test_train_goes_on_when_all_is_learned():
    """A loss of nearly nothing does not end the training, and one of 1,000 nats is written down as it is."""
    sure = Parameters(np.array([[10.0, -10.0]]), np.zeros(2), np.array([[1.0], [-1.0]]), np.zeros(1))
    X = np.array([[1.0], [-1.0]])
    _, losses = train(sure, X, np.array([1, 0]), learning_rate=0.1, epochs=25)
    assert_shape(losses, (26,), "the losses of 25 epochs from a network that is right and sure")
    _, losses = train(sure, 100 * X, np.array([0, 1]), learning_rate=0.0, epochs=1)
    assert_close(losses, [1000.0, 1000.0], "the losses of a network that is wrong and sure, with logits of ±1000")


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


def test_train_learns_exclusive_or():
    """Four points that no straight line can split are learned, which one layer cannot do."""
    X, y = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
    trained, losses = train(initialize(2, 32, rng=np.random.default_rng(0)), X, y, learning_rate=0.5, epochs=60)
    assert losses[-1] < 0.1, f"the loss on exclusive or after 60 epochs is below 0.1, got {losses[-1]:.3f}"
    assert ((forward(trained, X)[0] > 0) == y).all(), "all four points of exclusive or are right"


# --- MLPClassifier -------------------------------------------------------------------------------------------


def test_classifier_bends_the_boundary(rng):
    """On two moons, held-out accuracy is 95 % and more; a straight line stays below 90 %."""
    X, y = two_moons(rng, 300)
    model = MLPClassifier(16, learning_rate=4.0, epochs=60).fit(X[:100], y[:100])
    accuracy = (model.predict(X[100:]) == y[100:]).mean()
    assert accuracy >= 0.95, f"held-out accuracy on two moons is at least 95 %, got {accuracy:.1%}"


def test_classifier_follows_the_estimator_conventions(rng):
    """Settings stay untouched, fit returns self, learned values have their names and shapes, data are unmodified."""
    X, y = two_moons(rng, 40)
    X_before, y_before = X.copy(), y.copy()
    model = MLPClassifier(5, learning_rate=0.25, epochs=20, seed=3)
    assert not hasattr(model, "parameters_"), "nothing is learned before fit"
    assert model.fit(X, y) is model, "fit returns the estimator itself: `return self`"
    settings = (model.hidden, model.learning_rate, model.epochs, model.seed)
    given = (5, 0.25, 20, 3)
    assert repr(settings) == repr(given), f"the settings {given} must not change in fit, nor their types: {settings}"
    assert_close(model.classes_, [0, 1], "classes_ are the sorted labels")
    assert model.n_features_in_ == 2, f"n_features_in_ is 2, got {model.n_features_in_}"
    assert_shape(model.loss_curve_, (21,), "loss_curve_ has a value before and after each epoch")
    assert_shape(model.parameters_.W1, (2, 5), "W1 has a column for each hidden unit")
    assert_close(X, X_before, "X after fit", rtol=0, atol=0)
    assert_close(y, y_before, "y after fit", rtol=0, atol=0)


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
    """The same seed gives the same network whatever happened before, and a second fit starts afresh."""
    X, y = two_moons(rng, 40)
    np.random.random()  # so that the state is not one that a seed has just set
    state = global_state()
    one = MLPClassifier(4, epochs=3, seed=1).fit(X, y)
    assert global_state() == state, "fit used or seeded NumPy's global random state: np.random.default_rng(self.seed)"
    assert_same(MLPClassifier(4, epochs=3, seed=1).fit(X, y).parameters_, one.parameters_, "the same seed again")
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


def test_a_classifier_keeps_what_it_learned_to_itself(rng):
    """Fitting another one, on other columns and other labels, changes nothing in the first."""
    X, y = two_moons(rng, 20)
    first = MLPClassifier(3, epochs=2).fit(X, y)
    expected = first.decision_function(X)
    MLPClassifier(4, epochs=2).fit(X[:, :1], np.where(y == 1, "a", "b"))
    assert_close(first.decision_function(X), expected, "log-odds of the first, after fit of the second", rtol=0, atol=0)
    assert first.classes_.tolist() == [0, 1], f"classes_ of the first, after fit of the second: {first.classes_}"


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


@pytest.mark.parametrize(
    ("name", "value"), [("hidden", 0), ("epochs", -1), ("learning_rate", -0.5), ("learning_rate", np.inf)]
)
def test_classifier_refuses_settings_that_break_a_rule(rng, name, value):
    """A setting is checked by fit, not by the constructor, and the message names it and its value."""
    X, y = two_moons(rng, 6)
    model = MLPClassifier(**{name: value})
    assert_refuses(lambda: model.fit(X, y), rf"\b{name}\b", value, message=f"fit with {name}={value}")


def test_prediction_refuses_what_fit_did_not_see(rng):
    """Predicting before fit, another number of columns, and NaN are errors."""
    X, y = two_moons(rng, 20)
    # A predict that looks at a learned value before anything else stops as clearly.
    with pytest.raises((ValueError, AttributeError)):
        MLPClassifier().predict(X)
    model = MLPClassifier(epochs=1).fit(X, y)
    for features, what in (
        (np.zeros((4, 3)), "three columns, where fit saw two"),
        (np.zeros(2), "one row of shape (2,), where (1, 2) is wanted"),
        ([[np.nan, 0.0]], "a row with not-a-number"),
    ):
        assert_refuses(lambda X=features: model.predict(X), r"\bX\b", message=f"predict of {what}")
