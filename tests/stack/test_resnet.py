"""ResNet beside torchvision: names, shapes and order of all weights, as its source builds them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from groundup.stack.deep.resnet import (
    ResNet,
    new_head,
    rate_groups,
    resnet18,
    resnet34,
    resnet50,
)


def layout(depths: tuple[int, ...], layers: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes as torchvision/models/resnet.py makes them; `layers`: (channels, filters, kernel) of each."""
    names = {"conv1.weight": (64, 3, 7, 7), "bn1.weight": (64,), "bn1.bias": (64,)}
    before = 64
    for number, depth in enumerate(depths, 1):
        for index in range(depth):
            prefix, sizes = f"layer{number}.{index}", layers(before, 64 * 2 ** (number - 1))
            for layer, (inputs, filters, kernel) in enumerate(sizes, 1):
                names[f"{prefix}.conv{layer}.weight"] = (filters, inputs, kernel, kernel)
                names |= {f"{prefix}.bn{layer}.{part}": (filters,) for part in ("weight", "bias")}
            last = sizes[-1][1]
            if index == 0 and (number > 1 or before != last):
                names[f"{prefix}.downsample.0.weight"] = (last, before, 1, 1)
                names |= {f"{prefix}.downsample.1.{part}": (last,) for part in ("weight", "bias")}
            before = last
    return names | {"fc.weight": (1000, before), "fc.bias": (1000,)}


NETWORKS = pytest.mark.parametrize(
    ("build", "depths", "layers", "count"),
    [
        (resnet18, (2, 2, 2, 2), lambda c, w: [(c, w, 3), (w, w, 3)], 11_689_512),
        (resnet34, (3, 4, 6, 3), lambda c, w: [(c, w, 3), (w, w, 3)], 21_797_672),
        (resnet50, (3, 4, 6, 3), lambda c, w: [(c, w, 1), (w, w, 3), (w, 4 * w, 1)], 25_557_032),
    ],
)


@NETWORKS
def test_weights_are_named_shaped_and_ordered_as_torchvisions(build: Any, depths: Any, layers: Any, count: int):
    network = build()
    shapes = {name: tuple(weight.shape) for name, weight in network.named_parameters()}
    expected = layout(depths, layers)
    assert shapes == expected, f"differing: {sorted(set(shapes.items()) ^ set(expected.items()))[:6]}"
    assert list(shapes) == list(expected), "their order"
    assert sum(weight.numel() for weight in network.parameters()) == count


@pytest.mark.parametrize(("block", "last"), [("basic", "bn2"), ("bottleneck", "bn3")])
def test_blocks_begin_as_their_shortcut(block: Any, last: str):
    for zero in (True, False):
        network = ResNet(block, (2, 1), 2, width=2, zero_gamma=zero)
        for name, weight in network.named_parameters():
            if weight.ndim == 1 and name.endswith("weight"):
                wanted = 0.0 if zero and name.split(".")[-2] == last else 1.0
                torch.testing.assert_close(weight.detach(), torch.full_like(weight, wanted))


def test_a_new_head_is_fresh_and_nothing_else():
    network = ResNet("basic", (1, 1, 1), 2, width=2)
    before = {name: weight for name, weight in network.named_parameters() if not name.startswith("fc")}
    new_head(network, 5)
    assert tuple(network.fc.weight.shape) == (5, 8), f"{network.fc.weight.shape}"
    assert all(weight is dict(network.named_parameters())[name] for name, weight in before.items())


@pytest.mark.parametrize(("decay", "stem", "middle"), [(0.1, 1e-4, 1e-2), (1.0, 1.0, 1.0)])
def test_an_optimizer_takes_steps_of_those_sizes(decay: float, stem: float, middle: float):
    network = ResNet("basic", (1, 1, 1), 2, width=2)
    before = {name: weight.clone() for name, weight in network.named_parameters()}
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    torch.optim.SGD(rate_groups(network, 1.0, decay)).step()
    for name, step in (("conv1.weight", stem), ("layer2.0.conv1.weight", middle), ("fc.bias", 1.0)):
        moved = before[name] - network.get_parameter(name)
        torch.testing.assert_close(moved, torch.full_like(moved, step), atol=1e-6, rtol=1e-5)
