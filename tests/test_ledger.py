"""The ledger keeps what was written, whatever happens to the writer."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from groundup.course.learner.ledger import Ledger
from groundup.course.verdict import CheckResult, Verdict, sha256_text
from groundup.errors import UsageError, WorkspaceError

SOURCE = "def dot(a, b):\n    return a @ b\n"


def verdict(
    outcome: str = "passed", source: str = SOURCE, checks: str = "c1", unit: str = "bedrock/vectors"
) -> Verdict:
    return Verdict(
        unit,
        outcome,  # type: ignore[arg-type]
        (CheckResult("test_dot", "passed", seconds=0.01),),
        code_sha256=sha256_text(source),
        checks_sha256=checks,
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / ".groundup" / "ledger.sqlite")


def test_a_ledger_that_does_not_exist_reads_as_empty_and_is_not_created(ledger: Ledger) -> None:
    assert ledger.events() == []
    assert ledger.units() == {}
    assert ledger.last_id() == 0
    assert ledger.path is not None
    assert not ledger.path.exists()


def test_a_verdict_comes_back_whole_with_its_source(ledger: Ledger) -> None:
    ledger.record(verdict(), SOURCE)
    (event,) = ledger.events(kinds=["verdict"])
    assert Verdict.from_json(event.payload) == verdict()
    assert ledger.source(event.code_sha256) == SOURCE
    assert event.outcome == "passed"


def test_a_verdict_is_refused_with_another_source(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="with the source that it judges"):
        ledger.record(verdict(), SOURCE + "# edited")
    assert ledger.events() == []


@pytest.mark.parametrize("kind", ["verdict", "passed", ""])
def test_only_known_events_are_appended_and_never_a_bare_verdict(ledger: Ledger, kind: str) -> None:
    with pytest.raises(UsageError, match=f"no event '{kind}' to append"):
        ledger.append(kind, "bedrock/vectors", {"verdict": "passed"})


def test_units_tells_the_last_verdict_and_every_pass(ledger: Ledger) -> None:
    ledger.record(verdict(), SOURCE)
    ledger.record(verdict("failed", SOURCE + "#"), SOURCE + "#")
    record = ledger.units()["bedrock/vectors"]
    assert record.last is not None
    assert record.last.outcome == "failed"
    assert record.passes == {(sha256_text(SOURCE), "c1")}


def test_first_passes_tells_when_each_unit_passed_for_the_first_time(ledger: Ledger) -> None:
    ledger.record(verdict("failed"), SOURCE)
    assert ledger.first_passes() == {}
    for source in (SOURCE, SOURCE + "#"):
        ledger.record(verdict(source=source), source)
    ledger.record(verdict("failed", unit="bedrock/autograd"), SOURCE)
    first = ledger.events(kinds=["verdict"])[1]
    assert ledger.first_passes() == {"bedrock/vectors": first.at}


@pytest.mark.parametrize(
    "statement", ["UPDATE events SET outcome = 'passed'", "DELETE FROM events", "DELETE FROM sources"]
)
def test_the_database_itself_refuses_to_change_what_was_written(ledger: Ledger, statement: str) -> None:
    ledger.record(verdict("failed"), SOURCE)
    assert ledger.path is not None
    connection = sqlite3.connect(ledger.path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()


def test_learners_who_share_a_ledger_do_not_see_each_other(tmp_path: Path) -> None:
    ada, ben = (Ledger(tmp_path / "l.sqlite", learner=name) for name in ("ada", "ben"))
    ada.record(verdict(), SOURCE)
    assert ben.units() == {}
    assert ben.events() == []
    assert "bedrock/vectors" in ada.units()


def test_a_damaged_file_gives_one_clear_error(ledger: Ledger) -> None:
    assert ledger.path is not None
    ledger.path.parent.mkdir(parents=True)
    ledger.path.write_bytes(b"not a database at all, but long enough to be read as one" * 40)
    with pytest.raises(WorkspaceError, match="damaged: file is not a database"):
        ledger.events()
    with pytest.raises(WorkspaceError, match="damaged|cannot be written"):
        ledger.append("started", "bedrock/vectors")


def test_a_password_in_the_url_is_never_shown() -> None:
    ledger = Ledger("postgresql+psycopg://ada:secret@127.0.0.1:1/class")
    with pytest.raises(WorkspaceError, match="cannot be written") as caught:
        ledger.append("started", "bedrock/vectors")
    assert "secret" not in str(caught.value)


def test_a_url_of_another_database_is_refused() -> None:
    with pytest.raises(UsageError, match="postgresql"):
        Ledger("mysql://localhost/class")


WRITER = """
import sys
from groundup.course.learner.ledger import Ledger
from tests.test_ledger import verdict
ledger = Ledger(sys.argv[1])
for n in range(int(sys.argv[2])):
    source = f"{sys.argv[3]} {n}"
    ident = ledger.record(verdict(source=source), source)
    print(ident, flush=True)
"""


def writer(ledger: Ledger, count: int, name: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WRITER, str(ledger.path), str(count), name]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)


def test_two_processes_write_at_once_and_nothing_is_lost(ledger: Ledger) -> None:
    writers = [writer(ledger, 25, name) for name in ("one", "two")]
    for process in writers:
        assert process.wait(60) == 0
        assert process.stdout is not None
        process.stdout.close()
    sources = {ledger.source(event.code_sha256) for event in ledger.events()}
    assert sources == {f"{name} {n}" for name in ("one", "two") for n in range(25)}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is POSIX")
def test_kill_9_at_any_moment_loses_at_most_the_verdict_in_flight(ledger: Ledger) -> None:
    told = 0
    for round_number in range(4):
        process = writer(ledger, 10_000, f"round {round_number}")
        assert process.stdout is not None
        # Wait for the first report, so that there is something to lose; then kill at an arbitrary point.
        reports = [process.stdout.readline()]
        time.sleep(0.05 + 0.037 * round_number)
        os.kill(process.pid, signal.SIGKILL)
        rest, _ = process.communicate()
        complete = [line for line in (reports[0] + rest).split("\n")[:-1] if line]
        told += len(complete)
        kept = ledger.events(kinds=["verdict"])
        assert told <= len(kept) <= told + 1
        told = len(kept)
        assert all(ledger.source(event.code_sha256) for event in kept), "a verdict without its source was kept"
        connection = sqlite3.connect(str(ledger.path))
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    assert told >= 4
