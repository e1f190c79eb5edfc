# pyright: basic
"""Wrong ways to write ranking, each with its diagnosis, and right ways that differ."""

import math
from collections import Counter
from functools import partial

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.retrieval.ranking.ranking import (
    HUMP,
    JOINT,
    STOP_WORDS,
    _best,
    _check_rankings,
    _check_rows,
    _gains,
    _stemmer,
    _worth,
    idf,
)

# --- word_terms ----------------------------------------------------------------------------------------------


@mistake("word_terms")
def loses_the_identifier(word):
    """You keep only the pieces. Whoever types `crashloopbackoff` in lower case, or an address such as 10.0.0.1, looks
    for the whole: a word with a hump, an underscore or a digit among several pieces is a term by itself, too.
    """
    pieces = [piece.lower() for part in JOINT.split(word) for piece in HUMP.split(part)]
    return tuple(_stemmer.stemWords([piece for piece in pieces if piece not in STOP_WORDS]))


@mistake(
    "word_terms",
    edit=[("map(str.lower, pieces)", "pieces"), ("len(pieces) > len(parts) or ", ""), ("(word)", "(word.lower())")],
)
def lowers_before_looking_for_humps():
    """You turn the word to lower case first, and then there are no humps left to find. Split, then lower."""


@mistake("word_terms")
def keeps_stop_words(word):
    """You keep the stop words. They are in every text and question, so they cost time and find nothing; leave out the
    pieces that are in `STOP_WORDS`, in lower case, before you stem.
    """
    parts = JOINT.split(word)
    pieces = [piece for part in parts for piece in HUMP.split(part)]
    identifier = len(pieces) > 1 and (len(pieces) > len(parts) or any(c == "_" or c.isdigit() for c in word))
    return (*([word.lower()] if identifier else []), *_stemmer.stemWords([piece.lower() for piece in pieces]))


@mistake("word_terms", edit=("_stemmer.stemWords(plain)", "plain"))
def stems_nothing():
    """You do not stem, so a question about `restarting` misses the text on `restarts`. Send the pieces through
    `_stemmer.stemWords`.
    """


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


# --- idf -----------------------------------------------------------------------------------------------------


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


# --- search_postings -----------------------------------------------------------------------------------------


@mistake("search_postings")
def never_clears_the_sums(queries, terms, weights, starts, sizes, slots, counts, norms, names, ids, scores):
    """You never set the sums back to zero, so the second query starts with what the first one gave to the documents.
    Clear each slot that was seen when its score has been read.
    """
    k = ids.shape[1]
    sums = np.zeros(len(norms), np.float32)
    for q in range(len(queries) - 1):
        for i in range(queries[q], queries[q + 1]):
            for p in range(starts[terms[i]], starts[terms[i]] + sizes[terms[i]]):
                sums[slots[p]] += weights[i] * counts[p] / (counts[p] + norms[slots[p]])
        order = [slot for slot in np.lexsort((names, -sums)) if sums[slot] > 0][:k]
        for place, slot in enumerate(order):
            ids[q, place], scores[q, place] = names[slot], sums[slot]


@mistake("search_postings")
def breaks_ties_by_slot(queries, terms, weights, starts, sizes, slots, counts, norms, names, ids, scores):
    """Of equal scores you put the document first that lies first in the index. After a removal it may lie elsewhere,
    and the ranking changes although nothing about it did. Of equal scores, the smaller id comes first.
    """
    k = ids.shape[1]
    for q in range(len(queries) - 1):
        sums = np.zeros(len(norms), np.float32)
        for i in range(queries[q], queries[q + 1]):
            for p in range(starts[terms[i]], starts[terms[i]] + sizes[terms[i]]):
                sums[slots[p]] += weights[i] * counts[p] / (counts[p] + norms[slots[p]])
        order = [slot for slot in np.argsort(-sums, kind="stable") if sums[slot] > 0][:k]
        for place, slot in enumerate(order):
            ids[q, place], scores[q, place] = names[slot], sums[slot]


