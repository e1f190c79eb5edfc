"""A lab of clustering: log messages grouped without a teacher, and judged by their templates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from groundup.drawing import BLUE, GREEN, LEGEND_BELOW, ORANGE, PINK
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.clustering import (
    DBSCAN,
    NOISE,
    AgglomerativeClustering,
    GaussianMixture,
    KMeans,
    cut,
    silhouettes,
)
from groundup.stack.classical.features import TfidfVectorizer

NUMBER = re.compile(r"\S*\d\S*")
COUNTS = (5, 10, 20, 30, 40)
RADII = (0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class LogConfig:
    """Settings of the lab of log messages.

    Attributes:
        seed: seed of the lines that are drawn, and of the beginnings.
        system: whose log it is.
        lines: lines that are grouped.
        judged: the method that is judged; the table shows all of them.
        mask: whether a word with a digit in it is left out, as it is in a template.
        shuffle_words: permute each word's column, so that words no longer stand in lines together.
    """

    seed: int = 0
    system: Literal["openssh", "linux", "bgl", "thunderbird", "hdfs", "apache"] = "openssh"
    lines: int = 500
    judged: Literal["k-means", "mixture", "DBSCAN", "average linkage"] = "DBSCAN"
    mask: bool = True
    shuffle_words: bool = False


@lab(
    title="Group similar log messages",
    question="Does grouping lines by their words find the templates that programmers wrote, without having seen one?",
    data=["loghub_openssh"],
    presets={"smoke": {}, "laptop": {"lines": 1_000}, "full": {"lines": 2_000}},
    expectations=[
        expect("agreement", beats_baseline_by=0.03, why="Groups by words must match templates better than lengths do."),
        expect("stability", at_least=0.8, why="Other lines of the same log must lead to the same groups."),
    ],
    sabotage=[{"shuffle_words": True}],
)
def log_groups(config: LogConfig, record: Recorder) -> None:
    """Group lines by four methods, choose each one's setting by the silhouette, and compare with the templates.

    The templates only judge. The agreement is the adjusted Rand index: 1 for the same groups, 0 for chance. The
    stability is that of two groupings, each of its own 80 % of the lines, on the lines that both have.
    """
    import plotly.graph_objects as go
    from sklearn.metrics import adjusted_rand_score

    from groundup.data import load

    log = load(f"loghub_{config.system}")
    rng = np.random.default_rng(config.seed)
    rows = rng.permutation(len(log["content"]))[: config.lines]
    lines, templates = log["content"][rows].tolist(), log["event"][rows]
    X = TfidfVectorizer(least=2).fit_transform([NUMBER.sub(" ", t) if config.mask else t for t in lines]).toarray()
    mixed = rng.permuted(X, axis=0)
    X = mixed if config.shuffle_words else X
    plot, table, chosen = go.Figure(), [], {}
    methods = ("k-means", "mixture", "DBSCAN", "average linkage")
    for method, colour in zip(record.progress(methods, label="methods"), (BLUE, GREEN, ORANGE, PINK), strict=True):
        tries = list(_groupings(method, X, config.seed))
        scores = [_silhouette(X, labels) for _, labels in tries]
        matches = [adjusted_rand_score(templates, labels) for _, labels in tries]
        best = int(np.argmax(scores))
        setting, labels = tries[best]
        chosen[method] = matches[best]
        noise = float(np.mean(labels == NOISE))
        row = {"method": method, "setting": setting, "groups": len(set(labels[labels != NOISE])), "noise": noise}
        table.append(row | {"silhouette": scores[best], "agreement": matches[best], "best agreement": max(matches)})
        plot.add_scatter(x=scores, y=matches, mode="markers", name=method, marker={"color": colour, "size": 9})
    record.table("what the silhouette chose", table)
    plot.update_xaxes(title="mean silhouette, which needs no templates")
    plot.update_yaxes(title="agreement with the templates")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("silhouette and truth", plot)
    record.note(f"{len(set(templates))} templates among {len(rows)} lines of {X.shape[1]} words")
    by_length = adjusted_rand_score(templates, [len(line.split()) for line in lines])
    record.baseline("agreement", by_length, "lines of as many words are a group")
    record.result("agreement", chosen[config.judged])
    record.baseline("stability", _stability(mixed, config), "the same words, dealt out at random")
    record.result("stability", _stability(X, config))


def _groupings(method: str, X: np.ndarray, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """The groups of the rows under each setting of a method."""
    if method == "DBSCAN":
        for eps in RADII:
            yield f"eps={eps}", DBSCAN(eps, min_samples=2).fit(X).labels_
    elif method == "average linkage":
        merges = AgglomerativeClustering(linkage="average").fit(X).merges_
        for k in COUNTS:
            yield f"n_clusters={k}", cut(merges, k)
    else:
        for k in COUNTS:
            models: dict[str, Any] = {
                "k-means": KMeans(k, n_init=3, random_state=seed),
                "mixture": GaussianMixture(k, reg_covar=1e-2, max_iter=20, random_state=seed),
            }
            yield f"{k} of them", models[method].fit(X).predict(X)


def _silhouette(X: np.ndarray, labels: np.ndarray) -> float:
    """The mean silhouette; a row that is noise counts 0, like a cluster of one row."""
    grouped = labels != NOISE
    if len(set(labels[grouped])) < 2:
        return 0.0
    return float(silhouettes(X[grouped], labels[grouped]).sum() / len(X))


def _stability(X: np.ndarray, config: LogConfig) -> float:
    """How far two groupings of 80 % of the rows agree on the rows that both have."""
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng(config.seed)
    parts = [np.sort(rng.permutation(len(X))[: len(X) * 4 // 5]) for _ in range(2)]
    labels = []
    for part in parts:
        tries = [labels for _, labels in _groupings(config.judged, X[part], config.seed)]
        labels.append(max(tries, key=lambda found: _silhouette(X[part], found)))
    _, first, second = np.intersect1d(parts[0], parts[1], return_indices=True)
    return float(adjusted_rand_score(labels[0][first], labels[1][second]))
