"""The demo: eight documents of our own and three questions, offline.

for step in demo(Path("research-demo")):
    print(step.title, step.answer)
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from groundup.demo import Step, writing
from groundup.systems.research.report import Report
from groundup.systems.research.runs import open_research

DOCUMENTS = Path(__file__).with_name("documents")
QUESTIONS = (
    "Why do retries harm an overloaded server, and how does a circuit breaker protect the caller?",  # two documents
    "How is a vector database sharded?",  # no document answers
    "What is an idempotency key?",  # its document also gives orders to a model
)
STORE, KNOWLEDGE, FOLDER = "research.sqlite", "research.knowledge", "documents"


def demo(folder: Path) -> Iterator[Step[Report]]:
    """The steps of the demo, each as soon as it is done.

    Raises:
        UsageError: the folder cannot be written.
    """
    with writing(folder):
        yield from _steps(folder)


def _steps(folder: Path) -> Iterator[Step[Report]]:
    from groundup.knowledge import open_knowledge
    from groundup.llm import chat_model

    begin = time.perf_counter()
    shutil.copytree(DOCUMENTS, folder / FOLDER, dirs_exist_ok=True)
    knowledge = open_knowledge(folder / KNOWLEDGE)
    learned = knowledge.learn([folder / FOLDER])
    contents = (f"{learned.documents} documents, {len(knowledge)} chunks.",)
    yield Step("Learn", f"groundup research learn {FOLDER}", contents, time.perf_counter() - begin)
    with open_research(folder / STORE, knowledge=knowledge, model=chat_model("embedded")) as research:
        for question in QUESTIONS:
            begin = time.perf_counter()
            id = research.begin(question, model="embedded", knowledge=str(folder / KNOWLEDGE))
            for _ in research.run(id):
                pass
            report = research.report(id)
            yield Step(question, f'groundup research ask "{question}"', (), time.perf_counter() - begin, report)
