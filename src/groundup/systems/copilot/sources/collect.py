"""From a cluster into the store: what is new in the logs of all containers, and in the events, each line once.

For every container the store knows a time from which to ask on (`since`). A round:

1. Asks for what came since then, a little more than is new (the server knows whole seconds only, and two streams of one
   container may overtake each other), and leaves out the lines that are stored, as often as they are.
2. Where nothing is new, asks for the last line: if it is older, the clock of the node went back, and all is read again.
3. Moves `since` in the transaction that stores the last lines of an answer. An answer that breaks off, or a process
   that is killed, leaves it where it was: the same is asked for again, and nothing is stored twice.

With `streams`, a running container's log is followed from there on, and a round stores what has come. Rounds ask as
above where there is no stream: the first time, when it broke off, and once the container has ended.

Each instance of a container (a restart, a pod made anew) is a source of its own. Its first answer, and the `previous`
log that is asked for after a restart, are read from their beginning. All times are the cluster's, none is of this
machine.

Not covered: what the kubelet has let go of, by rotation or after a second restart, while nobody followed or asked.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from groundup.secrets import hide
from groundup.systems.copilot.errors import ClusterError
from groundup.systems.copilot.reading.patterns import Patterns
from groundup.systems.copilot.sources.cluster import SECOND, Cluster, Line, NoLog, microseconds
from groundup.systems.copilot.sources.streams import Streams
from groundup.systems.copilot.store import Source, Store, open_store

BATCH = 20_000  # lines that are stored in one transaction
SLACK = 2 * SECOND  # how much older than the last line a new one may be

Report = Callable[[Source, int], None]


@dataclass
class Collected:
    """What came of a round.

    Attributes:
        lines: how many lines were stored.
        containers: how many containers have a log.
        events: how many events were stored.
        pods: how many pods there are.
        notes: containers whose log could not be read, and why.
    """

    lines: int = 0
    containers: int = 0
    events: int = 0
    pods: int = 0
    notes: dict[str, str] = field(default_factory=dict)

    def __add__(self, later: Collected) -> Collected:
        return Collected(
            self.lines + later.lines, later.containers, self.events + later.events, later.pods, later.notes
        )


@dataclass(frozen=True)
class Run:
    """When a container ran, in microseconds since 1970 and cut to whole seconds; None where nobody knows."""

    started: int | None = None
    finished: int | None = None

    def wrote(self, first: Line) -> bool:
        """Whether a log that begins with this line can be of this run.

        A status lags behind: the log that is given may be a later run's already, and then it begins after this one's
        end. Where the clock went back while it ran, the times tell nothing.
        """
        if self.started is None or self.finished is None or self.finished < self.started:
            return True
        return first.time < self.finished + SECOND


@dataclass(frozen=True)
class Instance:
    """One run of a container, as the pod's status tells of it.

    Attributes:
        source: the source that it is in the store.
        ended: whether it writes no more.
        run: when it ran.
        before: when the run before was, if its log can still be read.
    """

    source: Source
    ended: bool
    run: Run
    before: Run | None


def collect(
    path: str | Path,
    cluster: Cluster,
    *,
    namespace: str | None = None,
    selector: str = "",
    report: Report = lambda source, lines: None,
    stopped: Callable[[], bool] = lambda: False,
    wait: float = 5.0,
    streams: Streams | None = None,
    patterns: Patterns | None = None,
) -> Collected:
    """Store what is new in a cluster's logs and events.

    Args:
        path: the store's file. It is open only while something is read from it or written to it.
        cluster: the cluster.
        namespace: the namespace; None for all.
        selector: a label selector of pods.
        report: called after each batch, with the source and the number of its new lines.
        stopped: whether to stop after the batch.
        wait: seconds to wait for another process that holds the store.
        streams: what follows the logs between this round and the next one.
        patterns: formats and maskings of one's own.
    """
    return _Round(Path(path), cluster, report, stopped, wait, streams, patterns).run(namespace, selector)


def store_streamed(
    path: str | Path,
    cluster: Cluster,
    streams: Streams,
    *,
    report: Report = lambda source, lines: None,
    patterns: Patterns | None = None,
) -> int:
    """Store what has come in the streams since the last round, and ask the cluster for nothing; says how many lines."""
    last = _Round(Path(path), cluster, report, lambda: False, 5.0, streams, patterns)
    if streams.open:
        with last.open_store() as store:
            last.known = {source.key: source for source in store.sources()}
            last._streamed(store)
    return last.done.lines


class _Round:
    def __init__(
        self, path: Path, cluster: Cluster, report: Report, stopped: Callable[[], bool], wait: float,
        streams: Streams | None, patterns: Patterns | None,
    ) -> None:  # fmt: skip
        self.path, self.cluster, self.report, self.stopped, self.wait = path, cluster, report, stopped, wait
        self.streams, self.patterns = streams, patterns
        self.done = Collected()
        self.known: dict[tuple[Any, ...], Source] = {}
        self.read: set[tuple[Any, ...]] = set()  # containers that have a log

    def open_store(self) -> AbstractContextManager[Store]:
        return open_store(self.path, wait=self.wait, patterns=self.patterns)

    def run(self, namespace: str | None, selector: str) -> Collected:
        pods = self.cluster.pods(namespace, selector)
        try:
            events = self.cluster.events(namespace)
        except ClusterError as error:
            if error.passing:
                raise
            events, self.done.notes["events"] = [], str(error)  # a role for logs alone is of use too
        with self.open_store() as store:
            self.known = {source.key: source for source in store.sources()}
            self._events(store, events, {pod["metadata"]["name"] for pod in pods} if selector else None)
            followed = self._streamed(store)
        self.done.pods = len(pods)
        running = [instance for pod in pods for instance in instances(pod, self.cluster.name)]
        if self.streams is not None:
            for key in followed - {instance.source.key for instance in running if not instance.ended}:
                self.streams.end(key)
        for instance in running:
            if self.stopped():
                break
            if self.streams is not None and instance.source.key in self.streams.open:
                self.read.add(instance.source.key)
                continue
            self._container(instance)
            self._follow(instance)
        self.done.containers = len(self.read)
        return self.done

    # ── containers ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _container(self, instance: Instance) -> None:
        source = self.known.get(instance.source.key, instance.source)
        before = replace(instance.source, restart=instance.source.restart - 1)
        before = self.known.get(before.key, before)
        if not source.id:
            self._take_back(instance)
            before = self.known.get(before.key, before)
        if instance.before is not None and not before.cursor.get("finished"):
            self._read(before, instance.before, since=None, previous=True, ended=True)
        if source.cursor.get("finished"):
            self.read.add(source.key)
            return
        since = source.cursor.get("since")
        new = self._read(source, instance.run, since=since, previous=False, ended=instance.ended)
        if since is not None and not new and not self.stopped():
            last = self._last_line(source)
            if last is not None and last.time < since:
                source = self.known[source.key]
                self._read(source, instance.run, since=None, previous=False, ended=instance.ended)

    # ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _follow(self, instance: Instance) -> None:
        source = self.known.get(instance.source.key)
        if self.streams is None or source is None or instance.ended or self.stopped():
            return
        if (since := source.cursor.get("since")) is not None and not source.cursor.get("finished"):
            self.streams.begin(source, since)

    def _streamed(self, store: Store) -> set[tuple[Any, ...]]:
        """Store what has come in the streams, and let go of those that have ended.

        Returns:
            The sources that are still followed.
        """
        if self.streams is None:
            return set()
        for key, stream in list(self.streams.open.items()):
            ended = stream.ended  # looked at first: lines that come afterwards are not left behind
            if (source := self.known.get(key)) is None:  # the store was made anew
                self.streams.end(key)
            elif lines := stream.take():
                if stream.seen is None:
                    stream.seen = store.seen([source], stream.since)
                # Without a `mark`: that is of one whole answer.
                cursor = {"since": (lines[-1].time - SLACK) // SECOND * SECOND}
                stored = store.append(
                    source, [line.text for line in lines], times=[line.time for line in lines], seen=stream.seen,
                    cursor=cursor,
                )  # fmt: skip
                self.known[key] = stored
                self.done.lines += stored.lines - source.lines
                self.report(stored, stored.lines - source.lines)
            if ended:
                self.streams.end(key)
        return set(self.streams.open)

    def _last_line(self, source: Source) -> Line | None:
        try:
            log = self.cluster.log(source.namespace, source.pod, source.container, tail=1)
        except NoLog:
            return None
        return next(iter(deque(log.lines, maxlen=1)), None)

    def _read(self, source: Source, run: Run, *, since: int | None, previous: bool, ended: bool) -> int:
        """Store what is new in a log from `since` on; where it ends whole, the next round begins at its last line.

        Returns:
            How many lines were new.
        """
        try:
            log = self.cluster.log(source.namespace, source.pod, source.container, since=since, previous=previous)
        except NoLog as none:
            self.done.notes[source.name] = str(none)
            return 0
        if not previous:
            self.read.add(source.key)
        before = source.lines
        seen: Counter[tuple[int, str]] | None = None
        last: Line | None = None
        while True:
            batch = list(islice(log.lines, BATCH))
            if last is None and batch and not run.wrote(batch[0]):
                log.close()
                self.done.notes[source.name] = "the container has been restarted meanwhile"
                return 0
            whole = len(batch) < BATCH
            if whole and log.unended is not None and ended:
                batch.append(log.unended)
            last = batch[-1] if batch else last
            if whole and since is not None and _mark(batch, since) == source.cursor.get("mark"):
                break  # word for word what was there the last time
            cursor = dict(source.cursor)
            if whole:
                if last is not None:
                    next_since = (last.time - SLACK) // SECOND * SECOND
                    cursor |= {"since": next_since, "mark": _mark(batch, next_since)}
                cursor |= {"finished": True} if ended and not log.note else {}
            if batch or cursor != source.cursor:
                with self.open_store() as store:
                    source = replace(store.known(source), cursor=source.cursor)
                    if seen is None:
                        seen = store.seen([source], since) if source.id else Counter()
                    stored = source.lines
                    if batch or source.id:
                        source = store.append(
                            source, [line.text for line in batch], times=[line.time for line in batch], seen=seen,
                            cursor=cursor,
                        )  # fmt: skip
                self.known[source.key] = source
                self.done.lines += source.lines - stored
                self.report(source, source.lines - stored)
            if whole:
                break
            if self.stopped():
                break
        if log.note:
            self.done.notes[source.name] = log.note
        return source.lines - before

    def _take_back(self, instance: Instance) -> None:
        """Take lines off an earlier instance that are this one's.

        Between the listing of the pods and the answer a container may have been restarted, and then what was stored
        last for the old instance is the new one's. It is still in the new one's log, and will be read there.
        """
        source = instance.source
        earlier = [
            stored
            for stored in self.known.values()
            if stored.id and (stored.kind, stored.cluster, stored.name) == (source.kind, source.cluster, source.name)
        ]
        if not earlier or instance.run.started is None:
            return
        old = earlier[-1]
        with self.open_store() as store:
            suspects = store.last_lines(old, instance.run.started)
        if not suspects:
            return
        with suppress(NoLog):
            log = self.cluster.log(source.namespace, source.pod, source.container)
            written = {(line.time, hide(line.text)) for line in islice(log.lines, BATCH)}
            count = 0
            while count < len(suspects) and suspects[-1 - count] in written:
                count += 1
            if count:
                with self.open_store() as store:
                    self.known[old.key] = store.append(store.known(old), [], times=[], cursor={}, redo=count)
                self.done.lines -= count

    # ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _events(self, store: Store, events: list[dict[str, Any]], pods: set[str] | None) -> None:
        by_namespace: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            if pods is None or (event.get("involvedObject") or {}).get("name") in pods:
                by_namespace.setdefault(event["metadata"].get("namespace", ""), []).append(event)
        for namespace, group in by_namespace.items():
            source = Source("events", f"{namespace}/events", self.cluster.name, namespace)
            source = self.known.get(source.key, source)
            stored = source.cursor.get("versions", {})
            versions = {_uid(event): event["metadata"].get("resourceVersion", "") for event in group}
            new = [event for event in group if stored.get(_uid(event)) != versions[_uid(event)]]
            if not new:
                continue
            lines = sorted((event_line(event) for event in new), key=lambda line: line.time)
            cursor = {"versions": versions if pods is None else stored | versions}
            source = store.append(
                source, [line.text for line in lines], times=[line.time for line in lines], cursor=cursor
            )
            self.done.events += len(lines)
            self.done.lines += len(lines)
            self.report(source, len(lines))


def instances(pod: dict[str, Any], cluster: str) -> Iterator[Instance]:
    """The containers of a pod as they run now; init and ephemeral ones too."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        states = {entry["name"]: entry for entry in status.get(f"{kind[:-1]}Statuses") or []}
        for container in spec.get(kind) or []:
            name = container["name"]
            entry = states.get(name, {})
            state, last = entry.get("state") or {}, (entry.get("lastState") or {}).get("terminated")
            runs, ended = state.get("running"), state.get("terminated")
            # Between two starts the log that is given is the last instance's, with `previous` and without.
            shown = runs or ended or last or {}
            yield Instance(
                Source(
                    "container", f"{meta['namespace']}/{meta['name']}/{name}", cluster, meta["namespace"], meta["name"],
                    meta.get("uid", ""), name, entry.get("restartCount", 0),
                ),
                ended=runs is None and (ended or last) is not None,
                run=_run(shown),
                before=_run(last) if last and entry.get("restartCount", 0) > 0 and (runs or ended) else None,
            )  # fmt: skip


