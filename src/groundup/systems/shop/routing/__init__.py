"""The shop's router: the intent of a message, or the finding that it is outside the shop.

    router = Router.load(embedder)
    router.route("I changed my mind, cancel it please")     # Route(intent="cancel_order", …, sure=True)

For a message that the router is unsure of, the shop asks back with the two most probable intents. Bitext's requests and
`messages.tsv` train the router; `python -m groundup.systems.shop.routing` trains and judges it again.
"""

from __future__ import annotations

from groundup.systems.shop.routing.router import INTENTS, OUTSIDE, Intent, Route, Router

__all__ = ["INTENTS", "OUTSIDE", "Intent", "Route", "Router"]
