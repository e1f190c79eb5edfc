"""The copilot's store: log lines, where to go on reading each source, and the templates, in one DuckDB file.

    with open_store("copilot.duckdb") as store:
        source = store.source(Source("file", "app.log"))
        store.append(source, ["INFO started", "ERROR pool exhausted"], cursor={"offset": 34})
        why(store.records())

One transaction holds the lines of a batch, the cursor of their source and what the miner learnt from them: a process
that is killed at any moment has stored all of a batch or nothing, and the next one goes on right behind it.

Secrets are hidden (`secrets`) before anything else is done with a line; otherwise it is stored as it was written. One
process writes at a time; readers wait a few seconds for it. No time is ever taken from the clock of this machine.
"""

from __future__ import annotations

import gc
import heapq
import json
import math
import re
import time as clock
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import StoreError, UnknownName, UsageError
from groundup.extras import need
from groundup.secrets import hide_all
from groundup.systems.copilot.finding.templates import Miner
from groundup.systems.copilot.reading.logs import MAX_JOINED, WINDOW, Record, after, moment, parse
from groundup.systems.copilot.reading.parsed import well_formed
from groundup.systems.copilot.reading.times import DAY, ENDS, MONTH, trimmed
from groundup.systems.copilot.reading.wrappers import Unwrapper

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from groundup.systems.copilot.reading.patterns import Patterns

WAIT = 5.0  # seconds that a process waits for another one to let go of the store
CHUNK = 2_000  # lines that are read at once
GATHERED = 50_000  # lines of small appends that are written together
HELD = 2_000  # lines of several streams that are looked at again when lines follow them
NEVER = -(2**63)  # no time, as NumPy and DuckDB write it


@dataclass(frozen=True)
class Source:
    """Where lines come from.

    Attributes:
        kind: `file`, `stdin`, `upload`, `pushed`, `container` or `events`.
        name: what people call it: a path, or `namespace/pod/container`.
        cluster: the cluster's name in the kubeconfig, or its address.
        namespace: the namespace.
        pod: the pod's name.
        uid: the pod's uid: a pod that is made again under its name is another one.
        container: the container's name.
        restart: how often the container had been restarted when it wrote this.
        id: its number in the store; 0 for one that is not there yet.
        lines: how many lines of it are stored.
        cursor: where to go on reading, as plain data.
    """

    kind: str
    name: str
    cluster: str = ""
    namespace: str = ""
    pod: str = ""
    uid: str = ""
    container: str = ""
    restart: int = 0
    id: int = 0
    lines: int = 0
    cursor: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes it this source and no other; a file's identity is its content (`files`)."""
        return (self.kind, self.cluster, self.namespace, self.pod, self.uid, self.container, self.restart, self.name)


# ── opening ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _first(connection: DuckDBPyConnection) -> None:
    connection.execute(
        """
        CREATE TABLE sources (
            id INTEGER, kind VARCHAR, name VARCHAR, cluster VARCHAR, namespace VARCHAR, pod VARCHAR, uid VARCHAR,
            container VARCHAR, restart INTEGER,
            lines BIGINT,     -- how many are stored; the position of the last one
            cursor VARCHAR    -- JSON: where to go on
        );
        CREATE TABLE lines (
            source INTEGER, position BIGINT,  -- from 1, without gaps
            record BIGINT,      -- the position of the line that it belongs to: its own, unless it goes on an exception
            time TIMESTAMP,     -- UTC; of a container's line, when the runtime received it
            level VARCHAR, service VARCHAR,
            template INTEGER,   -- of a record's first line; `templates` says what became of it
            -- Half as large, and written in half the time, as with what DuckDB 2 finds by trying; older ones keep it as
            -- it is.
            text VARCHAR USING COMPRESSION zstd
        );
        CREATE TABLE templates (id INTEGER, pattern VARCHAR, count BIGINT, parent INTEGER, examples VARCHAR);
        CREATE TABLE miner (version INTEGER, general VARCHAR, fresh INTEGER);
        """
    )


def _second(connection: DuckDBPyConnection) -> None:
    # What people said that a record is; the position is that of its first line.
    connection.execute("CREATE TABLE feedback (source INTEGER, position BIGINT, label VARCHAR)")


def _third(connection: DuckDBPyConnection) -> None:
    # The words that take turns in headers which were not taken off (JSON), as the miner's snapshot has them.
    connection.execute("ALTER TABLE miner ADD COLUMN header VARCHAR DEFAULT '{}'")


# Numbered by their place and append-only: a store that somebody has is brought up to date step by step.
MIGRATIONS: tuple[Callable[[DuckDBPyConnection], None], ...] = (_first, _second, _third)


