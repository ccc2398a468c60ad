"""What a waiting request weighs in Redis."""

from scripts.benches.figures import Figure, Measurement
from scripts.benches.installation import Installation, Laboratory

BAR_BYTES = 750
# Fewer would weigh less than what Redis frees and takes by itself meanwhile.
_COUNT_MIN = 1_000


def measure(laboratory: Laboratory) -> Measurement:
    """Everything a request keeps there: job, idempotency record, place, its user's counts; a user each."""
    measurement = Measurement()
    count = max(laboratory.sizes.redis_memory, _COUNT_MIN)
    with laboratory.installation(measurement) as installation:
        user_ids = installation.make_users(count)
        event_id = installation.make_event(count)
        installation.fill(event_id, user_ids[:1])
        before = _used(installation)
        installation.fill(event_id, user_ids[1:])
        # A token bucket is there for the seconds in which it is not full, whatever waits.
        installation.wait_for_buckets()
        used = _used(installation) - before
    measurement.figures = [
        Figure(
            what="Redis memory a waiting request",
            value=used / (count - 1),
            unit="bytes",
            bar=BAR_BYTES,
            at_most=True,
            note=f"{count:,} waiting, each with a user and an Idempotency-Key of its own; token buckets gone",
        )
    ]
    return measurement


def _used(installation: Installation) -> int:
    return int(installation.redis.info("memory")["used_memory"])
