"""Lab of neighbours, naive Bayes and support vectors: three ideas of spam on the same words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundup.drawing import BLUE, GREEN, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.evaluation import average_precision, roc_curve
from groundup.stack.classical.features import TfidfVectorizer
from groundup.stack.classical.neighbors import SVC, KNeighborsClassifier, MultinomialNB

MODELS = ("neighbours", "naive_bayes", "svm")


@dataclass(frozen=True)
class SpamConfig:
    """Settings of the spam lab.

    Attributes:
        seed: seed of the split.
        messages: the largest number of training messages; a quarter and a sixteenth of them train as well.
        test: messages that judge.
        neighbours: how many neighbours vote, by 1 / distance.
        alpha: smoothing of naive Bayes.
        C: price of a message on the wrong side of its margin.
        shuffle_labels: permute the training labels, which leaves nothing to learn.
    """

    seed: int = 0
    messages: int = 800
    test: int = 1_000
    neighbours: int = 5
    alpha: float = 0.1
    C: float = 1.0
    shuffle_labels: bool = False


@lab(
    title="Three ideas of spam",
    question="Which idea of a class ranks spam best on the same words: neighbours, naive Bayes or the widest margin?",
    data=["sms_spam"],
    presets={"smoke": {}, "laptop": {"messages": 3_200, "test": 2_000}, "full": {"messages": 4_000, "test": 1_574}},
    expectations=[
        expect("neighbours", beats_baseline_by=0.5, why="Spam resembles other spam."),
        expect("naive_bayes", beats_baseline_by=0.5, why="Spam has words of its own."),
        expect("svm", beats_baseline_by=0.5, why="A border between weighted words must tell spam from ham."),
    ],
    sabotage=[{"shuffle_labels": True}],
)
def spam(config: SpamConfig, record: Recorder) -> None:
    """Fit three models to the TF-IDF weights of few and of many messages, and rank the same other messages by each."""
    import plotly.graph_objects as go

    from groundup.data import load

    data = load("sms_spam")
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(data))
    labels, texts = (data["label"] == "spam").astype(int), data["message"].tolist()
    test, pool = order[: config.test], order[config.test :]
    sizes = [config.messages // 16, config.messages // 4, config.messages]
    rows = []
    for size in record.progress(sizes, label="training messages"):
        train = pool[:size]
        target = rng.permutation(labels[train]) if config.shuffle_labels else labels[train]
        vectorizer = TfidfVectorizer(least=2).fit([texts[row] for row in train])
        X, new = (vectorizer.transform([texts[row] for row in part]).toarray() for part in (train, test))
        near = KNeighborsClassifier(config.neighbours, weights="distance", metric="cosine").fit(X, target)
        bayes = MultinomialNB(config.alpha).fit(X, target)
        machine = SVC(config.C, kernel="linear").fit(X, target)
        log_odds = np.subtract(*bayes.predict_log_proba(new).T[::-1])
        scores = (near.predict_proba(new)[:, 1], log_odds, machine.decision_function(new))
        for name, values in zip(MODELS, scores, strict=True):
            precision, caught = average_precision(labels[test], values), _caught(labels[test], values)
            rows.append({"messages": size, "model": name, "average precision": precision, "caught": caught})
        record.note(f"{size} messages, {X.shape[1]} words: {len(machine.support_)} support vectors")
    record.table("on other messages; caught: share of spam found where 1 % of ham is lost", rows)
    plot = go.Figure()
    for name, colour in zip(MODELS, (BLUE, GREEN, ORANGE), strict=True):
        values = [row["average precision"] for row in rows if row["model"] == name]
        plot.add_scatter(x=sizes, y=values, name=name, line_color=colour)
        record.baseline(name, float(labels[test].mean()), "any order: the share of spam")
        record.result(name, values[-1])
    plot.update_xaxes(title="training messages", type="log")
    plot.update_yaxes(title="average precision on other messages")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("average precision by training messages", plot)


def _caught(labels: np.ndarray, scores: np.ndarray) -> float:
    """The share of spam that is found at the lowest threshold that loses 1 % of ham or less."""
    curve = roc_curve(labels, scores)
    return float(curve.true_positive_rate[curve.false_positive_rate <= 0.01].max())
