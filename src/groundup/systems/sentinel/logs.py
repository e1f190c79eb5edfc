"""Logs: the surprise of a session to a model of normal sessions.

    profile = Profile.fit(normal_sessions, other_normal_sessions)
    report = profile.judge(sessions(lines))       # score, surprising sessions, and the reasons
    profile.judge(sessions(unlike_anything))      # score None: the model does not know this kind of log

A line becomes its template: its words, without header and values. A session is the lines of a block, a process or a
window, in order. The model is a Markov chain over templates, each with its count in the session so far (up to three).
It learns which template follows which, and when a session may end. A session's surprise is -log p of its most
surprising step, in nats. Knots from held-out normal sessions turn the surprise into a score: one normal session in
twenty reaches 0.5.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundup.errors import StoreError, UsageError
from groundup.masking import mask
from groundup.secrets import hide
from groundup.systems.sentinel.judgement import Judgement
from groundup.systems.sentinel.weightfiles import read
from groundup.terminal import visible

WINDOW = 20  # lines, where no block or process groups them
ORDER, MOST = 1, 3
SMOOTHING = 0.1
KNOWN = 0.5  # the share of lines that the model must know for a score
LEAST = 20  # the fewest normal sessions for the knots
QUANTILES, SCORES = (0.5, 0.95, 0.995), (0.0, 0.5, 1.0)
CHANCE = 0.1  # the score of a log with no more alarms than false alarms
START, END = "^", "$"
_BLOCK = re.compile(r"\bblk_-?\d+")
_PROCESS = re.compile(r"\b[\w.-]+\[\d+\](?=:)")
_PERSON = re.compile(r"(?<=\buser )(?!from\b)\S+|(?<=\bfor )\S+(?= from\b)", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z][A-Za-z_.:*-]*[A-Za-z]|[A-Za-z]")


@dataclass(frozen=True)
class Session:
    """Lines that belong together.

    Attributes:
        name: the block or process, or the numbers of the lines.
        templates: the template of each line, in order.
        lines: the lines themselves; empty where only templates are known.
    """

    name: str
    templates: tuple[str, ...]
    lines: tuple[str, ...] = ()


def template(line: str) -> str:
    """The words of a line without its header, its values and the names of people.

    A header ends with the first word that ends in a colon, if that word is among the first eight and a digit stands in
    the header.
    """
    words = line.split(" ")
    for place, word in enumerate(words[:8]):
        if word.endswith(":") and any(map(str.isdigit, " ".join(words[: place + 1]))):
            words = words[place + 1 :]
            break
    masked = mask(_PERSON.sub("<*>", " ".join(words)))
    kept = [token for token in masked.split() if "<*>" not in token]
    return " ".join(word[0].lower() for token in kept if (word := _WORD.search(token))) or "-"


def sessions(lines: Iterable[str]) -> list[Session]:
    """Lines as sessions: by block if most lines name a block, else by process, else windows of 20 lines."""
    kept = [line.rstrip("\r\n") for line in lines if line.strip()]
    for pattern in (_BLOCK, _PROCESS):
        names = [group[0] if (group := pattern.search(line)) else "" for line in kept]
        if kept and sum(map(bool, names)) > len(kept) / 2 and len({*names}) > 1:
            grouped: dict[str, list[str]] = {}
            for name, line in zip(names, kept, strict=True):
                if name:
                    grouped.setdefault(name, []).append(line)
            return [_session(name, group) for name, group in grouped.items()]
    windows = range(0, len(kept), WINDOW)
    return [_session(f"lines {i + 1} to {min(i + WINDOW, len(kept))}", kept[i : i + WINDOW]) for i in windows]


def _session(name: str, lines: Sequence[str]) -> Session:
    return Session(name, tuple(map(template, lines)), tuple(lines))


@dataclass(frozen=True)
class Surprise:
    """A surprising session: its name, its surprise, and its most surprising step."""

    name: str
    nats: float
    line: str
    why: str


@dataclass(frozen=True)
class LogReport:
    """A model's report on sessions: the judgement, the alarms, the number of sessions, and the share of known lines."""

    judgement: Judgement
    alarms: tuple[Surprise, ...]
    sessions: int
    known: float


