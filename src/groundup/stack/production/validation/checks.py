"""Checks of validation."""

from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from groundup.checking import (
    assert_close,
    assert_order_free,
    assert_refuses,
    assert_refuses_nonfinite,
    assert_unchanged,
)
from groundup.stack.production.validation import (
    Column,
    Comparison,
    Drift,
    Violation,
    chi2_test,
    find_broken,
    find_drift,
    find_missing,
    ks_test,
    validate,
)

NAN = np.nan


def same_mask(mask, expected, message=None):
    """The mask is an array of bools, and marks what is expected."""
    assert np.asarray(mask).dtype == bool, f"a mask is of dtype bool, not {mask!r}"
    assert_close(mask, expected, message)


def broken_rows(values, rules):
    """The rows that `find_broken` marks, by rule."""
    masks = find_broken(values, rules)
    assert all(mask.dtype == bool and mask.shape == (len(values),) for mask in masks.values()), (
        "each rule has a mask of all rows, dtype bool"
    )
    return {rule: np.flatnonzero(mask).tolist() for rule, mask in masks.items()}


# --- missing --------------------------------------------------------------------------------------------------------


def test_find_missing_in_numbers_and_texts():
    """NaN is missing among numbers, the empty text among texts; a 0, a space and `nan` are values."""
    same_mask(find_missing(np.array([0.0, NAN, np.inf])), [0, 1, 0], "numbers 0, NaN and infinity")
    same_mask(find_missing(np.array(["", " ", "nan", "0"])), [1, 0, 0, 0], "texts '', ' ', 'nan' and '0'")
    same_mask(find_missing(np.array([0, 7])), [0, 0], "whole numbers")
    same_mask(find_missing([True, False]), [0, 0], "truth values")


def test_find_missing_in_mixed_values():
    """Among mixed values None, NaN and the empty text are missing, and 0 and False are not."""
    mixed = np.array([None, NAN, "", 0, False, "a", np.float32("nan"), 2.5], dtype=object)
    same_mask(find_missing(mixed), [1, 1, 1, 0, 0, 0, 1, 0], f"{mixed.tolist()}")
    several: Any = ["a", None, 3]
    same_mask(find_missing(several), [0, 1, 0], "the list ['a', None, 3]")


def test_find_missing_of_no_rows():
    """A column without rows gives an empty mask of bools, whatever its dtype."""
    for dtype in (object, float, "U3"):
        same_mask(find_missing(np.array([], dtype=dtype)), np.zeros(0), f"no rows of dtype {dtype}")


def test_find_missing_refuses_a_table():
    """A column has one axis: two are refused, with the shape."""
    assert_refuses(lambda: find_missing([[1.0, NAN]]), "values", (1, 2))


# --- one column -----------------------------------------------------------------------------------------------------

AGES = np.array([22.0, NAN, -1.0, 300.0, 0.0, 120.0, np.inf])


def test_find_broken_by_hand():
    """-1 breaks `low`, 300 `high`, NaN `null`, infinity `kind`; both bounds are allowed values."""
    expected = {"kind": [6], "null": [1], "low": [2], "high": [3]}
    assert broken_rows(AGES, Column("number", low=0, high=120)) == expected


def test_find_broken_has_a_mask_for_each_rule_that_is_set():
    """Rules that are not set have no mask; `null` is there unless the column is nullable."""
    assert broken_rows(AGES, Column("number", nullable=True)) == {"kind": [6]}
    assert broken_rows(AGES, Column("number")) == {"kind": [6], "null": [1]}
    assert broken_rows(AGES, Column("number", low=0.5, nullable=True)) == {"kind": [6], "low": [2, 4]}
    assert broken_rows(AGES, Column("number", high=22, nullable=True)) == {"kind": [6], "high": [3, 5]}
    full = Column("text", allowed=("a",), pattern="a", unique=True)
    assert list(find_broken(["a"], full)) == ["kind", "null", "allowed", "pattern", "unique"], "in this order"


def test_bounds_of_zero_are_bounds():
    """A bound of 0 is a bound: it is not the same as none."""
    assert broken_rows([-1, 0, 1], Column("integer", low=0))["low"] == [0]
    assert broken_rows([-1, 0, 1], Column("integer", high=0))["high"] == [2]


def test_each_value_is_judged_once():
    """A text among numbers breaks `kind` alone, a missing value `null` alone: neither is compared with a bound."""
    rules = Column("number", low=0, high=10, allowed=(1, 2.5), unique=True)
    mixed = np.array([1, "twelve", None, 11, 2.5, True, "", "twelve"], dtype=object)
    expected = {"kind": [1, 5, 7], "null": [2, 6], "low": [], "high": [3], "allowed": [3], "unique": []}
    assert broken_rows(mixed, rules) == expected


