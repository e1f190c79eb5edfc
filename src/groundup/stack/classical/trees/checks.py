"""Checks of trees."""

import itertools

import numpy as np
import pytest
from sklearn import tree as sklearn_tree

from groundup.checking import (
    assert_close,
    assert_draws_from,
    assert_refuses,
    assert_refuses_values,
    assert_rows_alone,
    assert_unchanged,
    estimator_conventions,
    runs_python_lines,
)
from groundup.stack.classical.trees import (
    ENTROPY,
    GINI,
    LEAF,
    VARIANCE,
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    Limits,
    Tree,
    add,
    best_cut,
    collapse_alphas,
    columns_of,
    draw,
    grow,
    leaves_of,
    node_error,
    prune,
)

CRITERIA = {"gini": GINI, "entropy": ENTROPY, "squared_error": VARIANCE}


def sums_of(targets, weights, criterion, n_classes=3):
    """What `add` makes of samples."""
    sums = np.zeros(3 if criterion == VARIANCE else n_classes)
    for target, weight in zip(targets, weights, strict=True):
        add(sums, float(target), float(weight), criterion)
    return sums


def grown(X, targets, criterion=GINI, weights=None, seed=0, **limits):
    """A tree from `grow`, without limits unless given."""
    X, targets = np.array(X, dtype=float), np.array(targets, dtype=float)
    weights = np.ones(len(X)) if weights is None else np.array(weights, dtype=float)
    settings = {"max_depth": 99, "min_samples_split": 2, "min_samples_leaf": 1, "max_features": X.shape[1], **limits}
    n_classes = 1 if criterion == VARIANCE else int(targets.max()) + 1
    rng = np.random.default_rng(seed)
    return grow(columns_of(X), targets, weights, criterion, n_classes, Limits(**settings), rng)


def made(*nodes):
    """A tree from (left, right, feature, threshold, missing_left, value, impurity, n_samples) for each node."""
    kinds = (np.int32, np.int32, np.int32, float, bool, float, float, np.int32)
    arrays = [np.array(column, dtype=kind) for column, kind in zip(zip(*nodes, strict=True), kinds, strict=True)]
    return Tree(*arrays[:8], weight=arrays[7].astype(float))


# Root: is x1 <= 2, a missing value to the left? Left: is x0 known? Right: a leaf.
BY_HAND = made(
    (1, 2, 1, 2.0, True, [0.5, 0.5], 0.5, 12),
    (3, 4, 0, np.inf, False, [0.75, 0.25], 0.375, 8),
    (LEAF, LEAF, LEAF, np.nan, False, [0.0, 1.0], 0.0, 4),
    (LEAF, LEAF, LEAF, np.nan, False, [1.0, 0.0], 0.0, 4),
    (LEAF, LEAF, LEAF, np.nan, False, [0.5, 0.5], 0.5, 4),
)


def table(rng, n=40, missing=0.0):
    """Numbers of four columns that float32 holds exactly, no two of a column equal, with gaps."""
    X = np.stack([rng.permutation(4 * n)[:n] / 4 for _ in range(4)], axis=1)
    return np.where(rng.random(X.shape) < missing, np.nan, X)


# --- node_error -----------------------------------------------------------------------------------------------------


def test_node_error_by_hand():
    """Two of four pods down: Gini 1/2 and entropy 1 bit, times 4. The numbers 1, 1, 4: variance 2, times 3."""
    assert_close(node_error(np.array([2.0, 2.0]), GINI), 2.0, "Gini of two against two: 4 · 1/2")
    assert_close(node_error(np.array([2.0, 2.0]), ENTROPY), 4.0, "entropy of two against two: 4 · 1 bit")
    assert_close(node_error(np.array([3.0, 6.0, 18.0]), VARIANCE), 6.0, "Σw 3, Σwy 6, Σwy² 18: 3 · 2")
    assert_close(node_error(np.array([0.5, 0.5, 1.0]), VARIANCE), 0.5, "0 and 2, weights of 1/4: 1/2 · 1")
    assert_close(node_error(np.array([0.5, 0.5]), ENTROPY), 1.0, "two classes of weight 1/2: 1 · 1 bit")
    assert_close(node_error(np.array([0.25, 0.25]), GINI), 0.25, "two classes of weight 1/4: 1/2 · 1/2")
    light = [node_error(1e-6 * np.array(sums), c) for c, sums in enumerate(([1.0, 1.0], [1.0, 1.0], [2.0, 2.0, 4.0]))]
    assert_close(light, [1e-6, 2e-6, 2e-6], "[Gini, entropy, variance] of two samples of weight 10⁻⁶", atol=1e-12)


