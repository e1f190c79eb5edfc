"""Checks of evaluation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import calibration, metrics

from groundup.checking import (
    assert_close,
    assert_number_kinds,
    assert_order_free,
    assert_refuses,
    assert_refuses_values,
    assert_unchanged,
)
from groundup.stack.classical.evaluation import (
    average_precision,
    calibration_curve,
    cheapest_threshold,
    confusion_matrix,
    cross_validate,
    expected_calibration_error,
    precision_recall_curve,
    precision_recall_f1,
    roc_auc,
    roc_curve,
    stratified_folds,
)

# Seven samples: two ones on top, a tie of a one and a zero, then two zeros with a one between them.
LABELS = np.array([1, 1, 1, 0, 0, 1, 0])
SCORES = np.array([0.9, 0.8, 0.5, 0.5, 0.4, 0.3, 0.1])


def draw(rng, tied, size=40):
    """Labels of both classes, and scores that say something about them."""
    labels = np.append([0, 1], rng.integers(0, 2, size - 2))
    scores = labels + rng.normal(size=size)
    return labels, scores.round() if tied else scores


# --- confusion matrix -----------------------------------------------------------------------------------------------


def test_confusion_matrix_by_hand():
    """Rows are the true classes, columns the predicted ones: of three healthy pods two were called healthy."""
    labels = ["ok", "ok", "ok", "down", "down"]
    predictions = ["ok", "ok", "down", "down", "ok"]
    assert_close(confusion_matrix(labels, predictions), [[1, 1], [1, 2]], "rows and columns: down, ok")


def test_confusion_matrix_is_scikit_learns(rng):
    """Any classes, any counts: it is scikit-learn's table, in whole numbers."""
    labels, predictions = rng.integers(-2, 4, 200), rng.integers(-2, 4, 200)
    ours = confusion_matrix(labels, predictions)
    assert_close(ours, metrics.confusion_matrix(labels, predictions), "200 samples of six classes")
    assert ours.dtype.kind in "iu", f"counts are whole numbers, not {ours.dtype}"


def test_confusion_matrix_keeps_the_order_of_classes(rng):
    """Given classes set the order, and a class that nobody has is a row and a column of zeros."""
    order = ["warn", "error", "fatal", "info"]
    labels, predictions = rng.choice(order[:2], 30), rng.choice(order[:2], 30)
    expected = metrics.confusion_matrix(labels, predictions, labels=order)
    assert_close(confusion_matrix(labels, predictions, order), expected, f"classes={order}")


def test_confusion_matrix_has_a_class_that_is_only_predicted():
    """A class that was predicted and never true has a column, and a row of zeros; one class gives one cell."""
    assert_close(confusion_matrix([0, 0], [0, 7]), [[1, 1], [0, 0]], "classes 0 and 7")
    assert_close(confusion_matrix([True] * 300, [True] * 300), [[300]], "300 samples of one class")


def test_confusion_matrix_refuses_what_it_cannot_count():
    """A value outside `classes` is refused."""
    assert_refuses(lambda: confusion_matrix([0, 1], [0, 3], [0, 1]), 3, message="3 is not among the classes")


# --- precision, recall, F1 ------------------------------------------------------------------------------------------


def test_precision_recall_f1_by_hand():
    """Five alarms of which three were right, four failures: precision 3/5, recall 3/4, F1 6/9."""
    labels = [1, 1, 1, 1, 0, 0, 0, 0]
    predictions = [1, 1, 1, 0, 1, 1, 0, 0]
    scores = precision_recall_f1(labels, predictions)
    assert_close(scores, [3 / 5, 3 / 4, 6 / 9], "(precision, recall, f1)")
    assert scores.recall == scores[1], "the result has its parts by name: precision, recall, f1"
    assert all(isinstance(score, float) for score in scores), f"each is a number, got {scores}"


def test_precision_recall_f1_are_scikit_learns(rng):
    """They are scikit-learn's for whichever class is looked for."""
    labels, predictions = rng.choice(["a", "b", "c"], 90), rng.choice(["a", "b", "c"], 90)
    for positive in ("a", "c"):
        expected = metrics.precision_recall_fscore_support(labels, predictions, labels=[positive])[:3]
        assert_close(precision_recall_f1(labels, predictions, positive), np.ravel(expected), f"positive={positive!r}")
    two = precision_recall_f1([1, 1, 2, 0], [1, 2, 1, 0])
    assert_close(two, [1 / 2, 1 / 2, 1 / 2], "of the classes 0, 1 and 2 only 1 is positive, unless said otherwise")


def test_correct_rejections_do_not_count(rng):
    """True negatives change none of the three: a million quiet minutes make no alarm better."""
    labels, predictions = rng.integers(0, 2, 50), rng.integers(0, 2, 50)
    quiet = np.zeros(1000, int)
    more = precision_recall_f1(np.append(labels, quiet), np.append(predictions, quiet))
    assert_close(more, precision_recall_f1(labels, predictions), "1,000 correct rejections more")