@mistake("search_postings")
def forgets_the_norm(queries, terms, weights, starts, sizes, slots, counts, norms, names, ids, scores):
    """You add weight times count. Then a text that repeats a word ten times counts tenfold, and long texts always win.
    Divide by count + norm of the document's slot.
    """
    k = ids.shape[1]
    for q in range(len(queries) - 1):
        sums = np.zeros(len(norms), np.float32)
        for i in range(queries[q], queries[q + 1]):
            for p in range(starts[terms[i]], starts[terms[i]] + sizes[terms[i]]):
                sums[slots[p]] += weights[i] * counts[p]
        order = [slot for slot in np.lexsort((names, -sums)) if sums[slot] > 0][:k]
        for place, slot in enumerate(order):
            ids[q, place], scores[q, place] = names[slot], sums[slot]


@mistake("search_postings")
def fills_up_with_what_has_no_term(queries, terms, weights, starts, sizes, slots, counts, norms, names, ids, scores):
    """You return documents that have none of the query's terms, with a score of 0, to fill the row. They were not
    found: leave -1 there, or a caller shows them as answers.
    """
    k = ids.shape[1]
    for q in range(len(queries) - 1):
        sums = np.zeros(len(norms), np.float32)
        for i in range(queries[q], queries[q + 1]):
            for p in range(starts[terms[i]], starts[terms[i]] + sizes[terms[i]]):
                sums[slots[p]] += weights[i] * counts[p] / (counts[p] + norms[slots[p]])
        for place, slot in enumerate(np.lexsort((names, -sums))[:k]):
            ids[q, place], scores[q, place] = names[slot], sums[slot]


@mistake("search_postings")
def reads_into_the_next_term(queries, terms, weights, starts, sizes, slots, counts, norms, names, ids, scores):
    """You read a term's postings up to where the next term's begin. Between them is room for growth, and what was
    removed still lies there. A term has `sizes[term]` postings, no more.
    """
    k = ids.shape[1]
    for q in range(len(queries) - 1):
        sums = np.zeros(len(norms), np.float32)
        for i in range(queries[q], queries[q + 1]):
            later = starts[starts > starts[terms[i]]]
            end = later.min() if len(later) else len(slots)
            for p in range(starts[terms[i]], end):
                slot = slots[p] % len(sums)
                sums[slot] += weights[i] * counts[p] / (counts[p] + norms[slot])
        order = [slot for slot in np.lexsort((names, -sums)) if sums[slot] > 0][:k]
        for place, slot in enumerate(order):
            ids[q, place], scores[q, place] = names[slot], sums[slot]


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


# --- remove_postings -----------------------------------------------------------------------------------------


@mistake("remove_postings", edit=[(", counts[p]", ""), (", counts[start + kept]", "")])
def leaves_the_counts_behind():
    """You move the slots and leave the counts where they are, so that documents swap their counts. Move both."""


@mistake("remove_postings", edit=("not gone[slots[p]]", "gone[slots[p]]"))
def keeps_the_gone():
    """You keep exactly those that should go. `gone` is true for the slots to leave out."""


@mistake("remove_postings", edit=("        sizes[term] = kept\n", ""))
def forgets_the_size():
    """You close the ranks and leave the size as it was, so the last ones are there twice. Set `sizes[term]`."""


@variant("remove_postings")
def removes_by_mask(terms, gone, starts, sizes, slots, counts):
    """A mask for each term."""
    for term in terms:
        piece = slice(starts[term], starts[term] + sizes[term])
        stays = ~gone[slots[piece]]
        kept = int(stays.sum())
        left = slots[piece][stays], counts[piece][stays]
        slots[starts[term] : starts[term] + kept], counts[starts[term] : starts[term] + kept] = left
        sizes[term] = kept


