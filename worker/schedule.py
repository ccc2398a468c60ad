"""What is due again and again. Each entry is safe to run twice; one runner at a time does it."""

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from shared.db import transaction
from shared.errors import UnavailableError
from shared.line import keys
from shared.logs import run_id_var
from shared.services import accounts, analytics, control_requests, offers, outbox
from shared.services.announcements import announce_open_sales, warn_of_expiring_offers
from shared.services.ledger_watch import watch_ledger
from shared.services.line import LineClient
from shared.settings import Settings
from shared.store.event_archive import archive_events
from shared.store.line_state import list_revocations

log = logging.getLogger(__name__)

TASK_QUEUE: Final = "tasks"
TICK_SECONDS: Final = 0.5
# A transaction each, so that no event is locked for long; what is left over has its turn a minute later.
ARCHIVE_SLICE: Final = 500
ARCHIVE_SLICES_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """Something due every `seconds`."""

    name: str
    seconds: float
    run: Callable[[], object]


class Schedule:
    """Runs short entries itself and puts long ones into the task queue."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        line: LineClient,
        redis: "Redis",
        *,
        handlers: Sequence[outbox.Handler],
    ) -> None:
        self._settings, self._engine, self._line, self._redis = settings, engine, line, redis
        self._handlers = handlers
        self._queue = Queue(TASK_QUEUE, connection=redis, serializer=JSONSerializer)
        self._stop = threading.Event()
        self.entries = (
            Entry("put_control_requests", 1.0, self._put_control_requests),
            Entry("expire_offers", 1.0, self._expire_offers),
            Entry("serve_waitlists", 5.0, self._serve_waitlists),
            Entry("drain_outbox", 1.0, self._drain_outbox),
            Entry("release_leftovers", 30.0, self._release_leftovers),
            Entry("announce_sales", 1.0, self._announce_sales),
            Entry("warn_of_expiring_offers", 10.0, self._warn_of_expiring_offers),
            Entry("feed_revocations", 2.0, self._feed_revocations),
            Entry("watch_ledger", 10.0, self._watch_ledger),
            Entry("catch_up_analytics", 1.0, self._catch_up_analytics),
            Entry("count_registrations", 10.0, self._count_registrations),
            Entry("archive_events", 60.0, self._archive_events),
            Entry("prune", 3600.0, lambda: self._queue.enqueue("worker.tasks.prune", result_ttl=86_400)),
        )

    def run_forever(self) -> None:
        """Until `stop`; an outage of either server costs a turn, nothing else."""
        while not self._stop.wait(TICK_SECONDS):
            self.run_once()

    def stop(self) -> None:
        """Ends `run_forever` after the current entry."""
        self._stop.set()

    def run_once(self) -> list[str]:
        """Runs what is due and not being run by another task worker; returns the names."""
        ran = []
        for entry in self.entries:
            run_id = uuid.uuid4().hex
            run_id_var.set(run_id)  # every line that the entry logs carries it
            try:
                if self._claim(entry, run_id):
                    log.debug("schedule", extra={"entry": entry.name})
                    entry.run()
                    ran.append(entry.name)
            except (SQLAlchemyError, RedisError, OSError, UnavailableError) as error:
                log.warning(
                    "schedule", extra={"entry": entry.name, "error": f"{type(error).__name__}: {error}"}
                )
            except Exception:
                log.exception("schedule entry failed", extra={"entry": entry.name})
            finally:
                run_id_var.set(None)
        return ran

    def _claim(self, entry: Entry, run_id: str) -> bool:
        """Whether this process runs the entry's next turn: the first to say so, until the interval is over."""
        milliseconds = int(entry.seconds * 1000)
        return bool(self._redis.set(keys.schedule_turn(entry.name), run_id, nx=True, px=milliseconds))

    def _put_control_requests(self) -> None:
        control_requests.put_into_line(self._engine, self._line)

    def _expire_offers(self) -> None:
        offers.expire_offers(self._engine, self._line)

    def _serve_waitlists(self) -> None:
        offers.serve_waitlists(self._engine, self._line)

    def _drain_outbox(self) -> None:
        outbox.drain(self._engine, self._handlers)

    def _announce_sales(self) -> None:
        announce_open_sales(self._engine)

    def _warn_of_expiring_offers(self) -> None:
        with transaction(self._engine) as session:
            warn_of_expiring_offers(session, notice_seconds=self._settings.offer_warning_seconds)

    def _release_leftovers(self) -> None:
        with transaction(self._engine) as session:
            user_ids = accounts.list_leftovers(session)
        for user_id in user_ids:  # a transaction each: events are locked in id order
            with transaction(self._engine) as session:
                accounts.release_holdings(session, user_id, request_id=None)

    def _archive_events(self) -> None:
        for _ in range(ARCHIVE_SLICES_MAX):
            with transaction(self._engine) as session:
                marked = archive_events(session, limit=ARCHIVE_SLICE)
            if marked < ARCHIVE_SLICE:
                return

    def _watch_ledger(self) -> None:
        watch_ledger(self._engine, self._redis)

    def _catch_up_analytics(self) -> None:
        analytics.catch_up(self._engine)

    def _count_registrations(self) -> None:
        analytics.roll_up_registrations(self._engine)

    def _feed_revocations(self) -> None:
        with transaction(self._engine) as session:
            revoked = list_revocations(session)
        self._line.revoke(revoked)
