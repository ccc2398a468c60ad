"""The failed background tasks in Redis: RQ's failed registry of the queue `tasks`, read as JSON and never unpickled.

A result's traceback and a job's data are compressed by RQ; what they unpack to is bounded here.
"""

import base64
import binascii
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson
from redis.exceptions import RedisError

from shared.clock import parse_rfc3339, rfc3339, utc_now
from shared.line import keys
from shared.line.client import (
    AnswerUnknownError,
    Argument,
    LineUnavailableError,
    OutcomeUnknownError,
    ScriptRunner,
    text_of,
)
from shared.line.installation import Installation
from shared.line.pages import RegistryPlace, run_reading

Verdict = Literal["done", "absent", "not_failed"]

_FIELDS: Final = ("data", "ended_at")
_UNPACKED_BYTES_MAX: Final = 1024 * 1024
_ERROR_CHARACTERS_MAX: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTask:
    """A task that failed. `function` is what it runs, `error` the last line of the traceback, None where they cannot
    be read; `attempts` how often it ran, at most the ten that RQ remembers.
    """

    id: str
    function: str | None
    failed_at: str | None
    error: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class TaskPage:
    """A page of tasks, and where the next one begins: None on the last."""

    tasks: Sequence[FailedTask]
    next: RegistryPlace | None


def list_failed_tasks(runner: ScriptRunner, after: RegistryPlace | None, *, limit: int) -> TaskPage:
    """The next `limit` failed tasks, the newest first. Three round trips, whatever their number. Raises
    LineUnavailableError.
    """
    try:
        seconds, _ = runner.redis.time()
        arguments: list[Argument] = ["", ""] if after is None else [repr(after.score), after.id]
        arguments += [limit, limit, "", keys.JOB_PREFIX, int(seconds), *_FIELDS]
        entries, score, job_id, more, _ = run_reading(runner, "page_registry", keys.FAILED_TASKS, arguments)
        with runner.redis.pipeline(transaction=False) as pipe:
            for entry in entries:
                pipe.xrevrange(keys.RESULT_PREFIX.encode() + entry[0], count=1)
                pipe.xlen(keys.RESULT_PREFIX.encode() + entry[0])
            results = pipe.execute(raise_on_error=False)
    except (RedisError, OSError) as error:
        raise LineUnavailableError("The line did not answer.") from error
    tasks = [
        _failed_task(entry, latest, attempts)
        for entry, latest, attempts in zip(entries, results[::2], results[1::2], strict=True)
    ]
    return TaskPage(tasks, RegistryPlace(float(score), _shown(job_id)) if more == 1 else None)


def _failed_task(entry: Sequence[bytes | None], latest: Any, attempts: Any) -> FailedTask:  # noqa: ANN401 - replies
    job_id, _score, data, ended_at = entry
    fields = latest[0][1] if isinstance(latest, list) and latest else {}
    return FailedTask(
        id=_shown(job_id or b""),
        function=_function_in(data),
        failed_at=_instant(ended_at),
        error=_last_line(fields.get(b"exc_string")),
        attempts=max(attempts, 1) if isinstance(attempts, int) else 1,
    )


def _instant(text: bytes | None) -> str | None:
    """RQ's form of an instant in ours; None for what is none."""
    try:
        return None if text is None else rfc3339(parse_rfc3339(text.decode()))
    except ValueError:
        return None


def _function_in(data: bytes | None) -> str | None:
    """The name in RQ's (function, instance, args, kwargs), compressed or not."""
    try:
        call = orjson.loads(_unpack(data) or data or b"")
    except ValueError:
        return None
    named = isinstance(call, list) and call and isinstance(call[0], str)
    return call[0][:_ERROR_CHARACTERS_MAX] if named else None


def _last_line(encoded: bytes | None) -> str | None:
    try:
        traceback = _unpack(base64.b64decode(encoded or b""))
    except (binascii.Error, ValueError):
        return None
    lines = (traceback or b"").decode(errors="replace").strip().splitlines()
    return lines[-1].strip()[:_ERROR_CHARACTERS_MAX] if lines else None


def _unpack(packed: bytes | None) -> bytes | None:
    """What RQ compressed; None for what is nothing of the kind."""
    try:
        return zlib.decompressobj().decompress(packed or b"", _UNPACKED_BYTES_MAX)
    except zlib.error:
        return None


def _shown(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def retry_task(runner: ScriptRunner, installation: Installation, task_id: str) -> Verdict:
    """Puts a failed task back into its queue. One round trip. `absent` for what is no task, above all for booking
    requests, whose decision is final. Raises LineUnavailableError, and OutcomeUnknownError when it cannot be known
    whether it ran.
    """
    names = [keys.job(task_id), keys.FAILED_TASKS, keys.TASKS, keys.RQ_QUEUES, keys.INSTALLATION]
    arguments = [installation.mark, task_id, keys.TASK_QUEUE, rfc3339(utc_now())]
    return _change(runner, "retry_task", names, arguments)


def drop_task(runner: ScriptRunner, installation: Installation, task_id: str) -> Verdict:
    """Forgets a failed task. As `retry_task`."""
    names = [
        keys.job(task_id),
        keys.FAILED_TASKS,
        keys.result(task_id),
        keys.dependents(task_id),
        keys.INSTALLATION,
    ]
    return _change(runner, "drop_task", names, [installation.mark, task_id, keys.TASK_QUEUE])


def _change(
    runner: ScriptRunner, script: str, names: Sequence[str], arguments: Sequence[Argument]
) -> Verdict:
    try:
        reply = text_of(runner.run(script, names, arguments))
    except AnswerUnknownError as error:
        raise OutcomeUnknownError from error
    if reply == "foreign":
        raise LineUnavailableError("This Redis belongs to another installation.")
    return "done" if reply == "done" else "not_failed" if reply == "not_failed" else "absent"
