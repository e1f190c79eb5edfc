"""`classical/linear_regression`: certified and exact digits, statsmodels, scikit-learn's own checks, and memory."""

import os
import re
import tracemalloc
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import LinAlgWarning
from sklearn import linear_model
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from groundup.stack.classical.linear_regression import (
    Lasso,
    LinearRegression,
    Ridge,
    diagnostics,
    least_squares,
)

NIST = Path(os.environ.get("GROUNDUP_DATA_MIRROR", "")) / "nist_strd" / "linear"
FILES = sorted(NIST.glob("*.dat")) if os.environ.get("GROUNDUP_DATA_MIRROR") else []
# Filip's powers of x up to the tenth are rounded to float64 before anything is computed: half of the digits are lost.
WANTED = {"Filip": 6}


def right_digits(values, certified):
    """The log relative error: how many significant digits are right, 15 at most."""
    errors = np.abs(np.asarray(values) - certified) / np.abs(certified)
    return -np.log10(np.clip(errors, 1e-15, 1))


def read_nist(path):
    """Design without ones, y, certified estimates and deviations, and whether there is an intercept."""
    lines = path.read_text().splitlines()
    certified = [line.split() for line in lines if re.match(r"\s+B\d+\s+[-\d]", line)]
    first, last = map(int, re.findall(r"Data\s+\(lines (\d+) to (\d+)\)", "\n".join(lines[:12]))[0])
    rows = np.array([[float(value) for value in line.split()] for line in lines[first - 1 : last] if line.strip()])
    intercept = certified[0][0] == "B0"
    X, terms = rows[:, 1:], len(certified) - intercept
    if X.shape[1] < terms:  # a polynomial of one predictor
        X = X ** np.arange(1, terms + 1)
    estimates, deviations = (np.array([float(row[k]) for row in certified]) for k in (1, 2))
    return X, rows[:, 0], estimates, deviations, intercept


@pytest.mark.skipif(not FILES, reason="needs nist_strd/linear in the folder GROUNDUP_DATA_MIRROR")
def test_nist_has_certified_both_sets_that_are_asked_for():
    assert {"Norris", "Longley"} <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_coefficients_are_those_that_nist_certifies(path):
    X, y, estimates, deviations, intercept = read_nist(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        model = LinearRegression(fit_intercept=intercept).fit(X, y)
    digits = right_digits([model.intercept_, *model.coef_] if intercept else model.coef_, estimates)
    print(path.stem, " ".join(f"{value:.1f}" for value in digits))
    assert digits.min() >= WANTED.get(path.stem, 9)
    if intercept and (deviations > 0).all():
        assert right_digits(diagnostics(X, y).standard_errors, deviations).min() >= WANTED.get(path.stem, 9)


POWERS = np.vander(np.arange(21.0), 6, increasing=True)
HALF = [759, -2048, 2048, -2048, 2523, -2048, 2048, -2048, 1838, -2048]
ERRORS = np.array([*HALF, 2048, *HALF[::-1]])
WAMPLER = {
    1: (POWERS.sum(axis=1), np.ones(6)),
    2: (POWERS @ 0.1 ** np.arange(6), 0.1 ** np.arange(6)),
    3: (POWERS.sum(axis=1) + ERRORS, np.ones(6)),
    4: (POWERS.sum(axis=1) + 100 * ERRORS, np.ones(6)),
    5: (POWERS.sum(axis=1) + 10_000 * ERRORS, np.ones(6)),
}


def test_the_errors_of_wampler_are_orthogonal_to_the_powers():
    assert [sum(int(e) * x**k for x, e in enumerate(ERRORS)) for k in range(6)] == [0] * 6


@pytest.mark.parametrize("number", WAMPLER)
def test_wamplers_coefficients_keep_their_digits(number):
    y, expected = WAMPLER[number]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        model = LinearRegression().fit(POWERS[:, 1:], y)
    digits = right_digits([model.intercept_, *model.coef_], expected)
    peer = linear_model.LinearRegression().fit(POWERS[:, 1:], y)
    print(
        f"Wampler{number}",
        digits.round(1),
        "scikit-learn",
        right_digits([peer.intercept_, *peer.coef_], expected).round(1),
    )
    assert digits.min() >= 13


def exact_least_squares(X, y):
    """The normal equations of the float64 numbers given, solved without any rounding."""
    A, target = [[Fraction(value) for value in row] for row in X], [Fraction(value) for value in y]
    k = len(A[0])
    system: list[list[Any]] = [
        [sum(row[i] * row[j] for row in A) for j in range(k)]
        + [sum(row[i] * value for row, value in zip(A, target, strict=True))]
        for i in range(k)
    ]
    for i in range(k):
        for below in system[i + 1 :]:
            factor = below[i] / system[i][i]
            below[:] = [a - factor * b for a, b in zip(below, system[i], strict=True)]
    solution: list[Any] = [Fraction(0)] * k
    for i in reversed(range(k)):
        rest = sum(system[i][j] * solution[j] for j in range(i + 1, k))
        solution[i] = (system[i][k] - rest) / system[i][i]
    return np.array([float(value) for value in solution])


def test_a_polynomial_of_degree_ten_is_solved_to_the_last_digits():
    """As hard as Filip: 82 points between -9 and -3, and a condition number above a thousand million.

    Of 15.9 digits some 14 come out right; how many exactly depends on the order in which a processor sums.
    """
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-8.8, -3.1, 82))
    X, y = np.vander(x, 11, increasing=True), np.sin(x) + 0.003 * rng.normal(size=82)
    assert right_digits(least_squares(X, y), exact_least_squares(X, y)).min() >= 13
    with pytest.warns(LinAlgWarning, match="ill-conditioned"):
        model = LinearRegression().fit(X[:, 1:], y)
    assert right_digits([model.intercept_, *model.coef_], exact_least_squares(X, y)).min() >= 13


