# pyright: basic
"""Wrong ways to write ranking, each with its diagnosis, and right ways that differ."""

import math

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.retrieval.ranking.ranking import (
    HUMP,
    JOINT,
    STOP_WORDS,
    _gains,
    _stemmer,
)


@mistake(
    "word_terms",
    edit=[("map(str.lower, pieces)", "pieces"), ("len(pieces) > len(parts) or ", ""), ("(word)", "(word.lower())")],
)
def lowers_before_looking_for_humps():
    """You turn the word to lower case first, and then there are no humps left to find. Split, then lower."""


@variant("word_terms")
def terms_in_a_loop(word):
    """The same, piece by piece."""
    parts = JOINT.split(word)
    pieces = []
    for part in parts:
        pieces.extend(HUMP.split(part))
    humps = len(pieces) != len(parts)
    terms = []
    if len(pieces) > 1 and (humps or "_" in word or any(map(str.isdigit, word))):
        terms.append(word.lower())
    for piece in pieces:
        if piece.lower() not in STOP_WORDS:
            terms.append(_stemmer.stemWord(piece.lower()))
    return tuple(terms)


@mistake("idf", edit=("np.log1p", "np.log"))
def lets_common_terms_count_against():
    """You take the logarithm of the odds as they are. A term that more than half of the documents have then lowers the
    score of those that have it. Lucene adds 1 to the odds, so that the weight stays above zero.
    """


@mistake("idf")
def uses_the_textbook_idf(containing, documents):
    """You use log(N / n), the idf of TF-IDF: it is 0 for what all documents have and infinite for what none has. BM25's
    comes from the odds, (N - n + ½) / (n + ½), and the halves keep it finite.
    """
    with np.errstate(all="ignore"):
        return np.log(documents / np.asarray(containing, dtype=np.float64))


@variant("idf")
def idf_as_a_fraction(containing, documents):
    """1 + (N - n + ½) / (n + ½) is (N + 1) / (n + ½)."""
    return np.log((documents + 1) / (np.asarray(containing, dtype=np.float64) + 0.5))


@mistake(
    "search_postings",
    edit=[
        (
            "    for q in range(len(queries) - 1):\n        found = 0\n",
            "    found = 0\n    for q in range(len(queries) - 1):\n",
        ),
        ("            sums[seen[j]] = 0\n", ""),
    ],
)
def never_clears_the_sums():
    """You never set the sums back to zero, so the second query starts with what the first one gave to the documents.
    Clear each slot that was seen when its score has been read.
    """


@variant("search_postings")
def sorts_all_that_was_found(queries, terms, weights, starts, sizes, slots, counts, norms, names, ids, scores):
    """Vectors in place of loops: slower for a few of many, and as right."""
    for q in range(len(queries) - 1):
        sums = np.zeros(len(norms), np.float32)
        for i in range(queries[q], queries[q + 1]):
            piece = slice(starts[terms[i]], starts[terms[i]] + sizes[terms[i]])
            sums[slots[piece]] += weights[i] * counts[piece] / (counts[piece] + norms[slots[piece]])
        order = np.lexsort((names, -sums))[: np.count_nonzero(sums)][: ids.shape[1]]
        ids[q, : len(order)], scores[q, : len(order)] = names[order], sums[order]


@mistake("remove_postings", edit=[(", counts[p]", ""), (", counts[start + kept]", "")])
def leaves_the_counts_behind():
    """You move the slots and leave the counts where they are, so that documents swap their counts. Move both."""


@mistake("reciprocal_rank_fusion", edit=(", start=1", ""))
def counts_ranks_from_zero():
    """You count ranks from 0, so that the first has 1 / 60 where it should have 1 / 61. Ranks begin at 1."""


@mistake("reciprocal_rank_fusion", edit=("if id != -1:\n                    ", ""))
def ranks_empty_places():
    """You let -1 take part. It marks an empty place, and the most frequent document of all would be none."""


@mistake("score_fusion", edit=("(known.min() - known.mean()) / known.std()", "0.0"))
def gives_the_mean_to_what_is_missing():
    """A document that a list lacks gets 0 from it, which is the mean of that list: better than half of what the list
    did find. It scored no more than the list's last: give it the lowest point.
    """


