"""Labs of recommenders: what a shop's customers take next, and ratings by gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundup.drawing import BLUE, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.recommenders import (
    als,
    fit_ratings,
    item_cosines,
    ndcg,
    popularity,
    predict_ratings,
    recall,
    top_k,
)

TOPICS = 12


@dataclass(frozen=True)
class NextConfig:
    """Settings of the lab on what comes next.

    Attributes:
        seed: seed of the customers and of the factors.
        users: customers.
        items: articles.
        size: length of the factors.
        sweeps: alternations of ALS; without any, nobody has a taste.
        shuffle: give every customer the purchases of somebody else, which leaves only popularity to learn.
    """

    seed: int = 0
    users: int = 500
    items: int = 300
    size: int = 16
    sweeps: int = 10
    shuffle: bool = False


@lab(
    title="What next?",
    question="Does a factorisation say better than popularity, and than neighbours, what a customer will take next?",
    presets={"smoke": {}, "laptop": {"users": 3_000, "items": 600}, "full": {"users": 10_000, "items": 2_000}},
    expectations=[
        expect("ndcg", beats_baseline_by=0.08, why="Customers have tastes; popularity knows none."),
        expect("lead_over_neighbours", at_least=-0.03, why="Factors must not be clearly worse than cosines of items."),
    ],
    sabotage=[{"shuffle": True}, {"sweeps": 0}],
)
def what_next(config: NextConfig, record: Recorder) -> None:
    """Simulate a shop, hide the last two articles that each customer took, and rank what the customer has not taken.

    Articles belong to twelve topics, and some are popular; customers favour a few topics. Before the judging, alpha and
    l2 are chosen on the articles taken just before the last two.
    """
    rng = np.random.default_rng(config.seed)
    fitted, chosen_on, judged = _shop(config, rng)
    if config.shuffle:
        others = rng.permutation(config.users)
        fitted, chosen_on = fitted[others], chosen_on[others]
    trials = []
    for alpha, l2 in record.progress([(1.0, 5.0), (2.0, 5.0), (2.0, 20.0), (10.0, 20.0)], label="settings"):
        factors = als(fitted, config.size, rng, alpha=alpha, l2=l2, sweeps=config.sweeps)
        scores = factors.users @ factors.items.T
        trials.append((float(ndcg(top_k(scores, 10, fitted > 0), chosen_on).mean()), alpha, l2))
    record.table("settings", [{"alpha": a, "l2": l2, "nDCG of the choice": worth} for worth, a, l2 in trials])
    _, alpha, l2 = max(trials)
    known = fitted + chosen_on
    factors = als(known, config.size, rng, alpha=alpha, l2=l2, sweeps=config.sweeps)
    scores = {
        "popularity": np.tile(popularity(known), (config.users, 1)),
        "neighbours": (known > 0) @ item_cosines(known),
        "factors": factors.users @ factors.items.T,
    }
    keep = ~((known > 0) & judged).any(axis=1)  # who was shuffled may have an article that is judged: left out
    rankings = {name: top_k(table, 10, known > 0)[keep] for name, table in scores.items()}
    worth = {name: float(ndcg(ranking, judged[keep]).mean()) for name, ranking in rankings.items()}
    shares = {name: float(recall(ranking, judged[keep]).mean()) for name, ranking in rankings.items()}
    record.table("lists of ten", [{"by": name, "nDCG": worth[name], "recall": shares[name]} for name in worth])
    record.baseline("ndcg", worth["popularity"], "popularity")
    record.result("ndcg", worth["factors"])
    record.baseline("recall", shares["popularity"], "popularity")
    record.result("recall", shares["factors"])
    record.baseline("lead_over_neighbours", worth["popularity"] - worth["neighbours"], "popularity")
    record.result("lead_over_neighbours", worth["factors"] - worth["neighbours"])


def _shop(config: NextConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts to fit, then 0 and 1 for the next article taken, and booleans for the last two."""
    tastes = rng.dirichlet(np.full(TOPICS, 0.15), config.users)
    topics = rng.integers(TOPICS, size=config.items)
    appeal = rng.permutation(1 / np.arange(1, config.items + 1) ** 0.7)
    chances = tastes[:, topics] * appeal + 0.05 * appeal / TOPICS
    order = np.argsort(-np.log(chances) - rng.gumbel(size=chances.shape), axis=1)  # draws without replacement
    fitted, chosen_on = np.zeros(chances.shape), np.zeros(chances.shape)
    judged = np.zeros(chances.shape, dtype=bool)
    for user, count in enumerate(np.maximum(6, rng.poisson(16, config.users))):
        took = rng.permutation(order[user, :count])
        fitted[user, took[:-3]] = 1 + rng.poisson(0.3, count - 3)
        chosen_on[user, took[-3]] = 1
        judged[user, took[-2:]] = True
    return fitted, chosen_on, judged


