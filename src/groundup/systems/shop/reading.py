"""The facts of a message beside its intent: customer, order, items, reason, payment method, address.

    read("I am Noah Brown, zip 80279: cancel W7678072, it was a mistake").orders      # ("#W7678072",)

Only facts that stand in the message are taken; the clerk asks for the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from groundup.systems.shop.world import Address, Item, Method, Product

EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
ORDER = re.compile(r"#?\b(W\d{7})\b", re.IGNORECASE)
ITEM = re.compile(r"(?<![\d_])\d{10}(?!\d)")
METHOD = re.compile(r"\b(?:credit_card|paypal|gift_card)_\d{7}\b")
ZIP = re.compile(r"(?<![\d_])\d{5}(?!\d)")
NAME = re.compile(r"(?:\b(?i:name is|i am|i'm|this is|it is|it's)\s+|^\W*)([A-Z][\w'’-]+)\s+([A-Z][\w'’-]+)")
ADDRESS = re.compile(
    r"(\d+ [^,\n]+),\s*(?:((?:suite|apt|apartment|unit|floor)\b[^,\n]*),\s*)?([^,\d\n]+),\s*([A-Z]{2})[ ,]+(\d{5})\b",
    re.IGNORECASE,
)
MISTAKE = re.compile(r"\b(?:mistake|accident(?:ally)?|wrong(?:ly)?|unintended)\b", re.IGNORECASE)
UNNEEDED = re.compile(
    r"\bno longer\b|\bnot? (?:need|want)|\bdon['’]?t (?:need|want)|\bchanged? my mind\b|\bany ?more\b", re.IGNORECASE
)
ALL = re.compile(r"\b(?:every ?thing|all (?:of )?(?:it|them|items|the items|my items)|whole order)\b", re.IGNORECASE)
YES = frozenset("yes|y|yes please|yes do it|yes i do|yes i confirm|i confirm|confirm|confirmed|yes go ahead".split("|"))
NO = frozenset("no|n|no thanks|no thank you|do not|don't|stop|nope|no do not|no don't".split("|"))


def consent(message: str) -> bool | None:
    """Whether a message is a plain yes or a plain no; None for any other message."""
    plain = " ".join(re.findall(r"[\w']+", message.lower().replace("’", "'")))
    return True if plain in YES else False if plain in NO else None


@dataclass(frozen=True)
class Read:
    """The facts of a message; missing facts are empty."""

    email: str = ""
    name: tuple[str, str] | None = None
    zip: str = ""
    orders: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    reason: str = ""
    address: Address | None = None


def read(message: str) -> Read:
    """The facts of a message."""
    email, name, zips, place = (pattern.search(message) for pattern in (EMAIL, NAME, ZIP, ADDRESS))
    reason = "ordered by mistake" if MISTAKE.search(message) else "no longer needed" if UNNEEDED.search(message) else ""
    address = None
    if place:
        street, suite, city, state, code = (part.strip() if part else "" for part in place.groups())
        address = Address(street, suite, city, state.upper(), "USA", code)  # the shop delivers nowhere else
    return Read(
        email[0].rstrip(".") if email else "",
        (name[1], name[2]) if name else None,
        zips[0] if zips else "",
        tuple(dict.fromkeys(f"#{order.upper()}" for order in ORDER.findall(message))),
        tuple(ITEM.findall(message)),
        reason,
        address,
    )


def has(message: str, words: str) -> bool:
    """Whether words stand in a message, as such or with an s."""
    return re.search(rf"(?<![\w-]){re.escape(words)}(?:e?s)?(?![\w-])", message, re.IGNORECASE) is not None


def method_of(message: str, methods: Sequence[Method]) -> Method | None:
    """The payment method that a message means; None for none or several."""
    named = METHOD.findall(message)
    kinds = {"gift_card": ("gift card", "voucher"), "paypal": ("paypal",), "credit_card": ("credit card",)}
    matches = [
        method
        for method in methods
        if (method.id in named if named else any(has(message, word) for word in kinds[method.source]))
        or (not named and method.last_four and has(message, method.last_four))
        or (not named and method.brand and has(message, method.brand))
    ]
    return matches[0] if len(matches) == 1 else None


def items_of(message: str, there: Sequence[Item]) -> list[Item]:
    """The items of an order that a message means: by number, by name with options, or all."""
    if numbers := set(ITEM.findall(message)):
        return [item for item in there if item.id in numbers]
    if ALL.search(message):
        return list(there)
    named = [item for item in there if has(message, item.name)]
    for name in {item.name for item in named}:  # of two of a kind, the one with the most options named
        scores = [sum(has(message, v) for v in item.options.values()) for item in named if item.name == name]
        named = [
            item
            for item in named
            if item.name != name or sum(has(message, v) for v in item.options.values()) == max(scores)
        ]
    return named


def variants_of(message: str, old: Item, product: Product) -> list[Item]:
    """The available variants that a message may mean instead of an item.

    They have every option that the message names and the item lacks; variants that keep the item's other options come
    alone. A clear message leaves one variant; a message that names no other option leaves none.
    """
    available = [item for item in product.items if item.available and item.id != old.id]
    if numbers := [item for item in available if item.id in ITEM.findall(message)]:
        return numbers
    wanted: dict[str, set[str]] = {}
    for item in available:
        for option, value in item.options.items():
            if value != old.options.get(option) and has(message, value):
                wanted.setdefault(option, set()).add(value)
    if not wanted:
        return []
    fitting = [
        item for item in available if all(item.options.get(option) in values for option, values in wanted.items())
    ]
    kept = [
        item
        for item in fitting
        if all(item.options.get(option) == value for option, value in old.options.items() if option not in wanted)
    ]
    return kept or fitting
