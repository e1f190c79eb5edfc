"""Checks of workflows, on files in a temporary folder; nothing here sleeps."""

import json
import sqlite3
from dataclasses import replace
from itertools import pairwise
from operator import add

import pytest

from groundup.checking import assert_refuses, assert_refuses_values, assert_unchanged, growing
from groundup.stack.agents.workflows import (
    END,
    START,
    Checkpoint,
    Checkpoints,
    Conflict,
    Graph,
    Pause,
    merge,
)


def same(actual, expected, message):
    """Fail with `message` unless both are equal."""
    assert actual == expected, f"{message}\n  expected {expected!r}\n  got      {actual!r}"


@pytest.fixture
def store(tmp_path):
    """An empty store in a file."""
    with Closing(tmp_path / "runs.db") as checkpoints:
        yield checkpoints


class Closing(Checkpoints):
    """A store that is closed at the end of a `with`."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Killed(BaseException):
    """What ends a process in the middle: no `except Exception` sees it."""


def line(*functions, **options):
    """A graph that runs these functions one after the other, by their names."""
    graph = Graph(**{"sleep": no_sleep, **options})
    names = [START, *(function.__name__ for function in functions), END]
    for function in functions:
        graph.node(function.__name__, function)
    for source, target in pairwise(names):
        graph.edge(source, target)
    return graph


def no_sleep(seconds):
    """Fail: nothing should wait here."""
    raise AssertionError(f"slept {seconds} s where nothing failed")


def one(state, step):
    """Set a."""
    return {"a": 1}


def two(state, step):
    """Set b from a."""
    return {"b": state["a"] + 1}


def ledger(store):
    """A table of effects in the store's own file."""
    store.database.execute("CREATE TABLE IF NOT EXISTS effects (what TEXT)")
    return lambda: [row[0] for row in store.database.execute("SELECT what FROM effects")]


# merge


def test_merge_by_hand():
    """A change takes the place of what was there; other keys stay; None changes nothing."""
    same(merge({"a": 1, "b": 2}, {"b": 3, "c": 4}, {}), {"a": 1, "b": 3, "c": 4}, "merge of {b: 3, c: 4}")
    same(merge({"a": 1}, None, {}), {"a": 1}, "merge of None")
    state = {"a": [1]}
    assert merge(state, {}, {}) is not state, "the state is a new one"
    assert_unchanged(lambda state, changes: merge(state, changes, {"a": add}), {"a": [1]}, {"a": [2]})


def test_a_reducer_joins_old_and_new():
    """reducer(old, new) where there is an old value; the new one alone where there is none."""
    reducers = {"log": add, "low": min}
    same(merge({"log": ["x"]}, {"log": ["y"], "low": 3}, reducers), {"log": ["x", "y"], "low": 3}, "log + and low")
    same(merge({"low": 2}, {"low": 5}, reducers), {"low": 2}, "the lower of 2 and 5")
    same(merge({"log": ["x"]}, {"a": 1}, reducers), {"log": ["x"], "a": 1}, "no change of log, no reducer")


def test_merge_refuses_what_cannot_be_kept():
    """What is no dictionary, and what JSON does not give back as it was, is refused by its key."""
    assert_refuses_values(lambda changes: merge({}, changes, {}), "changes", 3, [1], "text")
    for value in ({1, 2}, (1, 2), {1: 2}, float("nan"), float("inf"), b"bytes", object):
        assert_refuses(lambda value=value: merge({"good": 1}, {"bad": value}, {}), "'bad'", "JSON", message=repr(value))


# Checkpoints


def at(number, thread="t", **changes):
    """A checkpoint of this number."""
    return replace(Checkpoint(thread, number, number, "n", "m", "running", {"a": [number]}), **changes)


def test_checkpoints_come_back(store):
    """What was saved comes back, the last one as the latest; other threads are apart."""
    first, second = at(0, node=START), at(1, status="waiting", note="?")
    for checkpoint in (first, at(0, "other"), second):
        store.save(checkpoint)
    same(store.history("t"), [first, second], "the history of t")
    same((store.latest("t"), store.latest("other"), store.latest("new")), (second, at(0, "other"), None), "the latest")


def test_checkpoints_outlive_the_process(tmp_path):
    """Another connection to the file sees them."""
    with Closing(tmp_path / "f.db") as store:
        store.save(at(0))
        with Closing(tmp_path / "f.db") as other:
            same(other.latest("t"), at(0), "seen by another connection")
    with Closing(tmp_path / "f.db") as again:
        same(again.latest("t"), at(0), "seen after closing")


