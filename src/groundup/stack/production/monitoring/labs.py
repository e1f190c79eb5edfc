"""Labs of monitoring: houses that drift, and pages that are worth waking for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.production.monitoring import AlertRule, BurnRule, burning, rate, scan

COLUMNS = ("Lot Area", "Gr Liv Area", "Year Built", "SalePrice", "Exter Qual", "Kitchen Qual", "Heating QC")
DRIFTS = ("prices rise", "areas spread", "kitchens improve")


@dataclass(frozen=True)
class DriftConfig:
    """Settings of the drift lab.

    Attributes:
        seed: seed of the streams and of the damage.
        streams: how many times the houses are dealt into a reference and a stream.
        width: rows of a window.
        level: below it a corrected p counts.
        size: how strong the drift is; 0 leaves nothing to notice.
    """

    seed: int = 0
    streams: int = 10
    width: int = 100
    level: float = 0.05
    size: float = 1.0


@lab(
    title="A drifting stream",
    question="How soon is a drift noticed, at how many false alarms?",
    data=["ames_housing"],
    presets={"smoke": {}, "laptop": {"streams": 50}, "full": {"streams": 200}},
    expectations=[
        expect("noticed", at_least=0.7, why="Within 400 rows the drifted column must fire in most streams."),
        expect("noticed", beats_baseline_by=0.3, why="The mean sees neither a spread nor a mix of categories."),
        expect("false_alarms", at_most=0.2, why="A stream without drift must rarely fire."),
        expect("false_alarms", beats_baseline_by=0.3, lower_is_better=True, why="0.1 is a rule for large windows."),
    ],
    sabotage=[{"size": 0.0}, {"level": 1.0}],
)
def drifting_stream(config: DriftConfig, record: Recorder) -> None:
    """Deal Ames's houses into a reference and a stream, and let the stream drift from its 500th row on.

    A column fires when two windows in a row are below the level. The same rule of two windows judges the baselines: a
    mean that is a tenth off, and a stability index above 0.1.
    """
    from groundup.data import load

    houses = {name: column for name, column in load("ames_housing").columns.items() if name in COLUMNS}
    rng = np.random.default_rng(config.seed)
    noticed: dict[str, list[bool]] = {kind: [] for kind in DRIFTS}
    by_mean, waits, false, by_index = [], [], [], []
    for _ in record.progress(range(config.streams)):
        first, second = np.array_split(rng.permutation(len(houses["SalePrice"])), 2)
        reference, stream = ({name: column[rows] for name, column in houses.items()} for rows in (first, second[:900]))
        ours, index, _ = _alarms(reference, stream, config)
        false.append(bool(ours))
        by_index.append(bool(index))
        for kind in DRIFTS:
            column, drifted = _drift(stream, kind, config.size, rng)
            ours, _, mean = _alarms(reference, drifted, config)
            row = min((row for row, name in ours if name == column and row > 500), default=np.inf)
            noticed[kind].append(row <= 900)
            waits.append(row - 500 if row <= 900 else 500)
            by_mean.append(any(name == column and row > 500 for row, name in mean))
    record.table("drifts", [{"drift": kind, "noticed": np.mean(found)} for kind, found in noticed.items()])
    record.baseline("noticed", np.mean(by_mean), "a mean that is a tenth off")
    record.result("noticed", np.mean(list(noticed.values())))
    record.baseline("false_alarms", np.mean(by_index), "a stability index above 0.1")
    record.result("false_alarms", np.mean(false))
    record.result("rows_until_noticed", np.median(waits))


def _drift(stream: dict, kind: str, size: float, rng: np.random.Generator) -> tuple[str, dict]:
    """The stream with one column drifted from row 500 on, and the column's name."""
    late = np.arange(len(stream["SalePrice"])) >= 500
    if kind == "prices rise":
        return "SalePrice", {
            **stream,
            "SalePrice": np.where(late, 1, 0) * 0.25 * size * stream["SalePrice"] + stream["SalePrice"],
        }
    if kind == "areas spread":
        area = stream["Gr Liv Area"]
        return "Gr Liv Area", {**stream, "Gr Liv Area": np.where(late, area + size * 0.8 * (area - area.mean()), area)}
    better = late & (rng.random(late.size) < 0.5 * size) & (stream["Kitchen Qual"] == "TA")
    return "Kitchen Qual", {**stream, "Kitchen Qual": np.where(better, "Gd", stream["Kitchen Qual"])}