def test_zero_by_zero_is_refused():
    """Precision without an alarm and recall without a case are 0 / 0: refused, by name."""
    assert_refuses(lambda: precision_recall_f1([1, 0], [0, 0]), "precision", message="no alarm: precision is undefined")
    assert_refuses(lambda: precision_recall_f1([0, 0], [1, 0]), "recall", message="no case: recall is undefined")


def test_zero_by_zero_takes_the_value_given():
    """`undefined` stands in for each ratio that is 0 / 0, and for no other."""
    assert_close(precision_recall_f1([1, 0], [0, 0], undefined=0.5), [0.5, 0, 0], "no alarm, undefined=0.5")
    assert_close(precision_recall_f1([0, 0], [1, 0], undefined=0.5), [0, 0.5, 0], "no case, undefined=0.5")
    assert_close(precision_recall_f1([0, 0], [0, 0], undefined=0.5), [0.5, 0.5, 0.5], "neither, undefined=0.5")
    assert_close(precision_recall_f1([1, 0], [0, 0], undefined=0.0), [0, 0, 0], "no alarm, undefined=0.0")
    assert_close(precision_recall_f1([1], [1], undefined=0.0), [1, 1, 1], "nothing is undefined here")


@pytest.mark.parametrize("function", [confusion_matrix, precision_recall_f1, roc_curve, roc_auc])
def test_other_shapes_are_refused(function):
    """Unequal lengths and no samples are refused."""
    assert_refuses(lambda: function([1, 0, 1], [1, 0]), 3, 2, message="three labels, two predictions or scores")
    assert_refuses(lambda: function([], []), message="no samples")


# --- ROC ------------------------------------------------------------------------------------------------------------


def test_roc_curve_by_hand():
    """Of four ones and three zeros each distinct score is one point; the tie at 0.5 takes one of each."""
    false_rate, true_rate, thresholds = roc_curve(LABELS, SCORES)
    assert_close(true_rate, np.array([0, 1, 2, 3, 3, 4, 4]) / 4, "true positive rate")
    assert_close(false_rate, np.array([0, 0, 0, 1, 2, 2, 3]) / 3, "false positive rate")
    assert_close(thresholds, [np.inf, 0.9, 0.8, 0.5, 0.4, 0.3, 0.1], "thresholds, from infinity down")


@pytest.mark.parametrize("tied", [True, False])
def test_roc_curve_is_scikit_learns(tied, rng):
    """It has scikit-learn's points, none dropped, with ties and without."""
    labels, scores = draw(rng, tied, size=300)
    theirs = metrics.roc_curve(labels, scores, drop_intermediate=False)
    assert_close(np.array(roc_curve(labels, scores)), np.array(theirs))


def cheapest(labels, scores):
    return cheapest_threshold(labels, scores, miss_cost=3, alarm_cost=1)


@pytest.mark.parametrize("function", [confusion_matrix, precision_recall_f1, roc_curve, roc_auc, cheapest])
def test_metrics_know_no_order(function, rng):
    """The order of the samples does not matter, lists will do, and the arrays given are left as they are."""
    labels, scores = draw(rng, True)
    assert_order_free(function, labels, scores)
    assert_unchanged(function, labels, scores)
    assert_number_kinds(function, LABELS, (SCORES * 4).round())


def test_scores_that_differ_in_the_last_digit_are_no_tie():
    """A one scores 0.5 and a rounding, a zero 0.5: two points, and the pair is won. Equal scores are one point."""
    labels, scores = [0, 0, 1], [0.1, 0.5, np.nextafter(0.5, 1)]
    points = [[0, 0, 1 / 2, 1], [0, 1, 1, 1], [np.inf, *scores[::-1]]]
    assert_close(np.array(roc_curve(labels, scores)), points, "the one passes first", rtol=0, atol=0)
    assert_close(roc_auc(labels, scores), 1.0, "roc_auc: both pairs are won")
    assert_close(np.array(roc_curve([True, False, False], [3, 3, 3]))[:2], [[0, 1], [0, 1]], "three equal scores")


@pytest.mark.parametrize("function", [roc_curve, roc_auc])
def test_curves_refuse_what_has_no_curve(function):
    """One class, labels that are not 0 and 1, and scores that are not finite are refused."""
    assert_refuses(lambda: function([1, 1], [0.1, 0.2]), "labels", 1, message="only ones")
    assert_refuses(lambda: function([0, 0], [0.1, 0.2]), "labels", 0, message="only zeros")
    assert_refuses(lambda: function([0, 2], [0.1, 0.2]), "labels", 2, message="a label 2")
    assert_refuses(lambda: function([0, 1], [0.1, np.nan]), "scores", "nan", message="a score that is NaN")
    assert_refuses(lambda: function([0, 1], [0.1, np.inf]), "scores", "inf", message="an infinite score")


