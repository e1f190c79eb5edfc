"""What must be true of ranking: terms, BM25 and its changes, feedback, fusion, re-ranking, and the measures."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.special import log_ndtr
from sklearn.metrics import average_precision_score, ndcg_score

from groundup.checking import assert_close, assert_refuses, assert_shape
from groundup.stack.retrieval.ranking import (
    BM25,
    analyse,
    average_precision,
    evidence_fusion,
    idf,
    ndcg,
    reciprocal_rank_fusion,
    remove_postings,
    rerank,
    score_fusion,
    search_postings,
    surprise,
    word_terms,
)

INF, NAN = float("inf"), float("nan")


def assert_equal(actual, expected, message):
    """Fail unless the two lists, tuples or dictionaries are equal."""
    __tracebackhide__ = True
    if actual is None:
        pytest.fail(f"{message}\n  It returned None: is a `return` missing?", pytrace=False)
    if actual != expected:
        pytest.fail(f"{message}\n  expected {expected}\n  got      {actual}", pytrace=False)


def assert_found(found, ids, scores, message, **tolerance):
    """Fail unless a search returned these ids and scores, as two tables."""
    __tracebackhide__ = True
    if not isinstance(found, tuple) or len(found) != 2:
        pytest.fail(f"{message}\n  it should return a pair, ids and scores; got {type(found).__name__}", pytrace=False)
    assert_close(found[0], ids, f"{message}: the ids")
    assert_close(found[1], scores, f"{message}: the scores", **tolerance)


# --- word_terms ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected", "why"),
    [
        ("Pods", ("pod",), "a word: lower case, and its ending is cut off"),
        ("restarting", ("restart",), "another ending of it"),
        ("the", (), "a stop word gives nothing"),
        ("The", (), "nor does it with a capital letter"),
        ("Why", (), "it is one before it is stemmed: its stem is in no list"),
        ("kube-proxy", ("kube", "proxi"), "two plain parts, each stemmed; without digit or hump it is no identifier"),
        ("out-of-memory", ("memori",), "stop words among the parts give nothing either"),
        ("CrashLoopBackOff", ("crashloopbackoff", "crash", "loop", "back"), "the whole first, then its humps"),
        ("HTTPServer", ("httpserver", "http", "server"), "the hump is before the S, the last capital letter"),
        ("PVCs", ("pvcs",), "a plural of capital letters has no hump"),
        ("OOMKILLED", ("oomkil",), "capital letters alone are no humps"),
        ("x86Build", ("x86build", "x86", "build"), "a capital letter after a digit is a hump, too"),
        ("http_503", ("http_503", "http", "503"), "an underscore makes an identifier of it"),
        ("max_pods", ("max_pods", "max", "pod"), "without a digit as well; the whole is not stemmed"),
        ("10.0.0.1:8080", ("10.0.0.1:8080", "10", "0", "0", "1", "8080"), "an address: the whole, then its numbers"),
        ("node-7", ("node-7", "node", "7"), "a digit after a joint makes an identifier of it"),
        ("web7c9", ("web7c9",), "a digit alone parts nothing, and one part is there once"),
        ("don't", (), "what is left of a contraction is a stop word each"),
        ("Müller", ("müller",), "letters beyond ASCII stay"),
    ],
)
def test_word_terms(word, expected, why):
    """Each kind of word is found by what it should be."""
    got = word_terms(word)
    assert_equal(got if got is None else tuple(got), expected, f"word_terms({word!r}): {why}")


# --- idf -----------------------------------------------------------------------------------------------------


def test_idf_by_hand():
    """log(1 + (N - n + ½) / (n + ½)), of any counts: above zero even if all documents hold the term."""
    assert_close(idf(1, 4), math.log(10 / 3), "idf(1, 4), in 1 of 4 documents: log(1 + 3.5 / 1.5)")
    assert_close(idf([0, 4], 4), [math.log(10), math.log(10 / 9)], "idf([0, 4], 4), of a list")
    assert_shape(idf(np.zeros((2, 3), int), 5), (2, 3), "idf of a table of counts")
    small = np.array([200], np.uint8)
    assert_close(idf(small, 300), [math.log(301 / 200.5)], "idf of an 8-bit count, of 300 documents")


# --- search_postings and remove_postings ---------------------------------------------------------------------


def postings(*lists):
    """Starts, sizes, slots and counts of terms whose postings are given as {slot: count}, with some room between."""
    starts, slots, counts = [], [], []
    for one in lists:
        starts.append(len(slots))
        slots += [*one, 99, 99]
        counts += [*one.values(), 7, 7]
    sizes = np.array([len(one) for one in lists], np.int64)
    return np.array(starts, np.int64), sizes, np.array(slots, np.int32), np.array(counts, np.float32)


def searched(queries, index, norms, names, k):
    """Call `search_postings` with queries given as lists of (term, weight)."""
    ends = np.cumsum([0, *map(len, queries)])
    terms = np.array([term for query in queries for term, _ in query], np.int64)
    weights = np.array([weight for query in queries for _, weight in query], np.float32)
    ids, scores = np.full((len(queries), k), -1, np.int64), np.zeros((len(queries), k), np.float32)
    norms, names = np.array(norms, np.float32), np.array(names, np.int64)
    starts, sizes, slots, counts = index
    search_postings(ends, terms, weights, starts, sizes, slots, counts, norms, names, ids, scores)
    return ids, scores


INDEX = postings({0: 1, 2: 3}, {1: 2, 2: 1}, {})


def test_search_postings_by_hand():
    """Weight · count / (count + norm) for each term that a document has."""
    message = (
        "terms 0 (weight 2) and 1 (weight 4); term 0 is in slot 0 once and slot 2 thrice, term 1 in 1 twice, 2 once"
    )
    got = searched([[(0, 2), (1, 4)]], INDEX, [1, 2, 3], [10, 11, 12], 4)
    assert_found(got, [[11, 12, 10, -1]], [[4 / 2, 2 * 3 / 6 + 4 / 4, 2 / 2, 0]], message)


def test_search_postings_keeps_queries_apart():
    """No query sees what another one has summed; one that asks nothing, or next to nothing, finds nothing."""
    queries = [[(0, 1)], [], [(0, 1)], [(2, 1)], [(1, 1)]]
    want = [[7, 5], [-1, -1], [7, 5], [-1, -1], [6, 7]]
    values = [[0.75, 0.5], [0, 0], [0.75, 0.5], [0, 0], [2 / 3, 0.5]]
    message = "five queries; the second asks nothing, the fourth a term that none has"
    assert_found(searched(queries, INDEX, [1, 1, 1], [5, 6, 7], 2), want, values, message)
    got = searched([[(0, 1e-45), (0, 1e-45)]], INDEX, [9, 9, 9], [5, 6, 7], 3)
    assert_found(got, [[-1, -1, -1]], [[0, 0, 0]], "weights of 1e-45: a tenth is 0 in single precision")


def test_search_postings_breaks_ties_by_id():
    """Of equal scores the smaller id is first, wherever and whenever it comes, also where not all fit."""
    index = postings({0: 5, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1})
    for names in ([50, 4, 5, 6, 7, 8], [50, 8, 7, 6, 5, 4], [50, 6, 4, 8, 5, 7]):
        for k in (1, 2, 3, 4, 5, 6):
            ids, _ = searched([[(0, 1)]], index, [1] * 6, names, k)
            assert_close(ids, [[50, 4, 5, 6, 7, 8][:k]], f"the {k} best: of slots {names}, 50 has 5/6, the others ½")


def test_search_postings_against_a_dense_table(rng):
    """On random postings it finds what sorting every document's score finds, and leaves the index as it was."""
    documents, vocabulary = 30, 8
    table = rng.integers(0, 4, (vocabulary, documents)) * (rng.random((vocabulary, documents)) < 0.5)
    index = postings(*({slot: row[slot] for slot in np.flatnonzero(row)} for row in table))
    names, norms = rng.permutation(1000)[:documents], rng.uniform(0.5, 3, documents)
    weights, kept = rng.uniform(0.1, 5, vocabulary), [array.copy() for array in index]
    for k in (1, 4, 40):
        query = [(int(term), float(weights[term])) for term in rng.permutation(vocabulary)[:5]]
        total = np.sum([weight * table[term] / (table[term] + norms) for term, weight in query], axis=0)
        order = np.lexsort((names, -total))[: np.count_nonzero(total)][:k]
        ids, scores = np.full((1, k), -1), np.zeros((1, k))
        ids[0, : len(order)], scores[0, : len(order)] = names[order], total[order]
        got = searched([query], index, norms, names, k)
        assert_found(got, ids, scores, f"the {k} best of 30 random documents for 5 terms", rtol=1e-5)
    for name, array, before in zip(("starts", "sizes", "slots", "counts"), index, kept, strict=True):
        assert_close(array, before, f"{name} after a search", rtol=0, atol=0)


