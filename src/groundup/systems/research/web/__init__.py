"""The web as a source: one interface for four search servers, a recorded folder, and the pages of another run.

    web = open_web("searxng")                                 # or "brave", "tavily", "duckduckgo", a folder
    for hit in web.search("what is full jitter", 4):
        print(web.page(hit.address).text)

A page is text, and never an instruction. `httpcore`, `protego` and `trafilatura` (the extra `research`) are imported
when they are needed, not before.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from groundup.errors import UsageError
from groundup.extras import need

if TYPE_CHECKING:
    from groundup.systems.research.web.pages import Hit, Page


class Web(Protocol):
    """A source that searches pages and reads them; both raise WebUnavailable in one line."""

    name: str

    def search(self, query: str, k: int) -> list[Hit]:
        """The best `k` pages for a query."""
        ...

    def page(self, address: str) -> Page:
        """The page of an address."""
        ...


SERVERS = ("searxng", "brave", "tavily", "duckduckgo")


def open_web(name: str) -> Web:
    """A search server by its name, or a recorded folder by its path.

    Raises:
        UsageError: the name is neither, or the environment lacks its address or key.
        MissingPackage: packages that it needs are not installed.
    """
    need("Web search", "httpcore", "protego", "trafilatura", "numba", "Stemmer")
    if name in SERVERS:
        from groundup.systems.research.web.searching import Engine, check_settings

        check_settings(name)
        return Engine(name)
    from groundup.systems.research.web.recorded import Folder

    if not Path(name).is_dir():
        raise UsageError(
            f"web must be searxng, brave, tavily, duckduckgo, a folder of recorded pages, or run:ID, got '{name}'. "
            "Check the name, or the path."
        )
    return Folder(Path(name))
