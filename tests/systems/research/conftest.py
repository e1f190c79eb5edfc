"""What tests of the research assistant need: its own documents, learnt once, and a place for runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models.chat_models import BaseChatModel

from groundup.knowledge import Knowledge, open_knowledge
from groundup.llm import chat_model
from groundup.systems.research import Research, open_research
from groundup.systems.research.demo import DOCUMENTS

Opened = Callable[..., AbstractContextManager[Research]]


@pytest.fixture(scope="session")
def location(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the knowledge base of the demo's documents is."""
    folder = tmp_path_factory.mktemp("research") / "research.knowledge"
    open_knowledge(folder).learn([DOCUMENTS])
    return folder


@pytest.fixture(scope="session")
def knowledge(location: Path) -> Knowledge:
    return open_knowledge(location, reading=True)


@pytest.fixture
def opened(knowledge: Knowledge, tmp_path: Path) -> Opened:
    """Open the runs of this test, with a model (the embedded one) and a knowledge base (the demo's)."""

    def call(model: BaseChatModel | None = None, **given: Any) -> AbstractContextManager[Research]:
        options = {"knowledge": knowledge, "model": model or chat_model("embedded"), **given}
        return open_research(tmp_path / "research.sqlite", **options)

    return call
