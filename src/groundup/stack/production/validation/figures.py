"""Explorables of validation: rules that refuse rows, the distance of two samples, and alarms by chance."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.production.validation import Column, find_broken, find_drift, ks_test


@figure("Where to draw the line?")
def bounds(
    high: Annotated[int, Range(20, 400, step=10)] = 120,
    damage: Literal["ages in months", "an extra digit"] = "ages in months",
) -> go.Figure:
    """Ages of 300 people, 30 of them damaged; the rule `high` refuses the ages to the right of the line.

    A low bound refuses people who are old. A high one lets damage pass: a child of 5 becomes a person of 60.
    """
    rng = np.random.default_rng(5)
    true = np.clip(rng.normal(35, 20, 300).round(), 0, 95)
    damaged = np.arange(300) < 30
    ages = np.where(damaged, true * (12 if damage == "ages in months" else 10), true)
    refused = find_broken(ages, Column("number", low=0, high=high))["high"]
    plot = go.Figure()
    for mark, colour, name in ((False, BLUE, "as it was"), (True, ORANGE, "damaged")):
        bins = {"start": 0, "end": 1200, "size": 20}
        plot.add_histogram(x=ages[damaged == mark], xbins=bins, marker_color=colour, name=name, opacity=0.7)
    plot.add_vline(x=high, line={"color": RED, "width": 3})
    headline(plot, f"{(refused & damaged).sum()} of 30 damaged rows refused, {(refused & ~damaged).sum()} clean ones")
    plot.update_xaxes(title="age (years, as the table says)")
    plot.update_yaxes(title="people (logarithmic)", type="log")
    plot.update_layout(legend=LEGEND_BELOW, barmode="overlay")
    return plot


@figure("How far apart?")
def distance(
    shift: Annotated[float, Range(-2, 2, step=0.1)] = 0.5,
    stretch: Annotated[float, Range(0.25, 4, step=0.25)] = 1.0,
    rows: Annotated[int, Range(10, 1_000, log=True)] = 100,
) -> go.Figure:
    """The shares of values below x in two samples; the red line is the distance of Kolmogorov and Smirnov.

    Leave the shift at 0 and stretch: the means agree, and the distance still sees the change. More rows leave the
    distance and make it less probable that chance made it.
    """
    rng = np.random.default_rng(2)
    samples = [np.sort(rng.normal(size=rows)), np.sort(rng.normal(shift, stretch, rows))]
    result = ks_test(*samples)
    plot = go.Figure()
    places = np.sort(np.concatenate(samples))
    shares = [np.searchsorted(sample, places) / rows for sample in samples]
    for share, colour, name in zip(shares, (BLUE, ORANGE), ("reference", "current"), strict=True):
        plot.add_scatter(x=places, y=share, line={"color": colour, "shape": "vh"}, name=name)
    widest = int(np.abs(shares[0] - shares[1]).argmax())
    ends = [float(share[widest]) for share in shares]
    plot.add_scatter(x=[places[widest]] * 2, y=ends, line={"color": RED, "width": 4}, name="distance", mode="lines")
    headline(plot, f"distance {result.distance:.2f}, p = {result.p:.2g}")
    plot.update_xaxes(title="value")
    plot.update_yaxes(title="share of values below", range=[0, 1.02])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("How many alarms are false?")
def alarms(
    columns: Annotated[int, Range(1, 20)] = 10,
    rows: Annotated[int, Range(50, 800, step=50)] = 200,
    least: Annotated[float, Range(0, 0.2, step=0.02)] = 0.0,
) -> go.Figure:
    """The smallest p of all columns in 40 pairs of tables in which nothing has changed.

    Left of the grey line, a column is significant when it is judged alone. Left of the red line, it still is when all
    columns share the level. A least distance silences what is significant and small.
    """
    rng = np.random.default_rng(8)
    schema = {f"c{number}": Column("integer", allowed=(0, 1, 2)) for number in range(columns)}
    smallest, alone, shared = [], 0, 0
    for _ in range(40):
        pair = [{name: rng.integers(0, 3, rows) for name in schema} for _ in range(2)]
        drifts = find_drift(pair[0], pair[1], schema, least=least)
        smallest.append(min(drift.p for drift in drifts))
        alone += any(drift.p < 0.05 and drift.distance >= least for drift in drifts)
        shared += any(drift.drifted for drift in drifts)
    plot = go.Figure(go.Scatter(x=smallest, y=np.arange(1, 41), mode="markers", marker_color=BLUE, name="a pair"))
    plot.add_vline(x=0.05, line={"color": GREY, "dash": "dash", "width": 2})
    plot.add_vline(x=0.05 / columns, line={"color": RED, "width": 3})
    headline(plot, f"{alone} of 40 pairs alarm with the level for each column, {shared} with a shared one")
    plot.update_xaxes(title="smallest p of the columns (logarithmic)", type="log", range=[-4, 0.1])
    plot.update_yaxes(title="pair of tables")
    return plot
