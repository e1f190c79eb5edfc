"""Checks of parsing, chunking and the knowledge base, on a store in memory with the methods of a Chroma collection."""

from itertools import pairwise

import numpy as np

from groundup.checking import assert_refuses, growing
from groundup.stack.retrieval.ingestion import (
    Changes,
    Document,
    KnowledgeBase,
    Section,
    Table,
    changes,
    chunk,
    join_pages,
    merge,
    parse_markdown,
    pieces,
    separate,
    where,
)

WORDS = r"\s+"


def text_of(draw, size):
    """A random text of words, sentences, lines and paragraphs."""
    return "".join(draw.choices("ab. \n", k=size))


def assert_same(actual, expected, message):
    """Fail with `message` unless both are equal, sequences of any kind compared item by item."""
    shown = list(actual) if isinstance(actual, list | tuple) and isinstance(expected, list) else actual
    assert shown == expected, f"{message}\n  expected {expected!r}\n  got      {actual!r}"


def assert_tiles(spans, start, end, message):
    """Fail with `message` unless the spans follow each other from `start` to `end`, none of them empty."""
    spans = list(spans)
    edges = [start, *(last for _, last in spans)]
    right = [first for first, _ in spans] == edges[:-1] and edges[-1] == end and all(a < b for a, b in spans)
    assert right, f"{message}\n  expected spans that follow each other from {start} to {end}, got {spans}"


# separate


def test_separate_by_hand():
    """A separator stays at the end of what is before it, no character is left out, only `text[start:end]` is cut."""
    assert_same(separate("one two  three", 0, 14, WORDS), [(0, 4), (4, 9), (9, 14)], "words of 'one two  three'")
    assert_same(separate("one", 0, 3, WORDS), [(0, 3)], "a word without a separator is one span")
    assert_same(separate("one ", 0, 4, WORDS), [(0, 4)], "behind a separator at the end there is nothing")
    assert_same(separate("ab", 0, 2, "x*"), [(0, 1), (1, 2)], "separators may be empty, spans may not")
    assert_same(separate(" one", 0, 4, WORDS), [(0, 1), (1, 4)], "a separator at the beginning is a span of its own")
    assert_same(separate("a b c d", 2, 5, WORDS), [(2, 4), (4, 5)], "the stretch from 2 to 5 of 'a b c d' is 'b c'")
    assert_same(separate("a b c d", 2, 4, WORDS), [(2, 4)], "the stretch from 2 to 4 of 'a b c d' is 'b '")
    assert_same(separate("a b", 2, 2, WORDS), [], "an empty stretch has no span")
    assert_same(separate("", 0, 0, WORDS), [], "an empty text has no span")


def test_separate_spares_what_is_whole():
    """No cut falls into a whole span; the spans follow each other from the first character to the last."""
    message = "words of 'a b c d e', where 'b c ' (2 to 6) is whole"
    assert_same(separate("a b c d e", 0, 9, WORDS, [(2, 6)]), [(0, 2), (2, 6), (6, 8), (8, 9)], message)
    assert_same(separate("a b c", 0, 5, WORDS, [(0, 3), (2, 5)]), [(0, 5)], "of several whole spans, each is spared")
    for draw, size in growing(60, 60):
        text, pattern = text_of(draw, size), draw.choice([WORDS, r"\n", r"\.", "a"])
        assert_tiles(separate(text, 0, size, pattern), 0, size, f"separate({text!r}, pattern={pattern!r})")


# pieces


def fitting(text, size):
    """Whether a span is at most `size` characters long, whitespace at its ends not counted."""
    return lambda start, end: len(text[start:end].strip()) <= size


def in_pieces(text, size, whole=(), start=0, end=None):
    """The pieces as texts."""
    end = len(text) if end is None else end
    found = pieces(text, start, end, fitting(text, size), whole)
    assert_tiles(found, start, end, f"pieces of {text!r} from {start} to {end}")
    return [text[a:b] for a, b in found]


def test_pieces_by_hand():
    """Paragraphs first, then sentences and items, lines, words and characters, each only where it is needed."""
    text = "One two. Three.\n\nFour five six. Seven eight."
    assert_same(in_pieces(text, 100), [text], "what fits stays in one piece")
    paragraphs = ["One two. Three.\n\n", "Four five six. Seven eight."]
    assert_same(in_pieces(text, 27), paragraphs, "two paragraphs of up to 27 characters, in pieces of 27")
    expected = ["One two. Three.\n\n", "Four five six. ", "Seven eight."]
    assert_same(in_pieces(text, 20), expected, "only the paragraph that is too long is taken apart, into sentences")
    expected = ["One two. ", "Three.\n\n", "Four ", "five ", "six. ", "Seven eight."]
    assert_same(in_pieces(text, 12), expected, "only the sentence that is too long is taken apart, into words")
    assert_same(in_pieces("abcdefghij", 5), ["abcde", "fghij"], "a word that is too long is cut in the middle")
    assert_same(in_pieces("abcdefghi", 3), ["ab", "cd", "ef", "ghi"], "and its halves again, while they do not fit")
    expected = ["- restart it\n", "- look\n", "  at the log\n", "- call us\n"]
    assert_same(in_pieces("".join(expected), 14), expected, "a list whose second item has two lines, in pieces of 14")
    assert_same(in_pieces("ab cd\nef gh\nij", 6), ["ab cd\n", "ef gh\n", "ij"], "three lines, in pieces of 6")


