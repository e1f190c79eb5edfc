"""Rules of a unit's place among the others: catalogue, needs, roadmaps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from groundup.course.author.rules.about import about
from groundup.course.author.rules.code import imported, unit_of
from groundup.course.material.catalogue import STACK, Catalogue
from groundup.course.material.roadmaps import Section, Track, load_tracks
from groundup.course.material.unit import Unit, load_unit
from groundup.errors import UnknownName

READERS = ("checks.py", "mistakes.py", "labs.py", "figures.py")


@about("unit.toml")
def entry(unit: Unit) -> Iterator[str]:
    """The catalogue has the unit, under the same title."""
    titles = {entry.id: entry.title for entry in Catalogue().entries}
    if unit.id not in titles:
        yield f"unit.toml: the catalogue has no unit {unit.id}; add its line to course/material/catalogue.toml."
    elif titles[unit.id] != unit.title:
        yield f"unit.toml: title is '{unit.title}', in the catalogue '{titles[unit.id]}'; they must agree."


@about("unit.toml")
def needs(unit: Unit) -> Iterator[str]:
    """`needs` covers the imports of the implementation and has no circle, and no file imports a later unit."""
    file = unit.implementation.name
    for name, line in imported(unit, file):
        needed = unit_of(name)
        if needed and needed != unit.id and needed not in unit.needs:
            yield f"{file}:{line}: imports {needed}, which `needs` in unit.toml does not name."
    for needed in unit.needs:
        if _unit(unit, needed) is None:
            yield f"unit.toml: needs {needed}, which is not in the stack."
        elif _later(unit.id, needed):
            yield f"unit.toml: needs {needed}, which comes later in the catalogue."
    for circle in _circles(unit, (unit.id,)):
        yield f"unit.toml: needs go in a circle: {' → '.join(circle)}."
    for companion in READERS:
        for name, line in imported(unit, companion):
            if (needed := unit_of(name)) and needed != unit.id and _later(unit.id, needed):
                yield f"{companion}:{line}: imports {needed}, which comes later in the catalogue."


def _unit(asker: Unit, unit_id: str) -> Unit | None:
    """A unit of the asker's own stack, or of the built-in stack."""
    for stack in (asker.folder.parent.parent, STACK):
        if (stack / unit_id / "unit.toml").exists():
            return load_unit(stack / unit_id)
    return None


def _circles(unit: Unit, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The ways from a unit over its needs back to the first of the path."""
    for unit_id in unit.needs:
        if unit_id == path[0]:
            yield (*path, unit_id)
        elif unit_id not in path and (needed := _unit(unit, unit_id)) is not None:
            yield from _circles(needed, (*path, unit_id))


@cache
def _places() -> dict[str, int]:
    return {entry.id: place for place, entry in enumerate(Catalogue().entries)}


def _later(unit_id: str, other: str) -> bool:
    """Whether `other` comes after the unit; a unit that the catalogue lacks has no place yet."""
    places = _places()
    return unit_id in places and other in places and places[other] > places[unit_id]


@about("unit.toml")
def roadmap(unit: Unit) -> Iterator[str]:
    """The unit answers to items that exist, and they name it."""
    if not unit.roadmap:
        yield "unit.toml: at least one [[roadmap]] entry (document and item); there is none."
    tracks = {track.document: track for track in load_tracks().values()}
    for wanted in unit.roadmap:
        where = f"unit.toml: [[roadmap]] {wanted.document} {wanted.item}"
        track = tracks.get(wanted.document)
        if track is None:
            yield f"{where}: there is no such document; there are {', '.join(tracks)}."
        elif wanted.item not in track.addresses:
            near = UnknownName(
                f"item in {track.document}", wanted.item, track.addresses, see=f"tracks/{track.name}.toml"
            )
            yield f"{where}: {near}"
        elif unit.id not in _named(track, wanted.item):
            yield f"{where}: tracks/{track.name}.toml does not name {unit.id} there."


def _named(track: Track, address: str) -> set[str]:
    """The units that an item, or a section's items, are tied to."""
    entry = track.addresses[address]
    items = entry.items if isinstance(entry, Section) else (entry,)
    return {unit for item in items for unit in track.units_of(item)}
