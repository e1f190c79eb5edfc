"""What a person looks at first: levels over time, templates with counts, the newest lines.

All of it is asked of the store in SQL, so that a million lines are summed up in a moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from groundup.errors import UsageError
from groundup.systems.copilot.reading.logs import moment
from groundup.systems.copilot.reading.times import MONTH
from groundup.systems.copilot.store import Source, Store

LEVELS = ("fatal", "error", "warn", "info", "debug", "trace", "none")
WIDTHS = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 6 * 3600, 86_400, 7 * 86_400)  # seconds of a bar


@dataclass(frozen=True)
class Bar:
    """How many records of a level there are in a stretch of time.

    Attributes:
        begin: when the stretch begins, in seconds since 1970.
        level: the level; `none` for records without one.
        count: how many records.
    """

    begin: float
    level: str
    count: int


@dataclass(frozen=True)
class Seen:
    """A template, and how it came in some logs.

    Attributes:
        template: its id.
        text: its words, with `<*>` for each value.
        count: how many records it has there.
        errors: how many of them are errors.
        first: when it came first, in seconds since 1970; None where its records have no time.
        last: when it came last.
        source: the source of one of its records, as `#number`, which is what `Store.label` takes.
        position: the position of that record.
    """

    template: int
    text: str
    count: int
    errors: int
    first: float | None
    last: float | None
    source: str
    position: int


@dataclass(frozen=True)
class StoredLine:
    """A line as it is stored.

    Attributes:
        source: what its source is called.
        position: its place there, from 1.
        time: seconds since 1970; None where it has none.
        level: the level of its record.
        text: the line.
    """

    source: str
    position: int
    time: float | None
    level: str | None
    text: str


def timeline(store: Store, name: str | None = None, since: str | None = None, *, bars: int = 60) -> list[Bar]:
    """Records per level and stretch of time, at most `bars` stretches; without lines far from all others."""
    if not 1 <= bars <= 500:
        raise UsageError(f"bars must be from 1 to 500, got {bars}. More are narrower than a pixel.")
    scope = _scope(store, name, since)
    if scope is None:
        return []
    where, values = scope
    span = store.extent(f"{where} AND position = record", values, apart=MONTH)
    if span is None:
        return []
    wanted = (span[1] - span[0]) / bars
    width = next((step for step in WIDTHS if step > wanted), int(wanted) + 1)
    rows = store.connection.execute(
        f"SELECT floor(epoch(time) / {width}) * {width}, coalesce(level, 'none'), count(*) FROM lines "
        f"WHERE {where} AND position = record AND time BETWEEN make_timestamp(?::BIGINT) AND make_timestamp(?::BIGINT) "
        "GROUP BY ALL ORDER BY ALL",
        [*values, *(round(end * 1e6) for end in span)],
    ).fetchall()
    return [Bar(*row) for row in rows]


def seen_templates(store: Store, name: str | None = None, since: str | None = None, *, most: int = 100) -> list[Seen]:
    """The templates of some logs, the most frequent first."""
    scope = _scope(store, name, since)
    if scope is None:
        return []
    where, values = scope
    rows = store.connection.execute(
        "SELECT template, count(*), count(*) FILTER (level IN ('error', 'fatal')), epoch(min(time)), epoch(max(time)), "
        "min(source), arg_min(position, source) "
        f"FROM lines WHERE {where} AND template IS NOT NULL GROUP BY template",
        values,
    ).fetchall()
    texts = {template.id: template.text for template in store.miner.templates()}
    templates: dict[int, Seen] = {}
    for number, count, errors, first, last, source, position in rows:  # several may have become one template since
        id = store.miner.template_of(number)
        before = templates.get(id, Seen(id, texts[id], 0, 0, None, None, f"#{source}", position))
        templates[id] = Seen(
            id, texts[id], before.count + count, before.errors + errors,
            min((time for time in (before.first, first) if time is not None), default=None),
            max((time for time in (before.last, last) if time is not None), default=None),
            before.source, before.position,
        )  # fmt: skip
    return sorted(templates.values(), key=lambda seen: (-seen.count, seen.template))[:most]


def newest_lines(store: Store, name: str | None = None, *, most: int = 100) -> list[StoredLine]:
    """The newest lines of some logs, the oldest of them first."""
    sources = store.find(name)
    rows = store.connection.execute(
        "SELECT source, position, epoch(time), level, text FROM lines WHERE list_contains(?::INTEGER[], source) "
        "ORDER BY time DESC NULLS LAST, source DESC, position DESC LIMIT ?",
        [[source.id for source in sources], most],
    ).fetchall()
    return _lines(sources, rows[::-1])


def _lines(sources: list[Source], rows: list[Any]) -> list[StoredLine]:
    names = {source.id: source.name for source in sources}
    return [StoredLine(names[source], *rest) for source, *rest in rows]


def _scope(store: Store, name: str | None, since: str | None) -> tuple[str, list[Any]] | None:
    """The condition that picks the lines of a name from `since` on; None where there are none."""
    sources = store.find(name)
    where, values = "list_contains(?::INTEGER[], source)", [[source.id for source in sources]]
    if since is None:
        return where, values
    newest = store.newest(sources)
    if newest is None:
        return None
    return f"{where} AND time >= make_timestamp(?::BIGINT)", [*values, round(moment(since, newest) * 1e6)]
