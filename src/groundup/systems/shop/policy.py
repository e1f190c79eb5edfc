"""The shop's policy as code: the effect of a command, or the rule that forbids it. Nothing here changes anything.

    change = decide(CancelOrder("#W5918442", "no longer needed"), user, world)
    change.details      # the lines that a customer is shown, and must say yes to
    change.order        # the order as it would be

The rules are those of τ-bench's retail policy (Yao et al., 2024). `desk` knows conversations, and holds the rules of
confirmation and of one customer for each conversation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Protocol

from groundup.errors import UsageError
from groundup.systems.shop.world import (
    CANCELLED,
    CHANGED,
    DELIVERED,
    EXCHANGE,
    PENDING,
    REASONS,
    RETURN,
    Address,
    CancelOrder,
    ChangeAddress,
    ChangeItems,
    ChangePayment,
    ChangeUserAddress,
    Command,
    ExchangeItems,
    Item,
    Method,
    Order,
    Payment,
    ReturnItems,
    User,
    dollars,
)


class Forbidden(UsageError):
    """A command that the policy forbids; `rule` is the name of the rule."""

    def __init__(self, rule: str, message: str) -> None:
        self.rule = rule
        super().__init__(message)


class World(Protocol):
    """The data that a decision looks up."""

    def order(self, id: str) -> Order | None:
        """The order of this id."""
        ...

    def item(self, id: str) -> Item | None:
        """The item of this id, as it is sold now."""
        ...


@dataclass(frozen=True)
class Change:
    """The effect of a command.

    Attributes:
        details: the lines that a customer must agree to.
        order: the order as it will be; None where no order changes.
        address: the customer's own address as it will be; None where it stays.
        balances: the amounts added to gift cards, in cents.
    """

    details: tuple[str, ...]
    order: Order | None = None
    address: Address | None = None
    balances: Mapping[str, int] = field(default_factory=dict)


def decide(command: Command, user: User, world: World) -> Change:
    """The effect of a command of this customer.

    Raises:
        Forbidden: a rule of the policy does not allow it.
    """
    if isinstance(command, ChangeUserAddress):
        address = _address(command)
        return Change((f"Change your own address to: {address}", "Your orders keep theirs."), address=address)
    order = world.order(command.order_id)
    if order is None or order.user_id != user.id:  # one message, so that nobody learns of other customers' orders
        raise Forbidden(
            "own order", f"order_id must be one of the customer's own orders, got '{command.order_id}'. "
            f"There are: {', '.join(user.orders) or 'none'}.",
        )  # fmt: skip
    match command:
        case CancelOrder():
            return _cancel(command, order, user)
        case ChangeAddress():
            _must_be(order, PENDING, "change its address")
            address = _address(command)
            return Change((f"Send order {order.id} to: {address}",), replace(order, address=address))
        case ChangePayment():
            return _change_payment(command, order, user)
        case ReturnItems():
            return _return(command, order, user)
        case ChangeItems() | ExchangeItems():
            return _swap(command, order, user, world)


# ── each command ────────────────────────────────────────────────────────────────────────────────────────────────────
def _cancel(command: CancelOrder, order: Order, user: User) -> Change:
    _must_be(order, PENDING, "cancel it")
    if command.reason not in REASONS:
        raise Forbidden(
            "reason", f"reason must be '{REASONS[0]}' or '{REASONS[1]}', got '{command.reason}'. Ask the customer."
        )
    paid: Counter[str] = Counter()
    for payment in order.payments:
        paid[payment.method] += payment.amount if payment.kind == "payment" else -payment.amount
    refunds = tuple(Payment("refund", amount, method) for method, amount in paid.items() if amount > 0)
    details = [f"Cancel order {order.id} ({dollars(order.total)}). Reason: {command.reason}."]
    details += [_refunded(user.methods[refund.method], refund.amount) for refund in refunds]
    after = replace(order, status=CANCELLED, payments=(*order.payments, *refunds), request={"reason": command.reason})
    return Change(tuple(details), after, balances=_to_cards(user, {r.method: r.amount for r in refunds}))


def _change_payment(command: ChangePayment, order: Order, user: User) -> Change:
    _must_be(order, PENDING, "change its payment")
    method = _method(command.payment_method_id, user)
    if len(order.payments) != 1:
        raise Forbidden(
            "one payment", f"order_id must be an order with one payment, and '{order.id}' has {len(order.payments)}. "
            "Hand the customer over to a person.",
        )  # fmt: skip
    (payment,) = order.payments
    if payment.method == method.id:
        raise Forbidden(
            "another method", f"payment_method_id must differ from the original one, got '{method.id}' again. "
            f"{_others(user, method.id)}",
        )  # fmt: skip
    _must_cover(method, payment.amount)
    after = (payment, Payment("payment", payment.amount, method.id), Payment("refund", payment.amount, payment.method))
    details = (
        f"Pay order {order.id} ({dollars(payment.amount)}) with {method}.",
        _refunded(user.methods[payment.method], payment.amount),
    )
    balances = _to_cards(user, {method.id: -payment.amount, payment.method: payment.amount})
    return Change(details, replace(order, payments=after), balances=balances)


def _return(command: ReturnItems, order: Order, user: User) -> Change:
    _must_be(order, DELIVERED, "return its items")
    items = _items(command.item_ids, order)
    method = _method(command.payment_method_id, user)
    if method.id != order.paid_with and method.source != "gift_card":
        raise Forbidden(
            "refund method", f"payment_method_id must be the original one, '{order.paid_with}', or a gift card, got "
            f"'{method.id}'. Ask the customer which.",
        )  # fmt: skip
    total = sum(item.price for item in items)
    details = (
        f"Return of order {order.id}:",
        *(f"- {item}" for item in items),
        f"{dollars(total)} go to {method} once the items are back. An e-mail says how to send them.",
    )
    request = {"items": sorted(item.id for item in items), "method": method.id}
    return Change(details, replace(order, status=RETURN, request=request))


def _swap(command: ChangeItems | ExchangeItems, order: Order, user: User, world: World) -> Change:
    """Other variants for items, before delivery or after it."""
    delivered = isinstance(command, ExchangeItems)
    _must_be(order, DELIVERED if delivered else PENDING, "exchange its items" if delivered else "change its items")
    old = _items(command.item_ids, order)
    if len(command.new_item_ids) != len(old):
        raise Forbidden(
            "one for one", f"new_item_ids must have one item for each of the {len(old)} in item_ids, got "
            f"{len(command.new_item_ids)}. Ask the customer for the others.",
        )  # fmt: skip
    new = [_new_item(id, before, world) for id, before in zip(command.new_item_ids, old, strict=True)]
    method = _method(command.payment_method_id, user)
    difference = sum(item.price for item in new) - sum(item.price for item in old)
    _must_cover(method, difference)
    details = [f"{'Exchange' if delivered else 'Change'} in order {order.id}, once and for all its items:"]
    details += [f"- {before} → {after}" for before, after in zip(old, new, strict=True)]
    if difference:
        details.append(f"{dollars(abs(difference))} {'come from' if difference > 0 else 'go to'} {method}.")
    if delivered:
        details.append("An e-mail says how to send the items back. There is no need for a new order.")
        request = {
            "items": sorted(item.id for item in old), "new_items": sorted(item.id for item in new),
            "method": method.id, "difference": difference,
        }  # fmt: skip
        return Change(tuple(details), replace(order, status=EXCHANGE, request=request))
    details.append("The order can then neither be changed nor cancelled any more.")
    items = list(order.items)
    for before, after in zip(old, new, strict=True):
        items[items.index(before)] = after
    payments = order.payments
    if difference:
        payments = (*payments, Payment("payment" if difference > 0 else "refund", abs(difference), method.id))
    after = replace(order, status=CHANGED, items=tuple(items), payments=payments)
    return Change(tuple(details), after, balances=_to_cards(user, {method.id: -difference}))


# ── rules that several commands share ─────────────────────────────────────────────────────────────────────────────────
def _must_be(order: Order, status: str, to: str) -> None:
    if order.status != status:
        raise Forbidden(
            "status", f"order_id must be an order that is {status} to {to}, and '{order.id}' is {order.status}. "
            "Nothing can be done about it here.",
        )  # fmt: skip


def _method(id: str, user: User) -> Method:
    if id not in user.methods:
        raise Forbidden(
            "own method", f"payment_method_id must be in the customer's profile, got '{id}'. {_others(user)}"
        )
    return user.methods[id]


def _others(user: User, but: str = "") -> str:
    methods = [str(method) for method in user.methods.values() if method.id != but]
    return f"There is: {', '.join(methods)}." if methods else "There is no other one."


def _must_cover(method: Method, amount: int) -> None:
    if method.source == "gift_card" and method.balance < amount:
        raise Forbidden(
            "balance", f"payment_method_id must have {dollars(amount)} left, and {method.id} has "
            f"{dollars(method.balance)}. Ask for another method.",
        )  # fmt: skip


def _items(ids: Sequence[str], order: Order) -> list[Item]:
    """The named items of an order; an item that is named twice must be in it twice."""
    if not ids:
        raise Forbidden("own items", f"item_ids must name an item of order '{order.id}', got none. Ask which.")
    ordered: dict[str, list[Item]] = {}
    for item in order.items:
        ordered.setdefault(item.id, []).append(item)
    named: list[Item] = []
    for id in ids:
        if not ordered.get(id):
            known = ", ".join(f"{item.id} ({item.name})" for item in order.items)
            raise Forbidden("own items", f"item_ids must be in order '{order.id}', got '{id}'. There are: {known}.")
        named.append(ordered[id].pop())
    return named


def _new_item(id: str, old: Item, world: World) -> Item:
    new = world.item(id)
    if new is None or new.product_id != old.product_id:
        raise Forbidden(
            "same product", f"new_item_ids must be variants of {old.name}, as '{old.id}' is, got '{id}'. "
            "Look the product up.",
        )  # fmt: skip
    if new.id == old.id:
        raise Forbidden("another option", f"new_item_ids must differ from the items they replace, got '{id}' again.")
    if not new.available:
        raise Forbidden("available", f"new_item_ids must be available, and '{id}' is not. Look for another variant.")
    return new


def _address(command: ChangeAddress | ChangeUserAddress) -> Address:
    values = {part.name: " ".join(str(getattr(command, part.name)).split()) for part in fields(Address)}
    for name, value in values.items():
        if not value and name != "address2":
            raise Forbidden("address", f"{name} must say something, got ''. Ask the customer for the whole address.")
        if len(value) > 100:
            raise Forbidden("address", f"{name} must have at most 100 characters, got {len(value)}. Shorten it.")
    return Address(**values)


def _refunded(method: Method, amount: int) -> str:
    when = "at once" if method.source == "gift_card" else "within 5 to 7 business days"
    return f"{dollars(amount)} go back to {method} {when}."


def _to_cards(user: User, amounts: Mapping[str, int]) -> dict[str, int]:
    """The amounts that change the balance of a gift card."""
    return {id: cents for id, cents in amounts.items() if cents and user.methods[id].source == "gift_card"}
