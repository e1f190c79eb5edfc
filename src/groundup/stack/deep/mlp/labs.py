"""Experiments with the two-layer network."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from groundup.drawing import BLUE, GREEN, LEGEND_ABOVE, ORANGE, RED
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.logistic_regression import LogisticRegression, sigmoid
from groundup.stack.deep.mlp import Parameters, forward, initialize, train


@dataclass(frozen=True)
class MoonsConfig:
    """Settings of the moons lab.

    Attributes:
        seed: seed of the data and of the initial weights.
        rows: how many points; the first half is learned from, the second half held out.
        noise: standard deviation of the noise on the points.
        hidden: number of hidden units.
        learning_rate: step size of gradient descent.
        epochs: how many steps, each on all training points.
        shuffle_labels: permute the labels of the training points, which leaves nothing to learn.
    """

    seed: int = 0
    rows: int = 600
    noise: float = 0.2
    hidden: int = 16
    learning_rate: float = 0.5
    epochs: int = 1000
    shuffle_labels: bool = False


@lab(
    title="Two moons",
    question="Can two layers bend the boundary that one layer cannot?",
    data=["moons"],
    presets={
        "smoke": {"rows": 600, "epochs": 1000},
        "laptop": {"rows": 2000, "epochs": 4000},
        "full": {"rows": 10_000, "epochs": 20_000, "hidden": 64},
    },
    expectations=[
        expect(
            "accuracy", at_least=0.94, why="The moons overlap a little at this noise: 97 % is about what can be had."
        ),
        expect(
            "accuracy", beats_baseline_by=0.05, why="A straight line leaves the tips of both moons on the wrong side."
        ),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}, {"hidden": 1}],
)
def moons(config: MoonsConfig, record: Recorder) -> None:
    """Train on half of the points and measure on the other half, which training never sees.

    The baseline is logistic regression on the same points: the same loss and the same output, without the hidden
    layer. The majority class stands in the table.
    """
    from groundup.data import load

    points = load("moons", rows=config.rows, noise=config.noise, seed=config.seed)
    X, labels = np.column_stack([points["x"], points["y"]]), points["label"]
    half = len(X) // 2
    mean, deviation = X[:half].mean(axis=0), X[:half].std(axis=0)
    X_train, X_test = (X[:half] - mean) / deviation, (X[half:] - mean) / deviation
    y_train, y_test = labels[:half], labels[half:]
    if config.shuffle_labels:
        y_train = np.random.default_rng(config.seed).permutation(y_train)

    line = LogisticRegression().fit(X_train, y_train)
    majority = np.bincount(y_train).argmax()
    network = _train_recorded(config, X_train, y_train, record)

    accuracy = float(((forward(network, X_test)[0] > 0) == y_test).mean())
    line_accuracy = float((line.predict(X_test) == y_test).mean())
    awake = (forward(network, X_train)[1].activations > 0).any(axis=0)
    record.result("accuracy", accuracy)
    record.baseline("accuracy", line_accuracy, "logistic regression on the same points")
    record.result("dead_units", int((~awake).sum()))
    rows = {
        "two layers": accuracy,
        "logistic regression": line_accuracy,
        "majority": float((y_test == majority).mean()),
    }
    record.table("held-out accuracy", [{"model": name, "accuracy": value} for name, value in rows.items()])
    record.figure("boundary", _boundary_figure(network, line, X_test, y_test))


def _train_recorded(config: MoonsConfig, X: np.ndarray, y: np.ndarray, record: Recorder) -> Parameters:
    """Train in fifty portions, recording loss and training accuracy after each."""
    network = initialize(X.shape[1], config.hidden, rng=np.random.default_rng(config.seed))
    ends = np.unique(np.linspace(0, config.epochs, 51).astype(int))
    for begin, end in record.progress(list(pairwise(ends)), label="epochs"):
        network, losses = train(network, X, y, learning_rate=config.learning_rate, epochs=int(end - begin))
        record.metric("loss", float(losses[-1]), step=float(end))
        record.metric("training accuracy", float(((forward(network, X)[0] > 0) == y).mean()), step=float(end))
    return network


def _boundary_figure(network: Parameters, line: LogisticRegression, X: np.ndarray, y: np.ndarray) -> Any:
    import plotly.graph_objects as go

    x0, x1 = (np.linspace(X[:, k].min() - 0.3, X[:, k].max() + 0.3, 80) for k in (0, 1))
    grid = np.stack(np.meshgrid(x0, x1), axis=-1).reshape(-1, 2)
    figure = go.Figure()
    shown = (
        ("two layers", forward(network, grid)[0], GREEN),
        ("logistic", line.decision_function(grid), RED),
    )
    for name, logits, colour in shown:
        figure.add_contour(
            x=x0,
            y=x1,
            z=sigmoid(logits).reshape(80, 80),
            name=name,
            showlegend=True,
            showscale=False,
            contours={"type": "constraint", "operation": "=", "value": 0.5},
            line={"color": colour, "width": 3},
            hoverinfo="skip",
        )
    for label, colour, symbol in ((0, BLUE, "circle"), (1, ORANGE, "diamond")):
        figure.add_scatter(
            x=X[y == label, 0],
            y=X[y == label, 1],
            name=f"class {label}, held out",
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 5},
        )
    figure.update_xaxes(title="x (standardised)")
    figure.update_yaxes(title="y (standardised)")
    figure.update_layout(legend=LEGEND_ABOVE)
    return figure