# --- BM25.expand ---------------------------------------------------------------------------------------------


@mistake("BM25.expand")
def takes_the_most_frequent_terms(self, query, ids, weights=None, *, terms=20, share=0.2):
    """You take the terms with the largest counts. Those are the words that every document has; what tells is idf times
    count / (count + norm), the part of a BM25 score.
    """
    own = self._weighed(query)
    own = {term: weight / sum(own.values()) for term, weight in own.items()}
    weights = [1.0] * len(ids) if weights is None else weights
    if len(weights) != len(ids):
        raise ValueError(f"BM25.expand: weights must be one for each of {len(ids)} ids; got {len(weights)}.")
    worth = Counter()
    for id, counted in zip(ids, weights, strict=True):
        if id == -1:
            continue
        if id not in self._held:
            raise ValueError(f"BM25.expand: ids must be in the index; {id} is not.")
        numbers, counts = self._held[int(id)]
        worth.update(dict(zip(numbers.tolist(), (counted * counts).tolist(), strict=True)))
    best = sorted(worth, key=lambda number: (-worth[number], self._words[number]))[:terms]
    if not best:
        return own
    mixed = {term: weight * (1 - share) for term, weight in own.items()}
    for number in best:
        part = share * worth[number] / sum(worth[other] for other in best)
        mixed[self._words[number]] = mixed.get(self._words[number], 0.0) + part
    return {term: weight for term, weight in mixed.items() if weight > 0}


@mistake("BM25.expand")
def replaces_the_weight_of_own_terms(self, query, ids, weights=None, *, terms=20, share=0.2):
    """A term that is in the query and among the new ones gets the new weight in place of the old. It has both: add
    them, or the weights do not sum to 1.
    """
    own = self._weighed(query)
    own = {term: weight / sum(own.values()) for term, weight in own.items()}
    weights = [1.0] * len(ids) if weights is None else weights
    if len(weights) != len(ids):
        raise ValueError(f"BM25.expand: weights must be one for each of {len(ids)} ids; got {len(weights)}.")
    worth = Counter()
    for id, counted in zip(ids, weights, strict=True):
        if id == -1:
            continue
        if id not in self._held:
            raise ValueError(f"BM25.expand: ids must be in the index; {id} is not.")
        numbers, counts = self._held[int(id)]
        norm = self._norms()[self._slot[int(id)]]
        parts = counted * idf(self._sizes[numbers], len(self)) * counts / (counts + norm)
        worth.update(dict(zip(numbers.tolist(), parts.tolist(), strict=True)))
    best = sorted(worth, key=lambda number: (-worth[number], self._words[number]))[:terms]
    if not best:
        return own
    mixed = {term: weight * (1 - share) for term, weight in own.items()}
    for number in best:
        mixed[self._words[number]] = share * worth[number] / sum(worth[other] for other in best)
    return {term: weight for term, weight in mixed.items() if weight > 0}


# --- fusion --------------------------------------------------------------------------------------------------


@mistake("reciprocal_rank_fusion")
def counts_ranks_from_zero(rankings, k, *, constant=60.0):
    """You count ranks from 0, so that the first has 1 / 60 where it should have 1 / 61. Ranks begin at 1."""
    _check_rankings("reciprocal_rank_fusion", [np.shape(ids) for ids in rankings], k)
    fused = []
    for rows in zip(*rankings, strict=True):
        scores = {}
        for row in rows:
            for rank, id in enumerate(row.tolist()):
                if id != -1:
                    scores[id] = scores.get(id, 0.0) + (1 / (constant + rank) if constant + rank else 2.0)
        fused.append(scores)
    return _best(fused, k)


@mistake("reciprocal_rank_fusion", edit=("if id != -1:\n                    ", ""))
def ranks_empty_places():
    """You let -1 take part. It marks an empty place, and the most frequent document of all would be none."""


