"""The form in which models read a source; the embedded answerer parses the same form."""

from __future__ import annotations

import re

LOG = "log of "  # how what is said of a log's line begins
EVIDENCE = "found with failures of "  # of a line that belongs to the cause of something
# What a runbook's section is called that says what to do.
TO_DO = re.compile(r"mitigat|resol|remed|recover|\bfix|\bsteps?\b|what to do|\baction", re.IGNORECASE)
