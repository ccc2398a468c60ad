"""What Redis counts, against what stands in the line: each compared at one moment, so that a live line passes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.domain.findings import Finding
from shared.line import keys
from shared.line.survey import (
    UNDECIDED,
    is_counted,
    list_known,
    read_jobs,
    read_list,
    read_undecided_of_users,
    scan_idempotency_records,
)
from shared.services.audit.findings import Tally
from shared.store.repairs import list_last_arrivals, list_recorded_ids

# The schedule tells Redis of a revocation every two seconds; a younger one may still be on its way.
_REVOCATION_AGE_SECONDS: Final = 10


# Nobody's promise: it passes by itself when the line is empty, and `--repair` sets it right at once.
_PLACES_OFF: Final = (
    "partitions that tell places or waits that are off (`guichet audit --repair` sets them right)"
)


def check_counts(
    session: Session, redis: "Redis", partitions: Iterable[int], tally: Tally, event_id: int | None
) -> None:
    """Counters and RQ's started registry. Decided in Redis ≤ `last_arrival` ≤ given out by Redis; read in this
    order, a live system keeps it. Four round trips a partition.
    """
    for partition in partitions:
        decided = _numbers(redis.hgetall(keys.decided(partition)))
        events = [*decided, *map(int, redis.hkeys(keys.arrivals(partition)))]
        last_arrivals = dict.fromkeys(events, 0) | list_last_arrivals(session, events)
        # After the ledger: what was committed before is by now replied, or still in flight.
        look = _look_at(redis, partition)
        for event, last in last_arrivals.items():
            if event_id in (None, event):
                _check_event(event, last, decided.get(event, 0), look, tally)
        if event_id is None:
            _check_partition(partition, look, tally)


@dataclass(frozen=True, slots=True)
class _Look:
    """A partition at one moment."""

    arrivals: dict[int, int]
    decided: dict[int, int]
    undecided_by_totals: int
    waiting: int
    in_flight: list[bytes]
    started: list[bytes]
    set_aside: int


def _look_at(redis: "Redis", partition: int) -> _Look:
    with redis.pipeline(transaction=True) as pipe:
        pipe.hgetall(keys.arrivals(partition))
        pipe.hgetall(keys.decided(partition))
        pipe.hmget(keys.counters(partition), "accepted", "decided")
        pipe.llen(keys.queue(partition))
        pipe.lrange(keys.in_flight(partition), 0, -1)
        pipe.zrange(keys.started(partition), 0, -1)
        pipe.llen(keys.lost(partition))
        arrivals, decided, (accepted_total, decided_total), *rest = pipe.execute()
    undecided = int(accepted_total or 0) - int(decided_total or 0)
    return _Look(_numbers(arrivals), _numbers(decided), undecided, *rest)


def _check_event(event: int, last: int, decided_before: int, look: _Look, tally: Tally) -> None:
    tally.examined["line_counters"] += 1
    given, decided = look.arrivals.get(event, 0), look.decided.get(event, 0)
    for what, is_wrong, expected, found in (
        ("decided arrivals in Redis", decided_before > last, f"at most {last}", decided_before),
        ("decided arrivals in Redis", decided < last and not look.in_flight, f"at least {last}", decided),
        ("arrivals given out by Redis", given < last, f"at least {last}", given),
    ):
        if is_wrong:
            tally.add(
                Finding(check="line_counters", what=what, expected=expected, found=found, event_id=event)
            )


def _check_partition(partition: int, look: _Look, tally: Tally) -> None:
    depth = look.waiting + len(look.in_flight)
    # What was set aside has a number that is given and never decided.
    by_numbers = sum(look.arrivals.values()) - sum(look.decided.values())
    if look.undecided_by_totals != depth or (by_numbers != depth and not look.set_aside):
        tally.notes[_PLACES_OFF] += 1
    members = {raw + keys.EXECUTION_SUFFIX.encode() for raw in look.in_flight}
    what = f"RQ's started registry of partition {partition}"
    tally.compare("line_in_flight", what, _sorted(members), _sorted(look.started))


def check_users(redis: "Redis", partitions: Iterable[int], tally: Tally) -> None:
    """Whoever waits is counted, and sees it among the own requests. Reads every waiting job."""
    counted = read_undecided_of_users(redis)
    owners: dict[str, int] = {}
    for partition in partitions:
        ids = [*read_list(redis, keys.in_flight(partition)), *read_list(redis, keys.queue(partition))]
        jobs = read_jobs(redis, ids).values()
        owners.update({job.id: job.counts_for for job in jobs if job.counts_for is not None})
    tally.examined["line_users"] += len(owners)
    for job_id, user_id in owners.items():
        if job_id not in counted.get(user_id, ()) and _look(redis, user_id, job_id) == (False, True):
            what = f"undecided requests of user {user_id}"
            tally.add(
                Finding(check="line_users", what=what, expected=f"job {job_id}", found="not among them")
            )
    for user_id, ids_of_user in counted.items():
        for job_id in ids_of_user:
            # Whoever is at the limit is looked at afresh: such a one keeps nobody from booking.
            if owners.get(job_id) != user_id and _look(redis, user_id, job_id) == (True, False):
                tally.notes["counted among a user's undecided requests, and does not wait"] += 1


def _look(redis: "Redis", user_id: int, job_id: str) -> tuple[bool, bool]:
    """Whether it is counted and whether it waits, at one moment: requests were decided since the lists were read."""
    with redis.pipeline(transaction=True) as pipe:
        is_counted(pipe, user_id, job_id)
        pipe.hget(keys.job(job_id), "status")
        score, is_before, status = pipe.execute(raise_on_error=False)
    return score is not None or bool(is_before), isinstance(status, bytes) and status.decode() in UNDECIDED


def check_keys(session: Session, redis: "Redis", tally: Tally) -> None:
    """Every Idempotency-Key stands for a request that Redis or the ledger knows. Looks at every key."""
    for records in scan_idempotency_records(redis):
        tally.examined["line_keys"] += len(records)
        ids = sorted({job_id for _, job_id in records.values()})
        unknown = set(ids).difference(list_known(redis, ids))
        unknown -= list_recorded_ids(session, sorted(unknown))
        for record, (_, job_id) in records.items():
            if job_id in unknown:
                tally.add(
                    Finding(check="line_keys", what=record, expected="a known request", found=f"job {job_id}")
                )


def check_revocations(session: Session, redis: "Redis", tally: Tally) -> None:
    """Redis knows whose tokens no longer count, but for the last seconds' revocations. Two round trips."""
    query = text(
        "select subject from revoked_tokens where expires_at > now() + interval '10 seconds'"
        " and revoked_at < now() - make_interval(secs => :age) order by subject"
    )
    subjects = list(session.execute(query, {"age": _REVOCATION_AGE_SECONDS}).scalars())
    tally.examined["line_revocations"] += len(subjects)
    with redis.pipeline(transaction=False) as pipe:
        for subject in subjects:
            pipe.exists(keys.revoked(subject))
        known = pipe.execute()
    for subject, is_known in zip(subjects, known, strict=True):
        if not is_known:
            tally.add(
                Finding(check="line_revocations", what=subject, expected="revoked", found="not in Redis")
            )


def _numbers(found: Mapping[Any, Any]) -> dict[int, int]:
    return {int(event): int(number) for event, number in found.items()}


def _sorted(members: Iterable[bytes]) -> list[str]:
    return sorted(member.decode(errors="replace") for member in members)
