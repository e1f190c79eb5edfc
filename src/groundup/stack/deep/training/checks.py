"""Checks of training."""

import os
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from groundup.checking import assert_close, assert_refuses, assert_refuses_values, assert_shape
from groundup.stack.deep.training import (
    EarlyStopping,
    Images,
    Training,
    evaluate,
    fit,
    load_checkpoint,
    pick_device,
    save_checkpoint,
    train_epoch,
)

CPU = torch.device("cpu")


def normal(rng, *shape):
    """A float64 tensor of normal random numbers."""
    return torch.from_numpy(rng.standard_normal(shape))


def examples(rng, count, classes=3):
    """Inputs of four numbers, and labels."""
    return normal(rng, count, 4), torch.from_numpy(rng.integers(0, classes, count))


def batches_of(data, *sizes):
    """Batches of these sizes."""
    inputs, labels = data
    return list(zip(inputs.split(list(sizes)), labels.split(list(sizes)), strict=True))


class Spy(nn.Module):
    """A linear layer that notes in which mode it is called, and whether gradients are recorded."""

    def __init__(self, rng):
        super().__init__()
        self.linear = nn.Linear(4, 3).double()
        for parameter in self.parameters():
            parameter.data = normal(rng, *parameter.shape)
        self.modes, self.recorded = [], []

    def forward(self, inputs):
        """Note, and be linear."""
        self.modes.append(self.training)
        self.recorded.append(torch.is_grad_enabled())
        return self.linear(inputs)


class Descent:
    """Gradient descent with momentum. PyTorch's optimizers do as well, but the first one imports a compiler."""

    def __init__(self, parameters, rate=0.01, momentum=0.0):
        self.parameters, self.rate, self.momentum = list(parameters), rate, momentum
        self.velocities = [torch.zeros_like(parameter) for parameter in self.parameters]

    def zero_grad(self):
        """Forget gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self):
        """Go down."""
        with torch.no_grad():
            for parameter, velocity in zip(self.parameters, self.velocities, strict=True):
                velocity.mul_(self.momentum).add_(parameter.grad)
                parameter -= self.rate * velocity

    def state_dict(self):
        """What changes."""
        return {"rate": self.rate, "velocities": self.velocities}

    def load_state_dict(self, state):
        """What was saved."""
        self.rate, self.velocities = state["rate"], [velocity.clone() for velocity in state["velocities"]]


def descent(model, rate=0.01, momentum=0.0) -> Any:
    """An optimizer of a model's parameters."""
    return Descent(model.parameters(), rate, momentum)


