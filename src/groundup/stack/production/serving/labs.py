"""Labs of serving, in virtual time: what batches do to latency, and a release under traffic."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np

from groundup.drawing import BLUE, GREY, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab
from groundup.stack.agents.reliability import now, run_virtual
from groundup.stack.production.serving import Field, Model, Prediction, Service, queue_mean, queue_quantile

FIELDS = {"cpu": Field(float, 0, 100)}
BODY = {"cpu": 93.5}


@dataclass(frozen=True)
class LatencyConfig:
    """Settings of the lab of latency.

    Attributes:
        seed: seed of the arrivals.
        requests: how many come at each load.
        call: seconds of a call of the model, whatever it is given.
        item: seconds more for each item.
        most: items in a batch at most.
        max_delay: seconds that the oldest waits for others at most.
        seconds: the request's deadline.
    """

    seed: int = 0
    requests: int = 700
    call: float = 0.008
    item: float = 0.001
    most: int = 32
    max_delay: float = 0.005
    seconds: float = 0.5


def _model(call: float, item: float) -> Model:
    """A model whose call takes a fixed time, and a little more for each item."""

    async def model(items: list[dict[str, float]]) -> list[Prediction]:
        await asyncio.sleep(call + item * len(items))
        return [Prediction("high" if item["cpu"] > 90 else "low", 0.9) for item in items]

    return model


async def _service(model: Model, takes: float = 0.0, **settings: float) -> Service:
    """A service with this model, which takes some seconds to load."""
    service = Service(FIELDS, **settings)  # pyright: ignore[reportArgumentType]

    async def load() -> Model:
        await asyncio.sleep(takes)
        return model

    await service.reload("v1", load, BODY)
    return service


async def _traffic(config: LatencyConfig, gaps: np.ndarray, most: int, max_delay: float) -> tuple[np.ndarray, float]:
    """Seconds until each request was answered with 200, infinite for others; and items for each call of the model."""
    service = await _service(_model(config.call, config.item), most=most, max_delay=max_delay, seconds=config.seconds)

    async def client(wait: float) -> float:
        await asyncio.sleep(wait)
        begun = now()
        reply = await service.predict(BODY)
        return now() - begun if reply.status == 200 else np.inf

    seconds = np.array(await asyncio.gather(*(client(at) for at in np.cumsum(gaps))))
    return seconds, float(np.isfinite(seconds).sum()) / max(service.batcher.calls, 1)


@lab(
    title="Latency under load",
    question="What do batches do to p50 and p99, and where does the queue's formula say that one by one breaks down?",
    presets={"smoke": {}, "laptop": {"requests": 5_000}, "full": {"requests": 50_000}},
    expectations=[
        expect("formula_gap", at_most=0.2, why="One by one is M/D/1: the formula must give the mean at half load."),
        expect("p99_ms", at_most=60.0, why="At nine tenths of the load of one by one, batches are far from full."),
        expect("p99_ms", beats_baseline_by=30.0, lower_is_better=True, why="One by one, the queue decides."),
        expect("answered", at_least=0.99, why="Batches carry three times what one by one can."),
        expect("answered", beats_baseline_by=0.4, why="One by one sheds or delays two thirds of it."),
    ],
    sabotage=[{"most": 1}, {"max_delay": 0.6}],
)
def latency(config: LatencyConfig, record: Recorder) -> None:
    """Let requests come at random at a service, one by one and in batches, at loads from a third to three times.

    The load is the share of the time that the model would be busy if it took items one by one. The latency is what the
    formula of M/D/1 says, where there is one.
    """
    import plotly.graph_objects as go

    one = config.call + config.item
    rng = np.random.default_rng(config.seed)
    rows = []
    for load in record.progress((0.3, 0.5, 0.7, 0.9, 3.0), label="loads"):
        gaps = rng.exponential(one / load, config.requests)
        alone, _ = run_virtual(_traffic(config, gaps, 1, 0.0))
        batched, size = run_virtual(_traffic(config, gaps, config.most, config.max_delay))
        row = {"load": load, "a second": round(load / one), "items a call": size}
        for name, seconds in (("alone", alone), ("batched", batched)):
            row |= {f"{name} p50 ms": _ms(seconds, 0.5), f"{name} p99 ms": _ms(seconds, 0.99)}
            row[f"{name} answered"] = float(np.isfinite(seconds).mean())
        if load < 1:
            row |= {"M/D/1 p50 ms": 1e3 * one * (1 + queue_quantile(load, 0.5))}
            row |= {"M/D/1 p99 ms": 1e3 * one * (1 + queue_quantile(load, 0.99))}
        rows.append(row)
        if load == 0.5:
            mean = one * (1 + queue_mean(load))
            record.baseline("formula_gap", abs(one / float(alone.mean()) - 1), "the model's time, without a queue")
            record.result("formula_gap", abs(mean / float(alone.mean()) - 1))
    record.table("latency", rows)
    record.baseline("p99_ms", rows[3]["alone p99 ms"], "one by one, at a load of 0.9")
    record.result("p99_ms", rows[3]["batched p99 ms"])
    record.baseline("answered", rows[4]["alone answered"], "one by one, at three times what it can")
    record.result("answered", rows[4]["batched answered"])
    plot = go.Figure()
    for name, colour in (("alone", ORANGE), ("M/D/1", GREY), ("batched", BLUE)):
        p99 = [row[f"{name} p99 ms"] for row in rows[:4]]
        plot.add_scatter(x=[row["load"] for row in rows[:4]], y=p99, name=f"{name}, p99", line={"color": colour})
    plot.update_xaxes(title="load, of what one by one can")
    plot.update_yaxes(title="latency in ms")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("p99 against load", plot)


def _ms(seconds: np.ndarray, share: float) -> float:
    """A quantile in milliseconds; of refused and late requests it is the deadline or more, told as 10 s."""
    return 1e3 * min(float(np.quantile(seconds, share, method="higher")), 10.0)


@dataclass(frozen=True)
class ReleaseConfig:
    """Settings of the lab of a release.

    Attributes:
        seed: seed of the arrivals.
        requests: how many come.
        rate: requests in a second.
        notice: seconds between two looks of the balancer at who is ready.
        pause: seconds for which a server that is leaving still takes requests.
        grace: seconds that accepted requests have at the end.
    """

    seed: int = 0
    requests: int = 800
    rate: float = 60.0
    notice: float = 1.0
    pause: float = 1.5
    grace: float = 5.0


@lab(
    title="A release under traffic",
    question="How many requests does a release lose, with a stop that drains and with one that does not?",
    presets={"smoke": {}, "laptop": {"requests": 5_000, "rate": 400.0}, "full": {"requests": 20_000, "rate": 1500.0}},
    expectations=[
        expect("lost", at_most=0.0, why="A server that is leaving answers until nobody sends to it."),
        expect(
            "lost", beats_baseline_by=0.02, lower_is_better=True, why="A server that stops at once loses what comes."
        ),
    ],
    sabotage=[{"pause": 0.0}],
)
def release(config: ReleaseConfig, record: Recorder) -> None:
    """Replace two replicas one after the other, behind a balancer that looks for readiness once a second.

    A new replica needs a second to load its model. Lost is every request that is not answered with 200.
    """
    gaps = np.random.default_rng(config.seed).exponential(1 / config.rate, config.requests)
    rows = []
    for name, pause, grace in (("at once", 0.0, 0.0), ("as set", config.pause, config.grace)):
        statuses = Counter(run_virtual(_rollout(config, gaps, pause, grace)))
        rows.append(
            {"stop": name, "lost": 1 - statuses[200] / config.requests} | {str(s): statuses[s] for s in (200, 503)}
        )
    record.table("a release", rows)
    record.baseline("lost", rows[0]["lost"], "stops at once")
    record.result("lost", rows[1]["lost"])


async def _rollout(config: ReleaseConfig, gaps: np.ndarray, pause: float, grace: float) -> list[int]:
    """The status of each request."""
    replicas = [await _service(_model(0.02, 0.001)) for _ in range(2)]
    seen, turn = [True, True], itertools.count()

    async def watch() -> None:
        while True:
            seen[:] = [replica.ready() for replica in replicas]
            await asyncio.sleep(config.notice)

    async def roll() -> None:
        for k in range(2):
            await asyncio.sleep(2.25 * config.notice)  # not when the balancer looks
            await replicas[k].stop(pause, grace)
            replicas[k] = await _service(_model(0.02, 0.001), takes=1.0)

    async def client(at: float) -> int:
        await asyncio.sleep(at)
        chosen = [replica for replica, ready in zip(replicas, seen, strict=True) if ready]
        return (await chosen[next(turn) % len(chosen)].predict(BODY)).status if chosen else 503

    behind = [asyncio.ensure_future(watch()), asyncio.ensure_future(roll())]
    statuses = await asyncio.gather(*(client(at) for at in np.cumsum(gaps)))
    for task in behind:
        task.cancel()
    return statuses
