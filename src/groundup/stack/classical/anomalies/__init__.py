"""Robust z-scores, isolation forests, local outlier factors, and cumulative sums."""

from groundup.stack.classical.anomalies.anomalies import (
    Cusum,
    IsolationForest,
    IsolationTree,
    LocalOutlierFactor,
    RobustZScore,
    average_path_length,
    cusum,
    grow_isolation_tree,
    local_densities,
    others,
    path_lengths,
    robust_scale,
    z_scores,
)

__all__ = [
    "Cusum",
    "IsolationForest",
    "IsolationTree",
    "LocalOutlierFactor",
    "RobustZScore",
    "average_path_length",
    "cusum",
    "grow_isolation_tree",
    "local_densities",
    "others",
    "path_lengths",
    "robust_scale",
    "z_scores",
]
