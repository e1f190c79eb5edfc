"""Checks of detection."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from groundup.checking import (
    assert_close,
    assert_dtype_kept,
    assert_leading_axes,
    assert_refuses,
    assert_refuses_values,
    assert_unchanged,
    module_conventions,
    numerical_gradient,
)
from groundup.stack.deep.detection import (
    BACKGROUND,
    THRESHOLDS,
    Detections,
    Detector,
    Outputs,
    Tracker,
    Truth,
    assign,
    average_precision,
    box_iou,
    decode,
    detection_loss,
    focal_loss,
    from_centres,
    grid,
    match,
    mean_average_precision,
    nms,
    watch,
)

torch.set_num_threads(1)  # pictures this small are slower on two


def boxes_of(rng, *shape):
    """Boxes with an area, in a picture of 10 pixels."""
    corners = torch.from_numpy(np.sort(rng.uniform(0, 10, (*shape, 2, 2)), axis=-2))
    return corners.flatten(-2)


def found(*rows):
    """Detections of rows (left, top, right, bottom, score, label)."""
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].long())


def truth(*rows):
    """Truth of rows (left, top, right, bottom, label)."""
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)
    return Truth(table[:, :4], table[:, 4].long())


# --- boxes ----------------------------------------------------------------------------------------------------------

SQUARE = torch.tensor([0.0, 0.0, 4.0, 4.0])


def test_from_centres_by_hand():
    """Centre (5, 4), width 6, height 2: from 2 to 8 across, from 3 to 5 down."""
    assert_close(from_centres(torch.tensor([[5.0, 4.0, 6.0, 2.0]])), [[2.0, 3.0, 8.0, 5.0]])


def test_iou_by_hand():
    """Squares of 4, one moved by (2, 1), share 2 · 3 = 6 of 16 + 16 - 6 = 26 pixels."""
    assert_close(box_iou(SQUARE, torch.tensor([2.0, 1.0, 6.0, 5.0])), torch.tensor(6 / 26))
    assert_close(box_iou(SQUARE, torch.tensor([0.0, 1.0, 2.0, 2.0])), torch.tensor(2 / 16), "a box within another")


def test_boxes_apart_have_no_overlap():
    """Boxes apart in both directions, apart in one, and touching have an overlap of 0."""
    others = torch.tensor([[6.0, 7.0, 8.0, 9.0], [1.0, 6.0, 3.0, 8.0], [4.0, 0.0, 8.0, 4.0], [-3.0, -3.0, -1.0, -1.0]])
    assert_close(box_iou(SQUARE, others), torch.zeros(4))


def test_a_box_without_area():
    """A box without area has an overlap of 0 with any box, itself too, and not NaN."""
    point = torch.tensor([1.0, 1.0, 1.0, 1.0])
    assert_close(box_iou(torch.stack((SQUARE, point)), point), torch.zeros(2))


def test_generalized_iou_by_hand():
    """A square of 4 and one of 2 that begins 2 beyond: the box around has 8 · 4 = 32, 20 of them filled: -12 / 32."""
    other = torch.tensor([6.0, 0.0, 8.0, 2.0])
    assert_close(box_iou(SQUARE, other, generalized=True), torch.tensor(-12 / 32))
    moved = torch.tensor([2.0, 1.0, 6.0, 5.0])
    assert_close(
        box_iou(SQUARE, moved, generalized=True),
        torch.tensor(6 / 26 - (30 - 26) / 30),
        "where boxes overlap",
        rtol=1e-5,
    )
    assert_close(box_iou(SQUARE, SQUARE, generalized=True), torch.tensor(1.0), "a box with itself")


def test_generalized_iou_pulls_boxes_together():
    """Where boxes do not overlap, the gradient of the generalised overlap is not 0: it says where to go."""
    box = torch.tensor([6.0, 5.0, 8.0, 7.0], requires_grad=True)
    (plain,) = torch.autograd.grad(box_iou(SQUARE, box), box)
    (pull,) = torch.autograd.grad(box_iou(SQUARE, box, generalized=True), box)
    assert_close(plain, torch.zeros(4), "the plain overlap says nothing")
    assert (pull[:2] < 0).all(), f"left and top should become smaller, got the gradient {pull.tolist()}"


@pytest.mark.parametrize("generalized", [False, True])
def test_overlaps_are_symmetric_and_broadcast(generalized, rng):
    """The order of the two boxes does not matter, leading axes broadcast, and scale and place do not matter."""
    some, others = boxes_of(rng, 3), boxes_of(rng, 4)
    table = box_iou(some[:, None], others, generalized)
    assert table.shape == (3, 4), f"expected a row for each of 3 boxes, got {tuple(table.shape)}"
    assert_close(table[2, 1], box_iou(others[1], some[2], generalized), "one pair, the other way round")
    assert_close(table, box_iou(3 * some[:, None] + 7, 3 * others + 7, generalized), "three times as large, elsewhere")
    assert_leading_axes(lambda a, b: box_iou(a, b, generalized), boxes_of(rng, 3), others[:3])
    assert_dtype_kept(lambda a, b: box_iou(a, b, generalized), some, others[:3])
    assert_unchanged(box_iou, some, others[:3])


# --- suppression ----------------------------------------------------------------------------------------------------

ROW = torch.tensor([[0.0, 0.0, 10.0, 4.0], [2.0, 0.0, 12.0, 4.0], [4.0, 0.0, 14.0, 4.0], [20.0, 0.0, 30.0, 4.0]])
"""Neighbours of the first three overlap by 8 / 12, the first and the third by 6 / 14."""


def test_nms_by_hand():
    """The best stays and takes its neighbour; the third overlaps it by 3 / 7 only, and the taken one takes nobody."""
    scores, same = torch.tensor([0.9, 0.8, 0.7, 0.95]), torch.zeros(4).long()
    assert nms(ROW, scores, same).tolist() == [3, 0, 2], "0.5 unless given"
    assert nms(ROW, scores, same, 0.4).tolist() == [3, 0], "3 / 7 is more than 0.4"
    assert nms(ROW, scores, same, 0.7).tolist() == [3, 0, 1, 2], "8 / 12 is less than 0.7"


def test_a_class_suppresses_itself_only():
    """Boxes at one place but of two classes both stay."""
    scores = torch.tensor([0.7, 0.9, 0.8, 0.1])
    assert nms(ROW[[0, 0, 0, 3]], scores, torch.tensor([0, 1, 0, 1])).tolist() == [1, 2, 3]


def test_nms_at_its_threshold_and_with_ties():
    """An overlap equal to the threshold stays; of equal scores the earlier comes first; no boxes give none."""
    boxes = torch.tensor([[0.0, 0.0, 4.0, 1.0], [0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 4.0, 1.0]])
    assert nms(boxes, torch.tensor([0.5, 0.5, 0.5]), torch.zeros(3).long(), 0.5).tolist() == [0, 1]
    assert nms(boxes, torch.tensor([0.5, 0.5, 0.6]), torch.zeros(3).long(), 0.5).tolist() == [2, 1]
    many = torch.arange(40.0)[:, None] * 10 + torch.tensor([0.0, 0.0, 1.0, 1.0])
    assert nms(many, torch.ones(40), torch.zeros(40).long()).tolist() == list(range(40)), "forty equal scores"
    assert nms(ROW[:0], torch.zeros(0), torch.zeros(0).long()).tolist() == []


def test_nms_keeps_what_the_definition_keeps(rng):
    """Each box that stays overlaps no better one that stays; each that goes overlaps a better one that stays."""
    boxes, scores = boxes_of(rng, 40), torch.from_numpy(rng.permutation(40) / 40)
    labels = torch.from_numpy(rng.integers(0, 2, 40))
    kept = nms(boxes, scores, labels, 0.3).tolist()
    assert scores[kept].tolist() == sorted(scores[kept].tolist(), reverse=True), "best first"
    for box in range(40):
        rivals = [k for k in kept if scores[k] > scores[box] and labels[k] == labels[box]]
        taken = any(float(box_iou(boxes[box], boxes[k])) > 0.3 for k in rivals)
        assert taken != (box in kept), f"box {box}"
    assert_unchanged(nms, boxes, scores, labels)


def test_nms_refuses():
    """A threshold outside 0 to 1 is refused; 0 and 1 are not."""
    arguments = (ROW, torch.arange(4.0), torch.zeros(4).long())
    assert_refuses_values(lambda threshold: nms(*arguments, threshold), "threshold", -0.1, 1.5)
    assert len(nms(*arguments, 0.0)) == 2
    assert len(nms(*arguments, 1.0)) == 4


# --- targets and loss -----------------------------------------------------------------------------------------------


def test_assign_by_hand():
    """(3, 4) in the box (1, 2, 9, 5) has edges at 2, 2, 6 and 1: its centre-ness is sqrt(2 / 6 · 1 / 2)."""
    points = torch.tensor([[3.0, 4.0], [5.0, 3.5], [0.0, 4.0], [3.0, 6.0], [9.5, 4.0], [3.0, 1.0]])
    targets = assign(points, torch.tensor([[1.0, 2.0, 9.0, 5.0]]), torch.tensor([7]))
    assert targets.labels.tolist() == [7, 7, *[BACKGROUND] * 4], "two within, then outside at each of four sides"
    assert_close(targets.distances[:2], [[2.0, 2.0, 6.0, 1.0], [4.0, 1.5, 4.0, 1.5]], "left, top, right, bottom")
    assert_close(targets.centerness[:2], torch.tensor([(2 / 6 * 1 / 2) ** 0.5, 1.0]), "centre-ness")
    assert_close(targets.distances[2:], torch.zeros(4, 4), "zeros in the background")
    assert_close(targets.centerness[2:], torch.zeros(4), "zeros in the background")


def test_the_smallest_box_wins():
    """Where boxes overlap, a point belongs to the smallest, wherever it stands in the list; of equals to the first."""
    boxes = torch.tensor([[0.0, 0.0, 6.0, 6.0], [2.0, 2.0, 5.0, 5.0], [0.0, 0.0, 9.0, 9.0], [1.0, 1.0, 4.0, 4.0]])
    points = torch.tensor([[3.0, 3.0], [1.5, 1.5], [5.5, 5.5], [7.0, 7.0], [4.5, 4.5]])
    targets = assign(points, boxes, torch.tensor([0, 1, 2, 3]))
    assert targets.labels.tolist() == [1, 3, 0, 2, 1]
    assert_close(targets.distances[0], [1.0, 1.0, 2.0, 2.0], "the distances are those of the box that won")


def test_a_point_on_an_edge_is_outside():
    """A point lies in a box where all four distances are above 0."""
    points = torch.tensor([[1.0, 2.0], [3.0, 2.0], [2.0, 1.0], [2.0, 3.0], [1.01, 2.0]])
    targets = assign(points, torch.tensor([[1.0, 1.0, 3.0, 3.0]]), torch.tensor([0]))
    assert targets.labels.tolist() == [BACKGROUND] * 4 + [0]


def test_a_picture_without_boxes():
    """All points are background, with zeros of the usual shapes."""
    points = grid(2, 3, 4)
    targets = assign(points, torch.zeros(0, 4), torch.zeros(0).long())
    assert targets.labels.tolist() == [BACKGROUND] * 6
    assert_close(targets.distances, torch.zeros(6, 4))
    assert_close(targets.centerness, torch.zeros(6))


def test_assign_and_back(rng):
    """Distances added to the point give the box back, and arguments stay as they were."""
    points, boxes, labels = grid(5, 5, 2).double(), boxes_of(rng, 4), torch.arange(4)
    targets = assign(points, boxes, labels)
    inside = targets.labels != BACKGROUND
    assert inside.any(), "some points lie in a box"
    corners = torch.cat((points - targets.distances[:, :2], points + targets.distances[:, 2:]), dim=1)
    assert_close(corners[inside], boxes[targets.labels[inside]], "the box of each point")
    assert_unchanged(assign, points, boxes, labels)


def test_focal_loss_by_hand():
    """Where p = 0.9 for a yes: 0.25 · 0.1² · -log 0.9. p = 0.2 where the answer is no: 0.75 · 0.2² · -log 0.8."""
    logits = torch.tensor([[0.9, 0.2]], dtype=torch.float64).logit()
    expected = -0.25 * 0.01 * np.log(0.9) - 0.75 * 0.04 * np.log(0.8)
    assert_close(focal_loss(logits, torch.tensor([0])), torch.tensor(expected))
    background = -0.75 * (0.81 * np.log(0.1) + 0.04 * np.log(0.8))
    assert_close(focal_loss(logits, torch.tensor([BACKGROUND])), torch.tensor(background), "background: two times no")


def test_focal_loss_without_focus_is_cross_entropy(rng):
    """With alpha 0.5 and gamma 0 it is half of PyTorch's binary cross-entropy, added up."""
    logits, labels = torch.from_numpy(rng.normal(size=(6, 3))), torch.tensor([0, 1, 2, -1, 2, -1])
    yes = torch.zeros(6, 3, dtype=torch.float64)
    yes[[0, 1, 2, 4], [0, 1, 2, 2]] = 1
    expected = functional.binary_cross_entropy_with_logits(logits, yes, reduction="sum") / 2
    assert_close(focal_loss(logits, labels, alpha=0.5, gamma=0.0), expected)
    assert_close(
        focal_loss(logits, labels, 0.9, 1.5),
        focal_loss(logits.flip(1), torch.where(labels < 0, -1, 2 - labels), 0.9, 1.5),
    )
    assert_unchanged(focal_loss, logits, labels)


