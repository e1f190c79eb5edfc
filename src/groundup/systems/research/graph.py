"""The graph of a run, for LangGraph: a plan, then notes for each sub-question of it, then a report, then its proof.

    classify ─ plan ─┬─ retrieve ─ read ─ cover ─┬─ write ─ verify
                     └───────────────────────────┘  next sub-question, or the same one looked for more widely

Each node is a function of the run's state. Its only other effect is to read the web and keep the pages, so a killed
node can run again. The state is written to disk after each node, before the next node begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from groundup.stack.retrieval.rag import RULES, prompt
from groundup.systems.research.calls import call, instructed, only_quotes
from groundup.systems.research.finding import read, retrieve, retrieve_web
from groundup.systems.research.planning import PLANNER, Kind, Routing, Where, choose, classify, plan, query, read_plan
from groundup.systems.research.state import LeftOut, Source, State, Step, count_of, used_up
from groundup.systems.research.tracing import spanned
from groundup.systems.research.verifying import stands
from groundup.systems.research.writing import as_passages, disagreements, outline, verify

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph
    from opentelemetry.context import Context

    from groundup.knowledge import Knowledge
    from groundup.systems.research.routing import Router
    from groundup.systems.research.web import Web

ROUNDS = 2  # in which a sub-question is looked for
INSTRUCTIONS = {"plan": PLANNER, "read": RULES, "write": RULES}  # of each call, by its purpose
Found = tuple[str, dict[str, Any]]  # a node's work in words, and its changes of the state


class Brain:
    """The nodes.

    Args:
        knowledge: the documents; None for the web alone.
        model: the model that reads; it also plans and writes unless it only quotes.
        web: the web to search and read; None for documents alone.
        router: decides between documents and web: "trained" asks the trained router as well, "rules" does not.
        instructions: instructions for the model, by purpose, in place of `INSTRUCTIONS`.
    """

    def __init__(
        self,
        knowledge: Knowledge | None,
        model: BaseChatModel,
        web: Web | None = None,
        router: Routing = "trained",
        instructions: Mapping[str, str] | None = None,
    ) -> None:
        self.instructions = {**INSTRUCTIONS, **(instructions or {})}
        self.knowledge, self.model, self.web, self.router = knowledge, model, web, router
        self.span: Context | None = None  # of the run that its steps are a part of

    def classify(self, state: State) -> Found:
        """The kind of the question."""
        kind = classify(state["question"])
        return {"single": "one question", "several": "several questions", "comparison": "a comparison"}[kind], {
            "kind": kind, "at": 0, "round": 0,
        }  # fmt: skip

    def plan(self, state: State) -> Found:
        """The sub-questions: by the model if it can plan, and by rules if it gives none."""
        question, kind = state["question"], state["kind"]
        changes: dict[str, Any] = {}
        planned: list[str] = []
        if not only_quotes(self.model):
            messages = [{"role": "user", "content": f"Question: {question}"}]
            reply, cost = call(self.model, instructed(self.instructions["plan"], messages), "plan")
            planned, changes["costs"] = read_plan(reply, question), [cost]
        planned = planned or plan(question, _kind(kind))
        return " · ".join(planned), {**changes, "plan": planned}

    def retrieve(self, state: State) -> Found:
        """Passages for the sub-question at hand, of documents, of the web, of both, or of none."""
        at, wider = state["at"], state["round"] > 0
        where = self._where(query(state["plan"], at), wider=wider)
        passages: list[Source] = []
        left_out: list[LeftOut] = []
        failed: list[str] = []
        if self.knowledge is not None and where in ("documents", "both"):
            passages, left_out = retrieve(state["plan"], at, state["question"], self.knowledge, wider=wider)
        if self.web is not None and where in ("web", "both"):
            of_web = retrieve_web(state["plan"], at, state["question"], self.web, self._embedder(), wider=wider)
            passages, left_out, failed = [*passages, *of_web[0]], [*left_out, *of_web[1]], of_web[2]
        known = {(source["question"], source["document"], source["start"]) for source in state["sources"]}
        sources = [source for source in passages if (at, source["document"], source["start"]) not in known]
        orders = [order for order in left_out if order not in state["left_out"]]
        names = ", ".join(dict.fromkeys(source["document"] for source in sources))
        what = f"{count_of(len(sources), 'passage')} of {names}" if sources else "no passage"
        if self.web is not None:
            what = f"{where}: {what}"
        if orders:
            what += f"; {count_of(len(orders), 'order')} to models left out"
        lines = [Step(node="web", what=line, seconds=0.0) for line in failed]
        return what, {"sources": sources, "left_out": orders, "trace": lines}

    def _where(self, looked_up: str, *, wider: bool) -> Where:
        """The places to search. If the web alone gave nothing, the rules decide again, and may add documents.

        The reverse adds nothing: a question that the router takes for the asker's own stays away from search servers.
        """
        documents, web = self.knowledge is not None, self.web is not None
        trained = self.router == "trained"
        where = choose(looked_up, documents=documents, web=web, route=self._route if trained else None)
        return choose(looked_up, documents=documents, web=web) if wider and where == "web" else where

    def _route(self, looked_up: str) -> Where | None:
        """The trained router's place; its file is read at the first use."""
        return self._trained.where(looked_up)

    @cached_property
    def _trained(self) -> Router:
        from groundup.systems.research.routing import Router

        return Router.load(self._embedder())

    def _embedder(self) -> Any:
        from groundup.embedding import load

        return self.knowledge.embedder if self.knowledge is not None else load()

    def read(self, state: State) -> Found:
        """Notes from the passages of the sub-question at hand."""
        at = state["at"]
        sources = [source for source in state["sources"] if source["question"] == at]
        if not any(source["text"].strip() for source in sources):
            return "nothing to read", {}
        notes, cost = read(state["plan"], at, sources, self.model, self.instructions["read"])
        what = count_of(len(notes), "note") if notes else "nothing that answers"
        return what, {"notes": notes, "costs": [cost]}

    def cover(self, state: State) -> Found:
        """Whether the sub-question at hand is answered, and the next sub-question."""
        at, limit = state["at"], used_up(state)
        answered = _answered(state, at)
        what = f"{at + 1} of {len(state['plan'])} is {'' if answered else 'not '}answered"
        if limit:
            return f"{what}; {limit} are used up", {"stopped": limit}
        if not answered and state["round"] + 1 < ROUNDS:
            return f"{what}; looking more widely", {"round": state["round"] + 1}
        return what, {"at": at + 1, "round": 0}

    def write(self, state: State) -> Found:
        """A draft by the model; none if it only quotes, without notes, or without a budget for it."""
        notes = state["notes"]
        if not notes:
            return "nothing to write", {"draft": None}
        if only_quotes(self.model) or used_up(state):
            return "an outline of quotes", {"draft": None}
        asked = instructed(self.instructions["write"], prompt(state["question"], as_passages(notes)))
        draft, cost = call(self.model, asked, "write")
        return f"{len(draft):,} characters", {"draft": draft, "costs": [cost]}

    def verify(self, state: State) -> Found:
        """Every sentence with its note, every note in a passage that was retrieved."""
        notes = state["notes"]
        lost = [note for note in notes if not stands(note, state["sources"])]
        assert not lost, lost  # they are spans of these passages by construction
        draft = state["draft"]
        sentences, unsupported = verify(draft, notes) if draft else ([], [])
        parts = [{"heading": "", "sentences": sentences}] if sentences else outline(state["plan"], notes)
        parts += disagreements(notes)
        count = sum(len(part["sentences"]) for part in parts)
        what = (
            f"{count_of(count, 'sentence')} with a place"
            if count
            else f"nothing: the {'documents' if self.web is None else 'sources'} do not say"
        )
        if unsupported:
            what += f", {len(unsupported)} without left out"
        return what, {"parts": parts, "unsupported": unsupported, "draft": draft if sentences else None}


