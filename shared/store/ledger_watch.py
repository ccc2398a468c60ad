"""Reading what is new in the ledgers, for the watch that checks them beside the code that decides."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

# Until somebody has analysed the tables the planner guesses, and may read one through to sort it.
_BY_INDEX: Final = text("set local enable_seqscan = off")

# More booked and offered than there is cannot be while the CHECK constraint stands; the watch does not trust it.
_HEADS: Final = text(
    "select id, last_number, booked + offered > capacity as oversold from events where id > :after"
    " order by id limit :limit"
)

# The rows of each span by the index on (event_id, number), in its order; of each, whether its arrival is the
# successor of the highest one before it.
_ROWS: Final = text(
    """
select v.event_id, r.rows, r.arrival, r.inversions, r.oversells
from unnest(cast(:events as bigint[]), cast(:after as bigint[]), cast(:up_to as bigint[]),
        cast(:arrivals as bigint[])) v (event_id, after, up_to, arrival)
    cross join lateral (
        select count(*) as rows, greatest(v.arrival, max(d.arrival)) as arrival,
            count(*) filter (where d.arrival <> d.highest + 1) as inversions,
            count(*) filter (where d.available_after < 0) as oversells
        from (
            select arrival, available_after,
                greatest(v.arrival, max(arrival) over (
                    order by number rows between unbounded preceding and 1 preceding)) as highest
            from decisions
            where event_id = v.event_id and number > v.after and number <= v.up_to
        ) d
    ) r
"""
)


@dataclass(frozen=True, slots=True)
class EventHead:
    """How far an event's ledger goes, and whether more is booked than there is."""

    event_id: int
    last_number: int
    oversold: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Numbers of an event's ledger, those above `after` up to `up_to`; `arrival` is the highest one before them."""

    event_id: int
    after: int
    up_to: int
    arrival: int


@dataclass(frozen=True, slots=True)
class SpanFindings:
    """What a span's rows said: how many there are, the highest arrival now, how many are out of the order of
    arrival, how many left fewer than no tickets.
    """

    event_id: int
    rows: int
    arrival: int
    inversions: int
    oversells: int


def list_heads(session: Session, *, after: int, limit: int) -> list[EventHead]:
    """The next `limit` events by id. Two round trips; one index, in its order."""
    session.execute(_BY_INDEX)
    rows = session.execute(_HEADS, {"after": after, "limit": limit})
    return [EventHead(*row) for row in rows]


def read_spans(session: Session, spans: Sequence[Span]) -> list[SpanFindings]:
    """The findings of each span. Two round trips; reads the spans' rows and no other."""
    session.execute(_BY_INDEX)
    rows = session.execute(
        _ROWS,
        {
            "events": [span.event_id for span in spans],
            "after": [span.after for span in spans],
            "up_to": [span.up_to for span in spans],
            "arrivals": [span.arrival for span in spans],
        },
    )
    return [SpanFindings(*row) for row in rows]
