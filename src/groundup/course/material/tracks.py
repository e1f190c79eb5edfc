"""A track: chosen, planned, and compared with the learner's progress.

Everything here is a pure function of the track, the ledger's events and the states of the units. An item that is tied
to units is done when each of them has passed. The learner may report work that no unit can judge, and it is shown as
reported: an item without units, and the part of an item whose units are not in this release. The item opens again when
those units come.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, Literal, Protocol

from groundup.course.material.roadmaps import (
    Item,
    Resource,
    Section,
    Track,
    load_track,
    load_tracks,
    track_names,
)
from groundup.errors import UnknownName, UsageError

__all__ = [
    "Choice",
    "ItemProgress",
    "Planned",
    "Progress",
    "WeekGoals",
    "choose",
    "chosen_track",
    "load_track",
    "load_tracks",
    "plan",
    "progress",
    "provable",
    "report",
    "report_resource",
    "track_names",
    "weekly_goals",
]

MIN_HOURS, MAX_HOURS = 0.5, 100.0
FIRST_YEAR, LAST_YEAR = 2000, 2100

ItemStatus = Literal["done", "reported", "partly", "open"]


class EventLike(Protocol):
    """The part of a ledger's event that is read."""

    @property
    def kind(self) -> str: ...
    @property
    def payload(self) -> Mapping[str, Any]: ...
    @property
    def at(self) -> datetime: ...


class StateLike(Protocol):
    """The part of a unit's state that is read."""

    @property
    def status(self) -> str: ...


# Choosing


@dataclass(frozen=True)
class Choice:
    """The track that a learner follows: since when, and for how many hours a week."""

    track: Track
    start: date
    hours_per_week: float

    def to_json(self) -> dict[str, Any]:
        """The payload of a `track` event."""
        return {"track": self.track.name, "start": self.start.isoformat(), "hours_per_week": self.hours_per_week}


def choose(track: str, start: date | str, hours_per_week: float | str) -> Choice:
    """A choice that keeps the rules; `.to_json()` is the payload of its `track` event.

    Raises:
        UnknownName: there is no such track.
        UsageError: the start is no date, or the hours are out of range.
    """
    return Choice(load_track(track), _start(start), _hours(hours_per_week))


def chosen_track(events: Iterable[EventLike]) -> Choice | None:
    """The newest choice among `track` events whose track still exists, or None."""
    names = track_names()
    for event in reversed([e for e in events if e.kind == "track"]):
        if event.payload.get("track") in names:
            return choose(event.payload["track"], event.payload["start"], event.payload["hours_per_week"])
    return None


def _start(value: date | str) -> date:
    try:
        day = value if isinstance(value, date) else date.fromisoformat(value.strip())
    except ValueError:
        raise UsageError(f"start must be a date written YYYY-MM-DD, for example 2026-11-30, not '{value}'.") from None
    if isinstance(day, datetime):
        day = day.date()
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise UsageError(f"start must lie in the years {FIRST_YEAR} to {LAST_YEAR}, not on {day}.")
    return day


def _hours(value: float | str) -> float:
    try:
        hours = float(value)
    except ValueError:
        raise UsageError(f"hours_per_week must be a number, for example 8, not '{value}'.") from None
    if not MIN_HOURS <= hours <= MAX_HOURS:  # false for nan as well
        raise UsageError(f"hours_per_week must be from {MIN_HOURS:g} to {MAX_HOURS:g}, not {value}.")
    return hours


# Planning


@dataclass(frozen=True)
class Planned:
    """An item with the days, first and last, on which the plan has it."""

    item: Item
    start: date
    end: date


