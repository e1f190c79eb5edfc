"""Checks of embeddings."""

import math
from collections import Counter
from functools import partial

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from groundup.checking import assert_close, assert_refuses, assert_refuses_values, assert_shape, assert_unchanged
from groundup.stack.deep.embeddings import (
    Vocabulary,
    analogy,
    common_direction,
    cooccurrences,
    glove_loss,
    negative_sampling_loss,
    neighbors,
    sentence_vectors,
    skip_gram_pairs,
    without_direction,
)

exactly = partial(assert_close, rtol=1e-9, atol=1e-12)
roughly = partial(assert_close, rtol=1e-5, atol=1e-6)  # float32


def numbers(*values):
    """A text of word numbers."""
    return torch.tensor(values, dtype=torch.long)


def normal(rng, *shape):
    """A float64 tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape))


def some_texts(rng, size=6, count=8):
    """Texts of 0 to 7 words, some words twice in a row."""
    return [torch.from_numpy(rng.integers(0, size, rng.integers(0, 8))) for _ in range(count)] + [numbers(2, 2)]


def by_loops(texts, window):
    """All pairs (center, context, distance) of all texts, place by place."""
    for text in texts:
        words = text.tolist()
        for i, center in enumerate(words):
            for j, context in enumerate(words):
                if 0 < abs(i - j) <= window:
                    yield center, context, abs(i - j)


def counted(pairs):
    """How often each (center, context) occurs."""
    return Counter(zip(*(part.tolist() for part in pairs), strict=True))


# --- pairs ----------------------------------------------------------------------------------------------------------


def test_skip_gram_pairs_by_hand():
    """Of "a b c" a window of 1 has a-b, b-a, b-c, c-b; with 2 also a-c and c-a."""
    near = [(0, 1), (1, 0), (1, 2), (2, 1)]
    assert counted(skip_gram_pairs([numbers(0, 1, 2)], 1)) == Counter(near), "window 1"
    assert counted(skip_gram_pairs([numbers(0, 1, 2)], 2)) == Counter([*near, (0, 2), (2, 0)]), "window 2"


def test_skip_gram_pairs_are_those_of_loops(rng):
    """Place by place, for texts of any length, empty ones as well, and windows beyond their ends."""
    for window in (1, 2, 3, 9):
        texts = some_texts(rng)
        expected = Counter((v, w) for v, w, _ in by_loops(texts, window))
        assert counted(skip_gram_pairs(texts, window)) == expected, f"window {window}"


def test_skip_gram_pairs_stay_within_a_text():
    """The last word of a text is no neighbour of the next text's first."""
    assert counted(skip_gram_pairs([numbers(0, 1), numbers(2, 3)], 5)) == Counter([(0, 1), (1, 0), (2, 3), (3, 2)])


def test_skip_gram_pairs_of_nothing():
    """No texts, an empty text and a text of one word have no pairs: two empty rows of whole numbers."""
    for texts in ([], [numbers()], [numbers(4)]):
        for part in skip_gram_pairs(texts, 2):
            assert_shape(part, (0,))
            assert part.dtype == torch.long


@pytest.mark.parametrize("call", [skip_gram_pairs, lambda texts, window: cooccurrences(texts, 3, window)])
def test_windows_below_one_are_refused(call):
    """A window of no place has no pairs, and is a mistake."""
    assert_refuses_values(lambda window: call([numbers(0, 1)], window), "window", 0, -1)


# --- co-occurrences -------------------------------------------------------------------------------------------------


def test_cooccurrences_by_hand():
    """In "a b c a" a and b are neighbours once and two apart once, 1 + 1/2; a and a are three apart."""
    table = cooccurrences([numbers(0, 1, 2, 0)], 3, window=3)
    roughly(table, [[2 / 3, 1.5, 1.5], [1.5, 0, 1], [1.5, 1, 0]])


def test_cooccurrences_are_those_of_loops(rng):
    """Place by place, for texts of any length, with words that never occur."""
    for window in (1, 2, 4):
        texts = some_texts(rng)
        expected = torch.zeros(7, 7)
        for center, context, distance in by_loops(texts, window):
            expected[center, context] += 1 / distance
        roughly(cooccurrences(texts, 7, window), expected, f"window {window}")


def test_cooccurrences_of_a_word_with_itself():
    """With a window of 1 "b b b" has two pairs, each both ways round: 4."""
    roughly(cooccurrences([numbers(1, 1, 1)], 2, window=1), [[0, 0], [0, 4]])


