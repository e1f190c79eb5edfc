"""Search servers: SearXNG, Brave, Tavily and DuckDuckGo. Each finds addresses; the pages themselves are fetched.

| name | needs |
|---|---|
| `searxng` | `GROUNDUP_SEARXNG`, the server's address; in its settings, `json` among `search.formats`, and no limiter |
| `brave` | `BRAVE_API_KEY` |
| `tavily` | `TAVILY_API_KEY` |
| `duckduckgo` | nothing: its page without scripts is read; the server may refuse that |

A key is read from the environment when it is sent. No message holds a key or a server's reply. Redirects are not
followed, so a key goes nowhere else. A search server may be in a private network: a person named it, not a page.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from groundup.errors import UsageError, WebUnavailable
from groundup.systems.research.web.fetching import Fetcher, opened, whole
from groundup.systems.research.web.pages import Hit, Page, make_page

BRAVE = "https://api.search.brave.com/res/v1/web/search"
TAVILY = "https://api.tavily.com/search"
DUCKDUCKGO = "https://html.duckduckgo.com/html/"
SECONDS = 15.0  # for a search
MOST = 2_000_000  # bytes of a reply
LONGEST = 400  # characters of a query: Brave and Tavily take no more
WORDS = 50  # of a query: Brave takes no more
_COMMAND = re.compile(r"(?<!\S)[!:<]+")  # SearXNG obeys words: `!engine`, `!!another-site`, `:language`, `<seconds`
_MOVED = "it leads to another address, which is not followed: set GROUNDUP_SEARXNG to that address"
_SEARXNG = {
    301: _MOVED, 302: _MOVED, 307: _MOVED, 308: _MOVED,
    403: "search.formats in its settings lacks json",
    429: "its limiter refuses programs: set server.limiter to false in its settings, or list this machine in its "
    "limiter.toml under botdetection.ip_lists.pass_ip",
}  # fmt: skip


class Engine:
    """A search server, and the pages that it finds."""

    def __init__(self, name: str, fetcher: Fetcher | None = None) -> None:
        self.name, self.fetcher = name, fetcher or Fetcher()

    def search(self, query: str, k: int) -> list[Hit]:
        """The best `k` pages.

        Raises:
            WebUnavailable: the server does not answer, or not with a list of pages.
        """
        cut = " ".join(query.split()[:WORDS])[:LONGEST]
        try:
            reply = ENGINES[self.name](cut, k)
        except (LookupError, TypeError, ValueError, AttributeError) as error:  # of a reply in another form
            raise WebUnavailable(f"{self.name} replies what is no list of pages ({type(error).__name__})") from error
        hits = {hit.address: hit for hit in reply if hit.address.startswith(("http://", "https://"))}
        return list(hits.values())[:k]

    def page(self, address: str) -> Page:
        """A page, fetched now.

        Raises:
            WebUnavailable: the page cannot be read, may not be read, or has no text.
        """
        fetched = self.fetcher.fetch(address)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return make_page(fetched.address, fetched.kind, fetched.charset, fetched.body, now)


def _searxng(query: str, k: int) -> list[Hit]:
    parameters = urlencode({"q": _COMMAND.sub("", query), "format": "json"})
    reply = _json("searxng", f"{searxng_address()}/search?{parameters}", _SEARXNG)
    failed = reply.get("unresponsive_engines")
    if failed and not reply["results"]:  # it answers 200 all the same
        raise WebUnavailable(
            f"searxng must find pages, and cannot: {len(failed)} of its search engines did not answer, and no other "
            "found any. See its page /stats"
        )
    return [_hit(entry) for entry in reply["results"]]


def searxng_address() -> str:
    """The address of SearXNG.

    Raises:
        UsageError: `GROUNDUP_SEARXNG` is not set, is no address, or has a password.
    """
    address = os.environ.get("GROUNDUP_SEARXNG", "").strip().rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password or parts.query:
        raise UsageError(
            "GROUNDUP_SEARXNG must be the address of a SearXNG, without user and password, "
            f"and {'is not' if address else 'is not set'}. For example: http://127.0.0.1:8888"
        )
    return address


def _brave(query: str, k: int) -> list[Hit]:
    parameters = urlencode({"q": query, "count": min(k, 20)})
    reply = _json("brave", f"{BRAVE}?{parameters}", headers={"X-Subscription-Token": _key("BRAVE_API_KEY")})
    return [_hit(entry) for entry in reply.get("web", {}).get("results", [])]  # no `web` for an empty result


def _tavily(query: str, k: int) -> list[Hit]:
    headers = {"Authorization": f"Bearer {_key('TAVILY_API_KEY')}", "Content-Type": "application/json"}
    content = json.dumps({"query": query, "max_results": min(k, 20)}).encode()
    return [_hit(entry) for entry in _json("tavily", TAVILY, headers=headers, content=content)["results"]]


def _duckduckgo(query: str, k: int) -> list[Hit]:
    from lxml import html

    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
    status_texts = {202: "it asks whether you are a person; wait, or use another server"}
    page = _response("duckduckgo", DUCKDUCKGO, status_texts, headers, urlencode({"q": query}).encode())
    tree = html.document_fromstring(b"<html>" + page, parser=html.HTMLParser(encoding="utf-8"))
    hits = []
    for link in tree.iterfind(".//a[@href]"):
        if "result__a" in link.get("class", "").split():
            target = urlsplit(urljoin(DUCKDUCKGO, link.get("href")))
            if target.path == "/y.js":
                continue  # an advertisement
            real = parse_qs(target.query).get("uddg", [target.geturl()])[0]
            hits.append(Hit(real, " ".join(link.text_content().split())))
    return hits


ENGINES: dict[str, Callable[[str, int], list[Hit]]] = {
    "searxng": _searxng, "brave": _brave, "tavily": _tavily, "duckduckgo": _duckduckgo,
}  # fmt: skip
KEYS = {"brave": "BRAVE_API_KEY", "tavily": "TAVILY_API_KEY"}


def check_settings(name: str) -> None:
    """Raise UsageError where the environment lacks a search server's address or key."""
    if name == "searxng":
        searxng_address()
    elif name in KEYS:
        _key(KEYS[name])


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise UsageError(
            f"{variable} must be the key of the search server, and {'is no key' if key else 'is not set'}. "
            "Set it in the environment, or name another server with --web."
        )
    return key


def _hit(entry: Mapping[str, Any]) -> Hit:
    return Hit(str(entry["url"]), " ".join(str(entry.get("title") or "").split()))


def _json(
    name: str,
    address: str,
    status_texts: Mapping[int, str] | None = None,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
) -> Any:
    sent = {"Accept": "application/json", **(headers or {})}
    return json.loads(_response(name, address, status_texts or {}, sent, content))


_USUAL = {
    401: "the key is not accepted", 403: "it forbids the search", 429: "it was asked too often", 432: "the plan is "
    "used up",
}  # fmt: skip


def _response(
    name: str, address: str, status_texts: Mapping[int, str], headers: Mapping[str, str], content: bytes | None
) -> bytes:
    method, deadline = "GET" if content is None else "POST", time.monotonic() + SECONDS
    try:
        with opened(
            address, deadline=deadline, guarded=False, method=method, headers=headers, content=content
        ) as response:
            if response.status != 200:
                why = {**_USUAL, **status_texts}.get(response.status)
                raise WebUnavailable(f"it answers {response.status}{f': {why}' if why else ''}")
            return whole(response, MOST)
    except WebUnavailable as error:
        raise WebUnavailable(f"{name} must answer, and does not: {error}") from error