@pytest.mark.parametrize("closeness", [1e-3, 1e-6, 1e-9])
def test_columns_that_are_close_are_solved_to_the_last_digits(closeness):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(30, 4))
    X[:, 3] = X[:, 0] + closeness * X[:, 3]
    y = rng.normal(size=30)
    assert right_digits(least_squares(X, y), exact_least_squares(X, y)).min() >= 13


@pytest.mark.parametrize("seed", range(3))
def test_diagnostics_are_those_of_statsmodels(seed):
    sm = pytest.importorskip("statsmodels.api")
    influence = pytest.importorskip("statsmodels.stats.outliers_influence")
    rng = np.random.default_rng(seed)
    X = rng.normal(loc=[0, 50, -3, 0], scale=[1, 5, 0.2, 1], size=(40, 4))
    X[:, 3] += 2 * X[:, 0]
    y = X @ [1.0, -0.3, 2.0, 0.0] + rng.normal(size=40)
    reference = sm.OLS(y, sm.add_constant(X)).fit()
    expected = reference.get_influence()
    fit = diagnostics(X, y)
    for ours, theirs in (
        (fit.coefficients, reference.params),
        (fit.standard_errors, reference.bse),
        (fit.t_values, reference.tvalues),
        (fit.p_values, reference.pvalues),
        (fit.r_squared, reference.rsquared),
        (fit.residual_deviation**2, reference.mse_resid),
        (fit.leverage, expected.hat_matrix_diag),
        (fit.cooks_distance, expected.cooks_distance[0]),
        (
            fit.variance_inflation,
            [influence.variance_inflation_factor(sm.add_constant(X), j) for j in range(1, 5)],
        ),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-14)


@pytest.mark.parametrize("estimator", [LinearRegression(), Ridge(), Lasso(alpha=0.01)], ids=lambda e: type(e).__name__)
def test_scikit_learns_own_checks_pass(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = check_estimator(estimator, on_skip=None, on_fail=None)
    assert [result["check_name"] for result in results if result["status"] == "failed"] == []
    assert sum(result["status"] == "passed" for result in results) > 40


def table(rows=60):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["requests", "hour", "load"])
    return frame, 2 * frame["requests"] - frame["hour"] + rng.normal(scale=0.1, size=rows)


