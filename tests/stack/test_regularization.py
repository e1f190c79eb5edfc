"""Regularization beside PyTorch: weight decay as its optimizers do it, dropout as its layer draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from groundup.stack.deep.regularization import Dropout, decay, decay_groups, deep_mlp, penalty


def descend(weights: torch.Tensor, optimizer: Any, *, l2: float = 0.0, decayed: float = 0.0) -> torch.Tensor:
    """Three steps on a loss whose weights matter unequally; returns the end."""
    matter = torch.tensor([0.1, 1.0, 10.0, 100.0], dtype=torch.float64)
    for _ in range(3):
        optimizer.zero_grad()
        ((matter * (weights - 1)).square().sum() + penalty([weights], l2=l2)).backward()
        decay([weights], 0.01, decayed)
        optimizer.step()
    return weights.detach()


def start() -> torch.Tensor:
    return torch.tensor([3.0, -2.0, 1.5, -1.0], dtype=torch.float64, requires_grad=True)


def test_a_penalty_is_the_weight_decay_of_sgd() -> None:
    ours, theirs, decayed = start(), start(), start()
    expected = descend(theirs, torch.optim.SGD([theirs], lr=0.01, weight_decay=0.3))
    assert descend(ours, torch.optim.SGD([ours], lr=0.01), l2=0.3) == pytest.approx(expected)
    assert descend(decayed, torch.optim.SGD([decayed], lr=0.01), decayed=0.3) == pytest.approx(expected)


def test_decay_is_that_of_adamw_and_a_penalty_is_not() -> None:
    ours, theirs, penalised = start(), start(), start()
    expected = descend(theirs, torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.3))
    assert descend(ours, torch.optim.Adam([ours], lr=0.01), decayed=0.3) == pytest.approx(expected)
    other = descend(penalised, torch.optim.Adam([penalised], lr=0.01), l2=0.3)
    assert (other - expected).abs().max() > 1e-3


def test_adamw_takes_the_groups() -> None:
    network = deep_mlp((4, 5, 2), norm=True)
    optimizer = torch.optim.AdamW(decay_groups(network, 0.3), lr=0.1)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer.step()
    for parameter, old in zip(network.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), old * (0.97 if parameter.ndim > 1 else 1.0))


def test_dropout_has_the_moments_of_pytorchs() -> None:
    torch.manual_seed(0)
    inputs = torch.linspace(1, 2, 200_000)
    ours, theirs = Dropout(0.3)(inputs), nn.Dropout(0.3)(inputs)
    assert float((ours == 0).float().mean()) == pytest.approx(float((theirs == 0).float().mean()), abs=0.01)
    assert float(ours.mean()) == pytest.approx(float(theirs.mean()), abs=0.02)
    assert float(ours.var()) == pytest.approx(float(theirs.var()), abs=0.02)
