"""The state of a run: plain lists and dictionaries, because every step of it is stored."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired, TypedDict

from groundup.errors import UsageError
from groundup.systems.research.prices import Price, Prices


@dataclass(frozen=True)
class Budget:
    """The limits of a run, checked between two steps. At a limit, the report is written from the notes so far.

    Attributes:
        steps: nodes that may run before writing.
        tokens: tokens of models, in and out.
        seconds: seconds of work, without pauses between a stop and a resume.
        money: money for the calls of models, in the currency of the prices; None for no limit.
        prices: the prices at the beginning; a limit of money needs them.
    """

    steps: int = 60
    tokens: int = 60_000
    seconds: float = 600.0
    money: float | None = None
    prices: Prices | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "tokens", "seconds", "money"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise UsageError(f"{name} must be more than 0, got {limit}. Leave it out for the usual.")
        if self.money is not None and self.prices is None:
            raise UsageError(f"money must come with prices, got {self.money:g} without. Name them with --prices FILE.")

    @classmethod
    def stored(cls, values: dict[str, Any]) -> Budget:
        """The budget whose fields were stored."""
        prices = values.get("prices")
        if prices is None:
            return cls(**values)
        models = {name: Price(**price) for name, price in prices["models"].items()}
        return cls(**{**values, "prices": Prices(prices["currency"], models)})


class Source(TypedDict):
    """A retrieved passage, as it was at that time.

    Attributes:
        question: the number of the sub-question that it was retrieved for.
        document: the document's name, or the page's address.
        start: its first character in the document.
        end: the place behind its last character.
        headings: the headings above it.
        text: its text; paragraphs on one line each, and blanks in the place of omissions.
        sha256: the hash of the stored text.
        title: the title of a page of the web.
        accessed: the time at which a page of the web was read, in UTC.
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
    """A place in a source that gives orders to a model; no model saw it."""

    document: str
    start: int
    end: int
    text: str


class Sentence(TypedDict):
    """A sentence of the report; `notes` are the numbers of the notes behind it, perhaps none."""

    text: str
    notes: list[int]


class Part(TypedDict):
    """A part of the report: a heading (it may be empty) and sentences."""

    heading: str
    sentences: list[Sentence]


class Step(TypedDict):
    """The work of a node; with the node `web`, a failed search or page and the reason."""

    node: str
    what: str
    seconds: float


class Cost(TypedDict):
    """The cost of a call of a model.

    Attributes:
        purpose: `plan`, `read for 2` or `write`.
        prompt: the version of its instructions (`version`); calls of older runs have none.
        model: the model's name.
        tokens_in: tokens read.
        cached: tokens read from the provider's cache, if the provider reports them.
        tokens_out: tokens written.
        counted: whether the model counted them; otherwise they are estimated.
        seconds: duration.
        processor: seconds that this process had a processor meanwhile. They are the cost of a model in this process,
            however busy the machine was, unless other calls ran beside it; calls of older runs have none.
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
    """The purpose of a call: `read` for `read for 2`."""
    return cost["purpose"].partition(" ")[0]


class State(TypedDict):
    """The state of a run.

    Attributes:
        question: the question.
        budget: the fields of its `Budget`.
        kind: `single`, `several` or `comparison`.
        plan: the sub-questions.
        at: the number of the sub-question at hand, from 0.
        round: the number of its searches so far, from 0.
        sources: all retrieved passages.
        notes: the spans that answer, in the order of their finding.
        left_out: orders to models in sources.
        draft: a model's text; None for an outline, also if no sentence of the text stands in a source.
        parts: the parts of the report, verified.
        unsupported: sentences of a model that stand in no note.
        stopped: the limit that ended the search early; else empty.
        trace: the work of each node.
        costs: each call of a model.
    """

    question: str
    budget: dict[str, Any]
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


def initial(question: str, budget: dict[str, Any]) -> State:
    """The state of a new run."""
    return State(
        question=question, budget=budget, kind="", plan=[], at=0, round=0, sources=[], notes=[], left_out=[],
        draft=None, parts=[], unsupported=[], stopped="", trace=[], costs=[],
    )  # fmt: skip


def count_of(count: int, noun: str) -> str:
    """A count with its noun, in the singular or the plural."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def used_up(state: State) -> str:
    """The limit of its budget that a run has reached, in words; empty for none."""
    budget, trace, costs = Budget.stored(state["budget"]), state["trace"], state["costs"]
    used = [
        ("steps", sum(step["node"] != "web" for step in trace), budget.steps),
        ("tokens", sum(cost["tokens_in"] + cost["tokens_out"] for cost in costs), budget.tokens),
        ("seconds", sum(step["seconds"] for step in trace), budget.seconds),
    ]
    if budget.money is not None and budget.prices is not None:
        used.append((budget.prices.currency, sum(map(budget.prices.of, costs)), budget.money))
    return next((f"{limit:g} {name}" for name, amount, limit in used if amount >= limit), "")
