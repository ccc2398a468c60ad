"""Damage to single keys of the line: each alone is seen by the audit, mended from the ledger, and stays mended."""

import hashlib
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from scripts.repairs import run_repair
from shared.ids import uuid7
from shared.line import keys
from shared.line.accept import Accepted, Replayed
from shared.settings import Settings
from tests.crash.flows import Desk, opened_desk
from tests.repairs import PARTITION, decide, found_by_audit, job_of, mend, take_and_die, waiting


@pytest.fixture
def desk(settings: Settings, engine: Engine) -> Iterator[Desk]:
    with opened_desk(settings, engine) as desk:
        yield desk


@pytest.fixture
def event(desk: Desk) -> int:
    """An event of five tickets, for eight people who want one."""
    return desk.open_events(1, partition=PARTITION, capacity=5)[0]


class TestKeys:
    def test_one_that_stands_for_a_lost_request_is_forgotten(self, desk: Desk, event: int) -> None:
        digest = hashlib.sha256(b"key").hexdigest()
        asked = desk.book(event, key_hash=digest, fingerprint=digest)
        kept = desk.book(event, desk.users[1], key_hash=digest, fingerprint=digest)
        desk.redis.delete(keys.job(str(asked.job_id)))
        report = run_repair(desk.settings)
        assert report.beyond == {str(asked.job_id): "its payload is gone"}
        assert {m.what for m in report.mends} == {"set_aside", "totals", "users", "keys"}
        again = desk.send(event, key_hash=digest, fingerprint=digest)
        assert isinstance(again, Accepted)
        assert desk.send(event, user_id=desk.users[1], key_hash=digest, fingerprint=digest) == Replayed(
            kept.job_id
        )
        assert run_repair(desk.settings).mends == []

    def test_one_whose_request_is_known_stays(self, desk: Desk, event: int) -> None:
        """Whether it waits, is decided in Redis, or only the ledger still knows it."""
        digests = [
            hashlib.sha256(name).hexdigest() for name in (b"ledger", b"decided", b"waits", b"nobody's")
        ]
        for user, digest in zip(desk.users, digests[:2], strict=False):
            desk.book(event, user, key_hash=digest, fingerprint=digest)
        decide(desk)
        desk.redis.delete(keys.job(str(desk.accepted[0][1].job_id)))
        desk.book(event, desk.users[2], key_hash=digests[2], fingerprint=digests[2])
        assert found_by_audit(desk) == set()
        alien = keys.idempotency(desk.users[3], digests[3])
        desk.redis.set(alien, bytes.fromhex(digests[3][:32]) + uuid7().bytes, ex=1000)
        assert found_by_audit(desk) == {"line_keys"}
        assert mend(desk) == ["keys"]
        assert not desk.redis.exists(alien)
        assert sum(1 for _ in desk.redis.scan_iter(keys.idempotency("*", "*"))) == 3
        desk.assert_audit_clean()


