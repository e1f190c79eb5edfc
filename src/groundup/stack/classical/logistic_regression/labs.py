"""Experiments with logistic regression."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from groundup.drawing import BLUE, LEGEND_ABOVE, ORANGE
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.logistic_regression import LogisticRegression

if TYPE_CHECKING:
    from groundup.data import Dataset

NUMERIC = ("Age", "Fare", "SibSp", "Parch")
CATEGORICAL = ("Sex", "Pclass", "Embarked")


@dataclass(frozen=True)
class TitanicConfig:
    """Settings of the Titanic lab.

    Attributes:
        seed: seed of the folds, of the learning curves' samples and of the tree.
        folds: parts of the stratified cross-validation; each is held out once.
        solver: how our model is fitted, gradient or newton.
        learning_rate: step size of gradient descent.
        l2: penalty on the weights, 1/C of scikit-learn.
        tree_depth: most questions in a row that the decision tree may ask.
        sizes: training sizes on the learning curves.
        repeats: samples drawn for each size.
        shuffle_labels: permute the labels of the training rows, which leaves nothing to learn.
    """

    seed: int = 0
    folds: int = 5
    solver: Literal["gradient", "newton"] = "gradient"
    learning_rate: float = 0.5
    l2: float = 1.0
    tree_depth: int = 6
    sizes: int = 6
    repeats: int = 3
    shuffle_labels: bool = False


@lab(
    title="Who survived the Titanic",
    question="What do a linear model and a tree know about a passenger's fate, and would more passengers help them?",
    data=["titanic"],
    presets={
        "smoke": {"folds": 5, "sizes": 6, "repeats": 3},
        "laptop": {"folds": 10, "sizes": 12, "repeats": 10},
        "full": {"folds": 10, "sizes": 20, "repeats": 50},
    },
    expectations=[
        expect("accuracy", beats_baseline_by=0.1, why="Sex and class alone say more than the majority does."),
        expect("roc_auc", at_least=0.77, why="A survivor must mostly be ranked above a victim."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}],
)
def titanic(config: TitanicConfig, record: Recorder) -> None:
    """Predict survival by logistic regression and by a decision tree, on passengers that neither has seen.

    Gaps are filled, categories made one-hot and columns standardised by what the training part shows, and by that
    alone: the held-out fold is only transformed. Each score is the mean over the held-out folds.
    """
    from groundup.data import load

    passengers = load("titanic")
    survived = passengers["Survived"]
    rng = np.random.default_rng(config.seed)
    by_fold: dict[str, list[dict[str, float]]] = {
        name: [] for name in ("logistic regression", "decision tree", "majority")
    }
    for held_out in record.progress(stratified_folds(survived, config.folds, rng), total=config.folds, label="folds"):
        train = np.setdiff1d(np.arange(len(survived)), held_out)
        labels = rng.permutation(survived[train]) if config.shuffle_labels else survived[train]
        preprocessor = Preprocessor().fit(passengers, train)
        X, X_held_out = preprocessor.transform(passengers, train), preprocessor.transform(passengers, held_out)
        chances = {
            "logistic regression": fit_ours(config, X, labels).predict_proba(X_held_out)[:, 1],
            "decision tree": tree(config).fit(X, labels).predict_proba(X_held_out)[:, 1],
            "majority": np.full(len(held_out), labels.mean()),
        }
        for name, p in chances.items():
            by_fold[name].append(scores(survived[held_out], p))
    rows = [
        {"model": name, **{score: float(np.mean([fold[score] for fold in folds])) for score in folds[0]}}
        for name, folds in by_fold.items()
    ]
    record.table("held-out scores", rows)
    record.baseline("accuracy", rows[-1]["accuracy"], "the majority class of the training part")
    record.baseline("roc_auc", rows[-1]["roc_auc"], "the same chance for everybody")
    record.result("accuracy", rows[0]["accuracy"])
    record.result("roc_auc", rows[0]["roc_auc"])
    record.result("tree_accuracy", rows[1]["accuracy"])
    record.result("tree_roc_auc", rows[1]["roc_auc"])
    _record_weights(config, passengers, record)
    _record_learning_curves(config, passengers, rng, record)


class Preprocessor:
    """Passengers as numbers: gaps filled, categories one-hot, every column standardised.

    Everything that it knows (medians, most common values, categories, means, deviations) it learned in `fit`.
    """

    def fit(self, passengers: Dataset, rows: np.ndarray) -> Preprocessor:
        """Learn from these rows only; returns itself."""
        self.medians_ = {name: np.nanmedian(passengers[name][rows]) for name in NUMERIC}
        self.categories_, self.most_common_ = {}, {}
        for name in CATEGORICAL:
            known = passengers[name][rows][~passengers.missing(name)[rows]]
            self.categories_[name], counts = np.unique(known, return_counts=True)
            self.most_common_[name] = self.categories_[name][counts.argmax()]
        columns = self._columns(passengers, rows)
        self.names_ = list(columns)
        X = np.column_stack(list(columns.values()))
        self.mean_, self.deviation_ = X.mean(axis=0), X.std(axis=0)
        self.deviation_[self.deviation_ == 0] = 1.0  # a column without variation stays as it is: zeros
        return self

    def transform(self, passengers: Dataset, rows: np.ndarray) -> np.ndarray:
        """Return the features of these rows, of shape (n_rows, n_features). A category not seen in fit is all zeros."""
        X = np.column_stack(list(self._columns(passengers, rows).values()))
        return (X - self.mean_) / self.deviation_

    def _columns(self, passengers: Dataset, rows: np.ndarray) -> dict[str, np.ndarray]:
        columns = {"age unknown": passengers.missing("Age")[rows].astype(float)}
        for name in NUMERIC:
            values = np.where(passengers.missing(name)[rows], self.medians_[name], passengers[name][rows])
            # Fares span three orders of magnitude, and few people have many relatives aboard.
            columns[name.lower()] = values if name == "Age" else np.log1p(values)
        for name in CATEGORICAL:
            values = np.where(passengers.missing(name)[rows], self.most_common_[name], passengers[name][rows])
            # One category fewer: the last is what the others are not, and with it the columns would sum to one.
            for category in self.categories_[name][:-1]:
                columns[f"{name.lower()} {category}"] = (values == category).astype(float)
        return columns


def fit_ours(config: TitanicConfig, X: np.ndarray, labels: np.ndarray) -> LogisticRegression:
    """Fit the model under test, with settings that suffice for standardised columns."""
    model = LogisticRegression(
        config.l2, solver=config.solver, learning_rate=config.learning_rate, max_iter=2_000, tol=1e-4
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # not converged: the curve and the scores show it
        return model.fit(X, labels)


def tree(config: TitanicConfig) -> Any:
    """The competitor."""
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=config.tree_depth, random_state=config.seed)


def stratified_folds(labels: np.ndarray, folds: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Deal the rows of each class out in turn, so that every fold has the same share of each."""
    dealt = np.concatenate([rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)])
    return [np.sort(dealt[fold::folds]) for fold in range(folds)]


