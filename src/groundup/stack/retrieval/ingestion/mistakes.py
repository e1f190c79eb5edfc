# pyright: basic
"""Wrong ways to write parsing, chunking and the knowledge base, each with its diagnosis, and right ways that differ."""

import re

from groundup.anatomy import mistake, variant
from groundup.stack.retrieval.ingestion.ingestion import (
    SEPARATORS,
    separate,
)


@mistake("separate", edit=[(" if start < end else []", ""), ("start < cut < end and ", "")])
def keeps_empty_spans():
    """You cut at the very end as well when a separator stands there, and leave an empty span behind it. Only a cut
    with something before it and behind it, `start < cut < end`, makes two spans.
    """


@mistake("separate", edit=(" and not any(first < cut < last for first, last in whole)", ""))
def cuts_into_what_is_whole():
    """You do not look at `whole`, so that code is cut at its empty lines. Drop every cut that lies strictly within a
    whole span.
    """


@mistake("pieces", edit=("middle = (start + end) // 2\n        parts = [(start, middle), (middle", "return [(start"))
def stops_at_words():
    """A word without any separator stays as long as it is, although it does not fit: an address or a key in Base64 can
    be thousands of characters long. Cut it in the middle, and its halves again.
    """


@mistake("pieces", edit=("break", "return parts"))
def uses_one_separator():
    """You cut at the best separator once and take the parts as they come. A paragraph may still be too long: treat
    each part as you treat the whole, by calling yourself.
    """


@mistake("merge", edit=("measure(start, spans[last + 1][1", "sum(measure(*span) for span in spans[first : last + 2"))
def adds_lengths_up():
    """You add the lengths of the spans up. What is put together may measure less than its parts, because a tokenizer
    marks the ends of every text. Measure from the first span's start to the last one's end.
    """


@mistake("merge", edit=("while measure", "if measure"))
def repeats_one_span():
    """You repeat one span at most. The overlap says how much may be repeated, which can be several short sentences."""


@mistake("chunk", edit=("seen[text]}", "start}"))
def names_chunks_by_position():
    """Your ids come from the position. Put one line at the top of a file, and every chunk below gets a new id and a
    new vector, although nothing in it has changed. Make the id from the source and the text.
    """


@mistake("chunk", edit=('f"{document.source}\\0{seen[text]}\\0{text}"', 'f"{document.source}\\0{text}"'))
def gives_equal_texts_one_id():
    """Your id is a hash of the source and the text alone, so a sentence that comes twice in a document has one id for
    two chunks: the store refuses both, or keeps one. Count which one of its equals a chunk is, and hash that too.
    """


@mistake("chunk", edit=("document.sections or ", ""))
def forgets_the_sections():
    """You chunk the document in one go. Chunks then run across headings and pages, and nobody can say on which page a
    sentence is. Chunk each section by itself, and tell its chunks its metadata.
    """


@mistake("chunk", edit=("text = header + body", 'text, header = body, ""'))
def leaves_the_header_behind():
    """You cut a long table and leave its header in the first chunk. The rows of the others are numbers of which nobody
    knows what they count: put the table's header in front of them.
    """


@mistake(
    "parse_markdown",
    edit=(
        'match.end() for match in re.finditer(r"\\r\\n|\\r|\\n", text',
        "sum(map(len, text.splitlines(True)[: i + 1])) for i in range(len(text.splitlines())",
    ),
)
def counts_lines_as_python_does():
    """You find the lines with `splitlines`, which also ends a line at form feeds and other separators. CommonMark does
    not, so that every position behind one of them is wrong. Lines end at /r/n, /r or /n only.
    """


@mistake("parse_markdown", edit=("level < depth", "level != depth"))
def keeps_headings_that_ended():
    """You keep headings in the path that the new one has ended. A heading closes all of its own level and below, so
    that only those with `level < depth` stay above it.
    """


