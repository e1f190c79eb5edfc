"""Explorables of logistic regression."""

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_ABOVE, LEGEND_BELOW, ORANGE, PINK, RED
from groundup.stack.classical.logistic_regression import (
    LogisticRegression,
    add_intercept,
    binary_cross_entropy,
    gradient_descent,
    logistic_hessian,
    logistic_objective,
    newton,
    sigmoid,
)


@figure("Moving the threshold")
def threshold(
    threshold: Annotated[float, Range(0.02, 0.98, step=0.02)] = 0.5,
    separation: Annotated[float, Range(0.5, 3.0, step=0.25)] = 1.5,
) -> go.Figure:
    """Pods that will fail (orange) among healthy ones (blue), one in five. The model is the same at every
    threshold; only the line above which it raises an alarm moves. On the ROC curve, left means few false
    alarms and up means few missed failures: you choose the point, not both.
    """
    rng = np.random.default_rng(7)
    failed = np.arange(250) < 50
    X = rng.normal(size=(250, 2)) + separation * failed[:, None] * np.array([0.9, 0.7])
    model = LogisticRegression().fit(X, failed)
    p = model.predict_proba(X)[:, 1]
    false_alarms, recalls = roc_points(failed, p)
    alarm = p >= threshold
    hits, alarms = int((alarm & failed).sum()), int(alarm.sum())
    recall, false_alarm_rate = hits / failed.sum(), (alarms - hits) / (~failed).sum()

    fig = make_subplots(
        1,
        2,
        column_widths=[0.55, 0.45],
        horizontal_spacing=0.14,
        subplot_titles=(
            f"precision {hits / alarms:.0%} of {alarms} alarms" if alarms else "no alarm at all",
            f"recall {recall:.0%} at {false_alarm_rate:.0%} false alarms",
        ),
    )
    for label, colour, symbol, name in ((False, BLUE, "circle", "healthy"), (True, ORANGE, "diamond", "will fail")):
        of_class = failed == label
        fig.add_scatter(
            x=X[of_class, 0],
            y=X[of_class, 1],
            mode="markers",
            name=name,
            marker={"color": colour, "symbol": symbol, "size": 6},
            row=1,
            col=1,
        )
    x = np.array([X[:, 0].min(), X[:, 0].max()])
    (w1, w2), b = model.coef_[0], model.intercept_[0]
    y = (np.log(threshold / (1 - threshold)) - b - w1 * x) / w2
    fig.add_scatter(x=x, y=y, mode="lines", name="alarm above", line={"color": RED, "width": 3}, row=1, col=1)
    roc = {"mode": "lines", "line": {"color": GREEN}, "name": "ROC curve"}
    fig.add_scatter(x=false_alarms, y=recalls, **roc, row=1, col=2)
    chance = {"mode": "lines", "line": {"color": GREY, "dash": "dot"}, "name": "coin"}
    fig.add_scatter(x=[0, 1], y=[0, 1], **chance, row=1, col=2)
    here = {"mode": "markers", "marker": {"color": RED, "size": 12}, "name": "this threshold"}
    fig.add_scatter(x=[false_alarm_rate], y=[recall], **here, row=1, col=2)
    fig.update_xaxes(title="CPU (standardised)", row=1, col=1)
    fig.update_yaxes(title="memory (standardised)", range=[X[:, 1].min() - 0.3, X[:, 1].max() + 0.3], row=1, col=1)
    fig.update_xaxes(title="false-alarm rate", tickformat=".0%", row=1, col=2)
    fig.update_yaxes(title="recall", tickformat=".0%", row=1, col=2)
    fig.update_layout(legend=LEGEND_BELOW)
    return fig


