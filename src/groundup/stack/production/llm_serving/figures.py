"""Explorables of LLM serving: slots over the steps, memory by the size of a block, and who has which block."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import plotly.graph_objects as go
import torch

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, COLOURS, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.generative.gpt import Config
from groundup.stack.production.llm_serving import Engine, PagedCache, Request

SHAPE = Config(vocabulary=2, layers=1, heads=1, width=2, context=512)


def quick(tokens, positions, mask, cache) -> torch.Tensor:
    """A model that computes nothing: schedules depend on lengths, and not on what is written."""
    return torch.zeros(1, tokens.shape[1], 2)


def answers(count: int, mean: float, seed: int = 2) -> list[int]:
    """Draw lengths of answers: geometric, at most 40."""
    return np.minimum(np.random.default_rng(seed).geometric(1 / mean, count), 40).tolist()


@figure("Slots over the steps")
def steps(
    slots: Annotated[int, Range(2, 12)] = 6,
    mean: Annotated[float, Range(2, 20, step=1)] = 8.0,
) -> go.Figure:
    """Slots in use at each step, for 24 requests that come at once: batches that wait for their longest, and none.

    The area under both lines is the same: the tokens that were written. The more lengths differ, the more a static
    batch waits.
    """
    lengths = answers(24, mean)
    static: list[int] = []
    for start in range(0, len(lengths), slots):
        batch = np.array(lengths[start : start + slots])
        static += [int((batch > step).sum()) for step in range(batch.max())]
    engine = Engine(quick, PagedCache(SHAPE, 200, 4), slots, 4 * slots, reuse=False)
    for length in lengths:
        engine.submit([1], length)
    busy = []
    while engine.busy:
        busy.append(len(engine.step()))
    plot = go.Figure()
    for name, values, colour in (("static", static, ORANGE), ("continuous", busy, BLUE)):
        plot.add_scatter(y=values, name=name, line={"color": colour, "shape": "hv"})
    plot.add_hline(y=slots, line={"color": GREY, "dash": "dot"})
    headline(plot, f"{len(static)} steps static, {len(busy)} continuous, for {sum(lengths)} tokens")
    plot.update_xaxes(title="step of the model")
    plot.update_yaxes(title="slots in use", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Memory by the size of a block")
def memory(
    size: Annotated[int, Range(1, 64)] = 16,
    longest: Annotated[int, Range(64, 512, step=64)] = 256,
) -> go.Figure:
    """Slots that hold a token, that are empty in the last block, and that would be reserved for the longest text.

    Twelve texts that are half done. A block of one token wastes nothing, but every token then needs an entry in the
    table. A block of the longest text is reservation.
    """
    held = np.array([length * 3 for length in answers(12, 10.0, seed=5)])
    paged = -(-held // size) * size
    names = [f"text {number}" for number in range(1, 13)]
    plot = go.Figure()
    plot.add_bar(x=names, y=held, name="tokens", marker_color=BLUE)
    plot.add_bar(x=names, y=paged - held, name="empty in the last block", marker_color=ORANGE)
    line = {"color": GREY, "dash": "dash"}
    plot.add_scatter(x=names, y=[longest] * 12, name="reserved for each", mode="lines", line=line)
    headline(plot, f"in use: {held.sum() / paged.sum():.0%} paged, {held.sum() / (12 * longest):.0%} reserved")
    plot.update_xaxes(title="text")
    plot.update_yaxes(title="slots of the cache")
    plot.update_layout(barmode="stack", legend=LEGEND_BELOW)
    return plot


@figure("Who has which block")
def pages(
    blocks: Annotated[int, Range(8, 24)] = 12,
    shared: Annotated[int, Range(0, 8, step=4)] = 4,
) -> go.Figure:
    """The users of each block at each step: six requests, blocks of four tokens, a beginning that all share.

    Grey blocks have several users. With few blocks a request loses its blocks, waits, and is computed again: its colour
    ends and comes back. With many, nobody waits.
    """
    engine = Engine(quick, PagedCache(SHAPE, blocks, 4), 4, 16)
    for number, length in enumerate((14, 6, 11, 9, 5, 12)):
        engine.submit([1] * shared + [number + 2, 0], length)
    rows = []
    while engine.busy:
        engine.step()
        rows.append([_user(block, engine.running, engine.cache.pool.uses[block]) for block in range(blocks)])
    table = np.array(rows, dtype=float).T
    colours = ["rgba(128,128,128,0.1)", *COLOURS, GREY]
    scale = [[(k + edge) / len(colours), colour] for k, colour in enumerate(colours) for edge in (0, 1)]
    plot = go.Figure()
    plot.add_heatmap(z=table, zmin=-1.5, zmax=6.5, colorscale=scale, showscale=False, xgap=1, ygap=1)
    headline(plot, f"{engine.steps} steps, {engine.preempted} preempted, {engine.computed} tokens computed")
    plot.update_xaxes(title="step of the model")
    plot.update_yaxes(title="block", autorange="reversed")
    return plot


def _user(block: int, running: list[Request], uses: int) -> int:
    """The request that has a block: -1 for nobody, 6 for several."""
    if uses > 1:
        return 6
    return next((request.number for request in running if block in request.blocks), -1)
