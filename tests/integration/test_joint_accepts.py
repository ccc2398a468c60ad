"""Whoever books while another's accept is on its way makes the next trip together with all who do: each gets an answer
of their own, and what breaks a trip is unknown to those alone whose answer was not read.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import exceptions as redis_errors

from api.joint_accepts import ACCEPT, TRIPS_MAX, JointRunner
from shared.line import keys
from shared.line.accept import Accepted, Refused, _script_input
from shared.line.client import AnswerUnknownError, LineUnavailableError, Run
from shared.line.doors import OPEN_DOOR, Door
from tests.accepting import Doorkeeper, book
from tests.lines import await_that

PEOPLE = 30


@pytest.fixture
def line(redis_url: str) -> Iterator[Doorkeeper]:
    line = Doorkeeper(redis_url, booking_rate_per_second=1000.0, booking_rate_burst=1000)
    line.initialise()
    line.runner = JointRunner(line.redis, timeout_seconds=line.settings.redis_timeout_seconds)
    yield line
    line.runner.close()
    line.close()


@pytest.fixture
def trips(line: Doorkeeper, monkeypatch) -> list[int]:
    """How many ran in each trip."""
    made: list[int] = []
    ask_all = line.runner._accepts._ask_all

    def counted(runs):
        made.append(len(runs))
        return ask_all(runs)

    monkeypatch.setattr(line.runner._accepts, "_ask_all", counted)
    return made


def runs_of(line: Doorkeeper, *requests) -> list[Run]:
    return [_script_input(line.settings, line.installation, each, OPEN_DOOR) for each in requests]


class CutConnection:
    """A connection that breaks when `answers` of its answers have been read."""

    def __init__(self, connection, answers: int, error: Exception) -> None:
        self._connection, self._left, self._error = connection, answers, error

    def read_response(self):
        if self._left == 0:
            raise self._error
        self._left -= 1
        return self._connection.read_response()

    def __getattr__(self, name):
        return getattr(self._connection, name)


class TestTogether:
    def test_everybody_gets_an_answer_of_their_own(self, line, trips):
        requests = [book(event_id=3, user_id=number) for number in range(1, PEOPLE + 1)]
        doors = [Door(verdict="sold_out") if number % 3 == 0 else OPEN_DOOR for number in range(PEOPLE)]
        with ThreadPoolExecutor(PEOPLE) as pool:
            answers = list(pool.map(line.accept, requests, doors))
        kinds = [Refused if number % 3 == 0 else Accepted for number in range(PEOPLE)]
        assert [type(answer) for answer in answers] == kinds
        accepted = [answer for answer in answers if isinstance(answer, Accepted)]
        stood = {line.redis.hget(keys.job(str(each.job_id)), "arrival"): each.job_id for each in accepted}
        assert sorted(each.arrival for each in accepted) == list(range(1, len(accepted) + 1))
        assert {int(arrival): job_id for arrival, job_id in stood.items()} == {
            each.arrival: each.job_id for each in accepted
        }
        assert sum(trips) == PEOPLE

    def test_those_who_come_during_a_trip_make_one(self, line, trips):
        line.runner._accepts._under_way = TRIPS_MAX  # others' trips
        with ThreadPoolExecutor(PEOPLE) as pool:
            asking = [pool.submit(line.accept, book(user_id=number)) for number in range(1, PEOPLE + 1)]
            await_that(lambda: len(line.runner._accepts._askers) == PEOPLE, what="all of them to stand")
            with line.runner._accepts._lock:
                line.runner._accepts._pass_on()  # one of them is over
            positions = [future.result(timeout=60).position for future in asking]
        assert trips == [PEOPLE]
        assert sorted(positions) == list(range(1, PEOPLE + 1))

    def test_order_in_a_trip_is_order_in_the_line(self, line):
        requests = [book(user_id=number) for number in range(1, PEOPLE + 1)]
        replies = line.runner.run_together(ACCEPT, runs_of(line, *requests))
        assert [int(reply[1]) for reply in replies] == list(range(1, PEOPLE + 1))

    def test_a_script_that_redis_does_not_know_is_sent(self, line):
        line.redis.script_flush()
        requests = [book(user_id=number) for number in (1, 2, 3)]
        replies = line.runner.run_together(ACCEPT, runs_of(line, *requests))
        assert [reply[0] for reply in replies] == [b"accepted"] * 3


class TestTroubleInATrip:
    def test_one_refusal_is_one_persons(self, line):
        first, second, third = (book(user_id=number) for number in (1, 2, 3))
        spoilt = runs_of(line, first, second, third)
        line.redis.lpush(keys.rate_of_user(2), "no number")
        replies = line.runner.run_together(ACCEPT, spoilt)
        assert [isinstance(reply, redis_errors.ResponseError) for reply in replies] == [False, True, False]
        assert [reply[0] for reply in (replies[0], replies[2])] == [b"accepted"] * 2

    @pytest.mark.parametrize("read", [0, 1, 2])
    def test_what_was_read_counts_and_the_rest_is_unknown(self, line, monkeypatch, read):
        requests = [book(user_id=number) for number in (1, 2, 3)]
        acquire = line.runner._connections.acquire
        broken = redis_errors.ConnectionError("reset")
        monkeypatch.setattr(
            line.runner._connections, "acquire", lambda: CutConnection(acquire(), read, broken)
        )
        replies = line.runner.run_together(ACCEPT, runs_of(line, *requests))
        assert [reply[0] for reply in replies[:read]] == [b"accepted"] * read
        assert [type(reply) for reply in replies[read:]] == [AnswerUnknownError] * (3 - read)

    def test_a_server_that_loads_has_refused_the_first(self, line, monkeypatch):
        acquire = line.runner._connections.acquire
        loading = redis_errors.BusyLoadingError("Redis is loading the dataset in memory")
        monkeypatch.setattr(line.runner._connections, "acquire", lambda: CutConnection(acquire(), 0, loading))
        replies = line.runner.run_together(ACCEPT, runs_of(line, book(user_id=1), book(user_id=2)))
        assert [type(reply) for reply in replies] == [LineUnavailableError, AnswerUnknownError]

    def test_whoever_stood_in_a_broken_one_stands_once(self, line, trips, monkeypatch):
        """Each sends their request again, and the script finds the job that the first trip made."""
        cut = iter([True])
        acquire = line.runner._connections.acquire

        def acquire_once_broken():
            connection = acquire()
            error = redis_errors.ConnectionError("reset")
            return CutConnection(connection, 1, error) if next(cut, False) else connection

        monkeypatch.setattr(line.runner._connections, "acquire", acquire_once_broken)
        line.runner._accepts._under_way = TRIPS_MAX
        requests = [book(user_id=number) for number in range(1, PEOPLE + 1)]
        with ThreadPoolExecutor(PEOPLE) as pool:
            asking = [pool.submit(line.accept, request) for request in requests]
            await_that(lambda: len(line.runner._accepts._askers) == PEOPLE, what="all of them to stand")
            with line.runner._accepts._lock:
                line.runner._accepts._pass_on()
            answers = [future.result(timeout=60) for future in asking]
        assert [answer.job_id for answer in answers] == [request.job_id for request in requests]
        assert line.redis.llen(keys.queue(3)) == PEOPLE
        assert trips[0] == PEOPLE

    def test_no_connection_is_no_acceptance(self, line, monkeypatch):
        monkeypatch.setattr(line.runner._connections, "_maximum", 0)
        monkeypatch.setattr(line.runner._connections, "_wait_seconds", 0.0)
        replies = line.runner.run_together(ACCEPT, runs_of(line, book(user_id=1), book(user_id=2)))
        assert [type(reply) for reply in replies] == [LineUnavailableError] * 2
        assert line.redis.llen(keys.queue(3)) == 0
