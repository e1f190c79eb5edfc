"""`Desk`: the only way to change the shop. A model proposes; a person says yes to exactly the details on display.

    desk = Desk(store)
    conversation = desk.begin()
    desk.identify_by_email(conversation, "noah.brown7922@example.com")
    proposal = desk.propose(conversation, CancelOrder("#W7678072", "no longer needed"))
    record = desk.confirm(conversation, proposal.id, proposal.digest)     # one transaction: checked again, done, noted
    desk.undo(record.id)

`confirm` takes the digest of the details that were shown. It decides anew; if the details have changed since, it does
nothing and says so.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import uuid
from dataclasses import asdict, dataclass
from typing import Any, Literal

from groundup.errors import StoreError, UnknownName, UsageError
from groundup.systems.shop.policy import Change, Forbidden, decide
from groundup.systems.shop.store import Store, now
from groundup.systems.shop.world import NAMES, Address, Command, Item, Order, Payment, User, command_of

State = Literal["open", "confirmed", "declined", "replaced"]


@dataclass(frozen=True)
class Proposal:
    """A command proposed to a customer.

    Attributes:
        id: its name.
        conversation: the conversation that it was made in.
        command: the command's name.
        arguments: the command's arguments.
        details: the lines that the customer is shown.
        digest: the digest of command and details; a confirmation sends it back.
        state: whether it still waits for an answer.
    """

    id: str
    conversation: str
    command: str
    arguments: dict[str, Any]
    details: tuple[str, ...]
    digest: str
    state: State


@dataclass(frozen=True)
class Entry:
    """An entry of the record: a change that was made.

    Attributes:
        id: its number, counted from 1.
        at: its time, in UTC.
        user: the customer whose order or profile changed.
        command: the command's name, or `undo`.
        arguments: the command's arguments.
        details: the lines that the customer said yes to.
        undoes: the entry that this entry took back.
        undone: the entry that took this entry back.
    """

    id: int
    at: str
    user: str
    command: str
    arguments: dict[str, Any]
    details: tuple[str, ...]
    undoes: int | None
    undone: int | None


class Desk:
    """Conversations, proposals and changes, on a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # ── conversations ───────────────────────────────────────────────────────────────────────────────────────────────
    def begin(self) -> str:
        """A new conversation, with nobody identified; its id."""
        id = uuid.uuid4().hex[:12]
        with self.store.transaction() as connection:
            connection.execute("INSERT INTO conversations (id, begun) VALUES (?, ?)", (id, now()))
        return id

    def find(self, conversation: str) -> sqlite3.Row:
        """A conversation's row.

        Raises:
            UnknownName: there is no such conversation.
        """
        rows = self.store.rows("SELECT * FROM conversations WHERE id = ?", conversation)
        if not rows:
            # No nearest id: an id alone opens a conversation, and a wrong id must not reveal a right one.
            raise UnknownName("conversation", conversation, (), see="groundup shop history")
        return rows[0]

    def user(self, conversation: str) -> User | None:
        """The customer that a conversation is with; None before they are identified."""
        id = self.find(conversation)["user"]
        return self.store.user(id) if id else None

    def identified(self, conversation: str) -> User:
        """As `user`.

        Raises:
            Forbidden: nobody is identified yet.
        """
        user = self.user(conversation)
        if user is None:
            raise Forbidden(
                "identity", "user must be identified first, by e-mail or by name and zip code, and is not. Ask for it."
            )
        return user

    def identify_by_email(self, conversation: str, email: str) -> User:
        """Identify the conversation's customer by their e-mail address.

        Raises:
            Forbidden: no customer has it, or the conversation is with somebody else.
        """
        return self._identify(
            conversation, self.store.user_by_email(email), f"email must be a customer's, got '{email}'"
        )

    def identify_by_name(self, conversation: str, first_name: str, last_name: str, zip: str) -> User:
        """As `identify_by_email`, by name and zip code."""
        user = self.store.user_by_name(first_name, last_name, zip)
        fault = f"first_name, last_name and zip must be a customer's, got '{first_name}', '{last_name}' and '{zip}'"
        return self._identify(conversation, user, fault)

    def _identify(self, conversation: str, user: User | None, fault: str) -> User:
        before = self.user(conversation)
        if user is None:
            raise Forbidden("identity", f"{fault}. Ask the customer again.")
        if before is not None and before.id != user.id:
            raise Forbidden(
                "one customer", f"user must stay '{before.id}' in this conversation, and '{user.id}' is another "
                "customer. Begin another conversation for them.",
            )  # fmt: skip
        with self.store.transaction() as connection:
            connection.execute("UPDATE conversations SET user = ? WHERE id = ?", (user.id, conversation))
        return user

    def hand_over(self, conversation: str, summary: str) -> None:
        """Note that a person must go on."""
        self.find(conversation)
        with self.store.transaction() as connection:
            connection.execute("UPDATE conversations SET handed_over = ? WHERE id = ?", (summary[:2000], conversation))

    def history(self, conversation: str) -> list[dict[str, Any]]:
        """The messages, in order; each with the reply's details as plain data."""
        self.find(conversation)
        query = "SELECT * FROM messages WHERE conversation = ? ORDER BY place"
        return [
            {"role": row["role"], "text": row["text"], **json.loads(row["more"])}
            for row in self.store.rows(query, conversation)
        ]

    # ── proposals ───────────────────────────────────────────────────────────────────────────────────────────────────
    def propose(self, conversation: str, command: Command) -> Proposal:
        """Write a proposal for the customer. It replaces a proposal without an answer.

        Raises:
            Forbidden: the policy does not allow it.
        """
        user = self.identified(conversation)
        change = decide(command, user, self.store)
        name, arguments = NAMES[type(command)], asdict(command)
        digest = _digest(name, arguments, change.details)
        id = uuid.uuid4().hex[:12]
        with self.store.transaction() as connection:
            self._close(conversation, "replaced")
            connection.execute(
                "INSERT INTO proposals VALUES (?, ?, ?, ?, ?, ?, 'open', ?)",
                (id, conversation, name, json.dumps(arguments), json.dumps(change.details), digest, now()),
            )
        return self.proposal(id)

    def proposal(self, id: str) -> Proposal:
        """A proposal.

        Raises:
            UnknownName: no proposal has this id.
        """
        rows = self.store.rows("SELECT * FROM proposals WHERE id = ?", id)
        if not rows:
            raise UnknownName("proposal", id, (), see="groundup shop history")
        return _proposal(rows[0])

    def waiting(self, conversation: str) -> Proposal | None:
        """The proposal that waits for the customer's answer."""
        query = "SELECT * FROM proposals WHERE conversation = ? AND state = 'open'"
        return next(map(_proposal, self.store.rows(query, conversation)), None)

    def decline(self, conversation: str) -> None:
        """Close the open proposal: the customer does not want it."""
        with self.store.transaction():
            self._close(conversation, "declined")

    def _close(self, conversation: str, state: State) -> None:
        query = "UPDATE proposals SET state = ? WHERE conversation = ? AND state = 'open'"
        self.store.connection.execute(query, (state, conversation))

    def confirm(self, conversation: str, proposal: str, digest: str) -> Entry:
        """Carry out a proposal: the customer said yes to the details of this digest.

        One transaction: the proposal must still wait, the policy decides anew, the change is made and noted in the
        record.

        Raises:
            UnknownName: there is no such proposal in this conversation.
            Forbidden: it no longer waits, the details have changed since they were shown, or a rule forbids it now.
        """
        with self.store.transaction() as connection:
            user = self.identified(conversation)
            shown = self.proposal(proposal)
            if shown.conversation != conversation:
                raise UnknownName("proposal in this conversation", proposal, (), see="groundup shop history")
            if shown.state != "open":
                raise Forbidden(
                    "confirmation", f"proposal must wait for an answer, and '{proposal}' is {shown.state}. Propose it "
                    "again.",
                )  # fmt: skip
            command = command_of(shown.command, shown.arguments)
            change = decide(command, user, self.store)
            if not digest == shown.digest == _digest(shown.command, shown.arguments, change.details):
                raise Forbidden(
                    "confirmation", "digest must be that of the details which were shown, and these are others by now. "
                    "Propose it again, and show them.",
                )  # fmt: skip
            id = self._do(user, shown, change)
            connection.execute("UPDATE proposals SET state = 'confirmed' WHERE id = ?", (proposal,))
        return self.entry(id)

    def _do(self, user: User, shown: Proposal, change: Change) -> int:
        before: dict[str, Any] = {}
        after: dict[str, Any] = {"balances": dict(change.balances)}
        if change.order is not None:
            order = self.store.order(change.order.id)
            before["order"], after["order"] = order and order.document(), change.order.document()
            self.store.put_order(change.order)
        if change.address is not None:
            before["address"], after["address"] = asdict(user.address), asdict(change.address)
            self.store.put_address(user.id, change.address)
        for method, cents in change.balances.items():
            self.store.add_to_balance(method, cents)
        return self._note(user.id, shown.command, shown.arguments, shown.details, shown.id, before, after, None)

    def _note(
        self,
        user: str,
        command: str,
        arguments: dict[str, Any],
        details: tuple[str, ...],
        proposal: str | None,
        before: dict[str, Any],
        after: dict[str, Any],
        undoes: int | None,
    ) -> int:
        values = (now(), user, command, json.dumps(arguments), json.dumps(details), proposal)
        cursor = self.store.connection.execute(
            "INSERT INTO record (at, user, command, arguments, details, proposal, before, after, undoes) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, json.dumps(before), json.dumps(after), undoes),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    # ── the record ──────────────────────────────────────────────────────────────────────────────────────────────────
    def record(self) -> list[Entry]:
        """All entries of the record, the newest first."""
        return [_entry(row) for row in self.store.rows(f"{_RECORD} ORDER BY done.id DESC")]

    def entry(self, id: int) -> Entry:
        """An entry of the record.

        Raises:
            UnknownName: no entry has this number.
        """
        rows = self.store.rows(f"{_RECORD} WHERE done.id = ?", id)
        if not rows:
            known = [str(row["id"]) for row in self.store.rows("SELECT id FROM record")]
            raise UnknownName("entry of the record", str(id), known, see="groundup shop history")
        return _entry(rows[0])

    def undo(self, id: int) -> Entry:
        """Take a change back, in one transaction, and note that; the change must still stand as it was made.

        Raises:
            UnknownName: there is no such entry.
            UsageError: the entry was taken back already, is itself an undo, or a later change overrides it.
        """
        with self.store.transaction():
            entry = self.entry(id)
            if entry.undone is not None or entry.undoes is not None:
                what = f"undone by {entry.undone} already" if entry.undone else "an undo itself"
                raise UsageError(f"ID must be an entry that can be undone, and {id} is {what}. Nothing was done.")
            (row,) = self.store.rows("SELECT before, after FROM record WHERE id = ?", id)
            before, after = json.loads(row["before"]), json.loads(row["after"])
            if not self._is(entry.user, after):
                raise UsageError(
                    f"ID must be the last change of its order or address, and {id} is not. Undo the later."
                )
            if "order" in before:
                self.store.put_order(_order(before["order"]))
            if "address" in before:
                self.store.put_address(entry.user, Address(**before["address"]))
            balances = {method: -cents for method, cents in after["balances"].items()}
            try:
                for method, cents in balances.items():
                    self.store.add_to_balance(method, cents)
            except sqlite3.IntegrityError as error:
                raise UsageError(
                    f"ID must leave no gift card below $0.00, and undoing {id} would: the refund is spent. "
                    "Settle it by hand."
                ) from error
            details = (f"Undo {id}: {entry.details[0]}",)
            done = {**before, "balances": balances}
            new = self._note(entry.user, "undo", {"id": id}, details, None, after, done, id)
        return self.entry(new)

    def _is(self, user: str, after: dict[str, Any]) -> bool:
        """Whether the state that a command left still stands."""
        if "order" in after:
            order = self.store.order(after["order"]["id"])
            if order is None or json.loads(json.dumps(order.document())) != after["order"]:
                return False
        if "address" in after:
            known = self.store.user(user)
            return known is not None and asdict(known.address) == after["address"]
        return True


_RECORD = "SELECT done.*, back.id AS undone FROM record AS done LEFT JOIN record AS back ON back.undoes = done.id"


def _digest(command: str, arguments: dict[str, Any], details: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps([command, arguments, details], sort_keys=True).encode()).hexdigest()


def _proposal(row: sqlite3.Row) -> Proposal:
    return Proposal(
        row["id"], row["conversation"], row["command"], json.loads(row["arguments"]),
        tuple(json.loads(row["details"])), row["digest"], row["state"],
    )  # fmt: skip


def _entry(row: sqlite3.Row) -> Entry:
    return Entry(
        row["id"], row["at"], row["user"], row["command"], json.loads(row["arguments"]),
        tuple(json.loads(row["details"])), row["undoes"], row["undone"],
    )  # fmt: skip


def _order(document: dict[str, Any]) -> Order:
    """An order from the data of `Order.document`."""
    try:
        return Order(
            **{**document, "address": Address(**document["address"]),
               "items": tuple(Item(**item) for item in document["items"]),
               "payments": tuple(Payment(**payment) for payment in document["payments"])}
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise StoreError(f"record must hold orders as this version writes them, and does not: {error!r}.") from error