def test_roc_auc_by_hand():
    """Of 12 pairs the ones win 9 and tie once: 9.5 / 12."""
    assert_close(roc_auc(LABELS, SCORES), 9.5 / 12, "roc_auc: pairs won, a tie counts one half")


@pytest.mark.parametrize("tied", [True, False])
def test_roc_auc_is_the_area_under_the_curve(tied, rng):
    """The share of pairs won is the area under `roc_curve`, and scikit-learn's number."""
    labels, scores = draw(rng, tied)
    ours = roc_auc(labels, scores)
    assert_close(ours, metrics.roc_auc_score(labels, scores), "roc_auc of 40 samples")
    false_rate, true_rate, _ = roc_curve(labels, scores)
    assert_close(ours, np.trapezoid(true_rate, false_rate), "the area under your roc_curve, by trapezia")


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=2, max_size=12))
def test_roc_auc_sees_only_the_order(pairs):
    """Raising the scores to a power leaves it alone, and turning their sign turns it round."""
    labels, scores = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    if labels.all() or not labels.any():
        return
    area = roc_auc(labels, scores)
    assert_close(roc_auc(labels, np.exp(scores)), area, "exp(scores) has the same order")
    assert_close(roc_auc(labels, -scores), 1 - area, "with -scores every pair is lost that was won")


def test_roc_auc_of_a_constant_is_one_half():
    """A model that says the same of all ranks like a coin."""
    assert_close(roc_auc([0, 1, 1, 0, 1], [2, 2, 2, 2, 2]), 0.5, "five equal scores")


# --- thresholds by cost ---------------------------------------------------------------------------------------------


def test_cheapest_threshold_by_hand():
    """A miss costs 3, a false alarm 1: at 0.3 all four ones are found and two zeros raise an alarm, 2 / 7 a sample."""
    best = cheapest_threshold(LABELS, SCORES, miss_cost=3, alarm_cost=1)
    assert_close(best, [0.3, 2 / 7], "(threshold, cost)")
    assert all(isinstance(part, float) for part in best), f"each is a number, got {best}"


@pytest.mark.parametrize("tied", [True, False])
def test_cheapest_threshold_is_cheapest(tied, rng):
    """No threshold costs less when every one is tried."""
    labels, scores = draw(rng, tied)
    for miss_cost, alarm_cost in ((1.0, 1.0), (20.0, 1.0), (0.3, 2.0)):
        tried = []
        for threshold in [np.inf, *np.unique(scores)[::-1]]:
            alarm = scores >= threshold
            tried.append((np.sum((labels == 1) & ~alarm) * miss_cost + np.sum((labels == 0) & alarm) * alarm_cost) / 40)
        best = cheapest_threshold(labels, scores, miss_cost=miss_cost, alarm_cost=alarm_cost)
        assert_close(best.cost, min(tried), f"the mean cost at miss_cost={miss_cost}, alarm_cost={alarm_cost}")
        expected = [np.inf, *np.unique(scores)[::-1]][int(np.argmin(tried))]
        assert_close(best.threshold, expected, "the highest of the cheapest thresholds")


def test_cheapest_threshold_may_be_never_or_always():
    """Where a miss costs nothing it never says 1; where an alarm costs nothing it says 1 down to the last case."""
    assert_close(cheapest_threshold(LABELS, SCORES, miss_cost=0, alarm_cost=1), [np.inf, 0], "a miss costs nothing")
    assert_close(cheapest_threshold(LABELS, SCORES, miss_cost=1, alarm_cost=0), [0.3, 0], "an alarm costs nothing")


def test_cheapest_threshold_of_calibrated_probabilities(rng):
    """Where 0.2 means one in five, a miss that costs four false alarms puts the threshold at 1 / (1 + 4)."""
    chances = rng.random(3_000)
    labels = (rng.random(3_000) < chances).astype(int)
    best = cheapest_threshold(labels, chances, miss_cost=4, alarm_cost=1)
    assert_close(best.threshold, 0.2, "3,000 samples, each a one with its own probability", atol=0.15)


def test_cheapest_threshold_refuses_other_costs():
    """A cost is a finite number of at least 0."""

    def with_costs(miss_cost, alarm_cost):
        return cheapest_threshold(LABELS, SCORES, miss_cost=miss_cost, alarm_cost=alarm_cost)

    assert_refuses_values(lambda cost: with_costs(cost, 1), "miss_cost", -1.0, np.nan, np.inf)
    assert_refuses_values(lambda cost: with_costs(1, cost), "alarm_cost", -1.0, np.nan, np.inf)


