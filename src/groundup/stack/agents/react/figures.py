"""Explorables of react: tokens of a run, errors as observations, and the fence around a result."""

from __future__ import annotations

import random
from typing import Annotated, Literal

import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.agents.react import Agent, Message, Reply, Tool


def _look(page: int, size: int) -> str:
    """Look at a page."""
    return f"{page} " + "word " * size


@figure("Resend all, or keep a window")
def growth(
    result: Annotated[int, Range(10, 200, step=10)] = 60,
    context: Annotated[int, Range(200, 4000, step=200)] = 1000,
) -> go.Figure:
    """Tokens that a run has sent after each step, with a window and without one.

    Resending all bends upwards: the n-th request holds n results. With a window each request is at most `context`
    long, and the line is straight. Widen the window until the two lines part late.
    """
    plot = go.Figure()
    sent = {}
    for name, limit, colour in (("all is resent", 10**9, ORANGE), (f"window of {context}", context, BLUE)):
        counts: list[int] = []

        def model(messages: list[Message], counts: list[int] = counts) -> Reply:
            counts.append(sum(len(m["content"]) // 4 for m in messages))
            return Reply(f'Action: _look\nAction Input: {{"page": {len(counts)}, "size": {result}}}')

        agent = Agent(
            model, [Tool(_look)], max_steps=40, max_tokens=10**9, context=limit, length=lambda text: len(text) // 4
        )
        agent.run("Read all pages.")
        totals = [sum(counts[: n + 1]) for n in range(len(counts))]
        sent[name] = totals[-1]
        plot.add_scatter(x=list(range(1, 41)), y=totals, name=name, line={"color": colour, "width": 3})
    first, second = sent.values()
    headline(plot, f"after 40 steps {first:,} against {second:,} tokens")
    plot.update_xaxes(title="steps")
    plot.update_yaxes(title="tokens sent in all")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


def _stop(faults: float, max_steps: int, work: int, draw: random.Random) -> str:
    """How a run ends whose task takes `work` good calls, and whose replies are spoiled at this rate."""
    good = 0

    def model(messages: list[Message]) -> Reply:
        nonlocal good
        if good == work:
            return Reply("Final Answer: done")
        if draw.random() < faults:
            return Reply(f"I think that {draw.random()}")
        good += 1
        return Reply(f'Action: _look\nAction Input: {{"page": {good}, "size": 1}}')

    return Agent(model, [Tool(_look)], max_steps=max_steps).run("Read.").stop


@figure("What a budget of steps buys")
def budgets(
    work: Annotated[int, Range(1, 8)] = 3,
    faults: Annotated[float, Range(0, 0.9, step=0.1)] = 0.3,
) -> go.Figure:
    """Share of runs that end in an answer, against the budget of steps, when a share of the replies is unreadable.

    A task of n calls needs n + 1 replies. Raise the faults: the curve shifts to the right, and a few more steps bring
    most of it back, because an error is told and the model goes on. Grey: a loop that ends at the first error.
    """
    budgets = list(range(1, 21))
    shares = []
    for limit in budgets:
        draw = random.Random(limit)
        shares.append(sum(_stop(faults, limit, work, draw) == "answer" for _ in range(30)) / 30)
    strict = [(1 - faults) ** work if limit > work else 0.0 for limit in budgets]
    plot = go.Figure()
    plot.add_scatter(x=budgets, y=shares, name="errors are observations", line={"color": BLUE, "width": 3})
    plot.add_scatter(x=budgets, y=strict, name="the first error ends it", line={"color": GREY, "dash": "dash"})
    headline(plot, f"with {work + 5} steps: {shares[work + 4]:.0%}")
    plot.update_xaxes(title="budget of steps")
    plot.update_yaxes(title="runs with an answer", range=[-0.05, 1.05], tickformat=".0%")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Who ends this run?")
def stops(
    model: Literal["goes in circles", "polls", "never answers", "answers"] = "goes in circles",
    max_steps: Annotated[int, Range(2, 12)] = 8,
    repeats: Annotated[int, Range(2, 6)] = 3,
) -> go.Figure:
    """Tokens of a run after each step, and the limit that ends it.

    A model that goes in circles is stopped by its repetitions, one that never answers by its steps. Polling asks the
    same with another result each time, and is no circle. Lower `repeats`, and circles end sooner; polling does not.
    """
    states = iter(range(100))

    def state() -> str:
        """Tell how far the roll-out is."""
        return f"{next(states) if model == 'polls' else 7} %"

    asked = 0

    def reply(messages: list[Message]) -> Reply:
        nonlocal asked
        asked += 1
        if model == "answers" and asked == 4:
            return Reply("Final Answer: It is rolled out.")
        if model in ("goes in circles", "polls"):
            return Reply("Action: state")
        return Reply(f'Action: _look\nAction Input: {{"page": {asked}, "size": 5}}')

    run = Agent(reply, [Tool(state), Tool(_look)], max_steps=max_steps, repeats=repeats).run("Is it rolled out?")
    replies = len(run.steps) + (run.stop == "answer")
    colour = {"answer": GREEN, "steps": ORANGE}.get(run.stop, RED)
    plot = go.Figure()
    kept = [sum(len(m["content"]) for s in run.steps[: n + 1] for m in s.messages) for n in range(len(run.steps))]
    plot.add_bar(x=list(range(1, len(kept) + 1)), y=kept, marker_color=colour, name=run.stop)
    headline(plot, f"stopped by: {run.stop}, after {replies} replies")
    plot.update_xaxes(title="step", dtick=1)
    plot.update_yaxes(title="characters in the transcript")
    return plot
