"""The page's client of the API, from another process, by the standard library alone."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from groundup.errors import GroundupError

PATIENCE = 130.0  # seconds
JSON = "application/json"


class Refused(GroundupError):
    """An error of the API, with its status; status 0 if the API does not answer."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Client:
    """A client of the API at an address, with a token if there is one.

    Args:
        address: the API's.
        token: the bearer token; empty for none.
        start: the command that starts the API, for whoever finds it does not answer.
        patience: seconds that it may be silent; more than it allows itself.
    """

    def __init__(self, address: str, token: str = "", *, start: str, patience: float = PATIENCE) -> None:
        self.address, self.token, self.start, self.patience = address.rstrip("/"), token, start, patience
        self._opener = build_opener(ProxyHandler({}))  # the API is near: no proxy of the environment stands between

    def get(self, path: str, **query: Any) -> Any:
        """GET a JSON document; parameters of None are left out."""
        return json.loads(self.text(path, **query))

    def text(self, path: str, **query: Any) -> str:
        """GET a text."""
        parameters = urlencode({key: value for key, value in query.items() if value is not None})
        return b"".join(self._send(f"{path}?{parameters}" if parameters else path, None, "")).decode()

    def put(self, path: str, **body: Any) -> Any:
        """PUT JSON in place of the present document."""
        return json.loads(b"".join(self._send(path, json.dumps(body).encode(), JSON, method="PUT")))

    def post(self, path: str, **body: Any) -> Any:
        """POST JSON."""
        return json.loads(b"".join(self.stream(path, **body)))

    def stream(self, path: str, **body: Any) -> Iterator[bytes]:
        """POST JSON; the lines of the response as they arrive."""
        return self._send(path, json.dumps(body).encode(), JSON)

    def upload(self, name: str, data: bytes) -> Any:
        """POST a file to `/ingest`."""
        mark = secrets.token_hex(16)
        quoted = name.replace("\\", "_").replace('"', "_").replace("\r", "_").replace("\n", "_")
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n\r\n'
        body = head.encode() + data + f"\r\n--{mark}--\r\n".encode()
        return json.loads(b"".join(self._send("/ingest", body, f"multipart/form-data; boundary={mark}")))

    def _send(self, path: str, body: bytes | None, kind: str, method: str | None = None) -> Iterator[bytes]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            headers["Content-Type"] = kind
        try:
            request = Request(self.address + path, body, headers, method=method)
            with self._opener.open(request, timeout=self.patience) as answer:
                yield from answer
        except HTTPError as error:
            with error:
                raise Refused(error.code, _message(error)) from error
        except (URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise Refused(
                0,
                f"The API must answer at {self.address}, and it does not: {reason}. Start it: {self.start}.",
            ) from error


def _message(error: HTTPError) -> str:
    try:
        return str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"The API answers {error.code}."
