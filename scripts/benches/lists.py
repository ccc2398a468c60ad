"""Reading when there is much of everything: a database of a long-lived installation against one of a hundredth.

Each call goes to both, in turns, over one connection to an API that keeps nothing in memory; what counts is how many
times as long the large one takes. Beside it the same for the statements alone, without HTTP.
"""

import http.client
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import orjson

from scripts.benches.calls import take_turns
from scripts.benches.figures import Figure, Measurement
from scripts.benches.installation import Installation, Laboratory
from scripts.benches.lists_fill import COMMON_WORD, PAST_WORD, RARE_WORD, Filled
from scripts.benches.processes import BenchError
from shared.clock import utc_now
from shared.db import Session, transaction
from shared.ids import uuid7
from shared.services.tokens import mint_access_token
from shared.services.users import create_user
from shared.store.bookings import list_bookings
from shared.store.event_bookings import list_registrations
from shared.store.events import EventFilters, find_event, list_events
from shared.store.paging import PageRequest

BAR_TIMES: Final = 1.5
SMALLER: Final = 100
TURNS_A_ROUND: Final = 14
WARM_UP_TURNS: Final = 5
DEEP_PAGES: Final = 30

PUBLIC, FEW, MANY, HOST, ADMIN = "public", "few", "many", "host", "admin"


@dataclass(frozen=True, slots=True)
class Call:
    """A path (with `{event_id}`), who asks, and the same without HTTP where it is one function of the store."""

    path: str
    who: str = PUBLIC
    run: Callable[[Session, Filled], object] | None = None


def _events(sort: str = "starts_at", *, descending: bool = False, **filters: object) -> Callable[..., object]:
    page = PageRequest(sort=sort, descending=descending)
    return lambda session, _ids: list_events(session, EventFilters(**filters), page)  # type: ignore[arg-type]


def _mine(whose: str) -> Callable[..., object]:
    page = PageRequest(sort="created_at", descending=True)
    return lambda session, ids: list_bookings(
        session, user_id=getattr(ids, whose), event_id=None, status=None, upcoming_only=False, page=page
    )


def _registrations(whose: str) -> Callable[..., object]:
    page = PageRequest(sort="created_at", descending=True)
    return lambda session, ids: list_registrations(session, user_id=getattr(ids, whose), page=page)


CALLS: Final = {
    "list": Call("/api/events", run=_events()),
    "list, a page far behind": Call("{deep}"),
    "list by title": Call("/api/events?sort=title", run=_events("title")),
    "list by popularity": Call("/api/events?sort=popularity", run=_events("popularity", descending=True)),
    "list by price": Call("/api/events?sort=price", run=_events("price")),
    "list, newest first": Call("/api/events?sort=created_at", run=_events("created_at", descending=True)),
    "list of a category": Call("/api/events?category=Music", run=_events(category="Music")),
    "… by popularity": Call(
        "/api/events?category=Music&sort=popularity",
        run=_events("popularity", descending=True, category="Music"),
    ),
    "list of what has tickets": Call("/api/events?available_only=true", run=_events(available_only=True)),
    "list of a host": Call("/api/events?host_id={host_id}"),
    "search, a rare word": Call(f"/api/events?search={RARE_WORD}", run=_events(search=RARE_WORD)),
    "search, a common word": Call(f"/api/events?search={COMMON_WORD}", run=_events(search=COMMON_WORD)),
    "search, two words": Call("/api/events?search=jazz+zur", run=_events(search="jazz zur")),
    "search, a word of the past": Call(f"/api/events?search={PAST_WORD}", run=_events(search=PAST_WORD)),
    "search by popularity": Call(
        f"/api/events?search={COMMON_WORD}&sort=popularity",
        run=_events("popularity", descending=True, search=COMMON_WORD),
    ),
    "list of slots": Call("/api/events/slots", run=_events(on_sale=True)),
    "an event": Call("/api/events/{event_id}", run=lambda session, ids: find_event(session, ids.event_id)),
    "its slots": Call("/api/events/{event_id}/slots"),
    "my bookings, 5": Call("/api/bookings", FEW, _mine("few_user_id")),
    "my bookings, 10,000": Call("/api/bookings", MANY, _mine("many_user_id")),
    "my registrations, 5": Call("/api/events/user/registrations", FEW, _registrations("few_user_id")),
    "my registrations, 10,000": Call("/api/events/user/registrations", MANY, _registrations("many_user_id")),
    "an event's bookings": Call("/api/events/{event_id}/bookings", HOST),
    "an event's stats": Call("/api/events/{event_id}/stats", HOST),
    "dashboard": Call("/api/admin/dashboard", ADMIN),
    "analytics of 30 days": Call("/api/admin/analytics", ADMIN),
    "analytics of a year": Call("/api/admin/analytics?from={year_ago}&to={today}", ADMIN),
}


