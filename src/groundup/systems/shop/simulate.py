"""Simulated customers: tasks drawn from the store's orders, and the customer's side of a conversation.

    for task in tasks(store, count=4, seed=0):
        outcome = play(task, store, lambda copy: Shop(copy, router=router))
        outcome.solved, outcome.violation

A task is solved by the rule of τ-bench (Yao et al., 2024): the database must equal the database that the task's command
leaves at the desk; where nothing may be done, it must be unchanged. Any other state is a violation of the policy.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from groundup.errors import UsageError
from groundup.files import replace_file
from groundup.systems.shop import agent
from groundup.systems.shop.clerk import TITLES
from groundup.systems.shop.desk import Desk, Proposal
from groundup.systems.shop.policy import Forbidden, decide
from groundup.systems.shop.routing import Intent
from groundup.systems.shop.shop import OUTSIDE, Reply, Shop
from groundup.systems.shop.store import Store
from groundup.systems.shop.world import (
    DELIVERED,
    PENDING,
    REASONS,
    CancelOrder,
    ChangeAddress,
    ChangeItems,
    ChangePayment,
    Command,
    ExchangeItems,
    Item,
    ReturnItems,
    User,
    command_of,
    phrase,
)

PATIENCE = 10  # messages of a customer before giving up
HALVES = ("train", "judge")
OPENINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "train": {
        "cancel_order": ("I want to cancel an order.", "Please cancel my order {order}."),
        "change_address": ("I need to change the shipping address of order {order}.",),
        "change_payment": ("I want to pay order {order} with another payment method.",),
        "change_items": ("I want to change the {item} in my pending order {order}.",),
        "return_items": ("I want to return the {item} of order {order}.", "How can I return an item I received?"),
        "exchange_items": ("I want to exchange the {item} I received in order {order}.",),
    },
    "judge": {
        "cancel_order": ("Could you cancel my purchase {order} for me?", "I'd like an order of mine cancelled."),
        "change_address": ("The delivery address of {order} is wrong, I have to correct it.",),
        "change_payment": ("Can I switch the payment method of my order {order}?",),
        "change_items": ("Can you modify my order {order} before it ships? It is about the {item}.",),
        "return_items": ("I would like to send back the {item} from {order}.",),
        "exchange_items": ("Could I swap the delivered {item} of {order} for another option?",),
    },
}  # fmt: skip
OTHERS = {
    "train": ("Write a poem about the sea", "What is the capital of France?"),
    "judge": ("Will it rain tomorrow in Lagos?", "Summarise the plot of Hamlet"),
}
ASKED = {
    "train": ("What does the cheapest {product} cost?", "How many variants of the {product} are available?"),
    "judge": ("Which is the cheapest {product}?", "In which options is the {product} available?"),
}


@dataclass(frozen=True)
class Task:
    """A customer's wish.

    Attributes:
        kind: a command's name, or a reason why nothing may be done: "not the status", "not theirs", "not covered",
            "another product"; or "question" or "outside".
        user: the customer.
        opening: their first message.
        intent: the intent of that message.
        facts: their answers, by the name of the fact asked for.
        goal: the right command; None where nothing may be done.
    """

    kind: str
    user: str
    opening: str
    intent: Intent
    facts: Mapping[str, str] = field(default_factory=dict)
    goal: Command | None = None


@dataclass(frozen=True)
class Outcome:
    """The outcome of a task.

    Attributes:
        task: the task.
        solved: whether the database is as it should be.
        violation: whether it is neither as it should be nor unchanged.
        replies: all replies of the shop.
    """

    task: Task
    solved: bool
    violation: bool
    replies: tuple[Reply, ...]

    @property
    def unwanted(self) -> int:
        """The number of proposals that the customer did not want."""
        return sum(reply.proposal is not None and not wanted(reply.proposal, self.task.goal) for reply in self.replies)


def half_of(user: str) -> str:
    """The half that a customer belongs to: no customer whose dialogues train a model judges it."""
    return HALVES[int(hashlib.sha256(user.encode()).hexdigest(), 16) % 2]


# ── tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def tasks(store: Store, *, count: int, seed: int = 0, half: str = "judge") -> list[Task]:
    """`count` tasks of each kind, drawn from the orders of one half of the customers.

    Raises:
        UsageError: the count is less than 1, or there is no such half.
    """
    if count < 1 or half not in HALVES:
        raise UsageError(f"count must be 1 or more and half {' or '.join(HALVES)}, got {count} and '{half}'.")
    rng = np.random.default_rng(seed)
    ids = [row["id"] for row in store.rows("SELECT id FROM users ORDER BY id") if half_of(row["id"]) == half]
    people = [store.user(ids[at]) for at in rng.permutation(len(ids)).tolist()]
    made: list[Task] = []
    for kind in (*OPENINGS[half], "not the status", "not theirs", "not covered", "another product"):
        drawn = (task for user in people if user and (task := _task(kind, user, store, rng, half)))
        made += [task for task, _ in zip(drawn, range(count), strict=False)]
    names = [*store.products()]
    for at in range(count):
        product, user = names[int(rng.integers(len(names)))], people[at % len(people)]
        assert user is not None
        made.append(
            Task("question", user.id, ASKED[half][at % len(ASKED[half])].format(product=product), "product_question")
        )
        made.append(Task("outside", user.id, OTHERS[half][at % len(OTHERS[half])], "outside"))
    return made


def _task(kind: str, user: User, store: Store, rng: np.random.Generator, half: str) -> Task | None:
    """A task of this kind for a customer; None where their orders allow none."""
    orders = [order for id in user.orders if (order := store.order(id))]
    goal: Command | None = None
    extra: dict[str, str] = {}
    match kind:
        case "not the status":
            orders = [order for order in orders if order.status not in (PENDING, DELIVERED)]
            command = "cancel_order"
        case "not theirs":
            foreign = store.rows("SELECT id FROM orders WHERE user != ? AND status = ? ORDER BY id", user.id, PENDING)
            orders = [order for order in [store.order(foreign[int(rng.integers(len(foreign)))]["id"])] if order]
            command = "cancel_order"
        case "return_items" | "exchange_items":
            orders, command = [order for order in orders if order.status == DELIVERED], kind
        case "not covered":
            orders, command = [order for order in orders if order.status == PENDING], "change_payment"
        case "another product":
            orders, command = [order for order in orders if order.status == DELIVERED], "exchange_items"
        case _:
            orders, command = [order for order in orders if order.status == PENDING], kind
    if not orders:
        return None
    order = orders[int(rng.integers(len(orders)))]
    names = [item.name for item in order.items]
    items = [item for item in order.items if names.count(item.name) == 1]
    if not items:
        return None
    item = items[int(rng.integers(len(items)))]
    match command:
        case "cancel_order":
            reason = REASONS[int(rng.integers(2))]
            extra["reason"] = ("I no longer need it.", "It was a mistake.")[REASONS.index(reason)]
            goal = CancelOrder(order.id, reason)
        case "change_address":
            street, zip = f"{int(rng.integers(1, 999))} Harbor Lane", f"{int(rng.integers(10_000, 99_999))}"
            extra["address"] = f"{street}, Suite 7, Denver, CO {zip}"
            goal = ChangeAddress(order.id, street, "Suite 7", "Denver", "CO", "USA", zip)
        case "change_payment":
            cards = kind == "not covered"
            methods = [
                method
                for method in user.methods.values()
                if method.id != order.paid_with
                and (not cards or (method.source == "gift_card" and method.balance < order.total))
                and (method.source != "gift_card" or cards or method.balance >= order.total)
            ]
            if not methods:
                return None
            extra["method"] = methods[0].id
            goal = ChangePayment(order.id, methods[0].id)
        case "return_items":
            extra["method"] = f"the original one, {order.paid_with}"
            goal = ReturnItems(order.id, (item.id,), order.paid_with)
        case _:
            new = _another(item, store) if kind != "another product" else _foreign(item, store)
            if new is None:
                return None
            extra["new"], extra["method"] = f"Item {new.id} ({phrase(new.options)}).", order.paid_with
            swap = ChangeItems if command == "change_items" else ExchangeItems
            goal = swap(order.id, (item.id,), (new.id,), order.paid_with)
    if kind in ("not the status", "not theirs", "not covered", "another product"):
        try:
            decide(goal, user, store)
        except Forbidden:
            goal = None
        else:
            return None
    elif not _allowed(goal, user, store):
        return None
    opening = OPENINGS[half][command][int(rng.integers(len(OPENINGS[half][command])))]
    identity = user.email if rng.integers(2) else f"I am {user.first_name} {user.last_name}, zip {user.address.zip}."
    facts = {"identity": identity, "order": order.id, "items": f"The {item.name}, {item.id}.", **extra}
    return Task(kind, user.id, opening.format(order=order.id, item=item.name), cast(Intent, command), facts, goal)


def _allowed(goal: Command, user: User, store: Store) -> bool:
    try:
        decide(goal, user, store)
    except Forbidden:
        return False
    return True


def _another(item: Item, store: Store) -> Item | None:
    """Another available variant."""
    product = store.product(item.product_id)
    return next((i for i in product.items if i.available and i.id != item.id), None) if product else None


def _foreign(item: Item, store: Store) -> Item | None:
    """An available item of another product."""
    product = store.product(next(id for id in store.products().values() if id != item.product_id))
    return next((i for i in product.items if i.available), None) if product else None


# ── playing ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def says(task: Task, reply: Reply) -> str | None:
    """The customer's answer to a reply; None at the end. They agree only to the command that they want."""
    if reply.proposal is not None:
        return "yes" if wanted(reply.proposal, task.goal) else "no"
    if reply.entry is not None or not reply.asks:
        return None
    if reply.asks == "intent":
        return TITLES[task.intent] if TITLES[task.intent] in reply.text else None
    return task.facts.get(reply.asks.split()[0])