def roc_points(positive: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False-alarm rate and recall at every threshold, from none alarmed to all."""
    falling = np.argsort(-p, kind="stable")
    hits = np.concatenate([[0], np.cumsum(positive[falling])])
    misses = np.arange(len(p) + 1) - hits
    return misses / misses[-1], hits / hits[-1]


@figure("What a mistake costs")
def losses(show: Literal["loss", "slope"] = "loss") -> go.Figure:
    """Loss of one sample over its margin, the log-odds towards the right class: left of zero the
    answer is wrong. The slope is what a step of gradient descent sees. Squared error of the
    probability goes flat just where the answer is most wrong; log-loss keeps pulling with a slope
    of 1; least squares punishes answers for being too right.
    """
    margin = np.linspace(-5, 5, 401)
    curves = {
        "log-loss": np.array([binary_cross_entropy([m], [1]) for m in margin]),
        "squared error of p": (1 - sigmoid(margin)) ** 2,
        "least squares on ±1": (1 - margin) ** 2,
        "hinge": np.maximum(0, 1 - margin),
        "wrong or right": (margin < 0).astype(float),
    }
    colours = (BLUE, ORANGE, GREEN, PINK, GREY)
    dashes = ("solid", "dash", "dashdot", "longdash", "dot")
    fig = go.Figure()
    for (name, loss), colour, dash in zip(curves.items(), colours, dashes, strict=True):
        if show == "slope" and name == "wrong or right":
            continue  # its slope is zero everywhere but at zero, where there is none: nothing to descend
        y = loss if show == "loss" else np.gradient(loss, margin)
        width = 4 if name == "log-loss" else 2
        fig.add_scatter(x=margin, y=y, name=name, line={"color": colour, "dash": dash, "width": width})
    fig.update_xaxes(title="margin: log-odds towards the right class")
    title, bounds = ("loss (log-loss in nats)", [-0.1, 5]) if show == "loss" else ("slope of the loss", [-4, 2])
    fig.update_yaxes(title=title, range=bounds)
    fig.update_layout(legend=LEGEND_BELOW)
    return fig


@figure("Gradient descent against Newton")
def descents(
    learning_rate: Annotated[float, Range(0.05, 5.0, step=0.05)] = 0.5,
    steps: Annotated[int, Range(1, 200)] = 30,
    offset: Annotated[float, Range(0.0, 4.0, step=0.5)] = 1.5,
    l2: Annotated[float, Range(0.0, 10.0, step=0.5)] = 1.0,
) -> go.Figure:
    """One feature, so that there are two parameters to find: the weight and the intercept. With an
    offset of 0 the feature is standardised and the valley nearly round; move its mean away and the
    valley becomes a canyon in which gradient descent zigzags or crawls. Newton's method divides the
    curvature out and does not care.
    """
    rng = np.random.default_rng(3)
    x = rng.normal(size=80)
    labels = (rng.uniform(size=80) < sigmoid(1.5 * x)).astype(int)
    design = add_intercept((x + offset)[:, None])

    def objective(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        return logistic_objective(parameters, design, labels, l2)

    def hessian(parameters: np.ndarray) -> np.ndarray:
        return logistic_hessian(parameters, design, l2)

    start = np.array([-0.5, 1.5])
    paths: dict[str, np.ndarray] = {}
    slow = gradient_descent(
        recorded(objective, paths, "gradient descent"), start, learning_rate=learning_rate, max_iter=steps, tol=1e-8
    )
    fast = newton(objective, recorded_hessian(hessian, paths, "Newton"), start, max_iter=steps, tol=1e-8)
    paths["Newton"] = np.vstack([paths["Newton"], fast.parameters])

    w, b = np.linspace(-1.5, 3.5, 45), np.linspace(-6.5, 3.5, 45)
    heights = np.array([[objective(np.array([wi, bi]))[0] for wi in w] for bi in b])
    fig = make_subplots(
        2,
        1,
        row_heights=[0.65, 0.35],
        vertical_spacing=0.16,
        subplot_titles=("the valley", "how far above the minimum"),
    )
    fig.add_contour(
        x=w,
        y=b,
        z=np.log10(heights - heights.min() + 1e-3),
        colorscale=[[0, GREY], [1, GREY]],
        showscale=False,
        contours={"coloring": "lines"},
        ncontours=14,
        hoverinfo="skip",
        row=1,
        col=1,
    )
    best = newton(objective, hessian, start, max_iter=100, tol=1e-12).losses[-1]
    for (name, path), fit, colour, symbol in zip(
        paths.items(), (slow, fast), (ORANGE, BLUE), ("circle", "diamond"), strict=True
    ):
        style = {"name": name, "mode": "lines+markers", "marker": {"color": colour, "symbol": symbol, "size": 6}}
        fig.add_scatter(x=path[:, 0], y=path[:, 1], **style, row=1, col=1)
        gap = np.maximum(fit.losses - best, 1e-12)
        fig.add_scatter(x=np.arange(len(gap)), y=gap, **style, showlegend=False, row=2, col=1)
    fig.update_xaxes(title="weight", range=[-1.5, 3.5], row=1, col=1)
    fig.update_yaxes(title="intercept", range=[-6.5, 3.5], row=1, col=1)
    fig.update_xaxes(title="step", row=2, col=1)
    fig.update_yaxes(title="J − minimum", type="log", exponentformat="power", row=2, col=1)
    fig.update_layout(height=620, legend=LEGEND_ABOVE)
    return fig


def recorded(objective, paths: dict[str, np.ndarray], name: str):
    """The objective, keeping every point at which it was asked."""

    def ask(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        paths[name] = np.vstack([paths[name], parameters]) if name in paths else parameters[None]
        return objective(parameters)

    return ask


def recorded_hessian(hessian, paths: dict[str, np.ndarray], name: str):
    """The Hessian, keeping every point at which it was asked: Newton's points without the steps that it tried."""

    def ask(parameters: np.ndarray) -> np.ndarray:
        paths[name] = np.vstack([paths[name], parameters]) if name in paths else parameters[None]
        return hessian(parameters)

    return ask


@figure("Learning curves")
def learning_curves(
    degree: Annotated[int, Range(1, 7)] = 2,
    l2: Annotated[float, Range(0.001, 100.0, log=True)] = 0.1,
) -> go.Figure:
    """Points inside a circle against points outside, one label in ten flipped, so that nobody can
    be right more than 90 % of the time (dotted). Degree 1 is a straight line: the curves meet early
    and low, high bias, and more data cannot help. Degree 7 with little penalty starts with a wide
    gap, high variance, which more data or more penalty closes.
    """
    rng = np.random.default_rng(11)
    X, y = circle(2_400, rng)
    features = polynomial(X, degree)
    X_validation, y_validation = features[-2_000:], y[-2_000:]
    sizes, repeats = np.unique(np.geomspace(20, 400, 8).astype(int)), 4
    train, validation = np.zeros((2, len(sizes), repeats))
    for i, size in enumerate(sizes):
        for j in range(repeats):
            rows = rng.choice(400, size, replace=False)
            model = LogisticRegression(l2, max_iter=100, tol=1e-4).fit(features[rows], y[rows])
            train[i, j] = (model.predict(features[rows]) == y[rows]).mean()
            validation[i, j] = (model.predict(X_validation) == y_validation).mean()
    fig = go.Figure()
    for name, curve, colour, dash in (("train", train, ORANGE, "dash"), ("validation", validation, BLUE, "solid")):
        mean, spread = curve.mean(axis=1), curve.std(axis=1)
        fig.add_scatter(
            x=sizes,
            y=mean,
            name=name,
            mode="lines+markers",
            line={"color": colour, "dash": dash},
            error_y={"array": spread, "thickness": 1},
        )
    fig.add_hline(y=0.9, line={"color": GREY, "dash": "dot"})
    fig.update_xaxes(title="training samples", type="log", tickvals=[20, 50, 100, 200, 400])
    fig.update_yaxes(title="accuracy", tickformat=".0%", range=[0.4, 1.03])
    fig.update_layout(legend=LEGEND_ABOVE)
    return fig


def circle(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points of the square [-1, 1]² and whether each lies within half of its area, one label in ten flipped."""
    X = rng.uniform(-1, 1, size=(rows, 2))
    inside = (X**2).sum(axis=1) < 2 / np.pi
    return X, inside ^ (rng.uniform(size=rows) < 0.1)


def polynomial(X: np.ndarray, degree: int) -> np.ndarray:
    """All products of powers of the two columns up to `degree`, standardised."""
    powers = [X[:, 0] ** i * X[:, 1] ** j for i in range(degree + 1) for j in range(degree + 1 - i) if i + j > 0]
    columns = np.column_stack(powers)
    return (columns - columns.mean(axis=0)) / columns.std(axis=0)
