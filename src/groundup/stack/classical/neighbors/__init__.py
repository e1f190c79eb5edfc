"""K-nearest neighbours, naive Bayes, and the support vector machine by sequential minimal optimization."""

from groundup.stack.classical.neighbors.neighbors import (
    SVC,
    GaussianNB,
    KNeighborsClassifier,
    Machine,
    MultinomialNB,
    gaussian_log_likelihoods,
    nearest,
    pair_step,
    rbf_kernel,
    smo,
    squarable,
    squared_distances,
    vote_shares,
    word_log_probabilities,
    worst_pair,
)

__all__ = [
    "SVC",
    "GaussianNB",
    "KNeighborsClassifier",
    "Machine",
    "MultinomialNB",
    "gaussian_log_likelihoods",
    "nearest",
    "pair_step",
    "rbf_kernel",
    "smo",
    "squarable",
    "squared_distances",
    "vote_shares",
    "word_log_probabilities",
    "worst_pair",
]
