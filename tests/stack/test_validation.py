"""`production/validation`: Pandera on the same rules, and SciPy's tests of two samples."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from groundup.data import load
from groundup.stack.production.validation import (
    Column,
    Violation,
    chi2_test,
    ks_test,
    refused_rows,
    report,
    validate,
)
from groundup.stack.production.validation.labs import SCHEMA

pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pandera.pandas")


RULES = {
    "not_nullable": "null",
    "greater_than_or_equal_to": "low",
    "less_than_or_equal_to": "high",
    "isin": "allowed",
    "str_matches": "pattern",
    "field_uniqueness": "unique",
}


def pandera_schema():
    """The rules of the lab in the words of Pandera, without kinds: a damaged column has the dtype object."""
    columns = {}
    for name, rules in SCHEMA.items():
        checks = []
        if rules.low is not None:
            checks.append(pa.Check.ge(rules.low))
        if rules.high is not None:
            checks.append(pa.Check.le(rules.high))
        if rules.allowed is not None:
            checks.append(pa.Check.isin(list(rules.allowed)))
        if rules.pattern is not None:
            checks.append(pa.Check.str_matches(f"(?:{rules.pattern})$"))
        columns[name] = pa.Column(None, checks, nullable=rules.nullable, unique=rules.unique)
    return pa.DataFrameSchema(columns, strict=True)


def failures(table):
    """What Pandera names, as (column, rule, row)."""
    frame = pd.DataFrame({name: pd.Series(list(values), dtype=object) for name, values in table.items()})
    frame = frame.where(frame.map(lambda value: value != "" and value == value), None)
    try:
        pandera_schema().validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        return {
            (column, RULES[check.split("(")[0]], int(row))
            for column, check, row in zip(cases["column"], cases["check"], cases["index"], strict=True)
        }
    return set()


def ours(table):
    """What we name, as (column, rule, row)."""
    return {(column, rule, row) for column, rule, rows, _ in validate(table, SCHEMA) for row in rows}


def titanic():
    return {name: column.astype(object) for name, column in load("titanic").columns.items()}


def test_titanic_is_clean_to_both():
    assert ours(titanic()) == failures(titanic()) == set()


@pytest.mark.parametrize("seed", range(3))
def test_damage_is_named_as_pandera_names_it(seed):
    table, rng = titanic(), np.random.default_rng(seed)
    for name, values in {
        "PassengerId": [5, 6, 0],
        "Survived": [2, None],
        "Pclass": [0, 4, None],
        "Name": ["Braund", "", "x, Mr."],
        "Sex": ["Male", "", "female "],
        "Age": [-1, 100.5, np.nan, 0],
        "SibSp": [13, -2],
        "Fare": [601, -0.01, np.nan],
        "Ticket": ["", None],
        "Embarked": ["s", "", "SC"],
    }.items():
        table[name][rng.choice(len(table[name]), 12, replace=False)] = rng.permutation((values * 12)[:12])
    found = ours(table)
    assert len(found) > 90
    assert found == failures(table)


@pytest.mark.parametrize("seed", range(5))
def test_samples_are_compared_as_scipy_compares_them(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.gamma(2, size=400).round(1), rng.gamma(2.4, size=250).round(1)
    theirs: Any = stats.ks_2samp(first, second, method="exact")
    assert ks_test(first, second).distance == pytest.approx(theirs.statistic, rel=1e-12)
    # The exact p is that of samples without ties; the limit is a little larger.
    assert theirs.pvalue <= ks_test(first, second).p <= 1.25 * theirs.pvalue
    counts = [np.bincount(sample.astype(int), minlength=15) for sample in (first, second)]
    table = np.array(counts)[:, np.sum(counts, axis=0) > 0]
    expected: Any = stats.chi2_contingency(table, correction=False)
    assert chi2_test(first.astype(int), second.astype(int)).p == pytest.approx(expected.pvalue, rel=1e-9)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"kind": "date"}, "kind must be one of integer, number, text, got 'date'"),
        ({"kind": "text", "low": 1}, "low and high are for numbers, got 1 and None"),
        ({"kind": "number", "low": 2, "high": 1}, "low must be at most high, got 2 and 1"),
        ({"kind": "number", "low": float("nan"), "high": 1}, "low must be at most high, got nan and 1"),
        ({"kind": "text", "allowed": ()}, "allowed must hold at least one value"),
        ({"kind": "integer", "pattern": "a"}, "pattern is for texts, got 'a' for the kind 'integer'"),
    ],
)
def test_rules_that_make_no_sense_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        Column(**settings)


def test_a_report_names_column_rule_rows_and_values():
    violations = [
        Violation("id", "absent"),
        Violation("age", "low", (7,), (-1,)),
        Violation("sex", "allowed", (2, 3, 7, 9), ("Male", "m", "f", "?")),
    ]
    assert report(violations).splitlines() == [
        "id: absent",
        "age: low, 1 row (row 7: -1)",
        "sex: allowed, 4 rows (row 2: 'Male'; row 3: 'm'; row 7: 'f'; and 1 more)",
    ]
    assert report(violations[2:], limit=4).endswith("row 9: '?')")
    assert report([]) == "clean"
    assert refused_rows(violations) == [2, 3, 7, 9]
