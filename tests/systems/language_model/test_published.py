"""Published models in GGUF files: read as they are meant, refused by name, fine-tuned, and held against llama.cpp."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("gguf")

from groundup.cli import main
from groundup.errors import ConfigError, StoreError
from groundup.stack.generative.decoding import generate
from groundup.stack.generative.export import from_gguf, gguf_tensors, llama_metadata, read_gguf, write_gguf
from groundup.stack.generative.instruction_tuning import CHATML, GROUNDUP, LLAMA3
from groundup.systems.language_model import finetuning
from groundup.systems.language_model.checkpoint import latest
from groundup.systems.language_model.finetuning import Tuning, finetune
from groundup.systems.language_model.published import file_of, read_published, template_of
from groundup.systems.language_model.run_folder import RunFolder
from groundup.systems.language_model.stages import Options
from groundup.weights import weights_of
from tests.systems.language_model.conftest import instructions
from tests.systems.language_model.test_stages import Killed, killed_after
from tests.systems.language_model.test_templates import asked, llama_cpp

SMOLLM2 = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are helpful.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""


@pytest.fixture
def file(trained: RunFolder) -> Path:
    return trained.path / "export" / "model-f16.gguf"


def changed(file: Path, target: Path, change: dict[str, Any]) -> Path:
    """The file with other metadata; None takes a value away."""
    metadata, tensors = read_gguf(file)
    kinds = [np.int32(kind) for kind in metadata["tokenizer.ggml.token_type"]]  # pyright: ignore
    whole = {**metadata, "tokenizer.ggml.token_type": kinds, **change}
    write_gguf(target, {name: value for name, value in whole.items() if value is not None}, tensors)
    return target


def test_a_file_is_read_as_what_it_was_written_from(file, trained):
    held = read_published(file)
    tokens = torch.randint(trained.tokenizer.size, (2, 20), generator=torch.Generator().manual_seed(0))
    assert torch.equal(held.model(tokens), from_gguf(file)(tokens))
    for text in ("the king and 12 queens", "naïve\n\n  日本 \x00 ok", "<|end|>"):
        assert held.tokenizer.encode(text) == trained.tokenizer.encode(text)
    assert (held.template, held.system, held.tokenizer.size) == (GROUNDUP, "", trained.tokenizer.size)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"general.architecture": "qwen2"}, "must be of the architecture 'llama', got 'qwen2'"),
        ({"llama.block_count": 7}, r"claims a tensor blk\.6"),
        ({"llama.rope.scaling.type": "yarn"}, r"stretches RoPE \(yarn\)"),
        ({"tokenizer.ggml.pre": "deepseek-llm"}, "of gpt-2, llama-bpe, smollm, got 'gpt2' with 'deepseek-llm'"),
        ({"tokenizer.ggml.model": "llama"}, "got 'llama' with"),
        ({"tokenizer.ggml.merges": ["t h", "h e"]}, "merges in the order of its ids"),
        ({"tokenizer.chat_template": "{{ messages[0].content }}"}, "chat template that writes what ChatML, Llama 3's"),
        ({"tokenizer.chat_template": "{% for"}, "a chat template that fails"),
        ({"tokenizer.chat_template": "{{ ''.__class__.__mro__ }}"}, "chat template"),
        ({"tokenizer.chat_template": "{% for a in range(10**9) %}{% endfor %}"}, "Range too big"),
    ],
)  # fmt: skip
def test_what_is_not_covered_is_refused_by_name(change, reason, file, tmp_path):
    path = changed(file, tmp_path / "other.gguf", change)
    with pytest.raises(ConfigError, match=rf"--model .*other\.gguf.*{reason}|{reason}"):
        read_published(path)


def test_files_that_are_no_gguf_or_not_there_are_refused(file, tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"GGML" + bytes(100))
    (tmp_path / "y.gguf").write_bytes(file.read_bytes()[:5000])
    for name in ("x.gguf", "y.gguf"):
        with pytest.raises(ConfigError, match=rf"{name} is no sound GGUF file: .* Fetch or write it again"):
            read_published(tmp_path / name)
    with pytest.raises(ConfigError, match=r"--model must be smollm2 or a GGUF file that is there, got 'none\.gguf'"):
        file_of("none.gguf")


@pytest.mark.parametrize(
    ("source", "template", "system"),
    [
        (SMOLLM2, CHATML, "You are helpful."),
        (CHATML.jinja, CHATML, ""),
        (LLAMA3.jinja, LLAMA3, ""),
        (GROUNDUP.jinja, GROUNDUP, ""),
        ("", None, ""),
    ],
)
def test_a_template_is_known_by_what_it_writes(source, template, system):
    assert template_of({"tokenizer.chat_template": source}, Path("x.gguf")) == (template, system)


def test_one_talks_to_a_file_as_to_the_run_that_it_is_of(file, trained, capsys):
    said = ["--say", "What is 3 plus 1?", "--temperature", "0", "--max-tokens", "8"]

    def chat(*arguments: str) -> Any:
        with pytest.raises(SystemExit) as ended:
            main(["llm", "chat", *arguments])
        return ended.value.code, capsys.readouterr()

    code, ours = chat("--model", str(file), *said)
    assert code == 0
    assert "model-f16, a published model, on groundup's own GPT. It answers." in ours.err
    assert chat(str(trained.path), "--stage", "grpo", *said)[1].out == ours.out
    code, refused = chat(str(trained.path), "--model", str(file))
    assert code == 2
    assert "is instead of a run folder and its --stage. Give one of both." in refused.err


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Tuning:
    monkeypatch.setattr(finetuning, "read_instructions", instructions)
    return Tuning(steps=6, rank=2, learning_rate=1e-2, context=64, checkpoint_every=2)


def test_fine_tuning_lowers_the_loss_and_goes_on_after_a_kill(file, few, tmp_path):
    entry = finetune(file, tmp_path / "whole", few, Options())
    loss = entry["rows"][0]
    assert loss["value"] < loss["baseline"]
    with pytest.raises(Killed):
        finetune(file, tmp_path / "killed", few, Options(report=killed_after(3)))
    left = latest(tmp_path / "killed" / "adapter")
    assert left is not None
    assert left.step == 2
    assert all("lora_" in name for name in left.tensors if name.startswith("model.")), "the base is not copied"
    finetune(file, tmp_path / "killed", few, Options())
    for name in ("adapter.safetensors", "model-q8_0.gguf"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(StoreError, match="belongs to another run: settings.rank is 2 there, and 4 here"):
        finetune(file, tmp_path / "whole", replace(few, rank=4), Options())


def test_the_tuned_file_holds_base_and_adapter_and_the_tokenizer(file, few, tmp_path):
    from safetensors.torch import load_file

    from groundup.stack.generative.lora import add_lora, load_adapter

    finetune(file, tmp_path, few, Options())
    tuned, base = read_published(tmp_path / "model-q8_0.gguf"), from_gguf(file)
    add_lora(base, ["query", "value"], 2, 4)
    load_adapter(base, load_file(tmp_path / "adapter.safetensors"))
    tokens = torch.randint(300, (1, 20), generator=torch.Generator().manual_seed(0))
    gap = (tuned.model(tokens) - base(tokens)).abs().max()
    assert gap < 0.05 < (from_gguf(file)(tokens) - base(tokens)).abs().max()
    theirs = read_published(file)
    assert (tuned.template, tuned.tokenizer.vocabulary) == (theirs.template, theirs.tokenizer.vocabulary)


@pytest.mark.parametrize(("name", "value"), [("steps", 0), ("rank", 0), ("learning_rate", 0.0), ("precision", "int8")])
def test_a_tuning_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be .*, got '?{value}"):
        Tuning(**{name: value})


# --- a model of others ----------------------------------------------------------------------------------------------

TEXTS = [
    "Hello world 123 45", "  a  5 b\n\n c6\t7  ", "don't won'T  we'll", "naïve Ünïcode 日本語 12,345.67 €",
    "\x00\x01\x0b x",
    "a\u00a0b \u2009 9", "x's5 'S  '5' \n5\n\n 5 ", "if (x == 10) {\n    return 'a';\n}\n   ", "👍🏽 ok\r\n\r\n  3",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_smollm2_reads_and_continues_texts_as_llama_cpp_does(tmp_path):
    """llama.cpp gets the same numbers as float32: on 4-bit weights it rounds what it multiplies them with, too."""
    (path,) = weights_of("SmolLM2-135M-Instruct").values()
    held = read_published(path)
    told = {name: value for name, value in held.metadata.items() if name.startswith("tokenizer.")}
    told["tokenizer.ggml.token_type"] = [np.int32(kind) for kind in told["tokenizer.ggml.token_type"]]
    metadata = llama_metadata(held.model.config, "F32") | told
    write_gguf(tmp_path / "smollm2-f32.gguf", metadata, gguf_tensors(held.model, "F32"))
    server = llama_cpp(tmp_path / "smollm2-f32.gguf", 512)
    for text in TEXTS:
        assert asked(server, "/tokenize", {"content": text})["tokens"] == held.tokenizer.encode(text)
    for text in ("Once upon a time, there was a", "def fibonacci(n):\n"):
        request = {"prompt": text, "n_predict": 24, "temperature": 0, "return_tokens": True}
        ours = [step[0] for step in generate(held.model, [held.tokenizer.encode(text)], 24)]
        assert asked(server, "/completion", request)["tokens"] == ours
    chat = [{"role": "user", "content": "What is rain?"}]
    prompt = asked(server, "/apply-template", {"messages": chat})["prompt"]
    assert prompt.startswith(f"<|im_start|>system\n{held.system}<|im_end|>\n<|im_start|>user\nWhat is rain?")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_steps_teach_smollm2_something_and_llama_cpp_runs_it(tmp_path, monkeypatch):
    monkeypatch.undo()  # the real instructions
    entry = finetune(file_of("smollm2"), tmp_path, Tuning(steps=20, context=96, examples=1), Options())
    loss = entry["rows"][0]
    assert loss["value"] < loss["baseline"]
    tuned, server = read_published(tmp_path / "model-q8_0.gguf"), llama_cpp(tmp_path / "model-q8_0.gguf", 256)
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    request = {"prompt": prompt, "n_predict": 8, "temperature": 0, "return_tokens": True}
    theirs = asked(server, "/completion", request)["tokens"]
    ids = tuned.tokenizer.encode(prompt, allow_special=True)
    ours = [step[0] for step in generate(tuned.model, [ids], 3)]
    assert theirs[:3] == ours
    assert json.loads((tmp_path / "report.json").read_text())[0]["rows"] == entry["rows"]
