"""Explorables of detection: two boxes, what suppression keeps, and the curve under which average precision lies."""

from __future__ import annotations

from typing import Annotated

import plotly.graph_objects as go
import torch

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.deep.detection import RECALLS, average_precision, box_iou, match, nms

torch.set_num_threads(1)  # a handful of boxes is slower on two


def _box(plot: go.Figure, box: list[float], colour: str, name: str, width: float = 3, dash: str = "solid") -> None:
    """The outline of a box."""
    left, top, right, bottom = box
    line = {"color": colour, "width": width, "dash": dash}
    x, y = [left, right, right, left, left], [top, top, bottom, bottom, top]
    plot.add_scatter(x=x, y=y, mode="lines", line=line, name=name, showlegend=bool(name))


@figure("Two boxes")
def overlap(
    right: Annotated[int, Range(-8, 14)] = 3,
    down: Annotated[int, Range(-8, 12)] = 2,
    size: Annotated[int, Range(1, 10)] = 6,
) -> go.Figure:
    """A true box, in blue, and a box that you move. The dotted box is the smallest around both.

    Move the box away: the plain overlap is 0 as soon as they part, and stays 0. The generalised overlap goes on to
    fall, so it still says in which direction the box should move.
    """
    true, other = torch.tensor([0.0, 0.0, 6.0, 6.0]), torch.tensor([0.0, 0.0, size, size])
    other = other + torch.tensor([right, down, right, down])
    hull = torch.cat((torch.minimum(true[:2], other[:2]), torch.maximum(true[2:], other[2:])))
    plot = go.Figure()
    _box(plot, hull.tolist(), GREY, "around both", 2, "dot")
    _box(plot, true.tolist(), BLUE, "true")
    _box(plot, other.tolist(), ORANGE, "said")
    plain, generalized = float(box_iou(true, other)), float(box_iou(true, other, generalized=True))
    headline(plot, f"overlap {plain:.2f}, generalised {generalized:.2f}")
    plot.update_xaxes(title="x, pixels", range=[-9, 25], dtick=2, constrain="domain")
    plot.update_yaxes(title="y, pixels", range=[23, -9], scaleanchor="x", dtick=2, constrain="domain")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What suppression keeps")
def suppression(
    threshold: Annotated[float, Range(0, 1, step=0.05)] = 0.5, gap: Annotated[float, Range(0.5, 6, step=0.25)] = 2.0
) -> go.Figure:
    """Two persons, `gap` apart, and three boxes for each, with their scores. Solid boxes stay, dotted ones go.

    Too low a threshold takes the second person of a crowd; too high a one leaves duplicates. Bring the two together
    and look for a threshold that leaves two boxes: where persons overlap as much as duplicates do, there is none.
    """
    person = torch.tensor([0.0, 0.0, 4.0, 9.0])
    jitter = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.6, 0.5, 0.6, 0.5], [-0.5, 0.4, -0.5, 0.6]])
    boxes = torch.cat((person + jitter, person + jitter.flip(0) + torch.tensor([gap, 0.3, gap, 0.3])))
    scores = torch.tensor([0.92, 0.71, 0.55, 0.62, 0.77, 0.85])
    kept = nms(boxes, scores, torch.zeros(6).long(), threshold).tolist()
    plot = go.Figure()
    for row, (box, score) in enumerate(zip(boxes.tolist(), scores.tolist(), strict=True)):
        stays = row in kept
        _box(plot, box, (BLUE, ORANGE)[row // 3], "", 3 if stays else 1.5, "solid" if stays else "dot")
        if stays:
            plot.add_annotation(x=box[0], y=box[1], text=f"{score:.2f}", showarrow=False, yshift=10, xshift=14)
    between = float(box_iou(boxes[0], boxes[5]))
    headline(plot, f"{len(kept)} boxes stay; the two persons overlap by {between:.2f}")
    plot.update_xaxes(title="x, pixels", range=[-2, 12], constrain="domain")
    plot.update_yaxes(title="y, pixels", range=[11, -2], scaleanchor="x", constrain="domain")
    return plot


@figure("Under the curve")
def curve(
    noise: Annotated[float, Range(0, 4, step=0.1)] = 1.0,
    threshold: Annotated[float, Range(0.5, 0.95, step=0.05)] = 0.5,
    alarms: Annotated[int, Range(0, 60)] = 20,
) -> go.Figure:
    """Thirty true boxes of 10 pixels, a detection near each, and false alarms. You choose how far boxes are off.

    Scores fall with the error, as those of a good detector. Raise the threshold: the same boxes count as false alarms
    once they are not close enough. COCO averages over ten thresholds.
    """
    generator = torch.Generator().manual_seed(3)
    true = torch.arange(30.0)[:, None] * 40 + torch.tensor([0.0, 0.0, 10.0, 10.0])
    shifts = noise * torch.randn(30, 4, generator=generator)
    boxes = torch.cat((true + shifts, true[:1] + 2000 + torch.rand(alarms, 4, generator=generator)))
    scores = torch.cat((-shifts.abs().sum(dim=1), -10 * torch.rand(alarms, generator=generator)))
    order = scores.argsort(descending=True)
    correct = match(box_iou(boxes[order, None], true), threshold) >= 0
    right = correct.double().cumsum(dim=0)
    precision, recall = right / torch.arange(1, len(right) + 1), right / 30
    best = precision.flip(0).cummax(dim=0).values.flip(0)
    read = torch.cat((best, best.new_zeros(1)))[torch.searchsorted(recall, RECALLS)]
    plot = go.Figure()
    plot.add_scatter(x=recall.tolist(), y=precision.tolist(), mode="lines+markers", name="precision", line_color=BLUE)
    marker = {"color": GREEN, "size": 4, "symbol": "diamond"}
    plot.add_scatter(x=RECALLS.tolist(), y=read.tolist(), mode="markers", name="read at 101 recalls", marker=marker)
    headline(plot, f"average precision {average_precision(scores[order], correct, 30):.3f}")
    plot.update_xaxes(title="recall", range=[-0.02, 1.02])
    plot.update_yaxes(title="precision", range=[-0.02, 1.05])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
