"""Train the router again, judge it on the held-out half, and write the result: `python -m …research.routing`."""

from __future__ import annotations

import sys

from groundup.embedding import load
from groundup.errors import GroundupError
from groundup.systems.research.routing.router import PRIVATE, WEIGHTS, Router
from groundup.systems.research.routing.training import judge, privacy, read_questions, train, write


def main() -> int:
    """Train, judge and write."""
    try:
        questions, embedder = read_questions(), load()
        trained = train([question for question in questions if question.half == "train"], embedder)
        router = Router(trained.weights, embedder)
        judgement = judge(router, [question for question in questions if question.half == "held-out"])
        private = privacy(router)
        write(trained, judgement, private)
    except GroundupError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    fitted, weights = trained.fitted, trained.weights
    print(
        f"l2 {fitted.l2}, temperature {weights.temperature:.3f}, threshold {weights.threshold:.3f}, "
        f"private {weights.limits[PRIVATE]:.3f}"
    )
    print(f"Topics that were left out: {fitted.accuracy:.3f} right, confident of {fitted.confident:.3f}.")
    print(f"Of these, one's own sent to a search server: {trained.sent:.3f}; public, kept away: {trained.kept:.3f}.")
    for way in judgement.ways:
        print(f"Held out, {way.way}: {way.right} of {way.questions} right, {way.sent} of one's own sent.")
    for way in private:
        print(f"Privacy, {way.way}: {way.sent} of {way.own} sent, {way.kept} of {way.public} kept away.")
    print(f"Written to {WEIGHTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
