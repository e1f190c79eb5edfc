"""The watch over a running submission: a forbidden act is refused at once, with its line.

An audit hook, which cannot be taken out again, sees files opened and changed, processes started, frames looked at.
Imports and the unit's forbidden functions are wrapped, for the names that are put together only at run time. A refusal
stays, whatever the submission does about the exception.
"""

from __future__ import annotations

import _thread
import builtins
import contextlib
import functools
import importlib
import importlib.util
import inspect
import mmap
import os
import re
import sys
import sysconfig
import threading
import traceback
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.course.grader import limits
from groundup.course.grader.forbidden import ALWAYS, FOREIGN, INSIDES, STACK, refusal

if TYPE_CHECKING:
    from groundup.course.grader.request import Request
    from groundup.course.grader.session import Where

Handler = Callable[[Any, tuple[Any, ...]], None]
Accept = Callable[[Any, str, Any], None]

LIBRARY = sysconfig.get_path("stdlib") + os.sep
INSPECT = inspect.__file__
BREACH_BYTES = 4096
MOST_STARTED = 256  # in a whole run, where the exercise may start processes: this ends a fork bomb
SHOWING = frozenset((traceback.__file__, warnings.__file__))
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
PROCESSES = """os.fork os.forkpty os.exec os.posix_spawn os.spawn os.system os.startfile pty.spawn
subprocess.Popen""".split()
LOOKING = ("sys._getframe", "sys._current_frames", "sys._current_exceptions")
GETTING = "object.__getattr__"
FRAMES = frozenset(("tb_frame", "gi_frame", "cr_frame", "ag_frame"))
GUARDED = FRAMES | {"__code__"}
TRACING = """sys.settrace sys.setprofile sys.monitoring.register_callback gc.get_objects gc.get_referrers
gc.get_referents sys.addaudithook""".split()
# Which arguments of an event are paths that it changes, and which are descriptors of the folders they start from.
CHANGING = {
    "os.remove": ((0, 1),), "os.rmdir": ((0, 1),), "os.mkdir": ((0, 2),), "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),), "os.symlink": ((1, 2),), "os.chmod": ((0, 2),), "os.chown": ((0, 3),),
    "os.utime": ((0, 3),), "os.truncate": ((0, None),), "shutil.rmtree": ((0, None),), "sqlite3.connect": ((0, None),),
}  # fmt: skip
FILES = "It may create and change its own files, in the current folder."
# How the folders of all runs begin that lie in memory.
FOLDERS_IN_MEMORY = os.path.join(os.path.realpath(limits.IN_MEMORY), limits.FOLDER)
SECRET = "reads the unit's own files, which hold the solution. Write it yourself."