def test_node_error_is_impurity_times_weight(rng):
    """It is W · (1 - Σp²), -W · Σ p log₂ p and W times the weighted variance."""
    targets, weights = rng.integers(0, 3, 30), rng.random(30)
    shares = np.array([weights[targets == k].sum() for k in range(3)]) / weights.sum()
    y = rng.normal(size=30)
    variance = np.average((y - np.average(y, weights=weights)) ** 2, weights=weights)
    expected = [1 - (shares**2).sum(), -(shares * np.log2(shares)).sum(), variance]
    errors = [node_error(sums_of(t, weights, c), c) for t, c in ((targets, GINI), (targets, ENTROPY), (y, VARIANCE))]
    assert_close(errors, np.array(expected) * weights.sum(), "[Gini, entropy, variance], each times W")


@pytest.mark.parametrize("criterion", CRITERIA.values())
def test_no_split_raises_the_error(criterion, rng):
    """However a node is cut, its two sides together err at most as much; a pure node does not err."""
    for _ in range(20):
        targets, cut = rng.integers(0, 3, 12), rng.integers(1, 12)
        whole, left, right = (
            node_error(sums_of(part, np.ones(len(part)), criterion), criterion)
            for part in (targets, targets[:cut], targets[cut:])
        )
        assert left + right <= whole + 1e-9, f"{targets} cut at {cut}: {left} + {right} is more than {whole}"
    assert_close(node_error(sums_of([2, 2, 2], [1, 2, 1], criterion), criterion), 0.0, "three equal targets")


@pytest.mark.parametrize("criterion", CRITERIA.values())
def test_node_error_of_nothing(criterion):
    """No weight is no error, and rounding makes none negative."""
    assert_close(node_error(np.zeros(3), criterion), 0.0, "a node without weight")
    assert node_error(np.array([3.0, 3.0, 3.0 - 1e-9]), VARIANCE) == 0, "Σwy² rounded to below (Σwy)² / Σw: 0"


# --- best_cut -------------------------------------------------------------------------------------------------------


def cut(codes, targets, *, n_missing=0, weights=None, criterion=GINI, min_samples_leaf=1):
    """`best_cut` on lists."""
    weights = np.ones(len(codes)) if weights is None else np.array(weights, dtype=float)
    targets = np.array(targets, dtype=float)
    sums = sums_of(targets, weights, criterion)
    codes = np.array(codes, dtype=np.int32)
    return best_cut(codes, len(codes) - n_missing, targets, weights, sums, criterion, min_samples_leaf)


def test_best_cut_by_hand():
    """CPU ranks 0 to 5, the last three pods down: three go left, and no error is left."""
    assert_close(cut(range(6), [0, 0, 0, 1, 1, 1]), [0.0, 3, 0], "(error, known samples to the left, missing left)")
    error, place, _ = cut(range(4), [1, 2, 6, 7], criterion=VARIANCE)
    assert_close([error, place], [1.0, 2], "1, 2 | 6, 7 under the variance: the error is 1/2 + 1/2")


def every_cut(codes, n_known, targets, weights, criterion, min_samples_leaf):
    """The least error over all cuts, by trying each."""
    known = np.arange(len(codes)) < n_known
    best = np.inf
    for missing_left in (False, True):
        for code in codes[:n_known]:
            left = np.where(known, codes <= code, missing_left)
            if min(left.sum(), (~left).sum()) >= min_samples_leaf:
                sides = (node_error(sums_of(targets[s], weights[s], criterion), criterion) for s in (left, ~left))
                best = min(best, sum(sides))
    return best


