"""BM25, compiled, against bm25s on the same terms; the terms that operators look for; and what a learner is given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from groundup.checking import assert_close, assert_refuses
from groundup.stack.retrieval.ranking import (
    BM25,
    analyse,
    evidence_fusion,
    hybrid_search,
    idf,
    ndcg,
    recall,
    reciprocal_rank,
    score_fusion,
)
from groundup.stack.retrieval.ranking.checks import GAINS, INF, QUERIES, TEXTS, assert_equal, assert_found, index_of


def test_scores_are_those_of_bm25s_also_after_changes() -> None:
    bm25s = pytest.importorskip("bm25s")
    rng = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(200)])
    popular = 1 / np.arange(1, 201)
    texts = [" ".join(rng.choice(words, rng.integers(1, 60), p=popular / popular.sum())) for _ in range(400)]
    queries = [" ".join(rng.choice(words, 5, replace=False)) for _ in range(50)]
    index = BM25(analyse=str.split)
    index.add(range(500, 600), ["w3 w9 gone"] * 100)
    index.add(range(400), texts)
    index.remove(range(500, 600))
    peer = bm25s.BM25(method="lucene")
    peer.index([text.split() for text in texts], show_progress=False)
    expected = peer.retrieve([query.split() for query in queries], k=20, show_progress=False, n_threads=1).scores
    np.testing.assert_allclose(index.search(queries, 20)[1], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("query", ["crashloopbackoff", "CrashLoopBackOff", "10.0.0.17", "kube-proxy", "err_conn_7731"])
def test_identifiers_are_found_however_they_are_typed(query: str) -> None:
    index = BM25()
    index.add(
        range(4), ["pod in CrashLoopBackOff", "no route to 10.0.0.17", "restart kube-proxy", "ERR_CONN_7731 seen"]
    )
    index.add(range(4, 40), [f"node {number} of the loop is back, at 10.0.1.{number}" for number in range(36)])
    best = index.search([query], 1)[0][0, 0]
    assert best in range(4), analyse(query)
    assert best == {"c": 0, "1": 1, "k": 2, "e": 3}[query[0].lower()]


def test_analyse_keeps_order_and_repeats() -> None:
    """A text's terms come in order, as often as they are there."""
    assert_equal(analyse("Why did the pods restart? Pods restart!"), ["pod", "restart", "pod", "restart"], "analyse")
    assert_equal(analyse(" -- ... "), [], "analyse of a text without a word")
    assert_equal(analyse("_private --since-time= end."), ["privat", "sinc", "time", "end"], "joints at the ends")


def test_analyse_pairs_characters_where_no_space_tells_words() -> None:
    """Han, kana and Thai give pairs of characters, one character gives itself, and Latin words beside them stay."""
    assert_equal(analyse("连接池已满。重启pod"), ["连接", "接池", "池已", "已满", "重启", "pod"], "Chinese")
    assert_equal(
        analyse("ディスク full 満"), ["ディ", "ィス", "スク", "full", "満"], "Japanese, and one character alone"
    )
    assert_equal(analyse("เต็ม"), ["เต", "ต็", "็ม"], "Thai, whose vowel signs are no letters but count")
    assert_equal(analyse("노드 상태"), ["노드", "상태"], "Korean has spaces")
    index = index_of({1: "数据库连接池已耗尽", 2: "磁盘空间不足"})
    assert_equal(index.search(["连接池"], 2)[0].tolist(), [[1, -1]], "BM25 finds a word within unspaced text")


def test_analyse_composes_letters() -> None:
    """A letter and its accent, written as one or as two code points, are the same term."""
    assert_equal(analyse("Cafe\u0301"), analyse("Caf\u00e9"), "NFD and NFC")


def test_bm25_grows_document_by_document() -> None:
    """Texts added one at a time, in any order, are found as if added at once; emptied, it finds nothing."""
    rng = np.random.default_rng(0)
    words = ["pod", "disk", "node", "loop", "full", "alert"]
    texts = {id: " ".join(rng.choice(words, 5)) for id in range(25)}
    index = BM25()
    for id in rng.permutation(25).tolist():
        index.add([id], [texts[id]])
    want = index_of(texts).search(words, 25)
    assert_found(index.search(words, 25), *want, "25 texts added one by one, in any order", rtol=0, atol=0)
    index.remove(list(texts))
    assert len(index) == 0, "nothing is left"
    assert_found(index.search(["pod"], 2), [[-1, -1]], [[0, 0]], "a search when all is removed")
    index.add([3], ["pod"])
    assert_found(index.search(["pod"], 1), [[3]], [[idf(1, 1) / 2.5]], "one document, added again", rtol=1e-5)


