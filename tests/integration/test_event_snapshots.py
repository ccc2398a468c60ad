"""What the door knows about events: fresh to a second, stale rather than absent, unknown ids remembered."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Engine, event, text

from shared.db import make_engine, transaction
from shared.errors import UnavailableError
from shared.ids import uuid7
from shared.models import Event, User
from shared.services import event_snapshots
from shared.services.event_snapshots import EventSnapshots
from tests.factories import make_event, make_user
from tests.lines import await_that


@pytest.fixture
def snapshots(engine) -> Iterator[EventSnapshots]:
    snapshots = EventSnapshots(engine)
    yield snapshots
    snapshots.close()


def change(engine: Engine, event_id: int, assignment: str) -> None:
    with transaction(engine) as session:
        session.execute(text(f"update events set {assignment} where id = :id"), {"id": event_id})


class Queries:
    """Counts the statements that an engine sends."""

    def __init__(self, engine: Engine) -> None:
        self.threads: list[int] = []
        event.listen(engine, "before_cursor_execute", lambda *_: self.threads.append(threading.get_ident()))


class TestFind:
    def test_gives_what_the_door_and_a_status_need(self, engine, snapshots):
        made = make_event(engine, capacity=7, title="Concert", max_per_booking=3)
        found = snapshots.find(made.id)
        assert (found.id, found.title, found.available, found.max_per_booking, found.waitlist_enabled) == (
            made.id, "Concert", 7, 3, True,
        )  # fmt: skip
        assert found.sales_close_at == made.sales_close_at

    def test_asks_postgresql_in_another_thread_only(self, engine, snapshots):
        made = make_event(engine)
        queries = Queries(engine)
        for _ in range(100):
            snapshots.find(made.id)
            snapshots.find(made.id + 1)
        assert threading.get_ident() not in queries.threads

    def test_sees_a_change_within_a_second(self, engine, snapshots):
        made = make_event(engine)
        snapshots.find(made.id)
        change(engine, made.id, "booked = 99")
        await_that(lambda: snapshots.find(made.id).available == 1, what="the change")
        assert event_snapshots.REFRESH_SECONDS < 1.0

    def test_remembers_that_nobody_has_an_id(self, engine, snapshots, monkeypatch):
        made = make_event(engine)
        monkeypatch.setattr(event_snapshots, "UNKNOWN_SECONDS", 3600.0)
        queries = Queries(engine)
        assert snapshots.find(made.id + 1) is None
        snapshots.close()  # nobody would answer any more
        asked = len(queries.threads)
        assert snapshots.find(made.id + 1) is None
        assert len(queries.threads) == asked

    def test_finds_a_new_event_once_that_is_forgotten(self, engine, snapshots):
        first = make_event(engine)
        assert snapshots.find(first.id + 1) is None
        second = make_event(engine)
        assert second.id == first.id + 1
        await_that(lambda: snapshots.find(second.id), what="the new event")

    def test_knows_only_what_it_gives_at_once(self, engine, snapshots):
        """Not that nobody has an id: once that is forgotten, who asks for it waits."""
        made = make_event(engine)
        assert not snapshots.is_known(made.id)
        snapshots.find(made.id)
        snapshots.find(made.id + 1)
        assert (snapshots.is_known(made.id), snapshots.is_known(made.id + 1)) == (True, False)

    def test_serves_many_askers_at_once(self, engine, snapshots):
        ids = [make_event(engine).id for _ in range(5)]
        found: list[int] = []

        def ask() -> None:
            found.extend(snapshots.find(event_id).id for event_id in ids)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found) == sorted(ids * 8)

    def test_forgets_what_nobody_asks_for(self, engine, snapshots, monkeypatch):
        made = make_event(engine)
        assert snapshots.find(made.id) is not None
        snapshots.close()
        monkeypatch.setattr(event_snapshots, "IDLE_SECONDS", 0.0)
        snapshots.refresh_once()
        snapshots.refresh_once()
        assert len(snapshots._entries) == 0

    def test_keeps_a_bounded_number(self, engine, snapshots, monkeypatch):
        ids = [make_event(engine).id for _ in range(4)]
        monkeypatch.setattr(event_snapshots, "EVENTS_MAX", 2)
        for event_id in ids:
            assert snapshots.find(event_id).id == event_id
        assert len(snapshots._entries) <= 2


class TestDoor:
    @pytest.mark.parametrize(
        ("assignment", "verdict"),
        [
            ("booked = 0", ""),
            ("booked = capacity", "sold_out"),
            ("sales_paused = true, booked = capacity", "sales_paused"),
            ("status = 'cancelled', sales_paused = true", "event_cancelled"),
            ("status = 'draft'", "event_not_found"),
            ("deleted_at = now(), status = 'cancelled'", "event_not_found"),
        ],
    )
    def test_has_one_verdict(self, engine, snapshots, assignment, verdict):
        made = make_event(engine)
        change(engine, made.id, assignment)
        door = snapshots.find(made.id).door(sold_out_door=True)
        assert door.verdict == verdict
        assert (door.sales_close_at, door.last_arrival) == (made.sales_close_at, 0)

    def test_leaves_the_window_to_redis(self, engine, snapshots):
        made = make_event(engine)
        change(
            engine, made.id, "sales_open_at = now() - interval '9 d', sales_close_at = now() - interval '8 d'"
        )
        door = snapshots.find(made.id).door(sold_out_door=True)
        assert door.verdict == ""
        assert door.sales_open_at < door.sales_close_at < made.sales_close_at

    def test_sold_out_may_be_switched_off(self, engine, snapshots):
        made = make_event(engine)
        change(engine, made.id, "booked = capacity")
        assert snapshots.find(made.id).door(sold_out_door=False).verdict == ""


class TestOffers:
    """Who has one is let through a door that is shut for others."""

    @pytest.fixture
    def offer(self, engine) -> Callable[[Event, int], User]:
        def make(event: Event, tickets: int) -> User:
            user = make_user(engine)
            entry_id, offer_id, job_id = uuid7(), uuid7(), uuid7()
            with transaction(engine) as session:
                session.execute(
                    text(
                        "insert into waitlist_entries (id, event_id, user_id, job_id, number, tickets, status,"
                        " created_at) values (:entry, :event, :user, :job, 1, :tickets, 'offered', now())"
                    ),
                    {
                        "entry": entry_id,
                        "event": event.id,
                        "user": user.id,
                        "job": job_id,
                        "tickets": tickets,
                    },
                )
                session.execute(
                    text(
                        "insert into offers (id, entry_id, event_id, user_id, tickets, status, expires_at, created_at)"
                        " values (:id, :entry, :event, :user, :tickets, 'open', now() + interval '1 h', now())"
                    ),
                    {
                        "id": offer_id,
                        "entry": entry_id,
                        "event": event.id,
                        "user": user.id,
                        "tickets": tickets,
                    },
                )
                session.execute(
                    text("update events set offered = offered + :tickets where id = :id"),
                    {"id": event.id, "tickets": tickets},
                )
            return user

        return make

    def test_are_known_by_whose_they_are(self, engine, snapshots, offer):
        made, other = make_event(engine, capacity=2), make_event(engine, capacity=1)
        user = offer(made, 2)
        offer(other, 1)
        found = snapshots.find(made.id)
        assert (found.available, found.offered_to) == (0, {user.id})
        stranger = found.door(sold_out_door=True, user_id=user.id + 1)
        assert (stranger.verdict, stranger.sales_close_at) == ("sold_out", made.sales_close_at)
        holder = found.door(sold_out_door=True, user_id=user.id, tickets=11)
        assert (holder.verdict, holder.sales_close_at) == ("", None)

    def test_cost_a_query_only_where_there_are_some(self, engine, snapshots, offer):
        made = make_event(engine, capacity=2)
        snapshots.find(made.id)
        snapshots.close()
        queries = Queries(engine)
        snapshots.refresh_once()
        assert len(queries.threads) == 2
        offer(made, 1)
        queries.threads.clear()
        snapshots.refresh_once()
        assert len(queries.threads) == 3

    def test_open_the_door_to_everybody_when_they_are_too_many_to_know(
        self, engine, snapshots, offer, monkeypatch
    ):
        monkeypatch.setattr(event_snapshots, "OFFERED_TICKETS_MAX", 3)
        few, many = make_event(engine, capacity=1), make_event(engine, capacity=3)
        user = offer(few, 1)
        for _ in range(3):
            offer(many, 1)
        snapshots.find(few.id)
        snapshots.find(many.id)
        snapshots.close()
        snapshots.refresh_once()
        assert snapshots.find(few.id).offered_to == {user.id}
        found = snapshots.find(many.id)
        assert found.offered_to is None
        assert found.door(sold_out_door=True, user_id=1).verdict == ""
        change(engine, many.id, "sales_paused = true")
        snapshots.refresh_once()
        assert snapshots.find(many.id).door(sold_out_door=True, user_id=1).verdict == "sales_paused"


class TestWaitlistDoor:
    @pytest.mark.parametrize(
        ("assignment", "tickets", "verdict"),
        [
            ("booked = capacity", 1, ""),
            ("booked = 0", 1, ""),
            ("waitlist_enabled = false", 1, "waitlist_disabled"),
            ("max_per_booking = 1, waitlist_enabled = false", 2, "too_many_tickets"),
            ("sales_paused = true, waitlist_enabled = false", 1, "sales_paused"),
            ("status = 'cancelled'", 1, "event_cancelled"),
        ],
    )
    def test_leaves_to_the_worker_whether_there_are_tickets(
        self, engine, snapshots, assignment, tickets, verdict
    ):
        made = make_event(engine)
        change(engine, made.id, assignment)
        door = snapshots.find(made.id).waitlist_door(tickets=tickets)
        assert (door.verdict, door.sales_close_at) == (verdict, made.sales_close_at)

    @pytest.mark.parametrize(("enabled", "verdict"), [("true", ""), ("false", "sold_out")])
    def test_is_that_of_a_booking_that_would_rather_wait(self, engine, snapshots, enabled, verdict):
        made = make_event(engine)
        change(engine, made.id, f"booked = capacity, waitlist_enabled = {enabled}")
        assert snapshots.find(made.id).door(sold_out_door=True, waitlist=True).verdict == verdict


class TestBusyProcess:
    def test_shuts_the_door_though_no_greenlet_gets_a_turn(self, engine, database_url):
        made = make_event(engine, capacity=3)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.busy_door", database_url, str(made.id)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout.readline() == "ready\n"
            change(engine, made.id, "booked = capacity")
            assert process.stdout.readline() == "shut\n"
        finally:
            process.kill()
            process.communicate()


class TestPause:
    def test_is_known_within_a_second_and_ends_by_itself(self, engine, snapshots):
        made = make_event(engine)
        snapshots.find(made.id)
        assert snapshots.pause is None
        with transaction(engine) as session:
            session.execute(
                text("update line_state set paused = true, paused_at = now(), pause_reason = 'repairs'")
            )
        await_that(lambda: snapshots.pause, what="the pause")
        assert (snapshots.pause.reason, snapshots.pause.resume_at) == ("repairs", None)
        with transaction(engine) as session:
            session.execute(text("update line_state set resume_at = now()"))
        await_that(lambda: snapshots.pause is None, what="the end of the pause")


class TestOutage:
    def test_serves_the_last_snapshot_and_recovers(self, own_postgres):
        engine = make_engine(own_postgres.url, pool_size=2)
        snapshots = EventSnapshots(engine)
        try:
            made, other = make_event(engine, title="Before"), make_event(engine)
            assert snapshots.find(made.id).title == "Before"
            own_postgres.stop("immediate")
            await_that(lambda: snapshots._failed_at > 0, what="a failed refresh")
            assert snapshots.find(made.id).title == "Before"
            started = time.monotonic()
            with pytest.raises(UnavailableError) as caught:
                snapshots.find(other.id)
            assert caught.value.code == "database_unavailable"
            assert (
                snapshots._failed_at >= started
            )  # it was told so, it did not wait for the end of its patience
            own_postgres.start()
            await_that(lambda: found(snapshots, other.id), what="the database's return")
            change(engine, made.id, "title = 'After'")
            await_that(lambda: snapshots.find(made.id).title == "After", what="a fresh snapshot")
        finally:
            snapshots.close()
            engine.dispose()


def found(snapshots: EventSnapshots, event_id: int) -> object:
    try:
        return snapshots.find(event_id)
    except UnavailableError:
        return None
