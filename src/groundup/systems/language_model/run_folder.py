"""A run folder: settings, tokenizer, tokens, a folder of checkpoints for each stage, and the report.

settings.json  tokenizer.json  tokens/  pretrain/  sft/  dpo/  grpo/  quantize/  export/  report.json
"""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from groundup.errors import ConfigError, StoreError
from groundup.stack.generative.gpt import GPT, Config
from groundup.stack.generative.quantization import quantize_model
from groundup.stack.generative.tokenization import Tokenizer
from groundup.systems.language_model.checkpoint import Checkpoint, digest, latest, write_atomically
from groundup.systems.language_model.data import tokenizer_document, tokenizer_of
from groundup.systems.language_model.settings import Settings
from groundup.systems.language_model.training import policy_of, weights_of

TRAINED = ("pretrain", "sft", "dpo", "grpo")
"""Stages that change the weights, each beginning with those of the one before."""


BESIDE = ("ppo",)
"""Stages that train from the weights of "dpo" too, and that none goes on from."""

QUANTIZED = ("q8_0", "q4_0", "nf4")
"""The kinds of the stage `quantize`, each with its own folder."""


class RunFolder:
    """The files of one run's stages.

    Args:
        path: the folder; the stage `tokenizer` makes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, settings: Settings) -> None:
        """Write the settings; a folder that has others is refused, and so is one that holds something else."""
        target = self.path / "settings.json"
        if target.exists():
            if self.settings != settings:
                changed = [name for name, value in asdict(settings).items() if getattr(self.settings, name) != value]
                raise ConfigError(
                    f"{self.path} was made with other settings: {', '.join(changed)}. Give another run folder, "
                    "or leave --preset, --depth and --seed as they were."
                )
        elif self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise ConfigError(f"{self.path} must be a new folder or a run. It holds something else: give another.")
        else:
            write_atomically(target, json.dumps(asdict(settings), indent=1))

    @cached_property
    def settings(self) -> Settings:
        """The settings of the run."""
        try:
            return Settings(**self._read("settings.json", "tokenizer"))
        except TypeError as error:
            raise StoreError(f"{self.path / 'settings.json'} is damaged: {error}. Begin another run.") from error

    def write_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Keep the tokenizer."""
        write_atomically(self.path / "tokenizer.json", json.dumps(tokenizer_document(tokenizer)))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the run."""
        document = self._read("tokenizer.json", "tokenizer")
        try:
            return tokenizer_of(document)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{self.path / 'tokenizer.json'} is damaged: {error}. Run: {self.command('tokenizer')} --again"
            ) from error

    @property
    def tokenizer_sha256(self) -> str:
        """The SHA-256 of the tokenizer's document."""
        return digest(json.dumps(tokenizer_document(self.tokenizer), sort_keys=True))

    def tokens(self) -> Checkpoint:
        """The text as tokens: `train` and `validation`."""
        checkpoint = latest(self.path / "tokens")
        if checkpoint is None:
            raise StoreError(f"{self.path} has no tokens yet. Run: {self.command('tokenizer')}")
        return checkpoint

    def model_config(self) -> Config:
        """The shape of the run's model: Llama's parts, with the embedding as its last layer."""
        settings = self.settings
        return Config(
            self.tokenizer.size,
            settings.depth,
            settings.depth,
            settings.width,
            settings.context,
            hidden=settings.hidden,
        )

    def finished(self, stage: str) -> Checkpoint | None:
        """The last checkpoint of a stage, if it was trained to its end."""
        checkpoint = latest(self.path / stage)
        return checkpoint if checkpoint and checkpoint.step == checkpoint.document.get("steps") else None

    def need(self, stage: str) -> Checkpoint:
        """The last checkpoint of a finished stage. Raises StoreError for any other stage."""
        checkpoint = latest(self.path / stage)
        if checkpoint is None:
            raise StoreError(f"{self.path} has no {stage} yet. Run: {self.command(stage)}")
        if checkpoint.step != (steps := checkpoint.document.get("steps")):
            raise StoreError(
                f"{self.path / stage} is at step {checkpoint.step} of {steps}. Continue: {self.command(stage)}"
            )
        return checkpoint

    def newest(self) -> str:
        """The last finished stage with a trained model."""
        for stage in reversed(TRAINED):
            if self.finished(stage):
                return stage
        raise StoreError(f"{self.path} holds no trained model yet. Run: {self.command('all')}")

    def model(self, stage: str, device: str = "cpu") -> tuple[GPT, Checkpoint]:
        """The model of a stage.

        Raises:
            StoreError: the model is missing or damaged, or belongs to another tokenizer.
        """
        checkpoint = self.need(f"quantize/{stage}" if stage in QUANTIZED else stage)
        if checkpoint.document.get("tokenizer") != self.tokenizer_sha256:
            raise StoreError(
                f"{checkpoint.folder} was trained with another tokenizer than {self.path / 'tokenizer.json'}. "
                f"Run the stage anew: {self.command(stage)} --again"
            )
        model = GPT(self.model_config())
        if stage in QUANTIZED:
            quantize_model(model, stage)  # pyright: ignore[reportArgumentType]
        try:
            model.load_state_dict(policy_of(weights_of(checkpoint.tensors)))
        except RuntimeError as error:
            raise StoreError(f"{checkpoint.folder} holds another model: {error}") from error
        return model.to(device).eval(), checkpoint

    def append_report(self, entry: dict[str, Any]) -> None:
        """Add a stage's result to the report."""
        write_atomically(self.path / "report.json", json.dumps([*self.report(), entry], indent=1, ensure_ascii=False))

    def report(self) -> list[dict[str, Any]]:
        """The reports of all stages, the oldest first."""
        return self._read("report.json", "tokenizer") if (self.path / "report.json").exists() else []

    def command(self, stage: str) -> str:
        """The command line of a stage on this folder."""
        return f"groundup llm {stage.partition('/')[0]} {self.path}"

    def _read(self, name: str, stage: str) -> Any:
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise StoreError(f"{self.path} has no {name} yet. Run: {self.command(stage)}") from error
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}.") from error
        except ValueError as error:
            raise StoreError(f"{path} is damaged: {error}. Begin another run.") from error