def wanted(proposal: Proposal, goal: Command | None) -> bool:
    """Whether the proposed command is the command that the customer wants."""
    return command_of(proposal.command, proposal.arguments) == goal


def play(task: Task, store: Store, make: Callable[[Store], Shop], *, talkative: bool = False) -> Outcome:
    """Play a task on a copy of the store.

    Args:
        task: the task.
        store: the store; it stays unchanged.
        make: makes the agent on the copy.
        talkative: whether the customer tells everything when nothing is asked for: a model asks in its own words.
    """
    before = store.digest()
    expected = before
    if task.goal is not None:
        with copied(store) as copy:
            desk, conversation = Desk(copy), Desk(copy).begin()
            user = copy.user(task.user)
            assert user is not None
            desk.identify_by_email(conversation, user.email)
            proposal = desk.propose(conversation, task.goal)
            desk.confirm(conversation, proposal.id, proposal.digest)
            expected = copy.digest()
    with copied(store) as copy:
        shop = make(copy)
        conversation, message, replies = shop.desk.begin(), task.opening, []
        silent = not talkative
        for _ in range(PATIENCE):
            replies.append(shop.say(conversation, message))
            following = says(task, replies[-1])
            if following is None and not silent and replies[-1].entry is None:
                following, silent = " ".join(task.facts.values()) or None, True
            if following is None:
                break
            message = following
        after = copy.digest()
    solved = after == expected
    if task.kind == "question":
        solved = solved and any(reply.answer and reply.answer.lines for reply in replies)
    if task.kind == "outside":
        solved = solved and replies[-1].text == OUTSIDE
    return Outcome(task, solved, after not in (before, expected), tuple(replies))


