"""Labs of features: what a log classifier should look at, and spam by its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.evaluation import average_precision, roc_auc, stratified_folds
from groundup.stack.classical.features import (
    Imputer,
    OneHotEncoder,
    Standardizer,
    TfidfVectorizer,
    hash_words,
    log_features,
    words,
)


@dataclass(frozen=True)
class LogConfig:
    """Settings of the log lab.

    Attributes:
        seed: seed of the folds.
        split: what is held out: whole templates, which training never saw, or lines at random.
        judged: the features that are judged; the table shows all of them.
        columns: columns that words are hashed to.
        folds: parts of the cross-validation.
        shuffle_labels: permute the training labels, which leaves nothing to learn.
    """

    seed: int = 0
    split: Literal["template", "random"] = "template"
    judged: Literal["engineered", "hashed", "TF-IDF", "all"] = "all"
    columns: int = 128
    folds: int = 3
    shuffle_labels: bool = False


@lab(
    title="What a log classifier should look at",
    question="Which features tell alerts from other lines: what a person would name, or the words?",
    data=["loghub_bgl"],
    presets={"smoke": {}, "laptop": {"columns": 1024, "folds": 5}, "full": {"columns": 4096, "folds": 15}},
    expectations=[expect("auc", beats_baseline_by=0.02, why="Features must rank alerts better than the level alone.")],
    sabotage=[{"shuffle_labels": True}],
)
def log_classifier(config: LogConfig, record: Recorder) -> None:
    """Rank a supercomputer's lines by logistic regression on four sets of features, held out by template.

    Everything that a transformer knows it learns from the training folds. The table shows the random split beside:
    there, a line is recognised that was seen before.
    """
    from groundup.data import load

    log = load("loghub_bgl")
    labels = (log["label"] != "-").astype(int)
    rows = []
    for split in ("template", "random"):
        folds = _folds(split, labels, log["event"], config)
        for name in ("level", "engineered", "hashed", "TF-IDF", "all") if split == config.split else (config.judged,):
            scores = np.zeros(len(labels))
            for fold in range(config.folds):
                train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
                X = _columns(name, log["content"], log["level"], train, config.columns)
                rng = np.random.default_rng(config.seed)
                target = rng.permutation(labels[train]) if config.shuffle_labels else labels[train]
                scores[test] = _fitted(X[train], target).decision_function(X[test])
            auc, ap = roc_auc(labels, scores), average_precision(labels, scores)
            rows.append({"split": split, "features": name, "AUC": auc, "average precision": ap})
    record.table("held-out lines", rows)
    by_name = {row["features"]: row for row in rows if row["split"] == config.split}
    record.baseline("auc", 0.5 if config.shuffle_labels else by_name["level"]["AUC"], "the level alone")
    record.result("auc", by_name[config.judged]["AUC"])
    record.result("average_precision", by_name[config.judged]["average precision"])


def _folds(split: str, labels: np.ndarray, templates: np.ndarray, config: LogConfig) -> np.ndarray:
    rng = np.random.default_rng(config.seed)
    if split == "random":
        return stratified_folds(labels, config.folds, rng)
    _, template = np.unique(templates, return_inverse=True)
    alerting = np.bincount(template, weights=labels) > 0
    return stratified_folds(alerting, min(config.folds, int(alerting.sum())), rng)[template]


def _columns(name: str, content: np.ndarray, level: np.ndarray, train: np.ndarray, columns: int) -> np.ndarray:
    """The features of all lines, of shape (n_lines, n_features), by transformers fitted to the training lines."""
    if name == "level":
        return OneHotEncoder().fit(level[train, None]).transform(level[:, None])
    if name == "engineered":
        described = [log_features(f"{a} {b}") for a, b in zip(level, content, strict=True)]
        X = np.array([list(features.values()) for features in described])
        X = Imputer(indicate=True).fit(X[train]).transform(X)
        return Standardizer().fit(X[train]).transform(X)
    if name == "hashed":
        return np.array([hash_words(words(line), columns) for line in content])
    if name == "TF-IDF":
        texts = content.tolist()
        return TfidfVectorizer(least=2).fit([texts[row] for row in train]).transform(texts).toarray()
    parts = ("level", "engineered", "TF-IDF")
    return np.hstack([_columns(part, content, level, train, columns) for part in parts])


def _fitted(X: np.ndarray, y: np.ndarray) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000).fit(X, y)


@dataclass(frozen=True)
class SpamConfig:
    """Settings of the spam lab.

    Attributes:
        seed: seed of the split.
        messages: how many messages are used.
        weights: TF-IDF, or words hashed to columns.
        columns: columns that words are hashed to.
        shuffle_labels: permute the training labels, which leaves nothing to learn.
    """

    seed: int = 0
    messages: int = 2_000
    weights: Literal["TF-IDF", "hashed"] = "TF-IDF"
    columns: int = 1024
    shuffle_labels: bool = False


@lab(
    title="Spam by its words",
    question="How well do weighted words tell spam from ham?",
    data=["sms_spam"],
    presets={"smoke": {}, "laptop": {"messages": 5_574}, "full": {"messages": 5_574, "columns": 16_384}},
    expectations=[expect("average_precision", beats_baseline_by=0.6, why="Spam has words of its own.")],
    sabotage=[{"shuffle_labels": True}],
)
def spam(config: SpamConfig, record: Recorder) -> None:
    """Fit logistic regression to the words of half of the messages, and rank the other half."""
    from groundup.data import load

    data = load("sms_spam")
    rng = np.random.default_rng(config.seed)
    chosen = rng.permutation(len(data))[: config.messages]
    labels, texts = (data["label"][chosen] == "spam").astype(int), data["message"][chosen].tolist()
    half = len(texts) // 2
    if config.weights == "TF-IDF":
        X = TfidfVectorizer(least=2).fit(texts[:half]).transform(texts).toarray()
    else:
        X = np.array([hash_words(words(text), config.columns) for text in texts])
    target = rng.permutation(labels[:half]) if config.shuffle_labels else labels[:half]
    scores = _fitted(X[:half], target).decision_function(X[half:])
    record.baseline("average_precision", float(labels[half:].mean()), "any order: the share of spam")
    record.result("average_precision", average_precision(labels[half:], scores))
    record.result("auc", roc_auc(labels[half:], scores))
    record.result("columns", X.shape[1])
