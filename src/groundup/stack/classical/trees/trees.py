"""Decision trees: CART with missing values, cost-complexity pruning and a drawing.

    model = DecisionTreeClassifier(max_depth=3).fit(X, y)       # X may hold NaN
    print(draw(model.tree_, ["cpu", "memory"], model.classes_))
    smaller = prune(model.tree_, alpha=0.01)

A `Tree` is flat arrays, whoever grew it: `leaves_of`, `prune` and `draw` walk any. Functions under `njit` are compiled
by Numba. Cuts need only the order of the values, so each value becomes a code: its rank among the distinct values of
its column. A missing value has the code after the last, and goes to the side where it does less harm; where none was
missing in training, it goes with the majority.
"""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, NamedTuple, Self

import numpy as np
from numba import njit
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

LARGEST = 1e100  # beyond it, squares of sums would soon overflow

GINI, ENTROPY, VARIANCE = 0, 1, 2
LEAF = -1  # the children of a node without any
FEW = 48  # so many rows are sorted by insertion: counting has a price of its own


class Tree(NamedTuple):
    """A tree as flat arrays with an entry for each node. Node 0 is the root, and children come after their parents.

    A row goes left where its value of `feature` is at most `threshold`, or where it is missing and `missing_left` is
    true. All known values are at most an infinite threshold.

    Attributes:
        children_left: the node to the left, of shape (n_nodes,); `LEAF` where there is none.
        children_right: the node to the right, likewise.
        feature: the column that is compared, of shape (n_nodes,); `LEAF` in a leaf.
        threshold: what it is compared with, of shape (n_nodes,).
        missing_left: whether a missing value goes left, of shape (n_nodes,).
        value: the answer, of shape (n_nodes, n_values): the shares of the classes, or one mean.
        impurity: Gini, entropy in bits, or variance of the training samples in the node, of shape (n_nodes,).
        n_samples: how many these are, of shape (n_nodes,).
        weight: the sum of their weights, of shape (n_nodes,).
    """

    children_left: np.ndarray
    children_right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray
    impurity: np.ndarray
    n_samples: np.ndarray
    weight: np.ndarray


class Columns(NamedTuple):
    """A table made ready for the search: X, the codes of its columns (n_features, n_samples), how many each has."""

    X: np.ndarray
    codes: np.ndarray
    n_codes: np.ndarray


class Limits(NamedTuple):
    """When a tree stops growing, and how many columns compete for a split."""

    max_depth: int
    min_samples_split: int
    min_samples_leaf: int
    max_features: int


class Split(NamedTuple):
    """The best question for a node: codes up to `last_code` go left. `error` is infinite where there is none."""

    error: float
    feature: int
    threshold: float
    missing_left: bool
    last_code: Any


# --- how wrong a node is --------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def add(sums: np.ndarray, target: float, weight: float, criterion: int) -> None:
    """Count a sample in, or out with a negative weight.

    Args:
        sums: the weight of each class, of shape (n_classes,); for the variance Σw, Σwy and Σwy².
        target: the number of the class, or y.
        weight: w.
        criterion: GINI, ENTROPY or VARIANCE.
    """
    if criterion == VARIANCE:
        sums[0] += weight
        sums[1] += weight * target
        sums[2] += weight * target * target
    else:
        sums[int(target)] += weight


@njit(cache=True, nogil=True)
def node_error(sums: np.ndarray, criterion: int) -> float:
    """Return a node's impurity times its weight W, which is what its samples contribute to the error of the tree.

    With c the weights of the classes: Gini is 1 - Σ(c/W)², entropy -Σ c/W log₂ c/W, variance Σwy²/W - (Σwy/W)²
    (Breiman, Friedman, Olshen and Stone, 1984).

    Args:
        sums: as `add` makes them.
        criterion: GINI, ENTROPY or VARIANCE.

    Returns:
        A number of at least 0; 0 where there is no weight.
    """
    if criterion == VARIANCE:
        return max(sums[2] - sums[1] * sums[1] / sums[0], 0.0) if sums[0] > 0 else 0.0
    weight, total = 0.0, 0.0
    for part in sums:
        weight += part
        if criterion == GINI:
            total += part * part
        elif part > 0:
            total += part * np.log2(part)
    if weight <= 0:
        return 0.0
    return weight - total / weight if criterion == GINI else weight * np.log2(weight) - total


