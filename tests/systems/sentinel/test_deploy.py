"""The deployment, as far as it can be checked without Docker: its commands exist, and it publishes on loopback only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from groundup.cli.sentinel import sentinel_command

DEPLOY = Path(__file__).parents[3] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "sentinel" / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]


def test_every_command_of_the_deployment_is_one_that_the_sentinel_takes():
    given = [one["command"] for one in SERVICES.values() if "command" in one]
    assert isinstance(sentinel_command, click.Group)
    assert len(given) == 3
    for name, *arguments in given:
        sentinel_command.commands[name].make_context(name, list(arguments))


def test_compose_publishes_on_loopback_only_without_privileges_and_needs_a_token():
    assert set(SERVICES) == {"api", "page", "learn", "ollama"}
    for one in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ()))
    for name in ("api", "page", "learn"):
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
    assert SERVICES["api"]["environment"]["GROUNDUP_TOKEN"].startswith("${GROUNDUP_TOKEN:?")
    assert "environment" not in SERVICES["page"], "beyond loopback people are asked for the token"
    assert SERVICES["api"]["build"]["args"] == {"SYSTEM": "sentinel"}


def test_the_image_keeps_cases_and_detectors_in_its_volume():
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    for option in ("store", "models"):
        variables = {
            str(parameter.envvar)
            for command in sentinel_command.commands.values()  # type: ignore[attr-defined]
            for parameter in command.params
            if parameter.name == option
        }
        assert len(variables) == 1
        assert f"{variables.pop()}=/data/" in dockerfile
