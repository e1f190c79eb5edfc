"""Secrets in log lines replaced by `***`, before a line is stored, mined or sent anywhere.

    hide("login user=eve password=hunter2 from 10.0.0.1")
    # "login user=eve password=*** from 10.0.0.1"

What counts as one: the value of a key that names a secret (`password`, `api_key`, `client-secret` …) in any usual
notation (`key=value`, YAML, JSON also within JSON, flags, query strings, XML), authorization and cookie headers, the
password in a URL, tokens that are known by their form (AWS, GitHub, GitLab, Slack, Stripe, Google, JWT …), private
keys. The key stays, so that the line can still be understood and counted with its kind.

Commands that take a password (`curl -u`, `mysql -p`, `docker login -p` …), manifests of Kubernetes' secrets, webhooks
and `the password is …` count as well.

Not covered: a secret that stands alone and looks like any other word (`using hunter2 now`), and one that is encoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

HIDDEN = "***"

# A line with a secret holds at least one of these, whatever the case: to look for them is many times quicker than the
# patterns. Keys count only where they end a name and a value follows: `auth-service` is no suspect, `auth=` is.
_KEY_HINTS = (b"pass", b"pwd", b"pw", b"secret", b"token", b"auth", b"credential", b"signature", b"sig", b"key", b"otp")
_HINTS = (
    b"bearer ", b"basic ", b"negotiate ", b"cookie", b"private key", b"identified by", b"eyj", b"akia", b"asia",
    b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"glpat-", b"xox", b"k_live_", b"k_test_", b"sk-",
    b"aiza", b"ya.", b"npm_", b"hf_", b"sg.", b"hvs.", b"pypi-", b"dckr_pat_", b"whsec_", b"dop_v_", b"glrt-", b"gldt-",
    b"glptt-", b"dapi", b"shpat_", b"shpss_", b"sqatp-", b"sqcsp-", b"key-", b"nrak-", b"pmak-", b"rubygems_",
    b"gocspx-", b"tskey-", b"sntrys_", b"nvapi-", b"lin_api_", b"atatt", b"atctt", b"age-secret", b"xapp-", b":aa",
    b"/services/t", b"/webhook", b"stringdata", b"secret\"", b"secret\\", b"curl ", b"wget ", b"mysql", b"mariadb",
    b"sshpass", b"redis-cli", b"mongo", b"ldap", b"htpasswd", b"sqlcmd", b"-pass", b"pgp private",
)  # fmt: skip
_NAMED_HINTS = (b"pass", b"pwd", b"secret", b"token", b"key")  # before the word `value`
# Tokens that no word tells: what they are without their digits.
_FORMS = (re.compile(rb"\bsk[a-f]{4,}\b"), re.compile(rb"\bakc[a-z]{6,}"), re.compile(rb"[a-f]{4,}-us\b"),
          re.compile(rb"\b[mno][\w-]{10,}\.[\w-]{2,7}\.[\w-]{12,}"))  # fmt: skip
_SPACED = tuple(hint for hint in _HINTS if b" " in hint)
_JOINED = tuple((mark, tuple(hint for hint in _HINTS if mark in hint and b" " not in hint)) for mark in (b"_", b"-"))
_PLAIN = tuple(hint for hint in _HINTS if not any(mark in hint for mark in (b" ", b"_", b"-")))
# The rest of a key, from one of `_KEY_HINTS` on, and what stands before its value.
_REST = (
    r"(?:pass(?:word|wd|phrase|code)?|pwd|pw|secret(?:[_.-]?key(?:[_.-]?base)?)?|token|auth(?:orization)?|credentials?"
    r"|signature|sig|key|otp)"
)
_ASSIGNED = rf"{_REST}(?![\w-])(?:>|\\*[\"']?\s*[:=])"
_BEHIND_KEY = re.compile(_ASSIGNED.encode())
_BEHIND_FLAG = re.compile(rf"{_REST}\s".encode())
_FLAGGED = re.compile(rb"(?<!\S)--?[a-z]")
# Words that stand in many harmless lines, and what must follow them.
_SENTENCES = (b"password ", b"passphrase ", b"passcode ", b"login ")
_SENTENCE = re.compile(
    rb"pass(?:word|phrase|code)(?: for \S+)? (?:is|was|has been|(?:re)?set to|changed to)\b|\blogin .* -p"
)
_LOWER = bytes(range(256)).lower()
_DIGITS = b"0123456789"


# ── keys that name a secret ─────────────────────────────────────────────────────────────────────────────────────────
# Behind a `strong` key everything is secret. Behind a `weak` one only what looks like it: these words stand in harmless
# lines too (`unexpected token: }`, `token=12`, `secret: my-app not found`).
_STRONG = (
    r"pass(?:word|wd|phrase|code)|(?<=[a-z0-9][_.-])pass|(?-i:(?<=[a-z])Pass)|pwd|(?<![a-z0-9])pw"
    r"|secret[_.-]?key[_.-]?base|(?<![a-z])otp|private[_.-]token|(?:client|app|shared|consumer|webhook|jwt|signing)[_.-]?secret"
    r"|secret[_.-]?(?:access[_.-]?)?key|(?:api|access|account|private|signing|encryption|master)[_.-]?key"
    r"|(?:access|auth|refresh|session|security|bearer|bot|api)[_.-]?token"
)
_WEAK = (
    r"(?<![a-z0-9])pass|(?:auth|service|storage|deploy|app|consumer|license|ssh|hmac|client)[_.-]?key"
    r"|secret|token|credentials?|(?:shared[_.-]?access[_.-]?)?signature|sig|auth|(?:api|access)\ key"
)
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
_SQL_SHAPE = re.compile(rb"password ['\"]")
_ASSIGNMENT = re.compile(_ASSIGNED, re.IGNORECASE)
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
    r"(?P<head>[a-z][a-z0-9+.-]{1,30}://[^\s/:@\"']{0,200}:)(?!\d{1,5}[/?\#])(?:[^\s\"'<>?\#]{1,256}|[^\s\"'@<>]{1,256})(?=@[\w.\[-])",
    re.IGNORECASE,
)
_KNOWN = re.compile(
    r"\b(?:(?:AKIA|ASIA)[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{22,}|glpat-[\w-]{20,}|xox[abeprs]-[\w-]{10,}"
    r"|[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]*[A-Za-z0-9]{20,}[\w-]*|AIza[\w-]{35}|ya29\.[\w-]{20,}|npm_[A-Za-z0-9]{36}"
    r"|hf_[A-Za-z0-9]{30,}|SG\.[\w-]{16,}\.[\w-]{16,}|hvs\.[\w-]{20,}|pypi-[\w-]{30,}|dckr_pat_[\w-]{20,}"
    r"|(?:whsec|rubygems|sntrys|nvapi|lin_api|shpat|shpss|dop_v1|xapp)[_-][\w+/=-]{20,}|gl(?:rt|dt|ptt|agent|soat)-[\w-]{20,}"
    r"|dapi[0-9a-f]{32}|sq0(?:atp|csp)-[\w-]{20,}|key-[0-9a-f]{32}|(?:NRAK|PMAK)-[\w-]{20,}|GOCSPX-[\w-]{20,}"
    r"|tskey-[\w-]{16,}|AT[AC]TT3[\w=-]{20,}|AGE-SECRET-KEY-1[0-9A-Z]{50,}|\d{8,10}:AA[\w-]{30,}|SK[0-9a-f]{32}"
    r"|[0-9a-f]{32}-us\d{1,2}|AKC[A-Za-z0-9]{10,}|[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{4,}\.[\w-]*)(?![\w-])"
)
_PEM = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----).*?(-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|$)")

# ── commands, manifests, webhooks, sentences ────────────────────────────────────────────────────────────────────────
_ARGUMENT = r"(?:'[^']*'|\"[^\"]*\"|[^\s'\";|&]+)"
_COMMANDS = tuple(
    (words, re.compile(rf"(\b{command}){_ARGUMENT}"))
    for words, command in (
        (
            ("curl", "wget"),
            r"(?:curl|wget)\b[^|;&]{0,300}?\s(?:-u|-U|--user|--proxy-user)(?:\s+|=)?['\"]?(?!https?:)[^\s:'\"]{1,100}:",
        ),
        (
            ("mysql", "mariadb"),
            r"(?:mysql|mysqldump|mysqladmin|mysqlimport|mariadb(?:-\w+)?)\b[^|;&]{0,300}?\s-p(?=\S)",
        ),
        (("sshpass",), r"sshpass\s+-p\s*"),
        (
            ("login",),
            r"(?:docker|podman|nerdctl|buildah|skopeo|helm|oc|az|cf|aws|gcloud)\s[^|;&]{0,100}?login\b[^|;&]{0,300}?\s-p\s*",
        ),
        (("redis-cli",), r"redis-cli\b[^|;&]{0,300}?\s-a\s*"),
        (("mongo",), r"mongo(?:sh|dump|restore|export|import)?\s[^|;&]{0,300}?\s-p\s*"),
        (("ldap",), r"ldap(?:search|modify|add|delete|whoami|passwd)\b[^|;&]{0,300}?\s-w\s*"),
        (("sqlcmd",), r"sqlcmd\b[^|;&]{0,300}?\s-P\s*"),
        (("htpasswd",), r"htpasswd\s[^|;&]{0,100}?-\w*b\w*\s+\S+\s+\S+\s+"),
    )
)
_QUOTED_USER = re.compile(r"(\bcurl\b[^|;&]{0,300}?\s(?:-u|--user)(?:\s+|=)?(['\"])[^\s:'\"]{1,100}:)[^'\"]*")
_PASSED = re.compile(r"(-pass(?:in|out)?\s+pass:)\S+")  # openssl
_SECRET = re.compile(r"\\*\"kind\\*\"\s*:\s*\\*\"Secret\\*\"")
_MANIFEST = re.compile(r"\\*\"(?:data|stringData)\\*\"\s*:\s*\{[^{}]*\}?")
_MEMBER = re.compile(r"(:\s*\\*\")((?:[^\"\\]|\\(?!\"))+)")
_NAMED = re.compile(
    rf"((?:key|name)\\*[\"']?\s*[=:]\s*\\*[\"']?[\w.:-]{{0,60}}?(?:{_STRONG}|secret|token)(?:\\*[\"'])?[\s,]+"
    r"\\*[\"']?value\\*[\"']?\s*[=:]\s*(?:\\*[\"'])?)([^\s\"'\\,}>/]+)",
    re.IGNORECASE,
)
_HOOK = re.compile(r"(/services/T\w+/B\w+/|/webhooks?/\d+/)[\w-]{16,}")
_TOLD = re.compile(
    r"(\b(?:password|passphrase|passcode)(?:\s+for\s+\S+)?\s+"
    r"(?:(?:(?:is|was|has\s+been)\s+)?(?:(?:re)?set|changed)\s+to|is|was)(?:\s+now)?:?\s+)(['\"]?)([^\s'\"]+)",
    re.IGNORECASE,
)
_USER = re.compile(r"(?<=://)[^\s/:@\"'<>]{16,200}(?=@[\w.-])")  # a token in place of a user
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
    words = set(whole.split())  # each is looked into once, however many lines hold it
    every = b" ".join(words)
    suspects: set[bytes] = set()
    for hint in _hints_in(whole, words, every):
        suspects.update([shape for shape in shapes if hint in shape])
    for key in _KEY_HINTS:
        if key in every:
            suspects.update([shape for shape in shapes if key in shape and _has_value(shape, key)])
    for word in _SENTENCES:
        if word in whole:
            suspects.update([shape for shape in shapes if word in shape and _SENTENCE.search(shape)])
    if b"://" in every:
        suspects.update([shape for shape in shapes if b"://" in shape and b"@" in shape])
    if b"value" in every:
        named = [shape for shape in shapes if b"value" in shape]
        suspects.update([shape for shape in named if any(key in shape for key in _NAMED_HINTS)])
    return suspects


def _hints_in(whole: bytes, words: set[bytes], every: bytes) -> list[bytes]:
    """Those of `_HINTS` that occur in lines: with a space in the lines, with `_` or `-` in the words that have it."""
    hints = [hint for hint in _SPACED if hint in whole]
    for mark, joined in _JOINED:
        some = b" ".join([word for word in words if mark in word])
        hints += [hint for hint in joined if hint in some]
    for form in _FORMS:
        hints += form.findall(every)
    return hints + [hint for hint in _PLAIN if hint in every]


def _has_value(shape: bytes, key: bytes) -> bool:
    """Whether a value follows a key: behind `:` or `=`, in an element, or behind the name of a flag."""
    at = shape.find(key)
    while at >= 0:
        if _BEHIND_KEY.match(shape, at) or (_BEHIND_FLAG.match(shape, at) and _quoted_or_flag(shape)):
            return True
        at = shape.find(key, at + len(key))
    return False


def _quoted_or_flag(shape: bytes) -> bool:
    return _FLAGGED.search(shape) is not None or _SQL_SHAPE.search(shape) is not None


def _hide(line: str) -> str:
    lower = line.lower()
    for needles, hidden in _RULES:
        for needle in needles:
            if needle in lower:
                line = hidden(line)
                break
    return line


def _keys(line: str) -> str:
    """The values of keys that name a secret."""
    if _ASSIGNMENT.search(line) is None:  # to look for the key alone is quicker than to look for all that begins it
        return line
    line = _KEYED.sub(_keyed, line)
    return _phrase(line) if f": {HIDDEN} " in line else line


def _manifest(line: str) -> str:
    """The data of a Kubernetes secret."""
    if _SECRET.search(line) is None:
        return line
    return _MANIFEST.sub(lambda match: _MEMBER.sub(rf"\g<1>{HIDDEN}", match[0]), line)


def _named(match: re.Match[str]) -> str:
    return match[1] + (match[2] if _NOTHING.fullmatch(match[2]) else HIDDEN)


def _header(match: re.Match[str]) -> str:
    return match["head"] + HIDDEN if _random(match["value"]) else match[0]


def _user(match: re.Match[str]) -> str:
    return HIDDEN if _random(match[0]) else match[0]


def _scheme(match: re.Match[str]) -> str:
    is_header = "authorization" in match["head"].lower()  # without the header's name, `Basic usage` is prose
    return match["head"] + HIDDEN if is_header or _random(match["value"]) else match[0]


def _told(match: re.Match[str]) -> str:
    value = match[3].rstrip(".,;!")
    secret = len(value) >= 4 and value != HIDDEN and (match[2] or any(map(str.isdigit, value)) or _random(value))
    return match[1] + match[2] + HIDDEN + match[3][len(value) :] if secret else match[0]


_PHRASE = re.compile(r"(?: [a-z]+)+(?=$|[\s.,;)\]}\"'])")


def _phrase(line: str) -> str:
    """A passphrase of plain words: all of them go, up to a word that stands in sentences."""
    begin = line.find(f": {HIDDEN} ")
    while begin >= 0:
        at = begin + 2 + len(HIDDEN)
        words = (_PHRASE.match(line, at) or [""])[0].split()
        kept = next((i for i, word in enumerate(words) if word in _PROSE), len(words))
        if kept >= 2:
            line = line[:at] + line[at + sum(len(word) + 1 for word in words[:kept]) :]
        begin = line.find(f": {HIDDEN} ", at)
    return line


def _keyed(match: re.Match[str]) -> str:
    kind = next(name for name in ("escaped", "double", "single", "bare") if match[name] is not None)
    value, rest = match[kind], ""
    if kind == "bare":
        value = _NEXT.split(value)[0]
        value = value.rstrip(",)]}") or value
        rest = match[kind][len(value) :]
    if match["key"].lower() in ("pwd", "oldpwd") and value[:1] in "/~.":
        return match[0]  # a folder
    if not _is_secret(value, match["strong"] is not None, prose=kind == "bare" and "=" not in match["sep"]):
        return match[0]
    return match[0][: match.start(kind) - match.start()] + HIDDEN + rest


def _is_secret(value: str, strong: bool, *, prose: bool) -> bool:
    if _NOTHING.fullmatch(value):
        return False
    if strong:
        return not (prose and value.lower().rstrip(".,:!?") in _PROSE)
    return len(value) >= 8 and " " not in value and not _FILE.search(value) and _random(value)


_FILE = re.compile(r"/[\w-]+\.\w{1,5}$")


_WORDS = re.compile(r"(?:[A-Z]?[a-z]+|[A-Z]+)(?:[A-Z][a-z]+)*")


_NAME_PART = re.compile(r"(?:[a-z]+|v?\d{1,3}|[a-z]{2,}\d{1,2})")  # `registry-credentials-v2` is a name


def _random(value: str) -> bool:
    """Whether a value looks drawn at random rather than written: letters with digits, or cases mixed without order."""
    letters, digits = any(map(str.isalpha, value)), any(map(str.isdigit, value))
    if digits:
        parts = [part for part in re.split(r"[\W_]+", value) if part]
        return letters and not (len(parts) > 1 and all(map(_NAME_PART.fullmatch, parts)))
    return len(value) >= 12 and not all(_WORDS.fullmatch(word) for word in re.split(r"[\W_]+", value) if word)


# ── the rules in their order, each with words without which it changes nothing ──────────────────────────────────────
_KEY_WORDS = tuple(hint.decode() for hint in _KEY_HINTS)
_RULES: tuple[tuple[tuple[str, ...], Callable[[str], str]], ...] = (
    (("secret",), _manifest),
    (("curl",), partial(_QUOTED_USER.sub, rf"\g<1>{HIDDEN}")),
    *((words, partial(command.sub, rf"\g<1>{HIDDEN}")) for words, command in _COMMANDS),
    (("pass:",), partial(_PASSED.sub, rf"\g<1>{HIDDEN}")),
    (("/services/t", "/webhook"), partial(_HOOK.sub, rf"\g<1>{HIDDEN}")),
    (("value",), partial(_NAMED.sub, _named)),
    (("password", "passphrase", "passcode"), partial(_TOLD.sub, _told)),
    (("://",), partial(_USER.sub, _user)),
    (("-----begin",), partial(_PEM.sub, rf"\1{HIDDEN}\2")),
    (("://",), partial(_URL.sub, rf"\g<head>{HIDDEN}")),
    (("",), partial(_KNOWN.sub, HIDDEN)),
    (("cookie",), partial(_COOKIE.sub, rf"\g<head>{HIDDEN}")),
    (("digest", "aws4-", "bearer", "basic", "negotiate", "token", "apikey"), partial(_SCHEME.sub, _scheme)),
    (("authorization",), partial(_HEADER.sub, _header)),
    (_KEY_WORDS, _keys),
    (("-",), partial(_FLAG.sub, _keyed)),
    (("</",), partial(_ELEMENT.sub, rf"\1{HIDDEN}")),
    (("identified by", "password "), partial(_SQL.sub, rf"\1\2{HIDDEN}")),
)
