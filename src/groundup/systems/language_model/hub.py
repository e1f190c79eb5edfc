"""SFT and DPO of models of Hugging Face by 4-bit LoRA: transformers loads them, peft adapts them, trl trains them.

    finetune_hub("Qwen/Qwen3-0.6B", Path("tuned"), HubTuning(method="dpo"), Options(device="cuda"))

The folder gets `adapter/` for peft, `merged/` for transformers (weights, tokenizer, template), and the report. A name
is looked up at Hugging Face; a folder is read as it is. Only safetensors are loaded, and no code that comes with a
model.

Where Unsloth is installed, and there is a GPU that it knows, it loads and adapts the model; that path is not run by our
tests. Not covered: going on with a run that was stopped.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from groundup.errors import ConfigError, StoreError, first_line
from groundup.extras import need
from groundup.systems.language_model.checkpoint import write_atomically
from groundup.systems.language_model.data import Instruction, chat_of, read_instructions
from groundup.systems.language_model.stages import Options
from groundup.systems.language_model.training import Progress

Method = Literal["sft", "dpo"]
METHODS: tuple[Method, ...] = ("sft", "dpo")
JUDGED = 64
"""Held-out chats or pairs that judge an adapter."""
TIMEOUT = 10
"""Seconds for Hugging Face to say whether it has a model."""


@dataclass(frozen=True)
class HubTuning:
    """How a model of Hugging Face is fine-tuned.

    Attributes:
        method: "sft" on answers, or "dpo" on answers in two tones.
        steps: steps of AdamW.
        rank: of the adapters, on all linear layers but the last; alpha is twice the rank.
        learning_rate: at the first step; a cosine brings it down.
        context: most tokens of a chat; longer ones are cut.
        examples: chats or pairs of a step.
        four_bit: whether the base is kept in NF4, by bitsandbytes.
        beta: DPO's price of leaving the reference.
        seed: of the adapters and of the draws.
    """

    method: Method = "sft"
    steps: int = 100
    rank: int = 16
    learning_rate: float = 2e-4
    context: int = 512
    examples: int = 8
    four_bit: bool = True
    beta: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}.")
        for name in ("steps", "rank", "context", "examples"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("learning_rate", "beta"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}: nothing would be learnt.")


def finetune_hub(name: str, folder: Path, tuning: HubTuning, options: Options) -> dict[str, Any]:
    """Fine-tune a model on the dataset `instructions`, write adapter and merged model, and return what was found.

    Raises:
        MissingPackage: the extra `finetune` is not installed.
        ConfigError: there is no such model, Hugging Face cannot be reached, the model has no chat template, or the
            folder holds something.
        StoreError: the folder cannot be written.
    """
    need("Fine-tuning a model of Hugging Face", "peft", "transformers", "trl", *["bitsandbytes"] * tuning.four_bit)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} must be a new folder or an empty one. It holds something: give another.")
    began = time.perf_counter()
    place = _place(name)
    with _quiet():
        model, tokenizer = _load(place, tuning, options.device)
        if not tokenizer.chat_template:
            raise ConfigError(f"--model {name} must have a chat template to be taught chats, and has none.")
        chats = read_instructions()
        trainer, frozen = _trainer(model, tokenizer, chats.train, chats.held_out, folder, tuning, options)
        before = trainer.evaluate()
        trainer.train()
        after = trainer.evaluate()
        _write(place, folder, trainer.model, tokenizer, tuning)
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    rows: list[tuple[str, Any, Any, str]] = [
        ("loss on held-out " + ("answers" if tuning.method == "sft" else "pairs"), after["eval_loss"],
         before["eval_loss"], "before"),
    ]  # fmt: skip
    if tuning.method == "dpo":
        name_of = "eval_rewards/accuracies"
        rows.append(("accuracy of implicit rewards, held-out pairs", after[name_of], 0.5, "before: all are 0, a tie"))
    rows += [
        ("loss of the first and the last training step", f"{losses[0]:.3f}, {losses[-1]:.3f}", "", ""),
        ("weights that trained", frozen[0], "", ""),
        ("weights of the model", frozen[1], "", ""),
        ("bits a weight of the base", 4 if tuning.four_bit else 16 if options.device == "cuda" else 32, "", ""),
    ]
    entry = {
        "stage": f"finetune {tuning.method}",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - began, 1),
        "preset": name,
        "depth": model.config.num_hidden_layers,
        "data": [chats.label],
        "settings": asdict(tuning),
        "rows": [dict(zip(("measure", "value", "baseline", "of"), row, strict=True)) for row in rows],
    }
    write_atomically(folder / "report.json", json.dumps([entry], indent=1, ensure_ascii=False))
    return entry


def _place(name: str) -> str:
    """The folder of a model, or its name where Hugging Face has it.

    It asks once: transformers would ask again and again, with a warning each time. Where Hugging Face does not answer,
    the copy in its cache is taken.
    """
    if Path(name).is_dir():
        return name
    from huggingface_hub import HfApi, snapshot_download

    try:
        HfApi().model_info(name, timeout=TIMEOUT)
        return name
    except Exception as error:  # also of httpx, whose module has another name from version to version
        with contextlib.suppress(Exception):
            return snapshot_download(name, local_files_only=True)
        reason = f"there is no such folder, and no answer from Hugging Face ({first_line(error).rstrip('.')})."
        raise _refusal(name, f"{reason} Check the name and the network, or give a folder.") from error


def _load(name: str, tuning: HubTuning, device: str) -> tuple[Any, Any]:
    """The base and its tokenizer, by Unsloth where it is installed and there is a GPU, else by transformers."""
    if device == "cuda" and find_spec("unsloth"):
        from unsloth import FastLanguageModel  # pyright: ignore[reportMissingImports]

        return FastLanguageModel.from_pretrained(name, max_seq_length=tuning.context, load_in_4bit=tuning.four_bit)
    from transformers import AutoTokenizer

    return _base(name, tuning, device), _loaded(name, lambda: AutoTokenizer.from_pretrained(name))


def _base(name: str, tuning: HubTuning, device: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    more = {"quantization_config": quantization} if tuning.four_bit else {}
    return _loaded(
        name,
        lambda: AutoModelForCausalLM.from_pretrained(
            name, dtype=dtype, device_map=device, use_safetensors=True, trust_remote_code=False, **more
        ),
    )


def _loaded(name: str, call: Any) -> Any:
    try:
        return call()
    except (OSError, ValueError, KeyError) as error:
        raise _refusal(name, first_line(error)) from error


def _refusal(name: str, reason: str) -> ConfigError:
    return ConfigError(
        f"--model must be smollm2, a GGUF file, or a model that transformers loads, by its folder or its name at "
        f"Hugging Face, got '{name}': {reason}"
    )


def _trainer(
    model: Any,
    tokenizer: Any,
    train: Sequence[Instruction],
    held_out: Sequence[Instruction],
    folder: Path,
    tuning: HubTuning,
    options: Options,
) -> tuple[Any, tuple[int, int]]:
    """The trainer of trl for the method, and how many weights train and there are."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    lora = LoraConfig(
        r=tuning.rank, lora_alpha=2 * tuning.rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )  # fmt: skip
    settings: dict[str, Any] = {
        "output_dir": str(folder), "max_steps": tuning.steps, "learning_rate": tuning.learning_rate,
        "per_device_train_batch_size": tuning.examples, "per_device_eval_batch_size": tuning.examples,
        "max_length": tuning.context, "lr_scheduler_type": "cosine", "logging_steps": 1, "save_strategy": "no",
        "report_to": "none", "disable_tqdm": True, "seed": tuning.seed, "use_cpu": options.device == "cpu",
        "bf16": options.device == "cuda", "gradient_checkpointing": options.device == "cuda",
        "dataloader_pin_memory": options.device == "cuda",
    }  # fmt: skip
    parts = [
        Dataset.from_list([_row(each, tuning.method) for each in part]) for part in (train, held_out[:JUDGED])
    ]  # fmt: skip
    more: dict[str, Any] = {
        "model": model, "processing_class": tokenizer, "train_dataset": parts[0], "eval_dataset": parts[1],
        "peft_config": lora, "callbacks": [_reporter(options, f"finetune {tuning.method}")],
    }  # fmt: skip
    if tuning.method == "sft":
        trainer = SFTTrainer(args=SFTConfig(**settings), **more)
    else:
        trainer = DPOTrainer(args=DPOConfig(beta=tuning.beta, **settings), **more)
    adapted: Any = trainer.model
    return trainer, adapted.get_nb_trainable_parameters()