@dataclass(frozen=True)
class RatingsConfig:
    """Settings of the ratings lab.

    Attributes:
        seed: seed of the ratings, of the split and of the factors.
        ratings: how many of 400 users' ratings of 200 items are known.
        size: length of the factors.
        l2: weight of the squares.
        rate: learning rate.
        epochs: passes over the ratings that are fitted.
    """

    seed: int = 0
    ratings: int = 16_000
    size: int = 16
    l2: float = 0.1
    rate: float = 0.02
    epochs: int = 60


@lab(
    title="Stars",
    question="What do factors add to biases, and when do they only remember?",
    presets={"smoke": {}, "laptop": {"epochs": 200}, "full": {"epochs": 1_000, "ratings": 40_000}},
    expectations=[
        expect("rmse", beats_baseline_by=0.1, lower_is_better=True, why="Factors must add to what biases say."),
        expect("remembered", at_most=0.3, why="Held-out errors must not be far above those of the fitted ratings."),
    ],
    sabotage=[{"rate": 0.0}, {"l2": 0.0, "epochs": 200}],
)
def stars(config: RatingsConfig, record: Recorder) -> None:
    """Fit ratings from 1 to 5 of simulated users, who have four tastes, and judge on a fifth of them."""
    import plotly.graph_objects as go

    rng = np.random.default_rng(config.seed)
    tastes, traits = rng.normal(scale=0.6, size=(400, 4)), rng.normal(scale=0.6, size=(200, 4))
    users, items = np.divmod(rng.permutation(400 * 200)[: config.ratings], 200)
    liked = 3.5 + rng.normal(scale=0.4, size=400)[users] + rng.normal(scale=0.4, size=200)[items]
    liked += (tastes[users] * traits[items]).sum(axis=1) + rng.normal(scale=0.5, size=config.ratings)
    ratings, fitted = np.clip(np.round(liked), 1, 5), np.arange(config.ratings) < 0.8 * config.ratings

    def errors(size: int) -> dict[str, float]:
        model = fit_ratings(
            users[fitted],
            items[fitted],
            ratings[fitted],
            size,
            np.random.default_rng(config.seed),
            n_users=400,
            n_items=200,
            rate=config.rate,
            l2=config.l2,
            epochs=config.epochs,
        )
        squares = (predict_ratings(model, users, items) - ratings) ** 2
        return {"fitted": float(squares[fitted].mean() ** 0.5), "held out": float(squares[~fitted].mean() ** 0.5)}

    sizes = [0, 1, 2, 4, 8, config.size]
    rows = [{"size": size, **errors(size)} for size in record.progress(sizes, label="sizes")]
    record.table("root mean square error, in stars", rows)
    plot = go.Figure()
    for part, colour in (("fitted", BLUE), ("held out", ORANGE)):
        plot.add_scatter(x=[str(size) for size in sizes], y=[row[part] for row in rows], name=part, line_color=colour)
    plot.update_xaxes(title="length of the factors")
    plot.update_yaxes(title="root mean square error, in stars")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("errors by the length of the factors", plot)
    record.baseline("rmse", rows[0]["held out"], "biases alone")
    record.result("rmse", rows[-1]["held out"])
    record.baseline("remembered", rows[0]["held out"] - rows[0]["fitted"], "biases alone")
    record.result("remembered", rows[-1]["held out"] - rows[-1]["fitted"])
