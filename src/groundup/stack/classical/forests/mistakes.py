# pyright: basic
"""Ways to get forests wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.classical.forests.forests import bootstrap_counts
from groundup.stack.classical.trees import LEAF, at_least, grow, leaves_of


@mistake("bootstrap_counts")
def draws_without_replacement(n_samples, rng):
    """You draw without replacement, so each sample comes once and all trees see the same. Put each back."""
    return np.bincount(rng.permutation(n_samples), minlength=n_samples)


@mistake(
    "bootstrap_counts",
    edit=("rng.integers(n_samples, size=n_samples)", "rng.integers(n_samples, size=n_samples // 2 + 1)"),
)
def draws_half():
    """You draw fewer samples than there are. A bootstrap sample is as large as the data."""


@mistake("bootstrap_counts", edit=(", minlength=n_samples", ""))
def forgets_the_last_samples():
    """Your counts end at the largest number that was drawn. Samples at the end that were not drawn have the count 0."""


@mistake("bootstrap_counts", edit=("rng.integers(", "np.random.default_rng(0).integers("))
def draws_the_same_each_time():
    """You draw from a generator of your own, the same each time: every tree gets the same sample. Use `rng`."""


@mistake(
    "grow_forest",
    edit=(
        "own[present] *= bootstrap_counts(len(present), rng)",
        "own[present] *= bootstrap_counts(len(present), rng) > 0",
    ),
)
def forgets_how_often():
    """You keep who was drawn and forget how often. A sample that was drawn twice counts twice."""


@mistake(
    "grow_forest",
    edit=("own[present] *= bootstrap_counts(len(present), rng)", "own *= bootstrap_counts(len(own), rng)"),
)
def draws_samples_that_are_not_there():
    """You draw among all samples, those without weight included: a tree then has fewer draws than there are samples."""


@mistake("grow_forest", edit=("own = weights.copy()", "own = weights"))
def multiplies_the_weights_themselves():
    """You multiply the weights that you were given, so each tree gets the counts of all before it. Copy them first."""


@mistake("grow_forest", edit=("own > 0", "own > 1"))
def has_seen_what_came_twice():
    """You call a sample seen when it was drawn twice. Drawn once, it has been seen, and may not judge the tree."""


@mistake(
    "forest_values",
    edit=(
        "total += tree.value[leaves_of(tree, X)]",
        "total += np.eye(total.shape[1])[tree.value[leaves_of(tree, X)].argmax(axis=1)]",
    ),
)
def counts_votes():
    """You count one vote for each tree. This forest takes the mean of the shares, which keeps how sure each tree is."""


@mistake("forest_values", edit=("return total / len(trees)", "return total"))
def adds_without_dividing():
    """You return the sum of the trees' answers. Shares of classes must sum to 1: divide by the number of trees."""


@mistake("out_of_bag_values", edit=("new = ~seen[number]", "new = seen[number]"))
def asks_those_who_have_seen():
    """You ask the trees that have seen a sample. They know it by heart; ask the others."""


@mistake("out_of_bag_values", edit=("counts[:, None]", "np.where(counts > 0, len(trees), counts)[:, None]"))
def divides_by_all_trees():
    """You divide by the number of all trees. Only those that have not seen a sample answered: divide by these."""


@mistake("out_of_bag_values", edit=("counts[counts == 0] = np.nan", "counts[counts == 0] = 1.0"))
def answers_where_nobody_does():
    """A sample that every tree has seen has no answer: NaN. You return 0, which is a claim."""


@mistake("impurity_importances", edit=("error = tree.impurity * tree.weight", "error = tree.impurity"))
def forgets_the_weight():
    """You add impurities without weight, so a split of five samples counts as much as the root. Multiply by it."""


@mistake("impurity_importances", edit=("weights=gain, ", ""))
def counts_splits():
    """You count how often a column is asked for. An importance adds up how much its splits have lowered the error."""