def test_remove_postings_by_hand():
    """What stays closes ranks in its order; its counts go with it; terms that are not named are not touched."""
    starts, sizes, slots, counts = postings({3: 1, 0: 2, 2: 3, 1: 4}, {0: 5}, {0: 6, 1: 7}, {2: 8, 3: 9})
    gone = np.array([True, False, True, False])
    remove_postings(np.array([0, 1, 3]), gone, starts, sizes, slots, counts)
    assert_close(sizes, [2, 0, 2, 1], "sizes, when slots 0 and 2 are gone from terms 0, 1 and 3, and term 2 not named")
    left = [
        list(zip(slots[a : a + n].tolist(), counts[a : a + n].tolist(), strict=True))
        for a, n in zip(starts, sizes, strict=True)
    ]
    want = [[(3, 1.0), (1, 4.0)], [], [(0, 6.0), (1, 7.0)], [(3, 9.0)]]
    assert_equal(left, want, "(slot, count) of each term's postings")
    assert_close(starts, [0, 6, 9, 13], "starts stay: a term keeps its place, and its room")


# --- BM25 ----------------------------------------------------------------------------------------------------

TEXTS = {
    1: "pods restart in a loop",
    2: "the disk of node-7 is full",
    4: "checkout is in CrashLoopBackOff: its pods restart, restart, restart",
    7: "full restart of the disk array",
    9: "",
    12: "certificates expire",
}


