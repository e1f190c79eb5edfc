# pyright: basic
"""Ways to get guardrails wrong, and right ways that differ."""

import base64
import re
import unicodedata

import numpy as np

from groundup.anatomy import mistake, variant
from groundup.stack.production.guardrails.guardrails import (
    BASE64,
    FILLERS,
    GOLDEN,
    LEET,
    LEET_WORD,
    LINK,
    LOOKALIKES,
    MULTIPLIER,
    Link,
    _as_shown,
    _check_hashing,
    _same,
    find_pii,
    normalise,
)


@mistake("normalise")
def composes_first(text):
    """You compose before you remove. An accent behind an invisible character then never meets its letter."""
    told = "".join(chr(ord(c) - 0xE0000) if 0xE0020 <= ord(c) <= 0xE007E else c for c in text)
    plain = FILLERS.sub("", unicodedata.normalize("NFKC", told))
    return "".join(c for c in plain if c in "\t\n\r" or unicodedata.category(c) not in ("Cf", "Cs", "Cc"))


@mistake("normalise", edit=("chr(ord(c) - 0xE0000) if 0xE0020 <= ord(c) <= 0xE007E else c", "c"))
def drops_tags():
    """You drop tag characters. A model may read them, so the filters must: make them the ASCII that they mean."""


@mistake("normalise", edit=('c in "\\t\\n\\r" or ', ""))
def drops_line_ends():
    """You drop line ends and tabs: they are control characters, too, and the last word joins the next line's first."""


@mistake("readings", edit=("readings(decoded)", "[decoded]"))
def decodes_once():
    """You add what decodes as it is. It may be base64 or leetspeak again: take all readings of it."""


@mistake("readings", edit=("word[0].translate(LEET), latin)", "word[0].translate(LEET), plain)"))
def undoes_one_disguise_at_a_time():
    """You undo leetspeak in the text before its lookalikes are replaced. Two disguises in one word then hide it."""


@mistake("readings", edit=('.replace("-", "+").replace("_", "/")', ""))
def knows_one_alphabet():
    """You decode the usual alphabet only. In the one for URLs, - and _ stand for + and /."""


@mistake("is_valid", edit=("reversed(digits)", "digits"))
def doubles_from_the_left():
    """You double from the left. Luhn's test counts from the right, which differs where the number of digits is odd."""


@mistake("is_valid", edit=("d // 10 + d % 10 for d in doubled", "d for d in doubled"))
def keeps_two_digits():
    """You add doubled digits as they are. Above 9, take 9 off, or add their two digits."""


@mistake("is_valid", edit=("plain[4:] + plain[:4]", "plain"))
def leaves_the_country_in_front():
    """You take the IBAN as it stands. Country and check digits go behind the rest before the division by 97."""


@mistake("is_valid", edit=("len(plain) == IBAN_LENGTHS.get(plain[:2]) and ", ""))
def takes_any_country():
    """You test the remainder only. Each country has a length, and what is no country has no IBAN."""


@mistake(
    "Vault.redact", edit=("key = entity.kind, _same(entity.kind, entity.value)", "key = entity.kind, entity.value")
)
def takes_spellings_for_people():
    """You keep values as they are spelt. Bob@x.org and bob@x.org are one: the model must see one placeholder."""


@mistake("Vault.redact", edit=("sum(kind == entity.kind for kind, _ in self.holders)", "len(self.holders)"))
def counts_over_all_kinds():
    """You number over all kinds. Each kind counts from 1."""


@mistake("Vault.redact", edit=("if own:", "if True:"))
def owns_everything():
    """You keep the values of every text as the user's. Those of a passage are not: they must not come back."""


@mistake("hash_ngrams", edit=(">> 64 - bits", ">> 32"))
def keeps_too_many_bits():
    """Your columns do not end at 2^bits: shift by 64 - bits, so that the highest `bits` bits stay."""


@mistake("hash_ngrams", edit=("text.lower().split()", "text.split()"))
def minds_the_case():
    """You keep capital letters. IGNORE and ignore then share no n-gram."""


@mistake("foreign_links", edit=('host.endswith(f".{allowed}")', "host.endswith(allowed)"))
def compares_ends():
    """You compare the ends of hosts. evilexample.org ends in example.org: a dot must stand before it."""


