"""Registering, logging in and out, one's own profile, password and account."""

from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, g, request

from api.auth import decode_refresh_token, require_actor, require_bearer_token
from api.client_address import client_network
from api.container import get_container
from api.contract import Answer, describe
from api.parsing import load_body
from api.responses import NO_STORE, json_response
from api.schemas.accounts import (
    ChangePasswordSchema,
    ConfirmationSchema,
    LogInSchema,
    RefreshSchema,
    RegisterSchema,
    TokensDocument,
    tokens_document,
)
from api.schemas.requests import EmptySchema
from api.schemas.users import ProfileSchema, UserDocument, user_document
from shared.db import transaction
from shared.domain.permissions import Actor
from shared.errors import GuichetError
from shared.services import accounts, control_requests, credentials, token_families, users
from shared.services.accounts import ClosedAccount
from shared.services.credentials import Attempt
from shared.services.token_families import SignedIn

blueprint = Blueprint("accounts", __name__)

_TAG: Final = "Accounts"
_PRIVATE: Final = ("Cache-Control",)
# Whoever shows a password may have shown too many wrong ones, or come when everybody does.
_PASSWORD_PROBLEMS: Final = ("invalid_credentials", "login_throttled", "overloaded")


@blueprint.post("/auth/register")
@describe(
    tag=_TAG,
    auth="none",
    body=RegisterSchema,
    answers={201: Answer("The account, and its first tokens.", TokensDocument, headers=_PRIVATE)},
    problems=("email_taken", "overloaded"),
)
def register() -> Response:
    """Makes an account and signs it in."""
    data = load_body(RegisterSchema())
    accounts.check_new_password(data["password"], email=data["email"], pointer="#/password")
    container = get_container()
    password_hash = container.passwords.hash(data.pop("password"))
    with transaction(container.engine) as session:
        signed_in = accounts.register(
            session, **data, password_hash=password_hash, settings=container.settings
        )
    return _tokens_response(signed_in, HTTPStatus.CREATED)


@blueprint.post("/auth/login")
@describe(
    tag=_TAG,
    auth="none",
    body=LogInSchema,
    answers={200: Answer("The log-in's first tokens.", TokensDocument, headers=_PRIVATE)},
    problems=_PASSWORD_PROBLEMS,
)
def log_in() -> Response:
    """Logs in; the same answer in the same time for a wrong password and an unknown address."""
    data = load_body(LogInSchema())
    container = get_container()
    settings = container.settings
    with transaction(container.engine) as session:
        attempt = credentials.begin_log_in(
            session, email=data["email"], address=client_network(request.environ), settings=settings
        )
    check = container.passwords.check(data["password"], attempt.password_hash)
    with transaction(container.engine) as session:
        signed_in = accounts.log_in(session, attempt, check, settings=settings)
    if signed_in is None:
        raise GuichetError("invalid_credentials")
    return _tokens_response(signed_in)


@blueprint.post("/auth/refresh")
@describe(
    tag=_TAG,
    auth="refresh_token",
    body=RefreshSchema,
    body_optional=True,
    answers={200: Answer("The log-in's next tokens.", TokensDocument, headers=_PRIVATE)},
)
def refresh() -> Response:
    """Gives the next pair of tokens for a refresh token, in the body or as the bearer.

    A refresh token that is used twice ends its log-in.
    """
    data = load_body(RefreshSchema())
    claims = decode_refresh_token(data.get("refresh_token") or require_bearer_token())
    container = get_container()
    with transaction(container.engine) as session:
        rotation = token_families.rotate(
            session,
            token_id=claims.token_id,
            family_id=claims.family_id,
            user_id=claims.user_id,
            settings=container.settings,
        )
    container.line.revoke(rotation.revocations)
    if rotation.signed_in is None:
        raise GuichetError("unauthenticated", "The refresh token was used before, or its log-in has ended.")
    return _tokens_response(rotation.signed_in)