# --- where to cut ---------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def best_cut(
    codes: np.ndarray,
    n_known: int,
    targets: np.ndarray,
    weights: np.ndarray,
    sums: np.ndarray,
    criterion: int,
    min_samples_leaf: int,
) -> tuple[float, int, bool]:
    """Find the cut through a node's samples, sorted by one column, that leaves the least error on its two sides.

    All samples begin on the right and go left one by one, so no side is counted anew. A cut lies where the next sample
    has another code, and leaves `min_samples_leaf` samples on each side. Missing values are tried on the right, then on
    the left; where they are on the right, the known ones together are a side, too.

    Args:
        codes: ascending, of shape (n_samples,), the missing ones at the end.
        n_known: how many are not missing.
        targets: in the same order, of shape (n_samples,).
        weights: likewise.
        sums: those of the whole node, as `add` makes them.
        criterion: GINI, ENTROPY or VARIANCE.
        min_samples_leaf: at least 1.

    Returns:
        The error of both sides together, how many known samples go left, and whether the missing ones do. Of equal
        cuts it is the first. The error is infinite where there is no cut.
    """
    n_samples = len(codes)
    best, place, side = np.inf, 0, False
    for missing_left in (False, True):
        if missing_left and n_known == n_samples:
            break
        left, right, n_left = np.zeros_like(sums), sums.copy(), 0
        if missing_left:
            for i in range(n_known, n_samples):
                add(left, targets[i], weights[i], criterion)
                add(right, targets[i], -weights[i], criterion)
            n_left = n_samples - n_known
        for i in range(n_known):
            add(left, targets[i], weights[i], criterion)
            add(right, targets[i], -weights[i], criterion)
            n_left += 1
            if n_left < min_samples_leaf or (i + 1 < n_known and codes[i + 1] == codes[i]):
                continue
            if n_samples - n_left < min_samples_leaf:
                break
            error = node_error(left, criterion) + node_error(right, criterion)
            if error < best:
                best, place, side = error, i + 1, missing_left
    return best, place, side


@njit(cache=True, nogil=True)
def _best_split(columns, rows, targets, weights, sums, criterion, limits, features, rng):
    """The best cut over the columns; `features` is shuffled as far as columns are drawn."""
    n, n_features = len(rows), len(features)
    codes, spare_codes = np.empty(n, np.int32), np.empty(n, np.int32)
    order, spare_order = np.empty(n, np.int32), np.empty(n, np.int32)
    sorted_targets, sorted_weights = np.empty(n), np.empty(n)
    best = Split(np.inf, LEAF, np.nan, False, LEAF)
    for tried in range(n_features):
        # A column without a cut counts as tried, unless nothing was found so far.
        if tried >= limits.max_features and best.feature != LEAF:
            break
        if limits.max_features < n_features:
            other = tried + int(rng.random() * (n_features - tried))
            features[tried], features[other] = features[other], features[tried]
        feature = features[tried]
        column = columns.codes[feature]
        lowest = highest = column[rows[0]]
        for i in range(n):
            code = column[rows[i]]
            codes[i], order[i] = code, rows[i]
            lowest, highest = min(lowest, code), max(highest, code)
        if lowest == highest:
            continue
        codes, order, spare_codes, spare_order = _sort(codes, order, spare_codes, spare_order, lowest, highest)
        n_known = n
        while codes[n_known - 1] == columns.n_codes[feature]:
            n_known -= 1
        for i in range(n):
            sorted_targets[i], sorted_weights[i] = targets[order[i]], weights[order[i]]
        error, place, missing_left = best_cut(
            codes, n_known, sorted_targets, sorted_weights, sums, criterion, limits.min_samples_leaf
        )
        if error < best.error:
            threshold = np.inf
            if place < n_known:
                low, high = columns.X[order[place - 1], feature], columns.X[order[place], feature]
                threshold = low / 2 + high / 2
                if not low <= threshold < high:  # rounded onto the upper value, or away from the lower one
                    threshold = low
            if n_known == n:
                missing_left = place > n - place
            best = Split(error, feature, threshold, missing_left, np.int64(codes[place - 1]))
    return best


