"""The pages: each module answers for one part of the site, and lists its routes."""

from __future__ import annotations

from groundup.site.pages import exercise, home, unit

ROUTES = [*home.ROUTES, *unit.ROUTES, *exercise.ROUTES]
"""Method, path and answer of every route. A GET changes nothing; whatever changes something is a POST."""
