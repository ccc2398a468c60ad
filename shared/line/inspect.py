"""Looking at the line from outside: depths, and who is alive."""

from collections.abc import Sequence
from typing import Final

from redis import Redis

from shared.line import keys
from shared.line.client import LineUnavailableError, ScriptRunner, text_of

TROUBLE_SECONDS: Final = 5
TROUBLE_CHARACTERS_MAX: Final = 300
LIVE_SECONDS: Final = 3  # a worker that was not heard of for longer does not count


def count_undecided(runner: ScriptRunner, partitions: Sequence[int]) -> dict[int, int]:
    """Partition → waiting and in-flight requests. One round trip whatever the depth."""
    if not partitions:
        return {}
    try:
        with runner.redis.pipeline(transaction=False) as pipe:
            for partition in partitions:
                pipe.llen(keys.queue(partition))
                pipe.llen(keys.in_flight(partition))
            lengths = pipe.execute()
    except Exception as error:
        raise LineUnavailableError("The line did not answer.") from error
    return {p: lengths[2 * i] + lengths[2 * i + 1] for i, p in enumerate(partitions)}


def wait_for_bell(runner: ScriptRunner, partitions: Sequence[int], seconds: float) -> None:
    """Sleeps until a request arrives in an empty line of these partitions, or `seconds` pass."""
    runner.redis.blpop([keys.bell(partition) for partition in partitions], timeout=seconds)


def say_trouble(redis: "Redis", partition: int, what: str) -> None:
    """Says for the next five seconds why a partition's line stands. One round trip."""
    redis.set(keys.trouble(partition), what[:TROUBLE_CHARACTERS_MAX], ex=TROUBLE_SECONDS)


def list_troubles(redis: "Redis", partitions: int) -> dict[str, str]:
    """Why lines stand, and how many ids were set aside, by part. One round trip."""
    with redis.pipeline(transaction=False) as pipe:
        for partition in range(partitions):
            pipe.get(keys.trouble(partition))
            pipe.llen(keys.lost(partition))
        pipe.exists(keys.RQ_SUSPENDED)
        *replies, suspended = pipe.execute()
    found = {
        f"partition {p}": text_of(replies[2 * p]) for p in range(partitions) if replies[2 * p] is not None
    }
    if lost := sum(replies[1::2]):
        found["lost"] = f"{lost} ids without a readable request were set aside; `guichet audit` lists them"
    if suspended:
        found["suspended"] = "Workers are suspended; `rq resume` lets them go on"
    return found


def count_live_workers(redis: "Redis") -> int:
    """Booking workers heard of in the last three seconds, by Redis' clock. Two round trips.

    Not those from further in the future than a round trip takes: there the clock was set back.
    """
    seconds, _ = redis.time()
    now = int(seconds)
    return int(redis.zcount(keys.LIVE_WORKERS, now - LIVE_SECONDS, now + LIVE_SECONDS))
