"""Structured logs: one JSON object a line on stderr, with the request's, the job's and the run's id where known."""

import json
import logging
import re
import sys
from contextvars import ContextVar

import orjson

from shared.clock import from_micros, rfc3339

request_id_var: ContextVar[str | None] = ContextVar("request_id", default=None)
run_id_var: ContextVar[str | None] = ContextVar("run_id", default=None)  # one turn of one schedule entry

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

# What PostgreSQL adds to an error: the piece of the statement, or the row, that it is about, with the values in it.
_QUOTES = re.compile(r"\n(?:LINE \d+: .*(?:\n *\^.*)?|DETAIL: .*|CONTEXT: .*)")


class JsonFormatter(logging.Formatter):
    """Formats a record and its `extra=` fields as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object; the exception, when there is one, as text in `exception`."""
        line: dict[str, object] = {
            "at": rfc3339(from_micros(int(record.created * 1_000_000))),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := request_id_var.get():
            line["request_id"] = request_id
        if run_id := run_id_var.get():
            line["run_id"] = run_id
        line.update(
            (key, _without_quotes(value)) for key, value in record.__dict__.items() if key not in _STANDARD
        )
        if record.exc_info:
            line["exception"] = _without_quotes(self.formatException(record.exc_info))
        try:
            return orjson.dumps(line, default=str).decode()
        except (
            TypeError
        ):  # huge integers, lone surrogates, keys that are no strings: rare, and never a lost line
            return json.dumps(line, default=str, skipkeys=True)


def _without_quotes(value: object) -> object:
    """A text without what a database error quotes; anything else as it is."""
    return _QUOTES.sub("", value) if isinstance(value, str) and "\n" in value else value


def configure_logging(level: str) -> None:
    """Sends everything of this process to stderr as JSON lines; replaces earlier handlers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
