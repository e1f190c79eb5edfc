"""A report: parts, sentences, and the citations behind them, made from a run's state."""

from __future__ import annotations

from dataclasses import dataclass

from groundup.systems.research.state import Cost, LeftOut, State, Step


@dataclass(frozen=True)
class Citation:
    """A span of a retrieved document or page.

    Attributes:
        number: its number in sentences, from 1, in the order of their need.
        document: the document's name in the knowledge base, or the page's address.
        start: the first character of the span in the document.
        end: the place behind its last character.
        headings: the headings above it.
        quote: the span; line ends within a paragraph are spaces.
        title: the title of a page of the web.
        accessed: the time at which a page of the web was read, in UTC; empty for a document.
    """

    number: int
    document: str
    start: int
    end: int
    headings: str
    quote: str
    title: str = ""
    accessed: str = ""

    @property
    def where(self) -> str:
        """The place for `open`: `notes/retries.md:120-260`."""
        return f"{self.document}:{self.start}-{self.end}"


@dataclass(frozen=True)
class Line:
    """A sentence of a report, and the numbers of its citations, at least one."""

    text: str
    citations: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A part of a report; the heading may be empty."""

    heading: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Report:
    """The report on a question.

    Attributes:
        id: its name for `resume` and `show`.
        question: the question.
        begun: the time of its beginning, in UTC.
        plan: the sub-questions.
        parts: the findings, each sentence with its citations; none if the documents do not say.
        citations: the cited spans.
        gaps: sub-questions without an answer.
        unsupported: sentences of the model that stand in no note; no part has them.
        left_out: orders to models in documents; no part has them either.
        stopped: the limit of the budget that ended the search early; else empty.
        written: whether a model wrote the sentences; else they are quotes.
        trace: the work of each step.
        costs: each call of a model.
        web: the web that was searched and read; empty for documents alone.
    """

    id: str
    question: str
    begun: str
    plan: tuple[str, ...]
    parts: tuple[Part, ...]
    citations: tuple[Citation, ...]
    gaps: tuple[str, ...]
    unsupported: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    stopped: str
    written: bool
    trace: tuple[Step, ...]
    costs: tuple[Cost, ...]
    web: str = ""

    @property
    def abstained(self) -> bool:
        """Whether no source answers."""
        return not self.parts

    @property
    def sentences(self) -> list[str]:
        """All sentences, in order."""
        return [line.text for part in self.parts for line in part.lines]


def make_report(id: str, begun: str, state: State, web: str = "") -> Report:
    """The report of a finished run."""
    notes, plan = state["notes"], state["plan"]
    pages = {source["document"]: source for source in state["sources"] if "accessed" in source}
    citations: dict[tuple[str, int, int], Citation] = {}

    def cited(number: int) -> int:
        note = notes[number - 1]
        place = (note["document"], note["start"], note["end"])
        page = pages.get(note["document"], {})
        made = Citation(
            len(citations) + 1, *place, note["headings"], note["text"], page.get("title", ""), page.get("accessed", "")
        )
        return citations.setdefault(place, made).number

    parts = tuple(
        Part(
            part["heading"],
            tuple(Line(line["text"], tuple(map(cited, line["notes"]))) for line in part["sentences"]),
        )
        for part in state["parts"]
    )
    searched = plan[: state["at"] + 1] if state["stopped"] else plan
    answered = {note["question"] for note in notes}
    return Report(
        id=id,
        question=state["question"],
        begun=begun,
        plan=tuple(plan),
        parts=parts,
        citations=tuple(citations.values()),
        gaps=tuple(question for at, question in enumerate(plan) if at not in answered or at >= len(searched)),
        unsupported=tuple(state["unsupported"]),
        left_out=tuple(state["left_out"]),
        stopped=state["stopped"],
        written=state["draft"] is not None,
        trace=tuple(state["trace"]),
        costs=tuple(state["costs"]),
        web=web,
    )
