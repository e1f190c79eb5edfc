"""The palette of figures."""

import re

import plotly.graph_objects as go

from groundup import drawing


def test_the_colours_are_those_of_okabe_and_ito():
    """Their blue, orange, green, vermilion, purple and sky blue (Color Universal Design, 2008)."""
    assert set(drawing.COLOURS) == {"#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"}
    assert len(set(drawing.COLOURS)) == len(drawing.COLOURS)


def test_every_colour_is_in_the_middle_of_the_light_so_that_both_themes_show_it():
    for colour in (*drawing.COLOURS, drawing.GREY):
        red, green, blue = (int(part, 16) / 255 for part in re.findall("..", colour[1:]))
        assert 0.15 < 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < 0.5


def test_a_headline_stands_over_the_picture():
    plot = go.Figure()
    drawing.headline(plot, "12 chunks")
    (annotation,) = plot.select_annotations()
    assert annotation.text == "12 chunks"
    assert (annotation.xref, annotation.yref, annotation.y) == ("paper", "paper", 1)
    assert annotation.yshift > 0


def test_legends_are_what_plotly_takes():
    for legend in (drawing.LEGEND_ABOVE, drawing.LEGEND_BELOW):
        go.Figure().update_layout(legend=legend)