def test_pieces_spare_what_is_whole():
    """What is whole is in one piece, whatever separators it has."""
    code = "x = 1\n\ny = 2. z\n"
    text = "Some words here.\n\n" + code + "\nMore words."
    span = (18, 18 + len(code))
    found = in_pieces(text, 17, [span])
    assert code + "\n" in found or code in found, f"the whole span {code!r} must be in one piece of 17, got {found}"
    assert len(found) == 3, f"text, code, text are three pieces, got {found}"
    assert code not in in_pieces(text, 17), "without `whole`, the code is cut at its empty line"
    expected = ["Aa bb. ", "x y. z ", "ff ", "gg."]
    message = "in pieces of 8, 'x y. z' is whole; a sentence with it is too long and is taken apart around it"
    assert_same(in_pieces("Aa bb. x y. z ff gg.", 8, [(7, 13)]), expected, message)


def test_pieces_of_a_long_word():
    """A long word is halved, not taken off letter by letter; a single character that does not fit is refused."""
    text, asked = "x" * 4096, []
    found = pieces(text, 0, 4096, lambda a, b: asked.append(1) or b - a <= 64)
    assert_same(len(found), 64, "4,096 letters in pieces of at most 64, halved each time")
    assert len(asked) < 200, f"`fits` needs to be asked 127 times for 64 pieces; it was asked {len(asked)} times"
    assert_refuses(
        lambda: pieces("aé", 0, 2, lambda a, b: False), "'a'", message="nothing fits, not even one character"
    )
    only_a = lambda start, end: "aé"[start:end] == "a"  # noqa: E731
    assert_refuses(lambda: pieces("aé", 0, 2, only_a), "'é'", message="the second of two characters does not fit")
    assert_refuses(lambda: pieces("é", 0, 1, lambda a, b: False), "'é'", message="the character é does not fit")


def test_pieces_fit_and_leave_nothing_out():
    """Every piece fits, and together they are the stretch; an empty one has none."""
    for draw, length in growing(40, 60):
        text, size = text_of(draw, length), draw.randint(1, 12)
        fits = fitting(text, size)
        found = pieces(text, 0, length, fits)
        assert_tiles(found, 0, length, f"pieces of {text!r} of at most {size}")
        assert all(fits(*piece) for piece in found), f"a piece of {text!r} is longer than {size}: {found}"
    assert_same(in_pieces("aa bb cc dd", 2, start=3, end=8), ["bb ", "cc"], "the stretch from 3 to 8 of 'aa bb cc dd'")
    assert_same(list(pieces("aa", 1, 1, lambda a, b: True)), [], "an empty stretch has no piece")
    assert_same(list(pieces("aa", 1, 1, lambda a, b: False)), [], "an empty stretch has no piece, whatever fits")


# merge


FIVES = [(0, 5), (5, 10), (10, 15), (15, 20), (20, 25)]


def between(start, end):
    """Characters."""
    return end - start


def test_merge_by_hand():
    """As many neighbours as fit, from left to right; a group's length need not be the sum of its parts'."""
    assert_same(merge(FIVES, between, 10, 0), [(0, 10), (10, 20), (20, 25)], "five spans of 5, in groups of 10")
    assert_same(merge(FIVES, between, 14, 0), [(0, 10), (10, 20), (20, 25)], "five spans of 5, in groups of 14")
    assert_same(merge(FIVES, between, 25, 0), [(0, 25)], "five spans of 5, in groups of 25")
    assert_same(merge(FIVES, between, 5, 0), FIVES, "five spans of 5, in groups of 5")
    assert_same(merge([], between, 5, 0), [], "no spans, no groups")
    assert_same(merge([(0, 5)], between, 5, 3), [(0, 5)], "one span is one group")
    with_ends = lambda start, end: end - start + 2  # noqa: E731  # as a tokenizer that marks both ends of a text
    assert_same(merge(FIVES, with_ends, 12, 0), [(0, 10), (10, 20), (20, 25)], "two fives measure 10 + 2, not 2 · 7")
    assert_same(merge(FIVES, with_ends, 17, 7), [(0, 15), (10, 25)], "one repeated five measures 5 + 2, which 7 allows")


def test_merge_repeats_what_the_overlap_allows():
    """The next group begins with the last spans, as many as the overlap has room for beside the first new one."""
    expected = [(0, 15), (10, 25)]
    assert_same(merge(FIVES, between, 15, 5), expected, "groups of 15, of which 5 are repeated")
    assert_same(
        merge(FIVES, between, 15, 9), expected, "groups of 15; of the 9 that may be repeated, one span of 5 fits"
    )
    expected = [(0, 15), (5, 20), (10, 25)]
    assert_same(merge(FIVES, between, 15, 10), expected, "groups of 15, of which two spans of 5 are repeated")
    assert_same(
        merge(FIVES, between, 15, 4), [(0, 15), (15, 25)], "groups of 15; no span of 5 fits into an overlap of 4"
    )
    expected = [(0, 10), (5, 15), (10, 20), (15, 25)]
    assert_same(merge(FIVES, between, 10, 9), expected, "a group never repeats the whole of the last one")
    spans = [(0, 3), (3, 6), (6, 9), (9, 17)]
    assert_same(merge(spans, between, 10, 6), [(0, 9), (9, 17)], "behind 6 repeated, a span of 8 does not fit into 10")
    assert_same(merge(spans, between, 11, 6), [(0, 9), (6, 17)], "behind 3 repeated, a span of 8 fits into 11")


