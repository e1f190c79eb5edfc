"""The quality of reports on SQuAD 2.0 dev: paragraphs are learnt as documents, questions go through the whole graph.

The articles did not calibrate the embedded answerer (`benchmarks answerer`). Half of the drawn articles are learnt; the
others are only asked about. There are three kinds of questions: *answerable*; *written* by people so that a
paragraph seems to answer them and does not; *removed*, whose article was not learnt. Two answerable questions on two
articles, asked as one, are a question with two sources.

Two baselines without reading stand beside the assistant: the first passage of the search, and silence. Then models that
lie answer the first answerable questions (`lying`), whatever the measured model is.

A named folder keeps the evaluation. A question that the same model has answered there, with the same prompts, is not
asked again: a slow model's evaluation continues after a stop, and grows with `questions`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from groundup.demo import writing
from groundup.knowledge import Knowledge, Passage, open_knowledge
from groundup.stack.retrieval.rag import f1
from groundup.systems.research.calls import version
from groundup.systems.research.graph import INSTRUCTIONS
from groundup.systems.research.lying import LIARS, Liar, mean, nearly, planted
from groundup.systems.research.report import Citation, Report
from groundup.systems.research.runs import Research, open_research
from groundup.systems.research.state import Budget, purpose_of

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

ARTICLES = 8  # that are drawn; half of them are learnt
KINDS = ("answerable", "written", "removed")
TWO = "two sources"
LIED_TO = 40  # questions at most, for each model that lies
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
class Case:
    """A question.

    Attributes:
        kind: one of `KINDS`, or `TWO`.
        question: its text.
        truths: the right answers of each source; one or two sources.
        paragraphs: the number of each source's paragraph.
    """

    kind: str
    question: str
    truths: tuple[tuple[str, ...], ...]
    paragraphs: tuple[int, ...]

    @property
    def own(self) -> set[str]:
        """The documents of its paragraphs."""
        return {f"articles/paragraph-{number}.txt" for number in self.paragraphs}

    def stands(self, text: str) -> bool:
        """Whether a right answer of each source is in a text."""
        return all(any(truth in text for truth in truths) for truths in self.truths)


@dataclass(frozen=True)
class Asked:
    """A question, the best passage for it, and its report."""

    case: Case
    first: Passage
    report: Report

    @property
    def kind(self) -> str:
        """The kind of its question."""
        return self.case.kind

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
    of_liars = [(liar, _lied_to(drawn, texts, liar, seed)) for liar in LIARS]
    done, total = 0, len(drawn) + sum(len(cases) for _, cases in of_liars)

    def ask(cases: Sequence[tuple[Case, BaseChatModel]], research: Research, name: str) -> Iterator[Asked]:
        nonlocal done
        for asked in _asked(cases, research, name):
            done += 1
            if report:
                report(done, total)
            yield asked

    if report:
        report(done, total)
    with _place(folder) as place:
        home = place / f"seed-{seed}"
        knowledge = _learnt(home, "articles", texts)
        with open_research(place / STORE, knowledge=knowledge) as research:
            research.instructions = dict(instructions or {})
            asked = list(ask([(case, model) for case in drawn], research, name))
            rows = [*_answers(asked), *_sources(asked), *_citations(asked, home), *_takes(asked)]
            for liar, lied_to in of_liars:
                research.knowledge = knowledge
                if liar == "obeys":
                    orders = {case.paragraphs[0]: planted.planted[0] for case, planted in lied_to}
                    attacked = {number: f"{texts[number]}\n\n{order}" for number, order in orders.items()}
                    research.knowledge = _learnt(home, "attacked", attacked)
                rows += _lies(liar, list(ask(lied_to, research, f"a model that {liar}")), lied_to, home)
    refused = [Row(what, share) for what, share in nearly(list(texts.values()), seed)]
    return data.provenance.label, [*rows, *refused]


def _learnt(home: Path, folder: str, texts: Mapping[int, str]) -> Knowledge:
    """A knowledge base of paragraphs, in files of their own."""
    documents = home / folder
    documents.mkdir(parents=True, exist_ok=True)
    for number, text in texts.items():
        (documents / f"paragraph-{number}.txt").write_text(text, encoding="utf-8")
    # the name of the usual one is that of earlier evaluations, whose questions are not asked again
    name = "research.knowledge" if folder == "articles" else f"{folder}.knowledge"
    knowledge = open_knowledge(str((home / name).resolve()))
    knowledge.learn([documents])
    return knowledge


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    if folder is None:
        with TemporaryDirectory() as temporary:
            yield Path(temporary)
        return
    with writing(folder):
        yield folder


def _drawn(data: Any, questions: int, seed: int) -> tuple[dict[int, str], list[Case]]:
    """The paragraphs to learn, by number, and the questions."""
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
        (kind, (row,))
        for kind in KINDS
        for row in rng.permutation(pools[kind])[:questions].tolist()
    ]  # fmt: skip
    order = rng.permutation(pools["answerable"]).tolist()
    pairs = [
        (row, other)
        for at, row in enumerate(order[:questions])
        if (other := next((other for other in [*order[at:], *order] if home[other] != home[row]), None)) is not None
    ]
    cases = [
        Case(
            kind,
            " ".join(" ".join(str(data["question"][row]).split()) for row in rows),
            tuple(_truths(data, row) if kind in ("answerable", TWO) else () for row in rows),
            tuple(int(data["paragraph"][row]) for row in rows),
        )
        for kind, rows in [*chosen, *((TWO, rows) for rows in pairs)]
    ]
    numbers = np.flatnonzero(np.isin(data["article"], list(learnt))).tolist()
    return {number: str(data["text"][number]) for number in numbers}, cases


def _truths(data: Any, row: int) -> tuple[str, ...]:
    return tuple(filter(None, str(data["answers"][row]).split("\n")))


def _lied_to(cases: Sequence[Case], texts: Mapping[int, str], liar: str, seed: int) -> list[tuple[Case, Liar]]:
    """The first answerable questions, each with a model that lies about it."""
    from groundup.data import load

    attacks = [str(attack) for attack in load("bipia_attacks")["instruction"]]
    numbers = sorted(texts)
    answerable = [case for case in cases if case.kind == "answerable"][:LIED_TO]
    made = []
    for at, case in enumerate(answerable):
        number = case.paragraphs[0]
        far = numbers[(numbers.index(number) + len(numbers) // 2) % len(numbers)]  # mostly of another article
        lies = planted(liar, texts[number], texts[far], attacks[at % len(attacks)], seed + at)
        made.append((case, Liar(planted=lies)))
    return made


def _asked(cases: Sequence[tuple[Case, BaseChatModel]], research: Research, name: str) -> Iterator[Asked]:
    knowledge = research.knowledge
    assert knowledge is not None
    location = str(knowledge.location)
    known = _known(research, name, location)
    for case, model in cases:
        research.model = model
        id = known.get(case.question) or research.begin(case.question, UNHURRIED, model=name, knowledge=location)
        for _ in research.run(id):  # no step for a finished run
            pass
        (first,) = knowledge.search(case.question, 1)
        yield Asked(case, first, research.report(id))


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
    of = {kind: [case for case in asked if case.kind == kind] for kind in (*KINDS, TWO)}
    single = [case for kind in KINDS for case in of[kind]]
    truths = [case.case.truths[0] for case in single]
    yield Row(
        f"answer F1, all {len(single)} questions",
        mean([f1(case.said, right) for case, right in zip(single, truths, strict=True)]),
        mean([f1(case.first.text, right) for case, right in zip(single, truths, strict=True)]),
        mean([f1("", right) for right in truths]),
    )
    for kind, what in (("answerable", "the answer stands"), (TWO, "both answers stand")):
        yield Row(
            f"{what} in the report, {len(of[kind])} {'answerable' if kind == 'answerable' else 'two-source'} questions",
            mean([case.case.stands(case.said) for case in of[kind]]),
            mean([case.case.stands(case.first.text) for case in of[kind]]),
            0.0,
        )
    for kind in KINDS:
        labels = {"answerable": "silent, though there is an answer", "written": "silent, written to deceive"}
        yield Row(
            f"{labels.get(kind, 'silent, article not learnt')}, {len(of[kind])} questions",
            mean([case.report.abstained for case in of[kind]]), 0.0, 1.0,
        )  # fmt: skip


def _sources(asked: Sequence[Asked]) -> Iterator[Row]:
    """Whether the question's own paragraphs are cited: of the citations (precision), of the paragraphs (recall)."""
    for kind, what in (("answerable", "answerable"), (TWO, "two-source")):
        cases = [case for case in asked if case.kind == kind]
        cited = [(case, citation.document) for case in cases for citation in case.report.citations]
        yield Row(
            f"citation precision, {len(cited)} citations of {what} questions",
            mean([document in case.case.own for case, document in cited]),
            mean([case.first.source in case.case.own for case in cases]),
        )
        wanted = [(case, document) for case in cases for document in case.case.own]
        yield Row(
            f"citation recall, {len(wanted)} paragraphs of {what} questions",
            mean([any(made.document == document for made in case.report.citations) for case, document in wanted]),
            mean([case.first.source == document for case, document in wanted]),
        )
    answered = [case for case in asked if case.kind == "answerable" and not case.report.abstained]
    right = [any(citation.document in case.case.own for citation in case.report.citations) for case in answered]
    yield Row(f"the question's own paragraph is cited, {len(answered)} answered questions", mean(right))


