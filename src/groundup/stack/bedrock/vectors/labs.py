"""Labs of vectors: the race of 004 L1, and neighbours among real messages."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from groundup.drawing import BLUE, ORANGE, RED
from groundup.labs import Recorder, expect, lab
from groundup.stack.bedrock.vectors import Dense, cosine_similarity, dense_loop, pairwise_distances


@dataclass(frozen=True)
class RaceConfig:
    """Settings of the race.

    Attributes:
        seed: seed of weights and inputs.
        in_features: numbers in a row.
        out_features: outputs of the layer.
        batches: batch sizes; the last is judged.
        repeats: timings of each contender at each size, of which the fastest counts.
        contender: who races the nested loops; `loop` races them against themselves, `no_bias` is fast and wrong.
    """

    seed: int = 0
    in_features: int = 16
    out_features: int = 16
    batches: tuple[int, ...] = (1, 10, 100, 1_000, 10_000)
    repeats: int = 3
    contender: Literal["vectorised", "rows", "loop", "no_bias"] = "vectorised"


@lab(
    title="Loops against one matrix product",
    question="How much faster is the same arithmetic when Python does not run it number by number?",
    presets={
        "smoke": {},
        "laptop": {"in_features": 64, "out_features": 32, "repeats": 5},
        "full": {"in_features": 256, "out_features": 128, "repeats": 5},
    },
    expectations=[
        expect("speedup", at_least=20, why="At batch 10,000 the layer must be 20 times as fast as the nested loops."),
        expect("max_difference", at_most=1e-9, why="A fast wrong answer is not a speed-up."),
    ],
    sabotage=[{"contender": "loop"}, {"contender": "no_bias"}],
)
def race(config: RaceConfig, record: Recorder) -> None:
    """Time the nested loops, a loop over rows and the whole-batch layer at growing batch sizes.

    All of them are timed in turn on the same inputs and compared number by number. Only ratios are judged: seconds
    belong to the machine.
    """
    rng = np.random.default_rng(config.seed)
    layer = Dense(config.in_features, config.out_features, rng=rng)
    layer.bias = rng.normal(size=config.out_features)
    runners: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "loop": lambda x: dense_loop(x, layer.weights, layer.bias),
        "rows": lambda x: np.array([row @ layer.weights + layer.bias for row in x]),
        "vectorised": layer.forward,
        "no_bias": lambda x: x @ layer.weights,
    }
    racers = {"loop": runners["loop"], "rows": runners["rows"], "contender": runners[config.contender]}
    table: list[dict[str, Any]] = []
    difference, speedup, largest = 0.0, 0.0, 0.0
    for batch in record.progress(config.batches, label="batch sizes"):
        x = rng.normal(size=(batch, config.in_features))
        runs = {name: _fastest(run, x, config.repeats) for name, run in racers.items()}
        seconds = {name: run[0] for name, run in runs.items()}
        speedup = seconds["loop"] / seconds["contender"]
        difference = max(difference, float(np.max(np.abs(runs["contender"][1] - runs["loop"][1]))))
        largest = max(largest, float(np.max(np.abs(runs["loop"][1]))))
        for name in racers:
            record.metric(f"{name}_microseconds_per_row", 1e6 * seconds[name] / batch, step=batch)
        record.metric("speedup", speedup, step=batch)
        times = {f"{name} (ms)": float(f"{1e3 * seconds[name]:.4g}") for name in racers}
        table.append({"batch": batch, **times, "loop / contender": round(speedup, 1)})
    record.table("times", table)
    record.figure("race", _race_figure(table))
    record.baseline("speedup", 1.0, "the nested loops themselves")
    record.result("speedup", speedup)
    record.baseline("max_difference", largest, "answering zero everywhere")
    record.result("max_difference", difference)
    record.note(f"The contender is {config.contender}. NumPy {np.__version__} with {_blas()}.")


def _fastest(run: Callable[[np.ndarray], np.ndarray], x: np.ndarray, repeats: int) -> tuple[float, np.ndarray]:
    """Seconds of the fastest run, because noise only ever adds time; and what the call returned."""
    start = time.perf_counter()
    output = run(x)
    best = first = time.perf_counter() - start
    inner = 1 if first > 1e-3 else 200  # what is too short to time alone is timed many times over
    for _ in range(repeats if first < 0.5 else 0):
        start = time.perf_counter()
        for _ in range(inner):
            run(x)
        best = min(best, (time.perf_counter() - start) / inner)
    return best, output


def _blas() -> str:
    """The library that multiplies NumPy's matrices."""
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})  # type: ignore[union-attr]
    return f"{blas.get('name', 'an unknown BLAS')} {blas.get('version', '')}".strip()


