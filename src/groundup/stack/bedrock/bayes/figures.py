"""Explorables of Bayesian inference: a rare fault, a prior and its data, and two samplers in a valley."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.bedrock.bayes import Beta, hamiltonian, leapfrog, metropolis, update


@figure("How many alarms are true?")
def alarms(
    rare: Annotated[float, Range(0.001, 0.5, step=0.001, log=True)] = 0.01,
    found: Annotated[float, Range(0.5, 1, step=0.01)] = 0.9,
    false: Annotated[float, Range(0.001, 0.5, step=0.001, log=True)] = 0.1,
) -> go.Figure:
    """Of 1,000 hosts some are broken into. A detector rings for a share of these and for a share of the others.

    Red bars are right alarms, orange ones false alarms. Make the fault rarer, and the false alarms stay as they are.
    """
    broken, healthy = 1_000 * rare, 1_000 * (1 - rare)
    parts = (
        ("right alarms", [broken * found, 0], RED),
        ("missed", [broken * (1 - found), 0], GREY),
        ("false alarms", [0, healthy * false], ORANGE),
        ("quiet", [0, healthy * (1 - false)], BLUE),
    )
    with np.errstate(divide="ignore"):
        posterior = update([rare, 1 - rare], np.log([found, false]))
    plot = go.Figure()
    for name, counts, colour in parts:
        plot.add_bar(y=["broken into", "healthy"], x=counts, name=name, orientation="h", marker_color=colour)
    headline(plot, f"{100 * float(posterior[0]):.1f} % of alarms are true")
    plot.update_xaxes(title="hosts of 1,000")
    plot.update_layout(barmode="stack", legend=LEGEND_BELOW)
    return plot


@figure("How many data is a prior worth?")
def belief(
    mean: Annotated[float, Range(0.01, 0.5, step=0.01)] = 0.1,
    worth: Annotated[int, Range(2, 500, log=True)] = 60,
    requests: Annotated[int, Range(0, 500, step=5)] = 50,
    errors: Annotated[float, Range(0, 1, step=0.02)] = 0.3,
) -> go.Figure:
    """Belief about an error rate before and after so many requests, of which such a share failed.

    The prior is worth as many requests as you say. The posterior lies between prior and data, nearer to whichever has
    more requests. Without any request it is the prior.
    """
    prior = Beta(mean * worth, (1 - mean) * worth)
    failed = round(errors * requests)
    posterior = prior.update(failed, requests - failed)
    rates = np.linspace(0.002, 0.8, 400)
    plot = go.Figure()
    flat = Beta(1, 1).update(failed, requests - failed)
    for name, law, colour, dash in (
        ("prior", prior, GREY, "dash"),
        ("data alone", flat, ORANGE, "dot"),
        ("posterior", posterior, BLUE, "solid"),
    ):
        logs = (law.a - 1) * np.log(rates) + (law.b - 1) * np.log1p(-rates)
        density = update(np.ones(400), logs) / (rates[1] - rates[0])
        plot.add_scatter(x=rates, y=density, name=name, line={"color": colour, "dash": dash})
    low, high = posterior.interval()
    plot.add_vrect(x0=low, x1=high, fillcolor=BLUE, opacity=0.15, line_width=0)
    headline(plot, f"{failed} of {requests} failed: {posterior.mean:.3f}, 90 % between {low:.3f} and {high:.3f}")
    plot.update_xaxes(title="error rate", range=[0, 0.8])
    plot.update_yaxes(title="density of belief", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("A walk and a motion")
def valley(
    sampler: Literal["Metropolis", "Hamiltonian"] = "Hamiltonian",
    correlation: Annotated[float, Range(0, 0.99, step=0.01)] = 0.95,
    step: Annotated[float, Range(0.05, 1.2, step=0.05)] = 0.25,
    leaps: Annotated[int, Range(1, 40)] = 20,
) -> go.Figure:
    """Sixty draws from two correlated numbers, from the corner on; the green line is the first way of the motion.

    The walk creeps or stays; the motion runs along the valley. Above about twice the narrow deviation its leaps run
    away, and every way is refused. The walk has no leaps.
    """
    precision = np.linalg.inv([[1, correlation], [correlation, 1]])
    log_density = lambda x: -0.5 * np.einsum("...i,ij,...j", x, precision, x)  # noqa: E731
    gradient = lambda x: -x @ precision  # noqa: E731
    start, rng = np.array([-2.0, -2.0]), np.random.default_rng(4)
    if sampler == "Metropolis":
        chain = metropolis(log_density, start, 60, step, rng)
    else:
        chain = hamiltonian(log_density, gradient, start, 60, step, leaps, rng)
    grid = np.linspace(-3.5, 3.5, 71)
    heights = np.exp(log_density(np.stack(np.meshgrid(grid, grid), axis=-1)))
    plot = go.Figure(
        go.Contour(
            x=grid,
            y=grid,
            z=heights,
            contours_coloring="lines",
            line_width=1,
            ncontours=7,
            showscale=False,
            colorscale=[[0, ORANGE], [1, ORANGE]],
        )
    )
    x, y = np.vstack([start, chain.draws]).T
    plot.add_scatter(x=x, y=y, mode="lines+markers", line={"color": GREY, "width": 1}, marker_color=BLUE, name="draws")
    if sampler == "Hamiltonian":
        push, way = np.random.default_rng(4).normal(size=2), [start]
        for count in range(1, leaps + 1):
            way.append(leapfrog(gradient, start, push, step, count)[0])
        line = {"color": GREEN, "width": 3}
        plot.add_scatter(x=np.array(way)[:, 0], y=np.array(way)[:, 1], mode="lines", line=line, name="first way")
    headline(plot, f"{100 * chain.accepted:.0f} % accepted; {len(np.unique(x))} places in 60 draws")
    plot.update_xaxes(title="first coordinate", range=[-3.5, 3.5])
    plot.update_yaxes(title="second coordinate", range=[-3.5, 3.5])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
