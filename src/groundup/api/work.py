"""What the work behind a request may raise, and until when it may run."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

CHECKED = 1_000  # items between two looks at the clock
T = TypeVar("T")


class TooSlow(Exception):
    """A request that took longer than it may."""


class NotReady(Exception):
    """What is stored does not allow what is asked for."""


class NotThere(Exception):
    """What is asked for is not stored."""


class TooLong(Exception):
    """More than may be sent: a file that unpacks to too much, for example."""


class Deadline:
    """The moment at which a request is given up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.until - time.monotonic()

    def passed(self) -> bool:
        """Whether it has passed."""
        return self.left <= 0

    def check(self) -> None:
        """Raise TooSlow where it has passed."""
        if self.passed():
            raise TooSlow(f"{self.seconds:g} s")

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """The items, as long as there is time."""
        for number, item in enumerate(items):
            if number % CHECKED == 0:
                self.check()
            yield item


async def in_thread(work: Callable[[], T], seconds: float, *, grace: float = 0.0) -> T:
    """What work comes to, done in a thread, which is not waited for beyond so many seconds and the grace.

    Raises:
        TooSlow: it takes longer.
    """
    import anyio
    from anyio import to_thread

    with anyio.move_on_after(seconds + grace):
        return await to_thread.run_sync(work, abandon_on_cancel=True)
    raise TooSlow(f"{seconds:g} s")  # and not what a TimeoutError of the work's own becomes


def within(events: Generator[T, None, None], deadline: Deadline) -> Iterator[T]:
    """What comes of a slow stream until the deadline; whatever it waits for then is not waited for.

    The stream is read in a thread, which ends at its next event, or with the process.
    """
    arrived: queue.Queue[tuple[T] | BaseException | None] = queue.Queue()
    left = threading.Event()

    def read() -> None:
        try:
            for event in events:
                if left.is_set():
                    return
                arrived.put((event,))
            arrived.put(None)
        except BaseException as error:
            arrived.put(error)
        finally:
            events.close()

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            try:
                event = arrived.get(timeout=max(0.0, deadline.left))
            except queue.Empty:
                raise TooSlow(f"{deadline.seconds:g} s") from None
            if event is None:
                return
            if isinstance(event, BaseException):
                raise event
            yield event[0]
    finally:
        left.set()
