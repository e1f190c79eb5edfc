"""Containers beside bash, tar and the files that this repository is deployed with."""

from __future__ import annotations

import io
import itertools
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from groundup.stack.production.containers import (
    Node,
    Run,
    apply,
    cache_keys,
    command,
    diff,
    ignored,
    interpolate,
    merge,
    pack,
    parse,
    start_times,
    unpack,
)
from groundup.stack.production.containers.labs import STACK

DEPLOY = Path(__file__).parents[2] / "deploy"


def compose() -> Any:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def test_the_dockerfile_of_this_repository_is_read() -> None:
    steps = parse((DEPLOY / "Dockerfile").read_text(encoding="utf-8"))
    assert [step.name for step in steps][:4] == ["ARG", "FROM", "ARG", "RUN"]
    assert {"from": "build"} in [step.flags for step in steps]
    assert command(steps, ["page"]) == ["system", "page"]
    assert command(steps) == ["system", "serve", "--host", "0.0.0.0", "--no-page"]


def test_a_change_of_code_installs_no_package_anew_there() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    files = {name: b"" for name in ("pyproject.toml", "uv.lock", "README.md", "LICENSE", "src/groundup/cli.py")}

    def again(text: str) -> list[str]:
        steps = parse(text)
        before = cache_keys(steps, files)
        after = cache_keys(steps, {**files, "src/groundup/cli.py": b"new"})
        assert cache_keys(steps, {**files, "docs/units.md": b"new"}) == before
        return [step.text for step, key in zip(steps, after, strict=True) if key not in before]

    assert not any("requirements.txt" in step for step in again(text))
    copied_first = text.replace(
        "COPY pyproject.toml uv.lock ./", "COPY pyproject.toml uv.lock README.md LICENSE ./\nCOPY src ./src"
    )
    assert any("requirements.txt" in step for step in again(copied_first))


