"""Detection: where things are in a picture, learned without anchors, and judged as COCO judges.

    detector = Detector(classes=4)
    outputs = detector(images)
    loss = detection_loss(outputs, [assign(outputs.points, boxes, labels) for boxes, labels in truths])
    found = decode(outputs)
    score = mean_average_precision(found, truths)

A box is left, top, right, bottom, in pixels. The detector is FCOS (Tian et al., 2019, https://arxiv.org/abs/1904.01355)
with one level of features: each point of a grid says what it lies in, and how far the four edges are. Focal loss is
from Lin et al. (2017), https://arxiv.org/abs/1708.02002, the generalised overlap from Rezatofighi et al. (2019),
https://arxiv.org/abs/1902.09630, and average precision does what pycocotools does.

Not covered: several levels of features, anchors, other devices than the CPU, crowds and areas in COCO's sense, a
tracker that knows motion.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

BACKGROUND = -1
"""The label of a point that lies in no box."""
THRESHOLDS = tuple(float(value) for value in np.linspace(0.5, 0.95, 10))
"""The overlaps over which COCO averages."""
RECALLS = torch.from_numpy(np.linspace(0.0, 1.0, 101))
"""The recalls at which COCO reads precision."""


class Truth(NamedTuple):
    """What is in a picture: a row of `boxes` (n, 4) for each thing, and its class in `labels` (n,)."""

    boxes: Tensor
    labels: Tensor


class Detections(NamedTuple):
    """What a detector says is in a picture: `boxes` (n, 4), `scores` (n,) and `labels` (n,), best score first."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor


# --- boxes ----------------------------------------------------------------------------------------------------------


def from_centres(boxes: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Turn boxes of centre x, centre y, width, height, as annotations often are, into left, top, right, bottom."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def box_iou(
    first: Float[Tensor, "*#batch 4"], second: Float[Tensor, "*#batch 4"], generalized: bool = False
) -> Float[Tensor, "*#batch"]:
    """Return the intersection over the union of boxes; leading axes broadcast.

    `box_iou(some[:, None], others)` compares all with all. Boxes without area have an overlap of 0 with anything.

    Args:
        first: boxes.
        second: boxes.
        generalized: subtract the share of the smallest box around both that neither fills. It then goes from 1 down to
            -1, and tells how far apart two boxes are. Boxes need an area for it.
    """
    sides = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    intersection = sides.clamp(min=0).prod(dim=-1)
    union = _area(first) + _area(second) - intersection
    iou = intersection / union.clamp(min=torch.finfo(union.dtype).tiny)
    if not generalized:
        return iou
    hull = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    around = hull.prod(dim=-1)
    return iou - (around - union) / around


def nms(
    boxes: Float[Tensor, "boxes 4"],
    scores: Float[Tensor, " boxes"],
    labels: Int[Tensor, " boxes"],
    threshold: float = 0.5,
) -> Int[Tensor, " kept"]:
    """Return which boxes stay, best score first: greedy non-maximum suppression, class by class.

    The box with the best score stays, and all of its class that overlap it by more than `threshold` go; so on with the
    best of the rest. Of equal scores the earlier box comes first.

    Args:
        boxes: the candidates.
        scores: of each.
        labels: of each; a box suppresses its own class only.
        threshold: an overlap, from 0 to 1.

    Raises:
        ValueError: the threshold is out of its range.
    """
    _share("threshold", threshold)
    order = scores.argsort(descending=True, stable=True)
    boxes, labels = boxes[order], labels[order]
    clash = (box_iou(boxes[:, None], boxes) > threshold) & (labels[:, None] == labels)
    stays = torch.ones(len(order), dtype=torch.bool)
    for place in range(len(order)):
        if stays[place]:
            stays[place + 1 :] &= ~clash[place, place + 1 :]
    return order[stays]


# --- what a point should say, and the loss --------------------------------------------------------------------------


class Targets(NamedTuple):
    """What each point should say: `labels` (points,), `distances` (points, 4) and `centerness` (points,).

    The distances are those to the left, top, right and bottom edge, in pixels. Points in the background have the label
    `BACKGROUND`, and zeros.
    """

    labels: Tensor
    distances: Tensor
    centerness: Tensor


