"""The colours of figures, and what several of them draw alike.

The colours are those of Okabe and Ito (Color Universal Design, 2008): they are told apart by colour-blind readers, and
survive the page's light and its dark theme. Give a class of points a symbol of its own as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PINK, SKY, GREY = "#CC79A7", "#56B4E9", "#888888"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED)
"""For things without a meaning of their own, in the order in which they are told apart best."""

DIVERGING = [[0.0, BLUE], [0.5, "rgba(128,128,128,0.08)"], [1.0, ORANGE]]
"""From blue over next to nothing to orange: for values below and above a middle."""

LEGEND_ABOVE = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
LEGEND_BELOW = {"orientation": "h", "y": -0.25}


def headline(plot: go.Figure, text: str) -> None:
    """Write one line above the picture: the number that the figure is about."""
    plot.add_annotation(x=0.5, y=1, yshift=24, xref="paper", yref="paper", text=text, showarrow=False, font_size=16)