def _row(row: Instruction, method: Method) -> dict[str, Any]:
    """A question with its answer, or with two; of both, only answers train."""
    question, answer = chat_of(row.question, row.answer)
    if method == "sft":
        return {"prompt": [question], "completion": [answer]}
    sides = {name: [{**answer, "content": getattr(row, name)}] for name in ("chosen", "rejected")}
    return {"prompt": [question], **sides}


def _reporter(options: Options, stage: str) -> Any:
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):
        """Tells the progress line of each step."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.began = time.perf_counter()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if logs and "loss" in logs:
                passed = time.perf_counter() - self.began
                rate = (logs.get("num_tokens") or 0) / passed
                left = passed / state.global_step * (state.max_steps - state.global_step)
                report = Progress(stage, state.global_step, state.max_steps, "loss", float(logs["loss"]), rate, left)
                options.report(report)

    return Reporter()


def _write(name: str, folder: Path, model: Any, tokenizer: Any, tuning: HubTuning) -> None:
    """Write the adapter, and the base with it merged in.

    A base in 4 bits is merged as the adapter has seen it: the numbers that its codes stand for, in full.
    """
    from peft import PeftModel

    try:
        model.save_pretrained(folder / "adapter")
        if tuning.four_bit:
            base = _base(name, tuning, model.device.type).dequantize()
            model = PeftModel.from_pretrained(base, folder / "adapter")
        merged = model.merge_and_unload()
        merged.save_pretrained(folder / "merged")
        tokenizer.save_pretrained(folder / "merged")
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}. Give another folder.") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' own lines and bars: one progress line is enough."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        logging.enable_progress_bar()
