"""A chat model by its name, or one clear error."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from groundup.errors import MissingPackage, UsageError
from groundup.llm import chat_model
from groundup.llm.embedded import EmbeddedAnswerer


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GROUNDUP_LLM", "GROUNDUP_LLM_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_name_it_is_the_one_of_the_environment_or_the_embedded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(chat_model(), EmbeddedAnswerer)
    monkeypatch.setenv("GROUNDUP_LLM", "ollama:llama3.2")
    assert type(chat_model()).__name__ == "ChatOllama"
    assert isinstance(chat_model("embedded"), EmbeddedAnswerer)


def test_ollama_openai_and_any_compatible_server_are_known_by_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = chat_model("ollama:qwen2.5:7b")
    assert (model.model, model.temperature) == ("qwen2.5:7b", 0)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    model = chat_model("openai:gpt-4.1-mini")
    assert (model.model_name, model.openai_api_key.get_secret_value()) == ("gpt-4.1-mini", "sk-openai")
    model = chat_model("http://localhost:8000/v1#org/name")
    assert (model.model_name, model.openai_api_base) == ("org/name", "http://localhost:8000/v1")


def test_another_server_is_never_sent_the_key_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    model: Any = chat_model("http://localhost:8000/v1#name")
    assert model.openai_api_key.get_secret_value() == "none"
    monkeypatch.setenv("GROUNDUP_LLM_KEY", "its-own")
    model = chat_model("http://localhost:8000/v1#name")
    assert model.openai_api_key.get_secret_value() == "its-own"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("gpt-4", "model must be ollama:NAME, openai:NAME, local:smollm2, local:FILE.gguf, http://HOST:PORT/v1#NAME or "
         "embedded, got 'gpt-4'. Give"),
        ("ollama:", "model must name a model, and 'ollama:' does not. For example: ollama:llama3.2"),
        ("openai:gpt-4.1", "model 'openai:gpt-4.1' needs a key, and OPENAI_API_KEY is not set. Set it, or use ollama"),
        ("http://localhost:8000/v1", "model must name a model behind a #, and 'http://localhost:8000/v1' does"),
        ("http://#name", "model must be an address with a host, got 'http://#name'. For example: http://localhost:8000"),
    ],
)  # fmt: skip
def test_a_name_that_is_none_is_one_clear_error(spec: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        chat_model(spec)
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(("spec", "package"), [("embedded", "langchain_core"), ("ollama:a", "langchain_ollama")])
def test_without_langchain_the_error_says_what_to_install(
    spec: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    said = rf"needs {package.replace('_', '-')}, which is not .* with: .*(copilot|research|shop)$"  # each brings it
    with pytest.raises(MissingPackage, match=said):
        chat_model(spec)
