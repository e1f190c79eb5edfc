"""Which addresses may be read: pages of the public web, and nothing within.

    checked("http://docs.example/a b")        # 'http://docs.example/a%20b'
    resolved("docs.example", 80)              # where to connect, or WebUnavailable

A name is resolved here and the connection goes to the very address that was checked, so that a name cannot be public
when it is looked at and private when it is connected to.

Not covered: a resolver that takes long; the system's own limit ends it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import quote, urlsplit, urlunsplit

from groundup.errors import WebUnavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LONGEST = 2_000  # characters of an address
PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is routed: no multicast, local or IPv4-compatible ones
_6TO4 = ipaddress.IPv6Network("2002::/16")  # carries an IPv4 address, which a relay would connect to
_WITHIN = (  # what `is_global` of some Pythons lets through
    ipaddress.IPv4Network("192.0.0.0/24"),  # Oracle's metadata, among others
    ipaddress.IPv4Network("168.63.129.16/32"),  # Azure's, from every machine of it
)


def checked(address: str) -> str:
    """The address as it is sent: of a page, by http or https, at the usual port, without a fragment.

    Raises:
        WebUnavailable: it is no such address.
    """
    try:
        parts = urlsplit(address.strip())
        port, host = parts.port, (parts.hostname or "").encode("idna").decode()
    except ValueError as error:  # also UnicodeError
        raise WebUnavailable(f"it is no address of a page ({error})") from error
    if parts.scheme not in PORTS or not host:
        raise WebUnavailable("it must begin with http:// or https:// and a name")
    if parts.username is not None or parts.password is not None:
        raise WebUnavailable("it must not contain a user or a password")
    if port not in (None, PORTS[parts.scheme]):
        raise WebUnavailable(f"its port must be {PORTS[parts.scheme]}, and is {port}")
    place = f"[{host}]" if ":" in host else host
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?-._") for part in (parts.path or "/", parts.query))
    whole = urlunsplit((parts.scheme, place, path, query, ""))
    if len(whole) > LONGEST or re.search(r"[\s\\<>\"`{}]", whole):
        raise WebUnavailable(f"it must have at most {LONGEST:,} characters, all of them those of an address")
    return whole


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a name, each of them public.

    Raises:
        WebUnavailable: the name has none, or one that is not public.
    """
    try:
        addresses = resolve(host, port)
    except (OSError, UnicodeError) as error:
        raise WebUnavailable(f"the name {host} leads nowhere") from error
    for address in addresses:
        if not public(ipaddress.ip_address(address)):
            raise WebUnavailable(f"the name {host} leads to {address}, which is not public")
    return addresses


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name by the system's resolver; a name may be a number in any notation."""
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in entries))


def public(address: Address) -> bool:
    """Whether an address is of the public internet: not private, local, shared, multicast, or a cloud's metadata."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None:
            return address.is_global and address in _UNICAST and address not in _6TO4
        address = inner
    within = address.is_multicast or address.is_reserved or any(address in network for network in _WITHIN)
    return address.is_global and not within
