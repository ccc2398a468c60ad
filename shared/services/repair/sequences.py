"""Ids that Redis has seen are never given out again: a PostgreSQL from a backup would start over below them.

Otherwise a request that waits for a lost event would be decided for whatever event gets its number next, and a
token of a lost account would be somebody else's.
"""

from collections.abc import Collection
from typing import Final

from redis import Redis
from sqlalchemy import Engine

from shared.db import transaction
from shared.line.survey import read_counters, scan_numbers_of_users
from shared.services.repair.report import Report
from shared.store.repairs import lift_sequence, read_sequence, skip_references

# A reference that stood on a ticket of a lost booking must not be another's. How many were given out since the
# backup nobody knows any more; the space has 2.8 × 10^11, so a million left out is nothing.
REFERENCE_BLOCKS_SKIPPED: Final = 1000


def mend_sequences(
    engine: Engine, redis: "Redis", report: Report, partitions: int, users: Collection[int]
) -> None:
    """Lifts the ids of events and users above all that Redis knows. Before counters of unknown events go."""
    events: set[int] = set()
    for partition in range(partitions):
        counters = read_counters(redis, partition)
        events.update(counters.arrivals, counters.decided)
    highest = {
        "events": max(events, default=0),
        "users": max({*users, *scan_numbers_of_users(redis)}, default=0),
    }
    lifted = []
    with transaction(engine) as session:
        for table, seen in highest.items():
            last = read_sequence(session, table)
            if seen > last:
                lifted.append(f"{table}: {last} → {seen}")
                if not report.dry_run:
                    lift_sequence(session, table, seen)
    report.note("ids", "ids that Redis has seen are not given out again", lifted)


def mend_references(engine: Engine, report: Report) -> None:
    """Leaves out a million booking references when PostgreSQL has lost decisions."""
    if not any(mend.what == "put_back" for mend in report.mends):
        return
    if not report.dry_run:
        with transaction(engine) as session:
            skip_references(session, REFERENCE_BLOCKS_SKIPPED)
    report.note("references", "booking references left out, lest one is given out again", ["1,000,000"])
