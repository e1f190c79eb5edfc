"""Where labels come from: logs whose lines carry an alert's tag, columns of a table, what people said in the store.

    read_examples("BGL.log", tagged=True)       # the first word of each line is `-` or the tag of an alert
    read_examples("labelled.csv", label="Label")
    examples_of(store)                          # groundup copilot label app.log:42 alert

A label is never a part of the text that a model sees, and secrets are masked before anything is learnt: words of the
examples stand in a model's file.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import UsageError
from groundup.secrets import hide
from groundup.systems.copilot.reading.logs import Record, open_logs, parse

if TYPE_CHECKING:
    from groundup.systems.copilot.store import Store

NORMAL, ALERT = "normal", "alert"
OF_EACH = 100  # records of a template in the store that are learnt from
_NORMAL = frozenset(("-", "0", "false", "no", "none", "ok", "normal", "benign"))
_ALERT = frozenset(("1", "true", "yes", "alert", "anomaly", "abnormal"))
LABEL_COLUMNS = ("label", "labels", "class", "is_anomaly", "anomaly")
MESSAGE_COLUMNS = ("message", "content", "msg", "text", "log", "line", "templates")
TEMPLATE_COLUMNS = ("template", "eventtemplate", "eventid")


@dataclass(frozen=True)
class Example:
    """A record with its label.

    Attributes:
        record: the record.
        label: what it is.
        template: what it is a copy of: one template is never on both sides of a split. None to have it mined.
    """

    record: Record
    label: str
    template: str | None = None


def plain_label(label: Any, *, binary: bool = False) -> str:
    """A label in one spelling: `-`, 0, ok … are normal; 1, true, anomaly … are alerts, with `binary` all others too."""
    text = str(label).strip()
    if text.lower() in _NORMAL:
        return NORMAL
    return ALERT if binary or text.lower() in _ALERT else text


def read_examples(
    path: str | Path,
    *,
    tagged: bool = False,
    label: str | None = None,
    message: str | None = None,
    binary: bool = False,
) -> Iterator[Example]:
    """The examples of a file.

    Args:
        path: a log (with `tagged`), or a table: `.csv`, or JSON lines; gzipped or not.
        tagged: the first word of each line is `-`, or the tag of the alert that it is.
        label: the column of the label; one with a usual name where it is not given.
        message: the column of the message, the same. A list of lines (a session) is one example.
        binary: every label that is not normal is `alert`.
    """
    path = Path(path)
    with open_logs(path) as lines:
        if tagged:
            yield from _tagged(lines, str(path), binary)
        elif {".csv", ".tsv"} & set(path.suffixes):
            rows = csv.DictReader(lines, delimiter="\t" if ".tsv" in path.suffixes else ",")
            yield from _rows(_csv(rows, str(path)), str(path), label, message, binary)
        else:
            yield from _rows(_json(lines, str(path)), str(path), label, message, binary)


def _tagged(lines: Iterable[str], name: str, binary: bool) -> Iterator[Example]:
    tags: list[str] = []

    def without() -> Iterator[str]:
        for line in lines:
            tag, _, rest = line.partition(" ")
            tags.append(tag)
            yield hide(rest)

    for record in parse(without(), source=name):
        yield Example(record, plain_label(tags[record.number - 1], binary=binary))


def _csv(rows: Iterable[dict[str, Any]], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        yield from enumerate(rows, 2)
    except csv.Error as error:
        raise UsageError(f"FILE must be a table in CSV, and '{name}' is none: {error}.") from error


def _json(lines: Iterable[str], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UsageError(
                f"FILE must be a table (.csv, or JSON lines), and line {number} of '{name}' is no JSON. "
                "For a log whose lines begin with `-` or the tag of an alert, add --tagged."
            ) from error
        if not isinstance(row, dict):
            raise UsageError(
                f"FILE must hold a JSON object in each line, and line {number} of '{name}' is a {type(row).__name__}."
            )
        yield number, row


def _rows(
    rows: Iterable[tuple[int, dict[str, Any]]], name: str, label: str | None, message: str | None, binary: bool
) -> Iterator[Example]:
    for number, row in rows:
        label_key = _column(row, label, LABEL_COLUMNS, "label", name, number)
        message_key = _column(row, message, MESSAGE_COLUMNS, "message", name, number)
        template_key = next((key for key in row if str(key).lower() in TEMPLATE_COLUMNS), None)
        cell = row[label_key]
        if cell is None or str(cell).strip() == "":
            raise UsageError(f"label must be there in every row, and row {number} of '{name}' has none. Leave it out.")
        text, template = row[message_key], row.get(template_key) if template_key else None
        if isinstance(text, list):  # a session: its different lines
            text = "\n".join(dict.fromkeys(map(str, text)))
            template = template or "\n".join(sorted(set(text.split("\n"))))
        rest = {
            str(key).lower(): value
            for key, value in row.items()
            if key not in (label_key, message_key, template_key) and value not in (None, "")
        }
        record = _record(str(text or ""), rest)
        record.number, record.source = number, name
        yield Example(record, plain_label(cell, binary=binary), None if template is None else str(template))


def _record(text: str, rest: dict[str, Any]) -> Record:
    """A row as a record: a line as it stands, or a message with its time, level and origin in other columns."""
    text = hide(text)
    if "\n" in text:
        return Record(0, text, text.replace("\n", " "))
    line = json.dumps({**rest, "message": text}) if {"level", "severity", "time", "timestamp"} & set(rest) else text
    return next(parse([line]), Record(0, text, text))


def _column(row: dict[str, Any], asked: str | None, usual: tuple[str, ...], what: str, name: str, number: int) -> str:
    have = {str(key).lower(): key for key in row}
    if asked is not None:
        if asked in row:
            return asked
        raise UsageError(
            f"{what} must be a column of '{name}', and row {number} has no '{asked}'. "
            f"It has: {', '.join(map(str, row))}."
        )
    column = next((have[key] for key in usual if key in have), None)
    if column is None:
        raise UsageError(
            f"'{name}' must have a column with the {what}, and row {number} has only: {', '.join(map(str, row))}. "
            f"Name it with --{what}."
        )
    return column


def examples_of(store: Store, *, binary: bool = False) -> list[Example]:
    """What people said of lines in the store; its templates are those that the store has mined.

    Of each template at most `OF_EACH` records with the same label, the first ones: the others differ in values only,
    and whoever labels all that are alike may have labelled a hundred thousand.
    """
    counts: Counter[tuple[str | None, str]] = Counter()
    examples = []
    for record, word, template in store.labelled():
        label = plain_label(word, binary=binary)
        counts[template, label] += 1
        if template is None or counts[template, label] <= OF_EACH:
            examples.append(Example(record, label, template))
    return examples
