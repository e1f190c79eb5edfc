"""From a table to a chosen, judged and explained model, with each step's rows kept apart.

    result = build(table, schema, seed=0)
    result.model.predict(new_table)

The rows are split first. A model learns everything from its training rows, the fill of gaps and the list of categories
included, and anew in each fold of the cross-validation. The test rows are used once, at the end.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import LinAlgWarning

from groundup.errors import ConfigError
from groundup.stack.classical.boosting import GradientBoostingClassifier, GradientBoostingRegressor
from groundup.stack.classical.evaluation import (
    cheapest_threshold,
    confusion_matrix,
    precision_recall_f1,
    roc_auc,
    stratified_folds,
)
from groundup.stack.classical.features import Imputer, OneHotEncoder, Standardizer
from groundup.stack.classical.forests import (
    RandomForestClassifier,
    RandomForestRegressor,
    permutation_importances,
)
from groundup.stack.classical.framing import MajorityClassifier, split, time_split
from groundup.stack.classical.linear_regression import Ridge
from groundup.stack.classical.logistic_regression import LogisticRegression, SoftmaxRegression
from groundup.stack.classical.trees import DecisionTreeClassifier, DecisionTreeRegressor
from groundup.systems.tabular.table import TIME_PARTS, Schema, Table, numbers, time_parts

FOLDS = 5
TEST_SHARE = 0.2
DRAWS = 1000
RARE = 5  # a category of fewer training rows gets no column: its weight would be a guess
SHUFFLES = 5

Report = Callable[[str, int, int], None]


class MeanRegressor:
    """Answers with the mean of the training rows: the baseline of numbers."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> MeanRegressor:
        """Learn the mean of y."""
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return it for every row."""
        return np.full(len(X), self.mean_)


class Encoder:
    """Cells to numbers: gaps filled and marked, numbers standardised, categories in columns of their own.

    Attributes:
        names_: the names of the columns of numbers, in their order.
        imputer_: fills the numbers.
        standardizer_: puts them on one scale.
        encoder_: makes columns of categories; a gap is a category, too.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def fit(self, table: Table) -> Encoder:
        """Learn the parameters of `transform` from these rows."""
        kinds = {name: self.schema.columns[name].kind for name in self.schema.inputs}
        raw = self._numbers(table)
        names = [name for name, kind in kinds.items() if kind == "number"]
        names += [f"{name}, {part}" for name, kind in kinds.items() if kind == "time" for part in TIME_PARTS]
        self.imputer_, self.standardizer_, self.encoder_ = Imputer(indicate=True), Standardizer(), OneHotEncoder(RARE)
        self.names_ = list(names)
        if raw.shape[1]:
            self.standardizer_.fit(self.imputer_.fit(raw).transform(raw))
            self.names_ += [f"{names[column]} is missing" for column in self.imputer_.marked_]
        if texts := self._categories():
            self.encoder_.fit(_texts(table, texts))
            for name, values in zip(texts, self.encoder_.categories_, strict=True):
                self.names_ += [f"{name} is {value or 'missing'}" for value in values]
        return self

    def transform(self, table: Table) -> np.ndarray:
        """Return the columns of numbers, of shape (n_rows, len(names_)).

        Raises:
            ConfigError: a cell of a number column is no number, or of a time column no time; it names the line.
        """
        blocks = [np.empty((len(table.cells), 0))]
        raw = self._numbers(table)
        if raw.shape[1]:
            blocks.append(self.standardizer_.transform(self.imputer_.transform(raw)))
        if texts := self._categories():
            blocks.append(self.encoder_.transform(_texts(table, texts)))
        return np.hstack(blocks)

    def unknown(self, table: Table) -> dict[str, int]:
        """The number of rows with an unknown category, by column."""
        texts = self._categories()
        known = zip(texts, self.encoder_.categories_ if texts else [], strict=True)
        counts = {name: int(np.sum(~np.isin(table.column(name).astype(str), values))) for name, values in known}
        return {name: count for name, count in counts.items() if count}

    def _numbers(self, table: Table) -> np.ndarray:
        columns = [np.empty((len(table.cells), 0))]
        kinds = {name: self.schema.columns[name].kind for name in self.schema.inputs}
        columns += [numbers(table.column(n), n, table.lines)[:, None] for n, kind in kinds.items() if kind == "number"]
        columns += [time_parts(table.column(n), n, table.lines) for n, kind in kinds.items() if kind == "time"]
        return np.hstack(columns)

    def _categories(self) -> list[str]:
        return [name for name in self.schema.inputs if self.schema.columns[name].kind == "category"]


