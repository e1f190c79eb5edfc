"""Checks of export."""

import json
import struct
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from groundup.checking import assert_close, assert_refuses, assert_shape, assert_unchanged
from groundup.stack.generative.export import (
    export_gguf,
    export_hugging_face,
    from_gguf,
    gguf_tensors,
    llama_metadata,
    pack_value,
    permute_heads,
    read_gguf,
    recover_merges,
    store,
    tokenizer_metadata,
    write_gguf,
)
from groundup.stack.generative.gpt import GPT, Config, rope
from groundup.stack.generative.lora import add_lora
from groundup.stack.generative.tokenization import Tokenizer, count_pretokens, train, train_tokenizer

TEXT = "the pod is failing, the node is not. the pod restarts; the node, again and again, is fine. " * 3
TOKENS = torch.tensor([[5, 260, 270, 9, 281, 0]])


@cache
def tokenizer() -> Tokenizer:
    """28 merges and an end."""
    return train_tokenizer([TEXT], 285, ["<|end|>"])


def model(tied: bool = False) -> Any:
    """Two layers of four heads, which share two keys and values; weights large enough for errors to show."""
    torch.manual_seed(0)
    made = GPT(Config(285, 2, 4, 32, 16, kv_heads=2, hidden=64, tied=tied))
    for weight in made.parameters():
        weight.data = torch.randn(weight.shape) / 4
    return made


def text(value: str) -> bytes:
    """A string as GGUF has it."""
    return struct.pack("<Q", len(value)) + value.encode()


def by_hand(alignment: int = 32) -> bytes:
    """A file with a value of metadata and two tensors, put together byte by byte."""
    key = text("general.alignment") + struct.pack("<II", 4, alignment)
    first = text("a") + struct.pack("<IQQIQ", 2, 3, 2, 0, 0)
    second = text("b") + struct.pack("<IQIQ", 1, 1, 0, max(24, alignment))
    header = b"GGUF" + struct.pack("<IQQ", 3, 2, 1) + key + first + second
    header += bytes(-len(header) % alignment)
    data = struct.pack("<6f", *range(6)) + bytes(-24 % alignment)
    return header + data + struct.pack("<f", 9.0) + bytes(-4 % alignment)


def written(path: Path, data: bytes) -> Path:
    """The path of a file with this content."""
    (path / "strange.gguf").write_bytes(data)
    return path / "strange.gguf"


# --- the file -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kind", "data"),
    [
        ("é", 8, "0200000000000000 c3a9"),
        (True, 7, "01"),
        (258, 4, "02010000"),
        (-2, 5, "feffffff"),
        (2**32, 10, "0000000001000000"),
        (-(2**31) - 1, 11, "ffffff7fffffffff"),
        (0.5, 6, "0000003f"),
        (np.float64(0.5), 12, "000000000000e03f"),
        (np.int16(-2), 3, "feff"),
        (np.array(258, ">u2")[()], 2, "0201"),
        ([1, 2], 9, "04000000 0200000000000000 01000000 02000000"),
        (["a", "é"], 9, "08000000 0200000000000000 0100000000000000 61 0200000000000000 c3a9"),
        ([[True]], 9, "09000000 0100000000000000 07000000 0100000000000000 01"),
    ],
)
def test_pack_value_by_hand(value, kind, data):
    """The type's number, and little-endian bytes; a text with its length in bytes, a list with its items' type."""
    assert pack_value(value)[0] == kind, f"{value!r} is of type {kind}, not {pack_value(value)[0]}"
    assert pack_value(value)[1].hex() == data.replace(" ", ""), f"{value!r} is {data}, not {pack_value(value)[1].hex()}"


def test_pack_value_refuses_what_has_no_type():
    """An empty list, a list of several types, and what is neither number nor text are refused."""
    for value in ([], [1, "a"], [1, -1], None, {"a": 1}):
        assert_refuses(lambda value=value: pack_value(value), "value", message=f"{value!r} has no type")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("alignment", [32, 64])