def test_focal_loss_has_its_gradient(rng):
    """Its gradient is that of central differences."""
    logits, labels = rng.normal(size=(4, 2)), torch.tensor([0, -1, 1, 1])
    tensor = torch.from_numpy(logits).requires_grad_()
    (gradient,) = torch.autograd.grad(focal_loss(tensor, labels, 0.3, 1.7), tensor)
    expected = numerical_gradient(lambda x: focal_loss(torch.from_numpy(x), labels, 0.3, 1.7), logits)
    assert_close(gradient, expected, rtol=1e-5)


def test_focal_loss_of_large_logits():
    """Logits of ±1,000 give neither NaN nor infinity, in the loss or its gradient; a wrong one costs 1,000 · alpha."""
    logits = torch.tensor([[1000.0, -1000.0], [-1000.0, -1000.0]], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([0, 1]))
    assert_close(loss, torch.tensor(250.0))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(gradient).all(), f"{gradient}"


def test_focal_loss_refuses():
    """An alpha outside 0 to 1 and a gamma below 0 are refused; 0 and 1 are not."""
    logits, labels = torch.zeros(1, 1), torch.tensor([0])
    assert_refuses_values(lambda alpha: focal_loss(logits, labels, alpha), "alpha", -0.5, 2.0)
    assert_refuses_values(lambda gamma: focal_loss(logits, labels, 0.5, gamma), "gamma", -1.0)
    assert float(focal_loss(logits, labels, 0.0)) == 0.0
    assert_close(focal_loss(logits, labels, 1.0, 0.5), torch.tensor(0.5**0.5 * np.log(2)), "gamma below 1")