def index_of(texts, **settings):
    """A new index of these texts."""
    index = BM25(**settings)
    index.add(list(texts), list(texts.values()))
    return index


def score_by_hand(query, text, texts, k1=1.5, b=0.75):
    """BM25 as the formula stands, one document at a time."""
    bags = [Counter(analyse(one)) for one in texts.values()]
    average = sum(bag.total() for bag in bags) / len(bags)
    bag, score = Counter(analyse(text)), 0.0
    for term, asked in Counter(analyse(query)).items():
        containing = sum(term in other for other in bags)
        weight = math.log(1 + (len(bags) - containing + 0.5) / (containing + 0.5))
        if bag[term]:
            score += asked * weight * bag[term] / (bag[term] + k1 * (1 - b + b * bag.total() / average))
    return score


QUERIES = ["Why do pods restart?", "disk full", "restart restart loop", "node-7", "nothing like it: zebras", ""]


@pytest.mark.parametrize("settings", [{}, {"k1": 0.9, "b": 0.4}, {"b": 0.0}, {"k1": 0.0}, {"b": 1.0}])
def test_bm25_is_its_formula(settings):
    """Every score is that of the formula, the best first."""
    index = index_of(TEXTS, **settings)
    ids, scores = index.search(QUERIES, 6)
    assert_shape(scores, (6, 6), "search of six queries with k = 6")
    for row, query in enumerate(QUERIES):
        by_hand = {id: score_by_hand(query, text, TEXTS, **settings) for id, text in TEXTS.items()}
        want = sorted((id for id in by_hand if by_hand[id] > 0), key=lambda id: (-round(by_hand[id], 5), id))
        got = [id for id in ids[row].tolist() if id != -1]
        assert_equal(got, want, f"what search finds for {query!r} with {settings or 'the usual settings'}")
        assert_close(scores[row, : len(want)], [by_hand[id] for id in want], f"scores for {query!r}", rtol=1e-5)


def test_bm25_changes_as_if_built_anew():
    """After any adding, removing and replacing, results are to the last bit those of a new index of what is left."""
    index = index_of(TEXTS)
    index.remove([2, 9])
    index.add([7, 20, 2], ["a certificate of the checkout", "pods, pods, pods!", "disk array: node-7 restarts"])
    index.remove([1])
    index.add([30], ["certificates expire in a loop"])
    left = {
        4: TEXTS[4],
        12: TEXTS[12],
        7: "a certificate of the checkout",
        20: "pods, pods, pods!",
        2: "disk array: node-7 restarts",
        30: "certificates expire in a loop",
    }
    assert len(index) == 6, f"six documents are left, not {len(index)}"
    assert 1 not in index, "1 is removed"
    assert 7 in index, "7 is replaced"
    queries = [*QUERIES, "certificates of the checkout expire"]
    ids, scores = index_of(left).search(queries, 5)
    assert_found(index.search(queries, 5), ids, scores, "after changes, against a new index", rtol=0, atol=0)


# --- BM25.expand ---------------------------------------------------------------------------------------------


def test_expand_by_hand():
    """With share=½ half of the weight stays with the query, half goes to what the documents' terms add to scores."""
    index = index_of({1: "alpha beta", 2: "alpha gamma", 3: "delta delta"}, analyse=str.split, k1=1.0, b=0.0)
    rare, common = math.log(1 + 2.5 / 1.5), math.log(1 + 1.5 / 2.5)
    # Every count but delta's is 1, and 1 / (1 + 1) = ½; delta's is 2, and 2 / (2 + 1) = ⅔.
    got = index.expand("beta zulu", [1, 3], share=0.5)
    total = common / 2 + rare / 2 + rare * 2 / 3
    want = {
        "beta": 0.25 + 0.5 * rare / 2 / total,
        "zulu": 0.25,
        "alpha": 0.5 * common / 2 / total,
        "delta": 0.5 * rare * 2 / 3 / total,
    }
    assert isinstance(got, dict), f"expand returns a dictionary from terms to weights, not {type(got).__name__}"
    message = "expand('beta zulu') by documents 1 (alpha beta) and 3 (delta delta)"
    assert_equal(sorted(got), sorted(want), f"{message}: its terms")
    assert_close([got[term] for term in want], list(want.values()), f"{message}: weights of {', '.join(want)}")
    assert_close(sum(got.values()), 1.0, f"{message}: the weights sum to 1")