def plan(track: Track, start: date, hours_per_week: float) -> tuple[Planned, ...]:
    """The planned days of every item, in order: one after another, at an even pace on all seven days of the week.

    Pieces of an item (`part_of`) have the days of the whole.
    """
    minutes_a_week = hours_per_week * 60
    before = 0
    spans: dict[str, Planned] = {}
    for item in track.items:
        if item.part_of:
            whole = spans[item.part_of]
            spans[item.id] = Planned(item, whole.start, whole.end)
            continue
        first = math.floor(before * 7 / minutes_a_week + 1e-9)
        before += item.time.minutes
        last = max(first, math.ceil(before * 7 / minutes_a_week - 1e-9) - 1)
        spans[item.id] = Planned(item, start + timedelta(first), start + timedelta(last))
    return tuple(spans.values())


# Reports


def report(
    track: Track, item_id: str, *, released: Collection[str], criterion: int | None = None, done: bool = True
) -> dict[str, Any]:
    """The payload of a `report` event: an item that units cannot prove, or one success criterion of an item or section.

    Args:
        track: the track.
        item_id: the item or section.
        released: the units of this release.
        criterion: the number of the criterion, from 1; the item itself unless given.
        done: False takes a report back.

    Raises:
        UnknownName: the track has no such item.
        UsageError: every unit of the item is in this release, or it has no such criterion.
    """
    entry = track.addresses.get(item_id) or track.item(item_id)
    if criterion is None:
        if isinstance(entry, Section):
            raise UsageError(f"{item_id} of {track.name} is a {entry.kind}. Report its items, or one of its criteria.")
        units = track.units_of(entry)
        if units and done and set(units) <= set(released):
            raise UsageError(
                f"{item_id} of {track.name} is done when {', '.join(units)} pass, and cannot be reported. "
                "`groundup map` shows their state."
            )
        return {"track": track.name, "item": item_id, "done": done}
    criteria = entry.criteria + (entry.checkpoint if isinstance(entry, Section) else ())
    if not 1 <= criterion <= len(criteria):
        raise UsageError(f"criterion must be from 1 to {len(criteria)} for {item_id} of {track.name}, not {criterion}.")
    return {"track": track.name, "item": item_id, "criterion": criterion, "done": done}


def report_resource(track: Track, resource_id: str, *, done: bool = True) -> dict[str, Any]:
    """The payload of a `resource` event: watched, read, followed or joined. Raises UnknownName."""
    known = [resource.id for resource in track.all_resources]
    if resource_id not in known:
        raise UnknownName(f"resource in the track {track.name}", resource_id, known, see=f"groundup track {track.name}")
    return {"resource": resource_id, "done": done}


@dataclass(frozen=True)
class _Reports:
    """The reports that were not taken back, each with its day."""

    items: dict[str, date]
    criteria: dict[tuple[str, int], date]
    resources: dict[str, date]


def _reports(track: Track, events: Iterable[EventLike]) -> _Reports:
    reports = _Reports({}, {}, {})
    for event in events:
        payload = event.payload
        if event.kind == "resource":
            kept, key = reports.resources, payload.get("resource")
        elif event.kind == "report" and payload.get("track") == track.name:
            item, criterion = payload.get("item"), payload.get("criterion")
            kept, key = (reports.items, item) if criterion is None else (reports.criteria, (item, criterion))
        else:
            continue
        kept.pop(key, None)  # type: ignore[arg-type]
        if payload.get("done", True):
            kept[key] = event.at.astimezone().date()  # type: ignore[index]
    return reports


# Planned against actual


