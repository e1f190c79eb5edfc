"""The exploration notebook: valid, and it runs from top to bottom on a generated incident."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from groundup.errors import UsageError
from groundup.systems.copilot.answering.exploration import notebook, write_notebook
from groundup.systems.copilot.sources.files import ingest_files
from groundup.systems.copilot.store import open_store
from tests.conftest import Ran
from tests.systems.copilot.incidents import INCIDENTS


def stored(folder: Path, lines: list[str]) -> Path:
    log, path = folder / "app.log", folder / "copilot.duckdb"
    log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    with open_store(path) as store:
        ingest_files(store, [str(log)])
    return path


def run(path: Path) -> list[str]:
    """What the cells printed."""
    from nbclient import NotebookClient

    made = nbformat.read(path, as_version=4)
    NotebookClient(
        made, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    outputs = (output for cell in made.cells if cell.cell_type == "code" for output in cell.outputs)
    return [output.get("text", "") or str(output.get("data", "")) for output in outputs]


def test_it_runs_from_top_to_bottom_and_shows_what_is_there(groundup: Callable[..., Ran], tmp_path: Path) -> None:
    store = stored(tmp_path, INCIDENTS["change"][0]())
    path = tmp_path / "exploration.ipynb"
    ran = groundup("copilot", "notebook", "--store", str(store), "-o", str(path))
    assert ran.code == 0, ran.err
    said = "\n".join(run(path))
    for expected in (
        "4,061 records of 1 sources", "formats: {'json': 4061}", "time: known in 100.0%", "GET <*> <*> in <*> ms",
        "application/vnd.plotly", "error_type: other", "contains_failed: 1", "failed           100.0% of errors",
        "new      orders: Checkout failed for order <*> (60 where", "Config reloaded: db.pool.max 100 -> 1",
    ):  # fmt: skip
        assert expected in said, said


def test_it_runs_on_logs_without_times_or_levels_and_on_an_empty_store(tmp_path: Path) -> None:
    for name, lines in (("plain", ["one", "two", "three"]), ("empty", [])):
        folder = tmp_path / name
        folder.mkdir()
        path = folder / "exploration.ipynb"
        write_notebook(stored(folder, lines), path)
        assert f"{len(lines)} records of" in run(path)[0]


def test_the_same_store_gives_the_same_notebook() -> None:
    assert notebook("a.duckdb") == notebook("a.duckdb")
    nbformat.validate(nbformat.reads(notebook("it's {a}.duckdb"), as_version=4))
    assert '''STORE = "it's {a}.duckdb"''' in nbformat.reads(notebook("it's {a}.duckdb"), as_version=4).cells[1].source


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "copilot.duckdb"
    with pytest.raises(UsageError, match=r"copilot\.duckdb' does not\. Fill it with `groundup copilot ingest`"):
        write_notebook(store, tmp_path / "a.ipynb")
    store.touch()
    with pytest.raises(UsageError, match=r"output must end in \.ipynb, got 'a\.txt'"):
        write_notebook(store, tmp_path / "a.txt")
    with pytest.raises(UsageError, match=r"output must be a file that can be written, and .*no/a\.ipynb' cannot be"):
        write_notebook(store, tmp_path / "no" / "a.ipynb")
    write_notebook(store, tmp_path / "a.ipynb")
    with pytest.raises(UsageError, match=r"is there already\. Add --force"):
        write_notebook(store, tmp_path / "a.ipynb")
    write_notebook(store, tmp_path / "a.ipynb", force=True)