def _texts(table: Table, names: list[str]) -> np.ndarray:
    return np.column_stack([table.column(name) for name in names]).astype(str)


@dataclass
class Model:
    """An encoder and an estimator, fitted to the same rows.

    Attributes:
        schema: the schema of the table.
        encoder: cells to numbers.
        estimator: numbers to answers.
        name: the estimator's kind, for people.
        threshold: with two classes, the lowest probability at which the answer is the second class.
    """

    schema: Schema
    encoder: Encoder
    estimator: Any
    name: str
    threshold: float = 0.5

    def answers(self, table: Table) -> np.ndarray:
        """Return the prediction for each row: a class, or a number; of shape (n_rows,)."""
        X = self.encoder.transform(table)
        if self.schema.task == "number" or len(self.estimator.classes_) != 2:
            return self.estimator.predict(X)
        second = self.estimator.predict_proba(X)[:, 1] >= self.threshold
        return self.estimator.classes_[second.astype(int)]

    def probabilities(self, table: Table) -> np.ndarray | None:
        """Return the probability of each class, of shape (n_rows, n_classes); None for numbers."""
        if self.schema.task == "number":
            return None
        return self.estimator.predict_proba(self.encoder.transform(table))


class Measure(NamedTuple):
    """The measure of candidates: its name, its direction, an estimator's outputs, and their score."""

    name: str
    higher: bool
    outputs: Callable[[Any, np.ndarray], np.ndarray]
    score: Callable[[np.ndarray, np.ndarray], float]

    def of(self, estimator: Any, X: np.ndarray, y: np.ndarray) -> float:
        """The score of an estimator on rows X with the answers y."""
        return self.score(y, self.outputs(estimator, X))


@dataclass
class Candidate:
    """A kind of model in the cross-validation: its score in each fold, or the reason of its failure."""

    name: str
    scores: list[float] = field(default_factory=list)
    failed: str = ""

    @property
    def mean(self) -> float:
        """The mean over the folds."""
        return float(np.mean(self.scores))

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return float(np.std(self.scores, ddof=1) / np.sqrt(len(self.scores)))


@dataclass
class Result:
    """A model with its figures.

    Attributes:
        model: the model, fitted to the training rows.
        measure: the name of the score.
        higher_is_better: the direction of the score.
        candidates: the cross-validation, simplest first; the first candidate is the baseline.
        test: the chosen model's score on the test rows.
        interval: 95 % of the scores on test rows drawn anew, with replacement.
        baseline: the baseline's score on the same rows.
        gain: 95 % interval of the model's gain over the baseline, by the same draws.
        details: further scores on the test rows, by name.
        confusion: for classes: rows are true classes, columns predicted classes.
        importances: the fall of the score when a column is shuffled, mean and deviation; the largest first.
        n_train: rows that trained.
        n_test: rows that judged.
    """

    model: Model
    measure: str
    higher_is_better: bool
    candidates: list[Candidate]
    test: float
    interval: tuple[float, float]
    baseline: float
    gain: tuple[float, float]
    details: dict[str, float]
    confusion: list[list[int]]
    importances: dict[str, tuple[float, float]]
    n_train: int
    n_test: int

    @property
    def beats_baseline(self) -> bool:
        """Whether the whole interval of the gain is above 0."""
        return self.gain[0] > 0


