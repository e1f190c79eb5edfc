"""Checks of segmentation."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from groundup.checking import assert_close, assert_dtype_kept, assert_refuses, assert_refuses_values, assert_unchanged
from groundup.stack.deep.segmentation import UNet, dice, iou, join, predict_tiled, soft_dice_loss, tile_starts

torch.set_num_threads(1)  # pictures this small are slower on two
MEASURES = pytest.mark.parametrize("measure", [dice, iou])


def normal(rng, *shape):
    """A float32 tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape)).float()


def mask(*rows):
    """A mask of rows of 0 and 1, written as texts."""
    return torch.tensor([[pixel == "1" for pixel in row] for row in rows])


def masks(rng, *shape):
    """Random masks."""
    return torch.from_numpy(rng.random(shape) < 0.4)


def small(depth=2, **settings):
    """A network of few weights, the same each time, in eval mode."""
    torch.manual_seed(0)
    return UNet(2, 3, 2, depth, **settings).eval()


# --- measures -------------------------------------------------------------------------------------------------------


def test_dice_and_iou_by_hand():
    """Of 3 and 2 pixels 2 are shared: Dice 2 · 2 / (3 + 2) = 0.8, and IoU 2 / 3."""
    predicted, target = mask("110", "010"), mask("110", "000")
    assert_close(dice(predicted, target), 0.8, "Dice")
    assert_close(iou(predicted, target), 2 / 3, "IoU")


@MEASURES
def test_empty_masks_agree(measure):
    """Two empty masks agree: 1. One empty, the other with a single pixel: 0, both ways."""
    empty, single = mask("000", "000"), mask("000", "010")
    assert_close(measure(empty, empty), 1.0, "both empty")
    assert_close(measure(empty, single), 0.0, "predicted nothing")
    assert_close(measure(single, empty), 0.0, "predicted a pixel too many")


@MEASURES
def test_equal_and_disjoint_masks(measure):
    """A mask and itself give 1, also of a single pixel or of all; a mask and its complement give 0."""
    for filled in (mask("010"), mask("111", "111")):
        assert_close(measure(filled, filled), 1.0, f"{filled.tolist()} and itself")
    assert_close(measure(mask("0110"), mask("1001")), 0.0, "disjoint")


@MEASURES
def test_masks_are_measured_one_by_one(measure, rng):
    """Each pair has its own measure, over any axes in front; a batch of none gives none."""
    predicted, target = masks(rng, 2, 3, 4, 5), masks(rng, 2, 3, 4, 5)
    predicted[0, 0], target[0, 0] = False, False
    result = measure(predicted, target)
    each = [[measure(predicted[i, j], target[i, j]) for j in range(3)] for i in range(2)]
    assert_close(result, torch.tensor(each, dtype=torch.float64), "pair by pair")
    assert tuple(measure(predicted[:0], target[:0]).shape) == (0, 3), "an empty batch"


def test_dice_and_iou_are_those_of_sets(rng):
    """They are those of Python's sets of pixels; and Dice is 2 IoU / (1 + IoU)."""
    predicted, target = masks(rng, 6, 4, 7), masks(rng, 6, 4, 7)
    for number in range(6):
        p, t = (set(map(tuple, part[number].nonzero().tolist())) for part in (predicted, target))
        assert_close(dice(predicted, target)[number], 2 * len(p & t) / (len(p) + len(t)), "Dice")
        assert_close(iou(predicted, target)[number], len(p & t) / len(p | t), "IoU")
    overlap = iou(predicted, target)
    assert_close(dice(predicted, target), 2 * overlap / (1 + overlap), "each by the other")


@MEASURES
def test_measures_are_exact_and_symmetric(measure, rng):
    """They come in float64, in either order of the masks, and leave the masks as they were."""
    predicted, target = masks(rng, 3, 5, 5), masks(rng, 3, 5, 5)
    result = measure(predicted, target)
    assert result.dtype == torch.float64, f"{result.dtype}"
    assert_close(measure(target, predicted), result, "the other way round")
    assert_unchanged(measure, predicted, target)