def test_write_gguf_by_hand(alignment, tmp_path):
    """A file of two tensors, byte by byte: sizes last axis first, and everything at multiples of the alignment."""
    tensors = {"a": store(torch.arange(6.0).view(2, 3), "F32"), "b": store(torch.tensor([9.0]), "F32")}
    write_gguf(tmp_path / "small.gguf", {"general.alignment": alignment}, tensors)
    assert (tmp_path / "small.gguf").read_bytes() == by_hand(alignment)


@pytest.mark.parametrize("alignment", [1, 8, 64])
def test_read_gguf_by_hand(alignment, tmp_path):
    """A file put together byte by byte gives its metadata, and its tensors in their shapes."""
    metadata, tensors = read_gguf(written(tmp_path, by_hand(alignment)))
    assert metadata == {"general.alignment": alignment}

    assert_close(tensors["a"].weight(), [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], "2 rows of 3")
    assert_close(tensors["b"].weight(), [9.0], "the second tensor")


def test_what_is_written_is_read(rng, tmp_path):
    """Metadata of every type and tensors of every format come back."""
    metadata: dict[str, Any] = {"text": "ünï", "yes": True, "n": 5, "minus": -5, "x": 0.25, "large": 2**40}
    metadata |= {"list": ["a", ""], "nested": [[1, 2], [3]], "numbers": [np.int8(-1), np.int8(1)], "double": 0.1}
    weight = torch.from_numpy(rng.standard_normal((3, 64))).float()
    tensors = {kind: store(weight, kind) for kind in ("Q4_0", "F32", "Q8_0", "F16")}
    tensors["cube"] = store(torch.arange(24.0).view(2, 3, 4), "F32")
    write_gguf(tmp_path / "all.gguf", metadata | {"double": np.float64(0.1)}, tensors)
    assert read_gguf(tmp_path / "all.gguf") == (metadata, tensors)
    for kind, limit in (("F32", 0.0), ("F16", 1e-3), ("Q8_0", 0.02), ("Q4_0", 0.4)):
        assert (tensors[kind].weight() - weight).abs().max() <= limit, f"{kind} is within {limit}"


def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path):
    """A beginning of a file is refused by the file's name, up to the last byte of the last tensor."""
    data = by_hand()
    for length in range(0, len(data) - 28, 11):
        path = written(tmp_path, data[:length])
        assert_refuses(lambda path=path: read_gguf(path), "strange.gguf", message=f"{length} of {len(data)} bytes")


