"""groundup in Jupyter: `%load_ext groundup.jupyter` gives `%groundup …` and `%%exercise UNIT`.

The notebooks that `groundup notebook` writes use both. Grading and labs run in processes of their own, as they do from
the command line; nothing of a learner's exercise runs in the kernel.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from typing import Any

from groundup.course.course import Course
from groundup.course.learner.workspace import Workspace
from groundup.errors import GroundupError


def load_ipython_extension(shell: Any) -> None:
    """Register the magics, and have figures show wherever the notebook is open. IPython calls this."""
    import plotly.io

    shell.register_magic_function(groundup, "line", "groundup")
    shell.register_magic_function(exercise, "cell", "exercise")
    if "PLOTLY_RENDERER" not in os.environ:
        # Plotly's own choice is blank in a JupyterLab that runs in another environment than the kernel: there it lacks
        # Plotly's extension. HTML as well, with Plotly's JavaScript in the notebook, needs neither that nor a network.
        plotly.io.renderers.default = "plotly_mimetype+notebook"


def groundup(line: str) -> None:
    """Run a command of groundup and show what it prints: `%groundup check vectors`."""
    # Jupyter asks its children to write as to a terminal; a progress bar would fill pages.
    environment = {name: value for name, value in os.environ.items() if "FORCE" not in name}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "groundup", *shlex.split(line)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"COLUMNS": "100", **environment},
    )
    assert process.stdout is not None
    with process:
        try:
            for printed in process.stdout:
                print(printed, end="")
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            raise
    # 1 is a verdict; from 2 on, the command could not be carried out, and the cells after it should not run.
    if process.returncode > 1:
        raise _error(f"groundup {line} ended with exit code {process.returncode}.")


def exercise(line: str, cell: str) -> None:
    """Save the cell as your file of a unit: `%%exercise vectors`. It is not run here."""
    try:
        with Course(Workspace.find()) as course:
            saved = course.save(line.strip(), cell)
    except GroundupError as error:
        raise _error(str(error)) from error
    print(saved)


def _error(message: str) -> Exception:
    """An error that Jupyter shows in one line, without a traceback."""
    from IPython.core.error import UsageError

    return UsageError(message)
