"""Explorables of serving: a queue's wait by formula, batches under load, and the price of a bad item."""

from __future__ import annotations

import asyncio
from typing import Annotated

import numpy as np
import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.agents.reliability import now, run_virtual
from groundup.stack.production.serving import Batcher, queue_mean, queue_quantile


@figure("How long a queue makes you wait")
def queue(
    load: Annotated[float, Range(0.1, 0.95, step=0.05)] = 0.8,
    service: Annotated[float, Range(1, 100, step=1)] = 10.0,
    share: Annotated[float, Range(0.5, 0.999, step=0.001)] = 0.99,
) -> go.Figure:
    """Wait before one server, by the formulas of M/D/1: its mean, and what a share of the requests keeps below.

    From half load to nine tenths, the server does less than twice the work, and the mean wait grows ninefold. A server
    that takes half as long per request halves the load as well as the unit of the wait.
    """
    loads = np.linspace(0.02, 0.95, 32)
    plot = go.Figure()
    worst = [service * queue_quantile(value, share) for value in loads]
    plot.add_scatter(x=loads, y=worst, name=f"{share:.1%} wait less", line={"color": ORANGE, "width": 3})
    plot.add_scatter(x=loads, y=[service * queue_mean(v) for v in loads], name="mean", line={"color": BLUE, "width": 3})
    plot.add_vline(x=load, line={"color": GREY, "dash": "dash"})
    mean, high = service * queue_mean(load), service * queue_quantile(load, share)
    headline(plot, f"at a load of {load:.0%}: {mean:.3g} ms in the mean, {share:.1%} wait less than {high:.3g} ms")
    plot.update_xaxes(title="load: share of the time that the server is busy", range=[0, 1], tickformat=".0%")
    plot.update_yaxes(title="wait in ms", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Batches under load")
def batches(
    rate: Annotated[int, Range(20, 600, step=20)] = 160,
    most: Annotated[int, Range(1, 64)] = 32,
    max_delay: Annotated[int, Range(0, 50, step=5)] = 5,
) -> go.Figure:
    """Latency of 400 requests that come at random, when a call of the model takes 8 ms and 1 ms more for each item.

    With `most` at 1 the model can take 111 requests a second; beyond that the line climbs without an end. In batches it
    can take more, and the batches grow by themselves with the rate: see how little the delay matters once it is busy.
    """
    at = np.cumsum(np.random.default_rng(0).exponential(1 / rate, 400))

    async def model(items: list[int]) -> list[int]:
        await asyncio.sleep(0.008 + 0.001 * len(items))
        return items

    async def main() -> tuple[list[float], int]:
        batcher = Batcher(model, most=most, max_delay=max_delay / 1e3, room=1000)

        async def client(at: float) -> float:
            await asyncio.sleep(at)
            begun = now()
            await batcher.submit(0)
            return 1e3 * (now() - begun)

        return await asyncio.gather(*(client(float(value)) for value in at)), batcher.calls

    latencies, calls = run_virtual(main())
    p50, p99 = np.quantile(latencies, [0.5, 0.99])
    plot = go.Figure(go.Scatter(x=at, y=latencies, mode="markers", name="request", marker={"color": BLUE, "size": 5}))
    for value, name, colour in ((p50, "p50", GREEN), (p99, "p99", ORANGE)):
        plot.add_hline(y=value, line={"color": colour, "dash": "dash"}, annotation_text=name)
    headline(plot, f"p50 {p50:.0f} ms, p99 {p99:.0f} ms; {400 / calls:.1f} items in a batch")
    plot.update_xaxes(title="arrival in seconds")
    plot.update_yaxes(title="latency in ms", rangemode="tozero")
    return plot


@figure("The price of a bad item")
def culprits(
    size: Annotated[int, Range(2, 64)] = 32,
    bad: Annotated[int, Range(0, 8)] = 1,
) -> go.Figure:
    """Calls of the model for one batch, when a call with a bad item fails as a whole, and halves are tried.

    One bad item among 32 costs 10 calls more than none. Trying each item alone costs 32 more, whatever is wrong. With
    many bad items the halves cost more than that: a model that names its bad items itself needs a single call.
    """
    rng = np.random.default_rng(0)

    async def calls(wrong: set[int]) -> int:
        async def model(items: list[int]) -> list[int]:
            if wrong & set(items):
                raise ValueError("a bad item")
            return items

        batcher = Batcher(model, most=size, max_delay=0.0)
        await asyncio.gather(*(batcher.submit(item) for item in range(size)), return_exceptions=True)
        return batcher.calls

    async def main() -> list[float]:
        numbers = range(min(size, 8) + 1)
        draws = [[set(rng.permutation(size)[:n].tolist()) for _ in range(10)] for n in numbers]
        return [float(np.mean([await calls(wrong) for wrong in some])) for some in draws]

    means = run_virtual(main())
    bad = min(bad, len(means) - 1)
    colours = [BLUE if number == bad else GREY for number in range(len(means))]
    plot = go.Figure(go.Bar(x=list(range(len(means))), y=means, marker_color=colours, name="by halves"))
    alone = [1.0, *[1.0 + size] * (len(means) - 1)]
    plot.add_scatter(x=list(range(len(means))), y=alone, name="each alone", mode="markers", marker={"color": ORANGE})
    headline(plot, f"{means[bad]:.0f} calls for {size} items of which {bad} are bad; each alone {alone[bad]:.0f}")
    plot.update_xaxes(title="bad items in the batch", dtick=1)
    plot.update_yaxes(title="calls of the model, mean of 10 draws")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