@njit(cache=True, nogil=True)
def _sort(codes, rows, spare_codes, spare_rows, lowest, highest):
    """Sort codes and their rows: few by insertion, many by counting one byte after the other (a radix sort)."""
    n = len(codes)
    if n < FEW:
        for i in range(1, n):
            code, row, place = codes[i], rows[i], i
            while place > 0 and codes[place - 1] > code:
                codes[place], rows[place] = codes[place - 1], rows[place - 1]
                place -= 1
            codes[place], rows[place] = code, row
        return codes, rows, spare_codes, spare_rows
    shift = 0
    while (highest - lowest) >> shift > 0:
        starts = np.zeros(257, np.int64)
        for i in range(n):
            starts[(((codes[i] - lowest) >> shift) & 255) + 1] += 1
        for digit in range(256):
            starts[digit + 1] += starts[digit]
        for i in range(n):
            digit = ((codes[i] - lowest) >> shift) & 255
            spare_codes[starts[digit]], spare_rows[starts[digit]] = codes[i], rows[i]
            starts[digit] += 1
        codes, rows, spare_codes, spare_rows = spare_codes, spare_rows, codes, rows
        shift += 8
    return codes, rows, spare_codes, spare_rows


# --- growing --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def grow_nodes(
    tree: Tree, columns: Columns, targets: np.ndarray, weights: np.ndarray, criterion: int, limits: Limits, rng: Any
) -> int:
    """Fill an empty tree, from the root down.

    A node stays a leaf at the depth `max_depth`, with fewer than `min_samples_split` samples, with equal targets, and
    where there is no cut. A split that lowers no error is allowed: one further down may need it.

    Args:
        tree: its arrays are written, and have room for all nodes.
        columns: the table.
        targets: numbers of classes, or y, of shape (n_samples,).
        weights: of shape (n_samples,); a sample without weight is not there.
        criterion: GINI, ENTROPY or VARIANCE.
        limits: when to stop.
        rng: draws the columns that compete, where `limits.max_features` leaves some out.

    Returns:
        How many nodes there are.
    """
    rows = np.flatnonzero(weights > 0).astype(np.int32)
    features = np.arange(len(columns.codes))
    n_nodes = 1
    stack = [(0, 0, len(rows), 0)]
    while len(stack) > 0:
        node, start, end, depth = stack.pop()
        here = rows[start:end]  # a view: a node's rows lie together, and its children sort them among themselves
        sums, pure = _enter(tree, node, here, targets, weights, criterion)
        if pure or depth >= limits.max_depth or end - start < limits.min_samples_split:
            continue
        split = _best_split(columns, here, targets, weights, sums, criterion, limits, features, rng)
        if split.feature == LEAF:
            continue
        middle = start + _partition(here, columns, split)
        tree.feature[node], tree.threshold[node] = split.feature, split.threshold
        tree.missing_left[node] = split.missing_left
        tree.children_left[node], tree.children_right[node] = n_nodes, n_nodes + 1
        stack.append((n_nodes + 1, middle, end, depth + 1))
        stack.append((n_nodes, start, middle, depth + 1))
        n_nodes += 2
    return n_nodes


