"""Error analysis: where a model fails, by how much more than chance, and what mending each failure would gain.

    confusions(labels, predictions)                          # which class is taken for which, and how often
    findings = weak_slices(columns, wrong, rng)              # parts of the data with too many errors, corrected
    measure(findings[0].slice, new_columns, new_wrong)       # the same part on rows that did not choose it
    worst_errors(labels, probabilities)                      # the ten errors that the model was surest of
    gains(tags, error_rate)                                  # what mending each category of errors would gain
    suspects(labels, probabilities)                          # labels that are probably wrong, the likeliest first

Rows are taken as independent, and as held out: a model is not judged on the rows that it was fitted to.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from groundup.stack.classical.evaluation import confusion_matrix

Columns = Mapping[str, ArrayLike]
ROUNDING = 1e-9  # scores closer than this are equal but for rounding


class Confusion(NamedTuple):
    """One class taken for another: how often, which share of all errors, which rate of the class, with an interval."""

    true: Any
    predicted: Any
    errors: int
    share: float
    rate: float
    low: float
    high: float
    back: int


@dataclass(frozen=True)
class Condition:
    """A condition on one column: it is missing, or equals `value`, or lies in low ≤ x < high."""

    column: str
    value: Any = None
    low: float = -math.inf
    high: float = math.inf
    missing: bool = False

    def rows(self, columns: Columns) -> np.ndarray:
        """Return which rows hold to the condition, bool of shape (n_rows,)."""
        values = np.asarray(columns[self.column])
        if self.missing:
            return _missing(values)
        return values == self.value if self.value is not None else (values >= self.low) & (values < self.high)

    def __str__(self) -> str:
        if self.missing:
            return f"{self.column} is missing"
        if self.value is not None:
            return f"{self.column} = {self.value}"
        ends = [f"{sign} {end:.4g}" for sign, end in (("≥", self.low), ("<", self.high)) if math.isfinite(end)]
        return f"{self.column} {' and '.join(ends)}"


Slice = tuple[Condition, ...]


class Measured(NamedTuple):
    """A slice on some rows: its errors, their rate with an interval, the rate of the rest, and errors beyond that."""

    rows: int
    errors: int
    rate: float
    low: float
    high: float
    rest: float
    excess: float


class Finding(NamedTuple):
    """A slice, its measures on the rows that it was found on, its score and its adjusted p-value."""

    slice: Slice
    measured: Measured
    score: float
    p_value: float


class Category(NamedTuple):
    """A category of errors: errors of the sample that have it, and what mending them takes off the error rate.

    `gain` counts every error with the tag, and has the interval low to high; `alone` counts those without another tag.
    """

    name: str
    errors: int
    gain: float
    low: float
    high: float
    alone: float


class Suspect(NamedTuple):
    """A label that is probably wrong, the class that the model is confident of, and by how much it prefers that."""

    row: int
    label: int
    likelier: int
    margin: float


# --- rates and confusions -------------------------------------------------------------------------------------------


def wilson_interval(count: ArrayLike, total: ArrayLike, confidence: float = 0.95) -> tuple[Any, Any]:
    """Return the ends of Wilson's interval (1927) for a rate: every rate that a normal test does not refuse.

    With z the normal quantile of (1 + confidence) / 2, the ends are
    (k + z²/2 ± √(z² (k (n - k) / n + z²/4))) / (n + z²). Unlike the rate plus or minus its error, it has a length
    where there is no error or nothing else.

    Args:
        count: how many of the total, k, numbers of any shape.
        total: of how many, n, of a shape that goes with it.
        confidence: between 0 and 1.

    Raises:
        ValueError: a count is not between 0 and its total, a total is 0, or confidence is no such number.
    """
    k, n = _counts(count, total, confidence)
    squared = special.ndtri((1 + confidence) / 2) ** 2
    middle = k + squared / 2
    reach = np.sqrt(squared * (k * (n - k) / n + squared / 4))
    return (middle - reach) / (n + squared), (middle + reach) / (n + squared)


def confusions(labels: ArrayLike, predictions: ArrayLike, confidence: float = 0.95) -> list[Confusion]:
    """Return each class that was taken for another, the most frequent pair first; ties in the order of the classes.

    `share` is the pair's part of all errors, `rate` its part of the rows of the true class, with `wilson_interval`,
    and `back` counts the opposite confusion. All values go into JSON. Without an error the list is empty.

    Args:
        labels: the true classes, of shape (n_rows,): numbers or strings.
        predictions: the predicted classes, of shape (n_rows,).
        confidence: of the intervals.

    Raises:
        ValueError: the shapes differ or hold no row, or confidence is not between 0 and 1.
    """
    matrix = confusion_matrix(labels, predictions)
    classes = np.unique(np.array([labels, predictions])).tolist()
    sizes = matrix.sum(axis=1)
    errors = matrix.sum() - np.trace(matrix)
    found = []
    for i, j in np.argwhere(matrix):
        if i != j:
            count, back = matrix[[i, j], [j, i]].tolist()
            low, high = wilson_interval(count, sizes[i], confidence)
            found.append(Confusion(classes[i], classes[j], count, count / errors, count / sizes[i], low, high, back))
    return sorted(found, key=lambda pair: -pair.errors)


# --- slices ---------------------------------------------------------------------------------------------------------


def conditions(columns: Columns, bins: int = 4, least: int = 30) -> list[Condition]:
    """Return the conditions that divide each column, column by column.

    A numeric column with more than `bins` different values gives ranges between its quantiles 1/bins, 2/bins, …; the
    first has no lower end and the last no upper one, so new rows fit in. Equal quantiles count once. Any other column
    gives a condition for each of its values, sorted. A missing value (NaN, or an empty string) belongs to none of
    these, and counts for no quantile; it gives the last condition of its column. A condition is left out where fewer
    than `least` rows hold to it, or fewer than `least` do not. Conditions go into JSON.

    Args:
        columns: arrays of shape (n_rows,), by name: numbers, truth values or strings.
        bins: at least 2.
        least: at least 1.

    Raises:
        ValueError: a column is of another shape or kind, or bins or least is below its limit.
    """
    total = _check_columns(columns, bins, least)
    found: list[Condition] = []
    for name, column in columns.items():
        values = np.asarray(column)
        values = values[~_missing(values)]
        options = [Condition(name, value=value) for value in np.unique(values).tolist()]
        if values.dtype.kind in "iuf" and len(options) > bins:
            ends = [-math.inf, *np.quantile(values, np.arange(1, bins) / bins), math.inf]
            options = [Condition(name, low=low, high=high) for low, high in pairwise(ends)]
        options.append(Condition(name, missing=True))
        found += [option for option in options if least <= option.rows(columns).sum() <= total - least]
    return found


def candidate_slices(columns: Columns, bins: int = 4, least: int = 30, depth: int = 2) -> list[Slice]:
    """Return single conditions and combinations of up to `depth` of different columns, each of at least `least` rows.

    A combination that holds the same rows as an earlier slice is left out. Raises ValueError as `conditions`.
    """
    singles = conditions(columns, bins, least)
    found: list[Slice] = []
    seen: set[bytes] = set()
    for size in range(1, depth + 1):
        for combination in combinations(singles, size):
            rows = rows_of(combination, columns)
            if len({condition.column for condition in combination}) == size and rows.sum() >= least:
                if rows.tobytes() not in seen:
                    found.append(combination)
                seen.add(rows.tobytes())
    return found


def rows_of(conditions: Slice, columns: Columns) -> np.ndarray:
    """Return which rows hold to all conditions, bool of shape (n_rows,)."""
    return np.all([condition.rows(columns) for condition in conditions], axis=0)


def slice_scores(members: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Return by how much the errors of each slice exceed its fair share, in the measure of chance: shape (n_slices,).

    Of N rows K are wrong; a slice of n rows has a fair share of n K / N errors. Dealt at random, its number of errors
    deviates by √(n (N - n)) times a factor that is the same for all slices, and is left out.
    """
    sizes = members.sum(axis=1)
    return (members @ wrong - sizes * wrong.mean()) / np.sqrt(sizes * (wrong.size - sizes))


