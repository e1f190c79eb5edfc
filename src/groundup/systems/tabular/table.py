"""A CSV file as columns: the kind of each, and the faults that would spoil a model.

    table = read_table(Path("titanic.csv"))
    schema = describe(table, target="Survived")
    schema.columns["Age"].kind        # 'number'

Cells are text until the schema says otherwise. An empty cell is a gap, and so is a cell with NA, NaN, null or None.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from groundup.errors import ConfigError, UnknownName

Kind = Literal["number", "category", "time", "left out"]
Task = Literal["classes", "number"]

GAPS = frozenset({"", "na", "n/a", "nan", "null", "none"})
MOST_CATEGORIES = 50
MOST_CLASSES = 20
FEWEST_ROWS = 20
TIME_PARTS = ("year", "month", "weekday", "hour")


@dataclass(frozen=True)
class Table:
    """The cells of a file.

    Attributes:
        names: the names of the columns, from the file's first row.
        cells: texts of shape (n_rows, n_columns); a gap is "".
        lines: the line of the file on which each row begins.
    """

    names: list[str]
    cells: np.ndarray
    lines: list[int]

    def column(self, name: str) -> np.ndarray:
        """The cells of a column, of shape (n_rows,). Raises UnknownName where there is no such column."""
        if name not in self.names:
            raise UnknownName("column", name, self.names, see="The first line of the file")
        return self.cells[:, self.names.index(name)]

    def take(self, rows: np.ndarray) -> Table:
        """The table of these rows only."""
        return Table(self.names, self.cells[rows], [self.lines[row] for row in rows])


@dataclass(frozen=True)
class Column:
    """The description of a column.

    Attributes:
        kind: number, category, time (a date, with or without an hour), or left out.
        why: the reason why a column is left out.
        gaps: the number of rows without a value.
        low: the smallest number.
        high: the largest number.
    """

    kind: Kind
    why: str = ""
    gaps: int = 0
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Schema:
    """The schema of a table, for a model of one of its columns.

    Attributes:
        target: the column to predict.
        task: classes or number.
        columns: every other column.
        warnings: a sentence for each fault that a person should look at.
    """

    target: str
    task: Task
    columns: dict[str, Column]
    warnings: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> list[str]:
        """The columns that a model sees."""
        return [name for name, column in self.columns.items() if column.kind != "left out"]


def read_table(path: Path) -> Table:
    """Read a CSV file: UTF-8, a header, and commas, semicolons, tabs or bars between the cells.

    Raises:
        ConfigError: the file is unreadable, empty, or not a table; the message names the line.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Give the path of a CSV file.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} must be UTF-8, but byte {error.start} is not. Convert it, for example with iconv."
        ) from error
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t|", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    lines: list[int] = []
    line = 1
    try:
        for row in reader:
            if row:
                rows.append([_cell(cell) for cell in row])
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise ConfigError(f"{path}, line {line}: {error}. Mend the line, or save the table again as CSV.") from error
    if len(rows) < 2:
        raise ConfigError(f"{path} must have a header and at least one row, got {len(rows)} lines.")
    names = _names(path, rows[0])
    for row, at in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise ConfigError(
                f"{path}, line {at}: {len(row)} cells where the header has {len(names)}. Quote a cell that holds "
                f"{delimiter!r}."
            )
    return Table(names, np.array(rows[1:], dtype=object), lines[1:])


def _cell(text: str) -> str:
    stripped = text.strip()
    return "" if stripped.lower() in GAPS else stripped


def _names(path: Path, header: list[str]) -> list[str]:
    names = [name or f"column {place}" for place, name in enumerate(header, 1)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"{path}: two columns are called {twice[0]!r}. Give each column a name of its own.")
    return names


def describe(table: Table, target: str, task: Task | None = None, *, without: Sequence[str] = ()) -> Schema:
    """Describe each column, and warn of faults that would make a score meaningless.

    Args:
        table: rows whose target is known (`with_target`).
        target: the column to predict.
        task: classes or number; by itself, texts and at most 20 different whole numbers are classes.
        without: more columns to leave out. Always left out are columns of one value, texts that differ in nearly every
            row, and copies of the target.

    Raises:
        UnknownName: there is no such column.
        ConfigError: too few rows, a target of one value only, or a target that must be a number and is none.
    """
    answers, *_ = (table.column(name) for name in (target, *without))
    if len(answers) < FEWEST_ROWS:
        raise ConfigError(f"{target!r} must be known in at least {FEWEST_ROWS} rows, got {len(answers)}.")
    different = set(answers)
    if len(different) < 2:
        raise ConfigError(f"{target!r} must have at least 2 values, got {next(iter(different))!r} in every row.")
    task = task or _task(answers)
    if task == "number":
        numbers(answers, target, table.lines)
    elif len(different) > len(answers) / 2:
        raise ConfigError(
            f"{target!r} has {len(different)} different values in {len(answers)} rows: these are no classes. "
            "Give --task number, or another target."
        )
    columns: dict[str, Column] = {}
    for name in table.names:
        if name != target:
            left_out = "you left it out" if name in without else ""
            columns[name] = Column("left out", left_out) if left_out else _column(table.column(name), answers)
    if all(column.kind == "left out" for column in columns.values()):
        raise ConfigError(f"No column is left to predict {target!r} from: each has one value, or a new one each row.")
    return Schema(target, task, columns, _warnings(columns, answers, task, table))


