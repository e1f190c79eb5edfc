"""The local web site: server-rendered pages, a few small ES modules, and no request to any other machine.

Starlette alone, not FastAPI: importing FastAPI costs half a second, and the first page of a fresh `groundup` must be
there within one second of the command's start. For the same reason whatever is not needed for the map (Markdown,
Pygments, MathML, SQLAlchemy, the grader) is imported when first used, and learner code or units' code never.
"""

from __future__ import annotations

from groundup.site.app import create_app
from groundup.site.serve import serve

__all__ = ["create_app", "serve"]