def adjusted_p_values(
    members: ArrayLike, wrong: ArrayLike, rng: np.random.Generator, permutations: int = 999
) -> np.ndarray:
    """Return for each slice how often chance gives any slice a score at least as high (Westfall and Young, 1993).

    Chance deals the same errors to the rows again, `permutations` times, and the highest of all `slice_scores` counts.
    The observed deal counts as one more, so that no p-value is 0. Slices may overlap in any way: all of them see the
    same deal. If errors have nothing to do with any slice, the smallest p-value is at most 0.05 in at most one of
    twenty data sets. Scores closer than `ROUNDING` are equal.

    Args:
        members: which rows each slice holds, bool of shape (n_slices, n_rows).
        wrong: which rows the model got wrong, bool of shape (n_rows,).
        rng: draws the deals.
        permutations: at least 1.

    Returns:
        Adjusted p-values of shape (n_slices,).

    Raises:
        ValueError: the shapes do not match, a value is not 0 or 1, a slice holds no row or every row, or there are no
            permutations.
    """
    rows, errors = _members(members, wrong, permutations)
    observed = slice_scores(rows, errors)
    highest = np.array([slice_scores(rows, rng.permutation(errors)).max() for _ in range(permutations)])
    reached = (highest >= observed[:, np.newaxis] - ROUNDING).sum(axis=1)
    return (reached + 1) / (permutations + 1)


