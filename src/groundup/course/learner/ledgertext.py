"""The ledger as text beside its database: a file a day, which the workspace's git keeps, and the way back.

`.groundup/ledger/2026-11-30.jsonl` holds the day's events, one JSON object a line. The first verdict on a code comes
after that code. The database is rebuilt from these files when it is lost, or when the workspace was cloned to another
machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from groundup.course.learner.ledger import Event, Ledger
from groundup.errors import WorkspaceError


def export(ledger: Ledger, folder: Path) -> list[Path]:
    """Append the events that the text lacks, and return the files that changed.

    Raises:
        WorkspaceError: the text cannot be written.
    """
    changed: dict[Path, set[str]] = {}
    for event in ledger.events(after=_last_id(folder)):
        path = folder / f"{event.at.date().isoformat()}.jsonl"
        if path not in changed:
            changed[path] = {line["source"] for line in _lines(path) if "source" in line} if path.exists() else set()
        lines = [_as_line(event)]
        if event.kind == "verdict" and event.code_sha256 not in changed[path]:
            changed[path].add(event.code_sha256)
            lines.insert(0, {"source": event.code_sha256, "text": ledger.source(event.code_sha256) or ""})
        _append(path, lines)
    return list(changed)


def restore(ledger: Ledger, folder: Path) -> int:
    """Write all events of the text into an empty ledger, in one transaction, and return their number.

    Raises:
        WorkspaceError: a line is damaged, or the ledger cannot be written.
    """
    sources: dict[str, str] = {}
    events: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in _lines(path):
            if "source" in line:
                sources[line["source"]] = line["text"]
            else:
                events.append(line)
    if events:
        ledger.restore(events, sources)
    return len(events)


def _as_line(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "unit": event.unit,
        "outcome": event.outcome,
        "code_sha256": event.code_sha256,
        "checks_sha256": event.checks_sha256,
        "payload": event.payload,
    }


def _append(path: Path, lines: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            _drop_torn_line(file)
            file.write(text.encode())
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be written: {error.strerror}. The ledger itself is whole.") from error


def _drop_torn_line(file: BinaryIO) -> None:
    """Remove a last line without an end. Its event is written again, and must begin a line."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    whole = file.read().rfind(b"\n") + 1
    if whole < size:
        file.truncate(whole)


def _last_id(folder: Path) -> int:
    """The id of the last event that the text holds, or 0."""
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        ids = [line["id"] for line in _lines(path) if "id" in line]
        if ids:
            return max(ids)
    return 0


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file. A last line without an end is left out: its write was cut off."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be read: {error.strerror}.") from error
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise WorkspaceError(
                f"{path}:{number} is damaged: {error}. `git log -p` in the workspace shows the line as it was."
            ) from error
