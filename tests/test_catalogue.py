"""Names of units: in this release, planned, and wrong."""

from __future__ import annotations

from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from groundup.course.course import Course
from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import Catalogue
from groundup.errors import UsageError
from tests.conftest import Ran
from tests.site.sample import write_sample_stack


def test_a_planned_unit_is_said_to_be_planned(tmp_path: Path) -> None:
    catalogue = Catalogue(write_sample_stack(tmp_path))
    assert list(catalogue.units) == ["bedrock/vectors"]
    assert catalogue.resolve("trees") == "classical/trees"
    with pytest.raises(UsageError, match="classical/trees is planned, not in this release"):
        catalogue.unit("trees")


def test_every_unit_comes_after_those_that_it_stands_on() -> None:
    catalogue = Catalogue()
    assert catalogue.stands_on("deep/attention") == ["deep/training"]
    assert catalogue.stands_on("deep/vit") == ["deep/convolution", "deep/attention"]
    TopologicalSorter({entry.id: catalogue.stands_on(entry.id) for entry in catalogue.entries}).prepare()
    alone = [entry.id for entry in catalogue.entries if not catalogue.stands_on(entry.id)]
    assert alone == ["bedrock/vectors", "bedrock/probability", "classical/framing", "retrieval/ingestion"]


def test_what_a_lesson_stands_on_is_said_when_it_is_begun(groundup: Callable[..., Ran]) -> None:
    assert "stands on" not in groundup("start", "vectors").out
    assert "Its lesson stands on bedrock/vectors, which you have not passed yet." in groundup("start", "autograd").out
    assert "stands on" not in groundup("start", "autograd").out, "it is there already"


def test_the_next_units_are_those_whose_foundations_have_passed(tmp_path: Path) -> None:
    with Course(Workspace(tmp_path)) as course:
        names = [entry.id for entry in course.next_up()]
    assert names[:4] == ["bedrock/vectors", "bedrock/probability", "classical/framing", "retrieval/ingestion"]
