"""Runs in one SQLite file: begun, continued after any stop, listed, and read as reports.

    with open_research("research.sqlite", knowledge=knowledge, model=chat_model()) as research:
        id = research.begin("What is full jitter?", Budget(seconds=60))
        steps = list(research.run(id))
        research.report(id).citations

A step is on the disk before the next step begins. After a stop, by Ctrl-C, `kill -9` or a model that did not answer,
the next `run` repeats the stopped step, and no step before it.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from groundup.errors import StoreError, UnknownName, UsageError
from groundup.extras import need
from groundup.knowledge.places import PLACE
from groundup.secrets import hide
from groundup.systems.research.planning import Routing
from groundup.systems.research.report import Report, make_report
from groundup.systems.research.state import Budget, Cost, State, Step, initial
from groundup.systems.research.web.pages import around
from groundup.systems.research.web.recorded import TABLES, Kept, kept_page

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

    from groundup.knowledge import Knowledge, Part
    from groundup.systems.research.graph import Brain
    from groundup.systems.research.web import Web

LONGEST = 1_000  # characters of a question
MOST_LINES = 10  # of a person's plan
_TABLE = """CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, question TEXT NOT NULL, begun TEXT NOT NULL, model TEXT NOT NULL, knowledge TEXT NOT NULL,
    budget TEXT NOT NULL, web TEXT NOT NULL DEFAULT '')"""


@dataclass(frozen=True)
class Run:
    """A run as it was begun, and its next step.

    Attributes:
        id: its name.
        question: the question.
        begun: the time of its beginning, in UTC.
        model: the model that reads and writes (`groundup.llm.chat_model`); empty for the embedded answerer.
        knowledge: the place of the knowledge base; empty for the web alone.
        web: the web to search and read (`open_web`, or `run:ID`); empty for documents alone.
        next: the next node; empty for a finished run.
    """

    id: str
    question: str
    begun: str
    model: str
    knowledge: str
    web: str
    next: str


def need_packages() -> None:
    """Raise MissingPackage, with the command that installs them, where research lacks packages."""
    need(
        "Research", "chromadb", "langchain_core", "langgraph", "langgraph.checkpoint.sqlite", "numba",
        "opentelemetry.sdk", "Stemmer",
    )  # fmt: skip


@contextmanager
def open_research(
    path: str | Path,
    *,
    knowledge: Knowledge | None = None,
    model: BaseChatModel | None = None,
    web: Web | None = None,
    router: Routing = "trained",
    reading: bool = False,
) -> Iterator[Research]:
    """The runs in a file; a missing file is created, unless `reading`.

    Args:
        path: the SQLite file.
        knowledge: the documents; needed to `run`, unless there is the web.
        model: the model that reads and writes; needed to `run`.
        web: the web to search and read.
        router: decides between documents and web for each sub-question: "trained", or "rules" alone.
        reading: whether the file must exist.

    Raises:
        UsageError: `reading`, and there is no such file; or there is no such router.
        StoreError: the file cannot be opened, or is no store of runs.
        MissingPackage: LangGraph is not installed.
    """
    need_packages()
    from langgraph.checkpoint.sqlite import SqliteSaver

    if router not in get_args(Routing):
        raise UsageError(
            f"router must be {' or '.join(get_args(Routing))}, got {router!r}. Leave it out for the first."
        )
    if reading and not Path(path).is_file():
        raise UsageError(
            f"store must be a file that exists, and '{path}' does not. Begin with `groundup research ask`."
        )
    database = None
    try:
        database = sqlite3.connect(str(path), check_same_thread=False, timeout=30.0)
        saver = SqliteSaver(database)
        saver.setup()
        with database:
            database.execute(_TABLE)
            database.executescript(TABLES)
            if "web" not in {column[1] for column in database.execute("PRAGMA table_info(runs)")}:
                database.execute("ALTER TABLE runs ADD COLUMN web TEXT NOT NULL DEFAULT ''")  # a store before the web
        yield Research(database, saver, knowledge, model, web, router)
    except sqlite3.Error as error:
        raise StoreError(
            f"store must be a file that can be read and written, and '{path}' cannot be: {error}. "
            "Free some space, or name another file with --store."
        ) from error
    finally:
        if database is not None:
            database.close()


class Research:
    """The runs. `open_research` makes one."""

    def __init__(
        self,
        database: sqlite3.Connection,
        saver: Any,
        knowledge: Knowledge | None,
        model: BaseChatModel | None,
        web: Web | None = None,
        router: Routing = "trained",
    ) -> None:
        self.database, self.saver, self.knowledge, self.model, self.web = database, saver, knowledge, model, web
        self.router: Routing = router
        self.instructions: dict[str, str] = {}  # for the model, by purpose, in place of the usual instructions

    def begin(
        self, question: str, budget: Budget | None = None, *, model: str = "", knowledge: str = "", web: str = ""
    ) -> str:
        """Store a new run, and return its id. Nothing is searched before `run`.

        Args:
            question: the question; secrets in it are hidden.
            budget: the limits.
            model: the model's name, for a later `resume`.
            knowledge: the place of the knowledge base, for a later `resume` from any folder.
            web: the web to search and read, for a later `resume`; otherwise the name of the open web.

        Raises:
            UsageError: the question is empty, or too long; or the budget limits money, and the model has no price.
        """
        hidden = hide(" ".join(question.split()))
        if not any(map(str.isalnum, hidden)):
            raise UsageError(f"question must say something, got {question!r}. For example: What is full jitter?")
        if len(hidden) > LONGEST:
            raise UsageError(f"question must have at most {LONGEST:,} characters, got {len(hidden):,}. Ask in parts.")
        self._check_priced(budget or Budget())
        id, now = uuid.uuid4().hex[:8], datetime.now(UTC).isoformat(timespec="seconds")
        web = web or (self.web.name if self.web else "")
        if knowledge and not knowledge.startswith(("http://", "https://")):
            knowledge = str(Path(knowledge).resolve())
        row = (id, hidden, now, model, knowledge, json.dumps(asdict(budget or Budget())), web)
        with self.database:
            self.database.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        return id

    def run(self, id: str, *, until: str = "") -> Iterator[Step]:
        """Continue a run to its end; yield each step once it is on the disk, and none for a finished run.

        Args:
            id: the run, or the beginning of its id.
            until: the node after which it stops; the next `run` continues.

        Raises:
            UnknownName: there is no such run.
            ModelUnavailable: the model does not answer. The run stays where it is.
            UsageError: the budget limits money, and the model has no price. The run stays where it is.
        """
        from groundup.systems.research.graph import build
        from groundup.systems.research.tracing import traced_run

        run = self.find(id)
        brain = self._brain(run.id)
        graph, config = build(brain, self.saver), self._config(run.id)
        begun = bool(graph.get_state(config).values)
        if begun and not run.next:
            return
        self._check_priced(self.budget(run.id))
        first = None if begun else initial(run.question, asdict(self.budget(run.id)))
        stop = [until] if until else None
        with traced_run(run.id) as brain.span:
            for changes in graph.stream(first, config, stream_mode="updates", durability="sync", interrupt_after=stop):
                for node, update in changes.items():
                    if node != "__interrupt__":
                        yield from update["trace"]

    def _check_priced(self, budget: Budget) -> None:
        """Raise where a limit of money could not be kept, for want of the model's price."""
        if self.model is None or budget.money is None or budget.prices is None:
            return
        from groundup.systems.research.calls import name_of  # here, as its spans need OpenTelemetry, an extra's

        name = name_of(self.model)
        if name not in budget.prices.models:
            raise UsageError(
                f"prices must have the model '{name}' for a limit of money, and have "
                f"{', '.join(budget.prices.models)}. Add it to the file, or leave out the limit."
            )

    def replan(self, id: str, plan: Sequence[str]) -> None:
        """Replace the plan by a person's sub-questions, before any search.

        Raises:
            UnknownName: there is no such run.
            UsageError: the run has no plan yet, or has searched already; or the plan has no line, or too many.
        """
        run, state = self.find(id), self._state(self.find(id).id)
        if state is None or not state["trace"] or state["trace"][-1]["node"] != "plan":
            step = f"{run.next} comes next" if run.next else "the report is done"
            raise UsageError(f"plan must be changed when it is made and nothing is looked for, and {step}.")
        lines = [hide(" ".join(line.split())) for line in plan]
        lines = list(dict.fromkeys(line for line in lines if any(map(str.isalnum, line))))
        if not 1 <= len(lines) <= MOST_LINES:
            raise UsageError(
                f"plan must have from 1 to {MOST_LINES} sub-questions, got {len(lines)}. One on each line."
            )
        step = {"node": "plan", "what": f"by a person: {' · '.join(lines)}", "seconds": 0.0}
        from groundup.systems.research.graph import build

        graph = build(self._brain(run.id), self.saver)
        graph.update_state(self._config(run.id), {"plan": lines, "trace": [step]}, as_node="plan")

    def budget(self, id: str) -> Budget:
        """The limits of a run."""
        (budget,) = self.database.execute("SELECT budget FROM runs WHERE id = ?", (self.find(id).id,)).fetchone()
        return Budget.stored(json.loads(budget))

    def costs(self, id: str) -> list[Cost]:
        """Each call of a model so far."""
        state = self._state(self.find(id).id)
        return state["costs"] if state else []

    def planned(self, id: str) -> list[str]:
        """The sub-questions of a run; none before its plan."""
        state = self._state(self.find(id).id)
        return state["plan"] if state else []

    def report(self, id: str) -> Report:
        """The report of a finished run.

        Raises:
            UnknownName: there is no such run.
            UsageError: the run is not finished.
        """
        run = self.find(id)
        if run.next:
            raise UsageError(
                f"run '{run.id}' must be done, and {run.next} comes next. `groundup research resume {run.id}`"
            )
        state = self._state(run.id)
        assert state is not None
        return make_report(run.id, run.begun, state, run.web)

    def replayed(self, id: str) -> Web:
        """The pages that a run read, as the only source of another run.

        Raises:
            UnknownName: there is no such run.
        """
        return Kept(self.database, self._held, self.find(id).id, None)

    def open_page(self, citation: str, id: str = "") -> list[Part]:
        """The kept text behind a citation of a page, with its surroundings.

        Args:
            citation: the place from a report, `https://docs.example/jitter:120-260`.
            id: the run that read the page; otherwise the newest such run.

        Raises:
            UnknownName: no run has read the page, or there is no such run.
            UsageError: the citation is no place of the page.
        """
        match = PLACE.fullmatch(citation)
        if match is None:
            raise UsageError(
                f"CITATION must be as a report gives it: 'https://docs.example/jitter:120-260', got '{citation}'."
            )
        page = kept_page(self.database, match["source"], self.find(id).id if id else "")
        if page is None:
            known = [row[0] for row in self.database.execute("SELECT DISTINCT address FROM pages")]
            raise UnknownName("page that was read", match["source"], known, see="groundup research reports")
        start, end = int(match["start"]), int(match["end"])
        if not start < end <= len(page.text):
            raise UsageError(
                f"CITATION must be a place in the page, and {page.address} has none from {start} to {end} as it was "
                f"read at {page.accessed}. Name the report that cites it with --report."
            )
        return around(page, start, end)

    def find(self, id: str) -> Run:
        """The run whose id begins with `id`.

        Raises:
            UnknownName: no run fits, or several do.
        """
        begins = self._runs("WHERE substr(id, 1, length(?)) = ?", (id, id)) if id else []
        if len(begins) != 1:
            known = [row[0] for row in self.database.execute("SELECT id FROM runs ORDER BY rowid DESC")]
            raise UnknownName("report", id, known, see="groundup research reports")
        return begins[0]

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        return self._runs("", ())

    def _runs(self, which: str, values: tuple[str, ...]) -> list[Run]:
        columns = "id, question, begun, model, knowledge, web"
        rows = self.database.execute(f"SELECT {columns} FROM runs {which} ORDER BY rowid DESC", values)
        return [
            Run(id, question, begun, model, knowledge, web, self._next(id))
            for id, question, begun, model, knowledge, web in rows.fetchall()
        ]

    def _brain(self, id: str) -> Brain:
        from groundup.systems.research.graph import Brain

        assert self.knowledge is not None or self.web is not None, "runs need a knowledge base, or the web"
        assert self.model is not None, "runs need a model"
        web = None if self.web is None else Kept(self.database, self._held, id, self.web)
        return Brain(self.knowledge, self.model, web, self.router, self.instructions)

    def _held(self) -> AbstractContextManager[object]:
        """Holds the file against the saver, which writes from threads of its own."""
        return self.saver.lock

    def _next(self, id: str) -> str:
        state = self._state(id)
        nodes = [step["node"] for step in state["trace"]] if state else []
        if not nodes:
            return "classify"
        assert state is not None
        if nodes[-1] == "cover":
            from groundup.systems.research.graph import after_cover

            return after_cover(state)
        return FOLLOWING[nodes[-1]]

    def _state(self, id: str) -> State | None:
        saved = self.saver.get_tuple(self._config(id))
        values = saved.checkpoint["channel_values"] if saved else {}
        return cast(State, values) if "trace" in values else None

    @staticmethod
    def _config(id: str) -> Any:
        return {"configurable": {"thread_id": id}, "recursion_limit": 10_000}  # the budget ends it, long before


FOLLOWING = {
    "classify": "plan",
    "plan": "retrieve",
    "retrieve": "read",
    "read": "cover",
    "write": "verify",
    "verify": "",
}
