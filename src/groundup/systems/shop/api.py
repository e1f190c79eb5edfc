"""The shop over HTTP.

    uvicorn.run(create_app(Settings(Path("shop.sqlite"))))

Every error has one shape, `{"error": "…", "status": 422}`; the events of a message are streamed as lines of JSON.
Only a plain yes changes anything, and `confirm` takes the digest of the details that were shown. This module imports
FastAPI (the extra `shop`), so import it when an API is started, not before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI
from fastapi import Path as PathParam
from fastapi.responses import Response, StreamingResponse
from prometheus_client import Counter
from pydantic import BaseModel, Field

from groundup.api.app import STREAM, OpenedPart, Sent, add_metrics, application, streamed
from groundup.api.errors import Errors, failures
from groundup.api.guard import refusal
from groundup.api.metrics import Metrics
from groundup.api.work import in_thread
from groundup.systems.shop.policy import Forbidden
from groundup.systems.shop.service import Busy, Service, Settings
from groundup.systems.shop.shop import LONGEST, Reply
from groundup.systems.shop.tools import Called

T = TypeVar("T")
Id = Annotated[str, PathParam(pattern=r"^[0-9a-f]{12}$", description="A conversation's id.")]
Number = Annotated[int, PathParam(ge=1, le=2**31, description="An entry's number.")]


class Said(Sent):
    """A message of the customer."""

    message: str = Field(
        min_length=1, max_length=LONGEST, pattern=r"\S", examples=["What colors does the T-Shirt come in?"]
    )


class Yes(Sent):
    """A yes to exactly the details that were shown."""

    proposal: str = Field(pattern=r"^[0-9a-f]{12}$", examples=["7e92d674b3e1"], description="Its id.")
    digest: str = Field(
        pattern=r"^[0-9a-f]{64}$", examples=["0" * 64], description="Of the details that were shown."
    )  # fmt: skip


class Place(Sent):
    """A citation of an answer."""

    where: str = Field(max_length=2000, examples=["shop.documents/t-shirt.md:120-260"])


class Begun(BaseModel):
    """A new conversation."""

    id: str


class Listed(BaseModel):
    """A conversation."""

    id: str
    begun: str
    user: str = Field(description="The customer; empty before they are identified.")
    first: str
    handed_over: bool


class ProposalShown(BaseModel):
    """A proposal that waits for the customer's yes."""

    id: str
    conversation: str
    command: str
    arguments: dict[str, Any]
    details: list[str]
    digest: str
    state: str


class EntryShown(BaseModel):
    """An entry of the record."""

    id: int
    at: str
    user: str
    command: str
    arguments: dict[str, Any]
    details: list[str]
    undoes: int | None
    undone: int | None


class Conversation(BaseModel):
    """A conversation as a whole."""

    id: str
    begun: str
    user: str
    handed_over: str
    messages: list[dict[str, Any]]
    waiting: ProposalShown | None


class Answered(BaseModel):
    """A reply."""

    text: str
    proposal: ProposalShown | None
    entry: EntryShown | None


def _forbidden(error: Forbidden) -> Response:
    return refusal(409, str(error))


def _busy(error: Busy) -> Response:
    return refusal(409, f"Conversation {error} has a message that is being answered. Wait for its reply.")


ERRORS = Errors("the shop", listed="GET /conversations", own={Forbidden: _forbidden, Busy: _busy})
FAILURES = failures(_404="There is no such conversation, entry, place or path.", _409="The policy does not allow it.")


