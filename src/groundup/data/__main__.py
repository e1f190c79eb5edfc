"""Print docs/data.md: every dataset by name, from the registry. `python -m groundup.data > docs/data.md`."""

from __future__ import annotations

from groundup.data.registry import REGISTRY, Entry

HEAD = """\
# Data

`groundup.data.load(NAME)` fetches a dataset once, holds it against its checksum and keeps it in the cache. Where it can
be had from nowhere, `load` generates the stand-in, and every result made of it says so. `GROUNDUP_DATA_MIRROR=FOLDER`
names a folder that holds the files already; `GROUNDUP_OFFLINE=1` forbids fetching. A column that a dataset lacks is
refused with the names of those it has. `python -m groundup.data` prints this page.

| name | what it is | kB | licence | stand-in | source |
|---|---|--:|---|---|---|
"""


def page() -> str:
    """The page, in Markdown."""
    return HEAD + "".join(f"| {' | '.join(_row(entry))} |\n" for entry in REGISTRY.values())


def _row(entry: Entry) -> list[str]:
    size = "" if entry.synthetic else f"{max(1, round(entry.size / 1000)):,}"
    cells = [f"`{entry.name}`", entry.what, size, entry.licence, entry.stand_in, entry.citation]
    return [" ".join(cell.replace("|", "\\|").split()) for cell in cells]


if __name__ == "__main__":
    print(page(), end="")
