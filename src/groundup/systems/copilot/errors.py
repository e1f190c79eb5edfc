"""The errors that only the copilot raises."""

from __future__ import annotations

from groundup.errors import GroundupError


class ClusterError(GroundupError):
    """A cluster could not be reached, or refused what was asked; `passing` where it may answer the next time."""

    exit_code = 3

    def __init__(self, message: str, *, passing: bool = False) -> None:
        self.passing = passing
        super().__init__(message)
