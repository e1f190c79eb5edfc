"""Recorded pages, served in place of the web: from a folder, or from the pages of a run.

A folder has the pages as files, and `pages.json` with the address and the time of each:

    [{"file": "jitter.html", "address": "https://docs.example/jitter", "accessed": "2026-11-30T08:00:00+00:00"}]
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.errors import UsageError, WebUnavailable
from groundup.secrets import hide
from groundup.systems.research.web.addresses import checked
from groundup.systems.research.web.pages import Hit, Page, make_page

if TYPE_CHECKING:
    from groundup.stack.retrieval.ranking import BM25
    from groundup.systems.research.web import Web

LIST = "pages.json"
TABLES = """
CREATE TABLE IF NOT EXISTS searches (run TEXT, query TEXT, found TEXT NOT NULL, PRIMARY KEY (run, query));
CREATE TABLE IF NOT EXISTS pages (run TEXT, asked TEXT, address TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL,
    accessed TEXT NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY (run, asked));
"""


class Folder:
    """A recorded folder. Its search is by words; its pages are read as fetched pages are."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, str(folder.resolve())
        try:
            entries = json.loads((folder / LIST).read_text(encoding="utf-8"))
            self._files = {checked(entry["address"]): (str(entry["file"]), str(entry["accessed"])) for entry in entries}
        except (OSError, ValueError, TypeError, KeyError, WebUnavailable) as error:
            raise UsageError(
                f"web must be a folder with a {LIST} that lists its pages, and that of '{folder}' cannot be read: "
                f'{error}. For example: [{{"file": "a.html", "address": "https://docs.example/a", '
                '"accessed": "2026-11-30T08:00:00+00:00"}]'
            ) from error

    def search(self, query: str, k: int) -> list[Hit]:
        """The best `k` pages that have words of the query."""
        pages, index = self._index
        ids, _ = index.search([query], min(k, len(pages))) if pages else ([[]], None)
        return [Hit(*pages[id]) for id in map(int, ids[0]) if id != -1]

    def page(self, address: str) -> Page:
        """A page of the folder.

        Raises:
            WebUnavailable: the folder has no page of this address, or the page has no text.
        """
        address = checked(address)
        if address not in self._files:
            raise WebUnavailable("the folder has no page of this address")
        name, accessed = self._files[address]
        file = (self.folder / name).resolve()
        if not file.is_relative_to(self.folder.resolve()):
            raise WebUnavailable(f"{name} is outside of the folder")
        try:
            body = file.read_bytes()
        except OSError as error:
            raise WebUnavailable(f"{name} cannot be read: {error.strerror}") from error
        kind = "text/html" if file.suffix.lower() in (".html", ".htm", ".xhtml") else "text/plain"
        return make_page(address, kind, "", body, accessed)

    @cached_property
    def _index(self) -> tuple[list[tuple[str, str]], BM25]:
        """Addresses with titles, and their words; the words of an unreadable page are those of its address."""
        from groundup.stack.retrieval.ranking import BM25

        pages, texts, index = [], [], BM25()
        for address in self._files:
            try:
                page = self.page(address)
                pages.append((address, page.title))
                texts.append(f"{page.title}\n{page.text}")
            except WebUnavailable:
                pages.append((address, ""))
                texts.append(address.replace("-", " ").replace("/", " "))
        index.add(range(len(texts)), texts)
        return pages, index


class Kept:
    """The web of one run: every search and every page is stored, and never requested again.

    Args:
        database: the store of runs.
        held: locks the store while it is read or written.
        run: the run's id.
        source: the web for everything not stored yet; None for stored pages only.
    """

    def __init__(
        self, database: sqlite3.Connection, held: Callable[[], AbstractContextManager[object]], run: str,
        source: Web | None,
    ) -> None:  # fmt: skip
        self.database, self.held, self.run, self.source = database, held, run, source
        self.name = f"run:{run}" if source is None else source.name

    def search(self, query: str, k: int) -> list[Hit]:
        """The hits of a search, recorded or new."""
        with self.held():
            row = self.database.execute(
                "SELECT found FROM searches WHERE run = ? AND query = ?", (self.run, query)
            ).fetchone()
        if row is not None:
            return [Hit(**hit) for hit in json.loads(row[0])]
        hits = self._source().search(query, k)
        with self.held(), self.database:
            listing = json.dumps([{"address": hide(hit.address), "title": hide(hit.title)} for hit in hits])
            self.database.execute("INSERT OR REPLACE INTO searches VALUES (?, ?, ?)", (self.run, query, listing))
        return hits

    def page(self, address: str) -> Page:
        """A page, stored or read now."""
        key = hide(address)
        with self.held():
            row = self.database.execute(
                "SELECT address, title, text, accessed FROM pages WHERE run = ? AND asked = ?", (self.run, key)
            ).fetchone()
        if row is not None:
            return Page(*row)
        page = self._source().page(address)
        with self.held(), self.database:
            row = (self.run, key, page.address, page.title, page.text, page.accessed, page.sha256)
            self.database.execute("INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return page

    def _source(self) -> Web:
        if self.source is None:
            raise WebUnavailable(f"report {self.run} did not read it")
        return self.source


def kept_page(database: sqlite3.Connection, address: str, run: str = "") -> Page | None:
    """A page that a run read, or its newest reading by any run; None if no run has read it."""
    row = database.execute(
        "SELECT address, title, text, accessed FROM pages WHERE address = ? AND (run = ? OR ? = '') "
        "ORDER BY accessed DESC LIMIT 1",
        (address, run, run),
    ).fetchone()
    return None if row is None else Page(*row)
