"""`Shop`: a message in, a reply out. The router decides who answers; code alone takes a yes for a yes.

    shop = Shop(store, router=Router.load(load()), knowledge=knowledge, model=None)
    reply = shop.say(conversation, "What sizes do the boots have?")

1. A plain yes carries out the open proposal, and a plain no drops it. Any other message drops it too: a later yes must
   mean the details that were shown last.
2. A message outside the shop is sent away, and a message that the router is unsure of is asked back; no model sees
   either.
3. Documents answer questions about products and rules, with citations.
4. The model handles everything else, or the clerk without a model.
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
REMEMBERED = 20  # messages of the conversation that a model sees
OUTSIDE = "I can only help with this shop: its products, and your orders. What can I do for you?"
SILENT = "Our documents do not say. Shall a person answer this?"
QUESTION = "Shall I do this? Answer yes or no."


class Routes(Protocol):
    """A router, or its stand-in in a test."""

    def route(self, message: str) -> Route:
        """The route of a message."""
        ...


@dataclass(frozen=True)
class Reply:
    """The shop's reply to a message.

    Attributes:
        text: the reply in words.
        route: the router's route; None for a yes or no.
        proposal: the proposal that waits for the customer's yes.
        entry: the entry of the change just made.
        answer: sentences with citations, for a question about products or rules.
        asks: the missing fact that the reply asks for.
        left_out: the sentences of a model that were removed.
        calls: the called tools, in order.
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
        router: gives the route of a message.
        knowledge: the documents on products and rules.
        model: the chat model; None for the embedded clerk, and quotes.
        dialect: the form in which the model asks for tools.

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
        self.tools: Tools | None = None  # the last message's tools, for a caller that records the calls

    def say(self, conversation: str, message: str, *, told: Callable[[Called], None] | None = None) -> Reply:
        """The reply to a message of the customer.

        Args:
            conversation: its id.
            message: the customer's message.
            told: receives each tool call as soon as it was made.

        Raises:
            UnknownName: there is no such conversation.
            UsageError: the message is empty, or too long.
            ModelUnavailable: the model does not answer; the customer's message is then not kept.
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
        """Carry out a proposal: the customer pressed the button under its details."""
        reply = self._done(self.desk.confirm(conversation, proposal, digest))
        self._keep(conversation, "yes", reply, {})
        return reply

    def decline(self, conversation: str) -> Reply:
        """Drop the open proposal."""
        self.desk.find(conversation)
        self.desk.decline(conversation)
        reply = Reply("Nothing was changed. What else can I do for you?")
        self._keep(conversation, "no", reply, {})
        return reply

    # ── one message ─────────────────────────────────────────────────────────────────────────────────────────────────
    def _reply(self, tools: Tools, conversation: str, message: str, slots: dict[str, Any]) -> Reply:
        waiting = self.desk.waiting(conversation)
        if waiting is not None and (agreed := consent(message)) is not None:
            if not agreed:
                self.desk.decline(conversation)
                return Reply("Nothing was changed. What else can I do for you?")
            try:
                return self._done(self.desk.confirm(conversation, waiting.id, waiting.digest))
            except Forbidden as error:
                self.desk.decline(conversation)
                return Reply(f"That is not possible any more, and nothing was changed. {error}")
        self.desk.decline(conversation)
        if self.model is None and (agreed := consent(message)) is not None and not (agreed and slots.get("asks")):
            slots.clear()
            return Reply("Nothing waits for a yes." if agreed else "Nothing was changed. What else can I do for you?")
        clerk = Clerk(tools, slots)
        if (choice := clerk.chosen(message)) is not None:
            intent, message = choice
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
        turn = agent.run(self.model, tools, self._past(conversation), message, dialect=self.dialect)
        text = turn.text
        if turn.stop != "answer":
            text = "I could not finish this, and nothing was changed. Shall a person help you?"
        return _with_proposal(tools, Reply(text, route, left_out=turn.left_out))

    def _answered(self, question: str, route: Route) -> Reply:
        from groundup.llm import chat_model

        model: Any = self.model if hasattr(self.model, "invoke") else chat_model("embedded")
        answered = answer(question, self.knowledge, model)
        text = "\n".join(
            line.text + "".join(f" [{number}]" for number in line.citations) for line in answered.lines
        )  # fmt: skip
        return Reply(text or SILENT, route, answer=answered, left_out=answered.left_out)

    def _done(self, entry: Entry) -> Reply:
        return Reply(f"Done, as entry {entry.id} of the record. What else can I do for you?", entry=entry)

    def _past(self, conversation: str) -> list[Message]:
        """The conversation so far, for a model, without its own tool calls."""
        roles = {"customer": "user", "shop": "assistant"}
        past = self.desk.history(conversation)[-REMEMBERED:]
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
    """The reply with the open proposal: the details are the code's own words, whatever a model said."""
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
