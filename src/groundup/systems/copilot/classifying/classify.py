"""A classifier of log records, trained on labels that are real: trained, compared, saved, explained.

    trained = train(read_examples("BGL.log", tagged=True), metric="f1")
    trained.report.expected                    # what to expect on templates that were never seen
    trained.classifier.save("copilot.model.json")
    for prediction in Classifier.load("copilot.model.json").predict(records):
        print(prediction.label, prediction.probability, prediction.reasons)

Lines of one template are copies of each other: a random split puts copies on both sides, and measures memory. So every
choice here is made by splits that keep templates apart; the random split is reported beside it, to show what it hides.
No metric is ever computed on lines that a model was trained on.

A model is one JSON file (`trees`): reading it runs nothing that is in it.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import UsageError
from groundup.extras import need
from groundup.files import replace_file
from groundup.masking import Masker
from groundup.systems.copilot.classifying.features import CONCEPTS, FIXED, LEVELS, Table, Vocabulary, tabulate
from groundup.systems.copilot.classifying.labels import NORMAL, Example
from groundup.systems.copilot.classifying.trees import Forest, of_sklearn, of_xgboost
from groundup.systems.copilot.finding.templates import Miner
from groundup.systems.copilot.reading.logs import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

METRICS = ("f1", "precision", "recall")
FOLDS = 5
REASONS = 3  # that a prediction gives
FORMAT, VERSION = "groundup copilot classifier", 1
# The hour is a feature for people to explore. A model would learn from it when the incidents of its examples were.
USED = tuple(name for name in FIXED if name != "hour_of_day")
TOP = 15  # features that a report names


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1: of what is not normal where there are two labels, else the mean over the labels."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Candidate:
    """One kind of model: its scores on templates that it never saw, and on a random split that leaks."""

    name: str
    apart: Scores
    random: Scores


@dataclass(frozen=True)
class Report:
    """What a classifier was trained on, and how well that goes.

    Attributes:
        source: what the examples are from.
        data_sha256: the hash of all texts and labels.
        examples: how many there are.
        templates: how many templates they are of.
        labels: for each label, how many examples and how many templates have it.
        positive: the label that the scores are of; None where they are means over all labels.
        metric: what the model was chosen by.
        folds: in how many parts the templates were split.
        candidates: the models that were compared.
        chosen: the name of the best one.
        expected: scores of the whole procedure, choice included, each fold chosen without looking at it.
        baselines: what rules without a model give on the same splits: the usual label, the level, words of failure.
        top_features: the features that count most, with the mean of their absolute SHAP values.
    """

    source: str
    data_sha256: str
    examples: int
    templates: int
    labels: dict[str, tuple[int, int]]
    positive: str | None
    metric: str
    folds: int
    candidates: list[Candidate]
    chosen: str
    expected: Scores
    baselines: dict[str, Scores]
    top_features: list[tuple[str, float]]

    @property
    def worth_it(self) -> bool:
        """Whether more is to be expected of it, by the metric, than of a rule without any model."""
        rules = [getattr(baseline, self.metric) for baseline in self.baselines.values()]
        return getattr(self.expected, self.metric) > max(rules)


@dataclass(frozen=True)
class Prediction:
    """What a record is taken for.

    Attributes:
        label: the label.
        probability: how likely it is, as far as the model knows.
        reasons: what speaks for it, in words, the most telling first; each with its SHAP value.
        effects: the same as features with SHAP values.
    """

    label: str
    probability: float
    reasons: tuple[str, ...] = ()
    effects: tuple[tuple[str, float], ...] = ()


def kinds(predictions: Iterable[tuple[Record, Prediction]], usual: str) -> list[tuple[Record, Prediction, int]]:
    """The most likely record of each kind that is not as usual, and how many there are; the most likely first."""
    mask = Masker()
    groups: dict[tuple[str, ...], list[tuple[Record, Prediction]]] = {}
    for record, prediction in predictions:
        if prediction.label != usual:
            key = (prediction.label, record.service or "", mask(record.message))
            groups.setdefault(key, []).append((record, prediction))
    best = [(*max(group, key=lambda pair: pair[1].probability), len(group)) for group in groups.values()]
    return sorted(best, key=lambda kind: -kind[1].probability)


@dataclass(frozen=True)
class Trained:
    """A classifier, trained on all examples, and what was measured on the way."""

    classifier: Classifier
    report: Report


@dataclass(frozen=True)
class Classifier:
    """A trained classifier."""

    labels: tuple[str, ...]
    vocabulary: Vocabulary
    forest: Forest
    report: Report

    @property
    def usual(self) -> str:
        """The label of what nobody needs to look at: `normal`, or the one that most examples have."""
        counts = self.report.labels
        return NORMAL if NORMAL in self.labels else max(self.labels, key=lambda label: counts[label][0])

    def predict(self, records: Iterable[Record], *, reasons: int = REASONS) -> list[Prediction]:
        """A prediction for each record, with at most so many reasons."""
        import numpy as np

        table = tabulate(records)
        if not len(table):
            return []
        rows, back = np.unique(self.vocabulary.matrix(table), axis=0, return_inverse=True)
        probabilities = self.forest.probabilities(rows)
        best = probabilities.argmax(axis=1)
        effects: Any = self._effects(rows, best) if reasons else [()] * len(rows)
        made = []
        for row, (label, chances) in enumerate(zip(best, probabilities, strict=True)):
            for_it = _strongest(self.vocabulary.names, effects[row], reasons)
            texts = tuple(f"{_words(n, rows[row, i])} ({value:+.2f})" for i, n, value in for_it)
            named = tuple((n, round(value, 6)) for _, n, value in for_it)
            made.append(Prediction(self.labels[label], round(float(chances[label]), 6), texts, named))
        return [made[i] for i in back.reshape(-1)]

    def _effects(self, rows: NDArray[np.float32], labels: NDArray[np.intp]) -> NDArray[np.float64]:
        """For each row, how much each feature speaks for the label."""
        import numpy as np

        values, _ = self.forest.shap(rows)
        if self.forest.link == "logistic":  # one output, which speaks for the second label
            return values[:, :, 0] * np.where(labels == 1, 1.0, -1.0)[:, None]
        return values[np.arange(len(rows)), :, labels]

    # ── as a file ───────────────────────────────────────────────────────────────────────────────────────────────────
    def save(self, path: str | Path) -> None:
        """Write the model, with its report and a checksum of both."""
        document = {
            "format": FORMAT, "version": VERSION, "labels": list(self.labels), "words": list(self.vocabulary.words),
            "fixed": list(self.vocabulary.fixed), "report": asdict(self.report), "forest": self.forest.document(),
        }  # fmt: skip
        path = Path(path)
        try:
            replace_file(path, json.dumps({**document, "sha256": _checksum(document)}, ensure_ascii=True))
        except OSError as error:
            raise UsageError(
                f"model must be a file that can be written, and '{path}' cannot be: {error.strerror}. Name another one."
            ) from error

    @classmethod
    def load(cls, path: str | Path, *, data_sha256: str | None = None) -> Classifier:
        """Read a model; one of another make, a damaged one, or one trained on other data than asked for is refused."""
        path = Path(path)
        if not path.exists():
            raise UsageError(
                f"model must be a file that exists, and '{path}' does not. Make it with `groundup copilot train`, "
                "or name another one with --model."
            )
        try:
            document = json.loads(path.read_bytes())
            if not isinstance(document, dict) or document.get("format") != FORMAT:
                raise ValueError("it is no classifier of the copilot's")
            if document.get("version") != VERSION:
                raise ValueError(f"it is of version {document.get('version')}, and this groundup reads {VERSION}")
            if document.pop("sha256", None) != _checksum(document):
                raise ValueError("its checksum is another one: it was changed or damaged after it was saved")
            classifier = cls._read(document)
        except (OSError, ValueError, RecursionError) as error:
            reason = "it is no JSON" if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) else str(error)
            raise UsageError(
                f"model must be a file that `groundup copilot train` wrote, and '{path}' cannot be used: {reason}. "
                "Train it again."
            ) from error
        if data_sha256 is not None and data_sha256 != classifier.report.data_sha256:
            raise UsageError(
                f"model must be trained on the data with the hash {data_sha256[:12]}…, and '{path}' was trained on "
                f"{classifier.report.data_sha256[:12]}… ({classifier.report.source}). Train it again on this data."
            )
        return classifier

    @classmethod
    def _read(cls, document: dict[str, Any]) -> Classifier:
        try:
            vocabulary = Vocabulary(tuple(document["words"]), tuple(document["fixed"]))
            if unknown := set(vocabulary.fixed) - set(FIXED):
                raise ValueError(f"it asks for features that this groundup has not ({', '.join(sorted(unknown))})")
            labels = tuple(document["labels"])
            report = _report(document["report"])
            forest = Forest.read(document["forest"], len(vocabulary.names))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"something is missing in it ({error})") from error
        if len(forest.base) != (1 if forest.link == "logistic" else len(labels)) or len(labels) < 2:
            raise ValueError("its labels are not those of its trees")
        return cls(labels, vocabulary, forest, report)


def _checksum(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _report(document: dict[str, Any]) -> Report:
    def scores(of: dict[str, float]) -> Scores:
        return Scores(**of)

    return Report(
        **{
            **document,
            "labels": {name: tuple(counts) for name, counts in document["labels"].items()},
            "candidates": [
                Candidate(candidate["name"], scores(candidate["apart"]), scores(candidate["random"]))
                for candidate in document["candidates"]
            ],
            "expected": scores(document["expected"]),
            "baselines": {name: scores(baseline) for name, baseline in document["baselines"].items()},
            "top_features": [(name, value) for name, value in document["top_features"]],
        }
    )


# ── reasons in words ────────────────────────────────────────────────────────────────────────────────────────────────
def _strongest(names: Sequence[str], effects: Any, most: int) -> list[tuple[int, str, float]]:
    """The features that speak for the label."""
    if not len(effects):
        return []
    order = sorted(range(len(names)), key=lambda i: -effects[i])[:most]
    return [(i, names[i], float(effects[i])) for i in order if effects[i] > 0]


def _words(name: str, value: float) -> str:
    """What a feature with this value says."""
    kind, _, what = name.partition("_")
    if name.startswith("word:"):
        word = name.removeprefix("word:")
        if word.startswith("service:"):
            return f"{'is' if value else 'is not'} from {word.removeprefix('service:')}"
        return f'{"says" if value else "does not say"} "{word}"'
    if name.startswith("error_type="):
        return f"{'is' if value else 'is not'} an error of type {name.partition('=')[2]}"
    if kind == "contains" and what in CONCEPTS:
        return f"{'is' if value else 'is not'} about {what}"
    if value != value:
        return f"has no {name}"
    if name == "level":
        return f"is logged as {next(level for level, number in LEVELS.items() if number == value)}"
    if kind in ("is", "has", "says"):
        return name.replace("_", " ") if value else f"not: {name.replace('_', ' ')}"
    return f"{name} is {value:.4g}"


# ── training ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _tree(x: Any, y: Any, weight: Any, classes: int, seed: int) -> Forest:
    from sklearn.tree import DecisionTreeClassifier

    return of_sklearn([DecisionTreeClassifier(min_samples_leaf=2, random_state=seed).fit(x, y, weight)])


def _random_forest(x: Any, y: Any, weight: Any, classes: int, seed: int) -> Forest:
    from sklearn.ensemble import RandomForestClassifier

    return of_sklearn(RandomForestClassifier(100, random_state=seed, n_jobs=1).fit(x, y, weight).estimators_)


def _xgboost(x: Any, y: Any, weight: Any, classes: int, seed: int) -> Forest:
    import xgboost

    goal = {"objective": "binary:logistic"} if classes == 2 else {"objective": "multi:softprob", "num_class": classes}
    settings = {"max_depth": 4, "eta": 0.1, "subsample": 0.8, "colsample_bytree": 0.5, "seed": seed, "nthread": 1}
    data = xgboost.DMatrix(x, y, weight=weight, nthread=1)
    return of_xgboost(xgboost.train({**goal, **settings}, data, 100), classes)


Fit = Callable[[Any, Any, Any, int, int], Forest]
CANDIDATES: dict[str, Fit] = {"decision tree": _tree, "random forest": _random_forest, "XGBoost": _xgboost}
Report_ = Callable[[str, int, int], None]


@dataclass
class _Data:
    """Examples as arrays."""

    table: Table
    label: NDArray[np.intp]
    template: NDArray[np.intp]
    labels: tuple[str, ...]
    fixed: tuple[str, ...]
    seed: int

    def fit(self, fit: Fit, lines: NDArray[np.intp]) -> tuple[Vocabulary, Forest]:
        """Train on some lines: words, weights and model see nothing of the others."""
        import numpy as np

        part, label = self.table.rows(lines), self.label[lines]
        vocabulary = Vocabulary.learn(part, self.template[lines], fixed=self.fixed)
        # Lines with the same features and label are one row with a weight; each label weighs the same in all.
        both = np.hstack([vocabulary.matrix(part), label[:, None].astype(np.float32)])
        rows, counts = np.unique(both, axis=0, return_counts=True)
        y = rows[:, -1].astype(np.intp)
        totals = np.bincount(y, counts, minlength=len(self.labels))
        weight = counts * (len(lines) / np.count_nonzero(totals) / totals[y])
        return vocabulary, fit(rows[:, :-1], y, weight, len(self.labels), self.seed)

    def predict(self, model: tuple[Vocabulary, Forest], lines: NDArray[np.intp]) -> NDArray[np.intp]:
        """The labels that a model gives some lines."""
        import numpy as np

        vocabulary, forest = model
        rows, back = np.unique(vocabulary.matrix(self.table.rows(lines)), axis=0, return_inverse=True)
        return forest.probabilities(rows).argmax(axis=1)[back.reshape(-1)]

    def score(self, lines: NDArray[np.intp], given: NDArray[np.intp], positive: int | None) -> Scores:
        """The scores of the labels that were given to some lines."""
        from sklearn.metrics import precision_recall_fscore_support

        how: Any = {"average": "macro"} if positive is None else {"average": "binary", "pos_label": positive}
        measures = precision_recall_fscore_support(self.label[lines], given, **{**how, "zero_division": 0})
        return Scores(*(round(float(value), 6) for value in measures[:3]))


def splits(
    label: NDArray[np.intp], template: NDArray[np.intp] | None, folds: int, seed: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Lines to train on and to test on, by turns. No template is on both sides; without templates, a random split."""
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    empty = np.zeros((len(label), 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a label with fewer lines than folds, in a random split
        if template is None:
            yield from StratifiedKFold(folds, shuffle=True, random_state=seed).split(empty, label)
        else:
            yield from StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(empty, label, template)


def train(
    examples: Iterable[Example],
    *,
    metric: str = "f1",
    source: str = "examples",
    features: Sequence[str] = USED,
    seed: int = 0,
    report: Report_ | None = None,
) -> Trained:
    """Compare the models on templates that they never saw, and train the best one on all examples.

    Args:
        examples: records with labels; two labels or more, each on two templates or more.
        metric: what the best one is best in: `f1`, `precision` or `recall`.
        source: what the examples are from, for the report.
        features: the fixed features that may be used.
        seed: of the splits and models.
        report: called with what is being done, how many steps are done and how many there are.
    """
    if metric not in METRICS:
        raise UsageError(f"metric must be one of {', '.join(METRICS)}, got '{metric}'.")
    if unknown := [name for name in features if name not in FIXED]:
        raise UsageError(f"features must be names of fixed features, got '{unknown[0]}'. They are: {', '.join(FIXED)}.")
    need("Training", "xgboost")
    examples = list(examples)
    data = _data(examples, tuple(features), seed)
    counts = _counts(data)
    _check(counts, source)
    folds = min(FOLDS, *(templates for _, templates in counts.values()))
    positive = _positive(data, counts)
    steps = _Steps(report, len(CANDIDATES) * (2 * folds + folds * (folds - 1)) + 1)
    apart, random, expected = _compare(data, metric, positive, folds, steps)
    candidates = [Candidate(name, apart[name], random[name]) for name in CANDIDATES]
    chosen = _best(apart, metric)
    steps(f"Training {chosen} on all")
    model = data.fit(CANDIDATES[chosen], _all(data))
    made = Report(
        source, data_hash(examples), len(examples), len(set(data.template.tolist())), counts,
        None if positive is None else data.labels[positive], metric, folds, candidates, chosen, expected,
        _baselines(data, positive, folds), _top(data, model),
    )  # fmt: skip
    return Trained(Classifier(data.labels, *model, made), made)


def data_hash(examples: Iterable[Example]) -> str:
    """The hash of the texts and labels, in their order."""
    made = hashlib.sha256()
    for example in examples:
        made.update(json.dumps([example.record.text, example.record.joined, example.label]).encode())
    return made.hexdigest()


def _data(examples: list[Example], fixed: tuple[str, ...], seed: int) -> _Data:
    import numpy as np

    miner = Miner()
    mined = [miner.add(example.record.message) if example.template is None else -1 for example in examples]
    groups = [
        example.template if number < 0 else miner.template_of(number)
        for example, number in zip(examples, mined, strict=True)
    ]
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    labels = tuple(sorted({example.label for example in examples}, key=lambda label: (label != NORMAL, label)))
    place = {label: i for i, label in enumerate(labels)}
    return _Data(
        tabulate(example.record for example in examples),
        np.array([place[example.label] for example in examples], dtype=np.intp),
        np.array([number[group] for group in groups], dtype=np.intp), labels, fixed, seed,
    )  # fmt: skip


def _all(data: _Data) -> NDArray[np.intp]:
    import numpy as np

    return np.arange(len(data.label))


def _counts(data: _Data) -> dict[str, tuple[int, int]]:
    import numpy as np

    counts = {}
    for number, label in enumerate(data.labels):
        lines = data.label == number
        counts[label] = (int(lines.sum()), len(np.unique(data.template[lines])))
    return counts


def _check(counts: dict[str, tuple[int, int]], source: str) -> None:
    if len(counts) < 2:
        have = f"only '{next(iter(counts))}'" if counts else "none"
        raise UsageError(
            f"examples must have two labels or more, and {source} has {have}. "
            "Label some lines of another kind too: groundup copilot label FILE:LINE LABEL"
        )
    for label, (_, templates) in counts.items():
        if templates < 2:
            raise UsageError(
                f"examples of each label must come from two templates or more, and those of '{label}' in {source} "
                "come from one: nothing could be said about lines that the model has not seen. "
                "Label other lines with it too, or join it with another label (--binary)."
            )


def _positive(data: _Data, counts: dict[str, tuple[int, int]]) -> int | None:
    """The label whose scores count where there are two: the one that is not normal, or the rarer one."""
    if len(data.labels) != 2:
        return None
    if NORMAL in data.labels:
        return 1 - data.labels.index(NORMAL)
    return min((0, 1), key=lambda number: counts[data.labels[number]][0])


class _Steps:
    """What is told of the progress."""

    def __init__(self, report: Report_ | None, total: int) -> None:
        self.report, self.total, self.done = report, total, 0

    def __call__(self, what: str) -> None:
        if self.report is not None:
            self.report(what, self.done, self.total)
        self.done += 1


def _best(scores: dict[str, Scores], metric: str) -> str:
    """The best model; of equal ones the simplest, which stands first."""
    return max(scores, key=lambda name: getattr(scores[name], metric))


def _compare(
    data: _Data, metric: str, positive: int | None, folds: int, steps: _Steps
) -> tuple[dict[str, Scores], dict[str, Scores], Scores]:
    """Scores by model with templates apart, the same on random splits, and those of the choice."""
    import numpy as np

    lines = _all(data)
    chosen = np.zeros(len(lines), dtype=np.intp)
    given = {name: np.zeros(len(lines), dtype=np.intp) for name in CANDIDATES}
    for number, (seen, unseen) in enumerate(splits(data.label, data.template, folds, data.seed), 1):
        inner = _inner(data, seen, metric, positive, folds, steps)
        for name, fit in CANDIDATES.items():
            steps(f"Templates apart, fold {number}: {name}")
            given[name][unseen] = data.predict(data.fit(fit, seen), unseen)
        chosen[unseen] = given[inner][unseen]
    apart = {name: data.score(lines, prediction, positive) for name, prediction in given.items()}
    leaking = {name: np.zeros(len(lines), dtype=np.intp) for name in CANDIDATES}
    for number, (seen, unseen) in enumerate(splits(data.label, None, folds, data.seed), 1):
        for name, fit in CANDIDATES.items():
            steps(f"Random split, fold {number}: {name}")
            leaking[name][unseen] = data.predict(data.fit(fit, seen), unseen)
    random = {name: data.score(lines, prediction, positive) for name, prediction in leaking.items()}
    return apart, random, data.score(lines, chosen, positive)


def _inner(data: _Data, lines: NDArray[np.intp], metric: str, positive: int | None, folds: int, steps: _Steps) -> str:
    """The model that the lines to train on would choose; the simplest one where they are too few to split again."""
    import numpy as np

    label, template = data.label[lines], data.template[lines]
    parts = min(folds - 1, *(len(np.unique(template[label == index])) for index in range(len(data.labels))))
    if parts < 2:
        return next(iter(CANDIDATES))
    scores = {}
    folded = list(splits(label, template, parts, data.seed))
    for name, fit in CANDIDATES.items():
        given = np.zeros(len(lines), dtype=np.intp)
        for seen, unseen in folded:
            steps(f"Choosing: {name}")
            given[unseen] = data.predict(data.fit(fit, lines[seen]), lines[unseen])
        scores[name] = data.score(lines, given, positive)
    return _best(scores, metric)


def _baselines(data: _Data, positive: int | None, folds: int) -> dict[str, Scores]:
    """What needs no model: the label that goes with a level, or with words of failure, on the same splits."""
    import numpy as np

    rules = {
        "the most frequent label": np.zeros(len(data.label)),
        "the level alone": np.nan_to_num(data.table.column("level"), nan=-1),
        "words of a failure alone": data.table.column("says_failure"),
    }
    baselines = {}
    for name, values in rules.items():
        given = np.zeros(len(data.label), dtype=np.intp)
        for seen, unseen in splits(data.label, data.template, folds, data.seed):
            counts = np.bincount(data.label[seen], minlength=len(data.labels))
            usual = int(counts.argmax())
            given[unseen] = usual
            for value in np.unique(values[seen]) if name != "the most frequent label" else ():
                here = np.bincount(data.label[seen][values[seen] == value], minlength=len(data.labels))
                given[unseen[values[unseen] == value]] = (here / np.maximum(counts, 1)).argmax()
        baselines[name] = data.score(_all(data), given, positive)
    return baselines


def _top(data: _Data, model: tuple[Vocabulary, Forest]) -> list[tuple[str, float]]:
    """The features that count most, over at most 500 distinct rows of the examples."""
    import numpy as np

    vocabulary, forest = model
    rows = np.unique(vocabulary.matrix(data.table), axis=0)
    rows = rows[np.random.default_rng(data.seed).permutation(len(rows))[:500]]
    values = np.abs(forest.shap(rows)[0]).mean(axis=(0, 2))
    order = np.argsort(-values)[:TOP]
    return [(vocabulary.names[i], round(float(values[i]), 6)) for i in order if values[i] > 0]
