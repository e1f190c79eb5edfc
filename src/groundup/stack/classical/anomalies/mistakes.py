# pyright: basic
"""Ways to get anomalies wrong, and right ways that differ."""

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.classical.anomalies.anomalies import (
    EULER,
    LEAF,
    NORMAL_MAD,
    TINY,
    Cusum,
    IsolationTree,
    _check_cusum,
    _series,
    average_path_length,
)


@mistake("robust_scale")
def takes_mean_and_deviation(X):
    """You take mean and standard deviation, which the anomalies themselves move and widen. Take medians."""
    return X.mean(axis=0), X.std(axis=0)


@mistake("robust_scale", edit=("NORMAL_MAD * mads", "mads"))
def forgets_the_factor():
    """You return the MAD itself. Of a normal column it is 0.67 deviations: multiply by 1.4826."""


@mistake("robust_scale", edit=("distances = np.abs(X - medians)", "distances = np.abs(X - X.mean(axis=0))"))
def measures_from_the_mean():
    """You measure distances from the mean, which wild values pull. Measure from the median."""


@mistake(
    "robust_scale",
    edit=("np.where(mads > 0, NORMAL_MAD * mads, NORMAL_MEAN_AD * distances.mean(axis=0))", "NORMAL_MAD * mads"),
)
def leaves_a_spread_of_0():
    """Where more than half of a column is one value the MAD is 0, and all else looks infinitely far. Take the mean
    distance there.
    """


@mistake("average_path_length", edit=("2 * (many - 1) / many", "2 * many / (many - 1)"))
def turns_the_fraction_round():
    """Your last term is turned round: it is 2 (n - 1) / n."""


@mistake("average_path_length", edit=("np.where(n == 2, 1.0, 0.0)", "0.0"))
def forgets_pairs():
    """A leaf of two rows would be cut once more: c(2) is 1."""


@mistake("average_path_length", edit=("np.log(many - 1) + EULER", "np.log(many - 1)"))
def forgets_eulers_constant():
    """The harmonic number is about ln(i) + 0.5772: you left the constant out."""


@mistake("grow_isolation_tree", edit=("rng.uniform(lows[feature], highs[feature])", "np.median(X[rows, feature])"))
def cuts_at_the_median():
    """You cut at the median, which halves every crowd and parts nobody early. Draw between least and largest."""


@mistake(
    "grow_isolation_tree",
    edit=("lows, highs = X[rows].min(axis=0), X[rows].max(axis=0)", "lows, highs = X.min(axis=0), X.max(axis=0)"),
)
def cuts_within_the_whole_table():
    """You draw cuts from the range of the whole table, so most part nobody. Take the range of the node's rows."""


@mistake("grow_isolation_tree", edit=("rng.choice(varying)", "varying[np.argmax((highs - lows)[varying])]"))
def cuts_the_widest_column():
    """You cut the column of the widest range, so units decide. All columns that vary are alike: draw one."""


@mistake("grow_isolation_tree", edit=("depth >= max_depth", "depth > max_depth"))
def grows_one_too_deep():
    """You grow one level too many: the root has depth 0, and a node at max_depth is a leaf."""


@mistake("path_lengths", edit=("depths + average_path_length(tree.size[nodes])", "depths"))
def forgets_the_rest_of_the_path():
    """You return the depth of the leaf. A leaf of several rows would have been cut further: add c(size)."""


@mistake("path_lengths", edit=("<= tree.threshold[here]", "< tree.threshold[here]"))
def sends_equals_to_the_right():
    """You send a value that equals the threshold to the right. The tree was grown with at most: left."""


@mistake("path_lengths", edit=("average_path_length(tree.size[nodes])", "average_path_length(tree.size[0])"))
def adds_the_roots_size():
    """You add c of the whole tree to each path. Add c of the leaf's own size."""


@mistake("local_densities", edit=("np.maximum(distances, reaches)", "distances"))
def forgets_the_reach():
    """You take plain distances. A neighbour is never nearer than its own reach: take the larger of the two."""


@mistake("local_densities", edit=("np.maximum(distances, reaches)", "np.minimum(distances, reaches)"))
def takes_the_smaller():
    """You take the smaller of distance and reach. The reachability distance is the larger one."""


