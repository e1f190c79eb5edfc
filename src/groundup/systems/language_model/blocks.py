"""Weights that stay in ggml's blocks of 8 or 4 bits while a model writes: to write a token is to read the weights.

    keep_in_blocks(model)                      # a model of `quantize_model`, with its embedding in 8 bits
    keep_in_blocks(model, published.blocks)    # a model of a GGUF file, as the file has it

A `Blocks` stands where a linear layer or an embedding had its tensor: PyTorch's functions call it by the protocol
`__torch_function__`. A product with one row reads the blocks as they are, on at most two threads; a product with more
dequantises some rows at a time. Nothing but the order of sums differs from dequantised weights.

Needs Numba; without it, and for models whose float32 weights fit into a processor's caches, models stay as they are.
Not covered: GPUs, gradients to weights, NF4 as it is (its weights are kept in 8 bits instead, see `keep_in_blocks`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, Literal

import torch
from torch import Tensor, nn

from groundup.extras import missing
from groundup.stack.generative.gpt import GPT
from groundup.stack.generative.quantization import QuantizedLinear, quantize_q8_0

Kind = Literal["q8_0", "q4_0"]

BLOCK, LANES = 32, 32
"""Weights that share a scale, and rows that lie side by side."""
BYTES: dict[Kind, int] = {"q8_0": 2 + BLOCK, "q4_0": 2 + BLOCK // 2}
CACHED = 1 << 23
"""Weights of a model up to which the caches hold it in float32, and blocks would save nothing."""
THREADS = 2
"""Most threads of a product with one row; more than two were not measured."""
ROWS = 9 * LANES
"""Rows of a matrix that are dequantised at a time: they fit into a core's cache with the 768 columns of a small model.