def test_cooccurrences_stay_within_a_text():
    """Pairs never cross the end of a text, and no text gives a table of zeros."""
    roughly(cooccurrences([numbers(0), numbers(1)], 2, window=3), torch.zeros(2, 2))
    roughly(cooccurrences([], 2, window=3), torch.zeros(2, 2))


# --- negative sampling ----------------------------------------------------------------------------------------------


def test_negative_sampling_loss_by_hand():
    """Scores log 3 for the context, and 0 and -log 3 for the negatives: -log 3/4 - log 1/2 - log 3/4."""
    three = math.log(3)
    center, context = torch.tensor([[three, 0.0]]), torch.tensor([[1.0, 5.0]])
    negatives = torch.tensor([[[0.0, 2.0], [-1.0, 7.0]]])
    roughly(negative_sampling_loss(center, context, negatives), -2 * math.log(0.75) - math.log(0.5))


def test_negative_sampling_loss_is_binary_cross_entropy(rng):
    """PyTorch's, with the label 1 for the context and 0 for each negative, added up, the mean over the batch."""
    centers, contexts, negatives = normal(rng, 5, 3), normal(rng, 5, 3), normal(rng, 5, 4, 3)
    total = 0.0
    for b in range(5):
        scores = torch.stack([centers[b] @ contexts[b], *(centers[b] @ negative for negative in negatives[b])])
        labels = torch.tensor([1.0, 0, 0, 0, 0], dtype=torch.float64)
        total += binary_cross_entropy_with_logits(scores, labels, reduction="sum")
    exactly(negative_sampling_loss(centers, contexts, negatives), total / 5)


def test_negative_sampling_loss_has_the_gradient_of_a_logistic_regression(rng):
    """Of one pair, in the center: (σ(score) - 1) context + Σ σ(negative score) negative."""
    center, context, negatives = normal(rng, 1, 3).requires_grad_(), normal(rng, 1, 3), normal(rng, 1, 2, 3)
    negative_sampling_loss(center, context, negatives).backward()
    v = center.detach()[0]
    expected = ((v @ context[0]).sigmoid() - 1) * context[0] + (negatives[0] @ v).sigmoid() @ negatives[0]
    exactly(center.grad, expected[None])


def test_negative_sampling_loss_of_extremes():
    """A score of a thousand on the wrong side costs a thousand, not infinity; on the right side nothing."""
    center, context = torch.tensor([[1000.0]]), torch.tensor([[1.0]])
    roughly(negative_sampling_loss(center, -context, -context[None]), 1000.0, "context")
    roughly(negative_sampling_loss(center, context, context[None]), 1000.0, "negative")
    roughly(negative_sampling_loss(center, context, -context[None]), 0.0, "all right")


def test_negative_sampling_loss_without_negatives(rng):
    """No negatives leave the loss of the contexts alone."""
    centers, contexts = normal(rng, 4, 3), normal(rng, 4, 3)
    expected = -(centers * contexts).sum(dim=1).sigmoid().log().mean()
    exactly(negative_sampling_loss(centers, contexts, torch.zeros(4, 0, 3, dtype=torch.float64)), expected)


def test_negative_sampling_settles_at_log_ratios():
    """If each pair meets every context once as a negative, its gradient is 0 where a score is log #(v, w) / #(v)."""
    table = torch.tensor([[4, 2], [1, 3]])
    scores = (table / table.double().sum(dim=1, keepdim=True)).log().requires_grad_()
    rows, columns = table.nonzero(as_tuple=True)
    pairs = [(v, w) for v, w in zip(rows, columns, strict=True) for _ in range(int(table[v, w]))]
    centers = torch.stack([scores[v] for v, _ in pairs])  # contexts are the axes, so a score is an entry
    contexts = torch.stack([torch.eye(2, dtype=torch.float64)[w] for _, w in pairs])
    loss = negative_sampling_loss(centers, contexts, torch.eye(2, dtype=torch.float64).expand(len(pairs), 2, 2))
    (gradient,) = torch.autograd.grad(loss, scores)
    exactly(gradient, torch.zeros(2, 2))


# --- GloVe ----------------------------------------------------------------------------------------------------------


