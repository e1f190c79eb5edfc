"""The guard between a request and the API: access, limits of size, and counters.

- A browser's page of another origin is refused (`Origin`, `Sec-Fetch-Site`), and so is, on loopback, a `Host` that is
  not this machine's: that ends DNS rebinding. The API's own page asks from its server, not from the browser.
- With a token, whoever has none is refused, but for `/healthz`.
- A body is refused as soon as it is known to be too long, before it is read where it says so itself.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from groundup.api.metrics import Metrics

OPEN = ("/healthz",)  # for the kubelet and load balancers, which have no token


def refusal(status: int, message: str) -> JSONResponse:
    """An error in the shape of all errors of the API."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "5"} if status == 503 else {}
    return JSONResponse({"error": message, "status": status}, status, headers)


class Guard:
    """ASGI middleware: refuses, limits, counts.

    Args:
        app: what is guarded.
        token: the bearer token that is asked for; empty for none.
        hosts: the host names under which the API answers; empty for all.
        limit: for a path, how many bytes a body may have.
        metrics: where requests are counted.
    """

    def __init__(
        self, app: ASGIApp, *, token: str, hosts: tuple[str, ...], limit: Callable[[str], int], metrics: Metrics
    ) -> None:
        self.app, self.token, self.hosts, self.limit, self.metrics = app, token, hosts, limit, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a refusal."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-content-type-options", b"nosniff")]
            await send(message)

        try:
            refused = self._refused(scope)
            if refused is not None:
                await refused(scope, receive, counted)
            else:
                await self.app(scope, self._limited(scope, receive), counted)
        finally:
            route = scope.get("route")
            path = getattr(route, "path", "other")
            self.metrics.request(path, scope["method"], status, time.perf_counter() - begin)

    def _refused(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if self.hosts and _host(headers.get("host", "")) not in self.hosts:
            return refusal(
                421, f"Host must be one of {', '.join(self.hosts)}, got '{headers.get('host', '')[:100]}'. "
                "Ask by http://127.0.0.1, or start the API with --host.",
            )  # fmt: skip
        if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return refusal(403, "Requests must not come from a page of another origin. Ask from a program, or a shell.")
        if self.token and scope["path"] not in OPEN:
            kind, _, secret = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not secrets.compare_digest(secret.strip().encode(), self.token.encode()):
                return refusal(
                    401, "Authorization must be 'Bearer TOKEN', with the token that the API was started with "
                    "(GROUNDUP_TOKEN), and it is not.",
                )  # fmt: skip
        declared = headers.get("content-length", "0")
        if not declared.isdigit() or int(declared) > self.limit(scope["path"]):
            return self._too_long(scope)
        return None

    def _too_long(self, scope: Scope) -> JSONResponse:
        return refusal(413, too_long(self.limit(scope["path"])))

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        most, size = self.limit(scope["path"]), 0

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                raise HTTPException(413, too_long(most))
            return message

        return limited


def too_long(most: int) -> str:
    """The message for a body that is too long."""
    return f"The body must have at most {most:,} bytes, and it has more. Send less at a time, or gzipped files."


def _host(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""
