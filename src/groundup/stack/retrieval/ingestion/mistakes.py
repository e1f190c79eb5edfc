# pyright: basic
"""Wrong ways to write parsing, chunking and the knowledge base, each with its diagnosis, and right ways that differ."""

import re

from groundup.anatomy import mistake, variant
from groundup.stack.retrieval.ingestion.ingestion import (
    SEPARATORS,
    separate,
)


@mistake("separate", edit=("first < cut < last", "first <= cut <= last"))
def forbids_the_edges_of_what_is_whole():
    """You drop the cuts at the beginning and at the end of a whole span too, and so glue it to its neighbours. Only
    `first < cut < last` lies within.
    """


@mistake("separate", edit=("match.end", "match.start"))
def puts_separators_in_front():
    """You cut in front of a separator, so that it begins the next span. It belongs to the span before it: cut at
    `match.end()`.
    """


@mistake("pieces", edit=("middle = (start + end) // 2\n        parts = [(start, middle), (middle", "return [(start"))
def stops_at_words():
    """A word without any separator stays as long as it is, although it does not fit: an address or a key in Base64 can
    be thousands of characters long. Cut it in the middle, and its halves again.
    """


@mistake("pieces", edit=("SEPARATORS", "reversed(SEPARATORS)"))
def begins_with_words():
    """You try the separators from the finest to the best, so that a long paragraph is cut between its words although
    it has sentences. `SEPARATORS` begins with the best.
    """


@mistake(
    "merge",
    edit=(
        "groups: ",
        "one, measure = measure, lambda a, b: sum(one(*s) for s in spans if a <= s[0] < b)\n    groups: ",
    ),
)
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


@mistake("chunk", edit=("text = header + body", 'text, header = body, ""'))
def leaves_the_header_behind():
    """You cut a long table and leave its header in the first chunk. The rows of the others are numbers of which nobody
    knows what they count: put the table's header in front of them.
    """


@mistake("parse_markdown", edit=(", whole, tables)", ", whole)"))
def forgets_where_tables_are():
    """You do not say where the tables are, and so `chunk` cannot repeat their headers. A table is opened at its header,
    and its rows begin where `tbody_open` does.
    """


@mistake("join_pages", edit=("enumerate(pairwise(begins), 1)", "enumerate(pairwise(begins))"))
def counts_pages_from_zero():
    """You count pages from 0. Everybody who opens the file counts from 1."""


@mistake("join_pages", edit=("    text", "    pages = [page for page in pages if page.strip()]\n    text"))
def skips_empty_pages():
    """You leave empty pages out before you count, so that every page behind one has a number too small. An empty page
    is a page.
    """


@mistake("where", edit=('conditions[0] if len(conditions) == 1 else {"$and": conditions}', '{"$and": conditions}'))
def puts_one_under_and():
    """You put a single condition under `$and`. Chroma wants two at least there: one stands alone."""


@mistake(
    "where",
    edit=(
        "            conditions.append({key: {operator: value}})",
        '        conditions.append({key: wanted if isinstance(wanted, Mapping) else {"$eq": wanted}})',
    ),
)
def keeps_operators_together():
    """You leave several operators in one condition. Chroma takes one operator at a time: each becomes a condition of
    its own under `$and`.
    """


@mistake("changes", edit=("tuple(name for name in wanted if name in stored and stored[name] != wanted[name])", "()"))
def never_updates():
    """You compare ids only. A chunk whose text is the same may have moved, or its file may have a new owner: where the
    metadata differs, it is to be told.
    """


@mistake("changes", edit=("stored[name] != wanted[name]", "not wanted[name].items() <= stored[name].items()"))
def compares_what_is_wanted_only():
    """You look whether the wanted metadata is among the stored, and do not see that something has been taken away.
    Compare the whole mappings.
    """


@mistake("KnowledgeBase.ingest", edit=(' and noted["chunks"] == len(stored)', ""))
def does_not_count():
    """You look whether every stored chunk is of this state, and not whether all of them are there. A chunk that is
    missing cannot say so: compare their number with the one that they carry.
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


@mistake("KnowledgeBase.ingest", edit=("{**gone, **wanted[name]}", "wanted[name]"))
def keeps_what_was_taken_away():
    """You write the new metadata, and what the old had beyond it stays, because Chroma's `update` merges. Tell it None
    for what is gone.
    """


@mistake("KnowledgeBase.ingest", edit=("_batches(todo.add)", "[list(todo.add)] if todo.add else []"))
def writes_all_at_once():
    """You hand everything to the store in one call. Chroma takes some 5,000 chunks at a time, and all texts of a large
    file are embedded before the first is safe: go in batches.
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