class Decay:
    """A schedule: the rate falls by a fifth after each epoch, and to a tenth after the second."""

    def __init__(self, optimizer):
        self.optimizer, self.epochs = optimizer, 0

    def step(self):
        """An epoch is over."""
        self.epochs += 1
        self.optimizer.rate *= 0.1 if self.epochs == 2 else 0.8

    def state_dict(self):
        """What changes."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state):
        """What was saved."""
        self.epochs = state["epochs"]


class Elsewhere:
    """A tensor on another device: it is of no use until it is moved."""

    def __init__(self, tensor):
        self.tensor, self.devices = tensor, []

    def __len__(self):
        """As many as the tensor has."""
        return len(self.tensor)

    def to(self, device, **options):
        """Note the device, and hand the tensor out."""
        self.devices.append(device)
        return self.tensor


# --- data -----------------------------------------------------------------------------------------------------------


def test_an_image_by_hand():
    """Bytes 0, 255, 51, 102 are 0, 1, 0.2, 0.4; less 0.2, over 0.5: -0.4, 1.6, 0, 0.4."""
    data = Images(np.array([[[0, 255], [51, 102]]], dtype=np.uint8), np.array([7]), mean=0.2, std=0.5)
    image, label = data[0]
    assert_close(image, [[[-0.4, 1.6], [0.0, 0.4]]], rtol=1e-5, atol=1e-6)
    assert label == 7, f"the label is 7, got {label}"


def test_images_are_numpys(rng):
    """Each image is (pixels / 255 - mean) / std of the whole array, at its own index, also counted from the end."""
    pixels, labels = rng.integers(0, 256, (5, 3, 4), dtype=np.uint8), rng.integers(0, 10, 5)
    data = Images(pixels, labels, 0.13, 0.31)
    whole = (pixels / 255 - 0.13) / 0.31
    for index in (0, 3, -1):
        assert_close(data[index][0], whole[index][None], f"image {index}", rtol=1e-4, atol=1e-5)
        assert data[index][1] == labels[index], f"label {index}"


def test_an_image_has_its_types():
    """An image is float32 with one channel in front, and a label a Python int: a loader makes int64 of it."""
    image, label = Images(np.zeros((2, 3, 5), dtype=np.uint8), np.array([1, 2], dtype=np.uint8))[1]
    assert_shape(image, (1, 3, 5), "channel, height, width")
    assert image.dtype == torch.float32, f"the image is float32, not {image.dtype}"
    assert type(label) is int, f"the label is an int, not {type(label).__name__}"


def test_an_image_is_its_own():
    """Changing an image that was handed out does not change the dataset."""
    data = Images(np.full((1, 2, 2), 255, dtype=np.uint8), np.array([0]))
    data[0][0].fill_(9.0)
    assert_close(data[0][0], np.ones((1, 2, 2)))


def test_a_loop_over_images_ends():
    """A `for` over a dataset asks for index after index until IndexError."""
    data = Images(np.zeros((3, 2, 2), dtype=np.uint8), np.arange(3))
    assert [label for _, label in data] == [0, 1, 2], "three examples, in their order"


def test_a_loader_makes_batches():
    """Of five images a loader makes batches of 2, 2 and 1; their labels are int64, as a loss wants them."""
    data = Images(np.zeros((5, 3, 3), dtype=np.uint8), np.arange(5))
    batches = list(DataLoader(data, batch_size=2))
    assert [tuple(images.shape) for images, _ in batches] == [(2, 1, 3, 3), (2, 1, 3, 3), (1, 1, 3, 3)]
    assert batches[0][1].dtype == torch.int64, f"got {batches[0][1].dtype}"


# --- the device -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cuda", "mps", "best"), [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_the_best_device_is_picked(cuda, mps, best, monkeypatch):
    """Cuda before mps before cpu, as far as the machine has them; that is the default."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert pick_device("auto") == torch.device(best), f"with cuda {cuda} and mps {mps}"
    assert pick_device() == torch.device(best), "auto is the default"


def test_a_named_device_is_taken(monkeypatch):
    """Who asks for the cpu gets it, though there is a card; and who asks for the second card gets the second."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("cpu") == CPU, "cpu was asked for"
    assert pick_device("cuda:1") == torch.device("cuda", 1), "the second card was asked for"


def test_a_missing_device_is_refused(monkeypatch):
    """A device that the machine has not, or PyTorch does not know, is refused: no silent cpu."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "mps", "meta", "toaster"):
        assert_refuses(lambda name=name: pick_device(name), name)


# --- an epoch -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_epoch_is_the_reference_loop(momentum, rng):
    """Weights after an epoch of three batches are those of gradient descent written out, batch after batch."""
    model, data = Spy(rng), examples(rng, 8)
    weight, bias = (parameter.detach().clone().requires_grad_() for parameter in model.parameters())
    losses, velocity = 0.0, [torch.zeros_like(weight), torch.zeros_like(bias)]
    for inputs, labels in batches_of(data, 3, 3, 2):
        loss = cross_entropy(inputs @ weight.T + bias, labels)
        losses += loss.item() * len(labels)
        velocity = [momentum * v + g for v, g in zip(velocity, torch.autograd.grad(loss, (weight, bias)), strict=True)]
        weight, bias = ((p - 0.1 * v).detach().requires_grad_() for p, v in zip((weight, bias), velocity, strict=True))
    optimizer = descent(model, 0.1, momentum)
    mean = train_epoch(model, batches_of(data, 3, 3, 2), cross_entropy, optimizer, CPU)
    assert_close(model.linear.weight, weight, "the weights after three steps")
    assert_close(model.linear.bias, bias, "the bias after three steps")
    assert_close(mean, losses / 8, "the mean loss over eight examples")


