"""A process in the background that hands to MLflow what is finished, for labs and for the language model.

Importing MLflow takes seconds, and making its database takes more; nobody should wait for that. `GROUNDUP_MLFLOW=off`
leaves MLflow out.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from groundup.extras import missing

BATCH = 1000
"""MLflow takes at most so many metrics at once."""


def is_on() -> bool:
    """Whether there is something to hand to: MLflow is installed, and nobody has turned it off."""
    return not missing(["mlflow"]) and os.environ.get("GROUNDUP_MLFLOW", "").lower() not in ("off", "0", "no", "false")


def start(module: str, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    """Start `python -m module folder`, which outlives this process and need not be waited for.

    Args:
        module: records what is not recorded yet in the folder.
        folder: its argument.
        log: what it prints is added to this file.
    """
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", module, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"},
            start_new_session=sys.platform != "win32",
            creationflags=getattr(subprocess, "DETACHED_PROCESS", 0),
        )


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold a lock of a folder that ends with the process, on every system: an exclusive transaction of SQLite."""
    with contextlib.closing(sqlite3.connect(folder / "mlflow-lock.sqlite", timeout=900)) as lock:
        lock.isolation_level = None
        lock.execute("BEGIN EXCLUSIVE")
        yield
