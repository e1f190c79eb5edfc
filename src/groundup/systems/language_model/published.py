"""Models of others in GGUF files, run by our own model and tokenizer.

    published = read_published("SmolLM2-135M-Instruct.Q4_1.gguf")
    published.model(tokens)                       # logits; every weight is float32, whatever format the file has
    published.template                            # how a chat is written to it

The library gguf reads the file and turns its blocks into numbers, by the formulas of llama.cpp. `Published.blocks` has
them as they are, for `blocks.keep_in_blocks`.

Not covered: other architectures than "llama", RoPE that is stretched, tokenizers other than byte-level BPE, files in
several parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundup.errors import ConfigError
from groundup.extras import need
from groundup.stack.generative.export import build_llama
from groundup.stack.generative.export.export import ENDS, LAYERS
from groundup.stack.generative.gpt import GPT
from groundup.stack.generative.instruction_tuning import CHATML, GROUNDUP, LLAMA3, Template, render
from groundup.stack.generative.quantization import quantize_q8_0
from groundup.stack.generative.tokenization import GPT2_PATTERN, GPT4_PATTERN, Tokenizer, byte_letters
from groundup.systems.language_model.blocks import Kind

SMALL, PACKAGED = "smollm2", "SmolLM2-135M-Instruct"
"""The name of a small model that is fetched once, and what it is called where it is published."""

SMOLLM_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++|\p{N}| ?[^\s\p{L}\p{N}]++|\s++(?=\p{N})|\s++$|\s+(?!\S)|\s"""
"""GPT-2's, on what lies between digits, each of which is by itself."""

PATTERNS = {"gpt-2": GPT2_PATTERN, "llama-bpe": GPT4_PATTERN, "smollm": SMOLLM_PATTERN}
"""llama.cpp's names of pre-tokenizers that are known here."""

TEMPLATES = {"ChatML": CHATML, "Llama 3's": LLAMA3, "groundup's": GROUNDUP}
PLAIN = ("F64", "F32", "F16", "BF16")
"""Formats that are not quantised."""
SPECIAL = (3, 4)
"""The types of a token that no ordinary text is made of: control, and defined by the user."""


class PublishedTokenizer(Tokenizer):
    """A tokenizer that may lack bytes: text that needs one goes without it, as in llama.cpp."""

    def __init__(self, vocabulary: Mapping[bytes, int], special_tokens: Mapping[str, int], pattern: str) -> None:
        self.known = len(vocabulary) + len(special_tokens)
        missing = [byte for value in range(256) if (byte := bytes([value])) not in vocabulary]
        lacking = {byte: self.known + number for number, byte in enumerate(missing)}
        super().__init__({**vocabulary, **lacking}, special_tokens, pattern)
        self.size = self.known

    def encode(self, text: str, allow_special: bool = False) -> list[int]:
        """Return the ids of a text, without bytes that the vocabulary lacks."""
        return [number for number in super().encode(text, allow_special) if number < self.known]


@dataclass(frozen=True)
class Published:
    """What a file holds.

    Attributes:
        name: what the file calls the model.
        model: in evaluation mode.
        tokenizer: of its tokens.
        template: how a chat is written; None where the file says nothing of chats.
        system: what the template tells a model where a chat begins without a system's message.
        metadata: all that the file says beside its tensors.
        tensors: the file's, by its names.
    """

    name: str
    model: GPT
    tokenizer: Tokenizer
    template: Template | None
    system: str
    metadata: dict[str, Any]
    tensors: Mapping[str, _Packed]

    def blocks(self) -> dict[str, tuple[Tensor, Kind]]:
        """Packed bytes and their kind, by our names, of the weights that the file has quantised.

        Q8_0 and Q4_0 are the file's bytes. What another format stands for is rounded to Q8_0, which loses a tenth or
        less of what that format of fewer bits has lost already.
        """
        config, made = self.model.config, {}
        turned = {"query": config.heads, "key": config.groups}
        for name, weight in self.model.named_parameters():
            packed = self.tensors.get(_name_in_file(name))
            if packed is None or packed.kind.name in PLAIN:
                continue
            if packed.kind.name not in ("Q8_0", "Q4_0"):
                made[name] = quantize_q8_0(weight), "q8_0"
                continue
            rows = torch.from_numpy(packed.data.copy()).view(len(weight), -1)
            if heads := turned.get(name.split(".")[-2]):  # the order of RoPE's pairs, as in `build_llama`
                rows = rows.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)
            made[name] = rows, packed.kind.name.lower()
        return made


@dataclass(frozen=True)
class _Packed:
    """A tensor of the file, which is turned into numbers when they are asked for."""

    shape: tuple[int, ...]
    data: Any
    kind: Any

    def weight(self) -> Tensor:
        """The numbers."""
        import gguf

        return torch.from_numpy(gguf.quants.dequantize(self.data, self.kind).copy()).view(self.shape)


def file_of(name: str) -> Path:
    """The file of a model: "smollm2", which is fetched once, or a path.

    Raises:
        ConfigError: there is no such file.
        ModelUnavailable: "smollm2" could be had from nowhere.
    """
    if name == SMALL:
        from groundup.weights import weights_of

        (path,) = weights_of(PACKAGED).values()
        return path
    path = Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(f"--model must be {SMALL} or a GGUF file that is there, got '{name}'. Check the path.")
    return path


