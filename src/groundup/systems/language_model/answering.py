"""Answers that the model draws for GRPO, and their rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from groundup.stack.generative.decoding import Sampling, generate
from groundup.stack.generative.gpt import GPT
from groundup.stack.generative.instruction_tuning import Example
from groundup.stack.generative.tokenization import Tokenizer
from groundup.systems.language_model.data import STOP
from groundup.systems.language_model.rewards import parts, reward
from groundup.systems.language_model.speaking import on

ROWS = 32


class Question(NamedTuple):
    """A question, and the chat that ends with the header of its answer, as tokens."""

    text: str
    tokens: list[int]


class Answering:
    """Draws answers at temperature 1, the policy's own distribution.

    Args:
        model: the policy; it is used as it is at the time.
        tokenizer: of its tokens.
        most: most tokens of an answer.
        device: where the model is.
    """

    def __init__(self, model: GPT, tokenizer: Tokenizer, most: int, device: str) -> None:
        self.tokenizer, self.most = tokenizer, most
        self.stop, self._call = tokenizer.special_tokens[STOP], on(model, device)

    def draw(self, questions: Sequence[Question], generator: torch.Generator) -> list[list[int]]:
        """An answer for each question, with the stop token if it came."""
        answers: list[list[int]] = [[] for _ in questions]
        prompts = [question.tokens for question in questions]
        for step in generate(self._call, prompts, self.most, Sampling(), stop={self.stop}, generator=generator):
            for answer, token in zip(answers, step, strict=True):
                if token is not None:
                    answer.append(token)
        return answers

    def try_out(self, questions: Sequence[Question], generator: torch.Generator) -> tuple[list[Example], torch.Tensor]:
        """Answers behind their questions, of which the answers alone train, and the reward of each."""
        answers = self.draw(questions, generator)
        examples = [
            Example(question.tokens + answer, [False] * len(question.tokens) + [True] * len(answer))
            for question, answer in zip(questions, answers, strict=True)
        ]
        scores = [
            reward(question.text, self._text(answer), answer, self.stop)
            for question, answer in zip(questions, answers, strict=True)
        ]
        return examples, torch.tensor(scores)

    def score(self, questions: Sequence[Question], generator: torch.Generator) -> dict[str, float]:
        """The mean reward over questions, whole and part by part."""
        earned: list[dict[str, bool]] = []
        for at in range(0, len(questions), ROWS):
            batch = questions[at : at + ROWS]
            for question, answer in zip(batch, self.draw(batch, generator), strict=True):
                earned.append(parts(question.text, self._text(answer), answer, self.stop))
        means = {name: sum(each[name] for each in earned) / len(earned) for name in earned[0]}
        return {"all": sum(means.values()) / len(means), **means}

    def _text(self, answer: Sequence[int]) -> str:
        return self.tokenizer.decode(token for token in answer if token != self.stop)
