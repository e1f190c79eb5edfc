"""Explorables of trees: one cut under three criteria, regions in the plane, and a tree that is cut back."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, DIVERGING, GREEN, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.classical.trees import (
    ENTROPY,
    GINI,
    LEAF,
    VARIANCE,
    DecisionTreeClassifier,
    add,
    collapse_alphas,
    leaves_of,
    node_error,
    prune,
)


@figure("One cut, three criteria")
def cut(
    threshold: Annotated[int, Range(1, 99)] = 40,
    limit: Annotated[int, Range(10, 90)] = 70,
    wrong: Annotated[float, Range(0, 0.5, step=0.05)] = 0.1,
) -> go.Figure:
    """How much each cut of 200 pods by their CPU gains, under Gini, entropy and variance.

    Pods above the limit are down, but for a share that is written down wrong. All three criteria gain most at the
    limit. Gini and variance draw the same curve: of zeros and ones, the variance is half of Gini. At 0.5 there is
    nothing to find, and the best cut is an accident.
    """
    rng = np.random.default_rng(0)
    cpu = np.sort(rng.uniform(0, 100, 200))
    down = ((cpu > limit) ^ (rng.random(200) < wrong)).astype(float)
    plot, now = go.Figure(), []
    for name, criterion, colour in (
        ("Gini", GINI, BLUE),
        ("entropy", ENTROPY, ORANGE),
        ("2 · variance", VARIANCE, GREEN),
    ):
        scale = 2 if criterion == VARIANCE else 1
        gains = scale * _gains(down, criterion) / len(cpu)
        dash = "dash" if criterion == VARIANCE else "solid"
        plot.add_scatter(x=cpu[1:], y=gains, name=name, line={"color": colour, "dash": dash})
        place = int(np.clip(np.searchsorted(cpu, threshold) - 1, 0, len(gains) - 1))
        now.append(f"{name} {gains[place]:.3f}")
    plot.add_vline(x=threshold, line={"color": RED, "width": 3, "dash": "dash"})
    headline(plot, f"gain at {threshold} %:   " + "   ".join(now))
    plot.update_xaxes(title="CPU in %, where the pods are cut")
    plot.update_yaxes(title="gain: impurity of all less that of both sides", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


def _gains(targets: np.ndarray, criterion: int) -> np.ndarray:
    """What each cut between two neighbours gains, times the number of samples."""
    left, right = np.zeros((2, 3))
    for target in targets:
        add(right, target, 1.0, criterion)
    whole, gains = node_error(right, criterion), []
    for target in targets[:-1]:
        add(left, target, 1.0, criterion)
        add(right, target, -1.0, criterion)
        gains.append(whole - node_error(left, criterion) - node_error(right, criterion))
    return np.array(gains)


@lru_cache(maxsize=64)
def _pods(n: int, angle: int, wrong: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """CPU and memory in %, and which pods are down: those in a corner, turned by an angle."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 100, (n, 2))
    turned = (X - 55) @ [
        [np.cos(np.radians(angle)), -np.sin(np.radians(angle))],
        [np.sin(np.radians(angle)), np.cos(np.radians(angle))],
    ]
    return X, ((turned > 0).all(axis=1) ^ (rng.random(n) < wrong)).astype(int)


@figure("Regions of a tree")
def regions(
    max_depth: Annotated[int, Range(1, 12)] = 3,
    min_samples_leaf: Annotated[int, Range(1, 40)] = 1,
    angle: Annotated[int, Range(0, 45)] = 0,
    wrong: Annotated[float, Range(0, 0.3, step=0.02)] = 0.06,
) -> go.Figure:
    """What a tree answers for each CPU and memory, grown on 200 pods of which those in a corner are down.

    Make it deeper: it draws a box around each pod that was written down wrong. Ask for more samples in a leaf: the
    boxes go. Turn the corner: a tree cuts along the axes only, and makes stairs of a slope.
    """
    X, y = _pods(200, angle, wrong)
    model = DecisionTreeClassifier(max_depth=max_depth, min_samples_leaf=min_samples_leaf).fit(X, y)
    axis = np.linspace(0, 100, 61)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    shares = model.predict_proba(grid)[:, 1].reshape(61, 61)
    plot = go.Figure()
    plot.add_heatmap(x=axis, y=axis, z=shares, zmin=0, zmax=1, colorscale=DIVERGING, showscale=False, opacity=0.5)
    for name, state, colour, symbol in (("healthy", 0, BLUE, "circle"), ("down", 1, ORANGE, "x")):
        marker = {"color": colour, "symbol": symbol, "size": 7}
        plot.add_scatter(x=X[y == state, 0], y=X[y == state, 1], mode="markers", marker=marker, name=name)
    new, truth = _pods(400, angle, 0.0, 1)
    n_leaves = int(np.sum(model.tree_.feature == LEAF))
    headline(
        plot,
        f"{n_leaves} leaves   accuracy {model.score(X, y):.2f} in training, {model.score(new, truth):.2f} on new pods",
    )
    plot.update_xaxes(title="CPU in %")
    plot.update_yaxes(title="memory in %")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@lru_cache(maxsize=8)
def _path(wrong: float, criterion: str) -> tuple[np.ndarray, np.ndarray]:
    """The alphas of a full tree on 150 pods; for each: leaves, accuracy in training and on new pods."""
    X, y = _pods(150, 20, wrong)
    new, truth = _pods(400, 20, wrong, 1)
    tree = DecisionTreeClassifier(criterion=criterion).fit(X, y).tree_
    alphas, rows = np.unique(collapse_alphas(tree)), []
    for alpha in alphas:
        small = prune(tree, alpha)
        parts = [np.mean(small.value[leaves_of(small, A)].argmax(axis=1) == b) for A, b in ((X, y), (new, truth))]
        rows.append([np.sum(small.feature == LEAF), *parts])
    return alphas, np.array(rows)


@figure("The price of a leaf")
def pruning(
    alpha: Annotated[float, Range(0, 0.05, step=0.001)] = 0.01,
    wrong: Annotated[float, Range(0, 0.3, step=0.02)] = 0.1,
    criterion: Literal["gini", "entropy"] = "gini",
) -> go.Figure:
    """A tree grown to the end on 150 pods, cut back as leaves become dearer, judged on 400 new ones.

    Without a price the tree knows its pods by heart. Raise the price: the accuracy in training falls, that on new pods
    rises, until the tree is too small for the corner that it should find. With more states wrong, the best price is
    higher.
    """
    alphas, rows = _path(wrong, criterion)
    plot = go.Figure()
    for column, name, colour in ((1, "in training", BLUE), (2, "on new pods", ORANGE)):
        plot.add_scatter(x=rows[:, 0], y=rows[:, column], mode="lines+markers", line_color=colour, name=name)
    now = int(np.searchsorted(alphas, alpha, side="right")) - 1
    spot = {"color": RED, "size": 12, "symbol": "diamond"}
    plot.add_scatter(x=[rows[now, 0]], y=[rows[now, 2]], mode="markers", marker=spot, name="at this price")
    accuracy = f"accuracy {rows[now, 1]:.2f} in training, {rows[now, 2]:.2f} on new pods"
    headline(plot, f"{rows[now, 0]:.0f} of {rows[0, 0]:.0f} leaves   {accuracy}")
    plot.update_xaxes(title="leaves", type="log")
    plot.update_yaxes(title="accuracy")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
