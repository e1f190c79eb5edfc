"""The shopping agent: it answers about products and orders, and changes orders as the shop's policy allows.

    with open_store("shop.sqlite") as store:
        shop = Shop(store, router=Router.load(load()))
        conversation = shop.desk.begin()
        reply = shop.say(conversation, "Please cancel my order, I am noah.brown7922@example.com")
        reply.text, reply.proposal          # what it says; what it would do, if the customer says yes

A model, or the embedded clerk where there is none, only proposes. What is proposed is checked against the policy in
code, shown, confirmed by the person, done in one transaction, recorded, and can be undone. LangChain and Chroma (the
extra `shop`) are imported when they are needed, not before.
"""

from __future__ import annotations

from groundup.systems.shop.desk import Desk, Entry, Proposal
from groundup.systems.shop.policy import Forbidden
from groundup.systems.shop.shop import Reply, Shop
from groundup.systems.shop.store import Store, open_store

__all__ = ["Desk", "Entry", "Forbidden", "Proposal", "Reply", "Shop", "Store", "open_store"]
