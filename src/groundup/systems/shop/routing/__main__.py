"""Train the router again, judge it on the held-out half, and write both down: `python -m …shop.routing`."""

from __future__ import annotations

import sys

from groundup.embedding import load
from groundup.errors import GroundupError
from groundup.systems.shop.routing.router import WEIGHTS, Router
from groundup.systems.shop.routing.training import HALVES, judge, read_messages, train, write


def main() -> int:
    """Train, judge and write."""
    try:
        messages, embedder = read_messages(), load()
        halves = [[message for message in messages if message.half == half] for half in HALVES]
        trained = train(halves[0], embedder)
        judgement = judge(Router(trained.weights, embedder), halves[1])
        write(trained, judgement, messages)
    except GroundupError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(f"l2 {trained.l2}, temperature {trained.weights.temperature:.3f}, threshold {trained.weights.threshold:.3f}")
    print(f"Templates that were left out: {trained.accuracy:.3f} right, confident of {trained.confident:.3f}.")
    for way in judgement.ways:
        print(f"Held out, {way.way}: {way.accuracy:.3f} right, macro F1 {way.macro_f1:.3f}.")
    print(f"Written to {WEIGHTS}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
