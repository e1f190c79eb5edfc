"""Write a trained model into the files that other programs run: GGUF for llama.cpp, a folder for Hugging Face.

    export_gguf("model.gguf", model, tokenizer, kind="Q8_0", end="<|end|>")
    export_hugging_face("folder", model, tokenizer, end="<|end|>")
    from_gguf("model.gguf")                          # the model again, as the file has it

GGUF, version 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. The names and the order of rows are those of
llama.cpp's architecture "llama", as its converter (conversion/llama.py) writes them.

Not covered: other architectures than Llama's, files in several parts, big-endian files, other formats of tensors.
"""

import copy
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from groundup.stack.generative.gpt import GPT, Config
from groundup.stack.generative.lora import merge_lora
from groundup.stack.generative.quantization import dequantize_q4_0, dequantize_q8_0, quantize_q4_0, quantize_q8_0
from groundup.stack.generative.tokenization import GPT2_PATTERN, GPT4_PATTERN, Tokenizer, byte_letters, merge_bytes

Kind = Literal["F32", "F16", "Q4_0", "Q8_0"]
Value = bool | int | float | str | np.generic | list[Any]

MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32

STRING, ARRAY = 8, 9
NUMBERS = {0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}
"""The types of a metadata value by their numbers, as NumPy calls them; 8 is a string and 9 an array."""

KINDS: dict[Kind, tuple[int, int, int, int]] = {
    "F32": (0, 1, 4, 0),
    "F16": (1, 1, 2, 1),
    "Q4_0": (2, 32, 18, 2),
    "Q8_0": (8, 32, 34, 7),
}
"""The number of a tensor's format, weights and bytes of a block, and the number of a file most of which has it."""

NUMBERED: dict[int, Kind] = {numbers[0]: kind for kind, numbers in KINDS.items()}

LETTERS = byte_letters()

PRETOKENIZERS = {GPT2_PATTERN: "gpt-2", GPT4_PATTERN: "llama-bpe"}
"""llama.cpp knows patterns by names only; llama-bpe cuts as GPT-4 does."""

LAYERS = {
    "attention_norm": ("attn_norm", "input_layernorm"),
    "attention.query": ("attn_q", "self_attn.q_proj"),
    "attention.key": ("attn_k", "self_attn.k_proj"),
    "attention.value": ("attn_v", "self_attn.v_proj"),
    "attention.out": ("attn_output", "self_attn.o_proj"),
    "feed_forward_norm": ("ffn_norm", "post_attention_layernorm"),
    "feed_forward.gate": ("ffn_gate", "mlp.gate_proj"),
    "feed_forward.up": ("ffn_up", "mlp.up_proj"),
    "feed_forward.down": ("ffn_down", "mlp.down_proj"),
}
ENDS = {"embedding": ("token_embd", "model.embed_tokens"), "norm": ("output_norm", "model.norm")}
ENDS["head"] = ("output", "lm_head")
"""Our names of layers, llama.cpp's, and Hugging Face's."""


@dataclass(frozen=True)
class Stored:
    """A tensor as a file has it: its kind, its shape as PyTorch says it, and its bytes."""

    kind: Kind
    shape: tuple[int, ...]
    data: bytes

    def weight(self) -> Float[Tensor, "*shape"]:
        """Return the weights that the bytes stand for, as float32."""
        data = torch.frombuffer(bytearray(self.data), dtype=torch.uint8)
        if self.kind in ("F32", "F16"):
            return data.view(torch.float32 if self.kind == "F32" else torch.float16).float().view(self.shape)
        return (dequantize_q8_0 if self.kind == "Q8_0" else dequantize_q4_0)(data).view(self.shape)


