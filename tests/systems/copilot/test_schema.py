"""The copilot's API against its own description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis import GenerationMode
from starlette.testclient import TestClient

from groundup.systems.copilot.incident import generate
from groundup.systems.copilot.serving.api import create_app
from groundup.systems.copilot.serving.service import Settings
from tests.systems.described import hold_to_description, without_example

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The schema of an API that has logs."""
    app = create_app(Settings(tmp_path_factory.mktemp("schema") / "copilot.duckdb"))
    with TestClient(app) as client:
        for name, lines in generate(minutes=10).files.items():
            answer = client.post("/ingest", files={"file": (name, "\n".join(lines).encode())})
            assert answer.status_code == 200, answer.text
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize("mode", GenerationMode)
def test_the_api_does_what_its_description_says(described: Any, mode: GenerationMode) -> None:
    """Good requests are answered as described, bad ones are refused, and none is answered with 500."""
    assert hold_to_description(described, mode, pickier=("/ingest",)) > 50  # a file may be no log


def test_every_request_has_an_example(tmp_path: Path) -> None:
    assert not without_example(create_app(Settings(tmp_path / "copilot.duckdb")).openapi())
