"""The errors and the deadline of the work behind a request."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from groundup.errors import UnknownName, UsageError

CHECKED = 1_000  # items between two looks at the clock
T = TypeVar("T")


class TooSlow(Exception):
    """A request that passed its deadline."""


class NotReady(Exception):
    """The stored state conflicts with the request."""


class NotThere(Exception):
    """The requested thing is not stored."""


@contextmanager
def opening() -> Iterator[None]:
    """Where a citation is opened: one that is no place is `NotThere`; an unknown name keeps its nearest ones.

    Raises:
        NotThere: the place is none.
        UnknownName: there is no such source.
    """
    try:
        yield
    except UnknownName:
        raise
    except UsageError as error:
        raise NotThere(str(error)) from error


class TooLong(Exception):
    """A body beyond the limit, for example a file that unpacks to too much."""


class Deadline:
    """The moment at which a request times out."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """The remaining seconds."""
        return self.until - time.monotonic()

    def passed(self) -> bool:
        """Whether it has passed."""
        return self.left <= 0

    def check(self) -> None:
        """Raise TooSlow if it has passed."""
        if self.passed():
            raise TooSlow(f"{self.seconds:g} s")

    def each(self, items: Iterable[T]) -> Iterator[T]:
        """The items until the deadline. Raises TooSlow."""
        for number, item in enumerate(items):
            if number % CHECKED == 0:
                self.check()
            yield item


async def in_thread(work: Callable[[], T], seconds: float, *, grace: float = 0.0) -> T:
    """The result of work in a thread, waited for at most so many seconds and the grace.

    Raises:
        TooSlow: it takes longer.
    """
    import anyio
    from anyio import to_thread

    with anyio.move_on_after(seconds + grace):
        return await to_thread.run_sync(work, abandon_on_cancel=True)
    raise TooSlow(f"{seconds:g} s")  # and not what a TimeoutError of the work's own becomes


def within(events: Generator[T, None, None], deadline: Deadline) -> Iterator[T]:
    """The items of a slow stream until the deadline; a pending item is abandoned then.

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
