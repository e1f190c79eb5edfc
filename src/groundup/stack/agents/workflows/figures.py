"""Explorables of workflows: the price of a kill, retries of a node, and the way of a ticket."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Annotated

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.agents.workflows import END, START, Checkpoints, Graph, Pause, State, Step


class _Killed(BaseException):
    """The end of a process."""


def _work(nodes: int, kills: float, draw: random.Random, resume: bool) -> int:
    """Node runs until a run is done, when a kill hits a node with this probability; 2,000 at most."""
    count = 0

    def node(state: State, step: Step) -> None:
        nonlocal count
        count += 1
        if draw.random() < kills and count < 2000:
            raise _Killed

    graph = Graph()
    names = [f"n{number}" for number in range(nodes)]
    for name in names:
        graph.node(name, node)
    for source, target in pairwise([START, *names, END]):
        graph.edge(source, target)
    store, attempt = Checkpoints(":memory:"), 0
    while True:
        thread = "t" if resume else f"t{attempt}"
        try:
            if store.latest(thread) is None:
                graph.run(thread, store, {})
            else:
                graph.resume(thread, store)
            store.close()
            return count
        except _Killed:
            attempt += 1


@figure("Resume, or begin again")
def killed(
    nodes: Annotated[int, Range(2, 12)] = 8,
    kills: Annotated[float, Range(0, 0.3, step=0.02)] = 0.1,
) -> go.Figure:
    """Node runs until a run is done, for twelve runs, when the process is killed in a node with this probability.

    With checkpoints a kill costs one node: about n / (1 - p) node runs. From scratch it costs all that was done. More
    nodes or more kills, and the orange bars explode.
    """
    draw = random.Random(7)
    plot, means = go.Figure(), []
    for name, resume, colour in (("checkpoints", True, BLUE), ("from scratch", False, ORANGE)):
        counts = sorted(_work(nodes, kills, draw, resume) for _ in range(12))
        means.append(float(np.mean(counts)))
        plot.add_bar(x=list(range(1, 13)), y=counts, name=name, marker_color=colour)
    plot.add_hline(y=nodes, line={"color": GREY, "dash": "dot"})
    headline(plot, f"in the mean {means[0]:.1f} node runs, and {means[1]:.1f} from scratch")
    plot.update_xaxes(title="run, from the luckiest to the unluckiest", dtick=1)
    plot.update_yaxes(title="node runs until the end")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What attempts buy")
def attempts(
    failing: Annotated[float, Range(0, 0.9, step=0.05)] = 0.3,
    nodes: Annotated[int, Range(1, 12)] = 5,
) -> go.Figure:
    """Share of runs that end without a person, against the attempts of each node, and the seconds that were waited.

    Each node fails with this probability. One attempt loses most runs of several nodes; three or four bring nearly all
    through. Raise the failures: waiting grows faster than success, and a person is cheaper.
    """
    counts = list(range(1, 7))
    shares, waits = [], []
    for most in counts:
        draw, slept = random.Random(11), [0.0]

        def node(state: State, step: Step, draw: random.Random = draw) -> None:
            if draw.random() < failing:
                raise ConnectionError

        def sleep(seconds: float, slept: list[float] = slept) -> None:
            slept[0] += seconds

        graph = Graph(sleep=sleep)
        names = [f"n{number}" for number in range(nodes)]
        for name in names:
            graph.node(name, node, attempts=most)
        for source, target in pairwise([START, *names, END]):
            graph.edge(source, target)
        store = Checkpoints(":memory:")
        ends = [graph.run(str(run), store, {}) for run in range(25)]
        store.close()
        shares.append(sum(end.status == "done" for end in ends) / 25)
        waits.append(slept[0] / 25)
    plot = go.Figure()
    plot.add_bar(x=counts, y=shares, marker_color=BLUE, name="runs that end")
    plot.add_scatter(x=counts, y=waits, yaxis="y2", name="seconds waited", line={"color": ORANGE, "width": 3})
    headline(plot, f"three attempts: {shares[2]:.0%} end, {waits[2]:.1f} s waited in the mean")
    plot.update_xaxes(title="attempts of each node", dtick=1)
    plot.update_yaxes(title="runs that end", range=[0, 1.05], tickformat=".0%")
    plot.update_layout(
        legend=LEGEND_BELOW,
        yaxis2={"title": "seconds waited", "overlaying": "y", "side": "right", "rangemode": "tozero"},
    )
    return plot


@figure("The way of a ticket")
def way(
    sure: Annotated[float, Range(0, 1, step=0.05)] = 0.6,
    threshold: Annotated[float, Range(0, 1, step=0.05)] = 0.5,
    approved: bool = True,
) -> go.Figure:
    """The router as a graph; green is the way of this ticket, orange where it waits for a person.

    A classifier that is less sure than the threshold hands over at once. Otherwise a draft is written, and a person
    approves it or not. Move the threshold: who reads more, the customer or the person?
    """
    graph = Graph()
    graph.node("intent", lambda state, step: {"sure": sure})
    graph.node("policy", lambda state, step: None)
    graph.node("draft", lambda state, step: None)
    graph.node("approve", lambda state, step: Pause("Send this?", "approved"))
    graph.node("send", lambda state, step: None)
    graph.node("hand over", lambda state, step: None)
    graph.edge(START, "intent")
    graph.branch("intent", lambda s: "policy" if s["sure"] >= threshold else "hand over", "policy", "hand over")
    graph.edge("policy", "draft")
    graph.edge("draft", "approve")
    graph.branch("approve", lambda s: "send" if s["approved"] else "hand over", "send", "hand over")
    graph.edge("send", END)
    graph.edge("hand over", END)
    store = Checkpoints(":memory:")
    waited = graph.run("t", store, {}).status == "waiting"
    end = graph.resume("t", store, approved if waited else None)
    taken = {(c.node, c.next) for c in store.history("t") if c.status != "waiting"}
    store.close()
    places = {START: (0, 1), "intent": (1, 1), "policy": (2, 1.6), "draft": (3, 1.6), "approve": (4, 1.6)}
    places |= {"send": (5, 1.6), "hand over": (5, 0.4), END: (6, 1)}
    plot = go.Figure()
    for source, (_, targets) in graph.edges.items():
        for target in targets:
            (a, b), (c, d) = places[source], places[target]
            on_way = (source, target) in taken
            line = {"color": GREEN if on_way else GREY, "width": 4 if on_way else 1}
            plot.add_scatter(x=[a, c], y=[b, d], mode="lines", line=line, hoverinfo="skip")
    visited = {name for pair in taken for name in pair}
    colours = [ORANGE if n == "approve" and waited else GREEN if n in visited else GREY for n in places]
    x, y = zip(*places.values(), strict=True)
    plot.add_scatter(
        x=x,
        y=y,
        mode="markers+text",
        text=list(places),
        textposition="top center",
        marker={"size": 18, "color": colours},
    )
    read = "a person read the draft" if waited else "nobody read a draft"
    headline(plot, f"{'sent' if end.node == 'send' else 'handed over'}: {read}")
    plot.update_xaxes(title="step", range=[-0.4, 6.4], dtick=1)
    plot.update_yaxes(visible=False, range=[0, 2.1])
    plot.update_layout(showlegend=False)
    return plot
