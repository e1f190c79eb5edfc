"""Workflows as graphs: nodes change a state, checkpoints in SQLite outlive the process, and a person may decide.

    graph = Graph()
    graph.node("classify", classify)                  # classify(state, step) gives what changes in the state
    graph.node("draft", draft, attempts=3)
    graph.edge(START, "classify")
    graph.branch("classify", where)                   # where(state) names the next node, or END
    graph.edge("draft", END)
    run = graph.run("ticket-7", Checkpoints("runs.db"), {"text": "Where is my order?"})
    run = graph.resume("ticket-7", Checkpoints("runs.db"))          # after a crash, or with a person's answer

A checkpoint is written after each node, in one transaction with what the node gave to `step.write`. So whenever the
process is killed, either both are there or neither is. For effects elsewhere (a mail, a payment), `step.key` is the
same on each try: give it to the other side as the idempotency key.

Not covered: nodes that run in parallel.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

START, END = "START", "END"
State = dict[str, Any]
Reducer = Callable[[Any, Any], Any]
TABLES = """
CREATE TABLE IF NOT EXISTS checkpoints (
    thread TEXT, number INTEGER, steps INTEGER, node TEXT, next TEXT, status TEXT, state TEXT, note TEXT,
    PRIMARY KEY (thread, number)
)"""
INSERT = "INSERT INTO checkpoints VALUES (:thread, :number, :steps, :node, :next, :status, :state, :note)"
Status = Literal["running", "waiting", "failed", "done"]


class Conflict(Exception):
    """Another process has taken the same thread further in the meantime."""


@dataclass(frozen=True)
class Pause:
    """What a node returns to let a person decide.

    Attributes:
        question: what the person is asked.
        answer: the key of the state that gets the person's answer.
        changes: what changes in the state before that.
    """

    question: str
    answer: str
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """Where a thread stands.

    Attributes:
        thread: the run's name.
        number: how many checkpoints came before.
        steps: how many nodes have ended.
        node: the node that has just ended; START for the first.
        next: the node that comes now.
        status: "running", "waiting" for a person, "failed", or "done".
        state: the state after the node.
        note: the key that gets the answer and the question, or what failed.
    """

    thread: str
    number: int
    steps: int
    node: str
    next: str
    status: Status
    state: State
    note: str = ""


@dataclass
class Step:
    """What a node is given besides the state.

    Attributes:
        key: names this visit of the node, the same on each try; an idempotency key for effects elsewhere.
        statements: what `write` was given.
    """

    key: str
    statements: list[tuple[str, Sequence[Any]]] = field(default_factory=list)

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Let a statement be executed in the checkpoint's own transaction, if the node succeeds."""
        self.statements.append((sql, parameters))


def merge(state: Mapping[str, Any], changes: Any, reducers: Mapping[str, Reducer]) -> State:
    """A new state with the changes: a key with a reducer gets reducer(old, new), where there is an old; others the new.

    Args:
        state: stays as it is.
        changes: what a node returned; None changes nothing.
        reducers: by key.

    Raises:
        ValueError: the changes are no dictionary, or the new state cannot be kept as JSON as it is.
    """
    if changes is None:
        changes = {}
    if not isinstance(changes, Mapping):
        raise ValueError(f"changes must be a dictionary of what changes in the state, not {changes!r}.")
    merged = dict(state)
    for key, value in changes.items():
        merged[key] = reducers[key](merged[key], value) if key in reducers and key in merged else value
    for key, value in merged.items():
        try:
            same = json.loads(json.dumps({key: value}, allow_nan=False)) == {key: value}
        except (TypeError, ValueError):
            same = False
        if not same:
            raise ValueError(f"state: {key!r} must be JSON (text, numbers, lists, dictionaries), not {value!r}.")
    return merged


