"""The shop's world as plain data: people, products, orders, commands. Money is whole cents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Source = Literal["credit_card", "paypal", "gift_card"]
PENDING, CHANGED, DELIVERED, CANCELLED = "pending", "pending (items modified)", "delivered", "cancelled"
RETURN, EXCHANGE = "return requested", "exchange requested"


def dollars(cents: int) -> str:
    """An amount as people read it."""
    return f"{'-' if cents < 0 else ''}${abs(cents) // 100:,}.{abs(cents) % 100:02}"


def phrase(options: Mapping[str, str]) -> str:
    """The options of an item in words: "color blue, size M"."""
    return ", ".join(f"{name} {value}" for name, value in options.items())


@dataclass(frozen=True)
class Address:
    """The address of an order, or of a customer."""

    address1: str
    address2: str
    city: str
    state: str
    country: str
    zip: str

    def __str__(self) -> str:
        """On one line."""
        street = ", ".join(filter(None, (self.address1, self.address2)))
        return f"{street}, {self.city}, {self.state} {self.zip}, {self.country}"


@dataclass(frozen=True)
class Method:
    """A payment method of a customer; `balance` belongs to a gift card."""

    id: str
    source: Source
    brand: str = ""
    last_four: str = ""
    balance: int = 0

    def __str__(self) -> str:
        """In words, with its id."""
        if self.source == "gift_card":
            return f"gift card {self.id} ({dollars(self.balance)} left)"
        if self.source == "paypal":
            return f"PayPal account {self.id}"
        return f"{self.brand} ending in {self.last_four} ({self.id})"


@dataclass(frozen=True)
class User:
    """A customer."""

    id: str
    first_name: str
    last_name: str
    email: str
    address: Address
    methods: Mapping[str, Method]
    orders: tuple[str, ...]


@dataclass(frozen=True)
class Item:
    """A variant of a product that can be bought."""

    id: str
    product_id: str
    name: str
    options: Mapping[str, str]
    price: int
    available: bool = True

    def __str__(self) -> str:
        """In words, with its id and price."""
        return f"{self.name} {self.id} ({phrase(self.options)}), {dollars(self.price)}"


@dataclass(frozen=True)
class Product:
    """A type of product, with its variants."""

    id: str
    name: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Payment:
    """Money from a customer to the shop (`payment`) or back (`refund`)."""

    kind: Literal["payment", "refund"]
    amount: int
    method: str


@dataclass(frozen=True)
class Order:
    """An order. `request` is the last request: the reason of a cancellation, or the items that come back."""

    id: str
    user_id: str
    status: str
    address: Address
    items: tuple[Item, ...]
    payments: tuple[Payment, ...]
    request: Mapping[str, Any]

    @property
    def total(self) -> int:
        """The price of its items together."""
        return sum(item.price for item in self.items)

    @property
    def paid_with(self) -> str:
        """The payment method of its first payment."""
        return self.payments[0].method

    def document(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


# ── commands ────────────────────────────────────────────────────────────────────────────────────────────────────────
Reason = Literal["no longer needed", "ordered by mistake"]
REASONS: tuple[str, ...] = get_args(Reason)


@dataclass(frozen=True)
class CancelOrder:
    """Cancel a pending order, and refund it."""

    order_id: str
    reason: str


@dataclass(frozen=True)
class ChangeAddress:
    """Send a pending order to another address."""

    order_id: str
    address1: str
    address2: str
    city: str
    state: str
    country: str
    zip: str


@dataclass(frozen=True)
class ChangePayment:
    """Pay a pending order with another method."""

    order_id: str
    payment_method_id: str


@dataclass(frozen=True)
class ChangeItems:
    """Put other variants in the place of items of a pending order."""

    order_id: str
    item_ids: tuple[str, ...]
    new_item_ids: tuple[str, ...]
    payment_method_id: str


@dataclass(frozen=True)
class ReturnItems:
    """Send items of a delivered order back."""

    order_id: str
    item_ids: tuple[str, ...]
    payment_method_id: str


@dataclass(frozen=True)
class ExchangeItems:
    """Send items of a delivered order back for other variants."""

    order_id: str
    item_ids: tuple[str, ...]
    new_item_ids: tuple[str, ...]
    payment_method_id: str


@dataclass(frozen=True)
class ChangeUserAddress:
    """Change the customer's own address; their orders keep theirs."""

    address1: str
    address2: str
    city: str
    state: str
    country: str
    zip: str


Command = (
    CancelOrder | ChangeAddress | ChangePayment | ChangeItems | ReturnItems | ExchangeItems | ChangeUserAddress
)  # fmt: skip
COMMANDS: dict[str, type[Command]] = {
    "cancel_order": CancelOrder, "change_address": ChangeAddress, "change_payment": ChangePayment,
    "change_items": ChangeItems, "return_items": ReturnItems, "exchange_items": ExchangeItems,
    "change_user_address": ChangeUserAddress,
}  # fmt: skip
NAMES = {kind: name for name, kind in COMMANDS.items()}


def command_of(name: str, arguments: Mapping[str, Any]) -> Command:
    """A command from its name and plain data."""
    kind: Any = COMMANDS[name]
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()})