def test_expand_takes_few_terms_and_any_share():
    """Of the documents' terms only the best count; of equal ones the first in the alphabet, whatever came first."""
    index = index_of({5: "zeta eta theta", 6: "eta iota", 7: "kappa", 8: "mu"}, analyse=str.split, k1=1.0, b=0.0)
    got = index.expand("query", [5], terms=2, share=0.4)
    assert_equal(
        sorted(got), ["query", "theta", "zeta"], "the two best terms of 'zeta eta theta'; eta is in two documents"
    )
    assert_close([got["query"], got["theta"], got["zeta"]], [0.6, 0.2, 0.2], "with share=0.4, of equal worth")
    assert_equal(sorted(index.expand("query", [5], terms=1)), ["query", "theta"], "of theta and zeta, worth the same")
    both = index.expand("query", [5, 6], terms=1)
    assert_equal(sorted(both), ["eta", "query"], "what both documents hold adds up, and is worth most")
    assert_equal(
        index.expand("query", [5], terms=1, share=1.0), {"theta": 1.0}, "with share=1 nothing of the query stays"
    )
    assert_close(index.expand("query", [5], share=0.0)["query"], 1.0, "with share=0 the query keeps its weight")


def test_expand_weighs_the_documents():
    """Three times the weight is three times the worth; in a long document a term is worth less, as in the score."""
    index = index_of({1: "alpha", 2: "beta beta2 beta3"}, analyse=str.split)
    got, norms = index.expand("query", [1, 2]), [1.5 * (0.25 + 0.75 * length / 2) for length in (1, 3)]
    ratio = (1 / (1 + norms[0])) / (1 / (1 + norms[1]))
    assert_close(got["alpha"] / got["beta"], ratio, "alpha stands alone, beta in a text of three words: 1 / (1 + norm)")
    index = index_of({1: "alpha", 2: "beta", 3: "query"}, analyse=str.split)
    got = index.expand("query", [1, -1, 2], [3.0, 5.0, 1.0])
    want = {"query": 0.8, "alpha": 0.15, "beta": 0.05}
    assert_close(
        [got.get(term, NAN) for term in want], [*want.values()], "alpha, beta count 3 and 1; a fifth is shared"
    )
    many = index_of({1: " ".join(f"word{n}" for n in range(30))}, analyse=str.split)
    assert len(many.expand("query", [1])) == 21, "the query's term, and 20 of the document's 30"
    assert_refuses(
        lambda: index.expand("query", [1, 2], [1.0]), "weights", 2, 1, message="one weight for two documents"
    )
    assert_refuses(lambda: index.expand("query", [1, 8]), 8, message="an unknown document")


def test_expand_without_documents_is_the_query():
    """Without feedback the query's own terms remain, weighted in proportion; -1 is no document; the index stays."""
    index = index_of(TEXTS)
    want = {"pod": 2 / 3, "restart": 1 / 3}
    for ids in ([], [-1, -1], [9], np.array([-1])):
        got = index.expand("pods, pods, restart", ids)
        assert_equal(sorted(got), sorted(want), f"the terms with feedback {ids}: none, or a document without words")
        assert_close([got[term] for term in want], list(want.values()), f"the weights with feedback {ids}")
    assert_close(index.expand({"a": 3.0, "b": 1.0}, [])["a"], 0.75, "a query of weights 3 and 1 is 0.75 and 0.25")
    before = index.search(["pods restart"], 3)
    index.expand("pods restart", [1, 2, -1])
    assert_found(index.search(["pods restart"], 3), *before, "a search before and after expand", rtol=0, atol=0)
    assert_equal(index.expand("", []), {}, "an empty query stays empty")


# --- fusion --------------------------------------------------------------------------------------------------


def test_reciprocal_rank_fusion_by_hand():
    """Ranks from 1: a document on both lists has 1 / (60 + rank) of each."""
    first, second = np.array([[7, 3, 5]]), np.array([[5, 7, 9]])
    want = [1 / 61 + 1 / 62, 1 / 63 + 1 / 61, 1 / 62, 1 / 63, -INF]
    got = reciprocal_rank_fusion([first, second], 5)
    assert_found(got, [[7, 5, 3, 9, -1]], [want], "lists 7 3 5 and 5 7 9")
    got = reciprocal_rank_fusion([first, second], 2, constant=0)
    assert_found(got, [[7, 5]], [[1 + 1 / 2, 1 / 3 + 1]], "the same with constant=0, the two best")


