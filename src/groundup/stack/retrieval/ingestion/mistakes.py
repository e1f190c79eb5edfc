# pyright: basic
"""Wrong ways to write parsing, chunking and the knowledge base, each with its diagnosis, and right ways that differ."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise

from markdown_it.token import Token

from groundup.anatomy import mistake, variant
from groundup.stack.retrieval.ingestion.ingestion import (
    _MARKDOWN,
    OPERATORS,
    SEPARATORS,
    Changes,
    Chunk,
    Document,
    Section,
    _batches,
    _plain,
    changes,
    chunk,
    merge,
    pieces,
    separate,
    trim,
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


@mistake("separate")
def keeps_empty_spans(text, start, end, pattern, whole=()):
    """You cut at the very end as well when a separator stands there, and leave an empty span behind it. Only a cut
    with something before it and behind it, `start < cut < end`, makes two spans.
    """
    cuts = [match.end() for match in re.compile(pattern).finditer(text, start, end)]
    kept = [cut for cut in cuts if not any(first < cut < last for first, last in whole)]
    return list(pairwise([start, *kept, end]))


@mistake("separate")
def cuts_into_what_is_whole(text, start, end, pattern, whole=()):
    """You do not look at `whole`, so that code is cut at its empty lines. Drop every cut that lies strictly within a
    whole span.
    """
    cuts = [match.end() for match in re.compile(pattern).finditer(text, start, end)]
    kept = [cut for cut in cuts if start < cut < end]
    return list(pairwise([start, *kept, end])) if start < end else []


@mistake("separate")
def forbids_the_edges_of_what_is_whole(text, start, end, pattern, whole=()):
    """You drop the cuts at the beginning and at the end of a whole span too, and so glue it to its neighbours. Only
    `first < cut < last` lies within.
    """
    cuts = [match.end() for match in re.compile(pattern).finditer(text, start, end)]
    kept = [cut for cut in cuts if start < cut < end and not any(first <= cut <= last for first, last in whole)]
    return list(pairwise([start, *kept, end])) if start < end else []


@mistake("separate")
def puts_separators_in_front(text, start, end, pattern, whole=()):
    """You cut in front of a separator, so that it begins the next span. It belongs to the span before it: cut at
    `match.end()`.
    """
    cuts = [match.start() for match in re.compile(pattern).finditer(text, start, end)]
    kept = [cut for cut in cuts if start < cut < end and not any(first < cut < last for first, last in whole)]
    return list(pairwise([start, *kept, end])) if start < end else []


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


@mistake("pieces")
def stops_at_words(text, start, end, fits, whole=()):
    """A word without any separator stays as long as it is, although it does not fit: an address or a key in Base64 can
    be thousands of characters long. Cut it in the middle, and its halves again.
    """
    if start == end or fits(start, end):
        return [(start, end)] if start < end else []
    for pattern in SEPARATORS:
        parts = separate(text, start, end, pattern, whole)
        if len(parts) > 1:
            break
    else:
        if end - start == 1:
            raise ValueError(f"pieces: the single character {text[start]!r} does not fit. Choose a larger size.")
        return [(start, end)]
    return [piece for part in parts for piece in pieces(text, *part, fits, whole)]


@mistake("pieces")
def takes_letters_off(text, start, end, fits, whole=()):
    """You take a long word apart letter by letter. For a word of n letters that is n questions at the least, and each
    may count tokens. Halve it: the questions are then about as many as the pieces.
    """
    if start == end or fits(start, end):
        return [(start, end)] if start < end else []
    for pattern in SEPARATORS:
        parts = separate(text, start, end, pattern, whole)
        if len(parts) > 1:
            break
    else:
        if end - start == 1:
            raise ValueError(f"pieces: the single character {text[start]!r} does not fit. Choose a larger size.")
        last = start + 1
        while last < end and fits(start, last + 1):
            last += 1
        parts = [(start, last), (last, end)]
    return [piece for part in parts for piece in pieces(text, *part, fits, whole)]


@mistake("pieces")
def uses_one_separator(text, start, end, fits, whole=()):
    """You cut at the best separator once and take the parts as they come. A paragraph may still be too long: treat
    each part as you treat the whole, by calling yourself.
    """
    if start == end or fits(start, end):
        return [(start, end)] if start < end else []
    for pattern in SEPARATORS:
        parts = separate(text, start, end, pattern, whole)
        if len(parts) > 1:
            return parts
    else:
        if end - start == 1:
            raise ValueError(f"pieces: the single character {text[start]!r} does not fit. Choose a larger size.")
        middle = (start + end) // 2
        parts = [(start, middle), (middle, end)]
    return [piece for part in parts for piece in pieces(text, *part, fits, whole)]


@mistake("pieces")
def begins_with_words(text, start, end, fits, whole=()):
    """You try the separators from the finest to the best, so that a long paragraph is cut between its words although
    it has sentences. `SEPARATORS` begins with the best.
    """
    if start == end or fits(start, end):
        return [(start, end)] if start < end else []
    for pattern in reversed(SEPARATORS):
        parts = separate(text, start, end, pattern, whole)
        if len(parts) > 1:
            break
    else:
        if end - start == 1:
            raise ValueError(f"pieces: the single character {text[start]!r} does not fit. Choose a larger size.")
        middle = (start + end) // 2
        parts = [(start, middle), (middle, end)]
    return [piece for part in parts for piece in pieces(text, *part, fits, whole)]


@mistake("pieces")
def forgets_what_is_whole(text, start, end, fits, whole=()):
    """You do not hand `whole` on to yourself and to `separate`, so that code is cut at its empty lines."""
    if start == end or fits(start, end):
        return [(start, end)] if start < end else []
    for pattern in SEPARATORS:
        parts = separate(text, start, end, pattern)
        if len(parts) > 1:
            break
    else:
        if end - start == 1:
            raise ValueError(f"pieces: the single character {text[start]!r} does not fit. Choose a larger size.")
        middle = (start + end) // 2
        parts = [(start, middle), (middle, end)]
    return [piece for part in parts for piece in pieces(text, *part, fits)]


@mistake("merge")
def adds_lengths_up(spans, measure, size, overlap):
    """You add the lengths of the spans up. What is put together may measure less than its parts, because a tokenizer
    marks the ends of every text. Measure from the first span's start to the last one's end.
    """
    groups = []
    first = 0
    while first < len(spans):
        start, last = spans[first][0], first
        while last + 1 < len(spans) and sum(measure(*span) for span in spans[first : last + 2]) <= size:
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


@mistake("merge")
def never_overlaps(spans, measure, size, overlap):
    """You begin each group behind the last one whatever `overlap` says. An answer that lies across two groups is then
    whole in neither. Step back over the spans that the overlap has room for.
    """
    groups = []
    first = 0
    while first < len(spans):
        start, last = spans[first][0], first
        while last + 1 < len(spans) and measure(start, spans[last + 1][1]) <= size:
            last += 1
        end = spans[last][1]
        groups.append((start, end))
        if last + 1 == len(spans):
            break
        first, new_end = last + 1, spans[last + 1][1]
        # The whole of this group is never repeated: the next span did not fit behind it.
        while measure(spans[first - 1][0], end) < 0 and measure(spans[first - 1][0], new_end) <= size:
            first -= 1
    return groups


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


@mistake("merge")
def repeats_one_span(spans, measure, size, overlap):
    """You repeat one span at most. The overlap says how much may be repeated, which can be several short sentences."""
    groups = []
    first = 0
    while first < len(spans):
        start, last = spans[first][0], first
        while last + 1 < len(spans) and measure(start, spans[last + 1][1]) <= size:
            last += 1
        end = spans[last][1]
        groups.append((start, end))
        if last + 1 == len(spans):
            break
        first, new_end = last + 1, spans[last + 1][1]
        # The whole of this group is never repeated: the next span did not fit behind it.
        if measure(spans[first - 1][0], end) <= overlap and measure(spans[first - 1][0], new_end) <= size:
            first -= 1
    return groups


@mistake("merge")
def drops_the_rest(spans, measure, size, overlap):
    """What is left when the spans come to an end is lost: you note a group only when the next span does not fit. Note
    the last one, too.
    """
    groups = []
    first = 0
    while first < len(spans):
        start, last = spans[first][0], first
        while last + 1 < len(spans) and measure(start, spans[last + 1][1]) <= size:
            last += 1
        end = spans[last][1]
        if last + 1 == len(spans):
            break
        groups.append((start, end))
        first, new_end = last + 1, spans[last + 1][1]
        # The whole of this group is never repeated: the next span did not fit behind it.
        while measure(spans[first - 1][0], end) <= overlap and measure(spans[first - 1][0], new_end) <= size:
            first -= 1
    return groups


@mistake("chunk")
def leaves_whitespace_at_the_ends(document, *, length, size=256, overlap=32):
    """Your chunks keep the empty lines at their ends, and whitespace alone becomes a chunk. Trim every group, and
    leave out what is empty then.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"chunk: overlap must be from 0 to below size = {size}, not {overlap}; an eighth of size is usual."
        )

    def measure(start: int, end: int) -> int:
        return length(document.text[start:end].strip())

    def fits(start: int, end: int) -> bool:
        return measure(start, end) <= size

    chunks = []
    seen = Counter()
    whole = [span for span in document.whole if fits(*span)]
    for section in document.sections or [Section(0, len(document.text), {})]:
        spans = pieces(document.text, section.start, section.end, fits, whole)
        if overlap:  # what is shared is whole sentences, so paragraphs are taken apart
            spans = [s for span in spans for s in separate(document.text, *span, SEPARATORS[1], whole)]
        for group in merge(spans, measure, size, overlap):
            start, end = group
            if start == end:
                continue
            text = document.text[start:end]
            seen[text] += 1
            name = f"{document.source}\0{seen[text]}\0{text}".encode("utf-8", "surrogatepass")
            metadata = {**document.metadata, **section.metadata}
            chunks.append(Chunk(hashlib.sha256(name).hexdigest()[:32], document.source, start, end, text, metadata))
    return chunks