def test_merge_loses_nothing_and_goes_on():
    """Groups fit, are full, cover everything, share no more than they may, and each has something new."""
    for draw, count in growing(80, 11):
        lengths, size, overlap = draw.choices(range(1, 7), k=count + 1), draw.randint(6, 14), draw.randint(0, 13)
        assert_merges(lengths, size, overlap)


def assert_merges(lengths, size, overlap):
    """Fail unless spans of these lengths are merged as the check above says."""
    edges = [0, *np.cumsum(lengths).tolist()]
    spans = list(pairwise(edges))
    groups = list(merge(spans, between, size, overlap))
    said = f"merge of {spans} with size {size} and overlap {overlap} gave {groups}"
    assert groups[0][0] == 0, f"{said}: the first character is missing"
    assert groups[-1][1] == edges[-1], f"{said}: the last character is missing"
    for start, end in groups:
        assert end - start <= size, f"{said}: {(start, end)} is longer than {size}"
    for (start, end), (following, last) in pairwise(groups):
        new = edges[edges.index(end) + 1]
        assert start < following <= end < last, f"{said}: {(following, last)} does not go on from {(start, end)}"
        assert end - following <= overlap, f"{said}: {end - following} characters are shared"
        assert new - start > size, f"{said}: there was room for more in {(start, end)}"
        earlier = [edge for edge in edges if start < edge < following]
        could = [e for e in earlier if end - e <= overlap and new - e <= size]
        assert not could, f"{said}: {(following, last)} could have begun at {could}"


# chunk


GUIDE = "# Out of memory\n\nThe node kills it. Raise the limit.\n\n# Disk\n\nThe disk is full. Clean it."
GUIDE_DOCUMENT = Document(
    "guide.md", GUIDE, {"team": "ops"},
    [Section(0, 54, {"headings": "Out of memory"}), Section(54, len(GUIDE), {"headings": "Disk"})],
)  # fmt: skip


def chunked(document, size, overlap=0):
    """The chunks in characters, each found in its place."""
    made = chunk(document, length=len, size=size, overlap=overlap)
    for c in made:
        there = document.text[c.start : c.end]
        assert there == c.body, f"text[{c.start}:{c.end}] is {there!r}, but the chunk says {c.body!r}"
    return made


def test_chunk_by_hand():
    """Chunks say what they are, where they stand, and what document and section are told by; the section is nearer."""
    one, two = chunked(GUIDE_DOCUMENT, 60)
    assert_same(one.text, "# Out of memory\n\nThe node kills it. Raise the limit.", "the first section fits into 60")
    assert_same((one.source, one.start, one.end), ("guide.md", 0, 52), "whitespace at the end is not in the chunk")
    assert_same(dict(one.metadata), {"team": "ops", "headings": "Out of memory"}, "metadata of document and section")
    assert_same((two.start, two.end), (54, len(GUIDE)), "a chunk does not cross into another section")
    texts = [c.text for c in chunked(GUIDE_DOCUMENT, 36)]
    expected = ["# Out of memory", "The node kills it. Raise the limit.", "# Disk\n\nThe disk is full. Clean it."]
    assert_same(texts, expected, "in chunks of 36 characters, the first section is cut between its paragraphs")
    text = "Some words."
    made = chunked(Document("a", text, {"page": 0, "x": 1}, [Section(0, 11, {"page": 7})]), 20)
    assert_same(dict(made[0].metadata), {"page": 7, "x": 1}, "the section's page stands, not the document's")
    assert_same(dict(chunked(Document("a", text, {"x": 1}), 20)[0].metadata), {"x": 1}, "the document's metadata")


def test_chunk_shares_whole_sentences():
    """With an overlap, a chunk begins with the last sentences of the one before, although their paragraph fits."""
    text = "Aa bb. Cc dd. Ee ff. Gg hh."
    expected = ["Aa bb. Cc dd. Ee ff.", "Gg hh."]
    assert_same([c.text for c in chunked(Document("a", text), 20)], expected, "three sentences fit into 20")
    expected = ["Aa bb. Cc dd. Ee ff.", "Ee ff. Gg hh."]
    assert_same([c.text for c in chunked(Document("a", text), 20, 6)], expected, "the third sentence is repeated")
    text = "Aa bb. Cc dd.\n\nEe ff. Gg hh. Ii jj."
    expected = ["Aa bb. Cc dd.\n\nEe ff.", "Ee ff. Gg hh. Ii jj."]
    assert_same([c.text for c in chunked(Document("a", text), 22, 8)], expected, "paragraphs give way to sentences")


def test_chunk_keeps_code_whole_where_it_fits():
    """Code and tables are not torn unless they are longer than a chunk, and then every line of them is there."""
    text = "Do this now please.\n\n```\na = 1\n\nb = 2. c\n```\n\nThen wait for it."
    span = (21, 21 + len("```\na = 1\n\nb = 2. c\n```\n"))
    for overlap in (0, 9):
        made = chunked(Document("a", text, whole=[span]), 24, overlap)
        assert any(text[slice(*span)].strip() in c.text for c in made), f"the code fits into 24: {made}"
        assert all(not span[0] < c.start < span[1] for c in made), f"no chunk begins within the code: {made}"
    texts = [c.text for c in chunked(Document("a", text, whole=[span]), 12)]
    assert all(len(one) <= 12 for one in texts), f"code that is longer than a chunk is cut, so that it fits: {texts}"
    assert "b = 2. c\n```" in texts, f"code that is longer than a chunk is cut at its lines: {texts}"


