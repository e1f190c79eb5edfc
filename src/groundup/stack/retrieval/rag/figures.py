"""Explorables of RAG: what fits into a budget, what a threshold costs, what F1 sees, and which sentence has a span."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, ORANGE, RED, SKY, headline
from groundup.stack.retrieval.rag import (
    Passage,
    assemble,
    calibrate_threshold,
    check,
    extract,
    f1,
    idf,
    render,
    sentences,
    terms,
    words,
)

RETRIEVED = [
    Passage("Checkout was killed because it exceeded its memory limit. Kubernetes restarts it each time.", "incident"),
    Passage(
        "Kubernetes restarts it each time. Raise the memory limit of checkout, then watch it for an hour.", "runbook"
    ),
    Passage("A container that exceeds its memory limit is killed by the kernel. Its exit code is 137.", "manual"),
    Passage("Checkout was killed because it exceeded its memory limit. Kubernetes restarts it each time.", "copy"),
    Passage("Billing sends invoices at night. It needs the database, the queue and a printer.", "billing"),
    Passage("Exit code 137 means killed.", "glossary"),
]


def _length(text: str) -> int:
    return len(words(text))


@figure("What fits into the context")
def budget(
    tokens: Annotated[int, Range(0, 120)] = 60,
    overlap: Annotated[float, Range(0.1, 1.0, step=0.1)] = 0.5,
) -> go.Figure:
    """Six passages, best first, and a budget. Blue ones are in the context, grey ones were left out.

    The copy is left out whatever the budget. A long passage that has no room lets a shorter one after it in.
    """
    context = assemble(RETRIEVED, budget=tokens, length=_length, overlap=overlap)
    kept = [any(one is passage for one in context) for passage in RETRIEVED]
    plot = go.Figure()
    for name, colour, flag in (("in the context", BLUE, True), ("left out", GREY, False)):
        rows = [n for n, is_in in enumerate(kept) if is_in == flag]
        plot.add_bar(
            x=[f"{n + 1}: {RETRIEVED[n].source}" for n in rows],
            y=[_length(render([RETRIEVED[n]])) for n in rows],
            name=name,
            marker_color=colour,
        )
    used = _length(render(context))
    headline(plot, f"{used} of {tokens} words used")
    order = [f"{n}: {one.source}" for n, one in enumerate(RETRIEVED, 1)]
    plot.update_xaxes(title="passage, best first", categoryorder="array", categoryarray=order)
    plot.update_yaxes(title="length (words)")
    plot.update_layout(showlegend=False)
    return plot


@figure("How much of the question a sentence covers")
def coverage(
    question: Literal[
        "Why was checkout killed?", "What does exit code 137 mean?", "When does billing print passports?"
    ] = "Why was checkout killed?",
    threshold: Annotated[float, Range(0, 1, step=0.05)] = 0.5,
    weighed: bool = True,
) -> go.Figure:
    """Each bar is a sentence of the sources; green ones are the answer. Below the threshold, nothing is answered.

    With weights by idf, a rare word counts for more than a common one. Without, each counts one.
    """
    context = assemble(RETRIEVED, budget=200, length=_length)
    weight = idf([one.text for one in context]) if weighed else (lambda term: 1.0)
    answer = extract(question, context, weight=weight, threshold=threshold)
    taken = {claim.support for claim in answer.claims}
    spans = {(support.number, support.start) for support in taken if support}
    asked = {term: weight(term) for term in terms(question)}
    names, values, colours, shown = [], [], [], []
    for number, one in enumerate(context, 1):
        for start, end in sentences(one.text):
            sentence = one.text[start:end]
            names.append(f"[{number}] {' '.join(sentence.split()[:2])} …")
            shared = asked.keys() & set(terms(sentence))
            values.append(sum(asked[term] for term in sorted(shared)) / sum(asked.values()))
            colours.append(GREEN if (number, start) in spans else BLUE)
            shown.append(sentence)
    plot = go.Figure(go.Bar(x=values, y=names, orientation="h", marker_color=colours, hovertext=shown))
    plot.add_vline(x=threshold, line={"dash": "dash", "color": ORANGE})
    plot.update_xaxes(title="share covered", range=[0, 1.05])
    plot.update_yaxes(title="", autorange="reversed", automargin=True)
    return plot


@figure("What a threshold costs")
def threshold(
    wrong: Annotated[float, Range(0, 5, step=0.25)] = 1.0,
    apart: Annotated[float, Range(0, 4, step=0.25)] = 1.5,
    share: Annotated[float, Range(0.1, 0.9, step=0.1)] = 0.5,
) -> go.Figure:
    """The mean cost of each threshold on 400 simulated questions, where silence on an answerable one costs 1.

    The dot is what `calibrate_threshold` chooses; no dot means that it always abstains. Make wrong answers dearer, and
    it moves right. Move the two kinds together (`apart` 0), and either always answering or never doing so is best.
    """
    rng = np.random.default_rng(0)
    answerable = np.arange(400) < round(400 * share)
    scores = 1 / (1 + np.exp(-rng.normal(np.where(answerable, apart / 2, -apart / 2), 1.0)))
    grid = np.linspace(0, 1, 101)
    answered = scores[None, :] >= grid[:, None]
    costs = wrong * (answered & ~answerable).mean(axis=1) + (~answered & answerable).mean(axis=1)
    chosen = calibrate_threshold(scores, answerable, wrong=wrong)
    plot = go.Figure()
    plot.add_scatter(x=grid, y=costs, name="cost", line={"color": BLUE, "width": 3})
    if np.isfinite(chosen):
        cost = wrong * ((scores >= chosen) & ~answerable).mean() + ((scores < chosen) & answerable).mean()
        plot.add_scatter(x=[chosen], y=[cost], mode="markers", name="chosen", marker={"color": RED, "size": 13})
    plot.update_xaxes(title="threshold on the score", range=[0, 1])
    plot.update_yaxes(title="mean cost per question", rangemode="tozero")
    plot.update_layout(showlegend=False)
    return plot


@figure("What F1 sees")
def overlap(
    right: Annotated[int, Range(0, 5)] = 3,
    extra: Annotated[int, Range(0, 25)] = 10,
    truth: Annotated[int, Range(1, 5)] = 3,
) -> go.Figure:
    """An answer of some right words and some extra ones, against a truth of a few words: precision, recall, F1.

    A whole sentence around a right answer has recall 1 and a low F1: the measure wants the answer and nothing else.
    """
    truth_words = [f"right{n}" for n in range(truth)]
    answer = " ".join([*truth_words[:right], *(f"extra{n}" for n in range(extra))])
    same = min(right, truth)
    given = same + extra
    values = {
        "precision": same / given if given else 0.0,
        "recall": same / truth,
        "F1": f1(answer, [" ".join(truth_words)]),
    }
    plot = go.Figure(
        go.Bar(
            x=list(values),
            y=list(values.values()),
            text=[f"{value:.2f}" for value in values.values()],
            marker_color=[SKY, ORANGE, BLUE],
        )
    )
    plot.update_xaxes(title="measure")
    plot.update_yaxes(title="value", range=[0, 1.05])
    return plot


REPLY = (
    "Checkout exceeded its memory limit and was killed [1]. The exit code is 137 [2]. "
    "The exit code is 139 [2]. Somebody should buy a larger cluster [1]."
)


@figure("Which sentences hold")
def support(
    share: Annotated[float, Range(0.05, 1, step=0.05)] = 0.7,
) -> go.Figure:
    """A model's reply, sentence by sentence, and how much of each stands in what it cites.

    Sentences left of the threshold are not supported. Two numbers differ by one digit: the wrong one is at 0, however
    many of the other words are shared. The axis shows the last words of each.
    """
    context = [RETRIEVED[0], RETRIEVED[2]]
    scored = check(REPLY, context, threshold=1e-9)
    values = [claim.support.score if claim.support else 0.0 for claim in scored]
    held = [claim.support is not None for claim in check(REPLY, context, threshold=share)]
    names = [" ".join(claim.text.split()[-3:]) for claim in scored]
    plot = go.Figure(
        go.Bar(
            x=values,
            y=names,
            orientation="h",
            marker_color=[GREEN if is_held else RED for is_held in held],
            hovertext=[claim.text for claim in scored],
        )
    )
    plot.add_vline(x=share, line={"dash": "dash", "color": ORANGE})
    plot.update_xaxes(title="share in its span", range=[-0.02, 1.05])
    plot.update_yaxes(title="", autorange="reversed", automargin=True)
    return plot
