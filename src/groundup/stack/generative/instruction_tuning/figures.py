"""Explorables of instruction tuning: a chat as pieces, a packed row and its mask, and whose tokens count how much."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go
import torch

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.generative.instruction_tuning import (
    CHATML,
    GROUNDUP,
    IGNORE,
    LLAMA3,
    Example,
    Template,
    pack,
    packed_mask,
    render,
)

TEMPLATES: dict[str, Template] = {"ChatML": CHATML, "Llama 3": LLAMA3, "ours": GROUNDUP}
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Is checkout up?"},
    {"role": "assistant", "content": "No: 3 of 4 pods restart."},
    {"role": "user", "content": "Since when?"},
    {"role": "assistant", "content": "Since 14:02."},
]


@figure("A chat, piece by piece")
def pieces(
    template: Literal["ChatML", "Llama 3", "ours"] = "ChatML",
    messages: Annotated[int, Range(1, 5)] = 3,
) -> go.Figure:
    """Each bar is a piece of the chat as the model reads it, as long as its text: orange trains, grey does not.

    Choose another template, and other special tokens stand around the same words. Each stop token behind an answer
    trains, or the model would never end one; those behind other messages do not.
    """
    chat = render(CHAT[:messages], TEMPLATES[template])
    plot = go.Figure()
    for name, trains, colour in (("does not train", False, GREY), ("trains", True, ORANGE)):
        rows = [number for number, piece in enumerate(chat) if piece.trains is trains]
        plot.add_bar(
            y=rows,
            x=[len(chat[row].text) for row in rows],
            text=[repr(chat[row].text)[1:-1].replace("<", "&lt;") for row in rows],
            textposition="outside",
            orientation="h",
            name=name,
            marker_color=colour,
        )
    trained = sum(piece.trains for piece in chat)
    headline(plot, f"{trained} of {len(chat)} pieces train")
    plot.update_xaxes(title="characters", range=[0, 50])
    plot.update_yaxes(title="piece", autorange="reversed")
    plot.update_layout(legend=LEGEND_BELOW, height=460)
    return plot


@figure("A packed row, and who sees whom")
def packing(
    first: Annotated[int, Range(1, 8)] = 5,
    second: Annotated[int, Range(1, 8)] = 4,
    isolate: bool = True,
) -> go.Figure:
    """Two examples in a row of 16 tokens: which token (down) looks at which (across).

    Each block is an example that sees its own past, and the last block is padding. Switch isolation off: the second
    example sees the first, which will not stand there when the model is used.
    """
    examples = [Example([1] * size, [True] * size) for size in (first, second)]
    packed = pack(examples, 16, padding=0)
    segments = packed.segments if isolate else torch.zeros_like(packed.segments)
    mask = packed_mask(segments)[0]
    plot = go.Figure(
        go.Heatmap(z=mask.int().tolist(), colorscale=[[0, "rgba(128,128,128,0.1)"], [1, BLUE]], showscale=False)
    )
    foreign = mask & (packed.segments[0, :, None] != packed.segments[0, None, :])
    headline(
        plot, f"{int(foreign.sum())} looks at a neighbour; positions {packed.positions[0, : first + second].tolist()}"
    )
    plot.update_xaxes(title="looked at")
    plot.update_yaxes(title="looks", autorange="reversed", scaleanchor="x")
    plot.update_layout(height=480)
    return plot


@figure("How much does a token count?")
def weights(
    short: Annotated[int, Range(1, 50)] = 5,
    long: Annotated[int, Range(1, 200)] = 80,
    padded: Annotated[int, Range(200, 400, step=10)] = 200,
) -> go.Figure:
    """Two batches in one step, with so many trained tokens each: the weight of a token, in three ways of averaging.

    A mean over all trained tokens gives each the same. A mean of the batches' means gives a token in the short batch
    many times as much. Dividing by the padded length makes the step smaller the more padding there is.
    """
    batches = [pack([Example([1] * (size + 1), [True] * (size + 1))], padded + 1, padding=0) for size in (short, long)]
    counts = np.array([int((batch.labels[:, 1:] != IGNORE).sum()) for batch in batches])
    ways = {
        "all tokens alike": np.full(2, 1 / counts.sum()),
        "mean of means": 1 / (2 * counts),
        "padded length": np.full(2, 1 / (2 * padded)),
    }
    plot = go.Figure()
    for place, (name, colour) in enumerate((("short batch", ORANGE), ("long batch", GREEN))):
        plot.add_bar(x=list(ways), y=[values[place] for values in ways.values()], name=name, marker_color=colour)
    headline(plot, f"mean of means: a token of the short batch counts {counts[1] / counts[0]:.1f} times")
    plot.update_xaxes(title="way of averaging")
    plot.update_yaxes(title="weight of a token (log)", type="log")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
