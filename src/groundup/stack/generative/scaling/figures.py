"""Explorables of scaling: what fits on a card, what training keeps, and the numbers that float16 loses."""

from __future__ import annotations

from typing import Annotated, Literal

import plotly.graph_objects as go
import torch

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.generative.scaling import GB, MODELS, count_parameters, longest_context, training_memory

torch.set_num_threads(1)  # matrices this small are slower on two


@figure("What fits?")
def fits(
    memory: Annotated[int, Range(4, 80)] = 8,
    bits: Literal["16", "8.5", "4.5"] = "4.5",
    reserve: Annotated[float, Range(0, 8, step=0.5)] = 2.0,
) -> go.Figure:
    """Tokens of context that fit beside the weights of open models, on a card of so many gigabytes.

    8.5 and 4.5 bits are codes of 8 and 4 bits with a scale for each 32 weights. A model without a bar does not fit.
    Raise the reserve: room for adapters' gradients and activations comes out of the context.
    """
    names = list(MODELS)
    lengths = [longest_context(MODELS[name], memory * GB, float(bits), reserve=reserve * GB) for name in names]
    sizes = [sum(count_parameters(MODELS[name]).values()) * float(bits) / 8 / GB for name in names]
    plot = go.Figure()
    labels = [f"{name}, {size:.1f} GB" for name, size in zip(names, sizes, strict=True)]
    plot.add_bar(x=labels, y=lengths, marker_color=BLUE, text=[f"{length:,}" for length in lengths])
    fit = sum(length > 0 for length in lengths)
    headline(plot, f"{fit} of {len(names)} models fit in {memory} GB with {reserve:g} GB left free")
    plot.update_xaxes(title="model, and its weights")
    plot.update_yaxes(title="longest context, tokens", rangemode="tozero")
    return plot


@figure("What a training step keeps")
def training(
    batch: Annotated[int, Range(1, 64)] = 8,
    context: Annotated[int, Range(128, 8192, step=128)] = 1024,
    precision: Literal["float32", "mixed"] = "float32",
) -> go.Figure:
    """Gigabytes of weights, gradients, AdamW's moments and activations for three open models.

    Weights cost the same whatever the batch. Raise batch or context: activations soon are most of it. Mixed precision
    shortens activations alone, and adds a copy of the weights.
    """
    names = ["GPT-2", "SmolLM2 135M", "Llama 3.2 1B"]
    memories = [training_memory(MODELS[name], batch, context, precision) for name in names]
    plot = go.Figure()
    for part, colour in zip(memories[0], (BLUE, ORANGE, GREEN, GREY), strict=True):
        plot.add_bar(x=names, y=[memory[part] / GB for memory in memories], name=part, marker_color=colour)
    totals = [sum(memory.values()) / GB for memory in memories]
    headline(plot, ", ".join(f"{total:.0f}" for total in totals) + " GB in all")
    plot.update_xaxes(title="model")
    plot.update_yaxes(title="memory, GB", rangemode="tozero")
    plot.update_layout(barmode="stack", legend=LEGEND_BELOW)
    return plot


@figure("Gradients that float16 loses")
def scale(
    exponent: Annotated[int, Range(0, 30)] = 0,
    size: Annotated[int, Range(-30, -5)] = -28,
) -> go.Figure:
    """20,000 gradients of a typical size of 2^size, times a loss scale of 2^exponent, and what float16 makes of them.

    Without a scale most become 0. Raise the scale until none do. Go on, and the largest overflow: the step is skipped.
    """
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(20_000, generator=generator, dtype=torch.float64)
    gradients = torch.exp2(size + exponent + 3 * spread)
    half = gradients.half()
    lost, overflown = (half == 0), half.isinf()
    powers = gradients.log2()
    plot = go.Figure()
    bins = {"start": -50, "end": 50, "size": 1}
    for name, chosen, colour in (
        ("0 in float16", lost, ORANGE),
        ("kept", ~lost & ~overflown, BLUE),
        ("infinite", overflown, RED),
    ):
        plot.add_histogram(x=powers[chosen].tolist(), name=name, xbins=bins, marker_color=colour)
    headline(plot, f"{100 * lost.double().mean():.1f} % lost, {int(overflown.sum())} overflow")
    plot.update_xaxes(title="size of a scaled gradient, power of 2", range=[-50, 50])
    plot.update_yaxes(title="gradients")
    plot.update_layout(barmode="stack", legend=LEGEND_BELOW)
    return plot
