"""Labs: functions of a frozen config and a recorder, declared with their expectations.

    @dataclass(frozen=True)
    class MoonsConfig:
        '''Settings of the moons lab.

Attributes:
            seed: seed of the data and of the initial weights.
            learning_rate: step size of gradient descent.
        '''
        seed: int = 0
        learning_rate: float = 0.5
        shuffle_labels: bool = False

    @lab(
        title="Two moons",
        question="Can two layers bend the boundary that one layer cannot?",
        data=["moons"],
        presets={"smoke": {"epochs": 50}, "laptop": {"epochs": 500}, "full": {"epochs": 5000}},
        expectations=[expect("test_accuracy", at_least=0.95), expect("test_accuracy", beats_baseline_by=0.05)],
        sabotage=[{"learning_rate": 0.0}, {"shuffle_labels": True}],
    )
    def moons(config: MoonsConfig, record: Recorder) -> None:
        '''First paragraph: what the lab does.'''
        record.baseline("test_accuracy", 0.87, "logistic regression on the same split")
        for step in record.progress(range(config.epochs)):
            record.metric("loss", loss, step=step)
        record.result("test_accuracy", accuracy)

`title`, `question`, `data`, `presets`, `sabotage` and `seeds` are literals: the course reads them without importing
the lab. Importing this module imports nothing heavy.
"""

from __future__ import annotations

from groundup.labs.definition import Expectation, Lab, expect, lab
from groundup.labs.recorder import Recorder

__all__ = ["Expectation", "Lab", "Recorder", "expect", "lab"]
