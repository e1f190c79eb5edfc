"""The pages: each module has one part of the site, and lists its routes."""

from __future__ import annotations

from groundup.site.pages import exercise, home, journal, progress, review, runs, search, tracks, unit

MODULES = (home, exercise, unit, runs, tracks, review, journal, progress, search)
ROUTES = [route for module in MODULES for route in module.ROUTES]
"""Method, path and handler of every route. A GET changes nothing; every change is a POST."""
