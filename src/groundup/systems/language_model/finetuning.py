"""LoRA on a published model, by our own GPT, adapters and loop: on a CPU, a model of 135 million weights in minutes.

    finetune(file_of("smollm2"), Path("tuned"), Tuning(steps=20), Options())

The folder gets checkpoints of the adapters, `adapter.safetensors`, and `model-q8_0.gguf`: the adapters merged into the
weights, with the tokenizer and the template of the file that it began with, for llama.cpp and `groundup llm chat`.
"""

from __future__ import annotations

import copy
import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data.fetch import sha256_of
from groundup.errors import ConfigError, StoreError
from groundup.stack.generative.export import gguf_tensors, llama_metadata, write_gguf
from groundup.stack.generative.instruction_tuning import Example, pack, sft_step
from groundup.stack.generative.lora import adapter_state, add_lora, merge_lora
from groundup.systems.language_model import evaluation as judge
from groundup.systems.language_model.checkpoint import write_atomically
from groundup.systems.language_model.data import Instruction, chat_of, encode, read_instructions
from groundup.systems.language_model.published import Published, read_published
from groundup.systems.language_model.settings import PRECISIONS
from groundup.systems.language_model.stages import Options
from groundup.systems.language_model.training import Precise, Training, train

JUDGED = 16
"""Held-out chats that judge an adapter: a model that others trained takes seconds for each."""


@dataclass(frozen=True)
class Tuning:
    """How a published model is fine-tuned.

    Attributes:
        steps: steps of AdamW.
        rank: of the adapters, which stand on queries and values; what they add is doubled (alpha is twice the rank).
        learning_rate: at the first step; a cosine brings it to a tenth.
        context: tokens of a row, into which chats are packed, or the model's, which may be smaller; longer chats are
            left out.
        examples: chats of a step.
        precision: what is multiplied in.
        seed: of the adapters and of the draws.
        checkpoint_every: steps between two checkpoints.
    """

    steps: int = 20
    rank: int = 8
    learning_rate: float = 1e-3
    context: int = 256
    examples: int = 4
    precision: str = PRECISIONS[0]
    seed: int = 0
    checkpoint_every: int = 10

    def __post_init__(self) -> None:
        for name in ("steps", "rank", "context", "examples", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate must be above 0, got {self.learning_rate}: nothing would be learnt.")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}, got {self.precision!r}.")


def finetune(path: Path, folder: Path, tuning: Tuning, options: Options) -> dict[str, Any]:
    """Fine-tune the model of a GGUF file on the dataset `instructions`; return what was found.

    It goes on from its newest checkpoint. The file itself stays as it is.

    Raises:
        ConfigError: the file is none that is read here, or knows no chats.
        StoreError: the folder cannot be written, or holds checkpoints of another run.
    """
    import torch

    began = time.perf_counter()
    published = read_published(path)
    if published.template is None:
        raise ConfigError(f"--model {path} must have a chat template to be taught chats, and has none.")
    torch.manual_seed(tuning.seed)
    model, chats = published.model.to(options.device), read_instructions()
    context = min(tuning.context, model.config.context)
    add_lora(model, ["query", "value"], tuning.rank, 2 * tuning.rank)
    examples, held_out = (_examples(part, published, context) for part in (chats.train, chats.held_out))
    order = np.random.default_rng(0).permutation(len(held_out))
    held_out = [held_out[place] for place in order[:JUDGED]]
    before = judge.answers_loss(model, held_out, context, options.device)
    training, precise = Training.begin(model, tuning.seed), Precise(model, tuning.precision)

    def take_step(training: Training) -> tuple[float, int]:
        training.set_learning_rate(tuning.steps, tuning.learning_rate)
        places = torch.randperm(len(examples), generator=training.generator)[: tuning.examples].tolist()
        chosen = [examples[place] for place in places]
        packed = judge.on_device(pack(chosen, context, judge.PADDING), options.device)
        return sft_step(precise, [packed], training.optimizer), sum(len(example.tokens) for example in chosen)

    identity = {"stage": "finetune", "settings": asdict(tuning), "data": chats.sha256, "begins_with": sha256_of(path)}
    model.train()
    train(
        training, folder / "adapter", identity, steps=tuning.steps, every=tuning.checkpoint_every,
        take_step=take_step, report=options.report, again="groundup llm finetune ANOTHER_FOLDER",
    )  # fmt: skip
    model.eval()
    after = judge.answers_loss(model, held_out, context, options.device)
    size = _write(folder, published)
    rows = [
        ("loss on held-out answers", after, before, "before"),
        ("loss of the first and the last training step", f"{training.curve[0]:.3f}, {training.curve[-1]:.3f}", "", ""),
        ("weights that trained", sum(each.numel() for each in adapter_state(model).values()), "", ""),
        ("weights of the model", sum(each.numel() for each in published.model.parameters()), "", ""),
        ("chats that trained, held out", f"{len(examples)}, {len(held_out)}", "", ""),
        ("model-q8_0.gguf: kilobytes", size // 1000, "", ""),
    ]
    entry = {
        "stage": "finetune",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - began, 1),
        "preset": published.name,
        "depth": published.model.config.layers,
        "data": [chats.label],
        "rows": [dict(zip(("measure", "value", "baseline", "of"), row, strict=True)) for row in rows],
    }
    write_atomically(folder / "report.json", json.dumps([entry], indent=1, ensure_ascii=False))
    return entry


def _examples(rows: list[Instruction], published: Published, context: int) -> list[Example]:
    """Chats as the file's template writes them, with its system's message; those that are too long are left out."""
    system = [{"role": "system", "content": published.system}] if published.system else []
    made = encode(
        [[*system, *chat_of(row.question, row.answer)] for row in rows],
        published.tokenizer,
        context,
        published.template,  # pyright: ignore[reportArgumentType]
    )
    kept = [example for example in made if example is not None]
    if not kept:
        raise ConfigError(f"context must have room for a chat, got {context}: all {len(rows)} are longer.")
    return kept


def _write(folder: Path, published: Published) -> int:
    """Write the adapters and the merged model; return the model's bytes."""
    from safetensors.torch import save

    model = published.model
    write_atomically(folder / "adapter.safetensors", save(adapter_state(model)))
    told = {name: value for name, value in published.metadata.items() if name.startswith("tokenizer.")}
    told["tokenizer.ggml.token_type"] = [np.int32(kind) for kind in told["tokenizer.ggml.token_type"]]
    if (licence := published.metadata.get("general.license")) is not None:
        told["general.license"] = licence
    metadata = llama_metadata(model.config, "Q8_0", f"{published.name}, fine-tuned") | told
    target, fresh = folder / "model-q8_0.gguf", folder / f".model.{os.getpid()}"
    try:
        write_gguf(fresh, metadata, gguf_tensors(merge_lora(copy.deepcopy(model)).cpu(), "Q8_0"))
        os.replace(fresh, target)
        return target.stat().st_size
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}. Give another folder.") from error
    finally:
        fresh.unlink(missing_ok=True)
