"""Explorables of training: when to stop, batches, and what a checkpoint must hold."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import plotly.graph_objects as go
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from groundup.anatomy import Range, figure
from groundup.drawing import BLUE, GREEN, GREY, LEGEND_BELOW, ORANGE, headline
from groundup.stack.deep.training import EarlyStopping, Training, evaluate, fit, train_epoch

torch.set_num_threads(1)  # matrices this small are slower on two
CPU = torch.device("cpu")


class Descent:
    """Gradient descent with momentum; PyTorch's first optimizer of a process takes seconds to import."""

    def __init__(self, model: nn.Module, rate: float, momentum: float = 0.9) -> None:
        self.parameters, self.rate, self.momentum = list(model.parameters()), rate, momentum
        self.velocities = [torch.zeros_like(parameter) for parameter in self.parameters]

    def zero_grad(self) -> None:
        """Forget gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Go down."""
        for parameter, velocity in zip(self.parameters, self.velocities, strict=True):
            velocity.mul_(self.momentum).add_(parameter.grad if parameter.grad is not None else 0)
            parameter.sub_(self.rate * velocity)

    def state_dict(self) -> dict[str, Any]:
        """What changes."""
        return {"velocities": self.velocities}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """What was saved."""
        self.velocities = [velocity.clone() for velocity in state["velocities"]]