class TestCounters:
    @pytest.mark.parametrize(
        ("name", "value", "found"),
        [
            ("arrivals", 99, {"note"}),  # passes by itself: the worker has the last word on numbers
            ("arrivals", 1, {"note", "line_counters"}),
            ("decided", 99, {"note", "line_counters"}),
            ("decided", 1, {"note", "line_counters"}),
        ],
    )
    def test_of_an_event(self, desk: Desk, event: int, name: str, value: int, found: set[str]) -> None:
        asked = desk.book_each(event)
        decide(desk, 4)
        desk.redis.hset(getattr(keys, name)(PARTITION), str(event), value)
        assert found_by_audit(desk) == found
        assert mend(desk) == ["counters"]
        desk.assert_audit_clean()
        assert [job_of(desk, answer).position for answer in asked[4:]] == [1, 2, 3, 4]
        assert desk.book(event).arrival == 9
        decide(desk)
        desk.assert_kept()

    @pytest.mark.parametrize("name", ["arrivals", "decided", "counters"])
    def test_that_are_gone(self, desk: Desk, event: int, name: str) -> None:
        asked = desk.book_each(event)
        decide(desk, 4)
        desk.redis.delete(getattr(keys, name)(PARTITION))
        assert found_by_audit(desk) == {"note"} | ({"line_counters"} if name != "counters" else set())
        assert mend(desk) == (["totals"] if name == "counters" else ["counters"])
        desk.assert_audit_clean()
        assert [job_of(desk, answer).ahead for answer in asked[4:]] == [0, 1, 2, 3]
        later = desk.book(event)
        assert (later.arrival, later.position, later.ahead) == (9, 5, 4)
        decide(desk)
        desk.assert_kept()

    @pytest.mark.parametrize(("field", "value"), [("decided", 0), ("decided", 7), ("accepted", 2)])
    def test_of_the_partition(self, desk: Desk, event: int, field: str, value: int) -> None:
        asked = desk.book_each(event)
        decide(desk, 4)
        desk.redis.hset(keys.counters(PARTITION), field, value)
        assert found_by_audit(desk) == {"note"}
        assert mend(desk) == ["totals"]
        assert [job_of(desk, answer).ahead for answer in asked[4:]] == [0, 1, 2, 3]
        decide(desk)
        desk.assert_kept()

    def test_of_a_user_whom_the_release_before_let_in(self, desk: Desk, event: int) -> None:
        """They are listed, audited and mended as others are, and gone once they are decided."""
        users = desk.users[:2]
        first, second = (desk.book(event, user) for user in users)
        desk.redis.delete(keys.undecided_by_user(users[0]), keys.undecided_by_user(users[1]))
        for user, asked in zip(users, (first, second), strict=True):
            desk.redis.sadd(keys.undecided_of_user_before(user), str(asked.job_id))
        assert desk.line.list_undecided(users[0]) == [first.job_id]
        desk.assert_audit_clean()
        desk.redis.sadd(keys.undecided_of_user_before(users[0]), str(uuid7()))
        assert mend(desk) == ["users"]
        decide(desk)
        assert desk.redis.keys(keys.undecided_of_user_before("*")) == []
        desk.assert_kept()

    def test_of_a_user(self, desk: Desk, event: int) -> None:
        asked = desk.book_each(event)
        decide(desk, 4)
        one, other = desk.users[0], desk.users[5]
        desk.redis.zadd(keys.undecided_by_user(one), {str(asked[0].job_id): one, str(uuid7()): one})
        desk.redis.zremrangebyscore(keys.undecided_by_user(other), other, other)
        assert found_by_audit(desk) == {"line_users"}
        assert mend(desk) == ["users"]
        desk.assert_audit_clean()
        assert desk.line.list_undecided(desk.users[5]) == [asked[5].job_id]
        decide(desk)
        assert desk.line.list_undecided(desk.users[5]) == []
        desk.assert_kept()

    def test_the_control_planes_requests_count_for_nobody(self, desk: Desk, event: int) -> None:
        desk.book_each(event)
        decide(desk)
        desk.call_off(event)
        assert mend(desk) == []
        decide(desk)
        desk.assert_audit_clean()

    def test_rqs_started_registry(self, desk: Desk, event: int) -> None:
        desk.book_each(event)
        desk.redis.zadd(keys.started(PARTITION), {f"{uuid7()}:line": "inf"})
        assert found_by_audit(desk) == {"line_in_flight"}
        assert mend(desk) == ["started"]
        decide(desk)
        desk.assert_kept()