@njit(cache=True, nogil=True)
def _enter(tree, node, rows, targets, weights, criterion):
    """Write down what a node holds, as a leaf; return its sums, and whether its targets are equal."""
    sums = np.zeros(3 if criterion == VARIANCE else tree.value.shape[1])
    pure = True
    for row in rows:
        add(sums, targets[row], weights[row], criterion)
        pure = pure and targets[row] == targets[rows[0]]
    weight = sums[0] if criterion == VARIANCE else sums.sum()
    for i in range(tree.value.shape[1]):
        tree.value[node, i] = sums[1 if criterion == VARIANCE else i] / weight
    tree.impurity[node] = 0.0 if pure else node_error(sums, criterion) / weight
    tree.n_samples[node], tree.weight[node] = len(rows), weight
    return sums, pure


@njit(cache=True, nogil=True)
def _partition(rows, columns, split):
    """Move the rows that go left to the front, keeping their order; return how many these are."""
    column, missing = columns.codes[split.feature], columns.n_codes[split.feature]
    right = np.empty(len(rows), np.int32)
    n_left = n_right = 0
    for row in rows:
        if split.missing_left if column[row] == missing else column[row] <= split.last_code:
            rows[n_left] = row
            n_left += 1
        else:
            right[n_right] = row
            n_right += 1
    rows[n_left:] = right[:n_right]
    return n_left


def columns_of(X: np.ndarray) -> Columns:
    """Rank the values of each column of X, of shape (n_samples, n_features): finite, or NaN where missing."""
    codes, n_codes = np.empty(X.shape[::-1], np.int32), np.empty(X.shape[1], np.int32)
    for feature, column in enumerate(X.T):
        values, codes[feature] = np.unique(column, return_inverse=True)  # NaN comes last
        n_codes[feature] = np.sum(~np.isnan(values))
    return Columns(X, codes, n_codes)


def grow(
    columns: Columns,
    targets: np.ndarray,
    weights: np.ndarray,
    criterion: int,
    n_classes: int,
    limits: Limits,
    rng: np.random.Generator,
) -> Tree:
    """Grow a tree; the arguments are those of `grow_nodes`, and `n_classes` is 1 for the variance."""
    middle = 0.0
    if criterion == VARIANCE:  # around 0 squares lose no digits; around one of the targets, whole numbers stay whole
        middle = targets[np.abs(targets - np.average(targets, weights=weights)).argmin()]
    room = 2 * np.count_nonzero(weights)
    left, right, feature = np.full((3, room), LEAF, np.int32)
    threshold, impurity, weight = np.full((3, room), np.nan)
    n_samples, missing_left, value = np.zeros(room, np.int32), np.zeros(room, bool), np.zeros((room, n_classes))
    empty = Tree(left, right, feature, threshold, missing_left, value, impurity, n_samples, weight)
    n_nodes = grow_nodes(empty, columns, targets - middle, weights, criterion, limits, rng)
    tree = Tree(*(array[:n_nodes].copy() for array in empty))
    tree.value[:] += middle
    return tree


# --- walking, pruning, drawing --------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def leaves_of(tree: Tree, X: np.ndarray) -> np.ndarray:
    """Return the leaf that each row of X ends in.

    Args:
        tree: any.
        X: floats of shape (n_samples, n_features), NaN where missing.

    Returns:
        Numbers of nodes, of shape (n_samples,).
    """
    leaves = np.empty(len(X), np.int32)
    for row in range(len(X)):
        node = 0
        while tree.children_left[node] != LEAF:
            value = X[row, tree.feature[node]]
            if np.isnan(value):
                left = tree.missing_left[node]
            else:
                left = value <= tree.threshold[node]
            node = tree.children_left[node] if left else tree.children_right[node]
        leaves[row] = node
    return leaves


