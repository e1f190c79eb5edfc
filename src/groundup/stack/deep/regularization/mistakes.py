# pyright: basic
"""Ways to get regularization wrong, and right ways that differ."""

import torch

from groundup.anatomy import mistake, variant
from groundup.stack.deep.regularization.regularization import (
    _axes,
    _BatchNorm,
    _check_rate,
    _check_values,
    _wide,
    batch_norm,
)


@mistake("dropout", edit=("inputs * kept / (1 - rate)", "inputs * kept"))
def never_scales():
    """You do not divide by 1 - rate: in inference, where all units speak, sums are larger than in training."""


@mistake("dropout", edit=(">= rate", "< rate"))
def keeps_what_it_should_drop():
    """You keep an entry with probability `rate`. It is the share that is dropped."""


@mistake("dropout", edit=("    if not training:\n        return inputs\n", ""))
def drops_in_inference():
    """You drop in inference too: the same input gives another answer each time."""


@mistake("dropout", edit=("torch.rand(inputs.shape, ", "torch.rand(inputs.shape[-1:], "))
def drops_whole_columns():
    """You draw once for a column and drop it in every row. Each entry is drawn for by itself."""


@mistake("batch_norm", edit=("(_wide(spread, inputs) + eps).sqrt()", "(_wide(spread, inputs).sqrt() + eps)"))
def adds_eps_outside_the_root():
    """You add eps to the standard deviation. It belongs under the root, to the variance."""


@mistake("batch_norm", edit=("inputs.var(dim=axes, correction=0)", "inputs.var(dim=axes)"))
def normalizes_by_the_unbiased_variance():
    """You divide the batch's variance by n - 1. The batch is normalized by its mean square, divided by n."""


@mistake("batch_norm", edit=("inputs.mean(dim=axes) if mean is None else mean", "inputs.mean(dim=axes)"))
def always_subtracts_the_batch_mean():
    """You subtract the batch's mean even where another is given: in inference a row then depends on its neighbours."""


@mistake(
    "batch_norm",
    edit=(
        "normal * _wide(scale, inputs) + _wide(shift, inputs)",
        "(normal + _wide(shift, inputs)) * _wide(scale, inputs)",
    ),
)
def shifts_before_it_scales():
    """You shift first and scale the shift as well. Scale, then shift."""


@mistake("batch_norm_backward", edit=("(gradient - common - along)", "gradient"))
def takes_statistics_for_constants():
    """You treat mean and variance as constants. They depend on every input: two more parts of the gradient go away."""


@mistake("batch_norm_backward", edit=("(gradient - common - along)", "(gradient - common)"))
def forgets_the_variance():
    """You count the mean's part and not the variance's: take away the gradient's part along the normalized values."""


@mistake("batch_norm_backward", edit=("(gradient * normal).sum(dim=axes)", "(gradient * inputs).sum(dim=axes)"))
def multiplies_by_the_raw_inputs():
    """Your scale's gradient uses the raw inputs. The scale multiplies the normalized values."""


@mistake("batch_norm_backward", edit=("_wide(scale / root, inputs)", "_wide(1 / root, inputs)"))
def leaves_the_scale_out():
    """You leave the scale out of the inputs' gradient. The outputs were multiplied by it."""


@mistake(
    "BatchNorm.forward",
    edit=("inputs.var(dim=axes), self.momentum", "inputs.var(dim=axes, correction=0), self.momentum"),
)
def runs_the_biased_variance():
    """Your running variance takes the biased one. For data to come the unbiased one, divided by n - 1, is right."""


@mistake(
    "BatchNorm.forward",
    edit=(
        "self.running_mean.lerp_(inputs.mean(dim=axes), self.momentum)",
        "self.running_mean.lerp_(inputs.mean(dim=axes), 1 - self.momentum)",
    ),
)
def turns_the_momentum_round():
    """You give the new batch the share 1 - momentum. In PyTorch momentum is the share of the new batch."""


@mistake("BatchNorm.forward", edit=("if not self.training:", "if False:"))
def always_trusts_the_batch():
    """You use the batch's statistics in eval mode too: a single row cannot be predicted, and neighbours matter."""


@mistake("penalty", edit=("l2 / 2 *", "l2 *"))
def forgets_the_half():
    """You leave the ½ out: the gradient is then 2 · l2 · w, twice the decay that was asked for."""


@mistake("penalty", edit=("weights.abs().sum()", "weights.sum().abs()"))
def adds_before_the_absolute_value():
    """You add weights up and then drop the sign: positive and negative weights hide each other."""


@mistake("decay", edit=("weights.mul_(1 - learning_rate * rate)", "weights.mul_(1 - rate)"))
def forgets_the_learning_rate():
    """You shrink by the rate at every step, however small the step is. The share is learning_rate · rate."""


@mistake(
    "decay", edit=("weights.mul_(1 - learning_rate * rate)", "weights.sub_(learning_rate * rate * weights.sign())")
)
def shrinks_by_the_sign():
    """You take the same amount from every weight: that is the L1 penalty. Decay takes the same share."""


@variant("dropout")
def by_bernoulli(inputs, rate, training=True, generator=None):
    """A mask of its own, scaled first."""
    _check_rate(rate)
    if training:
        mask = torch.empty_like(inputs).bernoulli_(1 - rate, generator=generator)
        return inputs * (mask / (1 - rate))
    return inputs


@variant("batch_norm")
def channels_last(inputs, scale, shift, mean=None, variance=None, eps=1e-5):
    """Moves the channels to the end, where they broadcast."""
    moved = inputs.movedim(1, -1)
    rows = moved.reshape(-1, moved.shape[-1])
    mean = rows.mean(0) if mean is None else mean
    variance = (rows - mean).square().mean(0) if variance is None else variance
    return ((moved - mean) * torch.rsqrt(variance + eps) * scale + shift).movedim(-1, 1)


@variant("batch_norm_backward")
def step_by_step(gradient, inputs, scale, eps=1e-5):
    """The chain rule through variance and mean, as in the paper."""
    axes = _axes(inputs)
    count = inputs.numel() / inputs.shape[1]
    centred = inputs - _wide(inputs.mean(axes), inputs)
    variance = centred.square().mean(axes) + eps
    d_normal = gradient * _wide(scale, inputs)
    d_variance = (d_normal * centred).sum(axes) * -0.5 * variance**-1.5
    d_mean = -(d_normal * _wide(variance**-0.5, inputs)).sum(axes)
    d_inputs = d_normal * _wide(variance**-0.5, inputs) + _wide(d_variance, inputs) * 2 * centred / count
    d_scale = (gradient * centred * _wide(variance**-0.5, inputs)).sum(axes)
    return d_inputs + _wide(d_mean, inputs) / count, d_scale, gradient.sum(axes)


@variant("BatchNorm.forward")
def written_out(self, inputs):
    """Running statistics by a weighted sum."""
    if self.training:
        _check_values(inputs)
        data, keep = inputs.detach(), 1 - self.momentum
        self.running_mean.copy_(keep * self.running_mean + self.momentum * data.mean(_axes(data)))
        self.running_var.copy_(keep * self.running_var + self.momentum * data.var(_axes(data), correction=1))
        self.num_batches_tracked.add_(1)
        return _BatchNorm.apply(inputs, self.weight, self.bias, self.eps)
    return batch_norm(inputs, self.weight, self.bias, self.running_mean, self.running_var, self.eps)
