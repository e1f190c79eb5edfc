"""A trained model that answers: chats in, text out as it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from groundup.errors import ConfigError
from groundup.stack.generative.decoding import Sampling, generate
from groundup.stack.generative.gpt import GPT
from groundup.stack.generative.instruction_tuning import Template
from groundup.stack.generative.tokenization import Tokenizer
from groundup.systems.language_model.blocks import is_in_blocks, keep_in_blocks
from groundup.systems.language_model.data import TEMPLATE, encode_prompt
from groundup.systems.language_model.kernels import Kernels, prepare
from groundup.systems.language_model.published import read_published
from groundup.systems.language_model.run_folder import RunFolder


@dataclass
class Answer:
    """An answer while it is written; the counts are whole when its text has ended.

    Attributes:
        pieces: the text, piece by piece.
        prompt_tokens: tokens of the chat so far.
        completion_tokens: tokens written, the stop token among them.
        finish_reason: "stop" where the model ended it, "length" where the limit did.
    """

    pieces: Iterator[str]
    prompt_tokens: int
    completion_tokens: int = 0
    finish_reason: str = "length"


class TooLong(ConfigError):
    """A chat that leaves no room for an answer."""


def on(model: torch.nn.Module, device: str) -> Any:
    """A model on a device as `decoding.generate` calls it, which works on the CPU."""
    # Blocks need no mode, and its look at every call of PyTorch costs a tenth of a token at GPT-2's shape.
    kernels = nullcontext if isinstance(model, GPT) and is_in_blocks(model) else Kernels

    def call(tokens: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor, cache: Any) -> torch.Tensor:
        with kernels():
            return model(tokens.to(device), positions.to(device), mask.to(device), cache).float().cpu()

    return call


class Speaker:
    """A model that answers, or continues a text.

    Args:
        name: what it is called.
        model: where it is.
        tokenizer: of its tokens.
        template: how a chat is written; None for a model that knows no chats and continues the last message.
        device: where the model is.
        system: the system's message of chats that begin without one.
    """

    def __init__(
        self,
        name: str,
        model: GPT,
        tokenizer: Tokenizer,
        template: Template | None = TEMPLATE,
        device: str = "cpu",
        system: str = "",
    ) -> None:
        self.name, self.model, self.tokenizer, self.template = name, model, tokenizer, template
        prepare()
        self.context, self.system, self._call = model.config.context, system, on(model, device)

    @classmethod
    def of_run(cls, run: RunFolder, stage: str | None = None, device: str = "cpu") -> Speaker:
        """The model of a run folder's stage, the newest by default; that of "pretrain" continues texts."""
        stage = stage or run.newest()
        model, _ = run.model(stage, device)
        keep_in_blocks(model)
        return cls(f"groundup-{stage}", model, run.tokenizer, None if stage == "pretrain" else TEMPLATE, device)

    @classmethod
    def of_file(cls, path: Path, device: str = "cpu") -> Speaker:
        """The model of a GGUF file; one that says nothing of chats continues texts.

        Raises:
            ConfigError: as `read_published`.
        """
        held = read_published(path)
        if device == "cpu":
            keep_in_blocks(held.model, held.blocks)
        return cls(path.stem, held.model.to(device), held.tokenizer, held.template, device, held.system)

    def answer(
        self,
        messages: Sequence[Mapping[str, str]],
        sampling: Sampling,
        max_tokens: int,
        seed: int | None = None,
    ) -> Answer:
        """Begin an answer to a chat; its text is written while `pieces` is read.

        Args:
            messages: each with a role and a content. A model without a template continues the last content.
            sampling: how tokens are drawn.
            max_tokens: most tokens of the answer; the context may leave room for fewer.
            seed: of the draws; another every time by default.

        Raises:
            TooLong: the chat fills the context.
            ValueError: a role or a content that the template refuses.
        """
        prompt = self._prompt(messages)
        room = min(max_tokens, self.context - len(prompt))
        if room < 1:
            raise TooLong(f"messages must leave room within the context of {self.context} tokens, got {len(prompt)}.")
        answer = Answer(iter(()), len(prompt))
        answer.pieces = self._write(answer, prompt, sampling, room, seed)
        return answer

    def _prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        if self.template is None:
            return self.tokenizer.encode(messages[-1]["content"]) or self.tokenizer.encode("\n")
        chat = [dict(message) for message in messages]
        if self.system and chat and chat[0]["role"] != "system":
            chat.insert(0, {"role": "system", "content": self.system})
        return encode_prompt(chat, self.tokenizer, self.template)

    def _write(
        self,
        answer: Answer,
        prompt: Sequence[int],
        sampling: Sampling,
        room: int,
        seed: int | None,
    ) -> Iterator[str]:
        generator = torch.Generator()
        generator.seed() if seed is None else generator.manual_seed(seed)
        special = set(self.tokenizer.special_tokens.values())

        def written() -> Iterator[int]:
            for (token,) in generate(self._call, [prompt], room, sampling, stop=special, generator=generator):
                answer.completion_tokens += 1
                if token in special:
                    answer.finish_reason = "stop"
                    return
                yield token  # pyright: ignore[reportReturnType]

        for piece in self.tokenizer.decode_stream(written()):
            if piece:
                yield piece

    def reply(self, messages: list[dict[str, str]], sampling: Sampling, max_tokens: int, seed: int | None) -> Answer:
        """As `answer`, but the oldest messages are left out while it fills more than 3/4 of the context."""
        while len(messages) > 1 and self.template and len(self._prompt(messages)) > self.context * 3 // 4:
            del messages[:2]
        return self.answer(messages, sampling, max_tokens, seed)
