"""A loop that can be stopped at any step and goes on with the same losses."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from groundup.errors import StoreError
from groundup.stack.generative.gpt import AdamW, clip_gradients, cosine_schedule, decay_groups
from groundup.systems.language_model.checkpoint import check_same, latest, save
from groundup.systems.language_model.kernels import Kernels
from groundup.systems.language_model.parallel import average, is_first, wait_for_all


@dataclass(frozen=True)
class Progress:
    """Where a stage stands after a step."""

    stage: str
    step: int
    steps: int
    measure: str
    value: float
    tokens_per_second: float
    seconds_left: float

    def line(self) -> str:
        """One line for a person."""
        minutes, seconds = divmod(round(self.seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        left = f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
        rate = f"{self.tokens_per_second:,.0f} tokens/s"
        return f"{self.stage} {self.step}/{self.steps}  {self.measure} {self.value:.3f}  {rate}  {left} left"


Report = Callable[[Progress], None]


@dataclass
class Training:
    """All that a step changes."""

    model: nn.Module
    optimizer: AdamW
    generator: torch.Generator
    step: int = 0
    curve: list[float] = field(default_factory=list)

    @classmethod
    def begin(cls, model: nn.Module, seed: int) -> Training:
        """A training that has taken no step."""
        optimizer = AdamW(decay_groups(model, 0.1), betas=(0.9, 0.95))
        return cls(model, optimizer, torch.Generator().manual_seed(seed))

    def set_learning_rate(self, steps: int, peak: float, warmup: int = 0) -> None:
        """Set what the cosine schedule says for the step to come; it ends at a tenth of the peak."""
        for group in self.optimizer.param_groups:
            group["lr"] = cosine_schedule(self.step + 1, warmup, steps, peak, peak / 10)

    def descend(self, loss: torch.Tensor) -> float:
        """Take a step against the gradient, its norm clipped at 1; return the loss, in the mean over all processes."""
        self.optimizer.zero_grad()
        loss.backward()
        mean = average(self.model.parameters(), loss.item())
        clip_gradients(self.model.parameters(), 1.0)
        self.optimizer.step()
        return mean

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every tensor that a step changes, by name: frozen weights are those that it began with."""
        state = self.optimizer.state_dict()["state"]
        moments = {f"optimizer.{n}.{name}": kept[name] for n, kept in state.items() for name in ("m", "v")}
        frozen = self._frozen()
        state_dict = self.model.state_dict()
        weights = {f"model.{name}": weight for name, weight in state_dict.items() if name not in frozen}
        return weights | moments | {"generator": self.generator.get_state()}

    def take_over(self, tensors: Mapping[str, torch.Tensor], document: Mapping[str, Any]) -> None:
        """Become what a checkpoint holds."""
        frozen = {name: weight for name, weight in self.model.state_dict().items() if name in self._frozen()}
        self.model.load_state_dict(frozen | weights_of(tensors))
        device = next(self.model.parameters()).device
        kept = {
            int(number): {"step": step, **{m: tensors[f"optimizer.{number}.{m}"].to(device) for m in ("m", "v")}}
            for number, step in document["optimizer"].items()
        }
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": kept, "param_groups": groups})
        self.generator.set_state(tensors["generator"])
        self.step, self.curve = document["step"], list(document["curve"])

    def _frozen(self) -> set[str]:
        return {name for name, parameter in self.model.named_parameters() if not parameter.requires_grad}


class Precise(nn.Module):
    """A model called as itself, multiplying in another precision; logits come out in float32.

    Args:
        model: what is called.
        precision: "float32" or "bfloat16".
        compiled: whether torch.compile writes the model's kernels, at the first call; they differ by rounding alone.
    """

    def __init__(self, model: nn.Module, precision: str, compiled: bool = False) -> None:
        super().__init__()
        self.model, self.reduced = model, precision == "bfloat16"
        # The mode would be traced into the graph, where Inductor has kernels of its own.
        self._call, self._kernels = (torch.compile(model), nullcontext) if compiled else (model, Kernels)

    def forward(self, tokens: Tensor, positions: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Return the logits; a mask of SFT has no axis for heads, and gets one."""
        mask = mask[:, None] if mask is not None and mask.ndim == 3 else mask
        with self._kernels(), torch.autocast(tokens.device.type, torch.bfloat16, enabled=self.reduced):
            return self._call(tokens, positions, mask).float()


def weights_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The model's tensors among those of a checkpoint."""
    return {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model.")}


def policy_of(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of the policy, where a critic is beside it; else all."""
    policy = {name[7:]: weight for name, weight in weights.items() if name.startswith("policy.")}
    return policy or weights


def train(
    training: Training,
    folder: Path,
    identity: Mapping[str, Any],
    *,
    steps: int,
    every: int,
    take_step: Callable[[Training], tuple[float, int]],
    report: Report,
    again: str,
    measure: str = "loss",
) -> float:
    """Take steps up to `steps`, from the newest checkpoint on if there is one; write one every so many.

    Args:
        training: what the steps change.
        folder: where its checkpoints are.
        identity: what a checkpoint must say of itself to be gone on with.
        steps: how many there are in all.
        every: a checkpoint is written after as many, and after the last.
        take_step: takes a step; draws from the training's generator alone; returns the measure and how many tokens it
            saw.
        report: called after each step.
        again: the command that starts the stage anew, for messages.
        measure: what each step is judged by; its values are the curve.

    Returns:
        How many tokens a second the steps of this call saw; 0 where there was none to take.

    Raises:
        StoreError: the checkpoint is damaged or belongs to another run, or the measure is no number any more.
    """
    stage = identity["stage"]
    found = latest(folder)
    if found is not None:
        check_same(found, identity, again)
        training.take_over(found.tensors, found.document)
    seen, rate, began = 0, 0.0, time.perf_counter()
    first = training.step
    while training.step < steps:
        value, tokens = take_step(training)
        if not math.isfinite(value):
            raise StoreError(
                f"{stage}: the {measure} is {value} at step {training.step + 1}. "
                f"The last checkpoint is kept in {folder}. Begin a run with another --seed, or a smaller --depth."
            )
        training.step += 1
        training.curve.append(value)
        seen += tokens
        passed = time.perf_counter() - began
        left = passed / (training.step - first) * (steps - training.step)
        rate = seen / max(passed, 1e-9)
        report(Progress(stage, training.step, steps, measure, value, rate, left))
        if training.step % every == 0 or training.step == steps:
            if is_first():
                state = training.optimizer.state_dict()["state"]
                save(folder, training.step, training.tensors(), {
                    **identity, "steps": steps, "curve": training.curve,
                    "optimizer": {str(number): kept["step"] for number, kept in state.items()},
                })  # fmt: skip
            wait_for_all()
    return rate
