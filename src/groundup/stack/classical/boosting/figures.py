"""Explorables of boosting: trees in a row on a curve, AdaBoost's weights, and what each feature adds to an answer."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, DIVERGING, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.classical.boosting import (
    AdaBoostClassifier,
    GradientBoostingRegressor,
    adaboost_round,
    boosted_scores,
)
from groundup.stack.classical.trees import leaves_of


@figure("Repairing what is left")
def rounds(
    trees: Annotated[int, Range(0, 150)] = 3,
    learning_rate: Annotated[float, Range(0.05, 1, step=0.05)] = 0.5,
    max_depth: Annotated[int, Range(1, 6)] = 2,
) -> go.Figure:
    """Latency against load: 80 measurements, and what the first trees of a boosted row say together.

    Add trees: each takes a part of what is left between the points and the line. At some number the line begins to
    follow single points, and the error on new measurements rises. A lower learning rate needs more trees, and gets
    further.
    """
    rng = np.random.default_rng(0)
    load = np.sort(rng.uniform(0, 100, 480))
    curve = 40 + 30 * np.sin(load / 12) + 2_000 / (120 - load)
    latency = curve + rng.normal(0, 12, 480)
    training = np.arange(480) % 6 == 0
    model = GradientBoostingRegressor(
        max(trees, 1), learning_rate=learning_rate, max_depth=max_depth, reg_lambda=0.0
    ).fit(load[training, None], latency[training])
    said = boosted_scores(model.start_, model.trees_[:trees], load[:, None])
    plot = go.Figure()
    marker = {"color": GREY, "size": 5}
    plot.add_scatter(x=load[training], y=latency[training], mode="markers", name="measured", marker=marker)
    plot.add_scatter(x=load, y=said, name=f"{trees} trees", line={"color": ORANGE, "shape": "hv"})
    plot.add_scatter(x=load, y=curve, name="without noise", line={"color": BLUE, "dash": "dot"})
    errors = [float(np.sqrt(np.mean((said - latency)[part] ** 2))) for part in (training, ~training)]
    headline(plot, f"error in training {errors[0]:.1f} ms   on new measurements {errors[1]:.1f} ms")
    plot.update_xaxes(title="load in %")
    plot.update_yaxes(title="latency in ms")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Weights that grow")
def weights(
    trees: Annotated[int, Range(1, 30)] = 1, wrong: Annotated[float, Range(0, 0.2, step=0.05)] = 0.0
) -> go.Figure:
    """AdaBoost of stumps on pods: down where CPU and memory together are high. The size of a pod is its weight.

    One stump is one straight cut. Pods that it gets wrong grow, and the next cut cares for them. Together the cuts
    make stairs of the slope. Write some pods down wrong: their weights grow and grow, for no cut can please them.
    """
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 100, (120, 2))
    y = ((X.sum(axis=1) > 110) ^ (rng.random(120) < wrong)).astype(int)
    model = AdaBoostClassifier(trees).fit(X, y)
    sizes = np.full(120, 1 / 120)
    for stump in model.trees_[:-1]:
        missed = stump.value[leaves_of(stump, X)].argmax(axis=1) != y
        _, sizes = adaboost_round(sizes, missed, 2)
    axis = np.linspace(0, 100, 51)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    shares = model.predict_proba(grid)[:, 1].reshape(51, 51)
    plot = go.Figure()
    plot.add_heatmap(x=axis, y=axis, z=shares, zmin=0, zmax=1, colorscale=DIVERGING, showscale=False, opacity=0.5)
    for name, state, colour, symbol in (("healthy", 0, BLUE, "circle"), ("down", 1, ORANGE, "x")):
        marker = {"color": colour, "symbol": symbol, "size": 4 + 5 * np.sqrt(sizes[y == state] * 120)}
        plot.add_scatter(x=X[y == state, 0], y=X[y == state, 1], mode="markers", marker=marker, name=name)
    new = rng.uniform(0, 100, (500, 2))
    accuracy = float(np.mean(model.predict(new) == (new.sum(axis=1) > 110)))
    headline(plot, f"{len(model.trees_)} stumps   accuracy on new pods {accuracy:.2f}")
    plot.update_xaxes(title="CPU in %")
    plot.update_yaxes(title="memory in %")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@lru_cache(maxsize=8)
def _services(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Load, memory, retries and noise of services, and their latency: retries hurt under high load only."""
    X = np.random.default_rng(seed).uniform(0, 100, (300, 4))
    return X, 0.3 * X[:, 0] + 0.01 * np.maximum(X[:, 0] - 50, 0) * X[:, 2] + 10 * (X[:, 1] > 90)


@figure("What each feature adds")
def reasons(
    view: Literal["summary", "importance", "one service"] = "summary",
    service: Annotated[int, Range(0, 99)] = 7,
    trees: Annotated[int, Range(5, 60)] = 40,
) -> go.Figure:
    """SHAP values of a boosted model of latency, for 100 services that it has not seen.

    The summary has a dot for each service: orange where the feature's value is high. Retries split in two: they matter
    under high load only, so the same value adds much or nothing. The importance is the mean size of the dots, beside
    the share of the gain. One service begins at the mean, and each feature moves it to its prediction.
    """
    X, y = _services(0)
    new, _ = _services(1)
    names, shown = ["load", "memory", "retries", "noise"], new[:100]
    model = GradientBoostingRegressor(trees, max_depth=3, learning_rate=0.2).fit(X, y)
    values = model.shap_values(shown)
    plot = go.Figure()
    if view == "summary":
        jitter = np.random.default_rng(0).uniform(-0.3, 0.3, 100)
        for k, name in enumerate(names):
            marker = {"color": shown[:, k], "colorscale": DIVERGING, "size": 5}
            plot.add_scatter(x=values[:, k], y=k + jitter, mode="markers", marker=marker, name=name)
        plot.update_yaxes(tickvals=list(range(4)), ticktext=names, title="feature", autorange="reversed")
        plot.update_xaxes(title="SHAP value in ms")
        plot.update_layout(showlegend=False)
    elif view == "importance":
        sizes = np.abs(values).mean(axis=0)
        plot.add_bar(x=names, y=sizes / sizes.sum(), name="mean |SHAP|", marker_color=ORANGE)
        plot.add_bar(x=names, y=model.feature_importances_, name="gain", marker_color=BLUE)
        plot.update_xaxes(title="feature")
        plot.update_yaxes(title="share of all importance")
        plot.update_layout(legend=LEGEND_BELOW)
    else:
        steps = [model.expected_value_, *values[service], 0.0]
        labels = [
            "mean",
            *(f"{name} {value:.0f}" for name, value in zip(names, shown[service], strict=True)),
            "prediction",
        ]
        rises, falls = {"marker": {"color": ORANGE}}, {"marker": {"color": BLUE}}
        measures = ["absolute", *["relative"] * 4, "total"]
        looks = {"increasing": rises, "decreasing": falls, "totals": {"marker": {"color": GREEN}}}
        plot.add_waterfall(x=labels, y=steps, measure=measures, name="latency", **looks)
        plot.update_xaxes(title="feature and its value")
        plot.update_yaxes(title="latency in ms")
    gap = float(np.abs(model.expected_value_ + values.sum(axis=1) - model.predict(shown)).max())
    headline(plot, f"mean {model.expected_value_:.1f} ms   mean + SHAP values miss the prediction by {gap:.0e} at most")
    return plot
