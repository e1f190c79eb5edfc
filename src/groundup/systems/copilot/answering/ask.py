"""A question about what is stored, answered with citations that open the stored line or chunk.

    with open_store("copilot.duckdb", reading=True) as store:
        answer = ask("Why is checkout failing?", store=store, knowledge=knowledge, model=chat_model())
        answer.sentences[0].text, answer.citations[0].where

1. Log lines: the evidence of `why`, and lines that share words with the question (`Store.search`).
2. Runbooks: what the knowledge base finds for the question, and for the gravest evidence.
3. The model gets rules, these sources (fenced: what they say is data, `rag.prompt`) and the question.
4. Every sentence of its reply is looked up in the sources (`llm.grounding`). One that stands in none is marked as
   unsupported; what is cited is where a sentence was found, so no source can be cited that was not retrieved.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from groundup.errors import GroundupError, UnknownName, UsageError
from groundup.knowledge import Part, is_place, open_place, unwrapped
from groundup.llm.grounding import Grounded, Grounder
from groundup.llm.models import unavailable
from groundup.llm.sources import EVIDENCE, LOG, TO_DO
from groundup.secrets import hide
from groundup.systems.copilot.finding.evidence import CHANGE, why
from groundup.systems.copilot.reading.logs import Record, parse

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

    from groundup.knowledge import Knowledge
    from groundup.stack.retrieval.rag import Passage
    from groundup.systems.copilot.finding.evidence import Evidence
    from groundup.systems.copilot.store import Source, Store

BUDGET = 3_000  # tokens of sources, counted as three characters each: a model's own tokenizer is not at hand
MOST_LINES = 8  # of each kind: evidence, and lines that share words with the question
MOST_PASSAGES = 5
LEAD, LEAD_LINES = 10.0, 3  # seconds before the gravest failure, and lines where there are no times
SAID = 200  # characters of a failure that are told of what leads to it
CHECKED = 1_000  # records between two calls of `check`
STEPS = re.compile(rf"{TO_DO.pattern}|diagnos|troubleshoot", re.IGNORECASE)
Kind = Literal["log", "document"]


@dataclass(frozen=True)
class Citation:
    """Where a sentence of an answer stands.

    Attributes:
        number: what the answer cites it by, from 1.
        kind: `log` or `document`.
        where: what opens it (`open_citation`): `app.log#1:42`, source, its number in the store and line; or
            `runbooks/oom.md:120-260`, document and characters.
        start: the first character of the cited span, in the record or in the document.
        end: behind its last.
        text: the span; line ends within a paragraph of a document are spaces.
    """

    number: int
    kind: Kind
    where: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Sentence:
    """A sentence of an answer, the numbers of its citations, and whether it stands in a source."""

    text: str
    citations: tuple[int, ...]
    supported: bool


@dataclass(frozen=True)
class Answer:
    """An answer; without any sentence that is supported, it is an abstention."""

    question: str
    sentences: tuple[Sentence, ...] = ()
    citations: tuple[Citation, ...] = ()

    @property
    def abstained(self) -> bool:
        """Whether nothing in it stands in a source."""
        return not any(sentence.supported for sentence in self.sentences)


@dataclass(frozen=True)
class Event:
    """What happens while a question is answered.

    Attributes:
        kind: `retrieved` (places that may answer), `sentence` (with the citations that are new in it), `answer` (last).
        places: where the sources are, as `Citation.where`; of `retrieved`.
        sentence: of `sentence`.
        citations: what the sentence cites and none before it did.
        answer: of `answer`.
    """

    kind: Literal["retrieved", "sentence", "answer"]
    places: tuple[str, ...] = ()
    sentence: Sentence | None = None
    citations: tuple[Citation, ...] = ()
    answer: Answer | None = None


@dataclass(frozen=True)
class Found:
    """A source for the model: its text, where it is from in words, and where it is.

    Attributes:
        text: the text.
        about: what the model is told of it.
        kind: `log` or `document`.
        place: its source: what stands before the colon in `Citation.where`.
        position: of a log, the line.
        offset: where the text begins in the record or document.
    """

    text: str
    about: str
    kind: Kind
    place: str
    position: int
    offset: int

    def citation(self, number: int, start: int, end: int) -> Citation:
        """A span of the text as a citation."""
        first, last = self.offset + start, self.offset + end
        where = f"{self.place}:{self.position}" if self.kind == "log" else f"{self.place}:{first}-{last}"
        return Citation(number, self.kind, where, first, last, self.text[start:end])


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def ask(
    question: str,
    *,
    store: Store | None = None,
    knowledge: Knowledge | None = None,
    model: BaseChatModel,
    since: str | None = None,
) -> Answer:
    """Answer a question from the stored logs and the knowledge base; either may be missing.

    Args:
        question: what is asked.
        store: the logs.
        knowledge: the runbooks.
        model: what writes the answer (`groundup.llm.chat_model`).
        since: only logs from then on: a span back from the newest line (`2h`), or a time.

    Raises:
        UsageError: the question says nothing, or there is neither store nor knowledge base.
        ModelUnavailable: the model does not answer.
    """
    answers = (event.answer for event in stream(question, store=store, knowledge=knowledge, model=model, since=since))
    return next(answer for answer in answers if answer)


def stream(
    question: str,
    *,
    store: Store | None = None,
    knowledge: Knowledge | None = None,
    model: BaseChatModel,
    since: str | None = None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Event]:
    """As `ask`, telling what happens as it does: sentences come checked, as soon as the model has finished each.

    `check` is called again and again on the way; what it raises ends the answer.
    """
    from groundup.stack.retrieval.rag import Passage

    if not question.strip():
        raise UsageError(f"question must say something, got {question!r}. For example: Why is checkout failing?")
    if store is None and knowledge is None:
        raise UsageError("ask needs a store or a knowledge base, got neither. Name one of them.")
    question = hide(" ".join(question.split()))
    sources = retrieve(question, store=store, knowledge=knowledge, since=since, check=check)
    yield Event("retrieved", tuple(source.citation(0, 0, len(source.text)).where for source in sources))
    passages = [Passage(source.text, source.about) for source in sources]
    grounder = Grounder(passages)
    cited = _Cited(sources)
    sentences: list[Sentence] = []
    for whole in _replied(question, passages, model, grounder, check):
        for claim in whole:
            sentence, new = cited.take(claim)
            if sentence is not None:
                sentences.append(sentence)
                yield Event("sentence", sentence=sentence, citations=new)
    yield Event("answer", answer=Answer(question, tuple(sentences), tuple(cited.citations)))


def _replied(
    question: str,
    passages: Sequence[Passage],
    model: BaseChatModel,
    grounder: Grounder,
    check: Callable[[], None],
) -> Iterator[list[Grounded]]:
    """The model's reply as grounded sentences."""
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.runnables import RunnableLambda

    from groundup.stack.retrieval.rag import prompt

    def messages(asked: str) -> list[dict[str, str]]:
        return prompt(asked, passages)  # as data, not by a template: braces in a log line must stay braces

    chain = RunnableLambda(messages) | model | StrOutputParser()
    pieces = chain.stream(question)
    while True:
        check()
        try:
            piece = next(pieces, None)
        except GroundupError:
            raise
        except Exception as error:  # every provider has its own
            raise unavailable(model, error) from error
        if piece is None:
            break
        yield grounder.feed(piece)
    yield grounder.close()