def _run(state: dict[str, Any]) -> Run:
    return Run(microseconds(state.get("startedAt") or ""), microseconds(state.get("finishedAt") or ""))


def event_line(event: dict[str, Any]) -> Line:
    """An event as a line in JSON, at the time when it was seen last."""
    meta, about = event["metadata"], event.get("involvedObject") or {}
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"),
             event.get("firstTimestamp"), meta.get("creationTimestamp"))  # fmt: skip
    stamp = next((time for time in times if time), "1970-01-01T00:00:00Z")
    source = event.get("reportingComponent") or (event.get("source") or {}).get("component") or "events"
    document = {
        "time": stamp,
        "level": "warn" if event.get("type") == "Warning" else "info",
        "service": source,
        "object": f"{about.get('kind', '')}/{about.get('name', '')}",
        "reason": event.get("reason", ""),
        "count": series.get("count") or event.get("count") or 1,
        "message": f"{event.get('reason', '')}: {event.get('message') or ''}".strip(": "),
    }
    return Line(microseconds(stamp) or 0, json.dumps(document, ensure_ascii=False))


def _mark(lines: list[Line], since: int) -> str:
    """What tells the lines from `since` on from others, without holding what they say."""
    content = "\n".join(f"{line.time} {hide(line.text)}" for line in lines if line.time >= since)
    return hashlib.blake2b(content.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _uid(event: dict[str, Any]) -> str:
    return event["metadata"].get("uid") or event["metadata"]["name"]
