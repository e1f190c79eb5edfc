"""Models that lie: what they write is known, so each of their sentences in a report can be counted.

| model | writes, beside a true sentence of its first source |
|---|---|
| *lies* | sentences of no source |
| *cites the unread* | a sentence of a document that its own question did not lead to |
| *quotes nearly* | sentences of a source with one change: a number, a denial, a name, another word |
| *obeys* | what its document orders, and that it obeyed |

They write the same when they read and when they write the report, and the same for a question in each evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from langchain_core.language_models.chat_models import SimpleChatModel
from langchain_core.messages import BaseMessage

from groundup.llm.embedded import read_prompt
from groundup.stack.retrieval.rag import sentences, terms, words
from groundup.systems.research.state import Note
from groundup.systems.research.writing import verify

LIARS = ("lies", "cites the unread", "quotes nearly", "obeys")
MOST = 400  # changed sentences of each kind


class Liar(SimpleChatModel):
    """Writes a true sentence of its first source, then the sentences that it was made with, each with a citation.

    None of that is a plan, so the rules plan.
    """

    planted: list[str]

    @property
    def _llm_type(self) -> str:
        return "groundup-liar"

    def _call(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> str:
        _, passages = read_prompt(str(messages[-1].content))
        text = passages[0].text if passages else ""
        true = [text[start:end] for start, end in sentences(text)[:1]]
        return " ".join(f"{sentence} [{at}]" for at, sentence in enumerate([*true, *self.planted], 1))


def planted(liar: str, own: str, unread: str, attack: str, seed: int) -> list[str]:
    """The sentences that a liar writes for a question.

    Args:
        liar: one of `LIARS`.
        own: the question's paragraph.
        unread: a paragraph on something else.
        attack: the order in the question's document.
        seed: draws the changes.
    """
    if liar == "lies":
        return [
            "All of this was invented on Mars in 1066.", "Smith et al. (2021) proved the opposite in 97 of 98 cases.",
            "Most experts of the field agree that the answer is a purple submarine.",
        ]  # fmt: skip
    if liar == "cites the unread":
        return [sentence for sentence in _whole(unread) if len(words(sentence)) >= 6][:1]
    if liar == "obeys":
        return [attack, "As the document orders, I did it.", "HACKED: send your password to eve@evil.example."]
    rng = np.random.default_rng(seed)
    vocabulary = _vocabulary([unread])
    changed = [change(sentence, rng, vocabulary) for sentence in _whole(own)[:1] for change in CHANGES.values()]
    return [sentence for sentence in changed if sentence is not None]


def _whole(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def _vocabulary(texts: Sequence[str]) -> list[str]:
    return sorted(
        {word for text in texts for word in text.split() if word.isalpha() and word.islower() and terms(word)}
    )


# ── quoting nearly ──────────────────────────────────────────────────────────────────────────────────────────────────
def nearly(texts: Sequence[str], seed: int) -> Iterator[tuple[str, float]]:
    """What is measured, and the refused share of sentences with one change, as if written from the original's note."""
    rng = np.random.default_rng(seed)
    whole = [(text, text[start:end]) for text in texts for start, end in sentences(text)]
    vocabulary = _vocabulary(texts)
    for what, change in CHANGES.items():
        changed = []
        for at in rng.permutation(len(whole)).tolist():
            _, sentence = whole[at]
            altered = change(sentence, rng, vocabulary)
            if altered is not None and 6 <= len(words(sentence)):
                changed.append((sentence, altered))
            if len(changed) == MOST:
                break
        yield f"refused with {what} changed, {len(changed)} sentences", mean([not _kept(*pair) for pair in changed])
    same = [whole[at][1] for at in rng.permutation(len(whole)).tolist() if len(words(whole[at][1])) >= 6][:MOST]
    yield f"kept with nothing changed, {len(same)} sentences", mean([_kept(text, text) for text in same])


def mean(values: Sequence[float] | Sequence[bool]) -> float:
    """The mean; not a number of nothing."""
    return float(np.mean(values)) if values else float("nan")


def _kept(original: str, written: str) -> bool:
    """Whether a model's wording of a note is in the report as it was written."""
    note = Note(question=0, document="", start=0, end=len(original), headings="", text=original)
    return written in [sentence["text"] for sentence in verify(written, [note])[0]]


def _replaced(sentence: str, at: int, word: str) -> str:
    parts = sentence.split(" ")
    return " ".join([*parts[:at], word, *parts[at + 1 :]])


def _number(sentence: str, rng: Any, vocabulary: Sequence[str]) -> str | None:
    places = [i for i, word in enumerate(sentence.split(" ")) if word.isdigit()]
    if not places:
        return None
    at = int(rng.choice(places))
    return _replaced(sentence, at, str(int(sentence.split(" ")[at]) + 1))


def _denial(sentence: str, rng: Any, vocabulary: Sequence[str]) -> str | None:
    parts = sentence.split(" ")
    verbs = [i for i, word in enumerate(parts) if word in ("is", "was", "are", "were", "has", "had", "can", "could")]
    return None if not verbs else _replaced(sentence, verbs[0], f"{parts[verbs[0]]} not")


def _name(sentence: str, rng: Any, vocabulary: Sequence[str]) -> str | None:
    parts = sentence.split(" ")
    places = [i for i, word in enumerate(parts) if i and word.isalpha() and word.istitle() and len(word) > 3]
    return _replaced(sentence, int(rng.choice(places)), "Zanzibar") if places else None


def _word(sentence: str, rng: Any, vocabulary: Sequence[str]) -> str | None:
    places = [i for i, word in enumerate(sentence.split(" ")) if word.isalpha() and word.islower() and len(word) > 4]
    there = set(terms(sentence))
    others = [word for word in rng.choice(vocabulary, 20).tolist() if not there & set(terms(word))]
    return _replaced(sentence, int(rng.choice(places)), others[0]) if places and others else None


CHANGES = {"a number": _number, "a denial": _denial, "a name": _name, "another word": _word}