def test_a_number_is_taken_once(store):
    """A checkpoint that is there already, or lacks the one before, is a Conflict, and nothing is written."""
    store.save(at(0))
    effects = ledger(store)
    for number in (0, 2):
        with pytest.raises(Conflict):
            store.save(at(number), [("INSERT INTO effects VALUES ('x')", ())])
    same((store.history("t"), effects()), ([at(0)], []), "history and effects after two conflicts")
    store.save(at(1))
    same(len(store.history("t")), 2, "the store is usable afterwards")


def test_statements_and_checkpoint_are_one(store):
    """Statements are executed with the checkpoint; where one of them fails, nothing is."""
    effects = ledger(store)
    insert = "INSERT INTO effects VALUES (?)"
    store.save(at(0), [(insert, ("a",)), (insert, ("b",))])
    same(effects(), ["a", "b"], "both statements, in their order")
    with pytest.raises(sqlite3.Error):
        store.save(at(1), [(insert, ("c",)), ("INSERT INTO nowhere VALUES (1)", ())])
    same((effects(), store.latest("t")), (["a", "b"], at(0)), "after a statement that fails")
    store.save(at(1), [(insert, ("d",))])
    same(effects(), ["a", "b", "d"], "the store is usable afterwards")


# Graph.check


def test_graphs_that_cannot_run_are_refused(store):
    """An edge to nowhere, a node without an edge, one that is never reached and a circle are refused by name."""

    def graph(*edges, nodes=("a", "b")):
        made = Graph()
        for name in nodes:
            made.node(name, one)
        for source, *targets in edges:
            made.branch(source, lambda state: "", *targets)
        return made

    assert_refuses(graph((START, "a"), ("a", "x"), ("b", END)).check, "'x'")
    assert_refuses(graph((START, "a"), ("a", "b"), ("b", END), ("y", END)).check, "'y'")
    assert_refuses(graph((START, "a"), ("a", START), ("b", END)).check, "START")
    assert_refuses(graph((START, "a"), ("a", "b"), ("b", END), (END, "a")).check, "END")
    assert_refuses(graph((START, "a"), ("a", END)).check, "'b'", "edge")
    assert_refuses(graph(("a", "b"), ("b", END)).check, "START", "edge")
    assert_refuses(graph((START, "a"), ("a", END), ("b", END)).check, "'b'", "reached")
    assert_refuses(graph((START, "a"), ("a", "b"), ("b", "a")).check, "'a'", "circle")
    assert_refuses(graph((START, "a", END), ("a", END, "b"), ("b", "b")).check, "'b'", "circle")
    assert_refuses(lambda: graph(("a", "b"), ("b", END)).run("t", store, {}), "START")
    assert_refuses(lambda: graph(("a", "b"), ("b", END)).resume("t", store), "START")


def test_graphs_that_can_run_pass(store):
    """Branches, circles with a way out, and START → END are allowed."""
    graph = Graph()
    graph.edge(START, END)
    graph.check()
    same(graph.run("t", store, {"a": 1}).status, "done", "a graph without a node")
    graph = Graph()
    for name in "abc":
        graph.node(name, one)
    graph.branch(START, lambda state: "a", "a", "b")
    graph.branch("a", lambda state: END, "b", END)
    graph.branch("b", lambda state: "c", "a", "c")
    graph.edge("c", "b")
    graph.check()


def test_reaching_is_a_search():
    """Random graphs: it agrees with paths that are followed by hand."""
    for draw, size in growing(40, 6):
        names = [f"n{i}" for i in range(size)]
        edges = {name: draw.sample([*names, END], draw.randint(1, min(2, size + 1))) for name in [START, *names]}
        graph = Graph()
        for name in names:
            graph.node(name, one)
        for source, targets in edges.items():
            graph.branch(source, lambda state: "", *targets)

        def reach(name, edges=edges):
            seen = [name]
            for found in seen:
                seen += [target for target in edges.get(found, []) if target not in seen]
            return seen

        fine = all(name in reach(START) and END in reach(name) for name in names)
        if fine:
            graph.check()
        else:
            assert_refuses(graph.check, message=f"{edges} must be refused")


def test_nodes_and_edges_refuse_what_makes_no_sense():
    """A name that is taken, a second edge, and numbers below 1 are refused."""
    graph = Graph()
    graph.node("a", one)
    graph.edge("a", END)
    for name in ("a", START, END):
        assert_refuses(lambda name=name: graph.node(name, one), f"'{name}'")
    assert_refuses(lambda: graph.edge("a", END), "'a'")
    assert_refuses_values(lambda value: graph.node("b", one, attempts=value), "attempts", 0, -1)
    assert_refuses_values(lambda value: Graph(max_steps=value), "max_steps", 0, -1)


