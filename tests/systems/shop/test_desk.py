"""Proposals, a yes to exactly what was shown, the record, and the way back."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from groundup.errors import StoreError, UnknownName, UsageError
from groundup.systems.shop import Desk, Entry, Forbidden, Store, open_store
from groundup.systems.shop.world import CancelOrder, ChangeAddress, ChangePayment, ChangeUserAddress, ReturnItems
from tests.systems.shop.conftest import card, customer, people
from tests.systems.shop.test_policy import NOWHERE, rich


def with_customer(desk: Desk, status: str = "pending") -> tuple[str, str]:
    """A conversation with a customer, and an order of theirs."""
    user, order = customer(desk.store, status)
    conversation = desk.begin()
    desk.identify_by_email(conversation, user.email.upper())
    return conversation, order.id


def test_a_wrong_conversation_is_told_no_other_ones_id(desk: Desk) -> None:
    id = desk.begin()
    with pytest.raises(UnknownName, match="no conversation called") as refused:
        desk.find(id[:-1] + ("0" if id[-1] != "0" else "1"))
    assert id not in str(refused.value)


def cancelled(desk: Desk) -> Entry:
    conversation, order = with_customer(desk)
    proposal = desk.propose(conversation, CancelOrder(order, "no longer needed"))
    return desk.confirm(conversation, proposal.id, proposal.digest)


def test_nothing_is_looked_at_or_proposed_before_the_customer_is_identified(desk: Desk) -> None:
    _, order = customer(desk.store, "pending")
    conversation = desk.begin()
    with pytest.raises(Forbidden, match="user must be identified first") as refused:
        desk.propose(conversation, CancelOrder(order.id, "no longer needed"))
    assert refused.value.rule == "identity"
    for call in (
        lambda: desk.identify_by_email(conversation, "nobody@example.com"),
        lambda: desk.identify_by_name(conversation, "No", "Body", "00000"),
    ):
        with pytest.raises(Forbidden, match="must be a customer's, got"):
            call()
    assert desk.user(conversation) is None


def test_a_conversation_is_with_one_customer(desk: Desk) -> None:
    first, second = [user for user, _ in zip(people(desk.store), range(2), strict=False)]
    conversation = desk.begin()
    desk.identify_by_name(conversation, first.first_name.lower(), first.last_name, first.address.zip)
    desk.identify_by_email(conversation, first.email)
    with pytest.raises(Forbidden, match=f"must stay '{first.id}'") as refused:
        desk.identify_by_email(conversation, second.email)
    assert refused.value.rule == "one customer"
    assert desk.identified(conversation).id == first.id


def test_a_proposal_changes_nothing_and_a_yes_does_exactly_it(desk: Desk) -> None:
    conversation, order = with_customer(desk)
    before = desk.store.digest()
    proposal = desk.propose(conversation, CancelOrder(order, "no longer needed"))
    assert desk.store.digest() == before
    assert desk.waiting(conversation) == proposal
    entry = desk.confirm(conversation, proposal.id, proposal.digest)
    assert entry.details == proposal.details
    after = desk.store.order(order)
    assert after is not None
    assert after.status == "cancelled"
    assert desk.record() == [entry]
    with pytest.raises(Forbidden, match="must wait for an answer, and .* is confirmed"):
        desk.confirm(conversation, proposal.id, proposal.digest)
    assert len(desk.record()) == 1


def test_a_yes_must_be_to_the_details_that_were_shown(desk: Desk) -> None:
    conversation, order = with_customer(desk)
    proposal = desk.propose(conversation, CancelOrder(order, "no longer needed"))
    before = desk.store.digest()
    with pytest.raises(Forbidden, match="digest must be that of the details which were shown"):
        desk.confirm(conversation, proposal.id, "0" * 64)
    assert desk.store.digest() == before
    other = desk.begin()
    user = desk.identified(conversation)
    desk.identify_by_email(other, user.email)
    with pytest.raises(UnknownName, match="no proposal in this conversation"):
        desk.confirm(other, proposal.id, proposal.digest)
    desk.propose(conversation, ChangeAddress(order, **NOWHERE))
    with pytest.raises(Forbidden, match="is replaced"):
        desk.confirm(conversation, proposal.id, proposal.digest)
    desk.decline(conversation)
    assert desk.waiting(conversation) is None
    assert desk.store.digest() == before


def test_what_has_changed_since_it_was_shown_is_not_done(desk: Desk) -> None:
    user, order = customer(desk.store, "pending", rich)
    conversation, other = desk.begin(), desk.begin()
    for id in (conversation, other):
        desk.identify_by_email(id, user.email)
    shown = desk.propose(conversation, ChangePayment(order.id, card(user)))
    with desk.store.transaction():
        desk.store.add_to_balance(card(user), 1)  # the balance is one of the details
    with pytest.raises(Forbidden, match="these are others by now"):
        desk.confirm(conversation, shown.id, shown.digest)
    cancel = desk.propose(other, CancelOrder(order.id, "no longer needed"))
    again = desk.propose(conversation, CancelOrder(order.id, "no longer needed"))
    desk.confirm(other, cancel.id, cancel.digest)
    with pytest.raises(Forbidden, match="is cancelled") as refused:
        desk.confirm(conversation, again.id, again.digest)
    assert refused.value.rule == "status", "the policy is asked again in the transaction"
    assert len(desk.record()) == 1


def test_what_fails_halfway_leaves_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation, order = with_customer(desk)
    proposal = desk.propose(conversation, CancelOrder(order, "no longer needed"))
    before = desk.store.digest()
    with monkeypatch.context() as patch:
        patch.setattr(Desk, "_note", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            desk.confirm(conversation, proposal.id, proposal.digest)
    assert desk.store.digest() == before
    assert desk.waiting(conversation) == proposal, "it can still be done"


@pytest.mark.parametrize("what", ["cancel", "pay", "return", "address"])
def test_undo_brings_back_exactly_what_was(desk: Desk, what: str) -> None:
    user, order = customer(desk.store, "delivered" if what == "return" else "pending", rich)
    command = {
        "cancel": CancelOrder(order.id, "no longer needed"),
        "pay": ChangePayment(order.id, card(user)),
        "return": ReturnItems(order.id, (order.items[0].id,), order.paid_with),
        "address": ChangeUserAddress(**NOWHERE),
    }[what]
    conversation, before = desk.begin(), desk.store.digest()
    desk.identify_by_email(conversation, user.email)
    proposal = desk.propose(conversation, command)
    done = desk.confirm(conversation, proposal.id, proposal.digest)
    assert desk.store.digest() != before
    undone = desk.undo(done.id)
    assert desk.store.digest() == before
    assert (undone.undoes, desk.entry(done.id).undone) == (done.id, undone.id)


def test_undo_refuses_what_is_undone_unknown_or_overtaken(desk: Desk) -> None:
    conversation, order = with_customer(desk)
    ids = []
    for street in ("1 Elm", "2 Elm"):
        proposal = desk.propose(conversation, ChangeAddress(order, **{**NOWHERE, "address1": street}))
        ids.append(desk.confirm(conversation, proposal.id, proposal.digest).id)
    with pytest.raises(UsageError, match="ID must be the last change of its order"):
        desk.undo(ids[0])
    back = desk.undo(ids[1])
    for id, why in ((ids[1], f"undone by {back.id} already"), (back.id, "an undo itself")):
        with pytest.raises(UsageError, match=f"{id} is {why}"):
            desk.undo(id)
    desk.undo(ids[0])
    with pytest.raises(UnknownName, match="no entry of the record called '99'"):
        desk.undo(99)


def test_undo_refuses_where_the_refund_is_spent(desk: Desk) -> None:
    user, order = customer(desk.store, "pending", rich)
    conversation = desk.begin()
    desk.identify_by_email(conversation, user.email)
    for command in (ChangePayment(order.id, card(user)), CancelOrder(order.id, "no longer needed")):
        proposal = desk.propose(conversation, command)
        done = desk.confirm(conversation, proposal.id, proposal.digest)
    with desk.store.transaction() as connection:
        connection.execute("UPDATE methods SET balance = 0 WHERE id = ?", (card(user),))
    before = desk.store.digest()
    with pytest.raises(UsageError, match=r"must leave no gift card below \$0\.00"):
        desk.undo(done.id)
    assert desk.store.digest() == before


def test_the_record_can_only_be_added_to(desk: Desk) -> None:
    entry = cancelled(desk)
    for statement in ("DELETE FROM record", "UPDATE record SET user = user"):
        with pytest.raises(sqlite3.IntegrityError, match="can only be added to"):
            desk.store.connection.execute(statement)
    assert desk.record() == [entry]


def test_a_store_says_what_is_wrong_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="store must be a file that exists"), open_store(tmp_path / "x", reading=True):
        pass
    (tmp_path / "text").write_text("no database, but long enough to be taken for one " * 10)
    with pytest.raises(StoreError, match="store must be a file of `groundup shop`"), open_store(tmp_path / "text"):
        pass
    connection = sqlite3.connect(tmp_path / "other")
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(StoreError, match="must be of version 1"), open_store(tmp_path / "other"):
        pass


def test_two_stores_agree_where_all_is_the_same(store: Store, first_day: Path) -> None:
    with open_store(first_day) as other:
        assert store.digest() == other.digest()
        assert store.about.startswith("STAND-IN")
    with store.transaction():
        store.add_to_balance(card(next(people(store))), 1)
    with open_store(first_day) as other:
        assert store.digest() != other.digest()
