"""`deep/embeddings`: training, the table that it factors, and scikit-learn's counts and weights."""

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer

from groundup.stack.deep.embeddings import (
    Vocabulary,
    analogy,
    common_direction,
    cooccurrences,
    glove_loss,
    neighbors,
    pmi_vectors,
    sentence_vectors,
    skip_gram_pairs,
    train_glove,
    train_skip_gram,
    without_direction,
)

LINES = ["the pod was evicted", "the node was drained", "a pod was drained", "the pod the node", "was"]


@pytest.fixture
def languages():
    """Texts of two languages of three words each, and a few where both meet."""
    rng = np.random.default_rng(0)
    texts = [torch.from_numpy(rng.permutation(3) + 3 * (k % 2)) for k in range(60)]
    return [*texts, torch.tensor([0, 3]), torch.tensor([1, 4]), torch.tensor([2, 5])]


def test_vectors_of_one_language_lie_together(languages):
    counts, generator = torch.bincount(torch.cat(languages)).float(), torch.Generator().manual_seed(0)
    trained = train_skip_gram(languages, counts, 3, steps=300, batch=128, generator=generator)
    table = cooccurrences(languages, 6, window=2)
    glove = train_glove(table, 3, ceiling=20, steps=300, batch=128, generator=generator)
    both = trained.vectors @ trained.contexts.T
    for name, scores in (("skip-gram", both), ("SVD", pmi_vectors(table, 2) @ pmi_vectors(table, 2).T)):
        assert scores[:3, :3].mean() > scores[:3, 3:].mean() + 0.5, name
    assert len(trained.losses) == 300
    assert np.mean(trained.losses[-20:]) < np.mean(trained.losses[:20]) - 0.5
    assert np.mean(glove.losses[-20:]) < np.mean(glove.losses[:20]) / 5


def test_a_seed_gives_the_same_vectors(languages):
    counts = torch.bincount(torch.cat(languages)).float()
    first, second = (
        train_skip_gram(languages, counts, 3, steps=5, generator=torch.Generator().manual_seed(7)) for _ in range(2)
    )
    torch.testing.assert_close(first.vectors, second.vectors, rtol=0, atol=0)


def test_skip_gram_factors_shifted_mutual_information(languages):
    """With as many entries as words, trained scores near log #(v, w) / (#(v) p(w)) - log k for frequent pairs."""
    counts, k = torch.bincount(torch.cat(languages)).float(), 2
    trained = train_skip_gram(
        languages, counts, 6, window=2, negatives=k, steps=1_500, generator=torch.Generator().manual_seed(1)
    )
    centers, contexts = skip_gram_pairs(languages, 2)
    met = torch.zeros(6, 6).index_put_((centers, contexts), torch.tensor(1.0), accumulate=True)
    noise = counts**0.75 / (counts**0.75).sum()
    expected = (met / met.sum(dim=1, keepdim=True) / noise).log() - np.log(k)
    scores = trained.vectors @ trained.contexts.T
    assert (scores - expected)[met > 10].abs().max() < 0.35


def test_the_vocabulary_counts_as_scikit_learn_does():
    vectorizer = CountVectorizer(token_pattern=r"\w+").fit(LINES)
    totals = np.asarray(vectorizer.transform(LINES).sum(axis=0)).ravel()
    vocabulary = Vocabulary(line.split() for line in LINES)
    assert dict(zip(vocabulary.words, vocabulary.counts.tolist(), strict=True)) == {
        word: totals[place] for word, place in vectorizer.vocabulary_.items()
    }
    assert vocabulary.words[:3] == ["the", "was", "pod"]


def test_a_plain_mean_is_scikit_learns_counts_times_vectors():
    vocabulary = Vocabulary(line.split() for line in LINES)
    vectors = torch.randn(len(vocabulary), 4, generator=torch.Generator().manual_seed(0)).double()
    counter = CountVectorizer(token_pattern=r"\w+", vocabulary=vocabulary.words)
    counts = counter.transform(LINES).toarray()
    mean = counts @ vectors.numpy() / counts.sum(axis=1, keepdims=True)
    texts = [vocabulary.encode(line.split()) for line in LINES]
    ours = sentence_vectors(texts, vectors, vocabulary.counts.double(), smoothing=1e9)
    np.testing.assert_allclose(ours.numpy(), mean, rtol=1e-8)


def test_what_texts_share_is_taken_away():
    X = torch.randn(50, 5, generator=torch.Generator().manual_seed(0)) + torch.tensor([3.0, 0, 0, 0, 0])
    direction = common_direction(X)
    rest = without_direction(X, direction)
    assert float((rest @ direction).abs().max()) < 1e-5
    torch.testing.assert_close(torch.linalg.matrix_norm(rest, 2), torch.linalg.svdvals(X)[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Vocabulary([["a"]], least=2), "texts must have a word that occurs at least 2 times, got 1 words"),
        (lambda: skip_gram_pairs([], 0), "window must be at least 1 place, got 0"),
        (lambda: glove_loss(torch.ones(1), torch.ones(1), ceiling=0.0), "ceiling must be above 0, got 0.0"),
        (lambda: analogy(torch.eye(3), 0, 1, 3), "words must be numbers from 0 to 2, got 3"),
        (lambda: neighbors(torch.eye(3), 0, 3), "count must be from 1 to 2, the words beside those of the question"),
    ],
)
def test_messages_name_parameter_rule_and_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()