@contextmanager
def open_store(
    path: str | Path, *, reading: bool = False, wait: float = WAIT, patterns: Patterns | None = None
) -> Iterator[Store]:
    """The store in a file, made where there is none (unless `reading`); closed in the end.

    Args:
        path: the file.
        reading: whether nothing will be written: several processes may read at a time.
        wait: seconds to wait for a process that holds it.
        patterns: formats and maskings of one's own, for what is stored and for what is read.
    """
    path = Path(path)
    if reading and not path.exists():
        raise UsageError(
            f"store must be a file that exists, and '{path}' does not. "
            "Fill it with `groundup copilot ingest` or `groundup copilot collect`, or name another one with --store."
        )
    connection = _connect(path, reading, wait)
    import duckdb

    try:
        version = _version(connection, path)
        if version < len(MIGRATIONS) and reading:
            connection.close()
            connection = _connect(path, False, wait)
        _migrate(connection, version)
        yield Store(path, connection, patterns)
    except duckdb.Error as error:  # a full disk, most of all
        raise StoreError(
            f"store must be a file that can be read and written, and '{path}' could not be: {error}. "
            "Free some space, or name another file with --store; what was stored before is there, and the next run "
            "goes on behind it."
        ) from error
    finally:
        connection.close()


def _connect(path: Path, reading: bool, wait: float) -> DuckDBPyConnection:
    need("The copilot's store", "duckdb")
    import duckdb

    deadline = clock.monotonic() + wait
    while True:
        try:
            # Nothing that a log line says may make DuckDB fetch an extension or a file.
            return duckdb.connect(
                str(path), read_only=reading,
                config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"},
            )  # fmt: skip
        except duckdb.Error as error:
            message = str(error)
            if "lock" in message and clock.monotonic() < deadline:
                clock.sleep(0.05)
                continue
            raise _unopened(path, message) from error


def _unopened(path: Path, message: str) -> StoreError:
    if "lock" in message:
        holder = re.search(r"held in (.*?) ?\(PID (\d+)\)", message)
        who = f"process {holder[2]} ({Path(holder[1]).name}) holds it" if holder else "another process holds it"
        return StoreError(
            f"store must be open in one process at a time, and '{path}' is not free: {who}. "
            "Wait until it is done, stop it, or use another file with --store."
        )
    if "not a valid DuckDB" in message:
        return StoreError(
            f"store must be a DuckDB file, and '{path}' is another kind of file. Name another with --store."
        )
    if path.is_dir():
        return StoreError(
            f"store must be a file, and '{path}' is a folder. Name a file in it: {path / 'copilot.duckdb'}"
        )
    if not path.parent.is_dir():
        return StoreError(f"store must be in a folder that exists, and '{path.parent}' does not. Make it first.")
    reason = message.splitlines()[0].removeprefix("IO Error: ")
    return StoreError(f"store must be a file that can be opened, and '{path}' cannot: {reason}")