def scores(labels: np.ndarray, chances: np.ndarray) -> dict[str, float]:
    """Accuracy and F1 at a threshold of 1/2, and the two scores that need no threshold."""
    from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

    predicted = chances > 0.5
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "f1": float(f1_score(labels, predicted, zero_division=0.0)),  # type: ignore[arg-type]
        "roc_auc": float(roc_auc_score(labels, chances)),
        "log_loss": float(log_loss(labels, chances)),
    }


def _record_weights(config: TitanicConfig, passengers: Dataset, record: Recorder) -> None:
    """The weights on all passengers: what one standard deviation more does to the log-odds. No score is taken here."""
    everybody = np.arange(len(passengers["Survived"]))
    preprocessor = Preprocessor().fit(passengers, everybody)
    model = fit_ours(config, preprocessor.transform(passengers, everybody), passengers["Survived"])
    for step, loss in enumerate(model.loss_curve_):
        record.metric("objective", float(loss), step=step)
    weights = dict(zip(preprocessor.names_, model.coef_[0], strict=True))
    by_size = sorted(weights.items(), key=lambda item: -abs(item[1]))
    record.table("weights, standardised columns", [{"column": n, "log_odds": round(float(w), 3)} for n, w in by_size])


def _record_learning_curves(
    config: TitanicConfig, passengers: Dataset, rng: np.random.Generator, record: Recorder
) -> None:
    """Accuracy on the rows learned from and on rows held out, by how many there were to learn from."""
    survived = passengers["Survived"]
    validation, *rest = stratified_folds(survived, 4, rng)
    pool = np.concatenate(rest)
    sizes = np.unique(np.geomspace(30, len(pool), config.sizes).astype(int))
    curves: dict[str, list[list[float]]] = {}
    for size in record.progress(sizes, total=len(sizes), label="learning curves"):
        points: dict[str, list[float]] = {}
        for _ in range(config.repeats):
            train = rng.choice(pool, size, replace=False)
            labels = rng.permutation(survived[train]) if config.shuffle_labels else survived[train]
            if len(np.unique(labels)) < 2:
                continue
            preprocessor = Preprocessor().fit(passengers, train)
            X, X_validation = preprocessor.transform(passengers, train), preprocessor.transform(passengers, validation)
            for name, model in (
                ("logistic regression", fit_ours(config, X, labels)),
                ("decision tree", tree(config).fit(X, labels)),
            ):
                points.setdefault(f"{name}, train", []).append(float((model.predict(X) == labels).mean()))
                right = model.predict(X_validation) == survived[validation]
                points.setdefault(f"{name}, validation", []).append(float(right.mean()))
        for name, values in points.items():
            curves.setdefault(name, []).append([float(size), float(np.mean(values))])
            record.metric(f"accuracy, {name}", float(np.mean(values)), step=float(size))
    record.figure("learning curves", _learning_curves_figure(curves))


def _learning_curves_figure(curves: dict[str, list[list[float]]]) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, points in curves.items():
        size, accuracy = zip(*points, strict=True)
        figure.add_scatter(
            x=size,
            y=accuracy,
            name=name,
            mode="lines+markers",
            line={
                "color": BLUE if name.startswith("logistic") else ORANGE,
                "dash": "dot" if name.endswith("train") else "solid",
            },
        )
    figure.update_xaxes(title="passengers to learn from", type="log")
    figure.update_yaxes(title="accuracy", tickformat=".0%")
    figure.update_layout(legend=LEGEND_ABOVE)
    return figure
