"""What must hold of a line at rest, said without our own code: whoever died before, nothing half done is left."""

import base64
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence

from redis import Redis

from tests.crash.flows import Desk

IDEMPOTENCY_KEYS = "guichet:key:*"


def assert_at_rest(desk: Desk, events: Iterable[int], jobs: Iterable[uuid.UUID] = ()) -> None:
    """Nobody waits, is in flight or is counted as undecided; numbers given out are numbers decided; every ledger row
    has exactly one message; what Redis says of these jobs is what the ledger says.
    """
    events, jobs = list(events), list(jobs)
    assert (left := left_behind(desk.redis)) == [], left
    heads = {row.id: row for row in desk.query(_HEADS, events=events)}
    told = numbers_told(desk, events)
    for event_id in events:
        head, partition = heads[event_id], event_id % desk.settings.partitions
        for name in ("arrivals", "decided"):
            given = int(desk.redis.hget(f"guichet:line:{partition}:{name}", event_id) or 0)
            assert given == head.last_arrival, (event_id, name, given, head)
        assert told[event_id] == Counter(range(1, head.last_number + 1)), (event_id, head, told[event_id])
    for partition in {event_id % desk.settings.partitions for event_id in events}:
        counters = desk.redis.hgetall(f"guichet:line:{partition}:counters")
        assert counters.get(b"accepted") == counters.get(b"decided"), counters
    decided = {row.job_id: (row.outcome, row.reason, row.number) for row in desk.query(_DECIDED, jobs=jobs)}
    answers = {job_id: answer_of(desk.redis, job_id) for job_id in jobs}
    assert answers == decided, (answers, decided)


_HEADS = "select id, last_arrival, last_number from events where id = any(:events)"
_TOLD = (
    "select event_id, from_number, to_number from outbox where topic = 'ledger' and event_id = any(:events)"
)
_DECIDED = "select job_id, outcome, reason, number from decisions where job_id = any(:jobs)"


def left_behind(redis: "Redis") -> list[bytes]:
    """Keys that exist only while something is undecided."""
    names = ("in_flight", "suspects", "alone", "lost")
    patterns = ["rq:queue:bookings-*", "rq:wip:bookings-*", "guichet:undecided:*"]
    patterns += [f"guichet:line:*:{name}" for name in names]
    return [key for pattern in patterns for key in redis.scan_iter(pattern, count=1000)]


def numbers_told(desk: Desk, events: Sequence[int]) -> dict[int, Counter[int]]:
    """By event, how often a message in the outbox names each row of its ledger."""
    told: dict[int, Counter[int]] = {event_id: Counter() for event_id in events}
    for row in desk.query(_TOLD, events=events):
        told[row.event_id].update(range(row.from_number, row.to_number + 1))
    return told


def answer_of(redis: "Redis", job_id: uuid.UUID) -> tuple[str, str | None, int] | None:
    """Outcome, reason and number as whoever asks Redis is told; None when it was answered more than once, or never."""
    entries = redis.xrange(f"rq:results:{job_id}")
    if len(entries) != 1:
        return None
    result = json.loads(base64.b64decode(entries[0][1][b"return_value"]))
    return result["outcome"], result["reason"], result["number"]


def assert_keys_stand_for_jobs(desk: Desk) -> None:
    """No Idempotency-Key stands for a job that neither the line nor the ledger knows."""
    for key in desk.redis.scan_iter(IDEMPOTENCY_KEYS, count=1000):
        job_id = uuid.UUID(bytes=desk.redis.get(key)[16:])
        known = desk.redis.exists(f"rq:job:{job_id}") or desk.query(
            "select from decisions where job_id = :job", job=job_id
        )
        assert known, f"a key stands for {job_id}, which nobody knows"
