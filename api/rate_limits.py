"""How much one client may ask for: the tiers, whose requests count together, and the headers that say so.

Verdicts come from this process' memory. A thread tells the other processes once a second what was used here, so a
limit holds over all of them but for a second's requests (docs/adr/0014-rate-limits-in-memory.md). The booking
tier is the accept script's: here it has only its headers.
"""

import ipaddress
import logging
import threading
import time
from functools import lru_cache
from typing import Final

from flask import g, request
from redis import Redis
from redis.exceptions import RedisError

from api.auth import current_identity
from api.token_buckets import Quota, TokenBuckets
from shared.errors import GuichetError, RefusedError, UnavailableError
from shared.line.rates import RateExchange
from shared.services.line_gate import LineGate
from shared.settings import Settings

log = logging.getLogger(__name__)

EXCHANGE_SECONDS: Final = 1.0

# Views that the accept script limits, and those that must answer whatever happens.
UNLIMITED: Final = frozenset(
    {
        "bookings.book",
        "bookings.book_event",
        "bookings.register",
        "health.alive",
        "health.ready",
        "metrics.metrics",
    }
)
POLLS: Final = frozenset({"requests.poll", "requests.stream"})
_IPV6_PREFIX: Final = 64  # what one customer of a provider has at the least


class RateLimits:
    """One process' buckets, and the thread that exchanges counts with the other processes."""

    def __init__(self, settings: Settings, redis: "Redis", gate: LineGate) -> None:
        self.general = TokenBuckets(Quota("general", settings.general_rate_per_minute, 60), shared=True)
        self.login = TokenBuckets(Quota("login", settings.login_rate_per_minute, 60), shared=True)
        # Not shared: a second of polls is over before the others could hear of it.
        self.poll = TokenBuckets(Quota("poll", settings.poll_rate_per_second, 1), shared=False)
        refill_seconds = settings.booking_rate_burst / settings.booking_rate_per_second
        self.booking = Quota("booking", settings.booking_rate_burst, max(1, round(refill_seconds)))
        self._shared = {buckets.quota.name: buckets for buckets in (self.general, self.login)}
        self._gate = gate
        self._exchange = RateExchange(redis)
        self._failing = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def check(self) -> None:
        """Before each request: raises RefusedError `rate_limited` when its client has used up its quota. No I/O."""
        endpoint = request.endpoint
        if endpoint in UNLIMITED or request.method == "OPTIONS":  # what a browser asks first says nothing
            return
        if endpoint in POLLS:
            buckets, client = self.poll, client_key()
        elif request.method == "POST" and (request.path.startswith("/api/auth/") or request.path == "/login"):
            buckets, client = self.login, address_key()  # who signs in is nobody yet
        else:
            buckets, client = self.general, client_key()
        verdict = buckets.take(client, time.monotonic())
        quota = buckets.quota
        g.answer_headers += quota.headers(verdict.remaining, verdict.seconds)
        if not verdict.allowed:
            raise RefusedError("rate_limited", retry_after_seconds=verdict.seconds, policy=quota.name)

    def booking_refused(self, retry_after_seconds: int) -> None:
        """What the answer to this request says about the booking tier, which the accept script has judged."""
        g.answer_headers += self.booking.headers(0, retry_after_seconds)

    def start(self) -> None:
        """Starts to exchange counts; after the fork."""
        self._thread = threading.Thread(target=self._run, name="rate-limits", daemon=True)
        self._thread.start()

    def run_once(self) -> None:
        """Tells the others what was used here and hears what was used there. At most two round trips.

        With Redis away each process limits alone, by what it knows.
        """
        used = {name: taken for name, buckets in self._shared.items() if (taken := buckets.collect())}
        try:
            installation_id = self._gate.installation().id
            for told in self._exchange.hear(installation_id):
                for name, clients in told.items():
                    if name in self._shared:
                        self._shared[name].spend(clients, time.monotonic())
            if used:
                self._exchange.tell(installation_id, used)
        except (RedisError, OSError, UnavailableError) as error:
            self._exchange.forget()
            if not self._failing:
                log.warning("rate limits hold for each process alone", extra={"reason": str(error)})
            self._failing = True
        else:
            self._failing = False

    def close(self) -> None:
        """Ends the thread and its connections."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._exchange.close()

    def _run(self) -> None:
        while not self._stopping.wait(EXCHANGE_SECONDS):
            try:
                self.run_once()
            except Exception:
                log.exception("rate limits could not be exchanged")


def client_key() -> str:
    """Whose request this is: the user's with a valid token, which is not asked for here, else the address'."""
    if "Authorization" in request.headers:
        try:
            return f"user:{current_identity().user_id}"
        except GuichetError:
            pass
    return address_key()


def address_key() -> str:
    """The client's address; behind proxies ProxyFix has put it right."""
    return _address_key(request.remote_addr or "unknown")


@lru_cache(maxsize=4096)
def _address_key(text: str) -> str:
    """An IPv6 customer has 2**64 addresses or more: the network counts."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return f"address:{text}"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            network = ipaddress.ip_network((int(address), _IPV6_PREFIX), strict=False)
            return f"address:{network}"
        address = address.ipv4_mapped
    return f"address:{address}"
