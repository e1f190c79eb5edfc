"""Checks of framing."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from groundup.checking import (
    assert_close,
    assert_number_kinds,
    assert_refuses,
    assert_refuses_values,
    assert_shape,
    assert_unchanged,
    estimator_conventions,
)
from groundup.stack.classical.framing import (
    MajorityClassifier,
    bias_variance,
    learning_curve,
    shared_rows,
    split,
    time_split,
)

# --- the baseline ---------------------------------------------------------------------------------------------------


def test_majority_by_hand():
    """Of five pods three are healthy: every pod is called healthy, with probability 3/5."""
    X, y = np.zeros((5, 2)), ["healthy", "crash", "healthy", "crash", "healthy"]
    model = MajorityClassifier().fit(X, y)
    assert model.classes_.tolist() == ["crash", "healthy"], f"classes_ are the classes, sorted; got {model.classes_}"
    assert model.predict(X[:2]).tolist() == ["healthy", "healthy"], "every sample gets the most frequent class"
    assert_close(model.predict_proba(X[:1]), [[2 / 5, 3 / 5]], "predict_proba: the share of each class, in their order")


def test_majority_is_scikit_learns(rng):
    """It is DummyClassifier with the strategy `prior`, for any number of classes."""
    X, y = rng.normal(size=(90, 3)), rng.integers(-2, 3, 90)
    ours, theirs = MajorityClassifier().fit(X, y), DummyClassifier(strategy="prior").fit(X, y)
    assert_close(ours.predict_proba(X), theirs.predict_proba(X), "predict_proba of 90 samples")
    assert_close(ours.predict(X), theirs.predict(X), "predict of 90 samples")


@pytest.mark.parametrize("convention", estimator_conventions("classifier"))
def test_majority_keeps_scikit_learns_conventions(convention):
    """It keeps scikit-learn's conventions."""
    convention(MajorityClassifier)


def test_majority_refuses_what_it_cannot_count():
    """Labels of another length, no sample, and a NaN are refused."""
    assert_refuses(lambda: MajorityClassifier().fit(np.zeros((3, 1)), [0, 1]), 2, 3, message="3 samples and 2 labels")
    assert_refuses(lambda: MajorityClassifier().fit(np.zeros((0, 1)), []), message="no sample: fit must refuse")
    assert_refuses(lambda: MajorityClassifier().fit([[np.nan]], [0]), "nan", message="a NaN: fit must refuse")
    assert_refuses(
        lambda: MajorityClassifier().fit([[1], [2]], [0.5, 0.7]), "continuous", message="a continuous target"
    )


# --- splits ---------------------------------------------------------------------------------------------------------


def assert_parts(parts, n_samples):
    """Every sample is in one of the two parts, and in one only."""
    train, test = parts
    assert len(train) > 0, "the training part is empty"
    assert len(test) > 0, "the test part is empty"
    together = np.sort(np.concatenate([train, test]))
    assert_close(together, np.arange(n_samples), "both parts together hold every index once")


@pytest.mark.parametrize(("n_samples", "share", "size"), [(10, 0.3, 3), (7, 0.5, 4), (100, 0.25, 25), (3, 0.01, 1)])
def test_split_has_the_size_asked_for(n_samples, share, size, rng):
    """The test part holds the nearest whole number of samples, at least one; indices ascend."""
    train, test = split(n_samples, share, rng)
    assert_parts((train, test), n_samples)
    assert len(test) == size, f"split({n_samples}, {share}): {size} samples test, not {len(test)}"
    assert (np.diff(train) > 0).all(), f"training indices ascend, got {train}"
    assert (np.diff(test) > 0).all(), f"test indices ascend, got {test}"


def test_split_leaves_a_sample_to_train(rng):
    """However large the share, one sample stays for training."""
    assert_parts(split(4, 0.99, rng), 4)


def test_split_is_drawn_by_the_generator_given():
    """The same generator draws the same part, another one another part, and every sample may test."""
    first, again, other = (split(50, 0.2, np.random.default_rng(seed))[1] for seed in (1, 1, 2))
    assert_close(again, first, "two generators of seed 1")
    assert first.tolist() != other.tolist(), "seeds 1 and 2 draw the same test part: is it drawn at random?"
    rng = np.random.default_rng(0)
    counts = np.bincount(np.concatenate([split(10, 0.3, rng)[1] for _ in range(400)]), minlength=10)
    assert counts.min() > 80, f"how often each of 10 samples tested in 400 splits: {counts}; about 120 each"


