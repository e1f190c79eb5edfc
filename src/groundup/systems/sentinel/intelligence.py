"""Threat intelligence: facts from ATT&CK and CISA's list of exploited vulnerabilities, each with its source.

    catalogue = read_catalogue()
    catalogue.lookup("Is CVE-2021-44228 exploited?")       # by code: facts of the lists, or "unknown"
    analyst = Analyst(catalogue, guard, knowledge, chat_model())
    analyst.ask("How do attackers steal session cookies?")  # sentences of documents, each with its place

Code looks up ids, never a model. A model may word an answer from documents: code looks up each of its sentences in
them, and drops a sentence that names a technique or a vulnerability of no list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.data import load
from groundup.errors import StoreError, UsageError
from groundup.files import replace_file
from groundup.llm import ground
from groundup.stack.production.guardrails import Vault, normalise
from groundup.stack.retrieval.rag import NO_ANSWER, Passage, prompt
from groundup.systems.sentinel.guard import PromptGuard

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

    from groundup.knowledge import Knowledge

CVE = re.compile(r"\bCVE-\d{4}-\d{4,}\b", re.IGNORECASE)
TECHNIQUE = re.compile(r"\bT\d{4}(?:\.\d{3})?\b", re.IGNORECASE)
KEV_PAGE = "https://www.cisa.gov/known-exploited-vulnerabilities-catalog"
LONGEST = 2000  # characters of a question
# The techniques that words of a finding point to; ids that ATT&CK's list lacks are left out.
POINTERS: Mapping[str, tuple[str, ...]] = {
    "imitates": ("T1583.001", "T1566.002"),
    "phishing page": ("T1566.002", "T1598.003"),
    "failed password": ("T1110",),
    "invalid user": ("T1110.001",),
    "new session": ("T1078",),
    "sudo": ("T1548.003",),
    "orders to a model": ("T1565.001",),
}
_CITATION = re.compile(r"\(Citation: [^)]*\)")


@dataclass(frozen=True)
class Fact:
    """A sentence and its source: an address, a place in a document, or nothing for the unknown.

    Attributes:
        id: the technique or vulnerability; empty for none.
        text: the sentence.
        where: an address, or a place that `groundup sentinel open` opens; empty for the unknown.
    """

    id: str
    text: str
    where: str


@dataclass(frozen=True)
class Technique:
    """A technique of ATT&CK."""

    id: str
    name: str
    text: str
    tactics: str
    url: str


@dataclass(frozen=True)
class Exploited:
    """A vulnerability that is exploited, by CISA's list."""

    cve: str
    name: str
    product: str
    text: str
    action: str
    added: str
    ransomware: bool


@dataclass(frozen=True)
class Catalogue:
    """The lists: techniques and vulnerabilities by id, and the techniques used with each vulnerability."""

    techniques: Mapping[str, Technique]
    exploited: Mapping[str, Exploited]
    used_with: Mapping[str, tuple[str, ...]]

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and (id.upper() in self.techniques or id.upper() in self.exploited)

    def lookup(self, text: str) -> list[Fact]:
        """The lists' facts on every id in a text, in order; an id in no list gets the fact that it is unknown."""
        ids = [match[0].upper() for match in re.finditer(f"{CVE.pattern}|{TECHNIQUE.pattern}", text, re.IGNORECASE)]
        return [fact for id in dict.fromkeys(ids) for fact in self.facts(id)]

    def facts(self, id: str) -> list[Fact]:
        """The lists' facts on one id."""
        id = id.upper()
        if (technique := self.techniques.get(id)) is not None:
            text = f"{id} is {technique.name} ({technique.tactics}). {first_sentence(technique.text)}"
            return [Fact(id, text, technique.url)]
        if (cve := self.exploited.get(id)) is not None:
            paid = " It is used for ransomware." if cve.ransomware else ""
            facts = [Fact(id, f"{id} is exploited, known since {cve.added}: {cve.text}{paid}", KEV_PAGE)]
            facts += [fact for used in self.used_with.get(id, ()) for fact in self.facts(used)]
            return facts
        where = "ATT&CK's techniques" if id.startswith("T") else "CISA's list of exploited vulnerabilities"
        return [Fact(id, f"{id} is unknown: it is not in {where} as they are here.", "")]

    def made_up(self, text: str) -> list[str]:
        """The ids of a text that are in no list."""
        return [fact.id for fact in self.lookup(text) if not fact.where]

    def pointers(self, evidence: Iterable[str]) -> list[Fact]:
        """The facts on the techniques that evidence points to."""
        text = " ".join(evidence).lower()
        ids = [id for words, ids in POINTERS.items() if words in text for id in ids if id in self.techniques]
        return [fact for id in dict.fromkeys(ids) for fact in self.facts(id)]

    def write(self, folder: Path, *, tactics: Sequence[str] = (), vulnerabilities: int | None = None) -> int:
        """Write the lists as documents, one for each id, for a knowledge base; return their number.

        Args:
            folder: the folder to write to.
            tactics: only techniques of these tactics; all unless given.
            vulnerabilities: only this number of the newest; all unless given.

        Raises:
            StoreError: the folder cannot be written.
        """
        newest = sorted(self.exploited.values(), key=lambda exploited: exploited.added, reverse=True)[:vulnerabilities]
        techniques = [
            technique
            for technique in self.techniques.values()
            if not tactics or {*technique.tactics.split(", ")} & {*tactics}
        ]
        texts = {t.id: f"# {t.id} {t.name}\n\n{plain(t.text)}\n" for t in techniques}
        texts |= {v.cve: f"# {v.cve} {v.name}\n\n{v.product}. {v.text}\n\n{v.action}\n" for v in newest}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for id, text in texts.items():
                replace_file(folder / f"{id}.md", text)
        except OSError as error:
            raise StoreError(
                f"intelligence must be a folder that can be written, and '{folder}' cannot be: "
                f"{error.strerror or error}. Free some space, or name another store."
            ) from error
        return len(texts)


