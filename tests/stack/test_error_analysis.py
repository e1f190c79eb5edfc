"""`production/error_analysis`: statsmodels' intervals, and the promises of the search, simulated."""

from typing import Any

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from groundup.stack.production.error_analysis import (
    Condition,
    candidate_slices,
    gains,
    measure,
    weak_slices,
    wilson_interval,
)


def rows_without_a_weak_slice(rng, count=400):
    """Columns that overlap in what they say, and errors that have nothing to do with them."""
    age = rng.uniform(0, 80, count)
    columns = {"age": age, "old": age > 55, "city": rng.choice(["Oslo", "Lima", "Rome"], count)}
    return columns, rng.random(count) < 0.15


def test_wilson_interval_is_statsmodels():
    count, total = np.array([0, 1, 7, 20, 20]), np.array([5, 9, 20, 20, 1000])
    for confidence in (0.5, 0.95, 0.999):
        expected: Any = proportion_confint(count, total, 1 - confidence, method="wilson")
        np.testing.assert_allclose(wilson_interval(count, total, confidence), expected, atol=1e-12)


def test_a_search_without_a_weak_slice_finds_one_in_at_most_one_of_twenty():
    rng, searches = np.random.default_rng(0), 200
    found = [bool(weak_slices(*rows_without_a_weak_slice(rng), rng, permutations=99)) for _ in range(searches)]
    assert np.mean(found) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / searches)
    assert any(found), "the correction is no stricter than it must be"


def test_the_rate_of_the_worst_slice_falls_back_on_other_rows():
    rng, here, there = np.random.default_rng(1), [], []
    for _ in range(30):
        columns, wrong = rows_without_a_weak_slice(rng)
        measures = {each: measure(each, columns, wrong).rate for each in candidate_slices(columns)}
        worst = max(measures, key=lambda each: measures[each])
        here.append(measures[worst])
        there.append(measure(worst, *rows_without_a_weak_slice(rng)).rate)
    assert np.mean(here) > 0.22
    assert abs(np.mean(there) - 0.15) < 0.03


def test_the_interval_of_a_gain_holds_the_true_gain():
    rng = np.random.default_rng(2)
    held = []
    for _ in range(300):
        tags = [["blurred"] if blurred else ["other"] for blurred in rng.random(50) < 0.3]
        (category,) = [each for each in gains(tags, 0.2) if each.name == "blurred"]
        held.append(category.low <= 0.2 * 0.3 <= category.high)
    assert 0.91 < np.mean(held) <= 0.99


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        (Condition("city", value="Oslo"), "city = Oslo"),
        (Condition("age", low=20.0), "age ≥ 20"),
        (Condition("age", high=30.5), "age < 30.5"),
        (Condition("age", low=20.0, high=30.5), "age ≥ 20 and < 30.5"),
        (Condition("age", missing=True), "age is missing"),
        (Condition("old", value=False), "old = False"),
    ],
)
def test_a_condition_says_what_it_is(condition, name):
    assert str(condition) == name


def test_a_slice_that_other_rows_do_not_have_is_refused():
    with pytest.raises(ValueError, match="members must leave rows inside and outside"):
        measure((Condition("city", value="Oslo"),), {"city": np.array(["Rome", "Lima"])}, [True, False])


def test_columns_without_a_slice_give_no_finding():
    assert weak_slices({"city": np.array(["Rome"] * 50)}, np.arange(50) < 5, np.random.default_rng(0)) == []
