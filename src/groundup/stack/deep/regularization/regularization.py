"""What keeps a network from learning its examples by heart: dropout, batch normalization, weight decay.

    network = deep_mlp((768, 256, 256, 10), norm=True, rate=0.5)
    optimizer = torch.optim.AdamW(decay_groups(network, 0.1), lr=1e-3)
    network.train()  # dropout draws, batch normalization takes the batch's statistics
    network.eval()   # neither does: predictions repeat

Dropout is that of Srivastava et al. (2014), https://jmlr.org/papers/v15/srivastava14a.html, scaled in training; batch
normalization that of Ioffe and Szegedy (2015), https://arxiv.org/abs/1502.03167; decoupled weight decay that of
Loshchilov and Hutter (2019), https://arxiv.org/abs/1711.05101. Layouts and names are PyTorch's: channels are axis 1,
and a `BatchNorm` loads the state of a torch.nn.BatchNorm1d or BatchNorm2d.

Not covered: statistics over several devices, normalization of layers or groups, dropout of whole channels.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

Channels = Float[Tensor, " channels"]


# --- dropout --------------------------------------------------------------------------------------------------------


def dropout(
    inputs: Float[Tensor, "*shape"], rate: float, training: bool = True, generator: torch.Generator | None = None
) -> Float[Tensor, "*shape"]:
    """Set each entry to 0 with probability `rate`, and divide the others by 1 - rate, so that the mean stays.

    Args:
        inputs: of any shape; each entry is drawn for by itself.
        rate: the share that is dropped, from 0 to below 1.
        training: False, as in inference, returns the inputs as they are, and draws nothing.
        generator: draws.

    Raises:
        ValueError: the rate is out of its range.
    """
    _check_rate(rate)
    if not training:
        return inputs
    kept = torch.rand(inputs.shape, generator=generator, device=inputs.device) >= rate
    return inputs * kept / (1 - rate)


class Dropout(nn.Module):
    """Dropout as a layer: it draws in training mode, and passes everything on in eval mode.

    Args:
        rate: the share that is dropped, from 0 to below 1.

    Raises:
        ValueError: the rate is out of its range.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        _check_rate(rate)
        self.rate = rate

    def forward(self, inputs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return the inputs, thinned in training."""
        return dropout(inputs, self.rate, self.training)


# --- batch normalization --------------------------------------------------------------------------------------------


def batch_norm(
    inputs: Float[Tensor, "batch channels *places"],
    scale: Channels,
    shift: Channels,
    mean: Channels | None = None,
    variance: Channels | None = None,
    eps: float = 1e-5,
) -> Float[Tensor, "batch channels *places"]:
    """Bring each channel to mean 0 and variance 1, then scale it and shift it.

    Args:
        inputs: channels are axis 1; a channel's values are those of all rows and, in pictures, of all places.
        scale: of each channel, after normalizing.
        shift: of each channel, after scaling.
        mean: what is subtracted; None is the mean of the batch.
        variance: its root divides, with `eps` added; None is that of the batch, the biased one, divided by n.
        eps: keeps the divisor away from 0.
    """
    axes = _axes(inputs)
    center = inputs.mean(dim=axes) if mean is None else mean
    spread = inputs.var(dim=axes, correction=0) if variance is None else variance
    normal = (inputs - _wide(center, inputs)) / (_wide(spread, inputs) + eps).sqrt()
    return normal * _wide(scale, inputs) + _wide(shift, inputs)


def batch_norm_backward(
    gradient: Float[Tensor, "batch channels *places"],
    inputs: Float[Tensor, "batch channels *places"],
    scale: Channels,
    eps: float = 1e-5,
) -> tuple[Float[Tensor, "batch channels *places"], Channels, Channels]:
    """Return the gradients in the inputs, the scale and the shift of `batch_norm` by the batch's own statistics.

    Mean and variance depend on every input, so every input has a share in every output of its channel. Of the gradient
    in the normalized values two parts cannot matter and are taken away: its mean, because a common shift is subtracted
    again, and its part along the normalized values, because a common scaling is divided out again.

    Args:
        gradient: of the loss in the outputs.
        inputs: as they went in.
        scale: as it went in.
        eps: as it went in.
    """
    axes = _axes(inputs)
    root = (inputs.var(dim=axes, correction=0) + eps).sqrt()
    normal = (inputs - _wide(inputs.mean(dim=axes), inputs)) / _wide(root, inputs)
    common = _wide(gradient.mean(dim=axes), inputs)
    along = normal * _wide((gradient * normal).mean(dim=axes), inputs)
    d_inputs = (gradient - common - along) * _wide(scale / root, inputs)
    return d_inputs, (gradient * normal).sum(dim=axes), gradient.sum(dim=axes)


class _BatchNorm(torch.autograd.Function):
    """`batch_norm` by the batch's statistics for autograd, with `batch_norm_backward` as its gradient."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, scale: Tensor, shift: Tensor, eps: float) -> Tensor:
        ctx.save_for_backward(inputs, scale)
        ctx.eps = eps
        return batch_norm(inputs, scale, shift, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs, scale = ctx.saved_tensors
        return (*batch_norm_backward(gradients[0], inputs, scale, ctx.eps), None)


class BatchNorm(nn.Module):
    """Batch normalization as a layer, for rows of features and for pictures.

    Args:
        channels: how many, at least 1.
        eps: keeps the divisor away from 0.
        momentum: the share of a new batch in the running statistics, from 0 to 1.

    Raises:
        ValueError: an argument is out of its range.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be at least 1, got {channels}.")
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum must be from 0 to 1, got {momentum}: it is the share of the new batch.")
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, inputs: Float[Tensor, "batch channels *places"]) -> Float[Tensor, "batch channels *places"]:
        """Normalize by the batch in training, by the running statistics in eval mode.

        In training the running mean and variance move towards those of the batch by the share `momentum`, without a
        gradient, and `num_batches_tracked` counts the batches. The running variance takes the unbiased one, divided by
        n - 1, because it stands for data that are still to come; the batch itself is normalized by the biased one.

        Raises:
            ValueError: in training, a channel has a single value, so that it has no variance.
        """
        if not self.training:
            return batch_norm(inputs, self.weight, self.bias, self.running_mean, self.running_var, self.eps)
        _check_values(inputs)
        axes = _axes(inputs)
        with torch.no_grad():
            self.running_mean.lerp_(inputs.mean(dim=axes), self.momentum)
            self.running_var.lerp_(inputs.var(dim=axes), self.momentum)
            self.num_batches_tracked += 1
        result: Any = _BatchNorm.apply(inputs, self.weight, self.bias, self.eps)
        return result


# --- weights kept small ---------------------------------------------------------------------------------------------


def penalty(parameters: Iterable[Tensor], l1: float = 0.0, l2: float = 0.0) -> Float[Tensor, ""]:
    """Return what is added to the loss: l1 times the sum of absolute values, and l2 / 2 times the sum of squares.

    The gradient of the first has the same size for every weight, so that small weights become 0; that of the second
    falls with the weight, so that all become small.

    Args:
        parameters: tensors, at least one.
        l1: strength of the absolute values, at least 0.
        l2: strength of the squares, at least 0.

    Raises:
        ValueError: a strength is negative.
    """
    for name, strength in (("l1", l1), ("l2", l2)):
        if strength < 0:
            raise ValueError(f"{name} must be at least 0, got {strength}. 0 leaves it out.")
    terms = [l1 * weights.abs().sum() + l2 / 2 * weights.square().sum() for weights in parameters]
    return torch.stack(terms).sum()


@torch.no_grad()
def decay(parameters: Iterable[Tensor], learning_rate: float, rate: float) -> None:
    """Shrink weights in place by the share learning_rate · rate, beside the optimizer's step and not through it.

    With plain gradient descent, the gradient taken first, it equals an L2 penalty of strength `rate`. With Adam it does
    not: Adam divides the penalty's gradient by its running size, so that weights with large gradients hardly shrink.

    Args:
        parameters: tensors, changed in place.
        learning_rate: of the step.
        rate: strength, at least 0.

    Raises:
        ValueError: the rate is negative.
    """
    if rate < 0:
        raise ValueError(f"rate must be at least 0, got {rate}. 0 leaves weights as they are.")
    for weights in parameters:
        weights.mul_(1 - learning_rate * rate)


def decay_groups(module: nn.Module, rate: float) -> list[dict[str, Any]]:
    """Return groups of parameters for an optimizer: matrices and filters decay, biases and scales do not."""
    wide = [weights for weights in module.parameters() if weights.ndim > 1]
    flat = [weights for weights in module.parameters() if weights.ndim <= 1]
    return [{"params": wide, "weight_decay": rate}, {"params": flat, "weight_decay": 0.0}]


# --- a network that can do with it ----------------------------------------------------------------------------------


def deep_mlp(sizes: Sequence[int], norm: bool = False, rate: float = 0.0) -> nn.Sequential:
    """Build layers of a linear map, batch normalization if asked for, ReLU, and dropout if asked for.

    Args:
        sizes: numbers in, sizes of the hidden layers, numbers out; the last layer is a linear map alone.
        norm: whether hidden layers are normalized.
        rate: the share dropped after each hidden layer; 0 leaves dropout out.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes[:-1]):
        layers += [nn.Linear(before, after), *([BatchNorm(after)] if norm else []), nn.ReLU()]
        layers += [Dropout(rate)] if rate else []
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def _axes(inputs: Tensor) -> tuple[int, ...]:
    """All axes but the channels'."""
    return (0, *range(2, inputs.ndim))


def _wide(values: Tensor, inputs: Tensor) -> Tensor:
    """A number for each channel, in a shape that broadcasts along axis 1."""
    return values.reshape(-1, *([1] * (inputs.ndim - 2)))


def _check_rate(rate: float) -> None:
    if not 0 <= rate < 1:
        raise ValueError(f"rate must be from 0 to below 1, got {rate}: it is the share that is dropped.")


def _check_values(inputs: Tensor) -> None:
    if inputs.numel() <= inputs.shape[1]:
        raise ValueError(
            f"inputs must have at least 2 values in each channel in training, got shape {tuple(inputs.shape)}. "
            "Take a larger batch, or call eval() for inference."
        )
