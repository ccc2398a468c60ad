"""Roll-ups say exactly what ledger and bookings say, whatever happened, in whatever order it was told."""

import contextlib
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from api.impressions import ImpressionCounter
from shared.db import transaction
from shared.domain.analytics import Period, Rolled, Span
from shared.models import OutboxMessage
from shared.services import analytics, outbox
from shared.services.analytics import catch_up, roll_up_messages, roll_up_registrations
from shared.services.event_ledger import lock_event
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from shared.services.outbox import Message
from shared.store.analytics import list_days
from shared.store.analytics_ledger import read_ledger
from shared.store.analytics_tables import note_heads
from tests.analytics import days_ago, drain, naive, rolled, tell, today
from tests.factories import make_event
from tests.ledgers import TruthfulLedger, add_users
from worker.compose import make_handlers
from worker.schedule import Schedule


class TestRollUps:
    @pytest.mark.parametrize("seed", range(8))
    def test_are_what_ledger_and_bookings_say(self, story, engine, seed):
        told = story(seed)
        told.run(80)
        assert rolled(engine) == naive(engine, told.looks)

    @pytest.mark.parametrize("seed", range(3))
    def test_come_to_the_same_when_no_message_told_of_anything(self, story, engine, seed):
        """What was decided before there were roll-ups."""
        told = story(seed)
        told.roll_up = lambda **_: None
        told.run(80)
        assert rolled(engine)["event_days"] == {}
        while catch_up(engine):
            pass
        assert rolled(engine) == naive(engine)


@pytest.fixture
def ledger(engine) -> TruthfulLedger:
    """Event 7: nine rows, four bookings made, one of them cancelled."""
    users = add_users(engine, 6)
    ledger = TruthfulLedger(event_id=7, host_id=users[0], capacity=20)
    first = ledger.book(users[1], 2)
    for user in users[2:5]:
        ledger.book(user)
    ledger.book(users[5], 9)  # too many
    ledger.cancel(users[1], first.booking_id)
    ledger.set_event(capacity=25)
    ledger.book(users[1])
    ledger.write(engine)
    return ledger


class TestExactlyOnce:
    def test_whatever_messages_say_twice_or_in_the_wrong_order(self, engine, ledger):
        tell(engine, 7, 4, after=2)
        tell(engine, 7, 9, after=4)
        tell(engine, 7, 2)
        tell(engine, 7, 9)
        with transaction(engine) as session:
            ids = list(session.scalars(select(OutboxMessage.id).order_by(OutboxMessage.id)))
        for message_id in (ids[1], ids[3], ids[0], ids[2]):
            drain(engine, [message_id])
        assert rolled(engine) == naive(engine)
        assert rolled(engine)["event_totals"][7,]["bookings"] == 5

    def test_when_the_drain_dies_between_counting_and_its_commit(self, engine, ledger):
        tell(engine, 7, 9)

        def count_and_die(session: Session, messages: Sequence[Message]) -> None:
            roll_up_messages(session, messages)
            pid = session.scalar(text("select pg_backend_pid()"))
            with engine.begin() as another:
                another.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})

        with pytest.raises(OperationalError):
            outbox.drain_once(engine, [count_and_die])
        assert rolled(engine)["event_totals"] == {}
        assert outbox.drain_once(engine, make_handlers()) == 1
        assert outbox.drain_once(engine, make_handlers()) == 0
        assert rolled(engine) == naive(engine)

    @pytest.mark.parametrize("guarded", [False, True])
    def test_when_two_count_at_once(self, engine, ledger, monkeypatch, guarded):
        """Without the lock both count the same rows."""
        both = threading.Barrier(2, timeout=2 if guarded else 60)

        def read_when_both_are_here(session: Session, spans: Sequence[Span]) -> Rolled:
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait()
            return read_ledger(session, spans)

        monkeypatch.setattr(analytics, "read_ledger", read_when_both_are_here)
        if not guarded:
            monkeypatch.setattr(analytics, "lock_roll_ups", lambda _session: None)
        with transaction(engine) as session:
            note_heads(session, {7: 9})
        with ThreadPoolExecutor(2) as threads:
            for turn in [threads.submit(catch_up, engine) for _ in range(2)]:
                turn.result()
        assert (rolled(engine)["event_days"] == naive(engine)["event_days"]) is guarded

    def test_when_there_is_more_than_one_turn_may_count(self, engine, ledger, monkeypatch):
        monkeypatch.setattr(analytics, "ROWS_MAX", 4)
        tell(engine, 7, 9)
        drain(engine)
        assert rolled(engine)["event_totals"][7,]["counted_number"] == 4
        turns = 0
        while catch_up(engine):
            turns += 1
        assert rolled(engine) == naive(engine)
        assert turns == 3  # two for the rest, one for a walk through all events


