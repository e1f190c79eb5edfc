"""The site on a sample stack, with a stand-in for the grader's processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from groundup.course.course import Course
from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.unit import Unit
from groundup.course.verdict import CheckResult, Verdict, sha256_text
from groundup.site import create_app
from tests.site.sample import write_sample_stack

HOST = "http://127.0.0.1:4400"


@dataclass
class PretendGrader:
    """Passes what contains `return`, so that a page's part in a verdict can be tested without processes."""

    graded: list[str] = field(default_factory=list)
    warmed: list[str] = field(default_factory=list)

    def warm(self, runtime: str) -> None:
        self.warmed.append(runtime)

    def grade(
        self,
        unit: Unit,
        source: str,
        *,
        overlay: Mapping[str, str] | None = None,
        on_results: Callable[[Verdict], None] = lambda verdict: None,
    ) -> Verdict:
        self.graded.append(source)
        good = "return" in source
        check = (
            CheckResult("test_dot_by_hand", "passed")
            if good
            else CheckResult(
                "test_dot_by_hand",
                "failed",
                "dot([1, 2], [3, 4]) is <11>",
                "vectors.py:8",
                "You forgot to `return` it.",
            )
        )
        verdict = Verdict(
            unit.id,
            "passed" if good else "failed",
            (check,),
            code_sha256=sha256_text(source),
            checks_sha256=unit.checks_sha256,
        )
        if not good:
            on_results(dataclasses.replace(verdict, checks=(dataclasses.replace(check, diagnosis=""),)))
        return verdict

    def close(self) -> None:
        pass


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Course]:
    """A course of one unit in a workspace that does not exist yet."""
    catalogue = Catalogue(write_sample_stack(tmp_path / "stack"))
    with Course(Workspace(tmp_path / "learner"), catalogue=catalogue) as course:
        course.__dict__["grader"] = PretendGrader()
        yield course


@pytest.fixture
def client(course: Course) -> Iterator[TestClient]:
    """A browser's view of the site."""
    with TestClient(create_app(course), base_url=HOST, follow_redirects=False) as client:
        yield client
