"""The DevOps copilot: so far, from log files to the lines that hold the root cause.

    with open_logs("app.log.gz") as lines:
        for found in why(parse(lines)):
            print(found.number, found.text, found.reasons)

No language model, no cluster and no store: log files in, evidence out.
"""

from __future__ import annotations

from groundup.systems.copilot.evidence import Evidence, why
from groundup.systems.copilot.logs import Record, open_logs, parse
from groundup.systems.copilot.masking import mask
from groundup.systems.copilot.templates import Miner, Template

__all__ = ["Evidence", "Miner", "Record", "Template", "mask", "open_logs", "parse", "why"]
