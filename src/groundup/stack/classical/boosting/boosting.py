"""Boosting: trees in a row, each repairing what those before it left wrong; and what each feature adds to an answer.

    model = GradientBoostingRegressor(n_estimators=200, learning_rate=0.1).fit(X, y)   # X may hold NaN
    model.expected_value_ + model.shap_values(X).sum(axis=1)                           # = model.predict(X)

`AdaBoostClassifier` weighs samples anew before each tree. Gradient boosting fits each tree to the slope and the
curvature of the loss (Friedman, 2001; Chen and Guestrin, 2016). Its trees look at bins, at most 255 for a feature, and
a node's histogram of slopes holds all that a split needs to know. All trees are those of `classical/trees`.
"""

from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple, Self

import numpy as np
from numba import njit
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from groundup.stack.classical.trees import (
    GINI,
    LEAF,
    Limits,
    Tree,
    at_least,
    columns_of,
    generator,
    grow,
    leaves_of,
    quantities,
    table,
    weights_of,
)

SQUARED, LOGISTIC = 0, 1
MISSING = 255  # the code of a missing value, after all bins
DUST = 1e-9  # smaller shares of a sum are rounding
BLOCK = 2_048  # so many rows, walked through all trees, stay in the processor's cache


class Bins(NamedTuple):
    """A table in bins: codes of shape (n_features, n_samples), and edges of shape (n_features, 255).

    A value in bin b is at most `edges[feature, b]`, and above the edge before it. After the last edge come infinities.
    """

    codes: np.ndarray
    edges: np.ndarray


class Penalties(NamedTuple):
    """When a boosted tree stops growing, and how timid its answers are."""

    max_depth: int
    reg_lambda: float
    gamma: float
    min_child_weight: float


class BinSplit(NamedTuple):
    """A question for a node: codes up to `code` go left. `feature` is `LEAF` where there is none worth its price."""

    gain: float
    feature: int
    code: int
    missing_left: bool


# --- AdaBoost -------------------------------------------------------------------------------------------------------


def adaboost_round(weights: np.ndarray, wrong: np.ndarray, n_classes: int) -> tuple[float, np.ndarray]:
    """Give a classifier its vote, and its mistakes more weight (SAMME: Zhu, Zou, Rosset and Hastie, 2009).

    With e the weight of the mistakes as a share of all, the vote is ln((1 - e) / e) + ln(n_classes - 1).

    Args:
        weights: of the samples, of shape (n_samples,), above 0.
        wrong: where the classifier errs, of shape (n_samples,); it errs somewhere, and not everywhere.
        n_classes: at least 2. With two, this is the AdaBoost of Freund and Schapire (1997), twice its vote.

    Returns:
        The vote, a float of Python, and new weights with the sum 1: those of the mistakes times exp(vote).
    """
    error = weights[wrong].sum() / weights.sum()
    vote = np.log((1 - error) / error) + np.log(n_classes - 1)
    raised = np.where(wrong, weights * np.exp(vote), weights)
    return float(vote), raised / raised.sum()


# --- gradient boosting ----------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def loss_gradients(scores: np.ndarray, y: np.ndarray, weights: np.ndarray, loss: int) -> np.ndarray:
    """Return the first and the second derivative of each sample's loss by its score.

    SQUARED is ½(score - y)². LOGISTIC is the cross-entropy of y, 0 or 1, with p = 1 / (1 + exp(-score)). Both are
    multiplied by the sample's weight.

    Returns:
        Of shape (n_samples, 2).
    """
    gradients = np.empty((len(y), 2))
    for i in range(len(y)):
        first, second = scores[i] - y[i], 1.0
        if loss == LOGISTIC:
            small = np.exp(-abs(scores[i]))  # which cannot overflow
            p = (1.0 if scores[i] > 0 else small) / (1 + small)
            first, second = p - y[i], p * (1 - p)
        gradients[i, 0], gradients[i, 1] = weights[i] * first, weights[i] * second
    return gradients


