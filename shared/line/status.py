"""One job as the line knows it: its place while it waits, its result once it is decided."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shared.clock import parse_rfc3339, rfc3339
from shared.domain.requests import decode_payload
from shared.ids import BIGINT_MAX
from shared.line import keys
from shared.line.client import AnswerUnknownError, LineUnavailableError, ScriptRunner, text_of
from shared.line.installation import Installation
from shared.line.messages import read_result

_NOBODY: Final = ("", "")


@dataclass(slots=True, kw_only=True)  # not frozen, for the microseconds; nobody changes one
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


# What a revocation may name to end somebody's token.
Subjects = tuple[str, str]
# Whose job it is asked for, and whose token that is; None: whoever asks has shown another.
Question = tuple[uuid.UUID, Subjects | None]


def find_jobs(
    runner: ScriptRunner, installation: Installation, asked: Sequence[Question]
) -> list[LineJob | str] | str:
    """Each job, or why there is none: `absent`, `revoked`; or `uninitialised` instead of all answers. One round trip,
    in which Redis does nothing else: some 20 µs a job.

    Raises LineUnavailableError when Redis does not answer or belongs to another installation.
    """
    names = [keys.INSTALLATION]
    for job_id, subjects in asked:
        text = str(job_id)
        revoked = _NOBODY if subjects is None else (keys.revoked(subjects[0]), keys.revoked(subjects[1]))
        names += (*revoked, keys.job(text), keys.result(text))
    answers = _ask(runner, "status", names, [installation.mark, keys.LINE_PREFIX])
    if answers is None:
        return "uninitialised"
    return [_line_job(job_id, answer) for (job_id, _), answer in zip(asked, answers, strict=True)]


def find_revoked(
    runner: ScriptRunner, installation: Installation, asked: Sequence[Subjects]
) -> list[int] | str:
    """Whose tokens are revoked, as places in `asked`; or `uninitialised`. One round trip: half a microsecond of Redis
    for each who asks.

    Raises LineUnavailableError as `find_jobs` does.
    """
    names = [keys.INSTALLATION]
    for family, user in asked:
        names += (keys.revoked(family), keys.revoked(user))
    answers = _ask(runner, "revoked", names, [installation.mark])
    return "uninitialised" if answers is None else answers


def _ask(
    runner: ScriptRunner, script: str, names: Sequence[str], arguments: Sequence[str]
) -> list[Any] | None:
    """What a script that only reads answers; None when Redis has lost its data."""
    try:
        reply = runner.run(script, names, arguments)
    except AnswerUnknownError as error:
        raise LineUnavailableError("The line did not answer.") from error
    if reply[0] == b"foreign":
        raise LineUnavailableError("This Redis belongs to another installation.")
    return None if reply[0] == b"uninitialised" else reply[1:]


def find_job(
    runner: ScriptRunner,
    installation: Installation,
    job_id: uuid.UUID,
    subjects: tuple[str, str] | None = None,
) -> LineJob | str:
    """One job, as `find_jobs` gives it, or `uninitialised`."""
    found = find_jobs(runner, installation, [(job_id, subjects)])
    return found if isinstance(found, str) else found[0]


def _line_job(job_id: uuid.UUID, reply: list[bytes]) -> LineJob | str:
    """What is unreadable, whoever damaged it, is a job that the line does not know."""
    if reply[0] != b"found":
        return reply[0].decode()
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
            result=None if undecided else read_result(result),
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
        return int(runner.run("forget_ghosts", [keys.undecided_by_user(user_id)], [keys.JOB_PREFIX, user_id]))
    except AnswerUnknownError as error:
        raise LineUnavailableError("The line did not answer.") from error


def list_undecided_of_user(runner: ScriptRunner, user_id: int) -> list[uuid.UUID]:
    """Ids of a user's undecided jobs, newest first. One round trip; bounded by the user's limit."""
    try:
        with runner.redis.pipeline(transaction=False) as pipe:
            pipe.zrangebyscore(keys.undecided_by_user(user_id), user_id, user_id)
            pipe.smembers(keys.undecided_of_user_before(user_id))
            counted, counted_before = pipe.execute()
    except Exception as error:
        raise LineUnavailableError("The line did not answer.") from error
    return sorted((uuid.UUID(text_of(member)) for member in {*counted, *counted_before}), reverse=True)
