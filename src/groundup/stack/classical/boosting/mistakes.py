# pyright: basic
"""Ways to get boosting wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.classical.boosting.boosting import (
    DUST,
    MISSING,
    SQUARED,
    BinSplit,
    grow_on_bins,
    loss_gradients,
)
from groundup.stack.classical.trees import LEAF


@mistake("adaboost_round", edit=(" + np.log(n_classes - 1)", ""))
def forgets_the_other_classes():
    """Of n classes, guessing misses n - 1 of n. Without ln(n - 1) a tree better than that may vote against itself."""


@mistake("adaboost_round", edit=("weights[wrong].sum() / weights.sum()", "wrong.mean()"))
def counts_mistakes_unweighted():
    """You count mistakes, and all count alike. Weigh them: that is how a tree learns what the last ones missed."""


@mistake("adaboost_round", edit=("np.where(wrong, weights * np.exp(vote)", "np.where(~wrong, weights * np.exp(vote)"))
def raises_the_right_ones():
    """You raise the weights of the samples that were right. The next tree shall look at the mistakes."""


@mistake("adaboost_round", edit=("raised / raised.sum()", "raised"))
def forgets_to_divide():
    """Your new weights do not add up to 1: they grow from round to round. Divide by their sum."""


@mistake("loss_gradients", edit=("p - y[i], p * (1 - p)", "p - y[i], 1.0"))
def takes_the_curvature_of_squares():
    """You give the logistic loss the curvature of the squared one. Its second derivative is p (1 - p)."""


@mistake("loss_gradients", edit=("scores[i] - y[i], 1.0", "y[i] - scores[i], 1.0"))
def takes_residuals_for_slopes():
    """You return the residual, y - score. The slope of the loss is its negative: trees answer -G / H."""


@mistake(
    "loss_gradients",
    edit=("weights[i] * first, weights[i] * second", "first, second"),
)
def forgets_the_weights():
    """A sample of weight 3 is worth three: its slope and its curvature both count three times."""


@mistake("boost", edit=("scores += learning_rate * answers", "scores += answers"))
def learns_at_full_rate():
    """The scores take all of a tree's answer, but the tree keeps its share only: the next one repairs another model."""


@mistake("boost", edit=("        scores += learning_rate * answers\n", ""))
def grows_the_same_tree_again():
    """Your scores stay at the constant, so every tree repairs the same errors. Add each tree's answers to them."""


@mistake("boost", edit=("tree._replace(value=learning_rate * tree.value)", "tree"))
def keeps_whole_answers():
    """Your trees keep their whole answers, and training adds a share of them. Multiply the values that you keep."""


@mistake("boost", edit=("np.log(mean / (1 - mean))", "mean"))
def starts_at_a_probability():
    """A score is a log odds, and you begin with a probability. Begin with ln(mean / (1 - mean))."""


@mistake(
    "sum_bins", edit=[("codes[feature, rows[i]]", "codes[feature, i]"), ("codes[other, rows[i]]", "codes[other, i]")]
)
def reads_the_first_rows():
    """You read the codes of the first rows, whichever are asked for. Row i of the node is `rows[i]` of the table."""


@mistake("best_split", edit=("(sides - own) / 2 > best.gain", "sides / 2 > best.gain"))
def forgets_what_the_node_had():
    """You return the value of both sides. A split gains that less the node's own: compare to not splitting."""


@mistake("best_split", edit=("for missing_left in (False, True):", "for missing_left in (False,):"))
def sends_missing_values_right():
    """You try missing values on the right only. Begin a second pass with their sums on the left."""


@mistake(
    "best_split",
    edit=[
        ("left_G * left_G / (left_H + penalties.reg_lambda)", "left_G * left_G / left_H"),
        ("right_G * right_G / (right_H + penalties.reg_lambda)", "right_G * right_G / right_H"),
    ],
)
def forgets_lambda():
    """Your sides are not penalised. Each has λ beside its H, as the node itself has."""


@mistake("best_split", edit=("if H - left_H < least:", "if H - left_H <= 0:"))
def lets_the_right_side_be_light():
    """You hold the left side to `min_child_weight`, and not the right one. Both need that much curvature."""


@mistake("tree_shap", edit=("tree.weight[child] / tree.weight[node]", "0.5"))
def tosses_a_coin():
    """Without a feature you send a row either way with 1/2. It goes as the training samples went: by their weight."""


@mistake("tree_shap", edit=("while place < n and features[place] != tree.feature[node]:", "while place < n:"))
def takes_a_feature_twice_for_two():
    """A path may ask for a feature twice. It is one player: multiply its proportions, and give it one factor."""


