"""Labs of error analysis: a planted weak slice and none, and wrong labels among right ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.production.error_analysis import (
    Condition,
    Finding,
    candidate_slices,
    confusions,
    gains,
    measure,
    rows_of,
    slice_scores,
    suspects,
    weak_slices,
    worst_errors,
)

PLANTED = (Condition("scanner", value="C"), Condition("paper", value="lined"))


@dataclass(frozen=True)
class FailuresConfig:
    """Settings of the failures lab.

    Attributes:
        seed: seed of the split, and of what each picture came by.
        shift: pixels by which scanner C moves a picture on lined paper.
        repeats: draws of scanner, paper and minute, each with a search, with the planted slice and without it.
        permutations: deals of a search.
        corrected: correct the p-values for having looked at many slices.
        sample: errors that are sorted into categories.
        block: pixels on a side of which the model sees the mean only.
    """

    seed: int = 0
    shift: int = 3
    repeats: int = 40
    permutations: int = 199
    corrected: bool = True
    sample: int = 60
    block: int = 4


@lab(
    title="A model's failures",
    question="Is a slice found on which a model of digits is weak, and none where there is none?",
    data=["mnist_5k"],
    presets={"smoke": {}, "laptop": {"repeats": 100, "permutations": 499}, "full": {"repeats": 400, "block": 2}},
    expectations=[
        expect(
            "found and confirmed", at_least=0.85, why="The planted slice comes first, and is weak on other rows too."
        ),
        expect("false findings", at_most=0.15, why="Where no slice is weak, one search in twenty may say so."),
        expect("gain kept", at_least=0.5, why="Mending the planted category gains most of its promised ceiling."),
    ],
    sabotage=[{"corrected": False}, {"shift": 0}],
)
def failures(config: FailuresConfig, record: Recorder) -> None:
    """Fit a softmax regression to digits, and study its errors on the 60 percent that it was not fitted to.

    Each picture came by a scanner and on a paper, at some minute, all drawn at random: without a planted failure no
    such slice is weak. With it, scanner C moves pictures on lined paper. One half of the rows is searched, the other
    confirms. Errors of the first half are sorted into categories, and mended for real in the second.
    """
    from groundup.data import load

    rng = np.random.default_rng(config.seed)
    data = load("mnist_5k")
    pixels, digits = data["pixels"] / 255.0, data["digit"]
    parts = rng.permutation(np.arange(len(digits)) % 5)
    fitting = np.flatnonzero(parts < 2)
    judged = np.flatnonzero(parts >= 2)
    model = _softmax(_blocks(pixels[fitting], config.block), digits[fitting])
    plain, moved = (
        model.predict_proba(_blocks(np.roll(pixels[judged], shift, axis=2), config.block))
        for shift in (0, config.shift)
    )
    truth, ink = digits[judged], pixels[judged].mean(axis=(1, 2))
    right, wrong_if_moved = plain.argmax(axis=1) == truth, moved.argmax(axis=1) != truth
    found, false, uncorrected, promised, kept, chance = [], [], [], [], [], []
    rows = []
    for _ in record.progress(range(config.repeats), label="searches"):
        columns = _origin(len(truth), rng)
        planted = rows_of(PLANTED, columns)
        wrong = np.where(planted, wrong_if_moved, ~right)
        first = rng.permutation(len(truth)) < len(truth) // 2
        here, there = ({name: column[half] for name, column in columns.items()} for half in (first, ~first))
        null = _search(config, here, ~right[first], rng)
        false.append(bool(null if config.corrected else _uncorrected(here, ~right[first])))
        uncorrected.append(bool(_uncorrected(here, ~right[first])))
        findings = _search(config, here, wrong[first], rng)
        top = findings[0].slice if findings else ()
        checked = measure(top, there, wrong[~first]) if top else None
        found.append(top == PLANTED and checked is not None and checked.low > checked.rest)
        chance.append(1 / len(candidate_slices(here, least=20)))
        if findings and checked:
            name = " and ".join(map(str, top))
            rows.append({"slice": name, "found at": findings[0].measured.rate, "confirmed at": checked.rate})
        errors = np.flatnonzero(first & wrong)
        errors = rng.permutation(errors)[: config.sample]
        tags = [_tags(bool(planted[row]), ink[row] < np.quantile(ink, 0.25)) for row in errors]
        category = next((c for c in gains(tags, float(wrong[first].mean())) if c.name == "moved"), None)
        promised.append(category.gain if category else 0.0)
        kept.append(wrong[~first].mean() - (~right)[~first].mean())
    record.table("first findings", rows)
    pairs = confusions(truth, plain.argmax(axis=1))[:10]
    record.table(
        "confusions", [{name: getattr(c, name) for name in ("true", "predicted", "errors", "back")} for c in pairs]
    )
    worst = worst_errors(truth, plain)
    record.table(
        "the ten worst errors",
        [{"row": int(judged[r]), "digit": int(truth[r]), "taken for": int(plain[r].argmax())} for r in worst],
    )
    record.baseline("found and confirmed", float(np.mean(chance)), "a slice drawn at random")
    record.result("found and confirmed", float(np.mean(found)))
    record.baseline("false findings", float(np.mean(uncorrected)), "p-values without a correction")
    record.result("false findings", float(np.mean(false)))
    record.result("gain kept", float(np.sum(kept) / max(np.sum(promised), 1e-9)))
    record.result("error rate", float((~right).mean()))


@dataclass(frozen=True)
class LabelsConfig:
    """Settings of the labels lab.

    Attributes:
        seed: seed of the folds and of the labels that are changed.
        noise: share of labels that are changed to another class.
        block: pixels on a side of which the model sees the mean only.
        shuffle_labels: fit the model to permuted labels, which leaves nothing to learn.
    """

    seed: int = 0
    noise: float = 0.05
    block: int = 4
    shuffle_labels: bool = False


@lab(
    title="Wrong labels",
    question="Of labels that were changed on purpose, how many stand among the first suspects?",
    data=["mnist_5k"],
    presets={"smoke": {}, "laptop": {"block": 2}, "full": {"block": 2, "noise": 0.02}},
    expectations=[
        expect("precision", beats_baseline_by=0.2, why="The ranking must beat any row on which model and label differ.")
    ],
    sabotage=[{"shuffle_labels": True}],
)
def labels(config: LabelsConfig, record: Recorder) -> None:
    """Change labels of digits, fit on one half what judges the other and the reverse, and rank the suspects.

    As many suspects are looked at as labels were changed. The baseline is a row drawn from those that the model
    predicts otherwise.
    """
    from groundup.data import load

    rng = np.random.default_rng(config.seed)
    data = load("mnist_5k")
    X, truth = _blocks(data["pixels"] / 255.0, config.block), data["digit"]
    changed = rng.random(len(truth)) < config.noise
    given = np.where(changed, (truth + rng.integers(1, 10, len(truth))) % 10, truth)
    fold = rng.permutation(len(truth)) % 2
    chances = np.zeros((len(truth), 10))
    for k in range(2):
        known = given[fold != k]
        model = _softmax(X[fold != k], rng.permutation(known) if config.shuffle_labels else known)
        chances[fold == k] = model.predict_proba(X[fold == k])
    first = suspects(given, chances)[: changed.sum()]
    record.table("first suspects", [{**s._asdict(), "changed": bool(changed[s.row])} for s in first[:10]])
    record.baseline("precision", float(changed[chances.argmax(axis=1) != given].mean()), "a row predicted otherwise")
    record.result("precision", float(np.mean([changed[s.row] for s in first])))


def _softmax(X: np.ndarray, y: np.ndarray):
    from groundup.stack.classical.logistic_regression import SoftmaxRegression

    return SoftmaxRegression(l2=1.0, learning_rate=1.0, tol=3e-3, max_iter=3_000).fit(X, y)


def _blocks(pixels: np.ndarray, block: int) -> np.ndarray:
    side = 28 // block
    return pixels.reshape(-1, side, block, side, block).mean(axis=(2, 4)).reshape(-1, side * side)


def _origin(count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """How each picture came in, which has nothing to do with what it shows."""
    return {
        "scanner": rng.choice(list("ABCDE"), count),
        "paper": rng.choice(["plain", "lined", "squared"], count),
        "minute": rng.integers(0, 600, count),
    }


def _search(config: FailuresConfig, columns: dict, wrong: np.ndarray, rng: np.random.Generator) -> list[Finding]:
    return weak_slices(columns, wrong, rng, least=20, permutations=config.permutations)


def _uncorrected(columns: dict, wrong: np.ndarray) -> bool:
    """Whether any slice lies beyond the normal quantile of a single test at 5 percent."""
    members = np.array([rows_of(each, columns) for each in candidate_slices(columns, least=20)], dtype=float)
    scores = slice_scores(members, wrong.astype(float))
    return bool((scores / np.sqrt(wrong.mean() * (1 - wrong.mean()) / (len(wrong) - 1)) > 1.645).any())


def _tags(planted: bool, thin: bool) -> list[str]:
    return [name for name, holds in (("moved", planted), ("thin", thin)) if holds] or ["other"]
