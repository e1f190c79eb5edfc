"""The trained router: the place of a sub-question, in the asker's documents, the web, both or neither.

    router = Router.load(embedder)
    router.routes(["What does an H200 cost now?"])    # [Route(where="web", probability=0.9, …)], for example
    router.where("What does an H200 cost now?")       # "web"; None where the router is not confident

`planning.choose` asks it after the rule for the asker's own affairs, which it cannot overrule. `questions.tsv` holds
the questions that train and judge it, with the rule for their labels. `privacy.tsv` holds questions that judge its
privacy.
`python -m groundup.systems.research.routing` trains it again. Importing this package imports nothing heavy.
"""

from __future__ import annotations

from groundup.systems.research.routing.router import WEIGHTS, Route, Router

__all__ = ["WEIGHTS", "Route", "Router"]
