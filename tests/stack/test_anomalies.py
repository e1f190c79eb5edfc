"""`classical/anomalies`: scikit-learn's own checks of an estimator, its detectors beside ours, and a pipeline."""

import numpy as np
import pytest
from scipy import stats
from sklearn import ensemble, neighbors
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundup.stack.classical.anomalies import IsolationForest, LocalOutlierFactor, RobustZScore, robust_scale
from groundup.stack.classical.features import Standardizer

NO_STRANGER = "no row of that table is 3.5 spreads away in any column, and each detector is asked to find one"
EXPECTED = {"check_outliers_train": NO_STRANGER, "check_outliers_fit_predict": NO_STRANGER}


@parametrize_with_checks(
    [RobustZScore(), RobustZScore(2.0), IsolationForest(20), LocalOutlierFactor(5)],
    expected_failed_checks=lambda estimator: EXPECTED if estimator.threshold == 3.5 else {},
)
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


def rows_with_strangers(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two crowds of different density and 20 strangers, with 1 where a row is one."""
    rng = np.random.default_rng(seed)
    crowds = [rng.normal(size=(300, 4)), 0.2 * rng.normal(size=(200, 4)) + 6]
    return np.vstack([*crowds, rng.uniform(-4, 10, (20, 4))]), np.repeat([0, 1], [500, 20])


@pytest.mark.parametrize("k", [3, 20, 600])
def test_factors_are_scikit_learns(k: int):
    X, _ = rows_with_strangers(0)
    new = rows_with_strangers(1)[0]
    k_there = min(k, len(X) - 1)
    ours, theirs = LocalOutlierFactor(k).fit(X), neighbors.LocalOutlierFactor(n_neighbors=k_there, novelty=True).fit(X)
    np.testing.assert_allclose(ours.negative_outlier_factor_, theirs.negative_outlier_factor_)
    np.testing.assert_allclose(ours.score_samples(new), theirs.score_samples(new))
    np.testing.assert_array_equal(ours.predict(new), theirs.predict(new))


def test_factors_of_copies_are_scikit_learns():
    X = np.repeat(np.random.default_rng(0).normal(size=(12, 2)), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5, 9], axis=0)
    ours, theirs = LocalOutlierFactor(4).fit(X), neighbors.LocalOutlierFactor(n_neighbors=4, novelty=True).fit(X)
    np.testing.assert_allclose(ours.negative_outlier_factor_[:10], theirs.negative_outlier_factor_[:10])


def test_an_isolation_forest_ranks_as_scikit_learns_does():
    X, strange = rows_with_strangers(0)
    ours, theirs = [], []
    for seed in range(3):
        ours.append(-IsolationForest(100, random_state=seed).fit(X).score_samples(X))
        theirs.append(-ensemble.IsolationForest(n_estimators=100, random_state=seed).fit(X).score_samples(X))
    assert roc_auc_score(strange, ours[0]) > 0.95
    assert np.corrcoef(np.mean(ours, axis=0), np.mean(theirs, axis=0))[0, 1] > 0.98
    np.testing.assert_allclose(np.mean(ours), np.mean(theirs), rtol=0.02)


def test_the_spread_is_scipys():
    X = np.random.default_rng(0).standard_t(3, size=(200, 3))
    np.testing.assert_allclose(robust_scale(X)[1], stats.median_abs_deviation(X) / stats.norm.ppf(0.75))


def test_a_pipeline_ends_in_a_detector():
    X, strange = rows_with_strangers(2)
    found = make_pipeline(Standardizer(), LocalOutlierFactor(15)).fit(X[strange == 0]).predict(X[strange == 1])
    assert np.mean(found == -1) > 0.8
