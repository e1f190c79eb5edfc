"""Explorables of decompositions: turn, stretch, turn; the rank of a picture; and how many products a value takes."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.bedrock.decompositions import low_rank, power_iteration, svd


@figure("Turn, stretch, turn")
def stretching(
    right: Annotated[float, Range(-2, 2, step=0.1)] = 1.0,
    across: Annotated[float, Range(-2, 2, step=0.1)] = 1.2,
    up: Annotated[float, Range(-2, 2, step=0.1)] = 0.0,
    along: Annotated[float, Range(-2, 2, step=0.1)] = 0.8,
) -> go.Figure:
    """What [[right, across], [up, along]] makes of the circle of all vectors of length 1.

    It is always an ellipse. Its half axes are the singular values, along the left vectors. They come from the right
    vectors, which are perpendicular as well. Set across and up to 0, and nothing turns; make a row a multiple of the
    other, and the ellipse is a line: the rank is 1.
    """
    A = np.array([[right, across], [up, along]])
    left, values, rows = svd(A)
    angles = np.linspace(0, 2 * np.pi, 121)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    plot = go.Figure(go.Scatter(x=circle[0], y=circle[1], line={"color": GREY, "dash": "dot"}, name="circle"))
    ellipse = A @ circle
    plot.add_scatter(x=ellipse[0], y=ellipse[1], line_color=BLUE, name="its image")
    for k, (colour, name) in enumerate(((ORANGE, "first"), (GREEN, "second"))):
        plot.add_scatter(
            x=[0, rows[k, 0]], y=[0, rows[k, 1]], line={"color": colour, "dash": "dash"}, name=f"{name} right vector"
        )
        image = left[:, k] * values[k]
        plot.add_scatter(
            x=[0, image[0]], y=[0, image[1]], line={"color": colour, "width": 4}, name=f"{name}, stretched"
        )
    headline(plot, f"singular values {values[0]:.2f} and {values[1]:.2f}")
    plot.update_xaxes(title="first coordinate", range=[-3, 3])
    plot.update_yaxes(title="second coordinate", range=[-2.5, 2.5], scaleanchor="x")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


def _drawn(picture: str, side: int = 64) -> np.ndarray:
    """A picture of side × side brightnesses from 0 to 1."""
    y, x = np.mgrid[0:side, 0:side] / (side - 1) * 2 - 1
    if picture == "window":
        return ((np.abs(x) < 0.7) & (np.abs(y) < 0.8) & (np.abs(x) > 0.06) & (np.abs(y) > 0.06)).astype(float)
    if picture == "face":
        face = 0.6 * (x**2 + y**2 < 0.8) + 0.4 * (((np.abs(x) - 0.35) ** 2 + (y + 0.25) ** 2) < 0.02)
        return face - 0.5 * ((np.abs(x**2 + (y - 0.1) ** 2 - 0.3) < 0.04) & (y > 0.25))
    return (np.abs(x - y) < 0.15).astype(float)


@figure("How many numbers does this picture need?")
def picture(
    rank: Annotated[int, Range(0, 32)] = 4,
    drawn: Literal["window", "face", "diagonal"] = "face",
) -> go.Figure:
    """A picture of 64 × 64 pixels, and the nearest one of a given rank.

    A window is made of rows that are alike: a rank of 2 has it all. A face needs more, and a diagonal, whose rows all
    differ, still more: the same line lying along an axis would have the rank 1. Each rank costs 64 + 64 + 1 numbers.
    """
    original = _drawn(drawn)
    copy = low_rank(original, rank)
    error = np.sqrt(((original - copy) ** 2).sum() / (original**2).sum())
    plot = make_subplots(1, 2)
    for column, pixels in enumerate((original, copy), 1):
        plot.add_heatmap(z=pixels, zmin=0, zmax=1, colorscale="Viridis", showscale=column == 2, row=1, col=column)
    headline(plot, f"{129 * rank:,} numbers for 4,096 pixels, relative error {error:.1%}")
    plot.update_xaxes(title="column, as drawn", col=1)
    plot.update_xaxes(title=f"column, of rank {rank}", col=2)
    plot.update_yaxes(autorange="reversed")
    plot.update_yaxes(title="row", col=1)
    return plot


@figure("How many products does a value take?")
def products(
    ratio: Annotated[float, Range(-0.98, 0.98, step=0.02)] = 0.8,
    share: Annotated[float, Range(0.001, 1, log=True)] = 0.5,
) -> go.Figure:
    """How far the vector and the value of power iteration are from the truth, product by product.

    The eigenvalues are 1 and the ratio. The start has a share of the right vector for each 1 of the wrong one. Each
    product shrinks the rest of the vector by the ratio, and the error of the value, which is quadratic, by its square.
    The share shifts the curves and leaves their slopes.
    """
    A, start, rounds = np.diag([1.0, ratio]), np.array([share, 1.0]), np.arange(1, 61)
    runs = [power_iteration(A, start, tolerance=0.0, most=int(k)) for k in rounds]
    vector = [max(abs(run.vector[1]), 1e-17) for run in runs]
    value = [max(abs(1 - run.value), 1e-17) for run in runs]
    plot = go.Figure(go.Scatter(x=rounds, y=vector, line_color=ORANGE, name="vector: what is left across"))
    plot.add_scatter(x=rounds, y=value, line_color=BLUE, name="value: error")
    plot.add_hline(y=1e-10, line={"color": RED, "dash": "dot"})
    needed = power_iteration(A, start, most=1_000).products
    headline(plot, f"{needed} products to a tolerance of 1e-10")
    plot.update_xaxes(title="products with the matrix")
    plot.update_yaxes(title="error", type="log", exponentformat="power", range=[-17, 0.5])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
