"""What tests of the sentinel need: the shipped detectors, cases in a folder of the test, and small lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from groundup.systems.sentinel.cases import Cases, Finding, open_cases
from groundup.systems.sentinel.intelligence import Catalogue, Exploited, Technique
from groundup.systems.sentinel.scanning import Scanner


@pytest.fixture(scope="session")
def scanner() -> Scanner:
    """The shipped detectors with small lists: nothing is fetched."""
    made = Scanner(Path("no models here"))
    made.__dict__["catalogue"] = lists()
    return made


def lists() -> Catalogue:
    """A few techniques and a vulnerability, with what they are used with."""
    techniques = [
        Technique("T1190", "Exploit Public-Facing Application", "Weaknesses are used. So.", "access", "https://a/1"),
        Technique("T1566.002", "Spearphishing Link", "Mail with a link is sent.", "initial-access", "https://a/T1566"),
        Technique("T1583.001", "Domains", "Domains are acquired.", "resource-development", "https://a/T1583"),
    ]
    log4j = Exploited("CVE-2021-44228", "Log4Shell", "Log4j2", "Lookups run code.", "Update.", "2021-12-10", True)
    return Catalogue({each.id: each for each in techniques}, {log4j.cve: log4j}, {log4j.cve: ("T1190",)})


def finding(**changed: object) -> Finding:
    """A finding on a phishing URL."""
    given: dict[str, object] = {
        "subjects": {"url": "https://paypa1-login.top"}, "host": "paypa1-login.top", "hashes": {},
        "scores": {"vision": None, "url": 0.98, "logs": None}, "evidence": {"url": ["It imitates paypal."]},
        "risk": 0.8, "level": "high", "fired": [], "intelligence": [], "proposed": "block",
    }  # fmt: skip
    return Finding(**{**given, **changed})  # type: ignore[arg-type]


@pytest.fixture
def cases(tmp_path: Path) -> Iterator[Cases]:
    with open_cases(tmp_path / "sentinel.sqlite") as opened:
        yield opened
