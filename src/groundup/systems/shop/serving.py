"""The shop's API and page, served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from groundup.api import serving
from groundup.extras import need
from groundup.systems.shop.service import Settings

PAGE = Path(__file__).with_name("page.py")


def need_packages() -> None:
    """Raise MissingPackage where the agent lacks a package."""
    need("The shop", "chromadb", "langchain_core", "numba", "onnxruntime", "Stemmer", "streamlit")


def serve(settings: Settings, *, host: str, port: int, page_port: int | None, say: Callable[[str], None]) -> None:
    """Serve the API and its page until Ctrl-C; `groundup.api.serving.serve` explains the other arguments."""
    need("Serving the shop", "fastapi", "prometheus_client", "streamlit", "langchain_core", "chromadb")

    def make() -> serving.ASGIApp:
        from groundup.systems.shop.api import create_app

        return create_app(settings)

    serving.serve(
        make, PAGE, token=settings.token, shows="and change the orders", host=host, port=port, page_port=page_port,
        say=say,
    )  # fmt: skip


def serve_page(api: str, *, host: str, port: int) -> None:
    """Serve the page alone, in place of this process."""
    need("The shop's page", "streamlit")
    serving.serve_page(PAGE, api, host=host, port=port)