def test_names_of_a_frame_stand_in_warnings():
    X, y = table()
    X["load"] = X["requests"] * 3 + 1
    with pytest.warns(LinAlgWarning, match="columns 'requests', 'load' nearly depend"):
        LinearRegression().fit(X, y)
    X["load"] = 5.0
    with pytest.warns(LinAlgWarning, match="constant columns, which get the coefficient 0: 'load'"):
        model = LinearRegression().fit(X, y)
    assert vars(model)["feature_names_in_"].tolist() == ["requests", "hour", "load"]
    assert model.coef_[2] == 0


def test_a_well_conditioned_table_warns_of_nothing():
    X, y = table()
    X["hour"] = X["hour"] + 1e6  # a large mean is no dependence
    LinearRegression().fit(X, y)


def test_more_columns_than_rows_are_said():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 9)), rng.normal(size=5)
    with pytest.warns(LinAlgWarning, match="9 columns and only 5 rows"):
        model = LinearRegression().fit(X, y)
    np.testing.assert_allclose(model.predict(X), y, atol=1e-12)


def test_a_large_dependent_table_takes_the_careful_way():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30_000, 4))
    X[:, 3] = X[:, 0] + 1e-7 * X[:, 3]
    with pytest.warns(LinAlgWarning, match="columns 0, 3 nearly depend"):
        model = LinearRegression().fit(X, X @ [1.0, 2, 3, 4])
    np.testing.assert_allclose(model.coef_, [1, 2, 3, 4], rtol=1e-7)


def test_they_work_in_pipelines_and_searches():
    X, y = table()
    for estimator, grid in (
        (LinearRegression(), {"linearregression__fit_intercept": [True, False]}),
        (Ridge(), {"ridge__alpha": [0.1, 10.0]}),
        (Lasso(), {"lasso__alpha": [0.001, 0.5]}),
    ):
        pipeline = make_pipeline(StandardScaler(), estimator)
        assert cross_val_score(pipeline, X, y, cv=3).min() > (0.2 if isinstance(estimator, Lasso) else 0.9)
        assert GridSearchCV(pipeline, grid, cv=3).fit(X, y).best_score_ > 0.9


@pytest.mark.parametrize("make", [LinearRegression, Ridge, Lasso])
def test_what_is_no_number_is_refused(make):
    X, y = table()
    with pytest.raises(ValueError, match="must hold numbers: encode texts first"):
        make().fit(X, ["up"] * len(X))
    with pytest.raises(ValueError, match="must hold numbers: encode texts first"):
        make().fit(X.assign(load="high"), y)
    with pytest.raises(ValueError, match="requires y to be passed"):
        make().fit(X, None)
    with pytest.raises(ValueError, match=r"X must hold finite numbers whose squares are finite, got 1e\+200"):
        make().fit(X.assign(load=1e200), y)


def test_settings_are_refused_by_name():
    X, y = table()
    with pytest.raises(ValueError, match="alpha must be a finite number at least 0, got -1"):
        Ridge(alpha=-1).fit(X, y)
    with pytest.raises(ValueError, match="alpha must be a finite number above 0, got 0"):
        Lasso(alpha=0).fit(X, y)
    with pytest.raises(ValueError, match="raise alpha"):
        Ridge(alpha=0).fit(X.assign(load=X["hour"]), y)


def test_a_lasso_that_has_not_converged_says_so():
    X, y = table()
    X["load"] = X["requests"] + 0.01 * X["load"]
    with pytest.warns(ConvergenceWarning, match="max_iter=2 sweeps were too few for tol=1e-12"):
        model = Lasso(alpha=1e-4, max_iter=2, tol=1e-12).fit(X, y)
    assert model.n_iter_ == 2
    assert model.dual_gap_ > 0


@pytest.mark.parametrize("name", ["LinearRegression", "Ridge", "Lasso"])
def test_a_fit_copies_the_table_once(name):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20_000, 50)), rng.normal(size=20_000)
    model = {"LinearRegression": LinearRegression, "Ridge": Ridge, "Lasso": Lasso}[name]()
    tracemalloc.start()
    model.fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * X.nbytes