def test_glove_loss_by_hand():
    """A count of 16 below a ceiling of 256 weighs (1/16)^0.75 = 1/8; one of 300 weighs 1; one of 0 nothing."""
    counts = torch.tensor([16.0, 300.0, 0.0])
    scores = counts.clamp(min=1).log() + torch.tensor([2.0, 3.0, 50.0])
    roughly(glove_loss(scores, counts, ceiling=256), 4 / 8 + 9)
    roughly(glove_loss(scores, counts, ceiling=256, power=0.5), 4 / 4 + 9, "power 1/2")


def test_glove_loss_has_the_settings_of_the_paper():
    """A ceiling of 100 and a power of 3/4."""
    counts = torch.tensor([50.0, 150.0])
    roughly(glove_loss(counts.log() + 1, counts), 0.5**0.75 + 1)


def test_glove_loss_is_that_of_a_loop(rng):
    """Pair by pair, and of any shape."""
    scores, counts = normal(rng, 3, 4), torch.from_numpy(rng.poisson(2.0, (3, 4)) * 0.7)
    total = 0.0
    for score, count in zip(scores.flatten().tolist(), counts.flatten().tolist(), strict=True):
        if count > 0:
            total += min(1.0, (count / 4) ** 0.6) * (score - math.log(count)) ** 2
    exactly(glove_loss(scores, counts, 4, 0.6), total)


def test_glove_loss_has_a_gradient_everywhere(rng):
    """2 weight (score - log count), and 0, not NaN, where a pair never occurs."""
    counts = torch.tensor([0.0, 1.0, 100.0, 400.0], dtype=torch.float64)
    scores = normal(rng, 4).requires_grad_()
    glove_loss(scores, counts).backward()
    weights = torch.tensor([0.0, 0.01**0.75, 1.0, 1.0], dtype=torch.float64)
    exactly(scores.grad, 2 * weights * (scores.detach() - counts.clamp(min=1).log()))


def test_glove_loss_refuses():
    """A ceiling and a power are above 0."""
    one = torch.ones(1)
    assert_refuses_values(lambda value: glove_loss(one, one, ceiling=value), "ceiling", 0.0, -3.0, math.nan)
    assert_refuses_values(lambda value: glove_loss(one, one, power=value), "power", 0.0, -3.0, math.nan)
    assert_unchanged(glove_loss, torch.tensor([1.0, 2.0]), torch.tensor([0.0, 3.0]))


# --- analogies ------------------------------------------------------------------------------------------------------

# man, woman, king, queen, apple: a parallelogram in the first two coordinates, of unequal lengths
WORDS = torch.tensor([[1.0, 0, 1], [1, 1, 1], [6, 0, 1], [6, 6, 1], [0, 0.1, -3]], dtype=torch.float64)


def test_analogy_by_hand():
    """Man is to woman as king is to queen, and the other way round."""
    assert analogy(WORDS, 0, 1, 2).tolist() == [3]
    assert analogy(WORDS, 1, 0, 3).tolist() == [2]


def test_analogy_never_answers_with_the_question():
    """Where b is a, nothing moves and c is nearest: the answer is the next word, however far."""
    assert analogy(WORDS, 0, 0, 2, count=3).tolist() == [1, 3, 4] or analogy(WORDS, 0, 0, 2, 3).tolist() == [3, 1, 4]
    for a, b, c in ((0, 1, 2), (3, 4, 1), (2, 2, 2)):
        answers = analogy(WORDS, a, b, c, count=len({0, 1, 2, 3, 4} - {a, b, c})).tolist()
        assert sorted(answers) == sorted({0, 1, 2, 3, 4} - {a, b, c}), f"question {a, b, c}"


def test_analogy_is_that_of_a_loop(rng):
    """Word by word: cosines with b - a + c, of vectors made of length 1, the best first."""
    vectors = normal(rng, 30, 4) * torch.linspace(0.1, 20, 30, dtype=torch.float64)[:, None]
    unit = [v / math.sqrt(float(v @ v)) for v in vectors]
    for a, b, c in ((0, 1, 2), (29, 3, 14), (7, 21, 8), (5, 5, 9)):
        target = unit[b] - unit[a] + unit[c]
        order = sorted((w for w in range(30) if w not in (a, b, c)), key=lambda w: -float(unit[w] @ target))
        assert analogy(vectors, a, b, c, count=6).tolist() == order[:6]
    assert_unchanged(lambda v: analogy(v, 0, 1, 2), vectors)