def test_the_whole_loss_by_hand():
    """Focal loss, 1 - generalised overlap and cross-entropy of centre-ness, over the number of points in a box."""
    points = torch.tensor([[2.0, 2.0], [8.0, 8.0]])
    targets = assign(points, torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.tensor([0]))
    said = torch.tensor([[[2.0, 2.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0]]])
    outputs = Outputs(torch.zeros(1, 2, 1), said, torch.zeros(1, 2), points)
    expected = 0.25 * np.log(2) * (0.25 + 0.75) + (1 - 0.5) + np.log(2)
    assert_close(detection_loss(outputs, [targets]), torch.tensor(expected), rtol=1e-5)
    logits, distances, centerness = (torch.cat((part, part)) for part in outputs[:3])
    twice = Outputs(logits, distances, centerness, points)
    assert_close(detection_loss(twice, [targets] * 2), torch.tensor(expected), "two equal pictures", rtol=1e-5)
    nothing = assign(points, torch.zeros(0, 4), torch.zeros(0).long())
    assert_close(detection_loss(outputs, [nothing]), torch.tensor(0.25 * 2 * 0.75 * np.log(2)), "nothing", rtol=1e-5)


# --- network, decoding, video ---------------------------------------------------------------------------------------


def test_decode_turns_distances_into_boxes():
    """A point at (10, 6) with distances 1, 2, 3, 4 is the box (9, 4, 13, 10), with sqrt(0.8 · 0.5) as its score."""
    points = torch.tensor([[10.0, 6.0], [10.0, 7.0], [0.0, 0.0]])
    logits = torch.tensor([[[-9.0, 0.8], [-9.0, 0.7], [-9.0, -9.0]]])
    logits[0, :2, 1] = logits[0, :2, 1].logit()
    outputs = Outputs(logits, torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(1, 3, 4), torch.zeros(1, 3), points)
    (seen,) = decode(outputs)
    assert_close(seen.boxes, [[9.0, 4.0, 13.0, 10.0]], "the neighbour, which overlaps by 5 / 7, is suppressed")
    assert_close(seen.scores, torch.tensor([0.4**0.5]))
    assert seen.labels.tolist() == [1]
    assert len(decode(outputs, overlap=0.8)[0].boxes) == 2
    assert len(decode(outputs, overlap=0.8, limit=1)[0].boxes) == 1
    assert len(decode(outputs, overlap=0.8, candidates=1)[0].boxes) == 1
    assert len(decode(outputs, least=0.7)[0].boxes) == 0


