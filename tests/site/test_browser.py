"""The site in a real browser: what it loads, what it says, how it looks, and that it can be used by keyboard alone."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from groundup.course.course import Course
from groundup.course.learner.workspace import Workspace
from groundup.course.material.catalogue import Catalogue
from groundup.listening import bind
from groundup.site import create_app
from groundup.site.app import Site
from groundup.site.serve import Server
from tests.site.conftest import PretendGrader
from tests.site.sample import write_sample_stack

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

SCREENSHOTS = Path(__file__).parents[2] / "artifacts" / "screenshots"
UNIT = "/units/bedrock/vectors"
PAGES = {
    "map": "/",
    "unit": UNIT,
    "planned": "/units/deep/resnet",
    "solution": f"{UNIT}/solution",
    "tracks": "/tracks",
    "track": "/tracks/devops",
    "item": "/tracks/devops/D1",
    "section": "/tracks/devops/W1",
    "runs": "/runs",
    "review": "/review",
    "journal": "/journal",
    "progress": "/progress",
    "search": "/search?q=vector",
    "error": "/units/vector_serch",
}


def pretend_figure(unit: str, figure: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """A figure whose number of points is the control `size`, with what Plotly.js styles in many ways."""
    size = int((parameters or {}).get("size", 3))
    xs = list(range(size))
    return {
        "data": [
            {"x": xs, "y": [x * x for x in xs], "mode": "lines+markers", "name": "squares"},
            {"z": [[1, 2], [3, 4]], "type": "heatmap", "xaxis": "x2", "yaxis": "y2", "zsmooth": "best"},
        ],
        "layout": {
            "xaxis": {"title": {"text": "size"}, "domain": [0, 0.45]},
            "yaxis": {"title": {"text": "<b>squares</b>"}},
            "xaxis2": {"domain": [0.55, 1]},
            "yaxis2": {"anchor": "x2"},
        },
    }


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A site of a learner in the middle of things, on the sample unit."""
    folder = tmp_path_factory.mktemp("browser")
    catalogue = Catalogue(write_sample_stack(folder / "stack"))
    with Course(Workspace(folder / "learner"), catalogue=catalogue) as course:
        course.__dict__["grader"] = PretendGrader()
        course.draw = pretend_figure  # type: ignore[method-assign]
        in_the_middle_of_things(course)
        app = create_app(course)
        listening = bind("127.0.0.1", 0)
        config = uvicorn.Config(app, http="h11", loop="asyncio", ws="none", log_level="warning")
        server = Server(config, app.state.site)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield Running(f"http://127.0.0.1:{listening.getsockname()[1]}", course, app.state.site)
        app.state.site.end_streams()
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@dataclass
class Running:
    """A site that answers at `address`."""

    address: str
    course: Course
    site: Site


def in_the_middle_of_things(course: Course) -> None:
    course.start("vectors")
    course.check("vectors")
    course.hint("vectors")
    course.solution("vectors")
    course.choose_track("devops", date.today() - timedelta(10), 8)
    course.report("devops", "W1", criterion=2)
    page = course.journal.read("today")
    course.write_journal("today", page.text + r"The dot product $a \cdot b$ is a **projection**.", page.version)


