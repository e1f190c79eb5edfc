"""The errors that only the copilot raises."""

from __future__ import annotations

from groundup.errors import GroundupError


class ClusterError(GroundupError):
    """A cluster could not be reached, or refused what was asked; `passing` where it may answer the next time."""

    exit_code = 3

    def __init__(self, message: str, *, passing: bool = False) -> None:
        self.passing = passing
        super().__init__(message)


class CannotRead(GroundupError):
    """A log is no text, is packed in a way that is not read, or is not all there."""

    exit_code = 3

    def __init__(self, name: str, reason: str, remedy: str) -> None:
        self.reason, self.remedy = reason, remedy
        super().__init__(f"FILE must be a log, and '{name}' {reason}. {remedy}.")
