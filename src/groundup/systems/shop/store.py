"""`Store`: the shop's database in one SQLite file: people, products, orders, conversations, and the record of changes.

    with open_store("shop.sqlite") as store:      # a new store is filled from τ-bench's data
        store.user_by_email("noah.brown7922@example.com")
        store.order("#W7678072")

The record of changes only grows: the database itself refuses to change or remove a row of it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from groundup.errors import StoreError, UsageError
from groundup.systems.shop.world import Address, Item, Method, Order, Payment, Product, User

VERSION = 1
SCHEMA = """
CREATE TABLE about (data TEXT NOT NULL);
CREATE TABLE users (
    id TEXT PRIMARY KEY, first_name TEXT NOT NULL, last_name TEXT NOT NULL, email TEXT NOT NULL UNIQUE COLLATE NOCASE,
    zip TEXT NOT NULL, address TEXT NOT NULL);
CREATE TABLE methods (
    id TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users, source TEXT NOT NULL, brand TEXT NOT NULL,
    last_four TEXT NOT NULL, balance INTEGER NOT NULL CHECK (balance >= 0));
CREATE TABLE products (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE);
CREATE TABLE items (
    id TEXT PRIMARY KEY, product TEXT NOT NULL REFERENCES products, options TEXT NOT NULL, price INTEGER NOT NULL,
    available INTEGER NOT NULL);
CREATE TABLE orders (
    id TEXT PRIMARY KEY, user TEXT NOT NULL REFERENCES users, status TEXT NOT NULL, address TEXT NOT NULL,
    request TEXT NOT NULL);
CREATE INDEX orders_of_users ON orders (user);
CREATE TABLE order_items (
    "order" TEXT NOT NULL REFERENCES orders, place INTEGER NOT NULL, item TEXT NOT NULL REFERENCES items,
    price INTEGER NOT NULL, PRIMARY KEY ("order", place));
CREATE TABLE payments (
    "order" TEXT NOT NULL REFERENCES orders, place INTEGER NOT NULL, kind TEXT NOT NULL, amount INTEGER NOT NULL,
    method TEXT NOT NULL REFERENCES methods, PRIMARY KEY ("order", place));
CREATE TABLE conversations (
    id TEXT PRIMARY KEY, begun TEXT NOT NULL, user TEXT REFERENCES users, slots TEXT NOT NULL DEFAULT '{}',
    handed_over TEXT NOT NULL DEFAULT '');
CREATE TABLE messages (
    conversation TEXT NOT NULL REFERENCES conversations, place INTEGER NOT NULL, role TEXT NOT NULL, text TEXT NOT NULL,
    more TEXT NOT NULL, PRIMARY KEY (conversation, place));
CREATE TABLE proposals (
    id TEXT PRIMARY KEY, conversation TEXT NOT NULL REFERENCES conversations, command TEXT NOT NULL,
    arguments TEXT NOT NULL, details TEXT NOT NULL, digest TEXT NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL);
CREATE TABLE record (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, user TEXT NOT NULL REFERENCES users, command TEXT NOT NULL,
    arguments TEXT NOT NULL, details TEXT NOT NULL, proposal TEXT REFERENCES proposals, before TEXT NOT NULL,
    after TEXT NOT NULL, undoes INTEGER UNIQUE REFERENCES record);
CREATE TRIGGER record_stays BEFORE UPDATE ON record BEGIN SELECT RAISE(ABORT, 'the record can only be added to'); END;
CREATE TRIGGER record_is_kept BEFORE DELETE ON record BEGIN SELECT RAISE(ABORT, 'the record can only be added to'); END;
"""
WORLD = ("users", "methods", "products", "items", "orders", "order_items", "payments")
"""The tables that a command may change or read."""


def now() -> str:
    """The time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def open_store(path: str | Path, *, reading: bool = False) -> Iterator[Store]:
    """The store in a file, until the block ends; a missing file is created and filled, unless `reading`.

    Raises:
        UsageError: `reading`, and there is no such file.
        StoreError: the file is no shop's store, or cannot be opened or written.
    """
    path = Path(path)
    if reading and not path.is_file():
        raise UsageError(
            f"store must be a file that exists, and '{path}' does not. Make it with `groundup shop chat` or "
            "`groundup shop demo`, or name another file with --store."
        )
    try:
        # Several threads may use a connection that a server keeps open; a lock runs one statement at a time.
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
        connection.row_factory = sqlite3.Row
        store = Store(connection)
        try:
            store.prepare()
            yield store
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(
            f"store must be a file of `groundup shop` that can be read and written, and '{path}' could not be: "
            f"{error}. Free some space, or name another file with --store."
        ) from error