def test_split_keeps_groups_whole(rng):
    """No group is on both sides, and the test part holds at least the share asked for, and no group too many."""
    groups = np.array(["a", "b", "c", "b", "a", "c", "d", "b", "e", "e"])
    for _ in range(20):
        train, test = split(10, 0.3, rng, groups=groups)
        assert_parts((train, test), 10)
        shared = set(groups[train].tolist()) & set(groups[test].tolist())
        assert not shared, f"groups on both sides: {sorted(shared)}"
        assert len(test) >= 3, f"at least 0.3 of 10 samples must test, got {len(test)}"
        smallest = min(int(np.sum(groups == name)) for name in groups[test])
        largest = max(int(np.sum(groups == name)) for name in groups[test])
        assert len(test) - largest < 3 or smallest == len(test), (
            f"one group too many tests: {sorted(set(groups[test].tolist()))}"
        )


def test_split_draws_groups_and_not_their_samples():
    """Every group is as likely to be drawn, large or small."""
    groups = np.repeat([0, 1, 2, 3], [7, 1, 1, 1])
    rng = np.random.default_rng(3)
    drawn = [int(groups[split(10, 0.1, rng, groups=groups)[1]][0]) for _ in range(400)]
    counts = np.bincount(drawn, minlength=4)
    assert counts.min() > 60, f"how often each of four groups was drawn alone in 400 splits: {counts}; about 100 each"


def test_split_counts_samples_and_not_groups(rng):
    """Groups of 7, 1, 1 and 1: half of the ten samples test, so the large one tests, or the three others do."""
    groups = np.repeat([0, 1, 2, 3], [7, 1, 1, 1])
    for _ in range(20):
        test = split(10, 0.5, rng, groups=groups)[1]
        assert len(test) >= 5 or test.tolist() == [7, 8, 9], f"0.5 of 10 samples, not of 4 groups: {test} test"


def test_split_of_two_groups_leaves_one(rng):
    """One group always stays, even where the other cannot fill the share."""
    for _ in range(20):
        assert_parts(split(5, 0.9, rng, groups=[0, 0, 0, 0, 1]), 5)


def test_splits_refuse_other_shares(rng):
    """A share is between 0 and 1."""
    assert_refuses_values(lambda share: split(10, share, rng), "test_share", 0.0, 1.0, -0.5, np.nan)
    assert_refuses_values(lambda share: time_split(np.arange(10), share), "test_share", 0.0, 1.0, -0.5, np.nan)


def test_split_refuses_what_it_cannot_divide(rng):
    """One sample, groups of another length and a single group are refused."""
    assert_refuses(lambda: split(1, 0.5, rng), 1, message="one sample cannot be divided")
    assert_refuses(lambda: split(3, 0.5, rng, groups=[1, 2]), "groups", 2, message="two groups for three samples")
    assert_refuses(lambda: split(3, 0.5, rng, groups=[1, 1, 1]), "groups", 1, message="one group cannot be divided")


def test_time_split_by_hand():
    """Times 5, 1, 9, 3 and a share of 1/4: 1, 3, 5 train, in the order of time, and 9 tests."""
    train, test = time_split([5, 1, 9, 3], 0.25)
    assert_close(train, [1, 3, 0], "indices of the training part, earliest first")
    assert_close(test, [2], "indices of the test part")


def test_time_split_lets_the_past_train(rng):
    """Every training sample is earlier than every test sample; the arrays given stay as they are."""
    times = rng.integers(0, 40, 60)
    for share in (0.1, 0.25, 0.6):
        parts = time_split(times, share)
        assert_parts(parts, 60)
        assert times[parts[0]].max() < times[parts[1]].min(), "a training sample is as late as a test sample"
        assert len(parts[1]) >= round(share * 60), f"at least {share} of the samples must test"
        assert len(np.unique(times[parts[1]][np.sum(times == times[parts[1]].min()) :])) < share * 60, "too many test"
    assert_unchanged(lambda times: time_split(times, 0.3), times)


def test_time_split_keeps_equal_times_together():
    """Of times 1, 2, 2, 2, 3 the last two would test; the other two of time 2 go with them."""
    train, test = time_split([1, 2, 2, 2, 3], 0.4)
    assert_close(train, [0], "training part")
    assert_close(test, [1, 2, 3, 4], "test part: equal times stay together, in their order")
    train, test = time_split(np.repeat([7, 3], [60, 100]), 0.3)
    assert_close(train, np.arange(60, 160), "100 samples of time 3 train, in the order in which they came")


