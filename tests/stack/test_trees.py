"""`classical/trees`: scikit-learn's checks of estimators, large tables, frames, speed, and the lab on your own pods."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import tree as sklearn_tree
from sklearn.datasets import make_classification, make_regression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from groundup.labs.runner import labs_in, run_here
from groundup.stack.classical.trees import LEAF, DecisionTreeClassifier, DecisionTreeRegressor, labs


# With the default settings they are tried by tests/test_estimators.py.
@parametrize_with_checks([DecisionTreeClassifier(criterion="entropy", max_features="sqrt", ccp_alpha=0.01)])
def test_scikit_learns_checks_pass(estimator, check):
    check(estimator)


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_a_large_table_gives_scikit_learns_predictions(missing):
    data: Any = make_regression(
        6_000, 8, n_informative=4, noise=20.0, random_state=0
    )  # with coef=True it would be three tables
    X, y = data
    X = X.astype(np.float32).astype(float)  # what scikit-learn makes of it
    X[np.random.default_rng(0).random(X.shape) < missing] = np.nan
    ours = DecisionTreeRegressor(min_samples_leaf=25).fit(X[:4000], y[:4000])
    theirs = sklearn_tree.DecisionTreeRegressor(min_samples_leaf=25, random_state=0).fit(X[:4000], y[:4000])
    assert theirs.get_n_leaves() > 80
    np.testing.assert_allclose(ours.predict(X[4000:]), theirs.predict(X[4000:]))


def test_frames_pipelines_and_searches():
    X, y = make_classification(300, 5, flip_y=0.2, random_state=0)
    frame = pd.DataFrame(X, columns=list("abcde"))
    model = DecisionTreeClassifier(max_depth=3).fit(frame, np.where(y, "up", "down"))
    assert vars(model)["feature_names_in_"].tolist() == list("abcde")
    assert set(model.predict(frame)) <= {"up", "down"}
    pipeline = make_pipeline(FunctionTransformer(), DecisionTreeClassifier())
    search = GridSearchCV(pipeline, {"decisiontreeclassifier__ccp_alpha": [0.0, 0.01, 0.02]}, cv=3).fit(frame, y)
    assert search.best_params_["decisiontreeclassifier__ccp_alpha"] > 0, "a fifth of the labels is wrong: pruning pays"
    with pytest.raises(ValueError, match="convert string to float"):
        DecisionTreeClassifier().fit(pd.DataFrame({"level": ["INFO", "ERROR"]}), [0, 1])


def test_huge_and_tiny_values_are_only_an_order():
    X = np.array([[-1e300], [1e-320], [2e-320], [1e300]])
    tree = DecisionTreeClassifier().fit(X, [0, 1, 0, 1])
    assert tree.predict(X).tolist() == [0, 1, 0, 1]
    assert np.isfinite(tree.tree_.threshold[tree.tree_.feature != LEAF]).all()


def test_the_lab_takes_your_own_pods(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{cpu:.0f},{memory:.0f},,{'down' if cpu > 50 else 'up'}" for cpu, memory in rng.uniform(0, 100, (200, 2))]
    path = tmp_path / "pods.csv"
    path.write_text("cpu,memory,errors,state\n" + "\n".join(rows))
    summary = run_here(labs_in(labs)["pod_health"], preset="smoke", settings={"pods": str(path)})
    assert summary.passed, [outcome.message for outcome in summary.expectations]
