"""Models behind servers: what goes to one that speaks OpenAI's protocol and to Ollama, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from groundup.errors import ModelUnavailable
from groundup.llm import chat_model
from groundup.systems.copilot.answering.ask import ask
from groundup.systems.copilot.store import Source, Store, open_store

LINE = '2026-11-21T01:03:20Z ERROR checkout: connection pool exhausted {"in_use": 10}'
PIECES = ["The connection pool ", "of checkout is exhausted [1].", " Reboot the moon [1]."]


class Server(ThreadingHTTPServer):
    """Keeps what it is asked, and streams `PIECES`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.status = 200

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server  # type: ignore[assignment]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        openai = self.path == "/v1/chat/completions"
        lines = [self._openai(piece) if openai else self._ollama(piece) for piece in PIECES]
        lines.append("data: [DONE]\n\n" if openai else json.dumps({"model": "m", "done": True, "message": {
            "role": "assistant", "content": ""}, "created_at": "2026-01-01T00:00:00Z"}) + "\n")  # fmt: skip
        text = "".join(lines).encode() if self.server.status == 200 else b'{"error": {"message": "no such model"}}'
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/event-stream" if openai else "application/x-ndjson")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _openai(self, piece: str) -> str:
        choice = {"index": 0, "delta": {"role": "assistant", "content": piece}, "finish_reason": None}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
        return f"data: {json.dumps(chunk)}\n\n"

    def _ollama(self, piece: str) -> str:
        message = {"role": "assistant", "content": piece}
        return (
            json.dumps({"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": False}) + "\n"
        )

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def served() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def store(tmp_path: Any) -> Iterator[Store]:
    with open_store(tmp_path / "a.duckdb") as opened:
        opened.append(Source("file", "/logs/app.log"), [LINE], cursor={})
        yield opened


@pytest.mark.parametrize("kind", ["openai", "ollama"])
def test_the_reply_of_a_server_is_grounded_like_any_other(
    kind: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDUP_LLM_KEY", "its-own-key")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    with served() as server:
        monkeypatch.setenv("OLLAMA_HOST", server.address)
        model = chat_model(f"{server.address}/v1#m" if kind == "openai" else "ollama:m")
        answer = ask("Why is checkout failing?", store=store, model=model)
    assert [(one.text, one.citations, one.supported) for one in answer.sentences] == [
        ("The connection pool of checkout is exhausted.", (1,), True), ("Reboot the moon.", (), False),
    ]  # fmt: skip
    assert answer.citations[0].where == "/logs/app.log#1:1"
    ((path, headers, body),) = server.asked
    assert path == ("/v1/chat/completions" if kind == "openai" else "/api/chat")
    assert headers.get("authorization", "") == ("Bearer its-own-key" if kind == "openai" else "")
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert f"| {LINE}" in body["messages"][1]["content"]
    assert body["stream"] is True


def test_a_server_that_refuses_is_one_clear_error(store: Store) -> None:
    with served() as server:
        server.status = 404
        model = chat_model(f"{server.address}/v1#m")
        with pytest.raises(ModelUnavailable, match=r"^model must answer, and openai-chat did not: .*no such model"):
            ask("Why is checkout failing?", store=store, model=model)
