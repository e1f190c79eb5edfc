"""Explorables of convolution: a window that slides, what a kernel answers to, and how much a unit sees."""

from __future__ import annotations

from typing import Annotated, Literal

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, DIVERGING, GREEN, LEGEND_BELOW, ORANGE, headline
from groundup.stack.deep.convolution import Window, conv2d, output_size, pool2d, receptive_field

torch.set_num_threads(1)  # pictures this small are slower on two

KERNELS = {
    "vertical edges": [[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]],
    "horizontal edges": [[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]],
    "blur": [[1 / 9] * 3] * 3,
    "spots": [[-1.0, -1.0, -1.0], [-1.0, 8.0, -1.0], [-1.0, -1.0, -1.0]],
}


@figure("A window slides")
def sliding(
    kernel: Annotated[int, Range(1, 5)] = 3,
    stride: Annotated[int, Range(1, 4)] = 2,
    padding: Annotated[int, Range(0, 2)] = 1,
    place: Annotated[int, Range(0, 40)] = 0,
) -> go.Figure:
    """A picture of 7 × 7 pixels with its border of zeros, and the result. You choose the place of the orange window.

    Count the places: a larger kernel has fewer, a border gives some back, a stride leaves some out. Move the window and
    see which pixel of the result it fills.
    """
    generator = torch.Generator().manual_seed(1)
    picture = torch.randint(0, 10, (1, 1, 7, 7), generator=generator).float()
    count = output_size(7, kernel, stride, padding)
    result = conv2d(picture, torch.ones(1, 1, kernel, kernel) / kernel**2, torch.zeros(1), stride, padding)
    padded = torch.nn.functional.pad(picture, (padding,) * 4)[0, 0]
    row, column = divmod(place % (count * count), count)
    plot = make_subplots(rows=1, cols=2, horizontal_spacing=0.08)
    for number, values in ((1, padded), (2, result[0, 0])):
        grid = go.Heatmap(
            z=values.tolist(), texttemplate="%{z:.3g}", colorscale="Blues", showscale=False, xgap=1, ygap=1
        )
        plot.add_trace(grid, row=1, col=number)
    for number, top, left, size in ((1, row * stride, column * stride, kernel), (2, row, column, 1)):
        x, y = [left - 0.5, left + size - 0.5], [top - 0.5, top + size - 0.5]
        outline = go.Scatter(
            x=[x[0], x[1], x[1], x[0], x[0]],
            y=[y[0], y[0], y[1], y[1], y[0]],
            mode="lines",
            line={"color": ORANGE, "width": 5},
            showlegend=False,
        )
        plot.add_trace(outline, row=1, col=number)
    headline(plot, f"{count} × {count} places: (7 + 2 · {padding} - {kernel}) // {stride} + 1 = {count}")
    plot.update_xaxes(title="column of the padded picture", dtick=1, showgrid=False, zeroline=False, row=1, col=1)
    plot.update_xaxes(title="column of the result", dtick=1, showgrid=False, zeroline=False, row=1, col=2)
    plot.update_yaxes(title="row", dtick=1, autorange="reversed", showgrid=False, zeroline=False)
    return plot


@figure("What a kernel answers to")
def answers(
    kernel: Literal["vertical edges", "horizontal edges", "blur", "spots"] = "vertical edges",
    pooling: Literal["none", "max", "average"] = "none",
    size: Annotated[int, Range(2, 6)] = 2,
) -> go.Figure:
    """A picture with a box, a bar and a spot, and what a kernel of 3 × 3 makes of it, in orange where it answers.

    A kernel is a small template: it answers most where the picture looks like it. Pool the answers: the maximum keeps
    the strongest of a window wherever it was, the average lets a lone answer fade.
    """
    picture = torch.zeros(1, 1, 32, 32)
    picture[0, 0, 5:17, 4:14] = 1.0
    picture[0, 0, 22:24, 4:28] = 1.0
    picture[0, 0, 9, 23] = 1.0
    answer = conv2d(picture, torch.tensor(KERNELS[kernel])[None, None], torch.zeros(1), padding=1)
    if pooling != "none":
        answer = pool2d(answer, size, kind=pooling)
    shown = answer[0, 0]
    limit = float(shown.abs().max())
    plot = make_subplots(rows=1, cols=2, horizontal_spacing=0.08)
    plot.add_trace(go.Heatmap(z=picture[0, 0].tolist(), colorscale="Greys", showscale=False), row=1, col=1)
    plot.add_trace(go.Heatmap(z=shown.tolist(), colorscale=DIVERGING, zmin=-limit, zmax=limit), row=1, col=2)
    headline(plot, f"the strongest answer is {float(shown.max()):.2g}, on {shown.shape[0]} × {shown.shape[1]} places")
    plot.update_xaxes(title="column of the picture", row=1, col=1)
    plot.update_xaxes(title="column of the answer", row=1, col=2)
    plot.update_yaxes(title="row", autorange="reversed")
    return plot


@figure("How much a unit sees")
def sees(
    layers: Annotated[int, Range(1, 12)] = 8,
    kernel: Annotated[int, Range(1, 7)] = 3,
    every: Annotated[int, Range(0, 6)] = 2,
) -> go.Figure:
    """The receptive field of layers of filters, with a pooling by 2 after every so many; 0 never pools.

    Without pooling the field grows by the same number of pixels a layer. Each pooling doubles the step of all layers
    after it. The dotted line is a photograph of 224 pixels.
    """
    windows, ends = [], []
    for layer in range(1, layers + 1):
        windows.append(Window(kernel, 1, kernel // 2))
        ends.append(len(windows) - 1)
        if every and layer % every == 0:
            windows.append(Window(2, 2))
    fields = receptive_field(windows)
    sizes, numbers = [fields[end].size for end in ends], list(range(1, layers + 1))
    plain = [field.size for field in receptive_field([Window(kernel)] * layers)]
    plot = go.Figure()
    plot.add_bar(x=numbers, y=sizes, name="as set", marker_color=BLUE)
    plot.add_scatter(x=numbers, y=plain, name="without pooling", mode="lines+markers", line_color=GREEN)
    plot.add_hline(y=224, line={"color": ORANGE, "dash": "dot"})
    headline(plot, f"a unit of layer {layers} sees {sizes[-1]} pixels across, {plain[-1]} without pooling")
    plot.update_xaxes(title="layer of filters", dtick=1)
    plot.update_yaxes(title="pixels across (log)", type="log", range=[0, 3.2])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
