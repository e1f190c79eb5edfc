# pyright: basic
"""Ways to get quantization wrong, and right ways that differ."""

import torch
from torch import nn

from groundup.anatomy import mistake, variant
from groundup.stack.generative.quantization.quantization import (
    _blocks,
    _divisor,
    _finite,
    _half_bytes,
    nf4_levels,
    pack_nibbles,
    quantize_int8,
)


@mistake("quantize_int8", edit=("values.abs().amax(dim=-1, keepdim=True)", "values.amax(dim=-1, keepdim=True)"))
def scales_by_the_largest_value():
    """You scale by the largest value. A row whose largest magnitude is negative leaves the codes: take magnitudes."""


@mistake("quantize_int8", edit=('    if per == "tensor":\n        largest', "    largest"))
def shares_one_scale():
    """You use one scale for all rows. One large row then leaves few codes to all others."""


@mistake("quantize_int8", edit=(".round()", ".trunc()"))
def cuts_off():
    """You cut decimals off: every value moves towards 0, by up to a whole step. Round to the nearest."""


@mistake("quantize_int8", edit=("largest / 127", "largest * 2 / 255"))
def divides_by_half_of_255():
    """Your scale is the largest magnitude / 127.5: its code is 127.5 and rounds to 128, which int8 wraps to -128."""


@mistake("quantize_affine", edit=(".clamp(max=0)", ""))
def loses_zero_below():
    """You start at the smallest value, though it is above 0. Zero then has no code: padding would become a value."""


@mistake("quantize_affine", edit=("zeros = (-low / _divisor(scales)).round()", "zeros = -low / _divisor(scales)"))
def cuts_the_zero_point_off():
    """You never round the zero point: as a byte it loses its fraction, and the last code is never used. Round it."""


@mistake("quantize_affine", edit=("    return codes.to(torch.uint8)", "    return codes.to(torch.int8)"))
def returns_signed_codes():
    """Codes run from 0 to 255, and int8 ends at 127: the upper half wraps to negative numbers. Return uint8."""


@mistake("int8_linear", edit=(" * steps * scales[:, 0]", " * scales[:, 0]"))
def forgets_the_inputs_scale():
    """You put back the scale of the weights only. The inputs were divided by one as well, a different one each row."""


@mistake("int8_linear")
def adds_up_in_eight_bits(inputs, codes, scales, bias=None):
    """You multiply int8 by int8 in int8. A product needs 15 bits and a sum more: add up in 32."""
    rounded, steps = quantize_int8(inputs)
    sums = (rounded[..., None, :] * codes).sum(dim=-1, dtype=torch.int8)
    outputs = sums * steps * scales[:, 0]
    return outputs if bias is None else outputs + bias


@mistake("int8_linear", edit=("quantize_int8(inputs)", 'quantize_int8(inputs, per="tensor")'))
def rounds_the_whole_batch_alike():
    """You take one scale for all rows of inputs: a row's result then depends on its neighbours in the batch."""


@mistake("int8_linear", edit=("outputs + bias", "outputs + bias / scales[:, 0]"))
def scales_the_bias():
    """You divide the bias by a scale. Outputs have their full size again: add the bias as it is."""


@mistake("quantize_q4_0", edit=("scales = largest / -8", "scales = largest.abs() / 8"))
def drops_the_sign():
    """Your scale is never negative. The weight farthest from 0 must become -8: keep its sign, and divide by -8."""


@mistake("quantize_q4_0", edit=(".clamp(0, 15)", ""))
def forgets_the_last_code():
    """A weight of the other sign can become +8, which is 16 after the shift: it spills into its neighbour's nibble."""


@mistake("quantize_q4_0", edit=('"halves"', '"pairs"'))
def packs_neighbours():
    """You put neighbours into one byte. ggml puts weight i beside weight i + 16, with weight i in the low half."""