@pytest.mark.parametrize("convention", module_conventions(without=["follows_the_device", "takes_any_leading_axes"]))
def test_the_detector_is_a_module(convention, rng):
    """It keeps PyTorch's conventions."""

    class Answers(nn.Module):
        """The detector's three answers in one tensor."""

        def __init__(self) -> None:
            super().__init__()
            self.detector = Detector(2, 8)

        def forward(self, images):
            outputs = self.detector(images)
            return torch.cat((outputs.logits, outputs.distances, outputs.centerness[..., None]), dim=2)

    convention(Answers, torch.from_numpy(rng.normal(size=(3, 3, 32, 16))).float())


def test_the_tracker_keeps_numbers():
    """Two things that move, cross in the list, go and come back keep their numbers; a new one gets a new one."""
    tracker = Tracker(threshold=0.3, patience=1)
    assert tracker.update(found((0, 0, 4, 4, 0.9, 0), (10, 0, 14, 4, 0.8, 0))) == [1, 2]
    assert tracker.update(found((11, 0, 15, 4, 0.9, 0), (1, 0, 5, 4, 0.8, 0))) == [2, 1], "in another order"
    assert tracker.update(found((1, 0, 5, 4, 0.8, 0))) == [1], "the second is unseen for a frame"
    assert tracker.update(found((11, 0, 15, 4, 0.8, 0), (1, 0, 5, 4, 0.8, 1))) == [2, 3], "another class is another"
    for _ in range(2):
        assert tracker.update(found()) == []
    assert tracker.update(found((11, 0, 15, 4, 0.8, 0))) == [4], "unseen for two frames is more than its patience"


