"""The embedded clerk: without a language model, it asks for missing facts, proposes, and never guesses.

The router gives the intent of a message; `reading` takes the facts from it. The clerk asks for the missing facts, one
at a time. Every look-up and every proposal goes through the tools that a model would use.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

from groundup.systems.shop.reading import Read, has, items_of, method_of, read, variants_of
from groundup.systems.shop.routing import Intent, Route
from groundup.systems.shop.tools import Tools
from groundup.systems.shop.world import DELIVERED, PENDING, REASONS, Item, Order, User, dollars

TITLES: dict[Intent, str] = {
    "cancel_order": "cancel an order", "change_address": "change an address",
    "change_items": "change items of an order", "change_payment": "pay with another method",
    "exchange_items": "exchange items", "hand_over": "talk to a person",
    "other_service": "ask something about your account", "outside": "ask about something else",
    "policy_question": "know the shop's rules", "product_question": "know about a product",
    "return_items": "return items", "track_order": "look at an order",
}  # fmt: skip
STATUS: dict[str, tuple[str, ...]] = {
    "cancel_order": (PENDING,), "change_address": (PENDING,), "change_payment": (PENDING,),
    "change_items": (PENDING,), "return_items": (DELIVERED,), "exchange_items": (DELIVERED,), "track_order": (),
}  # fmt: skip
"""The status that an order must have; an empty tuple means any status."""
ABOUT_ORDERS = frozenset(STATUS)
ONCE = "This can be done once for an order, so name all of its items that it is about."


@dataclass(frozen=True)
class Turn:
    """The clerk's words; `asks` names the missing fact, and is empty if none is missing."""

    text: str
    asks: str = ""


class Missing(Exception):
    """A fact that the customer must give; `asks` is its name."""

    def __init__(self, asks: str, question: str) -> None:
        self.asks, self.question = asks, question