def points(count: int, noise: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points about three corners of a plane, sorted by label, with eight columns that say nothing."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) * 3 // count
    corners = torch.tensor([[1.0, 0.0], [-0.5, 0.87], [-0.5, -0.87]])
    plane = corners[labels] + noise * torch.randn(count, 2, generator=generator)
    return torch.cat([plane, torch.randn(count, 8, generator=generator)], dim=1), labels


def network(dropout: float = 0.0) -> nn.Module:
    """A small network, with the same weights each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Dropout(dropout), nn.Linear(32, 3))


@lru_cache(maxsize=64)
def learn(examples: int, noise: float) -> tuple[list[float], list[float]]:
    """Training and validation loss of 80 epochs."""
    model, train, judged = network(), [points(examples, noise, 1)], [points(300, noise, 2)]
    optimizer: Any = Descent(model, 0.1)
    losses, scores = [], []
    for _ in range(80):
        losses.append(train_epoch(model, train, cross_entropy, optimizer, CPU))
        scores.append(evaluate(model, judged, cross_entropy, CPU).loss)
    return losses, scores


@figure("When to stop")
def stopping(
    patience: Annotated[int, Range(1, 40)] = 5,
    least: Annotated[float, Range(0, 0.1, step=0.005)] = 0.0,
    examples: Annotated[int, Range(30, 600, step=30)] = 60,
    noise: Annotated[float, Range(0.2, 1.2, step=0.1)] = 0.7,
) -> go.Figure:
    """A network learns from few points: the training loss falls on, the validation loss turns round.

    Early stopping ends at the dashed line and keeps the weights of the dot. Give it more examples, and there is less to
    stop for. Let a gain count only from `least` on, and it stops too soon.
    """
    losses, scores = learn(examples, noise)
    rule, model = EarlyStopping(patience, least), nn.Linear(1, 1)
    best = end = 0
    for epoch, score in enumerate(scores):
        if not rule.finished:
            best, end = epoch if rule.update(score, model) else best, epoch
    plot, epochs = go.Figure(), list(range(1, len(scores) + 1))
    plot.add_scatter(x=epochs, y=losses, name="training", line_color=ORANGE)
    plot.add_scatter(x=epochs, y=scores, name="validation", line_color=BLUE)
    dot = {"color": GREEN, "size": 12}
    plot.add_scatter(x=[best + 1], y=[scores[best]], name="kept", mode="markers", marker=dot)
    plot.add_vline(x=end + 1, line={"color": GREY, "dash": "dash"})
    headline(plot, f"stopped after epoch {end + 1}, kept {scores[best]:.3f}; the last has {scores[-1]:.3f}")
    plot.update_xaxes(title="epoch")
    plot.update_yaxes(title="loss", rangemode="tozero")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot


@figure("Batches")
def batches(
    size: Literal["4", "16", "60", "240"] = "16",
    shuffle: bool = True,
    rate: Annotated[float, Range(0.003, 1, step=0.001, log=True)] = 0.1,
) -> go.Figure:
    """The loss of each batch, over ten epochs of 240 examples that lie sorted by label; no momentum.

    Without a shuffle each class is learned, and forgotten for the next. Small batches take many noisy steps, one batch
    of all takes ten smooth ones: raise its rate.
    """
    model, losses = network(), []
    loader = DataLoader(
        TensorDataset(*points(240, 0.5, 1)), int(size), shuffle=shuffle, generator=torch.Generator().manual_seed(0)
    )
    optimizer: Any = Descent(model, rate, momentum=0.0)

    def noted(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        losses.append((loss := cross_entropy(outputs, labels)).item())
        return loss

    for _ in range(10):
        train_epoch(model, loader, noted, optimizer, CPU)
    score = evaluate(model, [points(300, 0.5, 2)], cross_entropy, CPU)
    seen = [10 * (number + 1) / len(losses) for number in range(len(losses))]
    plot = go.Figure(go.Scatter(x=seen, y=losses, mode="lines+markers", marker_size=4, line_color=BLUE))
    headline(plot, f"{len(losses)} steps; validation loss {score.loss:.2f}, accuracy {score.accuracy:.0%}")
    plot.update_xaxes(title="epochs", range=[0, 10.2])
    plot.update_yaxes(title="loss of the batch", rangemode="tozero")
    return plot


@figure("What a checkpoint must hold")
def checkpoint(
    missing: Literal["nothing", "optimizer", "shuffle", "chance"] = "optimizer",
    killed: Annotated[int, Range(1, 9)] = 4,
) -> go.Figure:
    """A training of ten epochs, and the same one killed after some and resumed from a checkpoint that lacks a part.

    With all parts the curves are the same, bit for bit. Without the velocities of momentum, the order of examples or
    the generator of dropout, the run goes on, but it is another one.
    """

    def training() -> Training:
        model = network(dropout=0.3)
        optimizer: Any = Descent(model, 0.05)
        shuffle = torch.Generator().manual_seed(0)
        train = DataLoader(TensorDataset(*points(120, 0.7, 1)), 20, shuffle=True, generator=shuffle)
        return Training(
            model, optimizer, train, DataLoader(TensorDataset(*points(300, 0.7, 2)), 300), EarlyStopping(99)
        )

    straight = [line["judged_loss"] for line in fit(training(), 10, CPU)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.pt"
        fit(training(), killed, CPU, path)
        state, again = torch.load(path, weights_only=True), training()
        fresh: dict[str, Any] = {
            "optimizer": again.optimizer.state_dict(),
            "shuffle": torch.Generator().manual_seed(0).get_state(),
            "chance": torch.get_rng_state(),
        }
        torch.save({**state, **({missing: fresh[missing]} if missing in fresh else {})}, path)
        resumed = [line["judged_loss"] for line in fit(again, 10, CPU, path)]
    gap, epochs = max(abs(a - b) for a, b in zip(straight, resumed, strict=True)), list(range(1, 11))
    plot = go.Figure(go.Scatter(x=epochs, y=straight, name="never killed", line={"color": GREY, "width": 8}))
    plot.add_scatter(x=epochs, y=resumed, name="killed and resumed", line_color=ORANGE)
    plot.add_vline(x=killed, line={"color": GREY, "dash": "dash"})
    headline(plot, f"without {missing}: the largest gap is {gap:.1g}" if gap else "the same curve, bit for bit")
    plot.update_xaxes(title="epoch")
    plot.update_yaxes(title="validation loss")
    plot.update_layout(legend=LEGEND_BELOW)
    return plot
