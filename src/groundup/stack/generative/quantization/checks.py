"""Checks of quantization."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn

from groundup.checking import (
    assert_close,
    assert_leading_axes,
    assert_refuses,
    assert_refuses_nonfinite,
    assert_refuses_values,
    assert_rows_alone,
    assert_shape,
    assert_unchanged,
    module_conventions,
)
from groundup.stack.generative.quantization import (
    QuantizedLinear,
    dequantize_affine,
    dequantize_nf4,
    dequantize_q4_0,
    dequantize_q8_0,
    dequantize_scales,
    int8_linear,
    nf4_levels,
    pack_nibbles,
    quantize_affine,
    quantize_int8,
    quantize_model,
    quantize_nf4,
    quantize_q4_0,
    quantize_q8_0,
    quantize_scales,
    relative_error,
    unpack_nibbles,
)

WEIGHT = ((torch.arange(64) * 37) % 101 - 50) / 64
"""The same 64 weights on every machine, from -0.78125 to 0.75."""

LEFT_OUT = ["follows_the_device", "follows_the_dtype", "its_gradient_reaches_every_parameter"]

NF4 = [-1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0.0]
NF4 += [0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0]


def normal(rng, *shape) -> Tensor:
    """A float32 tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape)).float()


def packed(data: Tensor) -> str:
    """Bytes as hexadecimal digits."""
    return bytes(data.numpy()).hex()


# --- eight bits -----------------------------------------------------------------------------------------------------


def test_quantize_int8_by_hand():
    """The row [-2.54, 1.27, 0.01] has the scale 0.02 and the codes -127, 64 (of 63.5) and 0 (of 0.5)."""
    codes, scales = quantize_int8(torch.tensor([[-254.0, 127.0, 1.0], [63.5, -62.75, 0.25]]))
    assert_close(scales, [[2.0], [0.5]], "the largest magnitude of each row / 127")
    assert_close(codes, [[-127, 64, 0], [127, -126, 0]], "63.5, 0.5 and -125.5 go to the even number")
    assert codes.dtype == torch.int8, f"codes are int8, not {codes.dtype}"
    codes, scales = quantize_int8(torch.tensor([[1.0, -127.0], [12.7, 25.4]]), per="tensor")
    assert_close(scales, [[1.0], [1.0]], "by tensor: one scale, given for each row")
    assert_close(codes, [[1, -127], [13, 25]], "values / the one scale")


def test_quantize_int8_errs_by_half_a_step(rng):
    """No value moves by more than half the scale of its row, and each row uses its codes to the end."""
    values = normal(rng, 6, 50) * torch.logspace(-4, 4, 6)[:, None]
    codes, scales = quantize_int8(values)
    error = (codes * scales - values).abs() / scales
    assert error.max() <= 0.5 + 1e-4, f"the largest error is {error.max():.3f} of a scale"
    assert_close(codes.abs().amax(dim=1), torch.full((6,), 127), "the largest code of each row")


def test_quantize_int8_takes_any_rows(rng):
    """Rows stand for themselves, in any shape; the dtype of the values is that of the scales."""
    assert_leading_axes(quantize_int8, normal(rng, 3, 5))
    assert_rows_alone(quantize_int8, normal(rng, 4, 5))
    assert quantize_int8(normal(rng, 2, 3).double())[1].dtype == torch.float64, "float64 in, float64 scales"


@pytest.mark.parametrize("quantize", [quantize_int8, quantize_affine])
def test_zeros_and_refusals_of_8_bits(quantize, rng):
    """Zeros have the codes and scale 0, values that are not finite are refused, and arguments stay as they are."""
    for part in quantize(torch.zeros(2, 3)):
        assert_close(part.float(), torch.zeros(part.shape), "zeros")
    assert_refuses_nonfinite(quantize, normal(rng, 2, 3), "values")
    assert_unchanged(quantize, normal(rng, 2, 3))
    parts = quantize(nn.Parameter(normal(rng, 2, 3)))
    assert not any(part.requires_grad for part in parts), "nothing carries a gradient: detach the values"


