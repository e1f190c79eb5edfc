"""What models are told of a source, in the words that the embedded answerer knows as well."""

from __future__ import annotations

import re

LOG = "log of "  # how what is said of a log's line begins
EVIDENCE = "found with failures of "  # of a line that belongs to the cause of something
# What a runbook's section is called that says what to do.
TO_DO = re.compile(r"mitigat|resol|remed|recover|\bfix|\bsteps?\b|what to do|\baction", re.IGNORECASE)
