"""Experiments with answers: a chat with documents that says when it does not know (004 L19, 000 D13, D14, D19)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.drawing import BLUE, GREEN, RED
from groundup.labs import Recorder, expect, lab
from groundup.stack.retrieval.rag import (
    Answer,
    Passage,
    assemble,
    calibrate_threshold,
    check,
    exact_match,
    extract,
    f1,
    faithfulness,
    idf,
    sentences,
    show,
    terms,
    words,
)


@dataclass(frozen=True)
class DocumentsConfig:
    """Settings of the documents lab.

    Attributes:
        seed: which articles calibrate and which are judged, and which of their questions are asked.
        questions: how many questions of each kind are drawn from either half.
        passages: how many passages are retrieved for a question.
        budget: how many words the sources may have.
        wrong: what answering costs where there is no answer; silence where there is one costs 1.
        shuffle_questions: whether each question is answered from what was retrieved for another one.
    """

    seed: int = 0
    questions: int = 100
    passages: int = 3
    budget: int = 600
    wrong: float = 1.0
    shuffle_questions: bool = False


@dataclass(frozen=True)
class Case:
    """A question with what was retrieved for it, its right answers (none: it has none there), and the answer."""

    truths: tuple[str, ...]
    context: list[Passage]
    answer: Answer


@lab(
    title="A chat with documents",
    question="Can words alone find the sentence that answers, and tell when there is none?",
    data=["squad2"],
    presets={"smoke": {}, "laptop": {"questions": 500}, "full": {"questions": 1200}},
    expectations=[
        expect("sentence_found", beats_baseline_by=0.2, why="It must beat the first sentence of the best passage."),
        expect("abstention_precision", beats_baseline_by=0.1, why="Silence must fall where the answer is missing."),
        expect("faithfulness", at_least=1.0, why="Each sentence of an extractive answer stands in a source."),
    ],
    sabotage=[{"shuffle_questions": True}],
)
def documents(config: DocumentsConfig, record: Recorder) -> None:
    """Retrieve passages of an article for a question, answer by their sentences, and abstain below a threshold.

    There are three kinds of question. *Answerable* ones; *removed* ones, whose paragraph was taken out of the base;
    and *written* ones, which people wrote to look answerable. The threshold is calibrated on the articles of one half
    and judged on the others, for removed and for written questions each.
    """
    from groundup.data import load

    data = load("squad2")
    rng = np.random.default_rng(config.seed)
    articles = rng.permutation(np.unique(data["article"]))
    halves = np.split(articles, [len(articles) // 2])
    kinds = ("answerable", "removed", "written")
    cases: list[dict[str, list[Case]]] = []
    for half in record.progress(halves, label="halves"):
        cases.append({kind: _cases(kind, half, data, config, rng) for kind in kinds})
    fitted, judged = cases

    found = [_holds(case.answer, case.truths) for case in judged["answerable"]]
    first = [_holds(_first_sentence(case.context), case.truths) for case in judged["answerable"]]
    record.baseline("sentence_found", np.mean(first), "the first sentence of the best passage")
    record.result("sentence_found", np.mean(found))

    rows: list[dict[str, Any]] = []
    for kind in ("removed", "written"):
        threshold, scores = _threshold(fitted["answerable"] + fitted[kind], config)
        row = _judge(judged["answerable"] + judged[kind], threshold)
        rows.append({"unanswerable": kind, "threshold": round(threshold, 3), **row})
        record.figure(f"scores, {kind}", _scores_figure(scores, threshold))
    record.table("with a threshold from other articles", rows)
    removed, written = rows
    record.baseline("abstention_precision", removed["without answer"], "always abstaining")
    record.result("abstention_precision", removed["abstention precision"])
    record.result("abstention_recall", removed["abstention recall"])
    record.result("written_abstention_precision", written["abstention precision"])
    record.result("written_abstention_recall", written["abstention recall"])
    record.baseline("squad_f1", written["without answer"], "always abstaining")
    record.result("squad_f1", written["F1"])
    record.result("squad_exact_match", written["exact match"])
    answerable = judged["answerable"]
    record.baseline(
        "answerable_f1",
        np.mean([_f1(_first_sentence(case.context), case.truths) for case in answerable]),
        "the first sentence of the best passage",
    )
    record.result("answerable_f1", np.mean([_f1(case.answer, case.truths) for case in answerable]))
    claims = [check(show(case.answer.claims), case.context) for case in answerable if case.answer.claims]
    record.baseline("faithfulness", 0.0, "an answer without sources")
    record.result("faithfulness", np.mean([faithfulness(some) for some in claims]))
    counts = ", ".join(f"{len(judged[kind])} {kind}" for kind in kinds)
    record.note(
        "What to expect of trained readers on all of SQuAD 2.0: an F1 of 0.66 for the best when it came out "
        "(Rajpurkar et al., 2018), 0.898 for RoBERTa (Liu et al., 2019)."
    )
    record.note(f"Judged on {len(halves[1])} articles, none of which calibrated anything: {counts} questions.")


def _cases(kind: str, articles: np.ndarray, data: Any, config: DocumentsConfig, rng: np.random.Generator) -> list[Case]:
    """Questions of one kind about these articles, with answers that nothing has yet kept back."""
    rows = np.flatnonzero(
        np.isin(data["article"][data["paragraph"]], articles) & ((data["answers"] == "") == (kind == "written"))
    )
    rows = rng.permutation(rows)[: config.questions]
    # What a term tells is known from the documents, and the questions have no part in it.
    numbers = np.flatnonzero(np.isin(data["article"], articles)).tolist()
    texts = {number: str(data["text"][number]) for number in numbers}
    weight = idf(list(texts.values()))
    held = {number: set(terms(text)) for number, text in texts.items()}
    of_article = {name: [n for n in numbers if data["article"][n] == name] for name in articles.tolist()}
    asked, contexts = [], []
    for row in rows.tolist():
        question, home = str(data["question"][row]), int(data["paragraph"][row])
        nearby = [n for n in of_article[data["article"][home]] if not (kind == "removed" and n == home)]
        contexts.append(_retrieve(question, nearby, texts, held, weight, config))
        asked.append(question)
    if config.shuffle_questions:
        contexts = [contexts[i] for i in rng.permutation(len(contexts))]
    truths = [tuple(a for a in str(data["answers"][row]).split("\n") if a and kind == "answerable") for row in rows]
    answers = [
        extract(question, context, weight=weight, threshold=0.0, most=1)
        for question, context in zip(asked, contexts, strict=True)
    ]
    return [Case(*case) for case in zip(truths, contexts, answers, strict=True)]


def _retrieve(
    question: str,
    nearby: Sequence[int],
    texts: dict[int, str],
    held: dict[int, set[str]],
    weight: Callable[[str], float],
    config: DocumentsConfig,
) -> list[Passage]:
    """The passages that cover most of the question's terms, as many as asked for and as the budget allows."""
    wanted = {term: weight(term) for term in terms(question)}
    cover = {n: sum(wanted[term] for term in sorted(wanted.keys() & held[n])) for n in nearby}
    best = sorted(nearby, key=lambda n: (-cover[n], n))[: config.passages]
    passages = [Passage(texts[n], f"paragraph {n}") for n in best]
    return assemble(passages, budget=config.budget, length=lambda text: len(words(text)))


