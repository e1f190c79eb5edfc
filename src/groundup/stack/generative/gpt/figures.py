"""Explorables of GPT: what RoPE does to products, what grouped queries save, and a schedule of learning rates."""

from __future__ import annotations

from typing import Annotated

import plotly.graph_objects as go
import torch

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, COLOURS, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.generative.gpt import GPT, Config, cosine_schedule, rope

torch.set_num_threads(1)  # matrices this small are slower on two


@figure("What RoPE does to a product")
def distances(
    base: Annotated[int, Range(10, 20_000, step=10)] = 10_000,
    dim: Annotated[int, Range(2, 128, step=2)] = 64,
    start: Annotated[int, Range(0, 500)] = 0,
) -> go.Figure:
    """The product of a query of ones with a key of ones, by how far apart they stand, as a share of what it is at 0.

    Move both along the text: nothing changes, only distances count. Take a smaller base: the product falls and comes
    back sooner, and far tokens look near. Take two numbers only: one pair, which is a clock with a single hand.
    """
    reach = torch.arange(257)
    ones = torch.ones(257, dim)
    query = rope(ones[0], torch.tensor(start), base)
    products = rope(ones, start + reach, base) @ query / dim
    half = dim // 2
    slowest = 2 * torch.pi * base ** ((half - 1) / half)
    plot = go.Figure()
    plot.add_scatter(x=reach.tolist(), y=products.tolist(), mode="lines", line_color=BLUE, name="product")
    plot.add_hline(y=0, line_color=GREY, line_dash="dash")
    headline(plot, f"the slowest of {half} pairs comes back after {slowest:,.0f} tokens")
    plot.update_xaxes(title="distance, tokens")
    plot.update_yaxes(title="product, share of that at distance 0", range=[-1.1, 1.1])
    return plot


@figure("Where the weights are, and the cache")
def weights(
    layers: Annotated[int, Range(1, 80)] = 32,
    width: Annotated[int, Range(256, 8192, step=256)] = 4096,
    kv_heads: Annotated[int, Range(1, 32)] = 8,
    context: Annotated[int, Range(1024, 131_072, step=1024)] = 8192,
) -> go.Figure:
    """Millions of weights by part, of a Llama with 32 heads and 128,000 tokens of vocabulary; the line tells its cache.

    The feed-forward layers hold most. Lower the heads of keys and values: weights hardly change, and the cache of one
    sequence, in 16-bit numbers, shrinks in proportion.
    """
    shared = max(k for k in (1, 2, 4, 8, 16, 32) if k <= kv_heads)
    with torch.device("meta"):  # shapes without numbers
        config = Config(128_000, 1, 32, width, context, shared, tied=False)
        model = GPT(config)
    counts = {"embedding and last layer": 0, "attention": 0, "feed-forward": 0}
    for name, parameter in model.named_parameters():
        part = next((part for part in ("attention.", "feed_forward.") if part in name), "")
        key = {"attention.": "attention", "feed_forward.": "feed-forward"}.get(part, "embedding and last layer")
        counts[key] += parameter.numel() * (layers if part else 1)
    cache = 2 * layers * shared * config.head_dim * context * 2 / 2**30
    plot = go.Figure()
    plot.add_bar(x=list(counts), y=[count / 1e6 for count in counts.values()], marker_color=list(COLOURS[:3]))
    total = sum(counts.values()) / 1e9
    headline(plot, f"{total:.1f} billion weights, and a cache of {cache:.2f} GiB with {shared} kv heads")
    plot.update_xaxes(title="part")
    plot.update_yaxes(title="weights, millions", rangemode="tozero")
    return plot


@figure("Warm-up and cosine")
def schedule(
    warmup: Annotated[int, Range(0, 500, step=10)] = 100,
    total: Annotated[int, Range(500, 2000, step=50)] = 1000,
    floor: Annotated[float, Range(0, 1, step=0.05)] = 0.1,
) -> go.Figure:
    """The learning rate of each step as a share of its peak, beside a straight line down.

    Take the warm-up away: the first steps, when AdamW's moments rest on a few batches, are the longest. Raise the
    floor: the end of the run still moves, and its loss is noisier.
    """
    steps = list(range(0, 2001, 5))
    plot = go.Figure()
    rates = [cosine_schedule(step, warmup, total, 1.0, floor) for step in steps]
    plot.add_scatter(x=steps, y=rates, name="cosine", mode="lines", line_color=BLUE)
    line = {"color": ORANGE, "dash": "dash"}
    plot.add_scatter(x=[warmup, total, 2000], y=[1.0, floor, floor], name="straight", mode="lines", line=line)
    mean = sum(cosine_schedule(step, warmup, total, 1.0, floor) for step in range(total)) / total
    headline(plot, f"over {total} steps the mean is {mean:.2f} of the peak")
    plot.update_xaxes(title="step")
    plot.update_yaxes(title="learning rate, share of the peak", range=[0, 1.1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
