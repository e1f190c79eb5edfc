"""Explorables of attacks: steps in a ball, the gap between attack and proof, and intervals over attacks."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go
import torch
from torch import Tensor, nn

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.production.adversarial import Attack, Outcome, Robustness, pgd, robustness, success_rates
from groundup.stack.production.error_analysis import wilson_interval

torch.set_num_threads(1)  # matrices this small are slower on two


def _wave(points: Tensor) -> Tensor:
    """Two classes in the plane, with a wave between them."""
    height = 8 * (points[:, 1] - 0.5 - 0.2 * torch.sin(9 * points[:, 0]))
    return torch.stack((-height, height), dim=1)


@figure("Steps in a ball")
def path(
    budget: Annotated[float, Range(0.02, 0.4, step=0.02)] = 0.2,
    norm: Literal["inf", "2"] = "inf",
    steps: Annotated[int, Range(1, 30)] = 8,
    step: Annotated[float, Range(0.01, 0.3, step=0.01)] = 0.05,
) -> go.Figure:
    """Points that PGD visits from one picture of two pixels, the ball around it, and the border between two classes.

    Steps of "inf" go diagonally, as every pixel moves by the same. Lengthen them: the path jumps between corners of
    the ball, and the worst point comes early. Shrink the ball until no point of it lies beyond the border.
    """
    visited: list[np.ndarray] = []

    def watched(points: Tensor) -> Tensor:
        visited.append(points.detach()[0].numpy())
        return _wave(points)

    start, label = torch.tensor([[0.55, 0.22]], dtype=torch.float64), torch.tensor([0])
    worst = pgd(watched, start, label, budget, norm=norm, steps=steps, step=step)
    fooled = int(_wave(worst).argmax()) == 1
    across = np.linspace(0, 1, 101)
    turn = np.linspace(0, 2 * np.pi, 181)
    ball = np.stack((np.cos(turn), np.sin(turn)), axis=1)
    if norm == "inf":
        ball /= np.abs(ball).max(axis=1, keepdims=True)
    rim = np.clip(start.numpy() + budget * ball, 0, 1)
    trail = np.array(visited)
    plot = go.Figure()
    plot.add_scatter(x=across, y=0.5 + 0.2 * np.sin(9 * across), name="border", mode="lines", line_color=GREY)
    plot.add_scatter(x=rim[:, 0], y=rim[:, 1], name="ball", mode="lines", line={"color": ORANGE, "dash": "dash"})
    plot.add_scatter(x=trail[:, 0], y=trail[:, 1], name="visited", mode="lines+markers", line_color=BLUE)
    marker = {"color": RED, "size": 13, "symbol": "x"}
    plot.add_scatter(x=[float(worst[0, 0])], y=[float(worst[0, 1])], name="worst", mode="markers", marker=marker)
    headline(plot, "The class changes" if fooled else "The class stays, as far as this attack can tell")
    plot.update_xaxes(title="first pixel", range=[0, 1])
    plot.update_yaxes(title="second pixel", range=[0, 1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Between attack and proof")
def gap(
    layers: Annotated[int, Range(1, 6)] = 1,
    width: Annotated[int, Range(4, 64, step=4)] = 16,
    attack_steps: Annotated[int, Range(0, 20)] = 10,
) -> go.Figure:
    """Shares of 100 random pictures of 9 pixels that keep their class: under PGD, and by proof, as the budget grows.

    The network is random, with the layers that you choose. Add layers: the proof gives up sooner, although the network
    may be no weaker. Take steps from the attack: its line rises, although the network is no stronger.
    """
    torch.manual_seed(3)
    parts: list[nn.Module] = []
    for number in range(layers):
        parts += [nn.Linear(9 if number == 0 else width, width), nn.ReLU()]
    model = nn.Sequential(*parts, nn.Linear(width, 3)).requires_grad_(False)
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.random((100, 9))).float()
    model[-1].bias -= model(x).mean(dim=0)  # no class wins everywhere
    labels = model(x).argmax(dim=1)
    budgets = np.linspace(0, 0.3, 13)
    shares = [robustness(model, x, labels, budget, rng, attack_steps) for budget in budgets]
    plot = go.Figure()
    for name, values, colour in (
        ("under PGD: at most", [each.attacked for each in shares], ORANGE),
        ("proved: at least", [each.certified for each in shares], BLUE),
    ):
        plot.add_scatter(x=budgets, y=values, name=name, mode="lines+markers", line_color=colour)
    middle: Robustness = shares[2]
    headline(plot, f"budget 0.05: between {middle.certified:.0%} and {middle.attacked:.0%} withstand every attack")
    plot.update_xaxes(title="budget: largest change of a pixel, of 1")
    plot.update_yaxes(title="pictures that keep their class", range=[0, 1.05], tickformat=".0%")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Attacks or attempts?")
def intervals(
    attacks: Annotated[int, Range(5, 200, step=5)] = 30,
    attempts: Annotated[int, Range(1, 20)] = 5,
    weak: Annotated[float, Range(0, 1, step=0.05)] = 0.2,
    chance: Annotated[float, Range(0, 1, step=0.05)] = 0.5,
) -> go.Figure:
    """Success rates of a suite: of attacks of which any attempt came through, and of single attempts.

    A share of the attacks is one to which the target is weak, and each attempt with such an attack comes through by
    chance. More attempts find more of the weak spots. The interval over attempts shrinks, as if each were a new attack.
    """
    rng = np.random.default_rng(5)
    exposed = rng.random(attacks) < weak
    outcomes = [
        Outcome(Attack("made up", str(number)), "none", "", "", bool(exposed[number] and rng.random() < chance))
        for number in range(attacks)
        for _ in range(attempts)
    ]
    rate = success_rates(outcomes)["any"]
    count = sum(outcome.succeeded for outcome in outcomes)
    low, high = wilson_interval(count, len(outcomes))
    plot = go.Figure()
    for name, value, ends, colour in (
        ("attacks", rate.rate, (rate.low, rate.high), BLUE),
        ("attempts", count / len(outcomes), (float(low), float(high)), ORANGE),
    ):
        arms = {"type": "data", "array": [ends[1] - value], "arrayminus": [value - ends[0]]}
        plot.add_bar(x=[name], y=[value], error_y=arms, marker_color=colour, showlegend=False)
    plot.add_hline(y=weak, line={"color": GREY, "dash": "dash"})
    headline(plot, f"{rate.successes} of {attacks} attacks came through: {rate.low:.0%} to {rate.high:.0%}")
    plot.update_xaxes(title="counted")
    plot.update_yaxes(title="share that came through (dashed: weak spots)", range=[0, 1.05], tickformat=".0%")
    return plot