class Store:
    """The database. Every change goes through `transaction`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._lock = threading.RLock()

    def prepare(self) -> None:
        """Make the tables and fill them, unless they exist."""
        self.connection.execute("PRAGMA foreign_keys = ON")
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        if version == VERSION:
            return
        if version or self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise StoreError(
                f"store must be of version {VERSION} of `groundup shop`, and it is of {version or 'something else'}. "
                "Name another file with --store."
            )
        with self.transaction():
            for statement in _statements(SCHEMA):
                self.connection.execute(statement)
            _fill(self.connection)
            self.connection.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The whole block or nothing of it; no other process writes meanwhile."""
        with self._lock:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """The rows of a query."""
        with self._lock:
            return self.connection.execute(query, values).fetchall()

    def digest(self) -> str:
        """The SHA-256 of the world: equal for two stores with equal data."""
        hashed = hashlib.sha256()
        for table in WORLD:
            for row in sorted(tuple(row) for row in self.rows(f"SELECT * FROM {table}")):
                hashed.update(json.dumps([table, *row]).encode())
        return hashed.hexdigest()

    @property
    def about(self) -> str:
        """The source of customers, products and orders."""
        return str(self.rows("SELECT data FROM about")[0]["data"])

    # ── looking up ──────────────────────────────────────────────────────────────────────────────────────────────────
    def user(self, id: str) -> User | None:
        """The customer of this id."""
        return next(iter(self._users("id = ?", id)), None)

    def user_by_email(self, email: str) -> User | None:
        """The customer with this e-mail address."""
        return next(iter(self._users("email = ?", email.strip())), None)

    def user_by_name(self, first_name: str, last_name: str, zip: str) -> User | None:
        """The customer with this name and zip code; None where two have them."""
        users = self._users(
            "first_name = ? COLLATE NOCASE AND last_name = ? COLLATE NOCASE AND zip = ?",
            first_name.strip(), last_name.strip(), zip.strip(),
        )  # fmt: skip
        return users[0] if len(users) == 1 else None

    def _users(self, where: str, *values: str) -> list[User]:
        users = []
        for row in self.rows(f"SELECT * FROM users WHERE {where}", *values):
            methods = self.rows("SELECT * FROM methods WHERE user = ? ORDER BY id", row["id"])
            orders = self.rows("SELECT id FROM orders WHERE user = ? ORDER BY id", row["id"])
            users.append(
                User(
                    row["id"], row["first_name"], row["last_name"], row["email"], Address(**json.loads(row["address"])),
                    {m["id"]: Method(m["id"], m["source"], m["brand"], m["last_four"], m["balance"]) for m in methods},
                    tuple(order["id"] for order in orders),
                )
            )  # fmt: skip
        return users

    def order(self, id: str) -> Order | None:
        """The order of this id."""
        row = next(iter(self.rows("SELECT * FROM orders WHERE id = ?", id)), None)
        if row is None:
            return None
        items = self.rows(
            'SELECT items.*, products.name, order_items.price AS paid FROM order_items JOIN items ON items.id = item '
            'JOIN products ON products.id = product WHERE "order" = ? ORDER BY place', id,
        )  # fmt: skip
        payments = self.rows('SELECT * FROM payments WHERE "order" = ? ORDER BY place', id)
        return Order(
            row["id"], row["user"], row["status"], Address(**json.loads(row["address"])),
            tuple(_item(item, item["paid"]) for item in items),
            tuple(Payment(payment["kind"], payment["amount"], payment["method"]) for payment in payments),
            json.loads(row["request"]),
        )  # fmt: skip

    def item(self, id: str) -> Item | None:
        """The item of this id, as it is sold now."""
        rows = self.rows(f"{_ITEMS} WHERE items.id = ?", id)
        return _item(rows[0], rows[0]["price"]) if rows else None

    def product(self, id: str) -> Product | None:
        """The product of this id, with its variants."""
        rows = self.rows(f"{_ITEMS} WHERE product = ? ORDER BY items.id", id)
        return Product(id, rows[0]["name"], tuple(_item(row, row["price"]) for row in rows)) if rows else None

    def products(self) -> dict[str, str]:
        """The ids of all products, by name."""
        return {row["name"]: row["id"] for row in self.rows("SELECT * FROM products ORDER BY name")}

    # ── writing, within a transaction ───────────────────────────────────────────────────────────────────────────────
    def put_order(self, order: Order) -> None:
        """Write an order in the place of its older state."""
        write = self.connection.execute
        write('DELETE FROM order_items WHERE "order" = ?', (order.id,))
        write('DELETE FROM payments WHERE "order" = ?', (order.id,))
        write(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET status = excluded.status, "
            "address = excluded.address, request = excluded.request",
            (order.id, order.user_id, order.status, _json(asdict(order.address)), _json(order.request)),
        )
        self.connection.executemany(
            "INSERT INTO order_items VALUES (?, ?, ?, ?)",
            [(order.id, place, item.id, item.price) for place, item in enumerate(order.items)],
        )
        self.connection.executemany(
            "INSERT INTO payments VALUES (?, ?, ?, ?, ?)",
            [(order.id, place, p.kind, p.amount, p.method) for place, p in enumerate(order.payments)],
        )

    def put_address(self, user: str, address: Address) -> None:
        """Write a customer's own address."""
        self.connection.execute(
            "UPDATE users SET zip = ?, address = ? WHERE id = ?", (address.zip, _json(asdict(address)), user)
        )

    def add_to_balance(self, method: str, cents: int) -> None:
        """Add to a gift card; the database refuses a balance below 0."""
        self.connection.execute("UPDATE methods SET balance = balance + ? WHERE id = ?", (cents, method))