class TestLooks:
    def test_count_on_the_day_on_which_they_are_written(self, engine):
        events = [make_event(engine) for _ in range(2)]
        counter = ImpressionCounter(engine)
        for event in (events[0], events[0], events[1]):
            counter.count(event.id)
        counter.close()
        drain(engine)
        day = today(engine).isoformat()
        looks = Counter({(events[0].id, day): 2, (events[1].id, day): 1})
        assert rolled(engine) == naive(engine, looks)
        drain(engine)
        assert rolled(engine)["day_totals"][day,]["impressions"] == 3

    def test_are_told_when_they_are_added_and_not_before(self, engine):
        """An event that a worker has locked gets its looks later: then they count, once."""
        event, other = make_event(engine), make_event(engine)
        counter = ImpressionCounter(engine)
        for each in (event, other):
            counter.count(each.id)
        with transaction(engine) as session:
            lock_event(session, event.id)
            counter.flush()
        drain(engine)
        assert set(rolled(engine)["event_days"]) == {(other.id, today(engine).isoformat())}
        counter.close()
        drain(engine)
        assert [row["impressions"] for row in rolled(engine)["event_days"].values()] == [1, 1]


class TestRegistrations:
    def test_are_those_of_each_day_closed_accounts_too(self, engine):
        add_users(engine, 5)
        roll_up_registrations(engine)
        with transaction(engine) as session:
            session.execute(
                text(
                    "update users set created_at = now() - interval '3 days' where id in (select min(id) from users)"
                )
            )
            session.execute(
                text("update users set deleted_at = now() where id in (select max(id) from users)")
            )
            session.execute(text("update analytics_state set registrations_to = null"))
        add_users(engine, 1)
        for _ in range(2):
            roll_up_registrations(engine)
        with transaction(engine) as session:
            rows = session.execute(text("select day, registrations from day_totals order by day")).all()
        assert [tuple(row) for row in rows] == [(days_ago(engine, 3), 1), (today(engine), 5)]

    def test_of_yesterday_are_counted_again(self, engine):
        """Somebody's registration may have begun before midnight."""
        roll_up_registrations(engine)
        add_users(engine, 1)
        with transaction(engine) as session:
            session.execute(text("update users set created_at = now() - interval '1 day'"))
        roll_up_registrations(engine)
        with transaction(engine) as session:
            assert session.execute(text("select day, registrations from day_totals")).all() == [
                (days_ago(engine, 1), 1)
            ]


def test_the_schedule_counts_what_nobody_told(engine, settings, redis_client, ledger):
    line = LineClient(settings, redis_client, LineGate(settings, engine, redis_client))
    ran = Schedule(settings, engine, line, redis_client, handlers=make_handlers()).run_once()
    line.runner.close()
    assert {"drain_outbox", "catch_up_analytics", "count_registrations"} <= set(ran)
    assert rolled(engine) == naive(engine)


class TestPeople:
    def test_are_known_from_long_ago_whatever_is_told_first(self, engine, tamper):
        """Somebody active on days years apart, in events whose ledgers are counted in the wrong order."""
        host, user, other = add_users(engine, 3)
        ages = {1: 1200, 2: 800, 3: 434, 4: 433, 5: 67, 6: 0}
        for event_id, days in ages.items():
            ledger = TruthfulLedger(event_id=event_id, host_id=host)
            ledger.book(user)
            if days in (800, 0):
                ledger.book(other)
            ledger.write(engine)
            tamper(
                "update decisions set decided_at = now() - make_interval(days => :days) where event_id = :event",
                days=days,
                event=event_id,
            )
        for event_id in (4, 1, 6, 3, 5, 2):
            with transaction(engine) as session:
                note_heads(session, {event_id: 3 if ages[event_id] in (800, 0) else 2})
            catch_up(engine)
            with transaction(engine) as session:
                assert session.scalar(text("select bool_and(users >= 0) from activity_days"))
        found = rolled(engine)
        assert found == naive(engine)
        assert {(pair[1], row["users"]) for pair, row in found["activity_days"].items()} >= {
            ("0001-01-01", 1)
        }
        first = days_ago(engine, 365)
        with transaction(engine) as session:
            _, people = list_days(session, Period(first, today(engine)))
        assert (people.active, people.returning) == (2, 2)


class TestSpoiltLedgers:
    """Finding them is the audit's business; counting goes on."""

    @pytest.mark.parametrize(
        ("kind", "facts"),
        [
            ("call_off_slice", '{"cancelled": ["nobody", 7, null]}'),
            ("call_off_slice", '{"cancelled": "all of them"}'),
            ("call_off_slice", "{}"),
            ("event_set", "{}"),
            ("event_set", '{"starts_at": "soon", "capacity": 5, "status": "scheduled", "deleted": false}'),
            ("event_set", '{"starts_at": "2030-06-01T18:00:00.000000Z", "capacity": 1e9}'),
        ],
    )
    def test_stop_nobody(self, engine, ledger, tamper, kind, facts):
        tamper(
            "update decisions set kind = :kind, facts = cast(:facts as jsonb) where event_id = 7 and number = 8",
            kind=kind,
            facts=facts,
        )
        tell(engine, 7, 9)
        assert outbox.drain_once(engine, [roll_up_messages]) == 1
        with transaction(engine) as session:
            assert session.scalar(text("select count(*) from outbox")) == 0
        totals = rolled(engine)["event_totals"][7,]
        assert (totals["counted_number"], totals["bookings"], totals["capacity"]) == (9, 5, 20)
