"""Pages that are fetched: from where the name was checked to lead, within limits, by the rules of robots.txt."""

from __future__ import annotations

import gzip
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundup.errors import WebUnavailable
from groundup.systems.research.web import addresses, fetching
from groundup.systems.research.web.fetching import Fetcher, Limits
from tests.systems.research.sites import PUBLIC, Sites, serving


@pytest.fixture
def sites(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sites]:
    with serving(monkeypatch) as sites:
        yield sites


def refused(address: str, message: str, **limits: Any) -> None:
    with pytest.raises(WebUnavailable, match=message):
        Fetcher(Limits(**limits)).fetch(address)


def test_a_page_is_fetched_from_the_address_that_was_checked(sites: Sites) -> None:
    sites.page("docs.example/jitter", "<p>Full jitter.")
    fetched = Fetcher().fetch("http://docs.example/jitter#cost")
    assert (fetched.address, fetched.kind, fetched.charset, fetched.body) == (
        "http://docs.example/jitter", "text/html", "utf-8", b"<p>Full jitter.",
    )  # fmt: skip
    assert sites.asked == ["docs.example/robots.txt", "docs.example/jitter"]
    assert set(sites.connected) == {(PUBLIC, 80)}
    assert sites.headers[0]["user-agent"].startswith("groundup-research/")
    assert "cookie" not in sites.headers[1]


