"""Inside `Kernels` a model computes what it does outside, with its gradients and beside every kind of mask."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from groundup.stack.generative.decoding import generate
from groundup.stack.generative.gpt import GPT, Config, cross_entropy
from groundup.systems.language_model import kernels
from groundup.systems.language_model.kernels import Kernels
from groundup.systems.language_model.speaking import on
from groundup.systems.language_model.training import Precise


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(kernels, "LARGE", 1)


@pytest.fixture
def counted(monkeypatch):
    """How often the faster ways were taken."""
    calls = {"_multiply": 0, "_row_product": 0, "_Attention": 0}
    multiply, rows, attend = kernels._multiply, kernels._row_product(), kernels._Attention.apply

    def count(name, call):
        def counting(*args):
            calls[name] += 1
            return call(*args)

        return counting

    monkeypatch.setattr(kernels, "_multiply", count("_multiply", multiply))
    counting = count("_row_product", rows)
    monkeypatch.setattr(kernels, "_row_product", lambda: counting)
    monkeypatch.setattr(kernels._Attention, "apply", count("_Attention", attend))
    return calls


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 24), (2, 5, 24)])
def test_a_linear_layer_and_its_gradients_are_those_of_pytorch(bias, shape, counted):
    torch.manual_seed(0)
    layer, given = nn.Linear(24, 40, bias), torch.randn(shape, requires_grad=True)
    weights = torch.randn(*shape[:-1], 40)
    wanted = torch.autograd.grad((layer(given) * weights).sum(), [given, *layer.parameters()])
    with Kernels():
        outputs = layer(given)
    got = torch.autograd.grad((outputs * weights).sum(), [given, *layer.parameters()])
    torch.testing.assert_close(outputs, layer(given), rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    assert counted["_multiply"] == 3


@pytest.mark.parametrize("bias", [True, False])
def test_a_row_is_multiplied_as_pytorch_does_and_with_gradients_by_pytorch(bias, counted):
    torch.manual_seed(0)
    layer, row = nn.Linear(24, 40, bias), torch.randn(1, 1, 24)
    with torch.no_grad(), Kernels():
        torch.testing.assert_close(layer(row), layer(row[:, 0])[:, None])
        found = layer(row)
    torch.testing.assert_close(found, layer(row), rtol=1e-5, atol=1e-6)
    taken = counted["_row_product"]
    with Kernels():
        layer(row).sum().backward()
    assert (taken, counted["_row_product"]) == (3, 3)
    assert layer.weight.grad is not None


@pytest.mark.parametrize("kind", ["causal", "mask", "all"])
def test_attention_in_bfloat16_and_its_gradients_are_those_of_float32(kind, counted):
    torch.manual_seed(0)
    exact = [torch.randn(2, 3, 9, 8, requires_grad=True) for _ in range(3)]
    short = [each.detach().bfloat16().requires_grad_() for each in exact]
    mask = torch.rand(2, 1, 9, 9) < 0.5
    mask = (mask | torch.eye(9, dtype=torch.bool)) if kind == "mask" else None
    call = nn.functional.scaled_dot_product_attention
    weights = torch.randn(2, 3, 9, 8)
    wanted = call(exact[0], exact[1], exact[2], mask, is_causal=kind == "causal")
    with Kernels():
        found = call(short[0], short[1], short[2], mask, is_causal=kind == "causal")
    assert (found.dtype, counted["_Attention"]) == (torch.bfloat16, 1)
    torch.testing.assert_close(found.float(), wanted, rtol=0, atol=0.03)
    (wanted * weights).sum().backward()
    (found * weights).sum().backward()
    for ours, theirs in zip(short, exact, strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        torch.testing.assert_close(ours.grad.float(), theirs.grad, rtol=0, atol=0.1)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_has_the_same_losses(precision, counted):
    def losses(inside):
        torch.manual_seed(0)
        model = GPT(Config(50, layers=2, heads=2, width=32, context=16))
        rows = torch.randint(50, (4, 17))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        found = []
        for _ in range(8):
            if inside:
                logits = Precise(model, precision)(rows[:, :-1])
            else:
                with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
                    logits = model(rows[:, :-1]).float()
            loss = cross_entropy(logits, rows[:, 1:])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    ours, plain = losses(True), losses(False)
    assert counted["_multiply" if precision == "float32" else "_Attention"] > 0
    assert ours == pytest.approx(plain, rel=1e-5 if precision == "float32" else 5e-3)
    assert ours[-1] < ours[0] - 0.1


def test_written_tokens_are_the_same(counted):
    torch.manual_seed(0)
    model = GPT(Config(50, layers=2, heads=2, width=32, context=40)).eval()
    plain = list(generate(model, [[1, 2, 3]], 30))
    assert list(generate(on(model, "cpu"), [[1, 2, 3]], 30)) == plain
    assert counted["_row_product"] > 0


def test_small_matrices_other_types_and_more_threads_are_left_to_pytorch(counted, monkeypatch):
    layer, row = nn.Linear(24, 40), torch.randn(1, 24)
    with torch.no_grad(), Kernels():
        layer.double()(row.double())
        monkeypatch.setattr(torch, "get_num_threads", lambda: kernels.THREADS + 1)
        layer.float()(row)
        monkeypatch.setattr(kernels, "LARGE", 40 * 24 + 1)
        layer(torch.randn(3, 24))
        queries = torch.randn(1, 2, 3, 8)
        nn.functional.scaled_dot_product_attention(queries, queries, queries)
    assert set(counted.values()) == {0}


def test_without_numba_a_row_is_left_to_pytorch(monkeypatch):
    monkeypatch.setattr(kernels, "missing", list)
    kernels._row_product.cache_clear()
    try:
        layer, row = nn.Linear(24, 40), torch.randn(1, 24)
        with torch.no_grad(), Kernels():
            assert torch.equal(layer(row), nn.functional.linear(row, layer.weight, layer.bias))
        assert kernels._row_product() is None
    finally:
        kernels._row_product.cache_clear()
