"""Four search servers behind one interface: what is sent, what is made of a reply, and what is said without one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from groundup.errors import UsageError, WebUnavailable
from groundup.systems.research.web import SERVERS, open_web, searching
from groundup.systems.research.web.pages import LONGEST, Hit, Page, around, make_page
from tests.systems.research.sites import Sites, serving

KEY = "tvly-hunter2hunter2"
FOUND = [
    Hit("https://docs.example/jitter", "Full jitter"),
    Hit("http://notes.example/?a=1&b=2", "Waits & retries"),
]  # fmt: skip
RESULTS = [{"url": hit.address, "title": hit.title, "content": "…"} for hit in FOUND]
REPLIES: dict[str, Any] = {
    "searxng": {"query": "q", "results": [*RESULTS, RESULTS[0], {"url": "magnet:?x", "title": "no page"}]},
    "brave": {"type": "search", "web": {"results": RESULTS}},
    "tavily": {"results": RESULTS, "response_time": "1.2"},
}
DUCK = """<html><body><div class="result results_links"><h2><a rel="nofollow" class="result__a"
href="//duckduckgo.com/l/?uddg=https%3A%2F%2Fdocs.example%2Fjitter&amp;rut=f00">Full <b>jitter</b></a></h2>
<a class="result__snippet" href="//duckduckgo.com/l/?uddg=https%3A%2F%2Fdocs.example%2Fjitter">…</a></div>
<div class="result"><a class="result__a" href="https://duckduckgo.com/y.js?ad_domain=buy.example">Buy</a></div>
<div class="result"><a class="result__a"
href="//duckduckgo.com/l/?uddg=http%3A%2F%2Fnotes.example%2F%3Fa%3D1%26b%3D2">Waits &amp; retries</a></div>"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sites]:
    """All four, on this machine."""
    with serving(monkeypatch) as sites:
        host = f"127.0.0.1:{sites.port}"
        monkeypatch.setenv("GROUNDUP_SEARXNG", f"http://{host}/")
        for name in ("BRAVE", "TAVILY", "DUCKDUCKGO"):
            monkeypatch.setattr(searching, name, f"http://{host}/{name.lower()}")
            monkeypatch.setenv(f"{name}_API_KEY", KEY)
        for name, reply in REPLIES.items():
            sites.page(f"{host}/{'search' if name == 'searxng' else name}", json.dumps(reply), "application/json")
        sites.page(f"{host}/duckduckgo", DUCK)
        yield sites


def path(name: str) -> str:
    return "search" if name == "searxng" else name


@pytest.mark.parametrize("name", SERVERS)
def test_each_server_finds_the_same_pages(server: Sites, name: str) -> None:
    web = open_web(name)
    assert web.search("what is full jitter?", 5) == FOUND
    assert web.search("what is full jitter?", 1) == FOUND[:1]
    assert server.asked[0].split("?")[0].endswith(f"/{path(name)}")


def test_each_server_is_sent_what_it_asks_for_and_a_key_only_where_it_belongs(server: Sites) -> None:
    for name in SERVERS:
        open_web(name).search("full jitter & " + "long " * 100, 4)
    searxng, brave, tavily, duckduckgo = zip(server.asked, server.headers, server.bodies, strict=True)
    assert "/search?q=full+jitter+%26+long" in searxng[0]
    assert searxng[0].endswith("&format=json")
    assert "&count=4" in brave[0]
    assert brave[1]["x-subscription-token"] == KEY
    assert tavily[1]["authorization"] == f"Bearer {KEY}"
    assert json.loads(tavily[2])["max_results"] == 4
    assert len(json.loads(tavily[2])["query"].split()) == 50
    assert duckduckgo[2].startswith(b"q=full+jitter+%26+long")
    for address, headers, body in (searxng, duckduckgo):
        assert KEY not in f"{address}{headers}{body}"
    assert not any(KEY in address for address in server.asked)


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((500, {}, b"boom: hunter2"), "must answer, and does not: it answers 500"),
        (
            (429, {}, b""),
            "must answer, and does not: it answers 429: it(s limiter| was asked too often)",
        ),
        ((302, {"Location": "http://evil.example/"}, b""), "must answer, and does not: it answers 302"),
    ],
)
def test_a_server_that_fails_is_one_line_without_the_key_and_nothing_else_is_asked(
    server: Sites, name: str, reply: Any, message: str
) -> None:
    server.replies = {f"127.0.0.1:{server.port}/{path(name)}": reply}
    with pytest.raises(WebUnavailable, match=f"^{name} {message}") as failed:
        open_web(name).search("jitter", 3)
    assert "\n" not in str(failed.value)
    assert "hunter2" not in str(failed.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize("name", ["searxng", "brave", "tavily"])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"results"', b'{"results": 3, "web": []}', b"\xff\xfe"])
def test_a_reply_in_another_form_is_one_line(server: Sites, name: str, body: bytes) -> None:
    server.page(f"127.0.0.1:{server.port}/{path(name)}", body, "application/json")
    with pytest.raises(WebUnavailable, match=f"^{name} replies what is no list of pages"):
        open_web(name).search("jitter", 3)


def test_what_a_server_asks_for_is_said(server: Sites) -> None:
    host = f"127.0.0.1:{server.port}"
    server.replies = {
        f"{host}/tavily": (432, {}, b""), f"{host}/duckduckgo": (202, {}, b""),
    }  # fmt: skip
    for name, message in (
        ("tavily", "answers 432: the plan is used up"),
        ("duckduckgo", "answers 202: it asks whether you are a person"),
    ):
        with pytest.raises(WebUnavailable, match=message):
            open_web(name).search("jitter", 3)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (301, "it answers 301: it leads to another address, .* set GROUNDUP_SEARXNG to that address$"),
        (403, "it answers 403: search.formats in its settings lacks json$"),
        (429, "it answers 429: its limiter refuses programs: set server.limiter to false .*botdetection.ip_lists"),
    ],
)
def test_searxng_is_said_to_lack_a_setting(server: Sites, status: int, message: str) -> None:
    server.replies = {f"127.0.0.1:{server.port}/search": (status, {"Location": "https://search.example/"}, b"")}
    with pytest.raises(WebUnavailable, match=message):
        open_web("searxng").search("jitter", 3)
    assert len(server.asked) == 1


