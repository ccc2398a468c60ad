"""Whoever asks while a trip is under way is in the next one; what ends one of them keeps up none of the others."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from api import joint_trips
from api.joint_trips import JointTrips
from shared.errors import UnavailableError
from shared.line.client import LineUnavailableError
from tests.lines import await_that


class Server:
    """Answers each question with ten times its number, when the test lets it; raises what it was told to."""

    def __init__(self) -> None:
        self.trips: list[list[int]] = []
        self.may_answer = threading.Semaphore(0)
        self.trouble: BaseException | None = None

    def ask_all(self, asked: Sequence[int]) -> list[int]:
        self.trips.append([*asked])
        assert self.may_answer.acquire(timeout=30)
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble
        return [10 * number for number in asked]


class LostError(Exception):
    """What a trip without an end is for those who were in it."""


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def joint(server: Server) -> JointTrips[int, int]:
    return JointTrips(server.ask_all, lost=LostError)


@pytest.fixture
def ask(server: Server, joint: JointTrips[int, int]) -> Iterator[Callable[[int], "Future[int]"]]:
    """Asks in a thread of its own, and waits until the question stands in line or is being asked."""

    def stands(number: int) -> bool:
        return any(each.question == number for each in joint._askers)

    def is_asked(number: int) -> bool:
        return any(number in asked for asked in server.trips)

    with ThreadPoolExecutor(16) as pool:

        def begin(number: int) -> "Future[int]":
            future = pool.submit(joint.ask, number)
            await_that(lambda: stands(number) or is_asked(number), what=f"question {number}")
            return future

        yield begin
        server.may_answer.release(100)


class TestJointTrips:
    def test_who_is_alone_asks_at_once(self, server, joint):
        server.may_answer.release(2)
        assert [joint.ask(1), joint.ask(2)] == [10, 20]
        assert server.trips == [[1], [2]]

    def test_whoever_comes_during_a_trip_is_in_the_next(self, server, ask):
        asking = [ask(number) for number in (1, 2, 3, 4)]
        assert server.trips == [[1]]
        server.may_answer.release()
        assert asking[0].result(timeout=30) == 10
        await_that(lambda: len(server.trips) == 2, what="the second trip")
        assert not any(future.done() for future in asking[1:])
        server.may_answer.release()
        assert [future.result(timeout=30) for future in asking[1:]] == [20, 30, 40]
        assert server.trips == [[1], [2, 3, 4]]

    def test_a_trip_is_for_so_many_at_most(self, server, ask, monkeypatch):
        monkeypatch.setattr(joint_trips, "ASKERS_MAX", 2)
        asking = [ask(number) for number in (1, 2, 3, 4)]
        server.may_answer.release(3)
        assert [future.result(timeout=30) for future in asking] == [10, 20, 30, 40]
        assert server.trips == [[1], [2, 3], [4]]

    def test_an_error_is_of_those_who_were_in_the_trip(self, server, ask):
        first, second, third = ask(1), ask(2), ask(3)
        server.may_answer.release()
        assert first.result(timeout=30) == 10
        await_that(lambda: len(server.trips) == 2, what="the second trip")
        fourth = ask(4)
        server.trouble = UnavailableError("line_unavailable")
        server.may_answer.release(2)
        for future in (second, third):
            with pytest.raises(UnavailableError):
                future.result(timeout=30)
        assert fourth.result(timeout=30) == 40

    def test_who_is_ended_in_the_middle_of_a_trip_takes_nobody_along(self, server, ask):
        """A process that stops ends its greenlets: the others of the trip hear that nothing is known."""
        first, second, third = ask(1), ask(2), ask(3)
        server.may_answer.release()
        assert first.result(timeout=30) == 10
        await_that(lambda: len(server.trips) == 2, what="the second trip")
        fourth = ask(4)
        server.trouble = KeyboardInterrupt()
        server.may_answer.release(2)
        with pytest.raises(KeyboardInterrupt):
            second.result(timeout=30)
        with pytest.raises(LostError):
            third.result(timeout=30)
        assert fourth.result(timeout=30) == 40

    def test_who_is_ended_while_they_stand_in_line_is_not_waited_for(self, server, joint, ask, monkeypatch):
        first = ask(1)

        class Ended(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(joint_trips, "threading", SimpleNamespace(Event=Ended))
            with pytest.raises(KeyboardInterrupt):
                joint.ask(2)
        third = ask(3)
        server.may_answer.release(2)
        assert (first.result(timeout=30), third.result(timeout=30)) == (10, 30)
        assert server.trips == [[1], [3]]

    def test_so_many_trips_at_a_time_and_who_stands_behind_them_shares_the_next(self, server, joint, ask):
        joint._trips_max = 2
        asking = [ask(1), ask(2), ask(3), ask(4)]
        assert sorted(server.trips) == [[1], [2]]
        server.may_answer.release()
        await_that(lambda: len(server.trips) == 3, what="the third trip")
        assert server.trips[2] == [3, 4]
        server.may_answer.release(2)
        assert [future.result(timeout=30) for future in asking] == [10, 20, 30, 40]
        assert joint._under_way == 0

    def test_whoever_waits_too_long_has_asked_nothing(self, server):
        joint: JointTrips[int, int] = JointTrips(server.ask_all, lost=LostError, wait_seconds=0.01)
        joint._under_way = 1  # somebody's trip, for ever
        with pytest.raises(LineUnavailableError):
            joint.ask(2)
        assert (server.trips, joint._askers) == ([], [])