@cache
def read_catalogue() -> Catalogue:
    """The lists, from `groundup.data`.

    Raises:
        DataUnavailable: no source has the lists. Nothing stands in for them.
    """
    techniques, exploited, used = load("attack_techniques"), load("known_exploited"), load("exploited_techniques")
    columns = [techniques[name].tolist() for name in ("id", "name", "text", "tactics", "url")]
    by_id = {row[0]: Technique(*row) for row in zip(*columns, strict=True)}
    rows = [exploited[name].tolist() for name in ("cve", "name", "product", "text", "action", "added", "ransomware")]
    by_cve = {row[0]: Exploited(*row[:6], ransomware=row[6] == "Known") for row in zip(*rows, strict=True)}
    used_with: dict[str, dict[str, None]] = {}
    for cve, technique in zip(used["cve"].tolist(), used["technique"].tolist(), strict=True):
        if technique in by_id:
            used_with.setdefault(cve, {})[technique] = None
    return Catalogue(by_id, by_cve, {cve: tuple(ids) for cve, ids in used_with.items()})


def plain(text: str) -> str:
    """A description without its marks of citations, links and HTML."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", _CITATION.sub("", text))
    return re.sub(r"</?code>", "`", text)


def first_sentence(text: str) -> str:
    """The first sentence of a description."""
    flat = " ".join(plain(text).split())
    return re.split(r"(?<=[a-z)`]\.) (?=[A-Z])", flat, maxsplit=1)[0][:400]


# ── questions ───────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        facts: the sentences, each with its source.
        refused: the reason of a refusal; empty for an answered question.
        dropped: sentences of the model that stand nowhere, or name an id of no list.
        left_out: documents that no model saw, because they read like orders to a model.
    """

    facts: tuple[Fact, ...]
    refused: str = ""
    dropped: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def unknown(self) -> bool:
        """Whether nothing is known."""
        return not any(fact.where for fact in self.facts)


UNKNOWN = Fact("", "Unknown: no list and no document here says.", "")


class Analyst:
    """Answers questions from the lists and the knowledge base."""

    def __init__(
        self, catalogue: Catalogue, guard: PromptGuard, knowledge: Knowledge | None, model: BaseChatModel | None
    ) -> None:
        self.catalogue, self.guard, self.knowledge, self.model = catalogue, guard, knowledge, model

    def ask(self, question: str, *, k: int = 5) -> Answer:
        """Answer a question: ids from the lists, everything else from documents.

        1. A question that reads like orders to a model is refused.
        2. Code looks up the ids in it. No model is asked.
        3. Otherwise documents are searched. A document that reads like orders is left out; personal data is replaced in
           the question and in documents.
        4. The model answers from the documents, and code looks up each of its sentences in them.

        Raises:
            UsageError: the question is empty, or too long.
            ModelUnavailable: the model does not answer.
        """
        if not question.strip() or len(question) > LONGEST:
            raise UsageError(
                f"question must have 1 to {LONGEST:,} characters, got {len(question.strip()):,}. Ask in a sentence."
            )
        if self.guard.flags(question):
            return Answer((UNKNOWN,), refused="The question reads like orders to a model. Ask about the topic itself.")
        if facts := self.catalogue.lookup(question):
            return Answer(tuple(facts))
        if self.knowledge is None or self.model is None or not len(self.knowledge):
            return Answer((UNKNOWN,))
        vault, kept, left_out = Vault(), [], []
        for chunk in self.knowledge.search(normalise(question), k):
            if self.guard.flags(chunk.text):
                left_out.append(chunk.source)
            else:
                kept.append(chunk)
        passages = [Passage(vault.redact(chunk.text), f"{chunk.source} > {chunk.headings}") for chunk in kept]
        reply = self._reply(vault.redact(normalise(question), own=True), passages)
        facts, dropped = [], []
        for sentence in ground(reply, passages):
            if sentence.span is None or self.catalogue.made_up(sentence.text):
                if sentence.text != NO_ANSWER:
                    dropped.append(sentence.text)
                continue
            chunk = kept[sentence.span.number - 1]
            named = TECHNIQUE.search(chunk.source.upper()) or CVE.search(chunk.source.upper())
            id = named[0] if named else ""
            facts.append(Fact(id, vault.restore(sentence.text), f"{chunk.source}:{chunk.start}-{chunk.end}"))
        return Answer(tuple(facts) or (UNKNOWN,), "", tuple(dropped), tuple(left_out))

    def _reply(self, question: str, passages: Sequence[Passage]) -> str:
        from groundup.llm.models import unavailable

        assert self.model is not None
        if not passages:
            return NO_ANSWER
        messages = [(message["role"], message["content"]) for message in prompt(question, passages)]
        try:
            return str(self.model.invoke(messages).content)
        except Exception as error:  # every provider has its own class
            raise unavailable(self.model, error) from error
