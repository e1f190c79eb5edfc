"""The page in a real browser: upload, timeline, templates, feedback, predictions, cited answers, following."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from groundup.api.page import plain
from groundup.api.serving import page_command
from groundup.systems.copilot import ingest_files, open_store
from groundup.systems.copilot.demo import RUNBOOKS, label
from groundup.systems.copilot.incident import Incident, generate
from groundup.systems.copilot.serving.serving import PAGE
from tests.systems.served import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENSHOTS = Path(__file__).parents[3] / "artifacts" / "screenshots"
SLOW = 60_000  # milliseconds; the machine may be busy
EVIL = 'ERROR ![x](http://evil.example/p.png) <img src="http://evil.example/q.png"> [click](http://evil.example)'


@dataclass
class Running:
    """An API and a page in processes of their own."""

    page: str
    api: str
    folder: Path
    incident: Incident
    asked: set[str] = field(default_factory=set)  # hosts that the browser asked for anything


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """What `groundup copilot serve` starts, on the synthetic incident with its labels and runbooks."""
    folder = tmp_path_factory.mktemp("page")
    incident = generate(minutes=20)
    store = folder / "copilot.duckdb"
    with open_store(store) as opened:
        ingest_files(opened, [str(path) for path in incident.write(folder / "logs")])
        label(incident, opened)
    learn = [sys.executable, "-m", "groundup", "copilot", "learn", str(RUNBOOKS), "--store", str(store)]
    subprocess.run(learn, check=True, capture_output=True)
    with served("copilot", "--store", str(store)) as (api, page):
        yield Running(page, api, folder, incident)


@pytest.fixture
def page(browser: Browser, running: Running) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(SLOW)
        page.on("request", lambda request: running.asked.add(request.url.split("/")[2].split(":")[0]))
        page.goto(running.page)
        page.get_by_text("The root cause").wait_for()
        yield page
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(SCREENSHOTS / "copilot-last.png"))


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


@pytest.mark.browser
@pytest.mark.timeout(300)
class TestInABrowser:
    def test_the_root_cause_stands_below_the_timeline(self, page: Page, running: Running):
        page.get_by_text("The root cause").wait_for()
        page.locator("[data-testid=stVegaLiteChart] svg, [data-testid=stVegaLiteChart] canvas").first.wait_for()
        page.get_by_text("maximumPoolSize=2 (was 20)").first.wait_for()
        page.get_by_role("heading", name="Anomalies").wait_for()
        page.get_by_text("order not saved, payment voided").first.wait_for()

    def test_an_uploaded_log_is_stored_and_can_be_looked_at_alone(self, page: Page):
        upload = {"name": "evil.log", "mimeType": "text/plain", "buffer": f"{EVIL}\nINFO started\n".encode()}
        page.locator("input[type=file]").set_input_files(upload)  # type: ignore[arg-type]
        page.get_by_text("evil.log: 2 new lines").wait_for()
        which = page.get_by_label("Pod or file")
        page.wait_for_function("document.querySelectorAll('[aria-label=\"Pod or file\"]').length === 1")
        which.click()
        page.get_by_role("option", name="evil.log").click()
        page.get_by_text("evil.log:1").first.wait_for()
        page.get_by_text("![x](http://evil.example/p.png)").first.wait_for()
        assert page.locator("img[src*=evil]").count() == 0
        assert page.locator("a[href*=evil]").count() == 0

    def test_feedback_becomes_training_data_and_predictions_give_their_reasons(self, page: Page):
        open_tab(page, "Templates")
        page.get_by_text("Labelled so far").wait_for()
        page.get_by_text("alert", exact=True).first.click()
        page.get_by_role("button", name="Save as training data").click()
        page.get_by_text(re.compile(r"[\d,]+ records are labelled")).wait_for()
        open_tab(page, "Predictions")
        page.get_by_text("There must be a trained classifier").wait_for()
        page.get_by_role("button", name="Train on what was labelled").click()
        page.get_by_text("On templates that nobody has seen, expect").wait_for(timeout=120_000)
        page.get_by_text(re.compile(r"alert \d+%")).first.wait_for()
        page.get_by_role("button", name="Right").first.click()
        page.get_by_text("Train again to use it").wait_for()

    def test_an_answer_cites_what_can_be_opened(self, page: Page):
        open_tab(page, "Ask")
        page.get_by_label("Question").fill("What should I do when the connection pool is exhausted?")
        page.get_by_role("button", name="Ask", exact=True).click()
        cited = page.get_by_text(re.compile(r"\[1\] \S+[#:]\d"))
        cited.first.click()
        page.get_by_text("— cited").first.wait_for()

    def test_lines_that_come_are_shown_while_they_are_followed(self, page: Page, running: Running):
        open_tab(page, "Live")
        page.get_by_text("The newest of 100 lines").wait_for()
        page.get_by_text("Follow", exact=True).click()
        log = running.folder / "live.log"
        log.write_text("2026-03-14T15:00:00Z INFO a line that came while somebody looked\n")
        old = time.time() - 120
        os.utime(log, (old, old))
        with open_store(running.folder / "copilot.duckdb", wait=30) as store:
            ingest_files(store, [str(log)])
        page.get_by_text("a line that came while somebody looked").wait_for()

    @pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 380), ("dark", 380)])
    def test_it_fits_a_phone_and_follows_the_theme(self, browser: Browser, running: Running, scheme: str, width: int):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        look = {"width": width, "height": 900}
        with browser.new_context(viewport=look, color_scheme=scheme) as context:  # type: ignore[arg-type]
            page = context.new_page()
            page.set_default_timeout(SLOW)
            page.goto(running.page)
            page.get_by_text("The root cause").wait_for()
            page.locator("[data-testid=stCode]").first.wait_for()
            page.screenshot(path=str(SCREENSHOTS / f"copilot-{scheme}-{width}.png"))
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, "nothing makes the page scroll sideways"
            colour = page.evaluate("getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor")
            light = sum(map(int, re.findall(r"\d+", colour)[:3])) > 3 * 128
            assert light == (scheme == "light"), colour

    def test_it_asks_no_other_machine_for_anything(self, running: Running):
        assert running.asked == {"127.0.0.1"}


def test_streamlit_is_told_to_tell_nobody_and_to_stay_on_loopback():
    command = page_command(PAGE, "127.0.0.1", 8601)
    for option in ("--browser.gatherUsageStats=false", "--server.address=127.0.0.1", "--server.headless=true"):
        assert option in command


def test_text_of_a_log_is_no_markdown():
    assert plain(EVIL).count("\\") > 10
    assert plain("a\nb  *c*") == "a b \\*c\\*"
