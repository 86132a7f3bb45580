"""Which URLs may be fetched, judged by their text: schemes, private addresses, secrets."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

SCHEMES: Final = ("http", "https")
ORIGIN: Final = "^[^:/?#]*://[^/?#]*"
"""Finds the part of a URL that `unfit` looks at; a URL without one is not fit. Of millions few differ in it."""
# Addresses of NAT64 (RFC 6052) and the old "compatible" ones (RFC 4291) carry an IPv4 address in their last 32 bits.
_CARRIERS: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))

# NAT64 of one's own network (RFC 8215), which not every release of the standard library knows.
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet.

    Private, loopback, link-local, multicast and reserved ones are not; an IPv6 address that stands for an IPv4 address
    is what that one is (IANA's special-purpose registries, as the standard library has them).

    Examples
    --------
    >>> is_public("93.184.215.14"), is_public("10.0.0.1"), is_public("::ffff:127.0.0.1")
    (True, False, False)
    """
    found = ipaddress.ip_address(address)
    if found.is_multicast or not found.is_global or found in _LOCAL_NAT64:
        return False
    return all(is_public(str(one)) for one in _carried(found))


def _carried(found: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """The IPv4 addresses that an address stands for: mapped, 6to4, Teredo's server and client, NAT64."""
    if not isinstance(found, ipaddress.IPv6Address):
        return []
    carried = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
    carried += [ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF) for net in _CARRIERS if found in net]
    return [one for one in carried if one is not None]


def unfit(url: str, *, private: bool = False) -> str:
    """Why a URL is not one to fetch, in words, as far as its text tells; an empty text where it may be.

    Parameters
    ----------
    private
        Whether addresses that are not of the public internet are allowed.

    Notes
    -----
    A name that leads to a private address is found out only when it is looked up, right before connecting to it.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "its URL cannot be read"
    if parts.scheme not in SCHEMES:
        return f"it came by {parts.scheme or 'a path'}, not by http or https"
    if not host:
        return "its URL names no host"
    if private:
        return ""
    name = host.rstrip(".")
    try:
        local = not is_public(name)
    except ValueError:
        local = name == "localhost" or name.endswith(".localhost")
    return "its URL names a private address, which is not allowed" if local else ""


def redacted(url: str) -> str:
    """A URL for people's eyes: without user names, passwords, and what stands in its query.

    Examples
    --------
    >>> redacted("https://me:secret@example.org/a.pdf?token=1#x")
    'https://***@example.org/a.pdf?***'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "a URL that cannot be read"
    _, at, host = parts.netloc.rpartition("@")
    netloc = f"***@{host}" if at else host
    return urlunsplit((parts.scheme, netloc, parts.path, "***" if parts.query else "", ""))
