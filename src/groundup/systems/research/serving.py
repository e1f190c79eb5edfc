"""The research assistant's API and page, served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from groundup.api import serving
from groundup.extras import need
from groundup.systems.research import runs
from groundup.systems.research.service import Settings

PAGE = Path(__file__).with_name("page.py")


def need_packages() -> None:
    """Raise MissingPackage where the API or the page lacks a package."""
    runs.need_packages()
    need("Serving", "fastapi", "prometheus_client", "streamlit")


def serve(settings: Settings, *, host: str, port: int, page_port: int | None, say: Callable[[str], None]) -> None:
    """Serve the API and its page until Ctrl-C; `groundup.api.serving.serve` explains the other arguments."""
    need_packages()

    def make() -> serving.ASGIApp:
        from groundup.systems.research.api import create_app

        return create_app(settings)

    serving.serve(
        make, PAGE, token=settings.token, shows="the reports", host=host, port=port, page_port=page_port, say=say
    )


def serve_page(api: str, *, host: str, port: int) -> None:
    """Serve the page alone, in place of this process."""
    need_packages()
    serving.serve_page(PAGE, api, host=host, port=port)