@mistake("quantize_q4_0", edit=("scales = largest / -8", "scales = (largest / -8).half().float()"))
def rounds_the_scale_first():
    """You round the scale to float16 before you divide by it. ggml computes codes with the float32 scale."""


@mistake("nf4_levels", edit=("levels / levels[-1]", "levels"))
def leaves_quantiles_unscaled():
    """Your levels end at 1.85 deviations. Weights are divided by the largest magnitude, so levels end at -1 and 1."""


@mistake("nf4_levels")
def is_symmetric():
    """Your levels are the same on both sides, so 0 is there twice or not at all: 8 above 0, 7 below, and 0 itself."""
    side = torch.special.ndtri(torch.linspace(0.9677083, 0.5, 9)[:-1].double()).float()
    levels = torch.cat([-side, side.flip(0)])
    return levels / levels[-1]


@mistake("quantize_nf4", edit=("(levels[1:] + levels[:-1]) / 2", "levels[1:]"))
def takes_levels_for_edges():
    """Your edges are the levels, so every weight goes up to the next level. The edges are the middles between two."""


@mistake("quantize_nf4", edit=('"pairs"', '"halves"'))
def packs_halves():
    """You pack in ggml's order. bitsandbytes puts neighbours into one byte, the first of them in the high half."""


@mistake("quantize_nf4", edit=("_divisor(largest)", "largest"))
def divides_zeros_by_zero():
    """A block of zeros is divided by 0, which is not a number and gets the last code. Guard the division."""


@variant("quantize_int8")
def by_numpy(values, per="row"):
    """NumPy's rounding, which goes to the even number as well."""
    import numpy as np

    array = _finite(values, "values").numpy()
    size = np.abs(array).max(axis=-1, keepdims=True)
    scale = (np.broadcast_to(size.max(), size.shape) if per == "tensor" else size) / array.dtype.type(127)
    codes = np.rint(np.divide(array, scale, out=np.zeros_like(array), where=scale != 0))
    return torch.from_numpy(codes.astype(np.int8)), torch.from_numpy(scale)


@variant("int8_linear")
def by_whole_numbers_in_float64(inputs, codes, scales, bias=None):
    """float64 holds the sums exactly, too."""
    rounded, steps = quantize_int8(inputs)
    sums = nn.functional.linear(rounded.double(), codes.double()).to(inputs.dtype)
    return sums * steps * scales.squeeze(1) + (0 if bias is None else bias)


@variant("quantize_q4_0")
def by_comparing(weight):
    """The scale's sign by a comparison, codes by floor."""
    blocks = _blocks(weight, 32)
    high, low = blocks.amax(-1, keepdim=True), blocks.amin(-1, keepdim=True)
    first = blocks.take_along_dim(blocks.abs().argmax(-1, keepdim=True), -1)
    scales = torch.where(high > -low, high, torch.where(high < -low, low, first)) / -8
    codes = torch.floor(blocks / _divisor(scales) + 8.5).clamp(max=15).byte()
    return torch.cat([_half_bytes(scales), pack_nibbles(codes, "halves")], dim=-1).flatten(-2)


@variant("nf4_levels")
def by_scipy():
    """SciPy's quantiles, in float64 to the end."""
    import numpy as np
    from scipy.stats import norm

    upper, lower = (norm.ppf(np.linspace(0.9677083, 0.5, count, endpoint=False)) for count in (8, 7))
    levels = np.concatenate([-lower, [0.0], upper[::-1]]) / upper[0]
    return torch.from_numpy(levels).float()


@variant("quantize_nf4")
def by_searching_all_levels(weight, block=64):
    """The nearest by distance, the lower of equals first."""
    blocks = _blocks(weight.flatten(), block)
    largest = blocks.abs().amax(dim=1)
    distances = (blocks / _divisor(largest)[:, None])[..., None] - nf4_levels()
    return pack_nibbles(distances.abs().argmin(dim=-1).flatten().byte(), "pairs"), largest
