"""Exchanges by HTTP with limits on seconds, bytes, types and redirects; pages also by the rules of their robots.txt.

    Fetcher().fetch("https://docs.example/jitter")      # Fetched(address, kind, charset, body), or WebUnavailable

Proxies of the environment are not used: a proxy would resolve names itself, without a check. Cookies are neither kept
nor sent. A page is requested once; nothing is tried again.

Not covered: the pause between pages that a site asks for (`Crawl-delay`); a run reads few pages.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore
from protego import Protego

from groundup.errors import WebUnavailable
from groundup.systems.research.web.addresses import checked, resolved

AGENT = "groundup-research"  # our name in robots.txt
ROBOTS = 500 * 1024  # bytes of a robots.txt that are read (RFC 9309, 2.5)
KINDS = ("text/html", "application/xhtml+xml", "text/plain", "text/markdown")
_CHARSET = re.compile(r"charset=[\"']?([\w.:-]+)", re.IGNORECASE)
_MOVED = (301, 302, 303, 307, 308)
_FAILED = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)


@dataclass(frozen=True)
class Limits:
    """The limits of a page.

    Attributes:
        seconds: seconds for a page with its redirects and robots.txt, from the name to the last byte.
        bytes: bytes of a page, packed and unpacked.
        redirects: the most redirects.
    """

    seconds: float = 15.0
    bytes: int = 2_000_000
    redirects: int = 5


@dataclass(frozen=True)
class Fetched:
    """A page as it came: its address behind all redirects, its type, its character set (perhaps none), its bytes."""

    address: str
    kind: str
    charset: str
    body: bytes


class Fetcher:
    """Fetches pages. It keeps the robots.txt of each visited site."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._rules: dict[str, Protego | None] = {}

    def fetch(self, address: str) -> Fetched:
        """A page, with its address and every redirect checked.

        Raises:
            WebUnavailable: the page cannot be read, or may not be read.
        """
        deadline = time.monotonic() + self.limits.seconds
        for _ in range(self.limits.redirects + 1):
            address = checked(address)
            self._ask_robots(address, deadline)
            with opened(address, deadline=deadline) as response:
                if moved := _moved(response):
                    address = urljoin(address, moved)
                    continue
                if response.status != 200:
                    raise WebUnavailable(f"the site answers {response.status}")
                content_type = header(response, "content-type")
                kind, charset = content_type.partition(";")[0].strip().lower(), _CHARSET.search(content_type)
                if kind not in KINDS:
                    raise WebUnavailable(f"its type must be HTML or text, and is {kind[:50] or 'not given'}")
                return Fetched(address, kind, charset[1] if charset else "", whole(response, self.limits.bytes))
        raise WebUnavailable(f"it leads on more than {self.limits.redirects} times")

    def _ask_robots(self, address: str, deadline: float) -> None:
        """Raise where the site's robots.txt forbids a page; a site that cannot answer forbids all (RFC 9309)."""
        parts = urlsplit(address)
        site = f"{parts.scheme}://{parts.netloc}"
        if site not in self._rules:
            self._rules[site] = self._robots(f"{site}/robots.txt", deadline)
        rules = self._rules[site]
        if rules is not None and not rules.can_fetch(address, AGENT):
            raise WebUnavailable("the site's robots.txt forbids it")

    def _robots(self, address: str, deadline: float) -> Protego | None:
        for _ in range(self.limits.redirects + 1):
            with opened(checked(address), deadline=deadline) as response:
                if moved := _moved(response):
                    address = urljoin(address, moved)
                    continue
                if response.status >= 500:
                    raise WebUnavailable(f"the site answers {response.status} for its robots.txt")
                if response.status != 200:
                    return None  # there are no rules
                return Protego.parse(whole(response, ROBOTS, cut=True).decode("utf-8", "replace"))
        return None


def _moved(response: httpcore.Response) -> str:
    """The target of a redirect; empty for any other response."""
    return header(response, "location") if response.status in _MOVED else ""


def header(response: httpcore.Response, name: str) -> str:
    """The first header of a name, or nothing."""
    wanted = name.encode()
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == wanted), "")


@contextmanager
def opened(
    address: str,
    *,
    deadline: float,
    guarded: bool = True,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
) -> Iterator[httpcore.Response]:
    """A response whose body is still to be read. Redirects are not followed.

    Args:
        address: the requested address.
        deadline: the end of the whole exchange, by the monotonic clock.
        guarded: whether the name must lead to public addresses.
        method: the verb.
        headers: headers beside the usual ones.
        content: the body to send.

    Raises:
        WebUnavailable: no answer came in time.
    """
    sent = {"User-Agent": f"{AGENT}/0.1", "Accept": ", ".join(KINDS), "Accept-Encoding": "gzip", **(headers or {})}
    try:
        with (
            httpcore.ConnectionPool(ssl_context=trust(), network_backend=_Network(deadline, guarded)) as pool,
            pool.stream(method, address, headers=list(sent.items()), content=content) as response,
        ):
            yield response
    except httpcore.TimeoutException as error:
        raise WebUnavailable("there is no answer in time") from error
    except _FAILED as error:
        reason = (str(error).splitlines() or [""])[0][:120].rstrip(".")
        raise WebUnavailable(f"there is no answer ({reason or type(error).__name__})") from error


def trust() -> Any:
    """The trusted certificates."""
    return httpcore.default_ssl_context()


def whole(response: httpcore.Response, most: int, *, cut: bool = False) -> bytes:
    """The body, unpacked; packed and unpacked it may have `most` bytes, and with `cut`, no more is read.

    Raises:
        WebUnavailable: the body is longer, or packed in a form that was not requested.
    """
    packing = header(response, "content-encoding").strip().lower()
    if packing not in ("", "identity", "gzip"):
        raise WebUnavailable(f"it is packed as {packing[:20]}, which was not asked for")
    unpack = zlib.decompressobj(wbits=31) if packing == "gzip" else None
    body, sent = bytearray(), 0
    try:
        for part in response.iter_stream():
            sent += len(part)
            body += unpack.decompress(part, most + 1 - len(body)) if unpack else part
            if max(sent, len(body)) > most:
                if cut:
                    break
                raise WebUnavailable(f"it has more than {most:,} bytes")
    except zlib.error as error:
        raise WebUnavailable("it is packed, and damaged") from error
    return bytes(body[:most])


class _Network(httpcore.NetworkBackend):
    """Connections to checked addresses."""

    def __init__(self, deadline: float, guarded: bool) -> None:
        self.deadline, self.guarded = deadline, guarded

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:
        places = resolved(host, port) if self.guarded else [host]
        for place in places[:-1]:
            try:
                return self._connected(place, port)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue  # for example, an IPv6 address without a route from this machine
        return self._connected(places[-1], port)

    def _connected(self, place: str, port: int) -> httpcore.NetworkStream:
        return _Timed(connect(place, port, _left(self.deadline)), self.deadline)


def connect(place: str, port: int, seconds: float) -> httpcore.NetworkStream:
    """A connection to an address."""
    return httpcore.SyncBackend().connect_tcp(place, port, timeout=seconds)


class _Timed(httpcore.NetworkStream):
    """A connection that ends at a deadline, however many small pieces come before."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self.stream, self.deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.stream.read(max_bytes, _left(self.deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, _left(self.deadline))

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Timed(self.stream.start_tls(ssl_context, server_hostname, _left(self.deadline)), self.deadline)

    def get_extra_info(self, info: str) -> Any:
        return self.stream.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the deadline is over")
    return left
