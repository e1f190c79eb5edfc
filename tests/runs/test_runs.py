"""Labs run in processes of their own: what is streamed, kept, judged, stopped and found again."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from groundup.course.learner.runs import compare, curves, list_runs, load_figure, load_run, run_lab
from groundup.course.learner.runstore import RunFolder, runs_dir
from groundup.course.material.unit import Unit
from groundup.errors import ConfigError, MissingPackage, UnknownName
from tests.runs import sample_unit

pytest.importorskip("groundup.course.grader.overlay")

MINE = sample_unit.IMPLEMENTATION.replace("slope - learning_rate", "slope + 0 * learning_rate")


def wait_until(true: Any, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_a_run_is_judged_and_says_everything_about_itself(workspace: Path, unit: Unit) -> None:
    events: list[dict[str, Any]] = []
    report = run_lab(workspace, unit, "fit", preset="smoke", settings={"learning_rate": "0.6"}, on_event=events.append)
    assert report.passed, report
    assert (report.unit, report.lab, report.preset, report.seeds) == ("bedrock/line", "fit", "smoke", [0, 1])
    assert report.config == {"seed": 0, "epochs": 20, "learning_rate": 0.6}
    assert report.data[0]["label"] == "synthetic by definition"
    (result,) = report.results
    assert (result["metric"], result["baseline"], result["baseline_what"]) == ("error", 2.0, "a slope of zero")
    assert result["mean"] < 0.1
    assert len(result["values"]) == 2
    assert [outcome["passed"] for outcome in report.expectations] == [True, True]
    assert set(report.seed_seconds) == {"0", "1"}
    assert report.seconds > sum(report.seed_seconds.values())
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-1]) == ("run", "verdict")
    assert {"start", "progress", "metric", "baseline", "result", "table", "note", "figure", "data", "end"} < set(kinds)
    assert load_run(workspace, report.id) == report


def test_a_lab_runs_in_a_process_of_its_own_with_each_seeds_output_in_a_log(workspace: Path, unit: Unit) -> None:
    report = run_lab(workspace, unit, "fit", preset="smoke", seeds=2, settings={"seed": "4"})
    assert report.seeds == [4, 5]
    for seed in report.seeds:
        assert (runs_dir(workspace) / report.id / f"seed{seed}.log").read_text() == "printed by the lab\n"
    assert "groundup.stack.bedrock.line" not in sys.modules


def test_a_seed_gives_the_same_alone_and_after_others(workspace: Path, unit: Unit) -> None:
    both = run_lab(workspace, unit, "fit", preset="smoke", seeds=2, overlay={unit.id: MINE})
    alone = run_lab(workspace, unit, "fit", preset="smoke", seeds=1, settings={"seed": "1"}, overlay={unit.id: MINE})
    assert both.results[0]["values"][1:] == alone.results[0]["values"]
    assert both.mine == alone.mine == ["bedrock/line"]


def test_a_failure_on_a_stand_in_says_that_the_code_may_be_right(workspace: Path, unit: Unit) -> None:
    failed = run_lab(workspace, unit, "fit", preset="smoke", seeds=1, settings={"learning_rate": "0"})
    assert failed.verdict == "failed"
    assert failed.caution == "", "its data is no stand-in"
    for data in failed.data:
        data["stand_in"] = True
    assert failed.caution.startswith("The data is a stand-in, and the bars were set on the real data")
    assert dataclasses.replace(failed, verdict="passed").caution == ""


def test_a_run_can_end_as_soon_as_it_is_lost(workspace: Path, unit: Unit) -> None:
    ruined = {"learning_rate": "0"}
    report = run_lab(workspace, unit, "fit", preset="smoke", seeds=5, settings=ruined, until_lost=True)
    assert report.verdict == "failed"
    assert set(report.seed_seconds) == {"0", "1"}, "one seed of five may miss, two may not"
    assert set(run_lab(workspace, unit, "fit", preset="smoke", seeds=3, until_lost=True).seed_seconds) == set("012")


def test_curves_figures_and_tables_are_kept(workspace: Path, unit: Unit) -> None:
    report = run_lab(workspace, unit, "fit", preset="smoke")
    slope = curves(workspace, report.id)["slope"]
    assert set(slope) == {"0", "1"}
    assert slope["0"]["steps"] == list(range(20))
    assert slope["0"]["values"][-1] == pytest.approx(2, abs=1e-3)
    assert load_figure(workspace, report.id, "the fit", 1)["data"][0]["x"] == [0, 1]
    assert [table["name"] for table in report.tables] == ["slopes", "slopes"]
    with pytest.raises(UnknownName, match=f"no figure with seed 9 in the run {report.id} called 'the fit'"):
        load_figure(workspace, report.id, "the fit", 9)


def test_a_sabotaged_run_fails_and_says_by_how_much(workspace: Path, unit: Unit) -> None:
    report = run_lab(workspace, unit, "fit", preset="smoke", settings={"learning_rate": "0"})
    assert report.verdict == "failed"
    assert report.expectations[0]["message"] == "error at most 0.1: mean 2 ± 0 over 2 seeds; seeds 0, 1 missed it."


def test_the_learners_code_takes_the_references_place(workspace: Path, unit: Unit) -> None:
    reference = run_lab(workspace, unit, "fit", preset="smoke", seeds=1)
    mine = run_lab(workspace, unit, "fit", preset="smoke", seeds=1, overlay={unit.id: MINE})
    assert (reference.verdict, mine.verdict) == ("passed", "failed")
    assert (reference.mine, mine.mine) == ([], ["bedrock/line"])
    assert reference.code_sha256 != mine.code_sha256


def test_learners_units_that_the_lab_does_not_use_are_not_claimed(workspace: Path, unit: Unit) -> None:
    other = unit.folder.parent / "other"
    other.mkdir()
    (other / "unit.toml").write_text(sample_unit.UNIT_TOML)
    overlay = {"bedrock/other": "x = 1\n", unit.id: sample_unit.IMPLEMENTATION}
    report = run_lab(workspace, unit, "fit", preset="smoke", seeds=1, overlay=overlay)
    assert report.mine == ["bedrock/line"]


def test_the_learners_error_is_located_in_their_file(workspace: Path, unit: Unit) -> None:
    broken = sample_unit.IMPLEMENTATION.replace("slope - learning_rate", "slope / 0 + learning_rate")
    report = run_lab(workspace, unit, "fit", preset="smoke", overlay={unit.id: broken})
    assert report.verdict == "crashed"
    assert report.message == "Seed 0: ZeroDivisionError: float division by zero (line.py:6)"
    assert "exercises/bedrock/line.py" in (runs_dir(workspace) / report.id / "seed0.log").read_text()


@pytest.mark.parametrize(
    ("kind", "verdict", "message"),
    [
        ("raise", "crashed", r"Seed 0: RuntimeError: it went wrong \(labs.py:\d+\)"),
        ("exit", "crashed", r"Seed 0: SystemExit: 0 \(labs.py:\d+\)"),
        ("input", "crashed", r"Seed 0: EOFError"),
        ("nan", "failed", r"^$"),
        ("none", "passed", r"^$"),
    ],
)
def test_whatever_a_lab_does_there_is_one_verdict(
    workspace: Path, unit: Unit, kind: str, verdict: str, message: str
) -> None:
    import re

    report = run_lab(workspace, unit, "trouble", preset="smoke", settings={"kind": kind})
    assert report.verdict == verdict
    assert re.search(message, report.message), report.message
    if verdict == "crashed":
        assert report.expectations[0]["message"] == "score at least 1: not judged, because the run crashed."


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_lab_whose_process_dies_is_a_crash_that_names_the_signal_and_the_log(workspace: Path, unit: Unit) -> None:
    report = run_lab(workspace, unit, "trouble", preset="smoke", settings={"kind": "die"})
    assert report.verdict == "crashed"
    assert "was killed by signal 6" in report.message
    assert "seed0.log holds its output" in report.message


def test_wrong_requests_are_refused_before_anything_is_kept(workspace: Path, unit: Unit) -> None:
    with pytest.raises(UnknownName, match="no lab in bedrock/line called 'fitt'. Did you mean fit"):
        run_lab(workspace, unit, "fitt")
    with pytest.raises(UnknownName, match="no preset of the lab 'fit' called 'smoky'. Did you mean smoke"):
        run_lab(workspace, unit, "fit", preset="smoky")
    with pytest.raises(ConfigError, match="'epochs' of the lab 'fit' must be a whole number"):
        run_lab(workspace, unit, "fit", settings={"epochs": "many"})
    with pytest.raises(ConfigError, match="number of seeds must be at least 1, not 0"):
        run_lab(workspace, unit, "fit", seeds=0)
    with pytest.raises(ConfigError, match="'seed' must not be negative, not -1"):
        run_lab(workspace, unit, "fit", settings={"seed": "-1"})
    with pytest.raises(ConfigError, match="lab 'fit' refuses its settings: epochs must be at least 1, not 0"):
        run_lab(workspace, unit, "fit", settings={"epochs": "0"})
    assert list_runs(workspace) == []


def test_a_unit_that_needs_what_is_not_installed_cannot_be_judged(
    workspace: Path, unit: Unit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(vars(unit), "packages", ("torch",))
    with pytest.raises(
        MissingPackage, match=f"^{unit.id} needs torch, which is not installed. Install it with: .*deep"
    ):
        run_lab(workspace, unit, "fit")
    assert list_runs(workspace) == []


def test_runs_are_listed_newest_first_and_by_unit(workspace: Path, unit: Unit) -> None:
    first = run_lab(workspace, unit, "trouble", preset="smoke", seeds=1, settings={"kind": "none"})
    time.sleep(1.01)
    second = run_lab(workspace, unit, "trouble", preset="smoke", seeds=1, settings={"kind": "nan"})
    assert [(run.id, run.verdict) for run in list_runs(workspace)] == [(second.id, "failed"), (first.id, "passed")]
    assert [run.id for run in list_runs(workspace, limit=1)] == [second.id]
    assert list_runs(workspace, unit="bedrock/other") == []
    with pytest.raises(UnknownName, match="no run called 'x'"):
        load_run(workspace, "x")


def test_a_run_outside_the_runs_folder_is_not_read(workspace: Path, unit: Unit) -> None:
    runs_dir(workspace).mkdir(parents=True)
    (workspace / ".groundup/run.json").write_text("{}")
    with pytest.raises(UnknownName, match="no run called"):
        load_run(workspace, "..")


def test_two_runs_are_compared_side_by_side(workspace: Path, unit: Unit) -> None:
    runs = [
        run_lab(workspace, unit, "fit", preset="smoke", seeds=1, settings={"learning_rate": r}) for r in ("0.5", "0")
    ]
    table = compare(runs)
    assert [head["verdict"] for head in table["runs"]] == ["passed", "failed"]
    settings = {row["name"]: row for row in table["settings"]}
    assert settings["learning_rate"] == {"name": "learning_rate", "values": [0.5, 0.0], "differs": True}
    assert not settings["epochs"]["differs"]
    (error,) = table["results"]
    assert error["values"][0]["mean"] < 0.1 < error["values"][1]["mean"]
    assert error["values"][0]["baseline"] == 2.0


def test_stopping_ends_the_process_and_its_children_and_keeps_the_record(workspace: Path, unit: Unit) -> None:
    stop = threading.Event()
    children: list[psutil.Process] = []

    def follow(event: dict[str, Any]) -> None:
        if event["type"] == "note":
            lab = psutil.Process(int(event["text"].split()[1]))
            children.extend([lab, *lab.children()])
            stop.set()

    report = run_lab(workspace, unit, "trouble", preset="smoke", settings={"kind": "sleep"}, on_event=follow, stop=stop)
    assert report.verdict == "interrupted"
    assert len(children) == 2
    wait_until(lambda: not any(child.is_running() for child in children))
    assert load_run(workspace, report.id).expectations[0]["message"].endswith("because the run was interrupted.")
    assert curves(workspace, report.id)["alive"]["0"]["values"] == [1]


def test_an_error_of_the_caller_ends_the_process_and_is_not_swallowed(workspace: Path, unit: Unit) -> None:
    def fail(event: dict[str, Any]) -> None:
        if event["type"] == "metric":
            raise LookupError("the caller's own")

    before = set(psutil.Process().children(recursive=True))  # recordings of earlier runs, for example
    with pytest.raises(LookupError, match="the caller's own"):
        run_lab(workspace, unit, "trouble", preset="smoke", settings={"kind": "sleep"}, on_event=fail)
    assert list_runs(workspace)[0].verdict == "interrupted"
    assert not set(psutil.Process().children(recursive=True)) - before


RUN_SLEEP = """
    import sys
    from pathlib import Path
    from groundup.course.learner.runs import run_lab
    from groundup.course.material.unit import load_unit
    report = run_lab(
        Path(sys.argv[1]), load_unit(Path(sys.argv[2])), "trouble", preset="smoke", settings={"kind": "sleep"}
    )
    print(report.verdict)
