"""A web of our own: names that lead to public addresses, all of which are one server on this machine."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpcore
import pytest

from groundup.systems.research.web import addresses, fetching

PUBLIC = "93.184.216.34"
Reply = tuple[int, dict[str, str], bytes] | Callable[[Any], None]


@dataclass
class Sites:
    """What is served, by host and path, what was asked for, and where was connected to."""

    names: dict[str, list[str]] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    port: int = 0

    def page(self, address: str, body: str | bytes, kind: str = "text/html; charset=utf-8", **headers: str) -> None:
        """Serve a page."""
        named = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
        self.replies[address] = (200, named, body.encode() if isinstance(body, str) else body)

    def moved(self, address: str, target: str, status: int = 302) -> None:
        """Serve a redirect."""
        self.replies[address] = (status, {"Location": target}, b"")


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext | None = None) -> Iterator[Sites]:
    """Names lead to a public address unless `names` says otherwise; connections to it reach the server of this test."""
    sites = Sites()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = f"{self.headers['Host']}{self.path}"
            sites.asked.append(address)
            sites.headers.append({name.lower(): value for name, value in self.headers.items()})
            sites.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            reply = sites.replies.get(address, sites.replies.get(address.split("?")[0], (404, {}, b"")))
            if callable(reply):
                reply(self)
                return
            status, headers, body = reply
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that hangs up is what some tests are about

    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    sites.port = server.server_port

    def connect(place: str, port: int, seconds: float) -> httpcore.NetworkStream:
        sites.connected.append((place, port))
        return httpcore.SyncBackend().connect_tcp("127.0.0.1", sites.port, timeout=seconds)

    monkeypatch.setattr(addresses, "resolve", lambda host, port: sites.names.get(host, [PUBLIC]))
    monkeypatch.setattr(fetching, "connect", connect)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield sites
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
