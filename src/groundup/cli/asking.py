"""`groundup copilot learn`, `ask` and `open`: runbooks in, cited answers out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from groundup.cli.collecting import store_option
from groundup.cli.knowledge import knowledge_option, learn_into
from groundup.cli.options import json_option
from groundup.cli.output import console, escape, print_json, print_parts, progress, shown
from groundup.cli.reading import given_patterns, patterns_option
from groundup.errors import UsageError
from groundup.extras import need

if TYPE_CHECKING:
    from groundup.systems.copilot.answering.ask import Answer, Sentence


@click.command("learn", epilog="Example: groundup copilot learn runbooks docs/oncall.pdf")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER…")
@knowledge_option
@store_option
@json_option
def learn_command(folders: tuple[str, ...], knowledge: str | None, store: str, as_json: bool) -> int:
    """Take runbooks into the knowledge base.

    The command reads all Markdown, text, HTML, PDF and .clinerules in each FOLDER. Run it again after a change: it
    replaces exactly the changed chunks, and forgets deleted files.
    """
    from groundup.knowledge import default_location

    learn_into(knowledge or default_location(store), folders, as_json=as_json)
    return 0


@click.command("ask", epilog='Example: groundup copilot ask "Why is checkout failing?" --since 2h')
@click.argument("question", nargs=-1, required=True, metavar="QUESTION")
@click.option(
    "--model",
    metavar="MODEL",
    help="Chat model: ollama:NAME, openai:NAME, local:smollm2, local:FILE.gguf, http://HOST:PORT/v1#NAME or embedded "
    "[GROUNDUP_LLM, or embedded].",
)
@click.option(
    "--since", metavar="SPAN|TIME", help="Read logs from here on: 10m, 2h, 1d before the newest line, or a time."
)
@knowledge_option
@store_option
@patterns_option
@json_option
def ask_command(
    question: tuple[str, ...], model: str | None, since: str | None, knowledge: str | None, store: str, as_json: bool
) -> int:
    """Answer a QUESTION from stored logs and runbooks.

    `groundup copilot open` opens the citations of the answer. Without a model configured, the answer consists of
    sentences of the sources, word for word. Code looks up each sentence of any model in the sources, and marks a
    sentence that no source holds. If the sources do not say, the answer says so.
    """
    from dataclasses import asdict

    from groundup.llm import chat_model
    from groundup.systems.copilot.answering.ask import stream

    need("A question", "duckdb", "langchain_core")  # the store's package too, so that the extra named has everything
    chat, answer, out = chat_model(model), None, console()
    with ExitStack() as stack:
        sources = _sources(store, knowledge, stack)
        with progress(quiet=as_json) as bar:
            bar.add_task("Searching", total=None)
            for event in stream(" ".join(question), **sources, model=chat, since=since):
                answer = event.answer or answer
                if event.sentence and not as_json:
                    out.print(sentence_line(event.sentence))
    assert answer is not None
    if as_json:
        print_json({**asdict(answer), "abstained": answer.abstained}, ascii=True)
        return 0
    for line in closing_lines(answer):
        out.print(line)
    return 0


def sentence_line(sentence: Sentence) -> str:
    """A sentence of an answer with its citations, or with the mark of an unsupported one."""
    if not sentence.supported:
        return f"[dim]{shown(sentence.text)} (unsupported: no source says so)[/]"
    marks = "".join(f"[{number}]" for number in sentence.citations)
    return f"{shown(sentence.text)} [bold]{escape(marks)}[/]"


def closing_lines(answer: Answer) -> Iterator[str]:
    """The lines below an answer: the note of an abstention, and the place of each citation."""
    if answer.abstained:
        yield "The logs and runbooks do not say."
    for citation in answer.citations:
        yield f"[bold]{escape(f'[{citation.number}]')}[/] {shown(citation.where)}"


def _sources(store: str, knowledge: str | None, stack: ExitStack) -> dict[str, Any]:
    """The store and the knowledge base, if they exist. A named one must exist."""
    from groundup.knowledge import default_location, open_knowledge
    from groundup.systems.copilot.store import open_store

    named = click.get_current_context().get_parameter_source("store") is not click.core.ParameterSource.DEFAULT
    chosen = knowledge or os.environ.get("GROUNDUP_KNOWLEDGE")
    location = chosen or default_location(store)
    has_store, has_knowledge = named or Path(store).exists(), bool(chosen) or Path(location).is_dir()
    if not has_store and not has_knowledge:
        raise UsageError(
            f"A question needs a store ('{store}') or a knowledge base ('{location}'), and neither exists. Make one: "
            "`groundup copilot ingest FILE` or `groundup copilot learn FOLDER`, or name it with --store or --knowledge."
        )
    return {
        "store": stack.enter_context(open_store(store, reading=True, patterns=given_patterns())) if has_store else None,
        "knowledge": open_knowledge(location, reading=True) if has_knowledge else None,
    }


@click.command("open", epilog="Example: groundup copilot open 'app.log#1:42'")
@click.argument("citation", metavar="CITATION")
@knowledge_option
@store_option
@json_option
def open_command(citation: str, knowledge: str | None, store: str, as_json: bool) -> int:
    """Show the text behind a CITATION of an answer.

    The text is a stored line or a chunk of a document, with its surroundings.
    """
    from groundup.systems.copilot.answering.ask import open_citation

    with ExitStack() as stack:
        parts = open_citation(citation, **_sources(store, knowledge, stack))
    print_parts(citation, parts, as_json=as_json)
    return 0
