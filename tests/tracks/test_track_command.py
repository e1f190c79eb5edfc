"""`groundup track`: followed, shown, reported; and never a tick for what only a verdict can tick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from groundup.cli import cli
from groundup.course.material.catalogue import Catalogue
from groundup.course.material.tracks import load_tracks
from groundup.errors import UnknownName, UsageError


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GROUNDUP_WORKSPACE", str(tmp_path / "workspace"))
    return tmp_path / "workspace"


def track(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["track", *arguments])


def document(*arguments: str) -> Any:
    result = track(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_tracks_are_listed_with_the_followed_one_marked(workspace: Path) -> None:
    assert document()["chosen"] is None
    assert document()["tracks"][0]["name"] == "devops"
    assert not workspace.exists(), "looking creates nothing"
    track("mastery", "--start", "2026-11-30", "--hours", "5")
    assert document()["chosen"] == "mastery"
    assert "→ mastery" in track().output


def test_a_track_is_followed_from_a_day_at_a_pace() -> None:
    shown = document("devops", "--start", "2026-11-30", "--hours", "42")
    assert (shown["track"], shown["start"], shown["hours_per_week"], shown["followed"]) == (
        "devops",
        "2026-11-30",
        42,
        True,
    )
    assert (shown["items"][1]["id"], shown["items"][1]["start"]) == ("D2", "2026-12-01")
    assert document("museum")["followed"] is False
    assert "You do not follow this track" in track("museum").output


def test_the_goals_of_a_week_are_shown() -> None:
    track("devops", "--start", "2026-11-30", "--hours", "42")
    output = track("--week", "3").output
    assert "Goals of week 3 2026-12-14 – 2026-12-20" in output
    assert "D15, A collector of Kubernetes logs" in output


def test_an_item_is_shown_in_full() -> None:
    output = track("devops", "D4").output
    for wanted in ("5–7 h", "Dot products and duality", "14 min; --read 3b1b-dot-products", "five dimensions", "☐ 4."):
        assert wanted in output
    assert document("devops", "D4")["criteria"][0]["met"] is False


def test_reports_are_recorded_and_taken_back() -> None:
    track("devops", "--start", "2026-11-30")
    item = {i["id"]: i for i in document("--done", "D15")["items"]}["D15"]
    assert (item["status"], item["self_reported"]) == ("reported", True)
    assert document("devops", "D1", "--met", "2")["criteria"][1]["met"] is True
    done = {r["id"] for r in document("--read", "geron-chapter-1")["resources"] if r["done"]}
    assert done == {"geron-chapter-1"}
    item = {i["id"]: i for i in document("--done", "D15", "--undo")["items"]}["D15"]
    assert item["status"] == "open"


def test_what_only_a_verdict_can_tick_cannot_be_reported(workspace: Path) -> None:
    result = track("devops", "--done", "D2")
    assert isinstance(result.exception, UsageError)
    assert "D2 of devops is done when classical/linear_regression pass" in str(result.exception)
    assert not workspace.exists()


def test_a_day_without_its_units_can_be_worked_on_and_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    planned = "classical/trees"
    released = Catalogue.released
    monkeypatch.setattr(Catalogue, "released", lambda catalogue, id: id != planned and released(catalogue, id))
    name, item = next((t.name, i.id) for t in load_tracks().values() for i in t.items if planned in i.units)
    assert "No unit of this release can judge the rest" in track(name, item).output
    entry = {i["id"]: i for i in document(name, "--done", item)["items"]}[item]
    assert entry["reported"]
    assert not entry["reopened"]


def test_the_list_says_how_much_of_each_track_can_be_proven() -> None:
    listed = {t["name"]: t for t in json.loads(track("--json").output)["tracks"]}
    released = Catalogue().units
    for name, one in listed.items():
        items = load_tracks()[name].items
        here = [i for i in items if (units := load_tracks()[name].units_of(i)) and set(units) <= set(released)]
        assert (one["items"], one["provable"]) == (len(items), len(here))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--start", "today"], "--start and --hours need a track"),
        (["--done", "D15"], "--done, --read and --week need a track"),
        (["devops", "--met", "1"], "--met needs an item"),
        (["devops", "--undo"], "--undo needs the report to take back"),
        (["devops", "--hours", "0"], "hours_per_week must be from 0.5 to 100, not 0"),
        (["devops", "--hours", "many"], "hours_per_week must be a number, for example 8, not 'many'"),
        (["devops", "--start", "soon"], "day must be a date written YYYY-MM-DD"),
        (["devops", "--week", "0"], "week must be from 1 to "),
        (["devop"], "Did you mean devops?"),
        (["devops", "D99"], "There is no item in the track devops called 'D99'"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(arguments: list[str], message: str) -> None:
    result = track(*arguments)
    assert isinstance(result.exception, UsageError | UnknownName)
    assert message in str(result.exception)
