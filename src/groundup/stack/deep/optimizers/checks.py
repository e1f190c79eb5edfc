"""Checks of optimizers."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from groundup.checking import assert_close, assert_refuses_values
from groundup.stack.deep.optimizers import SGD, Adam, AdamW, RMSProp, WarmupCosine, clip_gradients, decay_groups

RULES: dict[str, Any] = {
    "sgd": lambda p: SGD(p, 0.1),
    "momentum": lambda p: SGD(p, 0.1, momentum=0.9),
    "rmsprop": lambda p: RMSProp(p, 0.1),
    "adam": lambda p: Adam(p, 0.1),
    "adamw": lambda p: AdamW(p, 0.1),
}


def normal(rng, *shape):
    """A float64 tensor of normal random numbers."""
    return torch.from_numpy(np.asarray(rng.standard_normal(shape)))


def parameter(values):
    """A parameter of float64."""
    return nn.Parameter(torch.tensor(values, dtype=torch.float64))


def go(optimizer, gradients):
    """Step along each of these gradients of the first parameter, and return where it was after each."""
    (weight, *_) = optimizer.param_groups[0]["params"]
    places = []
    for gradient in gradients:
        weight.grad = torch.as_tensor(gradient, dtype=weight.dtype).reshape(weight.shape).clone()
        optimizer.step()
        places.append(weight.detach().clone())
    return torch.stack(places)


def state_of(optimizer):
    """The state of the first parameter."""
    return optimizer.state[optimizer.param_groups[0]["params"][0]]


# --- SGD ------------------------------------------------------------------------------------------------------------


def test_sgd_by_hand():
    """Weight 1, rate 0.1, gradients 2 and -4: 0.8, then 1.2."""
    optimizer = SGD([parameter([1.0])], 0.1)
    assert_close(go(optimizer, [2.0, -4.0]), [[0.8], [1.2]])
    assert not state_of(optimizer), "without momentum nothing is remembered"


def test_momentum_by_hand():
    """Gradients 2, 1, 0 with momentum 0.5: velocities 2, 2, 1, so from 1 at rate 0.1: 0.8, 0.6, 0.5."""
    optimizer = SGD([parameter([1.0])], 0.1, momentum=0.5)
    assert_close(go(optimizer, [2.0, 1.0, 0.0]), [[0.8], [0.6], [0.5]])
    assert_close(state_of(optimizer)["momentum_buffer"], [1.0], "the velocity is kept as momentum_buffer")


def test_a_velocity_is_its_own():
    """Gradients that are set to 0 in place leave the velocity as it is: it is a copy."""
    weight = parameter([1.0])
    optimizer, weight.grad = SGD([weight], 0.1, momentum=0.5), torch.tensor([2.0], dtype=torch.float64)
    optimizer.step()
    weight.grad.zero_()
    assert_close(state_of(optimizer)["momentum_buffer"], [2.0])


def test_nesterov_by_hand():
    """Gradients 2, 1 with momentum 0.5: steps of 2 + 0.5 · 2 = 3 and 1 + 0.5 · 2 = 2; velocities are those without."""
    optimizer = SGD([parameter([1.0])], 0.1, momentum=0.5, nesterov=True)
    assert_close(go(optimizer, [2.0, 1.0]), [[0.7], [0.5]])
    assert_close(state_of(optimizer)["momentum_buffer"], [2.0], "the velocity itself does not look ahead")


def test_sgd_decays_through_the_gradient():
    """Weight 2, decay 0.5, gradient 1: the gradient is 1 + 0.5 · 2 = 2, and the velocity has the decay in it."""
    optimizer = SGD([parameter([2.0])], 0.1, momentum=0.9, weight_decay=0.5)
    assert_close(go(optimizer, [1.0]), [[1.8]])
    assert_close(state_of(optimizer)["momentum_buffer"], [2.0], "the velocity of the gradient with its decay")


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_is_its_formula(nesterov, rng):
    """Ten steps of a matrix are those of the formulas, written out in NumPy."""
    weight, gradients = rng.standard_normal((3, 2)), rng.standard_normal((10, 3, 2))
    optimizer = SGD([parameter(weight)], 0.05, momentum=0.8, nesterov=nesterov, weight_decay=0.1)
    velocity = np.zeros((3, 2))
    for place, gradient in zip(go(optimizer, gradients), gradients, strict=True):
        slope = gradient + 0.1 * weight
        velocity = 0.8 * velocity + slope
        weight = weight - 0.05 * (slope + 0.8 * velocity if nesterov else velocity)
        assert_close(place, weight)


# --- RMSProp --------------------------------------------------------------------------------------------------------


def test_rmsprop_by_hand():
    """Gradients 2, 0 with alpha 0.75: squares 1 and 0.75, so a step of 0.1 · 2 / (1 + 1) from 1, and then none."""
    optimizer = RMSProp([parameter([1.0])], 0.1, alpha=0.75, eps=1.0)
    assert_close(go(optimizer, [2.0, 0.0]), [[0.9], [0.9]])
    assert_close(state_of(optimizer)["square_avg"], [0.75], "the mean square is kept as square_avg")
    assert state_of(optimizer)["step"] == 2, "steps are counted"


def test_rmsprop_is_its_formula(rng):
    """Ten steps of a matrix are those of the formulas, written out in NumPy."""
    weight, gradients, square = rng.standard_normal((3, 2)), rng.standard_normal((10, 3, 2)), np.zeros((3, 2))
    optimizer = RMSProp([parameter(weight)], 0.05, alpha=0.9, eps=0.01, weight_decay=0.1)
    for place, gradient in zip(go(optimizer, gradients), gradients, strict=True):
        slope = gradient + 0.1 * weight
        square = 0.9 * square + 0.1 * slope**2
        weight = weight - 0.05 * slope / (np.sqrt(square) + 0.01)
        assert_close(place, weight)


# --- Adam -----------------------------------------------------------------------------------------------------------


def test_adam_by_hand():
    """Gradients 2, then 0, betas 0.5 and 0.75: corrected means 2 and 2/3, squares 4 and 12/7."""
    optimizer = Adam([parameter([1.0])], 0.1, betas=(0.5, 0.75), eps=0.0)
    first = 1 - 0.1 * 2 / 2
    second = first - 0.1 * (0.5 / 0.75) / math.sqrt(0.75 / (1 - 0.75**2))
    assert_close(go(optimizer, [2.0, 0.0]), [[first], [second]])
    state = state_of(optimizer)
    assert_close(state["exp_avg"], [0.5], "the mean is kept as exp_avg, uncorrected")
    assert_close(state["exp_avg_sq"], [0.75], "the mean square is kept as exp_avg_sq, uncorrected")
    assert state["step"] == 2, "steps are counted"


def test_adam_takes_a_first_step_of_the_rate(rng):
    """Whatever the gradient's size, the first step is the rate, against its sign."""
    gradients = normal(rng, 4) * torch.tensor([1e-3, 1.0, 1e3, 1e6], dtype=torch.float64)
    optimizer = Adam([parameter([0.0] * 4)], 0.1, eps=0.0)
    assert_close(go(optimizer, [gradients])[0], -0.1 * gradients.sign(), rtol=1e-6)


