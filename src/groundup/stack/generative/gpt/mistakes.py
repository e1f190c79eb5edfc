# pyright: basic
"""Ways to get a GPT and its training wrong, and right ways that differ."""

import math

import torch
from torch import nn

from groundup.anatomy import mistake, variant
from groundup.stack.generative.gpt.gpt import rope


@mistake("rope")
def pairs_neighbours(x, positions, base):
    """You pair numbers 0 and 1, 2 and 3, …, as the paper does. Hugging Face's weights pair i with i + dim / 2."""
    half = x.shape[-1] // 2
    angles = positions[..., None] * base ** (-torch.arange(half) / half)
    cosines, sines = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack((even * cosines - odd * sines, odd * cosines + even * sines), dim=-1).flatten(-2)


@mistake("rope", edit=("second * cosines + first * sines", "second * cosines - first * sines"))
def does_not_turn():
    """You subtract both times: that is no turn, and changes lengths. The second number gets + first · sin."""


@mistake("rope", edit=("positions[..., None] * speeds", "positions[..., None].to(x.dtype) * speeds.to(x.dtype)"))
def counts_in_half_precision():
    """You compute angles in the type of x. bfloat16 has 8 bits: at position 1001 an angle is off by radians."""


@mistake("RMSNorm.forward")
def subtracts_the_mean(self, inputs):
    """You subtract the mean, and then divide by the deviation. That is LayerNorm; RMSNorm leaves the mean alone."""
    wide = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
    wide = wide - wide.mean(dim=-1, keepdim=True)
    scaled = wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + self.epsilon)
    return self.weight * scaled.to(inputs.dtype)


@mistake("RMSNorm.forward")
def adds_epsilon_outside(self, inputs):
    """You add epsilon to the root. Checkpoints were trained with it under the root: √(mean of squares + epsilon)."""
    wide = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
    scaled = wide / (wide.square().mean(dim=-1, keepdim=True).sqrt() + self.epsilon)
    return self.weight * scaled.to(inputs.dtype)


@mistake("RMSNorm.forward", edit=("torch.promote_types(inputs.dtype, torch.float32)", "inputs.dtype"))
def squares_in_half_precision():
    """You square in the inputs' own type. In float16 the square of 300 is infinite: go to float32, and back."""


@mistake(
    "SwiGLU.forward", edit=("silu(self.gate(inputs)) * self.up(inputs)", "silu(self.up(inputs)) * self.gate(inputs)")
)
def swaps_gate_and_up():
    """You put `up` through SiLU and multiply by `gate`. Fresh weights do not mind; a loaded checkpoint breaks."""


@mistake("SwiGLU.forward", edit=("functional.silu", "functional.sigmoid"))
def gates_by_the_sigmoid():
    """You gate by the sigmoid: that is the GLU of 2016. SwiGLU gates by silu(z) = z · sigmoid(z)."""


@mistake("GroupedQueryAttention.forward", edit=("is_causal=causal and total == new", "is_causal=False"))
def sees_the_future():
    """You forget causality when no mask is given. Training then copies its targets, and writing fails."""


@mistake(
    "GroupedQueryAttention.forward",
    edit=("queries, keys, values, mask,", "queries, keys, values, None if mask is None else ~mask,"),
)
def inverts_the_mask():
    """You hide what the mask allows. True means that a query may look; PyTorch's attention reads it the same way."""