@dataclass(frozen=True)
class ItemProgress:
    """One item: its plan and its progress.

    Attributes:
        status: `done` by evidence; `reported` by the learner, where nothing that this release can judge is left;
            `partly` with some units passed or the rest reported; `open`.
        passed: the units that have passed.
        missing: the units of this release that have not.
        unreleased: the units that are not in this release.
        actual: the day on which it was done or reported.
        criteria: the numbers (from 1) of the success criteria that the learner reports as met.
        reported: the day on which the learner reported it, whether or not the report still counts.
    """

    item: Item
    start: date
    end: date
    status: ItemStatus
    passed: tuple[str, ...]
    missing: tuple[str, ...]
    unreleased: tuple[str, ...]
    actual: date | None
    criteria: frozenset[int]
    reported: date | None = None

    @property
    def reportable(self) -> bool:
        """Whether a part of it can only be reported: it has no units, or a unit that is not in this release."""
        return bool(self.unreleased) or not (self.passed or self.missing)

    @property
    def reopened(self) -> bool:
        """Whether it was reported before its units came, and has not been done since."""
        return self.reported is not None and not self.reportable and self.status != "done"

    @property
    def open_criteria(self) -> int:
        """How many of its success criteria are not reported as met."""
        return len(self.item.criteria) - len(self.criteria)

    @property
    def finished(self) -> bool:
        """Whether it is done or reported."""
        return self.status in ("done", "reported")

    @property
    def earned(self) -> float:
        """The share of the item that is behind the learner, from 0 to 1."""
        units = len(self.passed) + len(self.missing) + len(self.unreleased)
        behind = len(self.passed) + (len(self.unreleased) if self.reported else 0)
        return behind / units if units else float(self.finished)


