"""Labs of boosting: house prices by a line and by boosted trees, with SHAP; and all models so far side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from groundup.drawing import BLUE, DIVERGING, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.boosting import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    boosted_scores,
)
from groundup.stack.classical.forests import RandomForestClassifier, RandomForestRegressor
from groundup.stack.classical.linear_regression import LinearRegression, Ridge
from groundup.stack.classical.logistic_regression import LogisticRegression
from groundup.stack.classical.trees import DecisionTreeClassifier, DecisionTreeRegressor

SHOWN = 10
"""Columns in the figures, the most important first."""


@dataclass(frozen=True)
class HousesConfig:
    """Settings of the house-price lab.

    Attributes:
        seed: seed of the splits and of the forests.
        splits: splits of the houses that are averaged; figures show the last.
        trees: trees of the boosted model.
        learning_rate: share of each tree that is added.
        max_depth: questions of a boosted tree at most.
        test_share: share of the houses that test.
        shuffle_targets: permute the training prices, which leaves nothing to learn.
    """

    seed: int = 0
    splits: int = 3
    trees: int = 150
    learning_rate: float = 0.1
    max_depth: int = 4
    test_share: float = 0.25
    shuffle_targets: bool = False


class _Split(NamedTuple):
    """Rows that test and train, the training targets, and the columns in two encodings."""

    testing: np.ndarray
    training: np.ndarray
    target: np.ndarray
    numbers: np.ndarray
    dummies: np.ndarray


@lab(
    title="House prices: a line against boosted trees",
    question="How much better than a line do boosted trees know prices of houses, and which columns carry the answer?",
    data=["ames_housing"],
    presets={
        "smoke": {},
        "laptop": {"splits": 10, "trees": 500, "learning_rate": 0.05},
        "full": {"splits": 20, "trees": 2_000, "learning_rate": 0.02},
    },
    expectations=[
        expect("error", beats_baseline_by=0.01, lower_is_better=True, why="Trees in a row must err less than one."),
        expect(
            "gain_on_line", at_least=-0.02, why="Where prices follow a line, steps come close; where not, they win."
        ),
        expect("explained", beats_baseline_by=0.6, why="Most of the spread of prices is in the columns."),
        expect("shap_gap", at_most=1e-9, why="The mean and the SHAP values add up to the prediction."),
    ],
    sabotage=[{"trees": 5}, {"shuffle_targets": True}],
)
def houses(config: HousesConfig, record: Recorder) -> None:
    """Fit the logarithm of the price, and share out each prediction for unseen houses among the columns."""
    from groundup.data import load

    table, rng = load("ames_housing"), np.random.default_rng(config.seed)
    columns = {name: values for name, values in table.columns.items() if name != "SalePrice"}
    y = np.log(table["SalePrice"])
    splits = [_split(columns, y, config, rng) for _ in range(config.splits)]
    boosted = GradientBoostingRegressor(config.trees, learning_rate=config.learning_rate, max_depth=config.max_depth)
    models = {
        "a line (ridge)": Ridge(1.0),
        "a tree": DecisionTreeRegressor(min_samples_leaf=10),
        "a forest": RandomForestRegressor(30, max_features=1 / 3, n_jobs=2, random_state=config.seed),
        "boosted trees": boosted,
    }
    rows = []
    for split in record.progress(splits, label="splits"):
        truth = y[split.testing]
        rows.append(_judged("the mean", truth, np.full(len(truth), split.target.mean())))
        for name, model in models.items():
            X = split.dummies if "line" in name else split.numbers
            rows.append(_judged(name, truth, model.fit(X[split.training], split.target).predict(X[split.testing])))
    means = _means(rows)
    record.table("unseen houses", means)
    gap = _explain(boosted, splits[-1], np.array(list(columns)), y, record)
    line, tree, boosted_error = (means[k]["rmse of ln(price)"] for k in (1, 2, -1))
    record.baseline("error", tree, "one tree")
    record.result("error", boosted_error)
    record.baseline("gain_on_line", 0.0, "a line: ridge on dummies")
    record.result("gain_on_line", line - boosted_error)
    record.baseline("explained", 0.0, "the mean of the training prices")
    record.result("explained", means[-1]["R²"])
    record.baseline("shap_gap", 0.0, "the prediction itself")
    record.result("shap_gap", gap)


def _explain(
    boosted: GradientBoostingRegressor, split: _Split, names: np.ndarray, y: np.ndarray, record: Recorder
) -> float:
    """Record which columns carry the answers; return how far mean and SHAP values miss the predictions."""
    import plotly.graph_objects as go

    unseen = split.numbers[split.testing]
    values, scores, gains = boosted.shap_values(unseen), boosted.predict(unseen), boosted.feature_importances_
    sizes = np.abs(values).mean(axis=0)
    top = np.argsort(-sizes)[:SHOWN]
    record.table("columns", [{"column": str(names[k]), "mean |SHAP|": sizes[k], "gain": gains[k]} for k in top])
    record.figure("SHAP summary", _summary(names[top], values[:, top], unseen[:, top]))
    bars = go.Figure()
    for name, shares, colour in (("mean |SHAP|", sizes / sizes.sum(), ORANGE), ("gain", gains, BLUE)):
        bars.add_bar(x=names[top], y=shares[top], name=name, marker_color=colour)
    bars.update_yaxes(title="share of all importance")
    bars.update_layout(legend=LEGEND_BELOW)
    record.figure("importance", bars)
    dear = int(np.argmax(scores))
    lead = np.argsort(-np.abs(values[dear]))[:5]
    reasons = [{"column": str(names[k]), "factor": float(np.exp(values[dear, k]))} for k in lead]
    record.table("the dearest house: each column's factor on its price", reasons)
    counts = np.unique(np.geomspace(1, len(boosted.trees_), 12).astype(int))
    curve = go.Figure()
    for name, rows, truth, colour in (
        ("training", split.training, split.target, BLUE),
        ("unseen", split.testing, y[split.testing], ORANGE),
    ):
        X = split.numbers[rows]
        errors = [_rmse(truth, boosted_scores(boosted.start_, boosted.trees_[:n], X)) for n in counts]
        curve.add_scatter(x=counts, y=errors, name=name, line_color=colour)
    curve.update_xaxes(title="trees", type="log")
    curve.update_yaxes(title="root mean squared error of ln(price)")
    curve.update_layout(legend=LEGEND_BELOW)
    record.figure("error by trees", curve)
    return float(np.abs(boosted.expected_value_ + values.sum(axis=1) - scores).max())


def _split(columns: dict[str, np.ndarray], y: np.ndarray, config: HousesConfig, rng: np.random.Generator) -> _Split:
    """Draw the houses that test, and encode the columns by those that train."""
    order, cut = rng.permutation(len(y)), round(config.test_share * len(y))
    testing, training = order[:cut], order[cut:]
    target = rng.permutation(y[training]) if config.shuffle_targets else y[training]
    numbers = np.column_stack([_by_mean(values, training, target) for values in columns.values()])
    return _Split(testing, training, target, numbers, _dummies(columns, training))


def _by_mean(values: np.ndarray, training: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Numbers as they are; for a text the mean target of its training rows, missing where there are none."""
    if values.dtype.kind not in "US":
        return values.astype(float)
    kinds, kind = np.unique(values, return_inverse=True)
    counts = np.bincount(kind[training], minlength=len(kinds)).astype(float)
    counts[counts == 0] = np.nan
    return (np.bincount(kind[training], target, minlength=len(kinds)) / counts)[kind]


