"""The accept script on a real Redis: what it checks, in which order, and what it writes."""

import random
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources

import pytest

from shared.clock import EPOCH, from_micros, parse_rfc3339, to_micros
from shared.domain.requests import decode_payload
from shared.line import keys
from shared.line.accept import Accepted, Refused, Replayed
from shared.line.client import LineUnavailableError
from shared.line.doors import Door
from shared.line.installation import Installation, put_revocations
from shared.line.status import find_job
from tests.accepting import FAMILY, Doorkeeper, book, cancel

HOUR = timedelta(hours=1)
PARTITION = 3


@pytest.fixture
def line(redis_url: str) -> Iterator[Doorkeeper]:
    """A line with room for three undecided requests a user, four an event, six a partition; who has asked five times
    gets nothing back while a test takes its time.
    """
    line = Doorkeeper(
        redis_url,
        user_undecided_max=3,
        event_undecided_max=4,
        partition_undecided_max=6,
        booking_rate_per_second=0.01,
        booking_rate_burst=5,
    )
    line.initialise()
    yield line
    line.close()


def revoke(line: Doorkeeper, subject: str = FAMILY) -> None:
    put_revocations(line.redis, {subject: datetime.now(UTC) + HOUR})


def empty_bucket(line: Doorkeeper, user_id: int = 7) -> None:
    line.redis.set(keys.rate_of_user(user_id), line.now_us() + burst_us(line))


def burst_us(line: Doorkeeper) -> int:
    """How long an empty bucket takes to be full."""
    return int(line.settings.booking_rate_burst / line.settings.booking_rate_per_second * 1_000_000)


def tokens_left(line: Doorkeeper, user_id: int = 7) -> int:
    """In the bucket when it was last looked at; tenths of a second may have passed since."""
    missing_us = max(0, int(line.redis.get(keys.rate_of_user(user_id))) - line.now_us())
    return int(
        line.settings.booking_rate_burst - missing_us / 1_000_000 * line.settings.booking_rate_per_second
    )


def window(line: Doorkeeper, *, opens_in: timedelta, closes_in: timedelta, verdict: str = "") -> Door:
    now = from_micros(line.now_us())
    return Door(verdict=verdict, sales_open_at=now + opens_in, sales_close_at=now + closes_in)


class TestAccepted:
    def test_writes_a_job_a_place_and_a_bell(self, line):
        first, second = book(tickets=2, request_id="r-1"), book(user_id=8)
        before = line.now_us()
        answer, other = line.accept(first), line.accept(second)
        after = line.now_us()

        assert isinstance(answer, Accepted)
        assert isinstance(other, Accepted)
        assert (answer.arrival, answer.position, answer.ahead, answer.rate) == (1, 1, 0, None)
        assert (other.arrival, other.position, other.ahead) == (2, 2, 1)
        assert before <= to_micros(parse_rfc3339(answer.accepted_at)) <= after
        job = line.redis.hgetall(keys.job(str(first.job_id)))
        assert decode_payload(job[b"data"]) == {
            "v": 2, "kind": "book", "event_id": 3, "user_id": 7, "tickets": 2, "request_id": "r-1",
        }  # fmt: skip
        assert job[b"enqueued_at"] == answer.accepted_at.encode()
        assert (job[b"status"], job[b"arrival"], job[b"seq"]) == (b"queued", b"1", b"1")
        waiting = line.redis.lrange(keys.queue(PARTITION), 0, -1)
        assert waiting == [str(first.job_id).encode(), str(second.job_id).encode()]
        assert line.redis.llen(keys.bell(PARTITION)) == 1
        assert line.redis.zrangebyscore(keys.undecided_by_user(7), 7, 7) == [str(first.job_id).encode()]

    def test_numbers_each_event_by_itself_and_the_partition_together(self, line):
        answers = [line.accept(book(event_id, user_id=event_id)) for event_id in (3, 11, 3, 4)]
        assert [answer.arrival for answer in answers] == [1, 1, 2, 1]
        assert [answer.ahead for answer in answers] == [0, 1, 2, 0]
        assert line.redis.llen(keys.queue(PARTITION)) == 3

    def test_tells_place_and_rate_from_what_was_decided(self, line):
        line.redis.hset(keys.arrivals(PARTITION), "3", 50)
        line.redis.hset(keys.decided(PARTITION), "3", 48)
        line.redis.hset(keys.counters(PARTITION), mapping={"accepted": 90, "decided": 70, "rate": "123.4"})
        answer = line.accept(book())
        assert (answer.arrival, answer.position, answer.ahead, answer.rate) == (51, 3, 20, 123.4)

    def test_numbers_on_from_the_snapshot_when_redis_lost_its_counter(self, line):
        answer = line.accept(book(), Door(last_arrival=500))
        assert (answer.arrival, answer.position) == (501, 1)
        assert line.accept(book(), Door(last_arrival=480)).arrival == 502  # a stale snapshot lowers nothing

    def test_tells_the_place_of_a_status_from_there_too(self, line):
        request = book()
        accepted = line.accept(request, Door(last_arrival=500))
        found = find_job(line.runner, line.installation, request.job_id)
        assert (found.arrival, found.position) == (501, accepted.position)

    def test_counts_a_request_of_the_control_plane_for_nobody(self, line):
        assert isinstance(line.accept(cancel(user_id=None, is_control=True)), Accepted)
        assert isinstance(line.accept(cancel(user_id=7, is_control=True)), Accepted)
        assert line.redis.keys(f"{keys.UNDECIDED_PREFIX}*") == []
        assert line.redis.keys(keys.rate_of_user("*")) == []


