# pyright: basic
"""Ways to get detection wrong, and right ways that differ."""

import numpy as np
import torch

from groundup.anatomy import mistake, variant
from groundup.stack.deep.detection.detection import BACKGROUND, Targets, _area, _share, box_iou


@mistake("box_iou", edit=("sides.clamp(min=0).prod(dim=-1)", "sides.prod(dim=-1)"))
def multiplies_two_gaps():
    """You multiply sides that may be negative: boxes apart in both directions get a positive overlap. Clamp at 0."""


@mistake("box_iou", edit=("_area(first) + _area(second) - intersection", "_area(first) + _area(second)"))
def counts_the_overlap_twice():
    """Your union counts the shared pixels twice. Take the intersection off once."""


@mistake("box_iou", edit=("return iou - (around - union) / around", "return iou - around / union"))
def punishes_the_whole_hull():
    """You subtract the box around both. Subtract the share of it that neither box fills: (around - union) / around."""


@mistake("nms", edit=(" & (labels[:, None] == labels)", ""))
def suppresses_across_classes():
    """A hat suppresses the person under it. Boxes suppress boxes of their own class only."""


@mistake("nms", edit=("scores.argsort(descending=True, stable=True)", "scores.argsort(stable=True)"))
def begins_with_the_worst():
    """You begin with the lowest score, so poor boxes remove good ones. The best score comes first."""


@mistake("nms", edit=("        if stays[place]:\n            stays", "        if True:\n            stays"))
def lets_the_suppressed_suppress():
    """A box that is gone already removes others. Only boxes that stay suppress: a chain keeps its ends."""


@mistake("nms", edit=("return order[stays]", "return torch.nonzero(stays).flatten()"))
def returns_places_in_the_order():
    """You return places in the sorted list. The caller wants rows of the boxes that came in: order[stays]."""


@mistake("assign", edit=("distances.amin(dim=2) > 0", "distances.amax(dim=2) > 0"))
def inside_by_one_edge():
    """One distance above 0 is enough for you. A point lies in a box where all four are."""


@mistake(
    "assign",
    edit=(".min(dim=1)\n    found", ".masked_fill(~inside, -torch.inf).max(dim=1)\n    size = size.abs()\n    found"),
)
def prefers_the_largest():
    """Where boxes overlap you take the largest, so a person hides the hat on the head. The smallest wins."""


@mistake("assign", edit=("ratios.prod(dim=1).sqrt()", "ratios.prod(dim=1)"))
def forgets_the_root():
    """You leave the square root out of centre-ness, so it falls off too fast from the middle."""


@mistake("assign", edit=("boxes[:, 2:] - points[:, None]", "points[:, None] - boxes[:, 2:]"))
def measures_beyond_the_far_edges():
    """Your distances to the right and bottom edge are negative inside the box: they are edge - point."""


@mistake("focal_loss", edit=("(1 - log_p.exp()) ** gamma", "log_p.exp() ** gamma"))
def silences_the_hard_points():
    """You weigh by p, so the easy points are loud. The focus is (1 - p)^gamma: what is sure already counts little."""


@mistake("focal_loss", edit=("torch.where(yes, alpha, 1 - alpha)", "torch.where(yes, 1 - alpha, alpha)"))
def swaps_the_weights():
    """You give alpha to the noes. A yes has the weight alpha, a no 1 - alpha."""


@mistake("focal_loss", edit=(").sum()", ").mean()"))
def averages_over_the_background():
    """You average over all points, nearly all background. Add up; the caller divides by the points within boxes."""


@mistake("match", edit=(" and box not in taken", ""))
def finds_a_box_twice():
    """A true box is found again and again. The first, with the best score, takes it; the others are false alarms."""


@mistake("match")
def never_takes_the_second_best(overlaps, threshold=0.5):
    """A detection whose best box is taken finds nothing with you. It takes the best that is still free."""
    taken = []
    for row in overlaps.tolist():
        best = max(range(len(row)), key=lambda box: (row[box], box), default=-1)
        fits = best >= 0 and row[best] >= threshold and best not in taken
        taken.append(best if fits else -1)
    return torch.tensor(taken, dtype=torch.int64)


@mistake("average_precision", edit=("precision.flip(0).cummax(dim=0).values.flip(0)", "precision"))
def reads_the_jagged_curve():
    """You read the precision at a recall itself. Take the best of that recall and beyond, from the right."""


@mistake("average_precision", edit=("right / truths, RECALLS", "right / right[-1:], RECALLS"))
def recall_of_the_found():
    """Your recall is a share of what was found, so it always reaches 1. Divide by all true boxes: misses cost."""


@mistake("average_precision", edit=("scores.argsort(descending=True, stable=True)", "torch.arange(len(scores))"))
def trusts_the_order_given():
    """You take detections as they come. Sort them by score over all pictures first, best first."""


@variant("box_iou")
def edge_by_edge(first, second, generalized=False):
    """Each edge by its name."""
    first, second = torch.broadcast_tensors(first, second)
    (a, b, c, d), (e, f, g, h) = first.unbind(-1), second.unbind(-1)
    width = (torch.minimum(c, g) - torch.maximum(a, e)).clamp(min=0)
    height = (torch.minimum(d, h) - torch.maximum(b, f)).clamp(min=0)
    inner = width * height
    union = (c - a) * (d - b) + (g - e) * (h - f) - inner
    iou = torch.where(union > 0, inner / torch.where(union > 0, union, torch.ones_like(union)), inner)
    around = (torch.maximum(c, g) - torch.minimum(a, e)) * (torch.maximum(d, h) - torch.minimum(b, f))
    return iou + union / around - 1 if generalized else iou


@variant("nms")
def by_a_shrinking_list(boxes, scores, labels, threshold=0.5):
    """Takes the best from a list and keeps what it does not remove."""
    _share("threshold", threshold)
    rest, kept = sorted(range(len(scores)), key=lambda k: -float(scores[k])), []
    while rest:
        best, *rest = rest
        kept.append(best)
        rest = [k for k in rest if labels[k] != labels[best] or box_iou(boxes[k], boxes[best]) <= threshold]
    return torch.tensor(kept, dtype=torch.int64)


@variant("assign")
def point_by_point(points, boxes, labels):
    """A loop over points and boxes."""
    result = Targets(
        torch.full((len(points),), BACKGROUND), points.new_zeros(len(points), 4), points.new_zeros(len(points))
    )
    for row, (x, y) in enumerate(points):
        best = torch.inf
        for box, label in zip(boxes, labels, strict=True):
            left, top, right, bottom = edges = (x - box[0], y - box[1], box[2] - x, box[3] - y)
            if min(edges) > 0 and _area(box) < best:
                best = _area(box)
                result.labels[row], result.distances[row] = label, torch.stack(edges)
                ratio = min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom)
                result.centerness[row] = ratio.sqrt()
    return result


@variant("average_precision")
def recall_by_recall(scores, correct, truths):
    """Asks for each recall which precisions lie at it or beyond."""
    if truths < 1:
        raise ValueError(f"truths must be at least 1, got {truths}. Leave out a class that is nowhere.")
    hits = np.asarray(correct)[np.argsort(-np.asarray(scores), kind="stable")].cumsum()
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / truths
    return float(np.mean([max(precision[recall >= level], default=0.0) for level in np.linspace(0, 1, 101)]))
