"""Checks of boosting."""

import itertools
from math import factorial, log

import numpy as np
import pytest
from sklearn import ensemble, tree

from groundup.checking import (
    assert_close,
    assert_refuses,
    assert_refuses_values,
    assert_rows_alone,
    assert_shape,
    assert_unchanged,
    estimator_conventions,
    numerical_gradient,
)
from groundup.stack.classical.boosting import (
    LOGISTIC,
    MISSING,
    SQUARED,
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    Penalties,
    adaboost_round,
    best_split,
    bins_of,
    boost,
    boosted_scores,
    grow_on_bins,
    loss_gradients,
    shap_values,
    sum_bins,
    tree_shap,
)
from groundup.stack.classical.trees import LEAF, DecisionTreeRegressor, Tree

PENALTIES = Penalties(max_depth=2, reg_lambda=1.0, gamma=0.0, min_child_weight=1.0)


def problem(rng, n=60, d=3, missing=0.0):
    """A table of numbers that float32 holds exactly, no two of a column equal, and a target."""
    X = np.stack([rng.permutation(4 * n)[:n] / 4 for _ in range(d)], axis=1)
    y = X[:, 0] + 9 * np.sin(X[:, 1]) + rng.normal(size=n)
    return np.where(rng.random(X.shape) < missing, np.nan, X), y


# --- AdaBoost -------------------------------------------------------------------------------------------------------


def test_adaboost_round_by_hand():
    """One of four equal samples wrong: the vote is ln 3, and the mistake gets half of all weight."""
    vote, weights = adaboost_round(np.full(4, 0.25), np.array([False, True, False, False]), 2)
    assert_close(vote, log(3), "vote: ln((1 - 1/4) / (1/4))")
    assert_close(weights, [1 / 6, 1 / 2, 1 / 6, 1 / 6], "new weights: the mistake times 3, then all divided by 6/4")
    vote, weights = adaboost_round(np.array([2.0, 1.0, 1.0, 1.0]), np.array([True, False, False, False]), 3)
    assert type(vote) is float, "the vote is a float"
    assert_close(vote, log(3), "2 of 5 wrong, three classes: ln(3/2) + ln 2")
    assert_close(weights, [6 / 9, 1 / 9, 1 / 9, 1 / 9], "2 · 3 against 1, 1, 1")
    for share in (1e-9, 0.8):
        vote, weights = adaboost_round(np.array([1 - share, share]), np.array([False, True]), 2)
        assert_close(vote, log((1 - share) / share), f"{share:g} of the weight is wrong: a large or negative vote")
        assert_close(weights, [1 / 2, 1 / 2], f"{share:g} of the weight is wrong: half of the new")


@pytest.mark.parametrize("n_classes", [2, 3, 5])
def test_the_next_tree_cannot_repeat_the_last(n_classes, rng):
    """By its new weights a classifier is as bad as guessing: its mistakes weigh (n_classes - 1) / n_classes."""
    weights, wrong = rng.random(30), np.arange(30) % 4 == 0
    vote, raised = adaboost_round(weights, wrong, n_classes)
    assert_close(raised.sum(), 1.0, "the new weights add up to 1")
    assert_close(raised[wrong].sum(), (n_classes - 1) / n_classes, "the new weight of the mistakes")
    assert_close(
        raised[~wrong] / raised[~wrong][0], weights[~wrong] / weights[~wrong][0], "the others keep their ratios"
    )
    assert_close(adaboost_round(100 * weights, wrong, n_classes)[0], vote, "weights times 100: the same vote")
    assert_unchanged(lambda w, m: adaboost_round(w, m, n_classes)[1], weights, wrong)