@pytest.mark.parametrize("criterion", CRITERIA.values())
def test_best_cut_is_the_best_of_all(criterion, rng):
    """No cut leaves less error: with ties, weights, missing values and a least number of samples."""
    for _ in range(25):
        n, n_missing = int(rng.integers(4, 12)), int(rng.integers(0, 3))
        codes = np.append(np.sort(rng.integers(0, 6, n - n_missing)), np.full(n_missing, 6))
        targets, weights, least = rng.integers(0, 3, n).astype(float), rng.integers(1, 4, n).astype(float), 1 + n % 2
        error, place, missing_left = cut(
            codes, targets, n_missing=n_missing, weights=weights, criterion=criterion, min_samples_leaf=least
        )
        expected = every_cut(codes, n - n_missing, targets, weights, criterion, least)
        assert_close(error, expected, f"codes {codes}, {n_missing} missing, targets {targets}, weights {weights}")
        if np.isfinite(error):
            left = np.append(np.arange(n - n_missing) < place, np.full(n_missing, missing_left))
            sides = [node_error(sums_of(targets[s], weights[s], criterion), criterion) for s in (left, ~left)]
            assert_close(sum(sides), error, f"the error of the cut that was returned, {place} and {missing_left}")


def test_equal_values_stay_together():
    """Between equal codes there is no cut; without any cut the error is infinite."""
    error, place, _ = cut([0, 0, 0, 1], [0, 1, 1, 1])
    assert place == 3, f"codes 0, 0, 0, 1 have one cut, after three samples; got {place}"
    assert cut([2, 2, 2], [0, 1, 1])[0] == np.inf, "three equal codes: no cut, the error is infinite"
    assert np.isfinite(error), "codes 0, 0, 0, 1: there is a cut"


def test_missing_values_go_where_they_do_less_harm():
    """Two missing readings of pods that are down go with those that are down, left or right, or stay by themselves."""
    assert_close(cut([0, 1, 2, 2], [1, 0, 1, 1], n_missing=2), [0.0, 1, 1], "down first | up, missing down: left")
    assert_close(cut([0, 1, 2, 2], [0, 1, 1, 1], n_missing=2), [0.0, 1, 0], "up | down, missing down: right")
    assert_close(cut([0, 1, 2, 2], [0, 0, 1, 1], n_missing=2), [0.0, 2, 0], "up, up | missing down: by themselves")


def test_of_equal_cuts_the_first_is_taken():
    """The first place, and missing values to the right, which is tried before the left."""
    assert_close(cut(range(3), [0, 1, 0]), [1.0, 1, 0], "codes 0, 1, 2: the first of two equal cuts")
    either = cut([0, 1, 2, 2], [0, 1, 0, 1], n_missing=2)
    assert_close(either, [4 / 3, 1, 0], "two missing samples, 0 and 1, do the same harm on either side")


def test_best_cut_takes_a_step_for_each_sample():
    """200 samples take a few thousand lines: neither side is counted anew for each cut."""
    targets = [i % 2 for i in range(200)]
    assert not runs_python_lines(lambda: cut(range(200), targets), 120_000), "does each cut count its sides anew?"


def test_min_samples_leaf_counts_both_sides():
    """Each side has the least number of samples, missing ones counted, whatever they weigh."""
    assert cut(range(5), [0, 1, 1, 1, 1], min_samples_leaf=2)[1] == 2, "at least two to the left"
    assert cut(range(5), [0, 0, 0, 0, 1], min_samples_leaf=2)[1] == 3, "at least two to the right"
    assert cut(range(3), [0, 0, 1], min_samples_leaf=2)[0] == np.inf, "three samples have no two sides of two"
    assert cut([0, 1, 2], [1, 0, 1], n_missing=1, min_samples_leaf=2, weights=[9, 9, 9])[0] == np.inf, "nor with a gap"
    assert_close(
        cut([0, 1, 2, 3], [1, 0, 0, 1], n_missing=1, min_samples_leaf=2)[1:], [1, 1], "one and the missing one"
    )
    light = cut(range(4), [0, 0, 1, 1], weights=[0.1] * 4, min_samples_leaf=2)
    assert_close(light[1], 2, "two samples on each side are two, though they weigh 0.2")


def test_best_cut_changes_nothing():
    """Codes, targets, weights and sums stay as they were."""
    arrays = [np.array([0, 1, 2], dtype=np.int32), np.array([0.0, 1.0, 1.0]), np.ones(3), np.array([1.0, 2.0])]
    assert_unchanged(lambda c, t, w, s: best_cut(c, 2, t, w, s, GINI, 1), *arrays)


# --- growing --------------------------------------------------------------------------------------------------------


