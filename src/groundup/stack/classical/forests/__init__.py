"""Random forests: bagging, out-of-bag error, importances by impurity and by permutation."""

from groundup.stack.classical.forests.forests import (
    RandomForestClassifier,
    RandomForestRegressor,
    bootstrap_counts,
    forest_values,
    grow_forest,
    impurity_importances,
    out_of_bag_values,
    permutation_importances,
)

__all__ = [
    "RandomForestClassifier",
    "RandomForestRegressor",
    "bootstrap_counts",
    "forest_values",
    "grow_forest",
    "impurity_importances",
    "out_of_bag_values",
    "permutation_importances",
]
