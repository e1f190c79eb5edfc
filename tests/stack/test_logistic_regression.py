"""`classical/logistic_regression`: what learners are given, statsmodels (too slow for checks), and the lab."""

import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as SklearnLogisticRegression

from groundup.checking import assert_close, assert_refuses
from groundup.data import Dataset, load
from groundup.labs.runner import labs_in, run_here
from groundup.stack.classical.logistic_regression import (
    LogisticRegression,
    SoftmaxRegression,
    add_intercept,
    hessian_in_blocks,
    hessian_products_in_blocks,
    labs,
    logistic_hessian,
    logistic_objective,
    newton_cg,
    objective_in_blocks,
    separating_direction,
    smallest_solution,
    softmax,
    softmax_hessian_product,
    softmax_objective,
)
from groundup.stack.classical.logistic_regression.checks import STEPS, two_classes
from groundup.stack.classical.logistic_regression.logistic_regression import BLOCK


@pytest.fixture
def several_blocks():
    """A table of two and a half blocks of rows, and labels of three classes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5 * BLOCK // 2 // 64, 63))
    return X, np.argmax(X[:, :3] + rng.gumbel(size=(len(X), 3)), axis=1)


def test_blocks_give_what_the_whole_table_gives(several_blocks):
    """Objectives, gradients, Hessians and products with them, with a penalty."""
    X, y = several_blocks
    design, rng = add_intercept(X), np.random.default_rng(1)
    theta, direction = rng.normal(size=(2, 64, 3))
    value, gradient = objective_in_blocks(softmax_objective, X, y, 50.0)(theta)
    whole, whole_gradient = softmax_objective(theta, design, y, 50.0)
    np.testing.assert_allclose(value, whole, rtol=1e-13)
    np.testing.assert_allclose(gradient, whole_gradient, rtol=1e-9, atol=1e-15)
    value, gradient = objective_in_blocks(logistic_objective, X, y == 1, 50.0)(theta[:, 0])
    whole, whole_gradient = logistic_objective(theta[:, 0], design, y == 1, 50.0)
    np.testing.assert_allclose(value, whole, rtol=1e-13)
    np.testing.assert_allclose(gradient, whole_gradient, rtol=1e-9, atol=1e-15)
    hessian = hessian_in_blocks(X, 50.0)(theta[:, 0])
    np.testing.assert_allclose(hessian, logistic_hessian(theta[:, 0], design, 50.0), rtol=1e-9, atol=1e-15)
    product = hessian_products_in_blocks(X, 50.0)(theta)(direction)
    expected = softmax_hessian_product(direction, softmax(design @ theta), design, 50.0)
    np.testing.assert_allclose(product, expected, rtol=1e-9, atol=1e-15)


def test_the_softmax_hessian_is_the_slope_of_the_gradient():
    rng = np.random.default_rng(0)
    design, y = add_intercept(rng.normal(size=(17, 2))), rng.integers(3, size=17)
    theta, direction = rng.normal(size=(2, 3, 3))
    for l2 in (0.0, 3.0):
        ahead, behind = (softmax_objective(theta + h * direction, design, y, l2)[1] for h in (1e-6, -1e-6))
        product = softmax_hessian_product(direction, softmax(design @ theta), design, l2)
        np.testing.assert_allclose(product, (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-9)


def test_fitting_copies_no_table(several_blocks):
    """Newton's method needs a few blocks at a time, not a second table of the size of the first."""
    X, y = np.tile(several_blocks[0], (6, 1)), np.tile(several_blocks[1], 6)
    for model in (LogisticRegression(1.0, tol=1e-3), SoftmaxRegression(1.0, tol=1e-3)):
        labels = y == 1 if isinstance(model, LogisticRegression) else y
        tracemalloc.start()
        try:
            model.fit(X, labels)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < X.nbytes / 2, f"{type(model).__name__} needs {peak:,} bytes for a table of {X.nbytes:,}"


def test_sentence_vectors_are_fitted_in_some_steps():
    """100 rows of 384 columns, length 1, four classes: scikit-learn's weights, after fewer than 20 steps."""
    rng = np.random.default_rng(0)
    y = rng.integers(4, size=100)
    X = 0.3 * rng.normal(size=(4, 384))[y] + rng.normal(size=(100, 384))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    for labels, model in ((y, SoftmaxRegression(0.01)), (y > 1, LogisticRegression(0.01))):
        model.fit(X, labels)
        reference = SklearnLogisticRegression(C=100, tol=1e-10, max_iter=10_000).fit(X, labels)
        np.testing.assert_allclose(model.coef_, reference.coef_, atol=1e-4)
        assert model.n_iter_ < 20


def test_columns_of_any_scale_are_fitted():
    """Wine as it was measured, proline in hundreds beside hues of one, down to the tolerance."""
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = datasets.load_wine(return_X_y=True)
    model = SoftmaxRegression(1e-3).fit(X, y)
    theta = np.vstack([model.coef_.T, model.intercept_])
    assert np.abs(softmax_objective(theta, add_intercept(X), y, 1e-3)[1]).max() <= 1e-8
    np.testing.assert_allclose(theta.sum(axis=1), 0, atol=1e-8)


