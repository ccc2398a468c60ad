"""Rules of accounts: which passwords are accepted, and how long someone waits after failed log-ins."""

import hashlib
import math
from typing import Final

from shared.domain.common_passwords import is_common

PASSWORD_LENGTH_MIN: Final = 12
PASSWORD_LENGTH_MAX: Final = 128
NAME_LENGTH_MAX: Final = 100
EMAIL_LENGTH_MAX: Final = 254  # RFC 5321: a path has 256 characters with its brackets

# The first wait; each further failure doubles it, up to the window itself.
FIRST_WAIT_SECONDS: Final = 30
# One address may belong to a whole office, so it gets ten times what one account gets.
ADDRESS_FACTOR: Final = 10


def find_password_fault(password: str, email: str) -> str | None:
    """Why `password` is not accepted for the account of `email`, for a person to read; None when it is."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        return f"Must have {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters."
    if password.strip().casefold() == email.strip().casefold():
        return "Must not be the e-mail address."
    if is_common(password):
        return "Is on the list of passwords that are tried first; choose another."
    return None


def throttle_key(email: str) -> str:
    """What stands for `email` in the record of failures: a digest, as people mistype passwords there."""
    return hashlib.sha256(email.strip().lower().encode()).hexdigest()


def login_wait_seconds(
    *, failures: int, failures_max: int, seconds_since_last: float, window_seconds: int
) -> int:
    """Seconds to wait before the next attempt: 0 below `failures_max`, then doubling with each failure."""
    if failures < failures_max:
        return 0
    # 2**20 first waits are a year, far above any window: the exponent needs no more
    wait: int = min(window_seconds, FIRST_WAIT_SECONDS * 2 ** min(failures - failures_max, 20))
    return max(0, math.ceil(wait - seconds_since_last))


def anonymised_email(user_id: int) -> str:
    """The address that a deleted account gets; nobody can register it, for it has no domain with a dot."""
    return f"deleted-{user_id}@invalid"


ANONYMISED_NAME: Final = "Deleted user"
