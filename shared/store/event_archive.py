"""Marking events that are long over, so that no list of what is coming has to read past them.

`archived` is a hint for indexes and no state: `completed` is derived from the clock as ever. It must never be true of
what a list of coming events would show.
"""

from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

# A clock that goes wrong by less archives nothing too early; lists read past an hour's events in no time.
_MARGIN: Final = "interval '1 hour'"

# What somebody has locked is left for the next time: never wait for a worker, nor make one wait for long.
# In the order of `events_archive_idx`: the planner takes being over and being archived for independent, and would read
# every event in search of the many that it expects.
_MARK: Final = """
    update events set archived = not archived
    where id in (
        select id from events where {due} order by ends_at limit :limit for no key update skip locked
    )
    returning id
"""
_OVER: Final = text(_MARK.format(due=f"not archived and ends_at < now() - {_MARGIN}"))
# After a clock that was wrong by more, or a restored server.
_NOT_OVER: Final = text(_MARK.format(due="archived and ends_at > now()"))


def archive_events(session: Session, *, limit: int) -> int:
    """Marks what has been over for an hour, and unmarks what is not over; at most `limit` of each. Returns how many.

    Two round trips; reads what it marks, and what others hold. Safe to run again and beside itself.
    """
    parameters = {"limit": limit}
    return sum(len(session.execute(statement, parameters).all()) for statement in (_OVER, _NOT_OVER))