@mistake("local_densities", edit=(".mean(axis=1) + TINY", ".mean(axis=1)"))
def divides_by_0_among_copies():
    """Among copies the mean distance is 0, and you divide by it. Add TINY first."""


@mistake("cusum", edit=("high + (value - target) - drift", "high + (value - target)"))
def forgets_the_drift():
    """You add up every deviation, noise included, so the sum wanders off by itself. Take the drift away each time."""


@mistake(
    "cusum", edit=("low = max(0.0, low - (value - target) - drift)", "low = min(0.0, low + (value - target) + drift)")
)
def lets_the_lower_sum_be_negative():
    """Your lower sum is negative. It adds up how far values lie below the target: turn the deviation round."""


@mistake("cusum", edit=("            high = low = 0.0\n", ""))
def never_begins_anew():
    """You do not begin anew after an alarm, so each value after it brings another. Set both sums to 0."""


@variant("robust_scale")
def column_by_column(X):
    """A loop over the columns."""
    medians, spreads = [], []
    for column in X.T:
        middle = np.median(column)
        distances = np.abs(column - middle)
        mad = np.median(distances)
        medians.append(middle)
        spreads.append(NORMAL_MAD * mad if mad > 0 else np.sqrt(np.pi / 2) * distances.mean())
    return np.array(medians), np.array(spreads)


@variant("average_path_length")
def with_a_mask(n):
    """Formula where it holds, by a mask."""
    sizes = np.asarray(n, dtype=float)
    lengths = np.zeros(sizes.shape)
    lengths[sizes == 2] = 1.0
    many = sizes > 2
    lengths[many] = 2 * (np.log(sizes[many] - 1) + EULER) - 2 + 2 / sizes[many]
    return lengths


@variant("grow_isolation_tree")
def with_a_stack(X, max_depth, rng):
    """Without recursion: nodes that are still to be cut wait on a stack."""
    nodes: list[list[float]] = [[LEAF, np.nan, LEAF, LEAF, len(X)]]
    waiting = [(0, X, 0)]
    while waiting:
        node, part, depth = waiting.pop()
        spans = np.ptp(part, axis=0)
        if depth == max_depth or len(part) < 2 or not spans.any():
            continue
        column = int(rng.choice(np.flatnonzero(spans)))
        cut = part[:, column].min() + rng.random() * spans[column]
        low = part[:, column] <= cut
        nodes[node][:4] = column, cut, len(nodes), len(nodes) + 1
        for child in (part[low], part[~low]):
            waiting.append((len(nodes), child, depth + 1))
            nodes.append([LEAF, np.nan, LEAF, LEAF, len(child)])
    table = np.array(nodes, dtype=float).T
    return IsolationTree(*(row if number == 1 else row.astype(int) for number, row in enumerate(table)))


@variant("path_lengths")
def row_by_row(tree, X):
    """A walk for each row."""
    lengths = np.zeros(len(X))
    for number, row in enumerate(X):
        node = 0
        while tree.feature[node] != LEAF:
            node = tree.left[node] if row[tree.feature[node]] <= tree.threshold[node] else tree.right[node]
            lengths[number] += 1
        lengths[number] += float(average_path_length(tree.size[node]))
    return lengths


@variant("local_densities")
def by_sums(distances, reaches):
    """The number of neighbours over the sum of their distances."""
    far = np.where(distances > reaches, distances, reaches)
    return 1 / (far.sum(axis=1) / far.shape[1] + TINY)


@variant("cusum")
def in_one_array(values, target, *, drift, threshold):
    """Both sums as one array of two."""
    series = _series(values)
    _check_cusum(drift, threshold)
    now, sums, alarms = np.zeros(2), np.zeros((len(series), 2)), []
    for t, deviation in enumerate(series - target):
        now = np.maximum(0.0, now + np.array([deviation, -deviation]) - drift)
        sums[t] = now
        if now.max() > threshold:
            alarms.append(t)
            now = np.zeros(2)
    return Cusum(sums[:, 0], sums[:, 1], np.array(alarms, dtype=int))