"""


def start_sleeping_run(workspace: Path, unit: Unit) -> tuple[subprocess.Popen[str], str, psutil.Process]:
    """A process that runs the lab that sleeps, the run's id, and the lab's process."""
    code = textwrap.dedent(RUN_SLEEP)
    command = [sys.executable, "-c", code, str(workspace), str(unit.folder)]
    runner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def note() -> str:
        for run in list_runs(workspace):
            for event in RunFolder(runs_dir(workspace) / run.id).events():
                if event["type"] == "note":
                    return event["text"]
        return ""

    wait_until(note)
    return runner, list_runs(workspace)[0].id, psutil.Process(int(note().split()[1]))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_ends_the_children_and_marks_the_run_interrupted(workspace: Path, unit: Unit) -> None:
    runner, run_id, lab = start_sleeping_run(workspace, unit)
    assert load_run(workspace, run_id).verdict == "running"
    runner.send_signal(signal.SIGINT)
    output, _ = runner.communicate(timeout=120)
    assert output == "interrupted\n"
    assert json.loads((runs_dir(workspace) / run_id / "run.json").read_text())["verdict"] == "interrupted"
    wait_until(lambda: not lab.is_running())


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_run_that_was_killed_is_shown_as_interrupted_and_its_lab_ends(workspace: Path, unit: Unit) -> None:
    runner, run_id, lab = start_sleeping_run(workspace, unit)
    processes = [lab, *lab.children()]
    assert len(processes) == 2
    os.kill(runner.pid, signal.SIGKILL)
    runner.communicate(timeout=120)
    assert list_runs(workspace)[0].verdict == "interrupted"
    report = load_run(workspace, run_id)
    assert report.verdict == "interrupted"
    assert report.message == "Its process ended before the run did."
    assert report.config["kind"] == "sleep"
    wait_until(lambda: not any(process.is_running() for process in processes))


def test_running_and_reading_runs_imports_nothing_heavy(workspace: Path, unit: Unit) -> None:
    code = (
        "import sys, groundup.course.learner.runs as runs; from pathlib import Path; runs.list_runs(Path(sys.argv[1]));"
        "print([m for m in ('mlflow', 'numpy', 'torch', 'plotly', 'sklearn', 'pooch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(workspace)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
