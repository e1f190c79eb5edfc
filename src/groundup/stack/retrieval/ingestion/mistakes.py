# pyright: basic
"""Wrong ways to write parsing, chunking and the knowledge base, each with its diagnosis, and right ways that differ."""

import re
from itertools import pairwise

from groundup.anatomy import mistake, variant
from groundup.stack.retrieval.ingestion.ingestion import (
    OPERATORS,
    SEPARATORS,
    Changes,
    Document,
    Section,
    pieces,
    separate,
)


@mistake("separate")
def drops_the_separators(text, start, end, pattern, whole=()):
    """You leave the separators out, as `split` does. Then the spans have gaps, and what was cut cannot be put together
    again: a span ends where the separator behind it ends.
    """
    matches = [m for m in re.compile(pattern).finditer(text, start, end) if start < m.end() < end]
    matches = [m for m in matches if not any(first < m.end() < last for first, last in whole)]
    starts, ends = [start, *(m.end() for m in matches)], [*(m.start() for m in matches), end]
    return list(zip(starts, ends, strict=True)) if start < end else []


@mistake("separate")
def counts_from_the_stretch(text, start, end, pattern, whole=()):
    """Your positions count from the beginning of the stretch, not of the text: you cut a slice and forgot to add
    `start` again. `finditer(text, start, end)` looks at a stretch and keeps the positions.
    """
    part = text[start:end]
    cuts = [m.end() for m in re.finditer(pattern, part) if 0 < m.end() < len(part)]
    cuts = [cut for cut in cuts if not any(first < cut < last for first, last in whole)]
    return list(pairwise([0, *cuts, len(part)])) if part else []


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


@mistake("pieces")
def cuts_everything_to_words(text, start, end, fits, whole=()):
    """You cut on with finer and finer separators also where a piece fits already. Ask `fits` before each cut, and
    leave alone what fits: a paragraph that fits is worth more than its words.
    """
    if start == end:
        return []
    for pattern in SEPARATORS:
        parts = separate(text, start, end, pattern, whole)
        if len(parts) > 1:
            return [piece for part in parts for piece in pieces(text, *part, fits, whole)]
    if fits(start, end):
        return [(start, end)]
    if end - start == 1:
        raise ValueError(f"pieces: the single character {text[start]!r} does not fit.")
    middle = (start + end) // 2
    return pieces(text, start, middle, fits, whole) + pieces(text, middle, end, fits, whole)


@mistake("pieces", edit=("middle = (start + end) // 2\n        parts = [(start, middle), (middle", "return [(start"))
def stops_at_words():
    """A word without any separator stays as long as it is, although it does not fit: an address or a key in Base64 can
    be thousands of characters long. Cut it in the middle, and its halves again.
    """


@mistake(
    "pieces",
    edit=(
        "middle = (start + end) // 2\n        parts = [(start, middle), (middle",
        "last = start + 1\n"
        "        while last < end and fits(start, last + 1):\n"
        "            last += 1\n"
        "        parts = [(start, last), (last",
    ),
)
def takes_letters_off():
    """You take a long word apart letter by letter. For a word of n letters that is n questions at the least, and each
    may count tokens. Halve it: the questions are then about as many as the pieces.
    """


@mistake("pieces", edit=("break", "return parts"))
def uses_one_separator():
    """You cut at the best separator once and take the parts as they come. A paragraph may still be too long: treat
    each part as you treat the whole, by calling yourself.
    """


@mistake("pieces", edit=("SEPARATORS", "reversed(SEPARATORS)"))
def begins_with_words():
    """You try the separators from the finest to the best, so that a long paragraph is cut between its words although
    it has sentences. `SEPARATORS` begins with the best.
    """


@mistake("pieces", edit=[(", whole)]", ")]"), (", whole)", ")")])
def forgets_what_is_whole():
    """You do not hand `whole` on to yourself and to `separate`, so that code is cut at its empty lines."""


@mistake("merge", edit=("measure(start, spans[last + 1][1", "sum(measure(*span) for span in spans[first : last + 2"))
def adds_lengths_up():
    """You add the lengths of the spans up. What is put together may measure less than its parts, because a tokenizer
    marks the ends of every text. Measure from the first span's start to the last one's end.
    """


@mistake("merge", edit=("measure(spans[first - 1][0], end) <= overlap", "measure(spans[first - 1][0], end) < 0"))
def never_overlaps():
    """You begin each group behind the last one whatever `overlap` says. An answer that lies across two groups is then
    whole in neither. Step back over the spans that the overlap has room for.
    """