class _Cited:
    """Numbers the citations in the order in which sentences need them."""

    def __init__(self, sources: Sequence[Found]) -> None:
        self.sources = sources
        self.citations: list[Citation] = []

    def take(self, claim: Grounded) -> tuple[Sentence | None, tuple[Citation, ...]]:
        """A sentence with its citation, and the citation where it is new; nothing for the words of an abstention."""
        from groundup.stack.retrieval.rag import NO_ANSWER

        if claim.text == NO_ANSWER:
            return None, ()
        if claim.span is None:
            return Sentence(claim.text, (), False), ()
        made = self.sources[claim.span.number - 1].citation(len(self.citations) + 1, claim.span.start, claim.span.end)
        for known in self.citations:
            if (known.where, known.start, known.end) == (made.where, made.start, made.end):
                return Sentence(claim.text, (known.number,), True), ()
        self.citations.append(made)
        return Sentence(claim.text, (made.number,), True), (made,)


# ── retrieving ──────────────────────────────────────────────────────────────────────────────────────────────────────
def retrieve(
    question: str,
    *,
    store: Store | None = None,
    knowledge: Knowledge | None = None,
    since: str | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[Found]:
    """The sources for a question: evidence, log lines and runbooks, as far as a prompt has room for them."""
    from groundup.stack.retrieval.rag import Passage, assemble

    evidence = []
    if store is not None:
        evidence = why(_checked(store.records(since=since), check), whole=lambda: not store.unread())
    check()
    gravest = sorted(evidence, key=lambda piece: -piece.score)
    patterns = None if store is None else store.patterns
    messages = [next(parse([piece.text], patterns=patterns)).message for piece in gravest[:2]]
    failure = gravest[0] if gravest else None
    leads = [] if failure is None else [piece for piece in evidence if _leads_to(piece, failure)]
    gravest.sort(key=lambda piece: piece not in leads)  # no failure tells why; what comes right before it may
    evidence = [piece for piece in evidence if piece in gravest[:MOST_LINES]]  # as they came
    follows = f" ({hide(messages[0])[:SAID]})" if messages else ""
    lines = [] if store is None else _lines(question, store, since, evidence, leads, follows)
    check()
    documents = [] if knowledge is None else _documents(question, knowledge, messages)
    # Some of all that there is first, so that all of it is in what there is room for.
    sources = [*lines[:MOST_LINES], *documents, *lines[MOST_LINES:]]
    passages = [Passage(source.text, source.about) for source in sources]
    held = {id(passage): source for passage, source in zip(passages, sources, strict=True)}
    return [held[id(passage)] for passage in assemble(passages, budget=BUDGET, length=lambda text: len(text) // 3)]


def _checked(records: Iterator[Record], check: Callable[[], None]) -> Iterator[Record]:
    for number, record in enumerate(records):
        if number % CHECKED == 0:
            check()
        yield record


def _lines(
    question: str,
    store: Store,
    since: str | None,
    evidence: Sequence[Evidence],
    leads: Sequence[Evidence],
    follows: str,
) -> list[Found]:
    """Evidence of what is wrong, then lines that share words with the question.

    Of what leads to the failure, it is told which failure follows: a cause seldom has a word of its effect.
    """
    ids: dict[str, list[Source]] = {}
    for source in store.sources():
        ids.setdefault(source.name, []).append(source)

    def line(number: int, name: str, text: str, time: float | None, service: str | None, more: str) -> Found:
        source = next((candidate for candidate in ids[name] if store.says(candidate, number, text)), ids[name][0])
        when = "" if time is None else f" at {datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S}Z"
        about = f"{LOG}{service or Path(name).name}{when}{more}"
        return Found(hide(text), about, "log", f"{name}#{source.id}", number, 0)

    highest = max((piece.score for piece in evidence), default=0.0)
    grave = [piece for piece in evidence if piece.score >= highest / 2]
    failing = ", ".join(dict.fromkeys(piece.service or Path(piece.source).name for piece in grave))

    def role(piece: Evidence) -> str:
        reasons = "; ".join(piece.reasons)
        if piece in leads:
            return f", {EVIDENCE}{failing}{follows}: {reasons}"
        return f", {EVIDENCE}{failing}: {reasons}" if piece in grave else ", nearby"

    passages = [
        line(piece.number, piece.source, piece.text, piece.time, piece.service, role(piece)) for piece in evidence
    ]
    there = {(passage.place, passage.position) for passage in passages}
    for hit in store.search(_asked(question), since=since, most=MOST_LINES):
        passage = line(hit.number, hit.source, hit.text, hit.time, hit.service, "")
        if (passage.place, passage.position) not in there:
            passages.append(passage)
    return passages


def _leads_to(piece: Evidence, failure: Evidence) -> bool:
    """Whether a piece may be the cause of the gravest failure: a change, or what comes right before it."""
    if piece is failure:
        return False
    if piece.reasons[0].startswith(CHANGE):
        return True
    if piece.time is None or failure.time is None:
        return piece.source == failure.source and 0 < failure.number - piece.number <= LEAD_LINES
    before = failure.time - piece.time
    return 0 < before <= LEAD or (before == 0 and piece.source == failure.source and piece.number < failure.number)


def _asked(question: str) -> list[str]:
    """The words of a question that a line may hold, without the endings that English gives them."""
    from groundup.stack.retrieval.rag import terms

    return sorted(set(terms(question)))


def _documents(question: str, knowledge: Knowledge, messages: Sequence[str]) -> list[Found]:
    """What the knowledge base says about the question and about the gravest lines, and what it says to do there."""
    asked = knowledge.search(question, MOST_PASSAGES)
    about = [hit for message in messages for hit in knowledge.search(message, 1)]
    best = [part for hit in (*asked[:1], *about) for part in (hit, *knowledge.under(hit.source, STEPS))]
    chunks = {(chunk.source, chunk.start): chunk for chunk in (*best, *asked[1:])}
    return [
        Found(
            unwrapped(hide(chunk.text)), f"{chunk.source}, {chunk.headings}", "document", chunk.source, 0, chunk.start
        )
        for chunk in chunks.values()
    ]


# ── opening ─────────────────────────────────────────────────────────────────────────────────────────────────────────
_LOG = re.compile(r"(?P<name>.+)#(?P<id>\d+):(?P<line>\d+)")
AROUND = 3  # lines before and after the one that is cited


def open_citation(where: str, *, store: Store | None = None, knowledge: Knowledge | None = None) -> list[Part]:
    """What a citation stands for (`Citation.where`), with its neighbours.

    Raises:
        UsageError: it is no citation, there is nothing there, or the store or knowledge base that it needs is missing.
        UnknownName: its source or document is not there.
    """
    if match := _LOG.fullmatch(where):
        if store is None:
            raise UsageError(f"CITATION '{where}' is a line of a log, and there is no store. Name it with --store.")
        return _open_line(match["name"], int(match["id"]), int(match["line"]), store)
    if is_place(where):
        if knowledge is None:
            raise UsageError(
                f"CITATION '{where}' is a place in a document, and there is no knowledge base. "
                "Name it with --knowledge."
            )
        return open_place(where, knowledge)
    raise UsageError(
        f"CITATION must be as an answer gives it: 'app.log#1:42' or 'runbooks/oom.md:120-260', got '{where}'."
    )


def _open_line(name: str, id: int, line: int, store: Store) -> list[Part]:
    source = next(
        (
            candidate
            for candidate in store.sources()
            if candidate.id == id and name in (candidate.name, Path(candidate.name).name)
        ),
        None,
    )
    if source is None:
        known = [f"{candidate.name}#{candidate.id}" for candidate in store.sources()]
        raise UnknownName("source in the store", f"{name}#{id}", known, see="groundup copilot status")
    if not 1 <= line <= source.lines:
        raise UsageError(f"CITATION must name a line from 1 to {source.lines} of {name}, got {line}.")
    first, rows = store.around(source, line, AROUND)
    return [Part(f"{name}#{id}:{n}", text, n == line) for n, text in enumerate(rows, first)]
