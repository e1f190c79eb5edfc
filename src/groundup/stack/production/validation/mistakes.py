# pyright: basic
"""Ways to get validation wrong, and right ways that differ."""

import re

import numpy as np
from scipy import special

from groundup.anatomy import mistake, variant
from groundup.stack.production.validation.validation import (
    Comparison,
    Violation,
    _column,
    _columns,
    _numbers,
    find_broken,
    find_missing,
    find_repeated,
    of_kind,
)


@mistake("find_missing")
def takes_falsehood_for_a_gap(values):
    """You ask whether a value is false: a 0 is then missing, and so is False. Ask for None, NaN and the empty text."""
    column = _column(values)
    return np.array([not value or value != value for value in column.tolist()], dtype=bool)


@mistake("find_missing", edit=(" or value != value", ""))
def overlooks_nan_among_mixed_values():
    """NaN among mixed values goes unnoticed. It is the one value that is not equal to itself."""


@mistake("find_missing", edit=('    if column.dtype.kind == "U":\n        return column == ""\n', ""))
def takes_empty_texts_for_values():
    """An empty cell of a CSV file is the empty text in a column of texts. You count it as a value."""


@mistake(
    "find_broken", edit=("judged = of_kind(column, rules.kind) & ~missing", "judged = of_kind(column, rules.kind)")
)
def judges_gaps():
    """You hold missing texts to categories and patterns. A missing value breaks `null`, and nothing else."""


@mistake("find_broken", edit=("known < rules.low", "known <= rules.low"))
def refuses_the_bound():
    """You refuse the least value that is allowed. `low` itself is within the rule: an age of 0 is a baby's."""


@mistake("find_broken", edit=("re.fullmatch(", "re.match("))
def matches_the_beginning():
    """Your pattern holds for the beginning of a text: `A12; drop` passes. Match the whole of it."""


@mistake(
    "find_broken",
    edit=(
        'fails["unique"] = find_repeated(known)',
        'fails["unique"] = np.isin(np.arange(known.size), np.unique(known, return_index=True)[1], invert=True)',
    ),
)
def spares_the_first_copy():
    """You mark the later copies only. Nobody knows which of two equal keys is the right one: mark them all."""


@mistake("validate", edit=("for name in schema if name not in columns", "for name in schema if not columns"))
def forgives_absent_columns():
    """A column that the schema asks for is not there, and you pass the table. Name it: rule `absent`."""


@mistake("validate", edit=("if rows:", "if True:"))
def reports_rules_that_hold():
    """You report rules that no row breaks: a clean table never passes. Report a rule where it has rows."""


@mistake("validate", edit=("tuple(columns[name][rows].tolist())", "tuple(columns[name][: len(rows)].tolist())"))
def shows_the_values_of_other_rows():
    """The values you report are those of the first rows, not of the rows that break the rule."""


@mistake("validate")
def stops_at_the_first(table, schema):
    """You stop at the first violation. Whoever mends the table then runs you once for each fault: collect them all."""
    columns = _columns(table, "table")
    for name in [*schema, *columns]:
        if name not in columns or name not in schema:
            return [Violation(name, "absent" if name in schema else "unexpected")]
    for name, rules in schema.items():
        for rule, mask in find_broken(columns[name], rules).items():
            rows = np.flatnonzero(mask).tolist()
            if rows:
                return [Violation(name, rule, tuple(rows), tuple(columns[name][rows].tolist()))]
    return []


@mistake("ks_test", edit=("np.abs(below[0] - below[1]).max()", "(below[0] - below[1]).max()"))
def looks_in_one_direction():
    """Your distance sees values that grow, and none that shrink. The gap counts in either direction."""


@mistake("ks_test", edit=("first.size * second.size / (first.size + second.size)", "first.size + second.size"))
def adds_the_sizes():
    """You put n + m into p. Two samples know as much as n m / (n + m) values of one: too small a p alarms too often."""


@mistake("chi2_test", edit=("counts[0] / sizes[0] - counts[1] / sizes[1]", "(counts[0] - counts[1]) / sizes.sum() * 2"))
def compares_counts():
    """You subtract counts. Samples of different sizes then differ though their shares agree: divide by each size."""


@mistake("chi2_test", edit=("names.size - 1", "names.size"))
def counts_a_degree_too_many():
    """You take k degrees of freedom. The shares sum to 1, so the last one follows from the others: k - 1."""


@mistake("find_drift", edit=("p * len(compared) < level", "p < level"))
def alarms_for_each_column():
    """Each comparison has the whole level: among twenty columns, one alarms by chance. Share the level among them."""


@mistake("find_drift", edit=(" and distance >= least", ""))
def alarms_for_trifles():
    """You ask for p alone. In a large table any difference is significant: ask for the least distance as well."""


@mistake(
    "find_drift",
    edit=("ks_test if rules.allowed is None else chi2_test", 'chi2_test if rules.kind == "text" else ks_test'),
)
def orders_categories():
    """You compare categories that are written as numbers as if they were quantities. A list of categories decides."""


@mistake("find_drift", edit=(" & ~find_missing(column)", ""))
def takes_gaps_for_a_category():
    """You compare empty texts as one more category, so each change of the gaps is told twice. Leave them out."""


@variant("find_missing")
def value_by_value(values):
    """Every column is asked value by value."""
    column = _column(values).astype(object)
    missing = np.zeros(len(column), dtype=bool)
    for row, value in enumerate(column):
        missing[row] = value is None or value != value or (isinstance(value, str) and len(value) == 0)
    return missing


@variant("find_broken")
def row_by_row(values, rules):
    """Each row is judged by itself; only copies need the others."""
    column, missing, right = _column(values), find_missing(values), of_kind(values, rules.kind)
    broken = {"kind": ~right & ~missing}
    judged = np.flatnonzero(right & ~missing)
    tests = {
        "low": lambda value: value < rules.low,
        "high": lambda value: value > rules.high,
        "allowed": lambda value: value not in rules.allowed,
        "pattern": lambda value: not re.match(f"(?:{rules.pattern})\\Z", value),
    }
    if not rules.nullable:
        broken["null"] = missing
    for rule, test in tests.items():
        if getattr(rules, rule) is not None:
            broken[rule] = np.zeros(len(column), dtype=bool)
            for row in judged:
                broken[rule][row] = test(column[row])
    if rules.unique:
        broken["unique"] = np.zeros(len(column), dtype=bool)
        broken["unique"][judged] = find_repeated(column[judged])
    return broken


@variant("ks_test")
def by_one_walk(reference, current):
    """Walk up through all values at once, a step up for one sample and a step down for the other."""
    first, second = _numbers(reference, "reference"), _numbers(current, "current")
    values = np.concatenate([first, second])
    steps = np.repeat([1 / len(first), -1 / len(second)], [len(first), len(second)])
    order = np.argsort(values)
    last = np.append(np.diff(values[order]) > 0, True)
    distance = float(min(np.abs(np.cumsum(steps[order])[last]).max(), 1.0))
    return Comparison(distance, float(special.kolmogorov(distance / np.sqrt(1 / len(first) + 1 / len(second)))))
