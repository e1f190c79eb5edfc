"""Labs of evaluation: a threshold for alerts, by cost, and what selection outside the folds makes of noise."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.evaluation import (
    cheapest_threshold,
    cross_validate,
    precision_recall_f1,
    roc_auc,
    stratified_folds,
)
from groundup.stack.classical.logistic_regression import LogisticRegression

LEVELS = ("INFO", "WARNING", "ERROR", "SEVERE", "FATAL")


@dataclass(frozen=True)
class AlertingConfig:
    """Settings of the alerting lab.

    Attributes:
        seed: seed of the split.
        split: what is held out: whole templates, which the model never saw, or lines at random.
        miss_cost: what an alert that was not raised costs, in false alarms.
        threshold: chosen by cost on validation lines, or one half.
        buckets: columns that words are hashed to.
        repeats: splits drawn for each seed; the costs are their mean.
        shuffle_labels: permute the training labels, which leaves nothing to learn.
    """

    seed: int = 0
    split: Literal["template", "random"] = "template"
    miss_cost: float = 20.0
    threshold: Literal["cost", "half"] = "cost"
    buckets: int = 256
    repeats: int = 3
    shuffle_labels: bool = False


@lab(
    title="A threshold for alerts",
    question="Precision or recall for alerts on log lines: where does the threshold belong when a miss is dearer?",
    data=["loghub_bgl"],
    presets={"smoke": {}, "laptop": {"repeats": 10}, "full": {"buckets": 1024, "repeats": 30}},
    expectations=[
        expect("cost", beats_baseline_by=0.2, lower_is_better=True, why="Alerts must cost less than alarming always."),
        expect("saving", at_least=0.1, why="A miss costs 20, so a threshold of one half must be dearer."),
    ],
    sabotage=[{"threshold": "half"}, {"shuffle_labels": True}],
)
def alerting(config: AlertingConfig, record: Recorder) -> None:
    """Predict which lines of a supercomputer's log its operators tagged, and price the errors.

    Half of the templates train, a quarter chooses the threshold, a quarter judges. A line of a template that was in
    the training part would be recognised and not predicted.
    """
    from groundup.data import load

    log = load("loghub_bgl")
    labels = (log["label"] != "-").astype(int)
    X = _words_and_level(log["content"], log["level"], config.buckets)
    rng = np.random.default_rng(config.seed)
    rows = []
    for _ in record.progress(range(config.repeats), label="splits"):
        parts = _parts(config, labels, log["event"], rng)
        fitting, choosing, judging = parts < 2, parts == 2, parts == 3
        train_labels = rng.permutation(labels[fitting]) if config.shuffle_labels else labels[fitting]
        model = LogisticRegression(l2=1.0, solver="newton").fit(X[fitting], train_labels)
        chances, held_out = model.predict_proba(X)[:, 1], labels[judging]
        cheapest = cheapest_threshold(labels[choosing], chances[choosing], miss_cost=config.miss_cost, alarm_cost=1.0)
        chosen = cheapest.threshold if config.threshold == "cost" else 0.5
        rows.append(
            {
                "threshold": chosen,
                "cost": _cost(held_out, chances[judging] >= chosen, config.miss_cost),
                "cost at one half": _cost(held_out, chances[judging] >= 0.5, config.miss_cost),
                "cost of never": config.miss_cost * held_out.mean(),
                "cost of always": 1 - held_out.mean(),
                "AUC": roc_auc(held_out, chances[judging]),
                **precision_recall_f1(held_out, (chances[judging] >= chosen).astype(int), undefined=0.0)._asdict(),
            }
        )
    record.table("splits", rows)
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    record.baseline("cost", min(means["cost of never"], means["cost of always"]), "the cheaper of never and always")
    record.result("cost", means["cost"])
    record.baseline("saving", 0.0, "the threshold one half")
    record.result("saving", means["cost at one half"] - means["cost"])
    for name in ("precision", "recall", "f1", "AUC"):
        record.result(name.lower(), means[name])


def _words_and_level(content: np.ndarray, level: np.ndarray, buckets: int) -> np.ndarray:
    """One column a bucket of words and one a level, of shape (n_lines, buckets + n_levels)."""
    X = np.zeros((len(content), buckets + len(LEVELS)))
    for row, line in enumerate(content):
        X[row, [zlib.crc32(word.encode()) % buckets for word in re.findall(r"[a-z]{3,}", line.lower())]] = 1
    X[:, buckets:] = level[:, None] == np.array(LEVELS)
    return X


def _parts(config: AlertingConfig, labels: np.ndarray, templates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of four parts for each line, with alerts in every part."""
    if config.split == "random":
        return stratified_folds(labels, 4, rng)
    _, template = np.unique(templates, return_inverse=True)
    alerting = np.bincount(template, weights=labels) > 0
    return stratified_folds(alerting, 4, rng)[template]


def _cost(labels: np.ndarray, alarms: np.ndarray, miss_cost: float) -> float:
    return float(np.mean(np.where(labels == 1, ~alarms * miss_cost, alarms)))


@dataclass(frozen=True)
class NoiseConfig:
    """Settings of the noise lab.

    Attributes:
        seed: seed of the noise and of the folds.
        samples: rows of noise, half of them labelled 1.
        features: columns of noise.
        kept: columns that are selected, those that go best with the labels.
        select: on the training part of each fold, or once on all rows before the folds are made.
    """

    seed: int = 0
    samples: int = 120
    features: int = 1_000
    kept: int = 20
    select: Literal["within", "before"] = "within"


@lab(
    title="Selection outside the folds",
    question="How good does pure noise look when features are selected before it is cross-validated?",
    presets={"smoke": {}, "laptop": {"features": 5_000}, "full": {"samples": 200, "features": 50_000}},
    expectations=[
        expect("distance", at_most=0.2, why="Labels that are a coin's cannot be predicted: the AUC is near 0.5.")
    ],
    sabotage=[{"select": "before"}],
)
def noise(config: NoiseConfig, record: Recorder) -> None:
    """Cross-validate a model on labels that have nothing to do with the features, selecting features both ways."""
    rng = np.random.default_rng(config.seed)
    X, y = rng.normal(size=(config.samples, config.features)), np.arange(config.samples) % 2
    folds = stratified_folds(y, 5, rng)
    areas = {
        "within": cross_validate(_Selecting(config.kept), X, y, folds, _auc).mean(),
        "before": cross_validate(_Selecting(config.kept), X[:, _best(X, y, config.kept)], y, folds, _auc).mean(),
    }
    record.table("AUC on held-out folds", [{"selection": name, "AUC": float(area)} for name, area in areas.items()])
    record.baseline("distance", 0.0, "a coin, whose AUC is 0.5")
    record.result("distance", abs(float(areas[config.select]) - 0.5))


def _best(X: np.ndarray, y: np.ndarray, kept: int) -> np.ndarray:
    """The columns whose means differ most between the classes."""
    return np.argsort(np.abs(X[y == 1].mean(axis=0) - X[y == 0].mean(axis=0)))[-kept:]


def _auc(model: _Selecting, X: np.ndarray, y: np.ndarray) -> float:
    return roc_auc(y, model.model.decision_function(X[:, model.columns]))


class _Selecting:
    """Logistic regression on the columns that go best with the labels it is fitted to."""

    def __init__(self, kept: int) -> None:
        self.kept = kept

    def fit(self, X: np.ndarray, y: np.ndarray) -> _Selecting:
        self.columns = _best(X, y, self.kept)
        self.model = LogisticRegression(l2=1.0, solver="newton").fit(X[:, self.columns], y)
        return self
