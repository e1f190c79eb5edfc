"""Access to the site: every guard between a request and a page.

The site runs code on the learner's machine, so a page of another origin must not be able to use it:

- the `Host` header must be this machine's, which ends DNS rebinding;
- whatever is not a GET must come from the site's own pages (`Origin`, `Sec-Fetch-Site`) and carry two secrets of this
  start: the cookie, which scripts cannot read, and the page's token, which other origins cannot read;
- no response may run, load or embed anything from elsewhere (Content-Security-Policy without exceptions).

The policy has no `unsafe-inline`, for styles neither: Plotly.js is told not to write its style element (see
`static/charts.js`), and everything else sets styles by classes.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundup.listening import LOOPBACK

BODY_LIMIT = 1_000_000
SAFE_METHODS = ("GET", "HEAD")
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}

ErrorPage = Callable[[Request, int, str], Response]


class Refused(Exception):
    """A refused request: the status, and one sentence with the next step."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Guard:
    """ASGI middleware that passes only requests of this machine's own pages.

    Args:
        app: the guarded application.
        token: the secret of this start.
        hosts: host names, besides loopback, under which the site is reached.
        any_address: whether an IP address in the `Host` header is accepted, whichever it is (an address cannot be
            rebound). Only for a site that was told to listen beyond loopback.
        error_page: makes the page that a refused browser sees.
    """

    def __init__(
        self, app: ASGIApp, *, token: str, hosts: Iterable[str], any_address: bool, error_page: ErrorPage
    ) -> None:
        self.app = app
        self.token = token
        self.hosts = {*LOOPBACK, *(host.lower() for host in hosts)}
        self.any_address = any_address
        self.error_page = error_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the request, then pass it on; add the headers to every response."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = self._with_headers(scope, send)
        try:
            self._check_host(Headers(scope=scope))
            if scope["method"] not in SAFE_METHODS:
                receive = await self._check_action(scope, receive)
        except Refused as refused:
            response = self.error_page(Request(scope), refused.status, str(refused))
            await response(scope, _drained, send)
            return
        await self.app(scope, receive, send)

    # What is checked

    def _check_host(self, headers: Headers) -> None:
        given = headers.get("host", "")
        name = _host_name(given)
        if name in self.hosts or (self.any_address and _is_address(name)):
            return
        raise Refused(
            421, f"The Host header '{given[:100]}' is not a name of this site. Open http://127.0.0.1 instead."
        )

    async def _check_action(self, scope: Scope, receive: Receive) -> Receive:
        headers = Headers(scope=scope)
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        # A browser that sends no referrer sends `Origin: null` even from our own form; its Sec-Fetch-Site tells.
        own_origin = origin is None or urlsplit(origin).netloc == headers["host"]
        if not own_origin and not (origin == "null" and site == "same-origin"):
            raise Refused(403, f"The Origin header must be this site's, not '{(origin or '')[:100]}'.")
        if site not in (None, "same-origin"):
            raise Refused(403, f"The Sec-Fetch-Site header must be 'same-origin', not '{site[:100]}'.")
        body = await _read(receive, headers)
        form = _parse(body, headers)
        given = headers.get("x-groundup-token") or str(form.get("token", ""))
        cookie = Request(scope).cookies.get(cookie_name(scope), "")
        if not _same(cookie, self.token) or not _same(given, form_token(self.token)):
            raise Refused(403, "This page is from an earlier start of groundup. Reload it and try again.")
        scope.setdefault("state", {})["form"] = form
        return _replay(body)

    def _with_headers(self, scope: Scope, send: Send) -> Send:
        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-cache")
                self._set_cookie(scope, headers)
            await send(message)

        return wrapped

    def _set_cookie(self, scope: Scope, headers: MutableHeaders) -> None:
        if not headers.get("content-type", "").startswith("text/html"):
            return
        if not _same(Request(scope).cookies.get(cookie_name(scope), ""), self.token):
            name = cookie_name(scope)
            headers.append("set-cookie", f"{name}={self.token}; Path=/; HttpOnly; SameSite=Strict")


def new_token() -> str:
    """A new secret for one start of the site."""
    return secrets.token_urlsafe(32)


def form_token(token: str) -> str:
    """The secret of pages: derived from the cookie's secret, which it does not reveal."""
    return hmac.new(token.encode(), b"groundup page", "sha256").hexdigest()


def cookie_name(scope: Scope) -> str:
    """Cookies are shared by all ports of a host, so each site has its own name."""
    return f"groundup_{(scope.get('server') or ('', 0))[1]}"


def _same(given: str, wanted: str) -> bool:
    return secrets.compare_digest(given.encode(), wanted.encode())


def _host_name(header: str) -> str:
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _read(receive: Receive, headers: Headers) -> bytes:
    """The whole body. Raises Refused once it is too long."""
    too_long = Refused(413, f"The body must have at most {BODY_LIMIT:,} bytes. Send less.")
    declared = headers.get("content-length", "0")
    if not declared.isdigit() or int(declared) > BODY_LIMIT:
        raise too_long
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The request ended before its body was complete. Send it again.")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > BODY_LIMIT:
            raise too_long
        if not message.get("more_body"):
            return b"".join(parts)


def _parse(body: bytes, headers: Headers) -> dict[str, Any]:
    kind = headers.get("content-type", FORM).split(";")[0].strip().lower()
    try:
        if kind == FORM:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=500))
        if kind == JSON:
            document = json.loads(body)
            if isinstance(document, dict):
                return document
    except ValueError as error:
        raise Refused(400, f"The body cannot be read: {error}. Send a form or a JSON object.") from error
    raise Refused(415, f"Send a form ({FORM}) or a JSON object, not '{kind[:100]}'.")


def _replay(body: bytes) -> Receive:
    messages: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def _drained() -> Message:
    return {"type": "http.disconnect"}