class TestOrderOfChecks:
    """Each pair of reasons to refuse is present; the earlier one must speak."""

    def test_an_unknown_redis_answers_nothing_else(self, line):
        revoke(line)
        line.redis.delete(keys.INSTALLATION)
        assert line.accept(book()) is None

    @pytest.mark.parametrize("other", ["id", "partitions"])
    def test_a_foreign_redis_is_refused(self, line, other):
        revoke(line)
        line.installation = (
            Installation(uuid.uuid4(), 8) if other == "id" else Installation(line.installation.id, 9)
        )
        before = line.everything()
        with pytest.raises(LineUnavailableError, match="another installation"):
            line.accept(book())
        assert line.everything() == before

    @pytest.mark.parametrize("subject", [FAMILY, "user:7"])
    def test_revocation_comes_before_a_replay(self, line, subject):
        assert isinstance(line.accept(book(key="k")), Accepted)
        revoke(line, subject)
        assert line.accept(book(key="k")) == Refused("unauthenticated")

    def test_a_conflict_comes_before_rate_and_door(self, line):
        line.accept(book(key="k"))
        empty_bucket(line)
        assert line.accept(book(key="k", what="2"), Door(verdict="sold_out")) == Refused(
            "idempotency_key_reused"
        )

    def test_a_replay_comes_before_rate_door_and_limits(self, line):
        first = book(key="k")
        line.accept(first)
        for _ in range(2):
            line.accept(book())
        empty_bucket(line)
        assert line.accept(book(key="k"), Door(verdict="event_cancelled")) == Replayed(first.job_id)

    def test_rate_comes_before_the_door(self, line):
        empty_bucket(line)
        refused = line.accept(book(), Door(verdict="event_cancelled"))
        assert refused.code == "rate_limited"
        assert 50 < refused.retry_after_seconds <= 100

    def test_the_door_comes_before_limits(self, line):
        for _ in range(3):
            line.accept(book())
        assert line.accept(book(), Door(verdict="event_cancelled")) == Refused("event_cancelled")

    @pytest.mark.parametrize("verdict", ["event_not_found", "event_cancelled", "sales_paused"])
    def test_a_verdict_comes_before_the_window(self, line, verdict):
        door = window(line, opens_in=HOUR, closes_in=2 * HOUR, verdict=verdict)
        assert line.accept(book(), door) == Refused(verdict)

    @pytest.mark.parametrize("verdict", ["sold_out", "too_many_tickets"])
    def test_what_is_about_the_tickets_yields_to_the_window(self, line, verdict):
        early = window(line, opens_in=HOUR, closes_in=2 * HOUR, verdict=verdict)
        late = window(line, opens_in=-2 * HOUR, closes_in=-HOUR, verdict=verdict)
        opened = window(line, opens_in=-HOUR, closes_in=HOUR, verdict=verdict)
        codes = [line.accept(book(), door).code for door in (early, late, opened)]
        assert codes == ["sales_not_open", "sales_closed", verdict]

    def test_a_refusal_writes_nothing_and_is_not_remembered(self, line):
        line.redis.ping()
        before = line.everything()
        refused = book(key="k")
        assert line.accept(refused, Door(verdict="sold_out")) == Refused("sold_out")
        assert line.everything() == before
        assert isinstance(line.accept(book(key="k", what="2")), Accepted)


