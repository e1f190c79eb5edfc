"""Explorables of framing: many fits to many samples, the two causes of error, and learning curves."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated

import numpy as np
import plotly.graph_objects as go
from numpy.polynomial import Polynomial

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.classical.framing import bias_variance, learning_curve

GRID = np.linspace(-1, 1, 101)
TRUTH = np.sin(np.pi * GRID)
DEGREES = range(13)


@lru_cache(maxsize=64)
def _predictions(degree: int, samples: int, noise: float, models: int) -> np.ndarray:
    """What polynomials fitted to as many samples of a noisy sine say on the grid, of shape (models, 101)."""
    rng = np.random.default_rng(0)
    fits = np.empty((models, len(GRID)))
    for number in range(models):
        x = rng.uniform(-1, 1, samples)
        y = np.sin(np.pi * x) + noise * rng.normal(size=samples)
        fits[number] = Polynomial.fit(x, y, min(degree, samples - 1), domain=[-1, 1])(GRID)
    return fits


@figure("Twenty samples, twenty fits")
def fits(
    degree: Annotated[int, Range(0, 12)] = 3,
    samples: Annotated[int, Range(5, 100)] = 20,
    noise: Annotated[float, Range(0, 1, step=0.05)] = 0.3,
) -> go.Figure:
    """Polynomials fitted to twenty samples of the same noisy sine (grey), their mean and the truth.

    Degree 1: the fits agree with each other and not with the truth. That is bias. Degree 12: they agree with nobody.
    That is variance. More samples calm variance, and do nothing for bias.
    """
    predictions = _predictions(degree, samples, noise, 20)
    parts = bias_variance(predictions, TRUTH, noise=noise**2)
    plot = go.Figure()
    for row in predictions:
        plot.add_scatter(x=GRID, y=row, mode="lines", line={"color": GREY, "width": 0.8}, showlegend=False)
    plot.add_scatter(x=GRID, y=predictions.mean(axis=0), name="mean fit", line={"color": ORANGE, "width": 3})
    plot.add_scatter(x=GRID, y=TRUTH, name="truth", line={"color": BLUE, "width": 3, "dash": "dash"})
    headline(plot, f"bias² {parts.bias_squared:.3f}   variance {parts.variance:.3f}   noise {parts.noise:.3f}")
    plot.update_xaxes(title="x")
    plot.update_yaxes(title="y", range=[-2.5, 2.5])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("The error by its causes")
def causes(
    samples: Annotated[int, Range(15, 100)] = 25,
    noise: Annotated[float, Range(0.05, 1, step=0.05)] = 0.3,
) -> go.Figure:
    """Bias², variance, noise and their sum against the degree of the polynomial, over sixty samples of the data.

    The sum has a valley. Make the samples larger: variance sinks, and the valley moves to the right.
    """
    parts = [bias_variance(_predictions(degree, samples, noise, 60), TRUTH, noise=noise**2) for degree in DEGREES]
    plot = go.Figure()
    for name, colour, dash in (
        ("bias_squared", BLUE, "solid"),
        ("variance", ORANGE, "solid"),
        ("noise", GREEN, "dot"),
        ("error", RED, "dash"),
    ):
        values = [getattr(part, name) for part in parts]
        label = name.replace("_squared", "²")
        plot.add_scatter(x=list(DEGREES), y=values, name=label, line={"color": colour, "dash": dash})
    best = int(np.argmin([part.error for part in parts]))
    headline(plot, f"least error at degree {best}")
    plot.update_xaxes(title="degree")
    plot.update_yaxes(title="mean squared error", type="log", range=[-3.5, 1.5])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


class _Fitted:
    """A polynomial as an estimator of one feature."""

    def __init__(self, degree: int) -> None:
        self.degree = degree

    def fit(self, X: np.ndarray, y: np.ndarray) -> _Fitted:
        self.curve = Polynomial.fit(X[:, 0], y, min(self.degree, len(y) - 1), domain=[-1, 1])
        return self


def _error(model: _Fitted, X: np.ndarray, y: np.ndarray) -> float:
    return float(np.sqrt(np.mean((model.curve(X[:, 0]) - y) ** 2)))


@figure("Learning curves")
def curves(
    degree: Annotated[int, Range(0, 12)] = 9,
    noise: Annotated[float, Range(0.05, 1, step=0.05)] = 0.3,
) -> go.Figure:
    """Root mean squared error on the samples that trained, and on 300 that did not, as the training part grows.

    Two curves that have met above the noise (dotted): bias, and more data will not help. A gap between them: variance,
    and more data will.
    """
    rng = np.random.default_rng(2)
    X = rng.uniform(-1, 1, (600, 1))
    y = np.sin(np.pi * X[:, 0]) + noise * rng.normal(size=600)
    sizes = [5, 8, 12, 16, 24, 36, 54, 80, 120, 180, 300]
    curve = learning_curve(_Fitted(degree), (X[:300], y[:300]), (X[300:], y[300:]), sizes, _error, rng)
    plot = go.Figure()
    plot.add_scatter(x=curve.sizes, y=curve.train, name="trained on", line_color=BLUE, mode="lines+markers")
    plot.add_scatter(x=curve.sizes, y=curve.test, name="never seen", line_color=ORANGE, mode="lines+markers")
    dotted = {"color": GREEN, "dash": "dot"}
    plot.add_scatter(x=[5, 300], y=[noise, noise], mode="lines", line=dotted, name="noise")
    plot.update_xaxes(title="training samples", type="log")
    plot.update_yaxes(title="root mean squared error", range=[0, 3 * max(noise, 0.4)])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
