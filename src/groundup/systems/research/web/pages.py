"""Pages as they are kept, and the passages of them that fit a question.

A page is its readable text in Markdown, without menus and hidden text. trafilatura reads it; where that finds little,
the knowledge base's reader of saved pages does. Secrets are hidden before the text is stored, as in documents;
positions count in the stored text.

Not covered: text that a script writes, text that a style sheet hides, PDF.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from groundup.errors import WebUnavailable
from groundup.knowledge import Part, Passage
from groundup.secrets import hide, hide_all

if TYPE_CHECKING:
    from groundup.stack.retrieval.ingestion import Document

LONGEST = 200_000  # characters of a page's text; the rest is left out
LONGEST_TITLE = 200
SHORT = 250  # characters: trafilatura judges by length, and takes shorter pages as they are, with menus
MOST_TAGS = 5_000  # of a short page: the other reader is slow on a page that nests without end
CHUNK = 200  # tokens of a passage, as in the knowledge base
EACH = 2  # passages of one page
BY_WORDS = 32  # passages of all pages whose meaning is compared
_HIDDEN = [
    "//*[@hidden]", "//*[@aria-hidden='true']",
    *(f"//*[contains(translate(@style, ' ', ''), '{rule}')]" for rule in ("display:none", "visibility:hidden")),
]  # fmt: skip


@dataclass(frozen=True)
class Hit:
    """A page that a search found."""

    address: str
    title: str


@dataclass(frozen=True)
class Page:
    """A page as it is kept.

    Attributes:
        address: its address behind all redirects.
        title: its title.
        text: its text.
        accessed: the time of reading, in UTC.
    """

    address: str
    title: str
    text: str
    accessed: str

    @property
    def sha256(self) -> str:
        """The hash of the text."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


def make_page(address: str, kind: str, charset: str, body: bytes, accessed: str) -> Page:
    """A page from the bytes of a site or a file.

    Raises:
        WebUnavailable: the page has no readable text.
    """
    try:
        title, text = readable(_decoded(body, charset), html="html" in kind)
    except Exception as error:  # parsers raise many errors besides their own on a hostile page
        raise WebUnavailable(f"it cannot be read ({type(error).__name__})") from error
    if not any(map(str.isalnum, text)):
        raise WebUnavailable("it has no text that can be read")
    hidden = "\n".join(hide_all(text[:LONGEST].split("\n")))
    return Page(hide(address), hide(title)[:LONGEST_TITLE], hidden, accessed)


def readable(text: str, *, html: bool) -> tuple[str, str]:
    """The title and the readable text of a page, as Markdown; both may be empty."""
    text = text.replace("\r\n", "\n").replace("\0", "")
    if not html:
        return next((line.strip(" #") for line in text.split("\n") if line.strip()), ""), text.strip()
    import trafilatura
    from lxml import html as markup

    from groundup.knowledge.html import to_markdown

    try:
        # As a tree: trafilatura refuses a text without <html>, and lxml refuses a text that declares an encoding.
        tree = markup.document_fromstring(text.encode("utf-8", "replace"), parser=markup.HTMLParser(encoding="utf-8"))
    except (markup.etree.LxmlError, ValueError):
        return "", ""
    titled = trafilatura.extract_metadata(tree)
    markdown = trafilatura.extract(tree, output_format="markdown", include_comments=False, prune_xpath=_HIDDEN)
    if len(markdown or "") < SHORT and text.count("<") < MOST_TAGS:
        markdown = to_markdown(text)
    return " ".join((titled.title or "").split()) if titled else "", (markdown or "").strip()


def _decoded(body: bytes, charset: str) -> str:
    from groundup.knowledge.html import decoded

    try:
        return body.decode(charset, "replace") if charset else decoded(body)
    except LookupError:  # an unknown name
        return decoded(body)


def document(page: Page) -> Document:
    """A page with a section for each heading."""
    from groundup.stack.retrieval.ingestion import parse_markdown

    return parse_markdown(page.address, page.text)


def passages(pages: Sequence[Page], queries: Sequence[str], k: int, embedder: Any) -> list[Passage]:
    """The `k` best passages of all pages for each query, by words and by meaning, at most two of a page."""
    from groundup.stack.retrieval.ingestion import chunk

    chunks = [
        Passage(made.body, page.address, made.start, made.end, _under(page, str(made.metadata.get("headings", ""))))
        for page in pages
        for made in chunk(document(page), length=embedder.tokens, size=CHUNK, overlap=0)
    ]
    best = [passage for query in queries for passage in _best(chunks, query, k, embedder)] if chunks else []
    return list({(passage.source, passage.start): passage for passage in best}.values())


def _best(chunks: Sequence[Passage], query: str, k: int, embedder: Any) -> list[Passage]:
    import numpy as np

    from groundup.stack.retrieval.ranking import BM25, score_fusion

    index = BM25()
    index.add(range(len(chunks)), [f"{passage.headings}\n{passage.text}" for passage in chunks])
    ids, scores = index.search([query], min(BY_WORDS, len(chunks)))
    first = {passage.source: number for number, passage in reversed(list(enumerate(chunks)))}
    looked_at = list(dict.fromkeys([*(id for id in ids[0].tolist() if id != -1), *first.values()]))
    vectors = embedder.encode([query, *(f"{chunks[id].headings}\n{chunks[id].text}" for id in looked_at)])
    meaning = np.asarray(vectors[1:]) @ np.asarray(vectors[0])
    fused, _ = score_fusion([(ids, scores), (np.array([looked_at]), meaning[None])], len(looked_at))
    chosen: list[Passage] = []
    for id in fused[0].tolist():
        if id != -1 and sum(passage.source == chunks[id].source for passage in chosen) < EACH:
            chosen.append(chunks[id])
    return chosen[:k]


def _under(page: Page, headings: str) -> str:
    """The headings above a passage, with the page's title unless the first heading repeats it."""
    same = not page.title or headings.split(" > ")[0] == page.title
    return headings if same else f"{page.title} > {headings}" if headings else page.title


def around(page: Page, start: int, end: int) -> list[Part]:
    """A place of a kept page with its surroundings, by paragraphs."""
    cuts = [0, *(match.end() for match in re.finditer(r"\n\s*\n", page.text)), len(page.text)]
    first = max(cut for cut in cuts if cut <= start)
    last = min(cut for cut in cuts if cut >= end)
    before = max((cut for cut in cuts if cut < first), default=first)
    behind = min((cut for cut in cuts if cut > last), default=last)
    spans = [(before, first, False), (first, last, True), (last, behind, False)]
    return [
        Part(f"{page.address}:{left}-{right}", page.text[left:right].strip(), cited)
        for left, right, cited in spans
        if page.text[left:right].strip()
    ]
