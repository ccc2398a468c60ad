"""The outbox: told on with its deletion, once, by however many; what cannot be told keeps nobody waiting."""

import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from shared.db import transaction
from shared.models import OutboxMessage
from shared.services import outbox
from shared.store import outbox as store
from tests.factories import auth_header, make_event, make_user


@pytest.fixture
def told(engine):
    """A table in which a handler writes the ids it was given, and that handler."""
    with transaction(engine) as session:
        session.execute(text("create table told (message_id bigint, topic text, event_id bigint)"))

    def handler(session, messages):
        for message in messages:
            session.execute(
                text("insert into told values (:id, :topic, :event_id)"),
                {"id": message.id, "topic": message.topic, "event_id": message.event_id},
            )

    return handler


def add_messages(engine, count, *, event_id=1, rows=1):
    with transaction(engine) as session:
        for number in range(count):
            first = number * rows + 1
            outbox.add_ledger_range(session, event_id, from_number=first, to_number=first + rows - 1)


def told_ids(engine):
    with transaction(engine) as session:
        return list(session.scalars(text("select message_id from told order by message_id")))


def count_messages(engine):
    with transaction(engine) as session:
        return session.query(OutboxMessage).count()


class TestDraining:
    def test_hands_over_in_order_and_deletes(self, engine, told):
        add_messages(engine, 3)
        seen = []
        assert outbox.drain_once(engine, [told, lambda _, messages: seen.extend(m.id for m in messages)]) == 3
        assert seen == sorted(seen)
        assert told_ids(engine) == seen
        assert count_messages(engine) == 0
        assert outbox.drain_once(engine, [told]) == 0

    def test_keeps_everything_when_the_process_ends_before_the_commit(self, engine, told):
        """An exception that is nobody's fault does what a death does; the real one is among the crash tests."""
        add_messages(engine, 3)

        def outage(*_):
            raise OperationalError("select", {}, Exception("server closed the connection"))

        with pytest.raises(OperationalError):
            outbox.drain_once(engine, [told, outage])
        assert told_ids(engine) == []
        assert count_messages(engine) == 3

    def test_takes_a_bounded_number(self, engine, told):
        add_messages(engine, outbox.MESSAGES_MAX + 1)
        assert outbox.drain_once(engine, [told]) == outbox.MESSAGES_MAX
        assert outbox.drain_once(engine, [told]) == 1

    def test_takes_a_bounded_number_of_ledger_rows(self, engine, told):
        add_messages(engine, 4, rows=outbox.ROWS_MAX // 2)
        assert outbox.drain_once(engine, [told]) == 2

    def test_takes_one_that_is_too_large_by_itself(self, engine, told):
        add_messages(engine, 2, rows=outbox.ROWS_MAX * 2)
        assert outbox.drain_once(engine, [told]) == 1

    def test_a_turn_goes_on_until_nothing_waits(self, engine, told, monkeypatch):
        monkeypatch.setattr(outbox, "TURN_SECONDS", 60.0)
        add_messages(engine, outbox.MESSAGES_MAX + 50)
        assert outbox.drain(engine, [told]) == outbox.MESSAGES_MAX + 50
        assert count_messages(engine) == 0

    def test_a_turn_ends_when_its_time_is_up(self, engine, told, monkeypatch):
        monkeypatch.setattr(outbox, "TURN_SECONDS", 0.0)
        add_messages(engine, outbox.MESSAGES_MAX + 50)
        assert outbox.drain(engine, [told]) == outbox.MESSAGES_MAX

    def test_a_topic_of_a_newer_release_waits_for_a_worker_that_knows_it(self, engine, told):
        with transaction(engine) as session:
            outbox.add(session, "from_the_future", payload={"a": 1})
        add_messages(engine, 1)
        assert outbox.drain(engine, [told]) == 1
        assert count_messages(engine) == 1

    def test_a_message_stands_or_falls_with_its_cause(self, engine):
        with Session(engine) as session:
            outbox.add_ledger_range(session, 1, from_number=1, to_number=1)
            session.flush()
            session.rollback()
        assert count_messages(engine) == 0


class TestTwoDrainers:
    """While one drainer is between its handler and its commit, another drains too."""

    def drain_at_once(self, engine, told):
        add_messages(engine, 4)
        inside, go_on = threading.Event(), threading.Event()

        def slow(session, messages):
            told(session, messages)
            inside.set()
            assert go_on.wait(20)

        first = threading.Thread(target=outbox.drain_once, args=(engine, [slow]))
        first.start()
        assert inside.wait(20)
        outbox.drain_once(engine, [told])
        go_on.set()
        first.join()

    def test_tell_once(self, engine, told):
        self.drain_at_once(engine, told)
        assert len(told_ids(engine)) == 4
        assert count_messages(engine) == 0

    def test_would_tell_twice_without_the_lock(self, engine, told, monkeypatch):
        unlocked = text(str(store._TAKE).replace("for update skip locked", ""))
        monkeypatch.setattr(store, "_TAKE", unlocked)
        self.drain_at_once(engine, told)
        assert len(told_ids(engine)) == 8


class TestPoison:
    def spoil(self, engine, told, fail, *, count=7, which=3):
        add_messages(engine, count)
        with transaction(engine) as session:
            ids = list(session.scalars(text("select id from outbox order by id")))

        def handler(session, messages):
            told(session, messages)
            if any(message.id == ids[which] for message in messages):
                fail(session)

        assert outbox.drain_once(engine, [handler]) == count
        return ids

    @pytest.mark.parametrize(
        "fail",
        [
            lambda _: 1 / 0,
            lambda session: session.execute(text("select cast('x' as integer)")),
            lambda session: session.execute(
                text("insert into notifications (id) values (gen_random_uuid())")
            ),
        ],
        ids=["our code", "class 22", "class 23"],
    )
    def test_is_set_aside_alone(self, engine, told, fail):
        ids = self.spoil(engine, told, fail)
        assert told_ids(engine) == ids[:3] + ids[4:]
        with transaction(engine) as session:
            left = session.query(OutboxMessage).one()
        assert left.id == ids[3]
        assert left.set_aside_at is not None
        assert left.error

    def test_is_not_taken_again_until_somebody_says_so(self, engine, told):
        self.spoil(engine, told, lambda _: 1 / 0)
        assert outbox.drain_once(engine, [told]) == 0
        with transaction(engine) as session:
            session.execute(text("update outbox set set_aside_at = null, error = null"))
        assert outbox.drain_once(engine, [told]) == 1

    def test_is_tried_again_by_the_schedule_and_set_aside_again(self, engine, told):
        ids = self.spoil(engine, told, lambda _: 1 / 0)
        for still in (True, False):
            with transaction(engine) as session:
                assert outbox.retry_set_aside(session) == 1
            outbox.drain_once(engine, [told, lambda *_: 1 / 0] if still else [told])
            assert count_messages(engine) == int(still)
        assert told_ids(engine) == ids

    def test_quotes_nobody(self, engine, told, caplog):
        def fail(_session):
            raise ValueError("the secret venue")

        self.spoil(engine, told, fail)
        with transaction(engine) as session:
            error = session.query(OutboxMessage).one().error
        assert error.startswith("ValueError in fail:")
        assert "secret" not in error + caplog.text

    def test_what_is_nobodys_fault_sets_nothing_aside(self, engine, told):
        add_messages(engine, 2)

        def time_out(session, _messages):
            session.execute(text("set local statement_timeout = 10; select pg_sleep(10)"))

        with pytest.raises(OperationalError):
            outbox.drain_once(engine, [told, time_out])
        with transaction(engine) as session:
            assert session.scalar(text("select count(*) from outbox where set_aside_at is null")) == 2


class TestControlPlane:
    def test_a_control_row_writes_its_message(self, engine):
        event = make_event(engine)
        with transaction(engine) as session:
            rows = session.execute(
                text("select topic, event_id, from_number, to_number from outbox order by id")
            ).all()
        assert rows == [("ledger", event.id, 1, 1)]

    def test_what_waits_locks_no_event(self, engine):
        """A batch locks the events' rows: telling must not stand in its way."""
        event = make_event(engine)
        with transaction(engine) as holder:
            holder.execute(text("select from events where id = :id for update"), {"id": event.id})
            with transaction(engine) as session:
                session.execute(text("set local lock_timeout = '1s'"))
                outbox.add(session, "ledger_of_another_kind", event_id=event.id)


class TestBacklog:
    def test_health_and_metrics_show_it(self, engine, app, client):
        admin = make_user(engine, role="admin")
        add_messages(engine, 3)
        with transaction(engine) as session:
            session.execute(
                text(
                    "update outbox set created_at = now() - interval '2 minutes' where id = (select min(id) from outbox);"
                    "update outbox set set_aside_at = now(), error = 'ValueError in x:1'"
                    " where id = (select max(id) from outbox)"
                )
            )
        document = client.get("/api/admin/health", headers=auth_header(app, admin)).json
        assert document["outbox"]["waiting"] == 2
        assert 120 <= document["outbox"]["oldest_seconds"] < 180
        assert document["outbox"]["set_aside"] == 1
        assert {"outbox", "outbox_set_aside"} <= set(document["warnings"])
        lines = client.get("/metrics").text.splitlines()
        assert "outbox_messages 2.0" in lines
        assert "outbox_set_aside 1.0" in lines

    def test_nothing_is_said_while_it_is_empty(self, engine, app, client):
        admin = make_user(engine, role="admin")
        document = client.get("/api/admin/health", headers=auth_header(app, admin)).json
        assert document["outbox"] == {"waiting": 0, "oldest_seconds": 0.0, "set_aside": 0}
        assert not {"outbox", "outbox_set_aside"} & set(document["warnings"])
