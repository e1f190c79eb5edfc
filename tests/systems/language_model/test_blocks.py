"""Weights in blocks of 8 or 4 bits multiply as the numbers that they stand for, on one thread and on two."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

pytest.importorskip("numba")

from groundup.stack.generative.decoding import GREEDY, generate
from groundup.stack.generative.export import export_gguf
from groundup.stack.generative.gpt import GPT, Config
from groundup.stack.generative.quantization import (
    dequantize_q4_0,
    dequantize_q8_0,
    quantize_model,
    quantize_q4_0,
    quantize_q8_0,
    relative_error,
)
from groundup.systems.language_model import blocks
from groundup.systems.language_model.blocks import Blocks, is_in_blocks, keep_in_blocks
from groundup.systems.language_model.data import STOP, TEMPLATE
from groundup.systems.language_model.kernels import Kernels
from groundup.systems.language_model.published import read_published
from groundup.systems.language_model.speaking import Speaker, on

KINDS = {"q8_0": (quantize_q8_0, dequantize_q8_0), "q4_0": (quantize_q4_0, dequantize_q4_0)}
CHAT = [{"role": "user", "content": "What is 3 plus 1?"}]


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(blocks, "CACHED", 1)


@pytest.fixture
def counted(monkeypatch):
    """How many products with one row the blocks did."""
    calls, multiply = [], Blocks.times_row

    def count(self, row):
        calls.append(self.kind)
        return multiply(self, row)

    monkeypatch.setattr(Blocks, "times_row", count)
    return calls


def gpt(**changes):
    torch.manual_seed(0)
    whole = {"layers": 2, "heads": 2, "width": 64, "hidden": 192, "context": 40, **changes}
    return GPT(Config(70, **whole)).eval()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_products_and_rows_are_those_of_the_dequantised_matrix(kind, threads, monkeypatch):
    """Of 70 rows, the last group of lanes is not full. No rounding but that of float32 sums is added."""
    torch.manual_seed(0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    pack, unpack = KINDS[kind]
    packed = pack(torch.randn(70, 96) * torch.logspace(-2, 1, 70)[:, None])
    made: Any = Blocks(packed, kind)
    weight = unpack(packed)
    bias, numbers = torch.randn(70), torch.tensor([[0, 69], [33, 7]])
    assert made.shape == (70, 96)
    assert torch.equal(made.dequantize(), weight)
    assert torch.equal(nn.functional.embedding(numbers, made), weight[numbers])
    for shape in [(96,), (1, 1, 96), (5, 96), (2, 3, 96)]:
        inputs = torch.randn(shape)
        outputs = nn.functional.linear(inputs, made, bias)
        exact = nn.functional.linear(inputs.double(), weight.double(), bias.double())
        assert outputs.shape == exact.shape
        assert relative_error(exact, outputs) < 1e-6
        with Kernels():
            assert torch.equal(nn.functional.linear(inputs, made, bias), outputs)


def test_a_large_matrix_is_dequantised_some_rows_at_a_time():
    torch.manual_seed(0)
    packed, inputs = quantize_q8_0(torch.randn(2 * blocks.ROWS + 40, 32)), torch.randn(3, 32)
    wanted = inputs @ dequantize_q8_0(packed).T
    torch.testing.assert_close(Blocks(packed, "q8_0").times_rows(inputs), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", ["q8_0", "q4_0", "nf4"])
def test_a_quantised_model_writes_the_same_tokens(kind, bias, counted):
    whole = gpt(bias=bias)
    model = copy.deepcopy(whole)
    quantize_model(model, kind)
    plain = copy.deepcopy(model)
    embedding = dequantize_q8_0(quantize_q8_0(plain.embedding.weight))
    plain.embedding.weight = nn.Parameter(embedding)
    assert keep_in_blocks(model)
    assert is_in_blocks(model)
    tokens = torch.randint(70, (2, 9))
    with torch.no_grad():
        exact, ours, lost = plain(tokens), model(tokens), relative_error(whole(tokens), plain(tokens))
    assert relative_error(exact, ours) < (lost / 8 if kind == "nf4" else 1e-5)  # NF4's levels are rounded to 8 bits
    if kind != "nf4":
        written = list(generate(on(model, "cpu"), [[1, 2, 3]], 20))
        assert written == list(generate(plain, [[1, 2, 3]], 20))
        assert len(counted) == 19 * 15  # after the prompt, each of two layers has 7 products, and the last layer one
        assert set(counted) == {"q8_0", kind}


def test_an_untied_embedding_is_left_as_it_is():
    model = gpt(tied=False)
    quantize_model(model, "q4_0")
    del model.blocks[0].attention  # not called here
    keep_in_blocks(model)
    assert isinstance(model.embedding.weight, nn.Parameter)
    assert model.head is not None
    assert isinstance(model.head.weight, Blocks)


def test_models_that_are_small_whole_or_in_int8_are_left_as_they_are(monkeypatch):
    whole, int8, small = gpt(), gpt(), gpt()
    quantize_model(int8, "int8")
    quantize_model(small, "q8_0")
    assert not keep_in_blocks(whole)
    keep_in_blocks(int8)
    with monkeypatch.context() as patch:
        patch.setattr(blocks, "CACHED", 1 << 23)
        assert not keep_in_blocks(small)
        patch.setattr(blocks, "CACHED", 1)
        patch.setattr(blocks, "missing", list)  # Numba is not there
        assert not keep_in_blocks(small)
    assert not any(is_in_blocks(model) for model in (whole, int8, small))


def test_what_blocks_cannot_do_is_refused():
    made: Any = Blocks(quantize_q8_0(torch.randn(32, 64)), "q8_0")
    with pytest.raises(ValueError, match=r"rows of whole blocks of 18 bytes, got the shape \(32, 68\): quantise the"):
        Blocks(quantize_q8_0(torch.randn(32, 64)), "q4_0")
    with pytest.raises(ValueError, match="inputs must have 64 numbers in a row, got 32"):
        nn.functional.linear(torch.randn(2, 32), made)
    with pytest.raises(ValueError, match=r"inputs must need no gradient, .* torch\.no_grad"):
        nn.functional.linear(torch.randn(64, requires_grad=True), made)
    with pytest.raises(TypeError, match=r"__torch_function__"):
        nn.functional.conv1d(torch.randn(1, 32, 64), made)


@pytest.mark.parametrize("stage", ["q8_0", "nf4"])
def test_a_quantised_stage_answers_from_blocks(stage, trained, counted):
    speaker = Speaker.of_run(trained, stage)
    assert is_in_blocks(speaker.model)
    assert "".join(speaker.answer(CHAT, GREEDY, 8).pieces)
    assert set(counted) == {"q8_0"}


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "F16"])
def test_a_file_is_run_in_the_blocks_that_it_has(kind, tmp_path, trained, counted):
    pytest.importorskip("gguf")
    path = tmp_path / "model.gguf"
    export_gguf(path, trained.model("grpo")[0], trained.tokenizer, kind, STOP, TEMPLATE.jinja)
    speaker, plain = Speaker.of_file(path), read_published(path).model
    assert is_in_blocks(speaker.model) == (kind != "F16")
    tokens = torch.randint(trained.tokenizer.size, (1, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(speaker.model(tokens), plain(tokens), rtol=1e-4, atol=1e-4)
    assert "".join(speaker.answer(CHAT, GREEDY, 8).pieces)
    assert set(counted) == ({kind.lower()} if kind != "F16" else set())


def test_another_format_of_a_file_is_kept_in_q8_0(tmp_path, trained):
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "model.gguf"
    export_gguf(path, trained.model("grpo")[0], trained.tokenizer, "F16", STOP, TEMPLATE.jinja)
    held = read_published(path)
    name = "blk.0.ffn_up.weight"
    numbers = held.tensors[name].weight().numpy()
    kind = gguf.GGMLQuantizationType.Q4_1
    packed = type(held.tensors[name])(numbers.shape, gguf.quants.quantize(numbers, kind), kind)
    held.tensors[name] = packed  # pyright: ignore[reportIndexIssue]
    ours: Any = held.model.get_submodule("blocks.0.feed_forward.up")
    ours.weight = nn.Parameter(packed.weight())
    made = held.blocks()
    [(data, found)] = made.values()
    assert list(made) == ["blocks.0.feed_forward.up.weight"]
    assert found == "q8_0"
    lost = relative_error(torch.from_numpy(numbers), packed.weight())
    assert relative_error(packed.weight(), Blocks(data, "q8_0").dequantize()) < lost / 10
