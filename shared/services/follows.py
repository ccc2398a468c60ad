"""Following hosts: whoever does is told of their new events."""

from typing import Any, cast

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from shared.domain.permissions import Actor
from shared.errors import NotFoundError, RefusedError
from shared.models import Follow, User
from shared.services.users import keep_open
from shared.store.hosts import is_host


def follow(session: Session, host_id: int, *, actor: Actor) -> tuple[User, Follow]:
    """`actor` follows the host from now on, or did already; the host, and since when. Safe to repeat.

    Raises NotFoundError `host_not_found`, RefusedError `own_host`.
    """
    if host_id == actor.user_id:
        raise RefusedError("own_host")
    keep_open(session, actor.user_id)
    host = session.get(User, host_id, with_for_update={"read": True}, populate_existing=True)
    if host is None or not is_host(session, host_id):
        raise NotFoundError("host_not_found")
    session.execute(insert(Follow).values(host_id=host_id, user_id=actor.user_id).on_conflict_do_nothing())
    found = session.scalars(
        select(Follow).where(Follow.host_id == host_id, Follow.user_id == actor.user_id)
    ).one()
    return host, found


def unfollow(session: Session, host_id: int, *, actor: Actor) -> None:
    """`actor` no longer follows, if ever. Raises NotFoundError `host_not_found` for who was never followed and is no
    host.
    """
    done = session.execute(delete(Follow).where(Follow.host_id == host_id, Follow.user_id == actor.user_id))
    if not cast("CursorResult[Any]", done).rowcount and not is_host(session, host_id):
        raise NotFoundError("host_not_found")
