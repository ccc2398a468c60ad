"""A Redis that is another installation's, or has lost everything: never oversold, never decided twice, told truly."""

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from scripts.audit import run_audit
from shared.ids import uuid7
from shared.line import keys
from shared.line.accept import Accepted, NewRequest
from shared.line.client import LineUnavailableError
from shared.line.doors import Door
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from shared.settings import Settings
from tests.crash.flows import Desk, recover
from tests.lines import LineDriver, worker_process
from worker.booking_worker import BookingWorker
from worker.compose import make_booking_worker

PARTITION = 3


@pytest.fixture
def worker(settings: Settings) -> Iterator[BookingWorker]:
    worker = make_booking_worker(settings, "crash", 1)
    yield worker
    worker._let_go()


class TestAnotherInstallation:
    def test_its_redis_is_refused(
        self, desk: Desk, settings: Settings, engine: Engine, worker: BookingWorker
    ) -> None:
        event = desk.open_events(1)[0]
        desk.book_each(event)
        desk.redis.set(keys.INSTALLATION, f"{uuid.uuid4()}:8")
        with pytest.raises(LineUnavailableError):
            desk.send(event)
        fresh = LineGate(settings, engine, desk.redis)
        assert set(fresh.check().problems) == {"installation"}
        for _ in range(3):
            worker.run_once()
        assert desk.count_decided() == 0
        assert desk.count_undecided() == 8

    def test_it_takes_over_under_a_running_worker(
        self, desk: Desk, worker: BookingWorker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Somebody restores another system's Redis: what waits there is not decided against our database."""
        monkeypatch.setattr("worker.booking_worker.BACK_OFF_SECONDS", (0.0,))
        event = desk.open_events(1)[0]
        desk.book(event)
        worker.run_once()
        assert desk.count_decided() == 1
        desk.book(event)
        desk.redis.set(keys.INSTALLATION, f"{uuid.uuid4()}:8")
        desk.redis.delete(*(keys.claim_token(partition) for partition in range(8)))
        for _ in range(5):
            worker.run_once()
        assert desk.count_decided() == 1

    def test_another_number_of_partitions_is_refused(
        self, desk: Desk, settings: Settings, engine: Engine
    ) -> None:
        other = replace(settings, partitions=16)
        assert set(LineGate(other, engine, desk.redis).check().problems) == {"installation"}


class TestRedisForgetsEverything:
    def test_while_requests_wait(self, desk: Desk, settings: Settings, engine: Engine) -> None:
        event = desk.open_events(1, capacity=6)[0]
        desk.book_each(event, desk.users[:4])
        recover(settings, engine)
        desk.book_each(event, desk.users[4:])  # lost: Redis had acknowledged them
        desk.redis.flushall()
        kept = [
            LineClient(desk.settings, desk.redis, LineGate(desk.settings, engine, desk.redis)).accept(
                NewRequest(
                    job_id=uuid7(), kind="book", event_id=event, user_id=user, tickets=1, subjects=("f", "u")
                ),
                Door(last_arrival=last_arrival),
            )
            for user, last_arrival in ((desk.users[4], 4), (desk.users[5], 2), (desk.users[6], 0))
        ]
        assert [answer.arrival for answer in kept if isinstance(answer, Accepted)] == [5, 6, 7]
        recover(settings, engine)
        assert desk.arrivals(event) == [1, 2, 3, 4, 5, 6, 7]
        assert [row[1] for row in desk.outcomes(event)] == ["confirmed"] * 6 + ["rejected"]
        desk.assert_audit_clean()

    @pytest.mark.parametrize("told", [0, 2, 9])
    def test_numbers_are_issued_again_and_counted(
        self, desk: Desk, settings: Settings, engine: Engine, told: int
    ) -> None:
        """The snapshot that Redis starts from may be old, or Redis older still, or ahead."""
        event = desk.open_events(1, capacity=6)[0]
        desk.book_each(event, desk.users[:4])
        recover(settings, engine)
        desk.redis.flushall()
        for user in desk.users[4:]:
            request = NewRequest(
                job_id=uuid7(), kind="book", event_id=event, user_id=user, tickets=1, subjects=("f", "u")
            )
            assert isinstance(desk.line.accept(request, Door(last_arrival=told)), Accepted)
        recover(settings, engine)
        assert desk.arrivals(event) == list(range(1, 9))
        assert desk.query("select arrivals_reissued from events where id = :id", id=event) == [(4,)]
        assert desk.book(event).arrival == 9
        recover(settings, engine)
        tally = run_audit(settings)
        assert tally.ok, tally.findings
        assert sum(count for note, count in tally.notes.items() if "reissued" in note) == 4

    def test_between_commit_and_reply(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("worker.batch.reply", lambda *_, **__: desk.redis.flushall())
            driver.claim()
            driver.decide(PARTITION)
        assert desk.line.find_job(asked[0].job_id) == "absent"  # and the ledger knows
        desk.assert_kept()

    def test_under_running_workers(self, desk: Desk, settings: Settings) -> None:
        events = desk.open_events(2, capacity=30)
        with worker_process(settings) as worker:
            for _ in range(3):
                for event in events:
                    desk.book_each(event)
                desk.redis.flushall()
                for event in events:
                    desk.book_each(event)
                desk.await_empty()
            assert worker.poll() is None
        rows = desk.query("select id, booked, capacity, last_arrival from events where last_arrival > 0")
        assert all(row.booked <= row.capacity for row in rows)
        for event in events:
            assert desk.arrivals(event) == list(range(1, len(desk.arrivals(event)) + 1))
        # what was accepted after the last loss is decided
        decided = {row.job_id for row in desk.query("select job_id from decisions")}
        assert {answer.job_id for _, answer in desk.accepted[-16:]} <= decided
        desk.assert_audit_clean()
