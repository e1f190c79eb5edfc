"""Review cards, scheduled by the `fsrs` package with its defaults.

Only the ledger keeps the state of a card: each `review` event holds the card before and after, as the package writes
it. FSRS spreads due days at random a little, so they cannot be computed again: the event is the truth.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from groundup.course.material.tracks import EventLike, StateLike
from groundup.course.material.unit import Card, Unit
from groundup.errors import UnknownName, UsageError

if TYPE_CHECKING:
    import fsrs

RATINGS = ("again", "hard", "good", "easy")
NEW_PER_DAY = 10
Kind = Literal["recall", "interview"]


@dataclass(frozen=True)
class ReviewCard:
    """A card and its state: `due` is None before the first review."""

    card: Card
    due: datetime | None
    reviews: int

    @property
    def unit(self) -> str:
        """The id of the unit that the card belongs to."""
        return self.card.id.split("#")[0]


@dataclass(frozen=True)
class Counts:
    """The cards that wait now, and the reviews done today."""

    due: int
    new: int
    done_today: int
    available: int


class Review:
    """The cards of a learner, rebuilt from the ledger.

    Args:
        events: the ledger's events, oldest first; only `review` is read.
        cards: the available cards, in the order in which new cards are shown (`available_cards`).
        new_per_day: the number of new cards shown on one day.
        enable_fuzzing: the package's own setting; False makes due dates computable from the ratings alone.
    """

    def __init__(
        self,
        events: Iterable[EventLike],
        cards: Iterable[Card],
        *,
        new_per_day: int = NEW_PER_DAY,
        enable_fuzzing: bool = True,
    ) -> None:
        if new_per_day < 0:
            raise UsageError(f"new_per_day must be 0 or more, not {new_per_day}.")
        self.new_per_day = new_per_day
        self.enable_fuzzing = enable_fuzzing
        self.cards = {card.id: card for card in cards}
        self._states: dict[str, str] = {}
        self._due: dict[str, datetime] = {}
        self._reviews: dict[str, list[datetime]] = {}
        for event in events:
            if event.kind == "review":
                self._keep(event.payload)

    def due(self, now: datetime, *, kind: Kind | None = None) -> list[ReviewCard]:
        """The cards to review now: due cards, the longest due first, then the new cards that today still allows."""
        now = _utc(now)
        shown = [self.standing(card_id) for card_id, card in self.cards.items() if kind in (None, card.kind)]
        waiting = sorted((c for c in shown if c.due and c.due <= now), key=lambda c: (c.due, c.card.id))
        return waiting + [c for c in shown if c.due is None][: self._new_left(now)]

    def counts(self, now: datetime, *, kind: Kind | None = None) -> Counts:
        """The cards that wait, the new cards left for today, and the reviews done today."""
        cards = self.due(now, kind=kind)
        new = sum(card.due is None for card in cards)
        start, end = _local_today(now)
        done = sum(start <= at < end for times in self._reviews.values() for at in times)
        available = sum(kind in (None, card.kind) for card in self.cards.values())
        return Counts(len(cards) - new, new, done, available)

    def next_due(self, now: datetime) -> datetime | None:
        """When the next card that is not due yet will be, or None."""
        now = _utc(now)
        later = [s.due for s in map(self.standing, self.cards) if s.due and s.due > now]
        return min(later, default=None)

    def forecast(self, today: date, days: int = 14) -> list[int]:
        """The number of reviewed cards due on each of the next days, in local days; overdue cards count for today."""
        counts = [0] * days
        for card in map(self.standing, self.cards):
            if card.due:
                index = max(0, (_local_day(card.due) - today).days)
                if index < days:
                    counts[index] += 1
        return counts

    def standing(self, card_id: str) -> ReviewCard:
        """The state of one card. Raises UnknownName."""
        card = self._known(card_id)
        if card_id in self._states and card_id not in self._due:  # read when first asked for: a page asks often
            self._due[card_id] = datetime.fromisoformat(json.loads(self._states[card_id])["due"])
        return ReviewCard(card, self._due.get(card_id), len(self._reviews.get(card_id, ())))

    def answer(self, card_id: str, rating: str | int, now: datetime) -> dict[str, Any]:
        """Review a card: schedule it, and return the payload of the `review` event to append.

        Args:
            card_id: the card.
            rating: `again`, `hard`, `good`, `easy`, or 1 to 4.
            now: the moment of the review, with a time zone.

        Raises:
            UnknownName: the card does not exist or is not available yet.
            UsageError: the rating is none of the four, or `now` has no time zone.
        """
        from fsrs import Rating

        self._known(card_id)
        score = _rating(rating)
        now = _utc(now)
        before = self._fsrs_card(card_id, now)
        after, _ = self._scheduler.review_card(before, Rating(score), now)
        payload = {
            "card": card_id,
            "rating": RATINGS[score - 1],
            "at": now.isoformat(),
            "before": before.to_json(),
            "after": after.to_json(),
        }
        self._keep(payload)
        return payload

    def preview(self, card_id: str, now: datetime) -> dict[str, timedelta]:
        """The delay that each rating would give the card, without the random spread."""
        from fsrs import Rating, Scheduler

        self._known(card_id)
        now = _utc(now)
        scheduler, card = Scheduler(enable_fuzzing=False), self._fsrs_card(card_id, now)
        return {name: scheduler.review_card(card, Rating(i), now)[0].due - now for i, name in enumerate(RATINGS, 1)}

    @cached_property
    def _scheduler(self) -> fsrs.Scheduler:
        from fsrs import Scheduler

        return Scheduler(enable_fuzzing=self.enable_fuzzing)

    def _fsrs_card(self, card_id: str, now: datetime) -> fsrs.Card:
        from fsrs import Card

        state = self._states.get(card_id)
        if state:
            return Card.from_json(state)
        # Without an id, the package waits a millisecond to make a unique one.
        return Card(card_id=1 + len(self._states), due=now)

    def _known(self, card_id: str) -> Card:
        if card_id not in self.cards:
            raise UnknownName("card to review", card_id, self.cards, see="groundup review")
        return self.cards[card_id]

    def _keep(self, payload: Mapping[str, Any]) -> None:
        self._states[payload["card"]] = payload["after"]
        self._due.pop(payload["card"], None)
        self._reviews.setdefault(payload["card"], []).append(datetime.fromisoformat(payload["at"]))

    def _new_left(self, now: datetime) -> int:
        start, end = _local_today(now)
        begun = sum(start <= times[0] < end for times in self._reviews.values())
        return max(0, self.new_per_day - begun)


def available_cards(
    units: Mapping[str, Unit], states: Mapping[str, StateLike], *, everything: bool = False
) -> tuple[Card, ...]:
    """The cards of started units, or of all units with `everything`; other units' files are not read."""
    begun = {unit for unit, state in states.items() if state.status not in ("planned", "new")}
    return tuple(card for name, unit in units.items() if everything or name in begun for card in unit.cards)


def _rating(rating: str | int) -> int:
    text = str(rating).strip().lower()
    if text in RATINGS:
        return RATINGS.index(text) + 1
    if text in ("1", "2", "3", "4"):
        return int(text)
    raise UsageError(f"rating must be {', '.join(RATINGS)}, or 1 to 4, not '{rating}'.")


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise UsageError(f"now must have a time zone (`datetime.now(UTC)`), got {moment.isoformat()}.")
    return moment.astimezone(UTC)


def _local_today(now: datetime) -> tuple[datetime, datetime]:
    """The beginning and the end of the learner's day: one conversion, however many reviews are compared with it."""
    midnight = datetime.combine(_local_day(now), time.min)
    return midnight.astimezone(UTC), (midnight + timedelta(days=1)).astimezone(UTC)


def _local_day(moment: datetime) -> date:
    """The learner's day: that of the machine's own time zone."""
    return moment.astimezone().date()