def test_chunk_ends_unspaced_sentences():
    """Behind 。, ！ and ？, with the quotes that follow, a sentence ends without whitespace; then a clause may end."""
    text = "连接池已满。请扩大！“要重启吗？”不要。"
    expected = ["连接池已满。", "请扩大！", "“要重启吗？”", "不要。"]
    assert_same([c.text for c in chunked(Document("a", text), 7)], expected, "sentences of at most 7 characters")
    expected = ["连接池已满。请扩大！", "请扩大！“要重启吗？”", "不要。"]
    assert_same([c.text for c in chunked(Document("a", text), 11, 4)], expected, "and shared, where 4 may be")
    expected = ["连接池已满，", "请扩大连接池"]
    assert_same(
        [c.text for c in chunked(Document("a", "连接池已满，请扩大连接池"), 8)], expected, "clauses before halves"
    )


TABLE = "Limits:\n\n| unit | most |\n|---|---|\n| pod | 110 |\n| node | 5000 |\n| disk | 64 |\n"


def test_chunk_repeats_the_header_of_a_table():
    """Each chunk that begins among a table's rows has the header in front, is no longer for it, and keeps its place."""
    table = Table(9, 35, len(TABLE))
    for overlap in (0, 30):
        made = chunked(Document("a", TABLE, tables=[table]), 60, overlap)
        assert all(len(c.text) <= 60 for c in made), f"a chunk fits with its header: {made}"
        rows = [c for c in made if c.start >= 35]
        assert rows, f"the table is longer than a chunk of 60: {made}"
        assert all(c.text.startswith("| unit | most |\n|---|---|\n| ") for c in rows), f"rows need their header: {rows}"
        assert all(c.header == TABLE[9:35] for c in rows), f"the header is noted as such: {rows}"
        assert any(c.text.endswith("| disk | 64 |") for c in rows), f"the last row is there: {rows}"
        assert made[0].header == "", "a chunk that begins before the table repeats nothing"
    short = [c.text for c in chunked(Document("a", TABLE, tables=[table]), 49)]
    assert short[-1].startswith("| node |"), f"a header of 25 is longer than half of 49 and is not repeated: {short}"
    assert chunked(Document("a", TABLE, tables=[table]), 50)[-1].header, "a header of 25 is repeated in chunks of 50"


def test_chunk_ids_belong_to_texts():
    """An id stays when a text moves, differs for another source, and differs for equal texts in one document."""
    before = chunked(Document("a", "One is. Two is. Ten is."), 7)
    after = chunked(Document("a", "New is. One is. Two is. Ten is."), 7)
    assert_same([c.id for c in after[1:]], [c.id for c in before], "a sentence put in front moves texts, not ids")
    other = chunked(Document("b", "One is. Two is. Ten is."), 7)
    assert not {c.id for c in before} & {c.id for c in other}, "equal texts of two sources have different ids"
    twice = chunked(Document("a", "One is. One is. One is."), 7)
    assert_same(len({c.id for c in twice}), 3, "equal texts in one document have different ids")
    assert_same(twice[0].id, before[0].id, "the first of several equal texts has the id that a single one has")
    assert all(isinstance(c.id, str) and c.id for c in before), "an id is a text"
    split = chunked(Document("a\0", "One is."), 7)[0].id, chunked(Document("a", "\0One is."), 8)[0].id
    assert split[0] != split[1], "source and text are told apart in an id"


def test_chunk_at_the_limits():
    """What is as long as the size fits; size is 256, overlap 32 as usual; an overlap as long as a chunk is refused."""
    expected = ["X.", "Aa. Bb."]
    assert_same([c.text for c in chunked(Document("a", "X.\n\nAa. Bb."), 7)], expected, "a paragraph of 7 fits into 7")
    for letters, chunks in ((256, 1), (257, 2)):
        made = chunk(Document("a", "x" * letters), length=len)
        assert_same(len(made), chunks, f"a word of {letters} characters, in chunks of the usual size")
    for letters, shared in ((32, True), (33, False)):
        made = chunk(Document("a", " ".join(["x" * (letters - 1) + "."] * 8)), length=len)
        assert_same(made[1].start < made[0].end, shared, f"whether a sentence of {letters} is repeated, as usual")
    document = Document("a", "Some words.")
    assert_refuses(lambda: chunk(document, length=len, size=5, overlap=5), "overlap", 5, message="overlap 5 of size 5")
    assert_refuses(lambda: chunk(document, length=len, size=5, overlap=-1), "overlap", -1, message="a negative overlap")
    assert_same([c.text for c in chunk(document, length=len, size=11, overlap=10)], ["Some words."], "overlap 10 of 11")
    assert_refuses(
        lambda: chunk(document, length=lambda t: 9, size=5, overlap=0), "'S'", message="a character of length 9"
    )


