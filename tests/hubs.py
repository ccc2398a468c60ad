"""A hub of people who wait, whose reader is answered by a test instead of the line and the ledger."""

import base64
import uuid
from collections.abc import Sequence

import orjson

from shared.errors import UnavailableError
from shared.line import keys
from shared.line.messages import read_message
from shared.line.status import Question, Subjects
from shared.services.requests import RequestStatus

RESULT = {"outcome": "confirmed", "arrival": 7, "booking": None}
MINE, OTHERS = ("family:1", "user:1"), ("family:2", "user:2")


class Ledger:
    """What the hub's reader is answered, and what it asked."""

    def __init__(self) -> None:
        self.looks: list[list[Question]] = []
        self.decided: set[uuid.UUID] = set()
        self.asked_revoked: list[list[Subjects]] = []
        self.revoked: set[Subjects] = set()
        self.is_away = False

    def look_up(self, asked: Sequence[Question]) -> list[RequestStatus]:
        self.looks.append(list(asked))
        return [status_of(job_id, decided=job_id in self.decided) for job_id, _ in asked]

    def find_revoked(self, asked: Sequence[Subjects]) -> list[int]:
        if self.is_away:
            raise UnavailableError("line_unavailable")
        self.asked_revoked.append(list(asked))
        return [place for place, subjects in enumerate(asked) if subjects in self.revoked]


def status_of(job_id: uuid.UUID, *, decided: bool, position: int = 1) -> RequestStatus:
    return RequestStatus(
        job_id=job_id,
        kind="book",
        event_id=1,
        user_id=1,
        tickets=1,
        arrival=1,
        accepted_at="2026-01-01T00:00:00.000000Z",
        position=None if decided else position,
        result={"outcome": "confirmed"} if decided else None,
    )


def named(*jobs: uuid.UUID) -> dict[bytes, bytes]:
    """What a message of a worker of the release before says."""
    return read_message(",".join(map(str, jobs)).encode())


def message_of(*jobs: uuid.UUID) -> bytes:
    result = base64.b64encode(orjson.dumps(RESULT))
    return b",".join(part for job in jobs for part in (str(job).encode(), result))


def subscribers(redis_client) -> int:
    return redis_client.pubsub_numsub(keys.DECIDED_CHANNEL)[0][1]


def asked_of(ledger: Ledger) -> list[uuid.UUID]:
    return [job_id for asked in ledger.looks for job_id, _ in asked]
