"""The demo: a synthetic incident from its logs to a cited answer, offline, on a store of its own.

    for step in demo(Path("copilot-demo")):
        print(step.title, step.found)

Everything is done by the same functions as by the commands; each step names the command that does it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.demo import Step, writing
from groundup.systems.copilot.classifying.labels import ALERT, NORMAL
from groundup.systems.copilot.finding.evidence import why
from groundup.systems.copilot.incident import FAILURE, Incident, generate
from groundup.systems.copilot.sources.files import ingest_files
from groundup.systems.copilot.store import Store, open_store

if TYPE_CHECKING:
    from groundup.systems.copilot.answering.ask import Answer
    from groundup.systems.copilot.classifying.classify import Report

RUNBOOKS = Path(__file__).with_name("runbooks")
QUESTIONS = ("Why is checkout failing?", "What should I do when the connection pool is exhausted?")
OF_EACH = 25  # records of a template that are labelled
STORE, MODEL, LOGS, BOOKS = "copilot.duckdb", "copilot.model.json", "logs", "runbooks"


def demo(folder: Path) -> Iterator[Step[Answer]]:
    """The steps of the demo, each as soon as it is done; what is in the folder already is kept, and not done twice.

    Raises:
        UsageError: the folder cannot be written.
    """
    with writing(folder):
        yield from _steps(folder)


def _steps(folder: Path) -> Iterator[Step[Answer]]:
    incident = generate()
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / STORE
    for title, command, work in (
        ("Logs", f"groundup copilot ingest {LOGS} --store {STORE}", lambda: _ingest(incident, folder, store)),
        ("Root cause, without any model", f"groundup copilot why --store {STORE}", lambda: _why(store)),
        (
            "Classifier", f"groundup copilot train --store {STORE} --model {MODEL}",
            lambda: _train(incident, store, folder / MODEL),
        ),
        ("Runbooks", f"groundup copilot learn {BOOKS} --store {STORE}", lambda: _learn(folder / BOOKS, store)),
    ):  # fmt: skip
        begin = time.perf_counter()
        lines = work()
        yield Step(title, command, lines, time.perf_counter() - begin)
    for question in QUESTIONS:
        begin = time.perf_counter()
        answer = _ask(question, store)
        command = f'groundup copilot ask "{question}" --store {STORE}'
        yield Step(question, command, (), time.perf_counter() - begin, answer)


def _ingest(incident: Incident, folder: Path, path: Path) -> tuple[str, ...]:
    paths = incident.write(folder / LOGS)
    with open_store(path) as store:
        done = ingest_files(store, [str(path) for path in paths])
        summary = store.summary()
    return (
        f"{summary['lines']:,} lines of {len(summary['sources'])} services, {done.lines:,} of them new; "
        f"{summary['templates']} templates.",
    )


def _why(path: Path) -> tuple[str, ...]:
    with open_store(path, reading=True) as store:
        evidence = why(store.records())
    first = min(evidence, key=lambda piece: piece.time or 0)
    change = next((piece for piece in evidence if "configuration" in piece.text), first)
    return (f"{len(evidence)} lines tell of it; among them:", change.text)


def _train(incident: Incident, path: Path, model: Path) -> tuple[str, ...]:
    from groundup.systems.copilot.classifying.classify import train
    from groundup.systems.copilot.classifying.labels import examples_of

    with open_store(path) as store:
        label(incident, store)
        examples = examples_of(store)
    trained = train(examples, source="the labels of the synthetic incident")
    trained.classifier.save(model)
    return report_lines(trained.report)


def label(incident: Incident, store: Store) -> None:
    """Label some records of every template, each as the incident knows it: the others differ in values only."""
    names = {source.id: Path(source.name).name for source in store.sources()}
    rows = store.connection.execute(
        "SELECT source, record FROM lines WHERE template IS NOT NULL "
        "QUALIFY row_number() OVER (PARTITION BY template ORDER BY source, record) <= ?",
        [OF_EACH],
    ).fetchall()
    known = [(source, record, incident.labels[names[source]][record - 1]) for source, record in rows]
    store.connection.begin()
    store.connection.execute("DELETE FROM feedback")
    store.connection.executemany(
        "INSERT INTO feedback VALUES (?, ?, ?)",
        [[source, record, ALERT if truth == FAILURE else NORMAL] for source, record, truth in known],
    )
    store.connection.commit()


def report_lines(report: Report) -> tuple[str, ...]:
    """What a training found, in words."""
    expected = report.expected
    lines = (
        f"{report.chosen}, the best of {len(report.candidates)} by {report.metric}, trained on {report.examples:,} "
        f"records of {report.templates} templates.",
        f"On templates that nobody has seen, expect precision {expected.precision:.2f}, recall {expected.recall:.2f}, "
        f"F1 {expected.f1:.2f}.",
    )
    if not report.worth_it:
        lines += ("A rule without any model does as well: so few templates are a demonstration, and no more.",)
    return lines


def _learn(books: Path, path: Path) -> tuple[str, ...]:
    from groundup.knowledge import default_location, open_knowledge

    knowledge = open_knowledge(default_location(path))
    shutil.copytree(RUNBOOKS, books, dirs_exist_ok=True)
    learned = knowledge.learn([books])
    return (f"{learned.documents} runbooks, {len(knowledge)} chunks.",)


def _ask(question: str, path: Path) -> Answer:
    from groundup.knowledge import default_location, open_knowledge
    from groundup.llm import chat_model
    from groundup.systems.copilot.answering.ask import ask

    with open_store(path, reading=True) as store:
        knowledge = open_knowledge(default_location(path), reading=True)
        return ask(question, store=store, knowledge=knowledge, model=chat_model())
