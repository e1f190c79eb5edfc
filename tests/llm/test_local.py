"""A language model in this process: SmolLM2-135M, real and weak, or one clear error."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from groundup.errors import ModelUnavailable, UsageError
from groundup.llm import chat_model, local
from groundup.llm.local import LocalModel, open_local

pytest.importorskip("xllamacpp")


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return open_local("smollm2")


def test_it_answers_in_its_own_words_the_same_each_time_and_counts_its_tokens(model: LocalModel) -> None:
    asked = [("system", "You answer in one sentence."), ("user", "What is rain?")]
    first, second = model.invoke(asked), model.invoke(asked)
    assert "water" in first.content
    assert first.content == second.content
    assert first.usage_metadata is not None
    used = first.usage_metadata
    assert used["input_tokens"] > 10
    assert 0 < used["output_tokens"] <= model.max_tokens
    assert used["total_tokens"] == used["input_tokens"] + used["output_tokens"]
    assert second.usage_metadata is not None
    cached = second.usage_metadata.get("input_token_details", {}).get("cache_read", 0)
    assert used["input_tokens"] / 2 < cached < used["input_tokens"], "the same prompt again is read from the cache"
    streamed = "".join(str(part.content) for part in model.stream(asked))
    assert streamed == first.content


def test_who_leaves_a_stream_ends_the_writing(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[dict[str, Any]] = []

    class Watched:
        def __init__(self, server: Any) -> None:
            self.server = server

        def handle_chat_completions(self, asked: dict[str, Any], take: Any) -> None:
            self.server.handle_chat_completions(asked, lambda part: (written.append(part), take(part))[1])

    long = LocalModel(model_name="long", path=model.path, max_tokens=4000)
    watched = Watched(model.server)
    monkeypatch.setattr(local, "_server", lambda path, threads: watched)
    parts = long.stream([("user", "Tell me a very long story about a whale.")])
    for _ in range(3):
        next(parts)
    parts.close()  # type: ignore[attr-defined]
    assert long._turn.acquire(timeout=60)
    assert len(written) < 1000, "of 4,000 tokens"


def test_a_schema_holds_what_it_writes(model: LocalModel) -> None:
    schema = {"type": "object", "properties": {"answer": {"enum": ["yes", "no"]}}, "required": ["answer"]}
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    reply = model.invoke([("user", "Is water wet?")], response_format=form)
    assert json.loads(str(reply.content))["answer"] in ("yes", "no")


def test_nobody_else_on_this_machine_can_ask_it(model: LocalModel) -> None:
    address = str(model.server.listening_address)
    assert address.startswith("http://127.0.0.1:")
    body = json.dumps({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}).encode()
    for path, data in (("/v1/models", None), ("/v1/chat/completions", body), ("/completion", body), ("/slots", None)):
        request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
        with pytest.raises(HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        with refused.value:
            assert refused.value.code == 401, path


def test_what_does_not_fit_is_said(model: LocalModel) -> None:
    with pytest.raises(ModelUnavailable, match=r"exceeds the available context size \(8192 tokens\)"):
        model.invoke([("user", "word " * 9000)])


@pytest.mark.parametrize("name", ["llama", "/no/such/model.gguf", __file__])
def test_a_name_that_is_no_model_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        chat_model(f"local:{name}")
    assert str(refused.value) == (
        f"model must be local:smollm2 or local:FILE.gguf with an existing file, got 'local:{name}'. Check the path."
    )


def test_a_file_that_is_no_model_is_refused_before_the_first_question(tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_text("GGUF, or so it says")
    with pytest.raises(ModelUnavailable) as refused:
        chat_model(f"local:{path}")
    assert str(refused.value).startswith(f"model must be a GGUF file that llama.cpp reads, and '{path}' is none: ")


def test_the_number_of_threads_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUNDUP_LLM_THREADS", "two")
    with pytest.raises(UsageError, match="GROUNDUP_LLM_THREADS must be a number of threads from 1 to 512, got 'two'"):
        open_local("smollm2")
    monkeypatch.setenv("GROUNDUP_LLM_THREADS", "2")
    assert open_local("smollm2").threads == 2
