"""One job as the line knows it: its place while it waits, its result once it is decided."""

import base64
import uuid
from dataclasses import dataclass
from typing import Any

import orjson

from shared.clock import parse_rfc3339, rfc3339
from shared.domain.requests import decode_payload
from shared.ids import BIGINT_MAX
from shared.line import keys
from shared.line.client import AnswerUnknownError, LineUnavailableError, ScriptRunner, text_of
from shared.line.installation import Installation


@dataclass(frozen=True, slots=True, kw_only=True)
class LineJob:
    """A job's fields. `result` is what the worker replied, None while undecided; `position` 1 = next. `is_taken`: a
    worker has it in hand, and has not replied yet.
    """

    job_id: uuid.UUID
    payload: dict[str, Any]
    accepted_at: str
    arrival: int
    withdrawn: bool
    position: int | None
    ahead: int | None
    rate: float | None
    result: dict[str, Any] | None
    is_taken: bool = False


def find_job(
    runner: ScriptRunner,
    installation: Installation,
    job_id: uuid.UUID,
    subjects: tuple[str, str] | None = None,
) -> LineJob | str:
    """The job, or why there is none: `absent`, `uninitialised`, `revoked` (of `subjects`). One round trip.

    Raises LineUnavailableError when Redis does not answer or belongs to another installation.
    """
    revoked = ("", "") if subjects is None else (keys.revoked(subjects[0]), keys.revoked(subjects[1]))
    try:
        reply = runner.run(
            "status",
            [keys.INSTALLATION, *revoked, keys.job(str(job_id)), keys.result(str(job_id))],
            [installation.mark, keys.LINE_PREFIX],
        )
    except AnswerUnknownError as error:
        raise LineUnavailableError("The line did not answer.") from error
    if reply[0] == b"foreign":
        raise LineUnavailableError("This Redis belongs to another installation.")
    if reply[0] != b"found":
        return str(reply[0].decode())
    return _line_job(job_id, reply)


def _line_job(job_id: uuid.UUID, reply: list[bytes]) -> LineJob | str:
    """What is unreadable, whoever damaged it, is a job that the line does not know."""
    _, status, data, accepted_at, arrival, withdrawn, result = reply[:7]
    undecided = status in (b"queued", b"started")
    if not undecided and not result:
        return "absent"  # decided, but its result has gone: the ledger knows
    try:
        return LineJob(
            job_id=job_id,
            payload=decode_payload(data),
            accepted_at=rfc3339(parse_rfc3339(accepted_at.decode())),
            arrival=_number(arrival),
            withdrawn=withdrawn == b"1",
            position=_number(reply[7]) if undecided else None,
            ahead=_number(reply[8]) if undecided else None,
            rate=float(reply[9]) if undecided and reply[9] else None,
            result=None if undecided else orjson.loads(base64.b64decode(result)),
            is_taken=status == b"started",
        )
    except ValueError:
        return "absent"


def _number(text: bytes) -> int:
    number = int(text)
    if abs(number) > BIGINT_MAX:
        raise ValueError("no number of the line is that great")
    return number


def forget_ghosts(runner: ScriptRunner, user_id: int) -> int:
    """Uncounts a user's jobs that are in no line any more; returns how many. One round trip."""
    try:
        return int(runner.run("forget_ghosts", [keys.undecided_of_user(user_id)], [keys.JOB_PREFIX]))
    except AnswerUnknownError as error:
        raise LineUnavailableError("The line did not answer.") from error


def list_undecided_of_user(runner: ScriptRunner, user_id: int) -> list[uuid.UUID]:
    """Ids of a user's undecided jobs, newest first. One round trip; bounded by the user's limit."""
    try:
        members = runner.redis.smembers(keys.undecided_of_user(user_id))
    except Exception as error:
        raise LineUnavailableError("The line did not answer.") from error
    return sorted((uuid.UUID(text_of(member)) for member in members), reverse=True)
