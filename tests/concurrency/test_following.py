"""What somebody asks to be told of, at the very moment at which it happens or they leave."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, func, select

from shared.clock import utc_now
from shared.db import transaction
from shared.domain.permissions import Actor
from shared.errors import GuichetError, NotFoundError, RefusedError
from shared.models import Event, Follow, Interest, User
from shared.services import accounts, follows, interests, users
from shared.services.event_ledger import lock_event
from shared.store.events import find_event
from tests.factories import make_event, make_user
from tests.lines import await_that
from tests.locks import count_waiting_for_locks


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def event(engine) -> Event:
    return make_event(engine, sales_open_at=utc_now() + timedelta(days=1))


def ask(engine: Engine, event: Event, user: User) -> None:
    with transaction(engine) as session:
        found = find_event(session, event.id)
        assert found is not None
        interests.add_interest(session, found, actor=Actor(user.id, "attendee"))


def follow(engine: Engine, host: User, user: User) -> None:
    with transaction(engine) as session:
        follows.follow(session, host.id, actor=Actor(user.id, "attendee"))


def close(session, user: User, settings) -> None:
    locked = users.get_user_locked(session, user.id, actor=Actor(user.id, "attendee"))
    accounts.close_account(session, locked, actor_id=user.id, settings=settings, request_id=None)


def count(engine: Engine, table: type[Follow | Interest]) -> int:
    with transaction(engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def waits(engine: Engine) -> None:
    await_that(lambda: count_waiting_for_locks(engine) == 1, what="the second to wait for the first")


class TestASaleThatOpens:
    def test_is_seen_by_who_asks_meanwhile(self, engine, event, pool):
        """Whoever opens it reads afterwards whom to tell: nobody may come in between unseen."""
        with transaction(engine) as session:
            opening = lock_event(session, event.id)
            asking = pool.submit(ask, engine, event, make_user(engine))
            waits(engine)
            opening.sales_open_at = utc_now() - timedelta(seconds=1)
        with pytest.raises(RefusedError, match="sales_open"):
            asking.result(timeout=60)
        assert count(engine, Interest) == 0

    def test_waits_for_who_has_asked_a_moment_ago(self, engine, event, pool):
        def open_and_list() -> int:
            with transaction(engine) as session:
                lock_event(session, event.id)
                return session.scalar(select(func.count()).select_from(Interest)) or 0

        with transaction(engine) as session:
            found = find_event(session, event.id)
            interests.add_interest(session, found, actor=Actor(make_user(engine).id, "attendee"))
            opening = pool.submit(open_and_list)
            waits(engine)
        assert opening.result(timeout=60) == 1


class TestAnAccountThatIsClosed:
    @pytest.mark.parametrize("table", [Interest, Follow])
    def test_gets_nothing_any_more(self, engine, settings, event, pool, table):
        user, host = make_user(engine), make_user(engine, role="host")
        with transaction(engine) as session:
            close(session, user, settings)
            asking = (
                pool.submit(ask, engine, event, user)
                if table is Interest
                else pool.submit(follow, engine, host, user)
            )
            waits(engine)
        with pytest.raises(GuichetError, match="unauthenticated"):
            asking.result(timeout=60)
        assert count(engine, table) == 0

    def test_is_not_followed_any_more(self, engine, settings, pool):
        host = make_user(engine, role="host")
        with transaction(engine) as session:
            close(session, host, settings)
            following = pool.submit(follow, engine, host, make_user(engine))
            waits(engine)
        with pytest.raises(NotFoundError, match="host_not_found"):
            following.result(timeout=60)
        assert count(engine, Follow) == 0

    def test_does_not_wait_for_another_that_follows_it_and_is_closed_too(self, engine, settings, pool):
        """Each deletes what the other wants to delete; in the order of their own, they would wait for each other."""

        def close_other() -> None:
            with transaction(engine) as session:
                close(session, bob, settings)

        ada, bob = make_user(engine, role="host"), make_user(engine, role="host")
        follow(engine, ada, bob)
        follow(engine, bob, ada)
        with transaction(engine) as session:
            close(session, ada, settings)
            pool.submit(close_other).result(timeout=60)
        assert count(engine, Follow) == 0

    def test_would_be_without_the_lock(self, engine, settings, event, pool, monkeypatch):
        """The negative control: what is written meanwhile stays behind."""
        monkeypatch.setattr(interests, "keep_open", lambda *_: None)
        user = make_user(engine)
        with transaction(engine) as session:
            close(session, user, settings)
            pool.submit(ask, engine, event, user).result(timeout=60)
        assert count(engine, Interest) == 1
