"""An independent look at the ledgers: what `line_oversells_total` and `line_order_inversions_total` count.

The code that decides must not be its own judge, so these counters come from rows read back. It is a small part
of what `guichet audit` checks, all the time instead of now and then.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis
from redis.exceptions import WatchError
from sqlalchemy import Engine

from shared.db import transaction
from shared.line import keys
from shared.line.client import text_of
from shared.line.counters import GAPS, INVERSIONS, OVERSELLS
from shared.store.ledger_watch import EventHead, Span, SpanFindings, list_heads, read_spans

log = logging.getLogger(__name__)

# One turn; what is left waits for the next, ten seconds later.
ROWS_MAX: Final = 50_000
EVENTS_MAX: Final = 10_000

_CURSOR: Final = "cursor"  # the last event id of the turn before; 0 after the last event
_OVERSOLD: Final = "oversold"


@dataclass(frozen=True, slots=True)
class Seen:
    """How far an event's ledger was read, the highest arrival until there, whether it was found oversold."""

    number: int = 0
    arrival: int = 0
    oversold: bool = False

    @property
    def text(self) -> str:
        """What the hash keeps: `<number>:<arrival>`, and `:oversold`."""
        return f"{self.number}:{self.arrival}{':' + _OVERSOLD if self.oversold else ''}"

    @classmethod
    def parse(cls, value: Any) -> "Seen":  # noqa: ANN401 - a reply, None for an event never looked at
        """The inverse of `text`."""
        if value is None:
            return cls()
        number, arrival, *flags = text_of(value).split(":")
        return cls(int(number), int(arrival), _OVERSOLD in flags)


@dataclass(slots=True)
class Turn:
    """What one turn read, found, and remembers for the next."""

    rows: int = 0
    found: dict[str, int] = field(default_factory=dict)  # counter → how many more
    remembered: dict[str, str] = field(default_factory=dict)

    def add(self, counter: str, count: int, event_id: int) -> None:
        """Counts and says what was found at an event."""
        if count:
            self.found[counter] = self.found.get(counter, 0) + count
            log.error("ledger watch", extra={"event_id": event_id, "found": counter, "count": count})


def watch_ledger(engine: Engine, redis: "Redis") -> Turn:
    """Looks at the next events and at their new rows. A handful of round trips to each server; of two turns
    that run at once the second throws away what it found.

    How far each event was read is kept beside the counters, so that both are lost together: with an emptied Redis
    the ledgers are read again from their beginning, a turn's worth at a time.
    """
    with redis.pipeline(transaction=True) as pipe:
        pipe.watch(keys.LEDGER_WATCH)
        cursor = int(_now(pipe.hget(keys.LEDGER_WATCH, _CURSOR)) or 0)
        with transaction(engine) as session:
            heads = list_heads(session, after=cursor, limit=EVENTS_MAX)
        seen = _read_seen(pipe, heads)
        turn = Turn()
        spans, left = _look_at_heads(turn, heads, seen)
        with transaction(engine) as session:
            findings = read_spans(session, spans) if spans else []
        _look_at_rows(turn, spans, findings, seen)
        if not left:  # otherwise the same events again
            turn.remembered[_CURSOR] = str(heads[-1].event_id) if len(heads) == EVENTS_MAX else "0"
        pipe.multi()
        for name, value in turn.remembered.items():
            pipe.hset(keys.LEDGER_WATCH, name, value)
        for counter, count in turn.found.items():
            pipe.hincrby(keys.METRICS, counter, count)
        try:
            pipe.execute()
        except WatchError:
            log.info("ledger watch: another task worker looked meanwhile")
            return Turn()
    return turn


def _now(reply: Any) -> Any:  # noqa: ANN401 - after WATCH a pipeline answers at once, which its types do not know
    return reply


def _read_seen(pipe: "Redis", heads: Sequence[EventHead]) -> dict[int, Seen]:
    if not heads:
        return {}
    values = _now(pipe.hmget(keys.LEDGER_WATCH, [str(head.event_id) for head in heads]))
    return {head.event_id: Seen.parse(value) for head, value in zip(heads, values, strict=True)}


def _look_at_heads(turn: Turn, heads: Sequence[EventHead], seen: dict[int, Seen]) -> tuple[list[Span], bool]:
    """What there is to read of events whose ledger has moved, and whether some is left for the next turn. An event
    with more booked than there is counts once, until that is over.
    """
    spans = []
    left = ROWS_MAX
    for head in heads:
        before = seen[head.event_id]
        now = Seen(before.number, before.arrival, head.oversold)
        if before.number > head.last_number:
            # PostgreSQL was restored from a backup: read from the beginning, what was found there counts again.
            log.warning("ledger watch: a ledger has gone back", extra={"event_id": head.event_id})
            now = Seen(0, 0, head.oversold)
        turn.add(OVERSELLS, int(head.oversold and not before.oversold), head.event_id)
        if now != before:
            turn.remembered[str(head.event_id)] = now.text
            seen[head.event_id] = now
        wanted = head.last_number - now.number
        if wanted and left:
            up_to = now.number + min(wanted, left)
            spans.append(Span(event_id=head.event_id, after=now.number, up_to=up_to, arrival=now.arrival))
        left -= min(wanted, left)
    return spans, not left


def _look_at_rows(
    turn: Turn, spans: Sequence[Span], findings: Sequence[SpanFindings], seen: dict[int, Seen]
) -> None:
    ends = {span.event_id: span for span in spans}
    for found in findings:
        span = ends[found.event_id]
        turn.rows += found.rows
        turn.add(INVERSIONS, found.inversions, found.event_id)
        turn.add(OVERSELLS, found.oversells, found.event_id)
        # The event counts its rows: fewer than that, and some are gone.
        turn.add(GAPS, span.up_to - span.after - found.rows, found.event_id)
        now = Seen(span.up_to, found.arrival, seen[found.event_id].oversold)
        turn.remembered[str(found.event_id)] = now.text
