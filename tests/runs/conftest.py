from __future__ import annotations

from pathlib import Path

import pytest

from groundup.course.material.unit import Unit
from tests.runs.sample_unit import write_unit


@pytest.fixture
def unit(tmp_path: Path) -> Unit:
    """The sample unit, in a stack of its own."""
    return write_unit(tmp_path / "stack")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A learner's folder; runs in it are not handed to MLflow."""
    monkeypatch.setenv("GROUNDUP_MLFLOW", "off")
    return tmp_path / "learner"
