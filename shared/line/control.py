"""Marks beside the line: leaving it."""

import uuid

from shared.line import keys
from shared.line.client import AnswerUnknownError, LineUnavailableError, ScriptRunner


def mark_withdrawn(runner: ScriptRunner, job_id: uuid.UUID) -> str:
    """Puts the withdraw mark on a waiting job: `marked`, `too_late` (taken or decided) or `absent`.

    One round trip; safe to repeat, so it is sent again when no answer came.
    """
    for _ in range(2):
        try:
            reply: bytes = runner.run("withdraw", [keys.job(str(job_id))], [])
        except AnswerUnknownError:
            continue
        return reply.decode()
    raise LineUnavailableError("The line did not answer.")
