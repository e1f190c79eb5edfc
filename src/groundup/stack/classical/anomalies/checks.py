"""Checks of robust z-scores, isolation forests, local outlier factors, and cumulative sums."""

import numpy as np
import pytest
from scipy import stats
from sklearn import neighbors

from groundup.checking import (
    assert_close,
    assert_draws_from,
    assert_number_kinds,
    assert_refuses,
    assert_refuses_nonfinite,
    assert_refuses_values,
    assert_rows_alone,
    assert_steps,
    assert_unchanged,
    estimator_conventions,
)
from groundup.stack.classical.anomalies import (
    IsolationForest,
    IsolationTree,
    LocalOutlierFactor,
    RobustZScore,
    average_path_length,
    cusum,
    grow_isolation_tree,
    local_densities,
    others,
    path_lengths,
    robust_scale,
    z_scores,
)

# Errors at most 5: a leaf of three rows. Else CPU at most 80: a leaf of one row, else of two.
TREE = IsolationTree(
    feature=np.array([0, -1, 1, -1, -1]),
    threshold=np.array([5.0, np.nan, 80.0, np.nan, np.nan]),
    left=np.array([1, -1, 3, -1, -1]),
    right=np.array([2, -1, 4, -1, -1]),
    size=np.array([6, 3, 3, 1, 2]),
)
PODS = np.array([[1.0, 99.0], [9.0, 50.0], [9.0, 90.0], [5.0, 50.0], [6.0, 80.0]])


def crowds(rng):
    """A wide crowd of 60, a dense one of 30, and a row near the dense one that is not of it."""
    return np.vstack([1.5 * rng.normal(size=(60, 2)) + 8, 0.1 * rng.normal(size=(30, 2)), [[1.0, 1.0]]])


# --- values ---------------------------------------------------------------------------------------------------------


def test_robust_scale_by_hand():
    """Of 1, 2, 3, 4 and 100 the median is 3, the distances are 2, 1, 0, 1 and 97, and their median is 1."""
    medians, spreads = robust_scale(np.array([[1.0], [2.0], [3.0], [4.0], [100.0]]))
    assert_close(medians, [3.0], "median")
    assert_close(spreads, [1.482602218505602], "1.4826 · MAD")


def test_robust_scale_is_scipys(rng):
    """Of each column it is scipy's MAD over the quartile of a normal distribution."""
    X = rng.standard_t(3, size=(41, 3)) * [1, 10, 100] + [0, 5, -5]
    medians, spreads = robust_scale(X)
    assert_close(medians, np.median(X, axis=0), "medians")
    assert_close(spreads, stats.median_abs_deviation(X) / stats.norm.ppf(0.75), "spreads of three columns")
    assert_unchanged(robust_scale, X)


def test_a_few_wild_values_do_not_move_the_spread(rng):
    """Of 100 values 20 become a million: the spread less than doubles, where the standard deviation explodes."""
    X = rng.normal(size=(100, 1))
    before = robust_scale(X)[1]
    X[:20] = 1e6
    after = robust_scale(X)[1]
    assert after < 2 * before, f"the spread was {before}, and is {after}"


def test_a_column_of_mostly_one_value_has_a_spread():
    """Of 5, 5, 5, 5 and 9 the MAD is 0: the spread is 1.2533 times the mean distance, 4/5. A constant column has 0."""
    _, spreads = robust_scale(np.array([[5.0, 1.0], [5.0, 1.0], [5.0, 1.0], [5.0, 1.0], [9.0, 1.0]]))
    assert_close(spreads, [np.sqrt(np.pi / 2) * 0.8, 0.0])


def test_z_scores_by_hand():
    """They count spreads; where the spread is 0, the centre has 0 and all else is infinitely far."""
    scores = z_scores(np.array([[7.0, 1.0], [1.0, 0.5]]), np.array([3.0, 1.0]), np.array([2.0, 0.0]))
    assert_close(scores, [[2, 0], [-1, -np.inf]])


# --- isolation ------------------------------------------------------------------------------------------------------


