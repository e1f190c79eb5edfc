"""Recommenders: matrix factorisation by ALS and SGD, neighbours, and ranking metrics."""

from groundup.stack.classical.recommenders.recommenders import (
    Factors,
    RatingModel,
    als,
    als_step,
    average_precision,
    fit_ratings,
    implicit_loss,
    item_cosines,
    ndcg,
    popularity,
    predict_ratings,
    recall,
    sgd_epoch,
    top_k,
)

__all__ = [
    "Factors",
    "RatingModel",
    "als",
    "als_step",
    "average_precision",
    "fit_ratings",
    "implicit_loss",
    "item_cosines",
    "ndcg",
    "popularity",
    "predict_ratings",
    "recall",
    "sgd_epoch",
    "top_k",
]
