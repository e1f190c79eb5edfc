"""The deployment, as far as it can be checked without a cluster: it fits the API's schema, its commands exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import yaml

from groundup.cli.copilot import copilot_command
from groundup.systems.copilot.sources.cluster import connect
from groundup.systems.copilot.sources.collect import collect
from tests.systems.copilot.apiserver import START, Container, event, serve
from tests.systems.manifests import KINDS, misfits

DEPLOY = Path(__file__).parents[3] / "deploy"


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield path.name, document


def only(kind: str) -> dict[str, Any]:
    (found,) = [one for _, one in manifests() if one["kind"] == kind]
    return found


def test_the_manifests_fit_the_schema_of_kubernetes():
    seen = set()
    for name, document in manifests():
        if document["kind"] == "Kustomization":
            continue
        seen.add(document["kind"])
        assert misfits(document, KINDS[document["kind"]], name) == []
    assert seen == set(KINDS)


def test_the_check_of_the_schema_finds_what_is_wrong():
    deployment = only("Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["imag"] = "x"
    deployment["spec"]["replicas"] = "one"
    found = misfits(deployment, "V1Deployment", "d")
    assert found == [
        "d.spec.replicas must be of type int, and is 'one'",
        "d.spec.template.spec.containers[0].imag is unknown",
    ]


def test_the_kustomization_names_the_other_manifests():
    resources = set(only("Kustomization")["resources"])
    files = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")}
    assert resources == files - {"kustomization.yaml", "secret.example.yaml"}


def test_the_role_allows_exactly_what_the_collector_asks_for(tmp_path: Path):
    with serve() as api:
        pod = api.pod("checkout-1", [Container("web")])
        api.events.append(event("checkout-1", START))
        pod.containers[0].now.write(START, "INFO hello")
        cluster = connect(api.kubeconfig(tmp_path / "config"), wait=lambda seconds: True)
        collect(tmp_path / "copilot.duckdb", cluster)
        asked = {resource(path) for path, _ in api.requests}
    (rule,) = only("ClusterRole")["rules"]
    assert rule["apiGroups"] == [""]
    assert rule["verbs"] == ["get", "list"]
    assert asked == {("list", "pods"), ("list", "events"), ("get", "pods/log")}
    assert {name for _, name in asked} == set(rule["resources"])
    assert set(rule) == {"apiGroups", "resources", "verbs"}


def resource(path: str) -> tuple[str, str]:
    """The verb and the resource that the API server's authorisation sees for a GET."""
    rest = re.sub(r"^/api/v1/(namespaces/[^/]+/)?", "", path).split("/")
    return ("list", rest[0]) if len(rest) == 1 else ("get", "/".join([rest[0], *rest[2:]]))


def test_only_the_collector_is_given_the_token_of_the_cluster():
    spec = only("Deployment")["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert only("ServiceAccount")["automountServiceAccountToken"] is False
    mounted = [
        one["name"]
        for one in spec["containers"]
        if any("serviceaccount" in mount["mountPath"] for mount in one["volumeMounts"])
    ]
    assert mounted == ["collector"]


def test_containers_run_without_privileges_and_ask_for_the_token():
    spec = only("Deployment")["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    for one in spec["containers"]:
        assert one["securityContext"]["readOnlyRootFilesystem"] is True
        assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    api = spec["containers"][0]
    assert [one["name"] for one in api["env"]] == ["GROUNDUP_TOKEN"]


def commands() -> list[list[str]]:
    pod = only("Deployment")["spec"]["template"]["spec"]["containers"]
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    docker = re.search(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert docker is not None
    return [
        *(one["args"] for one in pod),
        *(one["command"] for one in services.values() if "command" in one),
        yaml.safe_load(docker[1]),
    ]


def test_every_command_of_the_deployment_is_one_that_the_copilot_takes():
    assert isinstance(copilot_command, click.Group)
    assert len(commands()) == 6
    for name, *arguments in commands():
        copilot_command.commands[name].make_context(name, list(arguments))


def test_compose_publishes_on_loopback_only_and_needs_a_token():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    assert set(services) == {"api", "page", "chroma", "ollama"}
    for one in services.values():
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ()))
    assert services["api"]["environment"]["GROUNDUP_TOKEN"].startswith("${GROUNDUP_TOKEN:?")
    assert "environment" not in services["page"], "beyond loopback people are asked for the token"
    assert services["chroma"]["image"] == f"chromadb/chroma:{version('chromadb')}"
    assert set(compose["volumes"]) == {"store", "knowledge", "models"}


def test_the_image_is_made_of_files_that_are_there():
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        *sources, _ = line.split()
        for source in sources:
            assert (DEPLOY.parent / source).exists(), source
    assert re.search("^ARG SYSTEM=copilot$", text, re.MULTILINE)
    assert "USER 10001" in text
