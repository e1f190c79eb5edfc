"""Explorables of clustering: k-means step by step, four methods on four shapes, and how many groups there are."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, COLOURS, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.classical.clustering import (
    DBSCAN,
    AgglomerativeClustering,
    GaussianMixture,
    KMeans,
    kmeans_plus_plus,
    lloyd,
    silhouettes,
)

SYMBOLS = ("circle", "x", "diamond", "square", "cross", "triangle-up")


@lru_cache(maxsize=32)
def _rows(shape: str, spread: float) -> np.ndarray:
    """200 rows in the plane: four blobs, two rings, two moons or two stripes."""
    rng = np.random.default_rng(0)
    noise = spread * rng.normal(size=(200, 2))
    turn = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    circle = np.column_stack([np.cos(turn), np.sin(turn)])
    if shape == "blobs":
        return np.repeat([[-3.0, -3], [3, -3], [-3, 3], [3, 3]], 50, axis=0) + 5 * noise
    if shape == "rings":
        return np.vstack([4 * circle, 1.5 * circle]) + noise
    if shape == "moons":
        half = np.column_stack([np.cos(turn / 2), np.sin(turn / 2)])
        return 3 * np.vstack([half, [1, 0.4] - half]) - [1.5, 0.6] + 2 * noise
    return np.column_stack([6 * rng.uniform(-1, 1, 200), np.repeat([-1.5, 1.5], 100)]) + 2 * noise


def _groups(plot: go.Figure, X: np.ndarray, labels: np.ndarray, name: str = "group") -> None:
    for number in np.unique(labels):
        own, noise = labels == number, number < 0
        style = {"color": GREY if noise else COLOURS[number % 6], "symbol": SYMBOLS[number % 6], "size": 6}
        title = "noise" if noise else f"{name} {number + 1}"
        plot.add_scatter(x=X[own, 0], y=X[own, 1], mode="markers", marker=style, name=title)
    plot.update_xaxes(title="first column")
    plot.update_yaxes(title="second column", scaleanchor="x")
    plot.update_layout(legend=LEGEND_BELOW)


@figure("Centres that move")
def moves(
    step: Annotated[int, Range(0, 10)] = 0,
    beginning: Literal["any rows", "k-means++"] = "any rows",
    seed: Annotated[int, Range(0, 9)] = 0,
) -> go.Figure:
    """Four blobs, four centres, and the lines that they have come along.

    Step by step each centre moves to the mean of its rows. Try seeds: from any rows, two centres may share a blob for
    good, and the sum of squares stays high. k-means++ begins with rows that are far from each other.
    """
    X, rng = _rows("blobs", 0.15), np.random.default_rng(seed)
    first = X[rng.permutation(len(X))[:4]] if beginning == "any rows" else kmeans_plus_plus(X, 4, rng)
    path = [first, *(lloyd(X, first, n)[0] for n in range(1, step + 1))]
    distances = np.linalg.norm(X[:, None] - path[-1], axis=2)
    plot = go.Figure()
    _groups(plot, X, distances.argmin(axis=1))
    for k in range(4):
        x, y = np.array([centers[k] for centers in path]).T
        marker = {"symbol": "star", "size": [6] * step + [16], "color": COLOURS[k], "line": {"width": 1, "color": GREY}}
        plot.add_scatter(x=x, y=y, mode="lines+markers", line_color=GREY, marker=marker, showlegend=False)
    headline(plot, f"step {step}   sum of squares {(distances.min(axis=1) ** 2).sum():.0f}")
    return plot


@figure("Four ideas of a group")
def ideas(
    method: Literal["k-means", "mixture", "DBSCAN", "single linkage", "average linkage", "Ward"] = "k-means",
    shape: Literal["blobs", "rings", "moons", "stripes"] = "rings",
    spread: Annotated[float, Range(0.05, 0.4, step=0.05)] = 0.1,
) -> go.Figure:
    """One method on one shape; all but DBSCAN are told how many groups there are.

    k-means cuts rings and stripes through: its groups are the cells of centres. The mixture finds stripes, since bells
    may be long. DBSCAN and single linkage follow rings and moons, until the spread makes a bridge between them.
    """
    X, k = _rows(shape, spread), 4 if shape == "blobs" else 2
    if method == "k-means":
        labels = KMeans(k, n_init=4, random_state=0).fit(X).labels_
    elif method == "mixture":
        labels = GaussianMixture(k, n_init=4, random_state=0).fit(X).predict(X)
    elif method == "DBSCAN":
        labels = DBSCAN(0.7, min_samples=4).fit(X).labels_
    else:
        labels = AgglomerativeClustering(k, linkage=method.split()[0].lower()).fit(X).labels_
    plot = go.Figure()
    _groups(plot, X, labels)
    noise = int(np.sum(labels < 0))
    headline(plot, f"{method}: {len(np.unique(labels[labels >= 0]))} groups" + f", {noise} rows of noise" * (noise > 0))
    return plot


@figure("How many groups?")
def how_many(
    spread: Annotated[float, Range(0.05, 0.4, step=0.05)] = 0.2,
    shape: Literal["blobs", "rings"] = "blobs",
) -> go.Figure:
    """The silhouette of k-means and BIC of mixtures, for 2 to 8 groups of 200 rows.

    Four blobs: both see four, as long as the blobs are apart. Let them run into each other, and the silhouette falls
    for every number. On two rings neither finds two: a measure shares its method's idea of a group.
    """
    X, counts = _rows(shape, spread), list(range(2, 9))
    scores = [silhouettes(X, KMeans(k, n_init=3, random_state=0).fit(X).labels_).mean() for k in counts]
    bics = [GaussianMixture(k, random_state=0, n_init=2).fit(X).bic(X) for k in counts]
    plot = go.Figure()
    plot.add_scatter(x=counts, y=scores, name="mean silhouette (more is better)", line_color=BLUE)
    plot.add_scatter(x=counts, y=bics, name="BIC (less is better)", line={"color": ORANGE, "dash": "dash"}, yaxis="y2")
    best = counts[int(np.argmax(scores))], counts[int(np.argmin(bics))]
    headline(plot, f"the silhouette says {best[0]} groups, BIC says {best[1]}")
    plot.update_xaxes(title="groups")
    plot.update_yaxes(title="mean silhouette")
    plot.update_layout(
        yaxis2={"title": "BIC", "overlaying": "y", "side": "right", "showgrid": False}, legend=LEGEND_BELOW
    )
    return plot
