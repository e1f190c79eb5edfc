"""Checks of forests."""

import numpy as np
import pytest
from sklearn import inspection, tree

from groundup.checking import (
    assert_close,
    assert_draws_from,
    assert_refuses,
    assert_refuses_values,
    assert_rows_alone,
    assert_shape,
    assert_unchanged,
    estimator_conventions,
)
from groundup.stack.classical.forests import (
    RandomForestClassifier,
    RandomForestRegressor,
    bootstrap_counts,
    forest_values,
    grow_forest,
    impurity_importances,
    out_of_bag_values,
    permutation_importances,
)
from groundup.stack.classical.trees import (
    GINI,
    LEAF,
    VARIANCE,
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    Limits,
    Tree,
    columns_of,
    grow,
    leaves_of,
)

LIMITS = Limits(max_depth=3, min_samples_split=2, min_samples_leaf=1, max_features=2)


def stump(feature, threshold, left, right, n_samples=(2, 2)):
    """A tree of one question, made by hand."""
    n_samples = np.array([sum(n_samples), *n_samples])
    value = np.array([np.average([left, right], axis=0, weights=n_samples[1:]), left, right], dtype=float)
    links = [np.array(column, dtype=np.int32) for column in ([1, LEAF, LEAF], [2, LEAF, LEAF], [feature, LEAF, LEAF])]
    numbers = [np.array([threshold, np.nan, np.nan]), np.array([False] * 3), value, np.array([0.5, 0.0, 0.0])]
    return Tree(*links, *numbers, n_samples=n_samples, weight=n_samples.astype(float))


# Two stumps on two columns: errors above 5, CPU above 80.
STUMPS = [stump(0, 5.0, [1, 0], [0, 1]), stump(1, 80.0, [0.75, 0.25], [0, 1])]
PODS = np.array([[1.0, 50.0], [9.0, 50.0], [9.0, 90.0]])


def problem(rng, n=30, features=3):
    """A table of which the first column says much about the class."""
    X = rng.integers(0, 40, (n, features)) / 4
    return X, ((X[:, 0] > 5) ^ (rng.random(n) < 0.15)).astype(int)


def forest(X, y, rng, n_trees=6, weights=None, criterion=GINI, **options):
    """`grow_forest` on arrays."""
    weights = np.ones(len(X)) if weights is None else np.array(weights, dtype=float)
    n_classes = 2 if criterion == GINI else 1
    return grow_forest(
        columns_of(X), y.astype(float), weights, criterion, n_classes, LIMITS, rng.spawn(n_trees), **options
    )


# --- bootstrap ------------------------------------------------------------------------------------------------------


def test_a_bootstrap_sample_has_as_many_draws(rng):
    """Of n samples n are drawn, some several times, some not at all."""
    for n in (1, 2, 7, 50):
        counts = bootstrap_counts(n, rng)
        assert_shape(counts, (n,), f"a count for each of {n} samples")
        assert counts.sum() == n, f"{n} draws, not {counts.sum()}"
        assert counts.min() >= 0, f"counts are at least 0, got {counts}"
    assert bootstrap_counts(50, rng).max() > 1, "of 50 samples some are drawn more than once: with replacement"


def test_a_bootstrap_sample_leaves_37_per_cent_out(rng):
    """Each is left out with the probability (1 - 1/n)ⁿ, which is near 1/e, and all are drawn alike."""
    counts = np.array([bootstrap_counts(200, rng) for _ in range(100)])
    assert_close(
        np.mean(counts == 0), 1 / np.e, "share of samples that were not drawn, in 100 samples of 200", atol=0.02
    )
    drawn = counts.sum(axis=0)
    for sample in (drawn.argmin(), drawn.argmax()):
        times = drawn[sample]
        assert 50 < times < 150, f"in 100 samples each is drawn about 100 times; sample {sample} came {times} times"


