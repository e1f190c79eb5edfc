"""Checks of regularization."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from groundup.checking import (
    assert_close,
    assert_dtype_kept,
    assert_refuses,
    assert_refuses_values,
    assert_unchanged,
    module_conventions,
)
from groundup.stack.deep.regularization import (
    BatchNorm,
    Dropout,
    batch_norm,
    batch_norm_backward,
    decay,
    decay_groups,
    deep_mlp,
    dropout,
    penalty,
)

torch.set_num_threads(1)  # arrays this small are slower on two
SHAPES = pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (4, 3, 2, 5)])


def normal(rng, *shape):
    """A float64 tensor of normal random numbers, away from mean 0 and variance 1."""
    return torch.from_numpy(3 + 2 * rng.standard_normal(shape))


def seeded(seed=0):
    """A generator of PyTorch's."""
    return torch.Generator().manual_seed(seed)


# --- dropout --------------------------------------------------------------------------------------------------------


def test_dropout_leaves_two_values():
    """At a rate of 0.75 an entry of 2 becomes 0 or 2 / 0.25 = 8."""
    result = dropout(torch.full((400,), 2.0), 0.75, generator=seeded())
    assert set(result.tolist()) == {0.0, 8.0}, f"expected 0 and 8, got {sorted(set(result.tolist()))[:5]}"


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_dropout_drops_the_share_and_keeps_the_mean(rate):
    """Of 40,000 ones about the share `rate` becomes 0, and the mean stays about 1."""
    result = dropout(torch.ones(200, 200), rate, generator=seeded())
    share, mean = float((result == 0).float().mean()), float(result.mean())
    assert abs(share - rate) < 0.02, f"the share of zeros: expected about {rate}, got {share:.3f}"
    assert abs(mean - 1) < 0.06, f"the mean: expected about 1, got {mean:.3f}"


def test_dropout_draws_for_each_entry():
    """Entries are dropped each by itself: no row and no column falls as a whole, and neighbours agree in half."""
    zeros = dropout(torch.ones(64, 64), 0.5, generator=seeded()) == 0
    for axis in (0, 1):
        share = zeros.float().mean(dim=axis)
        assert share.min() > 0.1, f"a line along axis {axis} was kept as a whole"
        assert share.max() < 0.9, f"a line along axis {axis} was dropped as a whole"
    alike = float((zeros[:, 1:] == zeros[:, :-1]).float().mean())
    assert abs(alike - 0.5) < 0.05, f"neighbours fell alike in {alike:.2f} of the places"


def test_dropout_rests_in_inference(rng):
    """With training=False the inputs come back as they are, and nothing is drawn."""
    inputs, generator = normal(rng, 3, 4), seeded()
    before = generator.get_state()
    assert_close(dropout(inputs, 0.9, training=False, generator=generator), inputs, "the inputs")
    assert torch.equal(generator.get_state(), before), "inference draws nothing"


def test_dropout_of_nothing(rng):
    """A rate of 0 changes nothing."""
    inputs = normal(rng, 3, 4)
    assert_close(dropout(inputs, 0.0), inputs)


def test_dropout_draws_from_its_generator(rng):
    """The same state gives the same zeros, another other ones; without a generator PyTorch's own draws."""
    inputs = normal(rng, 20, 20)
    first, second, third = (dropout(inputs, 0.5, generator=seeded(seed)) for seed in (1, 1, 2))
    assert_close(first, second, "twice from the same state")
    assert (first != third).any(), "another seed drops other entries"
    torch.manual_seed(3)
    mine = dropout(inputs, 0.5)
    torch.manual_seed(3)
    assert_close(dropout(inputs, 0.5), mine, "from PyTorch's own generator")


def test_the_gradient_goes_where_the_input_went(rng):
    """A dropped entry has the gradient 0, a kept one that of the factor."""
    inputs = normal(rng, 50).requires_grad_()
    result = dropout(inputs, 0.5, generator=seeded())
    result.sum().backward()
    assert_close(inputs.grad, (result != 0) * 2.0, "2 where kept, 0 where dropped")


def test_dropout_keeps_dtype_and_arguments(rng):
    """float32 gives float32, float64 float64, and the inputs stay as they were."""
    assert_dtype_kept(lambda x: dropout(x, 0.5, generator=seeded()), normal(rng, 3, 4))
    assert_unchanged(lambda x: dropout(x, 0.5, generator=seeded()), normal(rng, 3, 4))


