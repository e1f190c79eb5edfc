"""The shopping agent: it answers about products and orders, and changes orders as the shop's policy allows.

    with open_store("shop.sqlite") as store:
        shop = Shop(store, router=Router.load(load()))
        conversation = shop.desk.begin()
        reply = shop.say(conversation, "Please cancel my order, I am noah.brown7922@example.com")
        reply.text, reply.proposal          # its words; the change that waits for the customer's yes

A model only proposes; without a model, the embedded clerk proposes. Code checks a proposal against the policy and shows
it. When the customer confirms, code makes the change in one transaction, records it, and can undo it. LangChain and
Chroma (the extra `shop`) are imported when they are needed, not before.
"""

from __future__ import annotations

from groundup.systems.shop.desk import Desk, Entry, Proposal
from groundup.systems.shop.policy import Forbidden
from groundup.systems.shop.shop import Reply, Shop
from groundup.systems.shop.store import Store, open_store

__all__ = ["Desk", "Entry", "Forbidden", "Proposal", "Reply", "Shop", "Store", "open_store"]
