"""Checks of error_analysis."""

import json
import math
from dataclasses import asdict
from itertools import combinations

import numpy as np
from scipy import stats
from sklearn import metrics

from groundup.checking import (
    assert_close,
    assert_draws_from,
    assert_order_free,
    assert_refuses,
    assert_refuses_values,
    assert_shape,
    assert_steps,
    assert_unchanged,
)
from groundup.stack.production.error_analysis import (
    Condition,
    adjusted_p_values,
    candidate_slices,
    conditions,
    confusions,
    gains,
    measure,
    rows_of,
    slice_scores,
    suspects,
    weak_slices,
    wilson_interval,
    worst_errors,
)

ONE = 0.6826894921370859  # the confidence whose normal quantile is 1
LABELS = [4, 9, 4, 4, 7, 9, 7, 4]
PREDICTIONS = [9, 4, 9, 4, 7, 9, 9, 7]
TAGS = [["blurred"], ["cut", "blurred"], ["thin"], ["blurred", "blurred"], ["cut"]]
CHANCES = np.array(
    [[0.9, 0.1, 0.0], [0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.4, 0.3], [0.8, 0.2, 0.0], [0.2, 0.3, 0.5]]
)
GIVEN = np.array([0, 0, 1, 1, 1, 2])


def unused():
    """A generator for calls whose result does not depend on it."""
    return np.random.default_rng(0)


# --- intervals ------------------------------------------------------------------------------------------------------


def test_wilson_interval_by_hand():
    """1 of 4 at one standard deviation: (1 + 1/2 ± √(3/4 + 1/4)) / (4 + 1), which is 0.1 to 0.5."""
    assert_close(wilson_interval(1, 4, ONE), (0.1, 0.5))


def test_wilson_interval_is_scipys():
    """It is SciPy's for every count, by default at 95 percent."""
    for k, n, confidence in ((0, 7, 0.95), (3, 7, 0.95), (7, 7, 0.95), (40, 900, 0.99), (1, 1, 0.5)):
        theirs = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
        assert_close(wilson_interval(k, n, confidence), list(theirs), f"{k} of {n} at {confidence}")
    assert_close(wilson_interval(3, 7), list(stats.binomtest(3, 7).proportion_ci(0.95, method="wilson")), "by default")


def test_wilson_interval_of_arrays():
    """Arrays and lists of any shape give arrays, a total may be shared, and what is given stays as it is."""
    low, high = wilson_interval(np.array([[0, 5], [2, 10]]), 10, ONE)
    assert_shape(low, (2, 2))
    assert_close(low + high[::-1, ::-1], [[1, low[0, 1] + high[1, 0]], [low[1, 0] + high[0, 1], 1]], "0 mirrors 10")
    assert_close(wilson_interval([1, 0], [4, 3], ONE), [[0.1, 0.0], [0.5, 0.25]], "lists")
    assert_unchanged(lambda k, n: wilson_interval(k, n), np.array([1.0, 2.0]), np.array([4.0, 4.0]))


def test_wilson_interval_refuses():
    """A count beyond its total, a total of 0 and a confidence of 95 are refused."""
    assert_refuses(lambda: wilson_interval(5, 4), "count", 5, 4)
    assert_refuses(lambda: wilson_interval(-1, 4), "count", -1)
    assert_refuses(lambda: wilson_interval(0, 0), "total", 0)
    assert_refuses_values(lambda value: wilson_interval(1, 4, value), "confidence", 0.0, 1.0, 95, np.nan)


# --- confusions -----------------------------------------------------------------------------------------------------