def boost(
    bins: Bins,
    y: np.ndarray,
    weights: np.ndarray,
    loss: int,
    n_estimators: int,
    learning_rate: float,
    penalties: Penalties,
) -> tuple[float, list[Tree]]:
    """Begin with the best constant, and add trees, each grown on the derivatives at the scores so far.

    Args:
        bins: the table.
        y: targets of shape (n_samples,), for LOGISTIC 0 or 1, both of them.
        weights: of shape (n_samples,), above 0.
        loss: SQUARED or LOGISTIC.
        n_estimators: how many trees.
        learning_rate: the share of each tree's answer that is added.
        penalties: as for `grow_on_bins`.

    Returns:
        The constant, a float of Python, and the trees, their values multiplied by the learning rate.
    """
    mean = np.average(y, weights=weights)
    start = float(mean if loss == SQUARED else np.log(mean / (1 - mean)))
    scores, trees = np.full(len(y), start), []
    for _ in range(n_estimators):
        tree, answers = grow_on_bins(bins, loss_gradients(scores, y, weights, loss), weights, penalties)
        trees.append(tree._replace(value=learning_rate * tree.value))
        scores += learning_rate * answers
    return start, trees


# --- a tree on histograms -------------------------------------------------------------------------------------------


def bins_of(X: np.ndarray, weights: np.ndarray, max_bins: int) -> Bins:
    """Sort each column into bins of about equal weight; where it has no more values than bins, each has its own.

    Args:
        X: floats of shape (n_samples, n_features), NaN where missing.
        weights: of shape (n_samples,), above 0.
        max_bins: 2 to 255.
    """
    codes, edges = np.empty(X.shape[::-1], np.uint8), np.full((X.shape[1], MISSING), np.inf)
    for feature in range(X.shape[1]):
        column = X[:, feature].copy()  # side by side, which sorts sooner
        order = np.argsort(column)  # NaN comes last
        values, n_known = column[order], len(column) - np.isnan(column).sum()
        cuts = np.flatnonzero(values[:-1] < values[1:])  # the last row of a bin; no cut parts equal values
        if len(cuts) >= max_bins:
            below = np.cumsum(weights[order])
            parts = below[n_known - 1] * np.arange(1, max_bins) / max_bins
            cuts = cuts[np.unique(np.searchsorted(below[cuts[:-1]], parts))]
        low, high = values[cuts], values[cuts + 1]
        middle = low / 2 + high / 2
        edges[feature, : len(cuts)] = np.where((low <= middle) & (middle < high), middle, low)
        bins, ends = np.append(np.arange(len(cuts) + 1), MISSING), np.append(cuts + 1, [n_known, len(column)])
        codes[feature, order] = np.repeat(bins, np.diff(ends, prepend=0))
    return Bins(codes, edges)


