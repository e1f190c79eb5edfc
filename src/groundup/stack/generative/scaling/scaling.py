"""What a model costs before you start it, and two ways to pay less: half precision, and several workers.

Weights, floating-point operations and bytes are counted from a `Config` of `generative/gpt` alone; nothing is built.
Counts are those of that unit's own code on PyTorch's fused attention, which keeps no matrix of scores.

    count_parameters(MODELS["Llama 3.1 8B"])                                 # weights by part
    longest_context(MODELS["Llama 3.1 8B"], 8 * GB, weight_bits=4.5)         # tokens that fit beside them

Not here: what the allocator of a device and its kernels take on top, recomputed activations, weights that are split
over several devices (tensor parallel, pipelines, ZeRO).
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from groundup.stack.generative.gpt import Config

GB = 10**9
Precision = Literal["float32", "mixed"]


def _llama(vocabulary: int, layers: int, heads: int, width: int, kv_heads: int, hidden: int, **more: Any) -> Config:
    settings = {"context": 131_072, "tied": False, "kv_heads": kv_heads, "hidden": hidden} | more
    return Config(vocabulary, layers, heads, width, **settings)


MODELS = {
    "GPT-2": Config(
        50_257, 12, 12, 768, 1024, norm="layer", positions="learned", feed_forward="gelu", tied=True, bias=True
    ),
    "SmolLM2 135M": _llama(49_152, 30, 9, 576, 3, 1536, tied=True, context=8192),
    "Qwen2.5 0.5B": _llama(151_936, 24, 14, 896, 2, 4864, tied=True, qkv_bias=True, context=32_768),
    "Llama 3.2 1B": _llama(128_256, 16, 32, 2048, 8, 8192, tied=True),
    "Mistral 7B v0.3": _llama(32_768, 32, 32, 4096, 8, 14_336, context=32_768),
    "Qwen2.5 7B": _llama(152_064, 28, 28, 3584, 4, 18_944, qkv_bias=True),
    "Llama 3.1 8B": _llama(128_256, 32, 32, 4096, 8, 14_336),
}
"""Sizes of open models, from their config.json. DeepSeek-R1's distilled 8B is Llama 3.1, its 7B is Qwen2.5."""


def count_parameters(config: Config) -> dict[str, int]:
    """Count weights by part, without building the model.

    Returns:
        "embedding" (learned positions included), "attention", "feed_forward", "norms", "head". A tied head is 0: it is
        the embedding. Biases count with the matrix or the norm that they belong to.
    """
    width, shared, hidden = _sizes(config)
    places = config.context if config.positions == "learned" else 0
    attention = 2 * width * (width + shared)  # queries and out; keys and values
    attention += (width + 2 * shared) * bool(config.qkv_bias) + width * config.bias
    ways_up = 2 if config.feed_forward == "swiglu" else 1
    feed_forward = (ways_up + 1) * width * hidden + (ways_up * hidden + width) * config.bias
    norm = width * (2 if config.norm == "layer" and config.bias else 1)
    return {
        "embedding": (config.vocabulary + places) * width,
        "attention": config.layers * attention,
        "feed_forward": config.layers * feed_forward,
        "norms": (2 * config.layers + 1) * norm,
        "head": 0 if config.tied else config.vocabulary * width,
    }


def count_flops(config: Config, batch: int, tokens: int, backward: bool = True) -> int:
    """Count the floating-point operations of matrix products, two for each multiplication and its addition.

    Every matrix counts once for each token, the last layer too, tied or not; looking an embedding up is no product.
    Attention multiplies queries with keys, and weights with values, for each pair of tokens: masked pairs count as
    well, as in PaLM's appendix B (https://arxiv.org/abs/2204.02311). A backward pass is twice a forward pass.
    """
    width, shared, hidden = _sizes(config)
    ways = 3 if config.feed_forward == "swiglu" else 2
    matrices = config.layers * (2 * width * (width + shared) + ways * width * hidden) + config.vocabulary * width
    pairs = config.layers * 2 * tokens * width  # for each query, over all heads
    return (3 if backward else 1) * 2 * batch * tokens * (matrices + pairs)


def saved_activations(config: Config, batch: int, tokens: int, precision: Precision = "float32") -> int:
    """Count the bytes that a forward pass keeps for its backward pass, weights not included.

    In mixed precision (autocast) products have 2 bytes a number. Norms, what they read and what they give stay in
    float32, and so do logits: compute the loss of `logits.float()`.

    For each token, a block keeps:

    - for each of its two norms the input, and RMSNorm the normed input before its weight, in float32; one number of
      the statistics (LayerNorm two);
    - what each norm gave, once; in mixed precision once for each product that reads it, as each makes its own copy;
    - queries, keys and values, and the attention's output; with RoPE that output once more, laid end to end, and sines
      and cosines, which are two head sizes; one float32 a head;
    - of SwiGLU four vectors of the hidden size, of GELU two.

    After the last block come one more norm, which one product reads, the logits in float32, one number of their
    logarithm, and two int64 for the token and its target.
    """
    mixed, gated, turned = precision == "mixed", config.feed_forward == "swiglu", config.positions == "rope"
    each = 2 if mixed else 4
    width, shared, hidden = _sizes(config)
    norm = 8 * width + 4 if config.norm == "rms" else 4 * width + 8
    readers = (3 + (2 if gated else 1)) if mixed else 2  # of the two norms: queries, keys, values; one or two ways up
    vectors = readers * width + 2 * width + 2 * shared + (width + 2 * config.head_dim) * turned
    block = 2 * norm + each * (vectors + hidden * (4 if gated else 2)) + 4 * config.heads
    last = norm + each * width + 4 * config.vocabulary + 4 + 16
    return batch * tokens * (config.layers * block + last)


