"""Redis loses what it acknowledged, or holds what is not ours: never oversold, never decided twice, told truly."""

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from redis import Redis
from rq import Queue
from sqlalchemy import Engine

from scripts.audit import run_audit
from shared.domain.requests import PAYLOAD_VERSION
from shared.ids import uuid7
from shared.line import keys
from shared.line.accept import Accepted, NewRequest
from shared.line.client import LineUnavailableError
from shared.line.doors import Door
from shared.services.line import LineClient
from shared.services.line_gate import LineGate
from shared.settings import Settings
from tests.crash.flows import Desk, recover
from tests.lines import LineDriver, await_that, worker_process
from worker.booking_worker import BookingWorker
from worker.compose import make_booking_worker

PARTITION = 3


@pytest.fixture
def worker(settings: Settings) -> Iterator[BookingWorker]:
    worker = make_booking_worker(settings, "crash", 1)
    yield worker
    worker._let_go()


def lost(desk: Desk) -> list[str]:
    return [raw.decode() for raw in desk.redis.lrange(keys.lost(PARTITION), 0, -1)]


def arrivals(desk: Desk, event: int) -> list[int]:
    return [arrival for arrival, _, _ in desk.outcomes(event)]


def found_by_audit(desk: Desk) -> set[str]:
    """The checks that fail."""
    return set(run_audit(desk.settings).failed)