def assign(
    points: Float[Tensor, "points 2"], boxes: Float[Tensor, "boxes 4"], labels: Int[Tensor, " boxes"]
) -> Targets:
    """Say for each point (x, y) in which box it lies, how far its edges are, and how central the point is.

    A point lies in a box where all four distances are above 0. Where boxes overlap, the smallest wins, and of boxes of
    one size the first. Centre-ness is sqrt(min(l, r) / max(l, r) · min(t, b) / max(t, b)): 1 in the middle, 0 at an
    edge.
    """
    if len(boxes) == 0:
        nothing = points.new_zeros(len(points))
        return Targets(torch.full((len(points),), BACKGROUND), nothing[:, None].expand(-1, 4), nothing)
    distances = torch.cat((points[:, None] - boxes[:, :2], boxes[:, 2:] - points[:, None]), dim=2)  # (P, boxes, 4)
    inside = distances.amin(dim=2) > 0
    size, box = torch.where(inside, _area(boxes), torch.inf).min(dim=1)
    found = size < torch.inf
    own = distances[torch.arange(len(points)), box] * found[:, None]  # (P, 4)
    pairs = own.unflatten(1, (2, 2))  # left and top, then right and bottom
    ratios = pairs.amin(dim=1) / pairs.amax(dim=1).clamp(min=torch.finfo(pairs.dtype).tiny)
    return Targets(torch.where(found, labels[box], BACKGROUND), own, ratios.prod(dim=1).sqrt())


def focal_loss(
    logits: Float[Tensor, "points classes"], labels: Int[Tensor, " points"], alpha: float = 0.25, gamma: float = 2.0
) -> Float[Tensor, ""]:
    """Return the sum over points and classes of -weight · (1 - p)^gamma · log p, safe for large logits.

    Each class is a question of yes or no; p is the probability of the right answer. A label of `BACKGROUND` makes every
    answer a no. The weight is alpha where the answer is yes, and 1 - alpha elsewhere.

    Args:
        logits: a score for each class.
        labels: the class of each point, or `BACKGROUND`.
        alpha: the weight of a yes, from 0 to 1.
        gamma: how far easy points are silenced; 0 is weighted cross-entropy.

    Raises:
        ValueError: alpha is out of its range, or gamma below 0.
    """
    _share("alpha", alpha)
    if gamma < 0:
        raise ValueError(f"gamma must be at least 0, got {gamma}.")
    yes = labels[:, None] == torch.arange(logits.shape[1])
    log_p = nn.functional.logsigmoid(torch.where(yes, logits, -logits))
    weight = torch.where(yes, alpha, 1 - alpha)
    return -(weight * (1 - log_p.exp()) ** gamma * log_p).sum()


class Outputs(NamedTuple):
    """What a detector says of each point of each picture, and where the points are.

    `logits` (batch, points, classes), `distances` (batch, points, 4) in pixels, `centerness` (batch, points) as logits,
    `points` (points, 2).
    """

    logits: Tensor
    distances: Tensor
    centerness: Tensor
    points: Tensor


def detection_loss(outputs: Outputs, targets: Sequence[Targets]) -> Float[Tensor, ""]:
    """Return focal loss, 1 - generalised overlap, and cross-entropy of centre-ness, each per point that lies in a box.

    Args:
        outputs: of a batch.
        targets: of each picture of the batch.
    """
    labels, distances, centerness = (torch.cat(part) for part in zip(*targets, strict=True))
    inside = labels != BACKGROUND
    count = inside.sum().clamp(min=1)
    classes = focal_loss(outputs.logits.flatten(0, 1), labels)
    said, true = (_around_origin(part[inside]) for part in (outputs.distances.flatten(0, 1), distances))
    boxes = (1 - box_iou(said, true, generalized=True)).sum()
    centres = nn.functional.binary_cross_entropy_with_logits(
        outputs.centerness.flatten()[inside], centerness[inside], reduction="sum"
    )
    return (classes + boxes + centres) / count


