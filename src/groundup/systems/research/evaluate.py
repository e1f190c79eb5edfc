"""The quality of reports on SQuAD 2.0 dev: paragraphs are learnt as documents, questions go through the whole graph.

The articles did not calibrate the embedded answerer (`benchmarks answerer`). Half of the drawn articles are learnt; the
others are only asked about. There are three kinds of questions: *answerable*; *written* by people so that a
paragraph seems to answer them and does not; *removed*, whose article was not learnt.

Two baselines without reading stand beside the assistant: the first passage of the search, and silence.

A named folder keeps the evaluation. A question that the same model has answered there, with the same prompts, is not
asked again: a slow model's evaluation continues after a stop, and grows with `questions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.demo import writing
from groundup.knowledge import Knowledge, open_knowledge
from groundup.stack.retrieval.rag import f1, sentences, terms, words
from groundup.systems.research.calls import version
from groundup.systems.research.graph import INSTRUCTIONS
from groundup.systems.research.report import Report
from groundup.systems.research.runs import Research, open_research
from groundup.systems.research.state import Budget, Note, purpose_of
from groundup.systems.research.writing import verify

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

ARTICLES = 8  # that are drawn; half of them are learnt
KINDS = ("answerable", "written", "removed")
STORE = "research.sqlite"
DAY = 86_400.0  # seconds
UNHURRIED = Budget(seconds=DAY)  # a busy machine changes no answer


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        what: the measure.
        ours: the assistant's figure.
        first: the first passage's figure; None where it has none.
        silent: silence's figure; None where it has none.
    """

    what: str
    ours: float
    first: float | None = None
    silent: float | None = None


@dataclass(frozen=True)
class Asked:
    """A question, its right answers, and its report."""

    kind: str
    question: str
    truths: tuple[str, ...]
    own: str
    first: str
    report: Report

    @property
    def seconds(self) -> float:
        """The duration of the steps."""
        return sum(step["seconds"] for step in self.report.trace)

    @property
    def said(self) -> str:
        """The report's sentences."""
        return " ".join(self.report.sentences)


def evaluate(
    model: BaseChatModel,
    *,
    questions: int,
    seed: int = 0,
    folder: Path | None = None,
    name: str = "",
    instructions: Mapping[str, str] | None = None,
    report: Callable[[int, int], None] | None = None,
) -> tuple[str, list[Row]]:
    """The provenance of the data, and the table.

    Args:
        model: the model that reads and writes.
        questions: the number of questions of each kind.
        seed: the seed that draws articles and questions.
        folder: the folder for documents and reports, so that a second call continues; None for none.
        name: the model's name, as `chat_model` knows it.
        instructions: instructions for the model, by purpose, in place of the usual ones.
        report: receives the number of finished questions and of all, before the first question and after each.

    Raises:
        UsageError: the folder cannot be written.
    """
    from groundup.data import load

    data = load("squad2")
    texts, drawn = _drawn(data, questions, seed)
    with _place(folder) as place:
        documents = place / f"seed-{seed}" / "articles"
        documents.mkdir(parents=True, exist_ok=True)
        for number, text in texts.items():
            (documents / f"paragraph-{number}.txt").write_text(text, encoding="utf-8")
        location = str(documents.with_name("research.knowledge").resolve())
        knowledge = open_knowledge(location)
        knowledge.learn([documents])
        with open_research(place / STORE, knowledge=knowledge, model=model) as research:
            research.instructions = dict(instructions or {})
            asked = list(_asked(drawn, knowledge, research, name, location, report))
        rows = [*_answers(asked), *_citations(asked, documents), *_takes(asked)]
    return data.provenance.label, [*rows, *nearly(list(texts.values()), seed)]


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    with writing(folder):
        yield folder


