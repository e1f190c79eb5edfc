"""The training of a network in PyTorch: a dataset, the loop, a device, when to stop, and checkpoints.

    shuffle = torch.Generator().manual_seed(0)
    batches = DataLoader(Images(pixels, labels), batch_size=32, shuffle=True, generator=shuffle)
    training = Training(model, optimizer, batches, judged, stopping=EarlyStopping(patience=3))
    history = fit(training, epochs=20, device=pick_device(), checkpoint=Path("digits.pt"))

A run that was killed and is started again with the same lines goes on after its last whole epoch, and has the curve
and the weights of a run that was never killed, bit for bit on one machine. The loop is that of PyTorch's tutorials
(https://docs.pytorch.org/tutorials/beginner/introyt/trainingyt.html), early stopping that of Prechelt (1998),
https://doi.org/10.1007/3-540-49430-8_3.

Not covered: several devices, mixed precision, augmentation, loaders with several workers, checkpoints within an epoch.
"""

import os
import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

Batches = Iterable[tuple[Tensor, Tensor]]
LossFunction = Callable[[Tensor, Tensor], Tensor]
"""Takes outputs and labels of a batch, returns the mean over its examples."""


class Images(Dataset[tuple[Tensor, int]]):
    """Grey images and their labels, as a dataset: an example for each index.

    Args:
        pixels: bytes, from 0 (black) to 255.
        labels: whole numbers, one for each image.
        mean: subtracted from each pixel, once it is between 0 and 1.
        std: divides what is left, above 0. Take mean and std of the images that train, for those that judge as well.
    """

    def __init__(
        self,
        pixels: UInt8[np.ndarray, "images height width"],
        labels: Int[np.ndarray, " images"],
        mean: float = 0.0,
        std: float = 1.0,
    ) -> None:
        pixels, labels = np.asarray(pixels), np.asarray(labels)
        if pixels.ndim != 3 or pixels.dtype != np.uint8:
            raise ValueError(
                f"pixels must be uint8 of shape (images, height, width), got {pixels.dtype} of {pixels.shape}."
            )
        if labels.shape != pixels.shape[:1]:
            raise ValueError(f"labels must have shape {pixels.shape[:1]}, one for each image, got {labels.shape}.")
        if not std > 0:
            raise ValueError(f"std must be above 0, got {std}: take it over all pixels that train.")
        self.pixels, self.labels, self.mean, self.std = pixels, labels, mean, std

    def __len__(self) -> int:
        """Return how many examples there are."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "1 height width"], int]:
        """Return an image and its label, as a tensor of float32 and a Python int.

        The pixels are divided by 255, less the mean, over the std. The first axis is that of channels: grey has one.
        Raises IndexError where there is no such example: a `for` over the dataset ends by it.
        """
        image = torch.tensor(self.pixels[index], dtype=torch.float32) / 255
        return (image[None] - self.mean) / self.std, int(self.labels[index])


def pick_device(name: str = "auto") -> torch.device:
    """Return the device named, such as "cuda", "cuda:1" or "cpu"; of "auto" the best: cuda, else mps, else cpu.

    `torch.cuda.is_available()` and `torch.backends.mps.is_available()` say what there is.
    Raises ValueError where PyTorch knows no such kind, or this machine has none: no run falls back in silence.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind in there if there[kind])
    device = _device(name)
    if not there.get(device.type, False):
        known = ", ".join(kind for kind in there if there[kind])
        raise ValueError(f"name must be a device of this machine ({known}), got {name!r}. Try 'auto'.")
    return device


def describe_device(device: torch.device) -> str:
    """Return one line for a log: the device, and of a CUDA card its name and memory."""
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        return f"{device}: {card.name}, {card.total_memory / 2**30:.1f} GiB"
    return f"{device}: {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)


# --- the loop -------------------------------------------------------------------------------------------------------