@mistake("tree_shap", edit=("product / factors[i]", "product"))
def leaves_the_feature_in():
    """Your integral has the factor of feature i itself. It is over the others: divide the product by that factor."""


@variant("adaboost_round")
def by_the_odds(weights, wrong, n_classes):
    """Multiplied by the odds, without exponential and logarithm of the same."""
    odds = (n_classes - 1) * weights[~wrong].sum() / weights[wrong].sum()
    raised = weights * odds**wrong
    return float(np.log(odds)), raised / np.sum(raised)


@variant("loss_gradients")
def by_the_hyperbolic_tangent(scores, y, weights, loss):
    """The logistic function is a hyperbolic tangent, moved and scaled."""
    if loss == SQUARED:
        first, second = scores - y, np.ones(len(y))
    else:
        p = (1 + np.tanh(scores / 2)) / 2
        first, second = p - y, p * (1 - p)
    return weights[:, None] * np.stack([first, second], axis=1)


@variant("boost")
def from_the_sum_of_trees(bins, y, weights, loss, n_estimators, learning_rate, penalties):
    """The scores are added up anew from all answers."""
    mean = (weights @ y) / weights.sum()
    start = float(mean) if loss == SQUARED else float(np.log(mean) - np.log1p(-mean))
    answers, trees = [], []
    while len(trees) < n_estimators:
        scores = start + learning_rate * np.sum(answers, axis=0) if answers else start + np.zeros(len(y))
        tree, answer = grow_on_bins(bins, loss_gradients(scores, y, weights, loss), weights, penalties)
        answers.append(answer)
        trees.append(tree._replace(value=tree.value * learning_rate))
    return start, trees


@variant("sum_bins")
def by_bincount(codes, rows, gradients):
    """NumPy counts each column."""
    histograms = np.zeros((len(codes), 256, 2))
    for feature in range(len(codes)):
        for k in range(2):
            histograms[feature, :, k] = np.bincount(codes[feature, rows], gradients[rows, k], minlength=256)
    return histograms


@variant("best_split")
def by_cumulative_sums(histograms, penalties):
    """All codes of a feature at once."""
    best = BinSplit(penalties.gamma, LEAF, 0, False)
    for feature, histogram in enumerate(histograms):
        total = histogram.sum(axis=0)
        none = DUST * total[1]
        lost = histogram[MISSING] if histogram[MISSING, 1] > none else np.zeros(2)
        for side in (False, True)[: 1 + bool(lost[1])]:
            left = np.cumsum(histogram[:MISSING], axis=0) + side * lost
            right = total - left
            allowed = np.minimum(left[:, 1], right[:, 1]) >= max(penalties.min_child_weight, none)
            if not allowed.any():
                continue
            left, right, codes = left[allowed], right[allowed], np.flatnonzero(allowed)
            parts = (part[..., 0] ** 2 / (part[..., 1] + penalties.reg_lambda) for part in (left, right, total))
            a, b, own = parts
            gains = (a + b - own) / 2
            k = int(np.argmax(gains >= gains.max() - DUST * (a + b).max()))
            if gains[k] > best.gain + DUST * (a[k] + b[k]):
                goes_left = side or (not lost[1] and left[k, 1] > right[k, 1])
                best = BinSplit(gains[k], feature, int(codes[k]), bool(goes_left))
    return best


@variant("tree_shap")
def over_all_subsets(tree, X, points, shares):
    """Shapley's formula: every subset of the features that the tree asks for."""
    import itertools
    from math import factorial

    asked = sorted({int(f) for f in tree.feature if f != LEAF})
    values = np.zeros(X.shape)

    def answer(x, known, node=0):
        if tree.feature[node] == LEAF:
            return tree.value[node, 0]
        f, left, right = tree.feature[node], tree.children_left[node], tree.children_right[node]
        if f in known:
            goes = tree.missing_left[node] if np.isnan(x[f]) else x[f] <= tree.threshold[node]
            return answer(x, known, left if goes else right)
        return sum(tree.weight[child] * answer(x, known, child) for child in (left, right)) / tree.weight[node]

    for row, feature in itertools.product(range(len(X)), asked):
        rest = [f for f in asked if f != feature]
        for size in range(len(asked)):
            share = factorial(size) * factorial(len(rest) - size) / factorial(len(asked))
            for known in itertools.combinations(rest, size):
                gain = answer(X[row], {*known, feature}) - answer(X[row], set(known))
                values[row, feature] += share * gain
    return values
