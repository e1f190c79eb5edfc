"""The ledger: append-only events, the source of all progress.

SQLite in the workspace, or PostgreSQL by URL for a class. SQLAlchemy and Alembic write and migrate. The standard
library reads a SQLite ledger: importing SQLAlchemy takes half a second, and `groundup map` and the first page of the
site must not wait for it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from groundup.course.verdict import Verdict, sha256_text
from groundup.errors import UsageError, WorkspaceError
from groundup.extras import need

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

KINDS = (
    "started",
    "reset",
    "verdict",
    "compiled",
    "hint",
    "solution",
    "run",
    "review",
    "track",
    "resource",
    "report",
    "journal",
)
COLUMNS = "id, at, kind, unit, outcome, code_sha256, checks_sha256, payload"
BUSY_SECONDS = 30


@dataclass(frozen=True)
class Event:
    """An event of the course. `payload` depends on its kind; `at` is in UTC."""

    id: int
    at: datetime
    kind: str
    unit: str
    outcome: str
    code_sha256: str
    checks_sha256: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class UnitRecord:
    """The ledger's record of one unit: its last verdict, and the code and checks of every passing verdict."""

    unit: str
    last: Event | None
    passes: frozenset[tuple[str, str]]


class Ledger:
    """The events of one learner.

    Args:
        where: the SQLite file, or a SQLAlchemy URL (`postgresql+psycopg://…`).
        learner: whose events these are; a class shares one database.

    A missing ledger reads as empty; the first write creates it.
    """

    def __init__(self, where: Path | str, *, learner: str = "") -> None:
        text = str(where)
        self.learner = learner
        self.written = False
        """Whether anything has been written through this object since it was last set back."""
        self._lock = Lock()
        self._opened: Engine | None = None
        self.path = None if "://" in text else Path(text)
        self.url = text if self.path is None else f"sqlite:///{self.path}"
        if self.path is None and not text.startswith(("postgresql", "sqlite")):
            raise UsageError(f"The ledger's URL must begin with postgresql+psycopg:// or sqlite://, not '{text}'.")

    def close(self) -> None:
        """Give back the connections; the ledger can be used again."""
        with self._lock:
            engine, self._opened = self._opened, None
        if engine is not None:
            engine.dispose()

    # Writing

    def append(self, kind: str, unit: str = "", payload: Mapping[str, Any] | None = None) -> int:
        """Append one event and return its id. Raises UsageError for an unknown kind.

        Verdicts go through `record`, so that each carries its source.
        """
        if kind not in KINDS or kind == "verdict":
            raise UsageError(f"The ledger has no event '{kind}' to append; it has {', '.join(KINDS)}.")
        with self._transaction() as connection:
            self.written = True
            return self._insert(connection, kind, unit, payload or {})

    def record(self, verdict: Verdict, source: str) -> int:
        """Append a verdict together with the source that it judges, in one transaction.

        Raises:
            UsageError: the verdict is not of this source.
        """
        if verdict.code_sha256 != sha256_text(source):
            raise UsageError("A verdict can only be recorded with the source that it judges.")
        with self._transaction() as connection:
            self.written = True
            self._keep_source(connection, verdict.code_sha256, source)
            return self._insert(
                connection,
                "verdict",
                verdict.unit,
                verdict.to_json(),
                (verdict.verdict, verdict.code_sha256, verdict.checks_sha256),
            )

    def _insert(
        self,
        connection: Connection,
        kind: str,
        unit: str,
        payload: Mapping[str, Any],
        judged: tuple[str, str, str] = ("", "", ""),
    ) -> int:
        from sqlalchemy import text

        outcome, code, checks = judged
        row = connection.execute(
            text(
                "INSERT INTO events (at, learner, kind, unit, outcome, code_sha256, checks_sha256, payload) "
                "VALUES (:at, :learner, :kind, :unit, :outcome, :code, :checks, :payload) RETURNING id"
            ),
            {
                "at": datetime.now(UTC).isoformat(),
                "learner": self.learner,
                "kind": kind,
                "unit": unit,
                "outcome": outcome,
                "code": code,
                "checks": checks,
                "payload": json.dumps(payload, ensure_ascii=False),
            },
        ).one()
        return int(row[0])

    def restore(self, events: Iterable[Mapping[str, Any]], sources: Mapping[str, str]) -> None:
        """Write kept events, with their ids and times, into an empty ledger: all of them or none.

        Args:
            events: each with the keys of `COLUMNS`.
            sources: the texts that verdicts judge, by their hashes.

        Raises:
            UsageError: the ledger has events of its own, or a source does not match its hash.
        """
        from sqlalchemy import text

        if self.last_id():
            raise UsageError(f"The ledger {self._shown} is not empty: nothing was restored.")
        for sha256, source in sources.items():
            if sha256_text(source) != sha256:
                raise UsageError(f"The source {sha256} does not match its hash: nothing was restored.")
        with self._transaction() as connection:
            for sha256, source in sources.items():
                self._keep_source(connection, sha256, source)
            for event in events:
                row = {**event, "learner": self.learner, "payload": json.dumps(event["payload"], ensure_ascii=False)}
                names = ", ".join(f":{name}" for name in ("learner", *COLUMNS.split(", ")))
                connection.execute(text(f"INSERT INTO events (learner, {COLUMNS}) VALUES ({names})"), row)

    def _keep_source(self, connection: Connection, sha256: str, source: str) -> None:
        from sqlalchemy import text

        connection.execute(
            text("INSERT INTO sources (sha256, text) VALUES (:sha, :text) ON CONFLICT (sha256) DO NOTHING"),
            {"sha": sha256, "text": source},
        )

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            reason = getattr(error, "orig", None) or error
            raise WorkspaceError(
                f"The ledger {self._shown} cannot be written: {reason}. Nothing was recorded."
            ) from error

    @property
    def _shown(self) -> str:
        """The ledger's place without a password."""
        return str(self.path) if self.path else self.url.split("://")[0] + "://…@" + self.url.rsplit("@", 1)[-1]

    @property
    def _engine(self) -> Engine:
        """The connections; the first thread makes and migrates them."""
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def _open(self) -> Engine:
        from sqlalchemy import create_engine, event

        if self.path is None:
            if self.url.startswith("postgresql"):
                need("A ledger in PostgreSQL", "psycopg")
            engine = create_engine(self.url, pool_pre_ping=True)
            _migrate(engine)
            return engine
        self.path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(self.url, connect_args={"timeout": BUSY_SECONDS})

        # The driver opens transactions late, so two writers could deadlock on the upgrade of a read lock. Each
        # transaction begins as a writer instead, and SQLite queues them.
        @event.listens_for(engine, "connect")
        def configure(connection: Any, _: object) -> None:
            connection.isolation_level = None
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

        if not self._has_tables():
            _migrate(engine)
        return engine

    # Reading

    def _has_tables(self) -> bool:
        return bool(self._rows("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"))

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a query written with `?`; none where the ledger does not exist yet."""
        if self.path is None:
            return self._rows_by_url(sql, parameters)
        if not self.path.exists():
            return []
        try:
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS)
            try:
                return connection.execute(sql, parameters).fetchall()
            finally:
                connection.close()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise WorkspaceError(f"The ledger {self.path} cannot be read: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise WorkspaceError(
                f"The ledger {self.path} is damaged: {error}. Put a copy from a backup or from git in its place."
            ) from error

    def _rows_by_url(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        from sqlalchemy import text

        names = iter(f":p{i}" for i in range(len(parameters)))
        named = "".join(next(names) if part == "?" else part for part in sql)
        with self._engine.connect() as connection:
            result = connection.execute(text(named), {f"p{i}": value for i, value in enumerate(parameters)})
            return [tuple(row) for row in result]

    def events(self, *, after: int = 0, kinds: Iterable[str] | None = None, unit: str | None = None) -> list[Event]:
        """The events after an id, oldest first, of some kinds or of one unit only."""
        sql = f"SELECT {COLUMNS} FROM events WHERE learner = ? AND id > ?"
        parameters: list[Any] = [self.learner, after]
        if kinds is not None:
            kinds = list(kinds)
            sql += f" AND kind IN ({', '.join('?' * len(kinds))})"
            parameters += kinds
        if unit is not None:
            sql += " AND unit = ?"
            parameters.append(unit)
        return [_event(row) for row in self._rows(sql + " ORDER BY id", parameters)]

    def last(self, count: int, *, kinds: Iterable[str]) -> list[Event]:
        """The newest `count` events of these kinds, newest first."""
        kinds = list(kinds)
        marks = ", ".join("?" * len(kinds))
        sql = f"SELECT {COLUMNS} FROM events WHERE learner = ? AND kind IN ({marks}) ORDER BY id DESC LIMIT ?"
        return [_event(row) for row in self._rows(sql, [self.learner, *kinds, count])]

    def last_id(self) -> int:
        """The id of the newest event of any learner, or 0: the key of a cache of derived state."""
        rows = self._rows("SELECT max(id) FROM events")
        return int(rows[0][0] or 0) if rows else 0

    def counts(self) -> dict[str, int]:
        """The number of events of each kind."""
        rows = self._rows("SELECT kind, count(*) FROM events WHERE learner = ? GROUP BY kind", [self.learner])
        return {kind: int(count) for kind, count in rows}

    def units(self) -> dict[str, UnitRecord]:
        """The record of each unit, in two queries that read no old verdicts."""
        newest = self._rows(
            f"SELECT {COLUMNS} FROM events WHERE id IN "
            "(SELECT max(id) FROM events WHERE learner = ? AND kind = 'verdict' GROUP BY unit)",
            [self.learner],
        )
        passes: dict[str, set[tuple[str, str]]] = {}
        for unit, code, checks in self._rows(
            "SELECT DISTINCT unit, code_sha256, checks_sha256 FROM events "
            "WHERE learner = ? AND kind = 'verdict' AND outcome = 'passed'",
            [self.learner],
        ):
            passes.setdefault(unit, set()).add((code, checks))
        events = [_event(row) for row in newest]
        return {event.unit: UnitRecord(event.unit, event, frozenset(passes.get(event.unit, ()))) for event in events}

    def first_passes(self) -> dict[str, datetime]:
        """The time at which each unit first passed."""
        rows = self._rows(
            "SELECT unit, min(at) FROM events WHERE learner = ? AND kind = 'verdict' AND outcome = 'passed' "
            "GROUP BY unit",
            [self.learner],
        )
        return {unit: datetime.fromisoformat(at) for unit, at in rows}

    def source(self, sha256: str) -> str | None:
        """The source text with this hash, as it was judged."""
        rows = self._rows("SELECT text FROM sources WHERE sha256 = ?", [sha256])
        return rows[0][0] if rows else None


def _event(row: tuple[Any, ...]) -> Event:
    ident, at, kind, unit, outcome, code, checks, payload = row
    return Event(int(ident), datetime.fromisoformat(at), kind, unit, outcome, code, checks, json.loads(payload))


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            # A whole class may arrive at once: the first connection migrates, and the others wait for it.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4400)")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
