"""Explorables of decoding: what may be drawn, what a cache saves, and what speculation brings."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import plotly.graph_objects as go
import torch
from torch import Tensor

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.generative.decoding import KeyValueCache, Sampling, accept, generate

WORDS = ["failing", "pending", "running", "ready", "stuck", "gone", "happy", "blue"]
LOGITS = torch.tensor([2.6, 2.2, 1.9, 1.1, 0.9, 0.2, -1.0, -2.5])

torch.set_num_threads(1)  # tensors this small are slower on two


@figure("What may be drawn")
def truncation(
    temperature: Annotated[float, Range(0, 3, step=0.1)] = 1.0,
    k: Annotated[int, Range(1, 8)] = 8,
    p: Annotated[float, Range(0.05, 1, step=0.05)] = 0.9,
    least: Annotated[float, Range(0.01, 1, step=0.01)] = 0.01,
) -> go.Figure:
    """How a word is drawn after "The pod is": the model's distribution, and what temperature, k, p and min-p leave.

    Raise the temperature: the rare words come up, and the same p keeps more of them. Lower p to 0.35, and one word is
    left. Top-k keeps as many words whether the model is sure or not.
    """
    before = LOGITS.softmax(dim=-1)
    after = Sampling(temperature, k, p, least).probabilities(LOGITS)
    plot = go.Figure()
    plot.add_bar(x=WORDS, y=before.tolist(), name="the model's", marker_color=GREY)
    plot.add_bar(x=WORDS, y=after.tolist(), name="drawn from", marker_color=BLUE)
    lost = float(before[after == 0].sum())
    headline(plot, f"{int((after > 0).sum())} words left; the model gave the others {100 * lost:.0f} %")
    plot.update_xaxes(title="next word")
    plot.update_yaxes(title="probability", range=[0, 1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


class _Counter:
    """A model of one token, which counts the positions that it is given."""

    def __init__(self) -> None:
        self.read: list[int] = []

    def __call__(self, tokens: Tensor, positions: Tensor, mask: Tensor, cache: Any) -> Tensor:
        if isinstance(cache, KeyValueCache):
            cache.extend(0, *[torch.zeros(len(tokens), 1, tokens.shape[1], 1)] * 2)
        self.read.append(tokens.shape[1])
        return torch.zeros(*tokens.shape, 1)


@lru_cache(maxsize=64)
def _positions(prompt: int, count: int, cached: bool) -> list[int]:
    """Positions that had to be computed up to each new token."""
    counter = _Counter()
    list(generate(counter, [[0] * prompt], count, cached=cached))
    return torch.tensor(counter.read).cumsum(0).tolist()


@figure("What a cache saves, and what it costs")
def cache(
    prompt: Annotated[int, Range(1, 200)] = 50,
    count: Annotated[int, Range(1, 200)] = 100,
    kv_heads: Annotated[int, Range(1, 32)] = 8,
) -> go.Figure:
    """Positions that a model computes until a token is there, with and without a cache; and how large the cache is.

    Make the text longer: without a cache the work grows with its square. The memory is that of a model of 7 billion
    weights (32 layers, heads of 128 numbers, 16 bits) for one text of 4,096 tokens: it shrinks with the heads that
    have keys and values of their own.
    """
    plot = go.Figure()
    tokens = list(range(1, count + 1))
    ways = [("without a cache", False, ORANGE), ("with a cache", True, BLUE)]
    totals = []
    for name, cached, colour in ways:
        totals.append(_positions(prompt, count, cached))
        plot.add_scatter(x=tokens, y=totals[-1], name=name, mode="lines", line_color=colour)
    gigabytes = 2 * 32 * kv_heads * 128 * 4096 * 2 / 1e9
    headline(plot, f"{totals[0][-1] / totals[1][-1]:.1f} times less work, for {gigabytes:.2f} GB")
    plot.update_xaxes(title="new tokens")
    plot.update_yaxes(title="positions computed", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@lru_cache(maxsize=32)
def _rounds(noise: float, lookahead: int) -> tuple[list[float], list[float], list[float], float]:
    """Target, draft, the first tokens of many rounds, and the tokens of a round: each token anew from p and q."""
    generator = torch.Generator().manual_seed(0)
    p = LOGITS.softmax(dim=-1)
    q = (LOGITS + noise * torch.randn(8, generator=generator)).softmax(dim=-1)
    first, total, rounds = torch.zeros(8), 0, 400
    for _ in range(rounds):
        guesses = torch.multinomial(q, lookahead, replacement=True, generator=generator).tolist()
        kept = accept(guesses, q.expand(lookahead, -1), p.expand(lookahead + 1, -1), generator)
        first[kept[0]] += 1 / rounds
        total += len(kept)
    return p.tolist(), q.tolist(), first.tolist(), total / rounds


@figure("Guesses of a draft")
def speculation(
    noise: Annotated[float, Range(0, 3, step=0.25)] = 1.0,
    lookahead: Annotated[int, Range(1, 12)] = 4,
) -> go.Figure:
    """A target and a draft that is it plus noise: what comes out of 400 rounds, and how many tokens a round brings.

    Raise the noise: fewer guesses are kept, and the tokens that come out still have the target's distribution. Raise
    the lookahead: with a good draft a call brings more tokens, with a bad one nearly nothing.
    """
    p, q, first, tokens = _rounds(noise, lookahead)
    share = sum(map(min, p, q))
    plot = go.Figure()
    for name, values, colour in (("target", p, GREY), ("draft", q, ORANGE), ("what comes out", first, GREEN)):
        plot.add_bar(x=WORDS, y=values, name=name, marker_color=colour)
    headline(plot, f"{100 * share:.0f} % of guesses kept: {tokens:.2f} tokens for a call of the target")
    plot.update_xaxes(title="token")
    plot.update_yaxes(title="probability", range=[0, 1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