def test_confusions_by_hand():
    """Of four 4s two are taken for a 9 and one for a 7; of two 9s one for a 4; of two 7s one for a 9: five errors."""
    found = [(c.true, c.predicted, c.errors, c.back) for c in confusions(LABELS, PREDICTIONS)]
    assert found == [(4, 9, 2, 1), (4, 7, 1, 0), (7, 9, 1, 0), (9, 4, 1, 2)], found
    first, *others = confusions(LABELS, PREDICTIONS)
    assert_close([first.share, first.rate], [2 / 5, 2 / 4], "2 of 5 errors, 2 of four 4s")
    assert_close([c.share for c in others], [1 / 5] * 3, "shares of all errors")
    assert_close([c.rate for c in others], [1 / 4, 1 / 2, 1 / 2], "rates of the true class")


def test_confusions_have_wilsons_intervals():
    """The interval is that of the rate, by default at 95 percent."""
    for options in ({}, {"confidence": 0.8}):
        first, second, *_ = confusions(LABELS, PREDICTIONS, **options)
        assert_close([first.low, first.high], wilson_interval(2, 4, **options), f"2 of 4, {options}")
        assert_close([second.low, second.high], wilson_interval(1, 4, **options), f"1 of 4, {options}")
    assert_refuses(lambda: confusions(LABELS, PREDICTIONS, confidence=2.0), "confidence", 2)


def test_confusions_are_the_matrix_without_its_diagonal(rng):
    """Of strings in any order, the pairs are the entries of scikit-learn's matrix, and the shares add up to 1."""
    names = np.array(["wolf", "dog", "fox", "cat", "elk", "cow"])
    labels = names[rng.integers(6, size=90)]
    predictions = np.where(rng.random(90) < 0.3, labels, rng.permutation(labels))
    found, order = confusions(labels, predictions), np.unique(labels)
    matrix = metrics.confusion_matrix(labels, predictions, labels=order)
    rebuilt = np.diag(np.diag(matrix))
    for pair in found:
        rebuilt[order == pair.true, order == pair.predicted] = pair.errors
    assert_close(rebuilt, matrix)
    assert_close(sum(pair.share for pair in found), 1.0, "shares")
    counts = [pair.errors for pair in found]
    assert counts == sorted(counts, reverse=True), "the most frequent first"


def test_confusions_go_into_json():
    """All values are plain ones: a report is written as JSON. The order of the rows does not matter."""
    assert json.loads(json.dumps(confusions(LABELS, PREDICTIONS)))[0][:3] == [4, 9, 2]
    assert_order_free(lambda a, b: confusions(a, b), np.array(LABELS), np.array(PREDICTIONS))
    assert_unchanged(lambda a, b: [c.errors for c in confusions(a, b)], np.array(LABELS), np.array(PREDICTIONS))


def test_confusions_of_a_perfect_model():
    """Without an error there is no confusion: the list is empty. No rows, or shapes that differ, are refused."""
    assert confusions(LABELS, LABELS) == []
    assert confusions([1, 1], [1, 5])[0][:3] == (1, 5, 1), "a class may be predicted only"
    assert_refuses(lambda: confusions([], []), "labels", "predictions")
    assert_refuses(lambda: confusions([1, 2], [1]), "labels", "predictions")


# --- conditions -----------------------------------------------------------------------------------------------------


def test_conditions_of_numbers_by_hand():
    """0 to 7 in four ranges: the quantiles are 1.75, 3.5 and 5.25, and the outer ranges have no outer end."""
    ends = [-math.inf, 1.75, 3.5, 5.25, math.inf]
    expected = [Condition("age", low=ends[k], high=ends[k + 1]) for k in range(4)]
    assert conditions({"age": np.arange(8.0)}, bins=4, least=1) == expected
    assert conditions({"age": list(range(8))}, bins=4, least=1) == expected, "a list of whole numbers"
    assert conditions({"age": np.arange(8)}, bins=2, least=4) == [
        Condition("age", high=3.5),
        Condition("age", low=3.5),
    ], "two ranges"