@mistake("GroupedQueryAttention.forward")
def interleaves_the_heads(self, inputs, positions, mask=None, cache=None):
    """You repeat keys and values as a whole: 0, 1, 2, 0, 1, 2. Heads 0 and 1 share the first: 0, 0, 1, 1, 2, 2."""
    config = self.config
    queries, keys, values = (
        part(inputs).unflatten(-1, (-1, config.head_dim)).transpose(1, 2) for part in (self.query, self.key, self.value)
    )
    if config.positions == "rope":
        queries, keys = (rope(x, positions[:, None], config.rope_base) for x in (queries, keys))
    if cache is not None:
        keys, values = cache.extend(self.layer, keys, values)
    keys, values = (x.repeat(1, config.heads // config.groups, 1, 1) for x in (keys, values))
    if mask is None:
        new, total = queries.shape[2], keys.shape[2]
        mask = torch.ones(new, total, dtype=torch.bool).tril(total - new)
    looked = nn.functional.scaled_dot_product_attention(queries, keys, values, mask)
    return self.out(looked.transpose(1, 2).flatten(2))


@mistake(
    "GroupedQueryAttention.forward",
    edit=(
        "keys = rope(keys, positions[:, None], config.rope_base)",
        "keys, values = (rope(x, positions[:, None], config.rope_base) for x in (keys, values))",
    ),
)
def turns_values_too():
    """You turn values by RoPE as well. Products of queries and keys must know distances; what is fetched must not."""


@mistake("AdamW.step", edit=('state["m"] / (1 - first ** state["step"])', 'state["m"]'))
def forgets_the_bias_of_m():
    """You use m as it is. It began at 0: the first steps are ten times too short. Divide by 1 - beta1^step."""


@mistake("AdamW.step", edit=('(state["v"] / (1 - second ** state["step"])).sqrt()', 'state["v"].sqrt()'))
def forgets_the_bias_of_v():
    """You use v as it is. It began at 0: the first steps are thirty times too long. Divide by 1 - beta2^step."""


@mistake("AdamW.step")
@torch.no_grad()
def couples_the_decay(self):
    """You add weight_decay · weight to the gradient. That is Adam with L2: large gradients then hardly decay at all."""
    for group in self.param_groups:
        first, second = group["betas"]
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            gradient = parameter.grad + group["weight_decay"] * parameter
            zeros = torch.zeros_like(parameter)
            state = self.state.setdefault(parameter, {"step": 0, "m": zeros, "v": zeros.clone()})
            state["step"] += 1
            state["m"].lerp_(gradient, 1 - first)
            state["v"].lerp_(gradient.square(), 1 - second)
            mean = state["m"] / (1 - first ** state["step"])
            root = (state["v"] / (1 - second ** state["step"])).sqrt()
            parameter.sub_(group["lr"] * mean / (root + group["eps"]))


@mistake("AdamW.step", edit=('1 - group["lr"] * group["weight_decay"]', '1 - group["weight_decay"]'))
def decays_without_the_rate():
    """You decay by weight_decay a step, whatever the learning rate. It is lr · weight_decay: a warm-up decays less."""


@mistake("clip_gradients", edit=("    if norm > limit:\n", "    if norm > 0:\n"))
def always_rescales():
    """You bring every gradient to the limit, short ones too. Clipping only shortens."""


@mistake("clip_gradients")
@torch.no_grad()
def clips_each_parameter(parameters, limit):
    """You clip each parameter by its own norm. The step then points elsewhere: one norm, over all of them together."""
    total = 0.0
    for parameter in parameters:
        if parameter.grad is not None:
            norm = float(parameter.grad.norm())
            total += norm**2
            if norm > limit:
                parameter.grad.mul_(limit / (norm + 1e-6))
    return math.sqrt(total)


@mistake("clip_gradients", edit=("    return norm", "    return min(norm, limit)"))
def returns_the_clipped_norm():
    """You return the norm after clipping: a log of it hides the very spikes that you would look for."""


@variant("rope")
def rotates_half(x, positions, base):
    """As Hugging Face writes it: a turned copy, times sines."""
    half = x.shape[-1] // 2
    wide = torch.promote_types(x.dtype, torch.float32)
    speeds = 1 / base ** (torch.arange(0, 2 * half, 2, dtype=wide) / x.shape[-1])
    angles = (positions.to(wide)[..., None] * speeds).repeat(*[1] * positions.ndim, 2)
    turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
    return x * angles.cos().to(x.dtype) + turned * angles.sin().to(x.dtype)


@variant("GroupedQueryAttention.forward")
def by_hand(self, inputs, positions, mask=None, cache=None):
    """Without PyTorch's attention: scores, softmax and the weighted mean, group by group."""
    config = self.config
    batch, new = inputs.shape[:2]
    queries = self.query(inputs).view(batch, new, config.heads, config.head_dim).transpose(1, 2)
    keys = self.key(inputs).view(batch, new, config.groups, config.head_dim).transpose(1, 2)
    values = self.value(inputs).view(batch, new, config.groups, config.head_dim).transpose(1, 2)
    if config.positions == "rope":
        queries, keys = (rope(x, positions.unsqueeze(1), config.rope_base) for x in (queries, keys))
    if cache is not None:
        keys, values = cache.extend(self.layer, keys, values)
    queries = queries.unflatten(1, (config.groups, -1))  # (batch, kv_heads, heads of each, tokens, head_dim)
    scores = queries @ keys.unsqueeze(2).transpose(-1, -2) / math.sqrt(config.head_dim)
    if mask is None:
        total = keys.shape[2]
        mask = (torch.arange(total) <= torch.arange(total - new, total)[:, None])[None, None]
    scores = scores.masked_fill(~mask.unsqueeze(2), -math.inf)
    looked = (scores.softmax(dim=-1) @ values.unsqueeze(2)).flatten(1, 2)
    return self.out(looked.transpose(1, 2).reshape(batch, new, -1))


@variant("AdamW.step")
@torch.no_grad()
def as_pytorch_does(self):
    """Bias corrections folded into step size and root, moments made anew."""
    for group in self.param_groups:
        first, second = group["betas"]
        for parameter in group["params"]:
            gradient = parameter.grad
            if gradient is None:
                continue
            state = self.state.setdefault(parameter, {"step": 0, "m": 0.0, "v": 0.0})
            state["step"] += 1
            state["m"] = first * state["m"] + (1 - first) * gradient
            state["v"] = second * state["v"] + (1 - second) * gradient**2
            size = group["lr"] / (1 - first ** state["step"])
            root = state["v"].sqrt() / math.sqrt(1 - second ** state["step"]) + group["eps"]
            parameter.copy_(parameter - group["lr"] * group["weight_decay"] * parameter - size * state["m"] / root)
