"""What a run knows at each moment: plain lists and dictionaries, because every step of it is written down."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated, NotRequired, TypedDict

from groundup.errors import UsageError


@dataclass(frozen=True)
class Budget:
    """How much a run may use; looked at between two steps. What is found by then is written up.

    Attributes:
        steps: nodes that may run before writing.
        tokens: tokens of models, in and out.
        seconds: seconds of work, pauses between a stop and a resume left out.
    """

    steps: int = 60
    tokens: int = 60_000
    seconds: float = 600.0

    def __post_init__(self) -> None:
        for name in ("steps", "tokens", "seconds"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be more than 0, got {getattr(self, name)}. Leave it out for the usual.")


class Source(TypedDict):
    """A passage that was retrieved, as it was then.

    Attributes:
        question: the number of the sub-question that it was retrieved for.
        document: the document's name, or the page's address.
        start: its first character in the document.
        end: behind its last.
        headings: what it stands under.
        text: what it says; paragraphs on one line each, and blanks where something was left out.
        sha256: of the text as it is stored.
        title: of a page of the web.
        accessed: when a page of the web was read, in UTC.
    """

    question: int
    document: str
    start: int
    end: int
    headings: str
    text: str
    sha256: str
    title: NotRequired[str]
    accessed: NotRequired[str]


class Note(TypedDict):
    """A span of a source that answers a sub-question."""

    question: int
    document: str
    start: int
    end: int
    headings: str
    text: str


class LeftOut(TypedDict):
    """A place in a source that gives orders to a model, and was shown to none."""

    document: str
    start: int
    end: int
    text: str


class Sentence(TypedDict):
    """A sentence of the report; `notes` are the numbers of those that say so, none for a sentence without."""

    text: str
    notes: list[int]


class Part(TypedDict):
    """A part of the report: a heading (it may be empty) and sentences."""

    heading: str
    sentences: list[Sentence]


class Step(TypedDict):
    """What a node did, or as node `web`, which search or page could not be had and why."""

    node: str
    what: str
    seconds: float


class Cost(TypedDict):
    """What a call of a model took.

    Attributes:
        purpose: `plan`, `read for 2` or `write`.
        prompt: the version of the instructions that it was sent (`version`); calls of older runs have none.
        model: the model's name.
        tokens_in: tokens that it read.
        cached: those of them that came from the provider's cache, where it says so.
        tokens_out: tokens that it wrote.
        counted: whether the model counted them; otherwise they are estimated.
        seconds: how long it took.
        processor: seconds that this process had a processor meanwhile. For a model in this process they are what it
            took, however busy the machine was, unless other calls ran beside it; calls of older runs have none.
    """

    purpose: str
    prompt: NotRequired[str]
    model: str
    tokens_in: int
    cached: NotRequired[int]
    tokens_out: int
    counted: bool
    seconds: float
    processor: NotRequired[float]


def purpose_of(cost: Cost) -> str:
    """What a call was for: `read` for `read for 2`."""
    return cost["purpose"].partition(" ")[0]


class State(TypedDict):
    """All that a run knows.

    Attributes:
        question: what is asked.
        budget: the limits, by name.
        kind: `single`, `several` or `comparison`.
        plan: the sub-questions.
        at: the number of the one at hand, from 0.
        round: how often it was looked for, from 0.
        sources: everything that was retrieved.
        notes: what answers, in the order found.
        left_out: orders to models in sources.
        draft: what a model wrote; None for an outline, also where nothing that it wrote stands anywhere.
        parts: the report's, verified.
        unsupported: sentences of a model that stand in no note.
        stopped: the limit that ended the search early; else empty.
        trace: what each node did.
        costs: each call of a model.
    """

    question: str
    budget: dict[str, float]
    kind: str
    plan: list[str]
    at: int
    round: int
    sources: Annotated[list[Source], operator.add]
    notes: Annotated[list[Note], operator.add]
    left_out: Annotated[list[LeftOut], operator.add]
    draft: str | None
    parts: list[Part]
    unsupported: list[str]
    stopped: str
    trace: Annotated[list[Step], operator.add]
    costs: Annotated[list[Cost], operator.add]


def initial(question: str, budget: dict[str, float]) -> State:
    """What a run knows when it begins."""
    return State(
        question=question, budget=budget, kind="", plan=[], at=0, round=0, sources=[], notes=[], left_out=[],
        draft=None, parts=[], unsupported=[], stopped="", trace=[], costs=[],
    )  # fmt: skip


def count_of(count: int, noun: str) -> str:
    """A count with its noun, in the plural but for one."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def used_up(state: State) -> str:
    """Which limit of its budget a run has reached, in words; empty where none."""
    budget, trace = state["budget"], state["trace"]
    used = {
        "steps": sum(step["node"] != "web" for step in trace),
        "tokens": sum(cost["tokens_in"] + cost["tokens_out"] for cost in state["costs"]),
        "seconds": sum(step["seconds"] for step in trace),
    }
    return next((f"{limit:g} {name}" for name, limit in budget.items() if used[name] >= limit), "")
