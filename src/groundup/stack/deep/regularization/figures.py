"""Explorables of regularization: what dropout does to a sum, running statistics, and what a penalty leaves."""

from __future__ import annotations

from typing import Annotated

import plotly.graph_objects as go
import torch

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.deep.regularization import BatchNorm, dropout, penalty

torch.set_num_threads(1)  # arrays this small are slower on two


@figure("What dropout does to a sum")
def thinned(
    rate: Annotated[float, Range(0, 0.9, step=0.05)] = 0.5,
    inputs: Annotated[int, Range(2, 200)] = 20,
    scaled: bool = True,
) -> go.Figure:
    """A unit adds up its inputs, each 1 / n: 2,000 sums with dropout, and the line is the sum in inference, 1.

    The higher the rate and the fewer the inputs, the noisier the sum: the next layer cannot rely on any one input.
    Without the scaling the sums of training stand elsewhere than the sum of inference.
    """
    drawn = dropout(torch.full((2000, inputs), 1 / inputs), rate, generator=torch.Generator().manual_seed(0))
    sums = drawn.sum(dim=1) * (1 if scaled else 1 - rate)
    plot = go.Figure(go.Histogram(x=sums.tolist(), xbins={"start": -0.025, "end": 4, "size": 0.05}, marker_color=BLUE))
    plot.add_vline(x=1, line={"color": ORANGE, "width": 3})
    headline(plot, f"in training {float(sums.mean()):.2f} ± {float(sums.std()):.2f}, in inference 1")
    plot.update_xaxes(title="sum of the unit's inputs", range=[-0.1, 4])
    plot.update_yaxes(title="sums of 2,000")
    return plot


@figure("Statistics that run along")
def running(
    batch: Annotated[int, Range(2, 128)] = 8,
    momentum: Annotated[float, Range(0.01, 1, step=0.01)] = 0.1,
    jump: Annotated[float, Range(0, 6, step=0.5)] = 3.0,
) -> go.Figure:
    """The mean of a channel in 100 batches, and the running mean that inference uses; after 50 the inputs jump.

    Small batches give a mean that jumps about, so the network trains on noise. A small momentum smooths it, and follows
    a change late: for some batches after the jump inference subtracts the wrong mean.
    """
    generator = torch.Generator().manual_seed(0)
    layer, means, tracked = BatchNorm(1, momentum=momentum), [], []
    for step in range(100):
        inputs = torch.randn(batch, 1, generator=generator) + 1 + (jump if step >= 50 else 0)
        layer(inputs)
        means.append(inputs.mean().item())
        tracked.append(layer.running_mean.item())
    true = [1.0] * 50 + [1 + jump] * 50
    late = next((k for k, value in enumerate(tracked[50:]) if abs(value - 1 - jump) < max(jump / 10, 0.2)), 50)
    plot = go.Figure()
    for name, values, colour in (
        ("mean of the batch", means, GREY),
        ("running mean", tracked, BLUE),
        ("true", true, ORANGE),
    ):
        plot.add_scatter(x=list(range(1, 101)), y=values, name=name, line_color=colour)
    headline(plot, f"{late} batches after the jump the running mean is there" if late < 50 else "it never gets there")
    plot.update_xaxes(title="batch")
    plot.update_yaxes(title="mean of the channel", range=[-1, 9])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What a penalty leaves")
def penalised(
    l1: Annotated[float, Range(0, 2, step=0.05)] = 0.3,
    l2: Annotated[float, Range(0, 2, step=0.05)] = 0.0,
) -> go.Figure:
    """Eight weights of a linear model, of which the data need four: least squares alone, and with your penalties.

    Raise l1: weights go to zero one after the other, the useless first. Raise l2 instead: all shrink by a share, and
    none goes to zero.
    """
    generator = torch.Generator().manual_seed(4)
    needed = torch.tensor([2.0, -1.5, 1.0, 0.6, 0, 0, 0, 0])
    X = torch.randn(40, 8, generator=generator)
    y = X @ needed + torch.randn(40, generator=generator)
    free = torch.linalg.lstsq(X, y[:, None]).solution[:, 0]
    weights = free.clone().requires_grad_()
    for step in range(400):
        loss = (X @ weights - y).square().mean() / 2 + penalty([weights], l1=l1, l2=l2)
        (gradient,) = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            weights -= 0.2 / (1 + step / 20) * gradient
    kept = int((weights.detach().abs() > 0.03).sum())
    names = [f"w{number}" for number in range(1, 9)]
    plot = go.Figure()
    plot.add_bar(x=names, y=free.tolist(), name="least squares", marker_color=GREY)
    plot.add_bar(x=names, y=weights.detach().tolist(), name="with the penalty", marker_color=BLUE)
    truth = {"color": GREEN, "symbol": "line-ew-open", "size": 16, "line": {"width": 3}}
    plot.add_scatter(x=names, y=needed.tolist(), name="needed", mode="markers", marker=truth)
    headline(plot, f"{kept} of 8 weights are larger than 0.03 in size")
    plot.update_xaxes(title="weight")
    plot.update_yaxes(title="value", range=[-2.2, 2.6])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
