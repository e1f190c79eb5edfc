"""Labs of BERT: filling gaps in log lines, and the sentiment of reviews with a pre-trained encoder."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.drawing import BLUE, LEGEND_BELOW, ORANGE, headline
from groundup.labs import Recorder, expect, lab

if TYPE_CHECKING:
    from torch import Tensor

PAD, START, END, MASK, UNKNOWN = range(5)
SPECIAL = [PAD, START, END, UNKNOWN]


@dataclass(frozen=True)
class GapsConfig:
    """Settings of the gaps lab.

    Attributes:
        seed: seed of the split, the weights, the batches and the masks.
        layers: blocks of the model.
        width: size of a word's vector.
        batch: lines of one step.
        steps: steps of AdamW.
        peak: learning rate after the warm-up, which takes a tenth of the steps.
        longest: words of a line; what lies beyond is cut.
        shuffle_words: permute the words among all lines to learn from, which leaves only their frequencies.
    """

    seed: int = 0
    layers: int = 2
    width: int = 48
    batch: int = 32
    steps: int = 250
    peak: float = 5e-3
    longest: int = 14
    shuffle_words: bool = False


@lab(
    title="Filling gaps in log lines",
    question="How many nats does a hidden word of a log line cost BERT, beside counting words and neighbours?",
    data=["loghub_linux"],
    presets={"smoke": {}, "laptop": {"width": 96, "steps": 1500}, "full": {"layers": 4, "width": 192, "steps": 6000}},
    expectations=[
        expect("loss", beats_baseline_by=1.0, lower_is_better=True, why="Words around a gap tell much about it."),
        expect("accuracy", at_least=0.4, why="Many gaps in a log line have one right word."),
    ],
    sabotage=[{"peak": 0.0}, {"shuffle_words": True}],
)
def gaps(config: GapsConfig, record: Recorder) -> None:
    """Pre-train a small BERT on log lines and judge it at masked words of lines that it never saw.

    No line stands on both sides. Runs of digits are one word. The baseline is the frequency of each word; pairs with
    the left neighbour stand beside it. Both count the lines that BERT learned from, with add-one smoothing.
    """
    import torch

    from groundup.data import load
    from groundup.stack.deep.bert import (
        Config,
        MaskedLanguageModel,
        layer_groups,
        linear_schedule,
        mask_tokens,
        masked_loss,
    )
    from groundup.stack.deep.optimizers import AdamW

    torch.set_num_threads(1)  # matrices this small are slower on two
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    lines = rng.permutation(np.unique(load("loghub_linux")["content"]))
    split = [re.sub(r"\d+", "0", str(line)).split()[: config.longest] for line in lines]
    cut = int(0.7 * len(split))
    counts = Counter(word for words in split[:cut] for word in words)
    codes = {word: UNKNOWN + 1 + i for i, word in enumerate(sorted(w for w in counts if counts[w] > 1))}
    tokens = _encode(split, codes, config.longest + 2)
    learning, judging = tokens[:cut], tokens[cut:]
    size = UNKNOWN + 1 + len(codes)
    frequencies, pairs = _tables(learning, size)
    if config.shuffle_words:
        ordinary = learning > UNKNOWN
        learning = learning.masked_scatter(
            ordinary, learning[ordinary][torch.from_numpy(rng.permutation(int(ordinary.sum())))]
        )
    sizes = {"layers": config.layers, "heads": 4, "width": config.width, "hidden": 4 * config.width}
    model = MaskedLanguageModel(Config(size, **sizes, places=config.longest + 2, dropout=0.0))
    groups = layer_groups(model, config.peak, 1.0)
    optimizer, rates = AdamW(groups, lr=config.peak), [group["lr"] for group in groups]
    for step in record.progress(range(config.steps), label="steps"):
        rows = learning[torch.from_numpy(rng.integers(len(learning), size=config.batch))]
        inputs, chosen = mask_tokens(rows, SPECIAL, MASK, size, rng, share=0.3)
        loss = masked_loss(model(inputs, inputs != PAD), rows, chosen)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * linear_schedule(step, config.steps // 10, config.steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            record.metric("training loss", loss.item(), step=step)
    inputs, chosen = mask_tokens(judging, SPECIAL, MASK, size, rng)
    inputs = torch.where(chosen, MASK, judging)  # all hidden: none can be copied
    with torch.no_grad():
        logits = model.eval()(inputs, inputs != PAD)
    truth, before = judging[chosen], inputs.roll(1, dims=1)[chosen]
    nats = float(masked_loss(logits, judging, chosen))
    by_pairs = torch.where(before == MASK, frequencies[truth], pairs[before, truth])
    rows = [
        {"model": "frequencies", "nats": -float(frequencies[truth].log().mean())},
        {"model": "pairs with the left neighbour", "nats": -float(by_pairs.log().mean())},
        {"model": "BERT", "nats": nats},
    ]
    record.table("a hidden word", rows)
    record.figure("nats", _bars([str(row["model"]) for row in rows], [float(row["nats"]) for row in rows]))
    record.baseline("loss", float(rows[0]["nats"]), "the frequency of each word")
    record.result("loss", nats)
    record.result("accuracy", float((logits[chosen].argmax(dim=-1) == truth).double().mean()))


def _encode(lines: list[list[str]], codes: dict[str, int], length: int) -> Tensor:
    import torch

    tokens = torch.full((len(lines), length), PAD)
    for row, words in zip(tokens, lines, strict=True):
        line = [START, *(codes.get(word, UNKNOWN) for word in words), END]
        row[: len(line)] = torch.tensor(line)
    return tokens


def _tables(tokens: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Smoothed probabilities of each word, and of each word after each other; only words are counted."""
    import torch

    words = tokens > UNKNOWN
    single = torch.bincount(tokens[words], minlength=size).double() + 1
    single /= single.sum()
    pairs = (5 * single).repeat(size, 1)
    before, after = tokens[:, :-1][words[:, 1:]], tokens[:, 1:][words[:, 1:]]
    pairs.index_put_((before, after), torch.ones(len(after), dtype=torch.double), accumulate=True)
    return single, pairs / pairs.sum(dim=1, keepdim=True)


