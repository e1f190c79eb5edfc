"""The shop's router: what a message is about, or that it is not about the shop.

    router = Router.load(embedder)
    router.route("I changed my mind, cancel it please")     # Route(intent="cancel_order", …, sure=True)

A message that the router is unsure of is asked back, with its two most probable intents. It is trained on Bitext's
requests and on `messages.tsv`; `python -m groundup.systems.shop.routing` trains and judges it again.
"""

from __future__ import annotations

from groundup.systems.shop.routing.router import INTENTS, OUTSIDE, Intent, Route, Router

__all__ = ["INTENTS", "OUTSIDE", "Intent", "Route", "Router"]
