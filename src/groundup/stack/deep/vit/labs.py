"""The lab of the vision transformer: CIFAR-10 in patches, against filters, with few pictures and with more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.labs import Recorder, expect, lab


@dataclass(frozen=True)
class PatchesConfig:
    """Settings of the lab of patches.

    Attributes:
        seed: seed of the pictures that are drawn, the initial weights and the batches.
        pictures: how many to learn from at most.
        fewer: the smaller number to learn from.
        judged: how many of the tests' part judge.
        side: height and width to which pictures are averaged; 32 leaves them as they are.
        patch: height and width of a patch.
        dim: size of a token's vector.
        layers: encoder blocks.
        heads: of attention.
        filters: of the convolutional network's first layer; its second has twice as many.
        steps: of each training, whatever the number of pictures.
        batch: pictures in a step.
        learning_rate: the highest of a one-cycle schedule of AdamW.
        shuffle_labels: permute the labels of the pictures, which leaves nothing to learn.
    """

    seed: int = 0
    pictures: int = 2000
    fewer: int = 200
    judged: int = 1500
    side: int = 16
    patch: int = 4
    dim: int = 32
    layers: int = 2
    heads: int = 2
    filters: int = 8
    steps: int = 80
    batch: int = 64
    learning_rate: float = 5e-3
    shuffle_labels: bool = False


@lab(
    title="CIFAR-10 in patches",
    question="What does a vision transformer make of few pictures, and how far ahead is a network of filters?",
    data=["cifar10"],
    presets={
        "smoke": {},
        "laptop": {
            "pictures": 5000,
            "side": 32,
            "dim": 96,
            "layers": 4,
            "filters": 24,
            "steps": 2000,
            "learning_rate": 1e-3,
        },
        "full": {
            "pictures": 50_000,
            "fewer": 5000,
            "judged": 10_000,
            "side": 32,
            "dim": 192,
            "layers": 6,
            "filters": 64,
            "steps": 20_000,
            "learning_rate": 1e-3,
        },
    },
    expectations=[
        expect("accuracy", beats_baseline_by=0.1, why="Patches and attention are enough to learn from pictures."),
        expect(
            "lead of filters", at_least=0.02, why="With few pictures it pays to assume that neighbours belong together."
        ),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}],
)
def patches(config: PatchesConfig, record: Recorder) -> None:
    """Train both networks on few and on more photographs, for as many steps, and judge on those of the tests' part.

    The baseline answers with the most frequent class of the training pictures.
    """
    import torch

    from groundup.data import load
    from groundup.stack.deep.convolution import pool2d, small_cnn
    from groundup.stack.deep.vit import VisionTransformer, attention_distance

    torch.set_num_threads(1)  # matrices this small are slower on two
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    data = load("cifar10")
    learned = rng.permutation(np.flatnonzero(~data["test"]))[: config.pictures]
    judged = rng.permutation(np.flatnonzero(data["test"]))[: config.judged]

    def images(rows: np.ndarray) -> Any:
        pixels = torch.tensor(data["pixels"][rows]).permute(0, 3, 1, 2).float() / 127.5 - 1
        return pool2d(pixels, pixels.shape[2] // config.side, kind="average")

    labels = data["label"][learned]
    y = torch.tensor(rng.permutation(labels) if config.shuffle_labels else labels)
    X, X_judged, y_judged = images(learned), images(judged), torch.tensor(data["label"][judged])

    def patchwise() -> Any:
        return VisionTransformer(config.side, config.patch, config.dim, config.layers, config.heads, 10)

    def filterwise() -> Any:
        return small_cnn((3, config.filters, 2 * config.filters), config.side, 10)

    networks, results, rows, heads = {"patches": patchwise, "filters": filterwise}, {}, [], []
    plans = [(name, count) for count in (config.fewer, len(X)) for name in networks]
    for name, count in record.progress(plans, label="networks"):
        network = networks[name]()
        losses = _train(network, X[:count], y[:count], config)
        for step, loss in enumerate(losses, 1):
            record.metric(f"training loss, {name}, {count}", loss, step=10 * step)
        with torch.no_grad():
            predicted = torch.cat([network.eval()(part).argmax(dim=1) for part in X_judged.split(500)])
        results[name, count] = float((predicted == y_judged).float().mean())
        rows.append({"network": name, "pictures": count, "accuracy": round(results[name, count], 3)})
        if name == "patches":
            distances = attention_distance(network.attention(X_judged[:50]), config.side // config.patch)
            heads = [
                {"layer": layer, "head": head, "patches away": round(float(distance), 2)}
                for layer, row in enumerate(distances, 1)
                for head, distance in enumerate(row, 1)
            ]
    record.table("accuracy", rows)
    record.table("how far heads look", heads)
    usual = y_judged == int(np.bincount(labels).argmax())
    record.baseline("accuracy", float(usual.float().mean()), "the most frequent class")
    record.result("accuracy", results["patches", len(X)])
    record.result("lead of filters", results["filters", len(X)] - results["patches", len(X)])


def _train(network: Any, X: Any, y: Any, config: PatchesConfig) -> list[float]:
    """Train for the steps of the settings; return the mean loss of each ten steps."""
    import torch

    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=config.steps)
    losses, order = [], torch.zeros(0, dtype=torch.int64)
    for _ in range(config.steps):
        if len(order) < config.batch:
            order = torch.cat((order, torch.randperm(len(X))))
        rows, order = order[: config.batch], order[config.batch :]
        loss = torch.nn.functional.cross_entropy(network(X[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return [float(np.mean(losses[start : start + 10])) for start in range(0, len(losses), 10)]