# Graph.attempt


class Failing:
    """A node that raises so often, and writes and changes its state before; `seen` keeps what it was given."""

    __name__ = "node"

    def __init__(self, times, error):
        self.times, self.error, self.seen = times, error, []

    def __call__(self, state, step):
        """Write, and raise or return."""
        self.seen.append((dict(state), step.key, len(step.statements)))
        state["spoiled"] = True
        step.write("INSERT INTO effects VALUES ('x')")
        if len(self.seen) <= self.times:
            raise self.error
        return {"ok": 1}


DOWN = ConnectionError("down")


def trying(node, sleeps, **options):
    """A graph of this one node."""
    graph = Graph(sleep=sleeps.append)
    graph.node("n", node, **options)
    graph.edge(START, "n")
    graph.edge("n", END)
    return graph


def test_a_node_is_tried_again():
    """Two failures of three attempts: 1 and 2 seconds are waited, and the third attempt counts."""
    sleeps, node = [], Failing(2, DOWN)
    result, step = trying(node, sleeps, attempts=3).attempt("n", {"a": 1}, "key")
    same((result, sleeps), ({"ok": 1}, [1.0, 2.0]), "the result, and the waits")
    same(node.seen, [({"a": 1}, "key", 0)] * 3, "each attempt gets the state as it was, the same key, a new step")
    same(len(step.statements), 1, "the step of the attempt that counts")


def test_a_node_gives_up():
    """After its attempts it raises what the last one raised, and does not wait for nothing."""
    for attempts, waits in ((1, []), (3, [1.0, 2.0])):
        sleeps, node = [], Failing(99, DOWN)
        with pytest.raises(ConnectionError) as raised:
            trying(node, sleeps, attempts=attempts).attempt("n", {}, "key")
        assert str(raised.value) == "down", "the node's own error, as it was"
        same((sleeps, len(node.seen)), (waits, attempts), f"waits and calls with attempts={attempts}")


def test_a_node_is_tried_again_only_after_what_may_pass():
    """A bug is no reason to try again; what is, can be chosen."""
    for error, options, calls in (
        (ValueError("bug"), {}, 1),
        (TimeoutError("slow"), {}, 3),
        (ValueError("bug"), {"retry_on": (ValueError,)}, 3),
        (ConnectionError("down"), {"retry_on": (ValueError,)}, 1),
    ):
        node = Failing(99, error)
        with pytest.raises(type(error)):
            trying(node, [], attempts=3, **options).attempt("n", {}, "key")
        same(len(node.seen), calls, f"calls after {error!r} with {options}")


def test_a_node_gets_a_state_of_its_own():
    """What a node changes in place, deep down, changes nothing."""

    def spoil(state, step):
        state["list"].append(99)
        state["new"] = 1

    state = {"list": [1]}
    result, _ = trying(spoil, []).attempt("n", state, "key")
    same((result, state), (None, {"list": [1]}), "what it returned, and the state")


# running


def test_a_run_by_hand(store):
    """Two nodes, one after the other: a checkpoint at the start and after each."""
    end = line(one, two).run("t", store, {"x": 0})
    same((end.status, end.state, end.steps), ("done", {"x": 0, "a": 1, "b": 2}, 2), "status, state and steps")
    history = store.history("t")
    same([c.node for c in history], [START, "one", "two"], "which node has ended at each checkpoint")
    same([c.next for c in history], ["one", "two", END], "which one comes")
    same([c.status for c in history], ["running", "running", "done"], "the statuses")
    same([c.state for c in history], [{"x": 0}, {"x": 0, "a": 1}, {"x": 0, "a": 1, "b": 2}], "the states")
    same([c.steps for c in history], [0, 1, 2], "how many nodes had ended")
    same(history[-1], end, "what is returned is the last checkpoint")


def test_a_branch_chooses(store):
    """The state decides where it goes; a name that is no target fails, and says so."""
    graph = Graph()
    graph.node("small", one)
    graph.node("large", one)
    graph.branch(START, lambda state: "large" if state["n"] > 9 else "small", "small", "large")
    graph.branch("small", lambda state: "nowhere", "large", END)
    graph.edge("large", END)
    same([c.node for c in (graph.run("a", store, {"n": 10}), store.history("a")[0])], ["large", START], "for n = 10")
    end = graph.run("b", store, {"n": 1})
    same((end.status, end.next), ("failed", "small"), "a branch that chooses what it has not")
    assert "nowhere" in end.note, f"the note should name what was chosen; it says: {end.note}"


