"""`deep/optimizers` against torch.optim: equal weights bit for bit, the same schedules, states that interchange."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from groundup.stack.bedrock.optimization import warmup_cosine
from groundup.stack.deep import optimizers as package
from groundup.stack.deep.optimizers import SGD, Adam, AdamW, RMSProp, WarmupCosine, clip_gradients, decay_groups
from groundup.stack.deep.training import train_epoch

PAIRS: dict[str, tuple[Any, Any]] = {
    "sgd": (lambda p: SGD(p, 0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "sgd decay": (lambda p: SGD(p, 0.1, weight_decay=0.1), lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.1)),
    "momentum": (
        lambda p: SGD(p, 0.03, momentum=0.9, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.03, momentum=0.9, weight_decay=0.1),
    ),
    "nesterov": (
        lambda p: SGD(p, 0.03, momentum=0.8, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.03, momentum=0.8, nesterov=True),
    ),
    "rmsprop": (
        lambda p: RMSProp(p, 0.01, alpha=0.95, eps=1e-6, weight_decay=0.1),
        lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.95, eps=1e-6, weight_decay=0.1),
    ),
    "adam": (lambda p: Adam(p, 0.01), lambda p: torch.optim.Adam(p, 0.01)),
    "adam decay": (
        lambda p: Adam(p, 0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
        lambda p: torch.optim.Adam(p, 0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1),
    ),
    "adamw": (lambda p: AdamW(p, 0.01, weight_decay=0.3), lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.3)),
}
torch.manual_seed(0)
DATA = [(torch.randn(8, 6), torch.randint(3, (8,))) for _ in range(5)]


def network(dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.Tanh(), nn.Linear(16, 3)).to(dtype)


def go_on(model: nn.Module, optimizer: Any, epochs: int, dtype: torch.dtype) -> None:
    batches = [(inputs.to(dtype), labels) for inputs, labels in DATA]
    for _ in range(epochs):
        train_epoch(model, batches, nn.functional.cross_entropy, optimizer, torch.device("cpu"))


def assert_equal(ours: nn.Module, theirs: nn.Module) -> None:
    for (name, first), (_, second) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert torch.equal(first, second), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("pair", PAIRS)
def test_weights_are_pytorchs_bit_for_bit(pair: str, dtype: torch.dtype) -> None:
    """After a hundred steps of a network, every weight is equal to the last bit."""
    ours, theirs = network(dtype), network(dtype)
    go_on(ours, PAIRS[pair][0](ours.parameters()), 20, dtype)
    go_on(theirs, PAIRS[pair][1](theirs.parameters()), 20, dtype)
    assert_equal(ours, theirs)
    assert not torch.equal(ours[0].weight, network(dtype)[0].weight)  # pyright: ignore[reportIndexIssue]


@pytest.mark.parametrize("direction", ["ours to theirs", "theirs to ours"])
@pytest.mark.parametrize("pair", ["momentum", "rmsprop", "adam", "adamw"])
def test_a_state_goes_on_in_the_other(pair: str, direction: str) -> None:
    """Five epochs in one library and five in the other are ten in PyTorch, bit for bit."""
    first, second = PAIRS[pair] if direction == "ours to theirs" else PAIRS[pair][::-1]
    model, whole = network(torch.float32), network(torch.float32)
    before, after = first(model.parameters()), second(model.parameters())
    go_on(model, before, 5, torch.float32)
    groups = after.state_dict()["param_groups"]
    after.load_state_dict({"state": before.state_dict()["state"], "param_groups": groups})
    go_on(model, after, 5, torch.float32)
    go_on(whole, PAIRS[pair][1](whole.parameters()), 10, torch.float32)
    assert_equal(model, whole)


def test_the_schedule_is_pytorchs_and_numpys() -> None:
    """Cosine annealing without a warmup; with one, the factors of `bedrock/optimization`."""
    weight = [nn.Parameter(torch.zeros(1))]
    ours, theirs = SGD(weight, 0.4), torch.optim.SGD(weight, 0.4)
    first, second = WarmupCosine(ours, 30), torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 30)
    warm = AdamW(weight, 0.4)
    third, expected = WarmupCosine(warm, 30, 6, 0.2), 0.4 * warmup_cosine(range(35), 30, 6, 0.2)
    for step in range(35):
        if step <= 30:
            assert ours.param_groups[0]["lr"] == pytest.approx(theirs.param_groups[0]["lr"], abs=1e-12)
        assert warm.param_groups[0]["lr"] == pytest.approx(expected[step], abs=1e-12)
        for optimizer, schedule in ((ours, first), (theirs, second), (warm, third)):
            optimizer.step()
            schedule.step()


def test_pytorchs_schedules_and_hooks_work_with_ours() -> None:
    optimizer, calls = AdamW([nn.Parameter(torch.ones(1))], 1.0), []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.1)
    for _ in range(4):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
    assert len(calls) == 4


@pytest.mark.parametrize("most", [0.01, 1.0, 1000.0])
def test_clipping_is_pytorchs(most: float) -> None:
    ours, theirs = network(torch.float32), network(torch.float32)
    for model in (ours, theirs):
        (model(DATA[0][0]) * 50).square().sum().backward()
    norm = clip_gradients(ours.parameters(), most)
    torch.testing.assert_close(norm, nn.utils.clip_grad_norm_(theirs.parameters(), most))
    for first, second in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(first.grad, second.grad)


def test_groups_decay_apart() -> None:
    """Without gradients to speak of, weights shrink and biases stay."""
    model = network(torch.float64)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    AdamW(decay_groups(model, 0.5), 0.1).step()
    for parameter, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), old * (0.95 if old.ndim == 2 else 1.0))


def test_a_closure_is_called_with_gradients() -> None:
    weight = nn.Parameter(torch.tensor([3.0]))
    optimizer = SGD([weight], 0.1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=False)
        loss = (weight**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 9.0
    assert weight.item() == pytest.approx(2.4)


def test_settings_and_groups_are_refused() -> None:
    weight = nn.Parameter(torch.zeros(1))
    with pytest.raises(ValueError, match=r"lr must be a finite number of at least 0, got -1\. *"):
        SGD([weight], -1.0)
    with pytest.raises(ValueError, match=r"betas must be at least 0 and below 1, got 1\.0"):
        Adam([weight], betas=(0.9, 1.0))
    with pytest.raises(ValueError, match=r"momentum must be above 0 for nesterov, got 0\.0"):
        SGD([weight], 0.1, nesterov=True)
    with pytest.raises(ValueError, match="params must be in one group each"):
        SGD([{"params": [weight]}, {"params": [weight]}], 0.1)


def test_the_checks_import_nothing_slow() -> None:
    """The first optimizer of torch.optim imports a compiler and SymPy, seconds in every verdict; ours does not."""
    checks = Path(str(package.__file__)).with_name("checks.py")
    code = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]) or 'sympy' in sys.modules)"
    options = ["-q", "-p", "groundup.checking", "-p", "no:cacheprovider", "-o", "python_files=checks.py"]
    run = subprocess.run([sys.executable, "-c", code, *options, str(checks)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:] or "SymPy was imported"