def store(weight: Float[Tensor, "*shape"], kind: Kind) -> Stored:
    """Return a tensor in a format; F32 if it has one axis, and F16 if rows are no whole blocks, as llama.cpp does.

    Raises:
        ValueError: `kind` is none that is written here, or a weight is too large for float16.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}.")
    if weight.ndim < 2:
        kind = "F32"
    elif weight.shape[-1] % KINDS[kind][1]:
        kind = "F16"
    if kind == "F16" and weight.abs().max() > 65504:
        raise ValueError(f"weight must be at most 65504 in F16, got {weight.abs().max()}: use F32.")
    pack = {"F32": Tensor.float, "F16": Tensor.half, "Q4_0": quantize_q4_0, "Q8_0": quantize_q8_0}[kind]
    return Stored(kind, tuple(weight.shape), pack(weight.detach().cpu()).contiguous().numpy().tobytes())


# --- the file -------------------------------------------------------------------------------------------------------


def pack_value(value: Value) -> tuple[int, bytes]:
    """Return the number of a metadata value's type, and its bytes, little-endian.

    A string is its length in bytes (uint64) and UTF-8. A list is the type of its items (uint32), how many there are
    (uint64), and the items without their types. A number of NumPy keeps its type. A Python float is float32, an int
    uint32, or int32 below 0; larger ones are uint64 and int64.

    Raises:
        ValueError: a list is empty or mixes types, or a value is of another type.
    """
    if isinstance(value, str):
        data = value.encode()
        return STRING, struct.pack("<Q", len(data)) + data
    if isinstance(value, list):
        packed = [pack_value(item) for item in value]
        kinds = sorted({kind for kind, _ in packed})
        if len(kinds) != 1:
            raise ValueError(f"value must be a list of one type, got the types {kinds} in {str(value)[:40]}.")
        return ARRAY, struct.pack("<IQ", kinds[0], len(value)) + b"".join(data for _, data in packed)
    number = value if isinstance(value, np.generic) else _number(value)
    for kind, name in NUMBERS.items():
        if number.dtype == name:
            return kind, number.tobytes()
    raise ValueError(f"value must be a bool, a number, a text or a list of one of these, got {value!r}.")


def write_gguf(path: str | Path, metadata: Mapping[str, Value], tensors: Mapping[str, Stored]) -> None:
    """Write metadata and tensors as a GGUF file.

    In order: the magic, the version (uint32), how many tensors and how many metadata values (uint64); each value's key
    (a string), type (uint32) and bytes; each tensor's name, number of axes (uint32), sizes (uint64, the last axis
    first), format (uint32) and offset in the data (uint64); then the data. The data begins, and each tensor of it, at a
    multiple of "general.alignment", 32 unless the metadata says otherwise; zeros fill what lies between.
    """
    alignment = int(metadata.get("general.alignment", ALIGNMENT))  # pyright: ignore[reportArgumentType]
    header = MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(metadata))
    for key, value in metadata.items():
        kind, data = pack_value(value)
        header += pack_value(key)[1] + struct.pack("<I", kind) + data
    offset = 0
    for name, tensor in tensors.items():
        axes = len(tensor.shape)
        header += pack_value(name)[1] + struct.pack(f"<I{axes}Q", axes, *reversed(tensor.shape))
        header += struct.pack("<IQ", KINDS[tensor.kind][0], offset)
        offset += len(_padded(tensor.data, alignment))
    with open(path, "wb") as file:
        file.write(_padded(header, alignment))
        for tensor in tensors.values():
            file.write(_padded(tensor.data, alignment))


def read_gguf(path: str | Path) -> tuple[dict[str, Value], dict[str, Stored]]:
    """Return the metadata and the tensors of a GGUF file. Nothing is read beyond its end, whatever its lengths claim.

    Numbers are plain ones of Python, arrays lists.

    Raises:
        ValueError: the file is no GGUF of version 3, ends early, names a type or a format that is not known here, a key
            or a tensor twice, or puts a tensor elsewhere than behind the one before it.
    """
    cursor = _Cursor(Path(path))
    if (magic := cursor.take(4)) != MAGIC:
        raise cursor.damaged(f"it must begin with GGUF, and begins with {magic!r}")
    version, count, values = cursor.unpack("<IQQ")
    if version != VERSION:
        raise cursor.damaged(f"its version must be {VERSION}, and is {version}")
    metadata: dict[str, Value] = {}
    for _ in range(values):
        key = cursor.value(STRING)
        metadata[cursor.new(key, metadata)] = cursor.value(*cursor.unpack("<I"))
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise cursor.damaged(f"general.alignment must be a power of two, and is {alignment!r}")
    places: dict[str, tuple[Kind, tuple[int, ...], int]] = {}
    end = 0
    for _ in range(count):
        name = cursor.new(cursor.value(STRING), places)
        (axes,) = cursor.unpack("<I")
        if not 1 <= axes <= 4:
            raise cursor.damaged(f"tensor {name!r} must have 1 to 4 axes, and has {axes}")
        shape = cursor.unpack(f"<{axes}Q")[::-1]
        number, offset = cursor.unpack("<IQ")
        if (kind := NUMBERED.get(number)) is None:
            raise cursor.damaged(f"tensor {name!r} is of format {number}, which is not read here")
        _, block, size, _ = KINDS[kind]
        if shape[-1] % block:
            raise cursor.damaged(f"tensor {name!r} must have rows of whole blocks of {block}, and has {shape[-1]}")
        if offset != end:
            raise cursor.damaged(f"tensor {name!r} must begin at {end} in the data, and begins at {offset}")
        places[name] = kind, shape, prod(shape) // block * size
        end += -(-places[name][2] // alignment) * alignment
    cursor.at = -(-cursor.at // alignment) * alignment
    tensors = {}
    for name, (kind, shape, size) in places.items():
        tensors[name] = Stored(kind, shape, cursor.take(size))
        cursor.at += -size % alignment
    return metadata, tensors


class _Cursor:
    """Bytes of a file, read from front to back and never beyond the end."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, memoryview(path.read_bytes()), 0

    def damaged(self, reason: str) -> ValueError:
        return ValueError(f"path {self.path.name} is no sound GGUF file: {reason}. Fetch or write it again.")

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise self.damaged(f"at byte {self.at} it needs {count} more, and ends at {len(self.data)}")
        self.at += count
        return bytes(self.data[self.at - count : self.at])

    def unpack(self, layout: str) -> tuple[int, ...]:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def value(self, kind: int, depth: int = 0) -> Any:
        if kind in NUMBERS:
            return np.frombuffer(self.take(np.dtype(NUMBERS[kind]).itemsize), NUMBERS[kind])[0].item()
        if kind == STRING:
            data = self.take(*self.unpack("<Q"))
            try:
                return data.decode()
            except UnicodeDecodeError:
                raise self.damaged(f"at byte {self.at - len(data)} a text is no UTF-8") from None
        if kind == ARRAY and depth < 4:
            item, count = self.unpack("<IQ")
            if count > len(self.data) - self.at:  # an item takes a byte at least
                raise self.damaged(f"at byte {self.at} an array claims {count} items")
            return [self.value(item, depth + 1) for _ in range(count)]
        raise self.damaged(f"at byte {self.at} a value is of type {kind}, which does not exist or is too deep")

    def new(self, name: Any, known: Mapping[str, Any]) -> str:
        if name in known:
            raise self.damaged(f"{name!r} is there twice")
        return name


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, float):
        return np.float32(value)
    if isinstance(value, int):
        small, large = (np.int32, np.int64) if value < 0 else (np.uint32, np.uint64)
        return small(value) if np.iinfo(small).min <= value <= np.iinfo(small).max else large(value)
    return np.array(value)