@njit(cache=True, nogil=True)
def collapse_alphas(tree: Tree) -> np.ndarray:
    """Return the price of a leaf from which on each split is not worth its leaves.

    With R(t) the error of node t as a leaf, as a share of all weight, and R(T) that of the L leaves below it, the
    split pays up to α = (R(t) - R(T)) / (L - 1). Weakest first, splits are taken away with all below them, which lowers
    L for the nodes above (Breiman et al., 1984, section 3.3).

    Args:
        tree: any.

    Returns:
        Of shape (n_nodes,): α for each split, never more than that of a split above it; 0 for the leaves.
    """
    n_nodes = len(tree.feature)
    alphas, leaves = np.zeros(n_nodes), np.ones(n_nodes, np.int64)
    errors = tree.impurity * tree.weight / tree.weight[0]
    below = errors.copy()  # the error of the leaves below each node
    parents = np.full(n_nodes, LEAF)
    for node in range(n_nodes - 1, -1, -1):
        left, right = tree.children_left[node], tree.children_right[node]
        if left != LEAF:
            leaves[node], below[node] = leaves[left] + leaves[right], below[left] + below[right]
            parents[left] = parents[right] = node
    alpha = 0.0
    while leaves[0] > 1:
        weakest, price = LEAF, np.inf
        for node in range(n_nodes):
            if leaves[node] > 1 and (errors[node] - below[node]) / (leaves[node] - 1) < price:
                weakest, price = node, (errors[node] - below[node]) / (leaves[node] - 1)
        alpha = max(alpha, price)
        n_lost, gained = leaves[weakest] - 1, errors[weakest] - below[weakest]
        node = weakest
        while node != LEAF:
            leaves[node] -= n_lost
            below[node] += gained
            node = parents[node]
        alphas[weakest] = alpha
        for node in range(1, n_nodes):  # what was below it goes, too
            if leaves[node] > 1 and leaves[parents[node]] == 1:
                leaves[node], alphas[node] = 1, alpha
    return alphas


def prune(tree: Tree, alpha: float) -> Tree:
    """Return the smallest tree that minimises error + alpha · leaves; `np.unique(collapse_alphas(tree))` has them all.

    Raises:
        ValueError: alpha is negative or NaN.
    """
    if not alpha >= 0:
        raise ValueError(f"alpha must be at least 0, the price of a leaf, got {alpha}.")
    stays = collapse_alphas(tree) > alpha
    kept = np.arange(len(stays)) == 0
    kept[tree.children_left[stays]] = kept[tree.children_right[stays]] = True
    number = (np.cumsum(kept) - 1).astype(np.int32)
    pruned = tree._replace(
        children_left=np.where(stays, number[tree.children_left], np.int32(LEAF)),
        children_right=np.where(stays, number[tree.children_right], np.int32(LEAF)),
        feature=np.where(stays, tree.feature, np.int32(LEAF)),
        threshold=np.where(stays, tree.threshold, np.nan),
        missing_left=stays & tree.missing_left,
    )
    return Tree(*(array[kept] for array in pruned))


def draw(
    tree: Tree,
    feature_names: Sequence[str] | np.ndarray | None = None,
    classes: Sequence[Any] | np.ndarray | None = None,
) -> str:
    """Return a tree as text, a line for each node.

        cpu <= 80
        ├─ yes: errors is known
        │  ├─ yes: healthy (98 % of 412)
        │  └─ no: warning (60 % of 5)
        └─ no: unhealthy (91 % of 80)

    Args:
        tree: any.
        feature_names: of the columns; x0, x1, … unless given.
        classes: of a classifier: a leaf shows the likeliest, its share, and the number of samples. Without, it shows
            the mean.

    Raises:
        ValueError: the tree asks for a column that has no name.
    """
    if feature_names is not None and len(feature_names) <= tree.feature.max():
        raise ValueError(f"feature_names must name {tree.feature.max() + 1} columns, got {len(feature_names)} names.")
    lines, stack = [], [(0, "", "")]
    while stack:
        node, head, margin = stack.pop()
        if tree.children_left[node] == LEAF:
            lines.append(head + _answer(tree, node, classes))
            continue
        lines.append(head + _question(tree, node, feature_names))
        stack.append((tree.children_right[node], f"{margin}└─ no: ", margin + "   "))
        stack.append((tree.children_left[node], f"{margin}├─ yes: ", margin + "│  "))
    return "\n".join(lines)


