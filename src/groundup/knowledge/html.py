"""A saved web page as a document: its readable text in Markdown, without what belongs to the site around it.

    parse_html("pages/backoff.html", "<main><h1>Backoff</h1><p>Wait longer each time.</p></main>").text
    # a heading, "# Backoff", and a paragraph

Positions count in that text, which the same file always gives. Where the page marks its content (`<main>`,
`<article>`), only that is read. Navigation, forms, scripts and what the page hides (`hidden`, `aria-hidden`,
`display: none`) are left out.

Not covered: text that a script writes, text that a style sheet hides, and pages that mark nothing and have long menus.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from groundup.stack.retrieval.ingestion import Document
    from groundup.stack.retrieval.ingestion.ingestion import Value

_SKIPPED = frozenset(
    "aside audio button canvas dialog footer form head iframe nav noscript object script select style svg template "
    "textarea title video".split()
)
_VOID = frozenset("area base br col embed hr img input link meta param source track wbr".split())
_BLOCKS = frozenset(
    "address article blockquote body caption dd details div dl dt fieldset figcaption figure h1 h2 h3 h4 h5 h6 header "
    "hgroup hr html li main ol p pre section summary table tbody td tfoot th thead tr ul".split()
)
_CONTENT = ("main", "article")
_HEADINGS = frozenset(f"h{level}" for level in range(1, 7))
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?\s*([\w-]+)", re.IGNORECASE)


def parse_html(source: str, html: str, metadata: Mapping[str, Value] | None = None) -> Document:
    """A page as a document with a section for each heading.

    Raises:
        ValueError: the page has no text.
    """
    from groundup.stack.retrieval.ingestion import parse_markdown

    text = to_markdown(html)
    if not text:
        raise ValueError(
            f"{source} has no text that can be read; perhaps a script writes it. Save the page as it is shown."
        )
    return parse_markdown(source, text, metadata)


def to_markdown(html: str) -> str:
    """The readable text of a page: headings, paragraphs, items and code, an empty line between two of them."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    reader.end_block()
    best = next((reader.inside[name] for name in _CONTENT if reader.inside[name]), reader.every)
    return "\n\n".join(best) + "\n" if best else ""


def decoded(content: bytes) -> str:
    """The characters of a page: by its byte-order mark, what it says of itself, or UTF-8."""
    declared = _CHARSET.search(content[:2048])
    encoding = "utf-8-sig" if declared is None or content.startswith(b"\xef\xbb\xbf") else declared[1].decode("ascii")
    try:
        return content.decode(encoding, "replace")
    except LookupError:  # a name that nobody knows
        return content.decode("utf-8", "replace")


class _Reader(HTMLParser):
    """Collects blocks of text: all of them, and those inside of each element that marks content.

    No tag looks through the open elements, which a page may nest without end: what is asked of them is kept beside.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.every: list[str] = []
        self.inside: dict[str, list[str]] = {name: [] for name in _CONTENT}
        self.open: list[tuple[str, bool]] = []  # elements, and whether each is skipped
        self.count: Counter[str] = Counter()  # of the open elements, by name
        self.headings: list[str] = []  # those that are open
        self.pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.end_block()
        elif tag == "br":
            self.pieces.append(" ")
        if tag in _VOID:
            return
        given = dict(attrs)
        hidden = "hidden" in given or given.get("aria-hidden") == "true" or _HIDDEN.search(given.get("style") or "")
        self.open.append((tag, tag in _SKIPPED or bool(hidden) or self._skipping()))
        self.count[tag] += 1
        if tag in _HEADINGS:
            self.headings.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self.end_block()
        name = "" if self.count[tag] else tag  # nothing ends where none is open
        while name != tag:  # whatever was left open inside ends with it
            name, _ = self.open.pop()
            self.count[name] -= 1
            if name in _HEADINGS:
                self.headings.pop()

    def handle_data(self, data: str) -> None:
        if not self._skipping():
            self.pieces.append(data)

    def _skipping(self) -> bool:
        return bool(self.open) and self.open[-1][1]

    def end_block(self) -> None:
        """Close the block of text at hand."""
        text, self.pieces = "".join(self.pieces), []
        if self.count["pre"]:
            block = f"```\n{text.strip(chr(10))}\n```" if text.strip() else ""
        else:
            block = " ".join(text.split())
            if block and self.headings:
                block = f"{'#' * int(self.headings[-1][1])} {block}"
            elif block and self.count["li"]:
                block = f"- {block}"
        if block:
            self.every.append(block)
            for name in _CONTENT:
                if self.count[name]:
                    self.inside[name].append(block)
