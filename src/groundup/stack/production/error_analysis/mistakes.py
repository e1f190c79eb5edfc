# pyright: basic
"""Ways to get error analysis wrong, and right ways that differ."""

import numpy as np
from scipy import special

from groundup.anatomy import mistake, variant
from groundup.stack.production.error_analysis.error_analysis import (
    ROUNDING,
    Confusion,
    Suspect,
    _counts,
    _members,
    _probabilities,
    confusion_matrix,
    slice_scores,
    wilson_interval,
)


@mistake("wilson_interval")
def is_walds(count, total, confidence=0.95):
    """You take the rate plus or minus its error. Without an error in the sample that interval has no length at all."""
    k, n = _counts(count, total, confidence)
    reach = special.ndtri((1 + confidence) / 2) * np.sqrt(k * (n - k) / n) / n
    return k / n - reach, k / n + reach


@mistake("wilson_interval", edit=("(1 + confidence) / 2", "confidence"))
def leaves_one_side_out():
    """Your interval is open on one side: 5 percent lie beyond each end. Half of that belongs to each."""


@mistake(
    "confusions",
    edit=("count, count / errors, count / sizes[i], low", "count, count / sizes.sum(), count / sizes[i], low"),
)
def shares_of_all_rows():
    """You divide by all rows. The share says which part of the errors this pair is: divide by the errors."""


@mistake("confusions", edit=("sizes = matrix.sum(axis=1)", "sizes = matrix.sum(axis=0)"))
def divides_by_the_predicted():
    """You divide by how often the class was predicted. The rate is that of the true class: the sum of its row."""


@mistake("confusions", edit=("matrix[[i, j], [j, i]]", "matrix[[j, i], [i, j]]"))
def turns_the_direction():
    """Your counts are those of the opposite confusion. Row i of the matrix is what is, column j what was predicted."""


@mistake("confusions", edit=("        if i != j:\n", "        if i < j:\n"))
def reads_half_of_the_matrix():
    """You read one side of the diagonal. 9 taken for 4 is another error than 4 taken for 9."""


@mistake(
    "conditions",
    edit=(
        "ends = [-math.inf, *np.quantile(values, np.arange(1, bins) / bins), math.inf]",
        "ends = [*np.quantile(values, np.arange(bins + 1) / bins)]",
    ),
)
def ends_at_the_extremes():
    """Your outer ranges end at the smallest and the largest value. The largest is left out, and new rows beyond too."""


@mistake(
    "conditions",
    edit=(
        "*np.quantile(values, np.arange(1, bins) / bins)",
        "*np.linspace(values.min(), values.max(), bins + 1)[1:-1]",
    ),
)
def cuts_into_equal_widths():
    """You cut into ranges of equal width, which a single outlier empties. Cut at quantiles: equal numbers of rows."""


@mistake("conditions", edit=("values = values[~_missing(values)]", ""))
def keeps_missing_values():
    """You keep missing values among the others: a quantile over a NaN is NaN. Take them out first."""


@mistake("conditions", edit=("options.append(Condition(name, missing=True))", ""))
def forgets_missing_values():
    """You have no condition for missing values. They are where models fail most often: make them a slice."""


@mistake("adjusted_p_values")
def compares_each_with_itself(members, wrong, rng, permutations=999):
    """You compare a slice with its own deals. You reported the worst of many: compare with the worst of each deal."""
    rows, errors = _members(members, wrong, permutations)
    observed = slice_scores(rows, errors)
    deals = np.array([slice_scores(rows, rng.permutation(errors)) for _ in range(permutations)])
    return ((deals >= observed - ROUNDING).sum(axis=0) + 1) / (permutations + 1)


@mistake("adjusted_p_values", edit=("(reached + 1) / (permutations + 1)", "reached / permutations"))
def forgets_the_observed_deal():
    """Your p-value can be 0. The observed deal is one of those possible: count it with those drawn."""


@mistake(
    "adjusted_p_values",
    edit=("highest >= observed[:, np.newaxis] - ROUNDING", "highest > observed[:, np.newaxis] + ROUNDING"),
)
def loses_ties():
    """You count deals that are worse than the observed one. One that is as bad counts too: at least as high."""


