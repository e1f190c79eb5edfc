"""Explorables of evaluation: a threshold between two classes, the two curves, and the cost of a threshold."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.classical.evaluation import (
    average_precision,
    calibration_curve,
    cheapest_threshold,
    confusion_matrix,
    precision_recall_curve,
    precision_recall_f1,
    roc_auc,
    roc_curve,
)

SAMPLES = 4_000


def _scored(prevalence: float, separation: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels with a share of ones, and normal scores whose means are `separation` apart."""
    rng = np.random.default_rng(0)
    labels = (np.arange(SAMPLES) < max(2, round(prevalence * SAMPLES))).astype(int)
    return labels, rng.normal(size=SAMPLES) + separation * labels


@figure("A threshold between two classes")
def threshold(
    threshold: Annotated[float, Range(-2, 4, step=0.1)] = 1.0,
    separation: Annotated[float, Range(0, 4, step=0.1)] = 2.0,
    prevalence: Annotated[float, Range(0.01, 0.5, step=0.01)] = 0.2,
) -> go.Figure:
    """Scores of 4,000 samples of two classes, and what a threshold makes of them.

    Move the threshold: precision and recall trade places. Make the ones rare: precision falls at the same threshold,
    recall stays.
    """
    labels, scores = _scored(prevalence, separation)
    predictions = (scores >= threshold).astype(int)
    ((rejected, alarms), (misses, hits)) = confusion_matrix(labels, predictions, [0, 1])
    metrics = precision_recall_f1(labels, predictions, undefined=float("nan"))
    plot = go.Figure()
    for label, name, colour in ((0, "zeros", BLUE), (1, "ones", ORANGE)):
        plot.add_histogram(x=scores[labels == label], name=name, marker_color=colour, opacity=0.6, xbins_size=0.2)
    plot.add_vline(x=threshold, line={"color": RED, "width": 3, "dash": "dash"})
    counts = f"{hits} hits, {misses} misses, {alarms} false alarms, {rejected} rejected"
    ratios = f"precision {metrics.precision:.2f}   recall {metrics.recall:.2f}   F1 {metrics.f1:.2f}"
    headline(plot, f"{counts}<br>{ratios}")
    plot.update_layout(barmode="overlay", legend=LEGEND_BELOW)
    plot.update_xaxes(title="score")
    plot.update_yaxes(title="samples")
    return plot


@figure("The same scores on two curves")
def curves(
    separation: Annotated[float, Range(0, 4, step=0.1)] = 2.0,
    prevalence: Annotated[float, Range(0.01, 0.5, step=0.01)] = 0.05,
) -> go.Figure:
    """The ROC curve and the precision–recall curve of one model; dashed is a coin.

    Make the ones rare: the ROC curve hardly moves, because its two rates look at each class by itself. Precision
    falls, because it compares hits with false alarms, and the negatives are many.
    """
    labels, scores = _scored(prevalence, separation)
    roc, pr = roc_curve(labels, scores), precision_recall_curve(labels, scores)
    titles = [f"ROC, area {roc_auc(labels, scores):.3f}", f"average precision {average_precision(labels, scores):.3f}"]
    plot = make_subplots(1, 2, subplot_titles=titles, horizontal_spacing=0.14)
    plot.add_scatter(x=roc.false_positive_rate, y=roc.true_positive_rate, line_color=BLUE, name="model", row=1, col=1)
    plot.add_scatter(x=pr.recall, y=pr.precision, line_color=BLUE, showlegend=False, row=1, col=2)
    dashed = {"color": ORANGE, "dash": "dash"}
    plot.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=dashed, name="a coin", row=1, col=1)
    plot.add_scatter(x=[0, 1], y=[labels.mean()] * 2, mode="lines", line=dashed, showlegend=False, row=1, col=2)
    for column, (x, y) in enumerate([("false positive rate", "true positive rate"), ("recall", "precision")], 1):
        plot.update_xaxes(title=x, range=[-0.02, 1.02], row=1, col=column)
        plot.update_yaxes(title=y, range=[-0.02, 1.02], row=1, col=column)
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What a threshold costs")
def costs(
    miss_cost: Annotated[float, Range(0.1, 50, step=0.1)] = 9.0,
    sharpness: Annotated[float, Range(0.25, 4, step=0.25)] = 1.0,
) -> go.Figure:
    """Cost of each threshold when a false alarm costs 1, and whether the probabilities are true.

    At sharpness 1 the probabilities are calibrated, and the cheapest threshold is near the dotted rule,
    1 / (1 + miss cost). Elsewhere the model is too bold or too shy: its bins leave the diagonal, and the rule fails.
    The threshold that was searched for does not care.
    """
    rng = np.random.default_rng(1)
    logits = rng.normal(size=SAMPLES) * 2 - 1
    labels = (rng.random(SAMPLES) < 1 / (1 + np.exp(-logits))).astype(int)
    chances = 1 / (1 + np.exp(-sharpness * logits))
    best = cheapest_threshold(labels, chances, miss_cost=miss_cost, alarm_cost=1.0)
    grid = np.linspace(0, 1, 101)
    passed = chances >= grid[:, None]
    price = np.where(labels == 1, ~passed * miss_cost, passed).mean(axis=1)
    told = calibration_curve(labels, chances)
    plot = make_subplots(1, 2, horizontal_spacing=0.14)
    plot.add_scatter(x=grid, y=price, line_color=BLUE, name="cost", row=1, col=1)
    spot = {"color": RED, "size": 11, "symbol": "diamond"}
    plot.add_scatter(x=[best.threshold], y=[best.cost], mode="markers", marker=spot, name="cheapest", row=1, col=1)
    rule = {"color": GREEN, "dash": "dot"}
    plot.add_scatter(
        x=[1 / (1 + miss_cost)] * 2, y=[0, price.max()], mode="lines", line=rule, name="rule", row=1, col=1
    )
    plot.add_scatter(
        x=told.predicted, y=told.observed, mode="lines+markers", line_color=BLUE, name="bins", row=1, col=2
    )
    diagonal = {"color": ORANGE, "dash": "dash"}
    plot.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, name="calibrated", row=1, col=2)
    plot.update_xaxes(title="threshold", row=1, col=1)
    plot.update_yaxes(title="mean cost of a sample", rangemode="tozero", row=1, col=1)
    plot.update_xaxes(title="probability told", row=1, col=2)
    plot.update_yaxes(title="share of ones", row=1, col=2)
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
