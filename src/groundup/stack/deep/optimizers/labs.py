"""Lab of optimizers: a battle on MNIST, in one plot, and the same at a hundredth of the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.drawing import COLOURS, LEGEND_BELOW
from groundup.labs import Recorder, expect, lab
from groundup.stack.deep.optimizers import SGD, Adam, AdamW, RMSProp, WarmupCosine, clip_gradients, decay_groups

RULES: dict[str, Any] = {  # the rate in the middle of those that are tried, and the optimizer
    "SGD": (0.1, lambda model, rate, momentum: SGD(model.parameters(), rate)),
    "momentum": (0.03, lambda model, rate, momentum: SGD(model.parameters(), rate, momentum)),
    "RMSProp": (0.001, lambda model, rate, momentum: RMSProp(model.parameters(), rate)),
    "Adam": (0.003, lambda model, rate, momentum: Adam(model.parameters(), rate)),
    "AdamW": (0.003, lambda model, rate, momentum: AdamW(decay_groups(model, 0.1), rate)),
}


@dataclass(frozen=True)
class BattleConfig:
    """Settings of the battle.

    Attributes:
        seed: seed of the split, the scales, the initial weights and the shuffles.
        examples: digits that train.
        batch: digits in a batch.
        hidden: units of the hidden layer.
        trial: epochs in which each optimizer tries a rate.
        rates: how many rates it tries, in steps of a factor of 3.
        epochs: of the battle itself.
        scale: times the loss, in the second battle.
        momentum: of the racer with that name.
        factor: times the rates of all; 0 lets nobody move.
        shuffle_labels: permute the labels that train.
    """

    seed: int = 0
    examples: int = 2000
    batch: int = 40
    hidden: int = 48
    trial: int = 1
    rates: int = 3
    epochs: int = 4
    scale: float = 0.01
    momentum: float = 0.9
    factor: float = 1.0
    shuffle_labels: bool = False


@lab(
    title="Convergence battle",
    question="Which optimizer brings the loss of an MNIST network down soonest, each at its best rate?",
    data=["mnist_5k"],
    presets={
        "smoke": {},
        "laptop": {"examples": 4000, "hidden": 128, "trial": 3, "rates": 5, "epochs": 15},
        "full": {"examples": 4000, "hidden": 512, "trial": 5, "rates": 7, "epochs": 40},
    },
    expectations=[
        expect("momentum_first_epoch", beats_baseline_by=0.1, lower_is_better=True, why="Momentum takes longer steps."),
        expect("adam_rescaled", beats_baseline_by=0.5, lower_is_better=True, why="Adam divides the scale away."),
        expect("test_accuracy", beats_baseline_by=0.04, why="The network must read digits better than mean images."),
    ],
    sabotage=[{"momentum": 0.0}, {"factor": 0.0}, {"shuffle_labels": True}],
)
def battle(config: BattleConfig, record: Recorder) -> None:
    """Train one network with five optimizers, from the same weights and with the same shuffles.

    Each first tries its rates for `trial` epochs, and takes the one with the lowest validation loss. Then the loss is
    multiplied by `scale`, as by a change of units or from sum to mean, and each trains again at the same rate. AdamW
    trains once more at twice its rate with warmup, cosine and clipping. The optimizer with the lowest validation loss
    at the end is judged on the test, once. Momentum's baseline is SGD at momentum's rate; that of Adam at the smaller
    loss is SGD there.
    """
    import plotly.graph_objects as go
    import torch

    torch.set_num_threads(1)  # matrices this small are slower on two
    parts, means = digits(config)
    rows, plot, ends, epochs = [], go.Figure(), {}, list(range(1, config.epochs + 1))
    for (name, (middle, make)), colour in record.progress(
        zip(RULES.items(), COLOURS, strict=False), total=len(RULES), label="optimizers"
    ):
        tried = [middle * 3.0**power for power in range(-(config.rates // 2), config.rates // 2 + 1)]
        trials = [train(config, make, rate, parts, config.trial)[0][-1] for rate in tried]
        rate = tried[int(np.argmin(np.nan_to_num(trials, nan=np.inf)))]
        curve, model = train(config, make, rate, parts, config.epochs)
        rescaled, _ = train(config, make, rate, parts, config.epochs, scale=config.scale)
        ends[name] = (curve, rescaled, rate, model)
        results = {"epoch 1": curve[0], "end": curve[-1], f"end, loss times {config.scale}": rescaled[-1]}
        rows.append({"optimizer": name, "rate": round(rate, 6), **results})
        plot.add_scatter(x=epochs, y=curve, name=name, line_color=colour)
    adamw = RULES["AdamW"][1]
    scheduled, model = train(config, adamw, ends["AdamW"][2] * 2, parts, config.epochs, schedule=True)
    rows.append(
        {
            "optimizer": "AdamW, cosine",
            "rate": round(ends["AdamW"][2] * 2, 6),
            "epoch 1": scheduled[0],
            "end": scheduled[-1],
        }
    )
    plot.add_scatter(x=epochs, y=scheduled, name="AdamW, cosine", line={"color": COLOURS[5], "dash": "dash"})
    same_rate, _ = train(config, RULES["SGD"][1], ends["momentum"][2], parts, 1)
    record.table("validation loss", rows)
    plot.update_xaxes(title="epoch", dtick=1 if config.epochs < 12 else None)
    plot.update_yaxes(title="validation loss", type="log")
    plot.update_layout(legend=LEGEND_BELOW)
    record.figure("loss over epochs", plot)
    record.baseline("momentum_first_epoch", same_rate[0], "SGD at momentum's rate")
    record.result("momentum_first_epoch", ends["momentum"][0][0])
    record.baseline("adam_rescaled", ends["SGD"][1][-1], "SGD at the smaller loss, at its best rate of before")
    record.result("adam_rescaled", ends["Adam"][1][-1])
    candidates = [(curve[-1], name, net) for name, (curve, _, _, net) in ends.items()]
    best = min([*candidates, (scheduled[-1], "AdamW, cosine", model)], key=lambda candidate: candidate[0])
    X, y = parts[2]
    nearest = ((X[:, None] - means) ** 2).sum(dim=2).argmin(dim=1)
    record.baseline("test_accuracy", float((nearest == y).float().mean()), "the nearest mean image")
    with torch.no_grad():
        record.result("test_accuracy", float((best[2](X).argmax(dim=1) == y).float().mean()))


def train(
    config: BattleConfig, make: Any, rate: float, parts: Any, epochs: int, scale: float = 1.0, schedule: bool = False
) -> tuple[list[float], Any]:
    """The validation loss after each epoch, and the network."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    torch.manual_seed(config.seed)
    model = nn.Sequential(nn.Linear(28 * 28, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 10))
    optimizer = make(model, rate * config.factor, config.momentum)
    (X, y), (judged, labels), _ = parts
    steps = epochs * -(-len(X) // config.batch)
    cosine = WarmupCosine(optimizer, steps, warmup=steps // 10) if schedule else None
    curve = []
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(config.batch):
            optimizer.zero_grad()
            (scale * cross_entropy(model(X[rows]), y[rows])).backward()
            if cosine:
                clip_gradients(model.parameters(), 1.0)
            optimizer.step()
            if cosine:
                cosine.step()
        with torch.no_grad():
            curve.append(float(cross_entropy(model(judged), labels)))
    return curve, model


def digits(config: BattleConfig) -> tuple[list[tuple[Any, Any]], Any]:
    """Standardised digits that train, choose and judge, each with labels, and the mean image of each digit."""
    import torch

    from groundup.data import load

    data, rng = load("mnist_5k"), np.random.default_rng(config.seed)
    order = rng.permutation(len(data["digit"]))
    rows = (order[1000 : 1000 + config.examples], order[500:1000], order[:500])
    seen = data["pixels"][rows[0]] / 255
    parts = [
        (
            torch.from_numpy((data["pixels"][part].reshape(len(part), -1) / 255 - seen.mean()) / seen.std()).float(),
            torch.from_numpy(data["digit"][part]),
        )
        for part in rows
    ]
    X, y = parts[0]
    means = torch.stack([X[y == digit].mean(dim=0) for digit in range(10)])
    if config.shuffle_labels:
        parts[0] = (X, y[torch.from_numpy(rng.permutation(len(y)))])
    return parts, means