@mistake("adjusted_p_values", edit=("rng.permutation(errors)", "rng.choice(errors, errors.size)"))
def draws_with_replacement():
    """You draw errors with replacement, so their number changes. Deal the same errors again, each exactly once."""


@mistake("gains", edit=("one * len(tagged)", "len(tagged) / len(sets)"))
def gives_the_share():
    """You give the category's share of the errors. Mending it gains that share of the error rate: multiply."""


@mistake("gains", edit=("one = error_rate / len(sets)", "one = error_rate / sum(map(len, sets))"))
def divides_by_tags():
    """You divide by the number of tags. An error with two tags is still one error: divide by the errors."""


@mistake("gains", edit=("alone = [each for each in tagged if len(each) == 1]", "alone = tagged"))
def counts_shared_errors_as_alone():
    """Your `alone` holds errors with a second tag. They may fail still once this category is mended."""


@mistake(
    "suspects", edit=("chances >= [chances[given == k, k].mean() for k in range(chances.shape[1])]", "chances >= 0.5")
)
def takes_one_threshold():
    """You take 0.5 for each class. A model is not equally sure of all: a class's threshold is its own mean."""


@mistake("suspects", edit=("chances[given == k, k].mean()", "chances[:, k].mean()"))
def averages_over_all_rows():
    """You average a class's probability over all rows. The threshold is the mean over the rows with that label."""


@mistake("suspects", edit=("np.where(confident, chances, -np.inf).argmax(axis=1)", "chances.argmax(axis=1)"))
def takes_the_prediction():
    """You take the most probable class, confident or not. Only classes that reach their threshold compete."""


@variant("wilson_interval")
def from_the_rate(count, total, confidence=0.95):
    """The usual form: the rate drawn towards one half."""
    k, n = _counts(count, total, confidence)
    rate, z = k / n, -special.ndtri((1 - confidence) / 2)
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * np.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    return centre - reach, centre + reach


@variant("confusions")
def pair_by_pair(labels, predictions, confidence=0.95):
    """Without the matrix: each pair of classes by itself."""
    confusion_matrix(labels, predictions)
    true, predicted = np.asarray(labels), np.asarray(predictions)
    classes, errors = sorted({*true.tolist(), *predicted.tolist()}), int((true != predicted).sum())
    found = []
    for a in classes:
        for b in classes:
            count = int(((true == a) & (predicted == b)).sum())
            if a != b and count:
                size, back = int((true == a).sum()), int(((true == b) & (predicted == a)).sum())
                low, high = map(float, wilson_interval(count, size, confidence))
                found.append(Confusion(a, b, count, count / errors, count / size, low, high, back))
    return sorted(found, key=lambda pair: pair.errors, reverse=True)


@variant("adjusted_p_values")
def all_deals_at_once(members, wrong, rng, permutations=999):
    """One product for all deals."""
    rows, errors = _members(members, wrong, permutations)
    deals = rng.permuted(np.tile(errors, (permutations, 1)), axis=1)
    sizes = rows.sum(axis=1)
    scores = (deals @ rows.T - sizes * errors.mean()) / np.sqrt(sizes * (errors.size - sizes))
    highest = np.append(scores.max(axis=1), np.inf)
    return np.array([(highest > score - ROUNDING).mean() for score in slice_scores(rows, errors)])


@variant("suspects")
def row_by_row(labels, probabilities):
    """Thresholds from sums, and a loop over the rows."""
    given, chances = _probabilities(labels, probabilities, every=True)
    means = [float(np.mean(chances[given == k][:, k])) for k in range(len(chances[0]))]
    found = []
    for row, (label, p) in enumerate(zip(given.tolist(), chances.tolist(), strict=True)):
        reached = [k for k, limit in enumerate(means) if p[k] >= limit]
        if reached:
            best = max(reached, key=p.__getitem__)
            if best != label:
                found.append(Suspect(row, label, best, p[best] - p[label]))
    return sorted(found, key=lambda suspect: suspect.margin, reverse=True)