def test_dropout_refuses():
    """A rate below 0, of 1 and above is refused, by the function in either mode and by the layer."""
    for training in (True, False):
        call = lambda rate, training=training: dropout(torch.ones(3), rate, training)  # noqa: E731
        assert_refuses_values(call, "rate", -0.1, 1.0, 1.5)
    assert_refuses_values(Dropout, "rate", -0.1, 1.0)


def test_the_layer_of_dropout_follows_its_mode():
    """The layer drops in training mode, and rests in eval mode."""
    layer = Dropout(0.5)
    assert (layer(torch.ones(100)) == 0).any(), "in training mode"
    assert_close(layer.eval()(torch.ones(100)), torch.ones(100), "in eval mode")


# --- batch normalization --------------------------------------------------------------------------------------------


def test_batch_norm_by_hand():
    """1, 3, 5, 7 have the mean 4 and the variance 5: scaled by 10 and shifted by 1, 1 becomes 1 - 30 / √5."""
    result = batch_norm(torch.tensor([[1.0], [3], [5], [7]]), torch.tensor([10.0]), torch.tensor([1.0]), eps=0.0)
    assert_close(result, 1 + 10 * torch.tensor([[-3.0], [-1], [1], [3]]) / 5**0.5, rtol=1e-6)


@SHAPES
def test_batch_norm_is_pytorchs(shape, rng):
    """It is torch.nn.functional.batch_norm, by the batch's statistics and by given ones."""
    inputs, scale, shift = normal(rng, *shape), normal(rng, 3), normal(rng, 3)
    mean, variance = normal(rng, 3), normal(rng, 3).square()
    expected = functional.batch_norm(inputs, None, None, scale, shift, training=True)
    assert_close(batch_norm(inputs, scale, shift), expected, "by the batch")
    expected = functional.batch_norm(inputs, mean, variance, scale, shift, eps=0.1)
    assert_close(batch_norm(inputs, scale, shift, mean, variance, 0.1), expected, "by given statistics")


@SHAPES
def test_a_channel_has_mean_0_and_variance_1(shape, rng):
    """Without scale and shift each channel has mean 0 and variance 1 over rows and places."""
    result = batch_norm(normal(rng, *shape), torch.ones(3), torch.zeros(3), eps=0.0)
    channels = result.transpose(0, 1).flatten(1)
    assert_close(channels.mean(dim=1), torch.zeros(3), "means")
    assert_close(channels.var(dim=1, correction=0), torch.ones(3), "variances")


def test_batch_norm_forgets_units(rng):
    """Inputs in other units, a · x + b with a above 0, give the same."""
    inputs, ones, zeros = normal(rng, 8, 3), torch.ones(3), torch.zeros(3)
    assert_close(batch_norm(1000 * inputs - 7, ones, zeros, eps=0.0), batch_norm(inputs, ones, zeros, eps=0.0))


def test_a_constant_channel_gives_the_shift():
    """A channel without variance gives the shift, and no division by zero."""
    assert_close(batch_norm(torch.full((4, 1), 7.0), torch.ones(1), torch.tensor([2.0])), torch.full((4, 1), 2.0))


def test_batch_norm_keeps_dtype_and_arguments(rng):
    """float32 gives float32, float64 float64, and the arguments stay as they were."""
    assert_dtype_kept(batch_norm, normal(rng, 5, 3), normal(rng, 3), normal(rng, 3))
    assert_unchanged(batch_norm, normal(rng, 5, 3), normal(rng, 3), normal(rng, 3))


def test_batch_norm_backward_by_hand():
    """Of -1 and 1 with the gradient 1 and 0: the mean ½ goes, and the rest lies along the values: nothing is left."""
    inputs, gradient = torch.tensor([[-1.0], [1.0]]), torch.tensor([[1.0], [0.0]])
    d_inputs, d_scale, d_shift = batch_norm_backward(gradient, inputs, torch.tensor([3.0]), eps=0.0)
    assert_close(d_inputs, [[0.0], [0.0]], "two values always become -1 and 1, whatever they are")
    assert_close(d_scale, [-1.0], "1 · -1 + 0 · 1")
    assert_close(d_shift, [1.0], "the sum of the gradient")


