"""Explorables of tracking: what a kill leaves, what a filter finds, and who overtakes whom."""

from __future__ import annotations

import tempfile
from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.production.tracking import Record, Tracker, objection, parse_filter, read_metric


@figure("What a kill leaves")
def torn(
    killed: Annotated[int, Range(0, 480)] = 307,
    written: Literal["each epoch", "every 10 epochs", "at the end"] = "each epoch",
) -> go.Figure:
    """A run of 40 epochs, whose curve takes 12 bytes a line, is killed at a byte. Which points are read afterwards?

    Lines that wait in the process are lost with it. A line that was cut is in the file, and must not be believed.
    """
    values = 1 - 0.7 * np.exp(-np.arange(40) / 9)
    with tempfile.TemporaryDirectory() as place:
        run = Tracker(place, clock=lambda: 100).start("figure")
        path = run.folder / "metrics" / "auc"
        lines = [f"100 {value:.2f} {epoch:02}\n" for epoch, value in enumerate(values)]
        block = {"each epoch": 1, "every 10 epochs": 10, "at the end": 40}[written]
        text = "".join(lines)[: killed if block == 1 else killed // (12 * block) * 12 * block]
        path.write_text(text, encoding="utf-8")
        points = read_metric(path)
    plot = go.Figure()
    reached = min(-(-killed // 12), 40)
    plot.add_scatter(x=list(range(reached)), y=values[:reached], name="reached", line={"color": GREY}, mode="lines")
    x, y = [point.step for point in points], [point.value for point in points]
    plot.add_scatter(x=x, y=y, name="read afterwards", mode="markers", marker={"color": BLUE})
    rest = text.rpartition("\n")[2].split(" ")
    if len(rest) > 1 and rest[1] not in ("", "."):
        torn_point = {"x": [len(points)], "y": [float(rest[1])]}
        plot.add_scatter(
            **torn_point, name="torn line", mode="markers", marker={"color": RED, "symbol": "x", "size": 12}
        )
    headline(plot, f"{len(points)} of {reached} epochs are read")
    plot.update_xaxes(title="epoch", range=[-1, 41])
    plot.update_yaxes(title="AUC", range=[-0.05, 1.05])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What a filter finds")
def found(
    auc: Annotated[float, Range(0.5, 1, step=0.01)] = 0.8,
    depth: Annotated[int, Range(1, 12)] = 9,
    compared: Literal["as numbers", "as texts"] = "as numbers",
) -> go.Figure:
    """Sixty runs, and those with an AUC above the first control and a depth of at least the second.

    Compare as texts, at depth 9: depths 10, 11 and 12 are not found, because "1" comes before "9".
    """
    rng = np.random.default_rng(4)
    depths = rng.integers(1, 13, 60)
    scores = np.clip(0.6 + 0.3 * np.sqrt(depths / 12) + rng.normal(0, 0.06, 60), 0.5, 0.99)
    runs = [
        Record(str(at), params={"depth": str(d)}, metrics={"auc": float(a)})
        for at, (d, a) in enumerate(zip(depths, scores, strict=True))
    ]
    clauses = parse_filter(f"metrics.auc > {auc} and params.depth >= {depth}")
    hits = [all(clause.holds(run) for clause in clauses) for run in runs]
    if compared == "as texts":
        hits = [clauses[0].holds(run) and run.params["depth"] >= str(depth) for run in runs]
    plot = go.Figure()
    for wanted, name, colour in ((False, "not found", GREY), (True, "found", BLUE)):
        at = [number for number, hit in enumerate(hits) if hit is wanted]
        symbol = "circle" if wanted else "circle-open"
        plot.add_scatter(
            x=depths[at], y=scores[at], name=name, mode="markers", marker={"color": colour, "symbol": symbol}
        )
    headline(plot, f"{sum(hits)} of 60 runs: metrics.auc > {auc:g} and params.depth >= {depth}")
    plot.update_xaxes(title="depth", dtick=1)
    plot.update_yaxes(title="AUC")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Who overtakes whom")
def champions(
    margin: Annotated[float, Range(0, 0.1, step=0.005)] = 0.0,
    noise: Annotated[float, Range(0, 0.05, step=0.005)] = 0.02,
    gain: Annotated[float, Range(0, 0.004, step=0.0005)] = 0.0,
) -> go.Figure:
    """Forty versions of a model ask to be champion, by an accuracy that is measured with noise.

    The orange line is the true accuracy of the champion. Without a margin, luck overtakes; with a large one, nobody.
    """
    rng = np.random.default_rng(11)
    true = 0.8 + gain * np.arange(40) + np.array([0, *rng.normal(0, 0.01, 39)])
    seen = true + noise * rng.normal(size=40)
    runs = [Record(str(at), metrics={"accuracy": float(value)}, tags={"data": "v1"}) for at, value in enumerate(seen)]
    champion, line, worse, moves = 0, [], 0, 0
    for at, run in enumerate(runs):
        if at and objection(run, runs[champion], "accuracy", margin) is None:
            worse += bool(true[at] < true[champion])
            champion, moves = at, moves + 1
        line.append(float(true[champion]))
    plot = go.Figure()
    x = list(range(1, 41))
    plot.add_scatter(x=x, y=seen, name="measured", mode="markers", marker={"color": BLUE})
    plot.add_scatter(x=x, y=line, name="the champion, in truth", line={"color": ORANGE, "shape": "hv"}, mode="lines")
    headline(plot, f"{moves} overtakings, {worse} of them by a model that is worse in truth")
    plot.update_xaxes(title="version")
    plot.update_yaxes(title="accuracy")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
