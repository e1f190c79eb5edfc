"""Embeddings: words as vectors, learned from their neighbours in text, and texts as vectors made of them.

    vocabulary = Vocabulary(lines, least=3)                       # lines are lists of words
    texts = [vocabulary.encode(line) for line in lines]
    words = train_skip_gram(texts, vocabulary.counts, dim=32)     # word2vec, with negative sampling
    words = train_glove(cooccurrences(texts, len(vocabulary), window=3), dim=32)
    analogy(words.vectors, paris, france, rome)                   # which word is to rome as france is to paris?
    X = sentence_vectors(texts, words.vectors, vocabulary.counts) # averages, in which frequent words count little
    X = without_direction(X, common_direction(X))                 # less what all texts share

Words are whole numbers, in the order of their frequency. Not covered: subwords as in fastText, training in several
processes, and vectors that depend on the sentence: those are `deep/attention`'s.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

from groundup.stack.bedrock.decompositions import power_iteration, svd

Texts = Sequence[Tensor]  # of word numbers, each of shape (length,); a text may be empty


class Vocabulary:
    """The words that occur at least `least` times, the most frequent first, equals by the alphabet.

    Attributes:
        words: the words; a word's number is its place.
        counts: how often each occurs, of shape (words,).

    Raises:
        ValueError: no word is left.
    """

    def __init__(self, texts: Iterable[Iterable[str]], least: int = 1) -> None:
        counted = Counter(word for text in texts for word in text)
        self.words = sorted((w for w, n in counted.items() if n >= least), key=lambda w: (-counted[w], w))
        if not self.words:
            raise ValueError(f"texts must have a word that occurs at least {least} times, got {len(counted)} words.")
        self.counts = torch.tensor([counted[word] for word in self.words], dtype=torch.float32)
        self.numbers = {word: number for number, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, text: Iterable[str]) -> Int[Tensor, " length"]:
        """Return the numbers of the known words of a text; unknown words are left out."""
        return torch.tensor([self.numbers[w] for w in text if w in self.numbers], dtype=torch.long)


# --- what stands beside what ----------------------------------------------------------------------------------------


def skip_gram_pairs(texts: Texts, window: int) -> tuple[Int[Tensor, " pairs"], Int[Tensor, " pairs"]]:
    """Return centers and contexts: each word with each word at most `window` places before or after it.

    Both words of a pair are center once and context once. Pairs never cross the end of a text. Their order is free.

    Raises:
        ValueError: a window below 1.
    """
    words, owner = _joined(texts, window)
    centers, contexts = [], []
    for distance in range(1, window + 1):
        together = owner[:-distance] == owner[distance:]
        left, right = words[:-distance][together], words[distance:][together]
        centers += [left, right]
        contexts += [right, left]
    return torch.cat(centers), torch.cat(contexts)


def cooccurrences(texts: Texts, size: int, window: int) -> Float[Tensor, "size size"]:
    """Count which words stand together: entry (v, w) adds 1 / distance for each w within `window` places of a v.

    The table is symmetric. It is GloVe's: near words count more (Pennington, Socher and Manning, 2014). Pairs never
    cross the end of a text. `size` is the number of words in the vocabulary; results are float32.

    Raises:
        ValueError: a window below 1.
    """
    words, owner = _joined(texts, window)
    counts = torch.zeros(size, size)
    for distance in range(1, window + 1):
        together = owner[:-distance] == owner[distance:]
        places = words[:-distance][together], words[distance:][together]
        counts.index_put_(places, torch.tensor(1 / distance), accumulate=True)
    return counts + counts.T


# --- losses ---------------------------------------------------------------------------------------------------------


def negative_sampling_loss(
    centers: Float[Tensor, "batch dim"],
    contexts: Float[Tensor, "batch dim"],
    negatives: Float[Tensor, "batch count dim"],
) -> Float[Tensor, ""]:
    """Return the loss of telling true contexts from drawn ones, the mean over the batch (Mikolov et al., 2013).

    The loss of a pair is -log σ(center · context) - Σ log σ(-center · negative), over its own negatives. It stays
    finite where σ rounds to 0.
    """
    wanted = (centers * contexts).sum(dim=1)
    unwanted = torch.einsum("bd,bnd->bn", centers, negatives)
    return -(logsigmoid(wanted) + logsigmoid(-unwanted).sum(dim=1)).mean()


def glove_loss(
    scores: Float[Tensor, " pairs"], counts: Float[Tensor, " pairs"], ceiling: float = 100.0, power: float = 0.75
) -> Float[Tensor, ""]:
    """Return Σ weight · (score - log count)² over pairs of words (Pennington, Socher and Manning, 2014).

    A score is center · context + both biases. The weight is (count / ceiling)^power, and at most 1: rare pairs are
    noise, and frequent ones must not drown all others. A pair that never occurs, a count of 0, adds nothing.

    Raises:
        ValueError: a ceiling or a power that is not above 0.
    """
    _above_zero(ceiling=ceiling, power=power)
    weights = (counts / ceiling).clamp(max=1.0) ** power
    logs = torch.where(counts > 0, counts, 1.0).log()
    return (weights * (scores - logs) ** 2).sum()


# --- training -------------------------------------------------------------------------------------------------------


class WordVectors(NamedTuple):
    """Vectors of the words, those of the words as contexts, both of shape (words, dim), and the loss of each step."""

    vectors: Tensor
    contexts: Tensor
    losses: list[float]


def train_skip_gram(
    texts: Texts,
    counts: Float[Tensor, " words"],
    dim: int,
    window: int = 3,
    negatives: int = 5,
    steps: int = 500,
    batch: int = 512,
    learning_rate: float = 0.3,
    generator: torch.Generator | None = None,
) -> WordVectors:
    """Train skip-gram with negative sampling: word2vec (Mikolov et al., 2013), here by AdaGrad.

    Each step draws pairs, and for each of them so many negatives, a word by count^0.75.
    """
    centers, contexts = skip_gram_pairs(texts, window)
    noise = counts**0.75
    words = (torch.rand(len(counts), dim, generator=generator) - 0.5) / dim
    others = torch.zeros(len(counts), dim)

    def loss() -> Tensor:
        chosen = torch.randint(len(centers), (batch,), generator=generator)
        drawn = torch.multinomial(noise, batch * negatives, replacement=True, generator=generator)
        return negative_sampling_loss(
            words[centers[chosen]], others[contexts[chosen]], others[drawn.reshape(batch, negatives)]
        )

    losses = _adagrad(loss, [words, others], steps, learning_rate)
    return WordVectors(words.detach(), others.detach(), losses)


def train_glove(
    table: Float[Tensor, "words words"],
    dim: int,
    ceiling: float = 100.0,
    steps: int = 500,
    batch: int = 512,
    learning_rate: float = 0.2,
    generator: torch.Generator | None = None,
) -> WordVectors:
    """Train GloVe on a table of co-occurrences, by AdaGrad; vectors are the sums of both sides, as in the paper."""
    rows, columns = table.nonzero(as_tuple=True)
    words, others = (torch.rand(2, len(table), dim, generator=generator) - 0.5) / dim
    biases = torch.zeros(2, len(table))

    def loss() -> Tensor:
        chosen = torch.randint(len(rows), (batch,), generator=generator)
        v, w = rows[chosen], columns[chosen]
        scores = (words[v] * others[w]).sum(dim=1) + biases[0, v] + biases[1, w]
        return glove_loss(scores, table[v, w], ceiling) / batch

    losses = _adagrad(loss, [words, others, biases], steps, learning_rate)
    return WordVectors((words + others).detach(), others.detach(), losses)


def _adagrad(loss: Callable[[], Tensor], parameters: list[Tensor], steps: int, learning_rate: float) -> list[float]:
    """Change parameters in place, each entry by its gradient over the root of its gradients' squares so far."""
    squares, losses = [torch.full_like(p, 1e-10) for p in parameters], []
    for parameter in parameters:
        parameter.requires_grad_()
    for _ in range(steps):
        value = loss()
        with torch.no_grad():
            for p, square, gradient in zip(parameters, squares, torch.autograd.grad(value, parameters), strict=True):
                square += gradient**2
                p -= learning_rate * gradient / square.sqrt()
        losses.append(value.item())
    return losses


