"""Which addresses are read: those of the public web, whatever notation hides another one."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

import pytest

from groundup.errors import WebUnavailable
from groundup.systems.research.web import addresses
from groundup.systems.research.web.addresses import checked, public, resolved

WITHIN = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1",
    "169.254.169.254",  # metadata of AWS, Azure, Google
    "100.100.100.200",  # of Alibaba
    "192.0.0.192",  # of Oracle
    "168.63.129.16",  # of Azure, in a public range
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
    "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "::7f00:1", "fec0::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe",
]  # fmt: skip
OUTSIDE = ["93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]


@pytest.mark.parametrize("address", WITHIN)
def test_what_lies_within_is_not_public(address: str) -> None:
    assert not public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_what_is_routed_is_public(address: str) -> None:
    assert public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("address", "sent"),
    [
        ("https://Docs.Example", "https://docs.example/"),
        (" http://docs.example:80/a b?q=ä#part ", "http://docs.example/a%20b?q=%C3%A4"),
        ("https://docs.example/a%20b", "https://docs.example/a%20b"),
        ("https://bücher.example/{x}", "https://xn--bcher-kva.example/%7Bx%7D"),
        ('https://docs.example/"><script>', "https://docs.example/%22%3E%3Cscript%3E"),
        ("http://[2606:4700::1111]/", "http://[2606:4700::1111]/"),
    ],
)
def test_an_address_is_sent_in_one_form(address: str, sent: str) -> None:
    assert checked(address) == sent
    assert checked(sent) == sent


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "must begin with http"),
        ("docs.example", "must begin with http"),
        ("file:///etc/passwd", "must begin with http"),
        ("javascript:alert(1)", "must begin with http"),
        ("gopher://docs.example/", "must begin with http"),
        ("http://", "must begin with http"),
        ("http://eve:hunter2@docs.example/", "must not contain a user or a password"),
        ("http://docs.example:22/", "port must be 80, and is 22"),
        ("https://docs.example:80/", "port must be 443, and is 80"),
        ("http://docs.example:99999/", "no address of a page"),
        ("http://[::1", "no address of a page"),
        ("http://a..b/", "no address of a page"),
        (f"http://docs.example/{'a' * 2000}", "at most 2,000 characters"),
    ],
)
def test_what_is_no_address_of_a_page_is_refused(address: str, message: str) -> None:
    with pytest.raises(WebUnavailable, match=message) as refused:
        checked(address)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "::ffff:127.0.0.1"]
)
def test_a_number_in_any_notation_is_what_the_system_makes_of_it(host: str) -> None:
    with pytest.raises(WebUnavailable, match="which is not public|leads nowhere"):
        resolved(host, 80)


def test_a_name_with_one_address_within_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "resolve", lambda host, port: ["93.184.216.34", "10.0.0.7"])
    with pytest.raises(WebUnavailable, match=r"the name docs\.example leads to 10\.0\.0\.7, which is not public"):
        resolved("docs.example", 80)


def test_a_name_that_leads_nowhere_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    with pytest.raises(WebUnavailable, match=r"the name gone\.example leads nowhere"):
        resolved("gone.example", 443)