@mistake(
    "impurity_importances",
    edit=(
        "gains = np.bincount(tree.feature[inner], weights=gain, minlength=n_features)",
        "gains = np.zeros(n_features)\n    gains[tree.feature[inner]] += gain",
    ),
)
def keeps_one_split_of_a_column():
    """`gains[columns] += gain` adds once to a column, however often it is among them. Use np.bincount or np.add.at."""


@mistake("permutation_importances", edit=("whole - score(shuffled, labels)", "score(shuffled, labels) - whole"))
def turns_the_sign_round():
    """Your sign is turned round. Without a column that is needed the score falls; the importance is that fall."""


@mistake(
    "permutation_importances",
    edit=[
        ("            shuffled = rows.copy()\n", ""),
        ("    falls = np.empty", "    shuffled = rows.copy()\n    falls = np.empty"),
    ],
)
def leaves_columns_shuffled():
    """You copy X once, so columns stay shuffled while the next ones are judged. Copy anew for each."""


@mistake("permutation_importances", edit=("score(shuffled, labels)", "score(rows, rng.permutation(labels))"))
def shuffles_the_labels():
    """You shuffle y, so every column looks alike, needed or not. Shuffle one column of X, and leave y as it is."""


@mistake("permutation_importances", edit=("rng.permutation(rows[:, feature])", "0.0"))
def sets_the_column_to_zero():
    """You set the column to 0, which the model may never have seen. Shuffle it: its values stay, its tie to y goes."""


@variant("bootstrap_counts")
def by_multinomial(n_samples, rng):
    """The counts of n draws are multinomial."""
    return rng.multinomial(n_samples, np.full(n_samples, 1 / n_samples))


@variant("grow_forest")
def one_after_the_other(columns, targets, weights, criterion, n_classes, limits, rngs, *, bootstrap=True, n_jobs=None):
    """A loop, without threads."""
    trees, seen = [], np.zeros((len(rngs), len(weights)), dtype=bool)
    for line, rng in zip(seen, rngs, strict=True):
        own = np.array(weights, dtype=float)
        if bootstrap:
            there = weights > 0
            own[there] = weights[there] * bootstrap_counts(int(there.sum()), rng)
        trees.append(grow(columns, targets, own, criterion, n_classes, limits, rng))
        line[:] = own > 0
    return trees, seen


@variant("forest_values")
def by_the_mean_of_a_stack(trees, X):
    """All answers at once, and their mean."""
    return np.mean([tree.value[leaves_of(tree, X)] for tree in trees], axis=0)


@variant("out_of_bag_values")
def through_a_masked_stack(trees, seen, X):
    """All answers at once, those of trees that have seen a sample taken out."""
    answers = np.array([tree.value[leaves_of(tree, X)] for tree in trees])
    answers[seen] = 0.0
    counts = (~seen).sum(axis=0)
    values = answers.sum(axis=0) / np.maximum(counts, 1)[:, None]
    values[counts == 0] = np.nan
    return values


@variant("impurity_importances")
def node_by_node(tree, n_features):
    """A loop over the splits."""
    gains = np.zeros(n_features)
    for node in range(len(tree.feature)):
        left, right = tree.children_left[node], tree.children_right[node]
        if left != LEAF:
            below = sum(tree.impurity[child] * tree.weight[child] for child in (left, right))
            gains[tree.feature[node]] += tree.impurity[node] * tree.weight[node] - below
    return gains / (gains.sum() or 1.0)


@variant("permutation_importances")
def column_by_column(score, X, y, rng, *, repeats=5):
    """Falls gathered in lists."""
    X, y = np.array(X), np.asarray(y)
    if X.ndim != 2 or len(X) != len(y):
        raise ValueError(f"X and y do not fit: {X.shape}, {y.shape}")
    at_least("repeats", repeats, 1)
    before, rows = score(X, y), []
    for column in range(X.shape[1]):
        row = []
        for _ in range(repeats):
            order = rng.permutation(len(X))
            other = np.where(np.arange(X.shape[1]) == column, X[order], X)
            row.append(before - score(other, y))
        rows.append(row)
    return np.array(rows)
