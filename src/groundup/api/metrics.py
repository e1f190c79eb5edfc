"""The counters of an API, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest

SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Metrics:
    """The counters of one API.

    Args:
        system: what the names begin with, behind `groundup_`.
    """

    def __init__(self, system: str) -> None:
        self.system, self.registry = system, CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            self.named("requests"), "Requests answered.", ("path", "method", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            self.named("request_seconds"), "How long requests took.", ("path",), buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip

    def named(self, name: str) -> str:
        """The whole name of a counter."""
        return f"groundup_{self.system}_{name}"

    def request(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count a request."""
        known = method if method in METHODS else "other"
        self.requests.labels(path, known, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """All counters, in Prometheus' format."""
        return generate_latest(self.registry)