class TestLostJobs:
    def test_a_waiting_jobs_hash(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        desk.redis.delete(keys.job(str(asked[2].job_id)))
        driver.decide_all()
        assert lost(desk) == [str(asked[2].job_id)]
        assert arrivals(desk, event) == [1, 2, 3, 4, 5, 6, 7]  # no hole
        assert desk.count_undecided() == 0
        assert found_by_audit(desk) == {"lost"}

    def test_the_hash_of_one_in_flight(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        take_and_die(desk, driver)
        desk.redis.delete(keys.job(str(asked[0].job_id)))
        driver.decide_all()
        assert lost(desk) == [str(asked[0].job_id)]
        assert arrivals(desk, event) == [1, 2, 3, 4, 5, 6, 7]

    def test_the_hash_of_one_that_is_decided_already(self, desk: Desk, driver: LineDriver) -> None:
        """The ledger knows it: it is not lost."""
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("worker.batch.reply", die)
            driver.claim()
            with pytest.raises(KeyboardInterrupt):
                driver.decide(PARTITION)
        desk.redis.delete(keys.job(str(asked[0].job_id)))
        driver.decide_all()
        assert lost(desk) == []
        desk.assert_kept()

    def test_everything_after_it_counts_on_without_a_hole(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=100)[0]
        asked = desk.book_each(event)
        desk.redis.delete(keys.job(str(asked[-1].job_id)))
        driver.decide_all()
        desk.book_each(event)
        driver.decide_all()
        assert arrivals(desk, event) == list(range(1, 16))
        later = [desk.book(event), desk.book(event)]
        # Once the line is empty, what Redis gives out is what the ledger will say.
        assert [answer.arrival for answer in later] == [16, 17]
        assert [answer.position for answer in later] == [1, 2]
        driver.decide_all()
        assert arrivals(desk, event)[-2:] == [16, 17]
        assert desk.query("select arrivals_reissued from events where id = :id", id=event) == [(8,)]


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def take_and_die(desk: Desk, driver: LineDriver) -> None:
    """What lies in flight after a worker was killed right after its take."""
    driver.claim()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.batch.BatchRunner._decide", die)
        with pytest.raises(KeyboardInterrupt):
            driver.decide(PARTITION)
    driver.session.rollback()
    assert desk.redis.llen(keys.in_flight(PARTITION)) > 0


class TestCorruption:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("data", b"\x80\x04pickled"),
            ("data", b"[]"),
            ("data", b'["os.system",null,[],{}]'),
            (
                "data",
                b'["worker.jobs.decide",null,[],{"kind":"book","event_id":"1","user_id":1,"tickets":1}]',
            ),
            (
                "data",
                b'["worker.jobs.decide",null,[],{"kind":"book","event_id":3,"user_id":1,"tickets":1e99}]',
            ),
            (
                "data",
                b'["worker.jobs.decide",null,[],{"kind":"book","event_id":3,"user_id":1,"tickets":true}]',
            ),
            ("data", b"\xff"),
            ("arrival", b"x"),
            ("arrival", b"1.5"),
            ("enqueued_at", b"yesterday"),
            ("enqueued_at", b""),
            ("v", b"x"),
        ],
    )
    def test_of_a_field_costs_only_this_job(
        self, desk: Desk, driver: LineDriver, field: str, value: bytes
    ) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        job = str(asked[1].job_id)
        desk.redis.hset(keys.job(job), field, value)
        driver.decide_all()
        assert lost(desk) == ([] if field == "v" else [job])
        assert arrivals(desk, event) == list(range(1, 8 + (field == "v")))
        assert desk.count_undecided() == 0

    def test_of_the_type(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        job = str(asked[1].job_id)
        desk.redis.delete(keys.job(job))
        desk.redis.set(keys.job(job), "text")
        driver.decide_all()
        assert lost(desk) == [job]
        assert arrivals(desk, event) == list(range(1, 8))

    def test_of_the_type_after_the_decision(self, desk: Desk, driver: LineDriver) -> None:
        """The reply of everybody else must not be lost with it."""
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("worker.batch.reply", die)
            driver.claim()
            with pytest.raises(KeyboardInterrupt):
                driver.decide(PARTITION)
        job = keys.job(str(asked[1].job_id))
        desk.redis.delete(job)
        desk.redis.set(job, "text")
        driver.decide_all()
        assert desk.count_undecided() == 0
        desk.redis.delete(job)
        desk.assert_kept()

    def test_of_an_arrival(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        for job, arrival in ((asked[1], -5), (asked[3], 2**62), (asked[4], 1)):
            desk.redis.hset(keys.job(str(job.job_id)), "arrival", arrival)
        driver.decide_all()
        assert arrivals(desk, event) == list(range(1, 9))
        assert [
            row[0] for row in desk.query("select arrivals_reissued from events where id = :id", id=event)
        ] == [3]
        desk.assert_kept()

    def test_of_an_event(self, desk: Desk, driver: LineDriver) -> None:
        """A request for an event that nobody has: there is no ledger to write it to."""
        event = desk.open_events(1)[0]
        missing = event + 8 * 1000
        job = desk.book(missing).job_id
        desk.book(event)
        driver.decide_all()
        assert lost(desk) == [str(job)]
        assert arrivals(desk, event) == [1]


class TestAliens:
    def test_a_stock_job_in_our_queue(self, desk: Desk, driver: LineDriver, settings: Settings) -> None:
        event = desk.open_events(1)[0]
        desk.book(event, desk.users[0])
        with Redis.from_url(settings.redis_url) as connection:
            job = Queue(f"bookings-{PARTITION}", connection=connection).enqueue("os.getpid")
        desk.book(event, desk.users[1])
        driver.decide_all()
        assert lost(desk) == [job.id]
        assert arrivals(desk, event) == [1, 2]
        assert desk.count_undecided() == 0
        assert found_by_audit(desk) == {"lost"}

    def test_an_id_that_stands_in_the_line_twice(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        desk.redis.rpush(keys.queue(PARTITION), str(asked[0].job_id), str(asked[3].job_id))
        settle(desk, driver)
        assert arrivals(desk, event) == list(range(1, 9))
        desk.assert_kept()

    def test_a_decided_id_that_is_put_in_again(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        driver.decide_all()
        desk.redis.rpush(keys.queue(PARTITION), *(str(answer.job_id) for answer in asked))
        settle(desk, driver)
        assert arrivals(desk, event) == list(range(1, 9))
        desk.assert_kept()

    def test_ids_that_are_none(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1)[0]
        strange = [
            b"",
            b"gibberish",
            b"\xc3\xa9",
            str(uuid.uuid4()).upper().encode(),
            b"{" + b"a" * 36 + b"}",
        ]
        desk.redis.rpush(keys.queue(PARTITION), *strange)
        desk.book(event)
        driver.decide_all()
        assert lost(desk) == [raw.decode() for raw in strange]
        assert arrivals(desk, event) == [1]

    def test_bytes_that_are_no_text(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1)[0]
        desk.redis.rpush(keys.queue(PARTITION), b"\xff\xfe")
        desk.book(event)
        driver.decide_all()
        assert arrivals(desk, event) == [1]
        assert desk.count_undecided() == 0

    def test_a_newer_payload_waits_with_everything_behind_it(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        newer = keys.job(str(asked[3].job_id))
        desk.redis.hset(newer, "v", PAYLOAD_VERSION + 1)
        driver.claim()
        assert driver.decide(PARTITION) == 3
        assert driver.decide(PARTITION) == "newer"
        assert desk.redis.llen(keys.queue(PARTITION)) == 5
        desk.redis.hset(newer, "v", PAYLOAD_VERSION)
        driver.decide_all()
        desk.assert_kept()

    def test_an_older_release_leaves_what_a_newer_one_had_in_flight(
        self, desk: Desk, driver: LineDriver
    ) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        take_and_die(desk, driver)
        newer = keys.job(str(asked[3].job_id))
        desk.redis.hset(newer, "v", PAYLOAD_VERSION + 1)
        assert driver.decide(PARTITION) == 3
        assert driver.decide(PARTITION) == "newer"
        assert desk.redis.llen(keys.in_flight(PARTITION)) == 5
        desk.redis.hset(newer, "v", PAYLOAD_VERSION)
        driver.decide_all()
        desk.assert_kept()


def settle(desk: Desk, driver: LineDriver) -> None:
    """As the worker's loop does: an error costs a turn."""

    def step() -> bool:
        try:
            driver.decide_all()
        except Exception:
            driver.session.rollback()
        return desk.count_undecided() == 0

    await_that(step, what="an empty line")


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
        assert arrivals(desk, event) == [1, 2, 3, 4, 5, 6, 7]
        assert [row[1] for row in desk.outcomes(event)] == ["confirmed"] * 6 + ["rejected"]
        assert found_by_audit(desk) == set()

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
        assert arrivals(desk, event) == list(range(1, 9))
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
            assert arrivals(desk, event) == list(range(1, len(arrivals(desk, event)) + 1))
        # what was accepted after the last loss is decided
        decided = {row.job_id for row in desk.query("select job_id from decisions")}
        assert {answer.job_id for _, answer in desk.accepted[-16:]} <= decided
        assert found_by_audit(desk) == set()
