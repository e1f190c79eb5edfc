"""The page: a message, what is proposed with its details, a yes, the record and the way back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from groundup.systems.shop import open_store
from groundup.systems.shop.answering import learn
from tests.systems.served import served
from tests.systems.shop.conftest import customer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENSHOTS = Path(__file__).parents[3] / "artifacts" / "screenshots"
SLOW = 60_000  # milliseconds; the machine may be busy
EVIL = "T-Shirt ![x](http://evil.example/p.png)"


@pytest.fixture(scope="module")
def shop(first_day: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with a product whose name would like to draw a picture."""
    path = Path(shutil.copy(first_day, tmp_path_factory.mktemp("page") / "shop.sqlite"))
    with open_store(path) as store:
        with store.transaction() as connection:
            connection.execute("UPDATE products SET name = ? WHERE name = 'T-Shirt'", (EVIL,))
        learn(store, path)
    return path


@pytest.fixture(scope="module")
def address(shop: Path) -> Iterator[str]:
    with served("shop", "--store", str(shop)) as (_, page):
        yield page


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(SLOW)
        page.goto(address)
        page.get_by_label("Message", exact=True).wait_for()
        yield page
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(SCREENSHOTS / "shop-last.png"))


def say(page: Page, message: str) -> None:
    page.get_by_label("Message", exact=True).fill(message)
    page.get_by_role("button", name="Send").click()


@pytest.mark.browser
@pytest.mark.timeout(300)
class TestInABrowser:
    def test_an_order_is_cancelled_by_a_button_under_its_details_and_brought_back(self, page: Page, shop: Path):
        with open_store(shop) as store:
            user, order = customer(store, "pending")
        say(page, f"I want to cancel my order {order.id}, it was a mistake")
        page.get_by_text("Who are you?").wait_for()
        say(page, user.email)
        page.get_by_text("Waits for your yes").wait_for()
        page.get_by_text(f"Cancel order {order.id}").last.wait_for()
        page.get_by_role("button", name="Yes, do this").click()
        page.get_by_text("Done, as entry 1 of the record.").wait_for()
        page.get_by_role("tab", name="Orders").click()
        page.get_by_text(f"{order.id} · cancelled").wait_for()
        page.get_by_role("tab", name="Record").click()
        page.get_by_role("button", name="Undo").click()
        page.get_by_text("Undone by 2").wait_for()
        with open_store(shop) as store:
            assert store.order(order.id) == order

    def test_nothing_in_a_name_becomes_part_of_the_page(self, page: Page):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.get_by_role("button", name="Begin a new one").click()
        page.get_by_text("Nothing said yet").first.wait_for()
        say(page, "What is the cheapest T-Shirt?")
        page.get_by_text("The cheapest T-Shirt ![x]").first.wait_for()
        assert not any("evil" in url for url in asked)

    def test_it_fits_a_narrow_window_in_the_dark(self, browser: Browser, address: str):
        with browser.new_context(viewport={"width": 380, "height": 800}, color_scheme="dark") as context:
            page = context.new_page()
            page.set_default_timeout(SLOW)
            page.goto(address)
            page.get_by_label("Message", exact=True).wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") <= 380
