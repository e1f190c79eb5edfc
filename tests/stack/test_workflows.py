"""Workflows: processes that are really killed, and the support router on LangGraph."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, TypedDict

import pytest

from groundup.data import load
from groundup.stack.agents.workflows import END, START, Checkpoint, Checkpoints, Graph, State, Step
from groundup.stack.agents.workflows.labs import POLICIES, router, router_nodes

NODES = ("pay", "ship", "tell")
# Where a process is killed: the moments of a node, and those of its checkpoint.
MOMENTS = ("before the node", "after its write", "before its checkpoint", "in its transaction", "after its checkpoint")


def kill_me(wanted: bool) -> None:
    """End this process as `kill -9` does: no handler, no `finally`, no flush."""
    if wanted:
        os.kill(os.getpid(), signal.SIGKILL)


class Fragile(Checkpoints):
    """A store whose process is killed at a moment of the checkpoint after a node."""

    def __init__(self, path: Path, moment: str, node: str) -> None:
        super().__init__(path)
        self.moment, self.node = moment, node
        self.database.execute("CREATE TABLE IF NOT EXISTS effects (what TEXT, key TEXT)")

    def save(self, checkpoint: Checkpoint, statements: Any = ()) -> None:
        mine = checkpoint.node == self.node
        kill_me(mine and self.moment == "before its checkpoint")
        if mine and self.moment == "in its transaction":  # SQLite calls it for each row of the effect, before COMMIT
            self.database.create_function("die", 0, lambda: kill_me(True))
            statements = [*statements, ("SELECT die()", ())]
        super().save(checkpoint, statements)
        kill_me(mine and self.moment == "after its checkpoint")


def shop(moment: str, node: str, outside: Path) -> Graph:
    """Three nodes, each with an effect in the store, and one elsewhere under the step's key."""

    def doing(name: str) -> Any:
        def work(state: State, step: Step) -> State:
            kill_me(name == node and moment == "before the node")
            step.write("INSERT INTO effects VALUES (?, ?)", (name, step.key))
            Path(outside, step.key.replace("/", "_")).touch()  # the other side knows each key once
            kill_me(name == node and moment == "after its write")
            return {"log": [*state["log"], name]}

        return work

    graph = Graph()
    for name in NODES:
        graph.node(name, doing(name))
    for source, target in ((START, "pay"), ("pay", "ship"), ("ship", "tell"), ("tell", END)):
        graph.edge(source, target)
    return graph


def work(folder: Path, moment: str, node: str) -> None:
    """Run or resume the shop."""
    store, graph = Fragile(folder / "runs.db", moment, node), shop(moment, node, folder / "outside")
    new = store.latest("t") is None
    end = graph.run("t", store, {"log": []}) if new else graph.resume("t", store)
    assert end.status == "done", end


def fork_and_kill(folder: Path) -> None:
    """In a process without threads: fork twice for each case, first with the kill; print how the forks ended."""
    ends = {}
    for node, moment in CASES:
        case = folder / f"{node} {moment}"
        (case / "outside").mkdir(parents=True)
        ends[case.name] = []
        for arguments in ((moment, node), ("never", "")):
            if (child := os.fork()) == 0:
                try:
                    work(case, *arguments)
                except BaseException:
                    os._exit(1)
                os._exit(0)
            ends[case.name].append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(json.dumps(ends))


CASES = [(node, moment) for node in (START, *NODES) for moment in MOMENTS]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]]]:
    """The folder of all cases, and the exit codes of the two processes of each."""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    folder = tmp_path_factory.mktemp("killed")
    code = f"from tests.stack.test_workflows import *; fork_and_kill(Path({str(folder)!r}))"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=200, check=True
    )
    return folder, json.loads(done.stdout)


@pytest.mark.parametrize(("node", "moment"), CASES)
def test_a_killed_process_goes_on_and_does_no_effect_twice(
    killed: tuple[Path, dict[str, list[int]]], node: str, moment: str
) -> None:
    folder, ends = killed
    case = f"{node} {moment}"
    dies = node != START or "checkpoint" in moment or moment == "in its transaction"
    assert ends[case] == [-signal.SIGKILL if dies else 0, 0]
    store = Checkpoints(folder / case / "runs.db")
    end = store.latest("t")
    assert end is not None
    assert (end.status, end.state) == ("done", {"log": list(NODES)})
    effects = [tuple(row) for row in store.database.execute("SELECT what, key FROM effects")]
    assert effects == [(name, f"t/{number}/{name}") for number, name in enumerate(NODES)]
    outside = {path.name for path in (folder / case / "outside").iterdir()}
    assert outside == {key.replace("/", "_") for _, key in effects}
    assert store.database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    store.close()


# --- the same router on LangGraph -----------------------------------------------------------------------------------

