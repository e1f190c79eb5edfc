"""A Kubernetes cluster, as far as its logs go: pods, their containers' logs, events. Only `get` and `list`.

The official client reads the kubeconfig (or the service account inside a cluster) and signs the requests, EKS tokens
by the kubeconfig's exec plugin included. The requests are put together here, since the client has no `sinceTime`, and
their answers decoded here, since a log is bytes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from groundup.errors import UsageError
from groundup.extras import need
from groundup.systems.copilot.errors import ClusterError
from groundup.systems.copilot.reading.logs import MAX_LINE

if TYPE_CHECKING:
    from kubernetes.client import ApiClient
    from urllib3 import BaseHTTPResponse

TIMEOUT = (10.0, 60.0)  # seconds to connect, and to wait for the next bytes
QUIET = 600.0  # seconds that a log which is followed may say nothing
PAGE = 500  # objects that are asked for at once
TRIES = 5  # times that a request is sent while the server says it has too many
LONGEST_WAIT = 30.0  # seconds; a server that asks for more is asked again after these
PIECE = 1 << 20  # bytes of a log that are read at once
PIECE_OF_LINE = 1 << 13  # bytes; runtimes cut long lines at multiples of this
STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d) ")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000  # microseconds


@dataclass(frozen=True)
class Line:
    """A line of a container's log: when the runtime received it (microseconds since 1970), and what it says."""

    time: int
    text: str


@dataclass
class Log:
    """The lines of a log, read while they are asked for.

    Attributes:
        lines: the lines.
        unended: what stands behind the last whole line, once all lines were read; None where there is nothing.
        note: what the kubelet says instead of a log, once all lines were read.
        close: end the reading, from any thread; what reads meanwhile gets a `ClusterError`.
    """

    lines: Iterator[Line]
    unended: Line | None = None
    note: str = ""
    close: Callable[[], None] = lambda: None


class NoLog(Exception):
    """A container has no log that could be read now; says why."""