@mistake(
    "reciprocal_rank_fusion",
    edit=("scores.get(id, 0.0) + 1 / (constant + rank)", "max(scores.get(id, 0.0), 1 / (constant + rank))"),
)
def keeps_the_better_rank():
    """You keep the better of a document's two scores. Being found by both should count: add them."""


@mistake("score_fusion")
def adds_the_scores_as_they_are(found, k, *, weights=None):
    """You add the scores as they are. BM25's are ten times as large as cosines, so the sum is BM25 alone. Take each
    row's mean away and divide by its standard deviation first.
    """
    _check_rankings("score_fusion", [np.shape(ids) for ids, _ in found], k)
    weights = [1.0] * len(found) if weights is None else weights
    if len(weights) != len(found):
        raise ValueError(f"score_fusion: weights must be one for each of {len(found)} rankings; got {len(weights)}.")
    fused = []
    for query in range(len(found[0][0])):
        total = {}
        for weight, (ids, scores) in zip(weights, found, strict=True):
            for id, score in zip(ids[query].tolist(), scores[query].tolist(), strict=True):
                if id != -1:
                    total[id] = total.get(id, 0.0) + weight * score
        fused.append(total)
    return _best(fused, k)


@mistake("score_fusion")
def gives_the_mean_to_what_is_missing(found, k, *, weights=None):
    """A document that a list lacks gets 0 from it, which is the mean of that list: better than half of what the list
    did find. It scored no more than the list's last: give it the lowest point.
    """
    _check_rankings("score_fusion", [np.shape(ids) for ids, _ in found], k)
    weights = [1.0] * len(found) if weights is None else weights
    if len(weights) != len(found):
        raise ValueError(f"score_fusion: weights must be one for each of {len(found)} rankings; got {len(weights)}.")
    fused = []
    for query in range(len(found[0][0])):
        rows = [(ids[query].tolist(), np.asarray(scores[query], np.float64)) for ids, scores in found]
        total = dict.fromkeys((id for ids, _ in rows for id in ids if id != -1), 0.0)
        for weight, (ids, scores) in zip(weights, rows, strict=True):
            known = scores[np.isfinite(scores)]
            if known.size == 0 or np.ptp(known) == 0:
                continue
            own = dict(zip(ids, ((scores - known.mean()) / known.std()).tolist(), strict=True))
            for id in total:
                total[id] += weight * own.get(id, 0.0)
        fused.append(total)
    return _best(fused, k)


@mistake(
    "score_fusion",
    edit=[
        (
            "points = (scores - known.mean()) / known.std()\n            own = dict(zip(ids, points",
            "own = dict(zip(ids, ((scores - known.mean()) / known.std())",
        ),
        ("np.isfinite(scores)", "np.isfinite(scores) & (np.array(ids) != -1)"),
    ],
)
def leaves_empty_places_out():
    """You leave the empty places out of the mean and the deviation, although their score is known. When one document
    alone has the query's word, it is then all of the row, and its score tells nothing. Use every finite score.
    """


@mistake("score_fusion")
def scales_to_the_unit_interval(found, k, *, weights=None):
    """You stretch each row to the range from 0 to 1. Then the first of a list has 1 whether it stands far out or hardly
    at all, and one outlier presses all others together. Here a point is a standard deviation above the mean.
    """
    _check_rankings("score_fusion", [np.shape(ids) for ids, _ in found], k)
    weights = [1.0] * len(found) if weights is None else weights
    if len(weights) != len(found):
        raise ValueError(f"score_fusion: weights must be one for each of {len(found)} rankings; got {len(weights)}.")
    fused = []
    for query in range(len(found[0][0])):
        rows = [(ids[query].tolist(), np.asarray(scores[query], np.float64)) for ids, scores in found]
        total = dict.fromkeys((id for ids, _ in rows for id in ids if id != -1), 0.0)
        for weight, (ids, scores) in zip(weights, rows, strict=True):
            known = scores[np.isfinite(scores)]
            if known.size == 0 or np.ptp(known) == 0:
                continue
            own = dict(zip(ids, ((scores - known.min()) / np.ptp(known)).tolist(), strict=True))
            for id in total:
                total[id] += weight * own.get(id, 0.0)
        fused.append(total)
    return _best(fused, k)