class Checkpoints:
    """Checkpoints of many threads in one SQLite file, which several processes may use.

    Args:
        path: the file; it is made if it is not there.
    """

    def __init__(self, path: str | Path) -> None:
        self.database = sqlite3.connect(str(path), isolation_level=None, timeout=30.0)
        self.database.row_factory = sqlite3.Row
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute("PRAGMA synchronous=FULL")  # a commit is on the disk, whatever happens next
        self.database.execute(TABLES)

    def close(self) -> None:
        """Close the file."""
        self.database.close()

    def save(self, checkpoint: Checkpoint, statements: Sequence[tuple[str, Sequence[Any]]] = ()) -> None:
        """Add the checkpoint and execute the statements: all of it, or nothing.

        Raises:
            Conflict: the thread has a checkpoint of this number already, or lacks the one before.
        """
        row = {**vars(checkpoint), "state": json.dumps(checkpoint.state)}
        self.database.execute("BEGIN IMMEDIATE")
        try:
            count = "SELECT count(*) FROM checkpoints WHERE thread = ?"
            if self.database.execute(count, (checkpoint.thread,)).fetchone()[0] != checkpoint.number:
                raise Conflict(f"thread {checkpoint.thread!r} has gone on past checkpoint {checkpoint.number} already")
            for sql, parameters in statements:
                self.database.execute(sql, parameters)
            self.database.execute(INSERT, row)
            self.database.execute("COMMIT")
        except BaseException:
            self.database.execute("ROLLBACK")
            raise

    def history(self, thread: str) -> list[Checkpoint]:
        """All checkpoints of a thread, the first one first."""
        rows = self.database.execute("SELECT * FROM checkpoints WHERE thread = ? ORDER BY number", (thread,))
        return [Checkpoint(**{**row, "state": json.loads(row["state"])}) for row in map(dict, rows)]

    def latest(self, thread: str) -> Checkpoint | None:
        """Where a thread stands; None if there is none of this name."""
        return next(reversed(self.history(thread)), None)


@dataclass(frozen=True)
class Node:
    """A node: its function, how often it is tried, and the exceptions after which it is tried again."""

    function: Callable[[State, Step], Any]
    attempts: int
    retry_on: tuple[type[Exception], ...]