def test_average_path_length_by_hand():
    """c(0) = c(1) = 0, c(2) = 1, c(3) = 2 (ln 2 + 0.5772) - 4/3, and c(256) is 10.24."""
    lengths = average_path_length([0, 1, 2, 3, 256])
    assert_close(lengths[:3], [0, 0, 1], "of 0, 1 and 2 rows")
    assert_close(lengths[3], 2 * (np.log(2) + 0.5772156649) - 4 / 3, "of 3 rows")
    assert_close(lengths[4], 10.2448, "of 256 rows", atol=1e-3)


def test_average_path_length_keeps_shapes():
    """A number, a table and an empty array give as much, without a warning of a logarithm of 0."""
    with np.errstate(all="raise"):
        assert average_path_length(5).shape == (), "a number gives a number"
        assert average_path_length(np.ones((2, 3), dtype=int)).shape == (2, 3), "a table gives a table"
        assert average_path_length(np.empty(0, dtype=int)).shape == (0,), "nothing gives nothing"
    assert_number_kinds(average_path_length, [1, 2, 5, 9])


def test_average_path_length_is_that_of_random_cuts(rng):
    """In trees that are grown to the end on 64 values, searches for new values end about as deep as c(64) says."""
    X, new = rng.random((64, 1)), rng.random((300, 1))
    depths = [path_lengths(grow_isolation_tree(X, 64, rng), new).mean() for _ in range(40)]
    assert_close(np.mean(depths), float(average_path_length(64)), "mean depth over 40 trees", rtol=0.2)


def test_two_rows_are_parted_by_one_cut(rng):
    """Rows that differ in one column only: the root asks for it, between the two values; two leaves of one row."""
    tree = grow_isolation_tree(np.array([[7.0, 1.0], [7.0, 3.0]]), 8, rng)
    assert tree.feature.tolist() == [1, -1, -1], f"the second column, then two leaves; got {tree.feature}"
    assert 1 <= tree.threshold[0] < 3, f"the cut is between 1 and 3, got {tree.threshold[0]}"
    assert np.isnan(tree.threshold[1:]).all(), "a leaf has no threshold"
    assert sorted([tree.left[0], tree.right[0]]) == [1, 2], "the children of the root are nodes 1 and 2"
    assert tree.size.tolist() == [2, 1, 1], f"two rows, then one each; got {tree.size}"


def test_a_tree_parts_its_rows(rng):
    """Children share their parent's rows by its cut, and a leaf has one row, only copies, or the largest depth."""
    X = rng.integers(0, 5, (40, 2)).astype(float)
    tree = grow_isolation_tree(X, 4, rng)
    pending, leaves = [(0, np.arange(40), 0)], 0
    while pending:
        node, rows, depth = pending.pop()
        assert tree.size[node] == len(rows), f"node {node} has {len(rows)} rows, and says {tree.size[node]}"
        feature = tree.feature[node]
        if feature == -1:
            leaves += 1
            alone = len(rows) == 1 or (X[rows] == X[rows[0]]).all()
            assert alone or depth == 4, f"leaf {node} at depth {depth} has {len(rows)} rows that differ"
            assert tree.left[node] == tree.right[node] == -1, "a leaf has no children"
            continue
        assert depth < 4, "the largest depth is 4"
        low = X[rows, feature] <= tree.threshold[node]
        assert 0 < low.sum() < len(rows), f"the cut of node {node} leaves a side empty"
        pending += [(tree.left[node], rows[low], depth + 1), (tree.right[node], rows[~low], depth + 1)]
    assert leaves == (tree.feature == -1).sum(), "every leaf hangs on the root"


def test_copies_and_single_rows_are_leaves(rng):
    """Copies cannot be parted, one row need not be, and at depth 0 nothing may be: a single leaf."""
    for X, depth in ((np.ones((5, 3)), 9), (np.ones((1, 2)), 9), (rng.normal(size=(6, 2)), 0)):
        tree = grow_isolation_tree(X, depth, rng)
        assert tree.feature.tolist() == [-1], f"{len(X)} row(s) to depth {depth}: one leaf, got {tree.feature}"
        assert tree.size.tolist() == [len(X)], f"its size is {len(X)}, got {tree.size}"


