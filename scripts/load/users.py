"""Whose requests a load test sends."""

from pathlib import Path
from typing import Final

from scripts.load.client import Target
from scripts.load.service import Service
from scripts.tokens import LIFETIME_DEFAULT, make_tokens
from shared.settings import Settings

# Over HTTP every user costs the server an argon2 hash: seconds of CPU for a hundred.
REGISTERED_MAX: Final = 200

Users = list[tuple[str, str]]  # user id, access token


def read_tokens(path: Path, count: int) -> Users:
    """The first `count` users of a file that `guichet tokens` wrote; raises ValueError on any other."""
    users: Users = []
    with path.open() as file:
        for number, line in enumerate(file, start=1):
            user_id, tab, token = line.strip().partition("\t")
            if not tab or not token:
                raise ValueError(f"{path}:{number}: expected a user id, a tab and a token")
            users.append((user_id, token))
            if len(users) == count:
                return users
    if not users:
        raise ValueError(f"{path} has no tokens")
    return users


def mint_users(settings: Settings, count: int) -> Users:
    """Load users of an installation whose database this process reaches."""
    return [
        (str(user), token) for user, token in make_tokens(settings, count, lifetime_seconds=LIFETIME_DEFAULT)
    ]


def register_users(target: Target, count: int) -> Users:
    """Users registered over HTTP, one after another, at most 200."""
    service = Service(target)
    try:
        return [service.register() for _ in range(min(count, REGISTERED_MAX))]
    finally:
        service.close()
