"""Explorables of dimensionality: a direction of variance, a picture and its settings, and a tree of cells."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, COLOURS, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.classical.dimensionality import (
    EMPTY,
    descend,
    joint_affinities,
    kl_gradient,
    principal_components,
    quadtree,
    repulsion,
)

SYMBOLS = ("circle", "x", "diamond", "square", "cross", "triangle-up")


@figure("A direction")
def direction(
    degrees: Annotated[int, Range(0, 180, step=5)] = 0,
    spread: Annotated[float, Range(0.1, 1.0, step=0.1)] = 0.3,
) -> go.Figure:
    """120 pods by CPU and memory, both standardised, and their shadows on a line that you turn.

    Turn the line: the variance of the shadows is largest along the first principal component, and least across it.
    With much spread, all directions are nearly alike, and dropping one costs nearly half.
    """
    rng = np.random.default_rng(0)
    X = np.outer(rng.normal(size=120), [1.0, 0.8]) + spread * rng.normal(size=(120, 2))
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    _, components, variances = principal_components(X)
    line = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    shadows = np.outer(X @ line, line)
    plot = go.Figure()
    for place, shadow in zip(X[:40], shadows[:40], strict=True):
        ends = {"x": [place[0], shadow[0]], "y": [place[1], shadow[1]]}
        plot.add_scatter(**ends, mode="lines", line={"color": GREY, "width": 0.5}, showlegend=False)
    plot.add_scatter(x=X[:, 0], y=X[:, 1], mode="markers", name="pods", marker={"color": BLUE, "size": 6})
    marker = {"color": ORANGE, "symbol": "x", "size": 5}
    plot.add_scatter(x=shadows[:, 0], y=shadows[:, 1], mode="markers", name="shadows", marker=marker)
    ends = np.outer([-3, 3], components[0])
    style = {"color": RED, "dash": "dash"}
    plot.add_scatter(x=ends[:, 0], y=ends[:, 1], mode="lines", line=style, name="first component")
    share = np.var(X @ line, ddof=1) / variances.sum()
    headline(plot, f"this direction keeps {share:.0%} of the variance, the best {variances[0] / variances.sum():.0%}")
    plot.update_xaxes(title="CPU, standardised")
    plot.update_yaxes(title="memory, standardised", scaleanchor="x")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@lru_cache(maxsize=64)
def _picture(data: str, perplexity: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of 80 rows in ten columns, and their groups; by the exact gradient, which is quick for so few."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 20)
    X = rng.normal(size=(80, 10))
    if data == "four groups":
        X += 6 * np.eye(4, 10)[groups]
    elif data == "two sizes, two distances":
        X = X * np.array([0.2, 1, 1, 1])[groups, None] + np.array([0, 8, 16, 60])[groups, None] * np.eye(1, 10)
    P, mean, axes = joint_affinities(X, float(perplexity)).toarray(), *principal_components(X)[:2]
    Y = (X - mean) @ axes[:2].T
    Y = descend(lambda Z: kl_gradient(12 * P, Z)[1], 1e-4 * Y / Y[:, 0].std(), min(steps, 150), 20.0, 0.5)
    return descend(lambda Z: kl_gradient(P, Z)[1], Y, max(steps - 150, 0), 20.0, 0.8), groups


@figure("What a picture shows, and what not")
def picture(
    data: Literal["four groups", "two sizes, two distances", "nothing"] = "four groups",
    perplexity: Annotated[int, Range(2, 26, step=4)] = 10,
    steps: Annotated[int, Range(50, 450, step=100)] = 350,
) -> go.Figure:
    """t-SNE of 80 rows with ten columns; colours are groups, which it is not told.

    Four groups come apart, if it has steps enough. A group five times as tight, and one far away, look as large and as
    near as the others. Of nothing but noise, a small perplexity makes clumps that are not there.
    """
    Y, groups = _picture(data, perplexity, steps)
    plot = go.Figure()
    for number in range(4):
        own = groups == number
        marker = {"color": COLOURS[number], "symbol": SYMBOLS[number], "size": 7}
        plot.add_scatter(x=Y[own, 0], y=Y[own, 1], mode="markers", marker=marker, name=f"group {number + 1}")
    headline(plot, f"perplexity {perplexity}, {steps} steps")
    plot.update_xaxes(title="first axis")
    plot.update_yaxes(title="second axis", scaleanchor="x")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Far cells count as one")
def cells(
    angle: Annotated[float, Range(0.0, 0.7, step=0.05)] = 0.5,
    place: Annotated[int, Range(0, 199)] = 0,
) -> go.Figure:
    """200 places, and the cells that stand for them when one place (the star) adds up its pushes.

    Near the star each place counts alone, far away a box counts as one. Raise the angle: fewer cells are asked, and
    the pushes err more.
    """
    rng = np.random.default_rng(1)
    Y = np.vstack([rng.normal(size=(50, 2)) + middle for middle in ([-5, 0], [5, 1], [0, 6], [1, -5])])
    tree = quadtree(Y)
    push, _, asked = repulsion(tree, Y, angle)
    apart = Y[:, None] - Y
    exact = (apart / (1 + (apart**2).sum(axis=2, keepdims=True)) ** 2).sum(axis=1)
    waiting, x, y, n_taken = [0], [], [], 0
    while waiting:
        cell = waiting.pop()
        (left, low), (right, high) = tree.low[cell], tree.high[cell]
        side, distance = max(right - left, high - low), np.linalg.norm(Y[place] - tree.center[cell])
        if side == 0 or side < angle * distance:
            n_taken += 1
            x += [left, right, right, left, left, None]
            y += [low, low, high, high, low, None]
        else:
            waiting += [int(child) for child in tree.children[cell] if child != EMPTY]
    plot = go.Figure()
    plot.add_scatter(x=Y[:, 0], y=Y[:, 1], mode="markers", name="places", marker={"color": BLUE, "size": 5})
    plot.add_scatter(x=x, y=y, mode="lines", name="cells that count as one", line={"color": ORANGE, "width": 1.5})
    marker = {"color": RED, "symbol": "star", "size": 14}
    plot.add_scatter(x=Y[[place], 0], y=Y[[place], 1], mode="markers", name="the place that asks", marker=marker)
    error = np.linalg.norm(push - exact) / np.linalg.norm(exact)
    headline(plot, f"{n_taken} cells for 199 others   {asked / 200:.0f} asked in the mean   error {error:.1%}")
    plot.update_xaxes(title="first axis")
    plot.update_yaxes(title="second axis", scaleanchor="x")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
