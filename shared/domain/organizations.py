"""Organizations: the roles in one, and which addresses it may show."""

import re
from typing import Final, Literal
from urllib.parse import urlsplit

MemberRole = Literal["owner", "member"]

OWNER: Final = "owner"
MEMBER: Final = "member"

NAME_LENGTH_MAX: Final = 200
URL_LENGTH_MAX: Final = 2000
# Every request reads the memberships of who asks: few enough to be nothing beside the rest.
MEMBERSHIPS_MAX: Final = 100

# RFC 3986's characters, no others: whatever shows the address need not wonder what a browser makes of it.
_URL: Final = re.compile(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+", re.ASCII | re.IGNORECASE)
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9.])?|[0-9a-f:.]+", re.ASCII)


def find_url_fault(url: str) -> str | None:
    """Why pages may not link to `url`, None when they may. Nobody fetches it here, so it may name any host."""
    if not _URL.fullmatch(url):
        return "Must be an http or https address, with other than ASCII characters encoded."
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # a port that is none raises
    except ValueError:
        return "Must be an http or https address with a host."
    if "@" in parts.netloc:
        return "Must not have a user name or password in it."
    return None if host and _HOST.fullmatch(host) else "Must be an http or https address with a host."