def test_conditions_of_values():
    """Strings, truth values, and numbers of which there are at most `bins` different ones: one condition a value."""
    columns = {"city": np.array(["b", "a", "c", "a", "d", "e"]), "new": np.arange(6) < 2, "floor": [3, 3, 1, 1, 2, 2]}
    plain = [asdict(condition) for condition in conditions(columns, bins=3, least=1)]
    assert [each["value"] for each in json.loads(json.dumps(plain))][5:] == [False, True, 1, 2, 3], "JSON takes them"
    expected = [Condition("city", value=value) for value in "abcde"]
    expected += [Condition("new", value=False), Condition("new", value=True)]
    assert conditions(columns, bins=3, least=1) == expected + [Condition("floor", value=k) for k in (1, 2, 3)]
    ranges = [condition for condition in conditions(columns, bins=2, least=1) if condition.column == "floor"]
    assert ranges == [Condition("floor", high=2.0), Condition("floor", low=2.0)], "three numbers are more than two bins"


def test_conditions_of_missing_values():
    """What is missing belongs to no range and moves no quantile; it is a condition of its own, the column's last."""
    columns = {"age": np.array([5.0, np.nan, 1.0, 2.0, np.nan, 6.0]), "city": np.array(["b", "", "a", "a", "", "b"])}
    assert conditions(columns, bins=2, least=2) == [
        Condition("age", high=3.5),
        Condition("age", low=3.5),
        Condition("age", missing=True),
        Condition("city", value="a"),
        Condition("city", value="b"),
        Condition("city", missing=True),
    ]


def test_conditions_leave_out_what_is_too_small():
    """`least` rows must hold to a condition, and as many must not; at the limit it stays. The default is 30."""
    letters = np.repeat(["a", "b", "c"], [3, 2, 7])
    for least, kept in ((2, "abc"), (3, "ac"), (4, "c"), (5, "c"), (6, "")):
        found = [condition.value for condition in conditions({"x": letters}, least=least)]
        assert found == list(kept), f"least={least} keeps {found}"
    found = [condition.value for condition in conditions({"x": np.repeat(["a", "b", "c"], [29, 30, 60])})]
    assert found == ["b", "c"], f"by default {found}"


def test_conditions_make_four_ranges_by_default(rng):
    """Five different numbers or more make ranges between quartiles, four make values."""
    assert conditions({"x": rng.normal(size=400)})[0].low == -math.inf
    assert len(conditions({"x": rng.normal(size=400)})) == 4
    assert [c.value for c in conditions({"x": np.arange(400) % 4})] == [0, 1, 2, 3]
    assert len(conditions({"x": np.repeat(np.arange(5), 50)})) == 4


def test_conditions_divide_each_column(rng):
    """With least=1 a row holds to exactly one condition of each column, ties and missing values included."""
    columns = {"x": np.where(rng.random(60) < 0.2, np.nan, rng.integers(9, size=60)), "y": rng.integers(3, size=60)}
    for bins in (2, 3, 5):
        found = conditions(columns, bins, 1)
        for name in columns:
            held = sum(c.rows(columns).astype(int) for c in found if c.column == name)
            assert_close(held, np.ones(60), f"{name} in {bins} bins")
    assert_unchanged(lambda x: [c.low for c in conditions({"x": x}, least=1)], columns["x"])


def test_conditions_refuse():
    """Fewer than two bins, least below 1, columns that do not match, and other things than numbers are refused."""
    assert_refuses_values(lambda bins: conditions({"x": np.arange(9)}, bins), "bins", 1, 0)
    assert_refuses_values(lambda least: conditions({"x": np.arange(9)}, 4, least), "least", 0, -30)
    assert_refuses(lambda: conditions({"x": np.arange(9), "y": np.arange(8)}), "columns", (9,), (8,))
    assert_refuses(lambda: conditions({}), "columns")
    assert_refuses(lambda: conditions({"x": np.array([None, "a"], dtype=object)}), "x")


# --- slices ---------------------------------------------------------------------------------------------------------


