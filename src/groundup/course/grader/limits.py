"""What one verdict may use: memory, CPU, file size; and how nothing of it survives.

A seat belt for one's own code, not a security sandbox: it holds mistakes and mischief of the simple kind. On Linux,
where the system allows it, the learner's process is the first one of a process namespace of its own, so that when it
ends the kernel ends everything it started. Elsewhere the descendants are looked up and killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT",
        "WINDIR", "COMSPEC", "PATHEXT")  # fmt: skip
# One thread each: verdicts repeat, several run at once, and a process with threads does not fork safely.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
              "VECLIB_MAXIMUM_THREADS")  # fmt: skip
CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def scrubbed_environment() -> dict[str, str]:
    """The environment of a worker: what programs need to run, and what makes verdicts repeat."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment.update(dict.fromkeys(ONE_THREAD, "1"))
    environment.update(PYTHONHASHSEED="0", PYTHONUTF8="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    return environment


def move_into(scratch: str) -> None:
    """Make `scratch` the working, home and temporary directory of this process."""
    import tempfile

    os.chdir(scratch)
    os.environ.update(dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP", "USERPROFILE"), scratch))
    tempfile.tempdir = scratch


def limit_resources(*, memory_mb: int, file_mb: int, cpu_seconds: float) -> None:
    """Limit this process and all it starts; does nothing where the system has no such limits.

    Args:
        memory_mb: address space beyond what is in use now (PyTorch maps gigabytes by being imported).
        file_mb: the largest file it may write.
        cpu_seconds: processor time of one process; the deadline on the clock is the supervisor's.
    """
    if sys.platform == "win32":
        return
    import resource

    in_use = _address_space()
    if in_use:
        _limit(resource.RLIMIT_AS, in_use + memory_mb * 2**20)
    _limit(resource.RLIMIT_FSIZE, file_mb * 2**20)
    _limit(resource.RLIMIT_CPU, int(cpu_seconds + resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 2)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(which: int, value: int) -> None:
    import resource

    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(which, (value, value))


def _address_space() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0  # not Linux; RLIMIT_AS is not reliable there


def isolate_children() -> bool:
    """Give the next process that this one forks a process namespace of its own; whether that was possible.

    Also makes this process inherit every orphan among its descendants, which is what there is otherwise.
    """
    if sys.platform != "linux":
        return False
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    flags = CLONE_NEWPID if os.geteuid() == 0 else CLONE_NEWPID | CLONE_NEWUSER
    return libc.unshare(flags) == 0


def die_with_parent() -> None:
    """Ask Linux to kill this process when the one that started it ends."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def descendants(pid: int) -> list[int]:
    """The processes below `pid`, nearest first."""
    found: list[int] = []
    queue = [pid]
    while queue:
        below = list(_children(queue.pop()))
        found += below
        queue += below
    return found


def _children(pid: int) -> Iterator[int]:
    if sys.platform == "linux":
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            return
        for thread in threads:
            with contextlib.suppress(OSError):
                yield from map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
        return
    import psutil

    with contextlib.suppress(psutil.Error):
        yield from (child.pid for child in psutil.Process(pid).children())


def resident_bytes(pids: list[int]) -> int:
    """The memory that these processes hold in RAM, pages shared between them counted once for each (Linux)."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") if pages else 0


def kill_tree(pid: int) -> None:
    """Kill `pid` and everything below it, again until nothing new appears."""
    for _ in range(200):
        tree = [pid, *descendants(pid)]
        for one in tree:
            # Stopped first, so that a fork bomb does not outrun its end.
            with contextlib.suppress(OSError):
                os.kill(one, signal.SIGSTOP if sys.platform != "win32" else signal.SIGTERM)
        if len(descendants(pid)) + 1 <= len(tree):
            break
    for one in reversed([pid, *descendants(pid)]):
        with contextlib.suppress(OSError):
            os.kill(one, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)


def reap_all() -> None:
    """Kill and collect every process below this one (orphans come here: see `isolate_children`)."""
    me = os.getpid()
    while True:
        for pid in descendants(me):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return
