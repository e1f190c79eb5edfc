"""A small track, and events as a ledger gives them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from groundup.course.material.roadmaps import Duration, Item, Resource, Section, Track


@dataclass(frozen=True)
class Happened:
    """An event with what the learner's side reads of it."""

    kind: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    at: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass(frozen=True)
class State:
    """A unit's state with what the learner's side reads of it."""

    status: str


def states(passed: Iterable[str] = (), new: Iterable[str] = (), planned: Iterable[str] = ()) -> dict[str, State]:
    """Unit states by id."""
    return {
        **{unit: State("passed") for unit in passed},
        **{unit: State("new") for unit in new},
        **{unit: State("planned") for unit in planned},
    }


@pytest.fixture
def track() -> Track:
    """Four items of two hours each: two with units, one with pieces, one that can only be reported."""
    time = Duration(120, 120, False)
    film = Resource("film", "A Film", "Someone", "video", Duration(9, 9, False))
    book = Resource("book", "A Book", "Someone", "book", Duration(60, 60, True))
    first = Section(
        "W1",
        "Week 1",
        "week",
        criteria=("I can.",),
        checkpoint=("It is so.",),
        items=(
            Item("A", "a", time=time, units=("p/one",), resources=(film,), questions=("Why a?",)),
            Item("B", "b", time=time, units=("p/two", "p/three"), criteria=("I can b.", "I can c."), resources=(book,)),
        ),
    )
    second = Section(
        "W2",
        "Week 2",
        "week",
        items=(
            Item("C", "c", time=time),
            Item("C.1", "c1", part_of="C", units=("p/four",)),
            Item("D", "d", time=time),
        ),
    )
    return Track("small", "9", "Small", "all", "a track", 4, (first, second))
