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
    edit=("(*([word.lower()] if identifier else []), *_stemmer.stemWords(plain))", "tuple(_stemmer.stemWords(plain))"),
)
def loses_the_identifier():
    """You keep only the pieces. Whoever types `crashloopbackoff` in lower case, or an address such as 10.0.0.1, looks
    for the whole: a word with a hump, an underscore or a digit among several pieces is a term by itself, too.
    """


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


@variant("idf")
def idf_as_a_fraction(containing, documents):
    """1 + (N - n + ½) / (n + ½) is (N + 1) / (n + ½)."""
    return np.log((documents + 1) / (np.asarray(containing, dtype=np.float64) + 0.5))


@mistake("search_postings", edit=("            sums[seen[j]] = 0\n", ""))
def never_clears_the_sums():
    """You never set the sums back to zero, so the second query starts with what the first one gave to the documents.
    Clear each slot that was seen when its score has been read.
    """


@mistake(
    "search_postings",
    edit=[
        (
            "score < scores[q, place] or (score == scores[q, place] and name > ids[q, place])",
            "score <= scores[q, place]",
        ),
        (" or (score == scores[q, place - 1] and name < ids[q, place - 1])", ""),
    ],
)
def breaks_ties_by_slot():
    """Of equal scores you put the document first that lies first in the index. After a removal it may lie elsewhere,
    and the ranking changes although nothing about it did. Of equal scores, the smaller id comes first.
    """


@mistake("search_postings", edit=("weight * counts[p] / (counts[p] + norms[slot])", "weight * counts[p]"))
def forgets_the_norm():
    """You add weight times count. Then a text that repeats a word ten times counts tenfold, and long texts always win.
    Divide by count + norm of the document's slot.
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


@mistake("BM25.expand", edit=("mixed.get(self._words[number], 0.0) + part", "part"))
def replaces_the_weight_of_own_terms():
    """A term that is in the query and among the new ones gets the new weight in place of the old. It has both: add
    them, or the weights do not sum to 1.
    """


@mistake("reciprocal_rank_fusion", edit=(", start=1", ""))
def counts_ranks_from_zero():
    """You count ranks from 0, so that the first has 1 / 60 where it should have 1 / 61. Ranks begin at 1."""


@mistake("reciprocal_rank_fusion", edit=("if id != -1:\n                    ", ""))
def ranks_empty_places():
    """You let -1 take part. It marks an empty place, and the most frequent document of all would be none."""


@mistake(
    "score_fusion",
    edit=[("(scores - known.mean()) / known.std()", "scores"), ("(known.min() - known.mean()) / known.std()", "0.0")],
)
def adds_the_scores_as_they_are():
    """You add the scores as they are. BM25's are ten times as large as cosines, so the sum is BM25 alone. Take each
    row's mean away and divide by its standard deviation first.
    """


@mistake("score_fusion", edit=("(known.min() - known.mean()) / known.std()", "0.0"))
def gives_the_mean_to_what_is_missing():
    """A document that a list lacks gets 0 from it, which is the mean of that list: better than half of what the list
    did find. It scored no more than the list's last: give it the lowest point.
    """


@mistake("surprise", edit=("scores if sample is None else sample", "scores"))
def judges_the_found_by_themselves():
    """You take mean and deviation of the scores that were found, though a sample is given. The best of many are a tail,
    and the first of it stands far out even if all is noise: judge by the sample.
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


@mistake("evidence_fusion", edit=[("lowest ", "_ "), ("lowest", "0.0")])
def gives_nothing_to_what_is_missing():
    """A document that one search lacks gets 0 from it, as if it had been looked at and had none of the words. It only
    lay below the last that was found: give it the lowest of the row.
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
