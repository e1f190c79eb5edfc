"""The demo: eight documents of our own, and three questions, offline.

for step in demo(Path("research-demo")):
print(step.title, step.report)
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from groundup.errors import UsageError
from groundup.systems.research.report import Report
from groundup.systems.research.runs import open_research

DOCUMENTS = Path(__file__).with_name("documents")
QUESTIONS = (
    "Why do retries harm an overloaded server, and how does a circuit breaker protect the caller?",  # two documents
    "How is a vector database sharded?",  # none of them says
    "What is an idempotency key?",  # its document also gives orders to a model
)
STORE, KNOWLEDGE, FOLDER = "research.sqlite", "research.knowledge", "documents"


@dataclass(frozen=True)
class Step:
    """What a step of the demo did.

    Attributes:
        title: what it is.
        command: the command that does the same.
        found: what came of it, line by line.
        seconds: how long it took.
        report: the report, where the step is a question.
    """

    title: str
    command: str
    found: tuple[str, ...]
    seconds: float
    report: Report | None = None


def demo(folder: Path) -> Iterator[Step]:
    """The steps of the demo, each as soon as it is done.

    Raises:
        UsageError: the folder cannot be written.
    """
    try:
        yield from _steps(folder)
    except OSError as error:
        raise UsageError(
            f"folder must be one that can be written, and '{folder}' cannot be: {error.strerror or error}. "
            "Free some space, or name another one with --folder."
        ) from error


def _steps(folder: Path) -> Iterator[Step]:
    from groundup.knowledge import open_knowledge
    from groundup.llm import chat_model

    begin = time.perf_counter()
    shutil.copytree(DOCUMENTS, folder / FOLDER, dirs_exist_ok=True)
    knowledge = open_knowledge(folder / KNOWLEDGE)
    learned = knowledge.learn([folder / FOLDER])
    found = (f"{learned.documents} documents, {len(knowledge)} chunks.",)
    yield Step("Learn", f"groundup research learn {FOLDER}", found, time.perf_counter() - begin)
    with open_research(folder / STORE, knowledge=knowledge, model=chat_model("embedded")) as research:
        for question in QUESTIONS:
            begin = time.perf_counter()
            id = research.begin(question, model="embedded", knowledge=str(folder / KNOWLEDGE))
            for _ in research.run(id):
                pass
            report = research.report(id)
            yield Step(question, f'groundup research ask "{question}"', (), time.perf_counter() - begin, report)
