"""Changes come from our own pages, or not at all: the browser says so, and the page shows a token."""

import hmac
import secrets
from typing import Final
from urllib.parse import urlsplit

from flask import request

from api.console import sessions
from api.console.sessions import FORM_SECONDS, ConsoleSession
from api.container import get_container
from shared.errors import GuichetError
from shared.services.console_sessions import SESSION_SECONDS

TOKEN_FIELD: Final = "csrf_token"  # noqa: S105 - a name
TOKEN_HEADER: Final = "X-CSRF-Token"  # noqa: S105 - a name


def require_own_origin() -> None:
    """Raises GuichetError `cross_site` unless the browser says that one of our pages sends this.

    Browsers send Origin with every POST, and Sec-Fetch-Site where it can be trusted; who sends neither is none.
    """
    fetch_site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if (fetch_site is None and origin is None) or fetch_site not in (None, "same-origin"):
        raise GuichetError("cross_site")
    if origin is not None and not _is_own(origin):
        raise GuichetError("cross_site")


def make_form_token(form_id: str | None) -> tuple[str, str]:
    """The form's id, which goes into a cookie (`form_id` again, or a new one), and the token in the form."""
    form_id = form_id or secrets.token_urlsafe(24)
    return form_id, str(sessions.make_signer(get_container().settings, "form").dumps(form_id))


def require_form_token() -> None:
    """Raises GuichetError `cross_site` unless form and cookie are of one page that we made in the last hour."""
    signed = sessions.unsign("form", request.form.get(TOKEN_FIELD, ""), seconds_max=FORM_SECONDS)
    _require_equal(signed, sessions.find_form())


def make_session_token(session: ConsoleSession) -> str:
    """What the session's pages show when they change something."""
    return str(sessions.make_signer(get_container().settings, "change").dumps(str(session.family_id)))


def require_session_token(session: ConsoleSession) -> None:
    """Raises GuichetError `cross_site` unless the request shows a token of this session."""
    given = request.headers.get(TOKEN_HEADER) or request.form.get(TOKEN_FIELD, "")
    _require_equal(sessions.unsign("change", given, seconds_max=SESSION_SECONDS), str(session.family_id))


def _is_own(origin: str) -> bool:
    """By host: behind a proxy that nobody counted, we would take our own scheme for another."""
    own = {request.host, urlsplit(get_container().settings.base_url).netloc} - {""}
    try:
        return origin != "null" and urlsplit(origin).netloc in own
    except ValueError:  # such as `http://[`: no browser's
        return False


def _require_equal(signed: object, expected: str) -> None:
    if (
        not isinstance(signed, str)
        or not expected
        or not hmac.compare_digest(signed.encode(), expected.encode())
    ):
        raise GuichetError("cross_site", "The page has expired, or is not one of ours. Open it again.")
