"""Choosing a track, its plan, and planned against actual."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, date, datetime, timedelta

import pytest

from groundup.course.material.roadmaps import Track, load_tracks
from groundup.course.material.tracks import (
    Choice,
    choose,
    chosen_track,
    plan,
    progress,
    provable,
    report,
    report_resource,
    weekly_goals,
)
from groundup.errors import UnknownName, UsageError
from tests.tracks.conftest import Happened, State, states

START = date(2026, 11, 30)
ALL = frozenset(["p/one", "p/two", "p/three", "p/four"])
NEW = states(new=sorted(ALL))


# Choosing


def test_a_choice_is_an_event_and_the_newest_counts() -> None:
    first, second = choose("devops", "2026-11-30", "8"), choose("mastery", date(2026, 12, 7), 4.5)
    events = [Happened("track", first.to_json()), Happened("report", {}), Happened("track", second.to_json())]
    assert second.to_json() == {"track": "mastery", "start": "2026-12-07", "hours_per_week": 4.5}
    assert chosen_track(events) == second
    assert chosen_track(events[:1]) == choose("devops", START, 8.0)
    assert chosen_track([]) is None


def test_a_choice_of_a_track_that_is_gone_is_passed_over() -> None:
    events = [
        Happened("track", choose("devops", START, 8).to_json()),
        Happened("track", {"track": "lost", "start": "2026-01-01", "hours_per_week": 1}),
    ]
    assert chosen_track(events) == choose("devops", START, 8.0)


@pytest.mark.parametrize("start", ["30.11.2026", "", "2026-02-30", "tomorrow"])
def test_a_start_that_is_no_date_is_refused(start: str) -> None:
    with pytest.raises(UsageError, match=rf"start must be a date written YYYY-MM-DD, .* not '{start}'"):
        choose("devops", start, 8)


@pytest.mark.parametrize("start", ["1999-12-31", "2101-01-01"])
def test_a_start_far_away_is_refused(start: str) -> None:
    with pytest.raises(UsageError, match=rf"start must lie in the years 2000 to 2100, not on {start}"):
        choose("devops", start, 8)


@pytest.mark.parametrize("hours", ["0", "-3", "nan", "inf", "101", "0.4"])
def test_hours_out_of_range_are_refused(hours: str) -> None:
    with pytest.raises(UsageError, match=rf"hours_per_week must be from 0\.5 to 100, not {hours}"):
        choose("devops", START, hours)


def test_hours_that_are_no_number_are_refused() -> None:
    with pytest.raises(UsageError, match="hours_per_week must be a number, for example 8, not 'many'"):
        choose("devops", START, "many")


def test_an_unknown_track_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no track called 'mastry'\. Did you mean mastery"):
        choose("mastry", START, 8)


# The plan


def test_items_follow_each_other_at_an_even_pace(track: Track) -> None:
    """Two hours each at seven hours a week: an hour a day, so two days for each item."""
    days = [((p.start - START).days, (p.end - START).days) for p in plan(track, START, 7)]
    assert days == [(0, 1), (2, 3), (4, 5), (4, 5), (6, 7)]


def test_several_items_may_share_a_day(track: Track) -> None:
    days = [((p.start - START).days, (p.end - START).days) for p in plan(track, START, 28)]
    assert days == [(0, 0), (0, 0), (1, 1), (1, 1), (1, 1)]


@pytest.mark.parametrize("hours", [0.5, 3, 7.3, 14, 100])
def test_every_plan_is_gapless_and_as_long_as_its_minutes(hours: float) -> None:
    for track in load_tracks().values():
        wholes = [p for p in plan(track, START, hours) if not p.item.part_of]
        assert wholes[0].start == START
        for before, after in itertools.pairwise(wholes):
            assert before.start <= before.end
            assert timedelta(0) <= after.start - before.end <= timedelta(1)
        minutes = sum(p.item.time.minutes for p in wholes)
        assert (wholes[-1].end - START).days + 1 == math.ceil(minutes / (hours * 60 / 7) - 1e-6)


def test_the_pieces_of_an_item_have_the_days_of_the_whole(track: Track) -> None:
    planned = {p.item.id: p for p in plan(track, START, 7)}
    assert (planned["C.1"].start, planned["C.1"].end) == (planned["C"].start, planned["C"].end)


# Reporting


def test_an_item_whose_units_are_all_here_cannot_be_reported(track: Track) -> None:
    for item, unit in (("A", "p/one"), ("C", "p/four"), ("C.1", "p/four")):
        message = rf"{item} of small is done when {unit} pass, and cannot be reported\. `groundup map`"
        with pytest.raises(UsageError, match=message):
            report(track, item, released=ALL)
    assert report(track, "D", released=ALL) == {"track": "small", "item": "D", "done": True}
    assert report(track, "A", released=ALL, done=False)["done"] is False, "what was reported once can be taken back"


def test_what_has_no_unit_yet_is_reported_until_its_unit_comes(track: Track) -> None:
    events = [Happened("report", report(track, "C", released=ALL - {"p/four"}))]
    choice = Choice(track, START, 7)
    before = progress(choice, NEW | states(planned=["p/four"]), events, today=START).items[2]
    assert (before.status, before.earned, before.reportable, before.reopened) == ("reported", 1, True, False)
    after = progress(choice, NEW, events, today=START).items[2]
    assert (after.status, after.earned, after.reportable, after.reopened) == ("open", 0, False, True)
    passed = progress(choice, NEW | states(["p/four"]), events, today=START).items[2]
    assert (passed.status, passed.reopened) == ("done", False)


def test_a_report_stands_for_the_units_that_are_missing_only(track: Track) -> None:
    """Of B one unit is here and one is not."""
    events = [Happened("report", report(track, "B", released=ALL - {"p/three"}))]
    choice, some = Choice(track, START, 7), NEW | states(planned=["p/three"])
    half = progress(choice, some, events, today=START).items[1]
    assert (half.status, half.earned, half.missing) == ("partly", 0.5, ("p/two",))
    whole = progress(choice, some | states(["p/two"]), events, today=START).items[1]
    assert (whole.status, whole.earned) == ("reported", 1)


def test_it_is_counted_how_many_items_a_release_can_judge(track: Track) -> None:
    assert provable(track, ALL) == sum(bool(track.units_of(item)) for item in track.items)
    assert provable(track, ALL - {"p/two"}) == provable(track, ALL) - 1
    assert provable(track, []) == 0


def test_a_report_of_a_unit_item_that_is_in_the_ledger_all_the_same_changes_nothing(track: Track) -> None:
    forged = [Happened("report", {"track": "small", "item": "A", "done": True})]
    entry = progress(Choice(track, START, 7), NEW, forged, today=START).items[0]
    assert (entry.status, entry.finished, entry.earned) == ("open", False, 0)


def test_reporting_what_does_not_exist_is_refused(track: Track) -> None:
    with pytest.raises(UnknownName, match="no item in the track small called 'Z'"):
        report(track, "Z", released=ALL)
    with pytest.raises(UsageError, match="W1 of small is a week. Report its items, or one of its criteria"):
        report(track, "W1", released=ALL)
    with pytest.raises(UsageError, match="criterion must be from 1 to 2 for B of small, not 3"):
        report(track, "B", released=ALL, criterion=3)
    with pytest.raises(UsageError, match="criterion must be from 1 to 0 for A of small, not 1"):
        report(track, "A", released=ALL, criterion=1)
    with pytest.raises(UnknownName, match=r"no resource in the track small called 'fim'\. Did you mean film"):
        report_resource(track, "fim")


def test_reports_can_be_taken_back(track: Track) -> None:
    events = [
        Happened("report", report(track, "D", released=ALL)),
        Happened("report", report(track, "B", released=ALL, criterion=2)),
        Happened("report", report(track, "W1", released=ALL, criterion=2)),
        Happened("resource", report_resource(track, "film")),
    ]
    back = [
        Happened("report", report(track, "D", released=ALL, done=False)),
        Happened("report", report(track, "B", released=ALL, criterion=2, done=False)),
        Happened("resource", report_resource(track, "film", done=False)),
    ]
    choice = Choice(track, START, 7)
    given = progress(choice, NEW, events, today=START)
    assert given.items[-1].status == "reported"
    assert given.items[1].criteria == {2}
    assert given.section_criteria["W1"] == {2}
    assert [r.id for r in given.resources_done] == ["film"]
    assert given.resource_minutes == (9, 69)
    taken = progress(choice, NEW, events + back, today=START)
    assert (taken.items[-1].status, taken.items[1].criteria, taken.resources_done) == ("open", frozenset(), ())
    assert taken.section_criteria["W1"] == {2}


def test_a_report_counts_for_its_own_track_only(track: Track) -> None:
    other = [Happened("report", {"track": "another", "item": "D", "done": True})]
    assert progress(Choice(track, START, 7), NEW, other, today=START).items[-1].status == "open"


# Planned against actual


def test_an_item_is_done_when_all_its_units_have_passed_and_by_nothing_else(track: Track) -> None:
    choice = Choice(track, START, 7)
    half = progress(choice, NEW | states(["p/two"]), [], today=START).items[1]
    assert (half.status, half.earned, half.passed, half.missing) == ("partly", 0.5, ("p/two",), ("p/three",))
    moments = {
        "p/two": datetime(2026, 12, 4, 12, tzinfo=UTC),
        "p/three": datetime(2026, 12, 2, 12, tzinfo=UTC),
    }
    both = NEW | states(["p/two", "p/three"])
    done = progress(choice, both, [], today=START, passed_at=moments).items[1]
    assert (done.status, done.actual, done.start, done.end) == (
        "done",
        date(2026, 12, 4),
        date(2026, 12, 2),
        date(2026, 12, 3),
    )


@pytest.mark.parametrize("status", ["new", "started", "failed", "stale"])
def test_no_other_state_of_a_unit_counts(track: Track, status: str) -> None:
    entry = progress(Choice(track, START, 7), NEW | {"p/one": State(status)}, [], today=START).items[0]
    assert (entry.status, entry.earned, entry.missing) == ("open", 0, ("p/one",))


def test_what_is_not_in_this_release_is_said_and_due_all_the_same(track: Track) -> None:
    """It can be learnt by its resources and reported, so the plan does not run without it."""
    some = states(passed=["p/one", "p/two"], planned=["p/three"])
    now = progress(Choice(track, START, 7), some, [], today=START + timedelta(4))
    entry = now.items[1]
    assert (entry.status, entry.unreleased, entry.reportable, entry.earned) == ("partly", ("p/three",), True, 0.5)
    assert (now.items[2].status, now.items[2].unreleased) == ("open", ("p/four",))
    assert now.days_ahead < 0


def test_ahead_and_behind_are_counted_in_days(track: Track) -> None:
    choice = Choice(track, START, 7)

    def ahead(day: int, passed: list[str]) -> float:
        return progress(choice, NEW | states(passed), [], today=START + timedelta(day)).days_ahead

    assert ahead(-5, []) == 0
    assert ahead(0, []) == 0
    assert ahead(0, ["p/one"]) == 2
    assert ahead(3, ["p/one"]) == -1
    assert ahead(3, ["p/one", "p/two"]) == 0
    assert ahead(100, []) == -8


def test_the_week_is_counted_from_the_start(track: Track) -> None:
    weeks = [progress(Choice(track, START, 7), NEW, [], today=START + timedelta(day)).week for day in (-1, 0, 6, 7)]
    assert weeks == [0, 1, 1, 2]


# Weekly goals


def test_the_goals_of_a_week_are_what_the_plan_ends_in_it(track: Track) -> None:
    events = [Happened("resource", report_resource(track, "book"))]
    some = states(passed=["p/one", "p/two"], new=["p/three"], planned=["p/four"])
    now = progress(Choice(track, START, 7), some, events, today=START)
    first, second = weekly_goals(now, 1), weekly_goals(now, 2)
    assert [e.item.id for e in first.finish] == ["A", "B", "C"]
    assert [e.item.id for e in first.work_on] == ["D"]
    assert (first.units, [r.id for r in first.resources], first.met) == (("p/three",), ["film"], False)
    assert (first.start, first.end) == (START, START + timedelta(6))
    assert ([e.item.id for e in second.finish], second.work_on) == (["D"], ())
    assert [e.item.id for e in first.to_report] == ["C"]
    assert [(e.item.id, e.open_criteria) for e in first.criteria] == [("B", 2)]
    all_passed = progress(now.choice, some | states(["p/three"]), events, today=START)
    assert not weekly_goals(all_passed, 1).met, "C is still to be reported"
    reported = [*events, Happened("report", report(track, "C", released=ALL - {"p/four"}))]
    assert weekly_goals(progress(now.choice, some | states(["p/three"]), reported, today=START), 1).met


def test_a_week_in_which_nothing_ends_is_not_met(track: Track) -> None:
    slow = progress(Choice(track, START, 0.5), NEW, [], today=START)
    assert (weekly_goals(slow, 1).finish, weekly_goals(slow, 1).met) == ((), False)


@pytest.mark.parametrize("week", [0, -1, 3])
def test_a_week_outside_the_plan_is_refused(track: Track, week: int) -> None:
    now = progress(Choice(track, START, 7), NEW, [], today=START)
    with pytest.raises(UsageError, match=rf"week must be from 1 to 2 for this plan, not {week}"):
        weekly_goals(now, week)