def test_replies_of_a_real_searxng_are_pages_or_the_failure_of_its_engines(server: Sites) -> None:
    """Recorded from SearXNG 9fea412 (2026-08-22) over a collection of our own pages."""
    recorded = json.loads(Path(__file__).with_name("searxng.json").read_text(encoding="utf-8"))
    server.page(f"127.0.0.1:{server.port}/search", json.dumps(recorded["found"]), "application/json")
    assert open_web("searxng").search("jitter", 4) == [
        Hit("http://docs.example/jitter", "Full jitter"),
        Hit("http://docs.example/waits", "Waits & retries 1 < 2"),
        Hit("http://docs.example/gebuehr", "Gebühren für Wiederholungen — 再試行 🙂"),
        Hit("http://docs.example/évén ts?a=1&b=2", "Odd address"),
    ]
    server.page(f"127.0.0.1:{server.port}/search", json.dumps(recorded["failed"]), "application/json")
    with pytest.raises(WebUnavailable, match="must find pages, and cannot: 2 of its search engines did not answer"):
        open_web("searxng").search("jitter", 4)


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("What does !important do?", "What+does+important+do%3F"),
        ("!!g jitter :de <850 !images", "g+jitter+de+850+images"),
        ("!! jitter", "+jitter"),
        ("a<b, C++ and std::map!", "a%3Cb%2C+C%2B%2B+and+std%3A%3Amap%21"),
    ],
)
def test_a_question_is_no_command_to_searxng(server: Sites, query: str, sent: str) -> None:
    """`!!g` would send the search to Google, and `:de <850` change its language and its time."""
    open_web("searxng").search(query, 3)
    assert f"?q={sent}&" in server.asked[0]


def test_a_server_that_is_down_is_one_line(server: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    web = open_web("searxng")
    monkeypatch.setattr(server, "port", 9)
    with pytest.raises(WebUnavailable, match="^searxng must answer, and does not: there is no answer"):
        web.search("jitter", 3)


def test_nothing_found_is_no_error(server: Sites) -> None:
    host = f"127.0.0.1:{server.port}"
    server.page(f"{host}/brave", '{"type": "search"}', "application/json")
    server.page(f"{host}/search", '{"results": []}', "application/json")
    server.page(f"{host}/duckduckgo", "")
    assert [open_web(name).search("jitter", 3) for name in ("brave", "searxng", "duckduckgo")] == [[], [], []]


@pytest.mark.parametrize(
    ("name", "variable", "value", "message"),
    [
        ("searxng", "GROUNDUP_SEARXNG", "", "GROUNDUP_SEARXNG must be the address of a SearXNG.*is not set"),
        ("searxng", "GROUNDUP_SEARXNG", "http://eve:hunter2@search.example", "GROUNDUP_SEARXNG must .*and is not"),
        ("searxng", "GROUNDUP_SEARXNG", "search.example", "GROUNDUP_SEARXNG must .*and is not"),
        ("brave", "BRAVE_API_KEY", " ", "BRAVE_API_KEY must be the key of the search server, and is not set"),
        ("tavily", "TAVILY_API_KEY", "hunter2\nX-Evil: 1", "TAVILY_API_KEY must be the key .*is no key"),
    ],
)
def test_what_the_environment_lacks_is_said_before_anything_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, name: str, variable: str, value: str, message: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=message) as refused:
        open_web(name)
    assert "hunter2" not in str(refused.value)


def test_a_page_that_was_found_is_read_with_its_title_and_the_time(server: Sites) -> None:
    server.page("docs.example/jitter", "<title>Full jitter</title><main><p>Full jitter draws the wait at random.</p>")
    page = open_web("searxng").page("http://docs.example/jitter")
    assert (page.address, page.title) == ("http://docs.example/jitter", "Full jitter")
    assert page.text == "Full jitter draws the wait at random."
    assert page.accessed.endswith("+00:00")
    assert len(page.sha256) == 64


# ── pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def made(body: str | bytes, kind: str = "text/html", charset: str = "") -> Page:
    body = body.encode() if isinstance(body, str) else body
    return make_page("https://docs.example/", kind, charset, body, "2026-11-30T08:00:00+00:00")


def test_a_page_is_its_readable_text_without_menus_and_what_it_hides() -> None:
    page = made(
        "<title>Waits</title><nav>Home</nav><main><h1>Waits</h1><p>A wait doubles.</p><script>evil()</script>"
        "<p hidden>One.</p><p style='color: red; display : none'>Two.</p><p aria-hidden='true'>Three.</p>"
        "<p style='visibility:hidden'>Four.</p><!-- Five. --><h2>Cap</h2><p>A cap ends it.</p></main>"
    )
    assert page.text == "# Waits\n\nA wait doubles.\n\n## Cap\n\nA cap ends it."
    assert page.title == "Waits"


def test_plain_text_is_kept_and_a_character_set_is_obeyed() -> None:
    page = made("# Gebühren\r\n\r\nDie Gebühr steigt.\n".encode("latin-1"), "text/plain", "iso-8859-1")
    assert (page.title, page.text) == ("Gebühren", "# Gebühren\n\nDie Gebühr steigt.")
    assert made("Plain.", "text/plain", "no-such-set").text == "Plain."


@pytest.mark.parametrize("body", ["", "<html></html>", "<script>a()</script>", "<p>—</p>", b"\x00\x01\x02", "<" * 999])
def test_a_page_without_text_is_said(body: str | bytes) -> None:
    with pytest.raises(WebUnavailable, match="it has no text that can be read"):
        made(body)


def test_a_page_that_nests_without_end_is_read_or_refused_and_holds_nobody_up() -> None:
    deep = "<div>" * 50_000
    for body in (deep + "<p>Deep.</p>" + "</div>" * 50_000, f"<main><p>Flat.</p>{deep}", "<p>a" * 20_000):
        with suppress(WebUnavailable):
            assert made(body).text


def test_secrets_of_a_page_are_hidden_and_what_is_too_long_is_cut() -> None:
    page = made("<title>Set-up</title><main><p>Use password=hunter2hunter2 to log in.</p></main>")
    assert page.text == "Use password=*** to log in."
    assert len(made("word " * LONGEST, "text/plain").text) == LONGEST


def test_a_place_of_a_page_is_opened_between_its_neighbours() -> None:
    page = made("One.\n\nTwo is here.\n\nThree.\n\nFour.", "text/plain")
    at = page.text.index("is here")
    parts = around(page, at, at + 2)
    assert [(part.text, part.cited) for part in parts] == [("One.", False), ("Two is here.", True), ("Three.", False)]
    assert parts[1].where.startswith("https://docs.example/:6-")
    assert [part.text for part in around(page, 0, len(page.text))] == [page.text]


# ── a recorded folder ───────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (None, "No such file"),
        ("not json", "web must be a folder with a pages.json"),
        ('[{"file": "a.html"}]', "address"),
        ('[{"file": "a.html", "address": "file:///a", "accessed": "2026"}]', "must begin with http"),
        ("[3]", "web must be a folder with a pages.json"),
    ],
)
def test_a_folder_without_a_list_of_its_pages_is_refused(tmp_path: Path, listed: str | None, message: str) -> None:
    if listed is not None:
        (tmp_path / "pages.json").write_text(listed)
    with pytest.raises(UsageError, match=message):
        open_web(str(tmp_path))


def test_what_is_neither_a_server_nor_a_folder_is_refused() -> None:
    with pytest.raises(UsageError, match="web must be searxng, brave, tavily, duckduckgo, a folder .*, got 'google'"):
        open_web("google")


def test_a_folder_is_searched_by_words_and_gives_no_file_outside_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "recorded"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("Secrets of jitter.")
    (folder / "jitter.html").write_text(
        "<title>Jitter</title><main><p>Full jitter draws the wait at random.</p></main>"
    )
    (folder / "lease.md").write_text("# Leases\n\nA lease ends.")
    entries = [
        {"file": name, "address": f"https://docs.example/{number}", "accessed": "2026-11-30T08:00:00+00:00"}
        for number, name in enumerate(("jitter.html", "lease.md", "../secret.txt", "gone.html"))
    ]
    (folder / "pages.json").write_text(json.dumps(entries))
    web = open_web(str(folder))
    assert web.search("When does a lease end?", 3)[0] == Hit("https://docs.example/1", "Leases")
    assert web.search("jitter", 3) == [Hit("https://docs.example/0", "Jitter")]
    assert web.page("https://docs.example/1").text == "# Leases\n\nA lease ends."
    for number, message in ((2, "outside of the folder"), (3, "gone.html cannot be read"), (9, "has no page of this")):
        with pytest.raises(WebUnavailable, match=message):
            web.page(f"https://docs.example/{number}")