def _question(tree: Tree, node: int, names: Sequence[str] | np.ndarray | None) -> str:
    feature, threshold = tree.feature[node], tree.threshold[node]
    name = f"x{feature}" if names is None else names[feature]
    return f"{name} is known" if np.isinf(threshold) else f"{name} <= {threshold:.4g}"


def _answer(tree: Tree, node: int, classes: Sequence[Any] | np.ndarray | None) -> str:
    value, n_samples = tree.value[node], tree.n_samples[node]
    if classes is None:
        return f"{value[0]:.4g} (mean of {n_samples})"
    likeliest = int(value.argmax())
    return f"{classes[likeliest]} ({100 * value[likeliest]:.0f} % of {n_samples})"


# --- estimators -----------------------------------------------------------------------------------------------------


class _DecisionTree(BaseEstimator):
    """What both trees share."""

    def __init__(
        self,
        *,
        criterion: str | None = None,
        max_depth: int | None = None,
        min_samples_split: int = 2,
        min_samples_leaf: int = 1,
        max_features: int | float | str | None = None,
        ccp_alpha: float = 0.0,
        random_state: Any = None,
    ) -> None:
        self.criterion = criterion
        self.max_depth = max_depth
        self.min_samples_split = min_samples_split
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.ccp_alpha = ccp_alpha
        self.random_state = random_state

    def _grow(self, X: Any, targets: np.ndarray, sample_weight: Any, n_classes: int) -> None:
        criterion, limits = criterion_of(self), limits_of(self, X.shape[1])
        at_least("ccp_alpha", self.ccp_alpha, 0, Real)
        weights = weights_of(sample_weight, len(X))
        rng = generator(self.random_state)
        self.tree_ = grow(columns_of(X), targets, weights, criterion, n_classes, limits, rng)
        if self.ccp_alpha > 0:
            self.tree_ = prune(self.tree_, self.ccp_alpha)

    def apply(self, X: Any) -> np.ndarray:
        """Return the number of the leaf that each row of X ends in, of shape (n_samples,)."""
        check_is_fitted(self)
        return leaves_of(self.tree_, table(self, X, reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class DecisionTreeClassifier(ClassifierMixin, _DecisionTree):
    """CART for classes.

    Args:
        criterion: "gini", which is the default, or "entropy".
        max_depth: how many questions a sample is asked at most; no limit unless given.
        min_samples_split: nodes with fewer samples stay leaves, at least 2.
        min_samples_leaf: samples that each side of a split has at least.
        max_features: how many columns, drawn anew for each node, compete: a number, a share, "sqrt", or all.
        ccp_alpha: the price of a leaf: where it is above 0, the tree is pruned with it.
        random_state: seed of the draws, where `max_features` leaves columns out.

    Attributes:
        tree_: the `Tree`.
        classes_: the classes, sorted, of shape (n_classes,).
        n_features_in_: how many columns `fit` was given.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the tree.

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
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the shares of the classes in each row's leaf, of shape (n_samples, n_classes)."""
        leaves = self.apply(X)
        return self.tree_.value[leaves]

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest class of each row, of shape (n_samples,); of equals the first."""
        likeliest = self.predict_proba(X).argmax(axis=1)
        return self.classes_[likeliest]


class DecisionTreeRegressor(RegressorMixin, _DecisionTree):
    """CART for a quantity; settings as in `DecisionTreeClassifier`, but for criterion, which is "squared_error"."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Grow the tree on numbers y; otherwise as `DecisionTreeClassifier.fit`."""
        X, y = table(self, X, y=y, y_numeric=True)
        self._grow(X, quantities(y), sample_weight, 1)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the mean of each row's leaf, of shape (n_samples,)."""
        leaves = self.apply(X)
        return self.tree_.value[leaves, 0]


# --- what is given, checked: for every estimator of trees -----------------------------------------------------------


def table(estimator: Any, X: Any, **options: Any) -> Any:
    """Check X (and y) with `validate_data`, but let NaN in; X comes back as floats that the kernels take."""
    checked = validate_data(estimator, X, dtype=np.float64, ensure_all_finite="allow-nan", **options)
    rows, *labels = checked if isinstance(checked, tuple) else (checked,)
    rows = np.require(rows, requirements=["C", "W", "E"])  # kernels would be compiled once more for read-only arrays
    return (rows, *labels) if labels else rows


def quantities(y: np.ndarray) -> np.ndarray:
    """Check that y holds numbers whose squares can be added, and return them as floats. Raises ValueError."""
    try:
        numbers = y.astype(float)
    except (TypeError, ValueError):
        raise ValueError(f"y must hold numbers, got {y.tolist()[:3]}. For classes, take a classifier.") from None
    if not np.isfinite(numbers).all():  # None in a column of objects has become NaN only here
        row = np.flatnonzero(~np.isfinite(numbers))[0]
        raise ValueError(f"y must hold finite numbers, got {numbers[row]} at row {row}. Drop the rows without a y.")
    if np.abs(numbers).max() > LARGEST:
        largest = np.abs(numbers).max()
        raise ValueError(f"y must be within ±{LARGEST:g}, or its squares overflow, got {largest:g}. Divide y.")
    return numbers


def weights_of(sample_weight: Any, n_samples: int) -> np.ndarray:
    """Check sample weights, or make them 1 where none are given. Raises ValueError."""
    if sample_weight is None:
        return np.ones(n_samples)
    weights = np.array(sample_weight, dtype=float)
    if weights.shape != (n_samples,):
        raise ValueError(f"sample_weight must be of shape ({n_samples},), one for each row, got {weights.shape}.")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(
            f"sample_weight must be finite, not below 0, not zero throughout; the least is {weights.min()}."
        )
    return weights


def criterion_of(estimator: Any) -> int:
    """Return the number of an estimator's criterion. Raises ValueError."""
    numeric = isinstance(estimator, RegressorMixin)
    allowed = {"squared_error": VARIANCE} if numeric else {"gini": GINI, "entropy": ENTROPY}
    name = next(iter(allowed)) if estimator.criterion is None else estimator.criterion
    if name not in allowed:
        raise ValueError(f"criterion must be {' or '.join(allowed)}, got {name!r}.")
    return allowed[name]


def limits_of(estimator: Any, n_features: int) -> Limits:
    """Return the settings of an estimator that say when a tree stops. Raises ValueError."""
    max_depth = np.iinfo(np.int32).max if estimator.max_depth is None else estimator.max_depth
    return Limits(
        at_least("max_depth", max_depth, 1),
        at_least("min_samples_split", estimator.min_samples_split, 2),
        at_least("min_samples_leaf", estimator.min_samples_leaf, 1),
        _competing(estimator.max_features, n_features),
    )


def at_least(name: str, value: Any, low: int, kind: type = Integral) -> Any:
    """Return a setting that is a number of at least `low`. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value < np.inf:
        whole = "whole" if kind is Integral else "finite"
        raise ValueError(f"{name} must be a {whole} number of at least {low}, got {value!r}.")
    return value


def _competing(max_features: Any, n_features: int) -> int:
    number = {None: n_features, "sqrt": int(np.sqrt(n_features))}.get(max_features, max_features)
    if isinstance(number, float) and 0 < number <= 1:
        number = max(1, int(number * n_features))
    if isinstance(number, bool) or not isinstance(number, Integral) or not 1 <= number <= n_features:
        choices = f'1 to {n_features} columns, a share up to 1.0, "sqrt" or None'
        raise ValueError(f"max_features must be {choices}, got {max_features!r}.")
    return int(number)


def generator(random_state: Any) -> np.random.Generator:
    """Return a generator from a seed, from scikit-learn's kind of generator, or by chance where None is given."""
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(2**31 - 1)
    return np.random.default_rng(random_state)