def test_whole_numbers_may_be_floats():
    """3.0 is an integer, 2.5 is none; a column of texts holds none."""
    assert broken_rows([3.0, 2.5, NAN, -0.5], Column("integer"))["kind"] == [1, 3]
    assert broken_rows(np.array(["3", "", "4"]), Column("integer")) == {"kind": [0, 2], "null": [1]}
    assert broken_rows([1, 2], Column("text"))["kind"] == [0, 1]
    assert broken_rows([1, 10**400], Column("integer"))["kind"] == [1], "an integer that no float holds"


def test_categories():
    """A category is allowed as it is written; numbers compare as numbers, and a gap is no category."""
    ports = Column("text", allowed=("S", "C"), nullable=True)
    assert broken_rows(np.array(["S", "s", "", "C", "SC"]), ports) == {"kind": [], "allowed": [1, 4]}
    assert broken_rows([1.0, 3.0, 0.0], Column("integer", allowed=(1, 2)))["allowed"] == [1, 2]


def test_patterns_match_the_whole_text():
    """A pattern holds from the first letter to the last, and missing texts are not held to it."""
    codes = np.array(["A12", "A12 ", "xA12", "", "A1", "A12\n"])
    assert broken_rows(codes, Column("text", pattern=r"[A-Z]\d\d")) == {
        "kind": [],
        "null": [3],
        "pattern": [1, 2, 4, 5],
    }


def test_all_rows_of_a_repeated_value_are_marked():
    """No copy is known to be right: the first is marked as well. Gaps are no copies of each other."""
    assert broken_rows([7, 3, 7, 4, 7], Column("integer", unique=True))["unique"] == [0, 2, 4]
    names = np.array(["", "a", "", "b", "a"])
    assert broken_rows(names, Column("text", unique=True, nullable=True)) == {"kind": [], "unique": [1, 4]}
    big = np.array([2**53, 2**53 + 1])
    assert broken_rows(big, Column("integer", unique=True))["unique"] == [], "2**53 and 2**53 + 1 are two numbers"


def test_find_broken_of_no_rows_and_of_gaps_only():
    """A column without rows breaks nothing; of gaps alone, only `null` is broken."""
    rules = Column("number", low=0, high=1, allowed=(1,), unique=True)
    assert not any(broken_rows(np.array([]), rules).values())
    assert broken_rows([None, None], rules) == {
        "kind": [],
        "null": [0, 1],
        "low": [],
        "high": [],
        "allowed": [],
        "unique": [],
    }
    assert_unchanged(lambda column: find_broken(column, rules), np.array([0.5, NAN, 7.0]))


# --- a table --------------------------------------------------------------------------------------------------------

SCHEMA = {
    "id": Column("integer", unique=True),
    "age": Column("number", low=0, high=120, nullable=True),
    "sex": Column("text", allowed=("male", "female")),
}
CLEAN = {"id": [1, 2, 3], "age": [22.0, NAN, 4.0], "sex": ["male", "female", "male"]}


def test_validate_finds_nothing_in_a_clean_table():
    """A clean table has no violations; the order of its columns does not matter, and no row is no fault."""
    assert validate(CLEAN, SCHEMA) == []
    assert validate(dict(reversed(CLEAN.items())), SCHEMA) == []
    assert validate({name: [] for name in SCHEMA}, SCHEMA) == []


def test_validate_names_column_rule_rows_and_values():
    """Each violation names column, rule, rows and values; columns follow the schema, rules follow `find_broken`."""
    damaged = {"sex": ["Male", "", "male"], "id": [5, 5, 6], "age": [200.0, -3.0, 150.0]}
    assert validate(damaged, SCHEMA) == [
        Violation("id", "unique", (0, 1), (5, 5)),
        Violation("age", "low", (1,), (-3.0,)),
        Violation("age", "high", (0, 2), (200.0, 150.0)),
        Violation("sex", "null", (1,), ("",)),
        Violation("sex", "allowed", (0,), ("Male",)),
    ]


def test_validate_gives_values_of_python():
    """Rows and values are tuples of Python's own numbers, ready for JSON: also where a single row is broken."""
    violations = validate({**CLEAN, "age": np.array([-1, 5, 6])}, SCHEMA)
    assert violations == [Violation("age", "low", (0,), (-1,))], "row 0 alone is broken"
    assert isinstance(violations[0], Violation), "a violation is a Violation"
    assert [type(violations[0].rows), type(violations[0].values)] == [tuple, tuple]
    assert [type(violations[0].rows[0]), type(violations[0].values[0])] == [int, int]