@mistake("foreign_links")
def searches_the_address(text, hosts):
    """You look for the host anywhere in the address. It may be the user, the path or the query: parse the address."""
    found, taken = [], bytearray(len(text))
    for read, places in (_as_shown(text), (text, range(len(text) + 1))):
        for match in LINK.finditer(read):
            start, end, rest = places[match.start()], places[match.end()], match["rest"] or ""
            if not any(allowed in rest.lower() for allowed in hosts) and not any(taken[start:end]):
                found.append(Link(start, end, re.split(r"[/\\?#:]", rest)[0].split("@")[-1]))
                taken[start:end] = b"\x01" * (end - start)
    return sorted(found)


@mistake("Guard.ask", edit=("check(vault.redact(remove(answer, links)), kept)", "check(vault.redact(answer), kept)"))
def reports_links_only():
    """You write a step for the links and leave them in the answer. Remove them."""


@mistake(
    "Guard.ask",
    edit=("asked = vault.redact(normalise(question), own=True)", "asked = normalise(question)"),
)
def shows_the_question():
    """The model reads the personal data of the question. Redact it as the user's own before it goes out."""


@mistake(
    "Guard.ask", edit=('self.detector.flags(f"{passage.source}\\n{passage.text}")', "self.detector.flags(passage.text)")
)
def trusts_sources():
    """You look at the text only. The title or the address of a document is written by its author, too."""


@variant("normalise")
def by_translation(text):
    """Letter by letter."""
    letters = []
    for c in text:
        if 0xE0020 <= ord(c) <= 0xE007E:
            c = chr(ord(c) & 0x7F)
        if c in "\t\r\n" or (unicodedata.category(c) not in {"Cf", "Cs", "Cc"} and not FILLERS.match(c)):
            letters.append(c)
    return unicodedata.normalize("NFKC", "".join(letters))


@variant("hash_ngrams")
def by_horner(text, sizes=(3, 4, 5), bits=13):
    """Horner's scheme, from the last character of each n-gram to its first."""
    _check_hashing(sizes, bits)
    codes = np.array([ord(c) for c in f" {' '.join(text.lower().split())} "], dtype=np.uint64)
    columns = []
    for size in sizes:
        count = max(0, len(codes) - size + 1)
        hashes = np.zeros(count, dtype=np.uint64)
        for place in reversed(range(size)):
            hashes = hashes * MULTIPLIER + codes[place : place + count]
        columns.append(((hashes * GOLDEN) >> np.uint64(64 - bits)).astype(np.int64))
    return np.concatenate(columns)


@variant("Vault.redact")
def from_the_right(self, text, *, own=False):
    """Placeholders are given from the left, and written from the right, where no place moves."""
    found = []
    for entity in find_pii(text):
        key = (entity.kind, _same(entity.kind, entity.value))
        if key not in self.holders:
            number = len([kind for kind, _ in self.holders if kind == entity.kind]) + 1
            self.holders[key] = f"[{entity.kind.upper()}_{number}_{self.salt}]"
        found.append((entity, self.holders[key]))
        if own and self.holders[key] not in self.own:
            self.own[self.holders[key]] = entity.value
    for entity, holder in reversed(found):
        text = text[: entity.start] + holder + text[entity.end :]
    return text


@variant("readings")
def by_a_list_of_texts(text):
    """Without recursion: what decodes waits in a list."""
    waiting, views = [text], []
    while waiting:
        plain = normalise(waiting.pop(0))
        bare = re.sub(r"[\u0300-\u036f]", "", unicodedata.normalize("NFD", plain))
        bare = "".join(c for c in bare if unicodedata.combining(c) == 0).translate(LOOKALIKES)
        views += [bare, LEET_WORD.sub(lambda word: word[0].translate(LEET), bare)]
        for run in BASE64.findall(plain):
            try:
                decoded = base64.b64decode(run.translate(str.maketrans("-_", "+/")) + "==").decode()
            except ValueError:
                continue
            if all(c.isprintable() or c.isspace() for c in decoded):
                waiting.append(decoded)
    return list(dict.fromkeys(views))