TICKETS = {
    "refund": ("how can I track my reimbursement?", "REFUND"),
    "order": ("I want to cancel my purchase", "ORDER"),
    "address": ("help me to change the shipping address", "SHIPPING_ADDRESS"),
}


class Ticket(TypedDict, total=False):
    """The state of the router, as LangGraph wants it declared."""

    text: str
    intent: str
    policy: str
    draft: str
    approved: bool
    sent: bool


def nodes() -> dict[str, Any]:
    """The router's nodes, with a classifier that knows the three tickets."""
    intents = dict(TICKETS.values())
    return router_nodes(lambda text: intents[text], list(intents))


def trace_of_ours(text: str, answer: bool, folder: Path) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """Which node ended with which state, and what the person was asked."""
    store = Checkpoints(folder / f"{answer}.db")
    store.database.execute("CREATE TABLE mails (key TEXT, text TEXT)")
    graph = router(nodes())
    question = graph.run("t", store, {"text": text}).note
    graph.resume("t", store, answer)
    history = store.history("t")
    mails = store.database.execute("SELECT count(*) FROM mails").fetchone()[0]
    store.close()
    assert mails == int(answer)
    return [(c.node, c.state) for c in history[1:] if c.status != "waiting"], question


def trace_of_langgraph(text: str, answer: bool) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """The same of the same nodes on LangGraph."""
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import END as THE_END
    from langgraph.graph import START as THE_START
    from langgraph.graph import StateGraph
    from langgraph.types import Command, interrupt

    graph: Any = StateGraph(Ticket)
    for name, function in nodes().items():
        graph.add_node(name, function)
    graph.add_node("approve", lambda state: {"approved": interrupt(f"Send this? {state['draft']}")})
    graph.add_node("send", lambda state: {"sent": True})
    graph.add_node("hand_over", lambda state: {"sent": False})
    path = [THE_START, *nodes(), "approve"]
    for source, target in pairwise(path):
        graph.add_edge(source, target)
    graph.add_conditional_edges("approve", lambda state: "send" if state["approved"] else "hand_over")
    graph.add_edge("send", THE_END)
    graph.add_edge("hand_over", THE_END)
    app = graph.compile(checkpointer=InMemorySaver())
    state: dict[str, Any] = {"text": text}
    trace, question = [], ""
    for given in ({"text": text}, Command(resume=answer)):
        for update in app.stream(given, {"configurable": {"thread_id": "t"}}, stream_mode="updates"):
            for name, changes in update.items():
                if name == "__interrupt__":
                    question = changes[0].value
                else:
                    state = {**state, **changes}
                    trace.append((name, state))
    return trace, question


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("ticket", TICKETS)
def test_the_router_has_the_same_trace_on_langgraph(tmp_path: Path, ticket: str, answer: bool) -> None:
    pytest.importorskip("langgraph")
    text, intent = TICKETS[ticket]
    ours, asked = trace_of_ours(text, answer, tmp_path)
    theirs, question = trace_of_langgraph(text, answer)
    assert ours == theirs
    assert [name for name, _ in ours] == ["intent", "policy", "draft", "approve", "send" if answer else "hand_over"]
    assert (ours[1][1]["policy"], POLICIES[intent] in ours[2][1]["draft"]) == (intent, True)
    assert question in asked


def test_an_interrupted_langgraph_node_runs_again_and_ours_does_not(tmp_path: Path) -> None:
    pytest.importorskip("langgraph")
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import END as THE_END
    from langgraph.graph import START as THE_START
    from langgraph.graph import StateGraph
    from langgraph.types import Command, interrupt

    from groundup.stack.agents.workflows import Pause

    effects: list[str] = []

    def theirs(state: Ticket) -> Ticket:
        effects.append("theirs")
        return {"approved": interrupt("?")}

    graph = StateGraph(Ticket)
    graph.add_node("ask", theirs)
    graph.add_edge(THE_START, "ask")
    graph.add_edge("ask", THE_END)
    app = graph.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    app.invoke({"text": "x"}, config)
    app.invoke(Command(resume=True), config)

    def ours(state: State, step: Step) -> Pause:
        effects.append("ours")
        return Pause("?", "approved")

    mine = Graph()
    mine.node("ask", ours)
    mine.edge(START, "ask")
    mine.edge("ask", END)
    store = Checkpoints(tmp_path / "f.db")
    mine.run("t", store, {"text": "x"})
    assert mine.resume("t", store, True).state == {"text": "x", "approved": True}
    store.close()
    assert effects == ["theirs", "theirs", "ours"]


@pytest.mark.skipif(not os.environ.get("GROUNDUP_DATA_MIRROR"), reason="needs the real data")
def test_requests_to_the_support_desk_have_their_known_sizes() -> None:
    support = load("bitext_support")
    assert (len(support), len(set(support["intent"])), len(set(support["category"]))) == (6480, 27, 11)
    assert set(support["category"]) == set(POLICIES)
