"""How large a model is and how long each stage trains: three presets and one dial, the depth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from groundup.errors import ConfigError

Preset = Literal["smoke", "laptop", "full"]
CORPORA = ("tiny_shakespeare", "tldr_pages")
"""Datasets that a run may learn from."""
PRECISIONS = ("float32", "bfloat16")
PRESETS: dict[str, dict[str, Any]] = {
    "smoke": {
        "depth": 2, "vocabulary": 1024, "context": 128, "batch": 16, "tokens_per_parameter": 0.3, "passes": 20,
        "sft_steps": 120, "dpo_steps": 30, "grpo_steps": 16, "examples": 16, "prompts": 4, "group": 4,
        "answer_tokens": 32, "checkpoint_every": 20,
    },
    "laptop": {
        "depth": 4, "vocabulary": 4096, "context": 256, "batch": 16, "tokens_per_parameter": 1.0, "passes": 20,
        "sft_steps": 800, "dpo_steps": 150, "grpo_steps": 100, "examples": 32, "prompts": 8, "group": 8,
        "answer_tokens": 48, "checkpoint_every": 50,
    },
    "full": {
        "depth": 12, "vocabulary": 16384, "context": 512, "batch": 64, "tokens_per_parameter": 20.0, "passes": 20,
        "sft_steps": 400, "dpo_steps": 150, "grpo_steps": 200, "examples": 64, "prompts": 16, "group": 8,
        "answer_tokens": 64, "checkpoint_every": 200,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What a run folder is made with; every stage reads it from there.

    Attributes:
        preset: the preset that the values began with.
        depth: the dial: as many layers and heads, 64 times as wide; learning rate and tokens follow.
        seed: of every draw.
        vocabulary: most tokens of the tokenizer.
        context: tokens of a window, and the most of a chat.
        batch: windows of a step of pre-training.
        tokens_per_parameter: pre-training reads as many (20: Hoffmann et al., 2022) ...
        passes: ... but no text more often than this.
        sft_steps, dpo_steps, grpo_steps: steps of each; PPO takes as many as GRPO.
        examples: chats or pairs of a step of SFT or DPO.
        prompts, group: questions of a step of GRPO, and answers to each; PPO asks as many questions once.
        answer_tokens: most tokens of an answer in GRPO and PPO.
        checkpoint_every: steps between two checkpoints.
        corpus: "tiny_shakespeare" and general instructions, or "tldr_pages" and questions on commands too.
        precision: what pre-training, SFT and DPO multiply in. Weights and moments are float32 in either case.
    """

    preset: str
    depth: int
    seed: int
    vocabulary: int
    context: int
    batch: int
    tokens_per_parameter: float
    passes: int
    sft_steps: int
    dpo_steps: int
    grpo_steps: int
    examples: int
    prompts: int
    group: int
    answer_tokens: int
    checkpoint_every: int
    corpus: str = CORPORA[0]
    precision: str = PRECISIONS[0]

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            low = {"seed": 0, "vocabulary": 262, "group": 2, "context": 16}.get(name, 1)
            whole = name not in ("preset", "tokens_per_parameter", "corpus", "precision")
            if whole and not (isinstance(value, int) and value >= low):
                raise ConfigError(f"{name} must be a whole number of at least {low}, got {value!r}.")
        for name, allowed in (("corpus", CORPORA), ("precision", PRECISIONS)):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}.")
        if not self.tokens_per_parameter > 0:
            raise ConfigError(f"tokens_per_parameter must be above 0, got {self.tokens_per_parameter}: 20 is usual.")

    @property
    def width(self) -> int:
        """Size of a token's vector: 64 for each layer; at depth 12 it is GPT-2's 768."""
        return 64 * self.depth

    @property
    def hidden(self) -> int:
        """Inner size of the feed-forward layer: 8/3 of the width, up to a multiple of 64, which NF4's blocks divide."""
        return 64 * math.ceil(self.width * 8 / 3 / 64)

    @property
    def learning_rate(self) -> float:
        """Of pre-training: GPT-3's 6e-4 at depth 12, and inversely as the depth."""
        return 6e-4 * 12 / self.depth

    def parameters(self, vocabulary: int) -> int:
        """Weights in matrices; the embedding is the last layer, too."""
        return self.depth * (4 * self.width**2 + 3 * self.width * self.hidden) + vocabulary * self.width

    def pretrain_steps(self, vocabulary: int, tokens: int) -> int:
        """Steps of pre-training, for a text of so many tokens."""
        wanted = min(self.tokens_per_parameter * self.parameters(vocabulary), self.passes * tokens)
        return max(1, round(wanted / (self.batch * self.context)))


def settings_of(
    preset: str,
    depth: int | None = None,
    seed: int = 0,
    *,
    corpus: str = CORPORA[0],
    precision: str = PRECISIONS[0],
    changes: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of a preset, at another depth if one is given, and with other values by name.

    Raises:
        ConfigError: a preset or a name that does not exist, or a value that makes no sense.
    """
    if preset not in PRESETS:
        raise ConfigError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}.")
    values = PRESETS[preset] | ({} if depth is None else {"depth": depth})
    for name, text in (changes or {}).items():
        if name not in values:
            raise ConfigError(f"--set must name one of {', '.join(values)}, got {name!r}.")
        try:
            values[name] = float(text) if name == "tokens_per_parameter" else int(text)
        except ValueError:
            raise ConfigError(f"--set {name} must be a number, got {text!r}.") from None
    return Settings(preset=preset, seed=seed, corpus=corpus, precision=precision, **values)
