"""Explorables of LoRA: a change of low rank, what trains and what it costs, and a base in four bits."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import plotly.graph_objects as go
import torch
from torch import Tensor, nn

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.generative.lora import LoRALinear, QuantizedLinear, quantize

SIDE = 32

torch.set_num_threads(1)  # matrices this small are slower on two


@lru_cache(maxsize=16)
def _change(rank: int, noise: float) -> Tensor:
    """A change of the weights that has so many directions of about equal size, and a little of all others."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(SIDE, SIDE, generator=generator)).Q for _ in range(2))
    sizes = torch.full((SIDE,), noise)
    sizes[:rank] += torch.linspace(1.5, 0.8, rank)
    return left @ sizes.diag() @ right


@figure("A change of low rank")
def low_rank(
    needed: Annotated[int, Range(1, 16)] = 4,
    rank: Annotated[int, Range(1, 32)] = 4,
    noise: Annotated[float, Range(0, 0.5, step=0.05)] = 0.1,
) -> go.Figure:
    """The singular values of the change that a task needs, and of the best adapter of the rank that you choose.

    Raise the rank to the number of directions that the task needs: more brings little. Raise the noise, and every
    direction counts a little: then only a large rank brings the change whole.
    """
    change = _change(needed, noise)
    U, sizes, V = torch.linalg.svd(change)
    layer = LoRALinear(nn.Linear(SIDE, SIDE, bias=False), rank, alpha=rank)
    layer.lora_A.weight.data = sizes[:rank, None] * V[:rank]
    layer.lora_B.weight.data = U[:, :rank]
    update = layer.merged().weight.detach() - layer.base_layer.weight.detach()
    share = 1 - float((change - update).square().sum() / change.square().sum())
    plot = go.Figure()
    order = list(range(1, SIDE + 1))
    plot.add_bar(x=order, y=sizes.tolist(), name="needed", marker_color=GREY)
    plot.add_bar(x=order, y=torch.linalg.svdvals(update).tolist(), name="adapter", marker_color=BLUE)
    trained = sum(part.weight.numel() for part in (layer.lora_A, layer.lora_B))
    headline(plot, f"{100 * share:.0f} % of the change, by {trained} of {SIDE * SIDE} weights")
    plot.update_xaxes(title="direction")
    plot.update_yaxes(title="size (singular value)", range=[0, 2.1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What a fine-tune needs in memory")
def memory(
    billions: Annotated[float, Range(0.5, 70, step=0.5)] = 7.0,
    rank: Annotated[int, Range(1, 256)] = 16,
    width: Annotated[int, Range(512, 8192, step=512)] = 4096,
) -> go.Figure:
    """Gigabytes for weights, gradients and Adam's two moments, with an adapter on every square layer of the model.

    Three ways: every weight trains (16-bit weights, 32-bit copies and moments), LoRA on a 16-bit base, LoRA on a base
    of 4 bits. Activations come on top, and are the same in all three. Move the rank: the base decides, not the adapter.
    """
    weights = billions * 1e9
    adapters = weights / width**2 * 2 * rank * width
    ways = {
        "full": (2 * weights, 2 * weights, 12 * weights),
        "LoRA": (2 * weights + 2 * adapters, 2 * adapters, 12 * adapters),
        "LoRA, 4 bits": (0.5625 * weights + 2 * adapters, 2 * adapters, 12 * adapters),  # 4 bits and 16 for each 32
    }
    plot = go.Figure()
    for place, (name, colour) in enumerate((("weights", BLUE), ("gradients", ORANGE), ("optimiser", GREEN))):
        values = [part[place] / 1e9 for part in ways.values()]
        plot.add_bar(x=list(ways), y=values, name=name, marker_color=colour)
    totals = [sum(part) / 1e9 for part in ways.values()]
    headline(plot, f"{totals[0]:,.0f} GB in full, {totals[1]:,.1f} with LoRA, {totals[2]:,.1f} with 4 bits")
    plot.update_xaxes(title="way of tuning")
    plot.update_yaxes(title="memory, GB (log)", type="log", range=[-2, 3.3])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("A base in four bits")
def four_bits(
    group: Annotated[int, Range(1, 7)] = 5,
    outlier: Annotated[float, Range(0, 1, step=0.05)] = 0.3,
) -> go.Figure:
    """128 weights of one row, and what is left of them in 4 bits, with a scale for each 2^group neighbours.

    One weight is an outlier. Make it larger: its whole group loses levels, and with one scale for all 128 nothing but
    the outlier is left. Make groups smaller: the damage stays near it, and scales cost more bits.
    """
    generator = torch.Generator().manual_seed(1)
    linear = nn.Linear(128, 1, bias=False)
    linear.weight.data = 0.05 * torch.randn(1, 128, generator=generator)
    linear.weight.data[0, 40] += outlier
    rounded = QuantizedLinear(linear, 2**group).weight[0]
    _, scales = quantize(linear.weight, 2**group)
    weights = linear.weight.data[0]
    error = float((rounded - weights).square().mean().sqrt() / weights.square().mean().sqrt())
    places = list(range(128))
    plot = go.Figure()
    plot.add_scatter(x=places, y=linear.weight[0].tolist(), name="weights", mode="markers", marker_color=GREY)
    plot.add_scatter(x=places, y=rounded.tolist(), name="in 4 bits", mode="markers", marker_color=ORANGE)
    bits = 4 + 16 * scales.numel() / 128
    headline(plot, f"error {100 * error:.1f} % of the weights' size, at {bits:.2f} bits a weight")
    plot.update_xaxes(title="place in the row")
    plot.update_yaxes(title="weight", range=[-0.25, 1.15])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
