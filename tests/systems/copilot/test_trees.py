"""Trees as data give what the libraries give that made them, and what SHAP says of them adds up."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from groundup.systems.copilot.classifying.trees import Forest, of_sklearn, of_xgboost

FEATURES = 6


def data(classes: int) -> tuple[Any, Any]:
    """Rows with many equal values and some that are not known."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, FEATURES)).astype(np.float32).round(1)
    y = (np.nan_to_num(x[:, 0]) + x[:, 1] + rng.normal(size=400) > 0).astype(int) + (classes == 3) * (x[:, 2] > 0.5)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, y


def made(kind: str, x: Any, y: Any, classes: int) -> tuple[Forest, Any]:
    """A forest, and the probabilities of the library."""
    if kind == "tree":
        tree = DecisionTreeClassifier(random_state=0).fit(x, y)
        return of_sklearn([tree]), tree.predict_proba(x)
    if kind == "forest":
        forest = RandomForestClassifier(20, random_state=0, n_jobs=1).fit(x, y)
        return of_sklearn(forest.estimators_), forest.predict_proba(x)
    goal = {"objective": "binary:logistic"} if classes == 2 else {"objective": "multi:softprob", "num_class": 3}
    booster = xgboost.train({**goal, "nthread": 1, "max_depth": 4}, xgboost.DMatrix(x, y, nthread=1), 20)
    given = booster.predict(xgboost.DMatrix(x, nthread=1))
    return of_xgboost(booster, classes), np.stack([1 - given, given], axis=1) if classes == 2 else given


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", ["tree", "forest", "xgboost"])
def test_a_forest_gives_the_probabilities_of_the_library_also_after_json(kind: str, classes: int) -> None:
    x, y = data(classes)
    forest, expected = made(kind, x, y, classes)
    read = Forest.read(json.loads(json.dumps(forest.document())), FEATURES)
    assert np.abs(read.probabilities(x) - expected).max() < 1e-6


@pytest.mark.parametrize("kind", ["tree", "forest", "xgboost"])
def test_shap_values_and_their_base_add_up_to_the_output(kind: str) -> None:
    x, y = data(2)
    forest, _ = made(kind, x, y, 2)
    values, base = forest.shap(x[:20])
    assert np.abs(values.sum(axis=1) + base - forest.outputs(x[:20])).max() < 1e-6


def broken(change: Any) -> dict[str, Any]:
    x, y = data(2)
    document = made("tree", x, y, 2)[0].document()
    change(document)
    return document


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["trees"][0]["left"].__setitem__(0, 0), "node 0 of tree 0 has no children that can be"),
        (lambda d: d["trees"][0]["right"].__setitem__(0, 10**6), "node 0 of tree 0 has no children that can be"),
        (lambda d: d["trees"][0]["feature"].__setitem__(0, FEATURES), "asks for a feature that there is not"),
        (lambda d: d["trees"][0]["cover"].pop(), "tree 0 is not whole"),
        (lambda d: d["trees"][0].pop("left"), "its trees cannot be read"),
        (lambda d: d.update(trees=[]), "it names no trees"),
        (lambda d: d.update(link="eval"), "no way to make probabilities"),
    ],
)
def test_trees_that_cannot_be_are_refused_before_they_are_walked(change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Forest.read(broken(change), FEATURES)
