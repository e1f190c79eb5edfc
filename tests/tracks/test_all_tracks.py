"""What holds for all tracks: every name exists, every unit is reached."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from groundup import systems
from groundup.cli import cli
from groundup.course.material import roadmaps
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.roadmaps import Track, load_tracks

TRACKS = load_tracks()
CATALOGUE = Catalogue()


def test_there_is_one_track_for_each_document() -> None:
    assert [track.document for track in TRACKS.values()] == ["000", "001", "002", "003", "004"]


@pytest.mark.parametrize("track", TRACKS.values(), ids=list(TRACKS))
def test_every_unit_and_system_named_exists(track: Track) -> None:
    units = {entry.id for entry in CATALOGUE.entries}
    systems = {system.name for system in CATALOGUE.systems}
    assert {unit for item in track.items for unit in item.units} <= units
    assert {unit for note in track.notes for unit in note.units} <= units
    assert {system for item in track.items for system in item.systems} <= systems


def test_every_unit_and_every_system_is_reached_by_a_track() -> None:
    reached = {unit for track in TRACKS.values() for unit in track.units}
    assert {entry.id for entry in CATALOGUE.entries} == reached
    reached = {system for track in TRACKS.values() for item in track.items for system in item.systems}
    assert {system.name for system in CATALOGUE.systems} == reached


def test_what_is_there_of_the_systems_is_shown_by_a_command_that_exists() -> None:
    there = {path.parent.name for path in Path(systems.__file__).parent.glob("*/__init__.py")}
    assert {system.name for system in CATALOGUE.systems if system.see} == there
    for system in CATALOGUE.systems:
        command: click.Command = cli
        for word in system.see.split()[1:]:
            assert isinstance(command, click.Group)
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"{system.name}: {system.see}"
            command = found


def test_every_resource_of_the_shelf_is_used() -> None:
    shelf = roadmaps._resources(roadmaps.FOLDER / "resources.toml")
    assert set(shelf) == {resource.id for track in TRACKS.values() for resource in track.all_resources}


def test_every_resource_has_an_address_and_a_search_says_that_it_is_one() -> None:
    resources = {r.id: r for track in TRACKS.values() for r in track.all_resources}
    for resource in resources.values():
        assert resource.link.startswith("https://"), resource.id
        assert (resource.link == resource.url) == bool(resource.url)
        if not resource.url:
            assert "search_query=" in resource.link or "duckduckgo.com/?q=" in resource.link
    assert sum(not r.url for r in resources.values()) <= 8, "nearly all lead to their own page"
