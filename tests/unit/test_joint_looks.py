"""Whoever asks while a look is under way is in the next one; what ends one of them keeps up none of the others."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from api import joint_looks
from api.joint_looks import JointLooks
from shared.errors import UnavailableError
from tests.lines import await_that


class Server:
    """Answers each question with ten times its number, when the test lets it; raises what it was told to."""

    def __init__(self) -> None:
        self.looks: list[list[int]] = []
        self.may_answer = threading.Semaphore(0)
        self.trouble: BaseException | None = None

    def look_up(self, asked: Sequence[int]) -> list[int]:
        self.looks.append([*asked])
        assert self.may_answer.acquire(timeout=30)
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble
        return [10 * number for number in asked]


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def looks(server: Server) -> JointLooks[int, int]:
    return JointLooks(server.look_up)


@pytest.fixture
def ask(server: Server, looks: JointLooks[int, int]) -> Iterator[Callable[[int], "Future[int]"]]:
    """Asks in a thread of its own, and waits until the question stands in line or is being asked."""

    def stands(number: int) -> bool:
        return any(each.question == number for each in looks._askers)

    def is_asked(number: int) -> bool:
        return any(number in asked for asked in server.looks)

    with ThreadPoolExecutor(16) as pool:

        def begin(number: int) -> "Future[int]":
            future = pool.submit(looks.ask, number)
            await_that(lambda: stands(number) or is_asked(number), what=f"question {number}")
            return future

        yield begin
        server.may_answer.release(100)


class TestJointLooks:
    def test_who_is_alone_asks_at_once(self, server, looks):
        server.may_answer.release(2)
        assert [looks.ask(1), looks.ask(2)] == [10, 20]
        assert server.looks == [[1], [2]]

    def test_whoever_comes_during_a_look_is_in_the_next(self, server, ask):
        asking = [ask(number) for number in (1, 2, 3, 4)]
        assert server.looks == [[1]]
        server.may_answer.release()
        assert asking[0].result(timeout=30) == 10
        await_that(lambda: len(server.looks) == 2, what="the second look")
        assert not any(future.done() for future in asking[1:])
        server.may_answer.release()
        assert [future.result(timeout=30) for future in asking[1:]] == [20, 30, 40]
        assert server.looks == [[1], [2, 3, 4]]

    def test_a_look_is_for_so_many_at_most(self, server, ask, monkeypatch):
        monkeypatch.setattr(joint_looks, "LOOKS_AT_ONCE", 2)
        asking = [ask(number) for number in (1, 2, 3, 4)]
        server.may_answer.release(3)
        assert [future.result(timeout=30) for future in asking] == [10, 20, 30, 40]
        assert server.looks == [[1], [2, 3], [4]]

    def test_an_error_is_of_those_who_were_in_the_look(self, server, ask):
        first, second, third = ask(1), ask(2), ask(3)
        server.may_answer.release()
        assert first.result(timeout=30) == 10
        await_that(lambda: len(server.looks) == 2, what="the second look")
        fourth = ask(4)
        server.trouble = UnavailableError("line_unavailable")
        server.may_answer.release(2)
        for future in (second, third):
            with pytest.raises(UnavailableError):
                future.result(timeout=30)
        assert fourth.result(timeout=30) == 40

    def test_who_is_ended_in_the_middle_of_a_look_takes_nobody_along(self, server, ask):
        """A process that stops ends its greenlets: the others of the look hear that nothing is known."""
        first, second, third = ask(1), ask(2), ask(3)
        server.may_answer.release()
        assert first.result(timeout=30) == 10
        await_that(lambda: len(server.looks) == 2, what="the second look")
        fourth = ask(4)
        server.trouble = KeyboardInterrupt()
        server.may_answer.release(2)
        with pytest.raises(KeyboardInterrupt):
            second.result(timeout=30)
        with pytest.raises(UnavailableError):
            third.result(timeout=30)
        assert fourth.result(timeout=30) == 40

    def test_who_is_ended_while_they_stand_in_line_is_not_waited_for(self, server, looks, ask, monkeypatch):
        first = ask(1)

        class Ended(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(joint_looks, "threading", SimpleNamespace(Event=Ended))
            with pytest.raises(KeyboardInterrupt):
                looks.ask(2)
        third = ask(3)
        server.may_answer.release(2)
        assert (first.result(timeout=30), third.result(timeout=30)) == (10, 30)
        assert server.looks == [[1], [3]]
