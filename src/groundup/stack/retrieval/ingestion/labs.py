"""Labs of ingestion: how large a chunk should be, and a knowledge base with filters (004 L18)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundup.drawing import BLUE, RED
from groundup.labs import Recorder, expect, lab
from groundup.stack.retrieval.ingestion import Chunk, Document, KnowledgeBase, chunk, open_store

Question = tuple[str, str, list[tuple[int, int]]]
"""A question, the text that it is about, and the spans that answer it."""


def _evaluation(corpora: tuple[str, ...], count: int, seed: int) -> tuple[dict[str, str], list[Question]]:
    """Texts by name, and questions about them, drawn without replacement."""
    from groundup import data

    texts = {name: data.load(f"chunking_{name}").text for name in corpora}
    table = data.load("chunking_questions")
    spans: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for question, corpus, start, end in zip(*(table[name].tolist() for name in table), strict=True):
        if corpus in texts:
            spans.setdefault((question, corpus), []).append((start, end))
    asked = [(question, corpus, found) for (question, corpus), found in spans.items()]
    order = np.random.default_rng(seed).permutation(len(asked))[:count]
    return texts, [asked[i] for i in order]


def span_recall(found: list[Chunk], question: Question) -> float:
    """The share of the characters that answer a question which lie in the chunks that were found."""
    _, corpus, spans = question
    wanted = {position for start, end in spans for position in range(start, end)}
    seen = {p for one in found if one.source == corpus for p in range(one.start, one.end)}
    return len(wanted & seen) / len(wanted)


@dataclass(frozen=True)
class SizesConfig:
    """Settings of the sizes lab.

    Attributes:
        seed: seed of which questions are asked.
        corpora: the texts that are searched.
        questions: how many questions are asked.
        sizes: chunk sizes in tokens; the largest is judged.
        overlap: what neighbouring chunks share at most, as a share of the size.
        budget: how many tokens a reader is given: the best `budget // size` chunks.
        shuffle_vectors: whether each chunk gets another chunk's vector, which must ruin it.
    """

    seed: int = 0
    corpora: tuple[str, ...] = ("state_of_the_union",)
    questions: int = 60
    sizes: tuple[int, ...] = (128, 256)
    overlap: float = 0.125
    budget: int = 1280
    shuffle_vectors: bool = False


@lab(
    title="How large should a chunk be?",
    question="If the reader gets the same number of tokens, which chunk size finds most of what answers the question?",
    data=["chunking_questions", "chunking_state_of_the_union"],
    presets={
        "smoke": {},
        "laptop": {"sizes": (32, 64, 128, 256), "questions": 76},
        "full": {
            "corpora": ("state_of_the_union", "wikitexts", "chatlogs"),
            "sizes": (32, 64, 128, 256),
            "questions": 276,
        },
    },
    expectations=[
        expect("span_recall", at_least=0.45, why="Much of what answers a question is in the best five chunks."),
        expect("span_recall", beats_baseline_by=0.3),
        expect("lost_characters", at_most=0, why="A chunker that loses text makes questions unanswerable."),
    ],
    sabotage=[{"shuffle_vectors": True}],
)
def sizes(config: SizesConfig, record: Recorder) -> None:
    """Chunk real texts at several sizes, retrieve by cosine, and see how much of the answering spans was retrieved.

    Span recall is the share of the characters that answer a question which lie in the retrieved chunks. Every size gets
    the same budget of tokens: twice as many chunks of half the size. The baseline is as many chunks drawn blindly.
    """
    from groundup.embedding import load

    embedder = load()
    texts, questions = _evaluation(config.corpora, config.questions, config.seed)
    queries = embedder.encode([question for question, _, _ in questions])
    rng = np.random.default_rng(config.seed)
    table: list[dict[str, Any]] = []
    recall, blind, lost = 0.0, 0.0, 0
    for size in record.progress(sorted(config.sizes), label="sizes"):
        overlap = int(config.overlap * size)
        per_text = {
            name: chunk(Document(name, text), length=embedder.tokens, size=size, overlap=overlap)
            for name, text in texts.items()
        }
        lost = max(lost, sum(_lost(texts[name], made) for name, made in per_text.items()))
        chunks = [one for made in per_text.values() for one in made]
        vectors = embedder.encode([one.text for one in chunks])
        if config.shuffle_vectors:
            vectors = vectors[rng.permutation(len(vectors))]
        k = min(len(chunks), max(1, config.budget // size))
        best = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :k]
        recall = _mean_recall(chunks, best, questions)
        drawn = np.array([rng.choice(len(chunks), k, replace=False) for _ in questions])
        blind = _mean_recall(chunks, drawn, questions)
        record.metric("span_recall_by_size", recall, step=size)
        table.append(
            {"size (tokens)": size, "chunks": len(chunks), "retrieved": k, "span recall": round(recall, 3),
             "drawn blindly": round(blind, 3)}
        )  # fmt: skip
    record.table("sizes", table)
    record.figure("sizes", _sizes_figure(table))
    record.baseline("span_recall", blind, "as many chunks drawn blindly")
    record.result("span_recall", recall)
    record.baseline("lost_characters", sum(map(len, texts.values())), "storing nothing")
    record.result("lost_characters", lost)
    record.note(f"{len(questions)} questions about {', '.join(config.corpora)}; {config.budget} tokens for each.")


def _mean_recall(chunks: list[Chunk], retrieved: np.ndarray, questions: list[Question]) -> float:
    pairs = zip(retrieved.tolist(), questions, strict=True)
    return float(np.mean([span_recall([chunks[i] for i in places], question) for places, question in pairs]))


def _lost(text: str, made: list[Chunk]) -> int:
    """How many characters, whitespace left out, are in no chunk, or not where their chunk says."""
    kept = np.zeros(len(text), dtype=bool)
    for one in made:
        kept[one.start : one.end] = text[one.start : one.end] == one.text
    return sum(not character.isspace() for character, there in zip(text, kept, strict=True) if not there)


def _sizes_figure(table: list[dict[str, Any]]) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    for name, colour in (("span recall", BLUE), ("drawn blindly", RED)):
        figure.add_scatter(
            x=[row["size (tokens)"] for row in table], y=[row[name] for row in table], name=name, line_color=colour
        )
    figure.update_xaxes(title="chunk size (tokens)", type="log")
    figure.update_yaxes(title="share of the answering characters", range=[0, 1])
    return figure


@dataclass(frozen=True)
class FiltersConfig:
    """Settings of the filters lab.

    Attributes:
        seed: seed of which questions are asked.
        corpora: the texts in the knowledge base.
        questions: how many questions are asked.
        characters: how much of each text is stored, from its beginning.
        k: how many chunks are retrieved.
        use_filters: whether the search is told which text a question is about.
    """

    seed: int = 0
    corpora: tuple[str, ...] = ("state_of_the_union", "chatlogs")
    questions: int = 40
    characters: int = 20_000
    k: int = 5
    use_filters: bool = True


@lab(
    title="A knowledge base with filters",
    question="What is a filter by metadata worth, and what does it cost to keep the base in step with its files?",
    data=["chunking_questions", "chunking_state_of_the_union", "chunking_chatlogs"],
    presets={
        "smoke": {},
        "laptop": {"characters": 100_000, "questions": 100},
        "full": {"corpora": ("state_of_the_union", "chatlogs", "wikitexts"), "characters": 200_000, "questions": 276},
    },
    expectations=[
        expect("in_the_right_text", at_least=1.0, why="With a filter, nothing of another text is ever retrieved."),
        expect("span_recall", at_least=0.5),
        expect("embedded_again", at_most=0.1, why="A line added to a text must not have all of it embedded."),
    ],
    sabotage=[{"use_filters": False}],
)
def filters(config: FiltersConfig, record: Recorder) -> None:
    """Ingest texts into a Chroma collection in memory, ask with and without a filter, change a text and ingest again.

    The questions are those whose answers lie in what is stored. `embedded_again` is the share of a text's chunks that
    are embedded when a line is added to its end; storing it as it is embeds none. Added on top of a text without
    headings, a line moves every border behind it: see the explorable `edit`.
    """
    from uuid import uuid4

    from groundup.embedding import load

    embedder = load()
    texts, asked = _evaluation(config.corpora, 10_000, config.seed)
    texts = {name: text[: config.characters] for name, text in texts.items()}
    asked = [one for one in asked if all(end <= config.characters for _, end in one[2])][: config.questions]
    base = KnowledgeBase(
        open_store(name=f"lab-{uuid4().hex}", model=embedder.name), embedder.encode, length=embedder.tokens
    )
    documents = [
        Document(name, text, {"kind": "speech" if "union" in name else "other"}) for name, text in texts.items()
    ]
    added = [base.ingest(document) for document in record.progress(documents, label="texts")]

    def ask(filtered: bool) -> tuple[float, float]:
        recalls, right = [], []
        for question in asked:
            wanted: Mapping[str, Any] | None = {"source": question[1]} if filtered else None
            found = [one for one, _ in base.search(question[0], config.k, wanted)]
            recalls.append(span_recall(found, question))
            right.append(np.mean([one.source == question[1] for one in found]))
        return float(np.mean(recalls)), float(np.mean(right))

    recall, right = ask(config.use_filters)
    without, right_without = ask(False)
    again = base.ingest(documents[0])
    changed = base.ingest(Document(documents[0].source, f"{documents[0].text}\n\nRead on air.", documents[0].metadata))
    record.baseline("in_the_right_text", right_without, "the same search without a filter")
    record.result("in_the_right_text", right)
    record.baseline("span_recall", without, "the same search without a filter")
    record.result("span_recall", recall)
    record.baseline("embedded_again", 1.0, "embedding the whole text again")
    record.result("embedded_again", (len(again.add) + len(changed.add)) / len(added[0].add))
    record.note(
        f"{len(base)} chunks of {len(texts)} texts, {len(asked)} questions. One line added to {documents[0].source}: "
        f"{len(changed.add)} chunks embedded, {len(changed.update)} told their place, {len(changed.remove)} removed."
    )
