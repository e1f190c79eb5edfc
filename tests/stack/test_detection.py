"""Detection beside pycocotools: the same average precision; and what a detector learns of a picture."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import torch

from groundup.stack.deep.detection import (
    THRESHOLDS,
    Detections,
    Detector,
    Truth,
    assign,
    box_iou,
    decode,
    detection_loss,
    grid,
    mean_average_precision,
)


def pictures(seed: int, count: int, most: int, classes: int) -> tuple[list[Detections], list[Truth]]:
    """Pictures of up to `most` things, with detections near them, away from them, and with equal scores among them."""
    rng = np.random.default_rng(seed)
    found, truths = [], []
    for _ in range(count):
        things = int(rng.integers(0, most + 1))
        corners = rng.uniform(0, 80, (things, 2))
        boxes = np.hstack((corners, corners + rng.uniform(5, 40, (things, 2))))
        labels = rng.integers(0, classes, things)
        near = np.repeat(boxes, 2, axis=0) + rng.normal(0, 3, (2 * things, 4))
        away = rng.uniform(0, 60, (7, 2))
        said = np.vstack((near, np.hstack((away, away + rng.uniform(3, 30, (7, 2))))))
        said[:, 2:] = np.maximum(said[:, 2:], said[:, :2] + 0.5)
        names = np.concatenate((np.repeat(labels, 2), rng.integers(0, classes, 7)))
        scores = rng.integers(1, 20, len(said)) / 20
        truths.append(Truth(torch.from_numpy(boxes), torch.from_numpy(labels)))
        found.append(Detections(torch.from_numpy(said), torch.from_numpy(scores), torch.from_numpy(names)))
    return found, truths


def by_pycocotools(found: list[Detections], truths: list[Truth]) -> Any:
    """COCO's evaluation of the same, after `accumulate`."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def sides(box: Any) -> list[float]:
        left, top, right, bottom = box.tolist()
        return [left, top, right - left, bottom - top]

    annotations = [
        {
            "image_id": image,
            "category_id": int(label),
            "bbox": sides(box),
            "area": float(np.prod(sides(box)[2:])),
            "iscrowd": 0,
        }
        for image, truth in enumerate(truths)
        for box, label in zip(truth.boxes, truth.labels, strict=True)
    ]
    results = [
        {"image_id": image, "category_id": int(label), "bbox": sides(box), "score": float(score)}
        for image, said in enumerate(found)
        for box, score, label in zip(*said, strict=True)
    ]
    labels = sorted({row["category_id"] for row in annotations + results})
    with contextlib.redirect_stdout(io.StringIO()):
        coco: Any = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(len(truths))],
            "categories": [{"id": label} for label in labels],
            "annotations": [{**row, "id": number} for number, row in enumerate(annotations, 1)],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize(("seed", "count", "most", "classes"), [(0, 12, 6, 3), (1, 30, 3, 1), (2, 5, 40, 2)])
def test_average_precision_is_cocos(seed: int, count: int, most: int, classes: int) -> None:
    found, truths = pictures(seed, count, most, classes)
    theirs = by_pycocotools(found, truths)
    assert 0.05 < theirs.stats[0] < 0.95
    assert mean_average_precision(found, truths) == pytest.approx(theirs.stats[0], abs=1e-12)
    assert mean_average_precision(found, truths, [0.5]) == pytest.approx(theirs.stats[1], abs=1e-12)
    precision = theirs.eval["precision"][:, :, :, 0, 2].mean(axis=(1, 2))
    for place, threshold in enumerate(THRESHOLDS):
        assert mean_average_precision(found, truths, [threshold]) == pytest.approx(precision[place], abs=1e-12)


def test_only_the_best_hundred_of_a_picture_count_as_in_coco() -> None:
    found, truths = pictures(3, 3, 90, 1)
    assert max(len(said.scores) for said in found) > 110
    assert mean_average_precision(found, truths) == pytest.approx(by_pycocotools(found, truths).stats[0], abs=1e-12)


def test_a_class_that_is_nowhere_does_not_count_as_in_coco() -> None:
    found, truths = pictures(4, 6, 4, 2)
    truths = [Truth(truth.boxes[truth.labels == 0], truth.labels[truth.labels == 0]) for truth in truths]
    assert mean_average_precision(found, truths) == pytest.approx(by_pycocotools(found, truths).stats[0], abs=1e-12)


def test_a_detector_learns_a_picture_by_heart() -> None:
    torch.manual_seed(0)
    image, true = torch.zeros(1, 3, 32, 32), torch.tensor([[4.0, 8.0, 20.0, 28.0]])
    image[:, :, 8:28, 4:20] = 1
    detector = Detector(1, 16)
    targets = [assign(grid(8, 8, detector.stride), true, torch.tensor([0]))]
    optimizer = torch.optim.Adam(detector.parameters(), lr=0.02)
    for _ in range(40):
        loss = detection_loss(detector(image), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    ((boxes, _, _),) = decode(detector(image))
    assert float(box_iou(boxes[0], true[0])) > 0.7
