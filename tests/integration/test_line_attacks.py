"""A Redis that is damaged, full or silent in the middle: scripts have no rollback, so they must not need one."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from redis.exceptions import ResponseError

from shared.clock import utc_now
from shared.errors import UnavailableError
from shared.line import keys
from shared.line.accept import Accepted, NewRequest, Replayed
from shared.line.client import AnswerUnknownError, LineUnavailableError, OutcomeUnknownError, ScriptRunner
from shared.line.control import mark_withdrawn
from shared.line.doors import OPEN_DOOR, Door
from shared.line.installation import put_revocations
from shared.line.reply import JobReply, reply
from shared.line.take import (
    Claim,
    OutdatedTokenError,
    Taken,
    begin_alone,
    report_alive,
    set_aside,
    take,
    write_token,
)
from tests.accepting import Doorkeeper, book

PARTITION = 3
CLAIM = Claim(PARTITION, 5)

# Every key of the accept script whose type matters.
ACCEPT_KEYS: dict[str, Callable[[str, str], str]] = {
    "installation": lambda _job, _idem: keys.INSTALLATION,
    "idempotency": lambda _job, idem: idem,
    "rate": lambda _job, _idem: keys.rate_of_user(7),
    "undecided": lambda _job, _idem: keys.undecided_by_user(7),
    "arrivals": lambda _job, _idem: keys.arrivals(PARTITION),
    "decided": lambda _job, _idem: keys.decided(PARTITION),
    "counters": lambda _job, _idem: keys.counters(PARTITION),
    "queue": lambda _job, _idem: keys.queue(PARTITION),
    "bell": lambda _job, _idem: keys.bell(PARTITION),
}


@pytest.fixture
def line(redis_url: str) -> Iterator[Doorkeeper]:
    line = Doorkeeper(redis_url, user_undecided_max=1000, booking_rate_burst=1000)
    line.initialise()
    yield line
    line.redis.config_set("maxmemory", "512mb")
    line.close()


def take_all(line: Doorkeeper, claim: Claim = CLAIM) -> Taken:
    taken = take(line.runner, claim, maximum=250, worker_name="w", instance="w:1")
    assert isinstance(taken, Taken)
    return taken


def reply_to(line: Doorkeeper, jobs: list[uuid.UUID], claim: Claim = CLAIM) -> None:
    reply(
        line.runner,
        line.settings,
        claim,
        worker_name="w",
        jobs=[JobReply(str(job_id), 7, {"outcome": "confirmed"}) for job_id in jobs],
        last_arrivals={3: len(jobs)},
        rate=10.0,
    )


def fill(line: Doorkeeper) -> None:
    """From now on every write that needs memory is refused."""
    line.redis.config_set("maxmemory", "1")


def accept_some(line: Doorkeeper, count: int = 3) -> list[uuid.UUID]:
    requests = [book() for _ in range(count)]
    assert all(isinstance(line.accept(request), Accepted) for request in requests)
    return [request.job_id for request in requests]


class TestDamagedKeys:
    @pytest.mark.parametrize("name", ACCEPT_KEYS)
    def test_stop_the_accept_script_before_its_first_write(self, line, name):
        accept_some(line)
        request = book(key="k")
        damaged = ACCEPT_KEYS[name](keys.job(str(request.job_id)), keys.idempotency(7, request.key_hash))
        line.redis.delete(damaged)
        line.redis.xadd(damaged, {"x": 1})
        before = line.everything()
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            line.accept(request)
        assert line.everything() == before

    @pytest.mark.parametrize("field", ["accepted", "decided"])
    def test_stop_it_when_a_counter_is_no_number(self, line, field):
        accept_some(line)
        line.redis.hset(keys.counters(PARTITION), field, "x")
        before = line.everything()
        with pytest.raises(ResponseError):
            line.accept(book())
        assert line.everything() == before

    @pytest.mark.parametrize("hash_key", [keys.arrivals(PARTITION), keys.decided(PARTITION)])
    def test_stop_it_when_an_arrival_is_no_number(self, line, hash_key):
        accept_some(line)
        line.redis.hset(hash_key, "3", "x")
        before = line.everything()
        with pytest.raises(ResponseError):
            line.accept(book())
        assert line.everything() == before

    @pytest.mark.parametrize("name", ["queue", "in_flight", "started", "suspects"])
    def test_lose_nothing_in_the_take_script(self, line, name):
        accept_some(line)
        write_token(line.runner, line.installation, CLAIM)
        damage(line, getattr(keys, name)(PARTITION))
        before = line.everything()
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            take_all(line)
        assert line.everything() == before

    @pytest.mark.parametrize(
        "name", ["in_flight", "started", "finished", "failed", "arrivals", "decided", "counters"]
    )
    def test_lose_nothing_in_the_reply_script(self, line, name):
        jobs = accept_some(line)
        write_token(line.runner, line.installation, CLAIM)
        take_all(line)
        damage(line, getattr(keys, name)(PARTITION))
        before = line.everything()
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            reply_to(line, jobs)
        assert line.everything() == before

    @pytest.mark.parametrize("name", ["in_flight", "started", "lost", "counters"])
    def test_lose_nothing_in_the_set_aside_script(self, line, name):
        jobs = accept_some(line)
        write_token(line.runner, line.installation, CLAIM)
        take_all(line)
        damage(line, getattr(keys, name)(PARTITION))
        before = line.everything()
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            set_aside(line.runner, CLAIM, {str(job_id): None for job_id in jobs}, ttl_seconds=60)
        assert line.everything() == before

    def test_of_a_job_hash_cost_that_job_only(self, line):
        jobs = accept_some(line)
        write_token(line.runner, line.installation, CLAIM)
        damage(line, keys.job(str(jobs[1])))
        taken = take_all(line)
        assert [request.job_id for request in taken.requests] == [jobs[0], jobs[2]]
        assert taken.unreadable == [str(jobs[1])]
        reply_to(line, jobs)  # even when the ledger knows the damaged one
        assert line.redis.llen(keys.in_flight(PARTITION)) == 0
        assert line.redis.hget(keys.job(str(jobs[2])), "status") == b"finished"
        assert line.redis.hget(keys.counters(PARTITION), "decided") == b"3"

    def test_of_a_job_that_is_gone_leaves_it_gone(self, line):
        jobs = accept_some(line)
        write_token(line.runner, line.installation, CLAIM)
        take_all(line)
        line.redis.delete(keys.job(str(jobs[1])))
        reply_to(line, jobs)
        assert not line.redis.exists(keys.job(str(jobs[1])), keys.result(str(jobs[1])))
        assert line.redis.zrange(keys.finished(PARTITION), 0, -1) == [
            str(job_id).encode() for job_id in (jobs[0], jobs[2])
        ]


class TestReply:
    def test_repeats_what_was_replied_before_without_a_second_result(self, line):
        jobs = accept_some(line)
        write_token(line.runner, line.installation, CLAIM)
        take_all(line)
        reply_to(line, jobs)
        line.redis.rpush(keys.queue(PARTITION), str(jobs[0]))  # somebody puts it in again
        take_all(line)
        reply_to(line, jobs[:1])
        assert line.redis.hget(keys.job(str(jobs[0])), "status") == b"finished"
        assert line.redis.xlen(keys.result(str(jobs[0]))) == 1

    def test_is_whole_for_a_job_that_rq_has_queued_again(self, line):
        jobs = accept_some(line)
        write_token(line.runner, line.installation, CLAIM)
        take_all(line)
        reply_to(line, jobs)
        # as `rq requeue` leaves it: out of its registry, its end an empty text
        line.redis.zrem(keys.finished(PARTITION), str(jobs[0]))
        line.redis.hset(keys.job(str(jobs[0])), mapping={"status": "queued", "ended_at": ""})
        line.redis.rpush(keys.queue(PARTITION), str(jobs[0]))
        take_all(line)
        reply_to(line, jobs[:1])
        assert line.redis.zscore(keys.finished(PARTITION), str(jobs[0])) is not None
        assert line.redis.xlen(keys.result(str(jobs[0]))) == 2


def damage(line: Doorkeeper, key: str) -> None:
    line.redis.delete(key)
    line.redis.set(key, "damaged")


class TestFullRedis:
    def test_refuses_new_requests_and_writes_nothing(self, line):
        accept_some(line)
        fill(line)
        before = line.everything()
        with pytest.raises(LineUnavailableError):
            line.accept(book(key="k"))
        assert line.everything() == before

    def test_drains(self, line):
        jobs = accept_some(line, 5)
        fill(line)
        assert write_token(line.runner, line.installation, CLAIM) is None
        assert mark_withdrawn(line.runner, jobs[0]) == "marked"
        taken = take_all(line)
        assert [request.job_id for request in taken.requests] == jobs
        assert taken.requests[0].withdrawn
        assert begin_alone(line.runner, CLAIM, jobs[0], "w:1") == 0
        report_alive(line.runner, PARTITION, "w:1")
        set_aside(line.runner, CLAIM, {str(jobs[4]): None}, ttl_seconds=60)
        reply_to(line, jobs[:4])
        assert line.redis.llen(keys.in_flight(PARTITION)) == 0
        assert line.redis.lrange(keys.lost(PARTITION), 0, -1) == [str(jobs[4]).encode()]
        assert [line.redis.hget(keys.job(str(job_id)), "status") for job_id in jobs[:4]] == [b"finished"] * 4

    def test_still_answers_a_replay(self, line):
        request = book(key="k")
        line.accept(request)
        fill(line)
        assert line.accept(book(key="k")) == Replayed(request.job_id)

    def test_refuses_a_revocation_loudly(self, line):
        fill(line)
        with pytest.raises(ResponseError):
            put_revocations(line.redis, {"user:7": utc_now() + timedelta(hours=1)})


class TestOutdatedToken:
    def test_makes_every_script_of_the_old_holder_do_nothing(self, line):
        jobs = accept_some(line)
        write_token(line.runner, line.installation, CLAIM)
        take_all(line)
        successor = Claim(PARTITION, CLAIM.token + 1)
        assert write_token(line.runner, line.installation, successor) is None
        assert write_token(line.runner, line.installation, CLAIM) == successor.token
        before = line.everything()
        attempts: list[Callable[[], object]] = [
            lambda: take_all(line),
            lambda: reply_to(line, jobs),
            lambda: set_aside(line.runner, CLAIM, {str(jobs[0]): None}, ttl_seconds=60),
            lambda: begin_alone(line.runner, CLAIM, jobs[0], "w:1"),
        ]
        for attempt in attempts:
            with pytest.raises(OutdatedTokenError):
                attempt()
        assert line.everything() == before

    def test_a_reply_removes_its_own_ids_only(self, line):
        jobs = accept_some(line)
        write_token(line.runner, line.installation, CLAIM)
        take_all(line)
        reply_to(line, jobs[:2])
        reply_to(line, jobs[:2])  # sent twice
        assert line.redis.lrange(keys.in_flight(PARTITION), 0, -1) == [str(jobs[2]).encode()]
        assert line.redis.hget(keys.counters(PARTITION), "decided") == b"2"
        assert line.redis.xlen(keys.result(str(jobs[0]))) == 1


class DeafRunner(ScriptRunner):
    """Runs scripts, and loses the first `lost` answers on the way back."""

    def __init__(self, runner: ScriptRunner, lost: int, *, then: Exception | None = None) -> None:
        super().__init__(runner.redis)
        self.lost, self.then, self.sent = lost, then, 0

    def run(self, name, keys, arguments):
        self.sent += 1
        if self.then is not None and self.sent > 1:
            raise self.then
        answer = super().run(name, keys, arguments)
        if self.sent <= self.lost:
            raise AnswerUnknownError
        return answer


class LossyRunner(ScriptRunner):
    """Runs scripts, but loses the first command on its way to Redis."""

    def __init__(self, runner: ScriptRunner) -> None:
        super().__init__(runner.redis)
        self.sent = 0

    def run(self, name, keys, arguments):
        self.sent += 1
        if self.sent == 1:
            raise AnswerUnknownError
        return super().run(name, keys, arguments)


def unknown_of(line: Doorkeeper, request: NewRequest, door: Door = OPEN_DOOR) -> bool:
    """Whether the answer is that nobody knows, and names the job to ask for."""
    with pytest.raises(UnavailableError) as caught:
        line.accept(request, door)
    return caught.value.code == "accept_unknown" and caught.value.facts == {"job_id": str(request.job_id)}


class TestLostAnswer:
    def test_is_asked_for_again_and_gives_one_job(self, line):
        line.runner = DeafRunner(line.runner, lost=1)
        request = book(key="k")
        assert line.accept(request) == Replayed(request.job_id)
        assert line.redis.lrange(keys.queue(PARTITION), 0, -1) == [str(request.job_id).encode()]
        assert line.redis.hget(keys.arrivals(PARTITION), "3") == b"1"

    @pytest.mark.parametrize("then", [None, LineUnavailableError("Redis cannot be reached.")])
    def test_is_never_told_as_a_plain_failure(self, line, then):
        line.runner = DeafRunner(line.runner, lost=2, then=then)
        request = book()
        with pytest.raises(UnavailableError) as caught:
            line.accept(request)
        assert caught.value.code == "accept_unknown"
        assert caught.value.facts == {"job_id": str(request.job_id)}
        assert line.redis.llen(keys.queue(PARTITION)) == 1

    @pytest.mark.parametrize("door", [Door(verdict="sold_out"), Door(verdict="event_cancelled")])
    def test_is_unknown_even_when_the_second_one_is_a_refusal(self, line, door):
        """The first copy may still be on its way, and be accepted after the second was refused."""
        line.runner = LossyRunner(line.runner)
        assert unknown_of(line, book(), door)

    def test_is_unknown_even_when_its_limits_are_reached_meanwhile(self, line):
        line.settings = Doorkeeper(line.settings.redis_url, user_undecided_max=1).settings
        accept_some(line, 1)
        line.runner = LossyRunner(line.runner)
        assert unknown_of(line, book())

    def test_is_unknown_even_when_redis_has_lost_its_data_since(self, line):
        """An empty Redis is healed and asked anew for who was never sent anywhere; not here."""
        line.runner = LossyRunner(line.runner)
        line.redis.delete(keys.INSTALLATION)
        assert unknown_of(line, book())

    def test_is_unknown_even_when_redis_is_anothers_since(self, line):
        line.runner = LossyRunner(line.runner)
        line.redis.set(keys.INSTALLATION, f"{uuid.uuid4()}:8")
        assert unknown_of(line, book())

    def test_of_a_withdrawal_is_asked_for_again(self, line):
        job_id = accept_some(line, 1)[0]
        assert mark_withdrawn(DeafRunner(line.runner, lost=1), job_id) == "marked"
        with pytest.raises(OutcomeUnknownError):
            mark_withdrawn(DeafRunner(line.runner, lost=2), job_id)

    def test_of_a_hung_redis_is_unknown(self, line):
        line.runner = ScriptRunner(Doorkeeper(line.settings.redis_url).redis)
        line.runner.redis.connection_pool.connection_kwargs["socket_timeout"] = 0.2
        # A connection stands ready, so that the command itself is what goes unanswered.
        assert mark_withdrawn(line.runner, uuid.uuid4()) == "absent"
        line.redis.execute_command("CLIENT", "PAUSE", 1000)
        with pytest.raises(UnavailableError) as caught:
            line.accept(book())
        assert caught.value.code == "accept_unknown"
        assert line.redis.ping()  # answers when the pause is over
