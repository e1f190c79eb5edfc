"""Server-sent events: what happened, to every open page, once and in order.

A page that lost its connection says which event it saw last (`Last-Event-ID`, or `?after=` from a page that came back
from the background) and gets those it missed; if they are not kept any more, or the site was started again since, it
gets `reset` and asks for the whole page.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from threading import Lock
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

RETRY_MS = 1000
HEARTBEAT_SECONDS = 15.0


@dataclass(frozen=True)
class Message:
    """One event as it goes to the pages."""

    number: int
    kind: str
    data: dict[str, Any]


class Channel:
    """A stream of events that any thread may publish to and any number of pages may follow.

    Args:
        keep: how many of the newest events late comers can still get; all of them where None.
    """

    def __init__(self, keep: int | None = None) -> None:
        self.boot = secrets.token_hex(4)
        self.closed = False
        self._messages: deque[Message] = deque(maxlen=keep)
        self._count = 0
        self._lock = Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def position(self) -> str:
        """The id of the newest event."""
        return f"{self.boot}-{self._count}"

    def publish(self, kind: str, **data: Any) -> None:
        """Send an event to every page that follows."""
        with self._lock:
            self._count += 1
            self._messages.append(Message(self._count, kind, data))
        self._wake()

    def close(self) -> None:
        """End every stream once what was published has been sent."""
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            waiting = list(self._waiting)
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    def response(self, request: Request) -> StreamingResponse:
        """The stream as an HTTP response, from where the page left off."""
        last = request.headers.get("last-event-id") or request.query_params.get("after", "")
        return StreamingResponse(
            self.stream(last), media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def stream(self, last: str = "") -> AsyncIterator[str]:
        """The text of the stream after the event with the id `last`."""
        seen, missed = self._position(last)
        yield f"retry: {RETRY_MS}\nid: {self.boot}-{seen}\nevent: {'reset' if missed else 'hello'}\ndata: {{}}\n\n"
        wake = asyncio.Event()
        waiter = (asyncio.get_running_loop(), wake)
        with self._lock:
            self._waiting.add(waiter)
        try:
            while True:
                wake.clear()
                closed = self.closed
                for message in self._after(seen):
                    seen = message.number
                    yield self._text(message)
                if closed:
                    return
                try:
                    await asyncio.wait_for(wake.wait(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            with self._lock:
                self._waiting.discard(waiter)

    def _position(self, last: str) -> tuple[int, bool]:
        """The number of the last event that the page has, and whether some are lost to it."""
        boot, _, number = last.partition("-")
        with self._lock:
            newest = self._count
            oldest = self._messages[0].number if self._messages else newest + 1
        if not last:
            return (newest if self._messages.maxlen is not None else 0), False
        if boot != self.boot or not number.isdigit() or not oldest - 1 <= int(number) <= newest:
            return newest, True
        return int(number), False

    def _after(self, seen: int) -> list[Message]:
        with self._lock:
            return [message for message in self._messages if message.number > seen]

    def _text(self, message: Message) -> str:
        data = json.dumps(message.data, ensure_ascii=False)
        return f"id: {self.boot}-{message.number}\nevent: {message.kind}\ndata: {data}\n\n"