def _dummies(columns: dict[str, np.ndarray], training: np.ndarray) -> np.ndarray:
    """Standardised numbers, medians in their gaps, and a column of zeros and ones for each text but the first."""
    parts: list[np.ndarray] = []
    for values in columns.values():
        if values.dtype.kind in "US":
            parts.append((values[:, None] == np.unique(values[training])[1:]).astype(float))
        else:
            filled = np.where(np.isnan(values), np.nanmedian(values[training]), values)
            parts.append(((filled - filled[training].mean()) / (filled[training].std() or 1.0))[:, None])
    return np.hstack(parts)


def _rmse(truth: np.ndarray, predictions: np.ndarray) -> float:
    return float(np.sqrt(np.mean((truth - predictions) ** 2)))


def _judged(model: str, truth: np.ndarray, predictions: np.ndarray) -> dict[str, Any]:
    error = _rmse(truth, predictions)
    off = float(np.median(np.abs(np.expm1(predictions - truth)))) * 100
    return {"model": model, "rmse of ln(price)": error, "R²": 1 - error**2 / float(truth.var()), "median error, %": off}


def _means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each model the mean over the splits."""
    models = dict.fromkeys(row["model"] for row in rows)
    of = {model: [row for row in rows if row["model"] == model] for model in models}
    return [
        {key: model if key == "model" else float(np.mean([row[key] for row in of[model]])) for key in rows[0]}
        for model in of
    ]


def _summary(names: np.ndarray, values: np.ndarray, X: np.ndarray) -> Any:
    """A dot for each house and column: to the right what raises the price, orange where the column's value is high."""
    import plotly.graph_objects as go

    plot, jitter = go.Figure(), np.random.default_rng(0).uniform(-0.3, 0.3, len(X))
    for k, name in enumerate(names):
        ranks = np.argsort(np.argsort(X[:, k])) / len(X)
        marker = {"color": ranks, "colorscale": DIVERGING, "size": 4}
        plot.add_scatter(x=values[:, k], y=len(names) - k + jitter, mode="markers", marker=marker, name=str(name))
    plot.update_yaxes(tickvals=list(range(len(names), 0, -1)), ticktext=list(names))
    plot.update_xaxes(title="SHAP value: added to ln(price)")
    plot.update_layout(showlegend=False)
    return plot


