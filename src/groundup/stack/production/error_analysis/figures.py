"""Explorables of error analysis: the worst of many slices, a slice on other rows, and what mending would gain."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.production.error_analysis import (
    adjusted_p_values,
    candidate_slices,
    gains,
    measure,
    rows_of,
    slice_scores,
)


@figure("The worst of many slices")
def many(
    slices: Annotated[int, Range(1, 60)] = 40,
    weak_rate: Annotated[float, Range(0.1, 0.6, step=0.02)] = 0.1,
) -> go.Figure:
    """Scores that chance gives one slice, and the highest that it gives any, against the highest that was observed.

    A model is wrong on 10 percent of 1,000 rows, and each slice holds 100 of them. The more slices you look at, the
    further right the worst of them lies by chance. Raise the error rate of the first slice until it stands out.
    """
    rng = np.random.default_rng(3)
    members = np.zeros((slices, 1000))
    for row in members:
        row[rng.choice(1000, 100, replace=False)] = 1
    wrong = (rng.random(1000) < np.where(members[0] == 1, weak_rate, 0.1)).astype(float)
    deals = np.array([slice_scores(members, rng.permutation(wrong)) for _ in range(300)])
    observed = slice_scores(members, wrong)
    adjusted = adjusted_p_values(members, wrong, rng, 300)[observed.argmax()]
    bins = {"size": 1 / 300, "start": -(wrong.sum() / 10 + 0.5) / 300}  # a bar for each number of errors
    plot = go.Figure()
    for scores, colour, name in ((deals[:, 0], BLUE, "one slice"), (deals.max(axis=1), ORANGE, "the worst slice")):
        plot.add_histogram(x=scores, xbins=bins, marker_color=colour, opacity=0.6, name=f"{name}, by chance")
    plot.add_vline(x=float(observed.max()), line={"color": RED, "width": 3})
    headline(plot, f"The worst of {slices} (red): adjusted p = {adjusted:.3f}")
    plot.update_xaxes(title="score: errors beyond the fair share, in the measure of chance")
    plot.update_yaxes(title="deals of 300")
    plot.update_layout(barmode="overlay", legend=LEGEND_BELOW)
    return plot


@figure("Found here, measured there")
def confirmed(
    rows: Annotated[int, Range(200, 4000, step=200)] = 800,
    weak_rate: Annotated[float, Range(0.1, 0.5, step=0.02)] = 0.1,
) -> go.Figure:
    """Error rates of all slices on the rows that are searched, and on as many others.

    The model is wrong on 10 percent, but for the slice "city = B and plan = free". Without a weak slice the worst one
    falls back towards 10 percent (dashed) on other rows. A slice that is truly weak stays near the diagonal.
    """
    rng = np.random.default_rng(8)
    halves = []
    for _ in range(2):
        columns = {"city": rng.choice(list("ABCDE"), rows), "plan": rng.choice(["free", "team", "firm"], rows)}
        weak = (columns["city"] == "B") & (columns["plan"] == "free")
        halves.append((columns, rng.random(rows) < np.where(weak, weak_rate, 0.1)))
    (here, wrong_here), (there, wrong_there) = halves
    slices = [each for each in candidate_slices(here, least=5) if rows_of(each, there).any()]
    rates = np.array(
        [[measure(each, here, wrong_here).rate, measure(each, there, wrong_there).rate] for each in slices]
    )
    names = [" and ".join(map(str, each)) for each in slices]
    worst = int(rates[:, 0].argmax())
    plot = go.Figure()
    top = float(max(rates.max(), 0.3)) + 0.05
    plot.add_scatter(x=[0, top], y=[0, top], mode="lines", line={"color": GREY, "dash": "dot"}, name="the same rate")
    plot.add_scatter(x=rates[:, 0], y=rates[:, 1], mode="markers", marker_color=BLUE, text=names, name="a slice")
    marker = {"color": RED, "size": 13, "symbol": "diamond"}
    plot.add_scatter(x=rates[[worst], 0], y=rates[[worst], 1], mode="markers", marker=marker, name="the worst found")
    plot.add_hline(y=0.1, line={"color": ORANGE, "dash": "dash"})
    headline(plot, f"{names[worst]}: {rates[worst, 0]:.0%} found, {rates[worst, 1]:.0%} on other rows")
    plot.update_xaxes(title="error rate on the searched rows", range=[0, top], tickformat=".0%")
    plot.update_yaxes(title="error rate on other rows", range=[0, top], tickformat=".0%")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What would mending gain?")
def mending(
    sample: Annotated[int, Range(10, 400, step=10)] = 50,
    error_rate: Annotated[float, Range(0.02, 0.4, step=0.02)] = 0.12,
    shared: Annotated[float, Range(0, 0.8, step=0.1)] = 0.3,
) -> go.Figure:
    """Share of rows that mending each category of errors would set right, from a sample of errors, with intervals.

    Orange counts errors that have no other tag. The more errors have two, the wider the span between both. A sample of
    50 ranks large categories; small ones it cannot tell apart.
    """
    rng = np.random.default_rng(11)
    kinds = ["blurred", "cropped", "unusual style", "wrong label", "thin line"]
    first = rng.choice(5, sample, p=[0.4, 0.25, 0.15, 0.12, 0.08])
    second = (first + rng.integers(1, 5, sample)) % 5
    pairs = rng.random(sample) < shared
    tags = [[kinds[a], kinds[b]] if both else [kinds[a]] for a, b, both in zip(first, second, pairs, strict=True)]
    found = gains(tags, error_rate)
    names = [category.name for category in found]
    gain = np.array([category.gain for category in found])
    above = np.array([category.high for category in found]) - gain
    below = gain - np.array([category.low for category in found])
    arms = {"type": "data", "array": above, "arrayminus": below, "color": GREY}
    plot = go.Figure()
    plot.add_bar(x=names, y=gain, error_y=arms, marker_color=BLUE, name="at most: every error with the tag")
    plot.add_bar(x=names, y=[c.alone for c in found], marker_color=ORANGE, name="errors with this tag alone")
    headline(plot, f"{names[0]}: from {error_rate:.0%} to {error_rate - gain[0]:.1%} at best")
    plot.update_xaxes(title="category")
    plot.update_yaxes(title="share of all rows set right", tickformat=".0%")
    plot.update_layout(barmode="group", legend=LEGEND_BELOW)
    return plot
