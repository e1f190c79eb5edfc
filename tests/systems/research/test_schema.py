"""The research assistant's API against its own description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis import GenerationMode
from starlette.testclient import TestClient

from groundup.systems.research.api import create_app
from groundup.systems.research.service import Settings
from tests.systems.described import hold_to_description, without_example

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # each good request makes a whole report
PICKY = ("/research", "/open", "/reports/{id}/plan")  # nothing said, a place that is none, a plan of blanks


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory, location: Path) -> Any:
    """The schema of an API that has a report."""
    path = tmp_path_factory.mktemp("schema") / "research.sqlite"
    app = create_app(Settings(path, knowledge=str(location), model="embedded"))
    with TestClient(app) as client:
        assert client.post("/research", json={"question": "What is an idempotency key?"}).status_code == 200
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize("mode", GenerationMode)
def test_the_api_does_what_its_description_says(described: Any, mode: GenerationMode) -> None:
    """Good requests are answered as described, bad ones are refused, and none is answered with 500."""
    assert hold_to_description(described, mode, pickier=PICKY) > 40


def test_every_request_has_an_example(tmp_path: Path) -> None:
    assert not without_example(create_app(Settings(tmp_path / "research.sqlite")).openapi())
