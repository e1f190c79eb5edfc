"""Explorables of segmentation: two measures of overlap, what halving loses, and seams between tiles."""

from __future__ import annotations

from typing import Annotated

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from torch.nn import functional

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, DIVERGING, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.deep.segmentation import dice, iou, join, predict_tiled, tile_starts

torch.set_num_threads(1)  # pictures this small are slower on two


def _disc(radius: float, column: float, side: int = 64) -> torch.Tensor:
    """A disc in the middle row."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (x - column) ** 2 + (y - side / 2) ** 2 < radius**2


@figure("Two measures of overlap")
def overlap(
    shift: Annotated[int, Range(0, 24)] = 5,
    radius: Annotated[int, Range(1, 20)] = 10,
    predicted: Annotated[int, Range(0, 20)] = 10,
) -> go.Figure:
    """Left a nucleus in blue and a prediction in orange, both in green. Right Dice and IoU for any shift between them.

    Dice is never below IoU, and both order masks alike. Make both radii small: a shift of two pixels, harmless on a
    large nucleus, costs everything on a small one. A predicted radius of 0 is an empty mask.
    """
    target = _disc(radius, 26)
    shifts = list(range(25))
    moved = torch.stack([_disc(predicted, 26 + step) for step in shifts])
    others = target.expand_as(moved)
    curves = {"Dice": dice(moved, others), "IoU": iou(moved, others)}
    plot = make_subplots(rows=1, cols=2, horizontal_spacing=0.12)
    for mask, colour in (
        (target & ~moved[shift], BLUE),
        (moved[shift] & ~target, ORANGE),
        (target & moved[shift], GREEN),
    ):
        shown = torch.where(mask, 1.0, float("nan"))
        scale = [[0, colour], [1, colour]]
        plot.add_trace(go.Heatmap(z=shown.tolist(), colorscale=scale, showscale=False), row=1, col=1)
    for (name, values), colour in zip(curves.items(), (BLUE, ORANGE), strict=True):
        line = go.Scatter(x=shifts, y=values.tolist(), name=name, line_color=colour)
        plot.add_trace(line, row=1, col=2)
    plot.add_vline(x=shift, line={"color": GREY, "dash": "dot"}, row=1, col=2)  # type: ignore[arg-type]
    headline(plot, f"Dice {float(curves['Dice'][shift]):.3f}, IoU {float(curves['IoU'][shift]):.3f}")
    plot.update_xaxes(title="column", row=1, col=1)
    plot.update_yaxes(title="row", row=1, col=1)
    plot.update_xaxes(title="shift (pixels)", row=1, col=2)
    plot.update_yaxes(title="overlap", range=[-0.03, 1.03], row=1, col=2)
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What halving loses")
def lost(
    levels: Annotated[int, Range(0, 4)] = 2,
    gap: Annotated[int, Range(1, 8)] = 2,
) -> go.Figure:
    """Two nuclei with a gap between them, and the same after it was halved by the maximum and doubled again.

    Each level of the encoder sees further, and forgets where exactly things were. A gap that is narrower than the
    pixels of the lowest level is gone. Only a skip still has it.
    """
    picture = (_disc(9, 16 - gap / 2) | _disc(9, 34 + gap / 2)).float()[None, None, 10:55, :51]
    maps, skips = picture, []
    for _ in range(levels):
        skips.append(maps)
        maps = functional.max_pool2d(maps, 2)
    for skip in reversed(skips):
        maps = join(functional.interpolate(maps, scale_factor=2.0), skip)[:, 1:]
    wrong = int((maps != picture).sum())
    plot = make_subplots(rows=1, cols=2, horizontal_spacing=0.1)
    for column, shown in ((1, picture), (2, maps)):
        trace = go.Heatmap(z=shown[0, 0].tolist(), colorscale="Greys", zmin=0, zmax=1, showscale=False)
        plot.add_trace(trace, row=1, col=column)
    kept = float(dice(maps[0, 0] > 0.5, picture[0, 0] > 0.5))
    headline(plot, f"{wrong} pixels are wrong, Dice {kept:.3f}, with {2**levels} × {2**levels} pixels in one")
    plot.update_xaxes(title="column of the picture", row=1, col=1)
    plot.update_xaxes(title="column, halved and doubled", row=1, col=2)
    plot.update_yaxes(title="row", autorange="reversed")
    return plot


@figure("Seams between tiles")
def seams(
    margin: Annotated[int, Range(0, 6)] = 1,
    looks: Annotated[int, Range(1, 5)] = 3,
    middle: Annotated[int, Range(6, 16)] = 12,
) -> go.Figure:
    """A filter that looks some pixels far, applied tile by tile, less the same on the whole picture at once.

    Where tiles meet, each saw zeros in place of its neighbour. Widen the margin: from the filter's reach on, the seams
    are gone, at the price of more and larger tiles.
    """
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 1, 36, 48, generator=generator) + 1
    kernel = torch.full((1, 1, 2 * looks + 1, 2 * looks + 1), 1 / (2 * looks + 1) ** 2)
    tile = middle + 2 * margin
    tiled = predict_tiled(lambda part: functional.conv2d(part, kernel, padding=looks), picture, tile, margin)
    whole = functional.conv2d(functional.pad(picture, (looks,) * 4, mode="reflect"), kernel)
    differs = (tiled - whole)[0, 0]
    tiles = len(tile_starts(36 + 2 * margin, tile, middle)) * len(tile_starts(48 + 2 * margin, tile, middle))
    work = tiles * tile**2 / (36 * 48)
    plot = go.Figure(go.Heatmap(z=differs.tolist(), colorscale=DIVERGING, zmin=-0.8, zmax=0.8))
    share = float((differs.abs() > 1e-5).float().mean())
    headline(plot, f"{share:.0%} of the pixels differ; {tiles} tiles, {work:.1f} times the pixels of the picture")
    plot.update_xaxes(title="column")
    plot.update_yaxes(title="row", autorange="reversed")
    return plot