def train_epoch(
    model: nn.Module,
    batches: Batches,
    loss_function: LossFunction,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> float:
    """Train on each batch once: forward, loss, backward, step, with the model in training mode.

    Args:
        model: on `device` already.
        batches: inputs and labels, such as a DataLoader gives; each is moved to `device`.
        loss_function: mean over a batch.
        optimizer: has the model's parameters. Gradients from before a batch do not count.
        device: where the model is.

    Returns the mean loss over examples, each at the weights that its batch met; a small last batch weighs less.
    Raises ValueError where there is no example, or the mean loss is no finite number.
    """
    model.train()
    total, count = 0.0, 0
    for inputs, labels in batches:
        inputs, labels = inputs.to(device), labels.to(device)
        loss = loss_function(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(labels)  # no .item(): the host would wait
        count += len(labels)
    return _mean_loss(total, count)


class Score(NamedTuple):
    """How a model does on examples: the mean loss, and the share whose label has the highest output."""

    loss: float
    accuracy: float


def evaluate(model: nn.Module, batches: Batches, loss_function: LossFunction, device: torch.device) -> Score:
    """Judge a model: in evaluation mode, without gradients, and leaving it in the mode it was in.

    Arguments are those of `train_epoch`; outputs have shape (batch, classes). Results are means over examples, whatever
    the sizes of batches. Raises ValueError where there is no example.
    """
    mode = model.training
    model.eval()
    total, right, count = 0.0, 0.0, 0
    with torch.no_grad():
        for inputs, labels in batches:
            inputs, labels = inputs.to(device), labels.to(device)
            outputs = model(inputs)
            total += loss_function(outputs, labels) * len(labels)
            right += (outputs.argmax(dim=1) == labels).sum()
            count += len(labels)
    model.train(mode)
    _check_count(count)
    return Score(float(total) / count, float(right) / count)


@dataclass
class EarlyStopping:
    """Remembers the best epoch, and ends a training that has stopped getting better.

    Attributes:
        patience: epochs without a new best after which it is finished, at least 1.
        least: a loss must be below the best by more than this to be a new best.
        best: the lowest loss so far.
        waited: epochs since.
        weights: the model's state at the best epoch; None before it.
    """

    patience: int = 5
    least: float = 0.0
    best: float = float("inf")
    waited: int = 0
    weights: dict[str, Tensor] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.patience < 1 or not self.least >= 0:
            raise ValueError(f"patience ≥ 1 and least ≥ 0 must hold, got {self.patience} and {self.least}.")

    def update(self, loss: float, model: nn.Module) -> bool:
        """Take note of an epoch's validation loss, and return whether it is a new best.

        A new best is kept with a copy of the model's state, which later steps do not change, and the waiting begins
        anew. A loss that is not a number is never better.
        """
        better = loss < self.best - self.least
        if better:
            self.best, self.waited = loss, 0
            self.weights = {name: value.clone() for name, value in model.state_dict().items()}
        else:
            self.waited += 1
        return better

    @property
    def finished(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience


# --- a whole training -----------------------------------------------------------------------------------------------


@dataclass
class Training:
    """All that a training consists of. `fit` runs it, and a checkpoint holds what changes of it.

    Attributes:
        model: a network with outputs of shape (batch, classes).
        optimizer: has the model's parameters.
        batches: train; they have a generator of their own to shuffle by.
        judged: batches that early stopping looks at, and nothing trains on.
        stopping: when to stop.
        schedule: steps once an epoch.
        loss_function: mean over a batch.
        history: a line for each epoch so far.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    batches: DataLoader[Any]
    judged: DataLoader[Any]
    stopping: EarlyStopping = field(default_factory=EarlyStopping)
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None
    loss_function: LossFunction = nn.functional.cross_entropy
    history: list[dict[str, float]] = field(default_factory=list)


def fit(
    training: Training, epochs: int, device: torch.device | None = None, checkpoint: Path | None = None
) -> list[dict[str, float]]:
    """Train until there are `epochs` in the history or early stopping is finished; the best weights stay in the model.

    Args:
        training: what to train; its history, optimizer and stopping change.
        epochs: of the whole training, those before a checkpoint included.
        device: where; None picks the best there is.
        checkpoint: a file that is written after each epoch. If it is there already, the training goes on from it.

    Returns for each epoch the training loss, and loss and accuracy on `judged`: `loss`, `judged_loss`, `accuracy`.
    """
    device = device or pick_device()
    model, stopping = training.model.to(device), training.stopping
    if checkpoint is not None and checkpoint.exists():
        load_checkpoint(checkpoint, training)
    while len(training.history) < epochs and not stopping.finished:
        loss = train_epoch(model, training.batches, training.loss_function, training.optimizer, device)
        score = evaluate(model, training.judged, training.loss_function, device)
        stopping.update(score.loss, model)
        if training.schedule is not None:
            training.schedule.step()
        training.history.append({"loss": loss, "judged_loss": score.loss, "accuracy": score.accuracy})
        if checkpoint is not None:
            save_checkpoint(checkpoint, training)
    if stopping.weights is not None:
        model.load_state_dict(stopping.weights)
    return training.history


def save_checkpoint(path: Path, training: Training) -> None:
    """Write all that changes in a training into one file, so that `load_checkpoint` goes on as if nothing had happened.

    The file is written beside `path` under another name, its bytes are brought to the disk (`os.fsync`), and then it
    takes the name. So `path` holds a whole checkpoint at every moment; and a save that fails leaves the one before as
    it was, and no other file.

    The file is `torch.save` of a dictionary of tensors, numbers, lists and dictionaries:

        model, optimizer     their `state_dict()`
        schedule             its `state_dict()`, or None
        stopping             a dictionary of best, waited and weights
        history              the list
        chance               PyTorch's generator, by which dropout draws: `torch.get_rng_state()`
        shuffle              `get_state()` of the generator of `training.batches`, or None
        cuda                 `torch.cuda.get_rng_state_all()`: an empty list without a card
    """
    schedule, shuffle, stopping = training.schedule, training.batches.generator, training.stopping
    state = {
        "model": training.model.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "schedule": None if schedule is None else schedule.state_dict(),
        "stopping": {"best": stopping.best, "waited": stopping.waited, "weights": stopping.weights},
        "history": training.history,
        "chance": torch.get_rng_state(),
        "shuffle": None if shuffle is None else shuffle.get_state(),
        "cuda": torch.cuda.get_rng_state_all(),
    }
    half = path.with_name(f".{path.name}.half")
    try:
        with half.open("wb") as file:
            torch.save(state, file)
            os.fsync(file.fileno())
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def load_checkpoint(path: Path, training: Training) -> None:
    """Put what `save_checkpoint` wrote into a training that was made by the same lines.

    A pickle may run any code, this one may not: raises ValueError where the file holds more than tensors and numbers.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"path must be a checkpoint of tensors and numbers, got {path}: {error}") from error
    training.model.load_state_dict(state["model"])
    training.optimizer.load_state_dict(state["optimizer"])
    if training.schedule is not None:
        training.schedule.load_state_dict(state["schedule"])
    for name, value in state["stopping"].items():
        setattr(training.stopping, name, value)
    training.history[:] = state["history"]
    torch.set_rng_state(state["chance"])
    if training.batches.generator is not None:
        training.batches.generator.set_state(state["shuffle"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


# --- refusals -------------------------------------------------------------------------------------------------------


def _device(name: str) -> torch.device:
    try:
        return torch.device(name)
    except RuntimeError:
        raise ValueError(f"name must be a device that PyTorch knows, got {name!r}. Try 'auto'.") from None


def _check_count(count: int) -> None:
    if count == 0:
        raise ValueError(
            f"batches must hold at least 1 example, got {count}: is the dataset, or the rest of it, empty?"
        )


def _mean_loss(total: Tensor | float, count: int) -> float:
    _check_count(count)
    mean = float(total / count)
    if not np.isfinite(mean):
        raise ValueError(f"loss must be finite, got {mean} over the epoch. Lower the learning rate, or clip gradients.")
    return mean
