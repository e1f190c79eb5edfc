"""Work behind a request: not waited for beyond its time, and its errors come through."""

from __future__ import annotations

import threading

import anyio
import pytest

from groundup.api.work import TooSlow, in_thread


def test_work_that_takes_too_long_is_not_waited_for() -> None:
    release = threading.Event()
    try:
        with pytest.raises(TooSlow, match=r"^0\.05 s$"):
            anyio.run(lambda: in_thread(lambda: release.wait(30), 0.05))
    finally:
        release.set()


def test_the_grace_is_not_what_is_said() -> None:
    release = threading.Event()
    try:
        with pytest.raises(TooSlow, match=r"^0\.01 s$"):
            anyio.run(lambda: in_thread(lambda: release.wait(30), 0.01, grace=0.05))
    finally:
        release.set()


def test_what_work_gives_or_raises_comes_through() -> None:
    assert anyio.run(lambda: in_thread(lambda: 7, 60)) == 7

    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        anyio.run(lambda: in_thread(fail, 60))
    with pytest.raises(TimeoutError, match="its own"):
        anyio.run(lambda: in_thread(_times_out, 60))


def _times_out() -> None:
    raise TimeoutError("its own")
