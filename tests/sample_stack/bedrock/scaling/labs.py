"""Experiments with scaling."""

from dataclasses import dataclass

import numpy as np
from groundup.stack.bedrock.scaling import mean

from groundup.labs import Recorder, expect, lab


@dataclass(frozen=True)
class NoiseConfig:
    """Settings of the noise lab.

    Attributes:
        seed: seed of the numbers.
        count: how many numbers are averaged.
    """

    seed: int = 0
    count: int = 10


@lab(
    title="Noise averages out",
    question="How near to the truth is a mean?",
    presets={"smoke": {"count": 1000}, "laptop": {"count": 10_000}, "full": {"count": 100_000}},
    expectations=[expect("error", at_most=0.2)],
    sabotage=[{"count": 1}],
)
def noise(config: NoiseConfig, record: Recorder) -> None:
    """Average standard normal numbers."""
    numbers = np.random.default_rng(config.seed).normal(size=config.count)
    record.baseline("error", abs(float(numbers[0])), "the first number alone")
    record.result("error", abs(mean(numbers)))
