# pyright: basic
"""Ways to get workflows wrong, and right ways that differ."""

import json

from groundup.anatomy import mistake, variant
from groundup.stack.agents.workflows.workflows import END, START, Conflict, Step


@mistake("merge", edit=("merged = dict(state)", "merged = state"))
def changes_the_state_given():
    """You change the state that came in. It is the last checkpoint's, and what failed must leave it as it was."""


@mistake("merge", edit=("reducers[key](merged[key], value)", "reducers[key](value, merged[key])"))
def gives_the_reducer_new_and_old():
    """You give the reducer the new value first. It is reducer(old, new): a log must grow at its end."""


@mistake("merge", edit=(" and key in merged", ""))
def reduces_what_is_not_there():
    """You call the reducer for a key that has no old value. The first value is taken as it is."""


@mistake(
    "merge",
    edit=(
        "same = json.loads(json.dumps({key: value}, allow_nan=False)) == {key: value}",
        "same = bool(json.dumps(value, allow_nan=False))",
    ),
)
def keeps_what_comes_back_changed():
    """You ask whether JSON can be written. A tuple can, and comes back as a list: the resumed run has another state."""


@mistake("Checkpoints.save", edit=('self.database.execute("BEGIN IMMEDIATE")', 'self.database.execute("SELECT 1")'))
def has_no_transaction():
    """You write without a transaction. Killed in between, the effect is there, the checkpoint is not."""


@mistake("Checkpoints.save", edit=('self.database.execute("ROLLBACK")', "pass"))
def leaves_the_transaction_open():
    """You leave the transaction open after an error. What it wrote is still there, and the next BEGIN fails."""


@mistake("Checkpoints.save", edit=("!= checkpoint.number:", "> checkpoint.number:"))
def leaves_gaps():
    """You accept a checkpoint whose predecessor is missing. A number must be the count of those before it."""


@mistake("Graph.check", edit=("if name not in reached:", "if False:"))
def allows_nodes_that_are_never_reached():
    """You do not look whether START reaches each node. One that is never reached is a forgotten edge."""


@mistake("Graph.check", edit=("if name not in ending:", "if False:"))
def allows_circles_without_a_way_out():
    """You do not look whether END can be reached. A run that gets into such a circle never ends."""


@mistake("Graph.attempt", edit=("except node.retry_on:", "except Exception:"))
def tries_bugs_again():
    """You try again after any exception. A bug stays one; only what may pass is tried again."""


@mistake("Graph.attempt", edit=("json.loads(json.dumps(state))", "state"))
def shares_the_state():
    """You give every attempt the same state. What a failed one changed in it is still there in the next."""


@mistake("Graph.attempt", edit=("if number == node.attempts:", "if number > node.attempts:"))
def tries_once_too_often():
    """You try once more than `attempts`. The first try is one of them."""


@mistake(
    "Graph.attempt",
    edit=("step = Step(key)", "step = locals().get('step') or Step(key)"),
)
def keeps_what_failed_attempts_wrote():
    """You keep the step over the attempts. What a failed one wrote is then executed with the one that succeeds."""


@mistake("Graph.advance", edit=("except Conflict:\n            raise", "except Conflict:\n            return at"))
def hides_the_conflict():
    """You swallow the Conflict, and give back an old checkpoint as if it were where the thread stands."""


@mistake("Graph.advance", edit=("store.save(new, statements)", "store.save(new)"))
def forgets_what_was_written():
    """You save the checkpoint without the node's statements: its effect never happens."""


@mistake("Graph.advance", edit=("if left == 0:", "if False:"))
def circles_for_ever():
    """You count no nodes. A branch that always leads back never ends: stop at `max_steps`."""


@mistake("Graph.resume", edit=("elif answer is not None", "elif answer"))
def takes_no_for_silence():
    """You ask whether the answer is true. False is an answer too: compare with None."""


@mistake("Graph.resume", edit=('if at.status == "failed":', "if False:"))
def leaves_failures_alone():
    """You do not try a failed node again. The run stops where it failed, for ever."""


@mistake("Graph.resume", edit=("        store.save(at)\n", ""))
def forgets_the_answer():
    """You do not save the answer before you go on. The next checkpoint has a number that does not fit."""


@variant("merge")
def by_a_round_trip(state, changes, reducers):
    """The state is put together at once, and compared with what JSON makes of it."""
    changes = {} if changes is None else changes
    if not isinstance(changes, dict):
        raise ValueError(f"changes must be a dictionary, got {changes!r}")
    joined = {
        key: reducers[key](state[key], new) if key in reducers and key in state else new for key, new in changes.items()
    }
    merged = {**state, **joined}
    for key in merged:
        try:
            kept = json.loads(json.dumps(merged[key], allow_nan=False))
        except Exception as error:
            raise ValueError(f"{key!r} is no JSON: {error}") from None
        if kept != merged[key]:
            raise ValueError(f"{key!r} is not the same in JSON")
    return merged


@variant("Checkpoints.save")
def by_the_database(self, checkpoint, statements=()):
    """The transaction is a `with` of its own, and the number is compared by a query."""
    database = self.database
    database.execute("BEGIN IMMEDIATE")
    try:
        row = database.execute("SELECT max(number) FROM checkpoints WHERE thread = ?", (checkpoint.thread,)).fetchone()
        if (-1 if row[0] is None else row[0]) + 1 != checkpoint.number:
            raise Conflict(f"{checkpoint.thread!r} is elsewhere")
        for statement in statements:
            database.execute(*statement)
        values = [getattr(checkpoint, name) for name in ("thread", "number", "steps", "node", "next", "status")]
        values += [json.dumps(checkpoint.state), checkpoint.note]
        database.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    except BaseException:
        database.rollback()
        raise
    database.commit()


@variant("Graph.check")
def by_growing_sets(self):
    """Reached and ending nodes are grown until nothing changes."""
    names = set(self.nodes)
    for source, (_, targets) in self.edges.items():
        unknown = [t for t in targets if t not in names | {END}] + [s for s in [source] if s not in names | {START}]
        if unknown:
            raise ValueError(f"no node {unknown[0]!r}")
    if missing := [name for name in (START, *self.nodes) if name not in self.edges]:
        raise ValueError(f"{missing[0]!r} has no edge")
    reached, ending = {START}, {END}
    for _ in range(len(names) + 2):
        reached |= {t for s in reached if s in self.edges for t in self.edges[s][1]}
        ending |= {s for s, (_, targets) in self.edges.items() if ending & set(targets)}
    for name in self.nodes:
        if name not in reached:
            raise ValueError(f"{name!r} is not reached")
        if name not in ending:
            raise ValueError(f"{name!r} is in a circle without an end")


@variant("Graph.attempt")
def with_a_deep_copy(self, name, state, key):
    """A loop over the waits, and a deep copy of the state."""
    import copy

    node = self.nodes[name]
    for wait in range(node.attempts - 1):
        step = Step(key)
        try:
            return node.function(copy.deepcopy(state), step), step
        except node.retry_on:
            self.sleep(float(2**wait))
    step = Step(key)
    return node.function(copy.deepcopy(state), step), step
