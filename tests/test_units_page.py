"""docs/units.md says what the rules hold, in their own numbers and names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from groundup.course.author import verify
from groundup.course.author.rules import budget, code, companions, lesson

PAGE = (Path(__file__).parents[1] / "docs" / "units.md").read_text(encoding="utf-8")
PARTS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE))
ROWS = {
    row[0]: row[1:]
    for line in PARTS["Budgets"].splitlines()
    if len(row := [cell.strip() for cell in line.strip("|").split("|")]) == 4 and row[1].isdigit()
}


def test_the_budgets_are_the_rules() -> None:
    assert {name: int(lines) for name, (lines, *_) in ROWS.items()} == budget.FILES
    assert {name: re.findall(r"\d[\d,]*\d|\d", f"{least} | {most}") for name, (_, least, most) in ROWS.items()} == {
        name: [f"{number:,}" for number in numbers]
        for name, numbers in {
            "implementation": (1, budget.WRITE),
            "checks": (companions.CHECKS, budget.CHECKS),
            "mistakes": (companions.MISTAKES, companions.VARIANTS, budget.MISTAKES, budget.MISTAKES_OF_ONE),
            "labs": (1,),
            "figures": (companions.FIGURES, budget.FIGURES),
            "lesson": (lesson.FEWEST_WORDS, lesson.QUESTIONS, lesson.MOST_WORDS),
            "cards": (companions.CARDS,),
            "unit": (companions.CRITERIA, companions.HINTS),
        }.items()
    }


@pytest.mark.parametrize("file", code.MAY_IMPORT)
def test_what_a_companion_may_import_is_what_the_page_says(file: str) -> None:
    sentence = re.search(r"Of groundup it imports (.*?)\.(?=\s)", PARTS[file], flags=re.DOTALL)
    assert sentence is not None
    assert set(re.findall(r"`(groundup\.\w+)`", sentence[1])) == set(code.MAY_IMPORT[file])


def test_the_keys_of_unit_toml_are_those_of_the_page() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PARTS["unit.toml"], flags=re.DOTALL)
    assert {key for key in re.findall(r"^\[*(\w+)", block, flags=re.MULTILINE)} >= companions.KEYS


def test_the_shares_of_verify_are_those_of_the_page() -> None:
    assert f"at least {verify.NAMED_SHARE:.0%}".replace("%", " %") in PARTS["checks.py"]
    assert f"{verify.KILLED_SHARE:.0%}".replace("%", " %") in PARTS["checks.py"]


def test_the_headings_and_presets_are_those_of_the_page() -> None:
    assert re.findall(r"`## ([^`]+)`", PARTS["lesson.md"]) == lesson.HEADINGS
    assert re.findall(r"presets `(\w+)`,\s+`(\w+)`\s+and\s+`(\w+)`", PARTS["labs.py"]) == [companions.PRESETS]
    assert f"at least {companions.SEEDS} seeds" in PARTS["labs.py"]
