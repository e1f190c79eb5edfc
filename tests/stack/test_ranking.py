"""BM25, compiled, against bm25s on the same terms; and the terms that operators look for."""

from __future__ import annotations

import numpy as np
import pytest

from groundup.stack.retrieval.ranking import BM25, analyse


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