@dataclass(frozen=True)
class SentimentConfig:
    """Settings of the sentiment lab.

    Attributes:
        seed: seed of the split and of the head's weights.
        labels: sentences whose label is known.
        judged: other sentences, to judge by.
        steps: steps of AdamW on the head, each over all labels.
        peak: learning rate after the warm-up.
        shuffle_labels: permute the labels to learn from.
    """

    seed: int = 0
    labels: int = 200
    judged: int = 500
    steps: int = 200
    peak: float = 0.05
    shuffle_labels: bool = False


@lab(
    title="Sentiment with few labels",
    question="With 200 labelled reviews, how much better is a head on a pre-trained encoder than TF-IDF?",
    data=["sst2"],
    presets={"smoke": {}, "laptop": {"labels": 1000, "judged": 2000}, "full": {"labels": 4000, "judged": 2900}},
    expectations=[
        expect("accuracy", beats_baseline_by=0.03, why="The encoder knows words that no labelled review contains."),
        expect("gain over majority", at_least=0.1, why="It must beat always giving the more common label."),
    ],
    sabotage=[{"peak": 0.0}, {"shuffle_labels": True}],
)
def sentiment(config: SentimentConfig, record: Recorder) -> None:
    """Train a linear head on sentence vectors of all-MiniLM-L6-v2, a small BERT that stays frozen.

    It is judged on sentences without part in the training. The baseline is logistic regression on TF-IDF, fitted to
    the same labels. The F1 of the positive class stands beside the accuracy: with as many positive as negative
    sentences, always saying "positive" has an F1 of 2/3.
    """
    import torch
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from groundup.data import load
    from groundup.embedding import load as load_model
    from groundup.stack.classical.evaluation import precision_recall_f1
    from groundup.stack.deep.bert import linear_schedule
    from groundup.stack.deep.optimizers import AdamW

    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    data = load("sst2")
    _, first = np.unique(data["sentence"], return_index=True)
    rows = rng.permutation(first)[: config.labels + config.judged]
    sentences, truth = [str(each) for each in data["sentence"][rows]], data["positive"][rows]
    known, judged = slice(config.labels), slice(config.labels, None)
    given = rng.permutation(truth[known]) if config.shuffle_labels else truth[known]
    vectors = torch.from_numpy(load_model().encode(sentences))
    head = torch.nn.Linear(vectors.shape[1], 2)
    optimizer = AdamW(head.parameters(), lr=config.peak)
    for step in range(config.steps):
        optimizer.param_groups[0]["lr"] = config.peak * linear_schedule(step, config.steps // 10, config.steps)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(head(vectors[known]), torch.from_numpy(given)).backward()
        optimizer.step()
    by_head = head(vectors[judged]).argmax(dim=1).numpy()
    table = TfidfVectorizer()
    counted = LogisticRegression(C=10.0).fit(table.fit_transform(sentences[known]), truth[known])
    by_counting = counted.predict(table.transform(sentences[judged]))
    common = np.full(config.judged, int(truth[known].mean() >= 0.5))
    scores = []
    for name, predicted in (("head on MiniLM", by_head), ("TF-IDF", by_counting), ("majority", common)):
        f1 = precision_recall_f1(truth[judged], predicted, undefined=0.0).f1
        scores.append({"model": name, "accuracy": float((predicted == truth[judged]).mean()), "F1": float(f1)})
    record.table("sentiment", scores)
    record.baseline("accuracy", scores[1]["accuracy"], "TF-IDF and logistic regression")
    record.result("accuracy", scores[0]["accuracy"])
    record.result("F1", scores[0]["F1"])
    record.result("gain over majority", scores[0]["accuracy"] - scores[2]["accuracy"])


def _bars(names: list[str], nats: list[float]) -> Any:
    import plotly.graph_objects as go

    plot = go.Figure(go.Bar(x=names, y=nats, marker_color=[ORANGE, ORANGE, BLUE]))
    headline(plot, f"{nats[-1]:.2f} nats a hidden word, in lines that it never saw")
    plot.update_xaxes(title="model")
    plot.update_yaxes(title="nats a hidden word", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
