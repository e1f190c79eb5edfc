"""Cases: findings, the decisions of people on them, and the block list that follows from the decisions.

    with open_cases("sentinel.sqlite") as cases:
        case = cases.add(finding)
        cases.decide(case.id, "block", by="ada")     # one transaction: the decision, and the list beside the store
        cases.undo(case.id, by="ada")

Nothing here decides: `propose` proposes an action, and `decide` is called once a person has confirmed an action. The
block list is derived from the store. It is written before the transaction ends, and again when the store is opened, so
it agrees with the store even after a crash between the two.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from groundup.errors import StoreError, UnknownName, UsageError
from groundup.files import replace_file
from groundup.secrets import hide
from groundup.systems.sentinel.addresses import own_brand, parse
from groundup.systems.sentinel.risk import Level
from groundup.terminal import visible

Action = Literal["block", "allow", "quarantine"]
ACTIONS: tuple[Action, ...] = ("block", "allow", "quarantine")
LIST = """\
# Decisions of people on cases of groundup sentinel, for a proxy or a mail filter. This file is written anew with
# every decision: do not edit it, decide (groundup sentinel decide).
"""


@dataclass(frozen=True)
class Finding:
    """The result of a scan, as plain data.

    Attributes:
        subjects: the inputs, by kind: url, screenshot and log, each as text that is safe to show.
        host: the host of the URL; empty for none.
        hashes: the SHA-256 of each file.
        scores: the score of each detector; None for unknown.
        evidence: the sentences of each detector.
        risk: the risk's score; None for unknown.
        level: low, medium, high or unknown.
        fired: the rules behind it, each with its strength.
        intelligence: facts about it, each with its source.
        proposed: the proposed action; empty for none.
    """

    subjects: dict[str, str]
    host: str
    hashes: dict[str, str]
    scores: dict[str, float | None]
    evidence: dict[str, list[str]]
    risk: float | None
    level: Level
    fired: list[dict[str, Any]]
    intelligence: list[dict[str, str]] = field(default_factory=list)
    proposed: Action | Literal[""] = ""


@dataclass(frozen=True)
class Decision:
    """A person's decision: the action, the person, the time, its entries in the list, and the time of its undo."""

    action: Action
    by: str
    at: str
    entries: tuple[str, ...]
    undone: str = ""


@dataclass(frozen=True)
class Case:
    """A kept finding, and the decisions on it, the newest last."""

    id: str
    at: str
    finding: Finding
    decisions: tuple[Decision, ...] = ()

    @property
    def standing(self) -> Decision | None:
        """The decision that holds; None for none."""
        return next((decision for decision in self.decisions[::-1] if not decision.undone), None)


def propose(level: Level, host: str) -> Action | Literal[""]:
    """The proposed action for a risk, before a person looks; none for an unknown risk."""
    if level == "high":
        return "block" if host else "quarantine"
    return "quarantine" if level == "medium" else "allow" if level == "low" else ""


def entries_of(finding: Finding, action: Action) -> tuple[str, ...]:
    """The entries that an action puts into the list, within the policy for every decision.

    Raises:
        UsageError: the case has no subject for the action, or a brand's own domain would be blocked.
    """
    if action not in ACTIONS:
        raise UsageError(f"action must be {', '.join(ACTIONS)}, got '{action}'.")
    if action == "block":
        if not finding.host:
            raise UsageError("action must be quarantine or allow for a case without a URL, got 'block'.")
        if brand := own_brand(parse(finding.host)):
            raise UsageError(
                f"action must not block a domain that everybody needs, and {finding.host} is {brand}'s own. "
                "Quarantine the case."
            )
        return (f"block host {finding.host}",)
    subjects = [f"sha256 {digest}" for digest in finding.hashes.values()]
    subjects += [f"host {finding.host}"] if finding.host else []
    if not subjects:
        raise UsageError(f"action must be about a URL or a file, and the case has neither to {action}.")
    return tuple(f"{action} {subject}" for subject in subjects)


class Standing(UsageError):
    """A decision stands where none may stand, or none stands where a decision must."""


