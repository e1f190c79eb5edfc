"""Explorables of neighbours, naive Bayes and support vectors: votes and scales, evidence of words, and the margin."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, DIVERGING, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.classical.neighbors import SVC, nearest, vote_shares, word_log_probabilities

MESSAGES = {
    "win a free prize now": [1, 1, 1, 0, 0],
    "free for lunch now": [1, 0, 1, 1, 0],
    "prize for mum at lunch": [0, 1, 0, 1, 1],
}
WORDS = ["free", "prize", "now", "lunch", "mum"]
# How often each word stands in eight messages of spam and in eight of ham.
COUNTS = np.array([[6.0, 5.0, 4.0, 0.0, 0.0], [1.0, 0.0, 2.0, 4.0, 5.0]])


@lru_cache(maxsize=8)
def _pods(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """CPU in % and memory in %, and which pods fail: those near a corner of both, some written down wrong."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 100, (n, 2))
    return X, ((np.hypot(100 - X[:, 0], 100 - X[:, 1]) < 62) ^ (rng.random(n) < 0.08)).astype(int)


def _points(plot: go.Figure, X: np.ndarray, y: np.ndarray, names: tuple[str, str]) -> None:
    for name, state, colour, symbol in ((names[0], 0, BLUE, "circle"), (names[1], 1, ORANGE, "x")):
        marker = {"color": colour, "symbol": symbol, "size": 7}
        plot.add_scatter(x=X[y == state, 0], y=X[y == state, 1], mode="markers", marker=marker, name=name)


@figure("Who votes")
def votes(
    k: Annotated[int, Range(1, 61, step=2)] = 1,
    stretch: Annotated[float, Range(0.02, 1.0, step=0.02)] = 1.0,
    weights: Literal["uniform", "distance"] = "uniform",
) -> go.Figure:
    """What the k nearest of 120 pods say of each CPU and memory.

    With k = 1 each wrong pod has an island of its own. More votes make a smooth border, and too many let the larger
    class win everywhere. Shrink the memory, as a column in gigabytes beside one in % is: soon only the CPU says who is
    near, and the border stands upright.
    """
    X, y = _pods(120, 0)
    new, truth = _pods(600, 1)
    scale = np.array([1.0, stretch])
    axis = np.linspace(0, 100, 41)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)

    def shares(rows: np.ndarray) -> np.ndarray:
        distances, chosen = nearest(rows * scale, X * scale, k)
        return vote_shares(distances, y[chosen], 2, weights)[:, 1]

    plot = go.Figure()
    z = shares(grid).reshape(41, 41)
    plot.add_heatmap(x=axis, y=axis, z=z, zmin=0, zmax=1, colorscale=DIVERGING, showscale=False, opacity=0.5)
    _points(plot, X, y, ("healthy", "failing"))
    accuracy = np.mean((shares(new) > 0.5) == truth)
    headline(plot, f"{k} neighbour{'s' * (k > 1)}   accuracy on new pods {accuracy:.2f}")
    plot.update_xaxes(title="CPU in %")
    plot.update_yaxes(title=f"memory in %, times {stretch:g} in distances")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("The evidence of each word")
def evidence(
    message: Literal["win a free prize now", "free for lunch now", "prize for mum at lunch"] = "free for lunch now",
    alpha: Annotated[float, Range(0.05, 5.0, step=0.05)] = 1.0,
) -> go.Figure:
    """The logarithm of how much likelier each word of a message is in spam than in ham; their sum is the verdict.

    A word that spam has never shown would be worth minus infinity. Lower alpha: "lunch", never seen in spam, outweighs
    all else. Raise it: every word is worth less, and the verdict is unsure.
    """
    shares = word_log_probabilities(COUNTS, np.array([0, 1]), 2, alpha)
    worth = (shares[0] - shares[1]) * np.array(MESSAGES[message])
    total = worth.sum()
    values = [*worth, total]
    plot = go.Figure()
    colours = [ORANGE if value > 0 else BLUE for value in values]
    plot.add_bar(x=[*WORDS, "sum"], y=values, marker_color=colours)
    plot.add_hline(y=0, line={"color": GREY, "width": 1})
    headline(plot, f"probability of spam {1 / (1 + np.exp(-total)):.3f}")
    plot.update_xaxes(title="word")
    plot.update_yaxes(title="log (share in spam / share in ham)")
    return plot


@lru_cache(maxsize=64)
def _machine(apart: float, exponent: float, kernel: str) -> tuple[np.ndarray, np.ndarray, SVC]:
    rng = np.random.default_rng(3)
    y = np.repeat([0, 1], 30)
    X = rng.normal(size=(60, 2)) + np.where(y, apart / 2, -apart / 2)[:, None] * np.array([1.0, 0.6])
    return X, y, SVC(10.0**exponent, kernel=kernel, gamma=0.5, max_iter=20_000, tol=1e-2).fit(X, y)


@figure("The widest margin")
def margin(
    exponent: Annotated[float, Range(-2, 2, step=0.5)] = 0.0,
    apart: Annotated[float, Range(1.0, 6.0, step=0.5)] = 3.0,
    kernel: Literal["linear", "rbf"] = "linear",
) -> go.Figure:
    """The border of a support vector machine (line), its margins (dotted), and the rows that hold it (rings).

    Raise C: rows within the margin cost more, and the margin shrinks. Lower it: the margin grows, and more rows hold
    it. Move the classes apart: a handful of support vectors is left. With the kernel "rbf" and a large C the border
    winds around single rows.
    """
    X, y, model = _machine(apart, exponent, kernel)
    axis = np.linspace(-5, 5, 61)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    z = model.decision_function(grid).reshape(61, 61)
    plot = go.Figure()
    for level, dash in ((-1, "dot"), (0, "solid"), (1, "dot")):
        contours = {"start": level, "end": level, "size": 1, "coloring": "none"}
        line = {"color": GREEN, "dash": dash, "width": 2}
        plot.add_contour(x=axis, y=axis, z=z, contours=contours, line=line, showscale=False, showlegend=False)
    _points(plot, X, y, ("ham", "spam"))
    ring = {"size": 13, "symbol": "circle-open", "color": GREY, "line": {"width": 2}}
    held = model.support_vectors_
    plot.add_scatter(x=held[:, 0], y=held[:, 1], mode="markers", marker=ring, name="support vector")
    inside = int(np.sum(np.abs(model.dual_coef_) == 10.0**exponent))
    headline(plot, f"C = {10.0**exponent:.3g}   {len(held)} support vectors, {inside} of them at C")
    plot.update_xaxes(title="first feature", range=[-5, 5])
    plot.update_yaxes(title="second feature", range=[-5, 5])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
