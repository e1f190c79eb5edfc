"""`groundup research`: documents in, reports out; every sentence of a report opens in its source."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from shutil import rmtree
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, TypeVar

import click

from groundup.cli.knowledge import knowledge_option, learn_into
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
from groundup.cli.output import console, escape, print_json, print_parts, progress, shown
from groundup.errors import GroundupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from groundup.knowledge import Knowledge
    from groundup.systems.research import Report, Research
    from groundup.systems.research.comparing import Comparison
    from groundup.systems.research.costs import Costs
    from groundup.systems.research.planning import Routing
    from groundup.systems.research.prices import Prices
    from groundup.systems.research.routing.training import Judgement
    from groundup.systems.research.state import Step
    from groundup.systems.research.web import Web

F = TypeVar("F", bound=Callable[..., Any])
PORT = 8610
REPLAY = "run:"  # the prefix of a report's id: its pages are read again
ESTIMATED = "[dim]Tokens are estimated, four characters each, where a model does not count them.[/]"
FORMATS = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".bib": "bibtex"}


def store_option(function: F) -> F:
    """`--store FILE`."""
    return click.option(
        "--store", envvar="GROUNDUP_RESEARCH", default="research.sqlite", show_default=True, metavar="FILE",
        help="Runs and reports [GROUNDUP_RESEARCH].",
    )(function)  # fmt: skip


def model_option(function: F) -> F:
    """`--model MODEL`."""
    return click.option(
        "--model",
        metavar="MODEL",
        help="Chat model: ollama:NAME, openai:NAME, local:smollm2, local:FILE.gguf, http://HOST:PORT/v1#NAME or "
        "embedded [GROUNDUP_LLM, or embedded].",
    )(function)


def web_option(function: F) -> F:
    """`--web WHERE`."""
    return click.option(
        "--web", default="", metavar="WHERE",
        help="Look in the web too: searxng, brave, tavily, duckduckgo, a FOLDER of recorded pages, or run:ID for the "
        "pages of another report.",
    )(function)  # fmt: skip


def router_option(function: F) -> F:
    """`--router ROUTER`."""
    return click.option(
        "--router", default="trained", show_default=True, type=click.Choice(["trained", "rules"]),
        help="The judge between documents and the web.",
    )(function)  # fmt: skip


def prices_option(function: F) -> F:
    """`--prices FILE`."""
    return click.option(
        "--prices", envvar="GROUNDUP_PRICES", metavar="FILE", help="The prices of tokens, in TOML [GROUNDUP_PRICES]."
    )(function)


def output_option(function: F) -> F:
    """`--output FILE`."""
    return click.option(
        "--output", "-o", metavar="FILE", help="Write the report into a file as well: .md, .html or .bib."
    )(function)


@click.group(
    "research",
    cls=SystemGroup,
    epilog='Example: groundup research learn notes, then groundup research ask "What is jitter?"',
)
def research_command() -> None:
    """Answer questions from documents and the web, with a plan, notes and citations.

    Every sentence of a report cites the file or page, and the characters in it. Begin with `groundup research demo`.
    """


@research_command.command("learn", epilog="Example: groundup research learn papers notes/meeting.html")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER…")
@knowledge_option
@store_option
@json_option
def learn_command(folders: tuple[str, ...], knowledge: str | None, store: str, as_json: bool) -> int:
    """Take documents into the knowledge base.

    The command reads all Markdown, text, HTML and PDF in each FOLDER. Run it again after a change: it replaces exactly
    the changed chunks, and forgets deleted files. It names an unreadable file and leaves it out.
    """
    from groundup.knowledge import default_location

    learn_into(knowledge or default_location(store), folders, as_json=as_json)
    return 0


@research_command.command("ask", epilog='Example: groundup research ask "How do A and B differ?" -o report.html')
@click.argument("question", nargs=-1, required=True, metavar="QUESTION")
@model_option
@knowledge_option
@web_option
@router_option
@store_option
@click.option("--steps", default=60, show_default=True, help="The most steps before the report.")
@click.option("--tokens", default=60_000, show_default=True, help="The most tokens of the model, in and out.")
@click.option("--seconds", default=600.0, show_default=True, help="The most seconds of work.")
@click.option(
    "--money", type=float, metavar="AMOUNT", help="The most money for the model's calls, by and in the --prices."
)
@prices_option
@click.option("--edit", is_flag=True, help="Edit the plan in your editor before the search.")
@output_option
@json_option
def ask_command(
    question: tuple[str, ...],
    model: str | None,
    knowledge: str | None,
    web: str,
    router: Routing,
    store: str,
    steps: int,
    tokens: int,
    seconds: float,
    money: float | None,
    prices: str | None,
    edit: bool,
    output: str | None,
    as_json: bool,
) -> int:
    """Answer a QUESTION with a report, showing each step.

    Without a model configured, the report is an outline of sentences of the documents, word for word. Code looks up
    each sentence of any model in the documents, and leaves out a sentence that no document holds. Ctrl-C loses
    nothing: `groundup research resume` continues. With --web, sub-questions also go to a search server, whose pages are
    read; you need no documents then.
    """
    from groundup.knowledge import default_location
    from groundup.llm import chat_model
    from groundup.systems.research import Budget
    from groundup.systems.research.runs import need_packages

    need_packages()
    kind = _format(output)
    limits = {} if money is None else {"money": money, "prices": _prices(prices)}
    budget, chat = Budget(steps, tokens, seconds, **limits), chat_model(model)
    location = knowledge or default_location(store)
    if web and knowledge is None and not location.startswith(("http://", "https://")) and not Path(location).is_dir():
        location = ""  # the web alone
    base = _filled(location) if location else None
    with _opened_for(web, store) as research:
        research.knowledge, research.model, research.router = base, chat, router
        id = research.begin(" ".join(question), budget, model=model or "", knowledge=location)
        if edit:
            _edited(research, id)
        report = _finished(research, id, quiet=as_json)
    _deliver(report, output, kind, as_json)
    return 0


@research_command.command("resume", epilog="Example: groundup research resume 3f2a")
@click.argument("id", metavar="ID")
@model_option
@knowledge_option
@web_option
@router_option
@store_option
@output_option
@json_option
def resume_command(
    id: str,
    model: str | None,
    knowledge: str | None,
    web: str,
    router: Routing,
    store: str,
    output: str | None,
    as_json: bool,
) -> int:
    """Continue a stopped report from the step that was stopped.

    ID is the report's id or the beginning of it. The report keeps its model, knowledge base and web, unless you name
    others.
    """
    from groundup.llm import chat_model
    from groundup.systems.research import open_research

    kind = _format(output)
    with open_research(store, router=router, reading=True) as research:
        run = research.find(id)
        if run.next:
            research.web = _web(research, web or run.web)
            if knowledge or run.knowledge or not run.web:
                research.knowledge = _filled(knowledge or run.knowledge)
            research.model = chat_model(model or run.model or None)
            report = _finished(research, run.id, quiet=as_json)
        else:
            report = research.report(run.id)
    _deliver(report, output, kind, as_json)
    return 0


@research_command.command("reports", epilog="Example: groundup research reports --json")
@store_option
@json_option
def reports_command(store: str, as_json: bool) -> int:
    """List all reports, the newest first."""
    from dataclasses import asdict

    from groundup.systems.research import open_research

    with open_research(store, reading=True) as research:
        runs = research.runs()
    if as_json:
        print_json({"store": store, "reports": [asdict(run) for run in runs]}, ascii=True)
        return 0
    out = console()
    if not runs:
        out.print("There is no report yet. Ask: groundup research ask QUESTION")
    for run in runs:
        state = "[green]done[/]" if not run.next else f"[yellow]stopped before {run.next}[/]"
        out.print(f"[bold]{run.id}[/]  [dim]{run.begun[:16].replace('T', ' ')}Z[/]  {state}  {shown(run.question)}")
    return 0


@research_command.command("show", epilog="Example: groundup research show 3f2a --trace -o report.md")
@click.argument("id", metavar="ID")
@store_option
@click.option("--trace", is_flag=True, help="Show the steps and the cost of the model's calls, too.")
@output_option
@json_option
def show_command(id: str, store: str, trace: bool, output: str | None, as_json: bool) -> int:
    """Show a stored report. ID is its id or the beginning of it."""
    from groundup.systems.research import open_research

    kind = _format(output)
    with open_research(store, reading=True) as research:
        report = research.report(id)
    _deliver(report, output, kind, as_json)
    if trace and not as_json:
        console().print()
        _say_trace(report)
        _say_costs([report])
    return 0


@research_command.command("open", epilog="Example: groundup research open 'notes/retries.md:120-260'")
@click.argument("citation", metavar="CITATION")
@click.option("--report", default="", metavar="ID", help="The report that cites the page [the newest report].")
@knowledge_option
@store_option
@json_option
def open_command(citation: str, report: str, knowledge: str | None, store: str, as_json: bool) -> int:
    """Show the text behind a CITATION of a report, with its surroundings.

    A web page is shown as the report read it; nothing is fetched.
    """
    from groundup.knowledge import default_location, open_knowledge, open_place
    from groundup.systems.research import open_research

    if citation.startswith(("http://", "https://")):
        with open_research(store, reading=True) as research:
            parts = research.open_page(citation, report)
    else:
        parts = open_place(citation, open_knowledge(knowledge or default_location(store), reading=True))
    print_parts(citation, parts, as_json=as_json)
    return 0


@research_command.command("demo", epilog="Example: groundup research demo --folder /tmp/research-demo")
@click.option(
    "--folder", default="research-demo", show_default=True, metavar="DIR", help="The folder of the demo. It is kept."
)
@click.option("--serve/--no-serve", "serving", default=True, help="Serve the API and the page at the end.")
@port_option(PORT)
@json_option
def demo_command(folder: str, serving: bool, port: int, as_json: bool) -> int:
    """Show the assistant on eight sample documents.

    The demo learns the documents and answers three questions: one needs two documents, one has no answer, and one has
    its answer in a document that also gives orders to a model. Then it serves the API and the page. The first run
    fetches the sentence model (84 MB); every other step is offline.
    """
    from dataclasses import asdict

    from groundup.systems.research.demo import KNOWLEDGE, STORE, demo
    from groundup.systems.research.service import Settings
    from groundup.systems.research.serving import need_packages, serve

    need_packages()
    out, reports = console(), []
    for step in demo(Path(folder)):
        if step.answer is not None:
            reports.append(step.answer)
        if as_json:
            continue
        out.print(f"\n[bold]{shown(step.title)}[/]  [dim]{step.seconds:.1f} s[/]\n[dim]$ {shown(step.command)}[/]")
        for line in step.found:
            out.print(shown(line))
        if step.answer is not None:
            _say_trace(step.answer)
            _say(step.answer)
    if as_json:
        print_json({"folder": folder, "reports": [asdict(report) for report in reports]}, ascii=True)
    else:
        out.print()
        _say_costs(reports)
        out.print(f"\nEverything is in {shown(folder)}. The commands above work there, and `open` opens citations.")
    if serving:
        knowledge = str(Path(folder) / KNOWLEDGE)
        settings = Settings(Path(folder) / STORE, **access("127.0.0.1"), knowledge=knowledge, model="embedded")
        serve_demo(serve, settings, port)
    return 0


@research_command.command("evaluate", epilog="Example: groundup research evaluate --questions 20 --model ollama:a")
@model_option
@click.option(
    "--questions", default=60, show_default=True, type=click.IntRange(1), help="Questions of each of four kinds."
)
@click.option("--seed", default=0, show_default=True, help="The seed of the draw of articles and questions.")
@click.option("--folder", metavar="DIR", help="Keep documents and reports in DIR; skip questions answered there.")
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    metavar="PURPOSE=FILE",
    help="Use the instructions in FILE for plan, read or write; `costs --compare` shows the difference.",
)
@json_option
def evaluate_command(
    model: str | None, questions: int, seed: int, folder: str | None, prompts: tuple[str, ...], as_json: bool
) -> int:
    """Measure answers, silence and citations on SQuAD 2.0 dev.

    Two baselines stand beside: the first passage, and silence. Then four models of ours that lie answer, and the
    command counts their sentences in the reports. It changes one thing in each of many sentences, compares the
    sentences with their sources, and counts the refused ones. Last, it measures the trained router on its held-out
    questions, beside the word rules and the majority class, and what the router keeps from search servers. Ctrl-C
    loses nothing: the command prints how to continue.
    """
    from dataclasses import asdict

    from rich.table import Table

    from groundup.llm import chat_model
    from groundup.systems.research.runs import need_packages

    need_packages()
    from groundup.systems.research.evaluate import evaluate
    from groundup.systems.research.routing.training import held_out, privacy

    name, chat = model or os.environ.get("GROUNDUP_LLM") or "embedded", chat_model(model)
    instructions = dict(map(_instructions, prompts))
    with _evaluated_in(folder) as place, progress(quiet=as_json) as bar:
        task = bar.add_task("Asking", total=None)
        provenance, rows = evaluate(
            chat, questions=questions, seed=seed, folder=place, name=name, instructions=instructions,
            report=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    routing, private = held_out(), privacy()
    if as_json:
        table_of = {"rows": [asdict(row) for row in rows], "router": asdict(routing)}
        table_of["privacy"] = [asdict(way) for way in private]
        print_json({"data": provenance, "model": name, **table_of}, ascii=True)
        return 0
    table = Table(title=f"SQuAD 2.0 dev, {shown(provenance)}, {shown(name)}", title_justify="left")
    table.add_column("measured")
    for name in ("ours", "first passage", "silence"):
        table.add_column(name, justify="right")
    for row in rows:
        figures = (row.ours, row.first, row.silent)
        table.add_row(row.what, *("" if f is None else f"{f:,.0f}" if f >= 100 else f"{f:.3g}" for f in figures))
    console().print(table)
    if name == "local:smollm2":
        console().print("[yellow]A weak model:[/] it shows what the code holds, and not what models can do.")
    _say_routing(routing)
    for way in private:
        console().print(
            f"{way.way}: {way.sent} of {way.own} further questions of what is one's own are sent to a search server, "
            f"and {way.kept} of {way.public} that a stranger may answer are kept from it."
        )
    return 0


@research_command.command("costs", epilog="Example: groundup research costs --prices prices.toml")
@store_option
@click.option("--report", default="", metavar="ID", help="The report [all reports].")
@click.option(
    "--compare",
    nargs=2,
    metavar="BEFORE AFTER",
    help="Two versions of a prompt, named as in the column `prompt`, on the questions asked with both.",
)
@prices_option
@json_option
def costs_command(store: str, report: str, compare: tuple[str, str] | None, prices: str | None, as_json: bool) -> int:
    """Show the cost of model calls: tokens, seconds, and money.

    --compare shows the cost of a prompt before and after a change, and whether its reports still say the same.
    Money needs --prices, a TOML file with the price of a million tokens of each model: `in` for tokens read, `out` for
    tokens written and, where its price differs, `cached` for tokens that the provider had read before.
    """
    from dataclasses import asdict

    from groundup.systems.research import open_research
    from groundup.systems.research.comparing import compare as compared
    from groundup.systems.research.costs import costs

    if compare:
        if report or prices:
            raise UsageError("--compare covers all reports, without --report and --prices. Leave them out.")
        with open_research(store, reading=True) as research:
            comparisons = compared(research, *compare)
        if as_json:
            print_json({"store": store, "comparisons": [asdict(comparison) for comparison in comparisons]}, ascii=True)
        else:
            for comparison in comparisons:
                _say_comparison(comparison)
        return 0
    price_table = _prices(prices)
    with open_research(store, reading=True) as research:
        table = costs(research, price_table, report=report)
    if as_json:
        print_json({"store": store, **asdict(table)}, ascii=True)
        return 0
    _say_cost_table(table)
    return 0


@research_command.command("serve", epilog="Example: groundup research serve --web searxng --port 8610")
@store_option
@knowledge_option
@model_option
@web_option
@router_option
@prices_option
@serving_options(PORT)
@click.option("--seconds", default=600.0, show_default=True, help="The most seconds of work that a report may request.")
def serve_command(
    store: str,
    knowledge: str | None,
    model: str | None,
    web: str,
    router: Routing,
    prices: str | None,
    host: str,
    port: int,
    page_port: int,
    page: bool,
    seconds: float,
) -> None:
    """Serve the API and the page until Ctrl-C.

    On the page you ask, and see the plan, each step, and the report with its sources beside it. With a secret in
    GROUNDUP_TOKEN, the API answers only requests that send it (`Authorization: Bearer …`). The store keeps the finished
    steps of a report that the server's end interrupts.
    """
    from groundup.systems.research.service import Settings
    from groundup.systems.research.serving import need_packages, serve

    need_packages()
    if web.startswith(REPLAY):
        raise UsageError(
            f"web must be a server or a folder here, got '{web}'. `groundup research ask` replays a report."
        )
    settings = Settings(
        Path(store), **access(host),
        model=model or "", knowledge=knowledge or "", web=web, router=router, seconds=seconds,
        prices=_prices(prices),
    )  # fmt: skip
    serve_system(serve, settings, host=host, port=port, page_port=page_port if page else None)


def _serve_page(api: str, *, host: str, port: int) -> None:
    from groundup.systems.research.serving import serve_page

    serve_page(api, host=host, port=port)


research_command.add_command(page_command("research", PORT, _serve_page))


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _filled(location: str) -> Knowledge:
    """The knowledge base there. Raises UsageError if it is empty."""
    from groundup.knowledge import open_knowledge

    knowledge = open_knowledge(location, reading=True)
    if not len(knowledge):
        raise UsageError(
            f"knowledge must hold documents, and '{location}' is empty. Fill it with `groundup research learn FOLDER`."
        )
    return knowledge


@contextmanager
def _opened_for(web: str, store: str) -> Iterator[Research]:
    """The store, with the named web. A wrong name is refused before a store is made."""
    from groundup.systems.research import open_research, open_web

    source = open_web(web) if web and not web.startswith(REPLAY) else None
    with open_research(store, web=source) as research:
        if web and source is None:
            research.web = _web(research, web)
        yield research


def _web(research: Research, name: str) -> Web | None:
    """The web of this name, which may be a recorded run."""
    from groundup.systems.research import open_web

    if not name:
        return None
    return research.replayed(name.removeprefix(REPLAY)) if name.startswith(REPLAY) else open_web(name)


@contextmanager
def _evaluated_in(folder: str | None) -> Iterator[Path]:
    """The folder of an evaluation. Where none is named, one that is gone at the end, and kept where there is none."""
    place = Path(folder) if folder else Path(mkdtemp(prefix="groundup-research-"))
    try:
        yield place
    except (KeyboardInterrupt, GroundupError):
        click.echo(f"Answers are kept: the same command with `--folder {quote(str(place))}` goes on.", err=True)
        raise
    if not folder:
        rmtree(place, ignore_errors=True)


def _edited(research: Research, id: str) -> None:
    """Let a person change the plan, a sub-question on each line."""
    with _resumable(id):
        for _ in research.run(id, until="plan"):
            pass
        text = click.edit("\n".join(research.planned(id)) + "\n")
        if text is not None:  # saved
            research.replan(id, text.splitlines())


def _finished(research: Research, id: str, *, quiet: bool) -> Report:
    """Run to the end, and print each step on standard error."""
    terminal = console(err=True)
    with _resumable(id), progress(quiet=quiet) as bar:
        bar.add_task(f"Report {id}", total=None)
        for step in research.run(id):
            if not quiet:
                terminal.print(f"[dim]{_step_line(step)}[/]")
    return research.report(id)


@contextmanager
def _resumable(id: str) -> Iterator[None]:
    """Print the command that continues a stopped run."""
    try:
        yield
    except (KeyboardInterrupt, GroundupError):
        click.echo(
            f"The finished steps of report {id} are kept. Continue with: groundup research resume {id}", err=True
        )
        raise


def _prices(path: str | None) -> Prices | None:
    from groundup.systems.research.prices import read_prices

    return None if path is None else read_prices(path)


def _instructions(given: str) -> tuple[str, str]:
    """A purpose and its instructions, from PURPOSE=FILE."""
    from groundup.systems.research.graph import INSTRUCTIONS

    purpose, _, path = given.partition("=")
    if purpose not in INSTRUCTIONS or not path:
        raise UsageError(
            f"prompt must be one of {', '.join(INSTRUCTIONS)} and a file, got '{given}'. For example: read=short.txt"
        )
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"prompt must be a text file, and '{path}' cannot be read: {reason}. Check the path."
        ) from error
    if not text.strip():
        raise UsageError(f"prompt must say something, and '{path}' is empty. Write the instructions into it.")
    return purpose, text


def _format(output: str | None) -> str:
    """The format of a file's name. Raises UsageError before any work is done."""
    if output is None:
        return ""
    kind = FORMATS.get(Path(output).suffix.lower())
    if kind is None:
        raise UsageError(f"output must end in .md, .html or .bib, got '{output}'. For example: report.md")
    if not Path(output).absolute().parent.is_dir():
        raise UsageError(
            f"output must be in an existing folder, and the folder of '{output}' is missing. Make it first."
        )
    return kind