def test_a_tree_by_hand():
    """Errors, not CPU, tell these pods apart: one question, two leaves, and the cut is half way."""
    tree = grown([[90, 1], [20, 1], [80, 9], [30, 9]], [0, 0, 1, 1])
    assert_close(tree.feature, [1, LEAF, LEAF], "the column that is asked for")
    assert_close(tree.threshold, [5.0, np.nan, np.nan], "threshold: half way from 1 to 9")
    assert_close([tree.children_left[0], tree.children_right[0]], [1, 2], "the children of the root")
    assert_close(tree.value, [[0.5, 0.5], [1, 0], [0, 1]], "shares of the classes: at most 5 is class 0")
    assert_close(tree.impurity, [0.5, 0, 0], "impurity")
    assert_close(tree.n_samples, [4, 2, 2], "samples")


def assert_same_tree(ours, theirs):
    """Every node has scikit-learn's column, threshold, samples, impurity and side for missing values."""
    pairs = [(0, 0)]
    while pairs:
        a, b = pairs.pop()
        got = [ours.n_samples[a], ours.impurity[a], ours.feature[a]]
        wanted = [theirs.n_node_samples[b], theirs.impurity[b], max(theirs.feature[b], LEAF)]
        assert_close(got, wanted, f"[samples, impurity, column] of node {a}, beside scikit-learn's", atol=1e-7)
        if wanted[2] != LEAF:
            assert_close(ours.threshold[a], theirs.threshold[b], f"threshold of node {a}")
            assert ours.missing_left[a] == theirs.missing_go_to_left[b], f"side of missing values at node {a}"
            pairs.append((ours.children_left[a], theirs.children_left[b]))
            pairs.append((ours.children_right[a], theirs.children_right[b]))


# With so many samples on a side, no two columns part a node's samples in the same way.
SETTINGS = [{"min_samples_leaf": 6, **more} for more in ({}, {"max_depth": 2}, {"min_samples_split": 25})]


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("settings", SETTINGS)
def test_it_is_scikit_learns_tree(settings, missing, rng):
    """On a target without ties every node is scikit-learn's, with all settings, with and without missing values."""
    X = table(rng, 60, missing)
    y = np.nan_to_num(X) @ [3, 1, 0, 0] + rng.normal(size=60) * 30
    theirs = sklearn_tree.DecisionTreeRegressor(random_state=0, **settings).fit(X, y)
    assert_same_tree(grown(X, y, VARIANCE, **settings), theirs.tree_)


@pytest.mark.parametrize("criterion", ["gini", "entropy"])
def test_it_lowers_impurity_as_scikit_learns_tree(criterion, rng):
    """For classes, where ties abound, the first three levels lower the impurity as much, weighted or not."""
    X, y = table(rng, 60, missing=0.1), rng.integers(0, 3, 60)
    y[X[:, 1] > 20], weights = 1, rng.integers(1, 5, 60)
    for w in (None, weights):
        theirs = sklearn_tree.DecisionTreeClassifier(criterion=criterion, max_depth=1).fit(X, y, sample_weight=w).tree_
        ours = DecisionTreeClassifier(criterion=criterion, max_depth=1).fit(X, y, sample_weight=w).tree_
        got = np.sum(ours.impurity[1:] * ours.weight[1:])
        wanted = np.sum(theirs.impurity[1:] * theirs.weighted_n_node_samples[1:])
        assert_close([ours.impurity[0], got], [theirs.impurity[0], wanted], f"[root, both children], weights {w}")


