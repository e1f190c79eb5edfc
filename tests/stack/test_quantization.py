"""`generative/quantization` against what reads its formats: gguf, ONNX Runtime, and bytes that bitsandbytes wrote.

bitsandbytes is no dependency: wherever it is installed transformers and peft import it, 124 MB and seconds of it. Its
bytes were written once by version 0.50.2, of weights that every machine computes alike. To write them anew:

    uv run --all-extras --group dev --with bitsandbytes==0.50.2 python tests/stack/test_quantization.py
"""

import hashlib
import struct

import gguf
import numpy as np
import pytest
import torch
from torch import Tensor

from groundup.stack.generative.quantization import (
    dequantize_affine,
    dequantize_nf4,
    dequantize_q4_0,
    dequantize_q8_0,
    nf4_levels,
    quantize_affine,
    quantize_nf4,
    quantize_q4_0,
    quantize_q8_0,
)

BITSANDBYTES = {
    "codes": "4e5aa229cf6c0558",
    "largest": "78ba9b5e360c9617",
    "weights": "841b1db3c04a5172",
    "levels": "8501941daa1b8a90",
}


def weights() -> Tensor:
    """96 rows of 256 weights of many sizes, by whole numbers and one division, with zeros, ties and both signs."""
    numbers = (torch.arange(96 * 256, dtype=torch.int64) * 7919 + 104729).remainder(20011) - 10005
    rows = (numbers.view(96, 256).float() / 1024) * 2.0 ** (torch.arange(96) % 24 - 12)[:, None]
    rows[3], rows[5, :64], rows[7, 64:128] = 0.0, 0.5, -0.25
    rows[9, ::2], rows[9, 1::2] = 1.0, -1.0
    return rows


def digest(values: Tensor) -> str:
    return hashlib.sha256(values.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("kind", "quantize", "dequantize"),
    [
        (gguf.GGMLQuantizationType.Q8_0, quantize_q8_0, dequantize_q8_0),
        (gguf.GGMLQuantizationType.Q4_0, quantize_q4_0, dequantize_q4_0),
    ],
)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ggmls_blocks_equal_ggufs_byte_for_byte(kind, quantize, dequantize, seed: int) -> None:
    normal = torch.randn(64, 320, generator=torch.Generator().manual_seed(seed)) * torch.logspace(-4, 3, 64)[:, None]
    for weight in (normal, weights(), normal.view(8, 8, 320)):
        expected = gguf.quants.quantize(weight.numpy(), kind)
        assert np.array_equal(quantize(weight).numpy(), expected)
        assert np.array_equal(dequantize(torch.from_numpy(expected)).numpy(), gguf.quants.dequantize(expected, kind))


def test_nf4_levels_are_bitsandbytes_to_the_last_bit() -> None:
    assert digest(nf4_levels()) == BITSANDBYTES["levels"]


def test_nf4_is_bitsandbytes_byte_for_byte() -> None:
    codes, largest = quantize_nf4(weights())
    assert digest(codes) == BITSANDBYTES["codes"]
    assert digest(largest) == BITSANDBYTES["largest"]
    assert digest(dequantize_nf4(codes, largest)) == BITSANDBYTES["weights"]


def test_affine_codes_are_onnx_runtimes() -> None:
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    helper, kinds = onnx.helper, onnx.TensorProto
    names = ("codes", "scale", "zero")
    graph = helper.make_graph(
        [helper.make_node("DynamicQuantizeLinear", ["x"], list(names))],
        "affine",
        [helper.make_tensor_value_info("x", kinds.FLOAT, ["n"])],
        [
            helper.make_tensor_value_info(name, kind, shape)
            for name, kind, shape in zip(names, (kinds.UINT8, kinds.FLOAT, kinds.UINT8), (["n"], [], []), strict=True)
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = torch.cat([weights()[:24], weights()[:24].abs(), -weights()[:24].abs()])
    for row in rows:
        codes, scale, zero = session.run(None, {"x": row.numpy()})
        ours = quantize_affine(row)
        assert ours[1].item() == pytest.approx(scale if row.any() else 0, rel=1e-6)  # theirs is 1 for zeros
        assert ours[2].item() == zero
        assert np.array_equal(ours[0].numpy(), codes)
        assert dequantize_affine(*ours)[row == 0].eq(0).all()


def test_a_damaged_block_is_refused() -> None:
    with pytest.raises(ValueError, match="packed must have rows of whole blocks of 18 bytes, got 17 bytes"):
        dequantize_q4_0(quantize_q4_0(torch.ones(32))[:-1])
    assert struct.unpack("<e", bytes(quantize_q4_0(torch.ones(32))[:2].numpy())) == (-0.125,)


if __name__ == "__main__":
    import bitsandbytes.functional  # pyright: ignore[reportMissingImports]

    packed, state = bitsandbytes.functional.quantize_4bit(weights(), blocksize=64, quant_type="nf4")
    parts = {"codes": packed, "largest": state.absmax, "levels": state.code}
    parts["weights"] = bitsandbytes.functional.dequantize_4bit(packed, state)
    print({name: digest(part) for name, part in parts.items()})
