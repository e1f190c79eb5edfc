"""The deployment, as far as it can be checked without a cluster: it fits the API's schema, its commands exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import yaml

from groundup.cli.research import research_command
from tests.systems.manifests import KINDS, misfits

DEPLOY = Path(__file__).parents[3] / "deploy" / "research"
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
POD = MANIFESTS[0]["spec"]["template"]["spec"]


def test_the_manifests_fit_the_schema_of_kubernetes():
    assert [one["kind"] for one in MANIFESTS] == ["Deployment", "PersistentVolumeClaim", "Service", "NetworkPolicy"]
    for document in MANIFESTS:
        assert misfits(document, KINDS[document["kind"]], document["kind"]) == []


def test_containers_run_without_privileges_and_ask_for_the_token():
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["automountServiceAccountToken"] is False
    for one in POD["containers"]:
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert [entry["name"] for entry in one["env"]] == ["GROUNDUP_TOKEN"]


def test_every_command_of_the_deployment_is_one_that_the_assistant_takes():
    given = [one["args"] for one in POD["containers"]]
    given += [one["command"] for one in COMPOSE["services"].values() if "command" in one]
    assert isinstance(research_command, click.Group)
    assert len(given) == 4
    for name, *arguments in given:
        research_command.commands[name].make_context(name, list(arguments))


def test_compose_publishes_on_loopback_only_and_needs_a_token():
    services = COMPOSE["services"]
    assert set(services) == {"api", "page", "searxng", "ollama"}
    for one in services.values():
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ()))
    assert services["api"]["environment"]["GROUNDUP_TOKEN"].startswith("${GROUNDUP_TOKEN:?")
    assert "environment" not in services["page"], "beyond loopback people are asked for the token"
    assert services["api"]["build"]["args"] == {"SYSTEM": "research"}
    settings = services["searxng"]["volumes"][0].split(":")[0]
    assert "json" in yaml.safe_load((DEPLOY / settings).read_text(encoding="utf-8"))["search"]["formats"]
    assert set(COMPOSE["volumes"]) == {"store", "models"}


def test_the_build_leaves_nothing_of_roots_in_the_home_of_the_images_user():
    """A /data/.cache of root's was copied into each new volume, and no search could compile its code."""
    file = (DEPLOY.parent / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    stage = file[file.rindex("\nFROM ") :]
    assert "HOME=/data" in stage
    steps = [step.split() for line in stage.splitlines() if line.startswith("RUN ") for step in line[4:].split("&&")]
    programs = [step for step in steps if step[0] not in ("useradd", "chmod")]
    assert programs
    assert all(step[0] == "HOME=/root" for step in programs)