def test_a_circle_ends(store):
    """A graph that goes in circles fails after max_steps nodes, and can be resumed for as many."""

    def count(state, step):
        return {"n": state["n"] + 1}

    graph = Graph(max_steps=5)
    graph.node("count", count)
    graph.edge(START, "count")
    graph.branch("count", lambda state: END if state["n"] == 8 else "count", "count", END)
    end = graph.run("t", store, {"n": 0})
    same((end.status, end.state["n"]), ("failed", 5), "after 5 nodes")
    assert "max_steps" in end.note, f"the note should name max_steps; it says: {end.note}"
    same(graph.resume("t", store).state["n"], 8, "resumed, it goes on")
    same(graph.run("u", store, {"n": 3}).status, "done", "exactly 5 nodes are allowed")


def test_a_node_that_fails_can_be_resumed(store):
    """What a failed node wrote is not there; resumed, it runs again with the same key, and the run goes on."""
    effects, node, asked = ledger(store), Failing(1, ValueError("bug")), []

    def after(state, step):
        asked.append(step.key)

    graph = line(one, node, after)
    end = graph.run("t", store, {})
    same((end.status, end.node, end.next, end.state), ("failed", "one", "node", {"a": 1}), "where it stands")
    same((end.note, effects()), ("ValueError: bug", []), "what failed, and what was written")
    end = graph.resume("t", store)
    same((end.status, effects()), ("done", ["x"]), "resumed, and what was written")
    keys = [key for _, key, _ in node.seen]
    same(len(set(keys)), 1, f"keys of the two tries: {keys}")
    assert asked[0] != keys[0], "another node has another key"
    same(graph.run("u", store, {}).status, "done", "another thread")
    assert node.seen[-1][1] != keys[0], "another thread has another key"


def test_a_write_that_fails_fails_the_node(store):
    """A statement that SQLite refuses leaves a failed checkpoint, and none of the node's effects."""
    effects = ledger(store)

    def write(state, step):
        step.write("INSERT INTO effects VALUES ('x')")
        step.write("INSERT INTO nowhere VALUES (1)")
        return {"a": 1}

    end = line(write).run("t", store, {})
    same((end.status, end.state, effects()), ("failed", {}, []), "status, state and effects")
    assert "nowhere" in end.note, f"the note should name the table; it says: {end.note}"


def test_reducers_are_used(store):
    """Changes of every node, and a person's answer, go through the reducers."""

    def say(state, step):
        return {"log": ["said"]}

    def ask(state, step):
        return Pause("more?", "log", {"log": ["asked"]})

    graph = line(say, ask, reducers={"log": add})
    graph.run("t", store, {"log": ["begun"]})
    end = graph.resume("t", store, ["answered"])
    same(end.state["log"], ["begun", "said", "asked", "answered"], "the log")


# a person


def approving(done):
    """Draft, ask a person, and send or draft again."""

    def draft(state, step):
        done.append("draft")
        return Pause(f"Send {state['text']}?", "approved", {"drafts": state.get("drafts", 0) + 1})

    def send(state, step):
        done.append("send")
        step.write("INSERT INTO effects VALUES (?)", (state["text"],))

    graph = Graph()
    graph.node("draft", draft)
    graph.node("send", send)
    graph.edge(START, "draft")
    graph.branch("draft", lambda state: "send" if state["approved"] else "draft", "send", "draft")
    graph.edge("send", END)
    return graph


def test_a_run_waits_for_a_person(store):
    """It stops at the question, holds no process up, and goes on with the answer; the node does not run again."""
    effects, done = ledger(store), []
    end = approving(done).run("t", store, {"text": "hello"})
    same((end.status, end.node, end.state), ("waiting", "draft", {"text": "hello", "drafts": 1}), "where it waits")
    same(json.loads(end.note), ["approved", "Send hello?"], "what is asked")
    same((done, effects()), (["draft"], []), "what ran, and what was sent")
    same(approving(done).resume("t", store), end, "without an answer it goes on waiting")
    end = approving(done).resume("t", store, True)
    same((end.status, end.state["approved"]), ("done", True), "after the answer")
    same((done, effects()), (["draft", "send"], ["hello"]), "what ran, and what was sent, once")
    same(approving(done).resume("t", store), end, "a thread that is done stays as it is")
    same(effects(), ["hello"], "what was sent in the end")


