"""OpenAI's protocol over a run folder's model: `/v1/models` and `/v1/chat/completions`, whole or as a stream.

One answer is written at a time; other requests wait, and a few more are refused. Parameters of OpenAI's that would need
what is not here (`n`, `stop`, `tools`, …) are refused by name, and others that are unknown are ignored.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from groundup.errors import UsageError
from groundup.listening import LOOPBACK, bind, url
from groundup.stack.generative.decoding import Sampling
from groundup.systems.language_model.speaking import Answer, Speaker, TooLong

BODY_LIMIT = 1_000_000
WAITING_LIMIT = 16
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
PLAIN: dict[str, tuple[Any, ...]] = {
    "n": (None, 1), "stop": (None, []), "tools": (None, []), "tool_choice": (None, "none", "auto"),
    "functions": (None, []), "response_format": (None, {"type": "text"}), "logprobs": (None, False),
    "top_logprobs": (None, 0), "logit_bias": (None, {}), "presence_penalty": (None, 0), "frequency_penalty": (None, 0),
}  # fmt: skip
"""Parameters of OpenAI's that are not supported, with the values that ask for nothing."""


class Refused(Exception):
    """A request that is answered with an error of OpenAI's shape."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    def document(self) -> dict[str, Any]:
        """The body."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The whole answer."""
        headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "5"}}.get(self.status)
        return JSONResponse(self.document(), self.status, headers)


@dataclass(frozen=True)
class Asked:
    """A request for an answer, checked."""

    messages: list[dict[str, str]]
    sampling: Sampling
    max_tokens: int
    seed: int | None
    stream: bool
    usage: bool


def read_request(body: Any, model: str, most: int) -> Asked:
    """Check the document of a request.

    Args:
        body: the JSON that was sent.
        model: the name of the model that is served.
        most: most tokens of an answer, where the request does not say.

    Raises:
        Refused: names the parameter, the rule and the value.
    """
    if not isinstance(body, dict):
        raise Refused(400, "The body must be a JSON object.")
    if body.get("model") not in (None, model):
        raise Refused(
            404, f"model must be '{model}', got {_quoted(body['model'])}: it alone is served here.",
            param="model", code="model_not_found",
        )  # fmt: skip
    for name, allowed in PLAIN.items():
        if body.get(name) not in allowed:
            raise Refused(
                400, f"{name} is not supported here, got {_quoted(body[name])}. Leave it out.",
                param=name, code="unsupported_parameter",
            )  # fmt: skip
    for name in ("stream", "stream_options"):
        if not isinstance(body.get(name), bool | dict | None):
            raise Refused(400, f"{name} must be true or false, got {_quoted(body[name])}.", param=name)
    limit = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    temperature = _number(body, "temperature", 1.0, lambda value: 0 <= value <= 2, "from 0 to 2")
    p = _number(body, "top_p", 1.0, lambda value: 0 < value <= 1, "above 0 and at most 1")
    options = body.get("stream_options")
    return Asked(
        _messages(body.get("messages")),
        Sampling(temperature, p=None if p == 1 else p),
        _whole(body, limit, most, 1),
        _whole(body, "seed", -1, 0) if body.get("seed") is not None else None,
        bool(body.get("stream")),
        isinstance(options, dict) and bool(options.get("include_usage")),
    )


def create_app(
    speaker: Speaker,
    *,
    token: str = "",
    hosts: tuple[str, ...] = LOOPBACK,
    max_tokens: int = 256,
    body_limit: int = BODY_LIMIT,
) -> Starlette:
    """The server as an ASGI application.

    Args:
        speaker: the model.
        token: the bearer token of requests; empty for none.
        hosts: the host names under which it answers, against DNS rebinding; empty for all.
        max_tokens: most tokens of an answer, where a request does not say.
        body_limit: most bytes of a request.
    """
    turn, begun = asyncio.Lock(), int(time.time())
    waiting = 0

    def check(request: Request) -> None:
        host = _host(request.headers.get("host", ""))
        if hosts and host not in hosts:
            raise Refused(421, f"Host must be one of {', '.join(hosts)}, got '{host[:100]}'. Ask by http://127.0.0.1.")
        if "origin" in request.headers or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refused(403, "Requests must not come from a browser's page. Ask from a program, or a shell.")
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        right = kind.lower() == "bearer" and secrets.compare_digest(secret.strip().encode(), token.encode())
        if token and not right:
            message = "Authorization must be 'Bearer TOKEN', with the token that the server was started with."
            raise Refused(401, message, code="invalid_api_key")

    async def models(request: Request) -> Response:
        check(request)
        entry = {"id": speaker.name, "object": "model", "created": begun, "owned_by": "groundup"}
        return JSONResponse({"object": "list", "data": [entry]})

    async def model(request: Request) -> Response:
        check(request)
        if (name := request.path_params["name"]) != speaker.name:
            raise Refused(404, f"There is no model '{name[:100]}'. There is '{speaker.name}'.", code="model_not_found")
        return JSONResponse({"id": name, "object": "model", "created": begun, "owned_by": "groundup"})

    async def completions(request: Request) -> Response:
        check(request)
        body = await _read_json(request, body_limit)
        chat = read_request(body, speaker.name, max_tokens)
        if waiting >= WAITING_LIMIT:
            raise Refused(503, f"{waiting} requests wait already, and one is answered at a time. Ask again later.")
        try:  # refusals come before the first byte of a stream
            answer = speaker.answer(chat.messages, chat.sampling, chat.max_tokens, chat.seed)
        except TooLong as error:
            raise Refused(400, str(error), param="messages", code="context_length_exceeded") from error
        except ValueError as error:
            raise Refused(400, str(error), param="messages") from error
        about = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": speaker.name}
        if chat.stream:
            return StreamingResponse(
                _events(in_turn(answer), answer, about, chat.usage), media_type="text/event-stream"
            )
        text = ""
        async with aclosing(in_turn(answer)) as pieces:
            async for piece in pieces:
                text += piece
                if await request.is_disconnected():
                    break
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
        return JSONResponse({**about, "object": "chat.completion", "choices": [choice], "usage": _usage(answer)})

    async def in_turn(answer: Answer) -> AsyncGenerator[str, None]:
        nonlocal waiting
        waiting += 1
        try:
            async with turn:
                async for piece in iterate_in_threadpool(answer.pieces):
                    yield piece
        finally:
            waiting -= 1

    async def refused(request: Request, error: Exception) -> Response:
        return cast(Refused, error).response()

    async def wrong_path(request: Request, error: Exception) -> Response:
        status = cast(HTTPException, error).status_code
        what = f"{request.method} {request.url.path[:100]}"
        message = f"{what} is not here. There are GET /v1/models and POST /v1/chat/completions."
        return Refused(status, message, code="unknown_url").response()

    async def failed(request: Request, error: Exception) -> Response:
        return Refused(500, f"The model failed: {type(error).__name__}. The server's output says more.").response()

    routes = [
        Route("/v1/models", models),
        Route("/v1/models/{name}", model),
        Route("/v1/chat/completions", completions, methods=["POST"]),
    ]
    handlers: Mapping[Any, Any] = {Refused: refused, HTTPException: wrong_path, Exception: failed}
    return Starlette(routes=routes, exception_handlers=handlers)


