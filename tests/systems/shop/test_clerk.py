"""The embedded clerk: it asks for what is missing, shows what it would do, and does it at a yes alone."""

from __future__ import annotations

import pytest

from groundup.errors import UnknownName, UsageError
from groundup.systems.shop import Shop, Store
from groundup.systems.shop.reading import consent, items_of, method_of, read, variants_of
from groundup.systems.shop.shop import LONGEST, OUTSIDE
from groundup.systems.shop.world import Item, Product
from tests.systems.shop.conftest import Says, card, customer

BLUE = Item("1000000001", "9", "T-Shirt", {"color": "blue", "size": "M"}, 1000)
RED = Item("1000000002", "9", "T-Shirt", {"color": "red", "size": "M"}, 1100)
LARGE = Item("1000000003", "9", "T-Shirt", {"color": "blue", "size": "L"}, 1200)
LAMP = Item("1000000004", "8", "Desk Lamp", {"color": "silver"}, 1300)


# ── what stands in a message ────────────────────────────────────────────────────────────────────────────────────────
def test_only_what_stands_in_a_message_is_taken() -> None:
    said = read("I'm Noah Brown from 80279: cancel W7678072 please, it was a mistake. Mail: noah.b+1@example.com.")
    assert (said.email, said.name, said.zip) == ("noah.b+1@example.com", ("Noah", "Brown"), "80279")
    assert (said.orders, said.reason) == (("#W7678072",), "ordered by mistake")
    assert read("cancel it").orders == ()
    assert read("gift_card_1725971 and item 1000000001").items == ("1000000001",)
    address = read("to 12 Main Street, Suite 3, Denver, CO 80279").address
    assert str(address) == "12 Main Street, Suite 3, Denver, CO 80279, USA"
    assert read("somewhere in Denver").address is None


@pytest.mark.parametrize("text", ["yes", "Yes!", " YES, please. ", "I confirm", "yes, do it", "Y"])
def test_a_plain_yes_is_one(text: str) -> None:
    assert consent(text) is True


@pytest.mark.parametrize(
    "text", ["yes but only one of them", "not yes", "would you say yes?", "sure", "ok", "yes no", "", "yesterday"]
)
def test_anything_more_is_no_yes(text: str) -> None:
    assert consent(text) is not True


def test_items_and_variants_are_those_that_are_named() -> None:
    there = [BLUE, RED, LAMP]
    assert items_of("the red t-shirt", there) == [RED]
    assert items_of("both T-Shirts", there) == [BLUE, RED]
    assert items_of("everything", there) == there
    assert items_of("1000000004", there) == [LAMP]
    assert items_of("the kettle", there) == []
    product = Product("9", "T-Shirt", (BLUE, RED, LARGE))
    assert variants_of("the red one instead of the blue one", BLUE, product) == [RED]
    assert variants_of("a larger one, L please", BLUE, product) == [LARGE]
    assert variants_of("something else", BLUE, product) == []


def test_a_payment_method_that_may_be_one_of_two_is_asked_for(store: Store) -> None:
    user, _ = customer(store, "pending")
    methods = list(user.methods.values())
    assert method_of("my gift card", methods) == user.methods[card(user)]
    assert method_of("a card of mine", methods) is None
    assert method_of("the gift card or the credit card", methods) is None


# ── conversations ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_an_order_is_cancelled_step_by_step(store: Store, talk) -> None:
    user, order = customer(store, "pending")
    replies = talk("cancel_order", "Cancel an order of mine", user.email, order.id, "I no longer need it", "yes")
    assert replies[0].asks == "identity"
    assert replies[-2].proposal.command == "cancel_order"
    assert replies[-2].proposal.arguments == {"order_id": order.id, "reason": "no longer needed"}
    assert all(line in replies[-2].text for line in replies[-2].proposal.details)
    assert replies[-1].entry.details == replies[-2].proposal.details
    after = store.order(order.id)
    assert after is not None
    assert after.status == "cancelled"


def test_the_order_that_was_named_first_is_the_one_that_is_meant(store: Store, talk) -> None:
    def two(user, order) -> bool:
        statuses = [found.status for id in user.orders if (found := store.order(id))]
        return statuses.count("pending") == 1 and len(statuses) == 2

    user, pending = customer(store, "pending", two)
    named = next(id for id in user.orders if id != pending.id)
    for message in (f"Cancel {named}", f"Cancel order {named}, it was a mistake"):
        _, reply = talk("cancel_order", message, user.email)
        assert reply.proposal is None, "the other order would be cancelled"
        assert f"order {named} is" in reply.text


