"""The tools of a model: typed functions on one conversation. They look up or propose; none changes an order.

tools = Tools(desk, conversation, knowledge)
tools.call("order_details", order_id="#W7678072")        # a text; an error begins with "Error: "
tools.calls                                              # all calls, with their results
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from groundup.errors import GroundupError
from groundup.llm.instructions import blanked
from groundup.stack.agents.react import Call, Tool, observe
from groundup.systems.shop.desk import Desk, Proposal
from groundup.systems.shop.policy import Forbidden
from groundup.systems.shop.world import (
    CancelOrder,
    ChangeAddress,
    ChangeItems,
    ChangePayment,
    ChangeUserAddress,
    Command,
    ExchangeItems,
    Item,
    ReturnItems,
    User,
    dollars,
)

if TYPE_CHECKING:
    from groundup.knowledge import Knowledge

PRODUCTS = 12  # items in the result of a search
PASSAGES = 3


@dataclass(frozen=True)
class Called:
    """A call of a tool: its name, its arguments and its result."""

    name: str
    arguments: dict[str, Any]
    observation: str


class Tools:
    """The tools of one conversation.

    Args:
        desk: the desk that takes proposals.
        conversation: its id.
        knowledge: the documents for product questions; None for none.
        told: receives each call as soon as it was made.
    """

    def __init__(
        self,
        desk: Desk,
        conversation: str,
        knowledge: Knowledge | None = None,
        told: Callable[[Called], None] | None = None,
    ) -> None:
        self.desk, self.conversation, self.knowledge, self.told = desk, conversation, knowledge, told
        self.calls: list[Called] = []
        self.proposal: Proposal | None = None  # the last proposal
        self.refused: Forbidden | None = None  # the last command that the policy forbade
        self.handed_over = ""
        functions: tuple[Callable[..., str], ...] = (
            self.find_user_by_email, self.find_user_by_name, self.user_details, self.order_details,
            self.list_products, self.product_details, self.search_items, self.search_documents, self.cancel_order,
            self.change_address, self.change_payment, self.change_items, self.return_items, self.exchange_items,
            self.change_user_address, self.hand_over,
        )  # fmt: skip
        self.tools = {tool.name: tool for tool in (Tool(self._noted(function), most=4000) for function in functions)}

    def call(self, name: str, **arguments: Any) -> str:
        """Call a tool as a model does: its schema checks the call, and nothing raises."""
        return observe(Call(name, arguments), self.tools, lambda call: True)

    def _noted(self, function: Callable[..., str]) -> Callable[..., str]:
        """The function, with each call noted; the model reads a refusal in words."""

        @functools.wraps(function)
        def noted(**arguments: Any) -> str:
            try:
                text = function(**arguments)
            except GroundupError as error:
                if isinstance(error, Forbidden):
                    self.refused = error
                text = f"Error: {error}"
            self.calls.append(Called(function.__name__, arguments, text))
            if self.told is not None:
                self.told(self.calls[-1])
            return text

        return noted

    # ── looking up ──────────────────────────────────────────────────────────────────────────────────────────────────
    def find_user_by_email(self, email: str) -> str:
        """Identify the customer by their e-mail address."""
        return _user(self.desk.identify_by_email(self.conversation, email))

    def find_user_by_name(self, first_name: str, last_name: str, zip: str) -> str:
        """Identify the customer by name and zip code."""
        return _user(self.desk.identify_by_name(self.conversation, first_name, last_name, zip))

    def user_details(self) -> str:
        """The identified customer's address, payment methods and orders."""
        return _user(self.desk.identified(self.conversation))

    def order_details(self, order_id: str) -> str:
        """An order of the identified customer: its status, items, address and payments."""
        user = self.desk.identified(self.conversation)
        order = self.desk.store.order(order_id)
        if order is None or order.user_id != user.id:
            raise Forbidden(
                "own order", f"order_id must be one of the customer's own orders, got '{order_id}'. "
                f"There are: {', '.join(user.orders) or 'none'}.",
            )  # fmt: skip
        return _json(
            order=order.id, status=order.status, address=str(order.address), total=dollars(order.total),
            items=[_item(item) for item in order.items],
            payments=[f"{payment.kind} {dollars(payment.amount)} {payment.method}" for payment in order.payments],
        )  # fmt: skip

    def list_products(self) -> str:
        """The types of product that the shop sells, with their product ids."""
        return _json(products=self.desk.store.products())

    def product_details(self, product_id: str) -> str:
        """The variants of a product: item ids, options, prices, and whether there are any left."""
        product = self.desk.store.product(product_id)
        if product is None:
            raise Forbidden("product", f"product_id must be a product's, got '{product_id}'. list_products has them.")
        return _json(
            product=product.name, items=[{**_item(item), "available": item.available} for item in product.items]
        )

    def search_items(self, words: str) -> str:
        """Items whose product name and options have all these words."""
        wanted = words.lower().split()
        matches: list[Item] = []
        for id in self.desk.store.products().values():
            product = self.desk.store.product(id)
            for item in product.items if product else ():
                text = f"{item.name} {' '.join(item.options.values())}".lower()
                if wanted and all(word in text for word in wanted):
                    matches.append(item)
        shown = [{**_item(item), "available": item.available} for item in matches[:PRODUCTS]]
        return _json(found=len(matches), items=shown)

    def search_documents(self, question: str) -> str:
        """Passages of product sheets, reviews and the shop's policy that may answer a question."""
        if self.knowledge is None or not question.strip():
            return _json(passages=[])
        passages = self.knowledge.search(question, PASSAGES)
        return "\n\n".join(f"{p.source}:{p.start}-{p.end}\n{blanked(p.text).strip()}" for p in passages)

    # ── proposing ───────────────────────────────────────────────────────────────────────────────────────────────────
    def cancel_order(self, order_id: str, reason: Literal["no longer needed", "ordered by mistake"]) -> str:
        """Propose to cancel a pending order. The customer is shown the details and asked for yes or no."""
        return self._propose(CancelOrder(order_id, reason))

    def change_address(
        self, order_id: str, address1: str, address2: str, city: str, state: str, country: str, zip: str
    ) -> str:
        """Propose another address for a pending order."""
        return self._propose(ChangeAddress(order_id, address1, address2, city, state, country, zip))

    def change_payment(self, order_id: str, payment_method_id: str) -> str:
        """Propose another payment method for a pending order."""
        return self._propose(ChangePayment(order_id, payment_method_id))

    def change_items(self, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str) -> str:
        """Propose other options for items of a pending order; only once, so with all items."""
        return self._propose(ChangeItems(order_id, tuple(item_ids), tuple(new_item_ids), payment_method_id))

    def return_items(self, order_id: str, item_ids: list[str], payment_method_id: str) -> str:
        """Propose to return items of a delivered order."""
        return self._propose(ReturnItems(order_id, tuple(item_ids), payment_method_id))

    def exchange_items(
        self, order_id: str, item_ids: list[str], new_item_ids: list[str], payment_method_id: str
    ) -> str:
        """Propose to exchange items of a delivered order for other options; only once, so with all items."""
        return self._propose(ExchangeItems(order_id, tuple(item_ids), tuple(new_item_ids), payment_method_id))

    def change_user_address(self, address1: str, address2: str, city: str, state: str, country: str, zip: str) -> str:
        """Propose another address for the customer's profile."""
        return self._propose(ChangeUserAddress(address1, address2, city, state, country, zip))

    def hand_over(self, summary: str) -> str:
        """Hand the customer over to a person, for what no other tool does."""
        self.desk.hand_over(self.conversation, summary)
        self.handed_over = summary
        return _json(handed_over=True)

    def _propose(self, command: Command) -> str:
        self.proposal = self.desk.propose(self.conversation, command)
        return _json(proposed=list(self.proposal.details), waits_for="the customer's yes or no")


def _user(user: User) -> str:
    return _json(
        user=user.id, name=f"{user.first_name} {user.last_name}", address=str(user.address),
        payment_methods=[str(method) for method in user.methods.values()], orders=list(user.orders),
    )  # fmt: skip


def _item(item: Item) -> Mapping[str, Any]:
    return {
        "item": item.id,
        "name": item.name,
        "product": item.product_id,
        **item.options,
        "price": dollars(item.price),
    }


def _json(**document: Any) -> str:
    return json.dumps(document, ensure_ascii=False)