# ── printing ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _deliver(report: Report, output: str | None, kind: str, as_json: bool) -> None:
    """Print a report, and write it into a file if one is named."""
    from dataclasses import asdict

    from groundup.systems.research import to_bibtex, to_html, to_markdown

    if output is not None:
        text = {"markdown": to_markdown, "html": to_html, "bibtex": to_bibtex}[kind](report)
        try:
            Path(output).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"output must be a file that can be written, and '{output}' cannot be: {error.strerror}. "
                f"The report is kept. Write it with: groundup research show {report.id} -o FILE"
            ) from error
    if as_json:
        print_json({**asdict(report), "abstained": report.abstained}, ascii=True)
        return
    _say(report)
    if output is not None:
        console().print(f"[dim]Written to {shown(output)}[/]")


def _say(report: Report) -> None:
    from groundup.systems.research.export import marks, remarks, silence

    out = console()
    out.print(f"[bold]{shown(report.question)}[/]  [dim]report {report.id}[/]")
    if report.abstained:
        out.print(silence(report))
    for part in report.parts:
        if part.heading:
            out.print(f"\n[bold]{shown(part.heading)}[/]")
        for line in part.lines:
            out.print(f"  {shown(line.text)} [bold]{escape(marks(line))}[/]")
    for title, texts in remarks(report):
        out.print(f"\n[yellow]{shown(title)}:[/] {shown('; '.join(texts))}")
    if report.citations:
        out.print()
    for source in report.citations:
        out.print(f"[bold]{escape(f'[{source.number}]')}[/] {shown(source.where)}  [dim]{shown(source.headings)}[/]")
        if source.accessed:
            out.print(f"    [dim]read {shown(source.accessed)}[/]")
        if report.written:
            out.print(f"    [dim]“{shown(source.quote)}”[/]")


