"""`generative/export` against what reads its files: gguf, llama.cpp (xllamacpp), transformers and tokenizers."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from groundup.stack.generative.export import (
    export_gguf,
    export_hugging_face,
    from_gguf,
    read_gguf,
    store,
    write_gguf,
)
from groundup.stack.generative.gpt import GPT, Config
from groundup.stack.generative.lora import add_lora
from groundup.stack.generative.tokenization import GPT2_PATTERN, GPT4_PATTERN, Tokenizer, train_tokenizer

TEXT = Path(__file__).read_text().replace("<|end|>", "<end>")
PROMPT = "The file, which has 12345 bytes,\n\n  isn't ünï 'S: `read_gguf(path)`?"
TEXTS = [PROMPT, TEXT, "a\n \n\tb  \n c 1234567 日本 we'll   ", "x  y\r\n\r\n12 345", "I'M  it's\u00a0so"]


@cache
def tokenizer(pattern: str = GPT4_PATTERN) -> Tokenizer:
    return train_tokenizer([TEXT], 512, ["<|end|>"], pattern)


def model(tied: bool = False) -> GPT:
    torch.manual_seed(0)
    made = GPT(Config(512, 2, 4, 64, 256, kv_heads=2, tied=tied)).requires_grad_(False)
    for weight in made.parameters():
        if weight.ndim == 2:
            weight.data *= 3
    return made


def llama_cpp(path: Path, prompt: str, tokens: int) -> tuple[list[int], dict[int, float], int]:
    """What llama.cpp writes greedily, its log-probabilities of the first token, and how many tokens the prompt has.

    Tokens of bytes beyond ASCII are ruled out: it holds back those that are no whole character.
    """
    x = pytest.importorskip("xllamacpp")
    params = x.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.n_gpu_layers = str(path), 256, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup, params.verbosity = False, -1
    params.cache_type_k = params.cache_type_v = x.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = x.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    request = {"prompt": prompt, "max_tokens": tokens, "temperature": 0.0, "logprobs": 512}
    request["logit_bias"] = {str(number): -1000 for number in beyond_ascii()}
    answer: Any = x.Server(params).handle_completions(request)
    steps = answer["choices"][0]["logprobs"]["content"]
    first = {choice["id"]: choice["logprob"] for choice in steps[0]["top_logprobs"]}
    return [step["id"] for step in steps], first, answer["usage"]["prompt_tokens"]


def beyond_ascii() -> list[int]:
    return [number for token, number in tokenizer().vocabulary.items() if not token.isascii()]


def greedy(made: GPT, ids: list[int], count: int) -> list[int]:
    written = list(ids)
    for _ in range(count):
        logits = made(torch.tensor([written]))[0, -1]
        logits[beyond_ascii()] = -torch.inf
        written.append(int(logits.argmax()))
    return written[len(ids) :]


@pytest.mark.parametrize("tied", [False, True])
def test_llama_cpp_gives_the_same_tokens_and_logits(tied: bool, tmp_path: Path) -> None:
    made, words = model(tied), tokenizer()
    export_gguf(tmp_path / "model.gguf", made, words, "F32", "<|end|>")
    ids = words.encode(PROMPT)
    written, first, count = llama_cpp(tmp_path / "model.gguf", PROMPT, 12)
    assert count == len(ids)
    expected = torch.log_softmax(made(torch.tensor([ids]))[0, -1], dim=-1)
    assert len(first) == 512
    assert max(abs(first[number] - float(expected[number])) for number in range(512)) < 1e-3
    assert written == greedy(made, ids, 12)


@pytest.mark.parametrize(("kind", "limit"), [("F16", 0.05), ("Q8_0", 0.3), ("Q4_0", 1.0)])
def test_llama_cpp_reads_every_format(kind: Any, limit: float, tmp_path: Path) -> None:
    """It rounds activations as well, so its log-probabilities are near those of the file's weights, not equal."""
    made, words = model(), tokenizer()
    export_gguf(tmp_path / "model.gguf", made, words, kind, "<|end|>")
    _, first, _ = llama_cpp(tmp_path / "model.gguf", PROMPT, 1)
    ids = torch.tensor([words.encode(PROMPT)])
    expected = torch.log_softmax(from_gguf(tmp_path / "model.gguf").requires_grad_(False)(ids)[0, -1], dim=-1)
    errors = torch.tensor([first[number] for number in range(512)]) - expected
    assert float(errors.square().mean().sqrt()) < limit


