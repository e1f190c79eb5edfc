"""The command line: what a person types, what comes back, and what a script can rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from groundup.cli import COMMANDS, cli, main
from groundup.cli.copilot import copilot_command
from groundup.course.material.catalogue import Catalogue
from tests.conftest import Ran

Groundup = Callable[..., Ran]

HEAVY = {
    "torch",
    "sklearn",
    "mlflow",
    "pandas",
    "plotly",
    "scipy",
    "numpy",
    "sqlalchemy",
    "alembic",
    "fastapi",
    "libcst",
}


def commands() -> list[tuple[str, click.Command]]:
    context = click.Context(cli)
    found = [(name, cli.get_command(context, name)) for name in COMMANDS]
    return [(name, command) for name, command in found if command is not None]


def test_every_command_that_is_named_is_there() -> None:
    assert [name for name, _ in commands()] == list(COMMANDS)


@pytest.mark.parametrize(("name", "command"), commands(), ids=list(COMMANDS))
def test_every_command_has_a_sentence_of_help_an_example_and_help_for_each_option(
    name: str, command: click.Command
) -> None:
    assert command.help
    assert command.help.split("\n")[0].endswith((".", ":", "?")) or ". " in command.help
    assert command.epilog
    assert f"groundup {name}" in command.epilog
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts} has no help"


@pytest.mark.parametrize(
    ("typed", "suggestion"),
    [
        (("mapp",), "Did you mean map?"),
        (("check", "vectorz"), "Did you mean bedrock/vectors"),
        (("start", "deep/atention"), "Did you mean deep/attention"),
        (("hint", "zzzzzz"), "`groundup map` lists them"),
    ],
)
def test_a_wrong_name_suggests_the_nearest_and_exits_2(
    groundup: Groundup, typed: tuple[str, ...], suggestion: str
) -> None:
    ran = groundup(*typed)
    assert ran.code == 2
    assert ran.out == ""
    assert suggestion in ran.err
    assert "Traceback" not in ran.err


def test_json_errors_are_one_document_too(groundup: Groundup) -> None:
    ran = groundup("check", "vectorz", "--json")
    assert ran.code == 2
    assert ran.json["exit_code"] == 2
    assert "vectorz" in ran.json["error"]


def test_map_creates_nothing(groundup: Groundup, learner: Path) -> None:
    assert groundup("map").code == 0
    assert groundup("map", "--json").json["units"]
    assert not learner.exists()


def test_check_without_anything_started_says_what_to_do(groundup: Groundup) -> None:
    ran = groundup("check")
    assert ran.code == 2
    assert "groundup start vectors" in ran.err


@pytest.mark.parametrize("arguments", [["map"], ["map", "--json"], ["next"], ["--help"], ["status", "--json"]])
def test_the_everyday_commands_import_nothing_heavy(learner: Path, arguments: list[str]) -> None:
    program = (
        "import sys, json, contextlib, io\n"
        "from groundup.cli import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        f"    main({arguments!r})\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    imported = set(json.loads(done.stdout))
    assert "groundup" in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize(
    ("typed", "completed"), [("log", "logistic_regression"), ("deep/m", "deep/mlp"), ("vec", "vectors")]
)
def test_unit_names_complete_in_the_shell(groundup: Groundup, typed: str, completed: str) -> None:
    ran = groundup(_GROUNDUP_COMPLETE="bash_complete", COMP_WORDS=f"groundup start {typed}", COMP_CWORD="2")
    assert f"plain,{completed}" in ran.out.splitlines()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_printed(groundup: Groundup, shell: str) -> None:
    ran = groundup("completion", shell)
    assert ran.code == 0
    assert "_GROUNDUP_COMPLETE" in ran.out


def test_doctor_finds_this_python_and_says_what_is_missing(groundup: Groundup, learner: Path) -> None:
    ran = groundup("doctor", "--json", GROUNDUP_DATA_MIRROR="/nowhere/at/all")
    findings = {finding["what"]: finding for finding in ran.json["findings"]}
    assert findings["Python"]["ok"]
    assert str(learner) in findings["Workspace"]["found"]
    assert not findings["Data mirror"]["ok"]
    assert "names a missing folder" in findings["Data mirror"]["advice"]
    assert ran.code == 0


def test_a_ledger_server_that_does_not_answer_is_found_by_doctor(groundup: Groundup) -> None:
    ran = groundup("doctor", "--json", GROUNDUP_LEDGER="postgresql+psycopg://ada:secret@127.0.0.1:1/class")
    findings = {finding["what"]: finding for finding in ran.json["findings"]}
    assert not findings["Ledger server"]["ok"]
    assert ran.code == 1
    assert "secret" not in ran.out


def test_ctrl_c_is_a_line_and_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cli, "main", raises(KeyboardInterrupt()))
    with pytest.raises(SystemExit) as ended:
        main(["map"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "\nStopped. Everything recorded before is kept.\n"
    monkeypatch.setattr(cli, "main", raises(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        main(["map"])


def test_ctrl_c_within_a_query_of_the_copilot_is_one_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(copilot_command.commands["status"], "callback", raises(RuntimeError("Query interrupted")))
    with pytest.raises(SystemExit) as ended:
        main(["copilot", "status"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "\nStopped. Everything recorded before is kept.\n"


def raises(error: BaseException) -> Callable[..., None]:
    def call(*_: object, **__: object) -> None:
        raise error

    return call


@pytest.mark.slow
def test_kernels_are_compiled_after_a_pass_where_that_is_asked_for(groundup: Groundup, learner: Path) -> None:
    reference = Catalogue().unit("recommenders").implementation.read_text(encoding="utf-8")
    path = learner / "exercises" / "classical" / "recommenders.py"
    assert groundup("start", "recommenders").code == 0
    path.write_text(reference, encoding="utf-8")
    ran = groundup("check", "recommenders")
    assert ran.code == 0
    assert "`groundup check recommenders --compile` compiles them" in ran.out
    ran = groundup("check", "recommenders", "--compile")
    assert ran.code == 0
    assert "Compiled by Numba, your code passes the same checks." in ran.out
    wrong = reference.replace("    total = 0.0\n", '    total = 0.0\n    names = {"a": 1, 2: "b"}\n', 1)
    assert wrong != reference
    path.write_text(wrong, encoding="utf-8")
    ran = groundup("check", "recommenders", "--compile", "--json")
    assert ran.code == 1
    assert ran.json["verdict"] == "passed"
    assert not ran.json["compiled"]["ok"]
    assert ran.json["compiled"]["message"].startswith("Numba cannot compile `sgd_epoch` (exercises/classical/recommend")
    assert groundup("status", "--json").json["states"]["classical/recommenders"] == "passed"
