"""The trained router: whether a sub-question is of one's own documents, of the web, of both or of neither.

    router = Router.load(embedder)
    router.routes(["What does an H200 cost now?"])    # [Route(where="web", probability=0.9, …)], for example
    router.where("What does an H200 cost now?")       # "web"; None where the router is not confident

`planning.choose` asks it after the rule for what is one's own, which it cannot overrule. The questions that train
and judge it, with the rule for their labels, are in `questions.tsv`, those that judge what stays away from search
servers in `privacy.tsv`; `python -m groundup.systems.research.routing` trains it again. Importing this package imports
nothing heavy.
"""

from __future__ import annotations

from groundup.systems.research.routing.router import WEIGHTS, Route, Router

__all__ = ["WEIGHTS", "Route", "Router"]
