"""Cyber-Sentinel: URLs, screenshots and logs in; a risk with its rules and evidence out; a person decides.

    scanner = Scanner(Path("sentinel.models"))                  # the included detectors, unless the folder has others
    finding = scanner.scan(url="https://paypa1-login.top")      # nothing is fetched
    finding.level, finding.fired, finding.evidence, finding.proposed
    with open_cases("sentinel.sqlite") as cases:
        case = cases.add(finding)
        cases.decide(case.id, "block", by="ada")                # once Ada has confirmed it; `undo` takes it back

The detectors are units of `stack`: `production/fuzzy` infers the risk, `deep/convolution` sees, `classical` and
`production/guardrails` read. PyTorch (the extra `sentinel`) is imported when a screenshot is scanned, not before.
"""

from __future__ import annotations

from groundup.systems.sentinel.cases import Case, Finding, open_cases
from groundup.systems.sentinel.risk import Risk, assess, read_rules
from groundup.systems.sentinel.scanning import Scanner

__all__ = ["Case", "Finding", "Risk", "Scanner", "assess", "open_cases", "read_rules"]
