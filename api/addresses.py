"""Whose address a request comes from, told also behind proxies, as far as they can be trusted."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from fastapi import Request

Network = IPv4Network | IPv6Network
UNKNOWN = "unknown"
"""The client of a Unix socket has no address."""
HOME = 64
"""Bits of an IPv6 address that one household or server has; it chooses the others freely."""


def of(request: Request, trusted: Sequence[Network]) -> str:
    """The client's address; see `client`."""
    peer = request.client.host if request.client else UNKNOWN
    return client(peer, request.headers.getlist("x-forwarded-for"), trusted)


def client(peer: str, forwarded: Iterable[str], trusted: Sequence[Network]) -> str:
    """The nearest address that isn't a trusted proxy's.

    Each proxy adds on the right whom it was called by. So the list is read from the right, and
    only as far as those who wrote it are trusted: what stands further left is the client's word.
    """
    nearest = peer
    for hop in [peer, *reversed(",".join(forwarded).split(","))]:
        address = _parsed(hop)
        if address is None:
            break
        nearest = str(address)
        if not any(address in network for network in trusted):
            break
    return nearest


def household(address: str) -> str:
    """What to count by: an IPv4 address, or the network that an IPv6 client has to itself."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, HOME), strict=False))
    return address


def _parsed(hop: str) -> IPv4Address | IPv6Address | None:
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