def test_a_bootstrap_sample_is_drawn_by_the_generator_given():
    """The same generator draws the same sample, and another one another."""
    assert_draws_from(lambda rng: bootstrap_counts(20, rng))


# --- growing --------------------------------------------------------------------------------------------------------


def test_each_tree_is_grown_on_its_own_bootstrap_sample(rng):
    """A tree is what `grow` makes of the weights times the counts, drawn by its generator before the columns."""
    X, y = problem(rng)
    weights = rng.integers(1, 3, 30).astype(float)
    trees, seen = forest(X, y, np.random.default_rng(5), weights=weights)
    for number, own in enumerate(np.random.default_rng(5).spawn(6)):
        counts = bootstrap_counts(30, own)
        expected = grow(columns_of(X), y.astype(float), weights * counts, GINI, 2, LIMITS, own)
        assert_close(trees[number].value, expected.value, f"values of tree {number}, from its own generator")
        assert_close(trees[number].threshold, expected.threshold, f"thresholds of tree {number}")
        assert_close(seen[number].astype(int), (counts > 0).astype(int), f"the samples that tree {number} has seen")


def test_trees_of_a_forest_differ(rng):
    """Six trees have six bootstrap samples; `seen` has a line of booleans for each."""
    X, y = problem(rng)
    trees, seen = forest(X, y, rng)
    assert len(trees) == 6, f"a tree for each of six generators, got {len(trees)}"
    assert_shape(seen, (6, 30), "seen: six trees, thirty samples")
    assert seen.dtype == bool, f"seen holds booleans, not {seen.dtype}"
    assert len({tuple(line) for line in seen.tolist()}) == 6, "no two trees have seen the same samples"
    assert 0.45 < seen.mean() < 0.8, f"a tree sees about 63 % of the samples, not {seen.mean():.0%}"


def test_without_bootstrap_every_tree_sees_every_sample(rng):
    """With bootstrap=False the trees get the weights as they are, and differ by the columns that compete."""
    X, y = problem(rng)
    trees, seen = forest(X, y, rng, bootstrap=False)
    assert seen.all(), "bootstrap=False: every tree has seen every sample"
    assert {tree.weight[0] for tree in trees} == {30.0}, "bootstrap=False: every root has the weight of all samples"
    assert len({tuple(tree.feature[:1]) for tree in trees}) > 1, "the columns that compete differ from tree to tree"


def test_samples_without_weight_are_not_there(rng):
    """They are not drawn: 10 samples with weight, and 20 without, give trees of 10 draws that see none of the 20."""
    X, y = problem(rng)
    weights = np.repeat([1.0, 0.0], [10, 20])
    trees, seen = forest(X, y, rng, weights=weights)
    assert not seen[:, 10:].any(), "a sample without weight is not seen"
    assert {tree.weight[0] for tree in trees} == {10.0}, f"ten draws each, got {[tree.weight[0] for tree in trees]}"
    assert_close(weights, np.repeat([1.0, 0.0], [10, 20]), "the weights given stay as they are")


def test_threads_change_nothing(rng):
    """Two threads grow the trees that one grows, in the same order."""
    X, y = problem(rng)
    alone, beside = (forest(X, y, np.random.default_rng(1), n_jobs=n_jobs)[0] for n_jobs in (None, 2))
    for a, b in zip(alone, beside, strict=True):
        assert_close(b.value, a.value, "values of a tree, grown by two threads and by one")


# --- answering ------------------------------------------------------------------------------------------------------


def test_the_forest_answers_with_the_mean():
    """For the second pod one stump says down for certain, the other 1/4: the forest says 5/8."""
    assert_close(forest_values(STUMPS, PODS), [[7 / 8, 1 / 8], [3 / 8, 5 / 8], [0, 1]], "shares of [healthy, down]")


