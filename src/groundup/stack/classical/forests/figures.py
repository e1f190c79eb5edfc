"""Explorables of forests: the boundary of many trees, the out-of-bag error, and two kinds of importance."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, DIVERGING, GREEN, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.classical.forests import (
    forest_values,
    grow_forest,
    out_of_bag_values,
    permutation_importances,
)
from groundup.stack.classical.forests import impurity_importances as by_impurity
from groundup.stack.classical.trees import GINI, Limits, Tree, columns_of, leaves_of

MOST = 24


@lru_cache(maxsize=64)
def _pods(n: int, wrong: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """CPU and memory in %, and which pods are down: those beyond a slope, but for some that are written down wrong."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 100, (n, 2))
    return X, ((X.sum(axis=1) > 110) ^ (rng.random(n) < wrong)).astype(int)


@lru_cache(maxsize=32)
def _forest(n: int, wrong: float, max_depth: int, max_features: int, bootstrap: bool) -> tuple[list[Tree], np.ndarray]:
    """A forest of 24 trees on as many pods, and which samples each has seen."""
    X, y = _pods(n, wrong, 0)
    rngs, limits = np.random.default_rng(1).spawn(MOST), Limits(max_depth, 2, 1, max_features)
    return grow_forest(columns_of(X), y.astype(float), np.ones(n), GINI, 2, limits, rngs, bootstrap=bootstrap)


@figure("One tree, many trees")
def crowd(
    trees: Annotated[int, Range(1, 24)] = 1,
    wrong: Annotated[float, Range(0, 0.3, step=0.05)] = 0.1,
    bootstrap: bool = True,
) -> go.Figure:
    """What the first trees of a forest say together of each CPU and memory, grown on 100 pods.

    One tree makes stairs of the slope, and a box around each pod that is wrong. Add trees: the boxes fade, since other
    trees have not seen that pod, and the stairs become a slope. Without bootstrap the trees are nearly alike, and more
    of them help little.
    """
    X, y = _pods(100, wrong, 0)
    grown, _ = _forest(100, wrong, 12, 1 if bootstrap else 2, bootstrap)
    axis = np.linspace(0, 100, 41)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    shares = forest_values(grown[:trees], grid)[:, 1].reshape(41, 41)
    plot = go.Figure()
    plot.add_heatmap(x=axis, y=axis, z=shares, zmin=0, zmax=1, colorscale=DIVERGING, showscale=False, opacity=0.5)
    for name, state, colour, symbol in (("healthy", 0, BLUE, "circle"), ("down", 1, ORANGE, "x")):
        marker = {"color": colour, "symbol": symbol, "size": 7}
        plot.add_scatter(x=X[y == state, 0], y=X[y == state, 1], mode="markers", marker=marker, name=name)
    new, truth = _pods(400, 0.0, 1)
    accuracy = np.mean(forest_values(grown[:trees], new).argmax(axis=1) == truth)
    headline(plot, f"{trees} trees   accuracy on new pods {accuracy:.2f}")
    plot.update_xaxes(title="CPU in %")
    plot.update_yaxes(title="memory in %")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Out of the bag")
def out_of_bag(
    wrong: Annotated[float, Range(0, 0.3, step=0.05)] = 0.1,
    max_depth: Annotated[int, Range(1, 12)] = 12,
) -> go.Figure:
    """The error of the first trees of a forest on 100 pods: in training, out of the bag, and on 400 new pods.

    In training a deep forest hardly errs. Out of the bag it errs about as on new pods, and needed none. The curves fall
    and settle: more trees never overfit, and from some number on they only cost time.
    """
    X, y = _pods(100, wrong, 0)
    new, truth = _pods(400, wrong, 1)
    trees, seen = _forest(100, wrong, max_depth, 1, True)
    counts = list(range(1, MOST + 1))
    training, bag, test = [], [], []
    inside = np.cumsum([tree.value[leaves_of(tree, X)] for tree in trees], axis=0)
    outside = np.cumsum([tree.value[leaves_of(tree, new)] for tree in trees], axis=0)
    for n in counts:
        values = out_of_bag_values(trees[:n], seen[:n], X)
        known = ~np.isnan(values[:, 0])
        training.append(np.mean(inside[n - 1].argmax(axis=1) != y))
        bag.append(np.mean(values[known].argmax(axis=1) != y[known]))
        test.append(np.mean(outside[n - 1].argmax(axis=1) != truth))
    plot = go.Figure()
    for name, values, colour in (
        ("training", training, GREEN),
        ("out of the bag", bag, ORANGE),
        ("new pods", test, BLUE),
    ):
        plot.add_scatter(x=counts, y=values, name=name, line_color=colour)
    headline(plot, f"{MOST} trees   out of the bag {bag[-1]:.2f}   on new pods {test[-1]:.2f}")
    plot.update_xaxes(title="trees")
    plot.update_yaxes(title="share of wrong answers", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What a column is worth")
def importances(
    likeness: Annotated[float, Range(0, 1, step=0.1)] = 0.0,
    judged_on: Literal["new pods", "training"] = "new pods",
) -> go.Figure:
    """Importances of four columns: two that matter, one that may copy the first, and noise.

    Noise of many values has an importance by impurity, since deep trees find cuts in it; on new pods, its permutation
    costs nothing. Make the copy alike: the importance of the CPU is shared with it, though the CPU matters as
    before. Judged on the training pods, permutation is fooled by noise, too.
    """
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 100, (300, 4))
    X[:, 2] = likeness * X[:, 0] + (1 - likeness) * X[:, 2]
    y = ((X[:, 0] + 0.5 * X[:, 1] > 75) ^ (rng.random(300) < 0.1)).astype(int)
    rngs = np.random.default_rng(1).spawn(12)
    columns = columns_of(X[:100].copy())
    trees, _ = grow_forest(columns, y[:100].astype(float), np.ones(100), GINI, 2, Limits(9, 2, 1, 2), rngs)
    part = slice(100, 300) if judged_on == "new pods" else slice(0, 100)

    def accuracy(rows: np.ndarray, labels: np.ndarray) -> float:
        return float(np.mean(forest_values(trees, rows).argmax(axis=1) == labels))

    falls = permutation_importances(accuracy, X[part], y[part], rng, repeats=4).mean(axis=1)
    names = ["CPU", "memory", "copy of the CPU", "noise"]
    plot = go.Figure()
    plot.add_bar(
        x=names, y=np.mean([by_impurity(tree, 4) for tree in trees], axis=0), name="impurity", marker_color=BLUE
    )
    plot.add_bar(x=names, y=falls, name="permutation", marker_color=ORANGE)
    plot.add_hline(y=0, line={"color": RED, "width": 1})
    headline(plot, f"accuracy on {judged_on} {accuracy(X[part], y[part]):.2f}")
    plot.update_yaxes(title="share of the gain; fall of the accuracy")
    plot.update_xaxes(title="column")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
