"""`classical/logistic_regression` against statsmodels, which the checks do not import because it is slow to."""

import numpy as np
import pytest

from groundup.stack.classical.logistic_regression import LogisticRegression, SoftmaxRegression


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
