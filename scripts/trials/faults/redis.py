"""Faults of Redis itself."""

import random
import time
from typing import Final

from scripts.trials.faults.clock import jump
from scripts.trials.faults.deeds import Deed, Done, a_moment, outage
from scripts.trials.site import Site

# Of lost writes; a disk's cache holds seconds, a backup may be older.
_LOST_SECONDS: Final = (0.0, 2.0)
_BACKUP_SECONDS: Final = (1.0, 10.0)
_REWRITE_MOMENT_SECONDS: Final = 0.05


def _kill(site: Site, chance: random.Random) -> Done:
    seconds = outage(chance)
    site.redis.crash(seconds)
    return Done(note=f"down for {seconds:.1f} s")


def _kill_often(site: Site, chance: random.Random) -> Done:
    times = chance.randrange(2, 6)
    for _ in range(times):
        site.redis.crash(a_moment(chance))
        time.sleep(a_moment(chance))
    return Done(note=f"{times} times")


def _restart(site: Site, chance: random.Random) -> Done:
    seconds = a_moment(chance)
    site.redis.restart(seconds)
    return Done(note=f"down for {seconds:.1f} s")


def _hang(site: Site, chance: random.Random) -> Done:
    seconds = outage(chance)
    site.redis.hang(seconds)
    return Done(note=f"{seconds:.1f} s")


def _sleep(site: Site, chance: random.Random) -> Done:
    seconds = outage(chance)
    site.redis.sleep_inside(seconds)
    return Done(note=f"one command took {seconds:.1f} s")


def _lose_tail(site: Site, chance: random.Random) -> Done:
    asked, down = chance.uniform(*_LOST_SECONDS), a_moment(chance)
    since = site.redis.cut_tail(asked, down)
    return Done(note=f"writes of the last {asked:.2f} s", hit=since is not None, loses_since=since)


def _go_back(site: Site, chance: random.Random) -> Done:
    age, down = chance.uniform(*_BACKUP_SECONDS), a_moment(chance)
    since = site.redis.go_back(age, down)
    return Done(note=f"a copy {age:.1f} s old", loses_since=since)


def _fill_memory(site: Site, chance: random.Random) -> Done:
    seconds = outage(chance)
    site.redis.run_short_of_memory(seconds)
    return Done(note=f"{seconds:.1f} s")


def _rewrite(site: Site, _chance: random.Random) -> Done:
    site.redis.rewrite()
    return Done()


def _save(site: Site, _chance: random.Random) -> Done:
    site.redis.save()
    return Done()


def _kill_in_rewrite(site: Site, chance: random.Random) -> Done:
    after = chance.uniform(0.0, _REWRITE_MOMENT_SECONDS)
    in_time = site.redis.crash_while_it_rewrites(after, a_moment(chance))
    return Done(note="while the child wrote" if in_time else "just after the rewrite")


def _forget_scripts(site: Site, _chance: random.Random) -> Done:
    site.redis.forget_scripts()
    return Done()


def _end_connections(site: Site, _chance: random.Random) -> Done:
    ended = site.redis.end_connections()
    return Done(note=f"{ended} connections", hit=ended > 0)


def _fill_disk(site: Site, chance: random.Random) -> Done:
    seconds = outage(chance)
    died = site.redis.fill_disk(seconds)
    return Done(note=f"{seconds:.1f} s, {'it ended' if died else 'nothing was written'}")


def _jump(site: Site, chance: random.Random) -> Done:
    return jump([site.redis.clock], chance)


REDIS_FAULTS: Final[dict[str, Deed]] = {
    "Redis: SIGKILL": _kill,
    "Redis: SIGKILL again and again": _kill_often,
    "Redis: SIGTERM": _restart,
    "Redis: SIGSTOP": _hang,
    "Redis: a slow command": _sleep,
    "Redis: last writes lost": _lose_tail,
    "Redis: old backup": _go_back,
    "Redis: out of memory": _fill_memory,
    "Redis: AOF rewritten": _rewrite,
    "Redis: snapshot": _save,
    "Redis: SIGKILL in a rewrite": _kill_in_rewrite,
    "Redis: scripts forgotten": _forget_scripts,
    "Redis: connections ended": _end_connections,
    "Redis: disk full": _fill_disk,
    "Redis: clock jumps": _jump,
}