def _padded(data: bytes, alignment: int) -> bytes:
    return data + bytes(-len(data) % alignment)


# --- a model for llama.cpp ------------------------------------------------------------------------------------------


def permute_heads(weight: Float[Tensor, "rows in"], heads: int) -> Float[Tensor, "rows in"]:
    """Put the rows of each head in llama.cpp's order: the first of either half, then the second, and so on.

    Ours (and Hugging Face's) RoPE turns numbers i and i + half as a pair, llama.cpp's for "llama" neighbours.
    """
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


def gguf_tensors(model: GPT, kind: Kind) -> dict[str, Stored]:
    """Return a model's tensors by llama.cpp's names, queries and keys in its order. A tied last layer is left out.

    Raises:
        ValueError: the model is no Llama: another norm, learned positions, GELU, or biases.
    """
    config = _llama(model.config)
    tensors = {}
    for name, weight in model.state_dict().items():
        heads = _turned(name, config)
        tensors[_renamed(name, 0)] = store(permute_heads(weight, heads) if heads else weight, kind)
    return tensors


def recover_merges(vocabulary: Mapping[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Return the pair that each token of several bytes was merged of, in the order of the ids.

    A tokenizer keeps tokens only. Cut into tokens of lower ids, a token falls into the two that it was merged of.

    Raises:
        ValueError: a token does not fall into two.
    """
    ranks: dict[bytes, int] = {}  # single bytes need no rank
    pairs = []
    for token, number in sorted(vocabulary.items(), key=lambda item: item[1]):
        if len(token) > 1:
            parts = merge_bytes(token, ranks)
            if len(parts) != 2:
                raise ValueError(f"vocabulary holds {token!r}, which no two earlier tokens make: train it by merging.")
            pairs.append((parts[0], parts[1]))
            ranks[token] = number
    return pairs


def llama_metadata(config: Config, kind: Kind, name: str = "groundup") -> dict[str, Value]:
    """Return what llama.cpp must know of a model before it reads tensors."""
    return {
        "general.architecture": "llama",
        "general.name": name,
        "general.file_type": KINDS[kind][3],
        "general.quantization_version": 2,
        "general.alignment": ALIGNMENT,
        "llama.vocab_size": config.vocabulary,
        "llama.context_length": config.context,
        "llama.embedding_length": config.width,
        "llama.block_count": config.layers,
        "llama.feed_forward_length": int(config.hidden or 0),
        "llama.attention.head_count": config.heads,
        "llama.attention.head_count_kv": config.groups,
        "llama.attention.layer_norm_rms_epsilon": config.epsilon,
        "llama.rope.dimension_count": config.head_dim,
        "llama.rope.freq_base": config.rope_base,
    }


def tokenizer_metadata(
    tokenizer: Tokenizer, end: str | None = None, chat_template: str | None = None
) -> dict[str, Value]:
    """Return a tokenizer as llama.cpp has it: letters for bytes, types of tokens, and merges.

    Args:
        tokenizer: its ids run from 0 without a gap, and its pattern is GPT-2's or GPT-4's.
        end: the special token that ends a text; without one llama.cpp takes id 11, which is a byte.
        chat_template: how a chat is written, in Jinja; without one llama.cpp writes ChatML, whatever was trained.

    Raises:
        ValueError: an id is missing, llama.cpp has no name for the pattern, or `end` is no special token.
    """
    if tokenizer.pattern not in PRETOKENIZERS:
        raise ValueError(
            f"tokenizer has a pattern that llama.cpp cannot name, {tokenizer.pattern!r}: use GPT4_PATTERN."
        )
    if end is not None and end not in tokenizer.special_tokens:
        raise ValueError(f"end must be a special token, got {end!r}: there are {list(tokenizer.special_tokens)}.")
    words = {number: _letters(token) for token, number in tokenizer.vocabulary.items()}
    words |= {number: token for token, number in tokenizer.special_tokens.items()}
    if missing := set(range(tokenizer.size)) - set(words):
        raise ValueError(f"tokenizer must have ids without a gap, {min(missing)} is missing: number them anew.")
    control = set(tokenizer.special_tokens.values())
    metadata: dict[str, Value] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": PRETOKENIZERS[tokenizer.pattern],
        "tokenizer.ggml.tokens": [words[number] for number in range(tokenizer.size)],
        "tokenizer.ggml.token_type": [np.int32(3 if number in control else 1) for number in range(tokenizer.size)],
        "tokenizer.ggml.merges": [f"{_letters(a)} {_letters(b)}" for a, b in recover_merges(tokenizer.vocabulary)],
        "tokenizer.ggml.add_bos_token": False,
    }
    if end is not None:
        metadata["tokenizer.ggml.eos_token_id"] = tokenizer.special_tokens[end]
    if chat_template is not None:
        metadata["tokenizer.chat_template"] = chat_template
    return metadata


def export_gguf(
    path: str | Path,
    model: GPT,
    tokenizer: Tokenizer,
    kind: Kind = "F16",
    end: str | None = None,
    chat_template: str | None = None,
) -> None:
    """Write a model and its tokenizer as one file for llama.cpp. Adapters are merged first; the model stays as it is.

    Raises:
        ValueError: the tokenizer has another size than the model's vocabulary, or `gguf_tensors` or
            `tokenizer_metadata` refuse.
    """
    _same_size(model, tokenizer)
    metadata = llama_metadata(model.config, kind) | tokenizer_metadata(tokenizer, end, chat_template)
    write_gguf(path, metadata, gguf_tensors(merge_lora(copy.deepcopy(model)), kind))


def from_gguf(path: str | Path) -> GPT:
    """Build the model of a file of the architecture "llama", in float32.

    Raises:
        ValueError: `read_gguf` or `build_llama` refuses the file.
        RuntimeError: a tensor is missing, too many, or of another shape.
    """
    return build_llama(*read_gguf(path), path)


class Readable(Protocol):
    """A tensor whose weights can be had as float32, as those of `Stored` can."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As PyTorch says it."""
        ...

    def weight(self) -> Tensor:
        """The weights."""
        ...


def build_llama(metadata: Mapping[str, Any], tensors: Mapping[str, Readable], path: str | Path) -> GPT:
    """Build a model of what a file of the architecture "llama" holds; `path` is for messages.

    Raises:
        ValueError: it is of another architecture, or lacks what a Llama must say.
        RuntimeError: a tensor is missing, too many, or of another shape.
    """
    if (architecture := metadata.get("general.architecture")) != "llama":
        raise ValueError(f"path {path} must be of the architecture 'llama', got {architecture!r}.")
    given: dict[str, Any] = {name.removeprefix("llama."): value for name, value in metadata.items()}
    try:
        config = Config(
            given["vocab_size"],
            given["block_count"],
            given["attention.head_count"],
            given["embedding_length"],
            given["context_length"],
            given["attention.head_count_kv"],
            given["feed_forward_length"],
            tied="output.weight" not in tensors,
            rope_base=given["rope.freq_base"],
            epsilon=given["attention.layer_norm_rms_epsilon"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"path {path} does not say what a Llama must say: {error}.") from error
    claimed = {"token_embd": (config.vocabulary, config.width), "blk.0.ffn_gate": (config.hidden, config.width)}
    claimed[f"blk.{config.layers - 1}.ffn_gate"] = claimed["blk.0.ffn_gate"]
    for name, shape in claimed.items():  # before memory is taken for a model of this size
        if f"{name}.weight" not in tensors or tensors[f"{name}.weight"].shape != shape:
            raise ValueError(f"path {path} claims a tensor {name}.weight of shape {shape}, and has none.")
    model, state, tensors = GPT(config), {}, dict(tensors)
    for name in model.state_dict():
        if (stored := tensors.pop(_renamed(name, 0), None)) is not None:
            state[name] = stored.weight()
            if heads := _turned(name, config):
                state[name] = state[name].unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)
    model.load_state_dict(state | {name: stored.weight() for name, stored in tensors.items()})
    return model


# --- a folder for Hugging Face --------------------------------------------------------------------------------------


def export_hugging_face(
    folder: str | Path,
    model: GPT,
    tokenizer: Tokenizer,
    end: str | None = None,
    chat_template: str | None = None,
) -> None:
    """Write config.json, model.safetensors, tokenizer.json and tokenizer_config.json, which transformers loads.

    Adapters are merged first; the model stays as it is. Weights keep their type: float32 or float16.

    Raises:
        ValueError: as for `export_gguf`.
    """
    _same_size(model, tokenizer)
    model = merge_lora(copy.deepcopy(model))
    config = _llama(model.config)
    state = {_renamed(name, 1): weight for name, weight in model.state_dict().items()}
    described = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "hidden_size": config.width,
        "intermediate_size": config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.groups,
        "rms_norm_eps": config.epsilon,
        "rope_theta": config.rope_base,
        "tie_word_embeddings": config.tied,
        "hidden_act": "silu",
        "torch_dtype": str(next(iter(state.values())).dtype).removeprefix("torch."),
        "bos_token_id": None,
        "eos_token_id": None if end is None else tokenizer.special_tokens[end],
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(described, indent=2))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer_json(tokenizer), ensure_ascii=False))
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config.context, "eos_token": end}
    about |= {"clean_up_tokenization_spaces": False, "chat_template": chat_template}
    given = {name: value for name, value in about.items() if value is not None}
    (folder / "tokenizer_config.json").write_text(json.dumps(given, indent=2, ensure_ascii=False))
    (folder / "model.safetensors").write_bytes(pack_safetensors(state))


