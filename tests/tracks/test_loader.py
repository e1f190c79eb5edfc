"""The loader of `tracks/*.toml`: what it reads, and the one clear line for each rule that a file can break."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundup.course.material.roadmaps import Duration, load_track, track_names
from groundup.errors import ConfigError, UnknownName

HEAD = 'document = "9"\ntitle = "T"\naudience = "A"\nabout = "B"\nhours_per_week = 5\n'
RESOURCES = '[film]\ntitle = "A Film"\nauthor = "Someone"\nkind = "video"\nminutes = 9\n'


def write(folder: Path, items: str, *, resources: str = RESOURCES, head: str = HEAD) -> Path:
    (folder / "resources.toml").write_text(resources, encoding="utf-8")
    section = '[[sections]]\nid = "S"\nkind = "week"\ntitle = "W"\n'
    (folder / "mine.toml").write_text(head + section + items, encoding="utf-8")
    return folder


def item(text: str, name: str = "I1") -> str:
    return f'[[sections.items]]\nid = "{name}"\ntitle = "t"\n{text}\n'


def test_a_track_is_read_whole(tmp_path: Path) -> None:
    part = '[[sections.items.parts]]\nname = "Morning"\nminutes = [120, 180]\nresources = ["film"]\n'
    pieces = item("minutes = 30") + part + item('part_of = "I1"', "I2")
    track = load_track("mine", write(tmp_path, pieces))
    first, second = track.items
    assert (track.name, track.document, first.id, first.time) == ("mine", "9", "I1", Duration(30, 30, False))
    assert first.parts[0].time == (time := Duration(120, 180, False))
    assert time.minutes == 150
    assert [r.title for r in track.all_resources] == ["A Film"]
    assert (second.part_of, second.time.minutes) == ("I1", 0)
    assert set(track.addresses) == {"S", "I1", "I2"}
    assert track.item("I2") is second


def test_an_estimate_is_marked_as_one(tmp_path: Path) -> None:
    assert load_track("mine", write(tmp_path, item("estimate = [60, 90]"))).items[0].time == Duration(60, 90, True)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (item(""), r"mine\.toml: item I1: give either `minutes` .* or `estimate`, got neither"),
        (item("minutes = 3\nestimate = 4"), r"item I1: give either .* got minutes and estimate"),
        (item("minutes = [90, 60]"), r"item I1: minutes must be .* range \[low, high\], got \[90, 60\]"),
        (item("minutes = -1"), r"item I1: minutes must be a whole number of minutes .* got -1"),
        (item("minutes = 1.5"), r"item I1: minutes must be a whole number of minutes .* got 1\.5"),
        (item("minutes = 9\nunit = ['a/b']"), r"item I1: 'unit' is not a key that it may have\. Keys: id, title"),
        (item("minutes = 9\nunits = 'a/b'"), r"item I1: 'units' must be a list of texts, got 'a/b'"),
        (item("minutes = 9\nabout = 3"), r"item I1: 'about' must be a text, got 3"),
        ("[[sections.items]]\nid = 'X'\nminutes = 9", r"item X: 'title' is missing"),
        (item("minutes = 9") + item("minutes = 9"), r"the id 'I1' is given twice"),
        (item("minutes = 9", "S"), r"the id 'S' is given twice"),
        (item("part_of = 'later'") + item("minutes = 9", "later"), r"item I1: part_of = 'later' must name an item"),
        ("=", r"mine\.toml is not valid TOML"),
    ],
)
def test_a_broken_rule_is_one_clear_line(tmp_path: Path, items: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_track("mine", write(tmp_path, items))


def test_an_unknown_resource_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"resource for item I1 \(mine\.toml\) called 'flim'.* Did you mean film"):
        load_track("mine", write(tmp_path, item("minutes = 9\nresources = ['flim']")))


def test_a_resource_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"resource film: kind must be one of video, book, .* got 'opera'"):
        load_track("mine", write(tmp_path, "", resources=RESOURCES.replace("video", "opera")))


def test_names_are_listed_and_a_wrong_one_suggests_the_nearest() -> None:
    assert track_names()[0] == "devops"
    with pytest.raises(UnknownName, match=r"no track called 'devop'\. Did you mean devops"):
        load_track("devop")
    with pytest.raises(UnknownName, match=r"no item in the track devops called 'D99'"):
        load_track("devops").item("D99")


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (Duration(9, 9, False), "9 min"),
        (Duration(120, 180, False), "2–3 h"),
        (Duration(150, 150, True), "about 2.5 h"),
        (Duration(60, 90, True), "about 60–90 min"),
        (Duration(4800, 4800, True), "about 80 h"),
    ],
)
def test_a_duration_is_written_for_people(time: Duration, text: str) -> None:
    assert str(time) == text