def test_chunk_measures_texts_as_they_will_be():
    """`length` sees texts without whitespace at their ends, and decides alone what fits; whitespace is no chunk."""
    seen = []
    made = chunk(
        Document("a", "  one two.  three.\n\n\n  four five six.  "),
        length=lambda text: seen.append(text) or 2 + len(text.split()), size=5, overlap=0,
    )  # fmt: skip
    assert all(text == text.strip() for text in seen), f"`length` was called with whitespace at an end: {seen}"
    expected = ["one two.  three.", "four five six."]
    assert_same([c.text for c in made], expected, "in chunks of three words, where a tokenizer adds two")
    assert_same(chunk(Document("a", ""), length=len), [], "an empty document")
    assert_same(chunk(Document("a", " \n\n\t "), length=len, size=3, overlap=0), [], "a document of whitespace")


def test_chunk_loses_nothing():
    """Chunks fit, stand where they say, lie in one section, differ in id, and cover everything but whitespace."""
    for draw, length in growing(50, 60):
        text, cut = text_of(draw, length), draw.randint(0, length)
        assert_chunks(text, draw.randint(3, 12), draw.randint(0, 9), cut)


def assert_chunks(text, size, overlap, cut):
    """Fail unless the chunks of a text with a new section at `cut` are as the check above says."""
    sections = [Section(0, cut, {"part": 1}), Section(cut, len(text), {"part": 2})]
    made = chunked(Document("a", text, {}, sections), size, min(overlap, size - 1))
    said = f"chunks of {text!r} with size {size}, overlap {min(overlap, size - 1)} and a new section at {cut}: {made}"
    covered = {position for c in made for position in range(c.start, c.end)}
    missing = [p for p, character in enumerate(text) if not character.isspace() and p not in covered]
    assert not missing, f"the characters at {missing} are lost: {said}"
    assert len({c.id for c in made}) == len(made), f"two chunks have one id: {said}"
    for c in made:
        assert c.text == c.text.strip() != "", f"whitespace at an end: {said}"
        assert len(c.text) <= size, f"longer than {size}: {said}"
        assert (c.end <= cut) == (c.metadata["part"] == 1), f"in the wrong section: {said}"
        assert c.end <= cut or c.start >= cut, f"crosses into another section: {said}"
    assert made == sorted(made, key=lambda c: c.start), f"not in order: {said}"


# parse_markdown


def outline(text):
    """Each section's headings with its text; the sections follow each other, and the text is as it was."""
    document = parse_markdown("a.md", text)
    assert_same(document.text, text, "the text of a document is the text as it was given")
    assert_tiles([(s.start, s.end) for s in document.sections], 0, len(text), f"sections of {text!r}")
    return [(s.metadata.get("headings"), text[s.start : s.end]) for s in document.sections]


def test_markdown_sections_by_hand():
    """A section begins at its heading, and knows the headings above it."""
    text = "Intro.\n\n# Pods\n\nThey run.\n\n## Memory\n\nThey eat.\n\n# Nodes\n\nThey host.\n"
    expected = [
        (None, "Intro.\n\n"),
        ("Pods", "# Pods\n\nThey run.\n\n"),
        ("Pods > Memory", "## Memory\n\nThey eat.\n\n"),
        ("Nodes", "# Nodes\n\nThey host.\n"),
    ]
    assert_same(outline(text), expected, "sections of a text with three headings")
    document = parse_markdown("a.md", text, {"team": "ops"})
    assert_same((document.source, dict(document.metadata)), ("a.md", {"team": "ops"}), "source and metadata are kept")
    assert_same(dict(parse_markdown("a.md", text).metadata), {}, "without metadata there is none")
    assert "headings" not in document.sections[0].metadata, "what stands before the first heading has no headings"


def test_markdown_headings_close_those_below():
    """A heading ends all as deep or deeper; a hash in code, and headings in quotes and lists, begin no section."""
    text = "# A\na\n### B\nb\n## C\nc\n### D\nd\n### E\ne\n"
    expected = ["A", "A > B", "A > C", "A > C > D", "A > C > E"]
    assert_same([path for path, _ in outline(text)], expected, "paths of headings of levels 1, 3, 2, 3, 3")
    text = "# A\n\n```sh\n# not a heading\n```\n\n> # quoted\n\n- # listed\n\n#no-space\n"
    assert_same([path for path, _ in outline(text)], ["A"], "of these only '# A' is a heading")
    assert_same(outline("Title\n=====\n\nx\n"), [("Title", "Title\n=====\n\nx\n")], "an underlined line is a heading")


def test_markdown_headings_are_plain_words():
    """Marks are left out of a path; a heading without a text of its own goes with the next."""
    text = "# The `kubelet` and [its *log*](http://x) ##\n\nx\n"
    assert_same(outline(text), [("The kubelet and its log", text)], "a heading with code, a link and emphasis")
    assert_same(outline("One\ntwo\n===\nx\n")[0][0], "One two", "a heading of two lines")
    text = "# A\n\n## B\n\nb\n\n## C\n"
    expected = [("A > B", "# A\n\n## B\n\nb\n\n"), ("A > C", "## C\n")]
    assert_same(outline(text), expected, "a title directly above a heading, and a heading at the end")
    assert_same(outline(""), [], "an empty text")
    assert_same(outline("\n\n# A\nx\n"), [("A", "\n\n# A\nx\n")], "empty lines above the first heading are its own")
    assert_same(outline("just words"), [(None, "just words")], "a text without headings")
    assert_same(outline("\n\n"), [(None, "\n\n")], "only line ends")


