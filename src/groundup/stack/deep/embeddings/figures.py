"""Explorables of embeddings: alerts in their plane, where a score settles, and what a word weighs."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go
import torch

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.deep.embeddings import (
    Vocabulary,
    analogy,
    cooccurrences,
    glove_loss,
    negative_sampling_loss,
    pmi_vectors,
    sentence_vectors,
    train_glove,
    train_skip_gram,
)

SERVICES, PARTS = ("cart", "mail", "chat", "video"), ("cpu", "disk", "net")


def _alerts(lines: int, noise: int) -> list[list[str]]:
    """Lines with an alert, two words of its service, two of its part, and some of any."""
    rng, text = np.random.default_rng(0), []
    for _ in range(lines):
        service, part = SERVICES[rng.integers(4)], PARTS[rng.integers(3)]
        line = [f"{service}-{part}", *(f"{name}{rng.integers(3)}" for name in (service, service, part, part))]
        line += [f"{rng.choice(SERVICES + PARTS)}{rng.integers(3)}" for _ in range(noise)]
        text.append(rng.permutation(line).tolist())
    return text


@figure("Parallelograms of alerts")
def plane(
    method: Literal["skip-gram", "GloVe", "SVD"] = "skip-gram",
    lines: Annotated[int, Range(30, 2_000, log=True)] = 1_000,
    noise: Annotated[int, Range(0, 6)] = 2,
) -> go.Figure:
    """Twelve alerts, such as cart-cpu, in the plane of their largest variance; lines join alerts of one service.

    Their names are never looked at: an alert has the neighbours of its service and those of its part of the machine.
    Where vectors add up, all services form the same triangle. With few lines the triangles are bent. Without words of
    any, GloVe never sees what does not stand together, and fails.
    """
    text = _alerts(lines, noise)
    vocabulary = Vocabulary(text)
    texts, generator = [vocabulary.encode(line) for line in text], torch.Generator().manual_seed(0)
    if method == "skip-gram":
        vectors = train_skip_gram(texts, vocabulary.counts, 8, window=5, steps=200, generator=generator).vectors
    else:
        table = cooccurrences(texts, len(vocabulary), window=5)
        trained = method == "GloVe"
        vectors = train_glove(table, 8, steps=250, generator=generator).vectors if trained else pmi_vectors(table, 8)
    number = {(s, p): vocabulary.numbers.get(f"{s}-{p}", 0) for s in SERVICES for p in PARTS}
    questions = [(s, t, p, q) for s in SERVICES for t in SERVICES for p in PARTS for q in PARTS if s != t and p != q]
    right = [
        int(analogy(vectors, number[s, p], number[s, q], number[t, p])[0]) == number[t, q] for s, t, p, q in questions
    ]
    points = vectors[list(number.values())].numpy()
    points = (points - points.mean(axis=0)) @ np.linalg.svd(points - points.mean(axis=0))[2][:2].T
    plot = go.Figure()
    for k, (service, colour) in enumerate(zip(SERVICES, (BLUE, ORANGE, GREEN, RED), strict=True)):
        own = points[3 * k : 3 * k + 3]
        plot.add_scatter(
            x=[*own[:, 0], own[0, 0]],
            y=[*own[:, 1], own[0, 1]],
            text=[*PARTS, ""],
            mode="lines+markers+text",
            textposition="top center",
            name=service,
            line_color=colour,
        )
    headline(plot, f"{np.mean(right):.0%} of {len(right)} analogies are right")
    plot.update_xaxes(title="first axis")
    plot.update_yaxes(title="second axis")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Where does a score settle?")
def settling(
    ratio: Annotated[float, Range(0.05, 50, log=True)] = 4.0,
    negatives: Annotated[int, Range(1, 20)] = 5,
) -> go.Figure:
    """The loss of one pair of words by its score, if they stand together so many times as often as chance says.

    Each meeting pulls the score up, each draw of the context as a negative pushes it down. The lowest point lies at the
    log of the ratio over the number of negatives: skip-gram factors a table of such logs. GloVe's least squares on the
    log itself are drawn beside.
    """
    scores = torch.linspace(-6, 6, 121)
    one, none = torch.ones(1, 1), torch.zeros(1, 0, 1)
    together = torch.stack([negative_sampling_loss(x.reshape(1, 1), one, none) for x in scores])
    drawn = torch.stack([negative_sampling_loss(x.reshape(1, 1), one, one[None]) for x in scores]) - together
    total = (ratio * together + negatives * drawn) / (ratio + negatives)
    squares = torch.stack([glove_loss(x.reshape(1), torch.tensor([ratio]), ceiling=ratio) for x in scores])
    best = np.log(ratio / negatives)
    plot = go.Figure(go.Scatter(x=scores, y=total, line_color=BLUE, name="skip-gram with negatives"))
    plot.add_scatter(x=scores, y=squares / 10, line={"color": GREY, "dash": "dot"}, name="GloVe, a tenth")
    plot.add_vline(x=float(best), line={"color": ORANGE, "dash": "dash"})
    headline(plot, f"it settles at log({ratio:.3g} / {negatives}) = {best:.2f}")
    plot.update_xaxes(title="score: center · context")
    plot.update_yaxes(title="loss", range=[0, 4])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What does a word weigh in a text?")
def weights(
    smoothing: Annotated[float, Range(1e-5, 1, log=True)] = 1e-3,
    words: Annotated[int, Range(2, 30)] = 8,
) -> go.Figure:
    """The weight of a word by its share of all words, and how much of a text one rare word makes among frequent ones.

    The weight is smoothing / (smoothing + share). A large smoothing is the plain mean, in which a rare word is one of
    many. A small one leaves the rare word alone, and makes texts without it nearly nothing.
    """
    shares = np.geomspace(1e-6, 0.1, 61).tolist()
    one = torch.ones(2, 1)
    text = [torch.tensor([0])]
    weight = [float(sentence_vectors(text, one, torch.tensor([share, 1 - share]), smoothing)[0, 0]) for share in shares]
    rare, frequent = (float(np.interp(np.log(p), np.log(shares), weight)) for p in (1e-4, 0.03))
    plot = go.Figure(go.Scatter(x=shares, y=weight, line_color=BLUE, name="weight"))
    for share, value, name, colour in ((1e-4, rare, "refund", GREEN), (0.03, frequent, "the", ORANGE)):
        plot.add_scatter(x=[share], y=[value], mode="markers+text", text=[name], name=name, marker_color=colour)
    plot.update_traces(textposition="top right")
    part = rare / (rare + (words - 1) * frequent)
    headline(plot, f"of {words} words the rare one makes {part:.0%}")
    plot.update_xaxes(title="share of all words", type="log", exponentformat="power")
    plot.update_yaxes(title="weight", range=[0, 1.15])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
