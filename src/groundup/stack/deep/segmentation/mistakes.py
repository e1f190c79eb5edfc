# pyright: basic
"""Ways to get segmentation wrong, and right ways that differ."""

import torch
from torch.nn import functional

from groundup.anatomy import mistake, variant
from groundup.stack.deep.segmentation.segmentation import (
    _check_masks,
    _check_shapes,
    _check_sides,
    _check_tiles,
    join,
    tile_starts,
)


@mistake("join", edit=("(0, across, 0, down)", "(across, 0, down, 0)"))
def pads_at_the_upper_left():
    """You pad at the left and at the top. Halving dropped the last row and column: pad at the right and the bottom."""


@mistake("join", edit=('mode="replicate"', 'mode="constant"'))
def pads_with_zeros():
    """You fill up with zeros, which draws a dark rim into the maps. Repeat the last row and the last column."""


@mistake("join")
def puts_the_skip_last(deep, skip):
    """You put the channels from below first. Those of the skip come first."""
    down, across = skip.shape[2] - deep.shape[2], skip.shape[3] - deep.shape[3]
    if down < 0 or across < 0:
        raise ValueError(f"deep must not be larger than the skip, got {tuple(deep.shape[2:])}")
    return torch.cat([functional.pad(deep, (0, across, 0, down), mode="replicate"), skip], dim=1)


@mistake("UNet.forward", edit=("functional.max_pool2d(maps, 2)", "functional.avg_pool2d(maps, 2)"))
def halves_by_the_average():
    """You halve maps by their average. The encoder keeps the maximum of each 2 × 2 pixels."""


@mistake("UNet.forward", edit=("maps if self.skips else torch.zeros_like(maps)", "maps"))
def always_skips():
    """You hand the encoder's maps over although `skips` is off. The decoder then sees zeros in their place."""


@mistake("UNet.forward", edit=("return self.head(maps)", "return torch.sigmoid(self.head(maps))"))
def returns_probabilities():
    """You return probabilities. Losses here and elsewhere take logits: return those of the head."""


@mistake("dice", edit=("2 * both / total", "both / total"))
def forgets_the_two():
    """You forget the factor 2, so that a mask and itself give ½."""


@mistake("dice", edit=("torch.where(total == 0, 1.0, 2 * both / total)", "2 * both / total"))
def divides_nothing_by_nothing():
    """Two empty masks give you 0 / 0. They agree: 1."""


@mistake("dice", edit=("total == 0, 1.0", "total == 0, 0.0"))
def punishes_empty_masks():
    """You give two empty masks 0. To predict nothing where nothing is, is right: 1."""


@mistake("dice")
def pools_the_batch(predicted, target):
    """You add pixels over all pairs, so that pictures with much in them decide. Sum over the last two axes only."""
    _check_masks(predicted, target)
    total = (predicted.sum() + target.sum()).double()
    value = 2 * (predicted & target).sum() / total if total else total + 1
    return value.expand(predicted.shape[:-2])


@mistake(
    "iou", edit=("(predicted | target).sum(dim=(-2, -1))", "predicted.sum(dim=(-2, -1)) + target.sum(dim=(-2, -1))")
)
def counts_the_intersection_twice():
    """You divide by the sum of both masks, which has shared pixels twice. The union has them once."""


@mistake("iou", edit=("predicted | target", "predicted ^ target"))
def leaves_the_intersection_out():
    """You divide by the pixels that differ, so that values exceed 1. The union has the shared pixels too: `|`."""


@mistake("iou", edit=("either == 0, 1.0", "either == 0, 0.0"))
def punishes_an_empty_union():
    """You give two empty masks the IoU 0. They agree: 1."""


@mistake("soft_dice_loss", edit=("torch.sigmoid(logits)", "logits"))
def takes_logits_for_probabilities():
    """You put logits into the formula. It wants probabilities: their sigmoid."""


@mistake("soft_dice_loss", edit=("(2 * both + smooth)", "(2 * both)"))
def smooths_below_only():
    """You add `smooth` below the line only, so that an empty mask costs 1 however well it is predicted."""


@mistake(
    "soft_dice_loss",
    edit=("(p * target).sum(dim=(-2, -1)), (p + target).sum(dim=(-2, -1))", "(p * target).sum(), (p + target).sum()"),
)
def pools_the_pictures():
    """You sum over all pictures at once: one large nucleus outweighs ten small ones. Take the mean of losses."""


@mistake("soft_dice_loss", edit=("torch.sigmoid(logits)", "(logits > 0).to(logits)"))
def cuts_before_the_loss():
    """You cut at 0 before you compare: a step has no gradient, and nothing learns. Keep the probabilities."""


@mistake("predict_tiled", edit=('mode="reflect"', 'mode="constant"'))
def surrounds_with_zeros():
    """You surround pictures by zeros, a dark frame that no training picture had. Mirror them at their rims."""


@mistake("predict_tiled", edit=("margin : margin + step, margin : margin + step", ":step, :step"))
def keeps_the_corner():
    """You keep the upper left of each tile's prediction. Its middle is what saw its surroundings, and belongs there."""


@mistake("predict_tiled", edit=("step = tile - 2 * margin", "step = tile - margin"))
def throws_one_side_away():
    """You move on by the tile less one margin. A margin goes on either side: tile - 2 · margin."""


@variant("dice")
def by_the_union(predicted, target):
    """Dice by way of IoU."""
    _check_masks(predicted, target)
    either = (predicted | target).flatten(-2).sum(-1).double()
    overlap = torch.where(either > 0, (predicted & target).flatten(-2).sum(-1) / either, 1.0)
    return 2 * overlap / (1 + overlap)


@variant("UNet.forward")
def takes_skips_from_a_stack(self, images):
    """Skips are taken off the end of a list."""
    _check_sides(images, len(self.down))
    stack = []
    for encode in self.down:
        images = encode(images)
        stack.append(images)
        images = functional.max_pool2d(images, kernel_size=2)
    images = self.bottom(images)
    for level, rise in enumerate(self.rise):
        skip = stack.pop()
        images = self.merge[level](join(rise(images), skip if self.skips else skip * 0))
    return self.head(images)


@variant("soft_dice_loss")
def picture_by_picture(logits, target, smooth=1.0):
    """The loss of each picture, and their mean."""
    _check_shapes(logits, target)
    if not smooth > 0:
        raise ValueError(f"smooth: {smooth}")
    flat = logits.sigmoid().reshape(-1, logits.shape[-2] * logits.shape[-1])
    wanted = target.reshape(flat.shape)
    return torch.stack(
        [1 - (2 * (p @ t) + smooth) / (p.sum() + t.sum() + smooth) for p, t in zip(flat, wanted, strict=True)]
    ).mean()


@variant("predict_tiled")
def row_after_row(predict, images, tile, margin):
    """The last tiles first, so that where middles overlap the others win."""
    _check_tiles(images, tile, margin)
    padded = functional.pad(images, (margin,) * 4, mode="reflect")
    step, maps = tile - 2 * margin, {}
    for top in tile_starts(padded.shape[2], tile, step)[::-1]:
        for left in tile_starts(padded.shape[3], tile, step)[::-1]:
            part = predict(padded[..., top : top + tile, left : left + tile])
            maps[top, left] = part[..., margin : tile - margin, margin : tile - margin]
    first = next(iter(maps.values()))
    output = torch.zeros(*first.shape[:2], *images.shape[2:], dtype=first.dtype)
    for (top, left), part in maps.items():
        output[..., top : top + step, left : left + step] = part
    return output