@mistake("parse_markdown", edit=('token.type == "heading_open" and token.level == 0', 'token.type == "heading_open"'))
def takes_quoted_headings():
    """You begin a section at headings within quotes and lists, too. Those belong to the quote: only tokens of level 0
    are headings of the document.
    """


@mistake("join_pages", edit=("    text", "    pages = [page for page in pages if page.strip()]\n    text"))
def skips_empty_pages():
    """You leave empty pages out before you count, so that every page behind one has a number too small. An empty page
    is a page.
    """


@mistake(
    "where",
    edit=(
        'conditions[0] if len(conditions) == 1 else {"$and": conditions',
        "{key: test for condition in conditions for key, test in condition.items()",
    ),
)
def leaves_several_side_by_side():
    """You put several conditions side by side into one mapping. Chroma refuses that: several go into a list under
    `$and`.
    """


@mistake("changes", edit=("tuple(name for name in wanted if name in stored and stored[name] != wanted[name])", "()"))
def never_updates():
    """You compare ids only. A chunk whose text is the same may have moved, or its file may have a new owner: where the
    metadata differs, it is to be told.
    """


@mistake(
    "KnowledgeBase.ingest",
    edit=("changes(stored, wanted", "Changes(tuple(wanted), (), tuple(name for name in stored if name not in wanted)"),
)
def embeds_everything_again():
    """You throw a changed file's chunks away and embed all of them anew. One changed word then costs as much as the
    whole file. Ask `changes` what is new, and embed that.
    """


@mistake("KnowledgeBase.ingest", edit=("all", "any"))
def looks_at_one_chunk():
    """You take the document for stored when one of its chunks says so. A process that died half-way leaves such a
    chunk among others that are old: all of them must say so, and none may be missing.
    """


@mistake(
    "KnowledgeBase.ingest",
    edit=[
        ("    for ids in _batches(todo.remove):\n        self.collection.delete(ids=ids)\n", ""),
        (
            "    for ids in _batches(todo.add",
            "    for ids in _batches(todo.remove):\n"
            "        self.collection.delete(ids=ids)\n"
            "    for ids in _batches(todo.add",
        ),
    ],
)
def deletes_first():
    """You delete before you add. Between the two, somebody who asks finds neither the old text nor the new one, and if
    the process dies there, it stays so. Add first.
    """


@variant("separate")
def in_a_loop(text, start, end, pattern, whole=()):
    """A loop instead of comprehensions."""
    spans, begin = [], start
    for match in re.compile(pattern).finditer(text, start, end):
        cut = match.end()
        if begin < cut < end and all(cut <= first or cut >= last for first, last in whole):
            spans.append((begin, cut))
            begin = cut
    if begin < end:
        spans.append((begin, end))
    return spans


@variant("pieces")
def with_a_stack(text, start, end, fits, whole=()):
    """Without calling itself: a stack of what is still to be looked at."""
    found, waiting = [], [(start, end)]
    while waiting:
        first, last = waiting.pop()
        if first == last:
            continue
        if fits(first, last):
            found.append((first, last))
            continue
        cuts = (separate(text, first, last, pattern, whole) for pattern in SEPARATORS)
        parts = next((some for some in cuts if len(some) > 1), None)
        if parts is None:
            if last - first == 1:
                raise ValueError(f"the character {text[first]!r} is too long")
            parts = [(first, (first + last) // 2), ((first + last) // 2, last)]
        waiting.extend(reversed(parts))
    return found


@variant("merge")
def with_a_window(spans, measure, size, overlap):
    """A window that grows at the right and shrinks at the left."""
    groups, window = [], []
    for span in spans:
        if window and measure(window[0][0], span[1]) > size:
            end = window[-1][1]
            groups.append((window[0][0], end))
            window = window[1:]
            while window and (measure(window[0][0], end) > overlap or measure(window[0][0], span[1]) > size):
                window = window[1:]
        window.append(span)
    if window:
        groups.append((window[0][0], window[-1][1]))
    return groups
