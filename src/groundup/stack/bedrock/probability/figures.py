"""Explorables of probability: likelihood, rejection, sums, and a threshold for alerts."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.bedrock.probability import (
    Exponential,
    Gamma,
    Normal,
    Poisson,
    alert_threshold,
    rejection_sample,
    standardised_means,
)


@figure("Likelihood: the data stay, the parameter moves")
def likelihood(
    rate: Annotated[float, Range(0.5, 10, step=0.1)] = 2.0,
    minutes: Annotated[int, Range(1, 60)] = 10,
) -> go.Figure:
    """Counts of errors in some minutes (true rate 4), the masses of your rate, and the log-likelihood of all rates.

    Move the rate until it stands on the summit: that is the mean count. More minutes make the summit sharper.
    """
    counts = np.random.default_rng(3).poisson(4.0, minutes)
    grid = np.linspace(0.5, 10, 191)
    curve = np.array([Poisson(float(r)).log_mass(counts).sum() for r in grid])
    mine = float(Poisson(rate).log_mass(counts).sum())
    plot = go.Figure()
    plot.add_scatter(x=grid, y=curve / minutes, line_color=BLUE, name="log-likelihood of a minute")
    spot = {"color": RED, "size": 12, "symbol": "diamond"}
    plot.add_scatter(x=[rate], y=[mine / minutes], mode="markers", marker=spot, name="your rate")
    best = Poisson.fit(counts).rate
    plot.add_vline(x=best, line={"color": GREEN, "dash": "dot"})
    headline(
        plot, f"your rate is exp({mine - Poisson(best).log_mass(counts).sum():.2f}) as likely as the best, {best:.2f}"
    )
    plot.update_xaxes(title="rate (errors in a minute)")
    plot.update_yaxes(title="log-likelihood")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Rejection: darts under a curve")
def rejection(
    shape: Annotated[float, Range(1, 6, step=0.1)] = 3.0,
    rate: Annotated[float, Range(0.1, 0.9, step=0.05)] = 0.3,
) -> go.Figure:
    """Draws of a gamma distribution from exponential proposals: 2,000 darts, the accepted ones below the curve.

    A proposal that resembles the target wastes few. At the wrong rate most darts miss.
    """
    target, wait = Gamma(shape, 1.0), Exponential(rate)
    grid = np.linspace(0.01, 20, 400)
    summit = max((shape - 1) / (1 - rate), 1e-9)  # where the slope of the quotient's logarithm is 0
    log_bound = float(target.log_density(summit) - wait.log_density(summit))
    rng = np.random.default_rng(0)
    x = wait.sample(2000, rng)
    height = rng.random(2000) * np.exp(wait.log_density(x) + log_bound)
    accepted = height < np.exp(target.log_density(x))
    sample = rejection_sample(target.log_density, wait.sample, wait.log_density, log_bound, 2000, rng)
    plot = go.Figure()
    for kept, colour, name in ((False, GREY, "rejected"), (True, ORANGE, "accepted")):
        dots = {"color": colour, "size": 3, "opacity": 0.6}
        plot.add_scatter(x=x[accepted == kept], y=height[accepted == kept], mode="markers", marker=dots, name=name)
    plot.add_scatter(x=grid, y=np.exp(target.log_density(grid)), line_color=BLUE, name="target")
    dashed = {"color": RED, "dash": "dash"}
    plot.add_scatter(x=grid, y=np.exp(wait.log_density(grid) + log_bound), line=dashed, name="bound · proposal")
    headline(plot, f"{accepted.mean():.0%} accepted; mean {sample.mean():.2f}, of the target {shape:.2f}")
    plot.update_xaxes(title="x", range=[0, 15])
    plot.update_yaxes(title="density")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Means of many")
def means(
    n: Annotated[int, Range(1, 200)] = 5,
    draws: Literal["waiting times", "coin", "long tail"] = "waiting times",
) -> go.Figure:
    """4,000 standardised means of n draws, and the normal density (dashed).

    Waiting times look normal from about 30 on. The longer the tail, the more draws it takes.
    """
    rng = np.random.default_rng(1)
    kinds = {
        "waiting times": (lambda count: Exponential(1.0).sample(count, rng), 1.0, 1.0),
        "coin": (lambda count: (rng.random(count) < 0.5).astype(float), 0.5, 0.5),
        "long tail": (lambda count: rng.gamma(0.05, 20.0, count), 1.0, float(np.sqrt(20.0))),
    }
    draw, mean, std = kinds[draws]
    values = standardised_means(draw, mean, std, n, 4000)
    grid = np.linspace(-4, 4, 161)
    plot = go.Figure()
    plot.add_histogram(x=values, histnorm="probability density", xbins_size=0.2, marker_color=ORANGE, name="means")
    dashed = {"color": BLUE, "dash": "dash", "width": 3}
    plot.add_scatter(x=grid, y=np.exp(Normal().log_density(grid)), line=dashed, name="normal")
    plot.update_xaxes(title="standardised mean", range=[-4, 4])
    plot.update_yaxes(title="density")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("How many errors are too many?")
def alert(
    rate: Annotated[float, Range(0.1, 40, step=0.1)] = 3.0,
    false_alarms: Annotated[float, Range(0.01, 10, step=0.01, log=True)] = 1.0,
) -> go.Figure:
    """Probability of each count in a quiet minute, and the count at which an alert may fire, by false alarms a day."""
    errors, threshold = Poisson(rate), alert_threshold(rate, false_alarms / 1440)
    counts = np.arange(max(threshold + 8, 12))
    colours = np.where(counts >= threshold, RED, BLUE)
    plot = go.Figure(go.Bar(x=counts, y=np.exp(errors.log_mass(counts)), marker_color=colours))
    chance = float(errors.at_least(threshold)) * 1440
    headline(plot, f"alert at {threshold} errors: {chance:.2g} false alarms a day")
    plot.update_xaxes(title="errors in a minute")
    plot.update_yaxes(title="probability", type="log", range=[-8, 0])
    return plot
