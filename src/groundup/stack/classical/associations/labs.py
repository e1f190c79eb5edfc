"""Lab of associations: which alerts fire together?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from groundup.drawing import BLUE, GREY, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.associations import Rule, association_rules, fp_growth

ALERTS = 40
CAUSES = ((0, 1), (2, 3, 4), (5, 6), (7, 8, 9, 10), (11, 12), (13, 14, 15))  # the alerts that each fires


@dataclass(frozen=True)
class AlertsConfig:
    """Settings of the alerts lab.

    Attributes:
        seed: seed of the windows.
        windows: windows of five minutes, half to mine and half to judge.
        min_count: windows that a pair must fire in.
        rank: what the pairs are ranked by.
        tried: correct the p-values for the number of pairs that were tried.
        shuffle: let each alert fire in other windows, as often as before, which leaves nothing that goes together.
    """

    seed: int = 0
    windows: int = 1_600
    min_count: int = 8
    rank: Literal["lift", "confidence"] = "lift"
    tried: bool = True
    shuffle: bool = False


@lab(
    title="Which alerts fire together?",
    question="Do rules find the alerts that share a cause, and do they hold in windows that they were not mined from?",
    presets={
        "smoke": {},
        "laptop": {"windows": 20_000, "min_count": 60},
        "full": {"windows": 100_000, "min_count": 200},
    },
    expectations=[
        expect("precision", beats_baseline_by=0.3, why="Pairs by lift must share a cause; confident ones need not."),
        expect("recall", at_least=0.7, why="Most pairs with a common cause fire often enough to be found."),
        expect("held_out_lift", at_least=3.0, why="What goes together goes together in other windows."),
    ],
    sabotage=[{"shuffle": True}, {"rank": "confidence", "tried": False}],
)
def alerts(config: AlertsConfig, record: Recorder) -> None:
    """Simulate alerts of six causes, noise, and two that fire nearly always; mine half of the windows, judge the rest.

    Pairs with a p-value below 5 %, divided by the number of pairs that were tried, are ranked by lift, and as many are
    taken as there are pairs with a common cause. Beside them stand as many pairs with the highest confidence.
    """
    import plotly.graph_objects as go

    rng = np.random.default_rng(config.seed)
    fires = _windows(config.windows, rng)
    if config.shuffle:
        fires = rng.permuted(fires, axis=0)
    true = {frozenset(pair) for cause in CAUSES for pair in combinations(cause, 2)}
    mined, judged = fires[: config.windows // 2], fires[config.windows // 2 :]
    baskets = [np.flatnonzero(row).tolist() for row in mined]
    rules = [
        rule
        for rule in association_rules(fp_growth(baskets, config.min_count), len(baskets))
        if len(rule.antecedent) == len(rule.consequent) == 1
    ]
    confident = _first(sorted(rules, key=lambda rule: -rule.confidence), len(true))
    level = 0.05 / (ALERTS * (ALERTS - 1) / 2 if config.tried else 1)
    sure = [rule for rule in rules if rule.p_value < level]
    ranked = _first(sure, len(true)) if config.rank == "lift" else confident
    pairs = set(ranked)
    record.table(
        "the first rules",
        [
            {
                "rule": f"{min(rule.antecedent)} → {min(rule.consequent)}",
                "count": rule.count,
                "confidence": rule.confidence,
                "lift": rule.lift,
                "lift in other windows": _lift(judged, pair),
                "one cause": pair in true,
            }
            for pair, rule in list(ranked.items())[:10]
        ],
    )
    plot = go.Figure()
    for name, shared, colour in (("share a cause", True, BLUE), ("do not", False, ORANGE)):
        group = [rule for rule in rules if (rule.antecedent | rule.consequent in true) == shared]
        plot.add_scatter(
            x=[rule.confidence for rule in group],
            y=[rule.lift for rule in group],
            mode="markers",
            marker={"color": colour, "symbol": "circle" if shared else "x"},
            name=name,
        )
    plot.add_hline(y=1, line={"color": GREY, "dash": "dash"})
    plot.update_xaxes(title="confidence")
    plot.update_yaxes(title="lift", type="log")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("rules of two alerts", plot)
    chance = len(true) / (ALERTS * (ALERTS - 1) / 2)
    record.baseline("precision", chance, "pairs drawn at random")
    record.result("precision", len(pairs & true) / max(len(pairs), 1))
    record.baseline("recall", chance, "as many pairs drawn at random")
    record.result("recall", len(pairs & true) / len(true))
    record.result("precision_by_confidence", len(set(confident) & true) / len(true))
    record.baseline("held_out_lift", _median_lift(judged, confident), "as many of the most confident pairs")
    record.result("held_out_lift", _median_lift(judged, ranked))


def _windows(count: int, rng: np.random.Generator) -> np.ndarray:
    """Booleans of shape (count, ALERTS): which alert fires in which window."""
    rates = np.full(ALERTS, 0.02)
    rates[-2:], rates[-8:-2] = (0.95, 0.8), 0.1  # a disk that is always nearly full, and the like
    fires = rng.random((count, ALERTS)) < rates
    for cause in CAUSES:
        active = rng.random(count) < 0.03
        fires[:, cause] |= active[:, None] & (rng.random((count, len(cause))) < 0.85)
    return fires


def _first(rules: list[Rule], count: int) -> dict[frozenset[int], Rule]:
    """The first pairs of alerts, each once, with the rule that named it first."""
    pairs: dict[frozenset[int], Rule] = {}
    for rule in rules:
        if len(pairs) < count:
            pairs.setdefault(rule.antecedent | rule.consequent, rule)
    return pairs


def _lift(fires: np.ndarray, pair: frozenset[int]) -> float:
    """The lift of a pair in these windows; 0 where one of the two never fires."""
    first, second = (fires[:, alert] for alert in pair)
    return float((first & second).mean() / max(first.mean() * second.mean(), 1e-12))


def _median_lift(fires: np.ndarray, pairs: dict[frozenset[int], Rule]) -> float:
    return float(np.median([_lift(fires, pair) for pair in pairs])) if pairs else 0.0
