"""The work of the research API, without HTTP: a queue of runs, on a store that each request opens.

A run continues only while a client reads its events. After the client leaves, `resume` continues the run.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from groundup.api.work import Deadline, NotReady, NotThere, opening, within
from groundup.errors import UsageError
from groundup.knowledge import Knowledge, Part, Reopened, default_location, open_place
from groundup.systems.research.costs import Costs, costs
from groundup.systems.research.export import to_bibtex, to_html, to_markdown
from groundup.systems.research.planning import Routing
from groundup.systems.research.prices import Prices
from groundup.systems.research.report import Report
from groundup.systems.research.runs import Research, Run, open_research
from groundup.systems.research.state import Budget, Step
from groundup.systems.research.web import open_web

if TYPE_CHECKING:
    pass

MEGABYTE = 1 << 20
GRACE = 30.0  # seconds beyond a run's own budget, which is checked between two steps only
RUNS = 4  # at once
EXPORTS = {"markdown": to_markdown, "html": to_html, "bibtex": to_bibtex}
Format = Literal["markdown", "html", "bibtex"]


@dataclass(frozen=True)
class Settings:
    """The settings of an API.

    Attributes:
        store: the file of runs and reports.
        token: the bearer token that it demands; empty for none.
        hosts: host names that it answers to; empty for all.
        model: the chat model (`groundup.llm.chat_model`); empty for `GROUNDUP_LLM`, or the embedded answerer.
        knowledge: the place of the knowledge base: a folder or a URL; empty for the folder beside the store.
        web: the web to search and read (`open_web`); empty for documents alone.
        router: decides between documents and web.
        body_limit: the largest body, in bytes.
        timeout: the longest request without a run, in seconds.
        seconds: the largest budget of a run, in seconds.
        prices: the prices of tokens.
    """

    store: Path
    token: str = ""
    hosts: tuple[str, ...] = ()
    model: str = ""
    knowledge: str = ""
    web: str = ""
    router: Routing = "trained"
    body_limit: int = MEGABYTE
    timeout: float = 60.0
    seconds: float = 600.0
    prices: Prices | None = None

    def __post_init__(self) -> None:
        for name in ("timeout", "seconds"):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be more than 0 seconds, got {getattr(self, name):g}. For example: 60.")


class Running(Exception):
    """Another client holds the run of this id."""


class Crowded(Exception):
    """The largest number of runs is under way."""


class Event(NamedTuple):
    """An event of a run: exactly one of `step`, `plan`, `report`, or none at the beginning."""

    id: str
    step: Step | None = None
    plan: tuple[str, ...] | None = None
    report: Report | None = None


class Assistant:
    """The operations of the API.

    Raises:
        UsageError: the model or the web does not exist.
        StoreError: the store cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        from groundup.llm import chat_model

        self.settings = settings
        self.model = chat_model(settings.model or None)
        self.web = open_web(settings.web) if settings.web else None
        self._knowledge = Reopened(settings.knowledge or default_location(settings.store))
        self._lock = threading.Lock()
        self._going: set[str] = set()
        with open_research(settings.store):  # creates a missing store, and migrates an old one
            pass

    @property
    def knowledge(self) -> Knowledge | None:
        """The knowledge base as it is now; None if it is empty or missing."""
        knowledge = self._knowledge.now()
        return knowledge if knowledge is not None and len(knowledge) else None

    # ── runs ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def begin(self, question: str, limits: dict[str, Any]) -> str:
        """Store a new run, and return its id.

        Args:
            question: the question.
            limits: of the `Budget`, by name. A limit of money is by the prices of the settings.

        Raises:
            UsageError: the question is empty or too long, or the budget is too large; or it limits money, and the
                server has no prices, or none for its model.
            NotReady: there is nothing to search.
        """
        if limits.get("money") is None:
            budget = Budget(**limits)
        elif self.settings.prices is None:
            raise UsageError(
                f"money must come with prices, got {limits['money']:g}, and the server has none. Leave it out, or "
                "start the server with --prices FILE."
            )
        else:
            budget = Budget(**limits, prices=self.settings.prices)
        if budget.seconds > self.settings.seconds:
            most = f"{self.settings.seconds:g}"
            raise UsageError(f"seconds must be at most {most} here, got {budget.seconds:g}. Leave it out, or ask less.")
        knowledge = self.knowledge
        if knowledge is None and self.web is None:
            raise NotReady(
                "There must be documents or the web to look in, and there is neither. Fill the knowledge base: "
                "groundup research learn FOLDER. Or serve with --web."
            )
        with open_research(self.settings.store, knowledge=knowledge, model=self.model, web=self.web) as research:
            where = self._knowledge.location if knowledge is not None else ""
            return research.begin(question, budget, model=self.settings.model, knowledge=where)

    def run(self, id: str, *, until: Literal["", "plan"] = "") -> Generator[Event, None, None]:
        """Continue a run, and yield its events: the beginning at once, at last the plan or the report.

        Raises:
            UnknownName: there is no such run.
            Running: another client holds it.
            Crowded: too many runs are under way.
            TooSlow: it takes longer than its budget and the grace; it stays at its last step.
        """
        with self._reading() as research:
            run = research.find(id)
            seconds = research.budget(run.id).seconds
        events = within(self._events(run, until), Deadline(seconds + GRACE))
        yield next(events)  # the run is taken, or refused, before there is a stream
        yield from events

    def _events(self, run: Run, until: Literal["", "plan"]) -> Generator[Event, None, None]:
        with self._taken(run.id):
            yield Event(run.id)
            knowledge = self.knowledge
            if knowledge is None and self.web is None and run.next:
                raise NotReady("There must be documents or the web to look in, and there is neither any more.")
            with open_research(
                self.settings.store,
                knowledge=knowledge,
                model=self.model,
                web=self.web,
                router=self.settings.router,
                reading=True,
            ) as research:
                for step in research.run(run.id, until=until):
                    yield Event(run.id, step=step)
                if research.find(run.id).next:
                    yield Event(run.id, plan=tuple(research.planned(run.id)))
                else:
                    yield Event(run.id, report=research.report(run.id))

    @contextmanager
    def _taken(self, id: str) -> Iterator[None]:
        with self._lock:
            if id in self._going:
                raise Running(id)
            if len(self._going) >= RUNS:
                raise Crowded(str(RUNS))
            self._going.add(id)
        try:
            yield
        finally:
            with self._lock:
                self._going.discard(id)

    def replan(self, id: str, plan: list[str]) -> list[str]:
        """Replace the plan by a person's sub-questions, and return the new plan."""
        with self._reading() as research:
            run = research.find(id)
            with self._taken(run.id):
                research.knowledge, research.web, research.model = self.knowledge, self.web, self.model
                try:
                    research.replan(run.id, plan)
                except UsageError as error:
                    raise (error if run.next == "retrieve" else NotReady(str(error))) from error
                return research.planned(run.id)

    # ── the store ───────────────────────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def _reading(self) -> Iterator[Research]:
        with open_research(self.settings.store) as research:
            yield research

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        with self._reading() as research:
            return research.runs()

    def report(self, id: str) -> Report:
        """A finished report.

        Raises:
            UnknownName: there is no such run.
            NotReady: the run is not finished.
        """
        with self._reading() as research:
            run = research.find(id)
            if run.next:
                raise NotReady(
                    f"Report {run.id} must be done, and {run.next} comes next. POST /reports/{run.id}/resume goes on."
                )
            return research.report(run.id)

    def plan(self, id: str) -> list[str]:
        """The sub-questions of a run; none before its plan."""
        with self._reading() as research:
            return research.planned(research.find(id).id)

    def open(self, citation: str, report: str) -> list[Part]:
        """The text behind a citation, with its surroundings."""
        with opening():
            if citation.startswith(("http://", "https://")):
                with self._reading() as research:
                    return research.open_page(citation, report)
            knowledge = self.knowledge
            if knowledge is None:
                raise NotThere("There is no document to open: the knowledge base holds nothing any more.")
            return open_place(citation, knowledge)

    def sources(self) -> dict[str, int]:
        """The learnt documents, each with its number of chunks."""
        knowledge = self.knowledge
        return {} if knowledge is None else knowledge.documents()

    def costs(self) -> Costs:
        """The cost of model calls."""
        with self._reading() as research:
            return costs(research, self.settings.prices)


def document(report: Report) -> dict[str, Any]:
    """A report as plain data, with the place of each citation."""
    data = asdict(report)
    for citation, made in zip(data["citations"], report.citations, strict=True):
        citation["where"] = made.where
    for cost in data["costs"]:
        cost.setdefault("cached", 0)  # a report from before it was kept
    return {**data, "abstained": report.abstained}