def _alarms(reference: dict, stream: dict, config: DriftConfig) -> list[list[tuple[float, str]]]:
    """When which column fires, by the tests, by the stability index and by the mean."""
    readings = scan(reference, stream, config.width)
    rules = [AlertRule(name, hold=config.width) for name in ("tests", "index", "mean")]
    fired: list[list[tuple[float, str]]] = [[], [], []]
    for row in range(config.width, len(stream["SalePrice"]) + 1, config.width):
        now = [reading for reading in readings if reading.row == row]
        means = [
            name
            for name, column in stream.items()
            if column.dtype.kind != "U"
            and abs(column[row - config.width : row].mean() / reference[name].mean() - 1) > 0.1
        ]
        tests = [reading.column for reading in now if reading.p < config.level]
        indices = [reading.column for reading in now if reading.stability > 0.1]
        for rule, active, rows in zip(rules, (tests, indices, means), fired, strict=True):
            rows += [(row, str(name)) for name, state in rule.update(row, active).items() if state == "firing"]
    return fired


@dataclass(frozen=True)
class BudgetConfig:
    """Settings of the alerting lab.

    Attributes:
        seed: seed of the traffic and of the incidents.
        days: how long the service is watched.
        blips: outages of one minute a day, each far below a fiftieth of the budget.
        share: multiplies the shares of the budget that the rules ask for; a large one silences them.
    """

    seed: int = 0
    days: int = 8
    blips: int = 5
    share: float = 1.0


@lab(
    title="Pages worth waking for",
    question="Do burn rates page for incidents that cost budget, and for nothing else?",
    presets={"smoke": {}, "laptop": {"days": 30}, "full": {"days": 180}},
    expectations=[
        expect("precision", beats_baseline_by=0.4, why="A minute of errors costs nothing, and must wake nobody."),
        expect("caught", at_least=0.95, why="Each incident spends more than a fiftieth of the budget."),
    ],
    sabotage=[{"share": 100.0}],
)
def error_budget(config: BudgetConfig, record: Recorder) -> None:
    """Watch a service of 99.9 % with an incident a day and short blips, by burn rates and by a threshold.

    The threshold is the objective: more than 0.1 % of the requests of 10 minutes failed. A page is right if it comes
    during an incident or within 10 minutes after it.
    """
    rng = np.random.default_rng(config.seed)
    minutes = np.arange(config.days * 1_440)
    served = rng.poisson(600 * (1 + 0.5 * np.sin(2 * np.pi * minutes / 1_440)))
    share = np.full(minutes.size, 0.0002)
    incidents = []
    for day in range(1, config.days):
        begin = day * 1_440 + int(rng.integers(200, 1_100))
        length, level = ((15, 0.8), (45, 0.1), (240, 0.012))[day % 3]
        share[begin : begin + length] = level
        incidents.append((begin, begin + length + 10))
    quiet = np.setdiff1d(minutes[20:-20], np.concatenate([np.arange(a - 30, b + 360) for a, b in incidents]))
    share[rng.choice(quiet, config.days * config.blips, replace=False)] = 0.1
    times = 60.0 * np.arange(minutes.size + 1)
    errors, requests = (np.append(0, counts.cumsum()) for counts in (rng.binomial(served, share), served))
    policy = [BurnRule("page", config.share * 0.02, 3_600, 300), BurnRule("page", config.share * 0.05, 21_600, 1_800)]

    pages: dict[str, list[int]] = {"burn rates": [], "threshold": []}
    rules = {name: AlertRule(name) for name in pages}
    ringing: set[str] = set()
    for minute in record.progress(range(60, minutes.size, 5)):
        near, now = slice(max(0, minute - 400), minute + 1), 60.0 * minute
        window = times[near], errors[near], requests[near]
        failed, asked = (rate(window[0], counter, now - 600, now) for counter in window[1:])
        holds = {"burn rates": bool(burning(*window, now, 0.999, policy)), "threshold": failed > 0.001 * asked}
        for name, rule in rules.items():
            firing = rule.update(now, [name] if holds[name] else []).get(name) == "firing"
            if firing and name not in ringing:
                pages[name].append(minute)
            ringing = ringing | {name} if firing else ringing - {name}
    right = {name: [any(a <= minute <= b for a, b in incidents) for minute in found] for name, found in pages.items()}
    caught = [any(a <= minute <= b for minute in pages["burn rates"]) for a, b in incidents]
    record.table("pages", [{"alert": name, "pages": len(found), "right": sum(found)} for name, found in right.items()])
    record.baseline("precision", np.mean(right["threshold"]), "more than 0.1 % failed in 10 minutes")
    record.result("precision", np.mean(right["burn rates"] or [False]))
    record.result("caught", np.mean(caught))
