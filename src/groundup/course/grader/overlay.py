"""The import overlay: given sources take the place of implementation modules, for this whole process.

Used by the grader's workers and by the lab process (`--mine`). It covers `import`, `from … import`, submodules and,
because a unit's `__init__` imports its implementation in the ordinary way, the names that the package re-exports.
"""

from __future__ import annotations

import importlib
import importlib.util
import linecache
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

STACK = "groundup.stack"


class _Loader(InspectLoader):
    """Loads one module from a text, under the path that tracebacks are to show."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text = path, text

    def get_source(self, fullname: str) -> str:
        return self.text

    def get_filename(self, fullname: str) -> str:
        return self.path

    def is_package(self, fullname: str) -> bool:
        return False

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.text, self.path, "exec", dont_inherit=True)


class Overlay(MetaPathFinder):
    """Finds the modules that have a text of their own here before any other finder does."""

    def __init__(self) -> None:
        self.sources: dict[str, tuple[str, str]] = {}

    def put(self, name: str, path: str | Path, text: str) -> None:
        """Put a text in place of a module that is not imported yet."""
        self.sources[name] = str(path), text
        # Without a modification time the entry is never checked against the disk: the learner may delete the file.
        linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module that has a text of its own here."""
        if fullname not in self.sources:
            return None
        file, text = self.sources[fullname]
        return importlib.util.spec_from_file_location(fullname, file, loader=_Loader(file, text))


def install(sources: Mapping[str, tuple[str | Path, str]]) -> Overlay:
    """Put sources in place of modules from now on; what the stack had imported before is forgotten.

    Args:
        sources: for each dotted module name, the path that tracebacks show and the text that is run.
    """
    overlay = Overlay()
    for name, (path, text) in sources.items():
        overlay.put(name, path, text)
    forget_units()
    sys.meta_path.insert(0, overlay)
    return overlay


def forget_units() -> None:
    """Drop every module of a unit from `sys.modules`, so that the next import finds the overlay."""
    for name in [name for name in sys.modules if name.startswith(STACK + ".") and name.count(".") > 2]:
        del sys.modules[name]
        parent, _, child = name.rpartition(".")
        if parent in sys.modules:
            vars(sys.modules[parent]).pop(child, None)


def add_unit_folder(package: str, folder: Path) -> None:
    """Make a unit importable from `folder`, also when that is not in the installed stack.

    Args:
        package: the unit's package, `groundup.stack.<phase>.<unit>`.
        folder: the unit's folder.
    """
    phase = package.rpartition(".")[0]
    stack = importlib.import_module(STACK)
    try:
        module = importlib.import_module(phase)
    except ModuleNotFoundError:
        module = ModuleType(phase)
        module.__path__ = []
        sys.modules[phase] = module
        setattr(stack, phase.rpartition(".")[2], module)
    where = str(folder.parent)
    if module.__path__[:1] != [where]:
        module.__path__ = [where, *(path for path in module.__path__ if path != where)]
