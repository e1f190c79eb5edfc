"""Faster ways on a CPU for what PyTorch does: the same sums, by another library that is already there.

    with Kernels():
        logits = model(tokens)

PyTorch's wheels multiply float32 matrices by MKL, which keeps to AVX2 on AMD's processors: on a Zen 5 core, MKL reaches
108 GFLOP/s and oneDNN, in the same wheel, 220. A product with a single row only reads the weights: MKL reads 17 GB/s, a
loop compiled by Numba 37 (where it is installed; the extra `classical` brings it). Attention in bfloat16 takes half the
time as two products and a softmax, while windows are short. `docs/benchmarks.md` has the figures.

Not covered: GPUs, compiled models (Inductor has its own kernels), gradients of gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

from groundup.extras import missing

LARGE = 1 << 18
"""Weights of a matrix from which on reading them costs more than the call of another library."""
THREADS = 2
"""Threads of PyTorch up to which one thread of Numba reads the weights of a row's product as quickly."""
LONGEST = 512
"""Most keys for which the scores of all queries are written down at once."""


class Kernels(TorchFunctionMode):
    """Inside it, linear layers and attention on the CPU take the faster way where there is one.

    The results differ from PyTorch's by rounding alone: sums run in another order.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Do what `func` does, in the faster way where it is one of the two."""
        if func is nn.functional.linear:
            result = _linear(*args, **(kwargs or {}))
        elif func is nn.functional.scaled_dot_product_attention:
            result = _attention(*args, **(kwargs or {}))
        else:
            result = None
        return func(*args, **(kwargs or {})) if result is None else result


# --- linear layers --------------------------------------------------------------------------------------------------


def _linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
    """A linear layer in float32; None where PyTorch's own way is as good."""
    plain = (
        type(inputs) is Tensor and isinstance(weight, Tensor) and inputs.device.type == weight.device.type == "cpu"
        and inputs.dtype == weight.dtype == torch.float32 and weight.numel() >= LARGE
        and not torch.is_autocast_enabled("cpu")
    )  # fmt: skip
    if not plain:
        return None
    if inputs.numel() > inputs.shape[-1]:
        return _Product.apply(inputs, weight, bias) if _onednn() else None
    learns = torch.is_grad_enabled() and (inputs.requires_grad or weight.requires_grad)
    multiply = _row_product()
    if multiply is None or learns or not weight.is_contiguous() or torch.get_num_threads() > THREADS:
        return None
    outputs = torch.empty(weight.shape[0])
    multiply(weight.detach().numpy(), inputs.detach().reshape(-1).numpy(), outputs.numpy())
    if bias is not None:
        outputs += bias.detach()
    return outputs.view(*inputs.shape[:-1], -1)


class _Product(torch.autograd.Function):
    """A linear layer whose three products, one forward and two backward, are oneDNN's."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return _multiply(inputs, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        inputs, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        back = _multiply(gradient, weight.T) if ctx.needs_input_grad[0] else None
        moved = _multiply(rows.T, inputs.flatten(0, -2).T) if ctx.needs_input_grad[1] else None
        return back, moved, rows.sum(0) if ctx.needs_input_grad[2] else None


def _multiply(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")


@cache
def _onednn() -> bool:
    """Whether this PyTorch has oneDNN's linear layer, which Inductor calls and no public function does."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def prepare() -> None:
    """Compile what would be compiled in the middle of the first answer."""
    _row_product()


@cache
def _row_product() -> Callable[..., None] | None:
    """The product of a matrix with one row, compiled when it is imported and kept on disk; None without Numba."""
    if missing(["numba"]):
        return None
    from groundup.systems.language_model.row_product import row_product

    return row_product


# --- attention ------------------------------------------------------------------------------------------------------


def _attention(
    queries: Tensor, keys: Tensor, values: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor | None:  # fmt: skip
    """Attention in bfloat16; None where PyTorch's own way is as good, or another one is meant."""
    plain = (
        queries.device.type == "cpu" and queries.dtype == keys.dtype == values.dtype == torch.bfloat16
        and queries.shape == keys.shape == values.shape and keys.shape[-2] <= LONGEST and dropout_p == 0.0
        and scale is None and (attn_mask is None or attn_mask.dtype == torch.bool)
    )  # fmt: skip
    if not plain:
        return None
    if is_causal:
        length = keys.shape[-2]
        attn_mask = torch.ones(length, length, dtype=torch.bool).tril()
    return _Attention.apply(queries, keys, values, None if attn_mask is None else ~attn_mask)


class _Attention(torch.autograd.Function):
    """softmax(q kᵀ / √dim) v with the weights of all queries kept for the way back."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, values: Tensor, hidden: Tensor | None) -> Tensor:
        with torch.autocast("cpu", enabled=False):  # which would make softmax write float32
            scaled = queries / math.sqrt(queries.shape[-1])
            scores = scaled @ keys.transpose(-1, -2)
            weights = (scores if hidden is None else scores.masked_fill_(hidden, -math.inf)).softmax(dim=-1)
            ctx.save_for_backward(scaled, keys, values, weights)
            return weights @ values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        scaled, keys, values, weights = ctx.saved_tensors
        with torch.autocast("cpu", enabled=False):
            by_weights = gradient @ values.transpose(-1, -2)
            by_scores = torch.ops.aten._softmax_backward_data(by_weights, weights, -1, weights.dtype)
            by_queries = (by_scores @ keys) / math.sqrt(keys.shape[-1])
            return by_queries, by_scores.transpose(-1, -2) @ scaled, weights.transpose(-1, -2) @ gradient, None