def test_validate_keeps_mixed_values_as_they_are():
    """A text in a list of numbers is reported as the text, and makes no text of its neighbours."""
    mixed: Any = [3, "old", None]
    assert validate({**CLEAN, "age": mixed}, SCHEMA) == [Violation("age", "kind", (1,), ("old",))]


def test_validate_names_absent_and_unexpected_columns():
    """Absent columns come first, then unexpected ones, neither with rows; the other columns are judged all the same."""
    table = {"sexe": ["male", "male"], "age": [1.0, 121.0], "note": ["", ""]}
    assert validate(table, SCHEMA) == [
        Violation("id", "absent", (), ()),
        Violation("sex", "absent", (), ()),
        Violation("sexe", "unexpected", (), ()),
        Violation("note", "unexpected", (), ()),
        Violation("age", "high", (1,), (121.0,)),
    ]


def test_validate_refuses_what_is_no_table():
    """Columns of different lengths are no table, and neither is a column of two axes."""
    assert_refuses(lambda: validate({"id": [1, 2], "age": [1.0], "sex": ["male"] * 2}, SCHEMA), "table", 2, 1)
    assert_refuses(lambda: validate({**CLEAN, "extra": [[1, 2]] * 3}, SCHEMA), "table", (3, 2))


# --- two samples of numbers -----------------------------------------------------------------------------------------


def test_ks_test_by_hand():
    """1, 2, 3, 4 and 3, 4, 5, 6: below 3 lies half of the first and nothing of the second, so the distance is 1/2."""
    result = ks_test([4, 1, 3, 2], [3, 6, 5, 4])
    assert isinstance(result, Comparison), "the result is a Comparison"
    assert_close(result.distance, 0.5)
    assert_close(result.p, special.kolmogorov(np.sqrt(2) / 2), "p: n m / (n + m) is 16 / 8 = 2")
    assert [type(number) for number in result] == [float, float], "both are floats of Python"


@pytest.mark.parametrize(("n", "m", "decimals"), [(60, 40, 8), (200, 31, 1), (5, 300, 0), (2, 1, 3)])
def test_ks_test_is_scipys(rng, n, m, decimals):
    """The distance is that of ks_2samp, ties included; p is the limit that Kolmogorov gave."""
    first, second = rng.normal(size=n).round(decimals), rng.normal(0.4, 1.3, size=m).round(decimals)
    theirs: Any = stats.ks_2samp(first, second, method="asymp")
    result = ks_test(first, second)
    assert_close(result.distance, theirs.statistic, f"the distance of {n} and {m} values")
    assert_close(result.p, stats.kstwobign.sf(np.sqrt(n * m / (n + m)) * theirs.statistic), f"p of {n} and {m} values")


def test_ks_test_is_symmetric_and_keeps_to_its_range(rng):
    """Both orders give the same; equal samples have distance 0 and p = 1, samples apart have distance 1."""
    first, second = rng.normal(size=30), rng.normal(size=50) + 1
    assert_close(ks_test(first, second), ks_test(second, first))
    assert_close(ks_test(first, first), [0, 1], "a sample and itself")
    assert_close(ks_test(first, first + 100).distance, 1, "samples that do not overlap")
    assert_order_free(lambda sample: ks_test(sample, second)[0], first)


def test_ks_test_refuses():
    """A sample without a value, or with one that is not finite, is refused."""
    assert_refuses(lambda: ks_test([], [1.0]), "reference", 0)
    assert_refuses(lambda: ks_test([1.0], []), "current", 0)
    assert_refuses_nonfinite(lambda sample: ks_test(sample, [1.0, 2.0]), np.array([1.0, 2.0, 3.0]), "reference")
    assert_refuses_nonfinite(lambda sample: ks_test([1.0, 2.0], sample), np.array([1.0, 2.0, 3.0]), "current")


# --- two samples of categories --------------------------------------------------------------------------------------


def test_chi2_test_by_hand():
    """6 a and 4 b against 2 a and 8 b: shares differ by 0.4, and chi-squared is 2 (4/4 + 4/6) = 10/3."""
    result = chi2_test(["a"] * 6 + ["b"] * 4, ["b"] * 8 + ["a"] * 2)
    assert isinstance(result, Comparison), "the result is a Comparison"
    assert_close(result.distance, 0.4)
    assert_close(result.p, special.chdtrc(1, 10 / 3), "p, with 1 degree of freedom")
    assert [type(number) for number in result] == [float, float], "both are floats of Python"


