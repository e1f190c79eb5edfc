"""Explorables of the vision transformer: patches, positions that know their neighbours, and shares that flow."""

from __future__ import annotations

from typing import Annotated, Literal

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, DIVERGING, GREEN, LEGEND_BELOW, ORANGE, headline
from groundup.stack.deep.vit import parameters, patchify, rollout, sine_positions

torch.set_num_threads(1)  # pictures this small are slower on two


@figure("A picture as a sequence")
def sequence(
    patch: Literal["2", "4", "8", "16"] = "8",
    place: Annotated[int, Range(0, 255)] = 5,
    dim: Literal["32", "192"] = "32",
) -> go.Figure:
    """A picture of 32 × 32 pixels, cut; on the right all patches as rows, in the order in which the encoder reads them.

    Halve the patch and there are four times as many tokens, and sixteen times as many pairs for attention to weigh.
    Choose a patch to see where it comes from.
    """
    side = int(patch)
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    picture = ((x - 10) ** 2 + (y - 12) ** 2 < 60).float() + 0.5 * (((x - y).abs() < 3) & (y > 16)).float() + x / 64
    rows = patchify(picture[None, None], side)[0]
    count, across = len(rows), 32 // side
    number = place % count
    plot = make_subplots(rows=1, cols=2, horizontal_spacing=0.1)
    for column, values in ((1, picture), (2, rows)):
        plot.add_trace(go.Heatmap(z=values.tolist(), colorscale="Greys", showscale=False), row=1, col=column)
    top, left = number // across * side, number % across * side
    places = ((1, top, left, side, side), (2, number, 0, 1, side * side))
    for column, first_row, first_column, height, width in places:
        xs = [first_column - 0.5, first_column + width - 0.5]
        ys = [first_row - 0.5, first_row + height - 0.5]
        outline = go.Scatter(
            x=[xs[0], xs[1], xs[1], xs[0], xs[0]],
            y=[ys[0], ys[0], ys[1], ys[1], ys[0]],
            mode="lines",
            line={"color": ORANGE, "width": 4},
            showlegend=False,
        )
        plot.add_trace(outline, row=1, col=column)
    numbers = parameters(side, int(dim), 1, 10, across, 1)
    headline(plot, f"patch {number} of 0 to {count - 1}; {(count + 1) ** 2:,} pairs; one layer has {numbers:,} weights")
    plot.update_xaxes(title="column of the picture", row=1, col=1)
    plot.update_xaxes(title="pixel of the patch", row=1, col=2)
    plot.update_yaxes(title="row", autorange="reversed", row=1, col=1)
    plot.update_yaxes(title="patch", autorange="reversed", row=1, col=2)
    return plot


@figure("Positions that know their neighbours")
def neighbours(
    row: Annotated[int, Range(0, 13)] = 4,
    column: Annotated[int, Range(0, 13)] = 6,
    dim: Literal["8", "32", "128"] = "32",
    temperature: Annotated[float, Range(2, 10_000, step=2)] = 100.0,
) -> go.Figure:
    """How similar the position of each place is to that of the place you choose: the cosine of both vectors.

    Places near by are similar, and whole rows and columns a little, as half of a vector tells the row. A large
    temperature has many slow waves, which make all places of a small grid alike; dimensions are wasted on them.
    """
    values = sine_positions(14, 14, int(dim), float(temperature))
    values = values / values.norm(dim=1, keepdim=True)
    similar = (values @ values[row * 14 + column]).reshape(14, 14)
    plot = go.Figure(go.Heatmap(z=similar.tolist(), colorscale=DIVERGING, zmin=-1, zmax=1))
    plot.add_scatter(x=[column], y=[row], mode="markers", marker={"color": GREEN, "size": 12, "symbol": "x"})
    headline(plot, f"least similar {float(similar.min()):.2f}, next door {_next_door(similar, row, column):.2f}")
    plot.update_xaxes(title="column of the grid", constrain="domain")
    plot.update_yaxes(title="row of the grid", autorange="reversed", scaleanchor="x", constrain="domain")
    return plot


def _next_door(similar: torch.Tensor, row: int, column: int) -> float:
    return float(similar[row, column + 1 if column < 13 else column - 1])


@figure("Shares that flow")
def flow(
    layers: Annotated[int, Range(1, 12)] = 4,
    sharpness: Annotated[float, Range(0, 8, step=0.25)] = 3.0,
    tokens: Annotated[int, Range(4, 40)] = 16,
) -> go.Figure:
    """Random attention of two heads in each layer, and the share of each input that reaches the class token.

    Bars are the weights of the last layer alone, the line is rollout through all. Add layers: the shares even out, and
    the last layer says less and less about what the class token is made of.
    """
    generator = torch.Generator().manual_seed(5)
    weights = (sharpness * torch.randn(layers, 1, 2, tokens, tokens, generator=generator)).softmax(dim=-1)
    shares = rollout(weights)[0, 0]
    last = weights[-1, 0].mean(dim=0)[0]
    names = ["class", *(str(number) for number in range(1, tokens))]
    plot = go.Figure()
    plot.add_bar(x=names, y=last.tolist(), name="last layer alone", marker_color=BLUE)
    line = {"color": ORANGE, "width": 3}
    plot.add_scatter(x=names, y=shares.tolist(), name="rollout", mode="lines+markers", line=line)
    headline(plot, f"{100 * float(shares[0]):.0f} % of the class token is still itself after {layers} layers")
    plot.update_xaxes(title="token", type="category")
    plot.update_yaxes(title="share", range=[0, 1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
