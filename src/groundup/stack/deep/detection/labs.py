"""The lab of detection: persons and hard hats on building sites, against boxes that look at no picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from groundup.labs import Recorder, expect, lab


@dataclass(frozen=True)
class HardHatConfig:
    """Settings of the hard-hat lab.

    Attributes:
        seed: seed of the initial weights, the batches and the mirroring.
        side: height and width to which pictures are averaged, a multiple of 16, at most 160.
        things: "person" alone, or "all": persons, and heads with a hat, without one, or with something else on.
        width: channels of the detector's layers.
        epochs: passes over the pictures.
        batch: pictures in a step.
        learning_rate: the highest of a one-cycle schedule of AdamW.
        shuffle_boxes: give each picture the boxes of another, so that only where people usually are can be learned.
    """

    seed: int = 0
    side: int = 32
    things: Literal["person", "all"] = "person"
    width: int = 32
    epochs: int = 18
    batch: int = 10
    learning_rate: float = 1e-2
    shuffle_boxes: bool = False


@lab(
    title="Hard hats: who is where",
    question="Does a small detector find people better than boxes drawn where people usually are?",
    data=["hard_hat_train", "hard_hat_valid"],
    presets={
        "smoke": {},
        "laptop": {"side": 64, "width": 48, "epochs": 60, "learning_rate": 5e-3},
        "full": {"side": 160, "things": "all", "width": 96, "epochs": 200, "learning_rate": 3e-3},
    },
    expectations=[
        expect(
            "AP at 0.5", beats_baseline_by=0.02, why="A detector that looks knows more than where people usually are."
        )
    ],
    sabotage=[{"learning_rate": 0.0}, {"shuffle_boxes": True}],
)
def hard_hats(config: HardHatConfig, record: Recorder) -> None:
    """Train on the training photographs, half of them mirrored, and judge on those of the validation part.

    The baseline says the same of every photograph: the boxes of the training part that fit most of its boxes.
    """
    import torch

    from groundup.stack.deep.detection import Detector, assign, decode, detection_loss, mean_average_precision

    torch.set_num_threads(1)  # pictures this small are slower on two
    torch.manual_seed(config.seed)
    images, truths = _pictures("hard_hat_train", config)
    judged, expected = _pictures("hard_hat_valid", config)
    if config.shuffle_boxes:
        truths = [truths[row] for row in torch.randperm(len(truths)).tolist()]
    detector = Detector(1 if config.things == "person" else 4, config.width)
    with torch.no_grad():
        points = detector(images[:1]).points
    mirrored = [truth.boxes[:, [2, 1, 0, 3]] * torch.tensor([-1.0, 1, -1, 1]) for truth in truths]
    targets = [assign(points, *truth) for truth in truths]
    edge = torch.tensor([config.side, 0.0, config.side, 0.0])
    targets += [assign(points, boxes + edge, truth.labels) for boxes, truth in zip(mirrored, truths, strict=True)]
    pixels = torch.cat((images, images.flip(3)))

    optimizer = torch.optim.AdamW(detector.parameters(), lr=config.learning_rate)
    steps = config.epochs * -(-len(images) // config.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps)
    for epoch in record.progress(list(range(config.epochs)), label="epochs"):
        losses = []
        sides = torch.randint(0, 2, (len(images),)) * len(images)
        for rows in torch.randperm(len(images)).split(config.batch):
            chosen = rows + sides[rows]
            loss = detection_loss(detector(pixels[chosen]), [targets[row] for row in chosen.tolist()])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        record.metric("training loss", float(np.mean(losses)), step=epoch + 1)

    with torch.no_grad():
        found = [part for batch in judged.split(50) for part in decode(detector(batch), candidates=200)]
    usual = [_usual(truths)] * len(expected)
    record.baseline("AP at 0.5", mean_average_precision(usual, expected, [0.5]), "the same boxes for every photograph")
    record.result("AP at 0.5", mean_average_precision(found, expected, [0.5]))
    rows = []
    for name, said in (("of the detector", found), ("the same for all", usual)):
        values = {f"AP at {least}": mean_average_precision(said, expected, [least]) for least in (0.3, 0.5, 0.75)}
        rows.append({"boxes": name} | {key: round(value, 3) for key, value in values.items()})
    record.table("average precision", rows)
    busiest = max(range(len(expected)), key=lambda row: len(expected[row].boxes) if len(expected[row].boxes) < 8 else 0)
    record.figure("a photograph", _drawn(judged[busiest], expected[busiest].boxes, found[busiest].boxes[:8]))


def _pictures(name: str, config: HardHatConfig) -> tuple[Any, list[Any]]:
    """Pixels from -1 to 1, channels first, averaged to the side; and what is in each picture."""
    import torch

    from groundup.data import load
    from groundup.stack.deep.detection import Truth

    data = load(name)
    pixels = torch.tensor(data["pixels"]).permute(0, 3, 1, 2).float() / 127.5 - 1
    images = torch.nn.functional.interpolate(pixels, size=(config.side, config.side), mode="area")
    boxes, labels = torch.tensor(data["box"]).float() * config.side, torch.tensor(data["label"])
    truths = []
    for row in range(len(images)):
        mine = torch.tensor(data["picture"] == row)
        if config.things == "person":
            mine &= labels == 3
        truths.append(Truth(boxes[mine], labels[mine] * (config.things == "all")))
    return images, truths


def _usual(truths: list[Any]) -> Any:
    """The boxes that fit most others of their class, and no two much alike: the prior of an unseen photograph."""
    import torch

    from groundup.stack.deep.detection import Detections, box_iou, nms

    boxes, labels = (torch.cat(part) for part in zip(*truths, strict=True))
    boxes, labels = boxes[:900], labels[:900]
    fits = (box_iou(boxes[:, None], boxes) >= 0.5) & (labels[:, None] == labels)
    scores = fits.float().mean(dim=1)
    kept = nms(boxes, scores, labels)[:100]
    return Detections(boxes[kept], scores[kept], labels[kept])


def _drawn(picture: Any, true: Any, said: Any) -> Any:
    """A photograph with true boxes and the best boxes that the detector found."""
    import plotly.graph_objects as go

    from groundup.drawing import BLUE, LEGEND_BELOW, ORANGE

    pixels = ((picture.permute(1, 2, 0) + 1) * 127.5).byte().numpy()
    figure = go.Figure(go.Image(z=pixels))
    for name, boxes, colour in (("true", true, BLUE), ("found", said, ORANGE)):
        for number, (left, top, right, bottom) in enumerate((boxes - 0.5).tolist()):
            x, y = [left, right, right, left, left], [top, top, bottom, bottom, top]
            figure.add_scatter(x=x, y=y, mode="lines", line_color=colour, name=name, showlegend=number == 0)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.update_layout(legend=LEGEND_BELOW)
    return figure