class Cases:
    """The store of cases. `open_cases` makes one."""

    def __init__(self, connection: sqlite3.Connection, store: Path) -> None:
        self.connection, self.store = connection, store

    @property
    def list_file(self) -> Path:
        """The path of the block list."""
        return self.store.with_suffix(".blocklist.txt")

    # ── cases ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def add(self, finding: Finding) -> Case:
        """Keep a finding."""
        case = Case(secrets.token_hex(4), _now(), finding)
        with self._transaction():
            self.connection.execute(
                "INSERT INTO cases (id, at, finding) VALUES (?, ?, ?)", (case.id, case.at, json.dumps(asdict(finding)))
            )
        return case

    def all(self) -> list[Case]:
        """Every case, the newest first."""
        rows = self.connection.execute("SELECT id, at, finding FROM cases ORDER BY at DESC, rowid DESC").fetchall()
        decisions: dict[str, list[Decision]] = {}
        for case, decision in self._decisions():
            decisions.setdefault(case, []).append(decision)
        return [Case(id, at, Finding(**json.loads(text)), tuple(decisions.get(id, ()))) for id, at, text in rows]

    def find(self, id: str) -> Case:
        """The case whose id begins with `id`.

        Raises:
            UnknownName: no case fits, or several do.
        """
        cases = self.all()
        matches = [case for case in cases if id and case.id.startswith(id)]
        if len(matches) != 1:
            raise UnknownName("case", id, [case.id for case in cases], see="groundup sentinel cases")
        return matches[0]

    # ── decisions ───────────────────────────────────────────────────────────────────────────────────────────────────
    def decide(self, id: str, action: Action, *, by: str) -> Case:
        """Carry out a decision that a person has confirmed: in the store and in the list, both or neither.

        Raises:
            UnknownName: there is no such case.
            UsageError: the policy forbids it, or no person is named.
            Standing: another decision stands.
            StoreError: the list cannot be written; nothing is then decided.
        """
        case, by = self.find(id), visible(" ".join(by.split()))[:100]
        if not by:
            raise UsageError("by must name who decides, got nothing. For example: ada")
        entries = entries_of(case.finding, action)
        with self._transaction():
            if (standing := self.find(case.id).standing) is not None:
                raise Standing(f"Case {case.id} is decided: {standing.action}, by {standing.by}. Undo that first.")
            self.connection.execute(
                "INSERT INTO decisions (cas, action, actor, at, entries, undone) VALUES (?, ?, ?, ?, ?, '')",
                (case.id, action, by, _now(), json.dumps(entries)),
            )
            self._write_list()
        return self.find(case.id)

    def undo(self, id: str, *, by: str) -> Case:
        """Take the standing decision back: in the store and the list, both or neither. The record of it stays.

        Raises:
            UnknownName: there is no such case.
            Standing: no decision stands.
            StoreError: the list cannot be written; nothing is undone then.
        """
        case = self.find(id)
        with self._transaction():
            if self.find(case.id).standing is None:
                raise Standing(f"Case {case.id} has no decision that stands. There is nothing to undo.")
            undone = f"{_now()} by {visible(' '.join(by.split()))[:100]}"
            self.connection.execute("UPDATE decisions SET undone = ? WHERE cas = ? AND undone = ''", (undone, case.id))
            self._write_list()
        return self.find(case.id)

    def listed(self) -> list[str]:
        """The entries of the block list, by the decisions that stand."""
        standing = [entry for _, decision in self._decisions() if not decision.undone for entry in decision.entries]
        return sorted({*standing})

    def _decisions(self) -> Iterator[tuple[str, Decision]]:
        for case, action, by, at, entries, undone in self.connection.execute(
            "SELECT cas, action, actor, at, entries, undone FROM decisions ORDER BY rowid"
        ).fetchall():
            yield case, Decision(cast(Action, action), by, at, tuple(json.loads(entries)), undone)

    def _write_list(self) -> None:
        text = LIST + "".join(f"{entry}\n" for entry in self.listed())
        try:
            if not self.list_file.is_file() or self.list_file.read_text(encoding="utf-8") != text:
                replace_file(self.list_file, text)
        except OSError as error:
            raise StoreError(
                f"The block list must be a file that can be written, and '{self.list_file}' cannot be: "
                f"{error.strerror or error}. Nothing was decided. Free some space, and decide again."
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """A transaction. It locks the store from its beginning, so two people cannot decide at once."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.connection.execute("ROLLBACK")
                if self.list_file.is_file():
                    self._write_list()
                raise
            self.connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _unusable(self.store, error) from error


@contextmanager
def open_cases(store: str | Path) -> Iterator[Cases]:
    """The store of cases in a file; a missing file is created.

    Raises:
        StoreError: the file cannot be opened, or is no store of cases.
    """
    path = Path(store)
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    try:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS cases (id TEXT PRIMARY KEY, at TEXT, finding TEXT)")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS decisions "
                "(cas TEXT REFERENCES cases (id), action TEXT, actor TEXT, at TEXT, entries TEXT, undone TEXT)"
            )
            cases = Cases(connection, path)
            if cases.listed() or cases.list_file.is_file():
                cases._write_list()
        except sqlite3.Error as error:
            raise _unusable(path, error) from error
        yield cases
    finally:
        connection.close()


def _unusable(path: Path, error: sqlite3.Error) -> StoreError:
    return StoreError(
        f"store must be a file of cases that can be read and written, and '{path}' is not: {error}. Check the path, or "
        "name another file with --store."
    )


def digest(data: bytes) -> str:
    """The SHA-256 that identifies a file."""
    return hashlib.sha256(data).hexdigest()


def shown(text: str, most: int = 300) -> str:
    """Text from outside in its kept form: without secrets, and without characters that steer a terminal."""
    return visible(hide(" ".join(text.split())))[:most]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