def weak_slices(
    columns: Columns,
    wrong: ArrayLike,
    rng: np.random.Generator,
    bins: int = 4,
    least: int = 30,
    depth: int = 2,
    level: float = 0.05,
    permutations: int = 999,
) -> list[Finding]:
    """Return the slices with more errors than chance explains, the highest score first; an empty list is a result.

    The adjusted p-value is at most `level`. The measured rates are too high all the same: the rows that chose a slice
    speak for it. `measure` it on other rows before you act.
    """
    slices = candidate_slices(columns, bins, least, depth)
    if not slices:
        return []
    rows, errors = _members([rows_of(each, columns) for each in slices], wrong, permutations)
    scores, p_values = slice_scores(rows, errors), adjusted_p_values(rows, errors, rng, permutations)
    order = [number for number in np.argsort(-scores, kind="stable") if p_values[number] <= level]
    return [
        Finding(slices[k], measure(slices[k], columns, errors), float(scores[k]), float(p_values[k])) for k in order
    ]


def measure(conditions: Slice, columns: Columns, wrong: ArrayLike, confidence: float = 0.95) -> Measured:
    """Return the errors of a slice on these rows, their rate with `wilson_interval`, and the errors beyond the rest's.

    A slice that holds no row here, or every row, is refused.
    """
    rows, errors = _members([rows_of(conditions, columns)], wrong, 1)
    inside = rows[0] == 1
    count, size, rest = int(errors[inside].sum()), int(inside.sum()), float(errors[~inside].mean())
    low, high = wilson_interval(count, size, confidence)
    return Measured(size, count, count / size, float(low), float(high), rest, count - size * rest)


# --- single errors --------------------------------------------------------------------------------------------------


def worst_errors(labels: ArrayLike, probabilities: ArrayLike, k: int = 10) -> np.ndarray:
    """Return the rows of the k worst errors, the worst first: wrong rows whose own class got the least probability."""
    given, chances = _probabilities(labels, probabilities)
    own = chances[np.arange(given.size), given]
    order = np.argsort(own, kind="stable")
    return order[chances.argmax(axis=1)[order] != given[order]][:k]


def gains(tags: Sequence[Iterable[str]], error_rate: float, confidence: float = 0.95) -> list[Category]:
    """Return what mending each category of errors would take off the error rate, the largest gain first.

    You drew errors at random and gave each one tag or more. Mending a category gains at most the error rate times its
    share of the errors (`gain`, with `wilson_interval` of that share), if every error that has the tag goes away; and
    where only those without another tag go, `alone`. Equal counts come in the order of the names.

    Args:
        tags: the tags of each error of the sample; a tag given twice counts once.
        error_rate: errors of the model on held-out rows, as a share of the rows.
        confidence: of the intervals.

    Raises:
        ValueError: there is no error, an error has no tag or a bare string for tags, or a number is not between 0
            and 1.
    """
    sets = _tags(tags, error_rate)
    found = []
    for name in sorted(set().union(*sets)):
        tagged = [each for each in sets if name in each]
        alone = [each for each in tagged if len(each) == 1]
        low, high = wilson_interval(len(tagged), len(sets), confidence)
        one = error_rate / len(sets)  # what a single error of the sample stands for
        found.append(
            Category(name, len(tagged), one * len(tagged), error_rate * low, error_rate * high, one * len(alone))
        )
    return sorted(found, key=lambda category: -category.errors)


def suspects(labels: ArrayLike, probabilities: ArrayLike) -> list[Suspect]:
    """Return the labels that are probably wrong, the likeliest first (confident learning: Northcutt et al., 2021).

    A model is confident of a class where the class's probability is at least its mean over the rows with that label.
    Of the classes that it is confident of, the most probable counts. Where that is not the label, the row is suspect.
    The order is by the margin, the probability of that class less the label's; ties in the order of rows. All values
    go into JSON.

    Args:
        labels: class numbers from 0 to n_classes - 1, of shape (n_rows,).
        probabilities: of shape (n_rows, n_classes), from a model that was not fitted to the row.

    Raises:
        ValueError: the shapes do not match, a label is no class number, a class has no row, or a row of probabilities
            does not add up to 1.
    """
    given, chances = _probabilities(labels, probabilities, every=True)
    confident = chances >= [chances[given == k, k].mean() for k in range(chances.shape[1])]
    likelier = np.where(confident, chances, -np.inf).argmax(axis=1)
    found = []
    for row in np.flatnonzero(confident.any(axis=1) & (likelier != given)).tolist():
        label, other = given[row].item(), likelier[row].item()
        found.append(Suspect(row, label, other, chances[row, other] - chances[row, label]))
    return sorted(found, key=lambda suspect: -suspect.margin)