def test_adams_eps_stands_beside_the_root():
    """With eps 1 and a gradient of 1 the first step is half the rate."""
    assert_close(go(Adam([parameter([1.0])], 0.1, eps=1.0), [1.0]), [[0.95]])


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_is_its_formula(decoupled, rng):
    """Ten steps of a matrix are those of the formulas, written out in NumPy, with either decay."""
    weight, gradients = rng.standard_normal((3, 2)), rng.standard_normal((10, 3, 2))
    mean = square = np.zeros((3, 2))
    optimizer = Adam([parameter(weight)], 0.05, (0.8, 0.95), 0.01, weight_decay=0.3, decoupled=decoupled)
    for t, (place, gradient) in enumerate(zip(go(optimizer, gradients), gradients, strict=True), 1):
        slope = gradient if decoupled else gradient + 0.3 * weight
        mean, square = 0.8 * mean + 0.2 * slope, 0.95 * square + 0.05 * slope**2
        weight = weight * (1 - 0.05 * 0.3) if decoupled else weight
        weight = weight - 0.05 * (mean / (1 - 0.8**t)) / (np.sqrt(square / (1 - 0.95**t)) + 0.01)
        assert_close(place, weight, f"step {t}")


def test_adamw_shrinks_all_weights_alike():
    """Without a gradient a weight shrinks by 1 - lr · decay a step, whatever gradients it had before."""
    optimizer = AdamW([parameter([4.0, 4.0])], 0.1, weight_decay=0.5, betas=(0.0, 0.9))
    before = go(optimizer, [[1.0, 1000.0]])[0]
    after = go(optimizer, [[0.0, 0.0]])[0]
    assert_close(after, 0.95 * before, "both by the same share")


def test_adam_goes_on_from_pytorchs_state():
    """PyTorch counts steps in a tensor. Loaded here, the state gives the step that it gives there."""
    ours, theirs = Adam([parameter([1.0])], 0.1), Adam([parameter([1.0])], 0.1)
    for optimizer in (ours, theirs):
        go(optimizer, [2.0, 1.0])
    state_of(theirs)["step"] = torch.tensor(2.0)
    assert_close(go(theirs, [0.5]), go(ours, [0.5]))