def test_analogy_does_not_care_for_lengths(rng):
    """Longer vectors, as frequent words have, change no answer."""
    vectors = normal(rng, 12, 3)
    longer = vectors * torch.linspace(1, 50, 12, dtype=torch.float64)[:, None]
    assert analogy(longer, 3, 4, 5, count=9).tolist() == analogy(vectors, 3, 4, 5, count=9).tolist()


def test_analogy_refuses():
    """Words are numbers of words, and a count leaves out those of the question."""
    assert_refuses(lambda: analogy(WORDS, 0, 5, 1), "words", 5)
    assert_refuses(lambda: analogy(WORDS, -1, 0, 1), "words", -1)
    assert_refuses(lambda: analogy(WORDS, 0, 1, 2, count=3), "count", 3)
    assert_refuses(lambda: analogy(WORDS, 0, 1, 2, count=0), "count", 0)


# --- texts ----------------------------------------------------------------------------------------------------------


def test_sentence_vectors_by_hand():
    """With shares 3/4 and 1/4 and a smoothing of 1/4 words weigh 1/4 and 1/2; "a b b" is their sum by three."""
    vectors, counts = torch.tensor([[4.0, 0.0], [0.0, 6.0]]), torch.tensor([30.0, 10.0])
    roughly(sentence_vectors([numbers(0, 1, 1), numbers(1)], vectors, counts, 0.25), [[1 / 3, 2], [0, 3]])


def test_sentence_vectors_are_those_of_a_loop(rng):
    """Text by text and word by word; texts without a word are zeros."""
    vectors, counts = normal(rng, 6, 3), torch.from_numpy(rng.integers(1, 50, 6)).double()
    texts = [numbers(), *some_texts(rng), numbers()]
    expected = torch.zeros(len(texts), 3, dtype=torch.float64)
    for row, text in zip(expected, texts, strict=True):
        for word in text.tolist():
            row += vectors[word] * 0.1 / (0.1 + counts[word] / counts.sum()) / len(text)
    exactly(sentence_vectors(texts, vectors, counts, 0.1), expected)


def test_sentence_vectors_smooth_by_a_thousandth():
    """The default smoothing is 1e-3: a word with the share 1 weighs 1/1001."""
    roughly(sentence_vectors([numbers(0)], torch.tensor([[1001.0]]), torch.tensor([7.0])), [[1.0]])


def test_sentence_vectors_stand_alone(rng):
    """A text's vector does not depend on the texts beside it, nor on the order of its words; none give no rows."""
    vectors, counts, texts = normal(rng, 6, 3), torch.ones(6), some_texts(rng)
    together = sentence_vectors(texts, vectors, counts)
    for row, text in zip(together, texts, strict=True):
        exactly(sentence_vectors([text.flip(0)], vectors, counts)[0], row)
    assert_shape(sentence_vectors([], vectors, counts), (0, 3))
    assert_unchanged(lambda v, c: sentence_vectors(texts, v, c), vectors, counts)


def test_sentence_vectors_refuse():
    """A smoothing is above 0."""
    one = torch.ones(1)
    assert_refuses_values(
        lambda a: sentence_vectors([numbers(0)], one[:, None], one, a), "smoothing", 0.0, -1.0, math.nan
    )


# --- what is given is right, too ------------------------------------------------------------------------------------


def test_the_rest_is_right(rng):
    """The vocabulary's order, neighbours, the common direction, and what is left without it."""
    assert neighbors(WORDS, 2, 2).tolist() == [0, 3], "neighbors"
    vocabulary = Vocabulary([["b", "a", "c"], ["b", "a"], ["b"]], least=2)
    assert (vocabulary.words, vocabulary.counts.tolist(), len(vocabulary)) == (["b", "a"], [3.0, 2.0], 2)
    assert vocabulary.encode(["a", "x", "b", "b"]).tolist() == [1, 0, 0]
    assert_refuses(lambda: Vocabulary([["a"]], least=2), "texts", 2)
    X = normal(rng, 20, 3) + torch.tensor([5.0, 0, 0])
    direction = common_direction(X)
    theirs = torch.linalg.svd(X, full_matrices=False).Vh[0]
    assert_close(abs(direction @ theirs), 1.0, "common_direction", rtol=1e-9)
    roughly(without_direction(X, direction) @ direction, torch.zeros(20), "without_direction")
