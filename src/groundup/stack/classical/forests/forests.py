"""Random forests: trees on bootstrap samples that answer together, judged by the samples that each did not see.

    model = RandomForestClassifier(100, oob_score=True, n_jobs=2).fit(X, y)     # X may hold NaN
    model.oob_score_                                                            # accuracy, without a test set
    permutation_importances(model.score, X_test, y_test, rng)                   # what each column is worth

The trees are the flat arrays of `classical/trees`. None depends on another, so threads grow them side by side, and
they are the same however many threads there are.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from groundup.stack.classical.trees import (
    LEAF,
    Columns,
    Limits,
    Tree,
    at_least,
    columns_of,
    criterion_of,
    generator,
    grow,
    leaves_of,
    limits_of,
    quantities,
    table,
    weights_of,
)

FEW = 1_000  # so many rows are not worth another thread

# --- growing --------------------------------------------------------------------------------------------------------


def bootstrap_counts(n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Draw as many samples as there are, with replacement (Efron, 1979).

    Args:
        n_samples: how many there are, at least 1.
        rng: draws.

    Returns:
        How often each was drawn, of shape (n_samples,); about 37 % were not.
    """
    return np.bincount(rng.integers(n_samples, size=n_samples), minlength=n_samples)


def grow_forest(
    columns: Columns,
    targets: np.ndarray,
    weights: np.ndarray,
    criterion: int,
    n_classes: int,
    limits: Limits,
    rngs: Sequence[np.random.Generator],
    *,
    bootstrap: bool = True,
    n_jobs: int | None = None,
) -> tuple[list[Tree], np.ndarray]:
    """Grow a tree with each generator, each on a bootstrap sample of its own (Breiman, 1996 and 2001).

    A sample drawn twice has twice its weight. A tree's generator draws first its bootstrap sample, then the columns.

    Args:
        columns: the table.
        targets: numbers of classes, or y, of shape (n_samples,).
        weights: of shape (n_samples,).
        criterion: as for `grow`.
        n_classes: as for `grow`.
        limits: as for `grow`.
        rngs: one for each tree.
        bootstrap: without it every tree gets all samples.
        n_jobs: how many threads; -1 for all processors.

    Returns:
        The trees, and which samples each has seen, of shape (n_trees, n_samples).
    """
    present = np.flatnonzero(weights)  # a sample without weight is not there, and is not drawn

    def grow_one(rng: np.random.Generator) -> tuple[Tree, np.ndarray]:
        own = weights.copy()
        if bootstrap:
            own[present] *= bootstrap_counts(len(present), rng)
        return grow(columns, targets, own, criterion, n_classes, limits, rng), own > 0

    pairs: Any = Parallel(n_jobs=n_jobs, prefer="threads")(delayed(grow_one)(rng) for rng in rngs)
    return [tree for tree, _ in pairs], np.array([known for _, known in pairs])


# --- answering ------------------------------------------------------------------------------------------------------


def forest_values(trees: Sequence[Tree], X: np.ndarray) -> np.ndarray:
    """Return the mean of the trees' answers.

    Args:
        trees: at least one.
        X: floats of shape (n_samples, n_features), NaN where missing.

    Returns:
        Of shape (n_samples, n_values): shares of the classes, or one mean.
    """
    total = np.zeros((len(X), trees[0].value.shape[1]))
    for tree in trees:
        total += tree.value[leaves_of(tree, X)]
    return total / len(trees)


