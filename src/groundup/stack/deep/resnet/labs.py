"""The lab of resnet: few pictures of malware, and a network that was trained on something else first."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from groundup.labs import Recorder, expect, lab


@dataclass(frozen=True)
class MalwareConfig:
    """Settings of the malware lab.

    Attributes:
        seed: seed of the drawn bands, the splits and the initial weights.
        bands: drawn pictures to train on first.
        epochs: passes over them.
        width: channels of the first stage.
        splits: how often the pictures are divided anew.
        few: pictures of each class to learn from, in each split.
        judged: at most so many of the others judge.
        steps: of the head alone; half as many follow with the last stage released. A fresh network has as many in all.
        learning_rate: of the head; a third of it for training from scratch and on the bands.
        shuffle_labels: permute the labels of the few, which leaves nothing to learn.
    """

    seed: int = 0
    bands: int = 640
    epochs: int = 4
    width: int = 8
    splits: int = 6
    few: int = 3
    judged: int = 100
    steps: int = 10
    learning_rate: float = 2e-2
    shuffle_labels: bool = False


@lab(
    title="Malware as pictures",
    question="With six pictures and fifteen steps, is a network trained on something else ahead of a fresh one?",
    data=["malware_images"],
    presets={
        "smoke": {},
        "laptop": {"bands": 4000, "width": 16, "splits": 20, "judged": 500},
        "full": {"bands": 20_000, "epochs": 10, "width": 32, "splits": 40, "judged": 500},
    },
    expectations=[
        expect(
            "accuracy", beats_baseline_by=0.03, why="Filters for textures are there already, and the head is small."
        ),
        expect("accuracy", at_least=0.64, why="A coin is right on half of them."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}],
)
def malware(config: MalwareConfig, record: Recorder) -> None:
    """Train on drawn bands of six textures, move to pictures of programs: the head first, then the last stage too.

    Half of the programs are malware; each picture shows a program's bytes. The baseline is the same network from
    scratch, with as many steps. Beside both: four times the steps, and logistic regression on the pixels.
    """
    import torch
    from sklearn.linear_model import LogisticRegression

    from groundup.data import load
    from groundup.stack.deep.resnet import ResNet, new_head, release

    torch.set_num_threads(1)  # pictures this small are slower on two
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    data = load("malware_images")
    pictures = torch.tensor(data["pixels"]).float()[:, None] / 127.5 - 1
    labels = data["malware"].astype(int)
    fresh = partial(ResNet, "basic", (1, 1, 1), channels=1, width=config.width)
    first, third = fresh(len(LEVELS)), config.learning_rate / 3
    batches = -(-config.bands // 32)
    for step, loss in enumerate(_train(first, *_bands(rng, config.bands), config.epochs * batches, third, 1.0, 32), 1):
        record.metric("loss on the bands", loss, step=step)
    scores = defaultdict(list)
    for _ in record.progress(list(range(config.splits)), label="splits"):
        mixed = [rng.permutation(np.flatnonzero(labels == label)) for label in (0, 1)]
        few = np.concatenate([rows[: config.few] for rows in mixed])
        others = np.concatenate([rows[config.few :][: config.judged // 2] for rows in mixed])
        y = torch.from_numpy(rng.permutation(labels[few]) if config.shuffle_labels else labels[few])
        X, X_judged, y_judged = pictures[few], pictures[others], labels[others]
        scratch = fresh(2)
        for name, times in (("from scratch", 1), ("from scratch, four times the steps", 3)):
            _train(scratch, X, y, times * (config.steps + config.steps // 2), third, 1.0)
            scores[name].append(_accuracy(scratch, X_judged, y_judged))
        moved = fresh(len(LEVELS))
        moved.load_state_dict(first.state_dict())
        new_head(moved, 2)
        for parts, steps in ((["fc"], config.steps), (["layer3", "fc"], config.steps // 2)):
            release(moved, parts)
            _train(moved, X, y, steps, config.learning_rate / len(parts), 0.3)
            scores[f"moved, {' and '.join(parts)}"].append(_accuracy(moved, X_judged, y_judged))
        pixels = LogisticRegression(C=0.01, max_iter=500).fit(X.flatten(1).numpy(), y.numpy())
        scores["logistic regression on pixels"].append(pixels.score(X_judged.flatten(1).numpy(), y_judged))
    record.baseline("accuracy", float(np.mean(scores["from scratch"])), "the same network from scratch, as many steps")
    record.result("accuracy", float(np.mean(scores["moved, layer3 and fc"])))
    record.table("networks", [{"network": name, "accuracy": round(float(np.mean(s)), 3)} for name, s in scores.items()])


LEVELS = (
    (128, 30),
    (100, 80),
    (45, 5),
    (90, 20),
    (60, 20),
    (85, 30),
)  # noise, code, a flat region, rows, stripes, text


def _bands(rng: np.random.Generator, count: int) -> tuple[Any, Any]:
    """Drawn pictures of horizontal bands, and the share that each texture has of a picture."""
    import torch

    pixels, shares = np.zeros((count, 64, 64)), np.zeros((count, len(LEVELS)))
    for row in range(count):
        cuts = np.sort(rng.choice(np.arange(4, 61), rng.integers(1, 5), replace=False))
        for top, bottom in zip([0, *cuts], [*cuts, 64], strict=True):
            kind, high = int(rng.integers(6)), bottom - top
            level, spread = LEVELS[kind]
            band = rng.normal(level + rng.uniform(-20, 20), spread * rng.uniform(0.6, 1.4), (high, 64))
            band += (kind == 3) * rng.uniform(-90, 110, (high, 1))
            band += (kind == 4) * 60 * np.sign(np.sin(np.arange(64) * rng.uniform(0.5, 2.5)))
            pixels[row, top:bottom] = band
            shares[row, kind] += high / 64
    return torch.from_numpy(pixels.clip(0, 255) / 127.5 - 1).float()[:, None], torch.from_numpy(shares).float()


def _train(network: Any, X: Any, y: Any, steps: int, rate: float, decay: float, batch: int = 1000) -> list[float]:
    """Steps of Adam on batches in a fresh order for each pass; a learning rate of 0 takes none. The losses."""
    import torch

    from groundup.stack.deep.resnet import rate_groups, training_mode

    if rate == 0:
        return []
    optimizer = torch.optim.Adam(rate_groups(network, rate, decay))
    training_mode(network)
    losses: list[float] = []
    while len(losses) < steps:
        for rows in torch.randperm(len(X)).split(batch)[: steps - len(losses)]:
            loss = torch.nn.functional.cross_entropy(network(X[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def _accuracy(network: Any, X: Any, y: np.ndarray) -> float:
    """The share that is right, in eval mode."""
    return float((network.eval()(X).argmax(dim=1).numpy() == y).mean())
