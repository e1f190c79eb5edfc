"""A language model on this machine, by llama.cpp: a small one that is fetched once, or any GGUF file of yours.

    model = open_local("smollm2")                      # SmolLM2-135M-Instruct, 98 MB, Apache-2.0
    model.invoke([("user", "What is rain?")]).content

SmolLM2-135M is real, and weak: it follows few instructions, and invents. It shows what a model's sentences cost and how
they are held to sources. llama.cpp (the extra `local-llm`) is imported when a model is opened, not before.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr

from groundup.errors import ModelUnavailable, UsageError, first_line
from groundup.extras import need
from groundup.weights import weights_of

SMALL = "smollm2"
PACKAGED = "SmolLM2-135M-Instruct"
CONTEXT = 8192  # tokens, as many as SmolLM2 was trained for; a file that has fewer is given its own
MOST_TOKENS = 512  # of a reply; a weak model may not find its end


def open_local(name: str) -> LocalModel:
    """The model by its name, or by the path of a GGUF file. Its threads are `GROUNDUP_LLM_THREADS`, or one.

    Raises:
        UsageError: it is neither, or the number of threads is none.
        MissingPackage: llama.cpp is not installed.
        ModelUnavailable: the file could be had from nowhere, or is no model that llama.cpp reads.
    """
    path = Path(name).expanduser()
    if name != SMALL and not (path.suffix == ".gguf" and path.is_file()):
        raise UsageError(
            f"model must be local:{SMALL} or local:FILE.gguf with an existing file, got 'local:{name}'. Check the path."
        )
    threads = os.environ.get("GROUNDUP_LLM_THREADS", "") or "1"
    if not threads.isdecimal() or not 1 <= int(threads) <= 512:
        raise UsageError(f"GROUNDUP_LLM_THREADS must be a number of threads from 1 to 512, got '{threads}'. Unset it.")
    need("A local model", "xllamacpp")
    if name == SMALL:
        (path,) = weights_of(PACKAGED).values()
    model = LocalModel(model_name=name if name == SMALL else path.name, path=path, threads=int(threads))
    _ = model.server  # a file that is no model is refused here, and not at the first question
    return model


class LocalModel(BaseChatModel):
    """A GGUF file in llama.cpp, in this process.

    Attributes:
        model_name: what it is called.
        path: the file.
        threads: the processor's threads that it may use.
        max_tokens: of a reply at most.
        temperature: 0 takes the likeliest token each time.
    """

    model_name: str
    path: Path
    threads: int = 1
    max_tokens: int = MOST_TOKENS
    temperature: float = 0.0
    _turn: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @property
    def _llm_type(self) -> str:
        return "groundup-local"

    @property
    def server(self) -> Any:
        """llama.cpp with the model loaded."""
        return _server(self.path, self.threads)

    def _asked(self, messages: list[BaseMessage], stop: list[str] | None, more: dict[str, Any]) -> dict[str, Any]:
        return {
            "messages": convert_to_openai_messages(messages),
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            **({"stop": stop} if stop else {}),
            **more,
        }

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._turn:
            answer = _whole(self.server.handle_chat_completions(self._asked(messages, stop, kwargs)))
        used = answer["usage"]
        cached = (used.get("prompt_tokens_details") or {}).get("cached_tokens") or 0  # of the last prompt's beginning
        message = AIMessage(
            content=answer["choices"][0]["message"]["content"] or "",
            usage_metadata=UsageMetadata(
                input_tokens=used["prompt_tokens"],
                output_tokens=used["completion_tokens"],
                total_tokens=used["total_tokens"],
                input_token_details=InputTokenDetails(cache_read=cached),
            ),
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for part in self._parts({**self._asked(messages, stop, kwargs), "stream": True}):
            for choice in part.get("choices", ()):
                if text := choice["delta"].get("content"):
                    yield ChatGenerationChunk(message=AIMessageChunk(content=text))

    def _parts(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The pieces that llama.cpp writes. It hands them to a callback, so it runs in a thread."""
        arrived: SimpleQueue[Any] = SimpleQueue()
        left = threading.Event()

        def take(part: dict[str, Any]) -> bool:
            arrived.put(part)
            return left.is_set()  # true ends it

        def write() -> None:
            try:
                with self._turn:
                    self.server.handle_chat_completions(asked, take)
                arrived.put(None)
            except BaseException as error:
                arrived.put(error)

        threading.Thread(target=write, daemon=True).start()
        try:
            while (part := arrived.get()) is not None:
                if isinstance(part, BaseException):
                    raise part
                yield _whole(part)
        finally:
            left.set()


def _whole(answer: dict[str, Any]) -> dict[str, Any]:
    """Raise an error in llama.cpp's words."""
    if error := answer.get("error"):
        raise ModelUnavailable(
            f"model must answer, and llama.cpp did not: {error.get('message', error)}. Ask for less."
        )
    return answer


@cache
def _server(path: Path, threads: int) -> Any:
    """llama.cpp with a model loaded, once in a process and until it ends: freeing one beside another can hang."""
    import xllamacpp

    library: Any = xllamacpp  # its types name nothing of what it has
    params = library.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.n_gpu_layers = str(path), CONTEXT, 1, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.warmup, params.verbosity = False, -1
    # It also listens on a port of this machine's loopback; nobody else knows the key.
    params.api_keys = [secrets.token_hex(16)]
    try:
        return library.Server(params)
    except Exception as error:
        reason = first_line(error).rstrip(".")
        raise ModelUnavailable(
            f"model must be a GGUF file that llama.cpp reads, and '{path}' is none: {reason}. Name another file."
        ) from error
