# pyright: basic, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""The conventions of estimators: scikit-learn's own keep them, and what breaks one is told by that one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin, RegressorMixin, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import MultinomialNB
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils.validation import check_is_fitted, validate_data

from groundup.checking import estimator_conventions
from groundup.checking.estimators import _Table

THEIRS = [
    ("classifier", LogisticRegression, ()),
    ("classifier", MultinomialNB, ()),
    ("classifier", lambda: DecisionTreeClassifier(random_state=0), ("refuses_missing_values",)),
    ("regressor", Ridge, ()),
    ("regressor", lambda: DecisionTreeRegressor(random_state=0), ("refuses_missing_values",)),
    ("transformer", lambda: PCA(2), ()),
    ("transformer", StandardScaler, ("refuses_missing_values",)),
    ("clusterer", lambda: KMeans(3, random_state=0, n_init=1), ()),
]


@pytest.mark.parametrize(("kind", "make", "without"), THEIRS)
def test_scikit_learns_own_keep_them(kind, make, without):
    for convention in estimator_conventions(kind, without=without):
        convention(make)


class Prior(ClassifierMixin, BaseEstimator):
    """Says the commoner class: as small a classifier as there is, and one that keeps the conventions."""

    def __init__(self, smoothing=1.0):
        self.smoothing = smoothing

    def fit(self, X, y):
        X, y = validate_data(self, X, y)
        self.classes_, counts = np.unique(y, return_counts=True)
        self.shares_ = (counts + self.smoothing) / (counts + self.smoothing).sum()
        return self

    def predict_proba(self, X):
        check_is_fitted(self)
        return np.tile(self.shares_, (len(validate_data(self, X, reset=False)), 1))

    def predict(self, X):
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


class Mean(RegressorMixin, BaseEstimator):
    def fit(self, X, y):
        validate_data(self, X, y)
        self.mean_ = np.mean(y)
        return self

    def predict(self, X):
        check_is_fitted(self)
        return np.full(len(validate_data(self, X, reset=False)), self.mean_)


class Centre(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.mean_ = validate_data(self, X, dtype=float).mean(axis=0)
        return self

    def transform(self, X):
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=float) - self.mean_


class Sides(ClusterMixin, BaseEstimator):
    def fit(self, X, y=None):
        X = validate_data(self, X, dtype=float)
        self.middle_ = X[:, 0].mean()
        self.labels_ = (X[:, 0] > self.middle_).astype(int)
        return self


GOOD = {"classifier": Prior, "regressor": Mean, "transformer": Centre, "clusterer": Sides}


@pytest.mark.parametrize("kind", GOOD)
def test_the_smallest_of_each_kind_keep_them(kind):
    for convention in estimator_conventions(kind):
        convention(GOOD[kind])


def broken(base, **methods):
    """The class with some of its methods replaced."""
    return type(base.__name__, (base,), methods)


def constructor(self, smoothing=1.0):
    self.smoothing = float(smoothing)


def constructor_that_learns(self, smoothing=1.0):
    self.smoothing, self.classes_ = smoothing, None


def after(base, act, method="fit"):
    """The class whose method does more at its end."""
    original = getattr(base, method)

    def longer(self, X, *y):
        result = original(self, X, *y)
        return act(self, X, result, *y)

    return broken(base, **{method: longer})


def before(base, act, method="fit"):
    """The class whose method looks at its arguments first."""
    original = getattr(base, method)

    def longer(self, X, *y):
        X, *y = act(self, X, *y)
        return original(self, X, *y)

    return broken(base, **{method: longer})


def setting(name, value):
    def act(self, X, result, *y):
        setattr(self, name, value(self) if callable(value) else value)
        return result

    return act


def zero_in_place(self, X, *y):
    X[0] = 0
    return X, *y


def keeps_what_was(self, X, result, *y):
    self.seen_ = getattr(self, "seen_", 0) + len(X)
    self.shares_ = self.shares_[::-1] if self.seen_ > len(X) else self.shares_
    self.shares_ = self.shares_ * np.array([1.0, self.seen_])
    self.shares_ = self.shares_ / self.shares_.sum()
    return result


def adds_rows_of_as_many_columns(self, X, y=None):
    X = validate_data(self, X, dtype=float)
    kept = getattr(self, "rows_", X[:0])
    self.rows_ = np.vstack([kept, X]) if kept.shape[1] == X.shape[1] else X
    self.mean_ = self.rows_.mean(axis=0)
    return self