def test_weights_are_repetitions(rng):
    """A weight of 3 is the row three times, and a weight of 0 is no row."""
    X, y, weights = table(rng, 24), rng.integers(0, 2, 24), rng.integers(0, 4, 24)
    weighted, repeated = grown(X, y, weights=weights), grown(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    for name in ("children_left", "feature", "threshold", "value", "impurity", "weight"):
        assert_close(getattr(weighted, name), getattr(repeated, name), f"{name}: weights {weights} against repetitions")
    given = columns_of(X), y.astype(float), weights.astype(float)
    assert_unchanged(lambda c, t, w: grow(c, t, w, GINI, 2, Limits(99, 2, 1, 4), rng).value, *given)


def test_a_split_may_pay_only_later():
    """Exclusive or: no first question lowers the error, and two together answer everything."""
    X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    model = DecisionTreeClassifier().fit(X, y)
    assert model.predict(X).tolist() == y, "exclusive or of two columns: grow on although the first split gains nothing"


def test_growing_stops():
    """Equal targets, equal rows, and the limits each make a leaf; nearly equal targets and light samples do not."""
    X, y = np.arange(8.0)[:, None], [0, 1, 0, 1, 0, 1, 0, 1]
    assert len(grown(X, [1] * 8).feature) == 1, "equal targets: nothing is asked"
    assert len(grown(np.ones((8, 2)), y).feature) == 1, "equal rows: nothing can be asked"
    assert len(grown(X, y, max_depth=1).feature) == 3, "max_depth=1: one question"
    assert len(grown(X, y, min_samples_split=9).feature) == 1, "min_samples_split=9: eight samples stay together"
    light = grown(X, y, weights=[0.1] * 8, min_samples_split=8)
    assert len(light.feature) > 1, "min_samples_split=8: eight samples are split, whatever they weigh"
    assert len(grown(X, 1e-6 * X[:, 0], VARIANCE).feature) == 15, "eight targets a millionth apart are not equal"
    sizes = grown(X, y, min_samples_leaf=3).n_samples
    assert sizes.min() >= 3, f"min_samples_leaf=3: nodes of {sizes}"


def test_every_node_is_the_sum_of_its_children(rng):
    """Samples and weight add up, values are weighted means, and children come after their parents."""
    tree = grown(table(rng, missing=0.1), rng.normal(size=40), VARIANCE, weights=rng.random(40) + 0.1)
    inner = np.flatnonzero(tree.children_left != LEAF)
    left, right = tree.children_left[inner], tree.children_right[inner]
    assert_close(tree.n_samples[left] + tree.n_samples[right], tree.n_samples[inner], "samples of both children")
    assert_close(tree.weight[left] + tree.weight[right], tree.weight[inner], "weight of both children")
    total = tree.value[:, 0] * tree.weight
    assert_close(total[left] + total[right], total[inner], "value times weight of both children")
    assert (np.minimum(left, right) > inner).all(), "children must have higher numbers than their parents"
    assert sorted([0, *left, *right]) == list(range(len(tree.feature))), "every node but the root is one child"


def test_columns_compete_by_the_generator_given(rng):
    """With max_features=1 each column is drawn for some root, anew for each node, from the generator given."""
    X, y = table(rng), rng.integers(0, 2, 40)
    stumps = [grown(X, y, seed=seed, max_features=1, max_depth=1) for seed in range(40)]
    roots = np.bincount([tree.feature[0] for tree in stumps], minlength=4)
    assert roots.min() > 2, f"roots by column, of 40 trees: {roots}; each about 10"
    assert len(set(grown(X, y, max_features=1).feature) - {LEAF}) > 1, (
        "the columns are drawn for each node, not once for the tree"
    )
    settings = {"max_depth": 3, "min_samples_split": 2, "min_samples_leaf": 1, "max_features": 2}
    columns, weights = columns_of(X), np.ones(40)
    assert_draws_from(lambda rng: grow(columns, y.astype(float), weights, GINI, 2, Limits(**settings), rng).feature)


def test_targets_far_from_zero(rng):
    """Adding a billion to every target changes the means and nothing else."""
    X, y = table(rng, 60), rng.integers(0, 5000, 60).astype(float)
    near, far = (DecisionTreeRegressor(min_samples_leaf=6).fit(X, targets) for targets in (y, y + 1e9))
    assert_close(far.tree_.threshold, near.tree_.threshold, "thresholds")
    assert_close(far.predict(X) - 1e9, near.predict(X), "predictions less a billion", atol=1e-5)


# --- leaves_of ------------------------------------------------------------------------------------------------------


def test_leaves_by_hand():
    """A value at the threshold goes left, a missing one as the node says, and infinity asks whether it is known."""
    X = np.array([[1.0, 2.0], [1.0, 2.5], [np.nan, 0.0], [7.0, np.nan], [np.nan, np.nan], [np.nan, 3.0]])
    assert_close(leaves_of(BY_HAND, X), [3, 2, 4, 3, 4, 2], "x1 <= 2 or missing? then: x0 known?")
    assert_close(leaves_of(BY_HAND, np.array([[1.0, 2 + 1e-12]])), [2], "2.000000000001 is above 2: compare in 64 bits")
    assert_unchanged(lambda rows: leaves_of(BY_HAND, rows), X)


def test_leaves_are_those_of_training(rng):
    """Each leaf gets the rows that it was grown on, and each row by itself."""
    X, y = table(rng, missing=0.2), rng.integers(0, 2, 40)
    model = DecisionTreeClassifier(min_samples_leaf=2).fit(X, y)
    leaves = leaves_of(model.tree_, X)
    counts = np.bincount(leaves, minlength=len(model.tree_.feature))
    is_leaf = model.tree_.children_left == LEAF
    assert_close(counts[is_leaf], model.tree_.n_samples[is_leaf], "rows in each leaf, beside those of training")
    assert_rows_alone(lambda rows: leaves_of(model.tree_, rows), X)


def test_predictions_are_scikit_learns(rng):
    """On new rows, with gaps, the answers are scikit-learn's."""
    X, new = table(rng, 60, 0.1), table(rng, 60, 0.1)
    y = np.nan_to_num(X) @ [3, 1, 0, 0] + rng.normal(size=60)
    ours = DecisionTreeRegressor(min_samples_leaf=6).fit(X, y)
    theirs = sklearn_tree.DecisionTreeRegressor(min_samples_leaf=6, random_state=0).fit(X, y)
    assert_close(ours.predict(new), theirs.predict(new), "60 new rows")


# --- pruning --------------------------------------------------------------------------------------------------------


def test_collapse_alphas_by_hand():
    """The lower split saves 3/12 - 2/12 for one leaf more, the upper one 6/12 - 3/12 for one: α is 1/12 and 1/4."""
    with np.errstate(divide="raise", invalid="raise"):  # compiled, a division by zero is an error
        assert_close(collapse_alphas(BY_HAND), [1 / 4, 1 / 12, 0, 0, 0], "α of [root, lower split, three leaves]")
    other = BY_HAND._replace(n_samples=np.ones(5, dtype=np.int32))
    assert_close(collapse_alphas(other), [1 / 4, 1 / 12, 0, 0, 0], "other samples of the same weight: the same α")


def test_collapse_alphas_are_scikit_learns(rng):
    """The distinct alphas, and the leaves that are left at each, are scikit-learn's."""
    X, y = table(rng, 60, 0.1), rng.normal(size=60)
    ours = DecisionTreeRegressor(min_samples_leaf=6).fit(X, y).tree_
    theirs = sklearn_tree.DecisionTreeRegressor(min_samples_leaf=6, random_state=0)
    alphas = np.unique(collapse_alphas(ours))
    assert_close(alphas, np.unique(theirs.cost_complexity_pruning_path(X, y).ccp_alphas), "the distinct alphas")
    for alpha in (alphas[:-1] + alphas[1:]) / 2:
        leaves = theirs.set_params(ccp_alpha=alpha).fit(X, y).get_n_leaves()
        assert np.sum(prune(ours, alpha).feature == LEAF) == leaves, f"leaves at alpha={alpha:.4g}: {leaves}"


def test_no_split_outlives_one_above_it(rng):
    """An alpha is at most that of the split above, and leaves have 0; the pruned tree's arrays agree."""
    tree = grown(table(rng), rng.integers(0, 2, 40))
    alphas, inner = collapse_alphas(tree), tree.children_left != LEAF
    for children in (tree.children_left[inner], tree.children_right[inner]):
        assert (alphas[children] <= alphas[inner]).all(), "a split must not have a higher alpha than one above it"
    assert not alphas[~inner].any(), "leaves have alpha 0"
    assert_unchanged(collapse_alphas, tree)
    assert len(prune(tree, alphas.max()).feature) == 1, "at the largest alpha the root is left"


def test_the_pruned_tree_is_the_cheapest(rng):
    """No other way to cut the tree back has a lower error + alpha · leaves."""
    tree = grown(table(rng, 16), rng.integers(0, 3, 16), max_depth=3)
    errors = tree.impurity * tree.weight / tree.weight.max()

    def prices(node, alpha):
        own = [errors[node] + alpha]
        if tree.children_left[node] == LEAF:
            return own
        sides = (prices(child[node], alpha) for child in (tree.children_left, tree.children_right))
        return own + [a + b for a, b in itertools.product(*sides)]

    for alpha in (0.001, 0.03, 0.06, 0.1, 0.3):
        pruned = prune(tree, alpha)
        leaves = pruned.children_left == LEAF
        price = np.sum((pruned.impurity * pruned.weight / pruned.weight[0] + alpha)[leaves])
        assert_close(price, min(prices(0, alpha)), f"error + alpha · leaves at alpha={alpha}")


# --- drawing --------------------------------------------------------------------------------------------------------


def test_a_drawing_by_hand():
    """A line for each node, yes before no, margins that show what belongs to what."""
    expected = """\
errors <= 2
├─ yes: cpu is known
│  ├─ yes: healthy (100 % of 4)
│  └─ no: healthy (50 % of 4)
└─ no: down (100 % of 4)"""
    got = draw(BY_HAND, ["cpu", "errors"], ["healthy", "down"])
    assert got == expected, f"expected\n{expected}\ngot\n{got}"
    of_arrays = draw(BY_HAND, np.array(["cpu", "errors"]), np.array(["healthy", "down"]))
    assert of_arrays == expected, f"names and classes may be arrays, as classes_ is; got\n{of_arrays}"


def test_a_drawing_to_the_right(rng):
    """Below a no the margin is empty; columns without names are x0, x1, and a regression shows means."""
    tree = grown(np.arange(4.0)[:, None], [0, 4, 6, 8], VARIANCE)
    lines = draw(tree).splitlines()
    assert lines[0] == "x0 <= 0.5", f"the root is asked first: x0 <= 0.5, got {lines[0]!r}"
    assert lines[1] == "├─ yes: 0 (mean of 1)", f"the left leaf, got {lines[1]!r}"
    assert lines[3] == "   ├─ yes: 4 (mean of 1)", f"a node under a no has an empty margin, got {lines[3]!r}"
    assert draw(grown([[1.0], [1.0]], [2, 4], VARIANCE)) == "3 (mean of 2)", "a tree of one leaf is one line"
    assert len(lines) == len(tree.feature), "a line for each node"


def test_a_drawing_needs_enough_names():
    """A column that is asked for and has no name is refused, however few columns are asked for."""
    names = ["cpu", "errors"]
    assert_refuses(lambda: draw(BY_HAND, names[:1]), "feature_names", 1, message="one name, and column 1 is asked for")
    fifth = BY_HAND._replace(feature=np.array([5, 0, LEAF, LEAF, LEAF], dtype=np.int32))
    assert_refuses(lambda: draw(fifth, names), "feature_names", 2, message="two names, and column 5 is asked for")


# --- estimators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convention", estimator_conventions("classifier", without=["refuses_missing_values"]))
def test_the_classifier_keeps_scikit_learns_conventions(convention):
    """It keeps scikit-learn's conventions."""
    convention(lambda: DecisionTreeClassifier(max_depth=3))


@pytest.mark.parametrize("convention", estimator_conventions("regressor", without=["refuses_missing_values"]))
def test_the_regressor_keeps_scikit_learns_conventions(convention):
    """It keeps scikit-learn's conventions."""
    convention(lambda: DecisionTreeRegressor(max_depth=3))


def test_what_cannot_be_is_refused():
    """Settings out of range, infinite values, targets whose squares overflow and weights below 0 are refused."""
    X, y = np.arange(6.0).reshape(3, 2), [0, 1, 1]

    def fit(sample_weight=None, **settings):
        return DecisionTreeClassifier(**settings).fit(X, y, sample_weight=sample_weight)

    assert_refuses_values(lambda value: fit(max_depth=value), "max_depth", 0, 2.5, "deep")
    assert_refuses_values(lambda value: fit(min_samples_split=value), "min_samples_split", 1, None)
    assert_refuses_values(lambda value: fit(max_features=value), "max_features", 0, 3, 1.5, "log")
    assert_refuses_values(lambda value: fit(criterion=value), "criterion", "squared_error", "x")
    assert_refuses(lambda: fit(ccp_alpha=-1.0), "ccp_alpha", -1, message="a negative price of leaves")
    assert_refuses(lambda: fit([1, -2, 1]), "sample_weight", -2, message="a negative weight")
    assert_refuses(lambda: fit([0, 0, 0]), "sample_weight", 0, message="no weight at all")
    assert_refuses(lambda: DecisionTreeClassifier().fit([[np.inf]], [1]), "inf", message="an infinite value")
    assert_refuses(lambda: DecisionTreeRegressor().fit(X, [1, 2, 1e200]), r"\by\b", 1e200, message="1e200 squared")
