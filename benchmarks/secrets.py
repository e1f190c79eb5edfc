"""How many secrets in log lines are hidden, and how many harmless lines stay, beside detect-secrets on the same lines.

The lines are those of `secret_lines`, and real ones: loghub's 2k sets and the incident logs, as far as they are in the
folder of `GROUNDUP_DATA_MIRROR`; no secret is in these. detect-secrets runs as its command does, with all its rules and
filters, on a file with a line each; a secret that it finds counts as hidden where taking out its findings takes the
secret out. It is made for source code: in most files it looks for values in quotes only, so it is run on a file of
settings as well, where it does without.
"""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.measure import Figure, side_by_side
from benchmarks.secret_lines import HARMLESS, LEAKS, OF_KNOWN_FORM, USUAL
from groundup.secrets import hide_all
from groundup.systems.copilot.reading.logs import open_logs

PEER, AS_CONFIG = "detect-secrets, all rules", "the same, on a file of settings (.ini)"
FEW = 2_000  # lines on which the speed is measured
Hide = Callable[[Sequence[str]], list[str]]


def run() -> Iterator[Figure]:
    """The shares of secrets hidden and of lines left alone, then the speed."""
    for name, lines in (("logs, commands and settings", LEAKS), ("tokens of a known form", OF_KNOWN_FORM)):
        what = f"secrets hidden, of {len(lines)} in {name}"
        yield Figure(what, hidden(lines, hide_all), "share", 1.0, hidden(lines, by_peer), PEER)
        yield Figure(what, hidden(lines, hide_all), "share", 1.0, hidden(lines, as_config), AS_CONFIG)
    harmless = USUAL + HARMLESS
    what = f"lines left alone, of {len(harmless)} that only look like a secret"
    yield Figure(what, kept(harmless, hide_all), "share", 1.0, kept(harmless, by_peer), PEER)
    yield Figure(what, kept(harmless, hide_all), "share", 1.0, kept(harmless, as_config), AS_CONFIG)
    real = list(real_lines())
    if not real:
        return
    yield Figure(
        f"lines left alone, of {len(real):,} real ones without a secret", kept(real, hide_all), "share", None,
        kept(real, by_peer), PEER,
    )  # fmt: skip
    few = real[:: len(real) // FEW][:FEW]
    ours, theirs = side_by_side(lambda: hide_all(few), lambda: by_peer(few), repeats=3)
    yield Figure(f"hiding the secrets of {len(few):,} lines", len(few) / ours, "lines/s", None, len(few) / theirs, PEER)


def hidden(lines: Sequence[tuple[str, str]], hide: Hide) -> float:
    """The share of lines of whose secret nothing survives."""
    after = hide([line for line, _ in lines])
    return sum(secret not in line for line, (_, secret) in zip(after, lines, strict=True)) / len(lines)


def kept(lines: Sequence[str], hide: Hide) -> float:
    """The share of lines that stay as they are."""
    return sum(before == after for before, after in zip(lines, hide(lines), strict=True)) / len(lines)


def as_config(lines: Sequence[str]) -> list[str]:
    """As `by_peer`; values need no quotes in such a file."""
    return by_peer(lines, "lines.ini")


def by_peer(lines: Sequence[str], name: str = "lines.log") -> list[str]:
    """Lines without what detect-secrets finds in them."""
    from detect_secrets.core.secrets_collection import SecretsCollection
    from detect_secrets.settings import default_settings

    with tempfile.TemporaryDirectory() as folder, default_settings():
        file = Path(folder, name)
        file.write_text("\n".join(lines), encoding="utf-8", errors="replace")
        secrets = SecretsCollection()
        secrets.scan_file(str(file))
        values: dict[int, list[str]] = defaultdict(list)
        for _, secret in secrets:
            values[secret.line_number].append(secret.secret_value or "")
    after = list(lines)
    for number, parts in values.items():
        for part in sorted(filter(None, parts), key=len, reverse=True):
            after[number - 1] = after[number - 1].replace(part, "***")
    return after


def real_lines() -> Iterator[str]:
    """Each line of the logs that are here, once."""
    mirror = Path(os.environ.get("GROUNDUP_DATA_MIRROR", "/nowhere"))
    files = [*mirror.glob("logs/loghub_2k/*/*_2k.log"), *mirror.glob("incidents/*.gz")]
    lines: dict[str, None] = {}
    for path in sorted(files):
        with open_logs(path) as opened:
            lines.update(dict.fromkeys(list(opened)[:2000]))
    yield from lines