def test_the_context_of_this_repository_is_what_its_dockerfile_copies() -> None:
    rules = (DEPLOY.parent / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    for sent in ("pyproject.toml", "uv.lock", "README.md", "LICENSE", "src/groundup/cli.py"):
        assert not ignored(rules, sent), sent
    for kept in (
        ".git/config",
        ".venv/bin/python",
        "copilot.duckdb",
        ".env",
        "src/groundup/__pycache__/a.pyc",
        "tests/a.py",
    ):
        assert ignored(rules, kept), kept


def test_the_stack_of_this_repository_starts_in_order() -> None:
    services = compose()["services"]
    assert {name: body.get("depends_on", []) for name, body in services.items()} == {
        name: body.get("depends_on", []) for name, body in STACK.items()
    }
    slow = {name: Run(healthy=60.0) for name in services}
    assert start_times(services, slow) == dict.fromkeys(services, 0.0)
    healthy = {
        "services": {
            "api": {"depends_on": {"chroma": {"condition": "service_healthy"}}},
            "page": {"depends_on": {"api": {"condition": "service_healthy"}}},
            "chroma": {"healthcheck": {"test": ["CMD", "true"]}},
        }
    }
    merged = merge(compose(), healthy)["services"]
    assert merged["api"]["depends_on"] == {
        "chroma": {"condition": "service_healthy"},
        "ollama": {"condition": "service_started"},
    }
    assert start_times(merged, slow) == {"api": 60.0, "page": 120.0, "chroma": 0.0, "ollama": 0.0}
    token = services["api"]["environment"]["GROUNDUP_TOKEN"]
    assert interpolate(token, {"GROUNDUP_TOKEN": "x"}) == "x"
    with pytest.raises(ValueError, match="Set it to a secret of your own"):
        interpolate(token, {})


def test_the_lessons_compose_file_starts_its_database_first() -> None:
    yaml = pytest.importorskip("yaml")
    import groundup.stack.production.containers as unit

    text = (Path(unit.__path__[0]) / "lesson.md").read_text(encoding="utf-8")
    services = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])["services"]
    assert start_times(services, {"chroma": Run(healthy=7.0)}) == {"api": 7.0, "chroma": 0.0}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_variables_are_those_of_the_shell() -> None:
    environment = {"SET": "s", "EMPTY": ""}
    inner = ["d", "", "${SET}", "${EMPTY:-e}", "${NO-n}", "${NO:-${SET:+p}}"]
    texts = ["$SET x", "${EMPTY}y", "${NO}z", "a$NO"] + [
        f"<${{{name}{operator}{other}}}>"
        for name, operator, other in itertools.product(["SET", "EMPTY", "NO"], [":-", "-", ":+", "+"], inner)
    ]
    script = "\n".join(f'printf "%s\\n" "{text}"' for text in texts)
    done = subprocess.run(
        ["bash", "-c", script], env={**environment, "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    assert [interpolate(text, environment) for text in texts] == done.stdout.splitlines()


@pytest.mark.skipif(shutil.which("tar") is None, reason="tar is not installed")
def test_a_packed_tree_is_what_tar_extracts(tmp_path: Path) -> None:
    tree = {
        "bin": Node("dir", mode=0o755),
        "bin/run": Node("file", b"#!/bin/sh\n", 0o755),
        "bin/" + "long" * 40: Node("file", b"x" * 1000),
        "current": Node("link", b"bin/run"),
        "ünïcode": Node("file", b""),
    }
    (tmp_path / "layer.tar").write_bytes(pack(tree))
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "layer.tar", "-C", out], check=True)
    assert (out / "bin/run").read_bytes() == b"#!/bin/sh\n"
    assert (out / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (out / "current").readlink() == Path("bin/run")
    again = io.BytesIO()
    with tarfile.open(fileobj=again, mode="w") as archive:
        archive.add(out, arcname=".")
    read = unpack(again.getvalue())
    assert {path: (node.kind, node.data) for path, node in read.items()} == {
        path: (node.kind, node.data) for path, node in tree.items()
    }


def test_dockers_own_cases_of_patterns() -> None:
    # The cases of moby/patternmatcher that do not depend on a slash behind the path.
    for pattern, path, expected in [
        ("**", "file", True), ("**/", "dir/file", True), ("**/**", "dir/file", True), ("dir/**", "dir/dir2/file", True),
        ("**/dir", "dir/file", True), ("**/dir2/*", "dir/dir2/file", True), ("**file", "dir/dir/file", True),
        ("**/file*.txt*", "dir/dir/file.txt", True), ("**/**/*.txt2", "dir/dir/file.txt", False),
        ("a**/*.txt", "a/dir/dir/file.txt", True), ("a/*.txt", "a/dir/file.txt", False),
        ("a/*.txt**", "a/file.txt", True),
        ("a[b-d]e", "ae", False), ("a[^b-d]e", "aze", True), (".*", "foo", False), ("abc.def", "abcZdef", False),
        ("abc?def", "abcdef", False), ("**/foo/bar", "dir/dir2/foo/bar", True), ("abc/**", "abc", False),
        ("**/.foo", "bar.foo", False), ("a(b)c/def", "a(b)c/def", True), ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
        ("a\\\\", "a\\", True), ("a*b*c*d*e*/f", "axbxcxdxexxx/f", True), ("a*", "ab/c", True),
        ("a*/b", "a/c/b", False),
        ("a*b?c*x", "abxbbxdbxebxczzy", False), ("a[^a]b", "a☺b", True), ("a???b", "a☺b", False), ("[a-ζ]*", "α", True),
        ("[\\]a]", "]", True), ("[x\\-]", "-", True), ("[x\\-]", "z", False), ("[\\-x]", "a", False),
        ("*x", "xxx", True),
    ]:  # fmt: skip
        assert ignored([pattern], path) == expected, (pattern, path)


def test_a_layer_is_applied_as_the_specification_says_for_both_forms_of_whiteouts() -> None:
    folder, empty = Node("dir", mode=0o755), Node("file")
    names = ["bin/my-app-binary", "bin/my-app-tools", "bin/tools/my-app-tool-one"]
    lower = {"etc": folder, "etc/my-app-config": empty, "bin": folder, "bin/tools": folder}
    lower |= {name: Node("file", b"x") for name in names}
    explicit = {f"bin/.wh.{name}": empty for name in ("my-app-binary", "my-app-tools", "tools")}
    opaque = {"bin": folder, "bin/.wh..wh..opq": empty}
    upper = {"etc": folder, "etc/my-app-config": empty, "bin": folder}
    assert apply(lower, explicit) == apply(lower, opaque) == upper
    assert diff(lower, upper) == explicit
