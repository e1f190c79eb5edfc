"""`Scanner`: a URL, a screenshot and a log in, a finding out. It fetches nothing, and runs nothing that it reads.

scanner = Scanner(Path("sentinel.models"))
scanner.scan(url="https://paypa1-login.top", screenshot=Path("page.png").read_bytes())
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from groundup.errors import DataUnavailable, UsageError
from groundup.systems.sentinel.addresses import AddressDetector, parse
from groundup.systems.sentinel.cases import Finding, digest, propose, shown
from groundup.systems.sentinel.guard import PromptGuard
from groundup.systems.sentinel.intelligence import CVE, Catalogue, Fact, read_catalogue
from groundup.systems.sentinel.judgement import Judgement
from groundup.systems.sentinel.logs import LogReport, Profile, sessions
from groundup.systems.sentinel.risk import DETECTORS, RULES, assess, read_rules
from groundup.systems.sentinel.vision import ScreenDetector, open_screenshot

MOST_LOG = 50 << 20  # bytes
LONGEST_LINE = 2_000  # characters of a line that are read
NO_INPUT = Judgement(None, ())
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
LOG_SUFFIXES = (".log", ".txt", ".json", ".jsonl", ".csv", ".gz", ".zst", ".xz", ".bz2")


class Scanner:
    """The detectors, the rules and the lists. Each detector is read at its first use.

    Args:
        models: the folder of trained detectors; the included detectors replace missing ones.
        rules: the file of rules.

    Raises:
        ConfigError: the rules break a rule.
    """

    def __init__(self, models: Path, rules: Path = RULES) -> None:
        self.models, self.rules = models, read_rules(rules)

    @cached_property
    def addresses(self) -> AddressDetector:
        """The detector of URLs."""
        return AddressDetector.read(self.models)

    @cached_property
    def screens(self) -> ScreenDetector:
        """The detector of screenshots."""
        return ScreenDetector.read(self.models)

    @cached_property
    def profile(self) -> Profile:
        """The model of normal logs."""
        return Profile.read(self.models)

    @cached_property
    def guard(self) -> PromptGuard:
        """The guard before any model."""
        return PromptGuard.read(self.models)

    @cached_property
    def catalogue(self) -> Catalogue | None:
        """The lists of techniques and vulnerabilities; None where no source has them."""
        try:
            return read_catalogue()
        except DataUnavailable:
            return None

    def scan(
        self, *, url: str = "", screenshot: bytes | None = None, log: bytes | None = None, names: Mapping[str, str] = {}
    ) -> Finding:
        """The finding of the detectors, the rules and the lists on all inputs together.

        Args:
            url: an address, as text.
            screenshot: a picture file of the page behind it.
            log: a log file.
            names: the names of the screenshot and the log.

        Raises:
            UsageError: there is no input, or an input cannot be read.
        """
        if not url.strip() and screenshot is None and log is None:
            raise UsageError("scan must be given a url, a screenshot or a log, got none. For example: a URL.")
        judged: dict[str, Judgement] = dict.fromkeys(DETECTORS, NO_INPUT)
        subjects: dict[str, str] = {}
        host, hashes, orders = "", {}, False
        if url.strip():
            address = parse(url)
            host, subjects["url"] = address.host, shown(address.url)
            judged["url"] = self.addresses.judge(address)
        if screenshot is not None:
            subjects["screenshot"] = shown(names.get("screenshot", "screenshot"))
            hashes["screenshot"] = digest(screenshot)
            judged["vision"] = self.screens.judge(open_screenshot(screenshot))
        cves = ""
        if log is not None:
            subjects["log"] = shown(names.get("log", "log"))
            hashes["log"] = digest(log)
            report = self.read_log(log)
            orders = any(self.guard.flags(alarm.line) for alarm in report.alarms[:20])
            warning = ("A line reads like orders to a model. No model saw it.",) if orders else ()
            judged["logs"] = Judgement(report.judgement.score, (*warning, *report.judgement.evidence))
            cves = " ".join(sorted({match.upper() for match in CVE.findall(log.decode("utf-8", "replace"))})[:20])
        scores = {name: judgement.score for name, judgement in judged.items()}
        risk = assess(self.rules, scores)
        evidence = {name: [shown(text, 500) for text in judgement.evidence] for name, judgement in judged.items()}
        return Finding(
            subjects, host, hashes, scores, evidence, risk.score, risk.level, [asdict(fired) for fired in risk.fired],
            [asdict(fact) for fact in self.intelligence(judged, cves)], propose(risk.level, host),
        )  # fmt: skip

    def read_log(self, data: bytes) -> LogReport:
        """The report of the model of normal logs on a file.

        Raises:
            UsageError: the file is too large, or no text.
        """
        if len(data) > MOST_LOG:
            raise UsageError(f"log must have at most {MOST_LOG:,} bytes, got {len(data):,}. Send a part of it.")
        if b"\x00" in data[:100_000]:
            raise UsageError("log must be text, and it holds zero bytes. Unpack it first.")
        lines = (line[:LONGEST_LINE] for line in data.decode("utf-8", "replace").split("\n"))
        return self.profile.judge(sessions(lines))

    def intelligence(self, judged: Mapping[str, Judgement], cves: str) -> list[Fact]:
        """The lists' facts on the finding; without any, the fact that it is unknown."""
        if self.catalogue is None:
            return [Fact("", "Unknown: ATT&CK and CISA's list are not on this machine.", "")]
        alarming = [
            text for judgement in judged.values() if (judgement.score or 0) >= 0.5 for text in judgement.evidence
        ]
        if (judged["vision"].score or 0) >= 0.5 or (judged["url"].score or 0) >= 0.5:
            alarming.append("phishing page")
        facts = [*self.catalogue.lookup(cves), *self.catalogue.pointers(alarming)]
        return facts or [Fact("", "Unknown: nothing that was found points to a technique or a vulnerability.", "")]


def inputs(things: tuple[str, ...]) -> dict[str, Any]:
    """The inputs that the words of a command line name: files by their ending, every other word a URL.

    Raises:
        UsageError: two words are of one kind, or a named file is missing or cannot be read.
    """
    by_kind: dict[str, Any] = {}
    names: dict[str, str] = {}
    for thing in things:
        path = Path(thing)
        is_file = "://" not in thing and path.is_file()
        if not is_file and _reads_as_file(thing):
            raise UsageError(
                f"FILE must be an existing file, and '{thing}' is not one. Name another file; "
                "a host of that name needs its scheme, for example http://example.com."
            )
        kind = "url" if not is_file else "screenshot" if path.suffix.lower() in SUFFIXES else "log"
        if kind in by_kind:
            raise UsageError(
                f"A scan must have at most one {kind}, got '{thing}' as well. Scan them one after the other."
            )
        if is_file:
            names[kind] = path.name
            by_kind[kind] = read_file(path)
        else:
            by_kind[kind] = thing
    return {**by_kind, "names": names}


def _reads_as_file(thing: str) -> bool:
    """Whether a word without a scheme names a file: by its ending, or by a path's beginning."""
    if "://" in thing:
        return False
    ending = "/" not in thing and thing.lower().endswith((*SUFFIXES, *LOG_SUFFIXES))
    return ending or thing.startswith(("/", "./", "../", "~"))


def read_file(path: Path) -> bytes:
    """A file's bytes, at most one more than the largest log.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MOST_LOG + 1)
    except OSError as error:
        raise UsageError(f"FILE must be one that can be read, and '{path}' cannot be: {error.strerror}.") from error