def test_reciprocal_rank_fusion_of_lists_of_other_lengths():
    """Empty places count nothing, queries are apart, ties go to the smaller id."""
    short, long = np.array([[4, -1], [-1, -1], [8, 2]]), np.array([[1, 4, 2], [6, 3, -1], [2, 8, 5]])
    ids = [[4, 1, 2], [6, 3, -1], [2, 8, 5]]
    both, tie = 1 / 61 + 1 / 62, 1 / 61 + 1 / 62
    scores = [[both, 1 / 61, 1 / 63], [1 / 61, 1 / 62, -INF], [tie, tie, 1 / 63]]
    message = "lists (4), () and (8 2) with (1 4 2), (6 3) and (2 8 5)"
    assert_found(reciprocal_rank_fusion([short, long], 3), ids, scores, message)
    alone, _ = reciprocal_rank_fusion([long], 3)
    assert_close(alone, long, "one list alone keeps its order")
    assert_close(short, [[4, -1], [-1, -1], [8, 2]], "the rankings must not be changed")


def test_score_fusion_by_hand():
    """Each row minus its mean over its deviation; a document that a list lacks counts with the list's lowest."""
    words = np.array([[3, 8, 5]]), np.array([[9.0, 3.0, 0.0]])
    meaning = np.array([[8, 3, 6]]), np.array([[0.8, 0.7, 0.3]])
    a, b = np.sqrt(14.0), np.sqrt(0.14 / 3)
    total = {3: 5 / a + 0.1 / b, 8: -1 / a + 0.2 / b, 5: -4 / a - 0.3 / b, 6: -4 / a - 0.3 / b}
    message = "scores 9 3 0 of documents 3 8 5 (mean 4, deviation √14), and 0.8 0.7 0.3 of 8 3 6 (mean 0.6)"
    assert_found(score_fusion([words, meaning], 5), [[3, 8, 5, 6, -1]], [[*total.values(), -INF]], message)
    got = score_fusion([words, meaning], 2, weights=[0.5, 2.0])
    want = {3: 0.5 * 5 / a + 2 * 0.1 / b, 8: 0.5 * -1 / a + 2 * 0.2 / b}
    order = sorted(want, key=lambda id: -want[id])
    assert_found(got, [order], [[want[id] for id in order]], f"{message}, weighted ½ and 2")


def test_score_fusion_of_empty_places_and_equal_scores():
    """Rows of equal scores, or none, add nothing; empty places take part with their score, if it is known."""
    words = np.array([[2, -1, -1, -1]]), np.array([[6.0, 0.0, 0.0, 0.0]])
    meaning = np.array([[1, 2]]), np.array([[0.9, 0.5]])
    message = "a score of 6 and three empty places of 0 (mean 1.5, deviation 1.5·√3), with 0.9 and 0.5 (points 1, -1)"
    assert_found(score_fusion([words, meaning], 2), [[2, 1]], [[np.sqrt(3) - 1, 1 - 1 / np.sqrt(3)]], message)
    flat = np.array([[4, 5], [-1, -1]]), np.array([[2.0, 2.0], [0.0, 0.0]])
    other = np.array([[5, 4], [7, -1]]), np.array([[3.0, 1.0], [1.0, -INF]])
    with np.errstate(all="raise"):
        got = score_fusion([flat, other], 2)
    want = [[1.0, -1.0], [0.0, -INF]]
    assert_found(
        got, [[5, 4], [7, -1]], want, "scores 2 2 say nothing, 3 1 are the points 1 and -1; then one score alone"
    )
    part = np.array([[1, 2, -1]]), np.array([[4.0, 2.0, -INF]])
    with np.errstate(all="raise"):
        got = score_fusion([part], 3)
    assert_found(got, [[1, 2, -1]], [[1.0, -1.0, -INF]], "4, 2 and a place whose score is -inf: points 1 and -1")
    gaps = np.array([[1, 2, -1]]), np.array([[4.0, 2.0, NAN]])
    assert_found(score_fusion([gaps], 2), [[1, 2]], [[1.0, -1.0]], "the same with nan in the empty place")


def test_score_fusion_sees_no_scale(rng):
    """Another unit or zero point of a retriever's scores changes nothing; its arguments stay; ties go by id."""
    ids = np.array([rng.permutation(9)[:5] for _ in range(3)])
    a, b = (np.sort(rng.normal(size=(3, 5)))[:, ::-1].copy() for _ in range(2))
    kept = a.copy()
    want = score_fusion([(ids, a), (ids[:, ::-1], b)], 5)
    got = score_fusion([(ids, 100 * a + 7), (ids[:, ::-1], b / 50 - 3)], 5)
    assert_found(got, *want, "scores times 100 plus 7, and divided by 50 minus 3")
    assert_close(a, kept, "the scores must not be changed", rtol=0, atol=0)
    single = np.array([[4, 2, 1]]), np.array([[0.3, 0.2, 0.1]], np.float32)
    exact = single[1].astype(float)
    want = (exact - exact.mean()) / exact.std()
    got = score_fusion([single], 3)
    assert_found(got, single[0], want, "scores in single precision are standardised in double", rtol=1e-12)
    single = np.array([[2, 1]]), np.array([[1, 3]], np.float32)
    other = np.array([[2, 1]]), np.array([[3, 1]], np.float32)
    got = score_fusion([single, other], 2)
    assert_found(got, [[1, 2]], [[0.0, 0.0]], "two lists that say the opposite: equal scores, the smaller id first")