class TestWindow:
    def test_is_judged_by_redis_time(self, line):
        opened = window(line, opens_in=timedelta(0), closes_in=HOUR)
        assert isinstance(line.accept(book(), opened), Accepted)
        closed = window(line, opens_in=-HOUR, closes_in=timedelta(0))
        assert line.accept(book(), closed) == Refused("sales_closed")

    def test_may_have_opened_before_the_epoch(self, line):
        assert isinstance(line.accept(book(), Door(sales_open_at=EPOCH - HOUR)), Accepted)


class TestLimits:
    def test_of_a_user_frees_with_each_decision(self, line):
        for event_id in (1, 2, 3):
            assert isinstance(line.accept(book(event_id)), Accepted)
        refused = line.accept(book(4))
        assert refused == Refused("too_many_undecided", retry_after_seconds=1)
        assert isinstance(line.accept(book(4, user_id=8)), Accepted)
        line.redis.zremrangebyrank(keys.undecided_by_user(7), 0, 0)
        assert isinstance(line.accept(book(4)), Accepted)

    def test_of_an_event_counts_what_is_in_flight_too(self, line):
        for user_id in range(4):
            line.accept(book(user_id=user_id))
        line.redis.delete(keys.queue(PARTITION))  # taken, not yet decided
        assert line.accept(book()) == Refused("line_full", retry_after_seconds=1, scope="event")
        assert isinstance(line.accept(book(11)), Accepted)  # another event of the same partition
        line.redis.hset(keys.decided(PARTITION), "3", 1)
        assert line.accept(book()).position == 4

    def test_of_a_partition(self, line):
        for number in range(6):
            assert isinstance(line.accept(book(3 + 8 * number, user_id=number)), Accepted)
        assert line.accept(book(3 + 8 * 7)) == Refused("line_full", retry_after_seconds=1, scope="partition")
        assert isinstance(line.accept(book(4)), Accepted)

    def test_never_keep_out_what_frees_tickets(self, line):
        for number in range(6):
            line.accept(book(3, user_id=number))
        for _ in range(3):
            line.accept(book(4))
        empty_bucket(line)
        answers = [line.accept(cancel()) for _ in range(10)]
        assert all(isinstance(answer, Accepted) for answer in answers)


class TestRate:
    def test_is_a_bucket_that_refills(self, line):
        line.settings = Doorkeeper(
            line.settings.redis_url, booking_rate_per_second=0.02, booking_rate_burst=3
        ).settings
        assert [type(line.accept(book(event))) for event in (1, 2, 3)] == [Accepted] * 3
        bucket = keys.rate_of_user(7)
        full_us = line.now_us() + burst_us(line)
        line.redis.set(bucket, full_us)
        refused = line.accept(book(4))
        assert refused.code == "rate_limited"
        assert 25 < refused.retry_after_seconds <= 50
        line.redis.set(bucket, full_us - 50_000_000)  # fifty seconds at one in fifty
        assert isinstance(line.accept(book(4)), Accepted)
        assert int(line.redis.get(bucket)) == full_us

    def test_does_not_stand_still_after_the_clock_was_set_back(self, line):
        line.redis.set(keys.rate_of_user(7), line.now_us() + 3_600_000_000)
        assert isinstance(line.accept(book()), Accepted)
        assert tokens_left(line) == 4

    def test_never_holds_more_than_the_burst(self, line):
        line.redis.set(keys.rate_of_user(7), 0)
        line.accept(book())
        assert tokens_left(line) == 4

    def test_is_forgotten_when_it_is_full_again(self, line):
        line.accept(book())
        assert 400_000 < line.redis.pttl(keys.rate_of_user(7)) <= 501_000

    def test_is_not_paid_for_a_replay_or_a_refusal(self, line):
        line.accept(book(key="k"))
        bucket = line.redis.get(keys.rate_of_user(7))
        line.accept(book(key="k"))
        line.accept(book(), Door(verdict="sold_out"))
        assert line.redis.get(keys.rate_of_user(7)) == bucket

    def test_of_one_user_is_nobody_elses(self, line):
        empty_bucket(line)
        assert isinstance(line.accept(book(user_id=8)), Accepted)

    @pytest.mark.parametrize("per_second", [1e-12, 0.001, 1e9])
    def test_may_be_any(self, line, per_second):
        line.settings = Doorkeeper(line.settings.redis_url, booking_rate_per_second=per_second).settings
        assert isinstance(line.accept(book()), Accepted)
        assert isinstance(line.accept(book()), Accepted)


