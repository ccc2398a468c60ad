"""The address of who asks, in one spelling."""

import ipaddress
from functools import lru_cache
from typing import Final

from flask import request

UNKNOWN: Final = "unknown"


def client_address() -> str:
    """Without a port, and IPv4 as IPv4; behind proxies ProxyFix has put it right. What is no address is `unknown`:
    everybody who has none is one client.
    """
    return _in_one_spelling(request.remote_addr or "")


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
