"""Logs: lines as templates and sessions, surprise worked out by hand, and silence on logs of another kind."""

from __future__ import annotations

import json
import math

import pytest

from groundup.errors import StoreError, UsageError
from groundup.systems.sentinel.demo import sshd_log
from groundup.systems.sentinel.logs import CHANCE, Profile, Session, sessions, template

NORMAL = [Session(str(i), ("open", "write", "close")) for i in range(80)]


def own() -> Profile:
    found = sessions(sshd_log().split("\n"))
    return Profile.fit(found[60:], found[:60], "sshd")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Dec 10 06:55:46 gate sshd[9]: Failed password for ada from 10.0.0.1 port 2", "failed password for from port"),
        ("081109 203615 INFO dfs.Node: Received block blk_-16 of size 9 from /10.0.0.1", "received block of size from"),
        ("no header: here", "no header here"),
        ("1234", "-"),
    ],
)  # fmt: skip
def test_a_line_becomes_its_words(line, words):
    assert template(line) == words


def test_sessions_are_those_of_processes_blocks_or_windows():
    assert [s.name for s in sessions(["a[1]: x", "b[2]: y", "a[1]: z"])] == ["a[1]", "b[2]"]
    assert [s.name for s in sessions(["Receiving blk_1 x", "Receiving blk_-2 y"])] == ["blk_1", "blk_-2"]
    assert [s.name for s in sessions([f"line {i}" for i in range(25)])] == ["lines 1 to 20", "lines 21 to 25"]
    assert sessions(["", "  "]) == []


def test_surprise_by_hand():
    profile = Profile.fit(NORMAL[:60], NORMAL[60:], "files")
    # Five tokens are known, with the end, and one place is kept for a new one: after ^ always comes open#1.
    usual = -math.log((60 + 0.1) / (60 + 0.1 * 5))
    assert profile.steps(Session("", ("open",)))[0] == pytest.approx(usual)
    never = -math.log(0.1 / (60 + 0.1 * 5))
    assert profile.surprise(Session("", ("open",))) == pytest.approx(never), "no session ends after open"


def test_normal_sessions_score_low_and_an_intrusion_high():
    profile = own()
    calm = profile.judge(sessions(sshd_log(seed=7).split("\n"))).judgement
    report = profile.judge(sessions(sshd_log(attack=True).split("\n")))
    assert calm.score is not None
    assert calm.score <= CHANCE
    assert report.judgement.score == 1.0
    assert {alarm.name for alarm in report.alarms} >= {"sshd[30000]", "sshd[30001]"}


def test_evidence_holds_no_secret_and_nothing_that_steers_a_terminal():
    lines = [*sshd_log().split("\n"), "Dec 10 09:00:00 gate sshd[9]: \x1b[2J su password=hunter2"]
    told = " ".join(own().judge(sessions(lines)).judgement.evidence)
    assert "password=***" in told
    assert "\\x1b[2J" in told


def test_of_a_log_of_another_kind_nothing_is_said():
    report = own().judge(sessions([f"GET /page{i} 200" for i in range(50)]))
    assert report.judgement.score is None
    assert "knows 0% of the lines, and says nothing" in report.judgement.evidence[0]
    assert own().judge([]).judgement.score is None


def test_too_few_ordinary_sessions_are_refused():
    with pytest.raises(UsageError, match=r"normal must hold at least 80 sessions, .* got 30\. Give a longer log"):
        Profile.fit(NORMAL[:20], NORMAL[:10], "few")


def test_a_profile_comes_back_from_plain_data_and_damage_is_named():
    profile = own()
    again = Profile.from_json(json.loads(json.dumps(profile.to_json())))
    odd = Session("", ("failed password for from port",))
    assert again.surprise(odd) == profile.surprise(odd)
    with pytest.raises(StoreError, match=r"models must hold a model of logs.*train logs --again"):
        Profile.from_json({"tokens": [], "grams": [[1, 2, 3]], "knots": [0, 1, 2], "name": ""})
