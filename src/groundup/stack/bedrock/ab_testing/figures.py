"""Explorables of A/B testing: the price of looking, the price of small differences, and what the past explains."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.bedrock.ab_testing import always_valid, confidence_sequence, cuped, visitors_needed


@figure("Looking every day")
def looking(
    difference: Annotated[float, Range(0, 0.05, step=0.005)] = 0.0,
    days: Annotated[int, Range(5, 100)] = 40,
    shown: Literal["share found", "one experiment"] = "share found",
) -> go.Figure:
    """Two variants near 10 percent with 200 visitors each a day, looked at every day.

    Without a difference the test of a single look "finds" one in ever more of 300 experiments. The always-valid test
    stays below 5 percent for ever. With a difference it needs somewhat longer. One experiment shows its intervals.
    """
    rng, n = np.random.default_rng(1), 200 * np.arange(1, days + 1)
    a, b = (rng.binomial(200, rate, (300, days)).cumsum(axis=1) / n for rate in (0.1, 0.1 + difference))
    middle = (a + b) / 2 + 1 / n
    errors = np.sqrt(2 * middle * (1 - middle) / n)
    plot, day = go.Figure(), np.arange(1, days + 1)
    if shown == "one experiment":
        low, high = confidence_sequence(b[0] - a[0], errors[0], 0.02)
        for name, ends, colour in (
            ("always valid", (low, high), BLUE),
            ("for a single look", (b[0] - a[0] - 1.96 * errors[0], b[0] - a[0] + 1.96 * errors[0]), RED),
        ):
            for k, end in enumerate(ends):
                plot.add_scatter(x=day, y=end, line_color=colour, name=name, showlegend=k == 0)
        plot.add_hline(y=difference, line={"color": GREY, "dash": "dash"})
        headline(plot, f"dashed: the true difference of {100 * difference:.1f} points")
        plot.update_yaxes(title="difference of rates", range=[-0.1, 0.15])
    else:
        single = np.abs(b - a) / errors >= 1.96
        always = always_valid(b - a, errors, 0.02) <= 0.05
        found = [np.maximum.accumulate(x, axis=1).mean(axis=0) for x in (single, always)]
        for name, share, colour in (("test of a single look", found[0], RED), ("always valid", found[1], BLUE)):
            plot.add_scatter(x=day, y=share, line_color=colour, name=name)
        plot.add_hline(y=0.05, line={"color": GREY, "dash": "dash"})
        headline(plot, f"after {days} days: {100 * found[0][-1]:.0f} % and {100 * found[1][-1]:.0f} %")
        plot.update_yaxes(title="experiments that found a difference", range=[0, 1.02])
    plot.update_xaxes(title="day")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What does a small difference cost?")
def size(
    base: Annotated[float, Range(0.01, 0.5, step=0.01)] = 0.1,
    lift: Annotated[float, Range(0.01, 0.5, step=0.01)] = 0.1,
    power: Annotated[float, Range(0.5, 0.99, step=0.01)] = 0.8,
) -> go.Figure:
    """Visitors of each variant by the lift that you want to see, relative to the old rate.

    Both axes are logarithmic: half the lift costs four times the visitors. Rare conversions cost more.
    """
    lifts = np.geomspace(0.01, 0.6, 60)
    plot = go.Figure()
    for rate, colour, name in ((base, BLUE, "your rate"), (base / 2, ORANGE, "half of it")):
        needed = [visitors_needed(rate, rate * (1 + x), power) for x in lifts]
        plot.add_scatter(x=100 * lifts, y=needed, line_color=colour, name=name)
    n = visitors_needed(base, base * (1 + lift), power)
    plot.add_scatter(x=[100 * lift], y=[n], mode="markers", marker={"color": RED, "size": 11}, name="your plan")
    headline(plot, f"{n:,} visitors of each variant tell {100 * base * (1 + lift):.2f} % from {100 * base:.0f} %")
    plot.update_xaxes(title="lift (%)", type="log")
    plot.update_yaxes(title="visitors of each variant", type="log")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What the past explains")
def explained(
    correlation: Annotated[float, Range(0, 0.95, step=0.05)] = 0.7,
    effect: Annotated[float, Range(0, 40, step=2)] = 12,
    visitors: Annotated[int, Range(20, 400, step=20)] = 100,
) -> go.Figure:
    """What visitors spend in an experiment by what they spent before, and the difference of means with its error.

    The distance of the parallel lines is the difference after adjustment. The noise about the lines is all that is
    left: of the variance, one less the squared correlation.
    """
    rng, plot = np.random.default_rng(6), go.Figure()
    before = 100 + 30 * rng.normal(size=(2, visitors))
    noise = 30 * np.sqrt(1 - correlation**2) * rng.normal(size=(2, visitors))
    a, b = 100 + correlation * (before - 100) + noise + np.array([[0.0], [effect]])
    adjusted = cuped(a, b, *before)
    slope = float((a[0] - adjusted[0][0]) / (before[0, 0] - before.mean()))
    ends = np.array([before.min(), before.max()])
    for k, (values, less, colour, symbol) in enumerate(
        ((a, adjusted[0], BLUE, "circle"), (b, adjusted[1], GREEN, "diamond"))
    ):
        name = ("a, the old one", "b, the new one")[k]
        marker = {"color": colour, "symbol": symbol, "size": 5, "opacity": 0.6}
        plot.add_scatter(x=before[k], y=values, mode="markers", marker=marker, name=name)
        line = {"color": colour, "width": 3}
        plot.add_scatter(
            x=ends, y=less.mean() + slope * (ends - before.mean()), mode="lines", line=line, showlegend=False
        )
    found = []
    for x, y in ((a, b), adjusted):
        found.append(f"{y.mean() - x.mean():.1f} ± {1.96 * np.sqrt((x.var() + y.var()) / visitors):.1f}")
    headline(plot, f"difference {found[0]} €, less the past {found[1]} €")
    plot.update_xaxes(title="spent before (€)")
    plot.update_yaxes(title="spent in the experiment (€)")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
