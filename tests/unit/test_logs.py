"""Logs: one line of JSON whatever is logged; logging never fails."""

import json
import logging
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from shared.clock import parse_rfc3339
from shared.logs import JsonFormatter, configure_logging, request_id_var


@pytest.fixture(autouse=True)
def outside_any_request() -> Iterator[None]:
    """Applications that ran in this thread before leave their last request's id behind."""
    token = request_id_var.set(None)
    yield
    request_id_var.reset(token)


def formatted(message: str = "hello", *args: object, exc_info=None, **extra: object) -> dict:
    record = logging.getLogger("guichet.test").makeRecord(
        "guichet.test", logging.WARNING, __file__, 1, message, args, exc_info, extra=extra
    )
    text = JsonFormatter().format(record)
    assert "\n" not in text
    return json.loads(text)


class TestJsonFormatter:
    def test_says_when_what_and_who(self):
        line = formatted("took %d ms", 5)
        assert abs((parse_rfc3339(line.pop("at")) - datetime.now(UTC)).total_seconds()) < 60
        assert line == {"level": "warning", "logger": "guichet.test", "message": "took 5 ms"}

    def test_carries_extra_fields(self):
        job_id = uuid.uuid4()
        line = formatted(job_id=job_id, problems={"redis": "away"}, partitions=[1, 2])
        assert (line["job_id"], line["problems"], line["partitions"]) == (
            str(job_id),
            {"redis": "away"},
            [1, 2],
        )

    def test_carries_the_request_id(self):
        token = request_id_var.set("r-1")
        try:
            assert formatted()["request_id"] == "r-1"
        finally:
            request_id_var.reset(token)
        assert "request_id" not in formatted()

    def test_keeps_an_exception_on_the_line(self):
        try:
            raise ValueError("a\nb")
        except ValueError:
            line = formatted(exc_info=sys.exc_info())
        assert line["exception"].startswith("Traceback")
        assert line["exception"].endswith("ValueError: a\nb")

    @pytest.mark.parametrize(
        "value", [{1: "a"}, 2**70, b"\xff", "\ud800", object(), float("nan"), {uuid.uuid4()}, ValueError("x")]
    )
    def test_never_fails(self, value):
        assert "value" in formatted(value=value)

    def test_never_fails_on_a_message(self):
        assert formatted("name \ud800")["message"].startswith("name ")


class TestConfigureLogging:
    def test_sends_one_json_line_a_record_to_stderr(self, capsys):
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        try:
            configure_logging("INFO")
            configure_logging("INFO")  # again: no line twice
            logging.getLogger("guichet").info("once")
            logging.getLogger("guichet").debug("not at this level")
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)
        lines = capsys.readouterr().err.splitlines()
        assert [json.loads(line)["message"] for line in lines] == ["once"]


class TestWhatADatabaseQuotes:
    """A driver's error holds the piece of the statement, or the row, that it is about: addresses, hashes."""

    @pytest.mark.parametrize(
        "quoted",
        [
            "LINE 1: insert into users values ('Ada', 'ada@example.org')\n                    ^",
            "DETAIL:  Key (lower(email))=(ada@example.org) already exists.",
            "DETAIL:  Failing row contains (7, Ada, ada@example.org, $argon2id$…).",
            'CONTEXT:  COPY users, line 1, column email: "ada@example.org"',
        ],
    )
    def test_is_left_out(self, quoted: str) -> None:
        error = f"duplicate key value violates a constraint\n{quoted}\nHINT:  Look again."
        try:
            raise ValueError(error)
        except ValueError:
            record = logging.makeLogRecord({"msg": "it failed", "error": error, "exc_info": sys.exc_info()})
        line = json.loads(JsonFormatter().format(record))
        for text in (line["error"], line["exception"]):
            assert "ada@example.org" not in text
            assert "violates a constraint\nHINT:  Look again." in text