def test_surprise_by_hand(rng):
    """-log of the probability that a normal variable is at least so many deviations above the mean."""
    above, below = -math.log(0.15865525393145707), -math.log(0.8413447460685429)
    assert_close(surprise(np.array([0.9, 0.1])), [above, below], "0.9 and 0.1 are one deviation above and below")
    scores = rng.normal(size=50)
    want = -log_ndtr((scores.mean() - scores) / scores.std())
    assert_close(surprise(scores), want, "50 random scores, against scipy.special.log_ndtr")
    assert_close(surprise(scores / 50 + 3), want, "another unit and zero of the scores change nothing")


def test_surprise_is_judged_by_a_sample_where_there_is_one(rng):
    """With a sample, mean and deviation are the sample's: the best of many do not stand out of each other."""
    above = -math.log(0.15865525393145707)
    got = surprise(np.array([0.9]), np.array([0.1, 0.9, 0.1, 0.9]))
    assert_close(got, [above], "0.9 alone, judged by 0.1, 0.9, 0.1 and 0.9: one deviation above")
    assert_close(surprise(np.array([0.9, 0.1]), np.array([0.5, 0.5])), [0.0, 0.0], "judged by two that are alike")
    assert_close(surprise(np.array([]), np.array([0.9, 0.1])), [], "no score, judged by two")
    scores, sample = np.sort(rng.normal(size=50))[-5:], rng.normal(size=30)
    want = -log_ndtr((sample.mean() - scores) / sample.std())
    assert_close(surprise(scores, sample), want, "the best 5 of 50, judged by 30 others, against scipy")


def test_surprise_at_the_ends():
    """Scores that are all alike, or none, tell nothing; one that stands out as far as can be is still a number."""
    with np.errstate(all="raise"):
        assert_close(surprise(np.array([2.0, 2.0])), [0.0, 0.0], "two equal scores")
        assert_close(surprise(np.array([0.1, 0.1, 0.1])), [0.0, 0.0, 0.0], "three, whose mean is not exact")
        assert_close(surprise(np.array([])), [], "no score")
    far = np.zeros(1000)
    far[3] = 1.0
    assert_close(surprise(far)[3], -log_ndtr(-np.sqrt(999)), "one of a thousand stands out: √999 deviations")
    got = surprise(np.eye(1, 5000)[0])[0]
    assert 700 < got < 800, f"one of 5,000, whose probability is below the smallest number: got {got}, not about 745"


def twice(found):
    """The same row for two queries."""
    return np.repeat(found[0], 2, axis=0), np.repeat(found[1], 2, axis=0)


WORDS, MEANING = (np.array([[3, 8, -1]]), np.array([[6.0, 2.0, 0.0]])), (np.array([[8, 5]]), np.array([[0.9, 0.1]]))


def test_evidence_fusion_by_hand():
    """A document has scale · score / √bound, plus the surprise; what one search lacks has the lowest of its row."""
    above, below = surprise(MEANING[1][0])
    message = "words 6 and 2 of documents 3 and 8 and an empty place of 0, meaning 0.9 and 0.1 of 8 and 5"
    got = evidence_fusion(WORDS, np.array([4.0]), MEANING, 4, scale=2.0)
    want = [[6 + below, 2 + above, below, -INF]]
    assert_found(got, [[3, 8, 5, -1]], want, f"{message}, bound 4, scale 2: 2 / √4 is 1")
    got = evidence_fusion(WORDS, np.array([16.0]), MEANING, 2)
    assert_found(got, [[3, 8]], [[24 + below, 8 + above]], f"{message}, bound 16, scale 16 unless given: 16 / √16 is 4")
    got = evidence_fusion(WORDS, np.array([0.25]), MEANING, 1, scale=0.5)
    assert_found(got, [[3]], [[6 + below]], f"{message}, bound ¼, scale ½: ½ / √¼ is 1")
    full = np.array([[3, 8]]), np.array([[6, 2]])
    got = evidence_fusion(full, np.array([4.0]), MEANING, 3, scale=2.0)
    want = [[6 + below, 2 + above, 2 + below]]
    assert_found(got, [[3, 8, 5]], want, "the same without an empty place: 5 has 2 by words, the lowest of the row")


def test_evidence_fusion_judges_meaning_by_chance():
    """With the scores of a sample, a row for each query, those found are judged by them and not by each other."""
    chance = np.array([[0.1, 0.9, 0.1, 0.9], [0.8, 0.9, 1.0, 1.1]])
    rows = [surprise(MEANING[1][0], sample) for sample in chance]
    got = evidence_fusion(twice(WORDS), np.array([4.0, 4.0]), twice(MEANING), 3, scale=2.0, chance=chance)
    want = [[6 + low, 2 + high, low] for high, low in rows]
    assert_found(got, [[3, 8, 5], [3, 8, 5]], want, "meaning 0.9 and 0.1, judged by four others of each query")


