# pyright: basic
"""Ways to get embeddings wrong, and right ways that differ."""

import numpy as np
import torch
from torch.nn.functional import normalize

from groundup.anatomy import mistake, variant
from groundup.stack.deep.embeddings.embeddings import _above_zero, _check_words, _joined


@mistake(
    "skip_gram_pairs", edit=("together = owner[:-distance] == owner[distance:]", "together = owner[distance:] >= 0")
)
def pairs_across_texts():
    """You pair the last words of a text with the first of the next. Only words of the same text stand together."""


@mistake("skip_gram_pairs", edit=("contexts += [right, left]", "contexts += [left, right]"))
def pairs_words_with_themselves():
    """You pair each word with itself. The context of the left word is the right one, and the other way round."""


@mistake("skip_gram_pairs", edit=("range(1, window + 1)", "range(1, window)"))
def stops_before_the_window():
    """You leave the farthest places out: the window is the largest distance, included."""


@mistake("skip_gram_pairs", edit=("range(1, window + 1)", "(window,)"))
def takes_the_edge_alone():
    """You pair words at the distance of the window alone. Every distance from 1 on counts."""


@mistake("cooccurrences", edit=("torch.tensor(1 / distance)", "torch.tensor(1.0)"))
def counts_far_as_near():
    """You add 1 at every distance. A pair adds 1 / distance: near words say more."""


@mistake(
    "cooccurrences",
    edit=("counts.index_put_(places, torch.tensor(1 / distance), accumulate=True)", "counts[places] += 1 / distance"),
)
def forgets_repetitions():
    """You add by index, and a place that comes up twice is added to once. Use `index_put_(…, accumulate=True)`."""


@mistake("cooccurrences", edit=("counts + counts.T", "counts"))
def looks_ahead_only():
    """You count the words behind, not those before. The table is symmetric: add its transpose."""


@mistake("negative_sampling_loss", edit=("logsigmoid(-unwanted)", "logsigmoid(unwanted)"))
def attracts_negatives():
    """You pull drawn words close as well. A negative has the label 0: turn the sign of its score."""


@mistake("negative_sampling_loss", edit=("logsigmoid(-unwanted).sum(dim=1)", "logsigmoid(-unwanted).mean(dim=1)"))
def averages_negatives():
    """You take the mean over the negatives. Each of them is an example of its own: sum, so that more of them count."""


@mistake("negative_sampling_loss")
def takes_the_log_of_nothing(centers, contexts, negatives):
    """You take the log of a sigmoid that rounds to 0. `logsigmoid` computes both at once, and stays finite."""
    wanted = (centers * contexts).sum(dim=1).sigmoid()
    unwanted = torch.einsum("bd,bnd->bn", centers, negatives).sigmoid()
    return -(wanted.log() + (1 - unwanted).log().sum(dim=1)).mean()


@mistake("negative_sampling_loss", edit=(".sum(dim=1)).mean()", ".sum(dim=1)).sum()"))
def adds_up_the_batch():
    """You add up the batch, so that the learning rate depends on its size. Take the mean."""


@mistake("glove_loss", edit=("torch.where(counts > 0, counts, 1.0).log()", "counts.log()"))
def takes_the_log_of_zero():
    """You multiply a weight of 0 by the log of 0, which is NaN. Take the log of 1 there."""


@mistake("glove_loss", edit=("torch.where(counts > 0, counts, 1.0).log()", "(1 + counts).log()"))
def counts_one_more():
    """You take log(1 + count), which bends small counts. Pairs that never occur weigh 0, so no 1 is needed."""


@mistake("glove_loss", edit=(".clamp(max=1.0)", ""))
def lets_frequent_pairs_drown_others():
    """You do not cut the weight at 1. Beyond the ceiling all pairs weigh alike."""


@mistake("analogy", edit=("scores[[a, b, c]] = -torch.inf", "scores[[a, b]] = -torch.inf"))
def answers_with_c():
    """You let c answer. It mostly is the nearest to its own corner: leave all three words of the question out."""


