# pyright: basic
"""Ways to get trees wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.classical.trees.trees import (
    GINI,
    LEAF,
    VARIANCE,
    _answer,
    _best_split,
    _enter,
    _partition,
    _question,
    add,
    node_error,
)


@mistake(
    "node_error",
    edit=(
        "return weight - total / weight if criterion == GINI else weight * np.log2(weight) - total",
        "return 1 - total / weight**2 if criterion == GINI else np.log2(weight) - total / weight",
    ),
)
def forgets_the_weight():
    """You return the impurity itself. Two samples must not count as much as two thousand: multiply by the weight."""


@mistake("node_error", edit=[("np.log2(part)", "np.log(part)"), ("np.log2(weight)", "np.log(weight)")])
def counts_in_nats():
    """Your entropy is in nats. It is asked for in bits: take the logarithm to base 2."""


@mistake("node_error", edit=("elif part > 0:", "else:"))
def takes_the_logarithm_of_zero():
    """You take the logarithm of a class that is not there: 0 · log 0 is NaN. Such a class adds nothing."""


@mistake("best_cut", edit=(" or (i + 1 < n_known and codes[i + 1] == codes[i])", ""))
def cuts_between_equal_values():
    """You cut between two samples of the same value. No threshold can tell them apart: wait for another code."""


@mistake("best_cut", edit=("for missing_left in (False, True):", "for missing_left in (False,):"))
def sends_missing_values_right():
    """Your search never sends missing values left. Try them there in a second pass: from the right side to the left."""


@mistake(
    "best_cut",
    edit=(
        "error = node_error(left, criterion) + node_error(right, criterion)",
        "error = node_error(left, criterion) / n_left + node_error(right, criterion) / (n_samples - n_left)",
    ),
)
def averages_the_two_sides():
    """You add the impurities of the sides, as if both were of one size. `node_error` is weighted: add it as it is."""


@mistake("best_cut", edit=("n_left = n_samples - n_known", "n_left = 0"))
def counts_known_samples_only():
    """You count only known samples to the left. Missing ones that go left are samples of that side, too."""


@mistake(
    "best_cut",
    edit=[
        ("n_left = n_samples - n_known", "n_left = weights[n_known:].sum()"),
        ("n_left += 1", "n_left += weights[i]"),
        ("n_samples - n_left <", "weights.sum() - n_left <"),
    ],
)
def weighs_the_leaf():
    """You compare `min_samples_leaf` with the weight of a side. It says how many samples a side has: count them."""


@mistake("grow_nodes", edit=("np.flatnonzero(weights > 0)", "np.arange(len(weights))"))
def keeps_samples_without_weight():
    """You let samples of weight 0 in: they count in n_samples and in the least size of a leaf. They are not there."""


@mistake(
    "grow_nodes",
    edit=(
        "if split.feature == LEAF:",
        "if split.feature == LEAF or node_error(sums, criterion) - split.error < 1e-12:",
    ),
)
def stops_where_nothing_is_gained():
    """You stop where the best split gains nothing. In an exclusive or the first gains nothing, and both all."""


@mistake("grow_nodes", edit=("depth >= limits.max_depth", "depth > limits.max_depth"))
def asks_one_question_too_many():
    """You split at `max_depth` itself, so a path has one question too many. The root has depth 0."""


@mistake("leaves_of", edit=("value <= tree.threshold[node]", "value < tree.threshold[node]"))
def sends_the_threshold_right():
    """A value equal to the threshold goes left: at most, not less than."""


@mistake("leaves_of", edit=("left = tree.missing_left[node]", "left = False"))
def forgets_where_missing_values_go():
    """You send every missing value right. The node says where they went in training: `missing_left`."""


@mistake(
    "collapse_alphas",
    edit=[
        (
            "(errors[node] - below[node]) / (leaves[node] - 1) < price",
            "(errors[node] - below[node]) / leaves[node] < price",
        ),
        (
            "node, (errors[node] - below[node]) / (leaves[node] - 1)",
            "node, (errors[node] - below[node]) / leaves[node]",
        ),
    ],
)
def divides_by_all_leaves():
    """You divide by the leaves below. Collapsing a split leaves one leaf in their place: it saves leaves - 1."""


@mistake("collapse_alphas", edit=("            node = parents[node]\n", "            node = LEAF\n"))
def forgets_the_nodes_above():
    """When a split becomes a leaf, the nodes above it lose leaves and gain error. You left their sums as they were."""


@mistake("draw", edit=("stack.append((tree.children_left[node]", "stack.insert(-1, (tree.children_left[node]"))
def draws_no_before_yes():
    """Your drawing shows the no side first. A list gives back last what came first: push the no side before the yes."""


@variant("node_error")
def from_shares(sums, criterion):
    """The textbook formulas, times the weight."""
    if not sums.any():
        return 0.0
    if criterion == VARIANCE:
        return max(0.0, sums[0] * (sums[2] / sums[0] - (sums[1] / sums[0]) ** 2))
    weight = sums.sum()
    shares = sums[sums > 0] / weight
    return float(weight * (1 - (shares**2).sum() if criterion == GINI else -(shares * np.log2(shares)).sum()))


@variant("best_cut")
def from_running_sums(codes, n_known, targets, weights, sums, criterion, min_samples_leaf):
    """A table of the sums up to each place, and of those that are missing."""
    best, n, table = (np.inf, 0, False), len(codes), np.zeros((len(codes) + 1, len(sums)))
    for i in range(n):
        table[i + 1] = table[i]
        add(table[i + 1], targets[i], weights[i], criterion)
    for missing_left in (False, True)[: 1 + (n_known < n)]:
        for place in range(1, n_known + 1):
            n_left = place + missing_left * (n - n_known)
            if min(n_left, n - n_left) < min_samples_leaf or (place < n_known and codes[place] == codes[place - 1]):
                continue
            left = table[place] + missing_left * (table[n] - table[n_known])
            error = node_error(left, criterion) + node_error(table[n] - left, criterion)
            if error < best[0] - 1e-12:
                best = (error, place, missing_left)
    return best


@variant("grow_nodes")
def by_recursion(tree, columns, targets, weights, criterion, limits, rng):
    """A function that calls itself, numbering the nodes as it meets them."""
    features = np.arange(len(columns.codes))
    count = 0

    def visit(rows, depth):
        nonlocal count
        node, count = count, count + 1
        sums, pure = _enter(tree, node, rows, targets, weights, criterion)
        stops = pure or depth == limits.max_depth or len(rows) < limits.min_samples_split
        split = _best_split(columns, rows, targets, weights, sums, criterion, limits, features, rng)
        if split.feature != LEAF and not stops:
            n_left = _partition(rows, columns, split)
            tree.feature[node], tree.threshold[node] = split.feature, split.threshold
            tree.missing_left[node] = split.missing_left
            tree.children_left[node] = visit(rows[:n_left], depth + 1)
            tree.children_right[node] = visit(rows[n_left:], depth + 1)
        return node

    visit(np.flatnonzero(weights).astype(np.int32), 0)
    return count


@variant("leaves_of")
def level_by_level(tree, X):
    """All rows take a step at a time."""
    nodes = np.zeros(len(X), dtype=int)
    while (inner := np.flatnonzero(tree.children_left[nodes] != LEAF)).size:
        at = nodes[inner]
        values = X[inner, tree.feature[at]]
        left = np.where(np.isnan(values), tree.missing_left[at], values <= tree.threshold[at])
        nodes[inner] = np.where(left, tree.children_left[at], tree.children_right[at])
    return nodes


@variant("draw")
def drawn_by_recursion(tree, feature_names=None, classes=None):
    """A function that returns the lines below a node."""
    if feature_names is not None and len(feature_names) < tree.feature.max() + 1:
        raise ValueError(f"feature_names: {len(feature_names)} names for {tree.feature.max() + 1} columns")

    def lines(node):
        if tree.children_left[node] == LEAF:
            return [_answer(tree, node, classes)]
        yes, no = lines(tree.children_left[node]), lines(tree.children_right[node])
        yes = [("├─ yes: " if not i else "│  ") + line for i, line in enumerate(yes)]
        no = [("└─ no: " if not i else "   ") + line for i, line in enumerate(no)]
        return [_question(tree, node, feature_names), *yes, *no]

    return "\n".join(lines(0))
