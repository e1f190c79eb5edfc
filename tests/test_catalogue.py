"""Names of units: in this release, planned, and wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundup.course.material.catalogue import Catalogue
from groundup.errors import UsageError
from tests.site.sample import write_sample_stack


def test_a_planned_unit_is_said_to_be_planned(tmp_path: Path) -> None:
    catalogue = Catalogue(write_sample_stack(tmp_path))
    assert list(catalogue.units) == ["bedrock/vectors"]
    assert catalogue.resolve("trees") == "classical/trees"
    with pytest.raises(UsageError, match="classical/trees is planned, not in this release"):
        catalogue.unit("trees")
