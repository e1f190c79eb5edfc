"""Explorables of BERT: fates of the chosen words, rates of the layers, and the scores of all spans."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import plotly.graph_objects as go
import torch

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, COLOURS, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.deep.bert import Classifier, Config, best_span, layer_groups, linear_schedule, mask_tokens

torch.set_num_threads(1)  # matrices this small are slower on two


@figure("What becomes of the words?")
def fates(
    share: Annotated[float, Range(0, 1, step=0.05)] = 0.15,
    words: Annotated[int, Range(4, 126)] = 62,
) -> go.Figure:
    """Words of 32 texts of one length by what BERT reads in their place, with the two special tokens of each text.

    Only blue, orange and green places have a loss. A larger share teaches more per batch, and leaves less to see.
    Shorten the texts: the special tokens, which are never chosen, take a larger part.
    """
    rng = np.random.default_rng(0)
    tokens = torch.from_numpy(rng.integers(10, 1000, (32, words + 2)))
    tokens[:, 0], tokens[:, -1] = 1, 2
    inputs, chosen = mask_tokens(tokens, [1, 2], 3, 1000, rng, share)
    hidden, same = chosen & (inputs == 3), chosen & (inputs == tokens)
    counts = {
        "[MASK]": hidden,
        "random": chosen & ~hidden & ~same,
        "as it was": same,
        "not chosen": ~chosen & (tokens >= 10),
        "special": tokens < 10,
    }
    numbers = [int(each.sum()) for each in counts.values()]
    plot = go.Figure()
    plot.add_bar(x=list(counts), y=numbers, marker_color=[BLUE, ORANGE, GREEN, GREY, GREY])
    headline(plot, f"{int(chosen.sum())} of {tokens.numel():,} places have a loss")
    plot.update_xaxes(title="what BERT reads")
    plot.update_yaxes(title="places", rangemode="tozero")
    return plot


@figure("Which layer learns how fast, and when?")
def rates(
    warmup: Annotated[int, Range(0, 400, step=10)] = 100,
    decay: Annotated[float, Range(0.5, 1, step=0.05)] = 0.8,
    layers: Annotated[int, Range(2, 12)] = 4,
) -> go.Figure:
    """The learning rate over 1,000 steps of the head, of each block and of the embeddings, with a peak of 2e-5.

    Without a warm-up, the first batches move the encoder by its full rate, while the head is still random. Lower the
    decay: the lower layers, which know words, hardly move.
    """
    config = Config(vocabulary=4, layers=layers, heads=1, width=2, hidden=2, places=2)
    peaks = sorted({group["lr"] for group in layer_groups(Classifier(config, 2), 2e-5, decay)}, reverse=True)
    steps = list(range(0, 1001, 10))
    shares = [linear_schedule(step, warmup, 1000) for step in steps]
    plot = go.Figure()
    for number, peak in enumerate(peaks):
        depth = len(peaks) - 1 - number
        names = {
            0: "head" if len(peaks) > 1 else "all layers",
            len(peaks) - 1: "embeddings" if number else "all layers",
        }
        name = names.get(number, f"block {depth}")
        colour = COLOURS[number % len(COLOURS)]
        plot.add_scatter(x=steps, y=[peak * share for share in shares], name=name, mode="lines", line_color=colour)
    headline(plot, f"the embeddings learn at {peaks[-1] / peaks[0]:.0%} of the head's rate")
    plot.update_xaxes(title="step")
    plot.update_yaxes(title="learning rate", range=[0, 2.2e-5])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


PASSAGE = "[CLS] who sent it ? [SEP] the alert was sent by the night watch at noon [SEP]".split()


@figure("Where is the answer?")
def spans(
    longest: Annotated[int, Range(1, 9)] = 5,
    null: Annotated[float, Range(-2, 12, step=0.5)] = 3.0,
    margin: Annotated[float, Range(-4, 4, step=0.5)] = 0.0,
) -> go.Figure:
    """Scores of all legal spans of a passage, from made-up scores of starts and ends.

    Empty cells end before they start, or are too long. Allow two words only, and another span wins. Raise the score of
    no answer until the reader stays silent; a larger margin makes it speak again.
    """
    starts = torch.full((len(PASSAGE),), -2.0)
    ends = starts.clone()
    for place, start, end in (
        (7, 1.0, 0.5),
        (10, 1.5, 0.0),
        (11, 5.0, 0.5),
        (12, 3.0, 1.0),
        (13, 2.0, 5.0),
        (15, 0.5, 3.5),
    ):
        starts[place], ends[place] = start, end
    starts[0] = ends[0] = null / 2
    legal = torch.zeros(len(PASSAGE), dtype=torch.bool)
    legal[6:-1] = True
    span = best_span(starts, ends, legal, longest, margin)
    words = PASSAGE[6:-1]
    table = (starts[6:-1, None] + ends[6:-1]).double().numpy()
    table[np.tril(np.ones_like(table), -1) + np.triu(np.ones_like(table), longest) > 0] = np.nan
    axis = [f"{number} {word}" for number, word in enumerate(words, start=6)]
    plot = go.Figure(go.Heatmap(z=table, x=axis, y=axis, colorscale="Blues", colorbar_title="score"))
    if span:
        marker = {"color": RED, "size": 14, "symbol": "x"}
        plot.add_scatter(
            x=[axis[span.last - 6]], y=[axis[span.first - 6]], mode="markers", marker=marker, name="answer"
        )
    answer = " ".join(PASSAGE[span.first : span.last + 1]) if span else ""
    headline(plot, f"“{answer}”, {span.gain:+.1f} against no answer" if span else "no answer in this passage")
    plot.update_xaxes(title="last word")
    plot.update_yaxes(title="first word", autorange="reversed")
    return plot
