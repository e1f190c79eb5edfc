"""A port to listen on, for the site and the systems."""

from __future__ import annotations

import errno
import socket
import sys

from groundup.errors import UsageError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PORTS_TRIED = 50


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on the port or the next free one; on any port for 0.

    Raises:
        UsageError: the address is not one of this machine, or no port is free.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise UsageError(
            f"host must be an address of this machine, got '{host}' ({error.strerror}). For example: 127.0.0.1"
        ) from error
    last = min(port + PORTS_TRIED, 65536) if port else 1
    for candidate in range(port, last):
        listening = socket.socket(family, socket.SOCK_STREAM)
        if sys.platform != "win32":
            # Only for connections of an earlier run that are still closing: two servers cannot share it.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address[0], candidate, *address[2:]))
            listening.listen(128)
            return listening
        except OSError as error:
            listening.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise UsageError(
                    f"host and port must be free to listen on, and {host}:{candidate} is not: {error.strerror}. "
                    "Name an address of this machine with --host."
                ) from error
    raise UsageError(f"port must be free, and none from {port} to {last - 1} is. Name another one with --port.")


def url(host: str, port: int) -> str:
    """The address that a person opens."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", *LOOPBACK) else host
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