def test_a_changed_byte_breaks_nothing_else(tmp_path):
    """A file with one byte changed is read or refused, nothing else, and without memory for what it claims."""
    data = by_hand()
    for place in range(0, 200, 5):
        path, message = written(tmp_path, data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]), "strange.gguf"
        try:
            read_gguf(path)
        except ValueError as error:
            message = str(error)
        assert "strange.gguf" in message, f"byte {place} changed: {message}"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (b"GGUF", b"GGML", "GGML"),
        (b"GGUF\x03", b"GGUF\x02", "version"),
        (text("b"), text("a"), "twice"),
        (struct.pack("<II", 4, 32), struct.pack("<II", 4, 33), "alignment"),
        (struct.pack("<II", 4, 32), struct.pack("<II", 4, 0), "alignment"),
        (struct.pack("<II", 4, 32), struct.pack("<IQ", 8, 0), "alignment"),
        (struct.pack("<II", 4, 32), struct.pack("<II", 13, 32), "13"),
        (struct.pack("<IQIQ", 1, 1, 0, 32), struct.pack("<IQIQ", 1, 1, 30, 32), "30"),
        (struct.pack("<IQIQ", 1, 1, 0, 32), struct.pack("<IQIQ", 1, 1, 0, 0), "begin at 32"),
        (struct.pack("<IQIQ", 1, 1, 0, 32), struct.pack("<IQIQ", 1, 1, 8, 32), "32"),
        (struct.pack("<IQIQ", 1, 1, 0, 32), struct.pack("<IQIQ", 5, 1, 0, 32), "5"),
        (struct.pack("<IQIQ", 1, 1, 0, 32), struct.pack("<IQIQ", 1, 2**60, 0, 32), "ends"),
        (b"general.alignment", b"general.alignmen\xff", "UTF-8"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(old, new, named, tmp_path):
    """Magic, version, a name twice, alignment, types, formats, offsets, axes, sizes and texts are looked at."""
    data = by_hand()
    assert data.count(old) == 1
    path = written(tmp_path, data.replace(old, new))
    assert_refuses(lambda: read_gguf(path), "strange.gguf", named)


# --- a model for llama.cpp ------------------------------------------------------------------------------------------


def test_permute_heads_by_hand():
    """Two heads of 4 rows: 0 1 2 3 becomes 0 2 1 3, in each head."""
    weight = torch.arange(16.0).view(8, 2)
    assert_close(permute_heads(weight, 2)[:, 0] / 2, [0, 2, 1, 3, 4, 6, 5, 7])
    assert_close(permute_heads(weight, 1)[:, 0] / 2, [0, 4, 1, 5, 2, 6, 3, 7], "one head of 8 rows")


def neighbours_turned(rows: Tensor, position: int) -> Tensor:
    """RoPE as llama.cpp has it for "llama": numbers 2i and 2i + 1 of two heads of 8 turn as a pair."""
    pairs = torch.view_as_complex(rows.view(2, 4, 2).contiguous())
    angles = position * 10_000.0 ** (-torch.arange(4) / 4)
    return torch.view_as_real(pairs * torch.polar(torch.ones(4), angles)).flatten(1)


def test_permuted_heads_give_the_same_scores(rng):
    """Queries and keys from permuted weights, turned as neighbours, have the scores of ours, turned as halves."""
    ours, theirs = torch.ones(2, 8), torch.ones(2, 8)
    for place in (5, 3):
        weight, x = (torch.from_numpy(rng.standard_normal(shape)).float() for shape in ((16, 6), 6))
        ours *= rope((weight @ x).view(2, 8), torch.tensor([place, place]), 10_000.0)
        theirs *= neighbours_turned(permute_heads(weight, 2) @ x, place)
    assert_close(theirs.sum(1), ours.sum(1), rtol=1e-4, atol=1e-5)


def test_gguf_tensors_have_llama_cpps_names():
    """Eleven kinds of names; norms are float32, matrices of the format asked for."""
    tensors = gguf_tensors(model(), "Q8_0")
    layer = "attn_norm ffn_norm attn_q attn_k attn_v attn_output ffn_gate ffn_up ffn_down".split()
    expected = {"token_embd.weight", "output_norm.weight", "output.weight"}
    expected |= {f"blk.{number}.{name}.weight" for number in range(2) for name in layer}
    assert set(tensors) == expected, f"these differ: {sorted(set(tensors) ^ expected)}"
    kinds = {name: "F32" if "norm" in name else "Q8_0" for name in tensors}
    assert {name: tensor.kind for name, tensor in tensors.items()} == kinds, "norms F32, all others Q8_0"
    assert_shape(tensors["blk.1.ffn_down.weight"].weight(), (32, 64), "width by hidden")


def test_gguf_tensors_leave_a_tied_layer_out():
    """The embedding alone stands for both."""
    assert "output.weight" not in gguf_tensors(model(tied=True), "F32")


def test_gguf_tensors_turn_queries_and_keys_only():
    """Queries are permuted by 4 heads, keys by the 2 that they share; all other weights are as they were."""
    made = model()
    tensors, attention = gguf_tensors(made, "F32"), made.blocks[1].attention
    assert_close(tensors["blk.1.attn_q.weight"].weight(), permute_heads(attention.query.weight, 4), "queries")
    assert_close(tensors["blk.1.attn_k.weight"].weight(), permute_heads(attention.key.weight, 2), "keys")
    assert_close(tensors["blk.1.attn_v.weight"].weight(), attention.value.weight, "values")
    assert_close(tensors["blk.0.attn_output.weight"].weight(), made.blocks[0].attention.out.weight, "out")


def test_what_is_no_llama_is_refused():
    """LayerNorm, learned positions, GELU and biases are refused by name."""
    others: dict[str, Any] = {"norm": "layer", "positions": "learned", "feed_forward": "gelu", "qkv_bias": True}
    for name, value in others.items():
        assert_refuses(lambda: gguf_tensors(GPT(Config(20, 1, 2, 8, 4, **{name: value})), "F32"), name)  # noqa: B023


def test_store_refuses_and_falls_back():
    """Unknown formats and weights beyond float16 are refused; rows that are no whole blocks become F16."""
    assert_refuses(lambda: store(torch.ones(2, 2), "Q5_K"), "kind", "Q5_K")  # pyright: ignore[reportArgumentType]
    assert_refuses(lambda: store(torch.full((2, 2), 1e5), "F16"), "weight", 65504)
    assert store(torch.ones(2, 40), "Q4_0").kind == "F16", "40 weights are no whole blocks"


def test_recover_merges_by_hand():
    """Of a, b, c, ab, abc and ca, in this order: ab is a + b, abc is ab + c, ca is c + a."""
    vocabulary = {bytes([value]): value for value in range(256)}
    vocabulary |= {b"ca": 258, b"abc": 257, b"ab": 256}
    assert recover_merges(vocabulary) == [(b"a", b"b"), (b"ab", b"c"), (b"c", b"a")]
    assert_unchanged(recover_merges, vocabulary)


def test_recover_merges_refuses_what_was_not_merged():
    """A token that no two earlier ones make is refused; bytes alone have no merges."""
    vocabulary = {bytes([value]): value for value in range(256)}
    assert recover_merges(vocabulary) == [], "bytes are not merged"
    assert_refuses(lambda: recover_merges({**vocabulary, b"xyz": 300}), "vocabulary", "xyz")
    late = {**vocabulary, b"abc": 300, b"ab": 400}
    assert_refuses(lambda: recover_merges(late), "vocabulary", "abc", message="ab came after abc")


def test_recover_merges_are_those_of_training():
    """A tokenizer's vocabulary gives the very pairs that training merged, in their order."""
    pairs = train(count_pretokens([TEXT]), 28)
    assert recover_merges(tokenizer().vocabulary) == pairs


def test_tokenizer_metadata_says_what_llama_cpp_needs():
    """Letters stand for bytes, a special token is of type 3, and ids are places in the list."""
    metadata: dict[str, Any] = tokenizer_metadata(tokenizer(), "<|end|>")
    tokens, merges = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.merges"]
    assert (len(tokens), tokens[284], tokens[ord(" ")]) == (285, "<|end|>", "Ġ")
    assert metadata["tokenizer.ggml.token_type"][283:] == [1, 3]
    assert [left + right for left, right in map(str.split, merges)] == tokens[256:284], "merges make the tokens"
    assert metadata["tokenizer.ggml.eos_token_id"] == 284
    assert metadata["tokenizer.ggml.pre"] == "llama-bpe", "GPT-4's pattern"


def test_tokenizer_metadata_refuses_what_llama_cpp_cannot_have():
    """An end that is no token, a pattern without a name, and ids with a gap are refused."""
    assert_refuses(lambda: tokenizer_metadata(tokenizer(), "</s>"), "end", "</s>")
    other, gap = Tokenizer(tokenizer().vocabulary, pattern="(?s)."), Tokenizer(tokenizer().vocabulary, {"<|end|>": 300})
    assert_refuses(lambda: tokenizer_metadata(other), "tokenizer", "pattern")
    assert_refuses(lambda: tokenizer_metadata(gap), "tokenizer", 284)


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_comes_back(tied, tmp_path):
    """From its file a model gives the logits that it gave; in 8 bits, nearly."""
    made = model(tied)
    limits: dict[Any, float] = {"F32": 0.0, "Q8_0": 0.5}
    for kind, limit in limits.items():
        export_gguf(tmp_path / "model.gguf", made, tokenizer(), kind, "<|end|>")
        back = from_gguf(tmp_path / "model.gguf")
        assert_close(back.config.epsilon, 1e-5, "float32 holds seven digits", rtol=1e-6)
        assert back.config == replace(made.config, epsilon=back.config.epsilon), "the config"
        assert (back(TOKENS) - made(TOKENS)).abs().max() <= limit, f"{kind}: logits differ"


def test_adapters_are_merged_on_the_way(tmp_path):
    """An adapted model's file holds the merged weights, and the model keeps its adapters."""
    made = model()
    add_lora(made, ["query", "value"], rank=2, alpha=4)
    for name, weight in made.named_parameters():
        if "lora_" in name:
            weight.data = torch.randn(weight.shape) / 8
    expected = made(TOKENS)
    export_gguf(tmp_path / "adapted.gguf", made, tokenizer(), "F32")
    assert_close(from_gguf(tmp_path / "adapted.gguf")(TOKENS), expected, rtol=1e-4, atol=1e-4)
    assert any("lora_A" in name for name, _ in made.named_parameters()), "the model keeps its adapters"


def test_export_refuses_another_tokenizer(tmp_path):
    """A tokenizer of another size than the model's vocabulary is refused."""
    other = train_tokenizer([TEXT], 270)
    assert_refuses(lambda: export_gguf(tmp_path / "x.gguf", model(), other), "tokenizer", 285, 270)


def test_from_gguf_refuses_what_is_no_llama(tmp_path):
    """Another architecture, missing metadata, and a claim of more layers than there are tensors are refused."""
    metadata, tensors = llama_metadata(model().config, "F32"), gguf_tensors(model(), "F32")
    for changed, named in (({"general.architecture": "qwen2"}, "qwen2"), ({"llama.block_count": 2**31}, "blk")):
        write_gguf(tmp_path / "x.gguf", metadata | changed, tensors)
        assert_refuses(lambda: from_gguf(tmp_path / "x.gguf"), "x.gguf", named)
    write_gguf(tmp_path / "x.gguf", {"general.architecture": "llama"}, tensors)
    assert_refuses(lambda: from_gguf(tmp_path / "x.gguf"), "x.gguf", "vocab_size")


def test_a_folder_for_hugging_face(tmp_path):
    """config.json, safetensors with its rows in our order, and tokenizer.json with letters for bytes."""
    made = model()
    export_hugging_face(tmp_path, made, tokenizer(), "<|end|>")
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["model_type"], config["num_key_value_heads"], config["eos_token_id"]) == ("llama", 2, 284)
    data = (tmp_path / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    entry = header["model.layers.1.self_attn.q_proj.weight"]
    begin, end = (8 + length + offset for offset in entry["data_offsets"])
    query = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32).view(entry["shape"])
    assert_close(query, made.blocks[1].attention.query.weight, "queries, not permuted")
    assert json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]["Ġ"] == 32


def test_the_chat_template_travels(tmp_path):
    """Both files carry the template that they are given, and none if there is none."""
    for template in ("{{ messages }}é", None):
        export_gguf(tmp_path / "model.gguf", model(), tokenizer(), "F16", "<|end|>", template)
        assert read_gguf(tmp_path / "model.gguf")[0].get("tokenizer.chat_template") == template
        export_hugging_face(tmp_path, model(), tokenizer(), "<|end|>", template)
        about = json.loads((tmp_path / "tokenizer_config.json").read_text())
        assert (about.get("chat_template"), about["eos_token"]) == (template, "<|end|>")
