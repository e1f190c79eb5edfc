"""The sentinel's API and dashboard, served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from groundup.api import serving
from groundup.extras import need
from groundup.systems.sentinel.service import Settings

PAGE = Path(__file__).with_name("page.py")


def need_packages() -> None:
    """Raise MissingPackage where the API or the dashboard lacks a package."""
    need(
        "Sentinel", "fastapi", "prometheus_client", "streamlit", "chromadb", "langchain_core", "numba", "PIL",
        "safetensors", "tld", "torch",
    )  # fmt: skip


def serve(settings: Settings, *, host: str, port: int, page_port: int | None, say: Callable[[str], None]) -> None:
    """Serve the API and its dashboard until Ctrl-C; `groundup.api.serving.serve` explains the other arguments."""
    need_packages()

    def make() -> serving.ASGIApp:
        from groundup.systems.sentinel.api import create_app

        return create_app(settings)

    serving.serve(
        make, PAGE, token=settings.token, shows="the cases, and decide them", host=host, port=port, page_port=page_port,
        say=say,
    )  # fmt: skip


def serve_page(api: str, *, host: str, port: int) -> None:
    """Serve the dashboard alone, in place of this process."""
    need_packages()
    serving.serve_page(PAGE, api, host=host, port=port)
