"""Texts and chats that a model learns from, and those that only judge it.

Pre-training reads a text; its last tenth is for validation alone. Instructions are parted by their wording: one of ten
is held out of SFT, of DPO and of GRPO, with all rows that have the same wording. Pages of tldr are parted by their
command: those of one in ten are held out of everything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data import load
from groundup.errors import ConfigError
from groundup.stack.generative.instruction_tuning import GROUNDUP, Example, Template, encode_chat
from groundup.stack.generative.tokenization import Tokenizer
from groundup.systems.language_model.checkpoint import digest

HELD_OUT = 0.1
JUDGED = 1000
"""Held-out questions on commands that judge a model; there are thousands."""
TEMPLATE = GROUNDUP
STOP = TEMPLATE.stop


@dataclass(frozen=True)
class Texts:
    """A text in two parts, and what its source says of it."""

    train: str
    validation: str
    label: str


@dataclass(frozen=True)
class Instruction:
    """A question with its answer, and the same answer in two tones; both are empty where nobody has rated any."""

    question: str
    answer: str
    chosen: str = ""
    rejected: str = ""


@dataclass(frozen=True)
class Instructions:
    """Instructions in two parts."""

    train: list[Instruction]
    held_out: list[Instruction]
    label: str

    @property
    def sha256(self) -> str:
        """Of both parts."""
        rows = [[vars(each) for each in part] for part in (self.train, self.held_out)]
        return digest(json.dumps(rows, sort_keys=True))


def read_texts(path: Path | None = None, corpus: str = "tiny_shakespeare") -> Texts:
    """A corpus, or a text file of the user's.

    Raises:
        ConfigError: the file cannot be read, is not UTF-8, or is shorter than 10,000 characters.
    """
    if path is None and corpus == "tldr_pages":
        pages, label = read_pages()
        train, validation = ("\n".join(page.text for page in part) for part in pages)
        return Texts(train, validation, label)
    if path is None:
        dataset = load("tiny_shakespeare")
        text, label = dataset.text, f"tiny_shakespeare ({dataset.provenance.label})"
    else:
        try:
            text, label = path.read_text(encoding="utf-8"), path.name
        except OSError as error:
            raise ConfigError(f"--text {path} cannot be read: {error.strerror}. Give a text file.") from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"--text {path} must be UTF-8, and is not at byte {error.start}. Convert it.") from error
    if len(text) < 10_000:
        raise ConfigError(f"--text must have at least 10,000 characters, got {len(text)}: a model learns from more.")
    cut = round(len(text) * (1 - HELD_OUT))
    return Texts(text[:cut], text[cut:], label)


def read_instructions(corpus: str = "tiny_shakespeare") -> Instructions:
    """The dataset `instructions`, and with the tldr pages questions on commands.

    What is held out is the same in every run.
    """
    dataset = load("instructions")
    rows: list[tuple[str, Instruction]] = []
    for wording, given, answer, chosen, rejected in zip(
        *(dataset[name].tolist() for name in ("instruction", "input", "output", "chosen", "rejected")), strict=True
    ):
        rows.append((wording, Instruction(f"{wording}\n{given}" if given else wording, answer, chosen, rejected)))
    wordings = sorted({wording for wording, _ in rows})
    order = np.random.default_rng(0).permutation(len(wordings))
    held = {wordings[place] for place in order[: round(len(wordings) * HELD_OUT)]}
    train = [row for wording, row in rows if wording not in held]
    held_out = [row for wording, row in rows if wording in held]
    label = f"instructions ({dataset.provenance.label})"
    if corpus == "tldr_pages":
        pages, pages_label = read_pages()
        asked, judged = ([row for page in part for row in questions_of(page)] for part in pages)
        kept = np.random.default_rng(1).permutation(len(judged))[:JUDGED]
        train, held_out = [*train, *asked], [*held_out, *(judged[place] for place in kept)]
        label = f"{label}; {pages_label}"
    return Instructions(train, held_out, label)


@dataclass(frozen=True)
class Page:
    """What a page of tldr says of a command: what it is, and descriptions with the command line of each."""

    command: str
    about: str
    uses: list[tuple[str, str]]

    @property
    def text(self) -> str:
        """The page as pre-training reads it: without addresses, of which nothing can be learnt."""
        lines = [f"# {self.command}", f"> {self.about}", *(f"- {use}:\n`{line}`" for use, line in self.uses)]
        return "\n".join(lines) + "\n"


_LETTER, _NAMES = re.compile(r"\[(\w+)\]"), re.compile(r"\{\{\[-[^]|]*\|(-[^]|]+)\]\}\}")


def page_of(command: str, text: str) -> Page:
    """Read a page of tldr."""
    about = [line[2:] for line in text.splitlines() if line.startswith("> ")]
    about = [line for line in about if not line.startswith(("More information:", "See also:", "Note:"))]
    found = re.findall(r"^- (.+):\n\n`(.+)`$", text, re.MULTILINE)
    # "[c]reate" says which letter of an option stands for what, "{{[-c|--create]}}" that an option has two names.
    uses = [(_LETTER.sub(r"\1", use), _NAMES.sub(r"\1", line)) for use, line in found]
    return Page(command, " ".join(about), uses)


def asked_with_name(page: Page, use: str) -> str:
    """The question for a use of a page's command that names the command."""
    return f"How do I {_wanted(use)} with {page.command}?"


