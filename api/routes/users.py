"""Users by id, for themselves and for admins; somebody else's is not there."""

from typing import Final

from flask import Blueprint, Response, g

from api.auth import require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.parsing import load_body
from api.responses import NO_STORE, json_response
from api.routes.accounts import close_own_account, finish_closing
from api.schemas.accounts import ClosingSchema
from api.schemas.requests import EmptySchema
from api.schemas.users import UserChangeSchema, UserDocument, user_document
from shared.db import transaction
from shared.services import accounts, users

blueprint = Blueprint("users", __name__)

_TAG: Final = "Users"
_PATH: Final = {"user_id": "The user's id: one's own, or for admins anybody's."}
_PRIVATE: Final = ("Cache-Control",)


@blueprint.get("/users/<int:user_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    answers={200: Answer("The account.", UserDocument, headers=_PRIVATE)},
    problems=("user_not_found",),
)
def get_user(user_id: int) -> Response:
    """Shows an account."""
    with transaction(get_container().engine) as session:
        user = users.get_user(session, user_id, actor=require_actor(session))
    return json_response(user_document(user), headers=NO_STORE)


@blueprint.put("/users/<int:user_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    body=UserChangeSchema,
    body_optional=True,
    answers={200: Answer("The account as it is now.", UserDocument, headers=_PRIVATE)},
    problems=("user_not_found", "forbidden", "email_taken"),
)
def update_user(user_id: int) -> Response:
    """Changes name, e-mail address and, as an admin, role."""
    data = load_body(UserChangeSchema())
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        user = users.update_user(session, user_id, data, actor=actor, request_id=g.request_id)
    return json_response(user_document(user), headers=NO_STORE)


@blueprint.delete("/users/<int:user_id>")
@describe(
    tag=_TAG,
    auth="user",
    path=_PATH,
    body=ClosingSchema,
    body_optional=True,
    answers={204: Answer("The account is closed, and anonymised.", headers=_PRIVATE)},
    problems=("user_not_found", "invalid_credentials", "login_throttled", "overloaded"),
)
def close_account(user_id: int) -> Response:
    """Closes an account: one's own with the password as in DELETE /auth/account, as an admin another's."""
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session)
    if actor.user_id == user_id:
        return close_own_account()
    load_body(EmptySchema())
    with transaction(container.engine) as session:
        user = users.get_user_locked(session, user_id, actor=actor)
        closed = accounts.close_account(
            session, user, actor_id=actor.user_id, settings=container.settings, request_id=g.request_id
        )
    return finish_closing(closed)
