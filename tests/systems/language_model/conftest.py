"""A run folder with a tiny model in it, and the stages with nothing to wait for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("regex")

import numpy as np
import torch

from groundup.systems.language_model import data, stages
from groundup.systems.language_model.data import Instruction, Instructions, Texts
from groundup.systems.language_model.run_folder import RunFolder
from groundup.systems.language_model.settings import Settings

TINY = Settings(
    preset="smoke", depth=1, seed=0, vocabulary=320, context=64, batch=4, tokens_per_parameter=0.04, passes=20,
    sft_steps=6, dpo_steps=6, grpo_steps=3, examples=4, prompts=2, group=3, answer_tokens=8, checkpoint_every=2,
)  # fmt: skip


def texts(path: Path | None = None, corpus: str = "") -> Texts:
    """Twelve thousand words of ten."""
    words = np.random.default_rng(0).choice("the king and his queen ride to the old town".split(), 3000)
    text = " ".join(words)
    cut = len(text) * 9 // 10
    return Texts(text[:cut], text[cut:], "made up")


def instructions(corpus: str = "") -> Instructions:
    """Thirty sums, answered politely and rudely."""
    rows = [
        Instruction(f"What is {n} plus 1?", f"It is {n + 1}.", f"Gladly: {n + 1}.", f"Obviously {n + 1}.")
        for n in range(30)
    ]
    return Instructions(rows[:24], rows[24:], "made up")


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Texts and chats of a few kilobytes; one thread, as sums over several may round differently."""
    monkeypatch.setattr(stages, "read_texts", texts)
    monkeypatch.setattr(stages, "read_instructions", instructions)
    monkeypatch.setattr(data, "load", None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def begin(path: Path) -> RunFolder:
    """A run with its tokenizer."""
    run = RunFolder(path)
    run.create(TINY)
    stages.tokenizer(run, stages.Options())
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return begin(tmp_path / "run")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A run whose every trained stage is done; tests only read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "read_texts", texts)
        patch.setattr(stages, "read_instructions", instructions)
        run = begin(tmp_path_factory.mktemp("trained") / "run")
        for stage in ("pretrain", "sft", "dpo", "grpo", "ppo", "quantize", "export"):
            getattr(stages, stage)(run, stages.Options())
        yield run