def _race_figure(table: list[dict[str, Any]]) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, colour in (("loop", RED), ("rows", ORANGE), ("contender", BLUE)):
        times = [row[f"{name} (ms)"] for row in table]
        figure.add_scatter(x=[row["batch"] for row in table], y=times, name=name, line_color=colour)
    figure.update_xaxes(type="log", title="batch (rows)")
    figure.update_yaxes(type="log", title="time of one forward pass (ms)")
    return figure


@dataclass(frozen=True)
class NeighboursConfig:
    """Settings of the neighbours lab.

    Attributes:
        seed: seed of the split.
        messages: how many messages are used in all; a fifth of them are the queries.
        words: how many of the most frequent words are counted.
        measure: what nearest means.
        shuffle_labels: whether the labels of the searched messages are shuffled, which must ruin it.
    """

    seed: int = 0
    messages: int = 1_500
    words: int = 500
    measure: Literal["cosine", "euclidean"] = "cosine"
    shuffle_labels: bool = False


@lab(
    title="Are similar messages close together?",
    question="Does the nearest message, as a vector of word counts, have the same label?",
    data=["sms_spam"],
    presets={
        "smoke": {},
        "laptop": {"messages": 5_000, "words": 2_000},
        "full": {"messages": 5_574, "words": 6_000},
    },
    expectations=[
        expect("balanced_accuracy", at_least=0.75, why="Spam lies near spam, and ham near ham."),
        expect("balanced_accuracy", beats_baseline_by=0.25),
    ],
    sabotage=[{"shuffle_labels": True}],
)
def neighbours(config: NeighboursConfig, record: Recorder) -> None:
    """Turn messages into vectors of word counts and label each query as its nearest neighbour is labelled.

    The vocabulary is counted on the searched messages only; the queries are not seen before they are asked. Balanced
    accuracy is the mean of the share of spam and the share of ham labelled rightly, so that always answering `ham`
    scores one half although most messages are ham.
    """
    from groundup import data

    sms = data.load("sms_spam")
    order = np.random.default_rng(config.seed).permutation(len(sms))[: config.messages]
    texts, spam = sms["message"][order], sms["label"][order] == "spam"
    held = len(order) // 5
    vocabulary = _vocabulary(texts[held:], config.words)
    labels = spam[held:].copy()
    if config.shuffle_labels:
        np.random.default_rng(config.seed).shuffle(labels)
    items = _counts(texts[held:], vocabulary)
    predicted = []
    for start in record.progress(range(0, held, 20), label="queries"):
        queries = _counts(texts[start : min(start + 20, held)], vocabulary)
        closeness = (
            cosine_similarity(queries, items) if config.measure == "cosine" else -pairwise_distances(queries, items)
        )
        predicted.append(labels[np.argmax(closeness, axis=1)])
    right = np.concatenate(predicted) == spam[:held]
    for name, group in (("spam_recall", spam[:held]), ("ham_recall", ~spam[:held])):
        record.result(name, float(np.mean(right[group])))
    record.baseline("balanced_accuracy", 0.5, "always answering ham")
    record.result("balanced_accuracy", float(np.mean([right[spam[:held]].mean(), right[~spam[:held]].mean()])))
    record.note(f"{held} queries, {len(items)} messages searched, {len(vocabulary)} words, {config.measure}.")


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+|\d+", text.lower())


def _vocabulary(texts: np.ndarray, size: int) -> dict[str, int]:
    counted = Counter(word for text in texts for word in _words(str(text)))
    return {word: i for i, (word, _) in enumerate(counted.most_common(size))}


def _counts(texts: np.ndarray, vocabulary: dict[str, int]) -> np.ndarray:
    rows = np.zeros((len(texts), len(vocabulary)))
    for row, text in zip(rows, texts, strict=True):
        for word in _words(str(text)):
            if word in vocabulary:
                row[vocabulary[word]] += 1
    return rows
