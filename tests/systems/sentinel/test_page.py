"""The dashboard: a case decided by a person, and addresses of phishing that never become a link."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from groundup.systems.sentinel.cases import open_cases
from groundup.systems.sentinel.page import plain
from tests.systems.sentinel.conftest import finding
from tests.systems.served import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SLOW = 60_000  # milliseconds; the machine may be busy


def test_what_would_become_a_link_is_defanged():
    for text in ("https://x.top", "HTTPS://x.top", "see www.y.top", "mail a@b.de"):
        assert not any(sign in plain(text).lower() for sign in ("http", "www.", "a@b"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "sentinel.sqlite"
    told = "See https://evil.example/x and www.evil.example and ![x](http://evil.example/p.png) by eve@evil.example."
    with open_cases(path) as cases:
        cases.add(finding(evidence={"url": [told]}))
    return path


@pytest.fixture
def page(browser: Browser, store: Path) -> Iterator[Page]:
    with served("sentinel", "--store", str(store), "--model", "embedded") as (_, address):
        with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
            page = context.new_page()
            page.set_default_timeout(SLOW)
            page.goto(address)
            page.get_by_text("Nothing is done before you confirm it").wait_for()
            yield page


@pytest.mark.browser
@pytest.mark.timeout(300)
def test_a_case_is_decided_by_a_person_and_nothing_of_it_is_a_link(page: Page, store: Path):
    page.get_by_label("Your name").wait_for()
    assert page.locator("a[href*=evil], a[href*=paypa1], img[src*=evil]").count() == 0
    page.get_by_label("Your name").fill("ada")
    page.get_by_role("button", name="Carry out").click()
    page.get_by_text("confirm must be true").wait_for()
    page.get_by_text("I have looked at the case, and confirm this.").click()
    page.get_by_role("button", name="Carry out").click()
    page.get_by_role("button", name="Undo the decision").wait_for()
    assert "block host paypa1-login.top" in store.with_suffix(".blocklist.txt").read_text()
    page.get_by_role("button", name="Undo the decision").click()
    page.get_by_text("Nothing is done before you confirm it").wait_for()
    assert "block host" not in store.with_suffix(".blocklist.txt").read_text()
