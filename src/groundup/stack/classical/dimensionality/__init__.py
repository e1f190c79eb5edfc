"""Dimensionality: principal components, and t-SNE by a quadtree."""

from groundup.stack.classical.dimensionality.dimensionality import (
    EMPTY,
    PCA,
    TSNE,
    Quadtree,
    barnes_hut_gradient,
    conditional_affinities,
    descend,
    joint_affinities,
    kl_gradient,
    principal_components,
    quadtree,
    repulsion,
)

__all__ = [
    "EMPTY",
    "PCA",
    "TSNE",
    "Quadtree",
    "barnes_hut_gradient",
    "conditional_affinities",
    "descend",
    "joint_affinities",
    "kl_gradient",
    "principal_components",
    "quadtree",
    "repulsion",
]
