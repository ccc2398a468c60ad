"""Faults of PostgreSQL itself."""

import random
import time
from typing import Final

from psycopg2.errors import LockNotAvailable

from scripts.trials.faults.clock import jump
from scripts.trials.faults.deeds import Deed, Done, a_moment, outage
from scripts.trials.site import Site

_LOCKED_TABLES: Final = (
    "events",
    "decisions",
    "bookings",
    "outbox",
    "line_state",
    "waitlist_entries",
    "users",
)
_SHARES: Final = (0.1, 0.5, 1.0)


def _kill(site: Site, chance: random.Random) -> Done:
    seconds = outage(chance)
    site.postgres.crash(seconds)
    return Done(note=f"down for {seconds:.1f} s")


def _stop_at_once(site: Site, chance: random.Random) -> Done:
    seconds = outage(chance)
    site.postgres.restart("immediate", seconds)
    return Done(note=f"down for {seconds:.1f} s")


def _restart(site: Site, chance: random.Random) -> Done:
    seconds = a_moment(chance)
    site.postgres.restart("fast", seconds)
    return Done(note=f"down for {seconds:.1f} s")


def _hang(site: Site, chance: random.Random) -> Done:
    seconds = outage(chance)
    site.postgres.hang(seconds)
    return Done(note=f"{seconds:.1f} s")


def _kill_backend(site: Site, chance: random.Random) -> Done:
    pid = site.postgres.kill_backend(chance)
    return Done(note=f"pid {pid}; the server recovered", hit=pid > 0)


def _hang_backend(site: Site, chance: random.Random) -> Done:
    seconds = outage(chance)
    pid = site.postgres.hang_backend(chance, seconds)
    return Done(note=f"pid {pid}, {seconds:.1f} s", hit=pid > 0)


def _end_backends(site: Site, chance: random.Random) -> Done:
    ended = site.postgres.end_backends(chance, chance.choice(_SHARES))
    return Done(note=f"{ended} connections", hit=ended > 0)


def _end_claim_holders(site: Site, _chance: random.Random) -> Done:
    ended = site.postgres.end_claim_holders()
    return Done(note=f"{ended} sessions", hit=ended > 0)


def _end_claims_often(site: Site, chance: random.Random) -> Done:
    ended = 0
    for _ in range(chance.randrange(3, 10)):
        ended += site.postgres.end_claim_holders()
        time.sleep(a_moment(chance))
    return Done(note=f"{ended} sessions", hit=ended > 0)


def _lock_table(site: Site, chance: random.Random) -> Done:
    table, seconds = chance.choice(_LOCKED_TABLES), outage(chance)
    try:
        site.postgres.lock_table(table, seconds)
    except LockNotAvailable:
        return Done(note=f"{table}: waited in vain, and everybody behind it")
    return Done(note=f"{table}, {seconds:.1f} s")


def _lock_events(site: Site, chance: random.Random) -> Done:
    seconds = outage(chance)
    count = site.postgres.lock_events(seconds)
    return Done(note=f"{count} rows, {seconds:.1f} s", hit=count > 0)


def _checkpoint(site: Site, _chance: random.Random) -> Done:
    site.postgres.checkpoint()
    return Done()


def _fill_disk(site: Site, chance: random.Random) -> Done:
    seconds = outage(chance)
    died = site.postgres.fill_disk(seconds)
    return Done(note=f"{seconds:.1f} s, it {'ended' if died else 'lived on'}")


def _jump(site: Site, chance: random.Random) -> Done:
    return jump([site.postgres.clock], chance)


def _jump_both(site: Site, chance: random.Random) -> Done:
    return jump([site.postgres.clock, site.redis.clock], chance)


POSTGRES_FAULTS: Final[dict[str, Deed]] = {
    "PostgreSQL: SIGKILL": _kill,
    "PostgreSQL: stopped at once": _stop_at_once,
    "PostgreSQL: restarted": _restart,
    "PostgreSQL: SIGSTOP": _hang,
    "PostgreSQL: a backend killed": _kill_backend,
    "PostgreSQL: a backend stopped": _hang_backend,
    "PostgreSQL: connections ended": _end_backends,
    "PostgreSQL: claims ended": _end_claim_holders,
    "PostgreSQL: claims ended again and again": _end_claims_often,
    "PostgreSQL: a table locked": _lock_table,
    "PostgreSQL: events locked": _lock_events,
    "PostgreSQL: checkpoint": _checkpoint,
    "PostgreSQL: disk full": _fill_disk,
    "PostgreSQL: clock jumps": _jump,
    "both servers: clocks jump": _jump_both,
}