def build(
    table: Table,
    schema: Schema,
    *,
    seed: int = 0,
    group: str | None = None,
    time: str | None = None,
    costs: tuple[float, float] | None = None,
    report: Report = lambda label, done, total: None,
) -> Result:
    """Choose a model by cross-validation, judge it once on held-out rows, and explain it.

    The simplest candidate within one standard error of the best is chosen (Breiman et al., 1984, section 3.4.3).

    Args:
        table: rows whose target is known.
        schema: their schema, from `describe`.
        seed: the seed of every draw.
        group: a column whose equal values stay on one side of every split, such as a host or a customer.
        time: a column by which the past trains and the future tests.
        costs: with two classes, the costs of a miss and of a false alarm; they set the threshold.
        report: receives a label, the number of finished steps, and the number of all steps.

    Raises:
        ConfigError: a class or a group too small for the splits, or costs where there are not two classes.
    """
    rng = np.random.default_rng(seed)
    y = _answers(table, schema)
    classes = np.unique(y) if schema.task == "classes" else np.empty(0)
    if costs and len(classes) != 2:
        raise ConfigError(f"Costs of misses and alarms need a target of 2 classes, got {len(classes) or 'numbers'}.")
    groups = _groups(table, group)
    train, test = _parts(table, groups, time, rng)
    if schema.task == "classes" and len(np.unique(y[train])) < len(classes):
        lost = sorted(set(classes) - set(y[train]))
        raise ConfigError(f"Class {lost[0]!r} is in no training row. Give more rows of it, or take it out.")
    measure, kinds = _measure(schema, classes), _candidates(schema, classes, seed)
    folds = _folds(y[train], groups[train], schema, _times(table, time)[train] if time else None, rng)
    candidates = [Candidate(name) for name, _ in kinds]
    held_out = np.full((len(kinds), len(train)), np.nan)  # each kind's outputs on rows that its fold has not seen
    total = len(kinds) * len(folds) + 1
    for place, (fit_rows, judged_rows) in enumerate(folds):
        encoder = Encoder(schema).fit(table.take(train[fit_rows]))
        X, judged = encoder.transform(table.take(train[fit_rows])), encoder.transform(table.take(train[judged_rows]))
        for number, (candidate, (name, make)) in enumerate(zip(candidates, kinds, strict=True)):
            report(f"{name}, fold {place + 1} of {len(folds)}", place * len(kinds) + number, total)
            try:
                estimator = _fitted(make(), X, y[train][fit_rows])
                outputs = measure.outputs(estimator, judged)
                candidate.scores.append(measure.score(y[train][judged_rows], outputs))
            except ValueError as error:
                candidate.failed = str(error)
            else:
                if costs:
                    held_out[number, judged_rows] = outputs
    chosen = _choose(candidates, measure)
    name, make = kinds[chosen]
    report("judging", total - 1, total)
    encoder = Encoder(schema).fit(table.take(train))
    X, judged = encoder.transform(table.take(train)), encoder.transform(table.take(test))
    model = Model(schema, encoder, _fitted(make(), X, y[train]), name)
    baseline = _fitted(kinds[0][1](), X, y[train])
    if costs:
        seen = ~np.isnan(held_out[chosen])
        labels = (y[train][seen] == classes[1]).astype(int)
        choice = cheapest_threshold(labels, held_out[chosen, seen], miss_cost=costs[0], alarm_cost=costs[1])
        model.threshold = float(min(choice.threshold, 1.0))
    return _judged(model, baseline, measure, candidates, table.take(test), judged, y[test], len(train), rng)


def _answers(table: Table, schema: Schema) -> np.ndarray:
    cells = table.column(schema.target)
    return numbers(cells, schema.target, table.lines) if schema.task == "number" else cells.astype(str)


def _groups(table: Table, group: str | None) -> np.ndarray:
    """A number for each row; rows of one number stay together: copies, or rows of one value of `group`."""
    keys = [tuple(row) for row in table.cells] if group is None else list(table.column(group))
    numbering: dict[Any, int] = {}
    return np.array([numbering.setdefault(key, len(numbering)) for key in keys])