class TestStrays:
    def test_a_request_in_no_list_goes_back_to_its_place(self, desk: Desk, event: int) -> None:
        asked = desk.book_each(event)
        desk.redis.lrem(keys.queue(PARTITION), 0, str(asked[3].job_id))
        assert "lost" in found_by_audit(desk)
        assert mend(desk) == ["put_in_place"]
        assert waiting(desk) == [answer.job_id for answer in asked]
        decide(desk)
        desk.assert_kept()

    def test_a_queue_that_is_gone_is_built_again(self, desk: Desk, event: int) -> None:
        asked = desk.book_each(event)
        desk.redis.delete(keys.queue(PARTITION))
        assert "lost" in found_by_audit(desk)
        assert mend(desk) == ["put_in_place"]
        assert waiting(desk) == [answer.job_id for answer in asked]
        decide(desk)
        desk.assert_kept()

    def test_one_that_is_older_than_what_is_in_flight_goes_before_it(self, desk: Desk, event: int) -> None:
        asked = desk.book_each(event)
        take_and_die(desk)
        desk.redis.lrem(keys.in_flight(PARTITION), 0, str(asked[1].job_id))
        mend(desk)
        assert waiting(desk) == [answer.job_id for answer in asked]
        decide(desk)
        desk.assert_kept()

    def test_an_id_that_stands_twice_keeps_its_first_place(self, desk: Desk, event: int) -> None:
        asked = desk.book_each(event)
        desk.redis.rpush(keys.queue(PARTITION), str(asked[3].job_id), str(asked[3].job_id))
        assert found_by_audit(desk) == {"note"}
        assert mend(desk) == ["doubled"]
        assert waiting(desk) == [answer.job_id for answer in asked]
        decide(desk)
        desk.assert_kept()


class TestLost:
    def test_one_that_the_ledger_knows_is_no_longer_lost(self, desk: Desk, event: int) -> None:
        asked = desk.book(event)
        decide(desk)
        desk.redis.rpush(keys.lost(PARTITION), str(asked.job_id))
        assert mend(desk) == ["found_again"]
        assert desk.redis.llen(keys.lost(PARTITION)) == 0

    def test_one_that_can_be_decided_after_all_goes_back(self, desk: Desk, event: int) -> None:
        """Its event was not there when its turn came: PostgreSQL was restored too old, and then again."""
        asked = desk.book(event)
        desk.redis.lpop(keys.queue(PARTITION))
        desk.redis.rpush(keys.lost(PARTITION), str(asked.job_id))
        desk.redis.hset(keys.job(str(asked.job_id)), "status", "failed")
        desk.redis.expire(keys.job(str(asked.job_id)), 100)
        assert "put_in_place" in mend(desk)
        assert desk.redis.ttl(keys.job(str(asked.job_id))) == -1
        decide(desk)
        desk.assert_kept()

    def test_one_whose_payload_is_gone_is_named_every_time(self, desk: Desk, event: int) -> None:
        asked = desk.book_each(event)
        desk.redis.delete(keys.job(str(asked[2].job_id)))
        for _ in range(2):
            report = run_repair(desk.settings)
            assert report.beyond == {str(asked[2].job_id): "its payload is gone"}
        assert report.mends == []
        assert found_by_audit(desk) == {"lost"}
        decide(desk)
        assert [arrival for arrival, _, _ in desk.outcomes(event)] == [1, 2, 3, 4, 5, 6, 7]


class TestRevocations:
    def test_that_redis_forgot_are_told_again(self, desk: Desk) -> None:
        run_repair(desk.settings)
        desk.execute(
            "insert into revoked_tokens (subject, revoked_at, expires_at)"
            " values ('user:7', now() - interval '1 minute', now() + interval '1 hour')"
        )
        assert found_by_audit(desk) == {"line_revocations"}
        assert mend(desk) == ["revocations"]
        desk.assert_audit_clean()


class TestLeftovers:
    def test_a_decided_job_that_somebody_kept_expires_again(self, desk: Desk, event: int) -> None:
        """What the runbook tells to do, so that a long restore finds them all."""
        asked = desk.book_each(event)
        decide(desk)
        job = keys.job(str(asked[0].job_id))
        desk.redis.persist(job)
        desk.redis.persist(keys.result(str(asked[0].job_id)))
        assert mend(desk) == ["expiry"]
        assert 0 < desk.redis.ttl(job) <= desk.settings.job_ttl_seconds
        assert 0 < desk.redis.ttl(keys.result(str(asked[0].job_id))) <= desk.settings.job_ttl_seconds

    def test_a_ledger_that_was_watched_further_than_it_goes_is_watched_anew(
        self, desk: Desk, event: int
    ) -> None:
        desk.book(event)
        decide(desk)
        desk.redis.hset(keys.LEDGER_WATCH, mapping={str(event): "9:7", "99999": "1:1", "cursor": "0"})
        assert mend(desk) == ["watch"]
        assert desk.redis.hgetall(keys.LEDGER_WATCH) == {b"cursor": b"0"}
