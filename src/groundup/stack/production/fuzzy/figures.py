"""Explorables of fuzzy logic: how a score is made, the surface with and without holes, and why a score may fall."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.production.fuzzy import Engine, Rule, Variable, gaps, infer, outline, partition, risk_engine


@figure("How a score is made")
def shape(
    vision: Annotated[float, Range(0, 1, step=0.05)] = 0.8,
    text: Annotated[float, Range(0, 1, step=0.05)] = 0.6,
) -> go.Figure:
    """The sets of the risk (dashed), the shape that the rules leave of them, and its centroid.

    Each set is cut off at the strength of its strongest rule. Raise the vision model's confidence from 0.5 to 1: high
    grows out of medium, and the centroid goes to the right. It never reaches 1, because even the set of high reaches
    far to the left.
    """
    engine = risk_engine()
    found = infer(engine, vision=vision, text=text)
    x = np.linspace(0, 1, 201)
    plot = go.Figure()
    for (name, fuzzy), colour in zip(engine.output.terms.items(), (GREEN, ORANGE, RED), strict=True):
        line = {"color": colour, "dash": "dash"}
        plot.add_scatter(x=x, y=fuzzy(x), mode="lines", line=line, name=f"{name}, cut at {found.heights[name]:.2f}")
    mu = outline(engine, found.heights)(x)
    plot.add_scatter(x=x, y=mu, mode="lines", fill="tozeroy", line={"color": BLUE, "width": 3}, name="shape")
    plot.add_scatter(x=[found.score] * 2, y=[0, 1], mode="lines", line={"color": GREY, "width": 3}, name="centroid")
    headline(plot, f"risk {found.score:.3f}: {found.reasons[0][0]}")
    plot.update_xaxes(title="risk", range=[0, 1])
    plot.update_yaxes(title="degree", range=[0, 1.05])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Holes in the rules")
def holes(
    left_out: Annotated[int, Range(0, 8)] = 0,
    width: Annotated[float, Range(0.1, 0.5, step=0.05)] = 0.5,
) -> go.Figure:
    """The risk of all inputs; it is empty where no rule fires.

    Leave out rules, one after the other: neighbours fill in for a while, since levels overlap, and fire alone where
    the missing rule was the strongest. Only where nothing fires is a hole. Then make the levels narrower: from a
    width of one quarter down they no longer overlap, and a grid of holes appears though all nine rules stand.
    """
    base = risk_engine()
    terms = {
        name: Variable(0.0, 1.0, partition({"before": p - width, name: p, "after": p + width})).terms[name]
        for name, p in (("low", 0.0), ("medium", 0.5), ("high", 1.0))
    }
    grade = Variable(0.0, 1.0, terms)
    rules = list(base.rules)[left_out:]
    engine = Engine({"vision": grade, "text": grade}, base.output, rules)
    axis = np.linspace(0, 1, 21)
    z = [[_or_nothing(engine, v, t) for v in axis] for t in axis]
    scale = [[0.0, BLUE], [0.5, "rgba(128,128,128,0.3)"], [1.0, ORANGE]]
    plot = go.Figure(go.Heatmap(x=axis, y=axis, z=z, zmin=0, zmax=1, colorscale=scale, colorbar={"title": "risk"}))
    missing = gaps(engine)
    plot.add_scatter(
        x=[point["vision"] for point in missing], y=[point["text"] for point in missing], mode="markers",
        marker={"color": RED, "symbol": "x", "size": 9}, name="a kind of input without a rule",
    )  # fmt: skip
    headline(plot, f"{len(rules)} rules, {len(missing)} kinds of input without one")
    plot.update_xaxes(title="confidence of the vision model")
    plot.update_yaxes(title="threat score of the text model")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


def _or_nothing(engine: Engine, vision: float, text: float) -> float | None:
    """The risk, or nothing where no rule fires."""
    try:
        return infer(engine, vision=float(vision), text=float(text)).score
    except ValueError:
        return None


@figure("More evidence, less risk")
def falls(
    text: Annotated[float, Range(0, 1, step=0.05)] = 0.0,
    levels: Literal["low, medium, high", "low, high"] = "low, medium, high",
) -> go.Figure:
    """The risk along the confidence of the vision model, with falls in red.

    At text 0 the risk falls between 0.25 and 0.5, though vision rises: low is cut off less and less, and its centroid
    moves to the left. With two levels, and rules that only rise, nothing can fall: the lesson proves it.
    """
    if levels == "low, high":
        grade = Variable(0.0, 1.0, partition({"low": 0.0, "high": 1.0}))
        rules = [Rule({"vision": "low", "text": "low"}, "low"), Rule({"vision": "high", "text": "high"}, "high", "or")]
        engine = Engine({"vision": grade, "text": grade}, grade, rules)
    else:
        engine = risk_engine()
    x = np.linspace(0, 1, 81)
    y = np.array([infer(engine, vision=float(vision), text=text).score for vision in x])
    falling = np.flatnonzero(np.diff(y) < -1e-12)
    plot = go.Figure(go.Scatter(x=x, y=y, mode="lines", line={"color": BLUE, "width": 3}, name="risk"))
    where = np.ravel([[k, k + 1, -1] for k in falling]).astype(int)
    red = [None if k < 0 else float(y[k]) for k in where]
    plot.add_scatter(x=x[where], y=red, mode="lines", line={"color": RED, "width": 5}, name="fall")
    drop = float((np.maximum.accumulate(y) - y).max())
    headline(plot, f"largest fall: {drop:.3f}")
    plot.update_xaxes(title="confidence of the vision model")
    plot.update_yaxes(title="risk", range=[0, 1])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