# --- refusals -------------------------------------------------------------------------------------------------------


def _missing(values: np.ndarray) -> np.ndarray:
    """Where a column has no value: NaN among numbers, the empty string among strings."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    return values == "" if values.dtype.kind == "U" else np.zeros(values.shape, dtype=bool)


def _counts(count: ArrayLike, total: ArrayLike, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    k, n = np.asarray(count, dtype=float), np.asarray(total, dtype=float)
    if not ((n > 0) & (k >= 0) & (k <= n)).all():
        raise ValueError(f"count must lie between 0 and a total above 0, got count {count} of total {total}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}: 95 percent are 0.95.")
    return k, n


def _check_columns(columns: Columns, bins: int, least: int) -> int:
    """The number of rows."""
    for name, value, limit in (("bins", bins, 2), ("least", least, 1)):
        if value < limit:
            raise ValueError(f"{name} must be at least {limit}, got {value}.")
    shapes = {np.shape(column) for column in columns.values()}
    if len(shapes) != 1 or len(min(shapes)) != 1:
        raise ValueError(f"columns must be one or more arrays of the same shape (n_rows,), got shapes {shapes}.")
    for name, column in columns.items():
        if np.asarray(column).dtype.kind not in "biufU":
            raise ValueError(f"columns[{name!r}] must hold numbers, truth values or strings: convert it, got {column}.")
    return min(shapes)[0]


def _members(members: ArrayLike, wrong: ArrayLike, permutations: int) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, so that sums are one product."""
    rows, errors = np.asarray(members, dtype=float), np.asarray(wrong, dtype=float)
    if rows.ndim != 2 or errors.shape != rows.shape[1:] or rows.size == 0:
        raise ValueError(
            f"members and wrong must be (n_slices, n_rows) and (n_rows,), got {rows.shape}, {errors.shape}."
        )
    for name, values in (("members", rows), ("wrong", errors)):
        if not np.isin(values, (0, 1)).all():
            raise ValueError(f"{name} must be true or false, got {values[~np.isin(values, (0, 1))][0]}.")
    if (rows == rows[:, :1]).all(axis=1).any():
        raise ValueError(
            f"members must leave rows inside and outside of each slice, got {rows.sum(axis=1)} rows inside."
        )
    if permutations < 1:
        raise ValueError(f"permutations must be at least 1, got {permutations}.")
    return rows, errors


def _tags(tags: Sequence[Iterable[str]], error_rate: float) -> list[frozenset[str]]:
    if not 0 <= error_rate <= 1:
        raise ValueError(f"error_rate must lie between 0 and 1, got {error_rate}: 12 percent are 0.12.")
    if any(isinstance(each, str) for each in tags):
        raise ValueError(f"tags must hold a list of strings for each error, not a string, got {tags}.")
    sets = [frozenset(each) for each in tags]
    if not sets or not all(sets):
        raise ValueError(f"tags must hold errors with one tag or more each, 'other' if need be, got {tags}.")
    return sets


def _probabilities(labels: ArrayLike, probabilities: ArrayLike, every: bool = False) -> tuple[np.ndarray, np.ndarray]:
    given, chances = np.asarray(labels), np.asarray(probabilities, dtype=float)
    if given.ndim != 1 or chances.ndim != 2 or len(given) != len(chances):
        raise ValueError(f"labels (n,) and probabilities (n, classes) must match, got {given.shape}, {chances.shape}.")
    strange = np.setdiff1d(given, np.arange(chances.shape[1]))
    if strange.size:
        raise ValueError(f"labels must be class numbers, columns of probabilities, got {strange[0]!r}.")
    unused = np.setdiff1d(np.arange(chances.shape[1]), given)
    if every and unused.size:
        raise ValueError(f"labels must hold each class: without a row there is no mean, got none of {unused[0]}.")
    wrong = chances[~((chances >= 0).all(axis=1) & np.isclose(chances.sum(axis=1), 1, atol=1e-3))]
    if len(wrong):
        raise ValueError(f"probabilities must be from 0 up and add up to 1 in each row, got {wrong[0]}.")
    return given.astype(int), chances
