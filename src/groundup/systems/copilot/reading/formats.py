"""The formats that a log line may be in. Each reads one line, or says None; `plain` reads all.

| format | example |
|---|---|
| json, logfmt, event | `structured`: `{"level": "error", "msg": "…"}`, `level=info msg="…"`, Windows events as XML |
| access, balancer, haproxy | `servers`: `10.0.0.1 - - [20/Nov/2026:23:06:46 +0000] "GET / HTTP/1.1" 500 12` |
| klog | `E1120 23:06:46.260686    1 reflector.go:126] …` |
| rfc5424 | `<165>1 2026-03-02T10:00:00Z node-a ledger 812 ID47 [acme@32473 path="x"] …` |
| ruby | `F, [2026-03-02T10:03:20.123456 #12] FATAL -- : …` |
| headed | a time, then host, process, level, thread, logger in any usual order: syslog, log4j, Spring, Android … |
| levelled | the same without a time: `ERROR [main] org.example.Pool - …` |
| console | .NET's: `fail: Acme.Worker[0]`, with the message on the indented lines below |
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from groundup.systems.copilot.reading.parsed import LEVELS, SYSLOG, Parsed
from groundup.systems.copilot.reading.remembering import Headed, remembering
from groundup.systems.copilot.reading.servers import read_access, read_balancer, read_haproxy
from groundup.systems.copilot.reading.structured import read_event, read_json, read_logfmt
from groundup.systems.copilot.reading.times import MONTHS, TIME, seconds

HEADER = 400  # characters that are searched for a header: the patterns backtrack, and a line may be as long as it likes
_WORDS = (
    "TRACE|VERBOSE|DEBUG|INFORMATION|INFO|NOTICE|WARNING|WARN|ERROR|ERR|SEVERE|CRITICAL|CRIT|ALERT|EMERGENCY|EMERG"
    "|FATAL|PANIC|FAILURE|INF|WRN|DBG|VRB|FTL"
)


_KLOG = re.compile(r"([IWEF])(\d{2})(\d{2}) (\d{2}:\d{2}:\d{2}\.\d+)\s+\d+ ([^\s:\]]+):\d+\] ?(.*)", re.DOTALL)


def read_klog(text: str) -> Parsed | None:
    """What Kubernetes' own components write."""
    match = _KLOG.match(text)
    if match is None:
        return None
    letter, month, day, time, source, message = match.groups()
    return Parsed("klog", message, seconds(f"{month}-{day} {time}"), LEVELS[letter.lower()], source)