def pmi_vectors(table: Float[Tensor, "words words"], dim: int) -> Float[Tensor, "words dim"]:
    """Factor the positive part of log p(v, w) / (p(v) p(w)) by SVD: word vectors without training.

    Skip-gram's optimum is this table, less log of the number of negatives (Levy and Goldberg, 2014).
    """
    joint = table.double() / table.sum()
    chance = joint.sum(dim=1, keepdim=True) * joint.sum(dim=0)
    pmi = torch.where(joint > 0, (joint / chance.clamp(min=1e-300)).log(), 0.0).clamp(min=0.0)
    left, values, _ = svd(pmi.numpy())
    return torch.from_numpy(left[:, :dim] * np.sqrt(values[:dim])).float()


# --- what the vectors are good for ----------------------------------------------------------------------------------


def analogy(vectors: Float[Tensor, "words dim"], a: int, b: int, c: int, count: int = 1) -> Int[Tensor, " count"]:
    """Return which words are to c as b is to a, the best first (Mikolov, Yih and Zweig, 2013).

    Every vector is first made of length 1. The best word has the largest cosine with b - a + c. The three words of the
    question are never the answer.

    Raises:
        ValueError: a count that is not from 1 to the number of other words, or a word that has no vector.
    """
    _check_words(len(vectors), count, a, b, c)
    unit = normalize(vectors, dim=1)
    scores = unit @ (unit[b] - unit[a] + unit[c])  # cosines, times the length of the target
    scores[[a, b, c]] = -torch.inf
    return scores.topk(count).indices


