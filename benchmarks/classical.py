"""Each estimator of `classical` beside scikit-learn's (boosting: XGBoost `hist` and HistGradientBoosting).

Same rows, same settings, one thread. Each model is fitted once in a process of its own, after a small fit that compiles
and loads everything. Times are seconds of the processor, since the machine may be shared. The quality is that on rows
that were not fitted to. Memory is the peak of the process during the fit, beyond its use before: on Linux only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, r2_score

from benchmarks.measure import Figure, seconds

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
SIZES = {
    "linear regression": (100_000, 50),
    "logistic regression": (100_000, 50),
    "tree": (50_000, 30),
    "forest": (50_000, 30),
    "boosting": (200_000, 30),
}
"""Rows that are fitted to, and columns. A fifth as many rows again judge."""
SMOKE = 50
"""Of so many rows a smoke run keeps one, and of so many trees one too, but five."""
WARM = 300


def run(smoke: bool = False) -> Iterator[Figure]:
    """Each estimator beside its peers, then the mean and the largest ratio of times."""
    ratios = {}
    for task, (rows, columns) in SIZES.items():
        size = f"{task}, {rows // (SMOKE if smoke else 1):,} × {columns}"
        ours, *peers = [measured(task, number, smoke) for number in range(len(models(task, smoke)))]
        for peer in peers:
            name = peer["name"]
            for kind in ("fit", "predict"):
                ratios[f"{task}, {kind}, {name}"] = ours[kind] / peer[kind]
                yield Figure(f"{size}: {kind}", ours[kind], "s", 2 * peer[kind], peer[kind], name)
            quality, measure = peer["quality"], "R²" if task == "linear regression" else "accuracy"
            yield Figure(f"{size}: {measure} on unseen rows", ours["quality"], "share", 0.995 * quality, quality, name)
            if ours["memory"] is not None:
                bar = 2 * peer["memory"] + 1  # of less than a megabyte twice as much is nothing
                yield Figure(f"{size}: memory of the fit", ours["memory"], "MB", bar, peer["memory"], name)
    mean = float(np.exp(np.mean(np.log(list(ratios.values())))))
    slowest = max(ratios, key=lambda key: ratios[key])
    yield Figure("geometric mean of all times, theirs / ours", 1 / mean, "×", 1.0)
    yield Figure(f"the slowest beside its peer ({slowest}), theirs / ours", 1 / ratios[slowest], "×", 0.5)


def models(task: str, smoke: bool) -> list[tuple[str, Callable[[], Any]]]:
    """Ours, then the peers, with the same settings."""
    import xgboost
    from sklearn import ensemble, linear_model, tree

    from groundup.stack.classical.boosting import GradientBoostingClassifier
    from groundup.stack.classical.forests import RandomForestClassifier
    from groundup.stack.classical.linear_regression import LinearRegression
    from groundup.stack.classical.logistic_regression import LogisticRegression
    from groundup.stack.classical.trees import DecisionTreeClassifier

    n_trees = 5 if smoke else 100
    boosted = {"learning_rate": 0.1, "max_depth": 6}
    # HistGradientBoosting lets every side of a split have as little curvature, and cannot be told otherwise.
    curvature = {"min_child_weight": 1e-3}
    level_by_level: dict[str, Any] = {"max_leaf_nodes": None, "min_samples_leaf": 1, "early_stopping": False}
    return {
        "linear regression": [
            ("ours", LinearRegression),
            ("scikit-learn", linear_model.LinearRegression),
        ],
        "logistic regression": [
            ("ours", lambda: LogisticRegression(l2=1.0, tol=1e-6)),
            ("scikit-learn", lambda: linear_model.LogisticRegression(C=1.0, tol=1e-6, max_iter=1_000)),
        ],
        "tree": [
            ("ours", lambda: DecisionTreeClassifier(random_state=0)),
            ("scikit-learn", lambda: tree.DecisionTreeClassifier(random_state=0)),
        ],
        "forest": [
            ("ours", lambda: RandomForestClassifier(n_trees, random_state=0)),
            ("scikit-learn", lambda: ensemble.RandomForestClassifier(n_trees, random_state=0)),
        ],
        "boosting": [
            ("ours", lambda: GradientBoostingClassifier(n_trees, max_bins=255, reg_lambda=1.0, **curvature, **boosted)),
            (
                "XGBoost hist",
                lambda: xgboost.XGBClassifier(
                    n_estimators=n_trees,
                    max_bin=255,
                    reg_lambda=1.0,
                    tree_method="hist",
                    n_jobs=1,
                    **curvature,
                    **boosted,
                ),
            ),
            (
                "HistGradientBoosting",
                lambda: ensemble.HistGradientBoostingClassifier(
                    max_iter=n_trees,
                    max_bins=255,
                    l2_regularization=1.0,
                    **level_by_level,
                    **boosted,
                ),
            ),
        ],
    }[task]


def table(task: str, smoke: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Rows and targets, and how many rows are fitted to: a sum of bends, products and noise, or its sign."""
    rows, columns = SIZES[task]
    rows //= SMOKE if smoke else 1
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows + rows // 5, columns))
    y = X @ rng.normal(size=columns) / 4 + rng.normal(size=len(X))
    if task not in ("linear regression", "logistic regression"):
        y += 2 * X[:, 0] * X[:, 1] + 2 * np.sin(2 * X[:, 2]) + (X[:, 4] > 0) * X[:, 5]
    return X, y if task == "linear regression" else (y > 0).astype(int), rows


def measured(task: str, number: int, smoke: bool) -> dict[str, Any]:
    """One model in a process of its own, with one thread."""
    command = [sys.executable, "-m", "benchmarks.classical", task, str(number), str(int(smoke))]
    environment = os.environ | dict.fromkeys(THREADS, "1")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(task: str, number: int, smoke: bool) -> dict[str, Any]:
    """Fit and predict once, and judge; called in the process of the model."""
    name, make = models(task, smoke)[number]
    X, y, rows = table(task, smoke)
    make().fit(X[:WARM], y[:WARM]).predict(X[:WARM])
    before = peak_megabytes(reset=True)
    model = make()
    fit = seconds(lambda: model.fit(X[:rows], y[:rows]), time.process_time)
    after = peak_megabytes()
    answers = []
    predict = seconds(lambda: answers.append(model.predict(X[rows:])), time.process_time)
    memory = None if before is None or after is None else after - before
    score = r2_score if task == "linear regression" else accuracy_score
    quality = float(score(y[rows:], answers[0]))
    return {"name": name, "fit": fit, "predict": predict, "memory": memory, "quality": quality}


def peak_megabytes(reset: bool = False) -> float | None:
    """The most memory that this process has used, since the last reset."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1")))
