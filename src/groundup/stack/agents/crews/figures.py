"""Explorables of crews: one agent or several, rounds with a critic, and a budget that is shared out."""

from __future__ import annotations

import json
import random
from typing import Annotated, Any

import plotly.graph_objects as go

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, RED, headline
from groundup.stack.agents.crews import Budget, Crew, Model, Worker, refine
from groundup.stack.agents.react import Agent, Message, Reply, Tool


def _tool(number: int, size: int) -> Tool:
    """A tool whose description and result are of ordinary length."""

    def look(query: str, limit: int = 10) -> str:
        return "word " * size

    look.__name__ = f"look_{number}"
    look.__doc__ = "Look something up in one of the systems, by a query in plain words, newest first."
    return Tool(look)


def _caller(names: list[str]) -> Model:
    """A scripted model that calls each tool once, and then answers."""

    def model(messages: list[Message]) -> Reply:
        done = sum(message["content"].startswith("Observation:") for message in messages)
        if done == len(names):
            return Reply("Final Answer: " + "found " * 20)
        return Reply(f'Action: {names[done]}\nAction Input: {{"query": "why is it slow"}}')

    return model


@figure("One agent with all tools, or several with two")
def one_or_many(
    tools: Annotated[int, Range(2, 16, step=2)] = 10,
    size: Annotated[int, Range(10, 300, step=10)] = 80,
) -> go.Figure:
    """Tokens to call every tool once: by one agent, and by a crew in which each worker has two tools.

    One agent sends all descriptions and all results again with each call, so its cost grows with the square. A crew
    pays for a plan and for hand-offs instead. Few tools or short results: one agent is cheaper.
    """
    counts = list(range(2, tools + 1, 2))
    alone, crew = [], []
    for count in counts:
        own = [_tool(number, size) for number in range(count)]
        agent = Agent(_caller([t.name for t in own]), own, max_steps=40, max_tokens=10**9, context=10**9)
        alone.append(agent.run("Why is it slow?").tokens)
        pairs = [own[number : number + 2] for number in range(0, count, 2)]
        workers = [
            Worker(f"w{n}", "looks into two systems", _caller([t.name for t in pair]), pair)
            for n, pair in enumerate(pairs)
        ]
        workers.append(Worker("writer", "sums up", _caller([])))
        plan = [{"id": w.name, "worker": w.name, "about": "Look into your systems."} for w in workers[:-1]]
        needs = [entry["id"] for entry in plan]
        last = {"id": "sum", "worker": "writer", "about": "Sum up.", "needs": needs}
        manager = Reply(json.dumps([*plan, last]))
        crew.append(Crew(lambda m, r=manager: r, workers).run("Why is it slow?", Budget(10**9)).tokens)
    plot = go.Figure()
    for name, values, colour in (("one agent", alone, ORANGE), ("a crew", crew, BLUE)):
        plot.add_scatter(x=counts, y=values, name=name, mode="lines+markers", line={"color": colour, "width": 3})
    headline(plot, f"{counts[-1]} tools: {alone[-1]:,} tokens alone, {crew[-1]:,} as a crew")
    plot.update_xaxes(title="tools", dtick=2)
    plot.update_yaxes(title="tokens sent and received", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("What rounds with a critic buy")
def rounds(
    good: Annotated[float, Range(0.1, 0.9, step=0.05)] = 0.5,
    misses: Annotated[float, Range(0, 1, step=0.05)] = 0.1,
    nags: Annotated[float, Range(0, 0.9, step=0.05)] = 0.1,
) -> go.Figure:
    """Shares of 300 texts that are accepted and right, accepted and wrong, or never accepted, by the rounds allowed.

    A draft is good with this probability; the critic misses some wrong ones and sends some good ones back. Rounds mend
    what the critic sees. What it misses stays: raise `misses`, and the red part grows with every round.
    """
    draw = random.Random(3)
    counts = list(range(1, 9))
    rows = {"right": [], "wrong": [], "never accepted": []}
    for most in counts:
        ends = {name: 0 for name in rows}
        for _ in range(300):

            def write(remarks: str) -> str:
                return f"{'good' if draw.random() < good else 'bad'} {draw.random()}"

            def judge(draft: str) -> str:
                wrong = misses if draft.startswith("bad") else 1 - nags
                return "ACCEPT" if draw.random() < wrong else "REVISE: again"

            draft, accepted, _ = refine(write, judge, rounds=most)
            name = "never accepted" if not accepted else "right" if draft.startswith("good") else "wrong"
            ends[name] += 1
        for name, values in rows.items():
            values.append(ends[name] / 300)
    plot = go.Figure()
    for (name, values), colour in zip(rows.items(), (GREEN, RED, GREY), strict=True):
        plot.add_bar(x=counts, y=values, name=name, marker_color=colour)
    accepted = rows["right"][3] + rows["wrong"][3]
    share = f"{rows['right'][3] / accepted:.0%} of those right" if accepted else "none"
    headline(plot, f"four rounds: {accepted:.0%} accepted, {share}")
    plot.update_xaxes(title="rounds allowed", dtick=1)
    plot.update_yaxes(title="share of the texts", tickformat=".0%", range=[0, 1])
    plot.update_layout(barmode="stack", legend=LEGEND_BELOW)
    return plot


@figure("A budget that is shared out")
def shares(
    total: Annotated[int, Range(1000, 12000, step=500)] = 6000,
    greedy: Annotated[int, Range(0, 3)] = 1,
    size: Annotated[int, Range(20, 300, step=20)] = 100,
) -> go.Figure:
    """Tokens that each of four workers took, when some of them never answer, and what was left for the last task.

    Each task has an even share of what is left, so a greedy worker (red) loses its own share and no other. Make all
    three greedy: the answer is still written, from what there is.
    """
    names = ["search", "logs", "metrics", "answer"]
    taken = dict.fromkeys(names, 0)

    def worker(name: str, endless: bool) -> Worker:
        def model(messages: list[Message]) -> Reply:
            taken[name] += sum(len(m["content"]) // 4 for m in messages)
            if endless:
                return Reply(f'Action: none\nAction Input: {{"try": {taken[name]}}}')
            return Reply("Final Answer: " + "word " * size)

        return Worker(name, "works", model)

    workers = [worker(name, number < greedy) for number, name in enumerate(names)]
    plan: list[dict[str, Any]] = [{"id": n, "worker": n, "about": f"Do {n}."} for n in names[:-1]]
    plan.append({"id": "answer", "worker": "answer", "about": "Answer.", "needs": names[:-1]})
    report = Crew(lambda messages: Reply(json.dumps(plan)), workers).run("What is wrong?", Budget(total))
    colours = [RED if number < greedy else BLUE for number in range(4)]
    plot = go.Figure(go.Bar(x=names, y=[taken[name] for name in names], marker_color=colours))
    answer = "answered" if report.accepted else f"no answer: {report.problem[:50]}"
    headline(plot, f"{answer}; {report.tokens:,} of {total:,} tokens")
    plot.update_xaxes(title="task")
    plot.update_yaxes(title="tokens sent, about", rangemode="tozero")
    return plot