@dataclass(frozen=True)
class ModelsConfig:
    """Settings of the lab of all models.

    Attributes:
        seed: seed of the splits and of the forest.
        splits: splits of the passengers that are averaged.
        trees: trees of the forest and of the boosted models.
        shuffle_labels: permute the training labels, which leaves nothing to learn.
    """

    seed: int = 0
    splits: int = 4
    trees: int = 60
    shuffle_labels: bool = False


@lab(
    title="All models so far",
    question="Line, logistic regression, tree, forest, AdaBoost, gradient boosting: what does each gain on the last?",
    data=["titanic"],
    presets={"smoke": {}, "laptop": {"splits": 20}, "full": {"splits": 50, "trees": 300}},
    expectations=[
        expect("accuracy", beats_baseline_by=0.1, why="Boosted trees must know more than the majority."),
        expect("loss", beats_baseline_by=0.1, lower_is_better=True, why="And so must their probabilities."),
    ],
    sabotage=[{"shuffle_labels": True}],
)
def models(config: ModelsConfig, record: Recorder) -> None:
    """Fit each model to two thirds of the Titanic's passengers, and judge it on the others."""
    from groundup.data import load

    passengers = load("titanic")
    names, y = ["Pclass", "Age", "SibSp", "Parch", "Fare"], passengers["Survived"]
    X = np.column_stack([*(passengers[name] for name in names), passengers["Sex"] == "female"]).astype(float)
    rng, rows = np.random.default_rng(config.seed), []
    makers = {
        "linear regression": LinearRegression,
        "logistic regression": LogisticRegression,
        "a tree": lambda: DecisionTreeClassifier(min_samples_leaf=15),
        "a forest": lambda: RandomForestClassifier(config.trees, min_samples_leaf=3, random_state=config.seed),
        "AdaBoost": lambda: AdaBoostClassifier(config.trees),
        "gradient boosting": lambda: GradientBoostingClassifier(config.trees, max_depth=3, learning_rate=0.1),
    }
    for _ in record.progress(range(config.splits), label="splits"):
        order = rng.permutation(len(y))
        testing, training = order[: len(y) // 3], order[len(y) // 3 :]
        labels = rng.permutation(y[training]) if config.shuffle_labels else y[training]
        filled = np.where(np.isnan(X), np.nanmedian(X[training], axis=0), X)
        filled = (filled - filled[training].mean(axis=0)) / filled[training].std(axis=0)
        share = np.full(len(testing), labels.mean())
        rows.append(_scores("the majority", y[testing], share))
        for name, make in makers.items():
            table = filled if "regression" in name else X  # trees take gaps as they are
            model: Any = make().fit(table[training], labels)
            answers = model.predict if name == "linear regression" else model.predict_proba
            p = answers(table[testing]).reshape(len(testing), -1)[:, -1]
            rows.append(_scores(name, y[testing], p))
    means = _means(rows)
    record.table("unseen passengers", means)
    for result, measure in (("accuracy", "accuracy"), ("loss", "log loss")):
        record.baseline(result, means[0][measure], "the share of survivors, for everybody")
        record.result(result, means[-1][measure])


def _scores(model: str, truth: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    sure = np.clip(p, 0.01, 0.99)  # a leaf of one class claims certainty
    loss = -float(np.mean(np.where(truth == 1, np.log(sure), np.log1p(-sure))))
    return {"model": model, "accuracy": float(np.mean((p > 0.5) == truth)), "log loss": loss}