def test_the_forest_is_the_mean_of_scikit_learns_trees(rng):
    """Trees that scikit-learn grows as well answer together with the mean of scikit-learn's answers."""
    X, y, new = rng.normal(size=(80, 3)).astype(np.float32), rng.normal(size=80), rng.normal(size=(20, 3))
    new = new.astype(np.float32).astype(float)
    trees = [DecisionTreeRegressor(min_samples_leaf=least).fit(X, y).tree_ for least in (9, 12, 20)]
    theirs = [tree.DecisionTreeRegressor(random_state=0, min_samples_leaf=least).fit(X, y) for least in (9, 12, 20)]
    others = [other.predict(new) for other in theirs]
    assert_close(forest_values(trees, new)[:, 0], np.mean(others, axis=0), "three regression trees on 20 new rows")


def test_each_row_is_answered_by_itself(rng):
    """A row's answer does not depend on those beside it; X and the trees stay as they are."""
    X, y = problem(rng)
    trees, _ = forest(X, y, rng)
    assert_rows_alone(lambda rows: forest_values(trees, rows), X)
    assert_unchanged(forest_values, trees, X)


def test_many_trees_vary_less_than_one(rng):
    """The mean of 15 trees on samples of their own changes less, from one training set to the next, than one tree."""
    grid, one, many = rng.normal(size=(30, 3)), [], []
    for _ in range(8):
        X = rng.normal(size=(40, 3))
        trees, _ = forest(X, X[:, 0] + rng.normal(size=40), rng, 15, criterion=VARIANCE)
        one.append(forest_values(trees[:1], grid)[:, 0])
        many.append(forest_values(trees, grid)[:, 0])
    ratio = np.var(many, axis=0).mean() / np.var(one, axis=0).mean()
    assert ratio < 0.6, f"the variance of 15 trees is {ratio:.2f} of that of one tree; expected well below 1"


# --- out of bag -----------------------------------------------------------------------------------------------------


def test_out_of_bag_by_hand():
    """A sample is answered by the trees that have not seen it; where all have, the answer is NaN."""
    seen = np.array([[True, False, False], [True, True, False]])
    values = out_of_bag_values(STUMPS, seen, PODS)
    assert_close(values, [[np.nan, np.nan], [0, 1], [0, 1]], "seen by both; by the second only; by none")
    assert_close(out_of_bag_values(STUMPS, ~seen, PODS)[0], [7 / 8, 1 / 8], "seen by none: the mean of both stumps")


def test_out_of_bag_is_a_loop_over_samples(rng):
    """It is, sample by sample, the mean over the trees that did not see it."""
    X, y = problem(rng)
    trees, seen = forest(X, y, rng)
    values = out_of_bag_values(trees, seen, X)
    for row in range(30):
        answers = [
            t.value[leaves_of(t, X[row : row + 1])[0]] for t, line in zip(trees, seen, strict=True) if not line[row]
        ]
        expected = np.mean(answers, axis=0) if answers else np.full(2, np.nan)
        assert_close(values[row], expected, f"sample {row}, which {len(answers)} of 6 trees have not seen")
    assert_unchanged(out_of_bag_values, trees, seen, X)