def training_memory(config: Config, batch: int, tokens: int, precision: Precision = "float32") -> dict[str, int]:
    """Bytes of one training step with AdamW: "weights", "gradients", "optimizer", "activations".

    Weights, gradients and the two moments are float32 (16 bytes a weight); mixed precision keeps a 16-bit copy of each
    matrix on top while the step lasts, and saves on activations.
    """
    parts = count_parameters(config)
    total = sum(parts.values())
    last = config.vocabulary * config.width
    copies = 2 * (parts["attention"] + parts["feed_forward"] + last) if precision == "mixed" else 0
    return {
        "weights": 4 * total + copies,
        "gradients": 4 * total,
        "optimizer": 8 * total,
        "activations": saved_activations(config, batch, tokens, precision),
    }


def longest_context(
    config: Config, memory: float, weight_bits: float = 16, cache_bits: float = 16, batch: int = 1, reserve: float = 0
) -> int:
    """How many tokens of each of `batch` sequences fit beside the weights; at most the model's own context, at least 0.

    Args:
        config: the model.
        memory: bytes that there are.
        weight_bits: bits of one weight; 4-bit codes with a 16-bit scale for each 32 take 4.5.
        cache_bits: bits of one number of the cache of keys and values.
        batch: sequences at once.
        reserve: bytes that must stay free, for activations, gradients of adapters, other programs.

    Raises:
        ValueError: bits or batch not above 0.
    """
    for name, value in (("weight_bits", weight_bits), ("cache_bits", cache_bits), ("batch", batch)):
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}: 16, 8 and 4.5 bits, and 1 sequence, are usual.")
    weights = sum(count_parameters(config).values()) * weight_bits / 8
    token = 2 * config.layers * config.groups * config.head_dim * cache_bits / 8
    return max(0, min(config.context, math.floor((memory - reserve - weights) / (batch * token))))


def utilization(flops: float, seconds: float, peak: float) -> float:
    """Model FLOPs utilization (MFU): operations that the model needs, as a share of `seconds` at `peak` per second."""
    if not (seconds > 0 and peak > 0):
        raise ValueError(f"seconds and peak must be above 0, got {seconds} and {peak}: measure one, look up the other.")
    return flops / (seconds * peak)


class LossScaler:
    """Keep small gradients alive in float16: scale the loss up, gradients down again, and skip steps that overflow.

    Micikevicius et al., https://arxiv.org/abs/1710.03740. bfloat16 has the exponents of float32 and needs none of it.

    Args:
        scale: the first factor.
        factor: by which it grows, and shrinks.
        interval: steps without an overflow after which it grows.
    """

    def __init__(self, scale: float = 2.0**16, factor: float = 2.0, interval: int = 2000) -> None:
        if interval < 1 or not (scale > 0 and factor > 1):
            raise ValueError(
                f"scale must be above 0, factor above 1 and interval at least 1, got {scale}, {factor}, {interval}: "
                "65536, 2 and 2000 are usual."
            )
        self.scale, self.factor, self.interval = scale, factor, interval
        self.good_steps = 0

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Return the loss to call `backward` on."""
        return loss * self.scale

    @torch.no_grad()
    def step(self, optimizer: Any, parameters: Iterable[nn.Parameter]) -> bool:
        """Divide gradients by the scale, in place, and let the optimizer step; return whether it did.

        If any gradient is infinite or NaN, nothing moves, the scale shrinks by `factor`, and counting begins again.
        After `interval` good steps in a row the scale grows by `factor`. Before this call gradients are scaled: clip
        them inside the optimizer's step.
        """
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not all(bool(gradient.isfinite().all()) for gradient in gradients):
            self.scale, self.good_steps = self.scale / self.factor, 0
            return False
        for gradient in gradients:
            gradient.div_(self.scale)
        optimizer.step()
        self.good_steps += 1
        if self.good_steps == self.interval:
            self.scale, self.good_steps = self.scale * self.factor, 0
        return True


def shard(rows: Tensor, rank: int, workers: int) -> Tensor:
    """Return the rows of one worker: every `workers`-th, from `rank` on. All workers have equally many.

    Raises:
        ValueError: the rows cannot be shared evenly; a mean of means would then not be the mean.
    """
    if not 0 <= rank < workers:
        raise ValueError(f"rank must be in [0, {workers}), got {rank}: workers count from 0.")
    if len(rows) % workers:
        raise ValueError(f"rows must divide by workers={workers}, got {len(rows)} rows: choose another batch size.")
    return rows[rank::workers]


@torch.no_grad()
def average_gradients(
    parameters: Iterable[nn.Parameter], workers: int, all_reduce: Callable[[Tensor], Any] | None = None
) -> None:
    """Replace each gradient by its mean over all workers, by one message for all parameters together.

    A parameter that this worker's rows did not reach has no gradient; others may have one. It counts as zeros here, and
    has the mean afterwards, so that messages have one length and all workers take the same step.

    Args:
        parameters: the same, in the same order, on each worker; all of one type and device.
        workers: how many there are.
        all_reduce: adds a tensor up over all workers, in place; `torch.distributed.all_reduce` unless given.
    """
    parameters = list(parameters)
    parts = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
    message = torch.cat([part.flatten() for part in parts])
    (all_reduce or torch.distributed.all_reduce)(message)
    message /= workers
    for parameter, mean in zip(parameters, message.split([part.numel() for part in parts]), strict=True):
        parameter.grad = mean.view_as(parameter)


def _sizes(config: Config) -> tuple[int, int, int]:
    """Width, the size of all keys of a token, and the inner size of the feed-forward layer."""
    return config.width, config.groups * config.head_dim, config.hidden or 0