@mistake("merge")
def repeats_without_room(spans, measure, size, overlap):
    """You step back as far as the overlap allows, and do not ask whether the first new span still fits behind it. The
    next group then ends where this one did, or is too long. Step back only while the repeated part and the new span
    fit together.
    """
    groups, first = [], 0
    while first < len(spans):
        start, last = spans[first][0], first
        while last + 1 < len(spans) and (
            measure(start, spans[last + 1][1]) <= size or (groups and spans[last][1] == groups[-1][1])
        ):
            last += 1
        end = spans[last][1]
        groups.append((start, end))
        if last + 1 == len(spans):
            break
        first = last + 1
        while spans[first - 1][0] > start and measure(spans[first - 1][0], end) <= overlap:
            first -= 1
    return groups


@mistake("merge")
def one_too_few(spans, measure, size, overlap):
    """You ask for less than `size`, where as much as `size` fits. What measures exactly `size` is seen whole."""
    groups = []
    first = 0
    while first < len(spans):
        start, last = spans[first][0], first
        while last + 1 < len(spans) and (last < first or measure(start, spans[last + 1][1]) < size):
            last += 1
        end = spans[last][1]
        groups.append((start, end))
        if last + 1 == len(spans):
            break
        first, new_end = last + 1, spans[last + 1][1]
        # The whole of this group is never repeated: the next span did not fit behind it.
        while measure(spans[first - 1][0], end) <= overlap and measure(spans[first - 1][0], new_end) <= size:
            first -= 1
    return groups


@mistake("merge", edit=("while measure", "if measure"))
def repeats_one_span():
    """You repeat one span at most. The overlap says how much may be repeated, which can be several short sentences."""


@mistake(
    "merge",
    edit=[
        ("        if last + 1 == len(spans):\n            break\n", ""),
        ("        groups", "        if last + 1 == len(spans):\n            break\n        groups"),
    ],
)
def drops_the_rest():
    """What is left when the spans come to an end is lost: you note a group only when the next span does not fit. Note
    the last one, too.
    """


@mistake("chunk", edit=("trim(document.text, *group)", "group"))
def leaves_whitespace_at_the_ends():
    """Your chunks keep the empty lines at their ends, and whitespace alone becomes a chunk. Trim every group, and
    leave out what is empty then.
    """


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


@mistake("chunk", edit=('f"{document.source}\\0{seen[text]}\\0{text}"', 'f"{seen[text]}\\0{text}"'))
def gives_sources_one_id():
    """You leave the source out of the id. Two files that share a sentence then share its chunk, and removing one file
    takes it from the other.
    """


@mistake("chunk", edit=("document.sections or ", ""))
def forgets_the_sections():
    """You chunk the document in one go. Chunks then run across headings and pages, and nobody can say on which page a
    sentence is. Chunk each section by itself, and tell its chunks its metadata.
    """


@mistake("chunk", edit=[("*section", "*document"), ("{**document", "{**section")])
def lets_the_document_speak_last():
    """Where document and section both say something, you let the document win. The section is nearer to the chunk: its
    page, not the document's first, is what the chunk is on.
    """


@mistake("chunk", edit=("        start, end = trim(document.text, start, end)\n", ""))
def measures_whitespace():
    """You measure the whitespace at the ends of a span as well. The chunk will not have it, so you cut where nothing
    needed cutting, and `length` sees texts that no chunk has.
    """


@mistake("chunk", edit=("[span for span in document.whole if fits(*span)] +", ""))
def tears_code():
    """You do not hand the document's whole spans on, so that code and tables are cut at their lines although they
    would fit into a chunk.
    """


@mistake("chunk", edit=("text = header + body", 'text, header = body, ""'))
def leaves_the_header_behind():
    """You cut a long table and leave its header in the first chunk. The rows of the others are numbers of which nobody
    knows what they count: put the table's header in front of them.
    """


@mistake("chunk", edit=('"".join(parts(start, end))', "parts(start, end)[1]"))
def measures_rows_without_their_header():
    """You measure rows without the header that you put in front of them, so that the chunk is longer than `size` and
    the model does not see its end.
    """


@mistake("chunk", edit=("overlap:  ", "False:  "))
def repeats_only_paragraphs():
    """You put paragraphs together as they are. A paragraph seldom fits into the overlap, so hardly anything is ever
    repeated: with an overlap, take the pieces apart into sentences before you merge them.
    """