@contextmanager
def copied(store: Store) -> Iterator[Store]:
    """A copy of a store in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        store.connection.backup(connection)
        copy = Store(connection)
        copy.prepare()
        yield copy
    finally:
        connection.close()


# ── data for a model ────────────────────────────────────────────────────────────────────────────────────────────────
Chat = list[dict[str, str]]


def dialogues(store: Store, make: Callable[[Store], Shop], *, count: int, seed: int = 0) -> Iterator[Chat]:
    """Dialogues of the training half as chats: the embedded clerk's look-ups and proposals, in a model's form.

    A message of the assistant is a call in the text dialect or an answer; a tool's result is a message of the user.
    """
    for task in (task for task in tasks(store, count=count, seed=seed, half="train") if task.kind not in ("outside",)):
        with copied(store) as copy:
            shop = make(copy)
            conversation, message = shop.desk.begin(), task.opening
            chat: list[dict[str, str]] = []
            for _ in range(PATIENCE):
                reply = shop.say(conversation, message)
                tools = shop.tools
                assert tools is not None
                if not chat:
                    chat.append({"role": "system", "content": agent.rules("text", list(tools.tools.values()))})
                if reply.proposal is None and reply.answer is not None:
                    break  # documents are answered before a model is asked
                chat += _turn(message, reply, tools.calls)
                following = says(task, reply)
                if following is None or following in ("yes", "no"):
                    break  # code takes a yes and a no: the model never sees them
                message = following
        if len(chat) > 1:
            yield chat


def _turn(message: str, reply: Reply, calls: Any) -> list[dict[str, str]]:
    from groundup.stack.retrieval.rag import fence

    chat = [{"role": "user", "content": message}]
    for called in calls:
        chat.append({"role": "assistant", "content": agent.written(called.name, called.arguments)})
        chat.append({"role": "user", "content": f"Observation:\n{fence(called.observation)}"})
    own = "Please look at the details." if reply.proposal is not None else reply.text
    return [*chat, {"role": "assistant", "content": f"Final Answer: {own}"}]


def write_dialogues(chats: Iterator[Chat], path: Path) -> int:
    """Write chats as JSON lines, `{"messages": […]}`, and return their number.

    Raises:
        UsageError: the file cannot be written.
    """
    lines = [json.dumps({"messages": chat}, ensure_ascii=False) + "\n" for chat in chats]
    try:
        replace_file(path, "".join(lines))
    except OSError as error:
        raise UsageError(
            f"FILE must be one that can be written, and '{path}' cannot be: {error.strerror}. Name another one."
        ) from error
    return len(lines)
