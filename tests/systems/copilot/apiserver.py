"""An HTTP server that answers as the Kubernetes API server and its kubelets do, as far as reading logs goes.

Pods, containers and their instances are plain objects that a test changes while the server runs. What the real one does
and this one does too: `sinceTime` is cut to whole seconds and filters line by line; `timestamps` puts a time with
nanoseconds before each line; an unscheduled pod answers 204; several containers and none named, a container that waits,
and no instance before (`previous`) answer 400; both since-parameters 422; lists come in pages; `follow` goes on over a
rotation, and ends with the container.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "test-token"
START = 1_795_000_000_000_000_000  # nanoseconds since 1970: 2026-11-18T11:06:40Z


def rfc3339(time: int) -> str:
    """Nanoseconds as Go's RFC3339Nano writes them: without zeros at the end."""
    seconds, rest = divmod(time, 10**9)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def numbered(begin: int, end: int) -> list[str]:
    """Lines that tell which they are."""
    return [f"INFO line {i}" for i in range(begin, end)]


@dataclass
class Instance:
    """One run of a container: its lines with their times, and when it began and ended."""

    started: int = START
    lines: list[tuple[int, bytes]] = field(default_factory=list)
    ended: int | None = None
    rotated: int = 0  # so many of the first lines are gone
    unended: bytes = b""  # what stands after the last line

    def write(self, time: int, *lines: str | bytes) -> None:
        self.lines += [(time, line.encode() if isinstance(line, str) else line) for line in lines]


@dataclass
class Container:
    name: str
    kind: str = "containers"
    instances: list[Instance] = field(default_factory=lambda: [Instance()])
    waiting: bool = False  # between two starts

    @property
    def now(self) -> Instance:
        return self.instances[-1]

    def restart(self, time: int) -> Instance:
        self.now.ended = self.now.ended or time
        self.waiting = False
        self.instances.append(Instance(time))
        return self.now


@dataclass
class Pod:
    name: str
    containers: list[Container]
    namespace: str = "shop"
    uid: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    scheduled: bool = True

    def document(self) -> dict[str, Any]:
        spec: dict[str, Any] = {}
        status: dict[str, Any] = {"phase": "Running" if self.scheduled else "Pending"}
        for one in self.containers:
            spec.setdefault(one.kind, []).append({"name": one.name})
            if self.scheduled and one.instances:
                status.setdefault(f"{one.kind[:-1]}Statuses", []).append(_status(one))
        meta = {"name": self.name, "namespace": self.namespace, "uid": self.uid or self.name, "labels": self.labels}
        return {"metadata": meta, "spec": spec, "status": status}


