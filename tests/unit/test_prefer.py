"""`Prefer: wait=N`, as RFC 7240 has it."""

import pytest
from werkzeug.test import EnvironBuilder

from api.prefer import preferred_wait


def read(*headers: str, default: int = 5):
    environ = EnvironBuilder(headers=[("Prefer", value) for value in headers]).get_environ()
    return preferred_wait(environ, default)


class TestPreferredWait:
    def test_is_the_default_when_nobody_asks(self):
        assert read() == (5, False)
        assert read(default=0) == (0, False)

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("wait=10", 10),
            ("wait=0", 0),
            ("WAIT=7", 7),
            ("wait = 7", 7),
            ('wait="7"', 7),
            ("respond-async, wait=7", 7),
            ("wait=7, respond-async", 7),
            ("wait=7; foo=bar", 7),
            ("wait=3, wait=9", 3),  # the first one counts
            ("wait=31", 30),
            ("wait=999999", 30),
        ],
    )
    def test_is_what_the_client_asks_for_up_to_thirty_seconds(self, value, seconds):
        assert read(value) == (seconds, True)

    def test_may_stand_in_any_of_several_headers(self):
        assert read("respond-async", "wait=4") == (4, True)

    @pytest.mark.parametrize(
        "value",
        [
            "wait",
            "wait=",
            "wait=-1",
            "wait=1.5",
            "wait=x",
            "wait=5x",
            "await=5",
            "foo; wait=5",
            "wait=٣",
            "wait=9" * 9,
        ],
    )
    def test_ignores_what_it_does_not_understand(self, value):
        assert read(value) == (5, False)
