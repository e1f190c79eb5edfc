"""Explorables of the two-layer network."""

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, PINK, RED, SKY
from groundup.stack.bedrock.vectors import relu
from groundup.stack.classical.logistic_regression import sigmoid
from groundup.stack.deep.mlp import Parameters, forward, he_normal, initialize, train

TRANSPARENT_DIVERGING = [
    [0.0, "rgba(0,114,178,0.55)"],
    [0.5, "rgba(128,128,128,0.05)"],
    [1.0, "rgba(230,159,0,0.55)"],
]


@figure("Moons while training")
def training(
    epochs: Annotated[int, Range(0, 1500, step=25)] = 300,
    hidden: Annotated[int, Range(1, 32)] = 16,
    learning_rate: Annotated[float, Range(0.1, 2.0, step=0.1)] = 0.5,
    seed: Annotated[int, Range(0, 9)] = 0,
) -> go.Figure:
    """The probability of the orange moon everywhere in the plane, after so many steps. Drag the
    epochs from zero: first the network finds the straight line of logistic regression, then it
    bends it. One hidden unit never can; two or three make corners; some seeds get stuck on the way.
    """
    X, y = two_moons(200, 0.2)
    parameters, losses = train(
        initialize(2, hidden, rng=np.random.default_rng(seed)), X, y, learning_rate=learning_rate, epochs=epochs
    )
    right = ((forward(parameters, X)[0] > 0) == y).mean()
    fig = make_subplots(
        1,
        2,
        column_widths=[0.6, 0.4],
        horizontal_spacing=0.14,
        subplot_titles=(f"{right:.0%} of the training points are right", f"loss {losses[-1]:.3f}"),
    )
    x0, x1, grid = plane()
    surface(fig, x0, x1, sigmoid(forward(parameters, grid)[0]))
    points(fig, X, y)
    fig.add_scatter(y=losses, mode="lines", line={"color": GREEN}, showlegend=False, row=1, col=2)
    fig.update_xaxes(title="x", row=1, col=1)
    fig.update_yaxes(title="y", row=1, col=1)
    fig.update_xaxes(title="epoch", row=1, col=2)
    fig.update_yaxes(title="loss (nats)", range=[0, max(0.75, losses[0] * 1.05)], row=1, col=2)
    fig.update_layout(legend=LEGEND_BELOW)
    return fig


@figure("What each hidden unit sees")
def folds(
    hidden: Annotated[int, Range(1, 8)] = 4,
    show: Literal["folds", "activations of unit 1"] = "folds",
    epochs: Annotated[int, Range(0, 1500, step=50)] = 1000,
    seed: Annotated[int, Range(0, 9)] = 1,
) -> go.Figure:
    """Every hidden unit draws one line through the plane, its fold: on one side it is silent, on
    the other it grows with the distance. The boundary (grey) is straight between folds and turns
    only at them. A wide line is a unit that the output listens to; dashed ones push towards blue,
    solid ones towards orange.
    """
    X, y = two_moons(200, 0.15)
    start = initialize(2, hidden, rng=np.random.default_rng(seed))
    parameters, _ = train(start, X, y, learning_rate=0.5, epochs=epochs)
    x0, x1, grid = plane()
    logits, cache = forward(parameters, grid)
    fig = go.Figure()
    if show == "folds":
        surface(fig, x0, x1, sigmoid(logits))
        strength = np.abs(parameters.W2[:, 0]) * np.linalg.norm(parameters.W1, axis=0)
        colours = (GREEN, RED, PINK, SKY)
        for unit in range(hidden):
            (w0, w1), b = parameters.W1[:, unit], parameters.b1[unit]
            ends = line_through(w0, w1, b, x0, x1)
            if ends is None:
                continue
            fig.add_scatter(
                x=ends[:, 0],
                y=ends[:, 1],
                mode="lines",
                name=f"unit {unit + 1}",
                line={
                    "color": colours[unit % 4],
                    "width": 1 + 5 * strength[unit] / max(strength.max(), 1e-12),
                    "dash": "solid" if parameters.W2[unit, 0] > 0 else "dash",
                },
            )
    else:
        fig.add_heatmap(
            x=x0,
            y=x1,
            z=cache.activations[:, 0].reshape(len(x1), len(x0)),
            colorscale=[[0, "rgba(0,158,115,0)"], [1, "rgba(0,158,115,0.8)"]],
            colorbar={"title": "activation"},
        )
    fig.add_contour(
        x=x0,
        y=x1,
        z=logits.reshape(len(x1), len(x0)),
        contours={"type": "constraint", "operation": "=", "value": 0},
        line={"color": GREY, "width": 4},
        name="boundary",
        showlegend=True,
        showscale=False,
        hoverinfo="skip",
    )
    points(fig, X, y)
    fig.update_xaxes(title="x", range=[x0[0], x0[-1]])
    fig.update_yaxes(title="y", range=[x1[0], x1[-1]])
    fig.update_layout(legend=LEGEND_BELOW)
    return fig


