"""The lab of regularization: a network that learns photographs by heart, and its cures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, PINK
from groundup.labs import Recorder, expect, lab

COLOURS = {"plain": GREY, "dropout": BLUE, "batch norm": ORANGE, "decay": PINK, "all three": GREEN}


@dataclass(frozen=True)
class OverfitConfig:
    """Settings of the overfitting lab.

    Attributes:
        seed: seed of the pictures that are drawn, the initial weights and the batches.
        pictures: how many to learn from; few are learned by heart.
        judged: how many of the tests' part judge.
        side: height and width to which pictures are averaged.
        hidden: units of each hidden layer.
        layers: hidden layers.
        epochs: passes over the pictures.
        batch: pictures in a step.
        learning_rate: of AdamW.
        rate: share that dropout drops.
        decay: weight decay of "decay"; "all three" takes a third of it.
        norm: whether the cures that normalize do so.
        shuffle_labels: permute the labels of the pictures, which leaves nothing to learn.
    """

    seed: int = 0
    pictures: int = 1000
    judged: int = 2000
    side: int = 8
    hidden: int = 256
    layers: int = 2
    epochs: int = 20
    batch: int = 100
    learning_rate: float = 2e-3
    rate: float = 0.5
    decay: float = 1.0
    norm: bool = True
    shuffle_labels: bool = False


@lab(
    title="CIFAR-10, overfitted and cured",
    question="What does a network that learns by heart lose on new pictures, and which cure gives how much back?",
    data=["cifar10"],
    presets={
        "smoke": {},
        "laptop": {"pictures": 5000, "side": 16, "hidden": 512, "layers": 3, "epochs": 30, "learning_rate": 1e-3},
        "full": {"pictures": 50_000, "judged": 10_000, "side": 32, "hidden": 1024, "layers": 3, "epochs": 60},
    },
    expectations=[
        expect(
            "loss", beats_baseline_by=0.5, lower_is_better=True, why="A cured network is wrong with less conviction."
        ),
        expect("accuracy", at_least=0.33, why="The cures must not keep the network from learning; chance is 0.1."),
        expect("gap", at_most=0.85, why="Of the gap between pictures learned and new ones a cure closes a part."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}, {"rate": 0.0, "decay": 0.0, "norm": False}],
)
def overfit(config: OverfitConfig, record: Recorder) -> None:
    """Train a deep network of dense layers five times: plain, with each of three cures, and with all of them.

    Judged on pictures of the tests' part, by accuracy and by cross-entropy in nats. The baseline is the plain network.
    `gap` is the gap of the cured network's accuracy, between the pictures that it learned and those that are new, as a
    share of the plain one's: a symptom, and no measure of quality.
    """
    import plotly.graph_objects as go
    import torch

    from groundup.data import load
    from groundup.stack.deep.regularization import decay_groups, deep_mlp

    torch.set_num_threads(1)  # matrices this small are slower on two
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    data = load("cifar10")
    learned = rng.permutation(np.flatnonzero(~data["test"]))[: config.pictures]
    judged = rng.permutation(np.flatnonzero(data["test"]))[: config.judged]
    X, X_judged = (_rows(data["pixels"][rows], config.side) for rows in (learned, judged))
    labels = rng.permutation(data["label"][learned]) if config.shuffle_labels else data["label"][learned]
    y, y_judged = torch.from_numpy(labels), torch.from_numpy(data["label"][judged])
    plans = {
        "plain": (False, 0.0, 0.0),
        "dropout": (False, config.rate, 0.0),
        "batch norm": (config.norm, 0.0, 0.0),
        "decay": (False, 0.0, config.decay),
        "all three": (config.norm, config.rate, config.decay / 3),
    }
    sizes = (X.shape[1], *[config.hidden] * config.layers, 10)
    rows, plot, gaps = [], go.Figure(), {}
    for name in record.progress(list(plans), label="networks"):
        norm, rate, strength = plans[name]
        network = deep_mlp(sizes, norm, rate)
        optimizer = torch.optim.AdamW(decay_groups(network, strength), lr=config.learning_rate)
        curve = [_train(network, optimizer, X, y, config.batch, X_judged, y_judged) for _ in range(config.epochs)]
        for epoch, loss in enumerate(curve, 1):
            record.metric(f"loss on new pictures, {name}", loss, step=epoch)
        loss, accuracy = _judge(network, X_judged, y_judged)
        gaps[name] = _judge(network, X, y)[1] - accuracy
        rows.append(
            {"network": name, "accuracy": round(accuracy, 3), "loss": round(loss, 2), "gap": round(gaps[name], 2)}
        )
        for key, value in (("loss", loss), ("accuracy", accuracy)):
            if name == "plain":
                record.baseline(key, value, "the plain network, trained as long")
            elif name == "all three":
                record.result(key, value)
        plot.add_scatter(x=list(range(1, len(curve) + 1)), y=curve, name=name, line_color=COLOURS[name])
    record.result("gap", gaps["all three"] / gaps["plain"] if gaps["plain"] > 0 else 1.0)
    record.table("networks", rows)
    plot.update_xaxes(title="epoch")
    plot.update_yaxes(title="cross-entropy on new pictures (nats)")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("by heart", plot)


def _rows(pixels: np.ndarray, side: int) -> Any:
    """Pixels from -1 to 1, averaged to a smaller side, a row for each picture."""
    import torch

    blocks = pixels.reshape(len(pixels), side, 32 // side, side, 32 // side, 3).mean(axis=(2, 4))
    return torch.from_numpy((blocks / 127.5 - 1).reshape(len(pixels), -1).astype(np.float32))


def _train(network: Any, optimizer: Any, X: Any, y: Any, batch: int, X_judged: Any, y_judged: Any) -> float:
    """One epoch in training mode; return the loss on the judged pictures, in eval mode."""
    import torch

    network.train()
    for rows in torch.randperm(len(X)).split(batch):
        if len(rows) > 1:  # batch normalization needs two
            loss = torch.nn.functional.cross_entropy(network(X[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return _judge(network, X_judged, y_judged)[0]


def _judge(network: Any, X: Any, y: Any) -> tuple[float, float]:
    """Cross-entropy and accuracy in eval mode."""
    import torch

    network.eval()
    with torch.no_grad():
        logits = network(X)
    loss = float(torch.nn.functional.cross_entropy(logits, y))
    return loss, float((logits.argmax(dim=1) == y).float().mean())