def pack_safetensors(state: Mapping[str, Tensor]) -> bytes:
    """Return tensors as a safetensors file: the header's length (uint64), the header in JSON, the data end to end."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, weight in state.items():
        kind = {torch.float32: "F32", torch.float16: "F16"}[weight.dtype]
        packed = weight.detach().cpu().contiguous().numpy().tobytes()
        offsets = [len(data), len(data) + len(packed)]
        header[name] = {"dtype": kind, "shape": list(weight.shape), "data_offsets": offsets}
        data += packed
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of 8
    return struct.pack("<Q", len(text)) + text + data


def _tokenizer_json(tokenizer: Tokenizer) -> dict[str, Any]:
    pattern = tokenizer.pattern.replace("{1,3}+", "{1,3}")  # in Oniguruma + after braces repeats
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "added_tokens": [{"id": id, "content": token} | added for token, id in tokenizer.special_tokens.items()],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "ignore_merges": True,
            "vocab": {_letters(token): number for token, number in tokenizer.vocabulary.items()},
            "merges": [[_letters(left), _letters(right)] for left, right in recover_merges(tokenizer.vocabulary)],
        },
    }


def _letters(token: bytes) -> str:
    return "".join(map(LETTERS.__getitem__, token))


def _renamed(name: str, side: int) -> str:
    """Our name of a weight as llama.cpp's (0) or Hugging Face's (1)."""
    name, _, last = name.rpartition(".")
    if name in ENDS:
        return f"{ENDS[name][side]}.{last}"
    _, layer, part = name.split(".", 2)
    return f"{('blk', 'model.layers')[side]}.{layer}.{LAYERS[part][side]}.{last}"


def _turned(name: str, config: Config) -> int:
    """How many heads a weight has that RoPE turns; 0 for all others."""
    return {"attention.query": config.heads, "attention.key": config.groups}.get(name.split(".", 2)[-1][:-7], 0)


def _llama(config: Config) -> Config:
    wanted = {"norm": "rms", "positions": "rope", "feed_forward": "swiglu", "bias": False, "qkv_bias": False}
    for name, value in wanted.items():
        if getattr(config, name) != value:
            raise ValueError(f"model must be a Llama with {name}={value!r}, got {getattr(config, name)!r}.")
    return config


def _same_size(model: GPT, tokenizer: Tokenizer) -> None:
    if tokenizer.size != model.config.vocabulary:
        sizes = f"{model.config.vocabulary} ids, got {tokenizer.size}"
        raise ValueError(f"tokenizer must have the model's {sizes}: is it another model's?")
