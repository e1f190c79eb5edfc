"""`groundup shop`: an agent that answers about products and orders, and changes orders once the customer says yes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from groundup.cli.knowledge import knowledge_option
from groundup.cli.mine import SystemGroup
from groundup.cli.options import (
    access,
    json_option,
    page_command,
    port_option,
    serve_demo,
    serve_system,
    serving_options,
)
from groundup.cli.output import console, escape, print_json, print_parts, progress, shown, shown_lines

if TYPE_CHECKING:
    from groundup.knowledge import Knowledge
    from groundup.stack.agents.react import Dialect
    from groundup.systems.shop import Entry, Reply, Shop, Store
    from groundup.systems.shop.evaluate import Row

F = TypeVar("F", bound=Callable[..., Any])
PORT = 8620


def store_option(function: F) -> F:
    """`--store FILE`."""
    return click.option(
        "--store", envvar="GROUNDUP_SHOP", default="shop.sqlite", show_default=True, metavar="FILE",
        help="The shop's database, filled with τ-bench's data where there is none [GROUNDUP_SHOP].",
    )(function)  # fmt: skip


def model_options(function: F) -> F:
    """`--model MODEL` and `--dialect`."""
    function = click.option(
        "--dialect", type=click.Choice(["calls", "text"]), default="calls", show_default=True,
        help="How a model asks for tools: function calls, or lines of text where its server knows none.",
    )(function)  # fmt: skip
    return click.option(
        "--model", default="", metavar="MODEL",
        help="Chat model: ollama:NAME, openai:NAME, local:FILE.gguf or http://HOST:PORT/v1#NAME [the embedded clerk].",
    )(function)  # fmt: skip


@click.group("shop", cls=SystemGroup, epilog="Example: groundup shop demo --no-serve, then groundup shop chat")
def shop_command() -> None:
    """Talk to a shop: ask about products, and cancel, change, return or exchange orders.

    A model only proposes. The shop's policy is checked in code; you see the details and say yes; `undo` takes it back.
    Begin with `groundup shop demo`.
    """


@shop_command.command("chat", epilog="Example: groundup shop chat --model http://127.0.0.1:8000/v1#qwen2.5")
@model_options
@knowledge_option
@store_option
def chat_command(model: str, dialect: Dialect, knowledge: str | None, store: str) -> int:
    """Talk to the shop; an empty line or Ctrl-D ends."""
    with _opened(store, knowledge, model, dialect) as shop:
        conversation = shop.desk.begin()
        click.echo(f"Conversation {conversation}. What can the shop do for you?", err=True)
        while message := _asked():
            _say(shop.say(conversation, message))
    return 0


@shop_command.command("ask", epilog='Example: groundup shop ask "What colors does the T-Shirt come in?"')
@click.argument("message", nargs=-1, required=True, metavar="MESSAGE")
@click.option("--conversation", default="", metavar="ID", help="The conversation to go on with [a new one].")
@model_options
@knowledge_option
@store_option
@json_option
def ask_command(
    message: tuple[str, ...], conversation: str, model: str, dialect: Dialect, knowledge: str | None, store: str,
    as_json: bool,
) -> int:  # fmt: skip
    """Say one MESSAGE, and print the reply and its conversation."""
    from dataclasses import asdict

    with _opened(store, knowledge, model, dialect, quiet=as_json) as shop:
        id = conversation or shop.desk.begin()
        reply = shop.say(id, " ".join(message))
    if as_json:
        print_json({"conversation": id, **asdict(reply)}, ascii=True)
        return 0
    _say(reply)
    console(err=True).print(f"[dim]groundup shop ask --conversation {id} … goes on.[/]")
    return 0


@shop_command.command("learn", epilog="Example: groundup shop learn reviews manuals")
@click.argument("folders", nargs=-1, metavar="[FOLDER…]")
@knowledge_option
@store_option
@json_option
def learn_command(folders: tuple[str, ...], knowledge: str | None, store: str, as_json: bool) -> int:
    """Write a sheet for each product and the policy, and learn them; questions are answered from these.

    Each FOLDER of reviews, manuals and the like is learnt as well: Markdown, text, HTML and PDF.
    """
    with _store(store) as opened:
        base = _learnt(opened, store, knowledge, folders, quiet=as_json)
        documents = base.documents()
    if as_json:
        print_json({"store": store, "documents": documents, "chunks": len(base)})
    else:
        console().print(f"{len(documents)} documents, {len(base)} chunks. Data: {shown(_about(store))}.")
    return 0


@shop_command.command("history", epilog="Example: groundup shop history --json")
@store_option
@json_option
def history_command(store: str, as_json: bool) -> int:
    """List what was done, the newest first; each entry can be undone."""
    from dataclasses import asdict

    from groundup.systems.shop import Desk

    with _store(store, reading=True) as opened:
        entries = Desk(opened).record()
    if as_json:
        print_json({"store": store, "record": [asdict(entry) for entry in entries]}, ascii=True)
        return 0
    if not entries:
        console().print("Nothing was done yet.")
    for entry in entries:
        _say_entry(entry)
    return 0


@shop_command.command("undo", epilog="Example: groundup shop undo 3")
@click.argument("id", metavar="ID", type=click.IntRange(1))
@store_option
@json_option
def undo_command(id: int, store: str, as_json: bool) -> int:
    """Take back what was done; ID is its number in `groundup shop history`."""
    from dataclasses import asdict

    from groundup.systems.shop import Desk

    with _store(store, reading=True) as opened:
        entry = Desk(opened).undo(id)
    if as_json:
        print_json(asdict(entry), ascii=True)
    else:
        _say_entry(entry)
    return 0


@shop_command.command("open", epilog="Example: groundup shop open 'shop.documents/t-shirt.md:0-80'")
@click.argument("citation", metavar="CITATION")
@knowledge_option
@store_option
@json_option
def open_command(citation: str, knowledge: str | None, store: str, as_json: bool) -> int:
    """Show the text behind a CITATION of an answer, with its surroundings."""
    from groundup.knowledge import default_location, open_knowledge, open_place

    parts = open_place(citation, open_knowledge(knowledge or default_location(store), reading=True))
    print_parts(citation, parts, as_json=as_json)
    return 0


@shop_command.command("demo", epilog="Example: groundup shop demo --no-serve")
@click.option(
    "--folder", default="shop-demo", show_default=True, metavar="DIR", help="The folder of the demo. It is kept."
)
@click.option("--serve/--no-serve", "serving", default=True, help="Serve the API and the page at the end.")
@port_option(PORT)
@json_option
def demo_command(folder: str, serving: bool, port: int, as_json: bool) -> int:
    """Show the shop with three customers.

    One cancels an order, which is then undone; one wants what the policy forbids; one asks about a product, a rule and
    something else. The first run fetches the sentence model (84 MB) and the shop's data (2 MB); all else is offline.
    """
    from dataclasses import asdict

    from groundup.systems.shop.demo import STORE, demo
    from groundup.systems.shop.service import Settings
    from groundup.systems.shop.serving import need_packages, serve

    need_packages()
    out, steps = console(), []
    for number, step in enumerate(demo(Path(folder)), 1):
        steps.append(asdict(step))
        if as_json:
            continue
        out.print(f"\n[bold]{number}. {shown(step.title)}[/]  [dim]{step.seconds:.1f} s\n$ {shown(step.command)}[/]")
        for message, reply in step.answer or ():
            out.print(f"\n[cyan]>[/] {shown(message)}")
            _say(reply)
        for line in step.found:
            out.print(f"[dim]{shown(line)}[/]")
    if as_json:
        print_json({"folder": folder, "steps": steps}, ascii=True)
    if serving:
        serve_demo(serve, Settings(Path(folder) / STORE, **access("127.0.0.1")), port)
    return 0


@shop_command.command("evaluate", epilog="Example: groundup shop evaluate --tasks 4")
@click.option("--tasks", "count", default=4, show_default=True, type=click.IntRange(1), help="Tasks of each kind.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the tasks.")
@click.option("--router/--no-router", "routing", default=True, help="Judge the router, too.")
@model_options
@knowledge_option
@store_option
@json_option
def evaluate_command(
    count: int, seed: int, routing: bool, model: str, dialect: Dialect, knowledge: str | None, store: str,
    as_json: bool,
) -> int:  # fmt: skip
    """Measure the router, the tasks that are solved, and what models that lie can do.

    A task is solved where the database after it is as it should be. Nothing in the store is changed. The exit code is 1
    where the policy was broken once.
    """
    from dataclasses import asdict

    from groundup.systems.shop.evaluate import evaluate

    with _opened(store, knowledge, model, dialect, quiet=as_json) as shop:
        found = evaluate(
            shop.store, shop.router, shop.knowledge, count=count, seed=seed, model=shop.model,  # type: ignore[arg-type]
            dialect=dialect, routing=routing,
        )  # fmt: skip
        with progress(quiet=as_json) as bar:
            bar.add_task("Measuring", total=None)
            rows = list(found)
    if as_json:
        print_json({"data": _about(store), "rows": [asdict(row) for row in rows]})
    else:
        _say_rows(rows, _about(store))
    return int(any("violations" in row.what and row.value for row in rows))


@shop_command.command("sft-data", epilog="Example: groundup shop sft-data shop-sft.jsonl --dialogues 100")
@click.argument("file", metavar="FILE")
@click.option(
    "--dialogues", default=50, show_default=True, type=click.IntRange(1), help="Dialogues of each kind, at most."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the tasks.")
@store_option
@json_option
def sft_data_command(file: str, dialogues: int, seed: int, store: str, as_json: bool) -> int:
    """Write dialogues with tool calls into FILE, to train a model on.

    Each line is a chat, {"messages": [...]}: simulated customers, and what the embedded clerk looks up, proposes and
    says. Only the assistant's messages are to train. Customers of `groundup shop evaluate` are left out.
    """
    from groundup.systems.shop import Shop, simulate

    router = _router()
    with _store(store) as opened, progress(quiet=as_json) as bar:
        bar.add_task("Simulating", total=None)
        chats = simulate.dialogues(opened, lambda copy: Shop(copy, router=router), count=dialogues, seed=seed)
        written = simulate.write_dialogues(chats, Path(file))
        about = opened.about
    if as_json:
        print_json({"file": file, "dialogues": written, "data": about})
    else:
        console().print(f"{written} dialogues in {shown(file)}. Data: {shown(about)}.")
    return 0


@shop_command.command("serve", epilog="Example: groundup shop serve --port 8620")
@model_options
@knowledge_option
@store_option
@serving_options(PORT)
@click.option("--timeout", default=120.0, show_default=True, help="Seconds that a message may take.")
def serve_command(
    model: str, dialect: Dialect, knowledge: str | None, store: str, host: str, port: int, page_port: int, page: bool,
    timeout: float,
) -> None:  # fmt: skip
    """Serve the API and the page until Ctrl-C.

    With a secret in GROUNDUP_TOKEN, the API answers only requests that send it (`Authorization: Bearer …`). Whoever may
    ask may act for every customer: the API is for the shop's own people and programs.
    """
    from groundup.systems.shop.service import Settings
    from groundup.systems.shop.serving import need_packages, serve

    need_packages()
    settings = Settings(
        Path(store), **access(host),
        model=model, dialect=dialect, knowledge=knowledge or "", timeout=timeout,
    )  # fmt: skip
    serve_system(serve, settings, host=host, port=port, page_port=page_port if page else None)


def _serve_page(api: str, *, host: str, port: int) -> None:
    from groundup.systems.shop.serving import serve_page

    serve_page(api, host=host, port=port)


shop_command.add_command(page_command("shop", PORT, _serve_page))


# ── opening ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@contextmanager
def _store(path: str, *, reading: bool = False) -> Iterator[Store]:
    from groundup.systems.shop import open_store

    with open_store(path, reading=reading) as store:
        yield store


def _router() -> Any:
    from groundup.embedding import load
    from groundup.systems.shop.routing import Router

    return Router.load(load())


def _learnt(
    store: Store, path: str, knowledge: str | None, folders: tuple[str, ...] = (), *, quiet: bool
) -> Knowledge:  # fmt: skip
    from groundup.systems.shop.answering import learn

    with progress(quiet=quiet) as bar:
        bar.add_task("Learning the products", total=None)
        return learn(store, Path(path), knowledge, folders)


@contextmanager
def _opened(path: str, knowledge: str | None, model: str, dialect: Dialect, *, quiet: bool = False) -> Iterator[Shop]:
    """The agent; documents that nobody has learnt yet are learnt first."""
    from groundup.knowledge import default_location, open_knowledge
    from groundup.llm import chat_model
    from groundup.systems.shop import Shop
    from groundup.systems.shop.serving import need_packages

    need_packages()
    chat = chat_model(model) if model not in ("", "embedded") else None
    location = knowledge or default_location(path)
    with _store(path) as store:
        known = location.startswith(("http://", "https://")) or Path(location).is_dir()
        base = open_knowledge(location, reading=True) if known else _learnt(store, path, knowledge, quiet=quiet)
        yield Shop(store, router=_router(), knowledge=base, model=chat, dialect=dialect)


def _about(path: str) -> str:
    with _store(path, reading=True) as store:
        return store.about


def _asked() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""


# ── printing ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _say(reply: Reply) -> None:
    out = console()
    out.print(shown_lines(reply.text))
    for citation in reply.answer.citations if reply.answer else ():
        out.print(f"[dim]{escape(f'[{citation.number}]')} {shown(citation.where)}[/]")
    if reply.left_out:
        out.print(f"[yellow]Left out, because nothing confirms it:[/] {shown(' '.join(reply.left_out))}")


def _say_entry(entry: Entry) -> None:
    undone = f"  [yellow]undone by {entry.undone}[/]" if entry.undone else ""
    console().print(f"[bold]{entry.id}[/]  [dim]{entry.at}[/]  {shown(entry.command)}  {shown(entry.user)}{undone}")
    for line in entry.details:
        console().print(f"    {shown(line)}")


def _say_rows(rows: list[Row], about: str) -> None:
    from rich.table import Table

    table = Table(title=f"The shop, on {shown(about)}", title_justify="left")
    for name in ("", "measured", "value", "baseline"):
        table.add_column(name, justify="right" if name in ("value", "baseline") else "left")
    group = ""
    for row in rows:
        numbers = [
            "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".") for value in (row.value, row.baseline)
        ]
        table.add_row(row.group if row.group != group else "", shown(row.what), *numbers)
        group = row.group
    console().print(table)