@njit(cache=True, nogil=True)
def sum_bins(codes: np.ndarray, rows: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Add up the derivatives of some rows by feature and bin.

    Args:
        codes: of shape (n_features, n_samples).
        rows: numbers of rows, of shape (n_rows,).
        gradients: of shape (n_samples, 2).

    Returns:
        Histograms of shape (n_features, 256, 2).
    """
    near = np.empty((len(rows), 2))
    for i in range(len(rows)):
        near[i, 0], near[i, 1] = gradients[rows[i], 0], gradients[rows[i], 1]
    histograms = np.zeros((len(codes), MISSING + 1, 2))
    for feature in range(0, len(codes), 2):  # columns by twos, so that one addition need not wait for the last
        other = feature + 1
        for i in range(len(rows)):
            total = histograms[feature, codes[feature, rows[i]]]
            total[0] += near[i, 0]
            total[1] += near[i, 1]
            if other < len(codes):
                total = histograms[other, codes[other, rows[i]]]
                total[0] += near[i, 0]
                total[1] += near[i, 1]
    return histograms


@njit(cache=True, nogil=True)
def best_split(histograms: np.ndarray, penalties: Penalties) -> BinSplit:
    """Find the split of a node that lowers the loss most.

    A node with the sums G and H of its derivatives lowers the loss by ½ G² / (H + λ). A split gains the sum of its
    sides less the node's own. Each side has an H of at least `min_child_weight`. Missing values are tried on the right,
    then on the left; where there are none, they follow the side of larger H.

    Args:
        histograms: of shape (n_features, 256, 2), as `sum_bins` makes them.
        penalties: λ, the gain γ that a split must exceed, and the least H.

    Returns:
        The best split, of equal ones the first; its feature is `LEAF` where none gains more than γ.
    """
    best = BinSplit(penalties.gamma, LEAF, 0, False)
    for feature in range(len(histograms)):
        histogram = histograms[feature]
        G, H = histogram[:, 0].sum(), histogram[:, 1].sum()
        own = G * G / (H + penalties.reg_lambda)
        none = DUST * H  # subtracted histograms leave dust where nothing is
        least = max(penalties.min_child_weight, none)
        for missing_left in (False, True):
            left_G, left_H = 0.0, 0.0
            if missing_left:
                left_G, left_H = histogram[MISSING]
                if left_H <= none:
                    break
            for code in range(MISSING):
                left_G += histogram[code, 0]
                left_H += histogram[code, 1]
                if H - left_H < least:
                    break
                if left_H < least:
                    continue
                right_G, right_H = G - left_G, H - left_H
                sides = left_G * left_G / (left_H + penalties.reg_lambda)
                sides += right_G * right_G / (right_H + penalties.reg_lambda)
                if (sides - own) / 2 > best.gain + DUST * sides:
                    side = missing_left or (histogram[MISSING, 1] <= none and left_H > right_H)
                    best = BinSplit((sides - own) / 2, feature, code, side)
    return best


@njit(cache=True, nogil=True)
def _grow_nodes(tree, bins, gradients, weights, penalties, answers):
    """Fill an empty tree; write each row's answer, and return how many nodes there are.

    Of two children only the smaller one is counted: the other's histograms are the parent's less these.
    """
    rows = np.arange(len(weights)).astype(np.uint32)
    sums = np.zeros((len(tree.feature), 2))
    n_nodes = 1
    stack = [(0, 0, len(rows), 0, sum_bins(bins.codes, rows, gradients))]
    while len(stack) > 0:
        node, start, end, depth, histograms = stack.pop()
        tree.n_samples[node] = end - start
        split = best_split(histograms, penalties)
        if split.feature == LEAF:
            _make_leaf(tree, node, rows[start:end], gradients, weights, sums)
            for row in rows[start:end]:
                answers[row] = -sums[node, 0] / (sums[node, 1] + penalties.reg_lambda)
            continue
        middle = start + _partition(rows[start:end], bins.codes, split)
        tree.feature[node], tree.missing_left[node] = split.feature, split.missing_left
        tree.threshold[node] = bins.edges[split.feature, split.code]
        tree.children_left[node], tree.children_right[node] = n_nodes, n_nodes + 1
        left = right = histograms[:0]  # no histogram, no split
        if depth + 1 < penalties.max_depth:
            if middle - start < end - middle:
                left = sum_bins(bins.codes, rows[start:middle], gradients)
                right = histograms - left
            else:
                right = sum_bins(bins.codes, rows[middle:end], gradients)
                left = histograms - right
        stack.append((n_nodes + 1, middle, end, depth + 1, right))
        stack.append((n_nodes, start, middle, depth + 1, left))
        n_nodes += 2
    for node in range(n_nodes - 1, -1, -1):  # children come after their parents
        if tree.feature[node] != LEAF:
            children = tree.children_left[node], tree.children_right[node]
            sums[node] = sums[children[0]] + sums[children[1]]
            tree.weight[node] = tree.weight[children[0]] + tree.weight[children[1]]
        tree.value[node, 0] = -sums[node, 0] / (sums[node, 1] + penalties.reg_lambda)
        tree.impurity[node] = tree.value[node, 0] * sums[node, 0] / 2 / tree.weight[node]
    return n_nodes


@njit(cache=True, nogil=True)
def _make_leaf(tree, node, rows, gradients, weights, sums):
    G, H, weight = 0.0, 0.0, 0.0
    for row in rows:
        G += gradients[row, 0]
        H += gradients[row, 1]
        weight += weights[row]
    sums[node, 0], sums[node, 1], tree.weight[node] = G, H, weight


@njit(cache=True, nogil=True)
def _partition(rows, codes, split):
    """Move the rows that go left to the front, keeping their order; return how many these are."""
    right = np.empty(len(rows), np.uint32)
    n_left = n_right = 0
    for row in rows:
        code = codes[split.feature, row]
        if split.missing_left if code == MISSING else code <= split.code:
            rows[n_left] = row
            n_left += 1
        else:
            right[n_right] = row
            n_right += 1
    rows[n_left:] = right[:n_right]
    return n_left


def grow_on_bins(
    bins: Bins, gradients: np.ndarray, weights: np.ndarray, penalties: Penalties
) -> tuple[Tree, np.ndarray]:
    """Grow a tree whose answers, added to the scores, lower the loss most: -G / (H + λ) in each leaf.

    Args:
        bins: the table.
        gradients: as `loss_gradients` makes them.
        weights: of shape (n_samples,), above 0; they weigh the nodes in the tree's arrays.
        penalties: when to stop.

    Returns:
        The tree, its impurity the loss (without what all nodes share) per weight; and the answer for each row.
    """
    room = min(2 * len(weights), 2 ** (penalties.max_depth + 1))
    left, right, feature = np.full((3, room), LEAF, np.int32)
    threshold, impurity, weight = np.full((3, room), np.nan)
    n_samples, missing_left, value = np.zeros(room, np.int32), np.zeros(room, bool), np.zeros((room, 1))
    empty = Tree(left, right, feature, threshold, missing_left, value, impurity, n_samples, weight)
    answers = np.empty(len(weights))
    n_nodes = _grow_nodes(empty, bins, gradients, weights, penalties, answers)
    return Tree(*(array[:n_nodes].copy() for array in empty)), answers


# --- answers, and their reasons -------------------------------------------------------------------------------------


def boosted_scores(start: float, trees: Sequence[Tree], X: np.ndarray) -> np.ndarray:
    """Return the constant plus each row's leaf of every tree, of shape (n_samples,)."""
    scores = np.full(len(X), start)
    for begin in range(0, len(X), BLOCK):
        for tree in trees:
            _add_leaves(tree, X[begin : begin + BLOCK], scores[begin : begin + BLOCK])
    return scores


@njit(cache=True, nogil=True)
def _add_leaves(tree, X, scores):
    """Add each row's leaf; as `leaves_of`, but without a jump that the processor could guess wrong."""
    for row in range(len(X)):
        node = np.uint64(0)  # unsigned numbers cannot count from the end, so nothing is tested for it
        while tree.feature[node] != LEAF:
            value = X[row, np.uint64(tree.feature[node])]
            right = (value > tree.threshold[node]) | (np.isnan(value) & ~tree.missing_left[node])
            node = np.uint64(tree.children_left[node] + right)
        scores[row] += tree.value[node, 0]


@njit(cache=True, nogil=True)
def tree_shap(tree: Tree, X: np.ndarray, points: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Share out each row's answer among the features: Shapley values (Lundberg, Erion and Lee, 2018).

    Without a feature, a row goes both ways at its splits, in proportion to the weights of the children. So a leaf of
    value v is reached by v times the product, over the features on its path, of k (1 where the row takes the path at
    all splits of the feature, 0 otherwise) or of the weights' proportion p, where it is left out. The mean over all
    orders in which features may come is an integral: feature i has v (k_i - p_i) ∫ Π_j≠i (k_j t + p_j (1 - t)) dt over
    t from 0 to 1.

    Args:
        tree: of one value in each node.
        X: floats of shape (n_samples, n_features), NaN where missing.
        points: where a Gauss-Legendre rule on [0, 1] looks, of shape (n_points,). It is exact where no path asks for
            more than 2 · n_points features.
        shares: the weights of the points, with the sum 1.

    Returns:
        Of shape (n_samples, n_features). A row's values add up to its answer less the mean over all leaves.
    """
    n_nodes = len(tree.feature)
    parents = np.full(n_nodes, LEAF)
    for node in range(n_nodes):
        if tree.children_left[node] != LEAF:
            parents[tree.children_left[node]] = parents[tree.children_right[node]] = node
    values = np.zeros(X.shape)
    splits, places, features = np.empty((3, n_nodes), np.int64)
    left, proportion, passed, factors = np.empty((4, n_nodes))
    for leaf in range(n_nodes):
        if tree.children_left[leaf] != LEAF:
            continue
        # 1. The path up to the root: its splits, the side taken there, and p of each feature once.
        n_splits, n, node = 0, 0, leaf
        while node != 0:
            child, node = node, parents[node]
            place = 0
            while place < n and features[place] != tree.feature[node]:
                place += 1
            if place == n:
                features[n], proportion[n] = tree.feature[node], 1.0
                n += 1
            proportion[place] *= tree.weight[child] / tree.weight[node]
            splits[n_splits], places[n_splits], left[n_splits] = node, place, child == tree.children_left[node]
            n_splits += 1
        for row in range(len(X)):
            # 2. Of each feature, whether the row passes.
            passed[:n] = 1.0
            for i in range(n_splits):
                split, value = splits[i], X[row, features[places[i]]]
                goes_left = tree.missing_left[split] if np.isnan(value) else value <= tree.threshold[split]
                if goes_left != left[i]:
                    passed[places[i]] = 0.0
            # 3. The integral: the product over all features but i is that over all of them, divided by the factor of i.
            for point in range(len(points)):
                product = tree.value[leaf, 0] * shares[point]
                for i in range(n):
                    factors[i] = passed[i] * points[point] + proportion[i] * (1 - points[point])
                    product *= factors[i]
                for i in range(n):
                    values[row, features[i]] += (passed[i] - proportion[i]) * product / factors[i]
    return values


def shap_values(trees: Sequence[Tree], X: np.ndarray) -> np.ndarray:
    """Return the sum of `tree_shap` over trees, of shape (n_samples, n_features)."""
    total = np.zeros(X.shape)
    for tree in trees:
        points, shares = np.polynomial.legendre.leggauss(min(_depth(tree), X.shape[1]) // 2 + 1)
        total += tree_shap(tree, X, (points + 1) / 2, shares / 2)
    return total


def _depth(tree: Tree) -> int:
    depths = np.zeros(len(tree.feature), int)
    for node in np.flatnonzero(tree.feature != LEAF):
        depths[[tree.children_left[node], tree.children_right[node]]] = depths[node] + 1
    return int(depths.max())


# --- estimators -----------------------------------------------------------------------------------------------------


class _Boosting(BaseEstimator):
    """What all boosters share."""

    trees_: list[Tree]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _present(X: np.ndarray, y: np.ndarray, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Check the weights, and leave out the samples without any; a table that stays whole is not copied."""
    weights = weights_of(sample_weight, len(X))
    if weights.all():
        return X, y, weights
    return X[weights > 0], y[weights > 0], weights[weights > 0]


class AdaBoostClassifier(ClassifierMixin, _Boosting):
    """Small trees that vote, each grown on samples weighed by the mistakes of those before it.

    Args:
        n_estimators: how many trees at most; a tree without mistakes, or no better than guessing, ends the row.
        max_depth: of each tree; trees of depth 1 are called stumps.

    Attributes:
        trees_: a list of `Tree`.
        votes_: how much each counts, of shape (n_trees,).
        classes_: the classes, sorted, of shape (n_classes,).
        n_features_in_: how many columns `fit` was given.
    """

    def __init__(self, n_estimators: int = 50, *, max_depth: int = 1) -> None:
        self.n_estimators = n_estimators
        self.max_depth = max_depth

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the trees; as `GradientBoostingClassifier.fit`, for any number of classes."""
        n_trees = at_least("n_estimators", self.n_estimators, 1)
        depth = at_least("max_depth", self.max_depth, 1)
        X, y = table(self, X, y=y)
        check_classification_targets(y)
        X, y, weights = _present(X, y, sample_weight)
        self.classes_, targets = np.unique(y, return_inverse=True)
        n_classes, columns, limits = len(self.classes_), columns_of(X), Limits(depth, 2, 1, X.shape[1])
        self.trees_, votes = [], []
        for _ in range(n_trees):
            tree = grow(columns, targets.astype(float), weights, GINI, n_classes, limits, generator(0))
            wrong = tree.value[leaves_of(tree, X)].argmax(axis=1) != targets
            error = weights[wrong].sum() / weights.sum()
            useless = error >= 1 - 1 / n_classes
            if useless and votes:
                break
            self.trees_.append(tree)
            if useless or not wrong.any():
                votes.append(1.0)
                break
            vote, weights = adaboost_round(weights, wrong, n_classes)
            votes.append(vote)
        self.votes_ = np.array(votes)
        return self

    def _votes(self, X: Any) -> np.ndarray:
        """The share of the votes for each class, of shape (n_samples, n_classes)."""
        check_is_fitted(self)
        X = table(self, X, reset=False)
        shares = np.zeros((len(X), len(self.classes_)))
        for tree, vote in zip(self.trees_, self.votes_, strict=True):
            shares[np.arange(len(X)), tree.value[leaves_of(tree, X)].argmax(axis=1)] += vote / self.votes_.sum()
        return shares

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the softmax of the shares of the votes, as scikit-learn does, of shape (n_samples, n_classes)."""
        votes = self._votes(X)
        n_others = max(len(self.classes_) - 1, 1)
        return softmax(votes * (n_others + 1) / n_others**2, axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """Return the class of most votes for each row, of shape (n_samples,); of equals the first."""
        likeliest = self._votes(X).argmax(axis=1)
        return self.classes_[likeliest]


class _GradientBoosting(_Boosting):
    """What both gradient boosters share."""

    n_features_in_: int

    def __init__(
        self,
        n_estimators: int = 100,
        *,
        learning_rate: float = 0.1,
        max_depth: int = 6,
        max_bins: int = 255,
        reg_lambda: float = 1.0,
        gamma: float = 0.0,
        min_child_weight: float = 1.0,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.max_bins = max_bins
        self.reg_lambda = reg_lambda
        self.gamma = gamma
        self.min_child_weight = min_child_weight

    def _boost(self, X: np.ndarray, y: np.ndarray, weights: np.ndarray, loss: int) -> None:
        n_trees = at_least("n_estimators", self.n_estimators, 1)
        rate = float(at_least("learning_rate", self.learning_rate, 0, Real))
        if rate == 0:
            raise ValueError("learning_rate must be above 0, or no tree adds anything, got 0. Take 0.1.")
        penalties = Penalties(
            at_least("max_depth", self.max_depth, 1),
            float(at_least("reg_lambda", self.reg_lambda, 0, Real)),
            float(at_least("gamma", self.gamma, 0, Real)),
            float(at_least("min_child_weight", self.min_child_weight, 0, Real)),
        )
        if at_least("max_bins", self.max_bins, 2) > MISSING:
            raise ValueError(f"max_bins must be at most {MISSING}, since a code is a byte, got {self.max_bins}.")
        bins = bins_of(X, weights, self.max_bins)
        self.start_, self.trees_ = boost(bins, y, weights, loss, n_trees, rate, penalties)
        means = [np.average(t.value[t.feature == LEAF, 0], weights=t.weight[t.feature == LEAF]) for t in self.trees_]
        self.expected_value_ = self.start_ + float(np.sum(means))

    def _scores(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return boosted_scores(self.start_, self.trees_, table(self, X, reset=False))

    def shap_values(self, X: Any) -> np.ndarray:
        """Return what each feature adds to each row's score, of shape (n_samples, n_features).

        With `expected_value_` a row's values add up to its prediction; for classes, to its log odds.
        """
        check_is_fitted(self)
        return shap_values(self.trees_, table(self, X, reset=False))

    @property
    def feature_importances_(self) -> np.ndarray:
        """The share of each feature in all that the splits gain, of shape (n_features,)."""
        check_is_fitted(self)
        gains = np.zeros(self.n_features_in_)
        for tree in self.trees_:
            error, inner = tree.impurity * tree.weight, tree.feature != LEAF
            gain = error[inner] - error[tree.children_left[inner]] - error[tree.children_right[inner]]
            np.add.at(gains, tree.feature[inner], gain)
        return gains / gains.sum() if gains.any() else gains


class GradientBoostingRegressor(RegressorMixin, _GradientBoosting):
    """Boosted trees for a quantity, by squared error.

    Args:
        n_estimators: how many trees.
        learning_rate: the share of each tree's answer that is added, above 0.
        max_depth: how many questions a tree asks of a sample at most.
        max_bins: bins of a feature, 2 to 255.
        reg_lambda: λ, which draws the answers of small leaves to 0.
        gamma: γ, what a split must gain at least.
        min_child_weight: the sum of second derivatives that each side of a split has at least; for squared error, of
            weights.

    Attributes:
        start_: the constant that all begin with.
        trees_: a list of `Tree`.
        expected_value_: the mean score over the leaves; `shap_values` start from it.
        n_features_in_: how many columns `fit` was given.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the trees.

        Args:
            X: of shape (n_samples, n_features), NaN where missing.
            y: numbers, of shape (n_samples,).
            sample_weight: at least 0, of shape (n_samples,); 1 each unless given.

        Raises:
            ValueError: a setting, a shape or a value that is not allowed; the message names it.
        """
        X, y = table(self, X, y=y, y_numeric=True)
        X, y, weights = _present(X, quantities(y), sample_weight)
        self._boost(X, y, weights, SQUARED)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the constant plus all trees' answers for each row, of shape (n_samples,)."""
        return self._scores(X)


class GradientBoostingClassifier(ClassifierMixin, _GradientBoosting):
    """Boosted trees for two classes, by cross-entropy; settings as for `GradientBoostingRegressor`.

    `classes_` has the two classes, sorted. The scores are the log odds of the second.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the trees on labels y of two classes; otherwise as `GradientBoostingRegressor.fit`."""
        X, y = table(self, X, y=y)
        check_classification_targets(y)
        X, y, weights = _present(X, y, sample_weight)
        self.classes_, targets = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y must have two classes where sample_weight is above 0, got 1 class: {self.classes_[0]}."
            )
        if len(self.classes_) > 2:
            classes, rest = len(self.classes_), "Take AdaBoostClassifier, or one model for each class."
            raise ValueError(f"Only binary classification is supported. y must have two classes, got {classes}. {rest}")
        self._boost(X, targets.astype(float), weights, LOGISTIC)
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the log odds of the second class for each row, of shape (n_samples,)."""
        return self._scores(X)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of both classes, of shape (n_samples, 2)."""
        second = expit(self._scores(X))
        return np.stack([1 - second, second], axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """Return the likelier class of each row, of shape (n_samples,); at even odds the first."""
        second = self._scores(X) > 0
        return self.classes_[second.astype(int)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
