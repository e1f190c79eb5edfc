"""Lab of the feature store: a model that was fitted to the future, offline and live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from groundup.labs import Recorder, expect, lab
from groundup.stack.production.feature_store import DAY, HOUR, FeatureView, OnlineStore, join, latest, skew

Columns = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Shop:
    """A shop's history: orders, whether each was a fraud, and what was known of the customers."""

    customers: NDArray[np.int64]
    times: NDArray[np.int64]
    fraud: NDArray[np.bool_]
    views: list[FeatureView]


def open_shop(rng: np.random.Generator, customers: int, days: int) -> Shop:
    """Simulate a shop, where a customer's risk changes within days, as when an account is taken over.

    View `account` counts chargebacks: a fraud becomes one after 1 to 6 days, and is written within 12 hours more. View
    `score` is a noisy guess of the risk every second day, written within a day; a fifth of its rows are corrected
    three days later, with little noise.
    """
    risk = rng.normal(size=(days, customers))
    for day in range(1, days):
        risk[day] = 0.9 * risk[day - 1] + np.sqrt(1 - 0.9**2) * risk[day]
    count = 10 * customers
    buyers, times = rng.integers(0, customers, count), np.sort(rng.integers(0, days * DAY, count))
    fraud = rng.random(count) < 1 / (1 + np.exp(2.2 - 1.3 * risk[times // DAY, buyers]))
    who = np.concatenate([np.arange(customers), buyers[fraud]])
    when = np.concatenate([np.zeros(customers, dtype=int), times[fraud] + rng.integers(DAY, 6 * DAY, int(fraud.sum()))])
    order = np.lexsort((when, who))
    who, when = who[order], when[order]
    charged = np.arange(len(who)) - np.searchsorted(who, who)
    written = when + np.where(charged > 0, rng.integers(0, 12 * HOUR, len(when)), 0)
    account = FeatureView("account", who, when, written, {"chargebacks": charged.astype(float)})
    who, day = (part.ravel() for part in np.meshgrid(np.arange(customers), np.arange(0, days, 2)))
    when = day * DAY + rng.integers(0, DAY, len(day))
    guess, mended = risk[day, who] + rng.normal(0, 1.0, len(who)), rng.random(len(who)) < 0.2
    written = when + rng.integers(0, DAY, len(when))
    score = FeatureView(
        "score",
        np.append(who, who[mended]),
        np.append(when, when[mended]),
        np.append(written, written[mended] + 3 * DAY),
        {"risk": np.append(guess, risk[day[mended], who[mended]] + rng.normal(0, 0.1, int(mended.sum())))},
        ttl=7 * DAY,
    )
    return Shop(buyers, times, fraud, [account, score])


def until(view: FeatureView, now: int) -> FeatureView:
    """What had been written by a moment: the table as somebody finds it who trains a model then."""
    seen = view.created <= now
    values = {name: column[seen] for name, column in view.values.items()}
    return FeatureView(view.name, view.entities[seen], view.events[seen], view.created[seen], values, view.ttl)


def serve(shop: Shop, orders: NDArray[np.int64], hours: int) -> Columns:
    """What the online stores answer at each order, filled every so many hours."""
    stores = [OnlineStore(list(view.values), view.ttl) for view in shop.views]
    rows = {f"{view.name}__{name}": np.full(len(orders), np.nan) for view in shop.views for name in view.values}
    for number, order in enumerate(orders):
        now = int(shop.times[order])
        tick = now // (hours * HOUR) * hours * HOUR
        for view, store in zip(shop.views, stores, strict=True):
            if store.watermark is None or tick > store.watermark:
                store.materialise(view, tick, overlap=HOUR)
            for name, value in store.read(shop.customers[order : order + 1], now).items():
                rows[f"{view.name}__{name}"][number] = value[0]
    return rows


def table(columns: Columns) -> NDArray[np.float64]:
    """Columns as a matrix; a gap is 0, and a column of its own says so."""
    values = np.column_stack(list(columns.values()))
    return np.hstack([np.nan_to_num(values), np.isnan(values)])


@dataclass(frozen=True)
class LeakConfig:
    """Settings of the leak lab.

    Attributes:
        seed: seed of the shop.
        customers: of the shop.
        days: of which two thirds are past when the model is trained.
        hours: between two increments of the online store.
        joined: how the model's training data is joined.
    """

    seed: int = 0
    customers: int = 400
    days: int = 90
    hours: int = 1
    joined: Literal["in time", "latest"] = "in time"


@lab(
    title="A model that knew the future",
    question="Does a join of the latest values look better offline, and is it worse live?",
    data=[],
    presets={"smoke": {}, "laptop": {"customers": 1000}, "full": {"customers": 4000, "days": 180}},
    expectations=[
        expect("live AUC", beats_baseline_by=0.02, why="A model of what was known then is the better one live."),
        expect("promise broken", at_most=0.09, why="Offline and live, the model sees the same features."),
        expect("promise broken", beats_baseline_by=0.1, lower_is_better=True, why="The naive join promises too much."),
        expect("skew", at_most=0.05, why="Hourly increments serve what the join gives, but for the last hour."),
        expect("skew", beats_baseline_by=0.2, lower_is_better=True, why="The latest values are others by then."),
    ],
    sabotage=[{"joined": "latest"}, {"hours": 480}],
)
def leak(config: LeakConfig, record: Recorder) -> None:
    """Train a model of fraud on two thirds of a simulated shop's time, and serve it in the last third.

    Two models differ only in the join of their training features: as known at each order, or the latest values of the
    table at training time. `promise broken` is the AUC on held-out training orders less the AUC live. `skew` is the
    largest share of live orders at which a served feature is not the one that the join gives for that moment.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(config.seed)
    shop = open_shop(rng, config.customers, config.days)
    now = config.days * DAY * 2 // 3
    past, live = np.flatnonzero(shop.times < now - 7 * DAY), np.flatnonzero(shop.times >= now)  # labels take a week
    fitting = rng.random(len(past)) < 0.7
    views, who = [until(view, now) for view in shop.views], shop.customers
    joins = {"in time": join(views, who[past], shop.times[past]), "latest": latest(views, who[past])}
    served = serve(shop, live, config.hours)
    scores: dict[str, tuple[float, float]] = {}
    for name, columns in joins.items():
        model = LogisticRegression(max_iter=1000).fit(table(columns)[fitting], shop.fraud[past][fitting])
        promised = model.decision_function(table(columns)[~fitting])
        offline = float(roc_auc_score(shop.fraud[past][~fitting], promised))
        scores[name] = offline, float(roc_auc_score(shop.fraud[live], model.decision_function(table(served))))
    record.table("AUC", [{"join": name, "offline": pair[0], "live": pair[1]} for name, pair in scores.items()])
    offline, online = scores[config.joined]
    record.baseline("live AUC", scores["latest"][1], "trained on the latest values")
    record.result("live AUC", online)
    record.baseline("promise broken", scores["latest"][0] - scores["latest"][1], "trained on the latest values")
    record.result("promise broken", offline - online)
    then = skew(join(shop.views, who[live], shop.times[live]), served)
    record.table("skew", [{"feature": name, "share": part.total} for name, part in then.items()])
    naive = skew(latest(shop.views, who[live]), served)
    record.baseline("skew", max(part.total for part in naive.values()), "the latest values, joined afterwards")
    record.result("skew", max(part.total for part in then.values()))