def serve(speaker: Speaker, *, host: str, port: int, token: str, max_tokens: int, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C.

    Raises:
        UsageError: the host is not loopback and there is no token, or no port is free.
    """
    import uvicorn

    if host not in LOOPBACK and not token:
        raise UsageError(
            f"host must be loopback without a token, got '{host}'. Set GROUNDUP_TOKEN to a secret of your "
            "own, or leave --host out."
        )
    listening = bind(host, port)
    address = url(host, listening.getsockname()[1])
    app = create_app(speaker, token=token, hosts=LOOPBACK if host in LOOPBACK else (), max_tokens=max_tokens)
    say(f"{speaker.name} at {address}/v1   (OpenAI's protocol; one answer at a time). Ctrl-C ends it.")
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=5
    )
    with suppress(KeyboardInterrupt):  # which uvicorn raises again once it has stopped
        uvicorn.Server(config).run(sockets=[listening])


async def _events(pieces: AsyncIterator[str], answer: Answer, about: dict[str, Any], usage: bool) -> AsyncIterator[str]:
    """An answer as server-sent events."""

    def event(document: dict[str, Any]) -> str:
        return f"data: {json.dumps(document, ensure_ascii=False)}\n\n"

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event({**about, "object": "chat.completion.chunk", "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    async for piece in pieces:
        yield chunk({"content": piece})
    yield chunk({}, answer.finish_reason)
    if usage:
        yield event({**about, "object": "chat.completion.chunk", "choices": [], "usage": _usage(answer)})
    yield "data: [DONE]\n\n"


async def _read_json(request: Request, limit: int) -> Any:
    """The body, read no further than the limit."""
    declared = request.headers.get("content-length", "0")
    body = b""
    if declared.isdigit() and int(declared) <= limit:
        async for part in request.stream():
            body += part
            if len(body) > limit:
                break
    if len(body) > limit or not declared.isdigit() or int(declared) > limit:
        raise Refused(413, f"The body must have at most {limit:,} bytes, and it has more. Send less.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"The body must be JSON, and is not: {str(error)[:100]}.") from error


def _messages(given: Any) -> list[dict[str, str]]:
    if not isinstance(given, list) or not given:
        raise Refused(400, "messages must be a list of at least one message.", param="messages")
    messages: list[dict[str, str]] = []
    for number, message in enumerate(given):
        where = f"messages[{number}]"
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role not in ROLES:
            raise Refused(
                400, f"{where}.role must be one of {', '.join(ROLES)}, got {_quoted(role)}.", param="messages"
            )
        content = message.get("content")
        if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            content = "".join(str(part.get("text", "")) for part in content)
        if not isinstance(content, str):
            raise Refused(400, f"{where}.content must be a text, got {_quoted(content)}.", param="messages")
        messages.append({"role": ROLES[role], "content": content})
    return messages


def _number(body: dict[str, Any], name: str, default: float, right: Callable[[float], bool], rule: str) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not right(value):
        raise Refused(400, f"{name} must be a number {rule}, got {_quoted(value)}.", param=name)
    return float(value)


def _whole(body: dict[str, Any], name: str, default: int, low: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < 2**63:
        raise Refused(400, f"{name} must be a whole number of at least {low}, got {_quoted(value)}.", param=name)
    return value


def _usage(answer: Answer) -> dict[str, int]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.completion_tokens,
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }


def _quoted(value: Any) -> str:
    return json.dumps(value, default=str)[:60]


def _host(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""
