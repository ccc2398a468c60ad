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
    ), added as (
        update events e set impressions = e.impressions + looked.count
        from free join looked on looked.id = free.id where e.id = free.id
        returning e.id, looked.count
    ), told as (
        insert into outbox (topic, payload)
        select 'impressions', jsonb_build_object('counts', jsonb_object_agg(id, count)) from added
        having count(*) > 0
    )
    select id from added
""")


def add_impressions(session: Session, counts: Mapping[int, int]) -> set[int]:
    """Adds `counts` to the events, tells the roll-ups of it in one message, and returns the ids of those it
    reached; the others are locked right now, or gone. One round trip.
    """
    parameters = {"ids": list(counts), "counts": list(counts.values())}
    return set(session.execute(_ADD, parameters).scalars())
