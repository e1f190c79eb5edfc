"""Ranking: which of many passages answer a question, best first, and how good a ranking is.

BM25 finds passages by their words, an embedding finds them by their meaning, and each finds what the other misses.
Fusion makes one list of the two, feedback lets the words ask again, a cross-encoder reads the best few once more.

    lexical = BM25()
    lexical.add([1, 2, 3], ["Pods restart in a loop", "Disk is full on node-7", "CrashLoopBackOff of checkout"])
    ids, scores = lexical.search(["why does checkout crash?"], k=2)
    lexical.remove([2])                           # no rebuild: the scores are those of a fresh index
    ids, scores = hybrid_search(questions, lexical, dense, k=10)
    ndcg(ids[0], {3: 2.0, 1: 1.0}, k=10)

Axes: `queries` and `k` are rows and columns of a result, best first. An id of -1 fills a row in which fewer were found.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import Protocol

import numpy as np
import Stemmer
from jaxtyping import Float, Float32, Int, Int64
from numba import njit
from numpy.typing import ArrayLike

Found = tuple[Int64[np.ndarray, "queries k"], Float[np.ndarray, "queries k"]]
"""What a search returns: ids, best first, and their scores; -1 where there are no more."""
Ids = Sequence[int] | Int[np.ndarray, " ids"]
Query = str | Mapping[str, float]
"""A text, or how much each term counts."""

# The English list of the Snowball project, without the contractions, which fall apart at their apostrophes.
STOP_WORDS = frozenset(
    """i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers herself
    it its itself they them their theirs themselves what which who whom this that these those am is are was were be
    been being have has had having do does did doing would should could ought a an the and but if or because as until
    while of at by for with about against between into through during before after above below to from up down in out
    on off over under again further then once here there when where why how all any both each few more most other some
    such no nor not only own same so than too very s t can will just don now""".split()
)
# Kana, Han, Thai, Lao, Burmese and Khmer, with their combining marks: scripts that put no spaces between words.
UNSPACED = (
    r"\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u0edc-\u0eff\u1000-\u103f\u1050-\u109f\u1780-\u17d3\u17d7\u17dc\u17dd"
    r"\u3005-\u3007\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
WORD = re.compile(rf"[{UNSPACED}]+|[^\W_{UNSPACED}]+(?:[._\-/:@'’][^\W_{UNSPACED}]+)*")
RUN = re.compile(f"[{UNSPACED}]")
JOINT = re.compile(r"[._\-/:@'’]")
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
_stemmer = Stemmer.Stemmer("english")


def analyse(text: str) -> list[str]:
    """The terms of a text, in order: those of each of its words (see `word_terms`), letters composed (NFC).

    Where a script puts no spaces between words, each pair of neighbouring characters is a term, and a character that
    stands alone. Most words there have two characters, and pairs ask for no dictionary (Nie, Gao, Zhang and Zhou, 2000,
    https://doi.org/10.1145/355214.355235). Not covered: a single character asked for within a longer run.
    """
    terms: list[str] = []
    for word in WORD.findall(unicodedata.normalize("NFC", text)):
        # The comparison spares most words the look: it is false for Latin, Greek, Cyrillic, Arabic and their like.
        if word >= "\u0e01" and RUN.match(word):
            terms += map("".join, pairwise(word)) if len(word) > 1 else [word]
        else:
            terms += word_terms(word)
    return terms


@lru_cache(maxsize=1 << 17)  # a text has few different words
def word_terms(word: str) -> tuple[str, ...]:
    """What a word is found by: its parts in lower case, without stop words, stemmed by Snowball's English stemmer.

    The parts lie between joints (`. _ - / : @ '`) and humps (`CrashLoopBackOff`). A word of several parts that looks
    like an identifier (a hump, an underscore or a digit in it) is found by the whole of it as well, in lower case and
    unstemmed; that term comes first.
    """
    parts = JOINT.split(word)
    pieces = [piece for part in parts for piece in HUMP.split(part)]
    identifier = len(pieces) > 1 and (len(pieces) > len(parts) or any(c == "_" or c.isdigit() for c in word))
    plain = [piece for piece in map(str.lower, pieces) if piece not in STOP_WORDS]
    return (*([word.lower()] if identifier else []), *_stemmer.stemWords(plain))


def idf(containing: ArrayLike, documents: int) -> Float[np.ndarray, "..."]:
    """How much a term tells that occurs in `containing` of the documents: log(1 + (N - n + ½) / (n + ½)).

    This is Lucene's form of the weight of Robertson and Spärck Jones: the 1 keeps it above zero for a term that most
    documents hold (Robertson and Zaragoza, The Probabilistic Relevance Framework, 2009, section 3).
    """
    n = np.asarray(containing, dtype=np.float64)
    return np.log1p((documents - n + 0.5) / (n + 0.5))


@njit(cache=True)
def search_postings(
    queries: Int64[np.ndarray, " queries+1"],
    terms: Int64[np.ndarray, " asked"],
    weights: Float32[np.ndarray, " asked"],
    starts: Int64[np.ndarray, " terms"],
    sizes: Int64[np.ndarray, " terms"],
    slots: Int[np.ndarray, " postings"],
    counts: Float32[np.ndarray, " postings"],
    norms: Float32[np.ndarray, " slots"],
    names: Int64[np.ndarray, " slots"],
    ids: Int64[np.ndarray, "queries k"],
    scores: Float32[np.ndarray, "queries k"],
) -> None:
    """Write the `k` best documents of each query into `ids` and `scores`; of equal scores, the smaller id is first.

    Query q asks for `terms[queries[q]:queries[q + 1]]`, whose postings lie from `starts[term]`, `sizes[term]` of them:
    a document's slot and how often the term occurs there. Each adds weight · count / (count + norm) to its document,
    in the order of the terms, so that a score depends on nothing else. Only what has a term is looked at.

    Args:
        queries: where the terms of each query begin, and where the last one's end.
        terms: numbers of terms.
        weights: the weight of each: idf times how much the query asks for it.
        starts: for each term, where its postings begin.
        sizes: for each term, how many postings it has.
        slots: the document of each posting.
        counts: the count of each posting.
        norms: for each slot, k1 · (1 - b + b · length / average length).
        names: for each slot, the document's id.
        ids: to be filled; holds -1.
        scores: to be filled; holds 0.
    """
    k = ids.shape[1]
    sums = np.zeros(len(norms), np.float32)
    seen = np.empty(len(norms), np.int64)
    for q in range(len(queries) - 1):
        found = 0
        for i in range(queries[q], queries[q + 1]):
            weight = weights[i]
            start = starts[terms[i]]
            for p in range(start, start + sizes[terms[i]]):
                slot = slots[p]
                part = weight * counts[p] / (counts[p] + norms[slot])
                if sums[slot] == 0 and part > 0:
                    seen[found] = slot
                    found += 1
                sums[slot] += part
        for j in range(found):
            score, name = sums[seen[j]], names[seen[j]]
            sums[seen[j]] = 0
            # Almost every document ends here. The others move up to their place, which for small k beats a heap.
            place = k - 1
            if score < scores[q, place] or (score == scores[q, place] and name > ids[q, place]):
                continue
            while place > 0 and (
                score > scores[q, place - 1] or (score == scores[q, place - 1] and name < ids[q, place - 1])
            ):
                scores[q, place], ids[q, place] = scores[q, place - 1], ids[q, place - 1]
                place -= 1
            scores[q, place], ids[q, place] = score, name


@njit(cache=True)
def append_postings(terms, slot_of, count_of, starts, sizes, slots, counts):
    """Put each (term, slot, count) at the end of its term's postings, where there is room."""
    for i in range(len(terms)):
        end = starts[terms[i]] + sizes[terms[i]]
        slots[end], counts[end] = slot_of[i], count_of[i]
        sizes[terms[i]] += 1


@njit(cache=True)
def remove_postings(terms, gone, starts, sizes, slots, counts):
    """Close the ranks of the terms' postings over the documents that are `gone`, a flag for each slot."""
    for term in terms:
        start, kept = starts[term], 0
        for p in range(start, start + sizes[term]):
            if not gone[slots[p]]:
                slots[start + kept], counts[start + kept] = slots[p], counts[p]
                kept += 1
        sizes[term] = kept


class BM25:
    """An index that ranks documents by the words they share with a query, and changes without being rebuilt.

        score(query, document) = Σ idf(term) · count / (count + k1 · (1 - b + b · length / average length))

    over the query's terms (Robertson and Zaragoza, 2009, equation 3.15 without its constant factor k1 + 1, as in Lucene
    since version 8). Documents are known by integer ids. After any adding and removing, every score is to the last bit
    that of a new index of what is left: only counts are stored, and what depends on the whole collection (how many hold
    a term, the average length) enters when a query is asked.

    Args:
        k1: how slowly the count of a term saturates; 0 counts presence alone.
        b: how much a long document is held to account for its length, from 0 to 1.
        analyse: what makes terms of a text, for documents and queries alike.
    """

    def __init__(self, *, k1: float = 1.5, b: float = 0.75, analyse: Callable[[str], list[str]] = analyse) -> None:
        if not k1 >= 0 or not np.isfinite(k1):
            raise ValueError(f"BM25: k1 must be a number from 0 upwards, not {k1}. The usual values are 1.2 to 2.")
        if not 0 <= b <= 1:
            raise ValueError(f"BM25: b must be from 0 to 1, not {b}. The usual value is 0.75.")
        self.k1, self.b, self.analyse = k1, b, analyse
        self._terms: dict[str, int] = {}
        self._words: list[str] = []  # the terms by number
        self._slot: dict[int, int] = {}  # the place of each document
        self._held: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # its terms and their counts
        self._free: list[int] = []  # places of removed documents
        self._names = np.empty(0, np.int64)
        self._lengths = np.empty(0, np.int64)
        self._total = 0
        # Postings lie in two long arrays, each term's in one piece, with room to grow at its end.
        self._starts, self._sizes, self._rooms = (np.zeros(0, np.int64) for _ in range(3))
        self._slots, self._counts = np.empty(0, np.int32), np.empty(0, np.float32)
        self._used = 0

    def __len__(self) -> int:
        return len(self._slot)

    def __contains__(self, id: object) -> bool:
        return id in self._slot

    def add(self, ids: Ids, texts: Sequence[str]) -> None:
        """Put documents in; one whose id is known takes the place of the old one.

        Args:
            ids: a whole number from 0 upwards for each document, none twice.
            texts: as many texts.

        Raises:
            ValueError: there are not as many ids as texts, or an id is negative or occurs twice.
        """
        ids = [int(id) for id in ids]
        if len(ids) != len(texts):
            raise ValueError(f"BM25.add: ids and texts must be as many; got {len(ids)} ids and {len(texts)} texts.")
        if len(set(ids)) < len(ids):
            twice = next(id for id, times in Counter(ids).items() if times > 1)
            raise ValueError(f"BM25.add: ids must not repeat; {twice} is there more than once. Keep one.")
        if min(ids, default=0) < 0:
            raise ValueError(f"BM25.add: ids must be 0 or more, not {min(ids)}: -1 marks an empty place in a result.")
        counted = [Counter(self.analyse(text)) for text in texts]
        self.remove([id for id in ids if id in self._slot])
        for terms in counted:
            for term in terms:
                if self._terms.setdefault(term, len(self._words)) == len(self._words):
                    self._words.append(term)
        self._make_places(len(ids))
        for id, terms in zip(ids, counted, strict=True):
            numbers = np.fromiter((self._terms[term] for term in terms), np.int64, len(terms))
            counts = np.fromiter(terms.values(), np.float32, len(terms))
            slot = self._free.pop()
            self._slot[id], self._held[id] = slot, (numbers, counts)
            self._names[slot], self._lengths[slot] = id, terms.total()
            self._total += terms.total()
        if ids:
            numbers, counts = (np.concatenate(parts) for parts in zip(*(self._held[id] for id in ids), strict=True))
            slots = np.repeat([self._slot[id] for id in ids], [len(self._held[id][0]) for id in ids])
            self._make_room(np.bincount(numbers, minlength=len(self._words)))
            append_postings(numbers, slots, counts, self._starts, self._sizes, self._slots, self._counts)

    def remove(self, ids: Ids) -> None:
        """Take documents out.

        Raises:
            ValueError: an id is not in the index, or occurs twice. Nothing is removed then.
        """
        ids = [int(id) for id in ids]
        missing = [id for id, times in Counter(ids).items() if id not in self._slot or times > 1]
        if missing:
            raise ValueError(f"BM25.remove: ids must be in the index, each named once; {missing[0]} is not.")
        gone = np.zeros(len(self._names), np.bool_)
        touched = [np.empty(0, np.int64)]
        for id in ids:
            slot = self._slot.pop(id)
            touched.append(self._held.pop(id)[0])
            gone[slot] = True
            self._total -= int(self._lengths[slot])
            self._free.append(slot)
        terms = np.unique(np.concatenate(touched))
        remove_postings(terms, gone, self._starts, self._sizes, self._slots, self._counts)

    def search(self, queries: Sequence[Query], k: int) -> Found:
        """The `k` best documents for each query that share a term with it.

        Args:
            queries: texts, or mappings from terms to how much they count (see `expand`).
            k: how many for each query.

        Returns:
            Ids, best first, and scores; of equal scores the smaller id comes first. Where fewer were found, -1 and 0,
            which is what a document without any of the terms scores.

        Raises:
            ValueError: `k` is less than 1, `queries` is one text, or a weight is not above zero.
        """
        if isinstance(queries, str):
            raise ValueError(f"BM25.search: queries must be a list of texts, not one text: write [{queries!r}].")
        if k < 1:
            raise ValueError(f"BM25.search: k must be at least 1, not {k}.")
        ids, scores = np.full((len(queries), k), -1, np.int64), np.zeros((len(queries), k), np.float32)
        asked = [self._known(query) for query in queries]
        ends = np.cumsum([0, *map(len, asked)])
        terms = np.fromiter((term for query in asked for term in query), np.int64, ends[-1])
        weights = np.fromiter((weight for query in asked for weight in query.values()), np.float64, ends[-1])
        if not np.all(weights > 0):
            raise ValueError(f"BM25.search: the weights of queries must be above 0, not {weights.min()}. Leave it out.")
        weights = (weights * idf(self._sizes[terms], len(self))).astype(np.float32)
        postings = self._starts, self._sizes, self._slots, self._counts
        search_postings(ends, terms, weights, *postings, self._norms(), self._names, ids, scores)
        return ids, scores

    def bounds(self, queries: Sequence[Query]) -> Float[np.ndarray, " queries"]:
        """For each query, what no score exceeds: Σ idf(term) · how much the query asks for it.

        A term that no document has counts too, with the largest idf: what is missing was asked for.
        """
        asked = [self._weighed(query) for query in queries]
        held = [[self._sizes[self._terms[term]] if term in self._terms else 0 for term in query] for query in asked]
        pairs = zip(held, asked, strict=True)
        return np.array([idf(sizes, len(self)) @ np.array([*query.values()]) for sizes, query in pairs], np.float64)

    def expand(
        self,
        query: Query,
        ids: Ids,
        weights: Sequence[float] | None = None,
        *,
        terms: int = 20,
        share: float = 0.2,
    ) -> dict[str, float]:
        """The query with words of documents that are taken to answer it: pseudo-relevance feedback.

        A term is worth what it adds to the documents' BM25 scores, count for count as in a search, summed over the
        documents by weight (Rocchio, 1971, in the space of BM25's scores). The terms of most worth (of equal ones, the
        first in the alphabet) make up `share` of the new query, in proportion to it; the old query the rest.

        Args:
            query: what was asked.
            ids: documents found for it; -1 is passed over.
            weights: how much each document counts; alike unless given.
            terms: how many terms to take.
            share: the part of the new query that they make up, from 0 to 1.

        Returns:
            A weight for each term, summing to 1; the query's own terms alone where the documents have none.

        Raises:
            ValueError: an id is not in the index, or there are not as many weights as ids.
        """
        own = self._weighed(query)
        own = {term: weight / sum(own.values()) for term, weight in own.items()}
        worth: Counter[int] = Counter()
        weights = [1.0] * len(ids) if weights is None else weights
        if len(weights) != len(ids):
            raise ValueError(f"BM25.expand: weights must be one for each of {len(ids)} ids; got {len(weights)}.")
        for id, counted in zip(ids, weights, strict=True):
            if id == -1:
                continue
            if id not in self._held:
                raise ValueError(f"BM25.expand: ids must be in the index; {id} is not. Search again.")
            numbers, counts = self._held[id]
            norm = self._norms()[self._slot[id]]
            parts = counted * idf(self._sizes[numbers], len(self)) * counts / (counts + norm)
            worth.update(dict(zip(numbers, parts, strict=True)))
        best = sorted(worth, key=lambda number: (-worth[number], self._words[number]))[:terms]
        if not best:
            return own
        mixed = {term: weight * (1 - share) for term, weight in own.items()}
        for number in best:
            part = share * worth[number] / sum(worth[other] for other in best)
            mixed[self._words[number]] = mixed.get(self._words[number], 0.0) + part
        return {term: weight for term, weight in mixed.items() if weight > 0}

    def _norms(self) -> Float32[np.ndarray, " slots"]:
        average = self._total / len(self) if self._total else 1.0
        return (self.k1 * (1 - self.b + self.b * self._lengths / average)).astype(np.float32)

    def _weighed(self, query: Query) -> Mapping[str, float]:
        return Counter(self.analyse(query)) if isinstance(query, str) else query

    def _known(self, query: Query) -> dict[int, float]:
        return {self._terms[t]: w for t, w in self._weighed(query).items() if t in self._terms}

    def _make_places(self, count: int) -> None:
        old = len(self._names)
        more = max(count - len(self._free), old // 2) if count > len(self._free) else 0
        self._names = np.concatenate([self._names, np.full(more, -1, np.int64)])
        self._lengths = np.concatenate([self._lengths, np.zeros(more, np.int64)])
        self._free[:0] = range(old + more - 1, old - 1, -1)

    def _make_room(self, added: Int64[np.ndarray, " terms"]) -> None:
        """Move the terms that need it to the end of the arrays, with room for twice what they need."""
        fresh = np.zeros(len(added) - len(self._starts), np.int64)
        self._starts, self._sizes, self._rooms = (
            np.concatenate([old, fresh]) for old in (self._starts, self._sizes, self._rooms)
        )
        tight = np.flatnonzero(self._sizes + added > self._rooms)
        rooms = 2 * (self._sizes + added)[tight]
        places = self._used + np.cumsum(rooms) - rooms
        self._used += int(rooms.sum())
        if self._used > len(self._slots):
            longer = np.zeros(max(self._used, 2 * len(self._slots)) - len(self._slots), np.int32)
            self._slots = np.concatenate([self._slots, longer])
            self._counts = np.concatenate([self._counts, longer.astype(np.float32)])
        for term, place in zip(tight, places, strict=True):
            old = slice(self._starts[term], self._starts[term] + self._sizes[term])
            new = slice(place, place + self._sizes[term])
            self._slots[new], self._counts[new] = self._slots[old], self._counts[old]
        self._starts[tight], self._rooms[tight] = places, rooms


def reciprocal_rank_fusion(
    rankings: Sequence[Int[np.ndarray, "queries depth"]], k: int, *, constant: float = 60.0
) -> Found:
    """One ranking of several by the ranks alone: a document scores Σ 1 / (constant + its rank), ranks counted from 1.

    A ranking without the document adds nothing (Cormack, Clarke and Büttcher, SIGIR 2009, which found the constant).

    Args:
        rankings: for each retriever, the ids that it found, best first; -1 where there are no more.
        k: how many to return for each query.
        constant: how little the first few ranks differ.

    Raises:
        ValueError: there is no ranking, they are of different numbers of queries, or `k` is less than 1.
    """
    _check_rankings("reciprocal_rank_fusion", [np.shape(ids) for ids in rankings], k)
    fused: list[dict[int, float]] = []
    for rows in zip(*rankings, strict=True):
        scores: dict[int, float] = {}
        for row in rows:
            for rank, id in enumerate(row.tolist(), start=1):
                if id != -1:
                    scores[id] = scores.get(id, 0.0) + 1 / (constant + rank)
        fused.append(scores)
    return _best(fused, k)


def score_fusion(found: Sequence[Found], k: int, *, weights: Sequence[float] | None = None) -> Found:
    """One ranking of several by their scores, each query's of each retriever standardised first.

    BM25's scores have no upper end and cosines hardly differ, so neither can be added as it is. Of each row the mean is
    taken away and the standard deviation divided out; then one point is the same on both scales: how far a document
    stands out. A document that a retriever did not find counts with the lowest of its row. Places with the id -1 take
    part in the mean and the deviation where their score is a number, as BM25's do: it is what the others score there,
    so a word that one document alone has makes that one stand out.

    Args:
        found: what each retriever returned.
        k: how many to return for each query.
        weights: how much each retriever counts; alike unless given.

    Returns:
        Ids, best first, and fused scores; of equal scores the smaller id comes first. -1 and -inf fill a row up.

    Raises:
        ValueError: there is no ranking, they are of different numbers of queries, there are not as many weights, or `k`
            is less than 1.
    """
    _check_rankings("score_fusion", [np.shape(ids) for ids, _ in found], k)
    weights = [1.0] * len(found) if weights is None else weights
    if len(weights) != len(found):
        raise ValueError(f"score_fusion: weights must be one for each of {len(found)} rankings; got {len(weights)}.")
    fused: list[dict[int, float]] = []
    for query in range(len(found[0][0])):
        rows = [(ids[query].tolist(), np.asarray(scores[query], np.float64)) for ids, scores in found]
        total = dict.fromkeys((id for ids, _ in rows for id in ids if id != -1), 0.0)
        for weight, (ids, scores) in zip(weights, rows, strict=True):
            known = scores[np.isfinite(scores)]
            if known.size == 0 or np.ptp(known) == 0:
                continue  # all alike: it tells nothing apart
            points = (scores - known.mean()) / known.std()
            own = dict(zip(ids, points.tolist(), strict=True))
            floor = (known.min() - known.mean()) / known.std()
            for id in total:
                total[id] += weight * own.get(id, floor)
        fused.append(total)
    return _best(fused, k)


def surprise(
    scores: Float[np.ndarray, " found"], sample: Float[np.ndarray, " sampled"] | None = None
) -> Float[np.ndarray, " found"]:
    """How unlikely each score is to lie so far above the others by chance: -log P(Z ≥ z), in nats.

    A heuristic of this project. z is the score's distance from the mean of the sample in its standard deviations, Z a
    normal variable. It grows as z² / 2, so of a row in which nothing stands out no score is worth much, and of one in
    which something does, that is worth a lot.

    Args:
        scores: finite numbers.
        sample: those of documents drawn at random, by which the others are judged; `scores` themselves where they are
            of all documents. The best thousand of many are no such sample: the first of them lies far out of *those*
            even if all is noise. Where all are alike they tell nothing apart, and each score is worth 0.
    """
    others = scores if sample is None else sample
    if scores.size == 0 or np.ptp(others) == 0:
        return np.zeros(len(scores))
    points = (scores - others.mean()) / others.std()
    tails = [math.erfc(point / math.sqrt(2)) / 2 for point in points.tolist()]
    return np.array([-math.log(max(tail, math.ulp(0.0))) for tail in tails])


def evidence_fusion(
    words: Found,
    bounds: Float[np.ndarray, " queries"],
    meaning: Found,
    k: int,
    *,
    scale: float = 16.0,
    chance: Float[np.ndarray, "queries sampled"] | None = None,
) -> Found:
    """One ranking of a search by words and one by meaning, in which the one that knows more has more to say.

    A heuristic of this project, without a reference. Standardised scores say how far a document stands out, not whether
    that is much. Two things do:

    - A BM25 score has a bound B, which it comes near where a document says all that was asked. It counts as `scale`
      times score / √B: words that mostly miss do not outvote meaning. The root is there because a sum of terms varies
      as the root of their number: undivided, the scores of long queries would have all the say, over B itself short.
    - Cosines have no such scale, but chance has, and their `surprise` counts. Where no document stands out more than
      the best of so many would by chance, meaning adds next to nothing.

    What a search did not find counts there with the lowest of its row; a score that is not finite is not found.

    Args:
        words: what BM25 found.
        bounds: what no score of each query exceeds (`BM25.bounds`); where it is 0, words add nothing.
        meaning: what the search by meaning found, with scores of any unit and zero.
        k: how many to return for each query.
        scale: how many nats of surprise a BM25 score is worth, divided by √B.
        chance: the scores by meaning of documents drawn at random, a row for each query, by which those of `meaning`
            are judged; some hundreds will do. Leave it out where `meaning` holds all documents, or nearly all. A list
            of the best of many is a tail: judged by that, the first of it has 18 nats of surprise on pure noise.

    Returns:
        Ids, best first, and their evidence, in nats; of equal scores the smaller id comes first. -1 and -inf fill up.

    Raises:
        ValueError: rankings, bounds or chance are of different numbers of queries, or `k` is less than 1.
    """
    _check_rankings("evidence_fusion", [np.shape(words[0]), np.shape(meaning[0])], k)
    _check_rows(len(words[0]), bounds, chance)
    fused: list[dict[int, float]] = []
    for query, bound in enumerate(bounds):
        weight = scale / np.sqrt(bound) if bound > 0 else 0.0
        sample = None if chance is None else chance[query]
        by_chance = partial(surprise, sample=sample)
        rows = [_worth(words, query, partial(np.multiply, weight)), _worth(meaning, query, by_chance)]
        found = {id for own, _ in rows for id in own if id != -1}
        fused.append({id: sum(own.get(id, lowest) for own, lowest in rows) for id in found})
    return _best(fused, k)


def _worth(found: Found, query: int, of: Callable[[np.ndarray], np.ndarray]) -> tuple[dict[int, float], float]:
    """What each document of a row is worth, and what one is that is not in it."""
    ids, scores = np.asarray(found[0][query]), np.asarray(found[1][query], np.float64)
    known = np.isfinite(scores)
    own = dict(zip(ids[known].tolist(), of(scores[known]).tolist(), strict=True))
    return own, min(own.values(), default=0.0)


def hybrid_search(
    queries: Sequence[str],
    lexical: BM25,
    dense: Callable[[Sequence[str], int], Found],
    k: int,
    *,
    depth: int = 1000,
    feedback: int = 10,
    chance: Callable[[Sequence[str]], Float[np.ndarray, "queries sampled"]] | None = None,
) -> Found:
    """Search by words and by meaning, then by words again, with what the two found together.

    1. Both retrievers find `depth` documents, and their evidence is fused (`evidence_fusion`).
    2. The query takes on words of the best `feedback` of them (`BM25.expand`), and BM25 searches once more: meaning has
       shown it words that the query lacks. A nat of evidence is worth a factor e, so where one document stands out, as
       when the query names it, the others have no say.
    3. The evidence of that search and of the dense one is fused.

    Args:
        queries: texts.
        lexical: the index of words.
        dense: the search by meaning, a function of the queries and of how many to find for each.
        k: how many to return for each query.
        depth: how many each retriever finds.
        feedback: how many documents to learn words from; 0 leaves steps 2 and 3 out.
        chance: the scores that `dense` would give to documents drawn at random, a row for each query; without it, those
            that it finds stand for all. Give it where the index has many more than `depth` documents.
    """
    by_words, by_meaning = lexical.search(queries, depth), dense(queries, depth)
    bounds, sample = lexical.bounds(queries), None if chance is None else chance(queries)
    fuse = partial(evidence_fusion, chance=sample)
    if feedback:
        asked = []
        for query, ids, evidence in zip(queries, *fuse(by_words, bounds, by_meaning, feedback), strict=True):
            there = ids != -1
            asked.append(lexical.expand(query, ids[there].tolist(), np.exp(evidence[there] - evidence[0]).tolist()))
        ids, scores = lexical.search(asked, depth)
        # Weights that sum to 1 make small scores; on the scale of the first search they count as much as there.
        by_words = ids, scores * (bounds / np.maximum(lexical.bounds(asked), 1e-9))[:, None]
    return fuse(by_words, bounds, by_meaning, k)


class CrossEncoder(Protocol):
    """A model that reads query and passage together, so that each word of one can attend to each of the other."""

    def score(self, query: str, passages: Sequence[str]) -> ArrayLike:
        """How well each passage answers the query: a number each, on any scale, more for a better one."""
        ...


def rerank(
    query: str, ids: Ids, passages: Sequence[str], encoder: CrossEncoder
) -> tuple[Int64[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Put documents that a cheaper search has found in the order of a cross-encoder's scores.

    Args:
        query: what was asked.
        ids: the documents, best first by the cheaper search; no -1.
        passages: their texts.
        encoder: what scores them; it is not asked where there is nothing to rank.

    Returns:
        The same ids, best first, and their new scores; of equal scores, the one that came first stays first.

    Raises:
        ValueError: there are not as many passages, or as many scores, as ids, or a score is not a number.
    """
    if len(ids) != len(passages):
        raise ValueError(f"rerank: ids and passages must be as many; got {len(ids)} ids and {len(passages)} passages.")
    scores = np.asarray(encoder.score(query, passages), np.float64) if len(ids) else np.zeros(0)
    if scores.shape != (len(ids),):
        raise ValueError(f"rerank: the encoder must give {len(ids)} scores, one a passage; got shape {scores.shape}.")
    if np.isnan(scores).any():
        raise ValueError(
            f"rerank: scores must be numbers; passage {np.isnan(scores).argmax()} has nan. Mend the encoder."
        )
    order = np.argsort(-scores, kind="stable")
    return np.asarray(ids, np.int64)[order], scores[order]


def ndcg(ranking: Ids, gains: Mapping[int, float], k: int = 10) -> float:
    """Normalised discounted cumulative gain of the first `k`: Σ gain / log2(rank + 1), over that of the best order.

    Gains are linear, as in trec_eval (Järvelin and Kekäläinen, 2002). The best order is that of all judged documents,
    found or not.

    Args:
        ranking: ids, best first, each once; -1 is passed over.
        gains: what each judged document is worth; others are worth nothing.
        k: how many places count.

    Returns:
        From 0 to 1; nan where no document is worth anything, because there was nothing to find.

    Raises:
        ValueError: an id is ranked twice, a gain is negative or not finite, or `k` is less than 1.
    """
    found = _gains("ndcg", ranking, gains, k)[:k]
    best = np.sort([gain for gain in gains.values() if gain > 0])[::-1][:k]
    discounts = 1 / np.log2(np.arange(k) + 2)
    return float(found @ discounts[: len(found)] / (best @ discounts[: len(best)])) if len(best) else float("nan")


def recall(ranking: Ids, gains: Mapping[int, float], k: int) -> float:
    """The share of what is worth something that is among the first `k`; nan where nothing is. See `ndcg`."""
    found = _gains("recall", ranking, gains, k)[:k]
    relevant = sum(gain > 0 for gain in gains.values())
    return float(np.count_nonzero(found) / relevant) if relevant else float("nan")


def reciprocal_rank(ranking: Ids, gains: Mapping[int, float]) -> float:
    """1 / rank of the first document worth something, 0 where none is found, nan where none is; its mean is MRR."""
    found = _gains("reciprocal_rank", ranking, gains) > 0
    if not any(gain > 0 for gain in gains.values()):
        return float("nan")
    return float(1 / (found.argmax() + 1)) if found.any() else 0.0


def average_precision(ranking: Ids, gains: Mapping[int, float]) -> float:
    """The mean, over all documents worth something, of the precision at each one's rank; 0 for one that is not found.

    nan where none is worth anything. Its mean over queries is MAP. Arguments as in `ndcg`.
    """
    found = _gains("average_precision", ranking, gains) > 0
    relevant = sum(gain > 0 for gain in gains.values())
    precision = np.cumsum(found) / np.arange(1, len(found) + 1)
    return float(precision[found].sum() / relevant) if relevant else float("nan")


def _gains(name: str, ranking: Ids, gains: Mapping[int, float], k: int = 1) -> Float[np.ndarray, " ranked"]:
    """The gain at each rank, after a look at the arguments."""
    if k < 1:
        raise ValueError(f"{name}: k must be at least 1, not {k}.")
    ids = [int(id) for id in ranking if id != -1]
    if len(set(ids)) < len(ids):
        twice = next(id for id, times in Counter(ids).items() if times > 1)
        raise ValueError(f"{name}: ranking must hold each id once; {twice} is there more than once.")
    for id, gain in gains.items():
        if not 0 <= gain < np.inf:
            raise ValueError(f"{name}: gains must be 0 or more, not {gain} (of document {id}). Leave it out.")
    return np.array([gains.get(id, 0.0) for id in ids], np.float64)


def _check_rankings(name: str, shapes: Sequence[tuple[int, ...]], k: int) -> None:
    if k < 1:
        raise ValueError(f"{name}: k must be at least 1, not {k}.")
    if not shapes:
        raise ValueError(f"{name}: there must be at least one ranking; got none.")
    if any(len(shape) != 2 for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
        listed = " and ".join(str(shape) for shape in shapes)
        raise ValueError(f"{name}: rankings must be (queries, depth), of the same queries; got shapes {listed}.")


def _check_rows(
    queries: int, bounds: Float[np.ndarray, " queries"], chance: Float[np.ndarray, "queries sampled"] | None
) -> None:
    """Refuse bounds that are not one for each query, and a sample that is not a row of scores for each."""
    if len(bounds) != queries:
        raise ValueError(f"evidence_fusion: bounds must be one a query; got {len(bounds)} for {queries} queries.")
    shape = None if chance is None else np.shape(chance)
    if shape is not None and (len(shape) != 2 or shape[0] != queries or not shape[1]):
        raise ValueError(
            f"evidence_fusion: chance must be a row of scores for each of {queries} queries; got the shape {shape}."
        )


def _best(fused: Sequence[Mapping[int, float]], k: int) -> Found:
    """The `k` best of each query as arrays; of equal scores the smaller id comes first."""
    ids, scores = np.full((len(fused), k), -1, np.int64), np.full((len(fused), k), -np.inf)
    for row, found in enumerate(fused):
        for place, (id, score) in enumerate(sorted(found.items(), key=lambda one: (-one[1], one[0]))[:k]):
            ids[row, place], scores[row, place] = id, score
    return ids, scores
