"""The chain as a person runs it: every stage at the preset smoke, and pre-training in two processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from groundup.stack.generative.export import from_gguf
from groundup.systems.language_model.checkpoint import latest
from tests.systems.language_model.conftest import begin

pytestmark = pytest.mark.slow


def call(*arguments: str, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *launcher, "-m", "groundup", "llm", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)


@pytest.mark.timeout(1200)
def test_the_whole_chain_learns_something_at_every_stage(tmp_path):
    run = str(tmp_path / "run")
    call("all", run, "--preset", "smoke")
    rows = {
        (entry["stage"], row["measure"]): row
        for entry in json.loads(call("report", run, "--json").stdout)
        for row in entry["rows"]
    }
    lower = [("pretrain", "validation loss (nats a token)"), ("sft", "loss on held-out answers")]
    higher = [("dpo", "accuracy of implicit rewards, held-out pairs"), ("grpo", "mean reward, held-out questions: all")]
    assert all(rows[name]["value"] < rows[name]["baseline"] for name in lower)
    assert all(rows[name]["value"] > rows[name]["baseline"] for name in higher)
    for stage in ("pretrain", "grpo", "q8_0", "nf4"):
        assert call("chat", run, "--say", "What is rain?", "--stage", stage, "--seed", "1").stdout.strip()


@pytest.mark.timeout(300)
def test_llama_cpp_writes_what_the_exported_model_writes(trained):
    x = pytest.importorskip("xllamacpp")
    path, tokenizer = trained.path / "export" / "model-f16.gguf", trained.tokenizer
    beyond_ascii = [number for token, number in tokenizer.vocabulary.items() if not token.isascii()]
    params = x.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.n_gpu_layers = str(path), 64, 1, 0
    params.warmup, params.verbosity = False, -1
    bias = {str(number): -1000 for number in beyond_ascii}  # it holds back bytes that are no whole character
    request = {"prompt": "the king and", "max_tokens": 10, "temperature": 0.0, "logprobs": 1, "logit_bias": bias}
    steps = x.Server(params).handle_completions(request)["choices"][0]["logprobs"]["content"]
    model, tokens = from_gguf(path), tokenizer.encode("the king and")
    for step in steps:
        with torch.no_grad():
            logits = model(torch.tensor([tokens]))[0, -1]
        logits[beyond_ascii] = -torch.inf
        assert step["id"] == int(logits.argmax())
        tokens.append(step["id"])
    assert len(steps) == 10


def pretrained_curve(path: Path) -> list[float]:
    found = latest(path / "pretrain")
    assert found is not None
    assert found.step == found.document["steps"]
    return found.document["curve"]


@pytest.mark.timeout(600)
def test_two_processes_have_the_curve_of_one(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    begin(one)
    shutil.copytree(one, two)
    call("pretrain", str(one), "--device", "cpu")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    call("pretrain", str(two), "--device", "cpu", launcher=torchrun)
    assert pretrained_curve(two) == pytest.approx(pretrained_curve(one), abs=1e-5)


@pytest.mark.timeout(600)
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_process_that_is_killed_goes_on_with_the_same_curve(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    call("tokenizer", str(whole), "--depth", "1")
    shutil.copytree(whole, killed)
    settings = json.loads((killed / "settings.json").read_text())
    for run in (whole, killed):  # a checkpoint after every step, to be killed between two of them
        (run / "settings.json").write_text(json.dumps(settings | {"checkpoint_every": 1}))
    call("pretrain", str(whole), "--device", "cpu")
    command = [sys.executable, "-m", "groundup", "llm", "pretrain", str(killed), "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ)
    while not ((found := sorted((killed / "pretrain").glob("step-*"))) and found[-1].name >= "step-00000003"):
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.02)
    process.kill()
    process.wait()
    call("pretrain", str(killed), "--device", "cpu")
    assert pretrained_curve(killed) == pretrained_curve(whole)
