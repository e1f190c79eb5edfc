"""A lab of dimensionality: digits and log messages in the plane, by PCA and by t-SNE."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from groundup.drawing import COLOURS, LEGEND_BELOW
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.dimensionality import PCA, TSNE
from groundup.stack.classical.features import TfidfVectorizer

NUMBER = re.compile(r"\S*\d\S*")
SYSTEMS = ("bgl", "linux", "openssh", "thunderbird")
SYMBOLS = ("circle", "x", "diamond", "square", "cross")
NEIGHBORS = 5


@dataclass(frozen=True)
class PlaneConfig:
    """Settings of the lab of the plane.

    Attributes:
        seed: seed of the rows that are drawn.
        rows: digits, and as many log lines.
        perplexity: about how many neighbours t-SNE keeps.
        max_iter: its steps.
        shuffle_columns: permute each column, so that columns no longer belong together.
    """

    seed: int = 0
    rows: int = 300
    perplexity: float = 20.0
    max_iter: int = 350
    shuffle_columns: bool = False


@lab(
    title="Digits and log lines in the plane",
    question="How much of who is whose neighbour survives in two dimensions: by variance, and by neighbours?",
    data=["mnist_5k", "loghub_bgl", "loghub_linux", "loghub_openssh", "loghub_thunderbird"],
    presets={"smoke": {}, "laptop": {"rows": 1_500, "max_iter": 1_000}, "full": {"rows": 2_000, "max_iter": 2_000}},
    expectations=[
        expect(
            "digits", beats_baseline_by=0.2, why="In t-SNE's plane a digit must be among its like, as by PCA it is not."
        ),
        expect("trust", at_least=0.9, why="Neighbours in t-SNE's plane must be neighbours among the 784 pixels, too."),
    ],
    sabotage=[{"shuffle_columns": True}, {"max_iter": 1}],
)
def planes(config: PlaneConfig, record: Recorder) -> None:
    """Draw 784 pixels, and the words of different log lines of four systems, and ask the nearest neighbours there.

    Labels only judge: a row is right where most of its five neighbours in the plane have its label. t-SNE gets the
    first 30 principal components.
    """
    import plotly.graph_objects as go
    from sklearn.manifold import trustworthiness

    from groundup.data import load

    rng = np.random.default_rng(config.seed)
    digits, logs = load("mnist_5k"), {system: load(f"loghub_{system}")["content"] for system in SYSTEMS}
    texts = {NUMBER.sub(" ", text): system for system, log in logs.items() for text in log}  # each text once
    chosen = rng.permutation(len(digits["digit"]))[: config.rows]
    pixels = digits["pixels"][chosen].reshape(config.rows, -1) / 255
    lines = rng.permutation(len(texts))[: config.rows]
    words = TfidfVectorizer(least=2).fit_transform([list(texts)[line] for line in lines]).toarray()
    systems = np.array(list(texts.values()))[lines]
    table = []
    for name, X, labels in (("digits", pixels, digits["digit"][chosen]), ("lines", words, systems)):
        X = rng.permuted(X, axis=0) if config.shuffle_columns else X
        reduced = PCA(min(30, *X.shape)).fit_transform(X)
        model = TSNE(perplexity=config.perplexity, max_iter=config.max_iter).fit(reduced)
        places = {"PCA": reduced[:, :2], "t-SNE": model.embedding_}
        right = {method: _right(Y, labels) for method, Y in places.items()}
        trust = {method: trustworthiness(X, Y, n_neighbors=NEIGHBORS) for method, Y in places.items()}
        table += [
            {"rows": name, "method": method, "among its like": right[method], "trustworthiness": trust[method]}
            for method in places
        ]
        for method, Y in places.items():
            plot = go.Figure()
            for number, label in enumerate(np.unique(labels)):
                own = labels == label
                marker = {"color": COLOURS[number % 6], "symbol": SYMBOLS[number // 6 % 5], "size": 6}
                plot.add_scatter(x=Y[own, 0], y=Y[own, 1], mode="markers", name=str(label), marker=marker)
            plot.update_xaxes(title="first axis")
            plot.update_yaxes(title="second axis")
            plot.update_layout(legend=LEGEND_BELOW)
            record.figure(f"{name} by {method}", plot)
        record.baseline(name, right["PCA"], "the first two principal components")
        record.result(name, right["t-SNE"])
        if name == "digits":
            record.baseline("trust", trust["PCA"], "the first two principal components")
            record.result("trust", trust["t-SNE"])
            record.note(f"{name}: the divergence is {model.kl_divergence_:.2f} nats")
    record.table("neighbours in the plane", table)


def _right(Y: np.ndarray, labels: np.ndarray) -> float:
    """The share of rows that most of their nearest others in the plane agree with."""
    from scipy.spatial import KDTree

    _, nearest = KDTree(Y).query(Y, NEIGHBORS + 1)
    _, own = np.unique(labels, return_inverse=True)
    rows = enumerate(np.asarray(nearest))
    others = np.array([[other for other in near if other != row][:NEIGHBORS] for row, near in rows])
    votes = np.array([np.bincount(own[near]).argmax() for near in others])
    return float(np.mean(votes == own))
