"""Explorables of reliability: who comes back when, a circuit over time, and the price of waiting."""

from __future__ import annotations

import asyncio
import random
from typing import Annotated, Literal

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.agents.reliability import (
    CircuitBreaker,
    CircuitOpen,
    DeadlineExceeded,
    Failure,
    Transient,
    deadline,
    now,
    retry,
    run_virtual,
)


class _Fixed(random.Random):
    """Draws the upper end: backoff without jitter."""

    def uniform(self, a: float, b: float) -> float:
        return b


@figure("Who comes back when")
def herd(
    jitter: bool = True,
    clients: Annotated[int, Range(20, 200, step=10)] = 100,
    slots: Annotated[int, Range(2, 40)] = 10,
) -> go.Figure:
    """Calls in each half second after all clients have failed at once; the server takes `slots` calls in a second.

    Without jitter all come back together, and most are turned away again: the peaks lie above the line. With jitter
    the same retries are spread. Lower the slots, and see how long it takes until all are served.
    """
    times: list[float] = []
    served: dict[int, int] = {}

    async def call() -> None:
        times.append(now())
        second = int(now())
        if second == 0 or served.get(second, 0) >= slots:
            raise Transient("429")
        served[second] = served.get(second, 0) + 1

    async def main() -> int:
        rng = random.Random(0) if jitter else _Fixed(0)
        waiting = [retry(call, rng=rng, attempts=8, base=2.0, cap=16.0)() for _ in range(clients)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        return sum(result is None for result in results)

    done = run_virtual(main())
    plot = go.Figure(go.Histogram(x=times, xbins={"start": 0, "end": 60, "size": 0.5}, marker_color=BLUE))
    plot.add_hline(y=slots / 2, line={"color": ORANGE, "dash": "dash"})
    headline(plot, f"{done} of {clients} served, by {len(times)} calls")
    plot.update_xaxes(title="seconds", range=[0, 60])
    plot.update_yaxes(title="calls in half a second")
    return plot


@figure("A circuit over time")
def circuit(
    failures: Annotated[int, Range(1, 10)] = 5,
    rest: Annotated[float, Range(1, 30, step=1)] = 10.0,
    outage: Annotated[float, Range(0, 60, step=5)] = 30.0,
) -> go.Figure:
    """A call every half second to a server that is down from 20 s on: answered, failed, or refused by the circuit.

    After some failures the circuit opens, and calls are refused at once (grey). After each rest a single call tries.
    A longer rest spares the server, and notices later that it is back.
    """
    rows: dict[str, list[float]] = {"answered": [], "failed": [], "refused": []}

    async def call() -> None:
        if 20 <= now() < 20 + outage:
            raise Transient("503")

    guarded = CircuitBreaker(failures=failures, rest=rest).guard(call)

    async def main() -> None:
        while now() < 100:
            try:
                await guarded()
                rows["answered"].append(now())
            except CircuitOpen:
                rows["refused"].append(now())
            except Failure:
                rows["failed"].append(now())
            await asyncio.sleep(0.5)

    run_virtual(main())
    plot = go.Figure()
    styles = {"answered": (GREEN, "circle"), "failed": (RED, "x"), "refused": (GREY, "line-ns-open")}
    for name, times in rows.items():
        colour, symbol = styles[name]
        marker = {"color": colour, "symbol": symbol, "size": 9}
        plot.add_scatter(x=times, y=[name] * len(times), mode="markers", name=name, marker=marker)
    back = [time for time in rows["answered"] if time >= 20 + outage]
    late = f"noticed {back[0] - 20 - outage:.1f} s after it was back" if back else "not noticed yet"
    headline(plot, f"{len(rows['failed'])} failed calls; {late}")
    plot.add_vrect(x0=20, x1=20 + outage, fillcolor=ORANGE, opacity=0.15, line_width=0)
    plot.update_xaxes(title="seconds", range=[0, 100])
    plot.update_yaxes(title="call", categoryorder="array", categoryarray=["refused", "failed", "answered"])
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("How long to wait for an answer")
def cut(
    seconds: Annotated[float, Range(0.5, 20, step=0.5)] = 4.0,
    hangs: Annotated[float, Range(0, 0.5, step=0.05)] = 0.1,
    policy: Literal["one attempt", "four attempts"] = "four attempts",
) -> go.Figure:
    """Seconds until 300 calls were answered, when answers take 1 s in the mean and a share of the calls hangs.

    A short deadline cuts answers that would have come; a long one waits for those that never will. With four attempts
    a deadline of a few mean times answers nearly all, and the slowest wait shortest there. Move it both ways.
    """
    draw = random.Random(5)

    async def call() -> None:
        await asyncio.sleep(1e6 if draw.random() < hangs else draw.expovariate(1.0))

    async def client() -> float:
        begun = now()
        try:
            attempts = 1 if policy == "one attempt" else 4
            await retry(deadline(call, seconds), rng=draw, attempts=attempts, base=0.1)()
        except DeadlineExceeded:
            return np.inf
        return now() - begun

    async def main() -> list[float]:
        return await asyncio.gather(*(client() for _ in range(300)))

    waits = np.array(run_virtual(main()))
    answered = np.sort(waits[np.isfinite(waits)])
    plot = go.Figure()
    plot.add_scatter(
        x=answered, y=np.arange(1, len(answered) + 1) / 300, line={"color": BLUE, "width": 3}, name="calls"
    )
    plot.add_vline(x=seconds, line={"color": ORANGE, "dash": "dash"})
    slow = f", 95 % of those within {np.quantile(answered, 0.95):.1f} s" if len(answered) else ""
    headline(plot, f"{len(answered) / 300:.0%} answered{slow}")
    plot.update_xaxes(title="seconds", range=[0, 40])
    plot.update_yaxes(title="share of the calls that is answered", range=[0, 1.05])
    return plot