def test_quantize_affine_by_hand():
    """The row [-0.5, 0, 2.05] spans 2.55: scale 0.01, zero point 50, codes 0, 50 and 255."""
    rows = [[-50.0, 0.0, 205.0, 2.5], [0.0, 3.5, 510.0, 7.0], [-253.5, 0.0, 1.5, 1.0]]
    codes, scales, zeros = quantize_affine(torch.tensor(rows))
    assert_close(scales, [[1.0], [2.0], [1.0]], "(largest - smallest) / 255")
    assert_close(zeros, [[50], [0], [254]], "the code of zero, to the nearest whole number")
    expected = [[0, 50, 255, 52], [0, 2, 255, 4], [0, 254, 255, 255]]
    assert_close(codes, expected, "values / scale + zero point; 2.5 goes to the even 2")
    assert codes.dtype == zeros.dtype == torch.uint8, f"codes and zero points are uint8, not {codes.dtype}"
    assert_close(dequantize_affine(codes, scales, zeros)[0], [-50.0, 0.0, 205.0, 2.0], "(code - zero point) · scale")


def test_quantize_affine_is_torchs(rng):
    """Its values are those of torch.fake_quantize_per_channel_affine with its scales and zero points."""
    values = normal(rng, 5, 40) + torch.linspace(-3, 3, 5)[:, None]
    codes, scales, zeros = quantize_affine(values)
    expected = torch.fake_quantize_per_channel_affine(values, scales[:, 0], zeros[:, 0].int(), 0, 0, 255)
    assert_close(dequantize_affine(codes, scales, zeros), expected, rtol=1e-6)
    span = values.amax(1).clamp(min=0) - values.amin(1).clamp(max=0)
    assert_close(scales[:, 0], span / 255, "(largest - smallest) / 255", rtol=1e-6)


def test_quantize_affine_keeps_zero():
    """Zero has a code in every row, though all values are above it or all below."""
    codes, scales, zeros = quantize_affine(torch.tensor([[3.0, 5.1], [-5.1, -3.0]]))
    assert_close(scales, [[0.02], [0.02]], "from 0 to 5.1, and from -5.1 to 0", rtol=1e-6)
    assert_close(zeros, [[0], [255]], "the code of zero")
    assert_close(codes, [[150, 255], [0, 105]], "values / scale + zero point")


def test_int8_linear_by_hand():
    """Inputs [254, -127] are 2 · [127, -64]; with codes [3, 1] of scale 0.5 the sum is 2 · 0.5 · (381 - 64) = 317."""
    codes, scales = torch.tensor([[3, 1], [0, -2]], dtype=torch.int8), torch.tensor([[0.5], [4.0]])
    outputs = int8_linear(torch.tensor([[254.0, -127.0]]), codes, scales)
    assert_close(outputs, [[317.0, 1024.0]], "sum of products of codes · both scales")
    outputs = int8_linear(torch.tensor([254.0, -127.0]), codes, scales, torch.tensor([0.25, -24.0]))
    assert_close(outputs, [317.25, 1000.0], "the bias is added as it is")


def test_int8_linear_multiplies_what_codes_stand_for(rng):
    """It is the product of the rounded inputs and the rounded weights, each row by its own scale."""
    inputs, weight = normal(rng, 4, 30) * torch.logspace(-2, 2, 4)[:, None], normal(rng, 6, 30)
    codes, scales = quantize_int8(weight)
    rounded, steps = quantize_int8(inputs)
    expected = (rounded * steps).double() @ (codes * scales).double().T
    assert_close(int8_linear(inputs, codes, scales), expected, rtol=1e-5, atol=1e-4)
    exact = inputs @ weight.T
    assert relative_error(exact, int8_linear(inputs, codes, scales)) < 0.02, "int8 is within 2 % of float32"


def test_int8_linear_adds_up_in_32_bits():
    """1,200 products of 127 · 127 are 19,354,800: more than 8, 16 or 24 bits hold."""
    codes = torch.full((1, 1200), 127, dtype=torch.int8)
    inputs = torch.full((1, 1200), 127.0)
    inputs[0, 0], codes[0, 0] = 1.0, 1
    assert_close(int8_linear(inputs, codes, torch.ones(1, 1)).double(), [[1199 * 127**2 + 1.0]], rtol=1e-12)


def test_int8_linear_takes_any_rows(rng):
    """Any axes in front are batches, and each row has its own scale."""
    codes, scales = quantize_int8(normal(rng, 4, 8))
    assert_leading_axes(lambda inputs: int8_linear(inputs, codes, scales), normal(rng, 3, 8))
    assert_rows_alone(lambda inputs: int8_linear(inputs, codes, scales, torch.ones(4)), normal(rng, 3, 8))