def _step_line(step: Step) -> str:
    return f"{step['node']:<9} {shown(step['what'])}  {step['seconds']:.2f} s"


def _say_trace(report: Report) -> None:
    for step in report.trace:
        console().print(f"[dim]{_step_line(step)}[/]")


def _say_costs(reports: Iterable[Report]) -> None:
    """The cost of the reports: steps, calls of the model, tokens and seconds."""
    from rich.table import Table

    table = Table(title="Costs", title_justify="left", show_footer=False)
    for name in ("report", "model", "steps", "calls", "tokens in", "tokens out", "seconds"):
        table.add_column(name, justify="left" if name in ("report", "model") else "right")
    estimated = False
    for report in reports:
        costs = report.costs
        estimated |= any(not cost["counted"] for cost in costs)
        table.add_row(
            report.id,
            shown(", ".join(dict.fromkeys(cost["model"] for cost in costs))),
            f"{len(report.trace)}",
            f"{len(costs)}",
            f"{sum(cost['tokens_in'] for cost in costs):,}",
            f"{sum(cost['tokens_out'] for cost in costs):,}",
            f"{sum(step['seconds'] for step in report.trace):.2f}",
        )
    console().print(table)
    if estimated:
        console().print(ESTIMATED)


def _say_routing(judgement: Judgement) -> None:
    """The accuracy of each way to choose a place, then its confusion matrix."""
    from rich.table import Table

    from groundup.systems.research.routing.training import PLACES

    questions = judgement.ways[0].questions
    table = Table(title=f"Choice of the place, {questions} held-out questions of ours", title_justify="left")
    table.add_column("chosen by")
    for name in ("right", "95 % interval", "private, sent to the web", "not searched", "calibration error"):
        table.add_column(name, justify="right")
    for way in judgement.ways:
        error = "" if way.calibration_error is None else f"{way.calibration_error:.3f}"
        share, interval = f"{way.right / questions:.2f}", f"{way.low:.2f} to {way.high:.2f}"
        table.add_row(way.way, share, interval, f"{way.sent}", f"{way.silent}", error)
    console().print(table)
    console().print(
        f"The router alone is confident of {judgement.confident} questions, and right in {judgement.confident_right} "
        f"of them. Router and rules together correct {judgement.gained} mistakes of the rules alone, and make "
        f"{judgement.lost} new ones."
    )
    for way in judgement.ways[1:]:
        confusion = Table(title=f"{way.way}: label below, choice beside", title_justify="left")
        confusion.add_column("")
        for place in PLACES:
            confusion.add_column(place, justify="right")
        for place, counts in zip(PLACES, way.confusion, strict=True):
            confusion.add_row(place, *map(str, counts))
        console().print(confusion)


