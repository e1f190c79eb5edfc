"""Optimizers that train networks, as PyTorch's are: the same interface, the same state, the same numbers.

    optimizer = AdamW(decay_groups(model, weight_decay=0.01), lr=1e-3)
    schedule = WarmupCosine(optimizer, steps=1000, warmup=50)
    loss.backward()
    clip_gradients(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()

Each is a `torch.optim.Optimizer`: PyTorch's schedules, hooks and `state_dict` work with it. A step does the operations
of PyTorch's in their order, so that weights are equal bit for bit on a CPU; the state has PyTorch's names.

Not covered: sparse and complex gradients, `maximize`, dampening, AMSGrad, steps fused for a GPU.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]
"""Parameters, or groups of them: dictionaries with `params`, and settings that differ from the others'."""

Settings = dict[str, Any]


class Rule(torch.optim.Optimizer):
    """An optimizer that changes each parameter by itself: `update` is the rule.

    PyTorch's `add_param_group` and `zero_grad` import its compiler at their first call, which takes seconds; these two
    do without.
    """

    def add_param_group(self, param_group: Settings) -> None:
        """Take parameters in, with the optimizer's settings where the group has none of its own.

        Raises:
            ValueError: a parameter is in a group already, or a setting cannot be.
        """
        known = {id(parameter) for group in self.param_groups for parameter in group["params"]}
        params = param_group["params"]
        group = {**self.defaults, **param_group, "params": [params] if isinstance(params, Tensor) else list(params)}
        if any(id(parameter) in known for parameter in group["params"]):
            raise ValueError("params must be in one group each, got a parameter twice. Make the groups disjoint.")
        _check_settings(group)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget gradients, or set them to 0."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter.grad = None
                elif parameter.grad is not None:
                    parameter.grad = torch.zeros_like(parameter.grad)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient. A closure is called first, and its loss returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad, self.state[parameter], group)
        return loss

    def update(self, parameter: Tensor, gradient: Tensor, state: Settings, group: Settings) -> None:
        """Change one parameter, and its state, in place. The gradient stays as it is.

        Args:
            parameter: of any shape.
            gradient: of the same shape.
            state: the optimizer's memory of this parameter, empty before the first step.
            group: settings such as `lr`; a schedule changes them between steps.
        """
        raise NotImplementedError


# --- rules ----------------------------------------------------------------------------------------------------------


class SGD(Rule):
    """Gradient descent, with momentum as PyTorch has it (Sutskever et al., 2013, without the rate in the velocity).

    Args:
        params: parameters or groups.
        lr: learning rate, at least 0.
        momentum: share of the velocity that is kept, from 0 to below 1.
        nesterov: step by gradient + momentum · velocity, instead of by the velocity.
        weight_decay: times the parameter is added to the gradient.
    """

    def __init__(
        self, params: Parameters, lr: float, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay})

    def update(self, parameter: Tensor, gradient: Tensor, state: Settings, group: Settings) -> None:
        """Step by -lr times the velocity: momentum · velocity + gradient.

        The velocity is `state["momentum_buffer"]`; the first is a copy of the gradient. The decay is part of the
        gradient. Without momentum there is no state.
        """
        if group["weight_decay"]:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        if group["momentum"]:
            if "momentum_buffer" in state:
                velocity = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
            else:
                velocity = state["momentum_buffer"] = gradient.clone()
            gradient = gradient.add(velocity, alpha=group["momentum"]) if group["nesterov"] else velocity
        parameter.add_(gradient, alpha=-group["lr"])


class RMSProp(Rule):
    """Gradients over the root of their running mean square (Tieleman and Hinton, 2012).

    Args:
        params: parameters or groups.
        lr: learning rate, at least 0.
        alpha: share of the mean square that is kept, from 0 to below 1.
        eps: is added to the root.
        weight_decay: times the parameter is added to the gradient.
    """

    def __init__(
        self, params: Parameters, lr: float = 0.01, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay})

    def update(self, parameter: Tensor, gradient: Tensor, state: Settings, group: Settings) -> None:
        """Step by -lr · gradient / (√square + eps).

        The mean square becomes alpha · square + (1 - alpha) · gradient², begun at 0. It is `state["square_avg"]`, and
        `state["step"]` counts. The decay is part of the gradient.
        """
        _begin(state, parameter, "square_avg")
        state["step"] += 1
        if group["weight_decay"]:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        square = state["square_avg"].mul_(group["alpha"]).addcmul_(gradient, gradient, value=1 - group["alpha"])
        parameter.addcdiv_(gradient, square.sqrt().add_(group["eps"]), value=-group["lr"])