@torch.no_grad()
def decode(
    outputs: Outputs, least: float = 0.05, overlap: float = 0.6, candidates: int = 1000, limit: int = 100
) -> list[Detections]:
    """Return what is found in each picture of a batch.

    A point's score for a class is sqrt(probability of the class · centre-ness).

    Args:
        outputs: of the detector.
        least: the lowest score that counts.
        overlap: the threshold of `nms`.
        candidates: how many of the best of a picture go through `nms`.
        limit: the most boxes of a picture.
    """
    results = []
    for logits, distances, centerness in zip(*outputs[:3], strict=True):
        scores = (logits.sigmoid() * centerness.sigmoid()[:, None]).sqrt()
        point, label = torch.nonzero(scores >= least, as_tuple=True)
        score, best = scores[point, label].sort(descending=True, stable=True)
        point, label, score = (part[:candidates] for part in (point[best], label[best], score))
        boxes = _around_origin(distances[point]) + outputs.points[point].repeat(1, 2)
        kept = nms(boxes, score, label, overlap)[:limit]
        results.append(Detections(boxes[kept], score[kept], label[kept]))
    return results


# --- the network ----------------------------------------------------------------------------------------------------


class Detector(nn.Module):
    """A small network with a point every 4 pixels: down to a 16th of the size, up again to a quarter, three heads.

    Args:
        classes: of things.
        width: channels of its layers.
    """

    stride = 4

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        self.fine = nn.Sequential(_layer(3, width // 2, 2), _layer(width // 2, width, 2))
        self.coarse = nn.Sequential(_layer(width, width, 2), _layer(width, width, 2), _layer(width, width))
        self.head = nn.Sequential(_layer(2 * width, width), _layer(width, width))
        self.answer = nn.Conv2d(width, classes + 5, 1)
        nn.init.normal_(self.answer.weight, std=0.01)
        # Almost every point is background: begin with probabilities of 1 %, or the first steps drown in it.
        start = torch.tensor([-np.log(99.0)] * classes + [np.log(2.0)] * 4 + [0.0], dtype=torch.float32)
        self.answer.bias = nn.Parameter(start)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Outputs:
        """Return what each point says; height and width are multiples of 16."""
        fine = self.fine(images)
        coarse = nn.functional.interpolate(self.coarse(fine), size=fine.shape[2:])
        said = self.answer(self.head(torch.cat((fine, coarse), dim=1)))  # (B, classes + 5, down, across)
        points = grid(said.shape[2], said.shape[3], self.stride)
        logits, distances, centerness = said.flatten(2).transpose(1, 2).split((said.shape[1] - 5, 4, 1), dim=2)
        return Outputs(logits, self.stride * distances.clamp(max=8).exp(), centerness.squeeze(2), points)


def grid(down: int, across: int, stride: int) -> Float[Tensor, "points 2"]:
    """Return the points of a map, row by row: (x, y) in pixels, in the middle of each cell."""
    y, x = torch.meshgrid(torch.arange(down), torch.arange(across), indexing="ij")
    return (torch.stack((x, y), dim=2).flatten(0, 1) + 0.5) * stride


# --- how good it is -------------------------------------------------------------------------------------------------


def match(overlaps: Float[Tensor, "found truths"], threshold: float = 0.5) -> Int[Tensor, " found"]:
    """Give each detection of a picture the true box that it found, or -1.

    In their order, best score first, each detection takes the true box that it overlaps most among those that are not
    taken yet and that it overlaps by at least `threshold`. Of equal overlaps the last wins, as in COCO.

    Args:
        overlaps: of each detection with each true box of its class.
        threshold: the least overlap.
    """
    taken: list[int] = []
    for row in overlaps.tolist():
        free = [(overlap, box) for box, overlap in enumerate(row) if overlap >= threshold and box not in taken]
        taken.append(max(free)[1] if free else -1)
    return torch.tensor(taken, dtype=torch.int64)


def average_precision(scores: Float[Tensor, " found"], correct: Bool[Tensor, " found"], truths: int) -> float:
    """Return the mean precision at the recalls 0, 0.01 … 1, as COCO does.

    The precision at a recall is the best of that recall and beyond; it is 0 where the recall is never reached.

    Args:
        scores: of all detections of a class, in any order; of equal scores the earlier comes first.
        correct: whether each found a true box.
        truths: how many true boxes there are.

    Raises:
        ValueError: there are no true boxes.
    """
    if truths < 1:
        raise ValueError(f"truths must be at least 1, got {truths}. Leave out a class that is nowhere.")
    right = correct[scores.argsort(descending=True, stable=True)].double().cumsum(dim=0)
    precision = right / torch.arange(1, len(right) + 1)
    best = precision.flip(0).cummax(dim=0).values.flip(0)
    place = torch.searchsorted(right / truths, RECALLS)
    return float(torch.cat((best, best.new_zeros(1)))[place].mean())


def mean_average_precision(
    found: Sequence[Detections], truths: Sequence[Truth], thresholds: Sequence[float] = THRESHOLDS, limit: int = 100
) -> float:
    """Return average precision, averaged over overlaps and over the classes that are in the truths.

    Args:
        found: the detections in each picture.
        truths: what is in each picture.
        thresholds: the least overlaps that count as found; COCO's ten unless given.
        limit: the most detections of a class in a picture.

    Raises:
        ValueError: pictures differ in number, or nothing is in any of them.
    """
    if len(found) != len(truths):
        raise ValueError(f"found must have a row for each of the {len(truths)} pictures, got {len(found)}.")
    classes = sorted({label for truth in truths for label in truth.labels.tolist()})
    if not classes:
        raise ValueError(f"truths must have at least 1 box, got {len(truths)} empty pictures.")
    values = []
    for label in classes:
        scores, overlaps = [], []
        for said, truth in zip(found, truths, strict=True):
            mine = torch.nonzero(said.labels == label).flatten()
            mine = mine[said.scores[mine].argsort(descending=True, stable=True)][:limit]
            scores.append(said.scores[mine])
            overlaps.append(box_iou(said.boxes[mine, None], truth.boxes[truth.labels == label]))
        total = sum(int((truth.labels == label).sum()) for truth in truths)
        for threshold in thresholds:
            correct = torch.cat([match(part, threshold) >= 0 for part in overlaps])
            values.append(average_precision(torch.cat(scores), correct, total))
    return float(np.mean(values))


# --- video ----------------------------------------------------------------------------------------------------------


class Tracker:
    """Gives the same number to the same thing in frame after frame, by overlap with where it was last.

    Args:
        threshold: the least overlap of a thing with itself from frame to frame, above 0.
        patience: how many frames a thing may be unseen before its number is given up.
    """

    def __init__(self, threshold: float = 0.3, patience: int = 2) -> None:
        _share("threshold", threshold)
        self.threshold, self.patience = threshold, patience
        self.frame, self.total = 0, 0
        self.tracks: dict[int, tuple[Tensor, int, int]] = {}

    def update(self, found: Detections) -> list[int]:
        """Return a number for each detection of the next frame: pairs of most overlap first, each of one class."""
        self.frame += 1
        alive = {n: track for n, track in self.tracks.items() if self.frame - track[2] <= self.patience + 1}
        pairs = [
            (float(box_iou(box, track[0])), -number, place)
            for place, (box, label) in enumerate(zip(found.boxes, found.labels.tolist(), strict=True))
            for number, track in alive.items()
            if label == track[1]
        ]
        numbers: dict[int, int] = {}
        for overlap, negative, place in sorted(pairs, reverse=True):
            if overlap >= self.threshold and place not in numbers and -negative not in numbers.values():
                numbers[place] = -negative
        for place in range(len(found.boxes)):
            if place not in numbers:
                self.total += 1
                numbers[place] = self.total
            alive[numbers[place]] = (found.boxes[place], int(found.labels[place]), self.frame)
        self.tracks = alive
        return [numbers[place] for place in range(len(found.boxes))]


def watch(
    detector: Detector, frames: Iterable[Float[Tensor, "3 height width"]], least: float = 0.3
) -> Iterator[tuple[Detections, list[int]]]:
    """Detect and track in frame after frame, from a folder, a camera or any generator; one frame is held at a time."""
    tracker = Tracker()
    for frame in frames:
        with torch.no_grad():
            (found,) = decode(detector(frame[None]), least)
        yield found, tracker.update(found)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)


def _around_origin(distances: Tensor) -> Tensor:
    """Distances to the four edges as a box around the point (0, 0)."""
    return torch.cat((-distances[..., :2], distances[..., 2:]), dim=-1)


def _layer(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1), nn.GroupNorm(4, after), nn.ReLU())


def _share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value}.")
