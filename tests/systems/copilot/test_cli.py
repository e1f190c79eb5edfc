"""`groundup copilot` as a person calls it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from groundup.errors import StoreError
from groundup.systems.copilot.store import open_store
from tests.conftest import Ran
from tests.systems.copilot.apiserver import START, Container, serve
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
    document = groundup("copilot", "why", "-", "--json", stdin=lines).json
    assert (document["evidence"], document["nothing"]) == ([], True)


def test_no_line_at_all_is_not_called_healthy(groundup: Groundup) -> None:
    said = "There is no line to examine: the logs are empty, or all lines are older than --since."
    assert said in groundup("copilot", "why", "-", stdin="").out
    old = entry(0, "ERROR", "a", "old trouble")
    assert said in groundup("copilot", "why", "-", "--since", "2030-01-01T00:00:00Z", stdin=old).out
    document = groundup("copilot", "why", "-", "--json", stdin="").json
    assert (document["evidence"], document["nothing"]) == ([], False)


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


def test_an_error_that_quotes_a_file_cannot_steer_the_terminal(groundup: Groundup, tmp_path: Path) -> None:
    log = tmp_path / "tagged.log"
    log.write_text("\x1b]0;owned\x07 some alert\n- all is well\n- all is well, again\n", encoding="utf-8")
    ran = groundup("copilot", "train", str(log), "--tagged")
    assert ran.code == 2
    assert "\\x1b]0;owned\\x07" in ran.err
    assert not {"\x1b", "\x07"} & set(ran.err)


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
    program = (
        "import sys, groundup.systems.copilot, groundup.cli.copilot; "
        "print(sorted({n.split('.')[0] for n in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"'numpy'", "'torch'", "'rich'", "'scipy'", "'duckdb'", "'kubernetes'"} & set(
        done.stdout.strip("[]\n").split(", ")
    )


def test_ingest_stores_files_folders_and_pipes_once_and_why_reads_the_store(
    groundup: Groundup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = INCIDENTS["needle"][0]()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "app.log").write_text("\n".join(lines) + "\nINFO being wri", encoding="utf-8")
    ran = groundup("copilot", "ingest", "logs")
    assert ran.code == 0
    assert "20,001 new lines. copilot.duckdb holds 20,001 lines of 1 source, " in ran.out
    assert "The last line of 1 file has no end yet" in ran.out
    piped = groundup(
        "copilot", "ingest", "logs/app.log", "-", "--json", stdin="INFO a\nERROR b token=0a1b2c3d4e5f"
    ).json
    assert (piped["lines"], piped["files"], piped["stored"]) == (2, 1, 20_003)
    found = groundup("copilot", "why", "app.log", "--json").json
    assert [one["number"] for one in found["evidence"]] == [12_346]
    assert "standard input 1:2" in groundup("copilot", "why").out
    status = groundup("copilot", "status")
    assert "20,003  2026-11-21T03:33:19Z" in status.out
    assert "standard input 1 stdin  1 errors" in status.out
    assert "token=***" in groundup("copilot", "why", "standard input 1").out


def test_a_name_that_is_no_file_and_not_stored_is_one_line(groundup: Groundup, tmp_path: Path) -> None:
    store = str(tmp_path / "copilot.duckdb")
    assert groundup("copilot", "ingest", "-", "--store", store, stdin="INFO a").code == 0
    for arguments, message in [
        (("why", "checkout", "--store", store), "There is no pod or file in the store called 'checkout'."),
        (("why", "a", "b", "--store", store), "why takes one name of a stored log, got 2: a, b."),
        (("why", "--store", str(tmp_path / "no.duckdb")), "store must be a file that exists"),
        (("status", "--store", str(tmp_path / "no.duckdb")), "store must be a file that exists"),
        (("ingest", "no.log", "--store", store), "FILE must be a log file or a folder that exists, and 'no.log'"),
    ]:
        ran = groundup("copilot", *arguments)
        assert ran.code in (2, 3)
        assert message in ran.err
        assert "Traceback" not in ran.err


def follow(arguments: list[str], log: Path) -> tuple[subprocess.Popen[str], Callable[[int], None]]:
    """A follower that runs, and how to wait until so many lines are stored."""
    store = log.with_name("copilot.duckdb")
    program = [sys.executable, "-m", "groundup", "copilot", *arguments, "--store", str(store), "--json"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait(lines: int) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            if store.exists():
                with suppress(StoreError), open_store(store, reading=True) as opened:
                    if opened.summary()["lines"] == lines:
                        return
            time.sleep(0.2)
        raise AssertionError(f"never {lines} lines")

    return process, wait


def test_follow_stores_what_is_written_and_ends_whole_on_ctrl_c(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text("INFO 1\nINFO 2\n")
    process, wait = follow(["ingest", str(log), "--follow"], log)
    wait(2)
    log.rename(tmp_path / "app.log.1")
    log.write_text("INFO 3\n")
    wait(3)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    assert json.loads(out)["lines"] == 3


def test_collect_follows_and_survives_a_cluster_that_is_away_for_a_while(tmp_path: Path) -> None:
    with serve() as api:
        run = api.pod("checkout-1", [Container("web")]).containers[0].now
        run.write(START, "INFO 1")
        config = api.kubeconfig(tmp_path / "config")
        process, wait = follow(["collect", "--kubeconfig", config, "--every", "1s"], tmp_path / "x.log")
        wait(1)
        api.fail = [(500, {}, "etcd is away")]
        run.write(START + 10**9, "INFO 2")
        wait(2)
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "says 500: etcd is away. Trying again." in errors
    assert json.loads(out)["lines"] == 2