def test_of_several_orders_none_is_taken_that_was_not_named(store: Store, talk) -> None:
    user, order = customer(store, "pending", lambda user, order: len(user.orders) == 2)
    message = "Cancel an order, I no longer need it"
    _, reply = talk("cancel_order", message, user.email)
    assert (reply.asks, reply.proposal) == ("order", None), "there may be but one that can be cancelled"
    assert order.id in reply.text
    _, reply = talk("cancel_order", f"{message}: the {order.items[0].name}", user.email)
    named = [id for id in user.orders if (o := store.order(id)) and o.status == "pending"
             and any(item.name == order.items[0].name for item in o.items)]  # fmt: skip
    assert (reply.proposal is not None) == (len(named) == 1)


@pytest.mark.parametrize("answer", ["no", "What does a lamp cost?", "yes, and cancel the other one too"])
def test_without_a_plain_yes_nothing_is_done_and_a_later_yes_is_to_nothing(store: Store, answer: str) -> None:
    user, order = customer(store, "pending")
    shop, before = Shop(store, router=Says("cancel_order")), store.digest()
    conversation = shop.desk.begin()
    for message in (f"cancel {order.id}, it was a mistake", user.email):
        reply = shop.say(conversation, message)
    assert reply.proposal is not None
    shop.router = Says("outside")
    shop.say(conversation, answer)
    assert shop.desk.waiting(conversation) is None
    assert shop.say(conversation, "yes").entry is None
    assert store.digest() == before


def test_a_yes_that_the_policy_forbids_by_now_is_told(store: Store) -> None:
    user, order = customer(store, "pending")
    shop = Shop(store, router=Says("cancel_order"))
    first, second = shop.desk.begin(), shop.desk.begin()
    for conversation in (first, second):
        for message in (f"cancel {order.id}, it was a mistake", user.email):
            shop.say(conversation, message)
    assert shop.say(first, "yes").entry is not None
    reply = shop.say(second, "yes")
    assert reply.entry is None
    assert "nothing was changed" in reply.text
    assert len(shop.desk.record()) == 1


def test_what_is_not_about_the_shop_and_what_is_unclear_reach_nobody(store: Store, talk) -> None:
    def model(messages):
        raise AssertionError(messages)

    (reply,) = talk("outside", "Write a poem", model=model)
    assert reply.text == OUTSIDE
    shop = Shop(store, router=Says("cancel_order", sure=False), model=model)
    conversation = shop.desk.begin()
    reply = shop.say(conversation, "my order, hm")
    assert "Do you want to cancel an order, or to look at an order?" in reply.text
    shop.model = None
    assert shop.say(conversation, "1").asks == "identity"
    assert shop.say(shop.desk.begin(), "1").asks == "intent", "in another conversation 1 is no answer"


def test_what_no_tool_does_is_a_persons(store: Store, talk) -> None:
    (reply,) = talk("other_service", "Delete my account")
    assert reply.handed_over
    (row,) = store.rows("SELECT handed_over FROM conversations")
    assert "Delete my account" in row["handed_over"]


def test_an_item_is_changed_and_the_customer_reminded_that_it_is_once(store: Store, talk) -> None:
    user, order = customer(store, "pending", lambda user, order: len(order.items) > 1)
    item = order.items[0]
    product = store.product(item.product_id)
    assert product is not None
    new = next(other for other in product.items if other.available and other.id != item.id)
    *_, reply = talk(
        "exchange_items", f"Another option for the {item.name} of {order.id}", user.email, f"item {new.id}",
        f"pay with {order.paid_with}",
    )  # fmt: skip
    assert reply.proposal.command == "change_items", "it is not delivered yet, so that is meant"
    assert "can be done once" in reply.text
    assert reply.proposal.arguments["new_item_ids"] == [new.id]


def test_messages_and_conversations_that_are_none_are_refused(store: Store) -> None:
    shop = Shop(store, router=Says("outside"))
    conversation = shop.desk.begin()
    for message in ("", " \n", "x" * (LONGEST + 1)):
        with pytest.raises(UsageError, match=r"message must say something, in at most 2,000 characters, got"):
            shop.say(conversation, message)
    with pytest.raises(UnknownName, match="no conversation called 'nowhere'"):
        shop.say("nowhere", "hello")
    with pytest.raises(UsageError, match="dialect must be text or calls, got 'json'"):
        Shop(store, router=Says("outside"), dialect="json")  # pyright: ignore[reportArgumentType]
    assert shop.history(conversation) == []
