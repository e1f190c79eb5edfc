"""Every error that groundup raises on purpose.

    GroundupError            one clear line for the person, `exit_code` for the shell
    ├── UsageError           the command, the parameter or the request is wrong           (exit 2)
    │   ├── UnknownName      a unit, lab, figure, track or card that does not exist; suggests the nearest
    │   └── ConfigError      a lab setting or a file of ours that breaks a rule
    ├── MissingPackage       a package of an extra is not installed (`groundup.extras`)    (exit 3)
    ├── CannotJudge          no verdict was possible, for a reason of the grader's         (exit 3)
    ├── CannotDraw           a figure crashed, took too long, or has no program to write it  (exit 3)
    ├── DataUnavailable      no source has a dataset                                       (exit 3)
    ├── ModelUnavailable     a model does not answer, or no source has its weights         (exit 3)
    ├── WebUnavailable       a web search or a web page failed                             (exit 3)
    ├── StoreError           the store of a system cannot be opened, read or written       (exit 3)
    ├── CannotServe          the API or the page of a system cannot start                  (exit 3)
    └── WorkspaceError       the workspace cannot be read or written                       (exit 2)

Anything else that escapes is a bug, and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def first_line(error: BaseException) -> str:
    """The first line of another library's error, or its type where it has no words: for the reason in one of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class GroundupError(Exception):
    """An expected error: the message names the parameter, the rule, the value and the next step."""

    exit_code = 1


class UsageError(GroundupError):
    """The command, the parameter or the request is wrong."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that does not exist, with the nearest names that do."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, see: str = "groundup map") -> None:
        self.kind, self.name = kind, name
        self.nearest = nearest(name, known)
        hint = f"Did you mean {' or '.join(self.nearest)}?" if self.nearest else f"`{see}` lists them."
        super().__init__(f"There is no {kind} called '{name}'. {hint}")


class ConfigError(UsageError):
    """A setting that breaks a rule."""


class MissingPackage(GroundupError):
    """A package that only a part of groundup needs is not installed."""

    exit_code = 3


class CannotJudge(GroundupError):
    """No verdict was possible, for a reason that is not the learner's."""

    exit_code = 3


class CannotDraw(GroundupError):
    """A figure could not be drawn or written, although it was asked for correctly."""

    exit_code = 3


class DataUnavailable(GroundupError):
    """No source has a dataset."""

    exit_code = 3


class ModelUnavailable(GroundupError):
    """A model does not answer, or no source has its weights."""

    exit_code = 3


class WebUnavailable(GroundupError):
    """A web search or a web page failed, or is forbidden."""

    exit_code = 3


class StoreError(GroundupError):
    """The store of a system could not be opened, read or written."""

    exit_code = 3


class CannotServe(GroundupError):
    """The API or the page of a system cannot start, because a requirement is missing."""

    exit_code = 3


class WorkspaceError(GroundupError):
    """The workspace cannot be read or written."""

    exit_code = 2


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names most like `name`, best first; compares the last part of `phase/unit` names too."""
    known = list(known)
    by_form = {form.lower(): full for full in known for form in (full, full.rsplit("/", 1)[-1])}
    matches = difflib.get_close_matches(name.lower(), by_form, n=2 * count, cutoff=0.55)
    return list(dict.fromkeys(by_form[match] for match in matches))[:count]
