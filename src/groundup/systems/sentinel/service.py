"""The work of the sentinel's API, without HTTP: scans, cases, decisions that a person confirms, questions."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groundup.api.work import NotReady, NotThere, opening
from groundup.errors import UsageError
from groundup.knowledge import Knowledge, Part, Reopened, default_location, open_place
from groundup.systems.sentinel.cases import Action, Case, Cases, open_cases
from groundup.systems.sentinel.intelligence import Analyst, Answer
from groundup.systems.sentinel.risk import RULES
from groundup.systems.sentinel.scanning import Scanner

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Settings:
    """The settings of an API.

    Attributes:
        store: the file of cases; the block list is beside it.
        models: the folder of trained detectors; the included detectors replace missing ones.
        rules: the file of rules.
        token: the bearer token that it demands; empty for none.
        hosts: host names that it answers to; empty for all.
        model: the chat model (`groundup.llm.chat_model`); empty for `GROUNDUP_LLM`, or the embedded answerer.
        knowledge: the place of the documents on techniques; empty for the folder beside the store.
        body_limit: the largest body, in bytes.
        timeout: the longest request, in seconds.
    """

    store: Path
    models: Path
    rules: Path = RULES
    token: str = ""
    hosts: tuple[str, ...] = ()
    model: str = ""
    knowledge: str = ""
    body_limit: int = 32 * MEGABYTE
    timeout: float = 120.0

    def __post_init__(self) -> None:
        if not self.timeout > 0:
            raise UsageError(f"timeout must be more than 0 seconds, got {self.timeout:g}. For example: 60.")


class Sentinel:
    """The work of the API.

    Raises:
        ConfigError: the rules break a rule.
        UsageError: the model does not exist.
        StoreError: the store cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        from groundup.llm import chat_model

        self.settings, self.scanner = settings, Scanner(settings.models, settings.rules)
        self.model = chat_model(settings.model or None)
        self._knowledge = Reopened(settings.knowledge or default_location(settings.store))
        self._scanning = threading.Lock()
        with self.cases():  # creates a missing store
            pass

    @contextmanager
    def cases(self) -> Iterator[Cases]:
        """The store, opened for one piece of work."""
        with open_cases(self.settings.store) as cases:
            yield cases

    @property
    def knowledge(self) -> Knowledge | None:
        """The documents as they are now; None for none."""
        return self._knowledge.now()

    def scan(self, url: str, screenshot: str, log: str, names: dict[str, str]) -> Case:
        """Scan, and keep the case. The screenshot comes as base64.

        Raises:
            UsageError: there is no input, or an input cannot be read.
        """
        try:
            picture = base64.b64decode(screenshot, validate=True) if screenshot else None
        except (binascii.Error, ValueError) as error:
            raise UsageError(f"screenshot must be base64, and it is not: {error}. Encode the file's bytes.") from error
        with self._scanning:  # one scan at a time: a detector is read once, and PyTorch takes all cores
            finding = self.scanner.scan(
                url=url, screenshot=picture, log=log.encode("utf-8", "replace") if log else None, names=names
            )
        with self.cases() as cases:
            return cases.add(finding)

    def all(self) -> list[Case]:
        """Every case, the newest first."""
        with self.cases() as cases:
            return cases.all()

    def find(self, id: str) -> Case:
        """One case."""
        with self.cases() as cases:
            return cases.find(id)

    def decide(self, id: str, action: Action, by: str, confirmed: bool) -> Case:
        """Carry out a decision that a person has confirmed.

        Raises:
            UsageError: the decision is not confirmed, or the policy forbids it.
            Standing: another decision stands.
        """
        if not confirmed:
            raise UsageError("confirm must be true, got false: a decision is a person's. Ask a person, then send true.")
        with self.cases() as cases:
            return cases.decide(id, action, by=by)

    def undo(self, id: str, by: str) -> Case:
        """Take the standing decision back."""
        with self.cases() as cases:
            return cases.undo(id, by=by)

    def listed(self) -> list[str]:
        """The entries of the block list."""
        with self.cases() as cases:
            return cases.listed()

    def ask(self, question: str) -> Answer:
        """Answer a question from the lists and the documents.

        Raises:
            NotReady: no source has the lists.
        """
        catalogue = self.scanner.catalogue
        if catalogue is None:
            raise NotReady(
                "ATT&CK and CISA's list must be on this machine, and they are not. Set GROUNDUP_DATA_MIRROR."
            )
        return Analyst(catalogue, self.scanner.guard, self.knowledge, self.model).ask(question)

    def open(self, where: str) -> list[Part]:
        """The text behind a citation.

        Raises:
            NotThere: there is no such place.
        """
        with opening():
            knowledge = self.knowledge
            if knowledge is None:
                raise NotThere("There is no document to open: groundup sentinel learn makes them.")
            return open_place(where, knowledge)


def document(case: Case) -> dict[str, Any]:
    """A case as plain data, with the decision that stands."""
    data = asdict(case)
    data["standing"] = asdict(case.standing) if case.standing else None
    return data