def _drawn(data: Any, questions: int, seed: int) -> tuple[dict[int, str], list[tuple[str, str, tuple[str, ...], int]]]:
    """The paragraphs to learn, by number, and the questions: kind, text, right answers, paragraph."""
    names = np.random.default_rng(0).permutation(np.unique(data["article"]))
    judged = names[len(names) // 2 :]  # the first half calibrated the embedded answerer
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(judged)[:ARTICLES]
    learnt = set(drawn[: len(drawn) // 2].tolist())
    home = data["article"][data["paragraph"]]
    pools: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for row in np.flatnonzero(np.isin(home, drawn)).tolist():
        kind = "removed" if home[row] not in learnt else "answerable" if data["answers"][row] else "written"
        pools[kind].append(row)
    chosen = [
        (kind, row)
        for kind in KINDS
        for row in rng.permutation(pools[kind])[:questions].tolist()
    ]  # fmt: skip
    cases = [
        (
            kind, str(data["question"][row]),
            tuple(filter(None, str(data["answers"][row]).split("\n"))) if kind == "answerable" else (),
            int(data["paragraph"][row]),
        )
        for kind, row in chosen
    ]  # fmt: skip
    numbers = np.flatnonzero(np.isin(data["article"], list(learnt))).tolist()
    return {number: str(data["text"][number]) for number in numbers}, cases


def _asked(
    cases: Sequence[tuple[str, str, tuple[str, ...], int]],
    knowledge: Knowledge,
    research: Research,
    name: str,
    location: str,
    report: Callable[[int, int], None] | None,
) -> Iterator[Asked]:
    known = _known(research, name, location)
    for number, (kind, question, truths, paragraph) in enumerate(cases):
        if report:
            report(number, len(cases))
        asked = " ".join(question.split())
        id = known.get(asked) or research.begin(asked, UNHURRIED, model=name, knowledge=location)
        for _ in research.run(id):  # no step for a finished run
            pass
        (first,) = knowledge.search(question, 1)
        yield Asked(kind, question, truths, f"articles/paragraph-{paragraph}.txt", first.text, research.report(id))
    if report:
        report(len(cases), len(cases))


def _known(research: Research, name: str, location: str) -> dict[str, str]:
    """The newest run of each question with this model on these documents, and with these prompts."""
    prompts = {purpose: version(text) for purpose, text in {**INSTRUCTIONS, **research.instructions}.items()}
    known: dict[str, str] = {}
    for run in research.runs():
        if (run.model, run.knowledge) == (name, location) and all(
            cost.get("prompt") == prompts[purpose_of(cost)] for cost in research.costs(run.id)
        ):
            known.setdefault(run.question, run.id)
    return known


def _answers(asked: Sequence[Asked]) -> Iterator[Row]:
    of = {kind: [case for case in asked if case.kind == kind] for kind in KINDS}
    yield Row(
        f"answer F1, all {len(asked)} questions",
        _mean([f1(case.said, case.truths) for case in asked]),
        _mean([f1(case.first, case.truths) for case in asked]),
        _mean([f1("", case.truths) for case in asked]),
    )
    yield Row(
        f"the answer stands in the report, {len(of['answerable'])} answerable questions",
        _mean([any(truth in case.said for truth in case.truths) for case in of["answerable"]]),
        _mean([any(truth in case.first for truth in case.truths) for case in of["answerable"]]),
        0.0,
    )
    for kind in KINDS:
        labels = {"answerable": "silent, though there is an answer", "written": "silent, written to deceive"}
        yield Row(
            f"{labels.get(kind, 'silent, article not learnt')}, {len(of[kind])} questions",
            _mean([case.report.abstained for case in of[kind]]), 0.0, 1.0,
        )  # fmt: skip


def _citations(asked: Sequence[Asked], documents: Path) -> Iterator[Row]:
    cited = [(case, citation) for case in asked for citation in case.report.citations]
    made_up = 0
    for _, citation in cited:
        file = documents.parent / citation.document
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        made_up += text[citation.start : citation.end].replace("\n", " ") != citation.quote
    yield Row(f"citations that stand nowhere, of {len(cited)}", float(made_up))
    lines = [line for case in asked for part in case.report.parts for line in part.lines]
    yield Row(f"sentences without a citation, of {len(lines)}", float(sum(not line.citations for line in lines)))
    answered = [case for case in asked if case.kind == "answerable" and not case.report.abstained]
    right = [any(citation.document == case.own for citation in case.report.citations) for case in answered]
    yield Row(f"the question's own paragraph is cited, {len(answered)} answered questions", _mean(right))


def _takes(asked: Sequence[Asked]) -> Iterator[Row]:
    yield Row("seconds for a question, median", float(np.median([case.seconds for case in asked])))
    tokens = [sum(cost["tokens_in"] + cost["tokens_out"] for cost in case.report.costs) for case in asked]
    yield Row("tokens for a question, median", float(np.median(tokens)))


def _mean(values: Sequence[float] | Sequence[bool]) -> float:
    return float(np.mean(values)) if values else float("nan")


# ── quoting nearly ──────────────────────────────────────────────────────────────────────────────────────────────────
MOST = 400  # sentences of each kind


def nearly(texts: Sequence[str], seed: int) -> Iterator[Row]:
    """The refused share of sentences with one change, written as if from the note of the sentence itself."""
    rng = np.random.default_rng(seed)
    whole = [(text, text[start:end]) for text in texts for start, end in sentences(text)]
    vocabulary = sorted(
        {word for text in texts for word in text.split() if word.isalpha() and word.islower() and terms(word)}
    )
    for what, change in (
        ("a number", _number), ("a denial", _denial), ("a name", _name), ("another word", _word),
    ):  # fmt: skip
        changed = []
        for at in rng.permutation(len(whole)).tolist():
            _, sentence = whole[at]
            altered = change(sentence, rng, vocabulary)
            if altered is not None and 6 <= len(words(sentence)):
                changed.append((sentence, altered))
            if len(changed) == MOST:
                break
        yield Row(
            f"refused with {what} changed, {len(changed)} sentences", _mean([not _kept(*pair) for pair in changed])
        )
    same = [whole[at][1] for at in rng.permutation(len(whole)).tolist() if len(words(whole[at][1])) >= 6][:MOST]
    yield Row(f"kept with nothing changed, {len(same)} sentences", _mean([_kept(text, text) for text in same]))


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
