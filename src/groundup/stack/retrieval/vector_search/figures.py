"""Explorables of vector search: a walk through the graph, cells and probes, links in all directions, codes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREY, LEGEND_ABOVE, ORANGE, RED, SKY
from groundup.stack.retrieval.vector_search import (
    HNSW,
    IVF,
    descend,
    kmeans,
    nearest_centre,
    search_layer,
    select_neighbours,
)


def _sphere(count: int, clusters: int = 0) -> np.ndarray:
    """Points on the half of a sphere that is turned to us: evenly, or in clusters."""
    rng = np.random.default_rng(3)
    around = rng.normal(size=(clusters, 3))[rng.integers(clusters, size=count)] if clusters else 0
    points = rng.normal(size=(count, 3)) * (0.35 if clusters else 1.0) + around
    points[:, 2] = np.abs(points[:, 2]) + 0.2
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def _edges(vectors: np.ndarray, pairs: list[tuple[int, int]]) -> tuple[list[float | None], list[float | None]]:
    """Lines between pairs of points, as one trace with gaps."""
    x: list[float | None] = []
    y: list[float | None] = []
    for a, b in pairs:
        x += [float(vectors[a, 0]), float(vectors[b, 0]), None]
        y += [float(vectors[a, 1]), float(vectors[b, 1]), None]
    return x, y


class _Steps:
    """The links of a graph, which note whose are asked for: the rows from which a walk goes on."""

    def __init__(self, links: np.ndarray) -> None:
        self.links = links
        self.blocks: list[int] = []

    def __getitem__(self, block: Any) -> np.ndarray:
        self.blocks.append(int(block[0] if isinstance(block, tuple) else block))
        return self.links[block]


def _plane(plot: go.Figure) -> go.Figure:
    plot.update_xaxes(title="x, of points on a sphere seen from above", range=[-1.05, 1.05], zeroline=False)
    plot.update_yaxes(title="y", range=[-1.05, 1.05], zeroline=False, scaleanchor="x")
    plot.update_layout(legend=LEGEND_ABOVE, margin_t=30)
    return plot


@figure("A walk through the graph")
def walk(
    ef: Annotated[int, Range(1, 30)] = 4,
    M: Annotated[int, Range(2, 6)] = 3,
    direction: Annotated[int, Range(0, 350, step=10)] = 40,
) -> go.Figure:
    """Layer 0 of a graph of 150 points, and the walk of a search for the point at the star.

    With one row in view the walk goes straight on and may end beside the goal. A wider view costs more comparisons, and
    finds the way around. Orange are the rows found, blue the others that were compared, and the line is the way from
    the entry to the best row found.
    """
    vectors = _sphere(150)
    index = HNSW(3, M=M, ef_construction=20, seed=1)
    index.add(vectors, np.arange(150))
    graph = index._graph()
    turn = np.radians(direction)
    query = np.array([0.75 * np.cos(turn), 0.75 * np.sin(turn), np.sqrt(1 - 0.75**2)], np.float32)
    at = descend(graph, query, index._entry, 0)
    steps = _Steps(graph.links)
    plain = getattr(search_layer, "py_func", search_layer)  # uncompiled, so that it can be watched
    rows, _ = plain(graph._replace(links=steps), 0, query, at, ef, np.ones(150, bool))
    neighbours = [[int(other) for other in graph.links[block] if other >= 0] for block in graph.block]
    linked = [(row, other) for row in range(150) for other in neighbours[row]]
    row_of = {int(block): row for row, block in enumerate(graph.block)}
    came_from = {int(at): int(at)}  # each row compared, and the one from which it was seen first
    for row in (row_of[block] for block in steps.blocks):
        for other in neighbours[row]:
            came_from.setdefault(other, row)
    compared = sorted(set(came_from) - set(rows.tolist()))
    way = [int(rows[0])]
    while way[-1] != at:
        way.append(came_from[way[-1]])
    best = int(np.argmax(vectors @ query))
    plot = go.Figure()
    x, y = _edges(vectors, linked)
    plot.add_scatter(x=x, y=y, mode="lines", line={"color": GREY, "width": 0.5}, hoverinfo="skip", showlegend=False)
    x, y = vectors[way, 0], vectors[way, 1]
    plot.add_scatter(x=x, y=y, mode="lines", line={"color": BLUE, "width": 3}, name=f"way ({len(way) - 1} steps)")
    for name, some, colour, size in (
        ("not compared", sorted(set(range(150)) - set(came_from)), GREY, 5),
        (f"compared ({len(compared)})", compared, SKY, 8),
        (f"found ({len(rows)})", rows, ORANGE, 9),
    ):
        plot.add_scatter(
            x=vectors[some, 0], y=vectors[some, 1], mode="markers", name=name, marker={"color": colour, "size": size}
        )
    hit = "found" if best in rows else "missed"
    ring = {"color": RED, "size": 15, "symbol": "circle-open", "line": {"width": 2}}
    plot.add_scatter(x=vectors[[best], 0], y=vectors[[best], 1], mode="markers", name=f"nearest: {hit}", marker=ring)
    star = {"color": RED, "size": 13, "symbol": "star"}
    plot.add_scatter(x=[query[0]], y=[query[1]], mode="markers", name="query", marker=star)
    return _plane(plot)


@figure("Cells and probes")
def cells(
    probes: Annotated[int, Range(1, 12)] = 2,
    direction: Annotated[int, Range(0, 350, step=10)] = 40,
    rounds: Annotated[int, Range(0, 10)] = 10,
) -> go.Figure:
    """400 points in 12 cells that k-means made; a query compares the points of the cells that it probes.

    Where the query lies near a border, its nearest point may lie beyond it. With `rounds` at 0 the cells are those of
    twelve points drawn at random: some are large, some small.
    """
    vectors = _sphere(400, clusters=7)
    index = IVF(3, 12, probes)
    centres = kmeans(vectors, 12, np.random.default_rng(2), rounds=rounds)
    index.centres = (centres / np.linalg.norm(centres, axis=1, keepdims=True)).astype(np.float32)
    index.add(vectors, np.arange(400))
    turn = np.radians(direction)
    query = np.array([[0.6 * np.cos(turn), 0.6 * np.sin(turn), 0.8]], np.float32)
    own = nearest_centre(vectors, index.centres)
    probed = np.argsort(-(index.centres @ query[0]))[:probes]
    compared = np.isin(own, probed)
    found, _ = index.search(query, 5)
    true = np.argsort(-(vectors @ query[0]))[:5]
    plot = go.Figure()
    for name, some, colour in (
        ("not compared", ~compared, GREY),
        (f"compared: {int(compared.sum())} of 400", compared, SKY),
    ):
        plot.add_scatter(
            x=vectors[some, 0], y=vectors[some, 1], mode="markers", name=name, marker={"color": colour, "size": 5}
        )
    cross = {"color": BLUE, "size": 10, "symbol": "x"}
    plot.add_scatter(x=index.centres[:, 0], y=index.centres[:, 1], mode="markers", name="centres", marker=cross)
    ring = {"color": RED, "size": 11, "symbol": "circle-open", "line": {"width": 2}}
    hits = int(np.isin(true, found[0]).sum())
    plot.add_scatter(
        x=vectors[true, 0], y=vectors[true, 1], mode="markers", name=f"nearest 5: {hits} found", marker=ring
    )
    star = {"color": RED, "size": 13, "symbol": "star"}
    plot.add_scatter(x=query[:, 0], y=query[:, 1], mode="markers", name="query", marker=star)
    return _plane(plot)


@figure("Which neighbours to link to")
def links(
    limit: Annotated[int, Range(1, 10)] = 4,
    rule: Literal["other directions", "nearest"] = "other directions",
    row: Annotated[int, Range(0, 39)] = 12,
) -> go.Figure:
    """One row of 40 and the links that it makes: to the nearest ones, or by `select_neighbours`.

    The nearest lie together in the row's own cluster. By the rule, one is left out if a link already made leads to
    something nearer to it: what is left over goes to other clusters.
    """
    vectors = _sphere(40, clusters=4)
    scores = vectors @ vectors[row]
    order = np.argsort(-scores)
    order = order[order != row]
    chosen = order[:limit] if rule == "nearest" else select_neighbours(vectors, order, scores[order], limit)
    plot = go.Figure()
    marker = {"color": GREY, "size": 7}
    plot.add_scatter(x=vectors[:, 0], y=vectors[:, 1], mode="markers", name="rows", marker=marker)
    x, y = _edges(vectors, [(row, int(other)) for other in chosen])
    plot.add_scatter(x=x, y=y, mode="lines", line={"color": BLUE, "width": 2}, name=f"links: {len(chosen)}")
    for name, some, colour in (("linked", chosen, ORANGE), ("the row", [row], RED)):
        plot.add_scatter(
            x=vectors[some, 0], y=vectors[some, 1], mode="markers", name=name, marker={"color": colour, "size": 10}
        )
    return _plane(plot)


@figure("A byte a part")
def codes(parts: Literal["1", "2", "4", "8", "16"] = "8", spread: Annotated[float, Range(0.1, 1.0, step=0.1)] = 0.4):
    """True scores of a query and 400 rows of 16 numbers, and those that are looked up from codes.

    The more parts, the more bytes a row takes, and the nearer the points lie to the diagonal. The more the rows spread
    about their 20 topics, the less a code can say about them.
    """
    from groundup.stack.retrieval.vector_search import PQ

    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 16))[rng.integers(20, size=400)] + spread * rng.normal(size=(400, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    index = PQ(16, int(parts))
    index.codes = np.stack(
        [kmeans(np.ascontiguousarray(part), 256, rng, rounds=3) for part in np.split(rows, int(parts), axis=1)]
    )
    query = rows[:1]
    true = rows @ query[0]
    looked_up = index.decode(index.encode(rows)) @ query[0]
    error = float(np.sqrt(np.mean((true - looked_up) ** 2)))
    plot = go.Figure()
    marker = {"color": BLUE, "size": 5}
    name = f"{parts} bytes instead of 64; error {error:.3f}"
    plot.add_scatter(x=true, y=looked_up, mode="markers", name=name, marker=marker)
    plot.add_scatter(x=[-1, 1], y=[-1, 1], mode="lines", line={"color": GREY, "dash": "dot"}, showlegend=False)
    plot.update_xaxes(title="true score", range=[-1.05, 1.05])
    plot.update_yaxes(title="score from codes", range=[-1.05, 1.05])
    plot.update_layout(showlegend=True, legend=LEGEND_ABOVE)
    return plot