def test_evidence_fusion_of_rows_that_tell_nothing():
    """A bound of 0, and a score that is not finite, add nothing; nor do equal cosines; queries are apart."""
    above, below = surprise(MEANING[1][0])
    with np.errstate(all="raise"):
        got = evidence_fusion(twice(WORDS), np.array([0.0, 4.0]), twice(MEANING), 2, scale=2.0)
        want = [[above, below], [6 + below, 2 + above]]
        assert_found(got, [[8, 3], [3, 8]], want, "two queries, the first with a bound of 0: 3 and 5 are equal there")
        flat = np.array([[8, 5, -1]]), np.array([[0.5, 0.5, -INF]])
        got = evidence_fusion(WORDS, np.array([4.0]), flat, 4, scale=2.0)
        assert_found(got, [[3, 8, 5, -1]], [[6, 2, 0, -INF]], "cosines 0.5, 0.5 and none: words alone count")
        none = np.array([[-1]]), np.array([[-INF]])
        assert_found(evidence_fusion(none, np.ones(1), none, 1), [[-1]], [[-INF]], "nothing found by either")


def test_fusion_says_what_does_not_fit():
    """No list, lists of other queries, flat lists, a bad k, weights that do not match: an error each."""
    one, two = np.array([[1, 2]]), np.array([[1], [2]])
    scores = np.array([[2.0, 1.0]])
    assert_refuses(lambda: reciprocal_rank_fusion([], 3), "ranking", message="no ranking")
    assert_refuses(
        lambda: reciprocal_rank_fusion([one, two], 3), "ranking", (1, 2), (2, 1), message="one query and two"
    )
    assert_refuses(lambda: reciprocal_rank_fusion([one[0]], 3), "queries", (2,), message="a flat ranking")
    assert_refuses(lambda: reciprocal_rank_fusion([one], 0), "k", 0, message="k = 0")
    assert_refuses(lambda: score_fusion([], 3), "ranking", message="no ranking")
    assert_refuses(
        lambda: score_fusion([(one, scores), (two, two.astype(float))], 3), (1, 2), message="one query and two"
    )
    assert_refuses(lambda: score_fusion([(one, scores)], -1), "k", -1, message="k = -1")
    assert_refuses(
        lambda: score_fusion([(one, scores)], 2, weights=[1.0, 2.0]), "weights", 2, message="two weights for one"
    )
    pair, ones = (one, scores), np.ones(1)
    assert_refuses(
        lambda: evidence_fusion(pair, np.ones(3), pair, 2), "bounds", 3, 1, message="three bounds for a query"
    )
    assert_refuses(lambda: evidence_fusion(pair, ones, pair, 0), r"\bk\b", 0, message="k = 0")
    for shape in ((2, 5), (1, 0), (5,)):
        sample = np.zeros(shape)
        assert_refuses(
            lambda sample=sample: evidence_fusion(pair, ones, pair, 2, chance=sample),
            "chance",
            shape,
            message=f"{shape}",
        )
    other = two, two.astype(float)
    assert_refuses(
        lambda: evidence_fusion(pair, ones, other, 2), "rankings", (1, 2), (2, 1), message="one query and two"
    )


# --- rerank --------------------------------------------------------------------------------------------------


class Lengths:
    """A cross-encoder that finds long passages good."""

    def __init__(self):
        self.asked = []

    def score(self, query, passages):
        """The length of each passage."""
        self.asked.append((query, list(passages)))
        return [len(passage) for passage in passages]


def test_rerank_by_hand():
    """Order by the encoder's scores; of equal ones the first stays first; query and passages go to it once."""
    encoder = Lengths()
    passages = ["aa", "a", "aaaa", "bb", "cc"]
    got = rerank("why?", [9, 8, 3, 5, 1], passages, encoder)
    message = "ids 9 8 3 5 1 with scores 2 1 4 2 2"
    assert_found(got, [3, 9, 5, 1, 8], [4, 2, 2, 2, 1], message)
    assert_equal(encoder.asked, [("why?", passages)], "what the encoder was asked: once, with the passages as given")
    assert_found(rerank("why?", [], [], Lengths()), [], [], "nothing to rank")
    idle = Lengths()
    rerank("why?", [], [], idle)
    assert_equal(idle.asked, [], "what the encoder is asked when there is nothing to rank")
    ids = np.arange(300)
    many = rerank("why?", ids, ["a" * (1 + id % 3) for id in range(300)], Lengths())[0]
    assert_close(
        many, np.concatenate([ids[2::3], ids[1::3], ids[::3]]), "300 passages of three scores: equals keep order"
    )