def test_bounds_are_what_no_score_exceeds() -> None:
    """Σ idf times how much is asked, over all terms of the query, also those that no document has."""
    index = index_of(TEXTS, k1=0.0)
    common, missing = math.log(1 + 4.5 / 2.5), math.log(1 + 6.5 / 0.5)
    want = [common * 2 + missing, 0.5 * common, 0.0]
    got = index.bounds(["disk zebra disk", {"disk": 0.5}, "of the"])
    assert_close(got, want, "'disk' is in two of six documents, 'zebra' in none, and the third query has no word")
    reached = index.search(["disk full"], 1)[1][0]
    assert_close(
        index.bounds(["disk full"]), reached, "with k1=0 a document with all words reaches the bound", rtol=1e-6
    )
    index = index_of(TEXTS)
    assert (index.search(QUERIES, 6)[1] <= index.bounds(QUERIES)[:, None]).all(), "a score is above its bound"


def test_bm25_takes_queries_as_weights_and_terms_by_any_analysis() -> None:
    """A query may say how much each term counts, and an index may have its own analysis."""
    index = index_of({1: "the The", 2: "The end"}, analyse=str.split)
    ids, scores = index.search(["the", {"The": 2.0, "nowhere": 1.0}], 2)
    assert_close(ids, [[1, -1], [1, 2]], "'the' and 'The' are two terms to str.split")
    once = index.search(["The"], 2)[1]
    assert_close(scores[1], 2 * once[0], "a term that counts 2 scores twice as much")


def test_bm25_says_what_does_not_fit() -> None:
    """Ids and texts that do not match, ids twice, negative or unknown, a bad k, b, k1 or weight: an error each."""
    index = index_of(TEXTS)
    assert_refuses(lambda: index.add([20, 21], ["one"]), "ids", "texts", 2, 1, message="2 ids, 1 text")
    assert_refuses(lambda: index.add([20, 20], ["a", "b"]), "ids", 20, message="an id twice")
    assert_refuses(lambda: index.add([-1], ["a"]), "ids", -1, message="a negative id")
    assert_refuses(lambda: index.remove([1, 55]), 55, message="an unknown id")
    assert_refuses(lambda: index.remove([1, 1]), 1, message="an id twice")
    assert len(index) == 6, "what was refused has changed nothing"
    assert_refuses(lambda: index.search(["a"], 0), "k", 0, message="k = 0")
    assert_refuses(lambda: index.search("disk", 3), "queries", "disk", message="one text in place of a list")
    assert_refuses(lambda: index.search([{"disk": -2.0}], 3), "weight", -2, message="a negative weight")
    assert_refuses(lambda: BM25(b=1.5), r"\bb\b", 1.5, message="b = 1.5")
    assert_refuses(lambda: BM25(k1=-0.5), "k1", -0.5, message="k1 = -0.5")


def test_evidence_fusion_listens_to_who_knows() -> None:
    """Noise does not outvote words that say it all, nor do words that mostly miss outvote what stands out far."""
    rng = np.random.default_rng(0)
    noise = np.sort(rng.normal(size=(1, 500)))[:, ::-1]
    meaning = rng.permutation(500)[None], noise
    words = np.array([[999, *range(20)]]), np.array([[20.0, *np.linspace(10, 5, 20)]])
    ids, _ = evidence_fusion(words, np.array([25.0]), meaning, 1)
    assert_close(ids, [[999]], "a document with 20 of 25 points by words, beside 500 random cosines without it")
    clear = np.arange(500)[None], np.concatenate([[[7.0]], noise[:, 1:]], axis=1)
    weak = np.array([[400, -1, -1, -1] + [-1] * 100]), np.array([[2.0] + [0.0] * 103])
    ids, _ = evidence_fusion(weak, np.array([40.0]), clear, 1)
    assert_close(ids, [[0]], "a cosine of 7 deviations, beside 2 of 40 points by words for a document with a low one")
    ids, _ = score_fusion([weak, clear], 1)
    assert_close(ids, [[400]], "score fusion hears the words there: nothing else has any")


