"""What servers in front of others write of each request: access logs, W3C (IIS, CloudFront), AWS and HAProxy."""

from __future__ import annotations

import re
from typing import Any

from groundup.systems.copilot.reading.parsed import Parsed
from groundup.systems.copilot.reading.times import seconds

_ACCESS = re.compile(
    r'(\S+) \S+ (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-)'
    r'(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?(.*)',
    re.DOTALL,
)


def read_access(text: str) -> Parsed | None:
    """A web server's access log, common or combined."""
    match = _ACCESS.match(text)
    if match is None:
        return None
    client, _, time, request, status, size, _, _, rest = match.groups()
    fields = {"client": client, "request": request, "status": int(status), "bytes": 0 if size == "-" else int(size)}
    if (took := re.search(r"(?:rt=|request_time=)?(\d+\.\d{3})\b", rest)) is not None:
        fields["request_time"] = float(took[1])
    path = request.split("?")[0]
    return Parsed("access", f"{path} {status}", seconds(time), None, None, fields)


_ALB = re.compile(
    r"(?:(?:http|https|h2|grpcs|ws|wss) )?(?:(\d{4}-\d\d-\d\dT[\d:.]+Z) )?(\S+) (\S+:\d+) (\S+:\d+|-) "
    r'(-?[\d.]+) (-?[\d.]+) (-?[\d.]+) (\d{3}|-) (\d{1,3}|-) \d+ \d+ "([^"]*)"'
)


def read_balancer(text: str) -> Parsed | None:
    """AWS's balancers: application, and classic."""
    if '"' not in text or (match := _ALB.match(text)) is None:
        return None
    time, name, client, target, *took, status, target_status, request = match.groups()
    status = status if status != "-" else target_status
    fields: dict[str, Any] = {"client": client, "target": target, "request": request}
    if status.isdecimal():
        fields["status"] = int(status)
    if float(took[1]) >= 0:
        fields["request_time"] = round(sum(float(part) for part in took if float(part) > 0), 6)
    return Parsed(
        "balancer",
        f"{_path(request)} {status}",
        seconds(time) if time else None,
        None,
        name.split("/")[1] if "/" in name else name,
        fields,
    )


_HAPROXY = re.compile(
    r"(\S+:\d+) \[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d(?:\.\d+)?)\] (\S+) (\S+?)/(\S+) (-?\d+(?:/[-+]?\d+){3,5}) "
    r'(-?\d{1,3}) \+?\d+ .{0,400}?"([^"]*)"?',
)


def read_haproxy(text: str, time: float | None = None) -> Parsed | None:
    """HAProxy's log of HTTP, behind a syslog header or without one."""
    if '"' not in text or (match := _HAPROXY.match(text)) is None:
        return None
    client, stamp, _, backend, server, took, status, request = match.groups()
    at = seconds(stamp.partition(".")[0] + " +0000") if time is None else time
    fields: dict[str, Any] = {
        "client": client,
        "server": server,
        "request": request,
        "took_ms": int(took.rsplit("/", 1)[1].lstrip("+")),
    }
    if len(status) == 3 and status.isdecimal():
        fields["status"] = int(status)
    return Parsed("haproxy", f"{_path(request)} {status}", at, None, backend, fields)


def _path(request: str) -> str:
    return re.sub(r"(?<=\s)https?://[^/\s]+", "", request.split("?")[0])


def columns_of(text: str) -> tuple[str, ...]:
    """The columns that a line `#Fields: …` names."""
    return tuple(name.lower() for name in text.partition(":")[2].split())


def read_w3c(text: str, columns: tuple[str, ...], date: str) -> Parsed | None:
    """A line of W3C's extended format (IIS, CloudFront, Azure), as its `#Fields` say."""
    values = text.split("\t") if "\t" in text else text.split()
    if len(values) < len(columns):
        return None
    row = dict(zip(columns, values, strict=False))
    time = seconds(f"{row.get('date', date)} {row.get('time', '')}".strip())
    method, path = row.get("cs-method", ""), row.get("cs-uri-stem", row.get("cs-uri", ""))
    fields: dict[str, Any] = {key: value for key, value in row.items() if value != "-"}
    status = next((row[key] for key in ("sc-status", "x-sc-status", "status") if key in row), "")
    if status.isdecimal():
        fields["status"] = int(status)
    if row.get("time-taken", "").replace(".", "", 1).isdecimal():
        fields["time_taken"] = float(row["time-taken"])
    words = [word for word in (method, path, status) if word and word != "-"]
    return Parsed(
        "w3c",
        " ".join(words) or text,
        time,
        None,
        row.get("s-sitename") if row.get("s-sitename") != "-" else None,
        fields,
    )
