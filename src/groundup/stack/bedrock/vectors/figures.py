"""Explorables of vectors: the race, the broadcasting grid, similarity, and what a layer does to the plane."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_ABOVE, ORANGE, RED, SKY, headline
from groundup.stack.bedrock.vectors import (
    Dense,
    broadcast_shapes,
    cosine_similarity,
    dense_loop,
    dot,
    pairwise_distances,
    relu,
)


@figure("The race: loops against one matrix product")
def race(features: Annotated[int, Range(2, 32)] = 8, outputs: Annotated[int, Range(2, 32)] = 8) -> go.Figure:
    """Time of one forward pass as the batch grows, measured on this machine just now.

    The lines are parallel at the right: both are proportional to the batch. What vectorisation wins is the constant.
    The loops stop at a tenth of a second; beyond, their line is dotted and extended in proportion.
    """
    rng = np.random.default_rng(0)
    layer = Dense(features, outputs, rng=rng)
    batches = [1, 10, 100, 1_000, 10_000]
    inputs = rng.normal(size=(batches[-1], features))
    fast = [_milliseconds(lambda n=n: layer.forward(inputs[:n]), 5) for n in batches]
    slow: list[float] = []
    for n in batches:
        if slow and 10 * slow[-1] > 100:
            break
        slow.append(_milliseconds(lambda n=n: dense_loop(inputs[:n], layer.weights, layer.bias), 1))
    measured = len(slow)
    extended = [slow[-1] * n / batches[measured - 1] for n in batches[measured - 1 :]]
    plot = go.Figure()
    plot.add_scatter(x=batches[:measured], y=slow, name="nested loops", line_color=RED)
    if len(extended) > 1:
        dotted = {"color": RED, "dash": "dot"}
        plot.add_scatter(x=batches[measured - 1 :], y=extended, name="nested loops, extended", line=dotted)
    plot.add_scatter(x=batches, y=fast, name="Dense.forward", line_color=BLUE)
    plot.add_annotation(
        x=4,
        y=np.log10(np.sqrt(extended[-1] * fast[-1])),
        text=f"{extended[-1] / fast[-1]:,.0f} ×",
        showarrow=False,
        font_size=18,
        xanchor="right",
    )
    plot.update_xaxes(type="log", title="batch (rows)", tickvals=batches)
    plot.update_yaxes(type="log", title="time (ms)")
    plot.update_layout(legend=LEGEND_ABOVE)
    return plot


def _milliseconds(call: Callable[[], Any], repeats: int) -> float:
    call()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return 1e3 * best


@figure("Broadcasting as a grid")
def broadcasting(
    left: Literal["(3, 4)", "(3, 1)", "(4,)", "()"] = "(3, 1)",
    right: Literal["(4,)", "(1, 4)", "(3, 4)", "(3,)"] = "(4,)",
) -> go.Figure:
    """Two arrays and their sum. Pale cells are not stored anywhere: broadcasting reads the same number again.

    Choose (3, 4) and (3,) for the clash that everybody meets: a number for each row does not fit unless it is a column.
    """
    shapes = [tuple(int(part) for part in text.strip("()").split(",") if part.strip()) for text in (left, right)]
    arrays = [
        (1 + np.arange(np.prod(shape, dtype=int))).reshape(shape) * scale
        for shape, scale in zip(shapes, (10, 1), strict=True)
    ]
    result, clash = None, ""
    try:
        result = broadcast_shapes(*shapes)
    except ValueError as error:
        clash = str(error)
    plot = go.Figure()
    places = [0, 6, 12]
    for array, place, colour, text in zip(arrays, places, (ORANGE, SKY), (left, right), strict=False):
        if result is None:
            _grid(plot, np.atleast_2d(array), place, colour, stored=None)
        else:
            stored = np.atleast_2d(np.zeros(array.shape)).shape
            _grid(plot, np.atleast_2d(np.broadcast_to(array, result)), place, colour, stored=stored)
        plot.add_annotation(x=place + 1.5, y=1.2, text=text, showarrow=False, font_size=16)
    plot.add_annotation(x=4.5, y=-1, text="+", showarrow=False, font_size=28)
    if result is None:
        message = "<br>".join([clash.split(": ", 1)[1].split(": ")[0], clash.split(": ", 2)[2].split(". ")[0]])
        plot.add_annotation(x=6.5, y=-4.2, text=message, showarrow=False, font={"size": 14, "color": RED})
    else:
        plot.add_annotation(x=10.5, y=-1, text="=", showarrow=False, font_size=28)
        _grid(plot, np.atleast_2d(arrays[0] + arrays[1]), places[2], GREEN, stored=None)
        plot.add_annotation(x=places[2] + 1.5, y=1.2, text=str(result), showarrow=False, font_size=16)
    plot.update_xaxes(visible=False, range=[-1, 16])
    plot.update_yaxes(visible=False, range=[-5, 2], scaleanchor="x")
    plot.update_layout(showlegend=False, margin={"l": 10, "r": 10, "t": 10, "b": 10}, height=320)
    return plot


def _grid(plot: go.Figure, values: np.ndarray, x0: float, colour: str, *, stored: tuple[int, ...] | None) -> None:
    """Draw a table of numbers as cells; those outside `stored` are stretched copies, drawn pale."""
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            copied = stored is not None and (i >= stored[0] or j >= stored[1])
            style: dict[str, Any] = {"width": 1.5, "color": colour, "dash": "dot" if copied else "solid"}
            box = {"x0": x0 + j - 0.46, "x1": x0 + j + 0.46, "y0": -i - 0.46, "y1": -i + 0.46}
            plot.add_shape(type="rect", **box, line=style, fillcolor=colour, opacity=0.2 if copied else 0.5)
            plot.add_annotation(x=x0 + j, y=-i, text=str(value), showarrow=False, opacity=0.55 if copied else 1)


@figure("Dot product, cosine and distance")
def similarity(
    angle: Annotated[float, Range(0, 180, step=1)] = 55, length: Annotated[float, Range(0.2, 3, step=0.1)] = 2.0
) -> go.Figure:
    """Turn and stretch b. The dot product is the length of a (here 1.5) times the shadow that b casts on it.

    Stretching b changes the dot product and the distance but not the cosine: that is all that choosing cosine means.
    """
    a = np.array([1.5, 0.0])
    b = length * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    product, cosine = dot(a, b), cosine_similarity(a[None], b[None])[0, 0]
    distance = pairwise_distances(a[None], b[None])[0, 0]
    shadow = product / np.sqrt(dot(a, a))
    plot = go.Figure()
    plot.add_scatter(x=[b[0], b[0]], y=[b[1], 0], mode="lines", line={"color": GREY, "dash": "dot"}, showlegend=False)
    plot.add_scatter(x=[0, shadow], y=[0, 0], mode="lines", line={"color": GREEN, "width": 9}, name="shadow of b")
    dashed = {"color": ORANGE, "dash": "dash"}
    plot.add_scatter(x=[a[0], b[0]], y=[a[1], b[1]], mode="lines", line=dashed, name="distance")
    for name, (x, y), colour in (("a", a, BLUE), ("b", b, RED)):
        arrow = {"symbol": ["circle", "arrow"], "size": [1, 16], "angleref": "previous", "color": colour}
        line = {"color": colour, "width": 3}
        plot.add_scatter(x=[0, x], y=[0, y], mode="lines+markers", marker=arrow, line=line, name=name)
    text = f"dot {product:.2f}   cosine {cosine:.2f}   distance {distance:.2f}"
    headline(plot, text)
    plot.update_layout(margin_t=50)
    plot.update_xaxes(range=[-3.2, 3.2], title="feature 1")
    plot.update_yaxes(range=[-0.4, 3.2], title="feature 2", scaleanchor="x")
    return plot


@figure("What a layer does to the plane")
def transformation(
    angle: Annotated[float, Range(-180, 180, step=5)] = 30,
    stretch: Annotated[float, Range(0.2, 2, step=0.1)] = 1.4,
    shear: Annotated[float, Range(-1, 1, step=0.1)] = 0.3,
    bias: Annotated[float, Range(-2, 2, step=0.1)] = 0.0,
    activation: Literal["none", "relu"] = "relu",
) -> go.Figure:
    """A square grid before (grey) and after a layer with two inputs and two outputs.

    XW turns, stretches and shears, and keeps straight lines straight and parallel. The bias moves everything. ReLU
    folds what falls below zero flat onto the axes: it is the only step here that bends a line.
    """
    turn = np.radians(angle)
    layer = Dense(2, 2, rng=np.random.default_rng(0))
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    layer.weights = rotation @ np.array([[stretch, 0.0], [shear, 1.0]])
    layer.bias = np.array([bias, bias])
    plot = go.Figure()
    along = np.linspace(-1, 1, 41)
    for k, at in enumerate(np.linspace(-1, 1, 9)):
        lines = (
            (np.stack([along, np.full(41, at)], axis=1), BLUE),
            (np.stack([np.full(41, at), along], axis=1), ORANGE),
        )
        for before, colour in lines:
            after = layer.forward(before)
            after = relu(after) if activation == "relu" else after
            pale = {"color": GREY, "width": 0.7}
            plot.add_scatter(x=before[:, 0], y=before[:, 1], mode="lines", line=pale, hoverinfo="skip")
            strong = {"color": colour, "width": 2 if k not in (0, 8) else 3.5}
            plot.add_scatter(x=after[:, 0], y=after[:, 1], mode="lines", line=strong, hoverinfo="skip")
    plot.update_xaxes(range=[-2, 2], title="output 1", zeroline=True)
    plot.update_yaxes(range=[-2, 2], title="output 2", zeroline=True, scaleanchor="x")
    plot.update_layout(showlegend=False, margin_t=30)
    return plot
