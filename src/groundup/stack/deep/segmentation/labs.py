"""The lab of segmentation: a U-Net that finds nuclei, the same without skips, and tiles with and without a margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.labs import Recorder, expect, lab


@dataclass(frozen=True)
class NucleiConfig:
    """Settings of the nuclei lab.

    Attributes:
        seed: seed of the pictures that are drawn, the initial weights and the crops.
        pictures: how many to learn from.
        judged: at most so many of the others judge.
        width: channels of the first level.
        depth: how often maps are halved.
        crop: side of the squares to learn from.
        batch: squares in a step.
        steps: of Adam.
        learning_rate: of Adam.
        skips: whether the network that is judged has skips.
        shuffle_masks: give each picture the mask of another.
    """

    seed: int = 0
    pictures: int = 50
    judged: int = 30
    width: int = 6
    depth: int = 3
    crop: int = 64
    batch: int = 8
    steps: int = 40
    learning_rate: float = 1e-2
    skips: bool = True
    shuffle_masks: bool = False


@lab(
    title="Nuclei",
    question="What do skips bring, and how wide must the margin of tiles be?",
    data=["nuclei"],
    presets={
        "smoke": {},
        "laptop": {"width": 12, "steps": 500, "learning_rate": 5e-3, "judged": 40},
        "full": {"width": 24, "depth": 4, "crop": 96, "batch": 16, "steps": 3000, "learning_rate": 3e-3, "judged": 40},
    },
    expectations=[
        expect("dice", beats_baseline_by=0.15, why="Rims of nuclei are lost at the bottom, and skips carry them."),
        expect("dice", at_least=0.65, why="Nuclei are easy to see."),
        expect("seams", at_most=0.003, why="The middle of a tile saw all that it would see in the whole picture."),
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_masks": True}, {"skips": False}],
)
def nuclei(config: NucleiConfig, record: Recorder) -> None:
    """Train on squares of micrographs at half their size, judge by Dice on whole pictures that were never seen.

    The baseline is the same network without skips. Beside both stands Otsu's threshold: nuclei are what is brighter, or
    what is the smaller part. `seams` is the share of pixels, away from the rim, in which tiles with a wide margin
    and the whole picture disagree.
    """
    import torch

    from groundup.stack.deep.segmentation import UNet, dice, iou, predict_tiled

    torch.set_num_threads(1)  # pictures this small are slower on two
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    pictures, masks = _pictures()
    mixed = rng.permutation(len(pictures))
    learned, judged = mixed[: config.pictures], mixed[config.pictures :][: config.judged]
    X, X_judged, target = pictures[learned], pictures[judged], masks[judged][:, 0]
    Y = masks[rng.permutation(learned) if config.shuffle_masks else learned].float()
    rows: list[dict[str, Any]] = []
    networks = {}
    for name, skips in record.progress([("without skips", False), ("U-Net", config.skips)], label="networks"):
        networks[name] = UNet(1, 1, config.width, config.depth, skips=skips)
        for step, loss in enumerate(_train(networks[name], X, Y, config, rng), 1):
            record.metric(f"loss, {name}", loss, step=step)
        with torch.no_grad():
            found = networks[name].eval()(X_judged)[:, 0] > 0
        value, overlap = float(dice(found, target).mean()), float(iou(found, target).mean())
        rows.append({"mask": name, "Dice": round(value, 3), "IoU": round(overlap, 3)})
        if name == "U-Net":
            record.result("dice", value)
        else:
            record.baseline("dice", value, "the same network without skips")
    for name, smaller in (("brighter than Otsu's threshold", False), ("the smaller part", True)):
        found = torch.stack([_otsu(picture, smaller) for picture in X_judged[:, 0]])
        value, overlap = float(dice(found, target).mean()), float(iou(found, target).mean())
        rows.append({"mask": name, "Dice": round(value, 3), "IoU": round(overlap, 3)})
    record.table("masks", rows)

    few, inside, seams = X_judged[:6], slice(24, -24), []
    with torch.no_grad():
        whole = networks["U-Net"](few)[:, :, inside, inside] > 0
        for margin in (0, 8, 24):
            tiled = predict_tiled(networks["U-Net"], few, 32 + 2 * margin, margin)[:, :, inside, inside] > 0
            seams.append({"margin": margin, "pixels that differ": round(float((tiled != whole).float().mean()), 5)})
    record.result("seams", seams[-1]["pixels that differ"])
    record.table("tiles with a middle of 32", seams)


def _pictures() -> tuple[Any, Any]:
    """Grey pictures of 128 × 128, each with mean 0 and deviation 1, and their masks: half the size of the originals."""
    import torch

    from groundup.data import load

    data = load("nuclei")
    count = len(data) // 4
    parts = []
    for tiles in (data["pixels"].mean(axis=3), data["nucleus"] > 0):
        whole = tiles.reshape(count, 2, 2, 128, 128).transpose(0, 1, 3, 2, 4).reshape(count, 1, 256, 256)
        parts.append(torch.nn.functional.avg_pool2d(torch.tensor(whole).float(), 2))
    grey, covered = parts
    centred = grey - grey.mean(dim=(2, 3), keepdim=True)
    return centred / (centred.std(dim=(2, 3), keepdim=True) + 1e-3), covered >= 0.5


def _train(network: Any, X: Any, Y: Any, config: NucleiConfig, rng: np.random.Generator) -> list[float]:
    """Steps on random squares, by soft Dice plus cross-entropy; the losses."""
    import torch

    from groundup.stack.deep.segmentation import soft_dice_loss

    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    losses = []
    for _ in range(config.steps):
        places = rng.integers((len(X), 129 - config.crop, 129 - config.crop), size=(config.batch, 3))
        images, masks = (
            torch.stack([part[n, :, y : y + config.crop, x : x + config.crop] for n, y, x in places]) for part in (X, Y)
        )
        logits = network(images)
        loss = soft_dice_loss(logits, masks) + torch.nn.functional.binary_cross_entropy_with_logits(logits, masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _otsu(picture: Any, smaller: bool) -> Any:
    """The mask of what is brighter than Otsu's threshold, or of the smaller part of both."""
    import torch

    counts, edges = np.histogram(picture.numpy(), 256)
    share, moment = np.cumsum(counts) / counts.sum(), np.cumsum(counts * edges[1:]) / counts.sum()
    between = (moment[-1] * share - moment)[:-1] ** 2 / np.maximum(share * (1 - share), 1e-12)[:-1]
    mask = picture > float(edges[1:][between.argmax()])
    return torch.logical_xor(mask, torch.tensor(smaller and bool(mask.float().mean() > 0.5)))