def _say_cost_table(costs: Costs) -> None:
    """A row for each model and purpose of each report, then their sum."""
    from rich.table import Table

    if not costs.rows:
        console().print("No model was called yet. Ask: groundup research ask QUESTION")
        return
    priced = [row.money for row in costs.rows if row.money is not None]
    table = Table(title="Costs", title_justify="left", show_footer=True)
    sums = {
        "calls": sum(row.calls for row in costs.rows),
        "tokens in": sum(row.tokens_in for row in costs.rows),
        "cached": sum(row.cached for row in costs.rows),
        "tokens out": sum(row.tokens_out for row in costs.rows),
        "seconds": sum(row.seconds for row in costs.rows),
    }
    for name in ("report", "purpose", "prompt", "model"):
        table.add_column(name, "all" if name == "report" else "", no_wrap=name in ("report", "prompt"), min_width=4)
    for name, total in sums.items():
        table.add_column(name, f"{total:,.1f}" if name == "seconds" else f"{total:,}", justify="right")
    if costs.currency:
        table.add_column(costs.currency, f"{sum(priced):,.4f}" if priced else "", justify="right")
    for row in costs.rows:
        figures = [
            f"{row.calls:,}",
            f"{row.tokens_in:,}",
            f"{row.cached:,}",
            f"{row.tokens_out:,}",
            f"{row.seconds:,.1f}",
        ]
        money = [] if not costs.currency else ["no price" if row.money is None else f"{row.money:,.4f}"]
        table.add_row(row.report, shown(row.purpose), shown(row.prompt), shown(row.model), *figures, *money)
    console().print(table)
    if not all(row.counted for row in costs.rows):
        console().print(ESTIMATED)