@pytest.mark.parametrize(("n_classes", "max_depth"), [(2, 1), (3, 2)])
def test_adaboost_is_scikit_learns(n_classes, max_depth, rng):
    """Votes and probabilities are those of scikit-learn's AdaBoost, on samples of different weights."""
    X, y = problem(rng)
    labels, weights = np.digitize(y, [20, 40][: n_classes - 1]), rng.random(60) + 0.5
    stump = tree.DecisionTreeClassifier(max_depth=max_depth, random_state=0)
    theirs = ensemble.AdaBoostClassifier(stump, n_estimators=8, random_state=0).fit(X, labels, weights)
    ours = AdaBoostClassifier(8, max_depth=max_depth).fit(X, labels, weights)
    assert_close(ours.votes_, theirs.estimator_weights_[: len(ours.votes_)], "votes of the trees")
    assert_close(ours.predict_proba(X), theirs.predict_proba(X), "probabilities")


def test_adaboost_ends_early():
    """A tree without mistakes ends the row; so does one that is no better than guessing, and the first stays."""
    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    assert len(AdaBoostClassifier().fit(X, [0, 0, 1, 1]).trees_) == 1, "one stump answers all: no second"
    guess = AdaBoostClassifier().fit(np.ones((4, 1)), [0, 1, 1, 0])
    assert_close(guess.votes_, [1.0], "equal rows: the first tree guesses, and stays alone")
    assert guess.predict([[1.0]]).tolist() == [0], "of two classes with equal shares it says the first"


# --- the loss -------------------------------------------------------------------------------------------------------


def test_loss_gradients_by_hand():
    """Score 3 for a target of 1, weight 2: slope 4, curvature 2. Even odds, label 1: slope -1/2, curvature 1/4."""
    got = loss_gradients(np.array([3.0, 1.0]), np.array([1.0, 1.0]), np.array([2.0, 1.0]), SQUARED)
    assert_close(got, [[4, 2], [0, 1]], "SQUARED: [w (score - y), w] in each row")
    got = loss_gradients(np.array([0.0, 0.0]), np.array([1.0, 0.0]), np.array([1.0, 4.0]), LOGISTIC)
    assert_close(got, [[-0.5, 0.25], [2, 1]], "LOGISTIC: [w (p - y), w p (1 - p)] in each row")


@pytest.mark.parametrize("loss", [SQUARED, LOGISTIC])
def test_loss_gradients_are_derivatives(loss, rng):
    """They are the first and second derivative of the weighted loss, by finite differences."""
    scores, y, weights = rng.normal(size=5), rng.integers(0, 2, 5).astype(float), rng.random(5) + 0.5

    def total(s):
        losses = (s - y) ** 2 / 2 if loss == SQUARED else np.logaddexp(0, s) - y * s
        return float(weights @ losses)

    got = loss_gradients(scores, y, weights, loss)
    assert_close(got[:, 0], numerical_gradient(total, scores), "first derivatives", rtol=1e-5)
    slopes = numerical_gradient(lambda s: float(loss_gradients(s, y, weights, loss)[:, 0].sum()), scores)
    assert_close(got[:, 1], slopes, "second derivatives: how the first ones change", rtol=1e-5)
    assert_unchanged(lambda s, t, w: loss_gradients(s, t, w, loss), scores, y, weights)


def test_scores_far_out_have_derivatives():
    """Scores of ±800 give slopes of 0 and 1, and no NaN."""
    got = loss_gradients(np.array([800.0, -800.0]), np.array([1.0, 1.0]), np.ones(2), LOGISTIC)
    assert_close(got, [[0, 0], [-1, 0]], "scores 800 and -800, both labels 1")


# --- histograms -----------------------------------------------------------------------------------------------------


def test_bins_hold_equal_weights(rng):
    """Few values have a bin each; many are parted evenly; a missing value has the last code."""
    few = bins_of(np.array([[3.0], [1.0], [np.nan], [3.0], [7.0]]), np.ones(5), 255)
    assert few.codes.tolist() == [[1, 0, MISSING, 1, 2]], "values 3, 1, missing, 3, 7"
    assert_close(few.edges[0, :3], [2, 5, np.inf], "edges half way from value to value, then infinities")
    many = bins_of(rng.normal(size=(1000, 1)), np.ones(1000), 10)
    assert np.bincount(many.codes[0]).tolist() == [100] * 10, "a thousand values in ten bins"