# --- cross-validation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [np.repeat([0, 1, 2], [23, 7, 5]), np.array(["spam", "ham", "ham", "ham"] * 6)])
def test_folds_are_even_in_size_and_in_every_class(labels, rng):
    """Two folds differ by at most one sample, and by at most one in every class."""
    for k in (2, 4, 5):
        folds = stratified_folds(labels, k, rng)
        assert folds.shape == labels.shape, f"one fold a sample: shape {labels.shape}, got {folds.shape}"
        assert set(folds.tolist()) == set(range(k)), f"the folds are 0 to {k - 1}, got {sorted(set(folds.tolist()))}"
        assert np.ptp(np.bincount(folds)) <= 1, f"sizes of {k} folds: {np.bincount(folds)}"
        for name in np.unique(labels).tolist():
            counts = np.bincount(folds[labels == name], minlength=k)
            assert np.ptp(counts) <= 1, f"samples of class {name!r} in {k} folds: {counts}"


def test_folds_are_drawn_by_the_generator_given():
    """The same generator deals the same folds, another one deals others, and within a class too."""
    labels = np.repeat([0, 1], 20)
    first, again, other = (stratified_folds(labels, 5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert_close(again, first, "two generators of seed 1")
    assert_unchanged(lambda labels: stratified_folds(labels, 5, np.random.default_rng(1)), labels[::-1])
    for name in (0, 1):
        assert (other != first)[labels == name].any(), f"class {name} is dealt alike by seeds 1 and 2, not shuffled"


def test_neighbours_are_not_dealt_alike(rng):
    """Where samples came in is no clue to their fold: over many draws each fold is as likely for the first sample."""
    firsts = [stratified_folds([0, 0, 0, 1, 1, 1], 3, rng)[0] for _ in range(300)]
    counts = np.bincount(firsts, minlength=3)
    assert counts.min() > 60, f"the first sample's folds in 300 draws: {counts}, each about 100"
    together = sum(int(np.ptp(stratified_folds([0, 0, 0, 0, 1, 1], 2, rng)[:2]) == 0) for _ in range(300))
    assert 50 < together < 150, f"in 300 draws two samples of four were {together} times in one fold; about 100"


def test_folds_are_refused_where_a_class_is_too_small(rng):
    """A class with fewer than k samples, fewer than two folds and no samples are refused."""
    assert_refuses(
        lambda: stratified_folds([0, 0, 0, 1, 1], 3, rng), 3, 2, message="class 1 has two samples for three folds"
    )
    assert_refuses(lambda: stratified_folds([0, 0, 1, 1], 1, rng), "k", 1, message="one fold")
    assert_refuses(lambda: stratified_folds([], 2, rng), message="no samples")


# --- what is given is right, too ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_precision_recall_curve_is_scikit_learns(tied, rng):
    """Precision and recall at every threshold, and their average precision, are scikit-learn's."""
    labels, scores = draw(rng, tied)
    precision, recall, thresholds = metrics.precision_recall_curve(labels, scores)
    ours = precision_recall_curve(labels, scores)
    assert_close(np.array(ours)[:, ::-1], np.array([precision[:-1], recall[:-1], thresholds]), "precision_recall_curve")
    assert_close(average_precision(labels, scores), metrics.average_precision_score(labels, scores))


def test_calibration_is_scikit_learns(rng):
    """Bins and their shares are scikit-learn's; the error weighs each bin by its samples."""
    chances = rng.integers(0, 21, 300) / 20
    labels = (rng.random(300) < chances**2).astype(int)
    observed, predicted = calibration.calibration_curve(labels, chances, n_bins=10)
    ours = calibration_curve(labels, chances)
    assert_close(np.array(ours)[:2], np.array([predicted, observed]), "calibration_curve of 300 samples")
    assert_close(
        expected_calibration_error([1, 0, 0], [0.9, 0.9, 0.1]), (0.4 * 2 + 0.1) / 3, "two samples at 0.9, one at 0.1"
    )
    assert_refuses(lambda: calibration_curve([0, 1], [0.2, 1.2]), "probabilities", 1.2, message="a probability of 1.2")


def test_cross_validate_never_scores_what_it_fitted(rng):
    """Each fold is scored by a copy that was fitted to the other folds only."""

    class Remembers:
        def fit(self, X, y):
            self.seen = {tuple(row) for row in X}
            return self

    X = np.arange(24.0).reshape(12, 2)
    model = Remembers()

    def share_seen(fitted, X, y):
        return float(np.mean([tuple(row) in fitted.seen for row in X]))

    shares = cross_validate(model, X, np.arange(12) % 2, np.arange(12) % 4, share_seen)
    assert_close(shares, np.zeros(4), "the share of held-out rows that the model has seen, by fold")
    assert not hasattr(model, "seen"), "the estimator given stays unfitted"