def test_an_epochs_loss_is_a_mean_over_examples(rng):
    """A last batch of one counts as one example. At a learning rate of 0 the mean is that of all at once."""
    model, data = Spy(rng), examples(rng, 7)
    optimizer = descent(model, 0.0)
    mean = train_epoch(model, batches_of(data, 6, 1), cross_entropy, optimizer, CPU)
    assert_close(mean, cross_entropy(model(data[0]), data[1]).item(), "batches of 6 and 1")
    assert type(mean) is float, f"a float, which holds no graph, not {type(mean).__name__}"


def test_an_epoch_trains_in_training_mode(rng):
    """The model is in training mode at every batch, though it came in evaluation mode."""
    model = Spy(rng).eval()
    train_epoch(model, batches_of(examples(rng, 4), 2, 2), cross_entropy, descent(model), CPU)
    assert model.modes == [True, True], f"in training mode: {model.modes}"


def test_an_epoch_forgets_old_gradients(rng):
    """Gradients that are there when an epoch begins have no part in its first step."""
    data, seed = examples(rng, 4), int(rng.integers(1000))
    results = []
    for old in (0.0, 100.0):
        model = Spy(np.random.default_rng(seed))
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, old)
        train_epoch(model, [data], cross_entropy, descent(model, 0.1), CPU)
        results.append(model.linear.weight)
    assert_close(results[1], results[0], "with old gradients of 100 and of 0")


def test_an_epoch_moves_its_batches(rng):
    """Inputs and labels are moved to the device that is given."""
    model, (inputs, labels) = Spy(rng), map(Elsewhere, examples(rng, 4))
    device = torch.device("cpu", 0)
    train_epoch(model, [(inputs, labels)], cross_entropy, descent(model), device)  # pyright: ignore[reportArgumentType]
    assert inputs.devices == [device], f"inputs moved to {inputs.devices}, expected once to {device}"
    assert labels.devices == [device], f"labels moved to {labels.devices}, expected once to {device}"


def test_an_epoch_refuses(rng):
    """No examples, and a loss that is no number, are refused."""
    model = Spy(rng)
    optimizer = descent(model)
    assert_refuses(lambda: train_epoch(model, [], cross_entropy, optimizer, CPU), "batches", 0)
    broken = (torch.full((2, 4), float("nan"), dtype=torch.float64), torch.tensor([0, 1]))
    assert_refuses(lambda: train_epoch(model, [broken], cross_entropy, optimizer, CPU), "loss", float("nan"))


# --- judging --------------------------------------------------------------------------------------------------------


def test_a_score_by_hand():
    """Outputs (2, 0), (0, 1), (3, 0) with labels 0, 1, 1: two of three are right."""
    outputs = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]], dtype=torch.float64)
    score = evaluate(nn.Identity(), [(outputs, torch.tensor([0, 1, 1]))], cross_entropy, CPU)
    losses = np.log1p(np.exp([-2.0, -1.0, 3.0]))
    assert_close(score.accuracy, 2 / 3, "two of three are right", rtol=1e-6)
    assert_close(score.loss, losses.mean(), "the mean of log(1 + exp(-margin))")


def test_a_score_is_the_same_in_any_batches(rng):
    """Batches of 7, of 6 and 1, of 1 each: the means over examples are the same floats."""
    model, data = Spy(rng), examples(rng, 7)
    whole = evaluate(model, [data], cross_entropy, CPU)
    for sizes in ((6, 1), (1,) * 7):
        assert_close(evaluate(model, batches_of(data, *sizes), cross_entropy, CPU), whole, f"batches of {sizes}")
    assert type(whole.loss) is float and type(whole.accuracy) is float, "two floats"  # noqa: PT018


@pytest.mark.parametrize("mode", [True, False])
def test_judging_leaves_the_mode(mode, rng):
    """The model is judged in evaluation mode, and is afterwards in the mode in which it came."""
    model = Spy(rng).train(mode)
    evaluate(model, batches_of(examples(rng, 4), 2, 2), cross_entropy, CPU)
    assert model.modes == [False, False], f"training mode while it is judged: {model.modes}"
    assert model.training is mode, "the mode of before"


