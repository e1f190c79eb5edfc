"""Review: due dates are the fsrs package's own, and the ledger alone brings them back."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import fsrs
import pytest

from groundup.course.learner.review import RATINGS, Review, available_cards
from groundup.course.material.unit import Card
from groundup.errors import UnknownName, UsageError
from tests.tracks.conftest import Happened, State

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RECALL = tuple(Card(f"p/one#{i}", f"front {i}", f"back {i}") for i in range(12))
CARDS = (*RECALL, Card("p/two#talk", "say", "so", kind="interview"))


def review(events: list[Happened] | None = None, **options: Any) -> Review:
    return Review(events or [], CARDS, **options)


def history(seed: int, length: int = 400) -> list[tuple[str, int, datetime]]:
    """Ratings of random cards at random moments, minutes to months apart."""
    rng = random.Random(seed)
    now, moves = NOW, []
    for _ in range(length):
        now += timedelta(minutes=rng.choice([1, 9, 700, 3000, 90_000]), seconds=rng.randrange(60))
        moves.append((f"p/one#{rng.randrange(12)}", rng.choice([1, 2, 3, 3, 3, 4]), now))
    return moves


@pytest.mark.parametrize("fuzzing", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_due_dates_equal_the_packages_own(seed: int, fuzzing: bool) -> None:
    """The package is replayed directly with the same ratings, moments and random state: every state is the same."""
    scheduler = fsrs.Scheduler() if fuzzing else fsrs.Scheduler(enable_fuzzing=False)
    theirs: dict[str, fsrs.Card] = {}
    expected = []
    random.seed(seed)
    for card_id, rating, now in history(seed):
        card = theirs.get(card_id) or fsrs.Card(due=now)
        theirs[card_id], _ = scheduler.review_card(card, fsrs.Rating(rating), now)
        expected.append((theirs[card_id].due, theirs[card_id].stability, theirs[card_id].difficulty))

    ours = review(enable_fuzzing=fuzzing)
    found = []
    random.seed(seed)
    for card_id, rating, now in history(seed):
        after = fsrs.Card.from_json(ours.answer(card_id, rating, now)["after"])
        found.append((after.due, after.stability, after.difficulty))
        assert ours.standing(card_id).due == after.due
    assert found == expected


def test_defaults_are_the_packages_defaults() -> None:
    assert review()._scheduler.to_dict() == fsrs.Scheduler().to_dict()


def test_the_ledger_brings_every_due_date_back_after_a_restart() -> None:
    """With the random spread on: what was scheduled stays scheduled, whatever the random state is later."""
    events, ours = [], review()
    for card_id, rating, now in history(5):
        payload = json.loads(json.dumps(ours.answer(card_id, rating, now)))
        events.append(Happened("review", payload))
        if len(events) % 50 == 0:
            random.seed(len(events))
            ours = review(events)
    again = review(events)
    assert len({again.standing(c.id).due for c in RECALL}) > 1
    for card in RECALL:
        assert again.standing(card.id) == ours.standing(card.id)
    assert sum(again.standing(card.id).reviews for card in RECALL) == len(events)


def test_a_payload_holds_the_card_before_and_after() -> None:
    ours = review()
    first = ours.answer("p/one#0", "good", NOW)
    second = ours.answer("p/one#0", "easy", NOW + timedelta(minutes=10))
    assert (first["card"], first["rating"], first["at"]) == ("p/one#0", "good", NOW.isoformat())
    assert second["before"] == first["after"]
    assert fsrs.Card.from_json(second["after"]).state is fsrs.State.Review


def test_due_cards_come_first_longest_due_first_then_todays_new_ones() -> None:
    ours = review(new_per_day=3)
    ours.answer("p/one#1", "again", NOW)  # due in a minute
    ours.answer("p/one#0", "good", NOW)  # due in ten
    assert [c.card.id for c in ours.due(NOW)] == ["p/one#2"], "two of today's three new cards have been used"
    later = ours.due(NOW + timedelta(minutes=30))
    assert [c.card.id for c in later] == ["p/one#1", "p/one#0", "p/one#2"]
    assert ours.next_due(NOW) == NOW + timedelta(minutes=1)
    counts = ours.counts(NOW + timedelta(minutes=30))
    assert (counts.due, counts.new, counts.done_today, counts.available) == (2, 1, 2, 13)


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system cannot change the time zone of a process")
def test_the_limit_on_new_cards_begins_again_with_the_learners_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten in the evening and one in the morning in Tokyo are two days, though one day in UTC."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        evening = datetime(2026, 11, 24, 13, tzinfo=UTC)  # 22:00 in Tokyo
        ours = review(new_per_day=1)
        ours.answer("p/one#0", "easy", evening)
        assert ours.due(evening + timedelta(hours=1)) == []
        assert [c.card.id for c in ours.due(evening + timedelta(hours=3))] == ["p/one#1"]
        assert ours.counts(evening + timedelta(hours=3)).done_today == 0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_card_is_new_on_one_day_only() -> None:
    """Reviewing yesterday's card again today leaves today's new cards as many as they were."""
    ours = review(new_per_day=2)
    ours.answer("p/one#0", "again", NOW)
    tomorrow = NOW + timedelta(days=1)
    ours.answer("p/one#0", "easy", tomorrow)
    assert [c.card.id for c in ours.due(tomorrow)] == ["p/one#1", "p/one#2"]


def test_interview_mode_shows_interview_cards_only() -> None:
    ours = review()
    assert [c.card.id for c in ours.due(NOW, kind="interview")] == ["p/two#talk"]
    assert ours.counts(NOW, kind="interview").available == 1
    assert all(c.card.kind == "recall" for c in ours.due(NOW, kind="recall"))
    assert len(ours.due(NOW)) == 10


def test_the_forecast_counts_local_days_and_puts_overdue_cards_on_today() -> None:
    ours = review(enable_fuzzing=False)
    for i in range(3):
        ours.answer(f"p/one#{i}", "easy", NOW)
    due = ours.standing("p/one#0").due
    assert due is not None
    first = due.astimezone().date()
    assert ours.forecast(first, 3) == [3, 0, 0]
    assert ours.forecast(first - timedelta(1), 3) == [0, 3, 0]
    assert ours.forecast(first + timedelta(30), 2) == [3, 0]


def test_a_preview_changes_nothing_and_orders_the_ratings() -> None:
    ours = review()
    ours.answer("p/one#0", "easy", NOW)
    before = ours.standing("p/one#0")
    random.seed(0)
    preview = ours.preview("p/one#0", NOW + timedelta(days=9))
    assert ours.preview("p/one#0", NOW + timedelta(days=9)) == preview, "what is shown does not depend on chance"
    assert list(preview) == list(RATINGS)
    assert preview["again"] < preview["hard"] < preview["good"] < preview["easy"]
    assert ours.standing("p/one#0") == before


def test_a_moment_in_another_time_zone_is_the_same_moment() -> None:
    there = NOW.astimezone(timezone(timedelta(hours=-7)))
    assert review().answer("p/one#0", "good", there)["at"] == NOW.isoformat()


def test_what_cannot_be_reviewed_is_refused() -> None:
    with pytest.raises(UnknownName, match=r"no card to review called 'p/one#99'\. Did you mean p/one#9"):
        review().answer("p/one#99", "good", NOW)
    with pytest.raises(UsageError, match="rating must be again, hard, good, easy, or 1 to 4, not 'fine'"):
        review().answer("p/one#0", "fine", NOW)
    with pytest.raises(UsageError, match="rating must be .* not '5'"):
        review().answer("p/one#0", 5, NOW)
    with pytest.raises(UsageError, match="now must have a time zone"):
        review().answer("p/one#0", "good", datetime(2026, 11, 24))
    with pytest.raises(UsageError, match="new_per_day must be 0 or more, not -1"):
        review(new_per_day=-1)


def test_cards_become_available_when_their_unit_is_started() -> None:
    class Read:
        """A unit that remembers whether its cards were read."""

        def __init__(self, unit: str) -> None:
            self.unit, self.read = unit, False

        @property
        def cards(self) -> tuple[Card, ...]:
            self.read = True
            return tuple(card for card in CARDS if card.id.startswith(self.unit))

    def shown(states: dict[str, State], *, everything: bool = False) -> set[str]:
        found = {unit: Read(unit) for unit in ("p/one", "p/two")}
        cards: Any = available_cards(found, states, everything=everything)  # type: ignore[arg-type]
        units = {card.id.split("#")[0] for card in cards}
        assert {name for name, unit in found.items() if unit.read} == units
        return units

    assert shown({"p/one": State("started"), "p/two": State("new")}) == {"p/one"}
    for status in ("failed", "passed", "stale"):
        assert shown({"p/two": State(status)}) == {"p/two"}
    assert shown({}) == set()
    assert shown({}, everything=True) == {"p/one", "p/two"}


def test_fsrs_is_imported_by_the_first_answer_only() -> None:
    code = """
import sys
import time
from datetime import UTC, datetime
from groundup.course.learner.review import Review
from groundup.course.material.unit import Card
review = Review([], [Card("p/one#0", "f", "b")])
now = datetime.now(UTC)
review.due(now), review.counts(now), review.forecast(now.date())
assert "fsrs" not in sys.modules, "listing imports fsrs"
review.answer("p/one#0", "good", now)
assert "fsrs" in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
