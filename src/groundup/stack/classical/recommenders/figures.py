"""Explorables of recommenders: two factors of a shop, what metrics see in a list, and remembering."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, COLOURS, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.classical.recommenders import (
    RatingModel,
    als,
    average_precision,
    implicit_loss,
    ndcg,
    predict_ratings,
    recall,
    sgd_epoch,
)

TOPICS = ("cables", "boots")


@figure("Two factors of a shop")
def factors(
    sweeps: Annotated[int, Range(1, 15)] = 8,
    alpha: Annotated[float, Range(0, 40, step=0.5)] = 2.0,
    l2: Annotated[float, Range(0.1, 200, step=0.1, log=True)] = 1.0,
) -> go.Figure:
    """Articles and customers of a small shop as points with two factors. The factorisation knows no topics.

    Each article is an arrow: a customer's score for it is the product of both. After one sweep the topics are still
    mixed. Raise l2 until every point falls to the middle: then all scores are 0.
    """
    rng = np.random.default_rng(4)
    topics, tastes = np.arange(16) % 2, rng.dirichlet(np.full(2, 0.2), 60)
    counts = rng.poisson(0.15 + 1.5 * tastes[:, topics])
    found = als(counts, 2, np.random.default_rng(1), alpha=alpha, l2=l2, sweeps=sweeps)
    plot = go.Figure()
    for topic, colour in enumerate(COLOURS[:2]):
        fans = found.users[tastes.argmax(axis=1) == topic]
        small = {"color": colour, "size": 6, "opacity": 0.5}
        plot.add_scatter(x=fans[:, 0], y=fans[:, 1], mode="markers", marker=small, name=f"customers of {TOPICS[topic]}")
        arrows = found.items[topics == topic]
        x, y = np.zeros(3 * len(arrows)), np.zeros(3 * len(arrows))
        x[1::3], y[1::3] = arrows.T
        x[2::3] = y[2::3] = np.nan
        plot.add_scatter(x=x, y=y, mode="lines", line={"color": colour, "width": 3}, name=TOPICS[topic])
    headline(plot, f"loss {implicit_loss(found, counts, alpha, l2):.0f}")
    plot.update_xaxes(title="first factor", zeroline=True)
    plot.update_yaxes(title="second factor", zeroline=True)
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What the metrics see in a list")
def lists(
    first: Annotated[int, Range(1, 20)] = 2,
    second: Annotated[int, Range(1, 20)] = 5,
    third: Annotated[int, Range(1, 20)] = 14,
    shown: Annotated[int, Range(1, 20)] = 10,
) -> go.Figure:
    """Three articles are relevant, at ranks that you set. Bars are the four metrics of the list that is shown.

    Move a hit within the list: recall does not see it. Move it beyond the end: all see it. Moving the first hit from
    rank 1 to 2 costs average precision more than nDCG. Equal ranks count as one article.
    """
    ranks = sorted({first, second, third})
    gains = np.zeros((1, 20))
    gains[0, np.array(ranks) - 1] = 1
    ranking = np.arange(shown)[None, :]
    seen = [rank for rank in ranks if rank <= shown]
    values = {
        "recall": float(recall(ranking, gains)[0]),
        "reciprocal rank": 1 / seen[0] if seen else 0.0,
        "average precision": float(average_precision(ranking, gains)[0]),
        "nDCG": float(ndcg(ranking, gains)[0]),
    }
    texts = [f"{value:.2f}" for value in values.values()]
    plot = go.Figure(
        go.Bar(x=list(values), y=list(values.values()), text=texts, textposition="outside", marker_color=BLUE)
    )
    list_of = "".join("●" if rank in ranks else "○" for rank in range(1, shown + 1))
    headline(plot, f"the list, best first: {list_of}")
    plot.update_xaxes(title="metric")
    plot.update_yaxes(title="value", range=[0, 1.15])
    return plot


@figure("Learning, and remembering")
def remembering(
    size: Annotated[int, Range(0, 8)] = 6,
    l2: Annotated[float, Range(0, 0.4, step=0.02)] = 0.0,
    rate: Annotated[float, Range(0.01, 0.2, step=0.01, log=True)] = 0.08,
) -> go.Figure:
    """Errors of a rating model on the ratings that it fits and on those held out, epoch by epoch.

    Without l2 the first line falls on while the second turns up: the factors remember the noise. Raise l2, or take
    fewer factors. With a size of 0 only biases are left.
    """
    rng = np.random.default_rng(0)
    tastes, traits = rng.normal(scale=0.9, size=(50, 2)), rng.normal(scale=0.9, size=(25, 2))
    users, items = np.divmod(rng.permutation(50 * 25)[:750], 25)
    ratings = 3.5 + (tastes[users] * traits[items]).sum(axis=1) + rng.normal(scale=0.5, size=750)
    fitted = np.arange(750) < 600
    model = RatingModel(
        float(ratings[fitted].mean()),
        np.zeros(50),
        np.zeros(25),
        rng.normal(scale=0.1, size=(50, size)),
        rng.normal(scale=0.1, size=(25, size)),
    )
    curves: dict[str, list[float]] = {"fitted": [], "held out": []}
    for _ in range(40):
        order = rng.permutation(600)
        b, c, P, Q = model.user_bias, model.item_bias, model.user_factors, model.item_factors
        sgd_epoch(users[order], items[order], ratings[order], model.mean, b, c, P, Q, rate, l2)
        squares = (predict_ratings(model, users, items) - ratings) ** 2
        curves["fitted"].append(float(squares[fitted].mean() ** 0.5))
        curves["held out"].append(float(squares[~fitted].mean() ** 0.5))
    plot = go.Figure()
    for (name, errors), colour in zip(curves.items(), (BLUE, ORANGE), strict=True):
        plot.add_scatter(x=np.arange(1, 41), y=errors, name=name, line_color=colour)
    noise = {"color": GREY, "dash": "dash"}
    plot.add_scatter(x=[1, 40], y=[0.5, 0.5], mode="lines", line=noise, name="noise in the ratings")
    best = int(np.argmin(curves["held out"]))
    spot = {"color": GREEN, "size": 10, "symbol": "diamond"}
    plot.add_scatter(x=[best + 1], y=[curves["held out"][best]], mode="markers", marker=spot, name="lowest")
    headline(plot, f"held out: lowest {curves['held out'][best]:.2f}, in the end {curves['held out'][-1]:.2f}")
    plot.update_xaxes(title="epochs")
    plot.update_yaxes(title="root mean square error, in stars", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
