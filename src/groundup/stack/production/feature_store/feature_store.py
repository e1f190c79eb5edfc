"""A feature store: what was known of an entity at some moment, for training (offline) and for serving (online).

    view = FeatureView("account", accounts, instants(events), instants(created), {"orders": orders}, ttl=7 * DAY)
    rows = join([view], accounts_of_the_labels, instants(times_of_the_labels))     # training: as of each label's time
    store = OnlineStore(["orders"], ttl=7 * DAY)
    store.materialise(view, now)                                                   # every hour: what is new since
    store.read(accounts, now)                                                      # serving

Times are microseconds since 1970 in UTC, as int64. A row has two of them: its *event* time, since when its values
hold, and its *created* time, at which the row was written. A correction is another row with the same event time.

Semantics are those of Feast's point-in-time join
(https://docs.feast.dev/getting-started/concepts/point-in-time-joins): at or before the event, not older than the time
to live, the row created last where several have the same event time. By default rows that were created after the
moment are not seen, which is an option of Feast's from 0.66 on; `known="now"` sees them.

Not covered: joins on several keys, features computed on demand, streams, and storage: all is in memory.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Instants = NDArray[np.int64]
Known = Literal["then", "now"]


def instants(times: Iterable[datetime | str]) -> Instants:
    """Moments as microseconds since 1970 in UTC, exactly.

    Args:
        times: datetimes, or ISO 8601 texts, each with its offset from UTC: 10:00+02:00 is 08:00 in UTC. Of the hour
            that the end of summer time repeats, `fold` of a datetime says which one is meant.

    Returns:
        int64 of shape (n_times,).

    Raises:
        ValueError: a time has no offset. It could be any of a day's moments.
    """
    moments = []
    for time in times:
        moment = datetime.fromisoformat(time) if isinstance(time, str) else time
        if moment.utcoffset() is None:
            raise ValueError(f"times must have an offset from UTC; got {time!s}. Say where the clock stood: …+00:00.")
        moments.append((moment - EPOCH) // timedelta(microseconds=1))
    return np.array(moments, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class FeatureView:
    """Rows of values of entities over time, in any order.

    Attributes:
        name: of the view.
        entities: whose values a row holds, of shape (n_rows,).
        events: since when they hold, of shape (n_rows,).
        created: when the row was written, of shape (n_rows,).
        values: for each feature its values, of shape (n_rows,); NaN where a row has none.
        ttl: time to live in microseconds: values older than that are not used. None if they live for ever.
    """

    name: str
    entities: NDArray
    events: Instants
    created: Instants
    values: Mapping[str, NDArray]
    ttl: int | None = None

    def __post_init__(self) -> None:
        count = len(self.entities)
        for name, column in {"events": self.events, "created": self.created, **self.values}.items():
            if len(column) != count:
                raise ValueError(f"{name} must have {count} rows, as entities; got {len(column)}.")
        _check_ttl(self.ttl)


def point_in_time(view: FeatureView, entities: ArrayLike, times: ArrayLike, known: Known = "then") -> NDArray[np.int64]:
    """Which row of a view holds for each entity at each time.

    Candidates are the entity's rows with an event time at or before the time and, known "then", a created time at or
    before it as well. Of these the latest counts: by event time, then by created time, then by its place in the view.
    If its event time is earlier than the time minus the view's time to live, there is none. Exactly at the end of its
    time to live it still counts.

    Args:
        view: rows in any order.
        entities: of shape (n_asked,); some may have no rows.
        times: of shape (n_asked,), in any order.
        known: "then" sees what had been written by the time; "now" also what was written later, corrections among
            it, as Feast does by default.

    Returns:
        Places of rows in the view, -1 where there is none; int64 of shape (n_asked,).

    Raises:
        ValueError: entities and times differ in length, or known is neither "then" nor "now" (see `_check_asked`).
    """
    asked, moments = _check_asked(entities, times, known)
    if not len(view.entities):
        return np.full(len(asked), -1)
    # 1. Sort by entity, event, created; the sort is stable, so the last of equal rows stays the last.
    names, code = np.unique(view.entities, return_inverse=True)
    order = np.lexsort((view.created, view.events, code))
    # 2. Entity and time in one number, so that one search finds the last row at or before each time.
    clock = np.unique(np.concatenate([view.events, moments]))
    keys = code[order] * len(clock) + np.searchsorted(clock, view.events[order])
    sought = np.searchsorted(names, asked) * len(clock) + np.searchsorted(clock, moments)
    at = np.searchsorted(keys, sought, side="right") - 1
    # 3. Step back over rows that nobody could know yet.
    while True:
        mine = (at >= 0) & (view.entities[order[at]] == asked)
        unknown = mine & (view.created[order[at]] > moments) & (known == "then")
        if not unknown.any():
            break
        at[unknown] -= 1
    # 4. Drop what is too old.
    alive = mine if view.ttl is None else mine & (view.events[order[at]] >= moments - view.ttl)
    return np.where(alive, order[at], -1)


def join(
    views: Sequence[FeatureView], entities: ArrayLike, times: ArrayLike, known: Known = "then"
) -> dict[str, NDArray[np.float64]]:
    """The features of several views as of each time, each view by its own rows and its own time to live.

    Args:
        views: with different names.
        entities: of shape (n_asked,).
        times: of shape (n_asked,).
        known: as in `point_in_time`.

    Returns:
        Columns "view__feature", in the order of the views; NaN where there is no value.
    """
    if len({view.name for view in views}) < len(views):
        raise ValueError(f"views must have different names; got {[view.name for view in views]}.")
    columns: dict[str, NDArray[np.float64]] = {}
    for view in views:
        rows = point_in_time(view, entities, times, known)
        for name, values in view.values.items():
            padded = np.append(np.asarray(values, dtype=float), np.nan)
            columns[f"{view.name}__{name}"] = padded[rows]  # -1 is the NaN at the end
    return columns


def latest(views: Sequence[FeatureView], entities: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """The naive join: the newest value of each entity, whatever the time of its label. It leaks; see the lesson."""
    asked = np.asarray(entities)
    end = max((int(view.events.max()) for view in views if len(view.events)), default=0)
    return join(views, asked, np.full(len(asked), end), "now")


class Entry(NamedTuple):
    """What the online store holds of an entity: two times and the values, in Python's numbers."""

    event: int
    created: int
    values: tuple[float, ...]