def test_a_name_is_looked_up_once_for_each_connection_so_that_it_cannot_change_between(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: public when it is checked, within when it is connected to."""
    answers = iter([[PUBLIC], [PUBLIC], ["127.0.0.1"]])
    monkeypatch.setattr(addresses, "resolve", lambda host, port: next(answers))
    sites.page("rebinding.example/", "<p>Hello.")
    assert Fetcher().fetch("http://rebinding.example/").body == b"<p>Hello."
    assert sites.connected == [(PUBLIC, 80), (PUBLIC, 80)], "nothing was looked up a third time"
    refused("http://rebinding.example/", "leads to 127.0.0.1, which is not public")
    assert len(sites.connected) == 2, "nothing was connected to"


@pytest.mark.parametrize("target", ["http://inside.example/", "http://169.254.169.254/latest", "//[::ffff:10.0.0.1]/"])
def test_each_redirect_is_checked_again(sites: Sites, target: str) -> None:
    sites.names |= {
        "inside.example": ["192.168.0.7"], "169.254.169.254": ["169.254.169.254"],
        "::ffff:10.0.0.1": ["::ffff:10.0.0.1"],
    }  # fmt: skip
    sites.moved("docs.example/", target)
    sites.page("inside.example/", "<p>Secrets.")
    refused("http://docs.example/", "which is not public")
    assert {place for place, _ in sites.connected} == {PUBLIC}


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://docs.example:8080/", "http://a:b@docs.example/"])
def test_a_redirect_to_what_is_no_page_is_refused(sites: Sites, target: str) -> None:
    sites.moved("docs.example/", target)
    refused("http://docs.example/", "it must begin with|its port must be|must not contain a user")


def test_the_robots_txt_of_a_site_within_is_not_read_either(sites: Sites) -> None:
    sites.names["inside.example"] = ["10.0.0.1"]
    sites.moved("docs.example/robots.txt", "http://inside.example/robots.txt")
    refused("http://docs.example/", "leads to 10.0.0.1, which is not public")


def test_redirects_are_followed_up_to_a_limit(sites: Sites) -> None:
    for number in range(4):
        sites.moved(f"docs.example/{number}", f"/{number + 1}", 301 + number % 2)
    sites.page("docs.example/4", "There.", "text/plain")
    assert Fetcher(Limits(redirects=4)).fetch("http://docs.example/0").address == "http://docs.example/4"
    refused("http://docs.example/0", "it leads on more than 3 times", redirects=3)


def test_robots_txt_is_kept_for_each_site_and_after_a_redirect_too(sites: Sites) -> None:
    sites.page("docs.example/robots.txt", "User-agent: *\nDisallow: /private/*.html$\n", "text/plain")
    sites.page("other.example/robots.txt", "User-agent: groundup-research\nDisallow: /\n", "text/plain")
    sites.page("docs.example/private/a.html", "No.")
    sites.page("docs.example/private/a", "Yes.", "text/plain")
    sites.moved("docs.example/away", "http://other.example/")
    sites.page("other.example/", "No.")
    fetcher = Fetcher()
    for address in ("http://docs.example/private/a.html", "http://docs.example/away", "http://other.example/"):
        with pytest.raises(WebUnavailable, match=r"the site's robots\.txt forbids it"):
            fetcher.fetch(address)
    assert fetcher.fetch("http://docs.example/private/a").body == b"Yes."
    assert sites.asked == [
        "docs.example/robots.txt", "docs.example/away", "other.example/robots.txt", "docs.example/private/a",
    ]  # fmt: skip


def test_a_site_that_cannot_say_its_rules_is_not_read(sites: Sites) -> None:
    sites.replies["docs.example/robots.txt"] = (503, {}, b"")
    sites.page("docs.example/", "Hello.")
    refused("http://docs.example/", r"answers 503 for its robots\.txt")


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((404, {}, b""), "the site answers 404"),
        ((302, {}, b""), "the site answers 302"),
        ((200, {"Content-Type": "application/pdf"}, b"%PDF"), "its type must be HTML or text, and is application/pdf"),
        ((200, {}, b"?"), "its type must be HTML or text, and is not given"),
        ((200, {"Content-Type": "text/html"}, b"a" * 1001), "it has more than 1,000 bytes"),
        ((200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, gzip.compress(b"a" * 10**6)), "1,000 bytes"),
        ((200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, b"no"), "it is packed, and damaged"),
        ((200, {"Content-Type": "text/html", "Content-Encoding": "br"}, b"no"), "it is packed as br"),
        ((200, {"Content-Type": "text/html", "Content-Length": "9"}, b"cut"), "there is no answer"),
    ],
)
def test_what_breaks_a_limit_is_one_line(sites: Sites, reply: Any, message: str) -> None:
    sites.replies["docs.example/"] = reply
    refused("http://docs.example/", message, bytes=1000, seconds=5)


def test_a_packed_page_is_unpacked(sites: Sites) -> None:
    sites.page("docs.example/", gzip.compress(b"<p>Hello."), Content_Encoding="gzip")
    assert Fetcher().fetch("http://docs.example/").body == b"<p>Hello."


def test_a_site_that_sends_a_little_now_and_then_is_cut_off(sites: Sites) -> None:
    """Each piece comes long before a timeout between two pieces would end it."""

    def dripping(handler: Any) -> None:
        import time

        handler.send_response(200)
        handler.send_header("Content-Type", "text/html")
        handler.end_headers()
        for _ in range(200):
            handler.wfile.write(b"a")
            handler.wfile.flush()
            time.sleep(0.05)

    sites.replies["docs.example/"] = dripping
    refused("http://docs.example/", "there is no answer in time", seconds=0.5)


def test_a_server_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, sites: Sites) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sites, "port", 9)
        refused("http://docs.example/", "there is no answer")


def test_a_proxy_of_the_environment_is_not_asked(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    sites.page("docs.example/", "<p>Hello.")
    assert Fetcher().fetch("http://docs.example/").body == b"<p>Hello."


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
def test_a_certificate_is_held_against_the_name_although_the_connection_goes_to_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem "
        "-days 2 -subj /CN=docs.example -addext subjectAltName=DNS:docs.example"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with serving(monkeypatch, own) as sites:
        sites.page("docs.example/", "<p>Hello.")
        sites.page("other.example/", "<p>Hello.")
        refused("https://docs.example/", "CERTIFICATE_VERIFY_FAILED")
        trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        monkeypatch.setattr(fetching, "trust", lambda: trusted)
        assert Fetcher().fetch("https://docs.example/").body == b"<p>Hello."
        assert sites.connected[-1] == (PUBLIC, 443)
        refused("https://other.example/", "CERTIFICATE_VERIFY_FAILED")
