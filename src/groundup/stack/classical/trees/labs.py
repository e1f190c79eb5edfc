"""Labs of trees: a tree for the health of pods, drawn, and the Titanic by logistic regression and by a tree."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from groundup.drawing import BLUE, LEGEND_BELOW, ORANGE, RED
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.logistic_regression import LogisticRegression
from groundup.stack.classical.trees import LEAF, DecisionTreeClassifier, Tree, collapse_alphas, draw, prune

if TYPE_CHECKING:
    import plotly.graph_objects as go

READINGS = ("cpu", "memory", "errors")


@dataclass(frozen=True)
class PodHealthConfig:
    """Settings of the pod-health lab.

    Attributes:
        seed: seed of the pods and of the parts.
        pods: a CSV file of your own pods with the columns cpu, memory, errors and state; generated ones unless given.
        count: how many pods are generated.
        cpu_limit: with more CPU (in %) and more memory than their limits, a generated pod is UNHEALTHY.
        memory_limit: the limit of memory, in %.
        errors_limit: with more errors (in %), any other generated pod is WARNING.
        wrong: share of generated pods whose state was written down wrong.
        missing: share of generated readings that are missing.
        max_depth: how many questions the tree asks at most.
        trace: cpu, memory and errors of a pod whose way through the tree is shown.
        shuffle_labels: permute the states that the tree is grown on, which leaves nothing to learn.
    """

    seed: int = 0
    pods: str = ""
    count: int = 900
    cpu_limit: float = 80.0
    memory_limit: float = 90.0
    errors_limit: float = 5.0
    wrong: float = 0.05
    missing: float = 0.05
    max_depth: int = 8
    trace: tuple[float, ...] = (85.0, 95.0, 1.0)
    shuffle_labels: bool = False


@lab(
    title="Is this pod healthy?",
    question="Which questions tell healthy pods from others, and does a tree find them among noisy readings?",
    presets={"smoke": {}, "laptop": {"count": 5_000}, "full": {"count": 100_000}},
    expectations=[
        expect("accuracy", beats_baseline_by=0.2, why="The states follow three limits, which a tree can find."),
        expect("leaves", at_most=20, why="Pruned, the tree is small enough to be read."),
    ],
    sabotage=[{"shuffle_labels": True}],
)
def pod_health(config: PodHealthConfig, record: Recorder) -> None:
    """Grow a tree on half of the pods, choose the price of a leaf on a quarter, judge on the last quarter, and draw."""
    rng = np.random.default_rng(config.seed)
    X, y = _generated(config, rng) if not config.pods else _read(config.pods)
    growing, choosing, judging = np.array_split(rng.permutation(len(y)), [len(y) // 2, 3 * len(y) // 4])
    states = rng.permutation(y[growing]) if config.shuffle_labels else y[growing]
    model = DecisionTreeClassifier(max_depth=config.max_depth).fit(X[growing], states)
    whole, rows = model.tree_, []
    for alpha in np.unique(collapse_alphas(whole)):
        model.tree_ = prune(whole, alpha)
        row = {"alpha": float(alpha), "leaves": int(np.sum(model.tree_.feature == LEAF))}
        rows.append(
            {**row, "growing": model.score(X[growing], states), "choosing": model.score(X[choosing], y[choosing])}
        )
    record.table("accuracy by the price of a leaf", rows)
    # Of nearly equal trees the smallest: the quarter that chooses is noisy, too.
    best = max(row["choosing"] for row in rows)
    chosen = next(row for row in rows[::-1] if row["choosing"] >= best - 0.01)
    model.tree_ = prune(whole, chosen["alpha"])
    classes = model.classes_.tolist()
    record.table("the tree", [{"node": line} for line in draw(model.tree_, READINGS, classes).splitlines()])
    record.table("the way of one pod", _way(model.tree_, np.array(config.trace), classes))
    record.figure("the tree", _icicle(model.tree_, classes))
    names, counts = np.unique(states, return_counts=True)
    majority = names[counts.argmax()]
    record.baseline("accuracy", float(np.mean(y[judging] == majority)), f"calling every pod {majority}")
    record.result("accuracy", model.score(X[judging], y[judging]))
    record.baseline("leaves", 1, "asking nothing")
    record.result("leaves", chosen["leaves"])


def _generated(config: PodHealthConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    X = np.column_stack([rng.uniform(20, 100, (config.count, 2)), rng.exponential(4.0, config.count)]).round(1)
    unhealthy = (X[:, 0] > config.cpu_limit) & (X[:, 1] > config.memory_limit)
    y = np.where(unhealthy, "UNHEALTHY", np.where(X[:, 2] > config.errors_limit, "WARNING", "HEALTHY"))
    wrong = rng.random(config.count) < config.wrong
    y[wrong] = rng.choice(["UNHEALTHY", "WARNING", "HEALTHY"], wrong.sum())
    return np.where(rng.random(X.shape) < config.missing, np.nan, X), y


def _read(path: str) -> tuple[np.ndarray, np.ndarray]:
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {*READINGS, "state"} <= rows[0].keys():
        raise ValueError(f"pods must be a file with the columns {', '.join(READINGS)} and state, and rows; see {path}.")
    X = np.array([[float(row[name] or "nan") for name in READINGS] for row in rows])
    return X, np.array([row["state"] for row in rows])


def _way(tree: Tree, pod: np.ndarray, classes: list[str]) -> list[dict[str, str]]:
    """The questions that a pod is asked, with its answers."""
    steps, node = [], 0
    while tree.feature[node] != LEAF:
        value, threshold = pod[tree.feature[node]], tree.threshold[node]
        left = tree.missing_left[node] if np.isnan(value) else value <= threshold
        question = f"{READINGS[tree.feature[node]]} = {value:g}: at most {threshold:.4g}?"
        steps.append({"question": question, "answer": "yes" if left else "no"})
        node = tree.children_left[node] if left else tree.children_right[node]
    return [*steps, {"question": "so the pod is", "answer": classes[tree.value[node].argmax()]}]


def _icicle(tree: Tree, classes: list[str]) -> go.Figure:
    """Nodes as blocks: under each its children, as wide as they have samples."""
    import plotly.graph_objects as go

    colours = dict(zip(["HEALTHY", "WARNING", "UNHEALTHY"], [BLUE, ORANGE, RED], strict=True))
    parents = np.full(len(tree.feature), "", dtype=object)
    for node in np.flatnonzero(tree.feature != LEAF):
        parents[[tree.children_left[node], tree.children_right[node]]] = str(node)
    likeliest = [classes[k] for k in tree.value.argmax(axis=1)]
    labels = [
        f"{READINGS[f]} ≤ {t:.4g}?" if f != LEAF else name
        for f, t, name in zip(tree.feature, tree.threshold, likeliest, strict=True)
    ]
    blocks = go.Icicle(
        ids=[str(node) for node in range(len(labels))],
        labels=labels,
        parents=parents.tolist(),
        values=tree.n_samples.tolist(),
        branchvalues="total",
        tiling_orientation="v",
        marker_colors=[colours.get(name, BLUE) for name in likeliest],
    )
    return go.Figure(blocks)


@dataclass(frozen=True)
class TitanicConfig:
    """Settings of the Titanic lab.

    Attributes:
        seed: seed of the splits.
        splits: how many splits of the passengers are averaged.
        min_samples_leaf: passengers in a leaf of the tree, at least.
        ccp_alpha: the price of a leaf.
        shares: shares of the training passengers that the learning curves are drawn at.
        shuffle_labels: permute the training labels, which leaves nothing to learn.
    """

    seed: int = 0
    splits: int = 10
    min_samples_leaf: int = 5
    ccp_alpha: float = 0.004
    shares: tuple[float, ...] = (0.1, 0.2, 0.4, 0.7, 1.0)
    shuffle_labels: bool = False


@lab(
    title="Titanic: logistic regression against a tree",
    question="Who survived: does a weighted sum know it, or a few questions, and which of them overfits?",
    data=["titanic"],
    presets={"smoke": {}, "laptop": {"splits": 40}, "full": {"splits": 200}},
    expectations=[
        expect("tree", beats_baseline_by=0.1, why="Sex, class and age say more than the majority."),
        expect("logistic regression", beats_baseline_by=0.1, why="So they do in a weighted sum."),
        expect("tree", at_least=0.75, why="Pruned, the tree must keep up with what is known to be reachable."),
    ],
    sabotage=[{"shuffle_labels": True}, {"ccp_alpha": 0.5}],
)
def titanic(config: TitanicConfig, record: Recorder) -> None:
    """Fit both to growing parts of the passengers, and score them on passengers with other tickets.

    The tree takes missing ages as they are. For the regression they are filled in with the median of the training
    passengers, and all columns are scaled.
    """
    import plotly.graph_objects as go

    from groundup.data import load

    passengers = load("titanic")
    y, X = passengers["Survived"], np.column_stack([passengers[n] for n in ("Pclass", "Age", "SibSp", "Parch", "Fare")])
    ports = [passengers["Embarked"] == port for port in "SCQ"]
    X = np.column_stack([X, passengers["Sex"] == "female", *ports]).astype(float)
    _, ticket = np.unique(passengers["Ticket"], return_inverse=True)
    tree = DecisionTreeClassifier(min_samples_leaf=config.min_samples_leaf, ccp_alpha=config.ccp_alpha)
    models = {"logistic regression": _Filled(), "tree": tree, "full tree": DecisionTreeClassifier()}
    rng, rows, majority = np.random.default_rng(config.seed), [], []
    for _ in record.progress(range(config.splits), label="splits"):
        testing = np.isin(ticket, rng.permutation(ticket.max() + 1)[: (ticket.max() + 1) // 4])
        train = rng.permutation(np.flatnonzero(~testing))
        labels = rng.permutation(y[train]) if config.shuffle_labels else y[train]
        majority.append(max(np.mean(y[testing]), 1 - np.mean(y[testing])))
        for share in config.shares:
            n = int(share * len(train))
            fitted = [model.fit(X[train[:n]], labels[:n]) for model in models.values()]
            inside = [model.score(X[train[:n]], labels[:n]) for model in fitted]
            rows.append([inside, [model.score(X[testing], y[testing]) for model in fitted]])
    curves = np.reshape(rows, (config.splits, len(config.shares), 2, len(models))).mean(axis=0)
    plot = go.Figure()
    for number, (name, colour) in enumerate(zip(models, (BLUE, ORANGE, RED), strict=True)):
        for part, dash in enumerate(("dot", "solid")):
            legend = f"{name}, {('training', 'test')[part]}"
            plot.add_scatter(
                x=config.shares, y=curves[:, part, number], name=legend, line={"color": colour, "dash": dash}
            )
        record.baseline(name, float(np.mean(majority)), "the majority of the test passengers")
        record.result(name, curves[-1, 1, number])
        record.note(f"{name}: {curves[-1, 0, number]:.3f} in training, {curves[-1, 1, number]:.3f} on other tickets")
    plot.update_xaxes(title="share of the training passengers")
    plot.update_yaxes(title="accuracy")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("learning curves", plot)


class _Filled:
    """Logistic regression on columns that are filled and scaled by what is known of the training rows."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> _Filled:
        self.middle, self.spread = np.nanmedian(X, axis=0), np.nanstd(X, axis=0) + 1e-9
        self.model = LogisticRegression(l2=1.0, solver="newton").fit(self._prepared(X), y)
        return self

    def score(self, X: np.ndarray, y: np.ndarray) -> float:
        return float(np.mean(self.model.predict(self._prepared(X)) == y))

    def _prepared(self, X: np.ndarray) -> np.ndarray:
        return (np.where(np.isnan(X), self.middle, X) - self.middle) / self.spread
