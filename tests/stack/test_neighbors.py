"""`classical/neighbors`: scikit-learn's own checks of an estimator, its models beside ours, pipelines and searches."""

from typing import Any

import numpy as np
import pytest
from sklearn import naive_bayes, neighbors, svm
from sklearn.datasets import make_classification, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundup.stack.classical.features import Standardizer, TfidfVectorizer
from groundup.stack.classical.neighbors import SVC, GaussianNB, KNeighborsClassifier, MultinomialNB

ESTIMATORS = [
    KNeighborsClassifier(),
    KNeighborsClassifier(3, weights="distance", metric="cosine"),
    MultinomialNB(),
    GaussianNB(),
    SVC(),
    SVC(kernel="linear"),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


def tables(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training rows, their classes, and new rows."""
    data: Any = make_classification(n + 100, 8, n_informative=5, n_classes=3, flip_y=0.1, random_state=seed)
    X, y = data
    return X[:n], y[:n], X[n:]


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbours_are_scikit_learns(metric: str, weights: str):
    X, y, new = tables(0)
    ours = KNeighborsClassifier(7, metric=metric, weights=weights).fit(X, y)
    theirs: Any = neighbors.KNeighborsClassifier(7, metric=metric, weights=weights, algorithm="brute").fit(X, y)
    np.testing.assert_array_equal(ours.kneighbors(new)[1], theirs.kneighbors(new)[1])
    np.testing.assert_allclose(ours.kneighbors(new)[0], theirs.kneighbors(new)[0])
    np.testing.assert_allclose(ours.predict_proba(new), theirs.predict_proba(new))


def test_neighbours_in_several_blocks_are_those_of_one():
    X, y, _ = tables(1, 700)
    model = KNeighborsClassifier(3).fit(X, y)
    np.testing.assert_array_equal(
        model.predict(X), np.concatenate([model.predict(X[row : row + 90]) for row in range(0, 700, 90)])
    )
    np.testing.assert_array_equal(model.kneighbors(X)[0][:, 0], 0.0)


def test_naive_bayes_is_scikit_learns():
    X, y, new = tables(2)
    ours, theirs = GaussianNB().fit(X, y), naive_bayes.GaussianNB().fit(X, y)
    np.testing.assert_allclose(ours.predict_log_proba(new), theirs.predict_log_proba(new), rtol=1e-7)
    counts, new_counts = (np.maximum(table.round(), 0) for table in (X, new))
    ours, theirs = MultinomialNB(0.3).fit(counts, y), naive_bayes.MultinomialNB(alpha=0.3).fit(counts, y)
    np.testing.assert_allclose(ours.predict_log_proba(new_counts), theirs.predict_log_proba(new_counts), rtol=1e-7)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("C", [0.1, 1.0, 50.0])
def test_a_support_vector_machine_is_scikit_learns(kernel: str, C: float):
    X, y = make_moons(150, noise=0.25, random_state=0)
    ours, theirs = (kind(C=C, kernel=kernel, tol=1e-6).fit(X, y) for kind in (SVC, svm.SVC))
    grid = np.random.default_rng(0).uniform(-2, 3, (200, 2))
    np.testing.assert_allclose(ours.decision_function(grid), theirs.decision_function(grid), rtol=1e-4, atol=5e-4)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_separable_rows_have_the_widest_margin():
    X = np.vstack(
        [np.random.default_rng(0).normal(size=(60, 2)) - 3, np.random.default_rng(1).normal(size=(60, 2)) + 3]
    )
    y = np.repeat([0, 1], 60)
    ours = SVC(C=1e3, kernel="linear", tol=1e-6).fit(X, y)
    theirs = svm.SVC(C=1e3, kernel="linear", tol=1e-6).fit(X, y)
    normal = ours.dual_coef_ @ ours.support_vectors_
    np.testing.assert_allclose(normal, theirs.coef_[0], atol=1e-5)
    assert (np.where(y, 1, -1) * ours.decision_function(X)).min() == pytest.approx(1, abs=1e-4)


def test_too_few_steps_are_said():
    X, y = make_moons(100, noise=0.3, random_state=0)
    with pytest.warns(ConvergenceWarning, match="max_iter=3 .* violation .* tol=0.001"):
        SVC(max_iter=3).fit(X, y)


def test_pipelines_and_searches():
    X, y = make_moons(200, noise=0.25, random_state=0)
    search = GridSearchCV(make_pipeline(Standardizer(), SVC()), {"svc__C": [0.01, 10.0]}, cv=3).fit(X, y)
    assert search.best_params_ == {"svc__C": 10.0}
    assert cross_val_score(make_pipeline(Standardizer(), KNeighborsClassifier(9)), X, y, cv=3).mean() > 0.85


def test_naive_bayes_reads_weighted_words():
    texts, labels = (
        ["win cash now", "cash prize now", "lunch at noon", "see you at lunch"],
        ["spam", "spam", "ham", "ham"],
    )
    X = TfidfVectorizer().fit(texts).transform(texts).toarray()
    assert MultinomialNB().fit(X, labels).predict(X).tolist() == labels
