# pyright: basic
"""Ways to get optimizers wrong, and right ways that differ."""

import math

import torch

from groundup.anatomy import mistake, variant
from groundup.stack.deep.optimizers.optimizers import _begin


@mistake("SGD.update", edit=("gradient.clone()", "gradient.mul(1 - group['momentum'])"))
def begins_too_slowly():
    """Your first velocity is a part of the gradient. It is the gradient, whole."""


@mistake("SGD.update", edit=(".add_(gradient)", ".add_(gradient, alpha=1 - group['momentum'])"))
def averages_the_gradients():
    """You keep a running mean of gradients. PyTorch's velocity is their weighted sum: the gradient comes in whole."""


@mistake("SGD.update", edit=("gradient.add(velocity, alpha=", "velocity.add(velocity, alpha="))
def adds_the_velocity_twice():
    """Your Nesterov step is velocity + momentum · velocity. The gradient comes once more, not the whole velocity."""


@mistake(
    "SGD.update",
    edit=(
        'gradient = gradient.add(parameter, alpha=group["weight_decay"])',
        'parameter.mul_(1 - group["lr"] * group["weight_decay"])',
    ),
)
def decouples_sgd():
    """You shrink the weights by themselves. In PyTorch's SGD the decay is part of the gradient, and of the velocity."""


@mistake("RMSProp.update", edit=('square.sqrt().add_(group["eps"])', 'square.add(group["eps"]).sqrt()'))
def puts_eps_under_the_root():
    """You add eps under the root, where it counts as its root: 1e-8 becomes 1e-4. It stands beside the root."""


@mistake("RMSProp.update", edit=("square.sqrt()", '(square / (1 - group["alpha"] ** state["step"])).sqrt()'))
def corrects_rmsprop():
    """You correct the mean square for its beginning. Adam does; RMSProp does not."""


@mistake("RMSProp.update", edit=("square.sqrt()", "square.clone()"))
def forgets_the_root():
    """You divide by the mean square itself. Its root has the gradient's unit, so that the scale cancels."""


@mistake("Adam.update", edit=(" / (1 - beta2**count) ** 0.5", ""))
def forgets_to_correct_the_square():
    """You left the mean square uncorrected. It begins at 0, so your first steps are far too long."""


@mistake("Adam.update", edit=(" / (1 - beta1**count)", ""))
def forgets_to_correct_the_mean():
    """You left the mean uncorrected. It begins at 0, so your first steps are a tenth of what they should be."""


@mistake(
    "Adam.update",
    edit=('parameter.mul_(1 - group["lr"] * group["weight_decay"])', 'parameter.mul_(1 - group["weight_decay"])'),
)
def decays_without_the_rate():
    """You shrink by the decay alone. The share is lr · weight_decay, so that a schedule scales it as well."""


@mistake("Adam.update", edit=('if group["decoupled"]:', "if False:"))
def decays_through_the_gradient():
    """You add AdamW's decay to the gradient, where the root divides it away: large gradients hardly decay."""


@mistake("WarmupCosine.get_lr", edit=("(t + 1) / self.warmup", "t / self.warmup"))
def begins_with_a_step_of_nothing():
    """Your first factor is 0, so the first step is lost. Step t, from 0, has the factor (t + 1) / warmup."""


@mistake("WarmupCosine.get_lr", edit=("(t - self.warmup) / (self.steps - self.warmup)", "t / self.steps"))
def lets_the_wave_run_during_the_warmup():
    """Your wave begins at step 0, so that the rate jumps down after the warmup. It begins where the warmup ends."""


@mistake(
    "WarmupCosine.get_lr",
    edit=("min((t - self.warmup) / (self.steps - self.warmup), 1.0)", "(t - self.warmup) / (self.steps - self.warmup)"),
)
def swings_up_again():
    """Your cosine goes on after the last step, and the rate climbs again. Progress ends at 1."""


