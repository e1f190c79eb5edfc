"""The sentinel over HTTP.

    uvicorn.run(create_app(Settings(Path("sentinel.sqlite"), Path("sentinel.models"))))

Every error has one shape, `{"error": "…", "status": 422}`. No request names a path of the server, and the API
fetches no address. This module imports FastAPI (the extra `sentinel`), so import it when an API is started.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import FastAPI
from fastapi import Path as PathParam
from fastapi.responses import Response
from prometheus_client import Counter
from pydantic import BaseModel, Field

from groundup.api.app import OpenedPart, Sent, add_metrics, application
from groundup.api.errors import Errors, failures
from groundup.api.guard import refusal
from groundup.api.metrics import Metrics
from groundup.api.work import in_thread
from groundup.systems.sentinel.addresses import LONGEST
from groundup.systems.sentinel.cases import Standing
from groundup.systems.sentinel.intelligence import LONGEST as LONGEST_QUESTION
from groundup.systems.sentinel.service import Sentinel, Settings, document

T = TypeVar("T")
Id = Annotated[
    str, Field(pattern=r"^[0-9a-f]{1,8}$", description="A case's id, or its beginning.", examples=["3f2a91c0"])
]
Person = Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S", examples=["ada"])]


# ── requests and responses ──────────────────────────────────────────────────────────────────────────────────────────
class Scan(Sent):
    """Inputs that belong together, at least one: the URL of a page, a screenshot of it, a log."""

    url: str = Field("", max_length=LONGEST, examples=["https://paypa1-login.top"], description="Never fetched.")
    screenshot: str = Field("", description="A PNG, JPEG or WebP file in base64.")
    screenshot_name: str = Field("screenshot", max_length=200)
    log: str = Field("", description="Lines.")
    log_name: str = Field("log", max_length=200)


class Decide(Sent):
    """A decision that a person has confirmed."""

    case: Id
    action: Literal["block", "allow", "quarantine"] = Field(examples=["block"])
    by: Person
    confirm: bool = Field(description="True once a person has confirmed it.", examples=[True])


class Undo(Sent):
    """The case whose decision is taken back, and the person who does so."""

    case: Id
    by: Person


class Question(Sent):
    """A question on techniques and vulnerabilities."""

    question: str = Field(min_length=1, max_length=LONGEST_QUESTION, pattern=r"\w", examples=["What is T1566.002?"])


class Place(Sent):
    """A place in a document, as an answer cites it."""

    where: str = Field(max_length=2000, examples=["intelligence/T1566.md:0-200"])


class FactOut(BaseModel):
    """A sentence, its id, and its source; the source is empty for the unknown."""

    id: str
    text: str
    where: str


class FiredOut(BaseModel):
    """A rule in words, with its strength."""

    rule: str
    strength: float


class FindingOut(BaseModel):
    """The result of a scan; a null score is unknown."""

    subjects: dict[str, str]
    host: str
    hashes: dict[str, str]
    scores: dict[str, float | None]
    evidence: dict[str, list[str]]
    risk: float | None
    level: str
    fired: list[FiredOut]
    intelligence: list[FactOut]
    proposed: str = Field(description="The proposed action; nothing is done before a person confirms it: POST /decide.")


class DecisionOut(BaseModel):
    """A decision; `undone` holds the time of its undo and the person."""

    action: str
    by: str
    at: str
    entries: list[str]
    undone: str


class CaseOut(BaseModel):
    """A case; `standing` is the decision that holds."""

    id: str
    at: str
    finding: FindingOut
    decisions: list[DecisionOut]
    standing: DecisionOut | None


class AnswerOut(BaseModel):
    """Sentences, each with its source."""

    facts: list[FactOut]
    refused: str
    dropped: list[str] = Field(description="Sentences of the model that stand nowhere, or name an id of no list.")
    left_out: list[str] = Field(description="Documents that no model saw: they read like orders to a model.")
    unknown: bool


def _standing(error: Standing) -> Response:
    return refusal(409, str(error))


ERRORS = Errors("the sentinel", listed="GET /cases", own={Standing: _standing})
FAILURES = failures(_404="There is no such case, place or path.", _409="The case is decided, or is not.")


# ── the application ─────────────────────────────────────────────────────────────────────────────────────────────────
def create_app(settings: Settings) -> FastAPI:
    """The API on a file of cases."""
    sentinel, metrics = Sentinel(settings), Metrics("sentinel")
    scans = Counter(metrics.named("scans"), "Cases that were scanned.", ("level",), registry=metrics.registry)
    decided = Counter(metrics.named("decisions"), "Decisions and undos.", ("what",), registry=metrics.registry)
    refused = Counter(metrics.named("refused_questions"), "Questions refused by the guard.", registry=metrics.registry)
    app = application(
        "sentinel", "URLs, screenshots and logs in; a risk with its rules and evidence out. A person decides.",
        token=settings.token, hosts=settings.hosts, limit=lambda path: settings.body_limit, metrics=metrics,
        errors=ERRORS, responses=FAILURES,
    )  # fmt: skip
    app.state.sentinel = sentinel
    add_metrics(app, metrics)

    async def run(work: Callable[..., T], *arguments: Any) -> T:
        """Do it in a thread, within the deadline."""
        return await in_thread(lambda: work(*arguments), settings.timeout)

    @app.post("/scan", tags=["cases"])
    async def scan(body: Scan) -> CaseOut:
        """Scan a URL, a screenshot, a log, or several that belong together. The case is kept."""
        names = {"screenshot": body.screenshot_name, "log": body.log_name}
        case = await run(sentinel.scan, body.url, body.screenshot, body.log, names)
        scans.labels(case.finding.level).inc()
        return CaseOut(**document(case))

    @app.get("/cases", tags=["cases"])
    async def every() -> list[CaseOut]:
        """All cases, the newest first."""
        return [CaseOut(**document(case)) for case in await run(sentinel.all)]

    @app.get("/cases/{id}", tags=["cases"])
    async def one(id: Annotated[str, PathParam(pattern=r"^[0-9a-f]{1,8}$")]) -> CaseOut:
        """One case."""
        return CaseOut(**document(await run(sentinel.find, id)))

    @app.post("/decide", tags=["decisions"])
    async def decide(body: Decide) -> CaseOut:
        """Carry out a decision that a person has confirmed: the record and the block list, both or neither."""
        case = await run(sentinel.decide, body.case, body.action, body.by, body.confirm)
        decided.labels(body.action).inc()
        return CaseOut(**document(case))

    @app.post("/undo", tags=["decisions"])
    async def undo(body: Undo) -> CaseOut:
        """Take the decision on a case back. The record of it stays."""
        case = await run(sentinel.undo, body.case, body.by)
        decided.labels("undo").inc()
        return CaseOut(**document(case))

    @app.get("/blocklist", tags=["decisions"])
    async def blocklist() -> list[str]:
        """The entries of the block list, by the decisions that stand."""
        return await run(sentinel.listed)

    @app.post("/ask", tags=["intelligence"])
    async def ask(body: Question) -> AnswerOut:
        """Answer a question: ids from the lists, everything else from documents; unknown without a source."""
        answer = await run(sentinel.ask, body.question)
        refused.inc(bool(answer.refused))
        return AnswerOut(**dataclasses.asdict(answer), unknown=answer.unknown)

    @app.post("/open", tags=["intelligence"])
    async def open_citation(body: Place) -> list[OpenedPart]:
        """The text behind a citation, between its neighbours."""
        return [OpenedPart(**dataclasses.asdict(part)) for part in await run(sentinel.open, body.where)]

    return app
