"""Explorables of ranking: what a count is worth, when two searches beat one, feedback, and what measures see."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_ABOVE, ORANGE, PINK, SKY, headline
from groundup.stack.retrieval.ranking import (
    BM25,
    average_precision,
    evidence_fusion,
    ndcg,
    recall,
    reciprocal_rank,
    reciprocal_rank_fusion,
    score_fusion,
)


@figure("What a count is worth")
def saturation(
    k1: Annotated[float, Range(0, 5, step=0.1)] = 1.5, b: Annotated[float, Range(0, 1, step=0.05)] = 0.75
) -> go.Figure:
    """The score of a document for one word, by how often the word is there, in a short, a usual and a long document.

    The first occurrence says most. Set b to 0 and length no longer matters; set k1 to 0 and neither does the count.
    """
    counts = range(1, 21)
    lengths = {"25 words": (25, SKY), "75 words": (75, BLUE), "200 words": (200, ORANGE)}
    index = BM25(k1=k1, b=b, analyse=str.split)
    texts = [" ".join(["error"] * count + ["filler"] * (n - count)) for n, _ in lengths.values() for count in counts]
    index.add(range(len(texts)), texts)
    # Other documents, without the word, so that it tells something and the average length is 75.
    index.add(range(1000, 1240), ["filler " * 69] * 240)
    ids, scores = index.search(["error"], len(texts))
    by_id = dict(zip(ids[0].tolist(), scores[0].tolist(), strict=True))
    plot = go.Figure()
    for place, (name, (_, colour)) in enumerate(lengths.items()):
        values = [by_id[place * len(counts) + count - 1] for count in counts]
        plot.add_scatter(x=list(counts), y=values, name=name, mode="lines+markers", line_color=colour)
    plot.update_xaxes(title="times in the document")
    plot.update_yaxes(title="BM25 score", rangemode="tozero")
    plot.update_layout(legend=LEGEND_ABOVE)
    return plot


@figure("When two searches beat one")
def fusing(
    alike: Annotated[float, Range(0, 0.95, step=0.05)] = 0.2,
    words: Annotated[float, Range(0, 5, step=0.5)] = 3.0,
) -> go.Figure:
    """nDCG@10 of two simulated searches and of both fused, as the search by meaning gets better, over 30 queries.

    Scores are noise plus something for the 4 relevant of 300 documents. Fusing wins where the two are about as good
    and err on different documents. Let their errors be alike, or one know nothing, and see which fusion falls below
    the better half, and by how much.
    """
    rng = np.random.default_rng(0)
    queries, documents, relevant = 30, 300, 4
    shared, first, second = rng.normal(size=(3, queries, documents))
    truth = {id: 1.0 for id in range(relevant)}
    is_relevant = np.arange(documents) < relevant
    qualities = np.linspace(0, 5, 6)
    curves: dict[str, list[float]] = {}
    # Scores of words have a long tail and another unit, as BM25's have.
    by_words = _found(np.exp(0.5 * (words * is_relevant + alike * shared + np.sqrt(1 - alike**2) * first)) * 5)
    for quality in qualities:
        by_meaning = _found((quality * is_relevant + alike * shared + np.sqrt(1 - alike**2) * second) / 10)
        ways = {
            "by words": by_words[0],
            "by meaning": by_meaning[0],
            "ranks fused": reciprocal_rank_fusion([by_words[0], by_meaning[0]], 10)[0],
            "scores fused": score_fusion([by_words, by_meaning], 10)[0],
            "evidence fused": evidence_fusion(by_words, np.full(queries, 100.0), by_meaning, 10)[0],
        }
        for name, ids in ways.items():
            curves.setdefault(name, []).append(float(np.mean([ndcg(row.tolist(), truth) for row in ids])))
    plot = go.Figure()
    for (name, values), colour, dash in zip(
        curves.items(), (BLUE, ORANGE, SKY, PINK, GREEN), ("dot", "dot", "solid", "solid", "solid"), strict=True
    ):
        plot.add_scatter(x=qualities, y=values, name=name, line={"color": colour, "dash": dash, "width": 3})
    plot.update_xaxes(title="lift by meaning (deviations)")
    plot.update_yaxes(title="nDCG@10", range=[0, 1])
    plot.update_layout(legend=LEGEND_ABOVE)
    return plot


def _found(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ids = np.argsort(-scores, axis=1)
    return ids, np.take_along_axis(scores, ids, axis=1)


PAGES = {
    1: "OOMKilled: the container exceeded its memory limit, and the kernel killed it",
    2: "Raise the memory limit of a container that is OOMKilled",
    3: "A container killed again and again is in CrashLoopBackOff; look at its memory and its exit code",
    4: "Pods stay pending while no node has room",
    5: "Certificates of the API server expire after a year",
    6: "Images cannot be pulled without a secret for the registry",
    7: "A node is not ready when its kubelet stops reporting",
    8: "Pods of a deployment restart after its image has changed",
}


@figure("A query that learns words")
def feedback(
    share: Annotated[float, Range(0, 1, step=0.1)] = 0.2,
    terms: Annotated[int, Range(1, 12)] = 6,
    taken: Literal["pages 1, 2 and 3", "page 1", "page 5, wrongly"] = "pages 1, 2 and 3",
) -> go.Figure:
    """“Why is my pod killed?”, before and after it has taken on words of the pages that were found for it.

    Orange words are new: the query now finds pages on memory that it never named. Take the wrong page, and it drifts.
    """
    index = BM25()
    index.add(list(PAGES), list(PAGES.values()))
    query = "Why is my pod killed?"
    ids = {"pages 1, 2 and 3": [1, 2, 3], "page 1": [1], "page 5, wrongly": [5]}[taken]
    own = index.expand(query, [])
    new = index.expand(query, ids, terms=terms, share=share)
    order = sorted({**own, **new}, key=lambda term: (term not in own, -new.get(term, 0.0), term))
    plot = go.Figure()
    for name, weights, colours in (
        ("before", own, GREY),
        ("after", new, [BLUE if term in own else ORANGE for term in order]),
    ):
        plot.add_bar(x=order, y=[weights.get(term, 0.0) for term in order], name=name, marker_color=colours)
    plot.update_xaxes(title="term")
    plot.update_yaxes(title="weight in the query", range=[0, 1])
    plot.update_layout(barmode="group", showlegend=False)
    return plot


@figure("What a measure sees")
def measures(
    best: Annotated[int, Range(1, 20)] = 2,
    good: Annotated[int, Range(1, 20)] = 5,
    fair: Annotated[int, Range(1, 20)] = 12,
    k: Annotated[int, Range(1, 20)] = 10,
) -> go.Figure:
    """Put three documents, worth 3, 2 and 1, at ranks of your choice. Where two ask for one rank, the later moves down.

    Reciprocal rank sees the first alone; recall sees who is above the cut; average precision does not know 3 from 1.
    """
    ranking: list[int] = []
    for rank, id in sorted([(best, 1), (good, 2), (fair, 3)]):
        ranking.extend(range(100 + len(ranking), 99 + rank))  # documents that are worth nothing
        ranking.append(id)
    gains = {1: 3.0, 2: 2.0, 3: 1.0}
    values = {
        f"nDCG@{k}": ndcg(ranking, gains, k),
        "average precision": average_precision(ranking, gains),
        "reciprocal rank": reciprocal_rank(ranking, gains),
        f"recall@{k}": recall(ranking, gains, k),
    }
    plot = go.Figure()
    plot.add_bar(
        x=list(values),
        y=list(values.values()),
        text=[f"{value:.2f}" for value in values.values()],
        marker_color=[BLUE, ORANGE, GREEN, PINK],
    )
    places = ", ".join(f"worth {gains[id]:.0f} at {ranking.index(id) + 1}" for id in gains)
    headline(plot, places)
    plot.update_xaxes(title="measure")
    plot.update_yaxes(title="value", range=[0, 1.05])
    return plot