# --- ggml's blocks --------------------------------------------------------------------------------------------------


def test_nibbles_stand_in_both_orders(rng):
    """Codes 1, 2, 3, 4 are the bytes 0x12, 0x34 in pairs, and 0x31, 0x42 in halves."""
    codes = torch.tensor([1, 2, 3, 4], dtype=torch.uint8)
    assert packed(pack_nibbles(codes, "pairs")) == "1234"
    assert packed(pack_nibbles(codes, "halves")) == "3142"
    many = torch.from_numpy(rng.integers(0, 16, (3, 8), dtype=np.uint8))
    for order in ("pairs", "halves"):
        assert_close(unpack_nibbles(pack_nibbles(many, order), order), many, f"packed and unpacked in {order}")


def test_quantize_q8_0_is_ggmls(rng):
    """The bytes of 64 weights are those that gguf 0.19 writes; a tie goes away from zero."""
    expected = "4d1e81df3d9af856b41270cd2b89e745a2005ebb1977d53390ee4caa0866c3217fdc"
    expected += "2c1e3c96f656b0106fca2984e3439efd5db71777d1318beb4ba50565bf1f7fd93993"
    assert packed(quantize_q8_0(WEIGHT)) == expected
    ties = torch.tensor([127.0, 0.5, -0.5, 1.5, 2.5] + [0.0] * 27)
    assert_close(dequantize_q8_0(quantize_q8_0(ties))[:5], [127.0, 1.0, -1.0, 2.0, 3.0], "ties")
    weight = normal(rng, 3, 64)
    assert relative_error(weight, dequantize_q8_0(quantize_q8_0(weight))) < 0.01, "within 1 %"


def test_quantize_q4_0_by_hand():
    """The largest magnitude, 4, decides: scale 4 / -8 = -0.5, and 4 becomes -8, stored as 0."""
    weight = torch.zeros(1, 32)
    weight[0, :4], weight[0, 16:19] = torch.tensor([4.0, -1.0, 0.3, -4.0]), torch.tensor([-2.0, 1.5, 0.1])
    block = quantize_q4_0(weight)
    assert_shape(block, (1, 18), "a float16 scale and 16 bytes for 32 codes")
    assert packed(block[:, :2]) == "00b8", f"-0.5 as float16 is 00 b8, not {packed(block[:, :2])}"
    codes = unpack_nibbles(block[:, 2:], "halves")[0]
    assert_close(codes[:4], [0, 10, 7, 15], "w / scale + 8 of 4, -1, 0.3 and -4, where 16 becomes 15")
    assert_close(codes[16:20], [12, 5, 8, 8], "w / scale + 8 of -2, 1.5, 0.1 and 0")
    assert_close(dequantize_q4_0(block)[0, :4], [4.0, -1.0, 0.5, -3.5], "(code - 8) · scale")


def test_quantize_q4_0_is_ggmls():
    """The bytes of 64 weights are those that gguf 0.19 writes, of both signs."""
    expected = "402ee046acf258bd1379df358be046acf26820ae740fb953fd9731eb852fca640ea842fd"
    assert packed(quantize_q4_0(WEIGHT)) == expected, "byte by byte"
    assert packed(quantize_q4_0(-WEIGHT))[:4] == "40ae", "the other sign turns the scale's"


def test_quantize_q4_0_takes_the_first_of_equals():
    """Of 1 and -1 the first decides: its code is -8, and that of the other 7."""
    weight = torch.zeros(2, 32)
    weight[0, [3, 9]], weight[1, [3, 9]] = torch.tensor([1.0, -1.0]), torch.tensor([-1.0, 1.0])
    values = dequantize_q4_0(quantize_q4_0(weight))[:, [3, 9]]
    assert_close(values, [[1.0, -0.875], [-1.0, 0.875]], "the first is exact, the other falls one step short")


def test_quantize_q4_0_computes_with_the_unrounded_scale():
    """0.1 / -8 is -0.0125, and -0.01249695 as float16: a weight of 3.4996 float32 scales has the code 3 + 8, not 4."""
    weight = torch.zeros(32)
    weight[:2] = torch.tensor([0.1, -0.043744665])
    assert_close(unpack_nibbles(quantize_q4_0(weight)[2:], "halves")[1], 11)