@dataclass
class Watch:
    """What a page asked for and complained about."""

    address: str
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        page.on("request", lambda request: self._asked(request.url))
        page.on("console", lambda message: self._said(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.address, "data:", "blob:")):
            self.elsewhere.append(url)

    def _said(self, kind: str, text: str) -> None:
        expected = re.search(r"status of 40[0349]", text)  # Chromium reports a page that answers with an error
        if kind in ("error", "warning") and not expected:
            self.complaints.append(text)


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: Browser, running: Running) -> Iterator[Open]:
    """Opens pages; afterwards none may have asked another host for anything, or complained."""
    watch = Watch(running.address)
    contexts = []

    def open_page(path: str, *, width: int = 1280, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        watch.follow(page)
        page.goto(running.address + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not watch.elsewhere
    assert not watch.complaints


def settle(page: Page) -> None:
    """Scroll through the page, so that everything on it has been drawn."""
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    for figure in page.locator(".explorable:not(.kept) .chart").all():
        figure.scroll_into_view_if_needed()
    page.locator(".chart[aria-busy=true]").first.wait_for(state="detached")
    page.evaluate("window.scrollTo(0, 0)")


CONTRAST = """() => {
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(parse(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const faults = [];
  for (const element of document.querySelectorAll("body *:not(svg, svg *, option)")) {
    const words = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.textContent.trim()).join("");
    if (!words || !element.checkVisibility() || element.closest(".hidden, .skip, :disabled, .chart")) continue;
    const style = getComputedStyle(element), back = ground(element);
    const [a, b] = [light(over(parse(style.color), back)), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05), large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) faults.push(`${words.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return faults;
}"""


@pytest.mark.parametrize("width", [1280, 380])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_every_page_fits_and_can_be_read(open_page: Open, name: str, dark: bool, width: int):
    page = open_page(PAGES[name], width=width, dark=dark)
    settle(page)
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") <= 0
    assert page.evaluate(CONTRAST) == []
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}-{'dark' if dark else 'light'}-{width}.png", full_page=True)


def test_figures_are_drawn_and_follow_their_controls(open_page: Open):
    page = open_page(UNIT)
    page.locator("#figure-race").scroll_into_view_if_needed()
    points = page.locator("#figure-race .scatterlayer .point")
    points.nth(2).wait_for()
    assert points.count() == 3
    slider = page.get_by_label("Size")
    slider.focus()
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    points.nth(4).wait_for()
    assert points.count() == 5
    assert page.locator("#figure-race output").first.text_content() == "5"


def test_a_logarithmic_control_sends_values_within_its_bounds(open_page: Open):
    page = open_page(UNIT)
    slider = page.get_by_role("slider", name="Batch")
    slider.scroll_into_view_if_needed()
    for key, value in (("Home", 10), ("End", 10000)):
        with page.expect_request(lambda r, v=value: "/figures/" in r.url and (r.post_data_json or {})["batch"] == v):
            slider.press(key)


def test_saving_the_file_updates_the_open_page_by_itself(open_page: Open, running: Running):
    course = running.course
    page = open_page(UNIT)
    page.evaluate("window.stillTheSamePage = true")
    page.locator("#exercise .verdict.failed").wait_for()
    before = course.workspace.read_exercise("bedrock/vectors")
    assert before is not None
    try:
        course.workspace.write_exercise("bedrock/vectors", "def dot(a, b):\n    return 11\n")
        page.locator("#exercise .verdict.passed").wait_for(timeout=5000)
        page.locator("#unit-badge .badge.passed").wait_for()
        page.locator("#announcer", has_text="Passed. 1 of 1 checks passed.").wait_for(state="attached")
        assert page.evaluate("window.stillTheSamePage")
    finally:
        course.workspace.write_exercise("bedrock/vectors", before)
    page.locator("#exercise .verdict.failed").wait_for(timeout=5000)


def test_a_hint_comes_in_place(open_page: Open):
    page = open_page(UNIT)
    page.evaluate("window.stillTheSamePage = true")
    page.locator("#hint-1").click()
    page.locator("#exercise .hint li").nth(1).wait_for()
    assert page.evaluate("window.stillTheSamePage")


def test_the_page_catches_up_after_it_was_in_the_background(open_page: Open, running: Running):
    page = open_page(UNIT)
    page.wait_for_timeout(300)
    hide = """(hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate("window.stillTheSamePage = true")
    page.evaluate(hide, True)
    before = page.locator("#exercise .after").inner_text()
    assert "the ledger records that you" in before
    running.course.ledger.append("hint", "bedrock/vectors", {"name": "dot", "stage": 3})
    running.site.channel.publish("changed", unit="bedrock/vectors")
    page.wait_for_timeout(500)
    assert page.locator("#exercise .hint", has_text="all 3 given").count() == 0
    page.evaluate(hide, False)
    page.locator("#exercise .hint", has_text="all 3 given").wait_for(timeout=5000)
    assert page.evaluate("window.stillTheSamePage")


def test_the_theme_can_be_switched_and_is_kept(open_page: Open):
    page = open_page("/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Switch between light and dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.goto(page.url + "progress")
    assert page.evaluate(ground) == dark


def test_the_site_can_be_used_by_keyboard(open_page: Open):
    page = open_page("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("zebra")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=zebra")
    page.locator("#results a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{UNIT}")
    page.locator("#check").focus()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.locator("#announcer", has_text="Not yet").wait_for(state="attached")
    assert page.evaluate("document.activeElement.id") == "check"


def test_a_card_is_turned_and_rated_by_keyboard(open_page: Open):
    page = open_page("/review")
    front = page.locator(".front")
    first = front.inner_text()[: len("Question 0")]
    assert not page.locator(".back").is_visible()
    page.keyboard.press("3")
    page.wait_for_timeout(300)
    assert front.inner_text().startswith(first)
    page.keyboard.press("Space")
    page.locator(".back").wait_for()
    page.keyboard.press("3")
    page.locator(".front", has_not_text=first).wait_for()
    assert front.inner_text().startswith("Question")
    assert not page.locator(".back").is_visible()


def test_search_answers_while_typing(open_page: Open):
    page = open_page("/search")
    page.locator("#query").fill("zebr")
    page.locator("#results mark").first.wait_for()
    page.locator("#query").fill("xyzzy")
    page.locator("#results", has_text="0 pages").wait_for()


def test_words_that_are_not_saved_are_not_lost_by_leaving(open_page: Open):
    page = open_page("/journal")
    page.locator("#text").press("End")
    page.keyboard.type("not saved")
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    page.goto(page.url.replace("/journal", "/progress"))
    assert asked == ["beforeunload"]


def test_a_page_of_an_earlier_start_says_so(open_page: Open):
    page = open_page(UNIT)
    page.evaluate("for (const f of document.querySelectorAll('input[name=token]')) f.value = 'old'")
    page.evaluate("document.querySelector('meta[name=token]').content = 'old'")
    page.locator("#check").click()
    page.locator("#notice", has_text="earlier start").wait_for()