def test_judging_records_no_gradients(rng):
    """No graph is built, and neither weights nor running means change."""
    model = nn.Sequential(Spy(rng), nn.BatchNorm1d(3).double())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, [examples(rng, 4)], cross_entropy, CPU)
    spy = model[0]
    assert isinstance(spy, Spy)
    assert spy.recorded == [False], "gradients are recorded: use torch.no_grad()"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items()), "the model has changed"


def test_judging_moves_its_batches(rng):
    """Inputs and labels are moved to the device that is given."""
    inputs, labels = map(Elsewhere, examples(rng, 4))
    evaluate(Spy(rng), [(inputs, labels)], cross_entropy, CPU)  # pyright: ignore[reportArgumentType]
    assert inputs.devices == labels.devices == [CPU], f"moved to {inputs.devices} and {labels.devices}"


def test_judging_refuses_nothing(rng):
    """A mean over no example is refused."""
    assert_refuses(lambda: evaluate(Spy(rng), [], cross_entropy, CPU), "batches", 0)


# --- when to stop ---------------------------------------------------------------------------------------------------


def test_early_stopping_by_hand():
    """Losses 3, 2, 2, 2.5, 1, 4, 5, 1 with patience 3: new bests are 3, 2 and 1; it is finished after the last."""
    stopping, model = EarlyStopping(patience=3), nn.Linear(1, 1)
    notes = [
        (stopping.update(loss, model), stopping.waited, stopping.finished)
        for loss in (3.0, 2.0, 2.0, 2.5, 1.0, 4.0, 5.0, 1.0)
    ]
    better, waited, finished = zip(*notes, strict=True)
    assert list(better) == [True, True, False, False, True, False, False, False], "new bests: an equal loss is none"
    assert list(waited) == [0, 0, 1, 2, 0, 1, 2, 3], "epochs since the best"
    assert list(finished) == [False] * 7 + [True], "finished after three without a new best"
    assert stopping.best == 1.0, f"the best loss is 1, got {stopping.best}"


def test_a_small_gain_is_none():
    """With `least` 0.5, a loss of 3.5 after 4 is no new best, and 3.25 is one; the best stays 4 in between."""
    stopping, model = EarlyStopping(least=0.5), nn.Linear(1, 1)
    assert [stopping.update(loss, model) for loss in (4.0, 3.5, 3.25, 3.0)] == [True, False, True, False]
    assert stopping.best == 3.25, f"the best is that of the last new best, got {stopping.best}"


def test_a_loss_that_is_no_number_is_never_better():
    """NaN is waiting, whether it comes first or later."""
    stopping, model = EarlyStopping(patience=2), nn.Linear(1, 1)
    assert not stopping.update(float("nan"), model), "NaN first"
    assert stopping.update(1.0, model), "then a number"
    assert not stopping.update(float("nan"), model), "NaN later"
    assert (stopping.best, stopping.waited) == (1.0, 1), "the number stays the best"


def test_the_best_weights_are_copies():
    """Weights and buffers of the best epoch stay as they were while the model goes on."""
    model, stopping = nn.BatchNorm1d(2), EarlyStopping()
    stopping.update(1.0, model)
    with torch.no_grad():
        model.weight.fill_(7.0)
    model(torch.randn(5, 2))
    stopping.update(2.0, model)
    assert stopping.weights is not None, "weights are kept"
    assert_close(stopping.weights["weight"], [1.0, 1.0], "weights of the first epoch")
    assert_close(stopping.weights["running_mean"], [0.0, 0.0], "running means of the first epoch")
    assert not stopping.weights["weight"].requires_grad, "a copy has no graph"


# --- checkpoints ----------------------------------------------------------------------------------------------------


