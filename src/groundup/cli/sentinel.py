"""`groundup sentinel`: URLs, screenshots and logs in; a risk with rules, evidence and intelligence out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

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
from groundup.cli.output import console, print_json, print_parts, progress, shown
from groundup.errors import UsageError

if TYPE_CHECKING:
    from groundup.systems.sentinel.cases import Case
    from groundup.systems.sentinel.intelligence import Answer
    from groundup.systems.sentinel.scanning import Scanner

F = TypeVar("F", bound=Callable[..., Any])
PORT = 8630
COLOURS = {"high": "red", "medium": "yellow", "low": "green", "unknown": "dim"}
DETECTORS = ("url", "vision", "logs", "guard")
DONE = {"block": "blocked", "allow": "allowed", "quarantine": "quarantined"}


def store_option(function: F) -> F:
    """`--store FILE`."""
    return click.option(
        "--store", envvar="GROUNDUP_SENTINEL", default="sentinel.sqlite", show_default=True, metavar="FILE",
        help="Cases and decisions [GROUNDUP_SENTINEL].",
    )(function)  # fmt: skip


def models_option(function: F) -> F:
    """`--models DIR`."""
    return click.option(
        "--models", envvar="GROUNDUP_SENTINEL_MODELS", default="sentinel.models", show_default=True, metavar="DIR",
        help="Trained detectors; the shipped ones stand in for those that it lacks [GROUNDUP_SENTINEL_MODELS].",
    )(function)  # fmt: skip


def rules_option(function: F) -> F:
    """`--rules FILE`."""
    return click.option("--rules", metavar="FILE", help="Rules of the risk engine, as TOML.")(function)


def model_option(function: F) -> F:
    """`--model MODEL`."""
    return click.option(
        "--model", metavar="MODEL",
        help="Chat model, as `groundup research ask --help` lists them [GROUNDUP_LLM, or embedded].",
    )(function)  # fmt: skip


@click.group(
    "sentinel",
    cls=SystemGroup,
    epilog="Example: groundup sentinel scan https://paypa1-login.top page.png",
)
def sentinel_command() -> None:
    """Judge URLs, screenshots and logs by trained detectors and rules in words.

    Nothing is fetched, and nothing is decided but by a person. Begin with `groundup sentinel demo`.
    """


@sentinel_command.command("scan", epilog="Example: groundup sentinel scan https://paypa1-login.top page.png")
@click.argument("things", nargs=-1, required=True, metavar="URL-or-FILE…")
@store_option
@models_option
@rules_option
@json_option
def scan_command(things: tuple[str, ...], store: str, models: str, rules: str | None, as_json: bool) -> int:
    """Scan a URL, a screenshot and a log that belong together, and keep the case.

    A file that ends in .png, .jpg, .jpeg or .webp is a screenshot, any other file a log, and all else a URL, which is
    read as text and never fetched.
    """
    return _scan(things, store, models, rules, as_json)


@sentinel_command.command("logs", epilog="Example: groundup sentinel logs /var/log/auth.log")
@click.argument("file", metavar="FILE")
@store_option
@models_option
@rules_option
@json_option
def logs_command(file: str, store: str, models: str, rules: str | None, as_json: bool) -> int:
    """Scan a log FILE, whatever its ending, and keep the case."""
    return _scan((file,), store, models, rules, as_json, log=True)


@sentinel_command.command("cases", epilog="Example: groundup sentinel cases 3f2a")
@click.argument("id", metavar="[ID]", default="")
@store_option
@json_option
def cases_command(id: str, store: str, as_json: bool) -> int:
    """List all cases, the newest first, or show one. ID may be its beginning."""
    from groundup.systems.sentinel.cases import open_cases
    from groundup.systems.sentinel.service import document

    with open_cases(store) as cases:
        found = [cases.find(id)] if id else cases.all()
    if as_json:
        print_json({"store": store, "cases": [document(case) for case in found]}, ascii=True)
    elif id:
        _say_case(found[0])
    elif not found:
        console().print("There is no case yet. Scan something: groundup sentinel scan URL-or-FILE")
    else:
        for case in found:
            _say_line(case)
    return 0


@sentinel_command.command("decide", epilog="Example: groundup sentinel decide 3f2a block --by ada")
@click.argument("id", metavar="ID")
@click.argument("action", type=click.Choice(["block", "allow", "quarantine"]))
@click.option("--by", envvar="USER", required=True, metavar="NAME", help="Who decides [USER].")
@click.option("--yes", is_flag=True, help="Do not ask: you have looked at the case already.")
@store_option
@json_option
def decide_command(
    id: str, action: Literal["block", "allow", "quarantine"], by: str, yes: bool, store: str, as_json: bool
) -> int:
    """Decide a case, once you have confirmed it.

    The decision and the block list beside the store (NAME.blocklist.txt) are written together, or neither is.
    """
    from groundup.systems.sentinel.cases import entries_of, open_cases
    from groundup.systems.sentinel.service import document

    with open_cases(store) as cases:
        case = cases.find(id)
        entries = entries_of(case.finding, action)
        if not yes:
            if not as_json:
                _say_line(case)
            click.confirm(f"Write into {cases.list_file.name}: {'; '.join(entries)}?", abort=True, err=True)
        case = cases.decide(case.id, action, by=by)
        if as_json:
            print_json(document(case), ascii=True)
        else:
            console().print(f"Case {case.id} is {DONE[action]}. `groundup sentinel undo {case.id}` takes it back.")
    return 0


@sentinel_command.command("undo", epilog="Example: groundup sentinel undo 3f2a --by ada")
@click.argument("id", metavar="ID")
@click.option("--by", envvar="USER", required=True, metavar="NAME", help="Who takes it back [USER].")
@store_option
@json_option
def undo_command(id: str, by: str, store: str, as_json: bool) -> int:
    """Take the decision on a case back, in the store and in the block list. The record of it stays."""
    from groundup.systems.sentinel.cases import open_cases
    from groundup.systems.sentinel.service import document

    with open_cases(store) as cases:
        case = cases.undo(id, by=by)
    if as_json:
        print_json(document(case), ascii=True)
    else:
        console().print(f"The decision on case {case.id} is taken back.")
    return 0


@sentinel_command.command("learn", epilog="Example: groundup sentinel learn")
@store_option
@knowledge_option
@json_option
def learn_command(store: str, knowledge: str | None, as_json: bool) -> int:
    """Take ATT&CK's techniques and CISA's exploited vulnerabilities into the knowledge base.

    It takes a few minutes once; run it again after an update, and only what changed is read.
    """
    from groundup.knowledge import default_location
    from groundup.systems.sentinel.intelligence import read_catalogue

    folder = Path(store).with_suffix(".intelligence")
    read_catalogue().write(folder)
    learn_into(knowledge or default_location(store), [str(folder)], as_json=as_json)
    return 0


@sentinel_command.command("ask", epilog='Example: groundup sentinel ask "Is CVE-2021-44228 exploited?"')
@click.argument("question", nargs=-1, required=True, metavar="QUESTION")
@model_option
@store_option
@models_option
@knowledge_option
@json_option
def ask_command(
    question: tuple[str, ...], model: str | None, store: str, models: str, knowledge: str | None, as_json: bool
) -> int:
    """Answer a QUESTION on techniques and vulnerabilities, each sentence with what says so.

    Ids (CVE-…, T….) are looked up in the lists by code. All else is looked for in the documents of `groundup sentinel
    learn`. Where neither says, the answer is unknown.
    """
    from dataclasses import asdict

    from groundup.knowledge import default_location, open_knowledge
    from groundup.llm import chat_model
    from groundup.systems.sentinel.guard import PromptGuard
    from groundup.systems.sentinel.intelligence import Analyst, read_catalogue

    chat = chat_model(model)
    location = knowledge or default_location(store)
    there = location.startswith(("http://", "https://")) or Path(location).is_dir()
    base = open_knowledge(location, reading=True) if there or knowledge else None
    answer = Analyst(read_catalogue(), PromptGuard.read(Path(models)), base, chat).ask(" ".join(question))
    if as_json:
        print_json({**asdict(answer), "unknown": answer.unknown}, ascii=True)
        return 0
    _say_answer(answer)
    if base is None and answer.unknown and not answer.refused:
        console().print("[dim]Documents are not learnt yet: groundup sentinel learn[/]")
    return 0


@sentinel_command.command("open", epilog="Example: groundup sentinel open 'sentinel.intelligence/T1566.md:0-500'")
@click.argument("citation", metavar="CITATION")
@store_option
@knowledge_option
@json_option
def open_command(citation: str, store: str, knowledge: str | None, as_json: bool) -> int:
    """Show the text behind a CITATION of an answer, with its surroundings."""
    from groundup.knowledge import default_location, open_knowledge, open_place

    parts = open_place(citation, open_knowledge(knowledge or default_location(store), reading=True))
    print_parts(citation, parts, as_json=as_json)
    return 0


@sentinel_command.command("train", epilog="Example: groundup sentinel train logs --normal ordinary.log")
@click.argument("detectors", nargs=-1, type=click.Choice(DETECTORS), metavar="[url|vision|logs|guard]…")
@click.option("--normal", metavar="FILE", help="Of logs: ordinary lines to learn from, in place of HDFS's.")
@click.option("--again", is_flag=True, help="Train even what was trained with these settings already.")
@models_option
@json_option
def train_command(detectors: tuple[str, ...], normal: str | None, again: bool, models: str, as_json: bool) -> int:
    """Train detectors, and measure each on data that it was not fitted to: all of them unless some are named.

    Ctrl-C loses nothing that was done: what is trained is kept, and so are the folds of a network. The same command
    goes on.
    """
    from groundup.systems.sentinel.training import train

    if normal is not None and detectors != ("logs",):
        raise UsageError(
            f"normal must go with the detector logs alone, got '{' '.join(detectors) or 'all'}'. For example: groundup "
            "sentinel train logs --normal FILE"
        )
    made = {}
    with progress(quiet=as_json) as bar:
        for name in detectors or DETECTORS:
            task = bar.add_task(f"Training {name}", total=None)
            made[name] = train(
                name, Path(models), again=again, normal=Path(normal) if normal else None,
                report=lambda what, done, total, task=task: bar.update(
                    task, description=shown(what), completed=done, total=total
                ),
            )  # fmt: skip
    if as_json:
        print_json(
            {name: {"data": learnt.data, "metrics": learnt.metrics} for name, learnt in made.items()}, ascii=True
        )
        return 0
    out = console()
    for name, learnt in made.items():
        out.print(
            f"[bold]{name}[/]  [dim]{shown('; '.join(each['name'] + ': ' + each['label'] for each in learnt.data))}[/]"
        )
        for what, value in learnt.metrics.items():
            out.print(f"  {shown(what)}: {shown(_figures(value))}")
    return 0


@sentinel_command.command("demo", epilog="Example: groundup sentinel demo --folder /tmp/sentinel-demo")
@click.option(
    "--folder", default="sentinel-demo", show_default=True, metavar="DIR", help="The folder of the demo. It is kept."
)
@click.option("--serve/--no-serve", "serving", default=True, help="Serve the API and the dashboard at the end.")
@port_option(PORT)
@json_option
def demo_command(folder: str, serving: bool, port: int, as_json: bool) -> int:
    """Show the sentinel on addresses, a page, a log with an intrusion, and questions, offline.

    It learns ordinary lines of a synthetic log, scans with the shipped detectors, asks for what is known, and serves
    the API and the dashboard. Nothing is blocked: that is yours to decide.
    """
    from groundup.systems.sentinel.demo import MODELS, STORE, demo
    from groundup.systems.sentinel.service import Settings, document
    from groundup.systems.sentinel.serving import need_packages, serve

    need_packages()
    out, cases = console(), []
    for step in demo(Path(folder)):
        if step.answer is not None:
            cases.append(document(step.answer))
        if as_json:
            continue
        out.print(f"\n[bold]{shown(step.title)}[/]  [dim]{step.seconds:.1f} s[/]\n[dim]$ {shown(step.command)}[/]")
        if step.answer is not None:
            _say_case(step.answer, brief=True)
        for line in step.found:
            out.print(f"  {shown(line)}")
    if as_json:
        print_json({"folder": folder, "cases": cases}, ascii=True)
    else:
        out.print(f"\nEverything is in {shown(folder)}. The commands above work there; `decide` and `undo` too.")
    if serving:
        places = Path(folder) / STORE, Path(folder) / MODELS
        serve_demo(serve, Settings(*places, **access("127.0.0.1"), model="embedded"), port)
    return 0


@sentinel_command.command("evaluate", epilog="Example: groundup sentinel evaluate --json")
@models_option
@json_option
def evaluate_command(models: str, as_json: bool) -> int:
    """Print the figures of the detectors, each beside a baseline that needs no model.

    The detectors' figures are those of their training, on data that they were not fitted to. `train --again` measures
    them anew.
    """
    from dataclasses import asdict

    from rich.table import Table

    from groundup.systems.sentinel.evaluate import evaluate

    rows = list(evaluate(Path(models)))
    if as_json:
        print_json({"rows": [asdict(row) for row in rows]}, ascii=True)
        return 0
    table = Table(title="The sentinel's figures", title_justify="left")
    for name in ("measured", "on", "ours", "baseline", "which"):
        table.add_column(name, justify="right" if name in ("ours", "baseline") else "left")
    for row in rows:
        baseline = "" if row.baseline is None else f"{row.baseline:.3g}"
        table.add_row(row.what, shown(row.on), f"{row.ours:.3g}", baseline, row.name)
    console().print(table)
    for label in dict.fromkeys(row.data for row in rows):
        console().print(f"[dim]{shown(label)}[/]")
    return 0


@sentinel_command.command("redteam", epilog="Example: groundup sentinel redteam --json")
@models_option
@rules_option
@click.option("--seed", default=0, show_default=True, help="Draws orders and pages.")
@json_option
def redteam_command(models: str, rules: str | None, seed: int, as_json: bool) -> int:
    """Attack the whole platform, and print what got through without its guards and with them."""
    from dataclasses import asdict

    from rich.table import Table

    from groundup.systems.sentinel.redteam import redteam

    with progress(quiet=as_json) as bar:
        task = bar.add_task("Attacking", total=None)
        attempts = list(
            redteam(_scanner(models, rules), seed=seed, report=lambda what: bar.update(task, description=shown(what)))
        )
    if as_json:
        print_json({"attempts": [asdict(attempt) for attempt in attempts]}, ascii=True)
        return 0
    table = Table(title="What got through", title_justify="left")
    for name in ("attack", "tried", "without guard", "with guard", "guard"):
        table.add_column(name, justify="left" if name in ("attack", "guard") else "right")
    for each in attempts:
        style = "yellow" if each.after else ""
        table.add_row(each.attack, f"{each.tried}", f"{each.before}", f"{each.after}", each.guard, style=style)
    console().print(table)
    return 0


@sentinel_command.command("serve", epilog="Example: groundup sentinel serve --port 8630")
@store_option
@models_option
@rules_option
@model_option
@knowledge_option
@serving_options(PORT)
def serve_command(
    store: str,
    models: str,
    rules: str | None,
    model: str | None,
    knowledge: str | None,
    host: str,
    port: int,
    page_port: int,
    page: bool,
) -> None:
    """Serve the API and the dashboard until Ctrl-C.

    With a secret in GROUNDUP_TOKEN, the API answers only requests that send it (`Authorization: Bearer …`).
    """
    from groundup.systems.sentinel.risk import RULES
    from groundup.systems.sentinel.service import Settings
    from groundup.systems.sentinel.serving import need_packages, serve

    need_packages()
    settings = Settings(
        Path(store), Path(models), Path(rules) if rules else RULES, **access(host),
        model=model or "", knowledge=knowledge or "",
    )  # fmt: skip
    serve_system(serve, settings, host=host, port=port, page_port=page_port if page else None)


def _serve_page(api: str, *, host: str, port: int) -> None:
    from groundup.systems.sentinel.serving import serve_page

    serve_page(api, host=host, port=port)


sentinel_command.add_command(page_command("sentinel", PORT, _serve_page))


# ── running and printing ────────────────────────────────────────────────────────────────────────────────────────────
def _scanner(models: str, rules: str | None) -> Scanner:
    from groundup.extras import need
    from groundup.systems.sentinel.risk import RULES
    from groundup.systems.sentinel.scanning import Scanner

    need("Scanning", "safetensors", "tld")
    return Scanner(Path(models), Path(rules) if rules else RULES)


def _scan(
    things: tuple[str, ...], store: str, models: str, rules: str | None, as_json: bool, *, log: bool = False
) -> int:
    from groundup.extras import need

    need("Scanning", "safetensors", "tld")
    from groundup.systems.sentinel.cases import open_cases
    from groundup.systems.sentinel.scanning import inputs, read_file
    from groundup.systems.sentinel.service import document

    given: dict[str, Any] = inputs(things) if not log else {}
    if log:
        given = {"log": read_file(Path(things[0])), "names": {"log": Path(things[0]).name}}
    finding = _scanner(models, rules).scan(**given)
    with open_cases(store) as cases:
        case = cases.add(finding)
    if as_json:
        print_json(document(case), ascii=True)
    else:
        _say_case(case)
    return 0


def _figures(value: Any) -> str:
    return ", ".join(f"{key} {each:,}" for key, each in value.items()) if isinstance(value, dict) else f"{value:,}"


def _say_line(case: Case) -> None:
    level = case.finding.level
    decided = f"  [bold]{DONE[case.standing.action]}[/]" if case.standing else ""
    console().print(
        f"[bold]{case.id}[/]  [dim]{case.at[:16].replace('T', ' ')}Z[/]  [{COLOURS[level]}]{level:<7}[/]  "
        f"{shown(' with '.join(case.finding.subjects.values()))}{decided}"
    )


def _say_case(case: Case, *, brief: bool = False) -> None:
    found, out = case.finding, console()
    score = "" if found.risk is None else f" {found.risk:.2f}"
    scores = ", ".join(
        f"{name} {'unknown' if value is None else f'{value:.2f}'}" for name, value in found.scores.items()
    )
    if not brief:
        _say_line(case)
    out.print(f"  Risk [{COLOURS[found.level]}]{found.level}{score}[/]  [dim]{scores}[/]")
    for fired in found.fired[: 1 if brief else None]:
        out.print(f"  [bold]{shown(fired['rule'])}[/]  [dim]{fired['strength']:.2f}[/]")
    for lines in found.evidence.values():
        for line in lines:
            out.print(f"  - {shown(line)}")
    for fact in found.intelligence[: 2 if brief else None]:
        _say_fact(fact["text"], fact["where"])
    for decision in case.decisions:
        undone = f", undone {decision.undone}" if decision.undone else ""
        out.print(f"  {DONE[decision.action]} by {shown(decision.by)}, {decision.at[:16]}Z{shown(undone)}")
    if found.proposed and not case.standing and not brief:
        out.print(f"  Proposed: {found.proposed}. To do it: groundup sentinel decide {case.id} {found.proposed}")


def _say_fact(text: str, where: str) -> None:
    console().print(f"  [cyan]·[/] {shown(text)}" + (f"  [dim]{shown(where)}[/]" if where else ""))


def _say_answer(answer: Answer) -> None:
    if answer.refused:
        console().print(f"[yellow]Refused.[/] {shown(answer.refused)}")
        return
    for fact in answer.facts:
        _say_fact(fact.text, fact.where)
    _say_left_out("Left out, as no document says so", answer.dropped)
    _say_left_out("Not read, because it gives orders to a model", answer.left_out)


def _say_left_out(why: str, texts: Iterable[str]) -> None:
    for text in texts:
        console().print(f"[yellow]{why}:[/] {shown(text)}")