@mistake("chunk")
def names_chunks_by_position(document, *, length, size=256, overlap=32):
    """Your ids come from the position. Put one line at the top of a file, and every chunk below gets a new id and a
    new vector, although nothing in it has changed. Make the id from the source and the text.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"chunk: overlap must be from 0 to below size = {size}, not {overlap}; an eighth of size is usual."
        )

    def measure(start: int, end: int) -> int:
        return length(document.text[start:end].strip())

    def fits(start: int, end: int) -> bool:
        return measure(start, end) <= size

    chunks = []
    seen = Counter()
    whole = [span for span in document.whole if fits(*span)]
    for section in document.sections or [Section(0, len(document.text), {})]:
        spans = pieces(document.text, section.start, section.end, fits, whole)
        if overlap:  # what is shared is whole sentences, so paragraphs are taken apart
            spans = [s for span in spans for s in separate(document.text, *span, SEPARATORS[1], whole)]
        for group in merge(spans, measure, size, overlap):
            start, end = trim(document.text, *group)
            if start == end:
                continue
            text = document.text[start:end]
            seen[text] += 1
            name = f"{document.source}\0{start}\0{text}".encode("utf-8", "surrogatepass")
            metadata = {**document.metadata, **section.metadata}
            chunks.append(Chunk(hashlib.sha256(name).hexdigest()[:32], document.source, start, end, text, metadata))
    return chunks


@mistake("chunk")
def gives_equal_texts_one_id(document, *, length, size=256, overlap=32):
    """Your id is a hash of the source and the text alone, so a sentence that comes twice in a document has one id for
    two chunks: the store refuses both, or keeps one. Count which one of its equals a chunk is, and hash that too.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"chunk: overlap must be from 0 to below size = {size}, not {overlap}; an eighth of size is usual."
        )

    def measure(start: int, end: int) -> int:
        return length(document.text[start:end].strip())

    def fits(start: int, end: int) -> bool:
        return measure(start, end) <= size

    chunks = []
    seen = Counter()
    whole = [span for span in document.whole if fits(*span)]
    for section in document.sections or [Section(0, len(document.text), {})]:
        spans = pieces(document.text, section.start, section.end, fits, whole)
        if overlap:  # what is shared is whole sentences, so paragraphs are taken apart
            spans = [s for span in spans for s in separate(document.text, *span, SEPARATORS[1], whole)]
        for group in merge(spans, measure, size, overlap):
            start, end = trim(document.text, *group)
            if start == end:
                continue
            text = document.text[start:end]
            seen[text] += 1
            name = f"{document.source}\0{text}".encode("utf-8", "surrogatepass")
            metadata = {**document.metadata, **section.metadata}
            chunks.append(Chunk(hashlib.sha256(name).hexdigest()[:32], document.source, start, end, text, metadata))
    return chunks