@mistake(
    "WarmupCosine.get_lr",
    edit=("rate * factor for rate in self.base_lrs", 'group["lr"] * factor for group in self.optimizer.param_groups'),
)
def scales_what_was_scaled():
    """You multiply the rate of the last step. The factor is one of the highest rate, `self.base_lrs`."""


@mistake("clip_gradients", edit=("        gradient.mul_(factor)", "        gradient.clamp_(-max_norm, max_norm)"))
def clips_each_entry():
    """You clip each entry, which bends the direction. One factor for all gradients keeps it."""


@mistake("clip_gradients", edit=(".clamp(max=1.0)", ""))
def blows_small_gradients_up():
    """You scale small gradients up to the highest norm. The factor is at most 1."""


@mistake(
    "clip_gradients",
    edit=(
        "        gradient.mul_(factor)",
        "        gradient.mul_((max_norm / (gradient.norm() + 1e-6)).clamp(max=1.0))",
    ),
)
def clips_each_gradient():
    """You clip each gradient by its own norm, which changes their shares. There is one norm, of all together."""


@mistake("decay_groups", edit=("parameter.ndim < 2", "parameter.ndim < 1"))
def forgets_the_others():
    """Biases and gains are in neither group, so they never learn. Those that do not decay learn all the same."""


@mistake(
    "decay_groups",
    edit=("for parameter in model.parameters() if parameter.requires_grad", "for parameter in model.parameters()"),
)
def takes_the_frozen():
    """You hand frozen parameters to the optimizer. They have no gradient, and no place in a group."""


@variant("SGD.update")
def from_zeros(self, parameter, gradient, state, group):
    """A velocity of zeros before the first step."""
    slope = gradient + group["weight_decay"] * parameter
    if group["momentum"] != 0:
        old = state.get("momentum_buffer", torch.zeros_like(parameter))
        state["momentum_buffer"] = group["momentum"] * old + slope
        slope = slope + group["momentum"] * state["momentum_buffer"] if group["nesterov"] else state["momentum_buffer"]
    parameter.sub_(group["lr"] * slope)


@variant("Adam.update")
def as_the_paper_has_it(self, parameter, gradient, state, group):
    """Corrected means, then the step."""
    _begin(state, parameter, "exp_avg", "exp_avg_sq")
    state["step"] = t = state["step"] + 1
    b1, b2 = group["betas"]
    if group["weight_decay"] and not group["decoupled"]:
        gradient = gradient + group["weight_decay"] * parameter
    state["exp_avg"] = b1 * state["exp_avg"] + (1 - b1) * gradient
    state["exp_avg_sq"] = b2 * state["exp_avg_sq"] + (1 - b2) * gradient**2
    mean, square = state["exp_avg"] / (1 - b1 ** float(t)), state["exp_avg_sq"] / (1 - b2 ** float(t))
    shrunk = parameter * (1 - group["lr"] * group["weight_decay"]) if group["decoupled"] else parameter
    parameter.copy_(shrunk - group["lr"] * mean / (square.sqrt() + group["eps"]))


@variant("WarmupCosine.get_lr")
def by_the_half_angle(self):
    """The square of a cosine is the wave."""
    t = self.last_epoch
    share = max(0.0, min(1.0, (t - self.warmup) / (self.steps - self.warmup)))
    wave = math.cos(math.pi / 2 * share) ** 2
    factor = (t + 1) / self.warmup if t < self.warmup else self.floor + (1 - self.floor) * wave
    return [factor * rate for rate in self.base_lrs]


@variant("clip_gradients")
def by_one_long_vector(parameters, max_norm):
    """All entries in one vector."""
    if max_norm <= 0:
        raise ValueError(f"max_norm is {max_norm}, must be above 0")
    gradients = [p.grad for p in list(parameters) if p.grad is not None]
    norm = torch.cat([g.flatten() for g in gradients]).square().sum().sqrt() if gradients else torch.zeros(())
    if norm + 1e-6 > max_norm:
        for g in gradients:
            g.copy_(g * max_norm / (norm + 1e-6))
    return norm
