"""Explorables of optimizers: a race on a small network, a schedule, and two ways to decay."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import plotly.graph_objects as go
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, COLOURS, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.deep.optimizers import SGD, Adam, AdamW, RMSProp, WarmupCosine, clip_gradients

torch.set_num_threads(1)  # matrices this small are slower on two


@figure("A race")
def race(
    rate: Annotated[float, Range(0.0003, 1, step=0.0001, log=True)] = 0.01,
    scale: Literal["0.01", "1", "100"] = "1",
    clip: bool = False,
) -> go.Figure:
    """A small network learns three classes with five optimizers, all at your rate. The loss can be rescaled.

    A hundredth of the loss is a hundredth of SGD's rate, and it hardly moves; those that divide by the root of a mean
    square do not care. Clipping to a norm of 1 tames a loss that is too large, and does nothing for a small one.
    """
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(150) % 3
    inputs = torch.randn(3, 8, generator=generator)[labels] + torch.randn(150, 8, generator=generator)
    makers: dict[str, Any] = {
        "SGD": lambda p: SGD(p, rate),
        "momentum": lambda p: SGD(p, rate, momentum=0.9),
        "RMSProp": lambda p: RMSProp(p, rate),
        "Adam": lambda p: Adam(p, rate),
        "AdamW": lambda p: AdamW(p, rate, weight_decay=0.1),
    }
    plot, ends = go.Figure(), []
    for (name, make), colour in zip(makers.items(), COLOURS, strict=False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
        optimizer, losses = make(model.parameters()), []
        for step in range(60):
            rows = torch.arange(25) + 25 * (step % 6)
            losses.append(float(cross_entropy(model(inputs), labels).detach()))
            optimizer.zero_grad()
            (float(scale) * cross_entropy(model(inputs[rows]), labels[rows])).backward()
            if clip:
                clip_gradients(model.parameters(), 1.0)
            optimizer.step()
        plot.add_scatter(x=list(range(60)), y=losses, name=name, line_color=colour)
        if name != "AdamW":
            ends.append(f"{name} {losses[-1]:.2g}")
    headline(plot, "in the end: " + ", ".join(ends))
    plot.update_xaxes(title="step")
    plot.update_yaxes(title="loss (log)", type="log", range=[-2.5, 1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Warm up, and come down")
def schedule(
    warmup: Annotated[int, Range(0, 90)] = 10,
    steps: Annotated[int, Range(91, 200)] = 100,
    floor: Annotated[float, Range(0, 1, step=0.05)] = 0.1,
) -> go.Figure:
    """The learning rate at each of 200 steps, as a share of the highest.

    The first steps are small, because Adam's means know little yet. The last ones are small, because noise must settle.
    """
    optimizer = SGD([nn.Parameter(torch.zeros(1))], 1.0)
    cosine, rates = WarmupCosine(optimizer, steps, warmup, floor), []
    for _ in range(200):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        cosine.step()
    plot = go.Figure(go.Scatter(x=list(range(200)), y=rates, line_color=BLUE, name="factor"))
    plot.add_vline(x=warmup, line={"color": GREY, "dash": "dot"})
    plot.add_vline(x=steps, line={"color": GREY, "dash": "dot"})
    headline(plot, f"the mean over {steps} steps is {sum(rates[:steps]) / steps:.0%} of the highest rate")
    plot.update_xaxes(title="step")
    plot.update_yaxes(title="share of the highest rate", range=[-0.03, 1.05])
    return plot


@figure("Two ways to decay")
def decay(
    weight_decay: Annotated[float, Range(0, 1, step=0.02)] = 0.3,
    noise: Annotated[float, Range(0.01, 10, step=0.01, log=True)] = 5.0,
    rate: Annotated[float, Range(0.002, 0.05, step=0.002)] = 0.01,
) -> go.Figure:
    """A weight that begins at 1 and whose gradient is noise alone: nothing holds it but chance and decay.

    AdamW shrinks it by rate · decay a step, whatever the noise. With the decay in the gradient, Adam divides it by the
    noise as well: raise the noise, and the weight hardly decays; lower it, and the weight falls off at once.
    """
    generator = torch.Generator().manual_seed(0)
    noises = noise * torch.randn(300, 64, generator=generator)
    makers: dict[str, Any] = {
        "decay by itself (AdamW)": lambda p: AdamW(p, rate, weight_decay=weight_decay),
        "decay in the gradient (Adam)": lambda p: Adam(p, rate, weight_decay=weight_decay),
    }
    plot, ends = go.Figure(), []
    for (name, make), colour in zip(makers.items(), (BLUE, ORANGE), strict=True):
        weight = nn.Parameter(torch.ones(64))
        optimizer, means = make([weight]), []
        for gradient in noises:
            means.append(float(weight.detach().mean()))
            weight.grad = gradient.clone()
            optimizer.step()
        plot.add_scatter(x=list(range(300)), y=means, name=name, line_color=colour)
        ends.append(means[-1])
    exact = [(1 - rate * weight_decay) ** step for step in range(300)]
    plot.add_scatter(x=list(range(300)), y=exact, name="(1 - rate · decay)ᵗ", line={"color": GREY, "dash": "dash"})
    headline(plot, f"after 300 steps {ends[0]:.2f} is left by itself, {ends[1]:.2f} through the gradient")
    plot.update_xaxes(title="step")
    plot.update_yaxes(title="weight, mean of 64 runs", range=[-0.2, 1.1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