def _status(one: Container) -> dict[str, Any]:
    def ended(run: Instance) -> dict[str, Any]:
        begin, end = (rfc3339(time // 10**9 * 10**9) for time in (run.started, run.ended or run.started))
        return {"terminated": {"startedAt": begin, "finishedAt": end if run.ended else None, "exitCode": 1}}

    last = one.now if one.waiting else one.instances[-2] if len(one.instances) > 1 else None
    if one.waiting:
        state: dict[str, Any] = {"waiting": {"reason": "CrashLoopBackOff"}}
    elif one.now.ended:
        state = ended(one.now)
    else:
        state = {"running": {"startedAt": rfc3339(one.now.started // 10**9 * 10**9)}}
    return {
        "name": one.name, "restartCount": len(one.instances) - 1, "state": state,
        "lastState": {} if last is None else ended(last),
    }  # fmt: skip


class ApiServer:
    """The server; everything in it may be changed while it runs."""

    def __init__(self) -> None:
        self.pods: list[Pod] = []
        self.events: list[dict[str, Any]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.fail: list[tuple[int, dict[str, str], str]] = []  # what the next requests are answered with
        self.fail_logs: list[tuple[int, dict[str, str], str]] = []  # the same for requests of logs
        self.fail_events: tuple[int, dict[str, str], str] | None = None
        self.break_after: int | None = None  # logs break off after so many bytes
        self.page: int | None = None  # objects on a page at most
        self.expire_pages = 0  # so many times a second page answers 410
        self.before_log: Any = None  # called before a log is answered
        self.breaks = 0  # where this changes, logs that are followed break off
        self.lock = threading.RLock()
        self.url = ""

    def pod(self, *arguments: Any, **settings: Any) -> Pod:
        with self.lock:
            self.pods.append(Pod(*arguments, **settings))
            return self.pods[-1]

    def counts(self) -> Counter[str]:
        """How many requests there were of each kind."""
        return Counter(path.rsplit("/", 1)[-1] for path, _ in self.requests)

    def kubeconfig(self, path: Path, *, token: str = TOKEN, **user: Any) -> str:
        """A kubeconfig that leads here."""
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "testing", "cluster": {"server": self.url}}],
            "users": [{"name": "tester", "user": user or {"token": token}}],
            "contexts": [
                {"name": "test", "context": {"cluster": "testing", "user": "tester", "namespace": "shop"}},
                {"name": "other", "context": {"cluster": "testing", "user": "tester"}},
            ],
        }  # fmt: skip
        path.write_text(json.dumps(document))
        return str(path)

    # ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def answer(self, path: str, query: dict[str, str], token: str) -> tuple[int, dict[str, str], bytes]:
        self.requests.append((path, query))
        failures = self.fail_logs if path.endswith("/log") and self.fail_logs else self.fail
        if failures or (self.fail_events and path.endswith("/events")):
            status, headers, message = failures.pop(0) if failures else self.fail_events or (500, {}, "")
            return status, headers, json.dumps({"kind": "Status", "message": message}).encode()
        if token != f"Bearer {TOKEN}":
            return _status_document(401, "Unauthorized")
        parts = path.strip("/").split("/")[2:]
        namespace = parts[1] if parts[0] == "namespaces" else None
        if namespace == "forbidden":
            message = 'pods is forbidden: User "tester" cannot list resource "pods" in API group "" in the namespace'
            return _status_document(403, message)
        parts = parts[2:] if namespace else parts
        if parts[0] == "pods" and len(parts) == 3:
            return self._log(namespace or "", parts[1], query)
        if parts == ["pods"]:
            wanted = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
            found = [
                pod.document()
                for pod in self.pods
                if namespace in (None, pod.namespace) and wanted.items() <= pod.labels.items()
            ]
            return self._page(found, query)
        if parts == ["events"]:
            return self._page([e for e in self.events if namespace in (None, e["metadata"]["namespace"])], query)
        return _status_document(404, "the server could not find the requested resource")

    def _page(self, items: list[dict[str, Any]], query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        begin = int(query.get("continue", 0))
        if begin and self.expire_pages:
            self.expire_pages -= 1
            return _status_document(410, "The provided continue parameter is too old")
        size = min(int(query.get("limit", 10**9)), self.page or 10**9)
        more = {"continue": str(begin + size)} if begin + size < len(items) else {}
        return 200, {}, json.dumps({"metadata": more, "items": items[begin : begin + size]}).encode()

    def _log(self, namespace: str, name: str, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        pod = next((one for one in self.pods if (one.namespace, one.name) == (namespace, name)), None)
        if pod is None:
            return _status_document(404, f'pods "{name}" not found')
        if "sinceSeconds" in query and "sinceTime" in query:
            return _status_document(422, "at most one of `sinceTime` or `sinceSeconds` may be specified")
        if "container" not in query and len(pod.containers) > 1:
            names = " ".join(one.name for one in pod.containers)
            return _status_document(400, f"a container name must be specified for pod {name}, choose one of: [{names}]")
        if not pod.scheduled:
            return 204, {}, b""
        container = self.container(namespace, name, query)
        if container is None:
            return _status_document(400, f"container {query['container']} is not valid for pod {name}")
        runs = container.instances
        if not runs:
            return _status_document(400, f'container "{container.name}" in pod "{name}" is waiting to start')
        run = runs[-1]
        if query.get("previous") == "true":
            if len(runs) < 2 and not container.waiting:
                return _status_document(
                    400, f'previous terminated container "{container.name}" in pod "{name}" not found'
                )
            run = runs[-1] if container.waiting else runs[-2]
        return 200, {}, _text(run, query)

    def container(self, namespace: str, pod: str, query: dict[str, str]) -> Container | None:
        """The container that a request for a log means."""
        found = [one for one in self.pods if (one.namespace, one.name) == (namespace, pod)]
        return next((c for one in found for c in one.containers if c.name == query.get("container", c.name)), None)

    def later(self, path: str, query: dict[str, str]) -> Iterator[bytes]:
        """What comes behind the first answer of a log that is followed, until its container ends."""
        *_, namespace, _, pod, _ = path.split("/")
        container = self.container(namespace, pod, query)
        assert container is not None
        run = container.now
        return self._later(container, run, len(run.lines), self.breaks, query)

    def _later(
        self, container: Container, run: Instance, known: int, breaks: int, query: dict[str, str]
    ) -> Iterator[bytes]:
        over = False
        while not over:
            sleep(0.01)
            with self.lock:
                over = run.ended is not None or container.now is not run or self.breaks != breaks
                new, known = run.lines[known:], len(run.lines)
            yield _stamped(new, query)


def _text(run: Instance, query: dict[str, str]) -> bytes:
    lines = run.lines[run.rotated :]
    if "tailLines" in query:
        lines = lines[-int(query["tailLines"]) :]
    if "sinceTime" in query:
        since = int(datetime.fromisoformat(query["sinceTime"]).timestamp()) * 10**9  # whole seconds: the rest is cut
        lines = [line for line in lines if line[0] >= since]
    text = _stamped(lines, query)
    if run.unended:
        text += _stamped([(run.lines[-1][0], run.unended)], query).removesuffix(b"\n")
    return text


def _stamped(lines: list[tuple[int, bytes]], query: dict[str, str]) -> bytes:
    stamped = query.get("timestamps") == "true"
    return b"".join((f"{rfc3339(time)} ".encode() if stamped else b"") + line + b"\n" for time, line in lines)


def _status_document(code: int, message: str) -> tuple[int, dict[str, str], bytes]:
    document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return code, {}, json.dumps(document).encode()


@contextmanager
def serve(server: ApiServer | None = None, tls: ssl.SSLContext | None = None) -> Iterator[ApiServer]:
    """A server that runs."""
    api = ApiServer() if server is None else server

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[-1] for name, values in parse_qs(url.query).items()}
            if url.path.endswith("/log") and api.before_log is not None:
                api.before_log(url.path, query)
            with api.lock:
                status, headers, body = api.answer(url.path, query, self.headers.get("Authorization", ""))
                later = api.later(url.path, query) if status == 200 and "follow" in query else iter(())
                broken = api.break_after if url.path.endswith("/log") and status == 200 else None
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status == 204:
                self.end_headers()
                return
            if status == 200 and "log" in url.path.lower():
                self._send_chunked(body, broken, later)
                return
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _send_chunked(self, body: bytes, broken: int | None, later: Iterator[bytes]) -> None:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            body = body if broken is None else body[:broken]
            for text in chain([body], later if broken is None else ()):
                for i in range(0, len(text), 60_000):
                    piece = text[i : i + 60_000]
                    self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if broken is None:
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.close_connection = True

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that was killed, or had enough

    listening = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        listening.socket = tls.wrap_socket(listening.socket, server_side=True)
    api.url = f"http://127.0.0.1:{listening.server_address[1]}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.breaks += 1
        listening.shutdown()
        listening.server_close()
        thread.join()


def event(name: str, time: int, *, version: str = "1", **fields: Any) -> dict[str, Any]:
    """An event as the API lists it."""
    namespace = fields.pop("namespace", "shop")
    pod = fields.pop("pod", "checkout-1")
    stamp = rfc3339(time // 10**9 * 10**9)
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": version},
        "involvedObject": {"kind": "Pod", "name": pod}, "type": "Warning", "reason": "BackOff",
        "message": "Back-off restarting failed container", "count": 1, "lastTimestamp": stamp,
        "source": {"component": "kubelet"}, **fields,
    }  # fmt: skip
