"""A class shares one PostgreSQL: the same ledger, by URL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from groundup.course.learner.ledger import Ledger
from tests.test_ledger import SOURCE, verdict


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of our own on a free port of the loopback, gone afterwards."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server here: install the package `postgresql` to run this test")
    folder = tmp_path_factory.mktemp("postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # PostgreSQL refuses to run as root.
    as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    if as_user:
        for parent in (folder, *(p for p in folder.parents if p.name.startswith(("pytest-", "popen-")))):
            parent.chmod(0o755)
        shutil.chown(folder, "postgres", "postgres")
    data = folder / "data"
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*as_user, binaries / "initdb", "-D", data, "-A", "trust", "-U", "teacher"], **quiet)  # type: ignore[call-overload]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    control = [*as_user, binaries / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], **quiet)  # type: ignore[call-overload]
    try:
        yield f"postgresql+psycopg://teacher@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)  # type: ignore[call-overload]


def test_thirty_learners_arrive_at_once_at_an_empty_database(url: str) -> None:
    def learn(number: int) -> int:
        ledger = Ledger(url, learner=f"learner {number}")
        ledger.append("started", "bedrock/vectors")
        ledger.record(verdict(), SOURCE)
        kept = len(ledger.events())
        ledger.close()
        return kept

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(learn, range(30))) == [2] * 30


def test_verdicts_of_a_class_are_kept_apart_and_append_only(url: str) -> None:
    ada, ben = (Ledger(url, learner=name) for name in ("ada", "ben"))
    ada.record(verdict(), SOURCE)
    ben.record(verdict("failed"), SOURCE)
    assert ada.units()["bedrock/vectors"].passes == {(verdict().code_sha256, "c1")}
    assert ben.units()["bedrock/vectors"].passes == frozenset()
    assert [event.outcome for event in ben.events(kinds=["verdict"], unit="bedrock/vectors")] == ["failed"]
    assert ada.source(verdict().code_sha256) == SOURCE
    ada.close()
    ben.close()
    engine = create_engine(url)
    with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
        connection.execute(text("UPDATE events SET outcome = 'passed'"))
    engine.dispose()
