"""docs/data.md, which two messages of `groundup.data` send the reader to."""

from __future__ import annotations

from pathlib import Path

from groundup.data.__main__ import page
from groundup.data.registry import REGISTRY

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def test_the_page_is_the_registry_and_is_renewed_by_its_command() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m groundup.data > docs/data.md"
    for entry in REGISTRY.values():
        row = next(line for line in page().splitlines() if line.startswith(f"| `{entry.name}` |"))
        assert row.replace("\\|", "").count("|") == 7, "a bar in a cell would make another column"
