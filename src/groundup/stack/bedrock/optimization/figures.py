"""Explorables of optimization: paths on surfaces, the condition number, and the Wolfe conditions."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, COLOURS, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.bedrock.optimization import (
    Track,
    adam_step,
    descend,
    himmelblau,
    minimize,
    momentum_step,
    quadratic,
    rosenbrock,
    saddle,
    wolfe_line_search,
)

PLACES = {  # start, and the part of the plane that is shown
    "bowl": (quadratic(20), (-9.0, 2.0), (-10, 3), (-3, 3)),
    "rosenbrock": (rosenbrock(), (-1.2, 1.0), (-1.8, 1.8), (-0.8, 2.2)),
    "himmelblau": (himmelblau(), (0.0, -1.0), (-5, 5), (-5, 5)),
    "saddle": (saddle(), (1.2, 0.001), (-1.5, 1.5), (-1.6, 1.6)),
}


@figure("Paths downhill")
def paths(
    surface: Literal["bowl", "rosenbrock", "himmelblau", "saddle"] = "bowl",
    rate: Annotated[float, Range(0.0002, 0.5, step=0.0001, log=True)] = 0.06,
    momentum: Annotated[float, Range(0.0, 0.98, step=0.01)] = 0.8,
    steps: Annotated[int, Range(1, 300)] = 120,
) -> go.Figure:
    """Five ways down from one start. Gradient descent, momentum and Adam share your rate; the others have none.

    Raise the rate on the bowl until gradient descent crosses the valley with every step, and then leaves it.
    """
    place, start, across, up = PLACES[surface]
    x, y = np.linspace(across[0], across[1], 81), np.linspace(up[0], up[1], 81)
    heights = [[place.loss(np.array([a, b]))[0] - place.least for a in x] for b in y]
    plot = go.Figure()
    plot.add_contour(
        x=x,
        y=y,
        z=np.log10(np.maximum(heights, 1e-3)),
        contours={"coloring": "lines"},
        colorscale=[[0, GREY], [1, GREY]],
        showscale=False,
        hoverinfo="skip",
    )
    tracks = {name: Track(place.loss) for name in ("gradient descent", "momentum", "Adam", "L-BFGS", "Newton")}
    with np.errstate(all="ignore"):
        descend(tracks["gradient descent"], start, momentum_step, rate, steps + 1, momentum=0.0)
        descend(tracks["momentum"], start, momentum_step, rate, steps + 1, momentum=momentum)
        descend(tracks["Adam"], start, adam_step, rate, steps + 1)
        minimize(tracks["L-BFGS"], start, most=steps)
        minimize(tracks["Newton"], start, place.hessian, most=steps)
    arrived = []
    for (name, track), colour in zip(tracks.items(), COLOURS, strict=False):
        points = np.clip(np.array(track.points)[: steps + 1], -1e3, 1e3)
        plot.add_scatter(
            x=points[:, 0],
            y=points[:, 1],
            mode="lines+markers",
            name=name,
            line_color=colour,
            marker={"size": 4},
        )
        arrived.append(f"{name} {track.reaches(place.least + 1e-6) or '–'}")
    headline(plot, "evaluations until 10⁻⁶: " + ", ".join(arrived))
    plot.update_xaxes(title="x", range=across)
    plot.update_yaxes(title="y", range=up)
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What the condition number costs")
def condition(
    dimensions: Annotated[int, Range(2, 40)] = 10,
    memory: Annotated[int, Range(0, 20)] = 10,
) -> go.Figure:
    """Evaluations until the loss of a bowl has fallen by a factor of a million, at the best rate of each rule.

    Gradient descent needs about κ of them, momentum the root of κ. With a memory of 0, L-BFGS is steepest descent.
    """
    conditions = np.geomspace(1.5, 600, 9)
    start = np.ones(dimensions)
    lines: dict[str, list[int | None]] = {"gradient descent": [], "momentum": [], "L-BFGS": [], "Newton": []}
    for k in conditions:
        bowl, root = quadratic(k, dimensions), np.sqrt(k)
        goal = bowl.loss(start)[0] / 1e6
        tracks = {name: Track(bowl.loss) for name in lines}
        descend(tracks["gradient descent"], start, momentum_step, 2 / (1 + k), 4000, goal, momentum=0.0)
        share, rate = ((root - 1) / (root + 1)) ** 2, (2 / (1 + root)) ** 2
        descend(tracks["momentum"], start, momentum_step, rate, 4000, goal, momentum=share)
        minimize(tracks["L-BFGS"], start, memory=memory, most=400)
        minimize(tracks["Newton"], start, bowl.hessian)
        for name, track in tracks.items():
            lines[name].append(track.reaches(goal))
    plot = go.Figure()
    for (name, counts), colour in zip(lines.items(), COLOURS, strict=False):
        plot.add_scatter(x=conditions, y=counts, mode="lines+markers", name=name, line_color=colour)
    headline(plot, "κ = 600: " + ", ".join(f"{name} {counts[-1] or '–'}" for name, counts in lines.items()))
    plot.update_xaxes(title="condition number κ", type="log")
    plot.update_yaxes(title="evaluations", type="log")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Which steps the Wolfe conditions allow")
def wolfe(
    decrease: Annotated[float, Range(0.0001, 0.5, step=0.0001, log=True)] = 0.1,
    curvature: Annotated[float, Range(0.51, 0.99, step=0.01)] = 0.6,
    first: Annotated[float, Range(0.02, 12, step=0.01, log=True)] = 0.1,
) -> go.Figure:
    """A loss along a line. Green steps hold both conditions: below the dashed line, and flat enough.

    Numbers are the trials of the search. Begin with a tiny step, and with one far too long.
    """
    loss = lambda x: (  # noqa: E731
        float(0.1 * (x[0] - 6) ** 2 + np.sin(1.5 * x[0])),
        np.array([0.2 * (x[0] - 6) + 1.5 * np.cos(1.5 * x[0])]),
    )
    start = np.array([1.0])  # where the line begins
    value, gradient = loss(start)
    track = Track(loss)
    found = wolfe_line_search(track, start, np.ones(1), value, gradient, first, decrease, curvature)
    grid = np.linspace(0, 12, 481)
    values, slopes = np.array([(v, g[0]) for v, g in (loss(start + t) for t in grid)]).T
    line = value + decrease * grid * gradient[0]
    allowed = (values <= line) & (np.abs(slopes) <= -curvature * gradient[0])
    plot = go.Figure(go.Scatter(x=grid, y=values, line_color=BLUE, name="loss"))
    plot.add_scatter(x=grid, y=line, line={"color": ORANGE, "dash": "dash"}, name="low enough: below")
    band = {"color": GREEN, "width": 7}
    plot.add_scatter(x=grid, y=np.where(allowed, values, np.nan), line=band, opacity=0.6, name="both conditions hold")
    plot.add_scatter(
        x=[float(x[0]) - 1 for x in track.points],
        y=track.values,
        mode="markers+text",
        text=[str(number) for number in range(1, len(track.points) + 1)],
        textposition="top center",
        marker={"color": RED, "size": 9, "symbol": "diamond"},
        name="trials",
    )
    headline(plot, f"step {found.step:.3g} after {len(track.points)} evaluations: {value:.2f} became {found.value:.2f}")
    plot.update_xaxes(title="step")
    plot.update_yaxes(title="loss")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