def test_markdown_front_matter():
    """The front matter is a section for itself; its title stands above all headings."""
    text = '---\ntitle: "Debug Pods"\nweight: 3\n---\n\nFirst.\n\n# A\n\na\n'
    expected = [
        ("Debug Pods", '---\ntitle: "Debug Pods"\nweight: 3\n---\n'),
        ("Debug Pods", "\nFirst.\n\n"),
        ("Debug Pods > A", "# A\n\na\n"),
    ]
    assert_same(outline(text), expected, "a title in front, and a heading")
    expected = [(None, "---\nweight: 3\n---\n"), ("A", "\n# A\n\na\n")]
    assert_same(outline("---\nweight: 3\n---\n\n# A\n\na\n"), expected, "a front matter without a title")


def test_markdown_marks_code_and_tables():
    """Fences, indented code and tables are whole, also in lists, from the first line to the end of the last."""
    text = "x\n\n```\na\n\nb\n```\n\n    code\n\n- item\n\n  ~~~\n  c\n  ~~~\n\n| a |\n|---|\n| 1 |\n\ny\n"
    document = parse_markdown("a.md", text)
    found = [text[slice(*span)].strip("\n") for span in sorted(document.whole)]
    expected = ["```\na\n\nb\n```", "    code", "  ~~~\n  c\n  ~~~", "| a |\n|---|\n| 1 |"]
    assert_same(found, expected, "what is whole in a text with two fences, indented code and a table")
    (table,) = document.tables
    parts = text[table.start : table.body], text[table.body : table.end]
    assert_same(parts, ("| a |\n|---|\n", "| 1 |\n"), "the header and the rows of the table")
    bare = parse_markdown("a.md", "| a |\n|---|\n")
    assert_same(list(bare.tables), [], "a table without rows has no header to repeat")
    unclosed = parse_markdown("a.md", "```\na\nb")
    assert_same([tuple(s) for s in unclosed.whole], [(0, 7)], "a fence that is never closed goes on to the end")


def test_markdown_counts_lines_as_commonmark_does():
    """Line ends of Windows and of old Macs are line ends; form feeds and other separators are not."""
    for text in ("a\r\nb\r\n# H\r\nc\r\n", "a\rb\r# H\rc\r"):
        assert_same([s for _, s in outline(text)], [text[: text.index("#")], text[text.index("#") :]], repr(text))
    text = "a\x0cb\u2028c\x85d\n# H\nc\n"
    expected = [(None, "a\x0cb\u2028c\x85d\n"), ("H", "# H\nc\n")]
    assert_same(outline(text), expected, "a form feed is no line end: the heading is in the second line")


# join_pages


def test_pages_by_hand():
    """Pages are told apart by an empty line, counted from 1, empty ones too; each is a section."""
    document = join_pages("a.pdf", ["First.", "Second."], {"team": "ops"})
    assert_same((document.source, document.text), ("a.pdf", "First.\n\nSecond."), "two pages as one text")
    expected = [(0, 8, {"page": 1}), (8, 15, {"page": 2})]
    assert_same([tuple(s) for s in document.sections], expected, "the sections of two pages")
    expected = [(0, 3, {"page": 1}), (3, 6, {"page": 2}), (6, 9, {"page": 3}), (9, 10, {"page": 4})]
    assert_same([tuple(s) for s in join_pages("a.pdf", "abcd").sections], expected, "four pages of one letter")
    assert_same(dict(document.metadata), {"team": "ops"}, "metadata is kept")
    assert_same(dict(join_pages("a.pdf", ["x"]).metadata), {}, "without metadata there is none")
    document = join_pages("a.pdf", ["", "Second.", " "])
    pages = {s.metadata["page"]: document.text[s.start : s.end].strip() for s in document.sections}
    assert_same(pages, {1: "", 2: "Second.", 3: ""}, "pages of which the first is empty and the last a blank")
    assert_tiles([(s.start, s.end) for s in document.sections], 0, len(document.text), "sections of three pages")


def test_pages_of_pictures_are_refused():
    """A scanned document has pages and no text; that is said at once."""
    assert_refuses(lambda: join_pages("scan.pdf", ["", " \n"]), "scan.pdf", message="two pages without text")
    assert_refuses(lambda: join_pages("scan.pdf", []), "scan.pdf", message="no pages")


# where


def test_where_by_hand():
    """One condition stands alone, several under $and, none is None; a list is $in, operators are taken one by one."""
    assert_same(where({"page": 3}), {"page": {"$eq": 3}}, "one value")
    both = {"$and": [{"page": {"$eq": 3}}, {"team": {"$eq": "ops"}}]}
    assert_same(where({"page": 3, "team": "ops"}), both, "two keys: Chroma refuses two conditions without $and")
    assert_same(where({}), None, "no filter: Chroma refuses an empty one")
    assert_same(where(None), None, "no filter")
    assert_same(where({"draft": False}), {"draft": {"$eq": False}}, "False is a value like any other")
    assert_same(where({"page": [3, 4]}), {"page": {"$in": [3, 4]}}, "one of two pages")
    assert_same(where({"page": (3,)}), {"page": {"$in": [3]}}, "a tuple is a list")
    assert_same(where({"page": {"$gte": 3}}), {"page": {"$gte": 3}}, "an operator")
    expected = {"$and": [{"page": {"$gte": 3}}, {"page": {"$lt": 9}}]}
    assert_same(where({"page": {"$gte": 3, "$lt": 9}}), expected, "Chroma takes one operator at a time")
    assert_same(where({"team": "ops"}), {"team": {"$eq": "ops"}}, "a text is one value, not a list of letters")