@pytest.mark.parametrize("pattern", [GPT4_PATTERN, GPT2_PATTERN])
def test_llama_cpp_counts_the_same_tokens(pattern: str, tmp_path: Path) -> None:
    words = tokenizer(pattern)
    export_gguf(tmp_path / "model.gguf", model(), words, "F32", "<|end|>")
    for text in (PROMPT, TEXT[:300], TEXTS[2], TEXTS[4]):
        assert llama_cpp(tmp_path / "model.gguf", text, 1)[2] == len(words.encode(text))


def test_ggufs_reader_reads_our_file(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    made = model()
    export_gguf(tmp_path / "model.gguf", made, tokenizer(), "Q8_0", "<|end|>")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    metadata, tensors = read_gguf(tmp_path / "model.gguf")
    theirs = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert theirs == metadata
    assert [tensor.name for tensor in reader.tensors] == list(tensors)
    for tensor in reader.tensors:
        ours = tensors[tensor.name]
        assert (tensor.tensor_type.name, tensor.shape.tolist()[::-1]) == (ours.kind, list(ours.shape))
        assert tensor.data.tobytes() == ours.data


def test_our_reader_reads_ggufs_file(tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    weight = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    writer = gguf.GGUFWriter(tmp_path / "theirs.gguf", "llama")
    writer.add_uint32("n", 5)
    writer.add_array("words", ["a", "é"])
    writer.add_float64("x", 0.1)
    writer.add_tensor("w", weight)
    writer.add_tensor("q", gguf.quants.quantize(weight, gguf.GGMLQuantizationType.Q4_0), raw_dtype=2)
    for step in ("write_header_to_file", "write_kv_data_to_file", "write_tensors_to_file", "close"):
        getattr(writer, step)()
    metadata, tensors = read_gguf(tmp_path / "theirs.gguf")
    assert metadata == {"general.architecture": "llama", "n": 5, "words": ["a", "é"], "x": 0.1}
    assert np.array_equal(tensors["w"].weight().numpy(), weight)
    assert tensors["q"] == store(torch.from_numpy(weight), "Q4_0")
    write_gguf(tmp_path / "ours.gguf", metadata | {"x": np.float64(0.1)}, tensors)
    assert (tmp_path / "ours.gguf").read_bytes() == (tmp_path / "theirs.gguf").read_bytes()


@pytest.mark.parametrize("tied", [False, True])
def test_transformers_loads_our_folder(tied: bool, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    made, words = model(tied), tokenizer()
    add_lora(made, ["query", "down"], rank=2, alpha=4)
    for name, weight in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    export_hugging_face(tmp_path, made, words, "<|end|>")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = torch.tensor([words.encode(PROMPT)])
    torch.testing.assert_close(theirs(ids).logits, made(ids), rtol=0, atol=1e-4)


@pytest.mark.parametrize("pattern", [GPT4_PATTERN, GPT2_PATTERN])
def test_tokenizers_loads_our_tokenizer(pattern: str, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizer(pattern)
    export_hugging_face(tmp_path, model(), words, "<|end|>")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in TEXTS:
        assert theirs.encode(text).ids == words.encode(text)
        assert theirs.decode(theirs.encode(text).ids) == text
    assert theirs.encode("a<|end|>b").ids == words.encode("a<|end|>b", allow_special=True)