# ── a time or a level, then text ────────────────────────────────────────────────────────────────────────────────────
_PRIORITY = r"(?:<(?P<priority>\d{1,3})>(?:1 )?)?"
_HEADED = re.compile(rf"{_PRIORITY}\[?(?:{TIME})")
# Labels, node names and numbers before the time: BGL, Thunderbird, HPC, OpenStack.
_INSIDE = re.compile(rf"(?:\S{{1,80}} ){{1,4}}?\[?(?:{TIME})(?: \S+ (?=\d{{4}}-\d\d-\d\d-))?")
_AGAIN = re.compile(rf" (?:\S+ ){{0,2}}(?:{TIME})(?= )")
# Host and process, as syslog has them. After other times only with a process number: two words may begin a sentence.
_SYSLOG_TAG = re.compile(
    r" (?P<host>\S+) (?P<tag>[A-Za-z_/-][^\s:\[\]]*(?: [^\s:\[\]]+)?)(?:\[\d+\])?(?: \([^)]*\))?:"
    r"(?: |$)(?P<message>.*)",
    re.DOTALL,
)
_NUMBERED_TAG = re.compile(r" (?P<host>\S+) (?P<tag>[A-Za-z_/-][^\s:\[\]]*)\[\d+\]:(?: |$)(?P<message>.*)", re.DOTALL)
# Before a level: brackets, numbers, names that look like names, and at most one plain word.
# None can be split in another way, so each is atomic: a line without a level is given up at once.
_OTHER = r"(?>(?:\[[^\[\]]*\]|\([^()]*\)|[A-Z0-9][A-Z0-9_.:/#-]*|[\w$@#-]*[\d.$@:/#_-][\w.$@:/#-]*)[\s|]+)"
_LEVEL = re.compile(
    rf"[\s,|:\])-]*(?P<before>(?:{_OTHER}){{0,4}}?(?>[A-Za-z]\w*[\s|]+)?(?:{_OTHER}){{0,2}}?)"
    rf"(?P<level>[\[(<]?(?:{_WORDS})[\])>]?(?=[\s:,|-]|$)|\[(?i:{_WORDS})\]"
    r"|(?:LOG|DETAIL|HINT|STATEMENT|CONTEXT)(?=:  )|(?<=[\s,])(?:Info|Warning|Error)(?= {2,}))"
    r"[ \t]*[:,|-]?(?P<rest>.*)",
    re.DOTALL,
)
_MAY_BE_LEVEL = re.compile(r"[A-Z]{3}|\[[A-Za-z]{3}|Info|Warning|Error")
_LETTER = re.compile(r"\s+(\d+)\s+(\d+)\s+([VDIWEF])\s+([^\s:]+(?: [^\s:]+)?)\s*: (.*)", re.DOTALL)  # Android
_PIPES = re.compile(r"\|(?P<name>[^|]{1,60})\|(?P<id>\d+)\|(?P<message>.*)", re.DOTALL)
_NESTED = r"\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]"
_ORIGIN = re.compile(
    rf"\s*(?:\d+ --- )?(?:{_NESTED}(?:\s*-\s+|\s+(?=\S+\s*[:-]\s)|\s*(?=[A-Za-z_$][\w$.]*[.]\w+\s*:)))?"
    r"(?:(?P<logger>(?:[A-Za-z_$][\w$-]*[./])+[\w$*-]+(?=\s*:\s|\s+--?\s|\s+\[|:)|[A-Z][a-z0-9]+(?:[A-Z]\w*)+(?=:\s|\s+-\s)|[A-Z]{2,8}(?=\s{2,}))"
    rf"(?:\s*:|\s+--?\s|\s+(?:{_NESTED})|\s))?\s*(?P<message>.*)",
    re.DOTALL,
)
_GLUED = re.compile(r"(?:\[[^\[\]]{1,80}\]){1,4}(?=\w)")  # thread and logger, glued to the message: `[main][a.B]It`
_SIGN = re.compile(r" [.*#] ")  # Redis: how loud a line is
_PROGRAM = re.compile(r"\]? +(?P<name>[\w.+*() ]{1,60}?)(?: \*64)? - (?P<message>.*)", re.DOTALL)


