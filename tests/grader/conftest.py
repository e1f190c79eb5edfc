"""One warm grader for all tests of it, and a unit small enough to see through."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.course.grader import Grader
from groundup.course.unit import Unit, load_unit

# A stack of its own: its checks are for the grader, not for this run of pytest.
collect_ignore = ["stack"]
SUMS = Path(__file__).parent / "stack" / "bedrock" / "sums"


@pytest.fixture(scope="session")
def grader() -> Iterator[Grader]:
    with Grader(workers=2) as shared:
        shared.warm("numpy")
        yield shared


@pytest.fixture(scope="session")
def unit() -> Unit:
    return load_unit(SUMS)


@pytest.fixture(scope="session")
def reference(unit: Unit) -> str:
    return unit.implementation.read_text(encoding="utf-8")