def _wanted(use: str) -> str:
    return use if use[1:2].isupper() else use[:1].lower() + use[1:]


def questions_of(page: Page) -> list[Instruction]:
    """What a command is, and how to do what it does: with its name in the question, and every second time without."""
    rows = [Instruction(f"What is {page.command}?", page.about)] if page.about else []
    for place, (use, line) in enumerate(page.uses):
        rows.append(Instruction(asked_with_name(page, use), f"`{line}`"))
        if place % 2 == 0:
            rows.append(Instruction(f"How do I {_wanted(use)}?", f"`{line}`"))
    return rows


def read_pages() -> tuple[tuple[list[Page], list[Page]], str]:
    """All pages in two parts, by the command: of one in ten, no page trains."""
    dataset = load("tldr_pages")
    pages = [page_of(*row) for row in zip(dataset["command"].tolist(), dataset["text"].tolist(), strict=True)]
    commands = sorted({page.command for page in pages})
    order = np.random.default_rng(0).permutation(len(commands))
    held = {commands[place] for place in order[: round(len(commands) * HELD_OUT)]}
    parts = [page for page in pages if page.command not in held], [page for page in pages if page.command in held]
    return parts, f"tldr_pages ({dataset.provenance.label})"


def chat_of(question: str, answer: str) -> list[dict[str, str]]:
    """A question and its answer as messages."""
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def encode(
    chats: Iterable[Sequence[dict[str, str]]], tokenizer: Tokenizer, context: int, template: Template = TEMPLATE
) -> list[Example | None]:
    """Chats as tokens; None for those that are longer than the context."""
    examples = [encode_chat(chat, template, tokenizer.encode, tokenizer.special_tokens) for chat in chats]
    return [example if len(example.tokens) <= context else None for example in examples]


def encode_prompt(messages: Sequence[dict[str, str]], tokenizer: Tokenizer, template: Template = TEMPLATE) -> list[int]:
    """Messages as tokens, ending with the header of an answer."""
    from groundup.stack.generative.instruction_tuning import render

    tokens: list[int] = []
    for piece in render(messages, template, generate=True):
        tokens += [tokenizer.special_tokens[piece.text]] if piece.special else tokenizer.encode(piece.text)
    return tokens


def tokenizer_document(tokenizer: Tokenizer) -> dict[str, Any]:
    """A tokenizer as JSON: tokens as bytes in hexadecimal, in the order of their ids."""
    tokens = sorted(tokenizer.vocabulary, key=tokenizer.vocabulary.__getitem__)
    return {"pattern": tokenizer.pattern, "tokens": [token.hex() for token in tokens],
            "special_tokens": tokenizer.special_tokens}  # fmt: skip


def tokenizer_of(document: dict[str, Any]) -> Tokenizer:
    """The tokenizer of such a document."""
    vocabulary = {bytes.fromhex(token): number for number, token in enumerate(document["tokens"])}
    return Tokenizer(vocabulary, document["special_tokens"], document["pattern"])