def with_target(table: Table, target: str) -> Table:
    """The rows whose target is known. Raises UnknownName where there is no such column."""
    return table.take(np.flatnonzero(table.column(target) != ""))


def _task(answers: np.ndarray) -> Task:
    try:
        values = np.array([float(text) for text in answers])
    except ValueError:
        return "classes"
    few = len(set(values)) <= MOST_CLASSES
    return "classes" if few and np.all(values == np.round(values)) else "number"


def _column(cells: np.ndarray, answers: np.ndarray) -> Column:
    known = cells[cells != ""]
    gaps = len(cells) - len(known)
    different = set(known)
    if len(different) < 2:
        return Column("left out", "it has one value only" if different else "it is empty", gaps)
    if gaps == 0 and _renames(cells, answers):
        return Column("left out", "it says the target in other words", gaps)
    if _all(_number, known):
        values = np.array([float(text) for text in known])
        whole = np.all(values == np.round(values))
        if whole and len(different) == len(cells) and np.ptp(values) == len(cells) - 1:
            return Column("left out", "it counts the rows", gaps)
        return Column("number", "", gaps, float(values.min()), float(values.max()))
    if _all(_is_time, known):
        return Column("time", "", gaps)
    if len(different) > MOST_CATEGORIES and len(different) > len(known) / 4:
        return Column("left out", f"it has {len(different)} different texts in {len(known)} rows", gaps)
    return Column("category", "", gaps)


def _renames(cells: np.ndarray, answers: np.ndarray) -> bool:
    """Whether each value stands for one answer and each answer for one value: 'yes' and 'no' for 1 and 0."""
    pairs = set(zip(cells, answers, strict=True))
    return len(pairs) == len(set(cells)) == len(set(answers)) < len(cells)


def _all(fits: Callable[[str], bool], cells: np.ndarray) -> bool:
    return all(fits(cell) for cell in set(cells))


def _number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _is_time(text: str) -> bool:
    # ISO 8601 from the year on: "2026-11-30", "2026-11-30T14:23:45", and with a space between day and hour.
    if len(text) < len("2026-11-30") or text[4:5] != "-":
        return False
    try:
        return not np.isnat(np.datetime64(text.removesuffix("Z"), "s"))
    except ValueError:
        return False


def numbers(cells: np.ndarray, name: str, lines: Sequence[int]) -> np.ndarray:
    """The numbers of a column, NaN for a gap. Raises ConfigError, with the line, for a cell that is no number."""
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if cell and not _number(cell):
            raise ConfigError(f"Column {name!r} must hold numbers, got {cell!r} on line {lines[row]}.")
        if cell:
            values[row] = float(cell)
    return values


def time_parts(cells: np.ndarray, name: str, lines: Sequence[int]) -> np.ndarray:
    """Year, month, weekday (Monday is 0) and hour of each time, of shape (n_rows, 4); NaN for a gap."""
    parts = np.full((len(cells), len(TIME_PARTS)), np.nan)
    for row, cell in enumerate(cells):
        if cell and not _is_time(cell):
            raise ConfigError(
                f"Column {name!r} must hold times like 2026-11-30 14:23, got {cell!r} on line {lines[row]}."
            )
        if cell:
            time = np.datetime64(cell.removesuffix("Z"), "s")
            days = int(time.astype("datetime64[D]").astype(int))
            months = int(time.astype("datetime64[M]").astype(int))
            hour = int((time - time.astype("datetime64[D]")).astype(int)) // 3600
            # 1970-01-01 was a Thursday: three days later the week begins anew.
            parts[row] = (1970 + months // 12, months % 12 + 1, (days + 3) % 7, hour)
    return parts


def _warnings(columns: dict[str, Column], answers: np.ndarray, task: Task, table: Table) -> list[str]:
    warnings = []
    for name, column in columns.items():
        if column.kind == "left out" and column.why == "it says the target in other words":
            warnings.append(f"{name!r} says the target in other words. It is left out: a model would only copy it.")
        elif column.gaps > len(answers) / 2:
            warnings.append(f"{name!r} is empty in {column.gaps} of {len(answers)} rows.")
    repeated = len(table.cells) - len({tuple(row) for row in table.cells})
    if repeated:
        warnings.append(f"{repeated} rows are copies of others. Copies stay on one side of every split.")
    if task == "classes":
        rarest, count = min(Counter(answers).items(), key=lambda pair: (pair[1], pair[0]))
        if count < 10:
            warnings.append(f"Class {rarest!r} has {count} rows only: nothing that is said of it is sure.")
    return warnings
