"""The research assistant over HTTP.

    uvicorn.run(create_app(Settings(Path("research.sqlite"))))

Every error has one shape, `{"error": "…", "status": 422}`; the events of a run are streamed as lines of JSON. No
request names a path of the server. This module imports FastAPI (the extra `research`), so import it when an API is
started, not before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import FastAPI, Query
from fastapi import Path as PathParam
from fastapi.responses import Response, StreamingResponse
from prometheus_client import Counter
from pydantic import BaseModel, Field

from groundup.api.app import STREAM, OpenedPart, Sent, add_metrics, application, streamed
from groundup.api.errors import Errors, failures
from groundup.api.guard import refusal
from groundup.api.metrics import Metrics
from groundup.api.work import TooSlow, in_thread
from groundup.errors import WebUnavailable
from groundup.systems.research.runs import LONGEST, MOST_LINES
from groundup.systems.research.service import (
    EXPORTS,
    Assistant,
    Crowded,
    Event,
    Format,
    Running,
    Settings,
    document,
)

T = TypeVar("T")
KINDS = {"markdown": "text/markdown", "html": "text/html", "bibtex": "application/x-bibtex"}
Id = Annotated[str, PathParam(pattern=r"^[0-9a-f]{1,8}$", description="A report's id, or the beginning of it.")]


# ── requests and responses ──────────────────────────────────────────────────────────────────────────────────────────
class Question(Sent):
    """A question, and the budget for it."""

    question: str = Field(min_length=1, max_length=LONGEST, pattern=r"\w", examples=["What is full jitter?"])
    stop_at_plan: bool = Field(False, description="End with the plan, which may then be changed, and `resume`d.")
    steps: int = Field(60, ge=1, le=1000, description="Steps before the report is written.")
    tokens: int = Field(60_000, ge=1, le=10_000_000, description="Tokens of the model, in and out.")
    seconds: float = Field(600.0, gt=0, le=86_400, description="Seconds of work.", strict=False)
    money: float | None = Field(
        None, gt=0, le=1e9, strict=False, description="Money for the model's calls, by the prices of the server."
    )


class Plan(Sent):
    """The sub-questions of a report."""

    plan: list[Annotated[str, Field(max_length=LONGEST)]] = Field(
        max_length=MOST_LINES, examples=[["What is full jitter?"]], description="In the order in which they are asked."
    )


class Place(Sent):
    """A citation of a report."""

    where: str = Field(max_length=2000, description="As the report gives it.", examples=["notes/retries.md:120-260"])
    report: str = Field("", pattern=r"^[0-9a-f]{0,8}$", description="The report that cites a page of the web.")


class Run(BaseModel):
    """A report as it was begun, and its next step."""

    id: str
    question: str
    begun: str
    model: str
    web: str = Field(description="Where pages are searched; empty for documents alone.")
    next: str = Field(description="The step that comes now; empty where it is done.")


class CitedSpan(BaseModel):
    """A span of a document or page."""

    number: int
    document: str
    start: int
    end: int
    headings: str
    quote: str
    title: str
    accessed: str
    where: str = Field(description="Its place, for POST /open.")


class ReportLine(BaseModel):
    """A sentence and its citations."""

    text: str
    citations: list[int]


class ReportPart(BaseModel):
    """A heading, perhaps empty, and sentences."""

    heading: str
    lines: list[ReportLine]


class Order(BaseModel):
    """A place in a source that gives orders to a model: no model saw it."""

    document: str
    start: int
    end: int
    text: str


class StepDone(BaseModel):
    """The work of a step."""

    node: str
    what: str
    seconds: float


class Call(BaseModel):
    """The cost of a call of a model."""

    purpose: str
    prompt: str = Field(default="", description="The version of the instructions that it was sent.")
    model: str
    tokens_in: int
    cached: int = 0
    tokens_out: int
    counted: bool
    seconds: float
    processor: float | None = Field(default=None, description="Seconds that the API's process had a processor.")


class ReportDocument(BaseModel):
    """A report: each sentence stands in its sources."""

    id: str
    question: str
    begun: str
    plan: list[str]
    parts: list[ReportPart]
    citations: list[CitedSpan]
    gaps: list[str]
    unsupported: list[str] = Field(description="Sentences of the model that stand nowhere: no part has them.")
    left_out: list[Order]
    stopped: str
    written: bool
    trace: list[StepDone]
    costs: list[Call]
    web: str
    abstained: bool


class Learnt(BaseModel):
    """A document of the knowledge base."""

    document: str
    chunks: int


class CostRow(BaseModel):
    """The calls of one model with one prompt for one purpose of one report."""

    report: str
    begun: str
    purpose: str
    prompt: str
    model: str
    calls: int
    tokens_in: int
    cached: int
    tokens_out: int
    counted: bool
    seconds: float
    money: float | None


class CostTable(BaseModel):
    """The cost of model calls."""

    currency: str = Field(description="Of `money`; empty where no prices were given.")
    rows: list[CostRow]


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _running(error: Running) -> Response:
    return refusal(409, f"Report {error} goes on for somebody else now. GET /reports says where it stands.")


def _crowded(error: Crowded) -> Response:
    return refusal(503, f"At most {error} reports may be made at once, and so many are. Try again in a while.")


def _too_slow(error: TooSlow) -> Response:
    return refusal(
        504, f"It must be done within {error}, and it takes longer. A report is kept as far as it came: POST "
        "/reports/ID/resume goes on with it.",
    )  # fmt: skip


def _no_web(error: WebUnavailable) -> Response:
    return refusal(503, str(error))


ERRORS = Errors(
    "the research assistant", listed="GET /reports",
    own={Running: _running, Crowded: _crowded, TooSlow: _too_slow, WebUnavailable: _no_web},
)  # fmt: skip
FAILURES = failures(_404="There is no such report, place or path.", _409="The report is not at that step.")


# ── the application ─────────────────────────────────────────────────────────────────────────────────────────────────
def create_app(settings: Settings) -> FastAPI:
    """The API on a file of runs."""
    assistant, metrics = Assistant(settings), Metrics("research")
    reports = Counter(
        metrics.named("reports"), "Reports that were finished.", ("abstained",), registry=metrics.registry
    )
    tokens = Counter(metrics.named("tokens"), "Tokens of models.", ("direction",), registry=metrics.registry)
    app = application(
        "research", "From documents, the web and a question to a report in which every sentence has its place.",
        token=settings.token, hosts=settings.hosts, limit=lambda path: settings.body_limit, metrics=metrics,
        errors=ERRORS, responses=FAILURES,
    )  # fmt: skip
    app.state.assistant = assistant
    add_metrics(app, metrics)

    async def run(work: Callable[..., T], *arguments: Any) -> T:
        """Do it in a thread, within the deadline."""
        return await in_thread(lambda: work(*arguments), settings.timeout)

    def sent(event: Event) -> dict[str, Any]:
        """An event as plain data; a report is counted."""
        if event.report is not None:
            reports.labels(str(event.report.abstained).lower()).inc()
            for cost in event.report.costs:
                tokens.labels("in").inc(cost["tokens_in"])
                tokens.labels("out").inc(cost["tokens_out"])
        return event_document(event)

    async def going(id: str, until: Literal["", "plan"]) -> StreamingResponse:
        """The events of a run, as lines of JSON; a status instead if it cannot begin."""
        return await streamed(assistant.run(id, until=until), sent, ERRORS, f"report {id}")

    @app.post("/research", tags=["research"], response_class=StreamingResponse, responses=STREAM)
    async def research(body: Question) -> StreamingResponse:
        """Answer a question, and stream each finished step as a line of JSON.

        First `begun` with the report's id, then each `step`, at last the `report` (or the requested `plan`); or
        `error`. A client that hangs up ends the run at its next step, and `resume` continues it.
        """
        limits = body.model_dump(include={"steps", "tokens", "seconds", "money"})
        id = await run(assistant.begin, body.question, limits)
        return await going(id, "plan" if body.stop_at_plan else "")

    @app.post("/reports/{id}/resume", tags=["research"], response_class=StreamingResponse, responses=STREAM)
    async def resume(id: Id) -> StreamingResponse:
        """Continue a report from its stopped step, with the events of POST /research."""
        return await going(id, "")

    @app.put("/reports/{id}/plan", tags=["research"])
    async def replan(id: Id, body: Plan) -> Plan:
        """Change the plan, before any search."""
        return Plan(plan=await run(assistant.replan, id, body.plan))

    @app.get("/reports", tags=["reports"])
    async def every() -> list[Run]:
        """All reports, the newest first."""
        return [
            Run(id=r.id, question=r.question, begun=r.begun, model=r.model, web=r.web, next=r.next)
            for r in await run(assistant.runs)
        ]

    @app.get("/reports/{id}", tags=["reports"])
    async def report(id: Id) -> ReportDocument:
        """A finished report."""
        return ReportDocument(**document(await run(assistant.report, id)))

    @app.get("/reports/{id}/plan", tags=["reports"])
    async def plan(id: Id) -> Plan:
        """The sub-questions; none before the plan."""
        return Plan(plan=await run(assistant.plan, id))

    texts = {kind: {"schema": {"type": "string"}} for kind in KINDS.values()}

    @app.get("/reports/{id}/export", tags=["reports"], response_class=Response, responses={200: {"content": texts}})
    async def export(id: Id, format: Annotated[Format, Query(description="The format.")] = "markdown") -> Response:
        """A report as Markdown, as a page without scripts, or its sources as BibTeX."""
        text = EXPORTS[format](await run(assistant.report, id))
        return Response(
            text, media_type=f"{KINDS[format]}; charset=utf-8",
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )  # fmt: skip

    @app.post("/open", tags=["reports"])
    async def open_citation(body: Place) -> list[OpenedPart]:
        """The text behind a citation, between its neighbours. A page of the web is shown as it was read."""
        return [OpenedPart(**dataclasses.asdict(part)) for part in await run(assistant.open, body.where, body.report)]

    @app.get("/sources", tags=["operation"])
    async def sources() -> list[Learnt]:
        """The learnt documents."""
        return [Learnt(document=name, chunks=chunks) for name, chunks in (await run(assistant.sources)).items()]

    @app.get("/costs", tags=["operation"])
    async def spent() -> CostTable:
        """The cost of model calls: tokens, seconds, and money for models with prices."""
        return CostTable(**dataclasses.asdict(await run(assistant.costs)))

    return app


def event_document(event: Event) -> dict[str, Any]:
    """An event of a run as plain data."""
    if event.step is not None:
        return {"event": "step", **event.step}
    if event.plan is not None:
        return {"event": "plan", "id": event.id, "plan": list(event.plan)}
    if event.report is not None:
        return {"event": "report", **document(event.report)}
    return {"event": "begun", "id": event.id}
