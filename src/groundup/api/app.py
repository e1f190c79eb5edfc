"""The application of a system's API: guarded, with errors of one shape, its health and its counters.

    app = application("shop", "A shopping agent.", token="", hosts=(), limit=lambda path: 65_536, metrics=metrics,
                      errors=ERRORS, responses=failures())
    add_metrics(app, metrics)

FastAPI is imported here: import this module where an API starts, not before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, TypeVar

from anyio import to_thread
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from groundup import __version__
from groundup.api.errors import Errors
from groundup.api.guard import Guard
from groundup.api.metrics import Metrics

NDJSON = "application/x-ndjson"
STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {NDJSON: {}}}}
"""The response of a path that streams lines of JSON, for its description."""
T = TypeVar("T")


class Sent(BaseModel):
    """A body; what it does not know, it refuses."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Health(BaseModel):
    """That the API runs."""

    status: str = Field(examples=["ok"])
    version: str


class OpenedPart(BaseModel):
    """A stretch of a source, and whether it is what was cited."""

    where: str
    text: str
    cited: bool


def application(
    system: str,
    description: str,
    *,
    token: str,
    hosts: tuple[str, ...],
    limit: Callable[[str], int],
    metrics: Metrics,
    errors: Errors,
    responses: dict[int | str, dict[str, Any]],
) -> FastAPI:
    """An application with its guard, its errors and `/healthz`.

    Args:
        system: its name in the title: "groundup shop".
        description: the system in a sentence.
        token: the bearer token that requests must send; empty for none.
        hosts: the host names under which it answers; empty for all.
        limit: the most bytes of a body, by the path.
        metrics: counts requests.
        errors: the system's errors as responses.
        responses: the possible errors of every path, for its description.
    """
    app = FastAPI(
        title=f"groundup {system}", version=__version__, docs_url=None, redoc_url=None, description=description,
        responses=responses,
    )  # fmt: skip
    app.add_middleware(Guard, token=token, hosts=hosts, metrics=metrics, limit=limit)
    errors.install(app)

    @app.get("/healthz", tags=["operation"])
    async def healthz() -> Health:
        """Whether the API runs. Needs no token."""
        return Health(status="ok", version=__version__)

    return app


def add_metrics(app: FastAPI, metrics: Metrics) -> None:
    """Add `/metrics`."""

    @app.get("/metrics", tags=["operation"], response_class=PlainTextResponse)
    async def prometheus() -> PlainTextResponse:
        """Counters for Prometheus."""
        return counters(metrics)


def counters(metrics: Metrics) -> PlainTextResponse:
    """The counters as Prometheus reads them."""
    return PlainTextResponse(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def streamed(
    events: Iterator[T], document: Callable[[T], dict[str, Any]], errors: Errors, name: str
) -> StreamingResponse:
    """Events as lines of JSON, each as soon as it is there.

    An error before the first event is an answer of its own; a later one is the last line, since the status is sent.

    Args:
        events: read in a thread.
        document: an event as plain data.
        errors: the system's.
        name: of what is streamed, for the log of a bug.
    """
    first = await to_thread.run_sync(lambda: next(events))

    def lines() -> Iterator[str]:
        try:
            for event in chain([first], events):
                yield json.dumps(document(event)) + "\n"
        except Exception as error:
            if not isinstance(error, errors.expected):
                errors.log.exception("%s failed", name, exc_info=error)
            yield json.dumps({"event": "error", **errors.document(error)}) + "\n"

    return StreamingResponse(lines(), media_type=NDJSON)
