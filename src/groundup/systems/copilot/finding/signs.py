"""How grave a message is: by its level, by its status, and by its words where the level does not say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

LOOK = 4_000  # characters of a message that are read
FATAL, ERROR, FAILURE, WARNING, MENTION, NOTHING = 6, 5, 4, 3, 2, 0

# Words that are there because all is well, or because something is described that has not happened.
_HARMLESS = re.compile(
    r"""
    \b(?:no|without|zero|0)\s+(?:\w+\s+)?(?:errors?|failures?|exceptions?|warnings?|issues?|timeouts?|retries|failed
        |broken|rejected|dropped|denied|refused|killed|aborted|crashe[sd]|lost|missing|invalid|expired|evicted|unhealthy
        |unreachable|conflicts?|violations?|leaks?|deadlocks?)\b
  | \b(?:\w+_)?(?:errors?|failures?|failed|fail|exceptions?|rejected|dropped|timeouts?|denied|expired
        |retries|crashed|aborted|killed)\s*[=:]\s*
      ["']?(?:0+(?:\.0+)?%?(?![\w.])|none|null|nil|false|no|ok|\[\]|""|''|-)
  | \b(?:\w+[_ -])?(?:timeout|time-out|deadline)(?:[_ ]?(?:ms|s|sec|seconds|millis))?\s*(?:[=:]|is|of|set\ to)\s*
      ["']?\d+\s*(?:ms|s|m|sec\w*|min\w*)?\b
  | \b(?:timeout|deadline)[ _](?!errors?\b|exceptions?\b|fail)\w+\s*[:=]\s
  | \b(?:on[_-](?:error|failure)|error[_ -]?(?:handl\w+|pages?|log|rate|codes?|budget|reporting)
      |fail(?:[_-]?)over(?:\ (?:ready|enabled|configured))?
      |fail[_-]?fast|exception[_ ]handl\w+|crash[_ ]?report\w*|0\ failed|fail2ban)\b
  | \b(?:cleared|resolved|recovered\ from|fixed|ignoring|ignored|handled)\s+(?:\w+\s+){0,2}
      (?:errors?|failures?|exceptions?)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
# Words of a failure; not as a part of a name: `libgpg-error-dev`, `/errors/404.html`.
_GRAVE = re.compile(
    r"""
    (?<![\w./-])
    (?:panic(?:ked)?|segfault|segmentation\ fault|core\ dumped|oom[- ]?kill\w*|out\ of\ memory|outofmemory\w*
      |no\ space\ left|disk\ full|cannot\ allocate|deadlock(?:ed)?|crash(?:ed|ing|es)?|crashloopbackoff|fatal
      |corrupt(?:ed|ion)?|kernel\ panic|data\ loss|shutting\ down\ due|emergency|stack\ overflow)
    (?![\w-]|[./]\w)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_FAILED = re.compile(
    r"""
    (?<![\w./-])
    (?:fail(?:ed|s|ure|ures|ing)?|errors?|errored|exceptions?|refused|timed?[- ]?out|timeouts?|unable\ to|cannot|can't
      |can\ not|could\ not|couldn't|denied|forbidden|unauthorized|unavailable|unreachable|unhealthy|unresponsive
      |not\ responding|not\ ready|exhausted|exceed(?:ed|s|ing)|abort(?:ed|ing)?|killed|terminated\ abnormally
      |exited\ abnormally|exit(?:ed)?(?:\ with)?(?:\ code|\ status)?:?\ [1-9]\d*|expired|invalid|reject(?:ed|ing|ion)?
      |evict(?:ed|ing)|back-?off|imagepullbackoff|errimagepull|insufficient|rate\ limit(?:ed|ing)?|too\ many\ requests
      |quota\ exceeded|throttl(?:ed|ing)|overload(?:ed)?|starv(?:ed|ation|ing)|leak(?:ed|ing|s)?|broken|dropped|lost
      |missing|not\ found|no\ such|violat(?:es|ed|ion)|conflict|mismatch|unexpected|unknown\ host|nxdomain|servfail
      |no\ route|reset\ by\ peer|circuit\ breaker\ (?:is\ )?open(?:ed)?|giving\ up|gave\ up|retries\ exhausted|degraded
      |stuck|hung|misconfigur\w+|oom|rollback|rolled\ back)
    (?![\w-]|[./]\w)
  | \bE(?:CONN\w+|TIMEDOUT|NOTFOUND|ACCES|PERM|NOENT|HOSTUNREACH|NETUNREACH|PIPE|ADDRINUSE|MFILE|NOSPC|AI_AGAIN)\b
  | (?<![\w/-])(?-i:[A-Z]\w*(?:Error|Exception))\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_CHANGED = re.compile(
    r"\b(?:config(?:uration|map)?|settings?|deploy(?:ed|ment|ing)?|roll(?:out|ed out)|upgrad(?:ed|e|ing)"
    r"|migrat(?:ed|ion|ing)|feature[ _]flag|toggled|changed|revoked|rotated|disabled|scaled|maintenance|cordon\w*"
    r"|drain\w*|applied)\b",
    re.IGNORECASE,
)
_MOVED = re.compile(
    r"\b(?:restart(?:ed|ing)?|reload(?:ed|ing)?|switch(?:ed|ing)|version|updated?|scal(?:e|ing)|enabled"
    r"|start(?:ing|ed)|failover|stopp(?:ed|ing))\b",
    re.IGNORECASE,
)
_BY_LEVEL = {"fatal": FATAL, "error": ERROR, "warn": WARNING}
_ERROR_FIELDS = (
    "error",
    "err",
    "exception",
    "stack_trace",
    "stacktrace",
    "stack",
    "error_message",
    "exc_info",
    "reason",
)


@dataclass(frozen=True, slots=True)
class Gravity:
    """How grave a message is, from NOTHING to FATAL, and why in words."""

    weight: int
    reason: str = ""


def gravity(message: str, level: str | None, status: int | None, fields: dict[str, Any], joined: bool) -> Gravity:
    """The gravity of a message."""
    if level in ("fatal", "error"):
        return Gravity(_BY_LEVEL[level], f"logged as {level}")
    if status is not None and 500 <= status <= 599:
        return Gravity(ERROR, f"answered with status {status}")
    detail = next(
        (str(fields[key]) for key in _ERROR_FIELDS if fields.get(key) not in (None, "", False, 0, "none", "null", [])),
        "",
    )
    text = _HARMLESS.sub(" ", f"{message[:LOOK]} {detail[:LOOK]}")
    if match := _GRAVE.search(text):
        return Gravity(FAILURE if level in ("info", "debug", "trace") else ERROR, f'says "{match[0]}"')
    if joined:
        return Gravity(FAILURE, "carries an exception")
    words = list(dict.fromkeys(_FAILED.findall(text)))
    if words:
        # One such word in a line of information is often harmless ("not found in cache"); two seldom are.
        told_of = FAILURE if level is None or len({word.lower() for word in words}) > 1 else MENTION
        if level == "warn":
            return Gravity(max(WARNING, told_of), f'a warning that says "{words[0]}"')
        return Gravity(told_of, f'says "{words[0]}"')
    if status == 429:
        return Gravity(WARNING, "answered with status 429")
    return Gravity(WARNING, "logged as a warning") if level == "warn" else Gravity(NOTHING)


def is_failure(message: str) -> bool:
    """Whether the words of a message tell of a failure, whatever its level."""
    text = _HARMLESS.sub(" ", message[:LOOK])
    return _FAILED.search(text) is not None or _GRAVE.search(text) is not None


# Somebody who tries to log in and may not: what answers so is at work. Whatever is open to the world says it all day.
_REFUSED = re.compile(
    r"\b(?:failed password|(?:invalid|illegal|unknown) user|password authentication failed|authentication failure"
    r"|login incorrect|failed login|login failed for user|(?:wrong|bad|invalid) (?:password|credentials))\b",
    re.IGNORECASE,
)


def is_refusal(message: str) -> bool:
    """Whether a message tells of a login that was refused."""
    return _REFUSED.search(message[:LOOK]) is not None


def is_grave(message: str) -> bool:
    """Whether the words of a message tell of what no system does as a matter of routine: it crashed, it lost data."""
    return _GRAVE.search(_HARMLESS.sub(" ", message[:LOOK])) is not None


def is_change(message: str, *, strong: bool = False) -> bool:
    """Whether a message tells of a change; with `strong`, of one that somebody made (and no mere start or reload)."""
    text = message[:LOOK]
    return _CHANGED.search(text) is not None or (not strong and _MOVED.search(text) is not None)


_METRIC = re.compile(
    r"(?:_|\b)(?:ms|millis|seconds|secs?|duration|latency|elapsed|took|time|usage|used|utili[sz]ation|percent|pct|mb|gb|kb|mib|gib|memory|heap"
    r"|cpu|rss|connections|queue|backlog|lag|pending|waiting|wait|depth|threads|goroutines|load|open_files|fds|size|rate|retries|temperature)(?:_|\b)|%",
    re.IGNORECASE,
)
_HELD = re.compile(r"(?:_|\b)(?:heap|rss|memory|mem|goroutines|open_files|fds)(?:_|\b)", re.IGNORECASE)
_COUNTER = re.compile(r"timestamp|uptime", re.IGNORECASE)  # they rise, and tell of nothing
_NAME = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TIME_UNITS = {
    **dict.fromkeys(("ns",), 1e-9), **dict.fromkeys(("us", "µs", "μs"), 1e-6), "ms": 1e-3,
    **dict.fromkeys(("s", "sec", "secs", "seconds"), 1.0), **dict.fromkeys(("m", "min", "minutes"), 60.0), "h": 3600.0,
}  # fmt: skip
_SIZE_UNITS = {
    f"{letter}{ending}": 1024.0**power
    for power, letter in enumerate(("", "K", "M", "G", "T"))
    for ending in ("", "B", "iB")
    if letter or ending == "B"
} | {"kB": 1024.0, "bytes": 1.0}
_UNIT = "|".join(sorted([*_TIME_UNITS, *_SIZE_UNITS, "%", "percent"], key=len, reverse=True))
_DECIMAL = r"\d+(?:\.\d+)?"
_PART = re.compile(rf"({_DECIMAL}) ?({_UNIT})?")
_MEASURED = re.compile(
    rf"(?:(?i:{_METRIC.pattern})[\"']?[=: ]{{1,3}}(?:(?:is|of|at) )?({_DECIMAL})(?: ?({_UNIT}))?"
    rf"|(?<![\w.:-])({_DECIMAL}) ?({_UNIT}))(?![\w.:])"
)


def is_metric(name: str) -> bool:
    """Whether a field's name, or the words around a number, say that it measures something (and is no identifier)."""
    return _METRIC.search(_NAME.sub("_", name[:LOOK])) is not None and _COUNTER.search(name[:LOOK]) is None


def is_held(name: str) -> bool:
    """Whether a field's name says that it measures what a process holds: it falls again, unless it leaks."""
    return _HELD.search(_NAME.sub("_", name[:LOOK])) is not None


def quantity(text: str) -> tuple[float, str] | None:
    """What a field such as `350`, `12.5ms`, `1m2s` or `64MiB` measures, and its unit: seconds, bytes or none."""
    if not text[:1].isdigit() or len(text) > 40:
        return None
    value, unit, end = 0.0, "", 0
    while (part := _PART.match(text, end)) is not None:
        number, unit = _scaled(part[1], part[2] or "")
        value, end = value + number, part.end()
    return (value, unit) if end == len(text) else None


def quantities(message: str) -> list[tuple[float, str]]:
    """The numbers of a message that have a unit, or the name of a measure before them, and their units."""
    matches = _MEASURED.findall(message[:LOOK])
    return [_scaled(named or other, unit or its_unit) for named, unit, other, its_unit in matches]


def _scaled(number: str, unit: str) -> tuple[float, str]:
    if unit in _TIME_UNITS:
        return float(number) * _TIME_UNITS[unit], "seconds"
    if unit in _SIZE_UNITS:
        return float(number) * _SIZE_UNITS[unit], "bytes"
    return float(number), "%" if unit else ""