def test_sum_bins_by_hand():
    """Three of four rows: the bins of each feature get the sums of their slopes and curvatures."""
    codes = np.array([[0, 1, 1, 9], [MISSING, 0, MISSING, 0]], dtype=np.uint8)
    gradients = np.array([[1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0]])
    got = sum_bins(codes, np.array([0, 2, 1], dtype=np.uint32), gradients)
    assert_shape(got, (2, 256, 2), "two features, 256 codes, two sums")
    assert_close(got[0, :2], [[1, 10], [6, 60]], "feature 0: row 0 in bin 0, rows 1 and 2 in bin 1")
    assert_close(got[1, [0, MISSING]], [[2, 20], [5, 50]], "feature 1: row 1 in bin 0, rows 0 and 2 missing")
    assert_close(got.sum(axis=1), [[7, 70], [7, 70]], "each feature has all three rows, and row 3 is not among them")
    many = sum_bins(np.zeros((3, 3), np.uint8), np.arange(3, dtype=np.uint32), np.array([[1e8, 1], [1, 1], [1, 1]]))
    assert_close(many[:, 0], [[1e8 + 2, 3]] * 3, "100,000,000 + 1 + 1 in each of three features, in 64 bits", rtol=0)


def test_a_sibling_is_the_difference(rng):
    """Histograms of two parts add up to those of the whole, and nothing given is changed."""
    codes, gradients = rng.integers(0, 256, (3, 40)).astype(np.uint8), rng.normal(size=(40, 2))
    rows = rng.permutation(40).astype(np.uint32)
    whole, part, rest = (sum_bins(codes, some, gradients) for some in (rows, rows[:15], rows[15:]))
    assert_close(whole - part, rest, "whole less a part is the rest")
    assert_close(sum_bins(codes, rows[:0], gradients), np.zeros((3, 256, 2)), "no rows: zeros")
    assert_unchanged(lambda c, r, g: sum_bins(c, r, g), codes, rows, gradients)


# --- splits ---------------------------------------------------------------------------------------------------------


def histograms_of(*features):
    """Histograms from {code: (G, H)} for each feature."""
    histograms = np.zeros((len(features), 256, 2))
    for feature, bins in enumerate(features):
        for code, sums in bins.items():
            histograms[feature, code] = sums
    return histograms


def test_best_split_by_hand():
    """Slopes -6 and 6, curvature 2 on each side: with λ = 1 the split gains ½ (36/3 + 36/3 - 0) = 12."""
    got = best_split(histograms_of({0: (0, 4)}, {3: (-6, 2), 7: (6, 2)}), PENALTIES)
    assert_close(got, [12, 1, 3, 0], "(gain, feature, code, missing left): 2 to each side, none is missing")
    got = best_split(histograms_of({0: (-6, 3), 1: (6, 1)}), PENALTIES._replace(reg_lambda=0.0))
    assert_close(got, [24, 0, 0, 1], "λ = 0: ½ (36/3 + 36/1); missing ones would follow the side of larger H, left")


def every_split(histogram, penalties):
    """Of one feature, the gain of each code and side of the missing values."""
    known, (lost_G, lost_H) = histogram[:MISSING], histogram[MISSING]
    G, H = histogram.sum(axis=0)
    for missing_left, code in itertools.product((False, True), range(MISSING)):
        left_G, left_H = known[: code + 1].sum(axis=0) + missing_left * np.array([lost_G, lost_H])
        if min(left_H, H - left_H) >= max(penalties.min_child_weight, 1e-6):
            parts = ((left_G, left_H), (G - left_G, H - left_H))
            gain = sum(g * g / (h + penalties.reg_lambda) for g, h in parts) - G * G / (H + penalties.reg_lambda)
            yield gain / 2, code, missing_left


