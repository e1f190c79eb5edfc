"""What tests of the shop need: a small shop of made-up people, and a router that says what it must."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from groundup.systems.shop import Desk, Shop, Store, open_store
from groundup.systems.shop.routing import Intent, Route
from groundup.systems.shop.world import Order, User


@pytest.fixture(scope="session")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a shop as it begins, filled with the generated stand-in."""
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("GROUNDUP_DATA_MIRROR", raising=False)
        patch.setenv("GROUNDUP_CACHE", str(folder / "cache"))
        patch.setenv("GROUNDUP_OFFLINE", "1")
        with open_store(folder / "shop.sqlite"):
            pass
    return folder / "shop.sqlite"


@pytest.fixture
def path(first_day: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(first_day, tmp_path / "shop.sqlite"))


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with open_store(path) as store:
        yield store


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def people(store: Store) -> Iterator[User]:
    for row in store.rows("SELECT id FROM users ORDER BY id"):
        user = store.user(row["id"])
        assert user is not None
        yield user


def customer(
    store: Store, status: str, fits: Callable[[User, Order], bool] = lambda user, order: True
) -> tuple[User, Order]:
    """The first customer who has an order of this status that fits, and the order."""
    for user in people(store):
        for id in user.orders:
            order = store.order(id)
            if order is not None and order.status == status and fits(user, order):
                return user, order
    raise AssertionError(status)


def card(user: User) -> str:
    """The customer's gift card."""
    return next(method.id for method in user.methods.values() if method.source == "gift_card")


class Says:
    """A router that is sure of one intent."""

    def __init__(self, intent: str, *, sure: bool = True) -> None:
        self.intent: Intent = cast(Intent, intent)
        self.sure = sure

    def route(self, message: str) -> Route:
        return Route(self.intent, 0.9, self.sure, "track_order")


@pytest.fixture
def talk(store: Store) -> Callable[..., list[Any]]:
    """Say messages in a new conversation, to a shop that takes them for one intent; the replies."""

    def say(intent: Intent, *messages: str, **options: Any) -> list[Any]:
        shop = Shop(store, router=Says(intent), **options)
        conversation = shop.desk.begin()
        return [shop.say(conversation, message) for message in messages]

    return say
