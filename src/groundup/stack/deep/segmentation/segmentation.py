"""A class for each pixel: U-Net, the Dice loss, two measures of overlap, and pictures that are larger than a tile.

    network = UNet(channels=1, width=8, depth=3)
    loss = soft_dice_loss(network(images)[:, 0], masks.float())
    logits = predict_tiled(network, large, tile=256, margin=32)
    score = dice(logits[:, 0] > 0, masks)

U-Net and its overlapping tiles are from Ronneberger, Fischer and Brox (2015), https://arxiv.org/abs/1505.04597, the
soft Dice loss follows Milletari, Navab and Ahmadi (2016), https://arxiv.org/abs/1606.04797, without the squares in its
denominator. Convolutions are padded here, so that a mask is as large as its picture.

Not covered: telling nuclei apart that touch, more than two classes in the loss, three dimensions.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

Images = Float[Tensor, "batch channels height width"]
Masks = Bool[Tensor, "*batch height width"]


# --- the network ----------------------------------------------------------------------------------------------------


def join(deep: Images, skip: Images) -> Images:
    """Put the channels of the skip before those that come from below, at the size of the skip.

    A side that was odd lost its last row or column when it was halved, so maps from below may be smaller: their last
    row and their last column are repeated, at the bottom and at the right, until they fit.

    Args:
        deep: maps from below, after they were doubled.
        skip: maps of the encoder at this level.

    Raises:
        ValueError: `deep` is larger than the skip.
    """
    down, across = skip.shape[2] - deep.shape[2], skip.shape[3] - deep.shape[3]
    if down < 0 or across < 0:
        raise ValueError(
            f"deep must not be larger than the skip, {tuple(skip.shape[2:])}, got {tuple(deep.shape[2:])}."
        )
    return torch.cat([skip, functional.pad(deep, (0, across, 0, down), mode="replicate")], dim=1)


class UNet(nn.Module):
    """An encoder that halves maps and doubles channels, a decoder that does the reverse, and skips between both.

    Level number `i` has `width * 2**i` channels. Its encoder `down[i]` makes maps that go two ways: to the level below,
    halved by the maximum, and as a skip to the decoder. `bottom` is the lowest level. On the way up, `rise[0]` doubles
    the lowest maps and `merge[0]` works on them joined with the last skip, and so on to the first.

    Args:
        channels: of the pictures.
        classes: how many logits each pixel gets; 1 for a mask.
        width: channels of the first level.
        depth: how often maps are halved.
        skips: whether the decoder sees the encoder's maps; without, it sees zeros in their place.
    """

    def __init__(
        self, channels: int = 1, classes: int = 1, width: int = 16, depth: int = 3, skips: bool = True
    ) -> None:
        super().__init__()
        widths = [width << level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            _layers(before, after) for before, after in zip([channels, *widths], widths[:-1], strict=False)
        )
        self.bottom = _layers(widths[-2] if depth else channels, widths[-1])
        above = widths[-2::-1]
        self.rise = nn.ModuleList(nn.ConvTranspose2d(2 * size, size, 2, stride=2) for size in above)
        self.merge = nn.ModuleList(_layers(2 * size, size) for size in above)
        self.head = nn.Conv2d(width, classes, 1)
        self.skips = skips

    def forward(self, images: Images) -> Float[Tensor, "batch classes height width"]:
        """Return logits for each pixel.

        Raises:
            ValueError: a side of the pictures is below `2**depth` pixels.
        """
        _check_sides(images, len(self.down))
        maps, skips = images, []
        for encode in self.down:
            maps = encode(maps)
            skips.append(maps if self.skips else torch.zeros_like(maps))
            maps = functional.max_pool2d(maps, 2)
        maps = self.bottom(maps)
        for rise, merge, skip in zip(self.rise, self.merge, reversed(skips), strict=True):
            maps = merge(join(rise(maps), skip))
        return self.head(maps)


# --- how good is a mask? --------------------------------------------------------------------------------------------


def dice(predicted: Masks, target: Masks) -> Float[Tensor, "*batch"]:
    """Return twice the pixels in both masks, divided by the pixels of the one plus those of the other, for each pair.

    Two empty masks agree: 1. If only one is empty, 0.

    Args:
        predicted: masks.
        target: masks of the same shape.

    Returns:
        float64, from 0 to 1.

    Raises:
        ValueError: a mask is not bool, or shapes differ.
    """
    _check_masks(predicted, target)
    both = (predicted & target).sum(dim=(-2, -1)).double()
    total = predicted.sum(dim=(-2, -1)) + target.sum(dim=(-2, -1))
    return torch.where(total == 0, 1.0, 2 * both / total)


def iou(predicted: Masks, target: Masks) -> Float[Tensor, "*batch"]:
    """Return the pixels in both masks, divided by those in at least one, for each pair: intersection over union.

    Empty masks, arguments and refusals are as in `dice`.
    """
    _check_masks(predicted, target)
    both = (predicted & target).sum(dim=(-2, -1)).double()
    either = (predicted | target).sum(dim=(-2, -1))
    return torch.where(either == 0, 1.0, both / either)


def soft_dice_loss(
    logits: Float[Tensor, "*batch height width"], target: Float[Tensor, "*batch height width"], smooth: float = 1.0
) -> Float[Tensor, ""]:
    """Return 1 - (2 Σpt + smooth) / (Σp + Σt + smooth), with p = sigmoid(logits), averaged over the pictures.

    Sums are over the pixels of one picture. `smooth` gives an empty mask a gradient, and a loss near 0 when it is
    predicted empty.

    Args:
        logits: for each pixel.
        target: 0 or 1 for each pixel.
        smooth: above 0.

    Raises:
        ValueError: shapes differ, or `smooth` is not above 0.
    """
    _check_shapes(logits, target)
    if not smooth > 0:
        raise ValueError(f"smooth must be above 0, got {smooth}: else an empty mask divides by almost nothing.")
    p = torch.sigmoid(logits)
    both, total = (p * target).sum(dim=(-2, -1)), (p + target).sum(dim=(-2, -1))
    return (1 - (2 * both + smooth) / (total + smooth)).mean()


# --- pictures larger than a tile ------------------------------------------------------------------------------------


def tile_starts(length: int, tile: int, step: int) -> list[int]:
    """Return where tiles begin along an axis of `length` pixels: every `step`, and the last so that it ends there."""
    return [*range(0, length - tile, step), length - tile]


def predict_tiled(predict: Callable[[Images], Images], images: Images, tile: int, margin: int) -> Images:
    """Predict a large picture tile by tile, and keep of each only the middle, which saw its surroundings.

    Pictures are first continued by `margin` pixels, mirrored at their rims. Of a tile's prediction the outer `margin`
    pixels on each side are thrown away; the middles cover the picture. Where two overlap, either may be kept.

    Args:
        predict: gives maps as high and wide as its pictures, as a UNet does.
        images: at least as high and wide as a middle.
        tile: side of the tiles.
        margin: pixels thrown away on each side, at least 0. For a prediction without seams it is at least how far
            `predict` looks from a pixel, and tile, margin and sides are multiples of `2**depth` for a UNet.

    Raises:
        ValueError: the margin is negative, the tile leaves no middle, or a side of the pictures is less than a middle
            or not above the margin.
    """
    step = tile - 2 * margin
    _check_tiles(images, tile, margin)
    padded = functional.pad(images, (margin, margin, margin, margin), mode="reflect")
    height, width = images.shape[2:]
    output = None
    for top in tile_starts(height + 2 * margin, tile, step):
        for left in tile_starts(width + 2 * margin, tile, step):
            maps = predict(padded[:, :, top : top + tile, left : left + tile])
            if output is None:
                output = maps.new_empty(*maps.shape[:2], height, width)
            middle = maps[:, :, margin : margin + step, margin : margin + step]
            output[:, :, top : top + step, left : left + step] = middle
    assert output is not None
    return output


def _layers(channels: int, width: int) -> nn.Sequential:
    """Two 3 × 3 layers, each with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
    )


