"""Product and policy questions, answered from product sheets, reviews and the policy, each sentence with its place.

    knowledge = learn(store, Path("shop.sqlite"))
    answer("What sizes do the boots have?", knowledge, chat_model()).lines[0].citations

A sheet holds the store's data on a product, in sentences. The embedded answerer quotes. A sentence of any other model
is left out if it stands in no source. Orders to a model in a source are blanked before any model reads them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.files import replace_file
from groundup.knowledge import default_location, open_knowledge, unwrapped
from groundup.llm.grounding import ground
from groundup.llm.instructions import blanked
from groundup.llm.models import unavailable
from groundup.stack.retrieval.rag import Passage, prompt
from groundup.systems.shop.store import Store
from groundup.systems.shop.world import Product, dollars, phrase

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

    from groundup.knowledge import Knowledge

DOCUMENTS = Path(__file__).with_name("documents")
PASSAGES = 4


@dataclass(frozen=True)
class Citation:
    """The place of a sentence: `where` opens it, `quote` is the span."""

    number: int
    where: str
    quote: str


@dataclass(frozen=True)
class Line:
    """A sentence with the numbers of its citations."""

    text: str
    citations: tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """Sentences that stand in sources; none without a source. `left_out` are a model's sentences that stand in none."""

    lines: tuple[Line, ...] = ()
    citations: tuple[Citation, ...] = ()
    left_out: tuple[str, ...] = ()


def answer(question: str, knowledge: Knowledge | None, model: BaseChatModel) -> Answer:
    """The documents' answer to a question.

    Raises:
        ModelUnavailable: the model does not answer.
    """
    if knowledge is None or not len(knowledge):
        return Answer()
    chunks = knowledge.search(question, PASSAGES)
    passages = [
        Passage(unwrapped(blanked(chunk.text)), f"{chunk.source} {blanked(chunk.headings)}") for chunk in chunks
    ]
    try:
        reply = str(model.invoke(prompt(question, passages)).content)
    except Exception as error:  # every provider has its own class
        raise unavailable(model, error) from error
    lines: list[Line] = []
    citations: dict[str, Citation] = {}
    left_out: list[str] = []
    for sentence in ground(reply, passages):
        if sentence.span is None:
            left_out.append(sentence.text)
            continue
        chunk, span = chunks[sentence.span.number - 1], sentence.span
        where = f"{chunk.source}:{chunk.start + span.start}-{chunk.start + span.end}"
        quote = passages[span.number - 1].text[span.start : span.end]
        citation = citations.setdefault(where, Citation(len(citations) + 1, where, quote))
        lines.append(Line(sentence.text, (citation.number,)))
    return Answer(tuple(lines), tuple(citations.values()), tuple(left_out))


# ── the documents ───────────────────────────────────────────────────────────────────────────────────────────────────
def learn(store: Store, path: Path, location: str | None = None, more: Sequence[str] = ()) -> Knowledge:
    """Write the sheets of a store's products beside it, and learn them and the policy; known documents stay.

    Args:
        store: the shop.
        path: its file.
        location: the place of the knowledge base; beside the store unless given.
        more: folders of reviews, manuals and the like, to learn as well.
    """
    folder = path.with_suffix(".documents")
    folder.mkdir(parents=True, exist_ok=True)
    for id in store.products().values():
        product = store.product(id)
        assert product is not None
        replace_file(folder / f"{re.sub(r'[^a-z0-9]+', '-', product.name.lower())}.md", sheet(product))
    for document in sorted(DOCUMENTS.glob("*.md")):
        replace_file(folder / document.name, document.read_text(encoding="utf-8"))
    knowledge = open_knowledge(location or default_location(path))
    knowledge.learn([folder, *more])
    return knowledge


def sheet(product: Product) -> str:
    """The store's data on a product, in sentences."""
    return "\n".join(_sheet(product)) + "\n"


def _sheet(product: Product) -> Iterator[str]:
    name, available = product.name, [item for item in product.items if item.available]
    yield f"# {name}\n"
    prices = [item.price for item in available]
    if available:
        lowest, highest = dollars(min(prices)), dollars(max(prices))
        yield f"The {name} is available in {len(available)} variants, from {lowest} to {highest}."
    else:
        yield f"The {name} is not available now."
    options: dict[str, list[str]] = {}
    for item in available:
        for option, value in item.options.items():
            if value not in options.setdefault(option, []):
                options[option].append(value)
    for option, values in options.items():
        listed = values[0] if len(values) == 1 else f"{', '.join(sorted(values)[:-1])} or {sorted(values)[-1]}"
        yield f"The {option} of the {name} can be {listed}."
    if available:
        cheapest = min(available, key=lambda item: (item.price, item.id))
        yield f"The cheapest {name} is item {cheapest.id} ({phrase(cheapest.options)}), for {dollars(cheapest.price)}."
    yield f"\n## Variants of {name}\n"
    for item in product.items:
        left = "is available" if item.available else "is not available"
        yield f"{name} item {item.id} ({phrase(item.options)}) costs {dollars(item.price)} and {left}.\n"
