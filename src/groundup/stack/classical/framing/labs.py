"""Labs of framing: the seven steps on the Titanic, and bias and variance measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from groundup.drawing import BLUE, GREEN, LEGEND_BELOW, ORANGE, RED
from groundup.labs import Recorder, expect, lab
from groundup.stack.classical.framing import MajorityClassifier, bias_variance, shared_rows, split


@dataclass(frozen=True)
class WorkflowConfig:
    """Settings of the workflow lab.

    Attributes:
        seed: seed of the split.
        test_share: share of the passengers that judge.
        groups: what is kept on one side of the split: the ticket, which families share, or nothing.
        l2: penalty of the logistic regression.
        shuffle_labels: permute the training labels, which leaves nothing to learn.
    """

    seed: int = 0
    test_share: float = 0.3
    groups: Literal["ticket", "none"] = "ticket"
    l2: float = 1.0
    shuffle_labels: bool = False


@lab(
    title="Seven steps, from the question to the watch",
    question="Who survived the Titanic, and does a model know more than the majority does?",
    data=["titanic"],
    presets={"smoke": {}, "laptop": {"test_share": 0.25}, "full": {"test_share": 0.2}},
    expectations=[expect("accuracy", beats_baseline_by=0.08, why="Sex and class alone say more than the majority.")],
    sabotage=[{"shuffle_labels": True}],
)
def workflow(config: WorkflowConfig, record: Recorder) -> None:
    """Walk the seven steps of the workflow, each with what it found.

    Families share a ticket, and lived or died together. The split keeps tickets whole, so that no test passenger has a
    relative in the training part.
    """
    from sklearn.linear_model import LogisticRegression

    from groundup.data import load

    steps = [{"step": "1 define", "found": "Did this passenger survive? Yes or no: classification."}]
    passengers = load("titanic")
    y = passengers["Survived"]
    steps.append({"step": "2 collect", "found": f"{len(y)} passengers, {len(passengers.columns)} columns"})
    gaps = {name: int(passengers.missing(name).sum()) for name in ("Age", "Cabin", "Embarked")}
    steps.append({"step": "3 explore", "found": f"{y.mean():.3f} survived; gaps: {gaps}"})

    rng = np.random.default_rng(config.seed)
    groups = passengers["Ticket"] if config.groups == "ticket" else None
    train, test = split(len(y), config.test_share, rng, groups=groups)
    X = _features(passengers["Sex"], passengers["Pclass"], passengers["Age"], passengers["Fare"], train)
    leaked = shared_rows(X[train], X[test]).mean()
    steps.append({"step": "4 prepare", "found": f"{X.shape[1]} features; {leaked:.3f} of the test rows repeat one"})

    labels = rng.permutation(y[train]) if config.shuffle_labels else y[train]
    baseline = MajorityClassifier().fit(X[train], labels)
    model = LogisticRegression(C=1 / config.l2).fit(X[train], labels)
    steps.append({"step": "5 train", "found": f"{len(train)} passengers trained, {len(test)} were kept apart"})

    floor, accuracy = (float(np.mean(m.predict(X[test]) == y[test])) for m in (baseline, model))
    steps.append({"step": "6 evaluate", "found": f"accuracy {accuracy:.3f}; the majority alone {floor:.3f}"})
    shares = [float(model.predict(X[part]).mean()) for part in (train, test)]
    steps.append(
        {"step": "7 monitor", "found": f"predicted survivors: {shares[0]:.3f} in training, {shares[1]:.3f} now"}
    )
    record.table("the seven steps", steps)
    record.baseline("accuracy", floor, "the majority of the training part")
    record.result("accuracy", accuracy)


def _features(sex: np.ndarray, pclass: np.ndarray, age: np.ndarray, fare: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Numbers of shape (n_passengers, 5); gaps and scales are learned from the training rows alone."""
    known = np.where(np.isnan(age), np.nanmedian(age[train]), age)
    X = np.column_stack([sex == "female", pclass == 1, pclass == 2, known, np.log1p(fare)]).astype(float)
    return (X - X[train].mean(axis=0)) / X[train].std(axis=0)


@dataclass(frozen=True)
class DecompositionConfig:
    """Settings of the decomposition lab.

    Attributes:
        seed: seed of the samples.
        degrees: degrees of the polynomials.
        models: samples of the data, and so models, for each degree.
        samples: points in each sample.
        noise: standard deviation of the noise.
        claimed_noise: the noise that the decomposition is told, as a share of the true one.
        shuffle_targets: permute the targets of each sample, which leaves nothing to learn.
    """

    seed: int = 0
    degrees: tuple[int, ...] = (0, 1, 3, 5, 9)
    models: int = 200
    samples: int = 30
    noise: float = 0.3
    claimed_noise: float = 1.0
    shuffle_targets: bool = False


@lab(
    title="Bias and variance, measured",
    question="Why does a model err, and does the sum of the three causes give the error that is measured?",
    presets={"smoke": {}, "laptop": {"models": 2_000}, "full": {"models": 20_000}},
    expectations=[
        expect("gap", at_most=0.1, why="Bias², variance and noise must sum to the error on fresh targets."),
        expect("error", beats_baseline_by=0.2, lower_is_better=True, why="The best degree must beat a constant."),
    ],
    sabotage=[{"claimed_noise": 0.0}, {"shuffle_targets": True}],
)
def decomposition(config: DecompositionConfig, record: Recorder) -> None:
    """Fit polynomials of each degree to many samples of a noisy sine, and split their error.

    The error is measured on fresh noisy targets that no model has seen; the decomposition knows only the predictions,
    the truth and the noise.
    """
    import plotly.graph_objects as go

    rng = np.random.default_rng(config.seed)
    grid = np.linspace(-1, 1, 50)
    truth = np.sin(np.pi * grid)
    rows = []
    for degree in record.progress(config.degrees, label="degrees"):
        predictions = np.empty((config.models, len(grid)))
        for number in range(config.models):
            x = rng.uniform(-1, 1, config.samples)
            y = np.sin(np.pi * x) + config.noise * rng.normal(size=config.samples)
            y = rng.permutation(y) if config.shuffle_targets else y
            predictions[number] = np.polynomial.Polynomial.fit(x, y, degree, domain=[-1, 1])(grid)
        fresh = truth + config.noise * rng.normal(size=predictions.shape)
        parts = bias_variance(predictions, truth, noise=config.claimed_noise * config.noise**2)
        rows.append({"degree": degree, **parts._asdict(), "measured": float(np.mean((predictions - fresh) ** 2))})
    record.table("error by degree", rows)
    plot = go.Figure()
    for name, colour in (("bias_squared", BLUE), ("variance", ORANGE), ("noise", GREEN), ("measured", RED)):
        plot.add_scatter(x=[r["degree"] for r in rows], y=[r[name] for r in rows], name=name, line_color=colour)
    plot.update_xaxes(title="degree")
    plot.update_yaxes(title="mean squared error", type="log")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("error by degree", plot)
    record.baseline("gap", 0.0, "the identity")
    record.result("gap", max(abs(r["measured"] - r["error"]) / r["measured"] for r in rows))
    record.baseline("error", float(np.mean(truth**2) + config.noise**2), "predicting 0, the mean of the sine")
    record.result("error", min(r["measured"] for r in rows))