@pytest.mark.parametrize(("n", "m", "kinds"), [(80, 50, 2), (300, 45, 4), (40, 200, 7)])
def test_chi2_test_is_scipys(rng, n, m, kinds):
    """P is that of chi2_contingency without a correction; the distance is half the sum of differences of shares."""
    first, second = rng.integers(0, kinds, n), np.minimum(rng.integers(0, kinds, m), rng.integers(0, kinds, m))
    first[:kinds], second[:kinds] = np.arange(kinds), np.arange(kinds)
    table = np.array([np.bincount(sample, minlength=kinds) for sample in (first, second)])
    result, theirs = chi2_test(first, second), stats.chi2_contingency(table, correction=False)
    assert_close(result.p, theirs[1], f"p of {n} and {m} values")
    assert_close(result.distance, np.abs(table[0] / n - table[1] / m).sum() / 2, f"the distance of {n} and {m} values")


def test_chi2_test_of_a_new_category_and_of_one_alone():
    """A category of one sample alone counts; a single category has distance 0 and p = 1; none shared, distance 1."""
    assert_close(chi2_test(["S"] * 10, ["S"] * 5 + ["X"] * 5), [0.5, special.chdtrc(1, 20 / 3)], "X is new")
    assert_close(chi2_test(["S"] * 4, ["S"] * 9), [0, 1], "S alone")
    assert_close(chi2_test([1, 2], [3, 3, 3]).distance, 1, "nothing in common")
    assert_close(chi2_test([True, False], [False, False]), [0.5, special.chdtrc(1, 4 / 3)], "truth values")


def test_chi2_test_refuses():
    """A sample without a value is refused, and so is a table."""
    assert_refuses(lambda: chi2_test([], ["a"]), "reference", 0)
    assert_refuses(lambda: chi2_test(["a"], []), "current", 0)
    assert_refuses(lambda: chi2_test([["a"]], ["a"]), "reference", (1, 1))


# --- two tables -----------------------------------------------------------------------------------------------------

RULES = {
    "id": Column("integer", unique=True),
    "name": Column("text"),
    "fare": Column("number", low=0),
    "port": Column("text", allowed=("C", "S"), nullable=True),
}


def tables(rng, rows=200):
    """A table and another one like it."""
    return [
        {
            "id": np.arange(start, start + rows),
            "name": np.array([f"n{number}" for number in range(start, start + rows)]),
            "fare": rng.exponential(30, rows),
            "port": rng.choice(["S", "C", ""], rows, p=[0.6, 0.3, 0.1]),
        }
        for start in (0, rows)
    ]


def drifted(reference, current, schema, **settings):
    """What has drifted, as (column, part)."""
    return [(drift.column, drift.part) for drift in find_drift(reference, current, schema, **settings) if drift.drifted]


def test_find_drift_compares_gaps_and_values(rng):
    """Gaps and categories are compared by chi2_test, numbers by ks_test, in the order of the schema."""
    a, b = tables(rng)
    drifts = find_drift(a, b, RULES)
    assert [drift[:2] for drift in drifts] == [("fare", "values"), ("port", "gaps"), ("port", "values")]
    assert all(isinstance(drift, Drift) and type(drift.drifted) is bool for drift in drifts), "Drifts, with a bool each"
    assert_close(drifts[0][2:4], ks_test(a["fare"], b["fare"]), "fares")
    assert_close(drifts[1][2:4], chi2_test(a["port"] == "", b["port"] == ""), "gaps of ports")
    known = [table["port"][table["port"] != ""] for table in (a, b)]
    assert_close(drifts[2][2:4], chi2_test(*known), "ports, without the gaps")


def test_find_drift_tells_which_part_changed(rng):
    """Each kind of change is told by its own column and part, and nothing else has drifted."""
    a, b = tables(rng, 2000)
    assert drifted(a, b, RULES) == [], "two tables alike"
    assert drifted(a, {**b, "fare": b["fare"] * 2}, RULES) == [("fare", "values")], "fares doubled"
    gaps = np.where(rng.random(2000) < 0.4, "", b["port"])
    assert drifted(a, {**b, "port": gaps}, RULES) == [("port", "gaps")], "more gaps"
    ports = np.where(b["port"] == "S", "C", b["port"])
    assert drifted(a, {**b, "port": ports}, RULES) == [("port", "values")], "one port closed"