# --- every rule -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_goes_down_a_bowl(rule, rng):
    """Sixty steps down a bowl end lower than they began."""
    weight = nn.Parameter(normal(rng, 5) + 3)
    optimizer, losses = RULES[rule]([weight]), []
    for _ in range(60):
        loss = (weight**2).sum() / 2
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 4, f"{rule} went from {losses[0]:.3f} to {losses[-1]:.3f}"


@pytest.mark.parametrize("rule", ["momentum", "rmsprop", "adam", "adamw"])
def test_a_rule_works_in_place(rule, rng):
    """The parameter stays the same tensor, of its type; the gradient keeps its values."""
    weight = nn.Parameter(normal(rng, 3).float())
    optimizer, memory, gradient = RULES[rule]([weight]), weight.data_ptr(), normal(rng, 3).float()
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.1
    for _ in range(2):
        weight.grad = gradient.clone()
        optimizer.step()
        assert_close(weight.grad, gradient, "the gradient after a step")
    assert weight.data_ptr() == memory, "the parameter is changed in place"
    assert all(value.dtype == torch.float32 for value in state_of(optimizer).values() if torch.is_tensor(value))


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_remembers_each_parameter_by_itself(rule, rng):
    """Two parameters of one optimizer go as each would alone, also where one has a gradient of None at times."""
    a, b, alone = nn.Parameter(normal(rng, 2)), nn.Parameter(normal(rng, 2)), None
    alone = nn.Parameter(b.detach().clone())
    both, single = RULES[rule]([a, b]), RULES[rule]([alone])
    for step in range(4):
        a.grad, b.grad = normal(rng, 2), normal(rng, 2) if step != 1 else None
        both.step()
        if b.grad is not None:
            alone.grad = b.grad.clone()
            single.step()
    assert_close(b, alone)


@pytest.mark.parametrize("rule", RULES)
def test_a_rate_may_change(rule, rng):
    """The rate of the group counts at each step: at 0 nothing moves, and the memory goes on."""
    weight = nn.Parameter(normal(rng, 3))
    optimizer = RULES[rule]([weight])
    go(optimizer, [normal(rng, 3)])
    before = weight.detach().clone()
    optimizer.param_groups[0]["lr"] = 0.0
    go(optimizer, [normal(rng, 3)])
    assert_close(weight, before)


def test_settings_are_refused():
    """Rates below 0, and shares that are not from 0 to below 1, are refused."""
    w = parameter([1.0])
    assert_refuses_values(lambda lr: SGD([w], lr), "lr", -0.1, math.nan, math.inf)
    assert_refuses_values(lambda momentum: SGD([w], 0.1, momentum), "momentum", 1.0, -0.5)
    assert_refuses_values(lambda beta: Adam([w], betas=(0.9, beta)), "betas", 1.0, -0.5)


# --- the schedule ---------------------------------------------------------------------------------------------------


def rates(count, *arguments, lr=1.0, **settings):
    """The rate at each of `count` steps."""
    optimizer = SGD([parameter([1.0])], lr)
    schedule, seen = WarmupCosine(optimizer, *arguments, **settings), []
    for _ in range(count):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return seen


def test_the_schedule_by_hand():
    """Warmup 2 of 6 steps: 1/2, 1, then a wave 1, 0.854, 0.5, 0.146, and 0 for good."""
    half = math.sqrt(0.5) / 2
    assert_close(rates(8, 6, 2), [0.5, 1.0, 1.0, 0.5 + half, 0.5, 0.5 - half, 0.0, 0.0])


def test_the_schedule_is_pytorchs_cosine():
    """Without a warmup it is PyTorch's cosine annealing: floor + (1 - floor) · (1 + cos(πt / steps)) / 2."""
    expected = [0.3 * (0.1 + 0.9 * (1 + math.cos(math.pi * t / 10)) / 2) for t in range(11)]
    assert_close(rates(11, 10, floor=0.1, lr=0.3), expected)
    assert_close(rates(13, 10, floor=0.1, lr=0.3)[-2:], [0.03, 0.03], "the floor stays")


def test_the_schedule_scales_each_group():
    """Groups with rates of their own have the same factor."""
    optimizer = SGD([{"params": [parameter([1.0])]}, {"params": [parameter([1.0])], "lr": 0.5}], 0.1)
    schedule = WarmupCosine(optimizer, 8, 4)
    assert_close([group["lr"] for group in optimizer.param_groups], [0.025, 0.125], "a quarter of each")
    assert_close(schedule.get_last_lr(), [0.025, 0.125], "as PyTorch's schedules tell")


