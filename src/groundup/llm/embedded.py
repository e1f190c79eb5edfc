"""The embedded answerer: a chat model that only quotes. No network, no key, and never a word of its own.

It reads the messages that `rag.prompt` writes, as any chat model would, and answers with sentences of the sources, each
with its number; where none of them answers, with `NO_ANSWER`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from groundup.stack.retrieval.rag import NO_ANSWER, Passage, extract, idf

_SOURCE = re.compile(r"^\[(\d+)\]\n((?:\|[^\n]*(?:\n|\Z))+)", re.MULTILINE)
_QUESTION = re.compile(r"^Question: (.*)\Z", re.MULTILINE)


class EmbeddedAnswerer(BaseChatModel):
    """Answers by quoting; see `groundup.llm.embedded`.

    Attributes:
        threshold: how sure it must be to answer.
    """

    threshold: float = 0.5

    @property
    def _llm_type(self) -> str:
        return "groundup-embedded"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text = "\n".join(self._lines(messages))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(content=text))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        for number, line in enumerate(self._lines(messages)):
            piece = f"\n{line}" if number else line
            if run_manager:
                run_manager.on_llm_new_token(piece)
            yield ChatGenerationChunk(message=AIMessageChunk(content=piece))

    def _lines(self, messages: Sequence[BaseMessage]) -> list[str]:
        question, passages = read_prompt(str(messages[-1].content) if messages else "")
        weight = idf([passage.text for passage in passages])
        answer = extract(question, passages, weight=weight, threshold=self.threshold)
        said = [f"{claim.text} [{claim.cited[0]}]" for claim in answer.claims]
        return said or [NO_ANSWER]


def read_prompt(text: str) -> tuple[str, list[Passage]]:
    """Question and sources of a message that `rag.prompt` wrote; of any other text, no sources.

    Lines of sources are told by the `|` that they begin with, so that what they say can be neither a source of its own
    nor the question.
    """
    asked = _QUESTION.search(text)
    passages = []
    for _, fenced in _SOURCE.findall(text):
        lines = [line[2:] for line in fenced.splitlines()]
        passages.append(Passage("\n".join(lines[1:]), lines[0].removeprefix("from: ").strip("'\"")))
    return (asked[1] if asked else ""), passages