_ID = re.compile(r"[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # of a request: no service
_APACHE = re.compile(
    r"\]? \[(\w*):(emerg|alert|crit|error|warn|notice|info|debug|trace\d)\] (?:\[pid [^\]]*\] )?"
    r"(\[client [^\]]*\] )?(.*)",
    re.DOTALL,
)
_NGINX = re.compile(r"\d+#\d+: (?:\*\d+ )?")
_PHP_LEVELS = {
    **dict.fromkeys(("Fatal", "Parse", "Compile", "Core"), "fatal"), "Warning": "warn",
    **dict.fromkeys(("Recoverable", "Catchable"), "error"), **dict.fromkeys(("Notice", "Deprecated", "Strict"), "info"),
}  # fmt: skip
_PHP = re.compile(rf"\]? ?(PHP ({'|'.join(_PHP_LEVELS)})[\w ]*: .*)", re.DOTALL)
_MONOLOG = re.compile(rf"\] ([\w-]{{1,79}})\.({_WORDS}): (.*)", re.DOTALL)
_LAMBDA = re.compile(
    rf"\t(?:[0-9a-f]{{16,}}|[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}|undefined)\t"
    rf"(?:({_WORDS})\t)?(.*)",
    re.DOTALL,
)
_CONSOLE = re.compile(r"(trce|dbug|info|warn|fail|crit): ([A-Za-z_][\w.+`<>,]*)\[\d+\] ?(.*)", re.DOTALL)


def _headed(text: str) -> Headed | None:
    match = _HEADED.match(text[:HEADER])
    if match is None:
        return None
    index = match.lastindex or 0
    stamp, end = match[index], match.end()
    if (
        stamp[-1] == "Z" and '"' in text and (balanced := read_balancer(text)) is not None
    ):  # the classic one begins with a time
        return Headed(balanced)
    if stamp.isdecimal() and (again := read_inside(text[end + 1 :])) is not None:
        again.time = seconds(stamp)  # seconds since 1970, then node and the same time in words: Thunderbird
        return Headed(again)
    notation = index - _HEADED.groupindex["priority"]
    parsed = after_time(text[end:], "headed", seconds(stamp, notation), syslog=stamp[:3] in MONTHS)
    if text[0] == "<" and match["priority"]:
        if parsed.level is None:
            parsed.level = SYSLOG[int(match["priority"]) % 8]
        return Headed(parsed)
    begin = match.start(index)
    return Headed(parsed, notation, begin, end, begin if stamp.isdecimal() else -1)


def _inside(text: str) -> Headed | None:
    match = _INSIDE.match(text[:HEADER])
    if match is None:
        return None
    index = match.lastindex or 0
    before = text[: match.start(index)]
    if before[:1] in "hgw" and (balanced := read_balancer(text)) is not None:
        return Headed(balanced)
    if not before.isupper() and not any(character.isdigit() or character in "-[" for character in before):
        return None
    stamp, begin, end = match[index], match.start(index), match.end()
    epoch = begin if stamp.isdecimal() else -1
    while (again := _AGAIN.match(text[:HEADER], end)) is not None:  # a second notation of the same time
        index = again.lastindex or 0
        stamp, begin, end = again[index], again.start(index), again.end()
    parsed = after_time(text[end:], "headed", seconds(stamp, index), syslog=stamp[:3] in MONTHS)
    return Headed(parsed, index, begin, end, epoch)


# A time first, then whatever the usual headers hold; and a time after up to four words of label, node or file.
read_headed, read_inside = remembering(_headed), remembering(_inside)


_CLOCK = re.compile(r"\[?(\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,6}))?(?=[\s\]|])")


def read_clock(text: str) -> Parsed | None:
    """A time of day first, without a date: logback's default, Serilog's console. Its time is within a day."""
    if text[2:3] != ":" and text[3:4] != ":":
        return None
    match = _CLOCK.match(text)
    if match is None or int(match[1]) > 23 or int(match[2]) > 59 or int(match[3]) > 60:
        return None
    at = int(match[1]) * 3600 + int(match[2]) * 60 + int(match[3]) + float(f"0.{match[4] or 0}")
    parsed = after_time(text[match.end() :], "clock", at)
    return parsed if parsed.level or match[4] else None


_RFC5424 = re.compile(r"<(\d{1,3})>\d{1,2} (\S+) (\S+) (\S+) (\S+) ")
_DATA = re.compile(r'\[[^\s\]="]{1,64}(?: [^\s=\]"]{1,64}="(?:[^"\\\]]|\\.)*")* ?\]')
_DATUM = re.compile(r'([^\s=\]"\[]{1,64})="((?:[^"\\\]]|\\.)*)"')


def read_rfc5424(text: str) -> Parsed | None:
    """Syslog with structured data; what leaves it out, too."""
    if text[:1] != "<" or (match := _RFC5424.match(text)) is None or int(match[1]) > 191:
        return None
    _, time, _, app, _ = match.groups()
    rest = text[match.end() :]
    name, _, behind = rest.partition(" ")  # the message's id, where structured data follow it
    fields: dict[str, Any] = {}
    if behind[:1] == "[" and name:
        end = 0
        while (data := _DATA.match(behind, end)) is not None:
            fields |= {key: re.sub(r'\\([\\"\]])', r"\1", value) for key, value in _DATUM.findall(data[0])}
            end = data.end()
        rest = behind[end:] if end else rest
    elif behind == "-" or behind.startswith("- "):
        rest = behind[1:]
    elif name == "-":
        rest = behind
    message = rest.strip().removeprefix("\ufeff")
    level = SYSLOG[int(match[1]) % 8]
    return Parsed(
        "rfc5424", message, None if time == "-" else seconds(time), level, None if app == "-" else app, fields
    )


_RUBY = re.compile(r"([DIWEFAU]), \[(\S+?) ?#(\d+)\] +([A-Z]+) -- ([^:]*(?:::[^:]+)*): ?(.*)", re.DOTALL)


def read_ruby(text: str) -> Parsed | None:
    """What Ruby's logger writes, and Rails."""
    if text[1:4] != ", [" or (match := _RUBY.match(text)) is None:
        return None
    return Parsed("ruby", match[6], seconds(match[2]), LEVELS.get(match[4].lower()), match[5].strip() or None)


def read_console(text: str) -> Parsed | None:
    """.NET's console: level, category and event; the message is on the lines below, or behind them."""
    match = _CONSOLE.match(text) if text[4:6] == ": " else None
    return None if match is None else Parsed("console", match[3], None, LEVELS[match[1]], match[2])


def read_proxy(text: str) -> Parsed | None:
    """HAProxy's own line, without a syslog header, and that of AWS's classic balancer, its time taken off."""
    if '"' not in text:
        return None
    return read_haproxy(text) if text[0].isdigit() else read_balancer(text)


def read_php(text: str) -> Parsed | None:
    """PHP's messages without a time, as its command line writes them."""
    match = _PHP.match(text) if text.startswith("PHP ") else None
    return None if match is None else Parsed("levelled", match[1], None, _PHP_LEVELS[match[2].split()[0]])


_LEVELLED = re.compile(rf"[\[(<]?({_WORDS})[\])>]?(?:\s*[:|-]|\s)\s*(?=\S)")


def read_levelled(text: str) -> Parsed | None:
    """A level first, and no time."""
    match = _LEVELLED.match(text)
    if match is None:
        return None
    level = LEVELS[match[1].lower()]
    if text[match.end()].isdigit() and (headed := read_headed(text[match.end() :])) is not None:  # Lambda, for Python
        headed.level, headed.service = level, headed.service if headed.service != match[1] else None
        return headed
    origin = _ORIGIN.match(text[:HEADER], match.end())
    assert origin is not None
    return Parsed("levelled", origin["message"] + text[HEADER:], None, level, origin["logger"])


def after_time(rest: str, name: str, time: float | None, *, syslog: bool = False) -> Parsed:
    """What stands after the time: level and origin, or host and tag, or neither; then the message."""
    parsed = _after_time(rest[:HEADER], name, time, syslog)
    message = parsed.message
    if message[:1] == "[" and (glued := _GLUED.match(message)) is not None:
        parsed.message = f"{glued[0].replace('][', '] [')} {message[glued.end() :]}"
    if len(rest) > HEADER:
        parsed.message += rest[HEADER:]
    return parsed


def _after_time_of_one_program(rest: str, name: str, time: float | None) -> Parsed | None:
    """Headers that one program writes, told apart by their first characters."""
    first = rest[:1]
    if first == " ":
        second = rest[1:2]
        if rest[5:7] == ": " and (match := _CONSOLE.match(rest.lstrip())):
            return Parsed("console", match[3], time, LEVELS[match[1]], match[2])
        if (second == " " or second.isdigit()) and (match := _LETTER.match(rest)):
            return Parsed(name, match[5], time, LEVELS[match[3].lower()], match[4])
    elif first == "]":
        if rest[2:3] == "[":
            if ":" in rest[3:24] and (match := _APACHE.match(rest)) is not None:
                return Parsed(name, match[4], time, LEVELS.get(match[2].rstrip("12345678")), match[1] or None)
        elif rest[:6] == "] PHP " and (match := _PHP.match(rest)) is not None:
            return Parsed(name, match[1], time, _PHP_LEVELS[match[2].split()[0]])
        elif "." in rest[2:82] and (match := _MONOLOG.match(rest)) is not None:
            return Parsed(name, match[3], time, LEVELS[match[2].lower()], match[1])
    elif first == "\t" and (match := _LAMBDA.match(rest)):
        return Parsed(name, match[2], time, LEVELS.get((match[1] or "").lower()))
    elif first == "|" and (match := _PIPES.match(rest)):
        return Parsed(name, match["message"], time, None, match["name"])
    return None


def _after_time(rest: str, name: str, time: float | None, syslog: bool) -> Parsed:
    if (special := _after_time_of_one_program(rest, name, time)) is not None:
        return special
    tag = _SYSLOG_TAG.match(rest) if syslog else _NUMBERED_TAG.match(rest) if "]:" in rest else None
    if tag is None:
        if (level := _LEVEL.match(rest)) is not None:
            return _after_level(level, name, time)
    else:
        behind = tag.start("message")
        # A level counts before the tag's message only: to look there for what may be one is quicker than the pattern.
        level = _LEVEL.match(rest) if _MAY_BE_LEVEL.search(rest, 0, behind) else None
        if level is not None and level.start("level") < behind:
            return _after_level(level, name, time)
        host, program, message = tag.groups()
        if _host_like(host) and (" " not in program or program.split()[0].islower()):  # and no words of a sentence
            if program == "haproxy" and (proxied := read_haproxy(message, time)) is not None:
                return proxied
            return Parsed(name, message, time, _leading_level(message), program)
    if (match := _PROGRAM.match(rest)) is not None:
        return Parsed(name, match["message"], time, None, match["name"])
    if _SIGN.match(rest):
        rest = rest[2:]
    message = rest.lstrip(" ,|:])-")
    return Parsed(name, message, time, _leading_level(message))


def _after_level(match: re.Match[str], name: str, time: float | None) -> Parsed:
    """What a level has before and behind it: names, the last of which is the service's, and the message."""
    before, word, rest = match.group("before", "level", "rest")
    if ":" in rest or "[" in rest or " -" in rest or "  " in rest:
        origin = _ORIGIN.match(rest)
        assert origin is not None
        service, message = origin.group("logger", "message")
    else:  # nothing that ends a logger
        service, message = None, rest.lstrip()
    if not service and before:
        names = [word.strip("[]():|-") for word in before.split()]
        service = next((n for n in reversed(names) if n and not (len(n) > 15 and _ID.fullmatch(n))), None)
    if message[:1].isdigit() and (nginx := _NGINX.match(message)) is not None:
        message = message[nginx.end() :]
    return Parsed(name, message, time, _level_in(word), None if not service or service.isdigit() else service)


@lru_cache(maxsize=256)
def _level_in(word: str) -> str:
    return LEVELS[word.strip("[]()<>").lower()]


@lru_cache(maxsize=4096)
def _host_like(host: str) -> bool:
    return not host.endswith(":") and re.fullmatch(r"[\w.@/:#-]+", host) is not None


_LEADS = frozenset([word[0] for word in _WORDS.split("|")] + [*"ewfp"])  # what a level begins with
_LEADING = re.compile(rf"\W{{0,2}}(?:({_WORDS})\b|(error|warning|fatal|panic|warn)(?=:))")


def _leading_level(message: str) -> str | None:
    """The level that a message itself begins with."""
    first = message[:1]
    if first not in _LEADS and first.isalnum():  # most messages, for less than the pattern costs
        return None
    match = _LEADING.match(message)
    return LEVELS[(match[1] or match[2]).lower()] if match else None


def plain(text: str) -> Parsed:
    """Any text; its level where it begins with one."""
    return Parsed("plain", text, None, _leading_level(text))


Format = Callable[[str], Parsed | None]
FORMATS: tuple[Format, ...] = (
    read_json, read_klog, read_rfc5424, read_access, read_headed, read_levelled, read_logfmt, read_ruby, read_event,
    read_console, read_clock, read_proxy, read_php, read_inside,
)  # fmt: skip
