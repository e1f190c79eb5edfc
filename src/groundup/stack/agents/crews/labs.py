"""Lab of crews: a research crew on real paragraphs, whose writer makes things up now and then."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.agents.crews import Budget, Crew, Worker
from groundup.stack.agents.react import Message, Reply, Tool
from groundup.stack.retrieval.rag import find_span, sentences, terms


@dataclass(frozen=True)
class ResearchConfig:
    """Settings of the research lab.

    Attributes:
        seed: seed of the questions and of what is made up.
        questions: how many questions are asked.
        paragraphs: how many paragraphs there are to search in.
        lies: the share of drafts in which the writer makes something up.
        rounds: how many drafts there are at most.
        tokens: the budget of one question.
        critic: whether the critic looks into the sources; else it accepts everything.
    """

    seed: int = 0
    questions: int = 40
    paragraphs: int = 200
    lies: float = 0.3
    rounds: int = 4
    tokens: int = 6_000
    critic: bool = True


PLAN = [
    {"id": "search", "worker": "searcher", "about": "Find the paragraph that answers the question."},
    {"id": "answer", "worker": "writer", "about": "Answer in one sentence of the source.", "needs": ["search"]},
]


def _sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def _source(message: str) -> str:
    """The data of a message: what stands behind its marks, without remarks on a draft."""
    given = message.split("\n\nWhat was wrong")[0]
    return "\n".join(line[2:] for line in given.split("\n") if line.startswith("| "))


def _searcher(question: str) -> Any:
    """Searches by the question, and hands the paragraph on."""

    def model(messages: list[Message]) -> Reply:
        last = messages[-1]["content"]
        if last.startswith("Observation:"):
            return Reply(f"Final Answer: {_source(last)}")
        return Reply(f"Action: search\nAction Input: {json.dumps({'query': question})}")

    return model


def _writer(question: str, texts: list[str], lies: float, draw: random.Random) -> Any:
    """Gives the sentence of the source with most of the question's terms, or one of another text."""

    def model(messages: list[Message]) -> Reply:
        source = _source(messages[1]["content"])
        if draw.random() < lies:
            source = draw.choice([text for text in texts if text != source])
        asked = set(terms(question))
        return Reply(f"Final Answer: {max(_sentences(source), key=lambda part: len(asked & set(terms(part))))}")

    return model


def _critic(strict: bool) -> Any:
    """Accepts a draft that stands in the source."""

    def model(messages: list[Message]) -> Reply:
        asked, _, draft = messages[1]["content"].partition("\n\nDraft:\n")
        source = "\n".join(re.sub(r"^(\| ){1,2}", "", line) for line in asked.split("\n"))
        score = find_span(_source(draft), source)[2]
        return Reply("ACCEPT" if not strict or score > 0.9 else "REVISE: this is not in the source")

    return model


@lab(
    title="A research crew, and a critic that looks into the sources",
    question="How many made-up sentences does a critic stop, and what does it cost?",
    data=["squad2"],
    presets={
        "smoke": {},
        "laptop": {"questions": 300, "paragraphs": 400},
        "full": {"questions": 1_000, "paragraphs": 600},
    },
    expectations=[
        expect("made_up", at_most=0.05, why="What was accepted stands in the source that was found."),
        expect("made_up", beats_baseline_by=0.1, lower_is_better=True, why="The critic must be worth its tokens."),
        expect("answered", beats_baseline_by=0.1, why="Searching must find more than reading anywhere."),
    ],
    sabotage=[{"critic": False}, {"tokens": 300}],
)
def research(config: ResearchConfig, record: Recorder) -> None:
    """Ask questions of SQuAD: a searcher finds a paragraph, a writer gives a sentence, a critic looks it up.

    All models are scripted. The writer makes up a share of its sentences; the critic is code that looks for the
    sentence in the source. The numbers say what the crew makes of such parts, and nothing about real models.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    from groundup.data import load

    data = load("squad2")
    rng = np.random.default_rng(config.seed)
    kept = rng.permutation(len(data["text"]))[: config.paragraphs]
    texts = [" ".join(text.split()) for text in data["text"][kept].tolist()]
    possible = np.flatnonzero(np.isin(data["paragraph"], kept) & (data["answers"] != ""))
    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    index: Any = vectorizer.fit_transform(texts)
    draw = random.Random(config.seed)

    def search(query: str) -> str:
        """Find the paragraph that fits a query best."""
        asked: Any = vectorizer.transform([query])
        return texts[int((index @ asked.T).toarray().argmax())]

    def outcome(number: int, critic: Any) -> tuple[bool, bool, bool, int]:
        """Accepted, made up, answered, tokens."""
        question = str(data["question"][number])
        workers = [
            Worker("searcher", "finds paragraphs", _searcher(question), [Tool(search, most=5000)]),
            Worker("writer", "answers", _writer(question, texts, config.lies, draw)),
        ]
        crew = Crew(lambda messages: Reply(json.dumps(PLAN)), workers, critic, rounds=config.rounds, handed=2000)
        report = crew.run(question, Budget(config.tokens))
        made_up = find_span(report.text, search(question))[2] <= 0.9
        right = any(answer in report.text for answer in str(data["answers"][number]).split("\n"))
        return report.accepted, made_up, report.accepted and right, report.tokens

    rows = []
    asked = rng.choice(possible, config.questions, replace=False).tolist()
    for name, critic in (("no critic", None), ("critic", _critic(config.critic))):
        ends = [outcome(number, critic) for number in record.progress(asked, label=name)]
        accepted = [end for end in ends if end[0]]
        rows.append(
            {
                "crew": name,
                "accepted": len(accepted) / len(ends),
                "made_up": float(np.mean([end[1] for end in accepted])) if accepted else 1.0,
                "answered": float(np.mean([end[2] for end in ends])),
                "tokens": float(np.mean([end[3] for end in ends])),
            }
        )
    record.table("with and without a critic", rows)
    anywhere = [draw.choice(_sentences(draw.choice(texts))) for _ in asked]
    guesses = zip(asked, anywhere, strict=True)
    guessed = [any(a in text for a in str(data["answers"][number]).split("\n")) for number, text in guesses]
    record.baseline("made_up", rows[0]["made_up"], "the same crew without a critic")
    record.result("made_up", rows[1]["made_up"])
    record.baseline("answered", float(np.mean(guessed)), "any sentence of any paragraph")
    record.result("answered", rows[1]["answered"])
