"""Labs of decompositions: pictures by few numbers, and the latent axes of log lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundup.drawing import BLUE, GREEN, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab
from groundup.stack.bedrock.decompositions import svd


@dataclass(frozen=True)
class PicturesConfig:
    """Settings of the lab of pictures.

    Attributes:
        seed: seed of the split.
        fitted: pictures from which the axes are found.
        judged: other pictures, which are compressed.
        axes: numbers kept for each picture.
        keep: which singular vectors are the axes.
    """

    seed: int = 0
    fitted: int = 100
    judged: int = 1_000
    axes: int = 49
    keep: Literal["largest", "smallest", "none"] = "largest"


@lab(
    title="How few numbers does a picture need?",
    question="How much of a new picture of 784 pixels is left in 49 numbers, along axes found from other pictures?",
    data=["mnist_5k"],
    presets={"smoke": {}, "laptop": {"fitted": 400}, "full": {"fitted": 1_000, "judged": 4_000}},
    expectations=[
        expect("error", beats_baseline_by=0.1, lower_is_better=True, why="Axes fitted to digits must beat squares."),
        expect("error", at_most=0.65, why="A sixteenth of the numbers must keep most of the squares."),
    ],
    sabotage=[{"keep": "smallest"}, {"keep": "none"}],
)
def pictures(config: PicturesConfig, record: Recorder) -> None:
    """Find the axes of some digits by SVD, and write other digits in the coordinates along the first of them.

    The error is ‖picture - copy‖ / ‖picture - mean‖, over all judged pictures. The baseline keeps as many numbers: the
    means of 7 × 7 squares of 4 × 4 pixels. One picture's own SVD does not get so far: its first rank alone takes
    28 + 28 numbers, since it must keep its axes as well.
    """
    import plotly.graph_objects as go

    from groundup.data import load

    pixels = np.asarray(load("mnist_5k")["pixels"], dtype=float) / 255
    order = np.random.default_rng(config.seed).permutation(len(pixels))
    fitted = pixels[order[: config.fitted]].reshape(config.fitted, -1)
    judged = pixels[order[config.fitted : config.fitted + config.judged]]
    mean, flat = fitted.mean(axis=0), judged.reshape(len(judged), -1)
    axes = svd(fitted - mean).right
    if config.keep == "smallest":
        axes = axes[::-1]

    def error(copies: np.ndarray) -> float:
        return float(np.sqrt(((flat - copies) ** 2).sum() / ((flat - mean) ** 2).sum()))

    def copies(count: int) -> np.ndarray:
        kept = axes[: 0 if config.keep == "none" else count]
        return mean + (flat - mean) @ kept.T @ kept

    squares = judged.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).repeat(4, axis=1).repeat(4, axis=2)
    counts = [count for count in (1, 4, 9, 16, 25, 49, 81) if count < config.fitted]
    errors = [error(copies(count)) for count in counts]
    record.table("numbers", [{"numbers": n, "error": e} for n, e in zip(counts, errors, strict=True)])
    plot = go.Figure(go.Scatter(x=counts, y=errors, line_color=BLUE, name="singular vectors"))
    plot.add_scatter(x=[49], y=[error(squares.reshape(flat.shape))], marker_color=ORANGE, name="squares")
    plot.update_layout(xaxis_title="numbers for each picture", yaxis_title="error", legend=LEGEND_BELOW)
    plot.update_yaxes(rangemode="tozero")
    record.figure("error by numbers kept", plot)
    record.baseline("error", error(squares.reshape(flat.shape)), "means of 7 × 7 squares, as many numbers")
    record.result("error", error(copies(config.axes)))


@dataclass(frozen=True)
class AxesConfig:
    """Settings of the lab of log lines.

    Attributes:
        seed: seed of the split.
        fitted: lines from which words, weights and axes come.
        axes: axes that are kept.
        words: at most so many words, the most frequent.
        shuffle_words: permute each column of the fitted lines before the axes are found, so that no words go together.
        first: the first axis that is kept.
    """

    seed: int = 0
    fitted: int = 500
    axes: int = 10
    words: int = 120
    shuffle_words: bool = False
    first: int = 0


@lab(
    title="The latent axes of log lines",
    question="Which few axes do the lines of a supercomputer's log lie along, and do new lines lie along them, too?",
    data=["loghub_bgl"],
    presets={"smoke": {}, "laptop": {"fitted": 1_000, "words": 300}, "full": {"fitted": 1_500, "words": 600}},
    expectations=[
        expect("kept", beats_baseline_by=0.04, why="Words that go together share an axis: axes must beat words."),
        expect("kept", at_least=0.4, why="A handful of axes must hold much of a line."),
    ],
    sabotage=[{"shuffle_words": True}, {"first": 60}],
)
def log_axes(config: AxesConfig, record: Recorder) -> None:
    """Write lines as vectors of words, find the axes of some lines by SVD, and project the other lines onto them.

    A line counts its words, each weighted by log(lines / lines that have it), and has length 1. The result is the mean
    share of a new line's squares along a few axes. The baseline keeps the words with the most squares in fitted lines.
    """
    import plotly.graph_objects as go

    from groundup.data import load

    log = load("loghub_bgl")
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(log["content"]))
    known, new = order[: config.fitted], order[config.fitted :]
    lines = [re.findall("[a-z]{2,}", str(line).lower()) for line in log["content"]]
    names, counts = np.unique([word for i in known for word in set(lines[i])], return_counts=True)
    kept = np.argsort(-counts, kind="stable")[: config.words]
    words = [str(name) for name in names[kept]]
    X = np.array([[line.count(word) for word in words] for line in lines], dtype=float)
    X *= np.log((1 + config.fitted) / counts[kept])
    X /= np.maximum(np.sqrt((X**2).sum(axis=1, keepdims=True)), 1e-12)
    table, judged = X[known], X[new][X[new].any(axis=1)]
    _, values, axes = svd(rng.permuted(table, axis=0) if config.shuffle_words else table)

    def kept_along(directions: np.ndarray) -> float:
        return float(((judged @ directions.T) ** 2).sum(axis=1).mean())

    largest = np.argsort(-(table**2).sum(axis=0))[: config.axes]
    record.table(
        "axes",
        [
            {"axis": k + 1, "value": value, "words": ", ".join(words[i] for i in np.argsort(-np.abs(axis))[:5])}
            for k, (value, axis) in enumerate(zip(values[:8], axes, strict=False))
        ],
    )
    count = np.arange(1, len(values) + 1)
    plot = go.Figure(go.Scatter(x=count, y=np.cumsum(values**2) / (values**2).sum(), line_color=GREEN, name="fitted"))
    plot.add_scatter(x=count, y=[kept_along(axes[:k]) for k in count], line_color=BLUE, name="new")
    plot.update_layout(xaxis_title="axes", yaxis_title="share of the squares kept", legend=LEGEND_BELOW)
    plot.update_yaxes(range=[0, 1.02])
    record.figure("share of the squares", plot)
    record.baseline("kept", kept_along(np.eye(len(kept))[largest]), "as many words")
    record.result("kept", kept_along(axes[config.first : config.first + config.axes]))
