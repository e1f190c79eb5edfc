"""A model behind OpenAI's protocol, asked over HTTP by LangChain's client: function calls, and lines of text."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from groundup.errors import ModelUnavailable
from groundup.llm import chat_model
from groundup.systems.shop import Shop, Store
from groundup.systems.shop.world import Order, User
from tests.systems.shop.conftest import Says, customer


@contextmanager
def answering(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Iterator[str]:
    """The address of a server that answers requests for a chat so, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            message = {"role": "assistant", "content": None, **answer(asked)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            body = {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [choice],
                "usage": usage,
            }
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1#tiny"
        server.shutdown()


@pytest.fixture
def own(store: Store) -> tuple[User, Order]:
    return customer(store, "pending")


def test_function_calls_of_a_server_become_a_proposal(store: Store, own: tuple[User, Order]) -> None:
    user, order = own
    calls = iter(
        [("find_user_by_email", {"email": user.email}),
         ("cancel_order", {"order_id": order.id, "reason": "ordered by mistake"})]
    )  # fmt: skip
    asked: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        if (call := next(calls, None)) is None:
            return {"content": "Please look at the details."}
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        return {"tool_calls": [{"id": f"c{len(asked)}", "type": "function", "function": function}]}

    with answering(answer) as address:
        shop = Shop(store, router=Says("cancel_order"), model=chat_model(address))
        conversation = shop.desk.begin()
        reply = shop.say(conversation, f"I am {user.email}, cancel {order.id}, it was a mistake")
        assert reply.calls == ("find_user_by_email", "cancel_order")
        assert reply.proposal is not None
        assert shop.say(conversation, "yes").entry is not None
    assert len(asked) == 3, "a yes is for code alone: no model is asked"
    names = {tool["function"]["name"] for tool in asked[0]["tools"]}
    assert {"cancel_order", "hand_over"} <= names
    assert asked[1]["messages"][-1]["role"] == "tool"
    assert "| " in asked[1]["messages"][-1]["content"], "what a tool gives is fenced"


def test_a_server_without_functions_is_asked_for_lines_of_text(store: Store, own: tuple[User, Order]) -> None:
    user, _ = own
    texts = iter([f'Action: find_user_by_email\nAction Input: {{"email": "{user.email}"}}', "Final Answer: Hello."])
    with answering(lambda request: {"content": next(texts)} if "tools" not in request else {}) as address:
        shop = Shop(store, router=Says("track_order"), model=chat_model(address), dialect="text")
        reply = shop.say(shop.desk.begin(), "Who am I?")
    assert (reply.text, reply.calls) == ("Hello.", ("find_user_by_email",))


def test_a_server_that_is_not_there_is_named_and_nothing_is_kept(store: Store) -> None:
    shop = Shop(store, router=Says("track_order"), model=chat_model("http://127.0.0.1:9/v1#tiny"))
    conversation = shop.desk.begin()
    with pytest.raises(ModelUnavailable, match=r"model must answer, and did not: .*Connection error\. Check"):
        shop.say(conversation, "Where is it?")
    assert shop.history(conversation) == []
