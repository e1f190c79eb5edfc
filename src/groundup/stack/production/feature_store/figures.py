"""Explorables of the feature store: which row was known, late rows, and how stale serving is."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.production.feature_store import DAY, HOUR, FeatureView, OnlineStore, join, point_in_time, skew

ROWS = [(1, 1, 3), (4, 6, 5), (9, 9, 2), (9, 15, 7), (14, 17, 4)]  # event, created, value


def _view(
    entities: list[int], events: list[int], created: list[int], values: list[float], ttl: int | None
) -> FeatureView:
    times = np.array(events, dtype=np.int64), np.array(created, dtype=np.int64)
    return FeatureView("view", np.array(entities), *times, {"x": np.array(values, dtype=float)}, ttl)


@figure("Which row was known?")
def known(
    hour: Annotated[int, Range(0, 24)] = 12,
    ttl: Annotated[int, Range(1, 24)] = 24,
    seen: Literal["then", "now"] = "then",
) -> go.Figure:
    """Five rows of one customer: since when each holds (across), and when it was written (up).

    A row can be known at an hour if it lies in the square to the left of it and below. Choose "now", and rows above
    the line count too: the row of 9:00 was corrected at 15:00, and training sees it before.
    """
    events, created, values = (list(column) for column in zip(*ROWS, strict=True))
    view = _view([0] * len(ROWS), events, created, values, ttl)
    (chosen,) = point_in_time(view, [0], [hour], seen)
    plot = go.Figure()
    top = 25 if seen == "now" else hour
    plot.add_shape(
        type="rect", x0=max(hour - ttl, -1), x1=hour, y0=-1, y1=top, fillcolor=GREEN, opacity=0.15, line_width=0
    )
    plot.add_scatter(x=[-1, 25], y=[-1, 25], mode="lines", name="written at once", line={"color": GREY, "dash": "dot"})
    text = [f"x = {value}" for value in values]
    plot.add_scatter(
        x=events,
        y=created,
        mode="markers+text",
        name="rows",
        text=text,
        textposition="top left",
        marker={"color": BLUE, "size": 10},
    )
    if chosen >= 0:
        marker = {"color": ORANGE, "size": 18, "symbol": "circle-open", "line": {"width": 4}}
        plot.add_scatter(x=[events[chosen]], y=[created[chosen]], mode="markers", name="joined", marker=marker)
    headline(plot, f"at {hour}:00, {f'x = {values[chosen]}' if chosen >= 0 else 'there is no value'}")
    plot.update_xaxes(title="event time [hour]", range=[-1, 25], dtick=3)
    plot.update_yaxes(title="created time [hour]", range=[-1, 25], dtick=3)
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Increments, and late rows")
def late(
    share: Annotated[float, Range(0, 0.5, step=0.05)] = 0.2,
    delay: Annotated[int, Range(1, 48)] = 12,
    every: Annotated[int, Range(1, 24)] = 6,
) -> go.Figure:
    """Ten days of a store of 100 entities, filled every few hours. A share of the rows is late by up to some hours.

    Orange: each increment takes event times since the last one, and loses late rows. Blue: what became visible.
    """
    rng = np.random.default_rng(2)
    count = 3000
    entities, events = rng.integers(0, 100, count), rng.integers(0, 10 * DAY, count)
    created = events + np.where(rng.random(count) < share, rng.integers(0, delay * HOUR, count), 0)
    values = {"x": np.arange(count, dtype=float)}
    view = FeatureView("view", entities, events, created, values)
    ours, theirs, last = OnlineStore(["x"]), OnlineStore(["x"]), 0
    days, wrong = [], ([], [])
    for now in range(every * HOUR, 10 * DAY + 1, every * HOUR):
        ours.materialise(view, now)
        take = (created <= now) & (events > last) & (events <= now)
        part = FeatureView("view", entities[take], events[take], events[take], {"x": values["x"][take]})
        theirs.materialise(part, now)
        last = now
        truth = {"x": join([view], np.arange(100), np.full(100, now))["view__x"]}
        days.append(now / DAY)
        for store, line in zip((ours, theirs), wrong, strict=True):
            line.append(100 * skew(truth, store.read(np.arange(100), now))["x"].total)
    plot = go.Figure()
    for line, name, colour in ((wrong[1], "by event time", ORANGE), (wrong[0], "by what became visible", BLUE)):
        plot.add_scatter(x=days, y=line, name=name, line={"color": colour}, mode="lines")
    headline(plot, f"by event time, {np.mean(wrong[1]):.1f} of 100 entities are served an older row than was known")
    plot.update_xaxes(title="day")
    plot.update_yaxes(title="entities served wrongly", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("How stale is serving?")
def stale(
    every: Annotated[int, Range(1, 48)] = 12,
    changes: Annotated[int, Range(1, 24)] = 4,
    ttl: Annotated[int, Range(6, 96)] = 96,
) -> go.Figure:
    """One feature over four days: as the join gives it to training, and as a store serves it that is filled at times.

    It changes some times a day. Between two increments training knows what serving does not: that is skew.
    """
    rng = np.random.default_rng(7)
    events = np.sort(rng.integers(0, 4 * DAY, 4 * changes))
    view = _view(
        [0] * len(events), events.tolist(), events.tolist(), rng.normal(size=len(events)).cumsum().tolist(), ttl * HOUR
    )
    store = OnlineStore(["x"], ttl * HOUR)
    moments = np.arange(0, 4 * DAY + 1, HOUR // 2)
    served = []
    for now in moments.tolist():
        if now % (every * HOUR) == 0:
            store.materialise(view, now)
        served.append(float(store.read([0], now)["x"][0]))
    offline = join([view], np.zeros(len(moments), dtype=int), moments)["view__x"]
    found = skew({"x": offline}, {"x": served})["x"]
    plot = go.Figure()
    for line, name, colour in ((offline, "training: the join", BLUE), (served, "serving: the store", RED)):
        dash = "solid" if colour == BLUE else "dot"
        plot.add_scatter(
            x=moments / DAY, y=line, name=name, line={"color": colour, "shape": "hv", "dash": dash}, mode="lines"
        )
    headline(plot, f"{found.total:.0%} of the moments differ; {found.only_offline:.0%} have no value in serving")
    plot.update_xaxes(title="day", dtick=1)
    plot.update_yaxes(title="value of the feature")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
