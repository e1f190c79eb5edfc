"""The search over units."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from groundup.site.app import Site
from groundup.site.search import LONGEST


def search(site: Site, request: Request) -> Response:
    """The pages that hold the words."""
    query = request.query_params.get("q", "")[:LONGEST]
    return site.page(request, "search.html", query=query, hits=site.search.find(query))


ROUTES = [("GET", "/search", search)]