class TestReplay:
    def test_gives_the_job_once_however_often_it_is_sent(self, line):
        request = book()
        assert isinstance(line.accept(request), Accepted)
        before = line.everything()
        assert line.accept(request) == Replayed(request.job_id)
        assert line.everything() == before

    def test_keys_are_a_users_own(self, line):
        line.accept(book(key="k"))
        assert isinstance(line.accept(book(user_id=8, key="k")), Accepted)

    def test_lives_a_day(self, line):
        request = book(key="k")
        line.accept(request)
        key = keys.idempotency(7, request.key_hash)
        assert 86_000 < line.redis.ttl(key) <= 86_400
        assert line.redis.get(key) == bytes.fromhex(request.fingerprint)[:16] + request.job_id.bytes

    def test_knows_what_the_release_before_remembered(self, line):
        request = book(key="k")
        text = f"{request.fingerprint}:{request.job_id}"
        line.redis.set(keys.idempotency_before(7, request.key_hash), text, ex=1000)
        assert line.accept(book(key="k")) == Replayed(request.job_id)
        assert line.accept(book(key="k", what="2")) == Refused("idempotency_key_reused")
        assert isinstance(line.accept(book(user_id=8, key="k")), Accepted)

    def test_outlives_the_job(self, line):
        request = book(key="k")
        line.accept(request)
        line.redis.delete(keys.job(str(request.job_id)))
        assert line.accept(book(key="k")) == Replayed(request.job_id)


def date_snippet() -> str:
    """The lines of the script that turn Redis' TIME into text."""
    source = resources.files("shared.line").joinpath("scripts", "accept.lua").read_text()
    found = re.search(
        r"^local seconds = tonumber.*?^local accepted_at = .*?\n  .*?\n", source, re.DOTALL | re.MULTILINE
    )
    assert found is not None
    return found[0]


class TestAcceptedAt:
    def test_is_the_instant_of_time_on_every_date(self, line):
        run = line.redis.register_script(
            "local time = {ARGV[1], ARGV[2]}\n" + date_snippet() + "return accepted_at"
        )
        generator = random.Random(4702)
        last = to_micros(datetime(2399, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
        instants = [generator.randrange(last) for _ in range(400)]
        for year in (1970, 1999, 2000, 2024, 2026, 2100, 2400):
            for month, day in ((1, 1), (2, 28), (3, 1), (12, 31)):
                midnight = to_micros(datetime(year, month, day, tzinfo=UTC))
                instants += [max(0, midnight - 1), midnight, midnight + 86_399_999_999]
        instants += [to_micros(datetime(year, 2, 29, 12, tzinfo=UTC)) for year in (1972, 2000, 2024, 2400)]
        with line.redis.pipeline(transaction=False) as pipe:
            for micros in instants:
                run(args=divmod(micros, 1_000_000), client=pipe)
            texts = [text.decode() for text in pipe.execute()]
        assert [to_micros(parse_rfc3339(text)) for text in texts] == instants
        assert {len(text) for text in texts} == {len("2026-11-20T18:00:00.000000Z")}
