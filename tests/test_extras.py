"""What is not installed is said in one voice, with the command that installs it where groundup is."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import pytest

from groundup import extras
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.imports import optional_packages
from groundup.errors import MissingPackage

ROOT = Path(__file__).parents[1]


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No package of an extra is installed."""
    for module in extras.optional():
        monkeypatch.setitem(sys.modules, module, None)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, nothing: None) -> pytest.MonkeyPatch:
    """groundup is not run from a checkout, and pip is on the path."""
    monkeypatch.setattr(extras, "_checkout", lambda: None)
    monkeypatch.setattr(extras, "pip_install", lambda: "pip install")
    return monkeypatch


def installed_from(monkeypatch: pytest.MonkeyPatch, origin: dict[str, object] | None) -> None:
    class Here:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return json.dumps(origin) if origin else None

    extras.extras()  # from the real metadata
    monkeypatch.setattr(extras, "distribution", lambda name: Here())


def test_the_extras_are_those_of_the_project_each_with_its_size_and_the_modules_can_be_imported() -> None:
    declared = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras.extras()) == set(declared["optional-dependencies"]) == set(extras.SEE)
    assert len(extras.core()) == len(declared["dependencies"])
    assert extras.missing(extras.core() | extras.optional()) == [], "or extras.MODULES lacks a name"


def test_the_smallest_extra_that_has_all_is_the_one_to_install() -> None:
    assert extras.extras_with([]) == []
    assert extras.extras_with(["numba"]) == ["classical"]
    assert extras.extras_with(["numba", "duckdb"]) == ["copilot"]
    assert extras.extras_with(["numba", "torch"]) == ["classical", "deep"]
    assert extras.extras_with(["numba", "torch", "pypdf"]) == ["deep", "retrieval"], "retrieval brings classical's"


@pytest.mark.usefixtures("nothing")
def test_in_a_checkout_the_command_is_uvs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(extras, "_checkout", lambda: ROOT)
    monkeypatch.chdir(ROOT / "tests")
    with pytest.raises(MissingPackage) as one:
        extras.need("deep/attention", "numpy", "torch")
    assert str(one.value) == (
        "deep/attention needs torch, which is not installed. Install it with: uv sync --inexact --extra deep"
    )
    with pytest.raises(MissingPackage) as several:
        extras.need("It", "torch", "Stemmer", "numba")
    assert str(several.value) == (
        "It needs torch, pystemmer and numba, which are not installed. "
        "Install them with: uv sync --inexact --extra deep --extra retrieval"
    )
    monkeypatch.chdir(tmp_path)
    assert extras.install_command("deep") == f'uv sync --project "{ROOT}" --inexact --extra deep'
    assert extras.need("It", "numpy") is None


def test_the_checkout_is_known_by_the_environment_that_uv_keeps_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_PROJECT_ENVIRONMENT", raising=False)
    monkeypatch.setattr(sys, "prefix", str(ROOT / ".venv"))
    assert extras._checkout() == ROOT  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(sys, "prefix", str(ROOT / "elsewhere"))
    assert extras._checkout() is None  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", "elsewhere")
    assert extras._checkout() == ROOT  # pyright: ignore[reportPrivateUsage]


def test_elsewhere_the_command_is_pips_and_names_where_groundup_came_from(
    elsewhere: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheel = tmp_path / "a folder" / "groundup-0.1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    installed_from(elsewhere, {"url": wheel.as_uri(), "archive_info": {}})
    assert extras.install_command("deep") == f'pip install "{wheel}[deep]"'
    installed_from(elsewhere, {"url": tmp_path.as_uri(), "dir_info": {"editable": True}})
    assert extras.install_command("deep", "retrieval") == f'pip install -e "{tmp_path}[deep,retrieval]"'
    url = "https://git.example/groundup.git"
    installed_from(elsewhere, {"url": url, "vcs_info": {"vcs": "git", "commit_id": "abc"}})
    assert extras.install_command("deep") == f'pip install "groundup[deep] @ git+{url}@abc"'


@pytest.mark.parametrize("origin", [None, {"url": "file:///nowhere/groundup-0.1.0-py3-none-any.whl"}])
def test_where_groundup_cannot_be_had_again_the_packages_themselves_are_named(
    origin: dict[str, object] | None, elsewhere: pytest.MonkeyPatch
) -> None:
    installed_from(elsewhere, origin)
    assert extras.install_command("deep") == 'pip install "pillow>=11.0" "torch>=2.6"'
    elsewhere.setitem(sys.modules, "numba", sys)
    command = extras.install_command("retrieval")
    assert command.startswith('pip install "chromadb>=')
    assert '"pystemmer>=' in command
    assert "numba" not in command, "it is installed"
    assert "groundup" not in command


def test_pip_is_named_as_the_environment_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert extras.pip_install() == f'uv pip install --python "{sys.prefix}"'
    monkeypatch.setattr(extras, "find_spec", lambda name: object())
    monkeypatch.setattr(extras.shutil, "which", lambda name: str(Path(sys.executable).with_name(name)))
    assert extras.pip_install() == "pip install"
    monkeypatch.setattr(extras.shutil, "which", lambda name: "/usr/bin/pip3")
    assert extras.pip_install() == f'"{sys.executable}" -m pip install'


def test_a_unit_needs_what_its_files_import_and_no_more() -> None:
    units = Catalogue().units
    assert units["bedrock/vectors"].packages == units["retrieval/rag"].packages == ()
    assert units["deep/attention"].packages == ("torch",)
    assert units["deep/attention"].extras == ["deep"]
    assert units["retrieval/vector_search"].packages == ("numba",)
    ingestion = units["retrieval/ingestion"]
    assert {"chromadb", "pypdf", "onnxruntime"} <= set(ingestion.packages)
    assert "numba" not in ingestion.packages
    assert ingestion.extras == ["retrieval"]


def test_what_a_unit_imports_of_another_one_counts_wherever_either_is(tmp_path: Path) -> None:
    stack = tmp_path / "stack"
    for name, text in {
        "first": "def lazy():\n    import pypdf\n",
        "second": "from groundup.stack.later import first\nimport numpy",
        "third": '"""\nimport torch\n"""\nfrom groundup.stack.retrieval import vector_search',
        "fourth": "from . import other",
    }.items():
        folder = stack / "later" / name
        folder.mkdir(parents=True)
        folder.joinpath("__init__.py").write_text(text, encoding="utf-8")
    needed = {path.name: optional_packages(path, f"groundup.stack.later.{path.name}") for path in stack.glob("*/*")}
    assert needed == {"first": ("pypdf",), "second": ("pypdf",), "third": ("numba",), "fourth": ()}
