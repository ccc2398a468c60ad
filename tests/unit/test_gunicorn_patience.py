"""Connections that say nothing for too long are given up, and no others."""

from time import monotonic

import gevent
import pytest
from gevent.event import Event

from api.gunicorn_patience import Patience

SECONDS = 75


class Connection(gevent.Greenlet):
    """It waits for `heard`, and notes how that ended."""

    def __init__(self, patience: Patience) -> None:
        super().__init__()
        self.patience, self.heard, self.noted = patience, Event(), []
        self.start()

    def _run(self) -> None:
        while True:
            self.noted.append("waits")
            with self.patience:
                self.heard.wait()
                self.noted.append("heard")
            if self.noted[-1] == "waits":
                self.noted.append("left")
                return
            self.heard.clear()


@pytest.fixture
def patience() -> Patience:
    return Patience(SECONDS)


def look(patience: Patience, after: float) -> None:
    """As the timer does, so many seconds from now."""
    looked = Event()
    loop = gevent.get_hub().loop
    loop.run_callback(lambda: (patience.look(monotonic() + after), looked.set()))
    looked.wait()


def opened(patience: Patience, count: int = 1) -> list[Connection]:
    connections = [Connection(patience) for _ in range(count)]
    gevent.idle()
    return connections


class TestPatience:
    def test_ends_for_who_says_nothing(self, patience):
        connections = opened(patience, 50)
        look(patience, SECONDS - 1)
        assert [connection.noted for connection in connections] == [["waits"]] * 50
        look(patience, SECONDS)
        assert [connection.noted for connection in connections] == [["waits", "left"]] * 50
        assert [connection.successful() for connection in connections] == [True] * 50

    def test_begins_anew_with_every_request(self, patience, monkeypatch):
        now = monotonic()
        monkeypatch.setattr("api.gunicorn_patience.monotonic", lambda: now)
        silent, speaking = opened(patience, 2)
        now += 50
        speaking.heard.set()
        gevent.idle()
        assert speaking.noted == ["waits", "heard", "waits"]
        look(patience, SECONDS)
        assert (silent.noted[-1], speaking.noted[-1]) == ("left", "waits")
        look(patience, 50 + SECONDS)
        assert speaking.noted[-1] == "left"

    def test_is_not_asked_of_who_is_answered(self, patience):
        with patience:
            pass
        look(patience, 10 * SECONDS)
        assert patience._waiting == {}

    def test_keeps_nobody_who_left(self, patience):
        for connection in opened(patience, 3):
            connection.kill()
        assert patience._waiting == {}

    def test_lets_errors_pass(self, patience):
        for error in (OSError, StopIteration, gevent.GreenletExit, gevent.Timeout):
            with pytest.raises(error), patience:
                raise error
        assert patience._waiting == {}

    def test_is_looked_after_by_the_loop(self):
        patience = Patience(0.0)
        patience.start()
        for _ in range(2):
            (connection,) = opened(patience)
            connection.join(60)
            assert connection.noted == ["waits", "left"]
        patience._timer.close()
