"""Labs of forests: one tree against many, with the variance that averaging takes away, and importances of noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundup.drawing import BLUE, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.forests import RandomForestClassifier, RandomForestRegressor, permutation_importances
from groundup.stack.classical.trees import DecisionTreeRegressor, leaves_of

COLUMNS = (
    "longitude",
    "latitude",
    "housing_median_age",
    "total_rooms",
    "total_bedrooms",
    "population",
    "households",
    "median_income",
)


@dataclass(frozen=True)
class ManyConfig:
    """Settings of the lab of many trees.

    Attributes:
        seed: seed of the samples and of the trees.
        samples: districts in each training set.
        sets: training sets, drawn anew, over which the variance is measured.
        trees: trees of a forest.
        max_features: columns that compete in a node.
        bootstrap: whether each tree has a bootstrap sample of its own.
        shuffle_targets: permute the training targets, which leaves nothing to learn.
    """

    seed: int = 0
    samples: int = 1_000
    sets: int = 8
    trees: int = 40
    max_features: int = 3
    bootstrap: bool = True
    shuffle_targets: bool = False


@lab(
    title="One tree against many",
    question="House values: how much variance does averaging trees take away, and how much does theory foretell?",
    data=["california_housing"],
    presets={
        "smoke": {},
        "laptop": {"samples": 4_000, "trees": 100},
        "full": {"samples": 10_000, "trees": 300, "sets": 20},
    },
    expectations=[
        expect("error", beats_baseline_by=0.2, lower_is_better=True, why="Many trees must err much less than one."),
        expect("explained", at_least=0.5, why="They must know most of why the values differ."),
        expect("gap", at_most=0.15, why="The variance of a forest is what the correlation of its trees foretells."),
    ],
    sabotage=[{"trees": 1}, {"shuffle_targets": True}, {"bootstrap": False, "max_features": 8}],
)
def one_against_many(config: ManyConfig, record: Recorder) -> None:
    """Grow a tree and a forest on training sets drawn anew, and measure on other districts how they err and vary.

    For trees of variance v of which two have the covariance c, a forest of n has the variance c + (v - c) / n. Both are
    measured on the first five trees over the training sets, and foretell what all of them do.
    """
    import plotly.graph_objects as go

    from groundup.data import load

    houses = load("california_housing")
    y = houses["median_house_value"] / 100_000
    X = np.column_stack([houses[name] for name in COLUMNS])
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(y))
    test, pool = order[:2_000], order[2_000:]
    answers, tree_errors = [], []
    for number in record.progress(range(config.sets), label="training sets"):
        part = rng.choice(pool, config.samples, replace=False)
        targets = rng.permutation(y[part]) if config.shuffle_targets else y[part]
        forest = RandomForestRegressor(
            config.trees, max_features=config.max_features, bootstrap=config.bootstrap, n_jobs=2, random_state=number
        ).fit(X[part], targets)
        answers.append([tree.value[leaves_of(tree, X[test]), 0] for tree in forest.trees_])
        tree_errors.append(np.mean((DecisionTreeRegressor().fit(X[part], targets).predict(X[test]) - y[test]) ** 2))
    said = np.array(answers)  # (sets, trees, districts)
    n, few = config.trees, min(5, config.trees)
    one = said[:, :few].var(axis=0, ddof=1).mean()
    of_few, of_all = (said[:, :k].mean(axis=1).var(axis=0, ddof=1).mean() for k in (few, n))
    covariance = (few * of_few - one) / (few - 1) if few > 1 else one
    foretold = covariance + (one - covariance) / n
    variances = {"one tree": one, f"{n} trees": of_all, "foretold": foretold, "of any number": covariance}
    record.table("variance over training sets", [{"of": name, "variance": float(v)} for name, v in variances.items()])
    record.note(f"two trees of a forest have the correlation {covariance / one:.2f}")
    errors = [np.mean((said[:, :k].mean(axis=1) - y[test]) ** 2) for k in range(1, n + 1)]
    plot = go.Figure()
    plot.add_scatter(x=list(range(1, n + 1)), y=errors, name="forest", line_color=BLUE)
    plot.add_hline(y=float(np.mean(tree_errors)), line={"color": ORANGE, "dash": "dash"}, annotation_text="one tree")
    plot.update_xaxes(title="trees")
    plot.update_yaxes(title="mean squared error, in (100,000 dollars)²")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("error by trees", plot)
    record.baseline("error", float(np.mean(tree_errors)), "one tree on all samples")
    record.result("error", errors[-1])
    record.baseline("explained", 0.0, "the mean of the test districts")
    record.result("explained", 1 - errors[-1] / np.var(y[test]))
    record.baseline("gap", float(abs(one / n - of_all) / of_all), "trees that are independent: v / n")
    record.result("gap", float(abs(foretold - of_all) / of_all))


@dataclass(frozen=True)
class WorthConfig:
    """Settings of the lab of importances.

    Attributes:
        seed: seed of the splits, of the noise and of the trees.
        splits: splits of the passengers that are averaged.
        trees: trees of the forest.
        measure: by permutation on passengers that it has not seen, or by the impurity that training lowered.
        groups: whether passengers with one ticket are kept on one side of the split.
        shuffle_labels: permute the training labels, which leaves nothing to learn.
    """

    seed: int = 0
    splits: int = 5
    trees: int = 100
    measure: Literal["permutation", "impurity"] = "permutation"
    groups: Literal["none", "ticket"] = "none"
    shuffle_labels: bool = False


@lab(
    title="What is noise worth?",
    question="Which columns of the Titanic carry a forest's answers, and does noise look as if it did?",
    data=["titanic"],
    presets={"smoke": {}, "laptop": {"splits": 20}, "full": {"splits": 50, "trees": 500}},
    expectations=[
        expect("accuracy", beats_baseline_by=0.1, why="A forest must know more than the majority does."),
        expect("noise", at_most=0.08, why="A column of noise must get next to nothing of all importance."),
        expect("gap", at_most=0.05, why="Out of the bag the forest must err as on passengers that it has not seen."),
    ],
    sabotage=[{"measure": "impurity"}, {"shuffle_labels": True}],
)
def worth(config: WorthConfig, record: Recorder) -> None:
    """Grow forests on passengers and a column of noise, and share out the importance among the columns."""
    import plotly.graph_objects as go

    from groundup.data import load

    passengers = load("titanic")
    names, y = ["Pclass", "Age", "SibSp", "Parch", "Fare"], passengers["Survived"]
    X = np.column_stack([*(passengers[name] for name in names), passengers["Sex"] == "female"]).astype(float)
    rng, rows, shares = np.random.default_rng(config.seed), [], []
    X = np.column_stack([X, rng.random(len(y))])
    _, group = np.unique(passengers["Ticket"], return_inverse=True)
    group = group if config.groups == "ticket" else np.arange(len(y))
    for _ in record.progress(range(config.splits), label="splits"):
        testing = np.isin(group, rng.permutation(group.max() + 1)[: (group.max() + 1) // 3])
        labels = rng.permutation(y[~testing]) if config.shuffle_labels else y[~testing]
        seed = int(rng.integers(2**31))
        model = RandomForestClassifier(config.trees, oob_score=True, n_jobs=2, random_state=seed).fit(
            X[~testing], labels
        )
        accuracy = model.score(X[testing], y[testing])
        rows.append([accuracy, max(y[testing].mean(), 1 - y[testing].mean()), model.oob_score_])
        falls = permutation_importances(model.score, X[testing], y[testing], rng, repeats=3).mean(axis=1)
        shares.append([np.maximum(falls, 0) / np.maximum(falls, 0).sum(), model.feature_importances_])
    accuracy, majority, bag = np.mean(rows, axis=0)
    by = dict(zip(("permutation", "impurity"), np.mean(shares, axis=0), strict=True))
    columns = [*names, "female", "noise"]
    table = [{"column": c, **{m: float(by[m][k]) for m in by}} for k, c in enumerate(columns)]
    record.table("shares of importance", table)
    plot = go.Figure()
    for measure, colour in zip(by, (ORANGE, BLUE), strict=True):
        plot.add_bar(x=columns, y=by[measure], name=measure, marker_color=colour)
    plot.update_xaxes(title="column")
    plot.update_yaxes(title="share of all importance")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("shares of importance", plot)
    record.note(f"out of the bag {bag:.3f}, on other passengers {accuracy:.3f}")
    record.baseline("accuracy", majority, "the majority of the test passengers")
    record.result("accuracy", accuracy)
    record.baseline("noise", 1 / len(columns), "all columns alike")
    record.result("noise", by[config.measure][-1])
    record.baseline("gap", 0.0, "no difference")
    record.result("gap", abs(bag - accuracy))
