"""What a search by meaning claims where there is nothing to find: the evidence of pure noise, by the collection's size.

The cosines of all documents are drawn from a bell curve, and a search passes on the best 1,000. Judged by each other,
the first of many documents claims to stand out; judged by a sample of the collection, it claims what the best of that
many has by chance. A relevant document that words put first, and meaning knows nothing of, must stay first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.measure import Figure
from groundup.stack.retrieval.ranking import Found, evidence_fusion, reciprocal_rank

SIZES = (1_000, 100_000, 1_000_000)
DEPTH, SAMPLED = 1_000, 1_000
QUERIES = 200
BOUND = 25.0
# The relevant document's score by words, of a bound of 25, and that of the best other one: strong words, and weak ones.
WORDS = {"strong words": (15.0, 10.0), "weak words": (6.0, 4.0)}
PEER = "judged by the best 1,000"


@dataclass(frozen=True)
class Noise:
    """One query on a collection of which meaning knows nothing.

    Attributes:
        meaning: the best documents by their random cosines.
        chance: the cosines of a sample of all documents, one row.
        relevant: the relevant document, any of them.
    """

    meaning: Found
    chance: np.ndarray
    relevant: int


def run() -> Iterator[Figure]:
    """The lead that noise claims, and what becomes of the relevant document, at each size."""
    for size in SIZES:
        drawn = [noise(size, np.random.default_rng(query)) for query in range(QUERIES)]
        leads = [float(np.mean([lead(one, fair=fair) for one in drawn])) for fair in (True, False)]
        what = f"{size:,} documents of noise: lead of the first over what is not found, judged by {SAMPLED:,} drawn"
        yield Figure(what, leads[0], "nats", None, leads[1], PEER, QUERIES)
        for name, (score, other) in WORDS.items():
            fair, unfair = (reciprocal_ranks(drawn, score, other, fair=fair) for fair in (True, False))
            yield Figure(
                f"{size:,} documents, {name}: MRR of the relevant one", fair, "MRR", None, unfair, PEER, QUERIES
            )


def noise(size: int, rng: np.random.Generator) -> Noise:
    """A query's cosines, drawn."""
    scores = rng.normal(size=size)
    best = np.argpartition(-scores, DEPTH - 1)[:DEPTH]
    best = best[np.argsort(-scores[best])]
    return Noise((best[None], scores[best][None]), rng.choice(scores, SAMPLED)[None], int(rng.integers(size)))


def lead(one: Noise, *, fair: bool) -> float:
    """By how many nats the first document is ahead of one that meaning did not find."""
    nothing = np.array([[-1]]), np.array([[-np.inf]])
    evidence = evidence_fusion(nothing, np.zeros(1), one.meaning, DEPTH, chance=one.chance if fair else None)[1]
    return float(np.ptp(evidence))


def reciprocal_ranks(drawn: list[Noise], score: float, other: float, *, fair: bool) -> float:
    """The mean reciprocal rank of the relevant document: words give it `score`, and 20 others up to `other`."""
    ranks = []
    for query, one in enumerate(drawn):
        others = np.random.default_rng(query).choice(one.meaning[0].max(), 20, replace=False)
        others = others[others != one.relevant]
        words = np.array([[one.relevant, *others]]), np.array([[score, *np.linspace(other, other / 2, len(others))]])
        chance = one.chance if fair else None
        ids, _ = evidence_fusion(words, np.array([BOUND]), one.meaning, 100, chance=chance)
        ranks.append(reciprocal_rank(ids[0].tolist(), {one.relevant: 1.0}))
    return float(np.mean(ranks))