@mistake("chunk")
def gives_sources_one_id(document, *, length, size=256, overlap=32):
    """You leave the source out of the id. Two files that share a sentence then share its chunk, and removing one file
    takes it from the other.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"chunk: overlap must be from 0 to below size = {size}, not {overlap}; an eighth of size is usual."
        )

    def measure(start: int, end: int) -> int:
        return length(document.text[start:end].strip())

    def fits(start: int, end: int) -> bool:
        return measure(start, end) <= size

    chunks = []
    seen = Counter()
    whole = [span for span in document.whole if fits(*span)]
    for section in document.sections or [Section(0, len(document.text), {})]:
        spans = pieces(document.text, section.start, section.end, fits, whole)
        if overlap:  # what is shared is whole sentences, so paragraphs are taken apart
            spans = [s for span in spans for s in separate(document.text, *span, SEPARATORS[1], whole)]
        for group in merge(spans, measure, size, overlap):
            start, end = trim(document.text, *group)
            if start == end:
                continue
            text = document.text[start:end]
            seen[text] += 1
            name = f"{seen[text]}\0{text}".encode("utf-8", "surrogatepass")
            metadata = {**document.metadata, **section.metadata}
            chunks.append(Chunk(hashlib.sha256(name).hexdigest()[:32], document.source, start, end, text, metadata))
    return chunks


@mistake("chunk")
def forgets_the_sections(document, *, length, size=256, overlap=32):
    """You chunk the document in one go. Chunks then run across headings and pages, and nobody can say on which page a
    sentence is. Chunk each section by itself, and tell its chunks its metadata.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"chunk: overlap must be from 0 to below size = {size}, not {overlap}; an eighth of size is usual."
        )

    def measure(start: int, end: int) -> int:
        return length(document.text[start:end].strip())

    def fits(start: int, end: int) -> bool:
        return measure(start, end) <= size

    chunks = []
    seen = Counter()
    whole = [span for span in document.whole if fits(*span)]
    for section in [Section(0, len(document.text), {})]:
        spans = pieces(document.text, section.start, section.end, fits, whole)
        if overlap:  # what is shared is whole sentences, so paragraphs are taken apart
            spans = [s for span in spans for s in separate(document.text, *span, SEPARATORS[1], whole)]
        for group in merge(spans, measure, size, overlap):
            start, end = trim(document.text, *group)
            if start == end:
                continue
            text = document.text[start:end]
            seen[text] += 1
            name = f"{document.source}\0{seen[text]}\0{text}".encode("utf-8", "surrogatepass")
            metadata = {**document.metadata, **section.metadata}
            chunks.append(Chunk(hashlib.sha256(name).hexdigest()[:32], document.source, start, end, text, metadata))
    return chunks


@mistake("chunk")
def lets_the_document_speak_last(document, *, length, size=256, overlap=32):
    """Where document and section both say something, you let the document win. The section is nearer to the chunk: its
    page, not the document's first, is what the chunk is on.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"chunk: overlap must be from 0 to below size = {size}, not {overlap}; an eighth of size is usual."
        )

    def measure(start: int, end: int) -> int:
        return length(document.text[start:end].strip())

    def fits(start: int, end: int) -> bool:
        return measure(start, end) <= size

    chunks = []
    seen = Counter()
    whole = [span for span in document.whole if fits(*span)]
    for section in document.sections or [Section(0, len(document.text), {})]:
        spans = pieces(document.text, section.start, section.end, fits, whole)
        if overlap:  # what is shared is whole sentences, so paragraphs are taken apart
            spans = [s for span in spans for s in separate(document.text, *span, SEPARATORS[1], whole)]
        for group in merge(spans, measure, size, overlap):
            start, end = trim(document.text, *group)
            if start == end:
                continue
            text = document.text[start:end]
            seen[text] += 1
            name = f"{document.source}\0{seen[text]}\0{text}".encode("utf-8", "surrogatepass")
            metadata = {**section.metadata, **document.metadata}
            chunks.append(Chunk(hashlib.sha256(name).hexdigest()[:32], document.source, start, end, text, metadata))
    return chunks


@mistake("chunk")
def measures_whitespace(document, *, length, size=256, overlap=32):
    """You measure the whitespace at the ends of a span as well. The chunk will not have it, so you cut where nothing
    needed cutting, and `length` sees texts that no chunk has.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"chunk: overlap must be from 0 to below size = {size}, not {overlap}; an eighth of size is usual."
        )

    def measure(start: int, end: int) -> int:
        return length(document.text[start:end])

    def fits(start: int, end: int) -> bool:
        return measure(start, end) <= size

    chunks = []
    seen = Counter()
    whole = [span for span in document.whole if fits(*span)]
    for section in document.sections or [Section(0, len(document.text), {})]:
        spans = pieces(document.text, section.start, section.end, fits, whole)
        if overlap:  # what is shared is whole sentences, so paragraphs are taken apart
            spans = [s for span in spans for s in separate(document.text, *span, SEPARATORS[1], whole)]
        for group in merge(spans, measure, size, overlap):
            start, end = trim(document.text, *group)
            if start == end:
                continue
            text = document.text[start:end]
            seen[text] += 1
            name = f"{document.source}\0{seen[text]}\0{text}".encode("utf-8", "surrogatepass")
            metadata = {**document.metadata, **section.metadata}
            chunks.append(Chunk(hashlib.sha256(name).hexdigest()[:32], document.source, start, end, text, metadata))
    return chunks