def test_newton_cg_halves_a_step_that_overshoots():
    fit = newton_cg(
        lambda t: (float(np.logaddexp(t, -t).sum()), np.tanh(t)),
        lambda t: lambda v: v / np.cosh(t) ** 2,
        np.array([[2.0], [-6.0]]),
        max_iter=60,
        tol=1e-10,
    )
    assert fit.converged
    assert (np.diff(fit.losses) <= 1e-12).all()
    np.testing.assert_allclose(fit.parameters, np.zeros((2, 1)), atol=1e-9)


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e80])
def test_the_smallest_solution_is_that_of_least_squares(scale):
    """Regular, nearly singular, singular and zero; columns of very different scale are no dependence."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(9, 4))
    close = np.column_stack([A, A[:, 0] + 1e-9 * A[:, 1]])
    for columns in (A, close, np.column_stack([A, A[:, 0]]), np.column_stack([A, 0 * A[:, 0]])):
        matrix, vector = scale * columns.T @ columns, scale * columns.T @ rng.normal(size=len(A))
        expected = np.linalg.lstsq(matrix, vector, rcond=None)[0]
        np.testing.assert_allclose(smallest_solution(matrix, vector), expected, rtol=1e-6)
    units, target = np.array([1, 1e9, 1e-9, 1]), scale * A.T @ rng.normal(size=len(A))
    solution = smallest_solution(scale * (A * units).T @ (A * units), units * target)
    np.testing.assert_allclose(solution * units, np.linalg.solve(scale * A.T @ A, target), rtol=1e-6)


def test_softmax_regression_without_a_penalty_says_what_is_wrong():
    X, y = np.array([[-3.0], [-2.0], [0.0], [0.5], [2.0], [3.0]]), np.array([0, 0, 1, 1, 2, 2])
    with pytest.raises(ValueError, match="l2 must be above 0 here, got 0: planes separate the classes"):
        SoftmaxRegression(0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SoftmaxRegression(0).fit(X, [0, 1, 0, 1, 2, 0])


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


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_separating_direction_by_hand() -> None:
    """Classes that touch in a point, or differ in one column, are separated; rows amid the others are not."""
    rows = np.array([[-1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    still, fit = np.zeros((3, 1)), {"labels": np.array([0, 0, 1, 1])}
    direction = separating_direction(rows, **fit, parameters=still)
    assert direction is not None, "x = -1 and 0 against 0 and 1: no plane, but larger weights always fit better"
    rise = np.diff(add_intercept(rows) @ direction)[:, 0]
    assert_close(rise / rise[3], [-1, 0, 0, 1], "how the log-odds change along the direction", atol=1e-6)
    for scale in (1e-8, 1e8):
        found = separating_direction(scale * rows, **fit, parameters=still)
        assert found is not None, f"the same, times {scale:g}: units change nothing"
    assert separating_direction(rows[[0, 3, 1, 2]], **fit, parameters=still) is None, "-1 and 1 against 0 twice"
    crossed = np.array([[-1.0, 2.0], [1.0, 1.0], [1.0, 2.0], [-1.0, 1.0]])
    assert separating_direction(crossed, **fit, parameters=still) is None, "the corners of a square, crosswise"


def test_fit_refuses_features_it_cannot_square() -> None:
    """Text, complex numbers, holes and numbers whose squares overflow are refused by the name X."""
    values: list[Any] = ["a", 1j, None, np.nan, 1e200, -1e200]
    for wrong in values:
        assert_refuses(
            lambda wrong=wrong: LogisticRegression().fit([[wrong], [0]], [0, 1]), r"\bX\b", message=f"{wrong}"
        )


def test_softmax_regression_learns_more_columns_than_rows(rng: np.random.Generator) -> None:
    """By Newton's method a table of 20 rows and 200 columns is fitted in some steps, to scikit-learn's weights."""
    X, y = rng.normal(size=(20, 200)), np.arange(20) % 4
    model = SoftmaxRegression(1.0, max_iter=STEPS["newton"]).fit(X, y)
    reference = SklearnLogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(X, y)
    assert_close(model.coef_, reference.coef_, "coef_ of 20 rows and 200 columns", rtol=1e-4, atol=1e-6)


def test_softmax_regression_of_two_classes_is_logistic_regression(rng: np.random.Generator) -> None:
    """With two classes the probabilities are those of LogisticRegression at twice the penalty."""
    X, y = two_classes(rng)
    # The two weight vectors are ±w/2, so their squared norm is half of ‖w‖².
    both = SoftmaxRegression(2.0, max_iter=STEPS["newton"]).fit(X, y).predict_proba(X)
    one = LogisticRegression(1.0, max_iter=STEPS["newton"]).fit(X, y).predict_proba(X)
    assert_close(both, one, "probabilities of SoftmaxRegression(2.0) and LogisticRegression(1.0)", rtol=1e-5, atol=1e-6)


def test_newton_goes_on_until_the_gradient_is_small() -> None:
    """Separated classes with hardly any penalty take many steps: all of them are taken, down to tol."""
    X, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])
    model = LogisticRegression(1e-8, max_iter=STEPS["newton"], tol=1e-12).fit(X, y)
    parameters = np.append(model.coef_, model.intercept_)
    _, slope = logistic_objective(parameters, add_intercept(X), y, 1e-8)
    assert_close(slope, np.zeros(2), "the gradient where Newton stopped, with l2=1e-8 and tol=1e-12", atol=1e-12)
    assert model.n_iter_ > 10, f"weights that large are more than 10 steps away from zero, got {model.n_iter_}"