def neighbors(vectors: Float[Tensor, "words dim"], word: int, count: int = 1) -> Int[Tensor, " count"]:
    """Return the other words with the largest cosine, the best first."""
    return analogy(vectors, word, word, word, count)


def sentence_vectors(
    texts: Texts, vectors: Float[Tensor, "words dim"], counts: Float[Tensor, " words"], smoothing: float = 1e-3
) -> Float[Tensor, "texts dim"]:
    """Return the weighted mean of each text's words: smooth inverse frequency (Arora, Liang and Ma, 2017).

    A word that has the share p of all counts weighs smoothing / (smoothing + p). The weighted vectors of all words of
    a text are added, repetitions included, and divided by how many words there are. A text without a word is zeros.

    Raises:
        ValueError: a smoothing that is not above 0.
    """
    _above_zero(smoothing=smoothing)
    words, owner = _joined(texts)
    weights = smoothing / (smoothing + counts / counts.sum())
    sums = vectors.new_zeros(len(texts), vectors.shape[1])
    sums = sums.index_add(0, owner, vectors[words] * weights[words, None])
    lengths = torch.bincount(owner, minlength=len(texts)).clamp(min=1)
    return sums / lengths[:, None]


def common_direction(X: Float[Tensor, "texts dim"]) -> Float[Tensor, " dim"]:
    """Return the direction along which texts have the largest squares, of length 1: what all of them share."""
    gram = (X.T @ X).double().numpy()
    start = gram[:, gram.diagonal().argmax()]
    return torch.from_numpy(power_iteration(gram, start, 1e-6).vector).to(X.dtype)


def without_direction(X: Float[Tensor, "texts dim"], direction: Float[Tensor, " dim"]) -> Float[Tensor, "texts dim"]:
    """Return the texts without their part along a direction of length 1, taken from the texts that were fitted."""
    return X - (X @ direction)[:, None] * direction


# --- plumbing and refusals ------------------------------------------------------------------------------------------


def _joined(texts: Texts, window: int = 1) -> tuple[Int[Tensor, " total"], Int[Tensor, " total"]]:
    """All words in a row, and the number of the text that each is from."""
    if window < 1:
        raise ValueError(f"window must be at least 1 place, got {window}.")
    lengths = torch.tensor([len(text) for text in texts], dtype=torch.long)
    none = torch.empty(0, dtype=torch.long)
    return torch.cat([none, *texts]), torch.arange(len(texts)).repeat_interleave(lengths)


def _above_zero(**settings: float) -> None:
    for name, value in settings.items():
        if not value > 0:
            raise ValueError(f"{name} must be above 0, got {value}.")


def _check_words(size: int, count: int, *words: int) -> None:
    for word in words:
        if not 0 <= word < size:
            raise ValueError(f"words must be numbers from 0 to {size - 1}, got {word}.")
    others = size - len(set(words))
    if not 1 <= count <= others:
        raise ValueError(f"count must be from 1 to {others}, the words beside those of the question, got {count}.")
