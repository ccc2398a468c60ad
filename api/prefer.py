"""`Prefer: wait=N` (RFC 7240): the client would rather wait for the decision than ask for it."""

import re
from collections.abc import Mapping
from typing import Any, Final

from api.schemas.requests import WAIT_SECONDS_MAX

_WAIT: Final = re.compile(r'(?:^|,)\s*wait\s*=\s*"?(\d{1,6})"?\s*(?=[,;]|$)', re.IGNORECASE | re.ASCII)


def preferred_wait(environ: Mapping[str, Any], default: int = 0) -> tuple[int, bool]:
    """Seconds to wait (at most 30), and whether the client asked for them; a malformed preference is ignored,
    as the RFC wants.
    """
    # Out of the environment, where the server has joined several headers, so that nobody looks through them all.
    preference = environ.get("HTTP_PREFER")
    found = None if preference is None else _WAIT.search(preference)
    if found is None:
        return default, False
    return min(int(found[1]), WAIT_SECONDS_MAX), True