def test_adjusted_p_values_count_ties():
    """One error in two rows: every deal has a slice as bad as the worst, so no p-value is below 1."""
    for permutations in (1, 2, 9):
        found = adjusted_p_values([[1, 0], [0, 1]], [True, False], unused(), permutations)
        assert_close(found, [1.0, 1.0], f"{permutations} deals")


def test_adjusted_p_values_count_the_observed_deal():
    """All 20 errors lie in a slice of 20 rows of 40: no deal of 999 gives that, and p is 1 in 1,000."""
    wrong = np.arange(40) < 20
    members = [wrong, ~wrong, np.arange(40) % 2 == 0]
    assert_close(adjusted_p_values(members, wrong, unused())[:2], [0.001, 1.0], "by default")
    assert_close(adjusted_p_values(members, wrong, unused(), 99)[:2], [0.01, 1.0], "of 99 deals")
    assert_close(adjusted_p_values(members, wrong, unused(), 1)[:2], [0.5, 1.0], "of one deal")


def test_adjusted_p_values_are_exact_but_for_chance(rng):
    """Of all 56 ways to deal 3 errors to 8 rows, the share is counted whose worst slice is as bad."""
    members = np.array([[1, 1, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 1, 0, 0], [1, 0, 0, 0, 0, 0, 1, 1]])
    sizes, wrong = members.sum(axis=1), np.array([1, 0, 1, 1, 0, 0, 0, 0])

    def score(rows):
        return (members[:, list(rows)].sum(axis=1) - sizes * 3 / 8) / np.sqrt(sizes * (8 - sizes))

    worst = np.array([score(rows).max() for rows in combinations(range(8), 3)])
    exact = (worst >= score((0, 2, 3))[:, np.newaxis] - 1e-9).mean(axis=1)
    found = adjusted_p_values(members, wrong, rng, 3_000)
    assert np.abs(found - exact).max() < 5 * np.sqrt(0.25 / 3_000), f"exact {exact}, found {found}"


def test_adjusted_p_values_know_overlaps(rng):
    """A slice that is looked at a second time changes no p-value: it is the same look."""
    members, wrong = rng.random((3, 50)) < 0.3, rng.random(50) < 0.2
    wrong[members[0]] |= rng.random(members[0].sum()) < 0.4
    once = adjusted_p_values(members, wrong, unused(), 200)
    assert_close(adjusted_p_values(np.vstack([members] * 5), wrong, unused(), 200), np.tile(once, 5))


def test_adjusted_p_values_without_errors():
    """Without an error, or with nothing else, no slice is worse: every p-value is 1."""
    members = np.eye(4)[:2]
    for wrong in (np.zeros(4), np.ones(4)):
        assert_close(adjusted_p_values(members, wrong, unused(), 20), [1.0, 1.0])


def test_adjusted_p_values_keep_their_manners(rng):
    """They draw from the generator given and change no argument; a slice of no or every row is refused."""
    members, wrong = rng.random((4, 30)) < 0.4, rng.random(30) < 0.3
    assert_draws_from(lambda r: adjusted_p_values(members, wrong, r, 50))
    assert_unchanged(lambda m, w: adjusted_p_values(m, w, unused(), 20), members, wrong)
    assert_refuses_values(lambda n: adjusted_p_values(members, wrong, unused(), n), "permutations", 0, -5)
    assert_refuses(lambda: adjusted_p_values(members, wrong[:9], unused()), "wrong", (9,))
    assert_refuses(lambda: adjusted_p_values([[1, 2, 0]], [1, 0, 0], unused()), "members", 2)
    for rows in ([1, 1, 1], [0, 0, 0]):
        assert_refuses(lambda rows=rows: adjusted_p_values([rows, [1, 0, 0]], [1, 0, 0], unused()), "members")


# --- categories -----------------------------------------------------------------------------------------------------


def test_gains_by_hand():
    """Three of five errors are blurred, two of them nothing else: of an error rate of 0.2, at most 0.12 and 0.08."""
    found = gains(TAGS, 0.2)
    assert [(c.name, c.errors) for c in found] == [("blurred", 3), ("cut", 2), ("thin", 1)]
    assert_close([c.gain for c in found], [0.12, 0.08, 0.04], "gain")
    assert_close([c.alone for c in found], [0.08, 0.04, 0.04], "alone")


