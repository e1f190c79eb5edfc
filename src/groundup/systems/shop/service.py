"""The work of the shop's API, without HTTP: each message in its turn, on a store opened for each request."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.api.work import Deadline, NotThere, opening, within
from groundup.errors import UsageError
from groundup.knowledge import Part, Reopened, default_location, open_place
from groundup.stack.agents.react import Dialect
from groundup.systems.shop.desk import Desk, Entry
from groundup.systems.shop.routing import Router
from groundup.systems.shop.shop import Reply, Shop
from groundup.systems.shop.store import open_store
from groundup.systems.shop.tools import Called

BODY_LIMIT = 64 << 10


@dataclass(frozen=True)
class Settings:
    """The settings of an API.

    Attributes:
        store: the file of the shop.
        token: the bearer token that it demands; empty for none.
        hosts: host names that it answers to; empty for all.
        model: the chat model (`groundup.llm.chat_model`); empty for the embedded clerk.
        dialect: the form in which the model asks for tools.
        knowledge: the place of the documents: a folder or a URL; empty for the folder beside the store.
        body_limit: the largest body, in bytes.
        timeout: the longest request, in seconds.
    """

    store: Path
    token: str = ""
    hosts: tuple[str, ...] = ()
    model: str = ""
    dialect: Dialect = "calls"
    knowledge: str = ""
    body_limit: int = BODY_LIMIT
    timeout: float = 120.0

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise UsageError(f"timeout must be more than 0 seconds, got {self.timeout:g}. For example: 120.")


class Busy(Exception):
    """A message of this conversation is being answered already."""


class Service:
    """The work of the API.

    Raises:
        UsageError: the model does not exist.
        StoreError: the store cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        from groundup.llm import chat_model

        self.settings = settings
        self.model = chat_model(settings.model) if settings.model not in ("", "embedded") else None
        self._knowledge = Reopened(settings.knowledge or default_location(settings.store))
        self._lock, self._going = threading.Lock(), set[str]()
        self._loading = threading.Lock()
        self._router: Router | None = None
        with open_store(settings.store):  # creates a missing store
            pass

    @property
    def router(self) -> Router:
        """The router, loaded at its first use."""
        from groundup.embedding import load

        with self._loading:
            if self._router is None:
                self._router = Router.load(load())
            return self._router

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        """The desk on the store, until the block ends; no model is needed for it."""
        with open_store(self.settings.store, reading=True) as store:
            yield Desk(store)

    @contextmanager
    def shop(self) -> Iterator[Shop]:
        """The agent on the store, until the block ends."""
        router, knowledge = self.router, self._knowledge.now()
        with open_store(self.settings.store, reading=True) as store:
            yield Shop(store, router=router, knowledge=knowledge, model=self.model, dialect=self.settings.dialect)

    @contextmanager
    def _taken(self, conversation: str) -> Iterator[None]:
        with self._lock:
            if conversation in self._going:
                raise Busy(conversation)
            self._going.add(conversation)
        try:
            yield
        finally:
            with self._lock:
                self._going.discard(conversation)

    # ── conversations ───────────────────────────────────────────────────────────────────────────────────────────────
    def begin(self) -> str:
        """A new conversation; its id."""
        with self.desk() as desk:
            return desk.begin()

    def conversations(self) -> list[dict[str, Any]]:
        """All conversations, the newest first, each with its first message."""
        with self.desk() as desk:
            rows = desk.store.rows(
                "SELECT c.id, c.begun, c.user, c.handed_over, m.text FROM conversations AS c LEFT JOIN messages AS m "
                "ON m.conversation = c.id AND m.place = 0 ORDER BY c.begun DESC, c.rowid DESC"
            )
        return [
            {"id": row["id"], "begun": row["begun"], "user": row["user"] or "", "first": row["text"] or "",
             "handed_over": bool(row["handed_over"])}
            for row in rows
        ]  # fmt: skip

    def conversation(self, id: str) -> dict[str, Any]:
        """A conversation: its customer, its messages, and the proposal that waits for a yes."""
        with self.desk() as desk:
            row = desk.find(id)
            return {
                "id": id, "begun": row["begun"], "user": row["user"] or "", "handed_over": row["handed_over"],
                "messages": desk.history(id), "waiting": desk.waiting(id),
            }  # fmt: skip

    def say(self, conversation: str, message: str) -> Generator[Called | Reply, None, None]:
        """The tools used for a message, as they are called, and at last the reply."""
        with self.desk() as desk:
            desk.find(conversation)  # refused before there is a stream
        yield from within(self._events(conversation, message), Deadline(self.settings.timeout))

    def _events(self, conversation: str, message: str) -> Generator[Called | Reply, None, None]:
        events: queue.Queue[Called | Reply | BaseException] = queue.Queue()

        def work() -> None:
            try:
                with self._taken(conversation), self.shop() as shop:
                    events.put(shop.say(conversation, message, told=events.put))
            except BaseException as error:
                events.put(error)

        threading.Thread(target=work, daemon=True).start()
        while True:
            event = events.get()
            if isinstance(event, BaseException):
                raise event
            yield event
            if isinstance(event, Reply):
                return

    def confirm(self, conversation: str, proposal: str, digest: str) -> Reply:
        """Carry out a proposal."""
        with self._taken(conversation), self.shop() as shop:
            return shop.confirm(conversation, proposal, digest)

    def decline(self, conversation: str) -> Reply:
        """Drop the open proposal."""
        with self._taken(conversation), self.shop() as shop:
            return shop.decline(conversation)

    def orders(self, conversation: str) -> list[dict[str, Any]]:
        """The orders of the customer that a conversation is with."""
        with self.desk() as desk:
            user = desk.identified(conversation)
            return [order.document() for id in user.orders if (order := desk.store.order(id))]

    # ── the record ──────────────────────────────────────────────────────────────────────────────────────────────────
    def record(self) -> list[Entry]:
        """All entries of the record, the newest first."""
        with self.desk() as desk:
            return desk.record()

    def undo(self, id: int) -> Entry:
        """Take a change back."""
        with self.desk() as desk:
            return desk.undo(id)

    def open(self, where: str) -> list[Part]:
        """The text behind a citation, with its surroundings."""
        knowledge = self._knowledge.now()
        if knowledge is None:
            raise NotThere("There are no documents. Learn them: groundup shop learn")
        with opening():
            return open_place(where, knowledge)