def test_quantize_q4_0_errs_by_a_step_at_most(rng):
    """No weight moves by more than half a scale, or a whole one at the end that has no code of its own."""
    weight = normal(rng, 3, 5, 64)
    blocks = quantize_q4_0(weight)
    assert_shape(blocks, (3, 5, 36), "two blocks of 18 bytes in each row")
    scale = weight.unflatten(-1, (2, 32)).abs().amax(-1).repeat_interleave(32, dim=-1) / 8
    error = (dequantize_q4_0(blocks) - weight).abs() / scale
    assert error.max() <= 1.01, f"the largest error is {error.max():.3f} of a scale"
    assert (error <= 0.51).float().mean() > 0.9, "most errors are below half a scale: round to the nearest"


@pytest.mark.parametrize(("quantize", "zero"), [(quantize_q8_0, 0), (quantize_q4_0, 0x88)])
def test_ggmls_blocks_of_zeros_and_refusals(quantize, zero):
    """A block of zeros has the scale 0; broken blocks, infinite weights and scales beyond float16 are refused."""
    block = quantize(torch.zeros(32))
    assert_close(block[:2] & 127, [0, 0], "scale 0, or -0")
    assert_close(block[2:], [zero] * (len(block) - 2), "codes of zero")
    assert_refuses(lambda: quantize(torch.ones(2, 40)), "block", 40)
    assert_refuses_nonfinite(quantize, torch.ones(2, 32), "weight")
    assert_refuses(lambda: quantize(torch.full((32,), 1e8)), "weight", "float16")
    assert_unchanged(quantize, torch.ones(2, 32))
    assert_refuses(lambda: dequantize_q4_0(torch.zeros(35, dtype=torch.uint8)), "packed", 35)


# --- NF4 ------------------------------------------------------------------------------------------------------------


def test_nf4_levels_are_the_papers():
    """The 16 levels of appendix E of QLoRA."""
    levels = nf4_levels()
    assert_close(levels, NF4, rtol=1e-6)
    assert levels.dtype == torch.float32, f"levels are float32, not {levels.dtype}"


def test_nf4_levels_are_quantiles():
    """Between two neighbours lies an equal share of a normal distribution, on each side of 0."""
    shares = norm.cdf(nf4_levels().double().numpy() * norm.ppf(0.9677083))
    for name, side in (("negative", shares[:8]), ("positive", shares[7:])):
        assert_close(np.diff(side), [0.4677083 / (len(side) - 1)] * (len(side) - 1), f"{name} levels", rtol=1e-5)


def test_quantize_nf4_by_hand():
    """The largest magnitude 2 divides: -2, 0, 1 and 2 become -1, 0, 0.5 and 1, nearest to levels 0, 7, 12 and 15."""
    packed_codes, largest = quantize_nf4(torch.tensor([[-2.0, 0.0], [1.0, 2.0]]), block=4)
    assert_close(largest, [2.0], "the largest magnitude of the block")
    assert packed(packed_codes) == "07cf", f"the codes 0, 7, 12, 15 are 07 cf, not {packed(packed_codes)}"
    assert_close(dequantize_nf4(packed_codes, largest), [-2.0, 0.0, 2 * NF4[12], 2.0], "level · largest", rtol=1e-6)


def test_quantize_nf4_is_bitsandbytes():
    """The bytes of 64 weights are those that bitsandbytes 0.50.2 writes."""
    codes, largest = quantize_nf4(WEIGHT)
    assert packed(codes) == "04c16e29f3b05d17e29f3c05d18e2af4c16e18e3b05d17e29f3b05d18e2af4c1", "byte by byte"
    assert_close(largest, [0.78125], "one block of 64 unless you say otherwise")


def test_quantize_nf4_takes_the_nearest_level(rng):
    """Each weight becomes the nearest of its block's 16 levels, as a search through all of them finds it."""
    weight = normal(rng, 20, 32) * torch.logspace(-3, 3, 20)[:, None]
    codes, largest = quantize_nf4(weight, block=16)
    assert_close(largest, weight.view(40, 16).abs().amax(dim=1), "a magnitude for each 16 weights")
    scaled = weight.view(40, 16) / largest[:, None]
    nearest = (scaled[..., None] - torch.tensor(NF4)).abs().argmin(dim=-1)
    assert_close(unpack_nibbles(codes, "pairs"), nearest.flatten(), "the place of the nearest level")


