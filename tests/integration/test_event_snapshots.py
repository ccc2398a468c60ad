"""What the door knows about events: fresh to a second, stale rather than absent, unknown ids remembered."""

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event, text

from shared.db import make_engine, transaction
from shared.errors import UnavailableError
from shared.services import event_snapshots
from shared.services.event_snapshots import EventSnapshots
from tests.factories import make_event
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
        await_that(lambda: snapshots.find(made.id).available == 1, seconds=5, what="the change")
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
        await_that(lambda: snapshots.find(second.id), seconds=5, what="the new event")

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
