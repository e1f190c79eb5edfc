"""Convolution beside PyTorch, in a network: the same weights give the same training."""

from __future__ import annotations

import torch
from torch import nn

from groundup.stack.deep.convolution import small_cnn


def theirs() -> nn.Sequential:
    """The standard network of PyTorch's layers."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(5 * 4, 10),
    )  # fmt: skip


def test_a_network_trains_as_pytorchs_does() -> None:
    torch.manual_seed(0)
    networks = small_cnn((3, 4, 5), 8, 10).double(), theirs().double()
    networks[0].load_state_dict(networks[1].state_dict())
    images, labels = torch.randn(16, 3, 8, 8, dtype=torch.float64), torch.randint(0, 10, (16,))
    losses = []
    for network in networks:
        optimizer = torch.optim.SGD(network.parameters(), lr=0.5, momentum=0.9)
        for _ in range(10):
            loss = nn.functional.cross_entropy(network(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[9] < losses[0] / 2
    torch.testing.assert_close(losses[:10], losses[10:], rtol=1e-9, atol=1e-9)


def test_gradients_of_gradients_are_right() -> None:
    torch.manual_seed(0)
    layer = small_cnn((2, 3), 6, 4)[0].double()
    images = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(layer, (images,))
