"""The grader's verdict on one submission."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from groundup.errors import WorkspaceError

Outcome = Literal["passed", "failed", "not_attempted", "timeout", "crashed", "refused"]
CheckOutcome = Literal["passed", "failed", "not_attempted", "not_run"]
STAYS_PASSED = "The unit stays passed: its checks run kernels as Python. Labs and systems compile them and would stop."


EXIT_CODES: dict[Outcome, int] = {
    "passed": 0,
    "failed": 1,
    "not_attempted": 1,
    "timeout": 1,
    "crashed": 1,
    "refused": 1,
}


@dataclass(frozen=True)
class CheckResult:
    """The result of one check on one submission.

    Attributes:
        name: the check's function name, with its parameters in brackets where it has any.
        outcome: `not_attempted` when it reached a body that still raises `NotImplementedError`.
        message: the fault, written for the learner; empty after a pass.
        location: `file:line` in the learner's file, where the failure came from it; else empty.
        diagnosis: the mistake that the code resembles, or the function at fault; empty when neither is known.
        seconds: its duration.
    """

    name: str
    outcome: CheckOutcome
    message: str = ""
    location: str = ""
    diagnosis: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """The grader's whole answer. Its JSON form is documented and stable."""

    unit: str
    verdict: Outcome
    checks: tuple[CheckResult, ...] = ()
    message: str = ""
    code_sha256: str = ""
    checks_sha256: str = ""
    seed: int = 0
    seconds: float = 0.0
    mine: tuple[str, ...] = field(default=())
    """Other units whose code was the learner's own in this run."""
    copied: bool = False
    """Whether every function to write is the reference's, word for word but for comments and docstrings."""

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return self.verdict == "passed"

    @property
    def exit_code(self) -> int:
        """The shell's exit code for this verdict."""
        return EXIT_CODES[self.verdict]

    def to_json(self) -> dict[str, Any]:
        """The verdict document."""
        document = asdict(self)
        document["checks"] = list(document["checks"])
        document["mine"] = list(self.mine)
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Verdict:
        """The inverse of `to_json`. Raises WorkspaceError for a document that is no verdict."""
        try:
            fields = dict(document)
            fields["checks"] = tuple(CheckResult(**check) for check in fields.get("checks", ()))
            fields["mine"] = tuple(fields.get("mine", ()))
            return cls(**fields)
        except (TypeError, ValueError) as error:
            raise WorkspaceError(
                f"A row of the ledger holds no verdict ({error}). `groundup replay` names it. Restore the ledger "
                "from git or from a backup."
            ) from error


@dataclass(frozen=True)
class Compiled:
    """The outcome of a submission's kernels, compiled by Numba, under the checks that they passed uncompiled.

    Attributes:
        ok: whether every check passed again.
        message: the obstacle, in one line: the kernel and Numba's reason, or the check that now fails.
        code_sha256: the hash of the submission's code; layout, comments and docstrings do not count.
    """

    ok: bool
    message: str
    code_sha256: str

    @property
    def words(self) -> str:
        """The outcome, in words for the learner."""
        if self.ok:
            return "Compiled by Numba, your code passes the same checks."
        return f"{self.message} {STAYS_PASSED}"


def sha256_text(text: str) -> str:
    """SHA-256 of a source text, the same whatever the line endings."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a source file, the same whatever the line endings."""
    return sha256_text(path.read_text(encoding="utf-8"))
