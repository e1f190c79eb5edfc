"""A knowledge base that other processes may fill while a server reads it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from groundup.files import stamp
from groundup.knowledge.base import Knowledge, open_knowledge

REFRESH = 60.0  # seconds after which a knowledge base on a server is opened again


class Reopened:
    """The knowledge base at a place, reopened after it has learnt.

    Args:
        location: its folder, or the URL of a Chroma server.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._lock = threading.Lock()
        self._opened: tuple[Any, Knowledge | None] = (None, None)

    def now(self) -> Knowledge | None:
        """The present knowledge base, or None. Safe to call from several threads.

        Raises:
            MissingPackage: packages that it needs are not installed.
            ModelUnavailable: the sentence model could be had from nowhere.
            StoreError: it cannot be opened.
        """
        remote = self.location.startswith(("http://", "https://"))
        version = int(time.monotonic() / REFRESH) if remote else stamp(Path(self.location) / "chroma.sqlite3")
        with self._lock:
            if version is None:
                return None
            if self._opened[0] != version:
                self._opened = (version, open_knowledge(self.location, reading=True))
            return self._opened[1]