def training_of(seed=0, patience=9):
    """A training in which everything counts: dropout, momentum, running means, a schedule, and a shuffle."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)).double()
    optimizer = descent(model, 0.1, 0.9)
    shuffle = torch.Generator().manual_seed(seed + 1)
    batches = DataLoader(TensorDataset(*examples(rng, 22)), 5, shuffle=True, generator=shuffle)
    judged = DataLoader(TensorDataset(*examples(rng, 9)), 4)
    schedule: Any = Decay(optimizer)
    return Training(model, optimizer, batches, judged, EarlyStopping(patience), schedule)


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_is_the_same(stop, tmp_path):
    """Four epochs, and four with an end after the first or third, have the same history and weights, bit for bit."""
    straight, path = training_of(), tmp_path / "run.pt"
    fit(straight, 4, CPU)
    fit(training_of(), stop, CPU, path)
    resumed = training_of()
    fit(resumed, 4, CPU, path)
    assert resumed.history == straight.history, f"the curve differs:\n  {straight.history}\n  {resumed.history}"
    assert resumed.stopping.waited == straight.stopping.waited, "epochs since the best"
    pairs = zip(resumed.model.state_dict().values(), straight.model.state_dict().values(), strict=True)
    assert all(torch.equal(first, second) for first, second in pairs), "the weights differ"


def test_a_resumed_run_stops_when_the_other_does(tmp_path):
    """Patience that is used up before the end of a process is used up after it."""
    path, first = tmp_path / "run.pt", training_of(patience=2)
    first.stopping.best, first.stopping.waited = -1.0, 1
    save_checkpoint(path, first)
    resumed = training_of(patience=2)
    assert len(fit(resumed, 9, CPU, path)) == 1, "one more epoch, and two have been waited"


def test_a_checkpoint_is_safe_to_open(tmp_path):
    """The file opens with weights_only, has the parts of the docstring, and no other file lies beside it."""
    path, training = tmp_path / "run.pt", training_of()
    fit(training, 1, CPU, path)
    state = torch.load(path, weights_only=True)
    parts = {"model", "optimizer", "schedule", "stopping", "history", "chance", "shuffle", "cuda"}
    assert set(state) == parts, f"parts {sorted(state)}, expected {sorted(parts)}"
    assert os.listdir(tmp_path) == ["run.pt"], f"in the folder: {os.listdir(tmp_path)}"


def test_a_checkpoint_without_schedule_and_shuffle(tmp_path):
    """A training needs neither a schedule nor a generator of its loader."""
    path, training = tmp_path / "run.pt", training_of()
    training.schedule, training.batches = None, DataLoader(training.batches.dataset, 5)
    save_checkpoint(path, training)
    training.history.append({"loss": 1.0})
    load_checkpoint(path, training)
    assert training.history == [], "the history that was saved"


def test_a_save_that_fails_leaves_the_one_before(tmp_path):
    """A history that cannot be written makes the save fail; the checkpoint before stays, and no half one beside it."""
    path, training = tmp_path / "run.pt", training_of()
    save_checkpoint(path, training)
    training.history.append({"lock": threading.Lock()})  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError):
        save_checkpoint(path, training)
    assert os.listdir(tmp_path) == ["run.pt"], f"in the folder: {os.listdir(tmp_path)}"
    load_checkpoint(path, training)
    assert training.history == [], "the checkpoint before can be loaded"


def test_a_checkpoint_reaches_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """All bytes are handed to os.fsync while the name still belongs to the checkpoint before."""
    path, training, seen = tmp_path / "run.pt", training_of(), []
    path.write_bytes(b"before")
    monkeypatch.setattr(os, "fsync", lambda file: seen.append((os.fstat(file).st_size, path.read_bytes())))
    save_checkpoint(path, training)
    assert len(seen) >= 1, "os.fsync was not called"
    assert seen[0] == (path.stat().st_size, b"before"), "all bytes on the disk, and only then the name"


def test_early_stopping_ends_a_training():
    """Where no epoch is better, a training ends when patience does."""
    training = training_of(patience=2)
    training.stopping.best = 0.0
    assert len(fit(training, 9, CPU)) == 2, "no loss is below 0: two epochs without a new best"


def test_sizes_are_refused():
    """Images that are no bytes, labels that are too few, and a patience below 1 are refused."""
    assert_refuses(lambda: Images(np.zeros((2, 3, 3)), np.arange(2)), "pixels")
    assert_refuses(lambda: Images(np.zeros((2, 3, 3), dtype=np.uint8), np.arange(3)), "labels", (3,))
    assert_refuses_values(lambda patience: EarlyStopping(patience), "patience", 0, -1)
