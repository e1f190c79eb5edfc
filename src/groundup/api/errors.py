"""Every error of an API in one shape: `{"error": "…", "status": 422}`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from groundup.api.guard import refusal
from groundup.api.work import NotReady, NotThere, TooLong, TooSlow
from groundup.errors import GroundupError, MissingPackage, ModelUnavailable, StoreError, UnknownName, UsageError

Answer = Callable[[Any], Response]


class Error(BaseModel):
    """The body of an error: the parameter, the rule, the value and the next step in words; the status."""

    error: str
    status: int


DESCRIPTIONS = {
    400: "The body cannot be read.",
    401: "The token is missing or wrong.",
    403: "The request comes from a page of another origin.",
    404: "There is no such thing or path.",
    405: "The path does not take this method.",
    409: "What is stored does not allow it now.",
    413: "The body is too long.",
    415: "The body is of another kind than the path takes.",
    421: "The Host header is not one that the API answers to.",
    422: "A parameter breaks its rule.",
    503: "The store or a model is not to be had now; try again.",
    504: "The request took longer than it may.",
}


def failures(**described: str) -> dict[int | str, dict[str, Any]]:
    """The possible errors of a path, for its description; `described` overrides words, as `_404="…"`."""
    words = {**DESCRIPTIONS, **{int(status.lstrip("_")): text for status, text in described.items()}}
    return {status: {"model": Error, "description": text} for status, text in words.items()}


class Errors:
    """The errors of one system's API, as responses.

    Args:
        system: whose API it is, in words: "the copilot".
        listed: what lists the names that there are: "GET /status".
        own: the answers to errors that only this system knows, by their class.
    """

    def __init__(self, system: str, *, listed: str, own: Mapping[type[Exception], Answer]) -> None:
        self.system, self.listed, self.own = system, listed, own
        self.log = logging.getLogger(f"groundup.{system.split()[-1]}")

    @property
    def expected(self) -> tuple[type[Exception], ...]:
        """The errors with a message for people; any other one is a bug."""
        return (GroundupError, NotThere, NotReady, TooLong, TooSlow, *self.own)

    def answer(self, error: Exception) -> Response:
        """An error as a response."""
        for kind, made in self.own.items():
            if isinstance(error, kind):
                return made(error)
        match error:
            case UnknownName():
                nearest = " or ".join(error.nearest)
                hint = f"Did you mean {nearest}?" if nearest else f"{self.listed} lists what there is."
                return refusal(404, f"There is no {error.kind} called '{error.name[:200]}'. {hint}")
            case NotThere():
                return refusal(404, str(error))
            case NotReady():
                return refusal(409, str(error))
            case UsageError():
                return refusal(422, str(error))
            case TooLong():
                return refusal(413, str(error))
            case TooSlow():
                return refusal(504, f"The request must be answered within {error}, and it takes longer.")
            case StoreError() | ModelUnavailable() | MissingPackage():
                return refusal(503, str(error))
            case GroundupError():
                return refusal(500, str(error))
            case _:
                return refusal(500, f"This is a bug of {self.system}'s; its log says more. Please report it.")

    def document(self, error: Exception) -> dict[str, Any]:
        """An error as plain data, for a line of a stream that has begun."""
        return json.loads(bytes(self.answer(error).body))

    def install(self, app: FastAPI) -> None:
        """Make an application answer every error in this shape."""

        async def expected(_: Request, error: Exception) -> Response:
            return self.answer(error)

        async def http(request: Request, error: Exception) -> Response:
            assert isinstance(error, HTTPException)
            path, message = request.url.path[:200], str(error.detail)
            if error.status_code == 404:
                message = f"There is no path {path}. GET /openapi.json lists them."
            elif error.status_code == 405:
                message = f"{path} does not take {request.method[:20]}. GET /openapi.json says what it takes."
            answer = refusal(error.status_code, message)
            answer.headers.update(error.headers or {})
            if error.status_code == 405:  # a path may have several routes, of which only one was looked at
                methods = {method for route in app.routes if _is_at(route, path) for method in _methods(route)}
                answer.headers["allow"] = ", ".join(sorted(methods))
            return answer

        async def validation(_: Request, error: Exception) -> Response:
            assert isinstance(error, RequestValidationError)
            return invalid(error)

        async def bug(request: Request, error: Exception) -> Response:
            self.log.exception("%s %s failed", request.method, request.url.path, exc_info=error)
            return self.answer(error)

        for kind in self.expected:
            app.add_exception_handler(kind, expected)
        app.add_exception_handler(HTTPException, http)
        app.add_exception_handler(RequestValidationError, validation)
        app.add_exception_handler(Exception, bug)


def invalid(error: RequestValidationError) -> Response:
    """The response for the first parameter that breaks its rule."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    if first["type"] == "json_invalid":
        return refusal(422, f"The body must be JSON, and it is not: {first['ctx']['error']}.")
    if isinstance(first.get("input"), bytes):
        return refusal(422, "The body must have the Content-Type of JSON, and it has another. Send application/json.")
    received = "" if first["type"] == "missing" else f", got {_short(first['input'])}"
    return refusal(422, f"{where}: {first['msg']}{received}. GET /openapi.json describes it.")


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = text.encode("utf-8", "replace").decode()
    return f"'{text[:100]}…'" if len(text) > 100 else f"'{text}'"


def _is_at(route: Any, path: str) -> bool:
    pattern = getattr(route, "path_regex", None)
    return pattern is not None and pattern.match(path) is not None


def _methods(route: Any) -> set[str]:
    return set(getattr(route, "methods", None) or ())
