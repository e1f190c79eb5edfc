"""What every benchmark gives: figures with a bar where one was promised, and a peer measured in the same run."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MORE_IS_BETTER = ("×", "share", "lines/s", "texts/s", "queries/s", "tokens/s", "nDCG@10", "MRR")


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        what: what was measured, on what.
        value: the figure, in `unit`.
        unit: `MB`, `packages`, `ms`, `s`, `points`, `×`, `share`, `lines/s`, `texts/s`, `queries/s`, `tokens/s`,
            `nDCG@10`, `MRR`, `nats` or `alarms/log`.
        bar: the most it may be (the least, where more is better); None where nothing was promised.
        peer: the figure of the peer, in the same unit.
        peer_is: what the peer is.
        runs: how many times it was measured.
    """

    what: str
    value: float
    unit: str
    bar: float | None = None
    peer: float | None = None
    peer_is: str = ""
    runs: int = 1

    @property
    def met(self) -> bool | None:
        """Whether the bar is cleared; None where there is none."""
        if self.bar is None:
            return None
        return bool(self.value >= self.bar if self.unit in MORE_IS_BETTER else self.value <= self.bar)

    @property
    def ratio(self) -> float | None:
        """How many times better the figure is than the peer's: above 1, ours is the better one."""
        if self.peer is None or self.unit == "×":
            return None
        better, worse = (self.value, self.peer) if self.unit in MORE_IS_BETTER else (self.peer, self.value)
        return better / worse if worse else None


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1))]


Clock = Callable[[], float]


def seconds(call: Callable[[], Any], clock: Clock = time.perf_counter) -> float:
    """How long one call takes by a clock; `time.process_time` stands still while others have the processor."""
    start = clock()
    call()
    return clock() - start


def side_by_side(
    ours: Callable[[], Any], peer: Callable[[], Any], repeats: int = 7, clock: Clock = time.perf_counter
) -> tuple[float, float]:
    """The median seconds of both, called in turn so that a slow spell of the machine hits both. Both are warmed up."""
    ours()
    peer()
    pairs = [(seconds(ours, clock), seconds(peer, clock)) for _ in range(repeats)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": processor(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_before": load,
    }


def processor() -> str:
    """The processor's name, and the widest instructions that it multiplies 8-bit integers with."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    values = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    flags = values.get("flags", "").split()
    if os.environ.get("GROUNDUP_AVX2_ONLY"):
        flags = [flag for flag in flags if not flag.startswith("avx512")]
    known = [flag for flag in ("avx512_vnni", "avx_vnni", "avx512f", "avx2") if flag in flags]
    return f"{values.get('model name', platform.machine())}{f', {known[0]}' if known else ''}"
