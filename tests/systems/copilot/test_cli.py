"""`groundup copilot` as a person calls it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Ran
from tests.systems.copilot.incidents import INCIDENTS, entry, healthy

Groundup = Callable[..., Ran]


def test_why_shows_line_time_reason_and_text(groundup: Groundup, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("\n".join(INCIDENTS["needle"][0]()), encoding="utf-8")
    ran = groundup("copilot", "why", str(log))
    assert ran.code == 0
    assert "line 12346  2026-11-21 01:25:45Z  logged as error; appears only once in 20,001 lines" in ran.out
    document = groundup("copilot", "why", str(log), "--json").json
    assert [one["number"] for one in document["evidence"]] == [12_346]
    assert document["nothing"] is False


def test_a_clean_log_says_so(groundup: Groundup) -> None:
    lines = "\n".join(healthy(500))
    assert "Nothing in these logs tells of a failure." in groundup("copilot", "why", "-", stdin=lines).out
    assert groundup("copilot", "why", "-", "--json", stdin=lines).json == {"evidence": [], "nothing": True}


def test_no_line_at_all_is_not_called_healthy(groundup: Groundup) -> None:
    said = "There is no line to look at: the logs are empty, or all of them are older than --since."
    assert said in groundup("copilot", "why", "-", stdin="").out
    old = entry(0, "ERROR", "a", "old trouble")
    assert said in groundup("copilot", "why", "-", "--since", "2030-01-01T00:00:00Z", stdin=old).out
    assert groundup("copilot", "why", "-", "--json", stdin="").json == {"evidence": [], "nothing": True}


def test_since_leaves_out_what_is_older_also_on_standard_input(groundup: Groundup) -> None:
    lines = "\n".join(
        [entry(0, "ERROR", "a", "old trouble"), *(entry(i, "INFO", "a", "fine") for i in range(60, 4_000, 60))]
    )
    assert "old trouble" in groundup("copilot", "why", "-", stdin=lines).out
    assert "Nothing" in groundup("copilot", "why", "-", "--since", "30m", stdin=lines).out
    assert "old trouble" in groundup("copilot", "why", "-", "--since", "2h", stdin=lines).out


def test_a_line_cannot_steer_the_terminal(groundup: Groundup) -> None:
    line = "ERROR \x1b]0;owned\x07 [red]fail\x9b31m\x1b[2J"
    for arguments in ((), ("--json",)):
        ran = groundup("copilot", "why", "-", *arguments, stdin=line)
        assert ran.code == 0
        assert not {"\x1b", "\x07", "\x9b"} & set(ran.out)
    assert "[red]fail" in groundup("copilot", "why", "-", stdin=line).out


def test_wrong_input_is_one_line_and_exit_code_2(groundup: Groundup, tmp_path: Path) -> None:
    for arguments, message in [
        ((str(tmp_path / "no.log"),), "FILE must be a log file that exists"),
        ((str(tmp_path),), "is a folder"),
        (("-", "--since", "soon"), "since must be a span such as 10m"),
    ]:
        ran = groundup("copilot", "why", *arguments, stdin="x")
        assert ran.code == 2
        assert message in ran.err
        assert "Traceback" not in ran.err


def test_the_copilot_needs_nothing_heavy() -> None:
    program = "import sys, groundup.systems.copilot; print(sorted({n.split('.')[0] for n in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"'numpy'", "'torch'", "'rich'", "'scipy'"} & set(done.stdout.strip("[]\n").split(", "))
