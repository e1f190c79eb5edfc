"""Files as documents, by their kind; a ValueError names the fault of an unreadable one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.errors import first_line
from groundup.knowledge.html import decoded, parse_html

if TYPE_CHECKING:
    from groundup.stack.retrieval.ingestion import Document
    from groundup.stack.retrieval.ingestion.ingestion import Value

PAGES = (".html", ".htm")
KINDS = (".md", ".markdown", ".txt", ".text", ".rst", ".pdf", *PAGES)


def read_document(file: Path, metadata: Mapping[str, Value]) -> Document:
    """A file of one of `KINDS`, or a rule in `.clinerules`, as a document.

    Raises:
        ValueError: it cannot be read as what it is, or has no text.
        OSError: it cannot be opened.
    """
    from groundup.stack.retrieval.ingestion import read

    if file.suffix.lower() in PAGES:
        return parse_html(file.as_posix(), decoded(file.read_bytes()), metadata)
    if file.suffix.lower() == ".pdf":  # its library logs each fault of a damaged file in a line of its own
        logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        return read(file, metadata=metadata)
    except (ValueError, OSError):
        raise
    except Exception as error:  # a damaged or encrypted PDF: pypdf raises much besides its own errors
        reason = first_line(error).rstrip(".")
        raise ValueError(f"{file} cannot be read ({reason}). Open it and save it again.") from error