@SHAPES
def test_batch_norm_backward_is_autograds(shape, rng):
    """All three gradients are those of autograd through torch.nn.functional.batch_norm."""
    inputs, scale, shift = (normal(rng, *size).requires_grad_() for size in (shape, (3,), (3,)))
    gradient = normal(rng, *shape)
    for eps in (1e-5, 0.5):
        output = functional.batch_norm(inputs, None, None, scale, shift, training=True, eps=eps)
        expected = torch.autograd.grad((output * gradient).sum(), (inputs, scale, shift))
        result = batch_norm_backward(gradient, inputs.detach(), scale.detach(), eps)
        for name, ours, theirs in zip(("inputs", "scale", "shift"), result, expected, strict=True):
            assert_close(ours, theirs, f"the gradient in the {name}, eps {eps}", rtol=1e-6)
    result = batch_norm_backward(gradient, inputs.detach(), scale.detach())
    output = functional.batch_norm(inputs, None, None, scale, shift, training=True)
    expected = torch.autograd.grad((output * gradient).sum(), inputs)
    assert_close(result[0], expected[0], "eps is 1e-5 unless given")


def test_shifts_and_scalings_have_no_gradient(rng):
    """The gradient in the inputs has no mean, and is at right angles to the values: neither can change the result."""
    inputs, scale, gradient = normal(rng, 7, 3), normal(rng, 3), normal(rng, 7, 3)
    d_inputs, _, _ = batch_norm_backward(gradient, inputs, scale, eps=0.0)
    assert_close(d_inputs.sum(dim=0), torch.zeros(3), "no common shift")
    centred = inputs - inputs.mean(dim=0)
    assert_close((d_inputs * centred).sum(dim=0), torch.zeros(3), "no common scaling", atol=1e-8)


# --- the layer ------------------------------------------------------------------------------------------------------


def pair(rng, pictures=False, **options):
    """Our layer and PyTorch's with the same weights, in float64."""
    ours = BatchNorm(3, **options).double()
    theirs = (nn.BatchNorm2d if pictures else nn.BatchNorm1d)(3, **options).double()
    with torch.no_grad():
        for part in (theirs.weight, theirs.bias):
            part.copy_(normal(rng, 3))
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@SHAPES
@pytest.mark.parametrize("options", [{}, {"momentum": 0.4, "eps": 0.3}, {"momentum": 1.0}])
def test_the_layer_is_pytorchs(shape, options, rng):
    """Over three batches and then in eval mode, outputs, gradients and running statistics are torch.nn's."""
    ours, theirs = pair(rng, len(shape) == 4, **options)
    for step in range(3):
        inputs = normal(rng, *shape)
        assert_close(ours(inputs), theirs(inputs), f"outputs of batch {step} in training", rtol=1e-6)
        for layer in (ours, theirs):
            layer.zero_grad()
            layer(inputs).square().sum().backward()
        for (name, first), (_, second) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
            assert_close(first.grad, second.grad, f"the gradient of {name}", rtol=1e-6)
    for (name, first), (_, second) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
        assert_close(first, second, f"{name} after the batches")
    inputs = normal(rng, *shape)
    assert_close(ours.eval()(inputs), theirs.eval()(inputs), "outputs in eval mode", rtol=1e-6)


def test_running_statistics_by_hand():
    """Batch 1, 3, 5, 7: the running mean goes from 0 to 0.4; the variance from 1 to 0.9 + 0.1 · 20 / 3 = 1.567."""
    layer = BatchNorm(1)
    layer(torch.tensor([[1.0], [3], [5], [7]]))
    assert_close(layer.running_mean, [0.4], "0.9 · 0 + 0.1 · 4", rtol=1e-6)
    assert_close(layer.running_var, [0.9 + 0.1 * 20 / 3], "the unbiased variance is 20 / 3", rtol=1e-6)
    assert int(layer.num_batches_tracked) == 1, f"one batch, got {layer.num_batches_tracked}"


def test_eval_mode_knows_no_batch(rng):
    """In eval mode a row gives what it gives alone, and nothing is learned from it."""
    layer, _ = pair(rng)
    layer(normal(rng, 5, 3))
    layer.eval()
    state = {name: part.clone() for name, part in layer.state_dict().items()}
    inputs = normal(rng, 4, 3)
    assert_close(layer(inputs[1:2]), layer(inputs)[1:2], "one row alone")
    for name, part in layer.state_dict().items():
        assert_close(part, state[name], f"{name} in eval mode")


def test_training_mode_knows_its_batch(rng):
    """In training mode a row's result depends on the other rows."""
    layer, _ = pair(rng)
    inputs = normal(rng, 4, 3)
    assert (layer(inputs)[0] != layer(inputs[:2])[0]).all(), "the first row, with other companions"


def test_running_statistics_carry_no_gradient(rng):
    """The running mean and variance are kept without a gradient, and as the same buffers."""
    layer, _ = pair(rng)
    mean = layer.running_mean
    layer(normal(rng, 4, 3).requires_grad_())
    assert not layer.running_mean.requires_grad, "the running mean has no gradient"
    assert not layer.running_var.requires_grad, "the running variance has no gradient"
    assert layer.running_mean is mean, "the running mean is the buffer that was registered"