class Watch:
    """Watches the submission from before it is imported.

    Args:
        request: the submission, and what is forbidden to it.
        where: where its file lies.
        accept: told of every name of another module that is wrapped here.
        ended: told, in words, where the submission ends the process by itself.
    """

    def __init__(self, request: Request, where: Where, accept: Accept, ended: Callable[[str], None]) -> None:
        self.thread_place = ""
        self.threads_started = 0
        self._shared = mmap.mmap(-1, BREACH_BYTES + 4)  # which a fork of this process writes to as well
        self._mine, self._label = where.submission, request["submission"]["label"]
        self._scratch = os.path.realpath(request["scratch"]) + os.sep
        self._own_path = os.path.realpath(where.submission)
        self._processes: int = request["limits"]["processes"]
        self._rules, self._packages = request["forbidden"], request["packages"]
        self._accept, self._ended = accept, ended
        self._package, folder = request["package"], Path(request["folder"])
        self._own = set(_own_files(folder))
        stacks = [*importlib.import_module(STACK).__path__, str(folder.parent.parent)]
        self._stacks = {os.path.realpath(stack) + os.sep for stack in stacks}
        self._frame_of, self._stat, self._realpath = sys._getframe, os.stat, os.path.realpath
        self._wrap_imports()
        self._wrap_exit()
        self._wrap_threads()
        self._not_loaded = list(self._rules)
        self._wrap_loaded()
        self._hook()

    @property
    def breach(self) -> str:
        """The first refusal, or an empty string."""
        return self._shared[:BREACH_BYTES].rstrip(b"\0").decode(errors="replace")

    # Who is it?

    def _line(self, frame: Any) -> int | None:
        """The submission's line, if it is the submission that asks for this through nothing but Python itself."""
        while frame is not None and _is_plumbing(frame.f_code.co_filename):
            frame = frame.f_back
        return self._line_of(frame)

    def _line_directly(self, frame: Any, *, by_inspect: bool = True) -> int | None:
        """The submission's line, if the submission itself does this, or has `inspect` do it."""
        while frame is not None:
            code = frame.f_code
            through = by_inspect and (code.co_filename == INSPECT or code.co_name == "walk_stack")
            if not through and code.co_filename[:1] != "<":
                break
            frame = frame.f_back
        return self._line_of(frame)

    def _line_anywhere(self, frame: Any) -> int | None:
        """The submission's line, if any of it is running."""
        while frame is not None and frame.f_code.co_filename != self._mine:
            frame = frame.f_back
        return self._line_of(frame)

    def _line_of(self, frame: Any) -> int | None:
        return frame.f_lineno if frame is not None and frame.f_code.co_filename == self._mine else None

    def _place(self, line: int | None) -> str:
        return f"{self._label}:{line}: " if line else ""

    def _refuse(self, line: int | None, what: str) -> None:
        if not self._shared[0]:
            text = f"{self._place(line)}your code {what}".encode()[:BREACH_BYTES]
            self._shared[: len(text)] = text
        raise PermissionError(self.breach)

    # The audit hook

    def _hook(self) -> None:
        handlers: dict[str, Handler] = {"open": self._open, "os.kill": self._kill, "os.killpg": self._kill}
        handlers.update(dict.fromkeys(LOOKING, self._look))
        handlers.update(dict.fromkeys(TRACING, self._trace))
        handlers[GETTING] = self._get_attribute
        handlers["object.__setattr__"] = self._set_attribute
        for event in PROCESSES:
            handlers[event] = functools.partial(self._start_process, event)
        for event in CHANGING:
            handlers[event] = functools.partial(self._change, event)
        busy: set[int] = set()
        frame_of = self._frame_of

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            handler = handlers.get(event)
            if handler is None or (event == GETTING and arguments[1] not in GUARDED):  # which is as good as always
                return
            thread = _thread.get_ident()
            if thread in busy:  # looking at a frame is an event itself
                return
            busy.add(thread)
            try:
                handler(frame_of(1), arguments)
            finally:
                busy.discard(thread)

        sys.addaudithook(watch)

    def _open(self, frame: Any, arguments: tuple[Any, ...]) -> None:
        path, mode, flags = arguments
        if isinstance(path, int) or path is None:
            return
        path = _plain(path)
        own = self._identity(path) in self._own
        if mode is None and not os.path.isabs(path):  # `os.open`, perhaps relative to a folder that is not told
            own = own or os.path.basename(os.fsdecode(path)) in self._own
        anywhere = self._line_anywhere(frame)
        if own:
            self._refuse(anywhere, SECRET)
        real = self._realpath(path) if anywhere is not None else ""
        if anywhere is not None and flags & WRITING and not self._may_change(real):
            self._refuse(anywhere, f"writes to {os.fsdecode(path)}. {FILES}")
        line = self._line(frame)
        if line is None:
            return
        package = self._package_of(os.fsdecode(real))
        if package == self._package:
            self._refuse(line, SECRET)
        why = refusal(package, (), self._packages) if package else None
        if why:
            self._refuse(line, f"reads the code of another unit. {why}")

    def _identity(self, path: str | bytes) -> tuple[int, int] | None:
        try:
            status = self._stat(path)
        except (OSError, ValueError):
            return None
        return status.st_dev, status.st_ino

    def _package_of(self, real: str) -> str:
        """The package of the unit that a file of the stack belongs to, or an empty string."""
        for stack in self._stacks:
            if real.startswith(stack):
                phase, _, rest = real.removeprefix(stack).partition(os.sep)
                unit, inside, _ = rest.partition(os.sep)
                return f"{STACK}.{phase}.{unit}" if inside and unit != "__pycache__" else ""
        return ""

    def _may_change(self, real: str | bytes) -> bool:
        path = os.fsdecode(real)
        device = path.startswith("/dev/") and not path.startswith(FOLDERS_IN_MEMORY)
        return path != self._own_path and (path.startswith(self._scratch) or device or path == os.devnull)

    def _change(self, event: str, frame: Any, arguments: tuple[Any, ...]) -> None:
        line = self._line_anywhere(frame)
        if line is None:
            return
        if event == "os.link" and self._identity(_plain(arguments[0])) in self._own:
            self._refuse(line, SECRET)
        for index, folder_index in CHANGING[event]:
            path = arguments[index]
            if isinstance(path, int):
                continue
            path = os.fsdecode(_plain(path))
            start = arguments[folder_index] if folder_index is not None else -1
            if isinstance(start, int) and start >= 0 and not os.path.isabs(path):
                path = os.path.join(_folder_of(start), path)
            parent, name = os.path.split(path)
            real = os.path.join(self._realpath(parent or "."), name)
            if not self._may_change(real):
                self._refuse(line, f"changes {path} (`{event}`). {FILES}")

    def _start_process(self, event: str, frame: Any, arguments: tuple[Any, ...]) -> None:
        line = self._line(frame)
        if line is None:
            return
        if not self._processes:
            self._refuse(line, f"starts another process (`{event}`). This exercise has no use for one.")
        if any(self._identity(word) in self._own for word in _words(arguments)):
            self._refuse(line, SECRET)
        started = int.from_bytes(self._shared[BREACH_BYTES:]) + 1  # by the forks of this process as well
        if started > MOST_STARTED:
            self._refuse(line, "starts more processes than it may.")
        self._shared[BREACH_BYTES:] = started.to_bytes(4)

    def _kill(self, frame: Any, arguments: tuple[Any, ...]) -> None:
        line, target = self._line(frame), arguments[0]
        own_child = self._processes and target > 0 and target != os.getppid()
        if line is not None and not own_child:
            self._refuse(line, "sends a signal to a process. This exercise has no use for that.")

    def _look(self, frame: Any, _: tuple[Any, ...]) -> None:
        line = self._line_directly(frame)
        if line is not None:
            self._refuse(line, f"looks at the frames that call it. {INSIDES}")

    def _trace(self, frame: Any, _: tuple[Any, ...]) -> None:
        line = self._line(frame)
        if line is not None:
            self._refuse(line, f"traces or searches the process. {INSIDES}")

    def _get_attribute(self, frame: Any, arguments: tuple[Any, ...]) -> None:
        owner, name = arguments[:2]
        if name in FRAMES or (name == "__code__" and not self._is_mine(owner)):
            line = self._line_directly(frame, by_inspect=name in FRAMES)
            if line is not None:
                self._refuse(line, f"uses `{name}`. {INSIDES}")

    def _set_attribute(self, frame: Any, arguments: tuple[Any, ...]) -> None:
        owner, name = arguments[:2]
        line = self._line(frame)
        if line is not None and not self._is_free(owner):
            self._refuse(line, f"changes `{name}` of `{owner.__qualname__}`. {INSIDES}")

    def _is_mine(self, function: Any) -> bool:
        return isinstance(function, types.FunctionType) and function.__code__.co_filename == self._mine

    def _is_free(self, owner: Any) -> bool:
        """Whether it is no function, or the submission's own, or made from a text, as `namedtuple` makes them."""
        if not isinstance(owner, types.FunctionType):
            return True
        return self._may_be_mine(owner.__code__)

    def _may_be_mine(self, code: types.CodeType) -> bool:
        """Whether code is the submission's, or was made from a text."""
        return code.co_filename == self._mine or code.co_filename[:1] == "<"

    # Names put together at run time

    def _wrap_imports(self) -> None:
        rules, packages, frame_of = self._rules, self._packages, self._frame_of
        roots = {rule["name"].split(".")[0] for rule in (*rules, *ALWAYS)} | {"groundup"}
        # Imports by modules that are loaded already are theirs, and Hypothesis has thousands of them.
        others = {id(vars(module)) for module in sys.modules.values() if isinstance(module, types.ModuleType)}

        def check(names: Iterable[str], frame: Any) -> None:
            line = self._line(frame)
            if line is None:
                return
            mine = self._may_be_mine(frame.f_code)
            for name in map(str.__str__, names):
                why = refusal(name, rules, packages)
                if why and (mine or _root(name) not in FOREIGN):
                    self._refuse(line, f"uses `{name}`. {why}")

        def wrap_import(original: Any) -> Any:
            def __import__(
                name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
            ) -> Any:
                if id(globals) not in others and isinstance(name, str) and (level or _root(name) in roots):
                    package = (globals or {}).get("__package__") or ""
                    full = importlib.util.resolve_name("." * level + name, package) if level else name
                    check((full, *(f"{full}.{part}" for part in fromlist or ())), frame_of(1))
                    imported = original(name, globals, locals, fromlist, level)
                    self._wrap_loaded()
                    return imported
                return original(name, globals, locals, fromlist, level)

            return __import__

        def wrap_import_module(original: Any) -> Any:
            def import_module(name: str, package: str | None = None) -> Any:
                full = importlib.util.resolve_name(name, package or "") if name.startswith(".") else name
                if _root(full) not in roots:
                    return original(name, package)
                check((full,), frame_of(1))
                imported = original(name, package)
                self._wrap_loaded()
                return imported

            return import_module

        self._put(builtins, "__import__", wrap_import(builtins.__import__))
        self._put(importlib, "import_module", wrap_import_module(importlib.import_module))

    def _wrap_exit(self) -> None:
        original, owner, getpid, frame_of = os._exit, os.getpid(), os.getpid, self._frame_of

        def _exit(status: int) -> Any:
            line = self._line(frame_of(1)) if getpid() == owner else None
            if line is not None:
                self._ended(f"{self._place(line)}your code ended the process (`os._exit`).")
            original(status)

        self._put(os, "_exit", _exit)

    def _wrap_threads(self) -> None:
        """Note where the submission starts threads; older Pythons have no event for it."""
        frame_of = self._frame_of

        def noting(start: Any) -> Any:
            @functools.wraps(start)
            def noted(*arguments: Any, **named: Any) -> Any:
                line = self._line(frame_of(1))
                if line is not None:
                    self.thread_place = self._place(line)
                    self.threads_started += 1
                return start(*arguments, **named)

            return noted

        self._put(threading.Thread, "start", noting(threading.Thread.start))
        self._put(_thread, "start_new_thread", noting(_thread.start_new_thread))

    def _wrap_loaded(self) -> None:
        """Wrap the forbidden functions and classes that are loaded by now."""
        self._not_loaded = [rule for rule in self._not_loaded if not self._wrap_forbidden(rule["name"], rule["why"])]

    def _wrap_forbidden(self, name: str, why: str) -> bool:
        """Let a forbidden function or class refuse the submission as its caller; whether it was there."""
        owner: Any = sys.modules.get(name.split(".")[0])
        *path, last = name.split(".")[1:] or [""]
        for part in path:
            owner = vars(owner).get(part) if isinstance(owner, types.ModuleType) else None
        original = vars(owner).get(last) if isinstance(owner, types.ModuleType) else None
        frame_of = self._frame_of

        def refuse_submission(frame: Any) -> None:
            line = self._line(frame)
            if line is not None:
                self._refuse(line, f"uses `{name}`. {why}")

        if isinstance(original, type):
            if not original.__flags__ & HEAP_TYPE:
                return True
            construct: Any = original.__init__

            @functools.wraps(construct)
            def __init__(instance: Any, *arguments: Any, **named: Any) -> None:
                refuse_submission(frame_of(1))
                construct(instance, *arguments, **named)

            self._put(original, "__init__", __init__)
        elif callable(original):
            call = original

            @functools.wraps(call)
            def guarded(*arguments: Any, **named: Any) -> Any:
                refuse_submission(frame_of(1))
                return call(*arguments, **named)

            home = sys.modules.get(getattr(original, "__module__", None) or "")
            for place in (owner, home):
                if place is not None and vars(place).get(last) is original:
                    self._put(place, last, guarded)
        return original is not None

    def fix(self, module: types.ModuleType) -> None:
        """Refuse the submission when it sets an attribute of this module."""
        frame_of, line_of, refuse = self._frame_of, self._line, self._refuse

        class Fixed(types.ModuleType):
            def __setattr__(self, name: str, value: Any) -> None:
                line = line_of(frame_of(1))
                if line is not None:
                    refuse(line, f"changes `{self.__name__}.{name}`. {INSIDES}")
                super().__setattr__(name, value)

        if type(module) is types.ModuleType:
            module.__class__ = Fixed

    def _put(self, owner: Any, name: str, value: Any) -> None:
        setattr(owner, name, value)
        self._accept(owner, name, value)


