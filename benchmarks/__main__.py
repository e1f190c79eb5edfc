"""`uv run python -m benchmarks [NAME …]`: one table, and the figures as JSON beside it.

Exit code 1 where a promised bar is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Figure, machine

NAMES = (
    "install", "startup", "verdicts", "diagnoses", "pages", "units", "templates", "evidence", "ingest", "secrets",
    "embedding", "rounding", "vector_search", "ranking", "chance", "chunking", "runbooks", "answerer", "classifier",
    "classical", "llm", "suite",
)  # fmt: skip
SMALL = ("classical", "llm", "suite")  # that have a small size, too
SMOKE = f"{', '.join(SMALL[:-1])} and {SMALL[-1]}"


def main() -> int:
    """Measure what was asked for, print the table, write the JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, epilog="Example: python -m benchmarks pages"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; all unless given")
    parser.add_argument("--json", type=Path, default=Path(".benchmarks/latest.json"), help="default: %(default)s")
    parser.add_argument("--smoke", action="store_true", help=f"a small size, to try it: of {SMOKE} only")
    given = parser.parse_args()
    for wrong in set(given.names) - set(NAMES):
        parser.error(f"There is no benchmark '{wrong}'. There are {', '.join(NAMES)}.")
    if given.smoke and (not given.names or set(given.names) - set(SMALL)):
        parser.error(f"--smoke is a size of the benchmarks {SMOKE}: python -m benchmarks classical --smoke")
    before, found, empty = machine(), [], []
    with Console(stderr=True).status("") as status:
        for name in given.names or NAMES:
            status.update(f"Measuring {name}")
            count = len(found)
            options = {"smoke": True} if given.smoke else {}
            for figure in import_module(f"benchmarks.{name}").run(**options):
                found.append(figure)
                status.update(f"Measuring {name}: {figure.what}")
            if len(found) == count:
                empty.append(name)
    console = Console()
    console.width = max(console.width, 0 if console.is_terminal else 180)  # a file has no edge
    console.print(table(found))
    print(f"On {before['processor']}, {before['cores']} cores.")
    for name in empty:
        print(f"Nothing was measured for {name}: its data is not in the folder that GROUNDUP_DATA_MIRROR names.")
    given.json.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": before, "figures": [document_of(figure) for figure in found]}
    given.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"As JSON: {given.json}")
    return 1 if any(figure.met is False for figure in found) else 0


def table(figures: list[Figure]) -> Table:
    """The figures, each beside its bar and its peer."""
    made = Table(box=None, padding=(0, 2), title_justify="left")
    for heading in ("what", "figure", "bar", "", "peer", "ours better by", "peer is"):
        made.add_column(heading, justify="left" if heading in ("what", "peer is", "") else "right")
    for figure in figures:
        sign = {None: "", True: "[green]met[/]", False: "[red]MISSED[/]"}[figure.met]
        made.add_row(
            figure.what, shown(figure.value, figure.unit), shown(figure.bar, figure.unit), sign,
            shown(figure.peer, figure.unit), "" if figure.ratio is None else f"{figure.ratio:.2f} ×", figure.peer_is,
        )  # fmt: skip
    return made


def shown(value: float | None, unit: str) -> str:
    """A value with its unit."""
    if value is None:
        return ""
    return f"{value:,.0f} {unit}" if value >= 1000 else f"{value:.3g} {unit}"


def document_of(figure: Figure) -> dict[str, object]:
    """A figure as plain data."""
    return {**dataclasses.asdict(figure), "met": figure.met, "peer_over_figure": figure.ratio}


if __name__ == "__main__":
    sys.exit(main())
