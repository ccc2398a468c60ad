"""What the door knows about events: in process memory, at most a second old, refreshed outside requests.

The booking path never touches PostgreSQL: it asks here. While PostgreSQL is away the last snapshot is served;
an id that nobody has is remembered for a second.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from shared.db import Session, transaction
from shared.domain.events import DRAFT
from shared.domain.rules import judge_sale
from shared.errors import UnavailableError
from shared.line.doors import Door
from shared.models import Event
from shared.native_threads import Wake, start_native_thread
from shared.store.line_state import Pause, find_pause
from shared.store.waitlist import list_offered_users

log = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 0.5
UNKNOWN_SECONDS: Final = 1.0
LOAD_WAIT_SECONDS: Final = 2.0
# Who waits for an id looks whether it is there, at first after so long, then ever more seldom: a native thread could
# not tell a greenlet without gevent's locks.
LOOK_SECONDS: Final = 0.002
LOOK_SLOWER: Final = 1.5
LOOK_SECONDS_MAX: Final = 0.1
CLOSE_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 60.0  # an event that nobody asked for is no longer refreshed, and then forgotten
EVENTS_MAX: Final = 10_000
# Tickets in open offers of which it is known whose they are, of all events together: some 10 ms a refresh if each offer
# is of one ticket.
OFFERED_TICKETS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSnapshot:
    """The fields of an event that the door and a job's status need."""

    id: int
    title: str
    venue: str
    status: str
    deleted: bool
    starts_at: datetime
    sales_open_at: datetime | None
    sales_close_at: datetime
    sales_paused: bool
    available: int  # tickets that a new booking could get
    offered: int  # tickets in open offers
    max_per_booking: int
    waitlist_enabled: bool
    last_arrival: int

    offered_to: frozenset[int] | None = frozenset()  # who has an open offer; None: too many to know

    def door(
        self, *, sold_out_door: bool, tickets: int = 1, waitlist: bool = False, user_id: int = 0
    ) -> Door:
        """What the accept script is told about a booking. The window is judged there, by Redis' clock.

        `sold_out` lets through who would rather wait, and who has an open offer: tickets are held for them, whether
        sales are open or not. Where nobody knows who has one, everybody may.
        """
        if self.offered_to and user_id in self.offered_to:
            return self.open_door()
        verdict = self._sale()
        if not verdict and sold_out_door and self.available <= 0:
            waits = waitlist and self.waitlist_enabled
            verdict = "" if waits or self.offered_to is None else "sold_out"
        if not verdict and tickets > self.max_per_booking:
            verdict = "too_many_tickets"
        return self._door(verdict)

    def waitlist_door(self, *, tickets: int) -> Door:
        """The same for joining the waitlist. Whether there are tickets is the worker's to say: others stand before
        this one, and the snapshot may be a second old.
        """
        verdict = self._sale()
        if not verdict and tickets > self.max_per_booking:
            verdict = "too_many_tickets"
        if not verdict and not self.waitlist_enabled:
            verdict = "waitlist_disabled"
        return self._door(verdict)

    def leave_door(self) -> Door:
        """The same for leaving it, which is always possible. Of a hidden event, where nobody waits, nobody is told."""
        hidden = self.deleted or self.status == DRAFT
        return self._door("event_not_found") if hidden else self.open_door()

    def open_door(self) -> Door:
        """For what is never kept out."""
        return Door(last_arrival=self.last_arrival)

    def _door(self, verdict: str) -> Door:
        return Door(
            verdict=verdict,
            sales_open_at=self.sales_open_at,
            sales_close_at=self.sales_close_at,
            last_arrival=self.last_arrival,
        )

    def _sale(self) -> str:
        """Why nothing is sold, whatever the time; empty when it may be."""
        refusal = judge_sale(
            status=self.status,
            deleted=self.deleted,
            sales_paused=self.sales_paused,
            sales_open_at=None,
            sales_close_at=self.sales_close_at,
            at=_BEFORE_EVERYTHING,
        )
        return "" if refusal is None or refusal.reason is None else refusal.reason


_BEFORE_EVERYTHING: Final = datetime.fromisoformat("0001-01-01T00:00:00+00:00")


_State = Literal["new", "runs", "ended"]  # the thread


@dataclass(slots=True)
class _Entry:
    snapshot: EventSnapshot | None
    loaded_at: float
    used_at: float