def create_app(settings: Settings) -> FastAPI:
    """The API on a store."""
    service, metrics = Service(settings), Metrics("shop")
    replies = Counter(metrics.named("replies"), "Replies, by the intent of the message.", ("intent",),
                      registry=metrics.registry)  # fmt: skip
    done = Counter(metrics.named("actions"), "Changes, by command.", ("command",), registry=metrics.registry)
    left_out = Counter(metrics.named("left_out"), "Sentences of models that were not let through.",
                       registry=metrics.registry)  # fmt: skip
    app = application(
        "shop", "A shopping agent that proposes; a person's yes, the policy in code, and an undo.",
        token=settings.token, hosts=settings.hosts, limit=lambda path: settings.body_limit, metrics=metrics,
        errors=ERRORS, responses=FAILURES,
    )  # fmt: skip
    app.state.service = service
    add_metrics(app, metrics)

    async def run(work: Callable[..., T], *arguments: Any) -> T:
        """Do it in a thread, within the deadline."""
        return await in_thread(lambda: work(*arguments), settings.timeout)

    def counted(reply: Reply) -> Reply:
        replies.labels(reply.route.intent if reply.route else "answer").inc()
        left_out.inc(len(reply.left_out))
        if reply.entry is not None:
            done.labels(reply.entry.command).inc()
        return reply

    @app.post("/conversations", tags=["conversations"])
    async def begin() -> Begun:
        """Begin a conversation, with nobody identified yet."""
        return Begun(id=await run(service.begin))

    @app.get("/conversations", tags=["conversations"])
    async def conversations() -> list[Listed]:
        """All conversations, the newest first."""
        return [Listed(**row) for row in await run(service.conversations)]

    @app.get("/conversations/{id}", tags=["conversations"])
    async def conversation(id: Id) -> Conversation:
        """A conversation: its messages, and the proposal that waits for a yes."""
        fields = await run(service.conversation, id)
        waiting = fields["waiting"]
        return Conversation(**{**fields, "waiting": waiting and dataclasses.asdict(waiting)})

    @app.post(
        "/conversations/{id}/messages", tags=["conversations"], response_class=StreamingResponse, responses=STREAM
    )
    async def say(id: Id, body: Said) -> StreamingResponse:
        """Send a message; lines of JSON come back: each tool as it is `called`, then the `reply`, or an `error`."""

        def sent(event: Called | Reply) -> dict[str, Any]:
            return event_document(counted(event) if isinstance(event, Reply) else event)

        return await streamed(service.say(id, body.message), sent, ERRORS, f"conversation {id}")

    @app.post("/conversations/{id}/confirm", tags=["conversations"])
    async def confirm(id: Id, body: Yes) -> Answered:
        """Carry out a proposal: the customer says yes to the details of this digest."""
        return _answered(counted(await run(service.confirm, id, body.proposal, body.digest)))

    @app.post("/conversations/{id}/decline", tags=["conversations"])
    async def decline(id: Id) -> Answered:
        """Drop the open proposal."""
        return _answered(counted(await run(service.decline, id)))

    @app.get("/conversations/{id}/orders", tags=["conversations"])
    async def orders(id: Id) -> list[dict[str, Any]]:
        """The orders of the customer that the conversation is with, once they are identified."""
        return await run(service.orders, id)

    @app.get("/record", tags=["record"])
    async def record() -> list[EntryShown]:
        """All entries of the record, the newest first."""
        return [EntryShown(**dataclasses.asdict(entry)) for entry in await run(service.record)]

    @app.post("/record/{number}/undo", tags=["record"])
    async def undo(number: Number) -> EntryShown:
        """Take a change back; the undo is an entry of the record, too."""
        entry = await run(service.undo, number)
        done.labels("undo").inc()
        return EntryShown(**dataclasses.asdict(entry))

    @app.post("/open", tags=["operation"])
    async def open_citation(body: Place) -> list[OpenedPart]:
        """The text behind a citation, between its neighbours."""
        return [OpenedPart(**dataclasses.asdict(part)) for part in await run(service.open, body.where)]

    return app


def _answered(reply: Reply) -> Answered:
    return Answered(**{key: value for key, value in dataclasses.asdict(reply).items() if key in Answered.model_fields})


def event_document(event: Called | Reply) -> dict[str, Any]:
    """An event of a message as plain data."""
    if isinstance(event, Called):
        return {"event": "called", "name": event.name}
    return {"event": "reply", **dataclasses.asdict(event)}
