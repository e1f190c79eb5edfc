"""The demo: three customers, offline. They cancel, want a forbidden change, and ask about a product.

for step in demo(Path("shop-demo")):
    print(step.title, step.answer)      # a conversation: the customer's messages, each with its reply
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from groundup.demo import Step, writing
from groundup.systems.shop.answering import learn
from groundup.systems.shop.desk import Desk
from groundup.systems.shop.shop import Reply, Shop
from groundup.systems.shop.simulate import tasks
from groundup.systems.shop.store import open_store

STORE = "shop.sqlite"


Said = tuple[tuple[str, Reply], ...]
"""The customer's messages, each with the reply to it."""


def demo(folder: Path) -> Iterator[Step[Said]]:
    """The steps of the demo, each as soon as it is done.

    Raises:
        UsageError: the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STORE).unlink(missing_ok=True)  # the demo begins with the shop's first day
        yield from _steps(folder / STORE)


def _steps(path: Path) -> Iterator[Step[Said]]:
    from groundup.embedding import load
    from groundup.systems.shop.routing import Router

    begin = time.perf_counter()
    with open_store(path) as store:
        knowledge = learn(store, path)
        tables = ("users", "orders", "items")
        counts = [f"{store.rows(f'SELECT count(*) FROM {name}')[0][0]:,} {name}" for name in tables]
        contents = (f"{', '.join(counts)}. Data: {store.about}.", f"{len(knowledge)} chunks of documents.")
        yield Step("Open the shop", "groundup shop learn", contents, time.perf_counter() - begin)
        shop = Shop(store, router=Router.load(load()), knowledge=knowledge)
        drawn = {task.kind: task for task in tasks(store, count=1, seed=1)}
        order = drawn["cancel_order"].facts
        yield _talk(
            shop, "A customer cancels an order", f"I'd like to cancel my order {order['order']}.", order["identity"],
            order["reason"], "yes",
        )  # fmt: skip
        begin = time.perf_counter()
        entry = Desk(store).undo(1)
        yield Step("Undo it", "groundup shop undo 1", entry.details, time.perf_counter() - begin)
        late, theirs = drawn["not the status"].facts, drawn["not theirs"].facts
        yield _talk(
            shop, "A customer wants a forbidden change", f"Cancel order {late['order']}, please.", late["identity"],
            f"Then cancel my order {theirs['order']}, it was a mistake.",
        )  # fmt: skip
        yield _talk(
            shop, "A customer asks about a product, and something else", "What colors does the T-Shirt come in?",
            "Is there a cancellation fee?", "Who won the world cup in 2014?",
        )  # fmt: skip


def _talk(shop: Shop, title: str, *messages: str) -> Step[Said]:
    begin = time.perf_counter()
    conversation, before = shop.desk.begin(), shop.store.digest()
    exchanges = tuple((message, shop.say(conversation, message)) for message in messages)
    changed = "The database has changed." if shop.store.digest() != before else "The database is as it was."
    return Step(title, "groundup shop chat", (changed,), time.perf_counter() - begin, exchanges)