@mistake("chunk", edit=("0 <= overlap < size", "0 <= overlap <= size"))
def allows_an_overlap_as_long_as_a_chunk():
    """You accept an overlap as long as a chunk. Each chunk could then repeat all of the last one. The rule is 0 ≤
    overlap < size, and what breaks it is refused.
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


@mistake("parse_markdown", edit=("_plain(following)", "following.content"))
def keeps_the_marks():
    """You take the source of a heading as its words, with backticks, asterisks and addresses. Nobody filters by those:
    `_plain` gives the words.
    """


@mistake("parse_markdown", edit=("type in", "level == 0 and token.type in"))
def overlooks_code_in_lists():
    """You look for code at the outermost level only. Steps in a list have their commands below them, indented: a fence
    is whole at any level.
    """


@mistake("parse_markdown", edit=('("fence", "code_block", "table_open")', '("fence", "code_block")'))
def overlooks_tables():
    """You mark code as whole, and tables not. Without its head, a row of a table says nothing."""


@mistake("parse_markdown", edit=(", whole, tables)", ", whole)"))
def forgets_where_tables_are():
    """You do not say where the tables are, and so `chunk` cannot repeat their headers. A table is opened at its header,
    and its rows begin where `tbody_open` does.
    """


@mistake("parse_markdown", edit=("if not empty:\n                ", ""))
def makes_sections_of_bare_headings():
    """You make a section of a heading that has nothing but another heading below it. It becomes a chunk that says
    nothing and is found by everybody. Let it go with the section that follows.
    """


@mistake(
    "parse_markdown",
    edit=(
        ":\n                close(first)",
        " and path:\n                close(first)\n            elif not empty:\n                begin = first",
    ),
)
def drops_the_introduction():
    """You begin with the first heading. What stands before it is text as well, and is lost: the first section begins
    at 0.
    """


@mistake(
    "parse_markdown",
    edit=(
        'title = re.search(r"^title:\\s*[\\"\']?(.+?)[\\"\']?\\s*$", token.content, re.MULTILINE)\n'
        "            path = {0: title[1]} if title else",
        "path =",
    ),
)
def overlooks_the_title():
    """You leave the front matter's title out of the path. It is the heading above all others, and often the only place
    that names the subject.
    """


@mistake("join_pages", edit=("enumerate(pairwise(begins), 1)", "enumerate(pairwise(begins))"))
def counts_pages_from_zero():
    """You count pages from 0. Everybody who opens the file counts from 1."""


@mistake("join_pages", edit=("    text", "    pages = [page for page in pages if page.strip()]\n    text"))
def skips_empty_pages():
    """You leave empty pages out before you count, so that every page behind one has a number too small. An empty page
    is a page.
    """


@mistake("join_pages", edit=[("2", "len(page)"), ("begins[-1] + len(page)", "begins[-1]"), ('"\\n\\n"', '""')])
def glues_pages_together():
    """You join the pages with nothing between them, so that the last word of one page and the first of the next become
    one. Put an empty line there.
    """


@mistake("join_pages", edit=("not any(page.strip() for page in pages)", "False"))
def takes_pictures_for_text():
    """You accept a document without any text. A scanned file is then ingested without an error and never found: say at
    once that it has no text.
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


@mistake("where", edit=('conditions[0] if len(conditions) == 1 else {"$and": conditions}', '{"$and": conditions}'))
def puts_one_under_and():
    """You put a single condition under `$and`. Chroma wants two at least there: one stands alone."""


@mistake("where", edit=("return None", "return {}"))
def returns_an_empty_filter():
    """You return an empty mapping when there is no filter. Chroma refuses it: no filter is None."""


@mistake("where", edit=('"$in"', '"$eq"'))
def compares_lists_as_values():
    """You ask for equality with a list. A list means one of several: `$in`."""


@mistake("where")
def keeps_operators_together(filters):
    """You leave several operators in one condition. Chroma takes one operator at a time: each becomes a condition of
    its own under `$and`.
    """
    conditions = []
    for key, wanted in (filters or {}).items():
        if isinstance(wanted, list | tuple | set):
            if not wanted:
                raise ValueError(f"where: the list of '{key}' holds no value.")
            wanted = {"$in": list(wanted)}
        if not isinstance(wanted, dict):
            wanted = {"$eq": wanted}
        for operator in wanted:
            if operator not in OPERATORS:
                raise ValueError(f"where: '{operator}' of '{key}' is no operator.")
        conditions.append({key: wanted})
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else {"$and": conditions}


@mistake(
    "where",
    edit=(
        "        if isinstance(wanted, list | tuple | set) ",
        "        if not wanted and not isinstance(wanted, list):\n"
        "            continue\n"
        "        if isinstance(wanted, list | tuple | set) ",
    ),
)
def drops_false_values():
    """You take False, 0 and the empty text for no filter. They are values like any other: only a missing key is no
    filter.
    """