@MEASURES
def test_measures_refuse(measure):
    """Masks that are not bool, either of them, and shapes that differ, even where they would broadcast, are refused."""
    good = mask("01", "10")
    assert_refuses(lambda: measure(good.float(), good), "predicted", "float32")
    assert_refuses(lambda: measure(good, good.long()), "target", "int64")
    assert_refuses(lambda: measure(good, good[None]), "target", (1, 2, 2))


# --- the loss -------------------------------------------------------------------------------------------------------


def test_soft_dice_loss_by_hand():
    """Four pixels at probability ½, one of them a nucleus: 1 - (2 · ½ + 1) / (2 + 1 + 1) = ½; with smooth 3, ⅓."""
    logits, target = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert_close(soft_dice_loss(logits, target), 0.5, "smooth 1, which is the default")
    assert_close(soft_dice_loss(logits, target, smooth=3.0), 1 - 4 / 6, "smooth 3")


def test_soft_dice_loss_averages_over_pictures():
    """A picture with a large nucleus and one with a small count alike: it is the mean of both losses."""
    target = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]]])
    logits = torch.tensor([[[9.0, 9.0], [9.0, 9.0]], [[-9.0, -9.0], [-9.0, -9.0]]])
    each = [soft_dice_loss(logits[i], target[i]) for i in range(2)]
    assert_close(soft_dice_loss(logits, target), (each[0] + each[1]) / 2, "two pictures")
    assert_close(soft_dice_loss(logits[:, None, None], target[:, None, None]), (each[0] + each[1]) / 2, "more axes")


def test_confident_logits_give_one_minus_dice(rng):
    """With logits of ±40 and a tiny smooth it is 1 - Dice."""
    predicted, target = masks(rng, 4, 6, 6), masks(rng, 4, 6, 6)
    loss = soft_dice_loss(80.0 * predicted.double() - 40, target.double(), smooth=1e-9)
    assert_close(loss, 1 - dice(predicted, target).mean(), rtol=1e-6)


def test_an_empty_mask_has_a_gradient():
    """On an empty mask every logit is pushed down, and a confident "nothing" costs almost nothing."""
    logits = torch.zeros(3, 3, requires_grad=True)
    soft_dice_loss(logits, torch.zeros(3, 3)).backward()
    assert logits.grad is not None
    assert bool((logits.grad > 0).all()), f"gradients {logits.grad}"
    assert_close(soft_dice_loss(torch.full((3, 3), -30.0), torch.zeros(3, 3)), 0.0, atol=1e-6)


def test_soft_dice_loss_is_its_formula(rng):
    """It is the formula, pixel by pixel, and keeps float32 and float64."""
    logits, target = normal(rng, 2, 3, 4).double(), masks(rng, 2, 3, 4).double()
    losses = []
    for number in range(2):
        p = [1 / (1 + 2.718281828459045 ** -float(z)) for z in logits[number].flatten()]
        t = target[number].flatten().tolist()
        both = sum(a * b for a, b in zip(p, t, strict=True))
        losses.append(1 - (2 * both + 0.5) / (sum(p) + sum(t) + 0.5))
    assert_close(soft_dice_loss(logits, target, smooth=0.5), sum(losses) / 2)
    assert_dtype_kept(soft_dice_loss, logits, target)


def test_soft_dice_loss_refuses():
    """Shapes that differ, even where they would broadcast, and a smooth that is not above 0 are refused."""
    logits, target = torch.zeros(2, 1, 3, 3), torch.zeros(2, 3, 3)
    assert_refuses(lambda: soft_dice_loss(logits, target), "target", (2, 3, 3))
    assert_refuses_values(lambda smooth: soft_dice_loss(target, target, smooth), "smooth", 0.0, -1.0, float("nan"))


# --- the network ----------------------------------------------------------------------------------------------------


def test_join_by_hand():
    """The skip's channels come first; 1 2 / 3 4 becomes 1 2 2 / 3 4 4 / 3 4 4 beside a skip of 3 × 3."""
    deep, skip = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), torch.zeros(1, 2, 3, 3)
    result = join(deep, skip)
    assert tuple(result.shape) == (1, 3, 3, 3), f"{tuple(result.shape)}"
    assert_close(result[:, :2], skip, "the skip")
    assert_close(result[0, 2], [[1.0, 2.0, 2.0], [3.0, 4.0, 4.0], [3.0, 4.0, 4.0]], "the maps from below")