def _version(connection: DuckDBPyConnection, path: Path) -> int:
    tables = {row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    if "schema_version" not in tables:
        if tables:
            raise StoreError(
                f"store must be a file of the copilot's own, and '{path}' holds other tables "
                f"({', '.join(sorted(tables)[:3])}). Name another with --store."
            )
        return 0
    version = _one(connection.execute("SELECT max(version) FROM schema_version"))
    if version > len(MIGRATIONS):
        raise StoreError(
            f"store must be of version {len(MIGRATIONS)} or older, and '{path}' is of version {version}: "
            "a newer groundup wrote it. Update groundup, or name another file with --store."
        )
    return version


def _migrate(connection: DuckDBPyConnection, version: int) -> None:
    if version == len(MIGRATIONS):
        return
    connection.begin()  # all steps or none: a commit costs more than a step
    if not version:
        connection.execute("CREATE TABLE schema_version (version INTEGER)")
    for step in MIGRATIONS[version:]:
        step(connection)
    connection.execute("INSERT INTO schema_version SELECT unnest(range(?, ?))", [version + 1, len(MIGRATIONS) + 1])
    connection.commit()


def _one(result: Any) -> Any:
    return result.fetchone()[0]


# ── the store ───────────────────────────────────────────────────────────────────────────────────────────────────────
@contextmanager
def _without_collecting() -> Iterator[None]:
    """Let the garbage collector wait: a batch makes no cycles, and each look for some goes through all imports."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@dataclass
class _Tail:
    """The lines from a source's first record on that may go on: what comes next may belong to it."""

    first: int = 1  # the position of the first of them
    record: int = 0  # the record of the last of them
    texts: list[str] = field(default_factory=list)
    times: list[float | None] = field(default_factory=list)


@dataclass
class _Append:
    """An append that is not written yet: its source before and after it, and the columns of its lines."""

    known: bool  # whether the source is in the file
    cut: bool  # whether last lines of it are replaced
    before: int  # how many lines it had
    stored: Source
    columns: dict[str, Any]
    changed: list[tuple[int, str | None, str | None, int]]


@dataclass
class _Rows:
    """What the records of a batch are made of.

    Attributes:
        which: for each line, the record that it belongs to; -1 is the last one held.
        opened: the first line, held ones counted, whose record may still go on.
        last: the position and the time of the last record held.
        places: the position of each record, held ones as well.
        times: the time of each.
        starts: of each new record, which line is its first.
        levels: of each new record.
        services: of each new record.
        templates: of each new record.
        changed: held records whose message goes on: position, level, service, template.
    """

    which: Any
    opened: int
    last: tuple[int, float]
    places: Any = None
    times: list[float | None] = field(default_factory=list)
    starts: Any = None
    levels: list[str | None] = field(default_factory=list)
    services: list[str | None] = field(default_factory=list)
    templates: list[int] = field(default_factory=list)
    changed: list[tuple[int, str | None, str | None, int]] = field(default_factory=list)


class Store:
    """An open store. `open_store` makes one."""

    def __init__(self, path: Path, connection: DuckDBPyConnection, patterns: Patterns | None = None) -> None:
        self.path = path
        self.connection = connection
        self.patterns = patterns
        self._tails: dict[int, _Tail] = {}
        self._miner: Miner | None = None
        self._mined: list[list[Any]] = []  # the templates as they are in the file
        self._gathering = False
        self._pending: list[_Append] = []
        self._last_id: int | None = None

    # ── sources ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def sources(self) -> list[Source]:
        """All sources, in the order in which they came."""
        rows = self.connection.execute(
            "SELECT kind, name, cluster, namespace, pod, uid, container, restart, id, lines, cursor FROM sources "
            "ORDER BY id"
        ).fetchall()
        return [Source(*row[:-1], cursor=json.loads(row[-1])) for row in rows]  # type: ignore[call-arg]

    def known(self, source: Source) -> Source:
        """The source as it is in the store; as given where it is not there yet."""
        return next((stored for stored in self.sources() if stored.key == source.key), source)

    def find(self, name: str | None) -> list[Source]:
        """The sources that a name means: a namespace, pod or container, what a pod's name begins with, or a file."""
        every = self.sources()
        if name is None:
            return every
        sources = [source for source in every if _means(name, source)]
        if not sources:
            known = {part for source in every for part in (source.pod, source.name) if part}
            raise UnknownName(
                "pod or file in the store", name, known, see=f"groundup copilot status --store {self.path}"
            )
        return sources

    def unread(self, name: str | None = None) -> list[str]:
        """What is missing of the sources that a name means, in words: files that were cut or damaged."""
        return [cut for source in self.find(name) if (cut := source.cursor.get("cut"))]

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────
    @_without_collecting()
    def append(
        self,
        source: Source,
        lines: Sequence[str],
        *,
        cursor: dict[str, Any],
        times: Sequence[int] | None = None,
        seen: Counter[tuple[int, str]] | None = None,
        redo: int = 0,
        zone: tzinfo | None = None,
    ) -> Source:
        """Store the next lines of a source and its cursor, all or nothing.

        Args:
            source: where they are from; one that the store does not know yet is taken in.
            lines: the lines, without their ends.
            cursor: where to go on behind them.
            times: when each was received, in microseconds since 1970, where the container runtime says so.
            seen: lines that are stored already, with their times and how often; each is left out once, and taken off.
            redo: how many of the last lines stored are replaced, because they were not whole.
            zone: the zone of times that name none; UTC unless given.

        Returns:
            The source as it is now.
        """
        import numpy as np

        try:
            if redo or any(append.stored.id == source.id for append in self._pending):
                self.flush()
            texts = hide_all(_well_formed(lines))
            if seen:
                new = [not _take(seen, (times or [])[i], text) for i, text in enumerate(texts)]
                texts = [text for text, is_new in zip(texts, new, strict=True) if is_new]
                times = [time for time, is_new in zip(times or [], new, strict=True) if is_new]
            before = replace(source, lines=source.lines - redo)
            if redo:
                self._tails.pop(source.id, None)
            columns = self._batch(before, texts, times, zone)
            changed = columns.pop("changed")
            stored = replace(before, lines=before.lines + len(texts), cursor=cursor)
            if not source.id:
                stored = replace(stored, id=self._new_id())
                self._tails[stored.id] = self._tails.pop(0, _Tail())
            columns["source"] = np.full(len(texts), stored.id, dtype="int32")
            self._pending.append(_Append(bool(source.id), redo > 0, before.lines, stored, columns, changed))
            if not self._gathering or sum(len(append.columns["text"]) for append in self._pending) >= GATHERED:
                self.flush()
        except BaseException:
            self._forget()
            raise
        return stored

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Write the appends within together, up to `GATHERED` lines in a transaction: files may be many and small.

        An append that returned is in the file once `written` is true. If one fails, those before it that are not
        written yet are not stored either.
        """
        self._gathering = True
        try:
            yield
            self.flush()
        except BaseException:
            with suppress(Exception):
                self.flush()  # whole appends; after one that failed there are none
            raise
        finally:
            self._gathering = False

    @property
    def written(self) -> bool:
        """Whether all that was appended is in the file."""
        return not self._pending

    def flush(self) -> None:
        """Write what is pending, all or nothing."""
        import numpy as np

        if not self._pending:
            return
        try:
            self.connection.begin()
            self._write_sources()
            columns = [append.columns for append in self._pending if len(append.columns["text"])]
            if columns:
                self._insert(
                    {name: np.concatenate([some[name] for some in columns]) for name in columns[0]},
                    "lines SELECT source, position, record, time, level, service, nullif(template, -1), text",
                )
            for append in self._pending:
                for position, *values in append.changed:  # a part of a message came with this batch
                    self.connection.execute(
                        "UPDATE lines SET level = ?, service = ?, template = ? WHERE source = ? AND position = ?",
                        [*values, append.stored.id, position],
                    )
            self._write_templates()
            self.connection.commit()
        except BaseException:
            self._forget()
            raise
        self._pending = []

    def _forget(self) -> None:
        """Forget what was learnt and is not in the file: it is read again when it is needed."""
        self._tails.clear()
        self._pending, self._miner, self._last_id = [], None, None
        with suppress(Exception):  # there may be no transaction to go back from
            self.connection.rollback()

    def _new_id(self) -> int:
        last = self._last_id
        if last is None:
            last = _one(self.connection.execute("SELECT coalesce(max(id), 0) FROM sources"))
        self._last_id = last + 1
        return last + 1

    def _batch(
        self, source: Source, texts: list[str], times: Sequence[int] | None, zone: tzinfo | None
    ) -> dict[str, Any]:
        """The columns of the lines that come next; the last records of the source may go on in them."""
        import numpy as np

        tail = self._tail(source)
        first, size = source.lines + 1, len(texts)
        received = None if times is None else [time / 1e6 for time in times]
        rows = self._rows(tail, first, texts, received, zone)
        # An empty line goes with the line before it.
        which = rows.which
        which = which[np.maximum.accumulate(np.where(which >= 0, np.arange(size), 0))] if size else which
        owners = np.append(rows.places, rows.last[0])[which]
        if times is None:
            moments = np.array([*rows.times, rows.last[1]], dtype="float64")[which]  # None becomes nan
            moments = np.where(np.isnan(moments), NEVER, np.rint(moments * 1e6))
        else:
            moments = np.asarray(times)
        templates = np.full(size, -1, dtype="int32")
        templates[rows.starts] = rows.templates
        owner = int(owners[-1]) if size else rows.last[0]
        self._tails[source.id] = _tail_after(tail, rows.opened, first, texts, received, owner)
        return {
            "position": np.arange(first, first + size),
            "record": owners,
            "time": moments.astype("int64").view("datetime64[us]"),
            "level": _spread(rows.levels, rows.starts, size),
            "service": _spread(rows.services, rows.starts, size),
            "template": templates,
            "text": np.array(texts, dtype=object),
            "changed": rows.changed,
        }

    def _rows(
        self, tail: _Tail, first: int, texts: list[str], received: list[float] | None, zone: tzinfo | None
    ) -> _Rows:
        """The records of the lines that come next, and of the held ones that go on in them; new ones are mined."""
        import numpy as np

        held, size, mine = len(tail.texts), len(texts), self.miner.add
        rows = _Rows(np.full(size, -1), opened=held + size + 1, last=(tail.record or first, math.nan))
        numbers: list[int] = []  # of all records, their lines
        below: list[tuple[int, int]] = []  # lines that belong to a record above them, each with the record's index
        # This loop sees every record, so what it does for each is looked up once.
        add_number, add_time, add_level = numbers.append, rows.times.append, rows.levels.append
        add_service, add_template = rows.services.append, rows.templates.append
        stream = parse(
            chain(tail.texts, texts),
            times=None if received is None else chain(tail.times, received), zone=zone, patterns=self.patterns,
        )  # fmt: skip
        for record in stream:
            number = record.number
            add_number(number)
            add_time(record.time)
            if record.open:
                rows.opened = min(rows.opened, number)
            if record.below:
                index = len(numbers) - 1
                below += [(number + line, index) for line in record.below if number + line > held]
            if number > held:
                add_level(record.level)
                add_service(record.service)
                add_template(mine(record.message))
                continue
            place = tail.first + number - 1
            if record.parts and number + record.below[-1] > held:
                rows.changed.append((place, record.level, record.service, mine(record.message)))
            if place == tail.record:
                rows.last = (place, math.nan if record.time is None else record.time)
        lines = np.array(numbers, dtype="int64") - held  # of those that are new, from 1
        new = lines > 0
        rows.places = np.where(new, first - 1 + lines, tail.first - 1 + lines + held)
        rows.starts = lines[new] - 1
        rows.which[rows.starts] = np.flatnonzero(new)
        if below:
            places, owners = np.array(below, dtype="int64").T
            rows.which[places - held - 1] = owners
        return rows

    @property
    def _has_pods(self) -> bool:
        formats = () if self.patterns is None else self.patterns.formats.values()
        return any("pod" in pattern.groupindex for pattern in formats)

    def _tail(self, source: Source) -> _Tail:
        tail = self._tails.get(source.id)
        if tail is None:
            tail = _Tail()
            if not source.lines:
                return tail
            where = "source = $source AND position <= $last"
            last = {"source": source.id, "last": source.lines}
            row = self.connection.execute(
                f"SELECT text, record FROM lines WHERE {where} AND position = $last", last
            ).fetchone()
            if row is None:
                return tail
            # A file of several streams has several records that may go on.
            begin = row[1]
            if row[0] and (self._has_pods or Unwrapper()(row[0]).stream):
                begin = _one(self.connection.execute(
                    f"SELECT min(record) FROM lines WHERE {where} AND position > $last - {WINDOW}", last
                ))  # fmt: skip
            rows = self.connection.execute(
                f"SELECT epoch_us(time), text FROM lines WHERE {where} AND position >= $begin ORDER BY position "
                f"LIMIT {MAX_JOINED + 1 if begin == row[1] else HELD}",
                last | {"begin": begin},
            ).fetchall()
            times = [None if time is None else time / 1e6 for time, _ in rows]
            tail = _Tail(begin, row[1], [text for _, text in rows], times)
        return tail

    def _write_sources(self) -> None:
        new: list[list[Any]] = []
        for append in self._pending:
            stored, cursor = append.stored, json.dumps(append.stored.cursor)
            if append.known:
                self.connection.execute(
                    "UPDATE sources SET name = ?, lines = ?, cursor = ? WHERE id = ?",
                    [stored.name, stored.lines, cursor, stored.id],
                )
            else:
                new.append([
                    stored.id, stored.kind, stored.name, stored.cluster, stored.namespace, stored.pod, stored.uid,
                    stored.container, stored.restart, stored.lines, cursor,
                ])  # fmt: skip
            if append.cut:
                self.connection.execute(
                    "DELETE FROM lines WHERE source = ? AND position > ?", [stored.id, append.before]
                )
        if new:  # in one statement: each costs more than its row
            row = f"({', '.join('?' * len(new[0]))})"
            self.connection.execute(f"INSERT INTO sources VALUES {', '.join([row] * len(new))}", [*chain(*new)])

    def _insert(self, batch: dict[str, Any], into: str) -> None:
        """Insert columns of NumPy, which DuckDB reads without a look at each value."""
        self.connection.execute(f"INSERT INTO {into} FROM batch")  # DuckDB finds `batch` by its name

    # ── templates ───────────────────────────────────────────────────────────────────────────────────────────────────
    @property
    def miner(self) -> Miner:
        """The miner as it was after the last batch; one for all sources."""
        if self._miner is None:
            rows = self.connection.execute(
                "SELECT pattern, count, examples, parent FROM templates ORDER BY id"
            ).fetchall()
            state = self.connection.execute("SELECT version, general, fresh, header FROM miner").fetchone()
            self._mined = [[row[0], row[1], json.loads(row[2]), row[3]] for row in rows]
            self._miner = Miner() if state is None else Miner.restore(
                {"version": state[0], "patterns": self._mined, "general": json.loads(state[1]), "fresh": state[2],
                 "header": json.loads(state[3])}
            )  # fmt: skip
        return self._miner

    def _write_templates(self) -> None:
        """Write what the miner learnt since the last batch: rows that are new or changed."""
        import numpy as np

        snapshot = self.miner.snapshot()
        before, after = self._mined, snapshot["patterns"]
        changed = [i for i, row in enumerate(after) if i >= len(before) or row != before[i]]
        if changed:
            if old := [i for i in changed if i < len(before)]:
                self.connection.execute("DELETE FROM templates WHERE id IN (SELECT unnest(?::INTEGER[]))", [old])
            patterns, counts, examples, parents = zip(*(after[i] for i in changed), strict=True)
            self._insert(
                {
                    "id": np.array(changed), "pattern": np.array(patterns, dtype=object), "count": np.array(counts),
                    "parent": np.array(parents), "examples": np.array([*map(json.dumps, examples)], dtype=object),
                },
                "templates SELECT id, pattern, count, parent, examples",
            )  # fmt: skip
            state = [snapshot["version"], *(json.dumps(snapshot[part]) for part in ("general", "fresh", "header"))]
            known = before or _one(self.connection.execute("SELECT count(*) FROM miner"))
            self.connection.execute(
                "UPDATE miner SET version = ?, general = ?, fresh = ?, header = ?" if known
                else "INSERT INTO miner VALUES (?, ?, ?, ?)", state
            )  # fmt: skip
        self._mined = after

    # ── feedback ────────────────────────────────────────────────────────────────────────────────────────────────────
    def label(self, name: str, position: int, label: str | None, *, alike: bool = False) -> int:
        """Say what the record of a line is, or with None take back what was said.

        Args:
            name: the line's source, by a name that means no other one, or by its number: `#3`.
            position: the line.
            label: what it is.
            alike: whether this goes for all records of its template, in all sources.

        Returns:
            How many records were labelled.
        """
        if label is not None and not label.strip():
            raise UsageError("label must be a word, got an empty one. To take back what was said, use --remove.")
        source = self._only(name, position)
        rows = self.connection.execute(
            "SELECT DISTINCT source, record FROM lines WHERE source = $source AND record = "
            "(SELECT record FROM lines WHERE source = $source AND position = $position)",
            {"source": source.id, "position": position},
        ).fetchall()
        if alike:
            rows = self._alike(*rows[0])
        sources, records = [row[0] for row in rows], [row[1] for row in rows]
        self.connection.begin()
        self.connection.execute(
            "DELETE FROM feedback WHERE (source, position) IN (SELECT unnest(?::INTEGER[]), unnest(?::BIGINT[]))",
            [sources, records],
        )
        if label is not None:
            self.connection.execute(
                "INSERT INTO feedback SELECT unnest(?::INTEGER[]), unnest(?::BIGINT[]), ?",
                [sources, records, label.strip()],
            )
        self.connection.commit()
        return len(rows)

    def _only(self, name: str, position: int) -> Source:
        """The one source that a name means."""
        every = [source for source in self.sources() if f"#{source.id}" == name] or self.find(name)
        sources = [source for source in every if 1 <= position <= source.lines]
        if not sources:
            lines = max(source.lines for source in every)
            raise UsageError(f"The line must be from 1 to {lines:,}, which is how many {name} has, got {position}.")
        if len(sources) > 1:
            known = ", ".join(f"#{source.id} ({source.name}, restart {source.restart})" for source in sources[:5])
            raise UsageError(
                f"The source must be one, and '{name}' means {len(sources)}. Name it by its number: {known}"
            )
        return sources[0]

    def _alike(self, source: int, record: int) -> list[tuple[int, int]]:
        """The records of the same template as one."""
        miner = self.miner
        number = _one(
            self.connection.execute("SELECT template FROM lines WHERE source = ? AND position = ?", [source, record])
        )
        rows = self.connection.execute(
            "SELECT source, record, template FROM lines WHERE template IS NOT NULL"
        ).fetchall()
        wanted = miner.template_of(number)
        same = {number for number in {row[2] for row in rows} if miner.template_of(number) == wanted}
        return [(row[0], row[1]) for row in rows if row[2] in same]

    def labelled(self) -> Iterator[tuple[Record, str, str]]:
        """The records that have a label, with it and their template."""
        miner = self.miner
        rows = self.connection.execute(
            "SELECT source, f.position, label, list(epoch_us(l.time) ORDER BY l.position), "
            "list(l.text ORDER BY l.position), first(l.template) FILTER (l.template IS NOT NULL) "
            "FROM feedback f JOIN lines l USING (source) WHERE l.record = f.position GROUP BY ALL "
            "ORDER BY source, f.position"
        ).fetchall()
        sources = {source.id: source for source in self.sources()}
        for number, position, label, times, texts, template in rows:
            source = sources[number]
            received = (None if time is None else time / 1e6 for time in times)
            for record in parse(
                texts, source=source.name, times=received, stored=source.kind != "container", patterns=self.patterns
            ):
                record.number += position - 1
                yield record, label, str(miner.template_of(template))
                break

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def texts(self, source: Source) -> list[str]:
        """The lines of a source."""
        rows = self.connection.execute(
            "SELECT text FROM lines WHERE source = ? ORDER BY position", [source.id]
        ).fetchall()
        return [row[0] for row in rows]

    def around(self, source: Source, position: int, count: int) -> tuple[int, list[str]]:
        """A line of a source with the `count` before and behind it, and the position of the first of them.

        An exception is whole: what belongs to the line's record counts as the line.
        """
        rows = self.connection.execute(
            "WITH here AS (SELECT min(position) AS a, max(position) AS z FROM lines WHERE source = $source "
            "AND record = (SELECT record FROM lines WHERE source = $source AND position = $position)) "
            "SELECT position, text FROM lines, here WHERE source = $source "
            "AND position BETWEEN a - $count AND z + $count ORDER BY position",
            {"source": source.id, "position": position, "count": count},
        ).fetchall()
        return (rows[0][0] if rows else position), [text for _, text in rows]

    def says(self, source: Source, position: int, text: str) -> bool:
        """Whether this line of a source begins with this text."""
        row = self.connection.execute(
            "SELECT text FROM lines WHERE source = ? AND position = ?", [source.id, position]
        ).fetchone()
        return row is not None and row[0] == text.split("\n")[0]

    def search(self, words: Sequence[str], *, since: str | None = None, most: int = 20) -> list[Record]:
        """The records whose lines hold the rarest of some words, one for each template and source, best first.

        A word of four letters or more may be the beginning of one in the line. Of equals the gravest, then the latest.
        A record's number is its line's position, and its source the name of that.
        """
        if not words:
            return []
        begin = None if since is None else moment(since, self.newest(self.sources()))
        patterns = [rf"(?i)\b{re.escape(word)}" + ("" if len(word) > 3 and word.isalpha() else r"\b") for word in words]
        columns = ", ".join(f"count(*) FILTER (regexp_matches(text, ${i}))" for i in range(1, len(words) + 1))
        counted = self.connection.execute(
            f"SELECT count(*), {columns} FROM lines", {str(i): pattern for i, pattern in enumerate(patterns, 1)}
        ).fetchone()
        assert counted is not None
        total, *counts = counted
        known = [
            (pattern, math.log1p((total - n + 0.5) / (n + 0.5)))
            for pattern, n in zip(patterns, counts, strict=True)
            if n
        ]
        if not known:
            return []
        parts = " + ".join(f"regexp_matches(text, ${i})::INTEGER * {weight}" for i, (_, weight) in enumerate(known, 2))
        rows = self.connection.execute(
            f"WITH hits AS (SELECT *, {parts} AS score, row_number() OVER (PARTITION BY source, template ORDER BY "
            f"{parts} DESC, time DESC NULLS LAST, position DESC) AS place FROM lines "
            "WHERE template IS NOT NULL AND ($1::BIGINT IS NULL OR time >= make_timestamp($1::BIGINT))) "
            "SELECT hits.position, hits.text, epoch_us(hits.time), hits.level, hits.service, sources.name "
            "FROM hits JOIN sources ON sources.id = hits.source WHERE place = 1 AND score > 0 "
            "ORDER BY score DESC, coalesce(hits.level IN ('error', 'fatal'), false) DESC, hits.time DESC NULLS LAST "
            f"LIMIT {int(most)}",
            {"1": None if begin is None else round(begin * 1e6)} | {str(i): w for i, (w, _) in enumerate(known, 2)},
        ).fetchall()
        return [
            Record(number, text, text, None if time is None else time / 1e6, level, service, source=name)
            for number, text, time, level, service, name in rows
        ]

    def seen(self, sources: Sequence[Source], begin: int | None) -> Counter[tuple[int, str]]:
        """How often each line is stored, with its time, from `begin` (microseconds since 1970) on."""
        rows = self.connection.execute(
            "SELECT epoch_us(time), text, count(*) FROM lines WHERE list_contains(?::INTEGER[], source) "
            "AND (?::BIGINT IS NULL OR time >= make_timestamp(?::BIGINT)) GROUP BY ALL",
            [[source.id for source in sources], begin, begin],
        ).fetchall()
        return Counter({(time, text): count for time, text, count in rows})

    def last_lines(self, source: Source, begin: int) -> list[tuple[int, str]]:
        """The lines of a source behind the last one that is older than `begin` (microseconds since 1970)."""
        return self.connection.execute(
            "WITH older AS (SELECT max(position) AS last FROM lines "
            "WHERE source = $source AND time < make_timestamp($begin::BIGINT)) "
            "SELECT epoch_us(time), text FROM lines, older WHERE source = $source AND position > coalesce(last, 0) "
            "ORDER BY position",
            {"source": source.id, "begin": begin},
        ).fetchall()

    def newest(self, sources: Sequence[Source]) -> float | None:
        """The newest time of the lines of some sources, in seconds since 1970; None where none has one.

        One line that is far from all others, or in the future, does not decide it.
        """
        span = self.extent("list_contains(?::INTEGER[], source)", [[source.id for source in sources]], apart=DAY)
        return None if span is None else span[1]

    def extent(self, where: str, values: Sequence[Any], *, apart: float) -> tuple[float, float] | None:
        """The oldest and the newest time of lines, in seconds since 1970, but for few that are far from all others."""
        count, low, high = self.connection.execute(
            f"SELECT count(time), min(epoch_us(time), {ENDS}), max(epoch_us(time), {ENDS}) FROM lines WHERE {where}",
            list(values),
        ).fetchone() or (0, [], [])
        if not count:
            return None
        return trimmed([time / 1e6 for time in low], [time / 1e6 for time in reversed(high)], count, apart=apart)

    def records(self, name: str | None = None, since: str | None = None) -> Iterator[Record]:
        """The records of the sources that a name means, merged by time; a record's number is its line's position."""
        sources = self.find(name)
        begin = None if since is None else moment(since, self.newest(sources))
        chunk = max(CHUNK, 20 * CHUNK // max(1, len(sources)))
        streams = [self._records_of(source, begin, chunk) for source in sources]
        newest = self.newest(sources)
        for _, _, record in heapq.merge(
            *(_timed(stream, i, newest) for i, stream in enumerate(streams)), key=lambda entry: entry[:2]
        ):
            yield record

    def _records_of(self, source: Source, begin: float | None, chunk: int) -> Iterator[Record]:
        first = 1
        if begin is not None:
            first = _one(
                self.connection.execute(
                    "SELECT min(record) FROM lines WHERE source = ? AND time >= make_timestamp(?::BIGINT)",
                    [source.id, round(begin * 1e6)],
                )
            )
            if first is None:
                return
        times: array[float] = array("d")

        def texts() -> Iterator[str]:
            for start in range(first, source.lines + 1, chunk):
                rows = self.connection.execute(
                    "SELECT epoch_us(time), text FROM lines WHERE source = ? AND position >= ? AND position < ? "
                    "ORDER BY position",
                    [source.id, start, start + chunk],
                ).fetchall()
                for time, text in rows:
                    times.append(math.nan if time is None else time / 1e6)
                    yield text

        def received() -> Iterator[float | None]:
            while True:
                yield None if math.isnan(times[-1]) else times[-1]

        stream = parse(
            texts(), source=source.name, times=received(), stored=source.kind != "container", patterns=self.patterns
        )
        for record in stream if begin is None else after(stream, begin):
            record.number += first - 1
            yield record

    def summary(self) -> dict[str, Any]:
        """What is in the store, as plain data."""
        rows = self.connection.execute(
            "SELECT source, count(*) FILTER (level IN ('error', 'fatal')) FROM lines GROUP BY source"
        ).fetchall()
        spans = {
            source: (*(self.extent("source = ?", [source], apart=MONTH) or (None, None)), errors)
            for source, errors in rows
        }
        sources = []
        for source in self.sources():
            oldest, newest, errors = spans.get(source.id, (None, None, 0))
            where = {key: value for key in PLACE if (value := getattr(source, key))}
            sources.append(
                {"kind": source.kind, "name": source.name, **where, "restart": source.restart, "lines": source.lines,
                 "errors": errors, "oldest": _iso(oldest), "newest": _iso(newest)}
            )  # fmt: skip
        newest = max((source["newest"] for source in sources if source["newest"]), default=None)
        return {
            "store": str(self.path), "lines": sum(source["lines"] for source in sources), "newest": newest,
            "templates": _one(self.connection.execute("SELECT count(*) FROM templates WHERE parent < 0")),
            "sources": sources,
        }  # fmt: skip


PLACE = ("cluster", "namespace", "pod", "container")


def _means(name: str, source: Source) -> bool:
    """Whether a person who says `name` means this source."""
    parts = name.removeprefix("pod/").split("/")
    where = [source.namespace, source.pod, source.container]
    if source.kind == "container":
        if len(parts) == 1:
            return name in where or source.pod.startswith(f"{parts[0]}-")
        pod = source.pod == parts[1] or source.pod.startswith(f"{parts[1]}-")
        return source.namespace == parts[0] and pod and parts[2:] in ([], [source.container])
    return name in (source.name, source.namespace, Path(source.name).name)


def _well_formed(lines: Sequence[str]) -> Sequence[str]:
    """Lines that can be written as UTF-8."""
    try:
        "".join(lines).encode()
    except UnicodeEncodeError:
        return [well_formed(line) for line in lines]
    return lines


def _take(seen: Counter[tuple[int, str]], time: int, text: str) -> bool:
    """Whether a line is among those seen; it is taken off."""
    if not seen.get((time, text)):
        return False
    seen[time, text] -= 1
    return True


def _tail_after(
    tail: _Tail, opened: int, first: int, texts: list[str], received: list[float] | None, owner: int
) -> _Tail:
    """The lines from the first record on that may go on, once a batch is behind it."""
    held = len(tail.texts)
    begin = max(opened - 1, held + len(texts) - HELD)
    new = max(0, begin - held)
    every = [*tail.texts[begin:], *texts[new:]]
    times: list[float | None] = [None] * len(every)
    if received is not None:
        times = [*tail.times[begin:], *received[new:]]
    place = tail.first + begin if begin < held else first + begin - held
    if owner == place:  # one record only: what is beyond its longest is no part of it
        every, times = every[: MAX_JOINED + 1], times[: MAX_JOINED + 1]
    return _Tail(place, owner, every, times)


def _spread(values: list[str | None], starts: Any, size: int) -> Any:
    """The values of records as a column of lines, with nothing in the lines that only go on."""
    import numpy as np

    column = np.full(size, None, dtype=object)
    column[starts] = values
    return column


def _timed(records: Iterator[Record], order: int, newest: float | None) -> Iterator[tuple[float, int, Record]]:
    """Records with a time each: one without, or with one far beyond all others, goes with the one before it."""
    time = -math.inf
    for record in records:
        if record.time is not None and (newest is None or record.time <= newest):
            time = record.time
        yield time, order, record


def _iso(time: float | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")