def test_time_split_takes_dates():
    """Dates are times, to the last nanosecond, and so are whole numbers of any size."""
    days = np.array(["2025-03-01", "2025-01-01", "2025-02-01"], dtype="datetime64[D]")
    train, test = time_split(days, 0.3)
    assert_close(train, [1, 2], "January and February train")
    assert_close(test, [0], "March tests")
    ticks = np.array([2**60 + 2, 2**60, 2**60 + 1])  # three numbers that are one as floats
    for times in (ticks, ticks.astype("datetime64[ns]")):
        assert_close(time_split(times, 0.3)[0], [1, 2], f"times one {times.dtype} apart: the latest tests")


def test_time_split_refuses_what_has_no_past():
    """Equal times, a time that is not known (NaN, NaT) and a table are refused."""
    assert_refuses(lambda: time_split([4, 4, 4], 0.3), "times", 4, message="all times are equal: nothing is earlier")
    assert_refuses(lambda: time_split([1.0, np.nan, 2.0], 0.3), "times", "nan", message="a time that is NaN")
    unknown = np.array(["2025-01-01", "NaT", "2025-01-02"], dtype="datetime64[D]")
    assert_refuses(lambda: time_split(unknown, 0.3), message="a time that is NaT")
    assert_refuses(lambda: time_split([[1, 2], [3, 4], [5, 6]], 0.3), message="a table of times")


# --- leaks ----------------------------------------------------------------------------------------------------------


def test_shared_rows_by_hand():
    """Of three test rows the second is in the training part; a row with one number changed is not."""
    train, test = [[1, 2], [3, 4], [3, 4]], [[1, 4], [3, 4], [2, 1]]
    marks = shared_rows(train, test)
    assert np.asarray(marks).dtype == bool, f"shared_rows returns booleans, not {np.asarray(marks).dtype}"
    assert_close(marks, [False, True, False], "shared_rows: only [3, 4] occurs in both")


def test_shared_rows_compares_rows_and_not_sets(rng):
    """It agrees with comparing every pair of rows."""
    train, test = rng.integers(0, 3, (40, 3)), rng.integers(0, 3, (30, 3))
    expected = (test[:, None] == train).all(axis=2).any(axis=1)
    assert_close(shared_rows(train, test), expected, "40 training rows, 30 test rows of three small numbers")


def test_shared_rows_takes_missing_values_as_equal():
    """Two rows with the same gap are the same row, and a gap is not a zero."""
    train = np.array([[1.0, np.nan], [5.0, 6.0]])
    test = np.array([[1.0, np.nan], [1.0, 0.0], [np.nan, 1.0]])
    assert_close(shared_rows(train, test), [True, False, False], "a gap equals a gap, and nothing else")
    assert np.isnan(train[0, 1]), "the arrays given must stay as they are"
    assert_close(shared_rows([[1, None]], [[1, None], [1, 0]]), [True, False], "None is a gap, too")


def test_shared_rows_compares_number_for_number():
    """Numbers that are nearly equal differ, however large; a gap equals no number; 0.0 and -0.0 are one number."""
    train = [[1.0], [2.0**24], [np.inf], [np.nan]]
    test = [[1 + 2**-52], [2.0**24 + 1], [float(np.finfo(float).max)], [-1.0], [-999.0], [np.inf]]
    assert_close(shared_rows(train, test), [False] * 5 + [True], f"training rows {train}, test rows {test}")
    assert_close(shared_rows([[0.0]], [[-0.0]]), [True], "0.0 == -0.0")


def test_shared_rows_of_empty_parts():
    """An empty test part has no marks, and an empty training part has seen nothing."""
    assert_close(shared_rows(np.zeros((2, 3)), np.zeros((0, 3))), np.zeros(0, bool), "no test rows")
    assert_close(shared_rows(np.zeros((0, 3)), np.zeros((2, 3))), [False, False], "no training rows")


def test_shared_rows_refuses_tables_that_differ():
    """Two tables with other columns are refused."""
    assert_refuses(lambda: shared_rows([[1, 2]], [[1]]), (1, 2), (1, 1), message="two columns against one")
    assert_refuses(lambda: shared_rows([1, 2], [1, 2]), (2,), message="a list of numbers is no table")
    assert_refuses(lambda: shared_rows([[1, 2]], [1, 2]), (2,), message="a table and a list of numbers")


# --- bias and variance ----------------------------------------------------------------------------------------------


def test_bias_variance_by_hand():
    """Two models say 1 and 3 where the truth is 0, noise 0.5: bias² 4, variance 1, error 5.5."""
    parts = bias_variance([[1.0], [3.0]], [0.0], noise=0.5)
    assert_close(parts, [4.0, 1.0, 0.5, 5.5], "(bias_squared, variance, noise, error)")
    assert all(isinstance(part, int | float) for part in parts), f"each part is a number, got {parts}"
    assert_close(bias_variance([[1e9 + 1], [1e9 + 3]], [1e9])[:2], [4.0, 1.0], "the same by numbers around 1e9")
    assert_number_kinds(bias_variance, [[1.0, 3.0], [1.0, 0.0]], [2.0, 5.0])
    assert_close(bias_variance([[np.float32(0.1)]], [0.0]).bias_squared, float(np.float32(0.1)) ** 2, rtol=1e-9)
    assert parts.variance == parts[1], "the result has its parts by name"