@pytest.mark.parametrize(("height", "width"), [(4, 5), (5, 4), (4, 4), (6, 4)])
def test_join_fits_each_side_by_itself(height, width, rng):
    """Maps of 4 × 4 fit a skip that is higher, wider or equal; what they had stays where it was."""
    deep, skip = normal(rng, 2, 3, 4, 4), normal(rng, 2, 1, height, width)
    result = join(deep, skip)
    assert tuple(result.shape) == (2, 4, height, width), f"{tuple(result.shape)}"
    assert_close(result[:, 1:, :4, :4], deep, "the upper left")
    assert_close(result[:, 1:, -1, -1], deep[:, :, -1, -1], "the lower right corner is repeated")
    assert_close(result[:, :1], skip, "the skip")


def test_join_refuses_what_is_larger(rng):
    """Maps from below that are higher or wider than the skip are refused."""
    skip = normal(rng, 1, 1, 4, 4)
    assert_refuses(lambda: join(normal(rng, 1, 1, 5, 4), skip), "deep", (5, 4))
    assert_refuses(lambda: join(normal(rng, 1, 1, 4, 6), skip), "deep", (4, 6))


def climb(network, images, level=0):
    """What a U-Net gives at a level, told from above: the level's maps, joined with twice what lies below."""
    if level == len(network.down):
        return network.bottom(images)
    here = network.down[level](images)
    below = climb(network, functional.max_pool2d(here, 2), level + 1)
    twice = network.rise[-1 - level](below)
    right, lower = here.shape[3] - twice.shape[3], here.shape[2] - twice.shape[2]
    twice = functional.pad(twice, (0, right, 0, lower), mode="replicate")
    return network.merge[-1 - level](torch.cat([here if network.skips else 0 * here, twice], dim=1))


@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize(("depth", "size"), [(0, (3, 4)), (1, (4, 6)), (2, (8, 4)), (2, (9, 7)), (3, (8, 13))])
def test_the_network_is_what_its_levels_are(depth, size, skips, rng):
    """Level by level it is the encoder, the level below at half the size, and the decoder; also for odd sides."""
    network, images = small(depth, skips=skips), normal(rng, 2, 2, *size)
    expected = network.head(climb(network, images))
    result = network(images)
    assert tuple(result.shape) == (2, 3, *size), f"three logits for each pixel, got {tuple(result.shape)}"
    assert_close(result, expected, f"depth {depth}, skips {skips}", rtol=1e-4, atol=1e-5)


def test_a_skip_carries_what_the_bottom_loses():
    """A checkerboard is lost when 2 × 2 pixels become one; with skips it reaches the logits, without it does not."""
    board = ((torch.arange(8)[:, None] + torch.arange(8)) % 2).float().expand(1, 2, 8, 8)
    for skips, seen in ((True, True), (False, False)):
        network = small(1, skips=skips)
        nn.init.zeros_(network.get_parameter("rise.0.weight"))  # nothing comes from below
        differs = bool((network(board) - network(1 - board)).abs().max() > 1e-3)
        assert differs == seen, f"skips={skips}: the two boards {'differ' if differs else 'look alike'}"


def test_every_weight_learns(rng):
    """With skips every weight has a gradient; without, the encoder still learns through the bottom."""
    for skips in (True, False):
        network = small(skips=skips).train()
        network(normal(rng, 4, 2, 8, 8)).square().mean().backward()
        lazy = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
        assert not [name for name in lazy if name.startswith(("down", "bottom", "rise", "head"))], f"{lazy}"


def test_the_network_refuses_small_pictures(rng):
    """A side below 2 to the depth is refused, and one that is just large enough is fine."""
    network = small()
    assert_refuses(lambda: network(normal(rng, 1, 2, 3, 8)), "images", 3)
    assert_refuses(lambda: network(normal(rng, 1, 2, 8, 2)), "images", 2)
    assert tuple(network(normal(rng, 1, 2, 4, 4)).shape) == (1, 3, 4, 4)


# --- tiles ----------------------------------------------------------------------------------------------------------


