"""Logs of a cluster that are read while they are written, between two rounds of `collect`.

A kubelet serves the file that a container writes to now. What was rotated away since the last round is out of reach; a
stream has it already, since the kubelet follows the log over its rotation.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from groundup.systems.copilot.errors import ClusterError
from groundup.systems.copilot.sources.cluster import Cluster, Line, Log, NoLog
from groundup.systems.copilot.store import Source

FULL = 10_000  # lines that a stream holds before it lets the server wait
MOST = 200  # streams at once; a thread and a connection each
LOOK = 0.2  # seconds between two looks at the streams
LEAST = 1.0  # seconds between two rounds, and that a stream must have lasted for its end to bring the next one on


class Stream:
    """The log of a running container from `since` on (microseconds since 1970), as a thread reads it.

    Attributes:
        since: where it began.
        seen: lines from there on that are stored already, with their times and how often; None until somebody looks.
    """

    def __init__(self, cluster: Cluster, source: Source, since: int) -> None:
        self.since = since
        self.seen: Counter[tuple[int, str]] | None = None
        self._lasted = 0.0  # seconds, once it has ended
        self._lines: list[Line] = []
        self._changed = threading.Condition()
        self._closed = False
        self._log: Log | None = None
        self._thread = threading.Thread(target=self._read, args=(cluster, source), name=source.name, daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether no more lines will come: the container ended, or the connection did."""
        return not self._thread.is_alive()

    @property
    def urgent(self) -> bool:
        """Whether it lets the server wait, or has ended after a while: then lines may be lost before the next round."""
        return len(self._lines) >= FULL or (self.ended and self._lasted >= LEAST)

    def take(self) -> list[Line]:
        """The lines that came since the last time."""
        with self._changed:
            lines, self._lines = self._lines, []
            self._changed.notify_all()
        return lines

    def close(self) -> None:
        """Read no further. Lines that came may still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._log is not None:
            self._log.close()

    def _read(self, cluster: Cluster, source: Source) -> None:
        begin = time.monotonic()
        try:
            where = source.namespace, source.pod, source.container
            self._log = cluster.log(*where, since=self.since, follow=True)
            if self._closed:
                return
            for line in self._log.lines:
                with self._changed:
                    self._changed.wait_for(lambda: len(self._lines) < FULL or self._closed)
                    if self._closed:
                        return
                    self._lines.append(line)
        except (NoLog, ClusterError):
            return  # the next round asks again, and tells what is wrong
        finally:
            self._lasted = time.monotonic() - begin
            if self._log is not None and self._closed:
                self._log.close()


class Streams:
    """The streams of a cluster's running containers, by the key of the source that each belongs to."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.open: dict[tuple[object, ...], Stream] = {}

    def begin(self, source: Source, since: int) -> None:
        """Follow a container's log from `since` on, unless there are too many streams already."""
        if source.key not in self.open and len(self.open) < MOST:
            self.open[source.key] = Stream(self.cluster, source, since)

    def end(self, key: tuple[object, ...]) -> None:
        """Follow a log no longer."""
        if (stream := self.open.pop(key, None)) is not None:
            stream.close()

    def wait(self, stopped: Callable[[float], bool], seconds: float) -> bool:
        """Wait for the next round: so many seconds, or until a stream is urgent; says whether to stop instead."""
        begin = time.monotonic()
        while (past := time.monotonic() - begin) < seconds:
            if past >= LEAST and any(stream.urgent for stream in self.open.values()):
                break
            if stopped(min(seconds - past, LOOK)):
                return True
        return stopped(0)

    def close(self) -> None:
        """End all."""
        for key in list(self.open):
            self.end(key)