@pytest.mark.parametrize("missing", [False, True])
def test_best_split_is_the_best_of_all(missing, rng):
    """No other split gains more: with missing values, a penalty λ and a least curvature."""
    for trial in range(4):
        codes = np.append(rng.permutation(MISSING)[:5], [MISSING] * missing)
        features = [{int(c): (rng.normal(), rng.random() + 0.1) for c in codes} for _ in range(2)]
        histograms, penalties = histograms_of(*features), Penalties(3, trial / 2, 0.0, 0.4 * (trial % 2))
        got = best_split(histograms, penalties)
        best = max(gain for histogram in histograms for gain, _, _ in every_split(histogram, penalties))
        assert_close(got.gain, best, f"the gain of {features}, {penalties}")
        own = {(code, side): gain for gain, code, side in every_split(histograms[got.feature], penalties)}
        side = bool(got.missing_left) if missing else False
        assert_close(own[(got.code, side)], best, "the gain of the split that was returned")


def test_of_equal_splits_the_first_is_taken():
    """Of equal features the first; of equal codes the lowest; a gain that is larger by rounding only is equal."""
    same = {2: (-1, 1), 5: (1, 1)}
    assert best_split(histograms_of(same, same), PENALTIES)[1:3] == (0, 2), "two equal features; no row has codes 3, 4"
    far, farther = {2: (-1000, 1), 5: (1000, 1)}, {2: (-1000 - 1e-11, 1), 5: (1000 + 1e-11, 1)}
    assert best_split(histograms_of(far, farther), PENALTIES).feature == 0, "the second is better by a part of 1e-14"


def test_a_split_has_its_price():
    """It must gain more than γ, and each side needs its curvature; else the feature is LEAF."""
    histograms = histograms_of({0: (-6, 2), 1: (6, 2)})
    assert best_split(histograms, PENALTIES._replace(gamma=12.0)).feature == LEAF, "a gain of 12 is not more than 12"
    nothing = histograms_of({0: (2, 1), 1: (2, 1)})
    assert best_split(nothing, PENALTIES._replace(reg_lambda=0.0)).feature == LEAF, "a gain of 0 is not more than 0"
    better = histograms_of({0: (-6, 2), 1: (6, 2)}, {0: (-7, 2), 1: (7, 2)})
    got = best_split(better, PENALTIES._replace(gamma=5.0))
    assert_close([got.gain, got.feature], [49 / 3, 1], "gains 12 and 49/3, γ 5: the larger one, with nothing taken off")
    assert best_split(histograms, PENALTIES._replace(gamma=11.9)).feature == 0, "a gain of 12 is above 11.9"
    assert best_split(histograms, PENALTIES._replace(gamma=12.1)).feature == LEAF, "a gain of 12 is below 12.1"
    assert best_split(histograms, PENALTIES._replace(min_child_weight=2.0)).feature == 0, "2 on each side is enough"
    assert best_split(histograms, PENALTIES._replace(min_child_weight=2.1)).feature == LEAF, "2 is below 2.1"
    assert best_split(histograms_of({4: (3, 4)}), PENALTIES._replace(min_child_weight=0.0)).feature == LEAF, "one bin"
    assert best_split(histograms[:0], PENALTIES).feature == LEAF, "no feature, no split"
    dust = histograms_of({0: (-2, 2), 1: (1e-3, 1e-12)})
    assert best_split(dust, Penalties(3, 0.0, 0.0, 0.0)).feature == LEAF, "dust of a subtraction is no side"
    for slopes in ((-9, 4, 4, 4), (4, 4, 4, -9)):
        bins = {code: (slope, 1) for code, slope in enumerate(slopes)}
        got = best_split(histograms_of(bins), PENALTIES._replace(min_child_weight=2.0))
        assert got.code == 1, f"slopes {slopes}, curvature 1 each: only a cut in the middle leaves 2 on both sides"