@mistake("surprise")
def counts_both_sides(scores, sample=None):
    """You square the distance from the mean, so a score far below it surprises as much as one far above. Only the upper
    side counts: the probability of a score at least as high.
    """
    others = scores if sample is None else sample
    if scores.size == 0 or np.ptp(others) == 0:
        return np.zeros(len(scores))
    return ((scores - others.mean()) / others.std()) ** 2 / 2


@mistake("surprise", edit=("math.erfc(point / math.sqrt(2)) / 2", "math.erfc(point / math.sqrt(2))"))
def forgets_that_erfc_has_two_sides():
    """You take erfc(z / √2) as it is. It is the probability of both tails; the upper one is half of it."""


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


@mistake("evidence_fusion")
def standardises_meaning(words, bounds, meaning, k, *, scale=16.0, chance=None):
    """You add the deviations of the cosines. They grow evenly, and the best of a thousand random ones lies three above:
    noise counts. Its surprise is that of chance, and grows with the square.
    """
    _check_rankings("evidence_fusion", [np.shape(words[0]), np.shape(meaning[0])], k)
    _check_rows(len(words[0]), bounds, chance)
    fused = []
    for query, bound in enumerate(bounds):
        weight = scale / np.sqrt(bound) if bound > 0 else 0.0
        sample = meaning[1][query] if chance is None else chance[query]
        sample = sample[np.isfinite(sample)]
        points = partial(
            lambda own, others: (own - others.mean()) / (others.std() or 1.0) if own.size else own, others=sample
        )
        rows = [_worth(words, query, partial(np.multiply, weight)), _worth(meaning, query, points)]
        found = {id for own, _ in rows for id in own if id != -1}
        fused.append({id: sum(own.get(id, lowest) for own, lowest in rows) for id in found})
    return _best(fused, k)


@mistake("evidence_fusion", edit=("scale / np.sqrt(bound)", "scale"))
def ignores_the_bound():
    """You add BM25's scores without their bound, so ten words of a long query that mostly misses outweigh all that
    meaning has found. Divide by the root of what the query could have scored.
    """


@variant("surprise")
def surprise_as_an_array(scores, sample=None):
    """The same by vectorised erfc."""
    others = scores if sample is None else sample
    spread = others.std() if scores.size and np.ptp(others) > 0 else 0.0
    if not spread:
        return np.zeros(len(scores))
    tails = np.vectorize(math.erfc)((scores - others.mean()) / spread / np.sqrt(2)) / 2
    return -np.log(np.maximum(tails, math.ulp(0.0)))


# --- rerank --------------------------------------------------------------------------------------------------


@mistake("rerank")
def asks_passage_by_passage(query, ids, passages, encoder):
    """You ask the encoder for one passage at a time. A model takes a batch in little more time than one: give it all
    passages in one call.
    """
    if len(ids) != len(passages):
        raise ValueError(f"rerank: ids and passages must be as many; got {len(ids)} ids and {len(passages)} passages.")
    rows = [np.asarray(encoder.score(query, [passage]), np.float64) for passage in passages]
    for row in rows:
        if row.shape != (1,):
            raise ValueError(f"rerank: the encoder must give {len(ids)} scores, one a passage; got shape {row.shape}.")
    scores = np.concatenate(rows) if rows else np.zeros(0)
    order = np.argsort(-scores, kind="stable")
    return np.asarray(ids, np.int64)[order], scores[order]


