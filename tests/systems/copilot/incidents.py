"""Incident logs of several kinds, generated: what must be found in each is known."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)


def entry(second: float, level: str, service: str, message: str, **fields: object) -> str:
    """A JSON log line."""
    time = (START + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
    return json.dumps({"timestamp": time, "level": level, "service": service, "message": message, **fields})


def healthy(lines: int, seed: int = 0) -> Iterator[str]:
    """Traffic of three services in which nothing is wrong, with what likes to look as if."""
    rng = random.Random(seed)
    yield entry(0, "INFO", "api", "Starting api 1.4.2, connection timeout set to 30s")
    for i in range(1, lines):
        service = rng.choice(["api", "orders", "billing"])
        kind = rng.random()
        took = rng.randint(20, 90)
        if kind < 0.9:
            yield entry(
                i,
                "INFO",
                service,
                f"GET /v1/items/{rng.randint(1, 9999)} 200 in {took} ms",
                latency_ms=took,
                status=200,
            )
        elif kind < 0.96:
            yield entry(i, "DEBUG", service, f"Cache refreshed: {rng.randint(1, 50)} keys, 0 errors")
        elif kind < 0.99:
            yield entry(i, "INFO", service, f"Batch done: processed={rng.randint(100, 200)} failed=0 retries=0")
        else:
            yield entry(i, "WARN", service, f"Slow query took {rng.randint(200, 300)} ms")


def with_lines(lines: list[str], at: int, *more: str) -> list[str]:
    """The lines with more put in."""
    return [*lines[:at], *more, *lines[at:]]


def needle() -> list[str]:
    """One failure in many lines."""
    return with_lines(
        list(healthy(20_000)), 12_345, entry(12_345, "ERROR", "billing", "Certificate of payments.example expired")
    )


def change() -> list[str]:
    """A change that is logged as information, and failures after it that do not name it."""
    lines = list(healthy(4_000))
    failures = [entry(3_000 + i, "ERROR", "orders", f"Checkout failed for order {i}") for i in range(60)]
    return [
        *lines[:2_990],
        entry(2_990, "INFO", "config-service", "Config reloaded: db.pool.max 100 -> 1"),
        *lines[2_990:3_000],
        *failures,
        *lines[3_000:],
    ]


def silent_words() -> list[str]:
    """A failure without any level, in plain text."""
    rng = random.Random(1)
    lines = [f"worker {rng.randint(1, 8)} handled job {i} in {rng.randint(5, 9)} ms" for i in range(3_000)]
    return with_lines(lines, 2_000, "dial tcp 10.2.3.4:5432: connect: connection refused", "giving up on job 2000")


def leak() -> list[str]:
    """Memory that rises until the process is killed."""
    return [
        entry(i, "INFO", "cache", f"heap {value} MB", memory_mb=value)
        for i in range(2_000)
        for value in [200 + (i * 13) % 7 if i < 1_000 else 200 + int((i - 1_000) * 1.6)]
    ]


def traceback() -> list[str]:
    """A Python exception below an error."""
    lines = [f"2026-11-20 22:{i // 60 % 60:02d}:{i % 60:02d},000 INFO [app.web] request {i} done" for i in range(1_500)]
    return with_lines(
        lines, 700,
        "2026-11-20 22:11:40,500 ERROR [app.web] request failed",
        "Traceback (most recent call last):",
        '  File "/app/web.py", line 10, in handle',
        "    return store[key]",
        "KeyError: 'tenant-7'",
    )  # fmt: skip


def access() -> list[str]:
    """Answers with status 502 in an access log."""
    rng = random.Random(2)
    lines = []
    for i in range(3_000):
        time = (START + timedelta(seconds=i)).strftime("%d/%b/%Y:%H:%M:%S +0000")
        status = 502 if 2_000 <= i < 2_040 and i % 2 else 200
        lines.append(
            f'10.0.0.{rng.randint(1, 250)} - - [{time}] "GET /api/cart HTTP/1.1" {status} {rng.randint(9, 999)}'
        )
    return lines


def silence() -> list[str]:
    """A heartbeat that stops while everything else goes on."""
    lines = []
    for i in range(4_000):
        lines.append(entry(i, "INFO", "api", "Request handled"))
        if i % 10 == 0 and i < 2_500:
            lines.append(entry(i, "INFO", "scheduler", f"Heartbeat {i // 10} ok"))
    return lines


def lag() -> list[str]:
    """A number in a message that grows without end."""
    rng = random.Random(3)
    values = [rng.randint(1, 9) + max(0, i - 1_500) * 3 for i in range(3_000)]
    return [entry(i, "INFO", "consumer", f"Batch processed, lag={value}") for i, value in enumerate(values)]


def limited() -> list[str]:
    """Warnings that begin and do not end, in words that no list of failures has."""
    lines = list(healthy(5_000, 2))
    for k in range(40):
        lines.insert(3_000 + k * 5, entry(3_000 + k * 5, "WARN", "billing", f"Disk usage at {60 + k} percent"))
    return lines


def kernel() -> list[str]:
    """The kernel's own words, in syslog, which has no levels."""
    lines = [f"Nov 20 10:{i // 60 % 60:02d}:{i % 60:02d} node1 kubelet[812]: sync pod {i}" for i in range(3_000)]
    return with_lines(
        lines, 2_000,
        "Nov 20 10:33:20 node1 kernel: java invoked oom-killer: gfp_mask=0xcc0",
        "Nov 20 10:33:20 node1 kernel: Out of memory: Killed process 4121 (java) total-vm:8123456kB",
    )  # fmt: skip


def storm() -> list[str]:
    """One cause, and four hundred failures of thirty services that follow from it, each in words of its own."""
    rng = random.Random(4)
    letters = "abcdefghijklmnopqrstuvwxyz"
    noise = [
        entry(2_001 + k, "ERROR", f"svc-{k % 30}", f"Upstream {rng.choice(letters)}{rng.choice(letters)} call {word}")
        for k, word in enumerate(rng.choices("timeout reset refused unavailable".split(), k=400))
    ]
    lines = list(healthy(3_000, 3))
    cause = entry(2_000, "ERROR", "db", "password authentication failed for user app")
    return [*lines[:2_000], cause, *noise, *lines[2_000:]]


INCIDENTS = {
    "silence": (silence, ["Heartbeat 249 ok"]),
    "lag": (lag, ["lag="]),
    "limited": (limited, ["Disk usage at"]),
    "kernel": (kernel, ["oom-killer", "Killed process"]),
    "storm": (storm, ["password authentication failed"]),
    "needle": (needle, ["Certificate of payments.example expired"]),
    "change": (change, ["db.pool.max 100 -> 1", "Checkout failed for order 0"]),
    "silent words": (silent_words, ["connection refused", "giving up"]),
    "leak": (leak, ["heap"]),
    "traceback": (traceback, ["request failed"]),
    "access": (access, ['" 502 ']),
}