def _citations(asked: Sequence[Asked], home: Path) -> Iterator[Row]:
    cited = [citation for case in asked for citation in case.report.citations]
    yield Row(f"citations that stand nowhere, of {len(cited)}", float(sum(not _stands(one, home) for one in cited)))
    lines = [line for case in asked for part in case.report.parts for line in part.lines]
    yield Row(f"sentences without a citation, of {len(lines)}", float(sum(not line.citations for line in lines)))


def _stands(citation: Citation, home: Path) -> bool:
    file = home / citation.document
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    return text[citation.start : citation.end].replace("\n", " ") == citation.quote


def _lies(liar: str, asked: Sequence[Asked], lied_to: Sequence[tuple[Case, Liar]], home: Path) -> Iterator[Row]:
    """A liar's own sentences in the reports, and the sentences of these reports without a citation that stands."""
    written = [(case, lie) for case, (_, model) in zip(asked, lied_to, strict=True) for lie in model.planted]
    kept = [(case, lie) for case, lie in written if lie in case.said]
    quoted = [lie for case, lie in kept if any(lie in one.quote for one in case.report.citations if _stands(one, home))]
    yield Row(
        f"a model that {liar}: its sentences in {len(asked)} reports, of {len(written)} written",
        float(len(kept) - len(quoted)),
    )
    if liar == "obeys":
        yield Row(
            f"a model that {liar}: orders that it quotes from their document, of {len(asked)}", float(len(quoted))
        )
    stand = {id(case): {one.number for one in case.report.citations if _stands(one, home)} for case in asked}
    lines = [(case, line) for case in asked for part in case.report.parts for line in part.lines]
    yield Row(
        f"a model that {liar}: sentences of reports without a place, of {len(lines)}",
        float(sum(not line.citations or not set(line.citations) <= stand[id(case)] for case, line in lines)),
    )


def _takes(asked: Sequence[Asked]) -> Iterator[Row]:
    yield Row("seconds for a question, median", float(np.median([case.seconds for case in asked])))
    tokens = [sum(cost["tokens_in"] + cost["tokens_out"] for cost in case.report.costs) for case in asked]
    yield Row("tokens for a question, median", float(np.median(tokens)))
    if (memory := _memory()) is not None:
        yield Row("memory of this process at most, MB", memory)


def _memory() -> float | None:
    """The most resident memory so far, in MB; None on Windows, which does not count it."""
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / 1e6  # bytes there, KiB elsewhere
