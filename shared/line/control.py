"""Marks beside the line: leaving it."""

import uuid

from shared.line import keys
from shared.line.client import AnswerUnknownError, LineUnavailableError, OutcomeUnknownError, ScriptRunner


def mark_withdrawn(runner: ScriptRunner, job_id: uuid.UUID) -> str:
    """Puts the withdraw mark on a waiting job: `marked`, `too_late` (taken or decided) or `absent`.

    One round trip; safe to repeat, so it is sent again when no answer came. Raises LineUnavailableError when it was
    not sent, OutcomeUnknownError when an answer to neither came: the mark may have been set.
    """
    try:
        return _send(runner, job_id)
    except AnswerUnknownError:
        pass
    try:
        return _send(runner, job_id)
    except (AnswerUnknownError, LineUnavailableError) as error:
        raise OutcomeUnknownError from error


def _send(runner: ScriptRunner, job_id: uuid.UUID) -> str:
    reply: bytes = runner.run("withdraw", [keys.job(str(job_id))], [])
    return reply.decode()
