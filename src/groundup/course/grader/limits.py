"""The limits of one verdict: memory, CPU, file size; and the end of all its processes.

A seat belt for your own code, not a security sandbox: it stops mistakes and simple mischief. On Linux,
where the system allows it, the learner's process is the first one of a process namespace of its own, so that when it
ends the kernel ends everything it started. Elsewhere the descendants are looked up and killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT",
        "WINDIR", "COMSPEC", "PATHEXT")  # fmt: skip
# One thread each: verdicts repeat, several run at once, and a process with threads does not fork safely.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
              "VECLIB_MAXIMUM_THREADS")  # fmt: skip
RESERVE_MB, ROOM_MB = 128, 32
# Where files lie in memory (Linux), and the room that it must have to be used.
IN_MEMORY, ROOM_FOR_FILES_MB = "/dev/shm", 1024
FOLDER = "groundup-"  # how the name of a run's folder begins
CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def scrubbed_environment(*, compiled: bool = False) -> dict[str, str]:
    """The environment of a worker: what programs need to run, and what makes verdicts repeat.

    Args:
        compiled: whether Numba compiles what it is asked to.
    """
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment.update(dict.fromkeys(ONE_THREAD, "1"))
    environment.update(PYTHONHASHSEED="0", PYTHONUTF8="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    # Checks run kernels of Numba as the Python that they are: compiling takes longer than a verdict may.
    environment.update(NUMBA_DISABLE_JIT="0" if compiled else "1")
    return environment


def move_into(scratch: str) -> None:
    """Make `scratch` the working, home and temporary directory of this process."""
    import tempfile

    os.chdir(scratch)
    os.environ.update(dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP", "USERPROFILE", "NUMBA_CACHE_DIR"), scratch))
    tempfile.tempdir = scratch


def folder_in_memory() -> str | None:
    """A folder whose files lie in memory, with room for those of a run; None where there is none or `TMPDIR` is set.

    Checks make and remove many small files. On a disk that can take longer than everything else in a verdict.
    """
    if "TMPDIR" in os.environ or not os.access(IN_MEMORY, os.W_OK | os.X_OK):
        return None
    return os.path.realpath(IN_MEMORY) if free_bytes(IN_MEMORY) >= ROOM_FOR_FILES_MB * 2**20 else None


def free_bytes(folder: str) -> int:
    """The room that a folder's file system has; 0 where the folder is gone."""
    with contextlib.suppress(OSError):
        system = os.statvfs(folder)
        return system.f_bavail * system.f_frsize
    return 0


def bytes_below(folder: str) -> int:
    """What the files in a folder and below it hold."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
    return total


def limit_resources(*, memory_mb: int, file_mb: int, cpu_seconds: float) -> None:
    """Limit this process and all it starts; does nothing where the system has no such limits (Windows).

    Args:
        memory_mb: address space beyond what is in use now (PyTorch maps gigabytes by being imported).
        file_mb: the largest file it may write.
        cpu_seconds: processor time of one process; the deadline on the clock is the supervisor's.
    """
    try:
        import resource
    except ImportError:
        return
    in_use = _address_space()
    if in_use:
        global _most_memory
        _most_memory = in_use + memory_mb * 2**20
        _limit(resource.RLIMIT_AS, _most_memory, _most_memory + RESERVE_MB * 2**20)
    _limit(resource.RLIMIT_FSIZE, file_mb * 2**20)
    _limit(resource.RLIMIT_CPU, int(cpu_seconds + resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 2)
    _limit(resource.RLIMIT_CORE, 0)


def _limit(which: int, soft: int, hard: int | None = None) -> None:
    import resource

    _, most = resource.getrlimit(which)
    values = [value if most == resource.RLIM_INFINITY else min(value, most) for value in (soft, hard or soft)]
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(which, (values[0], values[1]))


_most_memory = 0


def release_reserve() -> None:
    """Allow the memory that was kept back, so that what went wrong for lack of it can be reported."""
    if _most_memory:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def keep_reserve() -> None:
    """Keep it back again."""
    if _most_memory:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_most_memory, hard))


def has_room() -> bool:
    """Whether there is enough memory to go on; that takes milliseconds to find out."""
    try:
        bytearray(ROOM_MB * 2**20)
    except MemoryError:
        return False
    return True


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


def descendants(pid: int, most: int = 10_000) -> list[int]:
    """The processes below `pid`, nearest first; no more than about `most`, because a fork bomb has no end."""
    found: list[int] = []
    queue = [pid]
    while queue and len(found) <= most:
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


def is_running(pid: int) -> bool:
    """Whether a process has not ended, collected or not."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def resident_bytes(pid: int) -> int:
    """The memory that a process holds in RAM, shared or not (Linux)."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def wait(pid: int, seconds: float) -> int | None:
    """The status with which a child ends, or None if it does not within this time."""
    end = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() > end:
            return None
        time.sleep(0.002)


def kill_tree(pid: int) -> None:
    """Kill a process that leads a session, and everything below it."""
    # At once: with it goes its process namespace, where it has one; with its group, all that is not a daemon.
    for kill in (os.kill, os.killpg):
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)
    for _ in range(200):
        tree = descendants(pid)
        for child in tree:
            # Stopped first, so that forking daemons do not outrun their end.
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGSTOP)
        if len(descendants(pid)) <= len(tree):
            break
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)


def reap_all() -> None:
    """Kill and collect every process below this one (orphans come here: see `isolate_children`)."""
    me = os.getpid()
    while True:
        for pid in descendants(me):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
