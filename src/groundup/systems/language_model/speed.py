"""The share of the machine's speed that a training reaches."""

from __future__ import annotations

import time

import torch

from groundup.stack.generative.gpt import Config
from groundup.stack.generative.scaling import count_flops, utilization
from groundup.systems.language_model.kernels import Kernels

SIZE, ROUNDS = 1024, 5


def model_utilization(config: Config, batch: int, tokens_per_second: float, device: str) -> float:
    """MFU: floating-point operations a second, as a share of those of the fastest square product measured here."""
    step = batch * config.context
    return utilization(count_flops(config, batch, config.context), step / tokens_per_second, measured_peak(device))


def measured_peak(device: str) -> float:
    """Operations a second of the fastest of a few float32 products of 1024 × 1024, multiplied as in training."""
    left, right = torch.randn(2, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).to(device)
    seconds: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with Kernels():
            product = torch.nn.functional.linear(left, right)
        product[0, 0].item()  # which waits for the product
        seconds.append(time.perf_counter() - began)
    return 2 * SIZE**3 / min(seconds)
