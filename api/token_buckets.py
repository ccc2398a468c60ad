"""Token buckets in this process' memory: what each client may still ask for.

A full bucket says nothing that an absent one does not, so the least recently used are dropped when there are too
many: memory is bounded, and nobody who keeps asking is forgotten.
"""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

# 10,000 buckets are about 3 MB; what was not used for so many clients' time is full again in all likelihood.
BUCKETS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Quota:
    """So many requests at once, and as many again in `seconds`."""

    name: str
    requests: int
    seconds: int

    def headers(self, remaining: int, seconds: int) -> list[tuple[str, str]]:
        """The quota, what is left of it, and in how many seconds there is more, as
        draft-ietf-httpapi-ratelimit-headers-10 says it.
        """
        return [
            ("RateLimit-Policy", f'"{self.name}";q={self.requests};w={self.seconds}'),
            ("RateLimit", f'"{self.name}";r={remaining};t={seconds}'),
        ]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass; how many more could now; seconds until the bucket is full, or, for who may
    not pass, until the next one may.
    """

    allowed: bool
    remaining: int
    seconds: int


class TokenBuckets:
    """One quota's buckets by client, at most `capacity` of them.

    With `shared`, what was taken is kept until `collect`, for other processes; `spend` takes what was used there.
    `now` is a monotonic clock's, in seconds.
    """

    def __init__(self, quota: Quota, *, shared: bool, capacity: int = BUCKETS_MAX) -> None:
        self.quota = quota
        self._shared, self._capacity = shared, capacity
        self._per_second = quota.requests / quota.seconds
        # client → (tokens, when); the last used is the last
        self._buckets: dict[str, tuple[float, float]] = {}
        self._taken: dict[str, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._buckets)

    def charge(self, client: str, now: float) -> float:
        """Takes one token whether it is there or not, for what was not asked about before; seconds until there is
        one again, 0 when there is. A debt is of one full bucket at most.
        """
        with self._lock:
            tokens = max(self._refilled(client, now) - 1, -self.quota.requests)
            self._put(client, tokens, now)
            self._note(client)
        return max(0.0, (1 - tokens) / self._per_second)

    def take(self, client: str, now: float) -> Verdict:
        """One token, if there is one. What is refused costs nothing."""
        with self._lock:
            tokens = self._refilled(client, now)
            allowed = tokens >= 1
            if allowed:
                tokens -= 1
                self._note(client)
            self._put(client, tokens, now)
        missing = self.quota.requests - tokens if allowed else 1 - tokens
        return Verdict(allowed, max(0, int(tokens)), math.ceil(missing / self._per_second))

    def spend(self, used: Mapping[str, int], now: float) -> None:
        """Takes what other processes' clients used, whether it was there or not: what several processes allowed
        at once is a debt, of one full bucket at most.
        """
        with self._lock:
            for client, count in used.items():
                tokens = self._refilled(client, now) - count
                self._put(client, max(tokens, -self.quota.requests), now)

    def collect(self) -> dict[str, int]:
        """What was taken here since the last call, by client."""
        with self._lock:
            taken, self._taken = self._taken, {}
        return taken

    def _note(self, client: str) -> None:
        if self._shared and (client in self._taken or len(self._taken) < self._capacity):
            self._taken[client] = self._taken.get(client, 0) + 1

    def _refilled(self, client: str, now: float) -> float:
        tokens, at = self._buckets.pop(client, (self.quota.requests, now))
        return min(self.quota.requests, tokens + max(0.0, now - at) * self._per_second)

    def _put(self, client: str, tokens: float, now: float) -> None:
        if len(self._buckets) >= self._capacity:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[client] = (tokens, now)