def measure(laboratory: Laboratory) -> Measurement:
    """Both databases stand side by side; nobody writes, and each is vacuumed and analysed as in time it would be."""
    large = laboratory.sizes.listed
    sizes = (max(large // SMALLER, 200), large)
    with ExitStack() as stack:
        filled = [
            stack.enter_context(laboratory.filled(events, read_cache_seconds=0.0, web_processes=1))
            for events in sizes
        ]
        readers = [stack.enter_context(_reader(*each)) for each in filled]
        found = [(name, *_compare(call, readers)) for name, call in CALLS.items()]
    slowest = max(found, key=lambda row: row[1])
    return Measurement(
        [
            Figure(
                what=f"reading at {large:,} events, × {sizes[0]:,}: the worst of {len(CALLS)} calls",
                value=slowest[1],
                unit="×",
                bar=BAR_TIMES,
                at_most=True,
                note=slowest[0],
            ),
            *(Figure(what=f"  {name}", value=ratio, unit="×", note=note) for name, ratio, note in found),
        ]
    )


class _Reader:
    """One database, an API on it, and those who ask."""

    def __init__(self, installation: Installation, ids: Filled, port: int) -> None:
        self.installation, self.ids = installation, ids
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = _make_headers(installation, ids)
        self._deep = self._walk(DEEP_PAGES)

    def time_call(self, call: Call) -> float:
        """Milliseconds over HTTP."""
        today = utc_now().date()
        path = call.path.format(
            deep=self._deep,
            event_id=self.ids.event_id,
            host_id=self.ids.host_id,
            today=today,
            year_ago=today.replace(year=today.year - 1, day=min(today.day, 28)),
        )
        started = time.perf_counter()
        self._get(path, self._headers[call.who])
        return (time.perf_counter() - started) * 1000

    def time_statements(self, run: Callable[[Session, Filled], object]) -> float:
        """Milliseconds of the statements, transaction and all."""
        with transaction(self.installation.engine) as session:
            started = time.perf_counter()
            run(session, self.ids)
            return (time.perf_counter() - started) * 1000

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _walk(self, pages: int) -> str:
        """The path of a page far behind, found as a client finds it."""
        path = "/api/events?limit=100"
        for _ in range(pages):
            cursor = orjson.loads(self._get(path, {}))["next_cursor"]
            if cursor is None:
                break
            path = f"/api/events?limit=100&cursor={cursor}"
        return path.replace("limit=100&", "")

    def _get(self, path: str, headers: Mapping[str, str]) -> bytes:
        self._connection.request("GET", path, headers=dict(headers))
        response = self._connection.getresponse()
        body = response.read()
        if response.status != http.client.OK:
            raise BenchError(f"{path} answers {response.status}: {body!r}")
        return body


@contextmanager
def _reader(installation: Installation, ids: Filled) -> Iterator[_Reader]:
    with installation.web() as web, closing(_Reader(installation, ids, web.port)) as reader:
        yield reader


def _compare(call: Call, readers: list[_Reader]) -> tuple[float, str]:
    """How many times as long the large one takes, and both in milliseconds."""
    turns = TURNS_A_ROUND * readers[0].installation.laboratory.sizes.rounds
    small, large = take_turns(turns, WARM_UP_TURNS, [partial(reader.time_call, call) for reader in readers])
    note = f"{small:.2f} → {large:.2f} ms"
    run = call.run
    if run is not None:
        of_small, of_large = take_turns(
            turns, WARM_UP_TURNS, [partial(reader.time_statements, run) for reader in readers]
        )
        note += f"; statements {of_small:.2f} → {of_large:.2f} ms, {of_large / of_small:.2f} ×"
    return large / small, note


def _make_headers(installation: Installation, ids: Filled) -> dict[str, dict[str, str]]:
    with transaction(installation.engine) as session:
        admin = create_user(
            session, name="Admin", email="admin@example.org", password_hash=None, role="admin"
        )
    people = {
        FEW: (ids.few_user_id, "attendee"),
        MANY: (ids.many_user_id, "attendee"),
        HOST: (ids.host_id, "host"),
        ADMIN: (admin.id, "admin"),
    }
    tokens = {
        who: mint_access_token(
            installation.settings.secret_key,
            user_id=user_id,
            role=role,
            family_id=uuid7(),
            now=utc_now(),
            lifetime_seconds=6 * 3600,
        )
        for who, (user_id, role) in people.items()
    }
    return {PUBLIC: {}, **{who: {"Authorization": f"Bearer {token}"} for who, token in tokens.items()}}