def test_bias_variance_sums_to_the_error(rng):
    """The parts sum to the mean squared distance of all models from the truth, exactly."""
    predictions, truth = rng.normal(size=(9, 13)) + 2, rng.normal(size=13)
    error = np.mean((predictions - truth) ** 2)
    assert_close(bias_variance(predictions, truth).error, error, "bias² + variance of 9 models at 13 points")


def test_bias_variance_tells_the_two_apart(rng):
    """Models that agree have no variance; models right in the mean have no bias."""
    truth = rng.normal(size=5)
    assert_close(bias_variance(np.tile(truth + 2, (4, 1)), truth)[:2], [4, 0], "four models, each 2 above the truth")
    assert_close(bias_variance([truth + 1, truth - 1], truth)[:2], [0, 1], "one model 1 above, one 1 below")


def test_bias_variance_refuses_what_does_not_fit():
    """Shapes that do not fit, no models and a negative noise are refused."""
    assert_refuses(lambda: bias_variance([[1.0, 2.0]], [1.0]), (1, 2), (1,), message="two points against one")
    assert_refuses(lambda: bias_variance([1.0, 2.0], 1.0), (2,), (), message="predictions of one model must be a row")
    assert_refuses(lambda: bias_variance(np.zeros((0, 2)), [1.0, 2.0]), (0, 2), message="no models")
    assert_refuses(lambda: bias_variance([[1.0]], [1.0], noise=-0.1), "noise", -0.1, message="a negative variance")


# --- learning curves ------------------------------------------------------------------------------------------------


class Remembers:
    """An estimator that remembers the rows it was fitted to, and how many at each fit."""

    def __init__(self):
        self.fits = []

    def fit(self, X, y):
        """Remember the rows, each with its target."""
        self.fits.append(len(X))
        self.seen = {(*row, target) for row, target in zip(X.tolist(), y.tolist(), strict=True)}
        return self


def seen(model, X, y):
    """The share of the rows of X that the model has seen, with their targets."""
    return float(np.mean([(*row, target) in model.seen for row, target in zip(X.tolist(), y.tolist(), strict=True)]))


def test_learning_curve_trains_on_growing_parts(rng):
    """Each size trains on as many samples, scores on them and on the test samples, by a fresh copy."""
    X, y = np.arange(20.0).reshape(10, 2), np.arange(10)
    model = Remembers()
    curve = learning_curve(model, (X, y), (X, y), [1, 5, 10], seen, rng)
    assert_close(curve.sizes, [1, 5, 10], "sizes")
    assert_shape(curve.sizes, (3,), "sizes is an array")
    assert_close(curve.train, [1, 1, 1], "the share of the rows trained on that the fitted copy has seen: all")
    assert_close(curve.test, [0.1, 0.5, 1], "the share of the ten test rows that it has seen: those it was fitted to")
    assert not hasattr(model, "seen"), "the estimator given stays unfitted: fit copies"
    assert not model.fits, "a list inside the estimator given has changed: the copy must be deep"
    assert_unchanged(lambda X, y: learning_curve(model, (X, y), (X, y), [5], seen, rng).sizes, X, y)


def test_learning_curve_nests_its_parts(rng):
    """A larger part holds the smaller one, and parts are drawn at random."""
    X, y = np.arange(30.0)[:, None], np.zeros(30)
    parts = []

    def score(model, A, b):
        parts.append({row[0] for row in model.seen})
        assert len(model.fits) == 1, "each size needs a fresh copy: this one was fitted before"
        return 0.0

    learning_curve(Remembers(), (X, y), (X, y), [3, 8, 15], score, rng)
    small, middle, large = sorted({frozenset(part) for part in parts}, key=len)
    assert small < middle < large, "the samples of 3, 8 and 15: each part holds the one before"
    assert large != set(range(15)), "the parts are the first rows: shuffle once"


def test_learning_curve_refuses_sizes_that_cannot_be(rng):
    """A size is from 1 to the number of training samples."""
    X, y = np.zeros((4, 1)), np.zeros(4)
    assert_refuses_values(lambda n: learning_curve(Remembers(), (X, y), (X, y), [2, n], seen, rng), "sizes", 0, 5, -1)