def _parts(
    table: Table, groups: np.ndarray, time: str | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    try:
        if time is not None:
            return time_split(_times(table, time), TEST_SHARE)
        return split(len(groups), TEST_SHARE, rng, groups=groups)
    except ValueError as error:
        raise ConfigError(f"The rows cannot be parted for training and test: {error}") from error


def _times(table: Table, name: str) -> np.ndarray:
    cells = table.column(name)
    if (cells == "").any():
        line = table.lines[int(np.flatnonzero(cells == "")[0])]
        raise ConfigError(f"Column {name!r} must say the time of every row, and is empty on line {line}.")
    try:
        return np.array([cell.removesuffix("Z") for cell in cells], dtype="datetime64[s]")
    except ValueError:
        return numbers(cells, name, table.lines)


def _folds(
    y: np.ndarray, groups: np.ndarray, schema: Schema, times: np.ndarray | None, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows to fit to and rows to judge by."""
    if times is not None:  # the rows that judge a fold are later than its training rows
        blocks = np.array_split(np.argsort(times, kind="stable"), FOLDS + 1)
        return [(np.concatenate(blocks[: place + 1]), blocks[place + 1]) for place in range(FOLDS)]
    if len(np.unique(groups)) < FOLDS:
        raise ConfigError(f"The training rows must be of at least {FOLDS} groups, got {len(np.unique(groups))}.")
    if schema.task == "classes" and len(np.unique(groups)) == len(groups):
        counts = dict(zip(*np.unique(y, return_counts=True), strict=True))
        rarest = min(counts, key=lambda name: counts[name])
        if counts[rarest] < FOLDS:
            raise ConfigError(
                f"Class {str(rarest)!r} has {counts[rarest]} training rows, and {FOLDS} folds need one each. "
                "Give more rows of it, or take it out."
            )
        fold = stratified_folds(y, FOLDS, rng)
    else:
        fold, sizes = np.empty(len(y), dtype=int), np.zeros(FOLDS, dtype=int)
        for number in rng.permutation(np.unique(groups)):
            members = groups == number
            smallest = int(np.argmin(sizes))
            fold[members], sizes[smallest] = smallest, sizes[smallest] + members.sum()
    return [(np.flatnonzero(fold != place), np.flatnonzero(fold == place)) for place in range(FOLDS)]


def _measure(schema: Schema, classes: np.ndarray) -> Measure:
    def predict(estimator: Any, X: np.ndarray) -> np.ndarray:
        return estimator.predict(X)

    if schema.task == "number":
        return Measure("RMSE", False, predict, lambda y, outputs: float(np.sqrt(np.mean((outputs - y) ** 2))))
    if len(classes) == 2:
        return Measure(
            "ROC AUC",
            True,
            lambda estimator, X: estimator.predict_proba(X)[:, 1],
            lambda y, outputs: roc_auc((y == classes[1]).astype(int), outputs),
        )
    return Measure("accuracy", True, predict, lambda y, outputs: float(np.mean(outputs == y)))


def _candidates(schema: Schema, classes: np.ndarray, seed: int) -> list[tuple[str, Callable[[], Any]]]:
    """Kinds of models, simplest first; the first is the baseline."""
    if schema.task == "number":
        return [
            ("the mean", MeanRegressor),
            ("ridge regression", lambda: Ridge(alpha=10.0)),
            ("decision tree", lambda: DecisionTreeRegressor(max_depth=6, min_samples_leaf=5)),
            ("random forest", lambda: RandomForestRegressor(100, max_features=1 / 3, random_state=seed)),
            ("gradient boosting", lambda: GradientBoostingRegressor(n_estimators=200, learning_rate=0.1, max_depth=4)),
        ]
    kinds: list[tuple[str, Callable[[], Any]]] = [("the commonest class", MajorityClassifier)]
    kinds.append(
        ("logistic regression", LogisticRegression) if len(classes) == 2 else ("softmax regression", SoftmaxRegression)
    )
    kinds.append(("decision tree", lambda: DecisionTreeClassifier(max_depth=6, min_samples_leaf=5)))
    kinds.append(("random forest", lambda: RandomForestClassifier(100, random_state=seed)))
    if len(classes) == 2:
        boosting = {"n_estimators": 100, "learning_rate": 0.1, "max_depth": 3}
        kinds.append(("gradient boosting", lambda: GradientBoostingClassifier(**boosting)))
    return kinds


def _fitted(estimator: Any, X: np.ndarray, y: np.ndarray) -> Any:
    with warnings.catch_warnings():
        # Cross-validation judges a candidate even if it did not converge. Columns that depend on each other are no
        # fault here: the columns of one category always sum to 1.
        warnings.filterwarnings("ignore", message=".* did not converge in max_iter=", category=RuntimeWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        return estimator.fit(X, y)


def _choose(candidates: list[Candidate], measure: Measure) -> int:
    """The place of the simplest candidate within one standard error of the best."""
    sign = 1 if measure.higher else -1
    able = [place for place, candidate in enumerate(candidates) if not candidate.failed]
    best = max(able, key=lambda place: sign * candidates[place].mean)
    bar = sign * candidates[best].mean - candidates[best].error
    return next(place for place in able if sign * candidates[place].mean >= bar)


def _judged(
    model: Model,
    baseline: Any,
    measure: Measure,
    candidates: list[Candidate],
    test: Table,
    X: np.ndarray,
    y: np.ndarray,
    n_train: int,
    rng: np.random.Generator,
) -> Result:
    """Score the model on the test rows, with intervals and the importance of each column."""
    outputs, plain = measure.outputs(model.estimator, X), measure.outputs(baseline, X)
    sign = 1 if measure.higher else -1
    scores, gains = [], []
    while len(scores) < DRAWS:
        drawn = rng.integers(len(y), size=len(y))
        if measure.name == "ROC AUC" and len(np.unique(y[drawn])) < 2:
            continue  # no curve without both classes
        scores.append(measure.score(y[drawn], outputs[drawn]))
        gains.append(sign * (scores[-1] - measure.score(y[drawn], plain[drawn])))
    predicted = model.answers(test)
    details, confusion = _details(model, y, predicted)
    return Result(
        model,
        measure.name,
        measure.higher,
        candidates,
        measure.score(y, outputs),
        _interval(scores),
        measure.score(y, plain),
        _interval(gains),
        details,
        confusion,
        _importances(model, measure, test, y, rng),
        n_train,
        len(y),
    )


def _interval(values: list[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _details(model: Model, y: np.ndarray, predicted: np.ndarray) -> tuple[dict[str, float], list[list[int]]]:
    if model.schema.task == "number":
        spread = np.sum((y - y.mean()) ** 2)
        r2 = float(1 - np.sum((y - predicted) ** 2) / spread) if spread > 0 else float("nan")
        return {"R²": r2, "mean absolute error": float(np.mean(np.abs(y - predicted)))}, []
    classes = model.estimator.classes_
    details = {"accuracy": float(np.mean(y == predicted))}
    if len(classes) == 2:
        scores = precision_recall_f1(y, predicted, positive=classes[1], undefined=float("nan"))
        details |= {"precision": scores.precision, "recall": scores.recall, "F1": scores.f1}
    return details, confusion_matrix(y, predicted, list(classes)).tolist()


def _importances(
    model: Model, measure: Measure, test: Table, y: np.ndarray, rng: np.random.Generator
) -> dict[str, tuple[float, float]]:
    """Shuffle the cells of one column of the file at a time, so that all columns made from it change together."""
    names = model.schema.inputs
    sign = 1 if measure.higher else -1

    def score(cells: np.ndarray, labels: np.ndarray) -> float:
        shuffled = Table(names, cells, test.lines)
        return sign * measure.of(model.estimator, model.encoder.transform(shuffled), labels)

    cells = np.column_stack([test.column(name) for name in names])
    falls = permutation_importances(score, cells, y, rng, repeats=SHUFFLES)
    order = np.argsort(-falls.mean(axis=1), kind="stable")
    return {names[place]: (float(falls[place].mean()), float(falls[place].std(ddof=1))) for place in order}