@mistake("score_fusion", edit=("np.isfinite(scores)", "np.isfinite(scores) & (np.array(ids) != -1)"))
def leaves_empty_places_out():
    """You leave the empty places out of the mean and the deviation, although their score is known. When one document
    alone has the query's word, it is then all of the row, and its score tells nothing. Use every finite score.
    """


@mistake(
    "score_fusion",
    edit=[("scores - known.mean()) / known.std()", "scores - known.min()) / np.ptp(known)"), ("id, floor", "id, 0.0")],
)
def scales_to_the_unit_interval():
    """You stretch each row to the range from 0 to 1. Then the first of a list has 1 whether it stands far out or hardly
    at all, and one outlier presses all others together. Here a point is a standard deviation above the mean.
    """


@mistake("surprise", edit=("math.erfc(point / math.sqrt(2)) / 2", "1 - math.erfc(-point / math.sqrt(2)) / 2"))
def takes_the_tail_from_one():
    """You take the lower tail from 1. From eight deviations on nothing is left of the difference, and all that stands
    out farther is alike. Compute the upper tail itself: erfc keeps its digits.
    """


@mistake("evidence_fusion", edit=("np.sqrt(bound)", "bound"))
def divides_by_the_bound():
    """You divide by the bound, not by its root. A query of one word and one of ten then have the same to say at most,
    and short queries drown meaning.
    """


@mistake("rerank", edit=("encoder.score(query, passages)", "np.hstack([encoder.score(query, [p]) for p in passages])"))
def asks_passage_by_passage():
    """You ask the encoder for one passage at a time. A model takes a batch in little more time than one: give it all
    passages in one call.
    """


@mistake("rerank", edit=('np.argsort(-scores, kind="stable")', 'np.argsort(scores, kind="stable")[::-1]'))
def turns_the_order_of_equals():
    """You sort upwards and turn the result round, which turns the order of equal scores, too: the last of the cheaper
    search comes first. Sort -scores, with a stable sort.
    """


@mistake(
    "ndcg", edit=("np.sort([gain for gain in gains.values() if gain > 0])[::-1][:k]", "np.sort(found[found > 0])[::-1]")
)
def compares_with_the_best_order_of_what_was_found():
    """You compare with the best order of the documents that were found. A search that finds one relevant document of
    ten then scores 1. The best order is that of all judged documents.
    """


@mistake("ndcg", edit=("np.log2(np.arange(k) + 2)", "np.maximum(np.log2(np.arange(k) + 1), 1)"))
def discounts_from_log_of_the_rank():
    """You divide by log2(rank), which is 0 for the first rank, and 1 for the second. It is log2(rank + 1): 1 for the
    first.
    """


@mistake(
    "ndcg",
    edit=[("_gains", "2 ** _gains"), ("k)[:k]", "k)[:k] - 1"), ("np.sort", "2.0 ** np.sort"), ("1][:k]", "1][:k] - 1")],
)
def uses_exponential_gains():
    """You count a gain g as 2^g - 1, as some web search papers do. Here, as in trec_eval, a gain counts what it is."""


@mistake("ndcg", edit=('float("nan")', "0.0"))
def calls_nothing_to_find_zero():
    """You return 0 where there is nothing to find, and the mean over queries blames the search for it. There is no
    score then: nan, so that such a query is noticed and left out.
    """


@variant("ndcg")
def ndcg_in_a_loop(ranking, gains, k=10):
    """Sums written out."""
    found = _gains("ndcg", ranking, gains, k)
    best = sorted((float(gain) for gain in gains.values() if gain > 0), reverse=True)
    if not best:
        return math.nan

    def cumulative(values):
        return sum(value / math.log2(rank + 1) for rank, value in enumerate(values[:k], start=1))

    return float(cumulative(found.tolist()) / cumulative(best))


@mistake("average_precision", edit=("precision[found].sum() / relevant", "precision[found].mean()"))
def averages_over_what_was_found():
    """You average over the documents that were found. One hit at the first place then scores 1, whatever was missed.
    Divide by how many there are to find.
    """


@mistake("average_precision", edit=("precision[found].sum() / relevant", "precision.sum() / max(len(found), 1)"))
def averages_precision_at_every_rank():
    """You average the precision at all ranks. Only ranks with a hit count, or what comes after the last one drags the
    score down.
    """
