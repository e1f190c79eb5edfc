"""Labs of reliability: each policy beside none, and an agent behind an API under faults."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.agents.reliability import (
    Call,
    CircuitBreaker,
    Completion,
    DeadlineExceeded,
    Endpoint,
    Failure,
    Meter,
    Server,
    deadline,
    fallback,
    now,
    retry,
    run_virtual,
)


@dataclass(frozen=True)
class PoliciesConfig:
    """Settings of the policies lab.

    Attributes:
        seed: seed of the arrivals, the faults and the waits.
        requests: how many requests come.
        rate: requests in a second.
        patience: seconds after which a client is gone.
        errors: the share of calls that fail at once.
        hangs: the share of calls that never end.
        attempts: how often a policy with retries calls.
    """

    seed: int = 0
    requests: int = 600
    rate: float = 3.0
    patience: float = 30.0
    errors: float = 0.1
    hangs: float = 0.03
    attempts: int = 4


POLICIES = ("none", "retry at once", "deadline", "+ retry with jitter", "+ circuit breaker", "+ fallback")


def _policies(config: PoliciesConfig, server: Server, spare: Server, rng: random.Random) -> dict[str, Call[str]]:
    """Each policy as a call; one with a plus adds to the one before it."""
    breaker = CircuitBreaker(failures=5, rest=10.0)

    limits = {"attempts": config.attempts, "within": config.patience}
    timed = deadline(server, 6.0)
    hasty = retry(server, rng=rng, base=1e-6, **limits)
    retried = retry(timed, rng=rng, **limits)
    guarded = retry(breaker.guard(timed), rng=rng, **limits)
    all_of_it = retry(fallback(breaker.guard(timed), deadline(spare, 6.0)), rng=rng, **limits)
    return dict(zip(POLICIES, (server, hasty, timed, retried, guarded, all_of_it), strict=True))


async def _traffic(ask: Call[str], config: PoliciesConfig, arrivals: list[float]) -> list[float]:
    """Seconds until each request was answered; infinite where it was not, or not before its client was gone."""

    async def client(at: float) -> float:
        await asyncio.sleep(at)
        try:
            await deadline(ask, config.patience)()
        except Failure:
            return np.inf
        return now() - at

    return await asyncio.gather(*(client(at) for at in arrivals))


@lab(
    title="Each policy beside none",
    question="What does each policy add to success, and what to the load of the server?",
    presets={"smoke": {}, "laptop": {"requests": 3_000}, "full": {"requests": 20_000}},
    expectations=[
        expect("success", at_least=0.97, why="All policies together bridge errors, hangs and the outage."),
        expect("success", beats_baseline_by=0.2, why="Without a policy each fault is a lost request."),
        expect("load", at_most=1.5, why="The servers must not be called much more often than there are requests."),
    ],
    sabotage=[{"attempts": 1, "hangs": 0.3}, {"errors": 0.9}],
)
def policies(config: PoliciesConfig, record: Recorder) -> None:
    """Let the same requests arrive, at random, at a server that errs, hangs and is down for a fifth of the time.

    One policy after the other stands before it, in virtual time. The spare server of the last one is slower, and as
    faulty, but not down.
    """
    span = config.requests / config.rate
    rows = []
    for name in record.progress(POLICIES, label="policies"):
        draw = random.Random(config.seed)
        arrivals = [draw.uniform(0, span) for _ in range(config.requests)]
        server = Server(draw, errors=config.errors, hangs=config.hangs, outages=[(0.4 * span, 0.6 * span)])
        spare = Server(draw, errors=config.errors, hangs=config.hangs, latency=2.0)
        seconds = np.array(run_virtual(_traffic(_policies(config, server, spare, draw)[name], config, arrivals)))
        answered = seconds[np.isfinite(seconds)]
        rows.append(
            {
                "policy": name,
                "success": len(answered) / config.requests,
                "load": server.calls / config.requests,
                "load of both": (server.calls + spare.calls) / config.requests,
                "p95 s": float(np.quantile(answered, 0.95)) if len(answered) else np.nan,
            }
        )
    record.table("each policy", rows)
    record.baseline("success", rows[0]["success"], "no policy")
    record.result("success", rows[-1]["success"])
    record.baseline("load", rows[1]["load"], "retries at once")
    record.result("load", rows[-1]["load of both"])


@dataclass(frozen=True)
class ApiConfig:
    """Settings of the API lab.

    Attributes:
        seed: seed of the faults and of the waits.
        requests: how many questions are sent.
        hangs: the share of the agent's calls that never end.
        guard: whether the endpoint stands before the agent, or the agent alone answers.
    """

    seed: int = 0
    requests: int = 200
    hangs: float = 0.1
    guard: Literal["endpoint", "none"] = "endpoint"


@lab(
    title="The agent behind an API",
    question="Does every client get a status in time, and is a question with one key paid for once?",
    presets={"smoke": {}, "laptop": {"requests": 2_000}, "full": {"requests": 10_000}},
    expectations=[
        expect("in_time", at_least=1.0, why="An answer or a clear error within 30 seconds, always."),
        expect("ok", beats_baseline_by=0.05, why="Retries answer what one call would not have."),
        expect("paid_twice", at_most=0.0, why="A client that asks again with its key gets the same answer."),
    ],
    sabotage=[{"guard": "none"}],
)
def api(config: ApiConfig, record: Recorder) -> None:
    """Send questions to `POST /ask` of a Starlette app, each twice with the same key, with and without the endpoint.

    All of it runs in virtual time. FastAPI is Starlette with validated bodies and documentation.
    """
    rows = []
    for guarded in (False, config.guard == "endpoint"):
        draw = random.Random(config.seed)
        server = Server(draw, slots=1000, errors=0.15, hangs=config.hangs)
        paid: Counter[str] = Counter()

        async def ask(question: str, server: Server = server, paid: Counter[str] = paid) -> Completion:
            await server()
            paid[question] += 1
            return Completion("It is full.", len(question.split()), 3)

        async def bare(question: str, key: str, ask: Any = ask) -> tuple[int, dict[str, str], dict[str, Any]]:
            return 200, {}, {"answer": (await ask(question)).text}

        endpoint = Endpoint(ask, rng=draw, meter=Meter(price_in=1.0, price_out=4.0))
        results = run_virtual(_clients(_app(endpoint.answer if guarded else bare), config.requests))
        row = {"endpoint": guarded, "in_time": float(np.mean([0 < s and t <= 30 for s, t in results]))}
        row["ok"] = float(np.mean([status == 200 for status, _ in results]))
        row["paid_twice"] = float(np.mean([count > 1 for count in paid.values()]))
        rows.append(row | {f"status {s or 'none'}": n for s, n in Counter(s for s, _ in results).items()})
    record.table("without and with the endpoint", rows)
    for name in ("in_time", "ok", "paid_twice"):
        record.baseline(name, rows[0][name], "the agent alone behind the route")
        record.result(name, rows[1][name])


def _app(answer: Callable[[str, str], Awaitable[tuple[int, dict[str, str], dict[str, Any]]]]) -> Any:
    """A Starlette app with one route."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    async def ask(request: Request) -> JSONResponse:
        question = (await request.json())["question"]
        status, headers, body = await answer(question, request.headers["idempotency-key"])
        return JSONResponse(body, status, headers)

    return Starlette(routes=[Route("/ask", ask, methods=["POST"])])


async def _clients(app: Any, count: int) -> list[tuple[int, float]]:
    """Of each client the status of its first request, 0 for none within a minute, and its seconds; each asks twice."""

    async def client(number: int) -> tuple[int, float]:
        await asyncio.sleep(number)
        begun = now()
        body, key = {"question": f"Is node {number} full?"}, str(number)
        first = await _status(app, body, key)
        seconds = now() - begun
        await _status(app, body, key)
        return first, seconds

    return await asyncio.gather(*(client(number) for number in range(count)))


async def _status(app: Any, body: dict[str, str], key: str) -> int:
    """POST to an ASGI app, without a network; 500 where it raises, 0 where nothing comes within a minute."""
    statuses: list[int] = []
    headers = [(b"idempotency-key", key.encode())]
    scope = {"type": "http", "method": "POST", "path": "/ask", "headers": headers, "query_string": b""}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: dict[str, Any]) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    try:
        await deadline(lambda: app(scope, receive, send), 60.0)()
    except DeadlineExceeded:
        return 0
    except Failure:
        return 500
    return statuses[0]