def test_where_refuses_what_cannot_match():
    """An empty list and a misspelt operator are refused; filters are read, not written."""
    assert_refuses(lambda: where({"page": []}), "page", message="an empty list")
    assert_refuses(lambda: where({"page": {"gte": 3}}), "gte", "page", message="an operator without its dollar")
    filters = {"page": [1, 2], "team": "ops"}
    (where(filters) or {})["$and"][0]["page"]["$in"].append(3)
    assert_same(filters, {"page": [1, 2], "team": "ops"}, "the filters after the call")


# changes


def test_changes_by_hand():
    """What is new is added, what differs is told anew, what is gone is removed, what is equal is left alone."""
    stored = {"a": {"start": 0}, "b": {"start": 5}, "c": {"start": 9}}
    wanted = {"d": {"start": 0}, "b": {"start": 5}, "c": {"start": 12}}
    assert_same(changes(stored, wanted), Changes(("d",), ("c",), ("a",)), "a is gone, c has moved, d is new")
    assert_same(changes(stored, stored), Changes((), (), ()), "nothing has changed")
    assert_same(changes({}, wanted), Changes(("d", "b", "c"), (), ()), "nothing was stored: all in order")
    assert_same(changes(stored, {}), Changes((), (), ("a", "b", "c")), "nothing is wanted: all in order")
    assert_same(changes({"a": {"x": 1}}, {"a": {}}), Changes((), ("a",), ()), "metadata that is gone is a change")


# KnowledgeBase.ingest


class Store:
    """A collection in memory, with the methods of Chroma's that are used, which behave as Chroma's do."""

    def __init__(self):
        self.rows, self.calls = {}, []

    def get(self, where=None, include=()):
        """Ids and metadata of the rows that match."""
        self.calls.append("get")
        ids = [name for name, row in self.rows.items() if self.matches(row["metadata"], where)]
        return {"ids": ids, "metadatas": [dict(self.rows[name]["metadata"]) for name in ids]}

    def matches(self, metadata, condition):
        """Whether a row's metadata meets one condition."""
        if not condition:
            return True
        ((key, value),) = condition.items()
        return metadata.get(key) == (value["$eq"] if isinstance(value, dict) else value)

    def upsert(self, ids, documents, embeddings, metadatas):
        """Add rows, or replace them."""
        assert ids, "Chroma refuses an upsert of nothing"
        assert len(ids) == len(set(ids)), "Chroma refuses an id that comes twice"
        assert len(ids) <= 5000, "Chroma refuses more than some 5,000 at a time"
        self.calls.append(("upsert", tuple(ids)))
        for name, text, vector, metadata in zip(ids, documents, embeddings, metadatas, strict=True):
            self.rows[name] = {"text": text, "vector": list(vector), "metadata": dict(metadata)}

    add = upsert

    def update(self, ids, metadatas, **more):
        """Merge metadata into rows."""
        assert ids, "Chroma refuses an update of nothing"
        self.calls.append(("update", tuple(ids)))
        for name, metadata in zip(ids, metadatas, strict=True):
            merged = {**self.rows[name]["metadata"], **metadata}  # as Chroma: keys that are not named stay
            self.rows[name]["metadata"] = {key: value for key, value in merged.items() if value is not None}

    def delete(self, ids):
        """Remove rows."""
        assert ids, "Chroma refuses to delete nothing"
        self.calls.append(("delete", tuple(ids)))
        for name in ids:
            del self.rows[name]

    def count(self):
        """How many rows there are."""
        return len(self.rows)


def knowledge(size=8, overlap=0):
    """An empty knowledge base in memory, and the list of the texts that it has had embedded."""
    embedded = []

    def embed(texts):
        embedded.extend(texts)
        return np.array([[len(text), 1.0] for text in texts])

    return KnowledgeBase(Store(), embed, length=len, size=size, overlap=overlap), embedded


def stored(base):
    """What is stored, as text with its place, in the order of the places."""
    rows = base.collection.rows.values()
    return [(r["text"], r["metadata"]["start"], r["metadata"]["end"]) for r in sorted(rows, key=_place)]


def _place(row):
    return row["metadata"]["source"], row["metadata"]["start"]


def test_ingest_by_hand():
    """Every chunk is stored with its text, its vector, its place and its metadata."""
    base, embedded = knowledge()
    document = Document("a.txt", "One is. Two is.", {"team": "ops"})
    done = base.ingest(document)
    assert_same(stored(base), [("One is.", 0, 7), ("Two is.", 8, 15)], "two sentences in chunks of 8")
    assert_same(embedded, ["One is.", "Two is."], "both are embedded")
    assert_same((len(done.add), done.update, done.remove), (2, (), ()), "what was done")
    ids = [c.id for c in chunk(document, length=len, size=8, overlap=0)]
    assert_same(list(base.collection.rows), ids, "chunks are stored under their ids")
    assert_same(list(done.add), ids, "what was added, in order")
    for row in base.collection.rows.values():
        assert_same(row["vector"], [7.0, 1.0], "the vector is the one of the text")
        assert_same(row["metadata"].get("team"), "ops", "the document's metadata")
        assert_same(row["metadata"].get("source"), "a.txt", "the source is noted, so that it can be filtered by")


