"""Adding up how often events were looked at."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

# Skips rows that somebody has locked: a counter of looks must never make a booking worker wait, nor deadlock
# with one. What is skipped is added the next time.
_ADD: Final = text("""
    with looked as (select * from unnest(cast(:ids as bigint[]), cast(:counts as bigint[])) as v (id, count)),
    free as (
        select e.id from events e where e.id = any(cast(:ids as bigint[])) order by e.id
        for no key update skip locked
    )
    update events e set impressions = e.impressions + looked.count
    from free join looked on looked.id = free.id where e.id = free.id
    returning e.id
""")


def add_impressions(session: Session, counts: Mapping[int, int]) -> set[int]:
    """Adds `counts` to the events and returns the ids of those it reached; the others are locked right now,
    or gone. One round trip.
    """
    parameters = {"ids": list(counts), "counts": list(counts.values())}
    return set(session.execute(_ADD, parameters).scalars())