@dataclass(frozen=True)
class Progress:
    """A learner's progress on a chosen track on one day."""

    choice: Choice
    today: date
    items: tuple[ItemProgress, ...]
    resources: Mapping[str, date]
    section_criteria: Mapping[str, frozenset[int]]

    @property
    def track(self) -> Track:
        """The chosen track."""
        return self.choice.track

    @cached_property
    def wholes(self) -> tuple[ItemProgress, ...]:
        """The items that have time of their own: pieces (`part_of`) are left out."""
        return tuple(entry for entry in self.items if not entry.item.part_of)

    @property
    def week(self) -> int:
        """The number of the current week of the track, 1 in the first; 0 before the start."""
        return max(0, (self.today - self.choice.start).days // 7 + 1)

    @property
    def weeks(self) -> int:
        """How many weeks the plan has."""
        return (max((entry.end for entry in self.items), default=self.choice.start) - self.choice.start).days // 7 + 1

    @property
    def finished(self) -> int:
        """How many items are done or reported."""
        return sum(entry.finished for entry in self.items)

    @property
    def earned_minutes(self) -> float:
        """The planned minutes of everything done."""
        return sum(entry.earned * entry.item.time.minutes for entry in self.wholes)

    @property
    def due_minutes(self) -> float:
        """The planned minutes that were due before today."""
        elapsed = max(0, (self.today - self.choice.start).days) * self._minutes_a_day
        return min(elapsed, sum(entry.item.time.minutes for entry in self.wholes))

    @property
    def days_ahead(self) -> float:
        """Days ahead of the plan; behind it when negative."""
        return (self.earned_minutes - self.due_minutes) / self._minutes_a_day

    @property
    def resources_done(self) -> tuple[Resource, ...]:
        """The resources of the track that the learner reports as done."""
        return tuple(r for r in self.track.all_resources if r.id in self.resources)

    @property
    def resource_minutes(self) -> tuple[int, int]:
        """Minutes of the resources done, and of all resources."""
        total = sum(r.time.minutes for r in self.track.all_resources)
        return sum(r.time.minutes for r in self.resources_done), total

    @property
    def _minutes_a_day(self) -> float:
        return self.choice.hours_per_week * 60 / 7

    def on(self, day: date) -> tuple[ItemProgress, ...]:
        """The items that the plan has on a day."""
        return tuple(entry for entry in self.wholes if entry.start <= day <= entry.end)


def progress(
    choice: Choice,
    states: Mapping[str, StateLike],
    events: Iterable[EventLike],
    *,
    today: date,
    passed_at: Mapping[str, datetime] | None = None,
) -> Progress:
    """Planned against actual.

    Args:
        choice: the track, its start and its pace.
        states: the state of every unit, by id; a unit that is missing or `planned` is not in this release.
        events: the ledger's events, oldest first; only `report` and `resource` are read.
        today: the learner's local day.
        passed_at: when each unit first passed (`Ledger.first_passes`), for the actual days.
    """
    track = choice.track
    reports = _reports(track, events)
    met: dict[str, frozenset[int]] = {}
    for item_id, number in reports.criteria:
        met[item_id] = met.get(item_id, frozenset()) | {number}
    entries = tuple(
        _item_progress(track, planned, states, reports.items, met, passed_at or {})
        for planned in plan(track, choice.start, choice.hours_per_week)
    )
    sections = {section.id: met.get(section.id, frozenset()) for section in track.sections}
    return Progress(choice, today, entries, reports.resources, sections)


def _item_progress(
    track: Track,
    planned: Planned,
    states: Mapping[str, StateLike],
    reported: Mapping[str, date],
    met: Mapping[str, frozenset[int]],
    passed_at: Mapping[str, datetime],
) -> ItemProgress:
    item = planned.item
    status_of = {unit: states[unit].status if unit in states else "planned" for unit in track.units_of(item)}
    passed = tuple(unit for unit, status in status_of.items() if status == "passed")
    unreleased = tuple(unit for unit, status in status_of.items() if status == "planned")
    missing = tuple(unit for unit in status_of if unit not in passed and unit not in unreleased)
    reported_on = reported.get(item.id)
    status: ItemStatus
    if status_of and len(passed) == len(status_of):
        status = "done"
    elif reported_on and not missing and (unreleased or not status_of):
        status = "reported"
    else:
        status = "partly" if passed or (reported_on and unreleased) else "open"
    actual = reported_on if status == "reported" else None
    if status == "done" and all(unit in passed_at for unit in passed):
        actual = max(passed_at[unit] for unit in passed).astimezone().date()
    return ItemProgress(
        item,
        planned.start,
        planned.end,
        status,
        passed,
        missing,
        unreleased,
        actual,
        met.get(item.id, frozenset()),
        reported_on,
    )


def provable(track: Track, released: Collection[str]) -> int:
    """How many items of a track this release can judge whole: they have units, and all of them are here."""
    return sum(bool(units := track.units_of(item)) and set(units) <= set(released) for item in track.items)


# Weekly goals


@dataclass(frozen=True)
class WeekGoals:
    """The plan's goals for one week.

    Attributes:
        finish: the items whose last planned day is in this week.
        work_on: the items that go on after it.
        units: the units of this release that are still to pass for `finish`.
        resources: the resources of these items that have not been reported.
    """

    number: int
    start: date
    end: date
    finish: tuple[ItemProgress, ...]
    work_on: tuple[ItemProgress, ...]
    units: tuple[str, ...]
    resources: tuple[Resource, ...]

    @property
    def met(self) -> bool:
        """Whether there is something to finish, and all of it is finished."""
        return bool(self.finish) and all(entry.finished for entry in self.finish)

    @property
    def to_report(self) -> tuple[ItemProgress, ...]:
        """The items that only a report can finish: this release has no unit that could judge them."""
        return tuple(entry for entry in self.finish if entry.reportable and not entry.reported)

    @property
    def criteria(self) -> tuple[ItemProgress, ...]:
        """The items with success criteria that are not reported as met."""
        return tuple(entry for entry in (*self.finish, *self.work_on) if entry.open_criteria)


def weekly_goals(progress: Progress, week: int) -> WeekGoals:
    """The goals of week `week`, from 1. Raises UsageError when the plan has no such week."""
    if not 1 <= week <= progress.weeks:
        raise UsageError(f"week must be from 1 to {progress.weeks} for this plan, not {week}.")
    first = progress.choice.start + timedelta(7 * (week - 1))
    last = first + timedelta(6)
    planned = [entry for entry in progress.wholes if entry.start <= last and entry.end >= first]
    finish = tuple(entry for entry in planned if entry.end <= last)
    listed = {r.id: r for entry in planned for r in entry.item.all_resources if r.id not in progress.resources}
    return WeekGoals(
        week,
        first,
        last,
        finish,
        tuple(entry for entry in planned if entry.end > last),
        tuple(dict.fromkeys(unit for entry in finish for unit in entry.missing)),
        tuple(listed.values()),
    )