class OnlineStore:
    """The newest row of each entity of one view: what serving reads, without a history.

    Args:
        features: names of the values, in the order of the entries.
        ttl: as in the view.

    Attributes:
        entries: by entity.
        watermark: what was visible by then has been materialised; None before the first time.
    """

    def __init__(self, features: Sequence[str], ttl: int | None = None) -> None:
        _check_ttl(ttl)
        self.features, self.ttl = tuple(features), ttl
        self.entries: dict[Hashable, Entry] = {}
        self.watermark: int | None = None

    def write(self, entity: Hashable, entry: Entry) -> bool:
        """Keep an entry unless the entity has a newer one.

        Newer is a later event time or, at the same event time, a later created time. The same entry may be written
        again, and of two with the same times the one that is written last stays.

        Returns:
            Whether it was kept.

        Raises:
            ValueError: the entry has another number of values than there are features.
        """
        if len(entry.values) != len(self.features):
            raise ValueError(f"entry must have {len(self.features)} values; got {len(entry.values)}.")
        held = self.entries.get(entity)
        if held is not None and (held.event, held.created) > (entry.event, entry.created):
            return False
        self.entries[entity] = entry
        return True

    def materialise(self, view: FeatureView, now: int, overlap: int = 0) -> int:
        """Write the rows of a view that became visible since the watermark, and move the watermark to now.

        A row is visible from its event time or its created time on, whichever is later. So a row that arrives late,
        with an event time before the watermark, is not missed, and a price of tomorrow is not served today. Rows that
        became visible after watermark - overlap, and by now, are written (see `write`) in the order of the view; the
        first time, all by now.

        Args:
            view: its rows so far; it has at least this store's features.
            now: in microseconds.
            overlap: look again at rows that became visible shortly before the watermark: a transaction may have
                shown them later than their created time says. Writing twice changes nothing.

        Returns:
            How many rows were kept by `write`.

        Raises:
            ValueError: now is before the watermark, or overlap is negative.
        """
        if overlap < 0:
            raise ValueError(f"overlap must be at least 0; got {overlap}.")
        if self.watermark is not None and now < self.watermark:
            raise ValueError(
                f"now must not be before the watermark {self.watermark}; got {now}. Use the store's clock."
            )
        visible = np.maximum(view.events, view.created)
        fresh = visible <= now
        if self.watermark is not None:
            fresh &= visible > self.watermark - overlap
        kept = 0
        for at in np.flatnonzero(fresh):
            values = tuple(float(view.values[name][at]) for name in self.features)
            kept += self.write(view.entities[at], Entry(int(view.events[at]), int(view.created[at]), values))
        self.watermark = now
        return kept

    def read(self, entities: Sequence[Hashable] | NDArray, now: int) -> dict[str, NDArray[np.float64]]:
        """The features of entities at a moment.

        Args:
            entities: of shape (n_asked,).
            now: in microseconds. An entry with an event time earlier than now - ttl is not served.

        Returns:
            For each feature, in the store's order, float64 of shape (n_asked,); NaN where there is nothing to serve.
        """
        table = np.full((len(entities), len(self.features)), np.nan)
        for at, entity in enumerate(entities):
            entry = self.entries.get(entity)
            if entry is not None and (self.ttl is None or entry.event >= now - self.ttl):
                table[at] = entry.values
        return {name: table[:, column] for column, name in enumerate(self.features)}