_ITEMS = "SELECT items.*, products.name FROM items JOIN products ON products.id = product"


def _item(row: sqlite3.Row, price: int) -> Item:
    return Item(row["id"], row["product"], row["name"], json.loads(row["options"]), price, bool(row["available"]))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _statements(script: str) -> Iterable[str]:
    """The statements of a script, for a transaction: `executescript` would commit it."""
    statement = ""
    for line in script.strip().splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


# ── the first day ───────────────────────────────────────────────────────────────────────────────────────────────────
def _fill(connection: sqlite3.Connection) -> None:
    """Write τ-bench's customers, products and orders."""
    from groundup.data import load

    sets = [load(f"tau_{name}") for name in ("users", "products", "orders")]
    users, products, orders = (json.loads(data.text) for data in sets)
    store = Store(connection)
    write = connection.execute
    write("INSERT INTO about VALUES (?)", ("; ".join(dict.fromkeys(data.provenance.label for data in sets)),))
    for id, user in users.items():
        write(
            "INSERT INTO users VALUES (?, ?, ?, ?, ?, ?)",
            (id, user["name"]["first_name"], user["name"]["last_name"], user["email"], user["address"]["zip"],
             _json(user["address"])),
        )  # fmt: skip
        for method in user["payment_methods"].values():
            write(
                "INSERT INTO methods VALUES (?, ?, ?, ?, ?, ?)",
                (method["id"], id, method["source"], method.get("brand", ""), method.get("last_four", ""),
                 _cents(method.get("balance", 0))),
            )  # fmt: skip
    for id, product in products.items():
        write("INSERT INTO products VALUES (?, ?)", (id, product["name"]))
        for variant in product["variants"].values():
            write(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?)",
                (variant["item_id"], id, json.dumps(variant["options"], ensure_ascii=False), _cents(variant["price"]),
                 int(variant["available"])),
            )  # fmt: skip
    for id, order in orders.items():
        items = [
            Item(i["item_id"], i["product_id"], i["name"], i["options"], _cents(i["price"])) for i in order["items"]
        ]
        payments = [
            Payment(p["transaction_type"], _cents(p["amount"]), p["payment_method_id"])
            for p in order["payment_history"]
        ]
        address = Address(**order["address"])
        store.put_order(Order(id, order["user_id"], order["status"], address, tuple(items), tuple(payments), {}))


def _cents(amount: float) -> int:
    return round(amount * 100)
