"""The console's cookies: whose session, and which log-in form. Both signed, neither worth anything to `/api`."""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any, Final

from flask import Response, request
from itsdangerous import BadData, URLSafeTimedSerializer

from api.container import get_container
from shared.db import transaction
from shared.services import console_sessions
from shared.settings import Settings

# Without a page opened for so long, the session is over. What pages fetch by themselves does not count.
IDLE_SECONDS: Final = 3600
FORM_SECONDS: Final = 3600  # how long a log-in form may lie open
SESSION_COOKIE: Final = "guichet_console"
FORM_COOKIE: Final = "guichet_login"


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """A valid session of an admin."""

    user_id: int
    family_id: uuid.UUID
    email: str


def make_signer(settings: Settings, purpose: str) -> URLSafeTimedSerializer:
    """Signs with a key of the purpose's own, so that nothing signed for one counts for another."""
    return URLSafeTimedSerializer(
        settings.secret_key,
        salt=f"guichet.console.{purpose}",
        signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"},
    )


def unsign(purpose: str, signed: str, *, seconds_max: int) -> Any:  # noqa: ANN401 - what was signed
    """What was signed for this purpose at most `seconds_max` ago; None when that cannot be said."""
    try:
        return make_signer(get_container().settings, purpose).loads(signed, max_age=seconds_max)
    except BadData:
        return None


def find_session() -> ConsoleSession | None:
    """The session of the request's cookie; None without one that counts. One transaction."""
    content = unsign("session", request.cookies.get(_name(SESSION_COOKIE), ""), seconds_max=IDLE_SECONDS)
    try:
        user_id, family_id = int(content[0]), uuid.UUID(content[1])
    except (TypeError, ValueError, IndexError, KeyError, AttributeError):
        return None
    with transaction(get_container().engine) as session:
        admin = console_sessions.find_admin(session, user_id=user_id, family_id=family_id)
    return None if admin is None else ConsoleSession(user_id, family_id, admin.email)


def set_session(response: Response, *, user_id: int, family_id: uuid.UUID) -> None:
    """Hands out the session, or lets its idle time begin anew."""
    signer = make_signer(get_container().settings, "session")
    _set(response, SESSION_COOKIE, str(signer.dumps([user_id, str(family_id)])))


def set_form(response: Response, form_id: str) -> None:
    """Marks the browser that a log-in form was made for."""
    _set(response, FORM_COOKIE, form_id)


def find_form() -> str:
    """The mark that `set_form` left; empty without one."""
    return request.cookies.get(_name(FORM_COOKIE), "")


def forget(response: Response, *cookies: str) -> None:
    """Tells the browser to drop the cookies."""
    for cookie in cookies:
        response.delete_cookie(_name(cookie), path="/", secure=_is_secure(), httponly=True, samesite="Strict")


def _set(response: Response, cookie: str, value: str) -> None:
    response.set_cookie(_name(cookie), value, path="/", secure=_is_secure(), httponly=True, samesite="Strict")


def _name(cookie: str) -> str:
    """Behind TLS with the prefix for which browsers refuse cookies that a neighbour or plain HTTP has planted."""
    return f"__Host-{cookie}" if _is_secure() else cookie


def _is_secure() -> bool:
    return request.is_secure or get_container().settings.base_url.startswith("https://")
