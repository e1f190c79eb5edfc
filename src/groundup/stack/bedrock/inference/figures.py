"""Explorables of inference: a p-value by permutation, intervals of a skewed sample, and power."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.bedrock.inference import (
    bootstrap_interval,
    mean_difference,
    one_sample_t,
    permutation_test,
    power,
    sample_size,
    welch_t,
)


@figure("If the labels were arbitrary")
def permutation(
    slowdown: Annotated[float, Range(1, 2, step=0.05)] = 1.3,
    requests: Annotated[int, Range(4, 200, step=4)] = 60,
) -> go.Figure:
    """Differences of mean latency between two deployments after dealing the same requests again, 2,000 times.

    The red line is the difference that was measured. The p-value is the share of deals that lie at least as far out.
    More requests make the heap narrower; a slowdown moves the line.
    """
    rng = np.random.default_rng(5)
    old, new = 80 * np.exp(rng.normal(size=(2, requests)))
    new = slowdown * new
    pool = np.broadcast_to(np.concatenate([new, old]), (2000, 2 * requests))
    deals = rng.permuted(pool, axis=1)
    differences = mean_difference(deals[:, :requests], deals[:, requests:])
    observed = float(mean_difference(new, old))
    p = permutation_test(new, old, rng, permutations=2000)
    plot = go.Figure(go.Histogram(x=differences, nbinsx=60, marker_color=BLUE))
    plot.add_vline(x=observed, line={"color": RED, "width": 3})
    plot.add_vline(x=-observed, line={"color": RED, "dash": "dot"})
    headline(
        plot, f"measured: {observed:.0f} ms slower; p = {p:.3f}, by Welch's test {welch_t(new, old).p_value():.3f}"
    )
    plot.update_xaxes(title="difference of the means (ms)")
    plot.update_yaxes(title="deals")
    return plot


@figure("Forty intervals of one truth")
def intervals(
    values: Annotated[int, Range(5, 80)] = 15,
    kind: Literal["t", "bootstrap"] = "t",
    tail: Annotated[float, Range(0.1, 1.5, step=0.1)] = 1.0,
) -> go.Figure:
    """Intervals of 95 percent for the mean of latencies, each from another sample; red ones miss the true mean.

    Two of forty should miss. With a long tail and few values more do: the sample has not seen the tail. The t-interval
    is symmetric; the bootstrap's upper arm is longer, as it should be.
    """
    rng, truth = np.random.default_rng(2), 80 * float(np.exp(tail**2 / 2))
    plot, missed = go.Figure(), 0
    for row in range(40):
        sample = 80 * np.exp(tail * rng.normal(size=values))
        if kind == "t":
            low, high = one_sample_t(sample).interval()
        else:
            low, high = bootstrap_interval(
                sample, statistic=lambda x: x.mean(axis=-1), rng=np.random.default_rng(row), resamples=999
            )
        misses = not low <= truth <= high
        missed += misses
        line = {"color": RED if misses else GREY, "width": 3}
        plot.add_scatter(x=[low, high], y=[row, row], mode="lines", line=line, showlegend=False)
        marker = {"color": ORANGE, "size": 5}
        plot.add_scatter(x=[sample.mean()], y=[row], mode="markers", marker=marker, showlegend=False)
    plot.add_vline(x=truth, line={"color": BLUE, "dash": "dash"})
    headline(plot, f"{missed} of 40 miss the true mean of {truth:.0f} ms")
    plot.update_xaxes(title="mean latency (ms)")
    plot.update_yaxes(title="sample", showticklabels=False)
    return plot


@figure("How much must be measured?")
def planning(
    effect: Annotated[float, Range(0.1, 2, step=0.05)] = 0.5,
    alpha: Annotated[float, Range(0.001, 0.2, step=0.001, log=True)] = 0.05,
    wanted: Annotated[float, Range(0.5, 0.99, step=0.01)] = 0.8,
) -> go.Figure:
    """Power of a t-test by the size of each sample, for your effect, for half of it and for twice it.

    Half the effect needs about four times the values.
    """
    n = sample_size(effect, wanted, alpha)
    sizes = np.unique(np.geomspace(2, max(8 * n, 20), 60).astype(int))
    plot = go.Figure()
    for factor, colour, name in ((2.0, GREEN, "twice the effect"), (1.0, BLUE, "your effect"), (0.5, ORANGE, "half")):
        curve = [power(factor * effect, int(k), int(k), alpha) for k in sizes]
        plot.add_scatter(x=sizes, y=curve, line_color=colour, name=name)
    plot.add_scatter(x=[n], y=[power(effect, n, n, alpha)], mode="markers", marker={"color": RED, "size": 11}, name="n")
    plot.add_hline(y=wanted, line={"color": GREY, "dash": "dot"})
    headline(plot, f"{n} values in each sample find {effect:.2f} deviations with power {wanted:.2f}")
    plot.update_xaxes(title="values in each sample", type="log")
    plot.update_yaxes(title="power", range=[0, 1.02])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
