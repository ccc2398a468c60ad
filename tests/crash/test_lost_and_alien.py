"""Jobs that Redis lost, that were damaged, or that are not ours: never oversold, never decided twice, told truly."""

import uuid

import pytest
from redis import Redis
from rq import Queue

from scripts.audit import run_audit
from shared.domain.requests import PAYLOAD_VERSION
from shared.line import keys
from shared.settings import Settings
from tests.crash.flows import Desk
from tests.lines import LineDriver, await_that

PARTITION = 3


def lost(desk: Desk) -> list[str]:
    return [raw.decode() for raw in desk.redis.lrange(keys.lost(PARTITION), 0, -1)]


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
        assert desk.arrivals(event) == [1, 2, 3, 4, 5, 6, 7]  # no hole
        assert desk.count_undecided() == 0
        assert found_by_audit(desk) == {"lost"}

    def test_the_hash_of_one_in_flight(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        take_and_die(desk, driver)
        desk.redis.delete(keys.job(str(asked[0].job_id)))
        driver.decide_all()
        assert lost(desk) == [str(asked[0].job_id)]
        assert desk.arrivals(event) == [1, 2, 3, 4, 5, 6, 7]

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
        assert desk.arrivals(event) == list(range(1, 16))
        later = [desk.book(event), desk.book(event)]
        # Once the line is empty, what Redis gives out is what the ledger will say.
        assert [answer.arrival for answer in later] == [16, 17]
        assert [answer.position for answer in later] == [1, 2]
        driver.decide_all()
        assert desk.arrivals(event)[-2:] == [16, 17]
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
        assert desk.arrivals(event) == list(range(1, 8 + (field == "v")))
        assert desk.count_undecided() == 0

    def test_of_the_type(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        job = str(asked[1].job_id)
        desk.redis.delete(keys.job(job))
        desk.redis.set(keys.job(job), "text")
        driver.decide_all()
        assert lost(desk) == [job]
        assert desk.arrivals(event) == list(range(1, 8))

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
        assert desk.arrivals(event) == list(range(1, 9))
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
        assert desk.arrivals(event) == [1]


class TestAliens:
    def test_a_stock_job_in_our_queue(self, desk: Desk, driver: LineDriver, settings: Settings) -> None:
        event = desk.open_events(1)[0]
        desk.book(event, desk.users[0])
        with Redis.from_url(settings.redis_url) as connection:
            job = Queue(f"bookings-{PARTITION}", connection=connection).enqueue("os.getpid")
        desk.book(event, desk.users[1])
        driver.decide_all()
        assert lost(desk) == [job.id]
        assert desk.arrivals(event) == [1, 2]
        assert desk.count_undecided() == 0
        assert found_by_audit(desk) == {"lost"}

    def test_an_id_that_stands_in_the_line_twice(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        desk.redis.rpush(keys.queue(PARTITION), str(asked[0].job_id), str(asked[3].job_id))
        settle(desk, driver)
        assert desk.arrivals(event) == list(range(1, 9))
        desk.assert_kept()

    def test_a_decided_id_that_is_put_in_again(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1, capacity=4)[0]
        asked = desk.book_each(event)
        driver.decide_all()
        desk.redis.rpush(keys.queue(PARTITION), *(str(answer.job_id) for answer in asked))
        settle(desk, driver)
        assert desk.arrivals(event) == list(range(1, 9))
        desk.assert_kept()

    def test_a_decided_id_that_is_put_in_again_is_decided_all_the_while(
        self, desk: Desk, driver: LineDriver
    ) -> None:
        """An answer once given stands, also while the worker has the job in hand again."""
        event = desk.open_events(1, capacity=4)[0]
        job = desk.book(event).job_id
        driver.decide_all()
        told = desk.line.find_job(job)
        desk.redis.rpush(keys.queue(PARTITION), str(job))
        take_and_die(desk, driver)
        assert desk.line.find_job(job) == told
        driver.decide_all()
        assert desk.line.find_job(job) == told
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
        assert desk.arrivals(event) == [1]

    def test_bytes_that_are_no_text(self, desk: Desk, driver: LineDriver) -> None:
        event = desk.open_events(1)[0]
        desk.redis.rpush(keys.queue(PARTITION), b"\xff\xfe")
        desk.book(event)
        driver.decide_all()
        assert desk.arrivals(event) == [1]
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
