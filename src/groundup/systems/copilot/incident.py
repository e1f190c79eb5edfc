"""A synthetic incident: the logs of a small shop, in which a release takes the database connections away.

    incident = generate(seed=7)
    incident.files["checkout.log"]      # lines
    incident.cause                      # the lines that tell of the root cause
    incident.labels["checkout.log"]     # what each line is: "normal", "failure" or "change"

What happens is written down in `generate`, and the logs tell of it as real ones would: six services, each in a format
of its own (access log, Spring Boot with Java traces, JSON, Python's logging with tracebacks, logfmt, klog), with the
usual noise before and after. The same seed gives the same lines. Nothing is taken from anybody's logs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from groundup.errors import UsageError

START = datetime(2026, 3, 14, 13, 0, tzinfo=UTC)
POOL, CUT = 20, 2  # connections of the checkout before the release, and after it
WAIT_MS = 30_000  # how long the checkout waits for a connection
NORMAL, FAILURE, CHANGE = "normal", "failure", "change"

SLOW_TRACE = (
    "java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, request timed out after "
    "{waited}ms.",
    "\tat com.zaxxer.hikari.pool.HikariPool.createTimeoutException(HikariPool.java:696)",
    "\tat com.zaxxer.hikari.pool.HikariPool.getConnection(HikariPool.java:181)",
    "\tat shop.checkout.OrderRepository.save(OrderRepository.java:58)",
    "\tat shop.checkout.OrderController.place(OrderController.java:41)",
    "\t... 48 more",
)
PYTHON_TRACE = (
    "Traceback (most recent call last):",
    '  File "/app/inventory/reserve.py", line 88, in confirm',
    "    order = checkout.order(number, timeout=5)",
    '  File "/app/inventory/checkout.py", line 31, in order',
    "    raise CheckoutUnavailable(number, response.status)",
    "inventory.checkout.CheckoutUnavailable: order {order}: 503",
)


@dataclass
class Incident:
    """Logs, and what is true of them.

    Attributes:
        files: the lines of each log, by its name.
        labels: for each line of each log, `normal`, `failure`, or `change` for what an operator changed.
        cause: the lines that tell of the root cause.
        release: when the release was rolled out.
        repair: when it was rolled back.
    """

    files: dict[str, list[str]]
    labels: dict[str, list[str]]
    cause: list[str]
    release: datetime
    repair: datetime

    def write(self, folder: Path) -> list[Path]:
        """Write the logs into a folder; what stands there under these names is replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, lines in self.files.items():
            (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [folder / name for name in self.files]


@dataclass
class _Writer:
    """Entries of all logs with their times; an entry may have many lines."""

    entries: list[tuple[datetime, int, str, str, tuple[str, ...]]] = field(default_factory=list)

    def add(self, log: str, time: datetime, *lines: str, label: str = NORMAL) -> None:
        self.entries.append((time, len(self.entries), log, label, lines))

    def incident(self, cause: list[str], release: datetime, repair: datetime) -> Incident:
        files: dict[str, list[str]] = {}
        labels: dict[str, list[str]] = {}
        for _, _, log, label, lines in sorted(self.entries):
            files.setdefault(log, []).extend(lines)
            labels.setdefault(log, []).extend([label] * len(lines))
        return Incident(files, labels, cause, release, repair)


# ── how each service writes ─────────────────────────────────────────────────────────────────────────────────────────
def access(time: datetime, request: str, status: int, size: int, seconds: float, client: str) -> str:
    """Nginx's combined access log, with the time that the request took."""
    return (
        f'{client} - - [{time:%d/%b/%Y:%H:%M:%S +0000}] "{request} HTTP/1.1" {status} {size} "-" '
        f'"Mozilla/5.0 (X11; Linux x86_64)" {seconds:.3f}'
    )


def spring(time: datetime, level: str, logger: str, message: str, thread: int) -> str:
    """Spring Boot's default layout."""
    return f"{_iso(time)} {level:>5} 1 --- [nio-8080-exec-{thread}] {logger:<40} : {message}"


def python(time: datetime, level: str, logger: str, message: str) -> str:
    """Python's logging."""
    return f"{time:%Y-%m-%d %H:%M:%S},{time.microsecond // 1000:03d} {level} {logger}: {message}"


def structured(time: datetime, level: str, message: str, **fields: object) -> str:
    """JSON, as the payment service writes it."""
    return json.dumps({"ts": _iso(time), "level": level, "service": "payment", "msg": message, **fields})


def logfmt(time: datetime, level: str, message: str, **fields: object) -> str:
    """logfmt, as the mailer writes it."""
    rest = "".join(f" {key}={value}" for key, value in fields.items())
    return f'time={_iso(time)} level={level} msg="{message}"{rest}'


def klog(time: datetime, severity: str, place: str, message: str) -> str:
    """klog, as the kubelet writes it."""
    return f"{severity}{time:%m%d %H:%M:%S.%f}    1187 {place}] {message}"


def _iso(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"


# ── what happens ────────────────────────────────────────────────────────────────────────────────────────────────────
def generate(*, seed: int = 7, minutes: int = 90) -> Incident:
    """The logs of the shop around the incident.

    1. Until two thirds of the time have passed, orders are placed: gateway, checkout, payment, inventory, mailer.
    2. Release 2.14.0 of the checkout is rolled out. Its configuration has a pool of 2 connections where there were 20.
    3. Requests queue for a connection, and most of them fail after 30 s; the gateway answers 504, payments of orders
       that were not saved are voided, the inventory cannot confirm, the kubelet restarts the checkout.
    4. In the last tenth the release is rolled back, and orders are placed again.

    Args:
        seed: of what is random.
        minutes: how long the logs are.
    """
    if minutes < 10:
        raise UsageError(f"minutes must be 10 or more, so that there is a before and an after, got {minutes}.")
    rng, out = random.Random(seed), _Writer()
    end = START + timedelta(minutes=minutes)
    release = START + timedelta(minutes=minutes * 2 / 3)
    repair = START + timedelta(minutes=minutes * 0.9)
    cause = _release(out, release)
    order = 48_000
    for time in _arrivals(rng, end):
        order += 1
        if release + timedelta(seconds=20) < time < repair and rng.random() < 0.7:
            _failed_order(out, rng, time, order)
        else:
            _order(out, rng, time, order)
    _noise(out, rng, end)
    _restarts(out, rng, release, repair)
    _rollback(out, repair)
    return out.incident(cause, release, repair)


def _arrivals(rng: random.Random, end: datetime) -> Iterator[datetime]:
    time = START
    while (time := time + timedelta(seconds=rng.expovariate(0.6))) < end:
        yield time.replace(microsecond=time.microsecond // 1000 * 1000)


def _client(rng: random.Random) -> str:
    return f"10.4.{rng.randrange(8)}.{rng.randrange(2, 250)}"


def _later(time: datetime, milliseconds: float) -> datetime:
    return time + timedelta(milliseconds=milliseconds)


def _order(out: _Writer, rng: random.Random, time: datetime, order: int) -> None:
    """An order that is placed."""
    took, amount, thread = rng.randrange(40, 160), rng.randrange(900, 25_000) / 100, rng.randrange(1, 11)
    controller, sku = "shop.checkout.OrderController", f"SKU-{rng.randrange(1000, 9999)}"
    client = _client(rng)
    for _ in range(rng.randrange(1, 4)):
        page = rng.choice(("/", "/products", f"/products/{sku}", "/cart"))
        out.add("gateway.log", time, access(time, f"GET {page}", 200, rng.randrange(900, 30_000), 0.02, client))
    reserved, paid, placed = _later(time, took * 0.2), _later(time, took * 0.7), _later(time, took)
    pieces = rng.randrange(1, 4)
    out.add("inventory.log", reserved, python(reserved, "INFO", "inventory.reserve", f"reserved {pieces} of {sku}"))
    latency = rng.randrange(20, 90)
    out.add("payment.log", paid, structured(paid, "info", "payment authorised", order=order, amount=amount,
                                            latency_ms=latency))  # fmt: skip
    if rng.random() < 0.03:
        out.add("payment.log", paid, structured(paid, "warn", "card declined, asking for another", order=order))
    out.add("checkout.log", placed, spring(placed, "INFO", controller, f"Order {order} placed in {took} ms", thread))
    out.add("gateway.log", placed, access(placed, "POST /checkout", 201, 412, took / 1000, client))
    sent = _later(placed, 400)
    out.add("mailer.log", sent, logfmt(sent, "info", "receipt sent", order=order))


def _failed_order(out: _Writer, rng: random.Random, time: datetime, order: int) -> None:
    """An order for which there was no connection."""
    waited, thread, client = WAIT_MS + rng.randrange(1, 40), rng.randrange(1, 201), _client(rng)
    failed = _later(time, waited)
    trace = tuple(line.format(waited=waited) for line in SLOW_TRACE)
    message = f"Order {order} could not be saved"
    out.add(
        "checkout.log", failed, spring(failed, "ERROR", "shop.checkout.OrderController", message, thread), *trace,
        label=FAILURE,
    )  # fmt: skip
    if rng.random() < 0.2:
        pool = f"HikariPool-1 - Pool stats (total={CUT}, active={CUT}, idle=0, waiting={rng.randrange(15, 120)})"
        out.add("checkout.log", failed, spring(failed, "WARN", "com.zaxxer.hikari.pool.HikariPool", pool, thread),
                label=FAILURE)  # fmt: skip
    answered = _later(time, WAIT_MS)
    out.add("gateway.log", answered, access(answered, "POST /checkout", 504, 167, 30.0, client), label=FAILURE)
    voided = _later(failed, 30)
    out.add("payment.log", voided, structured(voided, "error", "order not saved, payment voided", order=order),
            label=FAILURE)  # fmt: skip
    if rng.random() < 0.3:
        trace = tuple(line.format(order=order) for line in PYTHON_TRACE)
        message = f"reservation of order {order} not confirmed"
        out.add("inventory.log", voided, python(voided, "ERROR", "inventory.reserve", message), *trace, label=FAILURE)


def _release(out: _Writer, release: datetime) -> list[str]:
    """The roll-out; the lines of the root cause come back."""
    pool = f"HikariPool-1 - configuration: maximumPoolSize={CUT} (was {POOL}), connectionTimeout={WAIT_MS} ms"
    lines = (
        klog(release, "I", "kubelet.go:2114", '"SyncLoop UPDATE" source="api" pods=["shop/checkout-6d8f7c9b54-x2xkq"]'),
        spring(_later(release, 4000), "INFO", "shop.checkout.CheckoutApplication", "Starting release 2.14.0", 1),
        spring(_later(release, 6000), "INFO", "com.zaxxer.hikari.HikariConfig", pool, 1),
        spring(_later(release, 9000), "INFO", "shop.checkout.CheckoutApplication", "Started in 4.812 seconds", 1),
    )
    for log, line, seconds in zip(("kubelet.log", *["checkout.log"] * 3), lines, (0, 4, 6, 9), strict=True):
        out.add(log, release + timedelta(seconds=seconds), line, label=CHANGE)
    return [lines[2]]


def _rollback(out: _Writer, repair: datetime) -> None:
    application = "shop.checkout.CheckoutApplication"
    started = _later(repair, 5000)
    out.add("checkout.log", started, spring(started, "INFO", application, "Starting release 2.13.2", 1), label=CHANGE)
    pool = f"HikariPool-1 - configuration: maximumPoolSize={POOL} (was {CUT}), connectionTimeout={WAIT_MS} ms"
    out.add("checkout.log", _later(started, 2000),
            spring(_later(started, 2000), "INFO", "com.zaxxer.hikari.HikariConfig", pool, 1), label=CHANGE)  # fmt: skip


def _noise(out: _Writer, rng: random.Random, end: datetime) -> None:
    """What is always there."""
    time = START
    while time < end:
        at = _later(time, rng.randrange(900))
        out.add("kubelet.log", at, klog(at, "I", "prober.go:116", '"Probe succeeded" probeType="Readiness"'))
        if rng.random() < 0.04:
            out.add("kubelet.log", at, klog(at, "W", "reflector.go:539", "watch of *v1.Node ended: too old resource"))
        if rng.random() < 0.05:
            slow = structured(at, "warn", "acquirer is slow", latency_ms=rng.randrange(900, 1800))
            out.add("payment.log", at, slow)
        if rng.random() < 0.05:
            out.add("mailer.log", at, logfmt(at, "warn", "receipt bounced", order=rng.randrange(40_000, 48_000)))
        if rng.random() < 0.02:
            out.add("inventory.log", at, python(at, "WARNING", "inventory.stock", "stock is low, ordered more"))
        time += timedelta(seconds=10)


def _restarts(out: _Writer, rng: random.Random, release: datetime, repair: datetime) -> None:
    """The kubelet on a checkout that does not answer."""
    pod = 'pod="shop/checkout-6d8f7c9b54-x2xkq"'
    time, failures = release + timedelta(seconds=75), 0
    while time < repair:
        probe = f'"Probe failed" probeType="Readiness" {pod} output="HTTP probe failed with statuscode: 503"'
        out.add("kubelet.log", time, klog(time, "W", "prober.go:107", probe), label=FAILURE)
        failures += 1
        if failures % 6 == 0:
            restart = f'"Container failed liveness probe, will be restarted" {pod} containerName="checkout"'
            out.add("kubelet.log", time, klog(time, "E", "kuberuntime_manager.go:1033", restart), label=FAILURE)
        time += timedelta(seconds=rng.randrange(20, 40))