@mistake("analogy", edit=("unit[b] - unit[a] + unit[c]", "unit[a] - unit[b] + unit[c]"))
def walks_backwards():
    """You go from b to a. The fourth corner is b - a + c."""


@mistake("analogy", edit=("unit = normalize(vectors, dim=1)", "unit = vectors"))
def prefers_long_vectors():
    """You compare dot products, so that long vectors win, mostly of frequent words. Make all of length 1."""


@mistake(
    "sentence_vectors", edit=("smoothing / (smoothing + counts / counts.sum())", "smoothing / (smoothing + counts)")
)
def weighs_by_counts():
    """You put counts where shares belong. Divide by the sum of all counts, or the smoothing means nothing."""


@mistake(
    "sentence_vectors",
    edit=(
        "lengths[:, None]",
        "torch.zeros(len(texts), dtype=weights.dtype).index_add(0, owner, weights[words]).clamp(min=1e-12)[:, None]",
    ),
)
def divides_by_the_weights():
    """You divide by the sum of the weights, so frequent words count as much as others. Divide by the length."""


@mistake("sentence_vectors", edit=(".clamp(min=1)", ""))
def divides_by_no_words():
    """You divide by 0 where a text has no known word, which is NaN. Such a text is zeros."""


@variant("skip_gram_pairs")
def text_by_text(texts, window):
    """Text by text, by differences of places."""
    _joined([], window)
    centers, contexts = [torch.empty(0, dtype=torch.long)], [torch.empty(0, dtype=torch.long)]
    for text in texts:
        place = torch.arange(len(text))
        distance = (place[:, None] - place).abs()
        i, j = ((distance > 0) & (distance <= window)).nonzero(as_tuple=True)
        centers.append(text[i])
        contexts.append(text[j])
    return torch.cat(centers), torch.cat(contexts)


@variant("cooccurrences")
def by_counter(texts, size, window):
    """A dictionary of pairs, in doubles."""
    _joined([], window)
    counted = {}
    for text in texts:
        words = text.tolist()
        for i, v in enumerate(words):
            for j in range(max(0, i - window), min(len(words), i + window + 1)):
                if j != i:
                    counted[v, words[j]] = counted.get((v, words[j]), 0.0) + 1 / abs(i - j)
    table = torch.zeros(size, size)
    for (v, w), count in counted.items():
        table[v, w] = count
    return table


@variant("negative_sampling_loss")
def by_softplus(centers, contexts, negatives):
    """-log σ(x) is softplus(-x)."""
    from torch.nn.functional import softplus

    scores = torch.cat([-(centers * contexts).sum(1, keepdim=True), (negatives @ centers[:, :, None])[:, :, 0]], dim=1)
    return softplus(scores, threshold=50).sum(dim=1).mean()


@variant("glove_loss")
def of_pairs_that_occur(scores, counts, ceiling=100.0, power=0.75):
    """Pairs that occur alone, and weights by exponentials."""
    _above_zero(ceiling=ceiling, power=power)
    there = counts > 0
    logs = torch.log(counts[there])
    weights = torch.exp(power * torch.clamp(logs - np.log(ceiling), max=0.0))
    return torch.sum(weights * torch.square(scores[there] - logs))


@variant("analogy")
def by_sorting(vectors, a, b, c, count=1):
    """All words sorted, those of the question left out."""
    _check_words(len(vectors), count, a, b, c)
    unit = normalize(vectors, dim=-1)
    order = (unit @ (unit[b] + unit[c] - unit[a])).argsort(descending=True)
    return order[(order != a) & (order != b) & (order != c)][:count]


@variant("sentence_vectors")
def mean_by_mean(texts, vectors, counts, smoothing=1e-3):
    """A mean for each text."""
    _above_zero(smoothing=smoothing)
    weighted = vectors * (smoothing / (smoothing + counts / counts.sum()))[:, None]
    rows = [weighted[text].mean(dim=0) if len(text) else weighted.new_zeros(weighted.shape[1]) for text in texts]
    return torch.stack(rows) if rows else weighted.new_zeros(0, weighted.shape[1])
