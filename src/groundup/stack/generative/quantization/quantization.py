"""Keep weights in 8 or 4 bits: whole numbers and a scale, in the formats that llama.cpp and bitsandbytes read.

    quantize_model(model, "nf4")              # the linear layers of a model, in about 4.1 bits a weight
    quantize_q4_0(layer.weight)               # the bytes of a GGUF file

Int8: Dettmers et al., "LLM.int8()" (2022), https://arxiv.org/abs/2208.07339. NF4, whose scales are quantised too:
Dettmers et al., "QLoRA" (2023), appendix E, https://arxiv.org/abs/2305.14314. Q8_0 and Q4_0: ggml's ggml-quants.c.

Not covered: weights chosen by the data that passes through (GPTQ, AWQ), ggml's K-quants, and bitsandbytes' 8-bit floats
for the scales of scales; ours are int8.
"""

from collections import Counter
from collections.abc import Collection
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor, nn

Kind = Literal["int8", "q8_0", "q4_0", "nf4"]
Order = Literal["pairs", "halves"]

GGML_BLOCK, NF4_BLOCK = 32, 64
"""Weights that share a scale."""

LAST_PROBABILITY = 0.9677083
"""Where the quantiles of NF4 end: 1 - (1/30 + 1/32) / 2, with the seven digits that bitsandbytes gives it."""

# --- eight bits -----------------------------------------------------------------------------------------------------


def quantize_int8(
    values: Float[Tensor, "*rows n"], per: Literal["row", "tensor"] = "row"
) -> tuple[Int8[Tensor, "*rows n"], Float[Tensor, "*rows 1"]]:
    """Round values to whole numbers from -127 to 127, with a scale for each row, or the same for all (per="tensor").

    The scale is the largest magnitude / 127; `codes * scales` are the values again, each within half a scale. Ties go
    to the even number. Zeros have the scale 0. A value that is not finite is refused.
    """
    values = _finite(values, "values")
    largest = values.abs().amax(dim=-1, keepdim=True)
    if per == "tensor":
        largest = largest.amax().expand(largest.shape)
    scales = largest / 127
    return (values / _divisor(scales)).round().to(torch.int8), scales


def quantize_affine(
    values: Float[Tensor, "*rows n"],
) -> tuple[UInt8[Tensor, "*rows n"], Float[Tensor, "*rows 1"], UInt8[Tensor, "*rows 1"]]:
    """Round values to whole numbers from 0 to 255, with a scale and a zero point for each row.

    All 256 codes lie between the smallest value and the largest, so that values of one sign waste no code. Zero always
    lies between the two, and has a code of its own, the zero point: padding and ReLU stay exact. It is the operator
    DynamicQuantizeLinear of ONNX, row by row. Zeros have the scale 0 and the zero point 0. A value that is not finite
    is refused.
    """
    values = _finite(values, "values")
    low = values.amin(dim=-1, keepdim=True).clamp(max=0)
    high = values.amax(dim=-1, keepdim=True).clamp(min=0)
    scales = (high - low) / 255
    zeros = (-low / _divisor(scales)).round()
    codes = ((values / _divisor(scales)).round() + zeros).clamp(0, 255)
    return codes.to(torch.uint8), scales, zeros.to(torch.uint8)


def dequantize_affine(
    codes: UInt8[Tensor, "*rows n"], scales: Float[Tensor, "*rows 1"], zeros: UInt8[Tensor, "*rows 1"]
) -> Float[Tensor, "*rows n"]:
    """Return the values that the codes stand for: (code - zero point) · scale."""
    return (codes.to(torch.int16) - zeros) * scales  # as bytes, 3 - 5 would be 254


def int8_linear(
    inputs: Float[Tensor, "*rows in"],
    codes: Int8[Tensor, "out in"],
    scales: Float[Tensor, "out 1"],
    bias: Float[Tensor, " out"] | None = None,
) -> Float[Tensor, "*rows out"]:
    """Multiply by weights in int8, in whole numbers: each row of inputs is rounded on the way ("dynamic").

    A sum of products of codes, times both scales, is the sum of products of what they stand for. Sums are of 32 bits:
    127 · 127 · in fits for up to 133,000 inputs. Codes and scales of the weights are those of `quantize_int8`. The bias
    is added in full precision. No gradient flows through the rounding.
    """
    rounded, steps = quantize_int8(inputs)
    sums = torch.ops.aten._int_mm(rounded.view(-1, codes.shape[1]), codes.T)  # PyTorch's only int8 product
    outputs = sums.view(*inputs.shape[:-1], len(codes)) * steps * scales[:, 0]
    return outputs if bias is None else outputs + bias


