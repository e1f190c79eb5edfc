"""`classical/boosting`: scikit-learn's own checks, and XGBoost, scikit-learn and the package shap beside it."""

import warnings
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn import ensemble, tree
from sklearn.datasets import make_classification
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundup.stack.classical.boosting import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    shap_values,
)
from groundup.stack.classical.trees import DecisionTreeRegressor, Tree

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its plots set colours in a way that matplotlib will give up
    import shap


# Weights are fractions after a round, and of two splits that are equally good rounding says which is better.
ROUNDED = {"check_sample_weight_equivalence_on_dense_data": "Rounding decides between equal splits."}


@parametrize_with_checks(
    [AdaBoostClassifier(5), GradientBoostingClassifier(5), GradientBoostingRegressor(50)],
    expected_failed_checks=lambda estimator: ROUNDED if isinstance(estimator, AdaBoostClassifier) else {},
)
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


def houses(n: int = 400, missing: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Eight columns of few values, the seventh with a part for each tenth of it, and a target."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 40, (n, 8)).astype(float)
    y = X[:, 0] * (X[:, 1] > 20) + np.sin(X[:, 2]) * 9 + rng.normal(size=n)
    X[rng.random(X.shape) < missing] = np.nan
    return X, y


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_the_regressor_is_xgboosts(missing):
    X, y = houses(missing=missing)
    settings: dict[str, Any] = {"max_depth": 4, "learning_rate": 0.3, "reg_lambda": 2.0, "min_child_weight": 3.0}
    ours = GradientBoostingRegressor(10, **settings).fit(X, y)
    theirs = xgboost.XGBRegressor(
        n_estimators=10, tree_method="hist", base_score=float(y.mean()), n_jobs=1, **settings
    ).fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=2e-4)
    gains = theirs.get_booster().get_score(importance_type="total_gain")
    shares = np.array([gains.get(f"f{k}", 0.0) for k in range(8)])
    np.testing.assert_allclose(ours.feature_importances_, shares / shares.sum(), atol=1e-4)


def test_the_classifier_is_xgboosts():
    X, y = houses()
    labels, weights = (y > 10).astype(int), np.random.default_rng(0).integers(1, 4, len(y))
    ours = GradientBoostingClassifier(10, max_depth=3, gamma=0.5).fit(X, labels, sample_weight=weights)
    mean = float(np.average(labels, weights=weights))
    theirs = xgboost.XGBClassifier(  # its gains are not halved
        n_estimators=10, max_depth=3, gamma=1.0, learning_rate=0.1, tree_method="hist", base_score=mean, n_jobs=1
    ).fit(X, labels, sample_weight=weights)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=2e-5)


@pytest.mark.parametrize(("n_classes", "max_depth"), [(2, 1), (3, 1), (3, 2)])
def test_adaboost_is_scikit_learns(n_classes, max_depth):
    rng = np.random.default_rng(0)
    X = rng.permutation(4 * 300 * 5)[: 300 * 5].reshape(300, 5) / 4  # float32 holds them
    y = np.digitize(X[:, 0] + X[:, 1] + 200 * rng.normal(size=300), [1400, 1700][: n_classes - 1])
    stump = tree.DecisionTreeClassifier(max_depth=max_depth, random_state=0)
    theirs = ensemble.AdaBoostClassifier(stump, n_estimators=20, random_state=0).fit(X, y)
    ours = AdaBoostClassifier(20, max_depth=max_depth).fit(X, y)
    np.testing.assert_allclose(ours.votes_, theirs.estimator_weights_[: len(ours.votes_)], rtol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)


def shap_model(trees: list[Tree]) -> dict[str, Any]:
    """Trees as the package shap reads them."""
    return {
        "trees": [
            {
                "children_left": t.children_left,
                "children_right": t.children_right,
                "children_default": np.where(t.missing_left, t.children_left, t.children_right),
                "features": t.feature,
                "thresholds": np.nan_to_num(t.threshold, nan=0.0, posinf=1e300),
                "values": t.value,
                "node_sample_weight": t.weight,
            }
            for t in trees
        ]
    }


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_shap_values_are_those_of_shap(missing):
    X, y = houses(missing=missing)
    regressor, classifier = GradientBoostingRegressor(20).fit(X, y), GradientBoostingClassifier(20).fit(X, y > 10)
    for model, scores in ((regressor, regressor.predict(X)), (classifier, classifier.decision_function(X))):
        explainer = shap.TreeExplainer(shap_model(model.trees_), feature_perturbation="tree_path_dependent")
        ours = model.shap_values(X)
        np.testing.assert_allclose(ours, explainer.shap_values(X), atol=1e-9)
        np.testing.assert_allclose(model.expected_value_ + ours.sum(axis=1), scores, rtol=0, atol=1e-9)


def test_shap_values_of_a_deep_tree_are_those_of_shap():
    X, y = houses(missing=0.1)
    deep = DecisionTreeRegressor().fit(X, y)
    explainer = shap.TreeExplainer(shap_model([deep.tree_]), feature_perturbation="tree_path_dependent")
    np.testing.assert_allclose(shap_values([deep.tree_], X), explainer.shap_values(X), atol=1e-9)


def test_a_booster_is_as_good_as_the_peers_on_unseen_rows():
    X, y = make_classification(6_000, 20, n_informative=8, flip_y=0.1, random_state=0)
    train, test = slice(0, 3000), slice(3000, None)
    ours = GradientBoostingClassifier(60).fit(X[train], y[train])
    peers: tuple[Any, ...] = (
        xgboost.XGBClassifier(n_estimators=60, learning_rate=0.1, max_depth=6, tree_method="hist", n_jobs=1),
        ensemble.HistGradientBoostingClassifier(max_iter=60, max_depth=6),  # below 10,000 rows it does not stop early,
    )
    losses = [log_loss(y[test], peer.fit(X[train], y[train]).predict_proba(X[test])) for peer in peers]
    assert log_loss(y[test], ours.predict_proba(X[test])) < 1.03 * min(losses)


def test_pipelines_and_searches():
    X, y = houses(200)
    pipeline = make_pipeline(FunctionTransformer(), GradientBoostingRegressor(20))
    search = GridSearchCV(pipeline, {"gradientboostingregressor__max_depth": [1, 4]}, cv=3).fit(X, y)
    assert cross_val_score(search.best_estimator_, X, y, cv=3).mean() > 0.5