class EventSnapshots:
    """One process' snapshots, and the line's pause. A native thread keeps them fresh once one is asked for, so that
    the door shuts in time in a process at its limit too (docs/adr/0042-snapshots-in-a-native-thread.md).

    `engine` is that thread's alone: its locks would be gevent's, and `close` closes its connections.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._wanted: set[int] = set()
        self._wake = Wake()
        self._starting = threading.Lock()  # of who asks; the thread takes none
        self._state: _State = "new"
        self._refreshed_at = self._failed_at = float("-inf")
        self._pause: Pause | None = None
        self._closed = False

    @property
    def pause(self) -> Pause | None:
        """The line's pause, at most a second old."""
        return self._pause

    def find(self, event_id: int) -> EventSnapshot | None:
        """The event, None when nobody has it. Waits only for an id that was not asked for lately.

        Raises UnavailableError `database_unavailable` when it is not in memory and PostgreSQL is away.
        """
        now = time.monotonic()
        entry = self._entries.get(event_id)
        if entry is not None and (entry.snapshot is not None or now - entry.loaded_at < UNKNOWN_SECONDS):
            entry.used_at = now
            return entry.snapshot
        return self._wait_for(event_id, now)

    def is_known(self, event_id: int) -> bool:
        """Whether `find` has the event and gives it at once. That nobody has one is forgotten, and then waited for."""
        entry = self._entries.get(event_id)
        return entry is not None and entry.snapshot is not None

    def _wait_for(self, event_id: int, asked_at: float) -> EventSnapshot | None:
        self._wanted.add(event_id)
        for _ in self._turns(asked_at):
            entry = self._entries.get(event_id)
            if entry is not None and entry.loaded_at >= asked_at:
                return entry.snapshot
        raise UnavailableError("database_unavailable")

    def _turns(self, asked_at: float) -> Iterator[None]:
        """Wakes the thread; then a look is due, again and again, until it fails after `asked_at` or patience ends."""
        self.start()
        self._wake.set()
        pause, failed = LOOK_SECONDS, False
        while not failed and time.monotonic() - asked_at < LOAD_WAIT_SECONDS:
            time.sleep(pause)
            pause = min(pause * LOOK_SLOWER, LOOK_SECONDS_MAX)
            failed = self._failed_at >= asked_at  # before the look, which may find what came before that
            yield

    def start(self) -> None:
        """Starts refreshing, in the process that calls it (after the fork)."""
        with self._starting:
            if self._state == "new" and not self._closed:
                self._state = "runs"
                start_native_thread(self._refresh_forever)

    def close(self) -> None:
        """Stops refreshing, and closes the thread's connections."""
        self._closed = True
        deadline = time.monotonic() + CLOSE_SECONDS
        while self._state == "runs" and time.monotonic() < deadline:
            self._wake.set()
            time.sleep(LOOK_SECONDS)
        self._engine.dispose()

    def _refresh_forever(self) -> None:
        while not self._closed:
            try:
                self.refresh_once()
            except Exception:
                log.exception("event snapshots could not be refreshed")
                self._wanted.clear()
                self._failed_at = time.monotonic()
            if not self._wanted:
                self._wake.wait(REFRESH_SECONDS)
        self._state = "ended"

    def refresh_once(self) -> None:
        """Loads what is wanted and what was used in the last minute. One transaction, two queries, and
        a third while offers are open.
        """
        started = time.monotonic()
        wanted = set(self._wanted)
        ids = wanted | {
            event_id
            for event_id, entry in list(self._entries.items())
            if entry.snapshot is not None and started - entry.used_at < IDLE_SECONDS
        }
        try:
            found = self._load(ids)
        except (SQLAlchemyError, OSError) as error:
            log.warning("event snapshots are stale", extra={"error": type(error).__name__})
            self._wanted -= wanted
            self._failed_at = time.monotonic()
            return
        for event_id in ids:
            self._put(event_id, found.get(event_id), started, used=event_id in wanted)
        self._forget(started)
        self._wanted -= wanted
        self._refreshed_at = started

    def refresh_pause(self) -> None:
        """Waits until the pause is that of now: whoever changed it need not wait for the next turn. PostgreSQL being
        away is left to that turn.
        """
        asked_at = time.monotonic()
        for _ in self._turns(asked_at):
            if self._refreshed_at >= asked_at:
                return
            self._wake.set()  # the turn under way began before

    def _load(self, ids: Iterable[int]) -> dict[int, EventSnapshot]:
        with transaction(self._engine) as session:
            self._pause = find_pause(session)
            rows = session.execute(_QUERY.where(Event.id.in_(list(ids)))).all()
            offered = {row.id: row.offered for row in rows if row.offered}
            users = _find_offered(session, offered) if offered else {}
        return {
            row.id: EventSnapshot(**row._mapping, offered_to=users.get(row.id, _NOBODY))  # noqa: SLF001 - SQLAlchemy's public name
            for row in rows
        }

    def _put(self, event_id: int, snapshot: EventSnapshot | None, loaded_at: float, *, used: bool) -> None:
        entry = self._entries.get(event_id)
        if entry is None:
            self._entries[event_id] = _Entry(snapshot, time.monotonic(), loaded_at)
            return
        entry.snapshot, entry.loaded_at = snapshot, time.monotonic()
        if used:
            entry.used_at = loaded_at

    def _forget(self, now: float) -> None:
        for event_id, entry in list(self._entries.items()):
            unknown = entry.snapshot is None and now - entry.loaded_at > UNKNOWN_SECONDS
            if unknown or now - entry.used_at > IDLE_SECONDS:
                del self._entries[event_id]
        while len(self._entries) > EVENTS_MAX:
            self._entries.popitem(last=False)


def _find_offered(session: Session, offered: Mapping[int, int]) -> dict[int, frozenset[int] | None]:
    """Who has an open offer, by event; `offered` are the tickets in them. None for those events with the most, when
    all of them are too many.
    """
    known, tickets = [], 0
    for event_id in sorted(offered, key=offered.__getitem__):
        tickets += offered[event_id]
        if tickets > OFFERED_TICKETS_MAX:
            break
        known.append(event_id)
    found: dict[int, frozenset[int] | None] = dict.fromkeys(offered)
    if known:
        users = list_offered_users(session, known)
        found |= {event_id: users.get(event_id, _NOBODY) for event_id in known}
    return found


_NOBODY: Final[frozenset[int]] = frozenset()

_QUERY = select(
    Event.id,
    Event.title,
    Event.venue,
    Event.status,
    Event.deleted_at.is_not(None).label("deleted"),
    Event.starts_at,
    Event.sales_open_at,
    Event.sales_close_at,
    Event.sales_paused,
    func.available_tickets(
        Event.capacity, Event.booked, Event.offered, Event.waitlist_enabled, Event.waiting
    ).label("available"),
    Event.offered,
    Event.max_per_booking,
    Event.waitlist_enabled,
    Event.last_arrival,
)
