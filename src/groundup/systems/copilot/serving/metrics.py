"""What the copilot's API counts beside requests."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

from groundup.api.metrics import Metrics


class CopilotMetrics(Metrics):
    """The counters of a copilot's API."""

    def __init__(self) -> None:
        super().__init__("copilot")
        self.ingested = Counter(self.named("ingested_lines"), "Lines stored.", registry=self.registry)
        self.answers = Counter(
            self.named("answers"), "Questions answered, or abstained from.", ("abstained",), registry=self.registry
        )
        self.stored = Gauge(self.named("stored_lines"), "Lines in the store.", registry=self.registry)
