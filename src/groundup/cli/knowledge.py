"""Documents into the knowledge base: the command `learn` of every system."""

from __future__ import annotations

from collections.abc import Iterable

import click

from groundup.cli.output import console, count_of, print_json, progress, shown

knowledge_option = click.option(
    "--knowledge",
    metavar="DIR|URL",
    help="The knowledge base: a folder or a Chroma server [GROUNDUP_KNOWLEDGE, or beside the store].",
)


def learn_into(location: str, folders: Iterable[str], *, as_json: bool) -> None:
    """Bring the knowledge base up to date with the folders, and print the changes."""
    from dataclasses import asdict

    from groundup.knowledge import open_knowledge

    opened = open_knowledge(location)
    with progress(quiet=as_json) as bar:
        task = bar.add_task("Learning", total=None)

        def report(source: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, description=f"Learning {shown(source)}")

        learned = opened.learn(folders, report=report)
    if as_json:
        print_json({"knowledge": location, "chunks": len(opened), **asdict(learned)}, ascii=True)
        return
    out = console()
    for source, reason in learned.skipped.items():
        out.print(f"[yellow]Left out: {shown(source)}[/] [dim]{shown(reason)}[/]")
    out.print(
        f"{count_of(learned.documents, 'document')} read: {count_of(learned.added, 'chunk')} new, "
        f"{learned.updated:,} moved, {learned.removed:,} removed. {shown(location)} holds "
        f"{count_of(len(opened), 'chunk')}."
    )