def test_the_schedule_refuses():
    """A warmup that is not below the steps, and a floor above 1, are refused."""
    optimizer = SGD([parameter([1.0])], 0.1)
    assert_refuses_values(lambda warmup: WarmupCosine(optimizer, 5, warmup), "warmup", 5, -1)
    assert_refuses_values(lambda floor: WarmupCosine(optimizer, 5, 0, floor), "floor", 1.5, -0.5)


# --- clipping -------------------------------------------------------------------------------------------------------


def with_gradients(*gradients):
    """Parameters with these gradients; None is none."""
    parameters = []
    for gradient in gradients:
        parameters.append(parameter(np.zeros(np.shape(gradient if gradient is not None else [0.0]))))
        parameters[-1].grad = None if gradient is None else torch.tensor(gradient, dtype=torch.float64)
    return parameters


def test_clipping_by_hand():
    """Gradients (3, 0) and 4 have the norm 5: clipped to 1, they are (0.6, 0) and 0.8."""
    parameters = with_gradients([3.0, 0.0], [[4.0]])
    assert_close(clip_gradients(parameters, 1.0), 5.0, "the norm of before")
    assert_close(parameters[0].grad, [0.6, 0.0], rtol=1e-6)
    assert_close(parameters[1].grad, [[0.8]], rtol=1e-6)


def test_clipping_leaves_small_gradients():
    """A norm below the highest stays as it is, to the last bit; parameters without a gradient are left out."""
    parameters = with_gradients([0.3, 0.0], None, [0.4])
    assert_close(clip_gradients(iter(parameters), 0.6), 0.5, "the norm of before")
    assert_close(parameters[0].grad, [0.3, 0.0], rtol=0, atol=0)
    assert parameters[1].grad is None, "no gradient, none made"


def test_clipping_has_the_small_number_of_pytorch():
    """The factor is max_norm / (norm + 1e-6): of a norm of 1e-6, clipped to 1e-6, a half is left."""
    parameters = with_gradients([1e-6])
    clip_gradients(parameters, 1e-6)
    assert_close(parameters[0].grad, [0.5e-6], rtol=1e-6, atol=0)


def test_clipping_works_in_place(rng):
    """Gradients stay the same tensors, no graph is recorded, and the direction stays."""
    weight = nn.Parameter(normal(rng, 6))
    (weight**3).sum().backward()
    assert weight.grad is not None
    memory, before = weight.grad.data_ptr(), weight.grad.clone()
    norm = clip_gradients([weight], 0.01)
    assert weight.grad.data_ptr() == memory, "changed in place"
    assert_close(weight.grad / weight.grad.norm(), before / before.norm(), "the direction")
    assert_close(norm, before.norm().item(), "the norm of before")


def test_clipping_without_gradients():
    """Without any gradient the norm is 0."""
    assert float(clip_gradients(with_gradients(None), 1.0)) == 0.0
    assert float(clip_gradients([], 1.0)) == 0.0


def test_clipping_refuses():
    """A highest norm of 0 or below would stop or turn the training."""
    assert_refuses_values(lambda most: clip_gradients(with_gradients([1.0]), most), "max_norm", 0.0, -1.0)


# --- who decays -----------------------------------------------------------------------------------------------------


def test_weights_decay_and_biases_do_not():
    """Of a network with convolution, norm and linear layer, the weights of two axes and more decay, in order."""
    model = nn.Sequential(nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3), nn.Linear(4, 2), nn.Embedding(5, 2))
    decaying, others = decay_groups(model, 0.3)
    names = {id(value): name for name, value in model.named_parameters()}
    assert [names[id(p)] for p in decaying["params"]] == ["0.weight", "2.weight", "3.weight"], "these decay"
    assert [names[id(p)] for p in others["params"]] == ["0.bias", "1.weight", "1.bias", "2.bias"], "these do not"
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.3, 0.0)


def test_frozen_parameters_are_in_no_group():
    """Parameters that do not learn are left out."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    decaying, others = decay_groups(model, 0.1)
    assert [len(decaying["params"]), len(others["params"])] == [1, 1], "of the second layer only"


def test_shared_parameters_are_in_one_group():
    """A weight that two layers share is there once: it would decay twice, and an optimizer refuses it."""
    model = nn.Sequential(nn.Embedding(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    groups = decay_groups(model, 0.1)
    assert [len(group["params"]) for group in groups] == [1, 1], "one weight, one bias"
    optimizer = AdamW(groups, 0.1)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0], "the optimizer takes them"