@dataclass(frozen=True)
class Skew:
    """How one feature differs between training and serving, as shares of the rows.

    Attributes:
        only_offline: training has a value, serving had none.
        only_online: serving had a value, training has none.
        different: both have one, and they differ.
    """

    only_offline: float
    only_online: float
    different: float

    @property
    def total(self) -> float:
        """The share of rows that do not agree."""
        return self.only_offline + self.only_online + self.different


def skew(offline: Mapping[str, ArrayLike], online: Mapping[str, ArrayLike], tolerance: float = 0.0) -> dict[str, Skew]:
    """Compare features as training sees them with those that were served, row by row.

    NaN means no value: NaN on both sides agrees. Two values agree if they are equal, infinities too, or differ by no
    more than the tolerance.

    Args:
        offline: columns by feature, each of shape (n_rows,), joined for the moments at which serving answered.
        online: the columns that were served, logged at those moments.
        tolerance: at least 0.

    Returns:
        The skew of each feature, in the order of `offline`.

    Raises:
        ValueError: the two have not the same features or rows, no row at all, or tolerance is negative (see
            `_check_columns`).
    """
    _check_columns(offline, online, tolerance)
    result = {}
    for name in offline:
        left, right = np.array([offline[name], online[name]], dtype=float)
        no_left, no_right = np.isnan(left), np.isnan(right)
        with np.errstate(invalid="ignore"):  # infinity minus infinity
            apart = (left != right) & ~(np.abs(left - right) <= tolerance) & ~no_left & ~no_right
        result[name] = Skew(*(float(part.mean()) for part in (~no_left & no_right, no_left & ~no_right, apart)))
    return result


def _check_ttl(ttl: int | None) -> None:
    if ttl is not None and ttl < 0:
        raise ValueError(f"ttl must be at least 0 microseconds, or None for ever; got {ttl}.")


def _check_asked(entities: ArrayLike, times: ArrayLike, known: str) -> tuple[NDArray, Instants]:
    """Entities and times as arrays. Refuses different lengths, times that are no integers, and another `known`."""
    asked, moments = np.asarray(entities), np.asarray(times)
    if known not in ("then", "now"):
        raise ValueError(f"known must be 'then' or 'now'; got {known!r}.")
    if asked.shape != moments.shape:
        raise ValueError(f"times must have the shape of entities, {asked.shape}; got {moments.shape}.")
    if len(moments) and not np.issubdtype(moments.dtype, np.integer):
        raise ValueError(f"times must be integers, microseconds in UTC; got {moments.dtype}. Use instants() first.")
    return asked, moments.astype(np.int64)


def _check_columns(offline: Mapping[str, ArrayLike], online: Mapping[str, ArrayLike], tolerance: float) -> None:
    """Refuse other features, other rows, no rows, and a tolerance that is not at least 0."""
    if set(offline) != set(online):
        raise ValueError(f"online must have the features of offline, {sorted(offline)}; got {sorted(online)}.")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be at least 0; got {tolerance}.")
    for name in offline:
        here, there = len(np.asarray(offline[name])), len(np.asarray(online[name]))
        if here != there or not here:
            raise ValueError(f"online must have as many rows as offline, and one at least; {name} has {there}, {here}.")