def read_published(path: str | Path) -> Published:
    """Read a model, its tokenizer and its template.

    Raises:
        MissingPackage: the library gguf is not installed.
        ConfigError: the file is no sound GGUF file, or holds what is not covered; the message names what.
    """
    need("A model in a GGUF file", "gguf", "torch", "regex")
    import gguf

    path = Path(path)
    try:
        reader = gguf.GGUFReader(path)
        metadata = {name: field.contents() for name, field in reader.fields.items()}
        tensors = {
            each.name: _Packed(tuple(int(size) for size in reversed(each.shape)), each.data, each.tensor_type)
            for each in reader.tensors
        }
    except Exception as error:  # what the library raises on a damaged file is not promised anywhere
        raise ConfigError(f"--model {path} is no sound GGUF file: {error}. Fetch or write it again.") from error
    _check_rope(metadata, tensors, path)
    tokenizer = tokenizer_of_file(metadata, path)
    try:
        model = build_llama({"llama.vocab_size": tokenizer.size, **metadata}, tensors, path).eval()
    except (ValueError, RuntimeError) as error:
        raise ConfigError(f"--model {error}") from error
    template, system = template_of(metadata, path)
    name = str(metadata.get("general.name") or path.stem)
    return Published(name, model, tokenizer, template, system, metadata, tensors)


def tokenizer_of_file(metadata: Mapping[str, Any], path: Path) -> Tokenizer:
    """The tokenizer of a GGUF file.

    Raises:
        ConfigError: it is no byte-level BPE, its pre-tokenizer is unknown here, or its merges are in another order than
            its ids, by which ours merges.
    """
    kind, pre = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre")
    if kind != "gpt2" or pre not in PATTERNS:
        raise ConfigError(
            f"--model {path} must have a tokenizer of the kind gpt2 with a pre-tokenizer of {', '.join(PATTERNS)}, "
            f"got {kind!r} with {pre!r}. llama.cpp may run it: groundup copilot ask --model local:{path}"
        )
    values = {letter: value for value, letter in byte_letters().items()}
    vocabulary: dict[bytes, int] = {}
    special: dict[str, int] = {}
    tokens, merges = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.merges"]
    for number, (token, sort) in enumerate(zip(tokens, metadata["tokenizer.ggml.token_type"], strict=True)):
        if sort in SPECIAL:
            special[token] = number
        else:
            vocabulary[bytes(values[letter] for letter in token)] = number
    merged = [vocabulary.get(bytes(values[letter] for letter in merge.replace(" ", ""))) for merge in merges]
    longer = sorted(number for token, number in vocabulary.items() if len(token) > 1)
    if merged != longer:
        raise ConfigError(f"--model {path} must have its merges in the order of its ids, and has not: not read here.")
    return PublishedTokenizer(vocabulary, special, PATTERNS[pre])


def template_of(metadata: Mapping[str, Any], path: Path) -> tuple[Template | None, str]:
    """The template among ours that writes what the file's own writes, and the system's message that it adds.

    The file's is a program in Jinja. It runs in a sandbox, on two chats of ours, and never on a user's: a special token
    in a content could pose as another speaker, and ours refuse that.

    Raises:
        ConfigError: the file's writes something else than ours.
    """
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    source = metadata.get("tokenizer.chat_template")
    if not source:
        return None, ""
    user = [{"role": "user", "content": "Is it up?"}, {"role": "assistant", "content": "Yes."}]
    chats = [[{"role": "system", "content": "Be brief."}, *user], user]
    tokens = metadata.get("tokenizer.ggml.tokens", [])
    ends = {
        name: tokens[number] if isinstance(number := metadata.get(f"tokenizer.ggml.{name}_id"), int) else ""
        for name in ("bos_token", "eos_token")
    }
    try:
        made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(source)
        whole, bare = (made.render(messages=chat, add_generation_prompt=True, **ends) for chat in chats)
    except (TemplateError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise ConfigError(f"--model {path} has a chat template that fails: {error}. Give another file.") from error
    for template in TEMPLATES.values():
        if whole == _text(chats[0], template):
            around = _text([{"role": "system", "content": "\0"}, *user], template).split("\0")
            added = re.fullmatch(re.escape(around[0]) + "(.*)" + re.escape(around[1]), bare, re.DOTALL)
            if bare == _text(user, template) or added:
                return template, added[1] if added else ""
    raise ConfigError(
        f"--model {path} must have a chat template that writes what {', '.join(TEMPLATES)} write, and has another. "
        f"llama.cpp may run it: groundup copilot ask --model local:{path}"
    )


def _name_in_file(name: str) -> str:
    """llama.cpp's name of one of our weights."""
    match name.removesuffix(".weight").split(".", 2):
        case ["blocks", number, layer]:
            return f"blk.{number}.{LAYERS[layer][0]}.weight"
        case _:
            return f"{ENDS[name.removesuffix('.weight')][0]}.weight"


def _text(messages: list[dict[str, str]], template: Template) -> str:
    return "".join(piece.text for piece in render(messages, template, generate=True))


def _check_rope(metadata: Mapping[str, Any], tensors: Mapping[str, Any], path: Path) -> None:
    scaling = metadata.get("llama.rope.scaling.type", "none")
    if scaling != "none" or "rope_freqs.weight" in tensors:
        raise ConfigError(f"--model {path} stretches RoPE ({scaling}), which is not read here. Give another file.")
