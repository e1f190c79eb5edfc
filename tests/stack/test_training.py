"""`deep/training` with PyTorch's optimizers, against the loop in NumPy, under a kill, and against a hostile file."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from groundup.stack.deep import training as package
from groundup.stack.deep.mlp import backward, forward, initialize, update
from groundup.stack.deep.training import (
    EarlyStopping,
    Training,
    describe_device,
    fit,
    load_checkpoint,
    pick_device,
    save_checkpoint,
    train_epoch,
)

CPU = torch.device("cpu")
OPTIMIZERS: dict[str, Any] = {
    "momentum": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.003, momentum=0.5),
}


def training_of(kind: str) -> Training:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    optimizer = OPTIMIZERS[kind](model.parameters())
    train = TensorDataset(torch.randn(31, 4), torch.randint(3, (31,)))
    batches = DataLoader(train, 8, shuffle=True, generator=torch.Generator().manual_seed(1))
    judged = DataLoader(TensorDataset(torch.randn(9, 4), torch.randint(3, (9,))), 4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6)
    return Training(model, optimizer, batches, judged, EarlyStopping(9), schedule)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_resumed_run_is_the_same_with_pytorchs_optimizers(kind: str, device: str, tmp_path: Path) -> None:
    """History and weights are equal bit for bit, also where a process began on the CPU and went to a card."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA card")
    straight, resumed, where = training_of(kind), training_of(kind), pick_device(device)
    fit(straight, 6, where)
    fit(training_of(kind), 2, where, tmp_path / "run.pt")
    fit(resumed, 6, where, tmp_path / "run.pt")
    assert resumed.history == straight.history
    for name, value in straight.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], value), name
    assert resumed.optimizer.param_groups[0]["lr"] == straight.optimizer.param_groups[0]["lr"]


KILLED = """
import os, signal, sys
from pathlib import Path
from groundup.stack.deep.training import fit
from tests.stack.test_training import CPU, training_of

replace, saves = os.replace, []
def dies(source, target):
    saves.append(source)
    if len(saves) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = dies
fit(training_of("adamw"), 6, CPU, Path(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_killed_while_it_saves_goes_on(tmp_path: Path) -> None:
    """Killed before the third checkpoint gets its name, it goes on from the second, to the same end."""
    path = tmp_path / "run.pt"
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    run = subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=root, env=environment, capture_output=True)
    assert run.returncode == -9, run.stderr.decode()[-2000:]
    assert len(torch.load(path, weights_only=True)["history"]) == 2
    straight = fit(training_of("adamw"), 6, CPU)
    assert fit(training_of("adamw"), 6, CPU, path) == straight
    assert os.listdir(tmp_path) == ["run.pt"], "the half file of the killed process is taken over, and gone"


def test_the_loop_is_that_in_numpy() -> None:
    """Thirty epochs of full batches give the parameters of `deep/mlp`, whose gradients are written by hand."""
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(20, 3)), rng.integers(0, 2, 20)
    parameters = initialize(3, 5, rng=rng)
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1), nn.Flatten(0)).double()
    with torch.no_grad():
        for ours, theirs in zip(model.parameters(), parameters, strict=True):
            ours.copy_(torch.tensor(theirs.T))
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    batch = [(torch.tensor(X), torch.tensor(labels, dtype=torch.float64))]
    for _ in range(30):
        train_epoch(model, batch, nn.functional.binary_cross_entropy_with_logits, optimizer, CPU)
        parameters = update(parameters, backward(parameters, forward(parameters, X)[1], labels), 0.5)
    for ours, theirs in zip(model.parameters(), parameters, strict=True):
        np.testing.assert_allclose(ours.detach(), theirs.T, rtol=1e-9, atol=1e-12)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_hostile_checkpoint_runs_nothing(how: str, tmp_path: Path) -> None:
    """A file that would run code is refused, by its name, and has not run it."""
    path, training = tmp_path / "run.pt", training_of("momentum")
    if how == "torch":
        torch.save({"model": Trap(tmp_path / "sprung")}, path)
    else:
        path.write_bytes(pickle.dumps({"model": Trap(tmp_path / "sprung")}, protocol=2))
    with pytest.raises(ValueError, match=r"path must be a checkpoint of tensors and numbers, got .*run\.pt"):
        load_checkpoint(path, training)
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_of_a_schedule_holds_its_count(tmp_path: Path) -> None:
    training = training_of("momentum")
    fit(training, 3, CPU, tmp_path / "run.pt")
    fresh = training_of("momentum")
    load_checkpoint(tmp_path / "run.pt", fresh)
    assert fresh.schedule is not None
    assert fresh.schedule.last_epoch == 3
    save_checkpoint(tmp_path / "again.pt", fresh)


def test_a_device_is_described() -> None:
    assert describe_device(CPU) == f"cpu: {torch.get_num_threads()} threads"
    assert describe_device(torch.device("mps")) == "mps"


def test_the_checks_import_nothing_slow() -> None:
    """PyTorch's first optimizer of a process imports its compiler and SymPy, seconds in every verdict."""
    checks = Path(str(package.__file__)).with_name("checks.py")
    code = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]) or 'sympy' in sys.modules)"
    options = ["-q", "-p", "groundup.checking", "-p", "no:cacheprovider", "-o", "python_files=checks.py"]
    run = subprocess.run([sys.executable, "-c", code, *options, str(checks)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:] or "SymPy was imported"