def test_find_drift_leaves_out_what_cannot_be_compared():
    """Gaps and values of another kind are left out; a column without a known value in one table has no values."""
    rules = {"x": Column("number", nullable=True)}
    messy, known = np.array([1.0, "?", None, 2.0], dtype=object), [1.0, 2.0, 2.5, 4.0]
    drifts = find_drift({"x": messy}, {"x": known}, rules)
    assert [drift.part for drift in drifts] == ["gaps", "values"]
    assert_close(drifts[1].distance, 0.5, "1 and 2 against 1, 2, 2.5 and 4: below 2.5 lie all and half")
    empty = {"x": [NAN, NAN]}
    for before, after in ((empty, {"x": known}), ({"x": known}, empty)):
        assert [drift.part for drift in find_drift(before, after, rules)] == ["gaps"], (
            "all values of one table are missing"
        )
    assert find_drift({"x": [1, 2]}, {"x": [3, 4]}, {"x": Column("integer", allowed=(1, 2), unique=True)}) == []
    assert find_drift({"x": ["a"]}, {"x": ["b"]}, {"x": Column("text")}) == [], "free texts are not compared"


def test_numbers_with_categories_are_categories():
    """A class of 1, 2, 3 is compared by chi2_test: it is no quantity."""
    a, b = {"x": [1] * 30 + [3] * 30}, {"x": [2] * 30 + [3] * 30}
    assert_close(find_drift(a, b, {"x": Column("integer", allowed=(1, 2, 3))})[0][2:4], chi2_test(a["x"], b["x"]))
    assert_close(find_drift(a, b, {"x": Column("integer")})[0][2:4], ks_test(a["x"], b["x"]), "without categories")


def test_the_level_is_shared_by_all_comparisons():
    """P times the number of comparisons must be below the level: an alarm alone is none among three."""
    a, b = {"x": np.arange(40)}, {"x": np.arange(40) + 14}  # a distance of 14/40
    p = ks_test(a["x"], b["x"]).p
    for copies in (1, 3):
        before, after = ({f"x{n}": (table if n == 0 else a)["x"] for n in range(copies)} for table in (a, b))
        schema = {name: Column("number") for name in before}
        assert drifted(before, after, schema, level=p * copies * 1.01) == [("x0", "values")], f"{copies} comparisons"
        assert drifted(before, after, schema, level=p * copies * 0.99) == [], f"{copies} comparisons, a bit stricter"
    assert drifted(a, a, {"x": Column("number")}, level=1.0, least=0.0) == [], "p = 1 is not below a level of 1"


def test_a_drift_has_at_least_the_least_distance():
    """However small p is, a distance below `least` is no drift; a distance of `least` is."""
    rules = {"x": Column("integer", allowed=(0, 1))}
    a, b = {"x": [0] * 500 + [1] * 500}, {"x": [0] * 250 + [1] * 750}
    assert drifted(a, b, rules, least=0.25) == [("x", "values")], "a distance of exactly 0.25"
    assert drifted(a, b, rules, least=0.26) == []
    assert drifted(a, {"x": [0] * 450 + [1] * 550}, rules, least=0.0, level=0.03) == [("x", "values")], "p is 0.025"


def test_find_drift_by_default():
    """By default the level is 0.05 and the least distance 0.1."""
    rules = {"x": Column("integer", allowed=(0, 1))}

    def alarm(n, ones):
        table = {"x": [1] * ones + [0] * (n - ones)}
        return drifted({"x": [1] * (n // 2) + [0] * (n // 2)}, table, rules) != []

    assert alarm(2_000, 1_210), "a distance of 0.105, p near 0"
    assert not alarm(2_000, 1_190), "a distance of 0.095, p near 0"
    assert alarm(200, 121), "a distance of 0.105, p = 0.035"
    assert not alarm(160, 97), "a distance of 0.106, p = 0.056"


def test_find_drift_refuses():
    """A column that a table lacks, gaps of no rows, and settings outside 0 to 1 are refused by name."""
    a, rules = {"x": [1.0]}, {"x": Column("number")}
    assert_refuses(lambda: find_drift({}, a, rules), "reference", "x")
    assert_refuses(lambda: find_drift(a, {"y": [1.0]}, rules), "current", "x")
    assert_refuses(lambda: find_drift(a, {"x": [[1.0]]}, rules), "current", (1, 1))
    gaps = {"x": Column("number", nullable=True)}
    assert_refuses(lambda: find_drift({"x": []}, a, gaps), "reference", 0)
    assert_refuses(lambda: find_drift(a, {"x": []}, gaps), "current", 0)
    for name in ("level", "least"):
        for value in (-0.1, 1.1):
            assert_refuses(lambda name=name, value=value: find_drift(a, a, rules, **{name: value}), name, value)