def test_quantize_nf4_keeps_its_levels():
    """Weights that are levels come back as they were."""
    levels = torch.tensor(NF4)
    assert_close(dequantize_nf4(*quantize_nf4(3 * levels, block=16)), 3 * levels, rtol=1e-6)


def test_quantize_nf4_of_zeros_and_refusals(rng):
    """A block of zeros has the magnitude 0 and the codes 7; blocks that do not fit are refused."""
    weight = torch.zeros(8)
    weight[4:] = torch.tensor([0.0, 1.0, -1.0, 0.0])
    codes, largest = quantize_nf4(weight, block=4)
    assert packed(codes) == "77777f07", f"code 7 is 0; got {packed(codes)}"
    assert_close(largest, [0.0, 1.0], "the magnitude of zeros")
    assert_refuses_values(lambda block: quantize_nf4(torch.ones(12), block), "block", 5, 3, 0, 8, -2)
    assert_refuses_nonfinite(quantize_nf4, torch.ones(1, 64), "weight")
    assert not quantize_nf4(nn.Parameter(torch.ones(64)))[1].requires_grad, "the magnitudes carry a gradient"


def test_scales_are_quantised_in_their_turn(rng):
    """Double quantisation keeps magnitudes within half a step of their group, around the mean."""
    scales = normal(rng, 600).abs() + 1
    codes, steps, mean = quantize_scales(scales)
    assert_shape(steps, (3,), "256, 256 and 88 magnitudes share a step")
    assert_close(mean, scales.mean(), "codes are of differences from the mean")
    error = (dequantize_scales(codes, steps, mean) - scales).abs() / steps.repeat_interleave(256)[:600]
    assert error.max() <= 0.501, f"the largest error is {error.max():.3f} of a step"


# --- layers and models ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "bits"), [("int8", 8.25), ("q8_0", 8.5), ("q4_0", 4.5), ("nf4", 4.1328125)])
def test_a_quantised_layer_computes_with_its_weights(kind, bits, rng):
    """It gives W x + b with the rounded W, in parts of few rows, and says how many bits a weight takes."""
    linear, inputs = nn.Linear(128, 96), normal(rng, 2, 3, 128)
    linear.weight.data, linear.bias.data = normal(rng, 96, 128), normal(rng, 96)
    layer = QuantizedLinear(linear, kind, rows=40)
    assert relative_error(linear.weight, layer.weight) < (0.01 if "8" in kind else 0.12)
    error = relative_error(nn.functional.linear(inputs, layer.weight, linear.bias), layer(inputs))
    assert error < (0.01 if kind == "int8" else 1e-5), f"W x + b is missed by {100 * error:.3f} %"
    assert_close(layer.bits_per_weight, bits, "all that is kept, scales included", rtol=2e-3)


@pytest.mark.parametrize("convention", module_conventions(without=LEFT_OUT))
def test_a_quantised_layer_is_a_module(convention, rng):
    """It keeps PyTorch's conventions; codes are bytes in every dtype."""
    convention(lambda: QuantizedLinear(nn.Linear(64, 6), "nf4"), normal(rng, 3, 2, 64))


def test_quantize_model_leaves_what_it_must(rng):
    """Layers whose blocks do not fit, that are named in skip, or that share their weight stay; others are swapped."""
    model: Any = nn.Sequential(nn.Embedding(5, 64), nn.Linear(64, 32), nn.Linear(32, 64), nn.Linear(64, 5, bias=False))
    model[3].weight = model[0].weight
    assert quantize_model(model, "nf4") == ["1"], "32 inputs are no block of 64, and layer 3 is the embedding"
    assert quantize_model(model, "q4_0", skip=["2"]) == [], "skip names a layer that stays"
    assert_refuses(lambda: quantize_model(model, "q4_0", skip=["1"]), "skip", "1")
    assert_refuses(lambda: quantize_model(model, "int4"), "kind", "int4")  # pyright: ignore[reportArgumentType]
    assert_refuses(lambda: QuantizedLinear(nn.Linear(48, 2), "q8_0"), "kind", 48)
