"""What each client used, told to the other API processes over Redis' pub/sub, once a second.

A message is no key: it is not written to the AOF, waits for no fsync, passes when Redis is full, and is gone when
everybody has heard it. A lost one costs a second of one process' counts.
"""

import secrets
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson
from redis import Redis
from redis.client import PubSub

from shared.line import keys

# Between two turns every other process says something once; more than this is not from us.
_MESSAGES_MAX: Final = 1_000

Used = Mapping[str, Mapping[str, int]]  # quota → client → requests


class RateExchange:
    """One process' end. Not for two threads at once; raises RedisError and OSError, and starts anew after it."""

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._sender = secrets.token_hex(8)
        self._pubsub: PubSub | None = None

    def tell(self, installation_id: uuid.UUID, used: Used) -> None:
        """Tells all others. One round trip."""
        self._redis.publish(keys.rates(str(installation_id)), orjson.dumps([self._sender, used]))

    def hear(self, installation_id: uuid.UUID) -> Iterator[Used]:
        """What others have told since the last call, the first of which subscribes. Waits for nothing."""
        if self._pubsub is None:
            self._pubsub = self._redis.pubsub()
            self._pubsub.subscribe(keys.rates(str(installation_id)))
        for _ in range(_MESSAGES_MAX):
            message = self._pubsub.get_message(timeout=0)
            if message is None:
                return
            if message["type"] == "message" and (used := self._used(message["data"])) is not None:
                yield used

    def forget(self) -> None:
        """Ends the subscription; the next call subscribes again."""
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            pubsub.close()

    def close(self) -> None:
        """Ends the subscription and the connections."""
        self.forget()
        self._redis.connection_pool.disconnect()

    def _used(self, data: bytes) -> Used | None:
        """Another process' counts; None for our own, and for what a version that we do not know says."""
        try:
            sender, told = orjson.loads(data)
        except (ValueError, TypeError):
            return None
        if sender == self._sender or not isinstance(told, dict):
            return None
        return {str(quota): _counts(clients) for quota, clients in told.items()}


def _counts(clients: Any) -> dict[str, int]:  # noqa: ANN401 - JSON
    if not isinstance(clients, dict):
        return {}
    return {client: count for client, count in clients.items() if isinstance(count, int) and count > 0}
