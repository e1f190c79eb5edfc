"""What the API counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The counters of one API."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "groundup_copilot_requests", "Requests answered.", ("path", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "groundup_copilot_request_seconds", "How long requests took.", ("path",), buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.ingested = Counter("groundup_copilot_ingested_lines", "Lines stored.", registry=self.registry)
        self.answers = Counter(
            "groundup_copilot_answers", "Questions answered, or abstained from.", ("abstained",), registry=self.registry
        )
        self.stored = Gauge("groundup_copilot_stored_lines", "Lines in the store.", registry=self.registry)

    def request(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
        self.requests.labels(path, known, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """All of it, in Prometheus' format."""
        return generate_latest(self.registry)
