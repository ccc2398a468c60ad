"""Which installation a Redis belongs to: a line must never be served against another's database."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from redis import Redis

from shared.domain.partitions import queue_name
from shared.line import keys
from shared.line.client import text_of


@dataclass(frozen=True, slots=True)
class Installation:
    """What PostgreSQL's `line_state` says this installation is."""

    id: uuid.UUID
    partitions: int

    @property
    def mark(self) -> str:
        """What stands in Redis under `keys.INSTALLATION`."""
        return f"{self.id}:{self.partitions}"


def is_empty(redis: "Redis") -> bool:
    """Whether this Redis is nobody's: new, or it has lost its data. One round trip."""
    return not redis.exists(keys.INSTALLATION)


def initialise(redis: "Redis", installation: Installation, revoked: Mapping[str, datetime]) -> bool:
    """Makes an empty Redis this installation's; False when it is another's. One round trip, one transaction more
    when it is empty: a Redis that is full must still let workers start, or it would never drain.

    The revocations go in before the mark, so that no script ever sees the one without the other.
    """
    present = redis.get(keys.INSTALLATION)
    if present is not None:
        return text_of(present) == installation.mark
    now = datetime.now(UTC)
    with redis.pipeline(transaction=True) as pipe:
        _put_revocations(pipe, revoked, now)
        pipe.sadd(keys.RQ_QUEUES, *(f"rq:queue:{queue_name(p)}" for p in range(installation.partitions)))
        pipe.set(keys.INSTALLATION, installation.mark, nx=True)
        pipe.get(keys.INSTALLATION)
        found = pipe.execute()[-1]
    return bool(found == installation.mark.encode())


def put_revocations(redis: "Redis", revoked: Mapping[str, datetime]) -> None:
    """Tells the line which subjects' tokens no longer count, each until the instant given. One round trip."""
    if not revoked:
        return
    with redis.pipeline(transaction=False) as pipe:
        _put_revocations(pipe, revoked, datetime.now(UTC))
        pipe.execute()


def _put_revocations(pipe: "Redis", revoked: Mapping[str, datetime], now: datetime) -> None:
    for subject, expires_at in revoked.items():
        seconds = int((expires_at - now).total_seconds()) + 1
        if seconds > 0:
            pipe.set(keys.revoked(subject), "1", ex=seconds)
