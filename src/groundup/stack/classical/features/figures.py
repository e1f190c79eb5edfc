"""Explorables of features."""

from typing import Annotated

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, ORANGE
from groundup.stack.classical.features import average

# TODO: figures that answer a question when a control is moved, computed by the unit's own code. The page gives title,
# size and theme; axes are named, with units.


@figure("The mean settles")
def settling(
    count: Annotated[int, Range(1, 500)] = 100,
    spread: Annotated[float, Range(0, 5, step=0.1)] = 1.0,
) -> go.Figure:
    """The mean of the first n numbers, against n: it settles, however wide the numbers are spread."""
    numbers = np.random.default_rng(0).normal(scale=spread, size=count)
    steps = np.arange(1, count + 1)
    plot = go.Figure()
    plot.add_scatter(x=steps, y=numbers, mode="markers", marker_color=ORANGE, name="number")
    plot.add_scatter(x=steps, y=[average(numbers[:n]) for n in steps], line_color=BLUE, name="mean so far")
    plot.update_xaxes(title="n")
    plot.update_yaxes(title="value")
    return plot
