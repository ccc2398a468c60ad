"""Events, bookings, waitlist entries and offers are what the ledger made of them, to the ticket."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator, Mapping

from scripts.trials.evidence import Evidence
from scripts.trials.recount import BOOKINGS, Recount
from scripts.trials.sources.tables import EventRow, Tables


def tables_agree(evidence: Evidence, seen: Counter[str]) -> Iterator[str]:
    """Compares each event's counters with its rows, and all rows with the ledger's."""
    tables = evidence.tables
    yield from _counters(tables, seen)
    bookings, entries, offers = {}, {}, {}
    for event_id, rows in tables.ledgers.items():
        count = Recount()
        makers = {row.booking_id: row.job_id for row in rows if row.outcome == "confirmed"}
        for row in rows:
            count.step(row)
            yield from count.take_odd(BOOKINGS)
        for booking_id, made in count.bookings.items():
            status = "confirmed" if made.live else "cancelled"
            bookings[booking_id] = (event_id, made.user_id, made.tickets, status, makers.get(booking_id))
        for entry_id, waiter in count.entries.items():
            entries[entry_id] = (event_id, waiter.user_id, waiter.tickets, waiter.status, waiter.number)
        for offer_id, waiter in count.offers.items():
            offers[offer_id] = (event_id, waiter.user_id, waiter.tickets, waiter.offer_status, waiter.id)
    yield from _compare(
        "booking",
        bookings,
        {row.id: (row.event_id, row.user_id, row.tickets, row.status, row.job_id) for row in tables.bookings},
        seen,
    )
    yield from _compare(
        "waitlist entry",
        entries,
        {row.id: (row.event_id, row.user_id, row.tickets, row.status, row.number) for row in tables.entries},
        seen,
    )
    yield from _compare(
        "offer",
        offers,
        {row.id: (row.event_id, row.user_id, row.tickets, row.status, row.entry_id) for row in tables.offers},
        seen,
    )


def _counters(tables: Tables, seen: Counter[str]) -> Iterator[str]:
    booked: defaultdict[int, int] = defaultdict(int)
    offered: defaultdict[int, int] = defaultdict(int)
    waiting: defaultdict[int, list[int]] = defaultdict(lambda: [0] * 10)
    for booking in tables.bookings:
        booked[booking.event_id] += booking.tickets * (booking.status == "confirmed")
    for offer in tables.offers:
        offered[offer.event_id] += offer.tickets * (offer.status == "open")
    for entry in tables.entries:
        waiting[entry.event_id][entry.tickets - 1] += entry.status == "waiting"
    for event in tables.events.values():
        seen["events"] += 1
        sums = {
            "booked": (event.booked, booked[event.id]),
            "offered": (event.offered, offered[event.id]),
            "waiting": (event.waiting, waiting[event.id]),
            **_head(event, tables),
        }
        for name, (said, is_so) in sums.items():
            if said != is_so:
                yield f"event {event.id}: {name} says {said}, its rows {is_so}"
        if event.booked + event.offered > event.capacity:
            yield f"event {event.id}: {event.booked} booked and {event.offered} offered, of {event.capacity}"


def _head(event: EventRow, tables: Tables) -> dict[str, tuple[object, object]]:
    rows = tables.ledgers.get(event.id, [])
    settings = [row.facts for row in rows if row.kind == "event_set"]
    return {
        "last_number": (event.last_number, rows[-1].number if rows else 0),
        "last_arrival": (event.last_arrival, max((row.arrival or 0 for row in rows), default=0)),
        "capacity": (event.capacity, settings[-1]["capacity"] if settings else event.capacity),
    }


def _compare(
    what: str,
    ledger: Mapping[str, tuple[Hashable, ...]],
    table: Mapping[str, tuple[Hashable, ...]],
    seen: Counter[str],
) -> Iterator[str]:
    seen[f"{what} rows"] += len(table)
    for name in ledger.keys() | table.keys():
        made, is_there = ledger.get(name), table.get(name)
        if made != is_there:
            yield f"{what} {name}: the ledger made {made or 'none'}, the table has {is_there or 'none'}"