def test_cuts_are_drawn_alike(rng):
    """Over 800 trees on two corners of a square, columns come equally often and thresholds are uniform."""
    X = np.array([[0.0, 10.0, 4.0], [1.0, 20.0, 4.0]])
    trees = [grow_isolation_tree(X, 1, rng) for _ in range(800)]
    first = np.array([tree.feature[0] == 0 for tree in trees])
    assert_close(first.mean(), 0.5, "share of the first column", atol=0.08)
    cuts = np.array([tree.threshold[0] for tree in trees])
    shares = np.where(first, cuts, (cuts - 10) / 10)
    assert_close(np.quantile(shares, [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], "quartiles of the thresholds", atol=0.08)


def test_a_tree_is_drawn_by_the_generator_given(rng):
    """The same generator grows the same tree, and another one another; the table stays as it is."""
    X = rng.normal(size=(20, 3))
    assert_draws_from(lambda rng: np.nan_to_num(grow_isolation_tree(X, 5, rng).threshold[:1]))
    assert_unchanged(lambda A: grow_isolation_tree(A, 5, np.random.default_rng(0)), X)


def test_path_lengths_by_hand():
    """One cut to a leaf of three rows is 1 + c(3); two to one row are 2, to two rows 2 + 1. Equals go to the left."""
    c3 = float(average_path_length(3))
    assert_close(path_lengths(TREE, PODS), [1 + c3, 2, 3, 1 + c3, 2])


def test_path_lengths_of_each_row_by_itself():
    """A row's path does not depend on those beside it; nothing is changed."""
    assert_rows_alone(lambda rows: path_lengths(TREE, rows), PODS)
    assert_unchanged(path_lengths, TREE, PODS)
    leaf = IsolationTree(*(np.array(array[1:2]) for array in TREE))
    assert_close(path_lengths(leaf, PODS), np.full(5, float(average_path_length(3))), "a tree of one leaf")


def test_strangers_have_short_paths(rng):
    """In the mean of 20 trees a row far from 60 others is parted by fewer cuts than any of them."""
    X = np.vstack([rng.normal(size=(60, 2)), [[9.0, -9.0]]])
    mean = np.mean([path_lengths(grow_isolation_tree(X, 8, rng), X) for _ in range(20)], axis=0)
    assert mean.argmin() == 60, (
        f"row {mean.argmin()} has the shortest mean path, {mean.min():.2f}; row 60 {mean[60]:.2f}"
    )


def test_scores_are_powers_of_two(rng):
    """A score is -2^(-mean path / c(rows of a tree)); trees have max_samples rows and depth log2 of it, rounded up."""
    X = rng.normal(size=(70, 2))
    forest = IsolationForest(7, max_samples=20, random_state=0).fit(X)
    mean = np.mean([path_lengths(tree, X) for tree in forest.trees_], axis=0)
    assert_close(forest.score_samples(X), -(2.0 ** (-mean / float(average_path_length(20)))), "scores")
    assert [tree.size[0] for tree in forest.trees_] == [20] * 7, "each of 7 trees has 20 rows"
    longest = max(path_lengths(tree._replace(size=np.ones_like(tree.size)), X).max() for tree in forest.trees_)
    assert longest <= 5, f"log2(20), rounded up, is 5; a path has {longest} cuts"


# --- density --------------------------------------------------------------------------------------------------------


def test_local_densities_by_hand():
    """Neighbours at 1 and 2 whose own reaches are 3 and 1: reachability 3 and 2, mean 2.5, density 0.4."""
    assert_close(local_densities(np.array([[1.0, 2.0], [2.0, 2.0]]), np.array([[3.0, 1.0], [1.0, 2.0]])), [0.4, 0.5])


def test_copies_have_a_large_density_and_no_infinity():
    """Among copies all distances are 0: the density is 1 / 1e-10, without a division by 0."""
    with np.errstate(all="raise"):
        assert_close(local_densities(np.zeros((1, 3)), np.zeros((1, 3))), [1e10])


def test_local_densities_leave_their_arguments_alone(rng):
    """Both arguments stay as they are."""
    assert_unchanged(local_densities, rng.random((4, 3)), rng.random((4, 3)))


def test_a_row_is_not_its_own_neighbour():
    """Row 0 is taken from its neighbours; row 1 hides among copies, and the last one goes instead."""
    distances, rows = np.array([[0.0, 1.0, 2.0], [0.0, 0.0, 0.0]]), np.array([[0, 1, 2], [2, 3, 4]])
    assert_close(others(distances, rows)[0], [[1, 2], [0, 0]], "distances")
    assert_close(others(distances, rows)[1], [[1, 2], [2, 3]], "rows")


def test_factors_are_scikit_learns(rng):
    """Of training rows among the others, and of new rows, they are scikit-learn's."""
    X, new = crowds(rng), rng.uniform(-3, 10, (10, 2))
    ours, theirs = LocalOutlierFactor(7).fit(X), neighbors.LocalOutlierFactor(n_neighbors=7, novelty=True).fit(X)
    assert_close(ours.negative_outlier_factor_, theirs.negative_outlier_factor_, "training rows")
    assert_close(ours.score_samples(new), theirs.score_samples(new), "new rows")


def test_what_is_strange_depends_on_the_crowd(rng):
    """A row 1.4 from a dense crowd is the strangest, though rows of the wide crowd lie as far apart."""
    X = crowds(rng)
    factors = -LocalOutlierFactor(10).fit(X).negative_outlier_factor_
    assert factors.argmax() == 90, (
        f"the largest factor is {factors.max():.1f}, of row {factors.argmax()}, not of row 90"
    )
    assert RobustZScore().fit(X).predict(X[90:]) == 1, "column by column row 90 is in order"


# --- shifts ---------------------------------------------------------------------------------------------------------


def test_cusum_by_hand():
    """Target 10, drift 1: 12, 13, 9, 15 add up 1, 3, 1, 5. Above 4 is an alarm, and the sums begin anew with 12: 1."""
    sums = cusum([12, 13, 9, 15, 12], 10.0, drift=1.0, threshold=4.0)
    assert_close(sums.above, [1, 3, 1, 5, 1], "above")
    assert_close(sums.below, [0, 0, 0, 0, 0], "below")
    assert sums.alarms.tolist() == [3], f"one alarm, at place 3, got {sums.alarms}"


def test_cusum_looks_both_ways():
    """Target 10, drift 1: 7, 9, 6 fall 2, 2, 5 below. An alarm of one sum begins both anew."""
    sums = cusum([7, 9, 6, 13], 10.0, drift=1.0, threshold=4.0)
    assert_close(sums.below, [2, 2, 5, 0], "below")
    assert sums.alarms.tolist() == [2], f"the alarm is at place 2, got {sums.alarms}"
    both = cusum([6, 18, 8], 10.0, drift=0.0, threshold=5.0)
    assert_close(both.above, [0, 8, 0], "above: 0, 8, then 0")
    assert_close(both.below, [4, 0, 2], "below: 4, then what 8 above wiped out, then 2")
    reset = cusum([16, 7, 9, 20], 10.0, drift=0.0, threshold=6.0)
    assert_close(reset.below, [0, 3, 4, 0], "6 is not above 6: no alarm yet")
    assert reset.alarms.tolist() == [3], f"only 20 brings an alarm, got {reset.alarms}"


def test_without_an_alarm_it_is_the_best_recent_sum(rng):
    """above[t] is the largest sum of the last values less target and drift, over all beginnings, and at least 0."""
    for count, drift in ((0, 0.5), (1, 0.5), (9, 0.0), (9, 0.5), (9, 1.0)):
        values = rng.integers(-4, 5, count)
        above, below, alarms = cusum(values, 1.0, drift=drift, threshold=1e9)
        for sign, sums in ((1, above), (-1, below)):
            steps = sign * (values - 1.0) - drift
            expected = [max([0.0, *(steps[begin : t + 1].sum() for begin in range(t + 1))]) for t in range(count)]
            assert_close(sums, expected, f"{'above' if sign > 0 else 'below'} of {values}, drift {drift}")
        assert len(alarms) == 0, f"a threshold of a billion is not reached, got {alarms}"
        assert alarms.dtype.kind == "i", f"places are whole numbers, also where there are none, not {alarms.dtype}"


def test_an_alarm_begins_both_sums_anew():
    """After an alarm above, what had added up below is gone too."""
    sums = cusum([-3, 9, -3], 0.0, drift=0.0, threshold=5.0)
    assert_close(sums.above, [0, 9, 0], "above")
    slow = cusum([-4, 3, 3, 3, -4], 0.0, drift=-0.0, threshold=8.0)
    assert_close(slow.below, [4, 1, 0, 0, 4], "below")
    assert slow.alarms.tolist() == [3], f"3 + 3 + 3 is above 8, got {slow.alarms}"


def test_a_small_shift_is_found(rng):
    """A shift of one deviation, which no single value shows, brings an alarm within 40 values, and none before it."""
    values = np.concatenate([rng.normal(size=60), rng.normal(size=60) + 1])
    alarms = cusum(values, 0.0, drift=0.5, threshold=8.0).alarms
    assert len(alarms) > 0, "there is an alarm"
    assert 60 <= alarms[0] < 100, f"the shift is at 60, the first alarm at {alarms[0]}"


def test_cusum_refuses_what_makes_no_sense():
    """A table, values that are not finite, a drift below 0 and a threshold of 0 are refused by name; lists are not."""
    assert_refuses(lambda: cusum(np.ones((2, 2)), 0.0, drift=0.0, threshold=1.0), "values", (2, 2))
    assert_refuses_nonfinite(lambda v: cusum(v, 0.0, drift=0.0, threshold=1.0), np.arange(4.0), "values")
    assert_refuses_values(lambda d: cusum([1.0], 0.0, drift=d, threshold=1.0), "drift", -0.5, np.inf)
    assert_refuses_values(lambda h: cusum([1.0], 0.0, drift=0.0, threshold=h), "threshold", 0, -1)
    assert_number_kinds(lambda v: cusum(v, 1.0, drift=0.5, threshold=2.0).above, [1, 2, 5, 0])
    assert_unchanged(lambda v: cusum(v, 1.0, drift=0.5, threshold=2.0), np.arange(4.0))


# --- estimators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convention", estimator_conventions("clusterer", without=["labels_its_rows"]))
@pytest.mark.parametrize(
    "make",
    [RobustZScore, lambda: IsolationForest(4, random_state=0), lambda: LocalOutlierFactor(4)],
    ids=["RobustZScore", "IsolationForest", "LocalOutlierFactor"],
)
def test_each_keeps_scikit_learns_conventions(make, convention):
    """It keeps scikit-learn's conventions."""
    convention(make)


def test_the_threshold_is_the_last_ordinary_value():
    """A robust z-score of the threshold is ordinary, above it an anomaly, either way and in any column."""
    model = RobustZScore(2.0).fit(np.array([[-1.0, 0.0], [0.0, 1.0], [1.0, -1.0]]))
    edge = 2 * model.scale_[0]
    assert_steps(lambda x: model.predict([[x, 0.0]])[0], edge, below=1, at=1, above=-1)
    assert_close(model.predict([[0.0, -edge - 0.1], [0.5, 0.5]]), [-1, 1], "below, in the second column")
    assert_close(model.decision_function([[0.0, 0.0]]), [2.0], "decision: score less offset_")


def test_what_cannot_be_is_refused():
    """Settings out of range, and a single row without neighbours, are refused by name."""
    X = np.arange(6.0).reshape(3, 2)
    assert_refuses_values(lambda t: RobustZScore(t).fit(X), "threshold", 0, -1, "auto")
    assert_refuses_values(lambda n: IsolationForest(n).fit(X), "n_estimators", 0, 1.5)
    assert_refuses_values(lambda n: IsolationForest(max_samples=n).fit(X), "max_samples", 1, "auto")
    assert_refuses_values(lambda k: LocalOutlierFactor(k).fit(X), "n_neighbors", 0, 2.5)
    assert_refuses(lambda: LocalOutlierFactor().fit(X[:1]), "X", 1, message="one row has no neighbours")