def test_missing_values_go_where_they_gain():
    """Missing ones whose slope is that of the low values go left, that of the high values right, or stay alone."""
    got = best_split(histograms_of({0: (-2, 1), 1: (2, 1), MISSING: (-2, 1)}), PENALTIES)
    assert_close(got[2:], [0, 1], "missing as low: (code, left)")
    got = best_split(histograms_of({0: (-2, 1), 1: (2, 1), MISSING: (2, 1)}), PENALTIES)
    assert_close(got[2:], [0, 0], "missing as high: (code, left)")
    got = best_split(histograms_of({0: (-2, 1), 1: (-2, 1), MISSING: (4, 1)}), PENALTIES)
    assert_close(got[2:], [1, 0], "missing as neither: all known values left, missing right")
    got = best_split(histograms_of({0: (-2, 1), MISSING - 1: (-2, 1), MISSING: (4, 1)}), PENALTIES)
    assert_close(got[2:], [MISSING - 1, 0], "all bins are in use: the cut before the missing ones is the last")
    dust = best_split(histograms_of({0: (-2e6, 3e6), 1: (2e6, 1e6), MISSING: (-1e-6, 1e-6)}), PENALTIES)
    assert_close(dust[2:], [0, 1], "dust of a subtraction is no missing value: the side of larger H")


# --- boosting -------------------------------------------------------------------------------------------------------


def test_boost_by_hand():
    """Targets 0, 0, 4, 8 of two kinds of rows: start at 3; the first tree says -3 and 3, and half of it is added."""
    bins, y = bins_of(np.array([[0.0], [0.0], [1.0], [1.0]]), np.ones(4), 255), np.array([0.0, 0.0, 4.0, 8.0])
    start, trees = boost(bins, y, np.ones(4), SQUARED, 2, 0.5, PENALTIES._replace(reg_lambda=0.0))
    assert type(start) is float, "the constant is a float"
    assert_close(start, 3.0, "the mean of the targets")
    assert_close(
        trees[0].value[:, 0], [0, -1.5, 1.5], "tree 1 [root, left, right]: half of the mean residuals -3 and 3"
    )
    assert_close(trees[1].value[:, 0], [0, -0.75, 0.75], "tree 2: half of what is left, -1.5 and 1.5")
    assert_close(trees[0].threshold[0], 0.5, "the question of tree 1")
    for loss, targets in ((SQUARED, y), (LOGISTIC, np.array([0.0, 0.0, 0.0, 1.0]))):
        assert_unchanged(lambda t, w, k=loss: boost(bins, t, w, k, 2, 0.5, PENALTIES)[0], targets, np.ones(4))
    _, trees = boost(bins, y, np.ones(4), SQUARED, 3, 0.5, PENALTIES._replace(gamma=1e9))
    assert [len(t.feature) for t in trees] == [1, 1, 1], "no split is worth its price: three trees of a leaf each"


@pytest.mark.parametrize("weighted", [False, True])
def test_boost_fits_residuals(weighted, rng):
    """For squared error and λ = 0 it is Friedman's: scikit-learn's trees, one after the other on the residuals."""
    X, y = problem(rng)
    weights = rng.random(60) + 0.5 if weighted else np.ones(60)
    scores = np.full(60, np.average(y, weights=weights))
    for _ in range(6):
        scores += 0.3 * tree.DecisionTreeRegressor(max_depth=2, random_state=0).fit(X, y - scores, weights).predict(X)
    start, trees = boost(bins_of(X, weights, 255), y, weights, SQUARED, 6, 0.3, Penalties(2, 0.0, 0.0, 0.0))
    assert len(trees) == 6, f"n_estimators=6 makes six trees, got {len(trees)}"
    assert_close(boosted_scores(start, trees, X), scores, "predictions of six trees")


def test_boost_starts_at_the_log_odds(rng):
    """For labels the constant is the log odds; each tree lowers the loss, and the weights count."""
    X, y = problem(rng)
    labels, weights = (y > 30).astype(float), rng.integers(1, 4, 60).astype(float)
    share = np.average(labels, weights=weights)
    start, trees = boost(bins_of(X, weights, 255), labels, weights, LOGISTIC, 5, 0.5, PENALTIES)
    assert_close(start, log(share / (1 - share)), "the log odds of the weighted share of ones")
    assert_close(trees[0].weight[0], weights.sum(), "the root of a tree has the weight of all samples")
    scores = [boosted_scores(start, trees[:n], X) for n in range(6)]
    losses = [weights @ (np.logaddexp(0, s) - labels * s) for s in scores]
    assert (np.diff(losses) < 0).all(), f"each tree must lower the training loss, got {losses}"
    tree_0, _ = grow_on_bins(
        bins_of(X, weights, 255), loss_gradients(scores[1], labels, weights, LOGISTIC), weights, PENALTIES
    )
    assert_close(trees[1].value, 0.5 * tree_0.value, "tree 2 is grown on the derivatives after tree 1")


