"""Labs of training: MNIST, a run that is killed, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from groundup.drawing import BLUE, COLOURS, GREY, LEGEND_BELOW, ORANGE
from groundup.labs import Recorder, expect, lab

PARTS = ("chance", "shuffle", "optimizer")


@dataclass(frozen=True)
class DigitsConfig:
    """Settings of both labs.

    Attributes:
        seed: seed of the split, the initial weights, the shuffles and dropout.
        examples: digits that train.
        epochs: passes over them.
        hidden: units of the hidden layer.
        dropout: share of them that is dropped in training.
        learning_rate: step size of gradient descent with a momentum of 0.9.
        patience: epochs without a new best after which the training ends; with 0 it goes to the end.
        device: "auto", or where to train.
        shuffle_labels: permute the labels that train, which leaves nothing to learn.
    """

    seed: int = 0
    examples: int = 4000
    epochs: int = 4
    hidden: int = 64
    dropout: float = 0.2
    learning_rate: float = 0.01
    patience: int = 0
    device: str = "cpu"
    shuffle_labels: bool = False


@lab(
    title="MNIST, and a run that is killed",
    question="How many digits does a small network read, and which part of a checkpoint does a resumed curve need?",
    data=["mnist_5k"],
    presets={
        "smoke": {},
        "laptop": {"epochs": 20, "hidden": 256, "device": "auto"},
        "full": {"epochs": 60, "hidden": 1024, "dropout": 0.5, "device": "auto"},
    },
    expectations=[
        expect("test_accuracy", beats_baseline_by=0.07, why="Strokes say more than a mean image."),
        expect("resumed", at_most=0.0, why="A run that was killed has the curve of one that was not, bit for bit."),
        expect("least_part", at_least=1e-6, why="Without any one of its parts, a checkpoint gives another curve."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}],
)
def digits(config: DigitsConfig, record: Recorder) -> None:
    """Train on MNIST digits, stop halfway and go on from the checkpoint, whole and without each of its parts.

    500 digits judge epochs, and 500 others the best epoch, once. The baseline is the nearest mean image. A part that is
    left out is put to what a fresh process has. What is compared is the validation loss of each epoch.
    """
    import plotly.graph_objects as go
    import torch

    from groundup.stack.deep.training import describe_device, evaluate, fit, pick_device

    torch.set_num_threads(1)  # matrices this small are slower on two
    device = pick_device(config.device)
    training, test = prepare(config)
    curves = {"never killed": [line["judged_loss"] for line in fit(training, config.epochs, device)]}
    score = evaluate(training.model, test, training.loss_function, device)
    train: Any = training.batches.dataset
    record.baseline("test_accuracy", nearest_mean(train, test.dataset), "the nearest mean image")
    record.result("test_accuracy", score.accuracy)

    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.pt"
        fit(prepare(config)[0], config.epochs // 2, device, path)
        state = torch.load(path, weights_only=True)
        for part in record.progress(("nothing", *PARTS), label="resumed without"):
            again, _ = prepare(config)
            fresh = {
                "chance": torch.get_rng_state(),
                "shuffle": torch.Generator().manual_seed(config.seed).get_state(),
                "optimizer": again.optimizer.state_dict(),
            }
            torch.save({**state, **({part: fresh[part]} if part in fresh else {})}, path)
            curves[f"without {part}"] = [line["judged_loss"] for line in fit(again, config.epochs, device, path)]
    straight = curves["never killed"]
    gaps = {name: max(abs(a - b) for a, b in zip(curve, straight, strict=True)) for name, curve in curves.items()}
    record.result("resumed", gaps["without nothing"])
    record.result("least_part", min(gaps[f"without {part}"] for part in PARTS))
    record.table(
        "largest gap to the run that was never killed", [{"run": name, "gap": gap} for name, gap in gaps.items()]
    )
    record.table("test", [{"device": describe_device(device), "loss": score.loss, "accuracy": score.accuracy}])
    plot = go.Figure()
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
        plot.add_scatter(x=list(range(1, len(curve) + 1)), y=curve, name=name, line_color=colour)
    plot.update_xaxes(title="epoch")
    plot.update_yaxes(title="validation loss")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("resumed curves", plot)


@lab(
    title="When to stop",
    question="What does early stopping save, in loss and in epochs, when examples are few?",
    data=["mnist_5k"],
    presets={
        "smoke": {"examples": 300, "epochs": 60, "dropout": 0.0, "patience": 10},
        "laptop": {"examples": 300, "epochs": 300, "dropout": 0.0, "patience": 10, "hidden": 256},
        "full": {"examples": 1000, "epochs": 1000, "dropout": 0.0, "patience": 20, "hidden": 1024},
    },
    expectations=[
        expect("test_loss", beats_baseline_by=0.03, lower_is_better=True, why="Later epochs learn by heart."),
        expect("share_of_epochs", at_most=0.75, why="It stops well before the end."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"patience": 0}],
)
def stopping(config: DigitsConfig, record: Recorder) -> None:
    """Train on few digits, to the end and with early stopping, from the same weights and with the same shuffles.

    The baseline is the test loss after the last epoch. Test digits are looked at once by each of the two.
    """
    import plotly.graph_objects as go
    import torch

    from groundup.stack.deep.training import evaluate, fit, pick_device

    torch.set_num_threads(1)
    device = pick_device(config.device)
    endless, test = prepare(replace(config, patience=0), last=True)
    whole = fit(endless, config.epochs, device)
    last = evaluate(endless.model, test, endless.loss_function, device)
    early, _ = prepare(config, last=config.patience == 0)
    history = fit(early, config.epochs, device)
    best = evaluate(early.model, test, early.loss_function, device)
    record.baseline("test_loss", last.loss, "the weights of the last epoch")
    record.result("test_loss", best.loss)
    record.result("share_of_epochs", len(history) / config.epochs)
    rows = [("to the end", whole, last), ("early stopping", history, best)]
    record.table(
        "runs",
        [{"run": name, "epochs": len(h), "test loss": s.loss, "test accuracy": s.accuracy} for name, h, s in rows],
    )
    plot, epochs = go.Figure(), list(range(1, len(whole) + 1))
    plot.add_scatter(x=epochs, y=[line["loss"] for line in whole], name="training", line_color=ORANGE)
    plot.add_scatter(x=epochs, y=[line["judged_loss"] for line in whole], name="validation", line_color=BLUE)
    plot.add_vline(x=len(history), line={"color": GREY, "dash": "dash"}, annotation_text="stopped")
    plot.update_xaxes(title="epoch")
    plot.update_yaxes(title="loss")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("two curves", plot)


def prepare(config: DigitsConfig, last: bool = False) -> tuple[Any, Any]:
    """A training as its first process has it, and the batches of the test. With `last`, the last weights stay."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader

    from groundup.data import load
    from groundup.stack.deep.training import EarlyStopping, Images, Training

    data, rng = load("mnist_5k"), np.random.default_rng(config.seed)
    order = rng.permutation(len(data["digit"]))
    test, judged, train = order[:500], order[500:1000], order[1000 : 1000 + config.examples]
    seen = data["pixels"][train] / 255
    images = [
        Images(data["pixels"][rows], data["digit"][rows], seen.mean(), seen.std()) for rows in (train, judged, test)
    ]
    if config.shuffle_labels:
        images[0].labels = rng.permutation(images[0].labels)
    torch.manual_seed(config.seed)
    layers = (nn.Linear(28 * 28, config.hidden), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(config.hidden, 10))
    model = nn.Sequential(nn.Flatten(), *layers)
    optimizer = torch.optim.SGD(model.parameters(), config.learning_rate, momentum=0.9)
    shuffle = torch.Generator().manual_seed(config.seed)
    batches = DataLoader(images[0], 32, shuffle=True, generator=shuffle)
    stop = EarlyStopping(config.patience or config.epochs + 1, math.inf if last else 0.0)  # by inf, none is a new best
    return Training(model, optimizer, batches, DataLoader(images[1], 500), stop), DataLoader(images[2], 500)


def nearest_mean(train: Any, test: Any) -> float:
    """The share of test images whose nearest mean image is that of their digit."""
    means = np.stack([train.pixels[train.labels == digit].mean(axis=0) for digit in range(10)])
    far = ((test.pixels[:, None] - means) ** 2).sum(axis=(2, 3))
    return float((far.argmin(axis=1) == test.labels).mean())
