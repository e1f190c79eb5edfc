"""`Shop`: a message in, a reply out. The router decides who answers; code alone takes a yes for a yes.

    shop = Shop(store, router=Router.load(load()), knowledge=knowledge, model=None)
    reply = shop.say(conversation, "What sizes do the boots have?")

1. An open proposal is done at a plain yes, and given up at a plain no. Anything else gives it up too: a later yes must
   mean what was shown last.
2. What is not about the shop is sent away, and what the router is unsure of is asked back; no model sees either.
3. Products and rules are answered from documents, with citations.
4. Everything else is the clerk's, or the model's where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, get_args

from groundup.errors import UsageError
from groundup.stack.agents.react import Dialect, Message
from groundup.systems.shop import agent
from groundup.systems.shop.answering import Answer, answer
from groundup.systems.shop.clerk import Clerk
from groundup.systems.shop.desk import Desk, Entry, Proposal
from groundup.systems.shop.policy import Forbidden
from groundup.systems.shop.reading import consent
from groundup.systems.shop.routing import Route
from groundup.systems.shop.store import Store
from groundup.systems.shop.tools import Called, Tools

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

    from groundup.knowledge import Knowledge

LONGEST = 2_000  # characters of a message
REMEMBERED = 20  # messages that a model is shown of the conversation
OUTSIDE = "I can only help with this shop: its products, and your orders. What can I do for you?"
SILENT = "Our documents do not say. Shall a person answer this?"
QUESTION = "Shall I do this? Answer yes or no."


class Routes(Protocol):
    """A router, or what stands for it in a test."""

    def route(self, message: str) -> Route:
        """What a message is about."""
        ...


@dataclass(frozen=True)
class Reply:
    """What the shop says to a message.

    Attributes:
        text: in words.
        route: what the router took the message for; None for a yes or no.
        proposal: what waits for the customer's yes.
        entry: what was done just now.
        answer: sentences with citations, of a question about products or rules.
        asks: what is missing, where that was asked for.
        left_out: sentences of a model that were not let through.
        calls: the tools that were used, in order.
        handed_over: whether a person goes on.
    """

    text: str
    route: Route | None = None
    proposal: Proposal | None = None
    entry: Entry | None = None
    answer: Answer | None = None
    asks: str = ""
    left_out: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    handed_over: bool = False


class Shop:
    """The agent on a store.

    Args:
        store: the database.
        router: what decides what a message is about.
        knowledge: what questions about products and rules are answered from.
        model: the chat model; None for the embedded clerk, and quotes.
        dialect: how the model asks for tools.

    Raises:
        UsageError: there is no such dialect.
    """

    def __init__(
        self,
        store: Store,
        *,
        router: Routes,
        knowledge: Knowledge | None = None,
        model: BaseChatModel | Callable[[list[Message]], Any] | None = None,
        dialect: Dialect = "calls",
    ) -> None:
        if dialect not in get_args(Dialect):
            raise UsageError(f"dialect must be {' or '.join(get_args(Dialect))}, got '{dialect}'. Try calls first.")
        self.store, self.desk, self.router = store, Desk(store), router
        self.knowledge, self.model = knowledge, model
        self.dialect: Dialect = dialect
        self.tools: Tools | None = None  # those of the last message, for whoever records what was called

    def say(self, conversation: str, message: str, *, told: Callable[[Called], None] | None = None) -> Reply:
        """The reply to a message of the customer.

        Args:
            conversation: its id.
            message: what the customer says.
            told: called with each tool that is used, as soon as it was.

        Raises:
            UnknownName: there is no such conversation.
            UsageError: the message says nothing, or too much.
            ModelUnavailable: the model does not answer; what the customer said is not kept then.
        """
        if not message.strip() or len(message) > LONGEST:
            raise UsageError(
                f"message must say something, in at most {LONGEST:,} characters, got {len(message):,}. "
                "Say it again, in other words."
            )
        slots = json.loads(self.desk.find(conversation)["slots"])
        self.tools = Tools(self.desk, conversation, self.knowledge, told=told)
        reply = self._reply(self.tools, conversation, message, slots)
        self._keep(conversation, message, reply, slots)
        return reply

    def confirm(self, conversation: str, proposal: str, digest: str) -> Reply:
        """Do what was proposed, as the customer presses a button under its details."""
        reply = self._done(self.desk.confirm(conversation, proposal, digest))
        self._keep(conversation, "yes", reply, {})
        return reply

    def decline(self, conversation: str) -> Reply:
        """Give up what was proposed."""
        self.desk.find(conversation)
        self.desk.decline(conversation)
        reply = Reply("Nothing was changed. What else can I do for you?")
        self._keep(conversation, "no", reply, {})
        return reply

    def history(self, conversation: str) -> list[dict[str, Any]]:
        """What was said, in order; each message with the reply's details as plain data."""
        self.desk.find(conversation)
        query = "SELECT * FROM messages WHERE conversation = ? ORDER BY place"
        return [
            {"role": row["role"], "text": row["text"], **json.loads(row["more"])}
            for row in self.store.rows(query, conversation)
        ]

    # ── one message ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _reply(self, tools: Tools, conversation: str, message: str, slots: dict[str, Any]) -> Reply:
        waiting = self.desk.waiting(conversation)
        if waiting is not None and (said := consent(message)) is not None:
            if not said:
                self.desk.decline(conversation)
                return Reply("Nothing was changed. What else can I do for you?")
            try:
                return self._done(self.desk.confirm(conversation, waiting.id, waiting.digest))
            except Forbidden as error:
                self.desk.decline(conversation)
                return Reply(f"That is not possible any more, and nothing was changed. {error}")
        self.desk.decline(conversation)
        if self.model is None and (said := consent(message)) is not None and not (said and slots.get("asks")):
            slots.clear()
            return Reply("Nothing waits for a yes." if said else "Nothing was changed. What else can I do for you?")
        clerk = Clerk(tools, slots)
        if (meant := clerk.chosen(message)) is not None:
            intent, message = meant
            slots.clear()
            route = Route(intent, 1.0, True, intent)
        else:
            route = self.router.route(message)
        if not clerk.waits(message, route):
            if not route.sure:
                turn = clerk.unsure(message, route)
                return Reply(turn.text, route, asks=turn.asks)
            if not route.shopping:
                return Reply(OUTSIDE, route)
            if route.intent in ("product_question", "policy_question"):
                slots.clear()
                return self._answered(message, route)
        if self.model is None:
            turn = clerk.say(message, route)
            return _with_proposal(tools, Reply(turn.text, route, asks=turn.asks))
        done = agent.run(self.model, tools, self._past(conversation), message, dialect=self.dialect)
        text = done.text
        if done.stop != "answer":
            text = "I could not finish this, and nothing was changed. Shall a person help you?"
        return _with_proposal(tools, Reply(text, route, left_out=done.left_out))

    def _answered(self, question: str, route: Route) -> Reply:
        from groundup.llm import chat_model

        model: Any = self.model if hasattr(self.model, "invoke") else chat_model("embedded")
        found = answer(question, self.knowledge, model)
        text = "\n".join(
            line.text + "".join(f" [{number}]" for number in line.citations) for line in found.lines
        )  # fmt: skip
        return Reply(text or SILENT, route, answer=found, left_out=found.left_out)

    def _done(self, entry: Entry) -> Reply:
        return Reply(f"Done, as entry {entry.id} of the record. What else can I do for you?", entry=entry)

    def _past(self, conversation: str) -> list[Message]:
        """What was said, for a model; its own tool calls are not told again."""
        roles = {"customer": "user", "shop": "assistant"}
        past = self.history(conversation)[-REMEMBERED:]
        return [{"role": roles[message["role"]], "content": message["text"]} for message in past]

    def _keep(self, conversation: str, message: str, reply: Reply, slots: dict[str, Any]) -> None:
        more = json.dumps({"reply": document(reply)}, ensure_ascii=False)
        with self.store.transaction() as connection:
            query = "SELECT count(*) FROM messages WHERE conversation = ?"
            (place,) = connection.execute(query, (conversation,)).fetchone()
            connection.executemany(
                "INSERT INTO messages VALUES (?, ?, ?, ?, ?)",
                [(conversation, place, "customer", message, "{}"), (conversation, place + 1, "shop", reply.text, more)],
            )
            connection.execute("UPDATE conversations SET slots = ? WHERE id = ?", (json.dumps(slots), conversation))


def _with_proposal(tools: Tools, reply: Reply) -> Reply:
    """The reply, with what was proposed: the details are the code's own words, whatever a model said."""
    proposal = tools.desk.waiting(tools.conversation)
    text = reply.text
    if proposal is not None:
        text = "\n".join(filter(None, (text, *proposal.details, QUESTION)))
    return replace(
        reply, text=text or "I have nothing to say to that. Please say it in other words.", proposal=proposal,
        calls=tuple(called.name for called in tools.calls), handed_over=bool(tools.handed_over),
    )  # fmt: skip


def document(reply: Reply) -> dict[str, Any]:
    """A reply as plain data."""
    return asdict(reply)