def test_the_tracker_gives_a_number_once():
    """Of two boxes that overlap one thing, the better overlap takes its number."""
    tracker = Tracker()
    tracker.update(found((0, 0, 10, 10, 0.9, 0)))
    assert tracker.update(found((2, 0, 12, 10, 0.9, 0), (1, 0, 11, 10, 0.8, 0))) == [2, 1]


def test_watch_reads_frame_by_frame():
    """Frames may come from a generator without end: one is read for each that is asked for."""
    read = []

    def camera():
        while True:
            read.append(None)
            yield torch.zeros(3, 16, 16)

    frames = watch(Detector(1, 8), camera(), least=0.0)
    for number in (1, 2):
        seen, numbers = next(frames)
        assert len(read) == number, f"{len(read)} frames were read for {number}"
        assert len(seen.boxes) == len(numbers) > 0, "a number for each box"


# --- average precision ----------------------------------------------------------------------------------------------


def test_match_by_hand():
    """The best detection takes its best box; the next takes what is left, if it overlaps it enough."""
    overlaps = torch.tensor([[0.6, 0.8], [0.1, 0.9], [0.55, 0.7], [0.9, 0.9]])
    assert match(overlaps).tolist() == [1, -1, 0, -1], "0.5 unless given; a box is taken once"
    assert match(overlaps, 0.85).tolist() == [-1, 1, -1, 0]