def out_of_bag_values(trees: Sequence[Tree], seen: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Return for each training sample the mean answer of the trees that have not seen it.

    Args:
        trees: at least one.
        seen: which samples each tree has seen, of shape (n_trees, n_samples).
        X: the samples, in the same order, of shape (n_samples, n_features).

    Returns:
        Of shape (n_samples, n_values): NaN for a sample that every tree has seen.
    """
    total = np.zeros((len(X), trees[0].value.shape[1]))
    for number, tree in enumerate(trees):
        new = ~seen[number]
        total[new] += tree.value[leaves_of(tree, X[new])]
    counts = np.sum(~seen, axis=0, dtype=float)
    counts[counts == 0] = np.nan
    return total / counts[:, None]


# --- what the columns are worth -------------------------------------------------------------------------------------


def impurity_importances(tree: Tree, n_features: int) -> np.ndarray:
    """Return the share of each column in all that the splits of a tree have lowered its impurity by.

    It is measured on the training samples, and favours columns of many values: they offer more cuts to overfit with.

    Args:
        tree: any.
        n_features: how many columns there are.

    Returns:
        Of shape (n_features,), with the sum 1, or all 0 where nothing was lowered.
    """
    error = tree.impurity * tree.weight
    inner = tree.feature != LEAF
    gain = error[inner] - error[tree.children_left[inner]] - error[tree.children_right[inner]]
    gains = np.bincount(tree.feature[inner], weights=gain, minlength=n_features)
    total = gains.sum()
    return gains / total if total > 0 else gains


def permutation_importances(
    score: Callable[[np.ndarray, np.ndarray], float],
    X: ArrayLike,
    y: ArrayLike,
    rng: np.random.Generator,
    *,
    repeats: int = 5,
) -> np.ndarray:
    """Return how much a model's score falls when a column is shuffled, which cuts its tie to y (Breiman, 2001).

    Give samples that the model was not fitted to. Columns that say the same stand in for each other, and each looks
    worthless alone.

    Args:
        score: of a fitted model, called with X and y; higher is better.
        X: of shape (n_samples, n_features); it is left as it is.
        y: of shape (n_samples,).
        rng: shuffles.
        repeats: how often each column is shuffled, at least 1.

    Returns:
        Of shape (n_features, repeats): the score on X less that with the column shuffled.

    Raises:
        ValueError: X is no table, y has another length, or repeats is below 1.
    """
    rows, labels = np.asarray(X), np.asarray(y)
    if rows.ndim != 2 or labels.shape != rows.shape[:1]:
        shapes = f"{rows.shape} and {labels.shape}"
        raise ValueError(f"X and y must be of shape (n_samples, n_features) and (n_samples,), got {shapes}.")
    at_least("repeats", repeats, 1)
    whole = score(rows, labels)
    falls = np.empty((rows.shape[1], repeats))
    for feature in range(rows.shape[1]):
        for repeat in range(repeats):
            shuffled = rows.copy()
            shuffled[:, feature] = rng.permutation(rows[:, feature])
            falls[feature, repeat] = whole - score(shuffled, labels)
    return falls


# --- estimators -----------------------------------------------------------------------------------------------------


class _RandomForest(BaseEstimator):
    """What both forests share."""

    n_features_in_: int

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        criterion: str | None = None,
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        max_features: int | float | str | None = None,
        bootstrap: bool = True,
        oob_score: bool = False,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.n_estimators = n_estimators
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.bootstrap = bootstrap
        self.oob_score = oob_score
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _grow(self, X: np.ndarray, targets: np.ndarray, sample_weight: Any, n_classes: int) -> None:
        n_trees = at_least("n_estimators", self.n_estimators, 1)
        if self.oob_score and not self.bootstrap:
            raise ValueError("oob_score must be False where bootstrap is False: every tree sees every sample.")
        criterion, limits, weights = criterion_of(self), limits_of(self, X.shape[1]), weights_of(sample_weight, len(X))
        if self.max_features is None and isinstance(self, ClassifierMixin):
            limits = limits._replace(max_features=int(np.sqrt(X.shape[1])))
        rngs = generator(self.random_state).spawn(n_trees)
        options = {"bootstrap": self.bootstrap, "n_jobs": self.n_jobs}
        columns = columns_of(X)
        self.trees_, seen = grow_forest(columns, targets, weights, criterion, n_classes, limits, rngs, **options)
        if self.oob_score:
            self.oob_values_ = out_of_bag_values(self.trees_, seen, X)
            if np.isnan(self.oob_values_).all():
                raise ValueError(
                    f"n_estimators must be larger for oob_score, got {n_trees}: all trees saw every sample."
                )

    def _values(self, X: Any) -> np.ndarray:
        """The forest's answers; threads take a part of the rows each."""
        check_is_fitted(self)
        rows = table(self, X, reset=False)
        threads = 1 if self.n_jobs is None else self.n_jobs if self.n_jobs > 0 else (os.cpu_count() or 1)
        parts = np.array_split(rows, max(1, min(threads, len(rows) // FEW)))
        answer = delayed(forest_values)
        values: Any = Parallel(n_jobs=self.n_jobs, prefer="threads")(answer(self.trees_, part) for part in parts)
        return np.concatenate(values)

    @property
    def feature_importances_(self) -> np.ndarray:
        """The mean of the trees' `impurity_importances`, of shape (n_features,)."""
        check_is_fitted(self)
        return np.mean([impurity_importances(tree, self.n_features_in_) for tree in self.trees_], axis=0)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class RandomForestClassifier(ClassifierMixin, _RandomForest):
    """A forest for classes.

    Args:
        n_estimators: how many trees.
        criterion: "gini", which is the default, or "entropy".
        max_depth: as for `DecisionTreeClassifier`; so are min_samples_split and min_samples_leaf.
        min_samples_split: nodes with fewer samples stay leaves.
        min_samples_leaf: samples that each side of a split has at least.
        max_features: how many columns compete in a node; unless given, the root of their number.
        bootstrap: whether each tree has a sample of its own.
        oob_score: whether to judge by the samples that trees have not seen.
        n_jobs: how many threads; -1 for all processors.
        random_state: seed of the draws.

    Attributes:
        trees_: a list of `Tree`.
        classes_: the classes, sorted, of shape (n_classes,).
        n_features_in_: how many columns `fit` was given.
        oob_values_: with oob_score, what `out_of_bag_values` returns.
        oob_score_: with oob_score, the accuracy of oob_values_, where they are known.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the trees.

        Args:
            X: of shape (n_samples, n_features), NaN where missing.
            y: classes, of shape (n_samples,).
            sample_weight: at least 0, of shape (n_samples,); 1 each unless given.

        Raises:
            ValueError: a setting, a shape or a value that is not allowed; the message names it.
        """
        X, y = table(self, X, y=y)
        check_classification_targets(y)
        self.classes_, targets = np.unique(y, return_inverse=True)
        self._grow(X, targets.astype(float), sample_weight, len(self.classes_))
        if self.oob_score:
            known = ~np.isnan(self.oob_values_[:, 0])
            self.oob_score_ = float(accuracy_score(targets[known], self.oob_values_[known].argmax(axis=1)))
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the mean of the trees' shares of the classes, of shape (n_samples, n_classes)."""
        return self._values(X)

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest class of each row, of shape (n_samples,); of equals the first."""
        likeliest = self._values(X).argmax(axis=1)
        return self.classes_[likeliest]


class RandomForestRegressor(RegressorMixin, _RandomForest):
    """A forest for a quantity; as `RandomForestClassifier`, but all columns compete, and oob_score_ is R²."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the trees on numbers y; otherwise as `RandomForestClassifier.fit`."""
        X, y = table(self, X, y=y, y_numeric=True)
        self._grow(X, quantities(y), sample_weight, 1)
        if self.oob_score:
            known = ~np.isnan(self.oob_values_[:, 0])
            self.oob_score_ = float(r2_score(y[known], self.oob_values_[known, 0]))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the mean of the trees' answers for each row, of shape (n_samples,)."""
        return self._values(X)[:, 0]
