"""Users: the list, for admins; by id, for themselves and for admins, and somebody else's is not there."""

from typing import Final

from flask import Blueprint, Response, g

from api.auth import require_actor
from api.container import get_container
from api.contract import Answer, describe
from api.paging import list_document, page_request
from api.parsing import load_body, load_query
from api.responses import NO_STORE, json_response
from api.routes.accounts import close_own_account, finish_closing
from api.schemas.accounts import ClosingSchema
from api.schemas.requests import EmptySchema
from api.schemas.users import (
    USER_SORTS,
    UserChangeSchema,
    UserDocument,
    UserListDocument,
    UserListSchema,
    user_document,
    user_row_document,
)
from shared.db import transaction
from shared.services import accounts, users
from shared.store.users import list_users

blueprint = Blueprint("users", __name__)

_LIST: Final = UserListSchema()

_TAG: Final = "Users"
_PATH: Final = {"user_id": "The user's id: one's own, or for admins anybody's."}
_PRIVATE: Final = ("Cache-Control",)


@blueprint.get("/users")
@blueprint.get("/admin/users")
@describe(
    tag=_TAG,
    auth="admin",
    query=UserListSchema,
    answers={200: Answer("A page of accounts.", UserListDocument, headers=("Link", "Cache-Control"))},
)
def list_all() -> Response:
    """Lists the accounts that are not closed, the newest first; `search` finds the beginnings of words."""
    query = load_query(_LIST)
    asked = page_request(query, USER_SORTS)
    with transaction(get_container().engine) as session:
        require_actor(session, "admin")
        page = list_users(session, role=query.get("role"), search=query.get("search"), page=asked)
    document, headers = list_document([user_row_document(row) for row in page.rows], page, asked)
    return json_response(document, headers={**headers, **NO_STORE})


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
    problems=("user_not_found", "forbidden", "email_taken", "last_admin"),
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
    problems=("user_not_found", "invalid_credentials", "login_throttled", "last_admin", "overloaded"),
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