def test_a_person_may_say_no(store):
    """False is an answer: here it leads back to another draft, and to another question."""
    ledger(store)
    done = []
    approving(done).run("t", store, {"text": "hello"})
    end = approving(done).resume("t", store, False)
    same((end.status, end.state["drafts"], done), ("waiting", 2, ["draft", "draft"]), "a second draft waits")
    same([c.steps for c in store.history("t")], [0, 1, 1, 2], "an answer is a checkpoint, and no node")


def test_answers_nobody_asked_for_are_refused(store):
    """An answer to a thread that does not wait, one that is no JSON, and a thread that is not there are refused."""
    ledger(store)
    graph = approving([])
    assert_refuses(lambda: graph.resume("none", store), "'none'")
    graph.run("t", store, {"text": "x"})
    assert_refuses(lambda: graph.resume("t", store, {1, 2}), "approved")
    same(store.latest("t").status, "waiting", "after an answer that cannot be kept")
    graph.resume("t", store, True)
    assert_refuses(lambda: graph.resume("t", store, True), "answer", "done")
    assert_refuses(lambda: graph.run("t", store, {"text": "x"}), "'t'", "new")
    assert_refuses(lambda: graph.run("u", store, {"text": {1}}), "text")
    same(store.latest("u"), None, "a state that is no JSON begins no thread")


# crashes


class Fragile(Closing):
    """A store in which the process is killed at a point: before or after the n-th save."""

    left = 10**9
    after = False

    def save(self, checkpoint, statements=()):
        """Save, or be killed."""
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed
        super().save(checkpoint, statements)
        if self.left == 0:
            raise Killed


@pytest.mark.parametrize("after", [False, True])
def test_a_kill_at_any_checkpoint_repeats_no_effect(tmp_path, after):
    """Killed before or after any checkpoint, and resumed: each node's effect is there once, and the state is right."""

    def pay(state, step):
        step.write("INSERT INTO effects VALUES (?)", (f"pay {step.key}",))
        return {"log": ["pay"]}

    def ship(state, step):
        step.write("INSERT INTO effects VALUES (?)", (f"ship {step.key}",))
        return {"log": ["ship"]}

    def tell(state, step):
        step.write("INSERT INTO effects VALUES (?)", (f"tell {step.key}",))
        return {"log": ["tell"]}

    for point in range(1, 5):
        with Fragile(tmp_path / f"{point}{after}.db") as store:
            effects = ledger(store)
            graph = line(pay, ship, tell, reducers={"log": add})
            store.left, store.after = point, after
            with pytest.raises(Killed):
                graph.run("t", store, {"log": []})
            store.left = 10**9
            begun = store.latest("t") is not None
            end = graph.resume("t", store) if begun else graph.run("t", store, {"log": []})
            where = f"killed {'after' if after else 'before'} checkpoint {point}"
            same((end.status, end.state), ("done", {"log": ["pay", "ship", "tell"]}), where)
            same(effects(), ["pay t/0/pay", "ship t/1/ship", "tell t/2/tell"], f"{where}: the effects")


def test_a_kill_within_a_node_leaves_nothing(store):
    """A node that is killed after it has written leaves neither effect nor checkpoint; resumed, it has the same key."""
    effects, keys, alive = ledger(store), [], []

    def pay(state, step):
        keys.append(step.key)
        step.write("INSERT INTO effects VALUES ('paid')")
        if not alive:
            raise Killed

    graph = line(one, pay)
    with pytest.raises(Killed):
        graph.run("t", store, {})
    same((effects(), store.latest("t").node), ([], "one"), "effects and checkpoint after the kill")
    alive.append(True)
    same((graph.resume("t", store).status, effects()), ("done", ["paid"]), "after going on")
    same(len(set(keys)), 1, f"keys of both tries: {keys}")


def test_two_processes_do_a_thing_once(tmp_path):
    """Two resume the same thread at the same time: one goes on, the other meets a Conflict, one effect is there."""
    with Closing(tmp_path / "f.db") as first, Closing(tmp_path / "f.db") as second:
        effects, inner = ledger(first), []

        def pay(state, step):
            step.write("INSERT INTO effects VALUES ('paid')")
            if not inner:  # while the first one works, the second one does the same from the beginning to the end
                inner.append(True)
                inner.append(graph.resume("t", second).status)

        graph = line(one, pay)
        with pytest.raises(Conflict):
            graph.run("t", first, {})
        same((inner, effects()), ([True, "done"], ["paid"]), "what the second one reached, and the effects")
        same(graph.resume("t", first).status, "done", "the first one sees where it stands")