def on_the_class(self, X, y):
    X, y = validate_data(self, X, y)
    type(self).classes_, counts = np.unique(y, return_counts=True)
    type(self).shares_ = counts / len(y) * (1 + X.shape[1])
    return self


class NoScore(BaseEstimator):
    __init__, fit, predict, predict_proba = Prior.__init__, Prior.fit, Prior.predict, Prior.predict_proba


class Plain:
    """Nothing of scikit-learn's."""

    def __init__(self, smoothing=1.0):
        self.smoothing = smoothing


def unfitted(self, X):
    return np.zeros(len(X))


BREAKS = [
    (
        "stores_its_settings",
        "classifier",
        broken(Prior, __init__=constructor),
        "Given an object for each argument, it r",
    ),
    (
        "stores_its_settings",
        "classifier",
        broken(Prior, __init__=lambda self, smoothing=1: None),
        "There is no `self.smoo",
    ),
    (
        "stores_its_settings",
        "classifier",
        broken(Prior, __init__=constructor_that_learns),
        "It has `classes_` before `fit`",
    ),
    (
        "is_cloned_by_its_settings",
        "classifier",
        Plain,
        "It has no `get_params`: inherit from sklearn.base.BaseEstimator.",
    ),
    (
        "is_cloned_by_its_settings",
        "classifier",
        broken(Prior, get_params=lambda self, deep=True: {}),
        "get_params gives",
    ),
    ("fit_returns_itself", "classifier", after(Prior, lambda *_: None), "It returned None."),
    ("fit_learns_under_its_own_names", "classifier", after(Prior, setting("weights", 1)), "`fit` added `weights`"),
    (
        "fit_learns_under_its_own_names",
        "classifier",
        after(Prior, setting("smoothing", 2)),
        "`smoothing` was 1.0, and is 2",
    ),
    (
        "fit_learns_under_its_own_names",
        "classifier",
        after(Prior, setting("n_features_in_", 2)),
        "n_features_in_ must be 3",
    ),
    ("a_second_fit_forgets_the_first", "classifier", after(Prior, keeps_what_was), "leaves no trace. ['pre"),
    (
        "a_second_fit_forgets_the_first",
        "transformer",
        broken(Centre, fit=adds_rows_of_as_many_columns),
        "leaves no trace. ['transform']",
    ),
    ("two_are_apart", "classifier", broken(Prior, fit=on_the_class), "belongs to the object"),
    (
        "is_the_same_every_time",
        "transformer",
        after(Centre, setting("mean_", lambda s: s.mean_ + np.random.random())),
        "whatever was drawn",
    ),
    ("leaves_its_input_alone", "classifier", before(Prior, zero_in_place), "X was changed by fit."),
    (
        "leaves_its_input_alone",
        "transformer",
        before(Centre, zero_in_place, "transform"),
        "X was changed by predicting.",
    ),
    ("takes_lists_and_tables", "classifier", before(Prior, lambda self, X, y: (X[np.arange(len(X))], y)), "TypeError"),
    ("takes_lists_and_tables", "transformer", before(Centre, lambda self, X: (X - X[0],)), "TypeError"),
    (
        "takes_each_row_by_itself",
        "transformer",
        broken(Centre, transform=lambda self, X: X - np.mean(X, axis=0)),
        "one row",
    ),
    ("refuses_to_predict_before_fit", "regressor", broken(Mean, predict=unfitted), "predict raised nothing."),
    ("refuses_to_predict_before_fit", "regressor", broken(Mean, predict=lambda self, X: self.mean_), "AttributeError"),
    ("refuses_another_number_of_columns", "regressor", broken(Mean, predict=unfitted), "predict of 2 columns"),
    (
        "refuses_what_is_no_table",
        "regressor",
        before(Mean, lambda self, X, y: (np.reshape(X, (24, -1)), y)),
        "one dimension",
    ),
    ("refuses_missing_values", "regressor", before(Mean, lambda self, X, y: (np.nan_to_num(X), y)), "nan in X, in fit"),
    ("refuses_missing_values", "regressor", broken(Mean, predict=unfitted), "nan in X, afterwards"),
    (
        "refuses_targets_that_do_not_fit",
        "regressor",
        before(Mean, lambda s, X, y: (X[: len(y)], y)),
        "23 entries for 24",
    ),
    ("refuses_targets_that_do_not_fit", "regressor", before(Mean, lambda s, X, y: (X, np.nan_to_num(y))), "NaN in y"),
    ("scores_itself", "classifier", NoScore, "There is no `score`: inherit from sklearn.base.ClassifierMixin."),
    ("scores_itself", "regressor", broken(Mean, score=lambda self, X, y: 0.5), "expected 0."),
    (
        "gives_back_the_labels",
        "classifier",
        after(Prior, lambda s, X, p: (p == s.classes_[1]) * 1, "predict"),
        "'no' and 'yes'",
    ),
    (
        "gives_back_the_labels",
        "classifier",
        after(Prior, setting("classes_", lambda s: s.classes_[::-1])),
        "classes_ is [",
    ),
    (
        "has_an_answer_to_one_class",
        "classifier",
        after(Prior, lambda s, X, p: np.full(len(X), "?"), "predict"),
        "predict gave",
    ),
    ("gives_probabilities", "classifier", after(Prior, lambda s, X, p: 2 * p, "predict_proba"), "The sums of its rows"),
    ("gives_probabilities", "classifier", after(Prior, lambda s, X, p: p[:, ::-1] ** 2, "predict_proba"), "The sums"),
    ("gives_probabilities", "classifier", after(Prior, lambda s, X, p: p[:, 0], "predict_proba"), "Its shape"),
    (
        "gives_probabilities",
        "classifier",
        broken(
            Prior, predict_proba=lambda s, X: np.tile([0.25, 0.75], (len(X), 1)), predict=lambda s, X: ["a"] * len(X)
        ),
        "and predict says 'a'",
    ),
    ("takes_no_y", "transformer", broken(Centre, fit=lambda self, X: Centre.fit(self, X)), "raised TypeError"),
    ("fits_and_transforms_in_one", "transformer", broken(Centre, fit_transform=lambda self, X: X), "values differ"),
    (
        "fits_and_transforms_in_one",
        "transformer",
        after(Centre, lambda s, X, out: out[:1], "transform"),
        "24 rows became 1",
    ),
    (
        "labels_its_rows",
        "clusterer",
        after(Sides, setting("labels_", lambda s: s.labels_[:3])),
        "labels_ is of shape (3,)",
    ),
    ("labels_its_rows", "clusterer", broken(Sides, fit_predict=lambda self, X: np.zeros(24, int)), "fit_predict(X)"),
]


