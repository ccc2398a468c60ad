"""What a secret must not be where strangers may try it: short, guessable, or written down where everybody can read."""

import math
import re
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Final
from urllib.parse import unquote, urlsplit

MIN_SECRET_BYTES: Final = 32
# 32 random hexadecimal digits have more, nearly always: few characters, used often, have fewer.
MIN_SECRET_BITS: Final = 85
MIN_TOKEN_CHARACTERS: Final = 16
MIN_PASSWORD_CHARACTERS: Final = 8

# Signing keys that ever stood in this repository, tests included. A test looks for others.
DOCUMENTED_SECRETS: Final = frozenset(
    {
        "replace-me-with-32-or-more-random-bytes",
        "a-secret-of-at-least-thirty-two-bytes",
        "an-only-here-used-secret-of-more-than-the-64-bytes-of-HS512-01234567",
        "zq9-Vw3kLm7_Xc2Rt5yUo8pNa1sDf4gH",
        "8Wm2rT0qk3ZbXv5nYc7LsEjGdUhAoPf1",
    }
)

# Of six letters and more: random text has none of them by chance.
_WORDS: Final = re.compile(
    r"secret|passwor|passphrase|change.?(me|it|this)|replace|example|default|guichet|insecure|production|develop"
    r"|placeholder|qwerty|abcdef|012345|123456|987654|your.?(own|key)|signing|jwt.?key|super.?s|foobar|correct.?horse",
    re.IGNORECASE,
)

# What servers come with, or examples on the net use; whatever is shorter than a password should be is refused anyway.
_WELL_KNOWN_PASSWORDS: Final = frozenset(
    {
        "password", "passw0rd", "password1", "postgres", "postgresql", "mysecretpassword", "secretpassword",
        "changeme", "change-me", "change_me", "changeit", "12345678", "123456789", "1234567890", "qwertyuiop",
        "administrator", "superuser", "letmein1", "foobared", "redispassword", "supersecret", "topsecret",
        "database", "test1234", "testtest", "replace-me", "choose-one", "guichet1", "guichet_app", "guichet_owner",
        "guichet-app", "guichet-owner",
    }
)  # fmt: skip


def find_secret_weakness(secret: str) -> str | None:
    """Why this must not sign tokens; None for a secret that may. The text never repeats the secret."""
    if len(secret.encode()) < MIN_SECRET_BYTES:
        return f"production needs at least {MIN_SECRET_BYTES} random bytes"
    if secret in DOCUMENTED_SECRETS:
        return "this value stood in a document of Guichet's; everybody knows it"
    if _bits(secret) < MIN_SECRET_BITS or _repeats(secret) or _counts(secret) or _is_prose(secret):
        return "this value does not look random"
    return None


def find_token_weakness(token: str) -> str | None:
    """The same of a token that machines show each other."""
    if len(token) < MIN_TOKEN_CHARACTERS:
        return f"production needs at least {MIN_TOKEN_CHARACTERS} random characters"
    if token in DOCUMENTED_SECRETS or _repeats(token) or _WORDS.search(token):
        return "this value does not look random"
    return None


def find_url_password_weakness(url: str) -> str | None:
    """Why a server on the network must not have the password in this address; None where there is none: it may be
    in a password file, or a certificate may stand for it.
    """
    parts = urlsplit(url)
    if parts.password is None or not parts.hostname:
        return None
    password = unquote(parts.password)
    if len(password) < MIN_PASSWORD_CHARACTERS:
        return f"production needs a password of at least {MIN_PASSWORD_CHARACTERS} characters in it"
    known = {unquote(parts.username or ""), parts.path.strip("/"), parts.hostname}
    if password.lower() in _WELL_KNOWN_PASSWORDS | {name.lower() for name in known} or _repeats(password):
        return "the password in it is one of the first that anybody tries"
    return None


def url_password(url: str) -> str:
    """The password in an address; empty where there is none."""
    return unquote(urlsplit(url).password or "")


def find_shared(secrets: Mapping[str, str]) -> tuple[str, str] | None:
    """Two names that stand for the same secret; None when each has its own. Empty ones do not count."""
    seen: dict[str, str] = {}
    for name, value in secrets.items():
        if value and value in seen:
            return seen[value], name
        seen[value] = name
    return None


def is_readable_url(url: str, schemes: tuple[str, ...]) -> bool:
    """Whether every client reads the address alike. One that it does not read it would repeat in its complaint, pieces
    of the password among it: a `/`, `@` or `#` in a password that is not percent-encoded, a lonely `%`.
    """
    try:
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2].split(",")
        ports = [urlsplit(f"//{host}").port for host in hosts]
    except ValueError:
        return False
    return (
        parts.scheme in schemes
        and len(ports) == len(hosts)
        and "@" not in parts.netloc.rpartition("@")[0]
        and "@" not in parts.path
        and not parts.fragment
        and all("=" in pair for pair in parts.query.split("&") if pair)
        and re.fullmatch(r"(?:[^%]|%[0-9A-Fa-f]{2})*", url) is not None
        and re.search(r"\s", url) is None
    )


def _repeats(text: str) -> bool:
    """True for a text that is a shorter one over and over, or a few characters only."""
    return text in (text + text)[1:-1] or len(set(text)) < min(10, len(text) // 3)


def _counts(text: str) -> bool:
    """True when most characters are a neighbour of the one before; of random digits one in five is."""
    steps = sum(abs(ord(after) - ord(before)) <= 1 for before, after in pairwise(text))
    return steps > 0.45 * len(text)


def _is_prose(text: str) -> bool:
    """True for words, and for a sentence: letters of one size, or spaces between."""
    kinds = sum(bool(re.search(kind, text)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return kinds < 2 or re.search(r"\s", text) is not None or _WORDS.search(text) is not None


def _bits(text: str) -> float:
    """What the frequencies of its characters leave to guess."""
    return -sum(count * math.log2(count / len(text)) for count in Counter(text).values())
