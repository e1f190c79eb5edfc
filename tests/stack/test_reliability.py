"""Reliability with FastAPI and on a real clock: the API of the lesson, as it stands there, under faults."""

from __future__ import annotations

import asyncio
import json
import random
import re
from importlib.resources import files
from typing import Annotated, Any

import pytest

from groundup.stack.agents.reliability import (
    Completion,
    DeadlineExceeded,
    Endpoint,
    Meter,
    Transient,
    deadline,
    now,
    run_virtual,
)


def lesson_api(ask: Any) -> Any:
    """The FastAPI app of the lesson, with this agent behind it."""
    fastapi = pytest.importorskip("fastapi")
    from fastapi.responses import JSONResponse
    from pydantic import BaseModel, Field

    text = files("groundup.stack.agents.reliability").joinpath("lesson.md").read_text(encoding="utf-8")
    code = re.search(r"```text\n(class Question.*?)```", text, re.DOTALL)
    assert code is not None
    names = {"ask": ask, "random": random, "Annotated": Annotated, "Endpoint": Endpoint, "Meter": Meter}
    names |= {"BaseModel": BaseModel, "Field": Field, "JSONResponse": JSONResponse}
    names |= {"FastAPI": fastapi.FastAPI, "Header": fastapi.Header}
    exec(code[1], names)
    return names["app"]


async def post(app: Any, body: Any, key: str | None) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body of POST /ask, without a network."""
    from contextlib import AsyncExitStack

    sent: list[dict[str, Any]] = []
    headers = [(b"content-type", b"application/json")] + ([(b"idempotency-key", key.encode())] if key else [])
    scope = {"type": "http", "method": "POST", "path": "/ask", "headers": headers, "query_string": b""}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with AsyncExitStack() as stack:
        await app({**scope, "fastapi_inner_astack": stack, "fastapi_function_astack": stack}, receive, send)
    text = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, json.loads(text)


def test_the_api_of_the_lesson_answers_once_for_each_key() -> None:
    asked: list[str] = []

    async def ask(question: str) -> Completion:
        asked.append(question)
        if len(asked) == 1:
            raise Transient("429", 2.0)
        return Completion("2 GB", 3, 2)

    async def main() -> list[Any]:
        app = lesson_api(ask)
        body = {"question": "Is it full?"}
        return [await post(app, body, "key-12345") for _ in range(2)] + [now()]

    first, second, end = run_virtual(main())
    assert first[0] == second[0] == 200
    assert first[2] == second[2] == {"answer": "2 GB", "tokens": 5}
    assert asked == ["Is it full?"] * 2, "one refusal that was retried, one answer"
    assert 2.0 <= end <= 2.5


def test_the_api_of_the_lesson_cuts_an_agent_that_hangs() -> None:
    async def ask(question: str) -> Completion:
        await asyncio.sleep(1e6)
        raise AssertionError("never reached")

    async def main() -> tuple[int, float]:
        status, _, _ = await post(lesson_api(ask), {"question": "Is it full?"}, "key-12345")
        return status, now()

    status, end = run_virtual(main())
    assert status == 504
    assert end <= 30.0


def test_the_api_of_the_lesson_refuses_what_is_no_question() -> None:
    async def ask(question: str) -> Completion:
        return Completion("yes", 1, 1)

    async def main() -> list[int]:
        app = lesson_api(ask)
        cases = [({"question": ""}, "key-12345"), ({"query": "x"}, "key-12345"), ({"question": "x?"}, None)]
        cases += [({"question": "x?"}, "short"), ({"question": " "}, "key-12345"), ({"question": "x?"}, "key-67890")]
        return [(await post(app, body, key))[0] for body, key in cases]

    assert run_virtual(main()) == [422, 422, 422, 422, 422, 200]


def test_a_deadline_cuts_on_the_clock_of_a_real_loop_as_well() -> None:
    ended: list[bool] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def main() -> None:
        with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.02 s"):
            await deadline(hang, 0.02)()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert ended == [True]


def test_time_that_nothing_will_ever_end_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="no timer will ever end"):
        run_virtual(main())
