"""`chat_model`: a LangChain chat model by a short name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from groundup.errors import ModelUnavailable, UsageError, first_line
from groundup.extras import need
from groundup.secrets import hide

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

EMBEDDED = "embedded"
PATIENCE = 120.0  # seconds that a model may take to answer
FORMS = "ollama:NAME, openai:NAME, local:smollm2, local:FILE.gguf, http://HOST:PORT/v1#NAME or embedded"


def chat_model(spec: str | None = None) -> BaseChatModel:
    """The chat model that `spec` names.

    | spec                        | model                                                                            |
    |-----------------------------|----------------------------------------------------------------------------------|
    | `embedded`                  | our extractive answerer: no network, no key, and never a word of its own         |
    | `ollama:NAME`               | NAME on the Ollama server of `OLLAMA_HOST`, or of this machine                   |
    | `openai:NAME`               | NAME at OpenAI, with the key in `OPENAI_API_KEY`                                 |
    | `local:smollm2`             | SmolLM2-135M-Instruct in this process, by llama.cpp: real, small, and weak       |
    | `local:FILE.gguf`           | a file of yours, the same                                                        |
    | `http://HOST:PORT/v1#NAME`  | NAME on any server that speaks OpenAI's protocol; its key in `GROUNDUP_LLM_KEY`  |

    Args:
        spec: one of these; `GROUNDUP_LLM` unless given, and where that is empty `embedded`.

    Raises:
        UsageError: it is none of these, or lacks the name or the key.
        MissingPackage: LangChain is not installed.
    """
    spec = (spec or os.environ.get("GROUNDUP_LLM", "")).strip() or EMBEDDED
    if spec == EMBEDDED:
        _import("langchain_core")
        from groundup.llm.embedded import EmbeddedAnswerer

        return EmbeddedAnswerer()
    if spec.startswith(("http://", "https://")):
        return _compatible(spec)
    provider, _, name = spec.partition(":")
    if provider not in ("ollama", "openai", "local"):
        raise UsageError(f"model must be {FORMS}, got '{spec}'. Give it as --model, or in GROUNDUP_LLM.")
    if not name:
        raise UsageError(f"model must name a model, and '{spec}' does not. For example: {EXAMPLE[provider]}")
    if provider == "local":
        _import("langchain_core")
        from groundup.llm.local import open_local

        return open_local(name)
    if provider == "ollama":
        return _import("langchain_ollama").ChatOllama(model=name, temperature=0, client_kwargs={"timeout": PATIENCE})
    if not os.environ.get("OPENAI_API_KEY"):
        raise UsageError(f"model '{spec}' needs a key, and OPENAI_API_KEY is not set. Set it, or use ollama:NAME.")
    # No temperature: some of OpenAI's models refuse any but their own.
    return _import("langchain_openai").ChatOpenAI(model=name, timeout=PATIENCE)


def unavailable(model: BaseChatModel, error: Exception) -> ModelUnavailable:
    """The message for a model that did not answer, in one line and without secrets."""
    reason = hide(first_line(error).rstrip("."))
    return ModelUnavailable(
        f"model must answer, and {model._llm_type} did not: {reason}. Check that it runs and that its name is right, "
        "or use the embedded answerer: --model embedded."
    )


EXAMPLE = {"ollama": "ollama:llama3.2", "openai": "openai:gpt-4.1-mini", "local": "local:smollm2"}


def _compatible(spec: str) -> BaseChatModel:
    """A model on a server that speaks OpenAI's protocol. The server never gets OpenAI's own key."""
    address, _, name = spec.partition("#")
    try:
        host = urlsplit(address).hostname
    except ValueError:
        host = None
    if not host:
        raise UsageError(f"model must be an address with a host, got '{spec}'. For example: {URL_EXAMPLE}")
    if not name:
        raise UsageError(f"model must name a model behind a #, and '{spec}' does not. For example: {URL_EXAMPLE}")
    key = os.environ.get("GROUNDUP_LLM_KEY") or "none"  # the client wants one, also for servers that do not
    return _import("langchain_openai").ChatOpenAI(
        model=name, base_url=address, api_key=key, temperature=0, timeout=PATIENCE
    )


URL_EXAMPLE = "http://localhost:8000/v1#qwen2.5"


def _import(package: str) -> Any:
    from importlib import import_module

    need("Asking a model", "langchain_core", package)
    return import_module(package)