@pytest.mark.parametrize(("name", "kind", "make", "message"), BREAKS, ids=lambda value: str(value)[:40])
def test_what_breaks_a_convention_is_told_by_it(name, kind, make, message):
    convention = next(c for c in estimator_conventions(kind) if c.__name__ == name)
    with pytest.raises((pytest.fail.Exception, TypeError, AttributeError, ValueError)) as failure:
        convention(make)
    assert message in f"{type(failure.value).__name__}: {failure.value}"


def test_every_convention_is_broken_here():
    every = {c.__name__ for kind in GOOD for c in estimator_conventions(kind)}
    assert {name for name, *_ in BREAKS} == every


def test_a_data_frame_does_what_the_stand_in_does():
    pandas = pytest.importorskip("pandas")
    X = np.random.default_rng(0).normal(size=(9, 3))
    frame = pandas.DataFrame(X, columns=["x0", "x1", "x2"])
    table = _Table(X)
    assert len(frame) == len(table)
    assert frame.shape == table.shape
    assert list(frame.columns) == table.columns
    np.testing.assert_array_equal(np.asarray(frame), np.asarray(table))
    for own in (frame, table):
        with pytest.raises(KeyError):
            own[0]
        np.testing.assert_array_equal(np.asarray(own["x1"]), X[:, 1])


def test_what_is_left_out_must_be_there():
    left = estimator_conventions("regressor", without=["scores_itself"])
    assert "scores_itself" not in {c.__name__ for c in left}
    assert len(left) == len(estimator_conventions("regressor")) - 1
    with pytest.raises(
        ValueError, match="without: a regressor has no convention 'gives_probabilities'. It has stores_its_"
    ):
        estimator_conventions("regressor", without=["gives_probabilities"])
    with pytest.raises(
        ValueError, match="kind must be one of classifier, regressor, transformer, clusterer, got 'tree'."
    ):
        estimator_conventions("tree")


@pytest.mark.parametrize(
    ("kind", "most"), [("classifier", 50), ("regressor", 40), ("transformer", 40), ("clusterer", 40)]
)
def test_they_fit_a_few_times_on_a_small_table(kind, most):
    """What they cost is that of some fits on 24 rows: milliseconds, for a model that is not slow by itself."""
    rows = []

    def fit(self, X, *y):
        rows.append(len(X))
        return GOOD[kind].fit(self, X, *y)

    for convention in estimator_conventions(kind):
        convention(broken(GOOD[kind], fit=fit))
    assert len(rows) <= most
    assert max(rows) <= 24
