"""`classical/forests`: scikit-learn's own checks of an estimator, its forest beside ours, threads, and searches."""

from typing import Any

import numpy as np
import pytest
from sklearn import ensemble
from sklearn.datasets import make_classification, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundup.stack.classical.forests import RandomForestClassifier, RandomForestRegressor

# Bootstrap samples of weighted rows are other samples than those of repeated rows, as in scikit-learn's own forests.
DRAWN = {"check_sample_weight_equivalence_on_dense_data": "A bootstrap sample draws rows, whatever they weigh."}


@parametrize_with_checks(
    [RandomForestClassifier(5), RandomForestRegressor(5)], expected_failed_checks=lambda estimator: DRAWN
)
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


def test_a_forest_is_as_good_as_scikit_learns():
    X, y = make_classification(3_000, 20, n_informative=8, flip_y=0.1, random_state=0)
    train, test = slice(0, 1500), slice(1500, None)
    scores = []
    for kind in (RandomForestClassifier, ensemble.RandomForestClassifier):
        forests = [kind(60, oob_score=True, random_state=seed).fit(X[train], y[train]) for seed in range(3)]
        scores.append([[forest.score(X[test], y[test]), forest.oob_score_] for forest in forests])
    ours, theirs = np.mean(scores, axis=1)
    np.testing.assert_allclose(ours, theirs, atol=0.012)


def test_a_regression_forest_is_as_good_as_scikit_learns():
    data: Any = make_regression(
        1_500, 8, n_informative=4, noise=30.0, random_state=0
    )  # with coef=True it would be three tables
    X, y = data
    train, test = slice(0, 900), slice(900, None)
    ours, theirs = (
        np.mean([kind(40, random_state=seed).fit(X[train], y[train]).score(X[test], y[test]) for seed in range(3)])
        for kind in (RandomForestRegressor, ensemble.RandomForestRegressor)
    )
    assert ours == pytest.approx(theirs, abs=0.015)


def test_threads_change_nothing():
    X, y = make_classification(10_000, 6, random_state=0)
    one, two = (RandomForestClassifier(6, max_depth=6, n_jobs=n, random_state=3).fit(X, y) for n in (1, 2))
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


def test_pipelines_and_searches():
    data: Any = make_classification(200, 5, flip_y=0.1, random_state=0)
    X, y = data
    X[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    pipeline = make_pipeline(FunctionTransformer(), RandomForestClassifier(10, random_state=0))
    search = GridSearchCV(pipeline, {"randomforestclassifier__max_depth": [1, 6]}, cv=3).fit(X, y)
    assert cross_val_score(search.best_estimator_, X, y, cv=3).mean() > 0.7