def test_gains_have_wilsons_intervals():
    """The interval is the error rate times that of the share, by default at 95 percent."""
    for options in ({}, {"confidence": 0.5}):
        first = gains(TAGS, 0.2, **options)[0]
        low, high = wilson_interval(3, 5, **options)
        assert_close([first.low, first.high], [0.2 * low, 0.2 * high], f"{options}")


def test_gains_in_order():
    """Equal counts come in the order of the names, whatever is given first, and tags come from any iterable."""
    names = ["sarcasm", "blurred", "thin", "cut", "accent", "rare", "old", "dark"]
    assert [c.name for c in gains([[name] for name in names], 1.0)] == sorted(names)
    assert [c.name for c in gains([iter(["b"]), ("a", "c"), {"c"}], 1.0)] == ["c", "a", "b"]


def test_gains_of_one_tag_each_add_up(rng):
    """Where each error has one tag, the gains add up to the error rate, and nothing is gained but alone."""
    tags = [[f"kind {k}"] for k in rng.integers(5, size=40)]
    assert_close(sum(c.gain for c in gains(tags, 0.3)), 0.3)
    assert_close([c.gain for c in gains(tags, 0.3)], [c.alone for c in gains(tags, 0.3)], "alone")
    assert_close([c.gain for c in gains(tags, 0.0)], np.zeros(len(gains(tags, 0.0))), "without an error")


def test_gains_refuse():
    """No error, an error without a tag, a bare string, and a rate beyond 1 are refused."""
    assert_refuses(lambda: gains([], 0.2), "tags")
    assert_refuses(lambda: gains([["a"], []], 0.2), "tags")
    assert_refuses(lambda: gains(["blurred"], 0.2), "tags", "blurred")
    assert_refuses_values(lambda rate: gains(TAGS, rate), "error_rate", -0.1, 12, np.nan)
    assert_refuses(lambda: gains(TAGS, 0.2, confidence=95), "confidence", 95)


# --- labels ---------------------------------------------------------------------------------------------------------


def test_suspects_by_hand():
    """Thresholds 0.8, 0.4 and 0.5: row 4 says 1, and reaches 0.8 for class 0, 0.6 more than for its label."""
    ((row, label, likelier, margin),) = suspects(GIVEN, CHANCES)
    assert (row, label, likelier) == (4, 1, 0)
    assert_close(margin, 0.6)


def test_suspects_need_a_confident_class():
    """Row 1 reaches no threshold, whatever it says; the most probable of the classes that are reached counts."""
    chances = np.array([[0.9, 0.1, 0.0], [0.5, 0.2, 0.3], [0.4, 0.4, 0.2], [0.5, 0.45, 0.05], [0.1, 0.1, 0.8]])
    found = suspects([0, 2, 1, 1, 2], chances)  # thresholds 0.9, 0.425 and 0.55
    assert found == [], f"nothing is suspect, got {found}"
    (only,) = suspects([0, 2, 1, 0, 2], chances)  # thresholds 0.7, 0.4 and 0.55: row 3 reaches 0.45 for class 1
    assert only[:3] == (3, 0, 1), only
    assert_close(only.margin, -0.05, "the label is more probable, but less than where it is right")


def test_suspects_reach_a_threshold_at_it():
    """0.6 for class 1 is its mean over the rows with that label: row 2 is suspect at 0.6, and not below."""

    def rows(chance):
        return [suspect.row for suspect in suspects([0, 1, 0], [[0.9, 0.1], [0.4, 0.6], [1 - chance, chance]])]

    assert_steps(rows, 0.6, below=[], at=[2], above=[2])


