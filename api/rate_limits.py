"""How much one client may ask for: the tiers, whose requests count together, and the headers that say so.

Verdicts come from this process' memory. A thread tells the other processes once a second what was used here, so a
limit holds over all of them but for a second's requests (docs/adr/0014-rate-limits-in-memory.md). The booking
tier is the accept script's: here it has only its headers, and what never comes to the script.
"""

import logging
import math
import threading
import time
from http import HTTPStatus
from typing import Final

from flask import request
from redis import Redis
from redis.exceptions import RedisError

from api.auth import identify
from api.client_address import client_network
from api.exchange import Exchange, current_exchange
from api.token_buckets import BUCKETS_MAX, Quota, TokenBuckets
from shared.errors import GuichetError, RefusedError, UnavailableError
from shared.line.rates import RateExchange
from shared.services.line_gate import LineGate
from shared.settings import Settings

log = logging.getLogger(__name__)

EXCHANGE_SECONDS: Final = 1.0

# Views that must answer whatever happens, and those that the accept script limits.
UNLIMITED: Final = frozenset({"health.alive", "health.ready", "metrics.metrics"})
BOOKINGS: Final = frozenset(
    {"bookings.book", "bookings.book_event", "bookings.register", "waitlist.join_waitlist"}
)
POLLS: Final = frozenset({"requests.poll", "requests.stream"})
EXPORTS: Final = frozenset({"account_export.export", "event_bookings.attendees_csv"})
# What a booking gets that does not come to the script: a bad header or body, no token. An outage is nobody's doing.
_STRAY: Final = frozenset({400, 401, 404, 413, 415, 422})


class RateLimits:
    """One process' buckets, and the thread that exchanges counts with the other processes."""

    def __init__(self, settings: Settings, redis: "Redis", gate: LineGate) -> None:
        self.general = TokenBuckets(Quota("general", settings.general_rate_per_minute, 60), shared=True)
        self.login = TokenBuckets(Quota("login", settings.login_rate_per_minute, 60), shared=True)
        self.export = TokenBuckets(Quota("export", settings.export_rate_per_hour, 3600), shared=True)
        # Not shared: a second of polls is over before the others could hear of it.
        self.poll = TokenBuckets(Quota("poll", settings.poll_rate_per_second, 1), shared=False)
        refill_seconds = settings.booking_rate_burst / settings.booking_rate_per_second
        self.booking = Quota("booking", settings.booking_rate_burst, max(1, round(refill_seconds)))
        # Whose bucket is empty by stray bookings, until when. Empty but for attacks: a booking looks only here.
        self._owing: dict[str, float] = {}
        self._shared = {buckets.quota.name: buckets for buckets in (self.general, self.login, self.export)}
        self._gate = gate
        self._exchange = RateExchange(redis)
        self._failing = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def check(self) -> None:
        """Before each request: raises RefusedError `rate_limited` when its client has used up its quota. No I/O."""
        endpoint, exchange = request.endpoint, current_exchange()
        if endpoint in BOOKINGS:
            self.check_booking(exchange)
            return
        if endpoint in UNLIMITED or request.method == "OPTIONS":  # what a browser asks first says nothing
            return
        if endpoint in POLLS:
            self.check_poll(exchange)
            return
        if endpoint in EXPORTS:
            buckets, client = self.export, client_key(exchange)
        elif request.method == "POST" and (request.path.startswith("/api/auth/") or request.path == "/login"):
            buckets, client = self.login, address_key(exchange)  # who signs in is nobody yet
        else:
            buckets, client = self.general, client_key(exchange)
        _take(exchange, buckets, client)

    def check_booking(self, exchange: Exchange) -> None:
        """Before a booking: raises RefusedError `rate_limited` for who owes. The script does the rest."""
        if self._owing:
            self._refuse_owing(exchange)

    def check_poll(self, exchange: Exchange) -> None:
        """Before a poll or a stream: raises as `check`."""
        _take(exchange, self.poll, client_key(exchange))

    def charge_stray(self, exchange: Exchange, endpoint: str | None, status: int) -> None:
        """After an answer that is an error: a booking request that the line has not judged counts in the general
        tier, though it was not asked before. Whoever has used that up by them waits with bookings too.

        `exchange.judged` is what api/line_requests.py knows of it: False also for an event that PostgreSQL had to be
        asked for in vain.
        """
        if endpoint not in BOOKINGS:
            return
        if exchange.judged or (exchange.judged is None and status not in _STRAY):
            return
        client, now = _debtor(exchange, status), time.monotonic()
        seconds = self.general.charge(client, now)
        if seconds > 0 and (client in self._owing or len(self._owing) < BUCKETS_MAX):
            self._owing[client] = now + seconds

    def booking_refused(self, exchange: Exchange, retry_after_seconds: int) -> None:
        """What the answer to this request says about the booking tier, which the accept script has judged."""
        exchange.answer_headers += self.booking.headers(0, retry_after_seconds)

    def start(self) -> None:
        """Starts to exchange counts; after the fork."""
        self._thread = threading.Thread(target=self._run, name="rate-limits", daemon=True)
        self._thread.start()

    def run_once(self) -> None:
        """Tells the others what was used here and hears what was used there. At most two round trips.

        With Redis away each process limits alone, by what it knows.
        """
        now = time.monotonic()
        for client, until in [*self._owing.items()]:
            if until <= now:
                self._owing.pop(client, None)
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

    def _refuse_owing(self, exchange: Exchange) -> None:
        """Raises RefusedError `rate_limited` for who owes: the user or the log-in, or else the address."""
        try:
            clients: tuple[str, ...] = identify(exchange).subjects
        except GuichetError:
            clients = (address_key(exchange),)
        now = time.monotonic()
        for client in clients:
            until = self._owing.get(client)
            if until is None:
                continue
            if until <= now:
                self._owing.pop(client, None)
                continue
            seconds, quota = math.ceil(until - now), self.general.quota
            exchange.answer_headers += quota.headers(0, seconds)
            raise RefusedError("rate_limited", retry_after_seconds=seconds, policy=quota.name)

    def _run(self) -> None:
        while not self._stopping.wait(EXCHANGE_SECONDS):
            try:
                self.run_once()
            except Exception:
                log.exception("rate limits could not be exchanged")


def _take(exchange: Exchange, buckets: TokenBuckets, client: str) -> None:
    verdict, quota = buckets.take(client, time.monotonic()), buckets.quota
    exchange.answer_headers += quota.headers(verdict.remaining, verdict.seconds)
    if not verdict.allowed:
        raise RefusedError("rate_limited", retry_after_seconds=verdict.seconds, policy=quota.name)


def client_key(exchange: Exchange) -> str:
    """Whose request this is: the user's with a valid token, which is not asked for here, else the address'."""
    if "HTTP_AUTHORIZATION" in exchange.environ:
        try:
            return f"user:{identify(exchange).user_id}"
        except GuichetError:
            pass
    return address_key(exchange)


def _debtor(exchange: Exchange, status: int) -> str:
    """Who pays for a stray booking. For a token that was revoked its log-in, not its user: somebody else may
    have found it.
    """
    try:
        family, user = identify(exchange).subjects
    except GuichetError:
        return address_key(exchange)
    return family if status == HTTPStatus.UNAUTHORIZED else user


def address_key(exchange: Exchange) -> str:
    """The client's address, or its network; one key for everybody who has none."""
    return f"address:{client_network(exchange.environ)}"