class Cluster:
    """A cluster that answers. `connect` makes one.

    Args:
        client: the client's connection.
        name: the cluster's name.
        namespace: the namespace that is meant where none is named.
        wait: how to wait some seconds; says whether to stop instead.
    """

    def __init__(self, client: ApiClient, name: str, namespace: str, wait: Callable[[float], bool]) -> None:
        self.name, self.namespace = name, namespace
        self._client, self._wait = client, wait

    # ── what there is ───────────────────────────────────────────────────────────────────────────────────────────────
    def pods(self, namespace: str | None, selector: str = "") -> list[dict[str, Any]]:
        """The pods of a namespace (None for all) that a label selector matches."""
        return self._list("pods", namespace, {"labelSelector": selector} if selector else {})

    def events(self, namespace: str | None) -> list[dict[str, Any]]:
        """The events of a namespace (None for all)."""
        return self._list("events", namespace, {})

    def log(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        since: int | None = None,
        previous: bool = False,
        tail: int | None = None,
        follow: bool = False,
    ) -> Log:
        """The log of a container.

        Args:
            namespace: the pod's namespace.
            pod: the pod's name.
            container: the container's name.
            since: only lines from then on, in microseconds since 1970; the server takes whole seconds.
            previous: the log of the instance before the last restart.
            tail: only so many of the last lines.
            follow: go on with what is written from now on, until the container ends or nothing came for ten minutes.

        Raises:
            NoLog: there is none, or none now.
        """
        query: dict[str, str] = {"container": container, "timestamps": "true"}
        if since is not None:
            query["sinceTime"] = (EPOCH + timedelta(seconds=since // SECOND)).strftime("%Y-%m-%dT%H:%M:%SZ")
        if previous:
            query["previous"] = "true"
        if tail is not None:
            query["tailLines"] = str(tail)
        if follow:
            query["follow"] = "true"
        response = self._get(
            f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log", query, may_fail=(204, 400, 404, 500),
            patience=QUIET if follow else None,
        )  # fmt: skip
        if response.status != 200:
            reason = _reason(response) if response.status != 204 else "the pod has not been scheduled to a node"
            response.drain_conn()
            raise NoLog(reason)
        log = Log(iter(()), close=lambda: _shut(response))
        log.lines = self._lines(response, log)
        return log

    def _lines(self, response: BaseHTTPResponse, log: Log) -> Iterator[Line]:
        last: int | None = None
        for raw, ended in _split(self._pieces(response)):
            text = _joined(raw).decode("utf-8", "replace").rstrip("\r")
            stamp, _, rest = text.partition(" ")
            time = microseconds(stamp)
            if time is None:
                if last is None:  # the kubelet speaks in place of the container
                    log.note = text
                    continue
                time, rest = last, text
            last = time
            if ended:
                yield Line(time, rest[:MAX_LINE])
            else:
                log.unended = Line(time, rest[:MAX_LINE])

    def _pieces(self, response: BaseHTTPResponse) -> Iterator[bytes]:
        import urllib3

        try:
            while piece := response.read1(PIECE):
                yield piece
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(error) from error
        finally:
            response.close()

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _list(self, kind: str, namespace: str | None, query: dict[str, str]) -> list[dict[str, Any]]:
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}/{kind}" if namespace else f"/api/v1/{kind}"
        for _ in range(TRIES):
            items: list[dict[str, Any]] = []
            more = ""
            while True:
                page = {"limit": str(PAGE), **query, **({"continue": more} if more else {})}
                response = self._get(path, page, may_fail=(410,) if more else ())
                if response.status == 410:  # the list became too old between two pages: begin again
                    response.drain_conn()
                    break
                document = self._json(response, path)
                items += document.get("items") or []
                more = (document.get("metadata") or {}).get("continue", "")
                if not more:
                    return items
        raise ClusterError(
            f"the list of {kind} must stay readable until its last page, and it expired {TRIES} times. "
            "Name a namespace or a selector, so that it becomes shorter.",
        )

    def _json(self, response: BaseHTTPResponse, path: str) -> dict[str, Any]:
        data = b"".join(self._pieces(response))
        try:
            document = json.loads(data)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise ClusterError(
                f"the cluster must answer in JSON, and '{self._host}{path}' answers {data[:60]!r}. "
                "Check that the kubeconfig names a Kubernetes API server."
            )
        return document

    def _get(
        self, path: str, query: dict[str, str], *, may_fail: tuple[int, ...] = (), patience: float | None = None
    ) -> BaseHTTPResponse:
        """Send a GET, again where the server has too much to do; what is not 200 is an error, unless it may be."""
        import urllib3
        from kubernetes.client import ApiException

        response = None
        for attempt in range(1, TRIES + 1):
            try:
                request = self._client.param_serialize(
                    "GET", path, query_params=list(query.items()), header_params={"Accept": "*/*"},
                    auth_settings=["BearerToken"],
                )  # fmt: skip
                answer = self._client.call_api(*request, _request_timeout=(TIMEOUT[0], patience or TIMEOUT[1]))
            except (urllib3.exceptions.HTTPError, ApiException) as error:
                raise self._unreachable(error) from error
            response = cast("BaseHTTPResponse", answer.response)
            if response.status not in (429, 503) or ("Retry-After" not in response.headers and response.status == 503):
                break
            asked = _seconds(response.headers.get("Retry-After", "1"))
            response.close()
            if attempt == TRIES or self._wait(min(max(asked, 0.1), LONGEST_WAIT)):
                raise ClusterError(
                    f"the cluster must have time for a request, and '{self._host}' answered {response.status} "
                    f"{attempt} times, last asking to wait {asked:g} s. "
                    "Try again later, or ask less often with --every.",
                    passing=True,
                )
        assert response is not None
        if response.status != 200 and response.status not in may_fail:
            raise self._refused(response, path)
        return response

    @property
    def _host(self) -> str:
        return self._client.configuration.host

    def _unreachable(self, error: Exception) -> ClusterError:
        reason = str(error).splitlines()[-1] if str(error) else type(error).__name__
        slow = "timed out" in reason
        rule, not_so = (f"answer within {TIMEOUT[1]:g} s", "does not") if slow else ("be reachable", "is not")
        return ClusterError(
            f"the cluster must {rule}, and '{self._host}' {not_so}: {reason}. "
            "Check the network and the address in the kubeconfig, or name another --context.",
            passing=True,
        )

    def _refused(self, response: BaseHTTPResponse, path: str) -> ClusterError:
        status, reason = response.status, _reason(response)
        response.close()
        if status == 401:
            return ClusterError(
                f"the cluster must accept the credentials, and '{self._host}' does not (401): {reason}. "
                "Renew them (for EKS: log in to AWS, then `aws eks update-kubeconfig`), or name another --context."
            )
        if status == 403:
            return ClusterError(
                f"the credentials must be allowed to read, and '{self._host}' refuses (403): {reason}. "
                "Ask for a role with get and list on pods, pods/log and events, or name another --namespace."
            )
        if status == 404:
            return ClusterError(
                f"the cluster must know what is asked for, and '{self._host}{path}' is not there (404): {reason}. "
                "Check the address in the kubeconfig, and the namespace."
            )
        return ClusterError(
            f"the cluster must answer, and '{self._host}{path}' says {status}: {reason}.", passing=status >= 500
        )


# ── connecting ──────────────────────────────────────────────────────────────────────────────────────────────────────
def connect(kubeconfig: str | None = None, context: str | None = None, *, wait: Callable[[float], bool]) -> Cluster:
    """The cluster of a kubeconfig's context, or the one that this process runs in."""
    need("Collecting from a cluster", "kubernetes")
    import urllib3
    import yaml
    from kubernetes import client, config

    settings = client.Configuration()
    try:
        if kubeconfig is None and context is None and _is_inside():
            config.load_incluster_config(client_configuration=settings)
            name, namespace = "in-cluster", _own_namespace()
        else:
            contexts, active = cast(Any, config.list_kube_config_contexts(config_file=kubeconfig))
            chosen = next((entry for entry in contexts if entry["name"] == context), None) if context else active
            if chosen is None:
                known = ", ".join(sorted(entry["name"] for entry in contexts))
                raise UsageError(f"context must be one of the kubeconfig's ({known}), got '{context}'.")
            config.load_kube_config(config_file=kubeconfig, context=context, client_configuration=settings)
            name = chosen["context"]["cluster"]
            namespace = chosen["context"].get("namespace") or "default"
    except (config.ConfigException, OSError, KeyError, TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())  # of YAML it is several lines
        raise ClusterError(
            f"the kubeconfig must name a cluster and how to sign in, and it does not: {reason}. "
            "Check --kubeconfig (or KUBECONFIG) and --context; `kubectl config view` shows what is there."
        ) from error
    if not settings.verify_ssl:  # the kubeconfig says so; urllib3 would warn at each request
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    settings.retries = cast(Any, False)  # asked again here, where the server's own delay is kept and can be interrupted
    return Cluster(client.ApiClient(settings), name, namespace, wait)


def _is_inside() -> bool:
    from kubernetes.config import kube_config

    paths = os.environ.get("KUBECONFIG", kube_config.KUBE_CONFIG_DEFAULT_LOCATION).split(os.pathsep)
    return "KUBERNETES_SERVICE_HOST" in os.environ and not any(os.path.exists(os.path.expanduser(p)) for p in paths)


def _own_namespace() -> str:
    try:
        with open("/var/run/secrets/kubernetes.io/serviceaccount/namespace", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return "default"


# ── small readers ───────────────────────────────────────────────────────────────────────────────────────────────────
def microseconds(stamp: str) -> int | None:
    """A time as the API writes it, in microseconds since 1970; None for anything else."""
    if stamp[10:11] != "T":
        return None
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return None if at.tzinfo is None else (at - EPOCH) // timedelta(microseconds=1)


def _split(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Lines, and whether each has its end."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line, True
    if rest:
        yield rest, False


def _joined(raw: bytes) -> bytes:
    """A line without the times that kubelets before 1.27 put in front of each piece of a long one.

    Runtimes write a long line in pieces of 8 or 16 KiB, and these kubelets stamp each, in the middle of the line.
    """
    if len(raw) <= PIECE_OF_LINE:
        return raw
    begin = raw.find(b" ") + 1
    parts = [raw[:begin]]
    at = begin
    while (at := at + PIECE_OF_LINE) < len(raw):
        if stamp := STAMP.match(raw, at):
            parts.append(raw[begin:at])
            begin = at = stamp.end()
    return b"".join([*parts, raw[begin:]])


def _shut(response: BaseHTTPResponse) -> None:
    """End what another thread may be reading just now."""
    with suppress(Exception):  # it may have ended by itself in this moment
        cast(Any, response).shutdown()


def _seconds(asked: str) -> float:
    """What `Retry-After` asks for; a date, which would need this machine's clock, counts as one second."""
    return float(asked) if asked.replace(".", "", 1).isdecimal() else 1.0


def _reason(response: BaseHTTPResponse) -> str:
    """What the server says of a failure."""
    text = response.read(1 << 16).decode("utf-8", "replace").strip()
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200] or str(response.reason)