@pytest.mark.parametrize("convention", module_conventions(without=["follows_the_device", "takes_any_leading_axes"]))
def test_the_layer_is_a_module(convention, rng):
    """It keeps PyTorch's conventions."""
    convention(lambda: BatchNorm(3), normal(rng, 4, 3, 5).float())


def test_the_layer_refuses():
    """A single value in a channel is refused in training and taken in eval mode; so are arguments out of range."""
    layer = BatchNorm(3)
    assert_refuses(lambda: layer(torch.ones(1, 3)), "inputs", (1, 3))
    assert_refuses(lambda: layer(torch.ones(1, 3, 1, 1)), "inputs", (1, 3, 1, 1))
    assert layer(torch.ones(1, 3, 2)).shape == (1, 3, 2), "two places are enough"
    assert layer.eval()(torch.ones(1, 3)).shape == (1, 3), "in eval mode one row is enough"
    assert_refuses_values(BatchNorm, "channels", 0, -1)
    assert_refuses_values(lambda momentum: BatchNorm(3, momentum=momentum), "momentum", -0.1, 1.1)


# --- weights kept small ---------------------------------------------------------------------------------------------


def test_penalty_by_hand():
    """Of 3, -4 and 1 in two tensors: l1 = 0.1 gives 0.8, l2 = 0.1 gives 0.05 · 26 = 1.3, both 2.1."""
    weights = [torch.tensor([3.0, -4.0]), torch.tensor([[1.0]])]
    assert_close(penalty(weights, l1=0.1), 0.8, "absolute values", rtol=1e-6)
    assert_close(penalty(weights, l2=0.1), 1.3, "squares", rtol=1e-6)
    assert_close(penalty(iter(weights), l1=0.1, l2=0.1), 2.1, "both, from an iterator", rtol=1e-6)
    assert_close(penalty(weights), 0.0, "neither")


def test_the_gradient_of_the_penalty(rng):
    """It is l1 · sign(w) + l2 · w for each weight."""
    weights = normal(rng, 4, 5).requires_grad_()
    penalty([weights], l1=0.3, l2=0.7).backward()
    assert_close(weights.grad, 0.3 * weights.detach().sign() + 0.7 * weights.detach())


def test_penalty_refuses():
    """Negative strengths are refused."""
    assert_refuses_values(lambda l1: penalty([torch.ones(2)], l1=l1), "l1", -0.1)
    assert_refuses_values(lambda l2: penalty([torch.ones(2)], l2=l2), "l2", -0.1)


def test_decay_by_hand():
    """At a learning rate of 0.1 a rate of 0.5 leaves 95 % of each weight, in place and without a gradient."""
    first, second = torch.tensor([2.0, -4.0], requires_grad=True), torch.tensor([[10.0]])
    decay(iter([first, second]), 0.1, 0.5)
    assert_close(first.detach(), [1.9, -3.8], "a parameter", rtol=1e-6)
    assert_close(second, [[9.5]], "another tensor", rtol=1e-6)
    assert first.is_leaf, "a parameter stays a parameter"
    assert_refuses_values(lambda rate: decay([second], 0.1, rate), "rate", -0.5)


def test_decay_is_an_l2_penalty_under_gradient_descent(rng):
    """A plain step on the loss with the penalty is a decay and a plain step on the loss, whose gradient came first."""
    start, target = normal(rng, 6), normal(rng, 6)
    ends = []
    for strength in (0.3, 0.0):
        weights = start.clone().requires_grad_()
        loss = (weights - target).square().sum() + penalty([weights], l2=strength)
        (gradient,) = torch.autograd.grad(loss, weights)
        decay([weights], 0.1, 0.3 - strength)
        ends.append(weights.detach() - 0.1 * gradient)
    assert_close(ends[1], ends[0])


def test_only_matrices_decay():
    """Groups for an optimizer: linear maps with the rate, biases and batch normalization's numbers with 0."""
    network = deep_mlp((4, 5, 2), norm=True, rate=0.5)
    groups = decay_groups(network, 0.3)
    assert [group["weight_decay"] for group in groups] == [0.3, 0.0], f"{groups}"
    assert [len(group["params"]) for group in groups] == [2, 4], "2 matrices; 2 biases, a scale and a shift"
    names = [type(layer).__name__ for layer in network]
    assert names == ["Linear", "BatchNorm", "ReLU", "Dropout", "Linear"], f"{names}"