@mistake("rerank", edit=('np.argsort(-scores, kind="stable")', 'np.argsort(scores, kind="stable")[::-1]'))
def turns_the_order_of_equals():
    """You sort upwards and turn the result round, which turns the order of equal scores, too: the last of the cheaper
    search comes first. Sort -scores, with a stable sort.
    """


# --- measures ------------------------------------------------------------------------------------------------


@mistake("ndcg")
def compares_with_the_best_order_of_what_was_found(ranking, gains, k=10):
    """You compare with the best order of the documents that were found. A search that finds one relevant document of
    ten then scores 1. The best order is that of all judged documents.
    """
    found = _gains("ndcg", ranking, gains, k)[:k]
    if not any(gain > 0 for gain in gains.values()):
        return float("nan")
    discounts = 1 / np.log2(np.arange(k) + 2)
    best = np.sort(found)[::-1]
    total = best @ discounts[: len(best)]
    return float(found @ discounts[: len(found)] / total) if total else 0.0


@mistake("ndcg", edit=("np.log2(np.arange(k) + 2)", "np.maximum(np.log2(np.arange(k) + 1), 1)"))
def discounts_from_log_of_the_rank():
    """You divide by log2(rank), which is 0 for the first rank, and 1 for the second. It is log2(rank + 1): 1 for the
    first.
    """


@mistake("ndcg")
def uses_exponential_gains(ranking, gains, k=10):
    """You count a gain g as 2^g - 1, as some web search papers do. Here, as in trec_eval, a gain counts what it is."""
    found = 2 ** _gains("ndcg", ranking, gains, k)[:k] - 1
    best = 2 ** np.sort([float(gain) for gain in gains.values() if gain > 0])[::-1][:k] - 1
    discounts = 1 / np.log2(np.arange(k) + 2)
    return float(found @ discounts[: len(found)] / (best @ discounts[: len(best)])) if len(best) else float("nan")


@mistake("ndcg", edit=('float("nan")', "0.0"))
def calls_nothing_to_find_zero():
    """You return 0 where there is nothing to find, and the mean over queries blames the search for it. There is no
    score then: nan, so that such a query is noticed and left out.
    """


@variant("ndcg")
def ndcg_in_a_loop(ranking, gains, k=10):
    """Sums written out."""
    import math

    found = _gains("ndcg", ranking, gains, k)
    best = sorted((float(gain) for gain in gains.values() if gain > 0), reverse=True)
    if not best:
        return math.nan

    def cumulative(values):
        return sum(value / math.log2(rank + 1) for rank, value in enumerate(values[:k], start=1))

    return float(cumulative(found.tolist()) / cumulative(best))


@mistake("average_precision")
def averages_over_what_was_found(ranking, gains):
    """You average over the documents that were found. One hit at the first place then scores 1, whatever was missed.
    Divide by how many there are to find.
    """
    found = _gains("average_precision", ranking, gains) > 0
    if not any(gain > 0 for gain in gains.values()):
        return float("nan")
    precision = np.cumsum(found) / np.arange(1, len(found) + 1)
    return float(precision[found].mean()) if found.any() else 0.0


@mistake("average_precision")
def averages_precision_at_every_rank(ranking, gains):
    """You average the precision at all ranks. Only ranks with a hit count, or what comes after the last one drags the
    score down.
    """
    found = _gains("average_precision", ranking, gains) > 0
    if not any(gain > 0 for gain in gains.values()):
        return float("nan")
    precision = np.cumsum(found) / np.arange(1, len(found) + 1)
    return float(precision.mean()) if len(found) else 0.0


@variant("average_precision")
def average_precision_in_a_loop(ranking, gains):
    """Hit by hit."""
    relevant = sum(gain > 0 for gain in gains.values())
    total, hits = 0.0, 0
    for rank, gain in enumerate(_gains("average_precision", ranking, gains).tolist(), start=1):
        if gain > 0:
            hits += 1
            total += hits / rank
    return total / relevant if relevant else float("nan")
