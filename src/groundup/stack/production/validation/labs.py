"""Labs of validation: Titanic broken and mended, and damage that only a drift shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.production.validation import Column, find_drift, refused_rows, report, validate

SCHEMA = {
    "PassengerId": Column("integer", low=1, unique=True),
    "Survived": Column("integer", allowed=(0, 1)),
    "Pclass": Column("integer", allowed=(1, 2, 3)),
    "Name": Column("text", pattern=r".+, .+\..+"),  # Braund, Mr. Owen Harris
    "Sex": Column("text", allowed=("male", "female")),
    "Age": Column("number", low=0, high=100, nullable=True),
    "SibSp": Column("integer", low=0, high=12),
    "Parch": Column("integer", low=0, high=12),
    "Ticket": Column("text"),
    "Fare": Column("number", low=0, high=600),
    "Cabin": Column("text", nullable=True),
    "Embarked": Column("text", allowed=("S", "C", "Q"), nullable=True),
}
DAMAGE = {  # column, rule and value of each kind of damage; None is the value of another row
    "a gap": ("Pclass", "null", np.nan),
    "a word for a number": ("Fare", "kind", "free"),
    "a negative count": ("SibSp", "low", -1),
    "an outlier": ("Age", "high", 999),
    "another spelling": ("Sex", "allowed", "Male"),
    "a name cut off": ("Name", "pattern", "Braund"),
    "a copied key": ("PassengerId", "unique", None),
}


@dataclass(frozen=True)
class BreakConfig:
    """Settings of the lab that breaks and mends.

    Attributes:
        seed: seed of the rows that are damaged.
        rows: damaged rows for each kind of damage.
        rules: all rules of the schema, or only the kinds of the columns.
    """

    seed: int = 0
    rows: int = 10
    rules: Literal["all", "kinds"] = "all"


@lab(
    title="Break and mend Titanic",
    question="Is every kind of damage found, by row, and no clean row refused?",
    data=["titanic"],
    presets={"smoke": {}, "laptop": {"rows": 40}, "full": {"rows": 100}},
    expectations=[
        expect("found", at_least=1.0, why="Each damaged cell breaks its rule."),
        expect("found", beats_baseline_by=0.5, why="A schema of kinds sees one kind of damage, and gaps."),
        expect("clean_rows_refused", at_most=0, why="No rule may refuse a passenger of the real list."),
        expect("left", at_most=0, why="The mended table must pass."),
    ],
    sabotage=[{"rules": "kinds"}],
)
def break_and_mend(config: BreakConfig, record: Recorder) -> None:
    """Damage Titanic in seven ways, and mend the cells that are named. Both rows of a copied key count as damaged."""
    from groundup.data import load

    source = dict(load("titanic").columns)
    order = np.random.default_rng(config.seed).permutation(len(source["Age"]))
    chosen = order[: (len(DAMAGE) + 1) * config.rows].reshape(-1, config.rows)
    table = {name: column.astype(object) for name, column in source.items()}
    truth: dict[str, set[int]] = {}
    for (name, _, value), rows in zip(DAMAGE.values(), chosen, strict=False):
        table[name][rows] = source[name][chosen[-1]] if value is None else value
        truth[name] = set(rows.tolist()) | (set(chosen[-1].tolist()) if value is None else set())
    kinds = {name: Column(rules.kind, nullable=rules.nullable) for name, rules in SCHEMA.items()}
    schema = SCHEMA if config.rules == "all" else kinds

    violations = validate(table, schema)
    record.note(report(violations))
    shares = _found(table, schema, truth)
    record.table("damage", [{"damage": kind, "found": share} for kind, share in shares.items()])
    record.baseline("found", np.mean(list(_found(table, kinds, truth).values())), "a schema of kinds alone")
    record.result("found", np.mean(list(shares.values())))
    clean = set(order.tolist()).difference(*truth.values())
    record.baseline("clean_rows_refused", len(clean & set(_far(source))), "numbers over 3 deviations from the mean")
    record.result("clean_rows_refused", len(clean & set(refused_rows(violations))))
    for name, _, rows, _ in violations:
        table[name][list(rows)] = source[name][list(rows)]
    record.result("left", len(validate(table, SCHEMA)))


def _found(table: dict[str, np.ndarray], schema: dict[str, Column], truth: dict[str, set[int]]) -> dict[str, float]:
    """The share of the damaged cells of each kind that is named."""
    named = {(column, rule): truth[column] & set(rows) for column, rule, rows, _ in validate(table, schema)}
    return {kind: len(named.get((name, rule), ())) / len(truth[name]) for kind, (name, rule, _) in DAMAGE.items()}


def _far(table: dict[str, np.ndarray]) -> list[int]:
    numbers = np.column_stack([table[name] for name in ("Age", "SibSp", "Parch", "Fare")]).astype(float)
    far = np.abs(numbers - np.nanmean(numbers, axis=0)) > 3 * np.nanstd(numbers, axis=0)
    return np.flatnonzero(far.any(axis=1)).tolist()


@dataclass(frozen=True)
class SilentConfig:
    """Settings of the drift lab.

    Attributes:
        seed: seed of the halves and of the damage.
        splits: how many times the table is halved, for each kind of damage.
        share: share of the rows of the current half that are damaged; 0 leaves nothing to find.
    """

    seed: int = 0
    splits: int = 20
    share: float = 0.6


@lab(
    title="Damage that breaks no rule",
    question="Is a column that changed as a whole found, though each of its rows keeps the rules?",
    data=["titanic"],
    presets={"smoke": {}, "laptop": {"splits": 100}, "full": {"splits": 500}},
    expectations=[
        expect("found", beats_baseline_by=0.6, why="A change of most rows must stand out from chance."),
        expect("false_alarms", at_most=0.2, why="Halves of one table must rarely alarm."),
    ],
    sabotage=[{"share": 0.0}],
)
def silent_damage(config: SilentConfig, record: Recorder) -> None:
    """Halve Titanic at random, damage the second half within the rules, and compare the halves.

    The damage: fares in another currency, ages lost, classes counted from the other end.
    """
    from groundup.data import load

    source = dict(load("titanic").columns)
    rng = np.random.default_rng(config.seed)
    alarms: dict[str, list[bool]] = {"Fare": [], "Age": [], "Pclass": []}
    broken, false = 0, []
    for _ in record.progress(range(config.splits)):
        first, second = np.array_split(rng.permutation(len(source["Age"])), 2)
        reference, current = ({name: column[rows] for name, column in source.items()} for rows in (first, second))
        false.append(any(drift.drifted for drift in find_drift(reference, current, SCHEMA)))
        hit = rng.random(len(second)) < config.share
        damage = {"Fare": current["Fare"] / 1.6, "Age": np.full(len(second), np.nan), "Pclass": 4 - current["Pclass"]}
        for name, values in damage.items():
            damaged = {**current, name: np.where(hit, values, current[name])}
            broken += len(validate(damaged, SCHEMA))
            told = [drift.column for drift in find_drift(reference, damaged, SCHEMA) if drift.drifted]
            alarms[name].append(name in told)
    record.table("damage", [{"column": name, "found": np.mean(found)} for name, found in alarms.items()])
    record.baseline("found", 0.05, "the level, at which chance alarms")
    record.result("found", np.mean([np.mean(found) for found in alarms.values()]))
    record.result("false_alarms", np.mean(false))
    record.result("rules_broken", broken)
