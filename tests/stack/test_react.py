"""ReAct agents beside LangChain: schemas, messages and replies, and data that only this unit's labs load."""

from __future__ import annotations

import os
from typing import Any, Literal

import pytest

from groundup.data import load
from groundup.stack.agents.react import Agent, Tool, schema

pytest.importorskip("langchain_core")


def search(query: str, limit: int = 5, kind: Literal["log", "doc"] = "doc", exact: bool = False) -> str:
    """Search the documents."""
    return f"{limit} {kind}s about {query}, exact: {exact}"


def forecast(days: list[float], node: str | None = None) -> str:
    """Forecast the load."""
    return f"{days} {node}"


def plain(part: Any) -> Any:
    """A JSON schema without what only other tools write: titles and defaults."""
    if isinstance(part, dict):
        return {key: plain(value) for key, value in part.items() if key not in ("title", "default")}
    return [plain(value) for value in part] if isinstance(part, list) else part


@pytest.mark.parametrize("function", [search, forecast])
def test_a_schema_is_what_langchain_makes_of_the_function(function: Any) -> None:
    from langchain_core.tools import tool

    theirs = plain(tool(function).get_input_jsonschema())
    ours = schema(function)["parameters"]
    assert ours["properties"] == theirs["properties"]
    assert ours["required"] == theirs["required"]


def test_a_langchain_model_takes_the_messages_and_its_replies_are_understood() -> None:
    from langchain_core.language_models.fake_chat_models import FakeMessagesListChatModel
    from langchain_core.messages import AIMessage, InvalidToolCall, ToolCall, convert_to_messages

    call = ToolCall(name="search", args={"query": "disks"}, id="c1", type="tool_call")
    broken = InvalidToolCall(name="search", args="{query:", id="c2", error=None, type="invalid_tool_call")
    replies: list[Any] = [
        AIMessage(content="", tool_calls=[call]),
        AIMessage(content="", invalid_tool_calls=[broken]),
        AIMessage(content="Five documents."),
    ]
    model = FakeMessagesListChatModel(responses=replies)
    run = Agent(model.invoke, [Tool(search)], dialect="calls").run("What is there about disks?")
    assert (run.answer, run.stop, run.error) == ("Five documents.", "answer", "")
    assert run.steps[0].observations == ("5 docs about disks, exact: False",)
    assert "JSON" in run.steps[1].observations[0]
    told = convert_to_messages([message for step in run.steps for message in step.messages])
    assert [message.type for message in told] == ["ai", "tool", "ai", "tool"]


def test_a_langchain_model_speaks_the_text_dialect() -> None:
    from langchain_core.language_models.fake_chat_models import FakeListChatModel

    model = FakeListChatModel(responses=['Action: search\nAction Input: {"query": "x"}', "Final Answer: found"])
    run = Agent(model.invoke, [Tool(search)]).run("?")
    assert (run.answer, run.stop) == ("found", "answer")


@pytest.mark.skipif(not os.environ.get("GROUNDUP_DATA_MIRROR"), reason="needs the real data")
def test_the_attacks_have_their_known_sizes() -> None:
    attacks = load("bipia_attacks")
    assert (len(attacks), len(set(attacks["category"]))) == (75, 15)
