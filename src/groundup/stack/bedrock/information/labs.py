"""Labs of information: which log feature tells most?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.drawing import BLUE, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab
from groundup.stack.bedrock.information import (
    conditional_information,
    count_pairs,
    entropy,
    excess_information,
    mutual_information,
)


@dataclass(frozen=True)
class FeatureConfig:
    """Settings of the feature lab.

    Attributes:
        seed: seed of the split.
        lines: lines from which the features are ranked; the others judge.
        splits: random splits over which is averaged.
        corrected: whether the information that chance gives is taken away.
        shuffle_labels: permute the labels of the ranked lines, which leaves nothing to tell.
    """

    seed: int = 0
    lines: int = 400
    splits: int = 5
    corrected: bool = True
    shuffle_labels: bool = False


@lab(
    title="Which log feature tells most?",
    question="Which feature of a log line tells most about an alert, and does the ranking hold on other lines?",
    data=["loghub_bgl"],
    presets={"smoke": {}, "laptop": {"splits": 50}, "full": {"splits": 300}},
    expectations=[
        expect("agreement", at_least=0.7, why="Features that tell more must save more on lines that ranked nothing."),
        expect("agreement", beats_baseline_by=0.1, why="Without the correction, identifiers rank first."),
        expect("saved", at_least=0.6, why="The best feature must answer much of the question on other lines."),
    ],
    sabotage=[{"corrected": False}, {"shuffle_labels": True}],
)
def log_feature(config: FeatureConfig, record: Recorder) -> None:
    """Rank nine features of a supercomputer's lines by information on some lines, and use each of them on the others.

    A feature is used by its frequencies: the share of alerts among ranked lines of the same value, drawn towards the
    share of all by one line more. The bits that this saves for each other line, as a share of the label's entropy, are
    the judge; a value that was never seen saves none. The agreement is Spearman's rank correlation.
    """
    import plotly.graph_objects as go

    from groundup.data import load

    log = load("loghub_bgl")
    label, features = (log["label"] != "-").astype(int), _features(log)
    told = {name: np.zeros((config.splits, 3)) for name in features}
    beyond = np.zeros((config.splits, len(features)))
    for split in record.progress(range(config.splits), label="splits"):
        rng = np.random.default_rng([config.seed, split])
        order = rng.permutation(len(label))
        ranked, others = order[: config.lines], order[config.lines :]
        y = rng.permutation(label[ranked]) if config.shuffle_labels else label[ranked]
        for k, (name, column) in enumerate(features.items()):
            table = count_pairs(column[ranked], y)
            plain = mutual_information(table)
            fair = excess_information(table) if config.corrected else plain
            told[name][split] = plain, fair, _saved(column, y, ranked, label, others)
            beyond[split, k] = conditional_information(column[ranked], y, features["level"][ranked])
    means = {name: rows.mean(axis=0) for name, rows in told.items()}
    rows = [
        {"feature": n, "bits told": m[0], "less chance": m[1], "beyond the level": b, "saved on other lines": m[2]}
        for (n, m), b in zip(means.items(), beyond.mean(axis=0), strict=True)
    ]
    record.table("features", sorted(rows, key=lambda row: -row["less chance"]))
    plot = go.Figure()
    for column, colour, name in ((0, ORANGE, "as counted"), (1, BLUE, "less chance")):
        x = [m[column] for m in means.values()]
        labels = {"text": list(means), "textposition": "top center", "mode": "markers+text" if column else "markers"}
        plot.add_scatter(
            x=x, y=[m[2] for m in means.values()], marker={"color": colour, "size": 10}, name=name, **labels
        )
    plot.update_layout(xaxis_title="information (bits)", yaxis_title="saved on other lines", legend=LEGEND_BELOW)
    record.figure("told and saved", plot)
    stacked = np.stack(list(told.values()))  # (features, splits, 3)
    agreements = np.mean([_rank_correlations(stacked[:, s]) for s in range(config.splits)], axis=0)
    best = stacked[:, :, 1].argmax(axis=0)
    record.baseline("agreement", agreements[0], "information as it is counted, chance included")
    record.result("agreement", agreements[1])
    record.baseline("saved", stacked[:, :, 2].mean(), "a feature picked blindly")
    record.result("saved", stacked[best, np.arange(config.splits), 2].mean())


def _features(log: Any) -> dict[str, np.ndarray]:
    content = log["content"]
    split = [line.split() or [""] for line in content]
    return {
        "line number": np.arange(len(content)),
        "whole line": content,
        "last word": np.array([words[-1] for words in split]),
        "first word": np.array([words[0] for words in split]),
        "template": log["event"],
        "characters": np.array([len(line) for line in content]),
        "words": np.array([len(words) for words in split]),
        "level": log["level"],
        "component": log["component"],
    }


def _saved(column: np.ndarray, y: np.ndarray, ranked: np.ndarray, label: np.ndarray, others: np.ndarray) -> float:
    """The bits that the feature saves for each other line, as a share of the label's entropy there."""
    _, code = np.unique(column, return_inverse=True)
    base = (y.sum() + 0.5) / (y.size + 1)
    seen, alerts = (np.bincount(code[ranked], weights=w, minlength=code.max() + 1) for w in (np.ones(y.size), y))
    chance = ((alerts + base) / (seen + 1))[code[others]]
    truth = label[others]
    surprise = -np.log2(np.where(truth == 1, chance, 1 - chance))
    before = -np.log2(np.where(truth == 1, base, 1 - base))
    return float((before.mean() - surprise.mean()) / entropy([truth.mean(), 1 - truth.mean()]))


def _rank_correlations(columns: np.ndarray) -> list[float]:
    """Of both kinds of information with the saved bits, of shape (features, 3)."""
    from scipy.stats import spearmanr

    return [float(np.asarray(spearmanr(columns[:, k], columns[:, 2]))[0]) for k in (0, 1)]