HEAP_TYPE = 1 << 9  # the attributes of such a class can be set


def _is_plumbing(path: str) -> bool:
    """Whether code is of Python itself, or was made from a text, so that what it does is its caller's doing.

    But a traceback and a warning show lines of whatever called the submission, which is not its fault.
    """
    if path in SHOWING:
        return False
    return path[:1] == "<" or path == __file__ or (path.startswith(LIBRARY) and "-packages" not in path)


def _own_files(folder: Path) -> Iterator[tuple[int, int] | str]:
    """The files with the solution, by device and number, which no other name of a file can hide, and by name."""
    for path in [*folder.glob("*.py"), *folder.glob("__pycache__/*.pyc")]:
        if path.name.split(".")[0] not in ("__init__", "checks"):  # these are read by Python and pytest as well
            with contextlib.suppress(OSError):
                status = os.stat(path)
                yield status.st_dev, status.st_ino
                yield path.name


def _plain(path: Any) -> str | bytes:
    """A path without methods of its own: a subclass of `str` could run code in here."""
    return str.__str__(path) if isinstance(path, str) else bytes(memoryview(path))


def _root(name: str) -> str:
    return str.partition(name, ".")[0]


def _folder_of(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return "/dev/fd"  # not Linux; what removes whole trees has been seen with the tree's own path


def _words(arguments: Any) -> Iterator[str]:
    """The possible names of files in the arguments of a command."""
    if isinstance(arguments, str | bytes):
        yield from re.split(r"[\s'\";|&<>()`]+", os.fsdecode(_plain(arguments)))
    elif isinstance(arguments, list | tuple):
        for argument in arguments:
            yield from _words(argument)
