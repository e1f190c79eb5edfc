"""Running an API and its page: ports, the page's process, and an end that stops both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from starlette.types import ASGIApp

from groundup.errors import CannotServe, UsageError
from groundup.listening import LOOPBACK, bind, url

PATIENCE = 60.0  # seconds that the page may take to start


def serve(
    make: Callable[[], ASGIApp],
    script: Path,
    *,
    token: str,
    shows: str,
    host: str,
    port: int,
    page_port: int | None,
    say: Callable[[str], None],
) -> None:
    """Serve an API, and beside it on loopback its page, until Ctrl-C.

    Args:
        make: makes the application, once the address is found good.
        script: the page's, for Streamlit.
        token: the bearer token of the API; empty for none.
        shows: the contents that everyone with access could read: "the logs".
        host: the address that the API listens on.
        port: its port, or the next free one if it is taken; 0 for any.
        page_port: the page's, the same; None for no page.
        say: called with each line for the person at the terminal.
    """
    import uvicorn

    if host not in LOOPBACK and not token:
        raise UsageError(
            f"host must be loopback without a token, got '{host}': everyone who reaches it could read {shows}. "
            "Set GROUNDUP_TOKEN to a secret, or leave --host out."
        )
    listening = bind(host, port)
    address = url(host, listening.getsockname()[1])
    app = make()
    with page(script, address, token, page_port) as page_address:
        say(f"API   {address}   (described by {address}/openapi.json)")
        if page_address:
            say(f"Page  {page_address}")
        say("Ctrl-C ends both." if page_address else "Ctrl-C ends it.")
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=5
        )
        with _ended_by_sigterm(), suppress(KeyboardInterrupt):  # which uvicorn raises again once it has stopped
            uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Make SIGTERM end the block as Ctrl-C does, so that it stops the page's process, too."""

    def handle(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def page(script: Path, api: str, token: str, port: int | None) -> Iterator[str | None]:
    """The page on loopback in its own process, which ends with the block; None for no port."""
    if port is None:
        yield None
        return
    with bind("127.0.0.1", port) as free:
        number = free.getsockname()[1]
    process = subprocess.Popen(
        page_command(script, "127.0.0.1", number), env=page_environment(api, token), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    address = url("127.0.0.1", number)
    try:
        _wait(process, address)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def page_command(script: Path, host: str, port: int) -> list[str]:
    """The command that starts the page: no statistics, no browser, no watched files."""
    options = {
        "server.address": host,
        "server.port": str(port),
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": "256",
        "browser.gatherUsageStats": "false",
        "browser.serverAddress": "localhost" if host in LOOPBACK else host,
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "logger.level": "warning",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(script), *flags]


def page_environment(api: str, token: str) -> dict[str, str]:
    """The page's environment; without a token, the page asks people for it."""
    environment = {**os.environ, "GROUNDUP_API": api, "GROUNDUP_TOKEN": token}
    if not token:
        del environment["GROUNDUP_TOKEN"]
    return environment


def serve_page(script: Path, api: str, *, host: str, port: int) -> None:
    """Serve the page alone, in place of this process. Beyond loopback the page asks people for the API's token."""
    token = os.environ.get("GROUNDUP_TOKEN", "") if host in LOOPBACK else ""
    command = page_command(script, host, port)
    os.execve(command[0], command, page_environment(api, token))


def _wait(process: subprocess.Popen[bytes], address: str) -> None:
    """Return once the page answers."""
    opener, deadline = build_opener(ProxyHandler({})), time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise CannotServe(f"The page must start, and Streamlit ended with code {process.returncode} (see above).")
        try:
            with opener.open(f"{address}/_stcore/health", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise CannotServe(f"The page must start within {PATIENCE:g} s, and it did not. Try again, or use --no-page.")