At a power of two, their columns would share few lines of the cache.
"""

_one_at_a_time = Lock()  # some of Numba's threading layers end the process where two threads call at once


class Blocks:
    """A matrix in Q8_0 or Q4_0, laid out for products with one row. It stands in the place of a weight's tensor.

    Args:
        packed: bytes of shape (rows, bytes), as `quantize_q8_0` or `quantize_q4_0` returns them, or as a file has them.
        kind: which of the two it is.

    Raises:
        ValueError: rows are not made of whole blocks.
    """

    def __init__(self, packed: Tensor, kind: Kind) -> None:
        if packed.ndim != 2 or packed.shape[1] % BYTES[kind]:
            raise ValueError(
                f"packed must be a matrix with rows of whole blocks of {BYTES[kind]} bytes, got the shape "
                f"{tuple(packed.shape)}: quantise the weight to {kind}."
            )
        self.kind: Kind = kind
        self.shape = (len(packed), packed.shape[1] // BYTES[kind] * BLOCK)
        whole = nn.functional.pad(packed, (0, 0, 0, -len(packed) % LANES))
        blocks = whole.unflatten(1, (-1, BYTES[kind])).unflatten(0, (-1, LANES))  # (groups, lanes, blocks, bytes)
        scales = blocks[..., :2].contiguous().view(torch.float16)[..., 0].float()
        codes = blocks[..., 2:].permute(0, 2, 3, 1).contiguous()
        self.codes = codes.view(torch.int8) if kind == "q8_0" else codes
        self.scales = scales.permute(0, 2, 1).contiguous()
        self._arrays = self.codes.numpy(), self.scales.numpy()
        import numba  # here, as a model that is small or trains needs none

        from groundup.systems.language_model import block_product as compiled

        self._numba = numba
        names = (f"{kind}_product", f"{kind}_product_parallel", f"{kind}_columns")
        self._product, self._parallel, self._columns = (getattr(compiled, name) for name in names)

    @property
    def nbytes(self) -> int:
        """Bytes of codes and scales."""
        return self.codes.nbytes + self.scales.nbytes

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Be the weight of PyTorch's functions `linear` and `embedding`; others are refused."""
        kwargs = kwargs or {}
        if func is nn.functional.linear:
            return _linear(*args, **kwargs)
        if func is nn.functional.embedding:
            return _embedding(*args, **kwargs)
        return NotImplemented

    def times_row(self, row: Tensor) -> Tensor:
        """Return the matrix times one float32 row."""
        outputs = torch.empty(self.codes.shape[0] * LANES)
        if (threads := min(torch.get_num_threads(), THREADS, numba_threads := self._numba.get_num_threads())) > 1:
            with _one_at_a_time:
                self._numba.set_num_threads(threads)
                self._parallel(*self._arrays, row.numpy(), outputs.numpy(), threads)
                self._numba.set_num_threads(numba_threads)
        else:
            self._product(*self._arrays, row.numpy(), outputs.numpy())
        return outputs[: self.shape[0]]

    def times_rows(self, rows: Tensor) -> Tensor:
        """Return rows · matrixᵀ, with some rows of the matrix in float32 at a time."""
        outputs = rows.new_empty(*rows.shape[:-1], len(self.codes) * LANES)
        columns = torch.empty(self.shape[1], ROWS)  # one for all, as fresh memory costs more than what is written to it
        for at in range(0, outputs.shape[-1], ROWS):
            end = min(at + ROWS, outputs.shape[-1])
            codes, scales = (part[at // LANES : end // LANES] for part in self._arrays)
            self._columns(codes, scales, columns.numpy())
            outputs[..., at:end] = rows @ columns[:, : end - at]
        return outputs[..., : self.shape[0]]

    def rows(self, numbers: Tensor) -> Tensor:
        """Return the rows of these numbers, dequantised."""
        groups, lanes = numbers // LANES, numbers % LANES
        codes = self.codes[groups, :, :, lanes]  # (…, blocks, bytes)
        if self.kind == "q4_0":
            codes = torch.cat([codes & 15, codes >> 4], dim=-1).to(torch.int8) - 8
        return (codes * self.scales[groups, :, lanes][..., None]).flatten(-2)

    def dequantize(self) -> Tensor:
        """Return the whole matrix in float32."""
        columns = torch.empty(self.shape[1], len(self.codes) * LANES)
        self._columns(*self._arrays, columns.numpy())
        return columns.T[: self.shape[0]].contiguous()


def _linear(inputs: Tensor, weight: Blocks, bias: Tensor | None = None) -> Tensor:
    if inputs.shape[-1] != weight.shape[1]:
        raise ValueError(f"inputs must have {weight.shape[1]} numbers in a row, got {inputs.shape[-1]}.")
    if torch.is_grad_enabled() and inputs.requires_grad:
        raise ValueError("inputs must need no gradient, as blocks have none. Call the model under torch.no_grad().")
    given = inputs.detach().float()
    if given.numel() == weight.shape[1]:
        outputs = weight.times_row(given.reshape(-1).contiguous()).view(*given.shape[:-1], -1)
    else:
        outputs = weight.times_rows(given)
    return outputs if bias is None else outputs + bias


def _embedding(numbers: Tensor, weight: Blocks, *args: Any, **kwargs: Any) -> Tensor:
    return weight.rows(numbers)  # the other arguments are about gradients and norms, and the models here set none


# --- models ---------------------------------------------------------------------------------------------------------


def keep_in_blocks(model: GPT, packed: Callable[[], Mapping[str, tuple[Tensor, Kind]]] = dict) -> bool:
    """Put blocks in the place of a model's quantised weights, in place; return whether it has any then.

    Layers that `quantize_model` made keep their Q8_0 or Q4_0. NF4 is kept in Q8_0: to look up a table for each weight
    would cost more than fewer bytes save. A last layer that is the embedding goes to Q8_0 beside them, as it is a third
    of a small model.

    Args:
        model: its weights are not trained afterwards.
        packed: gives bytes and their kind by the names of weights, for a model that was read from a file.
    """
    layers = {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, QuantizedLinear) and layer.kind != "int8"  # whose rows need not be whole blocks
    }
    weights = sum(weight.numel() for weight in model.parameters())
    weights += sum(layer.out_features * layer.in_features for layer in layers.values())
    if missing(["numba"]) or weights < CACHED or model.norm.weight.device.type != "cpu":
        return False
    made = {name: Blocks(data, kind) for name, (data, kind) in packed().items()}
    for name, layer in layers.items():
        plain = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        if layer.bias is not None:
            plain.bias = nn.Parameter(layer.bias, requires_grad=False)
        model.set_submodule(name, plain)
        if layer.kind == "nf4":
            made[f"{name}.weight"] = Blocks(quantize_q8_0(layer.weight), "q8_0")
        else:
            made[f"{name}.weight"] = Blocks(layer.codes, layer.kind)  # pyright: ignore[reportArgumentType]
    if layers and model.head is None:
        made["embedding.weight"] = Blocks(quantize_q8_0(model.embedding.weight), "q8_0")
    for name, each in made.items():
        module = model.get_submodule(name.removesuffix(".weight"))
        del module.weight
        module.weight = each  # pyright: ignore[reportArgumentType]: a stand-in, by __torch_function__
    return bool(made)


def is_in_blocks(model: GPT) -> bool:
    """Whether every matrix that multiplies is in blocks."""
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    last = model.embedding if model.head is None else model.head
    return all(isinstance(module.weight, Blocks) for module in (*layers, last))
