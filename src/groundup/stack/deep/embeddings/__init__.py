"""Embeddings: skip-gram, GloVe, analogies, and texts as weighted means of their words."""

from groundup.stack.deep.embeddings.embeddings import (
    Vocabulary,
    WordVectors,
    analogy,
    common_direction,
    cooccurrences,
    glove_loss,
    negative_sampling_loss,
    neighbors,
    pmi_vectors,
    sentence_vectors,
    skip_gram_pairs,
    train_glove,
    train_skip_gram,
    without_direction,
)

__all__ = [
    "Vocabulary",
    "WordVectors",
    "analogy",
    "common_direction",
    "cooccurrences",
    "glove_loss",
    "negative_sampling_loss",
    "neighbors",
    "pmi_vectors",
    "sentence_vectors",
    "skip_gram_pairs",
    "train_glove",
    "train_skip_gram",
    "without_direction",
]
