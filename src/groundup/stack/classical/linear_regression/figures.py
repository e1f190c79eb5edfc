"""Explorables of linear_regression: a line on its way down, two penalties, and a row that pulls."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, COLOURS, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.classical.linear_regression import (
    Lasso,
    Ridge,
    diagnostics,
    gradient_descent,
    least_squares,
)

MINUTES = 40


def _traffic() -> tuple[np.ndarray, np.ndarray]:
    """Requests (hundreds a minute) and millicores of forty minutes."""
    rng = np.random.default_rng(3)
    requests = rng.uniform(1, 9, MINUTES)
    return requests, 120 + 50 * requests + rng.normal(scale=30, size=MINUTES)


@figure("A line on its way down")
def descent(
    steps: Annotated[int, Range(0, 100)] = 3,
    rate: Annotated[float, Range(0.02, 0.98, step=0.02)] = 0.3,
    standardise: bool = False,
) -> go.Figure:
    """Gradient descent from the flat line at 0; the rate is a share of the largest that does not overshoot.

    Raise the steps: the slope is right soon, the intercept only after thousands. Standardise: both are right within
    ten. A rate near 1 jumps from side to side.
    """
    x, y = _traffic()
    columns = (x - x.mean()) / x.std() if standardise else x
    design = np.column_stack([np.ones(MINUTES), columns])
    bound = 2 * MINUTES / float(np.linalg.norm(design, 2)) ** 2
    b, losses = gradient_descent(design, y, learning_rate=rate * bound, max_iter=steps)
    best = least_squares(design, y)
    least = np.mean((y - design @ best) ** 2) / 2
    plot = make_subplots(1, 2, horizontal_spacing=0.14)
    order = np.argsort(x)
    plot.add_scatter(x=x, y=y, mode="markers", marker_color=GREY, name="minutes", row=1, col=1)
    line, dashed = {"color": BLUE, "width": 3}, {"color": ORANGE, "dash": "dash"}
    plot.add_scatter(x=x[order], y=(design @ b)[order], mode="lines", line=line, name=f"after {steps} steps")
    plot.add_scatter(x=x[order], y=(design @ best)[order], mode="lines", line=dashed, name="least squares")
    plot.add_scatter(y=losses, mode="lines+markers", line_color=BLUE, showlegend=False, row=1, col=2)
    plot.add_scatter(x=[0, max(steps, 1)], y=[least] * 2, mode="lines", line=dashed, showlegend=False, row=1, col=2)
    headline(plot, f"loss {losses[-1]:,.0f}, least {least:,.0f}")
    plot.update_xaxes(title="requests, hundreds a minute", row=1, col=1)
    plot.update_yaxes(title="millicores", row=1, col=1)
    plot.update_xaxes(title="step", row=1, col=2)
    plot.update_yaxes(title="loss", type="log", row=1, col=2)
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Two penalties")
def shrinkage(
    penalty: Literal["ridge", "lasso"] = "lasso",
    correlation: Annotated[float, Range(0, 0.98, step=0.02)] = 0.5,
    noise: Annotated[float, Range(0, 5, step=0.5)] = 2.0,
) -> go.Figure:
    """Coefficients of six columns as the penalty grows; the true ones, marked on the left, are 3, 2, 1, 0, 0, 0.

    Ridge shrinks all and drops none. The lasso drops one after the other, those of 0 first. Raise the correlation:
    ridge gives columns that are alike their share each, the lasso picks among them.
    """
    rng = np.random.default_rng(1)
    truth = np.array([3.0, 2, 1, 0, 0, 0])
    common = rng.normal(size=(80, 1))
    X = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * rng.normal(size=(80, 6))
    y = X @ truth + noise * rng.normal(size=80)
    alphas = np.geomspace(0.1, 1e4, 40) if penalty == "ridge" else np.geomspace(1e-3, 10, 40)
    paths = np.array([(Ridge(a) if penalty == "ridge" else Lasso(a, tol=1e-6)).fit(X, y).coef_ for a in alphas])
    plot = go.Figure()
    for j, colour in enumerate(COLOURS):
        plot.add_scatter(x=alphas, y=paths[:, j], name=f"column {j + 1}", line={"color": colour, "width": 2.5})
        spot = {"color": colour, "size": 10, "symbol": "diamond"}
        plot.add_scatter(x=[alphas[0] / 1.5], y=[truth[j]], mode="markers", marker=spot, showlegend=False)
    used = (paths != 0).sum(axis=1)
    headline(plot, f"coefficients that are not 0: {used[0]} at the left, {used[len(used) // 2]} in the middle")
    plot.update_xaxes(title="alpha", type="log")
    plot.update_yaxes(title="coefficient")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("A row that pulls")
def influence(
    requests: Annotated[float, Range(0, 30, step=0.5)] = 20.0,
    millicores: Annotated[float, Range(0, 2000, step=20)] = 400.0,
) -> go.Figure:
    """One more minute, anywhere you like: the line with it and without it, and every row's Cook's distance.

    Put it far to the right (leverage) and off the line (residual): the line turns after it. Far out but on the line,
    or off it in the middle, it does little.
    """
    x, y = _traffic()
    wide, high = np.append(x, requests), np.append(y, millicores)
    fit = diagnostics(wide[:, None], high)
    without = diagnostics(x[:, None], y).coefficients
    ends = np.array([0.0, max(10.0, requests)])
    plot = make_subplots(1, 2, horizontal_spacing=0.14, column_widths=[0.6, 0.4])
    plot.add_scatter(x=x, y=y, mode="markers", marker_color=GREY, name="minutes", row=1, col=1)
    spot = {"color": RED, "size": 12, "symbol": "diamond"}
    plot.add_scatter(x=[requests], y=[millicores], mode="markers", marker=spot, name="the one more")
    for b, colour, name in ((fit.coefficients, BLUE, "with it"), (without, GREEN, "without it")):
        plot.add_scatter(x=ends, y=b[0] + b[1] * ends, mode="lines", line={"color": colour, "width": 3}, name=name)
    colours = [GREY] * MINUTES + [RED]
    plot.add_bar(y=fit.cooks_distance, marker_color=colours, showlegend=False, row=1, col=2)
    slopes = f"slope {without[1]:.0f} without it, {fit.coefficients[1]:.0f} with it"
    headline(plot, f"leverage {fit.leverage[-1]:.2f}, Cook's distance {fit.cooks_distance[-1]:.2f}; {slopes}")
    plot.update_xaxes(title="requests, hundreds a minute", row=1, col=1)
    plot.update_yaxes(title="millicores", row=1, col=1)
    plot.update_xaxes(title="row", row=1, col=2)
    plot.update_yaxes(title="Cook's distance", row=1, col=2)
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