def test_match_at_its_threshold_and_with_ties():
    """An overlap equal to the threshold counts; of equal overlaps the last box wins, as in COCO; nothing is matched."""
    assert match(torch.tensor([[0.5, 0.25]])).tolist() == [0]
    assert match(torch.tensor([[0.75, 0.75, 0.5]])).tolist() == [1]
    assert match(torch.zeros(2, 0)).tolist() == [-1, -1]
    assert match(torch.zeros(0, 3)).tolist() == []


def test_average_precision_by_hand():
    """Right, wrong, right, of two true boxes: precision 1 up to recall 0.5, then 2 / 3. (51 · 1 + 50 · 2 / 3) / 101."""
    correct = torch.tensor([True, False, True])
    expected = (51 + 50 * 2 / 3) / 101
    assert_close(average_precision(torch.tensor([0.9, 0.8, 0.7]), correct, 2), expected, rtol=1e-12)
    shuffled = average_precision(torch.tensor([0.7, 0.9, 0.8]), correct[[2, 0, 1]], 2)
    assert_close(shuffled, expected, "in another order", rtol=1e-12)


def test_average_precision_is_of_the_best_beyond():
    """Wrong, right, right, right of four: precision climbs to 3 / 4, so it is 3 / 4 up to the recall 0.75, then 0."""
    correct = torch.tensor([False, True, True, True])
    assert_close(average_precision(torch.tensor([0.9, 0.8, 0.7, 0.6]), correct, 4), 76 * 0.75 / 101, rtol=1e-12)


def test_average_precision_of_all_and_of_nothing():
    """All found and nothing else is 1, nothing found is 0, and a false alarm after all is found costs nothing."""
    assert average_precision(torch.tensor([0.9, 0.8]), torch.tensor([True, True]), 2) == 1.0
    assert average_precision(torch.zeros(0), torch.zeros(0, dtype=torch.bool), 3) == 0.0
    assert average_precision(torch.tensor([0.9]), torch.tensor([False]), 1) == 0.0
    assert average_precision(torch.tensor([0.9, 0.1]), torch.tensor([True, False]), 1) == 1.0


def test_average_precision_with_ties_and_refusals():
    """Of equal scores the earlier comes first, of forty too; without true boxes it is refused."""
    ties = torch.full((40,), 0.5)
    assert average_precision(ties, torch.arange(40) < 20, 20) == 1.0
    assert average_precision(torch.tensor([0.5, 0.5]), torch.tensor([False, True]), 1) == 0.5
    assert_refuses_values(lambda truths: average_precision(ties, ties > 1, truths), "truths", 0, -1)
    assert_unchanged(average_precision, torch.rand(5), torch.rand(5) > 0.5, 6)


def test_mean_average_precision_by_hand():
    """A class that is found, a class that is missed, a class that is not there: the mean of 1 and 0."""
    truths = [truth((0, 0, 4, 4, 0), (8, 8, 12, 12, 1))]
    seen = [found((0, 0, 4, 4, 0.9, 0), (0, 0, 4, 4, 0.8, 2))]
    assert_close(mean_average_precision(seen, truths), 0.5, rtol=1e-12)
    loose = [found((0, 0, 4, 3, 0.9, 0))]  # overlaps by 0.75, which is enough for six of ten thresholds
    assert_close(mean_average_precision(loose, truths), 0.6 / 2, "averaged over 0.5, 0.55 … 0.95", rtol=1e-12)
    assert len(THRESHOLDS) == 10


def test_matches_stay_within_their_picture():
    """A box in the wrong picture finds nothing; the best `limit` of a picture count; empty pictures are refused."""
    here, empty = truth((0, 0, 4, 4, 0)), truth()
    hit, miss = found((0, 0, 4, 4, 0.5, 0)), found((9, 9, 12, 12, 0.9, 0), (0, 0, 4, 4, 0.5, 0))
    assert mean_average_precision([found(), hit], [here, empty]) == 0.0
    assert_close(mean_average_precision([hit, miss], [here, here]), (51 * 2 / 3 + 50 * 2 / 3) / 101, rtol=1e-12)
    assert_close(mean_average_precision([hit, miss], [here, here], limit=1), 51 * 0.5 / 101, rtol=1e-12)
    assert_refuses(lambda: mean_average_precision([hit], [here, here]), "found", 2, 1)
    assert_refuses(lambda: mean_average_precision([hit], [empty]), "truths", 1)
