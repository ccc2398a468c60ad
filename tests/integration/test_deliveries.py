"""Every delivery tells once for each person and cause, and never a closed account."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from shared.adapters.deliveries import InAppDelivery, RememberedDelivery
from shared.db import transaction
from shared.domain.notifications import Notice
from tests.factories import make_event, make_user


class InApp:
    """The delivery in the app, as the tests ask every delivery."""

    def __init__(self, engine):
        self.engine, self.delivery = engine, InAppDelivery()

    def close_account(self, user_id):
        with transaction(self.engine) as session:
            session.execute(text("update users set deleted_at = now() where id = :id"), {"id": user_id})

    def told(self):
        with transaction(self.engine) as session:
            rows = session.execute(text("select user_id, cause, payload from notifications"))
            return {(user_id, cause): payload for user_id, cause, payload in rows}


class InMemory:
    """The twin."""

    def __init__(self, engine):
        self.engine, self.delivery = engine, RememberedDelivery()

    def close_account(self, user_id):
        self.delivery.closed.add(user_id)

    def told(self):
        return {key: dict(notice.facts) for key, notice in self.delivery.told.items()}


@pytest.fixture(params=[InApp, InMemory])
def subject(request, engine):
    return request.param(engine)


def deliver(subject, *notices):
    with transaction(subject.engine) as session:
        subject.delivery.deliver(session, notices)


@pytest.fixture
def notice(engine):
    event = make_event(engine)

    def make(user, cause="sales_open:1", **facts):
        return Notice(user_id=user.id, kind="sales_open", cause=cause, event_id=event.id, facts=facts)

    return make


class TestEveryDelivery:
    def test_tells_each_person_and_each_cause(self, engine, subject, notice):
        one, other = make_user(engine), make_user(engine)
        deliver(subject, notice(one), notice(other), notice(one, "sales_open:2"))
        assert set(subject.told()) == {
            (one.id, "sales_open:1"),
            (other.id, "sales_open:1"),
            (one.id, "sales_open:2"),
        }

    def test_tells_a_cause_once_and_keeps_what_was_said_first(self, engine, subject, notice):
        user = make_user(engine)
        deliver(subject, notice(user, n=1), notice(user, n=2))
        deliver(subject, notice(user, n=3))
        assert subject.told() == {(user.id, "sales_open:1"): {"n": 1}}

    def test_tells_no_closed_account(self, engine, subject, notice):
        user = make_user(engine)
        subject.close_account(user.id)
        deliver(subject, notice(user))
        assert subject.told() == {}

    def test_tells_nobody_when_there_is_nothing(self, subject):
        deliver(subject)
        assert subject.told() == {}


class TestABatchThatHasTheEvent:
    """A batch locks the event's row; a foreign key would be checked by locking it too."""

    def deliver_meanwhile(self, engine, notice, user):
        told = notice(user)
        with transaction(engine) as batch:
            batch.execute(text("select from events where id = :id for update"), {"id": told.event_id})
            with transaction(engine) as session:
                session.execute(text("set local lock_timeout = '200ms'"))
                InAppDelivery().deliver(session, [told])

    def test_is_not_waited_for(self, engine, notice):
        user = make_user(engine)
        self.deliver_meanwhile(engine, notice, user)
        with transaction(engine) as session:
            assert session.scalar(text("select user_id from notifications")) == user.id

    def test_would_be_waited_for_with_a_foreign_key(self, engine, notice):
        with transaction(engine) as session:
            session.execute(text("alter table notifications add foreign key (event_id) references events"))
        with pytest.raises(OperationalError, match="lock timeout"):
            self.deliver_meanwhile(engine, notice, make_user(engine))