@mistake("changes", edit=("tuple(name for name in wanted if name in stored and stored[name] != wanted[name])", "()"))
def never_updates():
    """You compare ids only. A chunk whose text is the same may have moved, or its file may have a new owner: where the
    metadata differs, it is to be told.
    """


@mistake("changes", edit=("name in stored and stored[name] != wanted[name]", "name in stored"))
def updates_everything():
    """You tell every chunk that stays its metadata anew, also where nothing differs. Compare before you write."""


@mistake("changes", edit=("tuple(name for name in stored if name not in wanted)", "()"))
def never_removes():
    """You leave what is gone where it is. A knowledge base that still answers from a deleted paragraph is worse than
    one without it.
    """


@mistake("changes", edit=("stored[name] != wanted[name]", "not wanted[name].items() <= stored[name].items()"))
def compares_what_is_wanted_only():
    """You look whether the wanted metadata is among the stored, and do not see that something has been taken away.
    Compare the whole mappings.
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


@mistake("KnowledgeBase.ingest", edit=(' and noted["chunks"] == len(stored)', ""))
def does_not_count():
    """You look whether every stored chunk is of this state, and not whether all of them are there. A chunk that is
    missing cannot say so: compare their number with the one that they carry.
    """


@mistake(
    "KnowledgeBase.ingest",
    edit=(
        '    if stored and all(noted["document"] == state and noted["chunks"] == len(stored) for '
        "noted in stored.values()):\n"
        "        return Changes((), (), ())\n",
        "",
    ),
)
def never_asks_what_is_stored():
    """You chunk and compare every time, also when nothing has changed. Compare the document's state with what its
    chunks say about it first, and be done.
    """


@mistake(
    "KnowledgeBase.ingest",
    edit=(
        "stored = self._stored(document.source",
        'found = self.collection.get(include=["metadatas"])\n'
        '    stored = dict(zip(found["ids"], found["metadatas"], strict=True)',
    ),
)
def removes_other_sources():
    """You compare with everything that is stored, so that the chunks of all other files count as gone. Ask for those
    of this source: `_stored` does.
    """


@mistake(
    "KnowledgeBase.ingest",
    edit=("    for ids in _batches(todo.remove):\n        self.collection.delete(ids=ids)\n", ""),
)
def forgets_to_remove():
    """You never delete, and the old text of a changed file can still be found. Delete what `changes` says is gone."""


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


@mistake(
    "KnowledgeBase.ingest",
    edit=(
        "gone = dict.fromkeys(key for name in ids for key in stored[name])\n"
        "        self.collection.update(ids=ids, metadatas=[{**gone, **wanted[name]}",
        "self.collection.update(ids=ids, metadatas=[wanted[name]",
    ),
)
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


@variant("join_pages")
def page_by_page(source, pages, metadata=None):
    """The text grows page by page."""
    if "".join(pages).strip() == "":
        raise ValueError(f"{source}: no text on any page")
    text, sections = "", []
    for number, page in enumerate(pages, start=1):
        begin = len(text)
        text += page + ("" if number == len(pages) else "\n\n")
        sections.append(Section(begin, len(text), {"page": number}))
    return Document(source, text, dict(metadata or {}), tuple(sections))


@variant("where")
def as_one_list(filters):
    """Operators first, conditions then."""
    tests = []
    for key, wanted in dict(filters or {}).items():
        if isinstance(wanted, (list, tuple, set)):
            if len(wanted) == 0:
                raise ValueError(f"'{key}' allows nothing")
            tests.append((key, "$in", list(wanted)))
        elif isinstance(wanted, dict):
            tests.extend((key, operator, value) for operator, value in wanted.items())
        else:
            tests.append((key, "$eq", wanted))
    for key, operator, _ in tests:
        if operator not in OPERATORS:
            raise ValueError(f"{key}: {operator} is not an operator")
    conditions = [{key: {operator: value}} for key, operator, value in tests]
    return {"$and": conditions} if len(conditions) > 1 else next(iter(conditions), None)


@variant("changes")
def in_one_pass(stored, wanted):
    """One pass over what is wanted."""
    add, update = [], []
    for name, metadata in wanted.items():
        if name not in stored:
            add.append(name)
        elif dict(stored[name]) != dict(metadata):
            update.append(name)
    return Changes(tuple(add), tuple(update), tuple(n for n in stored if n not in wanted))
