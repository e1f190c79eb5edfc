"""`classical/logistic_regression`: against statsmodels (too slow to import for the checks), and its lab."""

import numpy as np
import pytest

from groundup.data import Dataset, load
from groundup.labs.runner import labs_in, run_here
from groundup.stack.classical.logistic_regression import LogisticRegression, SoftmaxRegression, labs


@pytest.mark.parametrize("seed", range(3))
def test_unpenalised_fit_is_that_of_statsmodels(seed):
    statsmodels = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(seed)
    X = rng.normal(loc=2.0, scale=[1.0, 5.0, 0.2], size=(400, 3))
    y = (X @ [1.0, -0.3, 2.0] - 4 + rng.logistic(size=400) > 0).astype(int)
    reference = statsmodels.Logit(y, statsmodels.add_constant(X)).fit(disp=False, tol=1e-12)
    model = LogisticRegression(l2=0.0).fit(X, y)
    np.testing.assert_allclose(np.append(model.intercept_, model.coef_), reference.params, rtol=1e-6)


def test_unpenalised_softmax_gives_the_probabilities_of_statsmodels():
    statsmodels = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = np.argmax(X @ rng.normal(size=(2, 3)) + rng.gumbel(size=(300, 3)), axis=1)
    reference = statsmodels.MNLogit(y, statsmodels.add_constant(X)).fit(disp=False, tol=1e-12)
    model = SoftmaxRegression(l2=0.0, tol=1e-9).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), reference.predict(), atol=1e-6)


TITANIC = labs_in(labs)["titanic"]


@pytest.fixture(autouse=True)
def no_download(monkeypatch):
    monkeypatch.setenv("GROUNDUP_OFFLINE", "1")  # the cache, the mirror, or the stand-in: the lab must hold on each


def test_the_titanic_lab_passes():
    summary = run_here(TITANIC)
    assert summary.passed, [outcome.message for outcome in summary.expectations]


@pytest.mark.parametrize("values", TITANIC.sabotage, ids=str)
def test_a_sabotaged_titanic_lab_fails(values):
    assert not run_here(TITANIC, values=values).passed


def test_preprocessing_learns_from_the_training_rows_only():
    """The held-out rows may hold anything: what is learned does not change."""
    real = load("titanic")
    train, held_out = np.arange(500), np.arange(500, len(real))
    changed = {name: column.copy() for name, column in real.columns.items()}
    changed["Age"][held_out], changed["Embarked"][held_out], changed["Fare"][held_out] = 999.0, "X", 1e6
    other = Dataset(real.provenance, changed)
    one, two = (labs.Preprocessor().fit(data, train).transform(data, train) for data in (real, other))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one.mean(axis=0), 0, atol=1e-12)
    assert np.isfinite(labs.Preprocessor().fit(other, train).transform(other, held_out)).all()


def test_folds_hold_every_row_once_and_keep_the_shares():
    labels = np.repeat([0, 1], [60, 40])
    folds = labs.stratified_folds(labels, 5, np.random.default_rng(0))
    assert sorted(np.concatenate(folds)) == list(range(100))
    assert [labels[fold].mean() for fold in folds] == [0.4] * 5
