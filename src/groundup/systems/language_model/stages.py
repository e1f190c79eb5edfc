"""The stages of the chain: each reads what the one before wrote, trains or converts, judges and reports.

Every function takes the run folder and `Options`, and returns the entry that it appended to the report.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import torch

from groundup.errors import ConfigError, StoreError, first_line
from groundup.stack.generative.export import export_gguf, export_hugging_face, from_gguf
from groundup.stack.generative.gpt import GPT, batches, cross_entropy
from groundup.stack.generative.instruction_tuning import Example, pack, sft_step
from groundup.stack.generative.preferences import LogProbs, dpo_loss, implicit_rewards
from groundup.stack.generative.quantization import QuantizedLinear, quantize_model
from groundup.stack.generative.rlhf import group_advantages, grpo_loss
from groundup.stack.generative.tokenization import train_tokenizer
from groundup.systems.language_model import evaluation as judge
from groundup.systems.language_model.answering import Answering, Question
from groundup.systems.language_model.checkpoint import Checkpoint, latest, save, write_atomically
from groundup.systems.language_model.data import (
    STOP,
    TEMPLATE,
    Instruction,
    Instructions,
    chat_of,
    encode,
    encode_prompt,
    read_instructions,
    read_texts,
)
from groundup.systems.language_model.parallel import count_processes, is_first, share, wait_for_all
from groundup.systems.language_model.ppo import ActorCritic, ppo_round
from groundup.systems.language_model.run_folder import BESIDE, QUANTIZED, TRAINED, RunFolder
from groundup.systems.language_model.speed import model_utilization
from groundup.systems.language_model.training import Precise, Report, Training, train

DPO_BETA, GRPO_BETA = 0.1, 0.04
"""The prices of leaving the reference."""
SFT_SHARE, DPO_SHARE, GRPO_SHARE = 2, 20, 10
"""The learning rate of pre-training, divided by this, is that of the stage."""

EXPORTED = {"F16": "model-f16.gguf", "Q8_0": "model-q8_0.gguf"}
"""Kinds of GGUF, and the names of their files."""

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """How a stage is run; none of it changes what comes out, but for rounding.

    Attributes:
        device: "cpu" or "cuda".
        again: whether to throw away what the stage has already, and to start anew.
        report: called after each step.
        text: a file to pre-train on instead of Tiny Shakespeare; for the stage `tokenizer`.
        compiled: whether pre-training runs on kernels that torch.compile writes.
    """

    device: str = "cpu"
    again: bool = False
    report: Report = lambda progress: None
    text: Path | None = None
    compiled: bool = False


Row = tuple[str, float | str, float | str, str]
"""A measure, its value, its value before (or a baseline's), and what that is."""


def choose_device(name: str) -> str:
    """Turn "auto" into what is there.

    Raises:
        ConfigError: there is no GPU that PyTorch can use.
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ConfigError("--device cuda: PyTorch finds no GPU here. Take --device cpu, or install PyTorch for CUDA.")
    if there and name in ("auto", "cuda"):
        torch.set_float32_matmul_precision("high")
        return "cuda"
    return "cpu"


def need_compiler(device: str) -> None:
    """See that torch.compile works here: it needs a compiler of C++ for the CPU, and Triton for a GPU.

    Raises:
        ConfigError: it does not, and why.
    """
    torch.compiler.reset()
    try:  # without the cache: what it holds needs no compiler, and the model does
        trial = torch.compile(lambda numbers: numbers.sin() + 1, options={"force_disable_caches": True})
        trial(torch.ones(8, device=device))
    except Exception as error:  # of Dynamo, of Inductor or of a compiler: each has its own class
        reason = first_line(error).removesuffix(".")
        tool = "Triton" if device == "cuda" else "a C++ compiler (Debian: apt install g++, or name another one in CXX)"
        raise ConfigError(
            f"--compile needs {tool}, and torch.compile fails: {reason}. Or leave --compile out."
        ) from error


def is_done(run: RunFolder, stage: str) -> bool:
    """Whether a stage has nothing more to do."""
    if stage == "quantize":
        newest = latest(run.path / run.newest())
        found = [latest(run.path / "quantize" / kind) for kind in QUANTIZED]
        return all(each and newest and each.document["begins_with"] == newest.sha256 for each in found)
    if stage == "export":
        newest, about = latest(run.path / run.newest()), run.path / "export" / "export.json"
        made = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}
        return newest is not None and made.get("begins_with") == newest.sha256
    if stage == "tokenizer":
        return latest(run.path / "tokens") is not None
    return run.finished(stage) is not None


# --- tokenizer ------------------------------------------------------------------------------------------------------


def tokenizer(run: RunFolder, options: Options) -> dict[str, Any]:
    """Train byte-level BPE on the text and on the training instructions, and write the text as tokens."""
    began, settings = time.perf_counter(), run.settings
    texts, chats = read_texts(options.text, settings.corpus), read_instructions(settings.corpus)
    if options.again:
        _forget(run, TRAINED)
    spoken = [part for row in chats.train for part in (row.question, row.answer)]
    made = train_tokenizer([texts.train, *spoken], settings.vocabulary, TEMPLATE.specials)
    run.write_tokenizer(made)
    run.__dict__.pop("tokenizer", None)
    train_tokens, validation = (
        torch.tensor(made.encode(part), dtype=torch.int32) for part in (texts.train, texts.validation)
    )
    size = len(texts.validation.encode())
    about = {"stage": "tokens", "text": texts.label, "validation_bytes": size, "tokenizer": run.tokenizer_sha256}
    save(run.path / "tokens", 0, {"train": train_tokens, "validation": validation}, about)
    rows: list[Row] = [
        ("tokens in the vocabulary", made.size, 256, "bytes alone"),
        ("bytes for a token, held-out text", size / len(validation), 1.0, "bytes alone"),
        ("tokens to train on", len(train_tokens), "", ""),
        ("tokens held out", len(validation), "", ""),
    ]
    return _close(run, "tokenizer", began, [texts.label, chats.label], rows)


# --- pre-training ---------------------------------------------------------------------------------------------------


def pretrain(run: RunFolder, options: Options) -> dict[str, Any]:
    """Train a model from nothing to predict the next token of the text."""
    began, settings = time.perf_counter(), run.settings
    text = run.tokens()
    steps = settings.pretrain_steps(run.tokenizer.size, len(text.tensors["train"]))
    if options.compiled:
        need_compiler(options.device)
    torch.manual_seed(settings.seed)
    model = GPT(run.model_config()).to(options.device)
    training = Training.begin(model, settings.seed)
    precise = Precise(model, settings.precision, options.compiled)
    rows = batches(text.tensors["train"], settings.batch, settings.context, training.generator)

    def take_step(training: Training) -> tuple[float, int]:
        training.set_learning_rate(steps, settings.learning_rate, warmup=steps // 10)
        inputs, targets = next(rows)
        loss = cross_entropy(precise(share(inputs).to(options.device)), share(targets).to(options.device))
        return training.descend(loss), inputs.numel()

    rate = _train(run, options, "pretrain", training, text.sha256, None, steps, take_step)
    model.eval()
    validation = text.tensors["validation"]
    _, targets = judge.windows(validation, settings.context)
    unigram = judge.unigram_loss(text.tensors["train"], targets.flatten(), run.tokenizer.size)
    loss = judge.text_loss(model, validation, settings.context, options.device)
    size = text.document["validation_bytes"]
    results: list[Row] = [
        ("validation loss (nats a token)", loss, unigram, "unigram"),
        (
            "bits a byte",
            judge.bits_per_byte(loss, len(validation), size),
            judge.bits_per_byte(unigram, len(validation), size),
            "unigram",
        ),
        ("parameters", sum(weight.numel() for weight in model.parameters()), "", ""),
        ("passes over the text", steps * settings.batch * settings.context / len(text.tensors["train"]), "", ""),
    ]
    if rate and count_processes() == 1:
        share_of_peak = model_utilization(model.config, settings.batch, rate, options.device)
        results += [
            ("tokens a second", round(rate), "", ""),
            ("MFU, of a product measured here", share_of_peak, "", ""),
        ]
    return _close(run, "pretrain", began, [text.document["text"]], results)


# --- SFT ------------------------------------------------------------------------------------------------------------


def sft(run: RunFolder, options: Options) -> dict[str, Any]:
    """Teach the pre-trained model to answer: only the answers' tokens train."""
    began, settings = time.perf_counter(), run.settings
    model, source = run.model("pretrain", options.device)
    chats = read_instructions(settings.corpus)
    examples, held_out = (
        _kept(_answers(run, part, lambda row: row.answer), "instructions") for part in (chats.train, chats.held_out)
    )
    before = judge.answers_loss(model, held_out, settings.context, options.device)
    training = Training.begin(model, settings.seed + 1)
    precise = Precise(model, settings.precision)

    def take_step(training: Training) -> tuple[float, int]:
        training.set_learning_rate(settings.sft_steps, settings.learning_rate / SFT_SHARE)
        chosen = [examples[place] for place in _draw(training, len(examples), settings.examples)]
        packed = judge.on_device(pack(chosen, settings.context, judge.PADDING), options.device)
        loss = sft_step(precise, [packed], training.optimizer)
        return loss, sum(len(example.tokens) for example in chosen)

    _train(run, options, "sft", training, chats.sha256, source, settings.sft_steps, take_step)
    after = judge.answers_loss(model, held_out, settings.context, options.device)
    unigram = judge.unigram_loss(judge.answer_tokens(examples), judge.answer_tokens(held_out), run.tokenizer.size)
    results: list[Row] = [
        ("loss on held-out answers", after, before, "before"),
        ("the same of a unigram model", unigram, "", "of the training answers"),
        ("chats that trained, held out", f"{len(examples)}, {len(held_out)}", "", ""),
        ("left out, longer than the context", _lost(chats, len(examples) + len(held_out)), "", ""),
    ]
    return _close(run, "sft", began, [chats.label], results)


# --- DPO ------------------------------------------------------------------------------------------------------------


def dpo(run: RunFolder, options: Options) -> dict[str, Any]:
    """Teach the model the chosen tone of two, with the SFT model as the reference."""
    began, settings = time.perf_counter(), run.settings
    model, source = run.model("sft", options.device)
    chats = read_instructions(settings.corpus)
    pairs, held_out = (_pairs(run, part) for part in (chats.train, chats.held_out))
    # The reference's log-probabilities do not change: they are computed once, while the model is still the reference.
    reference = [judge.all_log_probs(model, side, options.device) for side in pairs]
    reference_held = [judge.all_log_probs(model, side, options.device) for side in held_out]
    training, precise = Training.begin(model, settings.seed + 2), Precise(model, settings.precision)

    def take_step(training: Training) -> tuple[float, int]:
        training.set_learning_rate(settings.dpo_steps, settings.learning_rate / DPO_SHARE)
        places = _draw(training, len(pairs[0]), settings.examples)
        sides = [[side[place] for place in places] for side in pairs]
        policy = [judge.log_probs(precise, side, options.device) for side in sides]
        fixed = [LogProbs(each.total[places], each.tokens[places]) for each in reference]
        loss = dpo_loss(policy[0], policy[1], fixed[0], fixed[1], beta=DPO_BETA)
        return training.descend(loss), sum(len(example.tokens) for side in sides for example in side)

    _train(run, options, "dpo", training, chats.sha256, source, settings.dpo_steps, take_step)
    after = [judge.all_log_probs(model, side, options.device) for side in held_out]
    won, lost = (implicit_rewards(policy, fixed, DPO_BETA) for policy, fixed in zip(after, reference_held, strict=True))
    accuracy = ((won > lost).float() + 0.5 * (won == lost).float()).mean().item()
    likelier = [(two[0].total > two[1].total).float().mean().item() for two in (after, reference_held)]
    results: list[Row] = [
        ("accuracy of implicit rewards, held-out pairs", accuracy, 0.5, "before: all are 0, a tie"),
        ("pairs whose chosen answer is likelier", likelier[0], likelier[1], "before"),
        ("margin of the rewards", (won - lost).mean().item(), 0.0, "before"),
        (
            "log-probability of the chosen answers",
            after[0].total.mean().item(),
            reference_held[0].total.mean().item(),
            "before",
        ),
        ("pairs that trained, held out", f"{len(pairs[0])}, {len(held_out[0])}", "", ""),
    ]
    return _close(run, "dpo", began, [chats.label], results)


# --- GRPO -----------------------------------------------------------------------------------------------------------


def grpo(run: RunFolder, options: Options) -> dict[str, Any]:
    """Let the model answer, score the answers by `rewards.reward`, and make the better ones of a group likelier."""
    began, settings = time.perf_counter(), run.settings
    model, source = run.model("dpo", options.device)
    reference, chats = copy.deepcopy(model).requires_grad_(False), read_instructions(settings.corpus)
    questions, held_out = (_questions(run, part) for part in (chats.train, chats.held_out))
    answering = Answering(model, run.tokenizer, settings.answer_tokens, options.device)
    before = answering.score(held_out, torch.Generator().manual_seed(settings.seed))
    training = Training.begin(model, settings.seed + 3)

    def take_step(training: Training) -> tuple[float, int]:
        training.set_learning_rate(settings.grpo_steps, settings.learning_rate / GRPO_SHARE)
        asked = [questions[place] for place in _draw(training, len(questions), settings.prompts)]
        examples, scores = answering.try_out(
            [each for each in asked for _ in range(settings.group)], training.generator
        )
        advantages = group_advantages(scores.view(-1, settings.group)).flatten().to(options.device)
        tokens, answer = judge.padded(examples, options.device)
        new = judge.token_log_probs(model, tokens)
        with torch.no_grad():
            fixed = judge.token_log_probs(reference, tokens)
        # The policy that answered is the one that trains: one step for each round of answers.
        loss = grpo_loss(new, new.detach(), fixed, advantages, answer[:, 1:], beta=GRPO_BETA)
        training.descend(loss)
        return scores.mean().item(), int(answer.sum())

    _train(run, options, "grpo", training, chats.sha256, source, settings.grpo_steps, take_step, "mean reward")
    after = answering.score(held_out, torch.Generator().manual_seed(settings.seed))
    return _close(run, "grpo", began, [chats.label], _reward_rows(after, before, len(questions), len(held_out)))


# --- PPO ------------------------------------------------------------------------------------------------------------


def ppo(run: RunFolder, options: Options) -> dict[str, Any]:
    """As `grpo`, from the same weights and by the same reward, with a critic in the place of groups."""
    began, settings = time.perf_counter(), run.settings
    model, source = run.model("dpo", options.device)
    reference, both = copy.deepcopy(model).requires_grad_(False), ActorCritic(model).to(options.device)
    chats = read_instructions(settings.corpus)
    questions, held_out = (_questions(run, part) for part in (chats.train, chats.held_out))
    answering = Answering(model, run.tokenizer, settings.answer_tokens, options.device)
    before = answering.score(held_out, torch.Generator().manual_seed(settings.seed))
    training = Training.begin(both, settings.seed + 4)

    def take_step(training: Training) -> tuple[float, int]:
        training.set_learning_rate(settings.grpo_steps, settings.learning_rate / GRPO_SHARE)
        places = _draw(training, len(questions), settings.prompts * settings.group)
        examples, scores = answering.try_out([questions[place] for place in places], training.generator)
        ppo_round(training, both, reference, examples, scores, options.device)
        return scores.mean().item(), sum(sum(example.trains) for example in examples)

    _train(run, options, "ppo", training, chats.sha256, source, settings.grpo_steps, take_step, "mean reward")
    after = answering.score(held_out, torch.Generator().manual_seed(settings.seed))
    return _close(run, "ppo", began, [chats.label], _reward_rows(after, before, len(questions), len(held_out)))


# --- quantization ---------------------------------------------------------------------------------------------------


def quantize(run: RunFolder, options: Options) -> dict[str, Any]:
    """Keep the newest model's weights in 8 and in 4 bits, and measure what that costs."""
    began, settings = time.perf_counter(), run.settings
    stage, text, chats = run.newest(), run.tokens(), read_instructions(settings.corpus)
    held_out = _kept(_answers(run, chats.held_out, lambda row: row.answer), "instructions")
    results: list[Row] = []
    whole: list[float] = []
    for kind in ("float32", *QUANTIZED):
        model, source = run.model(stage, options.device)
        weights = sum(weight.numel() for weight in model.parameters())
        if kind != "float32":
            quantize_model(model, kind)  # pyright: ignore[reportArgumentType]
            tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
            about = {"stage": "quantize", "kind": kind, "of": stage, "tokenizer": run.tokenizer_sha256}
            save(run.path / "quantize" / kind, 0, tensors, {**about, "begins_with": source.sha256, "steps": 0})
        layers = [layer.bits_per_weight for layer in model.modules() if isinstance(layer, QuantizedLinear)]
        bits = 8 * sum(tensor.nbytes for tensor in model.state_dict().values()) / weights
        losses = [
            judge.text_loss(model, text.tensors["validation"], settings.context, options.device),
            judge.answers_loss(model, held_out, settings.context, options.device),
        ]
        whole = whole or [bits, *losses]
        names = ("bits a weight, embedding included", "validation loss", "loss on held-out answers")
        if layers:
            results.append((f"{kind}: bits a weight, linear layers", sum(layers) / len(layers), 32.0, "float32"))
        results += [
            (f"{kind}: {name}", value, reference if kind != "float32" else "", "float32" if kind != "float32" else "")
            for name, value, reference in zip(names, [bits, *losses], whole, strict=True)
        ]
    return _close(run, "quantize", began, [text.document["text"], chats.label], results)


# --- export ---------------------------------------------------------------------------------------------------------


def export(run: RunFolder, options: Options) -> dict[str, Any]:
    """Write the newest model as GGUF in 16 and 8 bits and as a folder for Hugging Face, and read the files again."""
    began, settings = time.perf_counter(), run.settings
    stage, text = run.newest(), run.tokens()
    model, source = run.model(stage, "cpu")
    validation = text.tensors["validation"]
    whole = judge.text_loss(model, validation, settings.context, "cpu")
    target, fresh = run.path / "export", run.path / f".export.{os.getpid()}"
    results: list[Row] = []
    try:
        fresh.mkdir()
        export_hugging_face(fresh / "hugging_face", model, run.tokenizer, STOP, TEMPLATE.jinja)
        for kind, name in EXPORTED.items():
            export_gguf(
                fresh / name,
                model,
                run.tokenizer,
                kind,  # pyright: ignore[reportArgumentType]
                STOP,
                TEMPLATE.jinja,
            )
            loss = judge.text_loss(from_gguf(fresh / name), validation, settings.context, "cpu")
            results += [
                (f"{name}: validation loss", loss, whole, "float32"),
                (f"{name}: kilobytes", (fresh / name).stat().st_size // 1000, "", ""),
            ]
        write_atomically(fresh / "export.json", json.dumps({"of": stage, "begins_with": source.sha256}))
        shutil.rmtree(target, ignore_errors=True)
        os.replace(fresh, target)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}. Give another run folder.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return _close(run, "export", began, [text.document["text"]], results)


# --- helpers --------------------------------------------------------------------------------------------------------


def _train(
    run: RunFolder,
    options: Options,
    stage: str,
    training: Training,
    data: str,
    source: Checkpoint | None,
    steps: int,
    take_step: Callable[[Training], tuple[float, int]],
    measure: str = "loss",
) -> float:
    """Train a stage to its end, from its newest checkpoint on; return tokens a second."""
    settings, folder = run.settings, run.path / stage
    if options.again and is_first():
        _forget(run, BESIDE if stage in BESIDE else TRAINED[TRAINED.index(stage) :])
    wait_for_all()
    identity = {
        "stage": stage,
        "settings": vars(settings),
        "data": data,
        "tokenizer": run.tokenizer_sha256,
        "begins_with": source.sha256 if source else None,
    }
    training.model.train()
    rate = train(
        training, folder, identity, steps=steps, every=settings.checkpoint_every, take_step=take_step,
        report=options.report, again=f"{run.command(stage)} --again", measure=measure,
    )  # fmt: skip
    training.model.eval()
    return rate


def _forget(run: RunFolder, stages: Sequence[str]) -> None:
    """Throw away what stages wrote, and what was made of it."""
    made_of_it = () if stages == BESIDE else ("quantize", "export")
    beside = BESIDE if "dpo" in stages else ()
    for stage in (*stages, *beside, *made_of_it):
        shutil.rmtree(run.path / stage, ignore_errors=True)


def _draw(training: Training, among: int, count: int) -> list[int]:
    """Different places, drawn by the training's generator."""
    return torch.randperm(among, generator=training.generator)[:count].tolist()


def _answers(run: RunFolder, rows: Sequence[Instruction], answer: Callable[[Instruction], str]) -> list[Example | None]:
    return encode([chat_of(row.question, answer(row)) for row in rows], run.tokenizer, run.settings.context)


def _pairs(run: RunFolder, rows: Sequence[Instruction]) -> tuple[list[Example], list[Example]]:
    """Chosen and rejected answers; a pair is left out where one of them is longer than the context, or nobody rated."""
    rows = [row for row in rows if row.chosen]
    both = zip(_answers(run, rows, lambda row: row.chosen), _answers(run, rows, lambda row: row.rejected), strict=True)
    pairs = [(chosen, rejected) for chosen, rejected in both if chosen and rejected]
    _kept(pairs, "pairs")
    return [chosen for chosen, _ in pairs], [rejected for _, rejected in pairs]


def _reward_rows(after: dict[str, float], before: dict[str, float], trained: int, held_out: int) -> list[Row]:
    rows: list[Row] = [
        (f"mean reward, held-out questions: {name}", value, before[name], "before") for name, value in after.items()
    ]
    return [*rows, ("questions that trained, held out", f"{trained}, {held_out}", "", "")]


def _questions(run: RunFolder, rows: Sequence[Instruction]) -> list[Question]:
    """Questions whose answer has room in the context."""
    asked = [Question(row.question, encode_prompt(chat_of(row.question, "")[:1], run.tokenizer)) for row in rows]
    room = run.settings.context - run.settings.answer_tokens
    return _kept([each if len(each.tokens) <= room else None for each in asked], "questions")


def _kept(examples: Sequence[T | None], what: str) -> list[T]:
    kept = [example for example in examples if example is not None]
    if not kept:
        raise ConfigError(f"{what}: all {len(examples)} are longer than the context. Begin a run with a larger one.")
    return kept


def _lost(chats: Instructions, kept: int) -> int:
    return len(chats.train) + len(chats.held_out) - kept


def _close(run: RunFolder, stage: str, began: float, data: list[str], rows: list[Row]) -> dict[str, Any]:
    """Append what a stage found to the report, and return it."""
    entry = {
        "stage": stage,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - began, 1),
        "preset": run.settings.preset,
        "depth": run.settings.depth,
        "data": data,
        "rows": [dict(zip(("measure", "value", "baseline", "of"), row, strict=True)) for row in rows],
    }
    if is_first():
        run.append_report(entry)
    return entry