class Adam(Rule):
    """A running mean of gradients over the root of one of their squares (Kingma and Ba, 2015).

    Args:
        params: parameters or groups.
        lr: learning rate, at least 0.
        betas: shares of the mean and of the mean square that are kept, each from 0 to below 1.
        eps: is added to the root.
        weight_decay: how much weights shrink.
        decoupled: weights shrink by themselves (AdamW); otherwise the decay is added to the gradient.
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        settings = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "decoupled": decoupled}
        super().__init__(params, settings)

    def update(self, parameter: Tensor, gradient: Tensor, state: Settings, group: Settings) -> None:
        """Step by -lr · mean / (√square + eps), of means that are corrected for their beginning at 0.

        A mean becomes beta · mean + (1 - beta) · new, and is corrected by 1 / (1 - betaᵗ) at step t, from 1. The state
        holds both uncorrected, as `exp_avg` and `exp_avg_sq`, and `step` counts. A decay that is decoupled multiplies
        the parameter by 1 - lr · weight_decay before the step; one that is not is part of the gradient.
        """
        _begin(state, parameter, "exp_avg", "exp_avg_sq")
        count = state["step"] = int(state["step"]) + 1
        if group["decoupled"]:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
        elif group["weight_decay"]:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
        beta1, beta2 = group["betas"]
        mean = state["exp_avg"].lerp_(gradient, 1 - beta1)
        square = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        size = (square.sqrt() / (1 - beta2**count) ** 0.5).add_(group["eps"])
        parameter.addcdiv_(mean, size, value=-group["lr"] / (1 - beta1**count))


class AdamW(Adam):
    """Adam whose weights decay by themselves (Loshchilov and Hutter, 2019, https://arxiv.org/abs/1711.05101)."""

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, decoupled=True)


# --- around a step --------------------------------------------------------------------------------------------------


class WarmupCosine(torch.optim.lr_scheduler.LRScheduler):
    """A learning rate that climbs up a line, and comes down half a cosine (Loshchilov and Hutter, 2017).

    Args:
        optimizer: whose groups have rates; each is the highest of its group.
        steps: after which the rate stays at its floor.
        warmup: steps of the climb, from 0 to below `steps`.
        floor: the lowest rate, as a share of the highest, from 0 to 1.

    Raises:
        ValueError: warmup or floor are out of their bounds.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, steps: int, warmup: int = 0, floor: float = 0.0) -> None:
        if not (0 <= warmup < steps and 0 <= floor <= 1):
            raise ValueError(f"0 ≤ warmup < steps and 0 ≤ floor ≤ 1 must hold, got {warmup=}, {steps=}, {floor=}.")
        self.steps, self.warmup, self.floor = steps, warmup, floor
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each group: its highest, `self.base_lrs`, times one factor for all.

        Step t, `self.last_epoch`, counts from 0 and has the factor (t + 1) / warmup while t < warmup. From there half a
        wave leads from 1, at t = warmup, to the floor, at t = steps. Later steps keep the floor.
        """
        t = self.last_epoch
        if t < self.warmup:
            factor = (t + 1) / self.warmup
        else:
            progress = min((t - self.warmup) / (self.steps - self.warmup), 1.0)
            factor = self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2
        return [rate * factor for rate in self.base_lrs]


@torch.no_grad()
def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale all gradients, in place and by one factor, so that their common norm is at most `max_norm`.

    The norm is the root of the sum of squares over all entries of all gradients. The factor is
    max_norm / (norm + 1e-6), and 1 where it would be more. Parameters without a gradient are left out.

    Returns the norm of before; without any gradient it is 0. Raises ValueError unless max_norm is above 0.
    """
    if not max_norm > 0:
        raise ValueError(f"max_norm must be above 0, got {max_norm}. To leave gradients alone, do not call it.")
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.tensor(0.0)
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)
    return norm


def decay_groups(model: nn.Module, weight_decay: float) -> list[Settings]:
    """Return two groups of a model's parameters: those that decay, and those that do not, each in the model's order.

    Weights of two axes and more decay. Biases and the gains of norms have one axis and do not: they set no slope that
    could overfit. Parameters that are frozen are in neither group, and those that layers share are in one, once.
    """
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in learned if parameter.ndim >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in learned if parameter.ndim < 2], "weight_decay": 0.0},
    ]


# --- beginnings and refusals ----------------------------------------------------------------------------------------


def _begin(state: Settings, parameter: Tensor, *names: str) -> None:
    """Give a parameter that has no state yet a count of 0, and zeros under the names."""
    if not state:
        state["step"] = 0
        for name in names:
            state[name] = torch.zeros_like(parameter)


def _check_settings(group: Settings) -> None:
    for name in ("lr", "eps", "weight_decay"):
        value = group.get(name, 0.0)
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a finite number of at least 0, got {value}.")
    shares = {name: group[name] for name in ("momentum", "alpha") if name in group}
    for name, value in [*shares.items(), *(("betas", beta) for beta in group.get("betas", ()))]:
        if not 0 <= value < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, got {value}.")
    if group.get("nesterov") and not group["momentum"]:
        raise ValueError(f"momentum must be above 0 for nesterov, got {group['momentum']}. Take 0.9.")
