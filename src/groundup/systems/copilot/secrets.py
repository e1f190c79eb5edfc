"""Secrets in log lines replaced by `***`, before a line is stored, mined or sent anywhere.

    hide("login user=eve password=hunter2 from 10.0.0.1")
    # "login user=eve password=*** from 10.0.0.1"

What counts as one: the value of a key that names a secret (`password`, `api_key`, `client-secret` …) in any usual
notation (`key=value`, YAML, JSON also within JSON, flags, query strings, XML), authorization and cookie headers, the
password in a URL, tokens that are known by their form (AWS, GitHub, GitLab, Slack, Stripe, Google, JWT …), private
keys. The key stays, so that the line can still be understood and counted with its kind.

Not covered: a secret that stands alone and looks like any other word (`using hunter2 now`), and one that is encoded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

HIDDEN = "***"

# A line with a secret holds at least one of these, whatever the case: to look for them is many times quicker than the
# patterns. Keys count only with a value behind them: `auth-service` is no suspect, `auth=` is.
_KEY_HINTS = (b"pass", b"pwd", b"secret", b"token", b"auth", b"credential", b"signature", b"sig=", b"key")
_HINTS = (
    b"bearer ", b"basic ", b"negotiate ", b"cookie", b"private key", b"identified by", b"eyj", b"akia", b"asia",
    b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"glpat-", b"xox", b"k_live_", b"k_test_", b"sk-",
    b"aiza", b"ya.", b"npm_", b"hf_", b"sg.", b"hvs.", b"pypi-", b"dckr_pat_",
)  # fmt: skip
_BEHIND_KEY = re.compile(rb"[\w.-]{2,40}(?:>|\\*[\"']?\s*[:=]|\s+[\"'])|sig=")
_BEHIND_FLAG = re.compile(rb"[\w.-]{2,40}\s")
_LOWER = bytes(range(256)).lower()
_DIGITS = b"0123456789"


# ── keys that name a secret ─────────────────────────────────────────────────────────────────────────────────────────
# Behind a `strong` key everything is secret. Behind a `weak` one only what looks like it: these words stand in harmless
# lines too (`unexpected token: }`, `token=12`, `secret: my-app not found`).
_STRONG = (
    r"pass(?:word|wd|phrase)|pwd|(?:client|app|shared|consumer|webhook|jwt)[_.-]?secret"
    r"|secret[_.-]?(?:access[_.-]?)?key|(?:api|access|account|private|signing|encryption|master)[_.-]?key"
    r"|(?:access|auth|refresh|session|security|bearer|bot|api)[_.-]?token"
)
_WEAK = r"secret|token|credentials?|(?:shared[_.-]?access[_.-]?)?signature|sig|auth|(?:api|access)\ key"
_VALUE = r"""(?:
    (?P<quote>\\+["'])(?P<escaped>.*?)(?=(?P=quote)|$)     # JSON within JSON
  | "(?P<double>(?:\\.|[^"\\])*)
  | '(?P<single>(?:\\.|[^'\\])*)
  | (?P<bare>[^\s"'\\&;<>]+)
)"""
_KEY = rf"(?<![\w.-])(?P<key>[\w.-]{{0,60}}?(?:(?P<strong>{_STRONG})|{_WEAK}))(?![\w-])"
_KEYED = re.compile(rf"{_KEY}(?P<sep>(?:\\*[\"'])?\s*(?:=>|:=|[:=])\s*){_VALUE}", re.VERBOSE | re.IGNORECASE)
_FLAG = re.compile(
    rf"(?<!\S)(?P<key>--?[\w.-]{{0,60}}?(?:(?P<strong>{_STRONG})|{_WEAK}))(?P<sep>\s+)(?!-){_VALUE}",
    re.VERBOSE | re.IGNORECASE,
)
_ELEMENT = re.compile(rf"(<([\w.:-]*(?:{_STRONG}|secret|token))>)[^<]+(?=</)", re.IGNORECASE)
_SQL = re.compile(r"(\bidentified by |\bpassword )(['\"])(?:(?!\2).)+", re.IGNORECASE)
_NEXT = re.compile(r",(?=[\w.-]+[=:])")  # `password=a,user=b`: where the value ends
_NOTHING = re.compile(
    r"(?:true|false|null|none|nil|undefined|yes|no|\W*|[\[(<{*]*(?:redacted|hidden|masked|\**)[\])>}*]*)", re.I
)
_PROSE = frozenset(
    "a access again an and are at attempt authentication be by can cannot check changed denied did do does error "
    "expired failed failure for from has have if in incorrect invalid is it length login may mismatch missing must "
    "needs no not of on or please rejected required reset should the to too try unable unknown updated use user "
    "using was weak when with wrong you your".split()
)

# ── headers, URLs, tokens known by their form ───────────────────────────────────────────────────────────────────────
_SCHEME = re.compile(
    r"\b(?P<head>(?:(?:proxy-)?authorization\\*[\"']?\s*[:=]\s*\\*[\"']?)?"
    r"(?:(?P<long>digest|aws4-hmac-sha256)|bearer|basic|negotiate|token|apikey)\s+)"
    r"(?P<value>(?(long)[^\"'\\]+|[\w.~+/-]{6,}=*))",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"\b(?P<head>(?:proxy-)?authorization\\*[\"']?\s*[:=]\s*\\*[\"']?)(?P<value>[\w.~+/-]{8,}=*)(?!\s*[:=])",
    re.IGNORECASE,
)
_COOKIE = re.compile(
    r"(?P<head>\b(?:set-)?cookie\\*[\"']?\s*(?P<colon>:)?(?(colon)|=)\s*(?P<quote>\\*[\"'])?)"
    r"(?P<value>(?(colon)[^\"'\\=]+=[^\"'\\]*|(?(quote)[^\"'\\]+|[^\s\"'\\]+)))",
    re.IGNORECASE,
)
_URL = re.compile(
    r"(?P<head>[a-z][a-z0-9+.-]{1,30}://[^\s/:@\"']{0,200}:)(?!\d{1,5}[/?\#])(?:[^\s\"'/<>]+|[^\s\"'@<>]+)(?=@[\w.\[-])",
    re.IGNORECASE,
)
_KNOWN = re.compile(
    r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{22,}|glpat-[\w-]{20,}|xox[abeprs]-[\w-]{10,}"
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]*[A-Za-z0-9]{20,}[\w-]*|AIza[\w-]{35}|ya29\.[\w-]{20,}|npm_[A-Za-z0-9]{36}"
    r"|hf_[A-Za-z0-9]{30,}|SG\.[\w-]{16,}\.[\w-]{16,}|hvs\.[\w-]{20,}|pypi-[\w-]{30,}|dckr_pat_[\w-]{20,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]*)(?![\w-])"
)
_PEM = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|$)")
# A line of a private key that is written over several lines. Each is known by its form alone, so that no state has
# to be carried from one batch to the next; certificates and the like are hidden as well.
_BLOCK = re.compile(r"(?<!\S)(?=\S*[a-z])(?=\S*[A-Z])(?=\S*\d)[A-Za-z0-9+/]{60,76}={0,2}$")
_WIDTH = 60


def hide(text: str) -> str:
    """A text with its secrets replaced by `***`."""
    return "\n".join(hide_all(text.split("\n")))


def hide_all(lines: Sequence[str]) -> list[str]:
    """Lines with their secrets replaced by `***`."""
    if not lines:
        return []
    # Lines that differ in case and digits only are suspects or not together, and most lines of a log do.
    shapes = "\n".join(lines).encode("utf-8", "replace").translate(_LOWER, _DIGITS).split(b"\n")
    if len(shapes) != len(lines):  # ends of lines inside of them
        return ["\n".join(hide_all(line.split("\n"))) if "\n" in line else hide_all([line])[0] for line in lines]
    suspects = _suspects(set(shapes))
    hidden = []
    for line, shape in zip(lines, shapes, strict=True):
        if shape in suspects:
            line = _hide(line)
        if " " not in line[-_WIDTH:] and len(line) >= _WIDTH:
            line = _BLOCK.sub(HIDDEN, line)
        hidden.append(line)
    return hidden


def _suspects(shapes: set[bytes]) -> set[bytes]:
    """The shapes (in lower case, without digits) of lines on which the patterns have to be tried."""
    whole = b"\n".join(shapes)
    keys = [hint for hint in _KEY_HINTS if hint in whole]
    hints = [hint for hint in _HINTS if hint in whole]
    return {
        shape
        for shape in shapes
        if any(hint in shape for hint in hints)
        or (b"://" in shape and b"@" in shape)
        or any(_has_value(shape, key) for key in keys)
    }


def _has_value(shape: bytes, key: bytes) -> bool:
    at = shape.find(key)
    while at >= 0:
        if _BEHIND_KEY.match(shape, at) or (b"--" in shape and _BEHIND_FLAG.match(shape, at)):
            return True
        at = shape.find(key, at + len(key))
    return False


def _hide(line: str) -> str:
    if "-----BEGIN" in line:
        line = _PEM.sub(rf"\1{HIDDEN}\2", line)
    line = _URL.sub(rf"\g<head>{HIDDEN}", line)
    line = _KNOWN.sub(HIDDEN, line)
    line = _COOKIE.sub(rf"\g<head>{HIDDEN}", line)
    line = _SCHEME.sub(_scheme, line)
    line = _HEADER.sub(lambda match: match["head"] + HIDDEN if _random(match["value"]) else match[0], line)
    line = _KEYED.sub(_keyed, line)
    line = _FLAG.sub(_keyed, line)
    line = _ELEMENT.sub(rf"\1{HIDDEN}", line)
    return _SQL.sub(rf"\1\2{HIDDEN}", line)


def _scheme(match: re.Match[str]) -> str:
    is_header = "authorization" in match["head"].lower()  # without the header's name, `Basic usage` is prose
    return match["head"] + HIDDEN if is_header or _random(match["value"]) else match[0]


def _keyed(match: re.Match[str]) -> str:
    kind = next(name for name in ("escaped", "double", "single", "bare") if match[name] is not None)
    value, rest = match[kind], ""
    if kind == "bare":
        value = _NEXT.split(value)[0]
        value = value.rstrip(",)]}") or value
        rest = match[kind][len(value) :]
    if not _is_secret(value, match["strong"] is not None, prose=kind == "bare" and "=" not in match["sep"]):
        return match[0]
    return match[0][: match.start(kind) - match.start()] + HIDDEN + rest


def _is_secret(value: str, strong: bool, *, prose: bool) -> bool:
    if _NOTHING.fullmatch(value):
        return False
    if strong:
        return not (prose and value.lower().rstrip(".,:!?") in _PROSE)
    return len(value) >= 8 and " " not in value and _random(value)


_WORDS = re.compile(r"(?:[A-Z]?[a-z]+|[A-Z]+)(?:[A-Z][a-z]+)*")


def _random(value: str) -> bool:
    """Whether a value looks drawn at random rather than written: letters with digits, or cases mixed without order."""
    letters, digits = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    if digits:
        return letters
    return len(value) >= 12 and not all(_WORDS.fullmatch(word) for word in re.split(r"[\W_]+", value) if word)
