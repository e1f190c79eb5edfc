"""OpenAI's protocol: what is answered, what is refused and how, and that one answer is written at a time."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from starlette.testclient import TestClient

from groundup.errors import UsageError
from groundup.stack.generative.decoding import GREEDY, Sampling
from groundup.systems.language_model import server
from groundup.systems.language_model.server import create_app
from groundup.systems.language_model.speaking import Speaker, TooLong

HOST = "http://127.0.0.1:8700"
ASK = {"messages": [{"role": "user", "content": "What is 3 plus 1?"}], "max_tokens": 6, "seed": 1}


@pytest.fixture
def speaker(trained) -> Speaker:
    return Speaker.of_run(trained)


@pytest.fixture
def client(speaker) -> TestClient:
    return TestClient(create_app(speaker), base_url=HOST)


def test_models_are_listed(client):
    listed = client.get("/v1/models").json()
    assert listed["object"] == "list"
    assert [entry["id"] for entry in listed["data"]] == ["groundup-grpo"]
    assert client.get("/v1/models/groundup-grpo").json() == listed["data"][0]


def test_an_answer_has_openais_shape(client):
    answer = client.post("/v1/chat/completions", json=ASK | {"model": "groundup-grpo"}).json()
    assert answer["object"] == "chat.completion"
    assert answer["id"].startswith("chatcmpl-")
    (choice,) = answer["choices"]
    assert choice["message"]["role"] == "assistant"
    usage = answer["usage"]
    assert 1 <= usage["completion_tokens"] <= 6
    assert choice["finish_reason"] == ("length" if usage["completion_tokens"] == 6 else "stop")
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert client.post("/v1/chat/completions", json=ASK).json()["choices"] == answer["choices"]  # the seed decides


def events(text: str) -> list[dict]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_a_stream_says_what_the_whole_answer_says(client):
    whole = client.post("/v1/chat/completions", json=ASK).json()
    asked = ASK | {"stream": True, "stream_options": {"include_usage": True}}
    streamed = client.post("/v1/chat/completions", json=asked)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    *chunks, usage = events(streamed.text)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])


@pytest.mark.parametrize(
    ("change", "status", "param", "says"),
    [
        ({"messages": []}, 400, "messages", "at least one message"),
        ({"messages": [{"role": "king", "content": "x"}]}, 400, "messages", r"messages[0].role must be one of system"),
        ({"messages": [{"role": "user", "content": 3}]}, 400, "messages", "content must be a text"),
        ({"messages": [{"role": "user", "content": "<|end|>"}]}, 400, "messages", "could pose as another speaker"),
        ({"messages": [{"role": "user", "content": "long " * 99}]}, 400, "messages", "context of 64 tokens"),
        ({"model": "gpt-4"}, 404, "model", "model must be 'groundup-grpo', got \"gpt-4\""),
        ({"temperature": 3}, 400, "temperature", "from 0 to 2, got 3"),
        ({"temperature": True}, 400, "temperature", "from 0 to 2, got true"),
        ({"top_p": 0}, 400, "top_p", "above 0 and at most 1, got 0"),
        ({"max_tokens": 0}, 400, "max_tokens", "at least 1, got 0"),
        ({"seed": "x"}, 400, "seed", 'got "x"'),
        ({"stream": 1}, 400, "stream", "must be true or false, got 1"),
        ({"n": 2}, 400, "n", "n is not supported here, got 2"),
        ({"stop": ["\n"]}, 400, "stop", "stop is not supported"),
        ({"tools": [{}]}, 400, "tools", "tools is not supported"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(change, status, param, says, client):
    answer = client.post("/v1/chat/completions", json=ASK | change)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["type"]) == (status, param, "invalid_request_error")
    assert says in error["message"]
    assert set(error) == {"message", "type", "param", "code"}


def test_other_parameters_are_taken_or_ignored(client):
    more = {"max_tokens": None, "max_completion_tokens": 2, "user": "me", "presence_penalty": 0, "temperature": 0}
    parts = [{"type": "text", "text": "What is "}, {"type": "text", "text": "2 plus 1?"}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    answer = client.post("/v1/chat/completions", json={"messages": messages, **more})
    assert answer.status_code == 200
    assert answer.json()["usage"]["completion_tokens"] <= 2


def test_bodies_that_are_no_json_or_too_long_are_refused(speaker):
    client = TestClient(create_app(speaker, body_limit=100), base_url=HOST)
    for content, status in ((b"{", 400), (b"[]", 400), (b"[" * 90, 400), (b"x" * 101, 413)):
        assert client.post("/v1/chat/completions", content=content).status_code == status
    pieces = iter([b"x" * 60, b"x" * 60])  # of a length that nobody said
    assert client.post("/v1/chat/completions", content=pieces).status_code == 413


def test_a_token_is_asked_for_where_there_is_one(speaker):
    client = TestClient(create_app(speaker, token="hush"), base_url=HOST)
    refused = client.get("/v1/models")
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert client.post("/v1/chat/completions", json=ASK, headers={"Authorization": "Bearer no"}).status_code == 401
    assert client.get("/v1/models", headers={"Authorization": "Bearer hush"}).status_code == 200


def test_pages_and_other_hosts_are_refused(client):
    assert client.get("/v1/models", headers={"Origin": "https://example.com"}).status_code == 403
    assert client.get("/v1/models", headers={"Host": "example.com"}).status_code == 421


def test_unknown_paths_and_methods_have_the_same_shape(client):
    for answer, status in ((client.get("/v1/files"), 404), (client.get("/v1/chat/completions"), 405)):
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == "unknown_url"


def test_one_answer_is_written_at_a_time_and_few_may_wait(speaker, monkeypatch):
    inside, most = 0, 0

    def slow(answer, *rest):
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.2)
        yield "x"
        inside -= 1

    monkeypatch.setattr(speaker, "_write", slow)
    monkeypatch.setattr(server, "WAITING_LIMIT", 3)
    codes: list[int] = []
    with TestClient(create_app(speaker), base_url=HOST) as client:
        threads = [
            threading.Thread(target=lambda: codes.append(client.post("/v1/chat/completions", json=ASK).status_code))
            for _ in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 1
    assert sorted(set(codes)) == [200, 503]
    assert codes.count(200) >= 3


def test_openais_own_client_is_served(speaker):
    httpx, openai = pytest.importorskip("httpx"), pytest.importorskip("openai")

    async def ask() -> None:
        transport = httpx.ASGITransport(create_app(speaker))
        async with httpx.AsyncClient(transport=transport) as http:
            client = openai.AsyncOpenAI(base_url=f"{HOST}/v1", api_key="none", http_client=http, max_retries=0)
            (name,) = [model.id async for model in client.models.list()]
            whole = await client.chat.completions.create(model=name, **ASK)
            text = ""
            async for chunk in await client.chat.completions.create(model=name, stream=True, **ASK):
                text += chunk.choices[0].delta.content or ""
            assert text == whole.choices[0].message.content
            with pytest.raises(openai.BadRequestError, match="temperature must be a number from 0 to 2"):
                await client.chat.completions.create(model=name, **ASK, temperature=9)
            with pytest.raises(openai.NotFoundError, match="it alone is served here"):
                await client.chat.completions.create(model="gpt-4", **ASK)

    asyncio.run(ask())


def test_serving_beyond_loopback_needs_a_token(speaker):
    with pytest.raises(UsageError, match="Set GROUNDUP_TOKEN"):
        server.serve(speaker, host="0.0.0.0", port=0, token="", max_tokens=8, say=print)


def test_a_speaker_writes_the_same_with_any_way_of_reading(speaker):
    messages = ASK["messages"]
    one, two = (speaker.answer(messages, GREEDY, 8) for _ in range(2))
    assert "".join(one.pieces) == "".join(two.pieces)
    assert one.completion_tokens == two.completion_tokens
    with pytest.raises(TooLong, match="context of 64 tokens"):
        speaker.answer([{"role": "user", "content": "word " * 80}], GREEDY, 8)


def test_a_long_chat_loses_its_oldest_messages(speaker):
    messages = [
        {"role": role, "content": f"What is {n} plus 1?"} for n in range(8) for role in ("user", "assistant")
    ]  # fmt: skip
    messages.append({"role": "user", "content": "And 9 plus 1?"})
    "".join(speaker.reply(messages, Sampling(), 4, seed=0).pieces)
    assert messages[-1]["content"] == "And 9 plus 1?"
    assert len(messages) < 17
    assert messages[0]["role"] == "user"


def test_the_pretrained_model_continues_a_text(trained):
    speaker = Speaker.of_run(trained, "pretrain")
    answer = speaker.answer([{"role": "user", "content": "the king and"}], GREEDY, 5)
    assert "".join(answer.pieces)
    assert answer.prompt_tokens == len(trained.tokenizer.encode("the king and"))
