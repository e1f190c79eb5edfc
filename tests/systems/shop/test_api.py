"""The API: a message's tools as they are used, a yes to what was shown, orders, the record, metrics, and errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from groundup.errors import UsageError
from groundup.systems.shop import open_store
from groundup.systems.shop.api import create_app
from groundup.systems.shop.service import Service, Settings
from groundup.systems.shop.shop import Shop
from tests.systems.shop.conftest import Says, customer

HOST = "http://127.0.0.1:8620"


@pytest.fixture
def started(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start an API on a shop of this test's own, whose router is sure that all is about cancelling."""
    monkeypatch.setattr(Service, "router", Says("cancel_order"))
    clients: list[TestClient] = []

    def start(**settings: Any) -> TestClient:
        client = TestClient(create_app(Settings(path, **settings)), base_url=HOST, raise_server_exceptions=False)
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.close()


def events(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def error(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error", "status"}
    return body["error"]


def proposed(client: TestClient, path: Path) -> tuple[str, dict[str, Any], str]:
    """A conversation in which a cancellation waits for a yes."""
    with open_store(path) as store:
        user, order = customer(store, "pending")
    id = client.post("/conversations").json()["id"]
    client.post(f"/conversations/{id}/messages", json={"message": f"cancel {order.id}, it was a mistake"})
    told = events(client.post(f"/conversations/{id}/messages", json={"message": user.email}))
    assert [event["event"] for event in told] == ["called", "called", "called", "reply"]
    return id, told[-1]["proposal"], order.id


def test_an_order_is_cancelled_by_a_yes_to_what_was_shown_and_brought_back(started: Any, path: Path) -> None:
    client = started()
    id, proposal, order = proposed(client, path)
    whole = client.get(f"/conversations/{id}").json()
    assert whole["waiting"] == proposal
    assert [message["role"] for message in whole["messages"]] == ["customer", "shop"] * 2
    yes = {"proposal": proposal["id"], "digest": proposal["digest"]}
    assert "these are others by now" in error(
        client.post(f"/conversations/{id}/confirm", json={**yes, "digest": "0" * 64}), 409
    )
    done = client.post(f"/conversations/{id}/confirm", json=yes).json()
    assert done["entry"]["details"] == proposal["details"]
    assert "is confirmed" in error(client.post(f"/conversations/{id}/confirm", json=yes), 409)
    statuses = {one["id"]: one["status"] for one in client.get(f"/conversations/{id}/orders").json()}
    assert statuses[order] == "cancelled"
    assert [entry["command"] for entry in client.get("/record").json()] == ["cancel_order"]
    assert client.post("/record/1/undo").json()["undoes"] == 1
    assert "undone by 2 already" in error(client.post("/record/1/undo"), 422)
    statuses = {one["id"]: one["status"] for one in client.get(f"/conversations/{id}/orders").json()}
    assert statuses[order] == "pending"
    metrics = client.get("/metrics").text
    assert 'groundup_shop_actions_total{command="cancel_order"} 1.0' in metrics
    assert 'groundup_shop_replies_total{intent="cancel_order"} 2.0' in metrics


def test_a_no_changes_nothing(started: Any, path: Path) -> None:
    client = started()
    id, proposal, _ = proposed(client, path)
    assert "Nothing was changed" in client.post(f"/conversations/{id}/decline").json()["text"]
    yes = {"proposal": proposal["id"], "digest": proposal["digest"]}
    assert "is declined" in error(client.post(f"/conversations/{id}/confirm", json=yes), 409)
    assert client.get("/record").json() == []
    assert [one["id"] for one in client.get("/conversations").json()] == [id]


def test_what_is_none_is_refused_in_one_shape(started: Any) -> None:
    client = started()
    id = client.post("/conversations").json()["id"]
    for path in (f"/conversations/{'0' * 12}", f"/conversations/{'0' * 12}/orders"):
        assert "no conversation called" in error(client.get(path), 404)
    assert "no conversation" in error(client.post(f"/conversations/{'0' * 12}/messages", json={"message": "x"}), 404)
    assert "must be identified first" in error(client.get(f"/conversations/{id}/orders"), 409)
    assert "no entry of the record" in error(client.post("/record/9/undo"), 404)
    assert "message" in error(client.post(f"/conversations/{id}/messages", json={"message": " "}), 422)
    assert "digest" in error(
        client.post(f"/conversations/{id}/confirm", json={"proposal": "0" * 12, "digest": "x"}), 422
    )
    assert "There are no documents" in error(client.post("/open", json={"where": "a.md:0-1"}), 404)
    assert "body must have at most" in error(client.post("/open", content=b"x" * 70_000), 413)


def test_one_message_of_a_conversation_is_answered_at_a_time(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = started()
    id = client.post("/conversations").json()["id"]
    service = client.app.state.service  # pyright: ignore[reportAttributeAccessIssue]
    with service._taken(id):
        told = client.post(f"/conversations/{id}/decline")
        assert "is being answered" in error(told, 409)
    monkeypatch.setattr(Shop, "say", lambda *_, **__: 1 / 0)
    answer = client.post(f"/conversations/{id}/messages", json={"message": "x"})
    assert "This is a bug of the shop's" in error(answer, 500)
    monkeypatch.undo()
    assert client.post(f"/conversations/{id}/decline").status_code == 200, "it is free again"


def test_the_token_and_the_host_are_asked_for(started: Any) -> None:
    client = started(token="secret", hosts=("127.0.0.1",))
    assert client.get("/healthz").json()["status"] == "ok"
    assert "Authorization must be" in error(client.get("/record"), 401)
    assert client.get("/record", headers={"authorization": "Bearer secret"}).status_code == 200
    assert "Host must be one of" in error(client.get("/record", headers={"host": "evil.example"}), 421)
    assert "another origin" in error(client.post("/record/1/undo", headers={"origin": "http://evil.example"}), 403)


def test_settings_are_checked_before_anything_is_served(path: Path) -> None:
    with pytest.raises(UsageError, match="timeout must be more than 0 seconds, got 0"):
        Settings(path, timeout=0)
    with pytest.raises(UsageError, match="model must be"):
        create_app(Settings(path, model="nonsense"))
