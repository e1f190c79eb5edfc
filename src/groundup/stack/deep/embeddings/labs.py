"""Labs of embeddings: analogies in a text whose structure is known, and a classifier of requests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.drawing import BLUE, GREEN, LEGEND_BELOW, ORANGE, PINK
from groundup.labs import Recorder, expect, lab

KINDS, FORMS = ("cart", "login", "search", "mail", "billing", "stock", "chat", "video"), ("cpu", "disk", "net", "queue")


@dataclass(frozen=True)
class AnalogiesConfig:
    """Settings of the lab of analogies.

    Attributes:
        seed: seed of the text and of the start.
        lines: lines of the text.
        dim: entries of a vector.
        window: places to either side.
        steps: training steps of skip-gram and of GloVe.
        learning_rate: that of skip-gram; GloVe's is two thirds of it.
        shuffle_words: permute all words of the text, so that no word has neighbours of its own.
    """

    seed: int = 0
    lines: int = 3_000
    dim: int = 16
    window: int = 5
    steps: int = 500
    learning_rate: float = 0.3
    shuffle_words: bool = False


@lab(
    title="Analogies in a text whose structure is known",
    question="Do vectors trained on neighbours alone find that cart-cpu is to cart-disk as mail-cpu is to mail-disk?",
    data=["planted alerts"],
    presets={"smoke": {}, "laptop": {"lines": 20_000, "steps": 3_000}, "full": {"lines": 100_000, "steps": 20_000}},
    expectations=[
        expect("skip_gram", beats_baseline_by=0.3, why="The parallelogram must say more than nearness does."),
        expect("skip_gram", at_least=0.9, why="What was planted is additive, and must be found."),
        expect("glove", at_least=0.9, why="GloVe factors the same table."),
        expect("svd", at_least=0.9, why="So does the SVD, without training."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_words": True}],
)
def analogies(config: AnalogiesConfig, record: Recorder) -> None:
    """Train word vectors on made-up alerts, and ask every analogy between their 8 services and 4 resources.

    A line has one alert, such as cart-cpu, and seven other words in random order: four words of its service or of its
    resource, and three of any. So an alert's neighbours are those of its service plus those of its resource. Nothing
    in its name is seen. An answer is right if it is the one alert of 80 words. The baseline answers with the nearest
    neighbour of the third word that is not in the question.
    """
    import plotly.graph_objects as go
    import torch

    from groundup.stack.deep import embeddings

    torch.set_num_threads(1)  # steps this small are slower on two
    lines = alerts(np.random.default_rng(config.seed), config.lines)
    if config.shuffle_words:
        lines = np.random.default_rng(config.seed).permutation(lines.ravel()).reshape(lines.shape)
    vocabulary = embeddings.Vocabulary(lines.tolist())
    texts = [vocabulary.encode(line) for line in lines]
    generator = torch.Generator().manual_seed(config.seed)
    skip_gram = embeddings.train_skip_gram(
        texts,
        vocabulary.counts,
        config.dim,
        config.window,
        steps=config.steps,
        learning_rate=config.learning_rate,
        generator=generator,
    )
    table = embeddings.cooccurrences(texts, len(vocabulary), config.window)
    glove = embeddings.train_glove(
        table, config.dim, steps=config.steps, learning_rate=config.learning_rate * 2 / 3, generator=generator
    )
    number = {(k, f): vocabulary.numbers[f"{k}-{f}"] for k in KINDS for f in FORMS}
    questions = [
        (number[k, f], number[k, g], number[m, f], number[m, g])
        for k in KINDS
        for m in KINDS
        for f in FORMS
        for g in FORMS
        if k != m and f != g
    ]

    def nearest(vectors: Any, a: int, b: int, c: int) -> int:
        return next(w for w in embeddings.neighbors(vectors, c, 3).tolist() if w not in (a, b))

    by_plane = lambda vectors, a, b, c: int(embeddings.analogy(vectors, a, b, c)[0])  # noqa: E731
    rows = []
    svd = embeddings.pmi_vectors(table, config.dim)
    for name, vectors in (("skip_gram", skip_gram.vectors), ("glove", glove.vectors), ("svd", svd)):
        right = np.mean([by_plane(vectors, a, b, c) == d for a, b, c, d in questions])
        near = np.mean([nearest(vectors, a, b, c) == d for a, b, c, d in questions])
        record.baseline(name, near, "the nearest neighbour of the third word")
        record.result(name, right)
        rows.append({"vectors": name, "analogies": round(float(right), 3), "by nearness": round(float(near), 3)})
    record.table("analogies", rows)
    plot = go.Figure()
    centred = svd[list(number.values())].numpy()
    axes = np.linalg.svd(centred - centred.mean(axis=0))[2][:2]
    for f, colour in zip(FORMS, (BLUE, ORANGE, GREEN, PINK), strict=True):
        points = svd[[number[k, f] for k in KINDS]].numpy() @ axes.T
        plot.add_scatter(x=points[:, 0], y=points[:, 1], text=KINDS, mode="markers+text", name=f, marker_color=colour)
    plot.update_traces(textposition="top center")
    plot.update_layout(xaxis_title="first axis", yaxis_title="second axis", legend=LEGEND_BELOW)
    record.figure("alerts in their plane", plot)


def alerts(rng: np.random.Generator, lines: int) -> np.ndarray:
    """Words of shape (lines, 8): an alert, and seven words of services and resources, in random order."""
    k, f = rng.integers(len(KINDS), size=(lines, 5)), rng.integers(len(FORMS), size=(lines, 5))
    k[:, :2], f[:, :2] = k[:, [0]], f[:, [0]]  # two of each are the alert's own, the others of any
    suffix = rng.integers(4, size=(lines, 10)).astype(str)
    kinds = np.char.add(np.array(KINDS)[k], suffix[:, :5])
    forms = np.char.add(np.array(FORMS)[f], suffix[:, 5:])
    noise = np.where(rng.random((lines, 3)) < 0.5, kinds[:, 2:], forms[:, 2:])
    alert = np.char.add(np.char.add(np.array(KINDS)[k[:, :1]], "-"), np.array(FORMS)[f[:, :1]])
    return rng.permuted(np.hstack([alert, kinds[:, :2], forms[:, :2], noise]), axis=1)


@dataclass(frozen=True)
class RequestsConfig:
    """Settings of the lab of requests.

    Attributes:
        seed: seed of the split and of the training.
        labels: labelled requests for each of the 27 intents.
        unlabelled: requests without a label, from which words are learned.
        judged: other requests, which judge.
        dim: entries of a word's vector.
        steps: training steps of skip-gram.
        smoothing: that of the weights of words; a large one is the plain mean.
        shuffle_labels: permute the labels of the fitted requests.
    """

    seed: int = 0
    labels: int = 2
    unlabelled: int = 3_000
    judged: int = 500
    dim: int = 32
    steps: int = 400
    smoothing: float = 1e-3
    shuffle_labels: bool = False


@lab(
    title="A classifier that goes by meaning",
    question="With few labels, do embeddings name the intent of a request better than TF-IDF does?",
    data=["bitext_support"],
    presets={"smoke": {}, "laptop": {"steps": 3_000, "judged": 2_000}, "full": {"steps": 20_000, "judged": 3_000}},
    expectations=[
        expect("tf_idf", beats_baseline_by=0.3, why="Two labels for each intent must teach most of it."),
        expect("own_words", at_least=0.45, why="Words that stand alike must do for each other."),
        expect("sentence_model", at_least=0.6, why="A sentence model knows language before the first label."),
    ],
    sabotage=[{"shuffle_labels": True}, {"dim": 1}],
)
def requests(config: RequestsConfig, record: Recorder) -> None:
    """Put logistic regression on four kinds of vectors of the same few labelled requests, and judge on others.

    TF-IDF counts words, with weights from all requests that do not judge. Own words are skip-gram vectors, trained on
    the unlabelled requests, in the mean by smooth inverse frequency, less their common direction; the table has their
    plain mean as well, and all with four times the labels. The sentence model is all-MiniLM-L6-v2. Vectors have the
    length 1.
    """
    import plotly.graph_objects as go
    import torch
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from groundup.data import load
    from groundup.embedding import load as load_model
    from groundup.stack.deep import embeddings

    torch.set_num_threads(1)  # steps this small are slower on two
    log = load("bitext_support")
    requests, intents = [str(text).lower() for text in log["text"]], np.asarray(log["intent"])
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(requests))
    judged, rest = order[: config.judged], order[config.judged :]
    others = {requests[i] for i in rest}
    judged = np.array([i for i in judged if requests[i] not in others])  # no copies of what was read
    read = rest[: config.unlabelled]
    lines = [re.findall("[a-z]+", request) for request in requests]
    vocabulary = embeddings.Vocabulary([lines[i] for i in read], least=2)
    texts = [vocabulary.encode(line) for line in lines]
    generator = torch.Generator().manual_seed(config.seed)
    words = embeddings.train_skip_gram(
        [texts[i] for i in read], vocabulary.counts, config.dim, steps=config.steps, generator=generator
    )

    def mean(smoothing: float) -> np.ndarray:
        X = embeddings.sentence_vectors(texts, words.vectors, vocabulary.counts, smoothing)
        if smoothing < 1:
            X = embeddings.without_direction(X, embeddings.common_direction(X[read]))
        return torch.nn.functional.normalize(X, dim=1).numpy()

    few, many = (
        [i for c in np.unique(intents) for i in rest[intents[rest] == c][:n]] for n in np.array([1, 4]) * config.labels
    )
    known = np.concatenate([many, judged])
    sentence = np.zeros((len(requests), 384), dtype=np.float32)
    sentence[known] = load_model().encode([requests[i] for i in known])
    tfidf = TfidfVectorizer(token_pattern="[a-z]+").fit([requests[i] for i in read])
    kinds = {
        "tf_idf": tfidf.transform(requests),
        "plain_mean": mean(1e6),
        "own_words": mean(config.smoothing),
        "sentence_model": sentence,
    }
    rows, scores = [], {}
    for name, X in kinds.items():
        accuracy = []
        for chosen in (few, many):
            labels = rng.permutation(intents[chosen]) if config.shuffle_labels else intents[chosen]
            head = LogisticRegression(C=10, max_iter=300).fit(X[chosen], labels)
            accuracy.append(float(head.score(X[judged], intents[judged])))
        scores[name] = accuracy
        rows.append({"vectors": name, f"{len(few)} labels": accuracy[0], f"{len(many)} labels": accuracy[1]})
    record.table("accuracy", rows)
    plot = go.Figure()
    for k, (count, colour) in enumerate(((len(few), ORANGE), (len(many), BLUE))):
        plot.add_bar(x=list(scores), y=[a[k] for a in scores.values()], name=f"{count} labels", marker_color=colour)
    plot.update_layout(xaxis_title="vectors", yaxis_title="accuracy on other requests", legend=LEGEND_BELOW)
    record.figure("accuracy", plot)
    values, counts = np.unique(intents[read], return_counts=True)
    frequent = float((intents[judged] == values[counts.argmax()]).mean())
    for name, base, what in (
        ("tf_idf", frequent, "the most frequent intent"),
        ("own_words", scores["plain_mean"][0], "the plain mean of the same vectors"),
        ("sentence_model", scores["tf_idf"][0], "TF-IDF"),
    ):
        record.baseline(name, base, what)
        record.result(name, scores[name][0])
