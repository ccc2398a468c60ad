"""Brings requests to the accept script on a real Redis, without an API or a database."""

import hashlib
import uuid
from pathlib import Path
from typing import Any

from redis import Redis

from shared.ids import uuid7
from shared.line import accept
from shared.line.accept import Answer, NewRequest
from shared.line.client import ScriptRunner, make_redis
from shared.line.doors import OPEN_DOOR, Door
from shared.line.installation import Installation, initialise
from tests.conftest import make_settings

FAMILY = "family:5f0c8a52-8b0e-4f4e-a6f2-0d4b5c3c9c11"


class Doorkeeper:
    """The API's side of the line: the script, a Redis of this installation, settings of the test's own."""

    def __init__(self, redis_url: str, **settings: Any) -> None:
        self.settings = make_settings("", redis_url, Path(), **settings)
        self.redis: Redis = make_redis(redis_url, socket_timeout=self.settings.redis_timeout_seconds)
        self.runner = ScriptRunner(self.redis)
        self.installation = Installation(uuid.uuid4(), self.settings.partitions)

    def initialise(self) -> None:
        """Makes the empty Redis this installation's."""
        assert initialise(self.redis, self.installation, {})

    def accept(self, request: NewRequest, door: Door = OPEN_DOOR) -> Answer | None:
        """What the line says."""
        return accept.send(self.runner, self.settings, self.installation, request, door)

    def now_us(self) -> int:
        """Redis' clock, which every door reads."""
        seconds, micros = self.redis.time()
        return int(seconds) * 1_000_000 + int(micros)

    def everything(self) -> dict[bytes, bytes]:
        """Every key with its value, to see that nothing was written."""
        return {key: self.redis.dump(key) for key in sorted(self.redis.scan_iter(count=1000))}

    def close(self) -> None:
        """Closes the connections."""
        self.redis.close()


def book(
    event_id: int = 3, user_id: int | None = 7, *, key: str = "", what: str = "1", **fields: Any
) -> NewRequest:
    """A `book` request; with `key` it carries that Idempotency-Key, with `what` as what was asked."""
    defaults: dict[str, Any] = {
        "job_id": uuid7(),
        "kind": "book",
        "tickets": 1,
        "subjects": (FAMILY, f"user:{user_id}"),
        "key_hash": hashlib.sha256(key.encode()).hexdigest() if key else "",
        "fingerprint": hashlib.sha256(what.encode()).hexdigest() if key else "",
    }
    return NewRequest(event_id=event_id, user_id=user_id, **{**defaults, **fields})


def cancel(event_id: int = 3, user_id: int | None = 7, **fields: Any) -> NewRequest:
    """A `cancel` request."""
    return book(event_id, user_id, kind="cancel", tickets=None, booking_id=uuid7(), **fields)