class Profile:
    """A model of normal sessions."""

    def __init__(self, grams: dict[tuple[str, ...], int], knots: Sequence[float], name: str) -> None:
        self.grams, self.knots, self.name = grams, tuple(knots), name
        self.contexts: Counter[tuple[str, ...]] = Counter()
        for gram, count in grams.items():
            self.contexts[gram[:-1]] += count
        self.templates = {gram[-1].rsplit("#", 1)[0] for gram in grams}
        self.size = len({gram[-1] for gram in grams}) + 1

    @classmethod
    def fit(cls, fitted: Sequence[Session], others: Sequence[Session], name: str) -> Profile:
        """Count the transitions in normal sessions, and set the knots by other normal sessions.

        Raises:
            UsageError: there are too few sessions.
        """
        if len(others) < LEAST:
            raise UsageError(
                f"normal must hold at least {4 * LEAST} sessions, a quarter of them to set the threshold, got "
                f"{len(fitted) + len(others)}. Give a longer log of ordinary operation."
            )
        grams: Counter[tuple[str, ...]] = Counter()
        for session in fitted:
            tokens = _tokens(session.templates)
            grams.update(tuple(tokens[i - ORDER : i + 1]) for i in range(ORDER, len(tokens)))
        profile = cls(dict(grams), (0.0, 1.0, 2.0), name)
        values = [profile.surprise(session) for session in others]
        knots = np.quantile(values, QUANTILES)
        knots += np.arange(3) * 1e-6  # knots must rise even if all sessions are alike
        return cls(dict(grams), knots.tolist(), name)

    def steps(self, session: Session) -> list[float]:
        """The surprise of each line of a session, and of its end: -log p, in nats."""
        tokens = _tokens(session.templates)
        result = []
        for i in range(ORDER, len(tokens)):
            gram = tuple(tokens[i - ORDER : i + 1])
            count, context = self.grams.get(gram, 0), self.contexts.get(gram[:-1], 0)
            result.append(-math.log((count + SMOOTHING) / (context + SMOOTHING * self.size)))
        return result

    def surprise(self, session: Session) -> float:
        """The surprise of the most surprising step."""
        return max(self.steps(session))

    def score(self, nats: float) -> float:
        """The surprise as a score from 0 to 1, by the knots."""
        return float(np.interp(nats, self.knots, SCORES))

    def judge(self, found: Sequence[Session]) -> LogReport:
        """The score of a log: the score of its most surprising session.

        The score stays low if no more sessions stand out than false alarms alone would give.
        """
        lines = [line for session in found for line in session.templates]
        known = sum(line in self.templates for line in lines) / max(1, len(lines))
        if not lines:
            return LogReport(Judgement(None, ("The log holds no line.",)), (), 0, 0.0)
        if known < KNOWN:
            fault = f"The model of {self.name} knows {known:.0%} of the lines, and says nothing of a log like this."
            advice = "Train one on ordinary lines: groundup sentinel train logs --normal FILE"
            return LogReport(Judgement(None, (fault, advice)), (), len(found), known)
        surprising = sorted(((self.surprise(session), session) for session in found), key=lambda pair: -pair[0])
        alarms = [self._alarm(nats, session) for nats, session in surprising if nats > self.knots[1]]
        expected = len(found) * (1 - QUANTILES[1])
        worst = self.score(surprising[0][0])
        chance = len(alarms) <= expected + 2 * math.sqrt(expected) and len(found) > 1 / (1 - QUANTILES[1])
        far = surprising[0][0] > 2 * self.knots[2]
        score = min(worst, CHANCE) if chance and not far else worst
        evidence = [f"{len(alarms)} of {len(found)} sessions stand out; of as many normal ones, {expected:.1f} would."]
        evidence += [f"{alarm.name}: {alarm.why}" for alarm in alarms[:3]]
        return LogReport(Judgement(score, tuple(evidence)), tuple(alarms), len(found), known)

    def _alarm(self, nats: float, session: Session) -> Surprise:
        steps = self.steps(session)
        worst = int(np.argmax(steps))
        if worst == len(session.templates):
            line, why = session.lines[-1] if session.lines else session.templates[-1], "it ends here, as none does"
        else:
            line = session.lines[worst] if session.lines else session.templates[worst]
            new = session.templates[worst] not in self.templates
            why = "a kind of line that was never seen" if new else "a line that does not follow here"
        line = visible(hide(line))[:300]
        return Surprise(visible(session.name), nats, line, f"{why}: {line}")

    # ── as plain data ───────────────────────────────────────────────────────────────────────────────────────────────
    def to_json(self) -> dict[str, Any]:
        """The model as plain data: templates once, n-grams by their numbers."""
        tokens = sorted({token for gram in self.grams for token in gram})
        number = {token: i for i, token in enumerate(tokens)}
        grams = [[*(number[token] for token in gram), count] for gram, count in sorted(self.grams.items())]
        return {"name": self.name, "tokens": tokens, "grams": grams, "knots": list(self.knots)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Profile:
        """The model from plain data.

        Raises:
            StoreError: the data is no model.
        """
        try:
            tokens = document["tokens"]
            grams = {tuple(tokens[i] for i in gram[:-1]): int(gram[-1]) for gram in document["grams"]}
            knots = [float(knot) for knot in document["knots"]]
            if len(knots) != 3 or sorted(knots) != knots or any(len(gram) != ORDER + 1 for gram in grams):
                raise ValueError(f"knots {knots}")
            return cls(grams, knots, str(document["name"]))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise StoreError(
                f"models must hold a model of logs, and its file holds none: {error!r}. Train it again: groundup "
                "sentinel train logs --again"
            ) from error

    @classmethod
    def read(cls, folder: Path) -> Profile:
        """The model of a folder, or the included model of HDFS.

        Raises:
            StoreError: see `weightfiles.read`.
        """
        return cls.from_json(read("logs", folder).rest)


def _tokens(templates: Sequence[str]) -> list[str]:
    """Templates with their counts so far, between marks of beginning and end."""
    seen: Counter[str] = Counter()
    tokens = [START] * ORDER
    for text in templates:
        seen[text] += 1
        tokens.append(f"{text}#{min(seen[text], MOST)}")
    return [*tokens, END]
