"""Explorables of monitoring: a rate that is stretched, an index that chance makes, and an incident that pages."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.production.monitoring import BurnRule, burning, fix_edges, rate, stability_index


@figure("How much is measured, and how much is guessed?")
def stretched(
    window: Annotated[int, Range(20, 180, step=5)] = 60,
    restart: bool = False,
    begins: Annotated[int, Range(0, 170, step=5)] = 0,
) -> go.Figure:
    """A counter that grows by 2 a second, read every 15 seconds; rate() of the last `window` seconds.

    Grey samples lie outside the window. The line runs as far as Prometheus stretches the slope: to the ends of the
    window, or by half a gap where no sample lies near. Let the service begin late, and see where the line stops.
    """
    times = np.arange(7.0, 181.0, 15.0)
    times = times[times >= begins]
    values = 2 * (times - begins)
    if restart:
        values = np.where(times > 140, 2 * (times - 140), values)
    result = rate(times, values, 180 - window, 180)
    inside = times > 180 - window
    plot = go.Figure()
    for mask, colour, name in ((~inside, GREY, "outside"), (inside, BLUE, "in the window")):
        plot.add_scatter(x=times[mask], y=values[mask], mode="markers", marker={"color": colour, "size": 9}, name=name)
    if inside.sum() > 1:
        steps = np.diff(values[inside])
        grown = np.append(0, np.where(steps < 0, values[inside][1:], steps).cumsum()) + values[inside][0]
        slope = (grown[-1] - grown[0]) / (times[inside][-1] - times[inside][0])
        total = result * window / slope
        right = min(180.0, times[-1] + 15)
        left = right - total
        line = [grown[0] + slope * (moment - times[inside][0]) for moment in (left, right)]
        plot.add_scatter(x=[left, right], y=line, mode="lines", line_color=ORANGE, name="stretched, restarts mended")
    plot.add_vline(x=180 - window, line={"color": GREY, "dash": "dash"})
    told = "no rate: fewer than two samples" if np.isnan(result) else f"rate: {result:.2f} a second, true: 2"
    headline(plot, told)
    plot.update_xaxes(title="time (seconds)", range=[0, 182])
    plot.update_yaxes(title="requests counted")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Is 0.1 a drift?")
def chance(
    rows: Annotated[int, Range(30, 3_000, log=True)] = 100,
    bins: Annotated[int, Range(2, 30)] = 10,
    shift: Annotated[float, Range(0, 1, step=0.05)] = 0.0,
) -> go.Figure:
    """Stability indices of 200 windows, against a reference of 2,000 rows.

    Without a shift all of it is chance. The green line is what chance makes on average: bins less one, times the sum of
    1 over either number of rows. The red line is the rule of thumb.
    """
    rng = np.random.default_rng(4)
    reference = rng.normal(size=2_000)
    edges = fix_edges(reference, bins)
    indices = [stability_index(reference, rng.normal(shift, 1, rows), edges) for _ in range(200)]
    plot = go.Figure(go.Histogram(x=indices, nbinsx=40, marker_color=BLUE, name="windows"))
    plot.add_vline(x=0.1, line={"color": RED, "width": 3})
    plot.add_vline(x=(bins - 1) * (1 / rows + 1 / 2_000), line={"color": GREEN, "width": 3, "dash": "dot"})
    headline(plot, f"{np.mean(np.array(indices) > 0.1):.0%} of the windows are above 0.1")
    plot.update_xaxes(title="population stability index", rangemode="tozero")
    plot.update_yaxes(title="windows")
    return plot


@figure("When does it page?")
def incident(
    failing: Annotated[float, Range(0.1, 100, log=True)] = 5.0,
    minutes: Annotated[int, Range(1, 120)] = 40,
    short: bool = True,
) -> go.Figure:
    """An incident at minute 0, of a service with an objective of 99.9 %: burn rates of its last hour and 5 minutes.

    The red band is where the alert of the factor 14.4 fires. Without the short window it rings on for most of an hour
    after the errors have ended.
    """
    times = 60.0 * np.arange(-120, 181)
    requests = 600.0 * np.arange(times.size)
    failed = np.where((times[1:] > 0) & (times[1:] <= 60 * minutes), 6 * failing, 0)
    errors = np.append(0, failed.cumsum())
    page = BurnRule("page", 0.02, 3_600, 300 if short else 3_600)
    moments = times[60:]
    firing = [bool(burning(times, errors, requests, now, 0.999, [page])) for now in moments]
    plot = go.Figure()
    for window, colour, name in ((3_600, BLUE, "last hour"), (300, ORANGE, "last 5 minutes")):
        burn = [
            rate(times, errors, now - window, now) / rate(times, requests, now - window, now) / 0.001 for now in moments
        ]
        plot.add_scatter(x=moments / 60, y=np.maximum(burn, 0.01), line_color=colour, name=name)
    plot.add_hline(y=14.4, line={"color": GREY, "dash": "dash"})
    rung = moments[firing] / 60
    if rung.size:
        plot.add_vrect(x0=rung[0], x1=rung[-1], fillcolor=RED, opacity=0.2, line_width=0)
    told = f"pages after {rung[0]:.0f} min, for {rung[-1] - rung[0] + 1:.0f} min" if rung.size else "pages nobody"
    spent = min(minutes, 180) * failing / 100 / 0.001 / (30 * 1_440)
    headline(plot, f"{told}; the incident spends {spent:.1%} of the month's budget")
    plot.update_xaxes(title="time since the incident began (minutes)")
    plot.update_yaxes(title="burn rate (logarithmic)", type="log", range=[-1, 3.1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