def test_out_of_bag_does_not_flatter(rng):
    """On labels that are a coin's, training says near 1, out of bag near 1/2."""
    X, y = rng.normal(size=(60, 2)), rng.integers(0, 2, 60)
    model = RandomForestClassifier(20, oob_score=True, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9, "a forest knows the labels that it was trained on"
    assert 0.25 < model.oob_score_ < 0.75, f"out of bag a coin cannot be predicted, got {model.oob_score_}"
    known = ~np.isnan(model.oob_values_[:, 0])
    assert_close(model.oob_score_, np.mean(model.oob_values_[known].argmax(axis=1) == y[known]), "oob_score_: accuracy")


# --- importances ----------------------------------------------------------------------------------------------------


def test_impurity_importances_by_hand():
    """A stump has one column, which has lowered all; a leaf alone has lowered nothing."""
    assert_close(impurity_importances(STUMPS[1], 3), [0, 1, 0], "one question, for the second of three columns")
    alone = Tree(*(np.array(array[1:2]) for array in STUMPS[0]))
    assert_close(impurity_importances(alone, 2), [0, 0], "a tree of one leaf")


def test_impurity_importances_are_scikit_learns(rng):
    """They are scikit-learn's, of a tree with weights, and sum to 1."""
    X, weights = rng.normal(size=(80, 4)).astype(np.float32), rng.integers(1, 5, 80)
    y = X[:, 0] + X[:, 2] ** 2 + 0.1 * rng.normal(size=80)
    ours = DecisionTreeRegressor(min_samples_leaf=9).fit(X, y, sample_weight=weights).tree_
    theirs = tree.DecisionTreeRegressor(min_samples_leaf=9, random_state=0).fit(X, y, sample_weight=weights)
    assert_close(impurity_importances(ours, 4), theirs.feature_importances_, "importances of four columns")
    assert_unchanged(lambda t: impurity_importances(t, 4), ours)
    light = ours._replace(weight=ours.weight / 1e6)
    assert_close(impurity_importances(light, 4), theirs.feature_importances_, "weights a million times as small")


def test_permutation_importances_by_hand(rng):
    """A score that looks at one column falls by what shuffling that column costs; others cost nothing."""
    X, y = np.column_stack([np.arange(40.0), rng.normal(size=40)]), np.arange(40.0)
    falls = permutation_importances(lambda A, b: -float(np.mean((A[:, 0] - b) ** 2)), X, y, rng, repeats=30)
    assert_shape(falls, (2, 30), "two columns, thirty shuffles")
    assert_close(falls[1], np.zeros(30), "the second column is not looked at: the score stays")
    assert_close(falls[0].mean(), 2 * np.var(X[:, 0]), "two random ranks differ by 2 · variance in the mean", rtol=0.15)
    assert (falls[0] > 0).all(), "a fall of the score is positive"
    rises = permutation_importances(lambda A, b: float(np.mean((A[:, 0] - b) ** 2)), X, y, rng, repeats=3)
    assert (rises[0] < 0).all(), f"where the score rises, the fall is negative, got {rises[0]}"
    assert len(np.unique(falls[0])) > 20, "each repeat shuffles anew"
    assert_shape(permutation_importances(lambda A, b: 0.0, X.tolist(), y.tolist(), rng), (2, 5), "lists, five repeats")
    assert_shape(permutation_importances(lambda A, b: 0.0, X, y, rng, repeats=1), (2, 1), "one repeat")


def test_permutation_importances_are_scikit_learns(rng):
    """Over many shuffles they are scikit-learn's."""
    X, y = problem(rng, 60)
    theirs = tree.DecisionTreeClassifier(max_depth=3, random_state=0).fit(X, y)
    reference = inspection.permutation_importance(theirs, X, y, n_repeats=30, random_state=0)["importances_mean"]
    ours = permutation_importances(theirs.score, X, y, rng, repeats=30).mean(axis=1)
    assert_close(ours, reference, "mean falls of the accuracy of one tree", atol=0.05)


def test_permutation_importances_leave_all_else_alone(rng):
    """X and y stay as they are, the labels meet their own rows, and a shuffled column keeps its values."""
    X, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    shown = []
    permutation_importances(lambda A, b: float(len(shown.append((A.copy(), b.copy())) or [0])), X, y, rng, repeats=2)
    assert len(shown) == 5, f"the score is asked for once, and twice for each of two columns; got {len(shown)}"
    for number, (A, b) in enumerate(shown):
        assert_close(b, y, f"y in call {number}")
        assert_close(np.sort(A, axis=0), X, f"the values of each column in call {number}")
        changed = (A != X).any(axis=0)
        assert changed.sum() <= 1, f"call {number} shuffles one column only, not {np.flatnonzero(changed)}"
    assert_unchanged(lambda A, b: permutation_importances(lambda C, d: 0.0, A, b, np.random.default_rng(0)), X, y)
    assert_draws_from(lambda rng: permutation_importances(lambda A, b: A[0, 0], X, y, rng))


def test_permutation_importances_refuse_what_has_no_columns(rng):
    """A list of numbers, labels of another length, and no repeats are refused."""

    def importances(X, y, **options):
        return permutation_importances(lambda A, b: 0.0, np.array(X), np.array(y), rng, **options)

    assert_refuses(lambda: importances([1.0, 2.0], [0, 1]), r"\bX\b", message="a list of numbers is no table")
    for n_labels in (1, 3):
        labels = list(range(n_labels))
        call = lambda labels=labels: importances([[1.0], [2.0]], labels)  # noqa: E731
        assert_refuses(call, r"\by\b", n_labels, message=f"two rows, {n_labels} labels")
    assert_refuses_values(lambda n: importances([[1.0], [2.0]], [0, 1], repeats=n), "repeats", 0, -1)


# --- estimators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convention", estimator_conventions("classifier", without=["refuses_missing_values"]))
def test_the_classifier_keeps_scikit_learns_conventions(convention):
    """It keeps scikit-learn's conventions."""
    convention(lambda: RandomForestClassifier(3, max_depth=2, random_state=0))


@pytest.mark.parametrize("convention", estimator_conventions("regressor", without=["refuses_missing_values"]))
def test_the_regressor_keeps_scikit_learns_conventions(convention):
    """It keeps scikit-learn's conventions."""
    convention(lambda: RandomForestRegressor(3, max_depth=2, random_state=0))


def test_a_forest_of_equal_trees_is_a_tree(rng):
    """Without bootstrap and with all columns each tree is the one of `classical/trees`."""
    X, y = problem(rng)
    model = RandomForestClassifier(3, bootstrap=False, max_features=1.0, random_state=0).fit(X, y)
    assert_close(model.predict_proba(X), DecisionTreeClassifier().fit(X, y).predict_proba(X), "probabilities")
    importances = [impurity_importances(tree, 3) for tree in model.trees_]
    assert_close(model.feature_importances_, np.mean(importances, axis=0), "feature_importances_: the trees' mean")


def test_the_regressor_judges_itself_by_r2(rng):
    """oob_score_ is R² of the out-of-bag means; a sample that is missing a value is answered, too."""
    X = rng.normal(size=(60, 2))
    y = 10 * X[:, 0] + rng.normal(size=60)
    X[rng.random(X.shape) < 0.1] = np.nan
    model = RandomForestRegressor(15, oob_score=True, random_state=0).fit(X, y)
    known = ~np.isnan(model.oob_values_[:, 0])
    error = np.sum((y - model.oob_values_[:, 0])[known] ** 2) / np.sum((y[known] - y[known].mean()) ** 2)
    assert_close(model.oob_score_, 1 - error, "oob_score_: R² where the answer is known")
    assert np.isfinite(model.predict([[np.nan, np.nan]])).all(), "a row of missing values gets an answer"


def test_what_cannot_be_is_refused():
    """Settings out of range, out-of-bag without bootstrap, and too few trees for it are refused by name."""
    X, y = np.arange(6.0).reshape(3, 2), [0, 1, 1]
    assert_refuses_values(lambda n: RandomForestClassifier(n).fit(X, y), "n_estimators", 0, 2.5, "many")
    assert_refuses_values(lambda m: RandomForestClassifier(2, max_features=m).fit(X, y), "max_features", 0, 3, "log")
    without = RandomForestClassifier(2, bootstrap=False, oob_score=True)
    assert_refuses(lambda: without.fit(X, y), "oob_score", message="nothing is out of the bag without bootstrap")
    one = RandomForestRegressor(1, oob_score=True, random_state=0)
    assert_refuses(
        lambda: one.fit([[1.0]], [1.0]), "n_estimators", 1, message="one sample, one tree: it is always seen"
    )
