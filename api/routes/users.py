"""Users by id, for themselves and for admins; somebody else's is not there."""

from flask import Blueprint, Response, g

from api.auth import require_actor
from api.container import get_container
from api.parsing import StrictSchema, load_body
from api.responses import NO_STORE, json_response
from api.routes.accounts import close_own_account, finish_closing
from api.schemas.users import UserChangeSchema, user_document
from shared.db import transaction
from shared.services import accounts, users

blueprint = Blueprint("users", __name__)


@blueprint.get("/users/<int:user_id>")
def get_user(user_id: int) -> Response:
    """One account."""
    with transaction(get_container().engine) as session:
        user = users.get_user(session, user_id, actor=require_actor(session))
    return json_response(user_document(user), headers=NO_STORE)


@blueprint.put("/users/<int:user_id>")
def update_user(user_id: int) -> Response:
    """Changes name, e-mail address and, as an admin, role."""
    data = load_body(UserChangeSchema())
    with transaction(get_container().engine) as session:
        actor = require_actor(session)
        user = users.update_user(session, user_id, data, actor=actor, request_id=g.request_id)
    return json_response(user_document(user), headers=NO_STORE)


@blueprint.delete("/users/<int:user_id>")
def close_account(user_id: int) -> Response:
    """Closes an account: one's own with the password as in DELETE /auth/account, as an admin another's."""
    container = get_container()
    with transaction(container.engine) as session:
        actor = require_actor(session)
    if actor.user_id == user_id:
        return close_own_account()
    load_body(StrictSchema())
    with transaction(container.engine) as session:
        user = users.get_user_locked(session, user_id, actor=actor)
        closed = accounts.close_account(
            session, user, actor_id=actor.user_id, settings=container.settings, request_id=g.request_id
        )
    return finish_closing(closed)
