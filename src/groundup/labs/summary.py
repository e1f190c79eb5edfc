"""The summary of the events of all seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from groundup.labs.definition import Expectation
from groundup.labs.events import Event
from groundup.labs.judge import Outcome, is_lost, judge, spread


@dataclass(frozen=True)
class Result:
    """One result over the seeds, with its trivial baseline beside it.

    Attributes:
        metric: its name.
        values: one for each seed that recorded it; None where it was not finite.
        mean: their mean; None where one of them was not finite.
        spread: their sample standard deviation.
        baseline: the mean of the baselines; None where none was recorded.
        baseline_what: what the baseline is.
    """

    metric: str
    values: tuple[float | None, ...]
    mean: float | None
    spread: float | None
    baseline: float | None = None
    baseline_what: str = ""


@dataclass(frozen=True)
class Summary:
    """A whole run: results, expectations judged, data, tables and notes."""

    passed: bool
    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    expectations: tuple[Outcome, ...]
    data: tuple[dict[str, Any], ...] = ()
    tables: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = field(default=())


def summarise(events: Iterable[Event], seeds: Sequence[int], expectations: Sequence[Expectation]) -> Summary:
    """Add up the events of a run and judge what was expected of it."""
    by_kind = _by_kind(events)
    results = _by_metric(by_kind.get("result", []))
    baselines = _by_metric(by_kind.get("baseline", []))
    what = {event["metric"]: event["what"] for event in by_kind.get("baseline", [])}
    outcomes = tuple(
        judge(e, seeds, results.get(e.metric, {}), baselines.get(e.metric, {}), what.get(e.metric, ""))
        for e in expectations
    )
    return Summary(
        passed=all(outcome.passed for outcome in outcomes),
        seeds=tuple(seeds),
        results=tuple(
            _result(metric, values, baselines.get(metric, {}), what.get(metric, ""))
            for metric, values in results.items()
        ),
        expectations=outcomes,
        data=tuple(_distinct(_fields(event) for event in by_kind.get("data", []))),
        tables=tuple({"seed": e["seed"], "name": e["name"], "rows": e["rows"]} for e in by_kind.get("table", [])),
        notes=tuple(dict.fromkeys(event["text"] for event in by_kind.get("note", []))),
    )


def lost(events: Iterable[Event], seeds: Sequence[int], expectations: Sequence[Expectation]) -> bool:
    """Whether an expectation cannot be met any more, whatever the seeds that are still to run give."""
    by_kind = _by_kind(events)
    results, baselines = _by_metric(by_kind.get("result", [])), _by_metric(by_kind.get("baseline", []))
    return any(is_lost(e, seeds, results.get(e.metric, {}), baselines.get(e.metric, {})) for e in expectations)


def _by_kind(events: Iterable[Event]) -> dict[str, list[Event]]:
    by_kind: dict[str, list[Event]] = {}
    for event in events:
        by_kind.setdefault(event["type"], []).append(event)
    return by_kind


def _by_metric(events: Iterable[Event]) -> dict[str, dict[int, float | None]]:
    values: dict[str, dict[int, float | None]] = {}
    for event in events:
        values.setdefault(event["metric"], {})[event["seed"]] = event["value"]
    return values


def _result(metric: str, by_seed: dict[int, float | None], baselines: dict[int, float | None], what: str) -> Result:
    values = tuple(by_seed.values())
    finite = [value for value in values if value is not None]
    known = [value for value in baselines.values() if value is not None]
    whole = len(finite) == len(values)
    return Result(
        metric,
        values,
        statistics.fmean(finite) if whole else None,
        spread(finite) if whole else None,
        statistics.fmean(known) if known else None,
        what,
    )


def _fields(event: Event) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key not in ("type", "seed")}


def _distinct(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    distinct: list[dict[str, Any]] = []
    for item in items:
        if item not in distinct:
            distinct.append(item)
    return distinct
