"""The page where an admin signs in to the console, and the way out."""

import logging
from http import HTTPStatus
from typing import Any, Final

from flask import Blueprint, Response, g, render_template, request
from marshmallow import ValidationError

from api.client_address import client_address, client_network
from api.console import origins, sessions
from api.console.pages import LOGIN_POLICY, as_page, find_next, secure_page, see_other, static_file
from api.console.sessions import FORM_COOKIE, SESSION_COOKIE
from api.container import get_container
from api.contract import Answer, describe
from api.problems import PROBLEMS
from api.schemas.accounts import LogInSchema
from api.schemas.console import SignInForm, SignOutForm
from shared.db import transaction
from shared.errors import GuichetError, RefusedError, UnavailableError
from shared.services import console_sessions, credentials

log = logging.getLogger(__name__)

blueprint = Blueprint("console", __name__, template_folder="../templates")
blueprint.after_request(as_page)

_TAG: Final = "Console"
_HTML: Final = "text/html"
_COOKIE_HEADERS: Final = ("Cache-Control", "Set-Cookie")


@blueprint.get("/login")
@describe(
    tag=_TAG,
    auth="none",
    answers={
        200: Answer("The form.", media_type=_HTML, headers=_COOKIE_HEADERS),
        303: Answer("Signed in already.", headers=("Cache-Control", "Location")),
    },
)
def show_login() -> Response:
    """Shows the form for signing in to the console."""
    wanted = find_next(request.args.get("next", ""))
    if sessions.find_session() is not None:
        return see_other(wanted)
    return _form(wanted)


@blueprint.post("/login")
@describe(
    tag=_TAG,
    auth="none",
    form=SignInForm,
    answers={
        303: Answer("Signed in; the cookie is the session.", headers=(*_COOKIE_HEADERS, "Location")),
        401: Answer(
            "The form again: e-mail address and password are not an admin's.",
            media_type=_HTML,
            headers=_COOKIE_HEADERS,
        ),
        429: Answer("The form again: too many failures.", media_type=_HTML, headers=_COOKIE_HEADERS),
        503: Answer("The form again: too many people sign in.", media_type=_HTML, headers=_COOKIE_HEADERS),
    },
    problems=("cross_site", "payload_too_large"),
)
def log_in() -> Response:
    """Signs an admin in to the console; takes a form (`email`, `password`, `csrf_token`, `next`), not JSON.

    Throttled like every log-in; the same answer in the same time whatever was wrong.
    """
    origins.require_own_origin()
    origins.require_form_token()
    wanted = find_next(request.form.get("next", ""))
    email = request.form.get("email", "")
    try:
        data = LogInSchema().load({"email": email, "password": request.form.get("password", "")})
        return _sign_in(data, wanted)
    except ValidationError:
        return _form(wanted, email=email, error=GuichetError("invalid_credentials"))
    except (RefusedError, UnavailableError) as error:
        return _form(wanted, email=email, error=error)


@blueprint.post("/logout")
@describe(
    tag=_TAG,
    auth="console",
    form=SignOutForm,
    answers={303: Answer("The session has ended.", headers=(*_COOKIE_HEADERS, "Location"))},
    problems=("cross_site", "payload_too_large"),
)
def log_out() -> Response:
    """Ends the console's session at once; without one there is nothing to end."""
    origins.require_own_origin()
    session = sessions.find_session()
    if session is not None:
        origins.require_session_token(session)
        with transaction(get_container().engine) as database:
            console_sessions.end(database, user_id=session.user_id, family_id=session.family_id)
    response = see_other("/login")
    sessions.forget(response, SESSION_COOKIE)
    return response


@blueprint.get("/login/console.css")
@describe(
    tag=_TAG,
    auth="none",
    answers={200: Answer("The stylesheet.", media_type="text/css", headers=("Cache-Control",))},
    local=True,
)
def stylesheet() -> Response:
    """The console's stylesheet, which the form needs too."""
    return static_file("console.css", "text/css")


def _sign_in(data: dict[str, Any], wanted: str) -> Response:
    container = get_container()
    with transaction(container.engine) as session:
        attempt = credentials.begin_log_in(
            session, email=data["email"], address=client_network(request.environ), settings=container.settings
        )
    check = container.passwords.check(data["password"], attempt.password_hash)
    with transaction(container.engine) as session:
        family_id = console_sessions.start(session, attempt, check, settings=container.settings)
    if family_id is None or attempt.user_id is None:
        return _form(wanted, email=data["email"], error=GuichetError("invalid_credentials"))
    before = sessions.find_session()
    if before is not None:  # one browser, one session
        with transaction(container.engine) as session:
            console_sessions.end(session, user_id=before.user_id, family_id=before.family_id)
    log.info(
        "signed in to the console",
        extra={"user_id": attempt.user_id, "address": client_address(request.environ)},
    )
    response = see_other(wanted)
    sessions.set_session(response, user_id=attempt.user_id, family_id=family_id)
    sessions.forget(response, FORM_COOKIE)
    return response


def _form(wanted: str, *, email: str = "", error: GuichetError | None = None) -> Response:
    form_id, token = origins.make_form_token(sessions.find_form())
    status, message = (HTTPStatus.OK, "") if error is None else PROBLEMS[error.code]
    html = render_template(
        "console/login.html",
        csrf_token=token,
        next=wanted,
        email=email,
        message=message,
        request_id=g.get("request_id", ""),
    )
    response = secure_page(
        Response(html, status=status, content_type="text/html; charset=utf-8"), LOGIN_POLICY
    )
    sessions.set_form(response, form_id)
    wait_seconds = _wait_seconds(error)
    if wait_seconds:
        response.headers["Retry-After"] = str(wait_seconds)
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Cookie realm="guichet console"'
    return response


def _wait_seconds(error: GuichetError | None) -> int:
    if isinstance(error, UnavailableError):
        return error.retry_after_seconds
    return int(error.facts.get("retry_after_seconds", 0)) if error is not None else 0
