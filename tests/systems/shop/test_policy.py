"""Each rule of the policy that code can hold, by a command that breaks it and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from groundup.systems.shop import Forbidden, Store
from groundup.systems.shop.policy import Change, decide
from groundup.systems.shop.world import (
    CancelOrder,
    ChangeAddress,
    ChangeItems,
    ChangePayment,
    ChangeUserAddress,
    Command,
    ExchangeItems,
    Item,
    Order,
    ReturnItems,
    User,
    dollars,
)
from tests.systems.shop.conftest import card, customer

NOWHERE = {"address1": "1 Elm", "address2": "", "city": "Austin", "state": "TX", "country": "USA", "zip": "78001"}


def variant(store: Store, item: Item, *, available: bool = True) -> str:
    product = store.product(item.product_id)
    assert product is not None
    return next(other.id for other in product.items if other.available == available and other.id != item.id)


def refuses(rule: str, match: str, command: Command, user: User, store: Store) -> None:
    before = store.digest()
    with pytest.raises(Forbidden, match=match) as refused:
        decide(command, user, store)
    assert refused.value.rule == rule
    assert store.digest() == before


@pytest.mark.parametrize("status", ["delivered", "processed", "cancelled"])
def test_only_a_pending_order_is_cancelled_or_changed(store: Store, status: str) -> None:
    user, order = customer(store, status)
    item, method = order.items[0].id, order.paid_with
    for command in (
        CancelOrder(order.id, "no longer needed"), ChangeAddress(order.id, **NOWHERE),
        ChangePayment(order.id, card(user)), ChangeItems(order.id, (item,), (item,), method),
    ):  # fmt: skip
        refuses("status", f"must be an order that is pending .*'{order.id}' is {status}", command, user, store)


@pytest.mark.parametrize("status", ["pending", "processed", "cancelled", "return requested", "exchange requested"])
def test_only_a_delivered_order_is_returned_or_exchanged_and_that_once(store: Store, status: str) -> None:
    user, order = customer(store, "pending" if status.endswith("requested") else status)
    with store.transaction():
        store.put_order(replace(order, status=status))
    for command in (
        ReturnItems(order.id, (order.items[0].id,), order.paid_with),
        ExchangeItems(order.id, (order.items[0].id,), (order.items[0].id,), order.paid_with),
    ):
        refuses("status", f"must be an order that is delivered .* is {status}", command, user, store)


def test_items_are_changed_once_and_the_order_is_then_neither_changed_nor_cancelled(store: Store) -> None:
    user, order = customer(store, "pending", lambda user, order: all(item.available for item in order.items))
    command = ChangeItems(order.id, (order.items[0].id,), (variant(store, order.items[0]),), order.paid_with)
    change = decide(command, user, store)
    assert change.order is not None
    with store.transaction():
        store.put_order(change.order)
    for again in (command, CancelOrder(order.id, "no longer needed"), ChangeAddress(order.id, **NOWHERE)):
        refuses("status", r"is pending \(items modified\)", again, user, store)


def test_nobody_touches_or_learns_of_the_order_of_another(store: Store) -> None:
    user, own = customer(store, "pending")
    _, other = customer(store, "pending", lambda user, order: user.id != own.user_id)
    said = []
    for id in (other.id, "#W0000000"):
        with pytest.raises(Forbidden, match="must be one of the customer's own orders") as refused:
            decide(CancelOrder(id, "no longer needed"), user, store)
        said.append(str(refused.value).replace(id, ""))
    assert said[0] == said[1], "an order that is another's is told from one that is none"


def test_the_reason_is_one_of_two(store: Store) -> None:
    user, order = customer(store, "pending")
    refuses("reason", "reason must be 'no longer needed' or 'ordered by mistake', got 'bored'",
            CancelOrder(order.id, "bored"), user, store)  # fmt: skip


def test_a_cancelled_order_is_refunded_to_the_method_that_paid(store: Store) -> None:
    user, order = customer(store, "pending")
    change = decide(CancelOrder(order.id, "ordered by mistake"), user, store)
    assert change.order is not None
    refund = change.order.payments[-1]
    assert (refund.kind, refund.amount, refund.method) == ("refund", order.total, order.paid_with)
    assert change.order.status == "cancelled"
    assert change.order.request == {"reason": "ordered by mistake"}
    assert "within 5 to 7 business days" in change.details[-1]
    paid = replace(order, payments=(replace(order.payments[0], method=card(user)),))
    with store.transaction():
        store.put_order(paid)
    change = decide(CancelOrder(order.id, "ordered by mistake"), user, store)
    assert change.balances == {card(user): order.total}
    assert "at once" in change.details[-1]


def poor(user: User, order: Order) -> bool:
    return user.methods[card(user)].balance < order.total


def rich(user: User, order: Order) -> bool:
    return not poor(user, order)


def test_another_payment_method_is_ones_own_differs_and_covers_the_total(store: Store) -> None:
    user, order = customer(store, "pending", poor)
    refuses("own method", "must be in the customer's profile, got 'paypal_1'", ChangePayment(order.id, "paypal_1"),
            user, store)  # fmt: skip
    refuses(
        "another method", "must differ from the original one", ChangePayment(order.id, order.paid_with), user, store
    )
    refuses("balance", f"must have .*{dollars(order.total)[1:]} left", ChangePayment(order.id, card(user)), user, store)
    user, order = customer(store, "pending", rich)
    change = decide(ChangePayment(order.id, card(user)), user, store)
    assert change.balances == {card(user): -order.total}
    assert change.order is not None
    assert change.order.status == "pending"
    assert [payment.kind for payment in change.order.payments] == ["payment", "payment", "refund"]
    with store.transaction():
        store.put_order(change.order)
    refuses("one payment", "must be an order with one payment, and .* has 3", ChangePayment(order.id, card(user)), user,
            store)  # fmt: skip


@pytest.mark.parametrize(("kind", "status"), [(ChangeItems, "pending"), (ExchangeItems, "delivered")])
def test_an_item_becomes_another_available_option_of_the_same_product(
    store: Store, kind: Callable[..., Command], status: str
) -> None:
    user, order = customer(store, status)
    item = order.items[0]
    foreign = next(id for id in store.products().values() if id != item.product_id)
    product = store.product(foreign)
    assert product is not None

    def swap(old: tuple[str, ...], new: tuple[str, ...], method: str = order.paid_with) -> Command:
        return kind(order.id, old, new, method)

    refuses("same product", f"must be variants of {item.name}", swap((item.id,), (product.items[0].id,)), user, store)
    refuses("same product", "got '0000000000'", swap((item.id,), ("0000000000",)), user, store)
    refuses("another option", "must differ", swap((item.id,), (item.id,)), user, store)
    gone = variant(store, item, available=False)
    refuses("available", f"must be available, and '{gone}' is not", swap((item.id,), (gone,)), user, store)
    refuses("one for one", "one item for each of the 1 in item_ids, got 0", swap((item.id,), ()), user, store)
    refuses("own items", "must name an item", swap((), ()), user, store)
    refuses("own items", r"must be in order .*, got '1'", swap(("1",), ("2",)), user, store)
    there = [other.id for other in order.items].count(item.id) + 1
    refuses("own items", f"got '{item.id}'", swap((item.id,) * there, (gone,) * there), user, store)
    refuses(
        "own method", "must be in the customer's profile", swap((item.id,), (variant(store, item),), "x"), user, store
    )


def test_a_gift_card_covers_the_difference_in_price(store: Store) -> None:
    def dearer(order: Order) -> tuple[str, str] | None:
        for item in order.items:
            product = store.product(item.product_id)
            assert product is not None
            for other in product.items:
                if other.available and other.price > item.price:
                    return item.id, other.id
        return None

    user, order = customer(store, "pending", lambda user, order: dearer(order) is not None)
    swap = dearer(order)
    assert swap is not None
    command = ChangeItems(order.id, swap[:1], swap[1:], card(user))
    with store.transaction() as connection:
        connection.execute("UPDATE methods SET balance = 0 WHERE id = ?", (card(user),))
    poor = store.user(user.id)
    assert poor is not None
    refuses("balance", r"and gift_card_\d+ has \$0\.00", command, poor, store)
    change = decide(ChangeItems(order.id, swap[:1], swap[1:], order.paid_with), user, store)
    assert change.order is not None
    assert change.order.payments[-1].amount == change.order.total - order.total
    assert change.balances == {}


def test_a_return_is_refunded_to_the_original_method_or_a_gift_card(store: Store) -> None:
    user, order = customer(store, "delivered", lambda user, order: len(user.methods) == 3)
    items = (order.items[0].id,)
    paypal = next(id for id in user.methods if id.startswith("paypal"))
    refuses("refund method", f"must be the original one, '{order.paid_with}', or a gift card, got '{paypal}'",
            ReturnItems(order.id, items, paypal), user, store)  # fmt: skip
    for method in (order.paid_with, card(user)):
        change: Change = decide(ReturnItems(order.id, items, method), user, store)
        assert change.order is not None
        assert change.order.status == "return requested"
        assert change.order.request == {"items": [*items], "method": method}
        assert change.balances == {}, "the money goes when the items are back"


def test_an_address_is_whole(store: Store) -> None:
    user, order = customer(store, "pending")
    for name in ("address1", "city", "state", "country", "zip"):
        refuses("address", f"{name} must say something", ChangeAddress(order.id, **{**NOWHERE, name: " "}), user, store)
    refuses("address", "city must have at most 100 characters, got 101",
            ChangeUserAddress(**{**NOWHERE, "city": "x" * 101}), user, store)  # fmt: skip
    change = decide(ChangeUserAddress(**NOWHERE), user, store)
    assert change.address is not None
    assert change.order is None