def _check_sides(images: Tensor, depth: int) -> None:
    """Refuse pictures that cannot be halved so often."""
    for side in images.shape[2:]:
        if side >> depth == 0:
            raise ValueError(f"images must have sides of at least {1 << depth} pixels, got {side}. Take less depth.")


def _check_shapes(first: Tensor, target: Tensor) -> None:
    """Refuse shapes that differ: broadcasting would compare every mask with every other."""
    if first.shape != target.shape:
        raise ValueError(f"target must have the shape {tuple(first.shape)}, got {tuple(target.shape)}.")


def _check_masks(predicted: Tensor, target: Tensor) -> None:
    """Refuse what is no mask."""
    for name, mask in (("predicted", predicted), ("target", target)):
        if mask.dtype != torch.bool:
            raise ValueError(f"{name} must be bool, got {mask.dtype}. Compare first: logits > 0.")
    _check_shapes(predicted, target)


def _check_tiles(images: Tensor, tile: int, margin: int) -> None:
    """Refuse tiles without a middle, and pictures smaller than one."""
    if margin < 0:
        raise ValueError(f"margin must not be negative, got {margin}.")
    if tile <= 2 * margin:
        raise ValueError(f"tile must be above twice the margin, {2 * margin}, got {tile}.")
    for side in images.shape[2:]:
        if side < tile - 2 * margin or side <= margin:
            least = max(tile - 2 * margin, margin + 1)
            raise ValueError(f"images must have sides of at least {least} pixels, got {side}. Take a smaller tile.")
