"""Explorables of quantization: where levels stand, one block of Q4_0, and what fits on a card."""

from __future__ import annotations

from typing import Annotated, Literal

import plotly.graph_objects as go
import torch
from torch import Tensor, nn

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.generative.quantization import (
    QuantizedLinear,
    dequantize_nf4,
    dequantize_q4_0,
    nf4_levels,
    quantize_nf4,
    quantize_q4_0,
    relative_error,
    unpack_nibbles,
)

torch.set_num_threads(1)  # matrices this small are slower on two


def _draw(weights: str, count: int = 16_384) -> Tensor:
    """Weights at even steps of probability, in a shuffled order."""
    shares = (torch.randperm(count, generator=torch.Generator().manual_seed(0)) + 0.5) / count
    normal = torch.special.ndtri(shares)
    return {"normal": normal, "even": 2 * shares - 1, "long tails": normal * normal.abs()}[weights]


@figure("Where sixteen levels stand")
def levels(
    weights: Literal["normal", "even", "long tails"] = "normal",
    kind: Literal["even steps", "NF4"] = "NF4",
    block: Annotated[int, Range(5, 12)] = 6,
) -> go.Figure:
    """Weights divided by the largest magnitude of their block of 2^block, and how many of them take each level.

    Compare the errors of both kinds for each shape of weights: quantiles of the normal distribution win where weights
    are normal, even steps where they are even. Make blocks larger: the largest of more weights is farther out, and
    fewer levels are left to the others.
    """
    drawn, size = _draw(weights), 2**block
    packed, largest = quantize_nf4(drawn, size)
    places = nf4_levels() if kind == "NF4" else torch.arange(-7, 8) / 7
    blocks = drawn.view(-1, size) / largest[:, None]
    if kind == "NF4":
        codes, rounded = unpack_nibbles(packed, "pairs"), dequantize_nf4(packed, largest)
    else:
        codes = ((blocks * 7).round() + 7).flatten()
        rounded = ((codes.view(-1, size) - 7) / 7 * largest[:, None]).flatten()
    shares = torch.bincount(codes.long(), minlength=len(places)) / len(drawn)
    density = torch.histc(blocks, 60, -1, 1) / len(drawn)
    plot = go.Figure()
    middles = [(2 * place + 1) / 60 - 1 for place in range(60)]
    plot.add_bar(x=middles, y=(100 * density).tolist(), name="weights", marker_color=GREY)
    plot.add_scatter(
        x=places.tolist(), y=(100 * shares).tolist(), name="a level's share", mode="markers", marker_color=ORANGE
    )
    headline(plot, f"error {100 * relative_error(drawn, rounded):.1f} % of the weights' size")
    plot.update_xaxes(title="weight / largest magnitude of its block", range=[-1.05, 1.05])
    plot.update_yaxes(title="share of the weights, %", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("One block of Q4_0")
def block(
    largest: Annotated[float, Range(-4, 4, step=0.25)] = 2.0,
    opposite: Annotated[float, Range(0, 1, step=0.05)] = 0.9,
) -> go.Figure:
    """32 weights, and what is left of them in 18 bytes; one has the value that you choose.

    Another has the opposite sign, and a share of its size. Change the sign of the first: the scale changes its own.
    Move the opposite to 1: it has no code, and ends one step short, at 7 of 8.
    """
    generator = torch.Generator().manual_seed(1)
    weight = 0.3 * torch.randn(32, generator=generator).clamp(-2, 2)
    weight[9], weight[22] = largest, -opposite * largest
    data = quantize_q4_0(weight)
    rounded = dequantize_q4_0(data)
    places = list(range(32))
    plot = go.Figure()
    plot.add_scatter(x=places, y=weight.tolist(), name="weights", mode="markers", marker_color=GREY)
    plot.add_scatter(x=places, y=rounded.tolist(), name="in Q4_0", mode="markers", marker_color=ORANGE)
    scale = float(data[:2].view(torch.float16))
    codes = unpack_nibbles(data[2:], "halves").tolist()
    headline(plot, f"scale {scale:.4f}; codes {codes[9]} and {codes[22]}; error {relative_error(weight, rounded):.1%}")
    plot.update_xaxes(title="place in the block; 9 and 22 are yours")
    plot.update_yaxes(title="weight", range=[-4.3, 4.3])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What fits on a card")
def card(
    billions: Annotated[float, Range(0.5, 70, step=0.5)] = 8.0,
    tokens: Annotated[int, Range(1, 128)] = 8,
    gigabytes: Annotated[int, Range(4, 80, step=4)] = 8,
) -> go.Figure:
    """Gigabytes of a model in each format, with the cache of as many thousand tokens, beside your card's memory.

    Linear layers are quantised; an embedding and a last layer of 128,000 words by 4,096 stay in 16 bits, and so does
    the cache, 128 KiB a token (32 layers, 8 heads of 128 for keys and values). Lengthen the text: the cache overtakes.
    """
    kinds: tuple[Literal["int8", "q8_0", "q4_0", "nf4"], ...] = ("int8", "q8_0", "q4_0", "nf4")
    bits = {"float16": 16.0} | {kind: QuantizedLinear(nn.Linear(4096, 16), kind).bits_per_weight for kind in kinds}
    kept = min(1.05, billions / 2)
    layers = [size / 8 * (billions - kept) for size in bits.values()]
    cache = 128 * 1024 * tokens * 1000 / 1e9
    plot = go.Figure()
    for name, colour, values in (
        ("linear layers", BLUE, layers),
        ("embedding, last layer", GREEN, [2 * kept] * len(bits)),
        ("cache", ORANGE, [cache] * len(bits)),
    ):
        plot.add_bar(x=list(bits), y=values, name=name, marker_color=colour)
    line = {"color": RED, "dash": "dash"}
    plot.add_scatter(x=["float16", "nf4"], y=[gigabytes] * 2, name="your card", mode="lines", line=line)
    fitting = [kind for kind, size in zip(bits, layers, strict=True) if size + 2 * kept + cache <= gigabytes]
    headline(plot, f"fits: {', '.join(fitting) or 'none'}; NF4 takes {layers[-1] + 2 * kept + cache:.1f} GB")
    plot.update_layout(barmode="stack", legend=LEGEND_BELOW)
    plot.update_xaxes(title="format of the linear layers")
    plot.update_yaxes(title="memory, GB", rangemode="tozero")
    return plot
