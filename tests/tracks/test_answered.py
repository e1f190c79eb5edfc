"""Every criterion, question, idea and exercise of the roads' first days is answered by something that a unit holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from groundup.course.material.catalogue import STACK
from groundup.course.material.roadmaps import load_track
from groundup.course.material.unit import load_unit

ANSWERED = tomllib.loads((Path(__file__).parent / "answered.toml").read_text(encoding="utf-8"))
ITEMS = [(track, item) for track, items in ANSWERED.items() for item in items]
EVENING = re.compile(
    r"journal|[Ss]ummarise the day|still unclear|Plan tomorrow|seven steps of the workflow down|concepts below"
)
LOOKING_BACK = re.compile(r"your notes|the gaps|ground for them is laid")


def asked(track: str, item_id: str) -> list[str]:
    """What the item asks of its reader; what the evening's journal page holds by itself is left out."""
    item = next(item for section in load_track(track).sections for item in section.items if item.id == item_id)
    texts = [*item.concepts, *item.build, *item.criteria, *item.questions]
    texts += [scenario.title for scenario in item.scenarios]
    texts += [step for part in item.parts for step in part.steps]
    return [text for text in texts if not EVENING.search(text) and not LOOKING_BACK.search(text)]


def held(name: str) -> dict[str, list[str]]:
    """What a unit holds, by kind."""
    (folder,) = STACK.glob(f"*/{name}")
    unit = load_unit(folder)
    lesson = (folder / "lesson.md").read_text(encoding="utf-8")
    return {
        "criterion": list(unit.criteria),
        "write": list(unit.write),
        "card": [card["id"] for card in tomllib.loads((folder / "cards.toml").read_text(encoding="utf-8"))["card"]],
        "heading": re.findall(r"^#{2,} (.*)$", lesson, re.MULTILINE),
        "question": re.findall(r"^:{3,}\{dropdown\} (.*)$", lesson, re.MULTILINE),
        "figure": re.findall(r"^`{3,}\{explorable\} (\S+)", lesson, re.MULTILINE),
        "lab": re.findall(r"@lab\([^@]*?\)\ndef (\w+)", (folder / "labs.py").read_text(encoding="utf-8"), re.DOTALL),
    }


@pytest.mark.parametrize(("track", "item"), ITEMS, ids=[f"{track}-{item}" for track, item in ITEMS])
def test_everything_that_the_first_days_ask_has_an_answer(track, item):
    answers = ANSWERED[track][item]
    for text in asked(track, item):
        assert [start for start in answers if text.startswith(start)], f"nothing answers {text!r}"
    for start in answers:
        assert [text for text in asked(track, item) if text.startswith(start)], f"{start!r} is not asked"


@pytest.mark.parametrize(("track", "item"), ITEMS, ids=[f"{track}-{item}" for track, item in ITEMS])
def test_the_answers_are_there(track, item):
    for start, answers in ANSWERED[track][item].items():
        assert answers, start
        for answer in answers:
            unit, kind, name = answer.split(" ", 2)
            assert [thing for thing in held(unit)[kind] if thing.startswith(name)], f"{start}: there is no {answer}"


def test_all_of_the_first_eight_days_is_held():
    assert [f"D{day}" for day in range(1, 9)] == list(ANSWERED["devops"])