def test_hybrid_search_asks_again_with_words_that_meaning_found() -> None:
    """A document that shares no word with the query is found, and so is what shares words with that one."""
    texts = {1: "soufflé egg oven", 2: "omelette egg pan", 3: "kubernetes pod node", 4: "pan lid"}
    lexical = index_of(texts, analyse=str.split)
    asked: list[Any] = []

    def dense(queries: Any, k: int) -> Any:
        asked.append((list(queries), k))
        return np.array([[2, 1, 4, 3]]), np.array([[0.9, 0.4, 0.1, 0.0]])

    ids, scores = hybrid_search(["breakfast"], lexical, dense, 4, depth=4, feedback=1)
    assert_equal(asked, [(["breakfast"], 4)], "the dense search is asked once, for `depth`")
    assert_equal(ids[0].tolist()[0], 2, "the omelette first: meaning finds it, and then its own words do")

    def again(query: str, found: list[int], weights: list[float]) -> tuple[Any, Any]:
        """The second lexical search, its scores on the scale of the first, fused with the dense one."""
        expanded = lexical.expand(query, found, weights)
        second, bounds = lexical.search([expanded], 4), lexical.bounds([query])
        scaled = second[1] * bounds / lexical.bounds([expanded])
        return evidence_fusion((second[0], scaled), bounds, dense([query], 4), 4)

    want = again("breakfast", [2], [1.0])
    assert_found((ids, scores), *want, "the second lexical search, fused with the dense one", rtol=1e-5)
    nothing = hybrid_search(["zebra"], lexical, lambda queries, k: (np.full((1, 2), -1), np.full((1, 2), -INF)), 1)
    assert_found(nothing, [[-1]], [[-INF]], "neither half finds anything")
    words = lexical.search(["pan"], 4)
    best, nats = evidence_fusion(words, lexical.bounds(["pan"]), dense(["pan"], 4), 2)
    want = again("pan", best[0].tolist(), [1.0, math.exp(nats[0, 1] - nats[0, 0])])
    got = hybrid_search(["pan"], lexical, dense, 4, depth=4, feedback=2)
    assert_found(got, *want, "feedback=2: the second document counts e to its distance from the first", rtol=1e-5)
    plain = evidence_fusion(words, lexical.bounds(["pan"]), dense(["pan"], 4), 4)
    got = hybrid_search(["pan"], lexical, dense, 4, depth=4, feedback=0)
    assert_found(got, *plain, "feedback=0: both searches, fused once")
    sample = np.array([[0.0, 0.1, 0.2, 0.3]])
    fair = evidence_fusion(words, lexical.bounds(["pan"]), dense(["pan"], 4), 4, chance=sample)
    got = hybrid_search(["pan"], lexical, dense, 4, depth=4, feedback=0, chance=lambda queries: sample)
    assert_found(got, *fair, "chance: what meaning finds is judged by a sample")
    assert not np.allclose(fair[1], plain[1]), "the sample changes the evidence"
    with np.errstate(all="raise"):
        ids, _ = hybrid_search([""], lexical, lambda queries, k: (np.full((1, 1), -1), np.zeros((1, 1))), 1)
    assert_close(ids, [[-1]], "an empty query, and nothing found")


def test_recall_and_reciprocal_rank_by_hand() -> None:
    """The share that is found, and one over the rank of the first."""
    assert_close(recall([2, 9, 1], GAINS, 2), 1 / 3, "recall at 2 of 2 9 1, with three to find")
    assert_close(recall([2, 9, 1, 3], GAINS, 10), 1.0, "recall at 10")
    assert_close(reciprocal_rank([9, 4, 3, 1], GAINS), 1 / 3, "the first find is third")
    assert_close(reciprocal_rank([9, 4], GAINS), 0.0, "none found")


def test_measures_refuse_a_k_below_one() -> None:
    """A cut before the first place is an error."""
    assert_refuses(lambda: ndcg([1], {1: 1.0}, 0), "k", 0, message="ndcg at 0")
    assert_refuses(lambda: recall([1], {1: 1.0}, -2), "k", -2, message="recall at -2")


@pytest.mark.parametrize("measure", [lambda ranking, gains: recall(ranking, gains, 10), reciprocal_rank])
def test_measures_without_anything_to_find_are_not_a_number(measure: Any) -> None:
    with np.errstate(all="raise"):
        for ranking, gains in (([1, 2], {}), ([1, 2], {1: 0.0, 5: 0.0}), ([], {})):
            assert math.isnan(measure(ranking, gains))
    assert_refuses(lambda: measure([1, 2, 1], {1: 1.0}), "ranking", 1, message="an id twice")
    assert_refuses(lambda: measure([1, 2], {2: -1.0}), "gains", -1, message="a gain of -1")
    assert isinstance(measure([1], {1: 1.0}), float)
