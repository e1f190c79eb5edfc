"""Collections of many kinds, made of files whose own structure says which text answers which question.

A heading is asked for in the texts under headings, a description in pages without it, and so on: nobody judged
anything, so the figures say how two searches compare, not how good either is. At most 300 questions and 600 texts of
each, at even distances. The constant of `evidence_fusion` was chosen on these files, whole; Cranfield and CISI had no
part in it.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from groundup.data import load
from groundup.embedding import load as load_embedder
from groundup.stack.retrieval.ingestion import Document, chunk

T = TypeVar("T")
QUESTIONS, TEXTS = 300, 600
Pairs = list[tuple[str, str]]  # a question, and the text that answers it
Collection = tuple[list[str], list[str], list[dict[int, float]]]


def collections(mirror: Path) -> Iterator[tuple[str, Collection]]:
    """All whose files are there: a name, the texts, the questions, and what answers each."""
    for name, (file, read) in SOURCES.items():
        if (mirror / file).exists():
            yield name, of_pairs(read(mirror / file))
    for name in ("state_of_the_union", "wikitexts", "chatlogs", "finance", "pubmed"):
        if not load(f"chunking_{name}").provenance.stand_in:
            yield f"chunks of {name}", chunks(name)


def of_pairs(pairs: Pairs) -> Collection:
    """A collection of the second halves, each text once, asked the first ones."""
    pairs = evenly(pairs, TEXTS)
    number = {text: i for i, text in enumerate(dict.fromkeys(text for _, text in pairs))}
    asked = evenly(pairs, QUESTIONS)
    return [*number], [question for question, _ in asked], [{number[text]: 1.0} for _, text in asked]


def evenly(items: Sequence[T], count: int) -> list[T]:
    """At most `count`, at even distances."""
    return [items[i * len(items) // count] for i in range(count)] if len(items) > count else [*items]


def squad(file: Path) -> Pairs:
    """A question, and its paragraph."""
    articles = json.loads(file.read_text(encoding="utf-8"))["data"]
    paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
    return [(qa["question"], one["context"]) for one in paragraphs for qa in evenly(one["qas"], 2)]


def kubernetes(folder: Path) -> Pairs:
    """The title of a page, and the page without it."""
    pages = [path.read_text(encoding="utf-8", errors="replace") for path in sorted(folder.rglob("*.md"))]
    found = [re.match(r"---\n.*?^title: *(.*?)$.*?^---\n(.{200,})", page, re.DOTALL | re.MULTILINE) for page in pages]
    return [(match[1].strip("\"' "), match[2]) for match in found if match]


def tldr(file: Path) -> Pairs:
    """What a command is for, and its page without that."""
    texts = [row["text"] for row in json_lines(file)]
    return [(re.findall("^> (.*)", one, re.M)[0], re.sub("^> .*\n", "", one, flags=re.M)) for one in texts]


def techniques(file: Path) -> Pairs:
    """The name of an attack technique, and its description."""
    return [(name, text) for name, text in described(file).values()]


def procedures(file: Path) -> Pairs:
    """What a group did, and the technique that it is."""
    known = described(file)
    rows = [row for row in json_lines(file) if row.get("relationship_type") == "uses" and row.get("description")]
    return [
        (plain(row["description"]), "\n".join(known[row["target_ref"]])) for row in rows if row["target_ref"] in known
    ]


def described(file: Path) -> dict[str, tuple[str, str]]:
    """The name and the description, without the name, of every technique."""
    rows = [row for row in json_lines(file) if row["type"] == "attack-pattern" and not row.get("revoked")]
    return {row["id"]: (row["name"], plain(row["description"]).replace(row["name"], "")) for row in rows}


def plain(text: str) -> str:
    """A text without links and citations."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"\(Citation:[^)]*\)", "", text))


def exploited(file: Path) -> Pairs:
    """The name of an exploited vulnerability, and its description."""
    with file.open(encoding="utf-8") as lines:
        return [(row["vulnerabilityName"], row["shortDescription"]) for row in csv.DictReader(lines)]


def headings(folder: Path) -> Pairs:
    """The title of an article with the heading of a section, and the section."""
    pairs: Pairs = []
    for path in sorted(folder.glob("*.txt")):
        title = ""
        parts = re.split(r"^ ((?:= )+)(.*?) (?:= ?)+$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for level, heading, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            title = heading if level == "= " else title
            pairs.append((heading if level == "= " else f"{title} {heading}", text.replace("<unk>", "").strip()))
    return [(question, text) for question, text in pairs if len(text) > 200]


def instructions(file: Path) -> Pairs:
    """An instruction, and the answer."""
    rows = json.loads(file.read_text(encoding="utf-8"))
    return [(f"{row['instruction']} {row['input']}".strip(), row["output"]) for row in rows]


def chunks(name: str) -> Collection:
    """Questions, and the chunks of 400 tokens that hold their spans, whole where one does."""
    table, length = load("chunking_questions"), load_embedder().tokens
    made = chunk(Document(name, load(f"chunking_{name}").text), length=length, size=400, overlap=80)
    gains: dict[str, dict[int, float]] = {}
    for question, corpus, start, end in zip(*(table[column].tolist() for column in table), strict=True):
        if corpus == name:
            whole = [i for i, one in enumerate(made) if one.start <= start and end <= one.end]
            part = [i for i, one in enumerate(made) if one.start < end and start < one.end]
            gains.setdefault(question, {}).update(dict.fromkeys(whole or part, 1.0))
    return [one.text for one in made], [*gains], [*gains.values()]


def json_lines(file: Path) -> list[dict[str, Any]]:
    """The objects of a gzipped file of lines."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


SOURCES: dict[str, tuple[str, Callable[[Path], Pairs]]] = {
    "SQuAD paragraphs": ("ir/squad2_cs224n/dev-v2.0.json", squad),
    "Kubernetes pages by title": ("k8s_docs", kubernetes),
    "tldr pages by purpose": ("tldr_pages/tldr_common_linux.jsonl.gz", tldr),
    "ATT&CK techniques by name": ("mitre_attack/enterprise_attack_v18.1.jsonl.gz", techniques),
    "ATT&CK techniques by use": ("mitre_attack/enterprise_attack_v18.1.jsonl.gz", procedures),
    "vulnerabilities by name": ("cve/known_exploited_vulnerabilities.csv", exploited),
    "sections by heading": ("wikitext2", headings),
    "answers by instruction": ("instruct/instruction-data.json", instructions),
}