def test_suspects_are_those_of_a_loop(rng):
    """Row by row, in Python, it is the same: the likeliest first, ties in the order of rows."""
    labels = np.append(rng.integers(4, size=60), np.arange(4))
    chances = rng.dirichlet(np.ones(4), size=64)
    chances[10:20], labels[10:20] = chances[0], labels[0]
    limits = [np.mean([p[k] for p, label in zip(chances, labels, strict=True) if label == k]) for k in range(4)]
    expected = []
    for row, (label, p) in enumerate(zip(labels, chances, strict=True)):
        reached = [k for k in range(4) if p[k] >= limits[k]]
        best = max(reached, key=lambda k: p[k], default=label)
        if best != label:
            expected.append((row, label, best, p[best] - p[label]))
    expected.sort(key=lambda suspect: -suspect[3])
    assert_close(np.array(suspects(labels, chances)), np.array(expected))


def test_suspects_find_wrong_labels(rng):
    """Of 300 rows 12 labels are moved on: they are the first 12 suspects. What is given stays, and JSON takes it."""
    truth = np.arange(300) % 3
    chances = np.full((300, 3), 0.05) + 0.85 * np.eye(3)[truth]
    moved = rng.choice(300, 12, replace=False)
    labels = truth.copy()
    labels[moved] = (truth[moved] + 1) % 3
    found = suspects(labels, chances)
    assert {suspect.row for suspect in found[:12]} == set(moved.tolist())
    assert all(suspect.likelier == truth[suspect.row] for suspect in found[:12])
    assert json.loads(json.dumps(found))[0][0] in moved
    assert_unchanged(lambda a, b: [s.row for s in suspects(a, b)], labels, chances)


def test_suspects_refuse():
    """A class without a row, a label beyond the classes, and rows that do not add up to 1 are refused."""
    assert_refuses(lambda: suspects([0, 0, 1, 1, 1, 1], CHANCES), "labels", 2)
    assert_refuses(lambda: suspects([0, 0, 1, 1, 2, 3], CHANCES), "labels", 3)
    assert_refuses(lambda: suspects(GIVEN, 2 * CHANCES), "probabilities", 1.8)
    assert_refuses(lambda: suspects(GIVEN[:3], CHANCES), "labels", (3,), (6, 3))


# --- what is given is right, too ------------------------------------------------------------------------------------


def test_weak_slices_are_found_and_measured(rng):
    """A planted pair of conditions comes first, without a copy of it, and is measured on other rows."""
    columns = {"city": rng.choice(["Oslo", "Lima", "Rome"], 1200), "age": rng.uniform(0, 80, 1200)}
    bad = (columns["city"] == "Lima") & (columns["age"] < 20)
    wrong = rng.random(1200) < np.where(bad, 0.6, 0.05)
    first = weak_slices(columns, wrong, rng, permutations=99)[0]
    assert str(first.slice[0]) == "city = Lima", first
    assert str(first.slice[1]).startswith("age < "), first
    assert_close(first.p_value, 0.01, "the p-value")
    there = {"city": np.array(["Lima", "Lima", "Rome", "Oslo"]), "age": np.array([3.0, 9.0, 5.0, 70.0])}
    found = measure(first.slice, there, [1, 0, 1, 0])
    assert_close(found, [2, 1, 0.5, *wilson_interval(1, 2), 0.5, 0.0], "on other rows")
    slices = candidate_slices(columns)
    assert len({rows_of(each, columns).tobytes() for each in slices}) == len(slices), "no slice twice"
    assert_close(slice_scores(np.array([[1.0, 1, 0, 0]]), np.array([1.0, 0, 0, 0])), [0.25], "1 - 2/4 over √(2 · 2)")


def test_worst_errors_are_the_surest():
    """The two wrong rows come by the probability of their own class, the lowest first; right rows never."""
    assert_close(worst_errors([1, 0, 1, 2, 0, 2], CHANCES), [0, 3])
    assert_close(worst_errors([1, 0, 1, 2, 0, 2], CHANCES, k=1), [0])