def test_tile_starts_by_hand():
    """Tiles of 4 at a step of 2 in 9 pixels begin at 0, 2, 4, and the last at 5; in 4 pixels there is one."""
    assert [tile_starts(9, 4, 2), tile_starts(4, 4, 2), tile_starts(8, 4, 4)] == [[0, 2, 4, 5], [0], [0, 4]]


def test_tiles_are_mirrored_at_the_rim_by_hand():
    """Of 1 2 3 with a margin of 1 the tiles see 2 1 2 | 1 2 3 | 2 3 2 in each direction."""
    seen = []

    def predict(tile):
        seen.append(tile[0, 0, 1].tolist())
        return tile

    images = torch.tensor([[1.0, 2.0, 3.0]]).expand(3, 3)[None, None]
    assert_close(predict_tiled(predict, images, 3, 1), images)
    expected = [row for row in ([1.0, 2.0, 3.0], [2.0, 1.0, 2.0], [2.0, 3.0, 2.0]) for _ in range(3)]
    assert sorted(seen) == expected, f"a tile for each pixel; their middle rows were {sorted(seen)}"


@pytest.mark.parametrize(("tile", "margin"), [(6, 1), (5, 1), (3, 1), (8, 2), (9, 1), (7, 3)])
@pytest.mark.parametrize("size", [(9, 12), (7, 8)])
def test_tiles_have_no_seams(tile, margin, size, rng):
    """A 3 × 3 filter looks one pixel far: with a margin of at least 1, tiles give what the whole picture gives."""
    kernels, images = normal(rng, 4, 2, 3, 3), normal(rng, 2, 2, *size)
    whole = functional.conv2d(functional.pad(images, (1, 1, 1, 1), mode="reflect"), kernels)
    result = predict_tiled(lambda part: functional.conv2d(part, kernels, padding=1), images, tile, margin)
    assert tuple(result.shape) == (2, 4, *size), f"{tuple(result.shape)}"
    assert_close(result, whole, f"tile {tile}, margin {margin}", rtol=1e-4, atol=1e-5)


def test_every_tile_has_its_size(rng):
    """`predict` sees tiles of 6 × 6 only, also at the rim, and as few as cover it: 3 down, 4 across."""
    shapes = []
    predict_tiled(lambda part: shapes.append(tuple(part.shape)) or part, normal(rng, 2, 1, 9, 14), 6, 1)
    assert shapes == [(2, 1, 6, 6)] * 12, f"{len(shapes)} tiles: {set(shapes)}"


def test_without_a_margin_seams_show(rng):
    """With a margin of 0 each tile is predicted alone: its rim sees zeros, where the picture goes on."""
    kernels, images = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 4, 8)
    result = predict_tiled(lambda part: functional.conv2d(part, kernels, padding=1), images, 4, 0)
    assert_close(result[0, 0, 1], [6.0, 9.0, 9.0, 6.0, 6.0, 9.0, 9.0, 6.0])


def test_predict_tiled_leaves_pictures_and_kinds(rng):
    """Pictures stay as they were, the result has predict's kind of number, and shares no memory with the pictures."""
    images = normal(rng, 1, 1, 6, 6)
    assert_unchanged(lambda part: predict_tiled(lambda tile: tile, part, 4, 1), images, own_result=True)
    assert predict_tiled(lambda tile: tile.double(), images, 4, 1).dtype == torch.float64


def test_predict_tiled_refuses(rng):
    """A tile without a middle, a negative margin, and pictures below a middle or not above the margin are refused."""
    images = normal(rng, 1, 1, 8, 9)
    assert_refuses_values(lambda tile: predict_tiled(lambda part: part, images, tile, 2), "tile", 4, 3)
    assert_refuses_values(lambda margin: predict_tiled(lambda part: part, images, 4, margin), "margin", -1)
    assert_refuses(lambda: predict_tiled(lambda part: part, images, 13, 2), "images", 8)
    assert_refuses(lambda: predict_tiled(lambda part: part, images[..., :2], 6, 2), "images", 2)
    assert_close(predict_tiled(lambda part: part, images, 12, 2), images, "a middle as high as the picture is fine")