class Graph:
    """Nodes, and which one follows which.

    Args:
        reducers: how the change of a key joins what is there; see `merge`.
        max_steps: how many nodes one call runs before it gives up: a circle must end.
        sleep: waits between two attempts.
    """

    def __init__(
        self,
        reducers: Mapping[str, Reducer] | None = None,
        *,
        max_steps: int = 100,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if max_steps < 1:
            raise ValueError(f"Graph: max_steps must be at least 1, not {max_steps}.")
        self.reducers, self.max_steps, self.sleep = dict(reducers or {}), max_steps, sleep
        self.nodes: dict[str, Node] = {}
        self.edges: dict[str, tuple[Callable[[State], str], tuple[str, ...]]] = {}

    def node(
        self,
        name: str,
        function: Callable[[State, Step], Any],
        *,
        attempts: int = 1,
        retry_on: tuple[type[Exception], ...] = (ConnectionError, TimeoutError),
    ) -> None:
        """Add a node. Its function is given a state of its own, and returns what changes, None, or a `Pause`."""
        if name in (START, END) or name in self.nodes:
            raise ValueError(f"node: name must be new, and not {START} or {END}; got {name!r}.")
        if attempts < 1:
            raise ValueError(f"node {name!r}: attempts must be at least 1, not {attempts}.")
        self.nodes[name] = Node(function, attempts, retry_on)

    def edge(self, source: str, target: str) -> None:
        """Let one node follow another, always."""
        self.branch(source, lambda state: target, target)

    def branch(self, source: str, choose: Callable[[State], str], *targets: str) -> None:
        """Let `choose(state)` name the node that follows, one of `targets`."""
        if source in self.edges:
            raise ValueError(f"edge: {source!r} must have one edge or branch, and has one already.")
        self.edges[source] = choose, targets

    def check(self) -> None:
        """Refuse a graph that cannot run.

        Raises:
            ValueError: it names the first of these: an edge from or to what is no node, a node (or START) without an
                edge, a node that START does not reach, one from which END cannot be reached.
        """
        for source, (_, targets) in self.edges.items():
            for name, allowed in ((source, START), *((target, END) for target in targets)):
                if name not in self.nodes and name != allowed:
                    raise ValueError(f"edge {source!r} → {targets}: there is no node {name!r} that it could have.")
        for name in (START, *self.nodes):
            if name not in self.edges:
                raise ValueError(f"node {name!r} must have an edge or a branch; give it one, to {END!r} at the end.")
        forward = {source: set(targets) for source, (_, targets) in self.edges.items()}
        backward = {target: {s for s in forward if target in forward[s]} for target in (*self.nodes, END)}
        reached, ending = _closure(START, forward), _closure(END, backward)
        for name in self.nodes:
            if name not in reached:
                raise ValueError(f"node {name!r} is never reached from {START!r}.")
            if name not in ending:
                raise ValueError(f"node {name!r} leads into a circle: {END!r} cannot be reached from it.")

    def follow(self, node: str, state: State) -> str:
        """The name of what comes after a node."""
        choose, targets = self.edges[node]
        chosen = choose(dict(state))
        if chosen not in targets:
            raise ValueError(f"branch of {node!r} must choose one of {', '.join(targets)}, not {chosen!r}.")
        return chosen

    def attempt(self, name: str, state: State, key: str) -> tuple[Any, Step]:
        """Run a node, again after an exception that it is tried again on, and give what it returned with its step.

        Each attempt gets a copy of the state and a new step, so that one that failed leaves nothing behind. Between
        two attempts it sleeps 1, 2, 4, … seconds.

        Raises:
            Exception: what the last attempt raised.
        """
        node, number = self.nodes[name], 0
        while True:
            step = Step(key)
            try:
                return node.function(json.loads(json.dumps(state)), step), step
            except node.retry_on:
                number += 1
                if number == node.attempts:
                    raise
            self.sleep(2.0 ** (number - 1))

    def run(self, thread: str, store: Checkpoints, state: Mapping[str, Any]) -> Checkpoint:
        """Begin a thread, and run it until it is done, waits for a person, or fails.

        Raises:
            ValueError: the graph cannot run, the state is no JSON, or there is a thread of this name.
        """
        self.check()
        if store.latest(thread) is not None:
            raise ValueError(f"thread {thread!r} must be new, and has been begun: resume it, or take another name.")
        first = merge({}, state, {})
        nowhere = Checkpoint(thread, -1, 0, START, START, "running", {})
        begun = self._going_on(nowhere, START, first)
        store.save(begun)
        return self.advance(begun, store)

    def advance(self, at: Checkpoint, store: Checkpoints) -> Checkpoint:
        """Run node after node from a checkpoint on, with a checkpoint after each, while the status is "running".

        A node that raises leaves a checkpoint "failed" with what it raised, from which `resume` tries the node again.
        What it wrote is not executed. A run of more than `max_steps` nodes fails as well.

        Raises:
            Conflict: another process has taken the thread further.
        """
        left = self.max_steps
        while at.status == "running":
            try:
                if left == 0:
                    raise RuntimeError(f"max_steps: {self.max_steps} nodes were run, and the end was not reached")
                new, statements = self._ended(at)
                store.save(new, statements)
            except Conflict:
                raise
            except Exception as error:
                note = f"{type(error).__name__}: {error}"
                new = replace(at, number=at.number + 1, status="failed", note=note)
                store.save(new)
            at, left = new, left - 1
        return at

    def _ended(self, at: Checkpoint) -> tuple[Checkpoint, list[tuple[str, Sequence[Any]]]]:
        """The checkpoint after the node that comes now, and what the node wrote."""
        name, steps = at.next, at.steps + 1
        result, step = self.attempt(name, at.state, f"{at.thread}/{at.steps}/{name}")
        if isinstance(result, Pause):  # where it goes is decided with the answer
            state = merge(at.state, result.changes, self.reducers)
            note = json.dumps([result.answer, result.question])
            return Checkpoint(at.thread, at.number + 1, steps, name, name, "waiting", state, note), step.statements
        state = merge(at.state, result, self.reducers)
        return self._going_on(replace(at, steps=steps), name, state), step.statements

    def _going_on(self, at: Checkpoint, node: str, state: State) -> Checkpoint:
        """The next checkpoint, when a node has left this state."""
        target = self.follow(node, state)
        status = "done" if target == END else "running"
        return Checkpoint(at.thread, at.number + 1, at.steps, node, target, status, state)

    def resume(self, thread: str, store: Checkpoints, answer: Any = None) -> Checkpoint:
        """Go on where a thread stands: after a crash, a failure, or with the answer that it waits for.

        A thread that is done is given back as it is. One that waits and gets no answer goes on waiting.

        Raises:
            ValueError: there is no such thread, an answer where none was asked for, or one that is no JSON.
            Conflict: another process has taken the thread further.
        """
        self.check()
        at = store.latest(thread)
        if at is None:
            raise ValueError(f"thread {thread!r} must have been begun, and there is none of this name.")
        if answer is not None and at.status != "waiting":
            raise ValueError(f"answer: thread {thread!r} does not wait for one, it is {at.status}; got {answer!r}.")
        if at.status == "failed":
            at = replace(at, status="running")
        elif answer is not None:  # it waits for it
            key, _ = json.loads(at.note)
            at = self._going_on(at, at.node, merge(at.state, {key: answer}, self.reducers))
            store.save(at)
        return self.advance(at, store)


def _closure(begin: str, neighbours: Mapping[str, set[str]]) -> set[str]:
    """All that can be reached, the beginning included."""
    seen, waiting = {begin}, [begin]
    while waiting:
        for name in neighbours.get(waiting.pop(), set()) - seen:
            seen.add(name)
            waiting.append(name)
    return seen
