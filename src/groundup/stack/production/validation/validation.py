"""Validation: rules for the columns of a table, the rows that break them, and columns that drift between two tables.

    schema = {"age": Column("number", low=0, high=120, nullable=True), "class": Column("integer", allowed=(1, 2, 3))}
    violations = validate(table, schema)      # column, rule, rows and values of everything that breaks a rule
    print(report(violations))
    refused_rows(violations)                  # the rows to set aside; the others are clean
    find_drift(last_week, today, schema)      # columns whose rows are each well, and which have changed together

A table is a mapping from names to columns, each a list or an array of one axis, all of one length. Not covered: rules
over several columns, dates, and values of pandas such as `pd.NA`.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

Kind = Literal["integer", "number", "text"]
KINDS = ("integer", "number", "text")

# --- rules ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """The rules of one column. A missing value breaks `null` alone, a value of another kind `kind` alone.

    Attributes:
        kind: "integer", "number" (both finite) or "text". An integer may be written 3.0: one gap makes a column float.
        low: the least value that is allowed; None for any.
        high: the greatest value that is allowed; None for any.
        allowed: the categories; None for any value.
        pattern: a regular expression that the whole text must match; None for any.
        nullable: whether values may be missing.
        unique: whether each known value may occur once only.

    Raises:
        ValueError: another kind, bounds of texts or in the wrong order, no category, a pattern of numbers.
    """

    kind: Kind
    low: float | None = None
    high: float | None = None
    allowed: tuple[Any, ...] | None = None
    pattern: str | None = None
    nullable: bool = False
    unique: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}.")
        if self.kind == "text" and not (self.low is None and self.high is None):
            raise ValueError(f"low and high are for numbers, got {self.low} and {self.high}. Use a pattern for a text.")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise ValueError(f"low must be at most high, got {self.low} and {self.high}.")
        if self.allowed is not None and len(self.allowed) == 0:
            raise ValueError("allowed must hold at least one value, got none. Leave it out to allow any.")
        if self.pattern is not None and self.kind != "text":
            raise ValueError(f"pattern is for texts, got {self.pattern!r} for the kind {self.kind!r}.")


class Violation(NamedTuple):
    """One rule that one column breaks: where, and with which values. `absent` and `unexpected` columns have no rows."""

    column: str
    rule: str
    rows: tuple[int, ...] = ()
    values: tuple[Any, ...] = ()


def find_missing(values: ArrayLike) -> np.ndarray:
    """Mark the missing values of a column: NaN, None and the empty text. A 0, False or a space is a value.

    Args:
        values: of shape (n_rows,), of one kind or mixed (dtype object).

    Returns:
        A mask of shape (n_rows,), dtype bool.
    """
    column = _column(values)
    if column.dtype == object:
        return np.array([value is None or value == "" or value != value for value in column], dtype=bool)
    if column.dtype.kind == "U":
        return column == ""
    return column != column  # NaN alone is not equal to itself


def find_broken(values: ArrayLike, rules: Column) -> dict[str, np.ndarray]:
    """Mark the values of a column that break its rules, rule by rule.

    Each value is judged once: a missing one by `null`, one of another kind by `kind`, and only the others by `low`,
    `high`, `allowed`, `pattern` and `unique`. All rows of a repeated value are marked: no copy is known to be right.

    Args:
        values: of shape (n_rows,).
        rules: what the column must keep.

    Returns:
        A mask of shape (n_rows,) for `kind`, for `null` unless the column is nullable, and for each rule that is set.
    """
    column = _column(values)
    missing = find_missing(column)
    judged = of_kind(column, rules.kind) & ~missing
    known = column[judged]
    fails = {}
    if rules.low is not None:
        fails["low"] = known < rules.low
    if rules.high is not None:
        fails["high"] = known > rules.high
    if rules.allowed is not None:
        fails["allowed"] = [value not in rules.allowed for value in known]
    if rules.pattern is not None:
        fails["pattern"] = [re.fullmatch(rules.pattern, value) is None for value in known]
    if rules.unique:
        fails["unique"] = find_repeated(known)
    broken = {"kind": ~judged & ~missing}
    if not rules.nullable:
        broken["null"] = missing
    for rule, failing in fails.items():
        broken[rule] = np.zeros(len(column), dtype=bool)
        broken[rule][judged] = failing
    return broken


def validate(table: Mapping[str, ArrayLike], schema: Mapping[str, Column]) -> list[Violation]:
    """Hold a table to a schema, and return everything that is broken: an empty list for a clean table.

    First come the columns that the table lacks (rule `absent`), then those that the schema does not know
    (`unexpected`), then the broken rules of each column in the order of the schema and of `find_broken`.

    Args:
        table: columns by name, of shape (n_rows,) each.
        schema: rules by name.

    Raises:
        ValueError: columns of more than one axis, or of different lengths.
    """
    columns = _columns(table, "table")
    violations = [Violation(name, "absent") for name in schema if name not in columns]
    violations += [Violation(name, "unexpected") for name in columns if name not in schema]
    for name, rules in schema.items():
        if name in columns:
            for rule, mask in find_broken(columns[name], rules).items():
                rows = np.flatnonzero(mask).tolist()
                if rows:
                    violations.append(Violation(name, rule, tuple(rows), tuple(columns[name][rows].tolist())))
    return violations


def refused_rows(violations: Iterable[Violation]) -> list[int]:
    """Return the rows that break at least one rule, ascending."""
    return sorted({row for violation in violations for row in violation.rows})


def report(violations: Iterable[Violation], limit: int = 3) -> str:
    """Write a line for each violation: column, rule, how many rows, and the first `limit` rows with their values."""
    lines = []
    for column, rule, rows, values in violations:
        shown = [f"row {row}: {value!r}" for row, value in zip(rows[:limit], values, strict=False)]
        more = [f"and {len(rows) - limit} more"] if len(rows) > limit else []
        count = f"{len(rows)} row{'s' * (len(rows) != 1)}"
        lines.append(f"{column}: {rule}" + (f", {count} ({'; '.join(shown + more)})" if rows else ""))
    return "\n".join(lines) or "clean"


# --- drift ----------------------------------------------------------------------------------------------------------


class Comparison(NamedTuple):
    """How far two samples are apart, from 0 to 1, and how probable chance alone makes such a distance."""

    distance: float
    p: float


class Drift(NamedTuple):
    """The comparison of one column in two tables: of its `values`, or of its `gaps` (the shares of missing values)."""

    column: str
    part: Literal["values", "gaps"]
    distance: float
    p: float
    drifted: bool


def ks_test(reference: ArrayLike, current: ArrayLike) -> Comparison:
    """Compare two samples of numbers by the test of Kolmogorov and Smirnov.

    The distance is the greatest gap between the shares of values below x, over all x. With n and m values, p is
    Kolmogorov's limit `scipy.special.kolmogorov` at sqrt(n m / (n + m)) times the distance: good from some dozens of
    values on, and too large where values are tied.

    Args:
        reference: numbers of shape (n,), n at least 1.
        current: numbers of shape (m,), m at least 1.

    Raises:
        ValueError: no value, another shape, or a value that is not finite.
    """
    first, second = np.sort(_numbers(reference, "reference")), np.sort(_numbers(current, "current"))
    places = np.concatenate([first, second])
    below = [np.searchsorted(sample, places) / sample.size for sample in (first, second)]
    distance = np.abs(below[0] - below[1]).max()
    size = first.size * second.size / (first.size + second.size)
    return Comparison(float(distance), float(special.kolmogorov(np.sqrt(size) * distance)))


def chi2_test(reference: ArrayLike, current: ArrayLike) -> Comparison:
    """Compare two samples of categories by Pearson's chi-squared test, without a correction.

    The distance is the total variation: half the sum of the differences of shares, which is the share of values that
    would have to change. Only p uses chi-squared, (k - 1) degrees of freedom for k categories that occur: good where
    most expected counts are 5 or more. One category alone has the distance 0 and p = 1.

    Args:
        reference: categories of shape (n,), n at least 1; those of both samples must be sortable together.
        current: categories of shape (m,), m at least 1.

    Raises:
        ValueError: no value, or another shape.
    """
    samples = [_filled(reference, "reference"), _filled(current, "current")]
    names, numbers = np.unique(np.concatenate(samples), return_inverse=True)
    parts = np.split(numbers, [samples[0].size])
    counts = np.array([np.bincount(part, minlength=names.size) for part in parts])
    sizes = counts.sum(axis=1, keepdims=True)
    expected = sizes * counts.sum(axis=0) / sizes.sum()
    statistic = ((counts - expected) ** 2 / expected).sum()
    distance = np.abs(counts[0] / sizes[0] - counts[1] / sizes[1]).sum() / 2
    return Comparison(float(distance), float(special.chdtrc(max(names.size - 1, 1), statistic)))


def find_drift(
    reference: Mapping[str, ArrayLike],
    current: Mapping[str, ArrayLike],
    schema: Mapping[str, Column],
    level: float = 0.05,
    least: float = 0.1,
) -> list[Drift]:
    """Compare the columns of two tables, in the order of the schema.

    A nullable column has its `gaps` compared, by `chi2_test` of the missing marks. Then `values` are compared: known
    values of the right kind, by `chi2_test` where the schema lists the categories, by `ks_test` for other numbers.
    Unique columns and free texts have no values to compare, nor has a column without a known value in either table.

    A comparison has drifted if both hold: its p times the number of comparisons is below `level` (Bonferroni: false
    alarms of a whole table, not of each column), and its distance is at least `least` (large tables make any
    difference significant).

    Raises:
        ValueError: a column of the schema that a table lacks, no rows and a nullable column, `level` or `least` outside
            0 to 1, or as `validate`.
    """
    _check_share(level, "level")
    _check_share(least, "least")
    tables = [_columns(reference, "reference", schema), _columns(current, "current", schema)]
    compared: dict[tuple[str, Any], Comparison] = {}
    for name, rules in schema.items():
        pair = [table[name] for table in tables]
        if rules.nullable:
            compared[name, "gaps"] = chi2_test(find_missing(pair[0]), find_missing(pair[1]))
        known = [column[of_kind(column, rules.kind) & ~find_missing(column)] for column in pair]
        comparable = rules.allowed is not None or rules.kind != "text"
        if comparable and not rules.unique and known[0].size and known[1].size:
            test = ks_test if rules.allowed is None else chi2_test
            compared[name, "values"] = test(known[0], known[1])
    return [
        Drift(name, part, distance, p, p * len(compared) < level and distance >= least)
        for (name, part), (distance, p) in compared.items()
    ]


# --- what the functions above share ---------------------------------------------------------------------------------


def of_kind(values: ArrayLike, kind: Kind) -> np.ndarray:
    """Mark the values of a kind, of shape (n_rows,). A truth value is no number, and neither is infinity or NaN."""
    column = _column(values)
    if column.dtype == object:
        return np.array([_is_of_kind(value, kind) for value in column], dtype=bool)
    if kind == "text" or column.dtype.kind not in "iuf":
        return np.full(column.shape, kind == "text" and column.dtype.kind == "U")
    return np.isfinite(column) & ((kind == "number") | (column == np.floor(column)))


def find_repeated(values: ArrayLike) -> np.ndarray:
    """Mark each value that occurs more than once, its first occurrence as well; of shape (n_rows,)."""
    _, numbers, counts = np.unique(_column(values), return_inverse=True, return_counts=True)
    return counts[numbers] > 1


def _is_of_kind(value: Any, kind: Kind) -> bool:
    if kind == "text":
        return isinstance(value, str)
    number: Any = value if isinstance(value, Real) and not isinstance(value, bool) else math.inf
    return abs(number) <= sys.float_info.max and (kind == "number" or number == math.floor(number))


def _column(values: ArrayLike, name: str = "values") -> np.ndarray:
    """The values as an array of one axis. A list that mixes kinds keeps them: NumPy would make texts of numbers."""
    column = np.asarray(values)
    if column.dtype.kind in "SU" and not isinstance(values, np.ndarray):
        column = np.array(values, dtype=object)
        if all(isinstance(value, str) for value in column.flat):
            column = np.asarray(values)
    if column.ndim != 1:
        raise ValueError(f"{name} must have one axis, of shape (n_rows,), got shape {column.shape}.")
    return column


def _columns(table: Mapping[str, ArrayLike], label: str, needed: Iterable[str] = ()) -> dict[str, np.ndarray]:
    columns = {name: _column(values, f"{label}[{name!r}]") for name, values in table.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{label} must have columns of one length, got {lengths}. Was a file cut off?")
    absent = [name for name in needed if name not in columns]
    if absent:
        raise ValueError(
            f"{label} must have every column of the schema, and lacks {', '.join(absent)}. Validate first."
        )
    return columns


def _filled(values: ArrayLike, name: str) -> np.ndarray:
    column = _column(values, name)
    if column.size == 0:
        raise ValueError(f"{name} must have at least 1 value, got 0.")
    return column


def _numbers(values: ArrayLike, name: str) -> np.ndarray:
    column = _filled(values, name).astype(float)
    if not np.isfinite(column).all():
        raise ValueError(f"{name} must be finite, got {column[~np.isfinite(column)][0]}. Leave missing values out.")
    return column


def _check_share(value: float, name: str) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value}.")