@mistake("chunk")
def tears_code(document, *, length, size=256, overlap=32):
    """You do not hand the document's whole spans on, so that code and tables are cut at their lines although they
    would fit into a chunk.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"chunk: overlap must be from 0 to below size = {size}, not {overlap}; an eighth of size is usual."
        )

    def measure(start: int, end: int) -> int:
        return length(document.text[start:end].strip())

    def fits(start: int, end: int) -> bool:
        return measure(start, end) <= size

    chunks = []
    seen = Counter()
    whole = []
    for section in document.sections or [Section(0, len(document.text), {})]:
        spans = pieces(document.text, section.start, section.end, fits, whole)
        if overlap:  # what is shared is whole sentences, so paragraphs are taken apart
            spans = [s for span in spans for s in separate(document.text, *span, SEPARATORS[1], whole)]
        for group in merge(spans, measure, size, overlap):
            start, end = trim(document.text, *group)
            if start == end:
                continue
            text = document.text[start:end]
            seen[text] += 1
            name = f"{document.source}\0{seen[text]}\0{text}".encode("utf-8", "surrogatepass")
            metadata = {**document.metadata, **section.metadata}
            chunks.append(Chunk(hashlib.sha256(name).hexdigest()[:32], document.source, start, end, text, metadata))
    return chunks


@mistake("chunk")
def repeats_only_paragraphs(document, *, length, size=256, overlap=32):
    """You put paragraphs together as they are. A paragraph seldom fits into the overlap, so hardly anything is ever
    repeated: with an overlap, take the pieces apart into sentences before you merge them.
    """
    if not 0 <= overlap < size:
        raise ValueError(
            f"chunk: overlap must be from 0 to below size = {size}, not {overlap}; an eighth of size is usual."
        )

    def measure(start: int, end: int) -> int:
        return length(document.text[start:end].strip())

    def fits(start: int, end: int) -> bool:
        return measure(start, end) <= size

    chunks = []
    seen = Counter()
    whole = [span for span in document.whole if fits(*span)]
    for section in document.sections or [Section(0, len(document.text), {})]:
        spans = pieces(document.text, section.start, section.end, fits, whole)
        if False:
            spans = [s for span in spans for s in separate(document.text, *span, SEPARATORS[1], whole)]
        for group in merge(spans, measure, size, overlap):
            start, end = trim(document.text, *group)
            if start == end:
                continue
            text = document.text[start:end]
            seen[text] += 1
            name = f"{document.source}\0{seen[text]}\0{text}".encode("utf-8", "surrogatepass")
            metadata = {**document.metadata, **section.metadata}
            chunks.append(Chunk(hashlib.sha256(name).hexdigest()[:32], document.source, start, end, text, metadata))
    return chunks


@mistake("chunk")
def allows_an_overlap_as_long_as_a_chunk(document, *, length, size=256, overlap=32):
    """You accept an overlap as long as a chunk. Each chunk could then repeat all of the last one. The rule is 0 ≤
    overlap < size, and what breaks it is refused.
    """
    if not 0 <= overlap <= size:
        raise ValueError(
            f"chunk: overlap must be from 0 to below size = {size}, not {overlap}; an eighth of size is usual."
        )

    def measure(start: int, end: int) -> int:
        return length(document.text[start:end].strip())

    def fits(start: int, end: int) -> bool:
        return measure(start, end) <= size

    chunks = []
    seen = Counter()
    whole = [span for span in document.whole if fits(*span)]
    for section in document.sections or [Section(0, len(document.text), {})]:
        spans = pieces(document.text, section.start, section.end, fits, whole)
        if overlap:  # what is shared is whole sentences, so paragraphs are taken apart
            spans = [s for span in spans for s in separate(document.text, *span, SEPARATORS[1], whole)]
        for group in merge(spans, measure, size, overlap):
            start, end = trim(document.text, *group)
            if start == end:
                continue
            text = document.text[start:end]
            seen[text] += 1
            name = f"{document.source}\0{seen[text]}\0{text}".encode("utf-8", "surrogatepass")
            metadata = {**document.metadata, **section.metadata}
            chunks.append(Chunk(hashlib.sha256(name).hexdigest()[:32], document.source, start, end, text, metadata))
    return chunks


@mistake("parse_markdown")
def counts_lines_as_python_does(source, text, metadata=None):
    """You find the lines with `splitlines`, which also ends a line at form feeds and other separators. CommonMark does
    not, so that every position behind one of them is wrong. Lines end at /r/n, /r or /n only.
    """
    # Lines as CommonMark counts them. `splitlines` would count form feeds as well, and every later position be wrong.
    lines = [0, *(sum(map(len, text.splitlines(True)[: i + 1])) for i in range(len(text.splitlines())))]
    at = [*lines, len(text)].__getitem__
    sections = []
    whole = []
    path = {}
    begin, empty = 0, True  # of the section at hand: where it begins, whether it has only headings so far

    def close(end: int) -> None:
        nonlocal begin, empty
        if end > begin:
            headings = " > ".join(path.values())
            sections.append(Section(begin, end, {"headings": headings} if headings else {}))
        begin, empty = end, True

    tokens = _MARKDOWN.parse(text)
    for token, following in pairwise([*tokens, Token("end", "", 0)]):
        first, end = map(at, token.map or (0, 0))
        if token.type == "heading_open" and token.level == 0:
            if not empty:
                close(first)
            depth = int(token.tag[1])
            path = {level: title for level, title in path.items() if level < depth}
            path[depth] = _plain(following)
        elif token.type == "front_matter":
            title = re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", token.content, re.MULTILINE)
            path = {0: title[1]} if title else {}
            close(end)
        elif token.level == 0 and token.map:
            empty = False
        if token.type in ("fence", "code_block", "table_open"):
            whole.append((first, end))
    close(len(text))
    return Document(source, text, metadata or {}, sections, whole)


@mistake("parse_markdown")
def keeps_headings_that_ended(source, text, metadata=None):
    """You keep headings in the path that the new one has ended. A heading closes all of its own level and below, so
    that only those with `level < depth` stay above it.
    """
    # Lines as CommonMark counts them. `splitlines` would count form feeds as well, and every later position be wrong.
    lines = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
    at = [*lines, len(text)].__getitem__
    sections = []
    whole = []
    path = {}
    begin, empty = 0, True  # of the section at hand: where it begins, whether it has only headings so far

    def close(end: int) -> None:
        nonlocal begin, empty
        if end > begin:
            headings = " > ".join(path.values())
            sections.append(Section(begin, end, {"headings": headings} if headings else {}))
        begin, empty = end, True

    tokens = _MARKDOWN.parse(text)
    for token, following in pairwise([*tokens, Token("end", "", 0)]):
        first, end = map(at, token.map or (0, 0))
        if token.type == "heading_open" and token.level == 0:
            if not empty:
                close(first)
            depth = int(token.tag[1])
            path = {level: title for level, title in path.items() if level != depth}
            path[depth] = _plain(following)
        elif token.type == "front_matter":
            title = re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", token.content, re.MULTILINE)
            path = {0: title[1]} if title else {}
            close(end)
        elif token.level == 0 and token.map:
            empty = False
        if token.type in ("fence", "code_block", "table_open"):
            whole.append((first, end))
    close(len(text))
    return Document(source, text, metadata or {}, sections, whole)


@mistake("parse_markdown")
def takes_quoted_headings(source, text, metadata=None):
    """You begin a section at headings within quotes and lists, too. Those belong to the quote: only tokens of level 0
    are headings of the document.
    """
    # Lines as CommonMark counts them. `splitlines` would count form feeds as well, and every later position be wrong.
    lines = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
    at = [*lines, len(text)].__getitem__
    sections = []
    whole = []
    path = {}
    begin, empty = 0, True  # of the section at hand: where it begins, whether it has only headings so far

    def close(end: int) -> None:
        nonlocal begin, empty
        if end > begin:
            headings = " > ".join(path.values())
            sections.append(Section(begin, end, {"headings": headings} if headings else {}))
        begin, empty = end, True

    tokens = _MARKDOWN.parse(text)
    for token, following in pairwise([*tokens, Token("end", "", 0)]):
        first, end = map(at, token.map or (0, 0))
        if token.type == "heading_open":
            if not empty:
                close(first)
            depth = int(token.tag[1])
            path = {level: title for level, title in path.items() if level < depth}
            path[depth] = _plain(following)
        elif token.type == "front_matter":
            title = re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", token.content, re.MULTILINE)
            path = {0: title[1]} if title else {}
            close(end)
        elif token.level == 0 and token.map:
            empty = False
        if token.type in ("fence", "code_block", "table_open"):
            whole.append((first, end))
    close(len(text))
    return Document(source, text, metadata or {}, sections, whole)


@mistake("parse_markdown")
def keeps_the_marks(source, text, metadata=None):
    """You take the source of a heading as its words, with backticks, asterisks and addresses. Nobody filters by those:
    `_plain` gives the words.
    """
    # Lines as CommonMark counts them. `splitlines` would count form feeds as well, and every later position be wrong.
    lines = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
    at = [*lines, len(text)].__getitem__
    sections = []
    whole = []
    path = {}
    begin, empty = 0, True  # of the section at hand: where it begins, whether it has only headings so far

    def close(end: int) -> None:
        nonlocal begin, empty
        if end > begin:
            headings = " > ".join(path.values())
            sections.append(Section(begin, end, {"headings": headings} if headings else {}))
        begin, empty = end, True

    tokens = _MARKDOWN.parse(text)
    for token, following in pairwise([*tokens, Token("end", "", 0)]):
        first, end = map(at, token.map or (0, 0))
        if token.type == "heading_open" and token.level == 0:
            if not empty:
                close(first)
            depth = int(token.tag[1])
            path = {level: title for level, title in path.items() if level < depth}
            path[depth] = following.content
        elif token.type == "front_matter":
            title = re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", token.content, re.MULTILINE)
            path = {0: title[1]} if title else {}
            close(end)
        elif token.level == 0 and token.map:
            empty = False
        if token.type in ("fence", "code_block", "table_open"):
            whole.append((first, end))
    close(len(text))
    return Document(source, text, metadata or {}, sections, whole)


@mistake("parse_markdown")
def overlooks_code_in_lists(source, text, metadata=None):
    """You look for code at the outermost level only. Steps in a list have their commands below them, indented: a fence
    is whole at any level.
    """
    # Lines as CommonMark counts them. `splitlines` would count form feeds as well, and every later position be wrong.
    lines = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
    at = [*lines, len(text)].__getitem__
    sections = []
    whole = []
    path = {}
    begin, empty = 0, True  # of the section at hand: where it begins, whether it has only headings so far

    def close(end: int) -> None:
        nonlocal begin, empty
        if end > begin:
            headings = " > ".join(path.values())
            sections.append(Section(begin, end, {"headings": headings} if headings else {}))
        begin, empty = end, True

    tokens = _MARKDOWN.parse(text)
    for token, following in pairwise([*tokens, Token("end", "", 0)]):
        first, end = map(at, token.map or (0, 0))
        if token.type == "heading_open" and token.level == 0:
            if not empty:
                close(first)
            depth = int(token.tag[1])
            path = {level: title for level, title in path.items() if level < depth}
            path[depth] = _plain(following)
        elif token.type == "front_matter":
            title = re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", token.content, re.MULTILINE)
            path = {0: title[1]} if title else {}
            close(end)
        elif token.level == 0 and token.map:
            empty = False
        if token.level == 0 and token.type in ("fence", "code_block", "table_open"):
            whole.append((first, end))
    close(len(text))
    return Document(source, text, metadata or {}, sections, whole)


@mistake("parse_markdown")
def overlooks_tables(source, text, metadata=None):
    """You mark code as whole, and tables not. Without its head, a row of a table says nothing."""
    # Lines as CommonMark counts them. `splitlines` would count form feeds as well, and every later position be wrong.
    lines = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
    at = [*lines, len(text)].__getitem__
    sections = []
    whole = []
    path = {}
    begin, empty = 0, True  # of the section at hand: where it begins, whether it has only headings so far

    def close(end: int) -> None:
        nonlocal begin, empty
        if end > begin:
            headings = " > ".join(path.values())
            sections.append(Section(begin, end, {"headings": headings} if headings else {}))
        begin, empty = end, True

    tokens = _MARKDOWN.parse(text)
    for token, following in pairwise([*tokens, Token("end", "", 0)]):
        first, end = map(at, token.map or (0, 0))
        if token.type == "heading_open" and token.level == 0:
            if not empty:
                close(first)
            depth = int(token.tag[1])
            path = {level: title for level, title in path.items() if level < depth}
            path[depth] = _plain(following)
        elif token.type == "front_matter":
            title = re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", token.content, re.MULTILINE)
            path = {0: title[1]} if title else {}
            close(end)
        elif token.level == 0 and token.map:
            empty = False
        if token.type in ("fence", "code_block"):
            whole.append((first, end))
    close(len(text))
    return Document(source, text, metadata or {}, sections, whole)


@mistake("parse_markdown")
def makes_sections_of_bare_headings(source, text, metadata=None):
    """You make a section of a heading that has nothing but another heading below it. It becomes a chunk that says
    nothing and is found by everybody. Let it go with the section that follows.
    """
    # Lines as CommonMark counts them. `splitlines` would count form feeds as well, and every later position be wrong.
    lines = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
    at = [*lines, len(text)].__getitem__
    sections = []
    whole = []
    path = {}
    begin, empty = 0, True  # of the section at hand: where it begins, whether it has only headings so far

    def close(end: int) -> None:
        nonlocal begin, empty
        if end > begin:
            headings = " > ".join(path.values())
            sections.append(Section(begin, end, {"headings": headings} if headings else {}))
        begin, empty = end, True

    tokens = _MARKDOWN.parse(text)
    for token, following in pairwise([*tokens, Token("end", "", 0)]):
        first, end = map(at, token.map or (0, 0))
        if token.type == "heading_open" and token.level == 0:
            close(first)
            depth = int(token.tag[1])
            path = {level: title for level, title in path.items() if level < depth}
            path[depth] = _plain(following)
        elif token.type == "front_matter":
            title = re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", token.content, re.MULTILINE)
            path = {0: title[1]} if title else {}
            close(end)
        elif token.level == 0 and token.map:
            empty = False
        if token.type in ("fence", "code_block", "table_open"):
            whole.append((first, end))
    close(len(text))
    return Document(source, text, metadata or {}, sections, whole)


@mistake("parse_markdown")
def drops_the_introduction(source, text, metadata=None):
    """You begin with the first heading. What stands before it is text as well, and is lost: the first section begins
    at 0.
    """
    # Lines as CommonMark counts them. `splitlines` would count form feeds as well, and every later position be wrong.
    lines = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
    at = [*lines, len(text)].__getitem__
    sections = []
    whole = []
    path = {}
    begin, empty = 0, True  # of the section at hand: where it begins, whether it has only headings so far

    def close(end: int) -> None:
        nonlocal begin, empty
        if end > begin:
            headings = " > ".join(path.values())
            sections.append(Section(begin, end, {"headings": headings} if headings else {}))
        begin, empty = end, True

    tokens = _MARKDOWN.parse(text)
    for token, following in pairwise([*tokens, Token("end", "", 0)]):
        first, end = map(at, token.map or (0, 0))
        if token.type == "heading_open" and token.level == 0:
            if not empty and path:
                close(first)
            elif not empty:
                begin = first
            depth = int(token.tag[1])
            path = {level: title for level, title in path.items() if level < depth}
            path[depth] = _plain(following)
        elif token.type == "front_matter":
            title = re.search(r"^title:\s*[\"']?(.+?)[\"']?\s*$", token.content, re.MULTILINE)
            path = {0: title[1]} if title else {}
            close(end)
        elif token.level == 0 and token.map:
            empty = False
        if token.type in ("fence", "code_block", "table_open"):
            whole.append((first, end))
    close(len(text))
    return Document(source, text, metadata or {}, sections, whole)


@mistake("parse_markdown")
def overlooks_the_title(source, text, metadata=None):
    """You leave the front matter's title out of the path. It is the heading above all others, and often the only place
    that names the subject.
    """
    # Lines as CommonMark counts them. `splitlines` would count form feeds as well, and every later position be wrong.
    lines = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
    at = [*lines, len(text)].__getitem__
    sections = []
    whole = []
    path = {}
    begin, empty = 0, True  # of the section at hand: where it begins, whether it has only headings so far

    def close(end: int) -> None:
        nonlocal begin, empty
        if end > begin:
            headings = " > ".join(path.values())
            sections.append(Section(begin, end, {"headings": headings} if headings else {}))
        begin, empty = end, True

    tokens = _MARKDOWN.parse(text)
    for token, following in pairwise([*tokens, Token("end", "", 0)]):
        first, end = map(at, token.map or (0, 0))
        if token.type == "heading_open" and token.level == 0:
            if not empty:
                close(first)
            depth = int(token.tag[1])
            path = {level: title for level, title in path.items() if level < depth}
            path[depth] = _plain(following)
        elif token.type == "front_matter":
            path = {}
            close(end)
        elif token.level == 0 and token.map:
            empty = False
        if token.type in ("fence", "code_block", "table_open"):
            whole.append((first, end))
    close(len(text))
    return Document(source, text, metadata or {}, sections, whole)


@mistake("join_pages")
def counts_pages_from_zero(source, pages, metadata=None):
    """You count pages from 0. Everybody who opens the file counts from 1."""
    if not any(page.strip() for page in pages):
        raise ValueError(
            f"join_pages: {source} has no text on its {len(pages)} pages. If they are pictures, run a text "
            "recognition (OCR) first."
        )
    text = "\n\n".join(pages)
    begins = [0]
    for page in pages:
        begins.append(begins[-1] + len(page) + 2)
    begins[-1] = len(text)
    sections = [Section(start, end, {"page": n}) for n, (start, end) in enumerate(pairwise(begins))]
    return Document(source, text, metadata or {}, sections)


@mistake("join_pages")
def skips_empty_pages(source, pages, metadata=None):
    """You leave empty pages out before you count, so that every page behind one has a number too small. An empty page
    is a page.
    """
    if not any(page.strip() for page in pages):
        raise ValueError(
            f"join_pages: {source} has no text on its {len(pages)} pages. If they are pictures, run a text "
            "recognition (OCR) first."
        )
    pages = [page for page in pages if page.strip()]
    text = "\n\n".join(pages)
    begins = [0]
    for page in pages:
        begins.append(begins[-1] + len(page) + 2)
    begins[-1] = len(text)
    sections = [Section(start, end, {"page": n}) for n, (start, end) in enumerate(pairwise(begins), 1)]
    return Document(source, text, metadata or {}, sections)


@mistake("join_pages")
def glues_pages_together(source, pages, metadata=None):
    """You join the pages with nothing between them, so that the last word of one page and the first of the next become
    one. Put an empty line there.
    """
    if not any(page.strip() for page in pages):
        raise ValueError(
            f"join_pages: {source} has no text on its {len(pages)} pages. If they are pictures, run a text "
            "recognition (OCR) first."
        )
    text = "".join(pages)
    begins = [0]
    for page in pages:
        begins.append(begins[-1] + len(page))
    begins[-1] = len(text)
    sections = [Section(start, end, {"page": n}) for n, (start, end) in enumerate(pairwise(begins), 1)]
    return Document(source, text, metadata or {}, sections)


@mistake("join_pages")
def takes_pictures_for_text(source, pages, metadata=None):
    """You accept a document without any text. A scanned file is then ingested without an error and never found: say at
    once that it has no text.
    """
    if False:
        raise ValueError(
            f"join_pages: {source} has no text on its {len(pages)} pages. If they are pictures, run a text "
            "recognition (OCR) first."
        )
    text = "\n\n".join(pages)
    begins = [0]
    for page in pages:
        begins.append(begins[-1] + len(page) + 2)
    begins[-1] = len(text)
    sections = [Section(start, end, {"page": n}) for n, (start, end) in enumerate(pairwise(begins), 1)]
    return Document(source, text, metadata or {}, sections)


@mistake("where")
def leaves_several_side_by_side(filters):
    """You put several conditions side by side into one mapping. Chroma refuses that: several go into a list under
    `$and`.
    """
    conditions = []
    for key, wanted in (filters or {}).items():
        if isinstance(wanted, list | tuple | set) and not wanted:
            raise ValueError(f"where: the list of '{key}' holds no value, so nothing can match. Leave '{key}' out.")
        if isinstance(wanted, list | tuple | set):
            wanted = {"$in": list(wanted)}
        for operator, value in (wanted if isinstance(wanted, Mapping) else {"$eq": wanted}).items():
            if operator not in OPERATORS:
                raise ValueError(f"where: '{operator}' of '{key}' is no operator; there are {', '.join(OPERATORS)}.")
            conditions.append({key: {operator: value}})
    if not conditions:
        return None
    return {key: test for condition in conditions for key, test in condition.items()}


@mistake("where")
def puts_one_under_and(filters):
    """You put a single condition under `$and`. Chroma wants two at least there: one stands alone."""
    conditions = []
    for key, wanted in (filters or {}).items():
        if isinstance(wanted, list | tuple | set) and not wanted:
            raise ValueError(f"where: the list of '{key}' holds no value, so nothing can match. Leave '{key}' out.")
        if isinstance(wanted, list | tuple | set):
            wanted = {"$in": list(wanted)}
        for operator, value in (wanted if isinstance(wanted, Mapping) else {"$eq": wanted}).items():
            if operator not in OPERATORS:
                raise ValueError(f"where: '{operator}' of '{key}' is no operator; there are {', '.join(OPERATORS)}.")
            conditions.append({key: {operator: value}})
    if not conditions:
        return None
    return {"$and": conditions}


@mistake("where")
def returns_an_empty_filter(filters):
    """You return an empty mapping when there is no filter. Chroma refuses it: no filter is None."""
    conditions = []
    for key, wanted in (filters or {}).items():
        if isinstance(wanted, list | tuple | set) and not wanted:
            raise ValueError(f"where: the list of '{key}' holds no value, so nothing can match. Leave '{key}' out.")
        if isinstance(wanted, list | tuple | set):
            wanted = {"$in": list(wanted)}
        for operator, value in (wanted if isinstance(wanted, Mapping) else {"$eq": wanted}).items():
            if operator not in OPERATORS:
                raise ValueError(f"where: '{operator}' of '{key}' is no operator; there are {', '.join(OPERATORS)}.")
            conditions.append({key: {operator: value}})
    if not conditions:
        return {}
    return conditions[0] if len(conditions) == 1 else {"$and": conditions}


@mistake("where")
def compares_lists_as_values(filters):
    """You ask for equality with a list. A list means one of several: `$in`."""
    conditions = []
    for key, wanted in (filters or {}).items():
        if isinstance(wanted, list | tuple | set) and not wanted:
            raise ValueError(f"where: the list of '{key}' holds no value, so nothing can match. Leave '{key}' out.")
        if isinstance(wanted, list | tuple | set):
            wanted = {"$eq": list(wanted)}
        for operator, value in (wanted if isinstance(wanted, Mapping) else {"$eq": wanted}).items():
            if operator not in OPERATORS:
                raise ValueError(f"where: '{operator}' of '{key}' is no operator; there are {', '.join(OPERATORS)}.")
            conditions.append({key: {operator: value}})
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else {"$and": conditions}


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


@mistake("where")
def drops_false_values(filters):
    """You take False, 0 and the empty text for no filter. They are values like any other: only a missing key is no
    filter.
    """
    conditions = []
    for key, wanted in (filters or {}).items():
        if not wanted and not isinstance(wanted, list):
            continue
        if isinstance(wanted, list | tuple | set) and not wanted:
            raise ValueError(f"where: the list of '{key}' holds no value, so nothing can match. Leave '{key}' out.")
        if isinstance(wanted, list | tuple | set):
            wanted = {"$in": list(wanted)}
        for operator, value in (wanted if isinstance(wanted, Mapping) else {"$eq": wanted}).items():
            if operator not in OPERATORS:
                raise ValueError(f"where: '{operator}' of '{key}' is no operator; there are {', '.join(OPERATORS)}.")
            conditions.append({key: {operator: value}})
    if not conditions:
        return None
    return conditions[0] if len(conditions) == 1 else {"$and": conditions}


@mistake("changes")
def never_updates(stored, wanted):
    """You compare ids only. A chunk whose text is the same may have moved, or its file may have a new owner: where the
    metadata differs, it is to be told.
    """
    add = tuple(name for name in wanted if name not in stored)
    update = ()
    return Changes(add, update, tuple(name for name in stored if name not in wanted))


@mistake("changes")
def updates_everything(stored, wanted):
    """You tell every chunk that stays its metadata anew, also where nothing differs. Compare before you write."""
    add = tuple(name for name in wanted if name not in stored)
    update = tuple(name for name in wanted if name in stored)
    return Changes(add, update, tuple(name for name in stored if name not in wanted))


@mistake("changes")
def never_removes(stored, wanted):
    """You leave what is gone where it is. A knowledge base that still answers from a deleted paragraph is worse than
    one without it.
    """
    add = tuple(name for name in wanted if name not in stored)
    update = tuple(name for name in wanted if name in stored and stored[name] != wanted[name])
    return Changes(add, update, ())


@mistake("changes")
def compares_what_is_wanted_only(stored, wanted):
    """You look whether the wanted metadata is among the stored, and do not see that something has been taken away.
    Compare the whole mappings.
    """
    add = tuple(name for name in wanted if name not in stored)
    update = tuple(name for name in wanted if name in stored and not wanted[name].items() <= stored[name].items())
    return Changes(add, update, tuple(name for name in stored if name not in wanted))


@mistake("KnowledgeBase.ingest")
def embeds_everything_again(self, document):
    """You throw a changed file's chunks away and embed all of them anew. One changed word then costs as much as the
    whole file. Ask `changes` what is new, and embed that.
    """
    state = self._state(document)
    stored = self._stored(document.source)
    if stored and all(noted["document"] == state and noted["chunks"] == len(stored) for noted in stored.values()):
        return Changes((), (), ())
    chunks = chunk(document, length=self.length, size=self.size, overlap=self.overlap)
    texts = {made.id: made.text for made in chunks}
    wanted = {made.id: self._noted(made, state, len(chunks)) for made in chunks}
    todo = Changes(tuple(wanted), (), tuple(name for name in stored if name not in wanted))
    for ids in _batches(todo.add):
        self._add(ids, [texts[name] for name in ids], [wanted[name] for name in ids])
    for ids in _batches(todo.update):
        # Chroma's update merges: what is no longer said is set to None, which removes it.
        gone = dict.fromkeys(key for name in ids for key in stored[name])
        self.collection.update(ids=ids, metadatas=[{**gone, **wanted[name]} for name in ids])
    for ids in _batches(todo.remove):
        self.collection.delete(ids=ids)
    return todo


@mistake("KnowledgeBase.ingest")
def looks_at_one_chunk(self, document):
    """You take the document for stored when one of its chunks says so. A process that died half-way leaves such a
    chunk among others that are old: all of them must say so, and none may be missing.
    """
    state = self._state(document)
    stored = self._stored(document.source)
    if stored and any(noted["document"] == state and noted["chunks"] == len(stored) for noted in stored.values()):
        return Changes((), (), ())
    chunks = chunk(document, length=self.length, size=self.size, overlap=self.overlap)
    texts = {made.id: made.text for made in chunks}
    wanted = {made.id: self._noted(made, state, len(chunks)) for made in chunks}
    todo = changes(stored, wanted)
    for ids in _batches(todo.add):
        self._add(ids, [texts[name] for name in ids], [wanted[name] for name in ids])
    for ids in _batches(todo.update):
        # Chroma's update merges: what is no longer said is set to None, which removes it.
        gone = dict.fromkeys(key for name in ids for key in stored[name])
        self.collection.update(ids=ids, metadatas=[{**gone, **wanted[name]} for name in ids])
    for ids in _batches(todo.remove):
        self.collection.delete(ids=ids)
    return todo


@mistake("KnowledgeBase.ingest")
def does_not_count(self, document):
    """You look whether every stored chunk is of this state, and not whether all of them are there. A chunk that is
    missing cannot say so: compare their number with the one that they carry.
    """
    state = self._state(document)
    stored = self._stored(document.source)
    if stored and all(noted["document"] == state for noted in stored.values()):
        return Changes((), (), ())
    chunks = chunk(document, length=self.length, size=self.size, overlap=self.overlap)
    texts = {made.id: made.text for made in chunks}
    wanted = {made.id: self._noted(made, state, len(chunks)) for made in chunks}
    todo = changes(stored, wanted)
    for ids in _batches(todo.add):
        self._add(ids, [texts[name] for name in ids], [wanted[name] for name in ids])
    for ids in _batches(todo.update):
        # Chroma's update merges: what is no longer said is set to None, which removes it.
        gone = dict.fromkeys(key for name in ids for key in stored[name])
        self.collection.update(ids=ids, metadatas=[{**gone, **wanted[name]} for name in ids])
    for ids in _batches(todo.remove):
        self.collection.delete(ids=ids)
    return todo


@mistake("KnowledgeBase.ingest")
def never_asks_what_is_stored(self, document):
    """You chunk and compare every time, also when nothing has changed. Compare the document's state with what its
    chunks say about it first, and be done.
    """
    state = self._state(document)
    stored = self._stored(document.source)
    chunks = chunk(document, length=self.length, size=self.size, overlap=self.overlap)
    texts = {made.id: made.text for made in chunks}
    wanted = {made.id: self._noted(made, state, len(chunks)) for made in chunks}
    todo = changes(stored, wanted)
    for ids in _batches(todo.add):
        self._add(ids, [texts[name] for name in ids], [wanted[name] for name in ids])
    for ids in _batches(todo.update):
        # Chroma's update merges: what is no longer said is set to None, which removes it.
        gone = dict.fromkeys(key for name in ids for key in stored[name])
        self.collection.update(ids=ids, metadatas=[{**gone, **wanted[name]} for name in ids])
    for ids in _batches(todo.remove):
        self.collection.delete(ids=ids)
    return todo


@mistake("KnowledgeBase.ingest")
def removes_other_sources(self, document):
    """You compare with everything that is stored, so that the chunks of all other files count as gone. Ask for those
    of this source: `_stored` does.
    """
    state = self._state(document)
    found = self.collection.get(include=["metadatas"])
    stored = dict(zip(found["ids"], found["metadatas"], strict=True))
    if stored and all(noted["document"] == state and noted["chunks"] == len(stored) for noted in stored.values()):
        return Changes((), (), ())
    chunks = chunk(document, length=self.length, size=self.size, overlap=self.overlap)
    texts = {made.id: made.text for made in chunks}
    wanted = {made.id: self._noted(made, state, len(chunks)) for made in chunks}
    todo = changes(stored, wanted)
    for ids in _batches(todo.add):
        self._add(ids, [texts[name] for name in ids], [wanted[name] for name in ids])
    for ids in _batches(todo.update):
        # Chroma's update merges: what is no longer said is set to None, which removes it.
        gone = dict.fromkeys(key for name in ids for key in stored[name])
        self.collection.update(ids=ids, metadatas=[{**gone, **wanted[name]} for name in ids])
    for ids in _batches(todo.remove):
        self.collection.delete(ids=ids)
    return todo


@mistake("KnowledgeBase.ingest")
def forgets_to_remove(self, document):
    """You never delete, and the old text of a changed file can still be found. Delete what `changes` says is gone."""
    state = self._state(document)
    stored = self._stored(document.source)
    if stored and all(noted["document"] == state and noted["chunks"] == len(stored) for noted in stored.values()):
        return Changes((), (), ())
    chunks = chunk(document, length=self.length, size=self.size, overlap=self.overlap)
    texts = {made.id: made.text for made in chunks}
    wanted = {made.id: self._noted(made, state, len(chunks)) for made in chunks}
    todo = changes(stored, wanted)
    for ids in _batches(todo.add):
        self._add(ids, [texts[name] for name in ids], [wanted[name] for name in ids])
    for ids in _batches(todo.update):
        # Chroma's update merges: what is no longer said is set to None, which removes it.
        gone = dict.fromkeys(key for name in ids for key in stored[name])
        self.collection.update(ids=ids, metadatas=[{**gone, **wanted[name]} for name in ids])
    return todo


@mistake("KnowledgeBase.ingest")
def deletes_first(self, document):
    """You delete before you add. Between the two, somebody who asks finds neither the old text nor the new one, and if
    the process dies there, it stays so. Add first.
    """
    state = self._state(document)
    stored = self._stored(document.source)
    if stored and all(noted["document"] == state and noted["chunks"] == len(stored) for noted in stored.values()):
        return Changes((), (), ())
    chunks = chunk(document, length=self.length, size=self.size, overlap=self.overlap)
    texts = {made.id: made.text for made in chunks}
    wanted = {made.id: self._noted(made, state, len(chunks)) for made in chunks}
    todo = changes(stored, wanted)
    for ids in _batches(todo.remove):
        self.collection.delete(ids=ids)
    for ids in _batches(todo.add):
        self._add(ids, [texts[name] for name in ids], [wanted[name] for name in ids])
    for ids in _batches(todo.update):
        # Chroma's update merges: what is no longer said is set to None, which removes it.
        gone = dict.fromkeys(key for name in ids for key in stored[name])
        self.collection.update(ids=ids, metadatas=[{**gone, **wanted[name]} for name in ids])
    return todo


@mistake("KnowledgeBase.ingest")
def keeps_what_was_taken_away(self, document):
    """You write the new metadata, and what the old had beyond it stays, because Chroma's `update` merges. Tell it None
    for what is gone.
    """
    state = self._state(document)
    stored = self._stored(document.source)
    if stored and all(noted["document"] == state and noted["chunks"] == len(stored) for noted in stored.values()):
        return Changes((), (), ())
    chunks = chunk(document, length=self.length, size=self.size, overlap=self.overlap)
    texts = {made.id: made.text for made in chunks}
    wanted = {made.id: self._noted(made, state, len(chunks)) for made in chunks}
    todo = changes(stored, wanted)
    for ids in _batches(todo.add):
        self._add(ids, [texts[name] for name in ids], [wanted[name] for name in ids])
    for ids in _batches(todo.update):
        self.collection.update(ids=ids, metadatas=[wanted[name] for name in ids])
    for ids in _batches(todo.remove):
        self.collection.delete(ids=ids)
    return todo


@mistake("KnowledgeBase.ingest")
def writes_all_at_once(self, document):
    """You hand everything to the store in one call. Chroma takes some 5,000 chunks at a time, and all texts of a large
    file are embedded before the first is safe: go in batches.
    """
    state = self._state(document)
    stored = self._stored(document.source)
    if stored and all(noted["document"] == state and noted["chunks"] == len(stored) for noted in stored.values()):
        return Changes((), (), ())
    chunks = chunk(document, length=self.length, size=self.size, overlap=self.overlap)
    texts = {made.id: made.text for made in chunks}
    wanted = {made.id: self._noted(made, state, len(chunks)) for made in chunks}
    todo = changes(stored, wanted)
    for ids in [list(todo.add)] if todo.add else []:
        self._add(ids, [texts[name] for name in ids], [wanted[name] for name in ids])
    for ids in _batches(todo.update):
        # Chroma's update merges: what is no longer said is set to None, which removes it.
        gone = dict.fromkeys(key for name in ids for key in stored[name])
        self.collection.update(ids=ids, metadatas=[{**gone, **wanted[name]} for name in ids])
    for ids in _batches(todo.remove):
        self.collection.delete(ids=ids)
    return todo


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