def test_rerank_says_what_does_not_fit():
    """Passages or scores that are not as many as ids, and a score that is not a number, are errors."""

    class Broken:
        def __init__(self, scores):
            self.scores = scores

        def score(self, query, passages):
            return np.array(self.scores)

    assert_refuses(lambda: rerank("q", [1, 2, 3], ["a", "b"], Lengths()), "passages", 3, 2, message="3 ids, 2 passages")
    assert_refuses(
        lambda: rerank("q", [1, 2], ["a", "b"], Broken([1.0])), "scores", 2, (1,), message="one score for two"
    )
    assert_refuses(
        lambda: rerank("q", [1, 2], ["a", "b"], Broken([[1.0], [2.0]])), "scores", (2, 1), message="a column"
    )
    assert_refuses(lambda: rerank("q", [1, 2], ["a", "b"], Broken([1.0, NAN])), "scores|score", "nan", message="nan")


# --- measures ------------------------------------------------------------------------------------------------

GAINS = {1: 3.0, 2: 2.0, 3: 1.0, 4: 0.0}


def test_ndcg_by_hand():
    """Gain / log2(rank + 1), over the same of the best order."""
    best = 3 + 2 / math.log2(3) + 1 / 2
    assert_close(ndcg([2, 9, 1], GAINS), (2 + 3 / 2) / best, "ranking 2 9 1, gains 3 2 1 of 1 2 3: (2 + 3/2) / best")
    assert_close(ndcg([1, 2, 3], GAINS), 1.0, "the best order")
    assert_close(ndcg([4, 9], GAINS), 0.0, "nothing that is worth anything")
    assert_close(ndcg([], GAINS), 0.0, "an empty ranking")
    message = "k=2: the best order is cut off as well, (2 + 0) / (3 + 2 / log2 3)"
    assert_close(ndcg([2, 9, 1], GAINS, k=2), 2 / (3 + 2 / math.log2(3)), message)
    assert_close(ndcg([3], GAINS, k=1), 1 / 3, "k=1: gain 1 of 3")
    assert_close(ndcg([-1, 1, -1], {1: 5.0}), 1.0, "-1 is an empty place, not a document")
    message = "what was never found belongs to the best order as well"
    assert_close(ndcg([1], {1: 1, 2: 1, 3: 1}), 1 / (1 + 1 / math.log2(3) + 0.5), message)


def test_ndcg_is_that_of_scikit_learn(rng):
    """Linear gains, as in trec_eval and scikit-learn, for rankings of all documents."""
    for k in (1, 3, 10, 20):
        gains, scores = rng.integers(0, 4, 12).astype(float), rng.permutation(12).astype(float)
        gains[0] = 1.0
        ranking = np.argsort(-scores)
        want = ndcg_score(gains[None], scores[None], k=k)
        message = f"12 documents with gains 0 to 3, k = {k}, against scikit-learn"
        assert_close(ndcg(ranking, dict(enumerate(gains.tolist())), k), want, message)
    assert_close(
        ndcg([*range(10, 20), 1], {1: 1.0}), 0.0, "k is 10 unless given, and the eleventh place counts nothing"
    )


def test_average_precision_by_hand():
    """Precision at the rank of each document worth something, over how many there are."""
    want = (1 / 1 + 2 / 3) / 3
    assert_close(average_precision([2, 9, 1], GAINS), want, "2 9 1 with three to find: (1/1 + 2/3) / 3")
    assert_close(average_precision([9, 4], GAINS), 0.0, "none found")
    assert_close(average_precision([], GAINS), 0.0, "an empty ranking")
    assert_close(average_precision([3, 2, 1, 9], GAINS), 1.0, "all three first, whatever their gains")
    assert_close(average_precision([-1, 3], {3: 0.5}), 1.0, "-1 is an empty place; half a gain is a find")


def test_average_precision_is_that_of_scikit_learn(rng):
    """For rankings of all documents, whatever their gains."""
    for _ in range(3):
        gains, scores = rng.integers(0, 3, 15).astype(float), rng.permutation(15).astype(float)
        gains[3] = 2.0
        got = average_precision(np.argsort(-scores), dict(enumerate(gains.tolist())))
        assert_close(got, average_precision_score(gains > 0, scores), "15 documents, against scikit-learn")


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("ndcg", lambda ranking, gains: ndcg(ranking, gains, 10)),
        ("average_precision", average_precision),
    ],
)
def test_measures_without_anything_to_find_are_not_a_number(name, measure):
    """A query with nothing to find says nothing of a ranking; bad judgements and repeated ids are errors."""
    with np.errstate(all="raise"):
        assert_close(measure([1, 2], {}), NAN, f"{name} without judgements")
        assert_close(measure([1, 2], {1: 0.0, 5: 0.0}), NAN, f"{name} where all that is judged is worth nothing")
        assert_close(measure([], {}), NAN, f"{name} of nothing, with nothing to find")
    assert_refuses(lambda: measure([1, 2, 1], {1: 1.0}), "ranking", 1, message=f"{name} of a ranking with an id twice")
    assert_refuses(lambda: measure([1, 2], {2: -1.0}), "gains", -1, message=f"{name} with a gain of -1")
    assert isinstance(measure([1], {1: 1.0}), float), f"{name} returns a float"
