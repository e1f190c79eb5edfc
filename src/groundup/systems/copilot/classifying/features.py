"""Log records as a table of numbers: what a model is trained on, and what a person explores.

    row = describe(record)     # {"hour_of_day": 14, "is_error": 1, "contains_database": 1, "error_type": "database", …}
    table = tabulate(records)  # the same of many records, as columns; what is not known is NaN

Two kinds of features. The fixed ones are the same for every system: level, time, length, a status, an exception, the
things that a message is about. The words are learnt (`Vocabulary`): those that come in several templates, so that a
word that belongs to one template only cannot stand for that template.

Features of the text are those of the masked message: numbers, addresses and identifiers are counted, and nothing can be
learnt from which one it was. Not covered: what comes before and after a record.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from groundup.masking import VALUE, Masker
from groundup.systems.copilot.finding import signs
from groundup.systems.copilot.reading.joining import EXCEPTION
from groundup.systems.copilot.reading.logs import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOOK = 2_000  # characters of a message that are read, as when it is masked
LEVELS = {"trace": 0, "debug": 1, "info": 2, "warn": 3, "error": 4, "fatal": 5}
MOST_WORDS = 300  # words that a vocabulary takes in
FEW = 2  # templates that a word must come in

# What a message is about. A word counts from its beginning: `auth` finds authentication, not oauth.
CONCEPTS = {
    "failed": r"fail|unable|could ?n.t|cannot|can.t|abort|gave up|giving up",
    "error": r"errors?\b|err\b|severe|panic|fault|corrupt|invalid|illegal|bad\b",
    "exception": r"\w*exception|traceback|stack ?trace|throw|caused by",
    "connection": r"connect|socket|link|reset by peer|refused|unreachable|broken pipe|network|packet|tcp\b|udp\b|dns\b",
    "timeout": r"time[- ]?d?[- ]?out|deadline|expired",
    "database": r"database|db\b|sql|postgres|mysql|mongo|redis|query|transaction|deadlock|constraint",
    "memory": r"memory|oom|heap|swap|cache|tlb|out of mem|gc\b|alloc",
    "disk": r"disk|file|storage|volume|mount|inode|no space|director|i/?o\b|nfs|lustre",
    "cpu": r"cpu|processor|core\b|cores\b|load average|throttl",
    "authentication": r"auth|log[io]n|password|credential|token|session|user\b",
    "permission": r"permission|denied|forbidden|unauthori[sz]ed|privilege|not allowed",
    "certificate": r"certificate|tls\b|ssl\b|x509|handshake",
    "configuration": r"config|setting|option|parameter|property|environment",
    "kernel": r"kernel|interrupt|hardware|machine check|parity|register|node\b|torus|device|driver|ecc\b",
    "container": r"container|pod\b|pods\b|image|kube|docker|node\b|evict|back-?off|schedul",
    "request": r"http|request|response|get\b|post\b|put\b|delete\b|endpoint|api\b|url\b|status",
    "process": r"process|thread|exit|kill|signal|terminat|crash|restart|child|fork",
    "queue": r"queue|message broker|kafka|rabbit|consumer|producer|topic\b|offset|lag\b",
    "success": r"succe|ok\b|complete|ready|started|listening|recovered|corrected|healthy|up to date",
    "retry": r"retr[yi]|attempt|again|back-?off",
}
_CONCEPTS = {name: re.compile(rf"(?<![a-z])(?:{pattern})") for name, pattern in CONCEPTS.items()}
# The type of an error: the first of these that the message is about.
ERROR_TYPES = (
    "timeout", "certificate", "permission", "authentication", "connection", "database", "memory", "disk", "cpu",
    "configuration", "container", "kernel", "queue", "process", "request",
)  # fmt: skip
OTHER = "other"
NUMBERS = (
    "hour_of_day", "has_timestamp", "level", "is_error", "is_warning", "gravity", "says_failure", "status",
    "has_exception", "joined_lines", "word_count", "value_count", "length", "capitals",
)  # fmt: skip
FIXED = (
    *NUMBERS,
    *(f"contains_{name}" for name in CONCEPTS),
    *(f"error_type={name}" for name in (*ERROR_TYPES, OTHER)),
)
_WORD = re.compile(r"[A-Za-z]{2,}")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class _Text:
    """What the words of a record say; the same for all records with the same masked text."""

    numbers: dict[str, float]
    concepts: dict[str, int]
    about: str  # the error's type if it is one
    words: frozenset[str]


def words(text: str, service: str | None = None) -> frozenset[str]:
    """The words of a masked text in lower case, `camelCase` taken apart; the service as a word of its own kind."""
    terms = {word.lower() for word in _WORD.findall(_CAMEL.sub(" ", text.replace(VALUE, " ")))}
    return frozenset(terms | ({f"service:{service.lower()}"} if service else set()))


def _read(masked: str, service: str | None) -> _Text:
    lowered = masked.lower()
    concepts = {name: int(pattern.search(lowered) is not None) for name, pattern in _CONCEPTS.items()}
    letters = [c for c in masked if c.isalpha()]
    numbers = {
        "says_failure": float(signs.is_failure(masked)),
        "word_count": float(len(masked.split())),
        "value_count": float(masked.count(VALUE)),
        "length": float(len(masked)),
        "capitals": sum(map(str.isupper, letters)) / len(letters) if letters else 0.0,
    }
    about = next((name for name in ERROR_TYPES if concepts[name]), OTHER)
    return _Text(numbers, concepts, about, words(masked, service))


class Reader:
    """Records as features; a text that was read before is not read again, which is what makes a stream quick."""

    def __init__(self) -> None:
        self.texts: list[_Text] = []
        self.masker = Masker()
        self._known: dict[tuple[str, str | None], int] = {}

    def text(self, record: Record) -> int:
        """Which of `texts` the record's is: its message, and what its exception is called."""
        masked = self.masker(record.message)
        if record.exception:
            masked = f"{masked} {_exception(record)}"
        key = (masked, record.service)
        index = self._known.get(key)
        if index is None:
            index = self._known[key] = len(self.texts)
            self.texts.append(_read(masked, record.service))
        return index

    def numbers(self, record: Record, text: _Text) -> dict[str, float]:
        """The fixed features but for what the message is about; NaN for what is not known."""
        status = record.status
        hour = math.nan if record.time is None else float(datetime.fromtimestamp(record.time, UTC).hour)
        exception = record.exception or EXCEPTION.search(record.message[:LOOK]) is not None
        weight = signs.gravity(record.message, record.level, status, record.fields, record.exception).weight
        return {
            **text.numbers,
            "hour_of_day": hour,
            "has_timestamp": float(record.time is not None),
            "level": math.nan if record.level is None else float(LEVELS[record.level]),
            "is_error": float(record.level in ("error", "fatal")),
            "is_warning": float(record.level == "warn"),
            "gravity": float(weight),
            "status": math.nan if status is None else float(status),
            "has_exception": float(exception),
            "joined_lines": float(len(record.joined)),
        }


