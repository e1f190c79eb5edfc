"""Addresses: how they are read, whose they are, whom they imitate, and how they are scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundup.errors import UsageError
from groundup.systems.sentinel.addresses import AddressDetector, imitated, own_brand, parse, registered_name
from groundup.systems.sentinel.weightfiles import SHIPPED

DETECTOR = AddressDetector.read(SHIPPED)


@pytest.mark.parametrize(
    ("url", "host", "name"),
    [
        ("https://www.Example.co.uk/x?y", "www.example.co.uk", "example.co.uk"),
        ("me.github.io", "me.github.io", "me.github.io"),  # the private part of the public suffix list
        ("http:\\\\evil.top\\x", "evil.top", "evil.top"),  # as a browser reads it
        ("https://xn--pypal-4ve.com", "pаypal.com", "pаypal.com"),
        ("https://paypal.com@evil.top:81/", "evil.top", "evil.top"),
    ],
)
def test_a_url_is_read_as_a_browser_would(url, host, name):
    assert (parse(url).host, parse(url).name) == (host, name)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("javascript://x.com", r"url must begin with http:// or https://, got 'javascript'\. For example"),
        ("nothing", r"url must be a file that exists, or have a host with a dot, got 'nothing'"),
        ("http://[::1", r"url must be an address, got 'http://\[::1'"),
        ("x" * 3000, r"url must have at most 2,048 characters, got 3,000"),
    ],
)
def test_what_is_no_url_is_refused(url, message):
    with pytest.raises(UsageError, match=message):
        parse(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://paypa1.com", "https://рaypal.com", "https://xn--pypal-4ve.com", "https://secure-paypal-login.top",
        "https://paypal.com.evil.top", "https://payapl.com", "https://paypl.com", "https://rnicrosoft.ml", "https://g00gle.net",
        "https://sbi-kyc.top", "https://google.cf",
    ],
)  # fmt: skip
def test_look_alikes_imitate_a_brand(url):
    assert imitated(parse(url))


@pytest.mark.parametrize(
    "url",
    [
        "https://paypal.com", "https://www.paypal.com/x", "https://google.co.jp", "https://pineapple.net", "https://ups-and-downs.de",
        "https://paypal.map.fastly.net", "https://example.com/paypal", "http://10.0.0.1", "https://exchase.com",
    ],
)  # fmt: skip
def test_what_is_a_brands_own_or_only_near_it_is_no_imitation(url):
    imitates = imitated(parse(url))
    assert imitates == ("ups" if "ups-and" in url else "")


def test_a_brands_own_domain_scores_low_unless_something_poses_before_it():
    assert own_brand(parse("https://accounts.google.com")) == "google"
    assert DETECTOR.judge(parse("https://accounts.google.com")).score == 0.05
    assert (DETECTOR.judge(parse("https://accounts.google.com@evil.top")).score or 0) >= 0.9


def test_path_scheme_and_www_change_nothing():
    scores = {
        DETECTOR.judge(parse(url)).score for url in ("http://q-shop.top", "https://www.q-shop.top/login/verify?a=1")
    }
    assert len(scores) == 1


def test_the_evidence_names_what_speaks_for_it():
    told = " ".join(DETECTOR.judge(parse("https://paypa1-login-verify.top")).evidence)
    assert "imitates paypal, on a domain that is not paypal's" in told
    assert "words that ask: 3" in told
    assert "The host is a bare IP address." in DETECTOR.judge(parse("http://0x7f000001/")).evidence


def test_registered_names_are_split_before_training():
    assert registered_name("a.b.c.workers.dev") == "c.workers.dev"


def test_the_shipped_detector_says_how_it_came_about():
    learnt = DETECTOR.learnt(Path("none"))
    assert not learnt.stand_in
    assert learnt.metrics["auc"] > learnt.metrics["majority"]
    assert {entry["name"] for entry in learnt.data} == {"phishing_urls", "phishing_urls_jpcert", "popular_hosts"}
