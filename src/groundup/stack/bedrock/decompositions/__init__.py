"""Decompositions: QR, eigenvalues, singular values, and the nearest matrix of low rank."""

from groundup.stack.bedrock.decompositions.decompositions import (
    EPS,
    SVD,
    Dominant,
    least_squares,
    low_rank,
    power_iteration,
    qr,
    rank_for,
    rotation,
    subspace_iteration,
    svd,
    symmetric_eigen,
)

__all__ = [
    "EPS",
    "SVD",
    "Dominant",
    "least_squares",
    "low_rank",
    "power_iteration",
    "qr",
    "rank_for",
    "rotation",
    "subspace_iteration",
    "svd",
    "symmetric_eigen",
]
