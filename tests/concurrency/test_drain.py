"""A drain and a batch want the same event at the same moment: the row's lock lets one after the other."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import psycopg2
import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from shared.clock import parse_rfc3339
from shared.db import transaction
from shared.line.drain import LineEnd, read_line_end
from shared.services.line_drain import Drained, drain
from shared.settings import Settings
from shared.store import batches
from tests.crash.flows import Desk, Flow, opened_desk, recover
from tests.lines import LineDriver, await_that, worker_process
from tests.locks import count_waiting_for_locks

PARTITION = 3
WITHDRAWN, CONFIRMED = ("withdrawn", "withdrawn_by_admin"), ("confirmed", None)


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    with opened_desk(settings, engine) as desk:
        yield desk


@pytest.fixture
def driver(settings: Settings, engine: Engine) -> Iterator[LineDriver]:
    """A worker that takes three at a time."""
    driver = LineDriver(replace(settings, batch_max=3), engine)
    driver.claim(PARTITION)
    yield driver
    driver.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def look(desk: Desk, driver: LineDriver, event: int) -> LineEnd:
    return read_line_end(desk.line.runner, driver.installation, event)


def set_mark(engine: Engine, end: LineEnd, event: int) -> Drained:
    with transaction(engine) as session:
        return drain(session, end, event_id=event, reason="Rain", actor_id=None)


def outcomes(desk: Desk, event: int) -> list[tuple[str, str | None]]:
    return [(outcome, reason) for _, outcome, reason in desk.outcomes(event)]


def while_deciding(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Does something once when a batch has loaded and locked, before it writes."""
    load, todo = batches.load, [do]

    def load_then_do(*arguments):
        loaded = load(*arguments)
        if todo:
            todo.pop()()
        return loaded

    monkeypatch.setattr(batches, "load", load_then_do)


class TestAMarkDuringABatch:
    def test_waits_for_it_and_what_was_decided_stays(self, desk, driver, engine, pool, monkeypatch):
        event = desk.open_events(1, capacity=9)[0]
        desk.book_each(event, desk.users[:5])
        end = look(desk, driver, event)
        marking: list[Future[Drained]] = []

        def begin_to_mark() -> None:
            marking.append(pool.submit(set_mark, engine, end, event))
            await_that(lambda: count_waiting_for_locks(engine), what="the mark to wait")

        while_deciding(monkeypatch, begin_to_mark)
        driver.decide(PARTITION)
        drained = marking[0].result(timeout=60)
        assert (drained.up_to_arrival, drained.undecided) == (5, 2)
        desk.book(event, desk.users[5])
        driver.decide_all()
        assert outcomes(desk, event) == [CONFIRMED] * 3 + [WITHDRAWN] * 2 + [CONFIRMED]
        desk.assert_kept()

    def test_finds_nobody_when_the_batch_took_the_last(self, desk, driver, engine, pool, monkeypatch):
        event = desk.open_events(1, capacity=9)[0]
        desk.book_each(event, desk.users[:3])
        end = look(desk, driver, event)
        marking: list[Future[Drained]] = []
        while_deciding(monkeypatch, lambda: marking.append(pool.submit(set_mark, engine, end, event)))
        driver.decide(PARTITION)
        drained = marking[0].result(timeout=60)
        assert (drained.undecided, drained.job_id) == (0, None)
        assert outcomes(desk, event) == [CONFIRMED] * 3
        desk.assert_kept()

    def test_without_the_row_lock_both_write_the_same_number(self, desk, driver, engine, monkeypatch):
        """The race itself, which only the ledger's key stops then."""
        monkeypatch.setattr(batches, "_EVENTS", batches._EVENTS.replace(" for update", ""))
        event = desk.open_events(1, capacity=9)[0]
        desk.book_each(event, desk.users[:5])
        end = look(desk, driver, event)
        while_deciding(monkeypatch, lambda: set_mark(engine, end, event))
        with pytest.raises(psycopg2.errors.UniqueViolation):
            driver.decide(PARTITION)


class TestABatchDuringAMark:
    def test_waits_for_it_and_obeys(self, desk, driver, engine, pool):
        """Taken before the mark, decided after it: what counts is the event's row."""
        event = desk.open_events(1, capacity=9)[0]
        desk.book_each(event, desk.users[:3])
        end = look(desk, driver, event)
        with transaction(engine) as session:
            drain(session, end, event_id=event, reason="Rain", actor_id=None)
            deciding = pool.submit(driver.decide, PARTITION)
            await_that(lambda: count_waiting_for_locks(engine), what="the batch to wait")
        assert deciding.result(timeout=60) == 3
        assert outcomes(desk, event) == [WITHDRAWN] * 3
        desk.assert_kept()

    def test_does_not_see_one_that_was_rolled_back(self, desk, driver, engine):
        event = desk.open_events(1, capacity=9)[0]
        desk.book(event)
        end = look(desk, driver, event)
        with pytest.raises(IntegrityError), transaction(engine) as session:
            drain(session, end, event_id=event, reason="Rain", actor_id=-1)  # nobody
        driver.decide_all()
        assert outcomes(desk, event) == [CONFIRMED]
        desk.assert_kept()


class TestUnderAFlow:
    def test_each_mark_takes_out_exactly_who_waited(self, desk, settings, engine):
        """Requests, decisions and marks all at once, every other mark in a pause, in which a line grows. The
        ledger's own order says who waited: what stands behind a mark with a number and an instant up to its own.
        """
        event = desk.open_events(1, capacity=1_000_000)[0]
        looker = LineDriver(settings, engine, "looker")
        with worker_process(desk.settings), Flow(desk, [event]) as flow:
            for turn in range(8):
                desk.execute("update line_state set paused = :paused", paused=turn % 2 == 0)
                flow.await_more(15)
                set_mark(engine, look(desk, looker, event), event)
                desk.execute("update line_state set paused = false")
        looker.close()
        recover(desk.settings, engine)
        flow.assert_kept()
        assert_only_who_waited(
            desk.query(
                "select kind, arrival, accepted_at, reason, facts from decisions where event_id = :e order by number",
                e=event,
            )
        )


def assert_only_who_waited(rows) -> None:
    marks, withdrawn = [], 0
    for row in rows:
        if row.kind == "drain":
            marks.append((row.facts["up_to_arrival"], parse_rfc3339(row.facts["accepted_until"])))
        elif row.kind == "book":
            waited = any(row.arrival <= up_to and row.accepted_at <= until for up_to, until in marks)
            assert (row.reason == "withdrawn_by_admin") == waited
            withdrawn += waited
    assert len(marks) >= 4
    assert withdrawn >= 4 * 15