# --- ggml's blocks --------------------------------------------------------------------------------------------------


def pack_nibbles(codes: UInt8[Tensor, "*rows n"], order: Order) -> UInt8[Tensor, "*rows half"]:
    """Put two codes from 0 to 15 into each byte; n is even.

    The order "pairs" is bitsandbytes': neighbours share a byte, the first of them in the high half. "halves" is ggml's:
    code i and code i + n / 2 share a byte, the first of them in the low half.
    """
    low, high = codes.chunk(2, dim=-1) if order == "halves" else (codes[..., 1::2], codes[..., ::2])
    return low | high << 4


def unpack_nibbles(packed: UInt8[Tensor, "*rows half"], order: Order) -> UInt8[Tensor, "*rows n"]:
    """Return the codes that `pack_nibbles` packed in this order."""
    low, high = packed & 15, packed >> 4
    return torch.cat([low, high], dim=-1) if order == "halves" else torch.stack([high, low], dim=-1).flatten(-2)


def quantize_q8_0(weight: Float[Tensor, "*rows n"]) -> UInt8[Tensor, "*rows bytes"]:
    """Return a weight in ggml's Q8_0: for each 32 weights of a row 34 bytes, a float16 scale and 32 codes of a byte.

    The scale is the largest magnitude / 127. Codes are computed with the scale before it is rounded to float16, and
    ties go away from zero, as C's `roundf` does.

    Raises:
        ValueError: 32 does not divide a row, a weight is not finite, or a scale is too large for float16.
    """
    blocks = _blocks(weight, GGML_BLOCK)
    scales = blocks.abs().amax(dim=-1, keepdim=True) / 127
    scaled = blocks * (1 / _divisor(scales))
    codes = scaled.trunc() + (2 * scaled.frac()).trunc()
    return torch.cat([_half_bytes(scales), codes.to(torch.int8).view(torch.uint8)], dim=-1).flatten(-2)


def dequantize_q8_0(packed: UInt8[Tensor, "*rows bytes"]) -> Float[Tensor, "*rows n"]:
    """Return the weights that blocks of Q8_0 stand for."""
    scales, codes = _split(packed, 2 + GGML_BLOCK)
    return (codes.view(torch.int8) * scales).flatten(-2)


def quantize_q4_0(weight: Float[Tensor, "*rows n"]) -> UInt8[Tensor, "*rows bytes"]:
    """Return a weight in ggml's Q4_0: for each 32 weights of a row 18 bytes, a float16 scale and 32 codes of 4 bits.

    Codes are -8 to 7, stored with 8 added. The weight of the largest magnitude, the first of equals, becomes -8: the
    scale is this weight / -8, and so is negative where the weight is positive. A weight of the other sign that would be
    +8 becomes 7. Codes are computed as float32 numbers, w · (1 / scale) + 8.5 cut off, with the scale before it is
    rounded to float16. Nibbles are in the order "halves". A block of zeros has the scale 0 and the codes 8. It refuses
    what `quantize_q8_0` refuses.
    """
    blocks = _blocks(weight, GGML_BLOCK)
    largest = blocks.gather(-1, blocks.abs().argmax(dim=-1, keepdim=True))
    scales = largest / -8
    codes = (blocks * (1 / _divisor(scales)) + 8.5).clamp(0, 15).to(torch.uint8)  # a byte cuts off
    return torch.cat([_half_bytes(scales), pack_nibbles(codes, "halves")], dim=-1).flatten(-2)


