"""Asking a server that may have fallen silent."""

import threading
from collections.abc import Callable

from shared.questions import Question


class Server:
    """Answers with how often it was asked, when the test lets it."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        asked = self.asked
        self.may_answer.wait()
        return asked


class TestQuestion:
    def test_who_asks_meanwhile_hears_the_same_answer(self) -> None:
        server = Server()
        question = Question("test", server)
        waits: list[Callable[[], int | None]] = [question.begin() for _ in range(5)]
        server.may_answer.set()
        assert [wait() for wait in waits] == [1] * 5
        assert server.asked == 1

    def test_a_new_one_is_asked_once_the_last_is_answered(self) -> None:
        server = Server()
        server.may_answer.set()
        question = Question("test", server)
        assert question.get() == 1
        assert question.get() == 2

    def test_a_failure_is_no_answer_and_does_not_stay(self) -> None:
        answers: list[int] = []

        def ask() -> int:
            return answers.pop()

        question = Question("test", ask)
        assert question.get() is None
        answers.append(7)
        assert question.get() == 7

    def test_silence_is_no_answer_and_is_asked_once_only(self) -> None:
        server = Server()
        question = Question("test", server)
        assert question.get() is None
        assert question.get() is None, "it is still silent: nobody waits again"
        assert server.asked == 1
        server.may_answer.set()