class Clerk:
    """The clerk in one conversation, with the facts so far.

    Args:
        tools: the conversation's tools.
        slots: the facts of earlier messages, as plain data.
    """

    def __init__(self, tools: Tools, slots: dict[str, Any]) -> None:
        self.tools, self.slots = tools, slots
        self.store, self.desk = tools.desk.store, tools.desk

    def waits(self, message: str, route: Route) -> bool:
        """Whether a message answers the clerk's question, and does not begin something of its own."""
        asks = str(self.slots.get("asks", ""))
        if not asks or self._holds(asks, message):
            return bool(asks)
        return not (route.sure and route.intent != self.slots.get("intent") and _asks_anew(message))

    def _holds(self, asks: str, message: str) -> bool:
        """Whether a message holds the fact that was asked for."""
        facts = read(message)
        user = self.desk.user(self.tools.conversation)
        match asks.split()[0]:
            case "identity":
                return bool(facts.email or (facts.name and facts.zip))
            case "order":
                return bool(facts.orders)
            case "reason":
                return bool(facts.reason)
            case "address":
                return facts.address is not None
            case "method":
                return user is not None and method_of(message, list(user.methods.values())) is not None
            case _:  # items: only the order tells which of them are meant
                return bool(facts.items)

    def unsure(self, message: str, route: Route) -> Turn:
        """Ask back which of two intents is meant."""
        self.slots.clear()
        self.slots.update(options=[route.intent, route.second], said=message)
        first, second = TITLES[route.intent], TITLES[route.second]
        return Turn(f"Do you want to {first}, or to {second}? Answer 1 or 2, or say it in other words.", "intent")

    def chosen(self, message: str) -> tuple[Intent, str] | None:
        """The intent that an answer to `unsure` means, and the message in question."""
        options = cast(list[Intent], self.slots.get("options", []))
        plain = message.strip(" .!").lower()
        for place, intent in enumerate(options, 1):
            if plain in (str(place), TITLES[intent]):
                return intent, str(self.slots["said"])
        return None

    def say(self, message: str, route: Route) -> Turn:
        """Go on with a message."""
        if not self.waits(message, route):
            self.slots.clear()
            self.slots["intent"] = route.intent
        self.slots["said"] = f"{self.slots.get('said', '')}\n{message}".strip()[-4000:]
        facts, intent = read(message), cast(Intent, self.slots["intent"])
        try:
            text = self._orders(intent, facts, message) if intent in ABOUT_ORDERS else self._other(intent, message)
        except Missing as missing:
            self.slots["asks"] = missing.asks
            return Turn(missing.question, missing.asks)
        self.slots.clear()
        return Turn(text)

    def _other(self, intent: Intent, message: str) -> str:
        self.tools.call("hand_over", summary=f"{TITLES[intent]}: {message}")
        if intent == "hand_over":
            return "I hand you over to a person, who will read this conversation."
        return "I cannot do that here. I hand you over to a person, who will read this conversation."

    # ── who it is ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _user(self, facts: Read) -> User:
        """The customer whom the message identifies; nobody else's orders are looked at."""
        if facts.email:
            return self._identified("find_user_by_email", email=facts.email)
        user = self.desk.user(self.tools.conversation)
        if user is None and facts.name and facts.zip:
            first, last = facts.name
            return self._identified("find_user_by_name", first_name=first, last_name=last, zip=facts.zip)
        if user is None:
            raise Missing("identity", "Who are you? Tell me your e-mail address, or your name and zip code.")
        return user

    def _identified(self, tool: str, **who: str) -> User:
        result = self.tools.call(tool, **who)
        user = self.desk.user(self.tools.conversation)
        if result.startswith("Error: "):
            if self.tools.refused and self.tools.refused.rule == "one customer":
                raise Missing("identity", "This conversation is about another customer. Begin a new one, please.")
            raise Missing(
                "identity", "I find nobody of that name or address. Tell me your e-mail, or name and zip code."
            )
        assert user is not None
        return user

    # ── orders ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _orders(self, intent: Intent, facts: Read, message: str) -> str:
        user = self._user(facts)
        if intent == "change_address" and _own_address(self.slots["said"]):
            return self._proposed("change_user_address", **self._address())
        order = self._order(intent, user)
        if intent == "track_order":
            return _described(order)
        # Customers use the same words before delivery and after it: the order's status decides.
        if intent == "change_items" and order.status == DELIVERED:
            intent = "exchange_items"
        elif intent == "exchange_items" and order.status == PENDING:
            intent = "change_items"
        if order.status not in STATUS[intent]:
            return (
                f"That is not possible: order {order.id} is {order.status}, and you can only {TITLES[intent]} while it "
                f"is {STATUS[intent][0]}. Nothing was changed."
            )
        arguments: dict[str, Any] = {"order_id": order.id}
        match intent:
            case "cancel_order":
                arguments["reason"] = self._kept("reason", read(self.slots["said"]).reason, self._ask_reason)
            case "change_address":
                arguments |= self._address()
            case "change_payment":
                arguments["payment_method_id"] = self._method(user, order, message, refund=False)
            case "return_items":
                arguments["item_ids"] = [item.id for item in self._items(order, message)]
                arguments["payment_method_id"] = self._method(user, order, message, refund=True)
            case _:
                old = self._items(order, message)
                arguments["item_ids"] = [item.id for item in old]
                arguments["new_item_ids"] = self._new_items(old, message)
                arguments["payment_method_id"] = self._method(user, order, message, refund=None)
        return self._proposed(intent, **arguments)

    def _proposed(self, tool: str, **arguments: Any) -> str:
        """Propose; the clerk's caller shows the details and the question."""
        result = self.tools.call(tool, **arguments)
        if result.startswith("Error: "):
            return f"That is not possible. {result.removeprefix('Error: ')}"
        return ONCE if tool in ("change_items", "exchange_items", "return_items") else ""

    def _kept(self, slot: str, value: Any, ask: Callable[[], Missing]) -> Any:
        """A value from this message or an earlier one; the clerk asks for a missing value."""
        if value:
            self.slots[slot] = value
        if not self.slots.get(slot):
            raise ask()
        return self.slots[slot]

    def _ask_reason(self) -> Missing:
        return Missing("reason", f"Why? The order can be cancelled because it is {REASONS[0]} or was {REASONS[1]}.")

    def _order(self, intent: Intent, user: User) -> Order:
        """The order in question: by its number, by a product that it alone has, or the customer's only order."""
        orders = [order for id in user.orders if (order := self.store.order(id))]
        allowed = STATUS[intent]
        fitting = [order for order in orders if not allowed or order.status in allowed]
        named = [order for order in fitting if any(has(self.slots["said"], item.name) for item in order.items)]
        likely, numbers = named or fitting, read(self.slots["said"]).orders
        certain = named if len(named) == 1 else orders if len(orders) == 1 else []
        id = numbers[-1] if numbers else certain[0].id if certain else None
        if id is None:
            listed = "; ".join(f"{order.id} ({order.status}): {_names(order)}" for order in likely or orders)
            raise Missing("order", f"Which order? {listed or 'You have none.'}")
        order = self.store.order(id)
        if self.slots.get("order") != id and self.tools.call("order_details", order_id=id).startswith("Error: "):
            raise Missing("order", f"{id} is no order of yours. Yours are: {', '.join(user.orders)}.")
        assert order is not None
        self.slots["order"] = id
        return order

    def _items(self, order: Order, message: str) -> list[Item]:
        items = items_of(self.slots["said"] if "items" not in self.slots else message, order.items)
        if not items and len(order.items) == 1:
            items = list(order.items)
        ids = self._kept("items", [item.id for item in items] if "items" not in self.slots else None, lambda: Missing(
            "items", f"Which items? In the order are: {'; '.join(map(str, order.items))}."
        ))  # fmt: skip
        by_id = {item.id: item for item in order.items}
        return [by_id[id] for id in ids]

    def _new_items(self, old: list[Item], message: str) -> list[str]:
        chosen: dict[str, str] = self.slots.setdefault("new", {})
        for item in old:
            if item.id in chosen:
                continue
            result = self.tools.call("product_details", product_id=item.product_id)
            product = self.store.product(item.product_id)
            assert product is not None, result
            waiting = self.slots.get("asks") == f"new {item.id}"
            variants = variants_of(message if waiting else self.slots["said"], item, product)
            if len(variants) != 1:
                offered = variants or [sold for sold in product.items if sold.available and sold.id != item.id]
                listed = "; ".join(map(str, offered[:8]))
                raise Missing(f"new {item.id}", f"What instead of {item}? There is: {listed or 'nothing else'}.")
            chosen[item.id] = variants[0].id
        return [chosen[item.id] for item in old]

    def _method(self, user: User, order: Order, message: str, *, refund: bool | None) -> str:
        """The payment method in question; the purpose limits the choice."""
        methods = list(user.methods.values())
        if refund:
            methods = [method for method in methods if method.id == order.paid_with or method.source == "gift_card"]
        elif refund is False:
            methods = [method for method in methods if method.id != order.paid_with]
        waiting = self.slots.get("asks") == "method"
        text = message if waiting else self.slots["said"]
        if has(text, "original"):
            chosen = next((method for method in methods if method.id == order.paid_with), None)
        else:
            chosen = methods[0] if len(methods) == 1 else method_of(text, methods)
        return self._kept("method", chosen and chosen.id, lambda: Missing(
            "method", f"Which payment method? There is: {'; '.join(map(str, methods)) or 'no other one'}."
        ))  # fmt: skip

    def _address(self) -> dict[str, str]:
        address = read(self.slots["said"]).address
        return self._kept("address", address and asdict(address), lambda: Missing(
            "address", "To which address? For example: 12 Main Street, Suite 3, Denver, CO 80279."
        ))  # fmt: skip


def _asks_anew(message: str) -> bool:
    """Whether a message is more than a value: it has four words or more that are no number, name or address."""
    return len([word for word in message.split() if word.isalpha() and word.islower()]) >= 4


def _own_address(text: str) -> bool:
    return any(has(text, words) for words in ("my own address", "default address", "profile address", "home address"))


def _names(order: Order) -> str:
    return ", ".join(item.name for item in order.items)


def _described(order: Order) -> str:
    """An order in words."""
    return "\n".join(_lines(order))


def _lines(order: Order) -> Iterator[str]:
    yield f"Order {order.id} is {order.status}. It goes to {order.address}."
    for item in order.items:
        yield f"- {item}"
    for payment in order.payments:
        yield f"{'Paid' if payment.kind == 'payment' else 'Refunded'}: {dollars(payment.amount)}, {payment.method}."
    if order.request:
        yield f"Asked for: {json.dumps(order.request)}."
