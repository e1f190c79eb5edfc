"""The API from another process, by the standard library alone: what the page asks with."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from groundup.errors import GroundupError

PATIENCE = 130.0  # seconds; the API gives up before


class Refused(GroundupError):
    """What the API says that is wrong; its status, or 0 where it does not answer."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Client:
    """An API at an address, asked with a token where there is one."""

    def __init__(self, address: str, token: str = "") -> None:
        self.address, self.token = address.rstrip("/"), token
        self._opener = build_opener(ProxyHandler({}))  # the API is near: no proxy of the environment stands between

    def get(self, path: str, **query: Any) -> Any:
        """Ask for something; what is None is left out."""
        given = urlencode({key: value for key, value in query.items() if value is not None})
        return json.loads(b"".join(self._send(f"{path}?{given}" if given else path, None, "")))

    def post(self, path: str, **body: Any) -> Any:
        """Send JSON."""
        return json.loads(b"".join(self.stream(path, **body)))

    def stream(self, path: str, **body: Any) -> Iterator[bytes]:
        """Send JSON; the lines of the answer as they come."""
        return self._send(path, json.dumps(body).encode(), "application/json")

    def upload(self, name: str, data: bytes) -> Any:
        """Send a log file."""
        mark = secrets.token_hex(16)
        quoted = name.replace("\\", "_").replace('"', "_").replace("\r", "_").replace("\n", "_")
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n\r\n'
        body = head.encode() + data + f"\r\n--{mark}--\r\n".encode()
        return json.loads(b"".join(self._send("/ingest", body, f"multipart/form-data; boundary={mark}")))

    def _send(self, path: str, body: bytes | None, kind: str) -> Iterator[bytes]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            headers["Content-Type"] = kind
        try:
            with self._opener.open(Request(self.address + path, body, headers), timeout=PATIENCE) as answer:
                yield from answer
        except HTTPError as error:
            with error:
                raise Refused(error.code, _message(error)) from error
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise Refused(
                0,
                f"The API must answer at {self.address}, and it does not: {reason}. Start it: groundup copilot serve.",
            ) from error


def _message(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"The API answers {error.code}."