@blueprint.post("/auth/logout")
@describe(
    tag=_TAG,
    auth="user",
    body=EmptySchema,
    body_optional=True,
    answers={204: Answer("None of the log-in's tokens counts any more.", headers=_PRIVATE)},
)
def log_out() -> Response:
    """Ends the log-in of this token at once."""
    load_body(EmptySchema())
    container = get_container()
    with transaction(container.engine) as session:
        revocations = accounts.log_out(session, require_actor(session), settings=container.settings)
    container.line.revoke(revocations)
    return Response(status=HTTPStatus.NO_CONTENT, headers=NO_STORE)


@blueprint.get("/auth/profile")
@describe(
    tag=_TAG,
    auth="user",
    answers={200: Answer("The caller's account.", UserDocument, headers=_PRIVATE)},
    problems=("user_not_found",),
)
def get_profile() -> Response:
    """Shows one's own account."""
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        user = users.get_user(session, actor.user_id, actor=actor)
    return json_response(user_document(user), headers=NO_STORE)


@blueprint.put("/auth/profile")
@describe(
    tag=_TAG,
    auth="user",
    body=ProfileSchema,
    body_optional=True,
    answers={200: Answer("The caller's account as it is now.", UserDocument, headers=_PRIVATE)},
    problems=("user_not_found", "email_taken"),
)
def update_profile() -> Response:
    """Changes one's name or e-mail address."""
    data = load_body(ProfileSchema())
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        user = users.update_user(session, actor.user_id, data, actor=actor, request_id=g.request_id)
    return json_response(user_document(user), headers=NO_STORE)


@blueprint.put("/auth/change-password")
@describe(
    tag=_TAG,
    auth="user",
    body=ChangePasswordSchema,
    answers={204: Answer("The new password counts; every other log-in has ended.", headers=_PRIVATE)},
    problems=_PASSWORD_PROBLEMS,
)
def change_password() -> Response:
    """Changes one's password and ends every other log-in."""
    data = load_body(ChangePasswordSchema())
    container = get_container()
    actor, attempt = _begin_confirmation()
    accounts.check_new_password(data["new_password"], email=attempt.email, pointer="#/new_password")
    check = container.passwords.check(data["current_password"], attempt.password_hash)
    new_hash = container.passwords.hash(data["new_password"]) if check.matches else ""
    with transaction(container.engine) as session:
        revocations = accounts.change_password(
            session, actor, attempt, check, new_hash=new_hash, settings=container.settings
        )
    if revocations is None:
        raise GuichetError("invalid_credentials", "The current password is wrong.")
    container.line.revoke(revocations)
    return Response(status=HTTPStatus.NO_CONTENT, headers=NO_STORE)


@blueprint.delete("/auth/account")
@describe(
    tag=_TAG,
    auth="user",
    body=ConfirmationSchema,
    answers={204: Answer("The account is closed, and anonymised.", headers=_PRIVATE)},
    problems=(*_PASSWORD_PROBLEMS, "last_admin"),
)
def close_own_account() -> Response:
    """Closes one's account; the password must be shown once more."""
    data = load_body(ConfirmationSchema())
    container = get_container()
    actor, attempt = _begin_confirmation()
    check = container.passwords.check(data["password"], attempt.password_hash)
    with transaction(container.engine) as session:
        user = credentials.settle(session, attempt, check, settings=container.settings)
        closed = user and accounts.close_account(
            session, user, actor_id=actor.user_id, settings=container.settings, request_id=g.request_id
        )
    if not closed:
        raise GuichetError("invalid_credentials", "The password is wrong.")
    return finish_closing(closed)


def finish_closing(closed: ClosedAccount) -> Response:
    """After the commit: what the line has to know. Best effort each, the schedule repeats it."""
    container = get_container()
    container.line.revoke(closed.revocations)
    container.line.withdraw_all(closed.user_id)
    control_requests.put_into_line(container.engine, container.line, closed.job_ids)
    container.stamps.everything_changed()
    return Response(status=HTTPStatus.NO_CONTENT, headers=NO_STORE)


def _begin_confirmation() -> tuple[Actor, Attempt]:
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session)
        attempt = credentials.begin_confirmation(
            session,
            user_id=actor.user_id,
            address=client_network(request.environ),
            settings=container.settings,
        )
    return actor, attempt


def _tokens_response(signed_in: SignedIn, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return json_response(tokens_document(signed_in), status, headers=NO_STORE)
