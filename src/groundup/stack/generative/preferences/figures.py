"""Explorables of preferences: the price of leaving the reference, losses against margins, and long answers."""

from __future__ import annotations

from typing import Annotated

import plotly.graph_objects as go
import torch

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.generative.preferences import LogProbs, dpo_loss, implicit_rewards, ipo_loss, optimal_log_probs

ANSWERS = ["curt", "polite", "long", "wrong", "rude"]
REFERENCE = torch.tensor([0.35, 0.25, 0.2, 0.15, 0.05])
REWARDS = torch.tensor([0.0, 1.0, 0.6, -1.0, -1.5])


@figure("The price of leaving the reference")
def optimum(
    beta: Annotated[float, Range(0.05, 3, step=0.05)] = 0.5,
    rude: Annotated[float, Range(-2, 4, step=0.1)] = -1.5,
) -> go.Figure:
    """Five answers: how likely the reference makes each, and how likely the best policy does, at a price beta.

    Lower beta: the answer with the largest reward takes all. Raise it: the policy stays the reference. Reward the rude
    answer by mistake, and see how far a low price lets the policy follow.
    """
    rewards = REWARDS.clone()
    rewards[4] = rude
    best = optimal_log_probs(REFERENCE.log(), rewards, beta).exp()
    plot = go.Figure()
    names = [f"{name} ({reward:+.1f})" for name, reward in zip(ANSWERS, rewards.tolist(), strict=True)]
    plot.add_bar(x=names, y=REFERENCE.tolist(), name="reference", marker_color=GREY)
    plot.add_bar(x=names, y=best.tolist(), name="optimum", marker_color=BLUE)
    divergence = float((best * (best.log() - REFERENCE.log())).sum())
    headline(plot, f"expected reward {float((best * rewards).sum()):.2f} at a divergence of {divergence:.2f} nats")
    plot.update_xaxes(title="answer (reward)")
    plot.update_yaxes(title="probability", range=[0, 1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What each loss asks for")
def losses(
    beta: Annotated[float, Range(0.1, 2, step=0.1)] = 0.5,
    smoothing: Annotated[float, Range(0, 0.45, step=0.05)] = 0.1,
) -> go.Figure:
    """The losses of one pair against the difference of its log-ratios; each loss is drawn above its own least value.

    DPO falls for ever: a pair that is always won is pushed apart without end. Label smoothing turns it up again, and
    IPO is least at 1 / (2 beta). Move beta, and watch where the two stop.
    """
    margins = torch.linspace(-3, 12, 151)
    zero = LogProbs(torch.zeros(1), torch.ones(1, dtype=torch.int64))

    def curve(loss: object) -> list[float]:
        values = [float(loss(LogProbs(margin[None], zero.tokens), zero, zero, zero)) for margin in margins]  # type: ignore[operator]
        return [value - min(values) for value in values]

    plot = go.Figure()
    for name, colour, loss in (
        ("DPO", BLUE, lambda *pair: dpo_loss(*pair, beta=beta)),
        ("DPO, smoothed", GREEN, lambda *pair: dpo_loss(*pair, beta=beta, label_smoothing=smoothing)),
        ("IPO", ORANGE, lambda *pair: ipo_loss(*pair, tau=beta)),
    ):
        plot.add_scatter(x=margins.tolist(), y=curve(loss), name=name, mode="lines", line_color=colour)
    headline(plot, f"IPO stops at {1 / (2 * beta):.2f}")
    plot.update_xaxes(title="difference of log-ratios, nats")
    plot.update_yaxes(title="loss above its least", range=[0, 4])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("A long answer")
def length(
    tokens: Annotated[int, Range(1, 60)] = 20,
    gain: Annotated[float, Range(-0.2, 0.2, step=0.01)] = 0.05,
) -> go.Figure:
    """A chosen answer gains log-probability at each of its tokens; the rejected one loses 0.05 at each of 5.

    DPO adds the gains up, so a long answer brings its margin quickly. IPO averages: the length changes nothing.
    """
    chosen = LogProbs(torch.tensor([gain * tokens]), torch.tensor([tokens]))
    rejected = LogProbs(torch.tensor([-0.25]), torch.tensor([5]))
    start = [LogProbs(torch.zeros(1), answer.tokens) for answer in (chosen, rejected)]
    rewards = [float(implicit_rewards(a, b, 1.0)) for a, b in zip((chosen, rejected), start, strict=True)]
    sums = rewards[0] - rewards[1]
    means = rewards[0] / tokens - rewards[1] / 5
    plot = go.Figure()
    plot.add_bar(x=["DPO: a sum over tokens", "IPO: a mean per token"], y=[sums, means], marker_color=[BLUE, ORANGE])
    values = float(dpo_loss(chosen, rejected, *start, beta=0.5)), float(ipo_loss(chosen, rejected, *start, tau=0.5))
    headline(plot, f"losses: DPO {values[0]:.3f}, IPO {values[1]:.3f}")
    plot.update_xaxes(title="way of counting")
    plot.update_yaxes(title="margin of the pair, nats", range=[-12, 12])
    return plot
