"""all-MiniLM-L6-v2 as an ONNX graph in int8, written node by node from its weights.

No exporter is involved, so neither PyTorch nor a trace of one example is: the graph is the paper's formula, and
padding is handled where it matters, in the attention and in the mean.

Rounding to 8 bits costs accuracy where one scale must serve many numbers. Weights have one scale for each output;
inputs have one for each token, unlike those of ONNX Runtime's own dynamic quantisation, whose single scale for a whole
batch makes the vector of a text depend on the texts beside it. With per-token scales it does not.

One file serves every processor. x86 without VNNI sums two neighbouring products of 8-bit integers in 16 bits, and cuts
off without a word what does not fit (`vpmaddubsw`). Weights are therefore scaled so that no two neighbours sum to more
than 128 (`whole_numbers`), which costs a fraction of a bit; seven bits for every weight would cost a whole one.

Sources: Vaswani et al. (2017), "Attention is all you need"; Devlin et al. (2019), "BERT"; Reimers and Gurevych (2019),
"Sentence-BERT", for the mean over tokens; Jacob et al. (2018), "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"  # ONNX Runtime's fused operators
HIDDEN, HEADS, LAYERS = 384, 12, 6
EPSILON = 1e-12
GELU_LEAST = 0.17  # GELU is never below -0.16998, so GELU + 0.17 needs no sign: all 8 bits for its size


class Graph:
    """A graph that grows node by node; every node is known by the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """A constant tensor."""
        name = f"constant{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value, dtype), name)
        return name

    def node(self, kind: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> str:
        """A node with one output; an input that is left out is an empty name."""
        output = output or f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], domain=domain, **attributes))
        return output

    def serialized(self, inputs: list[Any], outputs: list[Any]) -> bytes:
        """The finished model."""
        graph = helper.make_graph(self.nodes, "model", inputs, outputs, list(self.constants.values()))
        versions = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=versions, ir_version=10).SerializeToString()


def whole_numbers(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The columns of `weights` (inputs, outputs) as 8-bit integers, and the scale of each column.

    A column's scale is the finest that keeps every weight, and every sum of two neighbours (rows 0 and 1, 2 and 3, …),
    within ±127 before rounding, so within ±128 after. Two products with unsigned bytes then sum to at most
    255 · 128 = 32,640, and 16 bits hold 32,767.
    """
    pairs = np.abs(weights[0::2] + weights[1::2]).max(axis=0)
    scale = np.maximum(np.maximum(np.abs(weights).max(axis=0), pairs), 1e-12) / 127
    return np.rint(weights / scale).astype(np.int8), scale


def build(weights: Mapping[str, np.ndarray]) -> bytes:
    """The model from tokens to unit vectors, as ONNX.

    It takes `ids` (batch, tokens) int64 and `mask` (batch, tokens) int32, 1 where there is a token, and gives `vectors`
    (batch, 384) float32.

    Args:
        weights: the tensors of the model by their names in its file.
    """
    g = Graph()

    def layer_norm(x: str, key: str) -> str:
        gain, bias = (g.constant(weights[f"{key}.LayerNorm.{name}"]) for name in ("weight", "bias"))
        return g.node("LayerNormalization", x, gain, bias, axis=-1, epsilon=EPSILON)

    def rounded(x: str, shift: float = 0.0) -> tuple[str, str, float]:
        """Every row as 8-bit integers, its scale, and what was added first to make it nonnegative."""
        sized = g.node("Add", x, g.constant(shift)) if shift else g.node("Abs", x)
        largest = g.node("ReduceMax", sized, g.constant([1], np.int64), keepdims=0)  # (rows,)
        scale = g.node("Mul", largest, g.constant(1 / (255 if shift else 127)))
        scale = g.node("Max", scale, g.constant(1e-12))  # a row of zeros has no scale
        zero = g.node("Expand", g.constant(0 if shift else 128, np.uint8), g.node("Shape", scale))
        integers = g.node("QuantizeLinear", sized if shift else x, scale, zero, axis=0)
        return integers, g.node("Unsqueeze", scale, g.constant([1], np.int64)), shift

    def dense(x: tuple[str, str, float], key: str) -> str:
        """`x @ W + b`, multiplied in 8 bits and summed in 32."""
        integers, row_scale, shift = x
        w_integers, column_scale = whole_numbers(weights[f"{key}.weight"].T)
        zero = g.constant(0 if shift else 128, np.uint8)
        products = g.node(
            "MatMulIntegerToFloat",
            integers, g.constant(w_integers, np.int8), g.constant(1.0), g.constant(column_scale), zero,
            domain=MICROSOFT,
        )  # fmt: skip
        # What was added to every entry of a row added the sums of the columns; they are taken off with the bias.
        bias = weights[f"{key}.bias"] - shift * (w_integers * column_scale).sum(axis=0)
        return g.node("Add", g.node("Mul", products, row_scale), g.constant(bias))

    # 1. Words and their places, one row for each token of the batch.
    words = g.node("Gather", g.constant(weights["embeddings.word_embeddings.weight"]), "ids")
    places = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    tokens = g.node("Shape", "ids", start=1, end=2)
    start, axis = g.constant([0], np.int64), g.constant([0], np.int64)
    x = g.node("Add", words, g.node("Slice", g.constant(places), start, tokens, axis))
    batched, flat = g.node("Shape", x), g.constant([-1, HIDDEN], np.int64)
    x = g.node("Reshape", layer_norm(x, "embeddings"), flat)  # (batch × tokens, 384)

    # 2. Six times: look at the other tokens of the text, then think about each alone.
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        x_rounded = rounded(x)
        query, key, value = (
            g.node("Reshape", dense(x_rounded, f"{layer}.attention.self.{name}"), batched)
            for name in ("query", "key", "value")
        )
        attended = g.node(
            "MultiHeadAttention", query, key, value, "", "mask", domain=MICROSOFT, num_heads=HEADS
        )  # the empty input is its bias; it scales by 1 / √32 itself
        attended = dense(rounded(g.node("Reshape", attended, flat)), f"{layer}.attention.output.dense")
        x = layer_norm(g.node("Add", attended, x), f"{layer}.attention.output")
        thought = g.node("Gelu", dense(rounded(x), f"{layer}.intermediate.dense"), domain=MICROSOFT)
        thought = dense(rounded(thought, GELU_LEAST), f"{layer}.output.dense")
        x = layer_norm(g.node("Add", thought, x), f"{layer}.output")

    # 3. The mean over a text's tokens, padding left out. Only its direction is wanted, so the sum will do.
    weight_of_token = g.node("Unsqueeze", g.node("Cast", "mask", to=TensorProto.FLOAT), g.constant([1], np.int64))
    summed = g.node("MatMul", weight_of_token, g.node("Reshape", x, batched))  # (batch, 1, 384)
    summed = g.node("Squeeze", summed, g.constant([1], np.int64))
    g.node("LpNormalization", summed, axis=-1, p=2, output="vectors")
    shapes = (("ids", TensorProto.INT64), ("mask", TensorProto.INT32))
    return g.serialized(
        [helper.make_tensor_value_info(name, kind, ["batch", "tokens"]) for name, kind in shapes],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", HIDDEN])],
    )
