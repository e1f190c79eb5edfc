"""The embedded answerer on SQuAD 2.0 dev, beside what anybody could say without reading.

The articles are dealt into two halves: one calibrates the threshold, the other is judged. Questions are put as they are
to any model, as the messages of `rag.prompt`. There are three kinds: *answerable* ones; *written* ones, which people
wrote so that the paragraph seems to answer them and does not; *removed* ones, whose paragraph is not among the sources.
Without the data, nothing is measured.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Figure
from groundup.embedding import load as load_embedder
from groundup.llm.embedded import THRESHOLD, Candidate, candidates, quote
from groundup.llm.opposites import answers_opposite
from groundup.stack.retrieval.rag import Passage, calibrate_threshold, f1, sentences, words
from groundup.stack.retrieval.ranking import BM25, analyse

SOURCES = 3  # paragraphs that are retrieved for a question


@dataclass(frozen=True)
class Case:
    """A question, what answers it (nothing: it has no answer there), and what the answerer would say at least."""

    kind: str
    truths: tuple[str, ...]
    sources: tuple[Passage, ...]
    said: tuple[Candidate, ...]
    question: str
    best: Candidate | None

    @property
    def score(self) -> float:
        """How well the best sentence fits."""
        return max((one.score for one in self.said), default=0.0)

    def text(self, threshold: float) -> str:
        """The answer, where sentences below the threshold are not said."""
        return " ".join(one.text for one in self.said) if self.score >= threshold else ""


def run() -> Iterator[Figure]:
    """Threshold, answer F1, and precision and recall of abstaining."""
    if not Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"), "ir/squad2_cs224n").is_dir():
        return
    from groundup.data import load

    data = load("squad2")
    encode = Remembered()
    articles = np.random.default_rng(0).permutation(np.unique(data["article"]))
    fitted, judged = (cases(half, data, encode) for half in np.split(articles, [len(articles) // 2]))
    # What happens: the answer is in no document. The written questions are made to deceive, and are only judged.
    retrieved = [case for case in fitted if case.kind in ("answerable", "removed")]
    scores = [case.score for case in retrieved]
    calibrated = calibrate_threshold(scores, [bool(case.truths) for case in retrieved])
    yield Figure(
        "threshold, calibrated on the other half of the articles",
        calibrated,
        "points",
        None,
        THRESHOLD,
        "the one in use",
    )

    own = [case for case in judged if case.kind == "own"]
    what = f"answer F1, {len(own):,} questions of SQuAD 2.0 dev, own paragraph given"
    ours = mean_f1(own, THRESHOLD)
    yield Figure(what, ours, "share", None, mean_f1(own, np.inf), "always abstaining")
    first = np.mean([f1(first_sentence(case.sources), case.truths) for case in own])
    yield Figure(what, ours, "share", None, float(first), "the paragraph's first sentence")
    whole = np.mean([f1(case.sources[0].text, case.truths) for case in own])
    yield Figure(what, ours, "share", None, float(whole), "the whole paragraph")
    has = [case for case in own if case.truths]
    first = np.mean([f1(first_sentence(case.sources), case.truths) for case in has])
    what = "the same, those with an answer, never abstaining"
    yield Figure(what, mean_f1(has, 0.0), "share", None, float(first), "the paragraph's first sentence")
    holds = np.mean([any(truth in case.text(0.0) for truth in case.truths) for case in has])
    firsts = np.mean([any(truth in first_sentence(case.sources) for truth in case.truths) for case in has])
    yield Figure(
        "the answer stands in what is quoted", float(holds), "share", None, float(firsts), "the first sentence"
    )
    answerable = [case for case in judged if case.kind == "answerable"]
    for name, way in WAYS.items():
        yield Figure(
            f"written questions without an answer, by {name}",
            float(np.mean([silent(case, way) for case in judged if case.kind == "written"])), "share", None,
            float(np.mean([silent(case, way) for case in answerable])), "answerable questions without one",
        )  # fmt: skip
    for kind in ("removed", "written"):
        without = [case for case in judged if case.kind == kind]
        told = sum(case.score < THRESHOLD for case in without)
        all_silent = told + sum(case.score < THRESHOLD for case in answerable)
        share = len(without) / (len(without) + len(answerable))
        what = f"{{}} of abstaining, {len(answerable):,} answerable and {len(without):,} {kind} questions"
        yield Figure(what.format("precision"), told / all_silent, "share", None, share, "always abstaining")
        yield Figure(what.format("recall"), told / len(without), "share", None, all_silent / (
            len(without) + len(answerable)), "abstaining as often, by chance")  # fmt: skip


def mean_f1(cases: Sequence[Case], threshold: float) -> float:
    """The F1 of SQuAD 2.0: 1 for silence where there is no answer."""
    return float(np.mean([f1(case.text(threshold), case.truths) for case in cases]))


def first_sentence(sources: Sequence[Passage]) -> str:
    """What a reader who reads no further would say."""
    start, end = sentences(sources[0].text)[0]
    return sources[0].text[start:end]


class Remembered:
    """The sentence model, which reads each text once."""

    def __init__(self) -> None:
        self.embedder, self.known = load_embedder(), {}

    def __call__(self, texts: list[str]) -> Any:
        """A vector for each text."""
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known.update(zip(new, self.embedder.encode(new), strict=True))
        return np.stack([self.known[text] for text in texts])


def cases(articles: np.ndarray, data: Any, encode: Remembered) -> list[Case]:
    """Every question about these articles, with what would be said to it."""
    texts, home = [str(text) for text in data["text"]], data["paragraph"]
    rows = np.flatnonzero(np.isin(data["article"][home], articles)).tolist()
    encode([sentence for i in {int(home[row]) for row in rows} for sentence in _sentences(texts[i])])
    encode([str(data["question"][row]) for row in rows])
    made = []
    for article in articles.tolist():
        near = np.flatnonzero(data["article"] == article).tolist()
        index = BM25()
        index.add(near, [texts[i] for i in near])
        for row in rows:
            if data["article"][home[row]] != article:
                continue
            question, own = str(data["question"][row]), int(home[row])
            truths = tuple(answer for answer in str(data["answers"][row]).split("\n") if answer)
            ids = [i for i in index.search([question], SOURCES + 1)[0][0].tolist() if i != -1]
            given = {"own": [own], "answerable" if truths else "written": ids[:SOURCES]}
            if truths:
                given["removed"] = [i for i in ids if i != own][:SOURCES]
            for kind, sources in given.items():
                passages = tuple(Passage(texts[i], str(article)) for i in sources)
                said = tuple(quote(question, passages, encode, 0.0))
                pool = candidates(question, passages, encode)
                best = max(pool, key=lambda candidate: candidate.score, default=None)
                made.append(Case(kind, () if kind == "removed" else truths, passages, said, question, best))
    return made


def lacks_name(case: Case, best: Candidate) -> bool:
    """Whether the best sentence's source lacks a name of the question."""
    held = set(analyse(f"{case.sources[best.number - 1].text} {case.sources[best.number - 1].source}"))
    names = [word for word in re.findall(r"\w+", case.question)[1:] if word[0].isupper()]
    return any(not held.issuperset(analyse(name)) for name in names)


def lacks_number(case: Case, best: Candidate) -> bool:
    """Whether the best sentence's source lacks a number of the question."""
    held = words(case.sources[best.number - 1].text)
    return any(word not in held for word in words(case.question) if any(map(str.isdigit, word)))


WAYS: dict[str, Callable[[Case, Candidate], bool]] = {
    "the score alone": lambda case, best: False,
    "the score, and opposites, which is in use": lambda case, best: answers_opposite(case.question, best.text),
    "the score, and names that the source lacks": lacks_name,
    "the score, and numbers that the source lacks": lacks_number,
}


def silent(case: Case, way: Callable[[Case, Candidate], bool]) -> bool:
    """Whether a question would get no answer, if it were told by one of the ways."""
    return case.best is None or case.best.score < THRESHOLD or way(case, case.best)


def _sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]
