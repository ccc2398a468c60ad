"""The address of who asks, in one spelling."""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

UNKNOWN: Final = "unknown"
_IPV6_PREFIX: Final = 64  # what one customer of a provider has at the least


def client_address(environ: Mapping[str, Any]) -> str:
    """Without a port, and IPv4 as IPv4; behind proxies ProxyFix has put it right. What is no address is `unknown`:
    everybody who has none is one client.
    """
    return _in_one_spelling(environ.get("REMOTE_ADDR") or "")


def client_network(environ: Mapping[str, Any]) -> str:
    """Whose requests and failures count together: the address, of IPv6 its network, out of which one customer takes
    2**64 addresses or more.
    """
    return _network_of(client_address(environ))


@lru_cache(maxsize=4096)
def _network_of(text: str) -> str:
    if text == UNKNOWN or ":" not in text:
        return text
    return str(ipaddress.ip_network((int(ipaddress.IPv6Address(text)), _IPV6_PREFIX), strict=False))


@lru_cache(maxsize=4096)
def _in_one_spelling(text: str) -> str:
    """Some proxies write the port too, another for every connection: `192.0.2.7:5555`, `[2001:db8::1]:80`."""
    if text.startswith("[") and "]" in text:
        text, _, _ = text[1:].partition("]")
    elif text.count(":") == 1:  # of IPv6 there are two at least
        text, _, _ = text.partition(":")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return UNKNOWN
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)
