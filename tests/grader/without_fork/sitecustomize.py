"""Takes away from this Python what Windows does not have, before anything else is imported.

Python imports a module of this name when it starts, from wherever it is on PYTHONPATH, in the workers as well.
"""

import asyncio  # noqa: F401  it asks for some of this where it is not on Windows
import os
import select
import signal
import socket
import subprocess
import sys
import types

import psutil
import psutil._common
import psutil._pslinux
import psutil._psposix

ABSENT = {
    os: """fork forkpty register_at_fork killpg getpgid setpgid setsid wait wait3 wait4 WNOHANG sysconf mkfifo chown
    posix_spawn posix_spawnp pidfd_open""",
    signal: """SIGKILL SIGSTOP SIGCONT SIGUSR1 SIGUSR2 SIGALRM SIGPROF SIGVTALRM SIGCHLD SIGPIPE SIGHUP setitimer
    getitimer ITIMER_REAL ITIMER_PROF ITIMER_VIRTUAL alarm pause pthread_sigmask pthread_kill sigwait""",
    socket: "AF_UNIX send_fds recv_fds",
    select: "poll epoll",
}
MODULES = "fcntl resource termios pty tty syslog grp".split()


class Popen(subprocess.Popen):
    """As on Windows: no descriptors but the standard ones are handed on, and nothing runs before the program."""

    def __init__(self, *arguments, pass_fds=(), preexec_fn=None, **named):
        assert not pass_fds, "pass_fds not supported on Windows."
        if preexec_fn is not None:
            raise ValueError("preexec_fn is not supported on Windows platforms")
        super().__init__(*arguments, **named)


def select_sockets(*lists, _select=select.select):
    """Windows selects sockets only."""
    for one in lists[:3]:
        for entry in one:
            if isinstance(entry, int):
                raise OSError(10038, "an operation was attempted on something that is not a socket")
    return _select(*lists)


def whole(module):
    """A copy of a module, for those who go about this on Windows in another way."""
    copy = types.ModuleType(module.__name__)
    vars(copy).update(vars(module))
    return copy


for user in (subprocess, psutil, psutil._common, psutil._psposix, psutil._pslinux):
    for module in ABSENT:
        if vars(user).get(module.__name__) is module:
            setattr(user, module.__name__, whole(module))
subprocess.Popen = Popen
select.select = select_sockets
for module, names in ABSENT.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
for name in MODULES:
    sys.modules[name] = None  # type: ignore[assignment]
