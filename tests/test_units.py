"""Every unit of the release is whole: one suite over all of them, a test for each rule that only reads.

What has a unit's code run, its snippets and its figures at the ends of their controls, is proven by `groundup verify`.
"""

from __future__ import annotations

import pytest

from groundup.course.author.rules import STATIC, problems
from groundup.course.learner.figures import FigureWorker
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.unit import Unit

UNITS = Catalogue().units


@pytest.mark.parametrize("rule", STATIC)
@pytest.mark.parametrize("unit", UNITS.values(), ids=list(UNITS))
def test_a_unit_is_whole(unit: Unit, rule: str) -> None:
    """What is wrong stands in the message; docs/units.md says what a unit holds."""
    found = problems(unit, [rule])
    assert not found, "\n".join(found)


@pytest.mark.parametrize("unit", UNITS.values(), ids=list(UNITS))
def test_every_figure_is_drawn_by_default(unit: Unit) -> None:
    with FigureWorker() as worker:
        for figure in unit.figures:
            drawing = worker.draw(unit, figure.name)
            assert drawing["data"] or drawing["layout"].get("shapes"), figure.name


def test_every_folder_of_the_stack_is_a_unit_of_the_catalogue() -> None:
    """A unit that the catalogue does not name would be in no release, and no rule would see it."""
    catalogue = Catalogue()
    folders = {f"{path.parent.parent.name}/{path.parent.name}" for path in catalogue.stack.glob("*/*/unit.toml")}
    assert folders == set(catalogue.units)