def dequantize_q4_0(packed: UInt8[Tensor, "*rows bytes"]) -> Float[Tensor, "*rows n"]:
    """Return the weights that blocks of Q4_0 stand for: (code - 8) · scale."""
    scales, halves = _split(packed, 2 + GGML_BLOCK // 2)
    return ((unpack_nibbles(halves, "halves").float() - 8) * scales).flatten(-2)


# --- NF4 ------------------------------------------------------------------------------------------------------------


def nf4_levels() -> Float[Tensor, "16"]:
    """Return the 16 levels of NF4 in ascending order: quantiles of the normal distribution, scaled to -1 … 1.

    Probabilities run evenly from LAST_PROBABILITY to 1/2, and 1/2 is left out: 8 of them give the positive levels, 7
    others the negative ones; 0 is the sixteenth. Both ends are then divided by the largest. Probabilities and levels
    are float32, and quantiles float64: bitsandbytes' table comes out to the last bit.
    """
    positive, negative = (
        torch.special.ndtri(torch.linspace(LAST_PROBABILITY, 0.5, count + 1)[:-1].double()).float() for count in (8, 7)
    )
    levels = torch.cat([-negative, torch.zeros(1), positive.flip(0)])
    return levels / levels[-1]


def quantize_nf4(
    weight: Float[Tensor, "*shape"], block: int = NF4_BLOCK
) -> tuple[UInt8[Tensor, " half"], Float[Tensor, " blocks"]]:
    """Return a weight in NF4, row after row: the codes, two in a byte, and the largest magnitude of each block.

    Each weight is divided by its block's largest magnitude, as float32: w · (1 / largest). Its code is the place of the
    nearest level; at the middle between two it is the lower. Nibbles are in the order "pairs". A block of zeros has the
    magnitude 0 and the codes 7.

    Raises:
        ValueError: `block` is odd or does not divide the number of weights, or a weight is not finite.
    """
    blocks = _blocks(weight.flatten(), block)
    largest = blocks.abs().amax(dim=1)
    levels = nf4_levels().to(blocks.device)
    edges = (levels[1:] + levels[:-1]) / 2
    codes = torch.bucketize(blocks * (1 / _divisor(largest))[:, None], edges)
    return pack_nibbles(codes.flatten().to(torch.uint8), "pairs"), largest


def dequantize_nf4(packed: UInt8[Tensor, " half"], largest: Float[Tensor, " blocks"]) -> Float[Tensor, " n"]:
    """Return the weights that the codes stand for, in one row: level · largest magnitude of the block."""
    levels = nf4_levels().to(packed.device)[unpack_nibbles(packed, "pairs").long()]
    return (levels.unflatten(0, (len(largest), -1)) * largest[:, None]).flatten()


def quantize_scales(
    scales: Float[Tensor, " blocks"], block: int = 256
) -> tuple[Int8[Tensor, " blocks"], Float[Tensor, " groups"], Float[Tensor, ""]]:
    """Quantise the magnitudes of NF4 in their turn: int8 around their mean, 256 to a scale; return all three."""
    mean = scales.mean()
    groups = nn.functional.pad(scales - mean, (0, -len(scales) % block)).unflatten(0, (-1, block))
    codes, steps = quantize_int8(groups)
    return codes.flatten()[: len(scales)].clone(), steps[:, 0], mean


def dequantize_scales(
    codes: Int8[Tensor, " blocks"], steps: Float[Tensor, " groups"], mean: Float[Tensor, ""], block: int = 256
) -> Float[Tensor, " blocks"]:
    """Return the magnitudes that the codes stand for."""
    return codes * steps.repeat_interleave(block)[: len(codes)] + mean


# --- layers and models ----------------------------------------------------------------------------------------------


class QuantizedLinear(nn.Module):
    """A linear layer that keeps its weights in 8 or 4 bits, as buffers.

    "int8" multiplies whole numbers (`int8_linear`). The other kinds multiply by float32 weights, dequantised a few
    rows at a time, so that the whole weight never stands in memory; gradients flow through to the inputs.

    Args:
        linear: the layer to quantise; it stays as it is. The bias stays in full precision.
        kind: "int8", "q8_0", "q4_0", or "nf4". 32 (for "nf4" 64) must divide the inputs, except for "int8".
        rows: how many rows are dequantised at a time.

    Raises:
        ValueError: `kind` is not one of these, or blocks do not fit the inputs.
    """

    codes: Tensor
    scales: Tensor
    steps: Tensor
    mean: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, kind: Kind, rows: int = 256) -> None:
        super().__init__()
        if linear.in_features % _block(kind):
            raise ValueError(f"kind {kind!r} needs whole blocks, got {linear.in_features} inputs: use 'int8'.")
        if kind == "int8":
            parts = quantize_int8(linear.weight)
        elif kind == "nf4":
            codes, largest = quantize_nf4(linear.weight)
            parts = (codes.view(linear.out_features, -1), *quantize_scales(largest))
        else:
            parts = ((quantize_q8_0 if kind == "q8_0" else quantize_q4_0)(linear.weight),)
        for name, part in zip(("codes", "scales", "steps", "mean"), parts, strict=False):
            self.register_buffer(name, part)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().clone())
        self.in_features, self.out_features, self.kind, self.rows = linear.in_features, linear.out_features, kind, rows

    @property
    def weight(self) -> Float[Tensor, "out in"]:
        """The weights that the codes stand for, all of them at once."""
        return self._rows(slice(None))

    @property
    def bits_per_weight(self) -> float:
        """Bits that the codes and all scales take, divided by the number of weights."""
        size = sum(buffer.nbytes for name, buffer in self.named_buffers() if name != "bias")
        return 8 * size / (self.in_features * self.out_features)

    def forward(self, inputs: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        """Return W x + b, with the weights that the codes stand for."""
        if self.kind == "int8":
            return int8_linear(inputs, self.codes, self.scales, self.bias)
        weights = (self._rows(slice(at, at + self.rows)) for at in range(0, self.out_features, self.rows))
        outputs = torch.cat([nn.functional.linear(inputs, weight.to(inputs.dtype)) for weight in weights], dim=-1)
        return outputs if self.bias is None else outputs + self.bias

    def _rows(self, rows: slice) -> Float[Tensor, "rows in"]:
        if self.kind == "int8":
            return self.codes[rows] * self.scales[rows]
        if self.kind == "nf4":
            largest = dequantize_scales(self.scales, self.steps, self.mean).view(self.out_features, -1)
            return dequantize_nf4(self.codes[rows].flatten(), largest[rows].flatten()).view(-1, self.in_features)
        return (dequantize_q8_0 if self.kind == "q8_0" else dequantize_q4_0)(self.codes[rows])


def quantize_model(model: nn.Module, kind: Kind, skip: Collection[str] = ()) -> list[str]:
    """Swap the linear layers of a model for quantised ones, in place, and return their names.

    Layers stay as they are where blocks do not fit them, where `skip` names them, and where another module has the same
    weight (an embedding that is the output layer too).

    Raises:
        ValueError: `kind` is none that there is, or `skip` names no linear layer.
    """
    modules = model.named_modules(remove_duplicate=False)
    linear = {name: module for name, module in modules if name and type(module) is nn.Linear}
    if unknown := sorted(set(skip) - set(linear)):
        raise ValueError(f"skip: no linear layer is called {unknown[0]!r}. There are {', '.join(linear) or 'none'}.")
    owners = Counter(id(weight) for module in model.modules() for weight in module.parameters(recurse=False))
    swapped = {
        layer: QuantizedLinear(layer, kind)
        for layer in dict.fromkeys(linear.values())
        if layer.in_features % _block(kind) == 0 and owners[id(layer.weight)] == 1
    }
    names = [name for name, layer in linear.items() if layer in swapped and name not in skip]
    for name in names:
        model.set_submodule(name, swapped[linear[name]])
    return names


def relative_error(weight: Float[Tensor, "*shape"], rounded: Float[Tensor, "*shape"]) -> float:
    """Return the root mean square of the difference, divided by that of the weight."""
    return float((weight - rounded).detach().norm() / weight.detach().norm())


def _finite(values: Tensor, name: str) -> Tensor:
    if not values.isfinite().all():
        raise ValueError(f"{name} must be finite, got {values[~values.isfinite()][0]}: look at how it was trained.")
    return values.detach()


def _divisor(scales: Tensor) -> Tensor:
    """The scales with 1 in the place of 0: zeros divided by it stay zeros."""
    return scales.masked_fill(scales == 0, 1.0)


def _block(kind: Kind) -> int:
    if kind not in get_args(Kind):
        raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, got {kind!r}.")
    return {"int8": 1, "nf4": NF4_BLOCK}.get(kind, GGML_BLOCK)


def _blocks(weight: Tensor, block: int) -> Tensor:
    """The rows cut into blocks, as float32: (*rows, blocks, block)."""
    if block < 2 or block % 2 or weight.shape[-1] % block:
        raise ValueError(f"block must be even and divide the {weight.shape[-1]} weights of weight's rows, got {block}.")
    return _finite(weight, "weight").float().unflatten(-1, (-1, block))


def _half_bytes(scales: Tensor) -> Tensor:
    half = scales.half()
    if half.isinf().any():
        raise ValueError(f"weight has a scale beyond float16's 65504, {scales[half.isinf()][0]}: scale the layer down.")
    return half.view(torch.uint8)


def _split(packed: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The scales and the rest of ggml's blocks of so many bytes."""
    if packed.shape[-1] % size:
        raise ValueError(f"packed must have rows of whole blocks of {size} bytes, got {packed.shape[-1]} bytes.")
    blocks = packed.unflatten(-1, (-1, size))
    return blocks[..., :2].contiguous().view(torch.float16).float(), blocks[..., 2:].contiguous()
