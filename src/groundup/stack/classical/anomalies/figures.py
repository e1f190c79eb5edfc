"""Explorables of anomalies: what is normal, three kinds of strange rows, and sums that find a shift."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.classical.anomalies import (
    IsolationForest,
    LocalOutlierFactor,
    RobustZScore,
    cusum,
    robust_scale,
)


@figure("What is normal")
def normal(
    wild: Annotated[int, Range(0, 40)] = 6,
    threshold: Annotated[float, Range(2, 6, step=0.25)] = 3.5,
) -> go.Figure:
    """A CPU over 100 minutes, some of them incidents, and two borders: by mean and deviation, by median and MAD.

    Add incidents. Mean and deviation move with them, until the border lies above the incidents that it should find.
    Median and MAD stay, as long as fewer than half of the minutes are incidents. Lower the threshold: more ordinary
    minutes lie above the border.
    """
    rng = np.random.default_rng(0)
    values = 40 + 3 * rng.standard_normal(100)
    places = rng.permutation(100)[:wild]
    values[places] = rng.uniform(60, 90, 40)[:wild]
    strange = np.isin(np.arange(100), places)
    medians, spreads = robust_scale(values[:, None])
    borders = {
        "mean and deviation": (values.mean() + threshold * values.std(), BLUE, "dash"),
        "median and MAD": (medians[0] + threshold * spreads[0], GREEN, "solid"),
    }
    plot = go.Figure()
    for name, chosen, colour, symbol in (
        ("ordinary", ~strange, BLUE, "circle"),
        ("incident", strange, ORANGE, "x"),
    ):
        marker = {"color": colour, "symbol": symbol, "size": 7}
        plot.add_scatter(x=np.flatnonzero(chosen), y=values[chosen], mode="markers", marker=marker, name=name)
    for name, (border, colour, dash) in borders.items():
        plot.add_scatter(x=[0, 99], y=[border] * 2, mode="lines", line={"color": colour, "dash": dash}, name=name)
    found = [int(np.sum(values[strange] > border)) for border, _, _ in borders.values()]
    headline(plot, f"of {wild} incidents: {found[0]} found by mean and deviation, {found[1]} by median and MAD")
    plot.update_xaxes(title="minute")
    plot.update_yaxes(title="CPU in %", range=[25, 110])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@lru_cache(maxsize=32)
def _rows(seed: int = 0) -> np.ndarray:
    """Response time and load of 150 requests in a wide crowd, 60 in a dense one, and a row beside the dense one."""
    rng = np.random.default_rng(seed)
    wide = 70 + 8 * rng.standard_normal((150, 2))
    return np.vstack([wide, 25 + 1.2 * rng.standard_normal((60, 2)), [[37.0, 25.0]]])


@figure("Strange in which way")
def strange(
    method: Literal["robust z-score", "isolation forest", "local outlier factor"] = "local outlier factor",
    trees: Annotated[int, Range(1, 60)] = 40,
    neighbours: Annotated[int, Range(2, 80)] = 15,
) -> go.Figure:
    """How strange each place is to a detector that has seen two crowds and a row (ring) beside the dense one.

    The robust z-score looks at columns one by one, so the ring is in order. The isolation forest finds empty places by
    cuts along the axes; one tree makes boxes, many make hills. The local outlier factor measures by the neighbours'
    own distances: in the dense crowd a small step is strange. With two neighbours any gap is strange; with more
    than the dense crowd has, the wide one judges it as well.
    """
    X = _rows()
    model = {
        "robust z-score": lambda: RobustZScore(),
        "isolation forest": lambda: IsolationForest(trees, max_samples=128, random_state=0),
        "local outlier factor": lambda: LocalOutlierFactor(neighbours),
    }[method]().fit(X)
    axis = np.linspace(0, 100, 41)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    z = -model.score_samples(grid).reshape(41, 41)
    own = -(model.negative_outlier_factor_ if isinstance(model, LocalOutlierFactor) else model.score_samples(X))
    plot = go.Figure()
    scale = [[0.0, "rgba(128,128,128,0.05)"], [1.0, ORANGE]]
    top = float(np.quantile(z, 0.95))
    plot.add_heatmap(x=axis, y=axis, z=np.minimum(z, top), colorscale=scale, colorbar={"title": "score"})
    marker = {"color": BLUE, "size": 5}
    plot.add_scatter(x=X[:-1, 0], y=X[:-1, 1], mode="markers", marker=marker, name="request")
    ring = {"size": 13, "symbol": "circle-open", "color": RED, "line": {"width": 3}}
    plot.add_scatter(x=X[-1:, 0], y=X[-1:, 1], mode="markers", marker=ring, name="beside the dense crowd")
    rank = int(np.sum(own > own[-1])) + 1
    headline(plot, f"the ring has the score {own[-1]:.2f}: rank {rank} of {len(X)}")
    plot.update_xaxes(title="response time in ms")
    plot.update_yaxes(title="load in %")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Deviations that add up")
def shift(
    size: Annotated[float, Range(0, 3, step=0.25)] = 1.0,
    drift: Annotated[float, Range(0, 1.5, step=0.1)] = 0.5,
    threshold: Annotated[float, Range(1, 15, step=0.5)] = 6.0,
) -> go.Figure:
    """A metric in deviations that shifts after 60 values, and the sum of what lies above the target by more than drift.

    A shift of one deviation hides in the noise, and the sum finds it. Set the drift to 0: the sum wanders off before
    anything has happened. Set it above the shift: nothing adds up. Half of the shift that you look for is the usual
    choice. Lower the threshold: alarms come sooner, and false ones come too.
    """
    values = np.random.default_rng(1).standard_normal(120)
    values[60:] += size
    sums = cusum(values, 0.0, drift=drift, threshold=threshold)
    places = np.arange(120)
    plot = go.Figure()
    plot.add_scatter(x=places, y=values, mode="markers", marker={"color": BLUE, "size": 5}, name="metric")
    plot.add_scatter(x=places, y=sums.above, name="sum above", line_color=ORANGE)
    plot.add_scatter(x=places, y=-sums.below, name="sum below", line_color=GREEN)
    for sign in (1, -1):
        plot.add_hline(y=sign * threshold, line={"color": RED, "dash": "dash"})
    marker = {"color": RED, "symbol": "x", "size": 11}
    alarms = sums.alarms
    height = np.where(sums.above[alarms] > threshold, sums.above[alarms], -sums.below[alarms])
    plot.add_scatter(x=alarms, y=height, mode="markers", marker=marker, name="alarm")
    late = alarms[alarms >= 60]
    after = f"first alarm {late[0] - 60 + 1} values after the shift" if len(late) else "no alarm after the shift"
    headline(plot, f"{int(np.sum(alarms < 60))} false alarms   {after}")
    plot.update_xaxes(title="value")
    plot.update_yaxes(title="deviations from the target")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
