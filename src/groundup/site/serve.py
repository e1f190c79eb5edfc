"""Running the site: the port, the browser, and an end that is quick and clean."""

from __future__ import annotations

import socket
import sys
import threading
import time
import webbrowser
from types import FrameType
from urllib.request import urlopen

import uvicorn

from groundup.course.course import Course
from groundup.course.learner.workspace import Workspace
from groundup.listening import LOOPBACK, bind, url
from groundup.site.app import Site, create_app


class Server(uvicorn.Server):
    """A server that ends its event streams first, so that Ctrl-C does not wait for open pages."""

    def __init__(self, config: uvicorn.Config, site: Site) -> None:
        super().__init__(config)
        self.site = site

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop: let go of every open page, then let uvicorn finish what it is answering."""
        self.site.end_streams()
        super().handle_exit(sig, frame)


def serve(workspace: Workspace, host: str = "127.0.0.1", port: int = 4400, open_browser: bool = True) -> None:
    """Serve the site of a workspace until Ctrl-C.

    Args:
        workspace: the learner's folder.
        host: the address to listen on; whoever can reach it can run code here, so loopback unless you know why.
        port: the port, or the next free one if it is taken; 0 for any.
        open_browser: whether to open the site in a browser, if there is one.

    Raises:
        UsageError: the address is not one of this machine, or no port is free.
    """
    listening = bind(host, port)
    real = listening.getsockname()[1]
    address = url(host, real)
    if port not in (0, real):
        print(f"Port {port} is taken (by another groundup, perhaps): using {real}.")
    if host not in LOOPBACK:
        print(f"Listening on {host}: whoever can reach this address can run code as you.", file=sys.stderr)
    print(f"groundup is at {address}  (workspace {workspace.root}; Ctrl-C ends it)", flush=True)
    with Course(workspace) as course:
        app = create_app(course, hosts=() if host in LOOPBACK else (host, socket.gethostname()))
        config = uvicorn.Config(
            app,
            http="h11",
            loop="asyncio",
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        if open_browser:
            threading.Thread(target=_open, args=(address,), daemon=True).start()
        try:
            Server(config, app.state.site).run(sockets=[listening])
        except KeyboardInterrupt:  # uvicorn raises it again once it has stopped
            pass
    print("groundup has stopped. Your files and the ledger are as you left them.")


def _open(address: str) -> None:
    """Open the browser once the site answers."""
    for _ in range(100):
        try:
            with urlopen(f"{address}/static/theme.js", timeout=1):
                break
        except OSError:
            time.sleep(0.05)
    try:
        webbrowser.open(address)
    except webbrowser.Error:
        return
