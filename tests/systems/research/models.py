"""A chat model that says what a function of what it is sent says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from groundup.systems.research.planning import PLANNER


class Scripted(BaseChatModel):
    """Says `script(system, user)`, and keeps what it was sent."""

    script: Callable[[str, str], str]
    sent: list[str] = []  # noqa: RUF012  # a field of the model
    usage: dict[str, Any] | None = None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages: list[BaseMessage], *rest: Any, **more: Any) -> ChatResult:
        system, user = (str(message.content) for message in messages)
        self.sent.append(f"{system}\n{user}")
        message = AIMessage(content=self.script(system, user), usage_metadata=self.usage)  # type: ignore[arg-type]
        return ChatResult(generations=[ChatGeneration(message=message)])


def saying(plan: str, read: str, write: str | None = None, **more: Any) -> Scripted:
    """A model with one reply for the plan, one for every reading, and one for the report (that of the readings)."""

    def script(system: str, user: str) -> str:
        if system == PLANNER:
            return plan
        reading = "\n| #" in user  # passages have headings in their text, notes have none
        return read if reading or write is None else write

    return Scripted(script=script, sent=[], **more)
