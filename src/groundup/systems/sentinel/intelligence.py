"""Threat intelligence: what ATT&CK and CISA's list of exploited vulnerabilities say, each with the place that says so.

    catalogue = read_catalogue()
    catalogue.lookup("Is CVE-2021-44228 exploited?")       # by code: facts of the lists, or "unknown"
    analyst = Analyst(catalogue, guard, knowledge, chat_model())
    analyst.ask("How do attackers steal session cookies?")  # sentences of documents, each with its place

Ids are looked up by code and never by a model. A model may word what documents say: each of its sentences is looked up
in them, and one that names a technique or a vulnerability which is in no list is dropped.
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
# What a finding points to. The ids are held against the list when they are shown.
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
    """A sentence, and what says so: an address, a place in a document, or nothing where nothing is known.

    Attributes:
        id: the technique or vulnerability; empty for none.
        text: the sentence.
        where: an address, or a place that `groundup sentinel open` opens; empty where it is unknown.
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
    """A vulnerability that is known to be exploited."""

    cve: str
    name: str
    product: str
    text: str
    action: str
    added: str
    ransomware: bool


@dataclass(frozen=True)
class Catalogue:
    """The lists: techniques and vulnerabilities by id, and which techniques a vulnerability is used with."""

    techniques: Mapping[str, Technique]
    exploited: Mapping[str, Exploited]
    used_with: Mapping[str, tuple[str, ...]]

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and (id.upper() in self.techniques or id.upper() in self.exploited)

    def lookup(self, text: str) -> list[Fact]:
        """What the lists say of every id in a text, in order; of an id in no list, that it is unknown."""
        ids = [match[0].upper() for match in re.finditer(f"{CVE.pattern}|{TECHNIQUE.pattern}", text, re.IGNORECASE)]
        return [fact for id in dict.fromkeys(ids) for fact in self.facts(id)]

    def facts(self, id: str) -> list[Fact]:
        """What the lists say of one id."""
        id = id.upper()
        if (known := self.techniques.get(id)) is not None:
            return [Fact(id, f"{id} is {known.name} ({known.tactics}). {first_sentence(known.text)}", known.url)]
        if (cve := self.exploited.get(id)) is not None:
            paid = " It is used for ransomware." if cve.ransomware else ""
            facts = [Fact(id, f"{id} is exploited, known since {cve.added}: {cve.text}{paid}", KEV_PAGE)]
            facts += [fact for technique in self.used_with.get(id, ()) for fact in self.facts(technique)]
            return facts
        where = "ATT&CK's techniques" if id.startswith("T") else "CISA's list of exploited vulnerabilities"
        return [Fact(id, f"{id} is unknown: it is not in {where} as they are here.", "")]

    def made_up(self, text: str) -> list[str]:
        """The ids in a text that are in no list."""
        return [fact.id for fact in self.lookup(text) if not fact.where]

    def pointers(self, evidence: Iterable[str]) -> list[Fact]:
        """The techniques that evidence points to; none, where it points to none."""
        text = " ".join(evidence).lower()
        ids = [id for words, ids in POINTERS.items() if words in text for id in ids if id in self.techniques]
        return [fact for id in dict.fromkeys(ids) for fact in self.facts(id)]

    def write(self, folder: Path, *, tactics: Sequence[str] = (), vulnerabilities: int | None = None) -> int:
        """Write the lists as documents, one for each id, for a knowledge base; how many they are.

        Args:
            folder: where to.
            tactics: of these only; of all unless given.
            vulnerabilities: the newest so many only; all unless given.

        Raises:
            StoreError: the folder cannot be written.
        """
        newest = sorted(self.exploited.values(), key=lambda each: each.added, reverse=True)[:vulnerabilities]
        techniques = [
            each for each in self.techniques.values() if not tactics or {*each.tactics.split(", ")} & {*tactics}
        ]
        texts = {each.id: f"# {each.id} {each.name}\n\n{plain(each.text)}\n" for each in techniques}
        texts |= {
            each.cve: f"# {each.cve} {each.name}\n\n{each.product}. {each.text}\n\n{each.action}\n" for each in newest
        }
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
        DataUnavailable: they can be had from nowhere. Nothing stands in for them.
    """
    techniques, exploited, used = load("attack_techniques"), load("known_exploited"), load("exploited_techniques")
    columns = [techniques[name].tolist() for name in ("id", "name", "text", "tactics", "url")]
    by_id = {row[0]: Technique(*row) for row in zip(*columns, strict=True)}
    rows = [exploited[name].tolist() for name in ("cve", "name", "product", "text", "action", "added", "ransomware")]
    by_cve = {row[0]: Exploited(*row[:6], ransomware=row[6] == "Known") for row in zip(*rows, strict=True)}
    with_: dict[str, dict[str, None]] = {}
    for cve, technique in zip(used["cve"].tolist(), used["technique"].tolist(), strict=True):
        if technique in by_id:
            with_.setdefault(cve, {})[technique] = None
    return Catalogue(by_id, by_cve, {cve: tuple(ids) for cve, ids in with_.items()})


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
        facts: the sentences, each with what says so.
        refused: why the question was refused; empty where it was not.
        dropped: sentences of the model that stand nowhere, or name an id that is in no list.
        left_out: documents that no model saw, because they read like orders to one.
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
        """Answer a question: ids from the lists, all else from documents.

        1. A question that reads like orders to a model is refused.
        2. Ids in it are looked up by code. No model is asked.
        3. Otherwise documents are searched; one that reads like orders is left out; personal data is replaced in the
           question and in documents.
        4. The model answers from them, and each of its sentences is looked up in them.

        Raises:
            UsageError: the question says nothing, or too much.
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
        for passage in self.knowledge.search(normalise(question), k):
            if self.guard.flags(passage.text):
                left_out.append(passage.source)
            else:
                kept.append(passage)
        shown = [Passage(vault.redact(each.text), f"{each.source} > {each.headings}") for each in kept]
        reply = self._reply(vault.redact(normalise(question), own=True), shown)
        facts, dropped = [], []
        for sentence in ground(reply, shown):
            if sentence.span is None or self.catalogue.made_up(sentence.text):
                if sentence.text != NO_ANSWER:
                    dropped.append(sentence.text)
                continue
            passage = kept[sentence.span.number - 1]
            found = TECHNIQUE.search(passage.source.upper()) or CVE.search(passage.source.upper())
            id = found[0] if found else ""
            facts.append(Fact(id, vault.restore(sentence.text), f"{passage.source}:{passage.start}-{passage.end}"))
        return Answer(tuple(facts) or (UNKNOWN,), "", tuple(dropped), tuple(left_out))

    def _reply(self, question: str, passages: Sequence[Passage]) -> str:
        from groundup.llm.models import unavailable

        assert self.model is not None
        if not passages:
            return NO_ANSWER
        messages = [(message["role"], message["content"]) for message in prompt(question, passages)]
        try:
            return str(self.model.invoke(messages).content)
        except Exception as error:  # each provider has errors of its own
            raise unavailable(self.model, error) from error
