"""The process that draws figures: `python -m groundup.course.workers.figureprocess`.

One JSON request a line on standard input, two JSON lines an answer on standard output: `{"imported": true}`, which
tells slow imports from a slow figure, and the figure or the error. The process ends with its standard input.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO

from groundup.course.grader import overlay
from groundup.course.grader.limits import die_with_parent


class _Stage:
    """The units in the state of the last request: overlaid, and imported afresh when their files changed."""

    def __init__(self) -> None:
        self.finder: overlay.Overlay | None = None
        self.versions: dict[str, str] = {}

    def module(self, request: dict[str, Any]) -> Any:
        if self.versions.get(request["package"]) != request["version"]:
            if self.finder is not None:
                sys.meta_path.remove(self.finder)
            self.finder = overlay.install({name: (path, text) for name, (path, text) in request["overlay"].items()})
            self.versions = {request["package"]: request["version"]}
        overlay.add_unit_folder(request["package"], Path(request["folder"]).resolve())
        return importlib.import_module(request["package"] + ".figures")


def main() -> None:
    """Answer requests until there are no more."""
    die_with_parent()
    # As in the grader: Numba takes longer to compile kernels than a small figure may take.
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    requests, answers = _take_channels()
    stage = _Stage()

    def answer(document: dict[str, Any]) -> None:
        answers.write(json.dumps(document).encode() + b"\n")
        answers.flush()

    for line in requests:
        request = json.loads(line)
        try:
            module = stage.module(request)
            answer({"imported": True})
            answer({"figure": _drawn(getattr(module, request["figure"])(**request["values"]))})
        except Exception as error:  # the author reads every fault of a figure
            answer({"error": _where(error, request["folder"])})


def _take_channels() -> tuple[BinaryIO, BinaryIO]:
    """Keep the two pipes; a figure's output is discarded, and its input is empty."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    return requests, answers


def _drawn(figure: Any) -> dict[str, Any]:
    if not hasattr(figure, "to_json"):
        raise TypeError(f"it returned a {type(figure).__name__}, not a plotly.graph_objects.Figure.")
    return json.loads(figure.to_json())


def _where(error: Exception, folder: str) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(folder)]
    place = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


if __name__ == "__main__":
    main()
