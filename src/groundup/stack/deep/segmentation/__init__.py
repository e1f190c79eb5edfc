"""Segmentation: a class for each pixel by U-Net, the Dice loss, Dice and IoU, and pictures larger than a tile."""

from groundup.stack.deep.segmentation.segmentation import (
    UNet,
    dice,
    iou,
    join,
    predict_tiled,
    soft_dice_loss,
    tile_starts,
)

__all__ = ["UNet", "dice", "iou", "join", "predict_tiled", "soft_dice_loss", "tile_starts"]
