"""Segmentation beside scikit-learn's measures, and U-Net's channels beside its paper's figure 1."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import f1_score, jaccard_score
from torch import nn

from groundup.stack.deep.segmentation import UNet, dice, iou, predict_tiled


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_dice_is_the_f1_score_of_pixels_and_iou_the_jaccard_score(share: float):
    generator = torch.Generator().manual_seed(0)
    predicted, target = (torch.rand(5, 12, 9, generator=generator) < share for _ in range(2))
    for number in range(5):
        pair = target[number].flatten().numpy(), predicted[number].flatten().numpy()
        assert float(dice(predicted, target)[number]) == pytest.approx(float(f1_score(*pair)), abs=1e-12)
        assert float(iou(predicted, target)[number]) == pytest.approx(float(jaccard_score(*pair)), abs=1e-12)


def test_channels_are_those_of_the_paper():
    """At width 64 and depth 4: 64 to 1024 on the way down, half of each joined pair on the way up, two classes."""
    network = UNet(channels=1, classes=2, width=64, depth=4)
    pairs = [
        (layer.in_channels, layer.out_channels, layer.kernel_size[0])
        for layer in network.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    ]
    down = [(1, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3), (128, 256, 3), (256, 256, 3), (256, 512, 3)]
    down += [(512, 512, 3), (512, 1024, 3), (1024, 1024, 3)]
    rise = [(1024, 512, 2), (512, 256, 2), (256, 128, 2), (128, 64, 2)]
    merge = [pair for size in (512, 256, 128, 64) for pair in ((2 * size, size, 3), (size, size, 3))]
    assert pairs == [*down, *rise, *merge, (64, 2, 1)]


def test_a_trained_network_has_no_seams_away_from_the_rim():
    """Tiles on the grid of the pooling, with a margin as wide as the network looks, give the whole picture's logits."""
    torch.manual_seed(0)
    network = UNet(1, 1, 4, depth=2)
    network(torch.randn(8, 1, 32, 32))
    network.eval()
    picture = torch.randn(1, 1, 96, 96)
    with torch.no_grad():
        whole, tiled = network(picture), predict_tiled(network, picture, 32 + 48, 24)
        inside = slice(24, -24)
        torch.testing.assert_close(tiled[:, :, inside, inside], whole[:, :, inside, inside], rtol=1e-4, atol=1e-5)
        seams = predict_tiled(network, picture, 32, 0)
    assert float((seams - whole)[:, :, inside, inside].abs().max()) > 0.01