def _exception(record: Record) -> str:
    """The names of the exceptions that a record carries."""
    names = (EXCEPTION.search(line[:LOOK]) for line in record.joined)
    return " ".join(dict.fromkeys(match[0] for match in names if match))


def describe(record: Record) -> dict[str, int | float | str | None]:
    """The features of one record, in the terms of people: counts as whole numbers, None for what is not known."""
    return next(describe_all([record]))


def describe_all(records: Iterable[Record]) -> Iterator[dict[str, int | float | str | None]]:
    """The features of each record."""
    reader = Reader()
    for record in records:
        text = reader.texts[reader.text(record)]
        yield _described(record, reader.numbers(record, text), text)


def _described(record: Record, numbers: dict[str, float], text: _Text) -> dict[str, int | float | str | None]:
    plain = {name: _plain(numbers[name]) for name in NUMBERS}
    concepts = {f"contains_{name}": value for name, value in text.concepts.items()}
    return {**plain, "level": record.level, **concepts, "error_type": _type(numbers, text)}


def _type(numbers: dict[str, float], text: _Text) -> str | None:
    """The type of the error that a record tells of; None where it tells of none."""
    return text.about if numbers["is_error"] or numbers["says_failure"] or numbers["has_exception"] else None


def _plain(value: float) -> int | float | None:
    if math.isnan(value):
        return None
    return int(value) if value == int(value) else round(value, 4)


@dataclass(frozen=True)
class Table:
    """Records as numbers.

    Attributes:
        values: the fixed features of each record, of shape (n_records, len(FIXED)); NaN for what is not known.
        text: for each record, which of `words` are its.
        words: the words of each distinct text.
    """

    values: NDArray[np.float32]
    text: NDArray[np.intp]
    words: list[frozenset[str]]

    def __len__(self) -> int:
        return len(self.values)

    def column(self, name: str) -> NDArray[np.float32]:
        """One fixed feature of all records."""
        return self.values[:, FIXED.index(name)]

    def rows(self, which: Any) -> Table:
        """Some of the records."""
        return Table(self.values[which], self.text[which], self.words)


def tabulate(records: Iterable[Record]) -> Table:
    """The table of records. It grows by some 250 bytes for each."""
    import numpy as np

    reader = Reader()
    rows: list[NDArray[np.float32]] = []
    text: list[int] = []
    for record in records:
        number = reader.text(record)
        message = reader.texts[number]
        numbers = reader.numbers(record, message)
        kind = _type(numbers, message)
        types = [float(kind == name) for name in (*ERROR_TYPES, OTHER)]
        rows.append(
            np.array([*map(numbers.__getitem__, NUMBERS), *message.concepts.values(), *types], dtype=np.float32)
        )
        text.append(number)
    values = np.stack(rows) if rows else np.zeros((0, len(FIXED)), dtype=np.float32)
    return Table(values, np.array(text, dtype=np.intp), [message.words for message in reader.texts])


@dataclass(frozen=True)
class Vocabulary:
    """The words that are features, and the fixed features that are used beside them."""

    words: tuple[str, ...]
    fixed: tuple[str, ...] = FIXED

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns."""
        return (*self.fixed, *(f"word:{word}" for word in self.words))

    @classmethod
    def learn(cls, table: Table, templates: NDArray[Any], *, fixed: tuple[str, ...] = FIXED) -> Vocabulary:
        """The words that come in two templates of these records or more, the most frequent first; blind to labels."""
        import numpy as np

        by_template: dict[Any, set[str]] = {}
        for text, template in np.unique(np.stack([table.text, templates], axis=1), axis=0).tolist():
            by_template.setdefault(template, set()).update(table.words[text])
        counts = Counter(word for words in by_template.values() for word in words)
        often = sorted((word for word, count in counts.items() if count >= FEW), key=lambda word: (-counts[word], word))
        return cls(tuple(often[:MOST_WORDS]), fixed)

    def matrix(self, table: Table) -> NDArray[np.float32]:
        """The columns of these records, of shape (n_records, n_features)."""
        import numpy as np

        place = {word: i for i, word in enumerate(self.words)}
        presence = np.zeros((len(table.words), len(self.words)), dtype=np.float32)
        for row, words in enumerate(table.words):
            presence[row, [place[word] for word in words if word in place]] = 1
        columns = [FIXED.index(name) for name in self.fixed]
        return np.hstack([table.values[:, columns], presence[table.text]])
