"""What deciding, status, stats and details cost when much has been decided before: years of it against nothing."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Final

from sqlalchemy import text

from scripts.benches.calls import Caller, admin_of
from scripts.benches.deciding import Decided, decide
from scripts.benches.depth import DETAILS
from scripts.benches.figures import Figure, Measurement, median
from scripts.benches.installation import Installation, Laboratory
from scripts.benches.looks import Looks, compare, times
from scripts.benches.past_fill import fill_past
from shared.db import transaction
from shared.line import keys
from shared.services.load_users import mint_load_tokens
from shared.store.clock import read_clock

_TOKEN_SECONDS: Final = 3600

# One from the middle of everything that was ever decided.
_SOME_JOB: Final = """
select cast(job_id as text), user_id from decisions where arrival is not null order by event_id, number
offset (select sum(last_arrival) / 2 from events) limit 1
"""


def measure(laboratory: Laboratory) -> Measurement:
    """Two databases on one server, each with a Redis and an API process of its own, decide and answer in turns."""
    sizes = laboratory.sizes
    measurement = Measurement()
    decided: list[list[Decided]] = [[], []]
    with ExitStack() as stack:
        much, nothing = (
            stack.enter_context(laboratory.installation(measurement, own_redis=True)) for _ in range(2)
        )
        fill_past(much.settings.database_url, sizes.past)
        much.has_made_up_past = True
        turn = list(zip((much, nothing), decided, strict=True))
        for _ in range(sizes.rounds):  # the worker starts anew each time
            turn.reverse()  # neither is always the one that the other's writes are still synced beside
            for installation, found in turn:
                found.append(decide(installation, installation.make_users(sizes.past_decided)))
        sides = [stack.enter_context(_looks(installation)) for installation in (much, nothing)]
        looks = compare(*sides, rounds=sizes.rounds)
    measurement.figures = [_deciding(*decided, past=sizes.past), *looks]
    return measurement


@contextmanager
def _looks(installation: Installation) -> Iterator[Looks]:
    """An API, somebody who asks for an old decision that Redis has forgotten, and an admin."""
    with transaction(installation.engine) as session:
        job_id, user_id = session.execute(text(_SOME_JOB)).one()
        now = read_clock(session)
    installation.redis.delete(keys.job(job_id))
    (_, token), *_ = mint_load_tokens(
        installation.settings, [user_id], now=now, lifetime_seconds=_TOKEN_SECONDS
    )
    with installation.web(web_processes=1) as web:
        person, admin = Caller(web.port, token), admin_of(installation, web.port)
        paths = {
            "status from the ledger": (person, f"/api/bookings/status/{job_id}"),
            "stats": (admin, "/api/admin/queue/stats"),
            "details": (admin, f"{DETAILS}&state=finished"),
        }
        with closing(Looks(paths)) as looks:
            yield looks


def _deciding(much: list[Decided], nothing: list[Decided], *, past: int) -> Figure:
    """How many times as long a decision takes, by the clock."""
    micros = [[decided.micros for decided in found] for found in (much, nothing)]
    cpu = [median([sum(decided.cpu_micros.values()) for decided in found]) for found in (much, nothing)]
    note = f"CPU {cpu[0]:.0f} µs, {cpu[1]:.0f} µs; {len(much)} turns"
    return times(f"a decision after {past:,}, × after none", *micros, unit="µs", note=note)