def _say_comparison(comparison: Comparison) -> None:
    """What a prompt took in either version, by the call and by the report, and what came of it."""
    from rich.table import Table

    before, after = comparison.before, comparison.after
    title = f"{comparison.purpose} by {shown(comparison.model)}, {comparison.questions} questions asked with both"
    table = Table(title=title, title_justify="left")
    for name in ("", shown(before.prompt), shown(after.prompt), "after ÷ before"):
        table.add_column(name, justify="right" if name else "left")

    def row(what: str, first: float, second: float, digits: int = 0) -> None:
        ratio = f"{second / first:.2f}" if first else ""
        table.add_row(what, f"{first:,.{digits}f}", f"{second:,.{digits}f}", ratio)

    for of, old, new in (("call", before.call, after.call), ("report", before.report, after.report)):
        row(f"tokens in, mean of a {of}", old.tokens_in, new.tokens_in)
        row("of them cached", old.cached, new.cached)
        row(f"tokens out, mean of a {of}", old.tokens_out, new.tokens_out)
        row(f"seconds, mean of a {of}", old.seconds, new.seconds, 2)
        if old.processor is not None and new.processor is not None:
            row(f"processor seconds, mean of a {of}", old.processor, new.processor, 2)
    row("calls", before.calls, after.calls)
    row("reports that answer", before.answered, after.answered)
    console().print(table)
    console().print(f"{comparison.same} of {comparison.questions} reports say the same, sentence for sentence.")
