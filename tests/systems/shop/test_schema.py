"""The shop's API against its own description."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis import GenerationMode

from groundup.systems.shop.api import create_app
from groundup.systems.shop.service import Service, Settings
from tests.systems.described import hold_to_description, without_example
from tests.systems.shop.conftest import Says

PATHS = ("", "/messages", "/confirm", "/decline", "/orders")
PICKY = (*(f"/conversations/{{id}}{path}" for path in PATHS), "/record/{number}/undo", "/open")  # ids that are none


@pytest.fixture
def described(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(Service, "router", Says("outside"))
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(Settings(path)))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", GenerationMode)
def test_the_api_does_what_its_description_says(described: Any, mode: GenerationMode) -> None:
    """Good requests are answered as described, bad ones are refused, and none is answered with 500."""
    assert hold_to_description(described, mode, pickier=PICKY) > 30


def test_every_request_has_an_example(path: Path) -> None:
    assert not without_example(create_app(Settings(path)).openapi())
