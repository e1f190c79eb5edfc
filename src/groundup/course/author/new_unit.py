"""The skeleton of a new unit: a small, whole unit, with an example in every file.

Every check passes, every figure draws and the lab runs. The rules of a whole unit (`groundup verify`) name the missing
parts, and each `TODO` that marks a part to replace.
"""

from __future__ import annotations

import keyword
from pathlib import Path

from groundup.course.material.catalogue import Catalogue, Phase
from groundup.course.material.roadmaps import load_tracks
from groundup.errors import UnknownName, UsageError, nearest

TEMPLATES = Path(__file__).with_name("templates") / "unit"


def new_unit(stack: Path, unit_id: str, title: str | None = None) -> Path:
    """Write the skeleton of a unit and return its folder.

    Args:
        stack: the folder of the phases.
        unit_id: `phase/unit`, as the catalogue has it.
        title: the unit's title; the catalogue's unless given.

    Raises:
        UsageError: the catalogue does not have the name, or the unit exists.
    """
    phase, name = _place(unit_id)
    folder = stack / phase.name / name
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"The unit {unit_id} exists: {folder}. Nothing was changed. Choose another name.")
    entry = next(entry for entry in phase.entries if entry.id == unit_id)
    words = {"phase": phase.name, "unit": name, "title": title or entry.title, "roadmap": _roadmap(unit_id)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        package = folder.parent / "__init__.py"
        if not package.exists():
            package.write_text(f'"""{phase.title}: {phase.summary}"""\n', encoding="utf-8")
        for template in sorted(TEMPLATES.iterdir()):
            file = template.name.removesuffix(".template").replace("implementation", name)
            (folder / file).write_text(_filled(template, words), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}. Give another folder with --stack.") from error
    return folder


def _place(unit_id: str) -> tuple[Phase, str]:
    """The phase and the name of a unit that may be written. Raises UsageError."""
    catalogue = Catalogue()
    phases = {phase.name: phase for phase in catalogue.phases}
    ids = [entry.id for entry in catalogue.entries]
    phase, slash, name = unit_id.partition("/")
    if not slash:
        near = nearest(unit_id, ids)
        hint = f"Did you mean {' or '.join(near)}?" if near else "For example: classical/trees."
        raise UsageError(f"'{unit_id}' must be PHASE/UNIT. {hint}")
    if phase not in phases:
        raise UnknownName("phase", phase, phases)
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower() or name.startswith("_"):
        raise UsageError(
            f"A unit's name must be a Python identifier in lower case, such as bag_of_words, not '{name}'."
        )
    if unit_id not in ids:
        near = nearest(name, [entry.id.partition("/")[2] for entry in phases[phase].entries])
        hint = f"Did you mean {' or '.join(near)}?" if near else "`groundup map --all` lists its units."
        raise UsageError(
            f"The catalogue has no unit {unit_id}. {hint} "
            "Give a new unit its line in course/material/catalogue.toml and its place in a track first."
        )
    return phases[phase], name


def _roadmap(unit_id: str) -> str:
    """The items of the roadmaps that name the unit, as entries of unit.toml."""
    return "".join(
        f'\n[[roadmap]]\ndocument = "{track.document}"\nitem = "{item.id}"\n'
        for track in load_tracks().values()
        for item in track.items
        if unit_id in item.units
    )


def _filled(template: Path, words: dict[str, str]) -> str:
    text = template.read_text(encoding="utf-8")
    for name, word in words.items():
        text = text.replace(f"{{{{{name}}}}}", word)
    return text.rstrip() + "\n"