def _kind(name: str) -> Kind:
    assert name in ("single", "several", "comparison")
    return name


def _answered(state: State, at: int) -> bool:
    return any(note["question"] == at for note in state["notes"])


def after_cover(state: State) -> str:
    """The node after `cover`."""
    return "write" if state["stopped"] or state["at"] >= len(state["plan"]) else "retrieve"


NODES = ("classify", "plan", "retrieve", "read", "cover", "write", "verify")


def build(brain: Brain, checkpointer: BaseCheckpointSaver[Any]) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph, with its checkpoints."""
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(State)
    for name in NODES:
        node: Any = traced(name, getattr(brain, name), brain)
        graph.add_node(name, node)
    for source, target in (
        (START, "classify"), ("classify", "plan"), ("plan", "retrieve"), ("retrieve", "read"), ("read", "cover"),
        ("write", "verify"), ("verify", END),
    ):  # fmt: skip
        graph.add_edge(source, target)
    graph.add_conditional_edges("cover", after_cover, ["retrieve", "write"])
    return graph.compile(checkpointer=checkpointer)


def traced(name: str, node: Callable[[State], Found], brain: Brain) -> Callable[[State], dict[str, Any]]:
    """The node, with its work in the trace."""

    def run(state: State) -> dict[str, Any]:
        begin = time.perf_counter()
        with spanned(name, {"groundup.step": name}, brain.span):
            what, changes = node(state)
        step = {"node": name, "what": what, "seconds": time.perf_counter() - begin}
        return {**changes, "trace": [*changes.get("trace", []), step]}

    return run
