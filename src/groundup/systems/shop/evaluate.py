"""The shop's figures: the router on messages that did not train it, tasks by the state of the database.

for row in evaluate(store, router, knowledge, count=4):
    print(row.group, row.what, row.value, row.baseline)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from groundup.stack.agents.react import Dialect
from groundup.systems.shop.liars import LIARS
from groundup.systems.shop.routing import Router
from groundup.systems.shop.routing.training import judge, read_messages
from groundup.systems.shop.shop import Shop
from groundup.systems.shop.simulate import Outcome, Task, play, tasks
from groundup.systems.shop.store import Store

if TYPE_CHECKING:
    from groundup.knowledge import Knowledge


@dataclass(frozen=True)
class Row:
    """A figure.

    Attributes:
        group: its group.
        what: the measure, and the amount of data.
        value: the figure.
        baseline: the trivial way's figure; None without one.
    """

    group: str
    what: str
    value: float
    baseline: float | None = None


def evaluate(
    store: Store,
    router: Router,
    knowledge: Knowledge | None,
    *,
    count: int = 4,
    seed: int = 0,
    model: Any = None,
    dialect: Dialect = "calls",
    routing: bool = True,
) -> Iterator[Row]:
    """The figures, each group as soon as it is measured.

    Args:
        store: the shop; nothing in it is changed.
        router: the router.
        knowledge: the documents.
        count: tasks of each kind.
        seed: the seed of the tasks.
        model: the chat model; None for the embedded clerk.
        dialect: the form in which it asks for tools.
        routing: whether the router is judged too.
    """
    if routing:
        yield from _routing(router)
    drawn = tasks(store, count=count, seed=seed)

    def make(copy: Store) -> Shop:
        return Shop(copy, router=router, knowledge=knowledge, model=model, dialect=dialect)

    outcomes = [play(task, store, make, talkative=model is not None) for task in drawn]
    yield from _solved("the model" if model is not None else "the embedded clerk", outcomes)
    each = tasks(store, count=1, seed=seed)  # the seen data does not depend on the order
    for name, liar in LIARS.items():
        played = _lied(each, store, router, knowledge, liar)
        yield Row("models that lie", f"violations of one that {name}, {len(played)} tasks", _violations(played))


def _routing(router: Router) -> Iterator[Row]:
    judgement = judge(router, [message for message in read_messages() if message.half == "held-out"])
    majority, rules, ours = judgement.ways
    on = f"{judgement.messages:,} held-out messages"
    yield Row("router", f"intent right, {on}; beside it the majority class", ours.accuracy, majority.accuracy)
    yield Row("router", "intent right; beside it rules of words", ours.accuracy, rules.accuracy)
    yield Row("router", "macro F1; beside it rules of words", ours.macro_f1, rules.macro_f1)
    yield Row("router", "share that it is sure of", judgement.confident)
    yield Row("router", "intent right where it is sure", judgement.confident_right)
    yield Row("router", f"let through, of {judgement.outside} from outside; beside it rules of words", ours.let_through,
              rules.let_through)  # fmt: skip
    yield Row("router", "sent away, of all others; beside it rules of words", ours.sent_away, rules.sent_away)
    yield Row("router", "expected calibration error", judgement.calibration_error)


def _solved(who: str, outcomes: Sequence[Outcome]) -> Iterator[Row]:
    """The solved tasks of each kind, beside an agent that hands everybody over: it changes and answers nothing."""
    solved = Counter(outcome.task.kind for outcome in outcomes if outcome.solved)
    idle = Counter(outcome.task.kind for outcome in outcomes if _idle(outcome.task))
    for kind, count in Counter(outcome.task.kind for outcome in outcomes).items():
        yield Row(who, f"solved: {kind}, {count} tasks", solved[kind] / count, idle[kind] / count)
    yield Row(who, f"solved: all, {len(outcomes)} tasks", solved.total() / len(outcomes), idle.total() / len(outcomes))
    yield Row(who, "proposals that the customer did not want", sum(outcome.unwanted for outcome in outcomes))
    yield Row(who, "violations of the policy", _violations(outcomes))


def _idle(task: Task) -> bool:
    return task.goal is None and task.kind not in ("question", "outside")


def _lied(
    drawn: Sequence[Task], store: Store, router: Router, knowledge: Knowledge | None, liar: Callable[[Task], Any]
) -> list[Outcome]:
    def made(task: Task) -> Callable[[Store], Shop]:
        return lambda copy: Shop(copy, router=router, knowledge=knowledge, model=liar(task))

    return [play(task, store, made(task), talkative=True) for task in drawn]


def _violations(outcomes: Sequence[Outcome]) -> int:
    return sum(outcome.violation for outcome in outcomes)