def test_ingest_of_what_is_stored_does_nothing():
    """The second time costs one look-up, and embeds and writes nothing."""
    base, embedded = knowledge()
    document = Document("a", "One is. Two is.")
    base.ingest(document)
    del embedded[:], base.collection.calls[:]
    measured = []
    base.length = lambda text: measured.append(text) or len(text)
    assert_same(base.ingest(Document("a", "One is. Two is.")), Changes((), (), ()), "nothing was to be done")
    assert_same(embedded, [], "nothing is embedded")
    assert_same(base.collection.calls, ["get"], "one look-up, and nothing is written")
    assert_same(measured, [], "the document is not even chunked")


def test_ingest_of_a_changed_file_replaces_exactly_its_chunks():
    """What is as before is not embedded again, though it moved; what is gone is gone; other sources are left alone."""
    base, embedded = knowledge()
    base.ingest(Document("a", "One is. Two is. Six is."))
    base.ingest(Document("b", "One is. Two is."))
    del embedded[:], base.collection.calls[:]
    done = base.ingest(Document("a", "New is. One is. Six is."))
    expected = [("New is.", 0, 7), ("One is.", 8, 15), ("Six is.", 16, 23), ("One is.", 0, 7), ("Two is.", 8, 15)]
    assert_same(stored(base), expected, "'Two is.' became 'New is.' in a, and b is as it was")
    assert_same(embedded, ["New is."], "only the new text is embedded")
    assert_same((len(done.add), len(done.update), len(done.remove)), (1, 2, 1), "how many were added, told, removed")
    kinds = [call[0] for call in base.collection.calls if call != "get"]
    assert kinds.index("delete") > kinds.index("upsert"), "old chunks go when the new ones are in, not before"


def test_ingest_notices_every_change():
    """Text, metadata, sections and the size of chunks make a document another one."""
    base, embedded = knowledge()
    base.ingest(Document("a", "One is. Two is.", {"team": "ops", "old": True}))
    base.ingest(Document("a", "One is. Two is.", {"team": "dev"}))
    rows = [row["metadata"] for row in base.collection.rows.values()]
    assert all(row["team"] == "dev" and "old" not in row for row in rows), f"metadata is told anew: {rows}"
    assert_same(len(embedded), 2, "new metadata needs no new vectors")
    base.ingest(Document("a", "One is. Two is.", {"team": "dev"}, [Section(0, 15, {"page": 2})]))
    rows = [row["metadata"].get("page") for row in base.collection.rows.values()]
    assert_same(rows, [2, 2], "new sections are told, too")
    base.size = 20
    base.ingest(Document("a", "One is. Two is.", {"team": "dev"}))
    assert_same(stored(base), [("One is. Two is.", 0, 15)], "with another size, the document is chunked anew")
    base.size, base.overlap = 16, 7
    text = "One is. Two is. Six is."
    base.ingest(Document("c", text))
    base.overlap = 0
    base.ingest(Document("c", text))
    assert_same(stored(base)[1:], [("One is. Two is.", 0, 15), ("Six is.", 16, 23)], "and with another overlap")
    base.ingest(Document("a", ""))
    base.ingest(Document("c", ""))
    assert_same(len(base), 0, "a document that has become empty has no chunks left")


def test_ingest_completes_what_was_broken_off():
    """Whatever was stored when the process died, the next call makes it right."""
    document = Document("a", "One is. Two is. Six is.")
    for lost in range(3):
        base, _ = knowledge()
        base.ingest(document)
        del base.collection.rows[list(base.collection.rows)[lost]]
        base.ingest(document)
        expected = [("One is.", 0, 7), ("Two is.", 8, 15), ("Six is.", 16, 23)]
        assert_same(stored(base), expected, f"chunk {lost} had been lost")
    for kept in range(3):
        base, _ = knowledge()
        base.ingest(document)
        old = {name: {**row} for name, row in base.collection.rows.items()}
        base.ingest(Document("a", "One is. Two is. Six is. Ten is."))
        name = list(old)[kept]
        base.collection.rows[name] = old[name]
        base.ingest(Document("a", "One is. Two is. Six is. Ten is."))
        states = {row["metadata"]["chunks"] for row in base.collection.rows.values()}
        assert_same(states, {4}, f"chunk {kept} was left in its old state, and is told of the new one")


def test_ingest_in_parts():
    """A large document is embedded and written in parts that Chroma takes."""
    base, embedded = knowledge()
    text = " ".join(f"x{i:04}." for i in range(1050))
    base.ingest(Document("a", text))
    sizes = [len(call[1]) for call in base.collection.calls if call[0] == "upsert"]
    assert_same((len(base), len(embedded), max(sizes)), (1050, 1050, 1000), "1,050 chunks, at most 1,000 at a time")
    base.ingest(Document("a", ""))
    assert_same(len(base), 0, "and all of them are removed")


def test_ingest_refuses_reserved_metadata():
    """What the knowledge base notes itself cannot be said otherwise by a document."""
    base, _ = knowledge()
    for name in ("source", "start", "end", "document", "chunks"):
        document = Document("a.txt", "One.", {name: 1})
        assert_refuses(lambda d=document: base.ingest(d), name, "a.txt", message=f"metadata called {name}")
    document = Document("a.txt", "One.", {}, [Section(0, 4, {"start": 1})])
    assert_refuses(lambda: base.ingest(document), "start", message="a section's metadata called start")
    assert_same(len(base), 0, "nothing of a refused document is stored")
