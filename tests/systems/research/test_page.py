"""The page: a question, its plan, its steps, and a report whose citations open beside it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from groundup.systems.research.demo import DOCUMENTS
from groundup.systems.research.page import highlighted
from tests.systems.served import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENSHOTS = Path(__file__).parents[3] / "artifacts" / "screenshots"
SLOW = 60_000  # milliseconds; the machine may be busy
QUESTION = "Why do retries harm an overloaded server, and how does a circuit breaker protect the caller?"
EVIL = '# Beacons\n\nA beacon is ![x](http://evil.example/p.png) <img src="http://evil.example/q.png"> a lamp.\n'


def test_a_quote_stands_out_and_stays_text():
    text = "Before it.\n\nIt is *so*  and\nthus. After it."
    assert highlighted(text, "It is *so* and thus.") == (
        r"Before it\. :orange-background[It is \*so\* and thus\.] After it\."
    )
    assert ":orange" not in highlighted(text, "elsewhere")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of `groundup research serve`, on the demo's documents and one that would like to draw pictures."""
    folder = tmp_path_factory.mktemp("page")
    store, evil = folder / "research.sqlite", folder / "evil"
    evil.mkdir()
    (evil / "beacons.md").write_text(EVIL)
    learn = [sys.executable, "-m", "groundup", "research", "learn", str(DOCUMENTS), str(evil), "--store", str(store)]
    subprocess.run(learn, check=True, capture_output=True)
    with served("research", "--store", str(store), "--model", "embedded") as (_, page):
        yield page


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(SLOW)
        page.goto(address)
        page.get_by_label("Question").wait_for()
        yield page
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(SCREENSHOTS / "research-last.png"))


def ask(page: Page, question: str) -> None:
    page.get_by_label("Question").fill(question)
    page.get_by_role("button", name="Find out").click()


@pytest.mark.browser
@pytest.mark.timeout(300)
class TestInABrowser:
    def test_a_report_has_its_sources_beside_it_and_they_open(self, page: Page):
        ask(page, QUESTION)
        page.get_by_role("heading", name="Sources").wait_for()
        page.get_by_role("heading", name=QUESTION).wait_for()
        page.get_by_text("Open", exact=True).first.click()
        page.locator("[data-testid=stMarkdownContainer] span[style*=background]").first.wait_for()
        with page.expect_download() as download:
            page.get_by_role("button", name="BibTeX").click()
        assert Path(download.value.path()).read_text().startswith("@misc{")
        page.get_by_text(re.compile(r"How it was made: \d+ steps")).click()
        page.get_by_text("Look up every sentence").first.wait_for()

    def test_the_plan_is_changed_before_anything_is_read(self, page: Page):
        page.get_by_text("Show me the plan first").click()
        ask(page, QUESTION)
        page.get_by_text("Nothing is looked for yet.").wait_for()
        page.get_by_label("Plan, a sub-question on each line").fill("What is an idempotency key?")
        page.get_by_role("button", name="Go on").click()
        page.get_by_role("heading", name="Sources").wait_for()
        page.get_by_text("An idempotency key is a random value").first.wait_for()

    def test_nothing_in_a_document_becomes_part_of_the_page(self, page: Page):
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        ask(page, "What is a beacon?")
        page.get_by_role("heading", name="What is a beacon?").wait_for()
        page.get_by_text("evil.example").first.wait_for()
        page.get_by_text("Open", exact=True).first.click()
        page.get_by_text("beacons.md:0-").last.wait_for()
        assert page.locator("img[src*=evil]").count() == 0
        assert not [url for url in asked if "evil" in url]

    def test_documents_and_costs_are_listed(self, page: Page):
        page.get_by_role("tab", name="Sources").click()
        page.get_by_text(re.compile(r"\d+ documents · \d+ chunks")).wait_for()
        page.get_by_role("tab", name="Costs").click()
        page.get_by_text(re.compile(r"\d+ calls")).wait_for()

    @pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 380), ("dark", 380)])
    def test_it_fits_a_phone_and_follows_the_theme(self, browser: Browser, address: str, scheme: str, width: int):
        from playwright.sync_api import expect

        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        look = {"width": width, "height": 1000}
        with browser.new_context(viewport=look, color_scheme=scheme) as context:  # type: ignore[arg-type]
            page = context.new_page()
            page.set_default_timeout(SLOW)
            page.goto(address)
            ask(page, QUESTION)
            page.get_by_text("Working").wait_for()
            page.get_by_text("Working").wait_for(state="hidden")
            page.get_by_role("heading", name="Sources").wait_for()
            if width > 600:  # on a phone the sidebar is folded
                expect(page.locator("[data-testid=stRadio] input").first).to_be_checked(timeout=SLOW)
            page.screenshot(path=str(SCREENSHOTS / f"research-{scheme}-{width}.png"), full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            colour = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
            light = sum(map(int, re.findall(r"\d+", colour)[:3])) > 3 * 128
            assert light == (scheme == "light"), colour