def _first_sentence(context: Sequence[Passage]) -> str:
    text = context[0].text if context else ""
    return next((text[start:end] for start, end in sentences(text)), "")


def _text(answer: Answer | str) -> str:
    return answer if isinstance(answer, str) else " ".join(claim.text for claim in answer.claims)


def _holds(answer: Answer | str, truths: Sequence[str]) -> bool:
    """Whether one of the right answers stands in the answer."""
    return any(truth in _text(answer) for truth in truths)


def _f1(answer: Answer | str, truths: Sequence[str]) -> float:
    return f1(_text(answer), truths)


def _threshold(cases: list[Case], config: DocumentsConfig) -> tuple[float, Any]:
    scores = np.array([case.answer.score for case in cases])
    flags = np.array([bool(case.truths) for case in cases])
    return calibrate_threshold(scores, flags, wrong=config.wrong), (scores, flags)


def _judge(cases: list[Case], threshold: float) -> dict[str, float]:
    """The measures of SQuAD 2.0 and of abstention, where answers below the threshold are held back."""
    given = ["" if case.answer.score < threshold else _text(case.answer) for case in cases]
    silent = np.array([case.answer.score < threshold for case in cases])
    without = np.array([not case.truths for case in cases])
    right = (silent & without).sum()
    return {
        "without answer": without.mean(),
        "abstained": silent.mean(),
        "abstention precision": right / max(1, silent.sum()),
        "abstention recall": right / without.sum(),
        "F1": float(np.mean([f1(text, case.truths) for text, case in zip(given, cases, strict=True)])),
        "exact match": float(
            np.mean([exact_match(text, case.truths) for text, case in zip(given, cases, strict=True)])
        ),
    }


def _scores_figure(scores: Any, threshold: float) -> Any:
    import plotly.graph_objects as go

    values, flags = scores
    figure = go.Figure()
    for name, mask, colour in (("answerable", flags, BLUE), ("not answerable", ~flags, RED)):
        figure.add_histogram(x=values[mask], name=name, marker_color=colour, opacity=0.6, xbins={"size": 0.05})
    if np.isfinite(threshold):
        figure.add_vline(x=threshold, line={"dash": "dash", "color": GREEN})
    figure.update_xaxes(title="share of the question covered", range=[0, 1.05])
    figure.update_yaxes(title="questions")
    figure.update_layout(barmode="overlay")
    return figure
