"""Figures of units, drawn in a process of their own, and written to files.

Only the child process imports a unit's `figures.py`. This module validates the values against the typed parameters of
the figure, and receives Plotly JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from groundup.course.material.unit import Control, FigureInfo, Unit, need_packages
from groundup.errors import CannotDraw, ConfigError, UnknownName

FIGURE_SECONDS = 20.0
IMPORT_SECONDS = 120.0
CACHED = 256


class FigureWorker:
    """Draws figures in one long-lived child process, which starts when first needed. Safe to use from several threads.

    Args:
        seconds: the time limit of one figure; the process is replaced when a figure exceeds it.
    """

    def __init__(self, *, seconds: float = FIGURE_SECONDS) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.Queue[bytes] = queue.Queue()

    def __enter__(self) -> FigureWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def draw(
        self,
        unit: Unit,
        name: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        overlay: Mapping[str, tuple[str, str]] | None = None,
    ) -> dict[str, Any]:
        """A figure as Plotly JSON: `{"data": …, "layout": …}`. Drawn figures are remembered.

        Args:
            unit: the unit.
            name: the figure's name.
            parameters: values by name; missing parameters keep their default.
            overlay: sources that take the place of modules: dotted module name to path and text. None by default: a
                figure is computed by the reference.

        Raises:
            UnknownName: there is no such figure, or it has no such parameter.
            ConfigError: a value breaks its parameter's rule.
            MissingPackage: the unit needs a package that is not installed.
            CannotDraw: the figure's code failed, crashed or took too long.
        """
        values = validate_parameters(unit.figure(name), parameters or {})
        need_packages(unit)
        replaced = {module: list(source) for module, source in (overlay or {}).items()}
        version = _version(unit, replaced)
        key = json.dumps([unit.id, str(unit.folder), name, values, version], sort_keys=True)
        with self._lock:
            if key not in self._cache:
                request = {"package": unit.package, "folder": str(unit.folder), "figure": name, "values": values}
                self._cache[key] = self._ask({**request, "overlay": replaced, "version": version}, f"{unit.id}/{name}")
                while len(self._cache) > CACHED:
                    self._cache.popitem(last=False)
            self._cache.move_to_end(key)
            return self._cache[key]

    def _ask(self, request: dict[str, Any], what: str) -> dict[str, Any]:
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            raise self._died(process, what) from None
        answer = self._answer(process, what, IMPORT_SECONDS, "its imports take")
        if answer.get("imported"):
            answer = self._answer(process, what, self.seconds, "it takes")
        if "error" in answer:
            raise CannotDraw(f"The figure {what} could not be drawn: {answer['error']}")
        return answer["figure"]

    def _answer(self, process: subprocess.Popen[bytes], what: str, seconds: float, subject: str) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            self._end()
            raise CannotDraw(
                f"The figure {what} was stopped: {subject} longer than {seconds:g} s. Try smaller parameters."
            ) from None
        if not line:
            raise self._died(process, what)
        return json.loads(line)

    def _died(self, process: subprocess.Popen[bytes], what: str) -> CannotDraw:
        code = process.wait(timeout=10)
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._end()
        return CannotDraw(f"The process that drew {what} ended with {how}. The next figure gets a new process.")

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._answers = queue.Queue()
            started: Future[subprocess.Popen[bytes]] = Future()
            threading.Thread(target=_start, args=(started, self._answers), daemon=True).start()
            self._process = started.result()
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        if process.stdin is not None:
            try:
                process.stdin.close()
            except OSError:  # nobody reads the rest of the requests
                pass


def _start(started: Future[subprocess.Popen[bytes]], answers: queue.Queue[bytes]) -> None:
    """Start the child, pass its lines on, and pass an empty line when it has ended.

    The child dies with the thread that started it (`die_with_parent`). A server's threads end when they have nothing to
    do; this thread ends with the child.
    """
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "groundup.course.workers.figureprocess"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except BaseException as error:
        started.set_exception(error)
        return
    started.set_result(process)
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            answers.put(line)
    answers.put(b"")


def _version(unit: Unit, overlay: Mapping[str, list[str]]) -> str:
    """The hash of a drawn figure's sources: the texts of the unit, of the units that it needs, and of the overlay."""
    folders = [unit.folder, *(unit.folder.parent.parent / need for need in unit.needs)]
    digest = hashlib.sha256(json.dumps(overlay, sort_keys=True).encode())
    for path in (path for folder in folders for path in sorted(folder.glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def validate_parameters(figure: FigureInfo, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The values of all parameters of a figure, defaults included.

    Raises:
        UnknownName: the figure has no such parameter.
        ConfigError: a value breaks its parameter's rule.
    """
    controls = {control.name: control for control in figure.controls}
    for name in parameters:
        if name not in controls:
            raise UnknownName(f"parameter of the figure {figure.name}", name, controls, see="the unit's page")
    return {
        name: _validated(control, parameters[name]) if name in parameters else control.default
        for name, control in controls.items()
    }


def parse_parameters(figure: FigureInfo, settings: Mapping[str, str]) -> dict[str, Any]:
    """The values of parameters given as text, as on a command line. Raises as `validate_parameters`."""
    controls = {control.name: control for control in figure.controls}
    values = {name: _parsed(controls[name], text) if name in controls else text for name, text in settings.items()}
    return {name: value for name, value in validate_parameters(figure, values).items() if name in settings}


def _parsed(control: Control, text: str) -> Any:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    try:
        match control.kind:
            case "bool":
                return words[text.strip().lower()]
            case "int":
                return int(text)
            case "float":
                return float(text)
            case _:
                return {str(choice): choice for choice in control.choices}[text.strip()]
    except (KeyError, ValueError):
        raise _broken(control, text) from None


def _validated(control: Control, value: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match control.kind:
        case "bool" if isinstance(value, bool):
            return value
        case "int" if number and float(value).is_integer() and _in_range(control, value):
            return int(value)
        case "float" if number and _in_range(control, value):
            return float(value)
        case "choice":
            for choice in control.choices:
                if choice == value and type(choice) is type(value):
                    return choice
    raise _broken(control, value)


def _in_range(control: Control, value: float) -> bool:
    low = -float("inf") if control.low is None else control.low
    high = float("inf") if control.high is None else control.high
    return low <= value <= high


def _broken(control: Control, value: Any) -> ConfigError:
    rule = {
        "bool": "true or false",
        "int": f"a whole number from {control.low} to {control.high}",
        "float": f"a number from {control.low} to {control.high}",
        "choice": "one of " + ", ".join(map(str, control.choices)),
    }[control.kind]
    return ConfigError(f"The parameter '{control.name}' must be {rule}, not {value!r}.")


WIDTH, HEIGHT = 1000, 600
FORMATS = (".html", ".json", ".png", ".svg", ".pdf")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def to_file(figure: Mapping[str, Any], path: Path) -> None:
    """Write a figure (Plotly JSON) to a file, in the format of its ending.

    `.html` stands alone, with Plotly's JavaScript in it. `.png`, `.svg` and `.pdf` are drawn by a headless Chromium.

    Raises:
        ConfigError: the file has another ending, or the folder does not exist.
        CannotDraw: there is no Chromium, or it failed.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise ConfigError(f"The file must end in one of {', '.join(FORMATS)}, not '{path.name}'.")
    if not path.parent.is_dir():
        raise ConfigError(f"The folder {path.parent} does not exist. Make it first.")
    if ending == ".json":
        path.write_text(json.dumps(figure), encoding="utf-8")
    elif ending == ".html":
        path.write_text(_page(figure), encoding="utf-8")
    else:
        path.write_bytes(_printed(figure, ending.removeprefix(".")))


def _page(figure: Mapping[str, Any], script: str | None = None) -> str:
    import plotly.io

    return plotly.io.to_html(dict(figure), include_plotlyjs=True, validate=False, post_script=script)


def _printed(figure: Mapping[str, Any], kind: str) -> bytes:
    """The figure as a picture: Chromium draws the page, and the page returns the picture as a data address."""
    import base64
    from urllib.parse import unquote

    size = f"width: {WIDTH}, height: {HEIGHT}"
    script = (
        f"Plotly.toImage('{{plot_id}}', {{format: '{'svg' if kind == 'pdf' else kind}', {size}, scale: 2}})"
        ".then(url => { document.body.textContent = 'IMAGE[' + url + ']'; });"
    )
    page = _chromium(_page(figure, script), "--dump-dom").decode(errors="replace")
    url = page.rpartition("IMAGE[data:")[2].partition("]")[0] if "IMAGE[data:" in page else ""
    if not url:
        raise CannotDraw("Chromium did not draw the figure. Write it as .html or .json instead.")
    head, _, body = url.partition(",")
    picture = base64.b64decode(body) if head.endswith("base64") else unquote(_unescaped(body)).encode()
    if kind != "pdf":
        return picture
    # A page a little higher than the picture: rounding would make two pages of an equal height.
    whole = f"height: {HEIGHT}px; margin: 0; overflow: hidden"
    page = f"@page {{ size: {WIDTH}px {HEIGHT + 16}px; margin: 0 }} html, body {{ {whole} }} svg {{ display: block }}"
    return _chromium(
        f"<!doctype html><style>{page}</style>{picture.decode()}", "--print-to-pdf=out.pdf", "--no-pdf-header-footer"
    )


def _unescaped(text: str) -> str:
    from html import unescape

    return unescape(text)


def _chromium(page: str, *arguments: str) -> bytes:
    """The result of a headless Chromium on a page: its standard output, or `out.pdf` if it writes one."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        raise CannotDraw(
            "Pictures are drawn by Chromium, and none of "
            f"{', '.join(CHROMIUM)} is installed. Install one, or write the figure as .html or .json."
        )
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # Chromium refuses its sandbox
    with tempfile.TemporaryDirectory(prefix="groundup-", ignore_cleanup_errors=True) as folder:
        file = Path(folder, "figure.html")
        file.write_text(page, encoding="utf-8")
        command = [program, "--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", *root]
        command += [f"--user-data-dir={folder}/profile", f"--window-size={WIDTH},{HEIGHT}"]
        command += ["--virtual-time-budget=10000", *arguments, file.as_uri()]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            raise CannotDraw("Chromium took longer than 120 s. Write the figure as .html or .json instead.") from None
        written = Path(folder, "out.pdf")
        return written.read_bytes() if written.exists() else done.stdout
