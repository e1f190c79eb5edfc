"""Passages for a sub-question, and the spans of them that answer it.

A model reads the passages and replies; every sentence of the reply is looked up in them (`groundup.llm.grounding`).
A note holds the span of the source, never the model's words. Contradicting spans of other documents are noted, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from groundup.errors import WebUnavailable
from groundup.knowledge import unwrapped
from groundup.llm.instructions import blanked, orders
from groundup.secrets import hide
from groundup.stack.retrieval.rag import NO_ANSWER, Passage, assemble, prompt, sentences
from groundup.systems.research.calls import call, instructed
from groundup.systems.research.planning import query
from groundup.systems.research.state import Cost, LeftOut, Note, Source
from groundup.systems.research.verifying import disagree, held

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

    from groundup.knowledge import Knowledge
    from groundup.knowledge import Passage as Chunk
    from groundup.systems.research.web import Web
    from groundup.systems.research.web.pages import Hit, Page

DOCUMENTS = 5  # that are looked into for a sub-question
PAGES = 4  # of the web that are read for a query
WIDER = 3  # whose neighbourhood is searched, where nothing answered
TOKENS = 3_000  # of passages in a prompt, counted as three characters each
_HEADING = re.compile(r"#+\s[^\n]*\Z")  # it names the text below it, and says nothing by itself
_MARK = re.compile(r"(?:(?:[-*+>]|\d+[.)])\s+)+")  # of an item of a list


def retrieve(
    plan: list[str], at: int, question: str, knowledge: Knowledge, *, wider: bool
) -> tuple[list[Source], list[LeftOut]]:
    """The passages for a sub-question, and the orders to models in them.

    `wider` searches for the whole question too, and beside the best passages.
    """
    chunks = knowledge.search(query(plan, at), DOCUMENTS)
    if wider:
        near = [chunk for best in chunks[:WIDER] for chunk in knowledge.around(best.source, best.start, best.end)[0]]
        chunks = [*chunks, *near, *knowledge.search(question, DOCUMENTS)]
    unique = list({(chunk.source, chunk.start): chunk for chunk in chunks}.values())
    return [_source(at, chunk) for chunk in unique], [order for chunk in unique for order in _left_out(chunk)]


def retrieve_web(
    plan: list[str], at: int, question: str, web: Web, embedder: Any, *, wider: bool
) -> tuple[list[Source], list[LeftOut], list[str]]:
    """Passages of pages for a sub-question, the orders to models in them, and a line for each failure.

    `wider` searches for the whole question too.
    """
    from groundup.systems.research.web.pages import passages

    queries = [query(plan, at)]
    if wider and question not in queries:
        queries.append(question)
    hits: dict[str, Hit] = {}
    failed: list[str] = []
    for text in queries:
        try:
            hits |= {hit.address: hit for hit in web.search(text, PAGES)}
        except WebUnavailable as error:
            failed.append(f"search: {error}")

    def page(hit: Hit) -> Page | str:
        try:
            return web.page(hit.address)
        except WebUnavailable as error:
            return f"{hide(hit.address)}: {error}"

    with ThreadPoolExecutor(PAGES) as pool:
        came = list(pool.map(page, hits.values()))
    failed += [line for line in came if isinstance(line, str)]
    pages = {page.address: page for page in came if not isinstance(page, str)}  # redirects may lead to the same page
    chunks = passages(list(pages.values()), queries, DOCUMENTS, embedder)
    sources = [_source(at, chunk, pages[chunk.source]) for chunk in chunks]
    return sources, [order for chunk in chunks for order in _left_out(chunk)], failed


def _source(at: int, chunk: Chunk, page: Page | None = None) -> Source:
    source = Source(
        question=at,
        document=chunk.source,
        start=chunk.start,
        end=chunk.end,
        headings=blanked(chunk.headings).strip(" >"),
        text=unwrapped(blanked(chunk.text)),
        sha256=hashlib.sha256(chunk.text.encode("utf-8", "surrogatepass")).hexdigest(),
    )
    if page is not None:
        source["title"], source["accessed"] = blanked(page.title).strip(), page.accessed
    return source


def _left_out(chunk: Chunk) -> list[LeftOut]:
    return [
        LeftOut(
            document=chunk.source, start=chunk.start + start, end=chunk.start + end,
            text=" ".join(chunk.text[start:end].split()),
        )
        for start, end in orders(chunk.text)
    ]  # fmt: skip


def read(
    plan: list[str], at: int, sources: Sequence[Source], model: BaseChatModel, instructions: str
) -> tuple[list[Note], Cost]:
    """The spans of the sources that answer a sub-question, in the order of the reply, each once."""
    passages = [Passage(source["text"], about(source)) for source in sources]
    room = assemble(passages, budget=TOKENS, length=lambda text: len(text) // 3)
    place = {id(passage): source for passage, source in zip(passages, sources, strict=True)}
    read_sources = [place[id(passage)] for passage in room]
    reply, cost = call(model, instructed(instructions, prompt(plan[at], room)), f"read for {at + 1}")
    notes: dict[tuple[str, int, int], Note] = {}

    def take(source: Source, start: int, end: int) -> None:
        note = _note(at, source, start, end)
        if not _HEADING.match(note["text"]):
            notes.setdefault((note["document"], note["start"], note["end"]), note)

    for sentence in held(reply, room):
        if sentence.span is not None and sentence.text != NO_ANSWER:
            take(read_sources[sentence.span.number - 1], sentence.span.start, sentence.span.end)
    for note in list(notes.values()):  # a reader may pass over a contradiction
        for source in sources:  # also sources that the prompt left out as repetitions
            if source["document"] != note["document"]:
                for start, end in sentences(source["text"]):
                    if disagree(note["text"], source["text"][start:end]):
                        take(source, start, end)
    return list(notes.values()), cost


def about(source: Source) -> str:
    """The description of a source for a model."""
    return f"{source['document']}, {source['headings']}" if source["headings"] else source["document"]


def _note(at: int, source: Source, start: int, end: int) -> Note:
    text = source["text"]
    if mark := _MARK.match(text, start, end):
        start = mark.end()
    return Note(
        question=at, document=source["document"], start=source["start"] + start, end=source["start"] + end,
        headings=source["headings"], text=text[start:end],
    )  # fmt: skip
