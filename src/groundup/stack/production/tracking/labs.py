"""Lab of tracking: a sweep of training runs of which a third crash, and what is left of it."""

from __future__ import annotations

import contextlib
import pickle
import tempfile
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from groundup.labs import Recorder, expect, lab
from groundup.stack.production.tracking import DATA, PROCESS, Registry, Run, Tracker, best


def train(
    run: Run, settings: dict[str, Any], data: dict[str, Any], epochs: int, stop: int | None, at_once: bool
) -> int:
    """Train a network and log it: settings first, loss and accuracy of each epoch, and the best model so far.

    Args:
        run: the run.
        settings: parameters.
        data: pixels and digits to fit, and to validate by.
        epochs: how many there are.
        stop: the epoch in which the memory is used up; None if it never is.
        at_once: write each epoch when it ends, or all at the end.

    Returns:
        How many epochs ended.
    """
    from sklearn.neural_network import MLPClassifier

    for name, value in settings.items():
        run.log_param(name, value)
    model = MLPClassifier(
        (settings["width"],),
        solver="sgd",
        learning_rate_init=settings["learning_rate"],
        batch_size=settings["batch_size"],
        random_state=settings["seed"],
    )
    file, curve = run.folder.with_name(f"{run.id}.pickle"), []
    for epoch in range(epochs):
        if epoch == stop:
            return epoch
        model.partial_fit(*data["fit"], classes=np.arange(10))
        curve.append((epoch, float(model.loss_), float(model.score(*data["validate"]))))
        file.write_bytes(pickle.dumps(model))
        if at_once or epoch == epochs - 1:
            for step, loss, accuracy in curve[-1:] if at_once else curve:
                run.log_metric("loss", loss, step)
                run.log_metric("accuracy", accuracy, step)
            if run.keep_best("accuracy", file):
                run.log_metric("kept accuracy", curve[-1][2], epoch)
    return epochs


@dataclass(frozen=True)
class SweepConfig:
    """Settings of the sweep lab.

    Attributes:
        seed: seed of the split, of the settings that are tried, and of the crashes.
        runs: training runs.
        epochs: of a run that does not crash.
        crashes: share of the runs that crash; every second of these without a word, as after kill -9.
        at_once: values are written when an epoch ends, or all of them at the end of a run.
        mode: of the accuracy by which a version overtakes.
    """

    seed: int = 0
    runs: int = 12
    epochs: int = 10
    crashes: float = 0.34
    at_once: bool = True
    mode: Literal["max", "min"] = "max"


@lab(
    title="A sweep that crashes",
    question="What is left of a sweep of which a third of the runs crash, and is its best model the one in use?",
    data=["mnist_5k"],
    presets={"smoke": {}, "laptop": {"runs": 24, "epochs": 20}, "full": {"runs": 60, "epochs": 40}},
    expectations=[
        expect("epochs kept", at_least=1.0, why="A value is on the disk before the next epoch begins."),
        expect("epochs kept", beats_baseline_by=0.05, why="A script that writes at its end keeps no crashed run."),
        expect("ends known", at_least=1.0, why="Failed, killed, and gone without a word are told apart."),
        expect("ends known", beats_baseline_by=0.2, why="A list of results says nothing of runs that are missing."),
        expect("test accuracy", beats_baseline_by=0.03, why="The champion is better than a run at random."),
    ],
    sabotage=[{"at_once": False}, {"crashes": 0.0}, {"mode": "min"}],
)
def sweep(config: SweepConfig, record: Recorder) -> None:
    """Try settings of a small network on digits; a third of the runs crash at an epoch drawn at random.

    `epochs kept` is the share of the epochs that were reached whose accuracy is in the store afterwards, `ends known`
    the share of runs whose status is what happened. Then each finished run is registered, and asks to be champion, by
    its validation accuracy. The champion is opened and judged once, on digits of which no run has seen any.
    """
    from groundup.data import load

    rng, digits = np.random.default_rng(config.seed), load("mnist_5k")
    pixels = digits["pixels"].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(-1, 196) / 255
    rows = rng.permutation(len(pixels))[:3000]
    ends = [2 * len(rows) // 5, 2 * len(rows) // 3]
    parts = dict(zip(("fit", "validate", "test"), np.split(rows, ends), strict=True))
    data = {name: (pixels[part], digits["digit"][part]) for name, part in parts.items()}
    crashed = rng.permutation(config.runs)[: round(config.crashes * config.runs)].tolist()
    happened, reached, ended, scores = {}, 0, 0, []
    with tempfile.TemporaryDirectory() as place:
        tracker = Tracker(place)
        for number in record.progress(range(config.runs), label="runs"):
            settings: dict[str, Any] = {"seed": number, "width": int(rng.choice([8, 16, 32]))}
            settings |= {"learning_rate": float(10 ** rng.uniform(-3, -0.7)), "batch_size": int(rng.choice([16, 64]))}
            stop = int(rng.integers(1, config.epochs)) if number in crashed else None
            run, silent = tracker.start("digits"), number in crashed[::2]
            run.set_tag(DATA, f"mnist_5k split {config.seed}")
            if silent:
                run.set_tag(PROCESS, "1 0.5")  # a process that is no more
            with contextlib.suppress(MemoryError), contextlib.nullcontext() if silent else run:
                epochs = train(run, settings, data, config.epochs, stop, config.at_once)
                reached += epochs
                if stop is not None:
                    raise MemoryError
                ended += epochs
            happened[run.id] = "KILLED" if silent else "FAILED" if stop is not None else "FINISHED"
        tracker.reap()
        runs = tracker.search("", "digits")
        kept = sum(len(tracker.run(one.id).history("accuracy")) for one in runs if "accuracy" in one.metrics)
        record.baseline("epochs kept", ended / reached, "curves are written at the end of a run")
        record.result("epochs kept", kept / reached)
        record.baseline("ends known", np.mean([end == "FINISHED" for end in happened.values()]), "all are finished")
        record.result("ends known", np.mean([one.status == happened[one.id] for one in runs]))
        registry = Registry(tracker)
        for one in tracker.search("attributes.status = 'FINISHED' and tags.best != ''", "digits"):
            run = tracker.run(one.id)
            version = registry.register("digits", run, one.tags["best"])
            problem = registry.promote("digits", version, "kept accuracy", margin=0.002, mode=config.mode)
            accuracy = one.metrics["kept accuracy"]
            record.note(f"version {version}: {problem or 'takes over'}, validation accuracy {accuracy:.3f}")
            model = pickle.loads((run.folder / "artifacts" / one.tags["best"]).read_bytes())
            scores.append(model.score(*data["test"]))
        record.table("tied best", [one.params for one in best(runs, "kept accuracy", within=0.005)])
        champion = pickle.loads(registry.open("digits"))
    record.baseline("test accuracy", np.mean(scores), "a version drawn at random")
    record.result("test accuracy", champion.score(*data["test"]))
