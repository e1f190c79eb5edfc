"""Print docs/data.md: every dataset by name, from the registry. `python -m groundup.data > docs/data.md`."""

from __future__ import annotations

from groundup.data.registry import REGISTRY, Entry

HEAD = """\
# Data

`groundup.data.load(NAME)` fetches a dataset once, verifies its checksum and keeps it in the cache. If no source has the
file, `load` generates the stand-in, and every result computed from a stand-in is labelled.

| variable | effect |
|---|---|
| `GROUNDUP_CACHE=FOLDER` | keeps downloads in FOLDER |
| `GROUNDUP_DATA_MIRROR=FOLDER` | reads files from FOLDER, which is laid out as the cache |
| `GROUNDUP_OFFLINE=1` | forbids fetching |

The error for an unknown column names the nearest columns. `python -m groundup.data` prints this page.

| name | contents | kB | licence | stand-in | source |
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
