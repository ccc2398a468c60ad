"""Two admins demote or close each other at the same moment: one of them stays an admin."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import Engine, func, select

from shared.db import transaction
from shared.domain.permissions import Actor
from shared.errors import RefusedError
from shared.models import User
from shared.services import accounts, users
from shared.settings import Settings
from tests.factories import make_user
from tests.lines import await_that
from tests.locks import count_waiting_for_locks


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def demote(engine: Engine, *, who: int, by: int) -> None:
    with transaction(engine) as session:
        actor = Actor(by, "admin")
        users.update_user(session, who, {"role": "host"}, actor=actor, request_id=None)


def close(engine: Engine, settings: Settings, *, who: int, by: int) -> None:
    with transaction(engine) as session:
        user = users.get_user_locked(session, who, actor=Actor(by, "admin"))
        accounts.close_account(session, user, actor_id=by, settings=settings, request_id=None)


def count_admins(engine: Engine) -> int:
    with transaction(engine) as session:
        query = select(func.count()).where(User.role == "admin", User.deleted_at.is_(None))
        return session.scalar(query) or 0


@pytest.mark.parametrize("second", ["demote", "close"])
def test_one_stays(engine, settings, pool, second):
    ada, bob = make_user(engine, role="admin"), make_user(engine, role="admin")
    again = partial(demote, engine) if second == "demote" else partial(close, engine, settings)
    with transaction(engine) as session:
        users.update_user(session, ada.id, {"role": "host"}, actor=Actor(bob.id, "admin"), request_id=None)
        other = pool.submit(again, who=bob.id, by=ada.id)
        await_that(lambda: count_waiting_for_locks(engine) == 1, what="the second to wait for the first")
    with pytest.raises(RefusedError, match="last_admin"):
        other.result(timeout=60)
    assert count_admins(engine) == 1


def test_without_the_lock_nobody_would(engine, pool, monkeypatch):
    """The negative control: each looks before the other has committed."""

    def look_only(session, user):
        if not users.has_other_admin(session, user.id):
            raise RefusedError("last_admin")

    monkeypatch.setattr(users, "keep_an_admin", look_only)
    ada, bob = make_user(engine, role="admin"), make_user(engine, role="admin")
    with transaction(engine) as session:
        users.update_user(session, ada.id, {"role": "host"}, actor=Actor(bob.id, "admin"), request_id=None)
        pool.submit(demote, engine, who=bob.id, by=ada.id).result(timeout=60)
    assert count_admins(engine) == 0
