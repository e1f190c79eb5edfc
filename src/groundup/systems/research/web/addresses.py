"""The addresses that may be read: pages of the public web, and nothing within a private network.

    checked("http://docs.example/a b")        # 'http://docs.example/a%20b'
    resolved("docs.example", 80)              # the addresses to connect to, or WebUnavailable

This module resolves a name, and the connection goes to the checked address itself. A name therefore cannot be public
for the check and private for the connection.

Not covered: a slow resolver; the system's own limit ends it.
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
_UNICAST = ipaddress.IPv6Network("2000::/3")  # the routed addresses, without multicast, local and IPv4-compatible ones
_6TO4 = ipaddress.IPv6Network("2002::/16")  # carries an IPv4 address, which a relay would connect to
_WITHIN = (  # `is_global` of some Pythons lets these through
    ipaddress.IPv4Network("192.0.0.0/24"),  # Oracle's metadata, among others
    ipaddress.IPv4Network("168.63.129.16/32"),  # Azure's, from every machine of it
)


def checked(address: str) -> str:
    """The address of a page in the form for sending: http or https, the usual port, no fragment.

    Raises:
        WebUnavailable: the address is of another form.
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
        WebUnavailable: the name has no address, or one that is not public.
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
