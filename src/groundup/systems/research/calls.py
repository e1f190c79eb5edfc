"""Calls of a chat model, with the cost of each."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from groundup.errors import GroundupError
from groundup.llm.models import unavailable
from groundup.systems.research.state import Cost
from groundup.systems.research.tracing import spanned

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
VERSION = 8  # digits of the hash that names a prompt's version
CHARACTERS = 4  # of a token, where a model does not count its own


def version(instructions: str) -> str:
    """The version of a prompt: a hash of its instructions, the system message, which no call changes."""
    return hashlib.sha256(instructions.encode()).hexdigest()[:VERSION]


def instructed(instructions: str, messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Messages with these instructions, in the place of their own where they have some."""
    rest = [message for message in messages if message["role"] != "system"]
    return [{"role": "system", "content": instructions}, *rest]


def only_quotes(model: BaseChatModel) -> bool:
    """Whether it is the embedded answerer, which neither plans nor writes."""
    return model._llm_type == "groundup-embedded"


def call(model: BaseChatModel, messages: Sequence[dict[str, str]], purpose: str) -> tuple[str, Cost]:
    """A model's reply, without its thinking, and its cost.

    Raises:
        ModelUnavailable: it does not answer.
    """
    name = name_of(model)
    instructions = version("\n".join(message["content"] for message in messages if message["role"] == "system"))
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": model._llm_type,
        "gen_ai.request.model": name,
        "groundup.purpose": purpose,
        "groundup.prompt": instructions,
    }
    with spanned(f"chat {name}", attributes) as span:
        cost, text = _called(model, messages, purpose, instructions, name)
        span.set_attribute("gen_ai.usage.input_tokens", cost["tokens_in"])
        span.set_attribute("gen_ai.usage.output_tokens", cost["tokens_out"])
        if "cached" in cost:
            span.set_attribute("gen_ai.usage.cache_read.input_tokens", cost["cached"])
    return _THINKING.sub("", text).strip(), cost


def _called(
    model: BaseChatModel, messages: Sequence[dict[str, str]], purpose: str, instructions: str, name: str
) -> tuple[Cost, str]:
    begin, busy = time.perf_counter(), time.process_time()
    try:
        reply = model.invoke(list(messages))
    except GroundupError:
        raise
    except Exception as error:  # every provider has its own
        raise unavailable(model, error) from error
    text = _text(reply.content)
    usage = getattr(reply, "usage_metadata", None) or {}
    counted = bool(usage)
    sent = sum(len(message["content"]) for message in messages)
    cost = Cost(
        purpose=purpose,
        prompt=instructions,
        model=name,
        tokens_in=int(usage["input_tokens"]) if counted else sent // CHARACTERS,
        tokens_out=int(usage["output_tokens"]) if counted else len(text) // CHARACTERS,
        counted=counted,
        seconds=time.perf_counter() - begin,
        processor=time.process_time() - busy,
    )
    if cached := (usage.get("input_token_details") or {}).get("cache_read"):
        cost["cached"] = int(cached)
    return cost, text


def name_of(model: BaseChatModel) -> str:
    """The name of a model in costs and prices."""
    if only_quotes(model):
        return "embedded"
    return str(getattr(model, "model_name", "") or getattr(model, "model", "") or model._llm_type)


def _text(content: Any) -> str:
    """The text of a reply, which may come in blocks of several kinds."""
    if isinstance(content, str):
        return content
    blocks = [block if isinstance(block, str) else block.get("text", "") for block in content]
    return "".join(block for block in blocks if isinstance(block, str))