@figure("Signals through the layers")
def initialization(
    scale: Annotated[float, Range(0.25, 2.0, step=0.05)] = 1.0,
    layers: Annotated[int, Range(2, 30)] = 12,
    width: Annotated[int, Range(16, 256, step=16)] = 128,
) -> go.Figure:
    """The root mean square of the activations, layer by layer, for weights drawn at `scale` times
    He's deviation. At 1 a signal keeps its size through any depth. A little less and it fades, a
    little more and it explodes, and the gradient on its way back with it: the factor is raised to
    the power of the depth. Xavier's 2 / (fan_in + fan_out) is 0.71 here, where all layers
    are of one width.
    """
    rng = np.random.default_rng(0)
    fig = go.Figure()
    for name, factor, colour, dash in (
        (f"scale {scale:g}", scale, BLUE, "solid"),
        ("He, scale 1", 1.0, GREEN, "dot"),
        ("1 / fan_in, scale 0.71", np.sqrt(0.5), ORANGE, "dash"),
    ):
        signal = rng.normal(size=(200, width))
        sizes = [float(np.sqrt((signal**2).mean()))]
        for _ in range(layers):
            signal = relu(signal @ (factor * he_normal(width, width, rng=rng)))
            sizes.append(float(np.sqrt((signal**2).mean())))
        fig.add_scatter(y=sizes, name=name, mode="lines+markers", line={"color": colour, "dash": dash})
    fig.update_xaxes(title="layer (0 is the input)")
    fig.update_yaxes(title="root mean square of activations", type="log", exponentformat="power")
    fig.update_layout(legend=LEGEND_BELOW)
    return fig


@figure("Dead units")
def dead_units(
    learning_rate: Annotated[float, Range(0.1, 20.0, log=True)] = 1.0,
    bias: Annotated[float, Range(-6.0, 2.0, step=0.5)] = 0.0,
    hidden: Annotated[int, Range(4, 64)] = 32,
) -> go.Figure:
    """The share of hidden units that are silent on every training point. A silent unit gets no
    slope, so that it never wakes up again. Two ways to kill units: start them with a very negative
    bias, or take steps so large that one of them throws a fold clear of all the points.
    """
    X, y = two_moons(200, 0.2)
    parameters = initialize(2, hidden, rng=np.random.default_rng(0))._replace(b1=np.full(hidden, bias))
    steps, dead, losses = [0], [silent_share(parameters, X)], []
    for _ in range(40):
        parameters, curve = train(parameters, X, y, learning_rate=learning_rate, epochs=5)
        steps.append(steps[-1] + 5)
        dead.append(silent_share(parameters, X))
        losses.append(curve[-1])
    fig = go.Figure()
    fig.add_scatter(x=steps, y=dead, name="silent units", line={"color": RED, "width": 3, "shape": "hv"})
    fig.add_scatter(x=steps[1:], y=losses, name="loss", yaxis="y2", line={"color": BLUE, "dash": "dot"})
    fig.update_xaxes(title="epoch")
    fig.update_layout(
        yaxis={"title": "share of units silent everywhere", "tickformat": ".0%", "range": [-0.02, 1.02]},
        yaxis2={
            "title": "loss (nats)",
            "overlaying": "y",
            "side": "right",
            "rangemode": "tozero",
            "showgrid": False,
            "tickformat": ".2f",
        },
        legend=LEGEND_BELOW,
    )
    return fig


def silent_share(parameters: Parameters, X: np.ndarray) -> float:
    """Share of the hidden units whose activation is zero on every row."""
    return float((forward(parameters, X)[1].activations == 0).all(axis=0).mean())


def two_moons(rows: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaving half circles, standardised, and which of them each point is on."""
    rng = np.random.default_rng(4)
    y = np.arange(rows) % 2
    angle = rng.uniform(0, np.pi, rows)
    X = np.column_stack(
        [np.where(y == 0, np.cos(angle), 1 - np.cos(angle)), np.where(y == 0, np.sin(angle), 0.5 - np.sin(angle))]
    )
    X += noise * rng.normal(size=X.shape)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


def plane(resolution: int = 70) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates along both axes, and every point of the grid that they span."""
    x0 = x1 = np.linspace(-2.6, 2.6, resolution)
    return x0, x1, np.stack(np.meshgrid(x0, x1), axis=-1).reshape(-1, 2)


def line_through(w0: float, w1: float, b: float, x0: np.ndarray, x1: np.ndarray) -> np.ndarray | None:
    """Two ends of the line w0·x + w1·y + b = 0 within the picture, or None where it does not cross it."""
    normal = np.hypot(w0, w1)
    if normal == 0 or abs(b) / normal > np.hypot(x0[-1], x1[-1]):
        return None
    foot, along = -b * np.array([w0, w1]) / normal**2, np.array([-w1, w0]) / normal
    reach = 2 * np.hypot(x0[-1], x1[-1])
    return np.stack([foot - reach * along, foot + reach * along])


def surface(fig: go.Figure, x0: np.ndarray, x1: np.ndarray, probability: np.ndarray) -> None:
    """The probability as a transparent colour that works on any background."""
    fig.add_heatmap(
        x=x0,
        y=x1,
        z=probability.reshape(len(x1), len(x0)),
        colorscale=TRANSPARENT_DIVERGING,
        zmin=0,
        zmax=1,
        showscale=False,
        hovertemplate="p = %{z:.2f}<extra></extra>",
    )


def points(fig: go.Figure, X: np.ndarray, y: np.ndarray) -> None:
    """The points, by class."""
    for label, colour, symbol in ((0, BLUE, "circle"), (1, ORANGE, "diamond")):
        fig.add_scatter(
            x=X[y == label, 0],
            y=X[y == label, 1],
            mode="markers",
            name=f"class {label}",
            marker={"color": colour, "symbol": symbol, "size": 5, "line": {"color": GREY, "width": 0.5}},
        )