def test_trees_keep_their_books(rng):
    """A node's samples and weight are its children's together, a leaf says -G / (H + λ), and splits lower the error."""
    X, y = problem(rng, missing=0.2)
    weights = rng.random(60) + 0.5
    gradients = loss_gradients(np.zeros(60), y, weights, SQUARED)
    grown, answers = grow_on_bins(bins_of(X, weights, 255), gradients, weights, PENALTIES)
    inner = np.flatnonzero(grown.feature != LEAF)
    left, right = grown.children_left[inner], grown.children_right[inner]
    assert grown.n_samples[inner].tolist() == (grown.n_samples[left] + grown.n_samples[right]).tolist(), "samples"
    assert_close([grown.weight[0], grown.n_samples[0]], [weights.sum(), 60], "the root holds all")
    assert_close(answers, boosted_scores(0.0, [grown], X), "answers are those of the leaves")
    for value in np.unique(answers):
        G, H = gradients[answers == value].sum(axis=0)
        assert_close(value, -G / (H + 1), "a leaf: -G / (H + λ)")
    error = grown.impurity * grown.weight
    assert (error[inner] > error[left] + error[right]).all(), "a split lowers the error"


# --- reasons --------------------------------------------------------------------------------------------------------


def rule(depth):
    """Gauss and Legendre's points on [0, 1], enough for paths of `depth` features."""
    points, shares = np.polynomial.legendre.leggauss(depth // 2 + 1)
    return (points + 1) / 2, shares / 2


def test_tree_shap_by_hand():
    """A pod is slow (8) if CPU and memory are both high. For one that is, each of them adds 3; the mean is 2."""
    children, feature = (
        np.array([[1, LEAF, 3, LEAF, LEAF], [2, LEAF, 4, LEAF, LEAF]]),
        np.array([0, LEAF, 1, LEAF, LEAF]),
    )
    value, weight = np.array([[2.0], [0], [4], [0], [8]]), np.array([4.0, 2, 2, 1, 1])
    threshold, missing_left = np.where(feature == LEAF, np.nan, 0.5), np.zeros(5, bool)
    both = Tree(
        children[0], children[1], feature, threshold, missing_left, value, np.zeros(5), weight.astype(int), weight
    )
    got = tree_shap(both, np.array([[1.0, 1.0, 7.0], [0.5, 1.0, 7.0]]), *rule(2))
    assert_close(got[0], [3, 3, 0], "both high: 8 - 2 = 6, a half for each; the third column is not asked for")
    assert_close(got[1], [-3, 1, 0], "CPU at the threshold goes left: 0 - 2 = -2; memory speaks for slow")


def expectation(tree, x, known, node=0):
    """The answer of a tree that may look at some features only."""
    if tree.children_left[node] == LEAF:
        return tree.value[node, 0]
    children, value = (tree.children_left[node], tree.children_right[node]), x[tree.feature[node]]
    if tree.feature[node] in known:
        left = tree.missing_left[node] if np.isnan(value) else value <= tree.threshold[node]
        return expectation(tree, x, known, children[not left])
    return sum(tree.weight[c] / tree.weight[node] * expectation(tree, x, known, c) for c in children)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_tree_shap_is_the_mean_over_all_orders(missing, rng):
    """They are Shapley's values, by his formula over all subsets; a path may ask for a feature twice."""
    X, y = problem(rng, 40, 3, missing)
    deep = DecisionTreeRegressor(min_samples_leaf=2).fit(X, y, rng.random(40) + 0.5).tree_
    got = tree_shap(deep, X[:4], *rule(3))
    for row, feature in itertools.product(range(4), range(3)):
        rest, total = [k for k in range(3) if k != feature], 0.0
        for size in range(3):
            for known in itertools.combinations(rest, size):
                gain = expectation(deep, X[row], {*known, feature}) - expectation(deep, X[row], set(known))
                total += factorial(size) * factorial(2 - size) / factorial(3) * gain
        assert_close(got[row, feature], total, f"row {row}, feature {feature}", atol=1e-9)


def test_shap_values_add_up(rng):
    """With the mean they add up to the prediction, of numbers and of log odds; rows are alone, and stay as they are."""
    X, y = problem(rng, 80, 6, 0.1)
    for model in (GradientBoostingRegressor(4).fit(X, y), GradientBoostingClassifier(4).fit(X, y > 40)):
        values = model.shap_values(X[:4])
        scores = boosted_scores(model.start_, model.trees_, X[:4])
        assert_close(model.expected_value_ + values.sum(axis=1), scores, "mean + values = score", atol=1e-9)
    assert_rows_alone(lambda rows: shap_values(model.trees_[:2], rows), X[:4])
    assert_unchanged(lambda t, rows: tree_shap(t, rows, *rule(6)), model.trees_[0], X[:3])
    single = DecisionTreeRegressor().fit(X, np.full(80, 4.0)).tree_
    assert_close(shap_values([single], X[:2]), np.zeros((2, 6)), "one leaf: nothing to share out")


# --- estimators -----------------------------------------------------------------------------------------------------

BOOSTERS = {
    "AdaBoost": ("classifier", lambda: AdaBoostClassifier(3)),
    "GradientBoostingClassifier": ("classifier", lambda: GradientBoostingClassifier(3)),
    "GradientBoostingRegressor": ("regressor", lambda: GradientBoostingRegressor(3)),
}


@pytest.mark.parametrize("name", BOOSTERS)
def test_it_keeps_scikit_learns_conventions(name):
    """It keeps scikit-learn's conventions."""
    kind, make = BOOSTERS[name]
    for convention in estimator_conventions(kind, without=["refuses_missing_values"]):
        convention(make)


def test_importances_are_shares_of_the_gain(rng):
    """The importances add up to 1, a column of noise has next to nothing, and weights of 0 are no rows."""
    X, y = problem(rng, 80)
    model = GradientBoostingRegressor(10, max_depth=3).fit(X, 9 * X[:, 0])
    assert_close(model.feature_importances_.sum(), 1.0, "all importances together")
    assert model.feature_importances_[0] > 0.99, f"only the first column matters, got {model.feature_importances_}"
    there = np.arange(80) < 60
    some = GradientBoostingRegressor(3).fit(X, y, sample_weight=there).predict(X)
    assert_close(some, GradientBoostingRegressor(3).fit(X[there], y[there]).predict(X), "twenty weights of 0")


def test_what_cannot_be_is_refused():
    """Settings out of range, one class, three classes and targets whose squares overflow are refused by name."""
    X, y = np.arange(6.0).reshape(3, 2), [0, 1, 1]

    def fit(**settings):
        return GradientBoostingClassifier(2, **settings).fit(X, y)

    assert_refuses_values(lambda n: GradientBoostingRegressor(n).fit(X, y), "n_estimators", 0, 2.5, "many")
    assert_refuses_values(lambda value: fit(learning_rate=value), "learning_rate", -0.1, 0, None)
    assert_refuses_values(lambda value: fit(max_depth=value), "max_depth", 0, 1.5, None)
    assert_refuses_values(lambda value: fit(max_bins=value), "max_bins", 1, 256, "all")
    assert_refuses_values(lambda value: fit(reg_lambda=value), "reg_lambda", -1, "a")
    assert_refuses_values(lambda value: fit(min_child_weight=value), "min_child_weight", -1, np.nan)
    assert_refuses(lambda: GradientBoostingClassifier().fit(X, [1, 1, 1]), r"\by\b", "1 class", message="one class")
    assert_refuses(lambda: GradientBoostingClassifier().fit(X, [0, 1, 2]), "two classes", 3, message="three classes")
    assert_refuses(lambda: GradientBoostingRegressor().fit(X, [1, 2, 1e200]), r"\by\b", 1e200, message="1e200 squared")
